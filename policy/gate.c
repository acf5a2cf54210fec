#include "policy/gate.h"

#include <stdlib.h>
#include <string.h>

/* ---- what a statement needs ---- */

uint32_t gate_needs(uint32_t classes)
{
	static const struct {
		uint32_t class, needs;
	} rows[] = {
		{SQL_CLASS_READ, PERMISSION_BIT(PERMISSION_READ)},
		{SQL_CLASS_WRITE, PERMISSION_BIT(PERMISSION_WRITE)},
		{SQL_CLASS_DDL, PERMISSION_BIT(PERMISSION_DDL)},
		{SQL_CLASS_COPY, PERMISSION_BIT(PERMISSION_COPY)},
		{SQL_CLASS_CALL, PERMISSION_BIT(PERMISSION_CALL)},
		{SQL_CLASS_LISTEN, PERMISSION_BIT(PERMISSION_LISTEN)},
		{SQL_CLASS_MAINTENANCE, PERMISSION_BIT(PERMISSION_MAINTENANCE)},
		{SQL_CLASS_TEMP, PERMISSION_BIT(PERMISSION_WRITE)},
		{SQL_CLASS_DDL_OR_TEMP, GATE_NEEDS_TEMP_OR_DDL},
		{SQL_CLASS_TEMP_FUNCTION, PERMISSION_BIT(PERMISSION_WRITE) | GATE_NEEDS_TEMP_FUNCTION},
	};
	uint32_t needs = GATE_NEEDS_COUNTING;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (classes & rows[i].class)
			needs |= rows[i].needs;
	}
	return needs;
}

/* ---- words ---- */

static void words_fini(struct gate_words *words)
{
	for (size_t i = 0; i < words->count; i++)
		free(words->words[i]);
	free(words->words);
	*words = (struct gate_words){0};
}

static bool words_add(struct gate_words *words, const char *word, size_t len)
{
	char **grown = realloc(words->words, (words->count + 1) * sizeof *grown);

	if (!grown)
		return false;
	words->words = grown;
	grown[words->count] = strndup(word, len);
	return grown[words->count] && ++words->count;
}

static bool words_init(struct gate_words *words, const char *text)
{
	static const char between[] = ", \t";

	*words = (struct gate_words){0};
	for (text += strspn(text, between); *text; text += strspn(text, between)) {
		size_t len = strcspn(text, between);

		if (!words_add(words, text, len)) {
			words_fini(words);
			return false;
		}
		text += len;
	}
	return true;
}

static bool words_have(const struct gate_words *words, const char *word)
{
	for (size_t i = 0; i < words->count; i++) {
		size_t len = strlen(words->words[i]);
		bool is_prefix = len && words->words[i][len - 1] == '*';

		if (is_prefix ? strncmp(words->words[i], word, len - 1) == 0
					  : strcmp(words->words[i], word) == 0)
			return true;
	}
	return false;
}

/* ---- settings ---- */

static bool read_exceptions(struct gate_settings *settings, const char *text, char **unknown)
{
	struct gate_words names;
	enum rule rule;
	bool ok = true;

	if (!words_init(&names, text))
		return false;
	for (size_t i = 0; i < names.count && ok; i++) {
		ok = rule_by_name(names.words[i], &rule);
		if (ok)
			settings->exceptions |= RULE_BIT(rule);
		else
			*unknown = strdup(names.words[i]);
	}
	words_fini(&names);
	return ok;
}

bool gate_settings_init(struct gate_settings *settings, enum gate_mode mode,
						const char *exceptions, const char *schemas,
						const char *protected_settings, char **unknown)
{
	*settings = (struct gate_settings){.mode = mode};
	*unknown = NULL;
	if (read_exceptions(settings, exceptions, unknown) &&
		words_init(&settings->schemas, schemas) &&
		words_init(&settings->protected_settings, protected_settings))
		return true;
	gate_settings_fini(settings);
	return false;
}

void gate_settings_fini(struct gate_settings *settings)
{
	words_fini(&settings->schemas);
	words_fini(&settings->protected_settings);
}

/* ---- the gate ---- */

#define READ_ONLY_TAKES                                                                        \
	(PERMISSION_BIT(PERMISSION_WRITE) | PERMISSION_BIT(PERMISSION_DDL) |                       \
	 PERMISSION_BIT(PERMISSION_CALL) | PERMISSION_BIT(PERMISSION_MAINTENANCE) |                \
	 PERMISSION_BIT(PERMISSION_FASTPATH))

static uint32_t permitted(const struct permissions *permissions)
{
	return permissions->held & ~(permissions->is_read_only ? READ_ONLY_TAKES : 0u);
}

static bool lists_names(const struct permissions *permissions)
{
	return permissions->relations_are_limited || permissions->functions_are_limited ||
		   permissions->denied_relations.count || permissions->denied_functions.count;
}

void gate_init(struct gate *gate, enum rule_place place, const struct uuid *tenant,
			   const struct gate_settings *settings, const struct permissions *permissions)
{
	*gate = (struct gate){.settings = settings,
						  .permissions = permissions,
						  .own = place == ON_SCHEMA ? tenant : NULL};
	gate->mode = permissions->gate == GATE_AS_CONFIGURED ? settings->mode : permissions->gate;
	if (gate->mode == GATE_OFF) {
		gate->held = UINT32_MAX;
		return;
	}
	uint64_t rules = rules_in(place);

	gate->rules = rules & ~settings->exceptions;
	gate->held = permitted(permissions) | GATE_NEEDS_COUNTING;
	if (!permissions->is_read_only)
		gate->held |= GATE_NEEDS_READ_WRITE;
	if (gate->held & PERMISSION_BIT(PERMISSION_DDL))
		gate->held |= GATE_NEEDS_TEMP_OR_DDL | GATE_NEEDS_TEMP_FUNCTION;
	if (rules & settings->exceptions & RULE_BIT(RULE_TEMPORARY_FUNCTIONS))
		gate->held |= GATE_NEEDS_TEMP_FUNCTION;
	gate->protects_settings = settings->protected_settings.count && place != ON_DATABASE;
	gate->denies_schemas = permission_names_meet_path(&permissions->denied_relations, NULL) ||
						   permission_names_meet_path(&permissions->denied_functions, NULL);
	if (!gate->protects_settings && !gate->denies_schemas)
		gate->held |= GATE_NEEDS_SETTINGS;
	if (!lists_names(permissions) && (!settings->schemas.count || place == ON_DATABASE))
		gate->held |= GATE_NEEDS_NAMES;
}

/* ---- judging ---- */

static bool refuse_by_rule(enum rule rule, struct gate_refusal *out)
{
	const struct rule_text *text = rule_text(rule);

	*out = (struct gate_refusal){.reason = text->reason,
								 .message = text->message,
								 .hint = text->instead,
								 .what = text->name};
	return true;
}

/* One's own schema is named by pg_dump, and by who writes the schema out. */
static uint64_t but_own_schema(const struct gate *gate, uint64_t rules,
							   const struct rule_schemas *schemas)
{
	if (rules & RULE_BIT(RULE_SCHEMA) && !rule_schemas_are_foreign(schemas, gate->own))
		rules &= ~RULE_BIT(RULE_SCHEMA);
	return rules;
}

uint64_t gate_hits(const struct gate *gate, const struct verdict *verdict)
{
	return but_own_schema(gate, verdict->rules, &verdict->schemas);
}

static bool judge_rules(const struct gate *gate, const struct verdict *verdict,
						bool has_temporary, struct gate_refusal *out)
{
	uint64_t hits = gate_hits(gate, verdict) & gate->rules;

	if (has_temporary)
		hits &= ~RULE_BIT(RULE_DDL_OR_TEMPORARY);
	if (!hits)
		return false;
	return refuse_by_rule((enum rule)__builtin_ctzll(hits), out);
}

static bool refuse_name(enum reason reason, const char *what, const char *schema,
						const char *name, struct gate_refusal *out)
{
	*out = (struct gate_refusal){.reason = reason,
								 .message = reason_message(reason),
								 .what = what,
								 .schema = schema,
								 .name = name};
	return true;
}

/* `value`: NULL when it is not known. */
static bool judge_setting(const struct gate *gate, const char *name, const char *value,
						  struct gate_refusal *out)
{
	const struct permissions *permissions = gate->permissions;

	if (gate->protects_settings && words_have(&gate->settings->protected_settings, name)) {
		refuse_by_rule(RULE_CONTEXT, out);
		out->name = name;
		return true;
	}
	if (!gate->denies_schemas || strcmp(name, "search_path") != 0)
		return false;
	if (permission_names_meet_path(&permissions->denied_relations, value))
		return refuse_name(REASON_PERM_RELATION, "sql.relations", NULL, name, out);
	return permission_names_meet_path(&permissions->denied_functions, value) &&
		   refuse_name(REASON_PERM_FUNCTION, "sql.functions", NULL, name, out);
}

/* What a setting is given; a RESET, or a DEFAULT, brings back what nobody has to judge. */
static const char *value_given(const struct sql_setting *setting)
{
	bool is_default = setting->how == SETTING_RESET ||
					  (setting->how == SETTING_SET_LOCAL && !setting->is_call);

	return setting->value || !is_default ? setting->value : "";
}

static bool judge_settings(const struct gate *gate, const struct verdict *verdict,
						   struct gate_refusal *out)
{
	for (uint32_t i = 0; i < verdict->setting_count + verdict->stored_setting_count; i++) {
		const struct sql_setting *setting = &verdict->settings[i];

		if (judge_setting(gate, setting->name, value_given(setting), out))
			return true;
	}
	return false;
}

static uint32_t missing(const struct gate *gate, const struct verdict *verdict,
						bool has_temporary)
{
	const uint32_t looks = GATE_NEEDS_SETTINGS | GATE_NEEDS_NAMES | GATE_NEEDS_TEMP_OR_DDL |
						   GATE_NEEDS_TEMP_FUNCTION | GATE_NEEDS_COUNTING;
	uint32_t needs = verdict->needs;

	if (needs & ~gate->held & GATE_NEEDS_TEMP_OR_DDL)
		needs |= PERMISSION_BIT(has_temporary ? PERMISSION_WRITE : PERMISSION_DDL);
	if (needs & ~gate->held & GATE_NEEDS_TEMP_FUNCTION)
		needs |= PERMISSION_BIT(PERMISSION_DDL);
	return needs & ~gate->held & ~looks;
}

static bool judge_permissions(const struct gate *gate, const struct verdict *verdict,
							  bool has_temporary, struct gate_refusal *out)
{
	uint32_t lacks = missing(gate, verdict, has_temporary);

	if (!lacks)
		return false;
	if (verdict->reading != SQL_READ)
		return refuse_by_rule((enum rule)__builtin_ctzll(verdict->rules), out);

	enum permission permission = (enum permission)__builtin_ctz(lacks);
	bool is_held =
		lacks & GATE_NEEDS_READ_WRITE || gate->permissions->held & PERMISSION_BIT(permission);
	out->reason = is_held ? REASON_PERM_READ_ONLY : REASON_PERM_SQL;
	out->message = reason_message(out->reason);
	out->what = is_held ? "read_only" : permission_key(permission);
	out->hint = NULL;
	return true;
}

/* ---- names ---- */

static bool is_of_system(const char *schema)
{
	return strcmp(schema, "pg_catalog") == 0 || strcmp(schema, "information_schema") == 0 ||
		   strcmp(schema, "pg_temp") == 0 || strcmp(schema, "bulkhead") == 0;
}

static bool is_own(const struct gate *gate, const char *schema)
{
	struct rule_schemas named = {0};

	return rule_schemas_note(&named, schema) && !rule_schemas_are_foreign(&named, gate->own);
}

static bool is_outside(const struct gate *gate, const char *schema)
{
	return schema && gate->settings->schemas.count && !is_of_system(schema) &&
		   !words_have(&gate->settings->schemas, schema) && !is_own(gate, schema);
}

static bool is_barred(const struct permission_names *denied, bool is_limited,
					  const struct permission_names *allowed, const char *schema,
					  const char *name)
{
	return permission_names_have(denied, schema, name) ||
		   (is_limited && !permission_names_have(allowed, schema, name));
}

static bool judge_relations(const struct gate *gate, const struct verdict *verdict,
							struct gate_refusal *out)
{
	const struct permissions *permissions = gate->permissions;

	for (uint32_t i = 0; i < verdict->relation_count; i++) {
		const struct sql_relation *relation = &verdict->relations[i];

		if (is_outside(gate, relation->schema))
			return refuse_by_rule(RULE_SCHEMA, out);
		if (relation->schema && is_of_system(relation->schema) &&
			!permission_names_have(&permissions->denied_relations, relation->schema,
								   relation->name))
			continue;
		if (is_barred(&permissions->denied_relations, permissions->relations_are_limited,
					  &permissions->relations, relation->schema, relation->name))
			return refuse_name(REASON_PERM_RELATION, "sql.relations", relation->schema,
							   relation->name, out);
	}
	return false;
}

/* What is built in is not what a list of functions is about, unless it is denied. */
static bool judge_functions(const struct gate *gate, const struct verdict *verdict,
							struct gate_refusal *out)
{
	const struct permissions *permissions = gate->permissions;

	for (uint32_t i = 0; i < verdict->function_count; i++) {
		const struct sql_function *function = &verdict->functions[i];

		if (is_outside(gate, function->schema))
			return refuse_by_rule(RULE_SCHEMA, out);
		if (is_barred(&permissions->denied_functions,
					  permissions->functions_are_limited && !function->is_known,
					  &permissions->functions, function->schema, function->name))
			return refuse_name(REASON_PERM_FUNCTION, "sql.functions", function->schema,
							   function->name, out);
	}
	return false;
}

bool gate_judge(const struct gate *gate, const struct verdict *verdict, bool has_temporary,
				struct gate_refusal *out)
{
	bool temporary = has_temporary || verdict->classes & SQL_CLASS_TEMP;

	*out = (struct gate_refusal){0};
	if (gate->mode == GATE_OFF)
		return false;
	return judge_rules(gate, verdict, temporary, out) || judge_settings(gate, verdict, out) ||
		   judge_permissions(gate, verdict, temporary, out) ||
		   (!(gate->held & GATE_NEEDS_NAMES) &&
			(judge_relations(gate, verdict, out) || judge_functions(gate, verdict, out)));
}

bool gate_judge_setting(const struct gate *gate, const char *name, const char *value,
						struct gate_refusal *out)
{
	struct rule_schemas schemas = {0};
	uint64_t rules = rules_of_setting_to(name, value, strcmp(value, "none") == 0, &schemas);
	uint64_t hits = but_own_schema(gate, rules, &schemas) & gate->rules;

	*out = (struct gate_refusal){0};
	if (!hits)
		return judge_setting(gate, name, value, out);
	refuse_by_rule((enum rule)__builtin_ctzll(hits), out);
	out->name = name;
	return true;
}
