#include "admin/job.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/job_run.h"
#include "base/clock.h"
#include "base/embed.h"

EMBED_TEXT(unlock_sql, "admin/provision/unlock.sql");

#define FAILURES_MAX     8   /* in a row, of those that may pass */
#define FIRST_PAUSE_MS   500 /* doubled by each */
#define LONGEST_PAUSE_MS 60000

/* ---- what can be done here ---- */

bool job_can_run(const struct conf *conf, const char *cluster)
{
	const struct conf_cluster *section = conf_find_cluster(conf, cluster);

	return section && *section->admin_login;
}

bool job_is_needed(const struct conf_cluster *cluster, const char *strategy,
				   bool dedicated_login)
{
	if (cluster && *cluster->tenant)
		return false; /* the operator's own work */
	return strcmp(strategy, "SHARED_RLS") != 0 || dedicated_login ||
		   (cluster && cluster->guard == GUARD_LOGIN);
}

/* The names of clusters with an administrator, as an array of PostgreSQL's. */
static bool list_clusters(const struct job_runner *runner, struct buf *out)
{
	const struct conf *conf = runner->conf;
	bool fine = buf_append_byte(out, '{');
	const char *comma = "";

	for (size_t i = 0; fine && i < conf->cluster_count; i++) {
		if (!*conf->clusters[i].admin_login ||
			(runner->cluster && strcmp(runner->cluster, conf->clusters[i].name) != 0))
			continue;
		/* A section's name is made of letters, digits, - and _. */
		fine = buf_appendf(out, "%s\"%s\"", comma, conf->clusters[i].name);
		comma = ",";
	}
	return fine && buf_append(out, "}", 2);
}

/* ---- the row ---- */

/* In the order of the columns below. */
enum {
	ID,
	KIND,
	ATTEMPTS,
	FAILURES,
	AGAIN,
	STEP,
	SLUG,
	CLUSTER,
	TENANT,
	STRATEGY,
	DEDICATED,
	KEY
};

static const char take_sql[] =
	"SELECT j.id, j.kind, j.attempts, j.failures, j.again, j.step, coalesce(t.slug, j.slug),"
	" j.cluster, j.tenant_id, t.strategy, t.dedicated_login, t.external_key"
	" FROM bulkhead_control.take_job($1, $2, $3, $4::bigint * interval '1 ms') j"
	" LEFT JOIN bulkhead_control.tenant t ON t.id = j.tenant_id";

static int place_of(const char *word, const char *const words[], int count)
{
	for (int i = 0; i < count; i++) {
		if (strcmp(word, words[i]) == 0)
			return i;
	}
	return -1;
}

static char *copy(const PGresult *row, int column)
{
	return PQgetisnull(row, 0, column) ? NULL : strdup(PQgetvalue(row, 0, column));
}

static bool read_row(struct job_run *run, const PGresult *row)
{
	static const char *const kinds[] = {"provision", "purge", "rotate"};
	static const char *const strategies[] = {"SHARED_RLS", "SCHEMA_PER_TENANT",
											 "DATABASE_PER_TENANT"};
	int kind = place_of(PQgetvalue(row, 0, KIND), kinds, 3);
	int strategy = place_of(PQgetvalue(row, 0, STRATEGY), strategies, 3);
	const char *tenant = PQgetvalue(row, 0, TENANT);

	snprintf(run->id, sizeof run->id, "%s", PQgetvalue(row, 0, ID));
	snprintf(run->attempt, sizeof run->attempt, "%s", PQgetvalue(row, 0, ATTEMPTS));
	run->failures = atoi(PQgetvalue(row, 0, FAILURES));
	run->again = strcmp(PQgetvalue(row, 0, AGAIN), "t") == 0;
	run->slug = copy(row, SLUG);
	run->step = copy(row, STEP);
	run->key = copy(row, KEY);
	run->cluster = conf_find_cluster(run->runner->conf, PQgetvalue(row, 0, CLUSTER));
	if (PQgetisnull(row, 0, STRATEGY))
		return job_fail(run, false, "there is no such tenant any more");
	if (kind < 0 || strategy < 0 || !uuid_parse(tenant, strlen(tenant), &run->tenant))
		return job_fail(run, false, "this version does not know such jobs");
	run->kind = (enum job_kind)kind;
	run->strategy = (enum job_strategy)strategy;
	run->is_own = run->strategy != JOB_SHARED || run->cluster->guard == GUARD_LOGIN ||
				  strcmp(PQgetvalue(row, 0, DEDICATED), "t") == 0;
	uuid_text(&run->tenant, run->tenant_text);
	own_name(&run->tenant, run->own);
	return run->slug || job_fail(run, true, "out of memory");
}

static void run_fini(struct job_run *run)
{
	guard_keyring_destroy(run->secret);
	PQfinish(run->admin);
	free(run->slug);
	free(run->key);
	free(run->step);
	buf_fini(&run->error);
}

/* ---- the work ---- */

static const struct job_step *steps_of(const struct job_run *run)
{
	switch (run->kind) {
	case JOB_PROVISION:
		return provision_steps(run);
	case JOB_PURGE:
		return purge_steps(run);
	case JOB_ROTATE:
		return rotate_steps(run);
	}
	return NULL;
}

static bool try_lock(struct job_run *run, bool *locked)
{
	const char *const values[] = {run->tenant_text};

	return job_ask_bool(run, run->admin,
						"SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended("
						"'bulkhead.job:' || $1::text, 0))",
						1, values, locked);
}

/*
 * Held as long as the connection is: a runner that was taken for dead, or whose CREATE DATABASE
 * goes on without it, is not overtaken on the server. Anybody in the database can hold such a
 * lock; who is no administrator's login is put out.
 */
static bool lock_tenant(struct job_run *run)
{
	const struct job_setting settings[] = {{"tenant", run->tenant_text}};
	bool locked = false;

	if (!try_lock(run, &locked))
		return false;
	if (!locked && (!job_run_scripts(run, run->admin, settings, 1, &unlock_sql, 1) ||
					!try_lock(run, &locked)))
		return false;
	return locked || job_fail(run, true, "another runner is still at work for this tenant");
}

static bool open_cluster(struct job_run *run)
{
	const char *why = NULL;

	if (run->cluster->secret) {
		run->secret = guard_keyring_parse(run->cluster->secret, &why);
		if (!run->secret)
			return job_fail(run, false, "secret_file: %s", why);
	}
	run->admin = job_connect(run, run->cluster->database);
	return run->admin && lock_tenant(run);
}

void job_test_kill(const char *step, const char *mark)
{
	const char *told = getenv("JOB_TEST_KILL");
	size_t len = strlen(step);

	if (told && strncmp(told, step, len) == 0 && strcmp(told + len, mark) == 0)
		raise(SIGKILL);
}

static bool begin_step(struct job_run *run, const char *step)
{
	const struct job_runner *runner = run->runner;

	if (!job_hold(run, step))
		return false;
	if (runner->is_stopping && runner->is_stopping(runner->arg))
		run->state = JOB_CUT;
	else if (runner->on_step)
		runner->on_step(runner->arg, run->slug, step);
	return run->state == JOB_RUNNING;
}

static bool run_steps(struct job_run *run)
{
	const struct job_step *steps = steps_of(run), *step = steps;

	while (run->step && step->name && strcmp(step->name, run->step) != 0)
		step++;
	if (!step->name)
		step = steps;
	for (; step->name; step++) {
		if (!begin_step(run, step->name))
			return false;
		job_test_kill(step->name, "");
		if (!step->run(run)) {
			if (run->state == JOB_RUNNING)
				job_fail(run, false, "%s failed", step->name);
			return false;
		}
		job_test_kill(step->name, "+");
	}
	return true;
}

/* ---- the end ---- */

/* The statement's one boolean; the control database not answering is told apart. */
static bool tell(struct job_run *run, const char *sql, int count, const char *const values[])
{
	PGresult *result =
		PQexecParams(run->runner->control, sql, count, NULL, values, NULL, NULL, 0);
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	bool done = PQresultStatus(result) == PGRES_TUPLES_OK;

	if (done && strcmp(PQgetvalue(result, 0, 0), "f") == 0) {
		run->state = JOB_TAKEN;
		done = false;
	} else if (!done && state && PQstatus(run->runner->control) == CONNECTION_OK) {
		bool passes = strncmp(state, "40", 2) == 0;

		job_fail(run, passes, "%s", PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
	} else if (!done) {
		run->state = JOB_UNCONTROL;
	}
	PQclear(result);
	return done;
}

static bool finish(struct job_run *run)
{
	const char *kid = run->secret ? guard_keyring_kid(run->secret, 0) : NULL;
	const char *const values[] = {run->id, run->attempt, run->is_own ? kid : NULL};

	return tell(run, "SELECT bulkhead_control.finish_job($1, $2, $3)", 3, values);
}

static int pause_of(int failures)
{
	int pause = FIRST_PAUSE_MS;

	for (int i = 0; i < failures && pause < LONGEST_PAUSE_MS; i++)
		pause *= 2;
	return pause < LONGEST_PAUSE_MS ? pause : LONGEST_PAUSE_MS;
}

static enum job_outcome give_up(struct job_run *run)
{
	bool later = run->state == JOB_HINDERED && run->failures + 1 < FAILURES_MAX;
	bool written = buf_append_byte(&run->error, '\0');
	char pause[16];
	const char *const values[] = {run->id, run->attempt,
								  written ? (const char *)buf_data(&run->error) : "?",
								  later ? pause : NULL};

	snprintf(pause, sizeof pause, "%d", pause_of(run->failures));
	run->state = JOB_RUNNING;
	if (!tell(run,
			  "SELECT bulkhead_control.fail_job($1, $2, $3, $4::integer * interval '1 ms')", 4,
			  values))
		return run->state == JOB_TAKEN ? JOB_LOST : JOB_BROKEN;
	return later ? JOB_LATER : JOB_FAILED;
}

static enum job_outcome end(struct job_run *run)
{
	const char *const values[] = {run->id, run->attempt};

	switch (run->state) {
	case JOB_RUNNING:
		return JOB_DONE;
	case JOB_HINDERED:
	case JOB_REFUSED:
		return give_up(run);
	case JOB_TAKEN:
		return JOB_LOST;
	case JOB_CUT:
		PQclear(PQexecParams(run->runner->control, "SELECT bulkhead_control.return_job($1, $2)",
							 2, NULL, values, NULL, NULL, 0));
		return JOB_STOPPED;
	case JOB_UNCONTROL:
		return JOB_BROKEN;
	}
	return JOB_BROKEN;
}

static enum job_outcome carry_out(struct job_run *run, const PGresult *row)
{
	if (read_row(run, row) && open_cluster(run) && run_steps(run))
		finish(run);
	/* What was said before the control database was asked last. */
	enum job_outcome outcome = end(run);
	bool told = outcome == JOB_LATER || outcome == JOB_FAILED;

	if (run->runner->on_end)
		run->runner->on_end(run->runner->arg, run->id, run->slug, outcome,
							told ? (const char *)buf_data(&run->error) : NULL);
	return outcome;
}

enum job_outcome job_run_next(const struct job_runner *runner, const char *only)
{
	struct job_run run = {.runner = runner, .state = JOB_RUNNING};
	enum job_outcome outcome = JOB_BROKEN;
	char lease[24];
	struct buf clusters;
	PGresult *row = NULL;

	buf_init(&clusters);
	buf_init(&run.error);
	if (list_clusters(runner, &clusters)) {
		const char *const values[] = {(const char *)buf_data(&clusters), only, runner->name,
									  lease};

		snprintf(lease, sizeof lease, "%lld", (long long)runner->conf->job_lease_ms);
		row = PQexecParams(runner->control, take_sql, 4, NULL, values, NULL, NULL, 0);
	}
	run.renewed_ms = clock_monotonic_us() / 1000;
	if (row && PQresultStatus(row) == PGRES_TUPLES_OK)
		outcome = PQntuples(row) == 1 ? carry_out(&run, row) : JOB_NONE;
	PQclear(row);
	run_fini(&run);
	buf_fini(&clusters);
	return outcome;
}
