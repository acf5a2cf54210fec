/*
 * names_internal.h: what the files of names.h share: names.c (the walk, and Query),
 * names_named.c, names_unnamed.c, names_portal.c (what messages mean by what they name),
 * names_refuse.c (those that are not carried out), names_reply.c (what answers mean). All that
 * return bool say false when memory is out.
 */
#ifndef PROXY_NAMES_INTERNAL_H
#define PROXY_NAMES_INTERNAL_H

#include "proxy/names.h"
#include "proxy/statements.h"

enum note_kind {
	NOTE_PARSED,    /* the client's Parse of a named statement */
	NOTE_CLOSED,    /* its Close of one */
	NOTE_PREPARED,  /* Bulkhead's Parse of one that the backend lacked */
	NOTE_EVICTED,   /* its Close of one on the backend */
	NOTE_DESCRIBED, /* the client's Describe of one, or (no statement) Bulkhead's */
	NOTE_RUN,       /* a Query, or an Execute, of what is not plain */
	NOTE_REFUSED,   /* a message that is made to fail, and the error to show for it */
	NOTE_SYNC,      /* the Sync behind a DISCARD ALL */
};

struct reply_note {
	enum note_kind kind;
	struct statement *statement; /* PARSED, CLOSED, DESCRIBED: a reference, or NULL */
	struct prepared *prepared;   /* PARSED, PREPARED, EVICTED, DESCRIBED: a reference */
	uint64_t number; /* and its number when the message was sent; REFUSED: its own */

	const struct verdict *verdict; /* RUN: a reference */
	uint32_t completed;            /* how many of its statements have come to their end */
	bool is_rewritten;             /* some of them were replaced */
	bool is_alone; /* a Query, and no batch that may have begun a transaction is open before it
					*/
	bool is_barrier;
	bool is_executed; /* RUN: by an Execute, so that a Sync is still to come */

	struct buf error; /* REFUSED: a whole ErrorResponse */
};

/* Is what names mean uncertain until this note's message is answered? */
static inline bool names_note_is_of_names(const struct reply_note *note)
{
	return note->kind != NOTE_RUN && note->kind != NOTE_REFUSED &&
		   note->kind != NOTE_DESCRIBED && note->kind != NOTE_SYNC;
}

/* ---- names.c ---- */

/* Appends what was not passed on yet, up to `to`, to walk->out. */
bool names_gather(struct names_walk *walk, const uint8_t *to);

/* The same up to a message, and begins one of its type that stands for it. */
bool names_replace(struct names_walk *walk, const uint8_t *message, size_t *mark);

/* Ends the message begun at `mark` with the rest of the client's, from `at` on: as much as is
 * there now, and what is to come. */
bool names_continue_with(struct names_walk *walk, const uint8_t *message, size_t at,
						 uint64_t total, size_t mark);

/* The client's message is owed its answer, with a note, which is taken over (NULL: memory is
 * out). */
enum names_result names_ask(struct names_walk *walk, char type, struct reply_note *note);

/* One of Bulkhead's own is; `like`, if any, is copied. */
bool names_ask_ours(struct names_walk *walk, enum reply reply, const struct reply_note *like);

struct reply_note *names_note_create(const struct reply_note *like);
void names_note_free(struct reply_note *note);

/* Nothing more is passed on before a note that is_barrier comes back. */
void names_raise_barrier(struct client *client);

/* The note of a Query or Execute. */
struct reply_note *names_run_note(struct client *client, const struct verdict *verdict,
								  bool is_rewritten, bool is_query);

/* The text that starts at `at` in a whole message, or NULL when it does not end in it. */
const char *names_text(const uint8_t *message, size_t at, uint64_t total, size_t *len);
const struct verdict *names_read(struct names_walk *walk, const char *text, size_t len);

/* ---- names_refuse.c ---- */

/*
 * The Query, Parse with a name, Bind or Execute is not carried out: one that fails goes in its
 * place, so that all behind it is as PostgreSQL has it behind an error, and the client is shown
 * `error`, which is taken over.
 */
enum names_result names_refuse(struct names_walk *walk, const uint8_t *message, uint64_t total,
							   struct buf *error);

enum names_result names_refuse_for(struct names_walk *walk, const uint8_t *message,
								   uint64_t total, enum reason reason);

/*
 * The Query, Execute or FunctionCall is counted, where the tenant's are; with this verdict, or
 * (NULL) one that is not known. NAMES_PASS: it is not one too many. What ends a transaction
 * never is.
 */
enum names_result names_count(struct names_walk *walk, const uint8_t *message, uint64_t total,
							  const struct verdict *verdict);

/* ---- names.c ---- */

/*
 * A statement that has, or may have, strings read in another way than Bulkhead reads them is
 * refused, or, where the database is its tenant's own, nothing is read behind it; one that sets
 * an encoding which is not safe is refused everywhere. What does so out of sight ends the
 * session (relay.c). NAMES_PASS: it may run.
 */
enum names_result names_note_strings(struct names_walk *walk, const struct verdict *verdict,
									 const uint8_t *message, uint64_t total);

/*
 * Does the statement ask for the last value of a sequence where somebody else may have taken
 * the last one? From now on the client keeps its backend, and so do those of the same tenant
 * that write.
 */
bool names_sequence_is_lost(struct client *client, const struct verdict *verdict);

/* What is not read may have done anything. */
enum names_result names_run_unread(struct names_walk *walk);

/* Is a PREPARE of SQL's among the statements? */
bool names_prepare(const struct verdict *verdict);

/*
 * Asks the gate about the Query, Parse, Bind, Execute or FunctionCall. NAMES_PASS: it may run;
 * else it is refused as names_refuse does.
 */
enum names_result names_judge(struct names_walk *walk, const struct verdict *verdict,
							  const uint8_t *message, uint64_t total);

/* ---- names_named.c ---- */

bool names_append_close(struct buf *out, const char *name);
bool names_wants_native(const struct client *client, const struct verdict *verdict);
bool names_go_native(struct names_walk *walk, const uint8_t *message);
enum names_result names_parse_named(struct names_walk *walk, const uint8_t *message,
									size_t visible, uint64_t total, const char *name);
enum names_result names_bind_named(struct names_walk *walk, const uint8_t *message,
								   uint64_t total, const char *portal, const char *name);
enum names_result names_describe_named(struct names_walk *walk, const uint8_t *message,
									   uint64_t total, const char *name);
enum names_result names_close_named(struct names_walk *walk, const uint8_t *message,
									uint64_t total, const char *name);

/* ---- names_unnamed.c ---- */

/* Puts the client's unnamed statement on the backend, if another's may be there. */
bool names_bring_unnamed(struct names_walk *walk, const uint8_t *message);
enum names_result names_parse_unnamed(struct names_walk *walk, const uint8_t *message,
									  size_t visible, uint64_t total);
enum names_result names_bind_unnamed(struct names_walk *walk, const uint8_t *message,
									 uint64_t total, const char *portal);

/* ---- names_portal.c ---- */

/* The portal `name` is made of a statement with this verdict, or (NULL) of one of which nothing
 * is known. What is plain is noted only where statements are counted. */
bool names_note_portal(struct client *client, const char *name, const struct verdict *verdict,
					   bool rewritten);
enum names_result names_note_execute(struct names_walk *walk, const uint8_t *message,
									 uint64_t total);

#endif
