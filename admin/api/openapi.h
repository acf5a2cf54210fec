/*
 * openapi.h: the OpenAPI 3.1 document of the admin API, made from the table of routes.
 *
 * It says what the table says and nothing else: paths (`/v1/tenants/{tenant}:suspend` is a path
 * of its own), who may call (x-role, and x-everywhere where only keys of the whole tree may),
 * parameters, bodies with their types and bounds, answers, and the problems (RFC 9457) that a
 * request may come back with. A member or parameter that names a tenant, which must be within
 * the caller's part of the tree, has x-tenant. Ends as `bulkhead conf --openapi`, which makes
 * docs/openapi.json, and as GET /v1/openapi.json.
 */
#ifndef ADMIN_API_OPENAPI_H
#define ADMIN_API_OPENAPI_H

#include <stdbool.h>
#include <stdio.h>

#include "admin/api/route.h"

/* The document of these topics, the caller's; NULL when memory ran out. */
json_t *openapi_of(const struct api_topic *const *topics, size_t count);

/* That of all topics. */
json_t *openapi_document(void);

/* Writes it as docs/openapi.json holds it; false when memory ran out. */
bool openapi_write(FILE *out);

#endif
