#include <arpa/inet.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/secret.h"
#include "cli/sandbox.h"

#define OLDEST_MAJOR 15 /* the guard needs GRANT SET ON PARAMETER */
#define NEWEST_MAJOR 18
#define START_MS     60000
#define STOP_MS      60000
#define POLL_MS      50

/* ---- ports ---- */

/* A socket bound to the port on loopback, or -1. */
static int bind_loopback(int port)
{
	const struct sockaddr_in address = {.sin_family = AF_INET,
										.sin_port = htons((uint16_t)port),
										.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;

	/* As servers do, so that connections in TIME_WAIT are no obstacle. */
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
		bind(fd, (const struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

bool sandbox_port_is_free(int port)
{
	int fd = bind_loopback(port);
	bool is_free = fd >= 0 && listen(fd, 1) == 0;

	if (fd >= 0)
		close(fd);
	return is_free;
}

int sandbox_port_choose(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t length = sizeof address;
	int fd = bind_loopback(0), port = 0;

	if (fd >= 0 && getsockname(fd, (struct sockaddr *)&address, &length) == 0)
		port = ntohs(address.sin_port);
	if (fd >= 0)
		close(fd);
	return port;
}

/* ---- programs and account ---- */

static bool has_programs(const char *folder)
{
	char *initdb = sandbox_text("%s/initdb", folder);
	char *postgres = sandbox_text("%s/postgres", folder);
	bool both = access(initdb, X_OK) == 0 && access(postgres, X_OK) == 0;

	free(initdb);
	free(postgres);
	return both;
}

static bool find_programs(struct sandbox *sandbox)
{
	const char *chosen = getenv("PG_BIN");

	if (chosen && *chosen) {
		sandbox->programs = sandbox_text("%s", chosen);
		return has_programs(chosen) ||
			   sandbox_complain("no initdb and postgres in %s (from PG_BIN)", chosen);
	}
	for (int major = OLDEST_MAJOR; major <= NEWEST_MAJOR; major++) {
		sandbox->programs = sandbox_text("/usr/lib/postgresql/%d/bin", major);
		if (has_programs(sandbox->programs))
			return true;
		free(sandbox->programs);
	}
	sandbox->programs = NULL;
	return sandbox_complain(
		"PostgreSQL %d or later is not installed; set PG_BIN to the folder of initdb "
		"and postgres",
		OLDEST_MAJOR);
}

/* The owner of a cluster that is there already, so that root can start a user's sandbox too. */
static bool owner_of_data(const struct sandbox *sandbox, struct account *account)
{
	struct stat about;

	if (lstat(sandbox->data, &about) != 0 || about.st_uid == 0)
		return false;
	*account = (struct account){.uid = about.st_uid, .gid = about.st_gid};
	return true;
}

static bool choose_account(struct sandbox *sandbox)
{
	sandbox->account = (struct account){.uid = geteuid(), .gid = getegid()};
	if (geteuid() != 0)
		return true;

	sandbox->other_account = true;
	if (owner_of_data(sandbox, &sandbox->account))
		return true;

	const struct passwd *user = getpwnam("postgres");
	if (!user)
		return sandbox_complain(
			"PostgreSQL does not run as root, and there is no user postgres; "
			"start the sandbox as another user");
	sandbox->account = (struct account){.uid = user->pw_uid, .gid = user->pw_gid};
	return true;
}

bool sandbox_cluster_find(struct sandbox *sandbox)
{
	return find_programs(sandbox) && choose_account(sandbox);
}

bool sandbox_cluster_exists(const struct sandbox *sandbox)
{
	char *path = sandbox_text("%s/PG_VERSION", sandbox->data);
	bool exists = access(path, F_OK) == 0;

	free(path);
	return exists;
}

/* ---- what a crashed run left ---- */

bool sandbox_cluster_clear(struct sandbox *sandbox)
{
	if (!sandbox_logs_wait(sandbox))
		return false;

	/* Nobody is left, so the file is stale; its process number may be another program's by now.
	 */
	char *pid_file = sandbox_text("%s/postmaster.pid", sandbox->data);
	unlink(pid_file);
	free(pid_file);
	return true;
}

/* ---- making ---- */

/* initdb reads the superuser's password from a file that its own user can open. */
static char *write_password_file(const struct sandbox *sandbox)
{
	char *path = sandbox_text("%s/superuser.password", sandbox->run);
	const char *why = NULL;

	if (secret_write_file(path, sandbox->superuser_password,
						  strlen(sandbox->superuser_password), &why) &&
		(!sandbox->other_account ||
		 chown(path, sandbox->account.uid, sandbox->account.gid) == 0))
		return path;
	sandbox_complain("cannot write %s: %s", path, why ? why : strerror(errno));
	unlink(path);
	free(path);
	return NULL;
}

/* PostgreSQL's programs find each other by the path that they are called by. */
bool sandbox_cluster_create(struct sandbox *sandbox)
{
	char *program = sandbox_text("%s/initdb", sandbox->programs);
	char *password_file = write_password_file(sandbox);
	int log = sandbox_log_open(sandbox, "setup.log");
	bool made = false;

	if (password_file && log >= 0) {
		const char *const argv[] = {program,       "--pgdata",   sandbox->data,   "--username",
									"postgres",    "--auth",     "scram-sha-256", "--pwfile",
									password_file, "--encoding", "UTF8",          "--locale",
									"C.UTF-8",     NULL};
		const struct process_spec spec = {
			.file = program,
			.argv = argv,
			.account = sandbox->other_account ? &sandbox->account : NULL,
			.output = log,
			.death_signal = SIGTERM,
		};

		made = watch_run(&sandbox->watch, &spec);
		if (!made && !sandbox->watch.stop_signal)
			sandbox_complain("initdb failed; see %s/setup.log", sandbox->dir);
	}
	if (log >= 0)
		close(log);
	if (password_file)
		unlink(password_file);
	free(password_file);
	free(program);
	return made;
}

/* ---- starting and stopping ---- */

static bool choose_port(struct sandbox *sandbox)
{
	if (sandbox->postgres_port && sandbox_port_is_free(sandbox->postgres_port))
		return true;
	sandbox->postgres_port = sandbox_port_choose();
	if (!sandbox->postgres_port)
		return sandbox_complain("no free port on loopback: %s", strerror(errno));
	return sandbox_state_write(sandbox);
}

static bool launch(struct sandbox *sandbox, int log)
{
	static const char addresses[] = "--listen_addresses=" SANDBOX_HOST;
	char *program = sandbox_text("%s/postgres", sandbox->programs);
	char *port = sandbox_text("--port=%d", sandbox->postgres_port);
	char *sockets = sandbox_text("--unix_socket_directories=%s", sandbox->run);
	const char *const argv[] = {
		program,
		"-D",
		sandbox->data,
		addresses,
		port,
		sockets,
		"--max_connections=100",
		"--shared_buffers=64MB",
		"--cluster_name=bulkhead-sandbox",
		NULL,
	};
	const struct process_spec spec = {
		.file = program,
		.argv = argv,
		.account = sandbox->other_account ? &sandbox->account : NULL,
		.output = log,
		.death_signal = SIGINT, /* fast shutdown */
	};
	bool started = watch_start(&sandbox->watch, &sandbox->postgres, &spec) ||
				   sandbox_complain("cannot start PostgreSQL: %s", strerror(errno));

	free(program);
	free(port);
	free(sockets);
	return started;
}

static bool wait_until_ready(struct sandbox *sandbox)
{
	int64_t until = clock_monotonic_us() + (int64_t)START_MS * 1000;
	char *dsn = sandbox_superuser_dsn(sandbox, "postgres");
	bool ready = false;

	while (!ready && sandbox->postgres.running && !sandbox->watch.stop_signal &&
		   clock_monotonic_us() < until) {
		watch_poll(&sandbox->watch, POLL_MS);
		ready = sandbox->postgres.running && PQping(dsn) == PQPING_OK;
	}
	secret_free(dsn);
	if (!ready && !sandbox->watch.stop_signal)
		sandbox_complain("PostgreSQL did not start; see %s/postgres.log", sandbox->dir);
	return ready;
}

bool sandbox_cluster_start(struct sandbox *sandbox)
{
	int log = sandbox_log_open(sandbox, "postgres.log");

	if (log < 0)
		return false;

	bool started = choose_port(sandbox) && launch(sandbox, log) && wait_until_ready(sandbox);
	close(log);
	return started;
}

void sandbox_cluster_stop(struct sandbox *sandbox)
{
	watch_stop(&sandbox->watch, &sandbox->postgres, SIGINT, STOP_MS);
}
