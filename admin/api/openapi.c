#include "admin/api/openapi.h"

#include <string.h>

#include "admin/api/openapi_operation.h"
#include "admin/api/openapi_problem.h"
#include "admin/api/openapi_schema.h"

static const char doc[] =
	"Tenants, their settings and permissions, principals, API keys, the audit log and what the "
	"sidecars are doing. Authenticate with `Authorization: Bearer bhk_…`, an API key. A key "
	"has "
	"a role and, unless it is an operator's of the whole tree, a tenant: what is not in that "
	"tenant's part of the tree does not exist for it.";

/* The verb's name as paths have it: get, post. */
static bool lower(const char *method, char out[16])
{
	size_t len = strlen(method);

	if (len >= 16)
		return false;
	for (size_t i = 0; i <= len; i++)
		out[i] =
			(char)(method[i] >= 'A' && method[i] <= 'Z' ? method[i] + ('a' - 'A') : method[i]);
	return true;
}

static bool put_route(json_t *paths, const struct api_route *route, json_t *schemas)
{
	json_t *path = json_object_get(paths, route->path);
	char method[16];

	if (!lower(route->method, method))
		return false;
	if (!path) {
		if (!openapi_put(paths, route->path, json_object()))
			return false;
		path = json_object_get(paths, route->path);
	}
	return openapi_put(path, method, openapi_operation(route, schemas));
}

static json_t *all_paths(const struct api_topic *const *topics, size_t count, json_t *schemas)
{
	json_t *paths = json_object();
	bool ok = paths != NULL;

	for (size_t i = 0; ok && i < count; i++)
		for (size_t j = 0; ok && j < topics[i]->count; j++)
			ok = put_route(paths, &topics[i]->routes[j], schemas);
	return openapi_made(paths, ok);
}

static json_t *components(json_t *schemas)
{
	return json_pack("{s:{s:{s:s, s:s, s:s}}, s:o, s:o, s:o, s:O}", "securitySchemes", "key",
					 "type", "http", "scheme", "bearer", "description",
					 "An API key: bhk_ID_SECRET.", "parameters", openapi_parameters(),
					 "headers", openapi_headers(), "responses", openapi_problem_responses(),
					 "schemas", schemas);
}

json_t *openapi_of(const struct api_topic *const *topics, size_t count)
{
	json_t *schemas = json_object(), *paths, *made = NULL;

	if (!schemas || !openapi_put(schemas, "Problem", openapi_problem_schema()))
		goto out;
	paths = all_paths(topics, count, schemas);
	made = json_pack("{s:s, s:{s:s, s:s, s:s, s:{s:s, s:s}}, s:[{s:s}], s:[{s:[]}], s:o, s:o}",
					 "openapi", "3.1.0", "info", "title", "Bulkhead admin API", "version", "1",
					 "description", doc, "license", "name", "PostgreSQL Licence", "identifier",
					 "PostgreSQL", "servers", "url", "/", "security", "key", "paths", paths,
					 "components", components(schemas));
out:
	json_decref(schemas);
	return made;
}

json_t *openapi_document(void)
{
	return openapi_of(api_topics, api_topic_count);
}

bool openapi_write(FILE *out)
{
	json_t *document = openapi_document();
	bool ok =
		document && json_dumpf(document, out, JSON_INDENT(2)) == 0 && fputc('\n', out) != EOF;

	json_decref(document);
	return ok;
}
