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
#include "proxy/rate.h"
#include "proxy/statements.h"
#include "proxy/wire.h"
#include "proxy/worker.h"

static void unbind(struct client *client)
{
	free(client->bound_text);
	client->bound_text = NULL;
	client->bound = NOT_BEGIN;
}

void local_clear_held(struct client *client)
{
	for (size_t i = 0; i < client->held_count; i++)
		free(client->held[i]);
	client->held_count = 0;
	client->has_failed = false;
	unbind(client);
}

/* ---- holding ---- */

static char local_status(const struct client *client)
{
	if (client->has_failed)
		return 'E';
	return client->held_count ? 'T' : 'I';
}

/* A BEGIN inside a transaction, and a SET TRANSACTION outside of one, are the server's to warn
 * about. */
static bool may_hold(const struct client *client, enum session_begin kind)
{
	if (kind == NOT_BEGIN || client->held_count >= CLIENT_HELD_MAX || client->given_settings)
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

bool local_hold_read_only(struct client *client)
{
	return client->server || !client->held_count || client->held_count > CLIENT_HELD_MAX ||
		   hold(client, "SET TRANSACTION READ ONLY");
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
	unbind(client);
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
	names_forget_unnamed(client); /* as the server forgets its own */

	if (!wire_command_complete(&client->reply, session_begin_tag(kind)) ||
		!wire_ready_for_query(&client->reply, local_status(client))) {
		client_fatal(client, REASON_MEMORY, NULL);
		return true;
	}
	flush_reply(client);
	return true;
}

/* The unnamed statement is kept as it came: a backend may have to be given it later. */
static bool keep_unnamed(struct client *client, const uint8_t *body, size_t len,
						 enum session_begin kind)
{
	names_forget_unnamed(client);
	if (!wire_message(&client->unnamed, 'P', body, len)) {
		buf_fini(&client->unnamed);
		return false;
	}
	client->unnamed_begin = kind;
	names_new_unnamed(client);
	return true;
}

static bool local_parse(struct client *client, const uint8_t *body, size_t len)
{
	size_t at = 0;
	const char *name = wire_cstr(body, len, &at);
	size_t after = at;
	const char *text = name ? wire_cstr(body, len, &at) : NULL;

	if (!text || len - at != 2 || wire_u16(body + at) != 0)
		return false;
	enum session_begin kind = session_begin(text, strlen(text));
	if (kind == NOT_BEGIN || client->given_settings ||
		(*name &&
		 (statements_find(&client->statements, name) || !names_have_room(client, len))))
		return false;
	if (!*name)
		return keep_unnamed(client, body, len, kind) &&
			   wire_message(&client->reply, '1', "", 0);
	const struct verdict *verdict =
		verdict_cache_read(client->worker->verdicts, text, strlen(text));
	return verdict && names_define(client, name, body + after, len - after, verdict) &&
		   wire_message(&client->reply, '1', "", 0);
}

/* The statement of that name, if it is one that only begins a transaction, and its text. */
static enum session_begin find_begin(struct client *client, const char *name, const char **text)
{
	const struct statement *statement;

	if (!*name) {
		if (client->unnamed_begin)
			*text = (const char *)buf_data(&client->unnamed) + WIRE_HEADER + 1;
		return client->unnamed_begin;
	}
	statement = statements_find(&client->statements, name);
	if (!statement)
		return NOT_BEGIN;
	*text = (const char *)statement->prepared->key + statement->prepared->body_at;
	return statement->begin;
}

/* A BEGIN within a transaction is bound on a backend: the relay parses it there first. */
static bool local_bind(struct client *client, const uint8_t *body, size_t len)
{
	size_t at = 0;
	const char *portal = wire_cstr(body, len, &at);
	const char *name = portal ? wire_cstr(body, len, &at) : NULL;
	const char *text;

	/* No parameter formats, no parameters; result formats say nothing where there is no result.
	 */
	if (!name || *portal || len - at < 6 || wire_u16(body + at) || wire_u16(body + at + 2) ||
		len - at != 6 + 2 * (size_t)wire_u16(body + at + 4))
		return false;
	enum session_begin kind = find_begin(client, name, &text);
	if (!may_hold(client, kind))
		return false;
	unbind(client);
	client->bound_text = strdup(text);
	client->bound = kind;
	return client->bound_text && wire_message(&client->reply, '2', "", 0);
}

static bool local_describe(struct client *client, const uint8_t *body, size_t len)
{
	size_t at = 1;
	const char *name = wire_cstr(body, len, &at), *text;

	if (!name || at != len)
		return false;
	if (body[0] == 'P' && !*name && client->bound)
		return wire_message(&client->reply, 'n', "", 0);
	if (body[0] == 'S' && find_begin(client, name, &text))
		return wire_message(&client->reply, 't', "\0", 2) &&
			   wire_message(&client->reply, 'n', "", 0);
	return false;
}

static bool local_execute(struct client *client, const uint8_t *body, size_t len)
{
	enum session_begin kind = client->bound;

	/* Only the unnamed portal, whatever the row limit. */
	if (!kind || len != 5 || body[0] || !may_hold(client, kind) ||
		!hold(client, client->bound_text))
		return false;
	unbind(client);
	return wire_command_complete(&client->reply, session_begin_tag(kind));
}

/* A statement is closed where it is known, which is here. (Closing what does not exist is no
 * error, but may mean a statement of SQL's PREPARE on a backend.) */
static bool local_close(struct client *client, const uint8_t *body, size_t len)
{
	size_t at = 1;
	const char *name = wire_cstr(body, len, &at);

	if (!name || at != len || body[0] != 'S')
		return false;
	struct statement *statement = *name ? statements_find(&client->statements, name) : NULL;
	if (statement)
		statements_remove(&client->statements, statement);
	else if (!*name && client->unnamed_begin)
		names_forget_unnamed(client);
	else
		return false;
	return wire_message(&client->reply, '3', "", 0);
}

static bool local_sync(struct client *client)
{
	unbind(client);
	if (!wire_ready_for_query(&client->reply, local_status(client)))
		return false;
	flush_reply(client);
	return true;
}

static bool answer(struct client *client, char type, const uint8_t *body, size_t len)
{
	/* What may be said in a transaction that has failed, and what not, the server knows. */
	if (client->has_failed && type != 'S' && type != 'H')
		return false;
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
	if (client->state != CLIENT_WAITING || client->server) {
		client_fatal(client, reason, NULL);
		return;
	}
	queue_leave(client);
	client->has_failed = client->held_count > 0;
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

/*
 * Nothing is begun, and no statement of the tenant's may be carried out now: a batch is refused
 * from its first message on, and the server is spared. (What a transaction that was begun here
 * makes of it, the server says.)
 */
static bool is_over_rate(const struct client *client, char type)
{
	bool is_statement = type == 'Q' || type == 'P' || type == 'B' || type == 'E' || type == 'F';

	return is_statement && !client->held_count && rate_is_spent(client);
}

static size_t refuse_for_rate(struct client *client, const uint8_t *data, size_t len)
{
	rate_refused(client);
	client->skip = SKIP_STATEMENT;
	client->skip_reason = REASON_RATE;
	return local_consume(client, data, len);
}

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
	if (rate_is_limited(client) && is_over_rate(client, type))
		return refuse_for_rate(client, data, len);
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
