/*
 * parse.h: PostgreSQL's grammar, without its types; private to the reader of SQL. The headers
 * of the server are used in policy/parse*.c and nowhere else.
 */
#ifndef POLICY_PARSE_H
#define POLICY_PARSE_H

#include "base/buf.h"
#include "policy/reading.h"

/*
 * Parses a text that bounds_look has passed and ends in NUL, and notes what its statements are.
 * `segments` are those of bounds_look.
 */
void parse_text(struct reading *reading, const char *text, const struct buf *segments);

#endif
