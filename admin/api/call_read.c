/* From an HTTP request to what a handler is asked. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include <event2/buffer.h>
#include <event2/keyvalq_struct.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "admin/api/api_internal.h"
#include "admin/api/call_internal.h"
#include "admin/api/match.h"
#include "admin/api/read_json.h"
#include "admin/api/validate.h"
#include "admin/api_key.h"
#include "admin/job.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/secret.h"

#define BODY_MAX        (256 << 10)
#define BODY_LARGE_MAX  (4 << 20)
#define RATE_BURST      10 /* seconds' worth of requests at once */
#define IDEMPOTENCY_MAX 255
#define ETAGS_MAX       16
#define REQUEST_BYTES   2048 /* of a body: more count as more requests */

static bool refuse(struct api_call *call, int status, const char *reason, const char *field,
				   const char *detail)
{
	api_problem_set(&call->problem, status, reason, field, "%s", detail);
	return false;
}

/* Refused, but only told to those who may ask; the first thing counts. */
static void refuse_later(struct api_call *call, int status, const char *reason,
						 const char *field, const char *detail)
{
	if (!call->problem.status)
		refuse(call, status, reason, field, detail);
}

/* ---- headers ---- */

/* How often a header is there: one that is there twice could be read in two ways. */
static int count_headers(struct evkeyvalq *headers, const char *name, const char **value)
{
	struct evkeyval *header;
	int count = 0;

	TAILQ_FOREACH(header, headers, next)
	{
		if (strcasecmp(header->key, name) == 0) {
			count++;
			*value = header->value;
		}
	}
	return count;
}

static bool is_request_id(const char *text)
{
	size_t len = strlen(text);

	return len >= 1 && len <= 64 &&
		   strspn(text, "abcdefghijklmnopqrstuvwxyz"
						"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == len;
}

static void set_request_id(struct api_call *call, struct evkeyvalq *headers)
{
	const char *given = NULL;
	unsigned char drawn[12];

	if (count_headers(headers, "X-Request-Id", &given) == 1 && is_request_id(given)) {
		snprintf(call->request_id, sizeof call->request_id, "%s", given);
		return;
	}
	secret_random(drawn, sizeof drawn);
	hex_encode(drawn, sizeof drawn, call->request_id);
}

static const char *method_name(enum evhttp_cmd_type command)
{
	switch (command) {
	case EVHTTP_REQ_GET:
		return "GET";
	case EVHTTP_REQ_POST:
		return "POST";
	case EVHTTP_REQ_PUT:
		return "PUT";
	case EVHTTP_REQ_PATCH:
		return "PATCH";
	case EVHTTP_REQ_DELETE:
		return "DELETE";
	case EVHTTP_REQ_HEAD:
		return "HEAD";
	case EVHTTP_REQ_OPTIONS:
		return "OPTIONS";
	case EVHTTP_REQ_TRACE:
		return "TRACE";
	case EVHTTP_REQ_CONNECT:
		return "CONNECT";
	}
	return "?";
}

/* ---- who calls ---- */

static bool refuse_key(struct api_call *call)
{
	return refuse(call, 401, "BH-API-KEY", NULL,
				  "there is no such API key, or it is no longer valid");
}

static struct throttle_rate rate_of(const struct conf *conf)
{
	return (struct throttle_rate){conf->admin_rate_limit,
								  (double)conf->admin_rate_limit * RATE_BURST};
}

/* A long body, and a list of many things, is as much work as many requests. */
static void charge(struct api_call *call, size_t len)
{
	const struct throttle_rate rate = rate_of(call->api->conf);
	size_t parts = len / REQUEST_BYTES;
	double count = (double)parts;
	const char *name;
	json_t *member;

	json_object_foreach(json_object_get(call->request, "body"), name, member)
	{
		if (json_array_size(member) > 1)
			count += (double)(json_array_size(member) - 1);
	}
	if (count > 0)
		throttle_charge(call->api->rates, call->key_name, &rate, count, clock_monotonic_us());
}

static bool refuse_address(struct api_call *call)
{
	return refuse(call, 429, "BH-API-RATE", NULL,
				  "too many requests from this address had no valid API key");
}

/* The hashes of the key under all peppers; the first names its bucket: only who has the secret
 * can empty that. */
static json_t *hash_key(const struct api_call *call, const char *key, char bucket[33])
{
	json_t *hashes = json_object();
	char hash[API_KEY_HASH_SIZE];
	const char *kid;

	for (size_t place = 0; api_key_hash(call->api->pepper, place, key, &kid, hash); place++) {
		if (place == 0)
			snprintf(bucket, 33, "%.32s", hash);
		json_object_set_new(hashes, kid, json_string(hash));
	}
	secret_wipe(hash, sizeof hash);
	return hashes;
}

/*
 * RFC 6750, section 2.1. What is taken out here of the request's own headers is wiped: nobody
 * needs the secret any more.
 */
static bool read_key(struct api_call *call, struct evkeyvalq *headers)
{
	const struct conf *conf = call->api->conf;
	const struct throttle_rate rate = rate_of(conf);
	const int64_t now = clock_monotonic_us();
	const char *value = NULL;
	json_t *hashes;

	call->failure_rate =
		(struct throttle_rate){conf->admin_failure_limit / 60.0, conf->admin_failure_limit};
	bool is_allowed = !*call->address || throttle_allows(call->api->failures, call->address,
														 &call->failure_rate, now);
	if (count_headers(headers, "Authorization", &value) != 1 ||
		strncasecmp(value, "Bearer ", 7) != 0)
		return is_allowed ? refuse_key(call) : refuse_address(call);
	value += 7;
	if (!api_key_is_text(value, strlen(value)))
		return is_allowed ? refuse_key(call) : refuse_address(call);
	api_key_id(value, call->key_id);
	hashes = hash_key(call, value, call->key_name);
	/* Strangers may have the address of somebody who is none. */
	if (!is_allowed && !throttle_has(call->api->known, call->key_name)) {
		json_decref(hashes);
		return refuse_address(call);
	}
	call->caller = json_pack("{s:s, s:o, s:i, s:b, s:o, s:s*, s:s, s:s}", "id", call->key_id,
							 "hashes", hashes, "rank", (int)call->route->role, "everywhere",
							 (call->route->flags & API_EVERYWHERE) != 0, "tenants",
							 json_object(), "address", *call->address ? call->address : NULL,
							 "request_id", call->request_id, "action", call->route->id);
	secret_wipe((void *)(uintptr_t)value, strlen(value));
	if (!call->caller)
		return refuse(call, 500, "BH-API-INTERNAL", NULL, "out of memory");
	if (!throttle_take(call->api->rates, call->key_name, &rate, now))
		return refuse(call, 429, "BH-API-RATE", NULL, "this API key asks too often");
	return true;
}

/* ---- what is asked ---- */

static void take_findings(struct api_call *call, struct api_findings *findings, int status)
{
	json_t *first = json_array_get(findings->faults, 0);

	if (!first || call->problem.status)
		return;
	refuse(call, status, status == 400 ? "BH-API-SYNTAX" : "BH-API-VALUE", NULL, "");
	snprintf(call->problem.detail, sizeof call->problem.detail, "%s: %s",
			 json_string_value(json_object_get(first, "field")),
			 json_string_value(json_object_get(first, "detail")));
	call->problem.errors = json_incref(findings->faults);
}

/* Takes those of a list out of the query, and checks them. */
static void take_query(json_t *query, const struct api_field *fields, json_t *into,
					   struct api_findings *findings)
{
	json_t *part = json_object();

	for (const struct api_field *field = fields; field->name; field++) {
		json_t *value = json_object_get(query, field->name);

		if (value) {
			json_object_set(part, field->name, value);
			json_object_del(query, field->name);
		}
	}
	api_validate_texts(part, fields, "query", findings);
	json_object_update(into, part);
	json_decref(part);
}

static void read_query(struct api_call *call, const char *text, struct api_findings *findings)
{
	const struct api_route *route = call->route;
	const char *fault = NULL;
	char field[80];
	json_t *query = api_query(text, field, &fault), *more = json_object();

	if (!query) {
		refuse_later(call, 400, "BH-API-SYNTAX", field, fault);
		query = json_object();
	}
	if (route->flags & API_PAGED)
		take_query(query, api_page_query, more, findings);
	if (route->flags & API_DRY_RUN)
		take_query(query, api_dry_run_query, call->request, findings);
	api_validate_texts(query, route->query, "query", findings);
	json_object_update(query, more);
	json_decref(more);
	json_object_set_new(call->request, "query", query);
}

/* If-Match: a list of entity tags, or *; see RFC 9110, section 13.1.1. */
static void read_conditions(struct api_call *call, struct evkeyvalq *headers)
{
	const char *value = NULL;
	int count = count_headers(headers, "If-Match", &value);
	json_t *tags;

	if (count == 0 && (call->route->flags & API_IF_MATCH))
		refuse_later(call, 428, "BH-API-CONDITION", "header.If-Match",
					 "say with If-Match which version is to be changed, as ETag had it");
	if (count == 0)
		return;
	if (count > 1 ||
		!api_matches(value, "^(\\*|(W/)?\"[!#-~]{0,128}\"( *, *(W/)?\"[!#-~]{0,128}\")*)$")) {
		refuse_later(call, 400, "BH-API-SYNTAX", "header.If-Match", "this is no list of ETags");
		return;
	}
	tags = json_array();
	for (size_t i = 0; i < ETAGS_MAX && *value; i++) {
		size_t weak = *value == 'W' ? 2 : 0; /* W/ */
		size_t len = *value == '*' ? 1 : weak + strcspn(value + weak + 1, "\"") + 2;

		json_array_append_new(tags, json_stringn(value, len));
		value += len;
		value += strspn(value, ", ");
	}
	json_object_set_new(call->request, "if_match", tags);
}

static void read_idempotency(struct api_call *call, struct evkeyvalq *headers)
{
	const char *value = NULL;
	int count = count_headers(headers, "Idempotency-Key", &value);

	if (count == 0 || strcmp(call->method, "POST") != 0)
		return;
	if (count > 1 || !api_matches(value, "^[!-~]{1,255}$"))
		refuse_later(call, 400, "BH-API-SYNTAX", "header.Idempotency-Key",
					 "it must be 1 to 255 visible ASCII characters");
	else
		call->idempotency_key = value;
}

/* What makes two requests the same. Under the pepper: a body may hold a password, which must
 * not be there to be guessed at by whoever reads the database. */
static void set_fingerprint(struct api_call *call, const char *target, const char *body,
							size_t len)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	char hex[EVP_MAX_MD_SIZE * 2 + 1];
	unsigned int size = 0;
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	if (context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) &&
		EVP_DigestUpdate(context, call->method, strlen(call->method) + 1) &&
		EVP_DigestUpdate(context, target, strlen(target) + 1) &&
		EVP_DigestUpdate(context, body, len) && EVP_DigestFinal_ex(context, digest, &size) &&
		HMAC(EVP_sha256(), guard_keyring_key(call->api->pepper, 0), GUARD_KEY_SIZE, digest,
			 size, digest, &size)) {
		hex_encode(digest, size, hex);
		json_object_set_new(call->caller, "fingerprint", json_string(hex));
	}
	EVP_MD_CTX_free(context);
	secret_wipe(digest, sizeof digest);
}

static bool is_json_type(const char *type)
{
	size_t len = type ? strcspn(type, "; \t") : 0;

	return len == 16 && strncasecmp(type, "application/json", len) == 0;
}

static void parse_body(struct api_call *call, const char *bytes, size_t len,
					   struct api_findings *findings)
{
	struct api_fault fault;
	json_t *body = api_read_json(bytes, len, &fault);

	if (!body) {
		refuse_later(call, 400, "BH-API-SYNTAX", fault.field, fault.detail);
		return;
	}
	json_object_set_new(call->request, "body", body);
	api_validate(body, call->route->body, "body", findings);
}

static void read_body(struct api_call *call, struct evkeyvalq *headers, const char *target,
					  struct api_findings *findings)
{
	struct evbuffer *input = evhttp_request_get_input_buffer(call->http);
	size_t len = evbuffer_get_length(input);
	size_t max = call->route->flags & API_LARGE ? BODY_LARGE_MAX : BODY_MAX;
	unsigned char *bytes = len ? evbuffer_pullup(input, -1) : NULL;
	const char *type = NULL;

	if (call->idempotency_key && call->caller)
		set_fingerprint(call, target, (const char *)bytes, len);
	if (len > max)
		refuse_later(call, 413, "BH-API-SIZE", "body", "the body is too large");
	else if (!call->route->body && len)
		refuse_later(call, 400, "BH-API-SYNTAX", "body", "there is to be no body");
	else if (call->route->body && len &&
			 (count_headers(headers, "Content-Type", &type) != 1 || !is_json_type(type)))
		refuse_later(call, 415, "BH-API-TYPE", "header.Content-Type",
					 "the body is to be application/json");
	else if (call->route->body)
		parse_body(call, bytes ? (const char *)bytes : "{}", bytes ? len : 2, findings);
	charge(call, len);
	if (bytes)
		secret_wipe(bytes, len);
}

/* ---- what else handlers want to know ---- */

static void add_clusters(struct api_call *call)
{
	const struct conf *conf = call->api->conf;
	json_t *clusters = json_object();

	for (size_t i = 0; i < conf->cluster_count; i++) {
		const struct conf_cluster *cluster = &conf->clusters[i];

		json_object_set_new(clusters, cluster->name,
							json_pack("{s:b, s:s, s:s}", "can_run",
									  job_can_run(conf, cluster->name), "guard",
									  cluster->guard == GUARD_LOGIN ? "login" : "sealed",
									  "tenant", cluster->tenant));
	}
	json_object_set_new(json_object_get(call->request, "more"), "clusters", clusters);
}

/* ---- the whole ---- */

static bool find_route(struct api_call *call, const char *path, json_t **params)
{
	switch (api_match(call->method, path, &call->route, params)) {
	case API_MATCHED:
		return true;
	case API_NO_PATH:
		return refuse(call, 404, "BH-API-PATH", NULL, "there is no such path");
	case API_NO_METHOD:
		call->route = NULL;
		api_match_methods(path, call->methods, sizeof call->methods);
		return refuse(call, 405, "BH-API-METHOD", NULL, "this path does not have this method");
	case API_BAD_PATH:
		*params = NULL;
		return true;
	}
	return false;
}

static bool refuse_framing(struct api_call *call, const char *field, const char *detail)
{
	evhttp_add_header(evhttp_request_get_output_headers(call->http), "Connection", "close");
	return refuse(call, 400, "BH-API-SYNTAX", field, detail);
}

/* RFC 9110, section 5.6.2. A blank before the colon is the classic: others skip it. */
static bool is_token(const char *name)
{
	size_t len = strlen(name);

	return len && strspn(name, "!#$%&'*+-.^_`|~0123456789"
							   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == len;
}

/*
 * Where the body ends must be said once, and so that it can be read in one way (RFC 9112,
 * section 6.3): something in front of us may have read it the other way. libevent takes more.
 */
static bool check_length(struct api_call *call, struct evkeyvalq *headers)
{
	const char *length = NULL, *encoding = NULL;
	struct evkeyval *header;

	TAILQ_FOREACH(header, headers, next)
	{
		if (!is_token(header->key))
			return refuse_framing(call, "header", "the name of a header is none");
	}
	int lengths = count_headers(headers, "Content-Length", &length);
	int encodings = count_headers(headers, "Transfer-Encoding", &encoding);

	if (lengths + encodings > 1)
		return refuse_framing(call, "header.Content-Length",
							  "the length of the body is said twice");
	if (length && !api_matches(length, "^[0-9]+$"))
		return refuse_framing(call, "header.Content-Length", "this is no number of bytes");
	if (encoding && strcasecmp(encoding, "chunked") != 0)
		return refuse_framing(call, "header.Transfer-Encoding", "only chunked is understood");
	return true;
}

/* Its parts must be as they came: what libevent decodes or normalizes is not looked at. */
static bool read_target(struct api_call *call, char **path, const char **query)
{
	const char *target = evhttp_request_get_uri(call->http);
	size_t len = target ? strcspn(target, "?#") : 0;

	if (!target || *target != '/' || strlen(target) > 2 * (size_t)API_PATH_MAX ||
		strchr(target, '#'))
		return refuse(call, 400, "BH-API-SYNTAX", "path", "this is no path");
	*path = strndup(target, len);
	*query = target[len] ? target + len + 1 : "";
	return *path || refuse(call, 500, "BH-API-INTERNAL", NULL, "out of memory");
}

static void read_rest(struct api_call *call, json_t *params, const char *query,
					  struct evkeyvalq *headers)
{
	struct api_findings findings = {json_array(), json_object(), false};
	const struct api_route *route = call->route;

	call->request = json_pack("{s:o, s:b, s:{}}", "path", params ? params : json_object(),
							  "dry_run", 0, "more");
	if (!params)
		refuse_later(call, 400, "BH-API-SYNTAX", "path",
					 "a part of the path is not UTF-8, or holds control characters");
	else if (json_object_get(params, "tenant")) {
		json_t *tenant = json_pack("{s:O}", "tenant", json_object_get(params, "tenant"));
		json_object_del(params, "tenant");
		api_validate_texts(tenant, api_tenant_param, "path", &findings);
		api_validate_texts(params, route->params, "path", &findings);
		json_object_update(params, tenant);
		json_decref(tenant);
	} else {
		api_validate_texts(params, route->params, "path", &findings);
	}
	read_query(call, query, &findings);
	take_findings(call, &findings, 400);
	read_idempotency(call, headers);
	read_body(call, headers, evhttp_request_get_uri(call->http), &findings);
	take_findings(call, &findings, 422);
	read_conditions(call, headers);
	add_clusters(call);
	if (call->caller)
		json_object_set(call->caller, "tenants", findings.tenants);
	json_decref(findings.faults);
	json_decref(findings.tenants);
}

bool api_call_read(struct api_call *call)
{
	struct evkeyvalq *headers = evhttp_request_get_input_headers(call->http);
	struct evhttp_connection *connection = evhttp_request_get_connection(call->http);
	char *address = NULL, *path = NULL;
	const char *query = "";
	ev_uint16_t port = 0;
	json_t *params = NULL;

	evhttp_connection_get_peer(connection, &address, &port);
	if (address && port)
		snprintf(call->address, sizeof call->address, "%s", address);
	call->method = method_name(evhttp_request_get_command(call->http));
	set_request_id(call, headers);
	bool done = check_length(call, headers) && read_target(call, &path, &query) &&
				find_route(call, path, &params) &&
				(call->route->role == API_ANYONE || read_key(call, headers));
	free(path);
	if (done)
		read_rest(call, params, query, headers);
	else
		json_decref(params);
	return done;
}
