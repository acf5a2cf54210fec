#include "admin/metrics_tenants.h"

#include <stdlib.h>
#include <string.h>

static int by_id(const void *a, const void *b)
{
	const struct tenant_measures *left = a, *right = b;

	return memcmp(&left->id, &right->id, sizeof left->id);
}

static int larger_first(const void *a, const void *b)
{
	const struct tenant_measures *left = a, *right = b;

	if (left->sessions != right->sessions)
		return left->sessions < right->sessions ? 1 : -1;
	return by_id(a, b);
}

static void add_tenant(struct tenant_measures *sum, const struct tenant_measures *tenant)
{
	sum->sessions += tenant->sessions;
	sum->waiting += tenant->waiting;
	sum->backends += tenant->backends;
}

size_t metrics_merge_tenants(struct tenant_measures *tenants, size_t count, size_t max)
{
	size_t kept = 0;

	qsort(tenants, count, sizeof *tenants, by_id);
	for (size_t i = 0; i < count; i++) {
		if (kept && by_id(&tenants[kept - 1], &tenants[i]) == 0)
			add_tenant(&tenants[kept - 1], &tenants[i]);
		else
			tenants[kept++] = tenants[i];
	}
	qsort(tenants, kept, sizeof *tenants, larger_first);
	for (size_t i = max + 1; i < kept; i++)
		add_tenant(&tenants[max], &tenants[i]);
	if (kept > max) {
		static char other[] = "_other"; /* no slug begins like that */

		tenants[max].slug = other;
		kept = max + 1;
	}
	return kept;
}
