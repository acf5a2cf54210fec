/* TLS of the load generator: what libpq does with sslmode=require. */
#include <errno.h>

#include <sys/socket.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "load.h"

/* Of the whole process, made when it is first needed. */
static SSL_CTX *context;

void tls_begin(struct conn *conn)
{
	if (!context) {
		context = SSL_CTX_new(TLS_client_method());
		if (!context)
			fail("out of memory");
		SSL_CTX_set_mode(context,
						 SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
		SSL_CTX_set_read_ahead(context, 1);
	}
	conn->ssl = SSL_new(context);
	if (!conn->ssl || SSL_set_fd(conn->ssl, conn->fd) != 1)
		fail("out of memory");
	SSL_set_connect_state(conn->ssl);
}

/* -1 with errno as the system's calls have it; 0 at the end. */
static ssize_t failed(struct conn *conn)
{
	switch (SSL_get_error(conn->ssl, 0)) {
	case SSL_ERROR_WANT_READ:
		conn->wants_bytes = true;
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_WANT_WRITE:
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		fail("TLS: %s", ERR_reason_error_string(ERR_peek_error()));
	}
}

ssize_t tls_send(struct conn *conn, const void *data, size_t len)
{
	size_t sent;

	conn->wants_bytes = false;
	if (!conn->ssl)
		return send(conn->fd, data, len, MSG_NOSIGNAL);
	ERR_clear_error();
	return SSL_write_ex(conn->ssl, data, len, &sent) ? (ssize_t)sent : failed(conn);
}

ssize_t tls_receive(struct conn *conn, void *data, size_t size)
{
	size_t got = 0, n;
	bool waited = conn->wants_bytes;

	if (!conn->ssl)
		return recv(conn->fd, data, size, 0);
	while (got < size && (!got || SSL_has_pending(conn->ssl))) {
		ERR_clear_error();
		if (!SSL_read_ex(conn->ssl, (char *)data + got, size - got, &n)) {
			ssize_t result = failed(conn);

			conn->wants_bytes = waited;
			return got ? (ssize_t)got : result;
		}
		got += n;
	}
	return (ssize_t)got;
}

void tls_end(struct conn *conn)
{
	if (!conn->ssl)
		return;
	SSL_shutdown(conn->ssl);
	SSL_free(conn->ssl);
	conn->ssl = NULL;
}
