#include "router/directory.h"

#include <stdlib.h>
#include <string.h>

#include "base/secret.h"

/* Counts are the only thing that ever changes in an entry, so readers hold it as const. */
static atomic_int *tenant_references(const struct tenant *tenant)
{
	return &((struct tenant *)tenant)->references;
}

static atomic_int *principal_references(const struct principal *principal)
{
	return &((struct principal *)principal)->references;
}

const struct tenant *tenant_ref(const struct tenant *tenant)
{
	atomic_fetch_add_explicit(tenant_references(tenant), 1, memory_order_relaxed);
	return tenant;
}

void tenant_unref(const struct tenant *tenant)
{
	if (!tenant ||
		atomic_fetch_sub_explicit(tenant_references(tenant), 1, memory_order_acq_rel) > 1)
		return;
	free(tenant->slug);
	free(tenant->key);
	free(tenant->cluster);
	free(tenant->seal);
	free(tenant->region);
	free(tenant->login_kid);
	permissions_fini(&((struct tenant *)tenant)->permissions);
	free((struct tenant *)tenant);
}

const struct principal *principal_ref(const struct principal *principal)
{
	atomic_fetch_add_explicit(principal_references(principal), 1, memory_order_relaxed);
	return principal;
}

void principal_unref(const struct principal *principal)
{
	if (!principal ||
		atomic_fetch_sub_explicit(principal_references(principal), 1, memory_order_acq_rel) > 1)
		return;
	free(principal->name);
	secret_free(principal->verifier);
	for (char **name = principal->certificate_names; name && *name; name++)
		free(*name);
	free(principal->certificate_names);
	free(principal->tenants);
	free((struct principal *)principal);
}

bool principal_read_names(const json_t *value, struct principal *principal)
{
	size_t count = json_array_size(value);

	if (!value || json_is_null(value))
		return true;
	principal->certificate_names = calloc(count + 1, sizeof *principal->certificate_names);
	for (size_t i = 0; principal->certificate_names && i < count; i++) {
		const char *name = json_string_value(json_array_get(value, i));

		principal->certificate_names[i] = name ? strdup(name) : NULL;
		if (!principal->certificate_names[i])
			return false;
	}
	return json_is_array(value) && count > 0 && principal->certificate_names;
}

bool principal_read_tenants(const json_t *value, struct principal *principal)
{
	size_t count = json_array_size(value);

	if (!value || json_is_null(value))
		return true;
	principal->tenants = count ? calloc(count, sizeof *principal->tenants) : NULL;
	for (size_t i = 0; principal->tenants && i < count; i++) {
		const char *id = json_string_value(json_array_get(value, i));

		if (!id || !uuid_parse(id, strlen(id), &principal->tenants[i]))
			return false;
		principal->tenant_count++;
	}
	return principal->tenants != NULL;
}

enum rule_place tenant_place(enum tenant_strategy strategy)
{
	switch (strategy) {
	case SHARED_RLS:
		break;
	case SCHEMA_PER_TENANT:
		return ON_SCHEMA;
	case DATABASE_PER_TENANT:
		return ON_DATABASE;
	}
	return ON_SHARED;
}

bool tenant_is_called(const struct tenant *tenant, const char *token)
{
	struct uuid id;

	return strcmp(token, tenant->slug) == 0 ||
		   (tenant->key && strcmp(token, tenant->key) == 0) ||
		   (uuid_parse(token, strlen(token), &id) && uuid_equal(&id, &tenant->id));
}

bool tenant_is_within(const struct tenant *tenant, const struct uuid *ancestor)
{
	for (size_t i = 0; i < tenant->depth; i++)
		if (uuid_equal(&tenant->path[i], ancestor))
			return true;
	return false;
}

/* Is it, or is one above it, among those for whom the principal may speak? */
static bool is_listed(const struct principal *principal, const struct tenant *tenant)
{
	for (size_t i = 0; i < principal->tenant_count; i++) {
		if (tenant_is_within(tenant, &principal->tenants[i]))
			return true;
	}
	return !principal->tenants;
}

static bool is_in_reach(const struct principal *principal, const struct tenant *tenant)
{
	switch (principal->reach) {
	case REACH_ALL:
		return true;
	case REACH_SUBTREE:
		return tenant_is_within(tenant, &principal->home);
	case REACH_SELF:
		return uuid_equal(&tenant->id, &principal->home);
	}
	return false;
}

bool principal_reaches(const struct principal *principal, const struct tenant *tenant)
{
	return is_in_reach(principal, tenant) && is_listed(principal, tenant);
}
