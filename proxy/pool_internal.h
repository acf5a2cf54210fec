/*
 * pool_internal.h: what the files of a pool share.
 */
#ifndef PROXY_POOL_INTERNAL_H
#define PROXY_POOL_INTERNAL_H

#include <stdatomic.h>

#include "conf/conf.h"
#include "policy/reason.h"
#include "proxy/crew.h"
#include "proxy/pool.h"
#include "proxy/worker.h"

/* What SCRAM derived of its password is of no use any more, also for logins under way. */
void pool_forget_keys(struct pool *pool);

/* An attempt to connect has failed: the route's next one waits, see pool_is_backing_off. */
void pool_back_off(struct pool *pool);

/* The next attempt waits for no earlier one. */
void pool_forget_failures(struct pool *pool);

/* Why the last attempt that failed did so. */
enum reason pool_failure(const struct pool *pool);

/* Why the backends of a tenant that is not served there are closed. */
extern const char pool_retired[];

/* The route's backends, those of other workers' pools included. */
static inline int pool_count_all(const struct pool *pool)
{
	return atomic_load(&pool->route->backends);
}

/* Backends that are kept open for the pool's clients: for tenants that share them. */
static inline int pool_minimum(const struct pool *pool)
{
	const struct conf *conf = pool->worker->conf;

	if (route_has_own_login(&pool->key))
		return 0;
	return conf->min_pool_size < conf->default_pool_size ? conf->min_pool_size
														 : conf->default_pool_size;
}

#endif
