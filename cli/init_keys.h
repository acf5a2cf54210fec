/*
 * init_keys.h: the folder where `bulkhead init` keeps what it makes up.
 *
 * Three files of mode 0600: guard.key (a line `kid base64`), pool.password and
 * sidecar.password. A file that is there is used as it is and never overwritten.
 */
#ifndef CLI_INIT_KEYS_H
#define CLI_INIT_KEYS_H

#include <stdbool.h>

#include "policy/guard/guard.h"

#define INIT_GUARD_KEY        "guard.key"
#define INIT_POOL_PASSWORD    "pool.password"
#define INIT_SIDECAR_PASSWORD "sidecar.password"

struct init_keys {
	char *dir;
	char kid[GUARD_KID_MAX + 1];
	unsigned char key[GUARD_KEY_SIZE];
	char *pool_password, *sidecar_password;
	bool pool_password_new, sidecar_password_new; /* drawn by this run */
};

/*
 * Reads what the folder holds and draws the rest. Writes nothing yet. False, with a line on
 * standard error, when a file cannot be read or is malformed; init_keys_fini is needed either
 * way.
 */
bool init_keys_load(struct init_keys *keys, const char *dir);

/* Makes the folder (0700) when it is missing and writes the files that it lacks. */
bool init_keys_save(const struct init_keys *keys);

/* Wipes and frees. */
void init_keys_fini(struct init_keys *keys);

/* The path of a file in the folder, to be freed; NULL when memory is out. */
char *init_keys_path(const struct init_keys *keys, const char *file);

#endif
