/*
 * queue.h: tenants as a discipline over a pool's backends.
 *
 * A pool_tenant is one tenant's part of one pool: its idle backends, its waiting clients, how
 * many backends its clients hold. Tenants with waiting clients take turns, each for as many
 * clients in a row as its weight; one that holds as many backends as it may
 * (max_tenant_connections, and its own proxy.pool_size) sits out until it gives one back.
 *
 * It lives as long as a client of the tenant is logged in or a backend is in the tenant's
 * context, so neither of them has to look it up again.
 */
#ifndef PROXY_QUEUE_H
#define PROXY_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/uuid.h"
#include "router/directory.h"

#include <uthash.h>

struct client;
struct common;
struct pool;
struct worker;

struct pool_tenant {
	struct pool *pool;
	struct uuid id;
	const struct tenant *of; /* its newest state that came by; a reference */
	unsigned holders;        /* clients and backends that point here */
	unsigned weight;         /* clients served per turn */
	unsigned served;         /* of the present turn */
	unsigned busy;           /* backends that its clients hold or are being given */
	int limit;               /* how many that may be; 0: any number */
	bool sees_sequences;     /* a client has asked for the last value of a sequence (names.c) */
	struct common *common;   /* what all workers count of it: busy backends, where `shares` says
							  * so, and its clients that keep their backends */
	bool shares;             /* there is a limit, and there are other workers */
	size_t statement_bytes;  /* of its clients' prepared statements, shared or not */
	bool paused;             /* its clients get no backend */
	size_t waiting_count;
	struct list idle;    /* backends, most recently used first */
	struct list waiting; /* clients, first come first */
	struct list turn;    /* pool->turns, while it has a client that may be served */
	struct list capped;  /* worker->capped, while other workers' clients leave it no room */
	UT_hash_handle hh;
};

/* The tenant's part of the pool, made when it is missing, with one more holder; NULL: memory is
 * out. */
struct pool_tenant *pool_tenant_hold(struct pool *pool, const struct tenant *tenant);

/* The same part with one more holder. */
static inline struct pool_tenant *pool_tenant_share(struct pool_tenant *tenant)
{
	tenant->holders++;
	return tenant;
}

/* One holder less; the last one frees it. NULL is fine. */
void pool_tenant_drop(struct pool_tenant *tenant);

/* May the tenant's clients hold one more backend? */
bool pool_tenant_has_room(const struct pool_tenant *tenant);

void pool_tenant_pause(struct pool_tenant *tenant, bool paused);

/* The tenant has this state: its weight, its limits, and its place in the tree, by which it may
 * be paused. */
void pool_tenant_note(struct pool_tenant *tenant, const struct tenant *now);

/* Its clients hold one backend more, or one less. False when that would be one too many, which
 * after pool_tenant_has_room only another worker's clients can make it. */
bool pool_tenant_take(struct pool_tenant *tenant);
void pool_tenant_give(struct pool_tenant *tenant);

/* More or fewer of its clients keep their backends. */
void pool_tenant_pin(struct pool_tenant *tenant, int more);

/* Other workers have given backends of these tenants back: looks again whose clients may be
 * served. */
void queue_look_at_capped(struct worker *worker);

/* The client waits in its tenant's queue: behind the others, or before them. */
void queue_enter(struct client *client, bool first);

/* The client waits no longer, if it did. */
void queue_leave(struct client *client);

/* max_tenant_connections may be another than before: who takes turns is found out anew. */
void queue_take_settings(struct pool *pool);

/* The client whose turn it is, taken off its queue, with its tenant's room for one backend
 * more, which is to be given it or given back; NULL when nobody may be served. */
struct client *queue_next(struct pool *pool);

/* The tenant's first client, out of turn, taken off its queue; NULL as above. */
struct client *queue_next_of(struct pool_tenant *tenant);

/* How many waiting clients could be served if there were backends, counted up to `enough`. */
size_t queue_wanted(const struct pool *pool, size_t enough);

#endif
