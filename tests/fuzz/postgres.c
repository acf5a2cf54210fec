#include "tests/fuzz/postgres.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "policy/guard/guard.h"
#include "proxy/settings.h"
#include "proxy/wire.h"
#include "tests/fuzz/postgres_session.h"

#define CANCEL_CODE 80877102u
#define CANCEL_KEY  0x12345678u

/* ---- marks ---- */

const char *mark_find(const struct postgres_world *world, const void *data, size_t len)
{
	const char *at = data;
	size_t size = sizeof world->secret - 1;

	for (size_t i = 0; i + size <= len; i++) {
		if (at[i] == world->secret[0] && memcmp(at + i, world->secret, size) == 0)
			return at + i;
	}
	return NULL;
}

void mark_client(const struct postgres_world *world, unsigned serial, size_t tenant,
				 char out[MARK_MAX])
{
	snprintf(out, MARK_MAX, "from-%c%c-%zu-%s", 'A' + (char)(serial / 26),
			 'A' + (char)(serial % 26), tenant, world->secret);
}

int mark_row_tenant(const char *secret, const void *data)
{
	static const char word[] = "row-0-";
	size_t len = sizeof word - 1;

	if ((size_t)(secret - (const char *)data) < len || memcmp(secret - len, word, 4) != 0)
		return -1;
	return secret[-2] - '0';
}

unsigned mark_client_of(const char *secret, const void *data, size_t *tenant)
{
	static const char word[] = "from-AA-0-";
	size_t len = sizeof word - 1;

	if ((size_t)(secret - (const char *)data) < len || memcmp(secret - len, word, 5) != 0)
		return 0;
	*tenant = (size_t)(secret[-2] - '0');
	return (unsigned)(secret[-5] - 'A') * 26 + (unsigned)(secret[-4] - 'A');
}

/* ---- answers ---- */

static void append_row(struct postgres *postgres, const char *const values[], size_t count)
{
	struct buf *out = &postgres->out;
	size_t mark;

	require(wire_begin(out, 'D', &mark) && buf_append_u16(out, (uint16_t)count));
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(values[i]);

		require(buf_append_u32(out, (uint32_t)len) && buf_append(out, values[i], len));
	}
	require(wire_end(out, mark));
}

static void append_own_row(struct postgres *postgres)
{
	const struct postgres_world *world = postgres->world;
	char text[MARK_MAX] = "nobody's";
	const char *const values[] = {text};

	for (size_t i = 0; i < world->tenant_count && postgres->honest; i++) {
		if (postgres->sealed == world->tenants[i])
			snprintf(text, sizeof text, "row-%zu-%s", i, world->secret);
	}
	append_row(postgres, values, 1);
}

static void append_check_row(struct postgres *postgres)
{
	char now[24];
	const char *const values[GUARD_CHECK_COLUMNS] = {"150000",      "pool",       "",  "on",
													 GUARD_VERSION, INSTALLATION, now, ""};

	snprintf(now, sizeof now, "%lld", (long long)clock_wall_ms());
	append_row(postgres, values, GUARD_CHECK_COLUMNS);
}

static void append_any_row(struct postgres *postgres)
{
	switch (postgres->row) {
	case ROW_OWN:
		append_own_row(postgres);
		break;
	case ROW_SEAL:
		append_row(postgres, (const char *const[]){postgres->sealed->seal}, 1);
		break;
	case ROW_CHECK:
		append_check_row(postgres);
		break;
	case ROW_STATE:
		require(wire_message(&postgres->out, 'D', buf_data(&postgres->answer),
							 buf_len(&postgres->answer)));
		break;
	}
}

static void append_ready(struct postgres *postgres, char status)
{
	const char *name = session_application_name(postgres);

	if (strcmp(name, postgres->told) != 0) {
		snprintf(postgres->told, sizeof postgres->told, "%s", name);
		require(wire_parameter_status(&postgres->out, "application_name", name));
	}
	require(wire_ready_for_query(&postgres->out, status));
}

static void answer(void *self, char type, const char *text)
{
	struct postgres *postgres = self;
	struct buf *out = &postgres->out;

	trace("server %u answers %c %s\n", postgres->pid, type, text ? text : "");
	session_answers(postgres, type, text);
	switch (type) {
	case 'C':
		require(wire_command_complete(out, text));
		break;
	case 'D':
		append_any_row(postgres);
		break;
	case 'E':
		require(wire_error_text(out, "ERROR", text, "no", NULL));
		break;
	case 'Z':
		append_ready(postgres, *text);
		break;
	case 'G':
	case 'H':
		require(wire_message(out, type, "\0\0", 3));
		break;
	case 't':
	case 'T':
		require(wire_message(out, type, "\0", 2));
		break;
	case 'd':
		require(wire_message(out, type, "1\n", 2));
		break;
	default:
		require(wire_message(out, type, "", 0));
	}
}

/* ---- the connection ---- */

void postgres_open(struct postgres *postgres, struct postgres_world *world, int fd)
{
	memset(postgres, 0, sizeof *postgres);
	postgres->world = world;
	postgres->fd = fd;
	postgres->honest = true;
	snprintf(postgres->told, sizeof postgres->told, "%s", SETTINGS_MARKER);
	postgres->host = (struct loop_host){
		postgres, session_run, session_fails, session_is_statement, session_has_rows, answer};
	loop_init(&postgres->loop, &postgres->host);
	postgres->pid = (uint32_t)fd + 1000;
}

void postgres_close(struct postgres *postgres)
{
	if (postgres->fd >= 0)
		close(postgres->fd);
	postgres->fd = -1;
	buf_fini(&postgres->in);
	buf_fini(&postgres->out);
	buf_fini(&postgres->answer);
}

static void flush(struct postgres *postgres)
{
	while (postgres->fd >= 0 && buf_len(&postgres->out)) {
		ssize_t n = send(postgres->fd, buf_data(&postgres->out), buf_len(&postgres->out),
						 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			postgres_close(postgres);
			return;
		}
		buf_consume(&postgres->out, (size_t)n);
	}
	if (postgres->loop.dead)
		postgres_close(postgres);
}

static void receive(struct postgres *postgres)
{
	static uint8_t bytes[1 << 17];
	ssize_t n = recv(postgres->fd, bytes, sizeof bytes, MSG_DONTWAIT);

	if (n > 0) {
		size_t skipped = (uint64_t)n < postgres->skip ? (size_t)n : (size_t)postgres->skip;

		postgres->skip -= skipped;
		require(buf_append(&postgres->in, bytes + skipped, (size_t)n - skipped));
	} else if (n == 0 || errno != EAGAIN) {
		postgres->loop.dead = true;
	}
}

/* The client that Bulkhead works for: the last one in what was sent, also where it waits. */
static unsigned client_now(struct postgres *postgres)
{
	unsigned client = postgres->asked_last, found;
	const char *data, *end, *secret;
	size_t tenant;

	receive(postgres);
	if (!buf_len(&postgres->in))
		return client;
	data = (const char *)buf_data(&postgres->in);
	end = data + buf_len(&postgres->in);
	for (const char *at = data;
		 (secret = mark_find(postgres->world, at, (size_t)(end - at))) != NULL;
		 at = secret + 1) {
		found = mark_client_of(secret, data, &tenant);
		client = found ? found : client;
	}
	return client;
}

static void cancel(struct postgres_world *world, uint32_t pid)
{
	for (size_t i = 0; i < world->server_count; i++) {
		struct postgres *postgres = &world->servers[i];

		if (postgres->fd >= 0 && postgres->pid == pid && !postgres->is_cancel) {
			postgres->cancelled = true;
			postgres->cancelled_for = client_now(postgres);
			trace("server %u is cancelled for client %u\n", pid, postgres->cancelled_for);
		}
	}
}

static void log_in(struct postgres *postgres, const uint8_t *packet, size_t len)
{
	struct buf *out = &postgres->out;
	size_t mark;

	require(len >= 8);
	postgres->started = true;
	if (wire_u32(packet + 4) == CANCEL_CODE) {
		postgres->is_cancel = postgres->loop.dead = true;
		require(len == 16 && wire_u32(packet + 12) == CANCEL_KEY);
		cancel(postgres->world, wire_u32(packet + 8));
		return;
	}
	require(wire_u32(packet + 4) == WIRE_VERSION_3_0);
	require(wire_authentication(out, AUTH_OK, "", 0));
	require(wire_parameter_status(out, "client_encoding", "UTF8") &&
			wire_parameter_status(out, "server_version", "15.0") &&
			wire_parameter_status(out, "application_name", SETTINGS_MARKER));
	require(wire_begin(out, 'K', &mark) && buf_append_u32(out, postgres->pid) &&
			buf_append_u32(out, CANCEL_KEY) && wire_end(out, mark));
	answer(postgres, 'Z', "I");
}

static void read_message(struct postgres *postgres, const struct message *message)
{
	trace("server %u reads %c %.*s\n", postgres->pid, message->type, (int)message->len,
		  (const char *)message->body + (message->type != 'Q' && message->len));
	require(strchr("PBDECSHQFdcfX", message->type));
	session_note(postgres, message);
	loop_read(&postgres->loop, message);
}

/* One message off the bytes; false when none is whole. Of a long body only the start is seen.
 */
static bool serve_one(struct postgres *postgres)
{
	struct buf *in = &postgres->in;
	const uint8_t *data = buf_data(in);
	size_t header = postgres->started ? WIRE_HEADER : 4;

	if (buf_len(in) < header)
		return false;
	uint64_t total = header - 4 + (uint64_t)wire_u32(data + header - 4);
	require(total >= header && total <= (1u << 30) + 1);
	size_t seen = total < header + TEXT_MAX ? (size_t)total : header + TEXT_MAX;
	if (buf_len(in) < seen)
		return false;
	if (!postgres->started)
		log_in(postgres, data, seen);
	else
		read_message(postgres, &(struct message){(char)data[0], data + header, seen - header});
	size_t there = total < buf_len(in) ? (size_t)total : buf_len(in);
	postgres->skip = total - there;
	buf_consume(in, there);
	return true;
}

bool postgres_serve(struct postgres *postgres, unsigned count)
{
	if (postgres->fd < 0)
		return false;
	bool any = false;

	receive(postgres);
	while (count-- && !postgres->skip && serve_one(postgres))
		any = true;
	flush(postgres);
	return any;
}

void postgres_lie(struct postgres *postgres, const void *data, size_t len)
{
	if (postgres->fd < 0)
		return;
	postgres->honest = false;
	postgres->world->has_lied = true;
	require(buf_append(&postgres->out, data, len));
	flush(postgres);
}
