/*
 * Any method and target of a request: a route is found for a path that has its parts and no
 * other, its parameters are readable texts that lead to it again, and of a query every
 * parameter is one of the route's, once.
 *
 * The input is METHOD SPACE PATH, or METHOD SPACE PATH?QUERY.
 */
#include <stdlib.h>
#include <string.h>

#include "admin/api/match.h"
#include "base/buf.h"
#include "tests/fuzz/api_table.h"
#include "tests/fuzz/fuzz.h"

static size_t slashes(const char *path)
{
	size_t count = 0;

	for (; *path; path++)
		count += *path == '/';
	return count;
}

static void check_texts(json_t *texts)
{
	const char *name;
	json_t *value;

	json_object_foreach(texts, name, value)
	{
		require(json_is_string(value));
		require(json_string_length(value) == strlen(json_string_value(value)));
		require(!*json_string_value(value) || table_is_tellable(json_string_value(value)));
	}
}

/* The path of a route with every byte of its parameters encoded. */
static void write_path(const struct api_route *route, json_t *params, struct buf *out)
{
	for (const char *at = route->path; *at; at++) {
		const char *end = *at == '{' ? strchr(at, '}') : NULL;
		char name[32];

		if (!end) {
			require(buf_append_byte(out, (uint8_t)*at));
			continue;
		}
		snprintf(name, sizeof name, "%.*s", (int)(end - at - 1), at + 1);
		const char *value = json_string_value(json_object_get(params, name));
		require(value && *value);
		for (; *value; value++)
			require(buf_appendf(out, "%%%02x", (unsigned char)*value));
		at = end;
	}
	require(buf_append_byte(out, '\0'));
}

static void check_matched(const char *method, const char *path, const struct api_route *route,
						  json_t *params)
{
	const struct api_route *again = NULL;
	json_t *same = NULL;
	struct buf written;

	require(strcmp(route->method, method) == 0);
	require(slashes(path) == slashes(route->path));
	check_texts(params);
	buf_init(&written);
	write_path(route, params, &written);
	require(api_match(method, (const char *)buf_data(&written), &again, &same) == API_MATCHED);
	require(again == route && json_equal(same, params));
	json_decref(same);
	buf_fini(&written);
}

static void check_query(const char *query, const struct api_field *fields)
{
	char field[80];
	const char *fault = NULL;
	json_t *params = api_query(query, field, &fault);
	struct api_findings findings = {json_array(), json_object(), false};

	require((params == NULL) == (fault != NULL));
	require(table_is_tellable(field) && strncmp(field, "query", 5) == 0);
	if (params) {
		require(json_object_size(params) <= API_QUERY_MAX);
		check_texts(params);
		table_check_findings(&findings, "query.",
							 api_validate_texts(params, fields, "query", &findings));
	} else {
		json_decref(findings.faults);
		json_decref(findings.tenants);
	}
	json_decref(params);
}

static void check_target(const char *method, const char *path, const char *query)
{
	const struct api_route *route = NULL;
	json_t *params = NULL;
	char methods[64] = "";

	api_match_methods(path, methods, sizeof methods);
	switch (api_match(method, path, &route, &params)) {
	case API_MATCHED:
		check_matched(method, path, route, params);
		require(strstr(methods, method));
		check_query(query, route->query);
		break;
	case API_NO_PATH:
		require(!*methods);
		break;
	case API_NO_METHOD:
		require(*methods && route && strcmp(route->method, method) != 0);
		break;
	case API_BAD_PATH:
		require(strchr(path, '%') || !table_is_tellable(path));
		break;
	}
	json_decref(params);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *path, *query;

	require(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	path = strchr(text, ' ');
	if (path) {
		*path++ = '\0';
		query = strchr(path, '?');
		if (query)
			*query++ = '\0';
		check_target(text, path, query);
	}
	free(text);
	return 0;
}
