/* bulkhead: finds the subcommand and hands over to it. */
#include <stdio.h>
#include <string.h>

#include <curl/curl.h>
#include <event2/event.h>
#include <jansson.h>
#include <libpq-fe.h>
#include <openssl/crypto.h>
#include <stringprep.h>

#include "cli/cli.h"
#include "cli/commands.h"

static void print_help(FILE *out)
{
	fputs("Usage: bulkhead COMMAND [OPTIONS]\n"
		  "\n"
		  "Tenant isolation in front of PostgreSQL.\n"
		  "\n",
		  out);
	for (size_t i = 0; i < command_count; i++) {
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
	printf("libcurl %s\n", curl_version_info(CURLVERSION_NOW)->version);
	printf("libidn %s\n", stringprep_check_version(NULL));
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
	command = command_find(argv[1]);
	if (!command) {
		fprintf(stderr, "bulkhead: there is no command \"%s\"; see bulkhead --help\n", argv[1]);
		return CLI_USAGE;
	}
	return finish(command_run(command, argc - 1, argv + 1));
}
