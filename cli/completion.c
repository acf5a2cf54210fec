/* bulkhead completion: what shells complete command lines with. */
#include "cli/completion.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/print.h"

static const char usage[] =
	"Usage: bulkhead completion bash|zsh\n"
	"\n"
	"Writes a script that completes commands, verbs, options and their values. For one shell:\n"
	"\n"
	"  source <(bulkhead completion bash)\n"
	"\n"
	"For all: into /etc/bash_completion.d, or as _bulkhead into a folder of zsh's fpath. make\n"
	"install and the Debian package have put both there already.\n";

/* ---- what the shells have in common ---- */

void completion_quote(FILE *out, const char *text)
{
	putc('\'', out);
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", out);
		else
			putc(*text, out);
	}
	putc('\'', out);
}

/* What stands for something in usage texts. */
static bool is_placeholder(const char *word, size_t len)
{
	static const char *const placeholders[] = {"TIME", "TEXT", "NAME", "TENANT", "KEY", "N"};

	for (size_t i = 0; i < sizeof placeholders / sizeof *placeholders; i++) {
		if (strlen(placeholders[i]) == len && strncmp(placeholders[i], word, len) == 0)
			return true;
	}
	return false;
}

static bool is_file(const char *value)
{
	return strncmp(value, "FILE", 4) == 0 || strncmp(value, "DIR", 3) == 0;
}

/* a|b|c without what only stands for something. */
static void write_choices(char out[256], const char *value)
{
	size_t used = 0;

	for (const char *at = value; *at; at += strspn(at, "|")) {
		size_t len = strcspn(at, "|");

		if (!is_placeholder(at, len) && used + len + 2 < 256)
			used += (size_t)snprintf(out + used, 256 - used, "%s%.*s", used ? "|" : "",
									 (int)len, at);
		at += len;
	}
}

const char *completion_value(const struct outline_option *option, char out[256])
{
	const char *value = option->value;

	*out = '\0';
	if (!*value)
		return out;
	if (is_file(value))
		return "@file";
	if (strchr(value, '|') || islower((unsigned char)*value))
		write_choices(out, value);
	return *out ? out : "@";
}

static bool is_first_of_kind(const struct outline *outline, size_t nth, int place,
							 const char *first)
{
	for (size_t i = 0; i < nth; i++) {
		const struct outline_verb *other = &outline->verbs[i];

		if ((place == 0 || strcmp(other->words[0], first) == 0) &&
			strcmp(other->words[place], outline->verbs[nth].words[place]) == 0)
			return false;
	}
	return true;
}

static bool is_first_with_more(const struct outline *outline, size_t nth)
{
	for (size_t i = 0; i < nth; i++) {
		if (*outline->verbs[i].words[1] &&
			strcmp(outline->verbs[i].words[0], outline->verbs[nth].words[0]) == 0)
			return false;
	}
	return true;
}

static void write_words(const struct outline *outline, int place, const char *first,
						completion_word *each, FILE *out)
{
	for (size_t i = 0; i < outline->verb_count; i++) {
		const struct outline_verb *verb = &outline->verbs[i];

		if (*verb->words[place] && (place == 0 || strcmp(verb->words[0], first) == 0) &&
			is_first_of_kind(outline, i, place, first))
			each(out, verb, place);
	}
}

void completion_firsts(const struct outline *outline, completion_word *each, FILE *out)
{
	write_words(outline, 0, "", each, out);
}

void completion_more(const struct outline *outline, const char *begin, const char *end,
					 completion_word *each, FILE *out)
{
	for (size_t i = 0; i < outline->verb_count; i++) {
		const char *first = outline->verbs[i].words[0];

		if (!*outline->verbs[i].words[1] || !is_first_with_more(outline, i))
			continue;
		fprintf(out, "\t\t[[ $2 == %s ]] && more=%s", first, begin);
		write_words(outline, 1, first, each, out);
		fprintf(out, "%s\n", end);
	}
}

static int word_count(const struct outline_verb *verb)
{
	return (*verb->words[0] != '\0') + (*verb->words[1] != '\0');
}

void completion_verbs(const struct outline *outline,
					  void (*each)(FILE *out, const struct outline_verb *verb), FILE *out)
{
	for (int words = 2; words >= 0; words--) {
		for (size_t i = 0; i < outline->verb_count; i++) {
			if (word_count(&outline->verbs[i]) == words)
				each(out, &outline->verbs[i]);
		}
	}
}

bool completion_takes_files(const struct outline *outline)
{
	for (size_t i = 0; i < outline->verb_count; i++) {
		if (word_count(&outline->verbs[i]) == 0)
			return true;
	}
	return false;
}

void completion_pattern(FILE *out, const struct outline_verb *verb)
{
	if (*verb->words[0])
		fprintf(out, "'%s%s%s '", verb->words[0], *verb->words[1] ? " " : "", verb->words[1]);
	putc('*', out);
}

/* ---- the command ---- */

static bool make_all(struct outline *outlines, size_t *count)
{
	for (size_t i = 0; i < command_count; i++) {
		if (!commands[i].help)
			continue;
		if (!outline_make(&outlines[(*count)++], &commands[i]))
			return false;
	}
	return true;
}

static enum cli_exit write_script(void (*script)(FILE *, const struct outline *, size_t))
{
	struct outline *outlines = calloc(command_count, sizeof *outlines);
	size_t count = 0;
	bool made = outlines && make_all(outlines, &count);

	if (made)
		script(stdout, outlines, count);
	for (size_t i = 0; i < count; i++)
		outline_fini(&outlines[i]);
	free(outlines);
	return made ? CLI_DONE : CLI_FAILED;
}

int cmd_completion(int argc, char **argv)
{
	const char *word = argc == 2 ? argv[1] : "";

	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
		fputs(usage, stdout);
		return CLI_DONE;
	}
	if (strcmp(word, "bash") == 0)
		return (int)write_script(completion_bash);
	if (strcmp(word, "zsh") == 0)
		return (int)write_script(completion_zsh);
	fputs(usage, stderr);
	return CLI_USAGE;
}
