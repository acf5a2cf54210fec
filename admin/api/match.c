#include "admin/api/match.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/utf8.h"

#define FIELD_SIZE 80

static bool decode_byte(const char *text, size_t left, unsigned char *out)
{
	return left >= 3 && hex_decode(text + 1, 2, out);
}

json_t *api_decode(const char *text, size_t len, bool plus)
{
	unsigned char *bytes = malloc(len + 1);
	size_t count = 0;
	bool good = bytes != NULL;
	json_t *decoded = NULL;

	for (size_t i = 0; good && i < len; i++) {
		unsigned char byte = (unsigned char)text[i];

		if (byte == '%') {
			good = decode_byte(text + i, len - i, &byte);
			i += 2;
		} else if (byte == '+' && plus) {
			byte = ' ';
		}
		good = good && byte >= 0x20 && byte != 0x7f;
		bytes[count++] = byte;
	}
	if (good && utf8_valid((const char *)bytes, count))
		decoded = json_stringn((const char *)bytes, count);
	free(bytes);
	return decoded;
}

/* ---- paths ---- */

/* The length of the segment that begins here: up to a slash or the end. */
static size_t segment_len(const char *path)
{
	return strcspn(path, "/");
}

/*
 * One segment of a route's path against one of a request's. `name` is empty where it is a
 * constant; else what stands for the parameter is in *value, *len.
 */
struct segment {
	const char *name, *value;
	size_t name_len, len;
};

static bool match_segment(const char *pattern, size_t pattern_len, const char *text, size_t len,
						  struct segment *out)
{
	const char *end = memchr(pattern, '}', pattern_len);

	*out = (struct segment){.name = NULL};
	if (*pattern != '{' || !end)
		return pattern_len == len && memcmp(pattern, text, len) == 0;
	/* What stands behind it is the verb. */
	size_t verb_len = pattern_len - (size_t)(end + 1 - pattern);
	if (len <= verb_len || memcmp(text + len - verb_len, end + 1, verb_len) != 0)
		return false;
	out->name = pattern + 1;
	out->name_len = (size_t)(end - pattern) - 1;
	out->value = text;
	out->len = len - verb_len;
	/* A verb that no pattern names is no part of a parameter. */
	return memchr(out->value, ':', out->len) == NULL;
}

/* With `params` also decodes; *good is false when that cannot be done. */
static bool match_path(const char *pattern, const char *path, json_t *params, bool *good)
{
	struct segment segment;

	while (*pattern == '/' && *path == '/') {
		size_t pattern_len = segment_len(++pattern), len = segment_len(++path);

		if (!match_segment(pattern, pattern_len, path, len, &segment))
			return false;
		if (segment.name && params) {
			char name[32];

			snprintf(name, sizeof name, "%.*s", (int)segment.name_len, segment.name);
			*good = json_object_set_new(params, name,
										api_decode(segment.value, segment.len, false)) == 0 &&
					*good;
		}
		pattern += pattern_len;
		path += len;
	}
	return !*pattern && !*path;
}

typedef bool (*route_visitor)(const struct api_route *route, void *arg);

/* Visits the routes of this path until one visit says false. */
static void each_route(const char *path, route_visitor visit, void *arg)
{
	for (size_t i = 0; i < api_topic_count; i++) {
		for (size_t j = 0; j < api_topics[i]->count; j++) {
			const struct api_route *route = &api_topics[i]->routes[j];

			if (match_path(route->path, path, NULL, NULL) && !visit(route, arg))
				return;
		}
	}
}

struct search {
	const char *method;
	const struct api_route *found;
	bool exact;
};

static bool visit_search(const struct api_route *route, void *arg)
{
	struct search *search = arg;

	search->found = route;
	search->exact = strcmp(route->method, search->method) == 0;
	return !search->exact;
}

enum api_match api_match(const char *method, const char *path, const struct api_route **route,
						 json_t **params)
{
	struct search search = {.method = method};
	bool good = true;

	each_route(path, visit_search, &search);
	*route = search.found;
	if (!search.found)
		return API_NO_PATH;
	if (!search.exact)
		return API_NO_METHOD;
	*params = json_object();
	if (!*params)
		return API_BAD_PATH;
	match_path(search.found->path, path, *params, &good);
	if (good)
		return API_MATCHED;
	json_decref(*params);
	*params = NULL;
	return API_BAD_PATH;
}

struct methods {
	char *out;
	size_t size;
};

static bool visit_methods(const struct api_route *route, void *arg)
{
	struct methods *methods = arg;
	size_t len = strlen(methods->out);

	snprintf(methods->out + len, methods->size - len, "%s%s", len ? ", " : "", route->method);
	return true;
}

void api_match_methods(const char *path, char *out, size_t size)
{
	struct methods methods = {out, size};

	*out = '\0';
	each_route(path, visit_methods, &methods);
}

/* ---- queries ---- */

static const char *take_parameter(json_t *params, const char *text, size_t len, char *field)
{
	const char *equals = memchr(text, '=', len);
	size_t name_len = equals ? (size_t)(equals - text) : len;
	json_t *name = api_decode(text, name_len, true), *value;
	const char *fault = NULL;

	if (!name)
		return "its name is not readable";
	snprintf(field, FIELD_SIZE, "query.%.60s", json_string_value(name));
	/* What is cut must not lose a part of a character. */
	while (!utf8_valid(field, strlen(field)))
		field[strlen(field) - 1] = '\0';
	value = equals ? api_decode(equals + 1, len - name_len - 1, true) : json_string("");
	if (!value)
		fault = "its value is not UTF-8, or holds control characters";
	else if (json_object_get(params, json_string_value(name)))
		fault = "it is given twice";
	else if (json_object_set(params, json_string_value(name), value) != 0)
		fault = "it is not readable";
	json_decref(value);
	json_decref(name);
	return fault;
}

json_t *api_query(const char *query, char *field, const char **fault)
{
	json_t *params = json_object();
	size_t count = 0;

	snprintf(field, FIELD_SIZE, "query");
	*fault = params ? NULL : "it is not readable";
	while (query && *query && !*fault) {
		size_t len = strcspn(query, "&");

		if (len && ++count > API_QUERY_MAX)
			*fault = "there are too many parameters";
		else if (len)
			*fault = take_parameter(params, query, len, field);
		query += len + (query[len] == '&');
	}
	if (!*fault)
		return params;
	json_decref(params);
	return NULL;
}
