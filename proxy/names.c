#include "proxy/names.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "policy/session.h"
#include "proxy/names_internal.h"
#include "proxy/pins.h"
#include "proxy/pool.h"
#include "proxy/rewrite.h"
#include "proxy/settings.h"
#include "proxy/startup.h"

/* Longest name of a portal or statement that is looked at; PostgreSQL cuts them at 63 bytes. */
#define NAMES_MAX 8192

/* More than this is sent on before it is added to. */
#define GATHER_MAX 32768

/* ---- which statement a message names ---- */

static bool names_something(uint8_t type)
{
	return type == 'P' || type == 'B' || type == 'D' || type == 'C' || type == 'E';
}

/* Where the names of a message end, header and all, or 0 when they do not end within `visible`.
 */
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

/* Bytes to be there before the names of the message are: all of it, but for a Bind, whose
 * values may be long. */
static size_t bytes_of_names(const uint8_t *message, size_t visible, uint64_t total)
{
	bool has_more = *message == 'B' || *message == 'P';

	if (total <= NAMES_MAX && !has_more)
		return (size_t)total;
	if (visible >= total || visible >= NAMES_MAX || names_length(message, visible))
		return WIRE_HEADER;
	return visible + 1;
}

size_t names_bytes_needed(struct client *client, const uint8_t *message, size_t visible,
						  uint64_t total)
{
	bool has_text = *message == 'Q' || *message == 'P';

	if (has_text && client_may_gather(client, total))
		return (size_t)total;
	return names_something(*message) ? bytes_of_names(message, visible, total) : WIRE_HEADER;
}

bool names_must_wait(const struct client *client, const uint8_t *message, size_t visible)
{
	const struct server *server = client->server;
	const char *body = (const char *)message + WIRE_HEADER;

	if (!server->uncertain || server->uncertain_batch == server->replies.batches ||
		server->replies.skipping)
		return false;
	if (*message != 'Q' && *message != 'P' && !names_length(message, visible))
		return false;
	switch (*message) {
	case 'Q':
	case 'P':
		return true; /* that are not plain */
	case 'B':
		return body[strlen(body) + 1] != '\0';
	case 'D':
	case 'C':
		return body[0] == 'S' && body[1];
	default:
		return false;
	}
}

/* ---- gathering ---- */

bool names_gather(struct names_walk *walk, const uint8_t *to)
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
	if (!names_gather(walk, to))
		server_close(server, "out of memory");
	else if (buf_len(walk->out))
		server_send(server, buf_data(walk->out), buf_len(walk->out));
	buf_truncate(walk->out, 0);
}

/* Begins a message that stands for one of the client's. */
bool names_replace(struct names_walk *walk, const uint8_t *message, size_t *mark)
{
	return names_gather(walk, message) && wire_begin(walk->out, (char)*message, mark);
}

/* The rest of the client's message, from `at` on, follows as it is: as much as is there now,
 * and what is to come. */
bool names_continue_with(struct names_walk *walk, const uint8_t *message, size_t at,
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

static void count(struct server *server, const struct reply_note *note)
{
	if (!names_note_is_of_names(note))
		return;
	server->uncertain++;
	server->uncertain_batch = server->replies.batches;
}

struct reply_note *names_note_create(const struct reply_note *like)
{
	struct reply_note *note = malloc(sizeof *note);

	if (note)
		*note = *like;
	return note;
}

void names_note_free(struct reply_note *note)
{
	statement_unref(note->statement);
	prepared_unref(note->prepared);
	verdict_unref(note->verdict);
	buf_fini(&note->error);
	free(note);
}

/* One message of the client's is owed its answer, with a note. */
enum names_result names_ask(struct names_walk *walk, char type, struct reply_note *note)
{
	struct server *server = walk->client->server;

	if (note)
		count(server, note); /* taken back by names_noted */
	if (note && replies_asked_note(&server->replies, type, note))
		return NAMES_ACCOUNTED;
	if (note)
		names_note_free(note);
	return NAMES_NO_MEMORY;
}

bool names_ask_ours(struct names_walk *walk, enum reply reply, const struct reply_note *like)
{
	struct replies *replies = &walk->client->server->replies;
	struct reply_note *note = like ? names_note_create(like) : NULL;

	if (like && !note)
		return false;
	if (note && note->prepared)
		prepared_ref(note->prepared);
	if (note)
		count(walk->client->server, note);
	if (replies_push_note(replies, reply | REPLY_OURS, note))
		return true;
	if (note)
		names_note_free(note);
	return false;
}

/* ---- Query ---- */

/* A statement whose outcome decides what names and settings mean behind it: nothing more is
 * read from the client before it is known. (But where a COPY is fed in the same text.) */
static bool is_barrier(const struct verdict *verdict)
{
	bool found = false;

	for (uint32_t i = 0; i < verdict->statement_count; i++) {
		switch (verdict->statements[i].action) {
		case SQL_DEALLOCATE:
		case SQL_DEALLOCATE_ALL:
		case SQL_DISCARD_ALL:
			found = true;
			break;
		case SQL_COPY_IN:
			return false;
		default:
			break;
		}
	}
	return found;
}

struct reply_note *names_run_note(struct client *client, const struct verdict *verdict,
								  bool is_rewritten, bool is_query)
{
	const struct reply_note note = {.kind = NOTE_RUN,
									.verdict = verdict_ref(verdict),
									.is_rewritten = is_rewritten,
									.is_alone = is_query && !client->server->replies.batch,
									.is_barrier = is_barrier(verdict),
									.is_executed = !is_query};
	struct reply_note *copy = names_note_create(&note);

	if (!copy)
		verdict_unref(verdict);
	else if (note.is_barrier)
		names_raise_barrier(client);
	return copy;
}

void names_raise_barrier(struct client *client)
{
	client->barrier = BARRIER_ANSWER;
	client->stalled = true;
}

enum names_result names_sync_discarded(struct names_walk *walk)
{
	const struct reply_note note = {.kind = NOTE_SYNC, .is_barrier = true};

	names_raise_barrier(walk->client);
	return names_ask(walk, 'S', names_note_create(&note));
}

const char *names_text(const uint8_t *message, size_t at, uint64_t total, size_t *len)
{
	const char *text = wire_cstr(message, (size_t)total, &at);

	*len = text ? strlen(text) : 0;
	return text;
}

void names_read_nothing(struct client *client)
{
	client->reads_nothing = true;
	pins_add(client, PIN_SETTING);
}

const struct verdict *names_read(struct names_walk *walk, const char *text, size_t len)
{
	if (walk->client->reads_nothing)
		return walk->client->worker->unreadable;
	if (!walk->verdict)
		walk->verdict = verdict_cache_read(walk->client->worker->verdicts, text, len);
	if (walk->verdict && names_writes_matter(walk))
		pins_add(walk->client, PIN_SEQUENCE);
	return walk->verdict;
}

static bool executes_prepared(const struct verdict *verdict)
{
	for (uint32_t i = 0; i < verdict->statement_count; i++) {
		if (verdict->statements[i].effects & EFFECT_SEES_PREPARED)
			return true;
	}
	return false;
}

bool names_prepare(const struct verdict *verdict)
{
	for (uint32_t i = 0; i < verdict->statement_count; i++) {
		if (verdict->statements[i].action == SQL_PREPARE)
			return true;
	}
	return false;
}

enum names_result names_judge(struct names_walk *walk, const struct verdict *verdict,
							  const uint8_t *message, uint64_t total)
{
	struct client *client = walk->client;
	struct buf error;

	if (verdict->is_plain && gate_passes(&client->gate, verdict->needs, verdict->rules))
		return NAMES_PASS;
	buf_init(&error);
	if (!gatekeeper_lets_pass(client, verdict, &error) ||
		(!verdict->is_plain && executes_prepared(verdict) &&
		 !gatekeeper_lets_execute(client, &error)))
		return names_refuse(walk, message, total, &error);
	if (!verdict->is_plain && names_prepare(verdict))
		gatekeeper_note_prepare(client, verdict);
	return NAMES_PASS;
}

/* A text that is not there as a whole, or not ended: the server refuses the latter itself. (Of
 * a Bind nobody can say later what is executed.) */
static enum names_result judge_unread(struct names_walk *walk, const uint8_t *message,
									  uint64_t total)
{
	enum names_result judged =
		*message == 'P' ? NAMES_PASS : names_count(walk, message, total, NULL);

	if (judged == NAMES_PASS && walk->visible < total)
		judged = names_judge(walk, walk->client->worker->unread, message, total);
	return judged == NAMES_PASS ? names_run_unread(walk) : judged;
}

static bool is_on(const char *value)
{
	return strcasecmp(value, "on") == 0 || strchr("tTyY1", *value);
}

/*
 * Does the text give this setting a value under which the server reads texts in another way
 * than Bulkhead does? What is computed, or bound, may be one: by the time that the server
 * reports it, it has read what was sent right behind.
 */
static bool sets_badly(const struct verdict *verdict, const char *name,
					   bool (*is_good)(const char *value))
{
	for (uint32_t i = 0; i < verdict->setting_count; i++) {
		const struct sql_setting *setting = &verdict->settings[i];

		if (strcmp(setting->name, name) != 0 || setting->how == SETTING_RESET)
			continue;
		if (setting->value ? !is_good(setting->value) : setting->is_call)
			return true;
	}
	return false;
}

static enum names_result refuse_to_set(struct names_walk *walk, const uint8_t *message,
									   uint64_t total, const char *why)
{
	struct buf error;

	buf_init(&error);
	wire_error_text(&error, "ERROR", "0A000", why, NULL);
	return names_refuse(walk, message, total, &error);
}

enum names_result names_note_strings(struct names_walk *walk, const struct verdict *verdict,
									 const uint8_t *message, uint64_t total)
{
	if (sets_badly(verdict, "client_encoding", startup_encoding_is_safe))
		return refuse_to_set(walk, message, total, STARTUP_ENCODING_REFUSED);
	if (!sets_badly(verdict, "standard_conforming_strings", is_on))
		return NAMES_PASS;
	if (pool_is_guarded(walk->client->pool))
		return refuse_to_set(walk, message, total, STARTUP_STRINGS_REFUSED);
	names_read_nothing(walk->client);
	return NAMES_PASS;
}

bool names_sequence_is_lost(struct client *client, const struct verdict *verdict)
{
	bool had_none = !(client->pins.held & PIN_SEQUENCE);

	if (!(verdict->effects & EFFECT_SEES_SEQUENCE) ||
		!(pins_effects(verdict) & EFFECT_SEES_SEQUENCE))
		return false;
	client->pool_tenant->sees_sequences = true;
	pins_add(client, PIN_SEQUENCE);
	return had_none && !client->has_run && !client->came_back;
}

/* What is not read may have done anything. */
enum names_result names_run_unread(struct names_walk *walk)
{
	walk->client->pins.doubts |= PINS_ASKED;
	return NAMES_PASS;
}

static bool replace_query(struct names_walk *walk, const uint8_t *message, uint64_t total,
						  const char *text, size_t len)
{
	size_t mark;

	if (!names_replace(walk, message, &mark) ||
		!rewrite_append(walk->client, walk->verdict, text, len, walk->out) ||
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
	client->server->unnamed_id = 0;
	const char *text = visible == total ? names_text(message, WIRE_HEADER, total, &len) : NULL;
	if (!text)
		return judge_unread(walk, message, total);
	const struct verdict *verdict = names_read(walk, text, len);
	if (!verdict)
		return NAMES_NO_MEMORY;
	enum names_result judged = names_count(walk, message, total, verdict);
	if (judged == NAMES_PASS)
		judged = names_judge(walk, verdict, message, total);
	if (judged != NAMES_PASS)
		return judged;
	enum names_result strings = names_note_strings(walk, verdict, message, total);
	if (strings != NAMES_PASS)
		return strings;
	if (names_sequence_is_lost(client, verdict))
		return names_refuse_for(walk, message, total, REASON_SEQUENCE);
	if (!pins_note(client, verdict))
		return NAMES_NO_MEMORY;
	if (verdict->is_plain)
		return NAMES_PASS;
	if (names_wants_native(client, verdict) && !names_go_native(walk, message))
		return NAMES_NO_MEMORY;
	bool is_rewritten = rewrite_is_wanted(client, verdict);
	if (is_rewritten && !replace_query(walk, message, total, text, len))
		return NAMES_NO_MEMORY;
	return names_ask(walk, 'Q', names_run_note(client, verdict, is_rewritten, true));
}

/* ---- all of them ---- */

static enum names_result note_named(struct names_walk *walk, const uint8_t *message,
									size_t visible, uint64_t total)
{
	const char *body = (const char *)message + WIRE_HEADER;
	const char *second = body + strlen(body) + 1;

	switch (*message) {
	case 'P':
		return *body ? names_parse_named(walk, message, visible, total, body)
					 : names_parse_unnamed(walk, message, visible, total);
	case 'B':
		return *second ? names_bind_named(walk, message, total, body, second)
					   : names_bind_unnamed(walk, message, total, body);
	case 'D':
		if (*body != 'S')
			return NAMES_PASS;
		if (body[1])
			return names_describe_named(walk, message, total, body + 1);
		return names_bring_unnamed(walk, message) ? NAMES_PASS : NAMES_NO_MEMORY;
	default:
		if (*body != 'S')
			return names_note_portal(walk->client, body + 1, NULL, false) ? NAMES_PASS
																		  : NAMES_NO_MEMORY;
		if (body[1])
			return names_close_named(walk, message, total, body + 1);
		names_forget_unnamed(walk->client);
		walk->parsed = NULL;
		return NAMES_PASS;
	}
}

/* It calls a function by its number, which says nothing. */
static enum names_result note_function_call(struct names_walk *walk, const uint8_t *message,
											uint64_t total)
{
	static const struct verdict function_call = {
		.reading = SQL_READ,
		.needs = PERMISSION_BIT(PERMISSION_FASTPATH),
		.rules = RULE_BIT(RULE_FASTPATH),
	};
	enum names_result judged = names_count(walk, message, total, NULL);

	if (judged == NAMES_PASS)
		judged = names_judge(walk, &function_call, message, total);
	return judged == NAMES_PASS ? names_run_unread(walk) : judged;
}

enum names_result names_note(struct names_walk *walk, const uint8_t *message, size_t visible,
							 uint64_t total)
{
	walk->visible = visible;
	if (walk->client->server->replies.skipping)
		return NAMES_PASS; /* the server does not even look at it */
	switch (*message) {
	case 'Q':
		return note_query(walk, message, visible, total);
	case 'E':
		if (visible < total)
			return NAMES_TOO_LONG;
		return names_note_execute(walk, message, total);
	case 'F':
		return note_function_call(walk, message, total);
	case 'D':
	case 'C':
		/* What is behind the name, or a name that does not end, is the server's to complain of.
		 */
		if (visible < total)
			return NAMES_TOO_LONG;
		return names_length(message, visible) == total
				   ? note_named(walk, message, visible, total)
				   : NAMES_PASS;
	case 'P':
	case 'B':
		return names_length(message, visible) ? note_named(walk, message, visible, total)
											  : judge_unread(walk, message, total);
	default:
		return NAMES_PASS;
	}
}
