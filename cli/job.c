/* bulkhead job: what is made, changed and removed on clusters for tenants. */
#include <stdio.h>
#include <string.h>

#include "admin/job.h"
#include "cli/api_nouns.h"
#include "cli/api_where.h"
#include "cli/control_db.h"
#include "cli/job_wait.h"
#include "cli/print.h"
#include "cli/verbs.h"
#include "policy/guard/guard.h"

static const char usage[] =
	"Usage: bulkhead job list\n"
	"       bulkhead job show JOB\n"
	"       bulkhead job run -c FILE\n"
	"       bulkhead job retry JOB [-c FILE] [--no-wait]\n"
	"       bulkhead job rotate CLUSTER -c FILE [--no-wait]\n"
	"\n"
	"  list    jobs, the newest first; --json for all of them\n"
	"  show    everything of one\n"
	"  run     carries out those that are due, on the clusters whose [cluster:NAME] has an\n"
	"          admin_login\n"
	"  retry   a job that failed, from its first step\n"
	"  rotate  gives every login of tenants there the password of the first key in "
	"secret_file,\n"
	"          with whatever else is due on that cluster\n"
	"\n"
	"  -c, --config FILE  the settings\n"
	"  --no-wait          only queue it\n"
	"  --json             an array of objects, one for each row\n"
	"  --control-dsn      the control database; default CONTROL_DSN of the environment\n";

static enum cli_exit list(PGconn *control, const struct arguments *arguments)
{
	static const char sql[] =
		"SELECT id, kind, slug AS tenant, cluster, state, step, attempts, error,"
		" " CONTROL_DB_TIME(
			"created_at") " AS created_at"
						  " FROM bulkhead_control.job ORDER BY id DESC LIMIT $1::bigint";
	const char *const values[] = {arguments->value[ARG_JSON] ? NULL : "100"};

	return verbs_end(control_db_query(control, sql, 1, values), arguments);
}

static enum cli_exit show(PGconn *control, const struct arguments *arguments)
{
	/* clang-format off */
	static const char sql[] =
		"SELECT id, kind, slug AS tenant, tenant_id, cluster, state, step, attempts, failures,"
		" error, runner, " CONTROL_DB_TIME("lease_until") " AS lease_until,"
		" " CONTROL_DB_TIME("CASE WHEN state = 'queued' THEN next_at END") " AS next_at,"
		" " CONTROL_DB_TIME("created_at") " AS created_at,"
		" " CONTROL_DB_TIME("started_at") " AS started_at,"
		" " CONTROL_DB_TIME("finished_at") " AS finished_at"
		" FROM bulkhead_control.job WHERE id = $1::bigint";
	/* clang-format on */
	const char *const values[] = {arguments->word};

	return verbs_end_show(control_db_query(control, sql, 1, values), arguments,
						  "there is no such job");
}

/* Up to the longest number that a bigint always holds. */
static const char *number_check(const struct arguments *arguments)
{
	size_t digits = strspn(arguments->word, "0123456789");

	return digits && digits <= 18 && !arguments->word[digits] ? NULL
															  : "a job is named by its number";
}

static const char *config_check(const struct arguments *arguments)
{
	return arguments->value[ARG_CONFIG] ? NULL : "--config is wanted";
}

/* Carries out what is due, on one cluster or (NULL) on all. */
static enum cli_exit run_on(PGconn *control, const struct conf *conf, const char *cluster,
							const struct arguments *arguments)
{
	size_t done, failed;

	if (!job_wait_for_all(control, conf, cluster, &done, &failed))
		return CLI_FAILED;
	if (arguments->value[ARG_JSON])
		printf("[{\"done\": %zu, \"failed\": %zu}]\n", done, failed);
	else
		printf("done: %zu, failed: %zu\n", done, failed);
	return failed ? CLI_FAILED : CLI_DONE;
}

static enum cli_exit run(PGconn *control, const struct arguments *arguments)
{
	struct conf *conf;
	enum cli_exit result;

	if (!job_wait_load(arguments, &conf))
		return CLI_FAILED;
	result = run_on(control, conf, NULL, arguments);
	conf_destroy(conf);
	return result;
}

static enum cli_exit retry(PGconn *control, const struct arguments *arguments)
{
	static const char sql[] = "SELECT id, kind, slug AS tenant, state"
							  " FROM bulkhead_control.retry_job($1::bigint)";
	const char *const values[] = {arguments->word};
	enum job_wait_end end = JOB_WAIT_FAILED;
	struct conf *conf;

	if (!job_wait_load(arguments, &conf))
		return CLI_FAILED;
	PGresult *row = control_db_change(control, sql, 1, values, false);
	if (row)
		end = job_wait_for(control, conf, arguments->word, arguments->value[ARG_NO_WAIT]);
	conf_destroy(conf);
	PQclear(row);
	return end == JOB_WAIT_FAILED ? CLI_FAILED : show(control, arguments);
}

/* ---- rotation ---- */

/* Queues a job for each login whose password is of another key than the first. */
static bool queue_rotation(PGconn *control, const struct conf_cluster *cluster, int *count)
{
	static const char sql[] =
		"SELECT bulkhead_control.queue_job('rotate', t.id) FROM bulkhead_control.tenant t"
		" WHERE t.cluster = $1 AND t.status IN ('active', 'suspended', 'archived')"
		" AND t.archived_from IS DISTINCT FROM 'provisioning'"
		" AND (t.strategy <> 'SHARED_RLS' OR t.dedicated_login OR $2::boolean)"
		" AND t.login_kid IS DISTINCT FROM $3"
		" AND NOT EXISTS (SELECT FROM bulkhead_control.job j WHERE j.tenant_id = t.id"
		"  AND j.state IN ('queued', 'running'))";
	const char *why = NULL;
	struct guard_keyring *secret =
		cluster->secret ? guard_keyring_parse(cluster->secret, &why) : NULL;

	if (!secret) {
		print_complaint("[cluster:%s] secret_file: %s", cluster->name,
						why ? why : "there is none");
		return false;
	}
	const char *const values[] = {cluster->name,
								  cluster->guard == GUARD_LOGIN ? "true" : "false",
								  guard_keyring_kid(secret, 0)};
	PGresult *queued = control_db_change(control, sql, 3, values, false);
	guard_keyring_destroy(secret);
	*count = queued ? PQntuples(queued) : 0;
	PQclear(queued);
	return queued != NULL;
}

/* Says how many, and carries them out if it is to. */
static enum cli_exit begin_rotation(PGconn *control, const struct conf *conf,
									const struct arguments *arguments, int count)
{
	bool json = arguments->value[ARG_JSON];

	if (!json)
		printf("logins to be given another password: %d\n", count);
	if (!arguments->value[ARG_NO_WAIT])
		return run_on(control, conf, arguments->word, arguments);
	if (json)
		printf("[{\"queued\": %d}]\n", count);
	return CLI_DONE;
}

static enum cli_exit rotate(PGconn *control, const struct arguments *arguments)
{
	const struct conf_cluster *cluster;
	enum cli_exit result = CLI_FAILED;
	struct conf *conf;
	int count;

	if (!job_wait_load(arguments, &conf))
		return CLI_FAILED;
	cluster = conf_find_cluster(conf, arguments->word);
	if (!cluster)
		print_complaint("there is no [cluster:%s] in these settings", arguments->word);
	else if (queue_rotation(control, cluster, &count))
		result = begin_rotation(control, conf, arguments, count);
	conf_destroy(conf);
	return result;
}

static const struct verb verbs[] = {
	{"list", 0, 0, NULL, list},
	{"show", 1, 0, number_check, show},
	{"run", 0, ARG(CONFIG), config_check, run},
	{"retry", 1, ARG(CONFIG) | ARG(NO_WAIT), number_check, retry},
	{"rotate", 1, ARG(CONFIG) | ARG(NO_WAIT), config_check, rotate},
};

int cmd_job(int argc, char **argv)
{
	const struct noun noun = {"job", usage, verbs, sizeof verbs / sizeof *verbs, NULL};

	return api_where_run(&noun, &api_job, argc, argv);
}
