/*
 * Portals of statements that are not plain, and what is executed in them.
 */
#include <stdlib.h>
#include <string.h>

#include "proxy/names_internal.h"
#include "proxy/pins.h"
#include "proxy/rate.h"

static struct portal *find_portal(struct client *client, const char *name)
{
	for (size_t i = 0; i < client->portal_count; i++) {
		if (strncmp(client->portals[i].name, name, STATEMENT_NAME_MAX) == 0)
			return &client->portals[i];
	}
	return NULL;
}

static void forget_portal(struct client *client, struct portal *portal)
{
	free(portal->name);
	verdict_unref(portal->verdict);
	*portal = client->portals[--client->portal_count];
	if (!client->portal_count) {
		free(client->portals);
		client->portals = NULL;
	}
}

void names_forget_portals(struct client *client)
{
	while (client->portal_count)
		forget_portal(client, &client->portals[0]);
}

bool names_note_portal(struct client *client, const char *name, const struct verdict *verdict,
					   bool rewritten)
{
	struct portal *portal = find_portal(client, name);

	if (portal)
		forget_portal(client, portal);
	bool is_plain = !verdict || verdict->is_plain;
	if (is_plain && !rate_is_limited(client))
		return true;
	if (is_plain && client->portal_count == NAMES_PORTALS_MAX)
		return true; /* what is not found is counted all the same */
	if (client->portal_count == NAMES_PORTALS_MAX) {
		pins_add(client, PIN_STATEMENT);
		return pins_note(client, verdict);
	}
	struct portal *more =
		realloc(client->portals, (client->portal_count + 1) * sizeof *client->portals);
	char *copy = strndup(name, STATEMENT_NAME_MAX);
	if (more)
		client->portals = more;
	if (!more || !copy) {
		free(copy);
		return false;
	}
	client->portals[client->portal_count++] = (struct portal){
		.name = copy, .verdict = verdict ? verdict_ref(verdict) : NULL, .rewritten = rewritten};
	return true;
}

/* ---- Execute ---- */

/* A DEALLOCATE that was replaced when it was parsed, of a statement that is gone by now. */
static bool is_gone(const struct client *client, const struct portal *portal)
{
	const struct sql_statement *statement = portal->verdict->statements;

	return portal->rewritten && statement->action == SQL_DEALLOCATE &&
		   !statements_find(&client->statements, statement->name);
}

static enum names_result refuse_gone(struct names_walk *walk, const uint8_t *message,
									 uint64_t total, const char *name)
{
	struct buf text, error;

	buf_init(&text);
	buf_init(&error);
	if (buf_appendf(&text, "prepared statement \"%s\" does not exist", name) &&
		buf_append_byte(&text, 0))
		wire_error_text(&error, "ERROR", "26000", (const char *)buf_data(&text), NULL);
	buf_fini(&text);
	return names_refuse(walk, message, total, &error);
}

enum names_result names_note_execute(struct names_walk *walk, const uint8_t *message,
									 uint64_t total)
{
	static const uint8_t flush[] = {'H', 0, 0, 0, 4};
	struct client *client = walk->client;
	size_t at = WIRE_HEADER;
	const char *name = wire_cstr(message, (size_t)total, &at);
	struct portal *portal = name ? find_portal(client, name) : NULL;

	enum names_result counted =
		names_count(walk, message, total, portal ? portal->verdict : NULL);
	if (counted != NAMES_PASS || !portal || !portal->verdict || portal->verdict->is_plain)
		return counted;
	if (is_gone(client, portal))
		return refuse_gone(walk, message, total, portal->verdict->statements[0].name);
	enum names_result judged = names_judge(walk, portal->verdict, message, total);
	if (judged != NAMES_PASS)
		return judged;
	enum names_result strings = names_note_strings(walk, portal->verdict, message, total);
	if (strings != NAMES_PASS)
		return strings;
	if (names_sequence_is_lost(client, portal->verdict))
		return names_refuse_for(walk, message, total, REASON_SEQUENCE);
	if (!pins_note(client, portal->verdict))
		return NAMES_NO_MEMORY;
	struct reply_note *note = names_run_note(client, portal->verdict, portal->rewritten, false);
	bool is_barrier = note && note->is_barrier;
	enum names_result result = names_ask(walk, 'E', note);

	/* Without a Flush the answer that is waited for would not come before the Sync. */
	if (is_barrier &&
		(!names_gather(walk, message + total) || !buf_append(walk->out, flush, sizeof flush)))
		return NAMES_NO_MEMORY;
	return result;
}
