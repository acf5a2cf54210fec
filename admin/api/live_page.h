/*
 * live_page.h: pages of what workers have answered, in the order of a key that a cursor holds.
 */
#ifndef ADMIN_API_LIVE_PAGE_H
#define ADMIN_API_LIVE_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "admin/api/live_json.h"

/* Compared by name, then first, then second. */
struct live_key {
	const char *name; /* borrowed; NULL is "" */
	int64_t first, second;
};

/* From the decoded cursor, which keeps the name; null, or none, is before everything. False
 * when it is no key. */
bool live_key_read(const json_t *cursor, struct live_key *out);

struct live_page {
	const struct live_key *after; /* borrowed */
	size_t limit, count, room;
	struct live_entry *entries;
	bool failed; /* memory was out */
};

void live_page_init(struct live_page *page, const struct live_key *after, size_t limit);
void live_page_fini(struct live_page *page);

/* What stands behind `after`; `what` is borrowed. */
void live_page_add(struct live_page *page, const struct live_key *key, const void *what,
				   size_t worker);

typedef json_t *(*live_page_shower)(const struct live_scene *scene, const void *what,
									size_t worker);

/* {"items": […], "next": cursor or null}; NULL when memory is out. */
json_t *live_page_json(struct live_page *page, const struct live_scene *scene,
					   live_page_shower show);

#endif
