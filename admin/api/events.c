#include "admin/api/events.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>

#include "admin/api/api_internal.h"
#include "admin/api/call.h"
#include "admin/api/problem.h"
#include "admin/api/server.h"
#include "admin/store.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/secret.h"

#define TICK_MS      100
#define ASK_US       2000000 /* when nothing wakes it */
#define HEARTBEAT_US 15000000
#define SLOW_US      10000000 /* that what was sent may lie unread */
#define UNREAD_MAX   65536    /* bytes; with more nothing is asked for */
#define PART         "100"    /* records of one question */

struct events {
	struct api *api;
	struct store *store; /* made for the first stream */
	struct list streams;
	int count;
	struct event *tick; /* runs while there are streams */
	struct store_ask listen;
};

struct stream {
	struct list node;
	struct events *events;
	struct evhttp_request *http;
	struct evhttp_connection *connection; /* NULL when it is gone */
	char key_id[17];
	char *caller;
	json_t *request;
	struct store_ask ask;
	char *text; /* the request as it was asked */
	bool is_asking, is_over, is_due;
	int64_t asked_us, sent_us, unread_since_us; /* 0: all was read */
};

/* ---- sending ---- */

static size_t unread(const struct stream *stream)
{
	struct bufferevent *bufev =
		stream->connection ? evhttp_connection_get_bufferevent(stream->connection) : NULL;

	return bufev ? evbuffer_get_length(bufferevent_get_output(bufev)) : 0;
}

static void send_buffer(struct stream *stream, struct evbuffer *buffer)
{
	if (stream->connection && buffer && evbuffer_get_length(buffer)) {
		evhttp_send_reply_chunk(stream->http, buffer);
		stream->sent_us = clock_monotonic_us();
	}
}

static void send_text(struct stream *stream, const char *text)
{
	struct evbuffer *buffer = evbuffer_new();

	if (buffer) {
		evbuffer_add(buffer, text, strlen(text));
		send_buffer(stream, buffer);
		evbuffer_free(buffer);
	}
}

/* A name in a line of its own: whatever is in it, it stays one line. */
static void add_name(struct evbuffer *buffer, const char *name)
{
	for (; name && *name; name++) {
		if ((unsigned char)*name >= ' ')
			evbuffer_add(buffer, name, 1);
	}
}

static void add_event(struct evbuffer *buffer, json_t *record)
{
	char *data = json_dumps(record, JSON_COMPACT);

	evbuffer_add_printf(buffer, "id: %" JSON_INTEGER_FORMAT "\nevent: ",
						json_integer_value(json_object_get(record, "id")));
	add_name(buffer, json_string_value(json_object_get(record, "action")));
	evbuffer_add_printf(buffer, "\ndata: %s\n\n", data ? data : "{}");
	free(data);
}

/* ---- the end ---- */

static void finish(struct stream *stream)
{
	struct events *events = stream->events;

	if (stream->connection)
		evhttp_connection_set_closecb(stream->connection, NULL, NULL);
	evhttp_send_reply_end(stream->http); /* frees it, also where its connection is gone */
	list_remove(&stream->node);
	events->count--;
	secret_free(stream->caller);
	free(stream->text);
	json_decref(stream->request);
	free(stream);
}

/* In the midst of its being freed: what is left is done at the next tick. */
static void on_closed(struct evhttp_connection *connection, void *arg)
{
	struct stream *stream = arg;

	(void)connection;
	stream->connection = NULL;
	stream->is_over = true;
}

/* Its reader is told why. */
static void end_with(struct stream *stream, const char *reason)
{
	char text[160];

	snprintf(text, sizeof text, "event: end\ndata: {\"reason\":\"%s\"}\n\n", reason);
	send_text(stream, text);
	stream->is_over = true;
}

/* ---- asking ---- */

static void take_events(struct stream *stream, const char *text)
{
	json_t *answer = json_loads(text, 0, NULL), *query, *record, *list;
	struct evbuffer *buffer = evbuffer_new();
	size_t index;

	list = json_object_get(answer, "events");
	json_array_foreach(list, index, record) if (buffer) add_event(buffer, record);
	send_buffer(stream, buffer);
	query = json_object_get(stream->request, "query");
	json_object_set(query, "after", json_object_get(answer, "after"));
	json_object_del(query, "begin");
	if (json_array_size(list) >= (size_t)atoi(PART))
		stream->is_due = true; /* there is more */
	if (buffer)
		evbuffer_free(buffer);
	json_decref(answer);
}

static void on_answer(struct store_ask *ask, const PGresult *result)
{
	struct stream *stream = list_entry(ask, struct stream, ask);
	struct api_problem problem = {0};

	stream->is_asking = false;
	free(stream->text);
	stream->text = NULL;
	if (!result || stream->is_over)
		return; /* asked again later: nothing is sent meanwhile */
	if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1) {
		take_events(stream, PQgetvalue(result, 0, 0));
		return;
	}
	if (api_is_transient(result))
		return;
	api_problem_of(&problem, result);
	if (problem.status < 500)
		end_with(stream, problem.reason);
	api_problem_fini(&problem);
}

static void ask(struct stream *stream)
{
	static const char sql[] =
		"SELECT body FROM bulkhead_api.call('events_after', $1::jsonb, $2::jsonb)";

	stream->text = json_dumps(stream->request, JSON_COMPACT);
	if (!stream->text)
		return;
	stream->is_asking = true;
	stream->is_due = false;
	stream->asked_us = clock_monotonic_us();
	stream->ask = (struct store_ask){.sql = sql,
									 .param_count = 2,
									 .params = {stream->caller, stream->text},
									 .once = true,
									 .answered = on_answer};
	store_ask(stream->events->store, &stream->ask);
}

/* ---- time ---- */

static void look_at(struct stream *stream, int64_t now)
{
	size_t left = unread(stream);

	if (!left)
		stream->unread_since_us = 0;
	else if (!stream->unread_since_us)
		stream->unread_since_us = now;
	else if (now - stream->unread_since_us > SLOW_US)
		stream->is_over = true;
	if (stream->is_over && !stream->is_asking) {
		finish(stream);
		return;
	}
	if (stream->is_over || stream->is_asking || left > UNREAD_MAX)
		return;
	if (stream->is_due || now - stream->asked_us >= ASK_US)
		ask(stream);
	else if (now - stream->sent_us >= HEARTBEAT_US)
		send_text(stream, ":\n\n");
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct events *events = arg;
	const int64_t now = clock_monotonic_us();

	(void)fd, (void)what;
	list_each (node, after, &events->streams)
		look_at(list_entry(node, struct stream, node), now);
	if (events->count == 0)
		event_del(events->tick);
}

static void on_notified(void *self, const char *channel, const char *payload)
{
	struct events *events = self;

	(void)channel, (void)payload;
	list_each (node, after, &events->streams)
		list_entry(node, struct stream, node)->is_due = true;
}

static void on_listening(struct store_ask *ask, const PGresult *result)
{
	(void)result;
	ask->answered = NULL;
}

static void on_connected(void *self)
{
	struct events *events = self;

	if (!events->listen.answered) {
		events->listen = (struct store_ask){
			.sql = "LISTEN bulkhead_audit", .urgent = true, .answered = on_listening};
		store_ask(events->store, &events->listen);
	}
	on_notified(self, NULL, NULL); /* what was missed */
}

static void ignore(void *self)
{
	(void)self;
}

/* ---- the beginning ---- */

struct events *events_create(struct api *api)
{
	struct events *events = calloc(1, sizeof *events);

	if (!events)
		return NULL;
	events->api = api;
	list_init(&events->streams);
	events->tick = event_new(api->base, -1, EV_PERSIST, on_tick, events);
	if (events->tick)
		return events;
	free(events);
	return NULL;
}

void events_destroy(struct events *events)
{
	if (!events)
		return;
	store_destroy(events->store); /* answers what was asked */
	list_each (node, after, &events->streams)
		finish(list_entry(node, struct stream, node));
	event_free(events->tick);
	free(events);
}

static bool open_store(struct events *events)
{
	const struct conf *conf = events->api->conf;
	const struct store_events callbacks = {.self = events,
										   .connected = on_connected,
										   .lost = ignore,
										   .notified = on_notified,
										   .pulse = ignore,
										   .application_name = "bulkhead events"};

	if (!events->store)
		events->store = store_create(events->api->base, conf->control_admin_dsn,
									 conf->control_admin_password,
									 conf->admin_request_timeout_ms, &callbacks);
	return events->store != NULL;
}

static int count_of(const struct events *events, const char *key_id)
{
	int count = 0;

	list_each (node, after, &events->streams)
		count += strcmp(list_entry(node, struct stream, node)->key_id, key_id) == 0;
	return count;
}

/* Last-Event-ID, or query.after; where neither is, what comes from now on. */
static bool set_place(struct api_call *call, json_t *query)
{
	const char *last = api_call_header(call, "Last-Event-ID");

	if (last && (!*last || strlen(last) > 18 || last[strspn(last, "0123456789")])) {
		api_refuse(call, 400, "BH-API-SYNTAX", "header.Last-Event-ID", "it is no place");
		return false;
	}
	if (last)
		json_object_set_new(query, "after", json_integer(strtoll(last, NULL, 10)));
	json_object_set_new(query, "limit", json_integer(atoi(PART)));
	json_object_set_new(query, "begin", json_true());
	return true;
}

static struct stream *make_stream(struct events *events, struct api_call *call,
								  const json_t *request)
{
	struct stream *stream = calloc(1, sizeof *stream);

	if (!stream)
		return NULL;
	stream->events = events;
	stream->caller = api_call_caller(call);
	stream->request = json_deep_copy(request);
	snprintf(stream->key_id, sizeof stream->key_id, "%s", api_call_key_id(call));
	if (stream->caller && stream->request)
		return stream;
	secret_free(stream->caller);
	json_decref(stream->request);
	free(stream);
	return NULL;
}

/* The time limits of a request are not those of a stream: it is the reader's silence that
 * is the rule. */
static void open_stream(struct stream *stream, struct evhttp_request *http)
{
	const struct timeval period = {.tv_usec = TICK_MS * 1000L};
	const struct timeval write_timeout = {.tv_sec = SLOW_US / 1000000};
	struct evkeyvalq *headers = evhttp_request_get_output_headers(http);
	struct bufferevent *bufev;

	stream->http = http;
	stream->connection = evhttp_request_get_connection(http);
	evhttp_add_header(headers, "Content-Type", "text/event-stream");
	evhttp_add_header(headers, "Connection", "close");
	evhttp_add_header(headers, "X-Accel-Buffering", "no");
	list_append(&stream->events->streams, &stream->node);
	stream->events->count++;
	if (!event_pending(stream->events->tick, EV_TIMEOUT, NULL))
		event_add(stream->events->tick, &period);
	evhttp_send_reply_start(http, 200, "OK");
	if (!stream->connection) {
		stream->is_over = true;
		return;
	}
	evhttp_connection_set_closecb(stream->connection, on_closed, stream);
	bufev = evhttp_connection_get_bufferevent(stream->connection);
	bufferevent_set_timeouts(bufev, NULL, &write_timeout);
	send_text(stream, "retry: 2000\n\n");
	ask(stream);
}

void events_begin(struct api_call *call, json_t *request)
{
	struct api *api = api_call_api(call);
	struct events *events = api->events;
	const int max = api->conf->admin_event_streams;
	struct stream *stream;

	if (events->count >= max || count_of(events, api_call_key_id(call)) >= (max + 1) / 2) {
		api_refuse(call, 503, "BH-API-BUSY", NULL, "there are as many streams as there may be");
		return;
	}
	if (!set_place(call, json_object_get(request, "query")))
		return;
	stream = open_store(events) ? make_stream(events, call, request) : NULL;
	if (!stream) {
		api_refuse(call, 500, "BH-API-INTERNAL", NULL, "out of memory");
		return;
	}
	open_stream(stream, api_call_detach(call));
}
