/*
 * functions.h: the functions that PostgreSQL 15 is born with, and what calling some of them
 * does; private to the reader of SQL.
 *
 * A name is all that a text shows. Whether a schema that is searched before pg_catalog has a
 * function of that name, or of that name and other arguments, only the server knows.
 */
#ifndef POLICY_FUNCTIONS_H
#define POLICY_FUNCTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/statement.h"

/* Does pg_catalog have functions of this name? */
bool function_is_builtin(const char *name);

struct function_trait {
	const char *name;
	uint32_t classes, effects; /* what a call adds to its statement's */
};

/* What is special about a built-in function; NULL when nothing is. */
const struct function_trait *function_trait(const char *name);

#endif
