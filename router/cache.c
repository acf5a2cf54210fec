#include "router/cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "router/permissions.h"

/* Tokens at the end of a ranking that are looked at for one that may go. */
#define EVICTION_SEARCH_MAX 8

/* ---- subjects ---- */

struct subject subject_ref(struct subject subject)
{
	if (subject.tenant)
		tenant_ref(subject.tenant);
	if (subject.principal)
		principal_ref(subject.principal);
	return subject;
}

void subject_unref(struct subject subject)
{
	tenant_unref(subject.tenant);
	principal_unref(subject.principal);
}

bool subject_is_known(struct subject subject)
{
	return subject.tenant || subject.principal;
}

int64_t subject_version(struct subject subject)
{
	return subject.tenant ? subject.tenant->version : subject.principal->version;
}

void subject_stamp(struct subject subject, uint64_t moment)
{
	if (subject.tenant)
		((struct tenant *)subject.tenant)->moment = moment;
	else
		((struct principal *)subject.principal)->moment = moment;
}

void subject_key(struct subject subject, char key[SUBJECT_KEY_SIZE])
{
	if (subject.tenant)
		uuid_hex(&subject.tenant->id, key);
	else
		snprintf(key, SUBJECT_KEY_SIZE, "%s", subject.principal->name);
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool tenant_equal(const struct tenant *a, const struct tenant *b)
{
	bool same = uuid_equal(&a->id, &b->id) && a->depth == b->depth &&
				same_text(a->slug, b->slug) && same_text(a->key, b->key) &&
				same_text(a->cluster, b->cluster) && a->strategy == b->strategy &&
				same_text(a->region, b->region) && same_text(a->login_kid, b->login_kid) &&
				a->dedicated_login == b->dedicated_login && a->status == b->status &&
				a->pool_weight == b->pool_weight &&
				permissions_equal(&a->permissions, &b->permissions);

	for (size_t i = 0; same && i < a->depth; i++)
		same = uuid_equal(&a->path[i], &b->path[i]);
	return same;
}

static bool principal_equal(const struct principal *a, const struct principal *b)
{
	return same_text(a->name, b->name) && same_text(a->verifier, b->verifier) &&
		   uuid_equal(&a->home, &b->home) && a->reach == b->reach &&
		   a->disabled == b->disabled && a->valid_until_ms == b->valid_until_ms;
}

bool subject_equal(struct subject a, struct subject b)
{
	if (a.tenant && b.tenant)
		return tenant_equal(a.tenant, b.tenant);
	if (a.principal && b.principal)
		return principal_equal(a.principal, b.principal);
	return !subject_is_known(a) && !subject_is_known(b);
}

/* Is this one of the words that the subject is called by? */
static bool answers_to(struct subject subject, const char *word)
{
	const struct tenant *tenant = subject.tenant;
	struct uuid id;

	if (!tenant)
		return strcmp(subject.principal->name, word) == 0;
	return strcmp(tenant->slug, word) == 0 || (tenant->key && strcmp(tenant->key, word) == 0) ||
		   (uuid_parse(word, strlen(word), &id) && uuid_equal(&id, &tenant->id));
}

bool holding_is_used(const struct holding *holding)
{
	struct subject subject = holding->subject;
	const atomic_int *references =
		subject.tenant ? &subject.tenant->references : &subject.principal->references;

	return atomic_load_explicit(references, memory_order_relaxed) > 1;
}

/* ---- tokens ---- */

static struct ranking *ranking_of(struct cache *cache, const struct token *token)
{
	return token->holding ? &cache->known : &cache->unknown;
}

static void free_holding(struct cache *cache, struct holding *holding)
{
	HASH_DEL(cache->by_key, holding);
	list_remove(&holding->to_compare);
	subject_unref(holding->subject);
	free(holding);
}

/* A holding goes with its last token. */
static void remove_token(struct cache *cache, struct token *token)
{
	struct holding *holding = token->holding;

	ranking_of(cache, token)->count--;
	list_remove(&token->recent);
	list_remove(&token->of_holding);
	HASH_DEL(cache->by_text, token);
	free(token);
	if (holding && list_empty(&holding->tokens))
		free_holding(cache, holding);
}

static bool may_go(const struct token *token)
{
	const struct holding *holding = token->holding;

	return !holding || holding->tokens.next != holding->tokens.prev ||
		   !holding_is_used(holding);
}

/* The one used least recently of those that may go. Those in use are put in front, so that they
 * are not looked at again with the next. */
static void evict(struct cache *cache, struct ranking *ranking, int search_max)
{
	for (int i = 0; i < search_max && ranking->count > ranking->limit; i++) {
		struct token *last = list_entry(ranking->tokens.prev, struct token, recent);

		if (may_go(last))
			remove_token(cache, last);
		else
			cache_touch(cache, last);
	}
}

struct token *cache_find(struct cache *cache, const char *text)
{
	struct token *token;

	HASH_FIND(hh, cache->by_text, text, strlen(text), token);
	return token;
}

void cache_touch(struct cache *cache, struct token *token)
{
	list_remove(&token->recent);
	list_prepend(&ranking_of(cache, token)->tokens, &token->recent);
}

static struct token *create_token(struct cache *cache, const char *text)
{
	size_t len = strlen(text);
	struct token *token = calloc(1, sizeof *token + len + 1);

	if (!token)
		return NULL;
	memcpy(token->text, text, len + 1);
	list_init(&token->of_holding);
	HASH_ADD_KEYPTR(hh, cache->by_text, token->text, len, token);
	if (!token->hh.tbl) {
		free(token);
		return NULL;
	}
	return token;
}

void cache_name(struct cache *cache, const char *text, struct holding *holding,
				int64_t ask_at_us)
{
	struct token *old = cache_find(cache, text), *token;

	if (old && holding && old->holding == holding) {
		cache_touch(cache, old);
		return;
	}
	if (old) {
		/* Whoever uses what it led to must still hear of its changes. */
		if (!may_go(old) && strcmp(old->text, old->holding->key) != 0)
			cache_name(cache, old->holding->key, old->holding, 0);
		remove_token(cache, old);
	}
	token = create_token(cache, text);
	if (!token) {
		if (holding && list_empty(&holding->tokens))
			free_holding(cache, holding);
		return;
	}
	token->holding = holding;
	token->ask_at_us = ask_at_us;
	if (holding)
		list_append(&holding->tokens, &token->of_holding);

	struct ranking *ranking = ranking_of(cache, token);
	list_prepend(&ranking->tokens, &token->recent);
	ranking->count++;
	evict(cache, ranking, EVICTION_SEARCH_MAX);
}

void cache_forget_unknown(struct cache *cache, const char *text)
{
	struct token *token;

	if (text) {
		token = cache_find(cache, text);
		if (token && !token->holding)
			remove_token(cache, token);
		return;
	}
	while ((token = list_first(&cache->unknown.tokens, struct token, recent)) != NULL)
		remove_token(cache, token);
}

/* ---- holdings ---- */

struct holding *cache_holding(struct cache *cache, const char *key)
{
	struct holding *holding;

	HASH_FIND(hh, cache->by_key, key, strlen(key), holding);
	return holding;
}

struct holding *cache_hold(struct cache *cache, struct subject subject)
{
	char key[SUBJECT_KEY_SIZE];
	struct holding *holding;

	subject_key(subject, key);
	holding = cache_holding(cache, key);
	if (holding)
		return holding;
	size_t len = strlen(key);
	holding = calloc(1, sizeof *holding + len + 1);
	if (!holding)
		return NULL;
	memcpy(holding->key, key, len + 1);
	list_init(&holding->tokens);
	list_init(&holding->to_compare);
	HASH_ADD_KEYPTR(hh, cache->by_key, holding->key, len, holding);
	if (!holding->hh.tbl) {
		free(holding);
		return NULL;
	}
	holding->subject = subject_ref(subject);
	holding->version = subject_version(subject);
	return holding;
}

/* A holding that is left without a name is called by its key: it is kept for those who use it.
 */
void cache_replace(struct cache *cache, struct holding *holding, struct subject subject)
{
	struct subject old = holding->subject;

	holding->subject = subject_ref(subject);
	holding->version = subject_version(subject);
	subject_unref(old);
	cache_name(cache, holding->key, holding, 0);
	list_each (node, next, &holding->tokens) {
		struct token *token = list_entry(node, struct token, of_holding);

		bool is_only = holding->tokens.next == holding->tokens.prev;

		if (!is_only && !answers_to(subject, token->text))
			remove_token(cache, token);
	}
}

void cache_drop(struct cache *cache, struct holding *holding)
{
	list_each (node, next, &holding->tokens) {
		bool is_last = next == &holding->tokens;

		remove_token(cache, list_entry(node, struct token, of_holding));
		if (is_last)
			return; /* and the holding with it */
	}
	free_holding(cache, holding);
}

/* ---- the whole ---- */

static void ranking_init(struct ranking *ranking, int limit)
{
	list_init(&ranking->tokens);
	ranking->count = 0;
	ranking->limit = limit;
}

void cache_init(struct cache *cache, int limit)
{
	cache->by_text = NULL;
	cache->by_key = NULL;
	ranking_init(&cache->known, limit);
	ranking_init(&cache->unknown, limit);
}

void cache_limit(struct cache *cache, int limit)
{
	cache->known.limit = cache->unknown.limit = limit;
	evict(cache, &cache->known, cache->known.count);
	evict(cache, &cache->unknown, cache->unknown.count);
}

void cache_fini(struct cache *cache)
{
	struct token *token, *after;
	struct holding *holding, *next;

	HASH_ITER (hh, cache->by_text, token, after)
		remove_token(cache, token);
	HASH_ITER (hh, cache->by_key, holding, next)
		free_holding(cache, holding);
}
