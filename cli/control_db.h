/*
 * control_db.h: the control schema as the subcommands reach it, with an administrator's
 * connection.
 *
 * Everything prints its own trouble on standard error: one line that says what to do, made from
 * the constraint that refused where there is one.
 */
#ifndef CLI_CONTROL_DB_H
#define CLI_CONTROL_DB_H

#include <stdbool.h>

#include <libpq-fe.h>

#include "base/uuid.h"

/*
 * Connects to `dsn`, or to CONTROL_DSN of the environment when it is NULL. NULL when that
 * fails. Names in SQL are to be qualified: the search path is pg_catalog. Texts are UTF-8, and
 * times without a zone are read and written in UTC.
 */
PGconn *control_db_open(const char *dsn);

/* Runs one statement with text parameters (NULL for SQL NULL). NULL, with the reason printed,
 * on failure. */
PGresult *control_db_query(PGconn *connection, const char *sql, int count,
						   const char *const values[]);

/*
 * The same in a transaction of its own, with all constraints checked before it ends: committed,
 * or rolled back where it is only to be seen what would change. A deadlock or serialization
 * failure, of which PostgreSQL says that trying again helps, is tried again for some seconds.
 */
PGresult *control_db_change(PGconn *connection, const char *sql, int count,
							const char *const values[], bool dry_run);

/* A time as ISO 8601 writes it, whole and with its zone. */
#define CONTROL_DB_TIME(column) "to_json(" column ") #>> '{}'"

#define SLUG_SIZE 64 /* bytes of the longest slug, and the NUL */

struct named_tenant {
	char id[UUID_TEXT_SIZE], slug[SLUG_SIZE];
};

/* The tenant that a word names by id, slug or key; false, with the reason printed, when there
 * is none. */
bool control_db_find_tenant(PGconn *connection, const char *word, struct named_tenant *out);

#endif
