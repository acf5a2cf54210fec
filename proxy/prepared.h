/*
 * prepared.h: texts of prepared statements, each kept once per worker.
 *
 * Clients name their statements as they like; on backends a statement has a name of Bulkhead's,
 * which stands for a text, its parameter types and the settings under which it was parsed,
 * since literals become constants then. Clients that prepare the same share it, and a backend
 * that lacks it is given it before it is bound there (statements.h). Names cannot be guessed:
 * they hold random bits of the worker's.
 */
#ifndef PROXY_PREPARED_H
#define PROXY_PREPARED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/hash.h"

#include <uthash.h>

struct settings;

#define PREPARED_PREFIX   "bulkhead_" /* of all names on backends */
#define PREPARED_NAME_MAX 48          /* bytes of one, with its NUL */

struct prepared {
	struct prepared_table *table;
	size_t references;
	uint64_t number; /* part of its name; a new one makes all backends prepare it anew */
	size_t
		body_at; /* the key is the length and the bytes of the settings, then the text and its
				  * NUL, then the count and the types of its parameters as in a Parse message */
	size_t key_len;
	uint8_t *key;
	UT_hash_handle hh;
};

/* NULL when memory is out. */
struct prepared_table *prepared_table_create(void);
void prepared_table_destroy(struct prepared_table *table);

/* How many different ones there are. */
size_t prepared_table_count(const struct prepared_table *table);

/*
 * The statement of this text and these parameter types (a Parse message's body behind the
 * name), under these settings but for application_name, with one reference; NULL when memory is
 * out.
 */
struct prepared *prepared_intern(struct prepared_table *table, const struct settings *settings,
								 const uint8_t *body, size_t len);
/* The same text and types under other settings, likewise. */
struct prepared *prepared_intern_under(const struct prepared *prepared,
									   const struct settings *settings);
bool prepared_is_under(const struct prepared *prepared, const struct settings *settings);
struct prepared *prepared_ref(struct prepared *prepared);
void prepared_unref(struct prepared *prepared);

/* What it is called on backends; returns the name's length. */
size_t prepared_name(const struct prepared *prepared, uint64_t number,
					 char name[PREPARED_NAME_MAX]);

/* What backends have prepared under this name is of no use any more: it gets another number. */
void prepared_renew(struct prepared *prepared);

/* Appends the Parse message that prepares it under `name`. False when memory is out. */
bool prepared_append_parse(const struct prepared *prepared, const char *name, struct buf *out);

#endif
