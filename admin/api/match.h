/*
 * match.h: from the bytes of a request's target (RFC 9112, section 3.2; RFC 3986) to a route
 * and its parameters.
 *
 * Paths are compared as they were written, segment by segment; nothing is normalized. Only what
 * stands for a parameter is decoded, once, and must be UTF-8 without control characters. A
 * route's path may end with a verb, `:suspend`, which is never decoded either: a colon within
 * the parameter before it is written %3A.
 */
#ifndef ADMIN_API_MATCH_H
#define ADMIN_API_MATCH_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "admin/api/route.h"

#define API_PATH_MAX  4096 /* bytes of a path, and of a query */
#define API_QUERY_MAX 64   /* parameters */

enum api_match {
	API_MATCHED,
	API_NO_PATH,   /* 404 */
	API_NO_METHOD, /* 405: the path is known */
	API_BAD_PATH,  /* 400: a parameter is no text */
};

/*
 * Finds the route for a method and a path, and gives the parameters as texts in a new object.
 * With API_NO_METHOD *route is one of those that the path has.
 */
enum api_match api_match(const char *method, const char *path, const struct api_route **route,
						 json_t **params);

/* Appends the methods that a path has, "GET, PUT", for Allow; at most `size` bytes with the
 * NUL.
 */
void api_match_methods(const char *path, char *out, size_t size);

/*
 * Decodes len bytes of a path's segment, or with `plus` of a query's, into a new string, or
 * NULL: malformed, no UTF-8, control characters, or out of memory.
 */
json_t *api_decode(const char *text, size_t len, bool plus);

/*
 * The parameters of a query, as texts, in a new object; NULL with the fault in *field and
 * *fault: a name twice, malformed, or too many. `field` has room for 80 bytes.
 */
json_t *api_query(const char *query, char *field, const char **fault);

#endif
