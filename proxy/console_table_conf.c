/* Tables of the console: settings, and what is known without asking anybody. */
#include "proxy/console_table.h"
#include "proxy/wire.h"

static const struct console_column version_columns[] = {{"version", CELL_TEXT}};

static bool next_version(struct console_rows *rows, struct row *row)
{
	if (rows->at++)
		return false;
	cell_text(row, "Bulkhead " BULKHEAD_VERSION);
	return true;
}

static const struct console_column help_columns[] = {{"command", CELL_TEXT},
													 {"meaning", CELL_TEXT}};

static bool next_help(struct console_rows *rows, struct row *row)
{
	static const char *const help[][2] = {
		{"SHOW CLIENTS", "connections of applications"},
		{"SHOW CONFIG", "settings in force, their defaults, and whether a reload takes them"},
		{"SHOW DATABASES", "the clusters"},
		{"SHOW HOSTS", "the hosts of each cluster, what they are, and why one is not used"},
		{"SHOW LISTS", "how many there are of what"},
		{"SHOW PINS", "clients that keep their backends, why, and since when"},
		{"SHOW POOLS", "clients and backends of each cluster, and waiting times"},
		{"SHOW SERVERS", "backends"},
		{"SHOW STATE", "whether everything is paused"},
		{"SHOW STATS", "what was done, in all and per second of the last period"},
		{"SHOW TENANTS", "tenants with sessions or backends here, and those that are paused"},
		{"SHOW USERS", "principals with sessions here"},
		{"SHOW VERSION", "the program's version"},
		{"PAUSE [tenant]",
		 "no transaction begins any more; waits until those that run are over"},
		{"RESUME [tenant]", "ends a pause"},
		{"KILL tenant", "ends the tenant's sessions"},
		{"RECONNECT [tenant]", "replaces backends: idle ones now, others when they are free"},
		{"RELOAD", "reads the settings again, as SIGHUP does"},
		{"SHUTDOWN", "ends the program, as SIGTERM does"},
	};

	if (rows->at == sizeof help / sizeof *help)
		return false;
	cell_text(row, help[rows->at][0]);
	cell_text(row, help[rows->at][1]);
	rows->at++;
	return true;
}

/* ---- settings: made at once, since a reload may come between two rows ---- */

static const struct console_column config_columns[] = {{"key", CELL_TEXT},
													   {"value", CELL_TEXT},
													   {"default", CELL_TEXT},
													   {"changeable", CELL_TEXT}};

static bool note_setting(void *arg, const char *key, const char *value, const char *preset,
						 bool reloadable)
{
	struct console_rows *rows = arg;
	struct row row = {.rows = rows, .out = &rows->cells, .ok = true};

	cell_text(&row, key);
	cell_text(&row, value);
	cell_text(&row, preset);
	cell_text(&row, reloadable ? "yes" : "no");
	return row.ok;
}

static bool gather_config(struct console_rows *rows)
{
	rows->failed = !conf_each(rows->conf, note_setting, rows);
	return true;
}

/* The cells were made before; here they are only told apart. */
static bool next_config(struct console_rows *rows, struct row *row)
{
	const uint8_t *cells = buf_data(&rows->cells), *value;
	size_t len = buf_len(&rows->cells), at = rows->at, size;

	if (at == len)
		return false;
	for (size_t i = 0; i < sizeof config_columns / sizeof *config_columns; i++)
		row->ok = row->ok && wire_value(cells, len, &at, &value, &size);
	row->ok = row->ok && buf_append(row->out, cells + rows->at, at - rows->at);
	rows->at = at;
	return true;
}

const struct console_table console_version = {COLUMNS(version_columns), false, LIVE_COUNTS,
											  NULL, next_version};

const struct console_table console_help = {COLUMNS(help_columns), false, LIVE_COUNTS, NULL,
										   next_help};

const struct console_table console_config = {COLUMNS(config_columns), false, LIVE_COUNTS,
											 gather_config, next_config};
