/*
 * The parameters of bulkhead.enter. How the message is written is said in enter.sql, beside the
 * half that checks it; HMAC is RFC 2104 with SHA-256.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/encode.h"
#include "base/secret.h"
#include "policy/guard/guard.h"
#include "policy/guard/keyring.h"

#define MAC_SIZE 32

const char guard_enter_sql[] = "SELECT bulkhead.enter($1,$2,$3,$4,$5)";
const char guard_discard_sql[] = "DISCARD ALL";

const char guard_clear_sql[] =
	"CLOSE ALL;SET SESSION AUTHORIZATION DEFAULT;RESET ALL;DEALLOCATE ALL;UNLISTEN *;"
	"SELECT pg_catalog.pg_advisory_unlock_all();DISCARD TEMP;DISCARD SEQUENCES";

bool guard_clears(const char *tag)
{
	return strcmp(tag, "DISCARD SEQUENCES") == 0 || strcmp(tag, "DISCARD ALL") == 0;
}

enum { VALUE_KID, VALUE_TENANT, VALUE_KEY, VALUE_EXPIRES, VALUE_MAC };

static bool hmac_sha256(const unsigned char key[GUARD_KEY_SIZE], const void *data, size_t len,
						unsigned char mac[MAC_SIZE])
{
	unsigned int size = 0;

	return HMAC(EVP_sha256(), key, GUARD_KEY_SIZE, data, len, mac, &size) && size == MAC_SIZE;
}

bool guard_derive_key(const struct guard_keyring *keyring, size_t place,
					  const struct uuid *tenant, unsigned char out[GUARD_KEY_SIZE])
{
	const struct guard_key *key = &keyring->keys[place];
	char id[UUID_HEX_SIZE];

	_Static_assert(MAC_SIZE == GUARD_KEY_SIZE, "a mac serves as a key");
	if (!guard_keyring_signs_for(keyring, tenant))
		return false;
	if (keyring->bound) {
		memcpy(out, key->bytes, GUARD_KEY_SIZE);
		return true;
	}
	uuid_hex(tenant, id);
	return hmac_sha256(key->bytes, id, strlen(id), out);
}

bool guard_mock_secret(const struct guard_keyring *keyring, uint8_t secret[GUARD_KEY_SIZE])
{
	static const char purpose[] = "bulkhead.mock_scram.1";

	return hmac_sha256(keyring->keys[0].bytes, purpose, sizeof purpose - 1, secret);
}

bool guard_snapshot_key(const struct guard_keyring *keyring, size_t place,
						uint8_t key[GUARD_KEY_SIZE])
{
	static const char purpose[] = "bulkhead.snapshot.1";

	return place < keyring->count &&
		   hmac_sha256(keyring->keys[place].bytes, purpose, sizeof purpose - 1, key);
}

static char *hex_text(const void *data, size_t len)
{
	char *hex = len < SIZE_MAX / 2 ? malloc(2 * len + 1) : NULL;

	if (hex)
		hex_encode(data, len, hex);
	return hex;
}

static char *expires_text(int64_t expires_ms)
{
	struct buf text;
	char *copy = NULL;

	buf_init(&text);
	if (buf_appendf(&text, "%" PRId64, expires_ms) && buf_append_byte(&text, '\0'))
		copy = strdup((const char *)buf_data(&text));
	buf_fini(&text);
	return copy;
}

static bool write_message(struct buf *message, char *const values[],
						  const struct guard_server *server, const char *database,
						  int backend_pid)
{
	char *kid = hex_text(values[VALUE_KID], strlen(values[VALUE_KID]));
	char *base = hex_text(database, strlen(database));
	bool written = kid && base &&
				   buf_appendf(message, "bulkhead.enter.1:%s:%s:%s:%d:%s:%s:%s", kid,
							   server->id, base, backend_pid, values[VALUE_TENANT],
							   values[VALUE_KEY], values[VALUE_EXPIRES]);

	free(kid);
	free(base);
	return written;
}

static char *sign(const struct guard_keyring *keyring, const struct uuid *tenant,
				  struct buf *message)
{
	unsigned char key[GUARD_KEY_SIZE], mac[MAC_SIZE];
	char *hex = NULL;

	if (guard_derive_key(keyring, 0, tenant, key) &&
		hmac_sha256(key, buf_data(message), buf_len(message), mac))
		hex = hex_text(mac, sizeof mac);
	secret_wipe(key, sizeof key);
	secret_wipe(mac, sizeof mac);
	return hex;
}

bool guard_enter_init(struct guard_enter *enter, const struct guard_keyring *keyring,
					  const struct guard_server *server, const char *database, int backend_pid,
					  const struct uuid *tenant, const char *key, int64_t expires_ms)
{
	char **values = enter->values;
	char id[UUID_HEX_SIZE];
	struct buf message;

	uuid_hex(tenant, id);
	values[VALUE_KID] = strdup(keyring->keys[0].kid);
	values[VALUE_TENANT] = strdup(id);
	values[VALUE_KEY] = hex_text(key ? key : "", key ? strlen(key) : 0);
	values[VALUE_EXPIRES] = expires_text(expires_ms);
	values[VALUE_MAC] = NULL;

	buf_init(&message);
	if (values[VALUE_KID] && values[VALUE_TENANT] && values[VALUE_KEY] &&
		values[VALUE_EXPIRES] && write_message(&message, values, server, database, backend_pid))
		values[VALUE_MAC] = sign(keyring, tenant, &message);
	buf_fini(&message);

	if (!values[VALUE_MAC]) {
		guard_enter_fini(enter);
		return false;
	}
	return true;
}

void guard_enter_fini(struct guard_enter *enter)
{
	for (size_t i = 0; i < GUARD_ENTER_PARAMS; i++) {
		secret_free(enter->values[i]);
		enter->values[i] = NULL;
	}
}

char *guard_seal(const struct uuid *tenant, const char *key)
{
	size_t len = key ? strlen(key) : 0;
	char *seal = len < SIZE_MAX / 4 ? malloc(UUID_HEX_SIZE + 2 * len + 1) : NULL;

	if (!seal)
		return NULL;
	uuid_hex(tenant, seal);
	seal[UUID_HEX_SIZE - 1] = ',';
	hex_encode(key ? key : "", len, seal + UUID_HEX_SIZE);
	return seal;
}
