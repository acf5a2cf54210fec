/*
 * pool.h: the backends of one route, and who gets them.
 *
 * A route is (cluster, database, login). Tenants are a queue discipline on top (queue.h): a
 * client gets a backend that is already in its tenant's context; else, below default_pool_size,
 * a new one is opened for it; else the least recently used idle backend of another tenant; else
 * it waits in its tenant's queue, and the queues take turns. Connections to one server share a
 * budget over all its pools (upstream.h).
 *
 * Each worker has a pool for a route, and default_pool_size bounds the backends of all of them
 * together. A pool that may open none, because other workers' pools have them, asks for one.
 *
 * A pool exists while it has clients or backends. Nothing here walks over pools that nothing
 * happens to: what needs attention at the next tick stands on worker->restless.
 */
#ifndef PROXY_POOL_H
#define PROXY_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/histogram.h"
#include "base/list.h"
#include "conf/conf.h"
#include "policy/guard/own_login.h"
#include "policy/reason.h"
#include "proxy/queue.h"
#include "proxy/route.h"
#include "proxy/scram.h"
#include "proxy/welcome.h"
#include "router/live.h"

#include <uthash.h>

struct client;
struct crew_route;
struct params;
struct server;
struct settings;
struct tenant;
struct upstream;
struct worker;
struct worker_address;

/* Since the pool was made. */
struct pool_stats {
	struct histogram wait;     /* from asking for a backend to being given one */
	struct histogram handover; /* of those that took an exchange with the server */
	struct histogram query;    /* from statement to ReadyForQuery; measure.h */
	uint64_t requests, handovers, handover_failures, opened, closed;
	uint64_t queries, transactions; /* as far as measure_server has counted them */
};

/* What a cluster's pools that are gone have counted: sums must not fall. */
struct pool_past {
	struct pool_stats stats;
	struct live_work last, before; /* as struct pool */
};

/* Which key of the cluster's secret the password of a tenant's own login is derived from. */
struct own_keys {
	char kid[GUARD_KID_MAX + 1]; /* as the tenant's record says; "": it does not */
	size_t last; /* the place, from 1, of the one that was right last; 0: none yet */
};

struct pool {
	struct worker *worker;
	struct route_key key;                 /* in worker->pools */
	const struct conf_cluster *cluster;   /* the route's, as the settings in force have it */
	const struct worker_address *address; /* its server */
	struct upstream *upstream;
	UT_hash_handle hh;
	char own[OWN_NAME_SIZE];  /* the tenant's own login, where the route has it */
	struct own_keys keys;     /* of which its password is derived */
	struct list restless;     /* worker->restless */
	struct list hungry;       /* upstream->hungry */
	struct crew_route *route; /* what the pools of all workers count together */
	struct list lined;   /* worker->lined: asks other workers for one of the route's backends */
	struct list asked;   /* worker->asked: another worker asks for one, or for its place */
	struct list servers; /* all */
	struct list idle;    /* least recently used first */
	struct list unsealed; /* idle and in nobody's context */
	struct list turns;    /* tenants with clients that may be served */
	struct pool_tenant *tenants;
	struct welcomes welcomes;
	unsigned welcomes_age; /* of the route's that they were copied from */
	struct scram_keys scram;
	size_t client_count, server_count, opening, waiting;
	size_t limited; /* tenants whose clients may hold only so many backends */
	bool balancing;
	bool retired; /* its tenant may not be served there any more */
	struct pool_stats stats;
	uint64_t reported;             /* stats.requests at the last line in the log */
	struct live_work last, before; /* when the last two periods ended; see operate.c */
	size_t place; /* among the worker's pools, while measure.c walks over clients */
};

/* Are its backends put into a tenant's context at hand-over? */
static inline bool pool_is_sealed(const struct pool *pool)
{
	return pool->key.kind == ROUTE_SEALED;
}

/* Does the guard live in its database? */
static inline bool pool_is_guarded(const struct pool *pool)
{
	return pool->key.kind != ROUTE_DATABASE && pool->key.kind != ROUTE_CLUSTER;
}

/* Are the tables there all tenants' together? */
static inline bool pool_is_shared(const struct pool *pool)
{
	return pool->key.kind == ROUTE_SEALED || pool->key.kind == ROUTE_LOGIN;
}

/* The database and the login of its backends. */
static inline const char *pool_database(const struct pool *pool)
{
	return pool->key.kind == ROUTE_DATABASE ? pool->own : pool->cluster->database;
}

static inline const char *pool_login(const struct pool *pool)
{
	return route_has_own_login(&pool->key) ? pool->own : pool->cluster->login;
}

/* The worker's pool for a route, with one more client; NULL when memory is out. */
struct pool *pool_hold(struct worker *worker, const struct route_key *key);

/* Its tenant's record says that the login's password is derived from the key of this name
 * (NULL: says nothing). */
void pool_note_kid(struct pool *pool, const char *kid);

/*
 * The password for a new connection, `attempt` counting from 0: with a login of the tenant's
 * own each key of the cluster's secret is tried, the likeliest first. Where that stands is told
 * in *first at attempt 0, and taken from there at the others. A copy, for secret_free; NULL
 * where none is configured, or that was the last, or memory is out.
 */
char *pool_password(const struct pool *pool, size_t attempt, size_t *first);

/* That attempt's password was the right one. */
void pool_note_password(struct pool *pool, size_t attempt, size_t first);

/* May the keys that SCRAM derives of that attempt's password be kept? */
bool pool_keeps_keys(const struct pool *pool, size_t attempt);

/*
 * What a login is told (welcome.h): the pool's own, or copied from what another worker has
 * noted, so that a login needs a backend of its worker's no more often than with one worker.
 */
const struct params *pool_find_welcome(struct pool *pool, const struct settings *settings);
void pool_add_welcome(struct pool *pool, const struct settings *settings,
					  const struct params *params);
void pool_note_base(struct pool *pool, const struct params *params);

/* One client less. */
void pool_drop(struct pool *pool);

/* Closes its backends and frees it; its clients are gone. */
void pool_destroy(struct pool *pool);

/* The client wants a backend: it is being prepared or linked on return, or waits, or has been
 * refused. */
void pool_request(struct client *client);

/* As pool_request, before all others of its tenant: its backend failed while being prepared. */
void pool_request_again(struct client *client);

/* A new backend has passed its self-check. */
void pool_server_opened(struct server *server);

/* The backend is free. */
void pool_server_ready(struct server *server);

/* Asks other workers for no backend any more if it has no use for one. */
void pool_leave_line(struct pool *pool);

/* Gives idle backends to those who wait, and opens more where that is allowed. */
void pool_balance(struct pool *pool);

/* The backend is gone: takes it off all lists. */
void pool_server_gone(struct server *server);

/* The idle backend is held back from clients (SERVER_HELD); as pool_server_gone, but it has
 * gone to another worker's pool and keeps its places. */
void pool_server_hold(struct server *server);
void pool_server_left(struct server *server);

/* Is it too early for another attempt to connect? */
bool pool_is_backing_off(const struct pool *pool);

/* A connection could not be made: waits before the next, and refuses the waiting when there is
 * no backend. */
void pool_open_failed(struct pool *pool, enum reason reason, const char *why);

/* The next tick looks at it. */
void pool_attend(struct pool *pool);

/*
 * What is due: opens for those who wait and up to min_pool_size, frees the pool when nobody
 * uses it. Called for pools on worker->restless; takes those off it that are settled.
 */
void pool_tick(struct pool *pool);

/*
 * The worker has other settings; `cluster` is the pool's section of them. Backends that are too
 * many now are closed as far as they are idle, the others when they are free; the next attempt
 * to connect waits for no earlier failure. The rest is the next tick's.
 */
void pool_take_settings(struct pool *pool, const struct conf_cluster *cluster);

/* ---- pool_leave.c ---- */

/* Closes backends that were idle or old for too long, over all pools of the worker. */
void pool_expire(struct worker *worker, int64_t now_us);

/* Closes its idle backends that are given up (server_give_up); the others go when they are
 * free. */
void pool_close_given_up(struct pool *pool);

/* No backend of the tenant's own routes is kept any more, but of the one that it has `now`
 * (NULL: it is not served): those that are free are closed at once. */
void pool_retire_tenant(struct worker *worker, const struct uuid *tenant,
						const struct tenant *now);

/* ---- pool_report.c ---- */

/* Writes a line with counts and waiting times, when something was asked of it since the last
 * one. */
void pool_report(struct pool *pool);

#endif
