/*
 * live.h: what the workers are doing now, and orders to them.
 *
 * Nothing of a worker's is shared: whoever wants to know something or to have something done
 * posts a letter to each worker, which answers by a letter with a copy of its own state. So a
 * worker takes no lock for it, and does nothing as long as nobody asks. The control plane and
 * the console ask; cli/serve joins them. A worker with very many sessions looks at some of them
 * and serves its clients before it looks at the next, so the sessions of a view are not all of
 * one moment.
 */
#ifndef ROUTER_LIVE_H
#define ROUTER_LIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/histogram.h"
#include "base/list.h"
#include "base/mailbox.h"
#include "base/uuid.h"
#include "router/directory.h"
#include "router/measures.h"

/*
 * Tenants and principals are references of the view's; NULL where there is none. `cluster` is
 * the name of a section of the settings, and the view's. Other texts are constants. Times are
 * microseconds, and up to the moment of the look.
 */

#define LIVE_OWN_SIZE     35 /* t_, 32 digits and the NUL */
#define LIVE_NAME_SIZE    64 /* of an application_name, cut short, and its NUL */
#define LIVE_ADDRESS_SIZE 48

struct live_session {
	uint32_t pid; /* of its cancel key, as pg_backend_pid() would be */
	const struct tenant *tenant;
	const struct principal *principal;
	enum session_state state;
	const char *pin;   /* why it keeps its backend; empty: it does not */
	int64_t pinned_us; /* for so long */
	uint32_t backend;  /* the process id of its backend in PostgreSQL, or 0 */
	int64_t waited_us; /* for a backend, so far */
	int64_t age_us;    /* since it connected */
	size_t statements; /* prepared, with names */
	const char *tls_version, *tls_cipher; /* NULL: none */
	char application_name[LIVE_NAME_SIZE];
	char address[LIVE_ADDRESS_SIZE]; /* "unix" for a socket's file */
	uint16_t port;
};

struct live_backend {
	uint32_t pid;
	int64_t opened_us; /* on the monotonic clock */
	char *cluster, *host;
	/* The tenant's own login that it has, or "": the cluster's. */
	char own[LIVE_OWN_SIZE];
	bool own_database; /* of the same name */
	int port;
	const struct tenant *tenant; /* in whose context it is */
	enum backend_state state;
	uint32_t session; /* whom it works for, or 0 */
	int64_t age_us;
	const char *tls_version, *tls_cipher;
	bool leaving; /* closed as soon as it is free */
};

/* What a pool has done. */
struct live_work {
	uint64_t transactions, queries, requests, waited_us;
	int64_t at_us; /* monotonic: until when this was counted; 0: never */
};

struct live_pool {
	char *cluster;
	bool own_login, own_database; /* the tenants' own; else the cluster's */
	bool is_past;                 /* sums of pools that are gone, and nothing else */
	size_t sessions, waiting, tenants;
	size_t backends, active, idle, opening; /* of all backends, those in these states */
	int64_t longest_wait_us;                /* of those that wait now */
	uint64_t handovers, handover_failures, opened, closed;
	struct histogram wait;
	struct live_work work, last, before; /* now, and when the last two periods ended */
};

/* Nobody of this tenant, nor `below` it, is given a backend. */
struct live_pause {
	struct uuid tenant;
	bool below;
};

/* One worker's state. */
struct live_view {
	struct live_session *sessions;
	struct live_backend *backends;
	struct live_pool *pools;
	struct live_pause *paused;
	size_t session_count, backend_count, pool_count, paused_count;
	bool all_paused;
	size_t clients, logging_in, leaving; /* connections of any kind, and those of two */

	/* Where it was asked with a filter: the sessions that fit, whether or not they are in
	 * `sessions`. */
	size_t fitting[SESSION_STATES], fitting_pinned;

	/* Private to the worker while it looks: how far it has come. */
	struct list walk;
	const void *next;
	uint64_t serial, last_serial;
	size_t session_max;
};

/*
 * Whom something is about: those of whom all of this holds. Who lies where in the tree is said
 * by what the session's worker holds of its tenant at that moment. A session without a tenant
 * fits where no tenant is named.
 */
struct live_target {
	bool has_within, has_tenant;
	struct uuid within; /* their tenant is this one or below it: all that the asker may touch */
	struct uuid tenant; /* it is this one, or */
	bool below;         /* one below it */
	uint32_t pid;       /* of the session; 0: any */
};

bool live_target_fits(const struct live_target *target, const struct tenant *tenant,
					  uint32_t pid);

/* Which sessions and backends a view is to have. Backends fit by their tenants alone. */
struct live_filter {
	struct live_target whom;
	char principal[PRINCIPAL_NAME_MAX + 1]; /* "": any */
	uint32_t states;                        /* a bit for each enum session_state; 0: any */
	enum { LIVE_ANY, LIVE_PINNED, LIVE_NOT_PINNED } pins;
	/* Sessions are in the order of their pids: at most so many behind this one, of each
	 * worker. The others are counted. */
	uint32_t after;
	size_t max;
};

bool live_filter_fits(const struct live_filter *filter, const struct live_session *session);

/* NULL when memory is out; with room for so many, but for the sessions. */
struct live_view *live_view_create(size_t backends_max, size_t pools_max, size_t paused_max);

/* Room for sessions; once. False when memory is out. */
bool live_view_reserve(struct live_view *view, size_t sessions_max);

/*
 * A place for a session with this pid among those with the lowest, to be filled in; one that is
 * not among them any more goes. NULL: there are enough lower ones. When all have come,
 * live_view_sort puts them in order.
 */
struct live_session *live_view_place(struct live_view *view, uint32_t pid);
void live_view_sort(struct live_view *view);
void live_view_free(struct live_view *view);

/* The order by which the tenant is paused, its own before those of tenants above it; or NULL.
 * That all are paused is said apart. */
const struct live_pause *live_view_pause_of(const struct live_view *view,
											const struct tenant *tenant);

/* What is to be looked at, each with all before it. */
enum live_scope {
	LIVE_COUNTS, /* pools, paused tenants and counts */
	LIVE_BACKENDS,
	LIVE_SESSIONS, /* without their addresses, which cost a system call each */
	LIVE_ALL,
};

enum live_verb {
	LIVE_KILL,   /* ends the sessions, with 57P01 */
	LIVE_CANCEL, /* ends what they have under way, as a CancelRequest would */
	LIVE_PAUSE,  /* transactions that run may end; no other begins until LIVE_RESUME */
	LIVE_RESUME,
	LIVE_RECONNECT, /* backends are replaced: idle ones now, others when they are free */
};

/* What a worker can do; called on its thread. `filter` NULL: all is looked at. */
struct live_ops {
	void *self;
	/*
	 * Begins a view (*view is NULL) or goes on with it. True when it is complete, or NULL
	 * because memory is out; else it is called again at a later turn of the worker's loop.
	 */
	bool (*look)(void *self, enum live_scope scope, const struct live_filter *filter,
				 struct live_view **view);
	/* NULL when memory is out. The caller owns them. */
	struct measures *(*measure)(void *self);
	/* How many sessions, or backends, were concerned. */
	size_t (*obey)(void *self, enum live_verb verb, const struct live_target *target);
	/* When the loop last turned, on the monotonic clock in microseconds: written by the worker,
	 * read by anybody. */
	const _Atomic int64_t *beat_us;
};

struct live;

/* NULL when memory is out. */
struct live *live_create(void);

/* Only when no question is under way. NULL is fine. */
void live_destroy(struct live *live);

/*
 * A worker begins and ends to take part. Before its mailbox is destroyed it must have left, and
 * then have drained it; answers to its own questions do not come any more.
 */
bool live_join(struct live *live, struct mailbox *mailbox, const struct live_ops *ops);
void live_leave(struct live *live, const struct mailbox *mailbox);

/* What all workers have answered. */
struct live_answer {
	struct live_view **views; /* one per worker, NULL when memory was out there */
	size_t count;
	size_t concerned; /* the sum for an order, 0 for a question */
};

void live_answer_free(struct live_answer *answer);

/*
 * The pools of all workers in one list, from malloc: one for each cluster and kind of login and
 * database, or (by_cluster) for each cluster, where pools that are gone count too. Names are
 * the answer's. NULL when memory is out.
 */
struct live_pool *live_sum_pools(const struct live_answer *answer, bool by_cluster,
								 size_t *count);

/* The sum in that list that the pool belongs to; NULL: there is none. */
struct live_pool *live_find_sum(struct live_pool *sums, size_t count,
								const struct live_pool *pool);

/* Called on the asker's thread when all workers have answered; the callee owns the answer,
 * which is NULL when memory is out. */
typedef void (*live_answered)(void *asker, struct live_answer *answer);

/* False when memory is out, or no worker runs, and then nothing was asked. The filter is
 * copied; NULL: everything. */
bool live_look(struct live *live, enum live_scope scope, const struct live_filter *filter,
			   struct mailbox *mailbox, live_answered answered, void *asker);

/* `all` is one per worker, some of them NULL when memory was out there; they are freed when
 * this returns. */
typedef void (*live_measured)(void *asker, struct measures *const all[], size_t count);

/* As live_look. */
bool live_measure(struct live *live, struct mailbox *mailbox, live_measured measured,
				  void *asker);

/* When the worker whose loop last turned longest ago did so; INT64_MAX when there is none. From
 * any thread. */
int64_t live_oldest_beat_us(struct live *live);

/* As live_look. The target is copied; NULL: all. */
bool live_order(struct live *live, enum live_verb verb, const struct live_target *target,
				struct mailbox *mailbox, live_answered answered, void *asker);

#endif
