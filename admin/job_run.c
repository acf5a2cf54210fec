#include "admin/job_run.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/cluster_connect.h"
#include "base/clock.h"

#define WAKE_MS 200 /* how soon it is noticed that the runner is stopping */

/* ---- failing ---- */

/*
 * By the server's own classes: connections, resources and others in the way pass, and so do the
 * deadlocks, and the rows of the catalogues that two jobs changed at once: those are internal
 * errors.
 */
static bool may_pass(const char *sqlstate)
{
	static const char *const classes[] = {"08", "40", "53", "57P", "55P03", "55006", "XX000"};

	for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
		if (strncmp(sqlstate, classes[i], strlen(classes[i])) == 0)
			return true;
	}
	return false;
}

bool job_fail(struct job_run *run, bool may_pass_by, const char *format, ...)
{
	char text[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	if (run->state == JOB_RUNNING)
		run->state = may_pass_by ? JOB_HINDERED : JOB_REFUSED;
	buf_truncate(&run->error, 0);
	buf_appendf(&run->error, "%s", text);
	return false;
}

static bool fail_connection(struct job_run *run, const PGconn *connection)
{
	const char *text = PQerrorMessage(connection);

	memcpy(run->sqlstate, "08006", sizeof run->sqlstate);
	return job_fail(run, true, "%.*s", (int)strcspn(text, "\n"), text);
}

/* The server's words, and what it says to do; of DDL that was made from a template, which. */
static bool fail_result(struct job_run *run, const PGconn *connection, const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
	const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);

	if (!state || !text)
		return fail_connection(run, connection);
	snprintf(run->sqlstate, sizeof run->sqlstate, "%s", state);
	return job_fail(run, may_pass(state), "%s (%s)%s%s%s%s", text, state, detail ? "; " : "",
					detail ? detail : "", hint ? "; " : "", hint ? hint : "");
}

/* ---- the lease ---- */

bool job_hold(struct job_run *run, const char *step)
{
	static const char sql[] = "SELECT bulkhead_control.begin_job_step($1, $2, $3,"
							  " $4::bigint * interval '1 ms')";
	char lease[24];
	const char *const values[] = {run->id, run->attempt, step, lease};

	snprintf(lease, sizeof lease, "%lld", (long long)run->runner->conf->job_lease_ms);
	PGresult *result = PQexecParams(run->runner->control, sql, 4, NULL, values, NULL, NULL, 0);
	bool answered = PQresultStatus(result) == PGRES_TUPLES_OK;
	bool mine = answered && strcmp(PQgetvalue(result, 0, 0), "t") == 0;
	PQclear(result);
	run->renewed_ms = clock_monotonic_us() / 1000;
	if (!answered)
		run->state = JOB_UNCONTROL;
	else if (!mine)
		run->state = JOB_TAKEN;
	return mine;
}

/* False when the work is to end: it was told to, or the job is another's. */
static bool keep(struct job_run *run)
{
	const struct job_runner *runner = run->runner;
	int64_t now_ms = clock_monotonic_us() / 1000;

	if (runner->is_stopping && runner->is_stopping(runner->arg)) {
		run->state = JOB_CUT;
		return false;
	}
	return now_ms - run->renewed_ms < runner->conf->job_lease_ms / 3 || job_hold(run, NULL);
}

/* ---- statements ---- */

static void cancel(PGconn *connection)
{
	char why[256];
	PGcancel *cancel = PQgetCancel(connection);

	if (cancel)
		PQcancel(cancel, why, sizeof why);
	PQfreeCancel(cancel);
}

/* Waits until a result can be taken without waiting. A statement that is cancelled is waited
 * for as well: it may have to undo something. */
static bool await(struct job_run *run, PGconn *connection)
{
	bool cancelled = false;

	while (PQisBusy(connection)) {
		struct pollfd socket = {.fd = PQsocket(connection), .events = POLLIN};
		int ready = poll(&socket, 1, WAKE_MS);

		if (!cancelled && !keep(run)) {
			cancel(connection);
			cancelled = true;
		}
		if (ready > 0 && !PQconsumeInput(connection))
			return fail_connection(run, connection);
	}
	return true;
}

/* The last result of what was sent, or the first that failed. */
static PGresult *read_results(struct job_run *run, PGconn *connection)
{
	PGresult *kept = NULL, *result;
	bool failed = false;

	while (await(run, connection) && (result = PQgetResult(connection)) != NULL) {
		ExecStatusType status = PQresultStatus(result);

		if (failed) {
			PQclear(result);
			continue;
		}
		PQclear(kept);
		kept = result;
		failed = status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK;
	}
	if (kept && !failed && run->state == JOB_RUNNING)
		return kept;
	if (failed)
		fail_result(run, connection, kept);
	else
		fail_connection(run, connection);
	PQclear(kept);
	return NULL;
}

PGresult *job_ask(struct job_run *run, PGconn *connection, const char *sql, int count,
				  const char *const values[])
{
	if (!PQsendQueryParams(connection, sql, count, NULL, values, NULL, NULL, 0)) {
		fail_connection(run, connection);
		return NULL;
	}
	return read_results(run, connection);
}

bool job_do(struct job_run *run, PGconn *connection, const char *sql)
{
	if (!PQsendQuery(connection, sql))
		return fail_connection(run, connection);
	PGresult *result = read_results(run, connection);
	PQclear(result);
	return result != NULL;
}

bool job_do_named(struct job_run *run, PGconn *connection, const char *format,
				  const char *first, ...)
{
	const char *name = first;
	struct buf sql;
	bool fine = true;
	va_list names;

	buf_init(&sql);
	va_start(names, first);
	for (const char *c = format; fine && *c; c++) {
		if (c[0] != '%' || c[1] != 's') {
			fine = buf_append_byte(&sql, (uint8_t)*c);
			continue;
		}
		char *quoted = PQescapeIdentifier(connection, name, strlen(name));

		fine = quoted && buf_appendf(&sql, "%s", quoted);
		PQfreemem(quoted);
		name = va_arg(names, const char *);
		c++;
	}
	va_end(names);
	if (fine && buf_append_byte(&sql, '\0'))
		fine = job_do(run, connection, (const char *)buf_data(&sql));
	else
		fine = job_fail(run, true, "out of memory");
	buf_fini(&sql);
	return fine;
}

bool job_ask_bool(struct job_run *run, PGconn *connection, const char *sql, int count,
				  const char *const values[], bool *answer)
{
	PGresult *result = job_ask(run, connection, sql, count, values);

	if (result)
		*answer = PQntuples(result) == 1 && strcmp(PQgetvalue(result, 0, 0), "t") == 0;
	PQclear(result);
	return result != NULL;
}

/* ---- scripts ---- */

/*
 * Verifiers pass through here: where the administrator is a superuser, neither the log nor an
 * error text shows them.
 */
static const char quiet_sql[] =
	"SELECT pg_catalog.set_config(s.name, s.value, true)"
	" FROM (VALUES ('log_statement', 'none'), ('log_min_duration_statement', '-1'),"
	" ('log_min_duration_sample', '-1'), ('log_transaction_sample_rate', '0'),"
	" ('log_min_error_statement', 'panic'), ('log_parameter_max_length', '0'),"
	" ('log_parameter_max_length_on_error', '0')) AS s (name, value)"
	" WHERE (SELECT r.rolsuper FROM pg_catalog.pg_roles AS r"
	" WHERE r.rolname OPERATOR(pg_catalog.=) current_user)";

static const char begin_sql[] =
	"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;"
	" SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL client_min_messages = 'error';"
	" SET LOCAL row_security = on; SET LOCAL lock_timeout = '20s';"
	" SET LOCAL check_function_bodies = off; SET LOCAL jit = off";

static bool set(struct job_run *run, PGconn *connection, const struct job_setting *setting)
{
	const char *const values[] = {setting->name, setting->value};
	PGresult *result =
		job_ask(run, connection,
				"SELECT pg_catalog.set_config('bulkhead.' || $1::text, $2, true)", 2, values);

	PQclear(result);
	return result != NULL;
}

static bool run_all(struct job_run *run, PGconn *connection,
					const struct job_setting settings[], size_t setting_count,
					const char *const scripts[], size_t script_count)
{
	if (!job_do(run, connection, begin_sql) || !job_do(run, connection, quiet_sql))
		return false;
	for (size_t i = 0; i < setting_count; i++) {
		if (!set(run, connection, &settings[i]))
			return false;
	}
	for (size_t i = 0; i < script_count; i++) {
		if (!job_do(run, connection, scripts[i]))
			return false;
	}
	return job_do(run, connection, "COMMIT");
}

bool job_run_scripts(struct job_run *run, PGconn *connection,
					 const struct job_setting settings[], size_t setting_count,
					 const char *const scripts[], size_t script_count)
{
	bool done = run_all(run, connection, settings, setting_count, scripts, script_count);

	if (!done && PQtransactionStatus(connection) != PQTRANS_IDLE)
		PQclear(PQexec(connection, "ROLLBACK"));
	return done;
}

/* ---- connections ---- */

PGconn *job_connect(struct job_run *run, const char *database)
{
	const struct cluster_login login = {.database = database,
										.login = run->cluster->admin_login,
										.password = run->cluster->admin_password,
										.options = "-c statement_timeout=0 -c "
												   "idle_in_transaction_session_timeout=0",
										.name = "bulkhead job"};
	PGconn *connection = cluster_connect(run->cluster, &login);

	if (!connection) {
		job_fail(run, true, "out of memory");
		return NULL;
	}
	if (PQstatus(connection) == CONNECTION_OK &&
		job_do(run, connection, "SET search_path = pg_catalog, pg_temp"))
		return connection;
	if (PQstatus(connection) != CONNECTION_OK)
		fail_connection(run, connection);
	PQfinish(connection);
	return NULL;
}
