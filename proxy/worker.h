/*
 * worker.h: one data thread: its event loop, and all that lives on it.
 *
 * Clients, backends, pools and settings belong to exactly one worker and are touched by its
 * thread alone. What workers share (configuration, key ring, directory) is read-only or does
 * its own locking; a reload gives them another configuration and key ring (reload.h).
 *
 * Clients and backends are never freed while one of their callbacks may still be on the stack:
 * closing takes them out of everything at once and leaves the memory to the end of the loop's
 * turn.
 */
#ifndef PROXY_WORKER_H
#define PROXY_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/mailbox.h"
#include "conf/conf.h"
#include "policy/guard/guard.h"
#include "policy/reason.h"
#include "proxy/drain.h"
#include "proxy/gatekeeper.h"
#include "proxy/limits.h"
#include "router/directory.h"

struct activation;
struct budget;
struct client;
struct crew;
struct hosts;
struct live;
struct paused;
struct pool;
struct pool_past;
struct settings_table;
struct sightings;
struct tls;
struct prepared_table;
struct upstream;
struct verdict;
struct verdict_cache;

/* Bytes read from a socket at once, and room for what was left of the read before. */
#define WORKER_READ_SIZE 65536
#define WORKER_SCRATCH   ((size_t)2 * WORKER_READ_SIZE)

/* Where a cluster's backends are; they stand in the order of the conf's clusters. */
struct worker_address {
	struct hosts *hosts;
	struct budget *budget; /* shared by all that name the same hosts */
};

/* What a worker is given. All of it outlives the worker, but for conf, key ring and TLS where
 * reload.h replaces them. */
struct worker_setup {
	const struct conf *conf;
	const struct guard_keyring *keyring;
	const struct tls *tls;
	struct directory *directory;
	struct live *live;
	struct sightings *sightings; /* NULL: nobody wants to know */
	struct crew *crew;
	const struct worker_address *addresses; /* one per cluster of conf */
	size_t address_count;
	const struct activation *activation; /* sockets that were opened for us; NULL: none */
};

struct worker_counters {
	uint64_t clients, logins, logins_refused, reseals, contexts_lost, backends_opened,
		backends_refused, cancels, tls_failures;
	uint64_t refused[REASON_COUNT], ended[REASON_COUNT]; /* logins, and sessions */
	uint64_t statements_refused[REASON_COUNT], statements_observed[REASON_COUNT];
	uint64_t statements_cancelled[REASON_COUNT]; /* for lasting too long */
	/* Bytes of connections that are closed. */
	uint64_t client_received, client_sent, server_received, server_sent;
};

struct worker {
	const struct conf *conf;
	const struct guard_keyring *keyring;
	const struct tls *tls;
	struct directory *directory;
	struct live *live;
	struct sightings *sightings;
	struct crew *crew;
	size_t number; /* its place in the crew */
	const struct worker_address *addresses;
	size_t address_count;

	const struct activation *activation;

	struct event_base *base;
	struct mailbox *mailbox;
	struct event mailbox_event, tick, reap, feed;
	int tick_fd;
	struct event closer; /* looks at linked backends in between; timeouts.h */
	int closer_fd;
	int64_t closer_until_us; /* 0: not now */
	_Atomic int64_t beat_us; /* of the last tick: router/live.h */
	uint8_t *scratch;
	uint8_t mock_secret[32];
	struct settings_table *settings;
	struct prepared_table *prepared;
	struct verdict_cache *verdicts;
	const struct verdict *unread;     /* of texts that are too long to be read */
	const struct verdict *unreadable; /* of those that are not to be understood */
	struct buf assembly;              /* names.c gathers here what goes to a backend */
	uint64_t last_unnamed_id;
	size_t gathered; /* bytes of messages that clients have sent in part, and are
					  * collected */

	struct upstream *upstreams;
	size_t upstream_count;

	struct pool *pools;     /* uthash by route */
	struct pool_past *past; /* of pools that are gone, by cluster */
	struct list restless;   /* pools that need a look at the next tick */
	struct list idle;       /* backends of all pools, longest idle first */
	struct list opened;     /* backends of all pools that are not too old, oldest first */
	struct list linked;     /* backends that work for a client */
	struct list linked_end; /* marks its end while timeouts.c walks over it */
	struct list listeners, cancels, farewells, resets;
	struct list clients;      /* all */
	struct list logins;       /* not yet welcome, oldest first */
	struct list idle_clients; /* logged in and silent, longest first; when there is a limit */
	struct list leaving;      /* told to go, oldest first */
	size_t leaving_count;
	struct list waiting;   /* for a backend, oldest first */
	struct list looks;     /* of router/live that are not over yet; see operate.c */
	struct list slowed;    /* logins whose proof is looked at later; penalty.h */
	struct list consoles;  /* sessions on the console */
	struct list questions; /* that these have asked all workers */
	uint64_t last_serial;  /* of clients */
	struct list capped;    /* parts of pools that wait for other workers; queue.h */
	struct list movers;    /* backends on their way to other workers; move.h */
	struct list deadlines; /* backends that must finish a step, oldest first */
	struct list dead_clients, dead_servers;
	struct client *by_pid; /* uthash over the pids of our cancel keys */
	size_t client_count;
	struct limits limits;
	struct paused *paused; /* uthash by tenant */
	bool all_paused;
	struct list lined;       /* pools that ask other workers for a backend of their route */
	struct list asked;       /* pools with backends that other workers ask for; upstream.h */
	bool is_asked;           /* there may be such */
	unsigned clusters_age;   /* of the directory's clusters, likewise */
	unsigned hosts_age;      /* of the clusters' hosts, when they were last looked at */
	int64_t reported_us;     /* when the pools last wrote their lines */
	uint64_t texts_reported; /* how many texts of SQL had come by then */
	int64_t expired_us;      /* when it was last looked whose login has expired */
	bool stopping;
	bool heeds_idle; /* something is to be done with clients that become idle */
	struct drain drain;
	struct gatekeeper gatekeeper;
	struct worker_counters counters;
};

/*
 * Joins the crew; the first worker of a crew opens the listeners. NULL when memory or
 * descriptors are out, or a listener cannot be opened (logged).
 */
struct worker *worker_create(const struct worker_setup *setup);

/* Runs the loop until worker_stop. All workers of a crew are created before, and destroyed
 * after, any of them runs. */
void worker_run(struct worker *worker);

/* From the worker's own thread: ends all sessions with 57P01 and leaves the loop. */
void worker_stop(struct worker *worker);
void worker_destroy(struct worker *worker);

/* Pools that stand in line for a place of a budget are looked at when this turn is over. */
void worker_feed_later(struct worker *worker);

/* Asks for worker->reap to run when this turn is over. */
void worker_reap_later(struct worker *worker);

#endif
