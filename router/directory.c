#include "router/directory_state.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"

#define UNKNOWN_TTL_US 1000000 /* how long "there is none" is believed of a tenant */
#define STALE_RETRY_US 1000000 /* how long an old answer serves before the next try */

struct directory_question {
	struct letter letter; /* to the control thread */
	UT_hash_handle hh;
	struct directory *directory;
	enum directory_kind kind;
	int64_t asked_us;
	struct list lookups; /* who waits; none: what is held is to be refreshed */
	bool again;          /* a change was announced while it was under way */
	bool of_change;      /* a change was announced: sessions may have to end */
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

/* ---- questions ---- */

/* On the control thread. */
static void question_deliver(struct letter *letter)
{
	struct directory_question *question = (struct directory_question *)(void *)letter;
	struct directory_source *source = &question->directory->source;

	source->find(source->self, question->kind, question->token, question, false);
}

/*
 * The question under way for the token, or a new one, which is then to be posted. The caller
 * holds the lock. NULL when memory is out.
 */
static struct directory_question *question_get(struct directory *directory,
											   enum directory_kind kind, const char *token,
											   bool *is_new)
{
	struct directory_question **questions = &directory->questions[kind], *question;
	size_t len = strlen(token);

	*is_new = false;
	HASH_FIND(hh, *questions, token, len, question);
	if (question)
		return question;
	question = calloc(1, sizeof *question + len + 1);
	if (!question)
		return NULL;
	question->letter.deliver = question_deliver;
	question->directory = directory;
	question->kind = kind;
	question->asked_us = clock_monotonic_us();
	list_init(&question->lookups);
	memcpy(question->token, token, len + 1);
	HASH_ADD_KEYPTR(hh, *questions, question->token, len, question);
	if (!question->hh.tbl) {
		free(question);
		return NULL;
	}
	*is_new = true;
	return question;
}

void directory_refresh(struct directory *directory, enum directory_kind kind, const char *token)
{
	struct directory_source *source = &directory->source;
	struct directory_question *question;
	bool is_new = false;

	pthread_mutex_lock(&directory->lock);
	question = question_get(directory, kind, token, &is_new);
	if (!question)
		directory->missed = true;
	else if (!is_new)
		question->again = true; /* its answer may be older than the change */
	if (question)
		question->of_change = true;
	pthread_mutex_unlock(&directory->lock);
	if (is_new)
		source->find(source->self, kind, question->token, question, true);
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
static enum directory_result find_cached(struct cache *cache, const char *text,
										 struct subject *out, uint64_t *remembered)
{
	struct token *token = cache_find(cache, text);
	const struct holding *holding = token ? token->holding : NULL;

	if (!token || (holding ? holding->ask_at_us : token->ask_at_us) <= clock_monotonic_us())
		return DIRECTORY_PENDING;
	cache_touch(cache, token);
	*remembered += 1;
	if (!holding)
		return DIRECTORY_UNKNOWN;
	*out = subject_ref(holding->subject);
	return DIRECTORY_FOUND;
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
	enum directory_result result =
		find_cached(&directory->caches[kind], token, out, &directory->counts.remembered);
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

bool directory_may_serve_stale(const struct directory *directory)
{
	int64_t limit_us = directory->limits.max_stale_ms * 1000;

	return !limit_us || directory->fed ||
		   clock_monotonic_us() - directory->proved_us <= limit_us;
}

/*
 * While the source is away what was known stays true, and is not asked for again with every
 * look-up. The caller holds the lock.
 */
static enum directory_result serve_stale(struct directory *directory, enum directory_kind kind,
										 const char *text, struct subject *subject)
{
	struct token *token = cache_find(&directory->caches[kind], text);

	if (!token || !token->holding || !directory_may_serve_stale(directory))
		return DIRECTORY_UNAVAILABLE;
	token->holding->ask_at_us = clock_monotonic_us() + STALE_RETRY_US;
	*subject = subject_ref(token->holding->subject);
	return DIRECTORY_FOUND;
}

/*
 * A principal's name is asked for by strangers: were the answer "there is none" forgotten
 * sooner than another, the time of the next answer would tell which names exist.
 */
static int64_t unknown_ttl_us(const struct directory *directory, enum directory_kind kind)
{
	return kind == DIRECTORY_PRINCIPAL ? directory->limits.ttl_ms * 1000 : UNKNOWN_TTL_US;
}

static void take_found(struct directory *directory, const struct directory_question *question,
					   struct subject *subject)
{
	struct holding *holding = directory_take_in(directory, question->kind, *subject);

	if (!holding)
		return;
	/* It was asked for by an id that is another's key now: the one of this id is gone. */
	if (cache_holding(&directory->caches[question->kind], question->token) != holding)
		directory_take_out(directory, question->kind, question->token);
	holding->ask_at_us =
		question->again ? 0 : clock_monotonic_us() + directory->limits.ttl_ms * 1000;
	/* The askers get what is held, so that all share one. */
	subject_unref(*subject);
	*subject = subject_ref(holding->subject);
	cache_name(&directory->caches[question->kind], question->token, holding, 0);
}

static void take_unknown(struct directory *directory, const struct directory_question *question)
{
	struct cache *cache = &directory->caches[question->kind];

	directory_take_out(directory, question->kind, question->token);
	if (!cache_holding(cache, question->token))
		cache_name(cache, question->token, NULL,
				   clock_monotonic_us() + unknown_ttl_us(directory, question->kind));
}

/* Takes in the source's answer, and turns it into what the askers are told. The caller holds
 * the lock. */
static enum directory_result take_answer(struct directory *directory,
										 const struct directory_question *question,
										 enum directory_result result, struct subject *subject)
{
	switch (result) {
	case DIRECTORY_FOUND:
		take_found(directory, question, subject);
		break;
	case DIRECTORY_UNKNOWN:
		take_unknown(directory, question);
		break;
	case DIRECTORY_UNAVAILABLE:
	case DIRECTORY_PENDING:
		if (question->of_change)
			directory->missed = true;
		result = serve_stale(directory, question->kind, question->token, subject);
		break;
	}
	return result;
}

static void count(struct directory_counts *counts, const struct directory_question *question,
				  enum directory_result result)
{
	counts->found += result == DIRECTORY_FOUND;
	counts->unknown += result == DIRECTORY_UNKNOWN;
	counts->unavailable += result == DIRECTORY_UNAVAILABLE;
	histogram_record(&counts->look_up, clock_monotonic_us() - question->asked_us);
}

void directory_resolved(struct directory_question *question, enum directory_result result,
						const struct tenant *tenant, const struct principal *principal)
{
	struct directory *directory = question->directory;
	struct subject subject = {tenant, principal};

	pthread_mutex_lock(&directory->lock);
	HASH_DEL(directory->questions[question->kind], question);
	count(&directory->counts, question, result);
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
	if (question->again && result != DIRECTORY_UNAVAILABLE)
		directory_refresh(directory, question->kind, question->token);
	free(question);
}

/* ---- the whole ---- */

struct directory *directory_create(struct mailbox *control,
								   const struct directory_source *source,
								   const struct directory_limits *limits)
{
	struct directory *directory = calloc(1, sizeof *directory);

	if (!directory)
		return NULL;
	pthread_mutex_init(&directory->lock, NULL);
	directory->control = control;
	directory->source = *source;
	directory->limits = *limits;
	directory->proved_us = clock_monotonic_us();
	list_init(&directory->watches);
	clusters_init(&directory->clusters);
	for (int kind = 0; kind < KINDS; kind++) {
		cache_init(&directory->caches[kind], limits->cache_size);
		list_init(&directory->to_compare[kind]);
	}
	return directory;
}

void directory_destroy(struct directory *directory)
{
	if (!directory)
		return;
	for (int kind = 0; kind < KINDS; kind++)
		cache_fini(&directory->caches[kind]);
	list_each (node, next, &directory->watches)
		free(list_entry(node, struct watch, node));
	clusters_fini(&directory->clusters);
	pthread_mutex_destroy(&directory->lock);
	free(directory);
}

struct clusters *directory_clusters(struct directory *directory)
{
	return &directory->clusters;
}

void directory_measure(struct directory *directory, struct directory_measures *out)
{
	pthread_mutex_lock(&directory->lock);
	out->is_fed = directory->fed;
	out->tenants = HASH_COUNT(directory->caches[DIRECTORY_TENANT].by_key);
	out->principals = HASH_COUNT(directory->caches[DIRECTORY_PRINCIPAL].by_key);
	out->may_answer = out->is_fed ||
					  (out->tenants && out->principals && directory_may_serve_stale(directory));
	out->counts = directory->counts;
	pthread_mutex_unlock(&directory->lock);
}

void directory_limit(struct directory *directory, const struct directory_limits *limits)
{
	struct holding *holding, *next;

	pthread_mutex_lock(&directory->lock);
	int64_t latest_us = clock_monotonic_us() + limits->ttl_ms * 1000;
	directory->limits = *limits;
	for (int kind = 0; kind < KINDS; kind++) {
		struct cache *cache = &directory->caches[kind];

		cache_limit(cache, limits->cache_size);
		HASH_ITER (hh, cache->by_key, holding, next) {
			if (holding->ask_at_us > latest_us)
				holding->ask_at_us = latest_us;
		}
	}
	pthread_mutex_unlock(&directory->lock);
}
