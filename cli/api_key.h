/*
 * api_key.h: the verbs of `bulkhead api-key`, a file for each kind.
 */
#ifndef CLI_API_KEY_H
#define CLI_API_KEY_H

#include "cli/verbs.h"

/* api_key_secret.c: what draws a secret, and shows it once */
const char *api_key_create_check(const struct arguments *arguments);
enum cli_exit api_key_create(PGconn *control, const struct arguments *arguments);
const char *api_key_rotate_check(const struct arguments *arguments);
enum cli_exit api_key_rotate(PGconn *control, const struct arguments *arguments);

#endif
