/* Clients' startup settings: interned by their bytes, replayed byte-exactly, unset means reset.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "proxy/settings.h"

static const struct settings *intern(struct settings_table *table, struct startup_setting *list,
									 size_t count)
{
	const struct settings *settings = settings_intern(table, list, count);

	cr_assert_not_null(settings);
	return settings;
}

static void expect_change(const struct settings *from, const struct settings *to,
						  const char *sql)
{
	struct buf out;

	buf_init(&out);
	cr_assert(settings_append_change(&out, from, to, true));
	cr_assert(buf_append_byte(&out, 0));
	cr_assert_str_eq((const char *)buf_data(&out), sql);
	buf_fini(&out);
}

Test(settings, the_same_in_any_order_is_the_same)
{
	struct settings_table *table = settings_table_create();
	struct startup_setting one[] = {
		{"timezone", "UTC"}, {"application_name", "a"}, {"datestyle", "ISO"}};
	struct startup_setting two[] = {
		{"datestyle", "ISO"}, {"timezone", "UTC"}, {"application_name", "a"}};
	struct startup_setting other[] = {
		{"datestyle", "iso"}, {"timezone", "UTC"}, {"application_name", "a"}};
	const struct settings *a = intern(table, one, 3), *b = intern(table, two, 3),
						  *c = intern(table, other, 3);

	cr_assert_eq(a, b);
	cr_assert_neq(a, c, "values are compared byte by byte");
	cr_assert_str_eq(a->application_name, "a");
	settings_unref(a);
	settings_unref(b);
	settings_unref(c);
	settings_table_destroy(table);
}

/* A name that runs into its value must not look like another pair. */
Test(settings, pairs_do_not_run_together)
{
	struct settings_table *table = settings_table_create();
	struct startup_setting one[] = {{"a", "bc"}};
	struct startup_setting two[] = {{"ab", "c"}};
	const struct settings *a = intern(table, one, 1), *b = intern(table, two, 1);

	cr_assert_neq(a, b);
	settings_unref(a);
	settings_unref(b);
	settings_table_destroy(table);
}

Test(settings, changes)
{
	struct settings_table *table = settings_table_create();
	struct startup_setting one[] = {{"datestyle", "ISO"}, {"timezone", "UTC"}};
	struct startup_setting two[] = {
		{"search_path", "TenantA"}, {"timezone", "Europe/Paris"}, {"application_name", "psql"}};
	const struct settings *none = intern(table, NULL, 0), *a = intern(table, one, 2),
						  *b = intern(table, two, 3);

	expect_change(NULL, none, "SET \"application_name\" = E'';");
	expect_change(
		NULL, a,
		"SET \"datestyle\" = E'ISO';SET \"timezone\" = E'UTC';SET \"application_name\" = E'';");
	expect_change(a, b,
				  "RESET \"datestyle\";SET \"search_path\" = E'tenanta';SET \"timezone\" = "
				  "E'Europe/Paris';"
				  "SET \"application_name\" = E'psql';");
	expect_change(b, none,
				  "RESET \"search_path\";RESET \"timezone\";SET \"application_name\" = E'';");
	expect_change(a, a, "");
	cr_assert(a->is_plain);
	settings_unref(none);
	settings_unref(a);
	settings_unref(b);
	settings_table_destroy(table);
}

Test(settings, application_names)
{
	struct settings_table *table = settings_table_create();
	struct startup_setting clean[] = {{"application_name", "my app"}};
	struct startup_setting accent[] = {{"application_name", "caf\xc3\xa9"}};
	struct startup_setting quote[] = {{"application_name", "it's"}};
	const struct settings *a = intern(table, clean, 1), *b = intern(table, accent, 1),
						  *c = intern(table, quote, 1);

	cr_assert(a->name_is_clean && a->is_plain);
	cr_assert(!b->name_is_clean && !b->is_plain);
	cr_assert(c->name_is_clean && !c->is_plain);
	settings_unref(a);
	settings_unref(b);
	settings_unref(c);
	settings_table_destroy(table);
}
