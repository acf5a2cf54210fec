#include "proxy/worker.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "policy/statement.h"
#include "proxy/changes.h"
#include "proxy/client.h"
#include "proxy/console.h"
#include "proxy/crew.h"
#include "proxy/drain.h"
#include "proxy/failover.h"
#include "proxy/farewell.h"
#include "proxy/listener.h"
#include "proxy/move.h"
#include "proxy/operate.h"
#include "proxy/pool.h"
#include "proxy/prepared.h"
#include "proxy/server.h"
#include "proxy/service.h"
#include "proxy/settings.h"
#include "proxy/timeouts.h"
#include "proxy/upstream.h"
#include "router/live.h"

/* ---- the loop ---- */

static void on_mailbox(evutil_socket_t fd, short what, void *arg)
{
	struct worker *worker = arg;

	(void)fd, (void)what;
	mailbox_drain(worker->mailbox);
}

static void on_reap(evutil_socket_t fd, short what, void *arg)
{
	struct worker *worker = arg;

	(void)fd, (void)what;
	list_each (node, next, &worker->dead_clients)
		client_free(list_entry(node, struct client, node));
	list_init(&worker->dead_clients);
	list_each (node, next, &worker->dead_servers)
		server_free(list_entry(node, struct server, node));
	list_init(&worker->dead_servers);
}

void worker_reap_later(struct worker *worker)
{
	event_active(&worker->reap, EV_TIMEOUT, 0);
}

static void on_feed(evutil_socket_t fd, short what, void *arg)
{
	struct worker *worker = arg;

	(void)fd, (void)what;
	for (size_t i = 0; i < worker->upstream_count && !worker->stopping; i++)
		upstream_feed(&worker->upstreams[i]);
	if (!worker->stopping)
		move_all(worker);
}

void worker_feed_later(struct worker *worker)
{
	event_active(&worker->feed, EV_TIMEOUT, 0);
}

/* What reading SQL costs: texts that were known, and the time that the others took. */
static void report_reading(struct worker *worker)
{
	struct verdict_cache_stats stats;
	char hits[24], misses[24], evictions[24], bytes[24], read_us[24];

	verdict_cache_get_stats(worker->verdicts, &stats);
	if (stats.hits + stats.misses == worker->texts_reported)
		return;
	worker->texts_reported = stats.hits + stats.misses;
	snprintf(hits, sizeof hits, "%" PRIu64, stats.hits);
	snprintf(misses, sizeof misses, "%" PRIu64, stats.misses);
	snprintf(evictions, sizeof evictions, "%" PRIu64, stats.evictions);
	snprintf(bytes, sizeof bytes, "%zu", stats.bytes);
	snprintf(read_us, sizeof read_us, "%" PRIu64, stats.read_ns / 1000);
	log_event(LOG_INFO, "texts.stats", "hits", hits, "misses", misses, "evictions", evictions,
			  "bytes", bytes, "read_us", read_us, NULL);
}

static void report(struct worker *worker, int64_t now_us)
{
	int64_t period_us = worker->conf->stats_period_ms * 1000;
	struct pool *pool, *next;

	if (!period_us || now_us - worker->reported_us < period_us)
		return;
	worker->reported_us = now_us;
	operate_end_period(worker, now_us);
	HASH_ITER (hh, worker->pools, pool, next)
		pool_report(pool);
	report_reading(worker);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct worker *worker = arg;
	int64_t now_us = clock_monotonic_us();
	uint64_t ticks;

	(void)what;
	if (read((int)fd, &ticks, sizeof ticks) < 0)
		return;
	atomic_store_explicit(&worker->beat_us, now_us, memory_order_relaxed);
	timeouts_tick(worker, now_us);
	changes_tick(worker, now_us);
	pool_expire(worker, now_us);
	failover_tick(worker);
	service_tick(worker);
	upstreams_tick(worker);
	list_each (node, next, &worker->restless)
		pool_tick(list_entry(node, struct pool, restless));
	cancel_tick(worker, now_us);
	farewell_tick(worker, now_us);
	console_tick(worker);
	penalty_tick(worker, now_us);
	listener_tick(worker);
	drain_tick(worker, now_us);
	report(worker, now_us);
}

static void on_closer(evutil_socket_t fd, short what, void *arg)
{
	uint64_t ticks;

	(void)what;
	if (read((int)fd, &ticks, sizeof ticks) > 0)
		timeouts_look_closer(arg, clock_monotonic_us());
}

#define STOP_WAIT_US 900000

/* ---- life ---- */

static void init_lists(struct worker *worker)
{
	struct list *lists[] = {
		&worker->restless,     &worker->lined,        &worker->asked,      &worker->idle,
		&worker->opened,       &worker->linked,       &worker->linked_end, &worker->listeners,
		&worker->cancels,      &worker->farewells,    &worker->clients,    &worker->logins,
		&worker->idle_clients, &worker->leaving,      &worker->waiting,    &worker->deadlines,
		&worker->dead_clients, &worker->dead_servers, &worker->resets,     &worker->capped,
		&worker->movers,       &worker->looks,        &worker->consoles,   &worker->questions,
		&worker->slowed};

	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
		list_init(lists[i]);
}

/*
 * The tick is a descriptor and not a timer of libevent's, and the base keeps no time and takes
 * no lock: with timers, every turn of the loop would ask the clock twice and reckon how long to
 * sleep.
 */
static bool start_tick(struct worker *worker)
{
	const struct timespec interval = {.tv_nsec = TICK_US * 1000L};
	const struct itimerspec tick = {interval, interval};

	worker->tick_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (worker->tick_fd < 0 || timerfd_settime(worker->tick_fd, 0, &tick, NULL) != 0)
		return false;
	worker->closer_fd = timeouts_open_closer();
	if (worker->closer_fd < 0)
		return false;
	event_assign(&worker->tick, worker->base, worker->tick_fd, EV_READ | EV_PERSIST, on_tick,
				 worker);
	event_assign(&worker->closer, worker->base, worker->closer_fd, EV_READ | EV_PERSIST,
				 on_closer, worker);
	return event_add(&worker->tick, NULL) == 0 && event_add(&worker->closer, NULL) == 0;
}

static struct event_base *create_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (config && event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK |
													EVENT_BASE_FLAG_NO_CACHE_TIME) == 0)
		base = event_base_new_with_config(config);
	if (config)
		event_config_free(config);
	return base;
}

static bool start_events(struct worker *worker)
{
	event_assign(&worker->mailbox_event, worker->base, mailbox_fd(worker->mailbox),
				 EV_READ | EV_PERSIST, on_mailbox, worker);
	event_assign(&worker->reap, worker->base, -1, 0, on_reap, worker);
	event_assign(&worker->feed, worker->base, -1, 0, on_feed, worker);
	drain_init(worker);
	return event_add(&worker->mailbox_event, NULL) == 0 && start_tick(worker);
}

struct worker *worker_create(const struct worker_setup *setup)
{
	struct worker *worker = calloc(1, sizeof *worker);

	if (!worker)
		return NULL;
	worker->conf = setup->conf;
	worker->keyring = setup->keyring;
	worker->tls = setup->tls;
	worker->directory = setup->directory;
	worker->live = setup->live;
	worker->sightings = setup->sightings;
	worker->crew = setup->crew;
	crew_join(worker->crew, worker);
	worker->addresses = setup->addresses;
	worker->address_count = setup->address_count;
	worker->activation = setup->activation;
	init_lists(worker);
	worker->tick_fd = worker->closer_fd = -1;
	worker->heeds_idle = worker->conf->client_idle_timeout_ms > 0;
	worker->base = create_base();
	worker->mailbox = mailbox_create();
	worker->scratch = malloc(WORKER_SCRATCH);
	worker->past = calloc(worker->conf->cluster_count + 1, sizeof *worker->past);
	worker->settings = settings_table_create();
	worker->prepared = prepared_table_create();
	worker->verdicts = verdict_cache_create((size_t)worker->conf->statement_cache_size);
	worker->unread = sql_read(NULL, SQL_TEXT_MAX + 1);
	worker->unreadable = sql_read("'", 1);
	worker->reported_us = clock_monotonic_us();
	atomic_init(&worker->beat_us, worker->reported_us);
	const struct live_ops ops = operate_ops(worker);
	bool ok = worker->base && worker->mailbox && worker->scratch && worker->past &&
			  worker->settings && worker->prepared && worker->verdicts && worker->unread &&
			  worker->unreadable && gatekeeper_take_settings(worker, worker->conf) &&
			  upstreams_create(worker) && start_events(worker) &&
			  guard_mock_secret(worker->keyring, worker->mock_secret) &&
			  directory_watch(worker->directory, worker->mailbox, changes_apply, worker) &&
			  live_join(worker->live, worker->mailbox, &ops);
	for (size_t i = 0; ok && worker->number == 0 && i < worker->conf->listen_count; i++)
		ok = listener_open(worker, &worker->conf->listens[i]);
	if (!ok) {
		worker_destroy(worker);
		return NULL;
	}
	return worker;
}

void worker_run(struct worker *worker)
{
	uint8_t first;

	/* OpenSSL makes a generator for each thread when it is first used: not when memory is out,
	 * in the middle of somebody's login. */
	secret_random(&first, sizeof first);
	event_base_dispatch(worker->base);
	/* In a drain others may go on for long: what they ask is answered by those who are left. */
	live_leave(worker->live, worker->mailbox);
	do
		mailbox_drain(worker->mailbox);
	while (!list_empty(&worker->looks));
}

static void destroy_pools(struct worker *worker)
{
	struct pool *pool, *next;

	HASH_ITER (hh, worker->pools, pool, next)
		pool_destroy(pool);
}

void worker_stop(struct worker *worker)
{
	if (worker->stopping)
		return;
	worker->stopping = true;
	listener_close_all(worker);
	list_each (node, next, &worker->clients)
		client_fatal(list_entry(node, struct client, node), REASON_SHUTDOWN, NULL);
	destroy_pools(worker);
	farewell_stop(worker);

	/*
	 * What the kernel has not taken of the last words by now is not waited for, but cancel
	 * requests are: their statements would go on, and be committed, after their clients were
	 * told that they ended.
	 */
	const struct timeval wait = {.tv_usec = STOP_WAIT_US};
	event_base_loopexit(worker->base, list_empty(&worker->cancels) ? NULL : &wait);
}

void worker_destroy(struct worker *worker)
{
	if (!worker)
		return;
	worker->stopping = true;
	listener_close_all(worker);
	list_each (node, next, &worker->clients)
		client_close(list_entry(node, struct client, node));
	destroy_pools(worker);
	operate_fini(worker);
	cancel_stop(worker);
	farewell_stop(worker);
	if (worker->mailbox) {
		directory_unwatch(worker->directory, worker->mailbox);
		live_leave(worker->live, worker->mailbox);
		mailbox_drain(worker->mailbox);
	}
	console_questions_free(worker);
	crew_leave(worker->crew, worker);
	on_reap(-1, 0, worker);
	if (worker->base) {
		event_del(&worker->mailbox_event);
		event_del(&worker->tick);
		event_del(&worker->closer);
		event_del(&worker->reap);
		event_del(&worker->feed);
		drain_fini(worker);
		event_base_free(worker->base);
	}
	if (worker->tick_fd >= 0)
		close(worker->tick_fd);
	if (worker->closer_fd >= 0)
		close(worker->closer_fd);
	mailbox_destroy(worker->mailbox);
	settings_table_destroy(worker->settings);
	prepared_table_destroy(worker->prepared);
	verdict_cache_destroy(worker->verdicts);
	verdict_unref(worker->unread);
	verdict_unref(worker->unreadable);
	gatekeeper_fini(&worker->gatekeeper);
	buf_fini(&worker->assembly);
	free(worker->scratch);
	free(worker->upstreams);
	free(worker->past);
	secret_wipe(worker->mock_secret, sizeof worker->mock_secret);
	free(worker);
}
