/*
 * conf_case.h: what the tests of the settings share. Each test runs in a process and a
 * directory of its own, where the configuration is the file `b.ini`.
 */
#ifndef TESTS_UNIT_CONF_CASE_H
#define TESTS_UNIT_CONF_CASE_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/conf.h"

/* What every complete configuration needs; five lines. */
#define REQUIRED "[cluster:default]\ndatabase = app\n[guard]\nkey_file = k\n[control]\n"
#define DSN      "dsn = host=127.0.0.1 dbname=app\n"

static char case_directory[] = "/tmp/bulkhead-conf-XXXXXX";
static struct conf_errors case_errors;

static void case_enter(void)
{
	cr_assert_not_null(mkdtemp(case_directory));
	cr_assert_eq(chdir(case_directory), 0);
}

static void case_leave(void)
{
	conf_errors_fini(&case_errors);
	unlink("b.ini");
	unlink("password");
	cr_assert_eq(chdir("/"), 0);
	cr_assert_eq(rmdir(case_directory), 0);
}

static inline void case_write(const char *name, const char *content, size_t len, mode_t mode)
{
	FILE *file = fopen(name, "w");

	cr_assert_not_null(file);
	cr_assert_eq(fwrite(content, 1, len, file), len);
	cr_assert_eq(fclose(file), 0);
	cr_assert_eq(chmod(name, mode), 0);
}

/* Loads `text` as b.ini; case_errors holds this load's lines only. */
static inline struct conf *case_load_with(const char *text, size_t len,
										  char *const *environment,
										  const struct conf_override *overrides, size_t count)
{
	conf_errors_fini(&case_errors);
	case_write("b.ini", text, len, 0644);
	return conf_load("b.ini", environment, overrides, count, &case_errors);
}

static inline struct conf *case_load(const char *text)
{
	return case_load_with(text, strlen(text), NULL, NULL, 0);
}

static inline bool case_said(const char *line)
{
	for (size_t i = 0; i < case_errors.count; i++) {
		if (strcmp(case_errors.lines[i], line) == 0)
			return true;
	}
	return false;
}

/* The load must have failed with exactly this line; takes what it gave instead. */
static inline void case_expect(struct conf *conf, const char *line)
{
	bool accepted = conf != NULL;

	conf_destroy(conf);
	cr_expect_not(accepted, "accepted, instead of: %s", line);
	cr_expect_eq(case_errors.count, 1, "%zu errors instead of: %s", case_errors.count, line);
	cr_expect(case_said(line), "\"%s\" instead of \"%s\"",
			  case_errors.count ? case_errors.lines[0] : "", line);
}

#endif
