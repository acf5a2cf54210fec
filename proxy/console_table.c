#include "proxy/console_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "proxy/wire.h"

/* ---- cells ---- */

static bool is_binary(const struct row *row)
{
	return row->column < row->rows->formats.count && row->rows->formats.binary[row->column];
}

static void cell(struct row *row, const void *bytes, size_t len)
{
	row->ok =
		row->ok && buf_append_u32(row->out, (uint32_t)len) && buf_append(row->out, bytes, len);
	row->column++;
}

void cell_text(struct row *row, const char *text)
{
	if (text) {
		cell(row, text, strlen(text));
		return;
	}
	row->ok = row->ok && buf_append_u32(row->out, UINT32_MAX);
	row->column++;
}

static void cell_bytes(struct row *row, uint64_t bits)
{
	uint8_t bytes[8];

	for (int i = 7; i >= 0; i--, bits >>= 8)
		bytes[i] = (uint8_t)bits;
	cell(row, bytes, sizeof bytes);
}

void cell_int(struct row *row, int64_t value)
{
	char text[24];

	if (is_binary(row)) {
		cell_bytes(row, (uint64_t)value);
		return;
	}
	snprintf(text, sizeof text, "%" PRId64, value);
	cell_text(row, text);
}

void cell_count(struct row *row, uint64_t value)
{
	cell_int(row, value > INT64_MAX ? INT64_MAX : (int64_t)value);
}

void cell_float(struct row *row, double value)
{
	char text[40];
	uint64_t bits;

	if (is_binary(row)) {
		memcpy(&bits, &value, sizeof bits);
		cell_bytes(row, bits);
		return;
	}
	snprintf(text, sizeof text, "%.3f", value);
	cell_text(row, text);
}

/* A moment so long ago, as PgBouncer writes one. */
void cell_since(struct row *row, int64_t ago_us)
{
	time_t seconds = (time_t)((row->rows->wall_ms - ago_us / 1000) / 1000);
	struct tm tm;
	char text[40];

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &tm);
	cell_text(row, text);
}

void cell_id(struct row *row, const struct uuid *id)
{
	char text[UUID_TEXT_SIZE];

	if (id)
		uuid_text(id, text);
	cell_text(row, id ? text : NULL);
}

/* Its slug and its id. */
void cells_tenant(struct row *row, const struct tenant *tenant)
{
	cell_text(row, tenant ? tenant->slug : NULL);
	cell_id(row, tenant ? &tenant->id : NULL);
}

/* ---- what workers have answered ---- */

const struct live_session *next_session(struct console_rows *rows)
{
	for (; rows->answer && rows->view < rows->answer->count; rows->view++, rows->at = 0) {
		const struct live_view *view = rows->answer->views[rows->view];

		if (rows->at < view->session_count)
			return &view->sessions[rows->at++];
	}
	return NULL;
}

const struct live_backend *next_backend(struct console_rows *rows)
{
	for (; rows->answer && rows->view < rows->answer->count; rows->view++, rows->at = 0) {
		const struct live_view *view = rows->answer->views[rows->view];

		if (rows->at < view->backend_count)
			return &view->backends[rows->at++];
	}
	return NULL;
}

/* ---- tables ---- */

static const struct console_table *const tables[] = {
	[SHOW_CLIENTS] = &console_clients,     [SHOW_CONFIG] = &console_config,
	[SHOW_DATABASES] = &console_databases, [SHOW_HELP] = &console_help,
	[SHOW_HOSTS] = &console_hosts,         [SHOW_LISTS] = &console_lists,
	[SHOW_PINS] = &console_pins,           [SHOW_POOLS] = &console_pools,
	[SHOW_SERVERS] = &console_servers,     [SHOW_STATE] = &console_state,
	[SHOW_STATS] = &console_stats,         [SHOW_TENANTS] = &console_tenants,
	[SHOW_USERS] = &console_users,         [SHOW_VERSION] = &console_version,
};

const struct console_table *console_table_of(enum console_show show)
{
	return tables[show];
}

enum live_scope console_table_scope(const struct console_table *table, bool *needed)
{
	*needed = table->asks;
	return table->scope;
}

size_t console_table_width(const struct console_table *table)
{
	return table->count;
}

bool console_table_describe(const struct console_table *table,
							const struct console_formats *formats, struct buf *out)
{
	/* Type and size, as pg_type has them. */
	static const struct {
		uint32_t type;
		uint16_t size;
	} types[] = {
		[CELL_TEXT] = {25, UINT16_MAX}, [CELL_INT8] = {20, 8}, [CELL_FLOAT8] = {701, 8}};
	size_t mark;
	bool ok = wire_begin(out, 'T', &mark) && buf_append_u16(out, (uint16_t)table->count);

	for (size_t i = 0; ok && i < table->count; i++) {
		const struct console_column *column = &table->columns[i];

		ok = buf_append_cstr(out, column->name) && buf_append_u32(out, 0) &&
			 buf_append_u16(out, 0) && buf_append_u32(out, types[column->type].type) &&
			 buf_append_u16(out, types[column->type].size) && buf_append_u32(out, UINT32_MAX) &&
			 buf_append_u16(out, i < formats->count && formats->binary[i]);
	}
	return ok && wire_end(out, mark);
}

void console_rows_begin(struct console_rows *rows, const struct console_table *table,
						const struct console_formats *formats, struct live_answer *answer,
						const struct conf *conf)
{
	*rows = (struct console_rows){.conf = conf,
								  .table = table,
								  .formats = *formats,
								  .answer = answer,
								  .gathered = !table->gather,
								  .wall_ms = clock_wall_ms(),
								  .now_us = clock_monotonic_us()};
	buf_init(&rows->cells);
	/* An answer that is not complete is none. */
	for (size_t i = 0; answer && i < answer->count; i++)
		rows->failed = rows->failed || !answer->views[i];
	rows->failed = rows->failed || (table->asks && !answer);
}

enum console_step console_rows_next(struct console_rows *rows, struct buf *out)
{
	struct row row = {.rows = rows, .out = out};

	if (!rows->failed && !rows->gathered) {
		rows->gathered = rows->table->gather(rows);
		if (!rows->failed)
			return CONSOLE_LATER;
	}
	if (rows->failed)
		return CONSOLE_FAILED;
	size_t before = buf_len(out);
	row.ok =
		wire_begin(out, 'D', &row.mark) && buf_append_u16(out, (uint16_t)rows->table->count);
	if (!rows->table->next(rows, &row)) {
		buf_truncate(out, before);
		return CONSOLE_THE_END;
	}
	return row.ok && wire_end(out, row.mark) ? CONSOLE_ROW : CONSOLE_FAILED;
}

void console_rows_fini(struct console_rows *rows)
{
	console_groups_fini(rows);
	free(rows->pools);
	buf_fini(&rows->cells);
	live_answer_free(rows->answer);
	*rows = (struct console_rows){.table = NULL};
}
