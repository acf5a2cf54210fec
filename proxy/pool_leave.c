/*
 * Backends that leave a pool though nobody asks for their place: idle or old for too long,
 * given up for another reason, or of a tenant that is not served there any more.
 */
#include "base/list.h"
#include "conf/conf.h"
#include "proxy/pool_internal.h"
#include "proxy/route.h"
#include "proxy/server.h"
#include "proxy/worker.h"

const char pool_retired[] = "its tenant is not served there any more";

/* ---- time ---- */

static bool is_needed(const struct server *server)
{
	return server->pool->client_count &&
		   pool_count_all(server->pool) <= pool_minimum(server->pool);
}

static void expire_idle(struct worker *worker, int64_t now_us)
{
	int64_t limit = worker->conf->server_idle_timeout_ms * 1000;
	struct server *server;

	while (limit > 0 && (server = list_first(&worker->idle, struct server, age_node)) != NULL &&
		   now_us - server->idle_since_us >= limit) {
		if (is_needed(server)) {
			server->idle_since_us = now_us;
			list_remove(&server->age_node);
			list_append(&worker->idle, &server->age_node);
		} else {
			server_close(server, "it was idle for server_idle_timeout");
		}
	}
}

/* One that is in use is closed when it is free. */
static void expire_old(struct worker *worker, int64_t now_us)
{
	int64_t limit = worker->conf->server_lifetime_ms * 1000;
	struct server *server;

	while (limit > 0 &&
		   (server = list_first(&worker->opened, struct server, opened_node)) != NULL &&
		   now_us - server->opened_us >= limit) {
		list_remove(&server->opened_node);
		server_give_up(server, "it is older than server_lifetime");
		if (server->state == SERVER_IDLE)
			server_close(server, server->given_up);
	}
}

void pool_expire(struct worker *worker, int64_t now_us)
{
	expire_idle(worker, now_us);
	expire_old(worker, now_us);
}

static struct server *next_given_up(const struct pool *pool)
{
	list_each (node, next, &pool->idle) {
		struct server *server = list_entry(node, struct server, idle_node);

		if (server->given_up)
			return server;
	}
	return NULL;
}

/* Closing one may open and close others: each search begins anew. */
void pool_close_given_up(struct pool *pool)
{
	struct server *server;

	while ((server = next_given_up(pool)) != NULL)
		server_close(server, server->given_up);
}

/* ---- a tenant that is not served there any more ---- */

static void retire(struct pool *pool)
{
	struct server *server;

	pool->retired = true;
	while ((server = list_first(&pool->idle, struct server, idle_node)) != NULL)
		server_close(server, pool_retired);
}

static bool leads_to(const struct pool *pool, const struct tenant *now)
{
	struct route_key route;
	enum reason why;

	return now && route_find(pool->worker->conf, now, &route, &why) &&
		   route_equal(&route, &pool->key);
}

void pool_retire_tenant(struct worker *worker, const struct uuid *tenant,
						const struct tenant *now)
{
	static const enum route_kind kinds[] = {ROUTE_LOGIN, ROUTE_SCHEMA, ROUTE_DATABASE};
	struct pool *pool;

	for (uint32_t i = 0; i < worker->conf->cluster_count; i++) {
		for (size_t j = 0; j < sizeof kinds / sizeof *kinds; j++) {
			const struct route_key key = {i, kinds[j], *tenant};

			HASH_FIND(hh, worker->pools, &key, sizeof key, pool);
			if (pool && !pool->client_count && !leads_to(pool, now))
				retire(pool);
		}
	}
}
