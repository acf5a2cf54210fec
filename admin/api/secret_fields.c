#include "admin/api/secret_fields.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/secret.h"

static const struct api_field *find_field(const struct api_field *fields, const char *name)
{
	for (; fields && fields->name; fields++) {
		if (strcmp(fields->name, name) == 0)
			return fields;
	}
	return NULL;
}

/* Where null means "none", that there is none is to be known. */
static bool is_secret(const json_t *value, const struct api_field *field)
{
	return (field->flags & API_SECRET) &&
		   !(json_is_null(value) && (field->flags & API_NULLABLE));
}

static json_t *strip_object(json_t *object, const struct api_field *fields);

static json_t *strip_array(json_t *array, const struct api_field *element);

/* A new reference. */
static json_t *strip(json_t *value, const struct api_field *field)
{
	if (field->type == API_OBJECT && json_is_object(value))
		return strip_object(value, field->fields);
	if (field->type == API_ARRAY && json_is_array(value))
		return strip_array(value, field->fields);
	return json_incref(value);
}

static json_t *strip_array(json_t *array, const struct api_field *element)
{
	json_t *stripped = json_array(), *value;
	bool done = stripped != NULL;
	size_t index;

	json_array_foreach(array, index, value) done =
		done && json_array_append_new(stripped, strip(value, element)) == 0;
	if (done)
		return stripped;
	json_decref(stripped);
	return NULL;
}

static json_t *strip_object(json_t *object, const struct api_field *fields)
{
	json_t *stripped = json_object(), *value;
	bool done = stripped != NULL;
	const char *name;

	json_object_foreach(object, name, value)
	{
		const struct api_field *field = find_field(fields, name);

		if (done && field && !is_secret(value, field))
			done = json_object_set_new(stripped, name, strip(value, field)) == 0;
	}
	if (done)
		return stripped;
	json_decref(stripped);
	return NULL;
}

json_t *api_without_secrets(json_t *request, const struct api_field *fields)
{
	json_t *told = json_copy(request), *body = json_object_get(request, "body");

	if (told && json_is_object(body) &&
		json_object_set_new(told, "body", strip_object(body, fields)) != 0) {
		json_decref(told);
		return NULL;
	}
	return told;
}

/* jansson keeps texts in memory of their own. */
void api_wipe(json_t *value)
{
	size_t index;
	const char *name;
	json_t *member;

	switch (json_typeof(value)) {
	case JSON_STRING:
		secret_wipe((void *)(uintptr_t)json_string_value(value), json_string_length(value));
		break;
	case JSON_ARRAY:
		json_array_foreach(value, index, member) api_wipe(member);
		break;
	case JSON_OBJECT:
		json_object_foreach(value, name, member) api_wipe(member);
		break;
	case JSON_INTEGER:
		json_integer_set(value, 0);
		break;
	case JSON_REAL:
		json_real_set(value, 0);
		break;
	case JSON_TRUE:
	case JSON_FALSE:
	case JSON_NULL:
		break;
	}
}
