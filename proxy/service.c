#include "proxy/service.h"

#include <stddef.h>

#include "base/log.h"
#include "proxy/client.h"
#include "proxy/pool.h"
#include "proxy/server.h"
#include "proxy/worker.h"
#include "router/clusters.h"
#include "router/directory.h"

static const char down[] = "its cluster was taken out of service";

static bool is_down(struct worker *worker, const char *cluster)
{
	return clusters_status(directory_clusters(worker->directory), cluster) == CLUSTER_DOWN;
}

bool service_is_on(struct worker *worker, const struct tenant *tenant)
{
	return !is_down(worker, tenant->cluster);
}

/* Whoever has not shown the password yet learns nothing here; login.c looks again. */
static void end_session(struct client *client, void *unused)
{
	(void)unused;
	if (client->pool && is_down(client->worker, client->pool->cluster->name))
		client_fatal(client, REASON_CLUSTER_ENDED, NULL);
}

void service_look(struct server *server)
{
	if (is_down(server->worker, server->pool->cluster->name))
		server_give_up(server, down);
}

/* Marks first and closes then: closing one may open and close others. */
static void close_backends(struct pool *pool)
{
	list_each (node, next, &pool->servers)
		server_give_up(list_entry(node, struct server, node), down);
	pool_close_given_up(pool);
}

void service_tick(struct worker *worker)
{
	unsigned age = clusters_age(directory_clusters(worker->directory));
	struct pool *pool, *next;

	if (age == worker->clusters_age || worker->stopping)
		return;
	worker->clusters_age = age;
	client_each(&worker->clients, offsetof(struct client, node), end_session, NULL);
	HASH_ITER (hh, worker->pools, pool, next) {
		if (is_down(worker, pool->cluster->name))
			close_backends(pool);
	}
}
