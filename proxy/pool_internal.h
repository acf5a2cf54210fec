/*
 * pool_internal.h: what the files of a pool share.
 */
#ifndef PROXY_POOL_INTERNAL_H
#define PROXY_POOL_INTERNAL_H

#include "policy/reason.h"
#include "proxy/pool.h"

/* What SCRAM derived of its password is of no use any more, also for logins under way. */
void pool_forget_keys(struct pool *pool);

/* An attempt to connect has failed: the route's next one waits, see pool_is_backing_off. */
void pool_back_off(struct pool *pool);

/* The next attempt waits for no earlier one. */
void pool_forget_failures(struct pool *pool);

/* Why the last attempt that failed did so. */
enum reason pool_failure(const struct pool *pool);

#endif
