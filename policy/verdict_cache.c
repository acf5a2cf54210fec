#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/hash.h"
#include "base/list.h"
#include "policy/fold.h"
#include "policy/statement.h"

#include <uthash.h>

struct entry {
	UT_hash_handle hh;
	struct list recent; /* on its cache's list, most recently used first */
	const struct verdict *verdict;
	size_t size; /* of the entry, its text and its verdict */
	char text[]; /* or a NUL and a fold */
};

#define FOLDED 4096 /* a power of two */

struct verdict_cache {
	struct entry *by_text;
	struct list recent;
	size_t bytes_max;
	/* The verdict that was given out last, when it is not kept. */
	const struct verdict *unkept;
	struct verdict_cache_stats stats;
	char fold[1 + FOLD_MAX]; /* its first byte is NUL */
	unsigned folded[FOLDED]; /* hashes of texts that were last found by their folds */
};

struct verdict_cache *verdict_cache_create(size_t bytes_max)
{
	struct verdict_cache *cache = calloc(1, sizeof *cache);

	if (!cache)
		return NULL;
	list_init(&cache->recent);
	cache->bytes_max = bytes_max;
	return cache;
}

static void remove_entry(struct verdict_cache *cache, struct entry *entry)
{
	HASH_DEL(cache->by_text, entry);
	list_remove(&entry->recent);
	cache->stats.bytes -= entry->size;
	cache->stats.count--;
	verdict_unref(entry->verdict);
	free(entry);
}

/* Makes room for `len` more bytes, as far as there is any to be made. */
static void make_room(struct verdict_cache *cache, size_t len)
{
	while (cache->by_text && cache->stats.bytes + len > cache->bytes_max) {
		remove_entry(cache, list_entry(cache->recent.prev, struct entry, recent));
		cache->stats.evictions++;
	}
}

void verdict_cache_destroy(struct verdict_cache *cache)
{
	if (!cache)
		return;
	verdict_unref(cache->unkept);
	list_each (node, next, &cache->recent)
		remove_entry(cache, list_entry(node, struct entry, recent));
	free(cache);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static const struct verdict *read_timed(struct verdict_cache *cache, const char *text,
										size_t len)
{
	uint64_t start = now_ns();
	const struct verdict *verdict = sql_read(text, len);

	cache->stats.read_ns += now_ns() - start;
	return verdict;
}

/* Takes the reference over. What cannot be kept for want of memory is not. */
static void keep(struct verdict_cache *cache, const char *text, size_t len, unsigned hash,
				 const struct verdict *verdict)
{
	size_t size = sizeof(struct entry) + len + verdict->size;
	struct entry *entry = NULL;

	if (size <= cache->bytes_max / 16) {
		make_room(cache, size);
		entry = calloc(1, sizeof *entry + len);
	}
	if (entry) {
		if (len)
			memcpy(entry->text, text, len);
		HASH_ADD_KEYPTR_BYHASHVALUE(hh, cache->by_text, entry->text, len, hash, entry);
		if (entry->hh.tbl) {
			entry->verdict = verdict;
			entry->size = size;
			list_prepend(&cache->recent, &entry->recent);
			cache->stats.bytes += size;
			cache->stats.count++;
			return;
		}
		free(entry);
	}
	cache->unkept = verdict;
}

/* The verdict kept for this text, or NULL; the hash is wanted for keep. */
static const struct verdict *find(struct verdict_cache *cache, const char *text, size_t len,
								  unsigned *hash)
{
	struct entry *entry;

	HASH_VALUE(text, len, *hash);
	HASH_FIND_BYHASHVALUE(hh, cache->by_text, text, len, *hash, entry);
	if (!entry)
		return NULL;
	cache->stats.hits++;
	list_remove(&entry->recent);
	list_prepend(&cache->recent, &entry->recent);
	return entry->verdict;
}

/* Has this text been found by its fold not long ago? Then the next time it need not be folded.
 */
static bool comes_again(struct verdict_cache *cache, unsigned hash)
{
	unsigned *last = &cache->folded[hash % FOLDED];
	bool is_known = *last == hash;

	*last = hash;
	return is_known;
}

const struct verdict *verdict_cache_read(struct verdict_cache *cache, const char *text,
										 size_t len)
{
	unsigned hash, fold_hash;

	verdict_unref(cache->unkept);
	cache->unkept = NULL;
	if (len && !*text) /* as folds begin here; it cannot be read */
		return cache->unkept = sql_read(text, len);
	const struct verdict *verdict = find(cache, text, len, &hash);
	if (verdict)
		return verdict;
	size_t fold_len = fold(text, len, cache->fold + 1);
	if (fold_len)
		verdict = find(cache, cache->fold, 1 + fold_len, &fold_hash);
	if (verdict) {
		cache->stats.folded++;
		if (comes_again(cache, hash))
			keep(cache, text, len, hash, verdict_ref(verdict));
		return verdict;
	}
	cache->stats.misses++;
	verdict = read_timed(cache, text, len);
	if (verdict && fold_len && verdict->is_of_fold)
		keep(cache, cache->fold, 1 + fold_len, fold_hash, verdict);
	else if (verdict)
		keep(cache, text, len, hash, verdict);
	return verdict;
}

void verdict_cache_set_max(struct verdict_cache *cache, size_t bytes_max)
{
	cache->bytes_max = bytes_max;
	make_room(cache, 0);
}

void verdict_cache_get_stats(const struct verdict_cache *cache, struct verdict_cache_stats *out)
{
	*out = cache->stats;
}
