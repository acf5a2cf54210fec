#include "policy/bounds.h"

#include <string.h>
#include <strings.h>

/* The classes of bytes, as scan.l has them. */
enum kind {
	BLANK = 1,
	LETTER, /* what an identifier begins with; every byte above ASCII is one */
	DIGIT,
	OPERATOR,
	QUOTE,
	DOUBLE_QUOTE,
	DOLLAR,
	DOT,
	COMMA,
	SEMICOLON,
	COLON,
	OPENING,
	CLOSING,
	OTHER, /* no token of PostgreSQL's: the parser is to say so */
	END,   /* NUL */
};

static const uint8_t kinds[256] = {
	[0] = END,
	[1 ... 8] = OTHER,
	['\t'] = BLANK,
	['\n'] = BLANK,
	['\v'] = OTHER,
	['\f'] = BLANK,
	['\r'] = BLANK,
	[14 ... 31] = OTHER,
	[' '] = BLANK,
	['!'] = OPERATOR,
	['"'] = DOUBLE_QUOTE,
	['#'] = OPERATOR,
	['$'] = DOLLAR,
	['%'] = OPERATOR,
	['&'] = OPERATOR,
	['\''] = QUOTE,
	['('] = OPENING,
	[')'] = CLOSING,
	['*'] = OPERATOR,
	['+'] = OPERATOR,
	[','] = COMMA,
	['-'] = OPERATOR,
	['.'] = DOT,
	['/'] = OPERATOR,
	['0' ... '9'] = DIGIT,
	[':'] = COLON,
	[';'] = SEMICOLON,
	['<' ... '>'] = OPERATOR,
	['?'] = OPERATOR,
	['@'] = OPERATOR,
	['A' ... 'Z'] = LETTER,
	['['] = OPENING,
	['\\'] = OTHER,
	[']'] = CLOSING,
	['^'] = OPERATOR,
	['_'] = LETTER,
	['`'] = OPERATOR,
	['a' ... 'z'] = LETTER,
	['{'] = OTHER,
	['|'] = OPERATOR,
	['}'] = OTHER,
	['~'] = OPERATOR,
	[127] = OTHER,
	[128 ... 255] = LETTER,
};

/* How many operators have been seen in an operand, at one level of parentheses. */
struct level {
	uint32_t now, most;
};

struct look {
	char *text, *at, *end;
	struct buf *segments;
	struct segment segment;
	uint32_t dots, tokens, nested_comments;
	bool behind_dot;
	/* A string was the last token, and a comment that is not a line's came behind it. */
	bool behind_string, comment_behind_string;
	bool memory_is_out;
	int depth;
	struct level levels[BOUNDS_NESTING + 1];
};

static enum kind kind_at(const char *at)
{
	return kinds[(uint8_t)*at];
}

static bool is_newline(char c)
{
	return c == '\n' || c == '\r';
}

/* ---- what takes more than one byte ---- */

static char *line_end(char *at)
{
	while (*at && !is_newline(*at))
		at++;
	return at;
}

/*
 * A string goes on behind its end where only blanks and comments to the end of a line stand
 * between it and the next quote, a newline among them. Returns the place behind that quote, or
 * NULL.
 */
static char *continuation(char *at)
{
	bool newline = false;

	for (;; at++) {
		if (kind_at(at) == BLANK) {
			newline |= is_newline(*at);
		} else if (at[0] == '-' && at[1] == '-') {
			at = line_end(at);
			if (!*at)
				return NULL;
			newline = true;
		} else {
			return newline && *at == '\'' ? at + 1 : NULL;
		}
	}
}

static void blank(char *from, char *to)
{
	for (; from < to; from++) {
		if (!is_newline(*from))
			*from = ' ';
	}
}

/* Line comments between two parts of a string are for blanking, too. */
static void blank_line_comments(char *from, char *to)
{
	while (from < to) {
		char *end = *from == '-' ? line_end(from) : from + 1;

		if (*from == '-')
			blank(from, end);
		from = end;
	}
}

/* From behind the opening quote to behind the closing one; NULL when there is none. */
static char *string_end(char *at, bool has_escapes)
{
	for (;; at++) {
		if (!*at)
			return NULL;
		if (*at == '\\' && has_escapes) {
			at++;
			if (!*at)
				return NULL;
		} else if (*at == '\'') {
			if (at[1] == '\'') {
				at++;
				continue;
			}
			char *next = continuation(at + 1);

			if (!next)
				return at + 1;
			blank_line_comments(at + 1, next);
			at = next - 1;
		}
	}
}

static char *quoted_name_end(char *at)
{
	for (;; at++) {
		if (!*at)
			return NULL;
		if (*at == '"') {
			if (at[1] != '"')
				return at + 1;
			at++;
		}
	}
}

/*
 * The end of $tag$ … $tag$; behind the digits of a parameter, and behind a dollar that begins
 * nothing. NULL when the string does not end.
 */
static char *dollar_end(struct look *look, char *start)
{
	char *at = start + 1;

	if (kind_at(at) == DIGIT) {
		while (kind_at(at) == DIGIT)
			at++;
		return at;
	}
	while (kind_at(at) == LETTER || (kind_at(at) == DIGIT && at > start + 1))
		at++;
	if (*at != '$')
		return start + 1;
	at++;

	size_t len = (size_t)(at - start);
	char *close = memmem(at, (size_t)(look->end - at), start, len);
	return close ? close + len : NULL;
}

/* Blanks a comment that may have others in it, and moves behind it. */
static enum sql_reading take_comment(struct look *look)
{
	char *start = look->at, *at = start + 2;
	int nesting = 1;

	while (nesting) {
		if (!*at)
			return SQL_UNREADABLE;
		if (at[0] == '*' && at[1] == '/') {
			nesting--;
			at += 2;
		} else if (at[0] == '/' && at[1] == '*') {
			if (++nesting > BOUNDS_COMMENT_NESTING ||
				++look->nested_comments > BOUNDS_NESTED_COMMENTS)
				return SQL_TOO_DEEP;
			at += 2;
		} else {
			at++;
		}
	}
	blank(start, at);
	look->comment_behind_string |= look->behind_string;
	look->at = at;
	return SQL_READ;
}

static void take_line_comment(struct look *look)
{
	char *end = line_end(look->at);

	blank(look->at, end);
	look->at = end;
}

/* ---- tokens ---- */

static void note_token(struct look *look, char *end)
{
	if (look->segment.is_empty)
		look->segment.first = (uint32_t)(look->at - look->text);
	look->segment.is_empty = false;
	look->segment.last = (uint32_t)(end - look->text);
	look->at = end;
	look->behind_string = look->comment_behind_string = false;
}

static enum sql_reading add_operators(struct look *look, size_t count)
{
	struct level *level = &look->levels[look->depth];

	level->now += (uint32_t)count;
	return level->now > BOUNDS_OPERANDS ? SQL_TOO_DEEP : SQL_READ;
}

/* The next operand is no longer to the right of those before. */
static void begin_operand(struct look *look)
{
	struct level *level = &look->levels[look->depth];

	if (level->most < level->now)
		level->most = level->now;
	level->now = 0;
}

static enum sql_reading take_operators(struct look *look)
{
	char *at = look->at;

	while (kind_at(at) == OPERATOR && !(at[0] == '-' && at[1] == '-') &&
		   !(at[0] == '/' && at[1] == '*'))
		at++;

	size_t run = (size_t)(at - look->at);
	note_token(look, at);
	return run > BOUNDS_OPERATOR_RUN ? SQL_TOO_DEEP : add_operators(look, run);
}

static bool is_word(const char *at, size_t len, const char *word)
{
	return strncasecmp(at, word, len) == 0;
}

/* Words that are operators, or end the operand to their left. */
static enum sql_reading weigh_word(struct look *look, const char *at, size_t len)
{
	if (look->behind_dot)
		return SQL_READ;
	switch (len) {
	case 2:
		if (is_word(at, len, "at"))
			return add_operators(look, 1);
		if (is_word(at, len, "or"))
			begin_operand(look);
		return SQL_READ;
	case 3:
		if (is_word(at, len, "and"))
			begin_operand(look);
		return SQL_READ;
	case 7:
		return is_word(at, len, "collate") ? add_operators(look, 1) : SQL_READ;
	case 8:
		return is_word(at, len, "operator") ? add_operators(look, 1) : SQL_READ;
	default:
		return SQL_READ;
	}
}

static enum sql_reading take_word(struct look *look)
{
	char *start = look->at, *at = start;

	while (kind_at(at) == LETTER || kind_at(at) == DIGIT || kind_at(at) == DOLLAR)
		at++;
	note_token(look, at);
	return weigh_word(look, start, (size_t)(at - start));
}

static enum sql_reading take_until(struct look *look, char *end)
{
	if (!end)
		return SQL_UNREADABLE;
	note_token(look, end);
	return SQL_READ;
}

static enum sql_reading take_string(struct look *look, char *start, bool has_escapes)
{
	/* The server has two strings here, and no statement with two in a row; a parser that sees
	 * blanks in place of the comment might make one of them. */
	if (look->behind_string && look->comment_behind_string)
		return SQL_UNREADABLE;
	if (take_until(look, string_end(start + 1, has_escapes)) != SQL_READ)
		return SQL_UNREADABLE;
	look->behind_string = true;
	return SQL_READ;
}

static bool begins_escape_string(const char *at)
{
	return (*at == 'e' || *at == 'E') && at[1] == '\'';
}

static enum sql_reading open_level(struct look *look)
{
	if (look->depth == BOUNDS_NESTING)
		return SQL_TOO_DEEP;
	look->levels[++look->depth] = (struct level){0};
	return SQL_READ;
}

/* What was inside is to the left of what follows. */
static enum sql_reading close_level(struct look *look)
{
	if (!look->depth)
		return SQL_UNREADABLE;
	begin_operand(look);
	return add_operators(look, look->levels[look->depth--].most + 1);
}

static void end_segment(struct look *look)
{
	struct segment *segment = &look->segment;

	segment->end = (uint32_t)(look->at - look->text);
	if (!buf_append(look->segments, segment, sizeof *segment))
		look->memory_is_out = true;
	*segment = (struct segment){.start = segment->end + 1, .is_empty = true};
}

static enum sql_reading take_token(struct look *look)
{
	char *at = look->at;

	if (++look->tokens > SQL_TOKENS_MAX)
		return SQL_TOO_DEEP;
	switch (kind_at(at)) {
	case LETTER:
		return begins_escape_string(at) ? take_string(look, at + 1, true) : take_word(look);
	case OPERATOR:
		return take_operators(look);
	case QUOTE:
		return take_string(look, at, false);
	case DOUBLE_QUOTE:
		return take_until(look, quoted_name_end(at + 1));
	case DOLLAR:
		return take_until(look, dollar_end(look, at));
	case DIGIT:
		while (kind_at(at) == DIGIT)
			at++;
		note_token(look, at);
		return SQL_READ;
	case DOT:
		note_token(look, at + 1);
		return ++look->dots > BOUNDS_NAME_DOTS ? SQL_TOO_DEEP : SQL_READ;
	case COLON:
		note_token(look, at + 1);
		return add_operators(look, 1);
	case OPENING:
		note_token(look, at + 1);
		return open_level(look);
	case CLOSING:
		note_token(look, at + 1);
		return close_level(look);
	case COMMA:
		note_token(look, at + 1);
		begin_operand(look);
		return SQL_READ;
	case SEMICOLON:
		end_segment(look);
		look->at++;
		look->behind_string = false;
		begin_operand(look);
		return SQL_READ;
	case BLANK:
	case OTHER:
	case END:
		break;
	}
	return SQL_UNREADABLE;
}

/*
 * Names and the dots between them are one, U&"…" UESCAPE '…' among them; anything else ends the
 * row of dots.
 */
static bool is_part_of_name(const char *at)
{
	switch (kind_at(at)) {
	case LETTER:
	case QUOTE:
	case DOUBLE_QUOTE:
	case DOT:
		return true;
	case OPERATOR:
		return at[0] == '&' && at[1] == '"';
	default:
		return false;
	}
}

static enum sql_reading look_at_next(struct look *look)
{
	char *at = look->at;
	enum kind kind = kind_at(at);
	enum sql_reading reading;

	if (kind == BLANK) {
		look->at++;
		return SQL_READ;
	}
	if (at[0] == '-' && at[1] == '-') {
		take_line_comment(look);
		return SQL_READ;
	}
	if (at[0] == '/' && at[1] == '*')
		return take_comment(look);
	if (!is_part_of_name(at))
		look->dots = 0;
	reading = take_token(look);
	look->behind_dot = kind == DOT;
	return reading;
}

enum sql_reading bounds_look(char *text, size_t len, struct buf *segments, bool *memory_is_out)
{
	struct look look;
	enum sql_reading reading = SQL_READ;

	memset(&look, 0, offsetof(struct look, levels));
	look.levels[0] = (struct level){0};
	look.text = look.at = text;
	look.end = text + len;
	look.segments = segments;
	look.segment.is_empty = true;
	while (look.at < look.end && reading == SQL_READ)
		reading = look_at_next(&look);
	if (reading == SQL_READ)
		end_segment(&look);
	*memory_is_out = look.memory_is_out;
	return reading;
}
