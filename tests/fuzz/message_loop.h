/*
 * message_loop.h: who answers what in PostgreSQL's side of the protocol.
 *
 * The rules are those of version 15, read in SocketBackend and PostgresMain (postgres.c) and in
 * CopyGetData (copyfromparse.c): which messages are answered by what, what an error skips, what
 * a COPY swallows. What statements there are and which of them fail is up to the host.
 */
#ifndef TESTS_FUZZ_MESSAGE_LOOP_H
#define TESTS_FUZZ_MESSAGE_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum statement_kind {
	STATEMENT_ROWS,    /* rows and a tag; in an Execute perhaps only some of the rows */
	STATEMENT_COMMAND, /* a tag alone */
	STATEMENT_NOTHING, /* an empty text, which is the whole of it */
	STATEMENT_COPY_IN,
	STATEMENT_COPY_OUT,
	STATEMENT_FAILS,
};

enum statement_effect { EFFECT_NONE, EFFECT_BEGIN, EFFECT_END };

struct outcome {
	enum statement_kind kind;
	enum statement_effect effect; /* on the transaction */
	const char *tag;              /* of the one that fails, its SQLSTATE */
	unsigned rows;
	bool more; /* another statement of the same Query follows */
	bool suspended;
};

struct message {
	char type;
	const uint8_t *body; /* may be cut short, and NULL when the host does not care */
	size_t len;
};

struct loop_host {
	void *self;
	/* What a Query's next statement, or the one statement of an Execute, comes to. The body of
	 * a Query's message is gone when a COPY has been read in between. */
	struct outcome (*run)(void *self, const struct message *message);
	/* The SQLSTATE when this message fails, which is no Query, Execute or CopyFail; NULL when
	 * it does not. Asked once of each that is carried out. */
	const char *(*fails)(void *self, const struct message *message);
	/* Does a Describe ask for a statement (and not for a portal); has that a result? */
	bool (*is_statement)(void *self, const struct message *message);
	bool (*has_rows)(void *self, const struct message *message);
	/* One message of the server's. `text` is the tag of C, the status of Z, the SQLSTATE of E.
	 */
	void (*answer)(void *self, char type, const char *text);
};

struct loop {
	const struct loop_host *host;
	bool lenient;  /* an unexpected message in a COPY is an error (up to 13), not the end */
	bool extended; /* what runs came in the extended protocol */
	bool ignoring; /* up to the next Sync */
	bool batch;    /* extended messages were carried out since the last Sync or Query */
	bool copying;
	bool dead; /* a FATAL was sent, or a Terminate read */
	char status;
	struct outcome statement; /* that copies */
	struct message query;     /* whose statements are being carried out */
};

void loop_init(struct loop *loop, const struct loop_host *host);

/* Reads one message and answers it. */
void loop_read(struct loop *loop, const struct message *message);

/* Would nothing more be answered, were no further message sent, and is no batch open? */
bool loop_is_at_rest(const struct loop *loop);

/* Would this message leave something owed, were it read in the state of rest? */
bool loop_owes_for(char type);

#endif
