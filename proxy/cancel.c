/*
 * Cancel requests.
 *
 * Clients hold keys of Bulkhead's own: 31 random bits of pid and at least 32 of secret. Where
 * there are several workers, the rest of dividing the pid by their number is the client's
 * worker's: a request that reaches another is posted to that one, which compares the key. A
 * request that fits a client whose backend is at work is passed on with that backend's own key,
 * over a connection made for it (PostgreSQL documentation, "Canceling Requests in Progress").
 * The server closes that connection when it has signalled the backend; until then the backend
 * is held back from other clients, and afterwards it is discarded and entered anew before
 * anyone uses it, so that a signal that comes late hits nobody.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "conf/conf.h"
#include "proxy/client.h"
#include "proxy/console.h"
#include "proxy/crew.h"
#include "proxy/pool.h"
#include "proxy/server.h"
#include "proxy/wire.h"
#include "proxy/worker.h"

#define CANCEL_CODE 80877102u

struct cancel {
	struct list node;
	struct worker *worker;
	struct server *server;        /* NULL once it is closed */
	struct stream stream;         /* to the server */
	bool asks_for_tls;            /* SSLRequest was sent and is not answered */
	struct ssl_st *ssl;           /* for then: the server may be closed by that time */
	struct stream_held requester; /* the client's, kept open until the request is done */
	int64_t since_us;
	struct buf packet;
};

static void finish(struct cancel *cancel)
{
	struct server *server = cancel->server;

	list_remove(&cancel->node);
	if (cancel->worker->stopping && list_empty(&cancel->worker->cancels))
		event_base_loopexit(cancel->worker->base, NULL);
	stream_close(&cancel->stream);
	buf_wipe(&cancel->packet);
	stream_held_close(&cancel->requester);
	stream_held_close(&(struct stream_held){-1, cancel->ssl});
	free(cancel);
	if (!server)
		return;
	server->cancels--;
	/* Behind a client that keeps it all is discarded anyway, and before that nothing may be. */
	if (!server->client || !client_is_pinned(server->client))
		server->needs_discard = true;
	if (server->cancels)
		return;
	server->hold = false;
	if (server->state == SERVER_HELD)
		pool_server_ready(server);
	else if (server->state == SERVER_LINKED)
		relay_settle(server); /* what was not asked while it was under way */
	if (server->state == SERVER_LINKED)
		client_resume(server->client);
}

/* The session is encrypted, and so is what ends its statement: where the server will not have
 * that any more, nothing is sent. */
static void start_tls(struct cancel *cancel, const uint8_t *answer, size_t len)
{
	struct ssl_st *ssl = NULL;

	cancel->asks_for_tls = false;
	if (len == 1 && *answer == 'S') {
		ssl = cancel->ssl;
		cancel->ssl = NULL;
	}
	if (ssl && stream_start_tls(&cancel->stream, ssl, NULL, 0))
		stream_write(&cancel->stream, buf_data(&cancel->packet), buf_len(&cancel->packet));
	else
		finish(cancel);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct cancel *cancel = arg;
	uint8_t bytes[64];

	(void)fd, (void)what;
	ssize_t n = stream_read(&cancel->stream, bytes, sizeof bytes);
	if (n < 0)
		finish(cancel);
	else if (n > 0 && cancel->asks_for_tls)
		start_tls(cancel, bytes, (size_t)n);
}

static void on_drained(void *arg)
{
	(void)arg;
}

static void on_connected(evutil_socket_t fd, short what, void *arg)
{
	struct cancel *cancel = arg;
	int error = 0;
	socklen_t len = sizeof error;

	(void)what;
	if (getsockopt((int)fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error) {
		finish(cancel);
		return;
	}
	stream_open(&cancel->stream, cancel->worker->base, (int)fd, on_readable, on_drained,
				cancel);
	if (cancel->asks_for_tls)
		stream_write(&cancel->stream, wire_ssl_request, sizeof wire_ssl_request);
	else
		stream_write(&cancel->stream, buf_data(&cancel->packet), buf_len(&cancel->packet));
}

static bool append_packet(const struct server *server, struct buf *out)
{
	size_t mark;

	return wire_begin(out, 0, &mark) && buf_append_u32(out, CANCEL_CODE) &&
		   buf_append_u32(out, server->pid) &&
		   buf_append(out, server->cancel_key, server->cancel_key_len) && wire_end(out, mark);
}

/* Starts a request; takes `requester` over. False when none could be made. */
static bool start(struct server *server, struct stream_held requester)
{
	const struct endpoint *endpoint = &server->endpoint;
	struct cancel *cancel = calloc(1, sizeof *cancel);
	int fd = -1;

	if (cancel && server->stream.ssl)
		cancel->ssl = server_make_tls(server);
	if (cancel && server->cancel_key_len && !server->stream.ssl == !cancel->ssl &&
		append_packet(server, &cancel->packet))
		fd = socket(endpoint->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
		(connect(fd, (const struct sockaddr *)&endpoint->address, endpoint->len) != 0 &&
		 errno != EINPROGRESS)) {
		if (fd >= 0)
			close(fd);
		if (cancel) {
			buf_wipe(&cancel->packet);
			stream_held_close(&(struct stream_held){-1, cancel->ssl});
		}
		free(cancel);
		stream_held_close(&requester);
		return false;
	}
	cancel->worker = server->worker;
	cancel->server = server;
	cancel->requester = requester;
	cancel->asks_for_tls = server->stream.ssl != NULL;
	cancel->since_us = clock_monotonic_us();
	list_append(&server->worker->cancels, &cancel->node);
	server->cancels++;
	server->worker->counters.cancels++;
	stream_await(&cancel->stream, server->worker->base, fd, on_connected, cancel);
	return true;
}

static struct client *find_client(struct worker *worker, uint32_t pid, const uint8_t *key,
								  size_t key_len)
{
	struct client *client;

	HASH_FIND(hh, worker->by_pid, &pid, sizeof pid, client);
	if (!client || key_len != client->secret_len || !secret_equal(client->secret, key, key_len))
		return NULL;
	return client;
}

/* What comes behind the statement must not be hit. */
bool cancel_backend(struct server *server)
{
	bool is_sent = start(server, (struct stream_held){.fd = -1});

	server->hold = server->hold || is_sent;
	return is_sent;
}

/* Takes `from` over, which may be none. Was there something that it concerns? */
static bool cancel_client(struct client *client, struct stream_held from)
{
	bool is_concerned = true;

	if (client->state == CLIENT_WAITING && !client->server) {
		local_give_up(client, REASON_CANCELLED);
	} else if (client->state == CLIENT_WAITING && client->server->state == SERVER_PREPARING) {
		client->is_cancelled = true; /* handover.c sees to it */
	} else if (client->state == CLIENT_LINKED && !client->server->cancels &&
			   !replies_is_empty(&client->server->replies)) {
		return from.fd < 0 ? cancel_backend(client->server) : start(client->server, from);
	} else if (client->state == CLIENT_CONSOLE) {
		console_cancel(client);
	} else {
		is_concerned = false;
	}
	stream_held_close(&from);
	return is_concerned;
}

bool cancel_statement(struct client *client)
{
	return cancel_client(client, (struct stream_held){.fd = -1});
}

static void serve(struct worker *worker, struct stream_held from, uint32_t pid,
				  const uint8_t *key, size_t key_len)
{
	struct client *client = find_client(worker, pid, key, key_len);

	if (client)
		cancel_client(client, from);
	else
		stream_held_close(&from);
}

struct cancel_letter {
	struct letter letter;
	struct worker *worker; /* the client's */
	struct stream_held from;
	uint32_t pid;
	size_t key_len;
	uint8_t key[CLIENT_SECRET_MAX];
};

static void deliver(struct letter *letter)
{
	struct cancel_letter *request = (struct cancel_letter *)(void *)letter;

	if (request->worker->stopping)
		stream_held_close(&request->from);
	else
		serve(request->worker, request->from, request->pid, request->key, request->key_len);
	secret_wipe(request->key, sizeof request->key);
	free(request);
}

/* To the worker that the pid leads to. False when it cannot be brought there. */
static bool forward(struct crew *crew, size_t number, const struct cancel_letter *request)
{
	struct cancel_letter *letter = malloc(sizeof *letter);

	if (!letter)
		return false;
	*letter = *request;
	letter->worker = crew->members[number].worker;
	if (crew_post(crew, number, &letter->letter))
		return true;
	free(letter);
	return false;
}

void cancel_request(struct worker *worker, struct stream_held from, uint32_t pid,
					const uint8_t *key, size_t key_len)
{
	struct cancel_letter request = {
		.letter.deliver = deliver, .from = from, .pid = pid, .key_len = key_len};
	size_t number = pid % worker->crew->count;

	if (number == worker->number) {
		serve(worker, from, pid, key, key_len);
		return;
	}
	if (key_len <= sizeof request.key)
		memcpy(request.key, key, key_len);
	if (key_len > sizeof request.key || !forward(worker->crew, number, &request))
		stream_held_close(&from);
	secret_wipe(request.key, sizeof request.key);
}

void cancel_forget(struct server *server)
{
	list_each (node, next, &server->worker->cancels) {
		struct cancel *cancel = list_entry(node, struct cancel, node);

		if (cancel->server == server)
			cancel->server = NULL;
	}
}

void cancel_tick(struct worker *worker, int64_t now_us)
{
	int64_t limit = worker->conf->server_connect_timeout_ms * 1000;
	struct cancel *cancel;

	while ((cancel = list_first(&worker->cancels, struct cancel, node)) != NULL &&
		   now_us - cancel->since_us >= limit) {
		/* Nobody can say whether it will still arrive: the backend is not worth the doubt. */
		if (cancel->server)
			server_close(cancel->server, "a cancel request was not answered in time");
		finish(cancel);
	}
}

void cancel_stop(struct worker *worker)
{
	struct cancel *cancel;

	while ((cancel = list_first(&worker->cancels, struct cancel, node)) != NULL) {
		cancel->server = NULL;
		finish(cancel);
	}
}
