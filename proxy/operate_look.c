/* What a worker is doing, as others are shown it. */
#include "proxy/operate.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "proxy/client.h"
#include "proxy/console.h"
#include "proxy/measure.h"
#include "proxy/pool.h"
#include "proxy/server.h"
#include "proxy/settings.h"
#include "proxy/tls.h"
#include "proxy/worker.h"
#include "router/live.h"

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

/* What a filter looks at; it borrows. */
static struct live_session essence_of(const struct client *client)
{
	return (struct live_session){
		.pid = client->pid,
		.tenant = client->tenant,
		.principal = client->principal,
		.state = operate_session_state(client),
		.pin = client_is_pinned(client) ? pin_name(client->pins.held) : "",
	};
}

static void describe_session(const struct client *client, enum live_scope scope, int64_t now_us,
							 struct live_session *out)
{
	const char *name = client->settings ? client->settings->application_name
										: console_application_name(client);

	*out = essence_of(client);
	if (out->tenant)
		tenant_ref(out->tenant);
	if (out->principal)
		principal_ref(out->principal);
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
	out->opened_us = server->opened_us;
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

static void describe_backends(const struct pool *pool, const struct live_filter *filter,
							  struct live_view *view)
{
	int64_t now_us = clock_monotonic_us();

	list_each (node, next, &pool->servers) {
		const struct server *server = list_entry(node, struct server, node);

		if (!filter || live_target_fits(&filter->whom, server->tenant, filter->whom.pid))
			describe_backend(server, now_us, &view->backends[view->backend_count++]);
	}
}

static void describe_pools(const struct worker *worker, enum live_scope scope,
						   const struct live_filter *filter, struct live_view *view)
{
	int64_t now_us = clock_monotonic_us();

	for (struct pool *pool = worker->pools; pool; pool = pool->hh.next) {
		describe_pool(pool, now_us, &view->pools[view->pool_count++]);
		if (scope != LIVE_COUNTS)
			describe_backends(pool, filter, view);
	}
	describe_past(worker, now_us, view);
	for (const struct paused *paused = worker->paused; paused; paused = paused->hh.next)
		view->paused[view->paused_count++] = (struct live_pause){paused->id, paused->below};
	view->all_paused = worker->all_paused;
	view->clients = worker->client_count;
	view->logging_in = worker->limits.logging_in;
	view->leaving = worker->leaving_count;
}

/* How many sessions it may come to. */
static size_t sessions_max(const struct worker *worker, const struct live_filter *filter)
{
	return filter && filter->max < worker->client_count ? filter->max : worker->client_count;
}

static struct live_view *begin_view(struct worker *worker, enum live_scope scope,
									const struct live_filter *filter)
{
	size_t backends = scope != LIVE_COUNTS ? count_backends(worker) : 0;
	struct live_view *view =
		live_view_create(backends, HASH_COUNT(worker->pools) + worker->conf->cluster_count,
						 HASH_COUNT(worker->paused));

	if (!view)
		return NULL;
	if (scope >= LIVE_SESSIONS && !live_view_reserve(view, sessions_max(worker, filter))) {
		live_view_free(view);
		return NULL;
	}
	describe_pools(worker, scope, filter, view);
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

/* Where it goes into the view, if it does; counts it. */
static struct live_session *place_of(const struct client *client,
									 const struct live_filter *filter, struct live_view *view)
{
	if (!filter)
		return view->session_count < view->session_max ? &view->sessions[view->session_count++]
													   : NULL;
	const struct live_session session = essence_of(client);
	if (!live_filter_fits(filter, &session))
		return NULL;
	view->fitting[session.state]++;
	view->fitting_pinned += client_is_pinned(client);
	return client->pid > filter->after ? live_view_place(view, client->pid) : NULL;
}

/* True when there is nobody left to look at. */
static bool go_on(const struct worker *worker, enum live_scope scope,
				  const struct live_filter *filter, struct live_view *view)
{
	const struct client *client = view->next;
	int64_t now_us = clock_monotonic_us();

	if (!client)
		client = find_place(worker, view->serial);
	for (int i = 0; i < SLICE && client; i++) {
		/* Who has come since it began is not looked at. */
		if (client->serial > view->last_serial)
			return true;
		struct live_session *session = place_of(client, filter, view);
		if (session)
			describe_session(client, scope, now_us, session);
		const struct list *node = client->node.next;
		client = node == &worker->clients ? NULL : list_entry(node, struct client, node);
	}
	view->next = client;
	return !client;
}

bool operate_look(void *self, enum live_scope scope, const struct live_filter *filter,
				  struct live_view **view)
{
	struct worker *worker = self;

	if (!*view)
		*view = begin_view(worker, scope, filter);
	if (!*view)
		return true;
	if (scope >= LIVE_SESSIONS && !go_on(worker, scope, filter, *view))
		return false;
	if (filter)
		live_view_sort(*view);
	list_remove(&(*view)->walk);
	return true;
}
