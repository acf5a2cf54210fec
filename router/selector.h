/*
 * selector.h: for which tenant does a new session speak?
 *
 * Selectors are an ordered list per listener. The first that answers wins; a later one that
 * answers too may only name the same tenant or one below it. All selectors of this file are
 * binding: what they chose stays for the life of the connection.
 */
#ifndef ROUTER_SELECTOR_H
#define ROUTER_SELECTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/conf.h"

/* What a client said at startup. Strings are borrowed. */
struct selector_input {
	const char *user;     /* as sent */
	const char *database; /* as sent, or NULL */
	const char *startup; /* value of bulkhead.tenant from `options` or a startup key, or NULL */
	const char *tls;     /* the tenant that TLS names, by host name or certificate, or NULL */
};

/* The tenants named, in the order of the list; at most one per selector. */
struct selector_choice {
	char *tokens[CONF_SELECTORS_MAX]; /* from malloc */
	size_t count;
	char *principal;     /* the user without the tenant's part; from malloc */
	bool database_taken; /* the database name was used up as the tenant's name */
};

/*
 * Splits the user and collects the tokens. False when memory is out or a token is empty or
 * longer than TENANT_TOKEN_MAX. Needs no directory: who the tokens are is asked afterwards.
 */
bool selector_choose(const struct conf_listen *listen, const struct selector_input *input,
					 struct selector_choice *choice);

void selector_choice_fini(struct selector_choice *choice);

#endif
