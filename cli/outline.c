#include "cli/outline.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/api_options.h"
#include "cli/cli.h"
#include "cli/outline_internal.h"
#include "cli/print.h"

/* ---- growing ---- */

static bool init_verb(struct outline_verb *verb, const char *first, const char *second)
{
	*verb = (struct outline_verb){.words = {strdup(first), strdup(second)}, .doc = strdup("")};
	return verb->words[0] && verb->words[1] && verb->doc;
}

struct outline_verb *outline_verb(struct outline *outline, const char *first,
								  const char *second)
{
	struct outline_verb *verbs;

	for (size_t i = 0; i < outline->verb_count; i++) {
		struct outline_verb *verb = &outline->verbs[i];

		if (strcmp(verb->words[0], first) == 0 && strcmp(verb->words[1], second) == 0)
			return verb;
	}
	verbs = realloc(outline->verbs, (outline->verb_count + 1) * sizeof *verbs);
	if (!verbs)
		return NULL;
	outline->verbs = verbs;
	return init_verb(&verbs[outline->verb_count++], first, second)
			   ? &verbs[outline->verb_count - 1]
			   : NULL;
}

static bool replace_empty(char **text, const char *with)
{
	if (**text || !*with)
		return true;
	free(*text);
	*text = strdup(with);
	return *text != NULL;
}

static bool init_option(struct outline_option *option, const char *name)
{
	*option =
		(struct outline_option){.name = strdup(name), .value = strdup(""), .doc = strdup("")};
	return option->name && option->value && option->doc;
}

bool outline_add_option(struct outline_verb *verb, const char *name, const char *value,
						const char *doc)
{
	struct outline_option *option = NULL;

	for (size_t i = 0; !option && i < verb->option_count; i++) {
		if (strcmp(verb->options[i].name, name) == 0)
			option = &verb->options[i];
	}
	if (!option) {
		option = realloc(verb->options, (verb->option_count + 1) * sizeof *option);
		if (!option)
			return false;
		verb->options = option;
		option += verb->option_count++;
		if (!init_option(option, name))
			return false;
	}
	return replace_empty(&option->value, value) && replace_empty(&option->doc, doc);
}

void outline_fini(struct outline *outline)
{
	for (size_t i = 0; i < outline->verb_count; i++) {
		struct outline_verb *verb = &outline->verbs[i];

		for (size_t j = 0; j < verb->option_count; j++) {
			free(verb->options[j].name);
			free(verb->options[j].value);
			free(verb->options[j].doc);
		}
		free(verb->options);
		free(verb->words[0]);
		free(verb->words[1]);
		free(verb->doc);
	}
	free(outline->verbs);
	free(outline->usage);
	*outline = (struct outline){.verbs = NULL};
}

/* ---- tables ---- */

static bool add_grammar(struct outline *outline, const struct api_grammar *grammar,
						const char *name)
{
	struct outline_verb *verb = outline_verb(outline, name, "");
	char option[80];

	if (!verb || !replace_empty(&verb->doc, grammar->route->summary))
		return false;
	for (size_t i = 0; i < grammar->option_count; i++) {
		snprintf(option, sizeof option, "--%s", grammar->options[i].name);
		if (!outline_add_option(verb, option, grammar->options[i].metavar,
								grammar->options[i].doc))
			return false;
	}
	return true;
}

static bool add_noun(struct outline *outline, struct api_grammar *grammar)
{
	const struct api_noun *noun = outline->command->noun;
	const char *why;

	for (size_t i = 0; i < noun->count; i++) {
		if (api_grammar_make(grammar, &noun->verbs[i], &why) &&
			!add_grammar(outline, grammar, noun->verbs[i].name))
			return false;
	}
	return true;
}

static bool add_tables(struct outline *outline)
{
	struct api_grammar *grammar = malloc(sizeof *grammar);
	const char *why;
	bool whole = grammar != NULL;

	if (whole && outline->command->noun)
		whole = add_noun(outline, grammar);
	else if (whole && outline->command->run == cmd_api)
		whole = api_grammar_of_any(grammar, &why) && add_grammar(outline, grammar, "");
	else if (whole && outline->command->run == cmd_events)
		whole = !api_grammar_of_events(grammar, &why) || add_grammar(outline, grammar, "");
	free(grammar);
	return whole;
}

/* ---- texts ---- */

/* Commands write to the standard output that there is: glibc lets another take its place. */
char *outline_usage(const struct command *command)
{
	char *argv[] = {(char *)command->name, (char *)"--help", NULL}, *text = NULL;
	FILE *real = stdout;
	size_t size;
	FILE *memory = open_memstream(&text, &size);

	if (!memory)
		return NULL;
	optind = 0; /* getopt begins anew */
	stdout = memory;
	command_run(command, 2, argv);
	stdout = real;
	return fclose(memory) == 0 ? text : NULL;
}

bool outline_make(struct outline *outline, const struct command *command)
{
	*outline = (struct outline){.command = command, .usage = outline_usage(command)};
	if (outline->usage && add_tables(outline) && outline_scan(outline, outline->usage))
		return true;
	print_complaint("%s: its options could not be told", command->name);
	return false;
}
