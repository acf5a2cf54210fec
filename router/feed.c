/*
 * What the control database announces, and who is told.
 *
 * An announcement names a tenant or principal. One that is held is asked for again, whatever
 * version is announced: one that is gone is announced with its last. An answer that is not what
 * is held replaces it and goes to all who watch. While
 * no announcements come nothing that is held is believed without asking, and when they come
 * again everything is compared at once.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "router/directory_state.h"

/* ---- telling ---- */

struct news {
	struct letter letter;
	directory_watcher told;
	void *self;
	enum directory_kind kind;
	struct subject subject;
	uint64_t moment;
	char key[SUBJECT_KEY_SIZE];
};

/* On the watcher's thread. */
static void news_deliver(struct letter *letter)
{
	struct news *news = list_entry(letter, struct news, letter);
	struct directory_change change = {news->kind, news->key, news->subject.tenant,
									  news->subject.principal, news->moment};

	news->told(news->self, &change);
	subject_unref(news->subject);
	free(news);
}

/* Posts the new state to all who watch. False when one of them could not be told. */
static bool tell(struct directory *directory, enum directory_kind kind, const char *key,
				 struct subject subject)
{
	bool all = true;

	directory->changes++;
	list_each (node, next, &directory->watches) {
		struct watch *watch = list_entry(node, struct watch, node);
		struct news *news = calloc(1, sizeof *news);

		if (!news) {
			all = false;
			continue;
		}
		news->letter.deliver = news_deliver;
		news->told = watch->told;
		news->self = watch->self;
		news->kind = kind;
		news->subject = subject_ref(subject);
		news->moment = directory->moment;
		memcpy(news->key, key, strlen(key) + 1);
		mailbox_post(watch->mailbox, &news->letter);
	}
	if (!all)
		directory->missed = true;
	return all;
}

bool directory_watch(struct directory *directory, struct mailbox *mailbox,
					 directory_watcher told, void *self)
{
	struct watch *watch = calloc(1, sizeof *watch);

	if (!watch)
		return false;
	watch->mailbox = mailbox;
	watch->told = told;
	watch->self = self;
	pthread_mutex_lock(&directory->lock);
	list_append(&directory->watches, &watch->node);
	pthread_mutex_unlock(&directory->lock);
	return true;
}

void directory_unwatch(struct directory *directory, const struct mailbox *mailbox)
{
	pthread_mutex_lock(&directory->lock);
	list_each (node, next, &directory->watches) {
		struct watch *watch = list_entry(node, struct watch, node);

		if (watch->mailbox == mailbox) {
			list_remove(&watch->node);
			free(watch);
		}
	}
	pthread_mutex_unlock(&directory->lock);
}

/* ---- taking in; the caller holds the lock ---- */

struct holding *directory_take_in(struct directory *directory, enum directory_kind kind,
								  struct subject subject)
{
	struct cache *cache = &directory->caches[kind];
	char key[SUBJECT_KEY_SIZE];

	subject_key(subject, key);
	bool is_new = !cache_holding(cache, key);
	struct holding *holding = cache_hold(cache, subject);
	if (is_new) {
		subject_stamp(subject, ++directory->moment);
		directory->changes++;
	} else if (holding->version != subject_version(subject) ||
			   !subject_equal(holding->subject, subject)) {
		subject_stamp(subject, ++directory->moment);
		cache_replace(cache, holding, subject);
		if (!tell(directory, kind, key, subject))
			holding->version = 0;
	}
	return holding;
}

void directory_take_out(struct directory *directory, enum directory_kind kind, const char *key)
{
	struct cache *cache = &directory->caches[kind];
	struct holding *holding = cache_holding(cache, key);
	static const struct subject nobody;

	if (!holding)
		return;
	directory->moment++;
	if (tell(directory, kind, key, nobody))
		cache_drop(cache, holding);
	else
		holding->version = 0; /* it is still there for the next comparison to find it gone */
}

/* ---- announcements ---- */

void directory_changed(struct directory *directory, enum directory_kind kind, const char *key)
{
	struct cache *cache = &directory->caches[kind];
	struct holding *holding;

	pthread_mutex_lock(&directory->lock);
	holding = cache_holding(cache, key);
	if (holding) {
		holding->ask_at_us = 0;
		holding->compared = false;
	}
	/* A tenant that is new, or has a new name, may be any that was asked for in vain. */
	if (!holding || kind == DIRECTORY_TENANT)
		cache_forget_unknown(cache, kind == DIRECTORY_TENANT ? NULL : key);
	pthread_mutex_unlock(&directory->lock);
	if (holding)
		directory_refresh(directory, kind, key);
}

/* ---- comparing ---- */

struct directory_comparison {
	struct directory *directory;
	enum directory_kind kind;
	struct buf keys, versions; /* array literals, ended by a zero byte */
	size_t count;
	char compared[DIRECTORY_COMPARED_MAX][SUBJECT_KEY_SIZE];
};

static void comparison_free(struct directory_comparison *comparison)
{
	buf_fini(&comparison->keys);
	buf_fini(&comparison->versions);
	free(comparison);
}

/* An element of an array literal: quoted, since a principal's name may hold anything. */
static bool append_element(struct buf *out, const char *text)
{
	bool ok = buf_append_byte(out, buf_len(out) > 1 ? ',' : ' ') && buf_append_byte(out, '"');

	for (; ok && *text; text++) {
		if (*text == '"' || *text == '\\')
			ok = buf_append_byte(out, '\\');
		ok = ok && buf_append_byte(out, (uint8_t)*text);
	}
	return ok && buf_append_byte(out, '"');
}

/* False when memory is out. */
static bool comparison_add(struct directory_comparison *comparison, struct holding *holding)
{
	struct buf *versions = &comparison->versions;

	list_remove(&holding->to_compare);
	holding->compared = true;
	memcpy(comparison->compared[comparison->count++], holding->key, strlen(holding->key) + 1);
	return append_element(&comparison->keys, holding->key) &&
		   buf_appendf(versions, "%s%" PRId64, buf_len(versions) > 1 ? "," : "",
					   holding->version);
}

/* The next part of those that are to be compared. NULL when memory is out. The caller holds the
 * lock. */
static struct directory_comparison *comparison_create(struct directory *directory,
													  enum directory_kind kind)
{
	struct directory_comparison *comparison = calloc(1, sizeof *comparison);
	struct list *list = &directory->to_compare[kind];
	struct holding *holding;

	if (!comparison)
		return NULL;
	comparison->directory = directory;
	comparison->kind = kind;
	buf_init(&comparison->keys);
	buf_init(&comparison->versions);
	bool ok =
		buf_append_byte(&comparison->keys, '{') && buf_append_byte(&comparison->versions, '{');
	while (ok && comparison->count < DIRECTORY_COMPARED_MAX &&
		   (holding = list_first(list, struct holding, to_compare)) != NULL)
		ok = comparison_add(comparison, holding);
	ok = ok && buf_append_cstr(&comparison->keys, "}") &&
		 buf_append_cstr(&comparison->versions, "}");
	if (ok)
		return comparison;
	comparison_free(comparison);
	return NULL;
}

/* Asks about the next part, if there is one. */
static void compare_next(struct directory *directory, enum directory_kind kind)
{
	struct directory_source *source = &directory->source;
	struct directory_comparison *comparison = NULL;

	pthread_mutex_lock(&directory->lock);
	if (!list_empty(&directory->to_compare[kind])) {
		comparison = comparison_create(directory, kind);
		if (!comparison)
			directory->missed = true;
	}
	pthread_mutex_unlock(&directory->lock);
	if (comparison)
		source->compare(source->self, kind, (const char *)buf_data(&comparison->keys),
						(const char *)buf_data(&comparison->versions), comparison);
}

void directory_differs(struct directory *directory, enum directory_kind kind, const char *key,
					   const struct tenant *tenant, const struct principal *principal)
{
	struct subject subject = {tenant, principal};

	pthread_mutex_lock(&directory->lock);
	if (!subject_is_known(subject))
		directory_take_out(directory, kind, key);
	else if (cache_holding(&directory->caches[kind], key)) /* not forgotten meanwhile */
		directory_take_in(directory, kind, subject);
	if (kind == DIRECTORY_TENANT) /* it may have a new name */
		cache_forget_unknown(&directory->caches[kind], NULL);
	pthread_mutex_unlock(&directory->lock);
	subject_unref(subject);
}

/* Those that were not announced meanwhile are what was said. */
static void prove(struct directory_comparison *comparison)
{
	struct directory *directory = comparison->directory;
	int64_t ask_at_us = clock_monotonic_us() + directory->limits.ttl_ms * 1000;

	for (size_t i = 0; i < comparison->count; i++) {
		struct holding *holding =
			cache_holding(&directory->caches[comparison->kind], comparison->compared[i]);

		if (holding && holding->compared) {
			holding->ask_at_us = ask_at_us;
			holding->compared = false;
		}
	}
}

void directory_compared(struct directory_comparison *comparison)
{
	struct directory *directory = comparison->directory;
	enum directory_kind kind = comparison->kind;

	pthread_mutex_lock(&directory->lock);
	prove(comparison);
	pthread_mutex_unlock(&directory->lock);
	comparison_free(comparison);
	compare_next(directory, kind);
}

void directory_not_compared(struct directory_comparison *comparison)
{
	struct directory *directory = comparison->directory;

	pthread_mutex_lock(&directory->lock);
	directory->missed = true;
	pthread_mutex_unlock(&directory->lock);
	comparison_free(comparison);
}

void directory_feed_began(struct directory *directory)
{
	struct holding *holding, *next;

	pthread_mutex_lock(&directory->lock);
	directory->fed = true;
	directory->missed = false;
	for (int kind = 0; kind < KINDS; kind++) {
		HASH_ITER (hh, directory->caches[kind].by_key, holding, next) {
			list_remove(&holding->to_compare);
			list_append(&directory->to_compare[kind], &holding->to_compare);
		}
	}
	pthread_mutex_unlock(&directory->lock);
	for (int kind = 0; kind < KINDS; kind++)
		compare_next(directory, (enum directory_kind)kind);
}

void directory_feed_pulse(struct directory *directory)
{
	pthread_mutex_lock(&directory->lock);
	bool again = directory->fed && directory->missed;
	pthread_mutex_unlock(&directory->lock);
	if (again)
		directory_feed_began(directory);
}

void directory_feed_ended(struct directory *directory)
{
	struct holding *holding, *next;

	pthread_mutex_lock(&directory->lock);
	if (directory->fed) {
		directory->fed = false;
		directory->proved_us = clock_monotonic_us();
		for (int kind = 0; kind < KINDS; kind++) {
			HASH_ITER (hh, directory->caches[kind].by_key, holding, next) {
				holding->ask_at_us = 0;
				holding->compared = false;
				list_remove(&holding->to_compare);
			}
			cache_forget_unknown(&directory->caches[kind], NULL);
		}
	}
	pthread_mutex_unlock(&directory->lock);
}
