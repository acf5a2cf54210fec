/*
 * own_login.h: the login, schema and database that are a tenant's own.
 *
 * All three are called t_ and the 32 hex digits of the tenant's id, so that no other tenant's
 * slug, however it is renamed or used again, leads there. The login's password is derived from
 * a key of its cluster's secret file (guard_keyring): whoever has the key can compute it and
 * nobody has to store it; from a tenant's derived key its own password can be had and no other.
 */
#ifndef POLICY_GUARD_OWN_LOGIN_H
#define POLICY_GUARD_OWN_LOGIN_H

#include <stdbool.h>
#include <stddef.h>

#include "policy/guard/guard.h"

/* With the NUL behind them. */
#define OWN_NAME_SIZE     (2 + UUID_HEX_SIZE)
#define OWN_PASSWORD_SIZE (2 * GUARD_KEY_SIZE + 1)

/* What the tenant's login, schema and database are called. */
void own_name(const struct uuid *tenant, char out[OWN_NAME_SIZE]);

/*
 * The password of the tenant's login, from the key at this place of the ring: 64 hex digits, to
 * be wiped. False when there is no such key, the ring is another tenant's, or OpenSSL fails.
 */
bool own_password(const struct guard_keyring *secret, size_t place, const struct uuid *tenant,
				  char out[OWN_PASSWORD_SIZE]);

/* The place of the key of that name, or of the first one where there is none (NULL is fine). */
size_t own_password_place(const struct guard_keyring *secret, const char *kid);

#endif
