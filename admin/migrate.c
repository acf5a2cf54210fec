#include "admin/migrate.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/migrate_crew.h"
#include "admin/migrate_ledger.h"
#include "admin/migrate_select.h"
#include "base/clock.h"

#define SETTLE_GLANCE_NS 200000000L

const char *migrate_kind_name(enum migrate_kind kind)
{
	static const char *const names[] = {[MIGRATE_SHARED] = "shared",
										[MIGRATE_TEMPLATE_SCHEMA] = "template_schema",
										[MIGRATE_TEMPLATE_DATABASE] = "template_database",
										[MIGRATE_SCHEMA] = "schema",
										[MIGRATE_DATABASE] = "database"};

	return names[kind];
}

const char *migrate_state_name(enum migrate_state state)
{
	static const char *const names[] = {[MIGRATE_PENDING] = "pending",
										[MIGRATE_DONE] = "done",
										[MIGRATE_FAILED] = "failed",
										[MIGRATE_BEHIND] = "behind",
										[MIGRATE_SKIPPED] = "skipped"};

	return names[state];
}

/* ---- the turn ---- */

/* Held until the connection ends. Its transaction does nothing else, so it holds up nobody. */
static bool take_turn(const struct migrate *migrate, FILE *err)
{
	static const char sql[] =
		"SET idle_in_transaction_session_timeout = 0;"
		" BEGIN ISOLATION LEVEL READ COMMITTED;"
		" LOCK TABLE bulkhead_control.migration_turn IN EXCLUSIVE MODE NOWAIT";
	PGresult *result = PQexec(migrate->turn, sql);
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	bool done = PQresultStatus(result) == PGRES_COMMAND_OK;

	if (!done && state && strcmp(state, "55P03") == 0)
		fputs("bulkhead migrate: another bulkhead migrate is running; run this again when it "
			  "has ended\n",
			  err);
	else if (!done && state && strcmp(state, "42P01") == 0)
		fputs("bulkhead migrate: the control schema is older; bulkhead init brings it up to "
			  "this version\n",
			  err);
	else if (!done)
		fprintf(err, "bulkhead migrate: control database: %s\n",
				text ? text : "the connection was lost");
	PQclear(result);
	return done;
}

/* ---- the phases ---- */

/* One run: what has to be at hand. */
struct run {
	struct migrate *migrate;
	struct migrate_selection selection;
	struct migrate_ledger ledger;
	const struct migrate_watcher *watcher;
};

static bool failed_from(const struct migrate *migrate, size_t first)
{
	for (size_t i = first; i < migrate->target_count; i++)
		if (migrate->targets[i]->state == MIGRATE_FAILED ||
			migrate->targets[i]->state == MIGRATE_BEHIND)
			return true;
	return false;
}

/* All that were found from that place on. False when the run has to end. */
static bool work_off(struct run *run, size_t first)
{
	struct migrate *migrate = run->migrate;

	if (migrate->target_count == first)
		return true;
	if (!migrate_crew_run(migrate, first, &run->ledger, run->watcher)) {
		fputs("bulkhead migrate: no thread could be started\n", run->ledger.err);
		return false;
	}
	migrate->stopped = run->watcher->stopping(run->watcher->arg);
	if (PQstatus(migrate->turn) != CONNECTION_OK) {
		fputs("bulkhead migrate: the control database went away\n", run->ledger.err);
		return false;
	}
	return !run->ledger.is_broken && !migrate->stopped;
}

/* Shared tables and templates go first: what is born from then on has the newest version. */
static bool do_operators(struct run *run, bool *go_on)
{
	struct migrate *migrate = run->migrate;
	const struct migrate_options *options = migrate->options;

	*go_on = true;
	if (!run->selection.is_all)
		return true;
	if (!migrate_find_operators(migrate, &run->ledger) || !work_off(run, 0))
		return false;
	*go_on = options->keep_going || options->look || !failed_from(migrate, 0);
	return true;
}

/* Those who could not have their turn are shown as such. */
static bool skip_tenants(struct run *run)
{
	struct migrate *migrate = run->migrate;
	size_t first = migrate->target_count;

	if (!migrate_find_tenants(migrate, &run->selection, &run->ledger))
		return false;
	for (size_t i = first; i < migrate->target_count; i++)
		migrate->targets[i]->state = MIGRATE_SKIPPED;
	return true;
}

/* Waits a moment while tenants are being made. False when there are none, or time is up. */
static bool wait_for_births(struct run *run, int64_t until_us)
{
	struct migrate *migrate = run->migrate;
	struct timespec glance = {.tv_nsec = SETTLE_GLANCE_NS};

	if (!migrate_count_unborn(&run->selection, &run->ledger, &migrate->unborn) ||
		migrate->unborn == 0 || migrate->options->look || clock_monotonic_us() >= until_us)
		return false;
	nanosleep(&glance, NULL);
	run->watcher->moved(run->watcher->arg, NULL, migrate->target_count, migrate->target_count);
	return !run->watcher->stopping(run->watcher->arg);
}

/* Again and again, until nobody new is found: tenants are made while this runs. */
static bool do_tenants(struct run *run)
{
	struct migrate *migrate = run->migrate;
	int64_t until_us = clock_monotonic_us() + migrate->options->settle_ms * 1000;

	do {
		size_t first;

		do {
			first = migrate->target_count;
			if (!migrate_find_tenants(migrate, &run->selection, &run->ledger) ||
				!work_off(run, first))
				return false;
		} while (migrate->target_count > first);
	} while (wait_for_births(run, until_us));
	return !run->ledger.is_broken;
}

static bool run_all(struct run *run)
{
	struct migrate *migrate = run->migrate;
	bool go_on;

	if (!selection_read(&run->selection, migrate->options->tenants, &run->ledger) ||
		!ledger_register(&run->ledger, migrate->files, migrate->file_count, &migrate->versions,
						 &migrate->version_count) ||
		!do_operators(run, &go_on))
		return false;
	return go_on ? do_tenants(run) : skip_tenants(run);
}

bool migrate_run(struct migrate *migrate, const struct migrate_watcher *watcher, FILE *err)
{
	struct run run = {.migrate = migrate, .watcher = watcher};
	bool is_silent = migrate->options->dry_run || migrate->options->look;

	if (!take_turn(migrate, err))
		return false;
	ledger_open(&run.ledger, migrate->control, is_silent, err);
	bool done = run_all(&run) || migrate->stopped;
	selection_fini(&run.selection);
	ledger_close(&run.ledger);
	return done;
}

bool migrate_is_done(const struct migrate *migrate)
{
	bool done = migrate->unborn == 0 && !migrate->stopped;

	for (size_t i = 0; done && i < migrate->target_count; i++)
		done = migrate->targets[i]->state == MIGRATE_DONE;
	return done;
}

void migrate_fini(struct migrate *migrate)
{
	for (size_t i = 0; i < migrate->target_count; i++)
		migrate_target_destroy(migrate->targets[i]);
	free(migrate->targets);
	free(migrate->versions);
	for (size_t i = 0; i < migrate->file_count; i++)
		migrate_file_fini(&migrate->files[i]);
	free(migrate->files);
	PQfinish(migrate->turn);
	PQfinish(migrate->control);
}
