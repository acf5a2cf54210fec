/*
 * principal.h: the verbs of `bulkhead principal`, a file for each kind.
 */
#ifndef CLI_PRINCIPAL_H
#define CLI_PRINCIPAL_H

#include "cli/verbs.h"

/* principal_password.c */
const char *principal_create_check(const struct arguments *arguments);
enum cli_exit principal_create(PGconn *control, const struct arguments *arguments);
enum cli_exit principal_password(PGconn *control, const struct arguments *arguments);

/* principal_show.c */
enum cli_exit principal_list(PGconn *control, const struct arguments *arguments);
enum cli_exit principal_show(PGconn *control, const struct arguments *arguments);

/* principal_set.c */
enum cli_exit principal_disable(PGconn *control, const struct arguments *arguments);
enum cli_exit principal_enable(PGconn *control, const struct arguments *arguments);
const char *principal_set_check(const struct arguments *arguments);
enum cli_exit principal_set(PGconn *control, const struct arguments *arguments);
enum cli_exit principal_delete(PGconn *control, const struct arguments *arguments);

/* What --reach may be. */
bool principal_is_reach(const char *word);

#endif
