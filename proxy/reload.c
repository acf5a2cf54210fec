#include "proxy/reload.h"

#include <errno.h>
#include <semaphore.h>
#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "base/secret.h"
#include "proxy/client.h"
#include "proxy/listener.h"
#include "proxy/pool.h"
#include "proxy/timeouts.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

struct reload_letter {
	struct letter letter;
	struct worker *worker;
	const struct conf *conf;
	const struct guard_keyring *keyring;
	const struct tls *tls;
	sem_t taken;
};

/* Everything that points into the old conf points to the same place of the new one. */
static void move_over(struct worker *worker, const struct conf *old)
{
	const struct conf *conf = worker->conf;
	struct pool *pool, *next;

	listener_take_settings(worker, old->listens, conf->listens);
	list_each (node, after, &worker->clients) {
		struct client *client = list_entry(node, struct client, node);

		client->listen = &conf->listens[client->listen - old->listens];
	}
	HASH_ITER (hh, worker->pools, pool, next)
		pool_take_settings(pool, &conf->clusters[pool->key.cluster]);
}

/* May send its backend on, to clients that fail then, so that any of them can go. */
static void renew_gate(struct client *client, void *unused)
{
	(void)unused;
	if (client->tenant)
		gatekeeper_renew(client);
}

/* May its tenant be served under these settings and keys? */
static bool is_stranger(const struct client *client, enum reason *why)
{
	const struct worker *worker = client->worker;

	if (!client->admitted || !client->tenant || !client->pool)
		return false;
	*why = REASON_REGION;
	if (!conf_serves_region(worker->conf, client->tenant->region))
		return true;
	*why = REASON_KEY;
	return pool_is_sealed(client->pool) &&
		   !guard_keyring_signs_for(worker->keyring, &client->tenant->id);
}

static struct client *find_stranger(const struct worker *worker, enum reason *why)
{
	list_each (node, next, &worker->clients) {
		struct client *client = list_entry(node, struct client, node);

		if (is_stranger(client, why))
			return client;
	}
	return NULL;
}

/* Ending one client can end others too: each search begins anew. */
static void end_strangers(struct worker *worker)
{
	struct client *client;
	enum reason why;

	while ((*worker->conf->regions || guard_keyring_tenant(worker->keyring)) &&
		   (client = find_stranger(worker, &why)) != NULL)
		client_fatal(client, why, NULL);
}

static void take(struct worker *worker, const struct conf *conf,
				 const struct guard_keyring *keyring, const struct tls *tls)
{
	const struct conf *old = worker->conf;
	uint8_t mock_secret[GUARD_KEY_SIZE];

	worker->conf = conf;
	gatekeeper_take_settings(worker, conf);
	worker->keyring = keyring;
	worker->tls = tls; /* connections that are under way keep their part of the old one */
	/* When OpenSSL fails the earlier one is as good. */
	if (guard_mock_secret(keyring, mock_secret))
		memcpy(worker->mock_secret, mock_secret, sizeof worker->mock_secret);
	secret_wipe(mock_secret, sizeof mock_secret);
	move_over(worker, old);
	client_each(&worker->clients, offsetof(struct client, node), renew_gate, NULL);
	verdict_cache_set_max(worker->verdicts, (size_t)conf->statement_cache_size);
	upstreams_take_settings(worker);
	worker->heeds_idle = conf->client_idle_timeout_ms > 0 || drain_is_on(worker);
	if (conf->client_idle_timeout_ms && !old->client_idle_timeout_ms)
		timeouts_begin_idle(worker, clock_monotonic_us());
	end_strangers(worker);
}

static void deliver(struct letter *letter)
{
	struct reload_letter *reload = (struct reload_letter *)(void *)letter;

	take(reload->worker, reload->conf, reload->keyring, reload->tls);
	sem_post(&reload->taken);
}

void worker_reload(struct worker *worker, const struct conf *conf,
				   const struct guard_keyring *keyring, const struct tls *tls)
{
	struct reload_letter letter = {{NULL, deliver}, worker, conf, keyring, tls, {{0}}};

	sem_init(&letter.taken, 0, 0);
	mailbox_post(worker->mailbox, &letter.letter);
	while (sem_wait(&letter.taken) != 0 && errno == EINTR)
		continue;
	sem_destroy(&letter.taken);
}
