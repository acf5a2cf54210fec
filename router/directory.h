/*
 * directory.h: what tenants and principals there are, as the data plane knows them.
 *
 * Entries are immutable and counted; a look-up answers at once from the cache or later, through
 * the asking thread's mailbox, after the control thread has asked the control database. The
 * directory declares the source it needs; admin/store implements it and cli/serve joins the
 * two.
 *
 * The control database announces changes (the *feed*). What the directory holds is read again
 * when a change of it is announced, and compared with the control database after the feed was
 * interrupted; those who watch the directory are told what has changed. Only what somebody
 * asked for is held, and what is in use is not forgotten.
 */
#ifndef ROUTER_DIRECTORY_H
#define ROUTER_DIRECTORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/histogram.h"
#include "base/mailbox.h"
#include "base/uuid.h"
#include "policy/permission.h"
#include "policy/rule.h"

#define TENANT_DEPTH_MAX   20
#define TENANT_TOKEN_MAX   255 /* bytes of an id, slug or key as a client may write it */
#define PRINCIPAL_NAME_MAX 63

enum tenant_strategy { SHARED_RLS, SCHEMA_PER_TENANT, DATABASE_PER_TENANT };
enum tenant_status {
	TENANT_PROVISIONING,
	TENANT_ACTIVE,
	TENANT_SUSPENDED,
	TENANT_ARCHIVED,
	TENANT_PURGING
};
enum reach { REACH_SELF, REACH_SUBTREE, REACH_ALL };

/*
 * What the settings `proxy.*` limit for a tenant by itself, beside what the configuration
 * limits for all. 0 is no limit.
 */
struct tenant_limits {
	bool has_max_connections;
	int64_t max_connections; /* clients; where there is such a limit, also 0 */
	int64_t pool_size;       /* backends that its clients may hold */
	int64_t statement_timeout_ms, idle_in_transaction_timeout_ms, query_wait_timeout_ms;
	int64_t rate_limit; /* statements a second */
	int64_t rate_burst; /* of them at once; 0: as many as in a second */
};

struct tenant {
	atomic_int references; /* 1 when made; use tenant_ref and tenant_unref */
	struct uuid id;
	struct uuid path[TENANT_DEPTH_MAX]; /* root first, itself last */
	size_t depth;
	char *slug;
	char *key;     /* the application's own name for it, or NULL */
	char *cluster; /* name of the cluster it lives on */
	char *seal;    /* as guard_seal gives it */
	char *region;  /* where its data must be, or NULL */
	/* Which key of its cluster's secret the password of its own login is derived from, or NULL.
	 */
	char *login_kid;
	bool dedicated_login; /* reaches the shared tables by a login of its own */
	enum tenant_strategy strategy;
	enum tenant_status status;
	unsigned pool_weight; /* its clients' share when tenants wait for backends; at least 1 */
	struct permissions permissions; /* what its grants and those above it come to */
	struct tenant_limits limits;
	int64_t version;
	uint64_t moment; /* when the directory took it in; see struct directory_change */
};

struct principal {
	atomic_int references; /* 1 when made; use principal_ref and principal_unref */
	char *name;
	char *verifier; /* SCRAM-SHA-256$…, as PostgreSQL has it; NULL: cannot log in */
	struct uuid home;
	enum reach reach;
	bool disabled;
	int max_connections; /* at one time, of all workers together; 0: no limit of its own */
	/* What its clients' certificates are called, where they must name it; ends with NULL. NULL:
	 * as the principal itself. */
	char **certificate_names;
	/* Of those within its reach, for whom it may speak: these and all below. NULL: all. */
	struct uuid *tenants;
	size_t tenant_count;
	int64_t valid_until_ms; /* wall time; INT64_MAX when it never ends */
	int64_t version;
	uint64_t moment;
};

const struct tenant *tenant_ref(const struct tenant *tenant);
void tenant_unref(const struct tenant *tenant); /* NULL is fine */
const struct principal *principal_ref(const struct principal *principal);
void principal_unref(const struct principal *principal);

/*
 * Reads certificate_names of an array of texts; null or nothing at all (NULL) leaves it NULL.
 * False when it is anything else, or memory is out; what was read is freed with the principal.
 */
bool principal_read_names(const json_t *value, struct principal *principal);

/* Reads tenants of an array of ids, in the same way. */
bool principal_read_tenants(const json_t *value, struct principal *principal);

/* Which isolation rules are in force for tenants that are kept apart so. */
enum rule_place tenant_place(enum tenant_strategy strategy);

/* Is it called so: by its slug, its key, or its id in any way to write a uuid? */
bool tenant_is_called(const struct tenant *tenant, const char *token);

/* Is `tenant` the ancestor itself or somewhere below it? */
bool tenant_is_within(const struct tenant *tenant, const struct uuid *ancestor);

enum directory_result {
	DIRECTORY_FOUND,
	DIRECTORY_UNKNOWN,     /* the control database says that there is none */
	DIRECTORY_UNAVAILABLE, /* neither the control database nor the cache can say */
	DIRECTORY_PENDING,     /* the answer will come through the mailbox */
};

enum directory_kind { DIRECTORY_TENANT, DIRECTORY_PRINCIPAL };

/*
 * One asker's wait. The asker embeds nothing: lookups are made by directory_find_* and freed by
 * the directory after `answered` returned or the lookup was abandoned.
 */
struct directory_lookup;

/*
 * One look-up in the control database. Any number of askers who want the same token at the same
 * time wait for one question; it is made and freed by the directory.
 */
struct directory_question;

/*
 * A part of what is held, for the control database to compare with what it has. It is made and
 * freed by the directory.
 */
struct directory_comparison;

/*
 * Called on the asking thread when a pending look-up ends; never with DIRECTORY_PENDING.
 * Exactly one of tenant and principal is set on FOUND; the callee owns that reference.
 */
typedef void (*directory_answer)(void *asker, enum directory_result result,
								 const struct tenant *tenant,
								 const struct principal *principal);

/* What the directory asks of the control plane; called on the control thread only. */
struct directory_source {
	void *self;
	/*
	 * Starts a look-up by `token` (a tenant's id, slug or key; a principal's name), which stays
	 * valid until the question is answered. Must end in exactly one call of directory_resolved
	 * for this question, at once or later, on the control thread. `urgent`: not a login waits
	 * for it but sessions that may have to end, so it goes before the others.
	 */
	void (*find)(void *self, enum directory_kind kind, const char *token,
				 struct directory_question *question, bool urgent);
	/*
	 * Asks which of these are not of these versions any more, or gone: two array literals of
	 * PostgreSQL's, which stay valid until the comparison has ended. Must end, on the control
	 * thread, in a call of directory_differs for each of those and then directory_compared, or
	 * in one of directory_not_compared.
	 */
	void (*compare)(void *self, enum directory_kind kind, const char *keys,
					const char *versions, struct directory_comparison *comparison);
};

/* What is held is compared in parts of so many at the most: it bounds a question, its answer,
 * and how long others wait behind it. */
#define DIRECTORY_COMPARED_MAX 1000

struct directory;

struct directory_limits {
	int64_t
		ttl_ms; /* answers older than this are asked again, though no change was announced */
	/* Answers serve so long while the control database cannot be asked; 0: for ever. */
	int64_t max_stale_ms;
	/* Bounds the known words of each kind, and apart from them those known to be unknown, so
	 * that a stranger who guesses names drives no tenant out. */
	int cache_size;
};

/*
 * `control` is the control thread's mailbox. While the source is unavailable old answers are
 * served, and the source is asked again a second later. Source and limits are copied. NULL when
 * memory is out.
 */
struct directory *directory_create(struct mailbox *control,
								   const struct directory_source *source,
								   const struct directory_limits *limits);

/* Other limits from now on, from any thread: also for what is remembered already. */
void directory_limit(struct directory *directory, const struct directory_limits *limits);

/* Only when no look-up is under way. */
void directory_destroy(struct directory *directory);

/*
 * Look-ups, from any thread. FOUND gives a reference in *out. PENDING gives the lookup in
 * *pending, to be abandoned when the asker goes away first; `answered` comes through `mailbox`.
 */
enum directory_result directory_find_tenant(struct directory *directory, const char *token,
											struct mailbox *mailbox, directory_answer answered,
											void *asker, const struct tenant **out,
											struct directory_lookup **pending);
enum directory_result directory_find_principal(struct directory *directory, const char *name,
											   struct mailbox *mailbox,
											   directory_answer answered, void *asker,
											   const struct principal **out,
											   struct directory_lookup **pending);

/* On the asking thread: the answer is no longer wanted, `answered` will not be called. */
void directory_abandon(struct directory_lookup *lookup);

/*
 * The source's answer, on the control thread. On FOUND it hands over one reference of the
 * tenant or principal. UNAVAILABLE is never cached; UNKNOWN is: of a tenant for a second, of a
 * principal for ttl_ms, as long as any other answer.
 */
void directory_resolved(struct directory_question *question, enum directory_result result,
						const struct tenant *tenant, const struct principal *principal);

/* ---- the feed; on the control thread ---- */

/* Announcements come from now on: what is held is compared with the control database. */
void directory_feed_began(struct directory *directory);

/* No announcements come any more. Idempotent. */
void directory_feed_ended(struct directory *directory);

/* To be called every few seconds while the feed stands: catches up with what could not be done.
 */
void directory_feed_pulse(struct directory *directory);

/* The tenant of this id (32 digits), or the principal of this name, is new, another or gone. */
void directory_changed(struct directory *directory, enum directory_kind kind, const char *key);

/*
 * The tenant of this id (32 digits), or the principal of this name, is not what was held: it
 * hands over one reference of what it is now, or neither where it is gone.
 */
void directory_differs(struct directory *directory, enum directory_kind kind, const char *key,
					   const struct tenant *tenant, const struct principal *principal);

/* All of this part that differ have been named; the next part is compared. */
void directory_compared(struct directory_comparison *comparison);

/* The control database did not say what differs: the next pulse begins anew. */
void directory_not_compared(struct directory_comparison *comparison);

/* ---- those who are told ---- */

/* What has become of a tenant or principal. The new state is set, or neither when it is gone;
 * borrowed for the call. */
struct directory_change {
	enum directory_kind kind;
	const char *key; /* the tenant's id as 32 digits, the principal's name */
	const struct tenant *tenant;
	const struct principal *principal;
	/*
	 * Moments count what the directory took in, up from 1. A look-up may be answered with a
	 * state while the news of one before it are still under way: whoever holds a state of a
	 * later moment has nothing to learn from these. (Versions would not do: one that is gone
	 * has none, and a control database that was restored gives lower ones.)
	 */
	uint64_t moment;
};

typedef void (*directory_watcher)(void *self, const struct directory_change *change);

/*
 * Calls `told` on the mailbox's thread for each change of what the directory held, in order.
 * Whoever gets a subject from a look-up before it is told of a change of it may have the old
 * one or the new; moments say which. False when memory is out. Before the mailbox is destroyed
 * the watch must be ended; then no further letter is posted to it.
 */
bool directory_watch(struct directory *directory, struct mailbox *mailbox,
					 directory_watcher told, void *self);
void directory_unwatch(struct directory *directory, const struct mailbox *mailbox);

/* ---- clusters ---- */

struct clusters;

/* What is known of them: replaced by the control thread, asked by any. */
struct clusters *directory_clusters(struct directory *directory);

/* ---- for probes and metrics ---- */

struct directory_counts {
	uint64_t remembered;                  /* look-ups that the cache answered */
	uint64_t found, unknown, unavailable; /* questions to the control database, by outcome */
	struct histogram look_up;             /* how long those took */
};

struct directory_measures {
	bool is_fed;                /* the control database is there and announces changes */
	bool may_answer;            /* who is known would be let in now */
	size_t tenants, principals; /* that are held */
	struct directory_counts counts;
};

/* From any thread. */
void directory_measure(struct directory *directory, struct directory_measures *out);

/* May this principal speak for the tenant? */
bool principal_reaches(const struct principal *principal, const struct tenant *tenant);

#endif
