/* The tree of tenants; see sql/tenants.sql. */
#include "admin/api/routes.h"

/* As the constraints of bulkhead_control.tenant have them. */
#define SLUG "^[a-z][a-z0-9_-]{0,62}$"

static const char *const strategies[] = {"SHARED_RLS", "SCHEMA_PER_TENANT",
										 "DATABASE_PER_TENANT", NULL};
static const char *const statuses[] = {"provisioning", "active", "suspended",
									   "archived",     "purging", NULL};
static const char *const sorts[] = {"slug", "-slug", "created_at", "-created_at",
									"path", "position", NULL};
static const char *const ends[] = {"first", "last", NULL};

/* ---- answers ---- */

static const struct api_field an_id[] = {{.type = API_UUID}, {NULL}};

static const struct api_field tenant_fields[] = {
	{"id", API_UUID, API_REQUIRED, .doc = "never changes"},
	{"slug", API_TEXT, API_REQUIRED, .pattern = SLUG, .doc = "unique in the whole tree"},
	{"external_key", API_TEXT, API_REQUIRED | API_NULLABLE,
	 .doc = "the application's own name for the tenant, as its tables have it"},
	{"name", API_TEXT, API_REQUIRED},
	{"parent_id", API_UUID, API_REQUIRED | API_NULLABLE,
	 .doc = "null of a root, and of the API key's own tenant: what is above that is not shown"},
	{"path", API_ARRAY, API_REQUIRED, .fields = an_id,
	 .doc = "ids from the root, or the API key's own tenant, down to the tenant itself"},
	{"depth", API_INTEGER, API_REQUIRED, .min = 1, .max = 20, .doc = "of a root 1"},
	{"position", API_TEXT, API_REQUIRED,
	 .doc = "a decimal number: siblings stand in the order of these"},
	{"strategy", API_TEXT, API_REQUIRED, .choices = strategies},
	{"cluster", API_TEXT, API_REQUIRED},
	{"region", API_TEXT, API_REQUIRED | API_NULLABLE,
	 .doc = "where its data must be; null: where its cluster is"},
	{"status", API_TEXT, API_REQUIRED, .choices = statuses},
	{"dedicated_login", API_BOOLEAN, API_REQUIRED,
	 .doc = "reaches the shared tables by a login of its own"},
	{"pool_weight", API_INTEGER, API_REQUIRED, .min = 1, .max = 100,
	 .doc = "how many of its clients are served when its turn comes in a full pool"},
	{"job", API_INTEGER, API_REQUIRED | API_NULLABLE,
	 .doc = "what is making or removing something for it: /v1/jobs/{job}"},
	{"version", API_INTEGER, API_REQUIRED,
	 .doc = "grows with each change of it, or of what it inherits; the ETag only with the former"},
	{"created_at", API_TIME, API_REQUIRED},
	{"updated_at", API_TIME, API_REQUIRED},
	{NULL}};
static const struct api_schema tenant_schema = {.name = "Tenant", .fields = tenant_fields};

static const struct api_field a_tenant[] = {{.type = API_OBJECT, .fields = tenant_fields},
											{NULL}};
static const struct api_field batch_answer_fields[] = {
	{"items", API_ARRAY, API_REQUIRED, .fields = a_tenant}, {NULL}};
static const struct api_schema batch_schema = {.name = "Tenants",
											   .fields = batch_answer_fields};

static const struct api_field side_fields[] = {
	{"value", API_JSON, API_REQUIRED | API_NULLABLE,
	 .doc = "null of what is sensitive; a text in its place where it is large"},
	{"source_tenant_id", API_UUID, API_REQUIRED | API_NULLABLE,
	 .doc = "whose it is; null where it is nobody's, or of a tenant that is not shown"},
	{"locked", API_BOOLEAN, API_REQUIRED},
	{NULL}};
static const struct api_field key_change_fields[] = {
	{"key", API_TEXT, API_REQUIRED},
	{"before", API_OBJECT, API_REQUIRED | API_NULLABLE, .fields = side_fields},
	{"after", API_OBJECT, API_REQUIRED | API_NULLABLE, .fields = side_fields},
	{NULL}};
static const struct api_field a_key_change[] = {
	{.type = API_OBJECT, .fields = key_change_fields}, {NULL}};
static const struct api_field key_changes[] = {
	{"count", API_INTEGER, API_REQUIRED},
	{"items", API_ARRAY, API_REQUIRED, .max = 100, .fields = a_key_change,
	 .doc = "the first hundred"},
	{NULL}};
static const struct api_field move_answer_fields[] = {
	{"tenant", API_OBJECT, API_REQUIRED, .fields = tenant_fields},
	{"moved", API_INTEGER, API_REQUIRED, .doc = "how many went: it and all below it"},
	{"settings", API_OBJECT, API_REQUIRED, .fields = key_changes,
	 .doc = "settings that are others for it now"},
	{"permissions", API_OBJECT, API_REQUIRED, .fields = key_changes,
	 .doc = "permissions that are others for it now"},
	{NULL}};
static const struct api_schema move_schema = {.name = "TenantMove",
											  .fields = move_answer_fields};

static const struct api_field status_change_fields[] = {
	{"id", API_UUID, API_REQUIRED},
	{"slug", API_TEXT, API_REQUIRED},
	{"was", API_TEXT, API_REQUIRED, .choices = statuses},
	{"status", API_TEXT, API_REQUIRED, .choices = statuses},
	{NULL}};
static const struct api_field a_status_change[] = {
	{.type = API_OBJECT, .fields = status_change_fields}, {NULL}};
static const struct api_field status_changes[] = {
	{"count", API_INTEGER, API_REQUIRED},
	{"items", API_ARRAY, API_REQUIRED, .max = 100, .fields = a_status_change,
	 .doc = "the first hundred, from the top down"},
	{NULL}};
static const struct api_field status_answer_fields[] = {
	{"tenant", API_OBJECT, API_REQUIRED, .fields = tenant_fields},
	{"changed", API_OBJECT, API_REQUIRED, .fields = status_changes,
	 .doc = "none where all was so already"},
	{NULL}};
static const struct api_schema status_schema = {.name = "TenantStatusChange",
												.fields = status_answer_fields};

/* ---- requests ---- */

#define FILTERS                                                                                \
	{"status", API_TEXT, .choices = statuses}, {"strategy", API_TEXT, .choices = strategies},  \
	{"cluster", API_TEXT},                                                                     \
	{                                                                                          \
		"q", API_TEXT, .min = 1, .max = 63, .pattern = "^[a-z0-9_-]+$",                        \
			 .doc = "with what the slug begins"                                                \
	}

static const struct api_field list_query[] = {
	FILTERS,
	{"parent", API_TENANT_WORD, .doc = "whose children"},
	{"roots", API_BOOLEAN, .preset = "false", .doc = "those without a parent only"},
	{"sort", API_TEXT, .choices = sorts, .preset = "\"slug\"",
	 .doc = "path: each tenant behind its parent; position: with parent or roots only"},
	{NULL}};
static const struct api_field below_query[] = {FILTERS, {NULL}};
static const struct api_field descendants_query[] = {
	FILTERS,
	{"levels", API_INTEGER, .min = 1, .max = 19, .doc = "down to so many levels below it"},
	{NULL}};

/* What make_tenant (sql/tenants.sql) takes, but for the parent. */
#define NEW_TENANT                                                                             \
	{"slug", API_TEXT, API_REQUIRED, .pattern = SLUG},                                         \
		{"id", API_UUID, API_NULLABLE,                                                         \
		 .doc = "what the column of shared tables holds; drawn where it is not given. For API " \
				"keys of the whole tree"},                                                     \
		{"external_key", API_TEXT, API_NULLABLE, .min = 1, .max = 255,                         \
		 .doc = "the application's own name for it, as its tables have it. For API keys of "   \
				"the whole tree"},                                                             \
		{"name", API_TEXT, .min = 1, .max = 255, .doc = "without it, the slug"},               \
		{"strategy", API_TEXT, .choices = strategies, .preset = "\"SHARED_RLS\""},             \
		{"cluster", API_TEXT, .max = 63,                                                       \
		 .doc = "without it, the parent's, or of a root `default`. Another than the parent's " \
				"is for API keys of the whole tree"},                                          \
		{"region", API_TEXT, API_NULLABLE, .min = 1, .max = 63},                               \
		{"dedicated_login", API_BOOLEAN, .preset = "false"},                                   \
		{"pool_weight", API_INTEGER, .min = 1, .max = 100, .preset = "1",                      \
		 .doc = "another than 1 is for API keys of the whole tree"},                           \
	{                                                                                          \
		"provision", API_BOOLEAN, .preset = "true",                                            \
			 .doc = "false: what it has of its own is there already. For API keys of the "     \
					"whole tree"                                                               \
	}

static const struct api_field create_body[] = {
	NEW_TENANT,
	{"parent", API_TENANT_WORD, API_NULLABLE,
	 .doc = "none: a root, which is for API keys of the whole tree"},
	{NULL}};

/* A parent may be one of the batch itself, which is nowhere yet: the handler looks it up. */
static const struct api_field batch_fields[] = {
	NEW_TENANT,
	{"parent", API_TEXT, API_NULLABLE, .min = 1, .max = 255,
	 .doc = "an id, slug or key; also of a tenant before it in the list"},
	{NULL}};
static const struct api_field batch_item[] = {{.type = API_OBJECT, .fields = batch_fields},
											  {NULL}};
static const struct api_field batch_body[] = {
	{"tenants", API_ARRAY, API_REQUIRED, .min = 1, .max = 1000, .fields = batch_item}, {NULL}};

static const struct api_field update_body[] = {
	{"slug", API_TEXT, .pattern = SLUG},
	{"name", API_TEXT, .min = 1, .max = 255, .doc = "what an editor may change"},
	{"external_key", API_TEXT, API_NULLABLE, .min = 1, .max = 255,
	 .doc = "for API keys of the whole tree"},
	{"region", API_TEXT, API_NULLABLE, .min = 1, .max = 63},
	{"cluster", API_TEXT, .max = 63, .doc = "for API keys of the whole tree"},
	{"pool_weight", API_INTEGER, .min = 1, .max = 100, .doc = "for API keys of the whole tree"},
	{NULL}};

#define PLACE                                                                                  \
	{"before", API_TENANT_WORD, .doc = "in front of this sibling"},                            \
		{"after", API_TENANT_WORD, .doc = "behind this sibling"},                              \
	{                                                                                          \
		"to", API_TEXT, .choices = ends, .doc = "in front of all siblings, or behind all"      \
	}

static const struct api_field move_body[] = {
	{"parent", API_TENANT_WORD, API_REQUIRED | API_NULLABLE,
	 .doc = "null: it becomes a root, which is for API keys of the whole tree"},
	PLACE,
	{NULL}};
static const struct api_field reorder_body[] = {PLACE, {NULL}};
static const struct api_field status_body[] = {
	{"subtree", API_BOOLEAN, .preset = "false", .doc = "all below it too"}, {NULL}};
static const struct api_field purge_body[] = {
	{"confirm", API_TEXT, API_REQUIRED, .doc = "the tenant's slug"}, {NULL}};

/* ---- routes ---- */

#define TENANT "/v1/tenants/{tenant}"
#define CHANGES_STATUS                                                                         \
	.method = "POST", .role = API_ADMIN, .flags = API_DRY_RUN, .body = status_body,            \
	.answer = &status_schema, .tag = "tenants"

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
	 .flags = API_DRY_RUN,
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
	 .flags = API_DRY_RUN,
	 .body = purge_body,
	 .handler = "tenant_purge",
	 .answer = &api_job_schema,
	 .status = 202,
	 .tag = "tenants",
	 .summary = "Remove a tenant and all that it has, for good",
	 .doc = "There must be none below it. It is `purging` from now on; the job removes its rows, "
			"its schema or database, its login, and then itself."},
};

const struct api_topic api_routes_tenants = {routes, sizeof routes / sizeof *routes};
