#include "proxy/failover.h"

#include <stdatomic.h>
#include <string.h>

#include "conf/conf.h"
#include "proxy/hosts.h"
#include "proxy/pool.h"
#include "proxy/pool_internal.h"
#include "proxy/server.h"
#include "proxy/worker.h"

static const char changed[] = "its server is not what target_session_attrs asks for any more";
static const char moved[] = "its address is none of the host's any more";
static const char doubt[] = "its server may have become read-only";

void failover_look(struct server *server)
{
	if (!hosts_have_endpoint(server->pool->address->hosts, &server->endpoint))
		server_give_up(server, moved);
}

void failover_found(struct server *server)
{
	if (!server->walk)
		return;
	host_walk_found(server->walk);
	host_walk_end(server->walk);
	server->walk = NULL;
	failover_look(server);
}

void failover_note_parameter(struct server *server, const char *name)
{
	enum conf_target target = server->pool->cluster->target;

	if (server->walk || target == TARGET_ANY || strcmp(name, "in_hot_standby") != 0)
		return;
	enum host_kind kind = host_kind_of(&server->params);
	struct hosts *hosts = server->pool->address->hosts;

	atomic_store(&hosts->states[server->endpoint.host].kind, kind);
	if (target == TARGET_PREFER_STANDBY || !host_misfit(target, kind))
		return;
	server_give_up(server, changed);
	if (server->state == SERVER_IDLE)
		server_close(server, changed);
}

void failover_doubt(struct server *server)
{
	enum conf_target target = server->pool->cluster->target;

	if ((target != TARGET_READ_WRITE && target != TARGET_PRIMARY) || server->given_up)
		return;
	server->given_up = doubt;
	server->doubted = true;
}

void failover_trust(struct server *server)
{
	if (!server->doubted)
		return; /* it is given up for another reason meanwhile */
	server->doubted = false;
	server->given_up = NULL;
}

bool failover_is_under_way(const struct pool *pool)
{
	const struct hosts *hosts = pool->address->hosts;

	if (!hosts_may_fail_over(hosts, pool->cluster->target) ||
		pool_failure(pool) != REASON_BACKEND_DOWN)
		return false;
	int64_t failing_us = hosts_failing_for(hosts);
	return failing_us && failing_us < pool->worker->conf->failover_timeout_ms * 1000;
}

/* Marks first and closes then: closing one may open and close others. */
static void leave_addresses(struct pool *pool)
{
	list_each (node, next, &pool->servers) {
		struct server *server = list_entry(node, struct server, node);

		if (!server->walk)
			failover_look(server);
	}
	pool_close_given_up(pool);
}

void failover_tick(struct worker *worker)
{
	struct pool *pool, *next;
	unsigned age = worker->address_count ? atomic_load(worker->addresses->hosts->age) : 0;

	if (age == worker->hosts_age)
		return;
	worker->hosts_age = age;
	HASH_ITER (hh, worker->pools, pool, next)
		leave_addresses(pool);
}
