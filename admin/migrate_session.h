/*
 * migrate_session.h: one connection to one target, with an end to all waiting.
 *
 * What answers at the other end may be a tenant's own code: it may be slow, talk without end,
 * or lift the timeouts that it was given. So rows that nobody asked for and notices are dropped
 * as they come, and at the session's deadline the connection is closed whatever it does.
 */
#ifndef ADMIN_MIGRATE_SESSION_H
#define ADMIN_MIGRATE_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "admin/migrate.h"

struct migrate_session {
	PGconn *connection;
	int64_t deadline_us; /* on the monotonic clock */
	/* Of what went wrong last. */
	char sqlstate[6];
	char *error;  /* one line, at most MIGRATE_ERROR_MAX bytes; NULL when memory is out */
	int position; /* in the statement's text, in characters from 1 on; 0: not known */
};

/*
 * Connects to the target: to a tenant's schema or database as the tenant, elsewhere as the
 * administrator of the cluster, who takes the owner's role then. search_path is as it should
 * be, and target->schema is where the mark goes. False with the session's error; to be closed
 * either way.
 */
bool migrate_session_open(struct migrate_session *session, struct migrate_target *target,
						  const struct migrate_options *options);
void migrate_session_close(struct migrate_session *session);

/* Leaves nothing of what a file may have set, but for what is its transaction's. */
bool migrate_session_renew(struct migrate_session *session, struct migrate_target *target);

/* The time that is left begins anew. */
void migrate_session_allow(struct migrate_session *session, int64_t ms);

/* Runs one or several statements and drops their rows. */
bool migrate_session_do(struct migrate_session *session, const char *sql);

/*
 * Runs one statement with text parameters and keeps its rows, of which a LIMIT must bound the
 * number; there are none of a statement that gives none. NULL with the session's error.
 */
PGresult *migrate_session_ask(struct migrate_session *session, const char *sql, int count,
							  const char *const values[]);

/* Sets the error; `sqlstate` may be NULL. Returns false. */
bool migrate_session_fail(struct migrate_session *session, const char *sqlstate,
						  const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Is the connection gone, so that what came of a COMMIT is not known? */
bool migrate_session_is_lost(const struct migrate_session *session);

#endif
