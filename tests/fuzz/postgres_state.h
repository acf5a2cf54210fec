/*
 * postgres_state.h: what a session of postgres.h holds beyond its statements, and what its
 * clients may expect of it: a few settings, and things that pin.
 */
#ifndef TESTS_FUZZ_POSTGRES_STATE_H
#define TESTS_FUZZ_POSTGRES_STATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define STATE_SETTINGS 5
#define STATE_VALUE    48

/* As in bulkhead.session_state; the last is not for it to see: statements of the protocol under
 * names of a client's own. */
enum { LEFT_TEMP = 1, LEFT_LISTEN = 2, LEFT_PREPARED = 8, LEFT_NATIVE = 256 };

struct state {
	struct {
		bool is_set;
		char value[STATE_VALUE];
	} settings[STATE_SETTINGS];
	unsigned left;
};

/* Gives a setting a value, or (NULL) its default. False when it is none of those there are. */
bool state_set(struct state *state, const char *name, const char *value);

/* Settings without a value are as empty ones, but for application_name. */
bool state_has_equal_settings(const struct state *a, const struct state *b);
void state_trace(const char *what, const struct state *state);

/*
 * Carries out what Bulkhead says about settings: SETs of literals, RESETs and calls of set_all,
 * each ended by a semicolon. False when it is anything else.
 */
bool state_apply(struct state *state, const char *sql);

/* The pairs of a call of reset_all or set_all, from its first name on; the place behind the
 * list, or NULL. */
const char *state_apply_pairs(struct state *state, const char *at);

/* The row that answers Bulkhead's question about the session. False when it is none. */
bool state_answer(const struct state *state, const char *question, struct buf *row);

#endif
