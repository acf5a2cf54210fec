/*
 * Putting a backend into the context of the client it is about to serve.
 *
 * Up to five exchanges, each ended by its own ReadyForQuery:
 *
 *	DISCARD   what DISCARD ALL does, when something of an earlier client may be left
 *	ENTER     `SELECT bulkhead.enter(…)`, when the backend is not in the tenant's context
 *	SETTINGS  SETs and RESETs, when the applied settings are not the client's
 *	BEGIN     the transaction that the client was told has begun
 *	FAIL      what makes it fail, where the client was told that it has
 *
 * Every exchange is waited for before one byte of the client's goes out: bytes sent behind a
 * DISCARD ALL that fails (a statement timeout that somebody left, a late cancel) would run in
 * the previous tenant's context. Any surprise closes the backend, and the client gets another
 * one. Nothing of these exchanges is shown to the client: an error's context could hold the
 * mac.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "conf/conf.h"
#include "policy/session.h"
#include "proxy/client.h"
#include "proxy/failover.h"
#include "proxy/handover_internal.h"
#include "proxy/pins.h"
#include "proxy/pool.h"
#include "proxy/server.h"
#include "proxy/settings.h"
#include "proxy/wire.h"
#include "proxy/worker.h"

/* ---- its course ---- */

/* The client's statement was cancelled in the meantime. A transaction that has begun here is
 * begun anew, and made to fail, on another backend. */
static bool give_up(struct server *server)
{
	struct client *client = server->client;
	bool is_cancelled = client->is_cancelled;

	client->is_cancelled = false;
	if (!is_cancelled || client_is_pinned(client) || client->unnamed_held ||
		pins_are_in_doubt(&client->pins) || client->has_failed)
		return false;
	server_unlink(server);
	if (client->held_count)
		server_close(server, "its client's statement was cancelled before it began");
	else
		server_give_back(server);
	local_give_up(client, REASON_CANCELLED);
	return true;
}

/* The backend is in the client's context: from here on the bytes are the client's. */
static void finish(struct server *server)
{
	struct client *client = server->client;

	server_on_time(server);
	server->state = SERVER_LINKED;
	if (!pool_is_sealed(server->pool)) {
		server->seal_lost = false;
		if (!server->tenant)
			server_set_tenant(server, client);
	}
	if (client->state == CLIENT_WELCOME) {
		pool_add_welcome(server->pool, client->settings, &server->params);
		login_welcome(client, &server->params);
		if (server->client == client)
			server_release(server);
		client_resume(client);
		return;
	}
	if (give_up(server))
		return;
	local_clear_held(client);
	list_append(&server->worker->linked, &server->linked_node);
	client->state = CLIENT_LINKED;
	if (server->worker->conf->pool_mode == POOL_SESSION)
		pins_add(client, PIN_MODE);
	client_resume(client);
}

/* Sends what is due next; with nothing due the backend is the client's. */
static void advance(struct server *server)
{
	struct buf out;

	server->step_count = server->step_at = 0;
	server->step_ok = false;
	if (handover_needs_enter(server) &&
		!guard_keyring_signs_for(server->worker->keyring, &server->client->tenant->id)) {
		client_fatal(server->client, REASON_KEY, NULL);
		return;
	}
	buf_init(&out);
	if (!handover_append_due(server, &out)) {
		buf_wipe(&out);
		server_close(server, "out of memory");
		return;
	}
	if (server->step_count) {
		server->unnamed_id = 0;
		server_hurry(server);
		server_send(server, buf_data(&out), buf_len(&out));
		buf_wipe(&out);
	} else {
		histogram_record(&server->pool->stats.handover,
						 clock_monotonic_us() - server->handover_since_us);
		finish(server);
	}
}

/* The common case: the backend stayed with its tenant, and the client's settings are applied.
 */
static bool nothing_is_due(const struct server *server)
{
	return !server->client->held_count && !handover_needs_settings(server) &&
		   !handover_needs_enter(server) && !server->needs_discard;
}

void handover_start(struct server *server, struct client *client)
{
	server->state = SERVER_PREPARING;
	server_link(server, client);
	server->begun = 0;
	server->told = false;
	if (nothing_is_due(server)) {
		finish(server);
		return;
	}

	/* A value that is not plain is sent only where no earlier client can have set the encoding.
	 */
	if (!client->settings->is_plain && server->settings && server->settings != client->settings)
		server->needs_discard = true;
	if (handover_needs_enter(server) || handover_needs_discard(server))
		server->pool->stats.handovers++;
	server->handover_since_us = clock_monotonic_us();
	advance(server);
}

void handover_restore(struct server *server)
{
	server->worker->counters.reseals++;
	list_remove(&server->linked_node);
	stream_read_on(&server->stream);
	server->state = SERVER_PREPARING;
	server->client->state = CLIENT_WAITING;
	server->client->settings_are_ordered = false;
	if (server->settings_lost) {
		settings_unref(server->settings);
		server->settings = NULL;
		server->settings_lost = false;
	}
	/* What the client has in its session is its own; it is discarded when the client leaves. */
	server->needs_discard = false;
	server->begun = 0;
	server->handover_since_us = clock_monotonic_us();
	advance(server);
}

void handover_ask(struct server *server)
{
	struct client *client = server->client;
	struct buf out;

	list_remove(&server->linked_node);
	stream_read_on(&server->stream);
	server->state = SERVER_PREPARING;
	client->state = CLIENT_WAITING;
	server->step_count = server->step_at = 0;
	server->step_ok = false;
	server->unnamed_id = 0;
	handover_add_step(server, STEP_STATE);
	buf_init(&out);
	if (!pins_append_question(client, &out)) {
		server_close(server, "out of memory");
		return;
	}
	server_hurry(server);
	server_send(server, buf_data(&out), buf_len(&out));
	buf_fini(&out);
}

/* What the client has left is known: the backend is released, or stays. */
static void state_known(struct server *server)
{
	server_on_time(server);
	server->state = SERVER_LINKED;
	server->client->is_cancelled = false; /* nothing ran */
	server->client->state = CLIENT_LINKED;
	list_append(&server->worker->linked, &server->linked_node);
	relay_settle(server);
	if (server->state == SERVER_LINKED)
		client_resume(server->client);
}

void handover_clean(struct server *server)
{
	struct buf out;

	server->state = SERVER_CLEANING;
	server->needs_discard = true;
	server->step_count = server->step_at = 0;
	server->step_ok = false;
	server->unnamed_id = 0;
	handover_add_step(server, STEP_DISCARD);
	replies_clear(&server->replies);
	buf_init(&out);
	if (!wire_query(&out, guard_discard_sql)) {
		server_close(server, "out of memory");
		return;
	}
	server_hurry(server);
	server_send(server, buf_data(&out), buf_len(&out));
	buf_fini(&out);
}

void handover_doubt(struct server *server)
{
	static const char role_sql[] = "SHOW transaction_read_only";
	struct buf out;

	handover_clean(server);
	if (server->state != SERVER_CLEANING)
		return;
	handover_add_step(server, STEP_ROLE);
	buf_init(&out);
	if (wire_query(&out, role_sql))
		server_send(server, buf_data(&out), buf_len(&out));
	else
		server_close(server, "out of memory");
	buf_fini(&out);
}

/* ---- answers ---- */

/* The one row of SHOW. */
static bool is_off(const struct server_message *message)
{
	return message->len == 6 + 3 && wire_u16(message->body) == 1 &&
		   wire_u32(message->body + 2) == 3 && memcmp(message->body + 6, "off", 3) == 0;
}

static void surprise(struct server *server, const char *what)
{
	log_event(LOG_WARNING, "handover.failed", "step", what, "cluster",
			  server->pool->cluster->name, "tenant",
			  server->client ? server->client->tenant->slug : NULL, NULL);
	server_close(server, what);
}

/* The one row of enter: it must be the seal of the tenant that was asked for, byte by byte. */
static bool is_seal(const struct server *server, const struct server_message *message)
{
	const char *seal = server->client->tenant->seal;
	size_t len = strlen(seal);

	return message->len == 6 + len && wire_u16(message->body) == 1 &&
		   wire_u32(message->body + 2) == len && memcmp(message->body + 6, seal, len) == 0;
}

/* The one row of a function that returns nothing: one column, with an empty text. */
static bool is_void(const struct server_message *message)
{
	return message->len == 6 && wire_u16(message->body) == 1 && !wire_u32(message->body + 2);
}

static void step_discarded(struct server *server)
{
	server_set_tenant(server, NULL);
	settings_unref(server->settings);
	server->settings = NULL;
	backend_statements_clear(&server->statements);
	server->needs_discard = server->seal_lost = server->settings_lost = false;
}

static void step_entered(struct server *server)
{
	server_set_tenant(server, server->client);
	server->seal_lost = false;
}

static void step_set(struct server *server)
{
	if (server->step_at + 1 < server->step_count &&
		server->steps[server->step_at + 1] == STEP_SETTINGS)
		return; /* that was the encoding alone */
	settings_unref(server->settings);
	server->settings = settings_ref(server->client->settings);
}

/* A setting that the server refuses is the client's own mistake: it is told, the backend is as
 * before. */
static void refuse_settings(struct server *server)
{
	struct client *client = server->client;
	uint8_t *body = buf_data(&server->step_error);
	size_t len = buf_len(&server->step_error);
	const char *code = wire_error_field(body, len, 'C'),
			   *text = wire_error_field(body, len, 'M'),
			   *detail = wire_error_field(body, len, 'D');

	server_on_time(server);
	server_unlink(server);
	if (client_is_pinned(client) || client->unnamed_held)
		server->needs_discard = true; /* it had a session here, which was to be restored */
	client_fatal_text(client, code ? code : "22023", text ? text : "a setting was refused",
					  detail);
	buf_fini(&server->step_error);

	/* BEGINs may already be under way behind the SETs: their answers are not waited for. */
	if (server->step_at + 1 < server->step_count)
		server_close(server, "its client's settings were refused");
	else
		server_give_back(server);
}

/* The server would not begin the transaction that the client was told has begun. */
static void refuse_begin(struct server *server)
{
	struct client *client = server->client;
	const char *code =
		wire_error_field(buf_data(&server->step_error), buf_len(&server->step_error), 'C');

	/* A late cancel of this client's own earlier statement: another attempt is all it takes. */
	if (code && strcmp(code, "57014") == 0) {
		surprise(server, "BEGIN was cancelled");
		return;
	}
	const char *text =
		wire_error_field(buf_data(&server->step_error), buf_len(&server->step_error), 'M');
	server_unlink(server);
	client_fatal_text(client, code ? code : "08006",
					  text ? text : "the transaction could not begin", NULL);
	server_close(server, "BEGIN failed");
}

static char status_behind(enum handover_step step)
{
	if (step == STEP_FAIL)
		return 'E';
	return step == STEP_BEGIN ? 'T' : 'I';
}

static void step_done(struct server *server, char status)
{
	enum handover_step step = server->steps[server->step_at];
	bool failed = buf_len(&server->step_error) > 0;

	if (step == STEP_STATE && status == 'I') {
		if (failed || !server->step_ok)
			pins_not_known(server->client);
		buf_fini(&server->step_error);
		state_known(server);
		return;
	}
	if (failed && step == STEP_SETTINGS && status == 'I') {
		refuse_settings(server);
		return;
	}
	if (failed && step == STEP_BEGIN) {
		refuse_begin(server);
		return;
	}
	if (step == STEP_FAIL) {
		server->step_ok = failed;
		buf_fini(&server->step_error);
		failed = false;
	}
	if (failed || !server->step_ok || status != status_behind(step)) {
		surprise(server, "unexpected answer");
		return;
	}
	server->status = status;
	switch (step) {
	case STEP_DISCARD:
		step_discarded(server);
		break;
	case STEP_ENTER:
		step_entered(server);
		break;
	case STEP_SETTINGS:
		step_set(server);
		break;
	case STEP_BEGIN:
		server->begun++;
		break;
	case STEP_ROLE:
		failover_trust(server);
		break;
	case STEP_FAIL:
	case STEP_STATE:
		break;
	}
	server->step_ok = false;
	if (++server->step_at < server->step_count)
		return;
	if (server->state == SERVER_CLEANING) {
		server_on_time(server);
		server_give_back(server);
	} else {
		advance(server);
	}
}

static bool step_has_row(enum handover_step step)
{
	return step == STEP_ENTER || step == STEP_STATE || step == STEP_ROLE;
}

/* Is this the CommandComplete that the step is waiting for? Discarding has several. */
static bool completes(enum handover_step step, const struct server_message *message)
{
	if (step_has_row(step))
		return false; /* its row counts */
	if (step != STEP_DISCARD)
		return true;
	return message->len && !message->body[message->len - 1] &&
		   guard_clears((const char *)message->body);
}

static void on_answer(struct server *server, const struct server_message *message)
{
	enum handover_step step = server->steps[server->step_at];

	switch (message->type) {
	case 'C':
		server->step_ok = completes(step, message) || (step_has_row(step) && server->step_ok);
		break;
	case 'T':
		if (step != STEP_DISCARD && step != STEP_STATE && step != STEP_ROLE)
			surprise(server, "an unexpected message");
		break;
	case 'D':
		if (step == STEP_DISCARD && is_void(message))
			break;
		if (step == STEP_STATE) {
			server->step_ok = pins_take_answer(server->client, message->body, message->len);
			break;
		}
		if (step == STEP_ROLE) {
			server->step_ok = is_off(message);
			if (!server->step_ok)
				server_close(server, "its server has become read-only");
			break;
		}
		server->step_ok = step == STEP_ENTER && is_seal(server, message);
		if (!server->step_ok)
			surprise(server, step == STEP_ENTER ? "enter answered something else"
												: "a row that nothing was asked for");
		break;
	case '1':
	case '2':
		if (step != STEP_ENTER)
			surprise(server, "an answer that nothing was asked for");
		break;
	case 'E':
		if (step == STEP_DISCARD || step == STEP_ENTER)
			surprise(server, step == STEP_DISCARD ? "discarding failed" : "enter was refused");
		else if (!buf_len(&server->step_error) &&
				 !buf_append(&server->step_error, message->body, message->len))
			server_close(server, "out of memory");
		break;
	case 'Z':
		if (message->len != 1)
			surprise(server, "malformed ReadyForQuery");
		else
			step_done(server, (char)message->body[0]);
		break;
	default:
		surprise(server, "an unexpected message");
	}
}

/* Is a notification for the client, whose LISTEN may be on this backend? Not before it has had
 * a transaction there. */
static bool listens(const struct server *server)
{
	return server->state == SERVER_PREPARING &&
		   (client_is_pinned(server->client) || pins_are_in_doubt(&server->client->pins));
}

size_t handover_consume(struct server *server, const uint8_t *data, size_t len)
{
	struct server_message message;
	const char *name, *value;
	size_t used = server_next_message(server, data, len, &message);

	if (!used)
		return 0;
	switch (message.type) {
	case 'N':
		break;
	case 'A':
		if (listens(server))
			client_send_notification(server->client, data, used);
		break;
	case 'S':
		if (!server_note_parameter(server, message.body, message.len, &name, &value))
			server_close(server, "malformed or oversized ParameterStatus");
		break;
	default:
		if (server->state == SERVER_PREPARING || server->state == SERVER_CLEANING)
			on_answer(server, &message);
		else
			server_close(server, message.type == 'E' ? "the server ended the connection"
													 : "a message that nothing was asked for");
	}
	return used;
}
