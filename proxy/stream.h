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
 */
#ifndef PROXY_STREAM_H
#define PROXY_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/buf.h"
#include "conf/conf.h"

struct stream {
	int fd; /* -1 when closed */
	bool broken, reading;
	struct buf out;
	struct event readable, writable;
	void (*drained)(void *owner); /* `out` became empty after having held bytes */
	void *owner;
};

/* `on_readable(fd, what, owner)` is libevent's callback form. The stream takes the descriptor
 * over. */
void stream_open(struct stream *stream, struct event_base *base, int fd,
				 event_callback_fn on_readable, void (*drained)(void *owner), void *owner);
void stream_close(struct stream *stream);

/* As stream_close, but the descriptor stays open and is the caller's; bytes not yet taken are
 * lost. */
int stream_release(struct stream *stream);

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
