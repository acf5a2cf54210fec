/*
 * statements.h: the prepared statements that a client has, and those that a backend has.
 *
 * A client's are known by the names it gave them. A backend's are those that Bulkhead prepared
 * there, under names of its own (prepared.h); the least recently used is closed when there are
 * too many. Neither knows of messages: names.c does.
 */
#ifndef PROXY_STATEMENTS_H
#define PROXY_STATEMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/list.h"
#include "policy/session.h"
#include "policy/statement.h"
#include "proxy/prepared.h"

#include <uthash.h>

/* ---- of a client ---- */

#define STATEMENTS_CLIENT_MAX       10000              /* of one client */
#define STATEMENTS_CLIENT_BYTES_MAX ((size_t)64 << 20) /* of their texts, shared or not */

struct statement {
	size_t references;
	char *name;
	struct prepared *prepared;
	const struct verdict *verdict; /* of the text as the client sent it */
	uint64_t result;               /* which columns its client was told it has */
	enum session_begin begin;      /* it only begins a transaction */
	bool rewritten;                /* on backends another text stands for it */
	bool is_native;                /* on its client's backend it has its own name */
	UT_hash_handle hh;
};

/* What is known of a statement's columns: nothing, that they cannot be told from others, or a
 * hash of them (names_reply.c). */
#define RESULT_UNKNOWN 0
#define RESULT_ANY     1

/* All zero is an empty one. Names are cut as PostgreSQL cuts them, at STATEMENT_NAME_MAX bytes.
 */
struct statements {
	struct statement *by_name;
	size_t bytes;
	size_t *of_tenant; /* the same of all clients of its tenant, or NULL */
};

#define STATEMENT_NAME_MAX 63

/* The statement of that name, or NULL. */
struct statement *statements_find(const struct statements *statements, const char *name);

/* May there be one more, of a text of `len` bytes, while the tenant may have `tenant_max` in
 * all?
 */
bool statements_have_room(const struct statements *statements, size_t len, size_t tenant_max);

/*
 * Defines a statement, and takes the references to `prepared` and `verdict` over whatever
 * happens. NULL when memory is out; the name must be free, and there must be room.
 */
struct statement *statements_define(struct statements *statements, const char *name,
									struct prepared *prepared, const struct verdict *verdict);

/* Takes it out, if it is there under its name; references to it are held by others, or not. */
void statements_remove(struct statements *statements, struct statement *statement);

/* Puts one back that was removed, unless its name is in use again. */
void statements_restore(struct statements *statements, struct statement *statement);
void statements_clear(struct statements *statements);

/* None is on a backend under its client's name any more. */
void statements_own(struct statements *statements);

struct statement *statement_ref(struct statement *statement);
void statement_unref(struct statement *statement);

/* ---- of a backend ---- */

struct backend_statement {
	struct prepared *prepared;
	uint64_t number; /* as prepared->number was when it was prepared */
	uint64_t result; /* its columns: the server fails rather than change them */
	struct list used;
	UT_hash_handle hh; /* by the pointer */
};

struct backend_statements {
	struct backend_statement *set;
	struct list used; /* least recently used first */
	bool doubtful;    /* there may be others of ours: a name is closed before it is given */
};

void backend_statements_init(struct backend_statements *statements);

/* The backend has none of them any more (DISCARD ALL, or its end). */
void backend_statements_clear(struct backend_statements *statements);

/* The backend may or may not have them any more. */
void backend_statements_doubt(struct backend_statements *statements);

/* NULL when it has not; else that one is the most recently used. */
struct backend_statement *backend_statements_find(struct backend_statements *statements,
												  const struct prepared *prepared);

/* False when memory is out. */
bool backend_statements_add(struct backend_statements *statements, struct prepared *prepared,
							uint64_t number);
void backend_statements_remove(struct backend_statements *statements,
							   const struct prepared *prepared);

/* The one to close before another is prepared, or NULL while there are fewer than `max`. */
struct backend_statement *backend_statements_oldest(const struct backend_statements *statements,
													size_t max);

#endif
