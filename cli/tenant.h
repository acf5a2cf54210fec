/*
 * tenant.h: the verbs of `bulkhead tenant`, a file for each kind.
 */
#ifndef CLI_TENANT_H
#define CLI_TENANT_H

#include "cli/verbs.h"

enum cli_exit tenant_create(PGconn *control,
							const struct arguments *arguments); /* tenant_create.c */

enum cli_exit tenant_list(PGconn *control,
						  const struct arguments *arguments); /* tenant_show.c */
enum cli_exit tenant_show(PGconn *control, const struct arguments *arguments);

/* suspend, resume, archive and restore: tenant_status.c */
enum cli_exit tenant_change_status(PGconn *control, const struct arguments *arguments);

const char *tenant_purge_check(const struct arguments *arguments);
enum cli_exit tenant_purge(PGconn *control,
						   const struct arguments *arguments); /* tenant_purge.c */

const char *tenant_move_check(const struct arguments *arguments);
enum cli_exit tenant_move(PGconn *control,
						  const struct arguments *arguments); /* tenant_set.c */
const char *tenant_set_check(const struct arguments *arguments);
enum cli_exit tenant_set(PGconn *control, const struct arguments *arguments);

#endif
