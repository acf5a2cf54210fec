#include "proxy/upstream.h"

#include <stdlib.h>

#include "base/clock.h"
#include "proxy/pool.h"
#include "proxy/server.h"
#include "proxy/worker.h"

/* Pools in line that are looked at, from the front: their number is not ours to choose. */
#define LOOK_MAX 64

/*
 * How long a new backend is left to its own pool, and one that is idle to a pool with fewer
 * than the other: making another in its place costs the server several milliseconds.
 */
#define STAY_US 100000

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

/* ---- who is to have a place ---- */

/* Has the pool clients for one more backend? It may stand in line long after they were served.
 */
static bool wants(const struct pool *pool)
{
	return queue_wanted(pool, pool->opening) > pool->opening;
}

/* Pools are brought to equal numbers, and one that has none gets one from any. */
static bool deserves(const struct pool *pool, const struct pool *from)
{
	return pool != from && (!pool->server_count || pool->server_count + 1 < from->server_count);
}

/* The pool in line with the fewest backends, among equals the first; those that want nothing
 * any more are sent away. */
static struct pool *neediest(struct upstream *upstream)
{
	struct pool *found = NULL;
	int looked = 0;

	list_each (node, next, &upstream->hungry) {
		struct pool *pool = list_entry(node, struct pool, hungry);

		if (!wants(pool))
			upstream_forget(pool);
		else if (!found || pool->server_count < found->server_count)
			found = pool;
		if (++looked == LOOK_MAX)
			break;
	}
	return found;
}

/* Places that are free now, or will be, belong to a pool in line before this one may take any.
 */
static bool is_behind_others(const struct pool *pool)
{
	if (pool->upstream->fed == pool)
		return false;
	const struct pool *first = neediest(pool->upstream);

	return first && first != pool && first->server_count <= pool->server_count;
}

/* ---- making room ---- */

/* May this idle backend go to make room for one of that pool? */
static bool may_go(const struct server *server, const struct pool *pool, int64_t now_us)
{
	if (server->pool == pool || server->pool->upstream != pool->upstream)
		return false;
	return now_us - server->idle_since_us >= STAY_US ||
		   (now_us - server->usable_us >= STAY_US && deserves(pool, server->pool));
}

/* The one that has been idle longest of those that may go. */
static struct server *find_victim(const struct pool *pool)
{
	int64_t now_us = clock_monotonic_us();

	list_each (node, next, &pool->worker->idle) {
		struct server *server = list_entry(node, struct server, age_node);

		if (may_go(server, pool, now_us))
			return server;
	}
	return NULL;
}

static void stand_in_line(struct pool *pool)
{
	struct upstream *upstream = pool->upstream;

	if (list_empty(&pool->hungry)) {
		list_append(&upstream->hungry, &pool->hungry);
		upstream->hungry_count++;
	}
	if (budget_has_room(upstream->budget)) {
		worker_feed_later(upstream->worker); /* to those before it, then to this one */
		return;
	}
	struct server *victim =
		upstream->farewell_count < upstream->hungry_count ? find_victim(pool) : NULL;
	if (victim)
		server_close(victim, "another pool's clients need its place");
}

bool upstream_take(struct pool *pool)
{
	struct upstream *upstream = pool->upstream;

	if (!is_behind_others(pool) && budget_take(upstream->budget)) {
		upstream->fed = NULL;
		upstream_forget(pool);
		return true;
	}
	stand_in_line(pool);
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

	while (budget_has_room(upstream->budget) && (pool = neediest(upstream)) != NULL) {
		upstream_forget(pool);
		upstream->fed = pool;
		pool_balance(pool);
		upstream->fed = NULL;
	}
}

/* Those that say good-bye give their places back by themselves. */
bool upstream_is_over(const struct upstream *upstream)
{
	return budget_excess(upstream->budget) > (int)upstream->farewell_count;
}

/* The longest idle backend of a server that has too many. */
static struct server *find_surplus(const struct worker *worker)
{
	list_each (node, next, &worker->idle) {
		struct server *server = list_entry(node, struct server, age_node);

		if (upstream_is_over(server->pool->upstream))
			return server;
	}
	return NULL;
}

void upstreams_take_settings(struct worker *worker)
{
	struct server *server;

	while ((server = find_surplus(worker)) != NULL)
		server_close(server, "there are more than max_server_connections");
	worker_feed_later(worker);
}

bool upstream_is_wanted(const struct server *server)
{
	const struct upstream *upstream = server->pool->upstream;
	size_t wanted = 0;
	int looked = 0;

	if (server->idle_since_us - server->usable_us < STAY_US)
		return false;
	list_each (node, next, &upstream->hungry) {
		const struct pool *pool = list_entry(node, struct pool, hungry);

		wanted += deserves(pool, server->pool) && wants(pool);
		if (wanted > upstream->farewell_count)
			return true;
		if (++looked == LOOK_MAX)
			break;
	}
	return false;
}
