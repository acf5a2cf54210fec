/*
 * call.h: the life of a request: found in the table of routes, read, checked by the database,
 * carried out and answered. See route.h for what a route's own functions may do.
 */
#ifndef ADMIN_API_CALL_H
#define ADMIN_API_CALL_H

#include <event2/http.h>

#include "admin/api/route.h"

struct api;

/* Takes a request and sees it through; for api_server_open. `self` is a struct api. */
void api_call_begin(void *self, struct evhttp_request *request);

/* Frees those that are under way, unanswered: their connections go. */
void api_call_drop_all(struct api *api);

/* ---- for a route that answers in a form of its own (API_STREAM) ---- */

/*
 * The request, whose answer is the caller's business from now on; the call is gone, and with it
 * what it lent. Headers that all answers have are set.
 */
struct evhttp_request *api_call_detach(struct api_call *call);

/* Who calls: the id of the API key, and how it authenticates again (`caller` of
 * bulkhead_api.call), for streams that ask more than once. */
const char *api_call_key_id(const struct api_call *call);
char *api_call_caller(const struct api_call *call); /* from malloc */

/* A header of the request; NULL where there is none. */
const char *api_call_header(const struct api_call *call, const char *name);

#endif
