#include "cli/job_wait.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "admin/job.h"
#include "cli/control_db.h"
#include "cli/options.h"
#include "cli/print.h"

#define LOOK_NS 100000000L /* how often a job that is not ours, or not due, is looked at */

bool job_wait_load(const struct arguments *arguments, struct conf **conf)
{
	struct options options;

	*conf = NULL;
	if (!arguments->value[ARG_CONFIG])
		return true;
	options_init(&options);
	options.config = arguments->value[ARG_CONFIG];
	*conf = options_load(&options, stderr);
	options_fini(&options);
	return *conf != NULL;
}

/* ---- one job ---- */

static void show_step(void *arg, const char *slug, const char *step)
{
	(void)arg;
	if (isatty(STDERR_FILENO))
		print_line(stderr, "%s: %s", slug, step);
}

static void show_end(void *arg, const char *job, const char *slug, enum job_outcome outcome,
					 const char *error)
{
	(void)arg;
	if (outcome == JOB_LATER)
		print_line(stderr, "bulkhead: job %s of %s is tried again soon: %s", job, slug, error);
	else if (outcome == JOB_FAILED)
		print_complaint("job %s of %s failed: %s; see bulkhead job retry and bulkhead tenant "
						"purge",
						job, slug, error);
}

static struct job_runner runner_of(PGconn *control, const struct conf *conf, char name[96])
{
	char host[64] = "";

	gethostname(host, sizeof host - 1);
	snprintf(name, 96, "command %s %d", host, (int)getpid());
	return (struct job_runner){.conf = conf,
							   .control = control,
							   .name = name,
							   .on_step = show_step,
							   .on_end = show_end};
}

static void rest(void)
{
	const struct timespec period = {.tv_nsec = LOOK_NS};

	nanosleep(&period, NULL);
}

/* What has become of a job that this command did not end itself; JOB_WAIT_QUEUED while it has
 * not ended. */
static enum job_wait_end look(PGconn *control, const char *job)
{
	static const char sql[] = "SELECT state, slug, error FROM bulkhead_control.job"
							  " WHERE id = $1::bigint";
	PGresult *row = control_db_query(control, sql, 1, &job);
	enum job_wait_end end = JOB_WAIT_QUEUED;

	if (!row || PQntuples(row) == 0) {
		end = JOB_WAIT_FAILED;
		if (row)
			print_complaint("there is no job %s any more", job);
	} else if (strcmp(PQgetvalue(row, 0, 0), "done") == 0) {
		end = JOB_WAIT_DONE;
	} else if (strcmp(PQgetvalue(row, 0, 0), "failed") == 0) {
		end = JOB_WAIT_FAILED;
		show_end(NULL, job, PQgetvalue(row, 0, 1), JOB_FAILED, PQgetvalue(row, 0, 2));
	}
	PQclear(row);
	return end;
}

static enum job_wait_end carry_out(PGconn *control, const struct conf *conf, const char *job)
{
	char name[96];
	const struct job_runner runner = runner_of(control, conf, name);

	for (;;) {
		enum job_wait_end end;

		switch (job_run_next(&runner, job)) {
		case JOB_DONE:
			return JOB_WAIT_DONE;
		case JOB_FAILED:
			return JOB_WAIT_FAILED;
		case JOB_BROKEN:
		case JOB_STOPPED:
			print_complaint("the control database: %s", PQerrorMessage(control));
			return JOB_WAIT_FAILED;
		case JOB_NONE:
		case JOB_LATER:
		case JOB_LOST:
			end = look(control, job);
			if (end != JOB_WAIT_QUEUED)
				return end;
			rest();
		}
	}
}

static enum job_wait_end run_or_leave(PGconn *control, const struct conf *conf,
									  const PGresult *row, bool no_wait)
{
	const char *job = PQgetvalue(row, 0, 0), *cluster = PQgetvalue(row, 0, 1);

	if (!no_wait && conf && job_can_run(conf, cluster))
		return carry_out(control, conf, job);
	if (conf && !no_wait)
		print_complaint("[cluster:%s] has no admin_login here, so job %s is queued", cluster,
						job);
	else
		print_line(stderr,
				   "bulkhead: job %s is queued: bulkhead job run -c FILE carries it out", job);
	return JOB_WAIT_QUEUED;
}

static enum job_wait_end wait_for(PGconn *control, const struct conf *conf, const char *sql,
								  const char *value, bool no_wait, const char *missing)
{
	PGresult *row = control_db_query(control, sql, 1, &value);
	enum job_wait_end end = JOB_WAIT_FAILED;

	if (row && PQntuples(row) == 1)
		end = run_or_leave(control, conf, row, no_wait);
	else if (row)
		print_complaint("%s", missing);
	PQclear(row);
	return end;
}

enum job_wait_end job_wait_for_tenant(PGconn *control, const struct conf *conf,
									  const char *tenant_id, bool no_wait)
{
	/* The last: it may have been carried out by now. */
	return wait_for(control, conf,
					"SELECT id, cluster FROM bulkhead_control.job WHERE tenant_id = $1::uuid"
					" ORDER BY id DESC LIMIT 1",
					tenant_id, no_wait, "there is no job for this tenant");
}

enum job_wait_end job_wait_for(PGconn *control, const struct conf *conf, const char *job,
							   bool no_wait)
{
	return wait_for(control, conf,
					"SELECT id, cluster FROM bulkhead_control.job WHERE id = $1::bigint", job,
					no_wait, "there is no such job");
}

/* ---- all of them ---- */

bool job_wait_for_all(PGconn *control, const struct conf *conf, const char *cluster,
					  size_t *done, size_t *failed)
{
	char name[96];
	struct job_runner runner = runner_of(control, conf, name);

	runner.cluster = cluster;
	*done = *failed = 0;
	for (;;) {
		switch (job_run_next(&runner, NULL)) {
		case JOB_NONE:
			return true;
		case JOB_DONE:
			++*done;
			break;
		case JOB_FAILED:
			++*failed;
			break;
		case JOB_LATER:
		case JOB_LOST:
			break;
		case JOB_STOPPED:
		case JOB_BROKEN:
			print_complaint("the control database: %s", PQerrorMessage(control));
			return false;
		}
	}
}
