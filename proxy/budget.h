/*
 * budget.h: how many connections Bulkhead may have to one PostgreSQL server.
 *
 * One budget per host and port, shared by every route that leads there and by all workers. A
 * place is taken before a connection is made and given back when the server is known to have
 * ended it, so that the server never sees more of them than the limit.
 */
#ifndef PROXY_BUDGET_H
#define PROXY_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>

struct budget {
	atomic_int used;
	atomic_int limit; /* 0: none; a reload may change it */
};

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
	int limit = atomic_load(&budget->limit), used = atomic_load(&budget->used);

	do {
		if (limit && used >= limit)
			return false;
	} while (!atomic_compare_exchange_weak(&budget->used, &used, used + 1));
	return true;
}

static inline void budget_give(struct budget *budget)
{
	atomic_fetch_sub(&budget->used, 1);
}

#endif
