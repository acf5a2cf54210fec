/*
 * server.h: the listeners of the admin API: HTTP/1.1 by libevent's evhttp, over TCP with or
 * without TLS and over a unix socket. Belongs to one event base's thread.
 *
 * Bounds: max_clients connections, request_timeout for a connection that sends or reads
 * nothing and, altogether, for a request to arrive.
 */
#ifndef ADMIN_API_SERVER_H
#define ADMIN_API_SERVER_H

#include <stdbool.h>

#include <event2/event.h>
#include <event2/http.h>

#include "conf/conf.h"

#define API_BODY_HARD_MAX (5 << 20) /* bytes; more is answered by evhttp itself */

struct api_server;

/* A request is whole; it must be answered, now or later, by evhttp's own functions. */
typedef void (*api_server_asked)(void *self, struct evhttp_request *request);

/* Listens where [admin] says. NULL, with the reason logged, when that cannot be. */
struct api_server *api_server_open(struct event_base *base, const struct conf *conf,
								   api_server_asked asked, void *self);

/* Reads the certificates again. What is wrong with them is logged, and the old ones stay. */
void api_server_reload(struct api_server *server, const struct conf *conf);

/* The connection that this request came on is asking, or waits to ask again: only the latter
 * has a time limit. */
void api_server_busy(struct api_server *server, struct evhttp_request *request, bool busy);

/* Closes everything; requests that are not answered are gone then. NULL is fine. */
void api_server_close(struct api_server *server);

#endif
