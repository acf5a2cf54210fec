/*
 * How a client's connection comes to be encrypted, and whether it is as the listener wants it.
 *
 * Source: PostgreSQL documentation, "Frontend/Backend Protocol", SSL Session Encryption. A
 * client asks with SSLRequest and is answered S, or begins with TLS at once. The handshake is
 * the stream's; while it lasts the client stays where it was, in CLIENT_STARTUP, under the
 * limits of all who have not logged in.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "proxy/client.h"
#include "proxy/scram.h"
#include "proxy/tls.h"
#include "proxy/worker.h"

/* Unix sockets carry no TLS, as in PostgreSQL: nobody is in between. */
static bool is_offered(const struct client *client, size_t *listen)
{
	const struct worker *worker = client->worker;

	if (client->is_local || !worker->tls)
		return false;
	*listen = (size_t)(client->listen - worker->conf->listens);
	return tls_is_offered(worker->tls, *listen);
}

static void start(struct client *client, size_t listen, const uint8_t *data, size_t len)
{
	struct ssl_st *ssl = tls_accept(client->worker->tls, listen, data != NULL);

	if (!ssl || !stream_start_tls(&client->stream, ssl, data, len))
		client_close(client);
}

void login_tls_asked(struct client *client)
{
	size_t listen;

	if (!is_offered(client, &listen)) {
		client_send(client, "N", 1);
		return;
	}
	client_send(client, "S", 1);
	if (stream_is_full(&client->stream) || client->stream.broken)
		client_close(client); /* not even a byte was taken */
	else
		start(client, listen, NULL, 0);
}

bool login_tls_directly(struct client *client, const uint8_t *data, size_t len)
{
	size_t listen;

	if (*data != TLS_FIRST_BYTE || client->stream.ssl || !is_offered(client, &listen))
		return false;
	start(client, listen, data, len);
	return true;
}

void login_tls_failed(struct client *client)
{
	char why[256];

	if (!stream_tls_failure(&client->stream, why, sizeof why)) {
		client_close(client);
		return;
	}
	log_event(LOG_INFO, "client.tls_failed", "error", why, NULL);
	if (client->state != CLIENT_STARTUP) {
		client_close(client);
		return;
	}
	client->worker->counters.logins_refused++;
	client->worker->counters.tls_failures++;
	/* The alert is on its way: it is left the time to be read. */
	stream_drop_tls(&client->stream);
	client_fatal_told(client);
}

bool login_tls_will_do(struct client *client, enum reason *why)
{
	enum conf_sslmode mode = client->listen->tls_mode;
	struct ssl_st *ssl = client->stream.ssl;

	if (client->is_local || mode < SSLMODE_REQUIRE)
		return true;
	*why = REASON_TLS_REQUIRED;
	if (!ssl)
		return false;
	*why = REASON_CERTIFICATE;
	return mode < SSLMODE_VERIFY_CA || tls_peer_is_verified(ssl);
}

bool login_tls_names(const struct client *client, const char *name,
					 const struct principal *principal)
{
	struct ssl_st *ssl = client->stream.ssl;

	if (client->is_local || client->listen->tls_mode < SSLMODE_VERIFY_FULL)
		return true;
	if (!principal || !principal->certificate_names)
		return ssl && tls_peer_is_called(ssl, name);
	for (char **own = principal->certificate_names; ssl && *own; own++) {
		if (tls_peer_is_called(ssl, *own))
			return true;
	}
	return false;
}

bool login_tls_tenant(struct client *client, char **token, enum reason *why)
{
	const char *suffix = client->listen->tls_sni_suffix;

	*token = NULL;
	if (!client->stream.ssl || !*suffix)
		return true;
	switch (tls_tenant(client->stream.ssl, suffix, token)) {
	case TLS_TENANT_NONE:
	case TLS_TENANT_FOUND:
		return true;
	case TLS_TENANT_UNFIT:
		*why = REASON_CERTIFICATE;
		return false;
	case TLS_TENANT_MEMORY:
		break;
	}
	*why = REASON_MEMORY;
	return false;
}

bool login_tls_names_tenants(const struct client *client)
{
	const char *suffix = client->listen->tls_sni_suffix;

	return client->stream.ssl && *suffix && tls_peer_names_tenants(client->stream.ssl, suffix);
}

void login_tls_binding(struct client *client, struct scram_binding *binding)
{
	_Static_assert(SCRAM_BINDING_MAX >= TLS_END_POINT_MAX, "every hash has room");

	binding->len = 0;
	if (client->stream.ssl)
		binding->len = tls_end_point(client->stream.ssl, true, binding->data);
}
