/* Principals: who may log in to the data port, and for whom. */
#include <string.h>

#include "admin/api/api_internal.h"
#include "admin/api/routes.h"
#include "base/secret.h"
#include "router/scram_verifier.h"

/* clang-format off */
static const char *const reaches[] = {"self", "subtree", "all", NULL};
static const char *const states[] = {"active", "disabled", "expired", NULL};

#define CONNECTIONS_MAX 1000000

static const struct api_field certificate_name[] = {
	{.name = "name", .type = API_TEXT, .min = 1, .max = 255},
	{.name = NULL}};

#define CERTIFICATE_DOC "the names of which its client's certificate must bear one, where a listener asks for certificates " \
						"that name the principal; null: the principal's own name"
#define CONNECTIONS_DOC "client connections at one time, in one proxy; at most what its settings say of all; null: as those say"
#define TENANTS_DOC     "of those within its reach, for whom it may speak: these and all below them; null: all"
#define PASSWORD_DOC    "only a SCRAM-SHA-256 verifier of it is kept"

static const struct api_field tenant_id[] = {
	{.name = "tenant_id", .type = API_UUID},
	{.name = NULL}};
static const struct api_field tenant_word[] = {
	{.name = "tenant", .type = API_TENANT_WORD},
	{.name = NULL}};

static const struct api_field name_param[] = {
	{.name = "name", .type = API_TEXT, .min = 1, .max = 63, .doc = "the principal's name"},
	{.name = NULL}};

/* ---- what is answered ---- */

#define PRINCIPAL_FIELDS                                                                                                      \
	{.name = "name", .type = API_TEXT},                                                                                       \
	{.name = "home_id", .type = API_UUID, .doc = "the tenant it belongs to"},                                                 \
	{.name = "home", .type = API_TEXT, .doc = "the slug of that tenant"},                                                     \
	{.name = "reach", .type = API_TEXT, .choices = reaches, .doc = "for whom it may speak: its home, the subtree from there, or all"}, \
	{.name = "state", .type = API_TEXT, .choices = states, .doc = "whether it may log in"},                                   \
	{.name = "disabled", .type = API_BOOLEAN},                                                                                \
	{.name = "has_password", .type = API_BOOLEAN},                                                                            \
	{.name = "valid_until", .type = API_TIME, .flags = API_NULLABLE, .doc = "when its logins end; null: never"},              \
	{.name = "max_connections", .type = API_INTEGER, .flags = API_NULLABLE, .doc = CONNECTIONS_DOC},                          \
	{.name = "certificate_names", .type = API_ARRAY, .flags = API_NULLABLE, .fields = certificate_name, .doc = CERTIFICATE_DOC}, \
	{.name = "tenants", .type = API_ARRAY, .flags = API_NULLABLE, .fields = tenant_id, .doc = TENANTS_DOC},                   \
	{.name = "version", .type = API_INTEGER, .doc = "the ETag"},                                                              \
	{.name = "created_at", .type = API_TIME},                                                                                 \
	{.name = "updated_at", .type = API_TIME}

static const struct api_field principal_fields[] = {PRINCIPAL_FIELDS, {.name = NULL}};
static const struct api_field new_principal_fields[] = {
	PRINCIPAL_FIELDS,
	{.name = "password", .type = API_TEXT, .flags = API_SECRET, .doc = "one that was generated, shown this once; not there when the answer is a repeated one"},
	{.name = NULL}};

static const struct api_schema principal_schema = {.name = "Principal", .fields = principal_fields};
static const struct api_schema new_principal_schema = {.name = "NewPrincipal", .fields = new_principal_fields};

/* ---- what is asked ---- */

#define SETTABLE_FIELDS                                                                                                       \
	{.name = "disabled", .type = API_BOOLEAN, .doc = "it cannot log in, and its sessions end"},                               \
	{.name = "valid_until", .type = API_TIME, .flags = API_NULLABLE, .doc = "when its logins end; null: never"},              \
	{.name = "max_connections", .type = API_INTEGER, .flags = API_NULLABLE, .min = 1, .max = CONNECTIONS_MAX, .doc = CONNECTIONS_DOC}, \
	{.name = "certificate_names", .type = API_ARRAY, .flags = API_NULLABLE, .min = 1, .max = 20, .fields = certificate_name, .doc = CERTIFICATE_DOC}, \
	{.name = "tenants", .type = API_ARRAY, .flags = API_NULLABLE, .min = 1, .max = 100, .fields = tenant_word, .doc = TENANTS_DOC}

static const struct api_field create_body[] = {
	{.name = "name", .type = API_TEXT, .flags = API_REQUIRED, .min = 1, .max = 63},
	{.name = "home", .type = API_TENANT_WORD, .flags = API_REQUIRED, .doc = "the tenant it belongs to"},
	{.name = "reach", .type = API_TEXT, .flags = API_REQUIRED, .choices = reaches, .doc = "all is for API keys of the whole tree"},
	{.name = "password", .type = API_TEXT, .flags = API_SECRET, .min = 1, .max = 1000, .doc = PASSWORD_DOC},
	{.name = "generate_password", .type = API_BOOLEAN, .preset = "false", .doc = "draw one, which the answer shows once"},
	SETTABLE_FIELDS,
	{.name = NULL}};

static const struct api_field update_body[] = {
	{.name = "home", .type = API_TENANT_WORD},
	{.name = "reach", .type = API_TEXT, .choices = reaches},
	SETTABLE_FIELDS,
	{.name = NULL}};

static const struct api_field password_body[] = {
	{.name = "password", .type = API_TEXT, .flags = API_SECRET | API_NULLABLE, .min = 1, .max = 1000, .doc = PASSWORD_DOC "; null: no password fits any more"},
	{.name = "generate_password", .type = API_BOOLEAN, .preset = "false", .doc = "draw one, which the answer shows once"},
	{.name = NULL}};

static const struct api_field list_query[] = {
	{.name = "home", .type = API_TENANT_WORD, .doc = "principals of this tenant"},
	{.name = "subtree", .type = API_BOOLEAN, .preset = "false", .doc = "and of those below it"},
	{.name = "reach", .type = API_TEXT, .choices = reaches},
	{.name = "q", .type = API_TEXT, .min = 1, .max = 63, .doc = "how the name begins"},
	{.name = NULL}};
/* clang-format on */

/* ---- passwords ---- */

static bool put_verifier(struct api_call *call, json_t *request, const char *password)
{
	char *verifier = scram_verifier_create(password, SCRAM_ITERATIONS_DEFAULT);
	json_t *more = json_object_get(request, "more");
	bool done = verifier && json_object_set_new(more, "verifier", json_string(verifier)) == 0;

	secret_free(verifier);
	if (!done)
		api_refuse(call, 500, "BH-API-INTERNAL", NULL, "out of memory");
	return done;
}

/* The password goes no further than here; jansson's copy of it is wiped in its place. */
static void drop_password(json_t *body)
{
	json_t *password = json_object_get(body, "password");

	if (json_is_string(password))
		secret_wipe((void *)(uintptr_t)json_string_value(password),
					json_string_length(password));
	json_object_del(body, "password");
}

static bool generate(struct api_call *call, json_t *request)
{
	char *password = secret_draw_password();
	bool kept = password && api_call_keep(call, password);
	bool done = kept && put_verifier(call, request, password);

	if (!kept)
		api_refuse(call, 500, "BH-API-INTERNAL", NULL, "out of memory");
	secret_free(password);
	return done;
}

/*
 * Who operates the console is said by the proxy's settings, by name: a principal of such a name
 * is more than what its row says.
 */
static bool note_console(struct api_call *call, json_t *request)
{
	const struct conf *conf = api_call_api(call)->conf;
	const char *name =
		json_string_value(json_object_get(json_object_get(request, "path"), "name"));

	if (!name)
		name = json_string_value(json_object_get(json_object_get(request, "body"), "name"));
	return json_object_set_new(json_object_get(request, "more"), "console",
							   json_boolean(name && (conf_is_admin(conf, name) ||
													 conf_is_watcher(conf, name)))) == 0;
}

static bool prepare(struct api_call *call, json_t *request, json_t *before)
{
	(void)before;
	if (note_console(call, request))
		return true;
	api_refuse(call, 500, "BH-API-INTERNAL", NULL, "out of memory");
	return false;
}

static bool prepare_password(struct api_call *call, json_t *request, bool is_wanted)
{
	json_t *body = json_object_get(request, "body"), *given = json_object_get(body, "password");
	bool is_drawn = json_is_true(json_object_get(body, "generate_password"));

	if ((given && is_drawn) || (is_wanted && !given && !is_drawn)) {
		api_refuse(call, 422, "BH-API-VALUE", "body.password",
				   "%s: the password, or that one is to be generated",
				   given ? "only one of two" : "one of two is wanted");
		return false;
	}
	if (!prepare(call, request, NULL))
		return false;
	bool done = is_drawn                ? generate(call, request)
				: json_is_string(given) ? put_verifier(call, request, json_string_value(given))
										: true;
	if (done)
		drop_password(body);
	return done;
}

static bool prepare_new(struct api_call *call, json_t *request, json_t *before)
{
	(void)before;
	return prepare_password(call, request, false);
}

static bool prepare_other_password(struct api_call *call, json_t *request, json_t *before)
{
	(void)before;
	return prepare_password(call, request, true);
}

static void show_password(struct api_call *call, json_t *request, json_t *answer)
{
	(void)request;
	if (api_call_kept(call))
		json_object_set_new(answer, "password", json_string(api_call_kept(call)));
}

/* ---- routes ---- */

static const struct api_route routes[] = {
	{.id = "principal.create",
	 .method = "POST",
	 .path = "/v1/principals",
	 .role = API_ADMIN,
	 .body = create_body,
	 .handler = "principal_create",
	 .prepare = prepare_new,
	 .finish = show_password,
	 .answer = &new_principal_schema,
	 .status = 201,
	 .tag = "Principals",
	 .summary = "Make a principal",
	 .doc = "Without a password it can log in by a certificate alone."},
	{.id = "principal.list",
	 .method = "GET",
	 .path = "/v1/principals",
	 .role = API_VIEWER,
	 .flags = API_PAGED,
	 .query = list_query,
	 .handler = "principal_list",
	 .answer = &principal_schema,
	 .tag = "Principals",
	 .summary = "List the principals of your part of the tree"},
	{.id = "principal.show",
	 .method = "GET",
	 .path = "/v1/principals/{name}",
	 .role = API_VIEWER,
	 .params = name_param,
	 .handler = "principal_get",
	 .answer = &principal_schema,
	 .tag = "Principals",
	 .summary = "Show a principal"},
	{.id = "principal.update",
	 .method = "PATCH",
	 .path = "/v1/principals/{name}",
	 .role = API_ADMIN,
	 .flags = API_IF_MATCH,
	 .params = name_param,
	 .body = update_body,
	 .handler = "principal_update",
	 .prepare = prepare,
	 .answer = &principal_schema,
	 .tag = "Principals",
	 .summary = "Change a principal",
	 .doc = "Sessions that could not be begun as it is then end."},
	{.id = "principal.set_password",
	 .method = "POST",
	 .path = "/v1/principals/{name}:set-password",
	 .role = API_ADMIN,
	 .params = name_param,
	 .body = password_body,
	 .handler = "principal_set_password",
	 .prepare = prepare_other_password,
	 .finish = show_password,
	 .answer = &new_principal_schema,
	 .tag = "Principals",
	 .summary = "Set or generate a principal's password",
	 .doc = "Sessions that began with the one before end."},
	{.id = "principal.disable",
	 .method = "POST",
	 .path = "/v1/principals/{name}:disable",
	 .role = API_ADMIN,
	 .params = name_param,
	 .handler = "principal_disable",
	 .prepare = prepare,
	 .answer = &principal_schema,
	 .tag = "Principals",
	 .summary = "Let a principal log in no more",
	 .doc = "Its sessions end."},
	{.id = "principal.enable",
	 .method = "POST",
	 .path = "/v1/principals/{name}:enable",
	 .role = API_ADMIN,
	 .params = name_param,
	 .handler = "principal_enable",
	 .prepare = prepare,
	 .answer = &principal_schema,
	 .tag = "Principals",
	 .summary = "Let a principal log in again"},
	{.id = "principal.delete",
	 .method = "DELETE",
	 .path = "/v1/principals/{name}",
	 .role = API_ADMIN,
	 .flags = API_IF_MATCH,
	 .params = name_param,
	 .handler = "principal_delete",
	 .prepare = prepare,
	 .status = 204,
	 .tag = "Principals",
	 .summary = "Remove a principal",
	 .doc = "Its sessions end."},
};

const struct api_topic api_routes_principals = {routes, sizeof routes / sizeof *routes};
