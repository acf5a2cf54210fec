/*
 * names.h: what a linked client's messages mean for the statements they name.
 *
 * Clients share backends, and a backend's prepared statements are not a client's. So names in
 * Parse, Bind, Describe and Close are replaced by Bulkhead's own (prepared.h); a statement that
 * the backend lacks is prepared there first; and the unnamed statement, which PostgreSQL keeps
 * until the next Parse or Query of the session ("Extended Query" in the protocol's
 * documentation), is parsed anew where another client's stands in its place. Some drivers parse
 * and describe in one batch and bind in the next, or bind again without a Parse: its text is
 * kept for that.
 *
 * Texts are read here (policy/statement.h): what may stay in the session is noted (pins.h), and
 * a few statements that have to do with all of the session are replaced (rewrite.h).
 *
 * The order of messages is never changed, and errors are always the server's own: what was
 * assumed when a message was sent is taken back when the server says that it failed or was
 * skipped (names_noted).
 */
#ifndef PROXY_NAMES_H
#define PROXY_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include "policy/statement.h"
#include "proxy/client.h"
#include "proxy/queue.h"
#include "proxy/replies.h"
#include "proxy/server.h"
#include "proxy/wire.h"
#include "proxy/worker.h"

/* Longest Parse of an unnamed statement that is kept; with a longer one the client keeps its
 * backend until it binds. Once it is bound, few bind it again without another Parse. */
#define NAMES_UNNAMED_MAX 16384
#define NAMES_BOUND_MAX   4096

/* One walk over bytes that came from the client. */
struct names_walk {
	struct client *client;
	const uint8_t *run;            /* first byte not yet passed on */
	struct buf *out;               /* what goes before it */
	const uint8_t *parsed;         /* the last Parse of the unnamed statement */
	size_t parsed_len;             /* 0: not all of it is in these bytes */
	bool is_bound;                 /* that statement, by what follows */
	const struct verdict *verdict; /* of the message at hand, when it is read already */
	size_t visible;                /* bytes of the message at hand that are there */
	bool throws_away;              /* the rest of it */
	bool waits;                    /* the message at hand is to come again */
};

enum names_result {
	NAMES_PASS,      /* it goes on, as it is or as it was changed, and is owed its answer */
	NAMES_ACCOUNTED, /* the same, and what it is owed has been noted */
	NAMES_ANSWERED,  /* the client has its answer: the message is not for the backend */
	NAMES_WAIT,      /* it is to come again when what was asked for it is answered */
	NAMES_TOO_LONG,  /* no such message is */
	NAMES_NO_MEMORY,
};

/* Has the client anything that makes messages without names special? */
static inline bool names_has_any(const struct client *client)
{
	return client->unnamed_held || client->unnamed_begin || client->unnamed_verdict ||
		   client->portal_count;
}

/* The client's unnamed statement is another from now on, and so is that of its backend. */
static inline void names_new_unnamed(struct client *client)
{
	client->unnamed_id = ++client->worker->last_unnamed_id;
	if (client->server)
		client->server->unnamed_id = client->unnamed_id;
}

/* Does the statement at hand write, and are values of sequences asked for later, so that the
 * backend is to be kept? */
static inline bool names_writes_matter(const struct names_walk *walk)
{
	return walk->client->pool_tenant->sees_sequences &&
		   walk->verdict->classes & SQL_CLASS_WRITE &&
		   !(walk->client->pins.held & PIN_SEQUENCE);
}

/* Is the text one of which nothing is to be noted? Remembers what was read. */
static inline bool names_reads_plain(struct names_walk *walk, const uint8_t *text,
									 const uint8_t *end)
{
	const uint8_t *nul = memchr(text, 0, (size_t)(end - text));

	if (!nul || walk->client->reads_nothing)
		return false;
	walk->verdict = verdict_cache_read(walk->client->worker->verdicts, (const char *)text,
									   (size_t)(nul - text));
	return walk->verdict && walk->verdict->is_plain && !names_writes_matter(walk) &&
		   gate_passes(&walk->client->gate, walk->verdict->needs, walk->verdict->rules);
}

/* The unnamed statement is of the text of this verdict, or (NULL) one that was not read. */
static inline void names_judged(struct client *client, const struct verdict *verdict)
{
	verdict_unref(client->unnamed_judged);
	client->unnamed_judged = verdict ? verdict_ref(verdict) : NULL;
}

/* May it still be bound, as far as two words say? */
static inline bool names_may_bind(const struct client *client)
{
	const struct verdict *verdict = client->unnamed_judged;

	return verdict && gate_passes(&client->gate, verdict->needs, verdict->rules);
}

/*
 * Is there nothing to note about this message? So it is with nearly all: an unnamed statement
 * that is parsed and bound in one go, and does nothing to the session. Does the little that is
 * due then. `visible` bytes of it, header and all, are there.
 */
static inline bool names_are_plain(struct names_walk *walk, const uint8_t *message,
								   size_t visible, uint64_t total)
{
	struct client *client = walk->client;
	struct server *server = client->server;
	const uint8_t *body = message + WIRE_HEADER;
	bool is_long_enough = visible >= WIRE_HEADER + 2;

	walk->verdict = NULL;
	switch (*message) {
	case 'P':
		if (!is_long_enough || visible < total || body[0] || server->replies.skipping ||
			names_has_any(client) || !names_reads_plain(walk, body + 1, message + total))
			return false;
		names_new_unnamed(client);
		names_judged(client, walk->verdict);
		walk->parsed = message;
		walk->parsed_len = visible;
		walk->is_bound = false;
		return true;
	case 'B':
		if (!is_long_enough || body[0] || body[1] || !client->unnamed_id ||
			server->unnamed_id != client->unnamed_id || names_has_any(client) ||
			!names_may_bind(client))
			return false;
		walk->is_bound = true;
		return true;
	case 'Q':
		if (visible < total || server->replies.skipping || names_has_any(client) ||
			!names_reads_plain(walk, body, message + total))
			return false;
		server->unnamed_id = client->unnamed_id = 0;
		walk->parsed = NULL;
		return true;
	case 'D':
		return is_long_enough && body[0] == 'P';
	case 'E':
		return !client->portal_count;
	case 'C':
	case 'F':
		return false;
	default:
		return true;
	}
}

/* Bytes of a message, header and all, that must be there before names_note may be called.
 * `visible` are there. */
size_t names_bytes_needed(struct client *client, const uint8_t *message, size_t visible,
						  uint64_t total);

/*
 * Messages are sent before it is known what becomes of those before them. Within a batch that
 * is no matter, since an error ends all of it. But what names mean that an earlier batch has
 * defined, closed or prepared is not certain until that is answered: then the message has to
 * wait.
 */
bool names_must_wait(const struct client *client, const uint8_t *message, size_t visible);

/*
 * The message is next to go to the client's backend. Gathers in walk->out what must stand
 * before it, and what stands for it where it is changed.
 */
enum names_result names_note(struct names_walk *walk, const uint8_t *message, size_t visible,
							 uint64_t total);

/*
 * The client has, or may have, standard_conforming_strings off, so that its texts are not read:
 * it keeps its backend, and names are left as they are. Only where the database is its tenant's
 * own.
 */
void names_read_nothing(struct client *client);

/* The client sends the Sync of a batch that has discarded its session: a barrier (client.h)
 * stands until it is answered. */
enum names_result names_sync_discarded(struct names_walk *walk);

/* Sends what was gathered, and all bytes up to `to`. */
void names_forward(struct names_walk *walk, const uint8_t *to);

/* The walk is over: keeps the unnamed statement, which may still be bound. */
void names_end(struct names_walk *walk);

/* ---- what comes back ---- */

/* The replies_noted of all backends; `owner` is the struct server. */
void names_noted(void *owner, struct reply_note *note, enum reply_fate fate);

/*
 * A command is complete for which this note was given. The tag to show instead of the server's,
 * or NULL.
 */
const char *names_completed(struct server *server, struct reply_note *note);

/* Are the columns of a statement looked at in the backend's next answer, if it describes one?
 */
bool names_awaits_description(const struct server *server);

/* It does: a RowDescription or NoData of `total` bytes, or (0) one that is not there as a
 * whole. */
void names_described(struct server *server, const uint8_t *message, size_t total);

/* Is the error at hand, with this body as far as it is there, that of a message which was made
 * to fail? What to show for it. */
void names_take_refusal(struct server *server, const uint8_t *body, size_t len,
						struct buf *error);

/* The backend is closed: no such error comes any more. */
void names_forget_refusals(struct server *server);

/*
 * An error about a statement that the client knows under another name: appends the error with
 * that name. False when it is not one, or memory is out.
 */
bool names_translate_error(struct server *server, const uint8_t *body, size_t len,
						   struct buf *out);

/* The server skips the Parse, or the Close before a Bind, that was to make the backend's
 * unnamed statement the client's: whose it is, is not known. */
void names_skipped(struct client *client);

/*
 * Defines a statement of the client's from what follows its name in a Parse message; no backend
 * has it yet. NULL when memory is out; there must be room (statements_have_room).
 */
struct statement *names_define(struct client *client, const char *name, const uint8_t *body,
							   size_t len, const struct verdict *verdict);

/* May the client define one more, whose Parse has `len` bytes? */
bool names_have_room(const struct client *client, size_t len);

/* The client has no unnamed statement any more. */
void names_forget_unnamed(struct client *client);

/* The transaction is over: there are no portals any more. */
void names_forget_portals(struct client *client);

/* All statements, named or not: the client is gone, or said DISCARD ALL. */
void names_forget_all(struct client *client);

#endif
