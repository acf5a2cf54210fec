#include "admin/vault.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/buf.h"
#include "base/encode.h"
#include "base/secret.h"

#define VERSION    "v1"
#define NONCE_SIZE 12
#define TAG_SIZE   16

/* What a text is for; part of the associated data, so that neither is taken for the other. */
#define FOR_DATA_KEY "bulkhead data key"
#define FOR_VALUE    "bulkhead setting"

/* ---- the text ---- */

/* The parts of v1.KID.NONCE.DATA, pointing into it. */
struct parts {
	const char *kid, *nonce, *data;
	size_t kid_len, nonce_len, data_len;
};

static bool split(const char *text, struct parts *parts)
{
	const char *at = text + strlen(VERSION ".");

	if (strncmp(text, VERSION ".", strlen(VERSION ".")) != 0)
		return false;
	parts->kid = at;
	parts->kid_len = strcspn(at, ".");
	at += parts->kid_len;
	if (!*at || parts->kid_len == 0 || parts->kid_len > GUARD_KID_MAX)
		return false;
	parts->nonce = ++at;
	parts->nonce_len = strcspn(at, ".");
	at += parts->nonce_len;
	if (!*at)
		return false;
	parts->data = ++at;
	parts->data_len = strlen(at);
	return true;
}

char *vault_kid_of(const char *text)
{
	struct parts parts;

	return split(text, &parts) ? strndup(parts.kid, parts.kid_len) : NULL;
}

/* ---- AES-256-GCM ---- */

/* Each part with its length before it: no two lists of parts make the same bytes. */
static bool append_part(struct buf *out, const void *part, size_t len)
{
	return buf_append_u32(out, (uint32_t)len) && buf_append(out, part, len);
}

static bool make_associated(struct buf *out, const char *purpose, const struct uuid *tenant,
							const char *name)
{
	buf_init(out);
	return append_part(out, purpose, strlen(purpose)) &&
		   append_part(out, tenant->b, sizeof tenant->b) &&
		   append_part(out, name, strlen(name));
}

/* `out` has room for len bytes and the tag behind them. */
static bool encrypt(EVP_CIPHER_CTX *context, const unsigned char *key,
					const unsigned char nonce[NONCE_SIZE], struct buf *associated,
					const unsigned char *plain, int len, unsigned char *out)
{
	int part = 0, rest = 0;

	return EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
		   EVP_EncryptUpdate(context, NULL, &part, buf_data(associated),
							 (int)buf_len(associated)) == 1 &&
		   EVP_EncryptUpdate(context, out, &part, plain, len) == 1 &&
		   EVP_EncryptFinal_ex(context, out + part, &rest) == 1 && part + rest == len &&
		   EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, TAG_SIZE, out + len) == 1;
}

/* What stands in `out` after a failure is no plain text to be used: it is wiped by the caller.
 */
static bool decrypt(EVP_CIPHER_CTX *context, const unsigned char *key,
					const unsigned char nonce[NONCE_SIZE], struct buf *associated,
					unsigned char *data, int len, unsigned char *out)
{
	int part = 0, rest = 0;

	return EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
		   EVP_DecryptUpdate(context, NULL, &part, buf_data(associated),
							 (int)buf_len(associated)) == 1 &&
		   EVP_DecryptUpdate(context, out, &part, data, len) == 1 &&
		   EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, TAG_SIZE, data + len) == 1 &&
		   EVP_DecryptFinal_ex(context, out + part, &rest) == 1 && part + rest == len;
}

/* ---- sealing and opening texts ---- */

/* `data` is len bytes and the tag. */
static char *write_text(const char *kid, const unsigned char nonce[NONCE_SIZE],
						const unsigned char *data, size_t len)
{
	size_t size = strlen(VERSION) + strlen(kid) + BASE64_SIZE(NONCE_SIZE) +
				  BASE64_SIZE(len + TAG_SIZE) + 3;
	char *text = malloc(size);

	if (!text)
		return NULL;
	int at = snprintf(text, size, "%s.%s.", VERSION, kid);
	at += (int)base64_encode(nonce, NONCE_SIZE, text + at);
	text[at++] = '.';
	base64_encode(data, len + TAG_SIZE, text + at);
	return text;
}

static enum vault_result seal(const unsigned char *key, const char *kid, struct buf *associated,
							  const void *plain, size_t len, char **text)
{
	unsigned char nonce[NONCE_SIZE], *data = malloc(len + TAG_SIZE);
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	bool done = data && context;

	*text = NULL;
	secret_random(nonce, sizeof nonce);
	done = done && encrypt(context, key, nonce, associated, plain, (int)len, data);
	if (done)
		*text = write_text(kid, nonce, data, len);
	EVP_CIPHER_CTX_free(context); /* wipes the key's schedule */
	free(data);
	return *text ? VAULT_DONE : VAULT_FAILED;
}

/* `data` has room for all that the text can hold. */
static enum vault_result open_parts(const unsigned char *key, const struct parts *parts,
									struct buf *associated, unsigned char *data,
									unsigned char *plain, size_t *len)
{
	unsigned char nonce[NONCE_SIZE];
	long read = base64_decode(parts->data, parts->data_len, data, parts->data_len + 1);

	if (read < TAG_SIZE || base64_decode(parts->nonce, parts->nonce_len, nonce, sizeof nonce) !=
							   (long)sizeof nonce)
		return VAULT_BROKEN;

	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	if (!context)
		return VAULT_FAILED;
	*len = (size_t)read - TAG_SIZE;
	bool done = decrypt(context, key, nonce, associated, data, (int)*len, plain);
	EVP_CIPHER_CTX_free(context);
	return done ? VAULT_DONE : VAULT_BROKEN;
}

/* *plain is from malloc, with a NUL behind its *len bytes. */
static enum vault_result open_text(const unsigned char *key, const struct parts *parts,
								   struct buf *associated, unsigned char **plain, size_t *len)
{
	size_t room = parts->data_len + 1;
	unsigned char *data = malloc(room);
	enum vault_result result = VAULT_FAILED;

	*plain = malloc(room);
	if (data && *plain)
		result = open_parts(key, parts, associated, data, *plain, len);
	free(data);
	if (result == VAULT_DONE) {
		(*plain)[*len] = '\0';
	} else {
		if (*plain)
			secret_wipe(*plain, room);
		free(*plain);
		*plain = NULL;
	}
	return result;
}

/* ---- data keys ---- */

static enum vault_result wrap(const struct guard_keyring *master, const struct uuid *tenant,
							  const struct vault_key *key, char **wrapped)
{
	struct buf associated;
	enum vault_result result = VAULT_FAILED;

	*wrapped = NULL;
	if (make_associated(&associated, FOR_DATA_KEY, tenant, key->kid))
		result = seal(guard_keyring_key(master, 0), guard_keyring_kid(master, 0), &associated,
					  key->bytes, sizeof key->bytes, wrapped);
	buf_fini(&associated);
	return result;
}

enum vault_result vault_key_make(const struct guard_keyring *master, const struct uuid *tenant,
								 struct vault_key *key, char **wrapped)
{
	unsigned char name[(VAULT_KID_SIZE - 1) / 2];

	secret_random(name, sizeof name);
	hex_encode(name, sizeof name, key->kid);
	secret_random(key->bytes, sizeof key->bytes);
	enum vault_result result = wrap(master, tenant, key, wrapped);
	if (result != VAULT_DONE)
		secret_wipe(key, sizeof *key);
	return result;
}

static const unsigned char *find_master(const struct guard_keyring *master,
										const struct parts *parts)
{
	const char *kid;

	for (size_t i = 0; (kid = guard_keyring_kid(master, i)) != NULL; i++) {
		if (strlen(kid) == parts->kid_len && memcmp(kid, parts->kid, parts->kid_len) == 0)
			return guard_keyring_key(master, i);
	}
	return NULL;
}

enum vault_result vault_key_unwrap(const struct guard_keyring *master,
								   const struct uuid *tenant, const char *kid,
								   const char *wrapped, struct vault_key *key)
{
	enum vault_result result = VAULT_FAILED;
	unsigned char *plain = NULL;
	struct buf associated;
	struct parts parts;
	size_t len = 0;

	if (strlen(kid) >= sizeof key->kid || !split(wrapped, &parts))
		return VAULT_BROKEN;
	const unsigned char *with = find_master(master, &parts);
	if (!with)
		return VAULT_KEY_MISSING;
	if (make_associated(&associated, FOR_DATA_KEY, tenant, kid))
		result = open_text(with, &parts, &associated, &plain, &len);
	buf_fini(&associated);
	if (result == VAULT_DONE && len != sizeof key->bytes)
		result = VAULT_BROKEN;
	if (result == VAULT_DONE) {
		memcpy(key->kid, kid, strlen(kid) + 1);
		memcpy(key->bytes, plain, sizeof key->bytes);
	}
	if (plain)
		secret_wipe(plain, len);
	free(plain);
	return result;
}

enum vault_result vault_key_rewrap(const struct guard_keyring *master,
								   const struct uuid *tenant, const char *kid,
								   const char *wrapped, char **rewrapped)
{
	struct vault_key key;
	enum vault_result result = vault_key_unwrap(master, tenant, kid, wrapped, &key);

	*rewrapped = NULL;
	if (result == VAULT_DONE)
		result = wrap(master, tenant, &key, rewrapped);
	secret_wipe(&key, sizeof key);
	return result;
}

/* ---- values ---- */

enum vault_result vault_seal(const struct vault_key *key, const struct uuid *tenant,
							 const char *setting, const char *value, size_t len, char **sealed)
{
	struct buf associated;
	enum vault_result result = VAULT_FAILED;

	*sealed = NULL;
	if (len > VAULT_VALUE_MAX)
		return VAULT_FAILED;
	if (make_associated(&associated, FOR_VALUE, tenant, setting))
		result = seal(key->bytes, key->kid, &associated, value, len, sealed);
	buf_fini(&associated);
	return result;
}

enum vault_result vault_unseal(const struct vault_key *key, const struct uuid *tenant,
							   const char *setting, const char *sealed, char **value,
							   size_t *len)
{
	enum vault_result result = VAULT_FAILED;
	unsigned char *plain = NULL;
	struct buf associated;
	struct parts parts;

	*value = NULL;
	if (!split(sealed, &parts) || parts.kid_len != strlen(key->kid) ||
		memcmp(parts.kid, key->kid, parts.kid_len) != 0)
		return VAULT_BROKEN;
	if (make_associated(&associated, FOR_VALUE, tenant, setting))
		result = open_text(key->bytes, &parts, &associated, &plain, len);
	buf_fini(&associated);
	*value = (char *)plain;
	return result;
}
