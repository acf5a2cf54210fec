/*
 * scram.h: SCRAM-SHA-256 in both roles (RFC 5802, RFC 7677), as PostgreSQL speaks it.
 *
 * As the server, Bulkhead checks a client against a verifier of PostgreSQL's form; as the
 * client, it logs in to a backend with a password. Messages here are the bytes inside the SASL
 * messages of the wire protocol; framing is the caller's. Every length a peer chooses is
 * bounded: a message by SCRAM_MESSAGE_MAX, a nonce by SCRAM_NONCE_MAX, a salt by
 * SCRAM_SALT_MAX, iterations by SCRAM_ITERATIONS_MAX. Verifiers and the keys that passwords
 * give are in router/scram_verifier.h, since the control plane makes some as well.
 *
 * Channel binding (SCRAM-SHA-256-PLUS) is to the server's certificate, tls-server-end-point of
 * RFC 5929; its bytes come from the caller, who knows of TLS.
 */
#ifndef PROXY_SCRAM_H
#define PROXY_SCRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "router/scram_verifier.h"

#define SCRAM_MECHANISM_PLUS "SCRAM-SHA-256-PLUS"
#define SCRAM_BINDING_MAX    64 /* bytes of a hash */
#define SCRAM_MESSAGE_MAX    1024
#define SCRAM_NONCE_MAX      256

enum scram_result {
	SCRAM_CONTINUE, /* `out` is the next message to send */
	SCRAM_DONE,  /* server: authenticated, `out` is the final message; client: the server proved
					itself */
	SCRAM_WRONG, /* wrong password, or the server did not prove that it knows it */
	SCRAM_UNBOUND, /* server: the client's TLS does not end here, or somebody hid our offer */
	SCRAM_INVALID, /* the peer's message is malformed or out of bounds, or memory or OpenSSL
					  failed */
};

/* What a TLS connection is known by at both ends; empty without TLS. */
struct scram_binding {
	uint8_t data[SCRAM_BINDING_MAX];
	size_t len;
};

/* Bulkhead as the server. */
struct scram_server {
	struct scram_verifier verifier;
	char *nonce;       /* client's and ours joined */
	char *client_bare; /* client-first-message-bare */
	char *server_first;
	struct scram_binding binding; /* offered with SCRAM_MECHANISM_PLUS, when not empty */
	bool plus;                    /* the client took that */
	char gs2;  /* the channel binding flag the client sent: 'n', 'y' or 'p' */
	bool mock; /* must fail whatever the proof */
	int step;
};

void scram_server_init(struct scram_server *scram, const struct scram_verifier *verifier,
					   bool mock);

/* SCRAM_MECHANISM_PLUS is offered beside the other; `binding` is not empty. */
void scram_server_offer(struct scram_server *scram, const struct scram_binding *binding);

/* The client takes this mechanism, before its first message. False when it was not offered. */
bool scram_server_choose(struct scram_server *scram, const char *mechanism);

/* One message of the client in (`len` bytes, no NUL needed), one of ours appended to `out`. */
enum scram_result scram_server_step(struct scram_server *scram, const uint8_t *message,
									size_t len, struct buf *out);
void scram_server_fini(struct scram_server *scram);

/* Bulkhead as the client. */
struct scram_client {
	const char *password;     /* borrowed */
	struct scram_keys *cache; /* borrowed; read and filled; may be NULL */
	const char *gs2;          /* the header: with which channel binding */
	struct scram_binding binding;
	char *client_nonce, *client_bare;
	uint8_t server_signature[SCRAM_KEY_SIZE];
	int step;
};

void scram_client_init(struct scram_client *scram, const char *password,
					   struct scram_keys *cache);

/*
 * The connection carries TLS: binds to it, or (`offered` false: the server offers no
 * SCRAM_MECHANISM_PLUS) says that we could have. Before the first message.
 */
void scram_client_bind(struct scram_client *scram, const struct scram_binding *binding,
					   bool offered);

/* Appends client-first-message. False when memory is out. */
bool scram_client_first(struct scram_client *scram, struct buf *out);

/* server-first in, client-final out (CONTINUE); then server-final in (DONE or WRONG). */
enum scram_result scram_client_step(struct scram_client *scram, const uint8_t *message,
									size_t len, struct buf *out);
void scram_client_fini(struct scram_client *scram);

#endif
