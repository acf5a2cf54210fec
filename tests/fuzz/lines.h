/*
 * lines.h: whole messages that an input may choose by a byte each.
 */
#ifndef TESTS_FUZZ_LINES_H
#define TESTS_FUZZ_LINES_H

#include <stddef.h>

struct line {
	char type;
	const char *body;
	size_t len;
};

/* `body` is a literal, of which all but the last NUL counts. */
#define LINE(type, body)                                                                       \
	{                                                                                          \
		type, body, sizeof body - 1                                                            \
	}

#endif
