/*
 * outline.h: what the command line consists of: commands, their verbs, their options.
 *
 * It is read out of what tells people of it, so that it cannot lag behind: of nouns of the API
 *out of the tables that their usage texts are made of (api_options.h), of all else out of the
 *usage texts themselves. Of those this is understood:
 *
 *	Usage: bulkhead key rotate guard --dsn DSN... [--kid NAME]	a verb, of one or two words, and
 *	       bulkhead tenant suspend|resume TENANT [--subtree]	its options; one each
 *	(an empty line)
 *	  -c, --config FILE  the settings	an option of all verbs, unless a line above has it
 */
#ifndef CLI_OUTLINE_H
#define CLI_OUTLINE_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/commands.h"

struct outline_option {
	char *name;  /* with its dashes */
	char *value; /* FILE, N, locked|inherited; "": it takes none, or it is not said */
	char *doc;   /* "" where there is no more to say */
};

struct outline_verb {
	char *words[2]; /* "" where there are fewer */
	char *doc;      /* "" where it is not said */
	struct outline_option *options;
	size_t option_count;
};

/* Of one command. One without verbs has a single one, without words. */
struct outline {
	const struct command *command;
	struct outline_verb *verbs;
	size_t verb_count;
	char *usage; /* what --help prints */
};

/* False, with the reason printed, when a table is wrong or memory is out. To be given to
 * outline_fini in either case. */
bool outline_make(struct outline *outline, const struct command *command);
void outline_fini(struct outline *outline);

/* The command's usage text, from malloc; NULL when memory is out. */
char *outline_usage(const struct command *command);

#endif
