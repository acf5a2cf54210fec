#include "proxy/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/secret.h"
#include "conf/hosts.h"

#define PEM_FILE_MAX ((size_t)4 << 20) /* bytes */
#define DIGEST_SIZE  32

struct tls {
	SSL_CTX **listens, **clusters; /* NULL where there is no TLS */
	size_t listen_count, cluster_count;
	uint8_t digest[DIGEST_SIZE]; /* over settings and files */
};

/* ---- faults ---- */

/* Where a context is made: for which section, and where to complain. */
struct maker {
	const struct conf *conf;
	const struct conf_listen *listen; /* or */
	const struct conf_cluster *cluster;
	FILE *err;
	EVP_MD_CTX *digest;
	bool ok;
};

/* `key` is the setting without its prefix. */
static void complain(struct maker *maker, const char *key, const char *path, const char *why)
{
	char name[64];
	const char *gap = *path ? ": " : "";

	maker->ok = false;
	if (maker->listen) {
		snprintf(name, sizeof name, "client_tls_%s", key);
		conf_complain_listen(maker->err, maker->conf, maker->listen, name, "%s%s%s", path, gap,
							 why);
	} else {
		snprintf(name, sizeof name, "server_tls_%s", key);
		conf_complain_cluster(maker->err, maker->conf, maker->cluster, name, "%s%s%s", path,
							  gap, why);
	}
}

/* The first error that OpenSSL queued; where it found no PEM at all, that is said in our words.
 */
static const char *openssl_says(void)
{
	unsigned long code = ERR_peek_error();
	const char *reason = ERR_reason_error_string(code);

	if (ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE)
		return "holds nothing of that kind in PEM";
	return reason ? reason : "cannot be used";
}

/* ---- files ---- */

/* The file's content, of at most PEM_FILE_MAX bytes; false with errno. */
static bool read_file(const char *path, struct buf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = -1;

	buf_init(out);
	if (fd < 0)
		return false;
	do {
		errno = ENOMEM;
		if (!buf_reserve(out, 16384))
			break;
		n = read(fd, out->memory + out->end, 16384);
		if (n > 0)
			out->end += (size_t)n;
		if (buf_len(out) > PEM_FILE_MAX) {
			errno = EFBIG;
			n = -1;
		}
	} while (n > 0 || (n < 0 && errno == EINTR));
	int error = errno;
	close(fd);
	errno = error;
	return n == 0;
}

static void note(struct maker *maker, const void *data, size_t len)
{
	uint64_t size = len;

	if (EVP_DigestUpdate(maker->digest, &size, sizeof size) != 1 ||
		EVP_DigestUpdate(maker->digest, data, len) != 1)
		maker->ok = false;
}

/* NULL when it was complained. The content outlives the BIO only in `content`. */
static BIO *open_pem(struct maker *maker, const char *key, const char *path,
					 struct buf *content)
{
	if (!read_file(path, content)) {
		complain(maker, key, path, strerror(errno));
		buf_fini(content);
		return NULL;
	}
	note(maker, key, strlen(key));
	note(maker, buf_data(content), buf_len(content));
	BIO *bio = BIO_new_mem_buf(buf_len(content) ? (void *)buf_data(content) : (void *)"",
							   (int)buf_len(content));
	if (!bio) {
		complain(maker, key, path, "out of memory");
		buf_fini(content);
	}
	ERR_clear_error();
	return bio;
}

/* Did reading stop where the file ended, rather than in something broken? */
static bool at_end_of_pem(void)
{
	unsigned long code = ERR_peek_last_error();
	bool end = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;

	if (end)
		ERR_clear_error();
	return end;
}

/* ---- certificate and key ---- */

/* Nobody is there to be asked for a passphrase. */
static int no_passphrase(char *buffer, int size, int writing, void *arg)
{
	(void)buffer, (void)size, (void)writing, (void)arg;
	return -1;
}

static void warn_of_dates(const char *path, const X509 *certificate)
{
	const char *why = NULL;

	if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0)
		why = "the certificate has expired";
	else if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0)
		why = "the certificate is not valid yet";
	if (why)
		log_event(LOG_WARNING, "tls.certificate", "file", path, "warning", why, NULL);
}

static bool read_chain(SSL_CTX *context, BIO *bio, const char *path)
{
	X509 *certificate = PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, NULL);
	bool done = certificate && SSL_CTX_use_certificate(context, certificate) == 1;

	if (done)
		warn_of_dates(path, certificate);
	X509_free(certificate);
	while (done && (certificate = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL) {
		done = SSL_CTX_add0_chain_cert(context, certificate) == 1;
		if (!done)
			X509_free(certificate);
	}
	return done && at_end_of_pem();
}

static void use_certificate(struct maker *maker, SSL_CTX *context, const char *path)
{
	struct buf content;
	BIO *bio = open_pem(maker, "cert_file", path, &content);

	if (!bio)
		return;
	if (!read_chain(context, bio, path))
		complain(maker, "cert_file", path, openssl_says());
	BIO_free(bio);
	buf_fini(&content);
}

/* Like a password, it is for the owner's eyes only. */
static void use_key(struct maker *maker, SSL_CTX *context, const char *path)
{
	const char *why = NULL;
	char *content = secret_read_file(path, PEM_FILE_MAX, &why);

	if (!content) {
		complain(maker, "key_file", path, why);
		return;
	}
	note(maker, "key_file", strlen("key_file"));
	note(maker, content, strlen(content));
	ERR_clear_error();
	BIO *bio = BIO_new_mem_buf(content, -1);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
	if (!key)
		complain(maker, "key_file", path, openssl_says());
	/* A key of another kind than the certificate's would be taken, for another one to come. */
	else if (SSL_CTX_get0_certificate(context) && (SSL_CTX_use_PrivateKey(context, key) != 1 ||
												   SSL_CTX_check_private_key(context) != 1))
		complain(maker, "key_file", path, "is not the key of the certificate");
	EVP_PKEY_free(key);
	BIO_free(bio);
	secret_free(content);
}

/* ---- authorities ---- */

static bool add_authority(SSL_CTX *context, X509 *certificate, bool is_server)
{
	return X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate) == 1 &&
		   (!is_server || SSL_CTX_add_client_CA(context, certificate) == 1);
}

static void use_authorities(struct maker *maker, SSL_CTX *context, const char *path)
{
	struct buf content;
	BIO *bio = open_pem(maker, "ca_file", path, &content);
	X509 *certificate = NULL;
	bool any = false, done = true;

	while (bio && done && (certificate = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL))) {
		done = add_authority(context, certificate, maker->listen != NULL);
		X509_free(certificate);
		any = true;
	}
	if (!bio)
		return;
	if (!done || !any || !at_end_of_pem())
		complain(maker, "ca_file", path, openssl_says());
	BIO_free(bio);
	buf_fini(&content);
}

/* As PostgreSQL: every certificate of a chain is looked up in a list of its issuer. */
static void use_revocations(struct maker *maker, SSL_CTX *context, const char *path)
{
	X509_STORE *store = SSL_CTX_get_cert_store(context);
	struct buf content;
	BIO *bio = open_pem(maker, "crl_file", path, &content);
	X509_CRL *list = NULL;
	bool any = false, done = true;

	while (bio && done && (list = PEM_read_bio_X509_CRL(bio, NULL, no_passphrase, NULL))) {
		done = X509_STORE_add_crl(store, list) == 1;
		X509_CRL_free(list);
		any = true;
	}
	if (!bio)
		return;
	if (!done || !any || !at_end_of_pem())
		complain(maker, "crl_file", path, openssl_says());
	X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	BIO_free(bio);
	buf_fini(&content);
}

static void use_files(struct maker *maker, SSL_CTX *context, const char *cert, const char *key,
					  const char *ca, const char *crl)
{
	if (*cert)
		use_certificate(maker, context, cert);
	if (*key)
		use_key(maker, context, key);
	if (*ca)
		use_authorities(maker, context, ca);
	if (*crl)
		use_revocations(maker, context, crl);
}

/* ---- contexts ---- */

/* What both sides have in common; NULL when memory is out. */
static SSL_CTX *make_context(const struct conf *conf, const SSL_METHOD *method)
{
	SSL_CTX *context = SSL_CTX_new(method);

	if (!context)
		return NULL;
	SSL_CTX_set_min_proto_version(context, conf->tls_min_protocol == TLS_1_3 ? TLS1_3_VERSION
																			 : TLS1_2_VERSION);
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
									 SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
								  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
								  SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(context, 1);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_default_passwd_cb(context, no_passphrase);
	return context;
}

/* OpenSSL drops names that it does not know without a word. */
static bool has_ciphers_of_1_3(const SSL_CTX *context)
{
	const STACK_OF(SSL_CIPHER) *ciphers = SSL_CTX_get_ciphers(context);

	for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
		if (strcmp(SSL_CIPHER_get_version(sk_SSL_CIPHER_value(ciphers, i)), "TLSv1.3") == 0)
			return true;
	}
	return false;
}

/* Never one with which nobody shows a certificate, or that does not encrypt: with the former a
 * server would pass for verified. */
static bool take_ciphers(SSL_CTX *context, const char *list)
{
	struct buf sound;

	buf_init(&sound);
	bool done = buf_appendf(&sound, "%s:!aNULL:!eNULL", list) && buf_append_byte(&sound, 0) &&
				SSL_CTX_set_cipher_list(context, (const char *)buf_data(&sound)) == 1;
	buf_fini(&sound);
	return done;
}

/* False, complained, when the lists of ciphers name none. */
static bool ciphers_are_sound(const struct conf *conf, FILE *err)
{
	SSL_CTX *context = SSL_CTX_new(TLS_method());
	bool of_1_2 = context && take_ciphers(context, conf->tls_ciphers);
	bool of_1_3 = context && SSL_CTX_set_ciphersuites(context, conf->tls_ciphersuites) == 1 &&
				  has_ciphers_of_1_3(context);

	if (!of_1_2)
		conf_complain(err, conf, "tls", "ciphers", "names no cipher that there is");
	if (!of_1_3)
		conf_complain(err, conf, "tls", "ciphersuites", "names no cipher that there is");
	SSL_CTX_free(context);
	return of_1_2 && of_1_3;
}

static const unsigned char alpn[] = "\012postgresql"; /* its length in front */
#define ALPN_SIZE (sizeof alpn - 1)

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
					   const unsigned char *in, unsigned in_len, void *arg)
{
	unsigned char *chosen = NULL;

	(void)ssl, (void)arg;
	if (SSL_select_next_proto(&chosen, out_len, alpn, ALPN_SIZE, in, in_len) !=
		OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

/* Marks connections that began without an SSLRequest. */
static const char is_direct[] = "direct";

/* Without ALPN, nothing says that a peer which begins with TLS means PostgreSQL: it may be a
 * browser that was sent here (the ALPACA attack). */
static int check_hello(SSL *ssl, int *alert, void *arg)
{
	const unsigned char *protocols;
	size_t len;

	(void)arg;
	if (SSL_get_app_data(ssl) != is_direct ||
		SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation,
								  &protocols, &len))
		return SSL_CLIENT_HELLO_SUCCESS;
	*alert = SSL_AD_NO_APPLICATION_PROTOCOL;
	return SSL_CLIENT_HELLO_ERROR;
}

static SSL_CTX *make_listen(struct maker *maker, const struct conf_listen *listen)
{
	static const unsigned char id[] = "bulkhead";
	bool verifies = listen->tls_mode >= SSLMODE_VERIFY_CA;
	SSL_CTX *context = make_context(maker->conf, TLS_server_method());

	if (!context) {
		complain(maker, "sslmode", "", "out of memory");
		return NULL;
	}
	use_files(maker, context, listen->tls_cert_file, listen->tls_key_file, listen->tls_ca_file,
			  listen->tls_crl_file);
	SSL_CTX_set_alpn_select_cb(context, choose_alpn, NULL);
	SSL_CTX_set_client_hello_cb(context, check_hello, NULL);
	SSL_CTX_set_session_id_context(context, id, sizeof id - 1);
	SSL_CTX_set_dh_auto(context, 1);
	SSL_CTX_set_num_tickets(context, 1);
	if (verifies)
		SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	/* A resumed session shows no certificate, which might be revoked by now, and under TLS 1.2
	 * OpenSSL has the host name of the one that it resumes. */
	if (verifies || *listen->tls_sni_suffix) {
		SSL_CTX_set_num_tickets(context, 0);
		SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
	}
	return context;
}

static SSL_CTX *make_cluster(struct maker *maker, const struct conf_cluster *cluster)
{
	SSL_CTX *context = make_context(maker->conf, TLS_client_method());

	if (!context) {
		complain(maker, "sslmode", "", "out of memory");
		return NULL;
	}
	use_files(maker, context, cluster->tls_cert_file, cluster->tls_key_file,
			  cluster->tls_ca_file, cluster->tls_crl_file);
	SSL_CTX_set_alpn_protos(context, alpn, ALPN_SIZE);
	if (*cluster->tls_ca_file)
		SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	return context;
}

static bool cluster_has_tls(const struct conf_cluster *cluster)
{
	return cluster->tls_mode != SSLMODE_DISABLE && conf_hosts_have_tcp(cluster->host);
}

static void set_ciphers(const struct conf *conf, SSL_CTX *context)
{
	take_ciphers(context, conf->tls_ciphers);
	SSL_CTX_set_ciphersuites(context, conf->tls_ciphersuites);
}

static void make_all(struct tls *tls, struct maker *maker)
{
	const struct conf *conf = maker->conf;

	for (size_t i = 0; i < conf->listen_count; i++) {
		maker->listen = &conf->listens[i];
		note(maker, &conf->listens[i].tls_mode, sizeof conf->listens[i].tls_mode);
		note(maker, conf->listens[i].tls_sni_suffix, strlen(conf->listens[i].tls_sni_suffix));
		if (conf->listens[i].tls_mode != SSLMODE_DISABLE)
			tls->listens[i] = make_listen(maker, maker->listen);
		if (tls->listens[i])
			set_ciphers(conf, tls->listens[i]);
	}
	maker->listen = NULL;
	for (size_t i = 0; i < conf->cluster_count; i++) {
		maker->cluster = &conf->clusters[i];
		note(maker, &conf->clusters[i].tls_mode, sizeof conf->clusters[i].tls_mode);
		if (cluster_has_tls(maker->cluster))
			tls->clusters[i] = make_cluster(maker, maker->cluster);
		if (tls->clusters[i])
			set_ciphers(conf, tls->clusters[i]);
	}
	note(maker, conf->tls_ciphers, strlen(conf->tls_ciphers));
	note(maker, conf->tls_ciphersuites, strlen(conf->tls_ciphersuites));
	note(maker, &conf->tls_min_protocol, sizeof conf->tls_min_protocol);
}

struct tls *tls_create(const struct conf *conf, FILE *err)
{
	struct tls *tls = calloc(1, sizeof *tls);
	struct maker maker = {.conf = conf, .err = err, .digest = EVP_MD_CTX_new(), .ok = true};

	if (tls) {
		tls->listen_count = conf->listen_count;
		tls->cluster_count = conf->cluster_count;
		tls->listens = calloc(conf->listen_count + 1, sizeof *tls->listens);
		tls->clusters = calloc(conf->cluster_count + 1, sizeof *tls->clusters);
	}
	bool able = tls && tls->listens && tls->clusters && maker.digest &&
				EVP_DigestInit_ex(maker.digest, EVP_sha256(), NULL) == 1;
	if (!able)
		fputs("out of memory\n", err);
	else
		make_all(tls, &maker);
	bool ok = able && ciphers_are_sound(conf, err) && maker.ok &&
			  EVP_DigestFinal_ex(maker.digest, tls->digest, NULL) == 1;
	EVP_MD_CTX_free(maker.digest);
	ERR_clear_error();
	if (ok)
		return tls;
	tls_destroy(tls);
	return NULL;
}

void tls_destroy(struct tls *tls)
{
	if (!tls)
		return;
	for (size_t i = 0; tls->listens && i < tls->listen_count; i++)
		SSL_CTX_free(tls->listens[i]);
	for (size_t i = 0; tls->clusters && i < tls->cluster_count; i++)
		SSL_CTX_free(tls->clusters[i]);
	free(tls->listens);
	free(tls->clusters);
	free(tls);
}

bool tls_equal(const struct tls *a, const struct tls *b)
{
	return memcmp(a->digest, b->digest, sizeof a->digest) == 0;
}

bool tls_each_file(const struct conf *conf, bool (*visit)(const char *path, void *arg),
				   void *arg)
{
	bool done = true;

	for (size_t i = 0; done && i < conf->listen_count; i++) {
		const struct conf_listen *listen = &conf->listens[i];

		done = visit(listen->tls_cert_file, arg) && visit(listen->tls_key_file, arg) &&
			   visit(listen->tls_ca_file, arg) && visit(listen->tls_crl_file, arg);
	}
	for (size_t i = 0; done && i < conf->cluster_count; i++) {
		const struct conf_cluster *cluster = &conf->clusters[i];

		done = visit(cluster->tls_cert_file, arg) && visit(cluster->tls_key_file, arg) &&
			   visit(cluster->tls_ca_file, arg) && visit(cluster->tls_crl_file, arg);
	}
	return done;
}

/* ---- connections ---- */

bool tls_is_offered(const struct tls *tls, size_t listen)
{
	return tls && tls->listens[listen];
}

SSL *tls_accept(const struct tls *tls, size_t listen, bool direct)
{
	SSL *ssl = SSL_new(tls->listens[listen]);

	if (!ssl)
		return NULL;
	SSL_set_accept_state(ssl);
	if (direct)
		SSL_set_app_data(ssl, (char *)is_direct);
	return ssl;
}

/* The name, or the address, that the server's certificate must be for. */
static bool expect_host(SSL *ssl, const char *host)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1 ||
		   X509_VERIFY_PARAM_set1_host(param, host, 0) == 1;
}

static bool is_address(const char *host)
{
	ASN1_OCTET_STRING *address = a2i_IPADDRESS(host);

	ASN1_OCTET_STRING_free(address);
	return address != NULL;
}

SSL *tls_connect(const struct tls *tls, size_t cluster, enum conf_sslmode mode,
				 const char *host)
{
	SSL *ssl = tls && tls->clusters[cluster] ? SSL_new(tls->clusters[cluster]) : NULL;

	if (!ssl)
		return NULL;
	SSL_set_connect_state(ssl);
	if ((!is_address(host) && SSL_set_tlsext_host_name(ssl, host) != 1) ||
		(mode == SSLMODE_VERIFY_FULL && !expect_host(ssl, host))) {
		SSL_free(ssl);
		ssl = NULL;
	}
	ERR_clear_error();
	return ssl;
}
