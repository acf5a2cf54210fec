/*
 * console_table.h: how the console's tables are written. Private to proxy/console_table*.c.
 *
 * Where PgBouncer has a column of the same meaning it has the same name here, since people have
 * scripts; what it has not stands behind. A table is made in steps, so that very many sessions
 * hold up nobody.
 */
#ifndef PROXY_CONSOLE_TABLE_H
#define PROXY_CONSOLE_TABLE_H

#include "base/hash.h"
#include "conf/conf.h"
#include "proxy/console_internal.h"
#include "router/directory.h"

#include <uthash.h>

/* A DataRow that is being made. */
struct row {
	const struct console_rows *rows;
	struct buf *out;
	size_t mark;
	uint16_t column;
	bool ok;
};

struct console_table {
	const struct console_column *columns;
	size_t count;
	bool asks; /* the workers */
	enum live_scope scope;
	/* Prepares rows; true when that is done. NULL: there is nothing to prepare. */
	bool (*gather)(struct console_rows *rows);
	/* Appends the cells of the next row; false when there is none. */
	bool (*next)(struct console_rows *rows, struct row *row);
};

/* Each appends the next cell of the row, in the form that the client wants. NULL for no value.
 */
void cell_text(struct row *row, const char *text);
void cell_int(struct row *row, int64_t value);
void cell_count(struct row *row, uint64_t value);
void cell_float(struct row *row, double value);
void cell_since(struct row *row, int64_t ago_us); /* a moment so long ago */
void cell_id(struct row *row, const struct uuid *id);
void cells_tenant(struct row *row, const struct tenant *tenant); /* two: slug and id */

/* The section of that name in the settings that are in force, or NULL. */
static inline const struct conf_cluster *cluster_of(const struct console_rows *rows,
													const char *name)
{
	return name ? conf_find_cluster(rows->conf, name) : NULL;
}

static inline const char *pool_mode_name(const struct console_rows *rows)
{
	return rows->conf->pool_mode == POOL_SESSION ? "session" : "transaction";
}

/* All workers are paused, or none is: the order reaches all. */
static inline bool all_paused(const struct console_rows *rows)
{
	return rows->answer->count && rows->answer->views[0]->all_paused;
}

/* Sessions and backends of one worker after the other; NULL behind the last. */
const struct live_session *next_session(struct console_rows *rows);
const struct live_backend *next_backend(struct console_rows *rows);

#define COLUMNS(columns) columns, sizeof columns / sizeof *(columns)

/* console_table_sessions.c */
extern const struct console_table console_clients, console_servers, console_pins;

/* console_table_counts.c */
extern const struct console_table console_tenants, console_users;
void console_groups_fini(struct console_rows *rows);

/* console_table_pools.c */
extern const struct console_table console_pools, console_stats, console_databases,
	console_lists, console_state;

/* console_table_hosts.c */
extern const struct console_table console_hosts;

/* console_table_conf.c */
extern const struct console_table console_config, console_help, console_version;

#endif
