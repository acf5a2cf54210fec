#include "admin/api/call.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "admin/api/api_internal.h"
#include "admin/api/call_internal.h"
#include "admin/api/read_json.h"
#include "admin/api/secret_fields.h"
#include "admin/api/server.h"
#include "admin/api/throttle.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"

#define ATTEMPTS_MAX 8
#define ROUNDS_MAX   8

/* ---- the end ---- */

static void forget_params(struct api_call *call)
{
	for (size_t i = 0; i < STORE_PARAMS_MAX; i++) {
		secret_free(call->params[i]);
		call->params[i] = NULL;
	}
}

static void free_call(struct api_call *call)
{
	list_remove(&call->node);
	forget_params(call);
	if (call->request)
		api_wipe(call->request);
	json_decref(call->request);
	json_decref(call->caller);
	json_decref(call->entered);
	json_decref(call->before);
	secret_free(call->kept);
	api_problem_fini(&call->problem);
	if (call->retry)
		event_free(call->retry);
	free(call);
}

static void add_header(struct api_call *call, const char *name, const char *value)
{
	evhttp_add_header(evhttp_request_get_output_headers(call->http), name, value);
}

static void add_common_headers(struct api_call *call)
{
	add_header(call, "X-Request-Id", call->request_id);
	add_header(call, "Cache-Control", "no-store");
	add_header(call, "X-Content-Type-Options", "nosniff");
	if (evhttp_request_get_command(call->http) == EVHTTP_REQ_HEAD)
		add_header(call, "Connection", "close"); /* evhttp says no length */
}

static void log_call(const struct api_call *call, int status)
{
	char code[16], duration[24];

	snprintf(code, sizeof code, "%d", status);
	snprintf(duration, sizeof duration, "%" PRId64,
			 (clock_monotonic_us() - call->began_us) / 1000);
	log_event(status >= 500 ? LOG_WARNING : LOG_INFO, "api.request", "method", call->method,
			  "route", call->route ? call->route->path : NULL, "status", code, "reason",
			  call->problem.status ? call->problem.reason : NULL, "key",
			  *call->key_id ? call->key_id : NULL, "address",
			  *call->address ? call->address : NULL, "request_id", call->request_id,
			  "duration_ms", duration, NULL);
}

/* To CONNECT evhttp says no length either, and does not end the connection. */
static void add_length(struct api_call *call, struct evbuffer *body)
{
	char length[24];

	if (!body || evhttp_request_get_command(call->http) != EVHTTP_REQ_CONNECT)
		return;
	snprintf(length, sizeof length, "%zu", evbuffer_get_length(body));
	add_header(call, "Content-Length", length);
}

/* Sends the answer; the text may be NULL. The call is gone then. */
static void reply(struct api_call *call, int status, const char *type, const char *text)
{
	struct evbuffer *body = evbuffer_new();
	struct api *api = call->api;

	add_common_headers(call);
	if (text) {
		add_header(call, "Content-Type", type);
		if (body && evhttp_request_get_command(call->http) != EVHTTP_REQ_HEAD &&
			evbuffer_add(body, text, strlen(text)) == 0)
			evbuffer_add(body, "\n", 1); /* for those who read it on a terminal */
	}
	add_length(call, body);
	log_call(call, status);
	api_server_busy(api->server, call->http, false);
	evhttp_send_reply(call->http, status, api_status_phrase(status), body);
	if (body)
		evbuffer_free(body);
	free_call(call);
}

static void reply_json(struct api_call *call, int status, const char *type, json_t *body)
{
	char *text = body ? json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

	if (body && !text)
		reply(call, 500, NULL, NULL);
	else
		reply(call, status, type, text);
	secret_free(text);
}

void api_call_refuse(struct api_call *call)
{
	const struct api_problem *problem = &call->problem;
	json_t *body = api_problem_body(problem, call->request_id);

	if (problem->status == 401) {
		const int64_t now = clock_monotonic_us();

		add_header(call, "WWW-Authenticate", "Bearer realm=\"bulkhead\"");
		if (*call->address)
			throttle_take(call->api->failures, call->address, &call->failure_rate, now);
		throttle_drop(call->api->known, call->key_name);
	}
	if (problem->status == 429 || problem->status == 503)
		add_header(call, "Retry-After", "1");
	if (problem->status == 405)
		add_header(call, "Allow", call->methods);
	reply_json(call, problem->status, "application/problem+json", body);
	json_decref(body);
}

void api_refuse(struct api_call *call, int status, const char *reason, const char *field,
				const char *format, ...)
{
	char detail[sizeof call->problem.detail];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(detail, sizeof detail, format, arguments);
	va_end(arguments);
	api_problem_set(&call->problem, status, reason, field, "%s", detail);
	api_call_refuse(call);
}

void api_fail(struct api_call *call, int status, const char *reason, const char *format, ...)
{
	char detail[sizeof call->problem.detail];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(detail, sizeof detail, format, arguments);
	va_end(arguments);
	api_problem_set(&call->problem, status, reason, NULL, "%s", detail);
}

void api_answer(struct api_call *call, int status, json_t *body)
{
	reply_json(call, status, "application/json", body);
	if (body)
		api_wipe(body);
	json_decref(body);
}

void api_call_drop_all(struct api *api)
{
	list_each (node, after, &api->calls)
		free_call(list_entry(node, struct api_call, node));
}

struct evhttp_request *api_call_detach(struct api_call *call)
{
	struct evhttp_request *http = call->http;

	add_common_headers(call);
	log_call(call, 200);
	free_call(call);
	return http;
}

/* ---- what a route's own functions may ask ---- */

struct api *api_call_api(struct api_call *call)
{
	return call->api;
}

const struct api_route *api_call_route(const struct api_call *call)
{
	return call->route;
}

const json_t *api_call_entered(const struct api_call *call)
{
	return call->entered;
}

bool api_call_keep(struct api_call *call, const char *secret)
{
	secret_free(call->kept);
	call->kept = strdup(secret);
	return call->kept != NULL;
}

const char *api_call_kept(const struct api_call *call)
{
	return call->kept;
}

const char *api_call_key_id(const struct api_call *call)
{
	return call->key_id;
}

char *api_call_caller(const struct api_call *call)
{
	return json_dumps(call->caller, JSON_COMPACT);
}

const char *api_call_header(const struct api_call *call, const char *name)
{
	return evhttp_find_header(evhttp_request_get_input_headers(call->http), name);
}

/* ---- asking the database ---- */

static void on_answered(struct store_ask *ask, const PGresult *result);

/*
 * What the database is asked now, as text; NULL when memory is out. Of a route with a `prepare`
 * what is secret in the body stays here: a server may write a statement's parameters into its
 * log. It gets what was made of that, in `more`.
 */
static char *request_text(const struct api_call *call)
{
	json_t *request = NULL;
	char *text;

	switch (call->stage) {
	case STAGE_CHECK: /* only who calls */
		return strdup("{}");
	case STAGE_BEFORE:
		request = api_without_secrets(call->request, call->route->body);
		break;
	case STAGE_MAIN:
		request = call->route->prepare ? api_without_secrets(call->request, call->route->body)
									   : json_incref(call->request);
		break;
	}
	text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	json_decref(request);
	return text;
}

/* Calls a function of bulkhead_api for the call; goes on in on_answered. */
static void ask(struct api_call *call, const char *handler)
{
	static const char sql[] = "SELECT status, etag, location, body, replayed"
							  " FROM bulkhead_api.call($1, $2::jsonb, $3::jsonb)";
	bool is_last = call->stage == STAGE_MAIN;

	if (!is_last)
		json_object_del(call->caller, "idempotency_key");
	else if (call->idempotency_key)
		json_object_set_new(call->caller, "idempotency_key",
							json_string(call->idempotency_key));
	json_object_set_new(
		call->caller, "dry_run",
		json_boolean(is_last && json_is_true(json_object_get(call->request, "dry_run"))));
	forget_params(call);
	call->params[0] = strdup(handler);
	call->params[1] = json_dumps(call->caller, JSON_COMPACT);
	call->params[2] = request_text(call);
	if (!call->params[0] || !call->params[1] || !call->params[2]) {
		api_refuse(call, 500, "BH-API-INTERNAL", NULL, "out of memory");
		return;
	}
	call->ask =
		(struct store_ask){.sql = sql, .param_count = 3, .once = true, .answered = on_answered};
	for (size_t i = 0; i < 3; i++)
		call->ask.params[i] = call->params[i];
	store_ask(api_store(call->api), &call->ask);
}

static const char *handler_of(const struct api_call *call)
{
	switch (call->stage) {
	case STAGE_CHECK:
		return "check";
	case STAGE_BEFORE:
		return call->route->before;
	case STAGE_MAIN:
		return call->route->handler;
	}
	return "check";
}

static void enter_stage(struct api_call *call, enum call_stage stage)
{
	call->stage = stage;
	call->attempts = 0;
	ask(call, handler_of(call));
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	ask(arg, handler_of(arg));
}

/* Those who ran into each other must not do so again. */
static bool try_again(struct api_call *call)
{
	uint16_t chance;

	if (++call->attempts >= ATTEMPTS_MAX)
		return false;
	secret_random(&chance, sizeof chance);
	const struct timeval pause = {.tv_usec = chance % (10000 << (call->attempts / 2))};
	if (!call->retry)
		call->retry = event_new(call->api->base, -1, 0, on_retry, call);
	return call->retry && event_add(call->retry, &pause) == 0;
}

static const char *column(const PGresult *result, int place)
{
	return PQgetisnull(result, 0, place) ? NULL : PQgetvalue(result, 0, place);
}

static json_t *read_body(const PGresult *result)
{
	const char *text = column(result, 3);

	return text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
}

/* As the database has it, but for its blanks. */
static void reply_text(struct api_call *call, int status, const char *text)
{
	char *body = text ? strdup(text) : NULL;

	if (body)
		api_json_compact(body);
	reply(call, text && !body ? 500 : status, "application/json", body);
	secret_free(body);
}

/* The answer of the last stage, to the client. */
static void pass_on(struct api_call *call, const PGresult *result)
{
	const char *code = column(result, 0);
	int status = code ? atoi(code) : 500; /* call() sees to it that there is one */
	const char *etag = column(result, 1), *location = column(result, 2);
	bool replayed = *PQgetvalue(result, 0, 4) == 't';
	char quoted[160];

	if (etag) {
		snprintf(quoted, sizeof quoted, "\"%s\"", etag);
		add_header(call, "ETag", quoted);
	}
	if (location)
		add_header(call, "Location", location);
	if (replayed)
		add_header(call, "Idempotent-Replayed", "true");
	if (json_is_true(json_object_get(call->request, "dry_run")))
		add_header(call, "Dry-Run", "true");
	if (!call->route->finish || replayed) {
		reply_text(call, status, column(result, 3));
		return;
	}
	json_t *body = read_body(result);
	call->route->finish(call, call->request, body);
	if (!call->problem.status) {
		api_answer(call, status, body);
		return;
	}
	if (body)
		api_wipe(body);
	json_decref(body);
	api_call_refuse(call);
}

static void run_or_go_on(struct api_call *call)
{
	const struct api_route *route = call->route;

	if (route->prepare && !route->prepare(call, call->request, call->before))
		return;
	if (route->run)
		route->run(call, call->request);
	else
		enter_stage(call, STAGE_MAIN);
}

static void take_answer(struct api_call *call, const PGresult *result)
{
	throttle_keep(call->api->known, call->key_name);
	switch (call->stage) {
	case STAGE_CHECK:
		call->entered = read_body(result);
		if (call->problem.status)
			api_call_refuse(call);
		else if (call->route->before)
			enter_stage(call, STAGE_BEFORE);
		else
			run_or_go_on(call);
		break;
	case STAGE_BEFORE:
		call->before = read_body(result);
		run_or_go_on(call);
		break;
	case STAGE_MAIN:
		pass_on(call, result);
		break;
	}
}

/* What was made from what `before` said does not fit any more: a data key was rotated. */
static bool prepare_again(struct api_call *call)
{
	if (strcmp(call->problem.reason, "BH-API-DATA-KEY") != 0 || call->stage != STAGE_MAIN ||
		!call->route->before || ++call->rounds >= ROUNDS_MAX)
		return false;
	api_problem_fini(&call->problem);
	call->problem = (struct api_problem){.status = 0};
	json_decref(call->before);
	call->before = NULL;
	enter_stage(call, STAGE_BEFORE);
	return true;
}

/* ---- keys that are over ---- */

static void on_noted(struct store_ask *ask, const PGresult *result)
{
	struct api_call *call = list_entry(ask, struct api_call, ask);

	forget_params(call);
	if (call->api->is_stopping)
		return;
	if (!result || PQresultStatus(result) != PGRES_TUPLES_OK)
		log_event(LOG_WARNING, "api.not_audited", "key", call->key_id, NULL);
	api_call_refuse(call);
}

/* That one is still used is for the audit log; then the call is refused. */
static bool note_over(struct api_call *call)
{
	forget_params(call);
	call->params[0] = json_dumps(call->caller, JSON_COMPACT);
	if (!call->params[0])
		return false;
	call->ask = (struct store_ask){.sql = "SELECT bulkhead_api.note_over($1::jsonb)",
								   .param_count = 1,
								   .params = {call->params[0]},
								   .once = true,
								   .answered = on_noted};
	store_ask(api_store(call->api), &call->ask);
	return true;
}

/* ---- what the database says ---- */

static void on_answered(struct store_ask *ask, const PGresult *result)
{
	struct api_call *call = list_entry(ask, struct api_call, ask);

	forget_params(call);
	if (call->api->is_stopping)
		return;
	if (result && PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1) {
		take_answer(call, result);
		return;
	}
	if (api_is_transient(result) && try_again(call))
		return;
	if (!result && ask->sent && call->stage == STAGE_MAIN && strcmp(call->method, "GET") != 0)
		api_problem_set(&call->problem, 503, "BH-API-UNKNOWN", NULL,
						"the connection to the control database was lost: it may be done; an "
						"Idempotency-Key makes it safe to ask again");
	else
		api_problem_of(&call->problem, result);
	if (!prepare_again(call) && !(call->problem.over && note_over(call)))
		api_call_refuse(call);
}

/* ---- the beginning ---- */

/* What is wrong with the request itself is told to those who may make it. */
static void set_out(struct api_call *call)
{
	const struct api_route *route = call->route;

	/* `prepare` may cost much, and says what is wrong with a request. */
	bool is_shown = route->run || (route->prepare && !route->before);

	if (call->problem.status || is_shown)
		enter_stage(call, STAGE_CHECK);
	else if (route->before)
		enter_stage(call, STAGE_BEFORE);
	else
		run_or_go_on(call);
}

void api_call_begin(void *self, struct evhttp_request *request)
{
	struct api_call *call = calloc(1, sizeof *call);
	struct api *api = self;

	if (!call) {
		evhttp_send_reply(request, 503, api_status_phrase(503), NULL);
		return;
	}
	call->api = api;
	call->http = request;
	call->began_us = clock_monotonic_us();
	list_append(&api->calls, &call->node);
	api_server_busy(api->server, request, true);
	if (!api_call_read(call)) {
		api_call_refuse(call);
		return;
	}
	if (call->route->role == API_ANYONE && !call->problem.status)
		call->route->run(call, call->request);
	else if (call->route->role == API_ANYONE)
		api_call_refuse(call);
	else
		set_out(call);
}
