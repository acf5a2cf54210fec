/*
 * The passwords of a pool's logins. A tenant's own login has one that is derived from a key of
 * its cluster's secret; while keys are being replaced, some logins have it of the old one and
 * some of the new, so what the tenant's record says is tried first and then the others.
 */
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "proxy/pool_internal.h"
#include "proxy/server.h"

void pool_forget_keys(struct pool *pool)
{
	secret_wipe(&pool->scram, sizeof pool->scram);
	list_each (node, next, &pool->servers)
		backend_keep_no_keys(list_entry(node, struct server, node));
}

void pool_note_kid(struct pool *pool, const char *kid)
{
	if (!kid || strlen(kid) > GUARD_KID_MAX || strcmp(pool->keys.kid, kid) == 0)
		return;
	memcpy(pool->keys.kid, kid, strlen(kid) + 1);
	pool->keys.last = 0;
}

/* Where the search begins. */
static size_t first_place(const struct pool *pool, const struct guard_keyring *secret)
{
	return pool->keys.last ? pool->keys.last - 1 : own_password_place(secret, pool->keys.kid);
}

/* The place that an attempt has: those before the first one come behind it. */
static size_t place_of(size_t first, size_t attempt)
{
	if (attempt == 0)
		return first;
	return attempt <= first ? attempt - 1 : attempt;
}

static char *derive(const struct pool *pool, size_t attempt, size_t *first)
{
	const char *why;
	char password[OWN_PASSWORD_SIZE], *copy = NULL;
	struct guard_keyring *secret = guard_keyring_parse(pool->cluster->secret, &why);

	/* All attempts of one connection count from the same place, whatever the pool learns
	 * meanwhile. */
	if (secret && attempt == 0)
		*first = first_place(pool, secret);
	if (secret && own_password(secret, place_of(*first, attempt), &pool->key.tenant, password))
		copy = strdup(password);
	secret_wipe(password, sizeof password);
	guard_keyring_destroy(secret);
	return copy;
}

char *pool_password(const struct pool *pool, size_t attempt, size_t *first)
{
	if (!route_has_own_login(&pool->key))
		return attempt == 0 && pool->cluster->password ? strdup(pool->cluster->password) : NULL;
	return pool->cluster->secret ? derive(pool, attempt, first) : NULL;
}

bool pool_keeps_keys(const struct pool *pool, size_t attempt)
{
	return attempt == 0 || !route_has_own_login(&pool->key);
}

void pool_note_password(struct pool *pool, size_t attempt, size_t first)
{
	if (pool_keeps_keys(pool, attempt))
		return;
	pool->keys.last = place_of(first, attempt) + 1;
	pool_forget_keys(pool);
}
