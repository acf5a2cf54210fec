/*
 * scram_verifier.h: what is stored of a principal's password: SCRAM-SHA-256 verifiers of
 * PostgreSQL's form (RFC 5802, RFC 7677), and the keys that a password gives.
 *
 * Passwords go through SASLprep (RFC 4013); one that cannot be prepared is used as its bytes,
 * as PostgreSQL does.
 */
#ifndef ROUTER_SCRAM_VERIFIER_H
#define ROUTER_SCRAM_VERIFIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCRAM_MECHANISM          "SCRAM-SHA-256"
#define SCRAM_KEY_SIZE           32
#define SCRAM_SALT_MAX           64
#define SCRAM_ITERATIONS_MAX     1000000
#define SCRAM_ITERATIONS_DEFAULT 4096

struct scram_verifier {
	int iterations;
	uint8_t salt[SCRAM_SALT_MAX];
	size_t salt_len;
	uint8_t stored_key[SCRAM_KEY_SIZE], server_key[SCRAM_KEY_SIZE];
};

/* Reads `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`; false when it is anything else. */
bool scram_verifier_parse(const char *text, struct scram_verifier *out);

/* Makes the text form for a password with a fresh 16-byte salt. From malloc; NULL on failure.
 */
char *scram_verifier_create(const char *password, int iterations);

/*
 * A verifier for a name that does not exist: no password fits, and the same name always shows
 * the same salt, so that a stranger cannot tell unknown names from wrong passwords. `secret` is
 * drawn once per process.
 */
void scram_verifier_mock(const char *name, const uint8_t secret[SCRAM_KEY_SIZE],
						 struct scram_verifier *out);

/*
 * Keys derived from a password for one salt and iteration count: kept by the caller, since
 * deriving them costs milliseconds. All zero when empty. Keys are told apart by salt and
 * iterations alone, so they belong to one password: whoever changes it empties them, or a
 * mistyped password would go on failing after it was put right.
 */
struct scram_keys {
	int iterations; /* 0: empty */
	uint8_t salt[SCRAM_SALT_MAX];
	size_t salt_len;
	uint8_t client_key[SCRAM_KEY_SIZE], server_key[SCRAM_KEY_SIZE];
};

/* ---- for both roles of the exchange; false when OpenSSL or memory fails ---- */

bool scram_hmac(const uint8_t key[SCRAM_KEY_SIZE], const void *data, size_t len,
				uint8_t out[SCRAM_KEY_SIZE]);
bool scram_hash(const uint8_t in[SCRAM_KEY_SIZE], uint8_t out[SCRAM_KEY_SIZE]);

/* Fills `keys` from a password (RFC 5802, section 3); the salt and iterations are the caller's.
 */
bool scram_derive(const char *password, const uint8_t *salt, size_t salt_len, int iterations,
				  struct scram_keys *keys);

/* Reads 1 to SCRAM_ITERATIONS_MAX in its one spelling: digits without leading zeros. */
bool scram_read_iterations(const char *text, size_t len, int *out);

/* Reads canonical base64 of exactly one key. */
bool scram_read_key(const char *text, size_t len, uint8_t out[SCRAM_KEY_SIZE]);

/* Reads canonical base64 of 1 to SCRAM_SALT_MAX bytes. */
bool scram_read_salt(const char *text, size_t len, uint8_t out[SCRAM_SALT_MAX],
					 size_t *out_len);

#endif
