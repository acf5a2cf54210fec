/*
 * tenant_key.h: what the verbs of a tenant and a key have in common, whether the key is a
 * permission's or a setting's. All find the tenant by the first word.
 */
#ifndef CLI_TENANT_KEY_H
#define CLI_TENANT_KEY_H

#include "cli/verbs.h"

/*
 * Changes with a statement of the tenant's id, the key, the value as JSON and up to two texts.
 * `value` is from malloc and taken over; NULL has failed already.
 */
enum cli_exit tenant_key_set(PGconn *control, const struct arguments *arguments,
							 const char *sql, char *value, int more, const char *const texts[]);

/* Takes away with a statement of the tenant's id and the key; where there was nothing the
 * tenant is `state` already. */
enum cli_exit tenant_key_take(PGconn *control, const struct arguments *arguments,
							  const char *sql, const char *state);

/* Shows the rows of a statement of the tenant's id: one for programs, one for people. */
enum cli_exit tenant_key_show(PGconn *control, const struct arguments *arguments,
							  const char *sql_json, const char *sql);

#endif
