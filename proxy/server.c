#include "proxy/server.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "proxy/client.h"
#include "proxy/failover.h"
#include "proxy/farewell.h"
#include "proxy/measure.h"
#include "proxy/names.h"
#include "proxy/pool.h"
#include "proxy/settings.h"
#include "proxy/upstream.h"
#include "proxy/wire.h"
#include "proxy/worker.h"

/* ---- bytes in ---- */

static void on_end(struct server *server)
{
	const char *why = errno ? strerror(errno) : "the server closed the connection";
	char text[256];

	if (stream_tls_failure(&server->stream, text, sizeof text))
		why = text;
	if (server->state == SERVER_LOGIN && backend_lost(server, why))
		return;
	if (server_try_next_host(server, why))
		return;
	server->stream.broken = true; /* nothing is left to part from */
	server_close(server, why);
}

static size_t consume(struct server *server, const uint8_t *data, size_t len)
{
	size_t used = 0;

	while (used < len) {
		enum server_state before = server->state;
		size_t n = 0;

		switch (server->state) {
		case SERVER_CONNECTING:
			return used;
		case SERVER_LOGIN:
		case SERVER_CHECK:
			n = backend_consume(server, data + used, len - used);
			break;
		case SERVER_PREPARING:
		case SERVER_CLEANING:
		case SERVER_IDLE:
		case SERVER_HELD:
			n = handover_consume(server, data + used, len - used);
			break;
		case SERVER_LINKED:
			n = relay_from_server(server, data + used, len - used);
			break;
		case SERVER_CLOSED:
			return len;
		}
		used += n;
		if (n == 0 && server->state == before)
			break;
	}
	return used;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;
	uint8_t *scratch = server->worker->scratch;
	size_t held = buf_len(&server->carry);

	(void)fd, (void)what;
	if (server->state == SERVER_CLOSED)
		return;
	ssize_t n = stream_read(&server->stream, scratch + held, WORKER_READ_SIZE);
	if (n == 0)
		return;
	if (n < 0) {
		on_end(server);
		return;
	}
	if (held)
		memcpy(scratch, buf_data(&server->carry), held);

	size_t len = held + (size_t)n;
	size_t used = consume(server, scratch, len);
	if (server->state == SERVER_CLOSED)
		return;
	buf_fini(&server->carry);
	if (used < len && (len - used > WIRE_INSPECT_MAX ||
					   !buf_append(&server->carry, scratch + used, len - used))) {
		server_close(server, "a message that is too long to be looked at");
		return;
	}
	/* Only now is it known that nothing is left unread. */
	if (server->state == SERVER_LINKED)
		relay_settle(server);
	if (server->state == SERVER_LINKED)
		relay_go_on(server);
}

/* The same with a look at the clock: measure.h. */
static void on_readable_measured(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;
	uint32_t readies = server->readies;

	on_readable(fd, what, arg);
	measure_answered(server, readies);
}

static event_callback_fn reader(const struct server *server)
{
	return conf_has_metrics(server->worker->conf) ? on_readable_measured : on_readable;
}

size_t server_next_message(struct server *server, const uint8_t *data, size_t len,
						   struct server_message *message)
{
	if (len < WIRE_HEADER)
		return 0;
	uint64_t total = 1 + (uint64_t)wire_u32(data + 1);
	if (total < WIRE_HEADER || total > WIRE_INSPECT_MAX) {
		server_close(server, "message length out of range");
		return 0;
	}
	if (len < total)
		return 0;
	message->type = (char)data[0];
	message->body = data + WIRE_HEADER;
	message->len = (size_t)total - WIRE_HEADER;
	return (size_t)total;
}

bool server_note_parameter(struct server *server, const uint8_t *body, size_t len,
						   const char **name, const char **value)
{
	size_t at = 0;

	*name = wire_cstr(body, len, &at);
	*value = *name ? wire_cstr(body, len, &at) : NULL;
	if (!*value || at != len || !params_set(&server->params, *name, *value))
		return false;
	failover_note_parameter(server, *name);
	return true;
}

/* ---- bytes out ---- */

static void on_drained(void *arg)
{
	struct server *server = arg;

	if (server->state == SERVER_LINKED)
		client_resume(server->client);
}

void server_send(struct server *server, const void *data, size_t len)
{
	if (server->state != SERVER_CLOSED)
		stream_write(&server->stream, data, len);
}

/* ---- life ---- */

static int start_connecting(const struct conf *conf, const struct endpoint *endpoint)
{
	int family = endpoint->address.ss_family;
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (family != AF_UNIX)
		stream_set_tcp_options(fd, conf);
	if (connect(fd, (const struct sockaddr *)&endpoint->address, endpoint->len) != 0 &&
		errno != EINPROGRESS) {
		int error = errno;

		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

static void on_connected(evutil_socket_t fd, short what, void *arg);

/* Begins to connect to its endpoint; false with errno. */
static bool connect_there(struct server *server)
{
	int fd = start_connecting(server->worker->conf, &server->endpoint);

	if (fd >= 0)
		stream_await(&server->stream, server->worker->base, fd, on_connected, server);
	return fd >= 0;
}

/* Begins to connect to the first of the remaining endpoints that does not fail at once. False
 * when there is none. */
static bool connect_somewhere(struct server *server)
{
	const struct endpoint *endpoint;

	while ((endpoint = host_walk_at(server->walk)) != NULL) {
		server->endpoint = *endpoint;
		server->wants_tls = server_wants_tls(server);
		server->tried_other = server->tried_again = false;
		if (connect_there(server))
			return true;
		host_walk_failed(server->walk, strerror(errno));
	}
	return false;
}

/* The connection stands or has failed; getsockopt tells which. */
static void on_connected(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;
	int error = 0;
	socklen_t len = sizeof error;

	(void)what;
	if (server->state != SERVER_CONNECTING)
		return;
	if (getsockopt((int)fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		error = errno;
	if (error) {
		if (!server_try_next_host(server, strerror(error)))
			server_close(server, strerror(error));
		return;
	}
	stream_open(&server->stream, server->worker->base, (int)fd, reader(server), on_drained,
				server);
	backend_connected(server);
}

/* Nothing of what one server has said is left for the next. */
static void forget_connection(struct server *server)
{
	stream_close(&server->stream);
	backend_login_free(server);
	buf_wipe(&server->carry);
	params_fini(&server->params);
	params_init(&server->params);
	server->pid = 0;
	server->cancel_key_len = 0;
	server->status = 0;
	server->state = SERVER_CONNECTING;
}

void server_connect_again(struct server *server)
{
	forget_connection(server);
	if (!connect_there(server) && !server_try_next_host(server, strerror(errno)))
		server_close(server, strerror(errno));
}

static bool go_on(struct server *server)
{
	if (!host_walk_at(server->walk))
		return false;
	forget_connection(server);
	server->passwords = 0;
	server_hurry(server);
	return connect_somewhere(server);
}

bool server_try_next_host(struct server *server, const char *why)
{
	if (!server->walk || server->worker->stopping)
		return false;
	host_walk_failed(server->walk, why);
	return go_on(server);
}

bool server_is_wanted(struct server *server)
{
	static const uint8_t terminate[] = {'X', 0, 0, 0, 4};
	const char *why = host_walk_judge(server->walk, &server->params);

	if (!why)
		return true;
	host_walk_unfit(server->walk, why);
	stream_write(&server->stream, terminate, sizeof terminate);
	if (!go_on(server))
		server_close(server, why);
	return false;
}

struct server *server_open(struct pool *pool, char *why, size_t size)
{
	struct server *server = calloc(1, sizeof *server);

	snprintf(why, size, "out of memory");
	if (!server)
		return NULL;
	server->pool = pool;
	server->worker = pool->worker;
	server->state = SERVER_CONNECTING;
	server->opened_us = clock_monotonic_us();
	server->walk = host_walk_begin(pool->address->hosts, pool->cluster->target);
	if (!server->walk || !connect_somewhere(server)) {
		if (server->walk)
			snprintf(why, size, "%s", host_walk_give_up(server->walk));
		host_walk_end(server->walk);
		free(server);
		return NULL;
	}
	replies_init(&server->replies, names_noted, server);
	backend_statements_init(&server->statements);
	list_init(&server->idle_node);
	list_init(&server->tenant_node);
	list_init(&server->deadline_node);
	list_init(&server->age_node);
	list_init(&server->linked_node);
	list_append(&pool->worker->opened, &server->opened_node);
	list_append(&pool->servers, &server->node);
	server->opening = true;
	pool->server_count++;
	pool->opening++;
	server_hurry(server);
	return server;
}

void server_hurry(struct server *server)
{
	list_remove(&server->deadline_node);
	server->deadline_since_us = clock_monotonic_us();
	list_append(&server->worker->deadlines, &server->deadline_node);
}

void server_on_time(struct server *server)
{
	list_remove(&server->deadline_node);
}

bool server_is_settled(const struct server *server)
{
	return server->status == 'I' && !server->body_left && !buf_len(&server->carry) &&
		   replies_is_empty(&server->replies);
}

bool server_is_sealed_to(const struct server *server, const struct tenant *tenant)
{
	if (!pool_is_sealed(server->pool))
		return !server->needs_discard;
	if (!server->tenant || server->needs_discard || server->seal_lost)
		return false;
	return server->tenant == tenant || (uuid_equal(&server->tenant->id, &tenant->id) &&
										strcmp(server->tenant->seal, tenant->seal) == 0);
}

bool server_is_last_of(const struct server *server, const struct client *client)
{
	return server->last_client == client->pid && client->last_backend == server->pid;
}

void server_link(struct server *server, struct client *client)
{
	server->client = client;
	client->server = server;
	client->came_back = server_is_last_of(server, client);
	client->has_run = false;
}

void server_unlink(struct server *server)
{
	struct client *client = server->client;

	if (!client)
		return;
	list_remove(&server->linked_node);
	stream_read_on(&server->stream); /* a client that did not read may have stopped it */
	pool_tenant_give(client->pool_tenant);
	server->last_client = client->pid;
	client->last_backend = server->pid;
	client->server = NULL;
	server->client = NULL;
}

void server_set_tenant(struct server *server, const struct client *client)
{
	tenant_unref(server->tenant);
	pool_tenant_drop(server->pool_tenant);
	server->tenant = client ? tenant_ref(client->tenant) : NULL;
	server->pool_tenant = client ? pool_tenant_share(client->pool_tenant) : NULL;
}

void server_give_back(struct server *server)
{
	replies_clear(&server->replies);
	if (server->seal_lost)
		server->needs_discard = true;
	if (server->cancels)
		server->state = SERVER_HELD;
	else
		pool_server_ready(server);
}

void server_release(struct server *server)
{
	struct client *client = server->client;

	server_unlink(server);
	client_is_idle(client);
	server_give_back(server);
	client_resume(client); /* it was not read while a cancel request was under way */
}

/* What becomes of the client whose backend is gone. */
static void tell_client(struct server *server, struct client *client, enum server_state was)
{
	if (was == SERVER_PREPARING && !client_is_pinned(client) &&
		!pins_are_in_doubt(&client->pins))
		pool_request_again(client);
	else if (server->told || (server->body_left && !server->body_is_ours))
		client_fatal_told(client); /* in the middle of a message no other can be sent */
	else
		client_fatal(client, REASON_BACKEND_LOST, NULL);
}

/*
 * Says good-bye where there is a server to say it to. A backend that is busy, or whose socket
 * is full, does not read the Terminate; it finds the end of the stream behind it.
 */
static void part(struct server *server, enum server_state was)
{
	static const uint8_t terminate[] = {'X', 0, 0, 0, 4};
	struct upstream *upstream = server->pool->upstream;

	if (was != SERVER_CONNECTING && !server->stream.broken)
		stream_write(&server->stream, terminate, sizeof terminate);
	if (was == SERVER_CONNECTING || server->stream.broken) {
		stream_close(&server->stream);
		upstream_give(upstream);
		return;
	}
	bool is_pipelined = replies_has_several(&server->replies);
	int fd = stream_release(&server->stream);
	if (is_pipelined) {
		farewell_reset(server->worker, upstream, fd);
		return;
	}
	shutdown(fd, SHUT_WR);
	farewell_start(server->worker, upstream, fd);
}

/* No backend came of it, at any of the hosts or because of one. */
static const char *why_none(struct server *server, const char *why)
{
	if (server->walk && !host_walk_at(server->walk))
		return host_walk_give_up(server->walk);
	return backend_failure(server) ? backend_failure(server) : why;
}

void server_close(struct server *server, const char *why)
{
	struct client *client = server->client;
	enum server_state was = server->state;

	if (was == SERVER_CLOSED)
		return;
	measure_server_gone(server);
	part(server, was);
	server->state = SERVER_CLOSED;
	server_unlink(server);
	log_event(was == SERVER_IDLE ? LOG_DEBUG : LOG_INFO, "backend.closed", "cluster",
			  server->pool->cluster->name, "login", pool_login(server->pool), "why", why, NULL);
	list_remove(&server->deadline_node);
	if (server->cancels)
		cancel_forget(server);
	pool_server_gone(server);
	server_set_tenant(server, NULL);
	list_append(&server->worker->dead_servers, &server->node);
	worker_reap_later(server->worker);
	if (was == SERVER_CONNECTING || was == SERVER_LOGIN || was == SERVER_CHECK)
		pool_open_failed(server->pool, backend_failure_reason(server), why_none(server, why));
	else if (client)
		tell_client(server, client, was);
	else
		pool_balance(server->pool);
}

void server_attach(struct server *server)
{
	stream_attach(&server->stream, server->worker->base, reader(server));
}

void server_free(struct server *server)
{
	backend_login_free(server);
	host_walk_end(server->walk);
	settings_unref(server->settings);
	params_fini(&server->params);
	replies_fini(&server->replies);
	names_forget_refusals(server);
	backend_statements_clear(&server->statements);
	buf_fini(&server->carry);
	buf_fini(&server->step_error);
	secret_wipe(server->cancel_key, sizeof server->cancel_key);
	free(server);
}
