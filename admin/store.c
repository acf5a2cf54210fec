#include "admin/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"

#define QUEUE_MAX      10000
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 1000
#define PULSE_US       2000000
#define SIGN_MAX_US    5000000 /* for what any server that is there answers at once */

enum store_state {
	STORE_DOWN,       /* no connection; the retry timer runs */
	STORE_CONNECTING, /* PQconnectPoll is to be called when the socket is ready */
	STORE_IDLE,
	STORE_ASKING, /* `current` is with the server */
};

struct store {
	struct event_base *base;
	char *dsn, *password;
	int64_t timeout_us;
	struct store_events events;

	enum store_state state;
	PGconn *connection;
	struct event *io;                       /* on the connection's socket */
	struct event *retry, *deadline, *pulse; /* timers */
	int64_t connect_deadline_us;
	int backoff_ms;
	bool failing;   /* the last attempt failed: nobody waits for the next */
	bool proved;    /* this connection has answered a question */
	bool announced; /* `connected` was called, and `lost` is to be */
	bool outdated;  /* the connection was made by other settings than those in force */

	struct list urgent, queue;
	int queued;
	struct store_ask *current;
	PGresult *result; /* of the server for `current`, the last so far */
	struct store_ask beat;
	bool beating;
};

static void connect_start(struct store *store);
static void ask_next(struct store *store);

static struct timeval in_us(int64_t us)
{
	if (us < 0)
		us = 0;
	return (struct timeval){.tv_sec = us / 1000000, .tv_usec = us % 1000000};
}

/* ---- the queue ---- */

static struct store_ask *first_ask(const struct store *store)
{
	struct store_ask *ask = list_first(&store->urgent, struct store_ask, link);

	return ask ? ask : list_first(&store->queue, struct store_ask, link);
}

static void queue_remove(struct store *store, struct store_ask *ask)
{
	list_remove(&ask->link);
	store->queued--;
}

static void answer_all_with_nothing(struct store *store)
{
	struct store_ask *ask = store->current;

	store->current = NULL;
	if (ask)
		ask->answered(ask, NULL);
	while ((ask = first_ask(store))) {
		queue_remove(store, ask);
		ask->answered(ask, NULL);
	}
}

/* How long a connection is attempted, or a sign of life waited for. */
static int64_t sign_us(const struct store *store)
{
	return store->timeout_us < SIGN_MAX_US ? store->timeout_us : SIGN_MAX_US;
}

static int64_t earlier(int64_t at, const struct store_ask *ask)
{
	return ask && ask->deadline_us < at ? ask->deadline_us : at;
}

/* Sets the timer to the first thing that may come too late. */
static void arm_deadline(struct store *store)
{
	int64_t at = store->state == STORE_CONNECTING ? store->connect_deadline_us : INT64_MAX;

	at = earlier(at, store->current);
	at = earlier(at, list_first(&store->urgent, struct store_ask, link));
	at = earlier(at, list_first(&store->queue, struct store_ask, link));
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
	PQclear(store->result);
	store->result = NULL;
	PQfinish(store->connection);
	store->connection = NULL;
	store->proved = false;
	evtimer_del(store->pulse);
	if (store->announced) {
		store->announced = false;
		store->events.lost(store->events.self);
	}
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
	answer_all_with_nothing(store);

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
	struct store_ask *ask = store->current;

	if (ask && ask->once) {
		store->current = NULL;
		ask->answered(ask, NULL);
		ask = NULL;
	}
	if (!store->proved || (ask && ask->repeated)) {
		go_down(store, PQerrorMessage(store->connection));
		return;
	}
	log_failure("control.lost", PQerrorMessage(store->connection));
	close_connection(store);
	store->current = NULL;
	if (ask) {
		ask->repeated = true;
		list_prepend(ask->urgent ? &store->urgent : &store->queue, &ask->link);
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
 * resolves for us (types, operators) in pg_catalog. Nothing is compiled: of what the planner
 * takes for large, with a hundred thousand tenants, nothing runs as long as that takes. What
 * stands here goes over what the dsn says.
 */
static PGconn *connection_create(const struct store *store)
{
	char options[96];
	const char *names[] = {"dbname",  "application_name", "client_encoding",
						   "options", "password",         NULL};
	const char *application_name = store->events.application_name;
	const char *values[] = {
		store->dsn,      application_name ? application_name : "bulkhead-sidecar",
		"UTF8",          options,
		store->password, NULL};

	snprintf(options, sizeof options,
			 "-c search_path=pg_catalog -c jit=off -c statement_timeout=%lld",
			 (long long)(store->timeout_us / 1000));
	if (!store->password)
		names[4] = NULL;
	return PQconnectStartParams(names, values, 1);
}

static void connect_start(struct store *store)
{
	store->state = STORE_CONNECTING;
	store->outdated = false;
	store->connect_deadline_us = clock_monotonic_us() + sign_us(store);
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
	if (!watch(store, EV_READ)) {
		go_down(store, "cannot watch the connection");
		return;
	}
	struct timeval beat = in_us(PULSE_US);
	evtimer_add(store->pulse, &beat);
	store->announced = true;
	store->events.connected(store->events.self); /* may have asked something by now */
	if (store->state == STORE_IDLE)
		ask_next(store);
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
	struct store_ask *ask = first_ask(store);

	if (ask) {
		queue_remove(store, ask);
		store->current = ask;
		store->state = STORE_ASKING;
		ask->sent = true;
		if (!PQsendQueryParams(store->connection, ask->sql, ask->param_count, NULL, ask->params,
							   NULL, NULL, 0) ||
			!flush(store)) {
			connection_lost(store);
			return;
		}
	}
	arm_deadline(store);
}

/* The server is done with the question. */
static void deliver(struct store *store)
{
	struct store_ask *ask = store->current;
	PGresult *result = store->result;

	store->result = NULL;
	if (ask && result) {
		store->proved = true;
		store->backoff_ms = BACKOFF_MIN_MS;
		store->current = NULL;
		ask->answered(ask, result);
	}
	PQclear(result);
}

/* Is this the server's last word on this connection, or libpq's about the loss of it? */
static bool ends_connection(const struct store *store, const PGresult *result)
{
	const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);

	return PQstatus(store->connection) != CONNECTION_OK ||
		   (severity && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0));
}

/*
 * Takes all results that are there; true when the server is done with the question. The last is
 * the answer: behind the rows there may be an error of the transaction's end.
 */
static bool take_results(struct store *store)
{
	while (!PQisBusy(store->connection)) {
		PGresult *result = PQgetResult(store->connection);

		if (!result) {
			deliver(store);
			return true;
		}
		/* An error without a connection is the loss of it, not an answer: the question is kept.
		 */
		PQclear(store->result);
		store->result = NULL;
		if (ends_connection(store, result))
			PQclear(result);
		else
			store->result = result;
	}
	return false;
}

static void take_notifications(struct store *store)
{
	PGnotify *notification;

	while ((notification = PQnotifies(store->connection))) {
		store->events.notified(store->events.self, notification->relname, notification->extra);
		PQfreemem(notification);
	}
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
		/* Behind the results: an answer from before a change is taken in before its
		 * announcement. */
		take_notifications(store);
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

static void expire(struct store *store, struct list *queue, int64_t now)
{
	list_each (link, after, queue) {
		struct store_ask *ask = list_entry(link, struct store_ask, link);

		if (ask->deadline_us <= now) {
			queue_remove(store, ask);
			ask->answered(ask, NULL);
		}
	}
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
		go_down(store, "the control database took too long to answer");
		return;
	}
	expire(store, &store->urgent, now);
	expire(store, &store->queue, now);
	arm_deadline(store);
}

/* ---- the pulse ---- */

static void beat_answered(struct store_ask *ask, const PGresult *result)
{
	(void)result; /* that there is one is enough; without one the store has gone down */
	list_entry(ask, struct store, beat)->beating = false;
}

static void on_pulse(evutil_socket_t fd, short what, void *arg)
{
	struct store *store = arg;
	struct timeval next = in_us(PULSE_US);

	(void)fd;
	(void)what;
	evtimer_add(store->pulse, &next);
	store->events.pulse(store->events.self);
	if (store->state != STORE_IDLE || store->beating)
		return;
	store->beat =
		(struct store_ask){.sql = "SELECT", .urgent = true, .answered = beat_answered};
	store->beating = true;
	store_ask(store, &store->beat);
}

/* ---- the whole ---- */

void store_ask(struct store *store, struct store_ask *ask)
{
	if (store->failing || store->queued >= QUEUE_MAX) {
		ask->sent = false;
		ask->answered(ask, NULL);
		return;
	}
	ask->repeated = ask->sent = false;
	ask->deadline_us =
		clock_monotonic_us() + (ask == &store->beat ? sign_us(store) : store->timeout_us);
	list_append(ask->urgent ? &store->urgent : &store->queue, &ask->link);
	store->queued++;
	if (store->state == STORE_IDLE)
		ask_next(store);
	else
		arm_deadline(store);
}

int store_load(const struct store *store)
{
	return store->queued + (store->current != NULL);
}

bool store_is_up(const struct store *store)
{
	return !store->failing;
}

static bool store_init(struct store *store, const char *dsn, const char *password)
{
	store->backoff_ms = BACKOFF_MIN_MS;
	list_init(&store->urgent);
	list_init(&store->queue);
	store->retry = evtimer_new(store->base, on_retry, store);
	store->deadline = evtimer_new(store->base, on_deadline, store);
	store->pulse = evtimer_new(store->base, on_pulse, store);
	store->dsn = strdup(dsn);
	store->password = password ? strdup(password) : NULL;
	if (!store->retry || !store->deadline || !store->pulse || !store->dsn ||
		(password && !store->password))
		return false;

	/* The first attempt is the event loop's: it may resolve a name. */
	struct timeval now = in_us(0);
	return evtimer_add(store->retry, &now) == 0;
}

struct store *store_create(struct event_base *base, const char *dsn, const char *password,
						   int64_t timeout_ms, const struct store_events *events)
{
	struct store *store = calloc(1, sizeof *store);

	if (!store)
		return NULL;
	store->base = base;
	store->timeout_us = timeout_ms * 1000;
	store->events = *events;
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
	store->failing = true; /* nothing can be asked from here on */
	if (store->connection)
		close_connection(store);
	answer_all_with_nothing(store);
	if (store->retry)
		event_free(store->retry);
	if (store->deadline)
		event_free(store->deadline);
	if (store->pulse)
		event_free(store->pulse);
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
