/* The cache of verdicts: exact texts and folds, bounded bytes, least recently used first. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/statement.h"

static const struct verdict *read_text(struct verdict_cache *cache, const char *text)
{
	const struct verdict *verdict = verdict_cache_read(cache, text, strlen(text));

	cr_assert(verdict != NULL);
	return verdict;
}

static struct verdict_cache_stats stats_of(const struct verdict_cache *cache)
{
	struct verdict_cache_stats stats;

	verdict_cache_get_stats(cache, &stats);
	return stats;
}

Test(verdict_cache, equal_texts_share_a_verdict)
{
	struct verdict_cache *cache = verdict_cache_create(1 << 20);
	const struct verdict *verdict = read_text(cache, "SELECT a");
	char other[] = "SELECT a";

	cr_assert_eq(read_text(cache, other), verdict);
	cr_assert_neq(read_text(cache, "SELECT b"), verdict);
	cr_assert_neq(read_text(cache, "SELECT a "), verdict);
	cr_assert_neq(read_text(cache, "select a"), verdict);
	cr_assert_neq(read_text(cache, "SELECT"), verdict);
	cr_assert_neq(read_text(cache, ""), verdict);
	cr_assert_eq(read_text(cache, "SELECT a"), verdict);

	struct verdict_cache_stats stats = stats_of(cache);
	cr_assert_eq(stats.hits, 2);
	cr_assert_eq(stats.misses, 6);
	cr_assert_eq(stats.count, 6);
	cr_assert_eq(stats.evictions, 0);
	cr_assert_gt(stats.read_ns, 0);
	cr_assert_gt(stats.bytes, 6 * sizeof *verdict);
	verdict_cache_destroy(cache);
}

Test(verdict_cache, texts_that_differ_in_values_share_one_where_those_do_not_matter)
{
	struct verdict_cache *cache = verdict_cache_create(1 << 20);
	const struct verdict *verdict = read_text(cache, "SELECT x FROM t WHERE id = 1");

	cr_assert_eq(read_text(cache, "SELECT x FROM t WHERE id = 2"), verdict);
	cr_assert_neq(read_text(cache, "SELECT x FROM t WHERE id = '2'"), verdict);
	cr_assert_neq(read_text(cache, "SELECT x FROM u WHERE id = 1"), verdict);
	cr_assert_eq(stats_of(cache).folded, 1);

	/* The values decide here, or positions in the text are of use. */
	static const char *const pairs[][2] = {
		{"SELECT set_config('a.b', 'c', true)", "SELECT set_config('a.b', 'c', false)"},
		{"SELECT set_config('transaction_isolation', '', true)",
		 "SELECT set_config('role', 'x', true)"},
		{"SET a.b = 'c'", "SET a.b = 'd'"},
		{"SELECT 1; RESET ALL", "SELECT 2; RESET ALL"},
		{"SELECT 1; SELECT 2", "SELECT 1; SELECT 3"},
		{"PREPARE TRANSACTION 'a'", "PREPARE TRANSACTION 'b'"},
		{"DO 'BEGIN END'", "DO 'BEGIN RESET ALL; END'"},
	};
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		const struct verdict *one = verdict_ref(read_text(cache, pairs[i][0]));

		cr_assert_neq(read_text(cache, pairs[i][1]), one, "%s", pairs[i][0]);
		verdict_unref(one);
	}
	cr_assert_eq(stats_of(cache).folded, 1);
	verdict_cache_destroy(cache);
}

Test(verdict_cache, a_text_that_comes_again_is_not_folded_each_time)
{
	struct verdict_cache *cache = verdict_cache_create(1 << 20);

	read_text(cache, "SELECT 1");
	for (int i = 0; i < 10; i++)
		read_text(cache, "SELECT 2");
	cr_assert_eq(stats_of(cache).folded, 2);
	cr_assert_eq(stats_of(cache).hits, 10);
	for (int i = 10; i < 1000; i++) {
		char text[64];

		snprintf(text, sizeof text, "SELECT %d", i);
		read_text(cache, text);
	}
	cr_assert_eq(stats_of(cache).count, 2, "texts that come once take no room");
	verdict_cache_destroy(cache);
}

Test(verdict_cache, a_text_is_not_taken_for_a_fold)
{
	struct verdict_cache *cache = verdict_cache_create(1 << 20);

	read_text(cache, "SELECT 1");
	const struct verdict *verdict = verdict_cache_read(cache, "\0SELECT 0", 9);
	cr_assert_eq(verdict->reading, SQL_UNREADABLE);
	verdict_cache_destroy(cache);
}

Test(verdict_cache, texts_are_compared_to_their_end)
{
	struct verdict_cache *cache = verdict_cache_create(1 << 20);
	const struct verdict *a = verdict_cache_read(cache, "SELECT 1; SELECT f()", 8);
	const struct verdict *b = verdict_cache_read(cache, "SELECT 1; SELECT f()", 20);
	const struct verdict *c = verdict_cache_read(cache, "SELECT 1\0 SELECT f()", 20);

	cr_assert_eq(a->statement_count, 1);
	cr_assert_eq(b->statement_count, 2);
	cr_assert_eq(c->reading, SQL_UNREADABLE);
	verdict_cache_destroy(cache);
}

Test(verdict_cache, bytes_are_bounded_and_the_least_recently_used_go)
{
	struct verdict_cache *cache = verdict_cache_create(20000);
	const struct verdict *kept = read_text(cache, "SELECT kept");

	for (int i = 0; i < 1000; i++) {
		char text[64];

		snprintf(text, sizeof text, "SELECT c%d", i);
		read_text(cache, text);
		cr_assert_leq(stats_of(cache).bytes, 20000);
		cr_assert_eq(read_text(cache, "SELECT kept"), kept);
	}

	struct verdict_cache_stats stats = stats_of(cache);
	cr_assert_eq(stats.hits, 1000);
	cr_assert_eq(stats.misses, 1001);
	cr_assert_eq(stats.count + stats.evictions, 1001);
	cr_assert_gt(stats.count, 10);
	read_text(cache, "SELECT c999");
	cr_assert_eq(stats_of(cache).hits, 1001);
	read_text(cache, "SELECT c0");
	cr_assert_eq(stats_of(cache).misses, 1002);
	verdict_cache_destroy(cache);
}

Test(verdict_cache, a_smaller_bound_holds_at_once)
{
	struct verdict_cache *cache = verdict_cache_create(1 << 20);

	for (int i = 0; i < 100; i++) {
		char text[64];

		snprintf(text, sizeof text, "SELECT c%d", i);
		read_text(cache, text);
	}
	verdict_cache_set_max(cache, 8000);
	cr_assert_leq(stats_of(cache).bytes, 8000);
	cr_assert_gt(stats_of(cache).count, 1);
	read_text(cache, "SELECT c99");
	cr_assert_eq(stats_of(cache).hits, 1);
	verdict_cache_set_max(cache, 0);
	cr_assert_eq(stats_of(cache).bytes, 0);
	cr_assert_eq(stats_of(cache).count, 0);
	cr_assert_eq(read_text(cache, "SELECT c99")->reading, SQL_READ);
	cr_assert_eq(stats_of(cache).count, 0);
	verdict_cache_destroy(cache);
}

Test(verdict_cache, long_texts_are_read_and_not_kept)
{
	struct verdict_cache *cache = verdict_cache_create(16 * 4096);
	char text[5000];

	memset(text, ' ', sizeof text);
	memcpy(text, "SELECT 1", 8);
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(verdict_cache_read(cache, text, sizeof text)->statement_count, 1);
		cr_assert_eq(stats_of(cache).count, 0);
	}
	cr_assert_eq(stats_of(cache).misses, 2);
	cr_assert_eq(verdict_cache_read(cache, text, 3000)->statement_count, 1);
	cr_assert_eq(stats_of(cache).count, 1);

	char *huge = malloc(SQL_TEXT_MAX + 1);
	memset(huge, ' ', SQL_TEXT_MAX + 1);
	cr_assert_eq(verdict_cache_read(cache, huge, SQL_TEXT_MAX + 1)->reading, SQL_TOO_LONG);
	free(huge);
	verdict_cache_destroy(cache);
}

Test(verdict_cache, a_reference_outlives_the_cache)
{
	struct verdict_cache *cache = verdict_cache_create(1 << 20);
	const struct verdict *verdict = verdict_ref(read_text(cache, "SELECT f(1)"));

	verdict_cache_destroy(cache);
	cr_assert_str_eq(verdict->functions[0].name, "f");
	cr_assert_eq(verdict->references, 1);
	verdict_unref(verdict);
	verdict_cache_destroy(NULL);
}
