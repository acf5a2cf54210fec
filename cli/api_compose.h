/*
 * api_compose.h: a request, made of a verb's words and options.
 */
#ifndef CLI_API_COMPOSE_H
#define CLI_API_COMPOSE_H

#include <jansson.h>

#include "cli/api_options.h"

struct api_composed {
	char *path;   /* from /v1 on, percent-encoded, without a query */
	char *query;  /* without the question mark; "" when there is none */
	json_t *body; /* NULL: none */
};

/* CLI_DONE, or why not, with the reason printed: a value that its field cannot have is wrong
 * usage. To be given to api_composed_fini in either case. */
enum cli_exit api_compose(struct api_composed *out, const struct api_grammar *grammar,
						  const struct api_given *given);
void api_composed_fini(struct api_composed *composed);

/* The body as it is sent; to be given to secret_free. NULL, with the reason printed, when
 * memory is out. */
char *api_body_text(const json_t *body);

/* Overwrites all texts in it, for a body that held secrets. */
void api_wipe_json(json_t *value);

/* JSON that stands in a word, or behind its @ in a file. NULL with the reason printed. */
json_t *api_json_of_word(const char *what, const char *word);

/* The text with all but letters, digits and -._~ as %XX; from malloc. */
char *api_percent(const char *text);

#endif
