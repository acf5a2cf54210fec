#include "proxy/move.h"

#include "base/clock.h"
#include "base/log.h"
#include "conf/conf.h"
#include "proxy/client.h"
#include "proxy/crew.h"
#include "proxy/failover.h"
#include "proxy/measure.h"
#include "proxy/pool.h"
#include "proxy/server.h"
#include "proxy/service.h"
#include "proxy/settings.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

/*
 * Not at once: one of the backend's callbacks may be on the stack, and the other worker is to
 * have it alone. Until then it is held back from clients, and closed as any other where
 * something comes in between.
 */
void move_later(struct server *server, size_t number)
{
	struct worker *worker = server->worker;

	pool_server_hold(server);
	server->moves_to = number;
	list_append(&worker->movers, &server->idle_node);
	worker_feed_later(worker);
}

/* ---- at the other end ---- */

/* This worker has no use for anything any more. */
static void discard(struct server *server, struct worker *worker)
{
	upstream_give(upstream_find(worker, worker->addresses[server->route->key.cluster].budget));
	atomic_fetch_sub(&server->route->backends, 1);
	stream_close(&server->stream);
	server_free(server);
}

/* They stand in the order in which they were opened. */
static void list_by_age(struct worker *worker, struct server *server)
{
	struct list *before = worker->opened.prev;

	while (before != &worker->opened &&
		   list_entry(before, struct server, opened_node)->opened_us > server->opened_us)
		before = before->prev;
	list_prepend(before, &server->opened_node);
}

static void deliver(struct letter *letter)
{
	struct server *server = list_entry(letter, struct server, letter);
	struct worker *worker = server->worker;
	struct crew_route *route = server->route;
	struct pool *pool = worker->stopping ? NULL : pool_hold(worker, &route->key);

	if (!pool)
		discard(server, worker);
	crew_drop_route(worker->crew, route);
	if (!pool)
		return;
	server->pool = pool;
	list_by_age(worker, server);
	list_append(&pool->servers, &server->node);
	pool->server_count++;
	list_remove(&pool->lined);
	line_leave(&pool->route->line, worker->number);
	server_attach(server);
	failover_look(server);
	service_look(server);
	pool_server_ready(server);
	pool_drop(pool);
}

/* ---- at this end ---- */

static void forget_session(struct server *server)
{
	server_set_tenant(server, NULL);
	settings_unref(server->settings);
	server->settings = NULL;
	backend_statements_clear(&server->statements);
	server->unnamed_id = 0;
	server->last_client = 0;
	server->needs_discard = true;
	server->usable_us = 0; /* it is left to its new pool as if it was new */
}

static void post(struct server *server)
{
	struct crew *crew = server->worker->crew;
	struct pool *pool = server->pool;

	log_event(LOG_DEBUG, "backend.moved", "cluster", pool->cluster->name, NULL);
	forget_session(server);
	measure_server_gone(server); /* while it is on its way nobody counts it */
	server->stream.received = server->stream.sent = 0;
	server->route = pool->route;
	crew_keep_route(crew, server->route);
	pool_server_left(server);
	stream_detach(&server->stream);
	server->pool = NULL;
	server->worker = crew->members[server->moves_to].worker;
	server->letter.deliver = deliver;
	mailbox_post(server->worker->mailbox, &server->letter);
}

void move_all(struct worker *worker)
{
	struct server *server;

	while ((server = list_first(&worker->movers, struct server, idle_node)) != NULL) {
		list_remove(&server->idle_node);
		if (server_is_settled(server) && !server->cancels && !server->stream.broken)
			post(server);
		else
			pool_server_ready(server);
	}
}
