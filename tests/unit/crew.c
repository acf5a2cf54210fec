/* Places that workers share: one that is given back while another worker begins to wait is not
 * lost. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "proxy/crew.h"
#include "proxy/worker.h"

#define ROUNDS 200000
#define GIVER  0
#define WAITER 1

/* One place, which is the giver's at the beginning of each round. */
struct stage {
	struct crew *crew;
	struct common *common;
	struct worker *workers[2];
	atomic_int round, given;
};

static void stage_begin(struct stage *stage)
{
	stage->crew = crew_create(2);
	cr_assert(stage->crew);
	stage->common = crew_hold(stage->crew, COMMON_PART, "place", 5);
	cr_assert(stage->common);
	for (int i = 0; i < 2; i++) {
		stage->workers[i] = calloc(1, sizeof *stage->workers[i]);
		stage->workers[i]->mailbox = mailbox_create();
		stage->workers[i]->stopping = true; /* letters are taken and nothing comes of them */
		crew_join(stage->crew, stage->workers[i]);
	}
}

static void stage_end(struct stage *stage)
{
	for (int i = 0; i < 2; i++) {
		crew_leave(stage->crew, stage->workers[i]);
		mailbox_destroy(stage->workers[i]->mailbox);
		free(stage->workers[i]);
	}
	crew_drop(stage->crew, COMMON_PART, stage->common);
	crew_destroy(stage->crew);
}

/* The two begin within some nanoseconds of each other, now the one first and now the other. */
static void dawdle(int turns)
{
	for (volatile int i = 0; i < turns; i++)
		continue;
}

static void await(atomic_int *number, int value)
{
	for (int spins = 0; atomic_load(number) < value; spins++) {
		if (spins > 1000)
			sched_yield();
	}
}

static void *give_all(void *argument)
{
	struct stage *stage = argument;

	for (int round = 1; round <= ROUNDS; round++) {
		await(&stage->round, round);
		dawdle(round % 61);
		common_give(stage->crew, stage->common, GIVER, 1);
		atomic_store(&stage->given, round);
	}
	return NULL;
}

/* Has the waiter the place, or been told to look for it? */
static bool is_served(struct stage *stage, bool took)
{
	struct crew_member *member = &stage->crew->members[WAITER];
	bool granted = common_take_grant(stage->crew, stage->common, WAITER);
	bool woken = atomic_load(&member->woken);

	mailbox_drain(member->worker->mailbox);
	cr_assert(!(took && granted), "one place, given twice");
	return took || granted || woken;
}

Test(crew, a_place_given_back_is_not_lost)
{
	struct stage stage = {0};
	pthread_t giver;
	int lost = 0;

	stage_begin(&stage);
	cr_assert_eq(pthread_create(&giver, NULL, give_all, &stage), 0);
	for (int round = 1; round <= ROUNDS; round++) {
		atomic_store(&stage.common->used, 1);
		atomic_store(&stage.common->waiting, 0);
		atomic_store(&stage.round, round);
		dawdle(round % 53);
		common_wait(stage.crew, stage.common, WAITER);
		bool took = places_take(&stage.common->used, 1);
		await(&stage.given, round);
		lost += !is_served(&stage, took);
	}
	pthread_join(giver, NULL);
	stage_end(&stage);
	cr_assert_eq(lost, 0, "%d of %d", lost, ROUNDS);
}

/* A reload has lowered the limit: who gives a place back gives it to nobody until there is one.
 */
Test(crew, a_place_too_many_is_passed_on_to_nobody)
{
	struct stage stage = {0};

	stage_begin(&stage);
	atomic_store(&stage.common->used, 3);
	common_wait(stage.crew, stage.common, WAITER);
	common_give(stage.crew, stage.common, GIVER, 1);
	cr_assert(!common_take_grant(stage.crew, stage.common, WAITER));
	common_give(stage.crew, stage.common, GIVER, 1);
	cr_assert(!common_take_grant(stage.crew, stage.common, WAITER));
	cr_assert_eq(atomic_load(&stage.common->used), 1);
	common_give(stage.crew, stage.common, GIVER, 1);
	cr_assert(common_take_grant(stage.crew, stage.common, WAITER));
	cr_assert_eq(atomic_load(&stage.common->used), 1);
	mailbox_drain(stage.workers[WAITER]->mailbox);
	stage_end(&stage);
}
