#include "admin/api/tls.h"

#include <stdbool.h>
#include <stddef.h>

#include <openssl/err.h>

#include "base/log.h"
#include "base/secret.h"

static bool complain(const char *file)
{
	const char *why = ERR_reason_error_string(ERR_peek_last_error());

	log_event(LOG_ERROR, "api.tls", "file", file, "error", why ? why : "it cannot be used",
			  NULL);
	ERR_clear_error();
	return false;
}

/* Others may not read it; secret_read_file looks at that. */
static bool check_key_file(const char *path)
{
	const char *why = NULL;
	char *content = secret_read_file(path, 1 << 20, &why);

	if (!content)
		log_event(LOG_ERROR, "api.tls", "file", path, "error", why, NULL);
	secret_free(content);
	return content != NULL;
}

static bool set_certificate(SSL_CTX *context, const struct conf *conf)
{
	const char *certificate = conf->admin_tls_cert_file, *key = conf->admin_tls_key_file;

	if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1)
		return complain(certificate);
	if (!check_key_file(key))
		return false;
	if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
		SSL_CTX_check_private_key(context) != 1)
		return complain(key);
	return true;
}

static bool set_callers(SSL_CTX *context, const struct conf *conf)
{
	const char *path = conf->admin_tls_client_ca_file;

	if (!*path)
		return true;
	if (SSL_CTX_load_verify_file(context, path) != 1)
		return complain(path);
	SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(path));
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return true;
}

SSL_CTX *api_tls_create(const struct conf *conf)
{
	SSL_CTX *context;
	int oldest = conf->tls_min_protocol == TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;

	if (!*conf->admin_tls_cert_file)
		return NULL;
	context = SSL_CTX_new(TLS_server_method());
	if (context && SSL_CTX_set_min_proto_version(context, oldest) == 1 &&
		SSL_CTX_set_cipher_list(context, conf->tls_ciphers) == 1 &&
		SSL_CTX_set_ciphersuites(context, conf->tls_ciphersuites) == 1 &&
		set_certificate(context, conf) && set_callers(context, conf)) {
		SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
		SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
		SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
		return context;
	}
	ERR_clear_error();
	SSL_CTX_free(context);
	return NULL;
}
