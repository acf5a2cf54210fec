#include "proxy/client.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/secret.h"
#include "proxy/client_log.h"
#include "proxy/console.h"
#include "proxy/crew.h"
#include "proxy/drain.h"
#include "proxy/limits.h"
#include "proxy/measure.h"
#include "proxy/names.h"
#include "proxy/operate.h"
#include "proxy/pins.h"
#include "proxy/pool.h"
#include "proxy/queue.h"
#include "proxy/seen.h"
#include "proxy/server.h"
#include "proxy/settings.h"
#include "proxy/wire.h"
#include "proxy/worker.h"

/* ---- bytes in ---- */

/* Passes bytes to whatever the state calls for, until they are used up or the state wants no
 * more. */
static size_t consume(struct client *client, const uint8_t *data, size_t len)
{
	size_t used = 0;

	while (used < len) {
		enum client_state before = client->state;
		size_t n = 0;

		switch (client->state) {
		case CLIENT_STARTUP:
		case CLIENT_AUTH:
			n = login_consume(client, data + used, len - used);
			break;
		case CLIENT_IDLE:
			n = local_consume(client, data + used, len - used);
			break;
		case CLIENT_LINKED:
			n = relay_from_client(client, data + used, len - used);
			break;
		case CLIENT_CONSOLE:
			n = console_consume(client, data + used, len - used);
			break;
		case CLIENT_PRINCIPAL:
		case CLIENT_SLOWED:
		case CLIENT_TENANT:
		case CLIENT_WELCOME:
		case CLIENT_WAITING:
			return used;
		case CLIENT_LEAVING:
		case CLIENT_CLOSED:
			return len;
		}
		used += n;
		if (n == 0 && client->state == before)
			break;
	}
	return used;
}

static bool may_read(const struct client *client)
{
	switch (client->state) {
	case CLIENT_STARTUP:
	case CLIENT_AUTH:
	case CLIENT_IDLE:
		return !stream_is_full(&client->stream);
	case CLIENT_LINKED:
		return !client->stalled && client->barrier != BARRIER_ANSWER && !client->server->hold &&
			   !stream_is_full(&client->server->stream) && !stream_is_full(&client->stream);
	case CLIENT_CONSOLE:
		return console_may_read(client);
	case CLIENT_LEAVING:
		return true;
	case CLIENT_PRINCIPAL:
	case CLIENT_SLOWED:
	case CLIENT_TENANT:
	case CLIENT_WELCOME:
	case CLIENT_WAITING:
	case CLIENT_CLOSED:
		break;
	}
	return false;
}

/*
 * Reading is switched on as soon as it is allowed, and off only when bytes come that it is too
 * early for: most clients send nothing while they wait, and two system calls are saved.
 */
static void adjust_reading(struct client *client)
{
	if (may_read(client))
		stream_read_on(&client->stream);
}

bool client_is_gone(const struct client *client)
{
	return client->state == CLIENT_WAITING && !client->server &&
		   stream_has_ended(&client->stream);
}

/* ---- collecting ---- */

/* Bytes that all clients of a worker together may have in texts that are not complete yet;
 * beyond it a long text passes unread. */
#define GATHERED_MAX ((size_t)256 << 20)

bool client_may_gather(struct client *client, uint64_t total)
{
	struct worker *worker = client->worker;

	if (total <= WORKER_READ_SIZE || total <= client->gathering)
		return true;
	uint64_t more = total - client->gathering;
	if (total > SQL_TEXT_MAX + WORKER_READ_SIZE || worker->gathered + more > GATHERED_MAX)
		return false;
	client->gathering += (size_t)more;
	worker->gathered += (size_t)more;
	return true;
}

static void gathered(struct client *client)
{
	client->worker->gathered -= client->gathering;
	client->gathering = 0;
}

/* Keeps what was not used of bytes that lie in the worker's scratch. */
static void keep_rest(struct client *client, const uint8_t *rest, size_t len)
{
	struct buf kept;

	buf_init(&kept);
	if (len && !buf_append(&kept, rest, len)) {
		client_close(client);
		return;
	}
	buf_fini(&client->in);
	client->in = kept;
}

/* Uses bytes that were kept, `in`, which is taken over. */
static void use_kept(struct client *client, struct buf *in)
{
	size_t used = consume(client, buf_data(in), buf_len(in));

	buf_consume(in, used);
	if (client->state == CLIENT_CLOSED || client->state == CLIENT_LEAVING) {
		buf_fini(in);
		return;
	}
	if (!buf_len(in))
		gathered(client);
	buf_fini(&client->in);
	client->in = *in;
}

/* Bytes were kept: more is added to them. Nearly always they are the first part of a message.
 */
static void read_behind(struct client *client)
{
	if (buf_len(&client->in) > SQL_TEXT_MAX + (size_t)2 * WORKER_READ_SIZE) {
		client_violation(client, "incomplete message");
		return;
	}
	if (!buf_reserve(&client->in, WORKER_READ_SIZE)) {
		client_close(client);
		return;
	}
	ssize_t n =
		stream_read(&client->stream, client->in.memory + client->in.end, WORKER_READ_SIZE);
	if (n < 0)
		login_tls_failed(client);
	if (n <= 0)
		return;
	client->in.end += (size_t)n;

	/* Taken out of the client: what runs below may put new bytes there. */
	struct buf in = client->in;
	buf_init(&client->in);
	use_kept(client, &in);
}

static void read_fresh(struct client *client)
{
	uint8_t *scratch = client->worker->scratch;
	ssize_t n = stream_read(&client->stream, scratch, WORKER_READ_SIZE);

	if (n < 0)
		login_tls_failed(client);
	if (n <= 0)
		return;
	size_t used = consume(client, scratch, (size_t)n);
	if (client->state == CLIENT_CLOSED)
		return;
	if (used < (size_t)n)
		keep_rest(client, scratch + used, (size_t)n - used);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct client *client = arg;

	(void)fd, (void)what;
	if (client->state == CLIENT_CLOSED)
		return;
	if (!client->stream.broken && !may_read(client)) {
		if (client_is_gone(client))
			client_close(client);
		else
			stream_read_off(&client->stream);
		return;
	}
	if (buf_len(&client->in))
		read_behind(client);
	else
		read_fresh(client);
	if (client->state != CLIENT_CLOSED)
		adjust_reading(client);
}

/* The same with a look at the clock: measure.h. */
static void on_readable_measured(evutil_socket_t fd, short what, void *arg)
{
	on_readable(fd, what, arg);
	measure_asked(arg);
}

void client_resume(struct client *client)
{
	if (client->state == CLIENT_CLOSED)
		return;
	client->stalled = false;
	if (buf_len(&client->in)) {
		/* Taken out of the client: what runs below may put new bytes there. */
		struct buf in = client->in;

		buf_init(&client->in);
		use_kept(client, &in);
	}
	if (client->state != CLIENT_CLOSED)
		adjust_reading(client);
}

/* ---- bytes out ---- */

static void on_drained(void *arg)
{
	struct client *client = arg;

	if (client->state == CLIENT_LEAVING) {
		stream_end(&client->stream);
		return;
	}
	if (client->state == CLIENT_LINKED)
		stream_read_on(&client->server->stream);
	if (client->state == CLIENT_CONSOLE)
		console_drained(client);
	client_resume(client);
}

void client_send(struct client *client, const void *data, size_t len)
{
	if (client->state != CLIENT_CLOSED)
		stream_write(&client->stream, data, len);
}

void client_send_buf(struct client *client, struct buf *buf)
{
	if (buf_len(buf))
		client_send(client, buf_data(buf), buf_len(buf));
	buf_fini(buf);
}

/* ---- life ---- */

/* A pid that leads back to this worker: see cancel.c. */
static uint32_t draw_pid(const struct worker *worker)
{
	const uint32_t workers = (uint32_t)worker->crew->count;
	uint32_t pid;

	do {
		secret_random(&pid, sizeof pid);
		pid &= 0x7fffffff;
		pid -= pid % workers;
	} while (pid > 0x7fffffff - workers);
	return pid + (uint32_t)worker->number;
}

/* Draws a cancel key that no other client has. */
static void draw_cancel_key(struct client *client)
{
	struct client *other;

	secret_random(client->secret, sizeof client->secret);
	client->secret_len = CLIENT_SECRET_3_0;
	do {
		client->pid = draw_pid(client->worker);
		HASH_FIND(hh, client->worker->by_pid, &client->pid, sizeof client->pid, other);
	} while (other || !client->pid);
	HASH_ADD(hh, client->worker->by_pid, pid, sizeof client->pid, client);
}

struct client *client_create(struct worker *worker, const struct conf_listen *listen, int fd,
							 bool is_unix)
{
	struct client *client = calloc(1, sizeof *client);

	if (!client) {
		close(fd);
		crew_departed(worker->crew, worker);
		return NULL;
	}
	client->worker = worker;
	client->listen = listen;
	client->is_local = is_unix;
	client->trusted = is_unix && listen->auth == AUTH_TRUST;
	client->state = CLIENT_STARTUP;
	list_init(&client->wait_node);
	list_init(&client->tenant_node);
	list_init(&client->in_tenant);
	list_init(&client->in_principal);
	draw_cancel_key(client);
	if (!client->hh.tbl) {
		free(client);
		close(fd);
		crew_departed(worker->crew, worker);
		return NULL;
	}
	if (!is_unix)
		stream_set_tcp_options(fd, worker->conf);
	list_append(&worker->clients, &client->node);
	list_append(&worker->logins, &client->queue);
	client->since_us = client->queue_since_us = clock_monotonic_us();
	client->serial = ++worker->last_serial;
	worker->client_count++;
	worker->counters.clients++;
	stream_open(&client->stream, worker->base, fd,
				conf_has_metrics(worker->conf) ? on_readable_measured : on_readable, on_drained,
				client);
	limits_connected(client);
	return client;
}

/*
 * Parts from the backend. One that is settled goes back to the pool, cleaned first when this
 * client kept it; any other is closed, and asked to stop what nobody waits for any more.
 */
static void leave_server(struct client *client)
{
	struct server *server = client->server;

	if (!server)
		return;
	bool settled = server->state == SERVER_LINKED && client->body_left == 0 &&
				   !client->is_amid_walk && server_is_settled(server);
	bool busy = server->state == SERVER_LINKED && !replies_is_empty(&server->replies);

	if (settled && !client_is_pinned(client) && !pins_are_in_doubt(&client->pins) &&
		!server->seal_lost) {
		server_unlink(server);
		server_give_back(server);
		return;
	}
	server_unlink(server);
	if (settled) {
		handover_clean(server);
		return;
	}
	if (busy)
		cancel_backend(server);
	server_close(server, "its client left in the middle of a transaction");
}

static void leave_pool(struct client *client)
{
	if (!client->pool)
		return;
	pool_tenant_drop(client->pool_tenant);
	pool_drop(client->pool);
	client->pool_tenant = NULL;
	client->statements.of_tenant = NULL;
	client->pool = NULL;
}

/* Ends everything but the socket. */
static void depart(struct client *client)
{
	if (client->admitted && !client->logging_in)
		client_log_disconnected(client);
	list_remove(&client->queue);
	queue_leave(client);
	login_free(client);
	console_leave(client);
	leave_server(client);
	pins_fini(client);
	limits_departed(client);
	local_clear_held(client);
	names_forget_all(client);
	leave_pool(client);
	buf_fini(&client->reply);
}

void client_close(struct client *client)
{
	if (client->state == CLIENT_CLOSED)
		return;
	if (client->state == CLIENT_LEAVING)
		client->worker->leaving_count--;
	else
		depart(client);
	client->state = CLIENT_CLOSED;
	measure_client_gone(client);
	stream_close(&client->stream);
	operate_client_gone(client);
	list_remove(&client->queue);
	list_remove(&client->node);
	HASH_DEL(client->worker->by_pid, client);
	client->worker->client_count--;
	crew_departed(client->worker->crew, client->worker);
	buf_fini(&client->in);
	gathered(client);
	list_append(&client->worker->dead_clients, &client->node);
	worker_reap_later(client->worker);
}

void client_each(struct list *list, size_t offset, void (*visit)(struct client *, void *),
				 void *arg)
{
	struct list aside;

	list_init(&aside);
	while (!list_empty(list)) {
		struct list *node = list->next;

		list_remove(node);
		list_append(&aside, node);
		visit((struct client *)(void *)((char *)node - offset), arg);
	}
	/* Back in their order. */
	while (!list_empty(&aside)) {
		struct list *node = aside.next;

		list_remove(node);
		list_append(list, node);
	}
}

void client_free(struct client *client)
{
	console_free(client);
	principal_unref(client->principal);
	tenant_unref(client->tenant);
	verdict_unref(client->unnamed_judged);
	settings_unref(client->settings);
	settings_unref(client->startup_settings);
	settings_unref(client->given_settings);
	secret_wipe(client->secret, sizeof client->secret);
	free(client);
}

/* Those who take their time to read their last message are as few as those who log in; each
 * worker has its share of them. */
static void linger(struct client *client)
{
	struct worker *worker = client->worker;
	size_t workers = worker->crew->count;
	size_t most = ((size_t)worker->conf->max_login_conn + workers - 1) / workers;

	struct client *oldest = list_first(&worker->leaving, struct client, queue);

	if (oldest && !worker->stopping && !drain_is_on(worker) && worker->leaving_count >= most)
		client_close(oldest);
	client->queue_since_us = clock_monotonic_us();
	list_append(&worker->leaving, &client->queue);
	worker->leaving_count++;
}

/* Would further bytes be taken for the rest of a message of the server's that is passing
 * through? */
static bool is_amid_message(const struct client *client)
{
	return client->server && client->server->body_left > 0 && !client->server->body_is_ours;
}

/*
 * Sends the last message and lets the client read it: the socket is shut for writing and
 * drained for a while, since closing it with unread bytes in it would reset the connection and
 * lose the message.
 */
static void send_off(struct client *client, struct buf *last)
{
	enum client_state before = client->state;

	if (before == CLIENT_LEAVING || before == CLIENT_CLOSED) {
		buf_fini(last);
		return;
	}
	/* In the middle of a handshake there is nobody to be told. */
	if (is_amid_message(client) || (client->stream.ssl && !stream_is_secure(&client->stream)))
		buf_fini(last);
	depart(client);
	client->state = CLIENT_LEAVING;
	buf_fini(&client->in);
	linger(client);
	client_send_buf(client, last);
	if (!stream_is_full(&client->stream))
		stream_end(&client->stream);
	stream_read_on(&client->stream);
}

void client_fatal(struct client *client, enum reason reason, const char *detail)
{
	struct buf last;

	if (client->state == CLIENT_LEAVING || client->state == CLIENT_CLOSED)
		return;
	if (client->logging_in) {
		client->worker->counters.refused[reason]++;
		seen_refused(client, reason);
	} else
		client->worker->counters.ended[reason]++;
	client_log_ended(client, reason_code(reason), reason_sqlstate(reason), detail);
	buf_init(&last);
	wire_error(&last, "FATAL", reason, detail);
	send_off(client, &last);
}

void client_fatal_text(struct client *client, const char *sqlstate, const char *message,
					   const char *detail)
{
	struct buf last;

	client_log_ended(client, NULL, sqlstate, NULL);
	buf_init(&last);
	wire_error_text(&last, "FATAL", sqlstate, message, detail);
	send_off(client, &last);
}

void client_fatal_told(struct client *client)
{
	struct buf nothing;

	buf_init(&nothing);
	send_off(client, &nothing);
}

static void heed(struct client *client)
{
	if (drain_is_on(client->worker)) {
		drain_look_later(client);
		return;
	}
	client->queue_since_us = clock_monotonic_us();
	list_append(&client->worker->idle_clients, &client->queue);
}

void client_is_idle(struct client *client)
{
	client->state = CLIENT_IDLE;
	client->attempts = 0;
	list_remove(&client->queue);
	if (client->worker->heeds_idle)
		heed(client);
}

void client_violation(struct client *client, const char *what)
{
	client_fatal(client, REASON_PROTOCOL, what);
}
