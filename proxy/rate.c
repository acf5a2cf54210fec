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

/* Up to when they will be spent with one more; 0 when that is later than the burst allows. */
static int64_t spent_with_one(int64_t spent, const struct tenant_limits *limits, int64_t now_ns)
{
	int64_t burst = limits->rate_burst ? limits->rate_burst : limits->rate_limit;
	int64_t next = (spent > now_ns ? spent : now_ns) + interval_of(limits);

	return next - now_ns > burst * interval_of(limits) ? 0 : next;
}

bool rate_take_at(atomic_llong *spent, const struct tenant_limits *limits, int64_t now_ns)
{
	long long seen = atomic_load(spent), next;

	do {
		next = spent_with_one(seen, limits, now_ns);
		if (!next)
			return false;
	} while (!atomic_compare_exchange_weak(spent, &seen, next));
	return true;
}

bool rate_is_spent_at(const atomic_llong *spent, const struct tenant_limits *limits,
					  int64_t now_ns)
{
	return !spent_with_one(atomic_load(spent), limits, now_ns);
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
