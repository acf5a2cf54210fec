/*
 * Stands in front of OpenSSL's: one round for any count, since thousands of them for every
 * input would leave no time to look for mistakes in reading.
 */
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "proxy/scram.h"
#include "tests/fuzz/fuzz.h"

int PKCS5_PBKDF2_HMAC(const char *pass, int passlen, const unsigned char *salt, int saltlen,
					  int iter, const EVP_MD *digest, int keylen, unsigned char *out)
{
	unsigned int len = 0;

	require(iter >= 1 && iter <= SCRAM_ITERATIONS_MAX && saltlen >= 1 &&
			saltlen <= SCRAM_SALT_MAX);
	require(keylen == SCRAM_KEY_SIZE);
	return HMAC(digest, pass, passlen, salt, (size_t)saltlen, out, &len) != NULL;
}
