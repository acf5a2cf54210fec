/*
 * keyring.h: the keys of a key file, as guard.h's opaque struct guard_keyring holds them. For
 * this folder.
 */
#ifndef POLICY_GUARD_KEYRING_H
#define POLICY_GUARD_KEYRING_H

#include <stdbool.h>
#include <stddef.h>

#include "policy/guard/guard.h"

struct guard_key {
	char kid[GUARD_KID_MAX + 1];
	unsigned char bytes[GUARD_KEY_SIZE];
};

struct guard_keyring {
	size_t count; /* at least 1; keys[0] signs */
	struct guard_key *keys;
	bool bound; /* the keys are derived, for this tenant alone */
	struct uuid tenant;
};

/*
 * The key of one tenant from the installation's key at `place`; a bound ring's key is that
 * tenant's already, and no other's is to be had from it (false).
 */
bool guard_derive_key(const struct guard_keyring *keyring, size_t place,
					  const struct uuid *tenant, unsigned char out[GUARD_KEY_SIZE]);

#endif
