/*
 * bulkhead events: what is changed, as it happens.
 *
 * The API sends events (server-sent events, as in the HTML standard): `id:`, `event:` and
 * `data:` lines, an empty line behind each, and lines that begin with a colon to show that it
 * is there. When the connection is lost, it is asked for what came behind the last one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/api_client.h"
#include "cli/api_help.h"
#include "cli/api_run.h"
#include "cli/api_show.h"
#include "cli/api_where.h"
#include "cli/cli.h"
#include "cli/print.h"

#define LINE_MAX_BYTES (8u << 20)
#define PAUSE_S        1
#define QUIET_S        1 /* so long nothing: all that has happened has come */

static const struct api_verb verb = {.name = "", .route = "GET /v1/events"};

bool api_grammar_of_events(struct api_grammar *grammar, const char **why)
{
	if (!api_grammar_make(grammar, &verb, why))
		return false;
	api_grammar_add_own(grammar, OWN_FOLLOW);
	api_grammar_add_own(grammar, OWN_LIMIT);
	return true;
}

struct events {
	struct buf line; /* what has come of the one that is being read */
	struct buf data; /* of the event */
	char *id, *last; /* of the event; of the last one that was shown. NULL: none */
	char *name;
	bool json, is_over; /* the API said that it was the last */
	long left;          /* how many more are wanted; -1: all */
};

/* ---- events ---- */

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static void show_line(const struct events *events, const json_t *record)
{
	print_line(stdout, "%s  %s  %s  %s  %s", text_of(record, "at"), text_of(record, "actor"),
			   events->name ? events->name : "", text_of(record, "tenant_slug"),
			   text_of(record, "subject"));
}

/* Programs get a line of JSON for each. */
static bool show(struct events *events)
{
	json_t *record =
		json_loadb((char *)buf_data(&events->data), buf_len(&events->data), 0, NULL);
	bool whole = true;

	if (record && events->json) {
		whole = json_dumpf(record, stdout, JSON_COMPACT | JSON_ENSURE_ASCII) == 0;
		putchar('\n');
	} else if (record) {
		show_line(events, record);
	} else {
		print_complaint("an event is no JSON, and is left out");
	}
	json_decref(record);
	return whole && fflush(stdout) == 0;
}

/* It is no event of the log, but why there will be no more. */
static void end_stream(struct events *events)
{
	json_t *why = json_loadb((char *)buf_data(&events->data), buf_len(&events->data), 0, NULL);

	events->is_over = true;
	print_complaint("the API ended it (%s)", text_of(why, "reason"));
	json_decref(why);
}

/* At the empty line behind it. */
static bool end_event(struct events *events)
{
	bool whole = true;

	if (events->name && strcmp(events->name, "end") == 0 && buf_len(&events->data)) {
		end_stream(events);
		whole = false;
	} else if (buf_len(&events->data)) {
		whole = show(events);
		if (events->id) {
			free(events->last);
			events->last = events->id;
			events->id = NULL;
		}
		if (events->left > 0)
			events->left--;
	}
	buf_fini(&events->data);
	free(events->name);
	events->name = NULL;
	return whole && events->left != 0;
}

static bool set(char **out, const char *text)
{
	free(*out);
	*out = strdup(text);
	return *out != NULL;
}

static bool take_field(struct events *events, const char *name, const char *value)
{
	if (strcmp(name, "id") == 0)
		return set(&events->id, value);
	if (strcmp(name, "event") == 0)
		return set(&events->name, value);
	if (strcmp(name, "data") == 0)
		return (!buf_len(&events->data) || buf_append_byte(&events->data, '\n')) &&
			   buf_append(&events->data, value, strlen(value));
	return true;
}

static bool take_line(struct events *events, char *line)
{
	char *colon = strchr(line, ':'), *value = line + strlen(line);

	if (!*line)
		return end_event(events);
	if (*line == ':')
		return true;
	if (colon) {
		*colon = '\0';
		value = colon + 1 + (colon[1] == ' ');
	}
	return take_field(events, line, value);
}

static bool take(void *context, const char *bytes, size_t len)
{
	struct events *events = context;
	bool more = true;

	for (const char *end = bytes + len; more && bytes < end;) {
		const char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
		size_t part = (size_t)((newline ? newline : end) - bytes);

		if (buf_len(&events->line) + part > LINE_MAX_BYTES ||
			!buf_append(&events->line, bytes, part))
			return false;
		if (newline) {
			if (buf_len(&events->line) &&
				buf_data(&events->line)[buf_len(&events->line) - 1] == '\r')
				buf_truncate(&events->line, buf_len(&events->line) - 1);
			if (!buf_append_byte(&events->line, '\0'))
				return false;
			more = take_line(events, (char *)buf_data(&events->line));
			buf_fini(&events->line);
		}
		bytes += part + (newline != NULL);
	}
	return more;
}

/* ---- the stream ---- */

/* What came in part is sent again. */
static void forget_part(struct events *events)
{
	buf_fini(&events->line);
	buf_fini(&events->data);
	free(events->id);
	free(events->name);
	events->id = events->name = NULL;
}

/* One connection; false when there shall be no other. */
static bool listen_once(struct api_run *run, struct events *events, enum cli_exit *result)
{
	bool follow = run->given->own[OWN_FOLLOW];
	/* All that there is, unless it is said from where on. */
	bool from_begin = !follow && !events->last && !strstr(run->composed.query, "after=");
	char *path = api_run_path(run, from_begin ? "after=0" : NULL);
	struct api_request request = {.method = "GET",
								  .path = path,
								  .accept = "text/event-stream",
								  .last_event_id = events->last,
								  .take = take,
								  .context = events,
								  .quiet = follow ? 0 : QUIET_S};
	struct api_reply reply = {.status = 0};
	bool answered = path && api_client_send(run->client, &request, &reply);
	bool refused = answered && !api_reply_succeeded(&reply);

	if (refused)
		api_reply_complain(&reply);
	api_reply_fini(&reply);
	free(path);
	*result = answered && !refused && !events->is_over ? CLI_DONE : CLI_FAILED;
	return follow && !refused && !events->is_over && events->left != 0 && !ferror(stdout);
}

static enum cli_exit listen(struct api_run *run)
{
	const char *limit = run->given->own[OWN_LIMIT];
	struct events events = {.json = run->given->own[OWN_JSON], .left = -1};
	enum cli_exit result = CLI_FAILED;
	char *end = NULL;

	if (limit)
		events.left = strtol(limit, &end, 10);
	if (limit && (!*limit || *end || events.left < 1)) {
		print_complaint("--limit: it is 1 or more");
		return CLI_USAGE;
	}
	while (listen_once(run, &events, &result)) {
		forget_part(&events);
		nanosleep(&(struct timespec){.tv_sec = PAUSE_S}, NULL);
	}
	forget_part(&events);
	free(events.last);
	return result;
}

int cmd_events(int argc, char **argv)
{
	struct api_grammar *grammar = malloc(sizeof *grammar);
	struct api_given given;
	struct api_run run = {.grammar = grammar, .given = &given};
	enum cli_exit result = CLI_FAILED;
	const char *why = "out of memory";

	if (!grammar || !api_grammar_of_events(grammar, &why)) {
		print_complaint("events: %s", why);
	} else if (!api_given_read(&given, grammar, argc, argv)) {
		fputs("See bulkhead events --help\n", stderr);
		result = CLI_USAGE;
	} else if (given.own[OWN_HELP]) {
		api_help_command(stdout, "events", grammar);
		result = CLI_DONE;
	} else {
		result = api_compose(&run.composed, grammar, &given);
		if (result == CLI_DONE)
			run.client = api_where_open(&given, &result);
		if (run.client)
			result = listen(&run);
		api_client_destroy(run.client);
		api_composed_fini(&run.composed);
	}
	free(grammar);
	return (int)result;
}
