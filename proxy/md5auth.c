#include "proxy/md5auth.h"

#include <string.h>

#include <openssl/evp.h>

#include "base/encode.h"
#include "base/secret.h"

#define DIGEST_SIZE 16
#define DIGEST_HEX  ((size_t)2 * DIGEST_SIZE)

/* The hex digest of two pieces joined; `out` takes DIGEST_HEX digits and a NUL. */
static bool digest_joined(const void *first, size_t first_len, const void *second,
						  size_t second_len, char *out)
{
	uint8_t digest[DIGEST_SIZE];
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool ok = context && EVP_DigestInit_ex(context, EVP_md5(), NULL) == 1 &&
			  EVP_DigestUpdate(context, first, first_len) == 1 &&
			  EVP_DigestUpdate(context, second, second_len) == 1 &&
			  EVP_DigestFinal_ex(context, digest, NULL) == 1;

	EVP_MD_CTX_free(context);
	if (ok)
		hex_encode(digest, sizeof digest, out);
	secret_wipe(digest, sizeof digest);
	return ok;
}

bool md5auth_response(const char *user, const char *password,
					  const uint8_t salt[MD5AUTH_SALT_SIZE], char out[MD5AUTH_SIZE])
{
	static const char prefix[] = {'m', 'd', '5'};
	char inner[DIGEST_HEX + 1];

	memset(out, 0, MD5AUTH_SIZE);
	bool ok = digest_joined(password, strlen(password), user, strlen(user), inner) &&
			  digest_joined(inner, DIGEST_HEX, salt, MD5AUTH_SALT_SIZE, out + sizeof prefix);
	if (ok)
		memcpy(out, prefix, sizeof prefix);
	secret_wipe(inner, sizeof inner);
	return ok;
}
