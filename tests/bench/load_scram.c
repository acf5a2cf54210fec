/* SCRAM-SHA-256 (RFC 5802, RFC 7677) without channel binding, for passwords in ASCII. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "load.h"

#define KEY 32

/* The derived keys of the last salt. PBKDF2 costs milliseconds, and the salt hardly ever
 * changes. */
static struct {
	char salt[128];
	long iterations;
	uint8_t client_key[KEY], stored_key[KEY], server_key[KEY];
} derived;

static void hmac(const uint8_t *key, const char *text, uint8_t *out)
{
	unsigned len;

	if (!HMAC(EVP_sha256(), key, KEY, (const uint8_t *)text, strlen(text), out, &len))
		fail("HMAC failed");
}

static void derive(const char *password, const char *salt, long iterations)
{
	uint8_t raw[96], salted[KEY];
	unsigned len;

	if (iterations == derived.iterations && strcmp(salt, derived.salt) == 0)
		return;

	int raw_len = EVP_DecodeBlock(raw, (const uint8_t *)salt, (int)strlen(salt));
	if (raw_len < 3)
		fail("the server's salt is not base64");
	for (const char *end = salt + strlen(salt); end > salt && end[-1] == '='; end--)
		raw_len--;
	if (!PKCS5_PBKDF2_HMAC(password, (int)strlen(password), raw, raw_len, (int)iterations,
						   EVP_sha256(), KEY, salted))
		fail("PBKDF2 failed");
	hmac(salted, "Client Key", derived.client_key);
	hmac(salted, "Server Key", derived.server_key);
	if (!EVP_Digest(derived.client_key, KEY, derived.stored_key, &len, EVP_sha256(), NULL))
		fail("SHA-256 failed");
	snprintf(derived.salt, sizeof derived.salt, "%s", salt);
	derived.iterations = iterations;
}

size_t scram_first(struct scram *scram, char *out)
{
	uint8_t raw[18];

	if (RAND_bytes(raw, sizeof raw) != 1)
		fail("no random bytes");
	EVP_EncodeBlock((uint8_t *)scram->nonce, raw, sizeof raw);
	return (size_t)snprintf(out, SCRAM_MESSAGE_MAX, "n,,n=,r=%s", scram->nonce);
}

size_t scram_final(struct scram *scram, const char *password, const char *server_first,
				   char *out)
{
	char nonce[129], salt[97], without_proof[192], message[1024], proof64[45];
	long iterations;
	uint8_t signature[KEY], proof[KEY];

	if (sscanf(server_first, "r=%128[^,],s=%96[^,],i=%ld", nonce, salt, &iterations) != 3 ||
		iterations < 1 || iterations > 1000000 ||
		strncmp(nonce, scram->nonce, strlen(scram->nonce)) != 0)
		return 0;
	derive(password, salt, iterations);

	snprintf(without_proof, sizeof without_proof, "c=biws,r=%s", nonce);
	snprintf(message, sizeof message, "n=,r=%s,%s,%s", scram->nonce, server_first,
			 without_proof);
	hmac(derived.stored_key, message, signature);
	for (int i = 0; i < KEY; i++)
		proof[i] = derived.client_key[i] ^ signature[i];
	EVP_EncodeBlock((uint8_t *)proof64, proof, KEY);

	hmac(derived.server_key, message, signature);
	EVP_EncodeBlock((uint8_t *)scram->server_signature, signature, KEY);
	return (size_t)snprintf(out, SCRAM_MESSAGE_MAX, "%s,p=%s", without_proof, proof64);
}

bool scram_verify(const struct scram *scram, const char *server_final)
{
	return strncmp(server_final, "v=", 2) == 0 &&
		   strcmp(server_final + 2, scram->server_signature) == 0;
}
