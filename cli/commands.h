/*
 * commands.h: the list of subcommands, which --help, the completion and the man pages tell of.
 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include <stddef.h>

#include "cli/api_verbs.h"

struct command {
	const char *name;
	int (*run)(int argc, char **argv); /* NULL: a noun of the API alone */
	const struct api_noun *noun;       /* NULL: it has nothing to do with the API */
	const char *help;                  /* NULL: not for people, and not listed */
};

extern const struct command commands[];
extern const size_t command_count;

/* NULL when there is none of this name. */
const struct command *command_find(const char *name);

/* argv[0] is the command's name. Returns an enum cli_exit. */
int command_run(const struct command *command, int argc, char **argv);

#endif
