#include "proxy/replies.h"

#include <stdlib.h>
#include <string.h>

void replies_init(struct replies *replies)
{
	replies->items = replies->inline_items;
	replies->first = replies->count = 0;
	replies->size = REPLIES_INLINE;
	replies->copying = replies->batch = replies->skipping = replies->lost = false;
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
	if (replies->batch || replies->skipping || replies->lost)
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

/* An extended statement failed: the server reads on only behind the next Sync, sent or still to
 * come. */
static void skip_to_sync(struct replies *replies)
{
	while (replies->count && *at(replies, 0) != REPLY_SYNC)
		pop(replies);
	replies->skipping = !replies->count;
}

/* ---- COPY from the client ---- */

/* What was sent behind the statement that copies, up to the first end of a COPY or the last
 * entry. */
static uint32_t copy_region(const struct replies *replies)
{
	uint32_t i = 1;

	while (i < replies->count && *at(replies, i) != REPLY_COPY_END)
		i++;
	return i;
}

static bool is_sent(const struct replies *replies, enum reply reply, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++) {
		if (*at(replies, i) == reply)
			return true;
	}
	return false;
}

/*
 * The COPY has ended as it should: the server read all that was sent up to its end while it was
 * copying, and ignores a Sync there. Anything else than a Sync would have failed the COPY.
 */
static bool end_copying(struct replies *replies)
{
	uint32_t end = copy_region(replies);
	bool had_sync = is_sent(replies, REPLY_SYNC, 1, end);

	if (end == replies->count)
		return false; /* ended, and nobody said that it should */
	for (uint32_t i = 1; i < end; i++) {
		if (*at(replies, i) != REPLY_SYNC)
			return false;
	}
	uint8_t head = *at(replies, 0);
	replies->first += end;
	replies->count -= end;
	*at(replies, 0) = head;
	replies->copying = false;
	if (had_sync && head == REPLY_EXECUTE && !is_sent(replies, REPLY_SYNC, 1, replies->count))
		replies->batch = true; /* the Sync that closed it did not count */
	return true;
}

/*
 * The COPY has failed, at a place in what was sent that is not to be known. A Sync from before
 * its end was ignored if it was read before the failure, and is answered if it was read behind
 * it; in a simple query, the same goes for any message. What the server still owes is then
 * uncertain for good.
 */
static void fail_copying(struct replies *replies, enum reply head)
{
	uint32_t end = copy_region(replies);

	replies->copying = false;
	replies->lost = head == REPLY_QUERY ? end > 1 : is_sent(replies, REPLY_SYNC, 1, end);
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

	if (replies->lost)
		return true;
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
		if (replies->copying && !end_copying(replies))
			return false;
		return next == REPLY_QUERY || expect(replies, REPLY_EXECUTE, next);
	case 'I':
		return next == REPLY_QUERY || expect(replies, REPLY_EXECUTE, next);
	case 'D':
	case 'd':
	case 'c':
	case 'H':
		return next == REPLY_QUERY || next == REPLY_EXECUTE;
	case 'G':
		replies->copying = next == REPLY_QUERY || next == REPLY_EXECUTE;
		return replies->copying;
	case 'V':
		return next == REPLY_QUERY;
	case 'E':
		*ours = false; /* what failed may be ours, but the client is owed the error */
		if (replies->copying)
			fail_copying(replies, next);
		if (next != REPLY_QUERY && next != REPLY_NONE && !replies->lost)
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

bool replies_asked(struct replies *replies, char type)
{
	if (replies->lost || (replies->skipping && type != 'S'))
		return true;
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
		replies->batch = replies->skipping = false;
		return replies_push(replies, REPLY_SYNC);
	case 'Q':
	case 'F':
		return replies_push(replies, REPLY_QUERY);
	case 'c':
	case 'f':
		return !replies->count || replies_push(replies, REPLY_COPY_END);
	default:
		return true;
	}
}
