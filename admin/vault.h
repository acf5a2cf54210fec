/*
 * vault.h: what sensitive settings are encrypted with.
 *
 * Each tenant has data keys of its own, and each data key is wrapped by the master key of a key
 * file ([admin] master_key_file), which no database ever sees. Both layers are AES-256-GCM
 * (NIST SP 800-38D) with a nonce of 96 random bits and a tag of 128:
 *
 *   v1.KID.NONCE.DATA    nonce and data in base64, the tag behind the data
 *
 * where KID names the key that opens it: of a wrapped data key the master key's line, of a
 * value the data key. The associated data of a value are the tenant's id and the setting's
 * name, those of a data key the tenant's id and the data key's name: a text that is copied to
 * another tenant or another setting does not open there. Where a tenant stands in the tree is
 * in neither.
 *
 * A data key seals at most some thousands of values before it is rotated or goes with its
 * tenant, far below the 2^32 that random nonces allow.
 */
#ifndef ADMIN_VAULT_H
#define ADMIN_VAULT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/uuid.h"
#include "policy/guard/guard.h"

/* A setting's value as JSON, bytes. */
#define VAULT_VALUE_MAX 65536

#define VAULT_KID_SIZE 17 /* a data key's name: 16 hex digits, and the NUL */

enum vault_result {
	VAULT_DONE,
	VAULT_KEY_MISSING, /* the master key that wrapped it is not in the file */
	VAULT_BROKEN,      /* it was changed, belongs elsewhere, or the key is another */
	VAULT_FAILED,      /* memory is out, or OpenSSL failed */
};

/* A tenant's data key. Wiped by secret_wipe. */
struct vault_key {
	char kid[VAULT_KID_SIZE];
	unsigned char bytes[GUARD_KEY_SIZE];
};

/* ---- data keys; strings that come out are from malloc ---- */

/* Draws a new data key for a tenant and wraps it by the first key of the ring. */
enum vault_result vault_key_make(const struct guard_keyring *master, const struct uuid *tenant,
								 struct vault_key *key, char **wrapped);

/* Unwraps the data key of this name. */
enum vault_result vault_key_unwrap(const struct guard_keyring *master,
								   const struct uuid *tenant, const char *kid,
								   const char *wrapped, struct vault_key *key);

/* Wraps it anew, by the first key of the ring. */
enum vault_result vault_key_rewrap(const struct guard_keyring *master,
								   const struct uuid *tenant, const char *kid,
								   const char *wrapped, char **rewrapped);

/* The name of the key that a wrapped key or a sealed value names, as a string from malloc;
 * NULL where it has none, or memory is out. */
char *vault_kid_of(const char *text);

/* ---- values ---- */

/* Seals up to VAULT_VALUE_MAX bytes. */
enum vault_result vault_seal(const struct vault_key *key, const struct uuid *tenant,
							 const char *setting, const char *value, size_t len, char **sealed);

/* Opens; *value gets a NUL behind it and is for secret_free. */
enum vault_result vault_unseal(const struct vault_key *key, const struct uuid *tenant,
							   const char *setting, const char *sealed, char **value,
							   size_t *len);

#endif
