/*
 * directory.h: what tenants and principals there are, as the data plane knows them.
 *
 * Entries are immutable and counted; a look-up answers at once from the cache or later, through
 * the asking thread's mailbox, after the control thread has asked the control database. The
 * directory declares the source it needs; admin/store implements it and cli/serve joins the
 * two.
 */
#ifndef ROUTER_DIRECTORY_H
#define ROUTER_DIRECTORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mailbox.h"
#include "base/uuid.h"

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

struct tenant {
	atomic_int references; /* 1 when made; use tenant_ref and tenant_unref */
	struct uuid id;
	struct uuid path[TENANT_DEPTH_MAX]; /* root first, itself last */
	size_t depth;
	char *slug;
	char *key;     /* the application's own name for it, or NULL */
	char *cluster; /* name of the cluster it lives on */
	char *seal;    /* as guard_seal gives it */
	enum tenant_strategy strategy;
	enum tenant_status status;
	unsigned pool_weight; /* its clients' share when tenants wait for backends; at least 1 */
	int64_t version;
};

struct principal {
	atomic_int references; /* 1 when made; use principal_ref and principal_unref */
	char *name;
	char *verifier; /* SCRAM-SHA-256$…, as PostgreSQL has it; NULL: cannot log in */
	struct uuid home;
	enum reach reach;
	bool disabled;
	int64_t valid_until_ms; /* wall time; INT64_MAX when it never ends */
	int64_t version;
};

const struct tenant *tenant_ref(const struct tenant *tenant);
void tenant_unref(const struct tenant *tenant); /* NULL is fine */
const struct principal *principal_ref(const struct principal *principal);
void principal_unref(const struct principal *principal);

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
	 * for this question, at once or later, on the control thread.
	 */
	void (*find)(void *self, enum directory_kind kind, const char *token,
				 struct directory_question *question);
};

struct directory;

/*
 * `control` is the control thread's mailbox. ttl_ms: older answers are asked again; while the
 * source is unavailable the old answer is served, and the source is asked again a second later.
 * cache_size bounds the known entries of each kind, and apart from them the tokens known to be
 * unknown, so that a stranger who guesses names drives no tenant out. The source is copied.
 * NULL when memory is out.
 */
struct directory *directory_create(struct mailbox *control,
								   const struct directory_source *source, int64_t ttl_ms,
								   int cache_size);

/* Other limits from now on, from any thread: also for what is remembered already. */
void directory_limit(struct directory *directory, int64_t ttl_ms, int cache_size);

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

#endif
