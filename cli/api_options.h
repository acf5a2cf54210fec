/*
 * api_options.h: which options a verb of the API takes, and what was given of them.
 */
#ifndef CLI_API_OPTIONS_H
#define CLI_API_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "admin/api/route.h"
#include "cli/api_verbs.h"

/* Where an option's value goes. */
enum api_place {
	API_PLACE_OWN,  /* it is the command's own: enum api_own */
	API_PLACE_PATH, /* words only */
	API_PLACE_QUERY,
	API_PLACE_BODY,
};

/* Options that are no fields. */
enum api_own {
	OWN_API,
	OWN_API_KEY_FILE,
	OWN_CA_FILE,
	OWN_CERT_FILE,
	OWN_CERT_KEY_FILE,
	OWN_ALLOW_HTTP,
	OWN_TIMEOUT,
	OWN_JSON,
	OWN_HELP,
	OWN_IF_MATCH,
	OWN_IDEMPOTENCY_KEY,
	OWN_DRY_RUN,
	OWN_LIMIT,
	OWN_CURSOR,
	OWN_DATA,
	OWN_ACCEPT,
	OWN_FOLLOW,
	OWN_OUT,
	OWN_WAIT,
	OWN_COUNT,
};

struct api_option {
	char name[64]; /* without the dashes */
	enum api_place place;
	enum api_own own;              /* of API_PLACE_OWN */
	const struct api_field *field; /* of the others */
	const char *constant;          /* JSON that it stands for; NULL: it takes a value */
	bool is_file;                  /* its value is the name of a file that holds the field's */
	bool is_required;              /* nothing else gives the field */
	char metavar[96];              /* what its value is, for people; "": it takes none */
	const char *doc;               /* a sentence; never NULL */
};

/* The words of a verb, in order. */
struct api_word {
	char name[64];
	enum api_place place;
	const struct api_field
		*field; /* NULL: {tenant} of a path, whose field is everywhere the same */
	bool is_optional;
};

#define API_OPTIONS_MAX 96
#define API_WORDS_MAX   6

struct api_grammar {
	const struct api_verb *verb;
	const struct api_route *route;
	struct api_option options[API_OPTIONS_MAX];
	size_t option_count;
	struct api_word words[API_WORDS_MAX];
	size_t word_count;
};

/* The route that a verb names; NULL when there is no such route. */
const struct api_route *api_find_route(const char *method_and_path);

/* Does it change something that is there, which may have an ETag? */
bool api_is_change(const struct api_grammar *grammar);

/* The member of the answer that is shown this once; NULL: none is. */
const char *api_secret_of(const struct api_route *route);

/* Does it begin something that a job does, or may it? */
bool api_route_has_job(const struct api_route *route);

/* False when the verb's table is wrong, which is said in *why: a test asks for all. */
bool api_grammar_make(struct api_grammar *grammar, const struct api_verb *verb,
					  const char **why);

/* The same for any route. */
bool api_grammar_make_for(struct api_grammar *grammar, const struct api_verb *verb,
						  const struct api_route *route, const char **why);

/* Puts the options that every verb has, and no route knows, behind those that are there. */
void api_grammar_add_common(struct api_grammar *grammar);
void api_grammar_add_own(struct api_grammar *grammar, enum api_own own);

/* The grammars of commands that are no noun: `bulkhead api` (api_any.c) and `events`
 * (api_events.c). False as api_grammar_make. */
bool api_grammar_of_any(struct api_grammar *grammar, const char **why);
bool api_grammar_of_events(struct api_grammar *grammar, const char **why);

struct api_given {
	const char *words[API_WORDS_MAX]; /* NULL: left out */
	size_t word_count;
	const char *values[API_OPTIONS_MAX]; /* "" for what takes none; NULL: not given. Of an
										  * array's that was given again, the last */
	const char *own[OWN_COUNT];
};

/* What stands in argv behind its first; false, with the reason printed, when it does not fit.
 * --help alone makes the rest of no interest. */
bool api_given_read(struct api_given *given, const struct api_grammar *grammar, int argc,
					char **argv);

#endif
