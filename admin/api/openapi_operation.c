#include "admin/api/openapi_operation.h"

#include <stdio.h>
#include <string.h>

#include "admin/api/openapi_problem.h"
#include "admin/api/openapi_schema.h"
#include "base/buf.h"

/* ---- parameters ---- */

/* Headers of requests; the rest of what many routes take is in route.h. */
static const struct api_field headers_taken[] = {
	{.name = "If-Match",
	 .type = API_TEXT,
	 .flags = API_REQUIRED,
	 .doc = "The ETag that the change is based on, or *."},
	{.name = "Idempotency-Key",
	 .type = API_TEXT,
	 .min = 1,
	 .max = 255,
	 .pattern = "^[!-~]+$",
	 .doc = "A request with the same key within a day is not done again: it gets the answer of "
			"the first one."},
	{.name = "X-Request-Id",
	 .type = API_TEXT,
	 .min = 1,
	 .max = 64,
	 .pattern = "^[A-Za-z0-9._-]+$",
	 .doc = "Stands in the audit log; one is made where it is missing."},
	{.name = NULL},
};

static const struct api_field match_of_old = {
	.name = "If-Match",
	.type = API_TEXT,
	.doc = "The ETag of what is replaced, or *; needed where there is something."};

static json_t *parameter(const struct api_field *field, const char *in)
{
	struct api_field bare = *field;
	json_t *one = json_pack("{s:s, s:s}", "name", field->name, "in", in);
	bool ok = one != NULL;

	/* Lists have commas in them. */
	if (ok && strcmp(in, "query") == 0 && field->type == API_ARRAY)
		ok =
			openapi_put_text(one, "style", "form") && openapi_put(one, "explode", json_false());
	bare.doc = NULL;
	ok = ok && (!field->doc || openapi_put_text(one, "description", field->doc)) &&
		 ((!(field->flags & API_REQUIRED) && strcmp(in, "path") != 0) ||
		  openapi_put(one, "required", json_true())) &&
		 openapi_put(one, "schema", openapi_field_schema(&bare, OPENAPI_REQUEST));
	return openapi_made(one, ok);
}

static bool put_parameters(json_t *all, const struct api_field *fields, const char *in)
{
	bool ok = true;

	for (const struct api_field *field = fields; ok && field->name; field++)
		ok = openapi_put(all, field->name, parameter(field, in));
	return ok;
}

json_t *openapi_parameters(void)
{
	json_t *all = json_object();

	return openapi_made(all, all && put_parameters(all, api_tenant_param, "path") &&
								 put_parameters(all, api_page_query, "query") &&
								 put_parameters(all, api_dry_run_query, "query") &&
								 put_parameters(all, headers_taken, "header"));
}

static bool add(json_t *list, json_t *value)
{
	return json_array_append_new(list, value) == 0;
}

static bool add_shared(json_t *list, const char *key)
{
	return add(list, json_pack("{s:s+}", "$ref", "#/components/parameters/", key));
}

static const struct api_field *named(const struct api_field *fields, const char *name,
									 size_t len)
{
	for (const struct api_field *f = fields; f && f->name; f++)
		if (strlen(f->name) == len && memcmp(f->name, name, len) == 0)
			return f;
	return NULL;
}

/* In the order of the path; a name that the route says nothing of is the tenant's. */
static bool add_path_parameters(json_t *list, const struct api_route *route)
{
	const char *at = route->path, *end;

	while ((at = strchr(at, '{')) && (end = strchr(at, '}'))) {
		const struct api_field *field = named(route->params, at + 1, (size_t)(end - at - 1));

		if (!(field ? add(list, parameter(field, "path")) : add_shared(list, "tenant")))
			return false;
		at = end;
	}
	return true;
}

static json_t *parameters(const struct api_route *route)
{
	json_t *list = json_array();
	bool ok = list && add_path_parameters(list, route);

	for (const struct api_field *f = route->query; ok && f && f->name; f++)
		ok = add(list, parameter(f, "query"));
	if (ok && (route->flags & API_PAGED))
		ok = add_shared(list, "limit") && add_shared(list, "cursor");
	if (ok && (route->flags & API_DRY_RUN))
		ok = add_shared(list, "dry_run");
	if (ok && (route->flags & API_IF_MATCH))
		ok = add_shared(list, "If-Match");
	if (ok && (route->flags & API_MAY_MATCH))
		ok = add(list, parameter(&match_of_old, "header"));
	if (ok && strcmp(route->method, "POST") == 0)
		ok = add_shared(list, "Idempotency-Key");
	return openapi_made(list, ok && add_shared(list, "X-Request-Id"));
}

/* ---- body and answer ---- */

static bool any_is_required(const struct api_field *fields)
{
	for (const struct api_field *f = fields; f && f->name; f++)
		if (f->flags & API_REQUIRED)
			return true;
	return false;
}

static json_t *request_body(const struct api_route *route)
{
	json_t *schema = openapi_object_schema(route->body, false, OPENAPI_REQUEST);

	return json_pack("{s:b, s:{s:{s:o}}}", "required", any_is_required(route->body), "content",
					 "application/json", "schema", schema);
}

static json_t *schema_reference(const char *name)
{
	return json_pack("{s:s+}", "$ref", "#/components/schemas/", name);
}

/* Sees to the schema being among the components, and refers to it. */
static json_t *answer_schema(const struct api_schema *answer, json_t *schemas)
{
	if (!json_object_get(schemas, answer->name) &&
		!openapi_put(schemas, answer->name,
					 openapi_object_schema(answer->fields, answer->is_open, OPENAPI_ANSWER)))
		return NULL;
	return schema_reference(answer->name);
}

/* The same of a page of them: NAMEPage. */
static json_t *page_schema(const struct api_schema *answer, json_t *schemas)
{
	struct buf name;
	json_t *items = answer_schema(answer, schemas), *made = NULL;

	buf_init(&name);
	if (items && buf_appendf(&name, "%sPage", answer->name) && buf_append_byte(&name, '\0')) {
		const char *key = (const char *)buf_data(&name);

		if (json_object_get(schemas, key) ||
			openapi_put(schemas, key,
						json_pack("{s:s, s:[ss], s:{s:{s:s, s:O}, s:{s:[ss], s:s}}, s:b}",
								  "type", "object", "required", "items", "next", "properties",
								  "items", "type", "array", "items", items, "next", "type",
								  "string", "null", "description",
								  "The cursor of the next page; null on the last one.",
								  "additionalProperties", 0)))
			made = schema_reference(key);
	}
	buf_fini(&name);
	json_decref(items);
	return made;
}

static json_t *header_reference(const char *name)
{
	return json_pack("{s:s+}", "$ref", "#/components/headers/", name);
}

static json_t *answer_headers(const struct api_route *route, int status)
{
	json_t *headers = json_object();
	bool ok = headers && openapi_put(headers, "X-Request-Id", header_reference("X-Request-Id"));

	if (ok && route->answer && !(route->flags & (API_PAGED | API_STREAM)))
		ok = openapi_put(headers, "ETag", header_reference("ETag"));
	if (ok && (status == 201 || status == 202))
		ok = openapi_put(headers, "Location", header_reference("Location"));
	if (ok && strcmp(route->method, "POST") == 0)
		ok = openapi_put(headers, "Idempotent-Replayed",
						 header_reference("Idempotent-Replayed"));
	if (ok && (route->flags & API_DRY_RUN))
		ok = openapi_put(headers, "Dry-Run", header_reference("Dry-Run"));
	return openapi_made(headers, ok);
}

static const char *answer_doc(int status)
{
	switch (status) {
	case 201:
		return "It was made.";
	case 202:
		return "It was begun; Location says where to look how it goes.";
	case 204:
		return "It was done; there is nothing to say of it.";
	default:
		return "What was asked for.";
	}
}

static json_t *stream_content(const struct api_route *route)
{
	json_t *content = json_object();
	bool ok = content && route->media;

	for (size_t i = 0; ok && route->media[i]; i++)
		ok = openapi_put(content, route->media[i],
						 json_pack("{s:{s:s}}", "schema", "type", "string"));
	return openapi_made(content, ok);
}

static json_t *answer_content(const struct api_route *route, json_t *schemas)
{
	json_t *schema;

	if (route->flags & API_STREAM)
		return stream_content(route);
	schema = route->flags & API_PAGED ? page_schema(route->answer, schemas)
									  : answer_schema(route->answer, schemas);
	return json_pack("{s:{s:o}}", "application/json", "schema", schema);
}

static json_t *responses(const struct api_route *route, json_t *schemas)
{
	int status = route->status ? route->status : 200;
	json_t *all = json_object();
	json_t *good = json_pack("{s:s, s:o}", "description", answer_doc(status), "headers",
							 answer_headers(route, status));
	char key[16];
	bool ok = all && good;

	snprintf(key, sizeof key, "%d", status);
	if (ok && (route->answer || (route->flags & API_STREAM)))
		ok = openapi_put(good, "content", answer_content(route, schemas));
	ok = openapi_put(all, key, good) && ok;
	return openapi_made(all, ok && openapi_put_problems(all, route));
}

json_t *openapi_headers(void)
{
	static const struct {
		const char *name, *doc;
	} headers[] = {
		{"ETag", "For If-Match of a later change of it."},
		{"Location", "The path of what was made or begun."},
		{"X-Request-Id", "The request's own, or one that was made for it."},
		{"Idempotent-Replayed", "true: this is the answer of an earlier request."},
		{"Dry-Run", "true: nothing was done."},
		{"WWW-Authenticate", "Bearer"},
		{"Retry-After", "After how many seconds to ask again."},
	};
	json_t *all = json_object();
	bool ok = all != NULL;

	for (size_t i = 0; ok && i < sizeof headers / sizeof *headers; i++)
		ok = openapi_put(all, headers[i].name,
						 json_pack("{s:s, s:{s:s}}", "description", headers[i].doc, "schema",
								   "type", "string"));
	return openapi_made(all, ok);
}

/* ---- the operation ---- */

const char *openapi_role(enum api_role role)
{
	switch (role) {
	case API_ANYONE:
		return "anyone";
	case API_VIEWER:
		return "viewer";
	case API_EDITOR:
		return "editor";
	case API_ADMIN:
		return "admin";
	case API_OPERATOR:
		return "operator";
	}
	return "operator";
}

/* What the route says of itself, and who may. */
static json_t *description(const struct api_route *route)
{
	struct buf text;
	json_t *made = NULL;
	bool ok = true;

	buf_init(&text);
	if (route->doc)
		ok = buf_appendf(&text, "%s\n\n", route->doc);
	if (ok && route->role == API_ANYONE)
		ok = buf_appendf(&text, "Needs no API key.");
	else if (ok)
		ok = buf_appendf(&text, "Role: %s%s%s.", openapi_role(route->role),
						 route->role == API_OPERATOR ? "" : " or higher",
						 route->flags & API_EVERYWHERE ? ", with a key of the whole tree" : "");
	if (ok)
		made = json_stringn((const char *)buf_data(&text), buf_len(&text));
	buf_fini(&text);
	return made;
}

json_t *openapi_operation(const struct api_route *route, json_t *schemas)
{
	json_t *one = json_object();
	bool ok =
		one && openapi_put_text(one, "operationId", route->id) &&
		(!route->tag || openapi_put(one, "tags", json_pack("[s]", route->tag))) &&
		openapi_put_text(one, "summary", route->summary) &&
		openapi_put(one, "description", description(route)) &&
		openapi_put_text(one, "x-role", openapi_role(route->role)) &&
		openapi_put(one, "x-everywhere", json_boolean((route->flags & API_EVERYWHERE) != 0)) &&
		(route->role != API_ANYONE || openapi_put(one, "security", json_array())) &&
		openapi_put(one, "parameters", parameters(route)) &&
		(!route->body || openapi_put(one, "requestBody", request_body(route))) &&
		openapi_put(one, "responses", responses(route, schemas));

	return openapi_made(one, ok);
}
