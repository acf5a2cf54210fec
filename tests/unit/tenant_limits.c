/* A tenant's limits: on their way to the directory, and the bucket of the rate. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <pthread.h>

#include "policy/gate.h"
#include "proxy/limits.h"
#include "proxy/rate.h"
#include "router/tenant_limits.h"

static bool read_text(const char *text, struct tenant_limits *out)
{
	json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
	bool ok = tenant_limits_read(value, out);

	cr_assert(value);
	json_decref(value);
	return ok;
}

/* ---- JSON ---- */

Test(tenant_limits, what_is_not_set_is_no_limit)
{
	struct tenant_limits limits = {.rate_limit = 7};

	cr_assert(tenant_limits_read(NULL, &limits));
	cr_expect(!limits.has_max_connections && !limits.rate_limit);
	cr_assert(read_text("{\"unheard_of\": []}", &limits));
	cr_expect(!limits.has_max_connections && !limits.pool_size);
	cr_assert(read_text("{\"max_connections\": -1}", &limits));
	cr_expect(!limits.has_max_connections);
	cr_assert(read_text("{\"max_connections\": 0}", &limits));
	cr_expect(limits.has_max_connections && !limits.max_connections);
}

Test(tenant_limits, are_written_as_they_are_read)
{
	const char text[] = "{\"max_connections\":0,\"pool_size\":3,\"statement_timeout\":5000,"
						"\"idle_in_transaction_timeout\":1,\"query_wait_timeout\":2147483647,"
						"\"rate_limit\":1000000,\"rate_burst\":4}";
	struct tenant_limits limits;

	cr_assert(read_text(text, &limits));
	cr_expect_eq(limits.statement_timeout_ms, 5000);
	json_t *value = tenant_limits_write(&limits);
	char *written = json_dumps(value, JSON_COMPACT);
	cr_expect_str_eq(written, text);
	free(written);
	json_decref(value);
}

Test(tenant_limits, a_number_out_of_bounds_is_the_bound)
{
	struct tenant_limits limits;

	cr_assert(
		read_text("{\"pool_size\": 1e300, \"rate_limit\": -5, \"statement_timeout\": 250.0,"
				  " \"max_connections\": 99999999999}",
				  &limits));
	cr_expect_eq(limits.pool_size, 10000);
	cr_expect_eq(limits.rate_limit, 0);
	cr_expect_eq(limits.statement_timeout_ms, 250);
	cr_expect_eq(limits.max_connections, 1000000);
}

Test(tenant_limits, what_is_no_number_is_refused)
{
	static const char *const bad[] = {"[]",
									  "1",
									  "null",
									  "{\"pool_size\": \"3\"}",
									  "{\"max_connections\": null}",
									  "{\"rate_limit\": true}"};
	struct tenant_limits limits;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		cr_expect(!read_text(bad[i], &limits), "%s", bad[i]);
}

Test(tenant_limits, the_stricter_holds)
{
	cr_expect_eq(limits_stricter(0, 0), 0);
	cr_expect_eq(limits_stricter(5, 0), 5);
	cr_expect_eq(limits_stricter(0, 5), 5);
	cr_expect_eq(limits_stricter(3, 5), 3);
	cr_expect_eq(limits_stricter(5, 3), 3);
}

/* ---- the bucket ---- */

#define SECOND INT64_C(1000000000)

static int take_all(atomic_llong *spent, const struct tenant_limits *limits, int64_t now_ns)
{
	int count = 0;

	while (!rate_is_spent_at(spent, limits, now_ns)) {
		cr_assert(rate_take_at(spent, limits, now_ns));
		count++;
	}
	cr_assert(!rate_take_at(spent, limits, now_ns));
	return count;
}

Test(rate, a_burst_and_then_so_many_a_second)
{
	const struct tenant_limits limits = {.rate_limit = 10, .rate_burst = 25};
	atomic_llong spent = 0;
	int64_t now = 1000 * SECOND;

	cr_expect_eq(take_all(&spent, &limits, now), 25);
	cr_expect_eq(take_all(&spent, &limits, now + SECOND / 10 - 1), 0);
	cr_expect_eq(take_all(&spent, &limits, now + SECOND / 10), 1);
	cr_expect_eq(take_all(&spent, &limits, now + SECOND), 9);
	cr_expect_eq(take_all(&spent, &limits, now + 1000 * SECOND), 25);
}

Test(rate, without_a_burst_it_is_a_seconds_worth)
{
	const struct tenant_limits one = {.rate_limit = 1}, many = {.rate_limit = 1000000};
	atomic_llong spent = 0;

	cr_expect_eq(take_all(&spent, &one, SECOND), 1);
	spent = 0;
	cr_expect_eq(take_all(&spent, &many, SECOND), 1000000);
}

Test(rate, the_largest_burst_at_the_slowest_rate)
{
	const struct tenant_limits limits = {.rate_limit = 1, .rate_burst = 1000000};
	atomic_llong spent = 0;

	cr_expect_eq(take_all(&spent, &limits, 40 * 365 * 86400 * SECOND), 1000000);
}

/* Another limit than that under which tokens were spent: nobody waits by the one of before. */
Test(rate, a_limit_may_change)
{
	const struct tenant_limits slow = {.rate_limit = 1, .rate_burst = 100},
							   fast = {.rate_limit = 1000, .rate_burst = 1000};
	atomic_llong spent = 0;

	cr_expect_eq(take_all(&spent, &slow, SECOND), 100);
	cr_expect_eq(take_all(&spent, &fast, SECOND), 0);
	cr_expect_eq(take_all(&spent, &fast, SECOND + SECOND / 2), 500);
	cr_expect_eq(take_all(&spent, &slow, SECOND + SECOND / 2), 99);
}

struct crowd {
	atomic_llong spent;
	atomic_int taken;
	struct tenant_limits limits;
};

static void *take(void *arg)
{
	struct crowd *crowd = arg;

	for (int i = 0; i < 20000; i++)
		if (rate_take_at(&crowd->spent, &crowd->limits, SECOND))
			atomic_fetch_add(&crowd->taken, 1);
	return NULL;
}

Test(rate, threads_take_no_token_twice)
{
	struct crowd crowd = {.limits = {.rate_limit = 1000, .rate_burst = 30000}};
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		cr_assert(!pthread_create(&threads[i], NULL, take, &crowd));
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	cr_expect_eq(crowd.taken, 30000);
}

/* ---- the gate ---- */

Test(rate, nothing_passes_the_gate_uncounted)
{
	static const enum gate_mode modes[] = {GATE_ENFORCE, GATE_OBSERVE, GATE_OFF};
	static const char *const texts[] = {"SELECT 1", "COMMIT", "", "no sql", "SET x.y = 1"};

	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		const struct gate_settings settings = {.mode = modes[i]};
		struct gate gate;

		gate_init(&gate, ON_SHARED, NULL, &settings, permissions_of_place(ON_SHARED));
		for (size_t j = 0; j < sizeof texts / sizeof *texts; j++) {
			const struct verdict *verdict = sql_read(texts[j], strlen(texts[j]));
			struct gate counted = gate;
			struct gate_refusal refusal;

			gate_count(&counted);
			cr_expect(!gate_passes(&counted, verdict->needs, verdict->rules), "%s", texts[j]);
			cr_expect_eq(gate_judge(&counted, verdict, false, &refusal),
						 gate_judge(&gate, verdict, false, &refusal), "%s", texts[j]);
			verdict_unref(verdict);
		}
	}
}
