/* bulkhead setting and setting-key, over the API. */
#include "cli/api_nouns.h"

#define SETTINGS "/v1/tenants/{tenant}/settings"
#define KEYS     "/v1/setting-keys"

static const struct api_alias lock[] = {{"lock", "locked", NULL}, {0}};

static const struct api_verb verbs[] = {
	{.name = "show", .route = "GET " SETTINGS ":resolved", .words = "tenant"},
	{.name = "list", .route = "GET " SETTINGS, .words = "tenant"},
	{.name = "get", .route = "GET " SETTINGS "/{key}", .words = "tenant key"},
	{.name = "inheritance",
	 .route = "GET " SETTINGS "/{key}/inheritance",
	 .words = "tenant key"},
	{.name = "set",
	 .route = "PUT " SETTINGS "/{key}",
	 .words = "tenant key [value]",
	 .aliases = lock},
	{.name = "unset", .route = "DELETE " SETTINGS "/{key}", .words = "tenant key"},
	{.name = "lock",
	 .route = "PATCH " SETTINGS "/{key}",
	 .words = "tenant key",
	 .fixed = "locked",
	 .fixed_value = "true"},
	{.name = "unlock",
	 .route = "PATCH " SETTINGS "/{key}",
	 .words = "tenant key",
	 .fixed = "locked",
	 .fixed_value = "false"},
	{.name = "batch", .route = "POST " SETTINGS ":batch", .words = "tenant"},
	{.name = "diff", .route = "GET " SETTINGS ":diff", .words = "tenant with"},
	{.name = "drift", .route = "GET " SETTINGS ":drift", .words = "tenant"},
	{.name = "history", .route = "GET " SETTINGS "/{key}/history", .words = "tenant key"},
	{.name = "rollback",
	 .route = "POST " SETTINGS "/{key}:rollback",
	 .words = "tenant key revision"},
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
	{.name = "list", .route = "GET " KEYS},
	{.name = "show", .route = "GET " KEYS "/{key}", .words = "key"},
	{.name = "create", .route = "POST " KEYS, .words = "key"},
	{.name = "set", .route = "PATCH " KEYS "/{key}", .words = "key"},
	{.name = "delete", .route = "DELETE " KEYS "/{key}", .words = "key"},
	{.name = "master-keys", .route = "GET /v1/master-keys"},
	{.name = "rewrap", .route = "POST /v1/master-keys:rewrap"},
};

const struct api_noun api_setting_key = {
	"setting-key", "The settings that there are: type, bounds and default of each.", key_verbs,
	sizeof key_verbs / sizeof *key_verbs};
