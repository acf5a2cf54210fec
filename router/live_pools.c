/* Pools of all workers together. */
#include <stdlib.h>
#include <string.h>

#include "router/live.h"

struct live_pool *live_find_sum(struct live_pool *sums, size_t count,
								const struct live_pool *pool)
{
	for (size_t i = 0; i < count; i++) {
		struct live_pool *sum = &sums[i];

		if (strcmp(sum->cluster, pool->cluster) == 0 && sum->own_login == pool->own_login &&
			sum->own_database == pool->own_database)
			return sum;
	}
	return NULL;
}

static void add_work(struct live_work *to, const struct live_work *more)
{
	to->transactions += more->transactions;
	to->queries += more->queries;
	to->requests += more->requests;
	to->waited_us += more->waited_us;
}

/* A worker's pool without a whole period behind it has no average. */
static void add_pool(struct live_pool *to, const struct live_pool *more)
{
	to->sessions += more->sessions;
	to->waiting += more->waiting;
	to->tenants += more->tenants;
	to->backends += more->backends;
	to->active += more->active;
	to->idle += more->idle;
	to->opening += more->opening;
	if (more->longest_wait_us > to->longest_wait_us)
		to->longest_wait_us = more->longest_wait_us;
	to->handovers += more->handovers;
	to->handover_failures += more->handover_failures;
	to->opened += more->opened;
	to->closed += more->closed;
	histogram_add(&to->wait, &more->wait);
	add_work(&to->work, &more->work);
	if (!more->before.at_us)
		return;
	add_work(&to->last, &more->last);
	add_work(&to->before, &more->before);
	to->last.at_us = more->last.at_us;
	to->before.at_us = more->before.at_us;
}

static void add_view(const struct live_view *view, bool by_cluster, struct live_pool *sums,
					 size_t *count)
{
	for (size_t i = 0; i < view->pool_count; i++) {
		struct live_pool pool = view->pools[i];

		if (!pool.cluster || (pool.is_past && !by_cluster))
			continue;
		if (by_cluster)
			pool.own_login = pool.own_database = false;
		struct live_pool *to = live_find_sum(sums, *count, &pool);
		if (!to) {
			to = &sums[(*count)++];
			to->cluster = pool.cluster;
			to->own_login = pool.own_login;
			to->own_database = pool.own_database;
		}
		add_pool(to, &pool);
	}
}

struct live_pool *live_sum_pools(const struct live_answer *answer, bool by_cluster,
								 size_t *count)
{
	struct live_pool *sums;
	size_t max = 0;

	for (size_t i = 0; i < answer->count; i++)
		max += answer->views[i] ? answer->views[i]->pool_count : 0;
	sums = calloc(max + 1, sizeof *sums);
	*count = 0;
	for (size_t i = 0; sums && i < answer->count; i++) {
		if (answer->views[i])
			add_view(answer->views[i], by_cluster, sums, count);
	}
	return sums;
}
