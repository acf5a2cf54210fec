/* One connection: connecting, logging in, and a transaction's steps, without blocking. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "load.h"

#define PROTOCOL_3 196608u

/* ---- sending ---- */

static void watch(struct load *load, struct conn *conn, bool write)
{
	struct epoll_event event = {.events = EPOLLIN | (write ? EPOLLOUT : 0), .data.ptr = conn};

	if (conn->wants_write == write)
		return;
	if (epoll_ctl(load->epoll, EPOLL_CTL_MOD, conn->fd, &event) != 0)
		fail("epoll_ctl: %s", strerror(errno));
	conn->wants_write = write;
}

/* Sends what fits of some bytes. True when all of them are gone. */
static bool push(struct load *load, struct conn *conn, const struct bytes *from, size_t *sent)
{
	while (*sent < from->len) {
		ssize_t n = tls_send(conn, from->data + *sent, from->len - *sent);

		if (n < 0 && errno == EAGAIN)
			return false;
		if (n < 0 && errno != EINTR)
			fail("send: %s", strerror(errno));
		if (n > 0) {
			*sent += (size_t)n;
			load->bytes_out += (uint64_t)n;
		}
	}
	return true;
}

static void flush(struct load *load, struct conn *conn)
{
	if (!push(load, conn, &conn->out, &conn->sent)) {
		watch(load, conn, !conn->wants_bytes);
		return;
	}
	conn->out.len = conn->sent = 0;
	if (conn->bulk) {
		if (!push(load, conn, conn->bulk, &conn->bulk_sent)) {
			watch(load, conn, !conn->wants_bytes);
			return;
		}
		conn->bulk = NULL;
		conn->bulk_sent = 0;
	}
	watch(load, conn, false);
}

/* ---- opening and closing ---- */

static int open_socket(const struct options *options)
{
	struct sockaddr_in tcp = {.sin_family = AF_INET,
							  .sin_port = htons((uint16_t)options->port)};
	struct sockaddr_un local = {.sun_family = AF_UNIX};
	bool is_local = options->host[0] == '/';
	int fd =
		socket(is_local ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail("socket: %s", strerror(errno));
	if (is_local) {
		snprintf(local.sun_path, sizeof local.sun_path, "%s/.s.PGSQL.%d", options->host,
				 options->port);
		if (connect(fd, (struct sockaddr *)&local, sizeof local) != 0)
			fail("connect to %s: %s", local.sun_path, strerror(errno));
		return fd;
	}
	if (inet_pton(AF_INET, options->host, &tcp.sin_addr) != 1)
		fail("%s is not an address", options->host);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	if (connect(fd, (struct sockaddr *)&tcp, sizeof tcp) != 0 && errno != EINPROGRESS)
		fail("connect to port %d: %s", options->port, strerror(errno));
	return fd;
}

static void add_key(struct conn *conn, const char *name, const char *value)
{
	bytes_append(&conn->out, name, strlen(name) + 1);
	bytes_append(&conn->out, value, strlen(value) + 1);
}

static void put_length(struct conn *conn, size_t at)
{
	uint32_t len = htonl((uint32_t)(conn->out.len - at));

	memcpy(conn->out.data + at, &len, sizeof len);
}

static void add_startup(struct conn *conn, const struct options *options)
{
	char user[256], database[256];
	int tenant = options->first_tenant + conn->tenant;
	uint32_t version = htonl(PROTOCOL_3);

	snprintf(user, sizeof user, "%s", options->user);
	if (options->user_by_tenant)
		snprintf(user, sizeof user, "%s.t%04d", options->user, tenant);
	snprintf(database, sizeof database, "%s", options->database);
	if (options->database_by_tenant)
		snprintf(database, sizeof database, "%s_%d", options->database, tenant);
	bytes_append(&conn->out, "\0\0\0", 4);
	bytes_append(&conn->out, &version, sizeof version);
	add_key(conn, "user", user);
	add_key(conn, "database", database);
	bytes_append(&conn->out, "", 1);
	put_length(conn, 0);
}

void conn_open(struct load *load, struct conn *conn)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = conn};

	conn->started = now_ns();
	conn->fd = open_socket(&load->options);
	conn->state = CONN_CONNECTING;
	conn->wants_write = true;
	conn->script = (struct script_state){0};
	conn->head_len = conn->body_len = 0;
	conn->body_left = 0;
	conn->out.len = conn->sent = 0;
	conn->wants_bytes = false;
	if (load->options.tls)
		bytes_append(&conn->out, "\0\0\0\x08\x04\xd2\x16\x2f", 8);
	else
		add_startup(conn, &load->options);
	if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, conn->fd, &event) != 0)
		fail("epoll_ctl: %s", strerror(errno));
}

void conn_close(struct load *load, struct conn *conn)
{
	static const uint8_t terminate[5] = {'X', 0, 0, 0, 4};

	(void)load;
	if (tls_send(conn, terminate, sizeof terminate) < 0)
		fail("the server closed the connection");
	tls_end(conn);
	close(conn->fd);
	conn->fd = -1;
	conn->state = CONN_CLOSED;
}

/* ---- logging in ---- */

static void answer_sasl(struct load *load, struct conn *conn, const char *data, size_t len,
						bool first)
{
	size_t at;
	uint32_t data_len = htonl((uint32_t)len);

	bytes_append(&conn->out, "p\0\0\0", 5);
	at = conn->out.len - 4;
	if (first) {
		bytes_append(&conn->out, "SCRAM-SHA-256", 14);
		bytes_append(&conn->out, &data_len, sizeof data_len);
	}
	bytes_append(&conn->out, data, len);
	put_length(conn, at);
	flush(load, conn);
}

static void authenticate(struct load *load, struct conn *conn)
{
	char answer[SCRAM_MESSAGE_MAX];
	const char *data = (const char *)conn->body + 4;
	uint32_t request;

	memcpy(&request, conn->body, sizeof request);
	switch (ntohl(request)) {
	case 0:
		return;
	case 10:
		answer_sasl(load, conn, answer, scram_first(&conn->scram, answer), true);
		return;
	case 11:
		answer_sasl(load, conn, answer,
					scram_final(&conn->scram, load->options.password, data, answer), false);
		return;
	case 12:
		if (!scram_verify(&conn->scram, data))
			fail("the server did not prove itself");
		return;
	default:
		fail("authentication request %u is not SCRAM-SHA-256", ntohl(request));
	}
}

/* ---- transactions ---- */

/* Sends the next step. True when there is none. */
static bool next_step(struct load *load, struct conn *conn)
{
	struct expectation expected =
		script_step(&conn->script, conn->step++, conn->job_tenant, conn->row, &conn->out);

	if (conn->rows_left != 0)
		fail("%ld rows too %s for a step of tenant %d", labs(conn->rows_left),
			 conn->rows_left > 0 ? "few" : "many", conn->job_tenant);
	if (expected.ready == 0)
		return true;
	conn->ready_left = expected.ready;
	conn->rows_left = expected.rows;
	flush(load, conn);
	return false;
}

void conn_start(struct load *load, struct conn *conn, int tenant, long row)
{
	conn->state = CONN_BUSY;
	conn->step = 0;
	conn->job_tenant = tenant;
	conn->row = row;
	conn->rows_left = 0;
	if (!load->options.churn)
		conn->started = now_ns();
	next_step(load, conn);
}

/* ---- receiving ---- */

static void fail_with_error(const struct conn *conn)
{
	const char *code = "", *message = "";

	for (const char *p = (const char *)conn->body;
		 *p && p < (const char *)conn->body + conn->body_len; p += strlen(p) + 1) {
		if (*p == 'C')
			code = p + 1;
		if (*p == 'M')
			message = p + 1;
	}
	fail("ERROR %s: %s", code, message);
}

/* A whole message. True when it ends a login or a transaction. */
static bool take_message(struct load *load, struct conn *conn)
{
	conn->body[conn->body_len] = '\0';
	switch (conn->head[0]) {
	case 'R':
		if (conn->state == CONN_LOGIN)
			authenticate(load, conn);
		return false;
	case 'E':
		fail_with_error(conn);
		return false;
	case 'D':
		conn->rows_left--;
		return false;
	case 'C':
		if (strcmp((const char *)conn->body, "UPDATE 0") == 0)
			fail("an UPDATE found no row of tenant %d", conn->job_tenant);
		return false;
	case 'G':
		conn->bulk = script_copy_data();
		flush(load, conn);
		return false;
	case 'Z':
		if (conn->state == CONN_LOGIN)
			return true;
		return --conn->ready_left == 0 && next_step(load, conn);
	default:
		return false;
	}
}

static uint32_t body_length(const struct conn *conn)
{
	uint32_t len;

	memcpy(&len, conn->head + 1, sizeof len);
	len = ntohl(len);
	if (len < 4)
		fail("a message of length %u", len);
	return len - 4;
}

static size_t take_head(struct conn *conn, const uint8_t *data, size_t len)
{
	size_t wanted = sizeof conn->head - conn->head_len, n = len < wanted ? len : wanted;

	memcpy(conn->head + conn->head_len, data, n);
	conn->head_len += (unsigned)n;
	if (conn->head_len == sizeof conn->head) {
		conn->body_left = body_length(conn);
		conn->body_len = 0;
	}
	return n;
}

/* Keeps the start of the body and counts the rest. */
static size_t take_body(struct conn *conn, const uint8_t *data, size_t len)
{
	size_t n = len < conn->body_left ? len : conn->body_left;
	size_t room = sizeof conn->body - 1 - conn->body_len, kept = n < room ? n : room;

	if (conn->head[0] != 'D' && conn->head[0] != 'd') {
		memcpy(conn->body + conn->body_len, data, kept);
		conn->body_len += (unsigned)kept;
	}
	conn->body_left -= (uint32_t)n;
	return n;
}

/* The messages in some bytes. True when one of them ended a login or a transaction. */
static bool take(struct load *load, struct conn *conn, const uint8_t *data, size_t len)
{
	bool ended = false;

	while (len > 0) {
		size_t n = conn->head_len < sizeof conn->head ? take_head(conn, data, len)
													  : take_body(conn, data, len);
		data += n;
		len -= n;
		if (conn->head_len == sizeof conn->head && conn->body_left == 0) {
			conn->head_len = 0;
			ended |= take_message(load, conn);
		}
	}
	return ended;
}

static void check_connected(struct load *load, struct conn *conn)
{
	int error = 0;
	socklen_t size = sizeof error;

	getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error)
		fail("connect to port %d: %s", load->options.port, strerror(error));
	conn->state = load->options.tls ? CONN_TLS_ASKED : CONN_LOGIN;
}

static void take_tls_answer(struct load *load, struct conn *conn)
{
	char answer;

	if (recv(conn->fd, &answer, 1, 0) != 1 || answer != 'S')
		fail("the server has no TLS");
	conn->state = CONN_LOGIN;
	tls_begin(conn);
	conn->out.len = conn->sent = 0;
	add_startup(conn, &load->options);
	flush(load, conn);
}

/* A login or a transaction is over. */
static bool settle(struct load *load, struct conn *conn)
{
	if (conn->state == CONN_LOGIN) {
		load->logins++;
	} else {
		load->transactions++;
		if (!load->options.churn)
			hist_add(&load->hist, now_ns() - conn->started);
	}
	conn->state = CONN_IDLE;
	return true;
}

bool conn_event(struct load *load, struct conn *conn, uint32_t events)
{
	if (conn->state == CONN_CONNECTING)
		check_connected(load, conn);
	if (events & EPOLLOUT)
		flush(load, conn);
	if (!(events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
		return false;

	if (conn->state == CONN_TLS_ASKED) {
		take_tls_answer(load, conn);
		return false;
	}
	ssize_t n = tls_receive(conn, load->buffer, BUFFER_SIZE);
	bool nothing = n < 0 && (errno == EAGAIN || errno == EINTR);
	if (conn->wants_bytes && (n > 0 || nothing))
		flush(load, conn);
	if (nothing)
		return false;
	if (n <= 0)
		fail("the server closed the connection%s%s", n < 0 ? ": " : "",
			 n < 0 ? strerror(errno) : "");
	load->bytes_in += (uint64_t)n;
	return take(load, conn, load->buffer, (size_t)n) && settle(load, conn);
}
