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
};

#endif
