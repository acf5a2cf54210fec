/* Reasons of the admin API: each is in docs/errors.md with its status and title, and no other
 * is there. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/api/problem.h"

#define DOCUMENT_MAX (1 << 16)

/* Tests run in the project's folder. */
static char *read_documentation(void)
{
	FILE *file = fopen("docs/errors.md", "r");
	char *text = calloc(1, DOCUMENT_MAX);

	cr_assert_not_null(file);
	cr_assert_not_null(text);
	cr_assert_lt(fread(text, 1, DOCUMENT_MAX, file), DOCUMENT_MAX);
	fclose(file);
	return text;
}

static size_t count_rows(const char *text)
{
	size_t count = 0;

	while ((text = strstr(text, " | `BH-API-")) != NULL) {
		count++;
		text++;
	}
	return count;
}

Test(api_problem, all_reasons_are_documented)
{
	char *text = read_documentation();
	size_t count = 0;

	for (const struct api_reason *reason = api_reasons; reason->name; reason++, count++) {
		char row[256];

		snprintf(row, sizeof row, "\n| %d | `%s` | %s.", reason->status, reason->name,
				 reason->title);
		cr_expect_not_null(strstr(text, row), "%s", row);
	}
	cr_expect_eq(count_rows(text), count);
	free(text);
}

Test(api_problem, reasons_differ)
{
	for (const struct api_reason *reason = api_reasons; reason->name; reason++)
		for (const struct api_reason *other = api_reasons; other < reason; other++)
			cr_expect_str_neq(reason->name, other->name);
}
