/* Questions to several workers, one of which may leave before all have answered. */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "router/live.h"

#define WORKERS 3

struct worker {
	struct mailbox *mailbox;
	int turns; /* that a look takes */
	int looks, orders;
	_Atomic int64_t beat_us;
};

struct office {
	struct live *live;
	struct worker workers[WORKERS];
	int answers;
	size_t sessions, concerned;
	uint64_t connections;
};

static bool look(void *self, enum live_scope scope, const struct live_filter *filter,
				 struct live_view **view)
{
	struct worker *worker = self;

	cr_expect(scope == LIVE_ALL && !filter);
	worker->looks++;
	if (!*view) {
		*view = live_view_create(0, 0, 0);
		cr_assert(*view && live_view_reserve(*view, 10));
	}
	(*view)->session_count++;
	return (*view)->session_count == (size_t)worker->turns;
}

static size_t obey(void *self, enum live_verb verb, const struct live_target *target)
{
	struct worker *worker = self;

	cr_expect(verb == LIVE_KILL && target->has_tenant && target->tenant.b[0] == 7);
	worker->orders++;
	return 2;
}

static struct measures *measure(void *self)
{
	struct measures *measures = measures_create(0, 0);

	(void)self;
	cr_assert(measures);
	measures->connections = 3;
	return measures;
}

static void open_office(struct office *office)
{
	memset(office, 0, sizeof *office);
	office->live = live_create();
	for (int i = 0; i < WORKERS; i++) {
		struct worker *worker = &office->workers[i];
		const struct live_ops ops = {worker, look, measure, obey, &worker->beat_us};

		worker->mailbox = mailbox_create();
		worker->turns = i + 1;
		cr_assert(live_join(office->live, worker->mailbox, &ops));
	}
}

static void turn(struct office *office, int times)
{
	while (times--) {
		for (int i = 0; i < WORKERS; i++) {
			if (office->workers[i].mailbox)
				mailbox_drain(office->workers[i].mailbox);
		}
	}
}

/* As a worker ends: it leaves, looks at what has come, and its mailbox is gone. */
static void leave(struct office *office, int which)
{
	struct worker *worker = &office->workers[which];

	live_leave(office->live, worker->mailbox);
	mailbox_drain(worker->mailbox);
	mailbox_destroy(worker->mailbox);
	worker->mailbox = NULL;
}

static void close_office(struct office *office)
{
	for (int i = 0; i < WORKERS; i++) {
		if (office->workers[i].mailbox)
			leave(office, i);
	}
	live_destroy(office->live);
}

static void note(void *asker, struct live_answer *answer)
{
	struct office *office = asker;

	office->answers++;
	office->concerned = answer->concerned;
	for (size_t i = 0; i < answer->count; i++)
		office->sessions += answer->views[i] ? answer->views[i]->session_count : 0;
	live_answer_free(answer);
}

static void add_up(void *asker, struct measures *const all[], size_t count)
{
	struct office *office = asker;

	office->answers++;
	for (size_t i = 0; i < count; i++)
		office->connections += all[i]->connections;
}

static void ask(struct office *office, int asker)
{
	cr_assert(
		live_look(office->live, LIVE_ALL, NULL, office->workers[asker].mailbox, note, office));
}

Test(live, a_look_takes_as_many_turns_as_the_slowest_needs)
{
	struct office office;

	open_office(&office);
	ask(&office, 1);
	turn(&office, WORKERS - 1);
	cr_expect_eq(office.answers, 0);
	turn(&office, 3);
	cr_expect_eq(office.answers, 1);
	cr_expect_eq(office.sessions, 1 + 2 + 3);
	for (int i = 0; i < WORKERS; i++)
		cr_expect_eq(office.workers[i].looks, i + 1);
	close_office(&office);
}

Test(live, an_order_reaches_all_and_is_counted)
{
	struct office office;
	const struct live_target target = {.has_tenant = true, .tenant = {.b = {7}}};

	open_office(&office);
	cr_assert(
		live_order(office.live, LIVE_KILL, &target, office.workers[0].mailbox, note, &office));
	turn(&office, 2);
	cr_expect(office.answers == 1 && office.concerned == 2 * WORKERS);
	close_office(&office);
}

Test(live, measures_of_all_come_together)
{
	struct office office;

	open_office(&office);
	cr_assert(live_measure(office.live, office.workers[0].mailbox, add_up, &office));
	turn(&office, 2);
	cr_expect(office.answers == 1 && office.connections == 3 * WORKERS);
	close_office(&office);
}

/* What it asked comes to nobody, and nobody posts to a mailbox that is gone (ASan looks). */
Test(live, an_asker_may_leave_at_any_time)
{
	for (int turns = 0; turns < 6; turns++) {
		struct office office;

		open_office(&office);
		ask(&office, 0);
		ask(&office, 0);
		cr_assert(live_measure(office.live, office.workers[0].mailbox, add_up, &office));
		turn(&office, turns);
		int before = office.answers;
		leave(&office, 0);
		turn(&office, 6);
		cr_expect_eq(office.answers, before);
		close_office(&office);
	}
}

/* One that is asked answers before it is gone. */
Test(live, a_worker_that_leaves_does_not_hold_up_the_others)
{
	struct office office;

	open_office(&office);
	ask(&office, 1);
	leave(&office, 0);
	turn(&office, 6);
	cr_expect(office.answers == 1 && office.sessions == 1 + 2 + 3);
	ask(&office, 1);
	turn(&office, 6);
	cr_expect(office.answers == 2 && office.sessions == 2 * (1 + 2 + 3) - 1);
	close_office(&office);
}
