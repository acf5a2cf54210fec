/*
 * console.h: sessions that Bulkhead answers itself.
 *
 * Whoever connects to the database `bulkhead` gets no tenant and no backend but the console,
 * when the principal is one of admin_users (all commands) or stats_users (SHOW); it is told
 * that it is not only behind the password. What workers do is asked of all of them through
 * router/live, so a session here shows and commands the whole process. It counts as a client,
 * and as none of any tenant. client_idle_timeout does not end it.
 *
 * A table goes out as the client takes it, some rows at each turn of the loop.
 */
#ifndef PROXY_CONSOLE_H
#define PROXY_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client;
struct worker;

/* The name of the client's database is the console's. */
bool console_is_wanted(const char *database);

/*
 * The client has shown who it is, and its AuthenticationOk is on its way: it is in
 * CLIENT_CONSOLE on return, or was refused. `application_name` may be NULL.
 */
void console_begin(struct client *client, const char *application_name);

/* Uses whole messages of a client in CLIENT_CONSOLE; returns the bytes used. */
size_t console_consume(struct client *client, const uint8_t *data, size_t len);

/* Is the console ready for a message? */
bool console_may_read(const struct client *client);

/* Has the client had the answers to all that it has sent? */
bool console_is_between(const struct client *client);

/* The client has taken what was sent. */
void console_drained(struct client *client);

/* A cancel request for the client came in: the command that runs ends with an error. */
void console_cancel(struct client *client);

/* What the client called itself, or NULL; NULL too for who is on no console. */
const char *console_application_name(const struct client *client);

/* Looks again where a command waits for transactions to end. */
void console_tick(struct worker *worker);

/* The client is leaving: what it waited for is forgotten. */
void console_leave(struct client *client);

/* The memory; with the client's. */
void console_free(struct client *client);

/* The memory of questions to workers that nobody will answer any more: the worker has left
 * router/live, and drained its mailbox. */
void console_questions_free(struct worker *worker);

#endif
