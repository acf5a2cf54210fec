/*
 * utf8.h: is this UTF-8? (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.)
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* The length (1 to 4) of the character at the start of `len` bytes; 0 when there is no valid
 * one. */
size_t utf8_character(const char *text, size_t len);

/* Are these `len` bytes valid from the first to the last? A NUL is a character like any other.
 */
bool utf8_valid(const char *text, size_t len);

#endif
