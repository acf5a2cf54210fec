/*
 * farewell.h: connections to a server on which Terminate has been sent.
 *
 * A backend that is told to end, or that is still busy with a statement nobody waits for,
 * occupies one of the server's connections until its process is gone; only then does the server
 * close the socket. Until that is seen, or FAREWELL_US have passed, the descriptor and the
 * place in the budget are kept.
 *
 * Where more than one statement is on its way to the backend nobody waits for any: the
 * connection is reset, so that the server, which cannot send the next answer, ends the session
 * there. Nothing tells when it has; the place is kept for FAREWELL_BLIND_US.
 */
#ifndef PROXY_FAREWELL_H
#define PROXY_FAREWELL_H

#include <stdint.h>

struct upstream;
struct worker;

#define FAREWELL_US       30000000
#define FAREWELL_BLIND_US 2000000

/* Takes over the connected descriptor and one place of the upstream's budget. */
void farewell_start(struct worker *worker, struct upstream *upstream, int fd);

/* The same, with a connection that is reset at once. */
void farewell_reset(struct worker *worker, struct upstream *upstream, int fd);

/* Gives up on those that took too long. */
void farewell_tick(struct worker *worker, int64_t now_us);

/* Closes them all (at shutdown). */
void farewell_stop(struct worker *worker);

#endif
