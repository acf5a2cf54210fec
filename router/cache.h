/*
 * cache.h: what the directory knows; private to it.
 *
 * A *holding* is one tenant or principal, under the id or name by which the control database
 * announces its changes. A *token* is a word that somebody asked for, and leads to a holding or
 * is known to be nobody's. Any number of tokens lead to one holding, so that a change replaces
 * what is known under all of them.
 *
 * Nothing here locks: the caller holds the directory's lock.
 */
#ifndef ROUTER_CACHE_H
#define ROUTER_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/list.h"
#include "router/directory.h"

#include <uthash.h>

/* What an answer is about; at most one is set, and each is one counted reference. */
struct subject {
	const struct tenant *tenant;
	const struct principal *principal;
};

struct subject subject_ref(struct subject subject);
void subject_unref(struct subject subject);
bool subject_is_known(struct subject subject);
int64_t subject_version(struct subject subject);

/* Sets the moment of one that nobody else has seen yet. */
void subject_stamp(struct subject subject, uint64_t moment);

/* Do both say the same of the same tenant or principal? Versions are not looked at. */
bool subject_equal(struct subject a, struct subject b);

/* Room for the name under which a subject's changes are announced. */
#define SUBJECT_KEY_SIZE (PRINCIPAL_NAME_MAX + 1)

/* A tenant's id as 32 digits, a principal's name. */
void subject_key(struct subject subject, char key[SUBJECT_KEY_SIZE]);

struct holding {
	UT_hash_handle hh;
	struct subject subject;
	int64_t version;        /* of the subject, or 0: not all who use it have been told */
	int64_t ask_at_us;      /* when it has become too old, on the monotonic clock */
	bool compared;          /* takes part in the comparison that is under way */
	struct list to_compare; /* on the directory's list until its part is asked about */
	struct list tokens;
	char key[];
};

struct token {
	UT_hash_handle hh;
	struct list recent;     /* on `known` or `unknown` of its cache, most recently used first */
	struct list of_holding; /* on its holding's tokens */
	struct holding *holding; /* NULL: nobody's */
	int64_t ask_at_us;       /* of one that is nobody's */
	char text[];
};

struct ranking {
	struct list tokens;
	int count, limit;
};

struct cache {
	struct token *by_text;
	struct holding *by_key;
	struct ranking known, unknown;
};

/* `limit` bounds each kind of token. Subjects that are used elsewhere are kept beyond it, so
 * that their changes are noticed. */
void cache_init(struct cache *cache, int limit);
void cache_fini(struct cache *cache);

/* Another limit; drops the least recently used tokens that are too many. */
void cache_limit(struct cache *cache, int limit);

struct token *cache_find(struct cache *cache, const char *text);
struct holding *cache_holding(struct cache *cache, const char *key);

/* Marks the token as used now. */
void cache_touch(struct cache *cache, struct token *token);

/* The holding of this subject's key, made if need be; its subject is not touched when there is
 * one. NULL when memory is out. */
struct holding *cache_hold(struct cache *cache, struct subject subject);

/* Replaces the subject of a holding; tokens by which it is not called any more are dropped.
 * Takes no reference over. */
void cache_replace(struct cache *cache, struct holding *holding, struct subject subject);

/* The token leads to the holding, or (NULL) to nobody until ask_at_us. What cannot be
 * remembered for want of memory is not. */
void cache_name(struct cache *cache, const char *text, struct holding *holding,
				int64_t ask_at_us);

/* Drops the holding and all its tokens. */
void cache_drop(struct cache *cache, struct holding *holding);

/* Drops all tokens that are nobody's, or the one of this text. */
void cache_forget_unknown(struct cache *cache, const char *text);

/* Is the subject used by anybody but the cache? */
bool holding_is_used(const struct holding *holding);

#endif
