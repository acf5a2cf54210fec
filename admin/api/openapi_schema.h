/*
 * openapi_schema.h: JSON Schema (2020-12, as OpenAPI 3.1 takes it) of a route's fields.
 *
 * NULL comes back when memory ran out; what is made is the caller's.
 */
#ifndef ADMIN_API_OPENAPI_SCHEMA_H
#define ADMIN_API_OPENAPI_SCHEMA_H

#include <stdbool.h>

#include "admin/api/route.h"

/* Of what is asked, bounds hold that a field has without saying so; of what is answered, none.
 */
enum openapi_side { OPENAPI_REQUEST, OPENAPI_ANSWER };

json_t *openapi_field_schema(const struct api_field *field, enum openapi_side side);

/* An object of these members; with is_open, of others too. `fields` may be NULL: of none. */
json_t *openapi_object_schema(const struct api_field *fields, bool is_open,
							  enum openapi_side side);

/* Sets a member; false when memory ran out, also where that left no value. Takes the value. */
bool openapi_put(json_t *object, const char *name, json_t *value);
bool openapi_put_text(json_t *object, const char *name, const char *text);

/* The value, or NULL in its place when something of it could not be made. */
json_t *openapi_made(json_t *value, bool is_whole);

#endif
