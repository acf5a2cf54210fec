/*
 * control_db.h: the control schema as the subcommands reach it, with an administrator's connection.
 *
 * Everything prints its own trouble on standard error: one line that says what to do, made from the
 * constraint that refused where there is one.
 */
#ifndef CLI_CONTROL_DB_H
#define CLI_CONTROL_DB_H

#include <libpq-fe.h>

/*
 * Connects to `dsn`, or to CONTROL_DSN of the environment when it is NULL. NULL when that fails. Names
 * in SQL are to be qualified: the search path is pg_catalog.
 */
PGconn *control_db_open(const char *dsn);

/* Runs one statement with text parameters (NULL for SQL NULL). NULL, with the reason printed, on failure. */
PGresult *control_db_query(PGconn *connection, const char *sql, int count, const char *const values[]);

/* Prints a result as aligned columns, or as a JSON array of objects of strings and nulls. */
void control_db_print(const PGresult *result, int as_json);

#endif
