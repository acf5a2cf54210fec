#include "proxy/seen.h"

#include "proxy/client.h"
#include "proxy/worker.h"
#include "router/sightings.h"

/* Only names that were found for it: what else a stranger calls himself is not counted apart,
 * or there would soon be no room. */
static void add(const struct client *client, enum sighting_kind kind, enum reason reason)
{
	sightings_add(client->worker->sightings, kind, client->tenant ? &client->tenant->id : NULL,
				  client->principal ? client->principal->name : NULL, reason);
}

void seen_opened(const struct client *client)
{
	if (client->worker->conf->audit_sessions)
		add(client, SIGHTING_SESSION_OPENED, SIGHTING_NO_REASON);
}

void seen_refused(const struct client *client, enum reason reason)
{
	if (client->worker->conf->audit_refusals)
		add(client, SIGHTING_SESSION_REFUSED, reason);
}

void seen_statement(const struct client *client, enum reason reason)
{
	if (client->worker->conf->audit_refusals)
		add(client, SIGHTING_STATEMENT_REFUSED, reason);
}
