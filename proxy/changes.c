#include "proxy/changes.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/client.h"
#include "proxy/limits.h"
#include "proxy/pool.h"
#include "proxy/queue.h"
#include "proxy/worker.h"

#define EXPIRY_PERIOD_US 500000 /* how often it is looked whose login has expired */

/* ---- one session ---- */

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_served(const struct tenant *tenant)
{
	return tenant && tenant->status == TENANT_ACTIVE;
}

/* Is its data where it was, under the same seal? Who has no route yet may still find another.
 */
static bool lives_as_before(const struct client *client, const struct tenant *now)
{
	struct route_key route;
	enum reason why;

	if (strcmp(client->tenant->seal, now->seal) != 0)
		return false;
	return !client->pool || (route_find(client->worker->conf, now, &route, &why) &&
							 route_equal(&route, &client->pool->key));
}

/* The session of a tenant that has changed: takes the new state over, or ends. */
static void apply_tenant(struct client *client, const struct tenant *now)
{
	if (!is_served(now)) {
		client_fatal(client, REASON_SUSPENDED, NULL);
	} else if (!lives_as_before(client, now)) {
		client_fatal(client, REASON_MOVED, NULL);
	} else if (!principal_reaches(client->principal, now)) {
		client_fatal(client, REASON_REACH_LOST, NULL);
	} else {
		tenant_unref(client->tenant);
		client->tenant = tenant_ref(now);
		gatekeeper_renew(client);
		if (client->pool_tenant)
			pool_tenant_note(client->pool_tenant, now);
		limits_note_tenant(client->worker, now);
		if (client->pool)
			pool_note_kid(client->pool, now->login_kid);
	}
}

/* Whoever has not shown the password yet learns nothing here either. */
static bool is_unproved(const struct client *client)
{
	return client->state == CLIENT_AUTH || client->state == CLIENT_SLOWED;
}

static bool same_names(char *const *a, char *const *b)
{
	if (!a || !b)
		return a == b;
	for (; *a && *b; a++, b++) {
		if (strcmp(*a, *b) != 0)
			return false;
	}
	return *a == *b;
}

/* Could it log in now as it did? */
static bool may_stay(const struct client *client, const struct principal *now)
{
	return now && !now->disabled && clock_wall_ms() < now->valid_until_ms &&
		   same_text(client->principal->verifier, now->verifier) &&
		   (same_names(client->principal->certificate_names, now->certificate_names) ||
			login_tls_names(client, now->name, now));
}

static void apply_principal(struct client *client, const struct principal *now)
{
	if (!may_stay(client, now) && is_unproved(client)) {
		login_must_fail(client);
	} else if (!may_stay(client, now)) {
		client_fatal(client, REASON_REVOKED, NULL);
	} else if (client->tenant && !principal_reaches(now, client->tenant)) {
		client_fatal(client, REASON_REACH_LOST, NULL);
	} else {
		principal_unref(client->principal);
		client->principal = principal_ref(now);
	}
}

/* ---- all that are concerned ---- */

static bool is_concerned(const struct client *client, const struct directory_change *change)
{
	char key[UUID_HEX_SIZE];

	switch (change->kind) {
	case DIRECTORY_TENANT:
		if (!client->tenant)
			return false;
		uuid_hex(&client->tenant->id, key);
		return strcmp(key, change->key) == 0;
	case DIRECTORY_PRINCIPAL:
		return client->principal && strcmp(client->principal->name, change->key) == 0;
	}
	return false;
}

static void apply(struct client *client, const struct directory_change *change)
{
	switch (change->kind) {
	case DIRECTORY_TENANT:
		apply_tenant(client, change->tenant);
		break;
	case DIRECTORY_PRINCIPAL:
		apply_principal(client, change->principal);
		break;
	}
}

/* Has the session begun with a state that came after this? A look-up's answer may have come
 * faster than the news: suspended and resumed within a millisecond, say. */
static bool knows_better(const struct client *client, const struct directory_change *change)
{
	return change->moment < (change->kind == DIRECTORY_TENANT ? client->tenant->moment
															  : client->principal->moment);
}

static void visit(struct client *client, void *change)
{
	if (is_concerned(client, change) && !knows_better(client, change))
		apply(client, change);
}

/* The login, schema or database that the tenant has left may be about to go, and to be made
 * anew: nothing of ours is to stand in the way, or to be taken up again. */
static void retire(struct worker *worker, const struct directory_change *change)
{
	struct uuid id;

	if (uuid_parse(change->key, strlen(change->key), &id))
		pool_retire_tenant(worker, &id, is_served(change->tenant) ? change->tenant : NULL);
}

void changes_apply(void *self, const struct directory_change *change)
{
	struct worker *worker = self;
	bool of_tenant = change->kind == DIRECTORY_TENANT;
	struct tally *tally = limits_hold(worker, change);

	log_event(LOG_DEBUG, "directory.changed", of_tenant ? "tenant" : "principal", change->key,
			  NULL);
	/* Those that log in are in no tally before they are admitted, and are few. */
	client_each(&worker->logins, offsetof(struct client, queue), visit, (void *)change);
	if (tally) {
		client_each(&tally->members,
					of_tenant ? offsetof(struct client, in_tenant)
							  : offsetof(struct client, in_principal),
					visit, (void *)change);
		limits_let_go(worker, change, tally);
	}
	if (of_tenant)
		retire(worker, change);
}

/* ---- what changes by itself ---- */

static struct client *first_expired(const struct worker *worker, int64_t now_ms)
{
	struct tally *tally, *next;

	HASH_ITER (hh, worker->limits.principals, tally, next) {
		struct client *client = list_first(&tally->members, struct client, in_principal);

		if (client && client->principal->valid_until_ms <= now_ms)
			return client;
	}
	return NULL;
}

void changes_tick(struct worker *worker, int64_t now_us)
{
	struct client *client;

	if (now_us - worker->expired_us < EXPIRY_PERIOD_US)
		return;
	worker->expired_us = now_us;
	while ((client = first_expired(worker, clock_wall_ms())) != NULL)
		client_fatal(client, REASON_REVOKED, NULL);
}
