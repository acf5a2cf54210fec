/*
 * client_log.h: what the log has of a client: who it is, and since when.
 *
 * Each line names the session by the process id of its cancel key, as pg_backend_pid() would
 * be, and as the console and live.session have it. Nothing that a client sent is in it but the
 * names of tenant and principal that were found for it, or, where the listener asks for
 * certificates, those that it asked for: who refuses a certificate must say for whom it was.
 */
#ifndef PROXY_CLIENT_LOG_H
#define PROXY_CLIENT_LOG_H

struct client;

/* Bulkhead ends the session, or refuses the login. `reason` may be NULL: the server's own. */
void client_log_ended(const struct client *client, const char *reason, const char *sqlstate,
					  const char *detail);

/* The client has logged in: [log] connections. */
void client_log_connected(const struct client *client);

/* A client that had logged in is gone: [log] disconnections. */
void client_log_disconnected(const struct client *client);

/* A statement of the client's was refused, or would have been: why, by which rule, and which
 * name was in the way (may be NULL). Never the statement. */
void client_log_statement(const struct client *client, const char *event, const char *reason,
						  const char *what, const char *name);

#endif
