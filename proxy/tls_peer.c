/*
 * What a finished handshake says about the peer, and about the certificate that was shown.
 */
#include "proxy/tls.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/objects.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* ---- tls-server-end-point ---- */

/* RFC 5929, section 4.1: the hash of the certificate's signature, but for MD5 and SHA-1. */
static const EVP_MD *end_point_hash(X509 *certificate)
{
	int hash = NID_undef;

	if (X509_get_signature_info(certificate, &hash, NULL, NULL, NULL) != 1)
		return NULL;
	if (hash == NID_md5 || hash == NID_sha1)
		return EVP_sha256();
	return hash == NID_undef ? NULL : EVP_get_digestbynid(hash);
}

size_t tls_end_point(SSL *ssl, bool own, uint8_t out[TLS_END_POINT_MAX])
{
	X509 *certificate = own ? SSL_get_certificate(ssl) : SSL_get0_peer_certificate(ssl);
	const EVP_MD *hash = certificate ? end_point_hash(certificate) : NULL;
	unsigned size = 0;

	_Static_assert(TLS_END_POINT_MAX >= EVP_MAX_MD_SIZE, "every hash has room");
	return hash && X509_digest(certificate, hash, out, &size) == 1 ? size : 0;
}

/* ---- names ---- */

bool tls_peer_is_verified(SSL *ssl)
{
	return SSL_get0_peer_certificate(ssl) && (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) &&
		   SSL_get_verify_result(ssl) == X509_V_OK;
}

/* A NUL inside would end the name early for whoever compares strings. */
static bool equals(const ASN1_STRING *text, const char *name)
{
	size_t len = strlen(name);

	return (size_t)ASN1_STRING_length(text) == len &&
		   memcmp(ASN1_STRING_get0_data(text), name, len) == 0;
}

static bool has_common_name(X509 *certificate, const char *name)
{
	const X509_NAME *subject = X509_get_subject_name(certificate);
	bool found = false;

	for (int at = -1;
		 !found && (at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0;) {
		unsigned char *text = NULL;
		int len = ASN1_STRING_to_UTF8(
			&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));

		found = len >= 0 && (size_t)len == strlen(name) && memcmp(text, name, (size_t)len) == 0;
		OPENSSL_free(text);
	}
	return found;
}

static GENERAL_NAMES *alternative_names(X509 *certificate)
{
	return X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
}

/* DNS, e-mail or URI; NULL for what is none of these. */
static const ASN1_STRING *text_of(const GENERAL_NAME *name)
{
	switch (name->type) {
	case GEN_DNS:
	case GEN_EMAIL:
	case GEN_URI:
		return name->d.ia5;
	default:
		return NULL;
	}
}

bool tls_peer_is_called(SSL *ssl, const char *name)
{
	X509 *certificate = SSL_get0_peer_certificate(ssl);

	if (!certificate || !*name)
		return false;
	GENERAL_NAMES *names = alternative_names(certificate);
	bool found = has_common_name(certificate, name);
	for (int i = 0; !found && i < sk_GENERAL_NAME_num(names); i++) {
		const ASN1_STRING *text = text_of(sk_GENERAL_NAME_value(names, i));

		found = text && equals(text, name);
	}
	GENERAL_NAMES_free(names);
	return found;
}

/* ---- the tenant ---- */

/* The bytes of `host` in front of `.suffix`, or 0. Names of hosts have no case. */
static size_t tenant_len(const char *host, size_t len, const char *suffix)
{
	size_t suffix_len = strlen(suffix);

	if (len < suffix_len + 2 || memchr(host, '\0', len))
		return 0;
	size_t at = len - suffix_len;
	return host[at - 1] == '.' && strncasecmp(host + at, suffix, suffix_len) == 0 ? at - 1 : 0;
}

struct tenants {
	const char *asked; /* by SNI */
	size_t asked_len;
	const char *named; /* by the certificate: the first */
	size_t named_len;
	bool several, fits; /* there are others too; one of them is the one asked for */
};

static bool is_same(const char *a, size_t a_len, const char *b, size_t b_len)
{
	return a_len == b_len && strncasecmp(a, b, a_len) == 0;
}

static void look_at(struct tenants *tenants, const GENERAL_NAME *name, const char *suffix)
{
	if (name->type != GEN_DNS)
		return;
	const char *host = (const char *)ASN1_STRING_get0_data(name->d.dNSName);
	size_t len = tenant_len(host, (size_t)ASN1_STRING_length(name->d.dNSName), suffix);
	if (!len)
		return;
	if (!tenants->named) {
		tenants->named = host;
		tenants->named_len = len;
	} else if (!is_same(host, len, tenants->named, tenants->named_len)) {
		tenants->several = true;
	}
	if (tenants->asked && is_same(host, len, tenants->asked, tenants->asked_len))
		tenants->fits = true;
}

static enum tls_tenant decide(const struct tenants *tenants, char **token)
{
	const char *text = tenants->asked ? tenants->asked : tenants->named;
	size_t len = tenants->asked ? tenants->asked_len : tenants->named_len;

	if (!text)
		return TLS_TENANT_NONE;
	if (tenants->named && (tenants->asked ? !tenants->fits : tenants->several))
		return TLS_TENANT_UNFIT;
	*token = strndup(text, len);
	if (!*token)
		return TLS_TENANT_MEMORY;
	for (char *c = *token; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return TLS_TENANT_FOUND;
}

/* Looks at all names of a verified certificate; they are the caller's to free, as long as
 * `tenants` is used. */
static GENERAL_NAMES *look_at_all(SSL *ssl, const char *suffix, struct tenants *tenants)
{
	GENERAL_NAMES *names =
		tls_peer_is_verified(ssl) ? alternative_names(SSL_get0_peer_certificate(ssl)) : NULL;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
		look_at(tenants, sk_GENERAL_NAME_value(names, i), suffix);
	return names;
}

bool tls_peer_names_tenants(SSL *ssl, const char *suffix)
{
	struct tenants tenants = {.asked_len = 0};

	GENERAL_NAMES_free(look_at_all(ssl, suffix, &tenants));
	return tenants.named_len > 0;
}

enum tls_tenant tls_tenant(SSL *ssl, const char *suffix, char **token)
{
	const char *host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	struct tenants tenants = {.asked_len = 0};

	if (host)
		tenants.asked_len = tenant_len(host, strlen(host), suffix);
	if (tenants.asked_len)
		tenants.asked = host;
	GENERAL_NAMES *names = look_at_all(ssl, suffix, &tenants);
	enum tls_tenant result = decide(&tenants, token);
	GENERAL_NAMES_free(names);
	return result;
}

/* ---- for the log ---- */

const char *tls_version(SSL *ssl)
{
	return SSL_get_version(ssl);
}

const char *tls_cipher(SSL *ssl)
{
	return SSL_get_cipher_name(ssl);
}
