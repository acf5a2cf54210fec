#include <criterion/criterion.h>

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "directory_case.h"
#include "router/directory.h"

/*
 * A source on this thread or on one of its own. What it answers depends on the token: `t…` is a
 * tenant, anything else is unknown; with `down` set nothing can be asked; with `hold` set
 * questions are kept.
 */
struct source {
	struct directory_source face;
	struct mailbox *mailbox;
	struct directory *directory;
	atomic_int asked;
	atomic_bool down, hold, stop;
	struct directory_question *held[16];
	int held_count;
};

static void source_find(void *self, enum directory_kind kind, const char *token,
						struct directory_question *question, bool urgent)
{
	struct source *source = self;

	(void)urgent;
	source->asked++;
	if (source->hold)
		source->held[source->held_count++] = question;
	else if (source->down)
		directory_resolved(question, DIRECTORY_UNAVAILABLE, NULL, NULL);
	else if (token[0] != 't')
		directory_resolved(question, DIRECTORY_UNKNOWN, NULL, NULL);
	else if (kind == DIRECTORY_TENANT)
		directory_resolved(question, DIRECTORY_FOUND, tenant_new(token), NULL);
	else
		directory_resolved(question, DIRECTORY_FOUND, NULL, principal_new(token));
}

static void source_start(struct source *source, int64_t ttl_ms, int cache_size)
{
	memset(source, 0, sizeof *source);
	source->face = (struct directory_source){source, source_find, NULL};
	source->mailbox = mailbox_create();
	const struct directory_limits limits = {.ttl_ms = ttl_ms, .cache_size = cache_size};
	source->directory = directory_create(source->mailbox, &source->face, &limits);
	cr_assert(source->mailbox && source->directory);
}

static void source_end(struct source *source)
{
	directory_destroy(source->directory);
	mailbox_destroy(source->mailbox);
}

/* Asks, and takes an answer that is there at once as if it had come by mail. */
static enum directory_result ask(struct source *source, const char *token,
								 struct mailbox *mailbox, struct answer *answer)
{
	const struct tenant *tenant = NULL;
	struct directory_lookup *pending = NULL;
	enum directory_result result = directory_find_tenant(source->directory, token, mailbox,
														 note, answer, &tenant, &pending);

	cr_assert((result == DIRECTORY_PENDING) == (pending != NULL));
	if (result != DIRECTORY_PENDING)
		note(answer, result, tenant, NULL);
	return result;
}

/* Asks and waits for the source on this thread. */
static enum directory_result ask_and_wait(struct source *source, const char *token)
{
	struct mailbox *mine = mailbox_create();
	struct answer answer = {0};

	if (ask(source, token, mine, &answer) == DIRECTORY_PENDING) {
		mailbox_drain(source->mailbox);
		mailbox_drain(mine);
	}
	cr_assert_eq(answer.count, 1);
	if (answer.result == DIRECTORY_FOUND)
		cr_expect_str_eq(answer.name, token);
	mailbox_destroy(mine);
	return answer.result;
}

Test(directory, known_answers_come_from_the_cache)
{
	struct source source;

	source_start(&source, 60000, 10);
	cr_expect_eq(ask_and_wait(&source, "t1"), DIRECTORY_FOUND);
	cr_expect_eq(ask_and_wait(&source, "t1"), DIRECTORY_FOUND);
	cr_expect_eq(source.asked, 1);
	source_end(&source);
}

Test(directory, tenants_and_principals_are_kept_apart)
{
	struct source source;
	struct mailbox *mine = mailbox_create();
	const struct principal *principal = NULL;
	struct directory_lookup *pending = NULL;
	struct answer answer = {0};

	source_start(&source, 60000, 10);
	cr_expect_eq(ask_and_wait(&source, "t1"), DIRECTORY_FOUND);
	cr_assert_eq(directory_find_principal(source.directory, "t1", mine, note, &answer,
										  &principal, &pending),
				 DIRECTORY_PENDING);
	mailbox_drain(source.mailbox);
	mailbox_drain(mine);
	cr_expect_eq(answer.result, DIRECTORY_FOUND);
	cr_assert_eq(directory_find_principal(source.directory, "t1", mine, note, &answer,
										  &principal, &pending),
				 DIRECTORY_FOUND);
	cr_expect_str_eq(principal->name, "t1");
	principal_unref(principal);
	cr_expect_eq(source.asked, 2);
	mailbox_destroy(mine);
	source_end(&source);
}

Test(directory, old_answers_are_asked_again)
{
	struct source source;

	source_start(&source, 0, 10);
	cr_expect_eq(ask_and_wait(&source, "t1"), DIRECTORY_FOUND);
	cr_expect_eq(ask_and_wait(&source, "t1"), DIRECTORY_FOUND);
	cr_expect_eq(source.asked, 2);
	source_end(&source);
}

Test(directory, unknown_is_believed_for_a_second)
{
	struct source source;

	source_start(&source, 60000, 10);
	cr_expect_eq(ask_and_wait(&source, "x"), DIRECTORY_UNKNOWN);
	cr_expect_eq(ask_and_wait(&source, "x"), DIRECTORY_UNKNOWN);
	cr_expect_eq(source.asked, 1);
	usleep(1050000);
	cr_expect_eq(ask_and_wait(&source, "x"), DIRECTORY_UNKNOWN);
	cr_expect_eq(source.asked, 2);
	source_end(&source);
}

Test(directory, impossible_tokens_are_not_asked)
{
	struct source source;
	char too_long[TENANT_TOKEN_MAX + 2];

	source_start(&source, 60000, 10);
	memset(too_long, 't', sizeof too_long);
	too_long[TENANT_TOKEN_MAX + 1] = '\0';
	cr_expect_eq(ask_and_wait(&source, ""), DIRECTORY_UNKNOWN);
	cr_expect_eq(ask_and_wait(&source, too_long), DIRECTORY_UNKNOWN);
	cr_expect_eq(ask_and_wait(&source, "t\xff"), DIRECTORY_UNKNOWN);
	cr_expect_eq(source.asked, 0);
	source_end(&source);
}

Test(directory, old_answers_serve_while_the_source_is_away)
{
	struct source source;

	source_start(&source, 0, 10);
	cr_expect_eq(ask_and_wait(&source, "t1"), DIRECTORY_FOUND);
	cr_expect_eq(ask_and_wait(&source, "x"), DIRECTORY_UNKNOWN);
	source.down = true;
	cr_expect_eq(ask_and_wait(&source, "t1"), DIRECTORY_FOUND);
	cr_expect_eq(source.asked, 3);
	/* For the next second nobody waits for a source that is away. */
	cr_expect_eq(ask_and_wait(&source, "t1"), DIRECTORY_FOUND);
	cr_expect_eq(source.asked, 3);
	cr_expect_eq(ask_and_wait(&source, "t2"), DIRECTORY_UNAVAILABLE);
	cr_expect_eq(ask_and_wait(&source, "t2"), DIRECTORY_UNAVAILABLE);
	cr_expect_eq(source.asked, 5);
	source_end(&source);
}

Test(directory, a_tenant_that_is_gone_is_not_served_from_an_old_answer)
{
	struct source source;
	struct mailbox *mine = mailbox_create();
	struct answer answer = {0};

	source_start(&source, 0, 10);
	cr_expect_eq(ask_and_wait(&source, "t1"), DIRECTORY_FOUND);
	source.hold = true;
	cr_expect_eq(ask(&source, "t1", mine, &answer), DIRECTORY_PENDING);
	mailbox_drain(source.mailbox);
	directory_resolved(source.held[0], DIRECTORY_UNKNOWN, NULL, NULL);
	mailbox_drain(mine);
	cr_expect_eq(answer.result, DIRECTORY_UNKNOWN);
	source.hold = false;
	source.down = true;
	usleep(1050000);
	cr_expect_eq(ask_and_wait(&source, "t1"), DIRECTORY_UNAVAILABLE);
	mailbox_destroy(mine);
	source_end(&source);
}

Test(directory, many_askers_wait_for_one_question)
{
	struct source source;
	struct mailbox *mine = mailbox_create();
	struct answer answers[5] = {0};

	source_start(&source, 60000, 10);
	source.hold = true;
	for (int i = 0; i < 5; i++) {
		cr_expect_eq(ask(&source, "t1", mine, &answers[i]), DIRECTORY_PENDING);
		mailbox_drain(source.mailbox);
	}
	cr_assert_eq(source.held_count, 1);
	directory_resolved(source.held[0], DIRECTORY_FOUND, tenant_new("t1"), NULL);
	mailbox_drain(mine);
	for (int i = 0; i < 5; i++) {
		cr_expect_eq(answers[i].count, 1);
		cr_expect_str_eq(answers[i].name, "t1");
	}
	mailbox_destroy(mine);
	source_end(&source);
}

Test(directory, an_abandoned_lookup_is_never_answered)
{
	struct source source;
	struct mailbox *mine = mailbox_create();
	struct answer answer = {0};
	const struct tenant *tenant = NULL;
	struct directory_lookup *before = NULL, *after = NULL;

	source_start(&source, 60000, 10);
	source.hold = true;
	directory_find_tenant(source.directory, "t1", mine, note, &answer, &tenant, &before);
	directory_find_tenant(source.directory, "t1", mine, note, &answer, &tenant, &after);
	mailbox_drain(source.mailbox);
	directory_abandon(before);
	directory_resolved(source.held[0], DIRECTORY_FOUND, tenant_new("t1"), NULL);
	/* This one's answer is in the mailbox already. */
	directory_abandon(after);
	mailbox_drain(mine);
	cr_expect_eq(answer.count, 0);
	cr_expect_eq(ask_and_wait(&source, "t1"), DIRECTORY_FOUND);
	cr_expect_eq(source.asked, 1);
	mailbox_destroy(mine);
	source_end(&source);
}

Test(directory, the_least_recently_used_goes_first)
{
	struct source source;

	source_start(&source, 60000, 2);
	ask_and_wait(&source, "t1");
	ask_and_wait(&source, "t2");
	ask_and_wait(&source, "t1");
	ask_and_wait(&source, "t3");
	cr_expect_eq(source.asked, 3);
	ask_and_wait(&source, "t1");
	cr_expect_eq(source.asked, 3, "t1 was used after t2");
	ask_and_wait(&source, "t2");
	cr_expect_eq(source.asked, 4);
	source_end(&source);
}

Test(directory, guessed_names_drive_no_tenant_out)
{
	struct source source;
	char guess[16];

	source_start(&source, 60000, 2);
	ask_and_wait(&source, "t1");
	for (int i = 0; i < 100; i++) {
		snprintf(guess, sizeof guess, "x%d", i);
		cr_expect_eq(ask_and_wait(&source, guess), DIRECTORY_UNKNOWN);
	}
	cr_expect_eq(source.asked, 101);
	ask_and_wait(&source, "t1");
	cr_expect_eq(source.asked, 101);
	source_end(&source);
}

Test(directory, a_reference_outlives_the_directory)
{
	struct source source;
	const struct tenant *tenant = NULL;
	struct directory_lookup *pending = NULL;

	source_start(&source, 60000, 2);
	ask_and_wait(&source, "t1");
	cr_assert_eq(
		directory_find_tenant(source.directory, "t1", NULL, note, NULL, &tenant, &pending),
		DIRECTORY_FOUND);
	source_end(&source);
	cr_expect_str_eq(tenant->slug, "t1");
	tenant_unref(tenant);
}

Test(directory, within_means_on_the_path)
{
	struct tenant tenant = {.depth = 2, .path = {{{1}}, {{2}}}};

	cr_expect(tenant_is_within(&tenant, &(struct uuid){{1}}));
	cr_expect(tenant_is_within(&tenant, &(struct uuid){{2}}));
	cr_expect_not(tenant_is_within(&tenant, &(struct uuid){{3}}));
}

/* ---- races: three askers against a source on its own thread, which goes away at times ---- */

#define ASKERS 3
#define ROUNDS 4000

static void wait_for_mail(struct mailbox *mailbox)
{
	struct pollfd fd = {.fd = mailbox_fd(mailbox), .events = POLLIN};

	poll(&fd, 1, 10);
	mailbox_drain(mailbox);
}

static void *source_run(void *arg)
{
	struct source *source = arg;

	while (!source->stop) {
		wait_for_mail(source->mailbox);
		source->down = source->asked % 7 == 0;
	}
	mailbox_drain(source->mailbox);
	return NULL;
}

/* Asks at random, takes some answers, abandons others. */
static void *asker_run(void *arg)
{
	struct source *source = arg;
	struct mailbox *mine = mailbox_create();
	struct answer answer = {0};
	unsigned seed = (unsigned)(uintptr_t)&answer;
	int expected = 0, abandoned = 0;

	for (int i = 0; i < ROUNDS; i++) {
		struct directory_lookup *pending = NULL;
		const struct tenant *tenant = NULL;
		char token[16];
		snprintf(token, sizeof token, "%c%d", rand_r(&seed) % 4 ? 't' : 'x',
				 rand_r(&seed) % 12);
		enum directory_result result = directory_find_tenant(source->directory, token, mine,
															 note, &answer, &tenant, &pending);

		if (result != DIRECTORY_PENDING) {
			note(&answer, result, tenant, NULL);
			expected++;
		} else if (rand_r(&seed) % 3 == 0) {
			if (rand_r(&seed) % 2)
				sched_yield();
			directory_abandon(pending);
			abandoned++;
		} else {
			expected++;
			if (rand_r(&seed) % 2)
				wait_for_mail(mine);
		}
	}
	for (int64_t start = clock_monotonic_us();
		 answer.count < expected && clock_monotonic_us() - start < 10000000;)
		wait_for_mail(mine);
	cr_assert_eq(answer.count, expected);
	cr_assert_gt(abandoned, 0);
	/* The letters of abandoned lookups may still be on their way. */
	usleep(50000);
	mailbox_drain(mine);
	mailbox_destroy(mine);
	return NULL;
}

Test(directory, threads_ask_and_abandon_at_once)
{
	struct source source;
	pthread_t control, askers[ASKERS];

	source_start(&source, 1, 5);
	cr_assert_eq(pthread_create(&control, NULL, source_run, &source), 0);
	for (int i = 0; i < ASKERS; i++)
		cr_assert_eq(pthread_create(&askers[i], NULL, asker_run, &source), 0);
	for (int i = 0; i < ASKERS; i++)
		pthread_join(askers[i], NULL);
	source.stop = true;
	pthread_join(control, NULL);
	source_end(&source);
}

Test(directory, a_shorter_ttl_holds_for_what_is_remembered)
{
	struct source source;

	source_start(&source, 60000, 10);
	ask_and_wait(&source, "t1");
	directory_limit(source.directory, &(struct directory_limits){60000, 0, 10});
	ask_and_wait(&source, "t1");
	cr_expect_eq(source.asked, 1);
	directory_limit(source.directory, &(struct directory_limits){0, 0, 10});
	ask_and_wait(&source, "t1");
	cr_expect_eq(source.asked, 2);
	source_end(&source);
}

Test(directory, a_smaller_cache_forgets_what_was_used_longest_ago)
{
	struct source source;

	source_start(&source, 60000, 10);
	for (int i = 0; i < 3; i++) {
		ask_and_wait(&source, (const char *[]){"t1", "t2", "t3"}[i]);
		ask_and_wait(&source, (const char *[]){"x1", "x2", "x3"}[i]);
	}
	cr_assert_eq(source.asked, 6);
	directory_limit(source.directory, &(struct directory_limits){60000, 0, 2});
	ask_and_wait(&source, "t2");
	ask_and_wait(&source, "t3");
	ask_and_wait(&source, "x2");
	ask_and_wait(&source, "x3");
	cr_expect_eq(source.asked, 6);
	ask_and_wait(&source, "t1");
	cr_expect_eq(source.asked, 7);
	source_end(&source);
}
