/* bulkhead setting and setting-key, over the API. */
#include "cli/api_nouns.h"

#define SETTINGS "/v1/tenants/{tenant}/settings"
#define KEYS     "/v1/setting-keys"

static const struct api_alias lock[] = {{"lock", "locked", "true"}, {0}};

static const struct api_verb verbs[] = {
	{"show", "GET " SETTINGS ":resolved", "tenant", NULL, NULL, NULL, NULL},
	{"list", "GET " SETTINGS, "tenant", NULL, NULL, NULL, NULL},
	{"get", "GET " SETTINGS "/{key}", "tenant key", NULL, NULL, NULL, NULL},
	{"inheritance", "GET " SETTINGS "/{key}/inheritance", "tenant key", NULL, NULL, NULL, NULL},
	{"set", "PUT " SETTINGS "/{key}", "tenant key [value]", NULL, lock, NULL, NULL},
	{"unset", "DELETE " SETTINGS "/{key}", "tenant key", NULL, NULL, NULL, NULL},
	{"batch", "POST " SETTINGS ":batch", "tenant", NULL, NULL, NULL, NULL},
	{"diff", "GET " SETTINGS ":diff", "tenant with", NULL, NULL, NULL, NULL},
	{"drift", "GET " SETTINGS ":drift", "tenant", NULL, NULL, NULL, NULL},
	{"history", "GET " SETTINGS "/{key}/history", "tenant key", NULL, NULL, NULL, NULL},
	{"rollback", "POST " SETTINGS "/{key}:rollback", "tenant key revision", NULL, NULL, NULL,
	 NULL},
};

const struct api_noun api_setting = {"setting",
									 "Values that tenants inherit: the nearest holds, unless "
									 "one above is locked. VALUE is JSON; "
									 "what is none is a string.",
									 verbs, sizeof verbs / sizeof *verbs};

static const struct api_verb key_verbs[] = {
	{"list", "GET " KEYS, NULL, NULL, NULL, NULL, NULL},
	{"show", "GET " KEYS "/{key}", "key", NULL, NULL, NULL, NULL},
	{"create", "POST " KEYS, "key", NULL, NULL, NULL, NULL},
	{"set", "PATCH " KEYS "/{key}", "key", NULL, NULL, NULL, NULL},
	{"delete", "DELETE " KEYS "/{key}", "key", NULL, NULL, NULL, NULL},
};

const struct api_noun api_setting_key = {
	"setting-key", "The settings that there are: type, bounds and default of each.", key_verbs,
	sizeof key_verbs / sizeof *key_verbs};
