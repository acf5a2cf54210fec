/*
 * route.h: where a tenant's backends lead: a cluster, a database there, and a login.
 *
 *	kind       database       login          what keeps tenants apart
 *	SEALED     the cluster's  the cluster's  the seal that hand-over puts on a backend
 *	LOGIN      the cluster's  the tenant's   row security by session_user
 *	SCHEMA     the cluster's  the tenant's   privileges; search_path is the tenant's schema
 *	DATABASE   the tenant's   the tenant's   CONNECT, on the database
 *	CLUSTER    the cluster's  the cluster's  nobody else is let in: [cluster:NAME] tenant
 *
 * The routes of all tenants that are sealed are one, of any other kind each tenant has its own.
 */
#ifndef PROXY_ROUTE_H
#define PROXY_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/conf.h"
#include "policy/reason.h"
#include "router/directory.h"

enum route_kind {
	ROUTE_SEALED,
	ROUTE_LOGIN,
	ROUTE_SCHEMA,
	ROUTE_DATABASE,
	ROUTE_CLUSTER,
};

/* What a route is known by. It is hashed as it stands: there is nothing between its members. */
struct route_key {
	uint32_t cluster;   /* its place among the conf's, which no reload changes */
	uint32_t kind;      /* an enum route_kind */
	struct uuid tenant; /* zero where the route is not one tenant's */
};

/*
 * The tenant's route under these settings. False where it has none, with the reason in *why and
 * a line in the log for those that the operator has to mend.
 */
bool route_find(const struct conf *conf, const struct tenant *tenant, struct route_key *out,
				enum reason *why);

/* Do both lead to the same place? */
bool route_equal(const struct route_key *a, const struct route_key *b);

/* Is it reached by the tenant's own login? */
static inline bool route_has_own_login(const struct route_key *route)
{
	return route->kind == ROUTE_LOGIN || route->kind == ROUTE_SCHEMA ||
		   route->kind == ROUTE_DATABASE;
}

#endif
