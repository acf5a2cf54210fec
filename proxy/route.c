#include "proxy/route.h"

#include <string.h>

#include "base/log.h"

_Static_assert(sizeof(struct route_key) == 8 + sizeof(struct uuid),
			   "there is no padding in it");

/* Which kind of route the tenant has on this cluster; false: none. */
static bool find_kind(const struct tenant *tenant, const struct conf_cluster *cluster,
					  enum route_kind *out)
{
	bool is_owned = *cluster->tenant != '\0';

	switch (tenant->strategy) {
	case SHARED_RLS:
		*out = tenant->dedicated_login || cluster->guard == GUARD_LOGIN ? ROUTE_LOGIN
																		: ROUTE_SEALED;
		return !is_owned;
	case SCHEMA_PER_TENANT:
		*out = ROUTE_SCHEMA;
		return !is_owned;
	case DATABASE_PER_TENANT:
		*out = is_owned ? ROUTE_CLUSTER : ROUTE_DATABASE;
		return !is_owned || tenant_is_called(tenant, cluster->tenant);
	}
	return false;
}

static void complain(const struct tenant *tenant, const char *event, const char *why)
{
	log_event(LOG_ERROR, event, "tenant", tenant->slug, "cluster", tenant->cluster, "region",
			  tenant->region, "why", why, NULL);
}

bool route_find(const struct conf *conf, const struct tenant *tenant, struct route_key *out,
				enum reason *why)
{
	const struct conf_cluster *cluster = conf_find_cluster(conf, tenant->cluster);
	enum route_kind kind;

	if (!conf_serves_region(conf, tenant->region)) {
		*why = REASON_REGION;
		return false;
	}
	if (!cluster) {
		*why = REASON_BACKEND_DOWN;
		complain(tenant, "client.no_cluster", "there is no section for this cluster");
		return false;
	}
	if (!find_kind(tenant, cluster, &kind)) {
		*why = REASON_STRATEGY;
		complain(tenant, "client.no_route", "the cluster is one tenant's own database");
		return false;
	}
	memset(out, 0, sizeof *out);
	out->cluster = (uint32_t)(cluster - conf->clusters);
	out->kind = kind;
	if (kind != ROUTE_SEALED)
		out->tenant = tenant->id;
	return true;
}

bool route_equal(const struct route_key *a, const struct route_key *b)
{
	return memcmp(a, b, sizeof *a) == 0;
}
