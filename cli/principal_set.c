/* bulkhead principal disable, enable, set and delete. */
#include <string.h>

#include "cli/control_db.h"
#include "cli/principal.h"
#include "cli/print.h"

/* What a change of the row `new` returns, if it was one: `old` is the row before. */
#define CHANGED_SQL                                                                            \
	" SELECT new.name, t.slug AS home, new.reach, new.disabled,"                               \
	" " CONTROL_DB_TIME(                                                                       \
		"new.valid_until") " AS valid_until, new.version"                                      \
						   " FROM new JOIN bulkhead_control.tenant t ON t.id = new.home_id"    \
						   " WHERE new.version <> new.old_version"

/* Locks the row first, so that what is returned is this change and no other's. */
#define OLD_SQL                                                                                \
	"WITH old AS MATERIALIZED ("                                                               \
	" SELECT name, version FROM bulkhead_control.principal WHERE name = $1"                    \
	" FOR NO KEY UPDATE),"

/* Nothing is changed also where there is no such principal. */
static bool is_there(PGconn *control, const char *name)
{
	PGresult *result = control_db_query(
		control, "SELECT FROM bulkhead_control.principal WHERE name = $1", 1, &name);
	bool found = result && PQntuples(result) == 1;

	if (result && !found)
		print_complaint("there is no such principal");
	PQclear(result);
	return found;
}

static enum cli_exit change(PGconn *control, const struct arguments *arguments, const char *sql,
							int count, const char *const values[], const char *state)
{
	PGresult *result =
		control_db_change(control, sql, count, values, arguments->value[ARG_DRY_RUN]);

	if (result && PQntuples(result) == 0 && !is_there(control, arguments->word)) {
		PQclear(result);
		return CLI_FAILED;
	}
	return verbs_end_change(result, arguments, arguments->word, state);
}

static enum cli_exit set_disabled(PGconn *control, const struct arguments *arguments,
								  const char *disabled, const char *state)
{
	static const char sql[] =
		OLD_SQL " new AS ("
				" UPDATE bulkhead_control.principal p SET disabled = $2::boolean"
				" FROM old WHERE p.name = old.name"
				" RETURNING p.*, old.version AS old_version)" CHANGED_SQL;
	const char *const values[] = {arguments->word, disabled};

	return change(control, arguments, sql, 2, values, state);
}

enum cli_exit principal_disable(PGconn *control, const struct arguments *arguments)
{
	return set_disabled(control, arguments, "true", "disabled");
}

enum cli_exit principal_enable(PGconn *control, const struct arguments *arguments)
{
	return set_disabled(control, arguments, "false", "enabled");
}

const char *principal_set_check(const struct arguments *arguments)
{
	const char *const *value = arguments->value;

	if (!value[ARG_HOME] && !value[ARG_REACH] && !value[ARG_VALID_UNTIL] &&
		!value[ARG_MAX_CONNECTIONS] && !value[ARG_CERTIFICATE_NAMES] && !value[ARG_TENANTS])
		return "there is nothing to set";
	if (value[ARG_REACH] && !principal_is_reach(value[ARG_REACH]))
		return "a reach is self, subtree or all";
	return NULL;
}

enum cli_exit principal_set(PGconn *control, const struct arguments *arguments)
{
	static const char sql[] = OLD_SQL
		" new AS ("
		" UPDATE bulkhead_control.principal p SET home_id = coalesce($2::uuid, home_id),"
		"  reach = coalesce($3, reach), valid_until = CASE WHEN $5::boolean THEN NULL"
		"   ELSE coalesce($4::timestamptz, valid_until) END,"
		"  max_connections = CASE WHEN $6 = 'none' THEN NULL"
		"   ELSE coalesce($6::integer, max_connections) END,"
		"  certificate_names = CASE WHEN $7 = 'none' THEN NULL"
		"   ELSE coalesce(string_to_array($7, ','), certificate_names) END,"
		"  tenants = CASE WHEN $8 = 'none' THEN NULL WHEN $8 IS NULL THEN tenants"
		"   ELSE ARRAY(SELECT t.id FROM string_to_table($8, ',') AS w (word)"
		"    LEFT JOIN bulkhead_control.lookup_tenant(w.word) t ON true) END"
		" FROM old WHERE p.name = old.name"
		" RETURNING p.*, old.version AS old_version)" CHANGED_SQL;
	const char *const *value = arguments->value;
	const char *until = value[ARG_VALID_UNTIL];
	bool never = until && strcmp(until, "never") == 0;
	struct named_tenant home;

	if (value[ARG_HOME] && !control_db_find_tenant(control, value[ARG_HOME], &home))
		return CLI_FAILED;

	const char *const values[] = {arguments->word,
								  value[ARG_HOME] ? home.id : NULL,
								  value[ARG_REACH],
								  never ? NULL : until,
								  never ? "true" : "false",
								  value[ARG_MAX_CONNECTIONS],
								  value[ARG_CERTIFICATE_NAMES],
								  value[ARG_TENANTS]};
	return change(control, arguments, sql, 8, values, "so");
}

enum cli_exit principal_delete(PGconn *control, const struct arguments *arguments)
{
	static const char sql[] =
		"WITH gone AS (DELETE FROM bulkhead_control.principal WHERE name = $1 RETURNING *) "
		"SELECT gone.name, t.slug AS home, gone.reach"
		" FROM gone JOIN bulkhead_control.tenant t ON t.id = gone.home_id";

	return change(control, arguments, sql, 1, &arguments->word, "gone");
}
