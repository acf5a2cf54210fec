/* Tables of the console: sessions and backends, as they are. */
#include <stdio.h>

#include "proxy/console_table.h"

static const char *principal_name(const struct principal *principal)
{
	return principal ? principal->name : NULL;
}

/* Who works for which worker is a number from 1 up. */
static void cell_worker(struct row *row)
{
	cell_count(row, row->rows->view + 1);
}

/* As PgBouncer shows it; empty without TLS. */
static void cell_tls(struct row *row, const char *version, const char *cipher)
{
	char text[128] = "";

	if (version)
		snprintf(text, sizeof text, "%s/%s", version, cipher);
	cell_text(row, text);
}

static const struct console_column client_columns[] = {
	{"type", CELL_TEXT},
	{"user", CELL_TEXT},
	{"database", CELL_TEXT},
	{"state", CELL_TEXT},
	{"addr", CELL_TEXT},
	{"port", CELL_INT8},
	{"connect_time", CELL_TEXT},
	{"wait", CELL_INT8},
	{"wait_us", CELL_INT8},
	{"tls", CELL_TEXT},
	{"application_name", CELL_TEXT},
	{"prepared_statements", CELL_INT8},
	{"pid", CELL_INT8},
	{"tenant", CELL_TEXT},
	{"tenant_id", CELL_TEXT},
	{"pin", CELL_TEXT},
	{"backend", CELL_INT8},
	{"worker", CELL_INT8},
};

static bool next_client(struct console_rows *rows, struct row *row)
{
	const struct live_session *session = next_session(rows);

	if (!session)
		return false;
	const struct conf_cluster *cluster =
		cluster_of(rows, session->tenant ? session->tenant->cluster : NULL);
	cell_text(row, "C");
	cell_text(row, principal_name(session->principal));
	cell_text(row, session->state == SESSION_CONSOLE ? CONF_CONSOLE_DATABASE
				   : cluster                         ? cluster->database
													 : NULL);
	cell_text(row, session_state_names[session->state]);
	cell_text(row, session->address);
	cell_int(row, session->port);
	cell_since(row, session->age_us);
	cell_int(row, session->waited_us / 1000000);
	cell_int(row, session->waited_us % 1000000);
	cell_tls(row, session->tls_version, session->tls_cipher);
	cell_text(row, session->application_name);
	cell_count(row, session->statements);
	cell_int(row, session->pid);
	cells_tenant(row, session->tenant);
	cell_text(row, *session->pin ? session->pin : NULL);
	if (session->backend)
		cell_int(row, session->backend);
	else
		cell_text(row, NULL);
	cell_worker(row);
	return true;
}

static const struct console_column server_columns[] = {
	{"type", CELL_TEXT},         {"user", CELL_TEXT},         {"database", CELL_TEXT},
	{"state", CELL_TEXT},        {"addr", CELL_TEXT},         {"port", CELL_INT8},
	{"connect_time", CELL_TEXT}, {"close_needed", CELL_INT8}, {"remote_pid", CELL_INT8},
	{"tls", CELL_TEXT},          {"cluster", CELL_TEXT},      {"tenant", CELL_TEXT},
	{"tenant_id", CELL_TEXT},    {"client", CELL_INT8},       {"worker", CELL_INT8},
};

static bool next_server(struct console_rows *rows, struct row *row)
{
	const struct live_backend *backend = next_backend(rows);

	if (!backend)
		return false;
	const struct conf_cluster *cluster = cluster_of(rows, backend->cluster);
	cell_text(row, "S");
	cell_text(row, *backend->own ? backend->own : cluster ? cluster->login : NULL);
	cell_text(row, backend->own_database ? backend->own : cluster ? cluster->database : NULL);
	cell_text(row, backend_state_names[backend->state]);
	cell_text(row, backend->host);
	cell_int(row, backend->port);
	cell_since(row, backend->age_us);
	cell_int(row, backend->leaving);
	cell_int(row, backend->pid);
	cell_tls(row, backend->tls_version, backend->tls_cipher);
	cell_text(row, backend->cluster);
	cells_tenant(row, backend->tenant);
	if (backend->session)
		cell_int(row, backend->session);
	else
		cell_text(row, NULL);
	cell_worker(row);
	return true;
}

static const struct console_column pin_columns[] = {
	{"client", CELL_INT8},    {"user", CELL_TEXT},    {"tenant", CELL_TEXT},
	{"tenant_id", CELL_TEXT}, {"cause", CELL_TEXT},   {"since", CELL_TEXT},
	{"seconds", CELL_INT8},   {"backend", CELL_INT8}, {"worker", CELL_INT8},
};

static bool next_pin(struct console_rows *rows, struct row *row)
{
	const struct live_session *session;

	while ((session = next_session(rows)) != NULL && !*session->pin)
		continue;
	if (!session)
		return false;
	cell_int(row, session->pid);
	cell_text(row, principal_name(session->principal));
	cells_tenant(row, session->tenant);
	cell_text(row, session->pin);
	cell_since(row, session->pinned_us);
	cell_int(row, session->pinned_us / 1000000);
	cell_int(row, session->backend);
	cell_worker(row);
	return true;
}

const struct console_table console_clients = {COLUMNS(client_columns), true, LIVE_ALL, NULL,
											  next_client};

const struct console_table console_servers = {COLUMNS(server_columns), true, LIVE_BACKENDS,
											  NULL, next_server};

const struct console_table console_pins = {COLUMNS(pin_columns), true, LIVE_SESSIONS, NULL,
										   next_pin};
