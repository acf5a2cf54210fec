#include "proxy/replies.h"

#include <stdlib.h>
#include <string.h>

void replies_init(struct replies *replies)
{
	replies->items = replies->inline_items;
	replies->first = replies->count = 0;
	replies->size = REPLIES_INLINE;
	replies->copy_in = replies->batch = false;
}

void replies_fini(struct replies *replies)
{
	if (replies->items != replies->inline_items)
		free(replies->items);
	replies_init(replies);
}

void replies_clear(struct replies *replies)
{
	replies_fini(replies);
}

static uint8_t *at(const struct replies *replies, uint32_t index)
{
	return &replies->items[(replies->first + index) & (replies->size - 1)];
}

static void pop(struct replies *replies)
{
	replies->first++;
	replies->count--;
}

/* The end of a COPY is a mark between answers, not an answer. */
static void skip_marks(struct replies *replies)
{
	while (replies->count && *at(replies, 0) == REPLY_COPY_END)
		pop(replies);
}

bool replies_is_empty(const struct replies *replies)
{
	if (replies->batch)
		return false;
	for (uint32_t i = 0; i < replies->count; i++) {
		if (*at(replies, i) != REPLY_COPY_END)
			return false;
	}
	return true;
}

static bool grow(struct replies *replies)
{
	uint8_t *items = malloc((size_t)replies->size * 2);

	if (!items)
		return false;
	for (uint32_t i = 0; i < replies->count; i++)
		items[i] = *at(replies, i);
	if (replies->items != replies->inline_items)
		free(replies->items);
	replies->items = items;
	replies->first = 0;
	replies->size *= 2;
	return true;
}

bool replies_push(struct replies *replies, enum reply reply)
{
	if (replies->count >= REPLIES_MAX)
		return false;
	if (replies->count == replies->size && !grow(replies))
		return false;
	*at(replies, replies->count) = (uint8_t)reply;
	replies->count++;
	return true;
}

enum reply replies_next(struct replies *replies, bool *ours)
{
	skip_marks(replies);
	*ours = false;
	if (!replies->count)
		return REPLY_NONE;
	*ours = *at(replies, 0) & REPLY_OURS;
	return (enum reply)(*at(replies, 0) & ~REPLY_OURS);
}

/* An extended statement failed: the server reads on only behind the next Sync. */
static void skip_to_sync(struct replies *replies)
{
	while (replies->count && *at(replies, 0) != REPLY_SYNC)
		pop(replies);
	replies->copy_in = false;
}

/*
 * CopyInResponse to an Execute: Syncs that were sent before the data's end reach the server in
 * copy-in mode, where it ignores them.
 */
static void enter_copy_in(struct replies *replies)
{
	uint32_t kept = 1, i = 1;

	while (i < replies->count && *at(replies, i) == REPLY_SYNC)
		i++;
	replies->copy_in = i == replies->count;
	if (replies->copy_in)
		replies->batch = true;
	if (i < replies->count && *at(replies, i) == REPLY_COPY_END)
		i++;
	for (; i < replies->count; i++)
		*at(replies, kept++) = *at(replies, i);
	replies->count = kept;
}

static bool expect(struct replies *replies, enum reply wanted, enum reply next)
{
	if (next != wanted)
		return false;
	pop(replies);
	return true;
}

bool replies_answered(struct replies *replies, char type, bool *ours)
{
	enum reply next = replies_next(replies, ours);

	switch (type) {
	case '1':
		return expect(replies, REPLY_PARSE, next);
	case '2':
		return expect(replies, REPLY_BIND, next);
	case '3':
		return expect(replies, REPLY_CLOSE, next);
	case 'n':
		return expect(replies, REPLY_DESCRIBE, next);
	case 'T':
		return next == REPLY_QUERY || expect(replies, REPLY_DESCRIBE, next);
	case 't':
		return next == REPLY_DESCRIBE;
	case 's':
		return expect(replies, REPLY_EXECUTE, next);
	case 'C':
	case 'I':
		if (next == REPLY_EXECUTE)
			replies->copy_in = false;
		return next == REPLY_QUERY || expect(replies, REPLY_EXECUTE, next);
	case 'D':
	case 'd':
	case 'c':
	case 'H':
		return next == REPLY_QUERY || next == REPLY_EXECUTE;
	case 'G':
		if (next == REPLY_EXECUTE)
			enter_copy_in(replies);
		return next == REPLY_QUERY || next == REPLY_EXECUTE;
	case 'V':
		return next == REPLY_QUERY;
	case 'E':
		if (next != REPLY_QUERY && next != REPLY_NONE)
			skip_to_sync(replies);
		return true;
	case 'Z':
		if (next != REPLY_SYNC && next != REPLY_QUERY)
			return false;
		pop(replies);
		return true;
	default:
		return false;
	}
}

static bool ask_extended(struct replies *replies, enum reply reply)
{
	replies->batch = true;
	return replies_push(replies, reply);
}

/* Behind the end of a COPY only a Sync that was sent too early has to be told from one that
 * counts. */
static bool end_copy(struct replies *replies)
{
	if (replies->copy_in) {
		replies->copy_in = false;
		return true;
	}
	return !replies->count || *at(replies, replies->count - 1) != REPLY_SYNC ||
		   replies_push(replies, REPLY_COPY_END);
}

bool replies_asked(struct replies *replies, char type)
{
	switch (type) {
	case 'P':
		return ask_extended(replies, REPLY_PARSE);
	case 'B':
		return ask_extended(replies, REPLY_BIND);
	case 'C':
		return ask_extended(replies, REPLY_CLOSE);
	case 'D':
		return ask_extended(replies, REPLY_DESCRIBE);
	case 'E':
		return ask_extended(replies, REPLY_EXECUTE);
	case 'S':
		if (replies->copy_in)
			return true;
		replies->batch = false;
		return replies_push(replies, REPLY_SYNC);
	case 'Q':
	case 'F':
		return replies_push(replies, REPLY_QUERY);
	case 'c':
	case 'f':
		return end_copy(replies);
	default:
		return true;
	}
}
