#include "proxy/limits.h"

#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "proxy/client.h"
#include "proxy/worker.h"

/* Logins that are looked at for one that waits for its peer and not for us. */
#define VICTIM_SEARCH_MAX 64

/* ---- tallies ---- */

/* One more under this key; NULL when memory is out. */
static struct tally *tally_add(struct tally **tallies, const void *key, size_t len)
{
	struct tally *tally;

	HASH_FIND(hh, *tallies, key, len, tally);
	if (tally) {
		tally->count++;
		return tally;
	}
	tally = calloc(1, sizeof *tally);
	if (!tally)
		return NULL;
	tally->key = malloc(len);
	if (tally->key) {
		memcpy(tally->key, key, len);
		tally->key_len = len;
		tally->count = 1;
		list_init(&tally->members);
		HASH_ADD_KEYPTR(hh, *tallies, tally->key, tally->key_len, tally);
	}
	if (!tally->key || !tally->hh.tbl) {
		free(tally->key);
		free(tally);
		return NULL;
	}
	return tally;
}

static void tally_take(struct tally **tallies, struct tally *tally)
{
	if (!tally || --tally->count)
		return;
	HASH_DEL(*tallies, tally);
	free(tally->key);
	free(tally);
}

static bool is_over(const struct tally *tally, int limit)
{
	return limit && tally->count > (size_t)limit;
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

void limits_connected(struct client *client)
{
	struct worker *worker = client->worker;

	client->logging_in = true;
	if (++worker->limits.logging_in <= (size_t)worker->conf->max_login_conn)
		return;
	struct client *silent = find_silent(worker, client);
	worker->counters.logins_refused++;
	client_fatal(silent ? silent : client, REASON_LOGINS, NULL);
}

void limits_logged_in(struct client *client)
{
	if (!client->logging_in)
		return;
	client->logging_in = false;
	client->worker->limits.logging_in--;
}

/* ---- sessions ---- */

bool limits_may_admit(const struct worker *worker)
{
	return worker->limits.sessions < (size_t)worker->conf->max_client_conn;
}

/* The last places are for those who are to find out why the others are taken. */
static size_t places_for(const struct client *client)
{
	const struct conf *conf = client->worker->conf;
	int reserved = conf->reserved_client_conn;

	if (reserved >= conf->max_client_conn || conf_is_admin(conf, client->principal->name))
		reserved = 0;
	return (size_t)(conf->max_client_conn - reserved);
}

static bool take_place(struct client *client, enum reason *why)
{
	struct limits *limits = &client->worker->limits;

	if (limits->sessions >= places_for(client)) {
		*why = REASON_CLIENTS;
		return false;
	}
	limits->sessions++;
	client->admitted = true;
	return true;
}

bool limits_admit_console(struct client *client, enum reason *why)
{
	const char *name = client->principal->name;

	if (!take_place(client, why))
		return false;
	*why = REASON_MEMORY;
	client->of_principal = tally_add(&client->worker->limits.principals, name, strlen(name));
	if (client->of_principal)
		list_append(&client->of_principal->members, &client->in_principal);
	return client->of_principal;
}

bool limits_admit(struct client *client, enum reason *why)
{
	struct limits *limits = &client->worker->limits;
	const struct conf *conf = client->worker->conf;
	const struct principal *principal = client->principal;

	if (!take_place(client, why))
		return false;
	client->of_tenant =
		tally_add(&limits->tenants, &client->tenant->id, sizeof client->tenant->id);
	client->of_principal =
		tally_add(&limits->principals, principal->name, strlen(principal->name));
	if (client->of_tenant)
		list_append(&client->of_tenant->members, &client->in_tenant);
	if (client->of_principal)
		list_append(&client->of_principal->members, &client->in_principal);
	if (!client->of_tenant || !client->of_principal)
		*why = REASON_MEMORY;
	else if (is_over(client->of_tenant, conf->max_tenant_client_connections))
		*why = REASON_TENANT_CLIENTS;
	else if (is_over(client->of_principal, conf->max_user_client_connections))
		*why = REASON_USER_CLIENTS;
	else
		return true;
	return false; /* its departure takes it out of the counts */
}

void limits_departed(struct client *client)
{
	struct limits *limits = &client->worker->limits;

	limits_logged_in(client);
	list_remove(&client->in_tenant);
	list_remove(&client->in_principal);
	tally_take(&limits->tenants, client->of_tenant);
	tally_take(&limits->principals, client->of_principal);
	client->of_tenant = client->of_principal = NULL;
	if (client->admitted)
		limits->sessions--;
	client->admitted = false;
}

/* ---- who is concerned by a change ---- */

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
	tally_take(tallies_of(&worker->limits, change), tally);
}
