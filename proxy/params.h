/*
 * params.h: the ParameterStatus values that a backend has reported.
 *
 * Bounded: at most PARAMS_MAX names, each pair at most PARAMS_BYTES_MAX bytes.
 */
#ifndef PROXY_PARAMS_H
#define PROXY_PARAMS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define PARAMS_MAX       64
#define PARAMS_BYTES_MAX 8192

struct params {
	char **names, **values;
	size_t count;
};

void params_init(struct params *params);
void params_fini(struct params *params);

/* Adds or replaces one. False when it is out of bounds or memory is out; nothing has changed
 * then. */
bool params_set(struct params *params, const char *name, const char *value);

/* NULL when the server never reported it. */
const char *params_get(const struct params *params, const char *name);

bool params_copy(struct params *to, const struct params *from);
bool params_equal(const struct params *a, const struct params *b);

/* Appends them all as ParameterStatus messages, application_name with the value given instead.
 */
bool params_append(const struct params *params, const char *application_name, struct buf *out);

#endif
