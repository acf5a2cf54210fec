/*
 * encode.h: hex and base64 (RFC 4648, with padding, no line breaks).
 */
#ifndef BASE_ENCODE_H
#define BASE_ENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes 2 * len lower-case digits and a NUL. */
void hex_encode(const void *data, size_t len, char *out);

/* Reads len digits (len even) into len / 2 bytes. False when a character is no hex digit or len
 * is odd. */
bool hex_decode(const char *text, size_t len, void *out);

/* Bytes that base64_encode writes for len bytes, NUL included. */
#define BASE64_SIZE(len) (((len) + 2) / 3 * 4 + 1)

/* Writes padded base64 and a NUL; returns the length without the NUL. */
size_t base64_encode(const void *data, size_t len, char *out);

/*
 * Decodes exactly len characters of padded base64 into at most `size` bytes. Returns the number
 * of bytes, or -1 when the text is not canonical base64 or does not fit.
 */
long base64_decode(const char *text, size_t len, void *out, size_t size);

#endif
