#include "proxy/console.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "conf/conf.h"
#include "proxy/client.h"
#include "proxy/client_log.h"
#include "proxy/console_internal.h"
#include "proxy/limits.h"
#include "proxy/seen.h"
#include "proxy/wire.h"
#include "proxy/worker.h"

#define MESSAGE_MAX 16384 /* bytes of a client's message; no command is as long */

/* Clients expect a PostgreSQL of some version; this is what its parameters say. */
#define SERVER_VERSION "15.0 (Bulkhead " BULKHEAD_VERSION ")"

/* ---- answers ---- */

void console_say(struct console *console, bool appended)
{
	if (!appended)
		client_fatal(console->client, REASON_MEMORY, NULL);
}

static bool append_error(struct buf *out, const char *sqlstate, const char *message,
						 const char *detail, const char *hint)
{
	/* The hint is a field more, in the place of the NUL that ends the message. */
	size_t before = buf_len(out);
	bool ok = wire_error_text(out, "ERROR", sqlstate, message, detail);

	if (!ok || !hint)
		return ok;
	buf_truncate(out, buf_len(out) - 1);
	return buf_append_byte(out, 'H') && buf_append_cstr(out, hint) && buf_append_byte(out, 0) &&
		   wire_end(out, before + 1);
}

void console_fail_text(struct console *console, const char *sqlstate, const char *message,
					   const char *detail, const char *hint)
{
	console->phase = CONSOLE_READY;
	console->failed = true;
	console_say(console,
				append_error(&console->client->reply, sqlstate, message, detail, hint));
}

void console_fail(struct console *console, enum reason reason, const char *hint)
{
	struct buf detail;

	buf_init(&detail);
	if (buf_appendf(&detail, "reason=%s", reason_code(reason)) &&
		buf_append_byte(&detail, '\0'))
		console_fail_text(console, reason_sqlstate(reason), reason_message(reason),
						  (const char *)buf_data(&detail), hint);
	else
		console_say(console, false);
	buf_fini(&detail);
}

static void flush(struct console *console)
{
	client_send_buf(console->client, &console->client->reply);
}

static void ready(struct console *console)
{
	console->in_batch = false;
	console_say(console, wire_ready_for_query(&console->client->reply,
											  console->in_transaction ? 'T' : 'I'));
	flush(console);
}

bool console_is_over(const struct console *console)
{
	return console->client->state != CLIENT_CONSOLE;
}

/* Settings may have changed since the session began. */
static bool may_stay(struct console *console)
{
	struct client *client = console->client;
	const char *name = client->principal->name;

	if (conf_is_admin(client->worker->conf, name) ||
		conf_is_watcher(client->worker->conf, name))
		return true;
	client_fatal(client, REASON_CONSOLE, NULL);
	return false;
}

/* ---- Query ---- */

static void end_script(struct console *console)
{
	bool ran = console->script_ran;

	free(console->script);
	console->script = NULL;
	if (!ran)
		console_say(console, wire_message(&console->client->reply, 'I', "", 0));
	if (!console_is_over(console))
		ready(console);
}

void console_describe(struct console *console, const struct console_command *command,
					  const struct console_formats *formats)
{
	struct buf *out = &console->client->reply;

	console_say(console,
				command->verb == CONSOLE_SHOW
					? console_table_describe(console_table_of(command->show), formats, out)
					: wire_message(out, 'n', "", 0));
}

/* Runs the commands of a Query until one is not over at once, or all are. */
static void run_script(struct console *console)
{
	static const struct console_formats text = {0};
	struct console_command command;

	while (!console_is_over(console) && console->script && console->phase == CONSOLE_READY) {
		if (console->script_ran && console->failed) {
			end_script(console);
			return;
		}
		console_command_read(console->script, &console->script_at, &command);
		if (command.verb == CONSOLE_NONE) {
			end_script(console);
			return;
		}
		console->script_ran = true;
		if (command.verb == CONSOLE_SHOW)
			console_describe(console, &command, &text);
		if (!console_is_over(console))
			console_run(console, &command, &text, 0);
		console_command_fini(&command);
	}
}

static void query(struct console *console, const uint8_t *body, size_t len)
{
	size_t at = 0;
	const char *text = wire_cstr(body, len, &at);

	if (!text || at != len) {
		client_violation(console->client, "malformed Query");
		return;
	}
	free(console->portal);
	console->portal = NULL;
	console_stop(console);
	console->script = strdup(text);
	console->script_at = 0;
	console->script_ran = console->failed = false;
	if (!console->script)
		client_fatal(console->client, REASON_MEMORY, NULL);
	else
		run_script(console);
}

/* ---- messages ---- */

static void take_message(struct console *console, char type, const uint8_t *body, size_t len)
{
	switch (type) {
	case 'X':
		client_close(console->client);
		return;
	case 'S':
		console->skips = false;
		ready(console);
		return;
	case 'H':
		flush(console);
		return;
	case 'd':
	case 'c':
	case 'f': /* of a COPY, which was never begun: ignored, as the server does */
		return;
	default:
		break;
	}
	console->in_batch = true;
	if (console->skips || !may_stay(console))
		return;
	if (type == 'Q')
		query(console, body, len);
	else if (!console_extended(console, type, body, len) && !console_is_over(console))
		client_violation(console->client, "malformed message");
}

size_t console_consume(struct client *client, const uint8_t *data, size_t len)
{
	static const char types[] = {'Q', 'P', 'B', 'D', 'E', 'C', 'S', 'H', 'X', 'd', 'c', 'f'};

	if (client->console->phase != CONSOLE_READY || len < WIRE_HEADER)
		return 0;
	uint64_t total = 1 + (uint64_t)wire_u32(data + 1);
	if (!memchr(types, data[0], sizeof types) || total < WIRE_HEADER) {
		client_violation(client, "malformed or unexpected message");
		return len;
	}
	if (total > MESSAGE_MAX) {
		client_fatal(client, REASON_TOO_LARGE, NULL);
		return len;
	}
	if (len < total)
		return 0;
	take_message(client->console, (char)data[0], data + WIRE_HEADER,
				 (size_t)total - WIRE_HEADER);
	return client->state == CLIENT_CONSOLE ? (size_t)total : len;
}

bool console_may_read(const struct client *client)
{
	return client->console->phase == CONSOLE_READY && !stream_is_full(&client->stream);
}

/* What it takes for its transaction holds nothing, and does not keep it. */
bool console_is_between(const struct client *client)
{
	return client->console->phase == CONSOLE_READY && !client->console->in_batch;
}

void console_done(struct console *console)
{
	struct client *client = console->client;

	if (console_is_over(console))
		return;
	if (console->script)
		run_script(console);
	else
		console->skips = console->failed;
	if (!console_is_over(console) && console->phase == CONSOLE_READY)
		client_resume(client);
}

/* ---- life ---- */

bool console_is_wanted(const char *database)
{
	return strcmp(database, CONF_CONSOLE_DATABASE) == 0;
}

static bool append_greeting(const struct client *client, struct buf *out)
{
	const char *name = client->console->application_name;

	return wire_parameter_status(out, "application_name", name ? name : "") &&
		   wire_parameter_status(out, "client_encoding", "UTF8") &&
		   wire_parameter_status(out, "DateStyle", "ISO, MDY") &&
		   wire_parameter_status(out, "integer_datetimes", "on") &&
		   wire_parameter_status(out, "IntervalStyle", "postgres") &&
		   wire_parameter_status(out, "is_superuser", "off") &&
		   wire_parameter_status(out, "server_encoding", "UTF8") &&
		   wire_parameter_status(out, "server_version", SERVER_VERSION) &&
		   wire_parameter_status(out, "session_authorization", client->principal->name) &&
		   wire_parameter_status(out, "standard_conforming_strings", "on") &&
		   wire_parameter_status(out, "TimeZone", "UTC") && login_append_key(client, out) &&
		   wire_ready_for_query(out, 'I');
}

static struct console *create(struct client *client, const char *application_name)
{
	struct console *console = calloc(1, sizeof *console);

	if (!console)
		return NULL;
	console->client = client;
	list_init(&console->node);
	list_init(&console->statements);
	console_init_turn(console);
	if (application_name)
		console->application_name = strdup(application_name);
	list_append(&client->worker->consoles, &console->node);
	client->console = console;
	return console;
}

void console_begin(struct client *client, const char *application_name)
{
	const struct conf *conf = client->worker->conf;
	const char *name = client->principal->name;
	enum reason why = REASON_MEMORY;
	struct buf out;

	if (!conf_is_admin(conf, name) && !conf_is_watcher(conf, name)) {
		client->worker->counters.logins_refused++;
		client_fatal(client, REASON_CONSOLE, NULL);
		return;
	}
	buf_init(&out);
	if (!limits_admit_console(client, &why) || !create(client, application_name) ||
		!append_greeting(client, &out)) {
		buf_fini(&out);
		client->worker->counters.logins_refused++;
		client_fatal(client, why, NULL);
		return;
	}
	login_free(client);
	limits_logged_in(client);
	list_remove(&client->queue);
	client->state = CLIENT_CONSOLE;
	client->worker->counters.logins++;
	seen_opened(client);
	log_event(LOG_INFO, "console.welcome", "principal", name, NULL);
	client_log_connected(client);
	client_send_buf(client, &out);
}

const char *console_application_name(const struct client *client)
{
	return client->console ? client->console->application_name : NULL;
}

void console_leave(struct client *client)
{
	if (!client->console)
		return;
	console_stop(client->console);
	list_remove(&client->console->node);
}

void console_free(struct client *client)
{
	struct console *console = client->console;

	if (!console)
		return;
	console_forget_statements(console);
	buf_fini(&client->reply);
	free(console->script);
	free(console->application_name);
	free(console);
	client->console = NULL;
}
