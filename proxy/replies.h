/*
 * replies.h: what a backend still owes.
 *
 * Every message that is sent to a backend and will be answered leaves one entry, in order;
 * every answer takes its entry off. Only when nothing is owed and the last ReadyForQuery said
 * "idle" may a backend leave its client. The rules follow the protocol's documentation
 * ("Message Flow", Extended Query and COPY operations): after an error in an extended batch the
 * server skips to the next Sync, whatever lies between; in copy-in mode it ignores Sync.
 * Whoever sends a Sync into a COPY that then fails makes it unknowable whether that Sync is
 * answered: the account is `lost` then, and the backend of use to this client only.
 */
#ifndef PROXY_REPLIES_H
#define PROXY_REPLIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum reply {
	REPLY_NONE,
	REPLY_PARSE,
	REPLY_BIND,
	REPLY_CLOSE,
	REPLY_DESCRIBE,
	REPLY_EXECUTE,
	REPLY_SYNC,
	REPLY_QUERY,      /* Query and FunctionCall: ended by ReadyForQuery */
	REPLY_COPY_END,   /* CopyDone or CopyFail of the client; owes nothing itself */
	REPLY_OURS = 16,  /* flag: asked by Bulkhead, the answer is not the client's */
	REPLY_QUIET = 32, /* flag, with REPLY_OURS: an error is not the client's either */
};

/* What became of something that was asked. */
enum reply_fate {
	REPLY_DONE,    /* it was answered */
	REPLY_SKIPPED, /* it failed, or the server skips it after an error: it has had no effect */
	REPLY_DROPPED, /* it will never be known: the backend or the client is gone */
};

/*
 * What hangs on an answer, as names.c has it. Whoever gives one away with replies_push_note has
 * it back through `noted` exactly once; those that an error skips come back last first, so that
 * what they did can be undone step by step.
 */
struct reply_note;

typedef void replies_noted(void *owner, struct reply_note *note, enum reply_fate fate);

struct reply_item {
	struct reply_note *note;
	uint8_t reply;
};

#define REPLIES_INLINE 16
#define REPLIES_MAX    65536 /* outstanding answers of one client; past that it is not read */

struct replies {
	replies_noted *noted;
	void *owner;
	struct reply_item inline_items[REPLIES_INLINE];
	struct reply_item *items; /* a ring of `size`, a power of two */
	uint32_t first;           /* grows with each that is taken off, until all is cleared */
	uint32_t count, size;
	uint64_t batches; /* Syncs and Queries of the client's so far: which batch is being sent */
	bool ended;       /* the simple query at the head has had an answer that may end it */
	bool copying;     /* the statement at the head is in copy-in mode */
	bool batch;       /* extended messages were sent and no Sync behind them */
	bool bound;       /* and some of them were more than Parse, Describe and Close */
	bool skipping; /* after an error: the server ignores everything up to the next Sync to come
					*/
	bool lost;     /* it cannot be known what is owed; never empty again */
};

/* `noted` may be NULL where no notes are given. */
void replies_init(struct replies *replies, replies_noted *noted, void *owner);
void replies_fini(struct replies *replies);

/* Nothing owed any more; memory is given back, and notes are dropped. */
void replies_clear(struct replies *replies);

/* True also means that no batch waits for its Sync, and that the account is sound. */
bool replies_is_empty(const struct replies *replies);

/* Has more been asked of the server than one query, or one batch up to its Sync? */
bool replies_has_several(const struct replies *replies);

/*
 * All has been answered of a batch without a Sync that has only parsed, described and closed:
 * for the client it makes no difference when it ends.
 */
bool replies_may_end_batch(const struct replies *replies);

/* What the backend's next answer is for; REPLY_NONE when nothing is owed. */
enum reply replies_next(const struct replies *replies);

/*
 * The server has failed at what stands first, and it is no simple query: is the last that was
 * to change the unnamed statement, a Parse without a note or Bulkhead's own Close without one,
 * among what it skips?
 */
bool replies_skip_statement(const struct replies *replies);

/* One more answer owed. False when memory is out or REPLIES_MAX are owed. */
bool replies_push(struct replies *replies, enum reply reply);

/* The same with a note, which is taken over unless it returns false. */
bool replies_push_note(struct replies *replies, enum reply reply, struct reply_note *note);

/* The note of what the backend's next answer is for, or NULL. */
struct reply_note *replies_next_note(const struct replies *replies);

/* The first note that is this one, or NULL. */
struct reply_note *replies_find_note(const struct replies *replies,
									 bool (*is)(const struct reply_note *note, uint64_t number),
									 uint64_t number);

/*
 * An answer of the backend arrived. Takes off what it answers and returns false when it answers
 * nothing that was asked: the backend and we disagree and must part. *ours says that the answer
 * is Bulkhead's. `type` is the message's type byte; asynchronous messages (A, N, S) are not to
 * be passed.
 */
bool replies_answered(struct replies *replies, char type, bool *ours);

/* The client sends a message of this type to the backend: what will be owed for it, if
 * anything. */
bool replies_asked(struct replies *replies, char type);

/* The same for a message that owes something, with a note, which is taken over unless it
 * returns false. */
bool replies_asked_note(struct replies *replies, char type, struct reply_note *note);

#endif
