/*
 * stream.h: one non-blocking socket in a worker's event loop.
 *
 * Reading is announced by a persistent event. Writing is tried at once; what the kernel does
 * not take is kept in `out` and sent when the socket becomes writable, and the owner stops
 * reading whoever feeds this stream until `out` is empty again. Nothing here allocates while
 * bytes flow freely.
 *
 * A write that fails does not call the owner back in the middle of its own work: the stream is
 * marked broken and the owner's read callback is run from the event loop, where it finds the
 * stream at its end.
 *
 * A stream is plain, or carries TLS once stream_start_tls was called (stream_tls.c). The
 * handshake is no state of the owner's: it goes on in the reads and writes, which give and take
 * nothing until it is done. OpenSSL works on the descriptor and in the caller's buffers, and
 * bytes that it has read ahead are announced as those in the kernel are.
 */
#ifndef PROXY_STREAM_H
#define PROXY_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/buf.h"
#include "conf/conf.h"

struct ssl_st;

struct stream {
	int fd; /* -1 when closed */
	bool broken, reading;
	uint64_t received, sent; /* bytes of its owner's */
	struct ssl_st *ssl;      /* NULL: plain */
	struct buf out;

	/* Of TLS alone. */
	bool pending;                 /* it may give more bytes without the kernel's */
	bool read_waits, write_waits; /* reading waits for room, writing for bytes */
	bool has_prefix;              /* it reads what was read before it began */
	bool is_secure;               /* the handshake is done */
	bool tls_failed;              /* nothing can be said through it any more */
	uint16_t asides;              /* messages of TLS's own since the last data */
	size_t may_take;              /* bytes that reading may still take from the kernel now */
	unsigned long tls_error;      /* OpenSSL's code for that, or 0: the connection broke */
	struct event readable, writable;
	void (*drained)(void *owner); /* `out` became empty after having held bytes */
	void *owner;
};

/* `on_readable(fd, what, owner)` is libevent's callback form. The stream takes the descriptor
 * over. */
void stream_open(struct stream *stream, struct event_base *base, int fd,
				 event_callback_fn on_readable, void (*drained)(void *owner), void *owner);

/* Ends TLS in order where that can be done at once (close_notify), and closes the descriptor.
 */
void stream_close(struct stream *stream);

/* As stream_close, but the descriptor stays open and is the caller's; bytes not yet taken are
 * lost. */
int stream_release(struct stream *stream);

/* A connection that was taken out of its stream, to be kept open and closed in order. */
struct stream_held {
	int fd; /* -1: none */
	struct ssl_st *ssl;
};

/* Takes the connection out of the stream, which is closed then, without a word to the peer. */
struct stream_held stream_hold(struct stream *stream);
void stream_held_close(struct stream_held *held);

/* Nothing more is written: close_notify, and the end of the sending half. `out` is empty. */
void stream_end(struct stream *stream);

/* Leaves the loop, with no bytes kept, for stream_attach on another worker's. */
void stream_detach(struct stream *stream);
void stream_attach(struct stream *stream, struct event_base *base,
				   event_callback_fn on_readable);

/* TCP_NODELAY, and keep-alive probes and limits as the settings have them (tcp(7)). */
void stream_set_tcp_options(int fd, const struct conf *conf);

/*
 * Waits for a connect() under way on `fd` to end; `on_connected` is called once, when it has
 * ended either way, and then calls stream_open with the same descriptor. The stream owns the
 * descriptor from now on.
 */
void stream_await(struct stream *stream, struct event_base *base, int fd,
				  event_callback_fn on_connected, void *owner);

/* Starts and stops the announcements; idempotent. */
void stream_read_on(struct stream *stream);
void stream_read_off(struct stream *stream);

/*
 * Reads what is there, at most `size` bytes: > 0 bytes read, 0 nothing now, -1 end of stream or
 * error (errno is 0 at a plain end).
 */
ssize_t stream_read(struct stream *stream, void *data, size_t size);

/* Sends or keeps all of it. False when the stream broke now or earlier. */
bool stream_write(struct stream *stream, const void *data, size_t len);

/*
 * From now on the stream carries TLS, in the role that `ssl` was made for; it is taken over.
 * `data` was read already and is the beginning of the handshake (NULL: nothing was). The
 * stream is open, and `out` empty. False when memory is out; `ssl` is freed then.
 */
bool stream_start_tls(struct stream *stream, struct ssl_st *ssl, const void *data, size_t len);

/* Does it carry TLS, and is the handshake done? */
bool stream_is_secure(const struct stream *stream);

/*
 * Did TLS fail, rather than the connection end? `text` is then why, in OpenSSL's words. To be
 * asked before the stream is closed.
 */
bool stream_tls_failure(const struct stream *stream, char *text, size_t size);

/* TLS has failed, and the owner will only drain the connection: it is plain again, and not
 * broken. */
void stream_drop_tls(struct stream *stream);

/* Has the other side closed it, or its sending half, whatever is still to be read? One system
 * call. */
bool stream_has_ended(const struct stream *stream);

/* Has something come in that was not read yet? One system call. */
bool stream_has_bytes(const struct stream *stream);

/* Are there bytes that the kernel has not taken? */
static inline bool stream_is_full(const struct stream *stream)
{
	return buf_len(&stream->out) > 0;
}

#endif
