/*
 * names.h: what a linked client's messages mean for the statements they name.
 *
 * Two kinds of statements need a look before a message is passed on. One that only begins a
 * transaction may be known to Bulkhead alone (local.c); it is parsed on the backend before a
 * message that names it. And the unnamed statement: PostgreSQL keeps it until the next Parse
 * or Query of the session ("Extended Query" in the protocol's documentation), while a client
 * may come to a backend where another client's unnamed statement stands. Some drivers parse
 * and describe in one batch and bind in the next. So the text of an unnamed statement that was
 * parsed and not bound in the same go is kept, and parsed anew where the client binds it; where
 * no text is kept the backend's is closed first, and the server says that there is none.
 */
#ifndef PROXY_NAMES_H
#define PROXY_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/client.h"
#include "proxy/server.h"
#include "proxy/wire.h"

/* Longest Parse that is kept; with a longer one the client keeps its backend until it binds. */
#define NAMES_UNNAMED_MAX 16384

/* One walk over bytes that came from the client. */
struct names_walk {
	struct client *client;
	const uint8_t *run;    /* first byte not yet passed on */
	const uint8_t *parsed; /* the last Parse of the unnamed statement that nothing has bound */
	size_t parsed_len;     /* 0: not all of it is in these bytes */
};

enum names_verdict {
	NAMES_PASS,
	NAMES_ANSWERED, /* the client has its answer: the message is not for the backend */
	NAMES_NO_MEMORY,
};

/* Has the client statements that only Bulkhead knows, or an unnamed one that is kept? */
static inline bool names_has_any(const struct client *client)
{
	return client->held_name_count || client->held_unnamed.text || client->unnamed.end ||
		   client->unnamed_held;
}

/*
 * Is there nothing to note about this message? So it is with nearly all: an unnamed statement
 * that is parsed and bound in one go. Does the little that is due then. `visible` bytes of it,
 * header and all, are there.
 */
static inline bool names_are_plain(struct names_walk *walk, const uint8_t *message,
								   size_t visible, uint64_t total)
{
	struct client *client = walk->client;
	struct server *server = client->server;
	const uint8_t *body = message + WIRE_HEADER;
	bool is_long_enough = visible >= WIRE_HEADER + 2;

	switch (*message) {
	case 'P':
		if (!is_long_enough || body[0] || server->replies.skipping || names_has_any(client))
			return false;
		server->unnamed_of = client->pid;
		walk->parsed = message;
		walk->parsed_len = visible == total ? visible : 0;
		return true;
	case 'B':
		if (!is_long_enough || body[0] || body[1] || server->unnamed_of != client->pid ||
			names_has_any(client))
			return false;
		walk->parsed = NULL;
		return true;
	case 'Q':
		if (server->replies.skipping || names_has_any(client))
			return false;
		server->unnamed_of = 0;
		walk->parsed = NULL;
		return true;
	case 'D':
		return is_long_enough && body[0] == 'P';
	case 'C':
		return false;
	default:
		return true;
	}
}

/* Bytes of a message, header and all, that must be there before names_note may be called.
 * `visible` are there. */
size_t names_bytes_needed(const struct client *client, const uint8_t *message, size_t visible,
						  uint64_t total);

/*
 * The message is next to go to the client's backend. Sends what must stand before it, and what
 * was not yet passed on before that.
 */
enum names_verdict names_note(struct names_walk *walk, const uint8_t *message, size_t visible,
							  uint64_t total);

/* The walk is over: keeps the unnamed statement that may still be bound. */
void names_end(struct names_walk *walk);

/* The server skips the Parse, or the Close before a Bind, that was to make the backend's
 * unnamed statement the client's: whose it is, is not known. */
void names_skipped(struct client *client);

/* The client has no unnamed statement any more. */
void names_forget_unnamed(struct client *client);

#endif
