#include "router/directory.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/utf8.h"

#include <uthash.h>

#define KINDS          2
#define UNKNOWN_TTL_US 1000000 /* how long "there is none" is believed of a tenant */
#define STALE_RETRY_US 1000000 /* how long an old answer serves before the next try */

/* What an answer is about; at most one is set, and each is one counted reference. */
struct subject {
	const struct tenant *tenant;
	const struct principal *principal;
};

/* What is known about one token. An unknown token has no subject. */
struct entry {
	UT_hash_handle hh;
	struct list recent; /* on `known` or `unknown` of its cache, most recently used first */
	struct subject subject;
	int64_t ask_at_us; /* when the answer has become too old, on the monotonic clock */
	char token[];
};

struct ranking {
	struct list entries;
	int count;
};

struct cache {
	struct entry *by_token;
	struct directory_question *questions; /* under way, by token */
	struct ranking known, unknown;
};

struct directory {
	pthread_mutex_t lock; /* guards the caches, and all that questions and lookups share */
	struct mailbox *control;
	struct directory_source source;
	int64_t ttl_us;
	int cache_size;
	struct cache caches[KINDS];
};

struct directory_question {
	struct letter letter; /* to the control thread */
	UT_hash_handle hh;
	struct directory *directory;
	enum directory_kind kind;
	struct list lookups; /* who waits */
	char token[];
};

struct directory_lookup {
	struct letter letter; /* to the asking thread */
	struct list link;     /* on its question's list until it is answered */
	struct directory *directory;
	struct mailbox *mailbox;
	directory_answer answered;
	void *asker;
	bool posted;    /* the letter is under way; guarded by the directory's lock */
	bool abandoned; /* read and written by the asking thread only */
	enum directory_result result;
	struct subject subject;
};

static struct subject subject_ref(struct subject subject)
{
	if (subject.tenant)
		tenant_ref(subject.tenant);
	if (subject.principal)
		principal_ref(subject.principal);
	return subject;
}

static void subject_unref(struct subject subject)
{
	tenant_unref(subject.tenant);
	principal_unref(subject.principal);
}

static bool entry_is_known(const struct entry *entry)
{
	return entry->subject.tenant || entry->subject.principal;
}

/* ---- cache; the caller holds the lock ---- */

static struct ranking *ranking_of(struct cache *cache, const struct entry *entry)
{
	return entry_is_known(entry) ? &cache->known : &cache->unknown;
}

static struct entry *cache_find(struct cache *cache, const char *token)
{
	struct entry *entry;

	HASH_FIND(hh, cache->by_token, token, strlen(token), entry);
	return entry;
}

static void cache_remove(struct cache *cache, struct entry *entry)
{
	ranking_of(cache, entry)->count--;
	list_remove(&entry->recent);
	HASH_DEL(cache->by_token, entry);
	subject_unref(entry->subject);
	free(entry);
}

static void cache_touch(struct cache *cache, struct entry *entry)
{
	list_remove(&entry->recent);
	list_prepend(&ranking_of(cache, entry)->entries, &entry->recent);
}

/* Replaces what is known about the token; takes the subject's reference, also when memory is
 * out. */
static void cache_store(struct cache *cache, const char *token, struct subject subject,
						int64_t ask_at_us, int limit)
{
	struct entry *old = cache_find(cache, token);
	size_t len = strlen(token);
	struct entry *entry;

	if (old)
		cache_remove(cache, old);
	entry = calloc(1, sizeof *entry + len + 1);
	if (!entry) {
		subject_unref(subject);
		return;
	}
	memcpy(entry->token, token, len + 1);
	entry->subject = subject;
	entry->ask_at_us = ask_at_us;
	HASH_ADD_KEYPTR(hh, cache->by_token, entry->token, len, entry);
	if (!entry->hh.tbl) {
		subject_unref(subject);
		free(entry);
		return;
	}

	struct ranking *ranking = ranking_of(cache, entry);
	list_prepend(&ranking->entries, &entry->recent);
	if (++ranking->count > limit)
		cache_remove(cache, list_entry(ranking->entries.prev, struct entry, recent));
}

static void cache_init(struct cache *cache)
{
	list_init(&cache->known.entries);
	list_init(&cache->unknown.entries);
}

static void cache_fini(struct cache *cache)
{
	struct entry *entry, *after;

	HASH_ITER (hh, cache->by_token, entry, after) {
		cache_remove(cache, entry);
	}
}

/* ---- questions ---- */

/* On the control thread. */
static void question_deliver(struct letter *letter)
{
	struct directory_question *question = (struct directory_question *)(void *)letter;
	struct directory_source *source = &question->directory->source;

	source->find(source->self, question->kind, question->token, question);
}

/*
 * The question under way for the token, or a new one, which is then to be posted. The caller
 * holds the lock. NULL when memory is out.
 */
static struct directory_question *question_get(struct directory *directory,
											   enum directory_kind kind, const char *token,
											   bool *is_new)
{
	struct cache *cache = &directory->caches[kind];
	struct directory_question *question;
	size_t len = strlen(token);

	*is_new = false;
	HASH_FIND(hh, cache->questions, token, len, question);
	if (question)
		return question;
	question = calloc(1, sizeof *question + len + 1);
	if (!question)
		return NULL;
	question->letter.deliver = question_deliver;
	question->directory = directory;
	question->kind = kind;
	list_init(&question->lookups);
	memcpy(question->token, token, len + 1);
	HASH_ADD_KEYPTR(hh, cache->questions, question->token, len, question);
	if (!question->hh.tbl) {
		free(question);
		return NULL;
	}
	*is_new = true;
	return question;
}

/* ---- lookups ---- */

static void lookup_free(struct directory_lookup *lookup)
{
	subject_unref(lookup->subject);
	free(lookup);
}

/* On the asking thread. */
static void lookup_deliver(struct letter *letter)
{
	struct directory_lookup *lookup = (struct directory_lookup *)(void *)letter;

	if (!lookup->abandoned) {
		struct subject subject = lookup->subject;

		lookup->subject = (struct subject){NULL, NULL};
		lookup->answered(lookup->asker, lookup->result, subject.tenant, subject.principal);
	}
	lookup_free(lookup);
}

void directory_abandon(struct directory_lookup *lookup)
{
	struct directory *directory = lookup->directory;
	bool posted;

	pthread_mutex_lock(&directory->lock);
	posted = lookup->posted;
	if (!posted)
		list_remove(&lookup->link);
	pthread_mutex_unlock(&directory->lock);

	/* A letter that is under way frees its lookup when it arrives. */
	if (posted)
		lookup->abandoned = true;
	else
		lookup_free(lookup);
}

/* What the cache says, while it is young enough to be believed; the caller holds the lock. */
static enum directory_result find_cached(struct cache *cache, const char *token,
										 struct subject *out)
{
	struct entry *entry = cache_find(cache, token);

	if (!entry || entry->ask_at_us <= clock_monotonic_us())
		return DIRECTORY_PENDING;
	cache_touch(cache, entry);
	*out = subject_ref(entry->subject);
	return entry_is_known(entry) ? DIRECTORY_FOUND : DIRECTORY_UNKNOWN;
}

/* Lets the lookup wait for the token's question. The caller holds the lock. */
static enum directory_result find_waiting(struct directory *directory, enum directory_kind kind,
										  const char *token, struct directory_lookup *lookup)
{
	bool is_new;
	struct directory_question *question = question_get(directory, kind, token, &is_new);

	if (!question)
		return DIRECTORY_UNAVAILABLE;
	list_append(&question->lookups, &lookup->link);
	if (is_new)
		mailbox_post(directory->control, &question->letter);
	return DIRECTORY_PENDING;
}

/* Who asks, and where the answer is to go. */
struct asker {
	struct mailbox *mailbox;
	directory_answer answered;
	void *self;
};

static struct directory_lookup *lookup_create(struct directory *directory,
											  const struct asker *asker)
{
	struct directory_lookup *lookup = calloc(1, sizeof *lookup);

	if (!lookup)
		return NULL;
	lookup->letter.deliver = lookup_deliver;
	lookup->directory = directory;
	lookup->mailbox = asker->mailbox;
	lookup->answered = asker->answered;
	lookup->asker = asker->self;
	list_init(&lookup->link);
	return lookup;
}

/* What nobody can be called need not be looked up. */
static bool token_is_possible(enum directory_kind kind, const char *token)
{
	size_t limit = kind == DIRECTORY_TENANT ? TENANT_TOKEN_MAX : PRINCIPAL_NAME_MAX;
	size_t len = strnlen(token, limit + 1);

	return len > 0 && len <= limit && utf8_valid(token, len);
}

static enum directory_result find_locked(struct directory *directory, enum directory_kind kind,
										 const char *token, const struct asker *asker,
										 struct subject *out, struct directory_lookup **pending)
{
	enum directory_result result = find_cached(&directory->caches[kind], token, out);
	struct directory_lookup *lookup;

	if (result != DIRECTORY_PENDING)
		return result;
	lookup = lookup_create(directory, asker);
	if (!lookup)
		return DIRECTORY_UNAVAILABLE;
	result = find_waiting(directory, kind, token, lookup);
	if (result == DIRECTORY_PENDING)
		*pending = lookup;
	else
		lookup_free(lookup);
	return result;
}

static enum directory_result find(struct directory *directory, enum directory_kind kind,
								  const char *token, const struct asker *asker,
								  struct subject *out, struct directory_lookup **pending)
{
	enum directory_result result;

	if (!token_is_possible(kind, token))
		return DIRECTORY_UNKNOWN;
	pthread_mutex_lock(&directory->lock);
	result = find_locked(directory, kind, token, asker, out, pending);
	pthread_mutex_unlock(&directory->lock);
	return result;
}

enum directory_result directory_find_tenant(struct directory *directory, const char *token,
											struct mailbox *mailbox, directory_answer answered,
											void *asker, const struct tenant **out,
											struct directory_lookup **pending)
{
	struct asker who = {mailbox, answered, asker};
	struct subject subject = {NULL, NULL};
	enum directory_result result =
		find(directory, DIRECTORY_TENANT, token, &who, &subject, pending);

	if (result == DIRECTORY_FOUND)
		*out = subject.tenant;
	return result;
}

enum directory_result directory_find_principal(struct directory *directory, const char *name,
											   struct mailbox *mailbox,
											   directory_answer answered, void *asker,
											   const struct principal **out,
											   struct directory_lookup **pending)
{
	struct asker who = {mailbox, answered, asker};
	struct subject subject = {NULL, NULL};
	enum directory_result result =
		find(directory, DIRECTORY_PRINCIPAL, name, &who, &subject, pending);

	if (result == DIRECTORY_FOUND)
		*out = subject.principal;
	return result;
}

/* ---- answers, on the control thread ---- */

/*
 * While the source is away what was known stays true, and is not asked for again with every
 * look-up. The caller holds the lock.
 */
static enum directory_result serve_stale(struct cache *cache, const char *token,
										 struct subject *subject)
{
	struct entry *entry = cache_find(cache, token);

	if (!entry || !entry_is_known(entry))
		return DIRECTORY_UNAVAILABLE;
	entry->ask_at_us = clock_monotonic_us() + STALE_RETRY_US;
	*subject = subject_ref(entry->subject);
	return DIRECTORY_FOUND;
}

/*
 * A principal's name is asked for by strangers: were the answer "there is none" forgotten
 * sooner than another, the time of the next answer would tell which names exist.
 */
static int64_t unknown_ttl_us(const struct directory *directory,
							  const struct directory_question *question)
{
	return question->kind == DIRECTORY_PRINCIPAL ? directory->ttl_us : UNKNOWN_TTL_US;
}

/* Takes in the source's answer, and turns it into what the askers are told. The caller holds
 * the lock. */
static enum directory_result take_answer(struct directory *directory,
										 const struct directory_question *question,
										 enum directory_result result, struct subject *subject)
{
	struct cache *cache = &directory->caches[question->kind];
	int64_t now = clock_monotonic_us();

	switch (result) {
	case DIRECTORY_FOUND:
		cache_store(cache, question->token, subject_ref(*subject), now + directory->ttl_us,
					directory->cache_size);
		break;
	case DIRECTORY_UNKNOWN:
		cache_store(cache, question->token, *subject, now + unknown_ttl_us(directory, question),
					directory->cache_size);
		break;
	case DIRECTORY_UNAVAILABLE:
	case DIRECTORY_PENDING:
		result = serve_stale(cache, question->token, subject);
		break;
	}
	return result;
}

void directory_resolved(struct directory_question *question, enum directory_result result,
						const struct tenant *tenant, const struct principal *principal)
{
	struct directory *directory = question->directory;
	struct subject subject = {tenant, principal};

	pthread_mutex_lock(&directory->lock);
	HASH_DEL(directory->caches[question->kind].questions, question);
	result = take_answer(directory, question, result, &subject);
	list_each (link, after, &question->lookups) {
		struct directory_lookup *lookup = list_entry(link, struct directory_lookup, link);

		list_remove(&lookup->link);
		lookup->result = result;
		lookup->subject = subject_ref(subject);
		lookup->posted = true;
		/* From here on it is the asking thread's: it may be gone when this returns. */
		mailbox_post(lookup->mailbox, &lookup->letter);
	}
	pthread_mutex_unlock(&directory->lock);
	subject_unref(subject);
	free(question);
}

/* ---- the whole ---- */

struct directory *directory_create(struct mailbox *control,
								   const struct directory_source *source, int64_t ttl_ms,
								   int cache_size)
{
	struct directory *directory = calloc(1, sizeof *directory);

	if (!directory)
		return NULL;
	pthread_mutex_init(&directory->lock, NULL);
	directory->control = control;
	directory->source = *source;
	directory->ttl_us = ttl_ms * 1000;
	directory->cache_size = cache_size;
	for (int kind = 0; kind < KINDS; kind++)
		cache_init(&directory->caches[kind]);
	return directory;
}

void directory_destroy(struct directory *directory)
{
	if (!directory)
		return;
	for (int kind = 0; kind < KINDS; kind++)
		cache_fini(&directory->caches[kind]);
	pthread_mutex_destroy(&directory->lock);
	free(directory);
}

/* Takes the least recently used entries away until there are no more than `limit`. */
static void shorten(struct cache *cache, struct ranking *ranking, int limit)
{
	while (ranking->count > limit)
		cache_remove(cache, list_entry(ranking->entries.prev, struct entry, recent));
}

void directory_limit(struct directory *directory, int64_t ttl_ms, int cache_size)
{
	struct entry *entry, *after;

	pthread_mutex_lock(&directory->lock);
	bool shorter = ttl_ms * 1000 < directory->ttl_us;
	int64_t latest_us = clock_monotonic_us() + ttl_ms * 1000;
	directory->ttl_us = ttl_ms * 1000;
	directory->cache_size = cache_size;
	for (int kind = 0; kind < KINDS; kind++) {
		struct cache *cache = &directory->caches[kind];

		shorten(cache, &cache->known, cache_size);
		shorten(cache, &cache->unknown, cache_size);
		HASH_ITER (hh, cache->by_token, entry, after) {
			if (shorter && entry->ask_at_us > latest_us)
				entry->ask_at_us = latest_us;
		}
	}
	pthread_mutex_unlock(&directory->lock);
}
