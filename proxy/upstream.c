#include "proxy/upstream.h"

#include <stdlib.h>

#include "proxy/pool.h"
#include "proxy/server.h"
#include "proxy/worker.h"

bool upstreams_create(struct worker *worker)
{
	worker->upstreams = calloc(worker->address_count + 1, sizeof *worker->upstreams);
	if (!worker->upstreams)
		return false;
	for (size_t i = 0; i < worker->address_count; i++) {
		struct budget *budget = worker->addresses[i].budget;

		if (upstream_find(worker, budget))
			continue;
		struct upstream *upstream = &worker->upstreams[worker->upstream_count++];
		upstream->worker = worker;
		upstream->budget = budget;
		list_init(&upstream->hungry);
	}
	return true;
}

struct upstream *upstream_find(struct worker *worker, const struct budget *budget)
{
	for (size_t i = 0; i < worker->upstream_count; i++) {
		if (worker->upstreams[i].budget == budget)
			return &worker->upstreams[i];
	}
	return NULL;
}

/* The backend that has been idle longest among those of other pools on the same server. */
static struct server *find_victim(const struct pool *pool)
{
	list_each (node, next, &pool->worker->idle) {
		struct server *server = list_entry(node, struct server, age_node);

		if (server->pool->upstream == pool->upstream && server->pool != pool)
			return server;
	}
	return NULL;
}

bool upstream_take(struct pool *pool)
{
	struct upstream *upstream = pool->upstream;

	if (budget_take(upstream->budget))
		return true;
	if (!list_empty(&pool->hungry))
		return false; /* a place was made for it already, or will be */
	list_append(&upstream->hungry, &pool->hungry);
	upstream->hungry_count++;
	struct server *victim =
		upstream->farewell_count < upstream->hungry_count ? find_victim(pool) : NULL;
	if (victim)
		server_close(victim, "another pool's clients need its place");
	return false;
}

void upstream_give(struct upstream *upstream)
{
	budget_give(upstream->budget);
	if (!list_empty(&upstream->hungry))
		worker_feed_later(upstream->worker);
}

void upstream_forget(struct pool *pool)
{
	if (list_empty(&pool->hungry))
		return;
	list_remove(&pool->hungry);
	pool->upstream->hungry_count--;
}

void upstream_feed(struct upstream *upstream)
{
	struct pool *pool;

	while (budget_has_room(upstream->budget) &&
		   (pool = list_first(&upstream->hungry, struct pool, hungry)) != NULL) {
		upstream_forget(pool);
		pool_balance(pool);
	}
}

bool upstream_is_wanted(const struct server *server)
{
	const struct upstream *upstream = server->pool->upstream;
	const struct pool *first = list_first(&upstream->hungry, struct pool, hungry);

	return first && first != server->pool && upstream->hungry_count > upstream->farewell_count;
}
