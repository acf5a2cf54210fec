#include "cli/sandbox.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/secret.h"
#include "cli/cli.h"

#define DEFAULT_DIR     "var/sandbox"
#define READY_MS        30000
#define RETRY_MS        100
#define SERVE_STOP_MS   15000
#define COMMAND_STOP_MS 10000

extern char **environ;

struct request {
	const char *dir;
	const char *command; /* of --exec, or NULL */
	int port;            /* 0: any free one */
	bool port_given;
	bool reset;
};

/* ---- command line ---- */

static const char usage[] =
	"usage: bulkhead sandbox [--dir DIR] [--port PORT] [--reset] [--exec COMMAND]\n"
	"\n"
	"Starts a private PostgreSQL with a small shop and five tenants, and Bulkhead in front of "
	"it;\n"
	"prints what to type. Ctrl-C stops both, and the next start finds the data again.\n"
	"\n"
	"  --dir DIR       where everything is kept (default: " DEFAULT_DIR ")\n"
	"  --port PORT     Bulkhead's port on 127.0.0.1; 0 for a free one (default: 6432 if that "
	"is free)\n"
	"  --reset         removes an earlier sandbox from DIR first\n"
	"  --exec COMMAND  runs `sh -c COMMAND` with the variables of DIR/env, stops, and exits "
	"with its status\n"
	"\n"
	"The environment's PG_BIN names the folder of initdb and postgres.\n";

static bool read_port(const char *text, int *port)
{
	char *end;

	errno = 0;
	long value = strtol(text, &end, 10);
	*port = (int)value;
	return errno == 0 && end != text && *end == '\0' && value >= 0 && value <= 65535;
}

/* CLI_DONE to go on; anything else is the exit status, also for --help. */
static int read_request(int argc, char **argv, struct request *request, bool *help)
{
	enum { DIR_ = 1, PORT, RESET, EXEC };
	static const struct option options[] = {
		{"dir", required_argument, NULL, DIR_}, {"port", required_argument, NULL, PORT},
		{"reset", no_argument, NULL, RESET},    {"exec", required_argument, NULL, EXEC},
		{"help", no_argument, NULL, 'h'},       {0}};

	*request = (struct request){.dir = DEFAULT_DIR, .port = SANDBOX_PORT};
	for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		if (option == DIR_ && *optarg) {
			request->dir = optarg;
		} else if (option == PORT && read_port(optarg, &request->port)) {
			request->port_given = true;
		} else if (option == RESET) {
			request->reset = true;
		} else if (option == EXEC) {
			request->command = optarg;
		} else if (option == 'h') {
			*help = true;
		} else {
			fputs(usage, stderr);
			return CLI_USAGE;
		}
	}
	if (optind != argc) {
		fputs(usage, stderr);
		return CLI_USAGE;
	}
	return CLI_DONE;
}

/*
 * libpq's variables and those of another sandbox would be obeyed by the programs started here.
 * Other BULKHEAD_ variables are settings, and pass.
 */
static void clear_environment(void)
{
	static const char *const ours[] = {
		"BULKHEAD_HOST",     "BULKHEAD_PORT", "BULKHEAD_DATABASE", "BULKHEAD_USER",
		"BULKHEAD_PASSWORD", "CONTROL_DSN",   "BULKHEAD_API",      "BULKHEAD_API_KEY"};

	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
		unsetenv(ours[i]);
	for (char **variable = environ; *variable;) {
		char *name = strndup(*variable, strcspn(*variable, "="));
		bool of_libpq = name && strncmp(name, "PG", 2) == 0 && name[2] != '_';

		/* unsetenv closes the gap: the next variable is at the same place. */
		if (!of_libpq || unsetenv(name) != 0)
			variable++;
		free(name);
	}
}

/* ---- PostgreSQL and what is in it ---- */

static bool prepare_folder(struct sandbox *sandbox, bool reset)
{
	if (!sandbox_cluster_clear(sandbox))
		return false;
	/* What was left half made is made again. */
	if ((reset || !sandbox->complete) && !sandbox_dir_reset(sandbox))
		return false;
	if (sandbox->complete && !sandbox_cluster_exists(sandbox))
		return sandbox_complain("the cluster in %s is gone; start over with --reset",
								sandbox->data);
	return sandbox_dir_places(sandbox) && sandbox_secrets(sandbox);
}

static bool start_database(struct sandbox *sandbox)
{
	if (sandbox->complete)
		return sandbox_cluster_start(sandbox) && sandbox_shop_upgrade(sandbox);

	fprintf(stderr, "making a PostgreSQL cluster in %s\n", sandbox->data);
	if (!sandbox_cluster_create(sandbox) || !sandbox_cluster_start(sandbox) ||
		!sandbox_shop_create(sandbox))
		return false;
	sandbox->complete = true;
	return sandbox_state_write(sandbox);
}

/* ---- Bulkhead ---- */

static bool choose_port(struct sandbox *sandbox, const struct request *request)
{
	sandbox->port = request->port;
	if (sandbox->port && sandbox_port_is_free(sandbox->port))
		return true;
	if (sandbox->port && request->port_given)
		return sandbox_complain("port %d is taken; name another one, or 0 for a free one",
								sandbox->port);
	sandbox->port = sandbox_port_choose();
	return sandbox->port || sandbox_complain("no free port on loopback: %s", strerror(errno));
}

static bool choose_api_port(struct sandbox *sandbox)
{
	sandbox->api_port = SANDBOX_API_PORT;
	if (sandbox->port == sandbox->api_port || !sandbox_port_is_free(sandbox->api_port))
		sandbox->api_port = sandbox_port_choose();
	return sandbox->api_port ||
		   sandbox_complain("no free port on loopback: %s", strerror(errno));
}

static bool launch_bulkhead(struct sandbox *sandbox)
{
	int log = sandbox_log_open(sandbox, "bulkhead.log");
	char *configuration = sandbox_path(sandbox, "bulkhead.ini");
	const char *const argv[] = {"bulkhead", "serve", "-c", configuration, NULL};
	const struct process_spec spec = {
		.file = "/proc/self/exe", .argv = argv, .output = log, .death_signal = SIGINT};
	bool started = log >= 0 && (watch_start(&sandbox->watch, &sandbox->bulkhead, &spec) ||
								sandbox_complain("cannot start Bulkhead: %s", strerror(errno)));

	if (log >= 0)
		close(log);
	free(configuration);
	return started;
}

/* Can a client log in as a tenant, and does the database know which one it is? */
static bool client_can_ask(const struct sandbox *sandbox, char **error)
{
	char *dsn = sandbox_text("host=" SANDBOX_HOST " port=%d dbname=" SANDBOX_DATABASE
							 " user=" SANDBOX_PRINCIPAL ".acme password=%s connect_timeout=5",
							 sandbox->port, sandbox->password);
	PGconn *connection = PQconnectdb(dsn);
	PGresult *result = PQexec(connection, "SELECT bulkhead.tenant_id()");
	bool answered = PQresultStatus(result) == PGRES_TUPLES_OK;

	free(*error);
	*error = answered ? NULL : sandbox_text("%s", PQerrorMessage(connection));
	PQclear(result);
	PQfinish(connection);
	secret_free(dsn);
	return answered;
}

static bool wait_for_bulkhead(struct sandbox *sandbox)
{
	int64_t until = clock_monotonic_us() + (int64_t)READY_MS * 1000;
	char *error = NULL;
	bool ready = false;

	while (!ready && sandbox->bulkhead.running && !sandbox->watch.stop_signal &&
		   clock_monotonic_us() < until) {
		watch_poll(&sandbox->watch, RETRY_MS);
		ready = sandbox->bulkhead.running && client_can_ask(sandbox, &error);
	}
	if (!ready && !sandbox->watch.stop_signal)
		sandbox_complain("no client can log in through Bulkhead; see %s/bulkhead.log\n%s",
						 sandbox->dir, error ? error : "");
	free(error);
	return ready;
}

static bool start_bulkhead(struct sandbox *sandbox)
{
	return sandbox_files_write(sandbox) && launch_bulkhead(sandbox) &&
		   wait_for_bulkhead(sandbox);
}

/* ---- running ---- */

static bool both_alive(const struct sandbox *sandbox)
{
	if (sandbox->watch.stop_signal || (sandbox->bulkhead.running && sandbox->postgres.running))
		return true;
	return sandbox_complain("%s ended by itself; see %s/%s.log",
							sandbox->bulkhead.running ? "PostgreSQL" : "Bulkhead", sandbox->dir,
							sandbox->bulkhead.running ? "postgres" : "bulkhead");
}

static int run_until_stopped(struct sandbox *sandbox)
{
	PGconn *superuser = sandbox_connect(sandbox, SANDBOX_DATABASE);
	bool good = superuser && sandbox_announce(sandbox, superuser);

	PQfinish(superuser);
	while (good && !sandbox->watch.stop_signal) {
		watch_poll(&sandbox->watch, -1);
		good = both_alive(sandbox);
	}
	return good ? CLI_DONE : CLI_FAILED;
}

/* The command shares our terminal: what is typed is for it, and it is waited for. */
static int run_command(struct sandbox *sandbox, const char *command)
{
	char **environment = sandbox_environment(sandbox);
	const char *const argv[] = {"sh", "-c", command, NULL};
	const struct process_spec spec = {
		.file = "/bin/sh",
		.argv = argv,
		.set = (const char *const *)environment,
		.output = -1,
		.death_signal = SIGTERM,
		.foreground = true,
	};
	struct process process = {0};
	bool good = environment && watch_start(&sandbox->watch, &process, &spec);

	if (!good)
		sandbox_complain("cannot run the command: %s", strerror(errno));
	sandbox->watch.keep_interrupts = true;
	while (good && process.running && !sandbox->watch.stop_signal) {
		watch_poll(&sandbox->watch, -1);
		good = both_alive(sandbox);
	}
	watch_stop(&sandbox->watch, &process, SIGTERM, COMMAND_STOP_MS);
	sandbox_environment_free(environment);
	return good ? process_exit_status(&process) : CLI_FAILED;
}

static int run(struct sandbox *sandbox, const struct request *request)
{
	bool ready = sandbox_dir_open(sandbox, request->dir) && sandbox_cluster_find(sandbox) &&
				 prepare_folder(sandbox, request->reset) && choose_port(sandbox, request) &&
				 choose_api_port(sandbox) && start_database(sandbox) && start_bulkhead(sandbox);

	if (ready)
		return request->command ? run_command(sandbox, request->command)
								: run_until_stopped(sandbox);
	if (!sandbox->watch.stop_signal)
		return CLI_FAILED;
	return request->command ? 128 + sandbox->watch.stop_signal : CLI_DONE;
}

static void stop(struct sandbox *sandbox)
{
	watch_stop(&sandbox->watch, &sandbox->bulkhead, SIGINT, SERVE_STOP_MS);
	sandbox_cluster_stop(sandbox);
	sandbox->watch.stop_signal = 0;
	if (sandbox->lock >= 0)
		sandbox_dir_leave_run(sandbox);
}

int cmd_sandbox(int argc, char **argv)
{
	struct sandbox sandbox = {.lock = -1};
	struct request request;
	bool help = false;
	int status = read_request(argc, argv, &request, &help);

	if (status != CLI_DONE)
		return status;
	if (help) {
		fputs(usage, stdout);
		return CLI_DONE;
	}
	clear_environment();
	if (!watch_init(&sandbox.watch)) {
		sandbox_complain("cannot look after other programs: %s", strerror(errno));
		return CLI_FAILED;
	}
	status = run(&sandbox, &request);
	stop(&sandbox);
	watch_fini(&sandbox.watch);
	sandbox_dir_close(&sandbox);
	return status;
}
