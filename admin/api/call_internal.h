/* call_internal.h: a request under way, for call.c and call_read.c. */
#ifndef ADMIN_API_CALL_INTERNAL_H
#define ADMIN_API_CALL_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "admin/api/call.h"
#include "admin/api/problem.h"
#include "admin/api/throttle.h"
#include "admin/store.h"
#include "base/list.h"

/* What is asked of the database now. */
enum call_stage {
	STAGE_CHECK,  /* only whether the caller may ask this */
	STAGE_BEFORE, /* what the route's own `before` says */
	STAGE_MAIN,
};

struct api_call {
	struct list node; /* api->calls */
	struct api *api;
	struct evhttp_request *http;
	const struct api_route *route; /* NULL until it is found */
	const char *method;
	char address[64]; /* empty: of a unix socket. The connection may be gone before the call */
	char request_id[65];
	char key_id[17];
	char key_name[33]; /* of who has the key's secret, as throttles have it; empty: nobody */
	char methods[64];  /* for 405 */
	const char *idempotency_key; /* the request's */
	struct throttle_rate failure_rate;
	int64_t began_us;

	json_t *request; /* as the handlers get it */
	json_t *caller;  /* as bulkhead_api.enter gets it */
	json_t *entered, *before;
	char *kept;                 /* api_call_keep's, or NULL */
	struct api_problem problem; /* status 0: none so far */

	enum call_stage stage;
	int attempts; /* of a statement that ran into others */
	int rounds;   /* of preparing and carrying out */
	struct store_ask ask;
	char *params[STORE_PARAMS_MAX];
	struct event *retry;
};

/*
 * Reads the request into route, request and caller. False where it can be refused by what it
 * is, whoever makes it; where `problem` is set and it is true, the caller is to be checked
 * first.
 */
bool api_call_read(struct api_call *call);

/* Answers with `problem`; the call is gone then. */
void api_call_refuse(struct api_call *call);

#endif
