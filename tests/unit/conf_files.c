/* The committed files that are made from the table of settings are what it makes today. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"

/* Tests run in the project's folder. */
static char *read_whole(const char *path)
{
	FILE *file = fopen(path, "r");
	char *text = calloc(1, 1 << 20);

	cr_assert_not_null(file, "%s is missing", path);
	cr_assert_not_null(text);
	cr_assert_lt(fread(text, 1, 1 << 20, file), 1 << 20);
	fclose(file);
	return text;
}

static void expect_current(const char *path, void (*write)(FILE *), const char *flag)
{
	char *made = NULL, *committed = read_whole(path);
	size_t len;
	FILE *out = open_memstream(&made, &len);

	write(out);
	cr_assert_eq(fclose(out), 0);
	cr_expect(strcmp(made, committed) == 0, "%s is out of date: bulkhead conf %s > %s", path,
			  flag, path);
	free(made);
	free(committed);
}

Test(conf_files, sample)
{
	expect_current("conf/bulkhead.ini", conf_write_sample, "--sample");
}

Test(conf_files, documentation)
{
	expect_current("docs/configuration.md", conf_write_docs, "--docs");
}
