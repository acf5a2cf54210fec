/*
 * welcome.h: what a login is told about its session without a backend.
 *
 * A client learns the server's parameters before it has a backend. The first one with some
 * startup settings waits for a real backend, so that a bad setting is a true error; what that
 * backend reports under these settings is kept here for the next. At most WELCOMES_MAX sets are
 * kept, and all are dropped when a fresh backend reports something new.
 */
#ifndef PROXY_WELCOME_H
#define PROXY_WELCOME_H

#include <stdbool.h>
#include <stddef.h>

#include "base/hash.h"
#include "proxy/params.h"

#include <uthash.h>

struct settings;

#define WELCOMES_MAX 256

/* ParameterStatus of a backend under one set of startup settings, application_name aside. */
struct welcome {
	char *key;
	size_t key_len;
	struct params params;
	UT_hash_handle hh;
};

/* All zero is an empty one. */
struct welcomes {
	struct welcome *sets;
	struct params base; /* what a fresh backend reported last */
};

void welcomes_fini(struct welcomes *welcomes);

/* The parameters kept for these settings, or NULL. They belong to the cache. */
const struct params *welcomes_find(const struct welcomes *welcomes,
								   const struct settings *settings);

/* Keeps a copy, if there is memory for it. */
void welcomes_add(struct welcomes *welcomes, const struct settings *settings,
				  const struct params *params);

/* Forgets all sets. */
void welcomes_drop(struct welcomes *welcomes);

/* A fresh backend reported these: anything new makes the kept sets worthless. True when it
 * does. */
bool welcomes_note_base(struct welcomes *welcomes, const struct params *params);

#endif
