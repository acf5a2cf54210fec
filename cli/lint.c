/* bulkhead lint: is anything in this database unsafe? */
#include <getopt.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/dsn.h"
#include "cli/findings.h"
#include "cli/print.h"

struct lint {
	const char *dsn;
	enum severity bound;
	bool json, help;
};

static void usage(FILE *out)
{
	fputs(
		"Usage: bulkhead lint --dsn DSN [--json] [--fail-on SEVERITY]\n"
		"\n"
		"Says what in a database lets tenants at each other's rows, why, and which statement\n"
		"mends it. Changes nothing, and needs no guard. Exits with 1 when it finds something.\n"
		"\n"
		"      --dsn DSN           libpq connection string, of a superuser\n"
		"      --json              an array of objects: id, severity, object, why, mend\n"
		"      --fail-on SEVERITY  what counts for the exit status: critical, warning "
		"(default:\n"
		"                          these two) or notice (all)\n"
		"  -h, --help              this text\n",
		out);
}

enum { OPT_DSN = 1000, OPT_JSON, OPT_FAIL_ON };

static bool take_option(struct lint *lint, int option, const char *value)
{
	switch (option) {
	case OPT_DSN:
		lint->dsn = value;
		return true;
	case OPT_JSON:
		lint->json = true;
		return true;
	case OPT_FAIL_ON:
		return severity_parse(value, &lint->bound);
	case 'h':
		lint->help = true;
		return true;
	default:
		return false;
	}
}

static bool parse(struct lint *lint, int argc, char **argv)
{
	static const struct option options[] = {
		{"dsn", required_argument, NULL, OPT_DSN},
		{"json", no_argument, NULL, OPT_JSON},
		{"fail-on", required_argument, NULL, OPT_FAIL_ON},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1)
		if (!take_option(lint, option, optarg))
			return false;
	return optind == argc && (lint->help || lint->dsn);
}

static enum cli_exit run_lint(const struct lint *lint)
{
	PGconn *admin = dsn_connect(lint->dsn, "bulkhead lint");
	PGresult *findings = admin ? findings_ask(admin, "bulkhead lint") : NULL;
	bool shown = false, sound = false;

	if (findings) {
		sound = findings_count(findings, lint->bound) == 0;
		shown = !lint->json || print_rows(findings, true);
		if (!lint->json)
			findings_print(findings);
	}
	PQclear(findings);
	PQfinish(admin);
	return shown && sound ? CLI_DONE : CLI_FAILED;
}

int cmd_lint(int argc, char **argv)
{
	struct lint lint = {.bound = SEVERITY_WARNING};

	if (!parse(&lint, argc, argv)) {
		usage(stderr);
		return CLI_USAGE;
	}
	if (lint.help) {
		usage(stdout);
		return CLI_DONE;
	}
	return run_lint(&lint);
}
