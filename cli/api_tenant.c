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
	{"list", "GET /v1/tenants", NULL, COLUMNS, filters, NULL, NULL},
	{"show", "GET " TENANT, "tenant", NULL, NULL, NULL, NULL},
	{"children", "GET " TENANT "/children", "tenant", COLUMNS, NULL, NULL, NULL},
	{"ancestors", "GET " TENANT "/ancestors", "tenant", COLUMNS, NULL, NULL, NULL},
	{"descendants", "GET " TENANT "/descendants", "tenant", COLUMNS, NULL, NULL, NULL},
	{"create", "POST /v1/tenants", "slug", NULL, fields, NULL, NULL},
	{"batch", "POST /v1/tenants:batch", NULL, COLUMNS, NULL, NULL, NULL},
	{"set", "PATCH " TENANT, "tenant", NULL, fields, NULL, NULL},
	{"move", "POST " TENANT ":move", "tenant", NULL, place, NULL, NULL},
	{"reorder", "POST " TENANT ":reorder", "tenant", NULL, NULL, NULL, NULL},
	{"suspend", "POST " TENANT ":suspend", "tenant", NULL, NULL, NULL, NULL},
	{"resume", "POST " TENANT ":resume", "tenant", NULL, NULL, NULL, NULL},
	{"archive", "POST " TENANT ":archive", "tenant", NULL, NULL, NULL, NULL},
	{"restore", "POST " TENANT ":restore", "tenant", NULL, NULL, NULL, NULL},
	{"purge", "POST " TENANT ":purge", "tenant", NULL, NULL, NULL, NULL},
	{"live", "GET " TENANT "/live", "tenant", NULL, NULL, NULL, NULL},
	{"pause", "POST " TENANT ":pause", "tenant", NULL, NULL, NULL, NULL},
	{"unpause", "POST " TENANT ":unpause", "tenant", NULL, NULL, NULL, NULL},
	{"reconnect", "POST " TENANT ":reconnect", "tenant", NULL, NULL, NULL, NULL},
	{"kill-sessions", "POST " TENANT ":kill-sessions", "tenant", NULL, NULL, NULL, NULL},
};

const struct api_noun api_tenant = {"tenant",
									"The tree of tenants. TENANT is a slug, an id or a key.",
									verbs, sizeof verbs / sizeof *verbs};
