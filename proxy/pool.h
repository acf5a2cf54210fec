/*
 * pool.h: the backends of one route, and who waits for them.
 *
 * A route is (cluster, database, login). Tenants are a queue discipline on top: a client gets a
 * backend that is already in its tenant's context; else, below default_pool_size, a new one is
 * opened for it; else the least recently used idle backend of another tenant; else it waits in
 * its tenant's queue, and the queues take turns.
 */
#ifndef PROXY_POOL_H
#define PROXY_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/uuid.h"
#include "policy/reason.h"
#include "proxy/params.h"
#include "proxy/scram.h"

#include <uthash.h>

struct client;
struct server;
struct settings;
struct worker;
struct worker_address;

/* One tenant's part of a pool; exists while it has idle backends or waiting clients. */
struct pool_tenant {
	struct uuid id;
	struct list idle;    /* servers, most recently used first */
	struct list waiting; /* clients, first come first */
	struct list turn;    /* pool->turns, while someone waits */
	UT_hash_handle hh;
};

/* ParameterStatus of a backend under one set of startup settings, application_name aside. */
struct pool_welcome {
	char *key;
	size_t key_len;
	struct params params;
	UT_hash_handle hh;
};

#define POOL_WELCOMES_MAX 256

struct pool {
	struct worker *worker;
	const struct conf_cluster *cluster;
	const struct worker_address *address;
	struct list node;     /* worker->pools */
	struct list servers;  /* all */
	struct list idle;     /* least recently used first */
	struct list unsealed; /* idle and in nobody's context */
	struct list turns;    /* tenants with waiting clients */
	struct pool_tenant *tenants;
	struct pool_welcome *welcomes;
	struct params base; /* what a fresh backend reports: a change drops the welcomes */
	struct scram_keys scram;
	size_t server_count, opening, waiting;
	int64_t retry_at_us; /* no new connection before this */
	char *failure;       /* why the last attempt failed; shown in the log, not to clients */
	enum reason failure_reason;
};

/* The worker's pool for a cluster; made when it is first asked for. NULL when memory is out. */
struct pool *pool_get(struct worker *worker, const struct conf_cluster *cluster);
void pool_destroy(struct pool *pool);

/* The client wants a backend: it is being prepared or linked on return, or waits, or has been
 * refused. */
void pool_request(struct client *client);

/* As pool_request, before all others of its tenant: its backend failed while being prepared. */
void pool_request_again(struct client *client);

/* The client waits no longer. */
void pool_withdraw(struct client *client);

/* A new backend has passed its self-check. */
void pool_server_opened(struct server *server);

/* The backend is free. */
void pool_server_ready(struct server *server);

/* Gives idle backends to those who wait, and opens more where that is allowed. */
void pool_balance(struct pool *pool);

/* The backend is gone: takes it off all lists. */
void pool_server_gone(struct server *server);

/* A connection could not be made: remembers why, and refuses the waiting when there is no
 * backend at all. */
void pool_open_failed(struct pool *pool, enum reason reason, const char *why);

/* Closes what was idle or old for too long; opens for those who wait when a pause is over. */
void pool_tick(struct pool *pool, int64_t now_us);

/* The cached parameters for these settings, or NULL. */
const struct params *pool_find_welcome(struct pool *pool, const struct settings *settings);
void pool_add_welcome(struct pool *pool, const struct settings *settings,
					  const struct params *params);

/* A fresh backend reported these. */
void pool_note_base(struct pool *pool, const struct params *params);

#endif
