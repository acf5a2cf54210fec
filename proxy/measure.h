/*
 * measure.h: a worker's numbers for router/measures.h.
 *
 * Most are counted anyway. Statements and transactions are counted by their ReadyForQuery
 * (server->readies), and taken into the pool's sums when somebody asks, or the backend is
 * closed. How long statements take is measured only where [probes] metrics is on: clients and
 * backends are then given other read callbacks, which call the ordinary ones and look at the
 * clock, so that a statement costs nothing more where it is off.
 */
#ifndef PROXY_MEASURE_H
#define PROXY_MEASURE_H

#include <event2/util.h>

struct client;
struct measures;
struct pool;
struct server;

/* As struct live_ops wants it. */
struct measures *measure_worker(void *self);

/* Takes what the backend has answered since the last time into its pool's sums. */
void measure_server(struct server *server);

/* The client, or the backend, is closed: what it has sent and received is kept. */
void measure_client_gone(struct client *client);
void measure_server_gone(struct server *server);

/* The pool is freed: what it has counted is kept with its cluster. */
void measure_pool_gone(struct pool *pool);

/* After the client's bytes were used: notes when a statement went to its backend. */
void measure_asked(struct client *client);

/* After the backend's bytes were used: `readies` is how many ReadyForQuery there were before.
 */
void measure_answered(struct server *server, uint32_t readies);

#endif
