/*
 * What answers mean for the names that their messages had.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/names_internal.h"
#include "proxy/pins.h"
#include "proxy/rewrite.h"

/* ---- fates ---- */

/* A message had no effect: what was assumed when it was sent is taken back. */
static void undo(struct server *server, struct reply_note *note)
{
	struct statements *statements = &server->client->statements;

	switch (note->kind) {
	case NOTE_PARSED:
		statements_remove(statements, note->statement);
		backend_statements_remove(&server->statements, note->prepared);
		break;
	case NOTE_PREPARED:
		backend_statements_remove(&server->statements, note->prepared);
		break;
	case NOTE_CLOSED:
		statements_restore(statements, note->statement);
		break;
	case NOTE_EVICTED:
		/* Without memory for it, the name is closed again before it is used. */
		if (!server->statements.doubtful &&
			!backend_statements_add(&server->statements, note->prepared, note->number))
			backend_statements_doubt(&server->statements);
		break;
	case NOTE_DESCRIBED:
	case NOTE_RUN:
	case NOTE_REFUSED:
	case NOTE_SYNC:
		break;
	}
}

/* A transaction of one statement is over, and with it what its setting has become is known. */
static void settle(struct server *server, const struct reply_note *note)
{
	if (note->is_alone && note->completed == 1 && note->verdict->statement_count == 1 &&
		server->status == 'I' && server->replies.count == 1)
		pins_settle(server->client, &note->verdict->statements[0]);
}

void names_noted(void *owner, struct reply_note *note, enum reply_fate fate)
{
	struct server *server = owner;

	server->uncertain -= names_note_is_of_names(note);
	if (server->client && fate != REPLY_DROPPED) {
		if (fate == REPLY_SKIPPED)
			undo(server, note);
		else if (note->kind == NOTE_RUN)
			settle(server, note);
	}
	if (server->client && note->is_barrier) /* relay_go_on reads on */
		server->client->barrier = fate == REPLY_DONE && note->is_executed && server->seal_lost
									  ? BARRIER_SYNC
									  : BARRIER_NONE;
	names_note_free(note);
}

/* ---- command tags ---- */

static void forget(struct client *client, const char *name)
{
	struct statement *statement = statements_find(&client->statements, name);

	if (statement)
		statements_remove(&client->statements, statement);
}

const char *names_completed(struct server *server, struct reply_note *note)
{
	struct client *client = server->client;
	uint32_t place = note->completed++;

	if (note->kind != NOTE_RUN || place >= note->verdict->statement_count)
		return NULL;
	const struct sql_statement *statement = &note->verdict->statements[place];
	switch (statement->action) {
	case SQL_DEALLOCATE:
		forget(client, statement->name);
		break;
	case SQL_DEALLOCATE_ALL:
		names_forget_all(client);
		backend_statements_clear(&server->statements);
		gatekeeper_forget_prepared(client);
		pins_drop(client, PIN_NATIVE | PIN_STATEMENT);
		break;
	case SQL_DISCARD_ALL:
		names_forget_all(client);
		backend_statements_clear(&server->statements);
		gatekeeper_forget_prepared(client);
		pins_discarded(client);
		server->seal_lost = server->settings_lost = true;
		break;
	default:
		break;
	}
	return note->is_rewritten ? rewrite_tag(statement) : NULL;
}

/* ---- columns ---- */

bool names_awaits_description(const struct server *server)
{
	const struct reply_note *note = replies_next_note(&server->replies);

	return note && note->kind == NOTE_DESCRIBED;
}

/* What PostgreSQL compares: names, types and their modifiers; not where columns come from. */
static bool append_columns(struct buf *out, const uint8_t *message, size_t total)
{
	size_t at = WIRE_HEADER + 2;

	while (at < total) {
		const char *name = wire_cstr(message, total, &at);

		if (!name || total - at < 18 || !buf_append_cstr(out, name) ||
			!buf_append(out, message + at + 6, 4) || !buf_append(out, message + at + 12, 4))
			return false;
		at += 18;
	}
	return true;
}

static uint64_t hash_of_columns(const uint8_t *message, size_t total)
{
	struct buf columns;
	uint64_t result = RESULT_ANY;

	buf_init(&columns);
	if (*message == 'n' || (total && append_columns(&columns, message, total)))
		result = hash_bytes(buf_data(&columns), buf_len(&columns));
	buf_fini(&columns);
	return result > RESULT_ANY ? result : RESULT_ANY;
}

void names_described(struct server *server, const uint8_t *message, size_t total)
{
	const struct reply_note *note = replies_next_note(&server->replies);
	struct backend_statement *there =
		backend_statements_find(&server->statements, note->prepared);
	uint64_t result = hash_of_columns(message, total);

	if (there && there->number == note->number)
		there->result = result;
	if (note->statement)
		note->statement->result = result;
}

/* ---- errors ---- */

static const struct statement *find_by_own_name(const struct client *client, const char *text,
												const char **at, size_t *len)
{
	struct statement *statement, *next;
	char own[PREPARED_NAME_MAX];

	HASH_ITER (hh, client->statements.by_name, statement, next) {
		prepared_name(statement->prepared, statement->prepared->number, own);
		*at = strstr(text, own);
		*len = strlen(own);
		/* One name may be the beginning of another. */
		if (*at && (*at)[*len] == '"')
			return statement;
	}
	return NULL;
}

/* The error's fields, with another message. */
static bool append_error(const uint8_t *body, size_t len, const char *message, size_t before,
						 const char *name, const char *after, struct buf *out)
{
	size_t at = 0, mark;

	if (!wire_begin(out, 'E', &mark))
		return false;
	while (at < len && body[at]) {
		char field = (char)body[at++];
		const char *value = wire_cstr(body, len, &at);
		bool ok;

		if (!value || !buf_append_byte(out, (uint8_t)field))
			return false;
		if (field == 'M')
			ok = buf_append(out, message, before) && buf_append(out, name, strlen(name)) &&
				 buf_append_cstr(out, after);
		else
			ok = buf_append_cstr(out, value);
		if (!ok)
			return false;
	}
	return buf_append_byte(out, 0) && wire_end(out, mark);
}

bool names_translate_error(struct server *server, const uint8_t *body, size_t len,
						   struct buf *out)
{
	const char *code = wire_error_field(body, len, 'C');
	const char *text = wire_error_field(body, len, 'M');
	const char *routine = wire_error_field(body, len, 'R');
	struct client *client = server->client;
	struct statement *each, *next;
	const char *at;
	size_t own_len;

	if (!code || !text)
		return false;
	if (strcmp(code, "0A000") == 0 && routine &&
		strcmp(routine, "RevalidateCachedQuery") == 0) {
		/* Its tables have changed: no backend's plan of it is of use to anybody. */
		HASH_ITER (hh, client->statements.by_name, each, next)
			prepared_renew(each->prepared);
		return false;
	}
	if ((strcmp(code, "42P05") != 0 && strcmp(code, "26000") != 0 &&
		 strcmp(code, "08P01") != 0) ||
		!strstr(text, PREPARED_PREFIX))
		return false;
	const struct statement *statement = find_by_own_name(client, text, &at, &own_len);
	if (strcmp(code, "26000") == 0) /* something that was not seen has deallocated it */
		backend_statements_doubt(&server->statements);
	return statement && append_error(body, len, text, (size_t)(at - text), statement->name,
									 at + own_len, out);
}
