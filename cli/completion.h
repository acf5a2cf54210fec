/*
 * completion.h: scripts that complete command lines of bulkhead in a shell, made of the outline
 * of all commands (outline.h).
 */
#ifndef CLI_COMPLETION_H
#define CLI_COMPLETION_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/outline.h"

/* `outlines` are those of the commands that are for people, `count` of them. */
void completion_bash(FILE *out, const struct outline *outlines, size_t count);
void completion_zsh(FILE *out, const struct outline *outlines, size_t count);

/* What may be given for the option: "@file", "a|b|c", or "@" where only its user knows. "" when
 * it takes nothing. From `out`. */
const char *completion_value(const struct outline_option *option, char out[256]);

/* Writes one of the words of a verb, in front of a blank. */
typedef void completion_word(FILE *out, const struct outline_verb *verb, int place);

/* The verbs' first words, each once. */
void completion_firsts(const struct outline *outline, completion_word *each, FILE *out);

/* A line for each first word that others follow, which sets `more` to those. */
void completion_more(const struct outline *outline, const char *begin, const char *end,
					 completion_word *each, FILE *out);

/* All verbs; longer ones come first, for the shells' patterns: that of "" fits all. */
void completion_verbs(const struct outline *outline,
					  void (*each)(FILE *out, const struct outline_verb *verb), FILE *out);

/* Does the command do something without a verb? Its words are files then. */
bool completion_takes_files(const struct outline *outline);

/* The pattern of a verb's command line behind the command: 'list guard '*, or * alone. */
void completion_pattern(FILE *out, const struct outline_verb *verb);

/* Writes the text between single quotes, as shells have them. */
void completion_quote(FILE *out, const char *text);

#endif
