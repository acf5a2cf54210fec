#include "cli/api_client.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <curl/curl.h>

#include "base/clock.h"
#include "base/secret.h"
#include "base/uuid.h"
#include "cli/print.h"

/* How often a request is made, and the pauses between, which double. A server that says how
 * long to wait (Retry-After) is given that, up to a limit. */
#define ATTEMPTS       4
#define FIRST_PAUSE_MS 200
#define PAUSE_MAX_MS   10000

#define CONNECT_TIMEOUT_S 10
#define SILENCE_MAX_S     90 /* of a stream, which has its heartbeats */
#define BODY_MAX          (64u << 20)

struct api_client {
	CURL *curl;
	char *base, *socket; /* where paths are appended to; NULL: no unix socket */
	char *authorization; /* secret: the whole header; NULL: none */
	char *ca_file, *cert_file, *cert_key_file;
	long timeout;
	bool is_plain;
};

static bool no_memory(void)
{
	print_complaint("out of memory");
	return false;
}

/* ---- where it is ---- */

static bool is_this_machine(const char *host)
{
	struct in_addr address;

	return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
		   (inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127);
}

static bool has_part(CURLU *url, CURLUPart part)
{
	char *text = NULL;
	bool has = curl_url_get(url, part, &text, 0) == CURLUE_OK && *text;

	curl_free(text);
	return has;
}

/* NULL when the URL will do; its scheme says whether the way there is plain. */
static const char *find_fault(CURLU *url, bool allow_http, bool *plain)
{
	char *scheme = NULL, *host = NULL;
	const char *fault = NULL;

	if (curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
		curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK)
		fault = "is no URL of the form http://HOST:PORT, https://HOST:PORT or unix:/PATH";
	else if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
		fault = "is neither http://, https:// nor unix:/";
	else if (has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_PASSWORD) ||
			 has_part(url, CURLUPART_QUERY) || has_part(url, CURLUPART_FRAGMENT))
		fault = "has more in it than a host, a port and a path";
	else if (strcmp(scheme, "http") == 0 && !allow_http && !is_this_machine(host))
		fault =
			"is not on this machine, and http:// would show the key to everyone on the way: "
			"use https://, or --allow-http";
	*plain = scheme && strcmp(scheme, "http") == 0;
	curl_free(scheme);
	curl_free(host);
	return fault;
}

static bool set_url(struct api_client *client, const char *text, bool allow_http)
{
	CURLU *url = curl_url();
	const char *fault;
	size_t len;

	if (!url)
		return no_memory();
	/* Not what was given: it may hold a password. */
	fault = curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK
				? find_fault(url, allow_http, &client->is_plain)
				: "is no URL of the form http://HOST:PORT, https://HOST:PORT or unix:/PATH";
	curl_url_cleanup(url);
	if (fault) {
		print_complaint("the address of the API %s", fault);
		return false;
	}
	client->base = strdup(text);
	if (!client->base)
		return no_memory();
	for (len = strlen(client->base); len > 0 && client->base[len - 1] == '/'; len--)
		client->base[len - 1] = '\0';
	return true;
}

static bool set_socket(struct api_client *client, const char *path)
{
	if (*path != '/') {
		print_complaint("the address of the API is unix: without an absolute path");
		return false;
	}
	client->is_plain = true;
	client->base = strdup("http://localhost");
	client->socket = strdup(path);
	return (client->base && client->socket) || no_memory();
}

/* ---- making one ---- */

static bool copy(char **out, const char *text)
{
	*out = text ? strdup(text) : NULL;
	return !text || *out || no_memory();
}

static bool set_key(struct api_client *client, const char *key)
{
	if (!key)
		return true;
	for (const char *at = key; *at; at++) {
		if (*at < '!' || *at > '~') {
			print_complaint("the API key holds characters that no key has");
			return false;
		}
	}
	return asprintf(&client->authorization, "Authorization: Bearer %s", key) >= 0 ||
		   (client->authorization = NULL, no_memory());
}

struct api_client *api_client_create(const struct api_target *target)
{
	struct api_client *client = calloc(1, sizeof *client);
	bool is_socket = strncmp(target->url, "unix:", 5) == 0;

	if (!client || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		no_memory();
		free(client);
		return NULL;
	}
	client->timeout = target->timeout;
	client->curl = curl_easy_init();
	if ((client->curl || no_memory()) &&
		(is_socket ? set_socket(client, target->url + 5)
				   : set_url(client, target->url, target->allow_http)) &&
		set_key(client, target->key) && copy(&client->ca_file, target->ca_file) &&
		copy(&client->cert_file, target->cert_file) &&
		copy(&client->cert_key_file, target->cert_key_file))
		return client;
	api_client_destroy(client);
	return NULL;
}

void api_client_destroy(struct api_client *client)
{
	if (!client)
		return;
	curl_easy_cleanup(client->curl);
	curl_global_cleanup();
	secret_free(client->authorization);
	free(client->base);
	free(client->socket);
	free(client->ca_file);
	free(client->cert_file);
	free(client->cert_key_file);
	free(client);
}

/* ---- one exchange ---- */

struct exchange {
	const struct api_client *client;
	const struct api_request *request;
	struct api_reply *reply;
	struct curl_slist *headers;
	long retry_after; /* seconds; -1: not said */
	bool is_stopped;  /* by `take` */
	bool is_too_large;
	long silence;   /* seconds after which it was given up; 0: it was not */
	bool has_begun; /* something went to `take` */
	int64_t begun,
		heard; /* when it began, when the last byte came (0: none has); microseconds */
	char error[CURL_ERROR_SIZE];
};

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
	struct exchange *exchange = context;
	const struct api_request *request = exchange->request;
	size_t len = size * count;
	long status = 0;

	exchange->heard = clock_monotonic_us();
	curl_easy_getinfo(exchange->client->curl, CURLINFO_RESPONSE_CODE, &status);
	if (request->take && status >= 200 && status < 300) {
		exchange->has_begun = true;
		exchange->is_stopped = !request->take(request->context, bytes, len);
		return exchange->is_stopped ? 0 : len;
	}
	exchange->is_too_large = buf_len(&exchange->reply->body) + len > BODY_MAX;
	if (exchange->is_too_large || !buf_append(&exchange->reply->body, bytes, len))
		return 0;
	return len;
}

/* What follows `name` on the header line, from malloc; NULL when it is another's. */
static char *header_value(const char *line, size_t len, const char *name)
{
	size_t at = strlen(name);

	if (len < at || strncasecmp(line, name, at) != 0)
		return NULL;
	while (at < len && (line[at] == ' ' || line[at] == '\t'))
		at++;
	while (len > at && (line[len - 1] == '\n' || line[len - 1] == '\r' || line[len - 1] == ' '))
		len--;
	return strndup(line + at, len - at);
}

static size_t take_header(char *line, size_t size, size_t count, void *context)
{
	struct exchange *exchange = context;

	exchange->heard = clock_monotonic_us();
	char *etag = header_value(line, size * count, "ETag:");
	char *next = header_value(line, size * count, "Next-Cursor:");
	char *wait = header_value(line, size * count, "Retry-After:");

	if (etag) {
		free(exchange->reply->etag);
		exchange->reply->etag = etag;
	}
	if (next) {
		free(exchange->reply->next);
		exchange->reply->next = next;
	}
	if (wait)
		exchange->retry_after = strtol(wait, NULL, 10);
	free(wait);
	return size * count;
}

/* Called about once a second. */
static int look_at_clock(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	struct exchange *exchange = context;
	long quiet = exchange->request->quiet, limit = exchange->client->timeout;
	int64_t since = exchange->heard ? exchange->heard : exchange->begun;

	(void)a, (void)b, (void)c, (void)d;
	if (exchange->heard)
		limit = quiet ? quiet : SILENCE_MAX_S;
	if (clock_monotonic_us() - since < limit * INT64_C(1000000))
		return 0;
	exchange->is_stopped = exchange->heard && quiet;
	exchange->silence = limit;
	return 1;
}

static bool add_header(struct exchange *exchange, const char *name, const char *value)
{
	char *line = NULL;
	struct curl_slist *longer = NULL;

	if (!value)
		return true;
	if (asprintf(&line, "%s%s", name, value) >= 0)
		longer = curl_slist_append(exchange->headers, line);
	else
		line = NULL;
	if (longer)
		exchange->headers = longer;
	secret_free(line);
	return longer || no_memory();
}

static bool add_headers(struct exchange *exchange)
{
	const struct api_request *request = exchange->request;

	return add_header(exchange, "", exchange->client->authorization) &&
		   add_header(exchange,
					  "Accept: ", request->accept ? request->accept : "application/json") &&
		   add_header(exchange, "Content-Type:", request->body ? " application/json" : "") &&
		   add_header(exchange, "If-Match: ", request->if_match) &&
		   add_header(exchange, "Idempotency-Key: ", request->idempotency_key) &&
		   add_header(exchange, "Last-Event-ID: ", request->last_event_id) &&
		   add_header(exchange, "Expect:", "");
}

static void free_headers(struct curl_slist *headers)
{
	for (struct curl_slist *at = headers; at; at = at->next)
		secret_wipe(at->data, strlen(at->data));
	curl_slist_free_all(headers);
}

static void set_way(CURL *curl, const struct api_client *client)
{
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L); /* a name may be ".." */
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "bulkhead/" BULKHEAD_VERSION);
	if (client->socket)
		curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, client->socket);
	if (client->is_plain)
		curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* which would read the key */
	if (client->ca_file)
		curl_easy_setopt(curl, CURLOPT_CAINFO, client->ca_file);
	if (client->cert_file)
		curl_easy_setopt(curl, CURLOPT_SSLCERT, client->cert_file);
	if (client->cert_key_file)
		curl_easy_setopt(curl, CURLOPT_SSLKEY, client->cert_key_file);
}

static void set_exchange(CURL *curl, struct exchange *exchange)
{
	const struct api_request *request = exchange->request;

	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
	if (request->body) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(request->body));
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
	} else if (strcmp(request->method, "GET") != 0) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)0);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
	}
	if (request->take) {
		curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
		curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, look_at_clock);
		curl_easy_setopt(curl, CURLOPT_XFERINFODATA, exchange);
	} else {
		curl_easy_setopt(curl, CURLOPT_TIMEOUT, exchange->client->timeout);
	}
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, exchange->headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, exchange);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, exchange);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, exchange->error);
}

/* What came of one attempt. */
enum outcome { ANSWERED, UNREACHED, BROKEN };

static enum outcome attempt(struct exchange *exchange, const char *url)
{
	CURL *curl = exchange->client->curl;
	CURLcode code;

	exchange->heard = 0;
	exchange->begun = clock_monotonic_us();
	curl_easy_reset(curl);
	set_way(curl, exchange->client);
	set_exchange(curl, exchange);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	code = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &exchange->reply->status);
	if (code == CURLE_OK || exchange->is_stopped)
		return ANSWERED;
	if (exchange->silence)
		snprintf(exchange->error, sizeof exchange->error, "nothing was heard for %ld seconds",
				 exchange->silence);
	else if (!*exchange->error)
		snprintf(exchange->error, sizeof exchange->error, "%s", curl_easy_strerror(code));
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
		return UNREACHED;
	default:
		return BROKEN;
	}
}

/* ---- trying again ---- */

static bool may_repeat(const struct api_request *request)
{
	return strcmp(request->method, "GET") == 0 ||
		   (strcmp(request->method, "POST") == 0 && request->idempotency_key);
}

static bool asks_for_patience(long status)
{
	return status == 429 || (status >= 502 && status <= 504);
}

static void pause_before(int attempts, long retry_after)
{
	long ms = (long)FIRST_PAUSE_MS << attempts;
	uint32_t drawn;

	secret_random(&drawn, sizeof drawn);
	ms = ms / 2 + (long)(drawn % (uint32_t)(ms / 2));
	if (retry_after >= 0)
		ms = retry_after > PAUSE_MAX_MS / 1000 ? PAUSE_MAX_MS : retry_after * 1000 + ms / 4;
	struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
	nanosleep(&pause, NULL);
}

static void forget(struct exchange *exchange)
{
	api_reply_fini(exchange->reply);
	exchange->retry_after = -1;
	*exchange->error = '\0';
}

static enum outcome send_to(struct exchange *exchange, const char *url)
{
	for (int attempts = 1;; attempts++) {
		enum outcome outcome = attempt(exchange, url);
		bool again = outcome == ANSWERED ? asks_for_patience(exchange->reply->status)
										 : outcome == UNREACHED && !exchange->has_begun;

		if (!again || attempts == ATTEMPTS || !may_repeat(exchange->request))
			return outcome;
		pause_before(attempts - 1, exchange->retry_after);
		forget(exchange);
	}
}

bool api_client_send(struct api_client *client, const struct api_request *request,
					 struct api_reply *reply)
{
	struct exchange exchange = {
		.client = client, .request = request, .reply = reply, .retry_after = -1};
	enum outcome outcome = BROKEN;
	char *url = NULL;

	*reply = (struct api_reply){.status = 0};
	if (asprintf(&url, "%s%s", client->base, request->path) < 0)
		return no_memory();
	if (add_headers(&exchange))
		outcome = send_to(&exchange, url);
	if (exchange.is_too_large)
		print_complaint("the answer is too large");
	else if (outcome != ANSWERED && *exchange.error)
		print_complaint("%s: %s", client->socket ? client->socket : client->base,
						exchange.error);
	free_headers(exchange.headers);
	free(url);
	if (outcome == ANSWERED && buf_len(&reply->body) > 0)
		reply->json = json_loadb((char *)buf_data(&reply->body), buf_len(&reply->body),
								 JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	return outcome == ANSWERED;
}

void api_reply_fini(struct api_reply *reply)
{
	json_decref(reply->json);
	free(reply->etag);
	free(reply->next);
	buf_wipe(&reply->body);
	*reply = (struct api_reply){.status = 0};
}

/* ---- problems ---- */

static const char *text_of(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

/* What is wrong, why, and where; what is said twice is printed once. */
static void complain_of_field(const char *detail, const char *reason, const json_t *error)
{
	const char *field = text_of(error, "field"), *why = text_of(error, "detail");
	size_t len = strlen(field ? field : "");

	if (!field || !why || strcmp(detail, why) == 0 ||
		(strncmp(detail, field, len) == 0 &&
		 strcmp(detail + len + strspn(detail + len, ": "), why) == 0))
		print_complaint("%s (%s) %s", why ? why : detail, reason, field ? field : "");
	else
		print_complaint("%s (%s) %s: %s", detail, reason, field, why);
}

void api_reply_complain(const struct api_reply *reply)
{
	const char *detail = text_of(reply->json, "detail");
	const char *title = text_of(reply->json, "title");
	const char *reason = text_of(reply->json, "reason");
	const char *request = reply->status >= 500 ? text_of(reply->json, "request_id") : NULL;
	json_t *errors = json_object_get(reply->json, "errors"), *error;
	size_t nth;

	detail = detail ? detail : title ? title : "refused";
	if (!reason)
		print_complaint("the API answered %ld%s%s", reply->status, title ? ": " : "",
						title ? title : "");
	else if (json_array_size(errors) == 0)
		print_complaint("%s (%s)%s%s", detail, reason, request ? " request " : "",
						request ? request : "");
	json_array_foreach(errors, nth, error)
	{
		if (reason)
			complain_of_field(detail, reason, error);
	}
}

void api_draw_idempotency_key(char out[API_IDEMPOTENCY_KEY_SIZE])
{
	struct uuid id;

	_Static_assert(API_IDEMPOTENCY_KEY_SIZE == UUID_TEXT_SIZE, "a key is a uuid's text");
	secret_random(id.b, sizeof id.b);
	id.b[6] = (uint8_t)(0x40 | (id.b[6] & 0x0f));
	id.b[8] = (uint8_t)(0x80 | (id.b[8] & 0x3f));
	uuid_text(&id, out);
}
