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

static bool is_of_tenant(const char *schema)
{
	return strlen(schema) == 34 && strncmp(schema, "t_", 2) == 0 &&
		   strspn(schema + 2, "0123456789abcdef") == 32;
}

bool rule_schema_is_foreign(const char *schema)
{
	return strcmp(schema, "bulkhead") == 0 || strcmp(schema, "bulkhead_control") == 0 ||
		   strncmp(schema, "pg_toast", 8) == 0 || strncmp(schema, "pg_temp_", 8) == 0 ||
		   is_of_tenant(schema);
}

void foreign_schemas_note(struct foreign_schemas *foreign, const char *schema)
{
	if (!rule_schema_is_foreign(schema))
		return;
	if (!is_of_tenant(schema) || (*foreign->tenant && strcmp(foreign->tenant, schema) != 0))
		foreign->are_others = true;
	else
		memcpy(foreign->tenant, schema, sizeof foreign->tenant);
}

bool foreign_schemas_are(const struct foreign_schemas *foreign, const char *own)
{
	return *own && !foreign->are_others && strcmp(foreign->tenant, own) == 0;
}

/* ---- settings ---- */

static char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* The next schema of a list, as search_path has it, in lower case and cut off where it is
 * longer than any name; false behind the last. The server folds what is not quoted; here all of
 * it is. */
static bool next_schema(const char **list, char out[64])
{
	static const char between[] = ", \"\t\n\r\f\v";
	const char *at = *list + strspn(*list, between);
	size_t len = strcspn(at, between), kept = len < 64 ? len : 63;

	for (size_t i = 0; i < kept; i++)
		out[i] = ascii_lower(at[i]);
	out[kept] = '\0';
	*list = at + len;
	return len > 0;
}

void foreign_schemas_note_path(struct foreign_schemas *foreign, const char *path)
{
	char schema[64];

	while (next_schema(&path, schema))
		foreign_schemas_note(foreign, schema);
}

static bool names_foreign_schema(const char *path)
{
	char schema[64];

	while (next_schema(&path, schema)) {
		if (rule_schema_is_foreign(schema))
			return true;
	}
	return false;
}

uint64_t rules_of_setting_to(const char *name, const char *value, bool goes_back)
{
	uint64_t found = rules_of_setting(name);

	if (!goes_back && (strcmp(name, "role") == 0 || strcmp(name, "session_authorization") == 0))
		found |= RULE_BIT(RULE_ROLE);
	if (value && strcmp(name, "search_path") == 0 && names_foreign_schema(value))
		found |= RULE_BIT(RULE_SCHEMA);
	return found;
}
