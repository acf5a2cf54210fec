/* The console's table of hosts: what each cluster's servers were found to be. */
#include <string.h>

#include "proxy/console_table.h"
#include "proxy/hosts.h"
#include "proxy/worker.h"

static const struct console_column columns[] = {
	{"cluster", CELL_TEXT},      {"host", CELL_TEXT},
	{"port", CELL_INT8},         {"target_session_attrs", CELL_TEXT},
	{"kind", CELL_TEXT},         {"state", CELL_TEXT},
	{"in_use", CELL_INT8},       {"addresses", CELL_INT8},
	{"last_failure", CELL_TEXT}, {"last_failure_time", CELL_TEXT},
};

/* The n-th host of all clusters: its cluster's number, and *host within that. */
static bool find(const struct console_rows *rows, size_t n, size_t *cluster, size_t *host)
{
	for (*cluster = 0; *cluster < rows->conf->cluster_count; ++*cluster) {
		size_t count = rows->addresses[*cluster].hosts->names.count;

		if (n < count) {
			*host = n;
			return true;
		}
		n -= count;
	}
	return false;
}

static bool next_host(struct console_rows *rows, struct row *row)
{
	size_t cluster, host;

	if (!find(rows, rows->at, &cluster, &host))
		return false;
	rows->at++;
	struct hosts *hosts = rows->addresses[cluster].hosts;
	struct host_report report;
	hosts_report(hosts, host, &report);
	cell_text(row, rows->conf->clusters[cluster].name);
	cell_text(row, hosts->names.list[host].name);
	cell_int(row, hosts->names.list[host].port);
	cell_text(row, host_target_name(rows->conf->clusters[cluster].target));
	cell_text(row, host_kind_name(report.kind));
	cell_text(row, report.state);
	cell_int(row, report.is_in_use);
	cell_count(row, report.addresses);
	cell_text(row, report.failed_ms ? report.why : NULL);
	if (report.failed_ms)
		cell_since(row, (rows->wall_ms - report.failed_ms) * 1000);
	else
		cell_text(row, NULL);
	return true;
}

const struct console_table console_hosts = {COLUMNS(columns), false, LIVE_COUNTS, NULL,
											next_host};
