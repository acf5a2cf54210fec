/*
 * api_key.h: the keys that callers of the API show, and the pepper that their hashes are made
 * with.
 *
 * A key is `bhk_`, an id of 16 characters, `_` and a secret of 43: 32 random bytes in
 * base64url. The id is no secret: it is the name of a row. Of the secret the database holds an
 * HMAC-SHA256 under a key of the pepper file, in hex, and that key's name. So who reads the
 * database can log in nowhere, and who can write to it cannot make up a key either.
 *
 * The pepper file is a key file as the guard's (`kid base64(32 bytes)`): the first key makes
 * new hashes, and as long as an older line stays, the hashes that were made with it hold.
 */
#ifndef ADMIN_API_KEY_H
#define ADMIN_API_KEY_H

#include <stdbool.h>
#include <stddef.h>

#include "policy/guard/guard.h"

#define API_KEY_PREFIX     "bhk_"
#define API_KEY_ID_LEN     16 /* of a-z and 2-7 */
#define API_KEY_SECRET_LEN 43
#define API_KEY_TEXT_LEN   (sizeof API_KEY_PREFIX - 1 + API_KEY_ID_LEN + 1 + API_KEY_SECRET_LEN)
#define API_KEY_HASH_SIZE  65 /* hex and a NUL */

/* A secret: to be wiped. */
struct api_key_text {
	char text[API_KEY_TEXT_LEN + 1];
};

/* Draws a key: another id, or another secret for an id that is there. */
void api_key_draw(struct api_key_text *out);
void api_key_draw_for(const char *id, struct api_key_text *out);

/* Is it in form? Only then may it be given to the functions below. `len` without a NUL. */
bool api_key_is_text(const char *text, size_t len);

/* Its id, and a NUL. */
void api_key_id(const char *text, char id[API_KEY_ID_LEN + 1]);

/*
 * The hash of the whole key under the pepper at this place; *kid is that pepper's name,
 * borrowed from the ring. Id and secret are hashed together: a hash that is copied to another
 * row fits nothing. False behind the last place (*kid is NULL then) or when OpenSSL fails.
 */
bool api_key_hash(const struct guard_keyring *pepper, size_t place, const char *text,
				  const char **kid, char hash[API_KEY_HASH_SIZE]);

/* Reads a pepper file; NULL with the reason in *why, as guard_keyring_load. */
struct guard_keyring *api_key_pepper(const char *path, const char **why);

#endif
