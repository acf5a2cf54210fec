/* bulkhead migrate: DDL for everybody. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/control_db.h"
#include "cli/migrate.h"
#include "cli/options.h"
#include "cli/print.h"

#define JOBS_MAX    64
#define RETRIES_MAX 1000

struct command {
	struct options options;
	struct migrate_options run;
	const char *control_dsn;
	const char **paths;
	size_t path_count;
	bool status, marks, json, help;
};

static void usage(FILE *out)
{
	fputs(
		"Usage: bulkhead migrate [OPTIONS] [--file] FILE...\n"
		"       bulkhead migrate status [--json]\n"
		"       bulkhead migrate status --marks [--tenants SELECTOR] [--json]\n"
		"\n"
		"Runs files of SQL once on the shared tables and templates of each cluster and in "
		"each\n"
		"tenant's own schema and database, each in a transaction of its own. The number at "
		"the\n"
		"front of a file's name (12_add_notes.sql) is its version. What is done is not done\n"
		"again, what failed is. Exits with 0 when all is done.\n"
		"\n"
		"      --file FILE             a file; several run in the order of their versions\n"
		"      --tenants SELECTOR      only these tenants' schemas and databases: slugs, ids "
		"or\n"
		"                              keys with commas between them; TENANT/** is a subtree;\n"
		"                              strategy:schema, strategy:database, cluster:NAME\n"
		"      --jobs N                so many at one time, 1 to 64; default 4\n"
		"      --retry                 only where it failed or was left unfinished before\n"
		"      --keep-going            go on with tenants when shared tables or templates "
		"fail\n"
		"      --dry-run               run everything and roll it back\n"
		"      --lock-timeout TIME     longest wait for a lock, while others wait behind it;\n"
		"                              default 2s\n"
		"      --lock-retries N        how often it is tried again then; default 10\n"
		"      --statement-timeout TIME  of one statement; default 5min, 0 for no limit\n"
		"      --target-timeout TIME   of one file on one target; default 1h\n"
		"      --settle TIME           how long tenants that are being made are waited for;\n"
		"                              default 10s\n"
		"      --marks                 read what each target itself says that it has\n"
		"      --json                  an array of objects\n"
		"      --control-dsn DSN       the control database; default CONTROL_DSN of the\n"
		"                              environment\n",
		out);
	fputs(options_help, out);
	fputs("  -h, --help                  this text\n", out);
}

/* ---- the command line ---- */

enum {
	OPT_FILE = 1000,
	OPT_TENANTS,
	OPT_JOBS,
	OPT_RETRY,
	OPT_KEEP_GOING,
	OPT_DRY_RUN,
	OPT_LOCK_TIMEOUT,
	OPT_LOCK_RETRIES,
	OPT_STATEMENT_TIMEOUT,
	OPT_TARGET_TIMEOUT,
	OPT_SETTLE,
	OPT_MARKS,
	OPT_JSON,
	OPT_CONTROL_DSN
};

static const struct option longs[] = {
	OPTIONS_LONG,
	{"file", required_argument, NULL, OPT_FILE},
	{"tenants", required_argument, NULL, OPT_TENANTS},
	{"jobs", required_argument, NULL, OPT_JOBS},
	{"retry", no_argument, NULL, OPT_RETRY},
	{"keep-going", no_argument, NULL, OPT_KEEP_GOING},
	{"dry-run", no_argument, NULL, OPT_DRY_RUN},
	{"lock-timeout", required_argument, NULL, OPT_LOCK_TIMEOUT},
	{"lock-retries", required_argument, NULL, OPT_LOCK_RETRIES},
	{"statement-timeout", required_argument, NULL, OPT_STATEMENT_TIMEOUT},
	{"target-timeout", required_argument, NULL, OPT_TARGET_TIMEOUT},
	{"settle", required_argument, NULL, OPT_SETTLE},
	{"marks", no_argument, NULL, OPT_MARKS},
	{"json", no_argument, NULL, OPT_JSON},
	{"control-dsn", required_argument, NULL, OPT_CONTROL_DSN},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static bool complain(const char *what, const char *why)
{
	print_complaint("migrate: %s: %s", what, why);
	return false;
}

static bool take_number(const char *text, int min, int max, int *out)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (end == text || *end || value < min || value > max) {
		print_complaint("migrate: %s is no number from %d to %d", text, min, max);
		return false;
	}
	*out = (int)value;
	return true;
}

/* At most a day: a longer wait is a mistake. */
static bool take_time(const char *text, int64_t min_ms, int64_t *ms)
{
	int64_t value;

	if (!conf_read_time(text, &value) || value < min_ms || value > (int64_t)86400 * 1000)
		return complain(text, "this is no time as 500ms, 10s, 2min or 1h, up to a day");
	*ms = value;
	return true;
}

static bool take_run_option(struct migrate_options *run, int option, const char *value)
{
	switch (option) {
	case OPT_TENANTS:
		run->tenants = value;
		return true;
	case OPT_JOBS:
		return take_number(value, 1, JOBS_MAX, &run->jobs);
	case OPT_RETRY:
		run->retry = true;
		return true;
	case OPT_KEEP_GOING:
		run->keep_going = true;
		return true;
	case OPT_DRY_RUN:
		run->dry_run = true;
		return true;
	case OPT_LOCK_TIMEOUT:
		return take_time(value, 1, &run->lock_timeout_ms);
	case OPT_LOCK_RETRIES:
		return take_number(value, 0, RETRIES_MAX, &run->lock_retries);
	case OPT_STATEMENT_TIMEOUT:
		return take_time(value, 0, &run->statement_timeout_ms);
	case OPT_TARGET_TIMEOUT:
		return take_time(value, 1000, &run->target_timeout_ms);
	case OPT_SETTLE:
		return take_time(value, 0, &run->settle_ms);
	default:
		return false;
	}
}

static bool take_option(struct command *command, int option, const char *value)
{
	switch (option) {
	case OPT_FILE:
		command->paths[command->path_count++] = value;
		return true;
	case OPT_MARKS:
		command->marks = command->run.look = true;
		return true;
	case OPT_JSON:
		command->json = true;
		return true;
	case OPT_CONTROL_DSN:
		command->control_dsn = value;
		return true;
	case 'h':
		command->help = true;
		return true;
	case 'c':
	case OPTION_SET:
		return options_take(&command->options, option, value);
	default:
		return take_run_option(&command->run, option, value);
	}
}

/* A word is a file, as when a shell makes several of one pattern behind --file; `status` alone
 * is not. */
static void take_words(struct command *command, int count, char **words)
{
	if (count == 1 && strcmp(words[0], "status") == 0 && command->path_count == 0) {
		command->status = true;
		return;
	}
	for (int i = 0; i < count; i++)
		command->paths[command->path_count++] = words[i];
}

/* What belongs to one of the three uses only. */
static bool is_coherent(const struct command *command)
{
	const struct migrate_options *run = &command->run;

	if (command->status) {
		bool runs = run->dry_run || run->retry || run->keep_going;

		return !runs && (command->marks || !run->tenants);
	}
	if (command->path_count == 0)
		return complain("nothing to run", "name a file, as 12_add_notes.sql");
	return !command->marks;
}

static bool parse(struct command *command, int argc, char **argv)
{
	int option;

	/* No option of getopt's own is longer than the words that there are. */
	command->paths = calloc((size_t)argc + 1, sizeof *command->paths);
	if (!command->paths)
		return complain("options", "out of memory");
	optind = 1;
	while ((option = getopt_long(argc, argv, OPTIONS_SHORT "h", longs, NULL)) != -1)
		if (!take_option(command, option, optarg))
			return false;
	take_words(command, argc - optind, argv + optind);
	return command->help || is_coherent(command);
}

/* ---- running ---- */

static bool read_files(const struct command *command, struct migrate *migrate)
{
	migrate->files = calloc(command->path_count + 1, sizeof *migrate->files);
	if (!migrate->files)
		return complain("files", "out of memory");
	for (size_t i = 0; i < command->path_count; i++) {
		migrate->file_count++;
		if (!migrate_file_read(&migrate->files[i], command->paths[i], stderr))
			return false;
	}
	return migrate_files_sort(migrate->files, migrate->file_count, stderr);
}

/* Tenants of shared tables whose cluster says no owner: whoever forgot that is told. */
static bool tell_of_unowned(const struct command *command, const struct migrate *migrate)
{
	static const char sql[] = "SELECT DISTINCT cluster FROM bulkhead_control.tenant"
							  " WHERE strategy = 'SHARED_RLS' ORDER BY cluster";

	if (command->run.tenants)
		return true;
	PGresult *rows = control_db_query(migrate->control, sql, 0, NULL);
	for (int i = 0; rows && i < PQntuples(rows); i++) {
		const struct conf_cluster *cluster =
			conf_find_cluster(migrate->conf, PQgetvalue(rows, i, 0));

		if (!cluster || !*cluster->table_owner)
			print_complaint("shared tables of %s are left alone: its section has no "
							"table_owner",
							PQgetvalue(rows, i, 0));
	}
	PQclear(rows);
	return rows != NULL;
}

static enum cli_exit run(const struct command *command, struct migrate *migrate)
{
	struct migrate_show show;

	migrate->control = control_db_open(command->control_dsn);
	migrate->turn = migrate->control ? control_db_open(command->control_dsn) : NULL;
	if (!migrate->turn || !tell_of_unowned(command, migrate))
		return CLI_FAILED;
	migrate_show_init(&show, &command->run, command->json);
	struct migrate_watcher watcher = migrate_show_watcher(&show);
	bool ran = migrate_run(migrate, &watcher, stderr);
	/* What was done before it broke off is worth knowing. */
	bool shown = (!ran && migrate->target_count == 0) || migrate_show_result(&show, migrate);
	migrate_show_fini(&show);
	return ran && shown && migrate_is_done(migrate) ? CLI_DONE : CLI_FAILED;
}

static enum cli_exit load_and_run(const struct command *command)
{
	struct migrate migrate = {.options = &command->run};
	struct conf *conf = NULL;
	enum cli_exit result = CLI_FAILED;

	if (read_files(command, &migrate))
		conf = options_load(&command->options, stderr);
	migrate.conf = conf;
	if (conf)
		result = run(command, &migrate);
	migrate_fini(&migrate);
	conf_destroy(conf);
	return result;
}

static enum cli_exit show_status(const struct command *command)
{
	PGconn *control = control_db_open(command->control_dsn);
	enum cli_exit result = control ? migrate_status(control, command->json) : CLI_FAILED;

	PQfinish(control);
	return result;
}

int cmd_migrate(int argc, char **argv)
{
	struct command command = {.run = {.jobs = 4,
									  .lock_timeout_ms = 2000,
									  .lock_retries = 10,
									  .statement_timeout_ms = 300000,
									  .target_timeout_ms = 3600000,
									  .settle_ms = 10000}};
	enum cli_exit result = CLI_USAGE;

	options_init(&command.options);
	if (!parse(&command, argc, argv)) {
		usage(stderr);
	} else if (command.help) {
		usage(stdout);
		result = CLI_DONE;
	} else {
		result =
			command.status && !command.marks ? show_status(&command) : load_and_run(&command);
	}
	options_fini(&command.options);
	free(command.paths);
	return result;
}
