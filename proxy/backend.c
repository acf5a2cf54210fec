/*
 * From a connected socket to a backend that may be used: startup packet, authentication, the
 * server's parameters. The self-check at the end is in backend_check.c.
 *
 * Source: PostgreSQL documentation, "Frontend/Backend Protocol", sections "Start-up" and "SASL
 * Authentication". What the server sends here is bounded, since a server too may be hostile.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "conf/conf.h"
#include "proxy/backend_internal.h"
#include "proxy/client.h"
#include "proxy/failover.h"
#include "proxy/md5auth.h"
#include "proxy/pool.h"
#include "proxy/scram.h"
#include "proxy/server.h"
#include "proxy/settings.h"
#include "proxy/startup.h"
#include "proxy/tls.h"
#include "proxy/wire.h"
#include "proxy/worker.h"

/* Messages that a server may send before it is ready; a flood of notices ends the attempt. */
#define LOGIN_MESSAGES_MAX 256

void backend_login_free(struct server *server)
{
	struct backend_login *login = server->login;

	if (!login)
		return;
	if (login->scram_begun)
		scram_client_fini(&login->scram);
	secret_free(login->password);
	free(login->failure);
	free(login);
	server->login = NULL;
}

const char *backend_failure(const struct server *server)
{
	return server->login ? server->login->failure : NULL;
}

enum reason backend_failure_reason(const struct server *server)
{
	return server->login && server->login->failure ? server->login->reason
												   : REASON_BACKEND_DOWN;
}

void backend_keep_no_keys(struct server *server)
{
	if (server->login && server->login->scram_begun)
		server->login->scram.cache = NULL;
}

void backend_fail(struct server *server, enum reason reason, const char *what)
{
	if (!server->login->failure) {
		server->login->failure = strdup(what);
		server->login->reason = reason;
	}
	server_close(server, what);
}

/* ---- startup ---- */

/*
 * The packet holds only what Bulkhead pins: what RESET ALL and DISCARD ALL return to. Clients'
 * settings are replayed as SETs, so that every backend of a route is the same.
 */
static bool append_startup(const struct pool *pool, struct buf *out)
{
	const char *const pairs[][2] = {
		{"user", pool_login(pool)},
		{"database", pool_database(pool)},
		{"application_name", SETTINGS_MARKER},
		{"standard_conforming_strings", "on"},
		{"backslash_quote", "safe_encoding"},
		{"search_path", pool->key.kind == ROUTE_SCHEMA ? pool->own : NULL},
	};
	size_t mark;

	if (!wire_begin(out, 0, &mark) || !buf_append_u32(out, WIRE_VERSION_3_0))
		return false;
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		if (!pairs[i][1])
			continue;
		if (!buf_append_cstr(out, pairs[i][0]) || !buf_append_cstr(out, pairs[i][1]))
			return false;
	}
	return buf_append_byte(out, 0) && wire_end(out, mark);
}

void backend_send(struct server *server, struct buf *out, bool complete)
{
	if (!complete)
		backend_fail(server, REASON_MEMORY, "out of memory");
	else
		server_send(server, buf_data(out), buf_len(out));
	buf_wipe(out);
}

static void send_startup(struct server *server)
{
	struct buf out;

	buf_init(&out);
	backend_send(server, &out, append_startup(server->pool, &out));
}

void backend_connected(struct server *server)
{
	server->login = calloc(1, sizeof *server->login);
	if (!server->login) {
		server_close(server, "out of memory");
		return;
	}
	server->state = SERVER_LOGIN;
	server->login->asks_for_tls = server->wants_tls;
	if (server->wants_tls)
		server_send(server, wire_ssl_request, sizeof wire_ssl_request);
	else
		send_startup(server);
}

/* Nothing but a failure of TLS itself is held against TLS: what the server says after that is
 * its answer. */
bool backend_lost(struct server *server, const char *why)
{
	if (server->login->messages || !server->stream.ssl || !server_try_other(server))
		return false;
	log_event(LOG_INFO, "backend.tls_failed", "cluster", server->pool->cluster->name, "why",
			  why, NULL);
	return true;
}

static void start_tls(struct server *server)
{
	struct ssl_st *ssl = server_make_tls(server);

	if (ssl && stream_start_tls(&server->stream, ssl, NULL, 0))
		send_startup(server);
	else
		backend_fail(server, REASON_MEMORY, "TLS cannot be begun");
}

/*
 * The one byte that answers SSLRequest. Anything behind it was not sent by the server that we
 * are about to know (CVE-2021-23222); an error message in its place proves nothing, and its
 * text is nobody's (CVE-2024-10977).
 */
static void on_tls_answer(struct server *server, const uint8_t *data, size_t len)
{
	server->login->asks_for_tls = false;
	if (len > 1 && *data != 'E')
		backend_fail(server, REASON_BACKEND_DOWN,
					 "bytes behind the server's answer to SSLRequest");
	else if (*data == 'S')
		start_tls(server);
	else if (*data == 'N' && server_may_be_plain(server))
		send_startup(server);
	else if (*data == 'N')
		backend_fail(server, REASON_BACKEND_DOWN,
					 "the server has no TLS, and server_tls_sslmode demands it");
	else
		backend_fail(server, REASON_BACKEND_DOWN, "the server's answer to SSLRequest is none");
}

/* ---- authentication ---- */

static void send_password(struct server *server, const char *password)
{
	struct buf out;

	buf_init(&out);
	backend_send(server, &out, wire_message(&out, 'p', password, strlen(password) + 1));
}

static void answer_cleartext(struct server *server)
{
	if (!server->pool->cluster->allow_cleartext)
		backend_fail(
			server, REASON_BACKEND_DOWN,
			"the server asks for the password in clear; set allow_cleartext to permit that");
	else
		send_password(server, server->login->password);
}

static void answer_md5(struct server *server, const uint8_t *salt, size_t len)
{
	char answer[36];

	if (len != 4 ||
		!md5auth_response(pool_login(server->pool), server->login->password, salt, answer)) {
		backend_fail(server, REASON_BACKEND_DOWN,
					 "the server's md5 request cannot be answered");
		return;
	}
	send_password(server, answer);
	secret_wipe(answer, sizeof answer);
}

static bool offers(const uint8_t *list, size_t len, const char *name)
{
	size_t at = 0;
	const char *mechanism;

	while ((mechanism = wire_cstr(list, len, &at)) != NULL && *mechanism) {
		if (strcmp(mechanism, name) == 0)
			return true;
	}
	return false;
}

static void begin_scram(struct server *server, const uint8_t *list, size_t len)
{
	struct backend_login *login = server->login;
	struct scram_binding binding = {.len = 0};
	struct buf first, out;
	size_t mark;

	if (server->stream.ssl)
		binding.len = tls_end_point(server->stream.ssl, false, binding.data);
	bool offered = offers(list, len, SCRAM_MECHANISM_PLUS), plus = binding.len && offered;

	/* Who stands in between could choose a certificate to which nothing can be bound. */
	if (server->stream.ssl && !binding.len && offered &&
		server->pool->cluster->tls_mode < SSLMODE_VERIFY_FULL) {
		backend_fail(server, REASON_BACKEND_DOWN,
					 "the server's certificate has no hash for channel binding");
		return;
	}
	if (login->scram_begun || (!plus && !offers(list, len, SCRAM_MECHANISM))) {
		backend_fail(server, REASON_BACKEND_DOWN,
					 "the server offers no SASL mechanism that Bulkhead has");
		return;
	}
	scram_client_init(&login->scram, login->password,
					  pool_keeps_keys(server->pool, server->passwords) ? &server->pool->scram
																	   : NULL);
	login->scram_begun = true;
	if (binding.len || (server->stream.ssl && !offered))
		scram_client_bind(&login->scram, &binding, plus);
	buf_init(&first);
	buf_init(&out);
	bool ok = scram_client_first(&login->scram, &first) && wire_begin(&out, 'p', &mark) &&
			  buf_append_cstr(&out, plus ? SCRAM_MECHANISM_PLUS : SCRAM_MECHANISM) &&
			  buf_append_u32(&out, (uint32_t)buf_len(&first)) &&
			  buf_append(&out, buf_data(&first), buf_len(&first)) && wire_end(&out, mark);
	buf_wipe(&first);
	backend_send(server, &out, ok);
}

static void step_scram(struct server *server, const uint8_t *data, size_t len, bool is_final)
{
	struct backend_login *login = server->login;
	struct buf answer, out;

	if (!login->scram_begun) {
		backend_fail(server, REASON_BACKEND_DOWN, "a SASL message out of turn");
		return;
	}
	buf_init(&answer);
	buf_init(&out);
	switch (scram_client_step(&login->scram, data, len, &answer)) {
	case SCRAM_CONTINUE:
		if (is_final)
			backend_fail(server, REASON_BACKEND_DOWN, "a SASL message out of turn");
		else
			backend_send(server, &out,
						 wire_message(&out, 'p', buf_data(&answer), buf_len(&answer)));
		break;
	case SCRAM_DONE:
		login->server_proved = is_final;
		if (!is_final)
			backend_fail(server, REASON_BACKEND_DOWN, "a SASL message out of turn");
		break;
	case SCRAM_WRONG:
		backend_fail(server, REASON_BACKEND_DOWN,
					 "the server does not know the password it asked for");
		break;
	case SCRAM_UNBOUND: /* said by servers alone */
	case SCRAM_INVALID:
		backend_fail(server, REASON_BACKEND_DOWN, "malformed SCRAM message from the server");
		break;
	}
	buf_wipe(&answer);
}

static const char *why_no_password(const struct pool *pool)
{
	if (route_has_own_login(&pool->key) && pool->cluster->secret)
		return "the server asks for a password and the cluster's secret has no key for this "
			   "login";
	return "the server asks for a password and none is configured";
}

static void on_authentication(struct server *server, const struct server_message *message)
{
	struct backend_login *login = server->login;

	if (message->len < 4) {
		backend_fail(server, REASON_BACKEND_DOWN, "malformed authentication request");
		return;
	}
	uint32_t request = wire_u32(message->body);
	const uint8_t *data = message->body + 4;
	size_t len = message->len - 4;

	if (request != AUTH_OK && !login->password)
		login->password =
			pool_password(server->pool, server->passwords, &server->password_first);
	if (request != AUTH_OK && !login->password) {
		backend_fail(server, REASON_BACKEND_DOWN, why_no_password(server->pool));
		return;
	}
	switch (request) {
	case AUTH_OK:
		/* A server that skips its own proof is not the one that knows the password. */
		if (login->scram_begun && !login->server_proved)
			backend_fail(server, REASON_BACKEND_DOWN,
						 "the server ended SCRAM without proving itself");
		else
			login->authenticated = true;
		break;
	case AUTH_CLEARTEXT:
		answer_cleartext(server);
		break;
	case AUTH_MD5:
		answer_md5(server, data, len);
		break;
	case AUTH_SASL:
		begin_scram(server, data, len);
		break;
	case AUTH_SASL_CONTINUE:
	case AUTH_SASL_FINAL:
		step_scram(server, data, len, request == AUTH_SASL_FINAL);
		break;
	default:
		backend_fail(server, REASON_BACKEND_DOWN,
					 "the server asks for an authentication that Bulkhead lacks");
	}
}

/* ---- messages ---- */

/* Was it the password, and is there another one to try? */
static bool try_other_password(struct server *server, const char *code)
{
	char *next;

	if (server->state != SERVER_LOGIN || !code || strcmp(code, "28P01") != 0 ||
		!server->login->password || !route_has_own_login(&server->pool->key))
		return false;
	next = pool_password(server->pool, server->passwords + 1, &server->password_first);
	if (!next)
		return false;
	secret_free(next);
	server->passwords++;
	server_connect_again(server);
	return true;
}

/* An end that came from outside (classes 53 and 57: out of resources, cancelled, shutting down)
 * says nothing about how safe the server is. */
static bool is_interruption(const char *code)
{
	return code && (strncmp(code, "57", 2) == 0 || strncmp(code, "53", 2) == 0);
}

/* It is starting up, shutting down, or has crashed: what libpq, too, tries another host for. */
static bool is_away(const char *code)
{
	return code && (strcmp(code, "57P01") == 0 || strcmp(code, "57P02") == 0 ||
					strcmp(code, "57P03") == 0);
}

/*
 * A role may end its own sessions, and own so much that the self-check takes long: once its
 * login has succeeded, neither says anything of the host, or a tenant could send all others to
 * another one.
 */
static bool may_be_its_own_doing(const struct server *server)
{
	return server->login && server->login->authenticated &&
		   route_has_own_login(&server->pool->key);
}

/* If it is the host after all, the next attempt there shows it where the session begins. */
static bool try_same_host(struct server *server)
{
	if (server->tried_again || server->worker->stopping)
		return false;
	server->tried_again = true;
	server_hurry(server);
	server_connect_again(server);
	return true;
}

bool backend_try_on(struct server *server, const char *why)
{
	return may_be_its_own_doing(server) ? try_same_host(server)
										: server_try_next_host(server, why);
}

static void on_error(struct server *server, const struct server_message *message)
{
	const char *code = wire_error_field(message->body, message->len, 'C');
	const char *text = wire_error_field(message->body, message->len, 'M');

	if (server->state == SERVER_CHECK && !server->login->probe_done && code &&
		strcmp(code, GUARD_PROBE_SQLSTATE) == 0) {
		server->login->probe_refused = true;
		return;
	}
	bool is_verdict = server->state == SERVER_CHECK && !is_interruption(code);

	/* Its first word: pg_hba.conf may have nothing for connections of this kind. */
	if (server->state == SERVER_LOGIN && server->login->messages == 1 &&
		server_try_other(server))
		return;
	if (is_away(code) && backend_try_on(server, text ? text : "it is shutting down"))
		return;
	if (try_other_password(server, code))
		return;

	backend_fail(server, is_verdict ? REASON_BACKEND_UNSAFE : REASON_BACKEND_DOWN,
				 text ? text : "an error without a message");
}

static void on_key_data(struct server *server, const struct server_message *message)
{
	if (message->len < 8 || message->len - 4 > sizeof server->cancel_key) {
		backend_fail(server, REASON_BACKEND_DOWN, "malformed BackendKeyData");
		return;
	}
	server->pid = wire_u32(message->body);
	server->cancel_key_len = message->len - 4;
	memcpy(server->cancel_key, message->body + 4, server->cancel_key_len);
}

static void on_ready(struct server *server, const struct server_message *message)
{
	if (message->len != 1 || message->body[0] != 'I' || !server->login->authenticated) {
		backend_fail(server, REASON_BACKEND_DOWN, "ReadyForQuery out of turn");
		return;
	}
	server->status = 'I';
	if (server->state == SERVER_CHECK)
		backend_check_done(server);
	else if (server_is_wanted(server))
		backend_check_begin(server);
}

static void on_message(struct server *server, const struct server_message *message)
{
	const char *name, *value;

	switch (message->type) {
	case 'R':
		if (server->state == SERVER_LOGIN && !server->login->authenticated)
			on_authentication(server, message);
		else
			backend_fail(server, REASON_BACKEND_DOWN, "an authentication request out of turn");
		break;
	case 'S':
		if (!server_note_parameter(server, message->body, message->len, &name, &value))
			backend_fail(server, REASON_BACKEND_DOWN, "malformed or oversized ParameterStatus");
		break;
	case 'K':
		on_key_data(server, message);
		break;
	case 'E':
		on_error(server, message);
		break;
	case 'Z':
		on_ready(server, message);
		break;
	case 'D':
		if (server->state == SERVER_CHECK && server->login->probe_done)
			backend_check_row(server, message);
		else
			backend_fail(server, REASON_BACKEND_UNSAFE, "a row that was not asked for");
		break;
	case 'N':
	case 'A':
	case 'C':
	case 'T':
	case 'v':
		break;
	default:
		backend_fail(server, REASON_BACKEND_DOWN, "an unexpected message during login");
	}
}

size_t backend_consume(struct server *server, const uint8_t *data, size_t len)
{
	struct server_message message;

	if (server->login->asks_for_tls) {
		on_tls_answer(server, data, len);
		return len;
	}
	size_t used = server_next_message(server, data, len, &message);
	if (used && ++server->login->messages > LOGIN_MESSAGES_MAX)
		backend_fail(server, REASON_BACKEND_DOWN, "too many messages during login");
	else if (used)
		on_message(server, &message);
	return server->state == SERVER_CONNECTING ? len : used; /* another attempt has begun */
}
