/* The options that subcommands share. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "cli/options.h"

Test(options, splits_overrides_at_the_first_dot_and_the_first_equals)
{
	struct options options;
	const char *why = NULL;

	options_init(&options);
	cr_assert(options_add_override(&options, "listen:a.tenant=x=y.z", &why));
	cr_assert(options_add_override(&options, "pool.pool_mode=", &why));
	cr_assert_eq(options.override_count, 2);
	cr_expect_str_eq(options.overrides[0].section, "listen:a");
	cr_expect_str_eq(options.overrides[0].key, "tenant");
	cr_expect_str_eq(options.overrides[0].value, "x=y.z");
	cr_expect_str_eq(options.overrides[1].value, "");
	options_fini(&options);
	cr_assert_eq(options.override_count, 0);
}

Test(options, refuses_overrides_of_another_form)
{
	static const char *const wrong[] = {"", "x", "x=y", "x.y", ".y=z", "x.=z", "x=y.z"};
	struct options options;

	options_init(&options);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		const char *why = NULL;

		cr_expect_not(options_add_override(&options, wrong[i], &why), "%s", wrong[i]);
		cr_expect_str_eq(why, "is not SECTION.KEY=VALUE");
	}
	cr_assert_eq(options.override_count, 0);
	options_fini(&options);
}

Test(options, come_from_a_command_line)
{
	static const struct option longs[] = {OPTIONS_LONG, {NULL, 0, NULL, 0}};
	char *argv[] = {"check", "-c", "a.ini", "--set", "log.level=debug", "--config=b.ini", NULL};
	struct options options;
	int option;

	options_init(&options);
	while ((option = getopt_long(6, argv, OPTIONS_SHORT, longs, NULL)) != -1)
		cr_assert(options_take(&options, option, optarg));
	cr_expect_str_eq(options.config, "b.ini");
	cr_assert_eq(options.override_count, 1);
	cr_expect_str_eq(options.overrides[0].key, "level");
	cr_expect_not(options_take(&options, '?', NULL));
	options_fini(&options);
}

Test(options, load_prints_what_is_wrong)
{
	struct options options;
	const char *why = NULL;
	char *text = NULL;
	size_t len;
	FILE *err = open_memstream(&text, &len);

	options_init(&options);
	cr_assert(options_add_override(&options, "log.level=loud", &why));
	cr_assert_null(options_load(&options, err));
	fclose(err);
	cr_expect_not_null(
		strstr(text, "flags: log.level: \"loud\" is not one of error, warning, info, debug\n"));
	free(text);
	options_fini(&options);
}
