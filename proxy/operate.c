#include "proxy/operate.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "proxy/client.h"
#include "proxy/console.h"
#include "proxy/limits.h"
#include "proxy/measure.h"
#include "proxy/pool.h"
#include "proxy/queue.h"
#include "proxy/server.h"
#include "proxy/settings.h"
#include "proxy/tls.h"
#include "proxy/worker.h"
#include "router/live.h"

/* ---- looking ---- */

/* Sessions that are looked at in one turn of the loop: a fraction of a millisecond's worth. */
#define SLICE 250

enum session_state operate_session_state(const struct client *client)
{
	switch (client->state) {
	case CLIENT_STARTUP:
	case CLIENT_PRINCIPAL:
	case CLIENT_AUTH:
	case CLIENT_SLOWED:
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
	case CLIENT_CONSOLE:
		return SESSION_CONSOLE;
	case CLIENT_LEAVING:
	case CLIENT_CLOSED:
		break;
	}
	return SESSION_LEAVING;
}

/* Where its peer is; empty when it is gone. */
static void describe_address(const struct client *client, struct live_session *out)
{
	struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
	socklen_t len = sizeof address;
	const struct sockaddr_in *v4 = (const void *)&address;
	const struct sockaddr_in6 *v6 = (const void *)&address;

	if (getpeername(client->stream.fd, (struct sockaddr *)&address, &len) != 0)
		return;
	if (address.ss_family == AF_INET) {
		inet_ntop(AF_INET, &v4->sin_addr, out->address, sizeof out->address);
		out->port = ntohs(v4->sin_port);
	} else if (address.ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &v6->sin6_addr, out->address, sizeof out->address);
		out->port = ntohs(v6->sin6_port);
	} else {
		snprintf(out->address, sizeof out->address, "unix");
	}
}

/* Texts of OpenSSL's that are never freed. */
static void describe_tls(const struct stream *stream, const char **version, const char **cipher)
{
	if (!stream_is_secure(stream))
		return;
	*version = tls_version(stream->ssl);
	*cipher = tls_cipher(stream->ssl);
}

static void describe_session(const struct client *client, enum live_scope scope, int64_t now_us,
							 struct live_session *out)
{
	const char *name = client->settings ? client->settings->application_name
										: console_application_name(client);

	out->pid = client->pid;
	out->tenant = client->tenant ? tenant_ref(client->tenant) : NULL;
	out->principal = client->principal ? principal_ref(client->principal) : NULL;
	out->state = operate_session_state(client);
	out->pin = client_is_pinned(client) ? pin_name(client->pins.held) : "";
	if (client_is_pinned(client))
		out->pinned_us = now_us - client->pins.since_us;
	out->backend = client->server ? client->server->pid : 0;
	if (client->state == CLIENT_WAITING && !client->server)
		out->waited_us = now_us - client->waiting_since_us;
	out->age_us = now_us - client->since_us;
	out->statements = HASH_COUNT(client->statements.by_name);
	snprintf(out->application_name, sizeof out->application_name, "%s", name ? name : "");
	describe_tls(&client->stream, &out->tls_version, &out->tls_cipher);
	if (scope == LIVE_ALL)
		describe_address(client, out);
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
	out->cluster = strdup(server->pool->cluster->name);
	if (route_has_own_login(&server->pool->key))
		memcpy(out->own, server->pool->own, sizeof out->own);
	out->own_database = server->pool->key.kind == ROUTE_DATABASE;
	const struct conf_host *host =
		&server->pool->address->hosts->names.list[server->endpoint.host];
	out->host = strdup(host->name);
	out->port = host->port;
	out->tenant = server->tenant ? tenant_ref(server->tenant) : NULL;
	out->state = operate_backend_state(server);
	out->session = server->client ? server->client->pid : 0;
	out->age_us = now_us - server->opened_us;
	out->leaving = server->given_up != NULL;
	describe_tls(&server->stream, &out->tls_version, &out->tls_cipher);
}

/* The first of each tenant's queue has waited longest there. */
static int64_t longest_wait(const struct pool *pool, int64_t now_us)
{
	int64_t longest_us = 0;

	for (const struct pool_tenant *part = pool->waiting ? pool->tenants : NULL; part;
		 part = part->hh.next) {
		const struct client *first = list_first(&part->waiting, struct client, tenant_node);

		if (first && now_us - first->waiting_since_us > longest_us)
			longest_us = now_us - first->waiting_since_us;
	}
	return longest_us;
}

static struct live_work work_in(const struct pool_stats *stats, int64_t now_us)
{
	return (struct live_work){.transactions = stats->transactions,
							  .queries = stats->queries,
							  .requests = stats->requests,
							  .waited_us = stats->wait.sum_us,
							  .at_us = now_us};
}

static struct live_work work_of(struct pool *pool, int64_t now_us)
{
	list_each (node, next, &pool->servers)
		measure_server(list_entry(node, struct server, node));
	return work_in(&pool->stats, now_us);
}

static void describe_stats(const struct pool_stats *stats, struct live_pool *out)
{
	out->handovers = stats->handovers;
	out->handover_failures = stats->handover_failures;
	out->opened = stats->opened;
	out->closed = stats->closed;
	out->wait = stats->wait;
}

static void describe_past(const struct worker *worker, int64_t now_us, struct live_view *view)
{
	for (size_t i = 0; i < worker->conf->cluster_count; i++) {
		const struct pool_past *past = &worker->past[i];

		if (!past->stats.requests && !past->stats.opened)
			continue;
		struct live_pool *out = &view->pools[view->pool_count++];
		out->cluster = strdup(worker->conf->clusters[i].name);
		out->is_past = true;
		describe_stats(&past->stats, out);
		out->work = work_in(&past->stats, now_us);
		out->last = past->last;
		out->before = past->before;
	}
}

static void describe_pool(struct pool *pool, int64_t now_us, struct live_pool *out)
{
	out->cluster = strdup(pool->cluster->name);
	out->own_login = route_has_own_login(&pool->key);
	out->own_database = pool->key.kind == ROUTE_DATABASE;
	out->sessions = pool->client_count;
	out->waiting = pool->waiting;
	out->tenants = HASH_COUNT(pool->tenants);
	out->backends = pool->server_count;
	out->longest_wait_us = longest_wait(pool, now_us);
	describe_stats(&pool->stats, out);
	out->work = work_of(pool, now_us);
	out->last = pool->last;
	out->before = pool->before;
	list_each (node, next, &pool->servers) {
		const struct server *server = list_entry(node, struct server, node);

		out->idle += server->state == SERVER_IDLE;
		out->active += server->state == SERVER_LINKED;
		out->opening += server->state < SERVER_IDLE;
	}
}

void operate_end_period(struct worker *worker, int64_t now_us)
{
	for (struct pool *pool = worker->pools; pool; pool = pool->hh.next) {
		pool->before = pool->last;
		pool->last = work_of(pool, now_us);
	}
	for (size_t i = 0; i < worker->conf->cluster_count; i++) {
		worker->past[i].before = worker->past[i].last;
		worker->past[i].last = work_in(&worker->past[i].stats, now_us);
	}
}

static size_t count_backends(const struct worker *worker)
{
	size_t count = 0;

	for (const struct pool *pool = worker->pools; pool; pool = pool->hh.next)
		count += pool->server_count;
	return count;
}

static void describe_pools(const struct worker *worker, enum live_scope scope,
						   struct live_view *view)
{
	int64_t now_us = clock_monotonic_us();

	for (struct pool *pool = worker->pools; pool; pool = pool->hh.next) {
		describe_pool(pool, now_us, &view->pools[view->pool_count++]);
		if (scope == LIVE_COUNTS)
			continue;
		list_each (node, next, &pool->servers)
			describe_backend(list_entry(node, struct server, node), now_us,
							 &view->backends[view->backend_count++]);
	}
	describe_past(worker, now_us, view);
	for (const struct paused *paused = worker->paused; paused; paused = paused->hh.next)
		view->paused[view->paused_count++] = paused->id;
	view->all_paused = worker->all_paused;
	view->clients = worker->client_count;
	view->logging_in = worker->limits.logging_in;
	view->leaving = worker->leaving_count;
}

static struct live_view *begin_view(struct worker *worker, enum live_scope scope)
{
	size_t backends = scope != LIVE_COUNTS ? count_backends(worker) : 0;
	struct live_view *view =
		live_view_create(backends, HASH_COUNT(worker->pools) + worker->conf->cluster_count,
						 HASH_COUNT(worker->paused));

	if (!view)
		return NULL;
	if (scope >= LIVE_SESSIONS && !live_view_reserve(view, worker->client_count)) {
		live_view_free(view);
		return NULL;
	}
	describe_pools(worker, scope, view);
	list_append(&worker->looks, &view->walk);
	view->last_serial = worker->last_serial;
	const struct client *first = list_first(&worker->clients, struct client, node);
	view->next = first;
	return view;
}

/* The client where a look goes on is leaving. The list is in the order of serials, but while
 * another walk is under way its links are not to be followed: the place is found anew. */
void operate_client_gone(const struct client *client)
{
	list_each (node, next, &client->worker->looks) {
		struct live_view *view = list_entry(node, struct live_view, walk);

		if (view->next != client)
			continue;
		view->next = NULL;
		view->serial = client->serial;
	}
}

static const struct client *find_place(const struct worker *worker, uint64_t serial)
{
	list_each (node, next, &worker->clients) {
		const struct client *client = list_entry(node, struct client, node);

		if (client->serial > serial)
			return client;
	}
	return NULL;
}

/* True when there is nobody left to look at. */
static bool go_on(const struct worker *worker, enum live_scope scope, struct live_view *view)
{
	const struct client *client = view->next;
	int64_t now_us = clock_monotonic_us();

	if (!client)
		client = find_place(worker, view->serial);
	for (int i = 0; i < SLICE && client; i++) {
		/* Who has come since it began is not looked at. */
		if (client->serial > view->last_serial || view->session_count == view->session_max)
			return true;
		describe_session(client, scope, now_us, &view->sessions[view->session_count++]);
		const struct list *node = client->node.next;
		client = node == &worker->clients ? NULL : list_entry(node, struct client, node);
	}
	view->next = client;
	return !client;
}

static bool look(void *self, enum live_scope scope, struct live_view **view)
{
	struct worker *worker = self;

	if (!*view)
		*view = begin_view(worker, scope);
	if (!*view)
		return true;
	if (scope >= LIVE_SESSIONS && !go_on(worker, scope, *view))
		return false;
	list_remove(&(*view)->walk);
	return true;
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

	/* Whoever gives the order may be one of those on the console. */
	if (!concerns(kill->tenant, client->tenant) || client->state == CLIENT_LEAVING ||
		client->state == CLIENT_CONSOLE)
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
			server_give_up(server, "an operator asked for new connections");
			count++;
		}
		pool_close_given_up(pool);
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
