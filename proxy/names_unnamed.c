/*
 * The unnamed statement.
 */
#include <string.h>

#include "policy/session.h"
#include "proxy/names_internal.h"
#include "proxy/pins.h"
#include "proxy/rewrite.h"

void names_forget_unnamed(struct client *client)
{
	buf_fini(&client->unnamed);
	verdict_unref(client->unnamed_verdict);
	client->unnamed_verdict = NULL;
	names_judged(client, NULL);
	client->unnamed_begin = NOT_BEGIN;
	client->unnamed_held = client->unnamed_rewritten = false;
	client->unnamed_id = 0;
}

void names_skipped(struct client *client)
{
	names_forget_unnamed(client);
	client->server->unnamed_id = 0;
}

void names_forget_all(struct client *client)
{
	statements_clear(&client->statements);
	names_forget_unnamed(client);
	names_forget_portals(client);
}

/* Another client's unnamed statement, or one of the hand-over's, may stand in the backend. */
bool names_bring_unnamed(struct names_walk *walk, const uint8_t *message)
{
	struct client *client = walk->client;

	if (client->unnamed_id && client->server->unnamed_id == client->unnamed_id)
		return true;
	client->server->unnamed_id = client->unnamed_id;
	if (!names_gather(walk, message))
		return false;
	if (!client->unnamed_id || !buf_len(&client->unnamed))
		return names_append_close(walk->out, "") && names_ask_ours(walk, REPLY_CLOSE, NULL);
	return buf_append(walk->out, buf_data(&client->unnamed), buf_len(&client->unnamed)) &&
		   names_ask_ours(walk, REPLY_PARSE, NULL);
}

/* The unnamed statement is another on the backend than the one that the client sent. */
static bool replace_unnamed(struct names_walk *walk, const uint8_t *message, uint64_t total,
							const char *text, size_t len)
{
	struct client *client = walk->client;
	size_t after = WIRE_HEADER + 1 + len + 1, mark, first;

	if (!names_gather(walk, message))
		return false;
	first = buf_len(walk->out);
	if (!wire_begin(walk->out, 'P', &mark) || !buf_append_byte(walk->out, 0) ||
		!rewrite_append(client, walk->verdict, text, len, walk->out) ||
		!buf_append_byte(walk->out, 0) ||
		!buf_append(walk->out, message + after, (size_t)total - after) ||
		!wire_end(walk->out, mark) ||
		!buf_append(&client->unnamed, buf_data(walk->out) + first, buf_len(walk->out) - first))
		return false;
	walk->run = message + total;
	walk->parsed = NULL;
	client->unnamed_rewritten = true;
	return true;
}

enum names_result names_parse_unnamed(struct names_walk *walk, const uint8_t *message,
									  size_t visible, uint64_t total)
{
	struct client *client = walk->client;
	size_t len = 0;

	names_forget_unnamed(client);
	names_new_unnamed(client);
	walk->parsed = message;
	walk->parsed_len = visible == total ? visible : 0;
	walk->is_bound = false;
	const char *text =
		visible == total ? names_text(message, WIRE_HEADER + 1, total, &len) : NULL;
	const struct verdict *verdict = text ? names_read(walk, text, len) : client->worker->unread;
	if (!verdict)
		return NAMES_NO_MEMORY;
	enum names_result judged = text || visible < total
								   ? names_judge(walk, verdict, message, total)
								   : NAMES_PASS; /* it does not end, says the server */
	if (judged != NAMES_PASS) {
		names_forget_unnamed(client); /* as the server does before it looks at a new one */
		walk->parsed = NULL;
		return judged;
	}
	names_judged(client, verdict);
	if (verdict->is_plain)
		return NAMES_PASS;
	client->unnamed_verdict = verdict_ref(verdict);
	if (names_wants_native(client, verdict) && !names_go_native(walk, message))
		return NAMES_NO_MEMORY;
	if (verdict->statement_count == 1 && rewrite_is_wanted(client, verdict) &&
		!replace_unnamed(walk, message, total, text, len))
		return NAMES_NO_MEMORY;
	return NAMES_PASS;
}

/* What was parsed without a backend is read once it is bound on one. */
static bool read_kept(struct client *client)
{
	const struct verdict *verdict;

	if (!client->unnamed_begin || client->unnamed_judged)
		return true;
	const char *text = (const char *)buf_data(&client->unnamed) + WIRE_HEADER + 1;
	verdict = verdict_cache_read(client->worker->verdicts, text, strlen(text));
	names_judged(client, verdict);
	return verdict != NULL;
}

enum names_result names_bind_unnamed(struct names_walk *walk, const uint8_t *message,
									 uint64_t total, const char *portal)
{
	struct client *client = walk->client;

	if (!read_kept(client))
		return NAMES_NO_MEMORY;
	if (client->unnamed_judged) {
		enum names_result judged = names_judge(walk, client->unnamed_judged, message, total);

		if (judged != NAMES_PASS)
			return judged;
	}
	if (!names_bring_unnamed(walk, message) ||
		!names_note_portal(client, portal, client->unnamed_judged, client->unnamed_rewritten))
		return NAMES_NO_MEMORY;
	walk->is_bound = true;
	client->unnamed_held = false;
	return NAMES_PASS;
}

void names_end(struct names_walk *walk)
{
	struct client *client = walk->client;
	size_t max = walk->is_bound ? NAMES_BOUND_MAX : NAMES_UNNAMED_MAX;

	if (!walk->parsed)
		return;
	buf_truncate(&client->unnamed, 0);
	bool is_kept = walk->parsed_len && walk->parsed_len <= max &&
				   buf_append(&client->unnamed, walk->parsed, walk->parsed_len);
	client->unnamed_held = !is_kept && !walk->is_bound;
}
