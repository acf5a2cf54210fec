/*
 * live.h: what the workers are doing now, and orders to them.
 *
 * Nothing of a worker's is shared: whoever wants to know something or to have something done
 * posts a letter to each worker, which answers by a letter with a copy of its own state. So a
 * worker takes no lock for it, and does nothing as long as nobody asks. The control plane and
 * the console ask; cli/serve joins them.
 */
#ifndef ROUTER_LIVE_H
#define ROUTER_LIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mailbox.h"
#include "base/uuid.h"

/* Texts in these structures belong to the view; NULL where there is none. */

struct live_session {
	uint32_t pid; /* of its cancel key, as pg_backend_pid() would be */
	struct uuid tenant;
	char *slug, *principal;
	const char
		*state;   /* "login", "idle", "waiting", "active", "idle in transaction" or "leaving" */
	char pin[24]; /* why it keeps its backend, cut short; empty: it does not */
	uint32_t backend;  /* the process id of its backend in PostgreSQL, or 0 */
	int64_t waited_us; /* for a backend, so far */
};

struct live_backend {
	uint32_t pid;
	char *cluster, *slug; /* in whose context it is */
	const char *state;    /* "opening", "idle", "preparing", "active", "cleaning" or "held" */
	uint32_t session;     /* whom it works for, or 0 */
	int64_t age_us;
};

struct live_pool {
	char *cluster;
	size_t sessions, waiting, backends;
	uint64_t requests, handovers, handover_failures, opened, closed;
	int64_t wait_p50_us, wait_p99_us, wait_max_us;
};

/* One worker's state at one moment. */
struct live_view {
	struct live_session *sessions;
	struct live_backend *backends;
	struct live_pool *pools;
	size_t session_count, backend_count, pool_count;
};

/* NULL when memory is out. `*_max` say how many there will be at the most. */
struct live_view *live_view_create(size_t sessions_max, size_t backends_max, size_t pools_max);
void live_view_free(struct live_view *view);

enum live_verb {
	LIVE_KILL,  /* ends the sessions, with 57P01 */
	LIVE_PAUSE, /* transactions that run may end; no other begins until LIVE_RESUME */
	LIVE_RESUME,
	LIVE_RECONNECT, /* backends are replaced: idle ones now, others when they are free */
};

struct measures;

/* What a worker can do; called on its thread. `tenant` NULL: all. */
struct live_ops {
	void *self;
	/* NULL when memory is out. The caller owns the view. */
	struct live_view *(*look)(void *self);
	/* The same. */
	struct measures *(*measure)(void *self);
	/* How many sessions, or backends, were concerned. */
	size_t (*obey)(void *self, enum live_verb verb, const struct uuid *tenant);
	/* When the loop last turned, on the monotonic clock in microseconds: written by the worker,
	 * read by anybody. */
	const _Atomic int64_t *beat_us;
};

struct live;

/* NULL when memory is out. */
struct live *live_create(void);

/* Only when no question is under way. NULL is fine. */
void live_destroy(struct live *live);

/* A worker begins and ends to take part. Before its mailbox is destroyed it must have left. */
bool live_join(struct live *live, struct mailbox *mailbox, const struct live_ops *ops);
void live_leave(struct live *live, const struct mailbox *mailbox);

/*
 * Called on the asker's thread when all workers have answered. `views` are one per worker, some
 * of them NULL when memory was out there; they are freed when this returns. `concerned` is the
 * sum for an order, 0 for a question.
 */
typedef void (*live_answer)(void *asker, struct live_view *const views[], size_t count,
							size_t concerned);

/* False when memory is out, and then nothing was asked. */
bool live_look(struct live *live, struct mailbox *mailbox, live_answer answered, void *asker);
/* `all` is one per worker, some of them NULL when memory was out there; they are freed when
 * this returns. */
typedef void (*live_measured)(void *asker, struct measures *const all[], size_t count);

/* As live_look. */
bool live_measure(struct live *live, struct mailbox *mailbox, live_measured answered,
				  void *asker);

/* When the worker whose loop last turned longest ago did so; INT64_MAX when there is none. From
 * any thread. */
int64_t live_oldest_beat_us(struct live *live);

bool live_order(struct live *live, enum live_verb verb, const struct uuid *tenant,
				struct mailbox *mailbox, live_answer answered, void *asker);

#endif
