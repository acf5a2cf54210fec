#include "proxy/console.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "conf/conf.h"
#include "proxy/client.h"
#include "proxy/client_log.h"
#include "proxy/console_internal.h"
#include "proxy/limits.h"
#include "proxy/wire.h"
#include "proxy/worker.h"

#define MESSAGE_MAX    16384 /* bytes of a client's message; no command is as long */
#define STATEMENTS_MAX 100   /* prepared, of one session */

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

static void fail_text(struct console *console, const char *sqlstate, const char *message,
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
		fail_text(console, reason_sqlstate(reason), reason_message(reason),
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

static bool is_over(const struct console *console)
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
	if (!is_over(console))
		ready(console);
}

static void describe(struct console *console, const struct console_command *command,
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

	while (!is_over(console) && console->script && console->phase == CONSOLE_READY) {
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
			describe(console, &command, &text);
		if (!is_over(console))
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

/* ---- Parse, Bind, Describe, Execute, Close ---- */

static struct console_statement *find_statement(const struct console *console, const char *name)
{
	list_each (node, next, (struct list *)&console->statements) {
		struct console_statement *statement = list_entry(node, struct console_statement, node);

		if (strcmp(statement->name, name) == 0)
			return statement;
	}
	return NULL;
}

static void remove_statement(struct console *console, struct console_statement *statement)
{
	list_remove(&statement->node);
	console->statement_count--;
	console_command_fini(&statement->command);
	free(statement->name);
	free(statement);
}

static void remove_portal(struct console *console)
{
	free(console->portal);
	console->portal = NULL;
	console_command_fini(&console->bound);
	if (console->suspended)
		console_stop(console);
}

/* The statement without a name is replaced, others are not. */
static void define(struct console *console, const char *name,
				   const struct console_command *command)
{
	struct console_statement *statement = find_statement(console, name);

	if (statement && *name) {
		fail_text(console, "42P05", "a prepared statement of this name exists already", NULL,
				  NULL);
		return;
	}
	if (statement)
		remove_statement(console, statement);
	if (console->statement_count == STATEMENTS_MAX) {
		fail_text(console, "53400", "the session has too many prepared statements", NULL, NULL);
		return;
	}
	statement = calloc(1, sizeof *statement);
	char *own = strdup(name), *tenant = command->tenant ? strdup(command->tenant) : NULL;
	if (!statement || !own || (command->tenant && !tenant)) {
		free(statement);
		free(own);
		free(tenant);
		client_fatal(console->client, REASON_MEMORY, NULL);
		return;
	}
	statement->name = own;
	statement->command = *command;
	statement->command.tenant = tenant;
	list_append(&console->statements, &statement->node);
	console->statement_count++;
	console_say(console, wire_message(&console->client->reply, '1', "", 0));
}

static bool parse_message(struct console *console, const uint8_t *body, size_t len)
{
	static const struct console_formats none = {0};
	size_t at = 0, behind = 0;
	const char *name = wire_cstr(body, len, &at),
			   *text = name ? wire_cstr(body, len, &at) : NULL;
	struct console_command command, more;

	if (!text || len - at < 2 || len - at != 2 + 4 * (size_t)wire_u16(body + at))
		return false;
	console_command_read(text, &behind, &command);
	if (command.verb == CONSOLE_WRONG) {
		console_run(console, &command, &none, 0); /* which says so */
		return true;
	}
	console_command_read(text, &behind, &more);
	if (more.verb == CONSOLE_NONE)
		define(console, name, &command);
	else
		fail_text(console, "42601", "cannot insert multiple commands into a prepared statement",
				  NULL, NULL);
	console_command_fini(&command);
	console_command_fini(&more);
	return true;
}

static void no_such_statement(struct console *console)
{
	fail_text(console, "26000", "there is no prepared statement of this name", NULL, NULL);
}

/* No format stands for text, one for all columns; else there is one for each. */
static bool read_formats(const uint8_t *body, size_t len, size_t columns,
						 struct console_formats *out)
{
	size_t count = len >= 2 ? wire_u16(body) : 0;

	*out = (struct console_formats){0};
	if (len != 2 + 2 * count)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (wire_u16(body + 2 + 2 * i) > 1)
			return false;
	}
	if (count > 1 && columns && count != columns)
		return false;
	out->count = (uint16_t)(count ? columns : 0);
	for (size_t i = 0; i < out->count; i++)
		out->binary[i] = wire_u16(body + 2 + 2 * (count == 1 ? 0 : i));
	return true;
}

static size_t columns_of(const struct console_command *command)
{
	return command->verb == CONSOLE_SHOW ? console_table_width(console_table_of(command->show))
										 : 0;
}

/* There is one portal at a time, of any name: another takes its place. */
static void set_portal(struct console *console, const char *name,
					   const struct console_command *command)
{
	remove_portal(console);
	console->portal = strdup(name);
	console->bound = *command;
	console->bound.tenant = command->tenant ? strdup(command->tenant) : NULL;
	if (!console->portal || (command->tenant && !console->bound.tenant))
		client_fatal(console->client, REASON_MEMORY, NULL);
	else
		console_say(console, wire_message(&console->client->reply, '2', "", 0));
}

static bool bind_message(struct console *console, const uint8_t *body, size_t len)
{
	size_t at = 0;
	const char *portal = wire_cstr(body, len, &at);
	const char *name = portal ? wire_cstr(body, len, &at) : NULL;

	if (!name || len - at < 6)
		return false;
	const struct console_statement *statement = find_statement(console, name);
	size_t formats = wire_u16(body + at);
	at += 2 + 2 * formats;
	if (!statement) {
		no_such_statement(console);
	} else if (at + 4 > len || wire_u16(body + at) != 0) {
		fail_text(console, "08P01", "commands of the console have no parameters", NULL, NULL);
	} else if (!read_formats(body + at + 2, len - at - 2, columns_of(&statement->command),
							 &console->formats)) {
		return false;
	} else {
		set_portal(console, portal, &statement->command);
	}
	return true;
}

static bool has_portal(struct console *console, const char *name)
{
	if (console->portal && strcmp(console->portal, name) == 0)
		return true;
	fail_text(console, "34000", "there is no portal of this name", NULL, NULL);
	return false;
}

static bool describe_message(struct console *console, const uint8_t *body, size_t len)
{
	static const struct console_formats text = {0};
	size_t at = 1;
	const char *name = wire_cstr(body, len, &at);

	if (!name || at != len || (body[0] != 'S' && body[0] != 'P'))
		return false;
	if (body[0] == 'P') {
		if (has_portal(console, name))
			describe(console, &console->bound, &console->formats);
		return true;
	}
	const struct console_statement *statement = find_statement(console, name);
	if (!statement) {
		no_such_statement(console);
		return true;
	}
	console_say(console, wire_message(&console->client->reply, 't', "\0", 2));
	if (!is_over(console))
		describe(console, &statement->command, &text);
	return true;
}

static bool execute_message(struct console *console, const uint8_t *body, size_t len)
{
	size_t at = 0;
	const char *name = wire_cstr(body, len, &at);

	if (!name || len - at != 4)
		return false;
	if (!has_portal(console, name))
		return true;
	uint32_t limit = wire_u32(body + at);
	if (limit > INT32_MAX)
		limit = 0;
	if (console->suspended)
		console_run_on(console, limit);
	else if (console->bound.verb == CONSOLE_NONE)
		console_say(console, wire_message(&console->client->reply, 'I', "", 0));
	else
		console_run(console, &console->bound, &console->formats, limit);
	return true;
}

static bool close_message(struct console *console, const uint8_t *body, size_t len)
{
	size_t at = 1;
	const char *name = wire_cstr(body, len, &at);

	if (!name || at != len || (body[0] != 'S' && body[0] != 'P'))
		return false;
	struct console_statement *statement = body[0] == 'S' ? find_statement(console, name) : NULL;
	if (statement)
		remove_statement(console, statement);
	else if (body[0] == 'P' && console->portal && strcmp(console->portal, name) == 0)
		remove_portal(console);
	console_say(console, wire_message(&console->client->reply, '3', "", 0));
	return true;
}

/* ---- messages ---- */

/* False when the message is malformed. */
static bool extended(struct console *console, char type, const uint8_t *body, size_t len)
{
	bool ok = false;

	console->failed = false;
	switch (type) {
	case 'P':
		ok = parse_message(console, body, len);
		break;
	case 'B':
		ok = bind_message(console, body, len);
		break;
	case 'D':
		ok = describe_message(console, body, len);
		break;
	case 'E':
		ok = execute_message(console, body, len);
		break;
	case 'C':
		ok = close_message(console, body, len);
		break;
	default:
		break;
	}
	console->skips = console->failed;
	return ok;
}

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
	else if (!extended(console, type, body, len) && !is_over(console))
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

	if (is_over(console))
		return;
	if (console->script)
		run_script(console);
	else
		console->skips = console->failed;
	if (!is_over(console) && console->phase == CONSOLE_READY)
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
	remove_portal(console);
	list_each (node, next, &console->statements)
		remove_statement(console, list_entry(node, struct console_statement, node));
	buf_fini(&client->reply);
	free(console->script);
	free(console->application_name);
	free(console);
	client->console = NULL;
}
