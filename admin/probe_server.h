/*
 * probe_server.h: as much of an HTTP server as probes need; see probes.h. Belongs to one event
 * base's thread.
 */
#ifndef ADMIN_PROBE_SERVER_H
#define ADMIN_PROBE_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>

#include "base/buf.h"
#include "conf/conf.h"

struct probe_server;

/* One request; it is to be answered, closed or made to wait before the call returns that
 * brought it. */
struct probe;

typedef void (*probe_asked)(void *self, struct probe *probe, const char *path);

/* Listens where [probes] says. NULL, with the reason logged, when an address cannot be had. */
struct probe_server *probe_server_open(struct event_base *base, const struct conf *conf,
									   probe_asked asked, void *self);

/* Where addresses are shared with the process that takes our place (reuse_port), they are left
 * to it. */
void probe_server_retire(struct probe_server *server);

/* Closes all. NULL is fine. */
void probe_server_destroy(struct probe_server *server);

/* The body is copied. */
void probe_answer(struct probe *probe, int status, const char *content_type, struct buf *body);
void probe_close(struct probe *probe);

/* The answer comes later, with that of all others who wait for the same form: OpenMetrics where
 * they asked for that (accept.h), or else plain text. */
void probe_wait(struct probe *probe);
bool probe_server_is_awaited(const struct probe_server *server, bool openmetrics);
void probe_server_answer_waiting(struct probe_server *server, bool openmetrics, int status,
								 const char *content_type, struct buf *body);
void probe_server_close_waiting(struct probe_server *server);

/* Closes connections that took too long; to be called every second. */
void probe_server_tick(struct probe_server *server, int64_t now_us);

#endif
