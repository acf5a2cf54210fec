#include "admin/answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/guard/guard.h"

/* Columns are read by their place in these lists. */
const char answer_tenant_sql[] =
	"SELECT id, path, slug, external_key, cluster, strategy, status, version, pool_weight "
	"FROM bulkhead_control.lookup_tenant($1)";
const char answer_principal_sql[] =
	"SELECT name, verifier, home_id, reach, disabled, valid_until_ms, version "
	"FROM bulkhead_control.lookup_principal($1)";

static const char *const strategy_names[] = {"SHARED_RLS", "SCHEMA_PER_TENANT",
											 "DATABASE_PER_TENANT"};
static const char *const status_names[] = {"provisioning", "active", "suspended", "archived",
										   "purging"};
static const char *const reach_names[] = {"self", "subtree", "all"};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* The place of the field's word in the list, or -1. */
static int read_word(const PGresult *row, int column, const char *const names[], size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(PQgetvalue(row, 0, column), names[i]) == 0)
			return (int)i;
	return -1;
}

static bool read_uuid(const PGresult *row, int column, struct uuid *out)
{
	return uuid_parse(PQgetvalue(row, 0, column), (size_t)PQgetlength(row, 0, column), out);
}

static bool read_int64(const PGresult *row, int column, int64_t *out)
{
	const char *text = PQgetvalue(row, 0, column);
	char *end;

	errno = 0;
	*out = strtoll(text, &end, 10);
	return errno == 0 && end != text && !*end;
}

/* A copy of the field; NULL stays NULL. False when memory is out. */
static bool read_text(const PGresult *row, int column, char **out)
{
	if (PQgetisnull(row, 0, column))
		return true;
	*out = strdup(PQgetvalue(row, 0, column));
	return *out != NULL;
}

/* `{id,id,…}`, from the root to the tenant itself. */
static bool read_path(const PGresult *row, int column, struct tenant *tenant)
{
	const char *at = PQgetvalue(row, 0, column);

	if (*at++ != '{')
		return false;
	while (tenant->depth < TENANT_DEPTH_MAX) {
		size_t len = strcspn(at, ",}");

		if (!uuid_parse(at, len, &tenant->path[tenant->depth]))
			return false;
		tenant->depth++;
		at += len;
		if (*at++ == '}')
			return uuid_equal(&tenant->path[tenant->depth - 1], &tenant->id);
	}
	return false;
}

static bool fill_tenant(struct tenant *tenant, const PGresult *row)
{
	int strategy = read_word(row, 5, strategy_names, COUNT(strategy_names));
	int status = read_word(row, 6, status_names, COUNT(status_names));
	int64_t weight = 0;

	if (strategy < 0 || status < 0 || !read_uuid(row, 0, &tenant->id) ||
		!read_path(row, 1, tenant) || !read_text(row, 2, &tenant->slug) ||
		!read_text(row, 3, &tenant->key) || !read_text(row, 4, &tenant->cluster) ||
		!read_int64(row, 7, &tenant->version) || !read_int64(row, 8, &weight) || weight < 1 ||
		weight > UINT16_MAX)
		return false;
	tenant->pool_weight = (unsigned)weight;
	tenant->strategy = (enum tenant_strategy)strategy;
	tenant->status = (enum tenant_status)status;
	tenant->seal = guard_seal(&tenant->id, tenant->key);
	return tenant->seal != NULL;
}

enum directory_result answer_tenant(const PGresult *result, const struct tenant **out)
{
	struct tenant *tenant;

	if (PQntuples(result) == 0)
		return DIRECTORY_UNKNOWN;
	tenant = calloc(1, sizeof *tenant);
	if (!tenant)
		return DIRECTORY_UNAVAILABLE;
	atomic_init(&tenant->references, 1);
	if (!fill_tenant(tenant, result)) {
		tenant_unref(tenant);
		return DIRECTORY_UNAVAILABLE;
	}
	*out = tenant;
	return DIRECTORY_FOUND;
}

static bool fill_principal(struct principal *principal, const PGresult *row)
{
	int reach = read_word(row, 3, reach_names, COUNT(reach_names));

	if (reach < 0 || !read_text(row, 0, &principal->name) ||
		!read_text(row, 1, &principal->verifier) || !read_uuid(row, 2, &principal->home) ||
		!read_int64(row, 6, &principal->version))
		return false;
	principal->reach = (enum reach)reach;
	/* Only a plain `f` lets anyone in. */
	principal->disabled = strcmp(PQgetvalue(row, 0, 4), "f") != 0;
	principal->valid_until_ms = INT64_MAX;
	return PQgetisnull(row, 0, 5) || read_int64(row, 5, &principal->valid_until_ms);
}

enum directory_result answer_principal(const PGresult *result, const struct principal **out)
{
	struct principal *principal;

	if (PQntuples(result) == 0)
		return DIRECTORY_UNKNOWN;
	principal = calloc(1, sizeof *principal);
	if (!principal)
		return DIRECTORY_UNAVAILABLE;
	atomic_init(&principal->references, 1);
	if (!fill_principal(principal, result)) {
		principal_unref(principal);
		return DIRECTORY_UNAVAILABLE;
	}
	*out = principal;
	return DIRECTORY_FOUND;
}
