/* bulkhead tenant purge. */
#include <string.h>

#include "cli/control_db.h"
#include "cli/job_wait.h"
#include "cli/print.h"
#include "cli/tenant.h"

const char *tenant_purge_check(const struct arguments *arguments)
{
	return arguments->value[ARG_CONFIRM]
			   ? NULL
			   : "--confirm is wanted, with the tenant's slug: all that it has is removed";
}

/* The job that does it is what is shown: of the tenant nothing is left to be. */
static enum cli_exit end(PGconn *control, const struct arguments *arguments,
						 const struct named_tenant *tenant)
{
	static const char sql[] = "SELECT id AS job, slug AS tenant, state"
							  " FROM bulkhead_control.job WHERE tenant_id = $1::uuid"
							  " ORDER BY id DESC LIMIT 1";
	const char *const values[] = {tenant->id};

	return verbs_end(control_db_query(control, sql, 1, values), arguments);
}

enum cli_exit tenant_purge(PGconn *control, const struct arguments *arguments)
{
	static const char sql[] = "SELECT bulkhead_control.purge_tenant($1::uuid)";
	struct named_tenant tenant;
	enum job_wait_end waited = JOB_WAIT_FAILED;
	struct conf *conf;

	if (!control_db_find_tenant(control, arguments->word, &tenant))
		return CLI_FAILED;
	if (strcmp(arguments->value[ARG_CONFIRM], tenant.slug) != 0) {
		print_complaint("--confirm names \"%s\", but the tenant's slug is \"%s\"",
						arguments->value[ARG_CONFIRM], tenant.slug);
		return CLI_FAILED;
	}
	if (!job_wait_load(arguments, &conf))
		return CLI_FAILED;
	const char *const values[] = {tenant.id};
	PGresult *begun = control_db_change(control, sql, 1, values, false);
	if (begun)
		waited = job_wait_for_tenant(control, conf, tenant.id, arguments->value[ARG_NO_WAIT]);
	PQclear(begun);
	conf_destroy(conf);
	return waited == JOB_WAIT_FAILED ? CLI_FAILED : end(control, arguments, &tenant);
}
