#include "proxy/rate.h"

#include "base/clock.h"
#include "proxy/crew.h"
#include "proxy/gatekeeper.h"
#include "proxy/limits.h"

#define SECOND_NS 1000000000

static int64_t interval_of(const struct tenant_limits *limits)
{
	return SECOND_NS / limits->rate_limit;
}

/* Up to when they may be spent. */
static int64_t end_of(const struct tenant_limits *limits, int64_t now_ns)
{
	int64_t burst = limits->rate_burst ? limits->rate_burst : limits->rate_limit;

	return now_ns + burst * interval_of(limits);
}

/* Up to when they are spent. What was spent under another limit, which gave fewer, is not held
 * against those who have a larger one now. */
static long long look(atomic_llong *spent, int64_t end_ns)
{
	long long seen = atomic_load(spent);

	while (seen > end_ns && !atomic_compare_exchange_weak(spent, &seen, end_ns)) {
	}
	return seen > end_ns ? end_ns : seen;
}

static int64_t with_one_more(int64_t spent, const struct tenant_limits *limits, int64_t now_ns)
{
	return (spent > now_ns ? spent : now_ns) + interval_of(limits);
}

bool rate_take_at(atomic_llong *spent, const struct tenant_limits *limits, int64_t now_ns)
{
	int64_t end_ns = end_of(limits, now_ns), next;
	long long seen = look(spent, end_ns);

	do {
		next = with_one_more(seen, limits, now_ns);
		if (next > end_ns)
			return false;
	} while (!atomic_compare_exchange_weak(spent, &seen, next));
	return true;
}

bool rate_is_spent_at(atomic_llong *spent, const struct tenant_limits *limits, int64_t now_ns)
{
	int64_t end_ns = end_of(limits, now_ns);

	return with_one_more(look(spent, end_ns), limits, now_ns) > end_ns;
}

bool rate_take(const struct client *client)
{
	return rate_take_at(&client->of_tenant->common->spent_ns, &client->tenant->limits,
						clock_monotonic_us() * 1000);
}

bool rate_is_spent(const struct client *client)
{
	return rate_is_spent_at(&client->of_tenant->common->spent_ns, &client->tenant->limits,
							clock_monotonic_us() * 1000);
}

void rate_refused(struct client *client)
{
	gatekeeper_note_refused(client, REASON_RATE, "proxy.rate_limit");
}
