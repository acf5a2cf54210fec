#include "admin/metrics.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "admin/metrics_tenants.h"
#include "admin/process.h"

/* Members are read by their offsets as 64 bits, whichever of the two types they have. */
_Static_assert(sizeof(size_t) == sizeof(uint64_t), "counts are 64 bits wide");

const char *const metrics_content_types[METRICS_FORMS] = {
	[METRICS_PLAIN] = "text/plain; version=0.0.4; charset=utf-8",
	[METRICS_OPENMETRICS] = "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

/* ---- the table ---- */

/* Where the numbers of a family come from, and so which labels it has. */
enum origin {
	OF_WORKERS,   /* struct measures */
	OF_POOLS,     /* struct pool_measures */
	OF_DIRECTORY, /* struct directory_measures */
	OF_PROCESS,   /* struct process_measures */
	OF_TENANTS,   /* struct tenant_measures */
	OF_HOSTS,     /* struct host_measures */
	OF_ALL,       /* struct totals: what concerns the whole of it */
};

enum kind {
	COUNT,
	YES_OR_NO, /* a bool */
	MICROSECONDS,
	SECONDS, /* a double */
	HISTOGRAM,
	BY_SESSION_STATE, /* an array of counts */
	BY_BACKEND_STATE,
	BY_REASON,
	BY_CAUSE,
	BY_RESULT, /* struct directory_counts */
	VERSION,
};

struct family {
	const char *name, *type, *help;
	enum origin origin;
	enum kind kind;
	size_t offset;
	const char *theirs; /* of PgBouncer's exporter, or NULL */
};

struct totals {
	struct measures sum; /* its arrays are not used */
	struct pool_measures *pools;
	size_t pool_count;
	struct tenant_measures *tenants;
	size_t tenant_count;
	const struct host_measures *hosts;
	size_t host_count;
	struct process_measures process;
	bool is_stopping;
	uint64_t workers;
};

#define COUNTER   "counter"
#define GAUGE     "gauge"
#define W(member) OF_WORKERS, COUNT, offsetof(struct measures, member)
#define P(member) OF_POOLS, COUNT, offsetof(struct pool_measures, member)
#define H(member) OF_POOLS, HISTOGRAM, offsetof(struct pool_measures, member)
#define T(member) OF_TENANTS, COUNT, offsetof(struct tenant_measures, member)
#define O(member) OF_HOSTS, COUNT, offsetof(struct host_measures, member)
#define D(member) OF_DIRECTORY, COUNT, offsetof(struct directory_measures, member)
#define S(member) OF_PROCESS, COUNT, offsetof(struct process_measures, member)

/* clang-format off */
static const struct family families[] = {
	{"bulkhead_build_info", GAUGE, "The version that runs; always 1.", OF_ALL, VERSION, 0, "pgbouncer_version_info"},
	{"bulkhead_workers", GAUGE, "Worker threads.", OF_ALL, COUNT, offsetof(struct totals, workers), NULL},
	{"bulkhead_stopping", GAUGE, "1 while Bulkhead lets transactions end before it stops.",
	 OF_ALL, YES_OR_NO, offsetof(struct totals, is_stopping), NULL},

	{"bulkhead_client_connections_total", COUNTER, "Connections accepted from clients.", W(connections), NULL},
	{"bulkhead_logins_total", COUNTER, "Clients that have logged in.", W(logins), NULL},
	{"bulkhead_logins_in_progress", GAUGE, "Connections that have not logged in yet.", W(logging_in),
	 "pgbouncer_login_clients"},
	{"bulkhead_logins_refused_total", COUNTER, "Logins that were refused, by reason (docs/errors.md).",
	 OF_WORKERS, BY_REASON, offsetof(struct measures, refused), NULL},
	{"bulkhead_tls_failures_total", COUNTER,
	 "TLS handshakes of clients that failed: one side refused the certificate, or no version or cipher is common.",
	 W(tls_failures), NULL},
	{"bulkhead_sessions_ended_total", COUNTER, "Sessions that Bulkhead ended, by reason (docs/errors.md).",
	 OF_WORKERS, BY_REASON, offsetof(struct measures, ended), NULL},
	{"bulkhead_statements_refused_total", COUNTER, "Statements that the gate, or a rate limit, has refused, by reason (docs/errors.md).",
	 OF_WORKERS, BY_REASON, offsetof(struct measures, statements_refused), NULL},
	{"bulkhead_statements_observed_total", COUNTER,
	 "Statements that the gate would have refused, and has let run ([gate] mode = observe), by reason.",
	 OF_WORKERS, BY_REASON, offsetof(struct measures, statements_observed), NULL},
	{"bulkhead_statements_cancelled_total", COUNTER,
	 "Statements that were cancelled because they took too long, by reason (docs/errors.md).", OF_WORKERS, BY_REASON,
	 offsetof(struct measures, statements_cancelled), NULL},
	{"bulkhead_sessions_leaving", GAUGE, "Clients that were told to go and have not closed the connection yet.",
	 W(leaving), NULL},
	{"bulkhead_console_sessions", GAUGE, "Sessions on the console (database bulkhead).", W(consoles), NULL},
	{"bulkhead_pinned_sessions", GAUGE, "Sessions that keep their backend between transactions, by cause.",
	 OF_WORKERS, BY_CAUSE, 0, NULL},
	{"bulkhead_client_received_bytes_total", COUNTER, "Bytes from clients.", W(client_received),
	 "pgbouncer_stats_totals_received_bytes_total"},
	{"bulkhead_client_sent_bytes_total", COUNTER, "Bytes to clients.", W(client_sent),
	 "pgbouncer_stats_totals_sent_bytes_total"},
	{"bulkhead_server_received_bytes_total", COUNTER, "Bytes from servers.", W(server_received), NULL},
	{"bulkhead_server_sent_bytes_total", COUNTER, "Bytes to servers.", W(server_sent), NULL},
	{"bulkhead_collected_bytes", GAUGE, "Bytes of long messages that clients have sent in part.", W(gathered), NULL},
	{"bulkhead_cancel_requests_total", COUNTER, "Cancel requests sent to servers.", W(cancels), NULL},
	{"bulkhead_cancel_requests_open", GAUGE, "Cancel requests that are under way.", W(cancels_open),
	 "pgbouncer_pools_client_active_cancel_connections"},

	{"bulkhead_contexts_lost_total", COUNTER, "Statements that met a backend whose tenant context had been emptied.",
	 W(contexts_lost), NULL},
	{"bulkhead_reseals_total", COUNTER, "Tenant contexts that were restored under a client that kept its backend.",
	 W(reseals), NULL},
	{"bulkhead_verdict_cache_hits_total", COUNTER, "Texts of SQL whose verdict was known.", W(verdict_hits), NULL},
	{"bulkhead_verdict_cache_misses_total", COUNTER, "Texts of SQL that were read.", W(verdict_misses), NULL},
	{"bulkhead_verdict_cache_bytes", GAUGE, "Bytes of the verdicts that are kept.", W(verdict_bytes), NULL},
	{"bulkhead_verdict_cache_entries", GAUGE, "Verdicts that are kept.", W(verdict_entries), NULL},
	{"bulkhead_prepared_statements", GAUGE, "Different prepared statements of all clients.", W(statements), NULL},

	{"bulkhead_host_down", GAUGE, "1 where the host could not be reached, or its name not be resolved, when that was last tried.",
	 O(is_down), NULL},
	{"bulkhead_host_in_use", GAUGE, "1 where the cluster's new backends are opened; 0 for all while none serves.",
	 O(is_in_use), NULL},

	{"bulkhead_pool_sessions", GAUGE, "Sessions of the pool's clients, by state.",
	 OF_POOLS, BY_SESSION_STATE, offsetof(struct pool_measures, sessions),
	 "pgbouncer_pools_client_active_connections, pgbouncer_pools_client_waiting_connections"},
	{"bulkhead_pool_backends", GAUGE, "Connections to the server, by state.",
	 OF_POOLS, BY_BACKEND_STATE, offsetof(struct pool_measures, backends),
	 "pgbouncer_pools_server_active_connections, pgbouncer_pools_server_idle_connections, "
	 "pgbouncer_pools_server_login_connections"},
	{"bulkhead_pool_backends_max", GAUGE, "default_pool_size, which all workers share.", P(size_max),
	 "pgbouncer_databases_pool_size"},
	{"bulkhead_pool_longest_wait_seconds", GAUGE, "How long the client has waited that waits for a backend longest.",
	 OF_POOLS, MICROSECONDS, offsetof(struct pool_measures, longest_wait_us), "pgbouncer_pools_client_maxwait_seconds"},
	{"bulkhead_pool_requests_total", COUNTER, "Times that a client asked for a backend.", P(requests), NULL},
	{"bulkhead_pool_queries_total", COUNTER, "Statements, or batches up to a Sync, that were answered.", P(queries),
	 "pgbouncer_stats_totals_queries_pooled_total"},
	{"bulkhead_pool_transactions_total", COUNTER, "Transactions that ended.", P(transactions),
	 "pgbouncer_stats_totals_sql_transactions_pooled_total"},
	{"bulkhead_pool_handovers_total", COUNTER, "Backends that were put into another tenant's context.", P(handovers), NULL},
	{"bulkhead_pool_handover_failures_total", COUNTER, "Backends that were lost while they were prepared for a client.",
	 P(handover_failures), NULL},
	{"bulkhead_pool_backends_opened_total", COUNTER, "Connections to the server that passed the self-check.", P(opened), NULL},
	{"bulkhead_pool_backends_closed_total", COUNTER, "Connections to the server that ended, also while they were made.",
	 P(closed), NULL},
	{"bulkhead_pool_wait_seconds", "histogram", "From asking for a backend to being given one.", H(wait),
	 "pgbouncer_stats_totals_client_wait_seconds_total"},
	{"bulkhead_pool_handover_seconds", "histogram",
	 "Exchanges with the server that put a backend into a client's context.", H(handover), NULL},
	{"bulkhead_pool_query_seconds", "histogram",
	 "From sending a statement, or the first of a batch, to ReadyForQuery.", H(query),
	 "pgbouncer_stats_totals_queries_duration_seconds_total"},

	{"bulkhead_tenant_sessions", GAUGE, "Sessions of the tenants that have most; the others are _other.", T(sessions), NULL},
	{"bulkhead_tenant_waiting", GAUGE, "Of those, the clients that wait for a backend.", T(waiting), NULL},
	{"bulkhead_tenant_backends", GAUGE, "Backends that they hold now.", T(backends), NULL},

	{"bulkhead_directory_up", GAUGE, "1 while the control database is there and announces changes.",
	 OF_DIRECTORY, YES_OR_NO, offsetof(struct directory_measures, is_fed), NULL},
	{"bulkhead_directory_tenants", GAUGE, "Tenants that are remembered.", D(tenants), NULL},
	{"bulkhead_directory_principals", GAUGE, "Principals that are remembered.", D(principals), NULL},
	{"bulkhead_directory_lookups_total", COUNTER,
	 "Look-ups: answered from memory, or by the control database with a row, with none, or not at all.",
	 OF_DIRECTORY, BY_RESULT, offsetof(struct directory_measures, counts), NULL},
	{"bulkhead_directory_lookup_seconds", "histogram", "Look-ups in the control database.",
	 OF_DIRECTORY, HISTOGRAM, offsetof(struct directory_measures, counts.look_up), NULL},

	{"process_cpu_seconds_total", COUNTER, "Processor time, user and system.",
	 OF_PROCESS, SECONDS, offsetof(struct process_measures, cpu_seconds), NULL},
	{"process_start_time_seconds", GAUGE, "When the process began, since the Unix epoch.",
	 OF_PROCESS, SECONDS, offsetof(struct process_measures, start_seconds), NULL},
	{"process_resident_memory_bytes", GAUGE, "Memory that is occupied.", S(resident_bytes), NULL},
	{"process_open_fds", GAUGE, "Open descriptors.", S(open_fds), NULL},
	{"process_max_fds", GAUGE, "Descriptors that may be open.", S(max_fds), NULL},
};
/* clang-format on */
#define FAMILY_COUNT (sizeof families / sizeof *families)

/* ---- samples ---- */

/* A label's value (exposition format: backslash, quote and line feed are escaped). */
static bool append_value(struct buf *out, const char *value)
{
	bool ok = buf_append_byte(out, '"');

	for (; ok && *value; value++) {
		if (*value == '\n')
			ok = buf_append(out, "\\n", 2);
		else if (*value == '"' || *value == '\\')
			ok = buf_append_byte(out, '\\') && buf_append_byte(out, (uint8_t)*value);
		else
			ok = buf_append_byte(out, (uint8_t)*value);
	}
	return ok && buf_append_byte(out, '"');
}

/* Names and values in turn, ended by NULL. */
struct labels {
	const char *pairs[8];
};

static bool append_head(struct buf *out, const char *name, const char *suffix,
						const struct labels *labels)
{
	bool ok = buf_appendf(out, "%s%s", name, suffix);

	for (size_t i = 0; ok && labels->pairs[i]; i += 2)
		ok = buf_appendf(out, "%c%s=", i ? ',' : '{', labels->pairs[i]) &&
			 append_value(out, labels->pairs[i + 1]);
	return ok && buf_appendf(out, labels->pairs[0] ? "} " : " ");
}

static bool append_count(struct buf *out, const char *name, const char *suffix,
						 const struct labels *labels, uint64_t value)
{
	return append_head(out, name, suffix, labels) && buf_appendf(out, "%" PRIu64 "\n", value);
}

static bool append_seconds(struct buf *out, const char *name, const char *suffix,
						   const struct labels *labels, double value)
{
	return append_head(out, name, suffix, labels) && buf_appendf(out, "%.9g\n", value);
}

/* Of the buckets that double, those from 16 us to 67 s: two for each halving would not be worth
 * their series. */
#define BUCKET_FIRST 4
#define BUCKET_LAST  26

static bool append_histogram(struct buf *out, const char *name, const struct labels *given,
							 const struct histogram *histogram)
{
	struct labels labels = *given;
	size_t place = labels.pairs[0] ? 2 : 0;
	uint64_t seen = 0;
	char bound[32];
	bool ok = true;

	labels.pairs[place] = "le";
	labels.pairs[place + 1] = bound;
	for (unsigned i = 0; ok && i <= BUCKET_LAST; i++) {
		seen += histogram->buckets[i];
		snprintf(bound, sizeof bound, "%.9g", (double)((uint64_t)1 << i) / 1e6);
		if (i >= BUCKET_FIRST)
			ok = append_count(out, name, "_bucket", &labels, seen);
	}
	labels.pairs[place + 1] = "+Inf";
	return ok && append_count(out, name, "_bucket", &labels, histogram->count) &&
		   append_seconds(out, name, "_sum", given, (double)histogram->sum_us / 1e6) &&
		   append_count(out, name, "_count", given, histogram->count);
}

static bool append_states(struct buf *out, const char *name, const struct labels *given,
						  const size_t *counts, const char *const *names, size_t count)
{
	struct labels labels = *given;
	bool ok = true;

	labels.pairs[2] = "state";
	for (size_t i = 0; ok && i < count; i++) {
		labels.pairs[3] = names[i];
		ok = append_count(out, name, "", &labels, counts[i]);
	}
	return ok;
}

static bool append_reasons(struct buf *out, const char *name, const uint64_t *counts)
{
	bool ok = true;

	for (int i = 0; ok && i < REASON_COUNT; i++) {
		const struct labels labels = {{"reason", reason_code((enum reason)i)}};

		ok = append_count(out, name, "", &labels, counts[i]);
	}
	return ok;
}

static bool append_causes(struct buf *out, const char *name, const struct measures *measures)
{
	bool ok = true;

	for (size_t i = 0; ok && i < measures->pin_count; i++) {
		const struct labels labels = {{"cause", measures->pins[i].cause}};

		ok = append_count(out, name, "", &labels, measures->pins[i].sessions);
	}
	return ok;
}

static bool append_results(struct buf *out, const char *name,
						   const struct directory_counts *counts)
{
	const struct {
		const char *name;
		uint64_t count;
	} results[] = {{"remembered", counts->remembered},
				   {"found", counts->found},
				   {"unknown", counts->unknown},
				   {"unavailable", counts->unavailable}};
	bool ok = true;

	for (size_t i = 0; ok && i < sizeof results / sizeof *results; i++) {
		const struct labels labels = {{"result", results[i].name}};

		ok = append_count(out, name, "", &labels, results[i].count);
	}
	return ok;
}

/* The samples of one structure, which begins at `base`. */
static bool append_samples(struct buf *out, const struct family *family,
						   const struct labels *labels, const void *base)
{
	const void *member = (const char *)base + family->offset;

	switch (family->kind) {
	case COUNT:
		return append_count(out, family->name, "", labels, *(const uint64_t *)member);
	case YES_OR_NO:
		return append_count(out, family->name, "", labels, *(const bool *)member);
	case MICROSECONDS:
		return append_seconds(out, family->name, "", labels,
							  (double)*(const int64_t *)member / 1e6);
	case SECONDS:
		return append_seconds(out, family->name, "", labels, *(const double *)member);
	case HISTOGRAM:
		return append_histogram(out, family->name, labels, member);
	case BY_SESSION_STATE:
		return append_states(out, family->name, labels, member, session_state_names,
							 SESSION_POOL_STATES);
	case BY_BACKEND_STATE:
		return append_states(out, family->name, labels, member, backend_state_names,
							 BACKEND_STATES);
	case BY_REASON:
		return append_reasons(out, family->name, member);
	case BY_CAUSE:
		return append_causes(out, family->name, base);
	case BY_RESULT:
		return append_results(out, family->name, member);
	case VERSION: {
		const struct labels version = {{"version", BULKHEAD_VERSION}};

		return append_count(out, family->name, "", &version, 1);
	}
	}
	return false;
}

/* OpenMetrics has the suffix of a counter with its samples, and not with the family. */
static bool append_description(struct buf *out, const struct family *family,
							   enum metrics_form form)
{
	const char *name = family->name;
	size_t len = strlen(name), suffix = strlen("_total");

	if (form == METRICS_OPENMETRICS && strcmp(family->type, COUNTER) == 0)
		len -= suffix;
	return buf_appendf(out, "# HELP %.*s %s\n# TYPE %.*s %s\n", (int)len, name, family->help,
					   (int)len, name, family->type);
}

static bool append_family(struct buf *out, const struct family *family,
						  const struct totals *totals, const struct metrics_input *input)
{
	const struct labels none = {{NULL}};
	bool ok = append_description(out, family, input->form);

	switch (family->origin) {
	case OF_WORKERS:
		return ok && append_samples(out, family, &none, &totals->sum);
	case OF_DIRECTORY:
		return ok && append_samples(out, family, &none, &input->directory);
	case OF_PROCESS:
		return ok && append_samples(out, family, &none, &totals->process);
	case OF_ALL:
		return ok && append_samples(out, family, &none, totals);
	case OF_POOLS:
		for (size_t i = 0; ok && i < totals->pool_count; i++) {
			const struct labels labels = {{"cluster", totals->pools[i].cluster}};

			ok = append_samples(out, family, &labels, &totals->pools[i]);
		}
		break;
	case OF_HOSTS:
		for (size_t i = 0; ok && i < totals->host_count; i++) {
			const struct host_measures *host = &totals->hosts[i];
			const struct labels labels = {
				{"cluster", host->cluster, "host", host->host, "port", host->port}};

			ok = !host->cluster || append_samples(out, family, &labels, host);
		}
		break;
	case OF_TENANTS:
		for (size_t i = 0; ok && i < totals->tenant_count; i++) {
			const struct labels labels = {{"tenant", totals->tenants[i].slug}};

			ok = append_samples(out, family, &labels, &totals->tenants[i]);
		}
		break;
	}
	return ok;
}

/* ---- sums over workers ---- */

static void add_pins(struct measures *sum, const struct measures *measures)
{
	for (size_t i = 0; i < measures->pin_count; i++) {
		size_t at = 0;

		while (at < sum->pin_count && sum->pins[at].cause != measures->pins[i].cause)
			at++;
		if (at == MEASURES_PINS)
			continue;
		if (at == sum->pin_count)
			sum->pins[sum->pin_count++].cause = measures->pins[i].cause;
		sum->pins[at].sessions += measures->pins[i].sessions;
	}
}

static void add_measures(struct measures *sum, const struct measures *measures)
{
	/* What the table says of them are the counts of this structure, and the reasons. */
	for (size_t i = 0; i < FAMILY_COUNT; i++) {
		if (families[i].origin == OF_WORKERS && families[i].kind == COUNT)
			*(uint64_t *)(void *)((char *)sum + families[i].offset) +=
				*(const uint64_t *)(const void *)((const char *)measures + families[i].offset);
	}
	for (size_t i = 0; i < REASON_COUNT; i++) {
		sum->refused[i] += measures->refused[i];
		sum->ended[i] += measures->ended[i];
		sum->statements_refused[i] += measures->statements_refused[i];
		sum->statements_observed[i] += measures->statements_observed[i];
		sum->statements_cancelled[i] += measures->statements_cancelled[i];
	}
	add_pins(sum, measures);
}

static void add_pool(struct pool_measures *sum, const struct pool_measures *pool)
{
	for (size_t i = 0; i < FAMILY_COUNT; i++) {
		if (families[i].origin == OF_POOLS && families[i].kind == COUNT)
			*(uint64_t *)(void *)((char *)sum + families[i].offset) +=
				*(const uint64_t *)(const void *)((const char *)pool + families[i].offset);
		else if (families[i].origin == OF_POOLS && families[i].kind == HISTOGRAM)
			histogram_add((void *)((char *)sum + families[i].offset),
						  (const void *)((const char *)pool + families[i].offset));
	}
	sum->size_max = pool->size_max; /* of all workers together */
	for (size_t i = 0; i < SESSION_POOL_STATES; i++)
		sum->sessions[i] += pool->sessions[i];
	for (size_t i = 0; i < BACKEND_STATES; i++)
		sum->backends[i] += pool->backends[i];
	if (pool->longest_wait_us > sum->longest_wait_us)
		sum->longest_wait_us = pool->longest_wait_us;
}

static struct pool_measures *find_pool(struct totals *totals, char *cluster)
{
	for (size_t i = 0; i < totals->pool_count; i++) {
		if (strcmp(totals->pools[i].cluster, cluster) == 0)
			return &totals->pools[i];
	}
	totals->pools[totals->pool_count].cluster = cluster;
	return &totals->pools[totals->pool_count++];
}

/* Copies borrow the workers' texts. False when memory is out. */
static bool add_up(const struct metrics_input *input, struct totals *totals)
{
	size_t pools = 0, tenants = 0;

	for (size_t i = 0; i < input->worker_count; i++) {
		pools += input->workers[i] ? input->workers[i]->pool_count : 0;
		tenants += input->workers[i] ? input->workers[i]->tenant_count : 0;
	}
	totals->pools = calloc(pools + 1, sizeof *totals->pools);
	totals->tenants = calloc(tenants + 1, sizeof *totals->tenants);
	if (!totals->pools || !totals->tenants)
		return false;
	for (size_t i = 0; i < input->worker_count; i++) {
		const struct measures *worker = input->workers[i];

		/* A sum without one of them would say that counters fell. */
		if (!worker)
			return false;
		add_measures(&totals->sum, worker);
		if (worker->hosts) {
			totals->hosts = worker->hosts;
			totals->host_count = worker->host_count;
		}
		for (size_t j = 0; j < worker->pool_count; j++) {
			if (!worker->pools[j].cluster)
				return false;
			add_pool(find_pool(totals, worker->pools[j].cluster), &worker->pools[j]);
		}
		for (size_t j = 0; j < worker->tenant_count; j++) {
			if (worker->tenants[j].slug)
				totals->tenants[totals->tenant_count++] = worker->tenants[j];
		}
	}
	totals->tenant_count =
		metrics_merge_tenants(totals->tenants, totals->tenant_count, input->tenants_max);
	return true;
}

bool metrics_write(const struct metrics_input *input, struct buf *out)
{
	struct totals totals = {.workers = input->worker_count, .is_stopping = input->is_stopping};
	bool ok = add_up(input, &totals);

	process_measure(&totals.process);
	for (size_t i = 0; ok && i < FAMILY_COUNT; i++)
		ok = append_family(out, &families[i], &totals, input);
	if (ok && input->form == METRICS_OPENMETRICS)
		ok = buf_appendf(out, "# EOF\n");
	free(totals.pools);
	free(totals.tenants);
	return ok;
}

/* ---- the page ---- */

static const char *labels_of(const struct family *family)
{
	switch (family->kind) {
	case BY_SESSION_STATE:
	case BY_BACKEND_STATE:
		return "`cluster`, `state`";
	case BY_REASON:
		return "`reason`";
	case BY_CAUSE:
		return "`cause`";
	case BY_RESULT:
		return "`result`";
	case VERSION:
		return "`version`";
	case COUNT:
	case YES_OR_NO:
	case MICROSECONDS:
	case SECONDS:
	case HISTOGRAM:
		break;
	}
	if (family->origin == OF_POOLS)
		return "`cluster`";
	if (family->origin == OF_HOSTS)
		return "`cluster`, `host`, `port`";
	return family->origin == OF_TENANTS ? "`tenant`" : "";
}

static const char introduction[] =
	"# Metrics\n"
	"\n"
	"This page is written by `bulkhead conf --metrics`, from the table that the metrics "
	"themselves are made from.\n"
	"\n"
	"`/metrics` of the [probes' listener](operations.md#probes) has them in Prometheus' text "
	"format 0.0.4, or, where\n"
	"Accept asks for it, as OpenMetrics 1.0. Units are seconds and bytes; the numbers of all "
	"workers are summed up.\n"
	"Counters of a pool begin anew when the pool was unused for so long that it was freed. "
	"Histograms have a bucket for\n"
	"each doubling from 16 us to 67 s.\n"
	"\n"
	"The last column is what [pgbouncer_exporter]"
	"(https://github.com/prometheus-community/pgbouncer_exporter) calls the\n"
	"same, or the nearest that it has.\n"
	"\n"
	"| name | type | labels | what | PgBouncer's |\n"
	"|---|---|---|---|---|\n";

void metrics_write_docs(FILE *out)
{
	fputs(introduction, out);
	for (size_t i = 0; i < FAMILY_COUNT; i++) {
		const struct family *family = &families[i];

		fprintf(out, "| `%s` | %s | %s | %s | %s |\n", family->name, family->type,
				labels_of(family), family->help, family->theirs ? family->theirs : "");
	}
}
