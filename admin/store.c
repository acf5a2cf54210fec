#include "admin/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "admin/answer.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/secret.h"

#define QUEUE_MAX      10000
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 5000

enum store_state {
	STORE_DOWN,       /* no connection; the retry timer runs */
	STORE_CONNECTING, /* PQconnectPoll is to be called when the socket is ready */
	STORE_IDLE,
	STORE_ASKING, /* `current` is with the server */
};

/* One question that waits or is with the server. */
struct ask {
	struct list link;
	struct directory_question *question;
	enum directory_kind kind;
	const char *token; /* borrowed from the question */
	int64_t deadline_us;
	bool repeated; /* it was with the server when a connection was lost */
};

struct store {
	struct event_base *base;
	char *dsn, *password;
	int64_t timeout_us;
	struct directory_source source;

	enum store_state state;
	PGconn *connection;
	struct event *io;               /* on the connection's socket */
	struct event *retry, *deadline; /* timers */
	int64_t connect_deadline_us;
	int backoff_ms;
	bool failing;  /* the last attempt failed: nobody waits for the next */
	bool proved;   /* this connection has answered a question */
	bool refusing; /* the server's last answer was an error, which was logged */
	bool outdated; /* the connection was made by other settings than those in force */

	struct list queue;
	int queued;
	struct ask *current;
};

static void connect_start(struct store *store);
static void ask_next(struct store *store);

static struct timeval in_us(int64_t us)
{
	if (us < 0)
		us = 0;
	return (struct timeval){.tv_sec = us / 1000000, .tv_usec = us % 1000000};
}

/* ---- answering ---- */

static void ask_answer(struct ask *ask, enum directory_result result,
					   const struct tenant *tenant, const struct principal *principal)
{
	directory_resolved(ask->question, result, tenant, principal);
	free(ask);
}

static void queue_remove(struct store *store, struct ask *ask)
{
	list_remove(&ask->link);
	store->queued--;
}

static void answer_all_unavailable(struct store *store)
{
	struct ask *ask = store->current;

	store->current = NULL;
	if (ask)
		ask_answer(ask, DIRECTORY_UNAVAILABLE, NULL, NULL);
	while ((ask = list_first(&store->queue, struct ask, link))) {
		queue_remove(store, ask);
		ask_answer(ask, DIRECTORY_UNAVAILABLE, NULL, NULL);
	}
}

/* Sets the timer to the first thing that may come too late. */
static void arm_deadline(struct store *store)
{
	const struct ask *first = list_first(&store->queue, struct ask, link);
	int64_t at = INT64_MAX;

	if (store->state == STORE_CONNECTING)
		at = store->connect_deadline_us;
	if (store->current && store->current->deadline_us < at)
		at = store->current->deadline_us;
	if (first && first->deadline_us < at)
		at = first->deadline_us;
	if (at == INT64_MAX) {
		evtimer_del(store->deadline);
		return;
	}
	struct timeval wait = in_us(at - clock_monotonic_us());
	evtimer_add(store->deadline, &wait);
}

/* ---- the connection ---- */

static void unwatch(struct store *store)
{
	if (store->io)
		event_free(store->io);
	store->io = NULL;
}

static void close_connection(struct store *store)
{
	unwatch(store);
	PQfinish(store->connection);
	store->connection = NULL;
	store->proved = false;
}

/* libpq's texts have several lines; the first says it. */
static void log_failure(const char *event, const char *text)
{
	log_message(LOG_WARNING, event, "%.*s", (int)strcspn(text, "\n"), text);
}

/* No connection: nobody waits for the next attempt. */
static void go_down(struct store *store, const char *why)
{
	if (!store->failing)
		log_failure("control.down", why);
	close_connection(store);
	store->state = STORE_DOWN;
	store->failing = true;
	answer_all_unavailable(store);

	struct timeval wait = in_us((int64_t)store->backoff_ms * 1000);
	evtimer_add(store->retry, &wait);
	store->backoff_ms =
		store->backoff_ms < BACKOFF_MAX_MS / 2 ? store->backoff_ms * 2 : BACKOFF_MAX_MS;
	arm_deadline(store);
}

/*
 * A connection that had answered is made again at once, and a question that was on it asked
 * again, once. One that never answered is a failed attempt, or this would go round without a
 * pause.
 */
static void connection_lost(struct store *store)
{
	struct ask *ask = store->current;

	if (!store->proved || (ask && ask->repeated)) {
		go_down(store, PQerrorMessage(store->connection));
		return;
	}
	log_failure("control.lost", PQerrorMessage(store->connection));
	close_connection(store);
	store->current = NULL;
	if (ask) {
		ask->repeated = true;
		list_prepend(&store->queue, &ask->link);
		store->queued++;
	}
	connect_start(store);
}

static void on_io(evutil_socket_t fd, short what, void *arg);

/* Waits on the socket, which libpq may have changed. */
static bool watch(struct store *store, short what)
{
	unwatch(store);
	store->io =
		event_new(store->base, PQsocket(store->connection), what | EV_PERSIST, on_io, store);
	return store->io && event_add(store->io, NULL) == 0;
}

static void watch_or_go_down(struct store *store, short what)
{
	if (!watch(store, what))
		go_down(store, "cannot watch the connection");
}

static void drop_notice(void *arg, const char *message)
{
	(void)arg;
	(void)message;
}

/*
 * Names in our queries carry their schema; the pinned search_path keeps those that the server
 * resolves for us (types, operators) in pg_catalog. What stands here goes over what the dsn
 * says.
 */
static PGconn *connection_create(const struct store *store)
{
	char options[96];
	const char *names[] = {"dbname",  "application_name", "client_encoding",
						   "options", "password",         NULL};
	const char *values[] = {store->dsn, "bulkhead-sidecar", "UTF8",
							options,    store->password,    NULL};

	snprintf(options, sizeof options, "-c search_path=pg_catalog -c statement_timeout=%lld",
			 (long long)(store->timeout_us / 1000));
	if (!store->password)
		names[4] = NULL;
	return PQconnectStartParams(names, values, 1);
}

static void connect_start(struct store *store)
{
	store->state = STORE_CONNECTING;
	store->outdated = false;
	store->connect_deadline_us = clock_monotonic_us() + store->timeout_us;
	store->connection = connection_create(store);
	if (!store->connection || PQstatus(store->connection) == CONNECTION_BAD) {
		go_down(store, store->connection ? PQerrorMessage(store->connection) : "out of memory");
		return;
	}
	PQsetNoticeProcessor(store->connection, drop_notice, NULL);
	arm_deadline(store);
	watch_or_go_down(store, EV_WRITE);
}

static void connect_done(struct store *store)
{
	if (PQsetnonblocking(store->connection, 1) != 0) {
		go_down(store, PQerrorMessage(store->connection));
		return;
	}
	log_event(LOG_INFO, "control.connected", NULL);
	store->failing = false;
	store->state = STORE_IDLE;
	if (watch(store, EV_READ))
		ask_next(store);
	else
		go_down(store, "cannot watch the connection");
}

static void connect_step(struct store *store)
{
	/* The next socket may have the number of the last one. */
	unwatch(store);
	switch (PQconnectPoll(store->connection)) {
	case PGRES_POLLING_READING:
		watch_or_go_down(store, EV_READ);
		break;
	case PGRES_POLLING_WRITING:
		watch_or_go_down(store, EV_WRITE);
		break;
	case PGRES_POLLING_OK:
		connect_done(store);
		break;
	case PGRES_POLLING_FAILED:
	case PGRES_POLLING_ACTIVE: /* unused by libpq */
		go_down(store, PQerrorMessage(store->connection));
		break;
	}
}

/* ---- asking ---- */

/* Sends what is left, and waits for writability only while something is. */
static bool flush(struct store *store)
{
	int left = PQflush(store->connection);

	return left >= 0 && watch(store, left ? EV_READ | EV_WRITE : EV_READ);
}

static void ask_next(struct store *store)
{
	struct ask *ask = list_first(&store->queue, struct ask, link);

	if (ask) {
		const char *sql =
			ask->kind == DIRECTORY_TENANT ? answer_tenant_sql : answer_principal_sql;

		queue_remove(store, ask);
		store->current = ask;
		store->state = STORE_ASKING;
		if (!PQsendQueryParams(store->connection, sql, 1, NULL, &ask->token, NULL, NULL, 0) ||
			!flush(store)) {
			connection_lost(store);
			return;
		}
	}
	arm_deadline(store);
}

/* An error of the server's: a text that it cannot take names nobody; anything else is no
 * answer. */
static enum directory_result judge_error(struct store *store, const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	if (sqlstate && strncmp(sqlstate, "22", 2) == 0)
		return DIRECTORY_UNKNOWN;
	if (!store->refusing)
		log_failure("control.refused", text ? text : "no answer");
	store->refusing = true;
	return DIRECTORY_UNAVAILABLE;
}

static void take_result(struct store *store, const PGresult *result)
{
	struct ask *ask = store->current;
	const struct tenant *tenant = NULL;
	const struct principal *principal = NULL;
	enum directory_result answer;

	if (!ask)
		return;
	if (PQresultStatus(result) != PGRES_TUPLES_OK) {
		answer = judge_error(store, result);
	} else {
		answer = ask->kind == DIRECTORY_TENANT ? answer_tenant(result, &tenant)
											   : answer_principal(result, &principal);
		store->refusing = false;
	}
	store->proved = true;
	store->backoff_ms = BACKOFF_MIN_MS;
	store->current = NULL;
	ask_answer(ask, answer, tenant, principal);
}

/* Is this the server's last word on this connection, or libpq's about the loss of it? */
static bool ends_connection(const struct store *store, const PGresult *result)
{
	const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);

	return PQstatus(store->connection) != CONNECTION_OK ||
		   (severity && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0));
}

/* Takes all results that are there; true when the server is done with the question. */
static bool take_results(struct store *store)
{
	while (!PQisBusy(store->connection)) {
		PGresult *result = PQgetResult(store->connection);

		if (!result)
			return true;
		/* An error without a connection is the loss of it, not an answer: the question is kept.
		 */
		if (!ends_connection(store, result))
			take_result(store, result);
		PQclear(result);
	}
	return false;
}

static void drop_notifications(struct store *store)
{
	PGnotify *notification;

	while ((notification = PQnotifies(store->connection)))
		PQfreemem(notification);
}

/* Another connection in the place of the one that stands, or is being made. */
static void renew(struct store *store)
{
	close_connection(store);
	connect_start(store);
}

static void receive(struct store *store, short what)
{
	bool sound = !(what & EV_WRITE) || flush(store);
	bool done = false;

	if (sound && (what & EV_READ)) {
		sound = PQconsumeInput(store->connection) == 1;
		done = take_results(store);
		drop_notifications(store);
	}
	if (!sound || PQstatus(store->connection) != CONNECTION_OK) {
		connection_lost(store);
	} else if (done && store->state == STORE_ASKING && !store->current) {
		store->state = STORE_IDLE;
		if (store->outdated)
			renew(store);
		else
			ask_next(store);
	}
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
	struct store *store = arg;

	(void)fd;
	switch (store->state) {
	case STORE_DOWN:
		break;
	case STORE_CONNECTING:
		connect_step(store);
		break;
	case STORE_IDLE:
	case STORE_ASKING:
		receive(store, what);
		break;
	}
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	connect_start(arg);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct store *store = arg;
	int64_t now = clock_monotonic_us();

	(void)fd;
	(void)what;
	if (store->state == STORE_CONNECTING && store->connect_deadline_us <= now) {
		go_down(store, "the server did not answer in time");
		return;
	}
	if (store->current && store->current->deadline_us <= now) {
		go_down(store, "a look-up took longer than directory_timeout");
		return;
	}
	list_each (link, after, &store->queue) {
		struct ask *ask = list_entry(link, struct ask, link);

		if (ask->deadline_us <= now) {
			queue_remove(store, ask);
			ask_answer(ask, DIRECTORY_UNAVAILABLE, NULL, NULL);
		}
	}
	arm_deadline(store);
}

/* ---- the source ---- */

static void store_find(void *self, enum directory_kind kind, const char *token,
					   struct directory_question *question)
{
	struct store *store = self;
	struct ask *ask = NULL;

	if (!store->failing && store->queued < QUEUE_MAX)
		ask = calloc(1, sizeof *ask);
	if (!ask) {
		directory_resolved(question, DIRECTORY_UNAVAILABLE, NULL, NULL);
		return;
	}
	ask->question = question;
	ask->kind = kind;
	ask->token = token;
	ask->deadline_us = clock_monotonic_us() + store->timeout_us;
	list_append(&store->queue, &ask->link);
	store->queued++;
	if (store->state == STORE_IDLE)
		ask_next(store);
	else
		arm_deadline(store);
}

const struct directory_source *store_source(const struct store *store)
{
	return &store->source;
}

static bool store_init(struct store *store, const char *dsn, const char *password)
{
	store->source = (struct directory_source){store, store_find};
	store->backoff_ms = BACKOFF_MIN_MS;
	list_init(&store->queue);
	store->retry = evtimer_new(store->base, on_retry, store);
	store->deadline = evtimer_new(store->base, on_deadline, store);
	store->dsn = strdup(dsn);
	store->password = password ? strdup(password) : NULL;
	if (!store->retry || !store->deadline || !store->dsn || (password && !store->password))
		return false;

	/* The first attempt is the event loop's: it may resolve a name. */
	struct timeval now = in_us(0);
	return evtimer_add(store->retry, &now) == 0;
}

struct store *store_create(struct event_base *base, const char *dsn, const char *password,
						   int64_t timeout_ms)
{
	struct store *store = calloc(1, sizeof *store);

	if (!store)
		return NULL;
	store->base = base;
	store->timeout_us = timeout_ms * 1000;
	if (!store_init(store, dsn, password)) {
		store_destroy(store);
		return NULL;
	}
	return store;
}

void store_destroy(struct store *store)
{
	if (!store)
		return;
	close_connection(store);
	answer_all_unavailable(store);
	if (store->retry)
		event_free(store->retry);
	if (store->deadline)
		event_free(store->deadline);
	free(store->dsn);
	secret_free(store->password);
	free(store);
}

static bool is_same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

void store_change(struct store *store, char *dsn, char *password, int64_t timeout_ms)
{
	bool outdated = strcmp(dsn, store->dsn) != 0 || timeout_ms * 1000 != store->timeout_us;
	bool same = !outdated && is_same(password, store->password);
	struct timeval now = in_us(0);

	free(store->dsn);
	secret_free(store->password);
	store->dsn = dsn;
	store->password = password;
	store->timeout_us = timeout_ms * 1000;
	if (same)
		return;
	store->backoff_ms = BACKOFF_MIN_MS;
	switch (store->state) {
	case STORE_DOWN:
		evtimer_add(store->retry, &now);
		break;
	case STORE_CONNECTING:
		renew(store);
		break;
	case STORE_IDLE:
		if (outdated)
			renew(store);
		break;
	case STORE_ASKING:
		store->outdated = store->outdated || outdated;
		break;
	}
}
