#include "proxy/pool.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "conf/conf.h"
#include "proxy/client.h"
#include "proxy/server.h"
#include "proxy/settings.h"
#include "proxy/worker.h"

/* Backends that may fail under one client's hands before it is told. */
#define ATTEMPTS_MAX 3

/* Transactions that a backend does for its own tenant in a row while others wait. */
#define STREAK_MAX 16

/* Idle backends of a tenant that are looked at for one with the client's settings. */
#define SETTINGS_SEARCH_MAX 16

/* ---- life ---- */

static const struct worker_address *find_address(const struct worker *worker,
												 const struct conf_cluster *cluster)
{
	for (size_t i = 0; i < worker->address_count; i++) {
		if (worker->addresses[i].cluster == cluster)
			return &worker->addresses[i];
	}
	return NULL;
}

struct pool *pool_get(struct worker *worker, const struct conf_cluster *cluster)
{
	list_each (node, next, &worker->pools) {
		struct pool *pool = list_entry(node, struct pool, node);

		if (pool->cluster == cluster)
			return pool;
	}

	struct pool *pool = calloc(1, sizeof *pool);
	if (!pool)
		return NULL;
	pool->worker = worker;
	pool->cluster = cluster;
	pool->address = find_address(worker, cluster);
	list_init(&pool->servers);
	list_init(&pool->idle);
	list_init(&pool->unsealed);
	list_init(&pool->turns);
	list_append(&worker->pools, &pool->node);
	return pool;
}

static void drop_welcomes(struct pool *pool)
{
	struct pool_welcome *welcome, *next;

	HASH_ITER (hh, pool->welcomes, welcome, next) {
		HASH_DEL(pool->welcomes, welcome);
		params_fini(&welcome->params);
		free(welcome->key);
		free(welcome);
	}
}

void pool_destroy(struct pool *pool)
{
	struct server *server;

	while ((server = list_first(&pool->servers, struct server, node)) != NULL)
		server_close(server, "Bulkhead is shutting down");

	/* Dead servers keep a pointer to their pool until they are reaped, but use it no more. */
	drop_welcomes(pool);
	params_fini(&pool->base);
	secret_wipe(&pool->scram, sizeof pool->scram);
	free(pool->failure);
	list_remove(&pool->node);
	free(pool);
}

/* ---- tenants ---- */

static struct pool_tenant *tenant_get(struct pool *pool, const struct uuid *id)
{
	struct pool_tenant *tenant;

	HASH_FIND(hh, pool->tenants, id, sizeof *id, tenant);
	if (tenant)
		return tenant;
	tenant = calloc(1, sizeof *tenant);
	if (!tenant)
		return NULL;
	tenant->id = *id;
	list_init(&tenant->idle);
	list_init(&tenant->waiting);
	list_init(&tenant->turn);
	HASH_ADD(hh, pool->tenants, id, sizeof tenant->id, tenant);
	if (!tenant->hh.tbl) {
		free(tenant);
		return NULL;
	}
	return tenant;
}

/* A tenant without idle backends and waiting clients costs nothing. */
static void tenant_put(struct pool *pool, struct pool_tenant *tenant)
{
	if (!list_empty(&tenant->idle) || !list_empty(&tenant->waiting))
		return;
	list_remove(&tenant->turn);
	HASH_DEL(pool->tenants, tenant);
	free(tenant);
}

static struct pool_tenant *tenant_find(struct pool *pool, const struct uuid *id)
{
	struct pool_tenant *tenant;

	HASH_FIND(hh, pool->tenants, id, sizeof *id, tenant);
	return tenant;
}

/* ---- idle backends ---- */

static void take_off_idle(struct server *server)
{
	struct pool *pool = server->pool;

	list_remove(&server->idle_node);
	list_remove(&server->tenant_node);
	if (server->tenant) {
		struct pool_tenant *tenant = tenant_find(pool, &server->tenant->id);

		if (tenant)
			tenant_put(pool, tenant);
	}
}

static void put_on_idle(struct server *server)
{
	struct pool *pool = server->pool;
	struct pool_tenant *tenant = server->tenant ? tenant_get(pool, &server->tenant->id) : NULL;

	server->state = SERVER_IDLE;
	server->idle_since_us = clock_monotonic_us();
	list_append(&pool->idle, &server->idle_node);
	list_prepend(tenant ? &tenant->idle : &pool->unsealed, &server->tenant_node);
}

/* An idle backend of this client's tenant; one with its settings if that is quickly found. */
static struct server *find_own(struct pool *pool, const struct client *client)
{
	struct pool_tenant *tenant = tenant_find(pool, &client->tenant->id);
	struct server *first = NULL;
	int seen = 0;

	if (!tenant)
		return NULL;
	list_each (node, next, &tenant->idle) {
		struct server *server = list_entry(node, struct server, tenant_node);

		if (server->settings == client->settings && server_is_sealed_to(server, client->tenant))
			return server;
		if (!first)
			first = server;
		if (++seen == SETTINGS_SEARCH_MAX)
			break;
	}
	return first;
}

/* ---- waiting ---- */

static void enqueue(struct pool *pool, struct client *client, bool first)
{
	struct pool_tenant *tenant = tenant_get(pool, &client->tenant->id);

	if (!tenant) {
		client_fatal(client, REASON_MEMORY, NULL);
		return;
	}
	if (list_empty(&tenant->waiting))
		list_append(&pool->turns, &tenant->turn);
	if (first)
		list_prepend(&tenant->waiting, &client->tenant_node);
	else
		list_append(&tenant->waiting, &client->tenant_node);
	client->waiting_since_us = clock_monotonic_us();
	list_append(&pool->worker->waiting, &client->wait_node);
	pool->waiting++;
}

void pool_withdraw(struct client *client)
{
	if (list_empty(&client->tenant_node))
		return;
	struct pool *pool = client->pool;
	struct pool_tenant *tenant = tenant_find(pool, &client->tenant->id);

	list_remove(&client->tenant_node);
	list_remove(&client->wait_node);
	pool->waiting--;
	if (list_empty(&tenant->waiting))
		list_remove(&tenant->turn);
	tenant_put(pool, tenant);
}

/* Takes the first client of a tenant off its queue. */
static struct client *first_waiting(struct pool_tenant *tenant)
{
	struct client *client = list_first(&tenant->waiting, struct client, tenant_node);

	pool_withdraw(client);
	return client;
}

/* The next client in the turn of the tenants, taken off its queue. */
static struct client *next_waiting(struct pool *pool)
{
	struct pool_tenant *tenant = list_first(&pool->turns, struct pool_tenant, turn);

	if (!tenant)
		return NULL;
	list_remove(&tenant->turn);
	list_append(&pool->turns, &tenant->turn);
	return first_waiting(tenant);
}

/*
 * Who gets the one backend that is free: its own tenant for a while, since every change of
 * hands costs an exchange with the server, then whoever's turn it is.
 */
static struct client *next_for(struct pool *pool, struct server *server)
{
	struct pool_tenant *tenant = server->tenant ? tenant_find(pool, &server->tenant->id) : NULL;

	if (tenant && !list_empty(&tenant->waiting) && server->streak < STREAK_MAX) {
		server->streak++;
		return first_waiting(tenant);
	}
	server->streak = 0;
	return next_waiting(pool);
}

/* The best idle backend for a client whose turn it is. */
static struct server *best_idle(struct pool *pool, const struct client *client)
{
	struct server *server = find_own(pool, client);

	if (!server)
		server = list_first(&pool->unsealed, struct server, tenant_node);
	return server ? server : list_first(&pool->idle, struct server, idle_node);
}

static void assign(struct server *server, struct client *client)
{
	take_off_idle(server);
	handover_start(server, client);
}

/* ---- opening ---- */

static bool may_open(const struct pool *pool)
{
	return !pool->worker->stopping &&
		   pool->server_count < (size_t)pool->worker->conf->default_pool_size &&
		   clock_monotonic_us() >= pool->retry_at_us;
}

/* Opens as many backends as there are clients that none of those on their way will serve. */
static void open_for_waiting(struct pool *pool)
{
	while (pool->waiting > pool->opening && may_open(pool)) {
		const char *why = NULL;

		if (!server_open(pool, &why)) {
			pool_open_failed(pool, REASON_BACKEND_DOWN, why);
			return;
		}
	}
}

static void refuse_waiting(struct pool *pool)
{
	struct client *client;

	while ((client = next_waiting(pool)) != NULL)
		client_fatal(client, pool->failure_reason, NULL);
}

void pool_open_failed(struct pool *pool, enum reason reason, const char *why)
{
	char *failure = strdup(why);

	if (failure) {
		free(pool->failure);
		pool->failure = failure;
	}
	pool->failure_reason = reason;
	pool->retry_at_us = clock_monotonic_us() + pool->worker->conf->server_login_retry_ms * 1000;
	pool->worker->counters.backends_refused++;
	log_event(LOG_ERROR, "backend.refused", "cluster", pool->cluster->name, "reason",
			  reason_code(reason), "why", why, NULL);
	if (pool->server_count == 0)
		refuse_waiting(pool);
	else
		pool_balance(pool);
}

/* ---- requests ---- */

/* The backend this client may have at once, or NULL. */
static struct server *find_idle(struct pool *pool, const struct client *client)
{
	struct server *own = find_own(pool, client);

	if (own)
		return own;
	if (!list_empty(&pool->unsealed))
		return list_first(&pool->unsealed, struct server, tenant_node);
	if (may_open(pool))
		return NULL; /* tenants settle on backends of their own */
	return list_first(&pool->idle, struct server, idle_node);
}

static void request(struct client *client, bool again)
{
	struct pool *pool = client->pool;
	struct server *server = find_idle(pool, client);

	if (server) {
		assign(server, client);
		return;
	}
	if (pool->server_count == 0 && !may_open(pool)) {
		client_fatal(client, pool->worker->stopping ? REASON_SHUTDOWN : pool->failure_reason,
					 NULL);
		return;
	}
	enqueue(pool, client, again);
	open_for_waiting(pool);
}

void pool_request(struct client *client)
{
	request(client, false);
}

void pool_request_again(struct client *client)
{
	if (++client->attempts >= ATTEMPTS_MAX)
		client_fatal(client, REASON_HANDOVER, NULL);
	else
		request(client, true);
}

void pool_balance(struct pool *pool)
{
	while (pool->waiting && !list_empty(&pool->idle) && !pool->worker->stopping) {
		struct server *server = list_first(&pool->idle, struct server, idle_node);

		if (server->idle_node.next == &pool->idle) {
			assign(server, next_for(pool, server));
		} else {
			struct client *client = next_waiting(pool);

			assign(best_idle(pool, client), client);
		}
	}
	open_for_waiting(pool);
}

void pool_server_opened(struct server *server)
{
	struct pool *pool = server->pool;

	server->opening = false;
	pool->opening--;
	pool->retry_at_us = 0;
	pool_server_ready(server);
}

static bool is_too_old(const struct server *server, int64_t now_us)
{
	int64_t lifetime = server->worker->conf->server_lifetime_ms * 1000;

	return lifetime > 0 && now_us - server->opened_us >= lifetime;
}

void pool_server_ready(struct server *server)
{
	struct pool *pool = server->pool;

	if (pool->worker->stopping) {
		server_close(server, "Bulkhead is shutting down");
		return;
	}
	put_on_idle(server);
	if (is_too_old(server, server->idle_since_us)) {
		server_close(server, "it is older than server_lifetime");
		return;
	}
	if (pool->waiting)
		pool_balance(pool);
}

void pool_server_gone(struct server *server)
{
	struct pool *pool = server->pool;

	take_off_idle(server);
	list_remove(&server->node);
	pool->server_count--;
	if (server->opening) {
		server->opening = false;
		pool->opening--;
	}
}

void pool_tick(struct pool *pool, int64_t now_us)
{
	int64_t limit = pool->worker->conf->server_idle_timeout_ms * 1000;
	struct server *server;

	while (limit > 0 && (server = list_first(&pool->idle, struct server, idle_node)) != NULL &&
		   now_us - server->idle_since_us >= limit)
		server_close(server, "it was idle for server_idle_timeout");
	if (pool->waiting)
		pool_balance(pool);
}

/* ---- cached parameters ---- */

const struct params *pool_find_welcome(struct pool *pool, const struct settings *settings)
{
	struct pool_welcome *welcome;

	if (!settings->name_is_clean)
		return NULL;
	HASH_FIND(hh, pool->welcomes, settings->bytes, settings->base_len, welcome);
	return welcome ? &welcome->params : NULL;
}

void pool_add_welcome(struct pool *pool, const struct settings *settings,
					  const struct params *params)
{
	if (!settings->name_is_clean || pool_find_welcome(pool, settings))
		return;
	if (HASH_COUNT(pool->welcomes) >= POOL_WELCOMES_MAX)
		drop_welcomes(pool);

	struct pool_welcome *welcome = calloc(1, sizeof *welcome);
	char *key = malloc(settings->base_len + 1);
	if (!welcome || !key || !params_copy(&welcome->params, params)) {
		free(welcome);
		free(key);
		return;
	}
	memcpy(key, settings->bytes, settings->base_len);
	welcome->key = key;
	welcome->key_len = settings->base_len;
	HASH_ADD_KEYPTR(hh, pool->welcomes, welcome->key, welcome->key_len, welcome);
	if (!welcome->hh.tbl) {
		params_fini(&welcome->params);
		free(key);
		free(welcome);
	}
}

void pool_note_base(struct pool *pool, const struct params *params)
{
	if (params_equal(&pool->base, params))
		return;
	drop_welcomes(pool);
	params_fini(&pool->base);
	if (!params_copy(&pool->base, params))
		params_init(&pool->base);
}
