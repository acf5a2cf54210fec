/*
 * The self-check that a backend must pass before it is used: the probe, which must be refused,
 * and the query of its kind of route (policy/guard/guard.h).
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "policy/guard/guard.h"
#include "proxy/backend_internal.h"
#include "proxy/failover.h"
#include "proxy/pool.h"
#include "proxy/startup.h"
#include "proxy/wire.h"
#include "proxy/worker.h"

static enum route_kind kind_of(const struct server *server)
{
	return (enum route_kind)server->pool->key.kind;
}

static const char *check_of(enum route_kind kind)
{
	switch (kind) {
	case ROUTE_SEALED:
		break;
	case ROUTE_LOGIN:
		return guard_login_check_sql;
	case ROUTE_SCHEMA:
	case ROUTE_DATABASE:
		return guard_tenant_check_sql();
	case ROUTE_CLUSTER:
		return guard_own_check_sql;
	}
	return guard_check_sql;
}

/* A database that the operator made for one tenant may be the tenant's to do in what it likes.
 */
void backend_check_begin(struct server *server)
{
	enum route_kind kind = kind_of(server);
	struct buf out;

	server->state = SERVER_CHECK;
	server->login->probe_done = kind == ROUTE_CLUSTER;
	buf_init(&out);
	backend_send(server, &out,
				 (server->login->probe_done || wire_query(&out, guard_probe_sql)) &&
					 wire_query(&out, check_of(kind)));
}

/* The check's one row, as NUL-terminated fields in a copy. */
static bool read_row(const struct server_message *message, char *copy, const char *fields[],
					 size_t *count)
{
	size_t at = 2;

	if (message->len < 2)
		return false;
	*count = wire_u16(message->body);
	if (*count > GUARD_CHECK_COLUMNS)
		return false;
	for (size_t i = 0; i < *count; i++) {
		const uint8_t *value;
		size_t len;

		if (!wire_value(message->body, message->len, &at, &value, &len))
			return false;
		fields[i] = value ? copy : NULL;
		if (!value)
			continue;
		memcpy(copy, value, len);
		copy[len] = '\0';
		copy += len + 1;
	}
	return at == message->len;
}

static bool judge_row(struct server *server, const char *const fields[], size_t count,
					  struct buf *why)
{
	const struct uuid *tenant = &server->pool->key.tenant;

	switch (kind_of(server)) {
	case ROUTE_SEALED:
		break;
	case ROUTE_LOGIN:
		return guard_login_check_judge(fields, count, tenant, why);
	case ROUTE_SCHEMA:
	case ROUTE_DATABASE:
		return guard_tenant_check_judge(fields, count, tenant, why);
	case ROUTE_CLUSTER:
		return guard_own_check_judge(fields, count, why);
	}
	return guard_check_judge(fields, count, clock_wall_ms(), &server->guard, why);
}

void backend_check_row(struct server *server, const struct server_message *message)
{
	const char *fields[GUARD_CHECK_COLUMNS];
	size_t count = 0;
	char *copy = malloc(message->len + GUARD_CHECK_COLUMNS);
	struct buf why;

	buf_init(&why);
	if (!copy || server->login->judged || !read_row(message, copy, fields, &count)) {
		backend_fail(server, REASON_BACKEND_UNSAFE, "the self-check's answer cannot be read");
	} else if (!judge_row(server, fields, count, &why)) {
		buf_append_byte(&why, 0);
		backend_fail(server, REASON_BACKEND_UNSAFE,
					 buf_len(&why) > 1 ? (const char *)buf_data(&why)
									   : "the self-check failed");
	} else {
		server->login->judged = true;
	}
	buf_fini(&why);
	free(copy);
}

/* The gate reads statements byte by byte; a login may have set itself an encoding in which the
 * server would not. */
static bool encoding_is_read_alike(const struct server *server)
{
	const char *encoding = params_get(&server->params, "client_encoding");

	return encoding && startup_encoding_is_safe(encoding);
}

void backend_check_done(struct server *server)
{
	struct backend_login *login = server->login;

	if (!login->probe_done) {
		login->probe_done = true;
		if (!login->probe_refused)
			backend_fail(
				server, REASON_BACKEND_UNSAFE,
				"the login may set the tenant context by itself; run bulkhead init again");
		return;
	}
	if (!login->judged) {
		backend_fail(server, REASON_BACKEND_UNSAFE, "the self-check returned no row");
		return;
	}
	if (!encoding_is_read_alike(server)) {
		backend_fail(server, REASON_BACKEND_UNSAFE,
					 "sessions begin with a client_encoding that is not safe byte by byte; "
					 "take it out of ALTER ROLE, ALTER DATABASE and postgresql.conf");
		return;
	}
	backend_login_free(server);
	failover_found(server);
	pool_note_password(server->pool, server->passwords, server->password_first);
	server_on_time(server);
	server->worker->counters.backends_opened++;
	pool_note_base(server->pool, &server->params);
	pool_server_opened(server);
}
