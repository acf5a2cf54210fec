#include "proxy/drain.h"

#include "base/clock.h"
#include "base/log.h"
#include "proxy/client.h"
#include "proxy/console.h"
#include "proxy/crew.h"
#include "proxy/listener.h"
#include "proxy/pins.h"
#include "proxy/server.h"
#include "proxy/worker.h"

/* How long a connection that has not said who it is may still do so: to be told 57P03 then. */
#define GREETING_US 1000000

/* How long those that another process is not to have may log in and say what they came for. */
#define LAST_LOGIN_US 1000000

bool drain_is_on(const struct worker *worker)
{
	return worker->drain.state == DRAIN_ON;
}

/* ---- who has nothing under way ---- */

static bool is_between(const struct client *client)
{
	const struct server *server = client->server;

	if (client->body_left || buf_len(&client->in))
		return false;
	switch (client->state) {
	case CLIENT_IDLE:
		return !client->held_count && client->bound == NOT_BEGIN &&
			   client->skip == SKIP_NOTHING && !buf_len(&client->reply);
	case CLIENT_LINKED:
		return server->state == SERVER_LINKED && server_is_settled(server) &&
			   !pins_are_in_doubt(&client->pins);
	case CLIENT_CONSOLE:
		return console_is_between(client);
	case CLIENT_STARTUP:
	case CLIENT_PRINCIPAL:
	case CLIENT_AUTH:
	case CLIENT_SLOWED:
	case CLIENT_TENANT:
	case CLIENT_WELCOME:
	case CLIENT_WAITING:
	case CLIENT_LEAVING:
	case CLIENT_CLOSED:
		break;
	}
	return false;
}

/*
 * A statement that has arrived is not thrown away, but served first. One whose bytes never end
 * has had its chance when half of the time is over: it ends between two statements.
 */
static bool is_ripe(const struct client *client)
{
	const struct drain *drain = &client->worker->drain;

	if (!is_between(client))
		return false;
	return !stream_has_bytes(&client->stream) ||
		   clock_monotonic_us() - drain->asked_us > drain->timeout_us / 2;
}

static size_t end_ripe(struct worker *worker)
{
	struct client *client;
	size_t ended = 0;

	while ((client = list_first(&worker->drain.parting, struct client, queue)) != NULL) {
		list_remove(&client->queue);
		if (!is_ripe(client))
			continue;
		client_fatal(client, REASON_DRAINED, NULL);
		ended++;
	}
	return ended;
}

static void on_ripe(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	end_ripe(arg);
}

void drain_look_later(struct client *client)
{
	struct drain *drain = &client->worker->drain;

	list_remove(&client->queue);
	list_append(&drain->parting, &client->queue);
	event_active(&drain->ripe, EV_TIMEOUT, 0);
}

/* ---- the course of it ---- */

static void look_at_all(struct worker *worker)
{
	list_each (node, next, &worker->clients) {
		struct client *client = list_entry(node, struct client, node);

		if (is_between(client))
			drain_look_later(client);
	}
}

static bool is_logging_in(const struct client *client)
{
	return client->state == CLIENT_PRINCIPAL || client->state == CLIENT_AUTH ||
		   client->state == CLIENT_SLOWED || client->state == CLIENT_TENANT ||
		   client->state == CLIENT_WELCOME;
}

static void refuse_login(struct client *client, void *also_greeting)
{
	if (is_logging_in(client) || (also_greeting && client->state == CLIENT_STARTUP))
		client_fatal(client, REASON_DRAINING, NULL);
}

static void refuse_logins(struct worker *worker, bool also_greeting)
{
	client_each(&worker->logins, offsetof(struct client, queue), refuse_login,
				also_greeting ? worker : NULL);
}

static void close_listeners(struct worker *worker)
{
	listener_accept_rest(worker);
	listener_close_all(worker);
}

static size_t count_sessions(const struct worker *worker)
{
	size_t count = 0;

	list_each (node, next, &worker->clients) {
		const struct client *client = list_entry(node, struct client, node);

		count += !client->logging_in && client->state != CLIENT_LEAVING;
	}
	return count;
}

static void start(struct worker *worker, int64_t now_us)
{
	struct drain *drain = &worker->drain;

	drain->state = DRAIN_ON;
	drain->closed_us = now_us;
	worker->heeds_idle = true;
	close_listeners(worker);
	refuse_logins(worker, false);
	drain->sessions = count_sessions(worker);
	look_at_all(worker);
	drain->idle = end_ripe(worker);
}

/* Nothing told the loop of what became idle in another way: a batch that was skipped, say. */
static void go_on(struct worker *worker, int64_t now_us)
{
	struct drain *drain = &worker->drain;

	if (drain->closed_us && now_us - drain->closed_us >= GREETING_US) {
		refuse_logins(worker, true);
		drain->closed_us = 0;
	}
	bool closed = atomic_load(&worker->crew->closed);
	if (closed)
		mailbox_drain(worker->mailbox); /* with those that were accepted last */
	if (worker->client_count)
		look_at_all(worker);
	else if (closed && !drain->done) {
		drain->done = true;
		atomic_fetch_add(&worker->crew->drained, 1);
	}
	if (atomic_load(&worker->crew->drained) == worker->crew->count)
		worker_stop(worker);
}

void drain_tick(struct worker *worker, int64_t now_us)
{
	struct drain *drain = &worker->drain;

	if (drain->state == DRAIN_OFF || worker->stopping)
		return;
	if (now_us - drain->asked_us >= drain->timeout_us) {
		log_event(LOG_WARNING, "drain.timeout", NULL);
		worker_stop(worker);
		return;
	}
	if (drain->state == DRAIN_ON)
		go_on(worker, now_us);
	else if (now_us - drain->asked_us >= drain->delay_us)
		start(worker, now_us);
	else if (drain->retire_us && now_us - drain->asked_us >= drain->retire_us)
		close_listeners(worker);
}

void drain_add_outcome(const struct worker *worker, struct drain_outcome *sum)
{
	const struct drain *drain = &worker->drain;
	size_t told = (size_t)worker->counters.ended[REASON_DRAINED];
	size_t cut = (size_t)worker->counters.ended[REASON_SHUTDOWN];

	/* Broken off during the delay: nobody was counted. */
	sum->sessions += drain->state == DRAIN_ON ? drain->sessions : cut;
	sum->idle += drain->idle;
	sum->finished += told - drain->idle;
	sum->cut += cut;
}

static void deliver(struct letter *letter)
{
	struct drain *drain = list_entry(letter, struct drain, letter);
	struct worker *worker = list_entry(drain, struct worker, drain);
	int64_t now_us = clock_monotonic_us();

	if (worker->stopping)
		return;
	drain->state = DRAIN_DELAY;
	drain->asked_us = now_us;
	drain->retire_us = listener_retire(worker);
	if (drain->retire_us && drain->delay_us < drain->retire_us + LAST_LOGIN_US)
		drain->delay_us = drain->retire_us + LAST_LOGIN_US;
	drain_tick(worker, now_us);
}

void drain_begin(struct worker *worker, int64_t delay_ms, int64_t timeout_ms)
{
	struct drain *drain = &worker->drain;

	drain->letter.deliver = deliver;
	drain->delay_us = delay_ms * 1000;
	drain->timeout_us = timeout_ms * 1000;
	mailbox_post(worker->mailbox, &drain->letter);
}

void drain_init(struct worker *worker)
{
	list_init(&worker->drain.parting);
	event_assign(&worker->drain.ripe, worker->base, -1, 0, on_ripe, worker);
}

void drain_fini(struct worker *worker)
{
	event_del(&worker->drain.ripe);
}
