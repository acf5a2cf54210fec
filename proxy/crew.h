/*
 * crew.h: the workers of one process, and what they count together.
 *
 * Everything that is limited for the process, a route, a tenant or a principal is counted here,
 * exactly, by atomic numbers. What is found by a key is found under a lock, at a login and
 * never for a statement. Everything else between workers is a letter: a connection that was
 * accepted, a cancel request for a client of another worker, "look again, a place is free".
 *
 * A crew of one posts no letters, and its numbers are never contended.
 */
#ifndef PROXY_CREW_H
#define PROXY_CREW_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/mailbox.h"
#include "proxy/budget.h"
#include "proxy/penalty.h"
#include "proxy/route.h"
#include "proxy/welcome.h"

#include <uthash.h>

struct client;
struct worker;

/* What all workers count under one key; exists while one of them holds it. */
struct common {
	UT_hash_handle hh;
	unsigned holders; /* under the crew's lock */
	atomic_int used;
	atomic_int pinned; /* of a tenant in a route: clients that keep backends */
	/* A bit for each worker that waits for a place, and for each that has been given one of
	 * those in use, which it takes or passes on. Changed under the lock. */
	atomic_uint_least64_t waiting, granted;
	/* Of a tenant: up to when its tokens are spent (rate.h). So long it stays though nobody
	 * holds it: who connects anew has no more of them for that. */
	atomic_llong spent_ns;
	struct list spent; /* crew->spent, while nobody holds it; under the lock */
	size_t key_len;
	char key[];
};

enum common_kind {
	COMMON_TENANT,    /* the key is an id: its client connections */
	COMMON_PRINCIPAL, /* a name: its client connections */
	COMMON_PART, /* a route's serial number and an id: backends that the tenant's clients hold
				  */
	COMMON_KINDS
};

struct crew_member {
	struct worker *worker; /* NULL before it has joined, and once it has left */
	struct letter wake;
	atomic_bool woken;  /* that letter is under way */
	atomic_int clients; /* connections that were given to it and are open */
	atomic_int logins;  /* of those, that have not logged in */
};

/* The backends of one route; exists while a pool holds it. */
struct crew_route {
	UT_hash_handle hh;
	unsigned holders; /* under the crew's lock */
	uint64_t serial;
	struct route_key key;
	atomic_int backends;
	struct budget_line line;
	atomic_llong retry_at_us; /* no new connection before this */
	atomic_uint failures;     /* attempts to connect that failed in a row */
	atomic_int failure;       /* why the last one did: an enum reason */
	struct welcomes welcomes; /* what each worker may copy; under the crew's lock */
	atomic_uint welcomes_age; /* how often they were dropped */
};

struct crew {
	size_t count;
	struct crew_member members[WORKERS_MAX];
	size_t next; /* where the search for the least loaded begins; the accepting worker's */
	atomic_int sessions, logins;
	atomic_bool closed;    /* no further connection is accepted */
	atomic_size_t drained; /* workers that have no client any more, nor will have one */
	pthread_mutex_t lock;
	struct crew_route *routes;
	uint64_t last_serial; /* of a route */
	struct common *commons[COMMON_KINDS];
	struct list spent; /* of COMMON_TENANT, those that wait for new tokens; under the lock */
	struct penalties penalties;
};

/* NULL when memory is out. */
struct crew *crew_create(size_t workers);

/* When all workers have left. NULL is fine. */
void crew_destroy(struct crew *crew);

/*
 * The worker takes the next place in the crew, which it notes in worker->number. All join
 * before the first of them runs, and leave when none does any more.
 */
void crew_join(struct crew *crew, struct worker *worker);
void crew_leave(struct crew *crew, struct worker *worker);

static inline bool crew_is_one(const struct crew *crew)
{
	return crew->count == 1;
}

/* To the worker with that number. False when it has left. */
bool crew_post(struct crew *crew, size_t number, struct letter *letter);

/* Each of these workers looks again at who waits, and at what it could spare: upstream.h. */
void crew_wake(struct crew *crew, uint64_t workers);

/* The number of the worker that is to have a new connection, which is counted as its. Only from
 * the worker that accepts. */
size_t crew_choose(struct crew *crew);

/* One connection less. */
void crew_departed(struct crew *crew, const struct worker *worker);

/*
 * There are too many connections that have not logged in, and none of this worker's is to
 * blame: has another end one of its, or else this one the newcomer, by its pid. False when
 * memory is out.
 */
bool crew_end_login(struct crew *crew, const struct worker *worker, uint32_t newcomer);

/* What is counted under the key, made when it is missing, with one more holder; NULL: memory is
 * out. */
struct common *crew_hold(struct crew *crew, enum common_kind kind, const void *key, size_t len);

/* The route of this key likewise, and one more holder of one that is held. */
struct crew_route *crew_hold_route(struct crew *crew, const struct route_key *key);
void crew_keep_route(struct crew *crew, struct crew_route *route);

/* One holder less. */
void crew_drop_route(struct crew *crew, struct crew_route *route);

/* One holder less. NULL is fine. */
void crew_drop(struct crew *crew, enum common_kind kind, struct common *common);

/* This worker, by its number, waits for a place. */
void common_wait(struct crew *crew, struct common *common, size_t number);

/* A place is given back: the next worker that waits has it, in turn, unless there are more in
 * use than the limit, which a reload may have lowered. */
void common_give(struct crew *crew, struct common *common, size_t number, int limit);

/* Takes the place that this worker was given, if it was. */
bool common_take_grant(struct crew *crew, struct common *common, size_t number);

/* Waits no more, and passes on what it was given. */
void common_leave(struct crew *crew, struct common *common, size_t number, int limit);

/* ---- lines ---- */

static inline uint64_t crew_bit(size_t number)
{
	return UINT64_C(1) << number;
}

/* This worker asks the others for a backend, for a pool that has so many. */
void line_ask(struct crew *crew, struct budget_line *line, size_t number, size_t backends);

/* It does so no more; or it goes to the end of the line. */
void line_leave(struct budget_line *line, size_t number);
void line_stand_back(struct budget_line *line, size_t number);

/* A place is free: wakes those that wait for one. */
void line_wake(struct crew *crew, const struct budget_line *line, size_t number);

/* Who comes first. */
struct first {
	int number; /* -1: nobody */
	size_t backends;
	int64_t since_us;
};

/* Of those in line that wait, or that ask; this worker is left out. */
struct first line_first_waiting(const struct budget_line *line, size_t number);
struct first line_first_asking(const struct budget_line *line, size_t number);

/* Of two; nobody comes behind everybody. */
bool line_is_before(const struct first *one, const struct first *other);

/* That question is mine to answer. False when another was faster. */
bool line_claim(struct budget_line *line, int asker);

/* A place that was given back goes to that worker, which takes it, or gives it back. */
void line_grant(struct crew *crew, struct budget_line *line, int number);
bool line_take_grant(struct budget_line *line, size_t number);

static inline bool line_has_grant(const struct budget_line *line, size_t number)
{
	return atomic_load(&line->grants[number]) > 0;
}

#endif
