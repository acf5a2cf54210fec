/*
 * What a client gets answered without a backend.
 *
 * A statement that only begins a transaction, or sets its modes, is held: the client is told
 * that the transaction has begun, and a backend is taken when there is something to do in it.
 * The same in the extended protocol, where such a statement is parsed (under a name or none),
 * bound and executed in messages of their own. Everything else asks the pool for a backend, and
 * the message is left to be passed on.
 */
#include <stdlib.h>
#include <string.h>

#include "proxy/client.h"
#include "proxy/names.h"
#include "proxy/pool.h"
#include "proxy/queue.h"
#include "proxy/wire.h"
#include "proxy/worker.h"

/* ---- statements known by name ---- */

static void held_fini(struct held_name *held)
{
	free(held->name);
	free(held->text);
	held->name = held->text = NULL;
}

struct held_name *local_held_name(struct client *client, const char *name)
{
	if (!*name)
		return client->held_unnamed.text ? &client->held_unnamed : NULL;
	list_each (node, next, &client->held_names) {
		struct held_name *held = list_entry(node, struct held_name, node);

		if (strcmp(held->name, name) == 0)
			return held;
	}
	return NULL;
}

void local_forget_name(struct client *client, struct held_name *held)
{
	if (client->held_portal == held)
		client->held_portal = NULL;
	if (held == &client->held_unnamed) {
		held_fini(held);
		return;
	}
	list_remove(&held->node);
	client->held_name_count--;
	held_fini(held);
	free(held);
}

void local_forget_all(struct client *client)
{
	list_each (node, next, &client->held_names)
		local_forget_name(client, list_entry(node, struct held_name, node));
	local_forget_name(client, &client->held_unnamed);
}

void local_clear_held(struct client *client)
{
	for (size_t i = 0; i < client->held_count; i++)
		free(client->held[i]);
	client->held_count = 0;
}

/* Remembers the statement; false when memory is out or there are too many of them. */
static bool remember(struct client *client, const char *name, const char *text,
					 enum session_begin kind)
{
	struct held_name *held = local_held_name(client, name);

	if (held)
		local_forget_name(client, held);
	if (!*name) {
		held = &client->held_unnamed;
	} else {
		if (client->held_name_count == CLIENT_HELD_NAMES_MAX)
			return false;
		held = calloc(1, sizeof *held);
		if (!held)
			return false;
		held->name = strdup(name);
		list_append(&client->held_names, &held->node);
		client->held_name_count++;
	}
	held->kind = kind;
	held->text = strdup(text);
	if (!held->text || (*name && !held->name)) {
		local_forget_name(client, held);
		return false;
	}
	return true;
}

/* ---- holding ---- */

static char local_status(const struct client *client)
{
	return client->held_count ? 'T' : 'I';
}

/* A BEGIN inside a transaction, and a SET TRANSACTION outside of one, are the server's to warn
 * about. */
static bool may_hold(const struct client *client, enum session_begin kind)
{
	if (kind == NOT_BEGIN || client->held_count == CLIENT_HELD_MAX)
		return false;
	return (kind == SET_TRANSACTION) == (client->held_count > 0);
}

static bool hold(struct client *client, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return false;
	client->held[client->held_count++] = copy;
	return true;
}

/* ---- asking for a backend ---- */

static void flush_reply(struct client *client)
{
	client_send_buf(client, &client->reply);
}

/* The message stays unused: it is passed on once there is a backend. */
static size_t need_backend(struct client *client)
{
	flush_reply(client);
	list_remove(&client->queue);
	client->held_portal = NULL;
	client->state = CLIENT_WAITING;
	pool_request(client);
	return 0;
}

/* Answers wait for their batch's Sync to go out in one write, unless there are very many of
 * them. */
#define REPLY_MAX 8192

/* ---- messages; each returns false when the message needs a backend ---- */

static bool local_query(struct client *client, const uint8_t *body, size_t len)
{
	const char *text = (const char *)body;
	enum session_begin kind;

	if (!len || body[len - 1])
		return false;
	kind = session_begin(text, len - 1);
	if (!may_hold(client, kind) || memchr(body, 0, len - 1) || !hold(client, text))
		return false;
	local_forget_name(client, &client->held_unnamed); /* as the server forgets its own */
	names_forget_unnamed(client);

	if (!wire_command_complete(&client->reply, session_begin_tag(kind)) ||
		!wire_ready_for_query(&client->reply, local_status(client))) {
		client_fatal(client, REASON_MEMORY, NULL);
		return true;
	}
	flush_reply(client);
	return true;
}

static bool local_parse(struct client *client, const uint8_t *body, size_t len)
{
	size_t at = 0;
	const char *name = wire_cstr(body, len, &at);
	const char *text = name ? wire_cstr(body, len, &at) : NULL;

	if (!text || len - at != 2 || wire_u16(body + at) != 0)
		return false;
	enum session_begin kind = session_begin(text, strlen(text));
	if (kind == NOT_BEGIN || (*name && local_held_name(client, name)))
		return false;
	if (!*name)
		names_forget_unnamed(client);
	return remember(client, name, text, kind) && wire_message(&client->reply, '1', "", 0);
}

/* A BEGIN within a transaction is bound on a backend: the relay parses it there first. */
static bool local_bind(struct client *client, const uint8_t *body, size_t len)
{
	size_t at = 0;
	const char *portal = wire_cstr(body, len, &at);
	const char *name = portal ? wire_cstr(body, len, &at) : NULL;
	const struct held_name *held = name ? local_held_name(client, name) : NULL;

	/* No parameter formats, no parameters; result formats say nothing where there is no result.
	 */
	if (!held || *portal || !may_hold(client, held->kind) || len - at < 6 ||
		wire_u16(body + at) || wire_u16(body + at + 2) ||
		len - at != 6 + 2 * (size_t)wire_u16(body + at + 4))
		return false;
	client->held_portal = held;
	return wire_message(&client->reply, '2', "", 0);
}

static bool local_describe(struct client *client, const uint8_t *body, size_t len)
{
	size_t at = 1;
	const char *name = wire_cstr(body, len, &at);

	if (!name || at != len)
		return false;
	if (body[0] == 'P' && !*name && client->held_portal)
		return wire_message(&client->reply, 'n', "", 0);
	if (body[0] == 'S' && local_held_name(client, name))
		return wire_message(&client->reply, 't', "\0", 2) &&
			   wire_message(&client->reply, 'n', "", 0);
	return false;
}

static bool local_execute(struct client *client, const uint8_t *body, size_t len)
{
	const struct held_name *held = client->held_portal;

	/* Only the unnamed portal, whatever the row limit. */
	if (!held || len != 5 || body[0] || !may_hold(client, held->kind) ||
		!hold(client, held->text))
		return false;
	client->held_portal = NULL;
	return wire_command_complete(&client->reply, session_begin_tag(held->kind));
}

static bool local_close(struct client *client, const uint8_t *body, size_t len)
{
	size_t at = 1;
	const char *name = wire_cstr(body, len, &at);
	struct held_name *held =
		name && at == len && body[0] == 'S' ? local_held_name(client, name) : NULL;

	if (!held)
		return false;
	local_forget_name(client, held);
	return wire_message(&client->reply, '3', "", 0);
}

static bool local_sync(struct client *client)
{
	client->held_portal = NULL;
	if (!wire_ready_for_query(&client->reply, local_status(client)))
		return false;
	flush_reply(client);
	return true;
}

static bool answer(struct client *client, char type, const uint8_t *body, size_t len)
{
	switch (type) {
	case 'Q':
		return local_query(client, body, len);
	case 'P':
		return local_parse(client, body, len);
	case 'B':
		return local_bind(client, body, len);
	case 'D':
		return local_describe(client, body, len);
	case 'E':
		return local_execute(client, body, len);
	case 'C':
		return local_close(client, body, len);
	case 'S':
		return len == 0 && local_sync(client);
	case 'H':
		flush_reply(client);
		return len == 0;
	default:
		return false;
	}
}

static void answered(struct client *client)
{
	if (buf_len(&client->reply) > REPLY_MAX)
		flush_reply(client);
	client_is_idle(client);
}

/* A message of a COPY that the server had given up before all of it was sent; the server
 * ignores those too. */
static bool is_stray_copy(char type)
{
	return type == 'd' || type == 'c' || type == 'f';
}

/* ---- statements that fail for want of a backend ---- */

void local_give_up(struct client *client, enum reason reason)
{
	if (client->state != CLIENT_WAITING || client->server || client->held_count) {
		client_fatal(client, reason, NULL);
		return;
	}
	queue_leave(client);
	client->skip = SKIP_STATEMENT;
	client->skip_reason = reason;
	client_is_idle(client);
	client_resume(client);
}

/* Does the server answer this message with ReadyForQuery by itself? */
static bool stands_alone(char type)
{
	return type == 'Q' || type == 'F';
}

/* Answers a message that is not carried out, as the server would answer one that fails. */
static void skip(struct client *client, char type)
{
	struct buf *reply = &client->reply;
	bool ok = true;

	if (client->skip == SKIP_STATEMENT) {
		ok = wire_error(reply, "ERROR", client->skip_reason, NULL);
		client->skip = stands_alone(type) ? SKIP_NOTHING : SKIP_TO_SYNC;
	} else if (type == 'S') {
		client->skip = SKIP_NOTHING;
	}
	if (ok && client->skip == SKIP_NOTHING)
		ok = wire_ready_for_query(reply, local_status(client));
	if (!ok)
		client_fatal(client, REASON_MEMORY, NULL);
	else
		flush_reply(client);
}

/* Longest message that may be answered here: the text, two names and the counts around them. */
#define LOCAL_MESSAGE_MAX (WIRE_HEADER + SESSION_BEGIN_MAX + 256)

static size_t answer_or_wait(struct client *client, char type, uint64_t total,
							 const uint8_t *data, size_t len)
{
	if (total <= LOCAL_MESSAGE_MAX) {
		if (len < total)
			return 0;
		if (answer(client, type, data + WIRE_HEADER, (size_t)total - WIRE_HEADER)) {
			if (client->state == CLIENT_IDLE)
				answered(client);
			return (size_t)total;
		}
	}
	return need_backend(client);
}

size_t local_consume(struct client *client, const uint8_t *data, size_t len)
{
	if (client->body_left) { /* of a message that is thrown away */
		size_t part = len < client->body_left ? len : (size_t)client->body_left;

		client->body_left -= part;
		return part;
	}
	if (len < WIRE_HEADER)
		return 0;

	char type = (char)data[0];
	uint64_t total = 1 + (uint64_t)wire_u32(data + 1);

	if (total < WIRE_HEADER || total > (uint64_t)client->worker->conf->max_packet_size) {
		relay_accepts(client, data[0], total); /* it does not, and says why */
		return len;
	}
	if (type == 'X') {
		client_close(client);
		return len;
	}
	if (client->skip != SKIP_NOTHING)
		skip(client, type);
	else if (!is_stray_copy(type))
		return answer_or_wait(client, type, total, data, len);
	if (client->state != CLIENT_IDLE)
		return len;
	client->body_left = total;
	return local_consume(client, data, len);
}
