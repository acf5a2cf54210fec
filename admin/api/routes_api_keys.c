/* Keys of the API: who may call it, as what, and for which part of the tree. */
#include <string.h>

#include "admin/api/api_internal.h"
#include "admin/api/call.h"
#include "admin/api/routes.h"
#include "admin/api_key.h"
#include "base/secret.h"

/* clang-format off */
static const char *const roles[] = {"operator", "admin", "editor", "viewer", NULL};
static const char *const states[] = {"active", "expired", "revoked", NULL};

#define ID_PATTERN "^[a-z2-7]{16}$"
#define WEEK_S     604800

#define NETWORKS_DOC "IP addresses and networks from where it may be used, as 10.0.0.0/8; null: from anywhere"

static const struct api_field network[] = {
	{.name = "network", .type = API_TEXT, .min = 1, .max = 64},
	{.name = NULL}};

static const struct api_field id_param[] = {
	{.name = "id", .type = API_TEXT, .min = 16, .max = 16, .pattern = ID_PATTERN, .doc = "the key's id: what stands behind bhk_"},
	{.name = NULL}};

/* ---- what is answered ---- */

#define KEY_FIELDS                                                                                                            \
	{.name = "id", .type = API_TEXT, .pattern = ID_PATTERN, .doc = "no secret"},                                              \
	{.name = "name", .type = API_TEXT, .doc = "for people"},                                                                  \
	{.name = "role", .type = API_TEXT, .choices = roles, .doc = "what it may do"},                                            \
	{.name = "tenant_id", .type = API_UUID, .flags = API_NULLABLE, .doc = "the top of its part of the tree; null: everything"}, \
	{.name = "tenant", .type = API_TEXT, .flags = API_NULLABLE, .doc = "the slug of that tenant"},                            \
	{.name = "reveal", .type = API_BOOLEAN, .doc = "it may read sensitive settings"},                                         \
	{.name = "addresses", .type = API_ARRAY, .flags = API_NULLABLE, .fields = network, .doc = NETWORKS_DOC},                  \
	{.name = "state", .type = API_TEXT, .choices = states, .doc = "whether it may be used"},                                  \
	{.name = "expires_at", .type = API_TIME, .flags = API_NULLABLE, .doc = "null: never"},                                    \
	{.name = "revoked_at", .type = API_TIME, .flags = API_NULLABLE, .doc = "null: not"},                                      \
	{.name = "previous_until", .type = API_TIME, .flags = API_NULLABLE, .doc = "up to when the secret before the last rotation works; null: it does not"}, \
	{.name = "last_used_at", .type = API_TIME, .flags = API_NULLABLE, .doc = "to the minute; null: never"},                   \
	{.name = "created_by", .type = API_TEXT, .flags = API_NULLABLE, .doc = "the id of the key that made it, which may be gone; null: it was made in the database"}, \
	{.name = "version", .type = API_INTEGER, .doc = "the ETag"},                                                              \
	{.name = "created_at", .type = API_TIME},                                                                                 \
	{.name = "updated_at", .type = API_TIME}

static const struct api_field key_fields[] = {KEY_FIELDS, {.name = NULL}};
static const struct api_field new_key_fields[] = {
	KEY_FIELDS,
	{.name = "key", .type = API_TEXT, .flags = API_SECRET, .doc = "the whole key, shown this once; not there when the answer is a repeated one"},
	{.name = NULL}};

static const struct api_schema key_schema = {.name = "ApiKey", .fields = key_fields};
static const struct api_schema new_key_schema = {.name = "NewApiKey", .fields = new_key_fields};

/* ---- what is asked ---- */

static const struct api_field create_body[] = {
	{.name = "name", .type = API_TEXT, .flags = API_REQUIRED, .min = 1, .max = 255, .doc = "for people"},
	{.name = "role", .type = API_TEXT, .flags = API_REQUIRED, .choices = roles, .doc = "at most your own"},
	{.name = "tenant", .type = API_TENANT_WORD, .flags = API_NULLABLE, .doc = "its part of the tree, within your own; null: everything, for operators alone; without it as your own key's"},
	{.name = "expires_at", .type = API_TIME, .flags = API_NULLABLE, .doc = "at most as long as your own key; null: never; without it as your own key's"},
	{.name = "reveal", .type = API_BOOLEAN, .preset = "false", .doc = "it may read sensitive settings, as your own key must"},
	{.name = "addresses", .type = API_ARRAY, .flags = API_NULLABLE, .min = 1, .max = 100, .fields = network, .doc = NETWORKS_DOC "; within those of your own key; without it as your own key's"},
	{.name = NULL}};

static const struct api_field update_body[] = {
	{.name = "name", .type = API_TEXT, .min = 1, .max = 255},
	{.name = "role", .type = API_TEXT, .choices = roles},
	{.name = "tenant", .type = API_TENANT_WORD, .flags = API_NULLABLE},
	{.name = "expires_at", .type = API_TIME, .flags = API_NULLABLE},
	{.name = "reveal", .type = API_BOOLEAN},
	{.name = "addresses", .type = API_ARRAY, .flags = API_NULLABLE, .min = 1, .max = 100, .fields = network, .doc = NETWORKS_DOC},
	{.name = NULL}};

static const struct api_field rotate_body[] = {
	{.name = "overlap_seconds", .type = API_INTEGER, .min = 0, .max = WEEK_S, .preset = "0", .doc = "for how long the secret before goes on working; 0: from now on only the new one does"},
	{.name = NULL}};

static const struct api_field list_query[] = {
	{.name = "tenant", .type = API_TENANT_WORD, .doc = "keys of this tenant and of those below it"},
	{.name = "role", .type = API_TEXT, .choices = roles},
	{.name = "state", .type = API_TEXT, .choices = states},
	{.name = NULL}};
/* clang-format on */

/* ---- secrets ---- */

/* The database gets the hash alone. */
static bool put_hash(struct api_call *call, json_t *request, const struct api_key_text *key)
{
	char id[API_KEY_ID_LEN + 1], hash[API_KEY_HASH_SIZE];
	const char *kid = NULL;
	json_t *more = json_object_get(request, "more");

	api_key_id(key->text, id);
	bool done = api_key_hash(api_call_api(call)->pepper, 0, key->text, &kid, hash) &&
				json_object_set_new(more, "id", json_string(id)) == 0 &&
				json_object_set_new(more, "kid", json_string(kid)) == 0 &&
				json_object_set_new(more, "hash", json_string(hash)) == 0 &&
				api_call_keep(call, key->text);
	if (!done)
		api_refuse(call, 500, "BH-API-INTERNAL", NULL, "out of memory");
	return done;
}

static bool draw_key(struct api_call *call, json_t *request, const char *id)
{
	struct api_key_text key;

	if (id)
		api_key_draw_for(id, &key);
	else
		api_key_draw(&key);
	bool done = put_hash(call, request, &key);
	secret_wipe(&key, sizeof key);
	return done;
}

static bool prepare_new(struct api_call *call, json_t *request, json_t *before)
{
	(void)before;
	return draw_key(call, request, NULL);
}

static bool prepare_rotation(struct api_call *call, json_t *request, json_t *before)
{
	const json_t *path = json_object_get(request, "path");

	(void)before;
	return draw_key(call, request, json_string_value(json_object_get(path, "id")));
}

static bool prepare_own_rotation(struct api_call *call, json_t *request, json_t *before)
{
	(void)before;
	return draw_key(call, request, api_call_key_id(call));
}

static void show_key(struct api_call *call, json_t *request, json_t *answer)
{
	(void)request;
	json_object_set_new(answer, "key", json_string(api_call_kept(call)));
}

/* ---- routes ---- */

static const struct api_route routes[] = {
	{.id = "api_key.create",
	 .method = "POST",
	 .path = "/v1/api-keys",
	 .role = API_ADMIN,
	 .body = create_body,
	 .handler = "api_key_create",
	 .prepare = prepare_new,
	 .finish = show_key,
	 .answer = &new_key_schema,
	 .status = 201,
	 .tag = "API keys",
	 .summary = "Make an API key",
	 .doc =
		 "The key is shown once. It cannot have more than your own: no higher role, no other "
		 "part of the tree, no longer validity, no more addresses."},
	{.id = "api_key.list",
	 .method = "GET",
	 .path = "/v1/api-keys",
	 .role = API_ADMIN,
	 .flags = API_PAGED,
	 .query = list_query,
	 .handler = "api_key_list",
	 .answer = &key_schema,
	 .tag = "API keys",
	 .summary = "List the API keys of your part of the tree"},
	{.id = "api_key.show",
	 .method = "GET",
	 .path = "/v1/api-keys/{id}",
	 .role = API_ADMIN,
	 .params = id_param,
	 .handler = "api_key_get",
	 .answer = &key_schema,
	 .tag = "API keys",
	 .summary = "Show an API key, without its secret"},
	{.id = "api_key.update",
	 .method = "PATCH",
	 .path = "/v1/api-keys/{id}",
	 .role = API_ADMIN,
	 .flags = API_IF_MATCH,
	 .params = id_param,
	 .body = update_body,
	 .handler = "api_key_update",
	 .answer = &key_schema,
	 .tag = "API keys",
	 .summary = "Change what an API key may do",
	 .doc = "Less may be left to any key that you manage; more only as far as your own key has "
			"it."},
	{.id = "api_key.rotate",
	 .method = "POST",
	 .path = "/v1/api-keys/{id}:rotate",
	 .role = API_ADMIN,
	 .params = id_param,
	 .body = rotate_body,
	 .handler = "api_key_rotate",
	 .prepare = prepare_rotation,
	 .finish = show_key,
	 .answer = &new_key_schema,
	 .tag = "API keys",
	 .summary = "Give an API key another secret",
	 .doc =
		 "All that restricts the key stays. While the overlap of a rotation lasts, another "
		 "one is refused, unless its own overlap is 0: that ends all secrets but the new one."},
	{.id = "api_key.revoke",
	 .method = "POST",
	 .path = "/v1/api-keys/{id}:revoke",
	 .role = API_ADMIN,
	 .params = id_param,
	 .handler = "api_key_revoke",
	 .answer = &key_schema,
	 .tag = "API keys",
	 .summary = "End an API key for good",
	 .doc = "Keys that were made with it stay."},
	{.id = "api_key.delete",
	 .method = "DELETE",
	 .path = "/v1/api-keys/{id}",
	 .role = API_ADMIN,
	 .flags = API_IF_MATCH,
	 .params = id_param,
	 .handler = "api_key_delete",
	 .status = 204,
	 .tag = "API keys",
	 .summary = "Remove an API key that is revoked or expired"},
	{.id = "whoami.show",
	 .method = "GET",
	 .path = "/v1/whoami",
	 .role = API_VIEWER,
	 .handler = "whoami",
	 .answer = &key_schema,
	 .tag = "API keys",
	 .summary = "Show the API key that asks"},
	{.id = "whoami.rotate",
	 .method = "POST",
	 .path = "/v1/whoami:rotate",
	 .role = API_VIEWER,
	 .body = rotate_body,
	 .handler = "whoami_rotate",
	 .prepare = prepare_own_rotation,
	 .finish = show_key,
	 .answer = &new_key_schema,
	 .tag = "API keys",
	 .summary = "Give the API key that asks another secret"},
};

const struct api_topic api_routes_api_keys = {routes, sizeof routes / sizeof *routes};
