#include "proxy/upstream.h"

#include <stdlib.h>

#include "base/clock.h"
#include "proxy/crew.h"
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

/* None of this worker's can go. */
static void ask_others(const struct pool *pool)
{
	const struct upstream *upstream = pool->upstream;
	struct worker *worker = upstream->worker;

	if (crew_is_one(worker->crew))
		return;
	line_ask(worker->crew, &upstream->budget->line, worker->number, pool->server_count);
	if (budget_has_room(upstream->budget))
		worker_feed_later(worker); /* it came before they knew */
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
	else if (upstream->farewell_count < upstream->hungry_count)
		ask_others(pool);
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
	line_wake(upstream->worker->crew, &upstream->budget->line, upstream->worker->number);
	if (!list_empty(&upstream->hungry))
		worker_feed_later(upstream->worker);
}

void upstream_parting(struct upstream *upstream, int more)
{
	upstream->farewell_count += (size_t)more;
	atomic_fetch_add(&upstream->budget->parting, more);
}

void upstream_forget(struct pool *pool)
{
	if (list_empty(&pool->hungry))
		return;
	list_remove(&pool->hungry);
	if (--pool->upstream->hungry_count == 0)
		line_leave(&pool->upstream->budget->line, pool->upstream->worker->number);
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
	return budget_excess(upstream->budget) > atomic_load(&upstream->budget->parting);
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

/* ---- other workers ---- */

/* May an idle backend of this pool go to one of another worker's that has so many? */
static bool may_yield(const struct server *server, size_t backends, int64_t now_us)
{
	return now_us - server->idle_since_us >= STAY_US ||
		   (now_us - server->usable_us >= STAY_US &&
			(!backends || backends + 1 < server->pool->server_count));
}

/* Who asks for a backend of the route, while there is no place for a new one? */
static int asker_of_route(const struct pool *pool, size_t *backends)
{
	const struct worker *worker = pool->worker;

	if (atomic_load(&pool->route->backends) < worker->conf->default_pool_size)
		return -1;
	return line_neediest(&pool->route->line, worker->number, backends);
}

/* And who for a place of the budget, while none is free, nor about to be? */
static int asker_of_budget(const struct upstream *upstream, size_t *backends)
{
	const struct budget *budget = upstream->budget;

	int waiting = __builtin_popcountll(atomic_load(&budget->line.waiting));

	if (budget_has_room(budget) || atomic_load(&budget->parting) >= waiting)
		return -1;
	return line_neediest(&budget->line, upstream->worker->number, backends);
}

static bool yields(const struct server *server, int64_t now_us)
{
	const struct pool *pool = server->pool;
	struct line *lines[] = {&pool->route->line, &pool->upstream->budget->line};
	size_t backends[2] = {0, 0};
	const int askers[] = {asker_of_route(pool, &backends[0]),
						  asker_of_budget(pool->upstream, &backends[1])};

	for (int i = 0; i < 2; i++) {
		if (askers[i] >= 0 && may_yield(server, backends[i], now_us) &&
			line_claim(lines[i], askers[i]))
			return true;
	}
	return false;
}

bool upstream_yields(const struct server *server)
{
	return yields(server, server->idle_since_us);
}

static bool is_asked(const struct pool *pool)
{
	size_t backends = 0, number = pool->worker->number;

	return line_neediest(&pool->route->line, number, &backends) >= 0 ||
		   line_neediest(&pool->upstream->budget->line, number, &backends) >= 0;
}

/* Closes idle backends of the pool for others, the longest idle first. */
static void yield(struct pool *pool)
{
	struct server *server;
	int64_t now_us = clock_monotonic_us();

	while (list_empty(&pool->turns) &&
		   (server = list_first(&pool->idle, struct server, idle_node)) != NULL &&
		   yields(server, now_us))
		server_close(server, "another worker's clients need its place");
}

void upstreams_tick(struct worker *worker)
{
	struct pool *pool, *next;

	if (!worker->is_asked)
		return;
	worker->is_asked = false;
	HASH_ITER (hh, worker->pools, pool, next) {
		pool->is_asked = is_asked(pool);
		if (!pool->is_asked)
			continue;
		worker->is_asked = true;
		yield(pool);
	}
}

void upstreams_wake(struct worker *worker)
{
	struct pool *pool, *next;

	HASH_ITER (hh, worker->pools, pool, next) {
		if (pool->in_route_line)
			pool_balance(pool);
	}
	queue_look_at_capped(worker);
	worker_feed_later(worker);
	worker->is_asked = true;
	upstreams_tick(worker);
}
