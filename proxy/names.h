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

struct client;

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

/* The client has no unnamed statement any more. */
void names_forget_unnamed(struct client *client);

#endif
