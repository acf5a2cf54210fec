/* statement_case.h: what the tests of the reader of SQL share. */
#ifndef TESTS_UNIT_STATEMENT_CASE_H
#define TESTS_UNIT_STATEMENT_CASE_H

#include <criterion/criterion.h>
#include <string.h>

#include "policy/statement.h"

static inline const struct verdict *read_text(const char *text)
{
	const struct verdict *verdict = sql_read(text, strlen(text));

	cr_assert(verdict != NULL);
	return verdict;
}

/* Equal strings, or none on both sides. */
static inline bool is_equal(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

#endif
