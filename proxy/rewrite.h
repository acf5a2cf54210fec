/*
 * rewrite.h: statements that are replaced before a backend sees them.
 *
 * A client's settings are its own and not its backend's, and so are its prepared statements.
 * RESET ALL would empty the tenant's seal, and give back what the backend's startup packet has
 * in place of the client's; RESET of one setting likewise; DEALLOCATE would name a statement
 * that has another name there. What replaces them has the same effect in the same transaction;
 * only its command tag differs, and is put right when it comes back (names.c).
 */
#ifndef PROXY_REWRITE_H
#define PROXY_REWRITE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "policy/statement.h"

struct client;

/*
 * What is replaced in one text: so many RESET ALLs, wherever they stand, since each comes with
 * all that the client's startup packet had; and of the others those that stand among the first
 * so many statements, since for each all are looked through.
 */
#define REWRITE_MAX 64

/* Is any statement of the text to be replaced for this client? So it is in nearly none. */
bool rewrite_is_wanted(const struct client *client, const struct verdict *verdict);

/* Appends the text with these replaced, without a NUL. False when memory is out. */
bool rewrite_append(const struct client *client, const struct verdict *verdict,
					const char *text, size_t len, struct buf *out);

/* The tag that PostgreSQL gives a statement of a kind that is replaced, or NULL. */
const char *rewrite_tag(const struct sql_statement *statement);

#endif
