#include "admin/api/openapi_schema.h"

#include <string.h>

/* What a field may be that says nothing of it; validate.c holds requests to the same. */
enum {
	TEXT_MAX = 1000,
	TENANT_WORD_MAX = 255,
	ELEMENTS_MAX = 1000,
	MEMBERS_MAX = 100,
};
#define INTEGER_MAX (INT64_C(1) << 53)

#define NO_CONTROLS "^[^\\u0000-\\u001f\\u007f]*$"
#define ONLY_LINES  "^[^\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f]*$"

bool openapi_put(json_t *object, const char *name, json_t *value)
{
	return json_object_set_new(object, name, value) == 0;
}

bool openapi_put_text(json_t *object, const char *name, const char *text)
{
	return openapi_put(object, name, json_string(text));
}

json_t *openapi_made(json_t *value, bool is_whole)
{
	if (is_whole)
		return value;
	json_decref(value);
	return NULL;
}

/* Null is a type of its own beside the other one. */
static bool put_type(json_t *schema, const struct api_field *field, const char *type)
{
	if (!(field->flags & API_NULLABLE))
		return openapi_put_text(schema, "type", type);
	return openapi_put(schema, "type", json_pack("[ss]", type, "null"));
}

static bool put_number(json_t *schema, const char *name, int64_t value)
{
	return openapi_put(schema, name, json_integer(value));
}

static bool put_choices(json_t *schema, const struct api_field *field)
{
	json_t *list;
	bool ok;

	if (!field->choices)
		return true;
	list = json_array();
	ok = list != NULL;
	for (size_t i = 0; ok && field->choices[i]; i++)
		ok = json_array_append_new(list, json_string(field->choices[i])) == 0;
	if (ok && (field->flags & API_NULLABLE))
		ok = json_array_append_new(list, json_null()) == 0;
	return openapi_put(schema, "enum", openapi_made(list, ok));
}

static bool put_text(json_t *schema, const struct api_field *field, enum openapi_side side)
{
	bool is_bounded = side == OPENAPI_REQUEST && !field->choices;
	int64_t max = field->max > 0 ? field->max : is_bounded ? TEXT_MAX : 0;
	const char *pattern = field->pattern;

	if (is_bounded && !pattern)
		pattern = field->flags & API_LINES ? ONLY_LINES : NO_CONTROLS;
	return put_type(schema, field, "string") && put_choices(schema, field) &&
		   (field->min <= 0 || put_number(schema, "minLength", field->min)) &&
		   (max <= 0 || put_number(schema, "maxLength", max)) &&
		   (!pattern || openapi_put_text(schema, "pattern", pattern)) &&
		   (!(field->flags & API_SECRET) ||
			(openapi_put_text(schema, "format", "password") &&
			 (side == OPENAPI_ANSWER || openapi_put(schema, "writeOnly", json_true()))));
}

static bool put_tenant_word(json_t *schema, const struct api_field *field,
							enum openapi_side side)
{
	return put_type(schema, field, "string") &&
		   (side == OPENAPI_ANSWER || (put_number(schema, "minLength", 1) &&
									   put_number(schema, "maxLength", TENANT_WORD_MAX) &&
									   openapi_put_text(schema, "pattern", NO_CONTROLS) &&
									   openapi_put(schema, "x-tenant", json_true())));
}

static bool put_integer(json_t *schema, const struct api_field *field, enum openapi_side side)
{
	bool is_bounded = field->min != 0 || field->max != 0;
	int64_t min = is_bounded ? field->min : -INTEGER_MAX;
	int64_t max = is_bounded ? field->max : INTEGER_MAX;

	if (!put_type(schema, field, "integer"))
		return false;
	return (side == OPENAPI_ANSWER && !is_bounded) ||
		   (put_number(schema, "minimum", min) && put_number(schema, "maximum", max));
}

static bool put_float(json_t *schema, const struct api_field *field)
{
	return put_type(schema, field, "number") && ((field->min == 0 && field->max == 0) ||
												 (put_number(schema, "minimum", field->min) &&
												  put_number(schema, "maximum", field->max)));
}

/* A text that its format alone describes. */
static bool put_formatted(json_t *schema, const struct api_field *field, const char *format)
{
	return put_type(schema, field, "string") && openapi_put_text(schema, "format", format);
}

static bool put_object(json_t *schema, const struct api_field *fields, bool is_open,
					   enum openapi_side side)
{
	json_t *members = json_object(), *required = json_array();
	bool ok = members && required;

	for (const struct api_field *f = fields; ok && f && f->name; f++) {
		ok = openapi_put(members, f->name, openapi_field_schema(f, side));
		if (ok && (f->flags & API_REQUIRED))
			ok = json_array_append_new(required, json_string(f->name)) == 0;
	}
	if (ok && json_array_size(required) > 0)
		ok = json_object_set(schema, "required", required) == 0;
	if (ok && json_object_size(members) > 0)
		ok = json_object_set(schema, "properties", members) == 0;
	json_decref(members);
	json_decref(required);
	return ok && openapi_put(schema, "additionalProperties", json_boolean(is_open));
}

static bool put_array(json_t *schema, const struct api_field *field, enum openapi_side side)
{
	int64_t max = field->max > 0 ? field->max : side == OPENAPI_REQUEST ? ELEMENTS_MAX : 0;

	return put_type(schema, field, "array") &&
		   openapi_put(schema, "items",
					   field->fields ? openapi_field_schema(field->fields, side)
									 : json_object()) &&
		   (field->min <= 0 || put_number(schema, "minItems", field->min)) &&
		   (max <= 0 || put_number(schema, "maxItems", max));
}

static bool put_map(json_t *schema, const struct api_field *field, enum openapi_side side)
{
	int64_t max = field->max > 0 ? field->max : side == OPENAPI_REQUEST ? MEMBERS_MAX : 0;

	return put_type(schema, field, "object") &&
		   openapi_put(schema, "additionalProperties",
					   field->fields ? openapi_field_schema(field->fields, side)
									 : json_true()) &&
		   (field->min <= 0 || put_number(schema, "minProperties", field->min)) &&
		   (max <= 0 || put_number(schema, "maxProperties", max));
}

static bool put_field(json_t *schema, const struct api_field *field, enum openapi_side side)
{
	switch (field->type) {
	case API_TEXT:
		return put_text(schema, field, side);
	case API_TENANT_WORD:
		return put_tenant_word(schema, field, side);
	case API_UUID:
		return put_formatted(schema, field, "uuid");
	case API_INTEGER:
		return put_integer(schema, field, side);
	case API_NUMBER:
		return put_float(schema, field);
	case API_BOOLEAN:
		return put_type(schema, field, "boolean");
	case API_TIME:
		return put_formatted(schema, field, "date-time");
	case API_JSON:
		return true; /* anything */
	case API_OBJECT:
		return put_type(schema, field, "object") &&
			   put_object(schema, field->fields, side == OPENAPI_ANSWER && !field->fields,
						  side);
	case API_ARRAY:
		return put_array(schema, field, side);
	case API_MAP:
		return put_map(schema, field, side);
	}
	return false;
}

json_t *openapi_field_schema(const struct api_field *field, enum openapi_side side)
{
	json_t *schema = json_object();
	bool ok =
		schema && put_field(schema, field, side) &&
		(!field->preset ||
		 openapi_put(schema, "default", json_loads(field->preset, JSON_DECODE_ANY, NULL))) &&
		(!field->doc || openapi_put_text(schema, "description", field->doc));

	return openapi_made(schema, ok);
}

json_t *openapi_object_schema(const struct api_field *fields, bool is_open,
							  enum openapi_side side)
{
	json_t *schema = json_object();

	return openapi_made(schema, schema && openapi_put_text(schema, "type", "object") &&
									put_object(schema, fields, is_open, side));
}
