/*
 * The probe: before a tenant becomes active, it is tried from inside, with its own login, that
 * what it needs is there and that nothing else is open to it, and from outside, as a stranger,
 * that nobody else is let in.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/cluster_connect.h"
#include "admin/job_run.h"
#include "base/embed.h"

EMBED_TEXT(probe_tenant_sql, "admin/provision/probe_tenant.sql");
EMBED_TEXT(probe_copy_sql, "admin/provision/probe_copy.sql");

#define OPTIONS_MAX 96
#define PUBLIC      "public" /* the schema of a database of a tenant's own */

/* Rows are faults: none is fine. `who` is put in front. */
static bool judge(struct job_run *run, PGresult *faults, const char *who)
{
	bool sound = faults && PQntuples(faults) == 0;

	if (faults && !sound)
		job_fail(run, false, "the probe failed: %s: %s%s%s", who, PQgetvalue(faults, 0, 0),
				 PQntuples(faults) > 1 ? "; " : "",
				 PQntuples(faults) > 1 ? PQgetvalue(faults, 1, 0) : "");
	PQclear(faults);
	return sound;
}

/* ---- as the tenant ---- */

/*
 * A server that does not answer, is full or starting is answered by another attempt. What the
 * tenant's login may not do, and what is not there, stays so.
 */
static bool may_pass(const PGconn *tenant)
{
	static const char *const classes[] = {"28", "3D", "42"};
	char state[CLUSTER_STATE_SIZE];

	if (!tenant)
		return true;
	if (!cluster_connect_state(tenant, state))
		return !PQconnectionNeedsPassword(tenant);
	for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
		if (strncmp(state, classes[i], strlen(classes[i])) == 0)
			return false;
	}
	return true;
}

static PGconn *enter(struct job_run *run, const char *database, const char *options)
{
	const struct cluster_login login = {
		.database = database, .options = options, .name = "bulkhead probe"};
	const char *kid = run->secret ? guard_keyring_kid(run->secret, 0) : NULL;
	PGconn *tenant = cluster_connect_as_tenant(run->cluster, &run->tenant, kid, &login);

	if (tenant && PQstatus(tenant) == CONNECTION_OK)
		return tenant;
	const char *why = tenant ? PQerrorMessage(tenant) : "out of memory";
	job_fail(run, may_pass(tenant), "the probe failed: %s: %.*s", run->own,
			 (int)strcspn(why, "\n"), why);
	PQfinish(tenant);
	return NULL;
}

/* What every sidecar asks before it uses a connection of this login. */
static bool pass_self_check(struct job_run *run, PGconn *tenant)
{
	bool is_shared = run->strategy == JOB_SHARED;
	const char *fields[GUARD_CHECK_COLUMNS];
	PGresult *row = job_ask(
		run, tenant, is_shared ? guard_login_check_sql : guard_tenant_check_sql(), 0, NULL);
	size_t count = row && PQntuples(row) == 1 ? (size_t)PQnfields(row) : 0;
	struct buf why;
	bool sound;

	if (!row)
		return false;
	buf_init(&why);
	for (size_t i = 0; i < count && i < GUARD_CHECK_COLUMNS; i++)
		fields[i] = PQgetisnull(row, 0, (int)i) ? NULL : PQgetvalue(row, 0, (int)i);
	sound = count <= GUARD_CHECK_COLUMNS &&
			(is_shared ? guard_login_check_judge(fields, count, &run->tenant, &why)
					   : guard_tenant_check_judge(fields, count, &run->tenant, &why));
	if (!sound)
		job_fail(run, false, "the probe failed: %.*s", (int)buf_len(&why),
				 (const char *)buf_data(&why));
	buf_fini(&why);
	PQclear(row);
	return sound;
}

/* Schemas as an array of PostgreSQL's, from words between commas. */
static char *array_of(const char *words)
{
	struct buf out;
	char *array = NULL;
	bool fine, open = false;

	buf_init(&out);
	fine = buf_append_byte(&out, '{');
	for (; fine && *words; words++) {
		bool blank = *words == ',' || *words == ' ' || *words == '\t';

		if (blank == open)
			fine = buf_appendf(&out, "%s", blank ? "\"" : buf_len(&out) > 1 ? ",\"" : "\"");
		open = !blank;
		if (fine && !blank && (*words == '"' || *words == '\\'))
			fine = buf_append_byte(&out, '\\');
		if (fine && !blank)
			fine = buf_append_byte(&out, (uint8_t)*words);
	}
	if (fine && buf_appendf(&out, open ? "\"}" : "}") && buf_append_byte(&out, '\0'))
		array = strdup((const char *)buf_data(&out));
	buf_fini(&out);
	return array;
}

static bool ask_inside(struct job_run *run, PGconn *tenant, const char *schema)
{
	bool makes = run->strategy != JOB_SHARED;
	char *others = array_of(run->strategy == JOB_SCHEMA ? run->cluster->shared_schemas : "");
	const char *const values[] = {run->own, schema, others, makes ? "true" : "false"};
	bool sound =
		others && judge(run, job_ask(run, tenant, probe_tenant_sql, 4, values), run->own);

	free(others);
	return sound;
}

/* Makes, writes, reads and takes back. */
static bool try_inside(struct job_run *run, PGconn *tenant)
{
	return job_do(run, tenant, "BEGIN") &&
		   job_do(run, tenant, "CREATE TABLE bulkhead_probe (n integer PRIMARY KEY)") &&
		   job_do(run, tenant, "INSERT INTO bulkhead_probe VALUES (1)") &&
		   job_do(run, tenant, "SELECT n FROM bulkhead_probe") &&
		   job_do(run, tenant, "ROLLBACK");
}

static bool is_complete(struct job_run *run, PGconn *tenant)
{
	const char *const values[] = {run->cluster->template_schema, run->own};

	return !*run->cluster->template_schema ||
		   judge(run, job_ask(run, tenant, probe_copy_sql, 2, values), "the copy");
}

static bool probe_schema(struct job_run *run)
{
	char options[OPTIONS_MAX];

	snprintf(options, sizeof options, "-c search_path=%s", run->own);
	PGconn *tenant = enter(run, run->cluster->database, options);
	bool sound = tenant && pass_self_check(run, tenant) && ask_inside(run, tenant, run->own) &&
				 try_inside(run, tenant) && is_complete(run, tenant);
	PQfinish(tenant);
	return sound;
}

static bool probe_database(struct job_run *run)
{
	PGconn *tenant = enter(run, run->own, "-c search_path=" PUBLIC);
	const char *const values[] = {run->own};
	/* Of its own database it may use all that is the application's. */
	bool sound =
		tenant && try_inside(run, tenant) &&
		judge(run,
			  job_ask(run, tenant,
					  "SELECT 'it owns its database' FROM pg_catalog.pg_database d"
					  " WHERE d.datname = $1 AND pg_catalog.pg_has_role(d.datdba, "
					  "'MEMBER')"
					  " UNION ALL SELECT pg_catalog.format('it may connect to database "
					  "%I', d.datname)"
					  " FROM pg_catalog.pg_database AS d"
					  " WHERE d.datname ~ '^t_[0-9a-f]{32}$' AND d.datname <> $1"
					  " AND pg_catalog.has_database_privilege(d.oid, 'CONNECT')",
					  1, values),
			  run->own);

	PQfinish(tenant);
	return sound;
}

/* The context is the login. */
static bool probe_login(struct job_run *run)
{
	PGconn *tenant = enter(run, run->cluster->database, NULL);
	const char *const values[] = {run->tenant_text};
	bool sound = tenant && pass_self_check(run, tenant) &&
				 judge(run,
					   job_ask(run, tenant,
							   "SELECT 'its context is another tenant''s'"
							   " WHERE bulkhead.tenant_id() <> $1::uuid",
							   1, values),
					   run->own);

	PQfinish(tenant);
	return sound;
}

/* ---- as a stranger ---- */

/*
 * Another tenant with a login of its own there, else the pool's login. Whoever it is must be
 * told no. Why does not matter: a login may set things for itself that have all it does fail;
 * whether it has the right is what the catalogue is asked for besides.
 */
static PGconn *be_stranger(struct job_run *run, const char *database, char name[64])
{
	static const char sql[] =
		"SELECT t.id, t.login_kid FROM bulkhead_control.tenant t"
		" WHERE t.cluster = $1 AND t.id <> $2 AND t.status = 'active' AND t.login_kid IS NOT "
		"NULL"
		" LIMIT 1";
	const char *const values[] = {run->cluster->name, run->tenant_text};
	PGresult *other = PQexecParams(run->runner->control, sql, 2, NULL, values, NULL, NULL, 0);
	struct cluster_login login = {.database = database,
								  .login = run->cluster->login,
								  .password = run->cluster->password,
								  .name = "bulkhead probe"};
	struct uuid id;
	PGconn *stranger;

	if (run->secret && PQresultStatus(other) == PGRES_TUPLES_OK && PQntuples(other) == 1 &&
		uuid_parse(PQgetvalue(other, 0, 0), strlen(PQgetvalue(other, 0, 0)), &id)) {
		own_name(&id, name);
		stranger =
			cluster_connect_as_tenant(run->cluster, &id, PQgetvalue(other, 0, 1), &login);
	} else {
		snprintf(name, 64, "%s", run->cluster->login);
		stranger = cluster_connect(run->cluster, &login);
	}
	PQclear(other);
	return stranger;
}

/* Into the database of one tenant: refused at the door. A login that is no good anywhere, as
 * where the pool's is not in use, says nothing; then what the catalogue says must do. */
static bool refuse_at_door(struct job_run *run)
{
	char name[64];
	const char *const values[] = {name, run->own};
	PGconn *stranger = be_stranger(run, run->own, name);
	bool let_in = stranger && PQstatus(stranger) == CONNECTION_OK;

	PQfinish(stranger);
	if (let_in)
		return job_fail(run, false, "the probe failed: %s is let into database %s", name,
						run->own);
	return judge(
		run,
		job_ask(run, run->admin,
				"SELECT 'it may connect' FROM pg_catalog.pg_roles r WHERE r.rolname = $1"
				" AND pg_catalog.has_database_privilege(r.rolname, $2, 'CONNECT')"
				" AND NOT r.rolsuper",
				2, values),
		name);
}

static bool refuse_schema(struct job_run *run)
{
	char name[64], sql[128];
	PGconn *stranger = be_stranger(run, run->cluster->database, name);
	const char *const values[] = {name, run->own};
	bool refused = true;

	if (stranger && PQstatus(stranger) == CONNECTION_OK) {
		snprintf(sql, sizeof sql, "CREATE TABLE %s.bulkhead_probe (n integer)", run->own);
		PGresult *result = PQexec(stranger, sql);

		refused = PQresultStatus(result) != PGRES_COMMAND_OK;
		PQclear(result);
	}
	PQfinish(stranger);
	if (!refused)
		return job_fail(run, false, "the probe failed: %s may make things in schema %s", name,
						run->own);
	return judge(run,
				 job_ask(run, run->admin,
						 "SELECT 'it may use the schema' FROM pg_catalog.pg_roles r"
						 " WHERE r.rolname = $1 AND NOT r.rolsuper"
						 " AND pg_catalog.has_schema_privilege(r.rolname, $2, 'USAGE, CREATE')",
						 2, values),
				 name);
}

bool provision_probe(struct job_run *run)
{
	switch (run->strategy) {
	case JOB_SCHEMA:
		return probe_schema(run) && refuse_schema(run);
	case JOB_DATABASE:
		return probe_database(run) && refuse_at_door(run);
	case JOB_SHARED:
		return probe_login(run);
	}
	return false;
}
