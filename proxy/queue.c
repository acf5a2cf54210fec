#include "proxy/queue.h"

#include <stdlib.h>

#include "base/clock.h"
#include "conf/conf.h"
#include "proxy/client.h"
#include "proxy/crew.h"
#include "proxy/limits.h"
#include "proxy/operate.h"
#include "proxy/pool.h"
#include "proxy/worker.h"

/* ---- life ---- */

static struct common *hold_common(const struct pool *pool, const struct uuid *id)
{
	struct {
		uint64_t route;
		struct uuid id;
	} key = {pool->route->serial, *id};

	return crew_hold(pool->worker->crew, COMMON_PART, &key, sizeof key);
}

static size_t number_of(const struct pool_tenant *tenant)
{
	return tenant->pool->worker->number;
}

static void destroy(struct pool_tenant *tenant)
{
	struct crew *crew = tenant->pool->worker->crew;

	if (!crew_is_one(crew))
		common_leave(crew, tenant->common, number_of(tenant), tenant->limit);
	crew_drop(crew, COMMON_PART, tenant->common);
	tenant->pool->limited -= tenant->limit != 0;
	tenant_unref(tenant->of);
	free(tenant);
}

/* What its clients hold is counted with the others' from now on, or not any more. */
static void share(struct pool_tenant *tenant, bool shares)
{
	if (shares != tenant->shares)
		atomic_fetch_add(&tenant->common->used,
						 shares ? (int)tenant->busy : -(int)tenant->busy);
	if (tenant->shares && !shares)
		common_leave(tenant->pool->worker->crew, tenant->common, number_of(tenant),
					 tenant->limit);
	tenant->shares = shares;
}

/* From the settings for all and its own. */
static void find_limit(struct pool_tenant *tenant)
{
	const struct worker *worker = tenant->pool->worker;
	int limit = (int)limits_stricter(worker->conf->max_tenant_connections,
									 tenant->of->limits.pool_size);

	tenant->pool->limited += (limit != 0) - (tenant->limit != 0);
	tenant->limit = limit;
	share(tenant, limit && !crew_is_one(worker->crew));
}

static struct pool_tenant *create(struct pool *pool, const struct tenant *of)
{
	struct pool_tenant *tenant = calloc(1, sizeof *tenant);

	if (!tenant)
		return NULL;
	tenant->common = hold_common(pool, &of->id);
	if (!tenant->common) {
		free(tenant);
		return NULL;
	}
	tenant->pool = pool;
	tenant->id = of->id;
	tenant->of = tenant_ref(of);
	find_limit(tenant);
	tenant->paused = operate_is_paused(pool->worker, of);
	list_init(&tenant->idle);
	list_init(&tenant->waiting);
	list_init(&tenant->turn);
	list_init(&tenant->capped);
	HASH_ADD(hh, pool->tenants, id, sizeof tenant->id, tenant);
	if (!tenant->hh.tbl) {
		destroy(tenant);
		return NULL;
	}
	return tenant;
}

struct pool_tenant *pool_tenant_hold(struct pool *pool, const struct tenant *of)
{
	struct pool_tenant *tenant;

	HASH_FIND(hh, pool->tenants, &of->id, sizeof of->id, tenant);
	if (!tenant)
		tenant = create(pool, of);
	if (!tenant)
		return NULL;
	pool_tenant_note(tenant, of);
	tenant->holders++;
	return tenant;
}

void pool_tenant_drop(struct pool_tenant *tenant)
{
	if (!tenant || --tenant->holders)
		return;
	list_remove(&tenant->turn);
	list_remove(&tenant->capped);
	HASH_DEL(tenant->pool->tenants, tenant);
	destroy(tenant);
}

/* ---- turns ---- */

/* How many backends its clients hold, as far as that is limited. */
static int busy_in_all(const struct pool_tenant *tenant)
{
	return tenant->shares ? atomic_load(&tenant->common->used) : (int)tenant->busy;
}

/* Is a place of those in use its to take? */
static bool has_grant(const struct pool_tenant *tenant)
{
	return tenant->shares &&
		   atomic_load(&tenant->common->granted) & crew_bit(number_of(tenant));
}

bool pool_tenant_has_room(const struct pool_tenant *tenant)
{
	int limit = tenant->limit;

	if (!limit || tenant->paused)
		return !tenant->paused;
	return busy_in_all(tenant) < limit || has_grant(tenant);
}

/* It is to be told when other workers' clients leave it room. */
static void wait_for_others(struct pool_tenant *tenant)
{
	struct worker *worker = tenant->pool->worker;

	common_wait(worker->crew, tenant->common, worker->number);
	if (list_empty(&tenant->capped))
		list_append(&worker->capped, &tenant->capped);
}

/* A tenant is on the list of turns exactly while it has a client that may be served. */
static void update_waiting(struct pool_tenant *tenant)
{
	bool may = pool_tenant_has_room(tenant);

	if (!may && tenant->shares && !tenant->paused) {
		wait_for_others(tenant);
		may = pool_tenant_has_room(tenant); /* it may have come before they knew */
	}
	if (may && list_empty(&tenant->turn)) {
		tenant->served = 0;
		list_append(&tenant->pool->turns, &tenant->turn);
	} else if (!may) {
		list_remove(&tenant->turn);
	}
}

static inline void update_turn(struct pool_tenant *tenant)
{
	if (!list_empty(&tenant->waiting))
		update_waiting(tenant);
	else if (!list_empty(&tenant->turn))
		list_remove(&tenant->turn);
}

void pool_tenant_pause(struct pool_tenant *tenant, bool paused)
{
	tenant->paused = paused;
	update_turn(tenant);
}

void pool_tenant_note(struct pool_tenant *tenant, const struct tenant *now)
{
	const struct worker *worker = tenant->pool->worker;

	tenant->weight = now->pool_weight;
	if (tenant->of == now)
		return;
	tenant_unref(tenant->of);
	tenant->of = tenant_ref(now);
	int limit = tenant->limit;
	find_limit(tenant);
	if (operate_is_paused(worker, now) == tenant->paused && tenant->limit == limit)
		return;
	pool_tenant_pause(tenant, operate_is_paused(worker, now));
	pool_attend(tenant->pool);
}

static bool take_shared(struct pool_tenant *tenant)
{
	return common_take_grant(tenant->pool->worker->crew, tenant->common, number_of(tenant)) ||
		   places_take(&tenant->common->used, tenant->limit);
}

bool pool_tenant_take(struct pool_tenant *tenant)
{
	if (tenant->shares && !take_shared(tenant)) {
		update_turn(tenant);
		return false;
	}
	tenant->busy++;
	update_turn(tenant);
	return true;
}

void pool_tenant_give(struct pool_tenant *tenant)
{
	tenant->busy--;
	if (tenant->shares)
		common_give(tenant->pool->worker->crew, tenant->common, number_of(tenant),
					tenant->limit);
	update_turn(tenant);
}

void pool_tenant_pin(struct pool_tenant *tenant, int more)
{
	atomic_fetch_add(&tenant->common->pinned, more);
}

/* Room that it was given and that no client of its could use at once is passed on. */
static void look_again(struct pool_tenant *tenant)
{
	struct crew *crew = tenant->pool->worker->crew;

	tenant->holders++;
	update_turn(tenant);
	pool_balance(tenant->pool);
	if (common_take_grant(crew, tenant->common, number_of(tenant))) {
		common_give(crew, tenant->common, number_of(tenant), tenant->limit);
		update_turn(tenant);
	}
	if (list_empty(&tenant->capped)) /* it stands there as long as it may be given some */
		common_leave(crew, tenant->common, number_of(tenant), tenant->limit);
	pool_tenant_drop(tenant);
}

void queue_look_at_capped(struct worker *worker)
{
	struct list capped = {&capped, &capped};

	while (!list_empty(&worker->capped)) {
		struct list *node = worker->capped.next;

		list_remove(node);
		list_append(&capped, node);
	}
	while (!list_empty(&capped)) {
		struct pool_tenant *tenant = list_first(&capped, struct pool_tenant, capped);

		list_remove(&tenant->capped);
		look_again(tenant);
	}
}

void queue_take_settings(struct pool *pool)
{
	struct pool_tenant *tenant, *next;

	HASH_ITER (hh, pool->tenants, tenant, next) {
		find_limit(tenant);
		update_turn(tenant);
	}
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
	if (list_empty(&tenant->turn) || !pool_tenant_take(tenant))
		return NULL;
	struct client *client = list_first(&tenant->waiting, struct client, tenant_node);

	queue_leave(client);
	histogram_record(&tenant->pool->stats.wait,
					 clock_monotonic_us() - client->waiting_since_us);
	return client;
}

struct client *queue_next(struct pool *pool)
{
	struct pool_tenant *tenant;
	struct client *client;

	while ((tenant = list_first(&pool->turns, struct pool_tenant, turn)) != NULL) {
		if (++tenant->served >= tenant->weight) {
			tenant->served = 0;
			list_remove(&tenant->turn);
			list_append(&pool->turns, &tenant->turn);
		}
		client = queue_next_of(tenant);
		if (client)
			return client;
	}
	return NULL;
}

static size_t room_of(const struct pool_tenant *tenant)
{
	int room = tenant->limit - busy_in_all(tenant) + has_grant(tenant);

	return room > 0 ? (size_t)room : 0;
}

/* Tenants in line for other workers' room that are looked at. */
#define CAPPED_SEARCH_MAX 64

/* Has the pool a tenant whose clients wait for room that other workers' clients take? */
static bool has_capped(const struct pool *pool)
{
	int seen = 0;

	list_each (node, next, &pool->worker->capped) {
		if (list_entry(node, struct pool_tenant, capped)->pool == pool)
			return true;
		if (++seen == CAPPED_SEARCH_MAX)
			break;
	}
	return false;
}

size_t queue_wanted(const struct pool *pool, size_t enough)
{
	size_t wanted = 0;

	if (!pool->limited && !pool->worker->paused && !pool->worker->all_paused)
		return pool->waiting;
	list_each (node, next, &pool->turns) {
		struct pool_tenant *tenant = list_entry(node, struct pool_tenant, turn);
		size_t room = tenant->limit ? room_of(tenant) : SIZE_MAX;

		wanted += tenant->waiting_count < room ? tenant->waiting_count : room;
		if (wanted > enough)
			break;
	}
	/* Room that other workers leave is of no use without a backend: there must be one. */
	if (!wanted && !pool->server_count && (!list_empty(&pool->turns) || has_capped(pool)))
		wanted = 1;
	return wanted;
}
