/* bulkhead explain-statement: what the gate makes of a statement, and why. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "admin/answer.h"
#include "admin/explain_statement.h"
#include "base/buf.h"
#include "cli/cli.h"
#include "cli/control_db.h"
#include "cli/options.h"
#include "cli/print.h"
#include "policy/gate.h"
#include "router/directory.h"

struct explain {
	struct options options;
	const char *tenant, *strategy, *control_dsn, *sql;
	bool json, help;
};

static void usage(FILE *out)
{
	fputs(
		"Usage: bulkhead explain-statement [OPTIONS] SQL\n"
		"\n"
		"Says what a statement is, what it names, which isolation rules it hits, and whether "
		"a\n"
		"tenant may run it. Nothing is run. Exits with 1 when it would be refused. SQL may be "
		"-\n"
		"for standard input.\n"
		"\n"
		"      --tenant TENANT     a tenant's id, slug or key: its strategy and permissions\n"
		"      --control-dsn DSN   of the control database; without it, CONTROL_DSN\n"
		"      --strategy NAME     in place of a tenant: one with the defaults of SHARED_RLS\n"
		"                          (default), SCHEMA_PER_TENANT or DATABASE_PER_TENANT\n"
		"      --json              one object\n",
		out);
	fputs(options_help, out);
	fputs("  -h, --help              this text\n", out);
}

enum { OPT_TENANT = 1000, OPT_STRATEGY, OPT_CONTROL_DSN, OPT_JSON };

static bool take_option(struct explain *explain, int option, const char *value)
{
	switch (option) {
	case OPT_TENANT:
		explain->tenant = value;
		return true;
	case OPT_STRATEGY:
		explain->strategy = value;
		return true;
	case OPT_CONTROL_DSN:
		explain->control_dsn = value;
		return true;
	case OPT_JSON:
		explain->json = true;
		return true;
	case 'h':
		explain->help = true;
		return true;
	default:
		return options_take(&explain->options, option, value);
	}
}

static bool parse(struct explain *explain, int argc, char **argv)
{
	static const struct option longs[] = {
		OPTIONS_LONG,
		{"tenant", required_argument, NULL, OPT_TENANT},
		{"strategy", required_argument, NULL, OPT_STRATEGY},
		{"control-dsn", required_argument, NULL, OPT_CONTROL_DSN},
		{"json", no_argument, NULL, OPT_JSON},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, OPTIONS_SHORT "h", longs, NULL)) != -1) {
		if (!take_option(explain, option, optarg))
			return false;
	}
	if (explain->help)
		return true;
	if (optind != argc - 1 || (explain->tenant && explain->strategy))
		return false;
	explain->sql = argv[optind];
	return true;
}

/* ---- whose gate ---- */

struct subject {
	const struct tenant *tenant; /* NULL: the defaults of a strategy */
	enum tenant_strategy strategy;
	struct gate_settings settings;
};

static bool find_strategy(const char *name, enum tenant_strategy *out)
{
	for (size_t i = 0; i < sizeof explain_strategies / sizeof *explain_strategies; i++) {
		if (!name || strcmp(explain_strategies[i], name) == 0) {
			*out = (enum tenant_strategy)i;
			return true;
		}
	}
	print_complaint("there is no strategy %s", name);
	return false;
}

static bool find_tenant(const struct explain *explain, struct subject *subject)
{
	const char *const values[] = {explain->tenant};
	PGconn *control = control_db_open(explain->control_dsn);
	PGresult *row = control ? control_db_query(control, answer_tenant_sql, 1, values) : NULL;
	enum directory_result found = DIRECTORY_UNAVAILABLE;

	if (row)
		found = answer_tenant(row, 0, &subject->tenant);
	if (row && found == DIRECTORY_UNKNOWN)
		print_complaint("there is no tenant %s", explain->tenant);
	else if (row && found != DIRECTORY_FOUND)
		print_complaint("the control schema is of another version");
	PQclear(row);
	PQfinish(control);
	return found == DIRECTORY_FOUND;
}

static bool read_settings(const struct explain *explain, struct gate_settings *settings)
{
	struct conf *conf = NULL;
	char *unknown;
	bool ok;

	if (explain->options.config || explain->options.override_count) {
		conf = options_load(&explain->options, stderr);
		if (!conf)
			return false;
	}
	ok = gate_settings_init(settings, conf ? (enum gate_mode)conf->gate_mode : GATE_ENFORCE,
							conf ? conf->gate_exceptions : "", conf ? conf->gate_schemas : "",
							conf ? conf->gate_protected_settings : "", &unknown);
	if (!ok)
		print_complaint("[gate] exceptions: %s is no rule", unknown ? unknown : "it");
	free(unknown);
	conf_destroy(conf);
	return ok;
}

static bool find_subject(const struct explain *explain, struct subject *subject)
{
	if (!read_settings(explain, &subject->settings))
		return false;
	return explain->tenant ? find_tenant(explain, subject)
						   : find_strategy(explain->strategy, &subject->strategy);
}

static void subject_fini(struct subject *subject)
{
	tenant_unref(subject->tenant);
	gate_settings_fini(&subject->settings);
}

/* ---- showing it ---- */

static void show_list(const char *key, const json_t *list)
{
	struct buf line;

	buf_init(&line);
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (!buf_appendf(&line, "%s%s", i ? ", " : "",
						 json_string_value(json_array_get(list, i))))
			break;
	}
	if (buf_len(&line) && buf_append_byte(&line, 0))
		print_line(stdout, "%-15s %s", key, (const char *)buf_data(&line));
	buf_fini(&line);
}

static void show(json_t *object)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		if (json_is_array(value))
			show_list(key, value);
		else if (json_is_integer(value))
			printf("%-15s %" JSON_INTEGER_FORMAT "\n", key, json_integer_value(value));
		else
			print_line(stdout, "%-15s %s", key, json_string_value(value));
	}
}

/* All of standard input, with a NUL; false when it is too long or cannot be read. */
static bool read_input(struct buf *out)
{
	char part[65536];
	size_t n;

	while ((n = fread(part, 1, sizeof part, stdin)) > 0) {
		if (buf_len(out) + n > 2 * SQL_TEXT_MAX || !buf_append(out, part, n))
			return false;
	}
	return !ferror(stdin) && buf_append_byte(out, 0);
}

static enum cli_exit explain_text(const struct subject *subject, const char *text, size_t len,
								  bool json)
{
	const struct explain_subject of = {subject->tenant, subject->strategy, &subject->settings};
	const struct verdict *verdict = sql_read(text, len);
	bool is_refused = false;
	json_t *object = verdict ? explain_verdict(&of, verdict, &is_refused) : NULL;

	if (!object) {
		verdict_unref(verdict);
		print_complaint("out of memory");
		return CLI_FAILED;
	}
	if (json) {
		json_dumpf(object, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
		putchar('\n');
	} else {
		show(object);
	}
	json_decref(object);
	verdict_unref(verdict);
	return is_refused ? CLI_FAILED : CLI_DONE;
}

static enum cli_exit run_explain(const struct explain *explain)
{
	bool from_input = strcmp(explain->sql, "-") == 0;
	struct subject subject = {0};
	enum cli_exit result = CLI_FAILED;
	struct buf input;

	buf_init(&input);
	if (from_input && !read_input(&input))
		print_complaint("standard input cannot be read, or is too long");
	else if (find_subject(explain, &subject))
		result = from_input ? explain_text(&subject, (const char *)buf_data(&input),
										   buf_len(&input) - 1, explain->json)
							: explain_text(&subject, explain->sql, strlen(explain->sql),
										   explain->json);
	subject_fini(&subject);
	buf_fini(&input);
	return result;
}

int cmd_explain_statement(int argc, char **argv)
{
	struct explain explain = {0};
	int result;

	options_init(&explain.options);
	if (!parse(&explain, argc, argv)) {
		usage(stderr);
		result = CLI_USAGE;
	} else if (explain.help) {
		usage(stdout);
		result = CLI_DONE;
	} else {
		result = run_explain(&explain);
	}
	options_fini(&explain.options);
	return result;
}
