/*
 * store.h: the control database, asked without ever waiting for it.
 *
 * A store keeps one connection and asks one question at a time on it; the others wait in a
 * queue. It belongs to one thread, the one that runs its event base, and is a directory's
 * source there (router/directory.h). The connection is made as soon as the store is, and made
 * again when it is lost; after a failed attempt the next one waits 100 ms, then twice as long
 * each time, up to 5 s. Questions wait for the first attempt, and for one that follows the loss
 * of a sound connection; otherwise, without a connection, they are answered with
 * DIRECTORY_UNAVAILABLE at once.
 *
 * One thing may block: libpq resolves a host name when it starts to connect. This thread serves
 * look-ups only, and there are none to be served without a connection.
 */
#ifndef ADMIN_STORE_H
#define ADMIN_STORE_H

#include <stdint.h>

#include <event2/event.h>

#include "router/directory.h"

struct store;

/*
 * `dsn` is a libpq connection string; `password`, where it is not NULL, goes over the one in
 * it. Both are copied. timeout_ms bounds a look-up from question to answer, and an attempt to
 * connect. NULL when memory is out; a server that cannot be reached is no failure here.
 */
struct store *store_create(struct event_base *base, const char *dsn, const char *password,
						   int64_t timeout_ms);

/*
 * Goes by other settings from now on; dsn and password come from malloc and are taken over. A
 * connection that stands is made anew when dsn or timeout differ, once it is idle; another
 * password is for the next one. Where there is no connection, the next attempt is made at once.
 */
void store_change(struct store *store, char *dsn, char *password, int64_t timeout_ms);

/* Answers what is still open with DIRECTORY_UNAVAILABLE, closes the connection, wipes the
 * password. */
void store_destroy(struct store *store);

/* Lives as long as the store. */
const struct directory_source *store_source(const struct store *store);

#endif
