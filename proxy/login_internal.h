/*
 * login_internal.h: what the files of a login share. login.c takes it from the startup packet
 * to the first ReadyForQuery, login_scram.c asks for the password on the way.
 */
#ifndef PROXY_LOGIN_INTERNAL_H
#define PROXY_LOGIN_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "policy/reason.h"
#include "proxy/penalty.h"
#include "proxy/scram.h"
#include "proxy/startup.h"
#include "router/selector.h"

struct client;
struct directory_lookup;
struct principal;

struct login {
	struct startup startup;
	struct selector_choice choice;
	size_t next_token;
	struct directory_lookup *pending;
	struct scram_server scram;
	struct penalty_ticket ticket;
	bool ssl_asked, gss_asked, scram_begun, mechanism_read;
	bool unavailable; /* nobody could say whether there is such a principal */
};

/* As client_fatal, and counted. */
void login_refuse(struct client *client, enum reason reason, const char *detail);

/* May the principal log in now? NULL may not. */
bool login_may(const struct principal *principal);

/* Why nobody of that name was let in: with that password, or where none is asked for. */
enum reason login_why_unknown(const struct client *client);

/* Asks for the password; of a principal that does not exist too. The client is in CLIENT_AUTH,
 * or was refused. */
void login_scram_begin(struct client *client);

/* Uses a SASL message of a client in CLIENT_AUTH; returns the bytes used. */
size_t login_scram_consume(struct client *client, const uint8_t *data, size_t len);

/* The client is who it says: sends what `out` has (it is taken over) with AuthenticationOk, and
 * goes on with the tenant or the console. */
void login_authenticated(struct client *client, struct buf *out);

#endif
