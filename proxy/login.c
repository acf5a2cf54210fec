/*
 * From a client's first byte to its first ReadyForQuery.
 *
 * Source: PostgreSQL documentation, "Frontend/Backend Protocol", sections "Start-up" and "SASL
 * Authentication". What a stranger may learn before it has proved who it is: nothing but that
 * its password does not fit. Unknown, disabled and expired principals go through the same
 * exchange.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/client.h"
#include "proxy/client_log.h"
#include "proxy/console.h"
#include "proxy/drain.h"
#include "proxy/limits.h"
#include "proxy/login_internal.h"
#include "proxy/pool.h"
#include "proxy/seen.h"
#include "proxy/server.h"
#include "proxy/service.h"
#include "proxy/settings.h"
#include "proxy/startup.h"
#include "proxy/tls.h"
#include "proxy/wire.h"
#include "proxy/worker.h"
#include "router/selector.h"

void login_free(struct client *client)
{
	struct login *login = client->login;

	if (!login)
		return;
	if (login->pending)
		directory_abandon(login->pending);
	penalty_drop(&login->ticket);
	startup_fini(&login->startup);
	selector_choice_fini(&login->choice);
	if (login->scram_begun)
		scram_server_fini(&login->scram);
	free(login);
	client->login = NULL;
}

void login_refuse(struct client *client, enum reason reason, const char *detail)
{
	client->worker->counters.logins_refused++;
	client_fatal(client, reason, detail);
}

/* ---- the tenant ---- */

static void choose_next_tenant(struct client *client);

/* The pool is known, the password was right: what is missing is what the server would report.
 */
static void ask_for_welcome(struct client *client)
{
	struct login *login = client->login;
	struct gate_refusal refusal;

	if (!gatekeeper_lets_begin(client, login->startup.settings, login->startup.setting_count,
							   &refusal)) {
		login_refuse(client, refusal.reason, refusal.what);
		return;
	}
	client->settings = settings_intern(client->worker->settings, login->startup.settings,
									   login->startup.setting_count);
	if (!client->settings) {
		login_refuse(client, REASON_MEMORY, NULL);
		return;
	}
	client->startup_settings = settings_ref(client->settings);
	if (!gatekeeper_settle_read_only(client)) {
		login_refuse(client, REASON_MEMORY, NULL);
		return;
	}
	const struct params *known = pool_find_welcome(client->pool, client->settings);
	if (known) {
		login_welcome(client, known);
		return;
	}
	client->state = CLIENT_WELCOME;
	pool_request(client);
}

static void find_route(struct client *client)
{
	struct login *login = client->login;
	const struct tenant *tenant = client->tenant;
	struct route_key key;
	enum reason why;

	if (tenant->status != TENANT_ACTIVE) {
		login_refuse(client, REASON_INACTIVE, NULL);
		return;
	}
	if (!route_find(client->worker->conf, tenant, &key, &why)) {
		login_refuse(client, why, NULL);
		return;
	}
	if (!service_is_on(client->worker, tenant)) {
		login_refuse(client, REASON_CLUSTER_DOWN, NULL);
		return;
	}
	if (key.kind == ROUTE_SEALED &&
		!guard_keyring_signs_for(client->worker->keyring, &tenant->id)) {
		login_refuse(client, REASON_KEY, NULL);
		return;
	}
	if (!login->choice.database_taken &&
		strcmp(login->startup.database, client->worker->conf->clusters[key.cluster].database) !=
			0) {
		login_refuse(client, REASON_DATABASE, NULL);
		return;
	}
	if (!limits_admit(client, &why)) {
		login_refuse(client, why, NULL);
		return;
	}
	client->pool = pool_hold(client->worker, &key);
	if (client->pool) {
		client->pool->retired = false;
		pool_note_kid(client->pool, tenant->login_kid);
	}
	client->pool_tenant = client->pool ? pool_tenant_hold(client->pool, tenant) : NULL;
	client->statements.of_tenant =
		client->pool_tenant ? &client->pool_tenant->statement_bytes : NULL;
	if (!client->pool_tenant) {
		login_refuse(client, REASON_MEMORY, NULL);
		return;
	}
	ask_for_welcome(client);
}

/* Takes over the reference. */
static void tenant_found(struct client *client, const struct tenant *tenant)
{
	if (client->tenant && !tenant_is_within(tenant, &client->tenant->id)) {
		tenant_unref(tenant);
		login_refuse(client, REASON_CONFLICT, NULL);
		return;
	}
	tenant_unref(client->tenant);
	client->tenant = tenant;
	gatekeeper_renew(client);
	choose_next_tenant(client);
}

static void tenant_answered(struct client *client, enum directory_result result,
							const struct tenant *tenant)
{
	switch (result) {
	case DIRECTORY_FOUND:
		tenant_found(client, tenant);
		return;
	case DIRECTORY_UNKNOWN:
		login_refuse(client, REASON_UNKNOWN_TENANT, NULL);
		return;
	case DIRECTORY_UNAVAILABLE:
		login_refuse(client, REASON_CONTROL_DOWN, NULL);
		return;
	case DIRECTORY_PENDING:
		client->state = CLIENT_TENANT;
		return;
	}
}

static void on_tenant(void *asker, enum directory_result result, const struct tenant *tenant,
					  const struct principal *principal)
{
	struct client *client = asker;

	(void)principal;
	client->login->pending = NULL;
	tenant_answered(client, result, tenant);
	client_resume(client);
}

static void find_tenant(struct client *client, const char *token)
{
	const struct tenant *tenant = NULL;
	enum directory_result result =
		directory_find_tenant(client->worker->directory, token, client->worker->mailbox,
							  on_tenant, client, &tenant, &client->login->pending);

	tenant_answered(client, result, tenant);
}

/* No selector answered: the listener says whether the principal's home will do. */
static void choose_home(struct client *client)
{
	char id[UUID_HEX_SIZE];

	if (client->listen->unset == UNSET_DENY) {
		login_refuse(client, REASON_NO_TENANT, NULL);
		return;
	}
	client->login->next_token++;
	uuid_hex(&client->principal->home, id);
	find_tenant(client, id);
}

static void choose_next_tenant(struct client *client)
{
	struct login *login = client->login;

	if (login->next_token < login->choice.count)
		find_tenant(client, login->choice.tokens[login->next_token++]);
	else if (!client->tenant)
		choose_home(client);
	else if (!principal_reaches(client->principal, client->tenant))
		login_refuse(client, REASON_REACH, NULL);
	else
		find_route(client);
}

static void begin_console(struct client *client)
{
	const struct startup *startup = &client->login->startup;
	const char *name = NULL;

	/* It may not see, let alone end, what other tenants do. */
	if (login_tls_names_tenants(client)) {
		login_refuse(client, REASON_CERTIFICATE, NULL);
		return;
	}
	for (size_t i = 0; i < startup->setting_count; i++) {
		if (strcmp(startup->settings[i].name, "application_name") == 0)
			name = startup->settings[i].value;
	}
	console_begin(client, name);
}

/* ---- who it is has been shown ---- */

void login_authenticated(struct client *client, struct buf *out)
{
	if (!wire_authentication(out, AUTH_OK, "", 0)) {
		buf_fini(out);
		login_refuse(client, REASON_MEMORY, NULL);
		return;
	}
	client_send_buf(client, out);
	if (console_is_wanted(client->login->startup.database))
		begin_console(client);
	else
		choose_next_tenant(client);
}

bool login_may(const struct principal *principal)
{
	return principal && !principal->disabled && clock_wall_ms() < principal->valid_until_ms;
}

/*
 * That the control database is away is said only after the exchange: before it, the answer
 * would tell strangers which names are known here. Who needs no password has shown that the
 * name is its own, and is told what no other password would change; not which of them it is,
 * unknown, disabled or expired.
 */
enum reason login_why_unknown(const struct client *client)
{
	if (client->login->unavailable)
		return REASON_CONTROL_DOWN;
	return client->trusted ? REASON_LOGIN : REASON_PASSWORD;
}

/* ---- the principal ---- */

static void principal_answered(struct client *client, enum directory_result result,
							   const struct principal *principal)
{
	switch (result) {
	case DIRECTORY_FOUND:
		client->principal = principal;
		break;
	case DIRECTORY_UNKNOWN:
		break;
	case DIRECTORY_UNAVAILABLE:
		client->login->unavailable = true;
		break;
	case DIRECTORY_PENDING:
		client->state = CLIENT_PRINCIPAL;
		return;
	}
	if (!login_tls_names(client, client->login->choice.principal, client->principal)) {
		login_refuse(client, REASON_CERTIFICATE, NULL);
		return;
	}
	/* That it names the principal was proved in the handshake. */
	if (client->listen->auth == AUTH_CERT && !client->is_local)
		client->trusted = client->stream.ssl && client->listen->tls_mode == SSLMODE_VERIFY_FULL;
	if (!client->trusted) {
		login_scram_begin(client);
		return;
	}
	if (!login_may(client->principal)) {
		login_refuse(client, login_why_unknown(client), NULL);
		return;
	}
	struct buf out;
	buf_init(&out);
	login_authenticated(client, &out);
}

static void on_principal(void *asker, enum directory_result result, const struct tenant *tenant,
						 const struct principal *principal)
{
	struct client *client = asker;

	(void)tenant;
	client->login->pending = NULL;
	principal_answered(client, result, principal);
	client_resume(client);
}

/* Splits the user's name and collects what names a tenant. */
static bool choose(struct client *client)
{
	struct login *login = client->login;
	const struct startup *startup = &login->startup;
	enum reason why = REASON_STARTUP;
	char *by_tls = NULL;
	bool done = login_tls_tenant(client, &by_tls, &why);

	if (!done) {
		login_refuse(client, why, NULL);
		return false;
	}
	struct selector_input input = {.user = startup->user,
								   .database =
									   startup->database_given ? startup->database : NULL,
								   .startup = startup->tenant,
								   .tls = by_tls};
	done = selector_choose(client->listen, &input, &login->choice);
	free(by_tls);
	if (!done)
		login_refuse(client, REASON_STARTUP, "the tenant's name is empty or too long");
	return done;
}

static void find_principal(struct client *client)
{
	struct login *login = client->login;
	const struct principal *principal = NULL;

	if (!choose(client))
		return;
	enum directory_result result = directory_find_principal(
		client->worker->directory, login->choice.principal, client->worker->mailbox,
		on_principal, client, &principal, &login->pending);
	principal_answered(client, result, principal);
}

/* ---- the startup packet ---- */

/*
 * We speak 3.0 and 3.2, which differ in the length of cancel keys. (3.1 is no version, and is
 * taken as PostgreSQL 18 takes it.) A client that asks for a later one or for protocol options
 * is told so and goes on with what there is.
 */
static bool append_negotiation(struct client *client, struct buf *out)
{
	const struct startup *startup = &client->login->startup;
	uint32_t version =
		startup->version < WIRE_VERSION_3_2 ? startup->version : WIRE_VERSION_3_2;
	size_t mark;

	client->secret_len = version == WIRE_VERSION_3_2 ? CLIENT_SECRET_MAX : CLIENT_SECRET_3_0;
	if (startup->version == version && !startup->extension_count)
		return true;
	if (!wire_begin(out, 'v', &mark) || !buf_append_u32(out, version) ||
		!buf_append_u32(out, (uint32_t)startup->extension_count))
		return false;
	for (size_t i = 0; i < startup->extension_count; i++) {
		if (!buf_append_cstr(out, startup->extensions[i]))
			return false;
	}
	return wire_end(out, mark);
}

static void begin_session(struct client *client)
{
	enum reason why;
	struct buf out;

	if (!login_tls_will_do(client, &why)) {
		login_refuse(client, why, NULL);
		return;
	}
	buf_init(&out);
	if (!append_negotiation(client, &out)) {
		buf_fini(&out);
		login_refuse(client, REASON_MEMORY, NULL);
		return;
	}
	client_send_buf(client, &out);
	if (drain_is_on(client->worker)) {
		login_refuse(client, REASON_DRAINING, NULL);
		return;
	}
	if (!limits_may_admit(client->worker)) {
		login_refuse(client, REASON_CLIENTS, NULL);
		return;
	}
	find_principal(client);
}

/*
 * Bytes behind the request in the same read were sent before our answer: a client that waits
 * for it sends none, so they are somebody else's (CVE-2021-23222 and its kin). GSSAPI is not
 * offered.
 */
static void take_encryption_request(struct client *client, enum startup_kind kind, bool more)
{
	struct login *login = client->login;
	bool *asked = kind == STARTUP_SSL ? &login->ssl_asked : &login->gss_asked;

	if (*asked || more || (kind == STARTUP_SSL && client->stream.ssl)) {
		client_violation(client, more ? "bytes behind an encryption request"
									  : "encryption was asked for twice");
		return;
	}
	*asked = true;
	startup_fini(&login->startup);
	if (kind == STARTUP_SSL)
		login_tls_asked(client);
	else
		client_send(client, "N", 1);
}

/* The connection that brings a cancel request serves for nothing else; cancel.c keeps it until
 * it is done. */
static void take_cancel(struct client *client)
{
	struct startup *startup = &client->login->startup;

	cancel_request(client->worker, stream_hold(&client->stream), startup->cancel_pid,
				   startup->cancel_key, startup->cancel_key_len);
	client_close(client);
}

static size_t consume_startup(struct client *client, const uint8_t *data, size_t len)
{
	struct login *login = client->login;
	struct startup *startup = &login->startup;
	size_t used = 0;

	if (!login->ssl_asked && login_tls_directly(client, data, len))
		return len;
	enum startup_kind kind = startup_parse(data, len, &used, startup);
	switch (kind) {
	case STARTUP_INCOMPLETE:
		startup_fini(startup);
		return 0;
	case STARTUP_INVALID:
		log_event(LOG_DEBUG, "client.not_postgres", NULL);
		client_close(client);
		break;
	case STARTUP_REFUSED:
		client->worker->counters.logins_refused++;
		client->worker->counters.refused[REASON_STARTUP]++;
		seen_refused(client, REASON_STARTUP);
		client_fatal_text(client, startup->sqlstate, startup->error, NULL);
		break;
	case STARTUP_SSL:
	case STARTUP_GSSENC:
		take_encryption_request(client, kind, used < len);
		break;
	case STARTUP_CANCEL:
		take_cancel(client);
		break;
	case STARTUP_SESSION:
		begin_session(client);
		break;
	}
	return used;
}

size_t login_consume(struct client *client, const uint8_t *data, size_t len)
{
	if (!client->login) {
		client->login = calloc(1, sizeof *client->login);
		if (!client->login) {
			client_close(client);
			return len;
		}
	}
	return client->state == CLIENT_AUTH ? login_scram_consume(client, data, len)
										: consume_startup(client, data, len);
}

/* ---- the end ---- */

bool login_append_key(const struct client *client, struct buf *out)
{
	size_t mark;

	return wire_begin(out, 'K', &mark) && buf_append_u32(out, client->pid) &&
		   buf_append(out, client->secret, client->secret_len) && wire_end(out, mark);
}

void login_welcome(struct client *client, const struct params *params)
{
	const char *reported = params_get(params, "application_name");
	const char *name = client->settings->application_name;
	struct buf out;

	/* A name that the server does not show as it was sent is never taken from the cache. */
	if (!client->settings->name_is_clean && reported)
		name = reported;
	buf_init(&out);
	if (!params_append(params, name, &out) || !login_append_key(client, &out) ||
		!wire_ready_for_query(&out, 'I')) {
		buf_fini(&out);
		login_refuse(client, REASON_MEMORY, NULL);
		return;
	}
	login_free(client);
	limits_logged_in(client);
	client->worker->counters.logins++;
	seen_opened(client);
	client_is_idle(client);
	struct ssl_st *ssl = client->stream.ssl;
	log_event(LOG_DEBUG, "client.welcome", "tenant", client->tenant->slug, "principal",
			  client->principal->name, "tls", ssl ? tls_version(ssl) : NULL, "cipher",
			  ssl ? tls_cipher(ssl) : NULL, NULL);
	client_log_connected(client);
	client_send_buf(client, &out);
}
