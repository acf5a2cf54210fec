/*
 * api_where.h: whether a noun's verb works on the control database or over the API, and where
 * that is.
 *
 * --control-dsn is the database; else --api or BULKHEAD_API is the API; else CONTROL_DSN is the
 * database; else it is the API at its default address, if a key is given. What only the
 * environment says gives way for a verb that there is on the other side alone.
 */
#ifndef CLI_API_WHERE_H
#define CLI_API_WHERE_H

#include <stdbool.h>

#include "cli/api_client.h"
#include "cli/api_options.h"
#include "cli/verbs.h"

/* Runs a noun of the control database, of the API, or of both: either may be NULL, not both.
 * argv[0] is the noun. */
enum cli_exit api_where_run(const struct noun *direct, const struct api_noun *api, int argc,
							char **argv);

/* A client for where the options and the environment say. NULL, with the reason printed. */
struct api_client *api_where_open(const struct api_given *given, enum cli_exit *result);

/* The usage text of a noun, with both sides. */
void api_where_help(FILE *out, const struct noun *direct, const struct api_noun *api);

#endif
