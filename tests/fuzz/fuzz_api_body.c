/*
 * Any bytes as the body of a request: what is read says nothing that the bytes did not, what is
 * refused is said where; what passes a route's fields has them all, no others, and passes them
 * again.
 */
#include <stdlib.h>
#include <string.h>

#include "admin/api/read_json.h"
#include "base/utf8.h"
#include "tests/fuzz/api_table.h"
#include "tests/fuzz/fuzz.h"

static size_t depth_of(const json_t *value)
{
	size_t deepest = 0, i;
	const char *name;
	json_t *member;

	if (!json_is_array(value) && !json_is_object(value))
		return 0;
	json_array_foreach(value, i, member)
	{
		size_t depth = depth_of(member);
		deepest = depth > deepest ? depth : deepest;
	}
	json_object_foreach((json_t *)value, name, member)
	{
		size_t depth = depth_of(member);
		deepest = depth > deepest ? depth : deepest;
	}
	return deepest + 1;
}

static bool is_known(const char *name)
{
	for (const struct api_field *field = table_body; field->name; field++) {
		if (strcmp(field->name, name) == 0)
			return true;
	}
	return false;
}

static void check_good(json_t *body)
{
	struct api_findings again = {json_array(), json_object(), false};
	json_t *copy = json_deep_copy(body), *value;
	const char *name;

	require(copy && json_is_string(json_object_get(body, "slug")));
	require(json_is_boolean(json_object_get(body, "yes")));
	require(json_is_integer(json_object_get(body, "weight")));
	json_object_foreach(body, name, value) require(is_known(name));
	table_check_findings(&again, "body", api_validate(copy, table_body, "body", &again));
	require(json_equal(copy, body));
	json_decref(copy);
}

static void check_read(json_t *body)
{
	struct api_findings findings = {json_array(), json_object(), false};
	char *written = json_dumps(body, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
	struct api_fault fault;
	json_t *again = written ? api_read_json(written, strlen(written), &fault) : NULL;
	bool good;

	require(depth_of(body) <= API_JSON_DEPTH);
	require(json_equal(body, again));
	good = api_validate(body, table_body, "body", &findings);
	table_check_findings(&findings, "body", good);
	if (good)
		check_good(body);
	json_decref(again);
	free(written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct api_fault fault = {"", ""};
	json_t *body = api_read_json((const char *)data, size, &fault);

	if (body) {
		require(utf8_valid((const char *)data, size));
		require(!memchr(data, '\0', size));
		check_read(body);
		json_decref(body);
	} else {
		require(strncmp(fault.field, "body", 4) == 0 && table_is_tellable(fault.field));
		require(table_is_tellable(fault.detail));
	}
	return 0;
}
