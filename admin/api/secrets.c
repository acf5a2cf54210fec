#include "admin/api/secrets.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/api/api_internal.h"
#include "admin/api/call.h"
#include "admin/api/secret_fields.h"
#include "admin/vault.h"
#include "base/secret.h"

#define NO_MASTER                                                                              \
	"the master key that this needs is not at hand here: see [admin] master_key_file"

static const char *text_of(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

static bool read_uuid(const char *text, struct uuid *out)
{
	return text && uuid_parse(text, strlen(text), out);
}

/* ---- keys ---- */

/* Another process may have been given a newer file than the one that was read here last. */
static enum vault_result unwrap(struct api *api, const struct uuid *tenant, const char *kid,
								const char *wrapped, struct vault_key *key)
{
	enum vault_result result = VAULT_KEY_MISSING;

	if (!kid || !wrapped)
		return VAULT_BROKEN;
	if (api->master)
		result = vault_key_unwrap(api->master, tenant, kid, wrapped, key);
	if (result == VAULT_KEY_MISSING && api_read_master(api))
		result = vault_key_unwrap(api->master, tenant, kid, wrapped, key);
	return result;
}

struct trouble {
	int status;
	const char *reason, *detail;
};

static struct trouble trouble_of(enum vault_result result)
{
	switch (result) {
	case VAULT_KEY_MISSING:
		return (struct trouble){503, "BH-API-KEY-MISSING", NO_MASTER};
	case VAULT_BROKEN:
		return (struct trouble){
			503, "BH-API-SECRET-BROKEN",
			"a sensitive value cannot be opened: it was changed in the database, or was sealed "
			"for another tenant or setting, or the master key is another of the same name"};
	case VAULT_DONE:
	case VAULT_FAILED:
		break;
	}
	return (struct trouble){500, "BH-API-INTERNAL", "out of memory"};
}

static bool refuse(struct api_call *call, enum vault_result result)
{
	const struct trouble trouble = trouble_of(result);

	api_refuse(call, trouble.status, trouble.reason, NULL, "%s", trouble.detail);
	return false;
}

/* ---- what a value must be ---- */

static bool is_within(double number, const json_t *key)
{
	const json_t *minimum = json_object_get(key, "minimum"),
				 *maximum = json_object_get(key, "maximum");

	return (!json_is_number(minimum) || number >= json_number_value(minimum)) &&
		   (!json_is_number(maximum) || number <= json_number_value(maximum));
}

static bool is_choice(const char *text, json_t *choices)
{
	json_t *choice;
	size_t index;

	if (!json_is_array(choices))
		return true;
	json_array_foreach(choices, index, choice)
	{
		if (strcmp(json_string_value(choice), text) == 0)
			return true;
	}
	return false;
}

static size_t count_characters(const char *text)
{
	size_t count = 0;

	for (; *text; text++)
		count += ((unsigned char)*text & 0xc0) != 0x80;
	return count;
}

/* Beyond 2^53 a double is nothing else. */
static bool is_whole(double number)
{
	return number > 1e16 || number < -1e16 || (double)(int64_t)number == number;
}

/* As setting_is_value of the control schema has it: that one never sees what is sealed. */
static bool is_value(const json_t *value, const json_t *key)
{
	const char *type = text_of(key, "type"), *text = json_string_value(value);

	if (!type)
		return true; /* the application's own take anything */
	if (strcmp(type, "string") == 0)
		return text && is_choice(text, json_object_get(key, "choices")) &&
			   is_within((double)count_characters(text), key);
	if (strcmp(type, "boolean") == 0)
		return json_is_boolean(value);
	if (strcmp(type, "array") == 0)
		return json_is_array(value);
	if (strcmp(type, "object") == 0)
		return json_is_object(value);
	return json_is_number(value) && is_within(json_number_value(value), key) &&
		   (strcmp(type, "number") == 0 || json_is_integer(value) ||
			is_whole(json_number_value(value)));
}

/* ---- sealing ---- */

/* A request's values are sealed by one data key. */
struct sealing {
	struct api *api;
	json_t *more;
	const json_t *before;
	struct uuid tenant;
	bool has_key;
	struct vault_key key;
};

/* Why a value cannot be stored, as the constraints of the control schema are called. */
struct refusal {
	const char *constraint;
	char why[256];
};

static enum vault_result make_key(struct sealing *sealing)
{
	char *wrapped = NULL;

	if (!sealing->api->master)
		return VAULT_KEY_MISSING;
	enum vault_result result =
		vault_key_make(sealing->api->master, &sealing->tenant, &sealing->key, &wrapped);
	json_t *made = result == VAULT_DONE
					   ? json_pack("{s:s, s:s}", "kid", sealing->key.kid, "wrapped", wrapped)
					   : NULL;
	if (result == VAULT_DONE &&
		(!made || json_object_set(sealing->more, "data_key", made) != 0))
		result = VAULT_FAILED;
	json_decref(made);
	free(wrapped);
	return result;
}

static enum vault_result need_key(struct sealing *sealing)
{
	const json_t *known = json_object_get(sealing->before, "data_key");
	enum vault_result result;

	if (sealing->has_key)
		return VAULT_DONE;
	if (json_is_object(known))
		result = unwrap(sealing->api, &sealing->tenant, text_of(known, "kid"),
						text_of(known, "wrapped"), &sealing->key);
	else
		result = make_key(sealing);
	sealing->has_key = result == VAULT_DONE;
	return result;
}

static enum vault_result seal(struct sealing *sealing, const char *setting, const json_t *value,
							  json_t *made)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY), *sealed = NULL;
	enum vault_result result = text ? need_key(sealing) : VAULT_FAILED;

	if (result == VAULT_DONE)
		result =
			vault_seal(&sealing->key, &sealing->tenant, setting, text, strlen(text), &sealed);
	if (result == VAULT_DONE && json_object_set_new(made, "sealed", json_string(sealed)) != 0)
		result = VAULT_FAILED;
	secret_free(text);
	free(sealed);
	return result;
}

/* Whether the value is to be sealed; false where that cannot be. */
static bool decide(const char *setting, const json_t *key, const json_t *asked, bool *is_sealed,
				   struct refusal *refusal)
{
	bool is_registered = json_is_true(json_object_get(key, "registered"));
	bool is_sensitive = json_is_true(json_object_get(key, "sensitive"));

	*is_sealed = is_registered ? is_sensitive : json_is_true(json_object_get(key, "is_sealed"));
	if (is_registered && json_is_boolean(asked) && json_is_true(asked) != is_sensitive) {
		refusal->constraint = is_sensitive ? "setting_sensitive" : "setting_not_sensitive";
		snprintf(refusal->why, sizeof refusal->why,
				 "whether %s is sensitive was decided when it was registered", setting);
		return false;
	}
	/* What is no key at all is the database's to refuse. */
	if (!is_registered && json_is_boolean(asked))
		*is_sealed = json_is_true(asked) && strncmp(setting, "app.", 4) == 0;
	return true;
}

static bool check(const char *setting, const json_t *key, const json_t *value, bool is_sealed,
				  struct refusal *refusal)
{
	refusal->constraint = "setting_value";
	if (!is_sealed && json_object_get(value, "$enc")) {
		snprintf(refusal->why, sizeof refusal->why, "a value has no member $enc");
		return false;
	}
	if (is_sealed && !is_value(value, key)) {
		snprintf(refusal->why, sizeof refusal->why,
				 "this is no value of %s: see its type and bounds in /v1/setting-keys",
				 setting);
		return false;
	}
	return true;
}

/* Puts {value} or {sealed} into `made`; *result says whether a vault could not. */
static bool make(struct sealing *sealing, const char *setting, json_t *value,
				 const json_t *asked, json_t *made, enum vault_result *result,
				 struct refusal *refusal)
{
	const json_t *key = json_object_get(json_object_get(sealing->before, "keys"), setting);
	bool is_sealed = false;

	*result = VAULT_DONE;
	if (!decide(setting, key, asked, &is_sealed, refusal) ||
		!check(setting, key, value, is_sealed, refusal))
		return false;
	if (is_sealed)
		*result = seal(sealing, setting, value, made);
	else if (json_object_set(made, "value", value) != 0)
		*result = VAULT_FAILED;
	return true;
}

static bool begin(struct sealing *sealing, struct api_call *call, json_t *request,
				  const json_t *before)
{
	static const char *const names[] = {"value", "sealed", "data_key", "set"};

	*sealing = (struct sealing){
		.api = api_call_api(call), .more = json_object_get(request, "more"), .before = before};
	/* It may be done again. */
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		json_object_del(sealing->more, names[i]);
	if (read_uuid(text_of(before, "tenant_id"), &sealing->tenant) &&
		json_object_set(sealing->more, "tenant_id", json_object_get(before, "tenant_id")) == 0)
		return true;
	api_refuse(call, 500, "BH-API-INTERNAL", NULL, "what was prepared is not whole");
	return false;
}

bool secrets_prepare_value(struct api_call *call, json_t *request, json_t *before)
{
	const json_t *body = json_object_get(request, "body");
	const char *setting = text_of(json_object_get(request, "path"), "key");
	struct refusal refusal = {NULL, ""};
	enum vault_result result;
	struct sealing sealing;

	if (!begin(&sealing, call, request, before))
		return false;
	bool fits = make(&sealing, setting, json_object_get(body, "value"),
					 json_object_get(body, "sensitive"), sealing.more, &result, &refusal);
	secret_wipe(&sealing.key, sizeof sealing.key);
	if (!fits) {
		bool of_value = strcmp(refusal.constraint, "setting_value") == 0;

		api_refuse(call, 422, "BH-API-VALUE", of_value ? "body.value" : "body.sensitive", "%s",
				   refusal.why);
		return false;
	}
	return result == VAULT_DONE || refuse(call, result);
}

/* One of body.set. */
static enum vault_result make_item(struct sealing *sealing, const json_t *item, json_t *list)
{
	struct refusal refusal = {NULL, ""};
	enum vault_result result = VAULT_FAILED;
	json_t *made = json_object();

	if (made && !make(sealing, text_of(item, "key"), json_object_get(item, "value"),
					  json_object_get(item, "sensitive"), made, &result, &refusal))
		json_object_set_new(
			made, "refused",
			json_pack("{s:s, s:s}", "refusal", refusal.constraint, "why", refusal.why));
	if (json_array_append_new(list, made) != 0)
		result = VAULT_FAILED;
	return result;
}

bool secrets_prepare_batch(struct api_call *call, json_t *request, json_t *before)
{
	json_t *set = json_object_get(json_object_get(request, "body"), "set"), *item;
	json_t *list = json_array();
	enum vault_result result = VAULT_DONE;
	struct sealing sealing;
	size_t index;

	if (!begin(&sealing, call, request, before)) {
		json_decref(list);
		return false;
	}
	json_array_foreach(set, index, item)
	{
		if (result == VAULT_DONE)
			result = make_item(&sealing, item, list);
	}
	secret_wipe(&sealing.key, sizeof sealing.key);
	if (json_object_set_new(sealing.more, "set", list) != 0 && result == VAULT_DONE)
		result = VAULT_FAILED;
	return result == VAULT_DONE || refuse(call, result);
}

/* ---- opening ---- */

static enum vault_result open_value(struct api *api, const json_t *sealed, json_t **value)
{
	const char *setting = text_of(sealed, "key"), *text = text_of(sealed, "text");
	char *plain = NULL;
	struct vault_key key;
	struct uuid tenant;
	size_t len = 0;

	*value = NULL;
	if (!setting || !text || !read_uuid(text_of(sealed, "tenant_id"), &tenant))
		return VAULT_BROKEN;
	enum vault_result result =
		unwrap(api, &tenant, text_of(sealed, "kid"), text_of(sealed, "wrapped"), &key);
	if (result == VAULT_DONE)
		result = vault_unseal(&key, &tenant, setting, text, &plain, &len);
	secret_wipe(&key, sizeof key);
	if (result == VAULT_DONE) {
		*value = json_loadb(plain, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		result = *value ? VAULT_DONE : VAULT_BROKEN;
	}
	secret_free(plain);
	return result;
}

/*
 * An object of the answer that may have a value, and those that it holds: only where handlers
 * put such, never within a value, which is anybody's to make up.
 */
static enum vault_result open_place(struct api *api, json_t *place)
{
	static const char *const within[] = {"own", "before", "after", "here", "there"};
	json_t *sealed = json_object_get(place, "sealed"), *value;
	enum vault_result result = VAULT_DONE;

	if (!json_is_object(place))
		return VAULT_DONE;
	if (json_is_object(sealed)) {
		result = open_value(api, sealed, &value);
		if (result == VAULT_DONE && (json_object_set_new(place, "value", value) != 0 ||
									 json_object_set_new(place, "revealed", json_true()) != 0))
			result = VAULT_FAILED;
	}
	json_object_del(place, "sealed");
	for (size_t i = 0; result == VAULT_DONE && i < sizeof within / sizeof *within; i++)
		result = open_place(api, json_object_get(place, within[i]));
	return result;
}

void secrets_finish(struct api_call *call, json_t *request, json_t *answer)
{
	json_t *items = json_object_get(answer, "items"), *item;
	struct api *api = api_call_api(call);
	enum vault_result result = open_place(api, answer);
	size_t index;

	(void)request;
	json_array_foreach(items, index, item)
	{
		if (result == VAULT_DONE)
			result = open_place(api, item);
	}
	if (result != VAULT_DONE) {
		const struct trouble trouble = trouble_of(result);

		api_fail(call, trouble.status, trouble.reason, "%s", trouble.detail);
	}
}

/* ---- master keys ---- */

bool secrets_prepare_rewrap(struct api_call *call, json_t *request, json_t *before)
{
	struct api *api = api_call_api(call);

	(void)before;
	api_read_master(api);
	if (!api->master)
		return refuse(call, VAULT_KEY_MISSING);
	return json_object_set_new(json_object_get(request, "more"), "master_kid",
							   json_string(guard_keyring_kid(api->master, 0))) == 0 ||
		   refuse(call, VAULT_FAILED);
}

static bool is_in_file(const struct api *api, const char *name)
{
	const char *kid;

	for (size_t i = 0; api->master && (kid = guard_keyring_kid(api->master, i)) != NULL; i++) {
		if (name && strcmp(kid, name) == 0)
			return true;
	}
	return false;
}

void secrets_finish_masters(struct api_call *call, json_t *request, json_t *answer)
{
	json_t *items = json_object_get(answer, "items"), *item;
	struct api *api = api_call_api(call);
	size_t index;

	(void)request;
	api_read_master(api);
	json_object_set_new(answer, "current",
						api->master ? json_string(guard_keyring_kid(api->master, 0))
									: json_null());
	json_array_foreach(items, index, item) json_object_set_new(
		item, "in_file", json_boolean(is_in_file(api, text_of(item, "kid"))));
}
