#include "admin/key_job.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "admin/api_key.h"
#include "admin/job_run.h"
#include "admin/vault.h"
#include "base/log.h"
#include "base/secret.h"

#define BATCH      "100" /* rows of a transaction */
#define ROUNDS_MAX 20    /* of looking again for what has come meanwhile */
#define AGAIN_IN   "5 seconds"

/* A job that is being carried out. */
struct key_job {
	const struct job_runner *runner;
	const struct guard_keyring *master;
	char id[24], attempt[16], lease[32];
	bool is_rewrap;
	char *tenant_text, *slug, *to_kid; /* the first NULL of a rewrap, the last of a rekey */
	struct uuid tenant;
	struct vault_key *keys; /* of the tenant; the first is the new one */
	size_t key_count;
	size_t failed;   /* rows that could not be done */
	char first[256]; /* what the first of them was, and why */
	enum job_state state;
	char error[512];
};

/* ---- the control database ---- */

static bool fail(struct key_job *job, enum job_state state, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static bool fail(struct key_job *job, enum job_state state, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	if (job->state == JOB_RUNNING) {
		job->state = state;
		vsnprintf(job->error, sizeof job->error, format, arguments);
	}
	va_end(arguments);
	return false;
}

/* The rows; NULL when it failed. */
static PGresult *ask(struct key_job *job, const char *sql, int count,
					 const char *const values[])
{
	PGconn *control = job->runner->control;
	PGresult *result = PQexecParams(control, sql, count, NULL, values, NULL, NULL, 0);
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	if (PQresultStatus(result) == PGRES_TUPLES_OK)
		return result;
	if (!state || PQstatus(control) != CONNECTION_OK)
		fail(job, JOB_UNCONTROL, "the control database does not answer");
	else
		fail(job, strncmp(state, "40", 2) == 0 ? JOB_HINDERED : JOB_REFUSED, "%s",
			 PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
	PQclear(result);
	return NULL;
}

/* The one field of the one row, as a string from malloc; NULL for SQL NULL, too. */
static bool ask_text(struct key_job *job, const char *sql, int count,
					 const char *const values[], char **out)
{
	PGresult *result = ask(job, sql, count, values);

	*out = NULL;
	if (!result)
		return false;
	if (PQntuples(result) == 1 && !PQgetisnull(result, 0, 0))
		*out = strdup(PQgetvalue(result, 0, 0));
	PQclear(result);
	return true;
}

/* Prolongs the lease; false when the work is to end. */
static bool hold(struct key_job *job)
{
	static const char sql[] = "SELECT bulkhead_control.begin_job_step($1, $2, NULL,"
							  " $3::bigint * interval '1 ms')";
	const char *const values[] = {job->id, job->attempt, job->lease};
	const struct job_runner *runner = job->runner;
	char *mine;

	if (runner->is_stopping && runner->is_stopping(runner->arg))
		return fail(job, JOB_CUT, "the runner stops");
	if (!ask_text(job, sql, 3, values, &mine))
		return false;
	bool is_mine = mine && strcmp(mine, "t") == 0;
	free(mine);
	return is_mine || fail(job, JOB_TAKEN, "another runner has it");
}

/* Writes what was made of some rows; false when nobody answers. */
static bool write_items(struct key_job *job, const char *sql, const char *tenant, json_t *items)
{
	char *text = json_dumps(items, JSON_COMPACT), *done = NULL;
	const char *const values[] = {text, tenant};
	bool written;

	if (!text)
		return fail(job, JOB_HINDERED, "out of memory");
	written = json_array_size(items) == 0 || ask_text(job, sql, tenant ? 2 : 1, values, &done);
	free(text);
	free(done);
	return written;
}

/* ---- what cannot be done ---- */

static const char *words_of(enum vault_result result)
{
	switch (result) {
	case VAULT_KEY_MISSING:
		return "its master key is not in the file";
	case VAULT_BROKEN:
		return "it cannot be opened: it was changed, or is not where it was sealed for";
	case VAULT_DONE:
	case VAULT_FAILED:
		break;
	}
	return "out of memory";
}

/* One that cannot be done does not keep others from it; the first is named. */
static void note_failure(struct key_job *job, const char *what, const char *name,
						 enum vault_result result)
{
	if (job->failed++ == 0)
		snprintf(job->first, sizeof job->first, "%s %s: %s", what, name, words_of(result));
}

/* ---- rewrapping ---- */

static json_t *rewrap(struct key_job *job, const PGresult *rows, int row)
{
	const char *text = PQgetvalue(rows, row, 0), *kid = PQgetvalue(rows, row, 1),
			   *was = PQgetvalue(rows, row, 2);
	enum vault_result result = VAULT_BROKEN;
	struct uuid tenant;
	char *now = NULL;
	json_t *item = NULL;

	if (uuid_parse(text, strlen(text), &tenant))
		result = vault_key_rewrap(job->master, &tenant, kid, was, &now);
	if (result == VAULT_DONE)
		item = json_pack("{s:s, s:s, s:s, s:s}", "tenant_id", text, "kid", kid, "was", was,
						 "now", now);
	else
		note_failure(job, "a data key of tenant", text, result);
	free(now);
	return item;
}

/* A look through all of them. */
static bool rewrap_all(struct key_job *job)
{
	static const char sql[] =
		"SELECT d.tenant_id, d.kid, d.wrapped FROM bulkhead_control.tenant_data_key d"
		" WHERE d.master_kid <> $1 AND (d.tenant_id, d.kid) > ($2::uuid, $3)"
		" ORDER BY d.tenant_id, d.kid LIMIT " BATCH;
	char tenant[UUID_TEXT_SIZE] = "00000000-0000-0000-0000-000000000000";
	char kid[VAULT_KID_SIZE] = "";
	const char *const values[] = {job->to_kid, tenant, kid};
	bool going = true;
	int count = 1;

	while (going && count > 0) {
		PGresult *rows = hold(job) ? ask(job, sql, 3, values) : NULL;
		json_t *items = json_array(), *item;

		count = PQntuples(rows);
		for (int row = 0; row < count; row++) {
			if ((item = rewrap(job, rows, row)) != NULL)
				json_array_append_new(items, item);
		}
		if (count > 0) {
			snprintf(tenant, sizeof tenant, "%s", PQgetvalue(rows, count - 1, 0));
			snprintf(kid, sizeof kid, "%s", PQgetvalue(rows, count - 1, 1));
		}
		going = rows &&
				write_items(job, "SELECT bulkhead_control.rewrap_data_keys($1)", NULL, items);
		json_decref(items);
		PQclear(rows);
		if (going && count > 0)
			job_test_kill("rewrap", "");
	}
	return going;
}

/* ---- another data key ---- */

static const struct vault_key *find_key(const struct key_job *job, const char *kid)
{
	for (size_t i = 0; i < job->key_count; i++) {
		if (strcmp(job->keys[i].kid, kid) == 0)
			return &job->keys[i];
	}
	return NULL;
}

/* The new key, drawn now or by an earlier run of this job. */
static bool begin_rekey(struct key_job *job, char **kid)
{
	char *wrapped = NULL;
	struct vault_key key;
	enum vault_result result = vault_key_make(job->master, &job->tenant, &key, &wrapped);

	if (result != VAULT_DONE)
		return fail(job, JOB_HINDERED, "%s", words_of(result));
	const char *const values[] = {job->id, job->attempt, key.kid, wrapped};
	bool begun =
		ask_text(job, "SELECT bulkhead_control.begin_rekey($1, $2, $3, $4)", 4, values, kid);
	secret_wipe(&key, sizeof key);
	free(wrapped);
	if (begun && !*kid)
		return fail(job, JOB_TAKEN, "another runner has it");
	return begun;
}

/* All data keys of the tenant, the new one first. */
static bool load_keys(struct key_job *job, const char *new_kid)
{
	static const char sql[] = "SELECT d.kid, d.wrapped FROM bulkhead_control.tenant_data_key d"
							  " WHERE d.tenant_id = $1 ORDER BY d.kid <> $2, d.created_at DESC";
	const char *const values[] = {job->tenant_text, new_kid};
	PGresult *rows = ask(job, sql, 2, values);
	int count = PQntuples(rows);

	if (!rows)
		return false;
	job->keys = calloc((size_t)count + 1, sizeof *job->keys);
	for (int row = 0; job->keys && row < count; row++) {
		const char *kid = PQgetvalue(rows, row, 0);
		enum vault_result result =
			vault_key_unwrap(job->master, &job->tenant, kid, PQgetvalue(rows, row, 1),
							 &job->keys[job->key_count]);

		if (result == VAULT_DONE)
			job->key_count++;
		else
			note_failure(job, "data key", kid, result);
	}
	PQclear(rows);
	if (job->keys && job->key_count > 0 && new_kid && strcmp(job->keys[0].kid, new_kid) == 0)
		return true;
	return fail(job, JOB_REFUSED, "%s", job->failed ? job->first : "there is no new data key");
}

static enum vault_result reseal_text(const struct key_job *job, const char *setting,
									 const char *kid, const char *was, char **now)
{
	const struct vault_key *key = find_key(job, kid);
	char *value = NULL;
	size_t len = 0;

	*now = NULL;
	if (!key)
		return VAULT_KEY_MISSING;
	enum vault_result result = vault_unseal(key, &job->tenant, setting, was, &value, &len);
	if (result == VAULT_DONE)
		result = vault_seal(&job->keys[0], &job->tenant, setting, value, len, now);
	if (value)
		secret_wipe(value, len);
	free(value);
	return result;
}

static json_t *reseal(struct key_job *job, const PGresult *rows, int row)
{
	const char *setting = PQgetvalue(rows, row, 0), *revision = PQgetvalue(rows, row, 1),
			   *was = PQgetvalue(rows, row, 2);
	char *now = NULL;
	json_t *item = NULL;
	enum vault_result result = reseal_text(job, setting, PQgetvalue(rows, row, 3), was, &now);

	if (result == VAULT_DONE)
		item =
			json_pack("{s:s, s:o, s:s, s:s}", "key", setting, "revision",
					  strcmp(revision, "0") == 0 ? json_null() : json_integer(atoll(revision)),
					  "was", was, "now", now);
	else
		note_failure(job, "the value of", setting, result);
	free(now);
	return item;
}

/* A look through all values and their history; those of the history have a revision above 0. */
static bool reseal_all(struct key_job *job)
{
	static const char sql[] =
		"SELECT v.key, v.revision, v.value ->> '$enc', v.data_kid FROM ("
		"SELECT s.key, 0 AS revision, s.value, s.data_kid FROM bulkhead_control.setting s"
		" WHERE s.tenant_id = $1 AND s.data_kid IS NOT NULL"
		" UNION ALL"
		" SELECT h.key, h.revision, h.value, h.data_kid FROM bulkhead_control.setting_history h"
		" WHERE h.tenant_id = $1 AND h.data_kid IS NOT NULL) v"
		" JOIN bulkhead_control.tenant_data_key d ON d.tenant_id = $1 AND d.kid = v.data_kid"
		" WHERE d.superseded_at IS NOT NULL AND (v.key, v.revision) > ($2, $3::bigint)"
		" ORDER BY v.key, v.revision LIMIT " BATCH;
	char *key = strdup(""), revision[24] = "-1";
	bool going = key != NULL;
	int count = 1;

	while (going && count > 0) {
		const char *const values[] = {job->tenant_text, key, revision};
		PGresult *rows = hold(job) ? ask(job, sql, 3, values) : NULL;
		json_t *items = json_array(), *item;

		count = PQntuples(rows);
		for (int row = 0; row < count; row++) {
			if ((item = reseal(job, rows, row)) != NULL)
				json_array_append_new(items, item);
		}
		if (count > 0) {
			free(key);
			key = strdup(PQgetvalue(rows, count - 1, 0));
			snprintf(revision, sizeof revision, "%s", PQgetvalue(rows, count - 1, 1));
		}
		going = rows && key &&
				write_items(job, "SELECT bulkhead_control.reseal_settings($2::uuid, $1::jsonb)",
							job->tenant_text, items);
		json_decref(items);
		PQclear(rows);
		if (going && count > 0)
			job_test_kill("reseal", "");
	}
	free(key);
	return going;
}

/* ---- the whole ---- */

/* Done when the database says that nothing is left; *is_done says whether. */
static bool finish(struct key_job *job, bool *is_done)
{
	const char *const values[] = {job->id, job->attempt};
	char *answer;

	if (!ask_text(job, "SELECT bulkhead_control.finish_key_job($1, $2)", 2, values, &answer))
		return false;
	*is_done = answer && strcmp(answer, "t") == 0;
	bool is_mine = answer != NULL;
	free(answer);
	return is_mine || fail(job, JOB_TAKEN, "another runner has it");
}

static bool work(struct key_job *job)
{
	bool is_done = false;
	char *kid = NULL;

	if (!job->is_rewrap) {
		bool begun = begin_rekey(job, &kid);

		job_test_kill("key", "+");
		begun = begun && load_keys(job, kid);
		free(kid);
		if (!begun)
			return false;
	}
	for (int round = 0; !is_done && round < ROUNDS_MAX; round++) {
		job->failed = 0;
		if (!(job->is_rewrap ? rewrap_all(job) : reseal_all(job)) || !finish(job, &is_done))
			return false;
		if (!is_done && job->failed)
			return fail(job, JOB_REFUSED, "%zu left as they were; %s", job->failed, job->first);
	}
	return is_done || fail(job, JOB_HINDERED, "others still use the old key");
}

static enum job_outcome end(struct key_job *job)
{
	const char *const values[] = {job->id, job->attempt, job->error,
								  job->state == JOB_HINDERED ? AGAIN_IN : NULL};
	static const char fail_sql[] = "SELECT bulkhead_control.fail_job($1, $2, $3, $4::interval)";
	PGconn *control = job->runner->control;
	PGresult *result = NULL;

	switch (job->state) {
	case JOB_RUNNING:
		return JOB_DONE;
	case JOB_HINDERED:
	case JOB_REFUSED:
		result = PQexecParams(control, fail_sql, 4, NULL, values, NULL, NULL, 0);
		break;
	case JOB_TAKEN:
		return JOB_LOST;
	case JOB_CUT:
		PQclear(PQexecParams(control, "SELECT bulkhead_control.return_job($1, $2)", 2, NULL,
							 values, NULL, NULL, 0));
		return JOB_STOPPED;
	case JOB_UNCONTROL:
		return JOB_BROKEN;
	}
	bool told = PQresultStatus(result) == PGRES_TUPLES_OK;
	PQclear(result);
	if (!told)
		return JOB_BROKEN;
	return job->state == JOB_HINDERED ? JOB_LATER : JOB_FAILED;
}

static enum job_outcome carry_out(struct key_job *job)
{
	work(job);
	enum job_outcome outcome = end(job);

	if (job->runner->on_end)
		job->runner->on_end(job->runner->arg, job->id, job->is_rewrap ? "(all)" : job->slug,
							outcome, job->state == JOB_RUNNING ? NULL : job->error);
	return outcome;
}

static bool read_row(struct key_job *job, const PGresult *row)
{
	snprintf(job->id, sizeof job->id, "%s", PQgetvalue(row, 0, 0));
	snprintf(job->attempt, sizeof job->attempt, "%s", PQgetvalue(row, 0, 2));
	job->is_rewrap = strcmp(PQgetvalue(row, 0, 1), "rewrap") == 0;
	job->tenant_text = strdup(PQgetvalue(row, 0, 3));
	job->slug = strdup(PQgetvalue(row, 0, 4));
	job->to_kid = strdup(PQgetvalue(row, 0, 5));
	return job->tenant_text && job->slug && job->to_kid &&
		   (job->is_rewrap ||
			uuid_parse(job->tenant_text, strlen(job->tenant_text), &job->tenant));
}

/* Asked once a second, before the key file is read. */
static bool is_due(const struct job_runner *runner)
{
	static const char sql[] = "SELECT FROM bulkhead_control.job j WHERE j.cluster = ''"
							  " AND j.state IN ('queued', 'running')"
							  " AND coalesce(j.lease_until, j.next_at) <="
							  " pg_catalog.clock_timestamp() LIMIT 1";
	PGresult *rows = PQexec(runner->control, sql);
	bool due = PQresultStatus(rows) == PGRES_TUPLES_OK && PQntuples(rows) > 0;

	PQclear(rows);
	return due;
}

static enum job_outcome take(struct key_job *job, const struct key_job_setup *setup)
{
	static const char sql[] =
		"SELECT j.id, j.kind, j.attempts, j.tenant_id, j.slug, j.step"
		" FROM bulkhead_control.take_key_job($1, $2, $3, $4::bigint * interval '1 ms') j";
	const char *const values[] = {guard_keyring_kid(job->master, 0), setup->only,
								  job->runner->name, job->lease};
	enum job_outcome outcome = JOB_NONE;

	snprintf(job->lease, sizeof job->lease, "%lld", (long long)setup->lease_ms);
	PGresult *row = ask(job, sql, 4, values);
	if (!row)
		outcome = JOB_BROKEN;
	else if (PQntuples(row) == 1)
		outcome = read_row(job, row) ? carry_out(job) : JOB_BROKEN;
	PQclear(row);
	free(job->tenant_text);
	free(job->slug);
	free(job->to_kid);
	if (job->keys)
		secret_wipe(job->keys, job->key_count * sizeof *job->keys);
	free(job->keys);
	return outcome;
}

enum job_outcome key_job_run_next(const struct job_runner *runner,
								  const struct key_job_setup *setup)
{
	struct key_job job = {.runner = runner, .state = JOB_RUNNING};
	const char *path = setup->master_file, *why = NULL;

	if (!*path || !is_due(runner))
		return PQstatus(runner->control) == CONNECTION_OK ? JOB_NONE : JOB_BROKEN;
	struct guard_keyring *master = api_key_pepper(path, &why);
	if (!master) {
		log_event(LOG_ERROR, "job.master_key", "file", path, "error", why, NULL);
		return JOB_NONE;
	}
	job.master = master;
	enum job_outcome outcome = take(&job, setup);
	guard_keyring_destroy(master);
	return outcome;
}
