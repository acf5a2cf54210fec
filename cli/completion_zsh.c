/* The script for zsh. */
#include "cli/completion.h"

#include <string.h>

#define DOC_MAX 70 /* bytes of a sentence in a menu */

static const char head[] = "#compdef bulkhead\n"
						   "# Written by `bulkhead completion zsh`.\n\n";

static const char tail[] =
	"_bulkhead()\n"
	"{\n"
	"	local -a verbs more options values\n"
	"	local option value files current=$words[CURRENT]\n"
	"	if (( CURRENT == 2 )); then\n"
	"		_bulkhead_commands\n"
	"		_describe -t commands command verbs\n"
	"		return\n"
	"	fi\n"
	"	_bulkhead_choices \"$words[2]\" \"$words[3]\" \"$words[4]\"\n"
	"\n"
	"	option=$words[CURRENT-1]\n"
	"	if [[ $current == --*=* ]]; then\n"
	"		option=${current%%=*}\n"
	"		compset -P '--*='\n"
	"	fi\n"
	"	for value in $values; do\n"
	"		[[ $value == \"$option=\"* ]] || continue\n"
	"		value=${value#*=}\n"
	"		if [[ $value == @file ]]; then\n"
	"			_files\n"
	"		elif [[ $value == @ ]]; then\n"
	"			_message -e value \"value of $option\"\n"
	"		else\n"
	"			compadd -- ${(s:|:)value}\n"
	"		fi\n"
	"		return\n"
	"	done\n"
	"\n"
	"	if [[ $current == -* ]]; then\n"
	"		_describe -o -t options option options\n"
	"	elif (( CURRENT == 3 && $#verbs )); then\n"
	"		_describe -t verbs verb verbs\n"
	"		[[ $files ]] && _files\n"
	"	elif (( CURRENT == 4 && $#more )); then\n"
	"		compadd -- $more\n"
	"	elif [[ $files ]]; then\n"
	"		_files\n"
	"	else\n"
	"		_describe -o -t options option options\n"
	"	fi\n"
	"}\n"
	"\n"
	"# In fpath this file is the function itself; where it was sourced it is not.\n"
	"if [[ $funcstack[1] == _bulkhead ]]; then\n"
	"	_bulkhead \"$@\"\n"
	"else\n"
	"	compdef _bulkhead bulkhead\n"
	"fi\n";

/* 'name:sentence'; a long sentence is cut short between two words. */
static void write_described(FILE *out, const char *name, const char *doc)
{
	char text[64 + DOC_MAX + 16];
	size_t len = strcspn(doc, "\n");

	if (len > DOC_MAX) {
		for (len = DOC_MAX; len > 0 && doc[len] != ' '; len--)
			;
	}
	snprintf(text, sizeof text, "%.70s%s%.*s%s", name, len ? ":" : "", (int)len, doc,
			 doc[len] ? " ..." : "");
	completion_quote(out, text);
	putc(' ', out);
}

static void write_word(FILE *out, const struct outline_verb *verb, int place)
{
	if (place == 0)
		write_described(out, verb->words[place], verb->doc);
	else
		fprintf(out, "%s ", verb->words[place]);
}

static void write_values(FILE *out, const struct outline_verb *verb)
{
	char choices[256];

	for (size_t i = 0; i < verb->option_count; i++) {
		const struct outline_option *option = &verb->options[i];
		const char *value = completion_value(option, choices);

		if (*value)
			fprintf(out, "'%s=%s' ", option->name, value);
		if (strcmp(option->name, "--config") == 0)
			fputs("'-c=@file' ", out);
	}
}

static void write_verb(FILE *out, const struct outline_verb *verb)
{
	fputs("\t\t(", out);
	completion_pattern(out, verb);
	fputs(")\n\t\t\toptions=( ", out);
	for (size_t i = 0; i < verb->option_count; i++)
		write_described(out, verb->options[i].name, verb->options[i].doc);
	fputs(")\n\t\t\tvalues=( ", out);
	write_values(out, verb);
	fputs(")\n\t\t\t;;\n", out);
}

static void write_command(FILE *out, const struct outline *outline)
{
	fprintf(out, "\t(%s)\n\t\tverbs=( ", outline->command->name);
	completion_firsts(outline, write_word, out);
	fputs(completion_takes_files(outline) ? ") files=yes\n" : ")\n", out);
	completion_more(outline, "( ", ")", write_word, out);
	fputs("\t\tcase \"$2 $3 \" in\n", out);
	completion_verbs(outline, write_verb, out);
	fputs("\t\tesac\n\t\t;;\n", out);
}

void completion_zsh(FILE *out, const struct outline *outlines, size_t count)
{
	fputs(head, out);
	fputs("_bulkhead_commands()\n{\n\tverbs=( ", out);
	for (size_t i = 0; i < count; i++)
		write_described(out, outlines[i].command->name, outlines[i].command->help);
	fputs(")\n}\n\n_bulkhead_choices()\n{\n\tcase $1 in\n", out);
	for (size_t i = 0; i < count; i++)
		write_command(out, &outlines[i]);
	fputs("\tesac\n}\n\n", out);
	fputs(tail, out);
}
