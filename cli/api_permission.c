/* bulkhead permission and permission-key, over the API. */
#include "cli/api_nouns.h"

#define GRANTS "/v1/tenants/{tenant}/permissions"

static const struct api_verb verbs[] = {
	{.name = "show",
	 .route = "GET " GRANTS ":effective",
	 .words = "tenant",
	 .columns = "key value source inherited locked mode own=own.value"},
	{.name = "list", .route = "GET " GRANTS, .words = "tenant"},
	{.name = "get", .route = "GET " GRANTS "/{key}", .words = "tenant key"},
	{.name = "set",
	 .route = "PUT " GRANTS "/{key}",
	 .words = "tenant key [value]",
	 .columns = "key=grant.key value=grant.value mode=grant.mode revocation=grant.revocation "
				"holds=effective.value source=effective.source",
	 .list = "value"},
	{.name = "revoke", .route = "DELETE " GRANTS "/{key}", .words = "tenant key"},
	{.name = "history",
	 .route = "GET " GRANTS "/{key}/history",
	 .words = "tenant key",
	 .columns = "revision change at actor before=before.value after=after.value"},
};

const struct api_noun api_permission = {"permission",
										"What tenants may do: no tenant holds more than its "
										"parent. VALUE is JSON; what is none is a "
										"list with commas, as in shop.orders,shop.items.",
										verbs, sizeof verbs / sizeof *verbs};

static const struct api_verb key_verbs[] = {
	API_REGISTRY_VERBS("/v1/permission-keys"),
};

const struct api_noun api_permission_key = {
	"permission-key", "The permissions that there are: kind and defaults of each.", key_verbs,
	sizeof key_verbs / sizeof *key_verbs};
