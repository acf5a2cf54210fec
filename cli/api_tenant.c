/* bulkhead tenant, over the API. */
#include "cli/api_nouns.h"

#define COLUMNS "slug key=external_key name strategy cluster status depth id"
#define TENANT  "/v1/tenants/{tenant}"

static const struct api_alias filters[] = {{"prefix", "q", NULL}, {0}};
static const struct api_alias fields[] = {
	{"key", "external_key", NULL}, {"weight", "pool_weight", NULL}, {0}};
static const struct api_alias place[] = {
	{"under", "parent", NULL}, {"to-root", "parent", "null"}, {0}};

static const struct api_verb verbs[] = {
	{.name = "list", .route = "GET /v1/tenants", .columns = COLUMNS, .aliases = filters},
	{.name = "show", .route = "GET " TENANT, .words = "tenant"},
	{.name = "children",
	 .route = "GET " TENANT "/children",
	 .words = "tenant",
	 .columns = COLUMNS},
	{.name = "ancestors",
	 .route = "GET " TENANT "/ancestors",
	 .words = "tenant",
	 .columns = COLUMNS},
	{.name = "descendants",
	 .route = "GET " TENANT "/descendants",
	 .words = "tenant",
	 .columns = COLUMNS},
	{.name = "create", .route = "POST /v1/tenants", .words = "slug", .aliases = fields},
	{.name = "batch", .route = "POST /v1/tenants:batch", .columns = COLUMNS},
	{.name = "set", .route = "PATCH " TENANT, .words = "tenant", .aliases = fields},
	{.name = "move", .route = "POST " TENANT ":move", .words = "tenant", .aliases = place},
	{.name = "reorder", .route = "POST " TENANT ":reorder", .words = "tenant"},
	{.name = "suspend",
	 .route = "POST " TENANT ":suspend",
	 .words = "tenant",
	 .part = "changed"},
	{.name = "resume", .route = "POST " TENANT ":resume", .words = "tenant", .part = "changed"},
	{.name = "archive",
	 .route = "POST " TENANT ":archive",
	 .words = "tenant",
	 .part = "changed"},
	{.name = "restore",
	 .route = "POST " TENANT ":restore",
	 .words = "tenant",
	 .part = "changed"},
	{.name = "purge", .route = "POST " TENANT ":purge", .words = "tenant"},
	{.name = "live", .route = "GET " TENANT "/live", .words = "tenant"},
	{.name = "pause", .route = "POST " TENANT ":pause", .words = "tenant"},
	{.name = "unpause", .route = "POST " TENANT ":unpause", .words = "tenant"},
	{.name = "reconnect", .route = "POST " TENANT ":reconnect", .words = "tenant"},
	{.name = "kill-sessions", .route = "POST " TENANT ":kill-sessions", .words = "tenant"},
};

const struct api_noun api_tenant = {"tenant",
									"The tree of tenants. TENANT is a slug, an id or a key.",
									verbs, sizeof verbs / sizeof *verbs};
