/*
 * postgres_session.h: what is in a session of postgres.h: its context, statements and
 * leftovers, what a statement comes to there, and what must not reach it.
 */
#ifndef TESTS_FUZZ_POSTGRES_SESSION_H
#define TESTS_FUZZ_POSTGRES_SESSION_H

#include "tests/fuzz/postgres.h"

#define INSTALLATION "00112233445566778899aabbccddeeff"

/* A message has come: remembers texts and values, and stops the target when it has no business
 * here. */
void session_note(struct postgres *postgres, const struct message *message);

/* An answer goes out: a transaction may be over with it. */
void session_answers(struct postgres *postgres, char type, const char *text);

/* What application_name shows. */
const char *session_application_name(const struct postgres *postgres);

/* For struct loop_host. */
struct outcome session_run(void *self, const struct message *message);
const char *session_fails(void *self, const struct message *message);
bool session_is_statement(void *self, const struct message *message);
bool session_has_rows(void *self, const struct message *message);

#endif
