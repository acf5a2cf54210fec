/*
 * store.h: a connection to the control database that is never waited for.
 *
 * A store keeps one connection and asks one question at a time on it; the others wait in a
 * queue. It belongs to one thread, the one that runs its event base. The connection is made as
 * soon as the store is, and made again when it is lost; after a failed attempt the next one
 * waits 100 ms, then twice as long each time, up to a second. Questions wait for the first
 * attempt, and for one that follows the loss of a sound connection; otherwise, without a
 * connection, they are answered with nothing at once. A connection on which nothing is asked is
 * tried every two seconds, so that one whose other end has vanished is noticed, five seconds
 * later at the most; an attempt to connect takes no longer either.
 *
 * One thing may block: libpq resolves a host name when it starts to connect. This thread serves
 * look-ups only, and there are none to be served without a connection.
 */
#ifndef ADMIN_STORE_H
#define ADMIN_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>
#include <libpq-fe.h>

#include "base/list.h"

struct store;

#define STORE_PARAMS_MAX 3

/*
 * One question: a statement with text parameters. Whoever asks fills in the upper part and
 * keeps the structure, and what it points to, until `answered` is called, exactly once, with a
 * result of the server's (rows or an error), or NULL when there is none: no connection, out of
 * time, or the store is destroyed. A question that changes something is asked `once`: when the
 * connection is lost behind it, it is answered with nothing, and may have been carried out.
 */
struct store_ask {
	const char *sql;
	int param_count;
	const char *params[STORE_PARAMS_MAX];
	bool urgent; /* goes before those that are not */
	bool once;
	void (*answered)(struct store_ask *ask, const PGresult *result);

	struct list link; /* from here on the store's */
	int64_t deadline_us;
	bool repeated; /* it was with the server when a connection was lost */
	bool sent;     /* it has been with the server */
};

/* What becomes of the connection. Each is called on the store's thread, outside of store_ask.
 */
struct store_events {
	void *self;
	void (*connected)(void *self);
	void (*lost)(void *self);
	void (*notified)(void *self, const char *channel, const char *payload);
	void (*pulse)(void *self);    /* every two seconds while the connection stands */
	const char *application_name; /* a constant; NULL: bulkhead-sidecar */
};

/*
 * `dsn` is a libpq connection string; `password`, where it is not NULL, goes over the one in
 * it. Both are copied, and so are the events. timeout_ms bounds a question from asking to
 * answer, and where it is less than five seconds an attempt to connect. NULL when memory is
 * out; a server that cannot be reached is no failure here.
 */
struct store *store_create(struct event_base *base, const char *dsn, const char *password,
						   int64_t timeout_ms, const struct store_events *events);

/*
 * Goes by other settings from now on; dsn and password come from malloc and are taken over. A
 * connection that stands is made anew when dsn or timeout differ, once it is idle; another
 * password is for the next one. Where there is no connection, the next attempt is made at once.
 */
void store_change(struct store *store, char *dsn, char *password, int64_t timeout_ms);

/* Answers what is still open with nothing, closes the connection, wipes the password. */
void store_destroy(struct store *store);

void store_ask(struct store *store, struct store_ask *ask);

/* How many questions it has that are not answered; for those who have several stores. */
int store_load(const struct store *store);

/* Is there a connection, or a first attempt at one? */
bool store_is_up(const struct store *store);

#endif
