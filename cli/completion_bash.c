/* The script for bash. */
#include "cli/completion.h"

#include <string.h>

/* What of it is the same whatever the commands are. */
static const char head[] =
	"# Completion of bulkhead for bash; written by `bulkhead completion bash`.\n\n";

static const char tail[] =
	"_bulkhead()\n"
	"{\n"
	"	local cur=${COMP_WORDS[COMP_CWORD]} option= value= verbs= more= files= options= "
	"values=\n"
	"	COMPREPLY=()\n"
	"	if ((COMP_CWORD == 1)); then\n"
	"		mapfile -t COMPREPLY < <(compgen -W \"$_bulkhead_commands --help --version\" -- "
	"\"$cur\")\n"
	"		return\n"
	"	fi\n"
	"	_bulkhead_choices \"${COMP_WORDS[1]}\" \"${COMP_WORDS[2]}\" \"${COMP_WORDS[3]}\"\n"
	"\n"
	"	# --option=value comes as three words.\n"
	"	option=${COMP_WORDS[COMP_CWORD - 1]}\n"
	"	if [[ $cur == = ]]; then\n"
	"		cur=\n"
	"	elif [[ $option == = ]]; then\n"
	"		option=${COMP_WORDS[COMP_CWORD - 2]}\n"
	"	fi\n"
	"	for value in $values; do\n"
	"		[[ $value == \"$option=\"* ]] || continue\n"
	"		value=${value#*=}\n"
	"		if [[ $value == @file ]]; then\n"
	"			compopt -o filenames\n"
	"			mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
	"		elif [[ $value != @ ]]; then\n"
	"			mapfile -t COMPREPLY < <(compgen -W \"${value//|/ }\" -- \"$cur\")\n"
	"		fi\n"
	"		return\n"
	"	done\n"
	"\n"
	"	if ((COMP_CWORD == 2)) && [[ $verbs && $cur != -* ]]; then\n"
	"		mapfile -t COMPREPLY < <(compgen -W \"$verbs\" -- \"$cur\"; [[ ! $files ]] || "
	"compgen "
	"-f -- \"$cur\")\n"
	"		return\n"
	"	elif ((COMP_CWORD == 3)) && [[ $more && $cur != -* ]]; then\n"
	"		options=$more\n"
	"	elif [[ $files && $cur != -* ]]; then\n"
	"		compopt -o filenames\n"
	"		mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
	"		return\n"
	"	fi\n"
	"	mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$cur\")\n"
	"}\n"
	"complete -F _bulkhead bulkhead\n";

static void write_word(FILE *out, const struct outline_verb *verb, int place)
{
	fprintf(out, "%s ", verb->words[place]);
}

static void write_values(FILE *out, const struct outline_verb *verb)
{
	char choices[256];

	for (size_t i = 0; i < verb->option_count; i++) {
		const struct outline_option *option = &verb->options[i];
		const char *value = completion_value(option, choices);

		if (*value)
			fprintf(out, "%s=%s ", option->name, value);
		if (strcmp(option->name, "--config") == 0)
			fputs("-c=@file ", out);
	}
}

static void write_verb(FILE *out, const struct outline_verb *verb)
{
	fputs("\t\t", out);
	completion_pattern(out, verb);
	fputs(") options='", out);
	for (size_t i = 0; i < verb->option_count; i++)
		fprintf(out, "%s ", verb->options[i].name);
	fputs("' values='", out);
	write_values(out, verb);
	fputs("' ;;\n", out);
}

static void write_command(FILE *out, const struct outline *outline)
{
	fprintf(out, "\t%s)\n\t\tverbs='", outline->command->name);
	completion_firsts(outline, write_word, out);
	fputs(completion_takes_files(outline) ? "' files=yes\n" : "'\n", out);
	completion_more(outline, "'", "'", write_word, out);
	fputs("\t\tcase \"$2 $3 \" in\n", out);
	completion_verbs(outline, write_verb, out);
	fputs("\t\tesac\n\t\t;;\n", out);
}

void completion_bash(FILE *out, const struct outline *outlines, size_t count)
{
	fputs(head, out);
	fputs("_bulkhead_commands='", out);
	for (size_t i = 0; i < count; i++)
		fprintf(out, "%s ", outlines[i].command->name);
	fputs("'\n\n_bulkhead_choices()\n{\n\tcase $1 in\n", out);
	for (size_t i = 0; i < count; i++)
		write_command(out, &outlines[i]);
	fputs("\tesac\n}\n\n", out);
	fputs(tail, out);
}
