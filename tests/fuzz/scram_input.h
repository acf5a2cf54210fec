/*
 * scram_input.h: what the two SCRAM fuzz targets share. An input is two messages with an 0xff
 * between them; where the peer must repeat a nonce that it cannot know, `@` stands for it.
 */
#ifndef TESTS_FUZZ_SCRAM_INPUT_H
#define TESTS_FUZZ_SCRAM_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "tests/fuzz/fuzz.h"

/* Appends the message with every `@` replaced. */
static inline void expand(const uint8_t *data, size_t len, const char *nonce, struct buf *out)
{
	for (size_t i = 0; i < len; i++)
		require(data[i] == '@' ? buf_append(out, nonce, strlen(nonce))
							   : buf_append_byte(out, data[i]));
}

/* The length of the first message; the second starts at *second. */
static inline size_t split(const uint8_t *data, size_t size, size_t *second)
{
	const uint8_t *at = size ? memchr(data, 0xff, size) : NULL;

	*second = at ? (size_t)(at - data) + 1 : size;
	return at ? (size_t)(at - data) : size;
}

#endif
