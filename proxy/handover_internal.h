/*
 * handover_internal.h: what the two files of a hand-over share. handover.c has its course and
 * takes the answers, handover_send.c writes what is sent.
 */
#ifndef PROXY_HANDOVER_INTERNAL_H
#define PROXY_HANDOVER_INTERNAL_H

#include <stdbool.h>

#include "base/buf.h"
#include "proxy/client.h"
#include "proxy/pool.h"
#include "proxy/server.h"

static inline bool handover_needs_enter(const struct server *server)
{
	if (!pool_is_sealed(server->pool))
		return false; /* its tenant's is the only context there is */
	return !server_is_sealed_to(server, server->client->tenant);
}

/*
 * A context is entered from an empty one: whatever went before is discarded first. Only a
 * client that keeps its backend has its context restored in place, since DISCARD ALL would take
 * its session away.
 */
static inline bool handover_needs_discard(const struct server *server)
{
	return server->needs_discard ||
		   (server->tenant && !server->seal_lost && handover_needs_enter(server));
}

static inline bool handover_needs_settings(const struct server *server)
{
	return server->settings != server->client->settings;
}

static inline void handover_add_step(struct server *server, enum handover_step step)
{
	server->steps[server->step_count++] = step;
}

/* Appends the exchanges that are due, and notes them as steps. False when memory is out. */
bool handover_append_due(struct server *server, struct buf *out);

#endif
