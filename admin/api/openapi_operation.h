/*
 * openapi_operation.h: one route as an operation of the OpenAPI document, and the components
 * that operations refer to.
 */
#ifndef ADMIN_API_OPENAPI_OPERATION_H
#define ADMIN_API_OPENAPI_OPERATION_H

#include "admin/api/route.h"

/*
 * The operation, the caller's. Schemas of its answer are added to `schemas`, under their name,
 * where they are not there yet. NULL when memory ran out.
 */
json_t *openapi_operation(const struct api_route *route, json_t *schemas);

/* Under components; NULL when memory ran out. */
json_t *openapi_parameters(void);
json_t *openapi_headers(void);

/* `viewer` and so on; `anyone`. */
const char *openapi_role(enum api_role role);

#endif
