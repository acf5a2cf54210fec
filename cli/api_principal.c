/* bulkhead principal, over the API. */
#include "cli/api_nouns.h"

#define PRINCIPAL "/v1/principals/{name}"

static const struct api_verb verbs[] = {
	{.name = "list",
	 .route = "GET /v1/principals",
	 .columns = "name home reach state valid_until max_connections"},
	{.name = "show", .route = "GET " PRINCIPAL, .words = "name"},
	{.name = "create", .route = "POST /v1/principals", .words = "name"},
	{.name = "set", .route = "PATCH " PRINCIPAL, .words = "name"},
	{.name = "password", .route = "POST " PRINCIPAL ":set-password", .words = "name"},
	{.name = "disable", .route = "POST " PRINCIPAL ":disable", .words = "name"},
	{.name = "enable", .route = "POST " PRINCIPAL ":enable", .words = "name"},
	{.name = "delete", .route = "DELETE " PRINCIPAL, .words = "name"},
};

const struct api_noun api_principal = {
	"principal", "Who logs in for tenants: an application, a person, a job.", verbs,
	sizeof verbs / sizeof *verbs};
