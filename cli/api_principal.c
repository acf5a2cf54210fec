/* bulkhead principal, over the API. */
#include "cli/api_nouns.h"

#define PRINCIPAL "/v1/principals/{name}"

static const struct api_verb verbs[] = {
	{"list", "GET /v1/principals", NULL, "name home reach state valid_until max_connections",
	 NULL, NULL, NULL},
	{"show", "GET " PRINCIPAL, "name", NULL, NULL, NULL, NULL},
	{"create", "POST /v1/principals", "name", NULL, NULL, NULL, NULL},
	{"set", "PATCH " PRINCIPAL, "name", NULL, NULL, NULL, NULL},
	{"password", "POST " PRINCIPAL ":set-password", "name", NULL, NULL, NULL, NULL},
	{"disable", "POST " PRINCIPAL ":disable", "name", NULL, NULL, NULL, NULL},
	{"enable", "POST " PRINCIPAL ":enable", "name", NULL, NULL, NULL, NULL},
	{"delete", "DELETE " PRINCIPAL, "name", NULL, NULL, NULL, NULL},
};

const struct api_noun api_principal = {
	"principal", "Who logs in for tenants: an application, a person, a job.", verbs,
	sizeof verbs / sizeof *verbs};
