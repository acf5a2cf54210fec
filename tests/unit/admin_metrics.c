/* What several workers count is summed up, and labels are written so that they can be read. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "admin/metrics.h"

static struct measures *worker(const char *cluster)
{
	struct measures *measures = measures_create(1, 3);

	cr_assert(measures);
	measures->pools[measures->pool_count++].cluster = strdup(cluster);
	return measures;
}

static void add_tenant(struct measures *measures, uint8_t id, const char *slug, size_t sessions)
{
	struct tenant_measures *tenant = &measures->tenants[measures->tenant_count++];

	memset(&tenant->id, id, sizeof tenant->id);
	tenant->slug = strdup(slug);
	tenant->sessions = sessions;
}

static char *written_as(enum metrics_form form, struct measures *const workers[], size_t count,
						size_t tenants_max)
{
	struct metrics_input input = {
		.workers = workers, .worker_count = count, .tenants_max = tenants_max, .form = form};
	struct buf out;

	buf_init(&out);
	cr_assert(metrics_write(&input, &out) && buf_append_byte(&out, '\0'));
	char *text = strdup((const char *)buf_data(&out));
	buf_fini(&out);
	return text;
}

static char *written(struct measures *const workers[], size_t count, size_t tenants_max)
{
	return written_as(METRICS_PLAIN, workers, count, tenants_max);
}

#define has(text, line) cr_expect(strstr(text, "\n" line "\n"), "%s is missing", line)

Test(admin_metrics, workers_are_summed_up)
{
	struct measures *workers[] = {worker("a"), worker("a"), worker("b")};

	for (size_t i = 0; i < 3; i++) {
		struct pool_measures *pool = workers[i]->pools;

		workers[i]->logins = 10 + i;
		workers[i]->ended[REASON_PROTOCOL] = 1;
		workers[i]->pins[0].cause = "LISTEN";
		workers[i]->pins[0].sessions = 2;
		workers[i]->pin_count = 1;
		pool->queries = 100;
		pool->sessions[SESSION_IDLE] = 5;
		pool->longest_wait_us = 1000 * (int64_t)(i + 1);
		histogram_record(&pool->query, 20);
	}
	char *text = written(workers, 3, 0);

	has(text, "bulkhead_workers 3");
	has(text, "bulkhead_logins_total 33");
	has(text, "bulkhead_sessions_ended_total{reason=\"BH-NET-PROTOCOL\"} 3");
	has(text, "bulkhead_pinned_sessions{cause=\"LISTEN\"} 6");
	has(text, "bulkhead_pool_queries_total{cluster=\"a\"} 200");
	has(text, "bulkhead_pool_queries_total{cluster=\"b\"} 100");
	has(text, "bulkhead_pool_sessions{cluster=\"a\",state=\"idle\"} 10");
	has(text, "bulkhead_pool_longest_wait_seconds{cluster=\"a\"} 0.002");
	has(text, "bulkhead_pool_query_seconds_bucket{cluster=\"a\",le=\"1.6e-05\"} 0");
	has(text, "bulkhead_pool_query_seconds_bucket{cluster=\"a\",le=\"3.2e-05\"} 2");
	has(text, "bulkhead_pool_query_seconds_sum{cluster=\"a\"} 4e-05");
	has(text, "bulkhead_pool_query_seconds_count{cluster=\"b\"} 1");
	free(text);
	for (size_t i = 0; i < 3; i++)
		measures_free(workers[i]);
}

Test(admin_metrics, a_tenant_of_several_workers_is_one)
{
	struct measures *workers[] = {worker("a"), worker("a")};

	add_tenant(workers[0], 1, "small", 1);
	add_tenant(workers[0], 2, "large", 4);
	add_tenant(workers[0], 3, "middle", 5);
	add_tenant(workers[1], 2, "large", 4);
	add_tenant(workers[1], 4, "tiny", 1);
	char *text = written(workers, 2, 2);

	has(text, "bulkhead_tenant_sessions{tenant=\"large\"} 8");
	has(text, "bulkhead_tenant_sessions{tenant=\"middle\"} 5");
	has(text, "bulkhead_tenant_sessions{tenant=\"_other\"} 2");
	cr_expect(!strstr(text, "tiny") && !strstr(text, "small"));
	free(text);
	text = written(workers, 2, 4);
	has(text, "bulkhead_tenant_sessions{tenant=\"tiny\"} 1");
	cr_expect(!strstr(text, "tenant=\"_other\""));
	free(text);
	for (size_t i = 0; i < 2; i++)
		measures_free(workers[i]);
}

Test(admin_metrics, labels_are_escaped)
{
	struct measures *workers[] = {worker("a\"b\\c\nd")};
	char *text = written(workers, 1, 0);

	has(text, "bulkhead_pool_queries_total{cluster=\"a\\\"b\\\\c\\nd\"} 0");
	free(text);
	measures_free(workers[0]);
}

Test(admin_metrics, a_worker_that_could_not_say_makes_it_fail)
{
	struct measures *workers[] = {worker("a"), NULL};
	struct metrics_input input = {.workers = workers, .worker_count = 2};
	struct buf out;

	buf_init(&out);
	cr_expect(!metrics_write(&input, &out), "a sum without it would say that counters fell");
	buf_fini(&out);
	measures_free(workers[0]);
}

Test(admin_metrics, openmetrics_names_counters_without_their_suffix_and_has_an_end)
{
	struct measures *workers[] = {worker("a")};
	char *text = written_as(METRICS_OPENMETRICS, workers, 1, 0);

	has(text, "# TYPE bulkhead_logins counter");
	has(text, "bulkhead_logins_total 0");
	has(text, "# TYPE bulkhead_workers gauge");
	has(text, "# TYPE bulkhead_pool_query_seconds histogram");
	cr_expect(!strstr(text, "TYPE bulkhead_logins_total"));
	cr_expect_str_eq(strrchr(text, '#'), "# EOF\n");
	free(text);
	text = written(workers, 1, 0);
	has(text, "# TYPE bulkhead_logins_total counter");
	cr_expect(!strstr(text, "EOF"));
	free(text);
	measures_free(workers[0]);
}
