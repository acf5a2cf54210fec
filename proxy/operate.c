#include "proxy/operate.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/client.h"
#include "proxy/limits.h"
#include "proxy/measure.h"
#include "proxy/pool.h"
#include "proxy/queue.h"
#include "proxy/server.h"
#include "proxy/worker.h"
#include "router/live.h"

/* ---- looking ---- */

static char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

enum session_state operate_session_state(const struct client *client)
{
	switch (client->state) {
	case CLIENT_STARTUP:
	case CLIENT_PRINCIPAL:
	case CLIENT_AUTH:
	case CLIENT_TENANT:
	case CLIENT_WELCOME:
		return SESSION_LOGIN;
	case CLIENT_IDLE:
		return client->held_count ? SESSION_IDLE_IN_TRANSACTION : SESSION_IDLE;
	case CLIENT_WAITING:
		return SESSION_WAITING;
	case CLIENT_LINKED:
		if (!replies_is_empty(&client->server->replies))
			return SESSION_ACTIVE;
		return client->server->status == 'I' ? SESSION_IDLE : SESSION_IDLE_IN_TRANSACTION;
	case CLIENT_LEAVING:
	case CLIENT_CLOSED:
		break;
	}
	return SESSION_LEAVING;
}

static void describe_session(const struct client *client, int64_t now_us,
							 struct live_session *out)
{
	out->pid = client->pid;
	if (client->tenant)
		out->tenant = client->tenant->id;
	out->slug = client->tenant ? copy(client->tenant->slug) : NULL;
	out->principal = client->principal ? copy(client->principal->name) : NULL;
	out->state = session_state_names[operate_session_state(client)];
	if (client_is_pinned(client))
		snprintf(out->pin, sizeof out->pin, "%s", pin_name(client->pins.held));
	out->backend = client->server ? client->server->pid : 0;
	if (client->state == CLIENT_WAITING && !client->server)
		out->waited_us = now_us - client->waiting_since_us;
}

enum backend_state operate_backend_state(const struct server *server)
{
	switch (server->state) {
	case SERVER_CONNECTING:
	case SERVER_LOGIN:
	case SERVER_CHECK:
		return BACKEND_OPENING;
	case SERVER_IDLE:
		return BACKEND_IDLE;
	case SERVER_PREPARING:
		return BACKEND_PREPARING;
	case SERVER_LINKED:
		return BACKEND_ACTIVE;
	case SERVER_CLEANING:
		return BACKEND_CLEANING;
	case SERVER_HELD:
	case SERVER_CLOSED:
		break;
	}
	return BACKEND_HELD;
}

static void describe_backend(const struct server *server, int64_t now_us,
							 struct live_backend *out)
{
	out->pid = server->pid;
	out->cluster = copy(server->pool->cluster->name);
	out->slug = server->tenant ? copy(server->tenant->slug) : NULL;
	out->state = backend_state_names[operate_backend_state(server)];
	out->session = server->client ? server->client->pid : 0;
	out->age_us = now_us - server->opened_us;
}

static void describe_pool(const struct pool *pool, struct live_pool *out)
{
	const struct pool_stats *stats = &pool->stats;

	out->cluster = copy(pool->cluster->name);
	out->sessions = pool->client_count;
	out->waiting = pool->waiting;
	out->backends = pool->server_count;
	out->requests = stats->requests;
	out->handovers = stats->handovers;
	out->handover_failures = stats->handover_failures;
	out->opened = stats->opened;
	out->closed = stats->closed;
	out->wait_p50_us = (int64_t)histogram_quantile(&stats->wait, 0.5);
	out->wait_p99_us = (int64_t)histogram_quantile(&stats->wait, 0.99);
	out->wait_max_us = (int64_t)stats->wait.max_us;
}

static size_t count_backends(const struct worker *worker)
{
	size_t count = 0;

	for (const struct pool *pool = worker->pools; pool; pool = pool->hh.next)
		count += pool->server_count;
	return count;
}

static struct live_view *look(void *self)
{
	const struct worker *worker = self;
	struct live_view *view = live_view_create(worker->client_count, count_backends(worker),
											  HASH_COUNT(worker->pools));
	int64_t now_us = clock_monotonic_us();

	if (!view)
		return NULL;
	list_each (node, next, &worker->clients)
		describe_session(list_entry(node, struct client, node), now_us,
						 &view->sessions[view->session_count++]);
	for (const struct pool *pool = worker->pools; pool; pool = pool->hh.next) {
		describe_pool(pool, &view->pools[view->pool_count++]);
		list_each (node, next, &pool->servers)
			describe_backend(list_entry(node, struct server, node), now_us,
							 &view->backends[view->backend_count++]);
	}
	return view;
}

/* ---- orders ---- */

static bool concerns(const struct uuid *wanted, const struct tenant *tenant)
{
	return !wanted || (tenant && uuid_equal(wanted, &tenant->id));
}

struct kill {
	const struct uuid *tenant;
	size_t count;
};

static void kill_one(struct client *client, void *arg)
{
	struct kill *kill = arg;

	if (!concerns(kill->tenant, client->tenant) || client->state == CLIENT_LEAVING)
		return;
	kill->count++;
	client_fatal(client, REASON_KILLED, NULL);
}

static size_t kill_sessions(struct worker *worker, const struct uuid *tenant)
{
	struct kill kill = {tenant, 0};

	client_each(&worker->clients, offsetof(struct client, node), kill_one, &kill);
	return kill.count;
}

bool operate_is_paused(const struct worker *worker, const struct uuid *tenant)
{
	struct paused *paused;

	if (worker->all_paused || !worker->paused)
		return worker->all_paused;
	HASH_FIND(hh, worker->paused, tenant, sizeof *tenant, paused);
	return paused != NULL;
}

static void forget_paused(struct worker *worker, const struct uuid *tenant)
{
	struct paused *paused, *next;

	HASH_ITER (hh, worker->paused, paused, next) {
		if (!tenant || uuid_equal(tenant, &paused->id)) {
			HASH_DEL(worker->paused, paused);
			free(paused);
		}
	}
	if (!tenant)
		worker->all_paused = false;
}

static void remember_paused(struct worker *worker, const struct uuid *tenant)
{
	struct paused *paused;

	if (!tenant) {
		worker->all_paused = true;
		return;
	}
	if (operate_is_paused(worker, tenant))
		return;
	paused = calloc(1, sizeof *paused);
	if (!paused)
		return;
	paused->id = *tenant;
	HASH_ADD(hh, worker->paused, id, sizeof paused->id, paused);
	if (!paused->hh.tbl)
		free(paused);
}

/* Brings the queues up to date; returns how many tenants' queues there are. */
static size_t apply_pauses(struct worker *worker, const struct uuid *tenant)
{
	struct pool_tenant *part, *next_part;
	struct pool *pool, *next;
	size_t count = 0;

	HASH_ITER (hh, worker->pools, pool, next) {
		HASH_ITER (hh, pool->tenants, part, next_part) {
			if (!tenant || uuid_equal(tenant, &part->id)) {
				pool_tenant_pause(part, operate_is_paused(worker, &part->id));
				count++;
			}
		}
		pool_balance(pool);
	}
	return count;
}

/* Idle ones are closed, the others as soon as they are free. */
static size_t reconnect(struct worker *worker, const struct uuid *tenant)
{
	struct pool *pool, *next;
	size_t count = 0;

	HASH_ITER (hh, worker->pools, pool, next) {
		list_each (node, after, &pool->servers) {
			struct server *server = list_entry(node, struct server, node);

			if (!concerns(tenant, server->tenant))
				continue;
			server->too_old = true;
			count++;
		}
		struct server *server;
		while ((server = pool_next_too_old(pool)) != NULL)
			server_close(server, "an operator asked for new connections");
	}
	return count;
}

static size_t obey(void *self, enum live_verb verb, const struct uuid *tenant)
{
	struct worker *worker = self;

	switch (verb) {
	case LIVE_KILL:
		return kill_sessions(worker, tenant);
	case LIVE_PAUSE:
		remember_paused(worker, tenant);
		return apply_pauses(worker, tenant);
	case LIVE_RESUME:
		forget_paused(worker, tenant);
		return apply_pauses(worker, tenant);
	case LIVE_RECONNECT:
		return reconnect(worker, tenant);
	}
	return 0;
}

struct live_ops operate_ops(struct worker *worker)
{
	return (struct live_ops){.self = worker,
							 .look = look,
							 .measure = measure_worker,
							 .obey = obey,
							 .beat_us = &worker->beat_us};
}

void operate_fini(struct worker *worker)
{
	forget_paused(worker, NULL);
}
