#include "cli/verbs.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/control_db.h"
#include "cli/print.h"

/* In the order of enum argument. */
static const struct option options[] = {
	{"control-dsn", required_argument, NULL, 0},
	{"parent", required_argument, NULL, 0},
	{"id", required_argument, NULL, 0},
	{"key", required_argument, NULL, 0},
	{"name", required_argument, NULL, 0},
	{"slug", required_argument, NULL, 0},
	{"cluster", required_argument, NULL, 0},
	{"strategy", required_argument, NULL, 0},
	{"weight", required_argument, NULL, 0},
	{"under", required_argument, NULL, 0},
	{"home", required_argument, NULL, 0},
	{"reach", required_argument, NULL, 0},
	{"password-file", required_argument, NULL, 0},
	{"valid-until", required_argument, NULL, 0},
	{"mode", required_argument, NULL, 0},
	{"revocation", required_argument, NULL, 0},
	{"config", required_argument, NULL, 0},
	{"confirm", required_argument, NULL, 0},
	{"region", required_argument, NULL, 0},
	{"status", required_argument, NULL, 0},
	{"role", required_argument, NULL, 0},
	{"tenant", required_argument, NULL, 0},
	{"addresses", required_argument, NULL, 0},
	{"overlap", required_argument, NULL, 0},
	{"pepper-file", required_argument, NULL, 0},
	{"key-file", required_argument, NULL, 0},
	{"max-connections", required_argument, NULL, 0},
	{"certificate-names", required_argument, NULL, 0},
	{"tenants", required_argument, NULL, 0},
	{"reveal", no_argument, NULL, 0},
	{"no-key", no_argument, NULL, 0},
	{"no-region", no_argument, NULL, 0},
	{"to-root", no_argument, NULL, 0},
	{"subtree", no_argument, NULL, 0},
	{"lock", no_argument, NULL, 0},
	{"dedicated-login", no_argument, NULL, 0},
	{"no-provision", no_argument, NULL, 0},
	{"no-wait", no_argument, NULL, 0},
	{"dry-run", no_argument, NULL, 0},
	{"json", no_argument, NULL, 0},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

_Static_assert(sizeof options / sizeof *options == ARG_COUNT + 2,
			   "an option for each argument, and --help");

/* False for an option that nobody knows or that lacks its value: getopt_long has said so. */
static bool parse(int argc, char **argv, struct arguments *arguments, bool *help)
{
	int option, place;

	while ((option = getopt_long(argc, argv, "c:h", options, &place)) != -1) {
		if (option == 'h')
			*help = true;
		else if (option == 'c')
			arguments->value[ARG_CONFIG] = optarg;
		else if (option == 0)
			arguments->value[place] = optarg ? optarg : "";
		else
			return false;
	}
	return true;
}

static const struct verb *find_verb(const struct noun *noun, const char *name)
{
	for (size_t i = 0; i < noun->verb_count; i++) {
		if (strcmp(noun->verbs[i].name, name) == 0)
			return &noun->verbs[i];
	}
	return NULL;
}

/* By their number. */
static const char *const wanted_words[] = {"there is no name to give", "one name is wanted",
										   "a tenant and a key are wanted",
										   "a tenant, a key and a value are wanted"};

_Static_assert(sizeof wanted_words / sizeof *wanted_words == WORDS_MAX + 1,
			   "a sentence for each number");

/* NULL when the command line fits the verb; else what is wrong, or "" when that was said. */
static const char *find_fault(const struct noun *noun, const struct verb *verb,
							  const struct arguments *arguments, int words)
{
	uint64_t allowed = verb->takes | ARG(CONTROL_DSN) | ARG(JSON);

	for (int place = 0; place < ARG_COUNT; place++) {
		if (arguments->value[place] && !(allowed & UINT64_C(1) << place)) {
			print_complaint("%s %s takes no --%s", noun->name, verb->name, options[place].name);
			return "";
		}
	}
	if (words != verb->words)
		return wanted_words[verb->words];
	return verb->check ? verb->check(arguments) : NULL;
}

static enum cli_exit run_verb(const struct noun *noun, const struct verb *verb,
							  const struct arguments *arguments, int words)
{
	const char *fault = find_fault(noun, verb, arguments, words);

	if (fault && *fault)
		print_complaint("%s %s: %s", noun->name, verb->name, fault);
	if (fault)
		return CLI_USAGE;

	PGconn *control = control_db_open(arguments->value[ARG_CONTROL_DSN]);
	if (!control)
		return CLI_FAILED;
	enum cli_exit result = verb->run(control, arguments);
	PQfinish(control);
	return result;
}

/* `words` are all that are no options. */
static enum cli_exit find_and_run(const struct noun *noun, struct arguments *arguments,
								  int words, char **word)
{
	const struct verb *verb = words > 0 ? find_verb(noun, word[0]) : NULL;

	if (verb) {
		arguments->verb = verb->name;
		arguments->word = words > 1 ? word[1] : NULL;
		arguments->key = words > 2 ? word[2] : NULL;
		arguments->text = words > 3 ? word[3] : NULL;
		return run_verb(noun, verb, arguments, words - 1);
	}
	if (words > 0)
		print_complaint("%s has no verb \"%s\"", noun->name, word[0]);
	else
		print_complaint("%s wants a verb", noun->name);
	return CLI_USAGE;
}

enum cli_exit verbs_run(const struct noun *noun, int argc, char **argv)
{
	struct arguments arguments = {.verb = NULL};
	enum cli_exit result = CLI_USAGE;
	bool help = false, understood = parse(argc, argv, &arguments, &help);

	if (understood && help) {
		fputs(noun->usage, stdout);
		return CLI_DONE;
	}
	if (understood)
		result = find_and_run(noun, &arguments, argc - optind, argv + optind);
	if (result == CLI_USAGE)
		fputs(noun->usage, stderr);
	return result;
}

enum cli_exit verbs_end(PGresult *rows, const struct arguments *arguments)
{
	bool shown = rows && print_rows(rows, arguments->value[ARG_JSON]);

	PQclear(rows);
	return shown ? CLI_DONE : CLI_FAILED;
}

enum cli_exit verbs_end_show(PGresult *row, const struct arguments *arguments,
							 const char *unknown)
{
	bool found = row && PQntuples(row) == 1, shown;

	if (row && !found)
		print_complaint("%s", unknown);
	shown = found && print_fields(row, arguments->value[ARG_JSON]);
	PQclear(row);
	return shown ? CLI_DONE : CLI_FAILED;
}

enum cli_exit verbs_end_change(PGresult *rows, const struct arguments *arguments,
							   const char *name, const char *state)
{
	bool json = arguments->value[ARG_JSON];

	if (rows && !json && PQntuples(rows) == 0) {
		print_line(stdout, "%s is %s already", name, state);
		PQclear(rows);
		return CLI_DONE;
	}
	enum cli_exit result = verbs_end(rows, arguments);
	if (result == CLI_DONE && !json && arguments->value[ARG_DRY_RUN])
		puts("nothing was changed: this was a dry run");
	return result;
}
