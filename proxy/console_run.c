/*
 * Commands of the console, carried out.
 *
 * Each asks or orders all workers by router/live, this one among them, and goes on when all
 * have answered. Rows are made some at a time, and no more as long as the client has not taken
 * those before.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "conf/conf.h"
#include "proxy/client.h"
#include "proxy/console_internal.h"
#include "proxy/wire.h"
#include "proxy/worker.h"
#include "router/directory.h"

#define ROWS_AT_ONCE  200   /* in one turn of the loop */
#define BYTES_AT_ONCE 65536 /* the same */

/* ---- the end of a command ---- */

/* The tag, with a number behind it where one was given. */
static void complete(struct console *console, const char *tag, bool counted, size_t count)
{
	char text[64];

	snprintf(text, sizeof text, counted ? "%s %zu" : "%s", tag, count);
	console->phase = CONSOLE_READY;
	console_say(console, wire_command_complete(&console->client->reply, text));
}

/* As complete, of a command that was not over when console_run returned. */
static void complete_late(struct console *console, bool counted, size_t count)
{
	complete(console, console->tag, counted, count);
	console_done(console);
}

static void fail_late(struct console *console, enum reason reason)
{
	console_fail(console, reason, NULL);
	console_done(console);
}

/* ---- questions ---- */

static void question_free(struct console_question *question)
{
	if (question)
		list_remove(&question->node);
	free(question);
}

void console_questions_free(struct worker *worker)
{
	list_each (node, next, &worker->questions)
		question_free(list_entry(node, struct console_question, node));
}

/* The question has come back; NULL when nobody waits for it any more. */
static struct console *take_question(void *asker)
{
	struct console_question *question = asker;
	struct console *console = question->client ? question->client->console : NULL;

	question_free(question);
	if (console)
		console->question = NULL;
	return console;
}

static void forget_question(struct console *console)
{
	if (console->question)
		console->question->client = NULL;
	console->question = NULL;
}

static struct console_question *begin_question(struct console *console)
{
	struct console_question *question = malloc(sizeof *question);

	if (question) {
		question->client = console->client;
		list_append(&console->client->worker->questions, &question->node);
	}
	console->question = question;
	return question;
}

/* Asks all workers; false, with nothing asked, when memory is out. */
static bool look(struct console *console, enum live_scope scope, live_answered answered)
{
	struct worker *worker = console->client->worker;
	struct console_question *question = begin_question(console);

	if (question && live_look(worker->live, scope, NULL, worker->mailbox, answered, question))
		return true;
	console->question = NULL;
	question_free(question);
	return false;
}

static bool order(struct console *console, enum live_verb verb, live_answered answered)
{
	struct worker *worker = console->client->worker;
	struct console_question *question = begin_question(console);
	const struct live_target target = {.has_tenant = !console->of_all,
									   .tenant = console->tenant};

	if (question &&
		live_order(worker->live, verb, &target, worker->mailbox, answered, question))
		return true;
	console->question = NULL;
	question_free(question);
	return false;
}

/* ---- rows ---- */

/* Sends what was made; true when the client has taken it all. */
static bool flush(struct console *console)
{
	struct client *client = console->client;

	client_send_buf(client, &client->reply);
	return client->state == CLIENT_CONSOLE && !stream_is_full(&client->stream);
}

static enum console_step make_rows(struct console *console)
{
	struct buf *out = &console->client->reply;
	enum console_step step = CONSOLE_ROW;

	for (int i = 0; i < ROWS_AT_ONCE && step == CONSOLE_ROW; i++) {
		if (buf_len(out) >= BYTES_AT_ONCE ||
			(console->limit && console->sent == console->limit))
			break;
		step = console_rows_next(&console->rows, out);
		console->sent += step == CONSOLE_ROW;
	}
	return step;
}

/* As many as were asked for have gone out: the rest stays for another Execute. */
static void suspend(struct console *console)
{
	console->suspended = true;
	console->phase = CONSOLE_READY;
	console_say(console, wire_message(&console->client->reply, 's', "", 0));
	console_done(console);
}

static void end_rows(struct console *console)
{
	console_rows_fini(&console->rows);
	complete_late(console, false, 0);
}

static void next_turn(struct console *console)
{
	event_active(&console->turn, EV_TIMEOUT, 0);
}

static void send_rows(struct console *console)
{
	console->rows.conf = console->client->worker->conf;
	console->rows.addresses = console->client->worker->addresses;
	switch (make_rows(console)) {
	case CONSOLE_THE_END:
		end_rows(console);
		return;
	case CONSOLE_FAILED:
		console_rows_fini(&console->rows);
		fail_late(console, REASON_MEMORY);
		return;
	case CONSOLE_LATER:
	case CONSOLE_ROW:
		break;
	}
	if (console->limit && console->sent == console->limit)
		suspend(console);
	else if (flush(console))
		next_turn(console); /* else when it has drained */
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct console *console = arg;

	(void)fd, (void)what;
	if (console->phase == CONSOLE_SENDING)
		send_rows(console);
}

void console_init_turn(struct console *console)
{
	event_assign(&console->turn, console->client->worker->base, -1, 0, on_turn, console);
}

void console_run_on(struct console *console, uint64_t limit)
{
	console->phase = CONSOLE_SENDING;
	console->suspended = false;
	console->sent = 0;
	console->limit = limit;
	next_turn(console);
}

void console_drained(struct client *client)
{
	if (client->console->phase == CONSOLE_SENDING)
		next_turn(client->console);
}

static void begin_rows(struct console *console, struct live_answer *answer)
{
	console_rows_begin(&console->rows, console->rows.table, &console->rows.formats, answer,
					   console->client->worker->conf);
	console_run_on(console, console->limit);
}

static void on_looked(void *asker, struct live_answer *answer)
{
	struct console *console = take_question(asker);

	if (console)
		begin_rows(console, answer);
	else
		live_answer_free(answer);
}

static void show(struct console *console, const struct console_command *command,
				 const struct console_formats *formats)
{
	const struct console_table *table = console_table_of(command->show);
	bool asks;
	enum live_scope scope = console_table_scope(table, &asks);

	console->rows.table = table;
	console->rows.formats = *formats;
	console->phase = CONSOLE_ASKING;
	if (!asks)
		begin_rows(console, NULL);
	else if (!look(console, scope, on_looked))
		console_fail(console, REASON_MEMORY, NULL);
}

/* ---- PAUSE waits ---- */

static bool is_busy(const struct console *console, const struct live_backend *backend)
{
	if (!backend->tenant || backend->state == BACKEND_IDLE)
		return false;
	return console->of_all || uuid_equal(&console->tenant, &backend->tenant->id);
}

static bool anybody_is_busy(const struct console *console, const struct live_answer *answer)
{
	for (size_t i = 0; i < answer->count; i++) {
		const struct live_view *view = answer->views[i];

		for (size_t j = 0; view && j < view->backend_count; j++) {
			if (is_busy(console, &view->backends[j]))
				return true;
		}
		if (!view)
			return true; /* who knows */
	}
	return false;
}

static void on_settled(void *asker, struct live_answer *answer)
{
	struct console *console = take_question(asker);

	if (console && answer && !anybody_is_busy(console, answer))
		complete_late(console, false, 0);
	live_answer_free(answer);
}

void console_tick(struct worker *worker)
{
	list_each (node, next, &worker->consoles) {
		struct console *console = list_entry(node, struct console, node);

		if (console->phase != CONSOLE_SETTLING || console->question)
			continue;
		if (stream_has_ended(&console->client->stream))
			client_close(console->client);
		else
			look(console, LIVE_BACKENDS, on_settled); /* or at the next tick */
	}
}

/* ---- orders ---- */

static bool live_verb_of(enum console_verb verb, enum live_verb *out)
{
	switch (verb) {
	case CONSOLE_KILL:
		*out = LIVE_KILL;
		return true;
	case CONSOLE_PAUSE:
		*out = LIVE_PAUSE;
		return true;
	case CONSOLE_RESUME:
		*out = LIVE_RESUME;
		return true;
	case CONSOLE_RECONNECT:
		*out = LIVE_RECONNECT;
		return true;
	case CONSOLE_NONE:
	case CONSOLE_SHOW:
	case CONSOLE_RELOAD:
	case CONSOLE_SHUTDOWN:
	case CONSOLE_BEGIN:
	case CONSOLE_END:
	case CONSOLE_NOTHING:
	case CONSOLE_WRONG:
		break;
	}
	return false;
}

static void on_obeyed(void *asker, struct live_answer *answer)
{
	struct console *console = take_question(asker);

	if (console && !answer)
		fail_late(console, REASON_MEMORY);
	else if (console && console->verb == CONSOLE_PAUSE)
		console->phase = CONSOLE_SETTLING;
	else if (console)
		complete_late(console, console->verb == CONSOLE_KILL, answer->concerned);
	live_answer_free(answer);
}

static void give_order(struct console *console, const char *slug)
{
	const struct client *client = console->client;
	enum live_verb verb = LIVE_RESUME;

	log_event(LOG_INFO, "console.command", "principal", client->principal->name, "command",
			  console->tag, "tenant", slug, NULL);
	console->phase = CONSOLE_ASKING;
	if (!live_verb_of(console->verb, &verb) || !order(console, verb, on_obeyed))
		console_fail(console, REASON_MEMORY, NULL);
}

/* Takes the reference over; what fails here was asked just now. */
static void tenant_answered(struct console *console, enum directory_result result,
							const struct tenant *tenant)
{
	switch (result) {
	case DIRECTORY_FOUND:
		console->tenant = tenant->id;
		give_order(console, tenant->slug);
		tenant_unref(tenant);
		break;
	case DIRECTORY_UNKNOWN:
		console_fail(console, REASON_UNKNOWN_TENANT, NULL);
		break;
	case DIRECTORY_UNAVAILABLE:
		console_fail(console, REASON_CONTROL_DOWN, NULL);
		break;
	case DIRECTORY_PENDING:
		console->phase = CONSOLE_FINDING;
		break;
	}
}

static void on_tenant(void *asker, enum directory_result result, const struct tenant *tenant,
					  const struct principal *principal)
{
	struct console *console = asker;

	(void)principal;
	console->pending = NULL;
	tenant_answered(console, result, tenant);
	if (console->phase == CONSOLE_READY)
		console_done(console);
}

static void command_tenants(struct console *console, const char *name)
{
	struct worker *worker = console->client->worker;
	const struct tenant *tenant = NULL;

	console->of_all = !name;
	if (!name) {
		give_order(console, NULL);
		return;
	}
	enum directory_result result =
		directory_find_tenant(worker->directory, name, worker->mailbox, on_tenant, console,
							  &tenant, &console->pending);
	tenant_answered(console, result, tenant);
}

/* The main thread waits for it, and does what it does whoever sends it. */
static void signal_self(struct console *console, int number)
{
	log_event(LOG_INFO, "console.command", "principal", console->client->principal->name,
			  "command", console->tag, NULL);
	kill(getpid(), number);
	complete(console, console->tag, false, 0);
}

/* ---- all ---- */

static bool is_for_admins(enum console_verb verb)
{
	enum live_verb ignored;

	return verb == CONSOLE_RELOAD || verb == CONSOLE_SHUTDOWN || live_verb_of(verb, &ignored);
}

static void wrong(struct console *console, const char *why)
{
	struct buf hint;

	buf_init(&hint);
	console_fail(console, REASON_CONSOLE_COMMAND,
				 buf_appendf(&hint, "%s; SHOW HELP lists the commands", why) &&
						 buf_append_byte(&hint, '\0')
					 ? (const char *)buf_data(&hint)
					 : NULL);
	buf_fini(&hint);
}

void console_run(struct console *console, const struct console_command *command,
				 const struct console_formats *formats, uint64_t limit)
{
	const struct client *client = console->client;

	console->verb = command->verb;
	console->tag = command->tag;
	console->failed = false;
	console->limit = limit;
	if (is_for_admins(command->verb) &&
		!conf_is_admin(client->worker->conf, client->principal->name)) {
		console_fail(console, REASON_CONSOLE_ADMIN, NULL);
		return;
	}
	switch (command->verb) {
	case CONSOLE_NONE:
		break;
	case CONSOLE_SHOW:
		show(console, command, formats);
		break;
	case CONSOLE_PAUSE:
	case CONSOLE_RESUME:
	case CONSOLE_KILL:
	case CONSOLE_RECONNECT:
		command_tenants(console, command->tenant);
		break;
	case CONSOLE_RELOAD:
		signal_self(console, SIGHUP);
		break;
	case CONSOLE_SHUTDOWN:
		signal_self(console, SIGTERM);
		break;
	case CONSOLE_BEGIN:
	case CONSOLE_END:
		console->in_transaction = command->verb == CONSOLE_BEGIN;
		complete(console, command->tag, false, 0);
		break;
	case CONSOLE_NOTHING:
		complete(console, command->tag, false, 0);
		break;
	case CONSOLE_WRONG:
		wrong(console, command->wrong);
		break;
	}
}

void console_stop(struct console *console)
{
	forget_question(console);
	if (console->pending)
		directory_abandon(console->pending);
	console->pending = NULL;
	event_del(&console->turn);
	console_rows_fini(&console->rows);
	console->suspended = false;
	console->phase = CONSOLE_READY;
}

/* An order that was given is not taken back: only the wait for its outcome ends. */
void console_cancel(struct client *client)
{
	struct console *console = client->console;

	if (console->phase == CONSOLE_READY)
		return;
	console_stop(console);
	fail_late(console, REASON_CANCELLED);
}
