#include "proxy/measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "conf/conf.h"
#include "proxy/client.h"
#include "proxy/hosts.h"
#include "proxy/limits.h"
#include "proxy/operate.h"
#include "proxy/pins.h"
#include "proxy/pool.h"
#include "proxy/prepared.h"
#include "proxy/queue.h"
#include "proxy/server.h"
#include "proxy/worker.h"
#include "router/measures.h"

/* ---- how long statements take ---- */

void measure_asked(struct client *client)
{
	struct server *server = client->server;

	if (client->state == CLIENT_LINKED && !server->asked_us &&
		!replies_is_empty(&server->replies))
		server->asked_us = clock_monotonic_us();
}

void measure_answered(struct server *server, uint32_t readies)
{
	bool is_over = server->readies != readies;

	if (server->state == SERVER_CLOSED || (!is_over && server->asked_us))
		return;
	bool is_asked = server->state == SERVER_LINKED && !replies_is_empty(&server->replies);
	if (!is_over && !is_asked)
		return;
	int64_t now_us = clock_monotonic_us();

	if (is_over && server->asked_us)
		histogram_record(&server->pool->stats.query, now_us - server->asked_us);
	/* What is under way now was sent behind, or is the next client's. */
	server->asked_us = is_asked ? now_us : 0;
}

/* ---- sums ---- */

void measure_server(struct server *server)
{
	struct pool_stats *stats = &server->pool->stats;

	/* Differences of 32 bits: the counters may wrap. */
	stats->queries += (uint32_t)(server->readies - server->counted_readies);
	stats->transactions += (uint32_t)(server->idle_readies - server->counted_idle_readies);
	server->counted_readies = server->readies;
	server->counted_idle_readies = server->idle_readies;
}

void measure_client_gone(struct client *client)
{
	struct worker_counters *counters = &client->worker->counters;

	counters->client_received += client->stream.received;
	counters->client_sent += client->stream.sent;
}

void measure_server_gone(struct server *server)
{
	struct worker_counters *counters = &server->worker->counters;

	measure_server(server);
	counters->server_received += server->stream.received;
	counters->server_sent += server->stream.sent;
}

static void add_work(struct live_work *to, const struct live_work *more)
{
	to->transactions += more->transactions;
	to->queries += more->queries;
	to->requests += more->requests;
	to->waited_us += more->waited_us;
	if (more->at_us > to->at_us)
		to->at_us = more->at_us;
}

void measure_pool_gone(struct pool *pool)
{
	struct pool_past *past = &pool->worker->past[pool->key.cluster];
	struct pool_stats *to = &past->stats;
	const struct pool_stats *more = &pool->stats;

	histogram_add(&to->wait, &more->wait);
	histogram_add(&to->handover, &more->handover);
	histogram_add(&to->query, &more->query);
	to->requests += more->requests;
	to->handovers += more->handovers;
	to->handover_failures += more->handover_failures;
	to->opened += more->opened;
	to->closed += more->closed;
	to->queries += more->queries;
	to->transactions += more->transactions;
	add_work(&past->last, &pool->last);
	add_work(&past->before, &pool->before);
}

/* ---- what is now ---- */

static void add_pin(struct measures *out, const char *cause)
{
	size_t at = 0;

	while (at < out->pin_count && out->pins[at].cause != cause)
		at++;
	if (at == MEASURES_PINS)
		return;
	if (at == out->pin_count)
		out->pins[out->pin_count++].cause = cause;
	out->pins[at].sessions++;
}

static void add_client(const struct client *client, int64_t now_us, struct measures *out)
{
	enum session_state state = operate_session_state(client);

	out->client_received += client->stream.received;
	out->client_sent += client->stream.sent;
	out->logging_in += state == SESSION_LOGIN;
	out->leaving += state == SESSION_LEAVING;
	out->consoles += state == SESSION_CONSOLE;
	if (client_is_pinned(client))
		add_pin(out, pin_name(client->pins.held));
	if (!client->pool || state == SESSION_LOGIN)
		return;
	struct pool_measures *pool = &out->pools[client->pool->place];
	pool->sessions[state]++;
	if (client->state == CLIENT_WAITING && !client->server &&
		now_us - client->waiting_since_us > pool->longest_wait_us)
		pool->longest_wait_us = now_us - client->waiting_since_us;
}

static void copy_stats(const struct pool_stats *stats, struct pool_measures *out)
{
	out->requests = stats->requests;
	out->handovers = stats->handovers;
	out->handover_failures = stats->handover_failures;
	out->opened = stats->opened;
	out->closed = stats->closed;
	out->queries = stats->queries;
	out->transactions = stats->transactions;
	out->wait = stats->wait;
	out->handover = stats->handover;
	out->query = stats->query;
}

static void add_past(const struct worker *worker, struct measures *out)
{
	for (size_t i = 0; i < worker->conf->cluster_count; i++) {
		const struct pool_stats *stats = &worker->past[i].stats;

		if (!stats->requests && !stats->opened)
			continue;
		struct pool_measures *measures = &out->pools[out->pool_count++];
		measures->cluster = strdup(worker->conf->clusters[i].name);
		copy_stats(stats, measures);
	}
}

static void add_pool(struct pool *pool, struct measures *out)
{
	struct pool_measures *measures = &out->pools[out->pool_count];

	pool->place = out->pool_count++;
	list_each (node, next, &pool->servers) {
		struct server *server = list_entry(node, struct server, node);

		measure_server(server);
		measures->backends[operate_backend_state(server)]++;
		out->server_received += server->stream.received;
		out->server_sent += server->stream.sent;
	}
	measures->cluster = strdup(pool->cluster->name);
	measures->size_max = (size_t)pool->worker->conf->default_pool_size;
	copy_stats(&pool->stats, measures);
}

/* ---- tenants ---- */

static int larger_first(const void *a, const void *b)
{
	const struct tally *const *left = a, *const *right = b;

	return ((*left)->count < (*right)->count) - ((*left)->count > (*right)->count);
}

static void describe_tenant(const struct worker *worker, const struct tally *tally,
							struct tenant_measures *out)
{
	const struct client *client = list_first(&tally->members, struct client, in_tenant);

	memcpy(&out->id, tally->hh.key, sizeof out->id);
	out->sessions = tally->count;
	out->slug = client ? strdup(client->tenant->slug) : NULL;
	for (const struct pool *pool = worker->pools; pool; pool = pool->hh.next) {
		const struct pool_tenant *part;

		HASH_FIND(hh, pool->tenants, &out->id, sizeof out->id, part);
		if (part) {
			out->waiting += part->waiting_count;
			out->backends += part->busy;
		}
	}
}

/* All of them, the largest first: which are shown is found out when all workers' are together.
 */
static void add_tenants(struct worker *worker, struct measures *out)
{
	size_t count = HASH_COUNT(worker->limits.tenants), at = 0;
	struct tally **tallies = calloc(count + 1, sizeof *tallies);

	if (!tallies)
		return;
	for (struct tally *tally = worker->limits.tenants; tally; tally = tally->hh.next)
		tallies[at++] = tally;
	qsort(tallies, count, sizeof *tallies, larger_first);
	for (at = 0; at < count; at++)
		describe_tenant(worker, tallies[at], &out->tenants[out->tenant_count++]);
	free(tallies);
}

/* ---- hosts ---- */

static void add_hosts(const struct worker *worker, struct measures *out)
{
	size_t count = 0;

	for (size_t i = 0; i < worker->address_count; i++)
		count += worker->addresses[i].hosts->names.count;
	out->hosts = calloc(count + 1, sizeof *out->hosts);
	for (size_t i = 0; out->hosts && i < worker->address_count; i++) {
		struct hosts *hosts = worker->addresses[i].hosts;

		for (size_t j = 0; j < hosts->names.count; j++) {
			struct host_measures *measures = &out->hosts[out->host_count++];
			struct host_report report;

			hosts_report(hosts, j, &report);
			measures->cluster = strdup(worker->conf->clusters[i].name);
			measures->host = hosts->names.list[j].name;
			snprintf(measures->port, sizeof measures->port, "%d", hosts->names.list[j].port);
			measures->is_down = report.is_down;
			measures->is_in_use = report.is_in_use;
		}
	}
}

/* ---- all of it ---- */

static void add_counters(const struct worker *worker, struct measures *out)
{
	const struct worker_counters *counters = &worker->counters;
	struct verdict_cache_stats verdicts;

	out->connections = counters->clients;
	out->logins = counters->logins;
	out->tls_failures = counters->tls_failures;
	out->reseals = counters->reseals;
	out->contexts_lost = counters->contexts_lost;
	out->cancels = counters->cancels;
	out->client_received = counters->client_received;
	out->client_sent = counters->client_sent;
	out->server_received = counters->server_received;
	out->server_sent = counters->server_sent;
	memcpy(out->refused, counters->refused, sizeof out->refused);
	memcpy(out->statements_refused, counters->statements_refused,
		   sizeof out->statements_refused);
	memcpy(out->statements_cancelled, counters->statements_cancelled,
		   sizeof out->statements_cancelled);
	memcpy(out->statements_observed, counters->statements_observed,
		   sizeof out->statements_observed);
	memcpy(out->ended, counters->ended, sizeof out->ended);
	verdict_cache_get_stats(worker->verdicts, &verdicts);
	out->verdict_hits = verdicts.hits;
	out->verdict_misses = verdicts.misses;
	out->verdict_bytes = verdicts.bytes;
	out->verdict_entries = verdicts.count;
	out->statements = prepared_table_count(worker->prepared);
	out->gathered = worker->gathered;
	list_each (node, next, &worker->cancels)
		out->cancels_open++;
}

struct measures *measure_worker(void *self)
{
	struct worker *worker = self;
	bool wants_tenants = worker->conf->metrics_tenants > 0;
	struct measures *out =
		measures_create(HASH_COUNT(worker->pools) + worker->conf->cluster_count,
						wants_tenants ? HASH_COUNT(worker->limits.tenants) : 0);
	int64_t now_us = clock_monotonic_us();

	if (!out)
		return NULL;
	add_counters(worker, out);
	for (struct pool *pool = worker->pools; pool; pool = pool->hh.next)
		add_pool(pool, out);
	add_past(worker, out);
	list_each (node, next, &worker->clients)
		add_client(list_entry(node, struct client, node), now_us, out);
	if (wants_tenants)
		add_tenants(worker, out);
	if (worker->number == 0)
		add_hosts(worker, out);
	return out;
}
