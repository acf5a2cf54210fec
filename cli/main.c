/* bulkhead: finds the subcommand and hands over to it. */
#include <stdio.h>
#include <string.h>

#include <event2/event.h>
#include <jansson.h>
#include <libpq-fe.h>
#include <openssl/crypto.h>
#include <stringprep.h>

#include "cli/cli.h"

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help; /* NULL: not for people, and not listed */
};

static const struct command commands[] = {
	{"serve", cmd_serve, "run the proxy in the foreground"},
	{"init", cmd_init, "install guard and control schema into a database"},
	{"lint", cmd_lint, "say what is unsafe in a database"},
	{"check", cmd_check, "say what is wrong with a configuration"},
	{"healthcheck", cmd_healthcheck, "ask a Bulkhead that runs whether it is ready"},
	{"sandbox", cmd_sandbox, "run a private PostgreSQL with five tenants behind the proxy"},
	{"tenant", cmd_tenant, "create, list, suspend, move and change tenants"},
	{"cluster", cmd_cluster,
	 "create, list, change and take down the servers that tenants are placed on"},
	{"principal", cmd_principal,
	 "create, list, disable and change principals, who log in for tenants"},
	{"api-key", cmd_api_key,
	 "create, list, rotate and revoke keys of the admin API, without it"},
	{"permission", cmd_permission, "grant and revoke what tenants may do, and show it"},
	{"setting", cmd_setting, "set, lock and show settings that tenants inherit"},
	{"job", cmd_job, "carry out, list and retry what is made and removed for tenants"},
	{"key", cmd_key,
	 "list, rotate, retire and derive the keys that hand-overs are signed with"},
	{"audit", cmd_audit, "list, export and verify the log of what was changed, and by whom"},
	{"migrate", cmd_migrate,
	 "run DDL on shared tables and in all tenants' schemas and databases"},
	{"explain-statement", cmd_explain_statement,
	 "say what the gate makes of a statement, and why"},
	{"conf", cmd_conf, NULL},
};
#define COMMAND_COUNT (sizeof commands / sizeof *commands)

static void print_help(FILE *out)
{
	fputs("Usage: bulkhead COMMAND [OPTIONS]\n"
		  "\n"
		  "Tenant isolation in front of PostgreSQL.\n"
		  "\n",
		  out);
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (commands[i].help)
			fprintf(out, "  %-17s %s\n", commands[i].name, commands[i].help);
	}
	fputs("\n"
		  "  -V, --version  versions of this program and of its libraries\n"
		  "  -h, --help     this text; bulkhead COMMAND --help says more\n",
		  out);
}

static void print_version(void)
{
	int pq = PQlibVersion();

	printf("bulkhead %s\n", BULKHEAD_VERSION);
	printf("libevent %s\n", event_get_version());
	printf("OpenSSL %s\n", OpenSSL_version(OPENSSL_FULL_VERSION_STRING));
	printf("libpq %d.%d\n", pq / 10000, pq % 10000);
	printf("jansson %s\n", jansson_version_str());
	printf("libidn %s\n", stringprep_check_version(NULL));
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

static int is_option(const char *word, const char *brief, const char *full)
{
	return strcmp(word, brief) == 0 || strcmp(word, full) == 0;
}

/* What was to be read and could not be written is not done, as on a full disk. */
static int finish(int result)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return result;
	perror("bulkhead: standard output");
	return result == CLI_DONE ? CLI_FAILED : result;
}

int main(int argc, char **argv)
{
	const struct command *command;

	if (argc < 2) {
		print_help(stderr);
		return CLI_USAGE;
	}
	if (is_option(argv[1], "-h", "--help")) {
		print_help(stdout);
		return finish(CLI_DONE);
	}
	if (is_option(argv[1], "-V", "--version")) {
		print_version();
		return finish(CLI_DONE);
	}
	command = find_command(argv[1]);
	if (!command) {
		fprintf(stderr, "bulkhead: there is no command \"%s\"; see bulkhead --help\n", argv[1]);
		return CLI_USAGE;
	}
	return finish(command->run(argc - 1, argv + 1));
}
