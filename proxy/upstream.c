#include "proxy/upstream.h"

#include <stdlib.h>

#include "base/clock.h"
#include "proxy/crew.h"
#include "proxy/move.h"
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

static bool has_room(const struct upstream *upstream)
{
	return line_has_grant(&upstream->budget->line, upstream->worker->number) ||
		   budget_has_room(upstream->budget);
}

static bool take(struct upstream *upstream)
{
	return line_take_grant(&upstream->budget->line, upstream->worker->number) ||
		   budget_take(upstream->budget);
}

bool upstream_take(struct pool *pool)
{
	struct upstream *upstream = pool->upstream;

	if (!is_behind_others(pool) && take(upstream)) {
		upstream->fed = NULL;
		upstream_forget(pool);
		line_stand_back(&upstream->budget->line, upstream->worker->number);
		return true;
	}
	stand_in_line(pool);
	return false;
}

/* Is a worker before this one's pools in line? */
static int first_elsewhere(struct upstream *upstream)
{
	const struct budget_line *line = &upstream->budget->line;
	size_t number = upstream->worker->number;
	const struct pool *pool = neediest(upstream);
	const struct first elsewhere = line_first_waiting(line, number);
	const struct first here = {pool ? (int)number : -1, pool ? pool->server_count : 0,
							   atomic_load(&line->since_us[number])};

	return line_is_before(&elsewhere, &here) ? elsewhere.number : -1;
}

void upstream_give(struct upstream *upstream)
{
	struct crew *crew = upstream->worker->crew;
	int first =
		crew_is_one(crew) || budget_excess(upstream->budget) ? -1 : first_elsewhere(upstream);

	if (first >= 0) {
		line_grant(crew, &upstream->budget->line, first);
		return;
	}
	budget_give(upstream->budget);
	line_wake(crew, &upstream->budget->line, upstream->worker->number);
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

	while (has_room(upstream) && (pool = neediest(upstream)) != NULL) {
		upstream_forget(pool);
		upstream->fed = pool;
		pool_balance(pool);
		upstream->fed = NULL;
	}
	while (line_take_grant(&upstream->budget->line, upstream->worker->number))
		upstream_give(upstream);
}

/* Those that say good-bye give their places back by themselves. */
bool upstream_is_over(const struct upstream *upstream)
{
	int excess = budget_excess(upstream->budget);

	return excess && excess > atomic_load(&upstream->budget->parting);
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

static const struct first nobody = {.number = -1};

/* Who asks for a backend of the route, while no new one can be had? */
static struct first asker_of_route(const struct pool *pool)
{
	const struct worker *worker = pool->worker;

	if (atomic_load(&pool->route->backends) < worker->conf->default_pool_size &&
		budget_has_room(pool->upstream->budget) && !pool_is_backing_off(pool))
		return nobody;
	return line_first_asking(&pool->route->line, worker->number);
}

/* And who for a place of the budget, while none is free, nor about to be? */
static struct first asker_of_budget(const struct upstream *upstream)
{
	const struct budget *budget = upstream->budget;
	int waiting = __builtin_popcountll(atomic_load(&budget->line.waiting));

	if (budget_has_room(budget) || atomic_load(&budget->parting) >= waiting)
		return nobody;
	return line_first_asking(&budget->line, upstream->worker->number);
}

static bool is_due_to(const struct first *asker, const struct server *server, int64_t now_us)
{
	return asker->number >= 0 && may_yield(server, asker->backends, now_us);
}

bool upstream_yield(struct server *server)
{
	struct pool *pool = server->pool;
	int64_t now_us = clock_monotonic_us();
	struct first of_route = asker_of_route(pool);
	struct first of_budget = asker_of_budget(pool->upstream);
	/* A pool that wants either stands in both lines: a backend is better than a place. */
	bool is_move = of_route.number == of_budget.number || line_is_before(&of_route, &of_budget);

	if (is_move && is_due_to(&of_route, server, now_us) &&
		line_claim(&pool->route->line, of_route.number)) {
		move_later(server, (size_t)of_route.number);
		return true;
	}
	if (is_due_to(&of_budget, server, now_us) &&
		line_claim(&pool->upstream->budget->line, of_budget.number)) {
		server_close(server, "another worker's clients need its place");
		return true;
	}
	return false;
}

static bool is_asked(const struct pool *pool)
{
	size_t number = pool->worker->number;

	return line_first_asking(&pool->route->line, number).number >= 0 ||
		   line_first_asking(&pool->upstream->budget->line, number).number >= 0;
}

/* There may be many more pools than backends: those without have nothing to give. */
static void note_asked(struct worker *worker)
{
	list_each (node, next, &worker->asked)
		list_remove(node);
	list_each (node, next, &worker->opened) {
		struct pool *pool = list_entry(node, struct server, opened_node)->pool;

		if (list_empty(&pool->asked) && is_asked(pool))
			list_append(&worker->asked, &pool->asked);
	}
	worker->is_asked = !list_empty(&worker->asked);
}

/* Gives idle backends of the pool to others, the longest idle first. */
static void yield(struct pool *pool)
{
	struct server *server;

	while (list_empty(&pool->turns) &&
		   (server = list_first(&pool->idle, struct server, idle_node)) != NULL &&
		   upstream_yield(server))
		continue;
}

void upstreams_tick(struct worker *worker)
{
	if (crew_is_one(worker->crew))
		return;
	/* Pools that were served leave the line. */
	for (size_t i = 0; i < worker->upstream_count; i++)
		neediest(&worker->upstreams[i]);
	if (!worker->is_asked)
		return;
	note_asked(worker);
	list_each (node, next, &worker->asked)
		yield(list_entry(node, struct pool, asked));
}

/* One that is served may take others out of the line with it. */
static void balance_lined(struct worker *worker)
{
	struct list aside;
	struct pool *pool;

	list_init(&aside);
	while ((pool = list_first(&worker->lined, struct pool, lined)) != NULL) {
		list_remove(&pool->lined);
		list_append(&aside, &pool->lined);
	}
	while ((pool = list_first(&aside, struct pool, lined)) != NULL) {
		list_remove(&pool->lined);
		list_append(&worker->lined, &pool->lined);
		pool_balance(pool);
	}
}

void upstreams_wake(struct worker *worker)
{
	balance_lined(worker);
	queue_look_at_capped(worker);
	worker_feed_later(worker);
	worker->is_asked = true;
	upstreams_tick(worker);
}
