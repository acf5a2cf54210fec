#include "router/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/secret.h"
#include "policy/guard/guard.h"
#include "router/directory_state.h"
#include "router/permissions.h"
#include "router/tenant_limits.h"

#define MAGIC    "bulkhead-directory-3 "
#define MAC_SIZE 32
#define MAC_HEX  ((size_t)2 * MAC_SIZE)

static bool sign(const uint8_t key[SNAPSHOT_KEY_SIZE], const char *text, char hex[MAC_HEX + 1])
{
	unsigned char mac[MAC_SIZE];
	unsigned size = 0;

	if (!HMAC(EVP_sha256(), key, SNAPSHOT_KEY_SIZE, (const unsigned char *)text, strlen(text),
			  mac, &size))
		return false;
	hex_encode(mac, sizeof mac, hex);
	return true;
}

/* ---- writing ---- */

static json_t *text_of(const char *text)
{
	return text ? json_string(text) : json_null();
}

static json_t *id_of(const struct uuid *id)
{
	char hex[UUID_HEX_SIZE];

	uuid_hex(id, hex);
	return json_string(hex);
}

static json_t *tokens_of(const struct holding *holding)
{
	json_t *tokens = json_array();

	list_each (node, next, &holding->tokens)
		json_array_append_new(tokens,
							  json_string(list_entry(node, struct token, of_holding)->text));
	return tokens;
}

static json_t *tenant_of(const struct holding *holding)
{
	const struct tenant *tenant = holding->subject.tenant;
	json_t *path = json_array();

	for (size_t i = 0; i < tenant->depth; i++)
		json_array_append_new(path, id_of(&tenant->path[i]));
	return json_pack("{so so ss so ss so so sb si si sI so so sI so}", "id", id_of(&tenant->id),
					 "path", path, "slug", tenant->slug, "key", text_of(tenant->key), "cluster",
					 tenant->cluster, "region", text_of(tenant->region), "login_kid",
					 text_of(tenant->login_kid), "dedicated_login",
					 (int)tenant->dedicated_login, "strategy", (int)tenant->strategy, "status",
					 (int)tenant->status, "pool_weight", (json_int_t)tenant->pool_weight,
					 "permissions", permissions_write(&tenant->permissions), "limits",
					 tenant_limits_write(&tenant->limits), "version",
					 (json_int_t)holding->version, "tokens", tokens_of(holding));
}

static json_t *principal_of(const struct holding *holding)
{
	const struct principal *principal = holding->subject.principal;
	json_t *names = principal->certificate_names ? json_array() : json_null();
	json_t *tenants = principal->tenants ? json_array() : json_null();

	for (char **name = principal->certificate_names; name && *name; name++)
		json_array_append_new(names, json_string(*name));
	for (size_t i = 0; i < principal->tenant_count; i++)
		json_array_append_new(tenants, id_of(&principal->tenants[i]));
	return json_pack("{ss so so si sb si so so sI sI}", "name", principal->name, "verifier",
					 text_of(principal->verifier), "home", id_of(&principal->home), "reach",
					 (int)principal->reach, "disabled", (int)principal->disabled,
					 "max_connections", principal->max_connections, "certificate_names", names,
					 "tenants", tenants, "valid_until_ms",
					 (json_int_t)principal->valid_until_ms, "version",
					 (json_int_t)holding->version);
}

/* The caller holds the lock. */
static json_t *holdings_of(struct directory *directory, enum directory_kind kind)
{
	json_t *all = json_array();
	struct holding *holding, *next;

	HASH_ITER (hh, directory->caches[kind].by_key, holding, next)
		json_array_append_new(all, kind == DIRECTORY_TENANT ? tenant_of(holding)
															: principal_of(holding));
	return all;
}

/* How old what is held is at the least: it is known to be true up to then. */
static int64_t proved_ms(const struct directory *directory)
{
	int64_t age_us = directory->fed ? 0 : clock_monotonic_us() - directory->proved_us;

	return clock_wall_ms() - age_us / 1000;
}

/* From malloc, or NULL when memory is out. */
static char *describe(struct directory *directory)
{
	pthread_mutex_lock(&directory->lock);
	json_t *all = json_pack("{sI so so}", "proved_ms", (json_int_t)proved_ms(directory),
							"tenants", holdings_of(directory, DIRECTORY_TENANT), "principals",
							holdings_of(directory, DIRECTORY_PRINCIPAL));
	pthread_mutex_unlock(&directory->lock);
	char *text = all ? json_dumps(all, JSON_COMPACT) : NULL;
	json_decref(all);
	return text;
}

bool snapshot_write(struct directory *directory, const char *path,
					const uint8_t key[SNAPSHOT_KEY_SIZE], const char **why)
{
	char mac[MAC_HEX + 1], *text = describe(directory);
	struct buf out;

	buf_init(&out);
	*why = "out of memory";
	bool ok = text && sign(key, text, mac) && buf_append(&out, MAGIC, sizeof MAGIC - 1) &&
			  buf_append(&out, mac, MAC_HEX) && buf_append_byte(&out, ' ') &&
			  buf_append(&out, text, strlen(text)) && buf_append_byte(&out, '\n') &&
			  secret_write_file(path, (const char *)buf_data(&out), buf_len(&out), why);
	buf_wipe(&out);
	secret_free(text);
	return ok;
}

/* ---- reading ---- */

static bool read_id(const json_t *value, struct uuid *out)
{
	const char *text = json_string_value(value);

	return text && uuid_parse(text, strlen(text), out);
}

static bool read_path(const json_t *value, struct tenant *tenant)
{
	size_t count = json_array_size(value);

	if (!count || count > TENANT_DEPTH_MAX)
		return false;
	for (; tenant->depth < count; tenant->depth++)
		if (!read_id(json_array_get(value, tenant->depth), &tenant->path[tenant->depth]))
			return false;
	return uuid_equal(&tenant->path[count - 1], &tenant->id);
}

/* A copy; null stays NULL. */
static bool copy_text(const json_t *value, char **out)
{
	const char *text = json_string_value(value);

	*out = text ? strdup(text) : NULL;
	return json_is_null(value) || *out;
}

static bool fill_tenant(const json_t *value, struct tenant *tenant)
{
	json_t *id, *path, *key, *region, *kid, *permissions;
	const char *slug, *cluster;
	int strategy, status, dedicated;
	json_int_t weight, version;

	if (json_unpack((json_t *)value, "{so so ss so ss so so sb si si sI so sI}", "id", &id,
					"path", &path, "slug", &slug, "key", &key, "cluster", &cluster, "region",
					&region, "login_kid", &kid, "dedicated_login", &dedicated, "strategy",
					&strategy, "status", &status, "pool_weight", &weight, "permissions",
					&permissions, "version", &version) != 0 ||
		!read_id(id, &tenant->id) || !read_path(path, tenant) ||
		!copy_text(key, &tenant->key) || !copy_text(region, &tenant->region) ||
		!copy_text(kid, &tenant->login_kid) ||
		!permissions_read(permissions, &tenant->permissions) ||
		!tenant_limits_read(json_object_get(value, "limits"), &tenant->limits) ||
		strategy < SHARED_RLS || strategy > DATABASE_PER_TENANT ||
		status < TENANT_PROVISIONING || status > TENANT_PURGING || weight < 1 ||
		weight > UINT16_MAX)
		return false;
	tenant->dedicated_login = dedicated;
	tenant->slug = strdup(slug);
	tenant->cluster = strdup(cluster);
	tenant->seal = guard_seal(&tenant->id, tenant->key);
	tenant->strategy = (enum tenant_strategy)strategy;
	tenant->status = (enum tenant_status)status;
	tenant->pool_weight = (unsigned)weight;
	tenant->version = version;
	return tenant->slug && tenant->cluster && tenant->seal;
}

static const struct tenant *read_tenant(const json_t *value)
{
	struct tenant *tenant = calloc(1, sizeof *tenant);

	if (!tenant)
		return NULL;
	atomic_init(&tenant->references, 1);
	if (fill_tenant(value, tenant))
		return tenant;
	tenant_unref(tenant);
	return NULL;
}

static bool fill_principal(const json_t *value, struct principal *principal)
{
	json_t *verifier, *home, *names = NULL, *tenants = NULL;
	const char *name;
	int reach, disabled;
	json_int_t valid_until, version;

	/* Programs from before these were there wrote none of them. */
	if (json_unpack((json_t *)value, "{ss so so si sb s?i s?o s?o sI sI}", "name", &name,
					"verifier", &verifier, "home", &home, "reach", &reach, "disabled",
					&disabled, "max_connections", &principal->max_connections,
					"certificate_names", &names, "tenants", &tenants, "valid_until_ms",
					&valid_until, "version", &version) != 0 ||
		strlen(name) > PRINCIPAL_NAME_MAX || !copy_text(verifier, &principal->verifier) ||
		!read_id(home, &principal->home) || reach < REACH_SELF || reach > REACH_ALL ||
		!principal_read_names(names, principal) || !principal_read_tenants(tenants, principal))
		return false;
	principal->name = strdup(name);
	principal->reach = (enum reach)reach;
	principal->disabled = disabled;
	principal->valid_until_ms = valid_until;
	principal->version = version;
	return principal->name != NULL;
}

static const struct principal *read_principal(const json_t *value)
{
	struct principal *principal = calloc(1, sizeof *principal);

	if (!principal)
		return NULL;
	atomic_init(&principal->references, 1);
	if (fill_principal(value, principal))
		return principal;
	principal_unref(principal);
	return NULL;
}

/* Holds the subject under these words; takes its reference over. */
static bool keep(struct directory *directory, enum directory_kind kind, struct subject subject,
				 const json_t *tokens)
{
	struct holding *holding =
		subject_is_known(subject) ? directory_take_in(directory, kind, subject) : NULL;
	struct cache *cache = &directory->caches[kind];

	subject_unref(subject);
	if (!holding)
		return false;
	char key[SUBJECT_KEY_SIZE];
	memcpy(key, holding->key, strlen(holding->key) + 1);
	cache_name(cache, key, holding, 0);
	for (size_t i = 0; i < json_array_size(tokens); i++) {
		const char *text = json_string_value(json_array_get(tokens, i));

		holding = cache_holding(cache, key);
		if (!text || !holding)
			return false;
		cache_name(cache, text, holding, 0);
	}
	return true;
}

static bool take_all(struct directory *directory, const json_t *tenants,
					 const json_t *principals)
{
	static const struct subject nobody;
	bool ok = json_is_array(tenants) && json_is_array(principals);

	for (size_t i = 0; ok && i < json_array_size(tenants); i++) {
		const json_t *value = json_array_get(tenants, i);
		struct subject subject = nobody;

		subject.tenant = read_tenant(value);
		ok = keep(directory, DIRECTORY_TENANT, subject, json_object_get(value, "tokens"));
	}
	for (size_t i = 0; ok && i < json_array_size(principals); i++) {
		struct subject subject = nobody;

		subject.principal = read_principal(json_array_get(principals, i));
		ok = keep(directory, DIRECTORY_PRINCIPAL, subject, NULL);
	}
	return ok;
}

static void forget_all(struct directory *directory)
{
	for (int kind = 0; kind < KINDS; kind++) {
		int limit = directory->caches[kind].known.limit;

		cache_fini(&directory->caches[kind]);
		cache_init(&directory->caches[kind], limit);
	}
}

static bool take_in(struct directory *directory, const char *text)
{
	json_t *all = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	json_int_t proved = json_integer_value(json_object_get(all, "proved_ms"));
	int64_t age_ms = clock_wall_ms() - proved;

	pthread_mutex_lock(&directory->lock);
	bool ok = proved > 0 && take_all(directory, json_object_get(all, "tenants"),
									 json_object_get(all, "principals"));
	if (ok)
		directory->proved_us = clock_monotonic_us() - (age_ms > 0 ? age_ms : 0) * 1000;
	else
		forget_all(directory);
	pthread_mutex_unlock(&directory->lock);
	json_decref(all);
	return ok;
}

/* The signed part, or NULL when the signature does not fit. */
static const char *signed_part(const char *content, const uint8_t key[SNAPSHOT_KEY_SIZE])
{
	const char *mac = content + sizeof MAGIC - 1, *text = mac + MAC_HEX + 1;
	char wanted[MAC_HEX + 1];

	if (strncmp(content, MAGIC, sizeof MAGIC - 1) != 0 ||
		strnlen(mac, MAC_HEX + 1) <= MAC_HEX || mac[MAC_HEX] != ' ' ||
		!sign(key, text, wanted) || !secret_equal(mac, wanted, MAC_HEX))
		return NULL;
	return text;
}

bool snapshot_read(struct directory *directory, const char *path,
				   const uint8_t key[SNAPSHOT_KEY_SIZE], const char **why)
{
	if (access(path, F_OK) != 0 && errno == ENOENT)
		return true;
	char *content = secret_read_file(path, SNAPSHOT_SIZE_MAX, why);
	if (!content)
		return false;
	const char *text = signed_part(content, key);
	bool ok = text && take_in(directory, text);
	if (!ok)
		*why = text ? "it does not fit this version of the program, or memory is out"
					: "it was changed, or written under another key";
	secret_free(content);
	return ok;
}

uint64_t snapshot_changes(struct directory *directory)
{
	pthread_mutex_lock(&directory->lock);
	uint64_t changes = directory->changes;
	pthread_mutex_unlock(&directory->lock);
	return changes;
}
