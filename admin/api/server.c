#include "admin/api/server.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/listener.h>

#include "admin/api/tls.h"
#include "admin/listen.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"

#define BACKLOG         64
#define HEADERS_MAX     16384 /* bytes */
#define SWEEP_MS        250
#define LISTENERS_MAX   64
#define SPARE           8      /* connections above the bound that are still told so */
#define METHODS_ALLOWED 0xffff /* which of them a path has is looked at by the routes */

/*
 * evhttp does not say when a connection ends, and does not bound their number. So a reference
 * is held to each one's bufferevent, and looked at every now and then: one that evhttp has
 * given up has no callbacks any more.
 */
struct connection {
	struct list node;
	struct bufferevent *stream;
	int64_t since_us; /* since when a request is awaited; 0: one is being answered */
};

struct api_server {
	struct event_base *base;
	struct evhttp *plain, *secure; /* over unix sockets and TCP; over TLS */
	SSL_CTX *tls;
	api_server_asked asked;
	void *self;
	struct list connections;
	int connection_count, connection_max;
	struct evconnlistener *listeners[LISTENERS_MAX]; /* evhttp's */
	int listener_count;
	bool is_full; /* nobody is accepted: descriptors are the data port's too */
	int64_t timeout_us;
	struct event *sweep;
	char *socket_path;
	bool is_shared; /* with the process that takes our place (reuse_port) */
};

/* ---- connections ---- */

/* Who comes when there is no room at all waits to be accepted. */
static void look_for_room(struct api_server *server)
{
	bool is_full = server->connection_count >= server->connection_max + SPARE;

	if (is_full == server->is_full)
		return;
	server->is_full = is_full;
	for (int i = 0; i < server->listener_count; i++) {
		if (is_full)
			evconnlistener_disable(server->listeners[i]);
		else
			evconnlistener_enable(server->listeners[i]);
	}
}

static bool is_given_up(const struct connection *connection)
{
	bufferevent_data_cb on_read;
	bufferevent_event_cb on_event;

	bufferevent_getcb(connection->stream, &on_read, NULL, &on_event, NULL);
	return !on_read && !on_event;
}

static void forget(struct api_server *server, struct connection *connection)
{
	list_remove(&connection->node);
	server->connection_count--;
	bufferevent_decref(connection->stream);
	free(connection);
}

/* evhttp notices that, and closes it. */
static void cut(const struct connection *connection)
{
	evutil_socket_t fd = bufferevent_getfd(connection->stream);

	if (fd >= 0)
		shutdown(fd, SHUT_RDWR);
}

static void sweep(struct api_server *server)
{
	int64_t now = clock_monotonic_us();

	list_each (node, after, &server->connections) {
		struct connection *connection = list_entry(node, struct connection, node);

		if (is_given_up(connection))
			forget(server, connection);
		else if (connection->since_us && now - connection->since_us > server->timeout_us)
			cut(connection);
	}
	look_for_room(server);
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	sweep(arg);
}

static struct bufferevent *track(struct api_server *server, struct bufferevent *stream)
{
	struct connection *connection = calloc(1, sizeof *connection);

	if (!stream || !connection) {
		free(connection);
		return stream;
	}
	bufferevent_incref(stream);
	connection->stream = stream;
	connection->since_us = clock_monotonic_us();
	list_append(&server->connections, &connection->node);
	server->connection_count++;
	look_for_room(server);
	return stream;
}

static struct connection *find_connection(struct api_server *server,
										  struct evhttp_request *request)
{
	struct evhttp_connection *http = evhttp_request_get_connection(request);
	struct bufferevent *stream = http ? evhttp_connection_get_bufferevent(http) : NULL;

	list_each (node, after, &server->connections) {
		struct connection *connection = list_entry(node, struct connection, node);

		if (connection->stream == stream)
			return connection;
	}
	return NULL;
}

void api_server_busy(struct api_server *server, struct evhttp_request *request, bool busy)
{
	struct connection *connection = find_connection(server, request);

	if (connection)
		connection->since_us = busy ? 0 : clock_monotonic_us();
}

static struct bufferevent *make_plain(struct event_base *base, void *arg)
{
	return track(arg, bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE));
}

static struct bufferevent *make_secure(struct event_base *base, void *arg)
{
	struct api_server *server = arg;
	SSL *ssl = SSL_new(server->tls);
	struct bufferevent *stream =
		ssl ? bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING,
											 BEV_OPT_CLOSE_ON_FREE)
			: NULL;

	if (!stream)
		SSL_free(ssl);
	else
		bufferevent_openssl_set_allow_dirty_shutdown(stream, 1);
	return track(server, stream);
}

static void on_request(struct evhttp_request *request, void *arg)
{
	struct api_server *server = arg;
	struct connection *connection;

	sweep(server);
	connection = find_connection(server, request);
	if (!connection || server->connection_count > server->connection_max) {
		evhttp_add_header(evhttp_request_get_output_headers(request), "Connection", "close");
		evhttp_send_reply(request, 503, "Service Unavailable", NULL);
		return;
	}
	server->asked(server->self, request);
}

/* ---- listening ---- */

#define EVENT "api.listen"

/* Beyond the bound a connection is accepted only to be closed. */
static bool listen_on(struct api_server *server, struct evhttp *http, const char *where,
					  const char *port, const struct sockaddr *address, socklen_t len)
{
	struct evconnlistener *listener;

	if (server->listener_count == LISTENERS_MAX)
		return listen_fail(EVENT, where, port, "there are too many addresses");
	listener = evconnlistener_new_bind(server->base, NULL, NULL,
									   listen_flags(address, server->is_shared), BACKLOG,
									   address, (int)len);
	if (!listener)
		return listen_fail(EVENT, where, port, strerror(errno));
	/* Connections have it from here: an answer that takes two writes waits for no ACK. */
	if (address->sa_family != AF_UNIX)
		setsockopt(evconnlistener_get_fd(listener), IPPROTO_TCP, TCP_NODELAY, &(int){1},
				   sizeof(int));
	if (evhttp_bind_listener(http, listener)) {
		server->listeners[server->listener_count++] = listener;
		return true;
	}
	evconnlistener_free(listener);
	return listen_fail(EVENT, where, port, "out of memory");
}

static bool listen_on_name(void *self, const char *where, const char *port,
						   const struct sockaddr *address, socklen_t len)
{
	struct api_server *server = self;

	return listen_on(server, server->tls ? server->secure : server->plain, where, port, address,
					 len);
}

/* Never over TLS. */
static bool listen_on_socket(void *self, const char *where, const char *port,
							 const struct sockaddr *address, socklen_t len)
{
	struct api_server *server = self;

	return listen_on(server, server->plain, where, port, address, len);
}

static bool listen_on_path(struct api_server *server, const struct conf *conf)
{
	const char *path = conf->admin_unix_socket;
	mode_t before = umask(0177);
	bool ok = listen_at_path(path, server->is_shared, EVENT, listen_on_socket, server);

	umask(before);
	if (!ok)
		return false;
	server->socket_path = strdup(path);
	if (chmod(path, (mode_t)conf->admin_unix_socket_mode) != 0)
		return listen_fail(EVENT, path, NULL, strerror(errno));
	return server->socket_path != NULL;
}

static struct evhttp *make_http(struct api_server *server, const struct conf *conf,
								struct bufferevent *(*make)(struct event_base *, void *))
{
	struct evhttp *http = evhttp_new(server->base);

	if (!http)
		return NULL;
	evhttp_set_max_headers_size(http, HEADERS_MAX);
	evhttp_set_max_body_size(http, API_BODY_HARD_MAX);
	evhttp_set_allowed_methods(http, METHODS_ALLOWED);
	evhttp_set_default_content_type(http, NULL);
	evhttp_set_timeout(http, (int)((conf->admin_request_timeout_ms + 999) / 1000));
	evhttp_set_bevcb(http, make, server);
	evhttp_set_gencb(http, on_request, server);
	return http;
}

static bool open_all(struct api_server *server, const struct conf *conf)
{
	const struct timeval period = {.tv_usec = SWEEP_MS * 1000L};
	bool ok;

	server->tls = api_tls_create(conf);
	server->plain = make_http(server, conf, make_plain);
	server->secure = server->tls ? make_http(server, conf, make_secure) : NULL;
	server->sweep = event_new(server->base, -1, EV_PERSIST, on_sweep, server);
	ok = (server->tls || !*conf->admin_tls_cert_file) && server->plain &&
		 (server->secure || !server->tls) && server->sweep &&
		 event_add(server->sweep, &period) == 0;
	return ok &&
		   listen_each_name(conf->admin_listen_addr, conf->admin_listen_port, EVENT,
							listen_on_name, server) &&
		   (!*conf->admin_unix_socket || listen_on_path(server, conf));
}

struct api_server *api_server_open(struct event_base *base, const struct conf *conf,
								   api_server_asked asked, void *self)
{
	struct api_server *server = calloc(1, sizeof *server);

	if (!server)
		return NULL;
	server->base = base;
	server->asked = asked;
	server->self = self;
	server->is_shared = conf->reuse_port;
	server->connection_max = conf->admin_max_clients;
	server->timeout_us = conf->admin_request_timeout_ms * 1000;
	list_init(&server->connections);
	if (open_all(server, conf))
		return server;
	api_server_close(server);
	return NULL;
}

void api_server_reload(struct api_server *server, const struct conf *conf)
{
	SSL_CTX *tls = server->tls ? api_tls_create(conf) : NULL;

	server->timeout_us = conf->admin_request_timeout_ms * 1000;
	if (!tls)
		return;
	SSL_CTX_free(server->tls);
	server->tls = tls;
}

void api_server_close(struct api_server *server)
{
	if (!server)
		return;
	server->listener_count = 0; /* evhttp frees them */
	if (server->plain)
		evhttp_free(server->plain);
	if (server->secure)
		evhttp_free(server->secure);
	list_each (node, after, &server->connections)
		forget(server, list_entry(node, struct connection, node));
	if (server->sweep)
		event_free(server->sweep);
	SSL_CTX_free(server->tls);
	if (server->socket_path && !server->is_shared) /* else it is the next one's */
		unlink(server->socket_path);
	free(server->socket_path);
	free(server);
}
