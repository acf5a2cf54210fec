/*
 * guard.h: the half of Bulkhead that lives in the database, seen from the proxy.
 *
 * The guard's SQL (roles, the sealed context, protect, hardening) is in the .sql files of this
 * folder and is installed by guard_install. At run time the proxy needs three things of it: the
 * self-check that a new backend must pass, the parameters of `enter`, and the seal to compare
 * enter's answer with. The proxy frames them into messages; this file knows no sockets.
 */
#ifndef POLICY_GUARD_GUARD_H
#define POLICY_GUARD_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/uuid.h"

/* ---- keys ---- */

#define GUARD_KEY_SIZE 32
#define GUARD_KID_MAX  32 /* characters of [a-z0-9_-] */

struct guard_keyring;

/*
 * Reads a key file (mode 0600; lines `kid base64(32 bytes)`; blank lines and lines starting
 * with # are skipped; the first key signs). Where a tenant's id stands behind each key, they
 * are that tenant's derived keys, and the ring signs for nobody else. NULL with a reason that
 * names the line but no content. A ring does not change: one that is to follow on it is
 * another.
 */
struct guard_keyring *guard_keyring_load(const char *path, const char **why);

/* The same from the text of such a file. */
struct guard_keyring *guard_keyring_parse(const char *content, const char **why);

/* Wipes and frees. NULL is fine. */
void guard_keyring_destroy(struct guard_keyring *keyring);

/* The name of the key that signs, and of the one at a place behind it; NULL behind the last. */
const char *guard_keyring_kid(const struct guard_keyring *keyring, size_t place);

/* The key at that place, GUARD_KEY_SIZE bytes. */
const unsigned char *guard_keyring_key(const struct guard_keyring *keyring, size_t place);

/* The one tenant that the ring signs for, or NULL when it signs for all. */
const struct uuid *guard_keyring_tenant(const struct guard_keyring *keyring);

/* Does the ring sign for this tenant? */
bool guard_keyring_signs_for(const struct guard_keyring *keyring, const struct uuid *tenant);

/* Do both hold the same keys, for the same tenants, in the same order? */
bool guard_keyring_equal(const struct guard_keyring *a, const struct guard_keyring *b);

/*
 * The ring of one tenant: from each key of an installation's ring the one derived for it, from
 * which no other tenant's can be had. NULL when memory is out or OpenSSL fails.
 */
struct guard_keyring *guard_keyring_derive(const struct guard_keyring *keyring,
										   const struct uuid *tenant);

/* Appends the ring as a key file holds it. False when memory is out; to be wiped either way. */
bool guard_keyring_write(const struct guard_keyring *keyring, struct buf *out);

/*
 * What the salts of principals that do not exist are made from (scram_verifier_mock): the same
 * in every process that has the key, so that a name's salt tells nobody whether there is such a
 * principal. False when OpenSSL fails.
 */
bool guard_mock_secret(const struct guard_keyring *keyring, uint8_t secret[GUARD_KEY_SIZE]);

/*
 * What the directory's snapshot on disk is signed with: derived from the key at this place of
 * the key file, 0 for the one that signs. False when there is no such key, or OpenSSL fails.
 */
bool guard_snapshot_key(const struct guard_keyring *keyring, size_t place,
						uint8_t key[GUARD_KEY_SIZE]);

/* ---- self-check of a new backend ---- */

/* As begin.sql and schema.sql have it. */
#define GUARD_VERSION "3"

/* A statement that must fail with 42501 on a sound server: the pool login may not set the
 * context. */
extern const char guard_probe_sql[];
#define GUARD_PROBE_SQLSTATE "42501"

/* A query of one row that describes server, guard and login; every name in it is qualified. */
extern const char guard_check_sql[];
#define GUARD_CHECK_COLUMNS 8

/*
 * The query for a database that is one tenant's own, and has no guard: a row of the server's
 * version and what is wrong with the login there, empty where nothing is. Judged likewise; both
 * must be fields of one row.
 */
extern const char guard_own_check_sql[];
bool guard_own_check_judge(const char *const fields[], size_t count, struct buf *why);

/*
 * The query for a backend with a tenant's own login on shared tables, where the login is the
 * context: on a database that has a guard of either kind. guard_probe_sql goes before it, as
 * before guard_check_sql. Both fit GUARD_CHECK_COLUMNS fields.
 */
extern const char guard_login_check_sql[];
bool guard_login_check_judge(const char *const fields[], size_t count,
							 const struct uuid *tenant, struct buf *why);

/*
 * The query for a backend with the login of a tenant that has a schema or a database of its
 * own, which it needs no guard for: a text that names nothing but the system's. In the database
 * that has the login's name it judges by what the tenant could do elsewhere, in any other by
 * what it could do outside the schema of its name. The probe goes before it there as well.
 */
const char *guard_tenant_check_sql(void);
bool guard_tenant_check_judge(const char *const fields[], size_t count,
							  const struct uuid *tenant, struct buf *why);

/* What the proxy remembers of a server that passed. */
struct guard_server {
	char id[UUID_HEX_SIZE];  /* of this installation of the guard */
	int64_t clock_offset_ms; /* the server's clock minus ours */
};

/*
 * Judges the row that guard_check_sql returned (text format, NULL pointers for SQL NULL),
 * received at `now_ms` wall time. False with one line in *why (appended, for the log) when the
 * server must not be used; the line says which check failed and what to do.
 */
bool guard_check_judge(const char *const fields[], size_t count, int64_t now_ms,
					   struct guard_server *server, struct buf *why);

/* ---- hand-over ---- */

/* The whole statement that puts a backend into a tenant's context; five parameters, all text.
 */
extern const char guard_enter_sql[];
#define GUARD_ENTER_PARAMS 5

/* Leaves nothing of a client that kept the backend and had settings and statements there. */
extern const char guard_discard_sql[];

/*
 * Leaves nothing of the previous tenant: sent before guard_enter_sql. It does what DISCARD ALL
 * does (its documentation has the list), but begins with the settings, so that no timeout of
 * the tenant's ends it.
 */
extern const char guard_clear_sql[];

/*
 * The same but for DISCARD PLANS, which has every expression of enter planned anew and takes
 * the server three times as long as all the rest of a hand-over. What stays are the plans of
 * the application's functions. They are checked against search_path, role and row security
 * before each use, but a function that is wrongly called IMMUTABLE may have been carried out
 * when they were made: then its result of then stands in them, the previous tenant's.
 */
extern const char guard_clear_but_plans_sql[];

/* Is this command tag the last of any of these? */
bool guard_clears(const char *tag);

/* NUL-terminated parameter values of one enter. Wiped by guard_enter_fini. */
struct guard_enter {
	char *values[GUARD_ENTER_PARAMS];
};

/*
 * Computes the parameters for one backend and tenant. `key` is the tenant's external key or
 * NULL. `expires_ms` is in the server's clock. False when memory is out, OpenSSL fails, or the
 * ring does not sign for this tenant.
 */
bool guard_enter_init(struct guard_enter *enter, const struct guard_keyring *keyring,
					  const struct guard_server *server, const char *database, int backend_pid,
					  const struct uuid *tenant, const char *key, int64_t expires_ms);
void guard_enter_fini(struct guard_enter *enter);

/*
 * The seal of a tenant: 32 hex digits of the id, a comma, the hex of the key's UTF-8 (empty
 * without a key). enter returns exactly this; anything else means that the backend must be
 * closed. A string from malloc, or NULL when memory is out.
 */
char *guard_seal(const struct uuid *tenant, const char *key);

/* SQLSTATE of a statement that ran without a context. */
#define GUARD_SQLSTATE_NO_CONTEXT "BH001"

#endif
