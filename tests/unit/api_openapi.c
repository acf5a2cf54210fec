/* The OpenAPI document says what the table of routes says; docs/openapi.json is that of today.
 */
#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/api/openapi.h"

/* ---- a table with one of everything ---- */

static const char *const sizes[] = {"small", "large", NULL};
static const struct api_field word[] = {{.type = API_TEXT, .min = 1, .max = 20}};
static const struct api_field inner[] = {
	{.name = "since", .type = API_TIME, .flags = API_REQUIRED},
	{.name = NULL},
};
static const struct api_field thing_members[] = {
	{.name = "id", .type = API_UUID, .flags = API_REQUIRED},
	{.name = "note", .type = API_TEXT, .flags = API_NULLABLE},
	{.name = NULL},
};
static const struct api_schema thing = {"Thing", thing_members, false};
static const struct api_schema open = {"Open", NULL, true};

static const struct api_field body[] = {
	{.name = "slug",
	 .type = API_TEXT,
	 .flags = API_REQUIRED,
	 .max = 63,
	 .pattern = "^[a-z][a-z0-9_-]{0,62}$",
	 .doc = "How people call it."},
	{.name = "parent", .type = API_TENANT_WORD, .flags = API_NULLABLE},
	{.name = "size", .type = API_TEXT, .flags = API_NULLABLE, .choices = sizes},
	{.name = "weight", .type = API_INTEGER, .min = 1, .max = 100, .preset = "7"},
	{.name = "any", .type = API_INTEGER},
	{.name = "ratio", .type = API_NUMBER, .max = 1},
	{.name = "value", .type = API_JSON, .flags = API_REQUIRED},
	{.name = "password", .type = API_TEXT, .flags = API_SECRET | API_NULLABLE, .min = 8},
	{.name = "script", .type = API_TEXT, .flags = API_LINES},
	{.name = "inner", .type = API_OBJECT, .fields = inner},
	{.name = "words", .type = API_ARRAY, .fields = word, .max = 5},
	{.name = "labels", .type = API_MAP, .fields = word, .max = 9},
	{.name = NULL},
};
static const struct api_field key[] = {
	{.name = "key", .type = API_TEXT, .max = 200},
	{.name = NULL},
};
static const struct api_field filters[] = {
	{.name = "parent", .type = API_TENANT_WORD},
	{.name = NULL},
};
static const struct api_route some[] = {
	{.id = "thing.list",
	 .method = "GET",
	 .path = "/v1/things",
	 .role = API_VIEWER,
	 .flags = API_PAGED,
	 .query = filters,
	 .answer = &thing,
	 .tag = "things",
	 .summary = "Lists things"},
	{.id = "thing.make",
	 .method = "POST",
	 .path = "/v1/things",
	 .role = API_ADMIN,
	 .flags = API_EVERYWHERE,
	 .body = body,
	 .answer = &thing,
	 .status = 201,
	 .tag = "things",
	 .summary = "Makes a thing",
	 .doc = "It is small."},
	{.id = "thing.end",
	 .method = "DELETE",
	 .path = "/v1/tenants/{tenant}/things/{key}:end",
	 .role = API_EDITOR,
	 .flags = API_IF_MATCH | API_DRY_RUN,
	 .params = key,
	 .status = 204,
	 .tag = "things",
	 .summary = "Ends it"},
	{.id = "ping",
	 .method = "GET",
	 .path = "/v1/ping",
	 .answer = &open,
	 .tag = "server",
	 .summary = "Answers"},
};
static const struct api_topic topic = {some, sizeof some / sizeof *some};
static const struct api_topic *const topics[] = {&topic};

/* ---- looking things up ---- */

static json_t *document;

static void make(void)
{
	document = openapi_of(topics, 1);
	cr_assert_not_null(document);
}

static void drop(void)
{
	json_decref(document);
}

/* Down from the document, member by member. */
static json_t *at(const char *first, ...)
{
	json_t *here = document;
	va_list names;

	va_start(names, first);
	for (const char *name = first; name && here; name = va_arg(names, const char *))
		here = json_object_get(here, name);
	va_end(names);
	return here;
}

/* Says what `value` is not; `text` is JSON. */
static void expect_json(json_t *value, const char *text)
{
	json_t *expected = json_loads(text, JSON_DECODE_ANY, NULL);
	char *found = json_dumps(value, JSON_ENCODE_ANY);

	cr_assert_not_null(expected, "not JSON: %s", text);
	cr_expect(json_equal(value, expected), "%s is not %s", found, text);
	json_decref(expected);
	free(found);
}

static json_t *member(const char *name)
{
	return json_object_get(at("paths", "/v1/things", "post", "requestBody", "content",
							  "application/json", "schema", "properties", NULL),
						   name);
}

TestSuite(api_openapi, .init = make, .fini = drop);

Test(api_openapi, every_route_is_an_operation)
{
	expect_json(at("openapi", NULL), "\"3.1.0\"");
	cr_expect_eq(json_object_size(at("paths", NULL)), 3);
	cr_expect_eq(json_object_size(at("paths", "/v1/things", NULL)), 2);
	expect_json(
		at("paths", "/v1/tenants/{tenant}/things/{key}:end", "delete", "operationId", NULL),
		"\"thing.end\"");
	expect_json(at("paths", "/v1/things", "post", "description", NULL),
				"\"It is small.\\n\\nRole: admin or higher, with a key of the whole tree.\"");
	expect_json(at("paths", "/v1/things", "post", "tags", NULL), "[\"things\"]");
}

Test(api_openapi, it_says_who_may)
{
	expect_json(at("paths", "/v1/things", "get", "x-role", NULL), "\"viewer\"");
	expect_json(at("paths", "/v1/things", "get", "x-everywhere", NULL), "false");
	expect_json(at("paths", "/v1/things", "post", "x-everywhere", NULL), "true");
	expect_json(at("security", NULL), "[{\"key\": []}]");
	cr_expect_null(at("paths", "/v1/things", "get", "security", NULL));
	expect_json(at("paths", "/v1/ping", "get", "security", NULL), "[]");
	cr_expect_null(at("paths", "/v1/ping", "get", "responses", "401", NULL));
}

Test(api_openapi, parameters_are_those_of_path_query_and_flags)
{
	expect_json(
		at("paths", "/v1/tenants/{tenant}/things/{key}:end", "delete", "parameters", NULL),
		"[{\"$ref\": \"#/components/parameters/tenant\"},"
		" {\"name\": \"key\", \"in\": \"path\", \"required\": true, \"schema\":"
		"  {\"type\": \"string\", \"maxLength\": 200,"
		"   \"pattern\": \"^[^\\\\u0000-\\\\u001f\\\\u007f]*$\"}},"
		" {\"$ref\": \"#/components/parameters/dry_run\"},"
		" {\"$ref\": \"#/components/parameters/If-Match\"},"
		" {\"$ref\": \"#/components/parameters/X-Request-Id\"}]");
	expect_json(at("paths", "/v1/things", "get", "parameters", NULL),
				"[{\"name\": \"parent\", \"in\": \"query\", \"schema\": {\"type\": \"string\","
				"  \"minLength\": 1, \"maxLength\": 255, \"x-tenant\": true,"
				"  \"pattern\": \"^[^\\\\u0000-\\\\u001f\\\\u007f]*$\"}},"
				" {\"$ref\": \"#/components/parameters/limit\"},"
				" {\"$ref\": \"#/components/parameters/cursor\"},"
				" {\"$ref\": \"#/components/parameters/X-Request-Id\"}]");
	expect_json(at("components", "parameters", "limit", "schema", NULL),
				"{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 200, \"default\": 50}");
}

Test(api_openapi, bodies_have_types_and_bounds)
{
	json_t *schema = at("paths", "/v1/things", "post", "requestBody", "content",
						"application/json", "schema", NULL);

	expect_json(json_object_get(schema, "required"), "[\"slug\", \"value\"]");
	expect_json(json_object_get(schema, "additionalProperties"), "false");
	expect_json(member("slug"),
				"{\"type\": \"string\", \"maxLength\": 63, \"description\":"
				" \"How people call it.\", \"pattern\": \"^[a-z][a-z0-9_-]{0,62}$\"}");
	expect_json(member("parent"), "{\"type\": [\"string\", \"null\"], \"minLength\": 1,"
								  " \"maxLength\": 255, \"x-tenant\": true,"
								  " \"pattern\": \"^[^\\\\u0000-\\\\u001f\\\\u007f]*$\"}");
	expect_json(member("size"), "{\"type\": [\"string\", \"null\"],"
								" \"enum\": [\"small\", \"large\", null]}");
	expect_json(member("weight"), "{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 100,"
								  " \"default\": 7}");
	expect_json(member("any"), "{\"type\": \"integer\", \"minimum\": -9007199254740992,"
							   " \"maximum\": 9007199254740992}");
	expect_json(member("ratio"), "{\"type\": \"number\", \"minimum\": 0, \"maximum\": 1}");
	expect_json(member("value"), "{}");
	expect_json(
		member("password"),
		"{\"type\": [\"string\", \"null\"], \"minLength\": 8, \"maxLength\": 1000,"
		" \"pattern\": \"^[^\\\\u0000-\\\\u001f\\\\u007f]*$\", \"format\": \"password\","
		" \"writeOnly\": true}");
	expect_json(
		member("script"),
		"{\"type\": \"string\", \"maxLength\": 1000, \"pattern\":"
		" \"^[^\\\\u0000-\\\\u0008\\\\u000b\\\\u000c\\\\u000e-\\\\u001f\\\\u007f]*$\"}");
	expect_json(
		member("inner"),
		"{\"type\": \"object\", \"required\": [\"since\"], \"additionalProperties\": false,"
		" \"properties\": {\"since\": {\"type\": \"string\", \"format\": \"date-time\"}}}");
	cr_expect_eq(json_integer_value(json_object_get(member("words"), "maxItems")), 5);
	cr_expect_eq(json_integer_value(json_object_get(member("labels"), "maxProperties")), 9);
}

Test(api_openapi, answers_are_components_and_pages_of_them)
{
	expect_json(
		at("paths", "/v1/things", "post", "responses", "201", "content", NULL),
		"{\"application/json\": {\"schema\": {\"$ref\": \"#/components/schemas/Thing\"}}}");
	expect_json(at("paths", "/v1/things", "get", "responses", "200", "content", NULL),
				"{\"application/json\": {\"schema\":"
				" {\"$ref\": \"#/components/schemas/ThingPage\"}}}");
	expect_json(
		at("components", "schemas", "Thing", NULL),
		"{\"type\": \"object\", \"required\": [\"id\"], \"additionalProperties\": false,"
		" \"properties\": {\"id\": {\"type\": \"string\", \"format\": \"uuid\"},"
		"  \"note\": {\"type\": [\"string\", \"null\"]}}}");
	expect_json(at("components", "schemas", "ThingPage", "required", NULL),
				"[\"items\", \"next\"]");
	expect_json(at("components", "schemas", "Open", NULL),
				"{\"type\": \"object\", \"additionalProperties\": true}");
	cr_expect_null(at("paths", "/v1/tenants/{tenant}/things/{key}:end", "delete", "responses",
					  "204", "content", NULL));
}

Test(api_openapi, problems_are_those_that_may_come)
{
	json_t *deletes =
		at("paths", "/v1/tenants/{tenant}/things/{key}:end", "delete", "responses", NULL);
	json_t *lists = at("paths", "/v1/things", "get", "responses", NULL);

	expect_json(json_object_get(deletes, "412"),
				"{\"$ref\": \"#/components/responses/PreconditionFailed\"}");
	cr_expect_not_null(json_object_get(deletes, "428"));
	cr_expect_null(json_object_get(deletes, "415"));
	cr_expect_null(json_object_get(lists, "409"));
	cr_expect_null(json_object_get(lists, "412"));
	cr_expect_not_null(json_object_get(lists, "503"));
	expect_json(at("components", "responses", "NotFound", "content", NULL),
				"{\"application/problem+json\": {\"schema\":"
				" {\"$ref\": \"#/components/schemas/Problem\"}}}");
}

/* ---- the table of the program ---- */

static size_t count_of(const char *id)
{
	size_t count = 0;

	for (size_t i = 0; i < api_topic_count; i++)
		for (size_t j = 0; j < api_topics[i]->count; j++)
			count += strcmp(api_topics[i]->routes[j].id, id) == 0;
	return count;
}

static void expect_described(const struct api_route *route)
{
	cr_expect_eq(count_of(route->id), 1, "%s is not the id of one route", route->id);
	cr_expect_not_null(route->summary, "%s has no summary", route->id);
	cr_expect_not_null(route->tag, "%s has no tag", route->id);
	cr_expect(route->answer || (route->flags & API_STREAM) || route->status == 204 ||
				  route->status == 202,
			  "%s does not say what it answers", route->id);
	cr_expect(!(route->flags & API_STREAM) || (route->media && route->media[0]),
			  "%s does not say in which form it answers", route->id);
	cr_expect(route->handler || route->run, "%s is not done by anything", route->id);
}

static void expect_same_schema(const struct api_schema *one, const struct api_schema *other)
{
	if (one && other && strcmp(one->name, other->name) == 0)
		cr_expect(one == other, "two schemas are called %s", one->name);
}

Test(api_openapi, routes_of_the_program_are_described)
{
	for (size_t i = 0; i < api_topic_count; i++)
		for (size_t j = 0; j < api_topics[i]->count; j++) {
			const struct api_route *route = &api_topics[i]->routes[j];

			expect_described(route);
			for (size_t k = 0; k < api_topic_count; k++)
				for (size_t m = 0; m < api_topics[k]->count; m++)
					expect_same_schema(route->answer, api_topics[k]->routes[m].answer);
		}
}

/* Tests run in the project's folder. */
Test(api_openapi, the_file_in_the_tree_is_current)
{
	json_t *now = openapi_document();
	json_t *committed = json_load_file("docs/openapi.json", 0, NULL);

	cr_assert_not_null(now, "a preset in the table of routes is not JSON");
	cr_assert_not_null(committed, "docs/openapi.json is missing or not JSON");
	cr_expect(json_equal(now, committed),
			  "docs/openapi.json is out of date: bulkhead conf --openapi > docs/openapi.json");
	json_decref(now);
	json_decref(committed);
}
