/* bulkhead migrate status. */
#include <stdio.h>

#include "cli/control_db.h"
#include "cli/migrate.h"
#include "cli/print.h"

#define COUNT_OF(state)                                                                        \
	"(SELECT count(*) FROM bulkhead_control.migration_target m"                                \
	"  WHERE m.version = f.version AND m.state = '" state "') AS " state

/* Of those that are done, those of which their marks alone say so. */
#define FOUND                                                                                  \
	"(SELECT count(*) FROM bulkhead_control.migration_target m"                                \
	"  WHERE m.version = f.version AND m.state = 'done' AND m.found) AS found"

/* Tenants that nobody has come to with this version. */
#define PENDING                                                                                \
	"(SELECT count(*) FROM bulkhead_control.tenant t"                                          \
	"  WHERE t.strategy IN ('SCHEMA_PER_TENANT', 'DATABASE_PER_TENANT')"                       \
	"  AND t.status NOT IN ('provisioning', 'purging')"                                        \
	"  AND t.archived_from IS DISTINCT FROM 'provisioning'"                                    \
	"  AND NOT EXISTS (SELECT FROM bulkhead_control.migration_target m"                        \
	"   WHERE m.version = f.version AND m.tenant_id = t.id)) AS pending"

#define VERSIONS                                                                               \
	"f.version, f.name, " COUNT_OF("done") ", " FOUND ", " COUNT_OF("failed") ", " COUNT_OF(   \
		"behind") ", " COUNT_OF("running") ", " PENDING

#define UNDONE                                                                                 \
	"SELECT m.version, m.kind, m.cluster, t.slug AS tenant, m.state, m.sqlstate, m.error,"     \
	" m.attempts, " CONTROL_DB_TIME(                                                           \
		"m.begun_at") " AS begun_at"                                                           \
					  " FROM bulkhead_control.migration_target m"                              \
					  " LEFT JOIN bulkhead_control.tenant t ON t.id = m.tenant_id"             \
					  " WHERE m.state <> 'done'"

static enum cli_exit show(PGresult *rows, bool json)
{
	bool shown = rows && print_rows(rows, json);

	PQclear(rows);
	return shown ? CLI_DONE : CLI_FAILED;
}

/* One array, in which each version has its targets that are not done. */
static enum cli_exit show_json(PGconn *control)
{
	static const char sql[] =
		"SELECT " VERSIONS
		", f.checksum, " CONTROL_DB_TIME("f.registered_at") " AS registered_at,"
															" (SELECT coalesce(json_agg(u), "
															"'[]') FROM (" UNDONE
															" AND m.version = f.version"
															" ORDER BY m.kind, t.slug) u)"
															" AS undone"
															" FROM "
															"bulkhead_control.migration_file f"
															" ORDER BY f.version";

	return show(control_db_query(control, sql, 0, NULL), true);
}

enum cli_exit migrate_status(PGconn *control, bool json)
{
	static const char versions[] =
		"SELECT " VERSIONS " FROM bulkhead_control.migration_file f ORDER BY f.version";
	static const char undone[] = UNDONE " ORDER BY m.version, m.kind, t.slug";

	if (json)
		return show_json(control);
	PGresult *rows = control_db_query(control, undone, 0, NULL);
	if (!rows)
		return CLI_FAILED;
	enum cli_exit result = show(control_db_query(control, versions, 0, NULL), false);
	if (result != CLI_DONE || PQntuples(rows) == 0) {
		PQclear(rows);
		return result;
	}
	putchar('\n');
	return show(rows, false);
}
