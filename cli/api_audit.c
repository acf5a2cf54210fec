/* bulkhead audit, over the API. */
#include "cli/api_nouns.h"

static const struct api_verb verbs[] = {
	{.name = "list", .route = "GET /v1/audit"},
	{.name = "export", .route = "GET /v1/audit:export"},
	{.name = "verify", .route = "GET /v1/audit:verify"},
	{.name = "head", .route = "GET /v1/audit:head"},
	{.name = "holds", .route = "GET /v1/audit-holds"},
	{.name = "hold", .route = "POST /v1/audit-holds"},
	{.name = "release", .route = "DELETE /v1/audit-holds/{id}", .words = "id"},
};

const struct api_noun api_audit = {
	"audit", "What was changed, and by whom: a chain that nobody can change unseen.", verbs,
	sizeof verbs / sizeof *verbs};
