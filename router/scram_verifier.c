/*
 * scram_verifier.c: from passwords to keys, and the verifiers that are stored.
 */
#include "router/scram_verifier.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stringprep.h>

#include "base/encode.h"
#include "base/secret.h"
#include "base/utf8.h"

#define VERIFIER_PREFIX SCRAM_MECHANISM "$"
#define VERIFIER_SALT   16 /* bytes; the server's own choice, so that ours look the same */

bool scram_hmac(const uint8_t key[SCRAM_KEY_SIZE], const void *data, size_t len,
				uint8_t out[SCRAM_KEY_SIZE])
{
	unsigned int size = SCRAM_KEY_SIZE;

	return HMAC(EVP_sha256(), key, SCRAM_KEY_SIZE, data, len, out, &size) != NULL;
}

bool scram_hash(const uint8_t in[SCRAM_KEY_SIZE], uint8_t out[SCRAM_KEY_SIZE])
{
	return EVP_Digest(in, SCRAM_KEY_SIZE, out, NULL, EVP_sha256(), NULL) == 1;
}

static bool is_ascii(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text > 0x7f)
			return false;
	return true;
}

#define PROFILE_STEPS_MAX 32

/*
 * libidn's SASLprep profile without its normalization step. PostgreSQL looks for what is
 * prohibited, unassigned or of mixed direction before it normalizes, libidn afterwards; they
 * differ for a few characters (U+0340, U+FB1D), and a password must give the keys that the
 * server has.
 */
static bool map_and_check(char *text)
{
	Stringprep_profile steps[PROFILE_STEPS_MAX];
	size_t count = 0;

	memset(steps, 0, sizeof steps);
	for (const Stringprep_profile *step = stringprep_saslprep; step->operation; step++) {
		if (step->operation == STRINGPREP_NFKC)
			continue;
		if (count == PROFILE_STEPS_MAX - 1)
			return false;
		steps[count++] = *step;
	}
	/* Mapping never makes a text longer. */
	return stringprep(text, strlen(text) + 1, STRINGPREP_NO_UNASSIGNED, steps) == STRINGPREP_OK;
}

/*
 * Gives the password as SASLprep (RFC 4013) leaves it, or NULL when it is to be used as it is:
 * because preparing would change nothing, or because PostgreSQL could not prepare it either.
 * False when memory is out.
 */
static bool prepare(const char *password, char **prepared)
{
	*prepared = NULL;
	if (is_ascii(password) || !utf8_valid(password, strlen(password)))
		return true;

	char *mapped = strdup(password);
	if (!mapped)
		return false;

	bool usable = map_and_check(mapped) && *mapped;
	if (usable)
		*prepared = stringprep_utf8_nfkc_normalize(mapped, -1);
	secret_free(mapped);
	return !usable || *prepared;
}

static bool salt_password(const char *password, const uint8_t *salt, size_t salt_len,
						  int iterations, uint8_t out[SCRAM_KEY_SIZE])
{
	size_t len = strlen(password);

	return len <= INT_MAX &&
		   PKCS5_PBKDF2_HMAC(password, (int)len, salt, (int)salt_len, iterations, EVP_sha256(),
							 SCRAM_KEY_SIZE, out) == 1;
}

bool scram_derive(const char *password, const uint8_t *salt, size_t salt_len, int iterations,
				  struct scram_keys *keys)
{
	uint8_t salted[SCRAM_KEY_SIZE];
	char *prepared;

	memset(keys, 0, sizeof *keys);
	bool ok =
		prepare(password, &prepared) && salt_len <= SCRAM_SALT_MAX && iterations >= 1 &&
		iterations <= SCRAM_ITERATIONS_MAX &&
		salt_password(prepared ? prepared : password, salt, salt_len, iterations, salted) &&
		scram_hmac(salted, "Client Key", 10, keys->client_key) &&
		scram_hmac(salted, "Server Key", 10, keys->server_key);

	secret_wipe(salted, sizeof salted);
	secret_free(prepared);
	if (!ok) {
		secret_wipe(keys, sizeof *keys);
		return false;
	}
	keys->iterations = iterations;
	keys->salt_len = salt_len;
	memcpy(keys->salt, salt, salt_len);
	return true;
}

bool scram_read_iterations(const char *text, size_t len, int *out)
{
	int value = 0;

	if (len == 0 || text[0] == '0')
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (text[i] - '0');
		if (value > SCRAM_ITERATIONS_MAX)
			return false;
	}
	*out = value;
	return true;
}

bool scram_read_key(const char *text, size_t len, uint8_t out[SCRAM_KEY_SIZE])
{
	return base64_decode(text, len, out, SCRAM_KEY_SIZE) == SCRAM_KEY_SIZE;
}

bool scram_read_salt(const char *text, size_t len, uint8_t out[SCRAM_SALT_MAX], size_t *out_len)
{
	long got = base64_decode(text, len, out, SCRAM_SALT_MAX);

	if (got < 1)
		return false;
	*out_len = (size_t)got;
	return true;
}

bool scram_verifier_parse(const char *text, struct scram_verifier *out)
{
	static const size_t prefix = sizeof VERIFIER_PREFIX - 1;

	memset(out, 0, sizeof *out);
	if (strncmp(text, VERIFIER_PREFIX, prefix) != 0)
		return false;

	const char *iterations = text + prefix;
	size_t iterations_len = strcspn(iterations, ":$");
	const char *salt = iterations + iterations_len + 1;
	if (iterations[iterations_len] != ':')
		return false;
	size_t salt_len = strcspn(salt, ":$");
	const char *stored = salt + salt_len + 1;
	if (salt[salt_len] != '$')
		return false;
	size_t stored_len = strcspn(stored, ":$");
	const char *server = stored + stored_len + 1;
	if (stored[stored_len] != ':')
		return false;

	if (scram_read_iterations(iterations, iterations_len, &out->iterations) &&
		scram_read_salt(salt, salt_len, out->salt, &out->salt_len) &&
		scram_read_key(stored, stored_len, out->stored_key) &&
		scram_read_key(server, strlen(server), out->server_key))
		return true;
	secret_wipe(out, sizeof *out);
	return false;
}

static char *verifier_text(const struct scram_keys *keys,
						   const uint8_t stored_key[SCRAM_KEY_SIZE])
{
	char salt[BASE64_SIZE(SCRAM_SALT_MAX)];
	char stored[BASE64_SIZE(SCRAM_KEY_SIZE)], server[BASE64_SIZE(SCRAM_KEY_SIZE)];
	char *text = NULL;

	base64_encode(keys->salt, keys->salt_len, salt);
	base64_encode(stored_key, SCRAM_KEY_SIZE, stored);
	base64_encode(keys->server_key, SCRAM_KEY_SIZE, server);
	if (asprintf(&text, VERIFIER_PREFIX "%d:%s$%s:%s", keys->iterations, salt, stored, server) <
		0)
		text = NULL;
	secret_wipe(stored, sizeof stored);
	secret_wipe(server, sizeof server);
	return text;
}

char *scram_verifier_create(const char *password, int iterations)
{
	struct scram_keys keys;
	uint8_t salt[VERIFIER_SALT], stored_key[SCRAM_KEY_SIZE];
	char *text = NULL;

	secret_random(salt, sizeof salt);
	if (scram_derive(password, salt, sizeof salt, iterations, &keys) &&
		scram_hash(keys.client_key, stored_key))
		text = verifier_text(&keys, stored_key);
	secret_wipe(&keys, sizeof keys);
	secret_wipe(stored_key, sizeof stored_key);
	return text;
}

void scram_verifier_mock(const char *name, const uint8_t secret[SCRAM_KEY_SIZE],
						 struct scram_verifier *out)
{
	uint8_t seed[SCRAM_KEY_SIZE];

	/* Whether the HMACs work is not asked: nobody finds the preimage of zeros either. */
	memset(out, 0, sizeof *out);
	memset(seed, 0, sizeof seed);
	scram_hmac(secret, name, strlen(name), seed);
	out->iterations = SCRAM_ITERATIONS_DEFAULT;
	out->salt_len = VERIFIER_SALT;
	memcpy(out->salt, seed, VERIFIER_SALT);
	scram_hmac(seed, "stored", 6, out->stored_key);
	scram_hmac(seed, "server", 6, out->server_key);
	secret_wipe(seed, sizeof seed);
}
