#include "admin/api/route.h"

#include "admin/api/routes.h"

const struct api_topic *const api_topics[] = {
	&api_routes_audit,       &api_routes_live,         &api_routes_meta,
	&api_routes_settings,    &api_routes_setting_keys, &api_routes_tenants,
	&api_routes_permissions, &api_routes_jobs,         &api_routes_clusters,
	&api_routes_api_keys,    &api_routes_principals,
};
const size_t api_topic_count = sizeof api_topics / sizeof *api_topics;

const struct api_field api_tenant_param[] = {
	{.name = "tenant", .type = API_TENANT_WORD, .doc = "A tenant's id, slug or key."},
	{.name = NULL}};

const struct api_field api_page_query[] = {
	{.name = "limit",
	 .type = API_INTEGER,
	 .min = 1,
	 .max = 200,
	 .preset = "50",
	 .doc = "How many items at most."},
	{.name = "cursor",
	 .type = API_TEXT,
	 .min = 1,
	 .max = 2000,
	 .pattern = "^[A-Za-z0-9_-]+$",
	 .doc = "Where to go on: `next` of the page before."},
	{.name = NULL}};

const struct api_field api_dry_run_query[] = {
	{.name = "dry_run",
	 .type = API_BOOLEAN,
	 .preset = "false",
	 .doc = "Answers as if it were done, and does not do it."},
	{.name = NULL}};
