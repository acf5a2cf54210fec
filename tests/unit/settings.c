/* Clients' settings: interned by their bytes, changed one by one, replayed byte-exactly. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
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
	expect_change(NULL, a,
				  "RESET \"datestyle\";SET \"datestyle\" = E'ISO';SET \"timezone\" = "
				  "E'UTC';SET \"application_name\" = E'';");
	expect_change(
		a, b,
		"RESET \"datestyle\";CALL bulkhead.set_all(ARRAY[E'search_path', E'TenantA']);"
		"SET \"timezone\" = E'Europe/Paris';SET \"application_name\" = E'psql';");
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

static void expect_value(const struct settings *settings, const char *name, const char *value)
{
	const char *found = settings_get(settings, name);

	if (value)
		cr_assert_str_eq(found ? found : "(none)", value, "%s", name);
	else
		cr_assert_null(found, "%s", name);
}

Test(settings, values_are_found_by_their_whole_name)
{
	struct settings_table *table = settings_table_create();
	struct startup_setting list[] = {
		{"a.b", "timezone"}, {"timezone", "UTC"}, {"application_name", "x"}};
	const struct settings *a = intern(table, list, 3);

	expect_value(a, "timezone", "UTC");
	expect_value(a, "a.b", "timezone");
	expect_value(a, "application_name", "x");
	expect_value(a, "time", NULL);
	expect_value(a, "UTC", NULL);
	expect_value(a, "", NULL);
	settings_unref(a);
	settings_table_destroy(table);
}

Test(settings, one_is_added_replaced_and_removed)
{
	struct settings_table *table = settings_table_create();
	struct startup_setting list[] = {{"timezone", "UTC"}, {"application_name", "x"}};
	struct startup_setting with[] = {
		{"search_path", "\"TENANTA\""}, {"timezone", "UTC"}, {"application_name", "x"}};
	const struct settings *a = intern(table, list, 2), *same = intern(table, with, 3);
	const struct settings *b = settings_with(a, "search_path", "\"TENANTA\"");

	cr_assert_eq(b, same, "it does not matter how a set came to be");
	expect_value(a, "search_path", NULL);
	const struct settings *c = settings_with(b, "search_path", "tenanta");
	cr_assert_neq(b, c, "values are compared byte by byte");
	expect_value(c, "search_path", "tenanta");
	expect_value(c, "timezone", "UTC");
	const struct settings *d = settings_with(c, "search_path", NULL);
	cr_assert_eq(d, a);
	const struct settings *e = settings_with(d, "nowhere", NULL);
	cr_assert_eq(e, a);
	const struct settings *f = settings_with(a, "timezone", "UTC");
	cr_assert_eq(f, a);
	for (size_t i = 0; i < 3; i++)
		settings_unref((const struct settings *[]){d, e, f}[i]);
	settings_unref(a);
	settings_unref(same);
	settings_unref(b);
	settings_unref(c);
	settings_table_destroy(table);
}

/* Any bytes but NUL, of any length, come back as they were. */
Test(settings, values_are_kept_byte_by_byte)
{
	static const char *const values[] = {
		"", " ", "it's", "back\\slash", "\"q\"", "caf\xc3\xa9", "\xff\xfe\x01", "two\nlines\t"};
	char lengthy[10000];
	struct settings_table *table = settings_table_create();
	const struct settings *none = intern(table, NULL, 0);

	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		const struct settings *with = settings_with(none, "app.x", values[i]);

		cr_assert_not_null(with);
		expect_value(with, "app.x", values[i]);
		settings_unref(with);
	}
	memset(lengthy, 'x', sizeof lengthy - 1);
	lengthy[sizeof lengthy - 1] = '\0';
	const struct settings *with = settings_with(none, "app.x", lengthy);
	expect_value(with, "app.x", lengthy);
	settings_unref(with);
	settings_unref(none);
	settings_table_destroy(table);
}

Test(settings, application_name_is_always_there)
{
	struct settings_table *table = settings_table_create();
	struct startup_setting list[] = {{"application_name", "x"}};
	const struct settings *a = intern(table, list, 1), *none = intern(table, NULL, 0);
	const struct settings *b = settings_with(a, "application_name", "y");
	const struct settings *c = settings_with(b, "application_name", NULL);

	cr_assert_str_eq(b->application_name, "y");
	cr_assert_eq(c, none);
	cr_assert_str_eq(c->application_name, "");
	settings_unref(a);
	settings_unref(b);
	settings_unref(c);
	settings_unref(none);
	settings_table_destroy(table);
}

Test(settings, there_is_a_bound)
{
	struct settings_table *table = settings_table_create();
	const struct settings *now = intern(table, NULL, 0), *more;
	size_t count = 0;
	char name[32];

	for (;; count++) {
		snprintf(name, sizeof name, "app.s%zu", count);
		more = settings_with(now, name, "v");
		if (!more)
			break;
		settings_unref(now);
		now = more;
	}
	cr_assert_eq(now->count, SETTINGS_MAX);
	settings_unref(now);

	char *value = malloc(SETTINGS_BYTES_MAX + 1);
	memset(value, 'x', SETTINGS_BYTES_MAX);
	value[SETTINGS_BYTES_MAX] = '\0';
	now = intern(table, NULL, 0);
	more = settings_with(now, "app.big", value);
	if (more) { /* one may be so long, and then no other is added */
		cr_assert_null(settings_with(more, "app.more", "v"));
		settings_unref(more);
	}
	free(value);
	settings_unref(now);
	settings_table_destroy(table);
}
