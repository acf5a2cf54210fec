#include "base/utf8.h"

#include <stdint.h>

static bool continues(uint8_t byte)
{
	return (byte & 0xc0) == 0x80;
}

/* RFC 3629, section 4: the second byte alone decides what is overlong, a surrogate or too
 * large. */
static bool second_fits(uint8_t first, uint8_t second)
{
	switch (first) {
	case 0xe0:
		return second >= 0xa0;
	case 0xed:
		return second <= 0x9f;
	case 0xf0:
		return second >= 0x90;
	case 0xf4:
		return second <= 0x8f;
	default:
		return true;
	}
}

static size_t announced_length(uint8_t first)
{
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first <= 0xdf)
		return 2;
	if (first >= 0xe0 && first <= 0xef)
		return 3;
	if (first >= 0xf0 && first <= 0xf4)
		return 4;
	return 0;
}

size_t utf8_character(const char *text, size_t len)
{
	const uint8_t *in = (const uint8_t *)text;
	size_t expected = len ? announced_length(in[0]) : 0;

	if (expected > len)
		return 0;
	for (size_t i = 1; i < expected; i++) {
		if (!continues(in[i]))
			return 0;
	}
	if (expected > 1 && !second_fits(in[0], in[1]))
		return 0;
	return expected;
}

bool utf8_valid(const char *text, size_t len)
{
	while (len) {
		size_t step = utf8_character(text, len);

		if (!step)
			return false;
		text += step;
		len -= step;
	}
	return true;
}
