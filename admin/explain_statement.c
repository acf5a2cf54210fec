#include "admin/explain_statement.h"

#include "policy/gate.h"

const char *const explain_strategies[3] = {
	[SHARED_RLS] = "SHARED_RLS",
	[SCHEMA_PER_TENANT] = "SCHEMA_PER_TENANT",
	[DATABASE_PER_TENANT] = "DATABASE_PER_TENANT",
};

static json_t *names_of_bits(uint32_t bits, const char *const names[], size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++) {
		if (names[i] && bits & (uint32_t)1 << i)
			json_array_append_new(list, json_string(names[i]));
	}
	return list;
}

static json_t *classes_of(uint32_t classes)
{
	static const char *const names[] = {"read",
										"write",
										"ddl",
										"copy",
										"call",
										"session",
										"transaction",
										"listen",
										"maintenance",
										"other",
										"temporary",
										"ddl or temporary",
										"temporary function"};
	return names_of_bits(classes, names, sizeof names / sizeof *names);
}

/* What it may leave behind in the session, or depend on what is there. */
static json_t *effects_of(uint32_t effects)
{
	static const char *const names[] = {"temporary",
										"listen",
										"cursor",
										"prepared",
										"lock",
										"setting",
										"settings",
										"role",
										"seed",
										"unknown",
										[16] = "sees sequences",
										[17] = "sees prepared"};

	return names_of_bits(effects, names, sizeof names / sizeof *names);
}

/* What Bulkhead makes of a statement, as far as that does not depend on the session. */
static const char *rewrite_of(enum sql_action action, bool is_alone)
{
	switch (action) {
	case SQL_BEGIN:
	case SQL_SET_TRANSACTION:
		return !is_alone
				   ? NULL
				   : "is answered by Bulkhead, and sent with the first statement that needs a "
					 "backend";
	case SQL_RESET_ALL:
		return "becomes a reset that keeps the tenant's context and the session's own "
			   "startup settings";
	case SQL_RESET:
		return "gives back what the session began with, where it began with a value";
	case SQL_DEALLOCATE:
		return "is not sent where the statement was prepared by the protocol: Bulkhead "
			   "keeps it";
	case SQL_DISCARD_ALL:
		return "is sent with the tenant's context again behind it";
	case SQL_PLAIN:
	case SQL_COMMIT:
	case SQL_ROLLBACK:
	case SQL_SAVEPOINT:
	case SQL_RELEASE:
	case SQL_ROLLBACK_TO:
	case SQL_PREPARE_TRANSACTION:
	case SQL_FINISH_PREPARED:
	case SQL_SET:
	case SQL_PREPARE:
	case SQL_EXECUTE:
	case SQL_DEALLOCATE_ALL:
	case SQL_DISCARD:
	case SQL_COPY_IN:
		break;
	}
	return NULL;
}

#define REWRITES_MAX 64 /* that are told */

static json_t *rewrites_of(const struct verdict *verdict)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < verdict->statement_count; i++) {
		const char *rewrite =
			rewrite_of(verdict->statements[i].action, verdict->statement_count == 1);

		if (rewrite && json_array_size(list) < REWRITES_MAX)
			json_array_append_new(list,
								  json_sprintf("statement %u %s", (unsigned)i + 1, rewrite));
	}
	return list;
}

static json_t *qualified(const char *schema, const char *name)
{
	return schema ? json_sprintf("%s.%s", schema, name) : json_string(name);
}

static json_t *relations_of(const struct verdict *verdict, bool written)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < verdict->relation_count; i++) {
		const struct sql_relation *relation = &verdict->relations[i];

		if (relation->is_written == written)
			json_array_append_new(list, qualified(relation->schema, relation->name));
	}
	return list;
}

static json_t *functions_of(const struct verdict *verdict)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < verdict->function_count; i++)
		json_array_append_new(
			list, qualified(verdict->functions[i].schema, verdict->functions[i].name));
	return list;
}

static json_t *settings_of(const struct verdict *verdict)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < verdict->setting_count; i++)
		json_array_append_new(list, json_string(verdict->settings[i].name));
	return list;
}

static json_t *rules_of(uint64_t rules)
{
	json_t *list = json_array();

	for (int i = 0; i < RULE_COUNT; i++) {
		if (rules & RULE_BIT(i))
			json_array_append_new(list, json_string(rule_text((enum rule)i)->name));
	}
	return list;
}

static json_t *permissions_of(uint32_t needs)
{
	json_t *list = json_array();

	for (int i = 0; i < PERMISSION_COUNT; i++) {
		if (needs & PERMISSION_BIT(i))
			json_array_append_new(list, json_string(permission_key((enum permission)i)));
	}
	return list;
}

/* What was decided goes last. */
static void decide(json_t *object, const struct gate_refusal *refusal)
{
	json_object_set_new(object, "decision", json_string(refusal ? "refused" : "allowed"));
	if (!refusal)
		return;
	json_object_set_new(object, "reason", json_string(reason_code(refusal->reason)));
	json_object_set_new(object, "sqlstate", json_string(reason_sqlstate(refusal->reason)));
	json_object_set_new(object, "message", json_string(refusal->message));
	if (refusal->hint)
		json_object_set_new(object, "instead", json_string(refusal->hint));
}

json_t *explain_verdict(const struct explain_subject *subject, const struct verdict *verdict,
						bool *is_refused)
{
	static const char *const modes[] = {"enforce", "observe", "off"};
	const struct tenant *tenant = subject->tenant;
	enum tenant_strategy strategy = tenant ? tenant->strategy : subject->strategy;
	enum rule_place place = tenant_place(strategy);
	struct gate_refusal refusal;
	struct gate gate;
	json_t *object = json_object();

	if (!object)
		return NULL;
	gate_init(&gate, place, tenant ? &tenant->id : NULL, subject->settings,
			  tenant ? &tenant->permissions : permissions_of_place(place));
	*is_refused = gate_judge(&gate, verdict, false, &refusal);
	if (tenant)
		json_object_set_new(object, "tenant", json_string(tenant->slug));
	json_object_set_new(object, "strategy", json_string(explain_strategies[strategy]));
	json_object_set_new(object, "gate", json_string(modes[gate.mode]));
	json_object_set_new(object, "statements", json_integer(verdict->statement_count));
	json_object_set_new(object, "classes", classes_of(verdict->classes));
	json_object_set_new(object, "reads", relations_of(verdict, false));
	json_object_set_new(object, "writes", relations_of(verdict, true));
	json_object_set_new(object, "functions", functions_of(verdict));
	json_object_set_new(object, "settings", settings_of(verdict));
	json_object_set_new(object, "effects", effects_of(verdict->effects));
	json_object_set_new(object, "rewrites", rewrites_of(verdict));
	json_object_set_new(object, "needs", permissions_of(verdict->needs));
	json_object_set_new(object, "rules_hit", rules_of(verdict->rules));
	json_object_set_new(object, "rules_in_force",
						rules_of(gate_hits(&gate, verdict) & gate.rules));
	if (verdict->error)
		json_object_set_new(object, "error", json_string(verdict->error));
	decide(object, *is_refused ? &refusal : NULL);
	*is_refused = *is_refused && gate.mode == GATE_ENFORCE;
	return object;
}
