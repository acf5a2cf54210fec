/* A pool's line in the log. */
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "proxy/crew.h"
#include "proxy/pool.h"
#include "proxy/worker.h"

struct number {
	char text[24];
};

static struct number number(uint64_t value)
{
	struct number number;

	snprintf(number.text, sizeof number.text, "%" PRIu64, value);
	return number;
}

void pool_report(struct pool *pool)
{
	const struct pool_stats *stats = &pool->stats;
	const struct worker *worker = pool->worker;

	if (stats->requests == pool->reported)
		return;
	pool->reported = stats->requests;
	/* There may be thousands of tenants with pools of their own. */
	log_event(route_has_own_login(&pool->key) ? LOG_DEBUG : LOG_INFO, "pool.stats", "cluster",
			  pool->cluster->name, "login", pool_login(pool), "worker",
			  crew_is_one(worker->crew) ? NULL : number(worker->number).text, "clients",
			  number(pool->client_count).text, "waiting", number(pool->waiting).text,
			  "backends", number(pool->server_count).text, "requests",
			  number(stats->requests).text, "handovers", number(stats->handovers).text,
			  "handover_failures", number(stats->handover_failures).text, "opened",
			  number(stats->opened).text, "closed", number(stats->closed).text, "wait_p50_us",
			  number(histogram_quantile(&stats->wait, 0.5)).text, "wait_p99_us",
			  number(histogram_quantile(&stats->wait, 0.99)).text, "wait_max_us",
			  number(stats->wait.max_us).text, NULL);
}
