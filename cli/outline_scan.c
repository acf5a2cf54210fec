/* Reading usage texts that people wrote; outline.h says what is understood. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/outline_internal.h"

#define NAME_SIZE  80
#define VALUE_SIZE 96
#define DOC_SIZE   512

/* ---- synopses ---- */

static bool is_verb_character(char c)
{
	return islower((unsigned char)c) || c == '-';
}

/* Cuts a word like suspend|resume off; returns where to go on, or NULL when it is no such word.
 */
static const char *take_verbs(const char *at, char out[NAME_SIZE])
{
	const char *end;

	at += strspn(at, " ");
	for (end = at; is_verb_character(*end) || (*end == '|' && end > at); end++)
		;
	if (end == at || *at == '-' || (*end && *end != ' ' && *end != '\n'))
		return NULL;
	snprintf(out, NAME_SIZE, "%.*s", (int)(end - at), at);
	return end;
}

/* What stands behind an option's name: " TEXT", "=TEXT" or nothing. */
static size_t read_value(const char *at, char value[VALUE_SIZE])
{
	size_t len = 0;

	*value = '\0';
	if ((*at != ' ' && *at != '=') || !isalpha((unsigned char)at[1]))
		return 0;
	while (at[1 + len] && !strchr(" ]\n", at[1 + len]) && strncmp(at + 1 + len, "|-", 2) != 0 &&
		   strncmp(at + 1 + len, "...", 3) != 0)
		len++;
	snprintf(value, VALUE_SIZE, "%.*s", (int)len, at + 1);
	return len + 1;
}

static size_t name_length(const char *at)
{
	size_t len = 2;

	while (islower((unsigned char)at[len]) || isdigit((unsigned char)at[len]) || at[len] == '-')
		len++;
	return len;
}

/* All options between the two places. */
static bool add_options(struct outline_verb *verb, const char *at, const char *end)
{
	char name[NAME_SIZE], value[VALUE_SIZE];

	for (; (at = strstr(at, "--")) && at < end; at += strlen(name)) {
		size_t len = name_length(at);

		snprintf(name, sizeof name, "%.*s", (int)len, at);
		read_value(at + len, value);
		if (len > 2 && !outline_add_option(verb, name, value, ""))
			return false;
	}
	return true;
}

/* For each of a|b, or for "" where there is none. */
static bool add_entry(struct outline *outline, const char *firsts, const char *seconds,
					  const char *at, const char *end)
{
	char first[NAME_SIZE], second[NAME_SIZE];
	const char *next = firsts, *other;

	do {
		size_t len = strcspn(next, "|");

		snprintf(first, sizeof first, "%.*s", (int)len, next);
		next += len + (next[len] == '|');
		other = seconds;
		do {
			struct outline_verb *verb;

			len = strcspn(other, "|");
			snprintf(second, sizeof second, "%.*s", (int)len, other);
			other += len + (other[len] == '|');
			verb = outline_verb(outline, first, second);
			if (!verb || !add_options(verb, at, end))
				return false;
			/* Before the second word is there, all of the first one's may come. */
			verb = *second ? outline_verb(outline, first, "") : verb;
			if (!verb || !add_options(verb, at, end))
				return false;
		} while (*other);
	} while (*next);
	return true;
}

/* One "bulkhead COMMAND …", up to the next one. */
static bool scan_entry(struct outline *outline, const char *at, const char *end)
{
	char first[NAME_SIZE] = "", second[NAME_SIZE] = "";
	const char *next = take_verbs(at, first);

	if (next)
		at = next;
	else
		*first = '\0';
	next = *first ? take_verbs(at, second) : NULL;
	if (next)
		at = next;
	else
		*second = '\0';
	return add_entry(outline, first, second, at, end);
}

static bool scan_synopsis(struct outline *outline, const char *text, const char *end)
{
	char lead[NAME_SIZE];
	size_t len = (size_t)snprintf(lead, sizeof lead, "bulkhead %s", outline->command->name);
	const char *at = strstr(text, lead);

	while (at && at < end) {
		const char *next = strstr(at + len, lead);

		if (!scan_entry(outline, at + len, next && next < end ? next : end))
			return false;
		at = next;
	}
	return true;
}

/* ---- lists of options ---- */

static bool is_option_line(const char *line)
{
	size_t blanks = strspn(line, " ");

	return blanks >= 2 && blanks <= 6 && line[blanks] == '-' &&
		   (line[blanks + 1] == '-' || isalpha((unsigned char)line[blanks + 1]));
}

/* The sentence at the end of the line, and the lines behind it that are further in. */
static void read_doc(const char *line, const char *at, char doc[DOC_SIZE])
{
	size_t column = (size_t)(at - line), len = 0;

	*doc = '\0';
	while (len < DOC_SIZE - 2) {
		size_t rest = strcspn(at, "\n");
		int more = snprintf(doc + len, DOC_SIZE - len, "%s%.*s", len ? " " : "", (int)rest, at);

		len += (size_t)more;
		line = at + rest + (at[rest] == '\n');
		if (!at[rest] || strspn(line, " ") < column || column == 0)
			break;
		at = line + strspn(line, " ");
	}
}

static bool has_option(const struct outline *outline, const char *name)
{
	for (size_t i = 0; i < outline->verb_count; i++) {
		for (size_t j = 0; j < outline->verbs[i].option_count; j++) {
			if (strcmp(outline->verbs[i].options[j].name, name) == 0)
				return true;
		}
	}
	return false;
}

/* To the verbs that have it; to all where none has. `bound` is how many there are of this text.
 */
static bool add_to_verbs(struct outline *outline, const char *name, const char *value,
						 const char *doc)
{
	bool is_of_some = has_option(outline, name);

	for (size_t i = 0; i < outline->verb_count; i++) {
		struct outline_verb *verb = &outline->verbs[i];
		bool is_here = !is_of_some;

		for (size_t j = 0; !is_here && j < verb->option_count; j++)
			is_here = strcmp(verb->options[j].name, name) == 0;
		if (is_here && !outline_add_option(verb, name, value, doc))
			return false;
	}
	return true;
}

/* "  -c, --config FILE  the settings", or "  --parent, --under  the tenant above". */
static bool scan_option_line(struct outline *outline, const char *line)
{
	const char *end = line + strcspn(line, "\n");
	const char *doc_at = strstr(line + strspn(line, " "), "  ");
	char name[NAME_SIZE], value[VALUE_SIZE], doc[DOC_SIZE] = "";

	if (doc_at && doc_at < end)
		read_doc(line, doc_at + strspn(doc_at, " "), doc);
	else
		doc_at = end;
	for (const char *at = line; (at = strstr(at, "--")) && at < doc_at; at += strlen(name)) {
		size_t len = name_length(at);

		snprintf(name, sizeof name, "%.*s", (int)len, at);
		read_value(at + len, value);
		if (!add_to_verbs(outline, name, value, doc))
			return false;
	}
	return true;
}

static bool scan_options(struct outline *outline, const char *text)
{
	for (const char *line = text; *line; line += *line == '\n') {
		if (is_option_line(line) && !scan_option_line(outline, line))
			return false;
		line += strcspn(line, "\n");
	}
	return true;
}

/* ---- a text ---- */

/* Behind what the tables have said already. */
static const char *find_usage(const struct command *command, const char *text)
{
	const char *usage = strstr(text, "\nUsage: ");

	return !command->noun ? text : usage ? usage + 1 : NULL;
}

bool outline_scan(struct outline *outline, const char *usage)
{
	struct outline scanned = {.command = outline->command};
	const char *text = find_usage(outline->command, usage);
	const char *body = text ? strstr(text, "\n\n") : NULL;
	bool whole = true;

	if (!body || (outline->verb_count > 0 && !outline->command->noun))
		return true;
	whole = scan_synopsis(&scanned, text, body) && scan_options(&scanned, body);
	for (size_t i = 0; whole && i < scanned.verb_count; i++) {
		const struct outline_verb *from = &scanned.verbs[i];
		struct outline_verb *to = outline_verb(outline, from->words[0], from->words[1]);

		whole = to != NULL;
		for (size_t j = 0; whole && j < from->option_count; j++)
			whole = outline_add_option(to, from->options[j].name, from->options[j].value,
									   from->options[j].doc);
	}
	outline_fini(&scanned);
	return whole;
}
