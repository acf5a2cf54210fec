/* The registry of settings, and the keys that sensitive values are sealed with. */
#include "admin/api/routes.h"
#include "admin/api/secrets.h"

/* clang-format off */
static const char *const types[] = {"boolean", "integer", "number", "string", "array", "object", NULL};
static const struct api_field choice[] = {{.name = "choice", .type = API_TEXT, .max = 1000}, {.name = NULL}};

static const struct api_field key_fields[] = {
	{.name = "key", .type = API_TEXT, .flags = API_REQUIRED},
	{.name = "type", .type = API_TEXT, .flags = API_REQUIRED, .choices = types},
	{.name = "minimum", .type = API_NUMBER, .flags = API_REQUIRED | API_NULLABLE, .doc = "of a number, or of a string's characters"},
	{.name = "maximum", .type = API_NUMBER, .flags = API_REQUIRED | API_NULLABLE},
	{.name = "choices", .type = API_ARRAY, .flags = API_REQUIRED | API_NULLABLE, .fields = choice, .doc = "of a string"},
	{.name = "default_value", .type = API_JSON, .flags = API_REQUIRED | API_NULLABLE, .doc = "null: none"},
	{.name = "sensitive", .type = API_BOOLEAN, .flags = API_REQUIRED, .doc = "values are stored sealed"},
	{.name = "description", .type = API_TEXT, .flags = API_REQUIRED},
	{.name = "builtin", .type = API_BOOLEAN, .flags = API_REQUIRED, .doc = "Bulkhead's own"},
	{.name = NULL}};
static const struct api_schema key_schema = {.name = "SettingKey", .fields = key_fields};

static const struct api_field key_param[] = {
	{.name = "key", .type = API_TEXT, .flags = API_REQUIRED, .min = 1, .max = 127, .pattern = "^[a-z][a-z0-9_.]*$"},
	{.name = NULL}};

static const struct api_field create_body[] = {
	{.name = "key", .type = API_TEXT, .flags = API_REQUIRED, .min = 3, .max = 127, .pattern = "^[a-z][a-z0-9_]*(\\.[a-z][a-z0-9_]*)+$", .doc = "words with dots between them; not under app, bulkhead, proxy, settings and sql"},
	{.name = "type", .type = API_TEXT, .flags = API_REQUIRED, .choices = types},
	{.name = "minimum", .type = API_NUMBER, .flags = API_NULLABLE, .doc = "of a number, or of a string's characters"},
	{.name = "maximum", .type = API_NUMBER, .flags = API_NULLABLE},
	{.name = "choices", .type = API_ARRAY, .flags = API_NULLABLE, .min = 1, .max = 100, .fields = choice, .doc = "of a string"},
	{.name = "default_value", .type = API_JSON, .flags = API_NULLABLE, .doc = "null: none; sensitive ones have none"},
	{.name = "sensitive", .type = API_BOOLEAN, .preset = "false", .doc = "values are stored sealed; that cannot be changed later"},
	{.name = "description", .type = API_TEXT, .flags = API_REQUIRED | API_LINES, .min = 1, .max = 1000},
	{.name = NULL}};
static const struct api_field patch_body[] = {
	{.name = "description", .type = API_TEXT, .flags = API_REQUIRED | API_LINES, .min = 1, .max = 1000},
	{.name = NULL}};
static const struct api_field list_query[] = {
	{.name = "prefix", .type = API_TEXT, .min = 1, .max = 127, .doc = "only keys that begin with it"},
	{.name = NULL}};

static const struct api_field data_key_fields[] = {
	{.name = "kid", .type = API_TEXT, .flags = API_REQUIRED, .doc = "its name"},
	{.name = "master_kid", .type = API_TEXT, .flags = API_REQUIRED, .doc = "the master key that wraps it"},
	{.name = "created_at", .type = API_TIME, .flags = API_REQUIRED},
	{.name = "superseded_at", .type = API_TIME, .flags = API_REQUIRED | API_NULLABLE, .doc = "null: new values are sealed by it"},
	{.name = "values", .type = API_INTEGER, .flags = API_REQUIRED, .doc = "how many are sealed by it"},
	{.name = "revisions", .type = API_INTEGER, .flags = API_REQUIRED, .doc = "how many of the history"},
	{.name = NULL}};
static const struct api_field data_key_element[] = {{.name = "key", .type = API_OBJECT, .fields = data_key_fields}, {.name = NULL}};
static const struct api_field data_keys_fields[] = {
	{.name = "items", .type = API_ARRAY, .flags = API_REQUIRED, .fields = data_key_element},
	{.name = "job", .type = API_INTEGER, .flags = API_REQUIRED | API_NULLABLE, .doc = "the rotation that is under way"},
	{.name = NULL}};
static const struct api_schema data_keys_schema = {.name = "DataKeys", .fields = data_keys_fields};

static const struct api_field master_key_fields[] = {
	{.name = "kid", .type = API_TEXT, .flags = API_REQUIRED},
	{.name = "data_keys", .type = API_INTEGER, .flags = API_REQUIRED, .doc = "how many it wraps"},
	{.name = "in_file", .type = API_BOOLEAN, .flags = API_REQUIRED, .doc = "this Bulkhead has it; what a missing one wraps cannot be read"},
	{.name = NULL}};
static const struct api_field master_key_element[] = {{.name = "key", .type = API_OBJECT, .fields = master_key_fields}, {.name = NULL}};
static const struct api_field master_keys_fields[] = {
	{.name = "items", .type = API_ARRAY, .flags = API_REQUIRED, .fields = master_key_element},
	{.name = "job", .type = API_INTEGER, .flags = API_REQUIRED | API_NULLABLE, .doc = "the rewrapping that is under way"},
	{.name = "current", .type = API_TEXT, .flags = API_REQUIRED | API_NULLABLE, .doc = "what new data keys are wrapped by; null: there is no file"},
	{.name = NULL}};
static const struct api_schema master_keys_schema = {.name = "MasterKeys", .fields = master_keys_fields};

static const struct api_field job_fields[] = {
	{.name = "job", .type = API_INTEGER, .flags = API_REQUIRED, .doc = "see /v1/jobs"},
	{.name = "kind", .type = API_TEXT, .flags = API_REQUIRED},
	{.name = "state", .type = API_TEXT, .flags = API_REQUIRED},
	{.name = NULL}};
static const struct api_schema job_schema = {.name = "KeyJob", .fields = job_fields};

#define TAG .tag = "Setting keys"

static const struct api_route routes[] = {
	{.id = "setting-key.list", .method = "GET", .path = "/v1/setting-keys", .role = API_VIEWER, .flags = API_PAGED,
	 .query = list_query, .handler = "setting_keys_list", .answer = &key_schema, TAG,
	 .summary = "Registered settings"},
	{.id = "setting-key.create", .method = "POST", .path = "/v1/setting-keys", .role = API_OPERATOR, .flags = API_EVERYWHERE,
	 .body = create_body, .handler = "setting_key_create", .answer = &key_schema, .status = 201, TAG,
	 .summary = "Registers a setting",
	 .doc = "Its type and bounds can never be changed: values of it would mean something else."},
	{.id = "setting-key.show", .method = "GET", .path = "/v1/setting-keys/{key}", .role = API_VIEWER, .params = key_param,
	 .handler = "setting_key_get", .answer = &key_schema, TAG,
	 .summary = "A registered setting"},
	{.id = "setting-key.update", .method = "PATCH", .path = "/v1/setting-keys/{key}", .role = API_OPERATOR,
	 .flags = API_EVERYWHERE | API_IF_MATCH, .params = key_param, .body = patch_body, .handler = "setting_key_patch",
	 .answer = &key_schema, TAG,
	 .summary = "Changes the description of a setting of the application's"},
	{.id = "setting-key.delete", .method = "DELETE", .path = "/v1/setting-keys/{key}", .role = API_OPERATOR,
	 .flags = API_EVERYWHERE | API_IF_MATCH, .params = key_param, .handler = "setting_key_delete", .status = 204, TAG,
	 .summary = "Takes a setting of the application's out of the registry",
	 .doc = "Refused while a tenant has a value of it."},
	{.id = "data-key.list", .method = "GET", .path = "/v1/tenants/{tenant}/data-keys", .role = API_ADMIN,
	 .handler = "data_keys_list", .answer = &data_keys_schema, TAG,
	 .summary = "What a tenant's sensitive settings are sealed with"},
	{.id = "data-key.rotate", .method = "POST", .path = "/v1/tenants/{tenant}/data-keys:rotate", .role = API_ADMIN,
	 .handler = "data_key_rotate", .answer = &job_schema, .status = 202, TAG,
	 .summary = "Gives a tenant another data key, and seals anew what it has"},
	{.id = "master-key.list", .method = "GET", .path = "/v1/master-keys", .role = API_OPERATOR, .flags = API_EVERYWHERE,
	 .handler = "master_keys_list", .finish = secrets_finish_masters, .answer = &master_keys_schema, TAG,
	 .summary = "By which master keys data keys are wrapped"},
	{.id = "master-key.rewrap", .method = "POST", .path = "/v1/master-keys:rewrap", .role = API_OPERATOR,
	 .flags = API_EVERYWHERE, .handler = "master_key_rewrap", .prepare = secrets_prepare_rewrap, .answer = &job_schema,
	 .status = 202, TAG,
	 .summary = "Wraps all data keys by the master key that the file has first"},
};
/* clang-format on */

const struct api_topic api_routes_setting_keys = {routes, sizeof routes / sizeof *routes};
