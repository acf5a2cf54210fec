/* bulkhead api-key, over the API. */
#include "cli/api_nouns.h"

#define KEY     "/v1/api-keys/{id}"
#define COLUMNS "id name role tenant state expires_at last_used_at"

/* As they are called without the API (api_key.c). */
static const struct api_alias names[] = {
	{"valid-until", "expires_at", NULL}, {"overlap", "overlap_seconds", NULL}, {0}};

static const struct api_verb verbs[] = {
	{"list", "GET /v1/api-keys", NULL, COLUMNS, NULL, NULL, NULL},
	{"show", "GET " KEY, "id", NULL, NULL, NULL, NULL},
	{"create", "POST /v1/api-keys", "name", NULL, names, NULL, NULL},
	{"set", "PATCH " KEY, "id", NULL, names, NULL, NULL},
	{"rotate", "POST " KEY ":rotate", "id", NULL, names, NULL, NULL},
	{"revoke", "POST " KEY ":revoke", "id", NULL, NULL, NULL, NULL},
	{"delete", "DELETE " KEY, "id", NULL, NULL, NULL, NULL},
	{"rotate-own", "POST /v1/whoami:rotate", NULL, NULL, names, NULL, NULL},
	{"whoami", "GET /v1/whoami", NULL, NULL, NULL, NULL, NULL},
};

const struct api_noun api_api_key = {
	"api-key", "The keys that the admin API is used with. One is shown once, when it is made.",
	verbs, sizeof verbs / sizeof *verbs};
