/*
 * scrub.h: what errors of PostgreSQL's can tell of other tenants' rows.
 *
 * Unique, exclusion and foreign keys are checked over all rows. That a value is taken is told
 * by the error itself; its DETAIL can name values of the row that is in the way. PostgreSQL
 * leaves them out where row security is in force for the table; [gate] scrub_errors does so for
 * all tables.
 */
#ifndef PROXY_SCRUB_H
#define PROXY_SCRUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct client;

/* The body of an ErrorResponse that is about to go to the client: false when it may go as it
 * is. Else *out, which is empty, is the whole message to send in its place. */
bool scrub_error(const struct client *client, const uint8_t *body, size_t len, struct buf *out);

#endif
