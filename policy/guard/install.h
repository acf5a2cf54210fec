/*
 * install.h: putting the guard into a database, with an administrator's connection.
 */
#ifndef POLICY_GUARD_INSTALL_H
#define POLICY_GUARD_INSTALL_H

#include <stdbool.h>
#include <stdio.h>

#include <libpq-fe.h>

enum guard_hardening { GUARD_STANDARD, GUARD_STRICT };

/*
 * A sealed guard takes a superuser to install. One by tenants' own logins takes a role with
 * CREATEROLE that owns the database; a sealed one may follow on it, but it on none.
 */
enum guard_mode { GUARD_SEALED, GUARD_LOGIN };

struct guard_install {
	enum guard_mode mode;
	/* What follows a sealed guard has alone; GUARD_LOGIN looks at none of it but `owner` and
	 * `hardening`. */
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
 * What a role that is no superuser must leave open to all is a WARNING of the server's, for the
 * connection's notice processor.
 */
bool guard_install(PGconn *admin, const struct guard_install *what, FILE *err);

/* Writes the SQL that guard_install would run, for those who run it themselves; secrets as psql
 * variables. */
void guard_print(const struct guard_install *what, FILE *out);

#endif
