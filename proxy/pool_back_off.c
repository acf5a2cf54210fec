/* How long a route waits between attempts to connect that fail, all workers' together. */
#include <stdatomic.h>

#include "base/clock.h"
#include "proxy/crew.h"
#include "proxy/failover.h"
#include "proxy/pool_internal.h"
#include "proxy/worker.h"

/* After how many failures in a row the pause grows no more: 2^3 times server_login_retry. */
#define BACK_OFF_MAX 3

bool pool_is_backing_off(const struct pool *pool)
{
	int64_t retry_at_us = atomic_load(&pool->route->retry_at_us);

	return retry_at_us && clock_monotonic_us() < retry_at_us;
}

enum reason pool_failure(const struct pool *pool)
{
	return (enum reason)atomic_load(&pool->route->failure);
}

/* The next pause: doubled for each failure in a row, up to 2^BACK_OFF_MAX times the first. */
void pool_back_off(struct pool *pool)
{
	long long now_us = clock_monotonic_us(),
			  retry_at_us = atomic_load(&pool->route->retry_at_us);
	unsigned failures = atomic_load(&pool->route->failures);
	unsigned doublings = failures < BACK_OFF_MAX ? failures : BACK_OFF_MAX;

	if (failover_is_under_way(pool))
		doublings = 0;
	int64_t pause_us = pool->worker->conf->server_login_retry_ms * 1000 << doublings;

	/* Attempts that were under way together fail together: they count once. */
	if (retry_at_us > now_us || !atomic_compare_exchange_strong(
									&pool->route->retry_at_us, &retry_at_us, now_us + pause_us))
		return;
	atomic_store(&pool->route->failures, failures + 1);
}

void pool_forget_failures(struct pool *pool)
{
	atomic_store(&pool->route->retry_at_us, 0);
	atomic_store(&pool->route->failures, 0);
}
