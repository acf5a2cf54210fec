/* What hangs on answers: each note comes back once, and says what became of its message. */
#include <criterion/criterion.h>
#include <string.h>

#include "proxy/replies.h"

struct reply_note {
	char name;
};

/* What came back: the fate's first letter and the note's name. */
struct account {
	struct replies replies;
	struct reply_note notes[26];
	char log[256];
	size_t len;
};

static void noted(void *owner, struct reply_note *note, enum reply_fate fate)
{
	struct account *account = owner;

	cr_assert_lt(account->len + 3, sizeof account->log);
	account->log[account->len++] = fate == REPLY_DONE ? '+' : fate == REPLY_SKIPPED ? '-' : '?';
	account->log[account->len++] = note->name;
	account->log[account->len] = '\0';
}

static void begin(struct account *account)
{
	memset(account, 0, sizeof *account);
	for (int i = 0; i < 26; i++)
		account->notes[i].name = (char)('a' + i);
	replies_init(&account->replies, noted, account);
}

/* Messages, each with the note whose name stands behind it, or none for a dot. */
static void ask(struct account *account, const char *types)
{
	for (; *types; types += 2)
		cr_assert(types[1] == '.' ? replies_asked(&account->replies, *types)
								  : replies_asked_note(&account->replies, *types,
													   &account->notes[types[1] - 'a']));
}

static void push(struct account *account, enum reply reply, char name)
{
	cr_assert(replies_push_note(&account->replies, reply, &account->notes[name - 'a']));
}

static void answer(struct account *account, const char *types)
{
	bool ours;

	for (; *types; types++)
		cr_assert(replies_answered(&account->replies, *types, &ours), "refused at '%s'", types);
}

static void expect(struct account *account, const char *log)
{
	cr_assert_str_eq(account->log, log);
	account->len = 0;
	account->log[0] = '\0';
}

Test(notes, each_comes_back_with_its_answer)
{
	struct account account;

	begin(&account);
	ask(&account, "PaB.DbEcS.Qd");
	expect(&account, "");
	answer(&account, "1");
	expect(&account, "+a");
	answer(&account, "2t");
	expect(&account, "");
	answer(&account, "T");
	expect(&account, "+b");
	answer(&account, "DC");
	expect(&account, "+c");
	answer(&account, "ZTDC");
	expect(&account, "");
	cr_assert_eq(replies_next_note(&account.replies), &account.notes[3]);
	answer(&account, "Z");
	expect(&account, "+d");
	replies_fini(&account.replies);
	expect(&account, "");
}

Test(notes, an_error_skips_up_to_the_sync_last_first)
{
	struct account account;

	begin(&account);
	ask(&account, "PaBbEcPdSePfSg");
	answer(&account, "1E");
	expect(&account, "+a-d-c-b");
	answer(&account, "Z");
	expect(&account, "+e");
	answer(&account, "1Z");
	expect(&account, "+f+g");
	replies_fini(&account.replies);
	expect(&account, "");
}

Test(notes, what_is_asked_while_the_server_skips_is_skipped)
{
	struct account account;

	begin(&account);
	ask(&account, "Pa");
	answer(&account, "E");
	expect(&account, "-a");
	cr_assert(account.replies.skipping);
	ask(&account, "PbQcEd");
	expect(&account, "-b-c-d");
	ask(&account, "SePf");
	expect(&account, "");
	answer(&account, "Z1");
	expect(&account, "+e+f");
	replies_fini(&account.replies);
}

/* A Query that fails ends with its ReadyForQuery: whoever looks how far it came sees it. */
Test(notes, of_a_query_that_fails)
{
	struct account account;

	begin(&account);
	ask(&account, "QaPbS.");
	answer(&account, "CE");
	expect(&account, "");
	answer(&account, "Z");
	expect(&account, "+a");
	answer(&account, "1Z");
	expect(&account, "+b");
	replies_fini(&account.replies);
}

Test(notes, at_the_end_all_are_dropped)
{
	struct account account;

	begin(&account);
	ask(&account, "PaBbEcSdQe");
	answer(&account, "1");
	replies_clear(&account.replies);
	expect(&account, "+a?e?d?c?b");
	ask(&account, "Qa");
	replies_fini(&account.replies);
	expect(&account, "?a");
}

/* Where nothing is known any more, nothing is claimed. */
Test(notes, of_an_account_that_is_lost)
{
	struct account account;

	begin(&account);
	ask(&account, "PaBbEc");
	answer(&account, "12G");
	expect(&account, "+a+b");
	ask(&account, "Sd");
	answer(&account, "E");
	cr_assert(account.replies.lost);
	ask(&account, "Pe");
	expect(&account, "?e");
	replies_fini(&account.replies);
	expect(&account, "?d?c");
}

Test(notes, of_a_copy_that_ends)
{
	struct account account;

	begin(&account);
	ask(&account, "PaBbEcS.");
	answer(&account, "12G");
	ask(&account, "d.c.SdQe");
	answer(&account, "CZ");
	expect(&account, "+a+b+c+d");
	answer(&account, "CZ");
	expect(&account, "+e");
	replies_fini(&account.replies);
}

Test(notes, none_is_lost_as_the_ring_grows)
{
	struct account account;

	begin(&account);
	for (int i = 0; i < 5; i++) { /* so that the first is in the middle */
		ask(&account, "P.");
		answer(&account, "1");
	}
	for (char name = 'a'; name <= 'z'; name++)
		cr_assert(replies_asked_note(&account.replies, 'P', &account.notes[name - 'a']));
	for (char name = 'a'; name <= 'z'; name++) {
		const char expected[] = {'+', name, '\0'};

		answer(&account, "1");
		expect(&account, expected);
	}
	replies_fini(&account.replies);
}

/* An error of what Bulkhead alone asked for is not the client's. */
Test(notes, quiet_errors_are_ours)
{
	struct account account;
	bool ours;

	begin(&account);
	push(&account, REPLY_PARSE | REPLY_OURS | REPLY_QUIET, 'a');
	push(&account, REPLY_PARSE | REPLY_OURS | REPLY_QUIET, 'b');
	push(&account, REPLY_SYNC | REPLY_OURS, 'c');
	ask(&account, "Qd");
	cr_assert(replies_answered(&account.replies, 'E', &ours));
	cr_assert(ours);
	expect(&account, "-b-a");
	cr_assert(replies_answered(&account.replies, 'Z', &ours));
	cr_assert(ours, "neither is the ReadyForQuery behind it");
	expect(&account, "+c");
	cr_assert(replies_answered(&account.replies, 'E', &ours));
	cr_assert(!ours, "the client's own error is its own");
	cr_assert(replies_answered(&account.replies, 'Z', &ours));
	cr_assert(!ours);
	expect(&account, "+d");
	cr_assert(replies_is_empty(&account.replies));
	replies_fini(&account.replies);
}

/* A note that cannot be taken stays with whoever gave it. */
Test(notes, a_full_account_takes_none)
{
	struct account account;

	begin(&account);
	for (int i = 0; i < REPLIES_MAX; i++)
		cr_assert(replies_asked(&account.replies, 'Q'));
	cr_assert(!replies_asked_note(&account.replies, 'Q', &account.notes[0]));
	replies_fini(&account.replies);
	expect(&account, "");
}
