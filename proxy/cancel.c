/*
 * Cancel requests.
 *
 * Clients hold keys of Bulkhead's own: 31 random bits of pid and at least 32 of secret. A
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
#include "proxy/pool.h"
#include "proxy/server.h"
#include "proxy/wire.h"
#include "proxy/worker.h"

#define CANCEL_CODE 80877102u

struct cancel {
	struct list node;
	struct worker *worker;
	struct server *server; /* NULL once it is closed */
	struct stream stream;  /* to the server */
	int requester; /* the client's connection, kept open until the request is done, or -1 */
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
	if (cancel->requester >= 0)
		close(cancel->requester);
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

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct cancel *cancel = arg;
	uint8_t ignored[64];

	(void)fd, (void)what;
	if (stream_read(&cancel->stream, ignored, sizeof ignored) < 0)
		finish(cancel);
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
static bool start(struct server *server, int requester)
{
	const struct worker_endpoint *endpoint =
		&server->pool->address->endpoints[server->endpoint];
	struct cancel *cancel = calloc(1, sizeof *cancel);
	int fd = -1;

	if (cancel && server->cancel_key_len && append_packet(server, &cancel->packet))
		fd = socket(endpoint->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
		(connect(fd, (const struct sockaddr *)&endpoint->address, endpoint->len) != 0 &&
		 errno != EINPROGRESS)) {
		if (fd >= 0)
			close(fd);
		if (cancel)
			buf_wipe(&cancel->packet);
		free(cancel);
		if (requester >= 0)
			close(requester);
		return false;
	}
	cancel->worker = server->worker;
	cancel->server = server;
	cancel->requester = requester;
	cancel->since_us = clock_monotonic_us();
	list_append(&server->worker->cancels, &cancel->node);
	server->cancels++;
	server->worker->counters.cancels++;
	stream_await(&cancel->stream, server->worker->base, fd, on_connected, cancel);
	return true;
}

void cancel_backend(struct server *server)
{
	if (start(server, -1))
		server->hold = true;
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

void cancel_request(struct worker *worker, int fd, uint32_t pid, const uint8_t *key,
					size_t key_len)
{
	struct client *client = find_client(worker, pid, key, key_len);

	if (client && client->state == CLIENT_WAITING && !client->server) {
		local_give_up(client, REASON_CANCELLED);
	} else if (client && client->state == CLIENT_WAITING &&
			   client->server->state == SERVER_PREPARING) {
		client->is_cancelled = true; /* handover.c sees to it */
	} else if (client && client->state == CLIENT_LINKED && !client->server->cancels &&
			   !replies_is_empty(&client->server->replies)) {
		start(client->server, fd);
		return;
	}
	if (client && client->state == CLIENT_CONSOLE)
		console_cancel(client);
	close(fd);
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
