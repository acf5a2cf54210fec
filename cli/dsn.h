/*
 * dsn.h: connections to databases that somebody names with a libpq connection string.
 */
#ifndef CLI_DSN_H
#define CLI_DSN_H

#include <libpq-fe.h>

/*
 * Connects and waits for it, 30 seconds unless the string says otherwise. NULL when that fails,
 * with the reason printed on standard error behind the name of the command. What is printed
 * never holds a piece of the string: of one that cannot be read, libpq would quote what may be
 * a password.
 */
PGconn *dsn_connect(const char *dsn, const char *command);

#endif
