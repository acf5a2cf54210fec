#include "proxy/stream.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static void break_stream(struct stream *stream)
{
	if (stream->broken)
		return;
	stream->broken = true;
	buf_fini(&stream->out);
	event_del(&stream->writable);
	event_active(&stream->readable, EV_READ, 0);
}

/* Sends until the kernel takes no more; returns the bytes taken. */
static size_t send_some(struct stream *stream, const uint8_t *data, size_t len)
{
	size_t sent = 0;

	while (sent < len) {
		ssize_t n = send(stream->fd, data + sent, len - sent, MSG_NOSIGNAL);

		if (n > 0)
			sent += (size_t)n;
		else if (n < 0 && errno == EINTR)
			continue;
		else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		else {
			break_stream(stream);
			break;
		}
	}
	return sent;
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct stream *stream = arg;

	(void)fd, (void)what;
	size_t sent = send_some(stream, buf_data(&stream->out), buf_len(&stream->out));
	if (stream->broken)
		return;
	buf_consume(&stream->out, sent);
	if (buf_len(&stream->out))
		event_add(&stream->writable, NULL);
	else
		stream->drained(stream->owner);
}

void stream_open(struct stream *stream, struct event_base *base, int fd,
				 event_callback_fn on_readable, void (*drained)(void *owner), void *owner)
{
	stream->fd = fd;
	stream->broken = stream->reading = false;
	stream->drained = drained;
	stream->owner = owner;
	buf_init(&stream->out);
	event_assign(&stream->readable, base, fd, EV_READ | EV_PERSIST, on_readable, owner);
	event_assign(&stream->writable, base, fd, EV_WRITE, on_writable, stream);
	stream_read_on(stream);
}

void stream_await(struct stream *stream, struct event_base *base, int fd,
				  event_callback_fn on_connected, void *owner)
{
	stream->fd = fd;
	stream->broken = stream->reading = false;
	buf_init(&stream->out);
	event_assign(&stream->readable, base, fd, EV_READ, on_connected, owner);
	event_assign(&stream->writable, base, fd, EV_WRITE, on_connected, owner);
	event_add(&stream->writable, NULL);
}

void stream_close(struct stream *stream)
{
	if (stream->fd < 0)
		return;
	event_del(&stream->readable);
	event_del(&stream->writable);
	buf_fini(&stream->out);
	close(stream->fd);
	stream->fd = -1;
	stream->reading = false;
	stream->broken = true;
}

void stream_read_on(struct stream *stream)
{
	if (!stream->reading && stream->fd >= 0) {
		stream->reading = true;
		event_add(&stream->readable, NULL);
	}
}

void stream_read_off(struct stream *stream)
{
	if (stream->reading) {
		stream->reading = false;
		event_del(&stream->readable);
		/* A broken stream's owner is still to be told: event_del took the call back. */
		if (stream->broken)
			event_active(&stream->readable, EV_READ, 0);
	}
}

ssize_t stream_read(struct stream *stream, void *data, size_t size)
{
	ssize_t n;

	errno = 0;
	if (stream->broken)
		return -1;
	do
		n = recv(stream->fd, data, size, 0);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		return n;
	if (n == 0) {
		errno = 0;
		return -1;
	}
	return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
}

bool stream_write(struct stream *stream, const void *data, size_t len)
{
	size_t sent = 0;

	if (stream->broken)
		return false;
	if (!stream_is_full(stream))
		sent = send_some(stream, data, len);
	if (stream->broken)
		return false;
	if (sent == len)
		return true;
	if (!stream_is_full(stream))
		event_add(&stream->writable, NULL);
	if (!buf_append(&stream->out, (const uint8_t *)data + sent, len - sent)) {
		break_stream(stream);
		return false;
	}
	return true;
}
