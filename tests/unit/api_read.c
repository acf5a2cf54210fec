/* How the admin API reads: JSON and where in it something is wrong, queries, paths. */
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "admin/api/match.h"
#include "admin/api/read_json.h"
#include "admin/api/validate.h"

static void refuses(const char *text, const char *field, const char *detail)
{
	struct api_fault fault = {"", ""};
	json_t *value = api_read_json(text, strlen(text), &fault);

	cr_assert_null(value, "%s", text);
	cr_expect_str_eq(fault.field, field, "%s: %s", text, fault.field);
	cr_expect_str_eq(fault.detail, detail, "%s: %s", text, fault.detail);
}

Test(api_read, names_the_field_that_is_wrong)
{
	refuses("{\"a\": 1, \"a\": 2}", "body.a", "this name occurs twice");
	refuses("{\"a\": {\"b\": [1, 1e999]}}", "body.a.b[1]", "this number is too large");
	refuses("{\"a\": {\"b\": \"\\u0000\"}}", "body.a.b", "NUL is not allowed");
	refuses("{\"a\": \"\xff\"}", "body.a", "this is not UTF-8");
	refuses("{\"a\": nope}", "body.a", "this is not JSON");
	refuses("{\"a\": 1", "body.a", "the JSON ends too early");
	refuses("", "body", "the JSON ends too early");
}

Test(api_read, bounds_the_depth)
{
	char text[200] = "";

	memset(text, '[', API_JSON_DEPTH + 1);
	struct api_fault fault;
	cr_assert_null(api_read_json(text, strlen(text), &fault));
	cr_expect_str_eq(fault.detail, "this is deeper than 32 levels");
	memset(text + API_JSON_DEPTH, ']', API_JSON_DEPTH);
	json_t *value = api_read_json(text, strlen(text), &fault);
	cr_assert_not_null(value);
	json_decref(value);
}

Test(api_read, blanks_between_values_go_and_no_others)
{
	char text[] = "{\"a b\" : [1, \"x \\\" , y\\\\\", true ],\n \"c\" : \"\\\\\" }";

	api_json_compact(text);
	cr_expect_str_eq(text, "{\"a b\":[1,\"x \\\" , y\\\\\",true],\"c\":\"\\\\\"}");
}

Test(api_read, a_query_says_everything_once)
{
	const char *fault;
	char field[80];
	json_t *query = api_query("a=1&b=x+y%2B%C3%A9&c", field, &fault);

	cr_assert_not_null(query);
	cr_expect_str_eq(json_string_value(json_object_get(query, "a")), "1");
	cr_expect_str_eq(json_string_value(json_object_get(query, "b")), "x y+\xc3\xa9");
	cr_expect_str_eq(json_string_value(json_object_get(query, "c")), "");
	json_decref(query);

	static const char *const bad[] = {"a=1&a=2", "a=%00", "a=%",  "a=%2",
									  "a=%ff",   "%0a=1", "a=%zz"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		cr_expect_null(api_query(bad[i], field, &fault), "%s", bad[i]);
}

static enum api_match match(const char *method, const char *path, const char **tenant)
{
	const struct api_route *route;
	static json_t *params;

	json_decref(params);
	params = NULL;
	enum api_match found = api_match(method, path, &route, &params);
	*tenant = json_string_value(json_object_get(params, "tenant"));
	return found;
}

Test(api_read, paths_are_compared_as_they_are_written)
{
	const char *tenant;

	cr_expect_eq(match("GET", "/v1/tenants/acme", &tenant), API_MATCHED);
	cr_expect_str_eq(tenant, "acme");
	cr_expect_eq(match("POST", "/v1/tenants/acme:suspend", &tenant), API_MATCHED);
	cr_expect_str_eq(tenant, "acme");
	cr_expect_eq(match("POST", "/v1/tenants/a%3Ab%2Fc:suspend", &tenant), API_MATCHED);
	cr_expect_str_eq(tenant, "a:b/c");
	cr_expect_eq(match("GET", "/v1/tenants/acme:suspend", &tenant), API_NO_METHOD);
	cr_expect_eq(match("GET", "/v1/tenants/%00", &tenant), API_BAD_PATH);
	cr_expect_eq(match("GET", "/v1/tenants/%ff", &tenant), API_BAD_PATH);

	static const char *const none[] = {
		"/v1/tenants/",
		"/v1//tenants",
		"/v1/tenants/acme/",
		"/V1/tenants",
		"/v1/tenants%2Facme",
		"/v1/%74enants",
		"/v1/./tenants",
		"/v1/x/../tenants",
		"/v1/tenants/acme:nothing",
		"/v1/tenants/a:b:c",
		"/v1/tenants/acme%3Asuspend:x",
		"v1/tenants",
		"",
		"/",
	};
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		cr_expect_eq(match("GET", none[i], &tenant), API_NO_PATH, "%s", none[i]);
	/* Encoded, the verb is a part of the word. */
	cr_expect_eq(match("GET", "/v1/tenants/acme%3Asuspend", &tenant), API_MATCHED);
	cr_expect_str_eq(tenant, "acme:suspend");
}

Test(api_read, values_are_of_their_types)
{
	static const struct api_field fields[] = {
		{.name = "n", .type = API_INTEGER, .min = 1, .max = 3},
		{.name = "b", .type = API_BOOLEAN},
		{.name = "t", .type = API_TEXT, .flags = API_REQUIRED, .max = 2, .pattern = "^[a-z]+$"},
		{.name = "p", .type = API_INTEGER, .preset = "7"},
		{.name = NULL}};
	struct api_findings findings = {json_array(), json_object(), false};
	json_t *object = json_pack("{s:s, s:s, s:s}", "n", "2", "b", "true", "t", "ab");

	cr_expect(api_validate_texts(object, fields, "query", &findings));
	cr_expect_eq(json_integer_value(json_object_get(object, "n")), 2);
	cr_expect(json_is_true(json_object_get(object, "b")));
	cr_expect_eq(json_integer_value(json_object_get(object, "p")), 7);
	json_decref(object);

	object = json_pack("{s:i, s:s, s:s, s:i}", "n", 4, "b", "true", "t", "abc", "x", 1);
	cr_expect_not(api_validate(object, fields, "body", &findings));
	cr_expect_eq(json_array_size(findings.faults), 4);
	json_decref(object);
	json_decref(findings.faults);
	json_decref(findings.tenants);
}
