#include "policy/guard/own_login.h"

#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/encode.h"
#include "base/secret.h"
#include "policy/guard/keyring.h"

void own_name(const struct uuid *tenant, char out[OWN_NAME_SIZE])
{
	out[0] = 't';
	out[1] = '_';
	uuid_hex(tenant, out + 2);
}

bool own_password(const struct guard_keyring *secret, size_t place, const struct uuid *tenant,
				  char out[OWN_PASSWORD_SIZE])
{
	static const char purpose[] = "bulkhead.own_login.1";
	unsigned char key[GUARD_KEY_SIZE], mac[GUARD_KEY_SIZE];
	unsigned int size = 0;
	bool done = place < secret->count && guard_derive_key(secret, place, tenant, key) &&
				HMAC(EVP_sha256(), key, sizeof key, (const unsigned char *)purpose,
					 sizeof purpose - 1, mac, &size) &&
				size == sizeof mac;

	if (done)
		hex_encode(mac, sizeof mac, out);
	secret_wipe(key, sizeof key);
	secret_wipe(mac, sizeof mac);
	return done;
}

size_t own_password_place(const struct guard_keyring *secret, const char *kid)
{
	for (size_t i = 0; kid && i < secret->count; i++)
		if (strcmp(secret->keys[i].kid, kid) == 0)
			return i;
	return 0;
}
