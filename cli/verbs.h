/*
 * verbs.h: `bulkhead NOUN VERB [WORD …] [OPTIONS]`, for the nouns of the control schema.
 *
 * A noun is a list of verbs; each says how many words it takes and which options belong to it.
 * Whatever does not fit is wrong usage and never ignored. All verbs take --control-dsn and
 * --json.
 */
#ifndef CLI_VERBS_H
#define CLI_VERBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "cli/cli.h"

enum argument {
	/* with a value */
	ARG_CONTROL_DSN,
	ARG_PARENT,
	ARG_ID,
	ARG_KEY,
	ARG_NAME,
	ARG_SLUG,
	ARG_CLUSTER,
	ARG_STRATEGY,
	ARG_WEIGHT,
	ARG_UNDER,
	ARG_HOME,
	ARG_REACH,
	ARG_PASSWORD_FILE,
	ARG_VALID_UNTIL,
	ARG_MODE,
	ARG_REVOCATION,
	ARG_CONFIG,
	ARG_CONFIRM,
	ARG_REGION,
	ARG_STATUS,
	ARG_ROLE,
	ARG_TENANT,
	ARG_ADDRESSES,
	ARG_OVERLAP,
	ARG_PEPPER_FILE,
	ARG_KEY_FILE,
	ARG_MAX_CONNECTIONS,
	ARG_CERTIFICATE_NAMES,
	ARG_TENANTS,
	/* without one */
	ARG_REVEAL,
	ARG_NO_KEY,
	ARG_NO_REGION,
	ARG_TO_ROOT,
	ARG_SUBTREE,
	ARG_LOCK,
	ARG_DEDICATED_LOGIN,
	ARG_NO_PROVISION,
	ARG_NO_WAIT,
	ARG_DRY_RUN,
	ARG_JSON,
	ARG_COUNT,
};

#define ARG(name) (UINT64_C(1) << ARG_##name)

struct arguments {
	const char *verb;             /* for verbs that share a function */
	const char *word;             /* NULL for verbs that take none */
	const char *key, *text;       /* the second and third word of those that take so many */
	const char *value[ARG_COUNT]; /* borrowed from argv; NULL where an option was not given, ""
								   * for a given one that has no value */
};

#define WORDS_MAX 3

struct verb {
	const char *name;
	int words;      /* at most WORDS_MAX: a name, a key and a text */
	uint64_t takes; /* the options that belong to it, as ARG(…) */
	/* What is wrong with the arguments beyond that, or NULL; itself NULL where nothing can be.
	 */
	const char *(*check)(const struct arguments *arguments);
	/* The connection stays the caller's. */
	enum cli_exit (*run)(PGconn *control, const struct arguments *arguments);
};

struct noun {
	const char *name, *usage;
	const struct verb *verbs;
	size_t verb_count;
	/* For one that reads its command line itself: of its verbs only the names are looked at.
	 * NULL for all others. */
	int (*run)(int argc, char **argv);
};

/* Parses, connects to the control database and runs; prints what is wrong, or the usage text
 * for --help. */
enum cli_exit verbs_run(const struct noun *noun, int argc, char **argv);

/* What a verb ends with: shows the rows as --json or its absence asks, and clears them. NULL
 * has failed already. */
enum cli_exit verbs_end(PGresult *rows, const struct arguments *arguments);

/* The same for the one row that a word names, in lines; where there is none, `unknown` is why.
 */
enum cli_exit verbs_end_show(PGresult *row, const struct arguments *arguments,
							 const char *unknown);

/* The same for a change, whose rows are those that it changed. Where there are none, people
 * read "NAME is STATE already"; programs see the empty array. */
enum cli_exit verbs_end_change(PGresult *rows, const struct arguments *arguments,
							   const char *name, const char *state);

#endif
