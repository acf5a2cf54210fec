#include "proxy/stream_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

void stream_break(struct stream *stream)
{
	if (stream->broken)
		return;
	stream->broken = true;
	buf_fini(&stream->out);
	event_del(&stream->writable);
	event_active(&stream->readable, EV_READ, 0);
}

/* Being announced takes memory inside libevent: without it the stream would stand still for
 * ever. */
void stream_await_room(struct stream *stream)
{
	if (event_add(&stream->writable, NULL) != 0)
		stream_break(stream);
}

/*
 * send and recv without glibc's cancellation points: nobody cancels these threads, and in a
 * program that has any, each call would take some ninety instructions more for the possibility.
 */
static ssize_t send_bytes(int fd, const void *data, size_t len)
{
	return syscall(SYS_sendto, fd, data, len, MSG_NOSIGNAL, NULL, 0);
}

static ssize_t receive_bytes(int fd, void *data, size_t size)
{
	return syscall(SYS_recvfrom, fd, data, size, 0, NULL, NULL);
}

/* Sends until the kernel takes no more; returns the bytes taken. */
static size_t send_some(struct stream *stream, const uint8_t *data, size_t len)
{
	size_t sent = 0;

	if (stream->ssl) {
		sent = stream_tls_send(stream, data, len);
		stream->sent += sent;
		return sent;
	}
	while (sent < len) {
		ssize_t n = send_bytes(stream->fd, data + sent, len - sent);

		if (n > 0)
			sent += (size_t)n;
		else if (n < 0 && errno == EINTR)
			continue;
		else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		else {
			stream_break(stream);
			break;
		}
	}
	stream->sent += sent;
	return sent;
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct stream *stream = arg;

	(void)fd, (void)what;
	if (stream->read_waits)
		stream_tls_may_read(stream);
	if (!stream_is_full(stream))
		return;
	size_t sent = send_some(stream, buf_data(&stream->out), buf_len(&stream->out));
	if (stream->broken)
		return;
	buf_consume(&stream->out, sent);
	if (!buf_len(&stream->out))
		stream->drained(stream->owner);
	else if (!stream->write_waits)
		stream_await_room(stream);
}

static void reset(struct stream *stream, int fd)
{
	stream->fd = fd;
	stream->broken = stream->reading = false;
	stream->received = stream->sent = 0;
	stream->ssl = NULL;
	stream->pending = stream->read_waits = stream->write_waits = false;
	stream->has_prefix = stream->is_secure = stream->tls_failed = false;
	stream->asides = 0;
	stream->tls_error = 0;
	buf_init(&stream->out);
}

void stream_open(struct stream *stream, struct event_base *base, int fd,
				 event_callback_fn on_readable, void (*drained)(void *owner), void *owner)
{
	reset(stream, fd);
	stream->drained = drained;
	stream->owner = owner;
	event_assign(&stream->readable, base, fd, EV_READ | EV_PERSIST, on_readable, owner);
	event_assign(&stream->writable, base, fd, EV_WRITE, on_writable, stream);
	stream_read_on(stream);
}

void stream_await(struct stream *stream, struct event_base *base, int fd,
				  event_callback_fn on_connected, void *owner)
{
	reset(stream, fd);
	event_assign(&stream->readable, base, fd, EV_READ, on_connected, owner);
	event_assign(&stream->writable, base, fd, EV_WRITE, on_connected, owner);
	/* Without memory for that, it is found out at once that the connection does not stand. */
	if (event_add(&stream->writable, NULL) != 0)
		event_active(&stream->writable, EV_WRITE, 0);
}

struct stream_held stream_hold(struct stream *stream)
{
	struct stream_held held = {stream->fd, stream->ssl};

	if (held.fd < 0)
		return held;
	event_del(&stream->readable);
	event_del(&stream->writable);
	buf_fini(&stream->out);
	stream->fd = -1;
	stream->ssl = NULL;
	stream->reading = false;
	stream->broken = true;
	return held;
}

void stream_held_close(struct stream_held *held)
{
	if (held->ssl)
		stream_tls_free(held->ssl, true);
	if (held->fd >= 0)
		close(held->fd);
	*held = (struct stream_held){.fd = -1};
}

int stream_release(struct stream *stream)
{
	bool in_order = !stream->broken && !stream->tls_failed && !stream_is_full(stream);
	struct stream_held held = stream_hold(stream);

	if (held.ssl)
		stream_tls_free(held.ssl, in_order);
	return held.fd;
}

void stream_close(struct stream *stream)
{
	int fd = stream_release(stream);

	if (fd >= 0)
		close(fd);
}

void stream_end(struct stream *stream)
{
	if (stream->ssl && !stream->tls_failed)
		stream_tls_say_end(stream->ssl);
	shutdown(stream->fd, SHUT_WR);
}

void stream_detach(struct stream *stream)
{
	event_del(&stream->readable);
	event_del(&stream->writable);
	stream->reading = false;
}

void stream_attach(struct stream *stream, struct event_base *base,
				   event_callback_fn on_readable)
{
	event_assign(&stream->readable, base, stream->fd, EV_READ | EV_PERSIST, on_readable,
				 stream->owner);
	event_assign(&stream->writable, base, stream->fd, EV_WRITE, on_writable, stream);
	stream_read_on(stream);
}

static void set_int(int fd, int level, int name, int64_t value)
{
	int word = value < INT32_MAX ? (int)value : INT32_MAX;

	setsockopt(fd, level, name, &word, sizeof word);
}

/* Whole seconds, as the kernel counts them, and at least one. */
static int64_t seconds(int64_t ms)
{
	return (ms + 999) / 1000;
}

void stream_set_tcp_options(int fd, const struct conf *conf)
{
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (conf->tcp_user_timeout_ms)
		set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, conf->tcp_user_timeout_ms);
	if (!conf->tcp_keepalive)
		return;
	set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds(conf->tcp_keepidle_ms));
	set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, seconds(conf->tcp_keepintvl_ms));
	set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, conf->tcp_keepcnt);
}

void stream_read_on(struct stream *stream)
{
	if (!stream->reading && stream->fd >= 0) {
		stream->reading = true;
		if (event_add(&stream->readable, NULL) != 0)
			stream_break(stream);
		else if (stream->pending)
			event_active(&stream->readable, EV_READ, 0);
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
	if (stream->ssl) {
		n = stream_tls_read(stream, data, size);
		stream->received += n > 0 ? (uint64_t)n : 0;
		return n;
	}
	do
		n = receive_bytes(stream->fd, data, size);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		stream->received += (uint64_t)n;
		return n;
	}
	if (n == 0) {
		errno = 0;
		return -1;
	}
	return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
}

bool stream_has_ended(const struct stream *stream)
{
	struct pollfd look = {.fd = stream->fd, .events = POLLRDHUP};

	return stream->broken || poll(&look, 1, 0) > 0;
}

bool stream_has_bytes(const struct stream *stream)
{
	char first;

	return !stream->broken && (stream->pending || syscall(SYS_recvfrom, stream->fd, &first, 1,
														  MSG_PEEK, NULL, NULL) > 0);
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
	bool was_full = stream_is_full(stream);
	if (!buf_append(&stream->out, (const uint8_t *)data + sent, len - sent))
		stream_break(stream);
	else if (!was_full && !stream->write_waits)
		stream_await_room(stream);
	return !stream->broken;
}
