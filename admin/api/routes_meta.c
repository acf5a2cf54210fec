/* What the API says of itself. */
#include "admin/api/openapi.h"
#include "admin/api/routes.h"

static const struct api_field version_fields[] = {
	{.name = "name", .type = API_TEXT, .doc = "bulkhead"},
	{.name = "version", .type = API_TEXT, .doc = "of the program"},
	{.name = NULL}};
static const struct api_schema version = {.name = "Version", .fields = version_fields};

static void show_version(struct api_call *call, json_t *request)
{
	(void)request;
	api_answer(call, 200,
			   json_pack("{s:s, s:s}", "name", "bulkhead", "version", BULKHEAD_VERSION));
}

static const struct api_schema document = {.name = "Document", .is_open = true};

static void show_document(struct api_call *call, json_t *request)
{
	json_t *made = openapi_document();

	(void)request;
	if (made)
		api_answer(call, 200, made);
	else
		api_refuse(call, 500, "BH-API-INTERNAL", NULL, "out of memory");
}

static const struct api_route routes[] = {
	{.id = "openapi.show",
	 .method = "GET",
	 .path = "/v1/openapi.json",
	 .role = API_VIEWER,
	 .run = show_document,
	 .answer = &document,
	 .tag = "Meta",
	 .summary = "What there is to ask for",
	 .doc = "This document, in OpenAPI 3.1."},
	{.id = "version.show",
	 .method = "GET",
	 .path = "/v1/version",
	 .role = API_VIEWER,
	 .run = show_version,
	 .answer = &version,
	 .tag = "Meta",
	 .summary = "Which program answers"},
};

const struct api_topic api_routes_meta = {routes, sizeof routes / sizeof *routes};
