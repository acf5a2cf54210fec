/* What a backend still owes: pipelines, errors in the middle, COPY, and disagreement. */
#include <criterion/criterion.h>

#include "proxy/replies.h"

static void ask(struct replies *replies, const char *types)
{
	for (; *types; types++)
		cr_assert(replies_asked(replies, *types));
}

static void answer(struct replies *replies, const char *types)
{
	bool ours;

	for (; *types; types++)
		cr_assert(replies_answered(replies, *types, &ours), "refused at '%s'", types);
}

Test(replies, simple_query)
{
	struct replies replies;

	replies_init(&replies, NULL, NULL);
	cr_assert(replies_is_empty(&replies));
	ask(&replies, "Q");
	cr_assert(!replies_is_empty(&replies));
	answer(&replies, "TDDCTDC");
	cr_assert(!replies_is_empty(&replies));
	answer(&replies, "Z");
	cr_assert(replies_is_empty(&replies));
	replies_fini(&replies);
}

Test(replies, extended_batches_in_flight_with_an_error_between)
{
	struct replies replies;

	replies_init(&replies, NULL, NULL);
	ask(&replies, "PBDESPBESBES");
	answer(&replies, "12TDCZ");
	answer(&replies, "1E"); /* the second batch fails at its Bind */
	answer(&replies, "Z");
	cr_assert(!replies_is_empty(&replies));
	answer(&replies, "2CZ");
	cr_assert(replies_is_empty(&replies));
	replies_fini(&replies);
}

Test(replies, an_error_skips_a_query_before_the_sync)
{
	struct replies replies;

	replies_init(&replies, NULL, NULL);
	ask(&replies, "PBEQS");
	answer(&replies, "EZ");
	cr_assert(replies_is_empty(&replies));
	replies_fini(&replies);
}

Test(replies, an_open_batch_is_never_settled)
{
	struct replies replies;

	replies_init(&replies, NULL, NULL);
	ask(&replies, "PDH");
	answer(&replies, "1tT");
	cr_assert(!replies_is_empty(&replies));
	ask(&replies, "S");
	answer(&replies, "Z");
	cr_assert(replies_is_empty(&replies));
	replies_fini(&replies);
}

Test(replies, statement_describe_has_two_answers)
{
	struct replies replies;

	replies_init(&replies, NULL, NULL);
	ask(&replies, "PDS");
	answer(&replies, "1tnZ");
	cr_assert(replies_is_empty(&replies));
	replies_fini(&replies);
}

/* libpq sends the Sync with the Execute; the server ignores it in copy-in mode and wants
 * another. */
Test(replies, copy_in_swallows_the_early_sync)
{
	struct replies replies;

	replies_init(&replies, NULL, NULL);
	ask(&replies, "PBES");
	answer(&replies, "12G");
	ask(&replies, "ddcS");
	answer(&replies, "CZ");
	cr_assert(replies_is_empty(&replies));
	replies_fini(&replies);
}

Test(replies, copy_in_all_sent_at_once)
{
	struct replies replies;

	replies_init(&replies, NULL, NULL);
	ask(&replies, "PBESdcS");
	answer(&replies, "12GC");
	cr_assert(!replies_is_empty(&replies));
	answer(&replies, "Z");
	cr_assert(replies_is_empty(&replies));
	replies_fini(&replies);
}

Test(replies, copy_in_that_fails_waits_for_the_next_sync)
{
	struct replies replies;

	replies_init(&replies, NULL, NULL);
	ask(&replies, "PBE");
	answer(&replies, "12G");
	ask(&replies, "d");
	answer(&replies, "E");
	cr_assert(!replies_is_empty(&replies));
	ask(&replies, "dcS");
	answer(&replies, "Z");
	cr_assert(replies_is_empty(&replies));
	replies_fini(&replies);
}

/* A Sync in front of the data of a COPY that fails is ignored or answered: nobody can say
 * which. */
Test(replies, a_sync_inside_a_copy_that_fails_makes_the_account_worthless)
{
	static const char *const sent[][2] = {
		{"PBES", "dcS"}, {"PBE", "dScQS"}, {"PBE", "ScQS"}, {"Q", "dSc"}, {"Q", "Pc"}};
	struct replies replies;

	for (size_t i = 0; i < sizeof sent / sizeof *sent; i++) {
		bool extended = sent[i][0][0] == 'P';

		replies_init(&replies, NULL, NULL);
		ask(&replies, sent[i][0]);
		answer(&replies, extended ? "12G" : "G");
		ask(&replies, sent[i][1]);
		answer(&replies, "EZZZZZ");
		cr_expect(!replies_is_empty(&replies), "%s %s", sent[i][0], sent[i][1]);
		ask(&replies, "QS");
		answer(&replies, "CZZ1");
		cr_expect(!replies_is_empty(&replies));
		replies_fini(&replies);
	}
}

/* The end of the data stands behind Execute, the Syncs behind that count. */
Test(replies, a_copy_sent_at_once_keeps_the_syncs_behind_it)
{
	struct replies replies;

	replies_init(&replies, NULL, NULL);
	ask(&replies, "PBEdcSSQQ");
	answer(&replies, "12GCZ");
	cr_assert(!replies_is_empty(&replies));
	answer(&replies, "ZCZ");
	cr_assert(!replies_is_empty(&replies), "the last Query is still owed");
	answer(&replies, "CZ");
	cr_assert(replies_is_empty(&replies));
	replies_fini(&replies);
}

Test(replies, a_copy_that_nobody_ended_cannot_end_well)
{
	struct replies replies;
	bool ours;

	replies_init(&replies, NULL, NULL);
	ask(&replies, "Q");
	answer(&replies, "G");
	cr_assert(!replies_answered(&replies, 'C', &ours));
	replies_fini(&replies);
	replies_init(&replies, NULL, NULL);
	ask(&replies, "PBESQc");
	answer(&replies, "12G");
	cr_assert(!replies_answered(&replies, 'C', &ours), "a Query fails a COPY");
	replies_fini(&replies);
}

Test(replies, two_copies_in_one_query)
{
	struct replies replies;

	replies_init(&replies, NULL, NULL);
	ask(&replies, "QdcdcQ");
	answer(&replies, "GCGCZ");
	cr_assert(!replies_is_empty(&replies));
	answer(&replies, "CZ");
	cr_assert(replies_is_empty(&replies));
	replies_fini(&replies);
}

/* Behind an error the server ignores what comes until the Sync, also what is sent after the
 * error was seen. */
Test(replies, after_an_error_nothing_counts_until_the_sync)
{
	struct replies replies;

	replies_init(&replies, NULL, NULL);
	ask(&replies, "PH");
	answer(&replies, "E");
	ask(&replies, "BEQdc");
	cr_assert(!replies_is_empty(&replies));
	ask(&replies, "SQ");
	answer(&replies, "ZCZ");
	cr_assert(replies_is_empty(&replies));
	replies_fini(&replies);
}

Test(replies, an_error_of_sync_itself_is_followed_by_its_ready)
{
	struct replies replies;

	replies_init(&replies, NULL, NULL);
	ask(&replies, "PBES");
	answer(&replies, "12CEZ"); /* a deferred constraint fails at the commit */
	cr_assert(replies_is_empty(&replies));
	replies_fini(&replies);
}

Test(replies, disagreement_is_noticed)
{
	static const char *const wrong[] = {"1", "2", "3", "C", "Z", "V", "W", "t", "d", "?"};
	struct replies replies;
	bool ours;

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		replies_init(&replies, NULL, NULL);
		cr_assert(!replies_answered(&replies, *wrong[i], &ours), "took '%s' for nothing",
				  wrong[i]);
		replies_fini(&replies);
	}
	replies_init(&replies, NULL, NULL);
	ask(&replies, "PS");
	cr_assert(!replies_answered(&replies, 'Z', &ours));
	cr_assert(!replies_answered(&replies, '2', &ours));
	replies_fini(&replies);
}

Test(replies, our_own_are_told_apart)
{
	struct replies replies;
	bool ours;

	replies_init(&replies, NULL, NULL);
	cr_assert(replies_push(&replies, REPLY_PARSE | REPLY_OURS));
	ask(&replies, "BES");
	cr_assert(replies_answered(&replies, '1', &ours));
	cr_assert(ours);
	cr_assert(replies_answered(&replies, '2', &ours));
	cr_assert(!ours);
	replies_fini(&replies);

	replies_init(&replies, NULL, NULL);
	cr_assert(replies_push(&replies, REPLY_PARSE | REPLY_OURS));
	ask(&replies, "BES");
	cr_assert(replies_answered(&replies, 'E', &ours));
	cr_assert(!ours, "the error is the client's, whatever failed");
	replies_fini(&replies);
}

Test(replies, grows_keeps_order_and_has_a_bound)
{
	struct replies replies;

	replies_init(&replies, NULL, NULL);
	for (int i = 0; i < 100; i++) {
		ask(&replies, "PBES");
		if (i % 3 == 0)
			answer(&replies, "12CZ");
	}
	while (!replies_is_empty(&replies))
		answer(&replies, "12CZ");
	for (int i = 0; i < REPLIES_MAX; i++)
		cr_assert(replies_asked(&replies, 'Q'));
	cr_assert(!replies_asked(&replies, 'Q'));
	replies_fini(&replies);
}
