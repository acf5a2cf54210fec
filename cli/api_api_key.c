/* bulkhead api-key, over the API. */
#include "cli/api_nouns.h"

#define KEY "/v1/api-keys/{id}"

static const struct api_verb verbs[] = {
	{"list", "GET /v1/api-keys", NULL, NULL, NULL, NULL, NULL},
	{"show", "GET " KEY, "id", NULL, NULL, NULL, NULL},
	{"create", "POST /v1/api-keys", "name", NULL, NULL, NULL, NULL},
	{"set", "PATCH " KEY, "id", NULL, NULL, NULL, NULL},
	{"rotate", "POST " KEY ":rotate", "id", NULL, NULL, NULL, NULL},
	{"revoke", "POST " KEY ":revoke", "id", NULL, NULL, NULL, NULL},
	{"delete", "DELETE " KEY, "id", NULL, NULL, NULL, NULL},
	{"rotate-own", "POST /v1/whoami:rotate", NULL, NULL, NULL, NULL, NULL},
	{"whoami", "GET /v1/whoami", NULL, NULL, NULL, NULL, NULL},
};

const struct api_noun api_api_key = {
	"api-key", "The keys that the admin API is used with. One is shown once, when it is made.",
	verbs, sizeof verbs / sizeof *verbs};
