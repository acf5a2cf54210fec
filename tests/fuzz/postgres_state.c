#include "tests/fuzz/postgres_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

static const char *const names[STATE_SETTINGS] = {"app.x", "app.y", "work_mem", "search_path",
												  "application_name"};
enum { APPLICATION_NAME = 4 };

static int find(const char *name)
{
	for (int i = 0; i < STATE_SETTINGS; i++) {
		if (strcmp(names[i], name) == 0)
			return i;
	}
	return -1;
}

bool state_set(struct state *state, const char *name, const char *value)
{
	int i = find(name);

	if (i < 0)
		return false;
	state->settings[i].is_set = value != NULL;
	snprintf(state->settings[i].value, STATE_VALUE, "%s", value ? value : "");
	return true;
}

bool state_has_equal_settings(const struct state *a, const struct state *b)
{
	for (int i = 0; i < STATE_SETTINGS; i++) {
		if (strcmp(a->settings[i].value, b->settings[i].value) != 0)
			return false;
	}
	return a->settings[APPLICATION_NAME].is_set == b->settings[APPLICATION_NAME].is_set;
}

void state_trace(const char *what, const struct state *state)
{
	trace("%s:", what);
	for (int i = 0; i < STATE_SETTINGS; i++)
		trace(" %s=%s%s", names[i], state->settings[i].is_set ? "" : "-",
			  state->settings[i].value);
	trace(" left %u\n", state->left);
}

/* ---- SQL of Bulkhead's ---- */

/* E'...' with quotes and backslashes doubled; the place behind it, or NULL. */
static const char *read_literal(const char *at, char out[STATE_VALUE])
{
	size_t len = 0;

	if (*at++ != 'E' || *at++ != '\'')
		return NULL;
	for (; *at; at++) {
		if (*at == '\\' && *++at != '\\')
			return NULL;
		if (*at == '\'' && *++at != '\'') {
			out[len] = '\0';
			return at;
		}
		if (len + 1 < STATE_VALUE)
			out[len++] = *at;
	}
	return NULL;
}

/* "name" or "name"."name"; the place behind it, or NULL. */
static const char *read_name(const char *at, char out[STATE_VALUE])
{
	size_t len = 0;

	do {
		if (*at == '.' && len + 1 < STATE_VALUE)
			out[len++] = *at++;
		if (*at++ != '"')
			return NULL;
		while (*at && *at != '"' && len + 1 < STATE_VALUE)
			out[len++] = *at++;
		if (*at++ != '"')
			return NULL;
	} while (*at == '.');
	out[len] = '\0';
	return at;
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

const char *state_apply_pairs(struct state *state, const char *at)
{
	char name[STATE_VALUE], value[STATE_VALUE];

	for (bool first = true; *at != ']'; first = false) {
		if (!first && !begins(at, ", "))
			return NULL;
		at = read_literal(at + (first ? 0 : 2), name);
		if (!at || !begins(at, ", ") || !(at = read_literal(at + 2, value)))
			return NULL;
		state_set(state, name, value);
	}
	return at;
}

static const char *apply_set(struct state *state, const char *at)
{
	char name[STATE_VALUE], value[STATE_VALUE];

	at = read_name(at, name);
	at = at && begins(at, " = ") ? read_literal(at + 3, value) : NULL;
	if (at)
		state_set(state, name, value);
	return at;
}

bool state_apply(struct state *state, const char *at)
{
	static const char set_all[] = "CALL bulkhead.set_all(ARRAY[";
	char name[STATE_VALUE];

	while (at && *at) {
		if (begins(at, "SET ")) {
			at = apply_set(state, at + 4);
		} else if (begins(at, "RESET ")) {
			at = read_name(at + 6, name);
			if (at)
				state_set(state, name, NULL);
		} else if (begins(at, set_all)) {
			at = state_apply_pairs(state, at + sizeof set_all - 1);
			at = at && begins(at, "])") ? at + 2 : NULL;
		} else {
			at = NULL;
		}
		at = at && *at == ';' ? at + 1 : NULL;
	}
	return at != NULL;
}

static bool append_value(struct buf *row, const char *value)
{
	return value ? buf_append_u32(row, (uint32_t)strlen(value)) &&
					   buf_append(row, value, strlen(value))
				 : buf_append_u32(row, UINT32_MAX);
}

bool state_answer(const struct state *state, const char *question, struct buf *row)
{
	static const char asks[] = "SELECT bulkhead.session_state(", none[] = "SELECT 0";
	const char *at = question;
	char word[STATE_VALUE];
	uint16_t columns = 1;
	unsigned long asked = 0;

	if (begins(at, asks))
		asked = strtoul(at + sizeof asks - 1, (char **)&at, 10);
	else if (!begins(at, none))
		return false;
	else
		at += sizeof none - 1;
	snprintf(word, sizeof word, "%lu", state->left & asked);
	require(buf_append_u16(row, 0) && append_value(row, word));
	while ((at = strstr(at, "_setting(E'")) != NULL) {
		bool only_set = begins(at - strlen("bulkhead.session"), "bulkhead");

		at = read_literal(at + strlen("_setting("), word);
		require(at != NULL);
		int i = find(word);
		/* A custom setting that is not there is none; any other has its default. */
		require(append_value(row, i < 0 ? only_set ? NULL : "default"
								  : state->settings[i].is_set || (i > 1 && !only_set)
									  ? state->settings[i].value
									  : NULL));
		columns++;
	}
	buf_data(row)[0] = (uint8_t)(columns >> 8);
	buf_data(row)[1] = (uint8_t)columns;
	return true;
}
