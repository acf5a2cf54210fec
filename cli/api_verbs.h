/*
 * api_verbs.h: `bulkhead NOUN VERB [WORD …] [OPTIONS]` over the admin API.
 *
 * The nouns that work on the control database (verbs.h) work over the API as well, and there
 * are more of them. A verb here is little more than the name of a route: its words and options
 * are the fields of the route's table (admin/api/route.h), whose types, bounds and sentences
 * they have. What a route takes, its verb takes; usage texts, completion and man pages come
 * from the same place. That is why these verbs are a table of their own and not one with those
 * of the control database: those are for the time before there is an API, and have options of
 * their own.
 *
 *	field of the route	option
 *	external_key		--external-key TEXT, or as an alias has it: --key
 *	one that may be null	also --no-external-key
 *	a boolean		--subtree; where it may be set to false, also --no-subtree
 *	a secret		--password-file FILE, or - for standard input
 *	any JSON		--value JSON (what is none is a string), and --value-file FILE
 *	an array		--addresses with commas, a JSON array, or @FILE
 *	an object		--limits with JSON, or @FILE
 */
#ifndef CLI_API_VERBS_H
#define CLI_API_VERBS_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/cli.h"

/* An option under another name than its field's. */
struct api_alias {
	const char *option; /* without the dashes; NULL ends a list */
	const char *field;
	const char *constant; /* JSON that it stands for, taking no value; NULL: it takes one */
};

struct api_run;

struct api_verb {
	const char *name;
	const char *route; /* "POST /v1/tenants/{tenant}:suspend" */
	/* The fields that its words stand for, in order: "tenant key [value]". Those in brackets
	 * may be left out. NULL: it takes none. */
	const char *words;
	/* What people are shown of the answer or its items: "slug key=external_key cluster.name",
	 * as title=member. NULL: all that are no objects or arrays. */
	const char *columns;
	/* The member of the answer that they are shown in place of the whole, of a change: a list
	 * of what it changed. NULL: the whole. */
	const char *part;
	const struct api_alias *aliases; /* NULL: none */
	/* A POST that wants the ETag of what its path names in front of the last colon. */
	bool is_conditional;
	/* The field of any JSON whose word, where it is none, is a list with commas between. */
	const char *list;
	/* A field of the body that is no option, and the JSON that it always has. NULL: none. */
	const char *fixed, *fixed_value;
	/* For one whose answer takes another form than api_show's; NULL for all others. */
	enum cli_exit (*run)(struct api_run *run);
};

struct api_noun {
	const char *name;
	const char *summary; /* a sentence */
	const struct api_verb *verbs;
	size_t count;
};

/* All of them, by name; api_nouns.c. */
extern const struct api_noun *const api_nouns[];
extern const size_t api_noun_count;

/* NULL when there is none of this name. */
const struct api_noun *api_find_noun(const char *name);
const struct api_verb *api_find_verb(const struct api_noun *noun, const char *name);

/* Runs the verb that stands at argv[at]; what else there is are its words and options. Prints
 * what is wrong. */
enum cli_exit api_verbs_run(const struct api_noun *noun, int at, int argc, char **argv);

#endif
