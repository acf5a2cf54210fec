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
 * Appends `SET [LOCAL] name = value;` with the effect that the startup packet gives the same
 * pair: byte-exact, whatever the backend's standard_conforming_strings. Names and values hold
 * no NUL; the name has been checked by startup_parse. False when memory is out.
 */
bool session_append_set(struct buf *sql, const char *name, const char *value, bool is_local);

/*
 * Appends the statement that makes a backend's setting the one that the startup packet would
 * have made with this pair: byte by byte also where SET would write the value in another way.
 * `guarded` as for session_append_question.
 */
bool session_append_follow(struct buf *sql, const char *name, const char *value, bool guarded);

/* Appends `RESET name;`. */
bool session_append_reset(struct buf *sql, const char *name);

/* What else a SET of it means, which is why its value alone cannot be carried to another
 * backend. */
enum session_setting {
	SETTING_FOLLOWS,   /* nothing: SET to what it shows sets it so */
	SETTING_PARTIAL,   /* SET changes it in part, so only what the server shows is its value */
	SETTING_ROLE,      /* who acts */
	SETTING_MOMENTARY, /* of the transaction, or not set at all */
	SETTING_ROUNDED,   /* the server shows it rounded, or not at all */
};

enum session_setting session_setting_kind(const char *name);

/*
 * Appends the query, without its NUL, that asks what of the kinds in `asked` (bits as in
 * bulkhead.session_state, which see) is there, and which values these settings have. Its row
 * is the sum of the bits, then a value for each name, NULL for a setting that does not exist
 * or, with `only_set`, has its default (which takes the server longer to say). `names` holds
 * `len` bytes, each name ended by a NUL. With `guarded` the function is asked, else the
 * catalogues. False when memory is out.
 */
bool session_append_question(struct buf *sql, unsigned asked, bool only_set, bool guarded,
							 const char *names, size_t len);

/*
 * Appends the one statement to be put where a client wrote RESET ALL: it resets, keeps the seal
 * (`guarded`), and sets what the client's startup packet had. `pairs` holds `len` bytes of
 * names and values in turn, each ended by a NUL.
 */
bool session_append_reset_all(struct buf *sql, bool guarded, const char *pairs, size_t len);

/* The statement to be put where a client wrote one that is to have no effect; its tag differs.
 */
extern const char session_no_effect_sql[];
/*
 * Is the setting's value a list of identifiers, which the server keeps in a form where those
 * that need it are quoted?
 */
bool session_is_identifier_list(const char *name);

/* Has the value only bytes that no encoding and no quoting rule can read in two ways? */
bool session_value_is_plain(const char *value);

#endif
