/* The tree of tenants; see sql/tenants.sql. */
#include "admin/api/routes.h"

/* As the constraints of bulkhead_control.tenant have them. */
#define SLUG "^[a-z][a-z0-9_-]{0,62}$"

static const char *const strategies[] = {"SHARED_RLS", "SCHEMA_PER_TENANT",
										 "DATABASE_PER_TENANT", NULL};
static const char *const statuses[] = {"provisioning", "active",  "suspended",
									   "archived",     "purging", NULL};
static const char *const sorts[] = {"slug", "-slug",    "created_at", "-created_at",
									"path", "position", NULL};
static const char *const ends[] = {"first", "last", NULL};

/* ---- answers ---- */

static const struct api_field an_id[] = {{.type = API_UUID}, {.name = NULL}};

static const struct api_field tenant_fields[] = {
	{.name = "id", .type = API_UUID, .flags = API_REQUIRED, .doc = "never changes"},
	{.name = "slug",
	 .type = API_TEXT,
	 .flags = API_REQUIRED,
	 .pattern = SLUG,
	 .doc = "unique in the whole tree"},
	{.name = "external_key",
	 .type = API_TEXT,
	 .flags = API_REQUIRED | API_NULLABLE,
	 .doc = "the application's own name for the tenant, as its tables have it"},
	{.name = "name", .type = API_TEXT, .flags = API_REQUIRED},
	{.name = "parent_id",
	 .type = API_UUID,
	 .flags = API_REQUIRED | API_NULLABLE,
	 .doc = "null of a root, and of the API key's own tenant: what is above that is not shown"},
	{.name = "path",
	 .type = API_ARRAY,
	 .flags = API_REQUIRED,
	 .fields = an_id,
	 .doc = "ids from the root, or the API key's own tenant, down to the tenant itself"},
	{.name = "depth",
	 .type = API_INTEGER,
	 .flags = API_REQUIRED,
	 .min = 1,
	 .max = 20,
	 .doc = "of a root 1"},
	{.name = "position",
	 .type = API_TEXT,
	 .flags = API_REQUIRED,
	 .doc = "a decimal number: siblings stand in the order of these"},
	{.name = "strategy", .type = API_TEXT, .flags = API_REQUIRED, .choices = strategies},
	{.name = "cluster", .type = API_TEXT, .flags = API_REQUIRED},
	{.name = "region",
	 .type = API_TEXT,
	 .flags = API_REQUIRED | API_NULLABLE,
	 .doc = "where its data must be; null: where its cluster is"},
	{.name = "status", .type = API_TEXT, .flags = API_REQUIRED, .choices = statuses},
	{.name = "dedicated_login",
	 .type = API_BOOLEAN,
	 .flags = API_REQUIRED,
	 .doc = "reaches the shared tables by a login of its own"},
	{.name = "pool_weight",
	 .type = API_INTEGER,
	 .flags = API_REQUIRED,
	 .min = 1,
	 .max = 100,
	 .doc = "how many of its clients are served when its turn comes in a full pool"},
	{.name = "job",
	 .type = API_INTEGER,
	 .flags = API_REQUIRED | API_NULLABLE,
	 .doc = "what is making or removing something for it: /v1/jobs/{job}"},
	{.name = "version",
	 .type = API_INTEGER,
	 .flags = API_REQUIRED,
	 .doc =
		 "grows with each change of it, or of what it inherits; the ETag only with the former"},
	{.name = "created_at", .type = API_TIME, .flags = API_REQUIRED},
	{.name = "updated_at", .type = API_TIME, .flags = API_REQUIRED},
	{.name = NULL}};
static const struct api_schema tenant_schema = {.name = "Tenant", .fields = tenant_fields};

static const struct api_field a_tenant[] = {{.type = API_OBJECT, .fields = tenant_fields},
											{.name = NULL}};
static const struct api_field batch_answer_fields[] = {
	{.name = "items", .type = API_ARRAY, .flags = API_REQUIRED, .fields = a_tenant},
	{.name = NULL}};
static const struct api_schema batch_schema = {.name = "Tenants",
											   .fields = batch_answer_fields};

static const struct api_field side_fields[] = {
	{.name = "value",
	 .type = API_JSON,
	 .flags = API_REQUIRED | API_NULLABLE,
	 .doc = "null of what is sensitive; a text in its place where it is large"},
	{.name = "source_tenant_id",
	 .type = API_UUID,
	 .flags = API_REQUIRED | API_NULLABLE,
	 .doc = "whose it is; null where it is nobody's, or of a tenant that is not shown"},
	{.name = "locked", .type = API_BOOLEAN, .flags = API_REQUIRED},
	{.name = NULL}};
static const struct api_field key_change_fields[] = {
	{.name = "key", .type = API_TEXT, .flags = API_REQUIRED},
	{.name = "before",
	 .type = API_OBJECT,
	 .flags = API_REQUIRED | API_NULLABLE,
	 .fields = side_fields},
	{.name = "after",
	 .type = API_OBJECT,
	 .flags = API_REQUIRED | API_NULLABLE,
	 .fields = side_fields},
	{.name = NULL}};
static const struct api_field a_key_change[] = {
	{.type = API_OBJECT, .fields = key_change_fields}, {.name = NULL}};
static const struct api_field key_changes[] = {
	{.name = "count", .type = API_INTEGER, .flags = API_REQUIRED},
	{.name = "items",
	 .type = API_ARRAY,
	 .flags = API_REQUIRED,
	 .max = 100,
	 .fields = a_key_change,
	 .doc = "the first hundred"},
	{.name = NULL}};
static const struct api_field move_answer_fields[] = {
	{.name = "tenant", .type = API_OBJECT, .flags = API_REQUIRED, .fields = tenant_fields},
	{.name = "moved",
	 .type = API_INTEGER,
	 .flags = API_REQUIRED,
	 .doc = "how many went: it and all below it"},
	{.name = "settings",
	 .type = API_OBJECT,
	 .flags = API_REQUIRED,
	 .fields = key_changes,
	 .doc = "settings that are others for it now"},
	{.name = "permissions",
	 .type = API_OBJECT,
	 .flags = API_REQUIRED,
	 .fields = key_changes,
	 .doc = "permissions that are others for it now"},
	{.name = NULL}};
static const struct api_schema move_schema = {.name = "TenantMove",
											  .fields = move_answer_fields};

static const struct api_field status_change_fields[] = {
	{.name = "id", .type = API_UUID, .flags = API_REQUIRED},
	{.name = "slug", .type = API_TEXT, .flags = API_REQUIRED},
	{.name = "was", .type = API_TEXT, .flags = API_REQUIRED, .choices = statuses},
	{.name = "status", .type = API_TEXT, .flags = API_REQUIRED, .choices = statuses},
	{.name = NULL}};
static const struct api_field a_status_change[] = {
	{.type = API_OBJECT, .fields = status_change_fields}, {.name = NULL}};
static const struct api_field status_changes[] = {
	{.name = "count", .type = API_INTEGER, .flags = API_REQUIRED},
	{.name = "items",
	 .type = API_ARRAY,
	 .flags = API_REQUIRED,
	 .max = 100,
	 .fields = a_status_change,
	 .doc = "the first hundred, from the top down"},
	{.name = NULL}};
static const struct api_field status_answer_fields[] = {
	{.name = "tenant", .type = API_OBJECT, .flags = API_REQUIRED, .fields = tenant_fields},
	{.name = "changed",
	 .type = API_OBJECT,
	 .flags = API_REQUIRED,
	 .fields = status_changes,
	 .doc = "none where all was so already"},
	{.name = NULL}};
static const struct api_schema status_schema = {.name = "TenantStatusChange",
												.fields = status_answer_fields};

/* ---- requests ---- */

#define FILTERS                                                                                \
	{.name = "status", .type = API_TEXT, .choices = statuses},                                 \
		{.name = "strategy", .type = API_TEXT, .choices = strategies},                         \
		{.name = "cluster", .type = API_TEXT},                                                 \
	{                                                                                          \
		.name = "q", .type = API_TEXT, .min = 1, .max = 63, .pattern = "^[a-z0-9_-]+$",        \
		.doc = "with what the slug begins"                                                     \
	}

static const struct api_field list_query[] = {
	FILTERS,
	{.name = "parent", .type = API_TENANT_WORD, .doc = "whose children"},
	{.name = "roots",
	 .type = API_BOOLEAN,
	 .preset = "false",
	 .doc = "those without a parent only"},
	{.name = "sort",
	 .type = API_TEXT,
	 .choices = sorts,
	 .preset = "\"slug\"",
	 .doc = "path: each tenant behind its parent; position: with parent or roots only"},
	{.name = NULL}};
static const struct api_field below_query[] = {FILTERS, {.name = NULL}};
static const struct api_field descendants_query[] = {FILTERS,
													 {.name = "levels",
													  .type = API_INTEGER,
													  .min = 1,
													  .max = 19,
													  .doc = "down to so many levels below it"},
													 {.name = NULL}};

/* What make_tenant (sql/tenants.sql) takes, but for the parent. */
#define NEW_TENANT                                                                             \
	{.name = "slug", .type = API_TEXT, .flags = API_REQUIRED, .pattern = SLUG},                \
		{.name = "id",                                                                         \
		 .type = API_UUID,                                                                     \
		 .flags = API_NULLABLE,                                                                \
		 .doc =                                                                                \
			 "what the column of shared tables holds; drawn where it is not given. For API "   \
			 "keys of the whole tree"},                                                        \
		{"external_key",                                                                       \
		 API_TEXT,                                                                             \
		 API_NULLABLE,                                                                         \
		 .min = 1,                                                                             \
		 .max = 255,                                                                           \
		 .doc = "the application's own name for it, as its tables have it. For API keys of "   \
				"the whole tree"},                                                             \
		{.name = "name",                                                                       \
		 .type = API_TEXT,                                                                     \
		 .min = 1,                                                                             \
		 .max = 255,                                                                           \
		 .doc = "without it, the slug"},                                                       \
		{.name = "strategy",                                                                   \
		 .type = API_TEXT,                                                                     \
		 .choices = strategies,                                                                \
		 .preset = "\"SHARED_RLS\""},                                                          \
		{.name = "cluster",                                                                    \
		 .type = API_TEXT,                                                                     \
		 .max = 63,                                                                            \
		 .doc = "without it, the parent's, or of a root `default`. Another than the parent's " \
				"is for API keys of the whole tree"},                                          \
		{.name = "region", .type = API_TEXT, .flags = API_NULLABLE, .min = 1, .max = 63},      \
		{.name = "dedicated_login", .type = API_BOOLEAN, .preset = "false"},                   \
		{.name = "pool_weight",                                                                \
		 .type = API_INTEGER,                                                                  \
		 .min = 1,                                                                             \
		 .max = 100,                                                                           \
		 .preset = "1",                                                                        \
		 .doc = "another than 1 is for API keys of the whole tree"},                           \
	{                                                                                          \
		.name = "provision", .type = API_BOOLEAN, .preset = "true",                            \
		.doc = "false: what it has of its own is there already. For API keys of the "          \
			   "whole tree"                                                                    \
	}

static const struct api_field create_body[] = {
	NEW_TENANT,
	{.name = "parent",
	 .type = API_TENANT_WORD,
	 .flags = API_NULLABLE,
	 .doc = "none: a root, which is for API keys of the whole tree"},
	{.name = NULL}};

/* A parent may be one of the batch itself, which is nowhere yet: the handler looks it up. */
static const struct api_field batch_fields[] = {
	NEW_TENANT,
	{.name = "parent",
	 .type = API_TEXT,
	 .flags = API_NULLABLE,
	 .min = 1,
	 .max = 255,
	 .doc = "an id, slug or key; also of a tenant before it in the list"},
	{.name = NULL}};
static const struct api_field batch_item[] = {{.type = API_OBJECT, .fields = batch_fields},
											  {.name = NULL}};
static const struct api_field batch_body[] = {{.name = "tenants",
											   .type = API_ARRAY,
											   .flags = API_REQUIRED,
											   .min = 1,
											   .max = 1000,
											   .fields = batch_item},
											  {.name = NULL}};

static const struct api_field update_body[] = {
	{.name = "slug", .type = API_TEXT, .pattern = SLUG},
	{.name = "name",
	 .type = API_TEXT,
	 .min = 1,
	 .max = 255,
	 .doc = "what an editor may change"},
	{.name = "external_key",
	 .type = API_TEXT,
	 .flags = API_NULLABLE,
	 .min = 1,
	 .max = 255,
	 .doc = "for API keys of the whole tree"},
	{.name = "region", .type = API_TEXT, .flags = API_NULLABLE, .min = 1, .max = 63},
	{.name = "cluster", .type = API_TEXT, .max = 63, .doc = "for API keys of the whole tree"},
	{.name = "pool_weight",
	 .type = API_INTEGER,
	 .min = 1,
	 .max = 100,
	 .doc = "for API keys of the whole tree"},
	{.name = NULL}};

#define PLACE                                                                                  \
	{.name = "before", .type = API_TENANT_WORD, .doc = "in front of this sibling"},            \
		{.name = "after", .type = API_TENANT_WORD, .doc = "behind this sibling"},              \
	{                                                                                          \
		.name = "to", .type = API_TEXT, .choices = ends,                                       \
		.doc = "in front of all siblings, or behind all"                                       \
	}

static const struct api_field move_body[] = {
	{.name = "parent",
	 .type = API_TENANT_WORD,
	 .flags = API_REQUIRED | API_NULLABLE,
	 .doc = "null: it becomes a root, which is for API keys of the whole tree"},
	PLACE,
	{.name = NULL}};
static const struct api_field reorder_body[] = {PLACE, {.name = NULL}};
static const struct api_field status_body[] = {
	{.name = "subtree", .type = API_BOOLEAN, .preset = "false", .doc = "all below it too"},
	{.name = NULL}};
static const struct api_field purge_body[] = {
	{.name = "confirm", .type = API_TEXT, .flags = API_REQUIRED, .doc = "the tenant's slug"},
	{.name = NULL}};

/* ---- routes ---- */

#define TENANT "/v1/tenants/{tenant}"
#define CHANGES_STATUS                                                                         \
	.method = "POST", .role = API_ADMIN, .flags = API_DRY_RUN | API_MAY_MATCH,                 \
	.body = status_body, .answer = &status_schema, .tag = "tenants"

static const struct api_route routes[] = {
	{.id = "tenant.create",
	 .method = "POST",
	 .path = "/v1/tenants",
	 .role = API_ADMIN,
	 .flags = API_DRY_RUN,
	 .body = create_body,
	 .handler = "tenant_create",
	 .answer = &tenant_schema,
	 .status = 201,
	 .tag = "tenants",
	 .summary = "Make a tenant",
	 .doc = "One with a schema, a database or a login of its own is `provisioning` until its "
			"`job` has made that."},
	{.id = "tenant.create_batch",
	 .method = "POST",
	 .path = "/v1/tenants:batch",
	 .role = API_ADMIN,
	 .flags = API_DRY_RUN | API_LARGE,
	 .body = batch_body,
	 .handler = "tenant_create_batch",
	 .answer = &batch_schema,
	 .status = 201,
	 .tag = "tenants",
	 .summary = "Make up to a thousand tenants, all or none",
	 .doc = "In their order: one may be the parent of those behind it."},
	{.id = "tenant.list",
	 .method = "GET",
	 .path = "/v1/tenants",
	 .role = API_VIEWER,
	 .flags = API_PAGED,
	 .query = list_query,
	 .handler = "tenant_list",
	 .answer = &tenant_schema,
	 .tag = "tenants",
	 .summary = "All tenants that the API key may see"},
	{.id = "tenant.get",
	 .method = "GET",
	 .path = TENANT,
	 .role = API_VIEWER,
	 .handler = "tenant_get",
	 .answer = &tenant_schema,
	 .tag = "tenants",
	 .summary = "One tenant, by its id, slug or key"},
	{.id = "tenant.children",
	 .method = "GET",
	 .path = TENANT "/children",
	 .role = API_VIEWER,
	 .flags = API_PAGED,
	 .query = below_query,
	 .handler = "tenant_children",
	 .answer = &tenant_schema,
	 .tag = "tenants",
	 .summary = "The tenants directly below it, in the order of their positions"},
	{.id = "tenant.descendants",
	 .method = "GET",
	 .path = TENANT "/descendants",
	 .role = API_VIEWER,
	 .flags = API_PAGED,
	 .query = descendants_query,
	 .handler = "tenant_descendants",
	 .answer = &tenant_schema,
	 .tag = "tenants",
	 .summary = "All tenants below it, each behind its parent"},
	{.id = "tenant.ancestors",
	 .method = "GET",
	 .path = TENANT "/ancestors",
	 .role = API_VIEWER,
	 .flags = API_PAGED,
	 .handler = "tenant_ancestors",
	 .answer = &tenant_schema,
	 .tag = "tenants",
	 .summary = "The tenants above it that the API key may see, from the root down"},
	{.id = "tenant.update",
	 .method = "PATCH",
	 .path = TENANT,
	 .role = API_EDITOR,
	 .flags = API_IF_MATCH | API_DRY_RUN,
	 .body = update_body,
	 .handler = "tenant_update",
	 .answer = &tenant_schema,
	 .tag = "tenants",
	 .summary = "Change what is said of a tenant"},
	{.id = "tenant.move",
	 .method = "POST",
	 .path = TENANT ":move",
	 .role = API_ADMIN,
	 .flags = API_DRY_RUN | API_MAY_MATCH,
	 .body = move_body,
	 .handler = "tenant_move",
	 .answer = &move_schema,
	 .tag = "tenants",
	 .summary = "Put a tenant, with all below it, under another",
	 .doc = "It stands last among its new siblings, unless it is said where. With dry_run this "
			"is a preview of what would be inherited there."},
	{.id = "tenant.reorder",
	 .method = "POST",
	 .path = TENANT ":reorder",
	 .role = API_ADMIN,
	 .flags = API_MAY_MATCH,
	 .body = reorder_body,
	 .handler = "tenant_reorder",
	 .answer = &tenant_schema,
	 .tag = "tenants",
	 .summary = "Put a tenant somewhere else among its siblings",
	 .doc = "One of `before`, `after` and `to` is wanted."},
	{.id = "tenant.suspend",
	 .path = TENANT ":suspend",
	 CHANGES_STATUS,
	 .handler = "tenant_suspend",
	 .summary = "Let nobody of a tenant in, and end its sessions"},
	{.id = "tenant.resume",
	 .path = TENANT ":resume",
	 CHANGES_STATUS,
	 .handler = "tenant_resume",
	 .summary = "Let a suspended tenant in again",
	 .doc = "With `subtree`, of those below it what was suspended along with it."},
	{.id = "tenant.archive",
	 .path = TENANT ":archive",
	 CHANGES_STATUS,
	 .handler = "tenant_archive",
	 .summary = "Put a tenant away, with all its data"},
	{.id = "tenant.restore",
	 .path = TENANT ":restore",
	 CHANGES_STATUS,
	 .handler = "tenant_restore",
	 .summary = "Take a tenant out of the archive again",
	 .doc = "It is then what it was before. With `subtree`, of those below it what was "
			"archived along with it."},
	{.id = "tenant.purge",
	 .method = "POST",
	 .path = TENANT ":purge",
	 .role = API_ADMIN,
	 .flags = API_DRY_RUN | API_MAY_MATCH,
	 .body = purge_body,
	 .handler = "tenant_purge",
	 .answer = &api_job_schema,
	 .status = 202,
	 .tag = "tenants",
	 .summary = "Remove a tenant and all that it has, for good",
	 .doc =
		 "There must be none below it. It is `purging` from now on; the job removes its rows, "
		 "its schema or database, its login, and then itself."},
};

const struct api_topic api_routes_tenants = {routes, sizeof routes / sizeof *routes};
