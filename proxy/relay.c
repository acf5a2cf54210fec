/*
 * Bytes between a client and its backend.
 *
 * Messages are told apart by their headers; bodies are looked at only where something depends
 * on them: texts and names (names.h), parameters (has the session changed?), errors (was the
 * context lost?) and ReadyForQuery. Runs of messages go out in one write, straight from the
 * receive buffer. A message that is longer than what has been read passes through piece by
 * piece and is never collected.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "proxy/client.h"
#include "proxy/drain.h"
#include "proxy/failover.h"
#include "proxy/names.h"
#include "proxy/pins.h"
#include "proxy/pool.h"
#include "proxy/scrub.h"
#include "proxy/server.h"
#include "proxy/settings.h"
#include "proxy/startup.h"
#include "proxy/welcome.h"
#include "proxy/wire.h"
#include "proxy/worker.h"

/* ---- from the client ---- */

/* Beyond this many outstanding answers the client is read again only when half of them have
 * come. */
#define REPLIES_HIGH (REPLIES_MAX - 16)

/* What a client may send once it is logged in, by the message's type. */
enum { KNOWN = 1, BARE = 2 /* has no body */ };

static const uint8_t kinds[256] = {
	['Q'] = KNOWN, ['P'] = KNOWN,        ['B'] = KNOWN,        ['D'] = KNOWN, ['E'] = KNOWN,
	['C'] = KNOWN, ['S'] = KNOWN | BARE, ['H'] = KNOWN | BARE, ['F'] = KNOWN, ['d'] = KNOWN,
	['f'] = KNOWN, ['c'] = KNOWN | BARE, ['X'] = KNOWN,
};

bool relay_accepts(struct client *client, uint8_t type, uint64_t total)
{
	uint8_t kind = kinds[type];

	if (!kind)
		client_violation(client, "unknown message type");
	else if (total < WIRE_HEADER || (kind & BARE && total != WIRE_HEADER))
		client_violation(client, "message length out of range");
	else if (total > (uint64_t)client->worker->conf->max_packet_size)
		client_fatal(client, REASON_TOO_LARGE, NULL);
	else
		return true;
	return false;
}

/* One message goes on: what must stand before it, what will be owed for it. False when the
 * client has been told that it is over. */
static bool pass(struct names_walk *walk, const uint8_t *message, size_t visible,
				 uint64_t total)
{
	struct client *client = walk->client;

	switch (names_note(walk, message, visible, total)) {
	case NAMES_PASS:
		if (replies_asked(&client->server->replies, (char)*message))
			return true;
		break;
	case NAMES_ACCOUNTED:
		return true;
	case NAMES_ANSWERED:
		walk->run = message + visible;
		return true;
	case NAMES_WAIT:
		walk->waits = true;
		return true;
	case NAMES_TOO_LONG:
		client_violation(client, "a name that is too long");
		return false;
	case NAMES_NO_MEMORY:
		break;
	}
	client_fatal(client, REASON_MEMORY, NULL);
	return false;
}

/* The next message is there as far as it has to be: passes it on. False when the client is gone
 * or told that it is over. */
static bool take(struct names_walk *walk, const uint8_t *message, size_t visible,
				 uint64_t total, bool is_plain)
{
	struct client *client = walk->client;

	if (*message == 'X') {
		names_forward(walk, message);
		client->is_amid_walk = false;
		client_close(client);
		return false;
	}
	if (!is_plain)
		return pass(walk, message, visible, total);
	if (replies_asked(&client->server->replies, (char)*message))
		return true;
	client_fatal(client, REASON_MEMORY, NULL);
	return false;
}

/*
 * A message meets a barrier, or many answers are owed. The Sync of a batch that has had a
 * DISCARD ALL may pass, and so may what does not run anything before it; the context is
 * restored when that Sync has been answered, and what is behind it has to wait. What runs
 * something before it is the batch's own, in a context that is empty.
 */
enum meeting { MEETS_STOP, MEETS_NOTHING, MEETS_SYNC };

static __attribute__((noinline)) enum meeting meet(struct client *client, uint8_t type)
{
	if (client->server->replies.count >= REPLIES_HIGH || client->barrier != BARRIER_SYNC) {
		client->stalled = true;
		return MEETS_STOP;
	}
	if (type == 'S')
		return MEETS_SYNC;
	if (type != 'H' && type != 'C' && type != 'D')
		client->barrier = BARRIER_NONE;
	return MEETS_NOTHING;
}

static __attribute__((noinline)) bool pass_sync(struct names_walk *walk)
{
	walk->client->is_amid_walk = true;
	if (names_sync_discarded(walk) == NAMES_ACCOUNTED)
		return true;
	client_fatal(walk->client, REASON_MEMORY, NULL);
	return false;
}

size_t relay_from_client(struct client *client, const uint8_t *data, size_t len)
{
	struct names_walk walk = {.client = client, .run = data, .out = &client->worker->assembly};
	const uint8_t *at = data, *end = data + len;
	bool is_fine = true;

	if (client->server->hold)
		return 0; /* a cancel that is under way must not hit the next statement */
	if (client->body_left) {
		size_t part = len < client->body_left ? len : (size_t)client->body_left;

		client->body_left -= part;
		client->is_amid_walk = true;
		at += part;
		if (client->body_is_refused)
			walk.run = at;
	}
	while (is_fine && end - at >= WIRE_HEADER) {
		uint64_t total = 1 + (uint64_t)wire_u32(at + 1);
		size_t visible = total < (uint64_t)(end - at) ? (size_t)total : (size_t)(end - at);

		is_fine = relay_accepts(client, *at, total);
		if (!is_fine)
			break;
		if (client->barrier || client->server->replies.count >= REPLIES_HIGH) {
			enum meeting meeting = meet(client, *at);

			if (meeting == MEETS_STOP)
				break;
			if (meeting == MEETS_SYNC) {
				is_fine = pass_sync(&walk);
				at += WIRE_HEADER;
				continue;
			}
		}
		bool is_plain = names_are_plain(&walk, at, visible, total);
		if (!is_plain && visible < names_bytes_needed(client, at, visible, total))
			break;
		if (!is_plain && names_must_wait(client, at, visible)) {
			client->stalled = true;
			break;
		}
		is_fine = take(&walk, at, visible, total, is_plain);
		if (walk.waits) {
			client->stalled = true;
			break;
		}
		client->has_run |= *at == 'Q' || *at == 'E' || *at == 'F';
		client->body_left = total - visible;
		client->body_is_refused = walk.throws_away;
		walk.throws_away = false;
		client->is_amid_walk = true;
		at += visible;
	}
	if (is_fine)
		names_forward(&walk, at);
	client->is_amid_walk = false;
	if (client->state != CLIENT_LINKED) {
		buf_truncate(walk.out, 0);
		return len;
	}
	names_end(&walk);
	if (at > data)
		relay_settle(client->server); /* it may have been the rest of a COPY that the server had
										 given up */
	return (size_t)(at - data);
}

/* ---- from the backend ---- */

/* What the walk over one read has found; kept apart so that each message's handler stays small.
 */
struct walk {
	struct server *server;
	struct client *client;
	const uint8_t *run; /* first byte not yet forwarded */
	bool owed;          /* an answer was owed when the present error came, and which was next */
	enum reply failing;
	bool of_name;       /* what fails is a statement with a name */
	const char *tag;    /* to show in place of the present one, or NULL */
	struct buf refusal; /* the same of an error */
	bool disagreed;
};

static void flush(struct walk *walk, const uint8_t *to)
{
	if (to > walk->run)
		client_send(walk->client, walk->run, (size_t)(to - walk->run));
	walk->run = to;
}

/* The client does not get these bytes: what stands before them is sent, they are skipped. */
static void swallow(struct walk *walk, const uint8_t *message, size_t total)
{
	flush(walk, message);
	walk->run = message + total;
}

/* Parts from a backend that does not keep to the protocol, at this message; what stands before
 * it is the client's, and may end a message that the client has in part. */
static bool part_at(struct walk *walk, const uint8_t *message, const char *why)
{
	flush(walk, message);
	server_close(walk->server, why);
	return false;
}

/* A statement that was replaced is shown as the one that the client sent. */
static void on_command_complete(struct walk *walk, const uint8_t *message, size_t total)
{
	struct buf out;

	if (!walk->tag)
		return;
	buf_init(&out);
	if (wire_command_complete(&out, walk->tag)) {
		swallow(walk, message, total);
		client_send_buf(walk->client, &out);
	}
	buf_fini(&out);
}

/* The client is shown this value, or nothing where it is what it was shown last. */
static void show_parameter(struct walk *walk, const uint8_t *message, size_t total,
						   const char *name, const char *value)
{
	struct buf out;

	swallow(walk, message, total);
	buf_init(&out);
	if (value && wire_parameter_status(&out, name, value))
		client_send_buf(walk->client, &out);
	buf_fini(&out);
}

/*
 * All settings of the backend were reset, which for the client means that they are as its
 * startup packet had them: that is what it is shown, and what they will be before its next
 * statement.
 */
static void show_startup_value(struct walk *walk, const uint8_t *message, size_t total,
							   const char *name, const char *last)
{
	const struct params *params =
		pool_find_welcome(walk->server->pool, walk->client->startup_settings);
	const char *value = params ? params_get(params, name) : NULL;

	if (value)
		show_parameter(walk, message, total, name,
					   last && strcmp(last, value) == 0 ? NULL : value);
}

#define STRINGS "standard_conforming_strings"

/* What Bulkhead relies on when it reads texts. False when the session is over for it. */
static bool is_tolerable(struct walk *walk, const char *name, const char *value)
{
	if (strcmp(name, "client_encoding") == 0 && !startup_encoding_is_safe(value))
		client_fatal_text(walk->client, "0A000", STARTUP_ENCODING_REFUSED, NULL);
	else if (strcmp(name, STRINGS) == 0 && strcmp(value, "on") != 0 &&
			 !pool_is_guarded(walk->client->pool))
		names_read_nothing(walk->client);
	else if (strcmp(name, STRINGS) == 0 && strcmp(value, "on") != 0)
		client_fatal_text(walk->client, "0A000", STARTUP_STRINGS_REFUSED, NULL);
	return walk->client->state == CLIENT_LINKED;
}

/* A change that no statement said: the server is asked when the transaction is over. */
static void note_change(struct walk *walk, const char *name)
{
	char folded[64];
	size_t len = 0;

	for (; name[len] && len < sizeof folded - 1; len++)
		folded[len] = (char)tolower((unsigned char)name[len]);
	folded[len] = '\0';
	if (!name[len] && !pins_note_setting(walk->client, folded))
		client_fatal(walk->client, REASON_MEMORY, NULL);
}

/*
 * A reset out of sight was rolled back, as it seems: the client's settings are as before. The
 * backend's are known for certain only when it has been discarded.
 */
static bool is_taken_back(const struct client *client, const char *name, const char *value)
{
	return client->server->settings_lost && strcmp(name, "application_name") == 0 &&
		   strcmp(value, client->settings->application_name) == 0;
}

/*
 * A parameter that changes while a client has the backend was changed by the client. When
 * application_name falls back to Bulkhead's marker, all settings have been reset, and the
 * context with them: the client is shown its own name, and the context is restored before its
 * next transaction.
 */
static void on_parameter(struct walk *walk, const uint8_t *message, size_t total)
{
	struct server *server = walk->server;
	const char *name, *value;
	char *last = NULL;

	if (server->settings_lost) {
		size_t at = WIRE_HEADER;
		const char *known = wire_cstr(message, total, &at);

		known = known ? params_get(&server->params, known) : NULL;
		last = known ? strdup(known) : NULL;
	}
	if (!server_note_parameter(server, message + WIRE_HEADER, total - WIRE_HEADER, &name,
							   &value)) {
		part_at(walk, message, "malformed or oversized ParameterStatus");
	} else if (strcmp(name, "application_name") == 0 && strcmp(value, SETTINGS_MARKER) == 0) {
		bool is_known = server->settings_lost;

		server->seal_lost = server->settings_lost = true;
		value = walk->client->startup_settings->application_name;
		show_parameter(walk, message, total, name,
					   is_known && last && strcmp(last, value) == 0 ? NULL : value);
	} else if (!is_tolerable(walk, name, value)) {
		/* It is over. */
	} else if (is_taken_back(walk->client, name, value)) {
		server->settings_lost = false;
		server->needs_discard = true;
		settings_unref(server->settings);
		server->settings = NULL;
	} else if (server->settings_lost) {
		show_startup_value(walk, message, total, name, last);
	} else {
		note_change(walk, name);
	}
	free(last);
}

/* The client gets Bulkhead's own words in place of the server's error. */
static void say_instead(struct walk *walk, const uint8_t *message, size_t total,
						enum reason reason)
{
	struct buf out;

	buf_init(&out);
	if (wire_error(&out, "ERROR", reason, NULL)) {
		swallow(walk, message, total);
		client_send_buf(walk->client, &out);
	}
	buf_fini(&out);
}

static bool keeps_backend(const struct client *client)
{
	return client_is_pinned(client) || client->unnamed_held || client->body_left;
}

/* Last words of a backend that its client is done with, behind the ReadyForQuery in one read:
 * they are nobody's. */
static void end_unnoticed(struct walk *walk, const uint8_t *message)
{
	flush(walk, message);
	server_unlink(walk->server);
	client_is_idle(walk->client);
	server_close(walk->server, "the server ended the connection");
	client_resume(walk->client);
}

static void on_error(struct walk *walk, const uint8_t *message, size_t total)
{
	struct server *server = walk->server;
	const uint8_t *body = message + WIRE_HEADER;
	const char *code = wire_error_field(body, total - WIRE_HEADER, 'C');
	const char *severity = wire_error_field(body, total - WIRE_HEADER, 'V');
	struct buf out;

	buf_init(&out);

	if (severity && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0)) {
		if (!walk->owed && server->status == 'I' && !keeps_backend(walk->client) &&
			!pins_are_in_doubt(&walk->client->pins)) {
			end_unnoticed(walk, message);
			return;
		}
		server->told = true;
	} else if (!walk->owed) {
		walk->disagreed = true;
	}
	if (buf_len(&walk->refusal)) {
		swallow(walk, message, total);
		client_send_buf(walk->client, &walk->refusal);
		return;
	}
	if (!walk->disagreed && !server->told)
		walk->client->pins.failed = true;
	if (walk->failing == REPLY_PARSE && !walk->of_name && server->replies.count <= 1)
		names_forget_unnamed(
			walk->client); /* the server has none either; none was parsed behind */
	if (!code)
		return;
	if (strcmp(code, GUARD_SQLSTATE_NO_CONTEXT) == 0) {
		server->seal_lost = server->settings_lost = true;
		walk->client->worker->counters.contexts_lost++;
		log_event(LOG_WARNING, "context.lost", "tenant", walk->client->tenant->slug, NULL);
		say_instead(walk, message, total, REASON_CONTEXT_LOST);
	} else if (names_translate_error(server, body, total - WIRE_HEADER, &out) ||
			   scrub_error(walk->client, body, total - WIRE_HEADER, &out)) {
		swallow(walk, message, total);
		client_send_buf(walk->client, &out);
	} else if (strcmp(code, FAILOVER_READ_ONLY) == 0) {
		failover_doubt(server);
	} else if (server->watch.blamed && strcmp(code, "57014") == 0) {
		say_instead(walk, message, total, server->watch.blame);
	}
	buf_fini(&out);
}

static bool on_ready(struct server *server, char status)
{
	if (status != 'I' && status != 'T' && status != 'E')
		return false;
	server->status = status;
	server->readies++;
	server->idle_readies += status == 'I';
	server->watch.cancelled = false;
	if (!server->hold)
		server->watch.blamed = false; /* it hit this statement, or none */
	return true;
}

/* A whole message whose body matters. False when the backend has been closed over it. */
static bool look_at(struct walk *walk, const uint8_t *message, size_t total)
{
	struct server *server = walk->server;
	size_t len = total - WIRE_HEADER;

	switch ((char)*message) {
	case 'A':
		swallow(walk, message, total);
		client_send_notification(walk->client, message, total);
		break;
	case 'C':
		on_command_complete(walk, message, total);
		break;
	case 'S':
		on_parameter(walk, message, total);
		break;
	case 'E':
		on_error(walk, message, total);
		if (walk->disagreed)
			return part_at(walk, message, "an error that nothing was asked for");
		break;
	case 'Z':
		if (len != 1 || !on_ready(server, (char)message[WIRE_HEADER]))
			return part_at(walk, message, "malformed ReadyForQuery");
		break;
	default:
		break;
	}
	return server->state == SERVER_LINKED && walk->client->state == CLIENT_LINKED;
}

/* What a server may send at any time, and of what the body matters, by the message's type. */
enum { UNASKED = 1, LOOKED_AT = 2 };

static const uint8_t answers[256] = {
	['N'] = UNASKED,
	['A'] = UNASKED | LOOKED_AT,
	['S'] = UNASKED | LOOKED_AT,
	['D'] = UNASKED,
	['C'] = LOOKED_AT,
	['E'] = LOOKED_AT,
	['Z'] = LOOKED_AT,
	['d'] = UNASKED,
};

static void take_refusal(struct walk *walk, const uint8_t *message, const uint8_t *end,
						 uint64_t total)
{
	size_t visible =
		total < (uint64_t)(end - message) ? (size_t)total : (size_t)(end - message);

	names_take_refusal(walk->server, message + WIRE_HEADER, visible - WIRE_HEADER,
					   &walk->refusal);
}

/* Accounts for one message, which is there up to `end` or as a whole. False when the backend
 * has been closed over it. */
static bool account(struct walk *walk, const uint8_t *message, const uint8_t *end,
					uint64_t total, bool *ours)
{
	struct server *server = walk->server;

	*ours = false;
	walk->tag = NULL;
	buf_fini(&walk->refusal);
	if (total < WIRE_HEADER || total > (uint64_t)INT32_MAX)
		return part_at(walk, message, "message length out of range");
	if (answers[*message] & UNASKED)
		return true;
	if (*message == 'E') {
		take_refusal(walk, message, end, total);
		walk->owed = !replies_is_empty(&server->replies);
		walk->failing = replies_next(&server->replies);
		walk->of_name = replies_next_note(&server->replies) != NULL;
		if (walk->failing != REPLY_QUERY && replies_skip_statement(&server->replies))
			names_skipped(walk->client);
	}
	if (*message == 'C') {
		struct reply_note *note = replies_next_note(&server->replies);

		walk->tag = note ? names_completed(server, note) : NULL;
	}
	if (!replies_answered(&server->replies, (char)*message, ours))
		return part_at(walk, message, "an answer that nothing was asked for");
	return true;
}

static size_t walk_over(struct walk *walk, const uint8_t *data, size_t len)
{
	struct server *server = walk->server;
	const uint8_t *at = data, *end = data + len;

	if (server->body_left) {
		size_t part = len < server->body_left ? len : (size_t)server->body_left;

		server->body_left -= part;
		at += part;
		if (server->body_is_ours)
			walk->run = at;
	}
	while (end - at >= WIRE_HEADER) {
		uint64_t total = 1 + (uint64_t)wire_u32(at + 1);
		bool whole = total <= (uint64_t)(end - at), ours;
		bool describes = (*at == 'T' || *at == 'n') && names_awaits_description(server);

		if (!whole && total <= WIRE_INSPECT_MAX &&
			((answers[*at] & LOOKED_AT) || describes || total < 64))
			break; /* more of it comes with the next read */
		if (describes)
			names_described(server, at, whole ? (size_t)total : 0);
		if (!account(walk, at, end, total, &ours))
			return len;
		if (ours) {
			swallow(walk, at, whole ? (size_t)total : (size_t)(end - at));
			if (*at == 'Z' && !on_ready(server, (char)at[WIRE_HEADER])) {
				part_at(walk, at + total, "malformed ReadyForQuery");
				return len;
			}
		} else if (whole && (answers[*at] & LOOKED_AT) && !look_at(walk, at, (size_t)total))
			return len;
		if (!whole) {
			server->body_left = total - (uint64_t)(end - at);
			server->body_is_ours = ours;
			at = end;
			break;
		}
		at += total;
	}
	flush(walk, at);
	if (stream_is_full(&walk->client->stream))
		stream_read_off(&server->stream);
	return (size_t)(at - data);
}

size_t relay_from_server(struct server *server, const uint8_t *data, size_t len)
{
	struct walk walk = {.server = server, .client = server->client, .run = data};
	size_t used = walk_over(&walk, data, len);

	buf_fini(&walk.refusal); /* of an error that was not shown: the backend is gone, say */
	return used;
}

static bool strings_are_standard(const struct server *server)
{
	const char *value = params_get(&server->params, STRINGS);

	return value && strcmp(value, "on") == 0;
}

void relay_settle(struct server *server)
{
	struct client *client = server->client;

	if (server->state != SERVER_LINKED || client->body_left || !server_is_settled(server))
		return;
	names_forget_portals(client);
	if (client->reads_nothing)
		client->reads_nothing = !strings_are_standard(server);
	if (server->settings_lost)
		pins_settings_reset(client);
	if (pins_are_too_many(client))
		client_fatal(client, REASON_TENANT_PINS, NULL);
	else if (pins_are_to_be_asked(client) && !server->cancels) /* else one could hit that */
		handover_ask(server);
	else if (!keeps_backend(client) && !pins_are_in_doubt(&client->pins))
		server_release(server);
	else if (server->seal_lost || client->settings_are_ordered)
		handover_restore(server);
	else if (client->worker->heeds_idle && drain_is_on(client->worker))
		drain_look_later(client);
}

/*
 * Some drivers parse and describe with a Flush, and send the Sync with what they execute, much
 * later. Such a batch is ended here, so that the backend is free in the meantime.
 */
static void end_batch(struct server *server)
{
	static const uint8_t sync[] = {'S', 0, 0, 0, 4};

	if (server->status != 'I' || server->client->body_left || server->client->stalled ||
		keeps_backend(server->client) || !replies_may_end_batch(&server->replies) ||
		!replies_push(&server->replies, REPLY_SYNC | REPLY_OURS))
		return;
	server->replies.batch = false;
	server_send(server, sync, sizeof sync);
}

void relay_go_on(struct server *server)
{
	struct client *client = server->client;

	end_batch(server);
	if (client->stalled && client->barrier != BARRIER_ANSWER &&
		server->replies.count < REPLIES_HIGH / 2)
		client_resume(client);
}
