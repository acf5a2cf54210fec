/* Every reason is in docs/errors.md, with its SQLSTATE and its message, and no code is there
 * that does not exist. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/reason.h"

#define COUNT_ONE(name, code, sqlstate, message) +1
#define REASON_COUNT                             (0 REASONS(COUNT_ONE))

/* Tests run in the project's folder. */
static char *read_documentation(void)
{
	FILE *file = fopen("docs/errors.md", "r");
	char *text = calloc(1, 1 << 16);

	cr_assert_not_null(file);
	cr_assert_not_null(text);
	cr_assert_lt(fread(text, 1, 1 << 16, file), 1 << 16);
	fclose(file);
	return text;
}

static size_t rows(const char *text)
{
	size_t count = 0;

	while ((text = strstr(text, "\n| `BH-")) != NULL) {
		count++;
		text++;
	}
	return count;
}

Test(reason, all_are_documented)
{
	char *text = read_documentation();

	for (int i = 0; i < REASON_COUNT; i++) {
		enum reason reason = (enum reason)i;
		char row[64];

		snprintf(row, sizeof row, "\n| `%s` | %s | ", reason_code(reason),
				 reason_sqlstate(reason));
		const char *at = strstr(text, row);
		cr_assert_not_null(at, "%s", row);
		const char *message = strstr(at + 1, reason_message(reason));
		cr_expect(message && message < strchr(at + 1, '\n'), "%s", reason_message(reason));
	}
	cr_expect_eq(rows(text), REASON_COUNT);
	free(text);
}

Test(reason, codes_differ)
{
	for (int i = 0; i < REASON_COUNT; i++) {
		for (int j = 0; j < i; j++)
			cr_expect_neq(strcmp(reason_code((enum reason)i), reason_code((enum reason)j)), 0);
	}
}
