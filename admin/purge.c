/*
 * Removing all that a tenant has: its rows in the shared tables, its schema or its database,
 * and its login. The control schema's rows go with the job's end.
 *
 * Nobody is let in by then: sidecars end the sessions of a tenant that is being purged, its own
 * login is closed here, and the guard of the shared tables enters it no more.
 */
#include <stdlib.h>
#include <string.h>

#include "admin/cluster_connect.h"
#include "admin/job_run.h"
#include "base/embed.h"
#include "base/encode.h"
#include "base/secret.h"

EMBED_TEXT(purge_close_sql, "admin/provision/purge_close.sql");
EMBED_TEXT(purge_open_sql, "admin/provision/purge_open.sql");
EMBED_TEXT(purge_tables_sql, "admin/provision/purge_tables.sql");
EMBED_TEXT(purge_thin_sql, "admin/provision/purge_thin.sql");
EMBED_TEXT(purge_role_sql, "admin/provision/purge_role.sql");

#define SQLSTATE_FOREIGN_KEY "23503"

/* Prepared transactions outlive their sessions, and hold what they have locked. Only who made
 * them may end them, and a superuser. */
static bool end_prepared(struct job_run *run, PGconn *connection)
{
	static const char sql[] = "SELECT 'ROLLBACK PREPARED ' || pg_catalog.quote_literal(x.gid)"
							  " FROM pg_catalog.pg_prepared_xacts AS x"
							  " WHERE x.owner = $1 AND x.database = current_database()";
	const char *const values[] = {run->own};
	PGresult *statements = job_ask(run, connection, sql, 1, values);
	bool done = statements != NULL;

	for (int row = 0; done && row < PQntuples(statements); row++)
		done = job_do(run, connection, PQgetvalue(statements, row, 0));
	PQclear(statements);
	return done;
}

static bool end_prepared_inside(struct job_run *run)
{
	const char *const values[] = {run->own};
	bool has = false, done;
	PGconn *inside;

	if (!job_ask_bool(run, run->admin,
					  "SELECT EXISTS (SELECT FROM pg_catalog.pg_prepared_xacts AS x"
					  " WHERE x.database = $1)",
					  1, values, &has))
		return false;
	if (!has)
		return true;
	inside = job_connect(run, run->own);
	done = inside && end_prepared(run, inside);
	PQfinish(inside);
	return done;
}

static bool close_doors(struct job_run *run)
{
	const struct job_setting settings[] = {{"own", run->own}, {"tenant", run->tenant_text}};

	return job_run_scripts(run, run->admin, settings, 2, &purge_close_sql, 1) &&
		   end_prepared(run, run->admin) && end_prepared_inside(run);
}

/* ---- rows ---- */

/* In the order of the query's columns. */
enum { BATCH, WHOLE };

/* One table's rows of this tenant, some thousand at a time. *refers tells that rows of others
 * hold on to them. */
static bool delete_rows(struct job_run *run, PGconn *connection, const char *sql, bool *refers)
{
	for (;;) {
		PGresult *result = job_ask(run, connection, sql, 0, NULL);
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
static bool delete_all(struct job_run *run, PGconn *connection, const PGresult *tables)
{
	bool refers = false, done = true;

	for (int row = 0; done && row < PQntuples(tables); row++)
		done = delete_rows(run, connection, PQgetvalue(tables, row, BATCH), &refers);
	if (done || !refers || run->state != JOB_REFUSED)
		return done;
	run->state = JOB_RUNNING;
	return job_do(run, connection, PQgetvalue(tables, 0, WHOLE));
}

static bool delete_on(struct job_run *run, PGconn *connection)
{
	const char *const values[] = {run->tenant_text, run->key};
	PGresult *tables = job_ask(run, connection, purge_tables_sql, 2, values);
	bool done = tables && (PQntuples(tables) == 0 || delete_all(run, connection, tables));

	PQclear(tables);
	return done;
}

/* The login with a password that nobody else knows. Another one closes it again. */
static PGconn *reopen(struct job_run *run)
{
	unsigned char drawn[32];
	char password[2 * sizeof drawn + 1];
	char *verifier;
	PGconn *tenant = NULL;

	secret_random(drawn, sizeof drawn);
	hex_encode(drawn, sizeof drawn, password);
	verifier = PQencryptPasswordConn(run->admin, password, run->own, "scram-sha-256");
	const struct job_setting settings[] = {{"own", run->own},
										   {"verifier", verifier ? verifier : ""}};
	const struct cluster_login login = {.database = run->cluster->database,
										.login = run->own,
										.password = password,
										.options = "-c search_path=pg_catalog",
										.name = "bulkhead job"};
	if (verifier && job_run_scripts(run, run->admin, settings, 2, &purge_open_sql, 1))
		tenant = cluster_connect(run->cluster, &login);
	if (tenant && PQstatus(tenant) != CONNECTION_OK) {
		job_fail(run, true, "%.*s", (int)strcspn(PQerrorMessage(tenant), "\n"),
				 PQerrorMessage(tenant));
		PQfinish(tenant);
		tenant = NULL;
	}
	PQfreemem(verifier);
	secret_wipe(drawn, sizeof drawn);
	secret_wipe(password, sizeof password);
	return tenant;
}

/* Policies show the tenant its own rows and no others. */
static bool delete_as_tenant(struct job_run *run)
{
	const char *const values[] = {run->own};
	bool exists = false, done;
	PGconn *tenant;

	if (!job_ask_bool(run, run->admin,
					  "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1)", 1,
					  values, &exists))
		return false;
	if (!exists)
		return true; /* what a job that failed early had made */
	tenant = reopen(run);
	done = tenant && delete_on(run, tenant);
	PQfinish(tenant);
	return done && close_doors(run);
}

/*
 * An administrator whom policies bind would see no rows, and think that there are none. Then it
 * is done with the login that is the context, or fails. A tenant with a schema or a database of
 * its own has none in shared tables; they are looked for where that is possible.
 */
static bool delete_shared(struct job_run *run)
{
	bool sees_all = false;

	if (!job_ask_bool(run, run->admin,
					  "SELECT r.rolsuper OR r.rolbypassrls FROM pg_catalog.pg_roles AS r"
					  " WHERE r.rolname = current_user",
					  0, NULL, &sees_all))
		return false;
	if (!sees_all && run->strategy != JOB_SHARED)
		return true;
	if (!sees_all && run->is_own)
		return delete_as_tenant(run);
	return job_do(run, run->admin, "SET row_security = off") && delete_on(run, run->admin);
}

/* ---- what is its own ---- */

static bool drop_database(struct job_run *run)
{
	return job_do_named(run, run->admin, "DROP DATABASE IF EXISTS %s WITH (FORCE)", run->own,
						NULL);
}

/* What other tenants have given to the login in databases of their own would keep it from being
 * dropped. It owns nothing there. */
static bool leave_other_databases(struct job_run *run)
{
	static const char sql[] = "SELECT DISTINCT d.datname FROM pg_catalog.pg_shdepend AS s"
							  " JOIN pg_catalog.pg_roles AS r ON r.oid = s.refobjid"
							  " JOIN pg_catalog.pg_database AS d ON d.oid = s.dbid"
							  " WHERE s.refclassid = 'pg_authid'::regclass AND r.rolname = $1"
							  " AND d.datname <> current_database()"
							  " AND d.datname ~ '^t_[0-9a-f]{32}$'";
	const char *const values[] = {run->own};
	PGresult *databases = job_ask(run, run->admin, sql, 1, values);
	bool done = databases != NULL;

	for (int row = 0; done && row < PQntuples(databases); row++) {
		PGconn *inside = job_connect(run, PQgetvalue(databases, row, 0));

		/* Whoever gave it may hold it in a transaction that stays open. */
		done = inside && job_do(run, inside, "SET lock_timeout = '20s'") &&
			   job_do_named(run, inside, "DROP OWNED BY %s", run->own, NULL);
		PQfinish(inside);
	}
	PQclear(databases);
	return done;
}

/* Of tenants with fewer all goes at once, or nothing. A table with its indexes takes some five
 * locks, and a server has 6400 by default. */
#define MANY_THINGS "1000"

/* As long as there is too much for one transaction, and some of it goes. */
static bool thin_out(struct job_run *run)
{
	static const char sql[] =
		"SELECT count(*) > " MANY_THINGS " AND current_setting('bulkhead.thinned', true)"
		" IS DISTINCT FROM '0' FROM pg_catalog.pg_shdepend AS s"
		" JOIN pg_catalog.pg_roles AS r ON r.oid = s.refobjid"
		" JOIN pg_catalog.pg_database AS d ON d.oid = s.dbid"
		" WHERE s.refclassid = 'pg_authid'::regclass AND s.deptype = 'o' AND r.rolname = $1"
		" AND d.datname = current_database()";
	const char *const values[] = {run->own};
	const struct job_setting settings[] = {{"own", run->own}};
	bool many = false;

	do {
		if (!job_ask_bool(run, run->admin, sql, 1, values, &many))
			return false;
	} while (many && job_run_scripts(run, run->admin, settings, 1, &purge_thin_sql, 1));
	return !many;
}

static bool drop_role(struct job_run *run)
{
	bool is_shared = run->strategy == JOB_SHARED && run->is_own && run->key;
	const struct job_setting settings[] = {{"own", run->own},
										   {"tenant", run->tenant_text},
										   {"shared", is_shared ? "true" : "false"}};

	return leave_other_databases(run) && thin_out(run) &&
		   job_run_scripts(run, run->admin, settings, 3, &purge_role_sql, 1);
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
