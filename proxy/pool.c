#include "proxy/pool.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "conf/conf.h"
#include "proxy/client.h"
#include "proxy/crew.h"
#include "proxy/failover.h"
#include "proxy/measure.h"
#include "proxy/pool_internal.h"
#include "proxy/server.h"
#include "proxy/settings.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

/* Backends that may fail under one client's hands before it is told. */
#define ATTEMPTS_MAX 3

/*
 * How long a backend goes on serving its own tenant while others wait for their turn. A change
 * of hands costs the server about 0.2 ms, so this bounds both the price of changing and the
 * wait of the others.
 */
#define STAY_US 2000

/* Bytes of the reason why no host serves. */
#define WHY_MAX 1024

/* Idle backends of a tenant that are looked at for one with the client's settings. */
#define SETTINGS_SEARCH_MAX 16

/* ---- life ---- */

static struct pool *create(struct worker *worker, const struct route_key *key)
{
	struct pool *pool = calloc(1, sizeof *pool);

	if (pool)
		pool->route = crew_hold_route(worker->crew, key);
	if (!pool || !pool->route) {
		free(pool);
		return NULL;
	}
	pool->worker = worker;
	pool->key = *key;
	pool->cluster = &worker->conf->clusters[key->cluster];
	pool->address = &worker->addresses[key->cluster];
	pool->upstream = upstream_find(worker, pool->address->budget);
	own_name(&key->tenant, pool->own);
	list_init(&pool->restless);
	list_init(&pool->hungry);
	list_init(&pool->lined);
	list_init(&pool->asked);
	list_init(&pool->servers);
	list_init(&pool->idle);
	list_init(&pool->unsealed);
	list_init(&pool->turns);
	HASH_ADD(hh, worker->pools, key, sizeof pool->key, pool);
	if (!pool->hh.tbl) {
		crew_drop_route(worker->crew, pool->route);
		free(pool);
		return NULL;
	}
	return pool;
}

void pool_attend(struct pool *pool)
{
	if (list_empty(&pool->restless))
		list_append(&pool->worker->restless, &pool->restless);
}

struct pool *pool_hold(struct worker *worker, const struct route_key *key)
{
	struct pool *pool;

	HASH_FIND(hh, worker->pools, key, sizeof *key, pool);
	if (!pool)
		pool = create(worker, key);
	if (!pool)
		return NULL;
	pool->client_count++;
	if (pool_minimum(pool))
		pool_attend(pool);
	return pool;
}

void pool_drop(struct pool *pool)
{
	if (--pool->client_count == 0 && !pool->server_count)
		pool_attend(pool);
}

void pool_destroy(struct pool *pool)
{
	struct server *server;

	while ((server = list_first(&pool->servers, struct server, node)) != NULL)
		server_close(server, "Bulkhead is shutting down");

	/* Dead servers keep a pointer to their pool until they are reaped, but use it no more. */
	welcomes_fini(&pool->welcomes);
	secret_wipe(&pool->scram, sizeof pool->scram);
	upstream_forget(pool);
	line_leave(&pool->route->line, pool->worker->number);
	crew_drop_route(pool->worker->crew, pool->route);
	list_remove(&pool->restless);
	list_remove(&pool->lined);
	list_remove(&pool->asked);
	HASH_DEL(pool->worker->pools, pool);
	measure_pool_gone(pool);
	free(pool);
}

/* ---- idle backends ---- */

static void take_off_idle(struct server *server)
{
	list_remove(&server->idle_node);
	list_remove(&server->tenant_node);
	list_remove(&server->age_node);
}

static void put_on_idle(struct server *server)
{
	struct pool *pool = server->pool;

	server->state = SERVER_IDLE;
	server->idle_since_us = clock_monotonic_us();
	if (!server->usable_us) {
		server->usable_us = server->idle_since_us;
		pool->worker->is_asked = true; /* for it, perhaps: upstreams_tick */
	}
	list_append(&pool->idle, &server->idle_node);
	list_prepend(server->pool_tenant ? &server->pool_tenant->idle : &pool->unsealed,
				 &server->tenant_node);
	list_append(&pool->worker->idle, &server->age_node);
}

/* An idle backend of this client's tenant; its last one, or one with its settings, if that is
 * quickly found. */
static struct server *find_own(const struct client *client)
{
	struct server *first = NULL;
	int seen = 0;

	list_each (node, next, &client->pool_tenant->idle) {
		struct server *server = list_entry(node, struct server, tenant_node);

		if (server_is_last_of(server, client))
			return server;
		if (server->settings == client->settings &&
			server_is_sealed_to(server, client->tenant) &&
			(!first || first->settings != client->settings))
			first = server;
		if (!first)
			first = server;
		if (++seen == SETTINGS_SEARCH_MAX)
			break;
	}
	return first;
}

/*
 * Who gets the one backend that is free: its own tenant for a while, since every change of
 * hands costs an exchange with the server, then whoever's turn it is.
 */
static struct client *next_for(struct pool *pool, struct server *server)
{
	struct pool_tenant *own = server->pool_tenant;

	if (own && server->idle_since_us - server->turn_began_us < STAY_US) {
		struct client *client = queue_next_of(own);

		if (client)
			return client;
	}
	server->turn_began_us = server->idle_since_us;
	return queue_next(pool);
}

/* The best idle backend for a client whose turn it is. */
static struct server *best_idle(struct pool *pool, const struct client *client)
{
	struct server *server = find_own(client);

	if (!server)
		server = list_first(&pool->unsealed, struct server, tenant_node);
	return server ? server : list_first(&pool->idle, struct server, idle_node);
}

/* A client that was not read any more while it waited may have gone unseen. */
static bool is_still_there(struct client *client)
{
	if (client->stream.reading || !client_is_gone(client))
		return true;
	pool_tenant_give(client->pool_tenant);
	client_close(client);
	return false;
}

/* The client's tenant has taken room for it. */
static void assign(struct server *server, struct client *client)
{
	take_off_idle(server);
	handover_start(server, client);
}

/* ---- opening ---- */

static bool has_place(const struct pool *pool)
{
	return pool_count_all(pool) < pool->worker->conf->default_pool_size;
}

static bool may_open(const struct pool *pool)
{
	return !pool->worker->stopping && has_place(pool) && !pool_is_backing_off(pool);
}

static void give_place(struct pool *pool)
{
	const struct worker *worker = pool->worker;

	atomic_fetch_sub(&pool->route->backends, 1);
	line_wake(worker->crew, &pool->route->line, worker->number);
}

/* False when no connection could be begun: for want of a place, or with a failure noted. */
static bool open_one(struct pool *pool)
{
	char why[WHY_MAX];

	/* In this order: a place of the route that is given back wakes others in line for one,
	 * which would do the same, and wake this worker, for as long as the server has no place. */
	if (!upstream_take(pool))
		return false;
	if (!places_take(&pool->route->backends, pool->worker->conf->default_pool_size)) {
		upstream_give(pool->upstream);
		return false;
	}
	if (server_open(pool, why, sizeof why))
		return true;
	upstream_give(pool->upstream);
	give_place(pool);
	pool_open_failed(pool, REASON_BACKEND_DOWN, why);
	return false;
}

static bool wants_more(const struct pool *pool)
{
	return queue_wanted(pool, pool->opening) > pool->opening;
}

void pool_leave_line(struct pool *pool)
{
	if (list_empty(&pool->lined) || wants_more(pool))
		return;
	list_remove(&pool->lined);
	line_leave(&pool->route->line, pool->worker->number);
}

/* No place is to be had for another backend, and other workers' pools have some of the route's.
 */
static void ask_others(struct pool *pool)
{
	struct worker *worker = pool->worker;

	if (crew_is_one(worker->crew) || worker->stopping || !wants_more(pool) ||
		pool_count_all(pool) <= (int)pool->server_count)
		return;
	bool had_place = has_place(pool);
	if (list_empty(&pool->lined))
		list_append(&worker->lined, &pool->lined);
	line_ask(worker->crew, &pool->route->line, worker->number, pool->server_count);
	if (!had_place && has_place(pool))
		crew_wake(worker->crew, crew_bit(worker->number)); /* it came before they knew */
}

/* Opens as many backends as there are clients that none of those on their way will serve. */
static void open_for_waiting(struct pool *pool)
{
	while (wants_more(pool) && may_open(pool)) {
		if (!open_one(pool))
			break;
	}
	ask_others(pool);
	pool_leave_line(pool);
}

static void refuse_waiting(struct pool *pool)
{
	struct client *client;

	while ((client = queue_next(pool)) != NULL) {
		pool_tenant_give(client->pool_tenant);
		client_fatal(client, pool_failure(pool), NULL);
	}
}

void pool_open_failed(struct pool *pool, enum reason reason, const char *why)
{
	atomic_store(&pool->route->failure, (int)reason);
	pool_back_off(pool);
	pool->worker->counters.backends_refused++;
	log_event(LOG_ERROR, "backend.refused", "cluster", pool->cluster->name, "login",
			  pool_login(pool), "reason", reason_code(reason), "why", why, NULL);
	if (pool_count_all(pool) == 0 && !failover_is_under_way(pool))
		refuse_waiting(pool);
	pool_attend(pool); /* the next attempt is the tick's: one that fails at once must not lead
					 to another */
}

/* ---- requests ---- */

/* The backend this client may have at once, or NULL. */
static struct server *find_idle(struct pool *pool, const struct client *client)
{
	struct server *server = find_own(client);

	if (!server)
		server = list_first(&pool->unsealed, struct server, tenant_node);
	if (server)
		return server;
	if (may_open(pool) && budget_has_room(pool->upstream->budget))
		return NULL; /* tenants settle on backends of their own */
	return list_first(&pool->idle, struct server, idle_node);
}

static void request(struct client *client, bool again)
{
	struct pool *pool = client->pool;
	struct server *server =
		pool_tenant_has_room(client->pool_tenant) ? find_idle(pool, client) : NULL;

	pool->stats.requests++;
	if (server && pool_tenant_take(client->pool_tenant)) {
		histogram_record_none(&pool->stats.wait);
		assign(server, client);
		return;
	}
	if (pool->worker->stopping) {
		client_fatal(client, REASON_SHUTDOWN, NULL);
		return;
	}
	if (pool_is_backing_off(pool) && pool_count_all(pool) == 0 &&
		!failover_is_under_way(pool)) {
		client_fatal(client, pool_failure(pool), NULL);
		return;
	}
	queue_enter(client, again);
	pool_attend(pool);
	open_for_waiting(pool);
}

void pool_request(struct client *client)
{
	request(client, false);
}

void pool_request_again(struct client *client)
{
	client->pool->stats.handover_failures++;
	if (++client->attempts >= ATTEMPTS_MAX)
		client_fatal(client, REASON_HANDOVER, NULL);
	else
		request(client, true);
}

/* A backend given to a client may be free again before this returns, and leads back here: once
 * is enough. */
void pool_balance(struct pool *pool)
{
	if (pool->balancing)
		return;
	pool->balancing = true;
	while (!list_empty(&pool->turns) && !list_empty(&pool->idle) && !pool->worker->stopping) {
		struct server *server = list_first(&pool->idle, struct server, idle_node);
		bool is_last = server->idle_node.next == &pool->idle;
		struct client *client = is_last ? next_for(pool, server) : queue_next(pool);

		if (client && is_still_there(client))
			assign(is_last ? server : best_idle(pool, client), client);
	}
	pool->balancing = false;
	open_for_waiting(pool);
}

void pool_server_opened(struct server *server)
{
	struct pool *pool = server->pool;

	server->opening = false;
	pool->opening--;
	pool_forget_failures(pool);
	pool->stats.opened++;
	pool_server_ready(server);
}

/* Only after a reload. */
static bool is_too_large(const struct pool *pool)
{
	return pool_count_all(pool) > pool->worker->conf->default_pool_size;
}

/* Why a backend that has become free is closed all the same, or NULL. */
static const char *why_not_kept(const struct server *server)
{
	if (server->pool->worker->stopping)
		return "Bulkhead is shutting down";
	if (server->pool->retired)
		return pool_retired;
	if (server->given_up)
		return server->given_up;
	if (is_too_large(server->pool))
		return "there are more than default_pool_size";
	if (upstream_is_over(server->pool->upstream))
		return "there are more than max_server_connections";
	if (upstream_is_wanted(server) &&
		(list_empty(&server->pool->turns) ||
		 server->idle_since_us - server->turn_began_us >= STAY_US))
		return "another pool's clients need its place";
	return NULL;
}

/* By another worker, while its own pool's clients can do without it, or have had their turn. */
static bool is_asked_for(const struct server *server)
{
	return !list_empty(&server->pool->asked) &&
		   (list_empty(&server->pool->turns) ||
			server->idle_since_us - server->turn_began_us >= STAY_US);
}

void pool_server_ready(struct server *server)
{
	struct pool *pool = server->pool;

	put_on_idle(server);
	const char *why = why_not_kept(server);
	if (why && server->doubted) {
		take_off_idle(server);
		handover_doubt(server);
	} else if (why)
		server_close(server, why);
	else if (is_asked_for(server) && upstream_yield(server))
		return;
	else if (pool->waiting)
		pool_balance(pool);
}

void pool_server_hold(struct server *server)
{
	take_off_idle(server);
	server->state = SERVER_HELD;
}

void pool_server_left(struct server *server)
{
	struct pool *pool = server->pool;

	take_off_idle(server);
	list_remove(&server->node);
	list_remove(&server->opened_node);
	pool->server_count--;
	if (!pool->client_count || pool_minimum(pool))
		pool_attend(pool);
}

void pool_server_gone(struct server *server)
{
	struct pool *pool = server->pool;

	pool_server_left(server);
	give_place(pool);
	pool->stats.closed++;
	if (server->opening) {
		server->opening = false;
		pool->opening--;
	}
}

/* ---- what time brings ---- */

/* Opens one at a time, and never by taking another pool's place. */
static void keep_minimum(struct pool *pool)
{
	if (pool->client_count && !pool->opening && may_open(pool) &&
		pool_count_all(pool) < pool_minimum(pool) && budget_has_room(pool->upstream->budget))
		open_one(pool);
}

static bool is_settled(const struct pool *pool)
{
	int minimum = pool_minimum(pool);

	/* What other workers' pools lose is not told to this one. */
	bool is_alone = crew_is_one(pool->worker->crew);
	return !pool->waiting && list_empty(&pool->lined) &&
		   (!pool->client_count || !minimum || (is_alone && pool_count_all(pool) >= minimum));
}

void pool_tick(struct pool *pool)
{
	if (pool->waiting)
		pool_balance(pool);
	pool_leave_line(pool);
	keep_minimum(pool);
	if (pool_is_backing_off(pool))
		return; /* the pause outlives those who met the failure */
	if (!pool->client_count && !pool->server_count)
		pool_destroy(pool);
	else if (is_settled(pool))
		list_remove(&pool->restless);
}

/* ---- other settings ---- */

static bool is_same_password(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

void pool_take_settings(struct pool *pool, const struct conf_cluster *cluster)
{
	struct server *server;

	/* Logins that are under way go on with the password that they began with. */
	if (!is_same_password(pool->cluster->password, cluster->password) ||
		!is_same_password(pool->cluster->secret, cluster->secret)) {
		pool->keys.last = 0;
		pool_forget_keys(pool);
	}
	pool->cluster = cluster;
	pool_forget_failures(pool);
	queue_take_settings(pool);
	while (is_too_large(pool) &&
		   (server = list_first(&pool->idle, struct server, idle_node)) != NULL)
		server_close(server, "there are more than default_pool_size");
	pool_attend(pool);
}
