/* bulkhead cluster: the servers that tenants are placed on, as the control schema knows them.
 */
#include "cli/api_nouns.h"
#include "cli/api_where.h"
#include "cli/control_db.h"
#include "cli/print.h"
#include "cli/verbs.h"

static const char usage[] =
	"Usage: bulkhead cluster create NAME [--region R] [--status S]\n"
	"       bulkhead cluster list\n"
	"       bulkhead cluster show NAME\n"
	"       bulkhead cluster set NAME [--region R|--no-region] [--status S] [--dry-run]\n"
	"       bulkhead cluster delete NAME [--dry-run]\n"
	"\n"
	"NAME is that of the section [cluster:NAME] in the sidecars' settings, where hosts and "
	"login\n"
	"stand.\n"
	"\n"
	"  --region       where its data is: sidecars of other regions refuse its tenants\n"
	"  --status       active; draining: no tenant is placed there any more; down: its "
	"tenants'\n"
	"                 logins are refused and their sessions end, at once and everywhere\n"
	"  --dry-run      say what would change, and change nothing\n"
	"  --json         an array of objects, one for each row\n"
	"  --control-dsn  the control database; default CONTROL_DSN of the environment\n";

static enum cli_exit create(PGconn *control, const struct arguments *arguments)
{
	static const char sql[] = "INSERT INTO bulkhead_control.cluster (name, region, status)"
							  " VALUES ($1, $2, coalesce($3, 'active'))"
							  " RETURNING name, region, status";
	const char *const values[] = {arguments->word, arguments->value[ARG_REGION],
								  arguments->value[ARG_STATUS]};

	return verbs_end(control_db_change(control, sql, 3, values, false), arguments);
}

#define TENANTS                                                                                \
	"(SELECT count(*) FROM bulkhead_control.tenant t WHERE t.cluster = c.name) AS tenants"

static enum cli_exit list(PGconn *control, const struct arguments *arguments)
{
	static const char sql[] = "SELECT c.name, c.region, c.status, " TENANTS
							  " FROM bulkhead_control.cluster c ORDER BY c.name";

	return verbs_end(control_db_query(control, sql, 0, NULL), arguments);
}

static enum cli_exit show(PGconn *control, const struct arguments *arguments)
{
	static const char sql[] = "SELECT c.name, c.region, c.status, " TENANTS
							  " FROM bulkhead_control.cluster c WHERE c.name = $1";
	const char *const values[] = {arguments->word};

	return verbs_end_show(control_db_query(control, sql, 1, values), arguments,
						  "there is no such cluster");
}

static const char *check_set(const struct arguments *arguments)
{
	const char *const *value = arguments->value;

	if (value[ARG_REGION] && value[ARG_NO_REGION])
		return "--region and --no-region are one too many";
	if (!value[ARG_REGION] && !value[ARG_NO_REGION] && !value[ARG_STATUS])
		return "there is nothing to set";
	return NULL;
}

static bool exists(PGconn *control, const struct arguments *arguments)
{
	static const char sql[] = "SELECT FROM bulkhead_control.cluster WHERE name = $1";
	const char *const values[] = {arguments->word};
	PGresult *result = control_db_query(control, sql, 1, values);
	bool found = result && PQntuples(result) == 1;

	if (result && !found)
		print_complaint("there is no cluster \"%s\"", arguments->word);
	PQclear(result);
	return found;
}

static enum cli_exit set(PGconn *control, const struct arguments *arguments)
{
	static const char sql[] =
		"WITH old AS MATERIALIZED ("
		"  SELECT * FROM bulkhead_control.cluster WHERE name = $1 FOR NO KEY UPDATE),"
		" new AS ("
		"  UPDATE bulkhead_control.cluster c SET"
		"   region = CASE WHEN $3::boolean THEN NULL ELSE coalesce($2, c.region) END,"
		"   status = coalesce($4, c.status)"
		"  FROM old WHERE c.name = old.name"
		"  RETURNING c.*, old.region AS old_region, old.status AS old_status) "
		"SELECT name, region, status FROM new"
		" WHERE (region, status) IS DISTINCT FROM (old_region, old_status)";
	const char *const *value = arguments->value;
	const char *const values[] = {arguments->word, value[ARG_REGION],
								  value[ARG_NO_REGION] ? "true" : "false", value[ARG_STATUS]};

	if (!exists(control, arguments))
		return CLI_FAILED;
	return verbs_end_change(control_db_change(control, sql, 4, values, value[ARG_DRY_RUN]),
							arguments, arguments->word, "so");
}

static enum cli_exit delete (PGconn *control, const struct arguments *arguments) {
	static const char sql[] = "DELETE FROM bulkhead_control.cluster WHERE name = $1"
							  " RETURNING name, region, status";
	const char *const values[] = {arguments->word};

	if (!exists(control, arguments)) return CLI_FAILED;
	return verbs_end_change(control_db_change(control, sql, 1, values,
											  arguments->value[ARG_DRY_RUN]),
							arguments, arguments->word, "gone");
}

static const struct verb verbs[] = {
	{"create", 1, ARG(REGION) | ARG(STATUS), NULL, create},
	{"list", 0, 0, NULL, list},
	{"show", 1, 0, NULL, show},
	{"set", 1, ARG(REGION) | ARG(NO_REGION) | ARG(STATUS) | ARG(DRY_RUN), check_set, set},
	{"delete", 1, ARG(DRY_RUN), NULL, delete},
};

int cmd_cluster(int argc, char **argv)
{
	const struct noun noun = {"cluster", usage, verbs, sizeof verbs / sizeof *verbs, NULL};

	return api_where_run(&noun, &api_cluster, argc, argv);
}
