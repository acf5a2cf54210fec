/* bulkhead permission and permission-key, over the API. */
#include "cli/api_nouns.h"

#define GRANTS "/v1/tenants/{tenant}/permissions"
#define KEYS   "/v1/permission-keys"

static const struct api_verb verbs[] = {
	{"show", "GET " GRANTS ":effective", "tenant",
	 "key value source inherited locked mode own=own.value", NULL, NULL, NULL},
	{"list", "GET " GRANTS, "tenant", NULL, NULL, NULL, NULL},
	{"get", "GET " GRANTS "/{key}", "tenant key", NULL, NULL, NULL, NULL},
	{"set", "PUT " GRANTS "/{key}", "tenant key [value]", NULL, NULL, "value", NULL},
	{"revoke", "DELETE " GRANTS "/{key}", "tenant key", NULL, NULL, NULL, NULL},
	{"history", "GET " GRANTS "/{key}/history", "tenant key", NULL, NULL, NULL, NULL},
};

const struct api_noun api_permission = {"permission",
										"What tenants may do: no tenant holds more than its "
										"parent. VALUE is JSON; what is none is a "
										"list with commas, as in shop.orders,shop.items.",
										verbs, sizeof verbs / sizeof *verbs};

static const struct api_verb key_verbs[] = {
	{"list", "GET " KEYS, NULL, NULL, NULL, NULL, NULL},
	{"show", "GET " KEYS "/{key}", "key", NULL, NULL, NULL, NULL},
	{"create", "POST " KEYS, "key", NULL, NULL, NULL, NULL},
	{"set", "PATCH " KEYS "/{key}", "key", NULL, NULL, NULL, NULL},
	{"delete", "DELETE " KEYS "/{key}", "key", NULL, NULL, NULL, NULL},
};

const struct api_noun api_permission_key = {
	"permission-key", "The permissions that there are: kind and defaults of each.", key_verbs,
	sizeof key_verbs / sizeof *key_verbs};
