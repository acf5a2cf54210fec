#include "admin/answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/guard/guard.h"
#include "router/permissions.h"
#include "router/tenant_limits.h"

/* Columns are read by their place in these lists. */
#define TENANT_COLUMNS_OLDER                                                                   \
	"SELECT id, path, slug, external_key, cluster, strategy, status, version, pool_weight"
#define TENANT_COLUMNS_13 TENANT_COLUMNS_OLDER ", permissions"
#define TENANT_COLUMNS    TENANT_COLUMNS_13 ", region, dedicated_login, login_kid"
#define PRINCIPAL_COLUMNS_OLDER                                                                \
	"SELECT name, verifier, home_id, reach, disabled, valid_until_ms, version"
#define PRINCIPAL_COLUMNS                                                                      \
	PRINCIPAL_COLUMNS_OLDER ", max_connections, certificate_names, tenants"

const char answer_tenant_sql[] = TENANT_COLUMNS " FROM bulkhead_control.lookup_tenant($1)";
const char answer_tenant_13_sql[] =
	TENANT_COLUMNS_13 " FROM bulkhead_control.lookup_tenant($1)";
const char answer_tenant_older_sql[] =
	TENANT_COLUMNS_OLDER " FROM bulkhead_control.lookup_tenant($1)";
const char answer_principal_sql[] =
	PRINCIPAL_COLUMNS " FROM bulkhead_control.lookup_principal($1)";
const char answer_principal_older_sql[] =
	PRINCIPAL_COLUMNS_OLDER " FROM bulkhead_control.lookup_principal($1)";
const char answer_changed_tenants_sql[] =
	TENANT_COLUMNS " FROM bulkhead_control.changed_tenants($1, $2)";
const char answer_changed_tenants_13_sql[] =
	TENANT_COLUMNS_13 " FROM bulkhead_control.changed_tenants($1, $2)";
const char answer_changed_tenants_older_sql[] =
	TENANT_COLUMNS_OLDER " FROM bulkhead_control.changed_tenants($1, $2)";
const char answer_changed_principals_sql[] =
	PRINCIPAL_COLUMNS " FROM bulkhead_control.changed_principals($1, $2)";
const char answer_changed_principals_older_sql[] =
	PRINCIPAL_COLUMNS_OLDER " FROM bulkhead_control.changed_principals($1, $2)";

#define TENANT_VERSION     7
#define TENANT_PERMISSIONS 9
#define TENANT_REGION      10
#define TENANT_OWN_LOGIN   11
#define TENANT_LOGIN_KID   12
#define PRINCIPAL_VERSION  6
#define PRINCIPAL_LIMIT    7
#define PRINCIPAL_NAMES    8
#define PRINCIPAL_TENANTS  9

/* One row of a result. */
struct row {
	const PGresult *result;
	int number;
};

static const char *text_of(struct row row, int column)
{
	return PQgetvalue(row.result, row.number, column);
}

static bool is_null(struct row row, int column)
{
	return PQgetisnull(row.result, row.number, column);
}

static const char *const strategy_names[] = {"SHARED_RLS", "SCHEMA_PER_TENANT",
											 "DATABASE_PER_TENANT"};
static const char *const status_names[] = {"provisioning", "active", "suspended", "archived",
										   "purging"};
static const char *const reach_names[] = {"self", "subtree", "all"};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* The place of the field's word in the list, or -1. */
static int read_word(struct row row, int column, const char *const names[], size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(text_of(row, column), names[i]) == 0)
			return (int)i;
	return -1;
}

static bool read_uuid(struct row row, int column, struct uuid *out)
{
	return uuid_parse(text_of(row, column), strlen(text_of(row, column)), out);
}

static bool read_int64(struct row row, int column, int64_t *out)
{
	const char *text = text_of(row, column);
	char *end;

	errno = 0;
	*out = strtoll(text, &end, 10);
	return errno == 0 && end != text && !*end;
}

/* A copy of the field; NULL stays NULL. False when memory is out. */
static bool read_text(struct row row, int column, char **out)
{
	if (is_null(row, column))
		return true;
	*out = strdup(text_of(row, column));
	return *out != NULL;
}

/* `{id,id,…}`, from the root to the tenant itself. */
static bool read_path(struct row row, int column, struct tenant *tenant)
{
	const char *at = text_of(row, column);

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

/* Of a tenant whose strategy is known. */
static bool read_permissions(struct row row, struct tenant *tenant)
{
	json_t *value;
	bool ok;

	if (PQnfields(row.result) <= TENANT_PERMISSIONS) {
		permissions_default(&tenant->permissions, tenant->strategy);
		return true;
	}
	value = json_loads(text_of(row, TENANT_PERMISSIONS), JSON_REJECT_DUPLICATES, NULL);
	ok = permissions_read(value, &tenant->permissions) &&
		 tenant_limits_read(json_object_get(value, "limits"), &tenant->limits);
	json_decref(value);
	return ok;
}

/* Only a plain `t` gives it a login of its own. */
static bool read_login(struct row row, struct tenant *tenant)
{
	if (PQnfields(row.result) <= TENANT_LOGIN_KID)
		return true;
	tenant->dedicated_login = strcmp(text_of(row, TENANT_OWN_LOGIN), "t") == 0;
	return read_text(row, TENANT_REGION, &tenant->region) &&
		   read_text(row, TENANT_LOGIN_KID, &tenant->login_kid);
}

static bool fill_tenant(struct tenant *tenant, struct row row)
{
	int strategy = read_word(row, 5, strategy_names, COUNT(strategy_names));
	int status = read_word(row, 6, status_names, COUNT(status_names));
	int64_t weight = 0;

	if (strategy < 0 || status < 0 || !read_uuid(row, 0, &tenant->id) ||
		!read_path(row, 1, tenant) || !read_text(row, 2, &tenant->slug) ||
		!read_text(row, 3, &tenant->key) || !read_text(row, 4, &tenant->cluster) ||
		!read_int64(row, TENANT_VERSION, &tenant->version) || !read_int64(row, 8, &weight) ||
		weight < 1 || weight > UINT16_MAX)
		return false;
	tenant->pool_weight = (unsigned)weight;
	tenant->strategy = (enum tenant_strategy)strategy;
	tenant->status = (enum tenant_status)status;
	tenant->seal = guard_seal(&tenant->id, tenant->key);
	return tenant->seal && read_login(row, tenant) && read_permissions(row, tenant);
}

/* Whatever is there has a version. */
static bool is_there(const PGresult *result, int row, int version_column)
{
	return row < PQntuples(result) && !PQgetisnull(result, row, version_column);
}

enum directory_result answer_tenant(const PGresult *result, int row, const struct tenant **out)
{
	struct tenant *tenant;

	if (!is_there(result, row, TENANT_VERSION))
		return DIRECTORY_UNKNOWN;
	tenant = calloc(1, sizeof *tenant);
	if (!tenant)
		return DIRECTORY_UNAVAILABLE;
	atomic_init(&tenant->references, 1);
	if (!fill_tenant(tenant, (struct row){result, row})) {
		tenant_unref(tenant);
		return DIRECTORY_UNAVAILABLE;
	}
	*out = tenant;
	return DIRECTORY_FOUND;
}

/* A JSON array, or NULL, into the principal. */
static bool read_list(struct row row, int column, struct principal *principal,
					  bool (*read)(const json_t *, struct principal *))
{
	if (is_null(row, column))
		return true;
	json_t *list = json_loads(text_of(row, column), 0, NULL);
	bool done = json_is_array(list) && read(list, principal);
	json_decref(list);
	return done;
}

/* How many connections, what certificates are called, and for which tenants it may speak. */
static bool read_limits(struct row row, struct principal *principal)
{
	int64_t limit = 0;

	if (PQnfields(row.result) <= PRINCIPAL_TENANTS)
		return true;
	if (!is_null(row, PRINCIPAL_LIMIT) &&
		(!read_int64(row, PRINCIPAL_LIMIT, &limit) || limit < 1 || limit > INT32_MAX))
		return false;
	principal->max_connections = (int)limit;
	return read_list(row, PRINCIPAL_NAMES, principal, principal_read_names) &&
		   read_list(row, PRINCIPAL_TENANTS, principal, principal_read_tenants);
}

static bool fill_principal(struct principal *principal, struct row row)
{
	int reach = read_word(row, 3, reach_names, COUNT(reach_names));

	if (reach < 0 || !read_text(row, 0, &principal->name) ||
		!read_text(row, 1, &principal->verifier) || !read_uuid(row, 2, &principal->home) ||
		!read_int64(row, PRINCIPAL_VERSION, &principal->version) ||
		!read_limits(row, principal))
		return false;
	principal->reach = (enum reach)reach;
	/* Only a plain `f` lets anyone in. */
	principal->disabled = strcmp(text_of(row, 4), "f") != 0;
	principal->valid_until_ms = INT64_MAX;
	return is_null(row, 5) || read_int64(row, 5, &principal->valid_until_ms);
}

enum directory_result answer_principal(const PGresult *result, int row,
									   const struct principal **out)
{
	struct principal *principal;

	if (!is_there(result, row, PRINCIPAL_VERSION))
		return DIRECTORY_UNKNOWN;
	principal = calloc(1, sizeof *principal);
	if (!principal)
		return DIRECTORY_UNAVAILABLE;
	atomic_init(&principal->references, 1);
	if (!fill_principal(principal, (struct row){result, row})) {
		principal_unref(principal);
		return DIRECTORY_UNAVAILABLE;
	}
	*out = principal;
	return DIRECTORY_FOUND;
}

bool answer_key(const PGresult *result, int row, enum directory_kind kind,
				char key[PRINCIPAL_NAME_MAX + 1])
{
	const char *text = PQgetvalue(result, row, 0);
	size_t len = strlen(text);
	struct uuid id;

	if (kind == DIRECTORY_TENANT) {
		if (!uuid_parse(text, len, &id))
			return false;
		uuid_hex(&id, key);
		return true;
	}
	if (len > PRINCIPAL_NAME_MAX)
		return false;
	memcpy(key, text, len + 1);
	return true;
}
