/*
 * Removing all that a tenant has: its rows in the shared tables, its schema or its database,
 * and its login. The control schema's rows go with the job's end.
 *
 * Nobody is let in by then: sidecars end the sessions of a tenant that is being purged, its own
 * login is closed here, and the guard of the shared tables enters it no more.
 */
#include <stdlib.h>
#include <string.h>

#include "admin/job_run.h"
#include "base/embed.h"

EMBED_TEXT(purge_close_sql, "admin/provision/purge_close.sql");
EMBED_TEXT(purge_tables_sql, "admin/provision/purge_tables.sql");
EMBED_TEXT(purge_role_sql, "admin/provision/purge_role.sql");

#define SQLSTATE_FOREIGN_KEY "23503"

static bool close_doors(struct job_run *run)
{
	const struct job_setting settings[] = {{"own", run->own}, {"tenant", run->tenant_text}};

	return job_run_scripts(run, run->admin, settings, 2, &purge_close_sql, 1);
}

/* ---- rows ---- */

/* In the order of the query's columns. */
enum { BATCH, WHOLE };

/* One table's rows of this tenant, some thousand at a time. *refers tells that rows of others
 * hold on to them. */
static bool delete_rows(struct job_run *run, const char *sql, bool *refers)
{
	for (;;) {
		PGresult *result = job_ask(run, run->admin, sql, 0, NULL);
		bool over = result && strcmp(PQcmdTuples(result), "0") == 0;

		*refers = !result && strcmp(run->sqlstate, SQLSTATE_FOREIGN_KEY) == 0;
		PQclear(result);
		if (!result)
			return false;
		if (over)
			return true;
	}
}

/*
 * Tables that refer to others come first. Where rows refer to each other in a circle, batches
 * cannot go one by one: then all of the tenant's go in one statement, at the end of which the
 * keys are checked.
 */
static bool delete_all(struct job_run *run, const PGresult *tables)
{
	bool refers = false, done = true;

	for (int row = 0; done && row < PQntuples(tables); row++)
		done = delete_rows(run, PQgetvalue(tables, row, BATCH), &refers);
	if (done || !refers || run->state != JOB_REFUSED)
		return done;
	run->state = JOB_RUNNING;
	return job_do(run, run->admin, PQgetvalue(tables, 0, WHOLE));
}

static bool delete_shared(struct job_run *run)
{
	const char *const values[] = {run->tenant_text, run->key};
	PGresult *tables;
	bool done;

	/* An administrator whom policies bind would see no rows, and think that there are none. */
	if (!job_do(run, run->admin, "SET row_security = off"))
		return false;
	tables = job_ask(run, run->admin, purge_tables_sql, 2, values);
	done = tables && (PQntuples(tables) == 0 || delete_all(run, tables));
	PQclear(tables);
	return done;
}

/* ---- what is its own ---- */

static bool drop_database(struct job_run *run)
{
	return job_do_named(run, run->admin, "DROP DATABASE IF EXISTS %s WITH (FORCE)", run->own,
						NULL);
}

static bool drop_role(struct job_run *run)
{
	const struct job_setting settings[] = {{"own", run->own}, {"tenant", run->tenant_text}};

	return job_run_scripts(run, run->admin, settings, 2, &purge_role_sql, 1);
}

static const struct job_step steps[] = {{"close", close_doors},
										{"rows", delete_shared},
										{"database", drop_database},
										{"role", drop_role},
										{NULL, NULL}};
static const struct job_step steps_of_section[] = {{NULL, NULL}};

const struct job_step *purge_steps(const struct job_run *run)
{
	/* What the operator made for one tenant is the operator's to remove. */
	return *run->cluster->tenant ? steps_of_section : steps;
}
