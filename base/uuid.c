#include "base/uuid.h"

#include <string.h>

#include "base/encode.h"

bool uuid_parse(const char *text, size_t len, struct uuid *out)
{
	char digits[32];
	size_t n = 0;

	if (len != 32 && len != 36)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (len == 36 && (i == 8 || i == 13 || i == 18 || i == 23)) {
			if (text[i] != '-')
				return false;
			continue;
		}
		digits[n++] = text[i];
	}

	struct uuid parsed;
	if (!hex_decode(digits, sizeof digits, parsed.b))
		return false;
	*out = parsed;
	return true;
}

void uuid_hex(const struct uuid *uuid, char out[UUID_HEX_SIZE])
{
	hex_encode(uuid->b, sizeof uuid->b, out);
}

void uuid_text(const struct uuid *uuid, char out[UUID_TEXT_SIZE])
{
	char hex[UUID_HEX_SIZE];
	static const int groups[] = {8, 4, 4, 4, 12};
	const char *from = hex;

	uuid_hex(uuid, hex);
	for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
		if (i)
			*out++ = '-';
		memcpy(out, from, (size_t)groups[i]);
		out += groups[i];
		from += groups[i];
	}
	*out = '\0';
}

bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a, b, sizeof *a) == 0;
}
