/* tls.h: the certificate of the admin API, and what it wants of its callers' (RFC 8446, 5246).
 */
#ifndef ADMIN_API_TLS_H
#define ADMIN_API_TLS_H

#include <openssl/ssl.h>

#include "conf/conf.h"

/*
 * A context by [admin] tls_* and [tls]. NULL, with the reason logged, when a file is no good;
 * also, without a word, when there is to be no TLS.
 */
SSL_CTX *api_tls_create(const struct conf *conf);

#endif
