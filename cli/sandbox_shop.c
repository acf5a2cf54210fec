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

#define OWNER "shop_owner"

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
	bool done = connection &&
				run_sql(connection, "create the owner", "CREATE ROLE " OWNER " NOLOGIN") &&
				run_sql(connection, "create the database",
						"CREATE DATABASE " SANDBOX_DATABASE " OWNER " OWNER);

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
	const char *const argv[] = {"bulkhead", "init", "--dsn",   dsn,   "--hardening", "strict",
								"--keys",   keys,   "--owner", OWNER, NULL};
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

bool sandbox_shop_create(struct sandbox *sandbox)
{
	return create_database(sandbox) && install_guard(sandbox) &&
		   run_in_shop(sandbox, "make the shop's tables", shop_schema_sql) &&
		   create_tenants(sandbox) && run_in_shop(sandbox, "fill the shop", shop_rows_sql) &&
		   create_principal(sandbox);
}

bool sandbox_shop_upgrade(struct sandbox *sandbox)
{
	return install_guard(sandbox);
}
