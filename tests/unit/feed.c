#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "directory_case.h"
#include "router/directory.h"

/*
 * What is announced, and who is told.
 *
 * A control database in small: what it has under which words, and what is asked of it. Answers
 * come when the test lets them, so that changes can happen in between.
 */
#define ROWS_MAX 16

struct row {
	enum directory_kind kind;
	char id; /* the first byte of a tenant's id; 0: the row is not there */
	const char *slug, *key, *principal;
	int64_t version;
	enum tenant_status status;
};

struct database {
	struct directory_source face;
	struct mailbox *mailbox, *watcher;
	struct directory *directory;
	struct row rows[ROWS_MAX];
	struct directory_question *open[ROWS_MAX]; /* with `hold` set */
	enum directory_kind kinds[ROWS_MAX];
	char tokens[ROWS_MAX][80];
	int open_count, asked, told;
	bool hold, down;
	char *keys, *versions; /* of the last comparison */
	int compared;          /* comparisons that were asked for */
	enum directory_kind compared_kind;
	struct directory_comparison *comparison; /* the last one, when it is open */
	struct {
		char key[80];
		bool gone;
		int64_t version;
		uint64_t moment;
	} last;
};

static void row_key(const struct row *row, char key[40])
{
	struct uuid id = {{(uint8_t)row->id}};

	uuid_hex(&id, key);
}

static const struct row *database_find(const struct database *database,
									   enum directory_kind kind, const char *token)
{
	for (int i = 0; i < ROWS_MAX; i++) {
		const struct row *row = &database->rows[i];
		char key[40];

		if (kind != row->kind)
			continue;
		if (kind == DIRECTORY_PRINCIPAL) {
			if (row->principal && strcmp(row->principal, token) == 0)
				return row;
			continue;
		}
		row_key(row, key);
		if (row->id && (strcmp(key, token) == 0 || strcmp(row->slug, token) == 0 ||
						(row->key && strcmp(row->key, token) == 0)))
			return row;
	}
	return NULL;
}

static const struct tenant *tenant_from(const struct row *row)
{
	struct tenant *tenant = tenant_new(row->slug);

	memset(&tenant->id, 0, sizeof tenant->id);
	tenant->id.b[0] = (uint8_t)row->id;
	tenant->path[0] = tenant->id;
	tenant->key = row->key ? strdup(row->key) : NULL;
	tenant->version = row->version;
	tenant->status = row->status;
	return tenant;
}

static const struct principal *principal_from(const struct row *row)
{
	struct principal *principal = principal_new(row->principal);

	principal->version = row->version;
	return principal;
}

static void database_answer(const struct database *database, enum directory_kind kind,
							const char *token, struct directory_question *question)
{
	const struct row *row = database_find(database, kind, token);

	if (database->down)
		directory_resolved(question, DIRECTORY_UNAVAILABLE, NULL, NULL);
	else if (!row)
		directory_resolved(question, DIRECTORY_UNKNOWN, NULL, NULL);
	else if (kind == DIRECTORY_TENANT)
		directory_resolved(question, DIRECTORY_FOUND, tenant_from(row), NULL);
	else
		directory_resolved(question, DIRECTORY_FOUND, NULL, principal_from(row));
}

static void on_find(void *self, enum directory_kind kind, const char *token,
					struct directory_question *question, bool urgent)
{
	struct database *database = self;

	(void)urgent;
	database->asked++;
	if (!database->hold) {
		database_answer(database, kind, token, question);
		return;
	}
	cr_assert_lt(database->open_count, ROWS_MAX);
	database->open[database->open_count] = question;
	database->kinds[database->open_count] = kind;
	snprintf(database->tokens[database->open_count++], sizeof database->tokens[0], "%s", token);
}

/* The oldest open question is answered with what is true now. */
static void answer_next(struct database *database)
{
	struct directory_question *question = database->open[0];
	enum directory_kind kind = database->kinds[0];
	char token[80];

	cr_assert_gt(database->open_count, 0);
	strcpy(token, database->tokens[0]);
	database->open_count--;
	memmove(&database->open[0], &database->open[1],
			sizeof database->open[0] * ROWS_MAX - sizeof database->open[0]);
	memmove(&database->kinds[0], &database->kinds[1],
			sizeof database->kinds[0] * (ROWS_MAX - 1));
	memmove(&database->tokens[0], &database->tokens[1],
			sizeof database->tokens[0] * (ROWS_MAX - 1));
	database_answer(database, kind, token, question);
}

/* It stays open, and another that is still open is not answered. */
static void on_compare(void *self, enum directory_kind kind, const char *keys,
					   const char *versions, struct directory_comparison *comparison)
{
	struct database *database = self;

	if (database->comparison)
		directory_not_compared(database->comparison);
	free(database->keys);
	free(database->versions);
	database->keys = strdup(keys);
	database->versions = strdup(versions);
	database->compared_kind = kind;
	database->comparison = comparison;
	database->compared++;
}

/* The comparison that is open is answered with what is true now of this tenant alone. */
static void answer_comparison(struct database *database, char id)
{
	struct directory_comparison *comparison = database->comparison;
	struct row wanted = {.id = id};
	char key[40];

	row_key(&wanted, key);
	const struct row *row = database_find(database, DIRECTORY_TENANT, key);
	directory_differs(database->directory, DIRECTORY_TENANT, key, row ? tenant_from(row) : NULL,
					  NULL);
	database->comparison = NULL;
	directory_compared(comparison);
	mailbox_drain(database->watcher);
}

static void on_change(void *self, const struct directory_change *change)
{
	struct database *database = self;

	database->told++;
	snprintf(database->last.key, sizeof database->last.key, "%s", change->key);
	database->last.moment = change->moment;
	database->last.gone = !change->tenant && !change->principal;
	database->last.version = change->tenant      ? change->tenant->version
							 : change->principal ? change->principal->version
												 : 0;
}

static void database_start(struct database *database, int cache_size)
{
	memset(database, 0, sizeof *database);
	database->face = (struct directory_source){database, on_find, on_compare};
	database->mailbox = mailbox_create();
	database->watcher = mailbox_create();
	const struct directory_limits limits = {.ttl_ms = 3600000, .cache_size = cache_size};
	database->directory = directory_create(database->mailbox, &database->face, &limits);
	cr_assert(directory_watch(database->directory, database->watcher, on_change, database));
	directory_feed_began(database->directory);
}

static void database_end(struct database *database)
{
	mailbox_drain(database->watcher);
	if (database->comparison)
		directory_not_compared(database->comparison);
	directory_unwatch(database->directory, database->watcher);
	directory_destroy(database->directory);
	mailbox_destroy(database->mailbox);
	mailbox_destroy(database->watcher);
	free(database->keys);
	free(database->versions);
}

static void put(struct database *database, int place, char id, const char *slug,
				const char *key, int64_t version)
{
	database->rows[place] =
		(struct row){DIRECTORY_TENANT, id, slug, key, NULL, version, TENANT_ACTIVE};
}

static void put_principal(struct database *database, int place, const char *name,
						  int64_t version)
{
	database->rows[place] =
		(struct row){.kind = DIRECTORY_PRINCIPAL, .principal = name, .version = version};
}

static void announce(struct database *database, char id)
{
	struct row row = {.id = id};
	char key[40];

	row_key(&row, key);
	directory_changed(database->directory, DIRECTORY_TENANT, key);
	mailbox_drain(database->watcher);
}

/* What a login would get: the tenant, to be let go, or NULL. */
static const struct tenant *get(struct database *database, const char *token)
{
	struct mailbox *mine = mailbox_create();
	struct directory_lookup *pending = NULL;
	const struct tenant *tenant = NULL;
	struct answer answer = {0};

	if (directory_find_tenant(database->directory, token, mine, note, &answer, &tenant,
							  &pending) == DIRECTORY_PENDING) {
		mailbox_drain(database->mailbox);
		mailbox_drain(mine);
		cr_assert_eq(answer.count, 1);
		pending = NULL;
		directory_find_tenant(database->directory, token, mine, note, &answer, &tenant,
							  &pending);
		cr_assert_null(pending);
	}
	mailbox_destroy(mine);
	return tenant;
}

/* Is it found, in this version (0: not found)? */
static void expect_version(struct database *database, const char *token, int64_t version)
{
	const struct tenant *tenant = get(database, token);

	cr_expect_eq(tenant ? tenant->version : 0, version, "%s has version %ld", token,
				 tenant ? (long)tenant->version : 0);
	tenant_unref(tenant);
}

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

Test(feed, a_failed_question_about_a_change_is_made_up_for)
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

Test(feed, a_comparison_replaces_what_differs_and_asks_no_more)
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

Test(feed, what_is_announced_during_a_comparison_is_asked_for)
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
Test(feed, much_is_compared_in_parts)
{
	enum { HELD = 2 * DIRECTORY_COMPARED_MAX + 1 };
	struct database database;
	struct mailbox *mine = mailbox_create();
	int in_parts = 0;

	database_start(&database, 2 * HELD);
	for (int i = 0; i < HELD; i++) {
		struct directory_lookup *pending = NULL;
		const struct principal *principal = NULL;
		struct answer answer = {0};
		char name[16];

		snprintf(name, sizeof name, "p%d", i);
		put_principal(&database, 0, name, 1);
		directory_find_principal(database.directory, name, mine, note, &answer, &principal,
								 &pending);
		mailbox_drain(database.mailbox);
		mailbox_drain(mine);
		cr_assert_eq(answer.result, DIRECTORY_FOUND);
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
	mailbox_destroy(mine);
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

Test(feed, names_are_quoted_in_a_comparison)
{
	struct database database;
	static const char *const names[] = {
		"plain", "with \"quotes\"", "back\\slash", "{braces}", "a,b",
		"NULL",  " space ",         "\xc3\xa9"};
	struct mailbox *mine = mailbox_create();

	database_start(&database, 10);
	for (int i = 0; i < 8; i++) {
		struct directory_lookup *pending = NULL;
		const struct principal *principal = NULL;
		struct answer answer = {0};

		put_principal(&database, i, names[i], i + 1);
		directory_find_principal(database.directory, names[i], mine, note, &answer, &principal,
								 &pending);
		mailbox_drain(database.mailbox);
		mailbox_drain(mine);
		cr_assert_eq(answer.result, DIRECTORY_FOUND);
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
	mailbox_destroy(mine);
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
