/*
 * api_table.h: routes for the targets that know no server: a table with one of everything that
 * a route can say of a request. It stands in for api_topics of admin/api/routes.c.
 */
#ifndef TESTS_FUZZ_API_TABLE_H
#define TESTS_FUZZ_API_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "admin/api/route.h"
#include "admin/api/validate.h"

/* The body that has it all. */
extern const struct api_field table_body[];

/* A UTF-8 text that an answer may hold: not empty, no control characters. */
bool table_is_tellable(const char *text);

/* Every fault says where and what, and there is one unless it is `good`. Frees the findings. */
void table_check_findings(struct api_findings *findings, const char *place, bool good);

#endif
