#include "tests/fuzz/api_table.h"

#include <string.h>

#include "base/utf8.h"
#include "tests/fuzz/fuzz.h"

static const char *const sizes[] = {"small", "large", NULL};
static const struct api_field word[] = {{.type = API_TEXT, .min = 1, .max = 20}};
static const struct api_field tenant[] = {{.type = API_TENANT_WORD}};
static const struct api_field anything[] = {{.type = API_JSON, .max = 200}};

static const struct api_field inner[] = {
	{.name = "since", .type = API_TIME, .flags = API_REQUIRED},
	{.name = "tenants", .type = API_ARRAY, .fields = tenant, .max = 3},
	{.name = NULL},
};
static const struct api_field inner_element[] = {{.type = API_OBJECT, .fields = inner}};

const struct api_field table_body[] = {
	{.name = "slug",
	 .type = API_TEXT,
	 .flags = API_REQUIRED,
	 .min = 1,
	 .max = 63,
	 .pattern = "^[a-z][a-z0-9_-]{0,62}$"},
	{.name = "id", .type = API_UUID},
	{.name = "parent", .type = API_TENANT_WORD, .flags = API_NULLABLE},
	{.name = "size", .type = API_TEXT, .flags = API_NULLABLE, .choices = sizes},
	{.name = "weight", .type = API_INTEGER, .min = 1, .max = 100, .preset = "7"},
	{.name = "any", .type = API_INTEGER},
	{.name = "ratio", .type = API_NUMBER, .max = 1},
	{.name = "number", .type = API_NUMBER, .flags = API_NULLABLE},
	{.name = "yes", .type = API_BOOLEAN, .preset = "false"},
	{.name = "value", .type = API_JSON, .max = 300},
	{.name = "password", .type = API_TEXT, .flags = API_SECRET | API_NULLABLE, .min = 8},
	{.name = "script", .type = API_TEXT, .flags = API_LINES},
	{.name = "inner", .type = API_OBJECT, .fields = inner},
	{.name = "words", .type = API_ARRAY, .fields = word, .min = 1, .max = 5},
	{.name = "many", .type = API_ARRAY, .fields = inner_element, .max = 4},
	{.name = "labels", .type = API_MAP, .fields = word, .max = 3},
	{.name = "bag", .type = API_MAP, .fields = anything},
	{.name = NULL},
};

static const struct api_field key[] = {
	{.name = "key", .type = API_TEXT, .max = 200},
	{.name = NULL},
};
static const struct api_field filters[] = {
	{.name = "parent", .type = API_TENANT_WORD},
	{.name = "size", .type = API_TEXT, .choices = sizes},
	{.name = "at", .type = API_INTEGER, .min = -5, .max = 5, .preset = "1"},
	{.name = "ratio", .type = API_NUMBER},
	{.name = "from", .type = API_TIME},
	{.name = "all", .type = API_BOOLEAN},
	{.name = "words", .type = API_ARRAY, .fields = word, .max = 3},
	{.name = NULL},
};

static const struct api_route routes[] = {
	{.method = "GET", .path = "/v1/tenants", .query = filters},
	{.method = "POST", .path = "/v1/tenants", .body = table_body},
	{.method = "POST", .path = "/v1/tenants:batch", .body = table_body},
	{.method = "GET", .path = "/v1/tenants/{tenant}", .query = filters},
	{.method = "PATCH", .path = "/v1/tenants/{tenant}", .body = table_body},
	{.method = "POST", .path = "/v1/tenants/{tenant}:move", .body = table_body},
	{.method = "GET", .path = "/v1/tenants/{tenant}/settings", .query = filters},
	{.method = "GET", .path = "/v1/tenants/{tenant}/settings:resolved", .query = filters},
	{.method = "PUT", .path = "/v1/tenants/{tenant}/settings/{key}", .params = key},
	{.method = "DELETE", .path = "/v1/tenants/{tenant}/settings/{key}", .params = key},
	{.method = "POST", .path = "/v1/tenants/{tenant}/settings/{key}:rollback", .params = key},
	{.method = "GET", .path = "/v1/tenants/{tenant}/settings/{key}/history", .params = key},
	{.method = "GET", .path = "/v1/audit:verify"},
};

static const struct api_topic topic = {routes, sizeof routes / sizeof *routes};
const struct api_topic *const api_topics[] = {&topic};
const size_t api_topic_count = 1;

bool table_is_tellable(const char *text)
{
	if (!text || !*text || !utf8_valid(text, strlen(text)))
		return false;
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	}
	return true;
}

void table_check_findings(struct api_findings *findings, const char *place, bool good)
{
	size_t i;
	json_t *fault;

	require(!findings->out_of_memory);
	require(good == (json_array_size(findings->faults) == 0));
	require(json_array_size(findings->faults) <= 50);
	json_array_foreach(findings->faults, i, fault)
	{
		const char *field = json_string_value(json_object_get(fault, "field"));

		require(field && strncmp(field, place, strlen(place)) == 0);
		require(utf8_valid(field, strlen(field)));
		require(table_is_tellable(json_string_value(json_object_get(fault, "detail"))));
	}
	json_decref(findings->faults);
	json_decref(findings->tenants);
}
