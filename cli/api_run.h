/*
 * api_run.h: a verb of the API while it runs, for those whose answer takes a form of its own.
 */
#ifndef CLI_API_RUN_H
#define CLI_API_RUN_H

#include "cli/api_client.h"
#include "cli/api_compose.h"
#include "cli/api_options.h"

struct api_run {
	struct api_client *client;
	const struct api_grammar *grammar;
	const struct api_given *given;
	struct api_composed composed;
};

/* "path?query", from malloc; `more` is appended to the query, or NULL. NULL, with the reason
 * printed, when memory is out. */
char *api_run_path(const struct api_run *run, const char *more);

/* Makes the verb's request once, with the method and the body of its route. False, with the
 * reason printed, when it was not carried out. The reply is to be given to api_reply_fini. */
bool api_run_send(struct api_run *run, const char *if_match, struct api_reply *reply);

/* GET of any path; as api_run_send. */
bool api_run_get(struct api_run *run, const char *path, struct api_reply *reply);

/* Waits until the job that the answer names, or is, has ended; what is in the answer is then as
 * it is then. False, with the reason printed, when it failed. */
bool api_wait(struct api_run *run, struct api_reply *reply);

/* Carries the request out as its route wants it (pages, If-Match) and shows the answer. */
enum cli_exit api_run_and_show(struct api_run *run);

#endif
