#include "proxy/limits.h"

#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "proxy/client.h"
#include "proxy/crew.h"
#include "proxy/worker.h"

/* Logins that are looked at for one that waits for its peer and not for us. */
#define VICTIM_SEARCH_MAX 64

/* ---- tallies ---- */

static struct tally *tally_create(struct worker *worker, enum common_kind kind,
								  struct tally **tallies, const void *key, size_t len)
{
	struct tally *tally = calloc(1, sizeof *tally);
	struct common *common = tally ? crew_hold(worker->crew, kind, key, len) : NULL;

	if (common) {
		tally->common = common;
		list_init(&tally->members);
		HASH_ADD_KEYPTR(hh, *tallies, common->key, common->key_len, tally);
	}
	if (!common || !tally->hh.tbl) {
		crew_drop(worker->crew, kind, common);
		free(tally);
		return NULL;
	}
	return tally;
}

/* One client less that holds it; it was counted or it was not. */
static void tally_let_go(struct worker *worker, enum common_kind kind, struct tally **tallies,
						 struct tally *tally)
{
	if (--tally->count)
		return;
	HASH_DEL(*tallies, tally);
	crew_drop(worker->crew, kind, tally->common);
	free(tally);
}

/* One more under this key, of `limit`; NULL, with the reason, when there is no place. */
static struct tally *tally_add(struct worker *worker, enum common_kind kind,
							   struct tally **tallies, const void *key, size_t len, int limit,
							   enum reason *why)
{
	struct tally *tally;

	HASH_FIND(hh, *tallies, key, len, tally);
	if (!tally)
		tally = tally_create(worker, kind, tallies, key, len);
	if (!tally) {
		*why = REASON_MEMORY;
		return NULL;
	}
	tally->count++;
	if (places_take(&tally->common->used, limit))
		return tally;
	tally_let_go(worker, kind, tallies, tally);
	*why = kind == COMMON_TENANT ? REASON_TENANT_CLIENTS : REASON_USER_CLIENTS;
	return NULL;
}

static void tally_take(struct worker *worker, enum common_kind kind, struct tally **tallies,
					   struct tally *tally)
{
	if (!tally)
		return;
	atomic_fetch_sub(&tally->common->used, 1);
	tally_let_go(worker, kind, tallies, tally);
}

/* ---- connections that log in ---- */

/*
 * The oldest connection that keeps us waiting: what it does next is up to its peer alone. Those
 * that wait because others have failed before them are no better.
 */
static bool is_silent(const struct client *client)
{
	return client->state == CLIENT_STARTUP || client->state == CLIENT_AUTH ||
		   client->state == CLIENT_SLOWED;
}

static struct client *find_silent(const struct worker *worker, const struct client *but)
{
	int seen = 0;

	list_each (node, next, &worker->logins) {
		struct client *client = list_entry(node, struct client, queue);

		if (client != but && is_silent(client))
			return client;
		if (++seen == VICTIM_SEARCH_MAX)
			break;
	}
	return NULL;
}

static int excess_of_logins(const struct worker *worker)
{
	return atomic_load(&worker->crew->logins) - worker->conf->max_login_conn;
}

static void count_logins(struct worker *worker, int more)
{
	worker->limits.logging_in += (size_t)more;
	atomic_fetch_add(&worker->crew->members[worker->number].logins, more);
	atomic_fetch_add(&worker->crew->logins, more);
}

/* While another worker is being asked there may be some too many, but never twice as many. */
static bool others_are_asked(struct worker *worker, const struct client *newcomer)
{
	return !crew_is_one(worker->crew) &&
		   excess_of_logins(worker) <= worker->conf->max_login_conn &&
		   crew_end_login(worker->crew, worker, newcomer->pid);
}

void limits_connected(struct client *client)
{
	struct worker *worker = client->worker;

	client->logging_in = true;
	count_logins(worker, 1);
	if (excess_of_logins(worker) <= 0)
		return;
	struct client *silent = find_silent(worker, client);
	if (!silent && others_are_asked(worker, client))
		return;
	worker->counters.logins_refused++;
	client_fatal(silent ? silent : client, REASON_LOGINS, NULL);
}

bool limits_end_login(struct worker *worker, uint32_t newcomer)
{
	struct client *client;

	if (excess_of_logins(worker) <= 0)
		return true;
	if (newcomer)
		HASH_FIND(hh, worker->by_pid, &newcomer, sizeof newcomer, client);
	else
		client = find_silent(worker, NULL);
	if (!client || !client->logging_in)
		return false;
	worker->counters.logins_refused++;
	client_fatal(client, REASON_LOGINS, NULL);
	return true;
}

void limits_logged_in(struct client *client)
{
	if (!client->logging_in)
		return;
	client->logging_in = false;
	count_logins(client->worker, -1);
}

/* ---- sessions ---- */

bool limits_may_admit(const struct worker *worker)
{
	return atomic_load(&worker->crew->sessions) < worker->conf->max_client_conn;
}

/* The last places are for those who are to find out why the others are taken. */
static int places_for(const struct client *client)
{
	const struct conf *conf = client->worker->conf;
	int reserved = conf->reserved_client_conn;

	if (reserved >= conf->max_client_conn || conf_is_admin(conf, client->principal->name))
		reserved = 0;
	return conf->max_client_conn - reserved;
}

static bool take_place(struct client *client, enum reason *why)
{
	struct worker *worker = client->worker;

	if (!places_take(&worker->crew->sessions, places_for(client))) {
		*why = REASON_CLIENTS;
		return false;
	}
	worker->limits.sessions++;
	client->admitted = true;
	return true;
}

/* For its principal; of so many at the most, or without a limit (0). */
static bool count_principal(struct client *client, int limit, enum reason *why)
{
	struct worker *worker = client->worker;
	const char *name = client->principal->name;

	client->of_principal = tally_add(worker, COMMON_PRINCIPAL, &worker->limits.principals, name,
									 strlen(name), limit, why);
	if (client->of_principal)
		list_append(&client->of_principal->members, &client->in_principal);
	return client->of_principal;
}

int limits_of_principal(const struct conf *conf, const struct principal *principal)
{
	return (int)limits_stricter(conf->max_user_client_connections, principal->max_connections);
}

bool limits_admit_console(struct client *client, enum reason *why)
{
	return take_place(client, why) && count_principal(client, 0, why);
}

void limits_note_tenant(struct worker *worker, const struct tenant *tenant)
{
	if (tenant->limits.query_wait_timeout_ms)
		worker->limits.waits_differ = true;
}

/* As PostgreSQL's CONNECTION LIMIT of a database: 0 lets nobody in. */
static bool count_tenant(struct client *client, int limit, enum reason *why)
{
	struct worker *worker = client->worker;
	const struct tenant *tenant = client->tenant;

	if (tenant->limits.has_max_connections && !tenant->limits.max_connections) {
		*why = REASON_TENANT_CLIENTS;
		return false;
	}
	limit = (int)limits_stricter(limit, tenant->limits.max_connections);
	client->of_tenant = tally_add(worker, COMMON_TENANT, &worker->limits.tenants, &tenant->id,
								  sizeof tenant->id, limit, why);
	return client->of_tenant;
}

bool limits_admit(struct client *client, enum reason *why)
{
	const struct conf *conf = client->worker->conf;

	if (!take_place(client, why) ||
		!count_tenant(client, conf->max_tenant_client_connections, why))
		return false; /* its departure takes it out of the counts */
	limits_note_tenant(client->worker, client->tenant);
	list_append(&client->of_tenant->members, &client->in_tenant);
	return count_principal(client, limits_of_principal(conf, client->principal), why);
}

void limits_departed(struct client *client)
{
	struct worker *worker = client->worker;
	struct limits *limits = &worker->limits;

	limits_logged_in(client);
	list_remove(&client->in_tenant);
	list_remove(&client->in_principal);
	tally_take(worker, COMMON_TENANT, &limits->tenants, client->of_tenant);
	tally_take(worker, COMMON_PRINCIPAL, &limits->principals, client->of_principal);
	client->of_tenant = client->of_principal = NULL;
	if (client->admitted) {
		limits->sessions--;
		atomic_fetch_sub(&worker->crew->sessions, 1);
	}
	client->admitted = false;
}

/* ---- who is concerned by a change ---- */

static enum common_kind kind_of(const struct directory_change *change)
{
	return change->kind == DIRECTORY_TENANT ? COMMON_TENANT : COMMON_PRINCIPAL;
}

static struct tally **tallies_of(struct limits *limits, const struct directory_change *change)
{
	return change->kind == DIRECTORY_TENANT ? &limits->tenants : &limits->principals;
}

struct tally *limits_hold(struct worker *worker, const struct directory_change *change)
{
	struct tally **tallies = tallies_of(&worker->limits, change), *tally;
	const void *key = change->key;
	size_t len = strlen(change->key);
	struct uuid id;

	if (change->kind == DIRECTORY_TENANT) {
		if (!uuid_parse(change->key, len, &id))
			return NULL;
		key = &id;
		len = sizeof id;
	}
	HASH_FIND(hh, *tallies, key, len, tally);
	if (tally)
		tally->count++;
	return tally;
}

void limits_let_go(struct worker *worker, const struct directory_change *change,
				   struct tally *tally)
{
	tally_let_go(worker, kind_of(change), tallies_of(&worker->limits, change), tally);
}
