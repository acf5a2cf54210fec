#include "proxy/operate.h"

#include <stdlib.h>

#include "proxy/client.h"
#include "proxy/measure.h"
#include "proxy/pool.h"
#include "proxy/queue.h"
#include "proxy/server.h"
#include "proxy/worker.h"
#include "router/live.h"

/* ---- sessions ---- */

static bool concerns(const struct live_target *target, const struct client *client)
{
	return live_target_fits(target, client->tenant, client->pid) &&
		   client->state != CLIENT_LEAVING;
}

struct order {
	const struct live_target *target;
	enum live_verb verb;
	size_t count;
};

/* Whoever gives an order to all may be one of those on the console. */
static void carry_out(struct client *client, void *arg)
{
	struct order *order = arg;

	if (!concerns(order->target, client) ||
		(client->state == CLIENT_CONSOLE && !order->target->pid))
		return;
	if (order->verb == LIVE_CANCEL) {
		order->count += cancel_statement(client);
	} else {
		order->count++;
		client_fatal(client, REASON_KILLED, NULL);
	}
}

/* A kill, or a cancel. */
static size_t end_sessions(struct worker *worker, enum live_verb verb,
						   const struct live_target *target)
{
	struct order order = {target, verb, 0};
	struct client *client;

	if (!target->pid) {
		client_each(&worker->clients, offsetof(struct client, node), carry_out, &order);
		return order.count;
	}
	HASH_FIND(hh, worker->by_pid, &target->pid, sizeof target->pid, client);
	if (client)
		carry_out(client, &order);
	return order.count;
}

/* ---- pauses ---- */

static bool is_paused_at(const struct worker *worker, const struct uuid *id, bool by_ancestor)
{
	const struct paused *paused;

	HASH_FIND(hh, worker->paused, id, sizeof *id, paused);
	return paused && (!by_ancestor || paused->below);
}

bool operate_is_paused(const struct worker *worker, const struct tenant *tenant)
{
	if (worker->all_paused || !worker->paused)
		return worker->all_paused;
	for (size_t i = 0; i < tenant->depth; i++) {
		if (is_paused_at(worker, &tenant->path[i], i + 1 < tenant->depth))
			return true;
	}
	return false;
}

static void forget_paused(struct worker *worker, const struct uuid *tenant)
{
	struct paused *paused, *next;

	HASH_ITER (hh, worker->paused, paused, next) {
		if (!tenant || uuid_equal(tenant, &paused->id)) {
			HASH_DEL(worker->paused, paused);
			free(paused);
		}
	}
	if (!tenant)
		worker->all_paused = false;
}

/* False when memory is out. */
static bool remember_paused(struct worker *worker, const struct live_target *target)
{
	struct paused *paused;

	if (!target->has_tenant) {
		worker->all_paused = true;
		return true;
	}
	HASH_FIND(hh, worker->paused, &target->tenant, sizeof target->tenant, paused);
	if (!paused) {
		paused = calloc(1, sizeof *paused);
		if (!paused)
			return false;
		paused->id = target->tenant;
		HASH_ADD(hh, worker->paused, id, sizeof paused->id, paused);
		if (!paused->hh.tbl) {
			free(paused);
			return false;
		}
	}
	paused->below = target->below;
	return true;
}

/* Brings the queues up to date, also those below the tenant: an order may have ended that was
 * for them too. Returns how many tenants' queues stand still, or go on, that did not before. */
static size_t apply_pauses(struct worker *worker, struct live_target target)
{
	struct pool_tenant *part, *next_part;
	struct pool *pool, *next;
	size_t count = 0;

	target.below = true;
	HASH_ITER (hh, worker->pools, pool, next) {
		HASH_ITER (hh, pool->tenants, part, next_part) {
			bool paused = operate_is_paused(worker, part->of);

			if (!live_target_fits(&target, part->of, 0) || paused == part->paused)
				continue;
			pool_tenant_pause(part, paused);
			count++;
		}
		pool_balance(pool);
	}
	return count;
}

/* ---- backends ---- */

/* Idle ones are closed, the others as soon as they are free. */
static size_t reconnect(struct worker *worker, const struct live_target *target)
{
	struct pool *pool, *next;
	size_t count = 0;

	HASH_ITER (hh, worker->pools, pool, next) {
		list_each (node, after, &pool->servers) {
			struct server *server = list_entry(node, struct server, node);

			if (!live_target_fits(target, server->tenant, 0))
				continue;
			server_give_up(server, "an operator asked for new connections");
			count++;
		}
		pool_close_given_up(pool);
	}
	return count;
}

/* ---- all ---- */

static size_t obey(void *self, enum live_verb verb, const struct live_target *target)
{
	struct worker *worker = self;

	switch (verb) {
	case LIVE_KILL:
	case LIVE_CANCEL:
		return end_sessions(worker, verb, target);
	case LIVE_PAUSE:
		return remember_paused(worker, target) ? apply_pauses(worker, *target) : 0;
	case LIVE_RESUME:
		forget_paused(worker, target->has_tenant ? &target->tenant : NULL);
		return apply_pauses(worker, *target);
	case LIVE_RECONNECT:
		return reconnect(worker, target);
	}
	return 0;
}

struct live_ops operate_ops(struct worker *worker)
{
	return (struct live_ops){.self = worker,
							 .look = operate_look,
							 .measure = measure_worker,
							 .obey = obey,
							 .beat_us = &worker->beat_us};
}

void operate_fini(struct worker *worker)
{
	forget_paused(worker, NULL);
}
