/* Tables of the console: pools of all workers together, and sums. */
#include "proxy/console_table.h"
#include "proxy/hosts.h"
#include "proxy/worker.h"

/* What stands for the names of all tenants' own logins or databases. */
#define OWN_NAMES "t_*"

/* By database and user; or by cluster alone, where pools that are gone count too. */
static bool gather(struct console_rows *rows, bool by_cluster)
{
	rows->pools = live_sum_pools(rows->answer, by_cluster, &rows->pool_count);
	rows->failed = !rows->pools;
	return true;
}

static bool gather_pools(struct console_rows *rows)
{
	return gather(rows, false);
}

static bool gather_clusters(struct console_rows *rows)
{
	return gather(rows, true);
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
	cell_text(row, pool->own_database ? OWN_NAMES : cluster ? cluster->database : NULL);
	cell_text(row, pool->own_login ? OWN_NAMES : cluster ? cluster->login : NULL);
	cell_count(row, pool->sessions - pool->waiting);
	cell_count(row, pool->waiting);
	cell_count(row, pool->active);
	cell_count(row, pool->idle);
	cell_count(row, pool->backends - pool->active - pool->idle - pool->opening);
	cell_count(row, pool->opening);
	cell_int(row, pool->longest_wait_us / 1000000);
	cell_int(row, pool->longest_wait_us % 1000000);
	cell_text(row, pool_mode_name(rows));
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
	const struct live_pool *pool = live_find_sum(rows->pools, rows->pool_count,
												 &(struct live_pool){.cluster = cluster->name});
	cell_text(row, cluster->name);
	const struct hosts *hosts = rows->addresses[cluster - conf->clusters].hosts;
	cell_text(row, cluster->host);
	cell_int(row, hosts->names.list[atomic_load(&hosts->good)].port);
	cell_text(row, cluster->database);
	cell_text(row, cluster->login);
	cell_int(row, conf->default_pool_size);
	cell_int(row, conf->min_pool_size);
	cell_text(row, pool_mode_name(rows));
	cell_int(row, cluster->max_server_connections);
	cell_count(row, pool ? pool->backends : 0);
	cell_count(row, pool ? pool->sessions : 0);
	cell_int(row, all_paused(rows));
	cell_int(row, 0);
	cell_text(row, *cluster->tenant ? cluster->tenant : NULL);
	return true;
}

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

const struct console_table console_pools = {COLUMNS(pool_columns), true, LIVE_COUNTS,
											gather_pools, next_pool};

const struct console_table console_stats = {COLUMNS(stats_columns), true, LIVE_COUNTS,
											gather_clusters, next_stats};

const struct console_table console_databases = {COLUMNS(database_columns), true, LIVE_COUNTS,
												gather_clusters, next_database};

const struct console_table console_lists = {COLUMNS(list_columns), true, LIVE_COUNTS,
											gather_pools, next_list};

const struct console_table console_state = {COLUMNS(state_columns), true, LIVE_COUNTS, NULL,
											next_state};
