/*
 * TLS on a stream.
 *
 * OpenSSL reads and writes the descriptor itself. Its queue of errors belongs to the thread and
 * must be empty before each call, or SSL_get_error would report what another stream left there.
 * With read-ahead one system call brings all the records that fit into OpenSSL's buffer, so
 * that a short message costs one call as in the clear; what stays in that buffer makes no
 * event, and `pending` is there to make one.
 */
#include "proxy/stream_internal.h"

#include <errno.h>
#include <stdio.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

/*
 * Messages of TLS's own (KeyUpdate) that may come without a byte of data between them, in
 * either direction: some milliseconds of work. Nobody needs two, since a key is good for
 * gigabytes, but who changes keys as it reads a long answer sends some before the next part of
 * it is written. What is in OpenSSL's buffer by then, 16 kB at the most, is still taken.
 */
#define ASIDES_MAX 1000

/* What a call that did not succeed has come to. */
enum outcome {
	WANTS_BYTES,
	WANTS_ROOM,
	IS_OVER, /* the peer's close_notify, or the end of the connection */
	FAILED,
};

/* Nearly always there is nothing, which costs less to see than to take away. */
static void forget_errors(void)
{
	if (ERR_peek_error())
		ERR_clear_error();
}

/* errno stays what the system said, or is 0 at a plain end. */
static enum outcome outcome_of(struct stream *stream)
{
	unsigned long error = ERR_peek_error();

	switch (SSL_get_error(stream->ssl, 0)) {
	case SSL_ERROR_WANT_READ:
		return WANTS_BYTES;
	case SSL_ERROR_WANT_WRITE:
		return WANTS_ROOM;
	case SSL_ERROR_ZERO_RETURN:
		errno = 0;
		return IS_OVER;
	case SSL_ERROR_SYSCALL:
		stream->tls_failed = true;
		if (stream->asides <= ASIDES_MAX)
			return IS_OVER;
		stream->tls_error = ERR_PACK(ERR_LIB_SSL, 0, SSL_R_TOO_MANY_KEY_UPDATES);
		errno = EPROTO;
		return FAILED;
	default:
		stream->tls_failed = true;
		if (ERR_GET_REASON(error) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
			errno = 0;
			return IS_OVER;
		}
		stream->tls_error = error;
		errno = EPROTO;
		return FAILED;
	}
}

/* ---- reading ---- */

/*
 * Bytes that one call takes from the kernel, about as many as the owners' buffers hold. OpenSSL
 * reads on until it has data for us, and a peer may send other things for as long as it likes
 * (KeyUpdate): the worker has other connections. What is left there makes an event.
 */
#define TAKEN_MAX 65536

static long count_taken(BIO *bio, int what, const char *data, size_t len, int number, long more,
						int result, size_t *done)
{
	struct stream *stream = (struct stream *)(void *)BIO_get_callback_arg(bio);

	(void)data, (void)len, (void)number, (void)more;
	if (what == BIO_CB_READ && (!stream->may_take || stream->asides > ASIDES_MAX)) {
		BIO_clear_retry_flags(bio);
		if (stream->asides <= ASIDES_MAX)
			BIO_set_retry_read(bio);
		return -1;
	}
	if (what == (BIO_CB_READ | BIO_CB_RETURN) && result > 0)
		stream->may_take -= *done < stream->may_take ? *done : stream->may_take;
	return result;
}

static void bound(struct stream *stream, BIO *bio)
{
	BIO_set_callback_ex(bio, count_taken);
	BIO_set_callback_arg(bio, (char *)stream);
}

/* The only steps that begin in the state TLS_ST_OK are those for messages behind the handshake.
 * SSL_is_init_finished would not do: it is false while the answer to one waits for room. */
static void on_step(const SSL *ssl, int where, int result)
{
	BIO *bio = SSL_get_rbio(ssl);
	struct stream *stream = (struct stream *)(void *)BIO_get_callback_arg(bio);

	(void)result;
	if (!stream) /* the handshake has only begun: see make_prefix */
		return;
	if (where & SSL_CB_HANDSHAKE_DONE)
		stream->is_secure = true;
	else if (where & SSL_CB_LOOP && SSL_get_state(ssl) == TLS_ST_OK)
		stream->asides++;
}

/* What was read before TLS began is used up: the rest comes from the descriptor. */
static bool leave_prefix(struct stream *stream)
{
	BIO *bio = BIO_new_socket(stream->fd, BIO_NOCLOSE);

	stream->has_prefix = false;
	if (!bio) {
		stream_break(stream);
		return false;
	}
	bound(stream, bio);
	SSL_set0_rbio(stream->ssl, bio);
	return true;
}

/* The owner is to be called again without the kernel's doing. */
static void make_event(struct stream *stream)
{
	stream->pending = true;
	if (stream->reading)
		event_active(&stream->readable, EV_READ, 0);
}

void stream_tls_may_read(struct stream *stream)
{
	stream->read_waits = false;
	make_event(stream);
}

/* One record. 1: *got is its bytes; 0: nothing now; -1: the end. */
static int read_record(struct stream *stream, void *data, size_t size, size_t *got)
{
	for (;;) {
		forget_errors();
		errno = 0;
		if (SSL_read_ex(stream->ssl, data, size, got)) {
			stream->asides = 0;
			return 1;
		}
		switch (outcome_of(stream)) {
		case WANTS_BYTES:
			if (!stream->has_prefix)
				return 0;
			if (!leave_prefix(stream))
				return -1;
			continue;
		case WANTS_ROOM:
			stream->read_waits = true;
			stream_await_room(stream);
			return 0;
		case IS_OVER:
		case FAILED:
			return -1;
		}
	}
}

ssize_t stream_tls_read(struct stream *stream, void *data, size_t size)
{
	size_t got = 0, n;
	int result = 1;

	stream->pending = false;
	stream->may_take = TAKEN_MAX;
	while (got < size && (!got || SSL_has_pending(stream->ssl))) {
		result = read_record(stream, (uint8_t *)data + got, size - got, &n);
		if (result <= 0)
			break;
		got += n;
	}
	/* What was written waited for bytes; some have come. */
	if (stream->write_waits && result >= 0) {
		stream->write_waits = false;
		event_active(&stream->writable, EV_WRITE, 0);
	}
	if (!got)
		return result;
	/* The buffer is full, or the end was seen, which will be seen again. */
	if (result < 0 || (got == size && SSL_has_pending(stream->ssl)))
		make_event(stream);
	return (ssize_t)got;
}

/* ---- writing ---- */

size_t stream_tls_send(struct stream *stream, const uint8_t *data, size_t len)
{
	size_t sent = 0, n;

	while (sent < len) {
		forget_errors();
		errno = 0;
		if (SSL_write_ex(stream->ssl, data + sent, len - sent, &n)) {
			sent += n;
			stream->asides = 0;
			continue;
		}
		switch (outcome_of(stream)) {
		case WANTS_BYTES:
			stream->write_waits = true;
			return sent;
		case WANTS_ROOM:
			return sent;
		case IS_OVER:
		case FAILED:
			stream_break(stream);
			return sent;
		}
	}
	return sent;
}

/* ---- beginning and end ---- */

/* The memory gives `data` and then, instead of an end, "not now", upon which leave_prefix is
 * called. */
static BIO *make_prefix(const void *data, size_t len)
{
	BIO *bio = BIO_new(BIO_s_mem());

	if (bio && BIO_write(bio, data, (int)len) == (int)len) {
		BIO_set_mem_eof_return(bio, -1);
		return bio;
	}
	BIO_free(bio);
	return NULL;
}

bool stream_start_tls(struct stream *stream, SSL *ssl, const void *data, size_t len)
{
	BIO *prefix = data ? make_prefix(data, len) : NULL;

	if ((data && !prefix) || SSL_set_fd(ssl, stream->fd) != 1) {
		BIO_free(prefix);
		SSL_free(ssl);
		return false;
	}
	if (prefix)
		SSL_set0_rbio(ssl, prefix);
	else
		bound(stream, SSL_get_rbio(ssl));
	SSL_set_info_callback(ssl, on_step);
	stream->ssl = ssl;
	stream->has_prefix = prefix != NULL;
	if (prefix)
		make_event(stream);
	return true;
}

bool stream_is_secure(const struct stream *stream)
{
	return stream->ssl && stream->is_secure;
}

void stream_tls_say_end(SSL *ssl)
{
	if (!SSL_is_init_finished(ssl) || (SSL_get_shutdown(ssl) & SSL_SENT_SHUTDOWN))
		return;
	ERR_clear_error();
	SSL_shutdown(ssl);
	ERR_clear_error();
}

void stream_tls_free(SSL *ssl, bool in_order)
{
	if (in_order)
		stream_tls_say_end(ssl);
	SSL_free(ssl);
}

void stream_drop_tls(struct stream *stream)
{
	SSL_free(stream->ssl);
	stream->ssl = NULL;
	stream->tls_error = 0;
	stream->pending = stream->read_waits = stream->write_waits = false;
	buf_fini(&stream->out);
	event_del(&stream->writable);
}

bool stream_tls_failure(const struct stream *stream, char *text, size_t size)
{
	long verdict;

	if (!stream->tls_error)
		return false;
	const char *why = ERR_reason_error_string(stream->tls_error);
	verdict = SSL_get_verify_result(stream->ssl);
	if (ERR_GET_REASON(stream->tls_error) == SSL_R_CERTIFICATE_VERIFY_FAILED)
		snprintf(text, size, "the certificate is refused: %s",
				 X509_verify_cert_error_string(verdict));
	else
		snprintf(text, size, "%s", why ? why : "TLS failed");
	return true;
}
