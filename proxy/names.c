#include "proxy/names.h"

#include <string.h>

#include "proxy/client.h"
#include "proxy/server.h"
#include "proxy/wire.h"

/* Longest name that is compared with those that only Bulkhead knows, with what is around it. */
#define NAMES_MAX 512

/* ---- which statement a message names ---- */

static bool is_of_statement(uint8_t type)
{
	return type == 'D' || type == 'C';
}

/*
 * The name of the statement in a Parse, Bind, Describe or Close; NULL when it names none, or
 * when the name does not end within what is there.
 */
static const char *statement_of(uint8_t type, const uint8_t *body, size_t len)
{
	size_t at = 0;

	if (is_of_statement(type)) {
		if (!len || body[0] != 'S')
			return NULL;
		at = 1;
	} else if (type == 'B' && !wire_cstr(body, len, &at)) {
		return NULL;
	}
	return wire_cstr(body, len, &at);
}

static bool has_held_names(const struct client *client)
{
	return client->held_name_count || client->held_unnamed.text;
}

static bool names_something(uint8_t type)
{
	return type == 'P' || type == 'B' || is_of_statement(type);
}

size_t names_bytes_needed(const struct client *client, const uint8_t *message, size_t visible,
						  uint64_t total)
{
	uint8_t type = *message;
	size_t needed = WIRE_HEADER;

	if (!names_something(type))
		return needed;
	needed += type == 'P' ? 1 : 2;
	if (has_held_names(client) ||
		(type == 'B' && visible > WIRE_HEADER && message[WIRE_HEADER]))
		needed = WIRE_HEADER + NAMES_MAX;
	return needed < total ? needed : (size_t)total;
}

/* ---- what is sent before a message ---- */

static void pass_on(struct names_walk *walk, const uint8_t *to)
{
	if (to > walk->run)
		server_send(walk->client->server, walk->run, (size_t)(to - walk->run));
	walk->run = to;
}

static enum names_verdict inject(struct names_walk *walk, const uint8_t *before,
								 struct buf *out, enum reply reply)
{
	struct server *server = walk->client->server;

	if (!buf_len(out) || !replies_push(&server->replies, reply | REPLY_OURS))
		return NAMES_NO_MEMORY;
	pass_on(walk, before);
	server_send(server, buf_data(out), buf_len(out));
	return NAMES_PASS;
}

/* ---- statements that only Bulkhead knows ---- */

static enum names_verdict inject_held(struct names_walk *walk, const uint8_t *message,
									  struct held_name *held)
{
	struct client *client = walk->client;
	struct buf out;

	buf_init(&out);
	if (!wire_parse(&out, held->name ? held->name : "", held->text))
		buf_fini(&out);
	enum names_verdict verdict = inject(walk, message, &out, REPLY_PARSE);
	buf_fini(&out);
	if (held->name)
		client_pin(client, "prepared statement");
	else
		client->server->unnamed_of = client->pid;
	local_forget_name(client, held);
	return verdict;
}

/* Where the transaction has failed nothing can be parsed, but such a statement can be
 * described: it takes nothing and returns nothing. */
static bool describe_held(struct names_walk *walk, const uint8_t *message)
{
	struct client *client = walk->client;
	struct buf out;

	if (client->server->status != 'E' || !replies_is_empty(&client->server->replies))
		return false;
	buf_init(&out);
	if (wire_message(&out, 't', "\0", 2) && wire_message(&out, 'n', "", 0)) {
		pass_on(walk, message);
		client_send_buf(client, &out);
		return true;
	}
	buf_fini(&out);
	return false;
}

static enum names_verdict note_held(struct names_walk *walk, const uint8_t *message,
									size_t visible)
{
	struct client *client = walk->client;
	const char *name = statement_of(*message, message + WIRE_HEADER, visible - WIRE_HEADER);
	struct held_name *held = name ? local_held_name(client, name) : NULL;

	if (!held)
		return NAMES_PASS;
	switch (*message) {
	case 'D':
		if (describe_held(walk, message))
			return NAMES_ANSWERED;
		return inject_held(walk, message, held);
	case 'P':
		if (*name)
			return inject_held(walk, message,
							   held); /* the server says that the name is taken */
		break;
	case 'B':
		return inject_held(walk, message, held);
	default:
		break;
	}
	local_forget_name(client, held);
	return NAMES_PASS;
}

/* ---- the unnamed statement ---- */

void names_forget_unnamed(struct client *client)
{
	buf_fini(&client->unnamed);
	client->unnamed_held = false;
}

void names_skipped(struct client *client)
{
	names_forget_unnamed(client);
	client->server->unnamed_of = 0;
}

/* Another client's unnamed statement, or one of the hand-over's, may stand in the backend. */
static enum names_verdict bring_unnamed(struct names_walk *walk, const uint8_t *message)
{
	struct client *client = walk->client;
	enum names_verdict verdict;
	struct buf out;

	if (client->server->unnamed_of == client->pid)
		return NAMES_PASS;
	client->server->unnamed_of = client->pid;
	if (buf_len(&client->unnamed))
		return inject(walk, message, &client->unnamed, REPLY_PARSE);
	buf_init(&out);
	if (!wire_message(&out, 'C', "S", 2))
		buf_fini(&out);
	verdict = inject(walk, message, &out, REPLY_CLOSE);
	buf_fini(&out);
	return verdict;
}

static void parse_unnamed(struct names_walk *walk, const uint8_t *message, size_t visible,
						  uint64_t total)
{
	names_forget_unnamed(walk->client);
	walk->client->server->unnamed_of = walk->client->pid;
	walk->parsed = message;
	walk->parsed_len = visible == total ? visible : 0;
}

static void drop_unnamed(struct names_walk *walk)
{
	names_forget_unnamed(walk->client);
	walk->parsed = NULL;
}

void names_end(struct names_walk *walk)
{
	struct client *client = walk->client;

	if (!walk->parsed)
		return;
	client->unnamed_held = !walk->parsed_len || walk->parsed_len > NAMES_UNNAMED_MAX ||
						   !buf_append(&client->unnamed, walk->parsed, walk->parsed_len);
}

static enum names_verdict note_unnamed(struct names_walk *walk, const uint8_t *message,
									   size_t visible, uint64_t total)
{
	const char *name = statement_of(*message, message + WIRE_HEADER, visible - WIRE_HEADER);
	enum names_verdict verdict;

	/* Behind a portal's name that does not end there is no telling which it is. */
	if (name ? *name != '\0' : *message != 'B')
		return NAMES_PASS;
	switch (*message) {
	case 'P':
		parse_unnamed(walk, message, visible, total);
		return NAMES_PASS;
	case 'B':
		verdict = bring_unnamed(walk, message);
		walk->parsed = NULL;
		walk->client->unnamed_held = false;
		return verdict;
	case 'D':
		return bring_unnamed(walk, message);
	default:
		drop_unnamed(walk);
		return NAMES_PASS;
	}
}

/* ---- all of them ---- */

enum names_verdict names_note(struct names_walk *walk, const uint8_t *message, size_t visible,
							  uint64_t total)
{
	struct client *client = walk->client;
	enum names_verdict verdict;
	uint8_t type = *message;

	if (client->server->replies.skipping)
		return NAMES_PASS; /* the server does not even look at it */
	if (type == 'Q') {     /* the server forgets its unnamed statement then */
		drop_unnamed(walk);
		client->server->unnamed_of = 0;
		if (client->held_unnamed.text)
			local_forget_name(client, &client->held_unnamed);
		return NAMES_PASS;
	}
	if (!names_something(type))
		return NAMES_PASS;
	if (type == 'P' && visible > WIRE_HEADER && message[WIRE_HEADER])
		client_pin(client, "prepared statement");
	if (has_held_names(client)) {
		verdict = note_held(walk, message, visible);
		if (verdict != NAMES_PASS)
			return verdict;
	}
	return note_unnamed(walk, message, visible, total);
}
