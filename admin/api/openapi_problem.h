/*
 * openapi_problem.h: the problems (RFC 9457) that a request may come back with, in the OpenAPI
 * document.
 */
#ifndef ADMIN_API_OPENAPI_PROBLEM_H
#define ADMIN_API_OPENAPI_PROBLEM_H

#include <stdbool.h>

#include "admin/api/route.h"

/* Adds those of this route to an operation's `responses`; false when memory ran out. */
bool openapi_put_problems(json_t *responses, const struct api_route *route);

/* The document's components that they refer to: under `responses`, and schema Problem. */
json_t *openapi_problem_responses(void);
json_t *openapi_problem_schema(void);

#endif
