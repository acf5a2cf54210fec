/*
 * uuid.h: a tenant's name for itself.
 *
 * Sixteen bytes in network order, as PostgreSQL stores them. Text forms are the 36-character
 * one with dashes and the 32-character one without; both are lower case when we write them and
 * any case when we read them.
 */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UUID_HEX_SIZE  33 /* 32 digits and the NUL */
#define UUID_TEXT_SIZE 37 /* with dashes, and the NUL */

struct uuid {
	uint8_t b[16];
};

/* Reads either form from exactly `len` bytes; false, with *out untouched, when it is neither.
 */
bool uuid_parse(const char *text, size_t len, struct uuid *out);

/* Writes 32 lower-case hex digits and a NUL. */
void uuid_hex(const struct uuid *uuid, char out[UUID_HEX_SIZE]);

/* Writes the dashed form and a NUL. */
void uuid_text(const struct uuid *uuid, char out[UUID_TEXT_SIZE]);

bool uuid_equal(const struct uuid *a, const struct uuid *b);

#endif
