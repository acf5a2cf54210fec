/*
 * session.h: what a statement does to the session it runs in, as far as it shows without
 * parsing SQL.
 */
#ifndef POLICY_SESSION_H
#define POLICY_SESSION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* Texts longer than this are never held. Bytes, without a NUL. */
#define SESSION_BEGIN_MAX 256

enum session_begin {
	NOT_BEGIN,
	BEGIN_TRANSACTION, /* BEGIN …: command tag BEGIN */
	START_TRANSACTION, /* START TRANSACTION …: command tag START TRANSACTION */
	SET_TRANSACTION, /* SET TRANSACTION ISOLATION LEVEL …, never SNAPSHOT: command tag SET */
};

/*
 * Is the text one statement that only begins a transaction or sets the modes of the current
 * one? Every word of it must be known, so that holding it back changes nothing but its time.
 * Comments are not read: a text with one is NOT_BEGIN.
 */
enum session_begin session_begin(const char *text, size_t len);

/* The command tag that PostgreSQL answers to such a statement. */
const char *session_begin_tag(enum session_begin kind);

/*
 * May the command that ended with this tag (NUL-terminated, as CommandComplete carries it) have
 * left something behind in the session that outlives its transaction? Unknown tags may.
 */
bool session_tag_stays(const char *tag);

/* Does the tag say that all prepared statements are gone (DEALLOCATE ALL, DISCARD ALL)? */
bool session_tag_forgets_statements(const char *tag);

/*
 * Appends `SET name = value;` with the effect that the startup packet gives the same pair:
 * byte-exact, whatever the backend's standard_conforming_strings. Names and values hold no NUL;
 * the name has been checked by startup_parse. False when memory is out.
 */
bool session_append_set(struct buf *sql, const char *name, const char *value);

/* Appends `RESET name;`. */
bool session_append_reset(struct buf *sql, const char *name);

/*
 * Is the setting's value a list of identifiers, which the server keeps in a form where those
 * that need it are quoted?
 */
bool session_is_identifier_list(const char *name);

/* Has the value only bytes that no encoding and no quoting rule can read in two ways? */
bool session_value_is_plain(const char *value);

#endif
