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

	replies_init(&replies);
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

	replies_init(&replies);
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

	replies_init(&replies);
	ask(&replies, "PBEQS");
	answer(&replies, "EZ");
	cr_assert(replies_is_empty(&replies));
	replies_fini(&replies);
}

Test(replies, an_open_batch_is_never_settled)
{
	struct replies replies;

	replies_init(&replies);
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

	replies_init(&replies);
	ask(&replies, "PDS");
	answer(&replies, "1tnZ");
	cr_assert(replies_is_empty(&replies));
	replies_fini(&replies);
}

/* libpq sends the Sync with the Execute; the server ignores it in copy-in mode and wants another. */
Test(replies, copy_in_swallows_the_early_sync)
{
	struct replies replies;

	replies_init(&replies);
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

	replies_init(&replies);
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

	replies_init(&replies);
	ask(&replies, "PBES");
	answer(&replies, "12G");
	ask(&replies, "d");
	answer(&replies, "E");
	cr_assert(!replies_is_empty(&replies));
	ask(&replies, "dcS");
	answer(&replies, "Z");
	cr_assert(replies_is_empty(&replies));
	replies_fini(&replies);
}

Test(replies, an_error_of_sync_itself_is_followed_by_its_ready)
{
	struct replies replies;

	replies_init(&replies);
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
		replies_init(&replies);
		cr_assert(!replies_answered(&replies, *wrong[i], &ours), "took '%s' for nothing", wrong[i]);
		replies_fini(&replies);
	}
	replies_init(&replies);
	ask(&replies, "PS");
	cr_assert(!replies_answered(&replies, 'Z', &ours));
	cr_assert(!replies_answered(&replies, '2', &ours));
	replies_fini(&replies);
}

Test(replies, our_own_are_told_apart)
{
	struct replies replies;
	bool ours;

	replies_init(&replies);
	cr_assert(replies_push(&replies, REPLY_PARSE | REPLY_OURS));
	ask(&replies, "BES");
	cr_assert(replies_answered(&replies, '1', &ours));
	cr_assert(ours);
	cr_assert(replies_answered(&replies, '2', &ours));
	cr_assert(!ours);
	replies_fini(&replies);
}

Test(replies, grows_keeps_order_and_has_a_bound)
{
	struct replies replies;

	replies_init(&replies);
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
