/*
 * md5auth.h: the answer to AuthenticationMD5Password, for backends that still ask for it.
 *
 * Source: PostgreSQL documentation, "Frontend/Backend Protocol", Start-up: the client sends
 * concat('md5', md5(concat(md5(concat(password, username)), random-salt))), digests in
 * lower-case hex.
 */
#ifndef PROXY_MD5AUTH_H
#define PROXY_MD5AUTH_H

#include <stdbool.h>
#include <stdint.h>

#define MD5AUTH_SALT_SIZE 4
#define MD5AUTH_SIZE      36 /* `md5`, 32 digits and the NUL */

/*
 * Writes the answer. It is as good as the password for this one salt, so the caller wipes it.
 * False when memory is out or OpenSSL refuses MD5, as it does under FIPS rules; `out` is zeroed
 * then.
 */
bool md5auth_response(const char *user, const char *password,
					  const uint8_t salt[MD5AUTH_SALT_SIZE], char out[MD5AUTH_SIZE]);

#endif
