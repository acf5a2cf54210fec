/*
 * budget.h: how many there may be of something that all workers share, and which workers want
 * more of it.
 *
 * A place is taken before what it stands for is made, and given back afterwards, so that there
 * are never more than the limit. For the connections to one PostgreSQL server there is one
 * budget per host and port, or list of them, shared by every route that leads there; those of
 * one route, and the backends that one tenant's clients hold, are counted in the same way
 * (crew.h).
 *
 * A worker that gets no place stands in line. It asks, which each of the others finds when it
 * is woken; the first that can spare an idle backend takes the question. A place that is given
 * back is granted to the first in line: the one with the fewest backends, among equals the one
 * that has waited longest.
 */
#ifndef PROXY_BUDGET_H
#define PROXY_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define WORKERS_MAX 64 /* a bit for each in a line */

/* One bit for each worker, by its place in the crew. */
struct budget_line {
	atomic_uint_least64_t waiting, asking;
	atomic_int backends[WORKERS_MAX];   /* of those: how many the pool has that asks */
	atomic_llong since_us[WORKERS_MAX]; /* and since when it has waited */
	atomic_int grants[WORKERS_MAX];     /* places that are the worker's to take */
};

struct budget {
	atomic_int used;
	atomic_int limit;   /* 0: none; a reload may change it */
	atomic_int parting; /* of those in use, places that are about to be given back */
	struct budget_line line;
};

/* Takes a place of `limit` (0: of any number); false when there is none. */
static inline bool places_take(atomic_int *used, int limit)
{
	int seen = atomic_load(used);

	do {
		if (limit && seen >= limit)
			return false;
	} while (!atomic_compare_exchange_weak(used, &seen, seen + 1));
	return true;
}

/* By how many places is more used than the limit? */
static inline int budget_excess(const struct budget *budget)
{
	int limit = atomic_load(&budget->limit);
	int excess = limit ? atomic_load(&budget->used) - limit : 0;

	return excess > 0 ? excess : 0;
}

/* Is a place free at this moment? Another worker may take it. */
static inline bool budget_has_room(const struct budget *budget)
{
	int limit = atomic_load(&budget->limit);

	return !limit || atomic_load(&budget->used) < limit;
}

/* Takes a place; false when there is none. */
static inline bool budget_take(struct budget *budget)
{
	return places_take(&budget->used, atomic_load(&budget->limit));
}

static inline void budget_give(struct budget *budget)
{
	atomic_fetch_sub(&budget->used, 1);
}

#endif
