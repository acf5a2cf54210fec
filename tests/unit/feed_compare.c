/* What is held is compared with the control database after an interruption. */
#include "feed_case.h"

Test(feed_compare, a_failed_question_about_a_change_is_made_up_for)
{
	struct database database;

	database_start(&database, 10);
	put(&database, 0, 1, "acme", NULL, 1);
	expect_version(&database, "acme", 1);
	database.down = true;
	announce(&database, 1);
	database.down = false;
	cr_expect_eq(database.compared, 0);
	directory_feed_pulse(database.directory);
	cr_assert_eq(database.compared, 1, "everything is compared");
	directory_feed_pulse(database.directory);
	cr_expect_eq(database.compared, 1, "once");
	struct directory_comparison *comparison = database.comparison;
	database.comparison = NULL;
	directory_not_compared(comparison);
	directory_feed_pulse(database.directory);
	cr_expect_eq(database.compared, 2);
	database_end(&database);
}

Test(feed_compare, a_comparison_replaces_what_differs_and_asks_no_more)
{
	struct database database;

	database_start(&database, 10);
	put(&database, 0, 1, "acme", NULL, 1);
	put(&database, 1, 2, "globex", NULL, 1);
	put(&database, 2, 3, "initech", NULL, 1);
	expect_version(&database, "acme", 1);
	expect_version(&database, "globex", 1);
	expect_version(&database, "initech", 1);
	directory_feed_ended(database.directory);
	put(&database, 0, 1, "acme", NULL, 2);
	put(&database, 1, 0, "", NULL, 0);
	directory_feed_began(database.directory);
	int asked = database.asked;
	cr_assert_eq(database.compared, 1, "of the kind of which nothing is held nothing is asked");
	directory_differs(database.directory, DIRECTORY_TENANT, "00000000000000000000000000000007",
					  NULL, NULL); /* forgotten meanwhile */
	char gone[40];
	row_key(&(struct row){.id = 2}, gone);
	directory_differs(database.directory, DIRECTORY_TENANT, gone, NULL, NULL);
	answer_comparison(&database, 1);
	cr_expect_eq(database.told, 2);
	cr_expect_eq(database.last.version, 2);
	expect_version(&database, "acme", 2);
	expect_version(&database, "initech", 1);
	cr_expect_eq(database.asked, asked);
	expect_version(&database, "globex", 0);
	database_end(&database);
}

Test(feed_compare, what_is_announced_during_a_comparison_is_asked_for)
{
	struct database database;

	database_start(&database, 10);
	put(&database, 0, 1, "acme", NULL, 1);
	put(&database, 1, 2, "globex", NULL, 1);
	expect_version(&database, "acme", 1);
	expect_version(&database, "globex", 1);
	directory_feed_ended(database.directory);
	directory_feed_began(database.directory);
	database.hold = true;
	put(&database, 0, 1, "acme", NULL, 2);
	announce(&database, 1);
	answer_comparison(&database, 2);
	database.hold = false;
	int asked = database.asked;
	expect_version(&database, "globex", 1);
	cr_expect_eq(database.asked, asked, "the comparison has proved it");
	put(&database, 0, 1, "acme", NULL, 3);
	answer_next(&database);
	expect_version(&database, "acme", 3);
	database_end(&database);
}

/* Principals, since any number of them can be made. */
Test(feed_compare, much_is_compared_in_parts)
{
	enum { HELD = 2 * DIRECTORY_COMPARED_MAX + 1 };
	struct database database;
	int in_parts = 0;

	database_start(&database, 2 * HELD);
	for (int i = 0; i < HELD; i++) {
		char name[16];

		snprintf(name, sizeof name, "p%d", i);
		put_principal(&database, 0, name, 1);
		learn_principal(&database, name);
	}
	directory_feed_ended(database.directory);
	directory_feed_began(database.directory);
	while (database.comparison) {
		struct directory_comparison *comparison = database.comparison;
		int count = 0;

		for (const char *at = database.versions; *at; at++)
			count += *at == '1';
		cr_expect(count > 0 && count <= DIRECTORY_COMPARED_MAX);
		in_parts += count;
		database.comparison = NULL;
		directory_compared(comparison);
	}
	cr_expect_eq(database.compared, 3);
	cr_expect_eq(in_parts, HELD, "each once");
	directory_feed_ended(database.directory);
	directory_feed_began(database.directory);
	struct directory_comparison *comparison = database.comparison;
	database.comparison = NULL;
	directory_feed_ended(database.directory);
	directory_compared(comparison);
	cr_expect_null(database.comparison, "the feed has ended: no more is compared");
	database_end(&database);
}

Test(feed_compare, names_are_quoted_in_a_comparison)
{
	struct database database;
	static const char *const names[] = {
		"plain", "with \"quotes\"", "back\\slash", "{braces}", "a,b",
		"NULL",  " space ",         "\xc3\xa9"};

	database_start(&database, 10);
	for (int i = 0; i < 8; i++) {
		put_principal(&database, i, names[i], i + 1);
		learn_principal(&database, names[i]);
	}
	directory_feed_began(database.directory);
	cr_expect_str_eq(
		database.keys,
		"{ \"plain\",\"with \\\"quotes\\\"\",\"back\\\\slash\",\"{braces}\",\"a,b\","
		"\"NULL\",\" space \",\"\xc3\xa9\"}");
	cr_expect_str_eq(database.versions, "{1,2,3,4,5,6,7,8}");
	directory_changed(database.directory, DIRECTORY_PRINCIPAL, "{braces}");
	put_principal(&database, 3, NULL, 0);
	directory_changed(database.directory, DIRECTORY_PRINCIPAL, "{braces}");
	mailbox_drain(database.watcher);
	cr_expect(database.last.gone && strcmp(database.last.key, "{braces}") == 0);
	database_end(&database);
}
