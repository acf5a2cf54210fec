/*
 * secret_fields.h: a request without what is secret in it.
 */
#ifndef ADMIN_API_SECRET_FIELDS_H
#define ADMIN_API_SECRET_FIELDS_H

#include <jansson.h>

#include "admin/api/route.h"

/*
 * The request as handlers get it, but without those members of its body that `fields` mark with
 * API_SECRET. What it shares with the request is not copied: the secrets stay in one place of
 * memory. NULL when memory is out.
 */
json_t *api_without_secrets(json_t *request, const struct api_field *fields);

/* Overwrites all texts and numbers in a value, before it is given up. */
void api_wipe(json_t *value);

#endif
