/*
 * Messages that are not carried out: what goes to the server in their place, and what the
 * client is told.
 *
 * The server is made to fail itself, so that what is skipped and what becomes of the
 * transaction is its own doing. Its error is known for the refusal by the note that hangs on
 * its answer. Where the account is lost (replies.h) nobody knows which answer that is: there it
 * is known by the words that fail, which hold a number and stand in the server's error again.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/names_internal.h"
#include "proxy/rate.h"

/* No SQL, and no name in use. */
#define NONSENSE "bulkhead: refused"

/* Refusals of a backend whose account is lost, and whose errors may still come. */
#define LOST_MAX 16

struct lost_refusals {
	uint32_t numbers[LOST_MAX];
	struct buf errors[LOST_MAX];
};

static void forget(struct lost_refusals *refusals)
{
	for (int i = 0; refusals && i < LOST_MAX; i++)
		buf_fini(&refusals->errors[i]);
	free(refusals);
}

void names_forget_refusals(struct server *server)
{
	forget(server->lost_refusals);
	server->lost_refusals = NULL;
}

static void move(struct buf *to, struct buf *from)
{
	buf_fini(to);
	*to = *from;
	buf_init(from);
}

/* No note of it will last: its error is kept here. False when memory is out. */
static bool keep(struct server *server, uint32_t number, struct buf *error)
{
	struct lost_refusals *refusals = server->lost_refusals;

	if (!refusals)
		refusals = server->lost_refusals = calloc(1, sizeof *refusals);
	if (!refusals)
		return false;
	refusals->numbers[number % LOST_MAX] = number;
	move(&refusals->errors[number % LOST_MAX], error);
	return true;
}

static bool has_number(const struct reply_note *note, uint64_t number)
{
	return note->kind == NOTE_REFUSED && note->number == number;
}

/* The server's message has the words in it, as it quotes what it does not know. What was
 * refused before the account was lost still has its note. */
static void find_lost(struct server *server, const uint8_t *body, size_t len, struct buf *error)
{
	const char *text = wire_error_field(body, len, 'M');
	const char *words = text ? strstr(text, NONSENSE " ") : NULL;
	struct lost_refusals *refusals = server->lost_refusals;
	uint32_t number = words ? (uint32_t)strtoul(words + strlen(NONSENSE), NULL, 10) : 0;

	if (!number)
		return;
	struct reply_note *note = replies_find_note(&server->replies, has_number, number);
	if (note)
		move(error, &note->error);
	else if (refusals && refusals->numbers[number % LOST_MAX] == number)
		move(error, &refusals->errors[number % LOST_MAX]);
}

void names_take_refusal(struct server *server, const uint8_t *body, size_t len,
						struct buf *error)
{
	struct reply_note *note = replies_next_note(&server->replies);

	if (server->replies.lost)
		find_lost(server, body, len, error);
	else if (note && note->kind == NOTE_REFUSED)
		move(error, &note->error);
}

/* The body of a message of this type that the server refuses whatever state it is in. As a text
 * the words are one name in quotes. */
static bool append_nonsense(struct buf *out, char type, const char *words, const char *text)
{
	switch (type) {
	case 'F': /* a function that there is not, without arguments */
		return buf_append_u32(out, 0) && buf_append_u32(out, 0) && buf_append_u16(out, 0);
	case 'P':
		return buf_append_cstr(out, words) && buf_append_cstr(out, text) &&
			   buf_append_u16(out, 0);
	case 'B':
		return buf_append_cstr(out, words) && buf_append_cstr(out, words) &&
			   buf_append_u32(out, 0) && buf_append_u16(out, 0);
	case 'E':
		return buf_append_cstr(out, words) && buf_append_u32(out, 0);
	default:
		return buf_append_cstr(out, text);
	}
}

static bool append_refused(struct names_walk *walk, const uint8_t *message, uint32_t number)
{
	char words[40], text[44];
	size_t mark;

	snprintf(words, sizeof words, NONSENSE " %" PRIu32, number);
	snprintf(text, sizeof text, "\"%s\"", words);
	return names_replace(walk, message, &mark) &&
		   append_nonsense(walk->out, (char)*message, words, text) && wire_end(walk->out, mark);
}

enum names_result names_refuse(struct names_walk *walk, const uint8_t *message, uint64_t total,
							   struct buf *error)
{
	struct server *server = walk->client->server;
	uint32_t number = ++server->refused;
	bool is_kept = buf_len(error) && server->replies.lost && keep(server, number, error);
	const struct reply_note note = {.kind = NOTE_REFUSED, .error = *error, .number = number};
	struct reply_note *copy = buf_len(error) || is_kept ? names_note_create(&note) : NULL;

	if (!copy || !append_refused(walk, message, number)) {
		buf_fini(error);
		free(copy);
		return NAMES_NO_MEMORY;
	}
	walk->throws_away = walk->visible < total;
	walk->run = message + walk->visible;
	return names_ask(walk, (char)*message, copy);
}

enum names_result names_refuse_for(struct names_walk *walk, const uint8_t *message,
								   uint64_t total, enum reason reason)
{
	struct buf error;

	buf_init(&error);
	if (!wire_error(&error, "ERROR", reason, NULL))
		buf_fini(&error);
	return names_refuse(walk, message, total, &error);
}

/* Whoever is over the limit in the middle of a transaction can still get out of it. */
static bool ends_transaction(const struct client *client, const struct verdict *verdict)
{
	if (!verdict || verdict->statement_count != 1 || client->server->status == 'I')
		return false;
	return verdict->statements[0].action == SQL_COMMIT ||
		   verdict->statements[0].action == SQL_ROLLBACK;
}

enum names_result names_count(struct names_walk *walk, const uint8_t *message, uint64_t total,
							  const struct verdict *verdict)
{
	struct client *client = walk->client;

	if (!rate_is_limited(client) || ends_transaction(client, verdict) || rate_take(client))
		return NAMES_PASS;
	rate_refused(client);
	return names_refuse_for(walk, message, total, REASON_RATE);
}
