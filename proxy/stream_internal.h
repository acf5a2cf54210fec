/*
 * stream_internal.h: what stream.c and stream_tls.c share; included by these two alone.
 */
#ifndef PROXY_STREAM_INTERNAL_H
#define PROXY_STREAM_INTERNAL_H

#include "proxy/stream.h"

/* ---- stream.c ---- */

/* Marks the stream broken and has its owner called. */
void stream_break(struct stream *stream);

/* Has `out` sent as soon as the kernel takes bytes. */
void stream_await_room(struct stream *stream);

/* ---- stream_tls.c ---- */

/*
 * As stream_read, of a stream that carries TLS: as much as fits of what has come, record after
 * record.
 */
ssize_t stream_tls_read(struct stream *stream, void *data, size_t size);

/*
 * Sends until the kernel takes no more, and returns the bytes taken. The rest must be given
 * again, at the same place of what is sent: a part of it may be on its way. With
 * stream->write_waits set, nothing can be sent until the peer's bytes were read.
 */
size_t stream_tls_send(struct stream *stream, const uint8_t *data, size_t len);

/* There is room again for what reading has to say (a part of the handshake). */
void stream_tls_may_read(struct stream *stream);

/* Sends close_notify, if the handshake is done and the kernel takes it at once. */
void stream_tls_say_end(struct ssl_st *ssl);

/* Frees it; `in_order`: after close_notify. */
void stream_tls_free(struct ssl_st *ssl, bool in_order);

#endif
