/* Pages of the admin API's lists: in order, each entry on one of them. */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "admin/api/live_page.h"
#include "base/encode.h"

static json_t *show(const struct live_scene *scene, const void *what, size_t worker)
{
	(void)scene;
	return json_integer(*(const int *)what * 10 + (json_int_t)worker);
}

/* What bulkhead_api.read_cursor makes of it. */
static json_t *decode(const char *cursor)
{
	char text[256], bytes[256];
	size_t len = 0;

	for (; *cursor; cursor++)
		text[len++] = *cursor == '-' ? '+' : *cursor == '_' ? '/' : *cursor;
	while (len % 4)
		text[len++] = '=';
	long size = base64_decode(text, len, bytes, sizeof bytes);
	cr_assert(size > 0);
	json_t *value = json_loadb(bytes, (size_t)size, 0, NULL);
	cr_assert_not_null(value);
	return value;
}

struct thing {
	struct live_key key;
	int number;
};

/* All pages of that size, one behind the other. */
static void expect_pages(const struct thing things[], size_t count, size_t limit,
						 const int wanted[])
{
	json_t *cursor = NULL;
	size_t seen = 0, pages = 0;

	do {
		struct live_page page;
		struct live_key after;

		cr_assert(live_key_read(cursor, &after));
		live_page_init(&page, &after, limit);
		for (size_t i = 0; i < count; i++)
			live_page_add(&page, &things[i].key, &things[i].number, 0);
		json_t *body = live_page_json(&page, NULL, show);
		cr_assert_not_null(body);
		json_t *items = json_object_get(body, "items"), *next = json_object_get(body, "next");
		cr_assert(json_array_size(items) <= limit);
		for (size_t i = 0; i < json_array_size(items); i++)
			cr_expect_eq(json_integer_value(json_array_get(items, i)), wanted[seen++] * 10);
		json_t *more = json_is_string(next) ? decode(json_string_value(next)) : NULL;
		live_page_fini(&page);
		json_decref(body);
		json_decref(cursor);
		cursor = more;
		cr_assert(++pages < 100);
	} while (cursor);
	cr_expect_eq(seen, count);
	cr_expect_eq(pages, count ? (count + limit - 1) / limit : 1);
}

Test(live_page, entries_come_in_order_and_once)
{
	static const struct thing things[] = {
		{{"b", 1, 0}, 5},          {{NULL, 7, 2}, 3},         {{"b", 0, 1}, 4},
		{{NULL, 7, 1}, 2},         {{"c", 0, 0}, 6},          {{"", -5, 0}, 1},
		{{"\xc3\xbf?>", 0, 0}, 7}, {{"\xc3\xbf?>", 1, 0}, 8},
	};
	static const int wanted[] = {1, 2, 3, 4, 5, 6, 7, 8};

	for (size_t limit = 1; limit <= 10; limit++)
		expect_pages(things, sizeof things / sizeof *things, limit, wanted);
	expect_pages(things, 0, 3, wanted);
}

Test(live_page, what_is_no_key_is_refused)
{
	static const char *const texts[] = {"{}",
										"[]",
										"7",
										"\"x\"",
										"[\"x\",1]",
										"[\"x\",1,2,3]",
										"[1,2,3]",
										"[\"x\",\"1\",2]",
										"[\"x\",1.5,2]",
										"[null,1,2]"};
	struct live_key key;

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		json_t *value = json_loads(texts[i], JSON_DECODE_ANY, NULL);

		cr_assert_not_null(value);
		cr_expect(!live_key_read(value, &key), "%s", texts[i]);
		json_decref(value);
	}
	cr_expect(live_key_read(NULL, &key) && live_key_read(json_null(), &key));
}
