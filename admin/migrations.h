/*
 * migrations.h: the control schema, installed and kept up to date.
 *
 * The schema `bulkhead_control` holds clusters, tenants and principals; its SQL is in
 * admin/migrations, one numbered file per step, embedded into the program. A step runs once per
 * database and is written down with the SHA-256 of its text in bulkhead_control.migration; a
 * step whose text differs from what was run is an error, never run again.
 *
 * Three roles: bulkhead_control (NOLOGIN) owns the schema, bulkhead_admin (NOLOGIN) may change
 * its rows, and the sidecars' login may only call the look-up functions and LISTEN. The login
 * of the admin API is a member of bulkhead_admin.
 */
#ifndef ADMIN_MIGRATIONS_H
#define ADMIN_MIGRATIONS_H

#include <stdbool.h>
#include <stdio.h>

#include <libpq-fe.h>

#define MIGRATIONS_SIDECAR_LOGIN "bulkhead_sidecar" /* what most installations call it */
#define MIGRATIONS_API_LOGIN     "bulkhead_api"

struct migrations_options {
	const char *sidecar_login; /* made when it is missing; refused when it may do too much */
	/* What ALTER ROLE … PASSWORD is given, as PQencryptPasswordConn makes it; NULL: left alone.
	 */
	const char *sidecar_verifier;
	/* The same for the login that serves the admin API, MIGRATIONS_API_LOGIN. */
	const char *api_verifier;
};

/*
 * Brings the control schema of the connection's database up to date, in one transaction that
 * waits for another such transaction to end first; running it again changes nothing. The
 * administrator must be a superuser, or may create roles and create in the database. Privileges
 * of the sidecars' login are read back. False, with everything rolled back and one line printed
 * to `err`, when something went wrong.
 */
bool migrations_apply(PGconn *admin, const struct migrations_options *options, FILE *err);

/*
 * Writes a psql script that does the same. The verifiers are the psql variables
 * `sidecar_verifier` and `api_verifier`: they are set only when the script is run with them,
 * and those of the options are not looked at. False when memory is out or `out` cannot be
 * written.
 */
bool migrations_print(const struct migrations_options *options, FILE *out);

#endif
