/* A login's part between the principal and AuthenticationOk: SCRAM, for those who exist and
 * those who do not. */
#include "base/buf.h"
#include "base/secret.h"
#include "proxy/client.h"
#include "proxy/login_internal.h"
#include "proxy/wire.h"
#include "proxy/worker.h"

#define SASL_MESSAGE_MAX (SCRAM_MESSAGE_MAX + 64)

/* The strongest first; the list is ended by an empty string. Whether there is such a principal
 * makes no difference. */
static bool append_mechanisms(struct buf *out, bool plus)
{
	static const char names[] = SCRAM_MECHANISM_PLUS "\0" SCRAM_MECHANISM "\0";
	size_t from = plus ? 0 : sizeof SCRAM_MECHANISM_PLUS;

	return wire_authentication(out, AUTH_SASL, names + from, sizeof names - from);
}

/* What is read in place of a verifier that there is not; it has the usual length, and serves
 * nobody. */
#define NO_KEY      "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define NO_VERIFIER "SCRAM-SHA-256$4096:AAAAAAAAAAAAAAAAAAAAAA==$" NO_KEY ":" NO_KEY

void login_scram_begin(struct client *client)
{
	struct scram_binding binding;
	struct login *login = client->login;
	const struct principal *principal = client->principal;
	struct scram_verifier verifier, mock;
	struct buf out;

	/* The mock is made for all, and something is read for all, since the time it takes would
	 * tell who exists. */
	scram_verifier_mock(login->choice.principal, client->worker->mock_secret, &mock);
	const char *text = principal ? principal->verifier : NULL;
	bool known = scram_verifier_parse(text ? text : NO_VERIFIER, &verifier) && text;

	/* One that is disabled or expired keeps its salt: a new one would tell strangers that it
	 * is. */
	if (!known)
		verifier = mock;
	secret_wipe(&mock, sizeof mock);
	scram_server_init(&login->scram, &verifier, !known || !login_may(principal));
	login->scram_begun = true;
	login_tls_binding(client, &binding);
	scram_server_offer(&login->scram, &binding);
	secret_wipe(&verifier, sizeof verifier);

	buf_init(&out);
	client->state = CLIENT_AUTH;
	if (!append_mechanisms(&out, binding.len > 0)) {
		buf_fini(&out);
		login_refuse(client, REASON_MEMORY, NULL);
		return;
	}
	client_send_buf(client, &out);
}

/* The SASLInitialResponse names the mechanism in front of its data; a SASLResponse is all data.
 */
static bool read_sasl(struct login *login, const uint8_t *body, size_t len,
					  const uint8_t **data, size_t *data_len)
{
	size_t at = 0;

	*data = body;
	*data_len = len;
	if (login->mechanism_read)
		return true;
	login->mechanism_read = true;
	const char *mechanism = wire_cstr(body, len, &at);
	if (!mechanism || !scram_server_choose(&login->scram, mechanism) || len - at < 4)
		return false;
	*data = body + at + 4;
	*data_len = len - at - 4;
	return wire_u32(body + at) == *data_len;
}

static void step_scram(struct client *client, const uint8_t *body, size_t len)
{
	struct login *login = client->login;
	const uint8_t *data;
	size_t data_len;
	struct buf answer, out;

	if (!read_sasl(login, body, len, &data, &data_len)) {
		client_violation(client, "malformed SASL message");
		return;
	}
	buf_init(&answer);
	buf_init(&out);
	switch (scram_server_step(&login->scram, data, data_len, &answer)) {
	case SCRAM_CONTINUE:
		if (!wire_authentication(&out, AUTH_SASL_CONTINUE, buf_data(&answer), buf_len(&answer)))
			login_refuse(client, REASON_MEMORY, NULL);
		else
			client_send_buf(client, &out);
		break;
	case SCRAM_DONE:
		penalty_succeeded(client, login->choice.principal);
		if (!login_may(client->principal)) /* it has expired since it was asked */
			login_refuse(client, REASON_PASSWORD, NULL);
		else if (!wire_authentication(&out, AUTH_SASL_FINAL, buf_data(&answer),
									  buf_len(&answer)))
			login_refuse(client, REASON_MEMORY, NULL);
		else
			login_authenticated(client, &out);
		break;
	case SCRAM_WRONG:
		penalty_failed(client, login->choice.principal);
		login_refuse(client, login_why_unknown(client), NULL);
		break;
	case SCRAM_UNBOUND:
		login_refuse(client, REASON_CHANNEL_BINDING, NULL);
		break;
	case SCRAM_INVALID:
		client_violation(client, "malformed SCRAM message");
		break;
	}
	buf_wipe(&answer);
	if (client->state == CLIENT_LEAVING || client->state == CLIENT_CLOSED)
		buf_fini(&out);
}

size_t login_scram_consume(struct client *client, const uint8_t *data, size_t len)
{
	if (len < WIRE_HEADER)
		return 0;
	uint32_t length = wire_u32(data + 1);
	if (data[0] != 'p' || length < 4 || length > SASL_MESSAGE_MAX) {
		client_violation(client, "expected a SASL response");
		return len;
	}
	if (len < 1 + (size_t)length)
		return 0;
	/* The first message is followed by the one with the proof. */
	if (client->login->mechanism_read &&
		penalty_waits(client, &client->login->ticket, client->login->choice.principal))
		return 0;
	step_scram(client, data + WIRE_HEADER, length - 4);
	return 1 + (size_t)length;
}

void login_must_fail(struct client *client)
{
	client->login->scram.mock = true;
}
