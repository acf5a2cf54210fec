/*
 * seen.h: what of a client goes into the audit log (router/sightings.h), as [control]
 * audit_sessions and audit_refusals say.
 */
#ifndef PROXY_SEEN_H
#define PROXY_SEEN_H

#include "policy/reason.h"

struct client;

/* It has logged in. */
void seen_opened(const struct client *client);

/* Its login is refused. */
void seen_refused(const struct client *client, enum reason reason);

/* A statement of it is refused. */
void seen_statement(const struct client *client, enum reason reason);

#endif
