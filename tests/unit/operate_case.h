/*
 * operate_case.h: a worker with a PostgreSQL that the test plays (tests/fuzz/stage.h), its
 * applications, and operators who look at it and give it orders through router/live.
 */
#ifndef UNIT_OPERATE_CASE_H
#define UNIT_OPERATE_CASE_H

#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/client.h"
#include "proxy/wire.h"
#include "router/live.h"
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

static inline void app_send(struct app *app, struct buf *out)
{
	cr_assert_eq(send(app->fd, buf_data(out), buf_len(out), MSG_NOSIGNAL),
				 (ssize_t)buf_len(out));
	buf_fini(out);
}

static inline void app_connect(struct app *app, struct stage *stage, unsigned serial,
							   const char *user)
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

static inline void app_close(struct app *app)
{
	close(app->fd);
	buf_fini(&app->in);
}

/* Sends a Query, with the mark by which the server knows whose it is. */
static inline void app_say(struct app *app, const char *sql)
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

static inline void note_error(struct app *app, const uint8_t *body, size_t len)
{
	for (size_t i = 0; i < len && i < sizeof app->error - 1; i++)
		app->error[i] = body[i] ? (char)body[i] : ' ';
}

static inline void app_receive(struct app *app)
{
	uint8_t bytes[8192];
	ssize_t n;

	while ((n = recv(app->fd, bytes, sizeof bytes, 0)) > 0)
		cr_assert(buf_append(&app->in, bytes, (size_t)n));
	app->ended = n == 0;
}

/* Lets everybody go on until nothing moves. What has come since the last time? */
static inline const char *app_hears(struct app *app)
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

static inline void expect(struct app *app, const char *heard, char status)
{
	cr_expect_str_eq(app_hears(app), heard, "it heard %s, not %s: %s", app->heard, heard,
					 app->error);
	cr_expect_eq(app->status, status, "its status is %c, not %c", app->status, status);
}

static inline void app_login(struct app *app, struct stage *stage, unsigned serial,
							 const char *user)
{
	app_connect(app, stage, serial, user);
	expect(app, "RKZ", 'I');
}

/* Begins a transaction, which holds a backend from its first statement on. */
static inline void app_begin(struct app *app)
{
	app_say(app, "BEGIN");
	app_say(app, "SELECT 1");
	expect(app, "CZ" SERVED, 'T');
}

static inline void expect_killed(struct app *app)
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

static inline void begin(struct desk *desk, int pool_size)
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
static inline void end(struct desk *desk)
{
	stage_end(desk->stage);
	mailbox_destroy(desk->mailbox);
}

static inline void note_answer(void *asker, struct live_answer *answer)
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

static inline void wait_for_answer(struct desk *desk)
{
	int before = desk->answers;

	stage_turn(desk->stage); /* and no more: nobody else goes on */
	mailbox_drain(desk->mailbox);
	cr_assert_eq(desk->answers, before + 1);
}

/* Orders with a target of any kind. */
static inline size_t order_at(struct desk *desk, enum live_verb verb,
							  const struct live_target *target)
{
	desk->saw = NULL;
	cr_assert(live_order(desk->stage->live, verb, target, desk->mailbox, note_answer, desk));
	wait_for_answer(desk);
	return desk->concerned;
}

/* Gives an order; `tenant` is a number of the stage's, or -1 for all. How many did it
 * concern?
 */
static inline size_t order(struct desk *desk, enum live_verb verb, int tenant)
{
	struct stage *stage = desk->stage;

	struct live_target target = {.has_tenant = tenant >= 0};

	desk->saw = NULL;
	if (tenant >= 0)
		target.tenant = stage->tenants[tenant]->id;
	cr_assert(live_order(stage->live, verb, &target, desk->mailbox, note_answer, desk));
	wait_for_answer(desk);
	return desk->concerned;
}

static inline void look_for(struct desk *desk, const struct live_filter *filter,
							void (*saw)(struct desk *, const struct live_view *))
{
	desk->saw = saw;
	cr_assert(live_look(desk->stage->live, LIVE_ALL, filter, desk->mailbox, note_answer, desk));
	wait_for_answer(desk);
}

static inline void look(struct desk *desk, void (*saw)(struct desk *, const struct live_view *))
{
	look_for(desk, NULL, saw);
}

/* Connections that the server has open. */
static inline int backends(const struct stage *stage)
{
	int count = 0;

	for (int i = 0; i < STAGE_SERVERS; i++)
		count += stage->servers[i].fd >= 0;
	return count;
}

/* ---- the directory ---- */

static inline struct tenant *another_state(const struct tenant *of, enum tenant_status status,
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

/* Tenants of the stage: the second lives below the first. */
enum { A, B };

#endif
