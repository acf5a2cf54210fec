/*
 * Making what a tenant has of its own, step by step. The SQL is in admin/provision: all that an
 * administrator runs. What runs in a tenant's schema or database once it is the tenant's runs
 * as the tenant (provision_probe.c).
 */
#include <stdlib.h>
#include <string.h>

#include "admin/job_run.h"
#include "base/embed.h"
#include "base/secret.h"

EMBED_TEXT(role_sql, "admin/provision/role.sql");
EMBED_TEXT(ground_sql, "admin/provision/ground.sql");
EMBED_TEXT(schema_sql, "admin/provision/schema.sql");
EMBED_TEXT(clone_sql, "admin/provision/clone.sql");
EMBED_TEXT(schema_end_sql, "admin/provision/schema_end.sql");
EMBED_TEXT(database_sql, "admin/provision/database.sql");

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- the login ---- */

/* What PostgreSQL keeps of the password; "" for a login without one. NULL when it failed. */
static char *make_verifier(struct job_run *run)
{
	char password[OWN_PASSWORD_SIZE], *made = NULL, *verifier;

	if (!run->secret)
		return strdup("");
	if (own_password(run->secret, 0, &run->tenant, password))
		made = PQencryptPasswordConn(run->admin, password, run->own, "scram-sha-256");
	secret_wipe(password, sizeof password);
	verifier = made ? strdup(made) : NULL;
	if (made)
		secret_wipe(made, strlen(made));
	PQfreemem(made);
	if (!verifier)
		job_fail(run, false,
				 "the password cannot be made: does secret_file hold the key of "
				 "another tenant alone?");
	return verifier;
}

static const char *group_of(const struct job_run *run)
{
	if (run->strategy == JOB_SHARED)
		return "bulkhead_app";
	return run->strategy == JOB_SCHEMA && *run->cluster->shared_schemas ? "bulkhead_tenants"
																		: "";
}

bool provision_role(struct job_run *run)
{
	char *verifier = make_verifier(run);
	const struct job_setting settings[] = {{"own", run->own},
										   {"tenant", run->tenant_text},
										   {"verifier", verifier},
										   {"group", group_of(run)}};
	bool done =
		verifier && job_run_scripts(run, run->admin, settings, COUNT(settings), &role_sql, 1);

	secret_free(verifier);
	return done;
}

/* ---- a schema ---- */

static bool make_schema(struct job_run *run)
{
	const struct job_setting settings[] = {{"own", run->own},
										   {"again", run->again ? "true" : "false"},
										   {"template", run->cluster->template_schema},
										   {"shared_schemas", run->cluster->shared_schemas}};
	const char *const scripts[] = {ground_sql, schema_sql, clone_sql, schema_end_sql};

	return job_run_scripts(run, run->admin, settings, COUNT(settings), scripts, COUNT(scripts));
}

/* ---- a database ---- */

static bool has_database(struct job_run *run, bool *has)
{
	const char *const values[] = {run->own};

	return job_ask_bool(
		run, run->admin,
		"SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datallowconn)", 1,
		values, has);
}

/*
 * Nobody can connect before PUBLIC has lost the right to. A database that does not allow
 * connections was begun by an attempt that ended before that; the template may have changed
 * since, so it is made anew.
 */
static bool make_database(struct job_run *run)
{
	const char *template = run->cluster->template_database;
	bool has;

	if (!has_database(run, &has))
		return false;
	if (has && !run->again)
		return true;
	return job_do_named(run, run->admin, "DROP DATABASE IF EXISTS %s WITH (FORCE)", run->own,
						NULL) &&
		   job_do_named(run, run->admin,
						"CREATE DATABASE %s TEMPLATE %s ALLOW_CONNECTIONS false", run->own,
						*template ? template : "template0", NULL) &&
		   job_do_named(run, run->admin, "REVOKE ALL ON DATABASE %s FROM PUBLIC", run->own,
						NULL) &&
		   job_do_named(run, run->admin, "ALTER DATABASE %s ALLOW_CONNECTIONS true", run->own,
						NULL);
}

/* What is in it becomes the tenant's; the tenant may connect only then. */
static bool furnish_database(struct job_run *run)
{
	const struct job_setting settings[] = {{"own", run->own}};
	PGconn *inside = job_connect(run, run->own);
	bool done =
		inside && job_run_scripts(run, inside, settings, COUNT(settings), &database_sql, 1);

	PQfinish(inside);
	return done &&
		   job_do_named(run, run->admin, "GRANT CONNECT, TEMPORARY ON DATABASE %s TO %s",
						run->own, run->own, NULL);
}

/* ---- shared tables ---- */

/* The application's own key, which the login cannot carry. */
static bool register_key(struct job_run *run)
{
	const char *const values[] = {run->tenant_text, run->key};
	bool known = false;

	if (!job_ask_bool(run, run->admin,
					  "SELECT pg_catalog.to_regprocedure('bulkhead.set_login_key(uuid, text)') "
					  "IS NOT NULL",
					  0, NULL, &known))
		return false;
	if (!known || !run->key)
		return true;
	PGresult *result =
		job_ask(run, run->admin, "SELECT bulkhead.set_login_key($1, $2)", 2, values);
	PQclear(result);
	return result != NULL;
}

/* ---- in order ---- */

static const struct job_step schema_steps[] = {{"role", provision_role},
											   {"schema", make_schema},
											   {"probe", provision_probe},
											   {NULL, NULL}};
static const struct job_step database_steps[] = {{"role", provision_role},
												 {"database", make_database},
												 {"furnish", furnish_database},
												 {"probe", provision_probe},
												 {NULL, NULL}};
static const struct job_step login_steps[] = {
	{"role", provision_role}, {"key", register_key}, {"probe", provision_probe}, {NULL, NULL}};
static const struct job_step no_steps[] = {{NULL, NULL}};
static const struct job_step only_role[] = {{"password", provision_role}, {NULL, NULL}};

const struct job_step *provision_steps(const struct job_run *run)
{
	if (*run->cluster->tenant || !run->is_own)
		return no_steps;
	switch (run->strategy) {
	case JOB_SCHEMA:
		return schema_steps;
	case JOB_DATABASE:
		return database_steps;
	case JOB_SHARED:
		return login_steps;
	}
	return NULL;
}

const struct job_step *rotate_steps(const struct job_run *run)
{
	return run->is_own && !*run->cluster->tenant ? only_role : no_steps;
}
