/* bulkhead cluster, over the API. */
#include "cli/api_nouns.h"

#define CLUSTER "/v1/clusters/{cluster}"

static const struct api_verb verbs[] = {
	{.name = "list", .route = "GET /v1/clusters"},
	{.name = "show", .route = "GET " CLUSTER, .words = "cluster"},
	{.name = "create", .route = "POST /v1/clusters", .words = "name"},
	{.name = "set", .route = "PATCH " CLUSTER, .words = "cluster"},
	{.name = "delete", .route = "DELETE " CLUSTER, .words = "cluster"},
};

const struct api_noun api_cluster = {"cluster", "The servers that tenants are placed on.",
									 verbs, sizeof verbs / sizeof *verbs};
