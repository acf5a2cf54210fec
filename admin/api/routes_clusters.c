/* Clusters, as the control schema knows them; see sql/clusters.sql. */
#include "admin/api/routes.h"

/* As the constraints of bulkhead_control.cluster have them. */
#define NAME "^[a-z][a-z0-9_-]{0,62}$"
static const char *const statuses[] = {"active", "draining", "down", NULL};

static const struct api_field cluster_fields[] = {
	{.name = "name",
	 .type = API_TEXT,
	 .flags = API_REQUIRED,
	 .pattern = NAME,
	 .doc = "of the section [cluster:NAME] in each Bulkhead's settings"},
	{.name = "region",
	 .type = API_TEXT,
	 .flags = API_REQUIRED | API_NULLABLE,
	 .doc = "where its data is: Bulkheads of other regions refuse its tenants"},
	{.name = "status",
	 .type = API_TEXT,
	 .flags = API_REQUIRED,
	 .choices = statuses,
	 .doc = "draining: no tenant is placed there any more; down: its tenants' logins are "
			"refused and their sessions end"},
	{.name = NULL}};
static const struct api_schema cluster_schema = {.name = "Cluster", .fields = cluster_fields};

static const struct api_field cluster_param[] = {
	{.name = "cluster", .type = API_TEXT, .flags = API_REQUIRED, .pattern = NAME},
	{.name = NULL}};
static const struct api_field create_body[] = {
	{.name = "name", .type = API_TEXT, .flags = API_REQUIRED, .pattern = NAME},
	{.name = "region", .type = API_TEXT, .flags = API_NULLABLE, .min = 1, .max = 63},
	{.name = "status", .type = API_TEXT, .choices = statuses, .preset = "\"active\""},
	{.name = NULL}};
static const struct api_field update_body[] = {
	{.name = "region", .type = API_TEXT, .flags = API_NULLABLE, .min = 1, .max = 63},
	{.name = "status", .type = API_TEXT, .choices = statuses},
	{.name = NULL}};

static const struct api_route routes[] = {
	{.id = "cluster.list",
	 .method = "GET",
	 .path = "/v1/clusters",
	 .role = API_VIEWER,
	 .flags = API_PAGED,
	 .handler = "cluster_list",
	 .answer = &cluster_schema,
	 .tag = "clusters",
	 .summary = "The clusters that tenants are placed on"},
	{.id = "cluster.create",
	 .method = "POST",
	 .path = "/v1/clusters",
	 .role = API_OPERATOR,
	 .flags = API_EVERYWHERE,
	 .body = create_body,
	 .handler = "cluster_create",
	 .answer = &cluster_schema,
	 .status = 201,
	 .tag = "clusters",
	 .summary = "Make a cluster known",
	 .doc = "Hosts and logins stand in the settings of each Bulkhead."},
	{.id = "cluster.get",
	 .method = "GET",
	 .path = "/v1/clusters/{cluster}",
	 .role = API_VIEWER,
	 .params = cluster_param,
	 .handler = "cluster_get",
	 .answer = &cluster_schema,
	 .tag = "clusters",
	 .summary = "One cluster"},
	{.id = "cluster.update",
	 .method = "PATCH",
	 .path = "/v1/clusters/{cluster}",
	 .role = API_OPERATOR,
	 .flags = API_EVERYWHERE | API_IF_MATCH | API_DRY_RUN,
	 .params = cluster_param,
	 .body = update_body,
	 .handler = "cluster_update",
	 .answer = &cluster_schema,
	 .tag = "clusters",
	 .summary = "Change a cluster's status or region",
	 .doc = "With `down` all sessions of its tenants end, at once and everywhere."},
	{.id = "cluster.delete",
	 .method = "DELETE",
	 .path = "/v1/clusters/{cluster}",
	 .role = API_OPERATOR,
	 .flags = API_EVERYWHERE | API_IF_MATCH,
	 .params = cluster_param,
	 .handler = "cluster_delete",
	 .status = 204,
	 .tag = "clusters",
	 .summary = "Forget a cluster that has no tenants"},
};

const struct api_topic api_routes_clusters = {routes, sizeof routes / sizeof *routes};
