#include "proxy/names.h"

#include <stdlib.h>
#include <string.h>

#include "policy/session.h"
#include "proxy/names_internal.h"
#include "proxy/pins.h"
#include "proxy/rewrite.h"
#include "proxy/settings.h"

/* Longest name of a portal or statement that is looked at; PostgreSQL cuts them at 63 bytes. */
#define NAMES_MAX 8192

/* More than this is sent on before it is added to. */
#define GATHER_MAX 32768

/* ---- which statement a message names ---- */

static bool names_something(uint8_t type)
{
	return type == 'P' || type == 'B' || type == 'D' || type == 'C' || type == 'E';
}

/* Where the names of a message end, header and all, or 0 when they do not end within `visible`. */
static size_t names_length(const uint8_t *message, size_t visible)
{
	size_t at = WIRE_HEADER + (*message == 'D' || *message == 'C');
	int names = *message == 'B' ? 2 : 1;

	for (; names > 0; names--) {
		if (at >= visible || !wire_cstr(message, visible, &at))
			return 0;
	}
	return at;
}

size_t names_bytes_needed(struct client *client, const uint8_t *message, size_t visible,
						  uint64_t total)
{
	if (*message == 'Q' || *message == 'P')
		return client_may_gather(client, total) ? (size_t)total : WIRE_HEADER;
	if (!names_something(*message) || visible >= total || names_length(message, visible) ||
		visible >= NAMES_MAX)
		return WIRE_HEADER;
	return total < NAMES_MAX ? (size_t)total : visible + 1;
}

/* ---- gathering ---- */

static bool gather(struct names_walk *walk, const uint8_t *to)
{
	size_t len = (size_t)(to - walk->run);
	const uint8_t *run = walk->run;

	walk->run = to;
	if (!len)
		return true;
	if (buf_len(walk->out) + len < GATHER_MAX)
		return buf_append(walk->out, run, len);
	if (buf_len(walk->out))
		server_send(walk->client->server, buf_data(walk->out), buf_len(walk->out));
	buf_truncate(walk->out, 0);
	server_send(walk->client->server, run, len);
	return true;
}

void names_forward(struct names_walk *walk, const uint8_t *to)
{
	struct server *server = walk->client->server;

	if (!buf_len(walk->out)) {
		if (to > walk->run)
			server_send(server, walk->run, (size_t)(to - walk->run));
		walk->run = to;
		return;
	}
	if (!gather(walk, to))
		server_close(server, "out of memory");
	else if (buf_len(walk->out))
		server_send(server, buf_data(walk->out), buf_len(walk->out));
	buf_truncate(walk->out, 0);
}

/* Begins a message that stands for one of the client's. */
static bool replace(struct names_walk *walk, const uint8_t *message, size_t *mark)
{
	return gather(walk, message) && wire_begin(walk->out, (char)*message, mark);
}

/* The rest of the client's message, from `at` on, follows as it is: as much as is there now, and
 * what is to come. */
static bool continue_with(struct names_walk *walk, const uint8_t *message, size_t at,
						  uint64_t total, size_t mark)
{
	uint64_t len = buf_len(walk->out) - mark + (total - at);
	uint8_t *word = buf_data(walk->out) + mark;

	if (len > INT32_MAX)
		return false;
	for (int i = 0; i < 4; i++)
		word[i] = (uint8_t)(len >> (24 - 8 * i));
	walk->run = message + at;
	return true;
}

/* ---- notes ---- */

static struct reply_note *note_create(const struct reply_note *like)
{
	struct reply_note *note = malloc(sizeof *note);

	if (note)
		*note = *like;
	return note;
}

static void note_free(struct reply_note *note)
{
	statement_unref(note->statement);
	prepared_unref(note->prepared);
	verdict_unref(note->verdict);
	free(note);
}

/* One message of the client's is owed its answer, with a note. */
static enum names_result ask(struct names_walk *walk, char type, struct reply_note *note)
{
	if (note && replies_asked_note(&walk->client->server->replies, type, note))
		return NAMES_ACCOUNTED;
	if (note)
		note_free(note);
	return NAMES_NO_MEMORY;
}

static bool ask_ours(struct names_walk *walk, enum reply reply, const struct reply_note *like)
{
	struct replies *replies = &walk->client->server->replies;
	struct reply_note *note = like ? note_create(like) : NULL;

	if (like && !note)
		return false;
	if (note && note->prepared)
		prepared_ref(note->prepared);
	if (replies_push_note(replies, reply | REPLY_OURS, note))
		return true;
	if (note)
		note_free(note);
	return false;
}

/* ---- the backend's statements ---- */

static bool append_close(struct buf *out, const char *name)
{
	size_t mark;

	return wire_begin(out, 'C', &mark) && buf_append_byte(out, 'S') &&
		   buf_append_cstr(out, name) && wire_end(out, mark);
}

static bool evict(struct names_walk *walk, struct prepared *prepared, uint64_t number)
{
	struct reply_note note = {.kind = NOTE_EVICTED, .prepared = prepared, .number = number};
	char name[PREPARED_NAME_MAX];

	prepared_name(prepared, number, name);
	if (!append_close(walk->out, name) || !ask_ours(walk, REPLY_CLOSE, &note))
		return false;
	backend_statements_remove(&walk->client->server->statements, prepared);
	return true;
}

/* Makes the name free on the backend for a Parse that follows, and room for it. */
static bool make_room(struct names_walk *walk, struct prepared *prepared)
{
	struct server *server = walk->client->server;
	struct backend_statements *statements = &server->statements;
	struct backend_statement *there = backend_statements_find(statements, prepared);
	size_t max = (size_t)server->worker->conf->max_prepared_statements;

	if (there)
		return evict(walk, prepared, there->number);
	if (statements->doubtful && !evict(walk, prepared, prepared->number))
		return false;
	struct backend_statement *oldest = backend_statements_oldest(statements, max);
	return !oldest || evict(walk, oldest->prepared, oldest->number);
}

/* Prepares the statement on the backend when it lacks it; gather has been called. */
static bool ensure(struct names_walk *walk, struct prepared *prepared)
{
	struct backend_statements *statements = &walk->client->server->statements;
	struct backend_statement *there = backend_statements_find(statements, prepared);
	struct reply_note note = {
		.kind = NOTE_PREPARED, .prepared = prepared, .number = prepared->number};
	char name[PREPARED_NAME_MAX];

	if (there && there->number == prepared->number)
		return true;
	prepared_name(prepared, prepared->number, name);
	return make_room(walk, prepared) && prepared_append_parse(prepared, name, walk->out) &&
		   ask_ours(walk, REPLY_PARSE, &note) &&
		   backend_statements_add(statements, prepared, prepared->number);
}

/* ---- names of the client's own on the backend ---- */

/*
 * SQL that names prepared statements, or lists them, means those of the client, under the names
 * that it gave them. Then they are prepared so, Bulkhead's own are closed, and the client keeps
 * its backend.
 */
static bool wants_native(const struct client *client, const struct verdict *verdict)
{
	if (client_is_native(client) || client->server->status == 'E')
		return false;
	if (verdict->reading == SQL_READ && verdict->effects & EFFECT_SEES_PREPARED)
		return true;
	for (uint32_t i = 0; i < verdict->statement_count; i++) {
		if (verdict->statements[i].action == SQL_PREPARE)
			return true;
	}
	return false;
}

static bool prepare_natively(struct names_walk *walk, enum reply reply)
{
	struct statement *statement, *next;

	HASH_ITER (hh, walk->client->statements.by_name, statement, next) {
		if (!prepared_append_parse(statement->prepared, statement->name, walk->out) ||
			!ask_ours(walk, reply, NULL))
			return false;
	}
	return true;
}

/* To stand before a Query, it has to be a batch of its own; an error in it is not the client's. */
static bool go_native(struct names_walk *walk, const uint8_t *message)
{
	struct backend_statements *statements = &walk->client->server->statements;
	bool is_query = *message == 'Q';
	struct backend_statement *each;

	pins_add(walk->client, PIN_NATIVE);
	if (!gather(walk, message))
		return false;
	while ((each = list_first(&statements->used, struct backend_statement, used)) != NULL) {
		if (!evict(walk, each->prepared, each->number))
			return false;
	}
	if (!prepare_natively(walk, is_query ? REPLY_PARSE | REPLY_QUIET : REPLY_PARSE))
		return false;
	return !is_query ||
		   (wire_message(walk->out, 'S', "", 0) && ask_ours(walk, REPLY_SYNC, NULL));
}

/* ---- portals ---- */

static struct portal *find_portal(struct client *client, const char *name)
{
	for (size_t i = 0; i < client->portal_count; i++) {
		if (strcmp(client->portals[i].name, name) == 0)
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

/* The portal `name` is made of a statement with this verdict, or (NULL) of one that is plain. */
static bool note_portal(struct client *client, const char *name, const struct verdict *verdict,
						bool rewritten)
{
	struct portal *portal = find_portal(client, name);

	if (portal)
		forget_portal(client, portal);
	if (!verdict)
		return true;
	if (client->portal_count == NAMES_PORTALS_MAX) {
		pins_add(client, PIN_STATEMENT);
		return pins_note(client, verdict);
	}
	struct portal *more =
		realloc(client->portals, (client->portal_count + 1) * sizeof *client->portals);
	char *copy = strdup(name);
	if (more)
		client->portals = more;
	if (!more || !copy) {
		free(copy);
		return false;
	}
	client->portals[client->portal_count++] =
		(struct portal){.name = copy, .verdict = verdict_ref(verdict), .rewritten = rewritten};
	return true;
}

/* ---- Query ---- */

/* A statement whose outcome decides what names and settings mean behind it: nothing more is read
 * from the client before it is known. */
static bool is_barrier(const struct verdict *verdict)
{
	for (uint32_t i = 0; i < verdict->statement_count; i++) {
		switch (verdict->statements[i].action) {
		case SQL_DEALLOCATE:
		case SQL_DEALLOCATE_ALL:
		case SQL_DISCARD_ALL:
			return true;
		default:
			break;
		}
	}
	return false;
}

static struct reply_note *run_note(struct client *client, const struct verdict *verdict,
								   uint64_t rewritten, bool is_query)
{
	const struct reply_note note = {.kind = NOTE_RUN,
									.verdict = verdict_ref(verdict),
									.rewritten = rewritten,
									.is_query = is_query,
									.is_barrier = is_barrier(verdict)};
	struct reply_note *copy = note_create(&note);

	if (!copy)
		verdict_unref(verdict);
	else if (note.is_barrier)
		client->barrier = true;
	return copy;
}

static const char *text_of(const uint8_t *message, size_t at, uint64_t total, size_t *len)
{
	const char *text = wire_cstr(message, (size_t)total, &at);

	*len = text ? strlen(text) : 0;
	return text;
}

static const struct verdict *read_text(struct names_walk *walk, const char *text, size_t len)
{
	if (!walk->verdict)
		walk->verdict = verdict_cache_read(walk->client->worker->verdicts, text, len);
	return walk->verdict;
}

/* What is not read may have done anything. */
static enum names_result run_unread(struct names_walk *walk)
{
	walk->client->pins.doubts |= PINS_ASKED;
	return NAMES_PASS;
}

static bool replace_query(struct names_walk *walk, const uint8_t *message, uint64_t total,
						  uint64_t wanted, const char *text, size_t len)
{
	size_t mark;

	if (!replace(walk, message, &mark) ||
		!rewrite_append(walk->client, walk->verdict, wanted, text, len, walk->out) ||
		!buf_append_byte(walk->out, 0) || !wire_end(walk->out, mark))
		return false;
	walk->run = message + total;
	return true;
}

static enum names_result note_query(struct names_walk *walk, const uint8_t *message,
									size_t visible, uint64_t total)
{
	struct client *client = walk->client;
	size_t len;

	names_forget_unnamed(client); /* the server forgets its own then */
	walk->parsed = NULL;
	client->server->unnamed_of = 0;
	const char *text = visible == total ? text_of(message, WIRE_HEADER, total, &len) : NULL;
	if (!text)
		return run_unread(walk);
	const struct verdict *verdict = read_text(walk, text, len);
	if (!verdict || !pins_note(client, verdict))
		return NAMES_NO_MEMORY;
	if (verdict->is_plain)
		return NAMES_PASS;
	if (wants_native(client, verdict) && !go_native(walk, message))
		return NAMES_NO_MEMORY;
	uint64_t wanted = rewrite_wanted(client, verdict);
	if (wanted && !replace_query(walk, message, total, wanted, text, len))
		return NAMES_NO_MEMORY;
	return ask(walk, 'Q', run_note(client, verdict, wanted, true));
}

/* ---- the unnamed statement ---- */

void names_forget_unnamed(struct client *client)
{
	buf_fini(&client->unnamed);
	verdict_unref(client->unnamed_verdict);
	client->unnamed_verdict = NULL;
	client->unnamed_begin = NOT_BEGIN;
	client->unnamed_held = client->unnamed_rewritten = false;
}

void names_skipped(struct client *client)
{
	names_forget_unnamed(client);
	client->server->unnamed_of = 0;
}

void names_forget_all(struct client *client)
{
	statements_clear(&client->statements);
	names_forget_unnamed(client);
	names_forget_portals(client);
}

/* Another client's unnamed statement, or one of the hand-over's, may stand in the backend. */
static bool bring_unnamed(struct names_walk *walk, const uint8_t *message)
{
	struct client *client = walk->client;

	if (client->server->unnamed_of == client->pid)
		return true;
	client->server->unnamed_of = client->pid;
	if (!gather(walk, message))
		return false;
	if (!buf_len(&client->unnamed))
		return append_close(walk->out, "") && ask_ours(walk, REPLY_CLOSE, NULL);
	return buf_append(walk->out, buf_data(&client->unnamed), buf_len(&client->unnamed)) &&
		   ask_ours(walk, REPLY_PARSE, NULL);
}

/* The unnamed statement is another on the backend than the one that the client sent. */
static bool replace_unnamed(struct names_walk *walk, const uint8_t *message, uint64_t total,
							uint64_t wanted, const char *text, size_t len)
{
	struct client *client = walk->client;
	size_t after = WIRE_HEADER + 1 + len + 1, mark, first;

	if (!gather(walk, message))
		return false;
	first = buf_len(walk->out);
	if (!wire_begin(walk->out, 'P', &mark) || !buf_append_byte(walk->out, 0) ||
		!rewrite_append(client, walk->verdict, wanted, text, len, walk->out) ||
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

static enum names_result parse_unnamed(struct names_walk *walk, const uint8_t *message,
									   size_t visible, uint64_t total)
{
	struct client *client = walk->client;
	size_t len;

	names_forget_unnamed(client);
	client->server->unnamed_of = client->pid;
	walk->parsed = message;
	walk->parsed_len = visible == total ? visible : 0;
	const char *text = visible == total ? text_of(message, WIRE_HEADER + 1, total, &len) : NULL;
	const struct verdict *verdict =
		text ? read_text(walk, text, len) : client->worker->unread;
	if (!verdict)
		return NAMES_NO_MEMORY;
	if (verdict->is_plain)
		return NAMES_PASS;
	client->unnamed_verdict = verdict_ref(verdict);
	if (wants_native(client, verdict) && !go_native(walk, message))
		return NAMES_NO_MEMORY;
	uint64_t wanted = verdict->statement_count == 1 ? rewrite_wanted(client, verdict) : 0;
	if (wanted && !replace_unnamed(walk, message, total, wanted, text, len))
		return NAMES_NO_MEMORY;
	return NAMES_PASS;
}

static enum names_result bind_unnamed(struct names_walk *walk, const uint8_t *message,
									  const char *portal)
{
	struct client *client = walk->client;

	if (!bring_unnamed(walk, message) ||
		!note_portal(client, portal, client->unnamed_verdict, client->unnamed_rewritten))
		return NAMES_NO_MEMORY;
	walk->parsed = NULL;
	client->unnamed_held = false;
	return NAMES_PASS;
}

void names_end(struct names_walk *walk)
{
	struct client *client = walk->client;

	if (!walk->parsed)
		return;
	client->unnamed_held = !walk->parsed_len || walk->parsed_len > NAMES_UNNAMED_MAX ||
						   !buf_append(&client->unnamed, walk->parsed, walk->parsed_len);
}

/* ---- named statements ---- */

/* The name is in use: so it is on the backend, which says so, unless the text is wrong. */
static enum names_result parse_again(struct names_walk *walk, const uint8_t *message,
									 const struct statement *statement, uint64_t total)
{
	size_t after = WIRE_HEADER + strlen(statement->name) + 1, mark;
	struct prepared *prepared = statement->prepared;
	char name[PREPARED_NAME_MAX];

	prepared_name(prepared, prepared->number, name);
	if (!gather(walk, message) || !ensure(walk, prepared) ||
		!replace(walk, message, &mark) || !buf_append_cstr(walk->out, name) ||
		!continue_with(walk, message, after, total, mark))
		return NAMES_NO_MEMORY;
	return NAMES_PASS;
}

/* The body behind the name, with the text replaced where that is wanted. */
static bool append_body(const struct client *client, const struct verdict *verdict,
						uint64_t wanted, const uint8_t *body, size_t len, struct buf *out)
{
	size_t text_len = strlen((const char *)body);

	if (!wanted)
		return buf_append(out, body, len);
	return rewrite_append(client, verdict, wanted, (const char *)body, text_len, out) &&
		   buf_append(out, body + text_len, len - text_len);
}

struct statement *names_define(struct client *client, const char *name, const uint8_t *body,
							   size_t len, const struct verdict *verdict)
{
	const char *path = settings_get(client->settings, "search_path");
	uint64_t wanted = verdict->statement_count == 1 ? rewrite_wanted(client, verdict) : 0;
	struct statement *statement = NULL;
	struct buf own;

	buf_init(&own);
	if (append_body(client, verdict, wanted, body, len, &own)) {
		struct prepared *prepared = prepared_intern(
			client->worker->prepared, path ? path : "", buf_data(&own), buf_len(&own));

		statement = statements_define(&client->statements, name, prepared,
									  verdict->is_plain ? NULL : verdict_ref(verdict));
	}
	if (statement) {
		statement->rewritten = wanted != 0;
		statement->begin = session_begin((const char *)body, strlen((const char *)body));
	}
	buf_fini(&own);
	return statement;
}

static enum names_result parse_named(struct names_walk *walk, const uint8_t *message,
									 size_t visible, uint64_t total, const char *name)
{
	struct client *client = walk->client;
	size_t after = WIRE_HEADER + strlen(name) + 1, len;
	const char *text = visible == total ? text_of(message, after, total, &len) : NULL;
	struct statement *statement = statements_find(&client->statements, name);

	if (!text) {
		pins_add(client, PIN_STATEMENT);
		return run_unread(walk);
	}
	const struct verdict *verdict = read_text(walk, text, len);
	if (!verdict || (wants_native(client, verdict) && !go_native(walk, message)))
		return NAMES_NO_MEMORY;
	if (statement)
		return client_is_native(client) ? NAMES_PASS
										: parse_again(walk, message, statement, total);
	statement = verdict ? names_define(client, name, message + after, (size_t)total - after,
									   verdict)
						: NULL;
	if (!statement || !gather(walk, message))
		return NAMES_NO_MEMORY;

	struct prepared *prepared = statement->prepared;
	struct reply_note note = {.kind = NOTE_PARSED,
							  .statement = statement_ref(statement),
							  .prepared = prepared_ref(prepared),
							  .number = prepared->number};
	struct reply_note *copy = note_create(&note);
	char own[PREPARED_NAME_MAX];

	prepared_name(prepared, prepared->number, own);
	if (!copy ||
		!(client_is_native(client)
			  ? prepared_append_parse(prepared, name, walk->out)
			  : make_room(walk, prepared) && prepared_append_parse(prepared, own, walk->out) &&
					backend_statements_add(&client->server->statements, prepared,
										   prepared->number))) {
		if (copy)
			note_free(copy);
		return NAMES_NO_MEMORY;
	}
	walk->run = message + total;
	return ask(walk, 'P', copy);
}

static enum names_result bind_named(struct names_walk *walk, const uint8_t *message,
									uint64_t total, const char *portal, const char *name)
{
	struct client *client = walk->client;
	struct statement *statement = statements_find(&client->statements, name);
	size_t after = WIRE_HEADER + strlen(portal) + 1 + strlen(name) + 1, mark;
	char own[PREPARED_NAME_MAX];

	if (!statement) /* of SQL's PREPARE, or the server says that there is none */
		return note_portal(client, portal, NULL, false) ? run_unread(walk) : NAMES_NO_MEMORY;
	if (client_is_native(client))
		return note_portal(client, portal, statement->verdict, statement->rewritten)
				   ? NAMES_PASS
				   : NAMES_NO_MEMORY;
	if (!gather(walk, message) || !ensure(walk, statement->prepared) ||
		!note_portal(client, portal, statement->verdict, statement->rewritten))
		return NAMES_NO_MEMORY;
	prepared_name(statement->prepared, statement->prepared->number, own);
	if (!wire_begin(walk->out, 'B', &mark) || !buf_append_cstr(walk->out, portal) ||
		!buf_append_cstr(walk->out, own) ||
		!continue_with(walk, message, after, total, mark))
		return NAMES_NO_MEMORY;
	return NAMES_PASS;
}

/* Where the transaction has failed nothing can be parsed, but a statement that only begins one
 * can be described: it takes nothing and returns nothing. */
static bool describe_begin(struct names_walk *walk, const uint8_t *message)
{
	struct client *client = walk->client;
	struct buf out;

	if (client->server->status != 'E' || !replies_is_empty(&client->server->replies))
		return false;
	buf_init(&out);
	if (wire_message(&out, 't', "\0", 2) && wire_message(&out, 'n', "", 0)) {
		names_forward(walk, message);
		client_send_buf(client, &out);
		return true;
	}
	buf_fini(&out);
	return false;
}

static enum names_result describe_named(struct names_walk *walk, const uint8_t *message,
										uint64_t total, const char *name)
{
	struct statement *statement = statements_find(&walk->client->statements, name);
	char own[PREPARED_NAME_MAX];
	size_t mark;

	if (!statement)
		return NAMES_PASS;
	if (statement->begin && describe_begin(walk, message))
		return NAMES_ANSWERED;
	if (client_is_native(walk->client))
		return NAMES_PASS;
	if (!gather(walk, message) || !ensure(walk, statement->prepared))
		return NAMES_NO_MEMORY;
	prepared_name(statement->prepared, statement->prepared->number, own);
	if (!wire_begin(walk->out, 'D', &mark) || !buf_append_byte(walk->out, 'S') ||
		!buf_append_cstr(walk->out, own) || !wire_end(walk->out, mark))
		return NAMES_NO_MEMORY;
	walk->run = message + total;
	return NAMES_PASS;
}

/* The backend keeps the statement for the next who prepares the same: what is closed there is
 * one that does not exist. */
static enum names_result close_named(struct names_walk *walk, const uint8_t *message,
									 uint64_t total, const char *name)
{
	struct client *client = walk->client;
	struct statement *statement = statements_find(&client->statements, name);

	if (!statement)
		return NAMES_PASS;
	struct reply_note note = {.kind = NOTE_CLOSED, .statement = statement_ref(statement)};
	struct reply_note *copy = note_create(&note);
	if (!copy) {
		statement_unref(statement);
		return NAMES_NO_MEMORY;
	}
	statements_remove(&client->statements, statement);
	if (!gather(walk, message) ||
		!append_close(walk->out, client_is_native(client) ? name : PREPARED_PREFIX "none")) {
		note_free(copy);
		return NAMES_NO_MEMORY;
	}
	walk->run = message + total;
	return ask(walk, 'C', copy);
}

/* ---- Execute ---- */

static enum names_result note_execute(struct names_walk *walk, const uint8_t *message,
									  size_t visible, uint64_t total)
{
	static const uint8_t flush[] = {'H', 0, 0, 0, 4};
	struct client *client = walk->client;
	size_t at = WIRE_HEADER;
	const char *name = wire_cstr(message, visible, &at);
	struct portal *portal = name ? find_portal(client, name) : NULL;

	if (!portal)
		return NAMES_PASS;
	if (!pins_note(client, portal->verdict))
		return NAMES_NO_MEMORY;
	struct reply_note *note =
		run_note(client, portal->verdict, portal->rewritten ? 1 : 0, false);
	bool is_barrier = note && note->is_barrier;
	enum names_result result = ask(walk, 'E', note);

	/* Without a Flush the answer that is waited for would not come before the Sync. */
	if (is_barrier && visible == total &&
		(!gather(walk, message + total) || !buf_append(walk->out, flush, sizeof flush)))
		return NAMES_NO_MEMORY;
	return result;
}

/* ---- all of them ---- */

static enum names_result note_named(struct names_walk *walk, const uint8_t *message,
									size_t visible, uint64_t total)
{
	const char *body = (const char *)message + WIRE_HEADER;
	const char *second = body + strlen(body) + 1;

	switch (*message) {
	case 'P':
		return *body ? parse_named(walk, message, visible, total, body)
					 : parse_unnamed(walk, message, visible, total);
	case 'B':
		return *second ? bind_named(walk, message, total, body, second)
					   : bind_unnamed(walk, message, body);
	case 'D':
		if (*body != 'S')
			return NAMES_PASS;
		if (body[1])
			return describe_named(walk, message, total, body + 1);
		return bring_unnamed(walk, message) ? NAMES_PASS : NAMES_NO_MEMORY;
	default:
		if (*body != 'S')
			return note_portal(walk->client, body + 1, NULL, false) ? NAMES_PASS
																	 : NAMES_NO_MEMORY;
		if (body[1])
			return close_named(walk, message, total, body + 1);
		names_forget_unnamed(walk->client);
		walk->parsed = NULL;
		return NAMES_PASS;
	}
}

enum names_result names_note(struct names_walk *walk, const uint8_t *message, size_t visible,
							 uint64_t total)
{
	if (walk->client->server->replies.skipping)
		return NAMES_PASS; /* the server does not even look at it */
	switch (*message) {
	case 'Q':
		return note_query(walk, message, visible, total);
	case 'E':
		return note_execute(walk, message, visible, total);
	case 'F':
		return run_unread(walk);
	case 'P':
	case 'B':
	case 'D':
	case 'C':
		/* Names that do not end are the server's to complain of. */
		return names_length(message, visible) ? note_named(walk, message, visible, total)
											  : run_unread(walk);
	default:
		return NAMES_PASS;
	}
}
