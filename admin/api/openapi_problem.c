#include "admin/api/openapi_problem.h"

#include <stdio.h>
#include <string.h>

#include "admin/api/openapi_schema.h"

/* When a route may answer so. */
enum when { ALWAYS, WITH_KEY, WITH_NAMES, WITH_CHANGE, WITH_CONDITION, WITH_BODY };

static const struct problem {
	int status;
	enum when when;
	const char *name;   /* under components/responses */
	const char *header; /* that comes with it, or NULL */
	const char *doc;
} problems[] = {
	{400, ALWAYS, "BadRequest", NULL,
	 "The request is not as it must be; errors names each field."},
	{401, WITH_KEY, "Unauthorized", "WWW-Authenticate", "There is no valid API key with it."},
	{403, WITH_KEY, "Forbidden", NULL, "The API key may not do this, or not from here or now."},
	{404, WITH_NAMES, "NotFound", NULL,
	 "There is no such thing, or none within the caller's part of the tree."},
	{409, WITH_CHANGE, "Conflict", NULL, "It does not go together with what is there."},
	{412, WITH_CONDITION, "PreconditionFailed", NULL, "If-Match names what it was earlier."},
	{413, WITH_BODY, "ContentTooLarge", NULL, "The body is larger than this route takes."},
	{415, WITH_BODY, "UnsupportedMediaType", NULL, "The body is not application/json."},
	{422, WITH_NAMES, "UnprocessableContent", NULL,
	 "It is well-formed, and cannot be done with what it says."},
	{428, WITH_CONDITION, "PreconditionRequired", NULL, "If-Match is missing."},
	{429, ALWAYS, "TooManyRequests", "Retry-After", "There were too many requests lately."},
	{503, ALWAYS, "ServiceUnavailable", "Retry-After",
	 "The control database cannot be asked now."},
};
#define PROBLEMS (sizeof problems / sizeof *problems)

static bool is_change(const struct api_route *route)
{
	return strcmp(route->method, "GET") != 0;
}

/* Something may be missing where something is named. */
static bool names_things(const struct api_route *route)
{
	return strchr(route->path, '{') || route->query || route->body;
}

static bool applies(const struct problem *problem, const struct api_route *route)
{
	switch (problem->when) {
	case ALWAYS:
		return true;
	case WITH_KEY:
		return route->role != API_ANYONE;
	case WITH_NAMES:
		return names_things(route);
	case WITH_CHANGE:
		return is_change(route);
	case WITH_CONDITION:
		return route->flags & (API_IF_MATCH | API_MAY_MATCH);
	case WITH_BODY:
		return route->body != NULL;
	}
	return false;
}

bool openapi_put_problems(json_t *responses, const struct api_route *route)
{
	bool ok = true;

	for (size_t i = 0; ok && i < PROBLEMS; i++) {
		char status[16];

		if (!applies(&problems[i], route))
			continue;
		snprintf(status, sizeof status, "%d", problems[i].status);
		ok = openapi_put(
			responses, status,
			json_pack("{s:s+}", "$ref", "#/components/responses/", problems[i].name));
	}
	return ok;
}

static json_t *response(const struct problem *problem)
{
	json_t *one = json_pack("{s:s, s:{s:{s:s}}}", "description", problem->doc, "headers",
							"X-Request-Id", "$ref", "#/components/headers/X-Request-Id");
	bool ok = one != NULL;

	if (ok && problem->header)
		ok = openapi_put(json_object_get(one, "headers"), problem->header,
						 json_pack("{s:s+}", "$ref", "#/components/headers/", problem->header));
	return openapi_made(
		one, ok && openapi_put(one, "content",
							   json_pack("{s:{s:{s:s}}}", "application/problem+json", "schema",
										 "$ref", "#/components/schemas/Problem")));
}

json_t *openapi_problem_responses(void)
{
	json_t *all = json_object();
	bool ok = all != NULL;

	for (size_t i = 0; ok && i < PROBLEMS; i++)
		ok = openapi_put(all, problems[i].name, response(&problems[i]));
	return openapi_made(all, ok);
}

json_t *openapi_problem_schema(void)
{
	static const struct api_field error[] = {
		{.name = "field",
		 .type = API_TEXT,
		 .flags = API_REQUIRED,
		 .doc = "body.slug, query.limit, path.tenant, header.If-Match"},
		{.name = "detail", .type = API_TEXT, .flags = API_REQUIRED},
		{.name = NULL},
	};
	static const struct api_field errors = {.type = API_OBJECT, .fields = error};
	static const struct api_field members[] = {
		{.name = "type",
		 .type = API_TEXT,
		 .flags = API_REQUIRED,
		 .doc = "urn:bulkhead:problem:REASON"},
		{.name = "title",
		 .type = API_TEXT,
		 .flags = API_REQUIRED,
		 .doc = "what the status means"},
		{.name = "status", .type = API_INTEGER, .flags = API_REQUIRED, .min = 400, .max = 599},
		{.name = "detail", .type = API_TEXT, .flags = API_REQUIRED, .doc = "for a person"},
		{.name = "reason",
		 .type = API_TEXT,
		 .flags = API_REQUIRED,
		 .pattern = "^BH-[A-Z0-9-]+$",
		 .doc = "for a program: it stays the same, see docs/errors.md"},
		{.name = "request_id",
		 .type = API_TEXT,
		 .flags = API_REQUIRED,
		 .doc = "as in X-Request-Id"},
		{.name = "errors", .type = API_ARRAY, .fields = &errors, .doc = "field by field"},
		{.name = NULL},
	};
	json_t *schema = openapi_object_schema(members, false, OPENAPI_ANSWER);

	return openapi_made(schema,
						schema && openapi_put_text(schema, "description",
												   "Why a request was refused (RFC 9457)."));
}
