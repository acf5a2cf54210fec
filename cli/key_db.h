/*
 * key_db.h: the signing keys in the databases that a key file signs for.
 *
 * Each database gets one transaction, so that a change is made in all of them or, when one of
 * them refuses, in none. Everything prints its own trouble on standard error.
 */
#ifndef CLI_KEY_DB_H
#define CLI_KEY_DB_H

#include <stdbool.h>
#include <stddef.h>

#include <libpq-fe.h>

#include "policy/guard/guard.h"

#define KEY_DBS_MAX 64

struct key_dbs {
	PGconn *connections[KEY_DBS_MAX];
	size_t count;
};

/* Connects to all of them, as superuser, and begins. key_dbs_close is needed either way. */
bool key_dbs_open(struct key_dbs *dbs, const char *const dsns[], size_t count);

/* Is this key, byte for byte, registered under this name in every one of them? */
bool key_dbs_hold(const struct key_dbs *dbs, const char *kid,
				  const unsigned char key[GUARD_KEY_SIZE]);

/* Registers a key in all of them. */
bool key_dbs_register(const struct key_dbs *dbs, const char *kid,
					  const unsigned char key[GUARD_KEY_SIZE]);

/* Takes a key from all of them; *found is set when one had it. */
bool key_dbs_retire(const struct key_dbs *dbs, const char *kid, bool *found);

/* The keys of one of them: rows of kid and created_at; NULL when that fails. */
PGresult *key_dbs_list(const struct key_dbs *dbs, size_t i);

/* Commits everywhere. False when one of them would not: those before it have committed. */
bool key_dbs_commit(const struct key_dbs *dbs);

/* Takes back, in transactions of its own, a key that was registered for nothing. */
void key_dbs_take_back(const struct key_dbs *dbs, const char *kid);

/* What is not committed is not done. */
void key_dbs_close(struct key_dbs *dbs);

#endif
