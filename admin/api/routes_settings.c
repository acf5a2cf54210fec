/* Settings of tenants: what they are, what holds, and what was. */
#include "admin/api/routes.h"
#include "admin/api/secrets.h"

#define KEY_PATTERN "^[a-z][A-Za-z0-9_.-]*$"

/* clang-format off */

/* ---- what is answered ---- */

#define VALUE_FIELDS                                                                                                         \
	{.name = "value", .type = API_JSON, .flags = API_REQUIRED | API_NULLABLE, .doc = "null too where it is sensitive and not revealed"},     \
	{.name = "sensitive", .type = API_BOOLEAN, .flags = API_REQUIRED, .doc = "it is stored sealed, and read with reveal=true alone"}

#define REVEALED_FIELD                                                                                                       \
	{.name = "revealed", .type = API_BOOLEAN, .doc = "the value is that of a sensitive setting, in plain text"}

#define OWN_FIELDS                                                                                                           \
	{.name = "key", .type = API_TEXT, .flags = API_REQUIRED},                                                                                        \
	VALUE_FIELDS,                                                                                                             \
	{.name = "locked", .type = API_BOOLEAN, .flags = API_REQUIRED, .doc = "it holds for all tenants below, whatever they have"},                     \
	{.name = "masked", .type = API_BOOLEAN, .flags = API_REQUIRED, .doc = "a tenant above has locked the key: this value means nothing until that ends"}, \
	{.name = "revision", .type = API_INTEGER, .flags = API_REQUIRED, .doc = "the ETag"},                                                             \
	{.name = "created_at", .type = API_TIME, .flags = API_REQUIRED},                                                                                 \
	{.name = "updated_at", .type = API_TIME, .flags = API_REQUIRED},                                                                                 \
	REVEALED_FIELD

static const struct api_field own_fields[] = {OWN_FIELDS, {.name = NULL}};

#define RESOLVED_FIELDS                                                                                                      \
	{.name = "key", .type = API_TEXT, .flags = API_REQUIRED},                                                                                        \
	VALUE_FIELDS,                                                                                                             \
	{.name = "is_default", .type = API_BOOLEAN, .flags = API_REQUIRED, .doc = "no tenant on the way has a value"},                                   \
	{.name = "inherited", .type = API_BOOLEAN, .flags = API_REQUIRED, .doc = "the value is that of a tenant above"},                                 \
	{.name = "source_tenant_id", .type = API_UUID, .flags = API_REQUIRED | API_NULLABLE, .doc = "whose value it is; null of a default, and where that tenant is above your own part of the tree"}, \
	{.name = "locked", .type = API_BOOLEAN, .flags = API_REQUIRED, .doc = "the value that holds is locked"},                                         \
	{.name = "locked_by", .type = API_UUID, .flags = API_REQUIRED | API_NULLABLE, .doc = "by which tenant, likewise"},                       \
	{.name = "masked", .type = API_BOOLEAN, .flags = API_REQUIRED, .doc = "the tenant has a value of its own, which means nothing below the lock"},  \
	{.name = "own", .type = API_OBJECT, .flags = API_REQUIRED | API_NULLABLE, .fields = own_fields, .doc = "the tenant's own value; null: none"}, \
	REVEALED_FIELD

static const struct api_field resolved_fields[] = {RESOLVED_FIELDS, {.name = NULL}};

static const struct api_field way_fields[] = {
	{.name = "tenant_id", .type = API_UUID, .flags = API_REQUIRED | API_NULLABLE, .doc = "null above your own part of the tree"},
	{.name = "slug", .type = API_TEXT, .flags = API_REQUIRED | API_NULLABLE},
	{.name = "depth", .type = API_INTEGER, .flags = API_REQUIRED, .doc = "1: the root"},
	{.name = "set", .type = API_BOOLEAN, .flags = API_REQUIRED, .doc = "it has a value"},
	VALUE_FIELDS,
	{.name = "locked", .type = API_BOOLEAN, .flags = API_REQUIRED},
	{.name = "holds", .type = API_BOOLEAN, .flags = API_REQUIRED, .doc = "its value is the one that holds for the tenant"},
	{.name = "masked", .type = API_BOOLEAN, .flags = API_REQUIRED, .doc = "its value does not hold for itself: one above is locked"},
	{.name = "revision", .type = API_INTEGER, .flags = API_REQUIRED | API_NULLABLE},
	{.name = NULL}};
static const struct api_field way_element[] = {{.name = "tenant", .type = API_OBJECT, .fields = way_fields}, {.name = NULL}};
static const struct api_field inheritance_fields[] = {
	{.name = "key", .type = API_TEXT, .flags = API_REQUIRED},
	{.name = "default_value", .type = API_JSON, .flags = API_REQUIRED | API_NULLABLE},
	{.name = "items", .type = API_ARRAY, .flags = API_REQUIRED, .fields = way_element, .doc = "from the root to the tenant"},
	{.name = NULL}};

static const struct api_field diff_fields[] = {
	{.name = "key", .type = API_TEXT, .flags = API_REQUIRED},
	{.name = "same", .type = API_BOOLEAN, .flags = API_REQUIRED | API_NULLABLE, .doc = "null where one of them is sensitive: that is not compared"},
	{.name = "here", .type = API_OBJECT, .flags = API_REQUIRED, .fields = resolved_fields},
	{.name = "there", .type = API_OBJECT, .flags = API_REQUIRED, .fields = resolved_fields, .doc = "of the other tenant"},
	{.name = NULL}};

static const struct api_field inherit_fields[] = {
	VALUE_FIELDS,
	{.name = "is_default", .type = API_BOOLEAN, .flags = API_REQUIRED},
	{.name = "source_tenant_id", .type = API_UUID, .flags = API_REQUIRED | API_NULLABLE},
	{.name = NULL}};
static const struct api_field drift_fields[] = {
	{.name = "tenant_id", .type = API_UUID, .flags = API_REQUIRED},
	{.name = "slug", .type = API_TEXT, .flags = API_REQUIRED},
	{.name = "key", .type = API_TEXT, .flags = API_REQUIRED},
	VALUE_FIELDS,
	{.name = "locked", .type = API_BOOLEAN, .flags = API_REQUIRED},
	{.name = "masked", .type = API_BOOLEAN, .flags = API_REQUIRED},
	{.name = "same", .type = API_BOOLEAN, .flags = API_REQUIRED | API_NULLABLE, .doc = "null where one of them is sensitive: that is not compared"},
	{.name = "would_inherit", .type = API_OBJECT, .flags = API_REQUIRED, .fields = inherit_fields, .doc = "what would hold without it"},
	{.name = NULL}};

static const struct api_field was_fields[] = {
	VALUE_FIELDS,
	{.name = "locked", .type = API_BOOLEAN, .flags = API_REQUIRED},
	REVEALED_FIELD,
	{.name = NULL}};
static const char *const actions[] = {"set", "removed", NULL};
static const struct api_field revision_fields[] = {
	{.name = "revision", .type = API_INTEGER, .flags = API_REQUIRED},
	{.name = "action", .type = API_TEXT, .flags = API_REQUIRED, .choices = actions},
	{.name = "actor", .type = API_TEXT, .flags = API_REQUIRED},
	{.name = "request_id", .type = API_TEXT, .flags = API_REQUIRED | API_NULLABLE},
	{.name = "at", .type = API_TIME, .flags = API_REQUIRED},
	{.name = "before", .type = API_OBJECT, .flags = API_REQUIRED | API_NULLABLE, .fields = was_fields, .doc = "null: there was none, or it is not kept any more"},
	{.name = "after", .type = API_OBJECT, .flags = API_REQUIRED | API_NULLABLE, .fields = was_fields, .doc = "null: it was taken away"},
	{.name = NULL}};

static const char *const outcomes[] = {"set", "unchanged", "removed", "absent", "refused", NULL};
static const struct api_field outcome_fields[] = {
	{.name = "key", .type = API_TEXT, .flags = API_REQUIRED},
	{.name = "done", .type = API_TEXT, .flags = API_REQUIRED, .choices = outcomes},
	{.name = "revision", .type = API_INTEGER, .flags = API_REQUIRED | API_NULLABLE},
	{.name = "reason", .type = API_TEXT, .flags = API_REQUIRED | API_NULLABLE, .doc = "why it was refused, as a problem has it"},
	{.name = "field", .type = API_TEXT, .flags = API_REQUIRED | API_NULLABLE},
	{.name = "detail", .type = API_TEXT, .flags = API_REQUIRED | API_NULLABLE},
	{.name = NULL}};
static const struct api_field outcome_element[] = {{.name = "outcome", .type = API_OBJECT, .fields = outcome_fields}, {.name = NULL}};
static const struct api_field batch_fields[] = {
	{.name = "items", .type = API_ARRAY, .flags = API_REQUIRED, .fields = outcome_element, .doc = "of each change, in the order of the request"},
	{.name = "refused", .type = API_INTEGER, .flags = API_REQUIRED, .doc = "how many"},
	{.name = NULL}};

static const struct api_schema own_schema = {.name = "Setting", .fields = own_fields};
static const struct api_schema resolved_schema = {.name = "ResolvedSetting", .fields = resolved_fields};
static const struct api_schema inheritance_schema = {.name = "SettingInheritance", .fields = inheritance_fields};
static const struct api_schema diff_schema = {.name = "SettingDifference", .fields = diff_fields};
static const struct api_schema drift_schema = {.name = "SettingDrift", .fields = drift_fields};
static const struct api_schema revision_schema = {.name = "SettingRevision", .fields = revision_fields};
static const struct api_schema batch_schema = {.name = "SettingBatch", .fields = batch_fields};

/* ---- what is asked ---- */

static const struct api_field key_param[] = {
	{.name = "key", .type = API_TEXT, .flags = API_REQUIRED, .min = 1, .max = 255, .pattern = KEY_PATTERN, .doc = "registered, or one of the application's own: app.*"},
	{.name = NULL}};

#define REVEAL_QUERY {.name = "reveal", .type = API_BOOLEAN, .preset = "false", .doc = "sensitive values in plain text, for API keys that may; it is audited"}
#define PREFIX_QUERY {.name = "prefix", .type = API_TEXT, .min = 1, .max = 255, .doc = "only keys that begin with it"}

static const struct api_field reveal_query[] = {REVEAL_QUERY, {.name = NULL}};
static const struct api_field list_query[] = {REVEAL_QUERY, PREFIX_QUERY, {.name = NULL}};
static const struct api_field drift_query[] = {PREFIX_QUERY, {.name = NULL}};
static const struct api_field diff_query[] = {
	{.name = "with", .type = API_TENANT_WORD, .flags = API_REQUIRED, .doc = "the other tenant"},
	{.name = NULL}};

#define VALUE_BODY                                                                                                           \
	{.name = "value", .type = API_JSON, .flags = API_REQUIRED | API_SECRET, .doc = "any JSON; of a registered key as its type and bounds say"}, \
	{.name = "locked", .type = API_BOOLEAN, .preset = "false", .doc = "it holds for all tenants below, whatever they have"},  \
	{.name = "sensitive", .type = API_BOOLEAN, .doc = "of app.* keys: store it sealed; without this as the tenant's value before"}

static const struct api_field put_body[] = {VALUE_BODY, {.name = NULL}};
static const struct api_field patch_body[] = {
	{.name = "locked", .type = API_BOOLEAN, .flags = API_REQUIRED},
	{.name = NULL}};
static const struct api_field rollback_body[] = {
	{.name = "revision", .type = API_INTEGER, .flags = API_REQUIRED, .min = 1, .max = INT64_C(1) << 53},
	{.name = NULL}};

#define IF_REVISION {.name = "if_revision", .type = API_INTEGER, .min = 0, .max = INT64_C(1) << 53, .doc = "only where the value has this revision; 0: only where there is none"}
#define KEY_BODY    {.name = "key", .type = API_TEXT, .flags = API_REQUIRED, .min = 1, .max = 255, .pattern = KEY_PATTERN}

static const char *const modes[] = {"atomic", "partial", NULL};
static const struct api_field set_fields[] = {KEY_BODY, VALUE_BODY, IF_REVISION, {.name = NULL}};
static const struct api_field set_element[] = {{.name = "change", .type = API_OBJECT, .fields = set_fields}, {.name = NULL}};
static const struct api_field delete_fields[] = {KEY_BODY, IF_REVISION, {.name = NULL}};
static const struct api_field delete_element[] = {{.name = "change", .type = API_OBJECT, .fields = delete_fields}, {.name = NULL}};
static const struct api_field batch_body[] = {
	{.name = "mode", .type = API_TEXT, .choices = modes, .preset = "\"atomic\"", .doc = "atomic: all or none; partial: each that can be"},
	{.name = "set", .type = API_ARRAY, .max = 200, .fields = set_element, .preset = "[]"},
	{.name = "delete", .type = API_ARRAY, .max = 200, .fields = delete_element, .preset = "[]"},
	{.name = NULL}};

#define SETTINGS "/v1/tenants/{tenant}/settings"
#define TAG      .tag = "Settings"

static const struct api_route routes[] = {
	{.id = "setting.list", .method = "GET", .path = SETTINGS, .role = API_VIEWER, .flags = API_PAGED,
	 .query = list_query, .handler = "settings_own", .finish = secrets_finish, .answer = &own_schema, TAG,
	 .summary = "The values that a tenant has of its own"},
	{.id = "setting.resolve", .method = "GET", .path = SETTINGS ":resolved", .role = API_VIEWER, .flags = API_PAGED,
	 .query = list_query, .handler = "settings_resolved", .finish = secrets_finish, .answer = &resolved_schema, TAG,
	 .summary = "What holds for a tenant",
	 .doc = "Of each registered key, and of each app.* key that has a value on the way from the root. The nearest value holds, unless one above it is locked: then the highest that is locked. With reveal=true sensitive values are those of tenants in your own part of the tree; others stay hidden."},
	{.id = "setting.diff", .method = "GET", .path = SETTINGS ":diff", .role = API_VIEWER, .flags = API_PAGED,
	 .query = diff_query, .handler = "settings_diff", .finish = secrets_finish, .answer = &diff_schema, TAG,
	 .summary = "In which settings two tenants differ"},
	{.id = "setting.drift", .method = "GET", .path = SETTINGS ":drift", .role = API_VIEWER, .flags = API_PAGED,
	 .query = drift_query, .handler = "settings_drift", .finish = secrets_finish, .answer = &drift_schema, TAG,
	 .summary = "Values of tenants below that differ from what they would inherit"},
	{.id = "setting.batch", .method = "POST", .path = SETTINGS ":batch", .role = API_EDITOR, .flags = API_DRY_RUN | API_LARGE,
	 .body = batch_body, .handler = "settings_batch", .before = "settings_before", .prepare = secrets_prepare_batch,
	 .answer = &batch_schema, TAG,
	 .summary = "Changes several settings of a tenant at once",
	 .doc = "atomic: all, or none with every change that cannot be made named in the problem. partial: each for itself, with an answer for each."},
	{.id = "setting.show", .method = "GET", .path = SETTINGS "/{key}", .role = API_VIEWER, .params = key_param,
	 .query = reveal_query, .handler = "setting_get", .finish = secrets_finish, .answer = &resolved_schema, TAG,
	 .summary = "What holds for a tenant of one key",
	 .doc = "The ETag is that of the tenant's own value; there is none where it has none."},
	{.id = "setting.set", .method = "PUT", .path = SETTINGS "/{key}", .role = API_EDITOR, .params = key_param,
	 .flags = API_DRY_RUN | API_MAY_MATCH, .body = put_body, .handler = "setting_put", .before = "settings_before",
	 .prepare = secrets_prepare_value, .finish = secrets_finish, .answer = &resolved_schema, TAG,
	 .summary = "Sets a value",
	 .doc = "If-Match must name the value that is replaced, where there is one."},
	{.id = "setting.lock", .method = "PATCH", .path = SETTINGS "/{key}", .role = API_EDITOR, .params = key_param,
	 .flags = API_DRY_RUN | API_IF_MATCH, .body = patch_body, .handler = "setting_patch", .finish = secrets_finish,
	 .answer = &resolved_schema, TAG,
	 .summary = "Locks or unlocks a value that is there"},
	{.id = "setting.unset", .method = "DELETE", .path = SETTINGS "/{key}", .role = API_EDITOR, .params = key_param,
	 .flags = API_DRY_RUN | API_IF_MATCH, .handler = "setting_delete", .status = 204, TAG,
	 .summary = "Takes a tenant's own value away"},
	{.id = "setting.inheritance", .method = "GET", .path = SETTINGS "/{key}/inheritance", .role = API_VIEWER,
	 .params = key_param, .handler = "setting_inheritance", .answer = &inheritance_schema, TAG,
	 .summary = "Whose value of a key holds, on the way from the root"},
	{.id = "setting.history", .method = "GET", .path = SETTINGS "/{key}/history", .role = API_VIEWER, .flags = API_PAGED,
	 .params = key_param, .query = reveal_query, .handler = "setting_history", .finish = secrets_finish,
	 .answer = &revision_schema, TAG,
	 .summary = "What a tenant's own value was, the newest first",
	 .doc = "The last two hundred revisions are kept."},
	{.id = "setting.rollback", .method = "POST", .path = SETTINGS "/{key}:rollback", .role = API_EDITOR, .params = key_param,
	 .flags = API_DRY_RUN | API_MAY_MATCH, .body = rollback_body, .handler = "setting_rollback", .finish = secrets_finish,
	 .answer = &resolved_schema, TAG,
	 .summary = "Makes a value what it was at a revision",
	 .doc = "By the rules of now, and with If-Match where there is a value. It becomes a revision of its own."},
};
/* clang-format on */

const struct api_topic api_routes_settings = {routes, sizeof routes / sizeof *routes};
