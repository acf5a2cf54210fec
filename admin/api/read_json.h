/*
 * read_json.h: a request's body as JSON (RFC 8259), read strictly.
 *
 * jansson reads it; what it would let pass or not say well is looked at here: depth, names that
 * occur twice, NUL in texts, and where in the document something is wrong.
 */
#ifndef ADMIN_API_READ_JSON_H
#define ADMIN_API_READ_JSON_H

#include <stddef.h>

#include <jansson.h>

#define API_JSON_DEPTH 32

/* What is wrong: a field as body.limits.rate or body.items[3], and a sentence. */
struct api_fault {
	char field[160];
	char detail[160];
};

/* A new value, or NULL with the fault. */
json_t *api_read_json(const char *text, size_t len, struct api_fault *fault);

/* The field at a byte of the text, as it is said in faults; the text may be malformed. */
void api_json_place(const char *text, size_t len, size_t offset, char *out, size_t size);

/* Takes the blanks between the values out of a JSON text, in place: PostgreSQL writes some. */
void api_json_compact(char *text);

#endif
