/*
 * api_help.h: usage texts of nouns and verbs of the API, made from their tables.
 */
#ifndef CLI_API_HELP_H
#define CLI_API_HELP_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/api_options.h"

void api_help_noun(FILE *out, const struct api_noun *noun);

/* Of a command that has no verbs. */
void api_help_command(FILE *out, const char *name, const struct api_grammar *grammar);

/* False, with the reason printed, when the verb's table is wrong or memory is out. */
bool api_help_verb(FILE *out, const struct api_noun *noun, const struct api_verb *verb);

/* "bulkhead tenant create SLUG [--name TEXT] …", in lines. */
void api_help_synopsis(FILE *out, const char *lead, const char *noun,
					   const struct api_grammar *grammar);

/* The options, each with its sentence; those that all verbs have only where `common` says so.
 */
void api_help_options(FILE *out, const struct api_grammar *grammar, bool common);

/* "SLUG", "[VALUE]": the word as a synopsis has it. */
void api_word_text(const struct api_word *word, char out[80]);

/* Writes words in lines of up to 90 characters; the first line has `used` already, all others
 * begin with `indent` blanks. Ends the last one. */
void api_help_wrap(FILE *out, const char *text, int used, int indent);

/* Is it one that every verb has? */
bool api_option_is_common(const struct api_option *option);

#endif
