/*
 * A worker with a PostgreSQL that the test plays (tests/fuzz/stage.h), and operators who look
 * at it and give it orders through router/live: what do its clients see? And which news of the
 * directory's concern a session?
 */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/client.h"
#include "proxy/limits.h"
#include "proxy/wire.h"
#include "router/live.h"
#include "router/permissions.h"
#include "tests/fuzz/stage.h"

/* ---- applications ---- */

struct app {
	struct stage *stage;
	int fd;
	unsigned serial;
	size_t tenant;
	struct buf in;
	char heard[64]; /* the types of the messages that came since it was asked last */
	char status;    /* of the last ReadyForQuery */
	char error[256];
	bool ended;
};

static void app_send(struct app *app, struct buf *out)
{
	cr_assert_eq(send(app->fd, buf_data(out), buf_len(out), MSG_NOSIGNAL),
				 (ssize_t)buf_len(out));
	buf_fini(out);
}

static void app_connect(struct app *app, struct stage *stage, unsigned serial, const char *user)
{
	int ends[2];
	struct buf out;
	size_t mark;

	*app = (struct app){.stage = stage, .serial = serial, .tenant = user[4] == 'a' ? 0 : 1};
	buf_init(&app->in);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
	app->fd = ends[0];
	cr_assert_not_null(client_create(stage->worker, &stage->trust, ends[1], true));
	buf_init(&out);
	cr_assert(wire_begin(&out, 0, &mark) && buf_append_u32(&out, WIRE_VERSION_3_0) &&
			  buf_append_cstr(&out, "user") && buf_append_cstr(&out, user) &&
			  buf_append_cstr(&out, "database") && buf_append_cstr(&out, "app") &&
			  buf_append_byte(&out, 0) && wire_end(&out, mark));
	app_send(app, &out);
}

static void app_close(struct app *app)
{
	close(app->fd);
	buf_fini(&app->in);
}

/* Sends a Query, with the mark by which the server knows whose it is. */
static void app_say(struct app *app, const char *sql)
{
	char mark[MARK_MAX], text[MARK_MAX + 64];
	struct buf out;

	mark_client(&app->stage->world, app->serial, app->tenant, mark);
	snprintf(text, sizeof text, "%s /*%s*/", sql, mark);
	if (strcmp(sql, "BEGIN") == 0)
		strcpy(text, sql); /* with a comment it would be an ordinary statement */
	buf_init(&out);
	cr_assert(wire_message(&out, 'Q', text, strlen(text) + 1));
	app_send(app, &out);
}

static void note_error(struct app *app, const uint8_t *body, size_t len)
{
	for (size_t i = 0; i < len && i < sizeof app->error - 1; i++)
		app->error[i] = body[i] ? (char)body[i] : ' ';
}

static void app_receive(struct app *app)
{
	uint8_t bytes[8192];
	ssize_t n;

	while ((n = recv(app->fd, bytes, sizeof bytes, 0)) > 0)
		cr_assert(buf_append(&app->in, bytes, (size_t)n));
	app->ended = n == 0;
}

/* Lets everybody go on until nothing moves. What has come since the last time? */
static const char *app_hears(struct app *app)
{
	size_t count = 0;

	for (int i = 0; i < 6; i++) /* letters between the threads' parts are no bytes that move */
		stage_settle(app->stage);
	app_receive(app);
	while (buf_len(&app->in) >= WIRE_HEADER) {
		const uint8_t *data = buf_data(&app->in);
		size_t total = 1 + wire_u32(data + 1);

		if (buf_len(&app->in) < total)
			break;
		if (data[0] == 'Z')
			app->status = (char)data[WIRE_HEADER];
		if (data[0] == 'E')
			note_error(app, data + WIRE_HEADER, total - WIRE_HEADER);
		if (count < sizeof app->heard - 1 && data[0] != 'S')
			app->heard[count++] = (char)data[0];
		buf_consume(&app->in, total);
	}
	app->heard[count] = '\0';
	return app->heard;
}

#define SERVED "TCZ"

static void expect(struct app *app, const char *heard, char status)
{
	cr_expect_str_eq(app_hears(app), heard, "it heard %s, not %s: %s", app->heard, heard,
					 app->error);
	cr_expect_eq(app->status, status, "its status is %c, not %c", app->status, status);
}

static void app_login(struct app *app, struct stage *stage, unsigned serial, const char *user)
{
	app_connect(app, stage, serial, user);
	expect(app, "RKZ", 'I');
}

/* Begins a transaction, which holds a backend from its first statement on. */
static void app_begin(struct app *app)
{
	app_say(app, "BEGIN");
	app_say(app, "SELECT 1");
	expect(app, "CZ" SERVED, 'T');
}

static void expect_killed(struct app *app)
{
	expect(app, "E", app->status);
	cr_expect(strstr(app->error, "SFATAL ") && strstr(app->error, "C57P01 ") &&
				  strstr(app->error, "reason=BH-NET-KILLED"),
			  "%s", app->error);
	cr_expect(app->ended);
}

/* ---- the operator ---- */

struct desk {
	struct stage *stage;
	struct mailbox *mailbox;
	void (*saw)(struct desk *desk, const struct live_view *view);
	size_t concerned;
	int answers;
};

static void begin(struct desk *desk, int pool_size)
{
	struct stage *stage = stage_get();

	memset(desk, 0, sizeof *desk);
	desk->stage = stage;
	desk->mailbox = mailbox_create();
	cr_assert_not_null(desk->mailbox);
	stage_begin(stage, NULL, 0);
	stage->conf->default_pool_size = pool_size;
}

/* Everything that clients, servers and orders have taken must be given back. */
static void end(struct desk *desk)
{
	stage_end(desk->stage);
	mailbox_destroy(desk->mailbox);
}

static void note_answer(void *asker, struct live_answer *answer)
{
	struct desk *desk = asker;

	cr_assert_not_null(answer);
	desk->answers++;
	desk->concerned = answer->concerned;
	cr_assert_eq(answer->count, 1, "one worker");
	if (desk->saw)
		desk->saw(desk, answer->views[0]);
	live_answer_free(answer);
}

static void wait_for_answer(struct desk *desk)
{
	int before = desk->answers;

	stage_turn(desk->stage); /* and no more: nobody else goes on */
	mailbox_drain(desk->mailbox);
	cr_assert_eq(desk->answers, before + 1);
}

/* Gives an order; `tenant` is a number of the stage's, or -1 for all. How many did it
 * concern?
 */
static size_t order(struct desk *desk, enum live_verb verb, int tenant)
{
	struct stage *stage = desk->stage;

	desk->saw = NULL;
	cr_assert(live_order(stage->live, verb, tenant < 0 ? NULL : &stage->tenants[tenant]->id,
						 desk->mailbox, note_answer, desk));
	wait_for_answer(desk);
	return desk->concerned;
}

static void look(struct desk *desk, void (*saw)(struct desk *, const struct live_view *))
{
	desk->saw = saw;
	cr_assert(live_look(desk->stage->live, LIVE_ALL, desk->mailbox, note_answer, desk));
	wait_for_answer(desk);
}

/* Connections that the server has open. */
static int backends(const struct stage *stage)
{
	int count = 0;

	for (int i = 0; i < STAGE_SERVERS; i++)
		count += stage->servers[i].fd >= 0;
	return count;
}

enum { A, B };

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

static struct tenant *another_state(const struct tenant *of, enum tenant_status status,
									int64_t version)
{
	struct tenant *tenant = malloc(sizeof *tenant);

	cr_assert_not_null(tenant);
	memcpy(tenant, of, sizeof *tenant);
	atomic_init(&tenant->references, 1);
	tenant->slug = strdup(of->slug);
	tenant->key = strdup(of->key);
	tenant->cluster = strdup(of->cluster);
	tenant->seal = strdup(of->seal);
	tenant->status = status;
	tenant->version = version;
	return tenant;
}

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
