#include "proxy/queue.h"

#include <stdlib.h>

#include "base/clock.h"
#include "conf/conf.h"
#include "proxy/client.h"
#include "proxy/operate.h"
#include "proxy/pool.h"
#include "proxy/worker.h"

/* ---- life ---- */

static struct pool_tenant *create(struct pool *pool, const struct uuid *id)
{
	struct pool_tenant *tenant = calloc(1, sizeof *tenant);

	if (!tenant)
		return NULL;
	tenant->pool = pool;
	tenant->id = *id;
	tenant->paused = operate_is_paused(pool->worker, id);
	list_init(&tenant->idle);
	list_init(&tenant->waiting);
	list_init(&tenant->turn);
	HASH_ADD(hh, pool->tenants, id, sizeof tenant->id, tenant);
	if (!tenant->hh.tbl) {
		free(tenant);
		return NULL;
	}
	return tenant;
}

struct pool_tenant *pool_tenant_hold(struct pool *pool, const struct tenant *of)
{
	struct pool_tenant *tenant;

	HASH_FIND(hh, pool->tenants, &of->id, sizeof of->id, tenant);
	if (!tenant)
		tenant = create(pool, &of->id);
	if (!tenant)
		return NULL;
	tenant->weight = of->pool_weight;
	tenant->holders++;
	return tenant;
}

void pool_tenant_drop(struct pool_tenant *tenant)
{
	if (!tenant || --tenant->holders)
		return;
	list_remove(&tenant->turn);
	HASH_DEL(tenant->pool->tenants, tenant);
	free(tenant);
}

/* ---- turns ---- */

bool pool_tenant_has_room(const struct pool_tenant *tenant)
{
	int limit = tenant->pool->worker->conf->max_tenant_connections;

	return !tenant->paused && (!limit || tenant->busy < (unsigned)limit);
}

/* A tenant is on the list of turns exactly while it has a client that may be served. */
static void update_turn(struct pool_tenant *tenant)
{
	bool may = !list_empty(&tenant->waiting) && pool_tenant_has_room(tenant);

	if (may && list_empty(&tenant->turn)) {
		tenant->served = 0;
		list_append(&tenant->pool->turns, &tenant->turn);
	} else if (!may) {
		list_remove(&tenant->turn);
	}
}

void pool_tenant_pause(struct pool_tenant *tenant, bool paused)
{
	tenant->paused = paused;
	update_turn(tenant);
}

void pool_tenant_took(struct pool_tenant *tenant)
{
	tenant->busy++;
	update_turn(tenant);
}

void pool_tenant_gave(struct pool_tenant *tenant)
{
	tenant->busy--;
	update_turn(tenant);
}

void queue_take_settings(struct pool *pool)
{
	struct pool_tenant *tenant, *next;

	HASH_ITER (hh, pool->tenants, tenant, next)
		update_turn(tenant);
}

/* ---- waiting ---- */

void queue_enter(struct client *client, bool first)
{
	struct pool_tenant *tenant = client->pool_tenant;

	if (first)
		list_prepend(&tenant->waiting, &client->tenant_node);
	else
		list_append(&tenant->waiting, &client->tenant_node);
	tenant->waiting_count++;
	tenant->pool->waiting++;
	client->waiting_since_us = clock_monotonic_us();
	list_append(&client->worker->waiting, &client->wait_node);
	update_turn(tenant);
}

void queue_leave(struct client *client)
{
	struct pool_tenant *tenant = client->pool_tenant;

	if (list_empty(&client->tenant_node))
		return;
	list_remove(&client->tenant_node);
	list_remove(&client->wait_node);
	tenant->waiting_count--;
	tenant->pool->waiting--;
	update_turn(tenant);
}

struct client *queue_next_of(struct pool_tenant *tenant)
{
	if (list_empty(&tenant->turn))
		return NULL;
	struct client *client = list_first(&tenant->waiting, struct client, tenant_node);

	int64_t waited_us = clock_monotonic_us() - client->waiting_since_us;
	struct pool_stats *stats = &tenant->pool->stats;

	queue_leave(client);
	histogram_record(&stats->wait, waited_us);
	stats->waited_us += waited_us > 0 ? (uint64_t)waited_us : 0;
	return client;
}

struct client *queue_next(struct pool *pool)
{
	struct pool_tenant *tenant = list_first(&pool->turns, struct pool_tenant, turn);

	if (!tenant)
		return NULL;
	if (++tenant->served >= tenant->weight) {
		tenant->served = 0;
		list_remove(&tenant->turn);
		list_append(&pool->turns, &tenant->turn);
	}
	return queue_next_of(tenant);
}

size_t queue_wanted(const struct pool *pool, size_t enough)
{
	int limit = pool->worker->conf->max_tenant_connections;
	size_t wanted = 0;

	if (!limit && !pool->worker->paused && !pool->worker->all_paused)
		return pool->waiting;
	list_each (node, next, &pool->turns) {
		struct pool_tenant *tenant = list_entry(node, struct pool_tenant, turn);
		size_t room = limit ? (size_t)limit - tenant->busy : SIZE_MAX;

		wanted += tenant->waiting_count < room ? tenant->waiting_count : room;
		if (wanted > enough)
			break;
	}
	return wanted;
}
