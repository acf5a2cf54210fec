#include "proxy/timeouts.h"

#include <stddef.h>
#include <sys/timerfd.h>

#include "conf/conf.h"
#include "proxy/client.h"
#include "proxy/gatekeeper.h"
#include "proxy/limits.h"
#include "proxy/server.h"
#include "proxy/worker.h"

#define LINGER_US 2000000 /* how long a client that was told to go may take to read it */
#define CANCEL_US 5000000 /* how long a cancelled statement may take to end */

/* ---- lists in the order of their deadlines ---- */

/*
 * All limits of one kind are equal, so each list is in order of its deadlines. The first is
 * taken again and again, since ending one client can change the list behind a saved next
 * pointer.
 */
static struct client *first_over(struct list *list, int64_t now_us, int64_t limit_us)
{
	struct client *client = list_first(list, struct client, queue);

	return limit_us > 0 && client && now_us - client->queue_since_us >= limit_us ? client
																				 : NULL;
}

static void expire_logins(struct worker *worker, int64_t now_us)
{
	struct client *client;

	while ((client = first_over(&worker->logins, now_us,
								worker->conf->client_login_timeout_ms * 1000)) != NULL)
		client_fatal(client, REASON_LOGIN_TIMEOUT, NULL);
}

static void expire_leaving(struct worker *worker, int64_t now_us)
{
	struct client *client;

	while ((client = first_over(&worker->leaving, now_us, LINGER_US)) != NULL)
		client_close(client);
}

static void expire_idle(struct worker *worker, int64_t now_us)
{
	struct client *client;

	while ((client = first_over(&worker->idle_clients, now_us,
								worker->conf->client_idle_timeout_ms * 1000)) != NULL)
		client_fatal(client, REASON_IDLE_TIMEOUT, NULL);
}

static void expire_wait(struct client *client, void *now_us)
{
	int64_t limit_us = limits_stricter(client->worker->conf->query_wait_timeout_ms,
									   client->tenant->limits.query_wait_timeout_ms) *
					   1000;

	if (limit_us && *(int64_t *)now_us - client->waiting_since_us >= limit_us)
		local_give_up(client, REASON_WAIT_TIMEOUT);
}

static void expire_waiting(struct worker *worker, int64_t now_us)
{
	int64_t limit_us = worker->conf->query_wait_timeout_ms * 1000;
	struct client *client;

	if (worker->limits.waits_differ) {
		client_each(&worker->waiting, offsetof(struct client, wait_node), expire_wait, &now_us);
		return;
	}

	while (limit_us > 0 &&
		   (client = list_first(&worker->waiting, struct client, wait_node)) != NULL &&
		   now_us - client->waiting_since_us >= limit_us)
		local_give_up(client, REASON_WAIT_TIMEOUT);
}

static const char too_slow[] = "it took longer than server_connect_timeout";

static void expire_servers(struct worker *worker, int64_t now_us)
{
	int64_t limit_us = worker->conf->server_connect_timeout_ms * 1000;
	struct server *server;

	while ((server = list_first(&worker->deadlines, struct server, deadline_node)) != NULL &&
		   now_us - server->deadline_since_us >= limit_us) {
		if (!backend_try_on(server, too_slow))
			server_close(server, too_slow);
	}
}

/* ---- linked backends ---- */

/* What is said of statements that are cancelled. */
static const char *const limit_names[REASON_COUNT] = {
	[REASON_QUERY_TIMEOUT] = "query_timeout",
	[REASON_STATEMENT_TIMEOUT] = "proxy.statement_timeout",
};

/* A client that keeps its backend for no reason yet has sent only a part of its next message:
 * it holds the backend as one does that is silent in a transaction. */
static enum watch_phase phase_of(const struct server *server)
{
	if (!replies_is_empty(&server->replies))
		return WATCH_QUERY;
	if (server->status != 'I' || !client_is_pinned(server->client))
		return WATCH_IDLE_TRANSACTION;
	return WATCH_NOTHING;
}

/* Brings the watch up to date with what the backend does now, and for whom. */
static void look(struct server *server, int64_t now_us)
{
	struct server_watch *watch = &server->watch;
	enum watch_phase phase = phase_of(server);
	bool is_new = watch->client_pid != server->client->pid;

	if (is_new)
		watch->blamed = false;
	if (is_new || watch->idle_readies != server->idle_readies || watch->phase == WATCH_NOTHING)
		watch->transaction_since_us = now_us;
	if (is_new || watch->phase != phase || watch->readies != server->readies) {
		watch->phase_since_us = now_us;
		watch->cancelled = false;
	}
	/* Where the account is lost, it is never known that nothing is asked. */
	bool is_asked = server->replies.count > 0 || server->replies.lost;
	if (is_new || watch->is_asked != is_asked || watch->answers != server->replies.first ||
		watch->readies != server->readies) {
		watch->answer_since_us = now_us;
		watch->statement_cancelled = false;
	}
	watch->is_asked = is_asked;
	watch->answers = server->replies.first;
	watch->client_pid = server->client->pid;
	watch->phase = phase;
	watch->readies = server->readies;
	watch->idle_readies = server->idle_readies;
}

static bool is_over(int64_t since_us, int64_t now_us, int64_t limit_ms)
{
	return limit_ms > 0 && now_us - since_us >= limit_ms * 1000;
}

/* The statement is cancelled; one that does not end by that takes its session along. */
static void expire_statement(struct server *server, bool *cancelled, enum reason reason,
							 int64_t since_us, int64_t now_us, int64_t limit_ms)
{
	struct server_watch *watch = &server->watch;

	if (!is_over(since_us, now_us, limit_ms))
		return;
	if (!*cancelled) {
		*cancelled = watch->blamed = true;
		watch->blame = reason;
		gatekeeper_note_cancelled(server->client, reason, limit_names[reason]);
		if (!server->hold) /* else another cancel is on its way to it */
			cancel_backend(server);
	} else if (is_over(since_us, now_us, limit_ms + CANCEL_US / 1000)) {
		client_fatal(server->client, reason, NULL);
	}
}

/* A query, or a batch up to its Sync, may last so long; the tenant's own limit is for each
 * statement in it, as far as answers tell them apart. */
static void check_query(struct server *server, int64_t now_us)
{
	const struct client *client = server->client;
	struct server_watch *watch = &server->watch;

	expire_statement(server, &watch->cancelled, REASON_QUERY_TIMEOUT, watch->phase_since_us,
					 now_us, server->worker->conf->query_timeout_ms);
	if (server->client == client && watch->is_asked)
		expire_statement(server, &watch->statement_cancelled, REASON_STATEMENT_TIMEOUT,
						 watch->answer_since_us, now_us,
						 client->tenant->limits.statement_timeout_ms);
}

/* The client keeps the backend waiting, in a transaction or in a batch without its Sync. */
static void check_silence(struct server *server, int64_t since_us, int64_t now_us)
{
	if (is_over(since_us, now_us,
				server->client->tenant->limits.idle_in_transaction_timeout_ms))
		client_fatal(server->client, REASON_TENANT_IDLE_TRANSACTION, NULL);
}

/* ---- looks between ticks ---- */

#define CLOSER_FOR_US   1000000
#define CLOSER_BELOW_MS 1000 /* a limit of which a tick is a large part */

int timeouts_open_closer(void)
{
	return timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
}

static void set_closer(struct worker *worker, long period_us)
{
	const struct timespec interval = {.tv_nsec = period_us * 1000};
	const struct itimerspec looks = {interval, interval};

	timerfd_settime(worker->closer_fd, 0, &looks, NULL);
}

/* A statement with this limit runs. */
static void want_closer(struct worker *worker, int64_t limit_ms, int64_t now_us)
{
	if (!limit_ms || limit_ms >= CLOSER_BELOW_MS)
		return;
	if (!worker->closer_until_us)
		set_closer(worker, CLOSER_US);
	worker->closer_until_us = now_us + CLOSER_FOR_US;
}

static void check_linked(struct server *server, int64_t now_us)
{
	const struct conf *conf = server->worker->conf;
	const struct server_watch *watch = &server->watch;
	const struct client *client = server->client;

	look(server, now_us);
	switch (watch->phase) {
	case WATCH_NOTHING:
		if (is_over(watch->phase_since_us, now_us, conf->client_idle_timeout_ms))
			client_fatal(server->client, REASON_IDLE_TIMEOUT, NULL);
		return;
	case WATCH_QUERY:
		want_closer(server->worker, client->tenant->limits.statement_timeout_ms, now_us);
		check_query(server, now_us);
		if (server->client == client && !watch->is_asked)
			check_silence(server, watch->answer_since_us, now_us);
		break;
	case WATCH_IDLE_TRANSACTION:
		if (is_over(watch->phase_since_us, now_us, conf->idle_transaction_timeout_ms))
			client_fatal(server->client, REASON_IDLE_TRANSACTION, NULL);
		else
			check_silence(server, watch->phase_since_us, now_us);
		break;
	}
	/* One that was ended above may have made room for the next already. */
	if (server->client == client &&
		is_over(watch->transaction_since_us, now_us, conf->transaction_timeout_ms))
		client_fatal(server->client, REASON_TRANSACTION_TIMEOUT, NULL);
}

/*
 * Ending one client can link others to backends, which are appended: each backend that was
 * linked when the walk began is looked at once, by moving it behind the end first.
 */
static void check_all_linked(struct worker *worker, int64_t now_us)
{
	struct list *end = &worker->linked_end;

	list_append(&worker->linked, end);
	while (worker->linked.next != end) {
		struct server *server = list_first(&worker->linked, struct server, linked_node);

		list_remove(&server->linked_node);
		list_append(&worker->linked, &server->linked_node);
		check_linked(server, now_us);
	}
	list_remove(end);
}

void timeouts_look_closer(struct worker *worker, int64_t now_us)
{
	if (now_us < worker->closer_until_us) {
		check_all_linked(worker, now_us);
		return;
	}
	worker->closer_until_us = 0;
	set_closer(worker, 0);
}

void timeouts_tick(struct worker *worker, int64_t now_us)
{
	expire_logins(worker, now_us);
	expire_leaving(worker, now_us);
	expire_idle(worker, now_us);
	expire_waiting(worker, now_us);
	expire_servers(worker, now_us);
	check_all_linked(worker, now_us);
}

void timeouts_begin_idle(struct worker *worker, int64_t now_us)
{
	list_each (node, next, &worker->clients) {
		struct client *client = list_entry(node, struct client, node);

		if (client->state != CLIENT_IDLE || !list_empty(&client->queue))
			continue;
		client->queue_since_us = now_us;
		list_append(&worker->idle_clients, &client->queue);
	}
}
