#include "admin/probe_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>

#include "admin/accept.h"
#include "admin/listen.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"

#define PROBES_MAX    32
#define REQUEST_MAX   8192
#define PATIENCE_US   10000000 /* for a whole connection */
#define BACKLOG       16
#define LISTENERS_MAX 16

struct probe {
	struct list node; /* server->probes, oldest first */
	struct probe_server *server;
	struct bufferevent *stream;
	int64_t since_us;
	bool wants_openmetrics;
	bool head;      /* only the head of the answer is wanted */
	bool is_asking; /* its request was read, and is not answered yet */
	bool is_waiting;
	bool is_ended; /* the peer has ended its half, and may still wait for the answer */
};

struct probe_server {
	struct event_base *base;
	struct evconnlistener *listeners[LISTENERS_MAX];
	size_t listener_count;
	bool is_shared;    /* the next process listens where we do */
	char *socket_path; /* of ours, or NULL */
	struct list probes;
	size_t probe_count;
	probe_asked asked;
	void *self;
};

/* ---- answers ---- */

static const char *status_text(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 400:
		return "Bad Request";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 431:
		return "Request Header Fields Too Large";
	default:
		return "Service Unavailable";
	}
}

void probe_close(struct probe *probe)
{
	list_remove(&probe->node);
	probe->server->probe_count--;
	bufferevent_free(probe->stream);
	free(probe);
}

/* The last byte was taken by the kernel: the end is said, and the peer's is waited for, since
 * bytes of its that nobody reads would reset the connection under the answer. */
static void on_written(struct bufferevent *stream, void *arg)
{
	struct probe *probe = arg;

	if (probe->is_ended)
		probe_close(probe);
	else
		shutdown(bufferevent_getfd(stream), SHUT_WR);
}

static void on_ignored(struct bufferevent *stream, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(stream);

	(void)arg;
	evbuffer_drain(in, evbuffer_get_length(in));
}

static void on_event(struct bufferevent *stream, short what, void *arg)
{
	struct probe *probe = arg;

	if (what & BEV_EVENT_EOF && what & BEV_EVENT_READING &&
		(probe->is_waiting || evbuffer_get_length(bufferevent_get_output(stream))))
		probe->is_ended = true;
	else
		probe_close(probe);
}

void probe_answer(struct probe *probe, int status, const char *content_type, struct buf *body)
{
	struct evbuffer *out = bufferevent_get_output(probe->stream);

	probe->is_asking = probe->is_waiting = false;
	bufferevent_setcb(probe->stream, on_ignored, on_written, on_event, probe);
	int failed = evbuffer_add_printf(out,
									 "HTTP/1.1 %d %s\r\n"
									 "Content-Type: %s\r\n"
									 "Content-Length: %zu\r\n"
									 "%s"
									 "Cache-Control: no-store\r\n"
									 "Connection: close\r\n"
									 "\r\n",
									 status, status_text(status), content_type, buf_len(body),
									 status == 405 ? "Allow: GET, HEAD\r\n" : "");
	if (failed < 0 || (!probe->head && evbuffer_add(out, buf_data(body), buf_len(body)) != 0))
		probe_close(probe);
}

void probe_wait(struct probe *probe)
{
	probe->is_waiting = true;
}

bool probe_server_is_awaited(const struct probe_server *server, bool openmetrics)
{
	list_each (node, next, (struct list *)&server->probes) {
		const struct probe *probe = list_entry(node, struct probe, node);

		if (probe->is_waiting && probe->wants_openmetrics == openmetrics)
			return true;
	}
	return false;
}

void probe_server_answer_waiting(struct probe_server *server, bool openmetrics, int status,
								 const char *content_type, struct buf *body)
{
	list_each (node, next, &server->probes) {
		struct probe *probe = list_entry(node, struct probe, node);

		if (probe->is_waiting && probe->wants_openmetrics == openmetrics)
			probe_answer(probe, status, content_type, body);
	}
}

void probe_server_close_waiting(struct probe_server *server)
{
	list_each (node, next, &server->probes) {
		struct probe *probe = list_entry(node, struct probe, node);

		if (probe->is_waiting)
			probe_close(probe);
	}
}

static void refuse(struct probe *probe, int status)
{
	struct buf body;

	buf_init(&body);
	if (buf_appendf(&body, "%s\n", status_text(status)))
		probe_answer(probe, status, "text/plain; charset=utf-8", &body);
	else
		probe_close(probe);
	buf_fini(&body);
}

/* ---- requests ---- */

/*
 * The request line: method, target, version (RFC 9112, section 3). The target is a path, whose
 * query is not looked at; what else stands in the head is of no use here.
 */
static void take_request(struct probe *probe, char *line)
{
	char *rest = line;
	const char *method = strsep(&rest, " "), *target = strsep(&rest, " ");

	probe->is_asking = true;
	if (!target || !rest || strncmp(rest, "HTTP/1.", 7) != 0 || *target != '/') {
		refuse(probe, 400);
		return;
	}
	probe->head = strcmp(method, "HEAD") == 0;
	if (!probe->head && strcmp(method, "GET") != 0) {
		refuse(probe, 405);
		return;
	}
	line[target - line + (ptrdiff_t)strcspn(target, "?")] = '\0';
	probe->server->asked(probe->server->self, probe, target);
}

static bool is_complete(struct evbuffer *in)
{
	return evbuffer_search(in, "\r\n\r\n", 4, NULL).pos >= 0 ||
		   evbuffer_search(in, "\n\n", 2, NULL).pos >= 0;
}

/* Of the header's fields this is the only one that is looked at; of several the last that asks
 * for it. */
static void take_head(struct probe *probe, struct evbuffer *in)
{
	static const char name[] = "accept:";
	char *field;

	while ((field = evbuffer_readln(in, NULL, EVBUFFER_EOL_CRLF)) != NULL && *field) {
		if (strncasecmp(field, name, sizeof name - 1) == 0 &&
			accept_prefers_openmetrics(field + sizeof name - 1))
			probe->wants_openmetrics = true;
		free(field);
	}
	free(field);
}

static void on_readable(struct bufferevent *stream, void *arg)
{
	struct probe *probe = arg;
	struct evbuffer *in = bufferevent_get_input(stream);
	size_t len = evbuffer_get_length(in);

	if (probe->is_asking)
		return;
	if (!is_complete(in)) {
		if (len >= REQUEST_MAX) {
			probe->is_asking = true;
			refuse(probe, 431);
		}
		return;
	}
	char *line = evbuffer_readln(in, NULL, EVBUFFER_EOL_CRLF);
	take_head(probe, in);
	evbuffer_drain(in, evbuffer_get_length(in));
	if (line)
		take_request(probe, line);
	else
		probe_close(probe);
	free(line);
}

static void on_accepted(struct evconnlistener *listener, evutil_socket_t fd,
						struct sockaddr *address, int len, void *arg)
{
	struct probe_server *server = arg;
	struct probe *probe = calloc(1, sizeof *probe), *oldest;

	(void)listener, (void)address, (void)len;
	if (probe)
		probe->stream = bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!probe || !probe->stream) {
		free(probe);
		evutil_closesocket(fd);
		return;
	}
	oldest = list_first(&server->probes, struct probe, node);
	if (server->probe_count >= PROBES_MAX)
		probe_close(oldest);
	probe->server = server;
	probe->since_us = clock_monotonic_us();
	list_append(&server->probes, &probe->node);
	server->probe_count++;
	bufferevent_setcb(probe->stream, on_readable, NULL, on_event, probe);
	bufferevent_setwatermark(probe->stream, EV_READ, 0, REQUEST_MAX);
	bufferevent_enable(probe->stream, EV_READ | EV_WRITE);
}

/* Out of descriptors: until the next tick the connection stays in the backlog, since a listener
 * that is left readable turns the loop without end. */
static void on_accept_failed(struct evconnlistener *listener, void *arg)
{
	(void)arg;
	log_event(LOG_ERROR, "probes.accept", "error", strerror(errno), NULL);
	evconnlistener_disable(listener);
}

void probe_server_tick(struct probe_server *server, int64_t now_us)
{
	struct probe *probe;

	for (size_t i = 0; i < server->listener_count; i++)
		evconnlistener_enable(server->listeners[i]);

	while ((probe = list_first(&server->probes, struct probe, node)) != NULL &&
		   now_us - probe->since_us >= PATIENCE_US)
		probe_close(probe);
}

/* ---- listening ---- */

#define EVENT "probes.listen"

static bool listen_on(void *self, const char *where, const char *port,
					  const struct sockaddr *address, socklen_t len)
{
	struct probe_server *server = self;

	if (server->listener_count == LISTENERS_MAX)
		return listen_fail(EVENT, where, port, "there are too many addresses");
	struct evconnlistener *listener = evconnlistener_new_bind(
		server->base, on_accepted, server, listen_flags(address, server->is_shared), BACKLOG,
		address, (int)len);
	if (!listener)
		return listen_fail(EVENT, where, port, strerror(errno));
	evconnlistener_set_error_cb(listener, on_accept_failed);
	server->listeners[server->listener_count++] = listener;
	return true;
}

static bool listen_on_path(struct probe_server *server, const char *path)
{
	if (!listen_at_path(path, server->is_shared, EVENT, listen_on, server))
		return false;
	server->socket_path = strdup(path);
	return server->socket_path != NULL;
}

static bool open_all(struct probe_server *server, const struct conf *conf)
{
	return listen_each_name(conf->probes_listen_addr, conf->probes_listen_port, EVENT,
							listen_on, server) &&
		   (!*conf->probes_unix_socket || listen_on_path(server, conf->probes_unix_socket));
}

struct probe_server *probe_server_open(struct event_base *base, const struct conf *conf,
									   probe_asked asked, void *self)
{
	struct probe_server *server = calloc(1, sizeof *server);

	if (!server)
		return NULL;
	server->base = base;
	server->asked = asked;
	server->self = self;
	server->is_shared = conf->reuse_port;
	list_init(&server->probes);
	if (open_all(server, conf))
		return server;
	probe_server_destroy(server);
	return NULL;
}

static void close_listeners(struct probe_server *server)
{
	for (size_t i = 0; i < server->listener_count; i++)
		evconnlistener_free(server->listeners[i]);
	server->listener_count = 0;
}

void probe_server_retire(struct probe_server *server)
{
	if (server->is_shared)
		close_listeners(server);
}

void probe_server_destroy(struct probe_server *server)
{
	struct probe *probe;

	if (!server)
		return;
	while ((probe = list_first(&server->probes, struct probe, node)) != NULL)
		probe_close(probe);
	close_listeners(server);
	if (server->socket_path && !server->is_shared) /* else it is the next one's */
		unlink(server->socket_path);
	free(server->socket_path);
	free(server);
}
