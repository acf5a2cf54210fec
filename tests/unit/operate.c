/*
 * Operators look at a worker and give it orders: what do its clients see? And which news of the
 * directory's concern a session?
 */
#include "operate_case.h"

#include "proxy/limits.h"
#include "router/permissions.h"

Test(operate, kill_ends_the_sessions_of_a_tenant)
{
	struct desk desk;
	struct app idle, busy, waiting, other;

	begin(&desk, 2);
	app_login(&idle, desk.stage, 1, "app.a");
	app_login(&busy, desk.stage, 2, "app.a");
	app_login(&other, desk.stage, 3, "app.b");
	app_begin(&busy);
	app_begin(&other);
	app_login(&waiting, desk.stage, 4, "app.a");
	app_say(&waiting, "SELECT 1");
	expect(&waiting, "", 'I');

	cr_expect_eq(order(&desk, LIVE_KILL, A), 3);
	expect_killed(&idle);
	expect_killed(&busy);
	expect_killed(&waiting);
	expect(&other, "", 'T');
	app_say(&other, "COMMIT");
	expect(&other, "CZ", 'I');

	struct app again;
	app_login(&again, desk.stage, 5, "app.a");
	app_say(&again, "SELECT 1");
	expect(&again, SERVED, 'I');
	cr_expect_eq(order(&desk, LIVE_KILL, -1), 2, "all");
	expect_killed(&again);
	expect_killed(&other);
	cr_expect_eq(order(&desk, LIVE_KILL, -1), 0);
	struct app *const apps[] = {&idle, &busy, &waiting, &other, &again};
	for (size_t i = 0; i < sizeof apps / sizeof *apps; i++)
		app_close(apps[i]);
	end(&desk);
}

Test(operate, kill_ends_what_is_running)
{
	struct desk desk;
	struct app app;

	begin(&desk, 1);
	app_login(&app, desk.stage, 1, "app.a");
	app_say(&app, "SELECT 1");
	stage_turn(desk.stage); /* it is with the server, which does not answer */
	cr_expect_eq(order(&desk, LIVE_KILL, A), 1);
	app_receive(&app);
	expect_killed(&app);
	app_close(&app);
	end(&desk);
}

Test(operate, pause_lets_transactions_end_and_queues_new_ones)
{
	struct desk desk;
	struct app within, outside, late, other;

	begin(&desk, 3);
	app_login(&within, desk.stage, 1, "app.a");
	app_login(&outside, desk.stage, 2, "app.a");
	app_login(&other, desk.stage, 3, "app.b");
	app_begin(&within);

	order(&desk, LIVE_PAUSE, A);
	app_say(&within, "SELECT 1");
	expect(&within, SERVED, 'T');
	app_say(&outside, "SELECT 1");
	expect(&outside, "", 'I');
	app_say(&within, "COMMIT");
	expect(&within, "CZ", 'I');
	app_say(&within, "SELECT 1");
	expect(&within, "", 'I');
	app_login(&late, desk.stage, 4, "app.a");
	app_say(&late, "BEGIN");
	expect(&late, "CZ", 'T');
	app_say(&late, "SELECT 1");
	expect(&late, "", 'T');
	app_say(&other, "SELECT 1");
	expect(&other, SERVED, 'I');

	order(&desk, LIVE_RESUME, A);
	expect(&outside, SERVED, 'I');
	expect(&within, SERVED, 'I');
	expect(&late, SERVED, 'T');
	struct app *const apps[] = {&within, &outside, &late, &other};
	for (size_t i = 0; i < sizeof apps / sizeof *apps; i++)
		app_close(apps[i]);
	end(&desk);
}

Test(operate, pauses_of_all_and_of_one)
{
	struct desk desk;
	struct app one, other;

	begin(&desk, 2);
	app_login(&one, desk.stage, 1, "app.a");
	app_login(&other, desk.stage, 2, "app.b");
	order(&desk, LIVE_PAUSE, -1);
	app_say(&one, "SELECT 1");
	app_say(&other, "SELECT 1");
	expect(&one, "", 'I');
	expect(&other, "", 'I');
	order(&desk, LIVE_RESUME, -1);
	expect(&one, SERVED, 'I');
	expect(&other, SERVED, 'I');

	/* A tenant's pause outlasts its last client. */
	order(&desk, LIVE_PAUSE, A);
	app_close(&one);
	stage_settle(desk.stage);
	app_login(&one, desk.stage, 3, "app.a");
	app_say(&one, "SELECT 1");
	expect(&one, "", 'I');
	order(&desk, LIVE_RESUME, B);
	expect(&one, "", 'I');
	order(&desk, LIVE_RESUME, A);
	expect(&one, SERVED, 'I');
	app_close(&one);
	app_close(&other);
	end(&desk);
}

Test(operate, reconnect_replaces_idle_backends_now_and_others_when_they_are_free)
{
	struct desk desk;
	struct app busy, idle, other;

	begin(&desk, 3);
	struct stage *stage = desk.stage;
	app_login(&busy, stage, 1, "app.a");
	app_login(&idle, stage, 2, "app.a");
	app_login(&other, stage, 3, "app.b");
	app_begin(&busy);
	app_begin(&other);
	app_say(&idle, "SELECT 1");
	expect(&idle, SERVED, 'I');
	cr_assert_eq(backends(stage), 3);

	cr_expect_eq(order(&desk, LIVE_RECONNECT, A), 2, "not the one of the other tenant");
	stage_settle(stage);
	cr_expect_eq(backends(stage), 2, "the idle one is closed");
	app_say(&busy, "SELECT 1");
	expect(&busy, SERVED, 'T');
	app_say(&busy, "COMMIT");
	expect(&busy, "CZ", 'I');
	stage_settle(stage);
	cr_expect_eq(backends(stage), 1, "the busy one, when it was free");
	app_say(&busy, "SELECT 1");
	app_say(&idle, "SELECT 1");
	expect(&busy, SERVED, 'I');
	expect(&idle, SERVED, 'I');
	app_say(&other, "COMMIT");
	expect(&other, "CZ", 'I');

	size_t all = order(&desk, LIVE_RECONNECT, -1);
	cr_expect_eq(all, (size_t)backends(stage));
	stage_settle(stage);
	cr_expect_eq(backends(stage), 0);
	app_say(&other, "SELECT 1");
	expect(&other, SERVED, 'I');
	app_close(&busy);
	app_close(&idle);
	app_close(&other);
	end(&desk);
}

/* ---- what there is ---- */

static const struct live_session *session_in(const struct live_view *view, const char *slug,
											 enum session_state state)
{
	for (size_t i = 0; i < view->session_count; i++) {
		const struct live_session *session = &view->sessions[i];

		if (session->state == state && session->tenant &&
			strcmp(session->tenant->slug, slug) == 0)
			return session;
	}
	cr_assert_fail("no session of %s is %s", slug, session_state_names[state]);
	return NULL;
}

static void see_work(struct desk *desk, const struct live_view *view)
{
	const struct live_session *idle = session_in(view, "a", SESSION_IDLE);
	const struct live_session *within = session_in(view, "a", SESSION_IDLE_IN_TRANSACTION);
	const struct live_session *waiting = session_in(view, "a", SESSION_WAITING);
	const struct live_session *active = session_in(view, "b", SESSION_ACTIVE);

	cr_expect_eq(view->session_count, 4);
	cr_expect(uuid_equal(&active->tenant->id, &desk->stage->tenants[B]->id));
	cr_expect_str_eq(active->principal->name, "app");
	cr_expect(!idle->backend && !waiting->backend && waiting->waited_us >= 0);
	cr_expect_str_eq(within->pin, "");

	cr_assert_eq(view->backend_count, 2);
	for (size_t i = 0; i < 2; i++) {
		const struct live_backend *backend = &view->backends[i];
		const struct live_session *session = backend->tenant->slug[0] == 'a' ? within : active;

		cr_expect_eq(backend->state, BACKEND_ACTIVE);
		cr_expect_str_eq(backend->cluster, "default");
		cr_expect_eq(backend->pid, session->backend);
		cr_expect_eq(backend->session, session->pid);
		cr_expect(backend->age_us >= 0);
	}
	cr_assert_eq(view->pool_count, 1);
	cr_expect(view->pools[0].sessions == 4 && view->pools[0].waiting == 1 &&
			  view->pools[0].backends == 2 && view->pools[0].opened >= 2);
}

Test(operate, a_look_shows_sessions_backends_and_pools)
{
	struct desk desk;
	struct app idle, within, waiting, active;

	begin(&desk, 2);
	app_login(&idle, desk.stage, 1, "app.a");
	app_login(&within, desk.stage, 2, "app.a");
	app_login(&waiting, desk.stage, 3, "app.a");
	app_login(&active, desk.stage, 4, "app.b");
	app_begin(&within);
	app_say(&active, "SELECT 1");
	expect(&active, SERVED, 'I');
	app_say(&active, "SELECT 1");
	stage_turn(desk.stage); /* the server does not answer */
	app_say(&waiting, "SELECT 1");
	stage_turn(desk.stage);
	look(&desk, see_work);
	expect(&waiting, SERVED, 'I');
	app_close(&idle);
	app_close(&within);
	app_close(&waiting);
	app_close(&active);
	end(&desk);
}

static void see_pin(struct desk *desk, const struct live_view *view)
{
	const struct live_session *session = session_in(view, "a", SESSION_IDLE);

	(void)desk;
	cr_expect_str_eq(session->pin, "pool_mode");
	cr_expect(session->backend && view->backend_count == 1 &&
			  view->backends[0].session == session->pid);
}

Test(operate, a_look_shows_pins)
{
	struct desk desk;
	struct app app;

	begin(&desk, 1);
	desk.stage->conf->pool_mode = POOL_SESSION;
	app_login(&app, desk.stage, 1, "app.a");
	app_say(&app, "SELECT 1");
	expect(&app, SERVED, 'I');
	look(&desk, see_pin);
	app_close(&app);
	end(&desk);
}

/* ---- news ---- */

static void expect_ended(struct app *app, const char *reason)
{
	expect(app, "E", app->status);
	cr_expect(strstr(app->error, "C57P01 ") && strstr(app->error, reason), "%s", app->error);
	cr_expect(app->ended);
}

/* A tenant is suspended and resumed, or made again, before the worker hears of the first; a
 * session that has begun by then has its tenant's last state already. */
static void race(bool by_deletion)
{
	struct desk desk;
	struct app before, between;
	char key[UUID_HEX_SIZE];

	begin(&desk, 1);
	struct stage *stage = desk.stage;
	const struct tenant *tenant = stage->tenants[A];
	uuid_hex(&tenant->id, key);
	app_login(&before, stage, 1, "app.a");
	order(&desk, LIVE_RECONNECT, -1);
	stage_settle(stage);
	event_del(&stage->worker->mailbox_event);
	if (by_deletion) {
		/* The stage knows tenants by their slugs alone: this one is gone, and then there
		 * again.
		 */
		directory_changed(stage->directory, DIRECTORY_TENANT, key);
		stage->tenants[A] = another_state(tenant, TENANT_ACTIVE, 2);
		app_connect(&between, stage, 2, "app.a");
		stage_turn(stage); /* asks */
		mailbox_drain(stage->control);
		app_close(&between);
		app_connect(&between, stage, 3, "app.a");
	} else {
		directory_differs(stage->directory, DIRECTORY_TENANT, key,
						  another_state(tenant, TENANT_SUSPENDED, 2), NULL);
		directory_differs(stage->directory, DIRECTORY_TENANT, key,
						  another_state(tenant, TENANT_ACTIVE, 3), NULL);
		app_connect(&between, stage, 3, "app.a");
	}
	expect(&between, "RKZ", 'I');
	event_add(&stage->worker->mailbox_event, NULL);
	event_active(&stage->worker->mailbox_event, EV_READ, 0);
	expect_ended(&before, "BH-ID-SUSPENDED");
	app_say(&between, "SELECT 1");
	expect(&between, SERVED, 'I');

	directory_differs(stage->directory, DIRECTORY_TENANT, key,
					  another_state(tenant, TENANT_SUSPENDED, 4), NULL);
	expect_ended(&between, "BH-ID-SUSPENDED");
	app_close(&before);
	app_close(&between);
	end(&desk);
	if (by_deletion)
		tenant_unref(tenant);
}

Test(operate, older_news_do_not_end_a_newer_session)
{
	race(false);
}

Test(operate, news_of_a_deletion_do_not_end_a_session_of_the_next_of_that_id)
{
	race(true);
}

/* In the middle of a transaction, with the same backend. */
Test(operate, a_session_has_its_tenants_new_permissions_before_its_next_statement)
{
	struct desk desk;
	struct app app;
	char key[UUID_HEX_SIZE];

	begin(&desk, 1);
	struct stage *stage = desk.stage;
	uuid_hex(&stage->tenants[A]->id, key);
	app_login(&app, stage, 1, "app.a");
	app_say(&app, "BEGIN");
	expect(&app, "CZ", 'T');
	app_say(&app, "SELECT 1");
	expect(&app, SERVED, 'T');

	struct tenant *now = another_state(stage->tenants[A], TENANT_ACTIVE, 2);
	now->permissions.held = PERMISSION_BIT(PERMISSION_READ);
	now->permissions.is_read_only = true;
	cr_assert(permission_names_add(&now->permissions.denied_relations, "orders", 6));
	directory_differs(stage->directory, DIRECTORY_TENANT, key, tenant_ref(now), NULL);
	expect(&app, "", app.status);
	const struct client *client =
		list_first(&stage->worker->limits.tenants->members, struct client, in_tenant);
	cr_assert_not_null(client);
	cr_expect(permissions_equal(&client->tenant->permissions, &now->permissions));
	app_say(&app, "SELECT 1");
	expect(&app, SERVED, 'T');
	cr_expect(!app.ended);

	tenant_unref(now);
	app_close(&app);
	end(&desk);
}
