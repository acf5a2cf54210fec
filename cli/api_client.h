/*
 * api_client.h: the admin API as the subcommands reach it, over HTTP (libcurl).
 *
 * The API is at an http:// or https:// URL, or at a unix socket (unix:/path). Plain http takes
 * the key to this machine alone, unless it is said that elsewhere is meant. What went wrong is
 * printed on standard error; the key never is.
 *
 * A request that did not arrive, or met a server that asks for patience (429, 502, 503, 504),
 * is made again some times where that cannot do the same thing twice: GET, and POST with an
 * Idempotency-Key.
 */
#ifndef CLI_API_CLIENT_H
#define CLI_API_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/buf.h"

#define API_DEFAULT_URL "http://127.0.0.1:6480"

struct api_target {
	const char *url;                                 /* never NULL */
	const char *key;                                 /* secret; NULL: none is sent */
	const char *ca_file, *cert_file, *cert_key_file; /* NULL where libcurl's default will do */
	long timeout;                                    /* seconds for one request */
	bool allow_http;                                 /* plain http to other machines too */
};

struct api_client;

/* Takes copies. NULL, with the reason printed, when the URL will not do. */
struct api_client *api_client_create(const struct api_target *target);
void api_client_destroy(struct api_client *client);

/* All are borrowed; NULL where there is none. */
struct api_request {
	const char *method; /* GET, POST, PUT, PATCH, DELETE */
	const char *path;   /* from /v1 on, with the query; percent-encoded */
	const char *body;   /* JSON */
	const char *accept; /* other than application/json */
	const char *if_match, *idempotency_key, *last_event_id;
	/* Where it is set, what a successful answer has in it goes there as it comes, for as long
	 * as that takes, instead of into the reply. False ends it. */
	bool (*take)(void *context, const char *bytes, size_t len);
	void *context;
	long quiet; /* with `take`: seconds without a byte that end it well; 0: none do */
};

struct api_reply {
	long status;
	char *etag, *next; /* ETag and Next-Cursor; NULL where there was none */
	struct buf body;
	json_t *json; /* of the body; NULL when it is none */
};

/* False, with the reason printed, when there was no answer. The reply is to be given to
 * api_reply_fini in either case. */
bool api_client_send(struct api_client *client, const struct api_request *request,
					 struct api_reply *reply);
void api_reply_fini(struct api_reply *reply);

static inline bool api_reply_succeeded(const struct api_reply *reply)
{
	return reply->status >= 200 && reply->status < 300;
}

/* Prints the problem (RFC 9457) that a reply brought, a line for each field that it names. */
void api_reply_complain(const struct api_reply *reply);

/* A new Idempotency-Key. */
#define API_IDEMPOTENCY_KEY_SIZE 37
void api_draw_idempotency_key(char out[API_IDEMPOTENCY_KEY_SIZE]);

#endif
