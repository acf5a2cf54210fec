/* bulkhead api-key, over the API. */
#include "cli/api_nouns.h"

#define KEY     "/v1/api-keys/{id}"
#define COLUMNS "id name role tenant state expires_at last_used_at"

/* As they are called without the API (api_key.c). */
static const struct api_alias names[] = {
	{"valid-until", "expires_at", NULL}, {"overlap", "overlap_seconds", NULL}, {0}};

static const struct api_verb verbs[] = {
	{.name = "list", .route = "GET /v1/api-keys", .columns = COLUMNS},
	{.name = "show", .route = "GET " KEY, .words = "id"},
	{.name = "create", .route = "POST /v1/api-keys", .words = "name", .aliases = names},
	{.name = "set", .route = "PATCH " KEY, .words = "id", .aliases = names},
	{.name = "rotate", .route = "POST " KEY ":rotate", .words = "id", .aliases = names},
	{.name = "revoke", .route = "POST " KEY ":revoke", .words = "id"},
	{.name = "delete", .route = "DELETE " KEY, .words = "id"},
	{.name = "rotate-own", .route = "POST /v1/whoami:rotate", .aliases = names},
	{.name = "whoami", .route = "GET /v1/whoami"},
};

const struct api_noun api_api_key = {
	"api-key", "The keys that the admin API is used with. One is shown once, when it is made.",
	verbs, sizeof verbs / sizeof *verbs};
