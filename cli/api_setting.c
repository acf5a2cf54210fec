/* bulkhead setting and setting-key, over the API. */
#include "cli/api_nouns.h"

#define SETTINGS "/v1/tenants/{tenant}/settings"
#define ONE                                                                                    \
	"key value sensitive source=source_tenant_id inherited locked masked own=own.value "       \
	"revision=own.revision"

static const struct api_alias lock[] = {{"lock", "locked", NULL}, {0}};

static const struct api_verb verbs[] = {
	{.name = "show",
	 .route = "GET " SETTINGS ":resolved",
	 .words = "tenant",
	 .columns = "key value sensitive source=source_tenant_id inherited locked masked"},
	{.name = "list",
	 .route = "GET " SETTINGS,
	 .words = "tenant",
	 .columns = "key value sensitive locked masked revision updated_at"},
	{.name = "get", .route = "GET " SETTINGS "/{key}", .words = "tenant key", .columns = ONE},
	{.name = "inheritance",
	 .route = "GET " SETTINGS "/{key}/inheritance",
	 .words = "tenant key"},
	{.name = "set",
	 .route = "PUT " SETTINGS "/{key}",
	 .words = "tenant key [value]",
	 .columns = ONE,
	 .aliases = lock},
	{.name = "unset", .route = "DELETE " SETTINGS "/{key}", .words = "tenant key"},
	{.name = "lock",
	 .route = "PATCH " SETTINGS "/{key}",
	 .words = "tenant key",
	 .fixed = "locked",
	 .fixed_value = "true",
	 .columns = ONE},
	{.name = "unlock",
	 .route = "PATCH " SETTINGS "/{key}",
	 .words = "tenant key",
	 .fixed = "locked",
	 .fixed_value = "false",
	 .columns = ONE},
	{.name = "batch", .route = "POST " SETTINGS ":batch", .words = "tenant"},
	{.name = "diff",
	 .route = "GET " SETTINGS ":diff",
	 .words = "tenant with",
	 .columns = "key same here=here.value there=there.value"},
	{.name = "drift",
	 .route = "GET " SETTINGS ":drift",
	 .words = "tenant",
	 .columns = "tenant=slug key value locked masked would_inherit=would_inherit.value"},
	{.name = "history",
	 .route = "GET " SETTINGS "/{key}/history",
	 .words = "tenant key",
	 .columns = "revision action at actor before=before.value after=after.value"},
	{.name = "rollback",
	 .route = "POST " SETTINGS "/{key}:rollback",
	 .words = "tenant key revision",
	 .columns = ONE,
	 .is_conditional = true},
	{.name = "data-keys", .route = "GET /v1/tenants/{tenant}/data-keys", .words = "tenant"},
	{.name = "rotate-data-key",
	 .route = "POST /v1/tenants/{tenant}/data-keys:rotate",
	 .words = "tenant"},
};

const struct api_noun api_setting = {"setting",
									 "Values that tenants inherit: the nearest holds, unless "
									 "one above is locked. VALUE is JSON; "
									 "what is none is a string.",
									 verbs, sizeof verbs / sizeof *verbs};

static const struct api_verb key_verbs[] = {
	API_REGISTRY_VERBS("/v1/setting-keys"),
	{.name = "master-keys", .route = "GET /v1/master-keys"},
	{.name = "rewrap", .route = "POST /v1/master-keys:rewrap"},
};

const struct api_noun api_setting_key = {
	"setting-key", "The settings that there are: type, bounds and default of each.", key_verbs,
	sizeof key_verbs / sizeof *key_verbs};
