#include "admin/migrate_apply.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/migrate_mark.h"
#include "admin/migrate_session.h"
#include "base/secret.h"

#define BEGIN_SQL "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"

#define FIRST_PAUSE_MS   100
#define LONGEST_PAUSE_MS 5000

/* What is done on one target. */
struct work {
	struct migrate_target *target;
	const struct migrate_version *versions;
	size_t count;
	const struct migrate_options *options;
	struct migrate_ledger *ledger;
	struct migrate_session session;
	struct migrate_mark *marks; /* as they were read last */
	size_t mark_count;
};

enum outcome {
	NOTHING_LEFT, /* it has all versions */
	ONE_DONE,     /* one more is there */
	BEHIND,
	FAILED,
	TRY_AGAIN, /* a lock was not to be had, or so */
	LOOK_AGAIN /* the connection was lost while it was committed: the mark says what came of it
				*/
};

/* ---- what is missing ---- */

static const struct migrate_mark *find_mark(const struct work *work, int64_t version)
{
	for (size_t i = 0; i < work->mark_count; i++)
		if (work->marks[i].version == version)
			return &work->marks[i];
	return NULL;
}

static bool read_marks(struct work *work)
{
	free(work->marks);
	work->marks = NULL;
	return migrate_mark_read(&work->session, work->target, &work->marks, &work->mark_count);
}

/* The state of one version that the mark has. False where it is not a sound one. */
static bool is_sound(struct work *work, const struct migrate_version *version,
					 const struct migrate_mark *mark)
{
	struct migrate_target *target = work->target;

	target->version = version->version;
	if (strcmp(mark->checksum, version->checksum) != 0)
		return migrate_session_fail(&work->session, NULL,
									"its mark says that version %" PRId64
									" ran there with another text",
									version->version);
	if (!mark->is_whole && !work->options->retry)
		return migrate_session_fail(&work->session, NULL,
									"version %" PRId64 " was begun there without a transaction "
									"and nobody knows how it ended; --retry runs it again",
									version->version);
	return true;
}

/*
 * Goes over the versions that the mark has, telling the ledger of those that it does not know,
 * to the first that is missing: *missing, or NULL where all are there.
 */
static bool find_missing(struct work *work, const struct migrate_version **missing)
{
	struct migrate_target *target = work->target;

	*missing = NULL;
	for (size_t i = 0; i < work->count; i++) {
		const struct migrate_version *version = &work->versions[i];
		const struct migrate_mark *mark = find_mark(work, version->version);

		if (mark && !is_sound(work, version, mark))
			return false;
		if (!mark || !mark->is_whole) {
			*missing = version;
			return true;
		}
		if (version->version > target->recorded && version->version > target->reached &&
			!ledger_done(work->ledger, target, version->version, true))
			return migrate_session_fail(&work->session, NULL, "the run was broken off");
		target->reached = version->version;
	}
	return true;
}

/* ---- one version ---- */

/* Does something whose own failure is worth less than the error that there is, which stays. */
static bool quietly(struct work *work, bool (*what)(struct work *work))
{
	struct migrate_session *session = &work->session;
	char *error = session->error, sqlstate[sizeof session->sqlstate];

	memcpy(sqlstate, session->sqlstate, sizeof sqlstate);
	session->error = NULL;
	bool done = what(work);
	free(session->error);
	session->error = error;
	memcpy(session->sqlstate, sqlstate, sizeof sqlstate);
	return done;
}

static bool roll_back(struct work *work)
{
	return migrate_session_do(&work->session, "ROLLBACK");
}

static char *transaction_id(struct work *work)
{
	PGresult *rows = migrate_session_ask(
		&work->session, "SELECT pg_catalog.pg_current_xact_id()::text", 0, NULL);
	char *id = rows && PQntuples(rows) == 1 ? strdup(PQgetvalue(rows, 0, 0)) : NULL;

	PQclear(rows);
	return id;
}

/* Adds to the server's words where it was, and what helps. */
static void explain(struct work *work, const struct migrate_file *file)
{
	struct migrate_session *session = &work->session;
	char *text = NULL;
	int line = session->position > 0 ? migrate_file_line(file, session->position) : 0;

	if (strcmp(session->sqlstate, "25001") == 0 && !file->is_bare) {
		if (asprintf(&text,
					 "%s; with -- bulkhead: no-transaction as the first line of a file that "
					 "has this one statement, it can run",
					 session->error) < 0)
			text = NULL;
	} else if (line > 0 && asprintf(&text, "%s (line %d)", session->error, line) < 0) {
		text = NULL;
	}
	if (!text)
		return;
	free(session->error);
	session->error = text;
}

/* The file in the transaction that is open, which must be the same behind it. */
static bool run_file(struct work *work, const struct migrate_file *file)
{
	char *before = transaction_id(work), *after = NULL;
	bool done = before && migrate_session_do(&work->session, file->text);

	if (before && !done)
		explain(work, file);
	if (done) {
		after = transaction_id(work);
		if (after && (strcmp(before, after) != 0 ||
					  PQtransactionStatus(work->session.connection) != PQTRANS_INTRANS)) {
			migrate_session_fail(&work->session, "25000",
								 "the file ended its transaction by itself, and what stood "
								 "before that is done");
			done = false;
		}
	}
	done = done && after;
	free(before);
	free(after);
	return done;
}

/* After that, a role or path that the file set must not matter to the mark. */
static bool run_and_mark(struct work *work, const struct migrate_file *file)
{
	return run_file(work, file) && migrate_session_renew(&work->session, work->target) &&
		   migrate_mark_write(&work->session, work->target, file, true);
}

/* Locks that are not to be had, deadlocks, serialization failures. */
static enum outcome failure(const struct work *work)
{
	static const char *const states[] = {"55P03", "40P01", "40001"};

	for (size_t i = 0; i < sizeof states / sizeof *states; i++)
		if (strcmp(work->session.sqlstate, states[i]) == 0)
			return TRY_AGAIN;
	return FAILED;
}

static enum outcome commit(struct work *work)
{
	if (migrate_session_do(&work->session, "COMMIT"))
		return ONE_DONE;
	return migrate_session_is_lost(&work->session) ? LOOK_AGAIN : failure(work);
}

/* It failed, and so is not begun any more. */
static bool take_back(struct work *work)
{
	struct migrate_session *session = &work->session;
	int64_t version = work->target->version;

	return migrate_session_renew(session, work->target) &&
		   migrate_mark_erase(session, work->target, version);
}

/*
 * A statement that must stand alone: written down as begun, run, and written down as done. Of
 * one that failed it is known that it did; it may have left something behind, as an invalid
 * index, that its owner has to remove.
 */
static enum outcome run_bare(struct work *work, const struct migrate_file *file)
{
	struct migrate_session *session = &work->session;

	if (!migrate_mark_write(session, work->target, file, false))
		return failure(work);
	enum outcome outcome = commit(work);
	if (outcome != ONE_DONE)
		return outcome;
	/* It waits for others' transactions without standing in anybody's way. */
	if (migrate_session_do(session, "SET lock_timeout = 0") &&
		migrate_session_do(session, file->text))
		return migrate_session_renew(session, work->target) &&
					   migrate_mark_write(session, work->target, file, true)
				   ? ONE_DONE
				   : FAILED;
	explain(work, file);
	quietly(work, take_back);
	return FAILED;
}

/* The version that is missing first, in the transaction that is open. */
static enum outcome give(struct work *work, const struct migrate_version *missing)
{
	struct migrate_target *target = work->target;

	if (!ledger_begun(work->ledger, target, missing->version)) {
		migrate_session_fail(&work->session, NULL, "the run was broken off");
		return FAILED;
	}
	enum outcome outcome = missing->file->is_bare              ? run_bare(work, missing->file)
						   : run_and_mark(work, missing->file) ? commit(work)
															   : failure(work);
	if (outcome != ONE_DONE)
		return outcome;
	target->ran++;
	target->reached = missing->version;
	if (ledger_done(work->ledger, target, missing->version, false))
		return missing == work->versions + work->count - 1 ? NOTHING_LEFT : ONE_DONE;
	migrate_session_fail(&work->session, NULL,
						 "it is done there, and could not be written down");
	return FAILED;
}

/* Finds out what is missing, and does it. Whatever is open afterwards is to be rolled back. */
static enum outcome advance(struct work *work)
{
	const struct migrate_version *missing;

	migrate_session_allow(&work->session, work->options->target_timeout_ms);
	work->target->attempts++;
	if (!migrate_session_do(&work->session, BEGIN_SQL) ||
		!migrate_mark_lock(&work->session, work->target) || !read_marks(work))
		return failure(work);
	if (!find_missing(work, &missing))
		return FAILED;
	if (!missing)
		return NOTHING_LEFT;
	work->target->version = missing->version;
	return missing->file ? give(work, missing) : BEHIND;
}

/* ---- all versions ---- */

/* Longer from time to time, and drawn: whoever met once should not meet again. */
static void pause_after(int attempts)
{
	uint32_t drawn;
	long longest = FIRST_PAUSE_MS << (attempts < 6 ? attempts : 6);

	if (longest > LONGEST_PAUSE_MS)
		longest = LONGEST_PAUSE_MS;
	secret_random(&drawn, sizeof drawn);
	long ms = longest / 2 + (long)(drawn % (uint32_t)(longest / 2));
	struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
	nanosleep(&pause, NULL);
}

/* Ends with the error that the session has. */
static void end_with(struct work *work, enum migrate_state state)
{
	struct migrate_target *target = work->target;

	target->state = state;
	snprintf(target->sqlstate, sizeof target->sqlstate, "%s", work->session.sqlstate);
	free(target->error);
	target->error = work->session.error;
	work->session.error = NULL;
}

static void end_behind(struct work *work)
{
	int64_t lacking = work->target->version, newest = 0;

	for (size_t i = 0; i < work->count; i++)
		if (work->versions[i].file)
			newest = work->versions[i].version;
	migrate_session_fail(&work->session, NULL,
						 "lacks version %" PRId64 ", so %" PRId64
						 " has to wait: give its file as well",
						 lacking, newest);
	end_with(work, MIGRATE_BEHIND);
}

/* The first version that is to be given, for what fails before anything is known. */
static void presume(struct work *work)
{
	for (size_t i = work->count; i-- > 0;)
		if (work->versions[i].version > work->target->recorded)
			work->target->version = work->versions[i].version;
}

static bool reopen(struct work *work)
{
	migrate_session_close(&work->session);
	return migrate_session_open(&work->session, work->target, work->options);
}

/* Makes ready for the next version, or for another attempt. */
static bool go_on(struct work *work, enum outcome outcome)
{
	switch (outcome) {
	case ONE_DONE:
		work->target->attempts = 0;
		return migrate_session_renew(&work->session, work->target);
	case TRY_AGAIN:
		if (work->target->attempts > work->options->lock_retries || !quietly(work, roll_back))
			return false;
		pause_after(work->target->attempts);
		return migrate_session_renew(&work->session, work->target);
	case LOOK_AGAIN:
		return work->target->attempts <= work->options->lock_retries && reopen(work);
	case NOTHING_LEFT:
	case BEHIND:
	case FAILED:
		break;
	}
	return false;
}

static void finish(struct work *work, enum outcome outcome)
{
	quietly(work, roll_back);
	if (outcome == NOTHING_LEFT)
		work->target->state = MIGRATE_DONE;
	else if (outcome == BEHIND)
		end_behind(work);
	else
		end_with(work, MIGRATE_FAILED);
}

static void apply_all(struct work *work)
{
	enum outcome outcome;

	do
		outcome = advance(work);
	while (go_on(work, outcome));
	finish(work, outcome);
}

/* ---- trying, and looking ---- */

/* The version that is missing, in the one transaction that is rolled back at the end. */
static bool try_one(struct work *work, const struct migrate_version *version)
{
	work->target->version = version->version;
	work->target->ran++;
	return version->file->is_bare ||
		   (run_file(work, version->file) &&
			migrate_session_do(&work->session, "SET CONSTRAINTS ALL IMMEDIATE") &&
			migrate_session_renew(&work->session, work->target));
}

/* One after the other, since a later one may need an earlier. */
static enum outcome try_all(struct work *work)
{
	const struct migrate_version *missing;

	migrate_session_allow(&work->session, work->options->target_timeout_ms);
	work->target->attempts++;
	work->target->ran = 0;
	if (!migrate_session_do(&work->session, BEGIN_SQL) ||
		!migrate_mark_lock(&work->session, work->target) || !read_marks(work))
		return failure(work);
	if (!find_missing(work, &missing))
		return FAILED;
	for (; missing && missing < work->versions + work->count; missing++) {
		work->target->version = missing->version;
		if (!missing->file)
			return BEHIND;
		if (!try_one(work, missing))
			return failure(work);
	}
	return NOTHING_LEFT;
}

static void try_until_sure(struct work *work)
{
	enum outcome outcome;

	do
		outcome = try_all(work);
	while (go_on(work, outcome));
	finish(work, outcome);
}

/* What does its mark say? Failed where that is not what the control schema has. */
static void look(struct work *work)
{
	const struct migrate_version *missing = NULL;
	int64_t recorded = work->target->recorded;
	bool done = read_marks(work) && find_missing(work, &missing);

	if (done && missing && missing->version <= recorded) {
		work->target->version = missing->version;
		done =
			migrate_session_fail(&work->session, NULL,
								 "is recorded with version %" PRId64
								 ", but its mark lacks it: restored, or changed by its owner",
								 missing->version);
	}
	if (done)
		work->target->state = missing ? MIGRATE_PENDING : MIGRATE_DONE;
	else
		end_with(work, MIGRATE_FAILED);
}

/* A stop of the whole run is nobody's failure. */
static void tell(struct work *work)
{
	bool is_failure =
		work->target->state == MIGRATE_FAILED || work->target->state == MIGRATE_BEHIND;

	if (is_failure && work->target->version > 0 && !work->options->look)
		ledger_failed(work->ledger, work->target);
}

void migrate_apply(struct migrate_target *target, const struct migrate_version *versions,
				   size_t count, const struct migrate_options *options,
				   struct migrate_ledger *ledger)
{
	struct work work = {.target = target,
						.versions = versions,
						.count = count,
						.options = options,
						.ledger = ledger};

	presume(&work);
	if (!migrate_session_open(&work.session, target, options))
		end_with(&work, MIGRATE_FAILED);
	else if (options->look)
		look(&work);
	else if (options->dry_run)
		try_until_sure(&work);
	else
		apply_all(&work);
	tell(&work);
	free(work.marks);
	migrate_session_close(&work.session);
}
