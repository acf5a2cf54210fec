/* The console's prepared commands: Parse, Bind, Describe, Execute, Close. */
#include <stdlib.h>
#include <string.h>

#include "proxy/client.h"
#include "proxy/console_internal.h"
#include "proxy/wire.h"

#define STATEMENTS_MAX 100 /* prepared, of one session */

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
		console_fail_text(console, "42P05", "a prepared statement of this name exists already",
						  NULL, NULL);
		return;
	}
	if (statement)
		remove_statement(console, statement);
	if (console->statement_count == STATEMENTS_MAX) {
		console_fail_text(console, "53400", "the session has too many prepared statements",
						  NULL, NULL);
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
		console_fail_text(console, "42601",
						  "cannot insert multiple commands into a prepared statement", NULL,
						  NULL);
	console_command_fini(&command);
	console_command_fini(&more);
	return true;
}

static void no_such_statement(struct console *console)
{
	console_fail_text(console, "26000", "there is no prepared statement of this name", NULL,
					  NULL);
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
		console_fail_text(console, "08P01", "commands of the console have no parameters", NULL,
						  NULL);
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
	console_fail_text(console, "34000", "there is no portal of this name", NULL, NULL);
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
			console_describe(console, &console->bound, &console->formats);
		return true;
	}
	const struct console_statement *statement = find_statement(console, name);
	if (!statement) {
		no_such_statement(console);
		return true;
	}
	console_say(console, wire_message(&console->client->reply, 't', "\0", 2));
	if (!console_is_over(console))
		console_describe(console, &statement->command, &text);
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

bool console_extended(struct console *console, char type, const uint8_t *body, size_t len)
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

void console_forget_statements(struct console *console)
{
	remove_portal(console);
	list_each (node, next, &console->statements)
		remove_statement(console, list_entry(node, struct console_statement, node));
}
