#include "policy/fold.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* What a byte begins. Bytes from 0x80 on stand in identifiers. */
enum { OTHER, WORD, DIGIT, QUOTE, IDENTIFIER_QUOTE, DOLLAR, SLASH, MINUS, AMPERSAND };

static const uint8_t kinds[256] = {
	['a' ... 'z'] = WORD,
	['A' ... 'Z'] = WORD,
	['_'] = WORD,
	[0x80 ... 0xff] = WORD,
	['0' ... '9'] = DIGIT,
	['\''] = QUOTE,
	['"'] = IDENTIFIER_QUOTE,
	['$'] = DOLLAR,
	['/'] = SLASH,
	['-'] = MINUS,
	['&'] = AMPERSAND,
};

struct folder {
	const char *from, *at, *end;
	char *to;
	bool has_values;
};

static uint8_t kind(const char *at)
{
	return kinds[(uint8_t)*at];
}

static bool is_in_word(const char *at)
{
	uint8_t of = kind(at);

	return of == WORD || of == DIGIT || of == DOLLAR;
}

static void copy_to(struct folder *folder, const char *to)
{
	size_t len = (size_t)(to - folder->at);

	memcpy(folder->to, folder->at, len);
	folder->to += len;
	folder->at = to;
}

/* A key word or an identifier; one with a quote right behind it may be a string's prefix. */
static bool take_word(struct folder *folder)
{
	const char *at = folder->at;

	while (at < folder->end && is_in_word(at))
		at++;
	if (at < folder->end && *at == '\'')
		return false;
	copy_to(folder, at);
	return true;
}

/* Digits, with at most one point before, among or behind them: `.1.5` is two numbers. */
static bool take_number(struct folder *folder)
{
	const char *at = folder->at;
	int points = at > folder->from && at[-1] == '.';

	for (; at < folder->end && (kind(at) == DIGIT || *at == '.'); at++)
		points += *at == '.';
	if (points > 1 || (at < folder->end && is_in_word(at)))
		return false;
	folder->at = at;
	*folder->to++ = '0';
	folder->has_values = true;
	return true;
}

/* A parameter, which is no value; else a dollar quote. */
static bool take_parameter(struct folder *folder)
{
	const char *at = folder->at + 1;

	while (at < folder->end && kind(at) == DIGIT)
		at++;
	if (at == folder->at + 1 || (at < folder->end && is_in_word(at)))
		return false;
	copy_to(folder, at);
	return true;
}

/* Behind the closing quote, or NULL. A doubled one does not close. */
static const char *skip_quoted(const struct folder *folder, char quote)
{
	const char *at = folder->at + 1;

	for (; at < folder->end; at++) {
		if (*at == '\\')
			return NULL;
		if (*at != quote)
			continue;
		if (at + 1 == folder->end || at[1] != quote)
			return at + 1;
		at++;
	}
	return NULL;
}

static bool take_string(struct folder *folder)
{
	const char *behind = skip_quoted(folder, '\'');

	if (!behind)
		return false;
	folder->at = behind;
	*folder->to++ = '\'';
	*folder->to++ = '\'';
	folder->has_values = true;
	return true;
}

static bool take_identifier(struct folder *folder)
{
	const char *behind = skip_quoted(folder, '"');

	if (!behind)
		return false;
	copy_to(folder, behind);
	return true;
}

/* One that holds no other. */
static bool take_comment(struct folder *folder)
{
	const char *at = folder->at + 2;

	for (; at + 1 < folder->end; at++) {
		if (at[0] == '/' && at[1] == '*')
			return false;
		if (at[0] != '*' || at[1] != '/')
			continue;
		memcpy(folder->to, "/**/", 4);
		folder->to += 4;
		folder->has_values |= at > folder->at + 2;
		folder->at = at + 2;
		return true;
	}
	return false;
}

static bool take(struct folder *folder)
{
	char next = folder->at + 1 < folder->end ? folder->at[1] : '\0';

	switch (kind(folder->at)) {
	case WORD:
		return take_word(folder);
	case DIGIT:
		return take_number(folder);
	case QUOTE:
		return take_string(folder);
	case IDENTIFIER_QUOTE:
		return take_identifier(folder);
	case DOLLAR:
		return take_parameter(folder);
	case SLASH:
		if (next == '*')
			return take_comment(folder);
		break;
	case MINUS:
		if (next == '-')
			return false;
		break;
	case AMPERSAND:
		if (next == '\'' || next == '"')
			return false;
		break;
	default:
		break;
	}
	copy_to(folder, folder->at + 1);
	return true;
}

size_t fold(const char *text, size_t len, char *out)
{
	struct folder folder = {.from = text, .at = text, .end = text + len, .to = out};

	if (len > FOLD_MAX)
		return 0;
	while (folder.at < folder.end) {
		if (!take(&folder))
			return 0;
	}
	return folder.has_values ? (size_t)(folder.to - out) : 0;
}
