/*
 * measures.h: what a worker counts, for the metrics.
 *
 * A worker keeps its numbers where they come up, for itself and without locks; when somebody
 * asks (live_measure), it copies them into one of these on its own thread. Nothing here is
 * text for people: names, help and units are admin/metrics.c's.
 */
#ifndef ROUTER_MEASURES_H
#define ROUTER_MEASURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/histogram.h"
#include "base/uuid.h"
#include "policy/reason.h"

/* What a session does. */
enum session_state {
	SESSION_LOGIN,
	SESSION_IDLE,
	SESSION_WAITING,
	SESSION_ACTIVE,
	SESSION_IDLE_IN_TRANSACTION,
	SESSION_LEAVING,
	SESSION_CONSOLE, /* is served by Bulkhead itself, and of no pool */
	SESSION_STATES,
	SESSION_POOL_STATES = SESSION_CONSOLE, /* so many may those of a pool be in */
};

enum backend_state {
	BACKEND_OPENING,
	BACKEND_IDLE,
	BACKEND_PREPARING,
	BACKEND_ACTIVE,
	BACKEND_CLEANING,
	BACKEND_HELD,
	BACKEND_STATES,
};

/* As people are shown them. */
extern const char *const session_state_names[SESSION_STATES];
extern const char *const backend_state_names[BACKEND_STATES];

/* One pool of one worker. */
struct pool_measures {
	char *cluster;
	size_t sessions[SESSION_POOL_STATES], backends[BACKEND_STATES];
	size_t size_max;
	int64_t longest_wait_us; /* of those who wait now */
	uint64_t requests, handovers, handover_failures, opened, closed, queries, transactions;
	struct histogram wait, handover, query;
};

struct tenant_measures {
	struct uuid id;
	char *slug;
	size_t sessions, waiting, backends;
};

/* A host of a cluster, as far as connecting has shown: router/measures.h's only numbers that
 * all workers share, so the first one has them. */
struct host_measures {
	char *cluster;
	const char *host; /* lives as long as the process */
	char port[8];
	size_t is_down, is_in_use;
};

#define MEASURES_PINS 16

struct measures {
	uint64_t connections, logins, tls_failures, reseals, contexts_lost, cancels;
	uint64_t client_received, client_sent, server_received, server_sent; /* bytes */
	uint64_t verdict_hits, verdict_misses;
	size_t verdict_bytes, verdict_entries, statements, gathered;
	size_t logging_in, leaving, consoles, cancels_open;
	uint64_t refused[REASON_COUNT], ended[REASON_COUNT]; /* logins and sessions, by reason */
	uint64_t statements_refused[REASON_COUNT], statements_observed[REASON_COUNT];
	uint64_t statements_cancelled[REASON_COUNT];
	struct {
		const char *cause; /* static */
		size_t sessions;
	} pins[MEASURES_PINS];
	size_t pin_count;
	struct pool_measures *pools;
	size_t pool_count;
	struct tenant_measures *tenants;
	size_t tenant_count;
	struct host_measures *hosts; /* NULL: none */
	size_t host_count;
};

/* NULL when memory is out. `*_max` say how many there will be at the most. */
struct measures *measures_create(size_t pools_max, size_t tenants_max);
void measures_free(struct measures *measures);

#endif
