/* How `bulkhead migrate` is seen: a bar or lines while it runs, and what came of it. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <jansson.h>

#include "cli/migrate.h"
#include "cli/print.h"

#define BAR_CELLS 30

/* ---- signals ---- */

static void signals_of_stopping(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
}

void migrate_show_init(struct migrate_show *show, const struct migrate_options *options,
					   bool json)
{
	sigset_t set;

	*show = (struct migrate_show){.json = json,
								  .tries = options->dry_run,
								  .look = options->look,
								  .terminal = isatty(STDERR_FILENO) == 1};
	signals_of_stopping(&set);
	/* The threads that will be started have them blocked as well. */
	sigprocmask(SIG_BLOCK, &set, NULL);
	show->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

void migrate_show_fini(struct migrate_show *show)
{
	if (show->signals >= 0)
		close(show->signals);
}

/* The first signal is heard here, the second one ends the process. */
static bool is_stopping(void *arg)
{
	struct migrate_show *show = arg;
	struct signalfd_siginfo signal;
	sigset_t set;

	if (show->stopping || read(show->signals, &signal, sizeof signal) != sizeof signal)
		return show->stopping;
	show->stopping = true;
	signals_of_stopping(&set);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	if (show->terminal)
		fputs("\r\033[K", stderr);
	fputs("bulkhead: stopping; what was begun ends first\n", stderr);
	return true;
}

/* ---- while it runs ---- */

static bool is_bad(const struct migrate_target *target)
{
	return target->state == MIGRATE_FAILED || target->state == MIGRATE_BEHIND;
}

/* What people call it. */
static const char *name_of(const struct migrate_target *target)
{
	return target->slug ? target->slug : target->cluster_name;
}

/* What a dry run has done is not done. */
static const char *word_of(const struct migrate_show *show, enum migrate_state state)
{
	return show->tries && state == MIGRATE_DONE ? "tried" : migrate_state_name(state);
}

static void print_target(const struct migrate_show *show, const struct migrate_target *target)
{
	static const char *const kinds[] = {[MIGRATE_SHARED] = "shared tables",
										[MIGRATE_TEMPLATE_SCHEMA] = "template schema",
										[MIGRATE_TEMPLATE_DATABASE] = "template database",
										[MIGRATE_SCHEMA] = "schema",
										[MIGRATE_DATABASE] = "database"};
	const char *state = word_of(show, target->state);

	if (!is_bad(target))
		print_line(stdout, "%-7s  %s of %s", state, kinds[target->kind], name_of(target));
	else
		print_line(stdout, "%-7s  %s of %s: version %lld: %s%s%s", state, kinds[target->kind],
				   name_of(target), (long long)target->version, target->sqlstate,
				   *target->sqlstate ? " " : "", target->error ? target->error : "");
}

/* Columns of the terminal, which a bar must not fill. */
static int terminal_width(void)
{
	struct winsize size;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

static void draw_bar(const struct migrate_show *show, size_t ended, size_t total)
{
	char bar[BAR_CELLS + 1], line[160];
	size_t full = total ? ended * BAR_CELLS / total : 0;
	int width = terminal_width() - 1;

	for (size_t i = 0; i < BAR_CELLS; i++)
		bar[i] = i < full ? '#' : '.';
	bar[BAR_CELLS] = '\0';
	int len = snprintf(line, sizeof line, "[%s] %zu of %zu", bar, ended, total);
	if (show->failed)
		snprintf(line + len, sizeof line - (size_t)len, ", %zu failed", show->failed);
	fprintf(stderr, "\r%.*s\033[K", width, line);
	fflush(stderr);
}

static void moved(void *arg, const struct migrate_target *target, size_t ended, size_t total)
{
	struct migrate_show *show = arg;

	if (target)
		show->failed += is_bad(target);
	if (show->terminal) {
		draw_bar(show, ended, total);
	} else if (target && !show->json) {
		print_target(show, target);
		fflush(stdout);
	}
}

struct migrate_watcher migrate_show_watcher(struct migrate_show *show)
{
	return (struct migrate_watcher){.moved = moved, .stopping = is_stopping, .arg = show};
}

/* ---- afterwards ---- */

static json_t *text_or_null(const char *text)
{
	return text && *text ? json_string(text) : json_null();
}

static json_t *version_or_null(int64_t version)
{
	return version > 0 ? json_integer(version) : json_null();
}

static json_t *describe(const struct migrate_target *target)
{
	char tenant[UUID_TEXT_SIZE];

	uuid_text(&target->tenant, tenant);
	return json_pack(
		"{s:s, s:s, s:o, s:o, s:s, s:s, s:s, s:o, s:i, s:i, s:o, s:o, s:o}", "kind",
		migrate_kind_name(target->kind), "cluster", target->cluster_name, "tenant",
		target->slug ? json_string(tenant) : json_null(), "slug", text_or_null(target->slug),
		"database", target->database, "schema", target->schema, "state",
		migrate_state_name(target->state), "version", version_or_null(target->reached), "ran",
		target->ran, "attempts", target->attempts, "failed_version",
		is_bad(target) ? version_or_null(target->version) : json_null(), "sqlstate",
		text_or_null(target->sqlstate), "error", text_or_null(target->error));
}

static bool print_json(const struct migrate *migrate)
{
	json_t *list = json_array();
	bool done = list != NULL;

	for (size_t i = 0; done && i < migrate->target_count; i++)
		done = json_array_append_new(list, describe(migrate->targets[i])) == 0;
	if (done && json_dumpf(list, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII) != 0)
		done = ferror(stdout) != 0; /* that is main's to say */
	putchar('\n');
	json_decref(list);
	if (!done)
		print_complaint("out of memory");
	return done;
}

static size_t count_of(const struct migrate *migrate, enum migrate_state state)
{
	size_t count = 0;

	for (size_t i = 0; i < migrate->target_count; i++)
		count += migrate->targets[i]->state == state;
	return count;
}

static void print_sum(const struct migrate_show *show, const struct migrate *migrate)
{
	static const struct {
		enum migrate_state state;
		const char *word;
	} parts[] = {{MIGRATE_FAILED, "failed"},
				 {MIGRATE_BEHIND, "behind"},
				 {MIGRATE_SKIPPED, "not tried, since shared tables or templates failed"},
				 {MIGRATE_PENDING, "not tried"}};

	if (migrate->target_count == 0) {
		puts(show->look ? "there is nothing to look at" : "nothing is left to do");
		return;
	}
	printf("%zu target%s: %zu %s", migrate->target_count, migrate->target_count == 1 ? "" : "s",
		   count_of(migrate, MIGRATE_DONE), word_of(show, MIGRATE_DONE));
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		size_t count = count_of(migrate, parts[i].state);

		if (count && show->look && parts[i].state == MIGRATE_PENDING)
			printf(", %zu with versions missing", count);
		else if (count)
			printf(", %zu %s", count, parts[i].word);
	}
	putchar('\n');
}

static void print_untried(const struct migrate *migrate)
{
	for (size_t i = 0; i < migrate->file_count; i++)
		if (migrate->files[i].is_bare)
			print_line(stdout, "%s could not be tried: it runs without a transaction",
					   migrate->files[i].name);
	puts("nothing was changed: this was a dry run");
}

bool migrate_show_result(struct migrate_show *show, const struct migrate *migrate)
{
	if (show->terminal)
		fputs("\r\033[K", stderr);
	if (show->json)
		return print_json(migrate);
	for (size_t i = 0; show->terminal && i < migrate->target_count; i++)
		if (is_bad(migrate->targets[i]))
			print_target(show, migrate->targets[i]);
	print_sum(show, migrate);
	if (migrate->unborn)
		printf("%zu tenant%s being made: run this again when that is over\n", migrate->unborn,
			   migrate->unborn == 1 ? " is" : "s are");
	if (migrate->options->dry_run)
		print_untried(migrate);
	return true;
}
