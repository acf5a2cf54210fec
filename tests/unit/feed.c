/* What is announced, and who is told. */
#include "feed_case.h"

Test(feed, an_announcement_replaces_what_is_held_and_is_told)
{
	struct database database;

	database_start(&database, 10);
	put(&database, 0, 1, "acme", NULL, 1);
	expect_version(&database, "acme", 1);
	put(&database, 0, 1, "acme", NULL, 2);
	expect_version(&database, "acme", 1);
	announce(&database, 1);
	cr_expect_eq(database.told, 1);
	cr_expect_eq(database.last.version, 2);
	expect_version(&database, "acme", 2);
	cr_expect_eq(database.asked, 2, "only the announcement made it ask again");
	announce(&database, 1);
	cr_expect_eq(database.told, 1, "nothing is new");
	announce(&database, 7);
	cr_expect_eq(database.asked, 3, "nobody holds that one");
	database_end(&database);
}

Test(feed, two_words_for_one_tenant_share_what_is_known)
{
	struct database database;

	database_start(&database, 10);
	put(&database, 0, 1, "acme", "1042", 1);
	const struct tenant *by_slug = get(&database, "acme"), *by_key = get(&database, "1042");
	cr_expect_eq(by_slug, by_key);
	tenant_unref(by_slug);
	tenant_unref(by_key);
	put(&database, 0, 1, "acme", "1042", 2);
	announce(&database, 1);
	cr_expect_eq(database.told, 1);
	expect_version(&database, "acme", 2);
	expect_version(&database, "1042", 2);
	cr_expect_eq(database.asked, 3);
	database_end(&database);
}

Test(feed, an_old_slug_is_asked_for_again)
{
	struct database database;

	database_start(&database, 10);
	put(&database, 0, 1, "old", NULL, 1);
	expect_version(&database, "old", 1);
	put(&database, 0, 1, "new", NULL, 2);
	announce(&database, 1);
	expect_version(&database, "old", 0);
	expect_version(&database, "new", 2);
	database_end(&database);
}

Test(feed, a_word_moves_from_one_tenant_to_another)
{
	struct database database;

	database_start(&database, 10);
	put(&database, 0, 1, "acme", NULL, 1);
	put(&database, 1, 2, "globex", NULL, 1);
	const struct tenant *mine = get(&database, "acme");
	expect_version(&database, "globex", 1);
	put(&database, 0, 1, "former", NULL, 2);
	put(&database, 1, 2, "acme", NULL, 2);
	announce(&database, 2);
	announce(&database, 1);
	const struct tenant *now = get(&database, "acme");
	cr_assert_not_null(now);
	cr_expect_eq(now->id.b[0], 2);
	tenant_unref(now);
	expect_version(&database, "globex", 0);
	expect_version(&database, "former", 2);
	cr_expect_eq(database.told, 2);
	tenant_unref(mine);
	database_end(&database);
}

/* Before its owner's change is announced: the new owner answers, and the old one's sessions
 * still hear of what becomes of it. */
Test(feed, a_word_that_leads_elsewhere_loses_nobody)
{
	struct database database;

	database_start(&database, 10);
	put(&database, 0, 1, "acme", NULL, 1);
	const struct tenant *mine = get(&database, "acme");
	directory_feed_ended(database.directory);
	put(&database, 0, 1, "former", NULL, 2);
	put(&database, 1, 2, "acme", NULL, 1);
	const struct tenant *now = get(&database, "acme");
	cr_expect_eq(now->id.b[0], 2);
	directory_feed_began(database.directory);
	announce(&database, 1);
	cr_expect_eq(database.told, 1);
	cr_expect_eq(database.last.version, 2);
	tenant_unref(now);
	tenant_unref(mine);
	database_end(&database);
}

Test(feed, one_whose_id_is_anothers_key_now_is_gone)
{
	struct database database;
	char key[40];

	database_start(&database, 10);
	put(&database, 0, 1, "acme", NULL, 1);
	row_key(&database.rows[0], key);
	const struct tenant *mine = get(&database, "acme");
	put(&database, 0, 2, "globex", key, 5);
	announce(&database, 1);
	cr_expect(database.last.gone && strcmp(database.last.key, key) == 0);
	expect_version(&database, key, 5);
	tenant_unref(mine);
	database_end(&database);
}

Test(feed, one_that_is_gone_is_told_whatever_version_is_announced)
{
	struct database database;

	database_start(&database, 10);
	put(&database, 0, 1, "acme", "1042", 3);
	expect_version(&database, "acme", 3);
	expect_version(&database, "1042", 3);
	put(&database, 0, 0, "", NULL, 0);
	announce(&database, 1);
	cr_expect(database.told == 1 && database.last.gone);
	expect_version(&database, "acme", 0);
	expect_version(&database, "1042", 0);
	database_end(&database);
}

Test(feed, versions_may_go_backwards_or_stay)
{
	struct database database;

	database_start(&database, 10);
	put(&database, 0, 1, "acme", NULL, 5);
	expect_version(&database, "acme", 5);
	put(&database, 0, 1, "acme", NULL, 1);
	announce(&database, 1);
	expect_version(&database, "acme", 1);
	cr_expect_eq(database.told, 1);
	database.rows[0].status = TENANT_SUSPENDED;
	announce(&database, 1);
	cr_expect_eq(database.told, 2, "it is another, though its version is the same");
	database_end(&database);
}

Test(feed, an_announcement_while_a_question_is_under_way)
{
	struct database database;
	struct mailbox *mine = mailbox_create();
	struct directory_lookup *pending = NULL;
	const struct tenant *tenant = NULL;
	struct answer answer = {0};

	database_start(&database, 10);
	put(&database, 0, 1, "acme", NULL, 1);
	expect_version(&database, "acme", 1);
	database.hold = true;
	announce(&database, 1); /* asks by the id */
	cr_assert_eq(database.open_count, 1);
	cr_expect_eq(directory_find_tenant(database.directory, "acme", mine, note, &answer, &tenant,
									   &pending),
				 DIRECTORY_PENDING, "what has been announced as old is not served");
	mailbox_drain(database.mailbox);
	announce(&database, 1);
	announce(&database, 1);
	cr_expect_eq(database.open_count, 2, "one question for each word at a time");
	answer_next(&database); /* may be from before the last announcement */
	put(&database, 0, 1, "acme", NULL, 2);
	while (database.open_count)
		answer_next(&database);
	mailbox_drain(mine);
	mailbox_drain(database.watcher);
	cr_expect_eq(answer.result, DIRECTORY_FOUND);
	cr_expect_eq(database.last.version, 2);
	database.hold = false;
	expect_version(&database, "acme", 2);
	mailbox_destroy(mine);
	database_end(&database);
}

Test(feed, what_is_in_use_is_not_forgotten)
{
	struct database database;
	char slug[ROWS_MAX][8];

	database_start(&database, 2);
	for (int i = 0; i < ROWS_MAX; i++) {
		snprintf(slug[i], sizeof slug[i], "t%d", i);
		put(&database, i, (char)(i + 1), slug[i], NULL, 1);
	}
	const struct tenant *used[3] = {get(&database, "t0"), get(&database, "t1"),
									get(&database, "t2")};
	for (int i = 3; i < ROWS_MAX; i++)
		expect_version(&database, slug[i], 1);
	for (int i = 0; i < 3; i++) {
		put(&database, i, (char)(i + 1), slug[i], NULL, 2);
		announce(&database, (char)(i + 1));
	}
	cr_expect_eq(database.told, 3, "their sessions would have stayed");
	for (int i = 0; i < 3; i++)
		tenant_unref(used[i]);
	database_end(&database);
}

/* Suspended and resumed at once: a look-up may give the second state before the news of the
 * first have come. */
Test(feed, moments_say_which_state_is_the_later)
{
	struct database database;

	database_start(&database, 10);
	put(&database, 0, 1, "acme", NULL, 1);
	const struct tenant *first = get(&database, "acme");
	char key[40];
	row_key(&database.rows[0], key);
	put(&database, 0, 1, "acme", NULL, 2);
	directory_changed(database.directory, DIRECTORY_TENANT, key);
	put(&database, 0, 1, "acme", NULL, 1); /* the database was restored, say */
	directory_changed(database.directory, DIRECTORY_TENANT, key);
	const struct tenant *third = get(&database, "acme");
	database.rows[0].id = 0;
	directory_changed(database.directory, DIRECTORY_TENANT, key);
	put(&database, 0, 1, "acme", NULL, 1);
	const struct tenant *again = get(&database, "acme");

	cr_expect(first->moment > 0 && first->moment < third->moment &&
			  third->moment < again->moment);
	cr_expect_eq(database.told, 0);
	mailbox_drain(database.watcher);
	cr_expect_eq(database.told, 3);
	cr_expect(database.last.gone);
	cr_expect(database.last.moment > third->moment && database.last.moment < again->moment);
	tenant_unref(first);
	tenant_unref(third);
	tenant_unref(again);
	database_end(&database);
}

Test(feed, a_new_tenant_may_be_any_that_was_asked_for_in_vain)
{
	struct database database;

	database_start(&database, 10);
	expect_version(&database, "late", 0);
	put(&database, 0, 1, "late", NULL, 1);
	expect_version(&database, "late", 0);
	announce(&database, 1);
	expect_version(&database, "late", 1);
	database_end(&database);
}

Test(feed, watchers_come_and_go)
{
	struct database database;
	struct mailbox *second = mailbox_create();

	database_start(&database, 10);
	put(&database, 0, 1, "acme", NULL, 1);
	expect_version(&database, "acme", 1);
	cr_assert(directory_watch(database.directory, second, on_change, &database));
	put(&database, 0, 1, "acme", NULL, 2);
	announce(&database, 1);
	cr_expect_eq(database.told, 1);
	mailbox_drain(second);
	cr_expect_eq(database.told, 2);
	put(&database, 0, 1, "acme", NULL, 3);
	announce(&database, 1);
	directory_unwatch(database.directory, second);
	mailbox_drain(second);
	cr_expect_eq(database.told, 4, "what was on its way arrives");
	put(&database, 0, 1, "acme", NULL, 4);
	announce(&database, 1);
	mailbox_drain(second);
	cr_expect_eq(database.told, 5);
	mailbox_destroy(second);
	database_end(&database);
}
