#include "admin/api/live_page.h"

#include <stdlib.h>
#include <string.h>

#include "base/encode.h"

struct live_entry {
	struct live_key key;
	const void *what;
	size_t worker;
};

/* ---- keys ---- */

static int compare_numbers(int64_t one, int64_t other)
{
	return one < other ? -1 : one > other;
}

static int compare_keys(const struct live_key *one, const struct live_key *other)
{
	int by_name = strcmp(one->name ? one->name : "", other->name ? other->name : "");

	if (by_name)
		return by_name;
	int by_first = compare_numbers(one->first, other->first);
	return by_first ? by_first : compare_numbers(one->second, other->second);
}

static int compare_entries(const void *one, const void *other)
{
	return compare_keys(&((const struct live_entry *)one)->key,
						&((const struct live_entry *)other)->key);
}

bool live_key_read(const json_t *cursor, struct live_key *out)
{
	json_int_t first, second;

	*out = (struct live_key){.first = INT64_MIN};
	if (!cursor || json_is_null(cursor))
		return true;
	if (json_unpack((json_t *)(uintptr_t)cursor, "[s,I,I!]", &out->name, &first, &second) != 0)
		return false;
	out->first = first;
	out->second = second;
	return true;
}

/* As bulkhead_api.page() writes one: base64url (RFC 4648, section 5) of JSON, without padding.
 */
static json_t *cursor_of(const struct live_key *key)
{
	json_t *value = json_pack("[s,I,I]", key->name ? key->name : "", (json_int_t)key->first,
							  (json_int_t)key->second);
	char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;
	char *encoded = text ? malloc(BASE64_SIZE(strlen(text))) : NULL;
	json_t *cursor = NULL;

	if (encoded) {
		size_t len = base64_encode(text, strlen(text), encoded);

		while (len && encoded[len - 1] == '=')
			len--;
		for (size_t i = 0; i < len; i++)
			encoded[i] = encoded[i] == '+' ? '-' : encoded[i] == '/' ? '_' : encoded[i];
		cursor = json_stringn(encoded, len);
	}
	free(encoded);
	free(text);
	json_decref(value);
	return cursor;
}

/* ---- pages ---- */

void live_page_init(struct live_page *page, const struct live_key *after, size_t limit)
{
	*page = (struct live_page){.after = after, .limit = limit};
}

void live_page_fini(struct live_page *page)
{
	free(page->entries);
}

static bool make_room(struct live_page *page)
{
	size_t room = page->room ? 2 * page->room : 64;
	struct live_entry *entries;

	if (page->count < page->room)
		return true;
	entries = reallocarray(page->entries, room, sizeof *entries);
	if (!entries)
		return false;
	page->entries = entries;
	page->room = room;
	return true;
}

void live_page_add(struct live_page *page, const struct live_key *key, const void *what,
				   size_t worker)
{
	if (compare_keys(key, page->after) <= 0)
		return;
	if (!make_room(page)) {
		page->failed = true;
		return;
	}
	page->entries[page->count++] = (struct live_entry){*key, what, worker};
}

json_t *live_page_json(struct live_page *page, const struct live_scene *scene,
					   live_page_shower show)
{
	size_t count = page->count < page->limit ? page->count : page->limit;
	json_t *items = json_array(), *next;
	bool ok = items && !page->failed;

	if (page->count)
		qsort(page->entries, page->count, sizeof *page->entries, compare_entries);
	for (size_t i = 0; ok && i < count; i++)
		ok = json_array_append_new(
				 items, show(scene, page->entries[i].what, page->entries[i].worker)) == 0;
	next =
		count && page->count > count ? cursor_of(&page->entries[count - 1].key) : json_null();
	if (ok && next)
		return json_pack("{s:o, s:o}", "items", items, "next", next);
	json_decref(items);
	json_decref(next);
	return NULL;
}
