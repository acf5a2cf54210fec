/*
 * init_keys.h: the folder where `bulkhead init` keeps what it makes up.
 *
 * Files of mode 0600: guard.key, cluster.secret, api.pepper and master.key (a line `kid base64`
 * each), pool.password, sidecar.password and api.password; operator.key is init_operator.h's. A
 * file that is there is used as it is and never overwritten. The folder is locked from
 * init_keys_load to init_keys_fini, so that of two runs at once the second uses what the first
 * has made up.
 */
#ifndef CLI_INIT_KEYS_H
#define CLI_INIT_KEYS_H

#include <stdbool.h>

#include "policy/guard/guard.h"

#define INIT_GUARD_KEY        "guard.key"
#define INIT_POOL_PASSWORD    "pool.password"
#define INIT_SIDECAR_PASSWORD "sidecar.password"
#define INIT_API_PASSWORD     "api.password"
#define INIT_CLUSTER_SECRET   "cluster.secret"
#define INIT_PEPPER           "api.pepper"
#define INIT_MASTER_KEY       "master.key"

struct init_keys {
	char *dir;
	char kid[GUARD_KID_MAX + 1];
	unsigned char key[GUARD_KEY_SIZE];
	unsigned char secret[GUARD_KEY_SIZE]; /* for cluster.secret, where there is none yet */
	unsigned char pepper[GUARD_KEY_SIZE]; /* for api.pepper, likewise */
	unsigned char master[GUARD_KEY_SIZE]; /* for master.key, likewise */
	char *pool_password, *sidecar_password, *api_password;
	/* drawn by this run */
	bool pool_password_new, sidecar_password_new, api_password_new, pepper_new;
	bool dir_new; /* the folder was made by this run */
	int lock;     /* a descriptor of the folder, or -1 */
};

/*
 * Makes the folder (0700) when it is missing, waits for other runs to be done with it, reads
 * what it holds and draws the rest, a pool's password where there is a pool's login. Writes no
 * file yet. False, with a line on standard error,
 * when a file cannot be read or is malformed; init_keys_fini is needed either way.
 */
bool init_keys_load(struct init_keys *keys, const char *dir, bool pooled);

/* Writes the files that the folder lacks. */
bool init_keys_save(const struct init_keys *keys);

/* Wipes, frees and unlocks. A folder that was made and stayed empty goes again. */
void init_keys_fini(struct init_keys *keys);

/* The path of a file in the folder, to be freed; NULL when memory is out. */
char *init_keys_path(const struct init_keys *keys, const char *file);

#endif
