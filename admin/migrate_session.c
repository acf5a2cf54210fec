#include "admin/migrate_session.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/cluster_connect.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/utf8.h"

/* ---- errors ---- */

/* The first line, as far as it is kept; what is no UTF-8 in it becomes question marks, since
 * the control schema would not take it. From malloc. */
static char *first_line(const char *text)
{
	size_t left = strcspn(text, "\n"), len = 0, next;
	char *line = malloc(MIGRATE_ERROR_MAX + 1);

	for (; line && left > 0 && len < MIGRATE_ERROR_MAX - 6; text += next, left -= next) {
		size_t whole = utf8_character(text, left);

		next = whole ? whole : 1;
		memcpy(line + len, whole ? text : "?", next);
		len += next;
	}
	if (line)
		snprintf(line + len, 4, "%s", left > 0 ? "..." : "");
	return line;
}

static void set_error(struct migrate_session *session, const char *sqlstate, const char *text)
{
	free(session->error);
	session->error = first_line(text);
	session->position = 0;
	snprintf(session->sqlstate, sizeof session->sqlstate, "%s", sqlstate ? sqlstate : "");
}

bool migrate_session_fail(struct migrate_session *session, const char *sqlstate,
						  const char *format, ...)
{
	char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	va_end(arguments);
	set_error(session, sqlstate, text ? text : "out of memory");
	free(text);
	return false;
}

static bool fail_connection(struct migrate_session *session, const char *sqlstate)
{
	const char *text = PQerrorMessage(session->connection);

	return migrate_session_fail(session, sqlstate, "%.*s", (int)strcspn(text, "\n"), text);
}

static bool fail_result(struct migrate_session *session, const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);

	if (!state || !text)
		return fail_connection(session, "08006");
	set_error(session, state, text);
	session->position = position ? (int)strtol(position, NULL, 10) : 0;
	return false;
}

bool migrate_session_is_lost(const struct migrate_session *session)
{
	return PQstatus(session->connection) != CONNECTION_OK;
}

/* ---- waiting ---- */

/* Ends the connection, whatever is going on in it: a transaction is rolled back. libpq's
 * functions take the NULL that is left for a connection that is lost. */
static bool hang_up(struct migrate_session *session, const char *sqlstate, const char *why)
{
	char told[256];
	PGcancel *cancel = PQgetCancel(session->connection);

	if (cancel)
		PQcancel(cancel, told, sizeof told);
	PQfreeCancel(cancel);
	PQfinish(session->connection);
	session->connection = NULL;
	return migrate_session_fail(session, sqlstate, "%s", why);
}

/* Until there is something to read, or to write when asked for. */
static bool wait_for(struct migrate_session *session, short events)
{
	for (;;) {
		struct pollfd socket = {.fd = PQsocket(session->connection), .events = events};
		int64_t left_ms = (session->deadline_us - clock_monotonic_us()) / 1000;

		if (left_ms <= 0)
			return false;
		int ready = poll(&socket, 1, left_ms > 60000 ? 60000 : (int)left_ms);
		if (ready > 0 || (ready < 0 && errno != EINTR))
			return true;
	}
}

/* Sends what is to be sent, and reads until a result is there. */
static bool await(struct migrate_session *session)
{
	PGconn *connection = session->connection;
	int unsent;

	while ((unsent = PQflush(connection)) > 0 || PQisBusy(connection)) {
		if (!wait_for(session, unsent > 0 ? POLLIN | POLLOUT : POLLIN))
			return false;
		if (!PQconsumeInput(connection))
			break;
	}
	return true;
}

/*
 * Reads all results of what was sent. The first error is kept, and the rows of the last result
 * where `kept` asks for them.
 */
static bool read_results(struct migrate_session *session, PGresult **kept)
{
	bool done = true;

	for (;;) {
		if (!await(session))
			return hang_up(session, "57014", "it took too long");
		PGresult *result = PQgetResult(session->connection);
		if (!result)
			return done;
		ExecStatusType status = PQresultStatus(result);
		if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
			PQclear(result);
			return hang_up(session, "0A000", "there is nobody to copy to or from");
		}
		if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE) {
			if (done)
				done = fail_result(session, result);
		} else if (kept && (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)) {
			PQclear(*kept);
			*kept = result;
			continue;
		}
		PQclear(result);
	}
}

bool migrate_session_do(struct migrate_session *session, const char *sql)
{
	if (!PQsendQuery(session->connection, sql))
		return fail_connection(session, "08006");
	PQsetSingleRowMode(session->connection);
	return read_results(session, NULL);
}

PGresult *migrate_session_ask(struct migrate_session *session, const char *sql, int count,
							  const char *const values[])
{
	PGresult *rows = NULL;

	if (!PQsendQueryParams(session->connection, sql, count, NULL, values, NULL, NULL, 0)) {
		fail_connection(session, "08006");
		return NULL;
	}
	if (!read_results(session, &rows)) {
		PQclear(rows);
		return NULL;
	}
	if (!rows)
		migrate_session_fail(session, NULL, "the server gave no answer");
	return rows;
}

void migrate_session_allow(struct migrate_session *session, int64_t ms)
{
	session->deadline_us = clock_monotonic_us() + ms * 1000;
}

/* ---- opening ---- */

/* Settings of the session; those that a role may have set for itself among them. A blank and a
 * backslash in a value would have to be escaped: no name here has one. */
static bool write_options(struct buf *out, const struct migrate_target *target,
						  const struct migrate_options *options)
{
	bool done =
		buf_appendf(out,
					"-c lock_timeout=%lld -c statement_timeout=%lld"
					" -c standard_conforming_strings=on"
					" -c idle_in_transaction_session_timeout=0"
					" -c client_connection_check_interval=5s"
					" -c bulkhead.target=%s",
					(long long)options->lock_timeout_ms,
					(long long)options->statement_timeout_ms, migrate_kind_name(target->kind));

	if (done && target->kind == MIGRATE_SCHEMA)
		done = buf_appendf(out, " -c search_path=%s", target->schema);
	else if (done && target->kind == MIGRATE_DATABASE && !*target->cluster->tenant)
		done = buf_appendf(out, " -c search_path=public");
	return done && buf_append_byte(out, '\0');
}

static const char *login_of(const struct migrate_target *target)
{
	return target->kind == MIGRATE_DATABASE ? target->cluster->login
											: target->cluster->admin_login;
}

static const char *password_of(const struct migrate_target *target)
{
	return target->kind == MIGRATE_DATABASE ? target->cluster->password
											: target->cluster->admin_password;
}

static bool connect_to(struct migrate_session *session, const struct migrate_target *target,
					   const char *options)
{
	bool is_own = target->kind == MIGRATE_SCHEMA ||
				  (target->kind == MIGRATE_DATABASE && !*target->cluster->tenant);
	const struct cluster_login login = {.database = target->database,
										.login = login_of(target),
										.password = password_of(target),
										.options = options,
										.name = "bulkhead migrate"};

	if (!is_own && !*login.login)
		return migrate_session_fail(session, NULL, "[cluster:%s] has no admin_login",
									target->cluster->name);
	session->connection = is_own ? cluster_connect_as_tenant(target->cluster, &target->tenant,
															 target->login_kid, &login)
								 : cluster_connect(target->cluster, &login);
	if (!session->connection)
		return migrate_session_fail(session, NULL, "out of memory");
	if (PQstatus(session->connection) != CONNECTION_OK)
		return fail_connection(session, "08001");
	return PQsetnonblocking(session->connection, 1) == 0 || fail_connection(session, "08006");
}

/* A statement that ends in an identifier. */
static bool do_with_name(struct migrate_session *session, const char *words, const char *name)
{
	char *quoted = PQescapeIdentifier(session->connection, name, strlen(name)), *sql = NULL;
	bool done = quoted && asprintf(&sql, "%s %s", words, quoted) >= 0;

	done = done ? migrate_session_do(session, sql)
				: migrate_session_fail(session, NULL, "out of memory");
	free(sql);
	PQfreemem(quoted);
	return done;
}

/* Asks for one text, which may not be NULL. */
static char *ask_name(struct migrate_session *session, const char *sql, const char *parameter,
					  const char *missing)
{
	PGresult *rows = migrate_session_ask(session, sql, parameter ? 1 : 0, &parameter);
	char *name = NULL;

	if (rows && PQntuples(rows) == 1 && !PQgetisnull(rows, 0, 0)) {
		name = strdup(PQgetvalue(rows, 0, 0));
		if (!name)
			migrate_session_fail(session, NULL, "out of memory");
	} else if (rows) {
		migrate_session_fail(session, "3F000", "%s", missing);
	}
	PQclear(rows);
	return name;
}

/* Who owns a schema; of PostgreSQL's own role for databases' owners, the one who it is. */
static bool become_owner_of(struct migrate_session *session, const char *schema)
{
	static const char sql[] =
		"SELECT pg_catalog.pg_get_userbyid(CASE WHEN n.nspowner = 'pg_database_owner'::regrole"
		" THEN (SELECT d.datdba FROM pg_catalog.pg_database d"
		" WHERE d.datname = pg_catalog.current_database()) ELSE n.nspowner END)"
		" FROM pg_catalog.pg_namespace n WHERE n.nspname = $1";
	char *owner = ask_name(session, sql, schema, "there is no such schema");
	bool done = owner && do_with_name(session, "SET ROLE", owner);

	free(owner);
	return done;
}

/* Where the mark is, by search_path, or where things are made when no schema is named. */
static bool take_current_schema(struct migrate_session *session, struct migrate_target *target)
{
	static const char sql[] = "SELECT coalesce((SELECT n.nspname FROM pg_catalog.pg_class c"
							  " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
							  " WHERE c.oid = pg_catalog.to_regclass('bulkhead_migration')),"
							  " pg_catalog.current_schema())::text";
	char *schema = ask_name(session, sql, NULL, "no schema of search_path exists");

	if (schema) {
		free(target->schema);
		target->schema = schema;
	}
	return schema != NULL;
}

/* Role and search_path, which the settings at the start cannot say. */
static bool settle(struct migrate_session *session, struct migrate_target *target)
{
	switch (target->kind) {
	case MIGRATE_SHARED:
		return do_with_name(session, "SET ROLE", target->cluster->table_owner) &&
			   take_current_schema(session, target);
	case MIGRATE_TEMPLATE_SCHEMA:
		return do_with_name(session, "SET search_path =", target->schema) &&
			   become_owner_of(session, target->schema);
	case MIGRATE_TEMPLATE_DATABASE:
		return do_with_name(session, "SET search_path =", target->schema) &&
			   become_owner_of(session, target->schema);
	case MIGRATE_SCHEMA:
		return true;
	case MIGRATE_DATABASE:
		return !*target->cluster->tenant || take_current_schema(session, target);
	}
	return false;
}

bool migrate_session_open(struct migrate_session *session, struct migrate_target *target,
						  const struct migrate_options *options)
{
	struct buf words;

	*session = (struct migrate_session){.connection = NULL};
	if (target->fault)
		return migrate_session_fail(session, NULL, "%s", target->fault);
	migrate_session_allow(session, options->target_timeout_ms);
	buf_init(&words);
	bool done = write_options(&words, target, options)
					? connect_to(session, target, (const char *)buf_data(&words))
					: migrate_session_fail(session, NULL, "out of memory");
	buf_fini(&words);
	/* A statement of a process that was killed is to end; not every system can see to that. */
	if (done && !migrate_session_do(session, "SET client_connection_check_interval = '5s'"))
		done = !migrate_session_is_lost(session);
	return done && settle(session, target);
}

bool migrate_session_renew(struct migrate_session *session, struct migrate_target *target)
{
	bool in_transaction = PQtransactionStatus(session->connection) != PQTRANS_IDLE;

	return migrate_session_do(session,
							  in_transaction ? "RESET ROLE; RESET ALL" : "DISCARD ALL") &&
		   settle(session, target);
}

void migrate_session_close(struct migrate_session *session)
{
	PQfinish(session->connection);
	free(session->error);
}
