#include "cli/api_help.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cli/print.h"

#define WIDTH     90
#define OPTION_AT 24 /* where an option's sentence begins */

void api_help_wrap(FILE *out, const char *text, int used, int indent)
{
	bool is_first = true;

	for (text += strspn(text, " \n"); *text; text += strspn(text, " \n")) {
		size_t len = strcspn(text, " \n");

		if (!is_first && used + 1 + (int)len > WIDTH) {
			fprintf(out, "\n%*s", indent, "");
			used = indent;
			is_first = true;
		}
		fprintf(out, "%s%.*s", is_first ? "" : " ", (int)len, text);
		used += (int)len + !is_first;
		is_first = false;
		text += len;
	}
	putc('\n', out);
}

void api_word_text(const struct api_word *word, char out[80])
{
	char name[sizeof word->name];
	size_t i;

	for (i = 0; word->name[i]; i++)
		name[i] = word->name[i] == '_' ? '-' : (char)toupper((unsigned char)word->name[i]);
	name[i] = '\0';
	snprintf(out, 80, word->is_optional ? "[%s]" : "%s", name);
}

bool api_option_is_common(const struct api_option *option)
{
	return option->place == API_PLACE_OWN && option->own <= OWN_HELP;
}

/* "--name TEXT" */
static void option_text(const struct api_option *option, char *out, size_t size)
{
	snprintf(out, size, "--%s%s%s", option->name, *option->metavar ? " " : "", option->metavar);
}

/* ---- synopses ---- */

/* Adds a piece to the line, or to the next when it has no room; returns how long that is. */
static int add_piece(FILE *out, const char *piece, int used, int indent)
{
	int len = (int)strlen(piece);

	if (used + 1 + len > WIDTH) {
		fprintf(out, "\n%*s%s", indent, "", piece);
		return indent + len;
	}
	fprintf(out, " %s", piece);
	return used + 1 + len;
}

void api_help_synopsis(FILE *out, const char *lead, const char *noun,
					   const struct api_grammar *grammar)
{
	const char *verb = grammar->verb->name;
	int used = fprintf(out, "%sbulkhead %s%s%s", lead, noun, *verb ? " " : "", verb);
	int indent = (int)strlen(lead) + 8;
	char piece[256], text[192];

	for (size_t i = 0; i < grammar->word_count; i++) {
		api_word_text(&grammar->words[i], piece);
		used = add_piece(out, piece, used, indent);
	}
	for (size_t i = 0; i < grammar->option_count; i++) {
		const struct api_option *option = &grammar->options[i];

		if (api_option_is_common(option))
			continue;
		option_text(option, text, sizeof text);
		snprintf(piece, sizeof piece, option->is_required ? "%s" : "[%s]", text);
		used = add_piece(out, piece, used, indent);
	}
	putc('\n', out);
}

/* ---- options ---- */

static void write_option(FILE *out, const struct api_option *option)
{
	char text[192];
	int used;

	option_text(option, text, sizeof text);
	used = fprintf(out, "  %s", text);
	if (!*option->doc) {
		putc('\n', out);
		return;
	}
	if (used + 2 > OPTION_AT) {
		putc('\n', out);
		used = 0;
	}
	fprintf(out, "%*s", OPTION_AT - used, "");
	api_help_wrap(out, option->doc, OPTION_AT, OPTION_AT);
}

void api_help_options(FILE *out, const struct api_grammar *grammar, bool common)
{
	for (size_t i = 0; i < grammar->option_count; i++) {
		if (api_option_is_common(&grammar->options[i]) == common)
			write_option(out, &grammar->options[i]);
	}
}

static bool has_options(const struct api_grammar *grammar)
{
	for (size_t i = 0; i < grammar->option_count; i++) {
		if (!api_option_is_common(&grammar->options[i]))
			return true;
	}
	return false;
}

static void write_words(FILE *out, const struct api_grammar *grammar)
{
	for (size_t i = 0; i < grammar->word_count; i++) {
		const struct api_word *word = &grammar->words[i];
		const char *doc = word->field ? word->field->doc : "a tenant's id, slug or key";
		char text[80];

		api_word_text(word, text);
		if (!doc || !*doc)
			continue;
		fprintf(out, "  %-*s", OPTION_AT - 2, text);
		api_help_wrap(out, doc, OPTION_AT, OPTION_AT);
	}
}

/* ---- texts ---- */

void api_help_command(FILE *out, const char *name, const struct api_grammar *grammar)
{
	const struct api_route *route = grammar->route;

	api_help_synopsis(out, "Usage: ", name, grammar);
	putc('\n', out);
	api_help_wrap(out, route->summary, 0, 0);
	if (route->doc) {
		putc('\n', out);
		api_help_wrap(out, route->doc, 0, 0);
	}
	putc('\n', out);
	write_words(out, grammar);
	api_help_options(out, grammar, false);
	if (grammar->word_count || has_options(grammar))
		putc('\n', out);
	api_help_options(out, grammar, true);
	if (*route->path)
		fprintf(out, "\nThis is %s %s of the API.\n", route->method, route->path);
}

bool api_help_verb(FILE *out, const struct api_noun *noun, const struct api_verb *verb)
{
	struct api_grammar *grammar = malloc(sizeof *grammar);
	const char *why = "out of memory";
	bool made = grammar && api_grammar_make(grammar, verb, &why);

	if (made)
		api_help_command(out, noun->name, grammar);
	else
		print_complaint("%s %s: %s", noun->name, verb->name, why);
	free(grammar);
	return made;
}

static void write_line(FILE *out, const struct api_noun *noun,
					   const struct api_grammar *grammar)
{
	int used = fprintf(out, "  bulkhead %s %s", noun->name, grammar->verb->name);
	char text[80];

	for (size_t i = 0; i < grammar->word_count; i++) {
		api_word_text(&grammar->words[i], text);
		used += fprintf(out, " %s", text);
	}
	if (used > 40) {
		putc('\n', out);
		used = 0;
	}
	fprintf(out, "%*s", 42 - used, "");
	api_help_wrap(out, grammar->route->summary, 42, 42);
}

void api_help_noun(FILE *out, const struct api_noun *noun)
{
	struct api_grammar *grammar = malloc(sizeof *grammar);
	const char *why;

	fprintf(out, "Usage: bulkhead %s VERB [WORD ...] [OPTIONS]\n\n", noun->name);
	api_help_wrap(out, noun->summary, 0, 0);
	fputs("\nOver the admin API (--api or BULKHEAD_API; bulkhead ", out);
	fprintf(out, "%s VERB --help has the options):\n\n", noun->name);
	for (size_t i = 0; grammar && i < noun->count; i++) {
		if (api_grammar_make(grammar, &noun->verbs[i], &why))
			write_line(out, noun, grammar);
	}
	free(grammar);
}
