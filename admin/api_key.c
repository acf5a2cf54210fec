#include "admin/api_key.h"

#include <stdint.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/encode.h"
#include "base/secret.h"

#define SECRET_BYTES 32
#define ID_DIGITS    "abcdefghijklmnopqrstuvwxyz234567"
#define PREFIX_LEN   (sizeof API_KEY_PREFIX - 1)

/* What sets these hashes apart from all else that might be made with the same key. */
#define PURPOSE     "bulkhead api key"
#define PURPOSE_LEN (sizeof PURPOSE) /* with its NUL */

/* Where the parts of a key begin. */
#define SECRET_AT (PREFIX_LEN + API_KEY_ID_LEN + 1)

static const char secret_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* ---- drawing ---- */

void api_key_draw_for(const char *id, struct api_key_text *out)
{
	unsigned char bytes[SECRET_BYTES];
	char base64[BASE64_SIZE(sizeof bytes)];
	char *to = out->text;

	memcpy(to, API_KEY_PREFIX, PREFIX_LEN);
	memcpy(to + PREFIX_LEN, id, API_KEY_ID_LEN);
	to[SECRET_AT - 1] = '_';
	secret_random(bytes, sizeof bytes);
	base64_encode(bytes, sizeof bytes, base64);
	for (size_t i = 0; i < API_KEY_SECRET_LEN; i++) {
		char c = base64[i];

		to[SECRET_AT + i] = c == '+' ? '-' : c == '/' ? '_' : c;
	}
	to[API_KEY_TEXT_LEN] = '\0';
	secret_wipe(bytes, sizeof bytes);
	secret_wipe(base64, sizeof base64);
}

void api_key_draw(struct api_key_text *out)
{
	static const char digits[] = ID_DIGITS;
	unsigned char bytes[API_KEY_ID_LEN];
	char id[API_KEY_ID_LEN];

	_Static_assert(sizeof digits - 1 == 32, "five bits each");
	secret_random(bytes, sizeof bytes);
	for (size_t i = 0; i < API_KEY_ID_LEN; i++)
		id[i] = digits[bytes[i] & 31];
	api_key_draw_for(id, out);
}

/* ---- reading ---- */

/* A character of these; NUL is none. */
static bool is_of(char c, const char *digits)
{
	return c && strchr(digits, c);
}

bool api_key_is_text(const char *text, size_t len)
{
	if (len != API_KEY_TEXT_LEN || memcmp(text, API_KEY_PREFIX, PREFIX_LEN) != 0 ||
		text[SECRET_AT - 1] != '_')
		return false;
	for (size_t i = PREFIX_LEN; i < SECRET_AT - 1; i++)
		if (!is_of(text[i], ID_DIGITS))
			return false;
	for (size_t i = SECRET_AT; i < len; i++)
		if (!is_of(text[i], secret_digits))
			return false;
	return true;
}

void api_key_id(const char *text, char id[API_KEY_ID_LEN + 1])
{
	memcpy(id, text + PREFIX_LEN, API_KEY_ID_LEN);
	id[API_KEY_ID_LEN] = '\0';
}

/* ---- hashes ---- */

bool api_key_hash(const struct guard_keyring *pepper, size_t place, const char *text,
				  const char **kid, char hash[API_KEY_HASH_SIZE])
{
	unsigned char message[PURPOSE_LEN + API_KEY_TEXT_LEN], digest[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	*kid = guard_keyring_kid(pepper, place);
	if (!*kid)
		return false;
	memcpy(message, PURPOSE, PURPOSE_LEN);
	memcpy(message + PURPOSE_LEN, text, API_KEY_TEXT_LEN);
	bool done = HMAC(EVP_sha256(), guard_keyring_key(pepper, place), GUARD_KEY_SIZE, message,
					 sizeof message, digest, &len) &&
				2 * len + 1 == API_KEY_HASH_SIZE;
	secret_wipe(message, sizeof message);
	if (done)
		hex_encode(digest, len, hash);
	return done;
}

struct guard_keyring *api_key_pepper(const char *path, const char **why)
{
	struct guard_keyring *pepper = guard_keyring_load(path, why);

	if (pepper && guard_keyring_tenant(pepper)) {
		guard_keyring_destroy(pepper);
		*why = "it holds keys of one tenant and no pepper";
		return NULL;
	}
	return pepper;
}
