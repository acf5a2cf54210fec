#include "policy/rule.h"

#include <string.h>

static const struct rule_text rules[] = {
#include "policy/rules.inc"
};

_Static_assert(sizeof rules / sizeof *rules == RULE_COUNT, "each rule has its text");
_Static_assert(RULE_COUNT <= 64, "rules are bits of a word");

const struct rule_text *rule_text(enum rule rule)
{
	return &rules[rule];
}

bool rule_by_name(const char *name, enum rule *out)
{
	for (int i = 0; i < RULE_COUNT; i++) {
		if (strcmp(rules[i].name, name) == 0) {
			*out = (enum rule)i;
			return true;
		}
	}
	return false;
}

uint64_t rules_in(enum rule_place place)
{
	uint64_t found = 0;

	for (int i = 0; i < RULE_COUNT; i++) {
		if (rules[i].places & place)
			found |= RULE_BIT(i);
	}
	return found;
}

/* Is the name one of the words, or does a word that ends in "*" begin it? */
static bool is_among(const char *words, const char *name)
{
	size_t len;

	for (; words && *words; words += len + strspn(words + len, " ")) {
		len = strcspn(words, " ");
		if (*words != *name)
			continue;
		if (words[len - 1] == '*' ? strncmp(words, name, len - 1) == 0
								  : strncmp(words, name, len) == 0 && !name[len])
			return true;
	}
	return false;
}

uint64_t rules_of_function(const char *name)
{
	uint64_t found = 0;

	for (int i = 0; i < RULE_COUNT; i++) {
		if (is_among(rules[i].functions, name))
			found |= RULE_BIT(i);
	}
	return found;
}

uint64_t rules_of_relation(const char *name)
{
	uint64_t found = 0;

	for (int i = 0; i < RULE_COUNT; i++) {
		if (is_among(rules[i].relations, name))
			found |= RULE_BIT(i);
	}
	return found;
}

uint64_t rules_of_setting(const char *name)
{
	uint64_t found = 0;

	for (int i = 0; i < RULE_COUNT; i++) {
		if (is_among(rules[i].settings, name))
			found |= RULE_BIT(i);
	}
	return found;
}

static bool is_of_tenant(const char *schema, struct uuid *tenant)
{
	return strlen(schema) == 34 && strncmp(schema, "t_", 2) == 0 &&
		   strspn(schema + 2, "0123456789abcdef") == 32 && uuid_parse(schema + 2, 32, tenant);
}

static bool is_of_nobody(const char *schema)
{
	return strcmp(schema, "bulkhead") == 0 || strcmp(schema, "bulkhead_control") == 0 ||
		   strncmp(schema, "pg_toast", 8) == 0 || strncmp(schema, "pg_temp_", 8) == 0;
}

bool rule_schemas_note(struct rule_schemas *schemas, const char *schema)
{
	struct uuid tenant;

	if (!schema)
		return false;
	if (!is_of_tenant(schema, &tenant)) {
		schemas->has_others |= is_of_nobody(schema);
		return is_of_nobody(schema);
	}
	if (schemas->has_tenant && !uuid_equal(&schemas->tenant, &tenant))
		schemas->has_others = true;
	schemas->has_tenant = true;
	schemas->tenant = tenant;
	return true;
}

bool rule_schemas_are_foreign(const struct rule_schemas *schemas, const struct uuid *own)
{
	return schemas->has_others ||
		   (schemas->has_tenant && !(own && uuid_equal(&schemas->tenant, own)));
}

/* ---- settings ---- */

static char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Does a list of schemas, as search_path has it, name such a one? The server folds what is
 * not quoted; here all of it is. */
static bool note_schemas(const char *value, struct rule_schemas *schemas)
{
	bool found = false;
	static const char between[] = ", \"\t\n\r\f\v";
	char schema[64]; /* a name is shorter */
	size_t len;

	for (; *value; value += len) {
		value += strspn(value, between);
		len = strcspn(value, between);
		if (!len || len >= sizeof schema)
			continue;
		for (size_t i = 0; i < len; i++)
			schema[i] = ascii_lower(value[i]);
		schema[len] = '\0';
		found |= rule_schemas_note(schemas, schema);
	}
	return found;
}

uint64_t rules_of_setting_to(const char *name, const char *value, bool goes_back,
							 struct rule_schemas *schemas)
{
	uint64_t found = rules_of_setting(name);

	if (!goes_back && (strcmp(name, "role") == 0 || strcmp(name, "session_authorization") == 0))
		found |= RULE_BIT(RULE_ROLE);
	if (value && strcmp(name, "search_path") == 0 && note_schemas(value, schemas))
		found |= RULE_BIT(RULE_SCHEMA);
	return found;
}
