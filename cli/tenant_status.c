/* bulkhead tenant suspend, resume, archive and restore. */
#include <stdlib.h>
#include <string.h>

#include "cli/control_db.h"
#include "cli/print.h"
#include "cli/tenant.h"

/* How many stay as they were below a subtree that was resumed or restored, but for those that a
 * dry run left: nobody would notice what is missing in a list. */
static bool say_what_stays(PGconn *control, const struct named_tenant *tenant,
						   const char *status, long to_come)
{
	static const char sql[] =
		"SELECT count(*) FROM bulkhead_control.tenant t, bulkhead_control.tenant top "
		"WHERE top.id = $1::uuid AND t.id <> top.id AND t.status = $2"
		" AND bulkhead_control.path_is_within(t.path, top.path)";
	const char *const values[] = {tenant->id, status};
	PGresult *result = control_db_query(control, sql, 2, values);
	long count = result ? strtol(PQgetvalue(result, 0, 0), NULL, 10) - to_come : 0;

	if (count > 0)
		print_line(stdout, "still %s below %s: %ld, which did not go along with it", status,
				   tenant->slug, count);
	PQclear(result);
	return result != NULL;
}

/* For "… already": what the tenant is. From malloc; NULL, with the reason printed, on failure.
 */
static char *get_status(PGconn *control, const struct named_tenant *tenant)
{
	const char *const values[] = {tenant->id};
	PGresult *result = control_db_query(
		control, "SELECT status FROM bulkhead_control.tenant WHERE id = $1::uuid", 1, values);
	char *status = NULL;

	if (result && PQntuples(result) == 1)
		status = strdup(PQgetvalue(result, 0, 0));
	else if (result)
		print_complaint("there is no tenant \"%s\" any more", tenant->slug);
	PQclear(result);
	return status;
}

/* How many of the changed rows are of tenants below it. */
static long count_below(const PGresult *changed, const struct named_tenant *tenant)
{
	long count = 0;

	for (int row = 0; row < PQntuples(changed); row++)
		count += strcmp(PQgetvalue(changed, row, 1), tenant->id) != 0;
	return count;
}

/* The status that a verb takes away, where some below may keep it. */
static const char *status_left(const struct arguments *arguments)
{
	if (arguments->value[ARG_JSON] || !arguments->value[ARG_SUBTREE])
		return NULL;
	if (strcmp(arguments->verb, "resume") == 0)
		return "suspended";
	return strcmp(arguments->verb, "restore") == 0 ? "archived" : NULL;
}

enum cli_exit tenant_change_status(PGconn *control, const struct arguments *arguments)
{
	static const char sql[] =
		"SELECT slug, id, was, status, version"
		" FROM bulkhead_control.change_tenant_status($1::uuid, $2, $3::boolean)";
	const char *dry_run = arguments->value[ARG_DRY_RUN], *left = status_left(arguments);
	struct named_tenant tenant;

	if (!control_db_find_tenant(control, arguments->word, &tenant))
		return CLI_FAILED;

	const char *const values[] = {tenant.id, arguments->verb,
								  arguments->value[ARG_SUBTREE] ? "true" : "false"};
	PGresult *changed = control_db_change(control, sql, 3, values, dry_run);
	char *status = changed ? get_status(control, &tenant) : NULL;
	if (!status) {
		PQclear(changed);
		return CLI_FAILED;
	}

	long to_come = dry_run ? count_below(changed, &tenant) : 0;
	enum cli_exit result = verbs_end_change(changed, arguments, tenant.slug, status);
	free(status);
	if (result == CLI_DONE && left && !say_what_stays(control, &tenant, left, to_come))
		result = CLI_FAILED;
	return result;
}
