/*
 * bounds.h: the look over a text before it is parsed.
 *
 * It divides the text into tokens as PostgreSQL's lexer does, in one pass, and keeps from the
 * parser what would cost it more than time linear in the text, or its stack:
 *
 * - Runs of operator characters are quadratic in the lexer.
 * - A name of many parts (`SET a.a.a…`) is put together anew with each part: quadratic memory.
 * - Where the grammar reports an error it looks for the place of an expression, by recursion
 *   over its leftmost operands: `(… ORDER BY a) ORDER BY x+x+x…` ends with the stack.
 * - A token may take 150 bytes of the tree: there are SQL_TOKENS_MAX of them at the most.
 * - Comments, which nest, are quadratic too. They are replaced by blanks here, which is also
 *   what they mean: libpg_query hands them to its parser as tokens, and does not read a NOT
 *   and an IN with a comment in between as the server does.
 */
#ifndef POLICY_BOUNDS_H
#define POLICY_BOUNDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "policy/statement.h"

#define BOUNDS_OPERATOR_RUN    63 /* characters */
#define BOUNDS_COMMENT_NESTING 32 /* levels */
#define BOUNDS_NESTED_COMMENTS                                                                 \
	500 /* inside of others, in all: the server reads them quadratically */
#define BOUNDS_NAME_DOTS 63
#define BOUNDS_NESTING   10000 /* parentheses and brackets; bison's own limit is not above it */
#define BOUNDS_OPERANDS  50000 /* operators that may stand to the left of one operand */

/* What stands between two semicolons, wherever these are: also inside of one statement. */
struct segment {
	uint32_t start, end;  /* behind the semicolon before it, and at the one that ends it */
	uint32_t first, last; /* of its tokens: the first byte, and the byte behind the last one */
	bool is_empty;        /* there are none */
};

/*
 * Looks at `len` bytes (SQL_TEXT_MAX at the most) without a NUL that one follows, and blanks
 * the comments in them. SQL_READ when they may be parsed; segments are then appended to
 * `segments`, in their order and at least one. *memory_is_out is set when there was no memory
 * for them.
 */
enum sql_reading bounds_look(char *text, size_t len, struct buf *segments, bool *memory_is_out);

#endif
