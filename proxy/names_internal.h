/*
 * names_internal.h: what names.c and names_reply.c share.
 */
#ifndef PROXY_NAMES_INTERNAL_H
#define PROXY_NAMES_INTERNAL_H

#include "proxy/names.h"
#include "proxy/statements.h"

enum note_kind {
	NOTE_PARSED,   /* the client's Parse of a named statement */
	NOTE_CLOSED,   /* its Close of one */
	NOTE_PREPARED, /* Bulkhead's Parse of one that the backend lacked */
	NOTE_EVICTED,  /* its Close of one on the backend */
	NOTE_RUN,      /* a Query, or an Execute, of what is not plain */
};

struct reply_note {
	enum note_kind kind;
	struct statement *statement; /* PARSED, CLOSED: a reference */
	struct prepared *prepared;   /* PARSED, PREPARED, EVICTED: a reference */
	uint64_t number;             /* and its number when the message was sent */

	const struct verdict *verdict; /* RUN: a reference */
	uint64_t rewritten;            /* which of its statements were replaced */
	uint32_t completed;            /* how many have come to their end */
	bool is_query, is_barrier;
};

#endif
