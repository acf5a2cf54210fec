/*
 * secrets.h: sensitive settings on their way through the API's thread: sealed before the
 * database is told of them, and opened behind it for those who may read them (admin/vault.h).
 *
 * These are a route's `prepare` and `finish`; see admin/api/sql/settings.sql for the other
 * half.
 */
#ifndef ADMIN_API_SECRETS_H
#define ADMIN_API_SECRETS_H

#include <stdbool.h>

#include <jansson.h>

#include "admin/api/route.h"

/* body.value, into more.value or more.sealed. */
bool secrets_prepare_value(struct api_call *call, json_t *request, json_t *before);

/* The values of body.set, into more.set: of each {value}, {sealed} or {refused}. */
bool secrets_prepare_batch(struct api_call *call, json_t *request, json_t *before);

/* Opens what the answer has as "sealed", wherever a value stands, and takes that member out. */
void secrets_finish(struct api_call *call, json_t *request, json_t *answer);

/* The master key that the file has first, into more.master_kid. */
bool secrets_prepare_rewrap(struct api_call *call, json_t *request, json_t *before);

/* Of each master key of the answer: whether the file has it. */
void secrets_finish_masters(struct api_call *call, json_t *request, json_t *answer);

#endif
