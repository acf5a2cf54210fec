/*
 * penalty.h: failed logins slow down the next ones.
 *
 * After a login has failed, the next attempt for the same principal from the same address is
 * checked only after login_failure_delay, and each further failure doubles that, up to
 * PENALTY_DOUBLINGS times. An address from which more than PENALTY_ADDRESS_FREE have failed,
 * whatever the names, is held up in the same way, unless it is this machine's own, where a
 * sidecar's applications all are. A login that succeeds ends both.
 *
 * The wait is before the proof of the password is looked at, so it says nothing, and nobody
 * gets round it by hanging up early; it is the same for names that exist and those that do not.
 * Attempts that wait count as connections that log in, and may have to go when those are too
 * many. What is remembered is bounded, and forgotten after a minute. All workers of a crew
 * remember together, under a lock that nobody takes as long as nobody fails.
 */
#ifndef PROXY_PENALTY_H
#define PROXY_PENALTY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

#define PENALTY_DOUBLINGS    5
#define PENALTY_ADDRESS_FREE 20
#define PENALTY_ENTRIES_MAX  4096
#define PENALTY_FORGET_US    60000000

struct client;
struct penalty;
struct worker;

/* A crew's; penalties_init before anything else. */
struct penalties {
	pthread_mutex_t lock;
	struct penalty *by_key; /* uthash */
	struct list by_age;     /* longest ago first */
	atomic_size_t count;    /* changed under the lock, and looked at without it */
};

void penalties_init(struct penalties *penalties);
void penalties_fini(struct penalties *penalties);

/* One login's; all zero to begin with. */
struct penalty_ticket {
	struct list node;      /* worker->slowed */
	struct client *client; /* set while it waits */
	uint64_t pair, address;
	int64_t at_us;
	bool taken;
};

/*
 * The client's proof has come. True when it is to be looked at later: the client is in
 * CLIENT_SLOWED then, and CLIENT_AUTH again when its time has come. Asked again, it waits no
 * more.
 */
bool penalty_waits(struct client *client, struct penalty_ticket *ticket, const char *principal);

/* How the login has ended. */
void penalty_failed(const struct client *client, const char *principal);
void penalty_succeeded(const struct client *client, const char *principal);

/* The login waits no longer, if it did. */
void penalty_drop(struct penalty_ticket *ticket);

/* Lets those go on whose time has come. */
void penalty_tick(struct worker *worker, int64_t now_us);

#endif
