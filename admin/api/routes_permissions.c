/* Permissions of tenants, and the registry of their keys; see sql/permissions.sql. */
#include "admin/api/routes.h"

/* As the constraints of bulkhead_control.permission_key have it. */
#define KEY        "^[a-z][a-z0-9_]*([.][a-z][a-z0-9_]*)+$"
#define KEY_PREFIX "^[a-z0-9_.]+$"
#define KEY_MAX    127

static const char *const modes[] = {"LOCKED", "INHERITED", "DELEGATED", NULL};
static const char *const revocations[] = {"CASCADE", "SOFT", "PERMANENT", NULL};
static const char *const kinds[] = {"bool", "number", "set", NULL};
static const char *const elements[] = {"words", "names", "denied names", NULL};
static const char *const sources[] = {"own", "inherited", "frozen", "default", NULL};
static const char *const changes[] = {"granted", "changed", "revoked",
									  "frozen",  "thawed",  NULL};

/* ---- answers ---- */

#define VALUE "true or false, a number, or an array of texts, as the key's kind has it"
#define MODE  "what tenants below may do with it: nothing, lower it, or lower it and pass it on"
#define REVOKE                                                                                 \
	"what becomes of those below when it is revoked: it goes there too, they keep "            \
	"what they hold, or it is never revoked"

static const struct api_field grant_fields[] = {
	{.name = "tenant_id", .type = API_UUID, .flags = API_REQUIRED},
	{.name = "key", .type = API_TEXT, .flags = API_REQUIRED},
	{.name = "value", .type = API_JSON, .flags = API_REQUIRED, .doc = VALUE},
	{.name = "mode", .type = API_TEXT, .flags = API_REQUIRED, .choices = modes, .doc = MODE},
	{.name = "revocation",
	 .type = API_TEXT,
	 .flags = API_REQUIRED,
	 .choices = revocations,
	 .doc = REVOKE},
	{.name = "created_at", .type = API_TIME, .flags = API_REQUIRED},
	{.name = "updated_at", .type = API_TIME, .flags = API_REQUIRED},
	{.name = NULL}};
static const struct api_schema grant_schema = {.name = "Grant", .fields = grant_fields};

static const struct api_field own_fields[] = {
	{.name = "value",
	 .type = API_JSON,
	 .flags = API_REQUIRED,
	 .doc = "as granted: a parent that holds less cuts it"},
	{.name = "mode", .type = API_TEXT, .flags = API_REQUIRED, .choices = modes},
	{.name = "revocation", .type = API_TEXT, .flags = API_REQUIRED, .choices = revocations},
	{.name = NULL}};
static const struct api_field held_fields[] = {
	{.name = "key", .type = API_TEXT, .flags = API_REQUIRED},
	{.name = "kind", .type = API_TEXT, .flags = API_REQUIRED, .choices = kinds},
	{.name = "value", .type = API_JSON, .flags = API_REQUIRED, .doc = "what the tenant holds"},
	{.name = "inherited",
	 .type = API_BOOLEAN,
	 .flags = API_REQUIRED,
	 .doc = "from a grant of a tenant above"},
	{.name = "source",
	 .type = API_TEXT,
	 .flags = API_REQUIRED,
	 .choices = sources,
	 .doc = "frozen: kept of a grant above that was revoked softly"},
	{.name = "source_tenant_id",
	 .type = API_UUID,
	 .flags = API_REQUIRED | API_NULLABLE,
	 .doc = "whose grant it is, or was last cut by; null also of one that is not shown"},
	{.name = "locked", .type = API_BOOLEAN, .flags = API_REQUIRED, .doc = "by a tenant above"},
	{.name = "locked_by", .type = API_UUID, .flags = API_REQUIRED | API_NULLABLE},
	{.name = "mode",
	 .type = API_TEXT,
	 .flags = API_REQUIRED,
	 .choices = modes,
	 .doc = "what binds those below it"},
	{.name = "bound",
	 .type = API_JSON,
	 .flags = API_REQUIRED | API_NULLABLE,
	 .doc = "what its parent passes on, which it cannot exceed; null of a root"},
	{.name = "own",
	 .type = API_OBJECT,
	 .flags = API_REQUIRED | API_NULLABLE,
	 .fields = own_fields,
	 .doc = "its own grant"},
	{.name = NULL}};
static const struct api_schema held_schema = {.name = "Permission", .fields = held_fields};

static const struct api_field way_fields[] = {
	{.name = "tenant_id", .type = API_UUID, .flags = API_REQUIRED},
	{.name = "tenant", .type = API_TEXT, .flags = API_REQUIRED},
	{.name = "value", .type = API_JSON, .flags = API_REQUIRED},
	{.name = "mode", .type = API_TEXT, .flags = API_REQUIRED, .choices = modes},
	{.name = "revocation", .type = API_TEXT, .flags = API_REQUIRED, .choices = revocations},
	{.name = NULL}};
static const struct api_field a_way[] = {{.type = API_OBJECT, .fields = way_fields},
										 {.name = NULL}};
static const struct api_field one_fields[] = {
	{.name = "effective", .type = API_OBJECT, .flags = API_REQUIRED, .fields = held_fields},
	{.name = "grant",
	 .type = API_OBJECT,
	 .flags = API_REQUIRED | API_NULLABLE,
	 .fields = grant_fields},
	{.name = "way",
	 .type = API_ARRAY,
	 .flags = API_REQUIRED,
	 .fields = a_way,
	 .doc = "the grants from the root, or the API key's tenant, down to this tenant"},
	{.name = NULL}};
static const struct api_schema one_schema = {.name = "PermissionOfTenant",
											 .fields = one_fields};

static const struct api_field affected_fields[] = {
	{.name = "tenant_id", .type = API_UUID, .flags = API_REQUIRED},
	{.name = "tenant", .type = API_TEXT, .flags = API_REQUIRED},
	{.name = "before", .type = API_JSON, .flags = API_REQUIRED, .doc = "what it holds"},
	{.name = "after", .type = API_JSON, .flags = API_REQUIRED, .doc = "what it would hold"},
	{.name = NULL}};
static const struct api_field an_affected[] = {{.type = API_OBJECT, .fields = affected_fields},
											   {.name = NULL}};
static const struct api_field affected[] = {
	{.name = "count", .type = API_INTEGER, .flags = API_REQUIRED},
	{.name = "items",
	 .type = API_ARRAY,
	 .flags = API_REQUIRED,
	 .max = 100,
	 .fields = an_affected,
	 .doc = "the first hundred, from the top down"},
	{.name = NULL}};
#define AFFECTED                                                                               \
	{                                                                                          \
		.name = "affected", .type = API_OBJECT, .fields = affected,                            \
		.doc = "of a dry run: the tenant and those below that would hold something "           \
			   "else"                                                                          \
	}

static const struct api_field set_answer_fields[] = {
	{.name = "grant", .type = API_OBJECT, .flags = API_REQUIRED, .fields = grant_fields},
	{.name = "before",
	 .type = API_OBJECT,
	 .flags = API_REQUIRED | API_NULLABLE,
	 .fields = grant_fields,
	 .doc = "the grant before"},
	{.name = "effective", .type = API_OBJECT, .flags = API_REQUIRED, .fields = held_fields},
	AFFECTED,
	{.name = NULL}};
static const struct api_schema set_schema = {.name = "GrantChange",
											 .fields = set_answer_fields};

static const struct api_field gone_fields[] = {
	{.name = "tenant_id", .type = API_UUID, .flags = API_REQUIRED},
	{.name = "tenant", .type = API_TEXT, .flags = API_REQUIRED},
	{.name = "value", .type = API_JSON, .flags = API_REQUIRED},
	{.name = NULL}};
static const struct api_field a_gone[] = {{.type = API_OBJECT, .fields = gone_fields},
										  {.name = NULL}};
static const struct api_field gone[] = {
	{.name = "count", .type = API_INTEGER, .flags = API_REQUIRED},
	{.name = "items",
	 .type = API_ARRAY,
	 .flags = API_REQUIRED,
	 .max = 100,
	 .fields = a_gone,
	 .doc = "the first hundred, from the top down"},
	{.name = NULL}};
static const struct api_field revoke_answer_fields[] = {
	{.name = "revoked",
	 .type = API_OBJECT,
	 .flags = API_REQUIRED,
	 .fields = gone,
	 .doc = "whose grants went"},
	{.name = "frozen",
	 .type = API_OBJECT,
	 .flags = API_REQUIRED,
	 .fields = gone,
	 .doc = "who keeps what"},
	{.name = "effective", .type = API_OBJECT, .flags = API_REQUIRED, .fields = held_fields},
	AFFECTED,
	{.name = NULL}};
static const struct api_schema revoke_schema = {.name = "Revocation",
												.fields = revoke_answer_fields};

static const struct api_field past_fields[] = {
	{.name = "revision", .type = API_INTEGER, .flags = API_REQUIRED},
	{.name = "change", .type = API_TEXT, .flags = API_REQUIRED, .choices = changes},
	{.name = "at", .type = API_TIME, .flags = API_REQUIRED},
	{.name = "actor", .type = API_TEXT, .flags = API_REQUIRED},
	{.name = "request_id", .type = API_TEXT, .flags = API_REQUIRED | API_NULLABLE},
	{.name = "before",
	 .type = API_JSON,
	 .flags = API_REQUIRED | API_NULLABLE,
	 .doc = "value, mode and revocation"},
	{.name = "after", .type = API_JSON, .flags = API_REQUIRED | API_NULLABLE},
	{.name = NULL}};
static const struct api_schema past_schema = {.name = "PermissionRevision",
											  .fields = past_fields};

static const struct api_field key_fields[] = {
	{.name = "key", .type = API_TEXT, .flags = API_REQUIRED},
	{.name = "kind",
	 .type = API_TEXT,
	 .flags = API_REQUIRED,
	 .choices = kinds,
	 .doc = "what less means: false, a smaller number, a part of the set"},
	{.name = "elements",
	 .type = API_TEXT,
	 .flags = API_REQUIRED,
	 .choices = elements,
	 .doc = "of a set"},
	{.name = "default",
	 .type = API_JSON,
	 .flags = API_REQUIRED,
	 .doc = "what a root holds without a grant"},
	{.name = "schema_default",
	 .type = API_JSON,
	 .flags = API_REQUIRED,
	 .doc = "the same with a schema of its own"},
	{.name = "database_default",
	 .type = API_JSON,
	 .flags = API_REQUIRED,
	 .doc = "the same with a database of its own"},
	{.name = "description", .type = API_TEXT, .flags = API_REQUIRED | API_LINES},
	{.name = "builtin", .type = API_BOOLEAN, .flags = API_REQUIRED, .doc = "Bulkhead's own"},
	{.name = NULL}};
static const struct api_schema key_schema = {.name = "PermissionKey", .fields = key_fields};

/* ---- requests ---- */

static const struct api_field key_param[] = {
	{.name = "key", .type = API_TEXT, .flags = API_REQUIRED, .max = KEY_MAX, .pattern = KEY},
	{.name = NULL}};
static const struct api_field effective_query[] = {
	{.name = "key", .type = API_TEXT, .max = KEY_MAX, .pattern = KEY, .doc = "this one only"},
	{.name = "prefix",
	 .type = API_TEXT,
	 .min = 1,
	 .max = KEY_MAX,
	 .pattern = KEY_PREFIX,
	 .doc = "those that begin so"},
	{.name = NULL}};
static const struct api_field keys_query[] = {{.name = "prefix",
											   .type = API_TEXT,
											   .min = 1,
											   .max = KEY_MAX,
											   .pattern = KEY_PREFIX,
											   .doc = "those that begin so"},
											  {.name = NULL}};
static const struct api_field set_body[] = {
	{.name = "value", .type = API_JSON, .flags = API_REQUIRED, .doc = VALUE},
	{.name = "mode",
	 .type = API_TEXT,
	 .choices = modes,
	 .doc = MODE ". Without it as it was; of a new grant INHERITED"},
	{.name = "revocation",
	 .type = API_TEXT,
	 .choices = revocations,
	 .doc = REVOKE ". Without it as it was; of a new grant CASCADE"},
	{.name = NULL}};
static const struct api_field new_key_body[] = {
	{.name = "key",
	 .type = API_TEXT,
	 .flags = API_REQUIRED,
	 .max = KEY_MAX,
	 .pattern = KEY,
	 .doc = "not of bulkhead, proxy, settings or sql"},
	{.name = "kind", .type = API_TEXT, .flags = API_REQUIRED, .choices = kinds},
	{.name = "default", .type = API_JSON, .doc = "without it: false, 0, none"},
	{.name = "schema_default", .type = API_JSON, .doc = "without it, as `default`"},
	{.name = "database_default", .type = API_JSON, .doc = "without it, as `default`"},
	{.name = "description",
	 .type = API_TEXT,
	 .flags = API_REQUIRED | API_LINES,
	 .min = 1,
	 .max = 1000},
	{.name = NULL}};
static const struct api_field key_body[] = {{.name = "description",
											 .type = API_TEXT,
											 .flags = API_REQUIRED | API_LINES,
											 .min = 1,
											 .max = 1000},
											{.name = NULL}};

/* ---- routes ---- */

#define OF_TENANT "/v1/tenants/{tenant}/permissions"

static const struct api_route routes[] = {
	{.id = "permission.list",
	 .method = "GET",
	 .path = OF_TENANT,
	 .role = API_VIEWER,
	 .flags = API_PAGED,
	 .handler = "permission_list",
	 .answer = &grant_schema,
	 .tag = "permissions",
	 .summary = "A tenant's own grants"},
	{.id = "permission.effective",
	 .method = "GET",
	 .path = OF_TENANT ":effective",
	 .role = API_VIEWER,
	 .flags = API_PAGED,
	 .query = effective_query,
	 .handler = "permission_effective",
	 .answer = &held_schema,
	 .tag = "permissions",
	 .summary = "What a tenant holds, and from where",
	 .doc = "Applications ask here for keys of their own: `?key=app.reports`."},
	{.id = "permission.get",
	 .method = "GET",
	 .path = OF_TENANT "/{key}",
	 .role = API_VIEWER,
	 .params = key_param,
	 .handler = "permission_get",
	 .answer = &one_schema,
	 .tag = "permissions",
	 .summary = "One key of a tenant: what it holds, its own grant, and those on the way",
	 .doc = "The ETag is the grant's; without a grant there is none."},
	{.id = "permission.set",
	 .method = "PUT",
	 .path = OF_TENANT "/{key}",
	 .role = API_EDITOR,
	 .flags = API_DRY_RUN | API_MAY_MATCH,
	 .params = key_param,
	 .body = set_body,
	 .handler = "permission_set",
	 .answer = &set_schema,
	 .tag = "permissions",
	 .summary = "Grant a permission, or change the grant",
	 .doc = "A grant that is there is named with If-Match; without it there must be none. A "
			"tenant holds what its parent holds at the most. An editor changes the value of a "
			"grant that is there. With dry_run the answer says who would hold what."},
	{.id = "permission.revoke",
	 .method = "DELETE",
	 .path = OF_TENANT "/{key}",
	 .role = API_ADMIN,
	 .flags = API_DRY_RUN | API_MAY_MATCH,
	 .params = key_param,
	 .handler = "permission_revoke",
	 .answer = &revoke_schema,
	 .tag = "permissions",
	 .summary = "Take a grant back, as its revocation says",
	 .doc =
		 "The grant is named with If-Match; where there is none, but something is kept frozen, "
		 "that goes. With dry_run the answer says who would hold what."},
	{.id = "permission.history",
	 .method = "GET",
	 .path = OF_TENANT "/{key}/history",
	 .role = API_VIEWER,
	 .flags = API_PAGED,
	 .params = key_param,
	 .handler = "permission_past",
	 .answer = &past_schema,
	 .tag = "permissions",
	 .summary = "How a tenant's grant of a key came to be, the newest change first"},
	{.id = "permission_key.list",
	 .method = "GET",
	 .path = "/v1/permission-keys",
	 .role = API_VIEWER,
	 .flags = API_PAGED,
	 .query = keys_query,
	 .handler = "permission_key_list",
	 .answer = &key_schema,
	 .tag = "permissions",
	 .summary = "What can be permitted"},
	{.id = "permission_key.create",
	 .method = "POST",
	 .path = "/v1/permission-keys",
	 .role = API_OPERATOR,
	 .flags = API_EVERYWHERE,
	 .body = new_key_body,
	 .handler = "permission_key_create",
	 .answer = &key_schema,
	 .status = 201,
	 .tag = "permissions",
	 .summary = "Register a permission of an application's own"},
	{.id = "permission_key.get",
	 .method = "GET",
	 .path = "/v1/permission-keys/{key}",
	 .role = API_VIEWER,
	 .params = key_param,
	 .handler = "permission_key_get",
	 .answer = &key_schema,
	 .tag = "permissions",
	 .summary = "One key"},
	{.id = "permission_key.update",
	 .method = "PATCH",
	 .path = "/v1/permission-keys/{key}",
	 .role = API_OPERATOR,
	 .flags = API_EVERYWHERE | API_IF_MATCH,
	 .params = key_param,
	 .body = key_body,
	 .handler = "permission_key_update",
	 .answer = &key_schema,
	 .tag = "permissions",
	 .summary = "Describe a key anew",
	 .doc = "What it means never changes."},
	{.id = "permission_key.delete",
	 .method = "DELETE",
	 .path = "/v1/permission-keys/{key}",
	 .role = API_OPERATOR,
	 .flags = API_EVERYWHERE | API_IF_MATCH,
	 .params = key_param,
	 .handler = "permission_key_delete",
	 .status = 204,
	 .tag = "permissions",
	 .summary = "Remove a key that nobody has a grant of"},
};

const struct api_topic api_routes_permissions = {routes, sizeof routes / sizeof *routes};
