/*
 * metrics_tenants.h: tenants in the metrics, and how many of them.
 */
#ifndef ADMIN_METRICS_TENANTS_H
#define ADMIN_METRICS_TENANTS_H

#include <stddef.h>

#include "router/measures.h"

/*
 * Of all workers' lists one with each tenant once, the largest first; behind the last that has
 * series of its own, the `max`th, stand the others, as one. Returns how many there are then.
 */
size_t metrics_merge_tenants(struct tenant_measures *tenants, size_t count, size_t max);

#endif
