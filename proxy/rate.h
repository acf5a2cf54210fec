/*
 * rate.h: how many statements a tenant may send (proxy.rate_limit, proxy.rate_burst).
 *
 * A token bucket for each tenant, shared by all workers: one atomic number says up to when the
 * tokens are spent ("generic cell rate algorithm"). A Query, an Execute and a FunctionCall take
 * one each. A statement whose tenant has no such limit is not even asked here: its gate lets it
 * pass (gate_count).
 *
 * Who has no transaction is refused without a backend; within one the server is made to fail,
 * as with all that is refused (names_refuse.c).
 */
#ifndef PROXY_RATE_H
#define PROXY_RATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "proxy/client.h"
#include "router/directory.h"

/* Takes one of `limits`' tokens at this moment, of a clock in nanoseconds. False when there is
 * none. *spent is up to when they are spent. */
bool rate_take_at(atomic_llong *spent, const struct tenant_limits *limits, int64_t now_ns);

/* Is there none? Another worker may be faster. */
bool rate_is_spent_at(atomic_llong *spent, const struct tenant_limits *limits, int64_t now_ns);

static inline bool rate_is_limited(const struct client *client)
{
	return gate_counts(&client->gate);
}

/* Of a session whose tenant has such a limit. */
bool rate_take(const struct client *client);
bool rate_is_spent(const struct client *client);

/* One more was refused for that: counts and logs it. */
void rate_refused(struct client *client);

#endif
