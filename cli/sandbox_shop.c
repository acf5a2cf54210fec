#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/embed.h"
#include "base/secret.h"
#include "cli/sandbox.h"

EMBED_TEXT(shop_schema_sql, "cli/shop/schema.sql");
EMBED_TEXT(shop_rows_sql, "cli/shop/rows.sql");
EMBED_TEXT(shop_own_sql, "cli/shop/own.sql");
EMBED_TEXT(shop_own_rows_sql, "cli/shop/own_rows.sql");

/* Tenants that share no tables, and where each one's are. */
struct own_tenant {
	const char *slug, *name, *strategy;
	bool has_database;
};

static const struct own_tenant own_tenants[] = {
	{"initech", "Initech", "schema", false},
	{"umbrella", "Umbrella", "database", true},
};

#define OWN_TENANT_COUNT (sizeof own_tenants / sizeof *own_tenants)

/* ---- SQL ---- */

static void drop_notice(void *nothing, const PGresult *notice)
{
	(void)nothing;
	(void)notice;
}

PGconn *sandbox_connect(const struct sandbox *sandbox, const char *database)
{
	char *dsn = sandbox_superuser_dsn(sandbox, database);
	PGconn *connection = PQconnectdb(dsn);

	secret_free(dsn);
	if (PQstatus(connection) == CONNECTION_OK) {
		PQsetNoticeReceiver(connection, drop_notice, NULL);
		return connection;
	}
	sandbox_complain("cannot connect to database %s: %s", database, PQerrorMessage(connection));
	PQfinish(connection);
	return NULL;
}

/* Runs one or more statements. */
static bool run_sql(PGconn *connection, const char *what, const char *sql)
{
	PGresult *result = PQexec(connection, sql);
	ExecStatusType status = PQresultStatus(result);
	bool done = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;

	if (!done)
		sandbox_complain("cannot %s: %s", what, PQresultErrorMessage(result));
	PQclear(result);
	return done;
}

/* A database that its owner made, and the owner, who logs in nowhere. */
static bool create_database(const struct sandbox *sandbox)
{
	PGconn *connection = sandbox_connect(sandbox, "postgres");
	bool done =
		connection &&
		run_sql(connection, "create the owner", "CREATE ROLE " SANDBOX_OWNER " NOLOGIN") &&
		run_sql(connection, "create the database",
				"CREATE DATABASE " SANDBOX_DATABASE " OWNER " SANDBOX_OWNER);

	PQfinish(connection);
	return done;
}

static bool run_in_shop(const struct sandbox *sandbox, const char *what, const char *sql)
{
	PGconn *connection = sandbox_connect(sandbox, SANDBOX_DATABASE);
	bool done = connection && run_sql(connection, what, sql);

	PQfinish(connection);
	return done;
}

/* ---- our own subcommands ---- */

/* Copies what a step wrote into the log to standard error, for the step that failed. */
static void show_log_from(const struct sandbox *sandbox, off_t start)
{
	char *path = sandbox_path(sandbox, "setup.log"), part[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && lseek(fd, start, SEEK_SET) == start) {
		for (ssize_t got; (got = read(fd, part, sizeof part)) > 0;)
			fwrite(part, 1, (size_t)got, stderr);
	}
	if (fd >= 0)
		close(fd);
	free(path);
}

/* Runs this very program with other words; passwords go through its environment, never its
 * arguments. */
static bool run_self(struct sandbox *sandbox, const char *const *argv)
{
	int log = sandbox_log_open(sandbox, "setup.log");
	struct stat before;

	if (log < 0)
		return false;

	char *dsn = sandbox_superuser_dsn(sandbox, SANDBOX_DATABASE);
	const char *const set[] = {"CONTROL_DSN", dsn, "PGPASSWORD", sandbox->superuser_password,
							   NULL};
	const struct process_spec spec = {
		.file = "/proc/self/exe",
		.argv = argv,
		.set = set,
		.output = log,
		.death_signal = SIGTERM,
	};
	off_t start = fstat(log, &before) == 0 ? before.st_size : 0;
	bool done = watch_run(&sandbox->watch, &spec);

	if (!done && !sandbox->watch.stop_signal) {
		show_log_from(sandbox, start);
		sandbox_complain("bulkhead %s failed", argv[1]);
	}
	close(log);
	secret_free(dsn);
	return done;
}

static bool install_guard(struct sandbox *sandbox)
{
	char *keys = sandbox_path(sandbox, "keys");
	char *dsn =
		sandbox_text("host=" SANDBOX_HOST " port=%d dbname=" SANDBOX_DATABASE " user=postgres",
					 sandbox->postgres_port);
	const char *const argv[] = {"bulkhead",    "init",        "--dsn",  dsn,
								"--hardening", "strict",      "--keys", keys,
								"--owner",     SANDBOX_OWNER, NULL};
	bool done = run_self(sandbox, argv);

	free(keys);
	free(dsn);
	return done;
}

static bool create_tenants(struct sandbox *sandbox)
{
	static const char *const acme[] = {"bulkhead", "tenant",           "create", "acme",
									   "--name",   "Acme Corporation", NULL};
	static const char *const labs[] = {"bulkhead", "tenant", "create", "acme-labs",
									   "--parent", "acme",   "--name", "Acme Laboratories",
									   NULL};
	static const char *const globex[] = {"bulkhead", "tenant", "create", "globex",
										 "--name",   "Globex", NULL};

	return run_self(sandbox, acme) && run_self(sandbox, labs) && run_self(sandbox, globex);
}

static bool create_principal(struct sandbox *sandbox)
{
	char *file = sandbox_path(sandbox, "shop.password");
	const char *const argv[] = {"bulkhead",        "principal", "create",  SANDBOX_PRINCIPAL,
								"--home",          "acme",      "--reach", "all",
								"--password-file", file,        NULL};
	bool done = run_self(sandbox, argv);

	free(file);
	return done;
}

/* ---- tenants with a schema or a database of their own ---- */

static bool create_templates(const struct sandbox *sandbox)
{
	PGconn *shop = sandbox_connect(sandbox, SANDBOX_DATABASE);
	bool done =
		shop && run_sql(shop, "make the template schema", "CREATE SCHEMA " SANDBOX_TEMPLATE) &&
		run_sql(shop, "enter the template schema", "SET search_path = " SANDBOX_TEMPLATE) &&
		run_sql(shop, "make the template schema's tables", shop_own_sql) &&
		run_sql(shop, "make the template database", "CREATE DATABASE " SANDBOX_TEMPLATE);

	PQfinish(shop);
	PGconn *template = done ? sandbox_connect(sandbox, SANDBOX_TEMPLATE) : NULL;
	done = template && run_sql(template, "make the template database's tables", shop_own_sql);
	PQfinish(template);
	return done;
}

/* Its own name, t_ and 32 digits, from malloc; NULL when there is no such tenant. */
static char *find_own_name(const struct sandbox *sandbox, const char *slug)
{
	static const char sql[] = "SELECT 't_' || replace(id::text, '-', '') "
							  "FROM bulkhead_control.tenant WHERE slug = $1";
	PGconn *connection = sandbox_connect(sandbox, SANDBOX_DATABASE);
	PGresult *result =
		connection ? PQexecParams(connection, sql, 1, NULL, &slug, NULL, NULL, 0) : NULL;
	char *name = PQntuples(result) == 1 ? sandbox_text("%s", PQgetvalue(result, 0, 0)) : NULL;

	PQclear(result);
	PQfinish(connection);
	return name;
}

static bool fill_own(const struct sandbox *sandbox, const struct own_tenant *tenant)
{
	char *name = find_own_name(sandbox, tenant->slug);
	PGconn *connection =
		name ? sandbox_connect(sandbox, tenant->has_database ? name : SANDBOX_DATABASE) : NULL;
	char *place = sandbox_text("SET search_path = %s; SET shop.tenant = '%s'",
							   name && !tenant->has_database ? name : "public", tenant->slug);
	bool done = connection && run_sql(connection, "find the tenant's tables", place) &&
				run_sql(connection, "fill the tenant's tables", shop_own_rows_sql);

	PQfinish(connection);
	free(place);
	free(name);
	return done;
}

static bool create_own_tenant(struct sandbox *sandbox, const struct own_tenant *tenant)
{
	char *settings = sandbox_path(sandbox, "bulkhead.ini");
	const char *const argv[] = {"bulkhead", "tenant",     "create",     tenant->slug,
								"--name",   tenant->name, "--strategy", tenant->strategy,
								"-c",       settings,     NULL};
	bool done = run_self(sandbox, argv) && fill_own(sandbox, tenant);

	free(settings);
	return done;
}

/* A sandbox of an earlier version has none of them. */
static bool create_own_tenants(struct sandbox *sandbox)
{
	char *first = find_own_name(sandbox, own_tenants[0].slug);
	bool done = first || (sandbox_files_write(sandbox) && create_templates(sandbox));

	for (size_t i = 0; done && !first && i < OWN_TENANT_COUNT; i++)
		done = create_own_tenant(sandbox, &own_tenants[i]);
	free(first);
	return done;
}

bool sandbox_shop_create(struct sandbox *sandbox)
{
	return create_database(sandbox) && install_guard(sandbox) &&
		   run_in_shop(sandbox, "make the shop's tables", shop_schema_sql) &&
		   create_tenants(sandbox) && run_in_shop(sandbox, "fill the shop", shop_rows_sql) &&
		   create_principal(sandbox) && create_own_tenants(sandbox);
}

bool sandbox_shop_upgrade(struct sandbox *sandbox)
{
	return install_guard(sandbox) && create_own_tenants(sandbox);
}
