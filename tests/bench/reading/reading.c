/*
 * What reading SQL costs: microseconds of CPU for each text, when its verdict is made and when
 * it is taken from the cache, and how the making divides. Printed as a table.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "policy/bounds.h"
#include "policy/statement.h"

#define CACHE_BYTES ((size_t)16 << 20)
#define MEASURE_US  100000

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

struct subject {
	const char *text;
	size_t len;
	struct verdict_cache *cache;
	char *scratch;
};

static void look(struct subject *subject)
{
	struct buf segments;
	bool memory_is_out;

	buf_init(&segments);
	memcpy(subject->scratch, subject->text, subject->len + 1);
	bounds_look(subject->scratch, subject->len, &segments, &memory_is_out);
	buf_fini(&segments);
}

static void miss(struct subject *subject)
{
	verdict_unref(sql_read(subject->text, subject->len));
}

static void hit(struct subject *subject)
{
	verdict_cache_read(subject->cache, subject->text, subject->len);
}

/* Microseconds per call; the first one is not counted. */
static double measure(void (*work)(struct subject *), struct subject *subject)
{
	double start, now;
	long count = 0;

	work(subject);
	start = now = now_us();
	while (now - start < MEASURE_US) {
		for (int i = 0; i < 20; i++, count++)
			work(subject);
		now = now_us();
	}
	return (now - start) / (double)count;
}

static void print_row(const char *name, const char *text)
{
	struct subject subject = {.text = text, .len = strlen(text)};
	const struct verdict *verdict = sql_read(text, subject.len);

	subject.cache = verdict_cache_create(CACHE_BYTES);
	subject.scratch = malloc(subject.len + 1);
	if (!verdict || !subject.cache || !subject.scratch)
		exit(1);
	printf("| %s | %zu | %.2f | %.2f | %.2f | %zu |%s\n", name, subject.len,
		   measure(miss, &subject), measure(look, &subject), measure(hit, &subject),
		   verdict->size, verdict->reading == SQL_READ ? "" : " NOT READ");
	verdict_cache_destroy(subject.cache);
	verdict_unref(verdict);
	free(subject.scratch);
}

/* A part, `count` times another with its number in place of %d, a comma between, and an end. */
static char *repeat(const char *start, const char *part, int count, const char *end)
{
	struct buf text;

	buf_init(&text);
	buf_append(&text, start, strlen(start));
	for (int i = 0; i < count; i++) {
		for (const char *at = part; *at; at++) {
			if (at[0] == '%' && at[1] == 'd') {
				buf_appendf(&text, "%d", i);
				at++;
			} else {
				buf_append_byte(&text, (uint8_t)*at);
			}
		}
		if (i + 1 < count)
			buf_append_byte(&text, ',');
	}
	buf_append_cstr(&text, end);
	return (char *)buf_data(&text);
}

static void print_repeated(const char *name, const char *start, const char *part, int count,
						   const char *end)
{
	char *text = repeat(start, part, count, end);

	print_row(name, text);
	free(text);
}

int main(void)
{
	puts("| text | bytes | read, µs | of that the bounds | from the cache | verdict, bytes |");
	puts("|---|---|---|---|---|---|");
	print_row("point select", "SELECT abalance FROM pgbench_accounts WHERE aid = 1234567;");
	print_repeated("ORM join", "SELECT ",
				   "\"orders_order\".\"column_%d\" AS \"orders_order_column_%d\"", 40,
				   " FROM \"orders_order\" INNER JOIN \"shop_customer\" ON "
				   "(\"orders_order\".\"customer_id\" = \"shop_customer\".\"id\") "
				   "LEFT OUTER JOIN \"shop_address\" ON (\"shop_customer\".\"address_id\" = "
				   "\"shop_address\".\"id\") WHERE (\"shop_customer\".\"active\" = $1 AND "
				   "\"orders_order\".\"state\" IN ($2, $3, $4)) ORDER BY "
				   "\"orders_order\".\"created_at\" DESC LIMIT 50");
	print_repeated("INSERT of 20 parameters",
				   "INSERT INTO orders (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, "
				   "s, t) VALUES (",
				   "$1", 20, ") RETURNING id");
	print_repeated("100 rows of VALUES", "INSERT INTO measurements VALUES ",
				   "(%d, 'sensor-%d', '2026-11-28 12:00:00+00', 21.5, 0.25, 'a text of some "
				   "words', true)",
				   100, "");
	print_repeated(
		"CTEs", "WITH ",
		"step_%d AS (SELECT a.id, sum(a.amount) AS total FROM accounts a JOIN "
		"entries e ON e.account_id = a.id WHERE e.at > now() - interval '1 day' GROUP "
		"BY a.id HAVING sum(a.amount) > 0)",
		60, " SELECT * FROM step_0");
	print_repeated("1 MB of VALUES", "INSERT INTO measurements VALUES ",
				   "(%d, 'sensor-%d', '2026-11-28 12:00:00+00', 21.5, 0.25, 'a text of some "
				   "words', true)",
				   11200, "");
	return 0;
}
