/*
 * farewell.h: connections to a server on which Terminate has been sent.
 *
 * A backend that is told to end, or that is still busy with a statement nobody waits for,
 * occupies one of the server's connections until its process is gone; only then does the server
 * close the socket. Until that is seen, or FAREWELL_US have passed, the descriptor and the
 * place in the budget are kept.
 */
#ifndef PROXY_FAREWELL_H
#define PROXY_FAREWELL_H

#include <stdint.h>

struct upstream;
struct worker;

#define FAREWELL_US 30000000

/* Takes over the connected descriptor and one place of the upstream's budget. */
void farewell_start(struct worker *worker, struct upstream *upstream, int fd);

/* Gives up on those that took too long. */
void farewell_tick(struct worker *worker, int64_t now_us);

/* Closes them all (at shutdown). */
void farewell_stop(struct worker *worker);

#endif
