/*
 * fold.h: texts of SQL that differ in their values alone.
 *
 * Applications that write values into their texts send each text once. What such a text does is
 * mostly not a matter of the values, and what has been read for one goes for all that fold to
 * the same (verdict_cache). A fold leaves out what stands in quotes, writes every number as 0,
 * and empties comments; all else stays byte by byte, so that equal folds have the same tokens
 * but for the values (PostgreSQL documentation, "Lexical Structure").
 *
 * A fold is made only where it is beyond doubt where values begin and end: escapes, dollar
 * quotes, prefixed strings, nested comments, comments to the end of a line, and numbers in any
 * but the plainest form have none.
 */
#ifndef POLICY_FOLD_H
#define POLICY_FOLD_H

#include <stddef.h>

/* Longest text that is folded. */
#define FOLD_MAX 16384

/*
 * Writes the fold of a text without NULs to `out`, which holds as many bytes as the text, and
 * returns its length: never more than `len`. 0 when it has none, or has no values to leave out.
 */
size_t fold(const char *text, size_t len, char *out);

#endif
