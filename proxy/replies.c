#include "proxy/replies.h"

#include <stdlib.h>
#include <string.h>

static struct reply_item *item(const struct replies *replies, uint32_t index)
{
	return &replies->items[(replies->first + index) & (replies->size - 1)];
}

static uint8_t at(const struct replies *replies, uint32_t index)
{
	return item(replies, index)->reply;
}

/* The kind of one entry, without flags. */
static enum reply kind_at(const struct replies *replies, uint32_t index)
{
	return (enum reply)(at(replies, index) & (REPLY_OURS - 1));
}

static void settle(struct replies *replies, uint32_t index, enum reply_fate fate)
{
	struct reply_note *note = item(replies, index)->note;

	if (!note)
		return;
	item(replies, index)->note = NULL;
	replies->noted(replies->owner, note, fate);
}

void replies_init(struct replies *replies, replies_noted *noted, void *owner)
{
	replies->noted = noted;
	replies->owner = owner;
	replies->items = replies->inline_items;
	replies->first = replies->count = 0;
	replies->size = REPLIES_INLINE;
	replies->ended = replies->copying = replies->batch = replies->bound = false;
	replies->skipping = replies->lost = false;
}

void replies_fini(struct replies *replies)
{
	for (uint32_t i = replies->count; i > 0; i--)
		settle(replies, i - 1, REPLY_DROPPED);
	if (replies->items != replies->inline_items)
		free(replies->items);
	replies_init(replies, replies->noted, replies->owner);
}

void replies_clear(struct replies *replies)
{
	replies_fini(replies);
}

/* Takes the first entry off, and marks of ended COPYs behind it: what stands first is always
 * owed. */
static void pop(struct replies *replies)
{
	settle(replies, 0, REPLY_DONE);
	do {
		replies->first++;
		replies->count--;
	} while (replies->count && at(replies, 0) == REPLY_COPY_END);
}

bool replies_is_empty(const struct replies *replies)
{
	if (replies->batch || replies->skipping || replies->lost)
		return false;
	return !replies->count;
}

bool replies_may_end_batch(const struct replies *replies)
{
	return replies->batch && !replies->bound && !replies->skipping && !replies->lost &&
		   !replies->count;
}

bool replies_has_several(const struct replies *replies)
{
	uint32_t ends = 0;

	for (uint32_t i = 0; i < replies->count && ends < 2; i++) {
		uint8_t reply = at(replies, i);

		ends += reply == REPLY_SYNC || reply == REPLY_QUERY;
	}
	return ends > 1;
}

bool replies_skip_statement(const struct replies *replies)
{
	bool is_skipping = true, skipped = false;

	for (uint32_t i = 0; i < replies->count; i++) {
		bool changes =
			!item(replies, i)->note && (kind_at(replies, i) == REPLY_PARSE ||
										at(replies, i) == (REPLY_CLOSE | REPLY_OURS));

		if (kind_at(replies, i) == REPLY_SYNC)
			is_skipping = false;
		else if (changes && i)
			skipped = is_skipping;
	}
	return skipped;
}

static bool grow(struct replies *replies)
{
	struct reply_item *items = malloc((size_t)replies->size * 2 * sizeof *items);

	if (!items)
		return false;
	for (uint32_t i = 0; i < replies->count; i++)
		items[(replies->first + i) & (replies->size * 2 - 1)] = *item(replies, i);
	if (replies->items != replies->inline_items)
		free(replies->items);
	replies->items = items;
	replies->size *= 2;
	return true;
}

bool replies_push_note(struct replies *replies, enum reply reply, struct reply_note *note)
{
	if (replies->count >= REPLIES_MAX)
		return false;
	if (replies->count == replies->size && !grow(replies))
		return false;
	*item(replies, replies->count) = (struct reply_item){.note = note, .reply = (uint8_t)reply};
	replies->count++;
	replies->batches += reply == REPLY_SYNC || reply == REPLY_QUERY;
	return true;
}

bool replies_push(struct replies *replies, enum reply reply)
{
	return replies_push_note(replies, reply, NULL);
}

/* What is owed next, without REPLY_OURS, and whether it is ours; REPLY_NONE when nothing is. */
static inline enum reply next_owed(struct replies *replies, bool *ours)
{
	*ours = false;
	if (!replies->count)
		return REPLY_NONE;
	*ours = at(replies, 0) & REPLY_OURS;
	return kind_at(replies, 0);
}

enum reply replies_next(const struct replies *replies)
{
	return replies->count ? kind_at(replies, 0) : REPLY_NONE;
}

struct reply_note *replies_next_note(const struct replies *replies)
{
	return replies->count ? item(replies, 0)->note : NULL;
}

struct reply_note *replies_find_note(const struct replies *replies,
									 bool (*is)(const struct reply_note *note, uint64_t number),
									 uint64_t number)
{
	for (uint32_t i = 0; i < replies->count; i++) {
		if (item(replies, i)->note && is(item(replies, i)->note, number))
			return item(replies, i)->note;
	}
	return NULL;
}

/* An extended statement failed: the server reads on only behind the next Sync, sent or still to
 * come. */
static void skip_to_sync(struct replies *replies)
{
	uint32_t skipped = 0;

	while (skipped < replies->count && kind_at(replies, skipped) != REPLY_SYNC)
		skipped++;
	for (uint32_t i = skipped; i > 0; i--)
		settle(replies, i - 1, REPLY_SKIPPED);
	replies->first += skipped;
	replies->count -= skipped;
	replies->skipping = !replies->count;
}

/* ---- COPY from the client ---- */

/* What was sent behind the statement that copies, up to the first end of a COPY or the last
 * entry. */
static uint32_t copy_region(const struct replies *replies)
{
	uint32_t i = 1;

	while (i < replies->count && at(replies, i) != REPLY_COPY_END)
		i++;
	return i;
}

static bool is_sent(const struct replies *replies, enum reply reply, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++) {
		if (at(replies, i) == reply)
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
		if (at(replies, i) != REPLY_SYNC)
			return false;
	}
	struct reply_item head = *item(replies, 0);
	replies->first += end;
	replies->count -= end;
	*item(replies, 0) = head;
	replies->copying = false;
	if (had_sync && head.reply == REPLY_EXECUTE &&
		!is_sent(replies, REPLY_SYNC, 1, replies->count))
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

/* Answers of a simple query, any number of them; the last is one that may be its last. */
static bool query_goes_on(struct replies *replies, bool ended)
{
	replies->ended = ended;
	return true;
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
	enum reply next = next_owed(replies, ours);

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
		return next == REPLY_QUERY ? query_goes_on(replies, false)
								   : expect(replies, REPLY_DESCRIBE, next);
	case 't':
		return next == REPLY_DESCRIBE;
	case 's':
		return expect(replies, REPLY_EXECUTE, next);
	case 'C':
		if (replies->copying && !end_copying(replies))
			return false;
		return next == REPLY_QUERY ? query_goes_on(replies, true)
								   : expect(replies, REPLY_EXECUTE, next);
	case 'I':
		return next == REPLY_QUERY ? query_goes_on(replies, true)
								   : expect(replies, REPLY_EXECUTE, next);
	case 'D':
	case 'd':
	case 'c':
	case 'H':
		return next == REPLY_QUERY || next == REPLY_EXECUTE;
	case 'G':
		replies->copying = next == REPLY_QUERY || next == REPLY_EXECUTE;
		return replies->copying;
	case 'V':
		return next == REPLY_QUERY && query_goes_on(replies, true);
	case 'E':
		replies->ended = true;
		*ours = replies->count && at(replies, 0) & REPLY_QUIET; /* else the client is told */
		if (replies->copying)
			fail_copying(replies, next);
		if (next != REPLY_QUERY && next != REPLY_NONE && !replies->lost)
			skip_to_sync(replies);
		return true;
	case 'Z':
		if (next != REPLY_SYNC && (next != REPLY_QUERY || !replies->ended))
			return false;
		replies->ended = false;
		pop(replies);
		return true;
	default:
		return false;
	}
}

/* What a client's message leaves owed, by its type; nothing for all others. */
static const uint8_t owed[256] = {
	['P'] = REPLY_PARSE,    ['B'] = REPLY_BIND,     ['C'] = REPLY_CLOSE, ['D'] = REPLY_DESCRIBE,
	['E'] = REPLY_EXECUTE,  ['S'] = REPLY_SYNC,     ['Q'] = REPLY_QUERY, ['F'] = REPLY_QUERY,
	['c'] = REPLY_COPY_END, ['f'] = REPLY_COPY_END,
};

bool replies_asked(struct replies *replies, char type)
{
	return replies_asked_note(replies, type, NULL);
}

bool replies_asked_note(struct replies *replies, char type, struct reply_note *note)
{
	enum reply reply = (enum reply)owed[(uint8_t)type];

	if (reply == REPLY_NONE || replies->lost || (replies->skipping && reply != REPLY_SYNC)) {
		if (note)
			replies->noted(replies->owner, note, replies->lost ? REPLY_DROPPED : REPLY_SKIPPED);
		return true;
	}
	if (reply == REPLY_SYNC)
		replies->batch = replies->bound = replies->skipping = false;
	else if (reply < REPLY_SYNC) {
		replies->batch = true;
		replies->bound |= reply == REPLY_BIND || reply == REPLY_EXECUTE;
	} else if (reply == REPLY_COPY_END && !replies->count)
		return true; /* of a COPY that the server has given up */
	return replies_push_note(replies, reply, note);
}
