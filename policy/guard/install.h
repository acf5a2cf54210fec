/*
 * install.h: putting the guard into a database, with an administrator's connection.
 */
#ifndef POLICY_GUARD_INSTALL_H
#define POLICY_GUARD_INSTALL_H

#include <stdbool.h>
#include <stdio.h>

#include <libpq-fe.h>

enum guard_hardening { GUARD_STANDARD, GUARD_STRICT };

struct guard_install {
	const char *pool_login;    /* the login that backends use */
	const char *pool_password; /* to be set when the login is made, or NULL to leave it alone */
	const char
		*owner; /* owner of the application's tables, given BYPASSRLS where possible; or NULL */
	enum guard_hardening hardening;
	const char *kid;          /* signing key to register */
	const unsigned char *key; /* GUARD_KEY_SIZE bytes */
};

/*
 * Installs or upgrades the guard in the connection's database, in one transaction; running it
 * again changes nothing. Every privilege is read back. False with the reason printed to `err`.
 */
bool guard_install(PGconn *admin, const struct guard_install *what, FILE *err);

/* Writes the SQL that guard_install would run, for those who run it themselves; secrets as psql
 * variables. */
void guard_print(const struct guard_install *what, FILE *out);

#endif
