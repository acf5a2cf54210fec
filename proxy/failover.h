/*
 * failover.h: backends whose server is no longer the one that is wanted.
 *
 * A cluster's hosts stand in for each other (hosts.h). A backend that is in the pool is given
 * up when its server says that it has become another kind (in_hot_standby), when it fails to
 * write and says, asked once it is free, that it is read-only, or when its address is none of
 * the host's any more. It is closed at once if it is idle, else when its client is done with
 * it.
 *
 * While statements run none of this costs anything: a server's kind is looked at where a
 * ParameterStatus or an error of SQLSTATE 25006 comes, addresses at the tick.
 */
#ifndef PROXY_FAILOVER_H
#define PROXY_FAILOVER_H

#include <stdbool.h>

struct pool;
struct server;
struct worker;

#define FAILOVER_READ_ONLY "25006" /* read_only_sql_transaction */

/* The backend is ready to be used: its host serves. */
void failover_found(struct server *server);

/* The backend has been on its way, or hosts may have changed meanwhile. */
void failover_look(struct server *server);

/* The backend's server has reported this parameter, which stands in server->params. */
void failover_note_parameter(struct server *server, const char *name);

/* A statement failed because the transaction was read-only: is that the client's doing? */
void failover_doubt(struct server *server);

/* The server has said, after that, that it takes writes. */
void failover_trust(struct server *server);

/*
 * Has the last of several hosts only just ceased to serve, so that clients wait for the next
 * instead of being refused?
 */
bool failover_is_under_way(const struct pool *pool);

/* Gives up backends of addresses that are gone. */
void failover_tick(struct worker *worker);

#endif
