/*
 * operate.h: a worker's answers to router/live: what it is doing, and the orders it can carry
 * out.
 */
#ifndef PROXY_OPERATE_H
#define PROXY_OPERATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/uuid.h"
#include "router/live.h"

#include <uthash.h>

struct client;
struct server;
struct tenant;
struct worker;

/* A tenant that is paused. */
struct paused {
	UT_hash_handle hh;
	struct uuid id;
	bool below; /* and all below it */
};

/* The worker as live_join wants it; borrowed. */
struct live_ops operate_ops(struct worker *worker);

/* Does nobody of this tenant get a backend now? */
bool operate_is_paused(const struct worker *worker, const struct tenant *tenant);

/* ---- operate_look.c ---- */

/* As struct live_ops wants it. */
bool operate_look(void *self, enum live_scope scope, const struct live_filter *filter,
				  struct live_view **view);

/* What pools have done is noted, for averages: a period (stats_period) is over. */
void operate_end_period(struct worker *worker, int64_t now_us);

/* The client is about to be taken off worker->clients. */
void operate_client_gone(const struct client *client);

/* What the session, or the backend, does now. */
enum session_state operate_session_state(const struct client *client);
enum backend_state operate_backend_state(const struct server *server);

void operate_fini(struct worker *worker);

#endif
