/*
 * upstream.h: one PostgreSQL server as one worker sees it, with all the pools that lead there.
 *
 * The pools share the server's budget. When it is used up, a pool whose clients wait takes the
 * place of the least recently used idle backend of another pool, or stands in line until a
 * place is given back. Of the pools in line the one with the fewest backends is served first,
 * and a pool with more gives backends up to it even while its own clients wait, until their
 * numbers are equal; where there are fewer places than pools, they go round. Between pools of
 * different workers it is the same, for the budget and for the number of a route's backends,
 * by way of the lines of crew.h.
 */
#ifndef PROXY_UPSTREAM_H
#define PROXY_UPSTREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"
#include "proxy/budget.h"

struct pool;
struct server;
struct worker;

struct upstream {
	struct worker *worker;
	struct budget *budget;
	struct list hungry; /* pools that got no place, first come first */
	size_t hungry_count;
	const struct pool *fed; /* the pool in line that may take a place at this moment, or NULL */
	size_t farewell_count;  /* places that are about to be given back */
};

/* One for each different budget of worker->addresses; false when memory is out. */
bool upstreams_create(struct worker *worker);

/* The upstream of that budget; never NULL once they are created. */
struct upstream *upstream_find(struct worker *worker, const struct budget *budget);

/*
 * Takes a place for a new backend of the pool. False when there is none at once: the pool
 * stands in line then, an idle backend of another pool may have been closed for it, and it is
 * balanced when a place is free for it.
 */
bool upstream_take(struct pool *pool);

/* A place has been given back: pools that stand in line are balanced at the end of the loop's
 * turn. */
void upstream_give(struct upstream *upstream);

/* The pool stands in line no more. */
void upstream_forget(struct pool *pool);

/* Balances pools that stand in line, as far as there are places: those with the fewest backends
 * first. */
void upstream_feed(struct upstream *upstream);

/* Are there more connections than max_server_connections allows, but for those on their way
 * out? Only after a reload. */
bool upstream_is_over(const struct upstream *upstream);

/* Limits may be others than before: closes idle backends that are too many, the longest idle
 * first, and lets pools in line have what is free. */
void upstreams_take_settings(struct worker *worker);

/*
 * Another worker has asked for something, or given something back that this one waits for:
 * balances pools that wait, and closes idle backends for others. The second also at each tick
 * while somebody asks, since what was not idle long enough may be by now.
 */
void upstreams_wake(struct worker *worker);
void upstreams_tick(struct worker *worker);

/* The backend, of a pool that is asked, is idle: if it is due to another worker it is moved
 * there, or closed to make room for one there. False when it stays. */
bool upstream_yield(struct server *server);

/* A place is about to be given back (farewell.h), or is no more. */
void upstream_parting(struct upstream *upstream, int more);

/* The backend has just become free: do pools that deserve it more than its own stand in line
 * for more places than are about to be given back? */
bool upstream_is_wanted(const struct server *server);

#endif
