/*
 * tls.h: certificates, keys and what the handshakes must come to, for both sides.
 *
 * A struct tls holds one OpenSSL context for each listener and each cluster of a configuration,
 * in its order. It is read-only once made and shared by all threads; a reload makes another
 * one, and connections that began under the old one keep what they need of it. The bytes are
 * carried by stream_tls.c.
 *
 * Sources: RFC 8446 and RFC 5246 (TLS), RFC 7301 (ALPN; the name `postgresql` is PostgreSQL's,
 * "Frontend/Backend Protocol", SSL Session Encryption), RFC 6066 (SNI), RFC 5929
 * (tls-server-end-point), and libpq's documentation for the modes.
 */
#ifndef PROXY_TLS_H
#define PROXY_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "conf/conf.h"

struct ssl_st;
struct tls;

#define TLS_END_POINT_MAX 64 /* bytes of a certificate's hash */

/*
 * Reads all files that the configuration names. NULL when one of them is no good, with a line
 * for each fault printed to `err` in the form of conf_load's. An own certificate that is out of
 * date is logged and used.
 */
struct tls *tls_create(const struct conf *conf, FILE *err);
void tls_destroy(struct tls *tls);

/* Were they made of the same settings and the same bytes in the files? */
bool tls_equal(const struct tls *a, const struct tls *b);

/* Calls `visit` with the path of each file that tls_create reads, until it says false. */
bool tls_each_file(const struct conf *conf, bool (*visit)(const char *path, void *arg),
				   void *arg);

/* Does this listener speak TLS? By its number in the configuration. */
bool tls_is_offered(const struct tls *tls, size_t listen);

/*
 * The state for one client's connection. `direct`: it began without an SSLRequest, and must
 * name `postgresql` by ALPN. NULL when memory is out; else given to stream_start_tls.
 */
struct ssl_st *tls_accept(const struct tls *tls, size_t listen, bool direct);

/* The same for a connection to this cluster's server; `host` is the configured name. NULL also
 * where the mode is disable. */
struct ssl_st *tls_connect(const struct tls *tls, size_t cluster, enum conf_sslmode mode,
						   const char *host);

/* ---- what a finished handshake says (tls_peer.c) ---- */

/*
 * The hash of the server's certificate that SCRAM binds to, in `own` connections of ours as the
 * server, else of the peer's. 0 where there is none: its signature names no hash (Ed25519).
 */
size_t tls_end_point(struct ssl_st *ssl, bool own, uint8_t out[TLS_END_POINT_MAX]);

/* Has the peer shown a certificate that was verified? */
bool tls_peer_is_verified(struct ssl_st *ssl);

/* Is this byte for byte the certificate's common name, or an alternative name of it: DNS,
 * e-mail or URI? */
bool tls_peer_is_called(struct ssl_st *ssl, const char *name);

enum tls_tenant {
	TLS_TENANT_NONE,  /* neither names one */
	TLS_TENANT_FOUND, /* *token, from malloc */
	TLS_TENANT_UNFIT, /* the certificate names others, or several and the host name none */
	TLS_TENANT_MEMORY,
};

/*
 * The tenant that the client's connection is for: what stands in front of `.suffix` in the host
 * name that it asked for (SNI). A verified certificate with alternative names (DNS) of that
 * form is for these tenants only, and names the tenant where it has one.
 */
enum tls_tenant tls_tenant(struct ssl_st *ssl, const char *suffix, char **token);

/* Has the peer shown such a certificate, verified, with a name of that form? */
bool tls_peer_names_tenants(struct ssl_st *ssl, const char *suffix);

/* `TLSv1.3`, `TLS_AES_256_GCM_SHA384`; for the log. */
const char *tls_version(struct ssl_st *ssl);
const char *tls_cipher(struct ssl_st *ssl);

#endif
