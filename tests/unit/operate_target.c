/*
 * Orders to one session, to a tenant and all below it, and looks through a filter: whom do they
 * concern, and whom not?
 */
#include "operate_case.h"

static struct live_target at(const struct desk *desk, int within, uint32_t pid)
{
	struct live_target target = {.pid = pid, .has_within = within >= 0};

	if (within >= 0)
		target.within = desk->stage->tenants[within]->id;
	return target;
}

static struct live_target below(const struct desk *desk, int tenant)
{
	return (struct live_target){
		.has_tenant = true, .below = true, .tenant = desk->stage->tenants[tenant]->id};
}

/* The pid of the session that came last. */
static uint32_t last_pid(const struct desk *desk)
{
	return list_entry(desk->stage->worker->clients.prev, struct client, node)->pid;
}

Test(operate_target, one_session_is_killed_and_only_by_whom_it_concerns)
{
	struct desk desk;
	struct app upper, lower;

	begin(&desk, 2);
	app_login(&upper, desk.stage, 1, "app.a");
	uint32_t upper_pid = last_pid(&desk);
	app_login(&lower, desk.stage, 2, "app.b");
	uint32_t lower_pid = last_pid(&desk);

	struct live_target target = at(&desk, B, upper_pid);
	cr_expect_eq(order_at(&desk, LIVE_KILL, &target), 0, "it is not below b");
	target.pid = upper_pid == 1 || lower_pid == 1 ? 2 : 1;
	cr_expect_eq(order_at(&desk, LIVE_KILL, &target), 0, "there is none");
	expect(&upper, "", 'I');
	target = at(&desk, A, lower_pid);
	cr_expect_eq(order_at(&desk, LIVE_KILL, &target), 1);
	expect_killed(&lower);
	cr_expect_eq(order_at(&desk, LIVE_KILL, &target), 0, "it is gone");
	target = at(&desk, -1, upper_pid);
	target.has_tenant = true;
	target.tenant = desk.stage->tenants[B]->id;
	cr_expect_eq(order_at(&desk, LIVE_KILL, &target), 0, "it is another tenant's");
	target.has_tenant = false;
	cr_expect_eq(order_at(&desk, LIVE_KILL, &target), 1);
	expect_killed(&upper);
	app_close(&upper);
	app_close(&lower);
	end(&desk);
}

/* Who has not said for whom it speaks is nobody's but the operator's. */
Test(operate_target, a_login_is_in_nobodys_subtree)
{
	struct desk desk;
	struct app app;

	begin(&desk, 1);
	app_connect(&app, desk.stage, 1, "app.a");
	uint32_t pid = last_pid(&desk);
	struct live_target target = at(&desk, A, pid);
	cr_expect_eq(order_at(&desk, LIVE_KILL, &target), 0);
	expect(&app, "RKZ", 'I');
	cr_expect_eq(order_at(&desk, LIVE_KILL, &target), 1);
	expect_killed(&app);
	app_close(&app);
	end(&desk);
}

Test(operate_target, sessions_below_a_tenant_are_killed_with_it)
{
	struct desk desk;
	struct app upper, lower;

	begin(&desk, 2);
	app_login(&upper, desk.stage, 1, "app.a");
	app_login(&lower, desk.stage, 2, "app.b");
	struct live_target target = below(&desk, B);
	cr_expect_eq(order_at(&desk, LIVE_KILL, &target), 1);
	expect_killed(&lower);
	expect(&upper, "", 'I');
	app_close(&lower);
	app_login(&lower, desk.stage, 3, "app.b");
	target = below(&desk, A);
	cr_expect_eq(order_at(&desk, LIVE_KILL, &target), 2);
	expect_killed(&upper);
	expect_killed(&lower);
	app_close(&upper);
	app_close(&lower);
	end(&desk);
}

Test(operate_target, a_statement_that_waits_is_cancelled_and_the_session_stays)
{
	struct desk desk;
	struct app busy, waiting;

	begin(&desk, 1);
	app_login(&busy, desk.stage, 1, "app.b");
	app_begin(&busy);
	app_login(&waiting, desk.stage, 2, "app.a");
	uint32_t pid = last_pid(&desk);
	struct live_target target = at(&desk, -1, pid);
	cr_expect_eq(order_at(&desk, LIVE_CANCEL, &target), 0, "it has nothing under way");
	app_say(&waiting, "SELECT 1");
	expect(&waiting, "", 'I');
	target = at(&desk, B, pid);
	cr_expect_eq(order_at(&desk, LIVE_CANCEL, &target), 0, "it is not below b");
	target = at(&desk, A, pid);
	cr_expect_eq(order_at(&desk, LIVE_CANCEL, &target), 1);
	expect(&waiting, "EZ", 'I');
	cr_expect(strstr(waiting.error, "C57014 "), "%s", waiting.error);
	app_say(&busy, "COMMIT");
	expect(&busy, "CZ", 'I');
	app_say(&waiting, "SELECT 1");
	expect(&waiting, SERVED, 'I');
	app_close(&busy);
	app_close(&waiting);
	end(&desk);
}

/* ---- pauses of a subtree ---- */

Test(operate_target, a_pause_of_a_subtree_is_for_those_that_come_later_too)
{
	struct desk desk;
	struct app upper, lower;

	begin(&desk, 2);
	app_login(&upper, desk.stage, 1, "app.a");
	app_login(&lower, desk.stage, 2, "app.b");
	struct live_target target = below(&desk, A);
	order_at(&desk, LIVE_PAUSE, &target);
	app_say(&upper, "SELECT 1");
	app_say(&lower, "SELECT 1");
	expect(&upper, "", 'I');
	expect(&lower, "", 'I');
	app_close(&lower);
	stage_settle(desk.stage);
	order(&desk, LIVE_RECONNECT, -1); /* nothing of b is left */
	stage_settle(desk.stage);
	app_connect(&lower, desk.stage, 3, "app.b");
	expect(&lower, "RKZ", 'I');
	app_say(&lower, "SELECT 1");
	expect(&lower, "", 'I');

	order(&desk, LIVE_RESUME, B);
	expect(&lower, "", 'I');
	cr_expect_eq(order(&desk, LIVE_RESUME, A), 2, "it ends for all that it was for");
	expect(&upper, SERVED, 'I');
	expect(&lower, SERVED, 'I');
	app_close(&upper);
	app_close(&lower);
	end(&desk);
}

Test(operate_target, a_pause_of_one_is_not_of_those_below)
{
	struct desk desk;
	struct app upper, lower;

	begin(&desk, 2);
	app_login(&upper, desk.stage, 1, "app.a");
	app_login(&lower, desk.stage, 2, "app.b");
	order(&desk, LIVE_PAUSE, A);
	app_say(&lower, "SELECT 1");
	expect(&lower, SERVED, 'I');

	struct live_target target = below(&desk, A);
	order_at(&desk, LIVE_PAUSE, &target);
	app_say(&lower, "SELECT 1");
	expect(&lower, "", 'I');
	order_at(&desk, LIVE_RESUME, &(struct live_target){.has_tenant = true});
	expect(&lower, "", 'I');
	cr_expect_eq(order(&desk, LIVE_PAUSE, A), 1, "of that one alone again");
	expect(&lower, SERVED, 'I');
	app_say(&upper, "SELECT 1");
	expect(&upper, "", 'I');
	order(&desk, LIVE_RESUME, A);
	expect(&upper, SERVED, 'I');
	app_close(&upper);
	app_close(&lower);
	end(&desk);
}

/* Its queue stands still under one parent, and not under another. */
Test(operate_target, a_tenant_that_is_moved_out_of_a_paused_subtree_goes_on)
{
	struct desk desk;
	struct app lower;
	char key[UUID_HEX_SIZE];

	begin(&desk, 1);
	struct stage *stage = desk.stage;
	app_login(&lower, stage, 1, "app.b");
	struct live_target target = below(&desk, A);
	order_at(&desk, LIVE_PAUSE, &target);
	app_say(&lower, "SELECT 1");
	expect(&lower, "", 'I');

	struct tenant *moved = another_state(stage->tenants[B], TENANT_ACTIVE, 2);
	moved->path[0] = moved->id;
	moved->depth = 1;
	uuid_hex(&moved->id, key);
	directory_differs(stage->directory, DIRECTORY_TENANT, key, moved, NULL);
	stage_settle(stage);
	stage_tick(stage, 0);
	expect(&lower, SERVED, 'I');
	order_at(&desk, LIVE_RESUME, &target);
	app_close(&lower);
	end(&desk);
}

/* ---- filters ---- */

static void see_one_of_two(struct desk *desk, const struct live_view *view)
{
	(void)desk;
	cr_assert_eq(view->session_count, 1);
	cr_expect_str_eq(view->sessions[0].tenant->slug, "b");
	cr_expect_str_eq(view->sessions[0].principal->name, "app");
	cr_expect_str_eq(view->sessions[0].address, "unix");
	cr_assert_eq(view->backend_count, 1, "and the other has a backend too");
	cr_expect_str_eq(view->backends[0].tenant->slug, "b");
	cr_expect(view->fitting[SESSION_IDLE_IN_TRANSACTION] == 1 && !view->fitting[SESSION_IDLE]);
}

static void see_nothing(struct desk *desk, const struct live_view *view)
{
	(void)desk;
	cr_expect(!view->session_count && !view->fitting[SESSION_IDLE_IN_TRANSACTION]);
}

static void see_counts(struct desk *desk, const struct live_view *view)
{
	(void)desk;
	cr_expect(!view->session_count && view->fitting[SESSION_IDLE_IN_TRANSACTION] == 2);
}

Test(operate_target, a_look_shows_what_fits_the_filter)
{
	struct desk desk;
	struct app upper, lower;

	begin(&desk, 2);
	app_login(&upper, desk.stage, 1, "app.a");
	app_login(&lower, desk.stage, 2, "app.b");
	app_begin(&upper);
	app_begin(&lower);
	struct live_filter filter = {.whom = at(&desk, B, 0), .max = 10};
	look_for(&desk, &filter, see_one_of_two);
	filter = (struct live_filter){.whom = below(&desk, B), .max = 10};
	look_for(&desk, &filter, see_one_of_two);
	filter.states = (uint32_t)1 << SESSION_IDLE;
	look_for(&desk, &filter, see_nothing);
	filter = (struct live_filter){.principal = "nobody", .max = 10};
	look_for(&desk, &filter, see_nothing);
	filter = (struct live_filter){.pins = LIVE_PINNED, .max = 10};
	look_for(&desk, &filter, see_nothing);
	filter = (struct live_filter){.max = 0};
	look_for(&desk, &filter, see_counts);
	app_close(&upper);
	app_close(&lower);
	end(&desk);
}

#define MANY 600 /* more than are looked at in one turn */

static void see_a_page(struct desk *desk, const struct live_view *view)
{
	uint32_t before = 0;

	cr_assert_eq(view->session_count, 50);
	cr_expect_eq(view->fitting[SESSION_IDLE], MANY);
	for (size_t i = 0; i < 50; i++) {
		cr_expect(view->sessions[i].pid > before);
		before = view->sessions[i].pid;
	}
	size_t lower = 0;
	list_each (node, next, &desk->stage->worker->clients)
		lower += list_entry(node, struct client, node)->pid <= before;
	cr_expect_eq(lower, 50, "no other has a lower pid");
}

Test(operate_target, a_page_has_the_lowest_pids_of_all)
{
	struct desk desk;
	static struct app apps[MANY];

	begin(&desk, 1);
	desk.stage->conf->max_client_conn = desk.stage->conf->max_login_conn = 2 * MANY;
	for (unsigned i = 0; i < MANY; i++) {
		app_connect(&apps[i], desk.stage, 1, "app.a");
		if (i % 50 == 49)
			app_hears(&apps[i]);
	}
	app_hears(&apps[0]);
	const struct live_filter filter = {.max = 50};
	desk.saw = see_a_page;
	cr_assert(live_look(desk.stage->live, LIVE_ALL, &filter, desk.mailbox, note_answer, &desk));
	while (!desk.answers) {
		stage_turn(desk.stage);
		mailbox_drain(desk.mailbox);
	}
	for (unsigned i = 0; i < MANY; i++)
		app_close(&apps[i]);
	end(&desk);
}
