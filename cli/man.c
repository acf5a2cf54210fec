/*
 * bulkhead man: the man pages, made of what --help says and of the same tables.
 *
 * Each command has a page, bulkhead-NAME(1), and bulkhead(1) is of all of them. The language is
 * that of man(7).
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/api_help.h"
#include "cli/api_options.h"
#include "cli/cli.h"
#include "cli/man_text.h"
#include "cli/outline.h"
#include "cli/print.h"

static const char usage[] = "Usage: bulkhead man [COMMAND]\n"
							"       bulkhead man --all DIR\n"
							"\n"
							"Writes a man page; bulkhead man | man -l - reads it.\n";

/* ---- verbs of the API ---- */

static void write_options(FILE *out, const struct api_grammar *grammar, bool common)
{
	for (size_t i = 0; i < grammar->option_count; i++) {
		const struct api_option *option = &grammar->options[i];

		if (api_option_is_common(option) != common)
			continue;
		fputs(".TP\n\\fB", out);
		man_text(out, "--");
		man_text(out, option->name);
		fputs("\\fR", out);
		if (*option->metavar) {
			putc(' ', out);
			man_text(out, option->metavar);
		}
		putc('\n', out);
		man_line(out, *option->doc ? option->doc : "As its name says.");
	}
}

static void write_words(FILE *out, const struct api_grammar *grammar)
{
	for (size_t i = 0; i < grammar->word_count; i++) {
		char text[80];

		api_word_text(&grammar->words[i], text);
		fputs(" \\fI", out);
		man_text(out, text);
		fputs("\\fR", out);
	}
}

static void write_verb(FILE *out, const struct api_noun *noun,
					   const struct api_grammar *grammar)
{
	fputs(".SS \"", out);
	man_text(out, noun->name);
	putc(' ', out);
	man_text(out, grammar->verb->name);
	write_words(out, grammar);
	fputs("\"\n", out);
	man_sentence(out, grammar->route->summary);
	if (grammar->route->doc)
		man_line(out, grammar->route->doc);
	for (size_t i = 0; i < grammar->word_count; i++) {
		const struct api_field *field = grammar->words[i].field;
		char text[80];

		api_word_text(&grammar->words[i], text);
		if (!field || !field->doc)
			continue;
		fputs(".TP\n\\fI", out);
		man_text(out, text);
		fputs("\\fR\n", out);
		man_line(out, field->doc);
	}
	write_options(out, grammar, false);
}

static void write_noun(FILE *out, const struct api_noun *noun, struct api_grammar *grammar)
{
	const char *why;

	fputs(".SH DESCRIPTION\n", out);
	man_line(out, noun->summary);
	man_line(out,
			 "These verbs are requests of the admin API. Options that all of them take are "
			 "in bulkhead(1), with how the API and its key are named.");
	fputs(".SH VERBS\n", out);
	for (size_t i = 0; i < noun->count; i++) {
		if (api_grammar_make(grammar, &noun->verbs[i], &why))
			write_verb(out, noun, grammar);
	}
}

/* ---- pages ---- */

static void write_title(FILE *out, const char *name, const char *what)
{
	char upper[80];
	size_t len;

	snprintf(upper, sizeof upper, "BULKHEAD%s%s", *name ? "-" : "", name);
	for (len = 0; upper[len]; len++)
		upper[len] = (char)toupper((unsigned char)upper[len]);
	fprintf(out, ".TH %s 1 \"\" \"bulkhead %s\" \"Bulkhead\"\n.SH NAME\nbulkhead%s", upper,
			BULKHEAD_VERSION, *name ? "\\-" : "");
	man_text(out, name);
	fputs(" \\- ", out);
	man_text(out, what);
	putc('\n', out);
}

/* What a usage text says, as it stands. */
static void write_usage(FILE *out, const char *text)
{
	fputs(".PP\n.nf\n.ft CR\n", out);
	for (const char *line = text; *line; line += *line == '\n') {
		size_t len = strcspn(line, "\n");

		man_verbatim(out, line, len);
		putc('\n', out);
		line += len;
	}
	fputs(".ft R\n.fi\n", out);
}

static void write_end(FILE *out)
{
	fputs(".SH SEE ALSO\n\\fBbulkhead\\fR(1), \\fBpsql\\fR(1)\n", out);
}

static bool write_command(FILE *out, const struct command *command, struct api_grammar *grammar)
{
	char *text = outline_usage(command);
	const char *direct = text && command->noun ? strstr(text, "\nUsage: ") : NULL;
	bool whole = text != NULL;

	write_title(out, command->name, command->help);
	fputs(".SH SYNOPSIS\n\\fBbulkhead ", out);
	man_text(out, command->name);
	fputs(command->noun ? "\\fR VERB [WORD ...] [OPTIONS]\n" : "\\fR ...\n", out);
	if (command->noun)
		write_noun(out, command->noun, grammar);
	else
		fputs(".SH DESCRIPTION\n", out);
	if (direct) {
		fputs(".SH ON THE CONTROL DATABASE\n", out);
		man_line(out, "With --control-dsn, or CONTROL_DSN of the environment, the same is done "
					  "without the API, by a login that is a member of bulkhead_admin.");
	}
	if (text && (direct || !command->noun))
		write_usage(out, direct ? direct + 1 : text);
	write_end(out);
	free(text);
	return whole;
}

static void write_commands(FILE *out)
{
	fputs(".SH COMMANDS\n", out);
	for (size_t i = 0; i < command_count; i++) {
		if (!commands[i].help)
			continue;
		fputs(".TP\n\\fBbulkhead\\-", out);
		man_text(out, commands[i].name);
		fputs("\\fR(1)\n", out);
		man_line(out, commands[i].help);
	}
}

static bool write_all_of_it(FILE *out, struct api_grammar *grammar)
{
	const char *why;

	write_title(out, "", "PostgreSQL proxy that keeps tenants apart");
	fputs(".SH SYNOPSIS\n\\fBbulkhead\\fR COMMAND [WORD ...] [OPTIONS]\n.SH DESCRIPTION\n",
		  out);
	man_line(
		out,
		"Bulkhead stands between an application and PostgreSQL. It finds out which tenant a "
		"connection speaks for, lends it a pooled backend, and puts that into the tenant's "
		"context in a way that no SQL can change; forced row security then refuses every "
		"other tenant's row.");
	write_commands(out);
	fputs(".SH THE ADMIN API\n", out);
	man_line(out,
			 "Commands that name things (tenant, setting, session and so on) are requests of "
			 "the admin API of a Bulkhead that runs. Those that there are without the API "
			 "too work on the control database when --control-dsn is given; else over the "
			 "API, if --api or BULKHEAD_API names it; else on the database that CONTROL_DSN "
			 "names; else over the API at its default address, if a key is given. A problem "
			 "is one line for each field: what is wrong, the reason in parentheses, and "
			 "the field. They take these options:");
	if (!api_grammar_of_any(grammar, &why))
		return false;
	write_options(out, grammar, true);
	fputs(".SH EXIT STATUS\n.TP\n0\nIt is done, or was so already.\n.TP\n1\nIt was refused, or "
		  "went wrong; standard error says why.\n.TP\n2\nThe command line makes no sense.\n",
		  out);
	fputs(
		".SH ENVIRONMENT\n.TP\nBULKHEAD_SECTION_KEY\nA setting of the configuration, over its "
		"file.\n.TP\nCONTROL_DSN\nThe control database.\n.TP\nBULKHEAD_API, "
		"BULKHEAD_API_KEY, BULKHEAD_API_KEY_FILE\nThe admin API, its key, or the file that "
		"holds that.\n",
		out);
	fputs(".SH SEE ALSO\n\\fBpsql\\fR(1)\n", out);
	return true;
}

static bool write_page(FILE *out, const struct command *command)
{
	struct api_grammar *grammar = malloc(sizeof *grammar);
	bool whole = grammar && (command ? write_command(out, command, grammar)
									 : write_all_of_it(out, grammar));

	if (!whole)
		print_complaint("out of memory");
	free(grammar);
	return whole;
}

/* ---- the command ---- */

static bool write_file(const char *folder, const struct command *command)
{
	char *path = NULL;
	FILE *out = NULL;
	bool whole = false;

	if (asprintf(&path, "%s/bulkhead%s%s.1", folder, command ? "-" : "",
				 command ? command->name : "") >= 0)
		out = fopen(path, "w");
	else
		path = NULL;
	if (out) {
		whole = write_page(out, command);
		whole = fclose(out) == 0 && whole;
	}
	if (!whole)
		print_complaint("%s: %s", path ? path : folder, strerror(errno));
	free(path);
	return whole;
}

static enum cli_exit write_files(const char *folder)
{
	bool whole = write_file(folder, NULL);

	for (size_t i = 0; whole && i < command_count; i++) {
		if (commands[i].help)
			whole = write_file(folder, &commands[i]);
	}
	return whole ? CLI_DONE : CLI_FAILED;
}

int cmd_man(int argc, char **argv)
{
	const struct command *command = argc == 2 ? command_find(argv[1]) : NULL;

	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		fputs(usage, stdout);
		return CLI_DONE;
	}
	if (argc == 3 && strcmp(argv[1], "--all") == 0)
		return (int)write_files(argv[2]);
	if (argc == 1 || (command && command->help))
		return write_page(stdout, command) ? CLI_DONE : CLI_FAILED;
	fputs(usage, stderr);
	return CLI_USAGE;
}
