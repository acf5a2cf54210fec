/*
 * Statements with names: on backends they have Bulkhead's.
 */
#include <stdlib.h>
#include <string.h>

#include "policy/session.h"
#include "proxy/names_internal.h"
#include "proxy/pins.h"
#include "proxy/rewrite.h"
#include "proxy/settings.h"

/* ---- the backend's statements ---- */

bool names_append_close(struct buf *out, const char *name)
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
	if (!names_append_close(walk->out, name) || !names_ask_ours(walk, REPLY_CLOSE, &note))
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

static bool has(const struct names_walk *walk, const struct prepared *prepared)
{
	struct backend_statement *there =
		backend_statements_find(&walk->client->server->statements, prepared);

	return there && there->number == prepared->number;
}

/* What is prepared now is read under the client's settings of now, and shared with those who
 * have the same. */
static bool keep_up(const struct client *client, struct statement *statement)
{
	struct prepared *prepared;

	if (prepared_is_under(statement->prepared, client->settings))
		return true;
	prepared = prepared_intern_under(statement->prepared, client->settings);
	if (!prepared)
		return false;
	prepared_unref(statement->prepared);
	statement->prepared = prepared;
	return true;
}

static bool prepare(struct names_walk *walk, struct prepared *prepared)
{
	struct backend_statements *statements = &walk->client->server->statements;
	struct reply_note note = {
		.kind = NOTE_PREPARED, .prepared = prepared, .number = prepared->number};
	char name[PREPARED_NAME_MAX];

	prepared_name(prepared, prepared->number, name);
	return make_room(walk, prepared) && prepared_append_parse(prepared, name, walk->out) &&
		   names_ask_ours(walk, REPLY_PARSE, &note) &&
		   backend_statements_add(statements, prepared, prepared->number);
}

/* Prepares the statement on the backend when it lacks it; names_gather has been called. */
static bool ensure(struct names_walk *walk, struct statement *statement)
{
	if (has(walk, statement->prepared))
		return true;
	if (walk->client->server->replies.lost)
		return true; /* an answer of Bulkhead's own could not be told from others */
	return keep_up(walk->client, statement) &&
		   (has(walk, statement->prepared) || prepare(walk, statement->prepared));
}

/* ---- names of the client's own on the backend ---- */

/*
 * SQL that names prepared statements, or lists them, means those of the client, under the names
 * that it gave them. Then they are prepared so, Bulkhead's own are closed, and the client keeps
 * its backend.
 */
bool names_wants_native(const struct client *client, const struct verdict *verdict)
{
	if (client_is_native(client) || client->server->status == 'E' ||
		client->server->replies.lost)
		return false;
	if (verdict->effects & EFFECT_SEES_PREPARED && pins_effects(verdict) & EFFECT_SEES_PREPARED)
		return true;
	return names_prepare(verdict);
}

static bool prepare_natively(struct names_walk *walk, enum reply reply)
{
	struct statement *statement, *next;

	HASH_ITER (hh, walk->client->statements.by_name, statement, next) {
		if (!prepared_append_parse(statement->prepared, statement->name, walk->out) ||
			!names_ask_ours(walk, reply, NULL))
			return false;
		statement->is_native = true;
	}
	return true;
}

/* To stand before a Query, it has to be a batch of its own; an error in it is not the client's.
 */
bool names_go_native(struct names_walk *walk, const uint8_t *message)
{
	struct backend_statements *statements = &walk->client->server->statements;
	bool is_query = *message == 'Q';
	struct backend_statement *each;

	pins_add(walk->client, PIN_NATIVE);
	if (!names_gather(walk, message))
		return false;
	while ((each = list_first(&statements->used, struct backend_statement, used)) != NULL) {
		if (!evict(walk, each->prepared, each->number))
			return false;
	}
	if (!prepare_natively(walk, is_query ? REPLY_PARSE | REPLY_QUIET : REPLY_PARSE))
		return false;
	return !is_query ||
		   (wire_message(walk->out, 'S', "", 0) && names_ask_ours(walk, REPLY_SYNC, NULL));
}

/* ---- named statements ---- */

/* The name is in use: so it is on the backend, which says so, unless the text is wrong. */
static enum names_result parse_again(struct names_walk *walk, const uint8_t *message,
									 struct statement *statement, size_t after, uint64_t total)
{
	char name[PREPARED_NAME_MAX];
	size_t mark;

	if (!names_gather(walk, message) || !ensure(walk, statement))
		return NAMES_NO_MEMORY;
	prepared_name(statement->prepared, statement->prepared->number, name);
	if (!wire_begin(walk->out, 'P', &mark) || !buf_append_cstr(walk->out, name) ||
		!names_continue_with(walk, message, after, total, mark))
		return NAMES_NO_MEMORY;
	return NAMES_PASS;
}

/* The body behind the name, with the text replaced where that is wanted. */
static bool append_body(const struct client *client, const struct verdict *verdict,
						bool is_rewritten, const uint8_t *body, size_t len, struct buf *out)
{
	size_t text_len = strlen((const char *)body);

	if (!is_rewritten)
		return buf_append(out, body, len);
	return rewrite_append(client, verdict, (const char *)body, text_len, out) &&
		   buf_append(out, body + text_len, len - text_len);
}

bool names_have_room(const struct client *client, size_t len)
{
	size_t tenant_max = (size_t)client->worker->conf->max_tenant_statement_size;

	return statements_have_room(&client->statements, len, tenant_max);
}

struct statement *names_define(struct client *client, const char *name, const uint8_t *body,
							   size_t len, const struct verdict *verdict)
{
	bool is_rewritten = verdict->statement_count == 1 && rewrite_is_wanted(client, verdict);
	struct statement *statement = NULL;
	struct buf own;

	buf_init(&own);
	if (append_body(client, verdict, is_rewritten, body, len, &own)) {
		struct prepared *prepared = prepared_intern(client->worker->prepared, client->settings,
													buf_data(&own), buf_len(&own));

		statement =
			statements_define(&client->statements, name, prepared, verdict_ref(verdict));
	}
	if (statement) {
		gatekeeper_note_prepare(client, verdict);
		statement->rewritten = is_rewritten;
		statement->begin = session_begin((const char *)body, strlen((const char *)body));
	}
	buf_fini(&own);
	return statement;
}

/* The Parse that stands for the client's, which defines the statement. */
static bool append_parse(struct names_walk *walk, const struct statement *statement,
						 const char *name)
{
	struct backend_statements *statements = &walk->client->server->statements;
	struct prepared *prepared = statement->prepared;
	char own[PREPARED_NAME_MAX];

	if (statement->is_native)
		return prepared_append_parse(prepared, name, walk->out);
	prepared_name(prepared, prepared->number, own);
	return make_room(walk, prepared) && prepared_append_parse(prepared, own, walk->out) &&
		   backend_statements_add(statements, prepared, prepared->number);
}

static enum names_result parse_new(struct names_walk *walk, struct statement *statement,
								   const char *name)
{
	struct reply_note note = {.kind = NOTE_PARSED,
							  .statement = statement_ref(statement),
							  .prepared = prepared_ref(statement->prepared),
							  .number = statement->prepared->number};
	struct reply_note *copy = names_note_create(&note);

	if (!copy) {
		statement_unref(note.statement);
		prepared_unref(note.prepared);
		return NAMES_NO_MEMORY;
	}
	if (append_parse(walk, statement, name))
		return names_ask(walk, 'P', copy);
	names_note_free(copy);
	return NAMES_NO_MEMORY;
}

static enum names_result parse_unread(struct names_walk *walk, const uint8_t *message,
									  uint64_t total)
{
	enum names_result judged = NAMES_PASS;

	if (walk->visible < total)
		judged = names_judge(walk, walk->client->worker->unread, message, total);
	if (judged != NAMES_PASS)
		return judged;
	pins_add(walk->client, PIN_STATEMENT);
	return names_run_unread(walk);
}

enum names_result names_parse_named(struct names_walk *walk, const uint8_t *message,
									size_t visible, uint64_t total, const char *name)
{
	struct client *client = walk->client;
	size_t after = WIRE_HEADER + strlen(name) + 1, len;
	const char *text = visible == total ? names_text(message, after, total, &len) : NULL;
	struct statement *statement = statements_find(&client->statements, name);

	if (!text)
		return parse_unread(walk, message, total);
	const struct verdict *verdict = names_read(walk, text, len);
	if (!verdict)
		return NAMES_NO_MEMORY;
	enum names_result judged = names_judge(walk, verdict, message, total);
	if (judged != NAMES_PASS)
		return judged;
	if (names_wants_native(client, verdict) && !names_go_native(walk, message))
		return NAMES_NO_MEMORY;
	if (statement)
		return statement->is_native ? NAMES_PASS
									: parse_again(walk, message, statement, after, total);
	if (!names_have_room(client, (size_t)total))
		return names_refuse_for(walk, message, total, REASON_STATEMENTS);
	statement = names_define(client, name, message + after, (size_t)total - after, verdict);
	if (!statement || !names_gather(walk, message))
		return NAMES_NO_MEMORY;
	statement->is_native =
		client_is_native(client) || client->server->replies.lost || client->reads_nothing;
	walk->run = message + total;
	return parse_new(walk, statement, name);
}

/* ---- columns ---- */

static bool ask_description(struct names_walk *walk, struct prepared *prepared,
							struct statement *statement, enum names_result *result)
{
	struct reply_note note = {.kind = NOTE_DESCRIBED,
							  .statement = statement ? statement_ref(statement) : NULL,
							  .prepared = prepared_ref(prepared),
							  .number = prepared->number,
							  .is_barrier = !statement};
	struct reply_note *copy = names_note_create(&note);

	if (copy && statement) {
		*result = names_ask(walk, 'D', copy);
		return true;
	}
	if (copy &&
		replies_push_note(&walk->client->server->replies, REPLY_DESCRIBE | REPLY_OURS, copy))
		return true;
	free(copy);
	statement_unref(note.statement);
	prepared_unref(note.prepared);
	return false;
}

/*
 * Where its client was told which columns a statement has, they must be the same on this
 * backend, where it may have been prepared after a table has changed. PostgreSQL fails then; so
 * the statement is prepared and described before it is bound, and the Bind waits.
 */
static enum names_result find_out_columns(struct names_walk *walk, const uint8_t *message,
										  struct statement *statement)
{
	static const uint8_t flush[] = {'H', 0, 0, 0, 4};
	char own[PREPARED_NAME_MAX];
	size_t mark;

	if (!names_gather(walk, message) || !ensure(walk, statement))
		return NAMES_NO_MEMORY;
	prepared_name(statement->prepared, statement->prepared->number, own);
	if (!wire_begin(walk->out, 'D', &mark) || !buf_append_byte(walk->out, 'S') ||
		!buf_append_cstr(walk->out, own) || !wire_end(walk->out, mark) ||
		!buf_append(walk->out, flush, sizeof flush) ||
		!ask_description(walk, statement->prepared, NULL, NULL))
		return NAMES_NO_MEMORY;
	walk->client->server->replies.batch = true; /* its Sync is the client's, behind the Bind */
	names_raise_barrier(walk->client);
	return NAMES_WAIT;
}

static enum names_result refuse_columns(struct names_walk *walk, const uint8_t *message,
										uint64_t total)
{
	struct buf error;
	size_t mark;

	buf_init(&error);
	if (!wire_begin(&error, 'E', &mark) || !buf_append_cstr(&error, "SERROR") ||
		!buf_append_cstr(&error, "VERROR") || !buf_append_cstr(&error, "C0A000") ||
		!buf_append_cstr(&error, "Mcached plan must not change result type") ||
		!buf_append_cstr(&error, "Fplancache.c") ||
		!buf_append_cstr(&error, "RRevalidateCachedQuery") || !buf_append_byte(&error, 0) ||
		!wire_end(&error, mark))
		buf_fini(&error);
	return names_refuse(walk, message, total, &error);
}

/* NAMES_PASS: the statement may be bound here, as far as its columns go. */
static enum names_result check_columns(struct names_walk *walk, const uint8_t *message,
									   uint64_t total, struct statement *statement)
{
	struct backend_statement *there =
		backend_statements_find(&walk->client->server->statements, statement->prepared);

	if (statement->result <= RESULT_ANY || walk->client->server->replies.lost)
		return NAMES_PASS;
	if (!there || there->number != statement->prepared->number ||
		there->result == RESULT_UNKNOWN)
		return find_out_columns(walk, message, statement);
	if (there->result == RESULT_ANY || there->result == statement->result)
		return NAMES_PASS;
	return refuse_columns(walk, message, total);
}

/* Of a statement of SQL's PREPARE, or the server says that there is none. */
static enum names_result bind_unknown(struct names_walk *walk, const uint8_t *message,
									  uint64_t total, const char *portal)
{
	struct buf error;

	buf_init(&error);
	if (!gatekeeper_lets_execute(walk->client, &error))
		return names_refuse(walk, message, total, &error);
	return names_note_portal(walk->client, portal, NULL, false) ? names_run_unread(walk)
																: NAMES_NO_MEMORY;
}

enum names_result names_bind_named(struct names_walk *walk, const uint8_t *message,
								   uint64_t total, const char *portal, const char *name)
{
	struct client *client = walk->client;
	struct statement *statement = statements_find(&client->statements, name);
	size_t after = WIRE_HEADER + strlen(portal) + 1 + strlen(name) + 1, mark;
	char own[PREPARED_NAME_MAX];

	if (statement && statement->verdict) {
		enum names_result judged = names_judge(walk, statement->verdict, message, total);

		if (judged != NAMES_PASS)
			return judged;
	}
	if (!statement)
		return bind_unknown(walk, message, total, portal);
	if (statement->is_native)
		return names_note_portal(client, portal, statement->verdict, statement->rewritten)
				   ? NAMES_PASS
				   : NAMES_NO_MEMORY;
	enum names_result columns = check_columns(walk, message, total, statement);
	if (columns != NAMES_PASS)
		return columns;
	if (!names_gather(walk, message) || !ensure(walk, statement) ||
		!names_note_portal(client, portal, statement->verdict, statement->rewritten))
		return NAMES_NO_MEMORY;
	prepared_name(statement->prepared, statement->prepared->number, own);
	if (!wire_begin(walk->out, 'B', &mark) || !buf_append_cstr(walk->out, portal) ||
		!buf_append_cstr(walk->out, own) ||
		!names_continue_with(walk, message, after, total, mark))
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

enum names_result names_describe_named(struct names_walk *walk, const uint8_t *message,
									   uint64_t total, const char *name)
{
	struct statement *statement = statements_find(&walk->client->statements, name);
	char own[PREPARED_NAME_MAX];
	size_t mark;

	if (!statement)
		return NAMES_PASS;
	if (statement->begin && describe_begin(walk, message))
		return NAMES_ANSWERED;
	if (statement->is_native)
		return NAMES_PASS;
	if (!names_gather(walk, message) || !ensure(walk, statement))
		return NAMES_NO_MEMORY;
	prepared_name(statement->prepared, statement->prepared->number, own);
	if (!wire_begin(walk->out, 'D', &mark) || !buf_append_byte(walk->out, 'S') ||
		!buf_append_cstr(walk->out, own) || !wire_end(walk->out, mark))
		return NAMES_NO_MEMORY;
	walk->run = message + total;
	enum names_result result;
	return ask_description(walk, statement->prepared, statement, &result) ? result
																		  : NAMES_NO_MEMORY;
}

/* The backend keeps the statement for the next who prepares the same: what is closed there is
 * one that does not exist. */
enum names_result names_close_named(struct names_walk *walk, const uint8_t *message,
									uint64_t total, const char *name)
{
	struct client *client = walk->client;
	struct statement *statement = statements_find(&client->statements, name);

	if (!statement)
		return NAMES_PASS;
	struct reply_note note = {.kind = NOTE_CLOSED, .statement = statement_ref(statement)};
	struct reply_note *copy = names_note_create(&note);
	if (!copy) {
		statement_unref(statement);
		return NAMES_NO_MEMORY;
	}
	statements_remove(&client->statements, statement);
	if (!names_gather(walk, message) ||
		!names_append_close(walk->out, statement->is_native ? name : PREPARED_PREFIX "none")) {
		names_note_free(copy);
		return NAMES_NO_MEMORY;
	}
	walk->run = message + total;
	return names_ask(walk, 'C', copy);
}
