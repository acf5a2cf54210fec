#include "router/measures.h"

#include <stdlib.h>

const char *const session_state_names[SESSION_STATES] = {
	[SESSION_LOGIN] = "login",     [SESSION_IDLE] = "idle",
	[SESSION_WAITING] = "waiting", [SESSION_ACTIVE] = "active",
	[SESSION_LEAVING] = "leaving", [SESSION_IDLE_IN_TRANSACTION] = "idle in transaction",
	[SESSION_CONSOLE] = "console",
};

const char *const backend_state_names[BACKEND_STATES] = {
	[BACKEND_OPENING] = "opening",     [BACKEND_IDLE] = "idle",
	[BACKEND_PREPARING] = "preparing", [BACKEND_ACTIVE] = "active",
	[BACKEND_CLEANING] = "cleaning",   [BACKEND_HELD] = "held",
};

struct measures *measures_create(size_t pools_max, size_t tenants_max)
{
	struct measures *measures = calloc(1, sizeof *measures);

	if (!measures)
		return NULL;
	measures->pools = calloc(pools_max + 1, sizeof *measures->pools);
	measures->tenants = calloc(tenants_max + 1, sizeof *measures->tenants);
	if (measures->pools && measures->tenants)
		return measures;
	measures_free(measures);
	return NULL;
}

void measures_free(struct measures *measures)
{
	if (!measures)
		return;
	for (size_t i = 0; i < measures->pool_count; i++)
		free(measures->pools[i].cluster);
	for (size_t i = 0; i < measures->tenant_count; i++)
		free(measures->tenants[i].slug);
	for (size_t i = 0; i < measures->host_count; i++)
		free(measures->hosts[i].cluster);
	free(measures->pools);
	free(measures->tenants);
	free(measures->hosts);
	free(measures);
}
