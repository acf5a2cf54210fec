/* bulkhead principal list and show. */
#include "cli/control_db.h"
#include "cli/principal.h"

/* Why it cannot log in, or active. The tenant's status is another matter. */
#define STATE_SQL                                                                              \
	"CASE WHEN p.disabled THEN 'disabled' WHEN p.valid_until <= now() THEN 'expired'"          \
	" WHEN p.verifier IS NULL THEN 'no password' ELSE 'active' END AS state"

enum cli_exit principal_list(PGconn *control, const struct arguments *arguments)
{
	static const char sql[] =
		"SELECT p.name, t.slug AS home, p.reach, " STATE_SQL ", " CONTROL_DB_TIME(
			"p.valid_until") " AS valid_until "
							 "FROM bulkhead_control.principal p JOIN bulkhead_control.tenant t "
							 "ON t.id = p.home_id "
							 "WHERE $1::uuid IS NULL OR p.home_id = $1::uuid ORDER BY p.name";
	const char *home = arguments->value[ARG_HOME];
	struct named_tenant tenant;

	if (home && !control_db_find_tenant(control, home, &tenant))
		return CLI_FAILED;

	const char *const values[] = {home ? tenant.id : NULL};
	return verbs_end(control_db_query(control, sql, 1, values), arguments);
}

#define UNTIL_SQL CONTROL_DB_TIME("p.valid_until") " AS valid_until"
#define TIMES_SQL                                                                              \
	CONTROL_DB_TIME("p.created_at")                                                            \
	" AS created_at, " CONTROL_DB_TIME("p.updated_at") " AS updated_at"

enum cli_exit principal_show(PGconn *control, const struct arguments *arguments)
{
	/* A tenant that is gone is shown by its id. */
	static const char sql[] =
		"SELECT p.name, t.slug AS home, p.home_id, t.status AS home_status, p.reach,"
		" (SELECT to_json(array_agg(coalesce(o.slug, u.id::text) ORDER BY u.n))"
		"  FROM unnest(p.tenants) WITH ORDINALITY AS u (id, n)"
		"  LEFT JOIN bulkhead_control.tenant o ON o.id = u.id) AS tenants, " STATE_SQL
		", p.disabled, " UNTIL_SQL
		", p.verifier IS NOT NULL AS has_password, p.max_connections,"
		" to_json(p.certificate_names) AS certificate_names, p.version, " TIMES_SQL
		" FROM bulkhead_control.principal p JOIN bulkhead_control.tenant t ON t.id = p.home_id"
		" WHERE p.name = $1";
	PGresult *result = control_db_query(control, sql, 1, &arguments->word);

	return verbs_end_show(result, arguments, "there is no such principal");
}
