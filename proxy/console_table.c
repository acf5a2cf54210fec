/*
 * The tables of the console: their columns, and rows made of what workers have answered.
 *
 * Where PgBouncer has a column of the same meaning it has the same name here, since people have
 * scripts; what it has not stands behind. A table is made in steps, so that very many sessions
 * hold up nobody.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/hash.h"
#include "conf/conf.h"
#include "proxy/console_internal.h"
#include "proxy/wire.h"
#include "router/directory.h"

#include <uthash.h>

#define GATHER_SLICE 1000 /* sessions or backends that are counted at one turn */

/* ---- cells ---- */

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

static void cell_text(struct row *row, const char *text)
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

static void cell_int(struct row *row, int64_t value)
{
	char text[24];

	if (is_binary(row)) {
		cell_bytes(row, (uint64_t)value);
		return;
	}
	snprintf(text, sizeof text, "%" PRId64, value);
	cell_text(row, text);
}

static void cell_count(struct row *row, uint64_t value)
{
	cell_int(row, value > INT64_MAX ? INT64_MAX : (int64_t)value);
}

static void cell_float(struct row *row, double value)
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
static void cell_since(struct row *row, int64_t ago_us)
{
	time_t seconds = (time_t)((row->rows->wall_ms - ago_us / 1000) / 1000);
	struct tm tm;
	char text[40];

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &tm);
	cell_text(row, text);
}

static void cell_id(struct row *row, const struct uuid *id)
{
	char text[UUID_TEXT_SIZE];

	if (id)
		uuid_text(id, text);
	cell_text(row, id ? text : NULL);
}

/* Its slug and its id. */
static void cells_tenant(struct row *row, const struct tenant *tenant)
{
	cell_text(row, tenant ? tenant->slug : NULL);
	cell_id(row, tenant ? &tenant->id : NULL);
}

static const char *principal_name(const struct principal *principal)
{
	return principal ? principal->name : NULL;
}

static const struct conf_cluster *cluster_of(const struct console_rows *rows, const char *name)
{
	return name ? conf_find_cluster(rows->conf, name) : NULL;
}

static const char *pool_mode(const struct console_rows *rows)
{
	return rows->conf->pool_mode == POOL_SESSION ? "session" : "transaction";
}

/* ---- sessions and backends, as they are ---- */

static const struct live_session *next_session(struct console_rows *rows)
{
	for (; rows->answer && rows->view < rows->answer->count; rows->view++, rows->at = 0) {
		const struct live_view *view = rows->answer->views[rows->view];

		if (rows->at < view->session_count)
			return &view->sessions[rows->at++];
	}
	return NULL;
}

static const struct live_backend *next_backend(struct console_rows *rows)
{
	for (; rows->answer && rows->view < rows->answer->count; rows->view++, rows->at = 0) {
		const struct live_view *view = rows->answer->views[rows->view];

		if (rows->at < view->backend_count)
			return &view->backends[rows->at++];
	}
	return NULL;
}

/* Who works for which worker is a number from 1 up. */
static void cell_worker(struct row *row)
{
	cell_count(row, row->rows->view + 1);
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
	bool on_console = strcmp(session->state, "console") == 0;
	cell_text(row, "C");
	cell_text(row, principal_name(session->principal));
	cell_text(row, on_console ? CONF_CONSOLE_DATABASE : cluster ? cluster->database : NULL);
	cell_text(row, session->state);
	cell_text(row, session->address);
	cell_int(row, session->port);
	cell_since(row, session->age_us);
	cell_int(row, session->waited_us / 1000000);
	cell_int(row, session->waited_us % 1000000);
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
	{"cluster", CELL_TEXT},      {"tenant", CELL_TEXT},       {"tenant_id", CELL_TEXT},
	{"client", CELL_INT8},       {"worker", CELL_INT8},
};

static bool next_server(struct console_rows *rows, struct row *row)
{
	const struct live_backend *backend = next_backend(rows);

	if (!backend)
		return false;
	const struct conf_cluster *cluster = cluster_of(rows, backend->cluster);
	cell_text(row, "S");
	cell_text(row, cluster ? cluster->login : NULL);
	cell_text(row, cluster ? cluster->database : NULL);
	cell_text(row, backend->state);
	cell_text(row, cluster ? cluster->host : NULL);
	cell_int(row, cluster ? cluster->port : 0);
	cell_since(row, backend->age_us);
	cell_int(row, backend->leaving);
	cell_int(row, backend->pid);
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

/* ---- pools, of all workers together ---- */

static struct live_pool *pool_of(struct console_rows *rows, const char *cluster)
{
	for (size_t i = 0; i < rows->pool_count; i++) {
		if (strcmp(rows->pools[i].cluster, cluster) == 0)
			return &rows->pools[i];
	}
	return NULL;
}

static void add_work(struct live_work *to, const struct live_work *more)
{
	to->transactions += more->transactions;
	to->queries += more->queries;
	to->requests += more->requests;
	to->waited_us += more->waited_us;
}

/* A worker's pool without a whole period behind it has no average. */
static void add_pool(struct live_pool *to, const struct live_pool *more)
{
	to->sessions += more->sessions;
	to->waiting += more->waiting;
	to->tenants += more->tenants;
	to->backends += more->backends;
	to->active += more->active;
	to->idle += more->idle;
	to->opening += more->opening;
	if (more->longest_wait_us > to->longest_wait_us)
		to->longest_wait_us = more->longest_wait_us;
	to->handovers += more->handovers;
	to->handover_failures += more->handover_failures;
	to->opened += more->opened;
	to->closed += more->closed;
	histogram_add(&to->wait, &more->wait);
	add_work(&to->work, &more->work);
	if (!more->before.at_us)
		return;
	add_work(&to->last, &more->last);
	add_work(&to->before, &more->before);
	to->last.at_us = more->last.at_us;
	to->before.at_us = more->before.at_us;
}

static bool gather_pools(struct console_rows *rows)
{
	size_t max = 0;

	for (size_t i = 0; i < rows->answer->count; i++)
		max += rows->answer->views[i]->pool_count;
	rows->pools = calloc(max + 1, sizeof *rows->pools);
	rows->failed = !rows->pools;
	for (size_t i = 0; !rows->failed && i < rows->answer->count; i++) {
		const struct live_view *view = rows->answer->views[i];

		for (size_t j = 0; j < view->pool_count; j++) {
			const struct live_pool *pool = &view->pools[j];

			if (!pool->cluster)
				continue;
			struct live_pool *to = pool_of(rows, pool->cluster);
			if (!to) {
				to = &rows->pools[rows->pool_count++];
				to->cluster = pool->cluster;
			}
			add_pool(to, pool);
		}
	}
	return true;
}

static const struct console_column pool_columns[] = {
	{"database", CELL_TEXT},    {"user", CELL_TEXT},        {"cl_active", CELL_INT8},
	{"cl_waiting", CELL_INT8},  {"sv_active", CELL_INT8},   {"sv_idle", CELL_INT8},
	{"sv_tested", CELL_INT8},   {"sv_login", CELL_INT8},    {"maxwait", CELL_INT8},
	{"maxwait_us", CELL_INT8},  {"pool_mode", CELL_TEXT},   {"cluster", CELL_TEXT},
	{"tenants", CELL_INT8},     {"handovers", CELL_INT8},   {"handover_failures", CELL_INT8},
	{"opened", CELL_INT8},      {"closed", CELL_INT8},      {"wait_p50_us", CELL_INT8},
	{"wait_p99_us", CELL_INT8}, {"wait_max_us", CELL_INT8},
};

static bool next_pool(struct console_rows *rows, struct row *row)
{
	if (rows->at == rows->pool_count)
		return false;
	const struct live_pool *pool = &rows->pools[rows->at++];
	const struct conf_cluster *cluster = cluster_of(rows, pool->cluster);
	cell_text(row, cluster ? cluster->database : NULL);
	cell_text(row, cluster ? cluster->login : NULL);
	cell_count(row, pool->sessions - pool->waiting);
	cell_count(row, pool->waiting);
	cell_count(row, pool->active);
	cell_count(row, pool->idle);
	cell_count(row, pool->backends - pool->active - pool->idle - pool->opening);
	cell_count(row, pool->opening);
	cell_int(row, pool->longest_wait_us / 1000000);
	cell_int(row, pool->longest_wait_us % 1000000);
	cell_text(row, pool_mode(rows));
	cell_text(row, pool->cluster);
	cell_count(row, pool->tenants);
	cell_count(row, pool->handovers);
	cell_count(row, pool->handover_failures);
	cell_count(row, pool->opened);
	cell_count(row, pool->closed);
	cell_count(row, histogram_quantile(&pool->wait, 0.5));
	cell_count(row, histogram_quantile(&pool->wait, 0.99));
	cell_count(row, pool->wait.max_us);
	return true;
}

static const struct console_column stats_columns[] = {
	{"database", CELL_TEXT},          {"total_xact_count", CELL_INT8},
	{"total_query_count", CELL_INT8}, {"total_wait_time", CELL_INT8},
	{"avg_xact_count", CELL_FLOAT8},  {"avg_query_count", CELL_FLOAT8},
	{"avg_wait_time", CELL_FLOAT8},   {"cluster", CELL_TEXT},
	{"requests", CELL_INT8},
};

static double rate(uint64_t before, uint64_t after, int64_t us)
{
	return us > 0 && after > before ? (double)(after - before) * 1e6 / (double)us : 0;
}

static bool next_stats(struct console_rows *rows, struct row *row)
{
	if (rows->at == rows->pool_count)
		return false;
	const struct live_pool *pool = &rows->pools[rows->at++];
	const struct live_work *last = &pool->last, *before = &pool->before;
	const struct conf_cluster *cluster = cluster_of(rows, pool->cluster);
	int64_t us = last->at_us - before->at_us;
	cell_text(row, cluster ? cluster->database : NULL);
	cell_count(row, pool->work.transactions);
	cell_count(row, pool->work.queries);
	cell_count(row, pool->work.waited_us);
	cell_float(row, rate(before->transactions, last->transactions, us));
	cell_float(row, rate(before->queries, last->queries, us));
	cell_float(row, rate(before->waited_us, last->waited_us, us));
	cell_text(row, pool->cluster);
	cell_count(row, pool->work.requests);
	return true;
}

static bool all_paused(const struct console_rows *rows)
{
	return rows->answer->count && rows->answer->views[0]->all_paused;
}

static const struct console_column database_columns[] = {
	{"name", CELL_TEXT},
	{"host", CELL_TEXT},
	{"port", CELL_INT8},
	{"database", CELL_TEXT},
	{"force_user", CELL_TEXT},
	{"pool_size", CELL_INT8},
	{"min_pool_size", CELL_INT8},
	{"pool_mode", CELL_TEXT},
	{"max_connections", CELL_INT8},
	{"current_connections", CELL_INT8},
	{"current_client_connections", CELL_INT8},
	{"paused", CELL_INT8},
	{"disabled", CELL_INT8},
	{"tenant", CELL_TEXT},
};

static bool next_database(struct console_rows *rows, struct row *row)
{
	const struct conf *conf = rows->conf;

	if (rows->at >= conf->cluster_count)
		return false;
	const struct conf_cluster *cluster = &conf->clusters[rows->at++];
	const struct live_pool *pool = pool_of(rows, cluster->name);
	cell_text(row, cluster->name);
	cell_text(row, cluster->host);
	cell_int(row, cluster->port);
	cell_text(row, cluster->database);
	cell_text(row, cluster->login);
	cell_int(row, conf->default_pool_size);
	cell_int(row, conf->min_pool_size);
	cell_text(row, pool_mode(rows));
	cell_int(row, cluster->max_server_connections);
	cell_count(row, pool ? pool->backends : 0);
	cell_count(row, pool ? pool->sessions : 0);
	cell_int(row, all_paused(rows));
	cell_int(row, 0);
	cell_text(row, *cluster->tenant ? cluster->tenant : NULL);
	return true;
}

/* ---- counts by tenant or principal ---- */

struct group {
	char *key;
	const struct tenant *tenant;       /* the answer's */
	const struct principal *principal; /* the same */
	struct uuid id;
	size_t sessions, waiting, pinned, active, idle;
	bool paused;
	UT_hash_handle hh;
};

/* The group of that key, made when it is missing; NULL when memory is out. */
static struct group *group_of(struct console_rows *rows, const void *key, size_t len)
{
	struct group *group;

	HASH_FIND(hh, rows->groups, key, len, group);
	if (group)
		return group;
	group = calloc(1, sizeof *group);
	if (group)
		group->key = malloc(len + 1);
	if (group && group->key) {
		memcpy(group->key, key, len);
		HASH_ADD_KEYPTR(hh, rows->groups, group->key, len, group);
		if (group->hh.tbl)
			return group;
	}
	if (group)
		free(group->key);
	free(group);
	rows->failed = true;
	return NULL;
}

static struct group *group_of_tenant(struct console_rows *rows, const struct tenant *tenant)
{
	struct group *group = group_of(rows, &tenant->id, sizeof tenant->id);

	if (group) {
		group->tenant = tenant;
		group->id = tenant->id;
	}
	return group;
}

/* Counts what a slice of sessions has; true when none is left. */
static bool count_sessions(struct console_rows *rows)
{
	for (int i = 0; i < GATHER_SLICE && !rows->failed; i++) {
		const struct live_session *session = next_session(rows);
		struct group *group;

		if (!session)
			return true;
		if (!session->tenant || !(group = group_of_tenant(rows, session->tenant)))
			continue;
		group->sessions++;
		group->waiting += strcmp(session->state, "waiting") == 0;
		group->pinned += *session->pin != '\0';
	}
	return rows->failed;
}

static void count_backends(struct console_rows *rows)
{
	const struct live_backend *backend;

	while ((backend = next_backend(rows)) != NULL) {
		struct group *group = backend->tenant ? group_of_tenant(rows, backend->tenant) : NULL;

		if (!group)
			continue;
		group->active += strcmp(backend->state, "idle") != 0;
		group->idle += strcmp(backend->state, "idle") == 0;
	}
}

/* Also those that have no session here. */
static void note_paused(struct console_rows *rows)
{
	for (size_t i = 0; i < rows->answer->count; i++) {
		const struct live_view *view = rows->answer->views[i];

		for (size_t j = 0; j < view->paused_count; j++) {
			struct group *group = group_of(rows, &view->paused[j], sizeof view->paused[j]);

			if (!group)
				return;
			group->id = view->paused[j];
			group->paused = true;
		}
	}
}

static bool gather_tenants(struct console_rows *rows)
{
	if (!count_sessions(rows))
		return false;
	rows->view = rows->at = 0;
	count_backends(rows);
	note_paused(rows);
	rows->group = rows->groups;
	return true;
}

static const struct console_column tenant_columns[] = {
	{"tenant", CELL_TEXT},   {"tenant_id", CELL_TEXT},  {"cluster", CELL_TEXT},
	{"sessions", CELL_INT8}, {"cl_waiting", CELL_INT8}, {"sv_active", CELL_INT8},
	{"sv_idle", CELL_INT8},  {"pinned", CELL_INT8},     {"weight", CELL_INT8},
	{"paused", CELL_INT8},
};

static bool next_tenant(struct console_rows *rows, struct row *row)
{
	const struct group *group = rows->group;

	if (!group)
		return false;
	rows->group = group->hh.next;
	cell_text(row, group->tenant ? group->tenant->slug : NULL);
	cell_id(row, &group->id);
	cell_text(row, group->tenant ? group->tenant->cluster : NULL);
	cell_count(row, group->sessions);
	cell_count(row, group->waiting);
	cell_count(row, group->active);
	cell_count(row, group->idle);
	cell_count(row, group->pinned);
	if (group->tenant)
		cell_int(row, group->tenant->pool_weight);
	else
		cell_text(row, NULL);
	cell_int(row, group->paused || all_paused(rows));
	return true;
}

static bool gather_users(struct console_rows *rows)
{
	for (int i = 0; i < GATHER_SLICE && !rows->failed; i++) {
		const struct live_session *session = next_session(rows);

		if (!session) {
			rows->group = rows->groups;
			return true;
		}
		const struct principal *principal = session->principal;
		/* Who logs in has not shown yet that it is this principal. */
		if (!principal || strcmp(session->state, "login") == 0)
			continue;
		struct group *group = group_of(rows, principal->name, strlen(principal->name));
		if (group) {
			group->principal = principal;
			group->sessions++;
		}
	}
	return rows->failed;
}

static const struct console_column user_columns[] = {
	{"name", CELL_TEXT},
	{"pool_mode", CELL_TEXT},
	{"max_user_client_connections", CELL_INT8},
	{"current_client_connections", CELL_INT8},
	{"reach", CELL_TEXT},
	{"home_id", CELL_TEXT},
};

static bool next_user(struct console_rows *rows, struct row *row)
{
	static const char *const reaches[] = {
		[REACH_SELF] = "self", [REACH_SUBTREE] = "subtree", [REACH_ALL] = "all"};
	const struct group *group = rows->group;

	if (!group)
		return false;
	rows->group = group->hh.next;
	cell_text(row, group->principal->name);
	cell_text(row, pool_mode(rows));
	cell_int(row, rows->conf->max_user_client_connections);
	cell_count(row, group->sessions);
	cell_text(row, reaches[group->principal->reach]);
	cell_id(row, &group->principal->home);
	return true;
}

/* ---- small tables ---- */

static const struct console_column list_columns[] = {{"list", CELL_TEXT}, {"items", CELL_INT8}};

struct sums {
	size_t clients, logging_in, leaving, paused;
	size_t sessions, waiting, backends, active, idle;
};

static struct sums sums_of(const struct console_rows *rows)
{
	struct sums sums = {0};

	for (size_t i = 0; i < rows->answer->count; i++) {
		const struct live_view *view = rows->answer->views[i];

		sums.clients += view->clients;
		sums.logging_in += view->logging_in;
		sums.leaving += view->leaving;
	}
	if (rows->answer->count)
		sums.paused = rows->answer->views[0]->paused_count;
	for (size_t i = 0; i < rows->pool_count; i++) {
		sums.waiting += rows->pools[i].waiting;
		sums.backends += rows->pools[i].backends;
		sums.active += rows->pools[i].active;
		sums.idle += rows->pools[i].idle;
	}
	return sums;
}

static bool next_list(struct console_rows *rows, struct row *row)
{
	const struct sums sums = sums_of(rows);
	const struct {
		const char *name;
		size_t items;
	} lists[] = {
		{"databases", rows->conf->cluster_count},
		{"pools", rows->pool_count},
		{"used_clients", sums.clients - sums.logging_in - sums.leaving},
		{"login_clients", sums.logging_in},
		{"waiting_clients", sums.waiting},
		{"leaving_clients", sums.leaving},
		{"free_servers", sums.idle},
		{"used_servers", sums.backends - sums.idle},
		{"paused_tenants", sums.paused},
		{"workers", rows->answer->count},
	};

	if (rows->at == sizeof lists / sizeof *lists)
		return false;
	cell_text(row, lists[rows->at].name);
	cell_count(row, lists[rows->at].items);
	rows->at++;
	return true;
}

static const struct console_column state_columns[] = {{"key", CELL_TEXT}, {"value", CELL_TEXT}};

static bool next_state(struct console_rows *rows, struct row *row)
{
	static const char *const keys[] = {"active", "paused", "suspended"};

	if (rows->at == sizeof keys / sizeof *keys)
		return false;
	bool is = rows->at != 2 && (rows->at == 1) == all_paused(rows);
	cell_text(row, keys[rows->at++]);
	cell_text(row, is ? "yes" : "no");
	return true;
}

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

/* ---- all of them ---- */

#define COLUMNS(columns) columns, sizeof columns / sizeof *columns

static const struct console_table tables[] = {
	[SHOW_CLIENTS] = {COLUMNS(client_columns), true, LIVE_ALL, NULL, next_client},
	[SHOW_CONFIG] = {COLUMNS(config_columns), false, LIVE_COUNTS, gather_config, next_config},
	[SHOW_DATABASES] = {COLUMNS(database_columns), true, LIVE_COUNTS, gather_pools,
						next_database},
	[SHOW_HELP] = {COLUMNS(help_columns), false, LIVE_COUNTS, NULL, next_help},
	[SHOW_LISTS] = {COLUMNS(list_columns), true, LIVE_COUNTS, gather_pools, next_list},
	[SHOW_PINS] = {COLUMNS(pin_columns), true, LIVE_SESSIONS, NULL, next_pin},
	[SHOW_POOLS] = {COLUMNS(pool_columns), true, LIVE_COUNTS, gather_pools, next_pool},
	[SHOW_SERVERS] = {COLUMNS(server_columns), true, LIVE_BACKENDS, NULL, next_server},
	[SHOW_STATE] = {COLUMNS(state_columns), true, LIVE_COUNTS, NULL, next_state},
	[SHOW_STATS] = {COLUMNS(stats_columns), true, LIVE_COUNTS, gather_pools, next_stats},
	[SHOW_TENANTS] = {COLUMNS(tenant_columns), true, LIVE_SESSIONS, gather_tenants,
					  next_tenant},
	[SHOW_USERS] = {COLUMNS(user_columns), true, LIVE_SESSIONS, gather_users, next_user},
	[SHOW_VERSION] = {COLUMNS(version_columns), false, LIVE_COUNTS, NULL, next_version},
};

const struct console_table *console_table_of(enum console_show show)
{
	return &tables[show];
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
	struct group *group, *next;

	HASH_ITER (hh, rows->groups, group, next) {
		HASH_DEL(rows->groups, group);
		free(group->key);
		free(group);
	}
	free(rows->pools);
	buf_fini(&rows->cells);
	live_answer_free(rows->answer);
	*rows = (struct console_rows){.table = NULL};
}
