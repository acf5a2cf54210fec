#include "proxy/penalty.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "conf/conf.h"
#include "proxy/client.h"
#include "proxy/crew.h"
#include "proxy/worker.h"

#include <uthash.h>

struct penalty {
	uint64_t key; /* a keyed hash of the address, and of the principal's name behind it */
	UT_hash_handle hh;
	struct list node;
	unsigned failures;
	int64_t last_us, next_us; /* when it failed last; when the next attempt may be checked */
};

void penalties_init(struct penalties *penalties)
{
	pthread_mutex_init(&penalties->lock, NULL);
	list_init(&penalties->by_age);
}

/* Those of the worker's crew. */
static struct penalties *take_penalties(const struct worker *worker)
{
	struct penalties *penalties = &worker->crew->penalties;

	pthread_mutex_lock(&penalties->lock);
	return penalties;
}

static void let_go(struct penalties *penalties)
{
	pthread_mutex_unlock(&penalties->lock);
}

static bool is_empty(const struct worker *worker)
{
	return !atomic_load_explicit(&worker->crew->penalties.count, memory_order_relaxed);
}

static void forget(struct penalties *penalties, struct penalty *penalty)
{
	HASH_DEL(penalties->by_key, penalty);
	list_remove(&penalty->node);
	penalties->count--;
	free(penalty);
}

void penalties_fini(struct penalties *penalties)
{
	struct penalty *penalty;

	while ((penalty = list_first(&penalties->by_age, struct penalty, node)) != NULL)
		forget(penalties, penalty);
	pthread_mutex_destroy(&penalties->lock);
}

/* ---- who ---- */

/* The bytes of the peer's address; of IPv6 those of its network, since a host has all of it.
 * *local: it is this machine. */
static size_t address_of(const struct client *client, uint8_t out[16], bool *local)
{
	struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
	socklen_t len = sizeof address;
	const struct sockaddr_in *v4 = (const void *)&address;
	const struct sockaddr_in6 *v6 = (const void *)&address;

	*local = true;
	if (getpeername(client->stream.fd, (struct sockaddr *)&address, &len) != 0)
		return 0;
	if (address.ss_family == AF_INET) {
		memcpy(out, &v4->sin_addr, 4);
		*local = out[0] == IN_LOOPBACKNET;
		return 4;
	}
	if (address.ss_family != AF_INET6)
		return 0;
	bool mapped = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
	*local = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
	memcpy(out, mapped ? &v6->sin6_addr.s6_addr[12] : v6->sin6_addr.s6_addr, mapped ? 4 : 8);
	return mapped ? 4 : 8;
}

struct keys {
	uint64_t pair, address; /* 0: none */
};

static struct keys keys_of(const struct client *client, const char *principal)
{
	uint8_t address[16];
	bool local;
	size_t len = address_of(client, address, &local);
	const uint64_t parts[] = {hash_bytes(address, len),
							  hash_bytes(principal, strlen(principal))};

	return (struct keys){hash_bytes(parts, sizeof parts), local ? 0 : parts[0]};
}

static struct penalty *find(const struct penalties *penalties, uint64_t key)
{
	struct penalty *penalty;

	HASH_FIND(hh, penalties->by_key, &key, sizeof key, penalty);
	return penalty;
}

/* The one that failed longest ago makes room. NULL when memory is out. */
static struct penalty *add(struct penalties *penalties, uint64_t key)
{
	struct penalty *penalty = calloc(1, sizeof *penalty);

	if (!penalty)
		return NULL;
	if (penalties->count == PENALTY_ENTRIES_MAX)
		forget(penalties, list_first(&penalties->by_age, struct penalty, node));
	penalty->key = key;
	HASH_ADD(hh, penalties->by_key, key, sizeof penalty->key, penalty);
	if (!penalty->hh.tbl) {
		free(penalty);
		return NULL;
	}
	list_append(&penalties->by_age, &penalty->node);
	penalties->count++;
	return penalty;
}

/* ---- how long ---- */

/* In microseconds. */
static int64_t delay_of(const struct worker *worker, unsigned failures)
{
	unsigned doublings = failures - 1 < PENALTY_DOUBLINGS ? failures - 1 : PENALTY_DOUBLINGS;

	return failures ? worker->conf->login_failure_delay_ms * 1000 << doublings : 0;
}

static unsigned counted(const struct penalty *penalty, bool of_address)
{
	unsigned free = of_address ? PENALTY_ADDRESS_FREE : 0;

	return penalty->failures > free ? penalty->failures - free : 0;
}

/*
 * When the next attempt may be checked. Those that come at one time queue up, but not for
 * longer than the longest delay: who is right must not wait behind very many who are wrong.
 */
static int64_t take_slot(const struct worker *worker, const struct penalties *penalties,
						 uint64_t key, bool of_address, int64_t now_us)
{
	struct penalty *penalty = key ? find(penalties, key) : NULL;

	if (!penalty || now_us - penalty->last_us > PENALTY_FORGET_US)
		return now_us;
	int64_t delay_us = delay_of(worker, counted(penalty, of_address));
	if (!delay_us)
		return now_us;
	int64_t latest_us = now_us + delay_of(worker, PENALTY_DOUBLINGS + 1);
	int64_t at_us = penalty->next_us < latest_us ? penalty->next_us : latest_us;

	if (at_us < now_us)
		at_us = now_us;
	penalty->next_us = at_us + delay_us;
	return at_us;
}

bool penalty_waits(struct client *client, struct penalty_ticket *ticket, const char *principal)
{
	struct worker *worker = client->worker;

	/* As long as nobody fails this is all there is to it. */
	if (ticket->taken || is_empty(worker) || !worker->conf->login_failure_delay_ms)
		return false;
	ticket->taken = true;
	const struct keys keys = keys_of(client, principal);
	int64_t now_us = clock_monotonic_us();
	struct penalties *penalties = take_penalties(worker);
	int64_t of_pair_us = take_slot(worker, penalties, keys.pair, false, now_us);
	int64_t of_address_us = take_slot(worker, penalties, keys.address, true, now_us);
	let_go(penalties);

	ticket->at_us = of_pair_us > of_address_us ? of_pair_us : of_address_us;
	if (ticket->at_us <= now_us)
		return false;
	ticket->client = client;
	ticket->pair = keys.pair;
	ticket->address = keys.address;
	list_append(&worker->slowed, &ticket->node);
	client->state = CLIENT_SLOWED;
	return true;
}

void penalty_drop(struct penalty_ticket *ticket)
{
	if (ticket->client)
		list_remove(&ticket->node);
	ticket->client = NULL;
}

/* Somebody has shown the password since: it was not guessing. */
static bool is_pardoned(const struct penalties *penalties, const struct penalty_ticket *ticket)
{
	return !find(penalties, ticket->pair) &&
		   (!ticket->address || !find(penalties, ticket->address));
}

static struct penalty_ticket *first_due(const struct worker *worker, int64_t now_us)
{
	struct penalty_ticket *due = NULL;

	if (list_empty(&worker->slowed))
		return NULL;
	struct penalties *penalties = take_penalties(worker);
	list_each (node, next, (struct list *)&worker->slowed) {
		struct penalty_ticket *ticket = list_entry(node, struct penalty_ticket, node);

		if (now_us >= ticket->at_us || is_pardoned(penalties, ticket)) {
			due = ticket;
			break;
		}
	}
	let_go(penalties);
	return due;
}

static void expire(const struct worker *worker, int64_t now_us)
{
	struct penalty *penalty;

	if (is_empty(worker))
		return;
	struct penalties *penalties = take_penalties(worker);
	while (penalties->by_key &&
		   (penalty = list_first(&penalties->by_age, struct penalty, node)) != NULL &&
		   now_us - penalty->last_us > PENALTY_FORGET_US)
		forget(penalties, penalty);
	let_go(penalties);
}

void penalty_tick(struct worker *worker, int64_t now_us)
{
	struct penalty_ticket *ticket;
	struct client *client;

	expire(worker, now_us);
	while ((ticket = first_due(worker, now_us)) != NULL && (client = ticket->client) != NULL) {
		penalty_drop(ticket);
		client->state = CLIENT_AUTH;
		client_resume(client);
	}
}

/* ---- outcomes ---- */

static void note_failure(const struct worker *worker, struct penalties *penalties, uint64_t key,
						 bool of_address)
{
	struct penalty *penalty = key ? find(penalties, key) : NULL;
	int64_t now_us = clock_monotonic_us();

	if (!penalty)
		penalty = key ? add(penalties, key) : NULL;
	if (!penalty)
		return;
	if (penalty->failures < UINT16_MAX)
		penalty->failures++;
	penalty->last_us = now_us;
	list_remove(&penalty->node);
	list_append(&penalties->by_age, &penalty->node);
	int64_t next_us = now_us + delay_of(worker, counted(penalty, of_address));
	if (penalty->next_us < next_us)
		penalty->next_us = next_us;
}

void penalty_failed(const struct client *client, const char *principal)
{
	if (!client->worker->conf->login_failure_delay_ms)
		return;
	const struct keys keys = keys_of(client, principal);
	struct penalties *penalties = take_penalties(client->worker);
	note_failure(client->worker, penalties, keys.pair, false);
	note_failure(client->worker, penalties, keys.address, true);
	let_go(penalties);
}

static void pardon(struct penalties *penalties, uint64_t key)
{
	struct penalty *penalty = key ? find(penalties, key) : NULL;

	if (penalty)
		forget(penalties, penalty);
}

void penalty_succeeded(const struct client *client, const char *principal)
{
	if (is_empty(client->worker))
		return;
	const struct keys keys = keys_of(client, principal);
	struct penalties *penalties = take_penalties(client->worker);
	pardon(penalties, keys.pair);
	pardon(penalties, keys.address);
	let_go(penalties);
}
