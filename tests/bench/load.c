/*
 * load: runs transactions against a PostgreSQL, or what stands before one, and says how it
 * went.
 *
 *   1. logs in all clients, runs the warm-up, waits until everything is answered, prints
 * "ready";
 *   2. at a line on standard input runs the measured transactions, waits for the last answer,
 * and prints one line of JSON;
 *   3. at the end of standard input says goodbye to the server and exits.
 *
 * Whoever measures the peer looks at it between these steps, when nothing is under way.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/epoll.h>
#include <sys/resource.h>

#include "load.h"

/* Logins under way at one time: less than any listener's backlog. */
#define LOGINS_MAX 32

/* Warm-up transactions per client, on average: a new backend's first ones fill its caches. */
#define WARMUP_LEAST 10

static struct {
	struct load load;
	struct conn *conns;
	int count;
	struct conn **idle; /* of every tenant, when connections belong to tenants */
	int busy;
	long redrawn; /* tenants that were drawn while all of their connections were in use */
	bool stopping;
	uint64_t stop_at;
	long least;      /* transactions before the time may be up */
	long stop_after; /* transactions, when not negative */
} run;

_Noreturn void fail(const char *format, ...)
{
	va_list args;

	fputs("load: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- connections ---- */

/* Three times as many as a tenant needs on average, so that one is nearly always free. */
static int connections_of(int tenant)
{
	double needed = 3.0 * run.load.options.clients * choice_share(tenant);

	return 1 + (int)needed;
}

static struct conn *add_conn(int tenant)
{
	struct conn *conn = &run.conns[run.count++];

	conn->fd = -1;
	conn->tenant = tenant;
	return conn;
}

static void make_conns(void)
{
	const struct options *options = &run.load.options;
	int wanted = options->clients;

	if (options->connection_by_tenant) {
		wanted = 0;
		for (int i = 0; i < options->tenants; i++)
			wanted += connections_of(i);
	}
	run.conns = calloc((size_t)wanted + 1, sizeof *run.conns);
	run.idle = calloc((size_t)options->tenants, sizeof *run.idle);
	if (!run.conns || !run.idle)
		fail("out of memory");
	if (!options->connection_by_tenant) {
		for (int i = 0; i < options->clients; i++)
			add_conn(i % options->tenants)->client = i;
		return;
	}
	for (int i = 0; i < options->tenants; i++) {
		for (int n = connections_of(i); n > 0; n--) {
			struct conn *conn = add_conn(i);

			conn->next_idle = run.idle[i];
			run.idle[i] = conn;
		}
	}
}

/* ---- transactions ---- */

static bool is_over(void)
{
	long begun = run.load.transactions + run.busy;

	if (run.stop_after >= 0)
		run.stopping = run.stopping || begun >= run.stop_after;
	else
		run.stopping = run.stopping || (begun >= run.least && now_ns() >= run.stop_at);
	return run.stopping;
}

/* A tenant that has a connection to spare, and that connection. */
static struct conn *draw_conn(int client)
{
	for (;;) {
		int tenant = choice_tenant(client);
		struct conn *conn = run.idle[tenant];

		if (conn) {
			run.idle[tenant] = conn->next_idle;
			conn->client = client;
			return conn;
		}
		run.redrawn++;
	}
}

/* Gives a client, whose own connection this is unless tenants own them, its next transaction.
 */
static void start_next(struct conn *own, int client)
{
	if (is_over())
		return;

	const struct options *options = &run.load.options;
	struct conn *conn = options->connection_by_tenant ? draw_conn(client) : own;
	int tenant = options->connection_by_tenant ? conn->tenant : choice_tenant(client);

	run.busy++;
	conn_start(&run.load, conn, tenant, choice_row(tenant));
}

static void give_back(struct conn *conn)
{
	if (run.load.options.connection_by_tenant) {
		conn->next_idle = run.idle[conn->tenant];
		run.idle[conn->tenant] = conn;
	}
}

/* What happens when a connection has become idle again. */
static void went_idle(struct conn *conn)
{
	run.busy--;
	give_back(conn);
	start_next(conn, conn->client);
}

/* The same with a connection for every transaction: a login is followed by its work, and that
 * by the next connection. */
static void churn_on(struct conn *conn, bool was_login)
{
	if (was_login) {
		conn_start(&run.load, conn, conn->tenant, choice_row(conn->tenant));
		return;
	}
	conn_close(&run.load, conn);
	hist_add(&run.load.hist, now_ns() - conn->started);
	run.busy--;
	if (!is_over()) {
		run.busy++;
		conn_open(&run.load, conn);
	}
}

/* Waits for events and passes them on. `ended` is called for every login and transaction that
 * ends. */
static void turn(void (*ended)(struct conn *conn, bool was_login))
{
	struct epoll_event events[256];
	int count = epoll_wait(run.load.epoll, events, 256, 10000);

	if (count < 0 && errno != EINTR)
		fail("epoll_wait: %s", strerror(errno));
	if (count == 0)
		fail("no answer for ten seconds");
	for (int i = 0; i < count; i++) {
		struct conn *conn = events[i].data.ptr;
		bool was_login = conn->state == CONN_LOGIN || conn->state == CONN_CONNECTING ||
						 conn->state == CONN_TLS_ASKED;

		if (conn_event(&run.load, conn, events[i].events))
			ended(conn, was_login);
	}
}

static void transaction_ended(struct conn *conn, bool was_login)
{
	if (run.load.options.churn)
		churn_on(conn, was_login);
	else
		went_idle(conn);
}

static void login_ended(struct conn *conn, bool was_login)
{
	(void)conn;
	(void)was_login;
	run.busy--;
}

static void log_in_all(void)
{
	int next = 0;

	while (next < run.count || run.busy > 0) {
		while (next < run.count && run.busy < LOGINS_MAX) {
			run.busy++;
			conn_open(&run.load, &run.conns[next++]);
		}
		turn(login_ended);
	}
}

/* Runs transactions for so long and at least so many of them, or exactly so many, until the
 * last is answered. Returns the time it took. */
static uint64_t work(double seconds, long least, long transactions)
{
	struct load *load = &run.load;
	uint64_t begun = now_ns();

	memset(&load->hist, 0, sizeof load->hist);
	load->transactions = load->logins = 0;
	load->bytes_in = load->bytes_out = 0;
	run.redrawn = 0;
	run.stopping = false;
	run.stop_at = begun + (uint64_t)(seconds * 1e9);
	run.least = least;
	run.stop_after = transactions;
	for (int i = 0; i < load->options.clients && !is_over(); i++) {
		if (load->options.churn) {
			run.busy++;
			conn_open(load, &run.conns[i]);
		} else {
			start_next(&run.conns[i], i);
		}
	}
	while (run.busy > 0)
		turn(transaction_ended);
	return now_ns() - begun;
}

/* ---- the run ---- */

static double cpu_seconds(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
		   (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void print_result(uint64_t elapsed, double cpu)
{
	const struct load *load = &run.load;
	const struct hist *hist = &load->hist;

	printf("{\"seconds\": %.6f, \"transactions\": %ld, \"queries\": %ld, \"connections\": %d, "
		   "\"logins\": %ld, \"redrawn\": %ld, \"bytes_in\": %llu, \"bytes_out\": %llu, "
		   "\"load_cpu\": %.6f, \"mean_us\": %.3f, \"p50_us\": %.3f, \"p99_us\": %.3f, "
		   "\"p999_us\": %.3f, \"max_us\": %.3f}\n",
		   (double)elapsed / 1e9, load->transactions, load->transactions * script_queries(),
		   run.count, load->logins, run.redrawn, (unsigned long long)load->bytes_in,
		   (unsigned long long)load->bytes_out, cpu,
		   hist->count ? (double)hist->sum / (double)hist->count / 1e3 : 0,
		   (double)hist_quantile(hist, 0.5) / 1e3, (double)hist_quantile(hist, 0.99) / 1e3,
		   (double)hist_quantile(hist, 0.999) / 1e3, (double)hist->max / 1e3);
	fflush(stdout);
}

/* Waits for a line. False at the end of the input. */
static bool wait_for_line(void)
{
	char line[64];

	return fgets(line, sizeof line, stdin) != NULL;
}

void load_options(struct options *options, char **argv);

int main(int argc, char **argv)
{
	(void)argc;
	setvbuf(stdin, NULL, _IONBF, 0);
	load_options(&run.load.options, argv);

	const struct options *options = &run.load.options;
	run.load.buffer = malloc(BUFFER_SIZE);
	run.load.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!run.load.buffer || run.load.epoll < 0)
		fail("out of memory or descriptors");
	choice_init(options);
	script_init(options);
	make_conns();
	if (!options->churn)
		log_in_all();
	work(options->warmup,
		 options->warmup > 0 && !options->churn ? WARMUP_LEAST * options->clients : 0,
		 options->warmup_transactions);
	puts("ready");
	fflush(stdout);

	while (wait_for_line()) {
		double cpu = cpu_seconds();
		uint64_t elapsed = work(options->seconds, 0, options->transactions);

		print_result(elapsed, cpu_seconds() - cpu);
	}
	for (int i = 0; i < run.count; i++) {
		if (run.conns[i].state != CONN_CLOSED)
			conn_close(&run.load, &run.conns[i]);
	}
	return 0;
}
