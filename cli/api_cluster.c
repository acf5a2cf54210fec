/* bulkhead cluster, over the API. */
#include "cli/api_nouns.h"

#define CLUSTER "/v1/clusters/{cluster}"

static const struct api_verb verbs[] = {
	{"list", "GET /v1/clusters", NULL, NULL, NULL, NULL, NULL},
	{"show", "GET " CLUSTER, "cluster", NULL, NULL, NULL, NULL},
	{"create", "POST /v1/clusters", "name", NULL, NULL, NULL, NULL},
	{"set", "PATCH " CLUSTER, "cluster", NULL, NULL, NULL, NULL},
	{"delete", "DELETE " CLUSTER, "cluster", NULL, NULL, NULL, NULL},
};

const struct api_noun api_cluster = {"cluster", "The servers that tenants are placed on.",
									 verbs, sizeof verbs / sizeof *verbs};
