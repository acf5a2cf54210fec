/*
 * wire.h: messages of the PostgreSQL wire protocol, versions 3.0 and 3.2.
 *
 * Source: PostgreSQL documentation, chapter "Frontend/Backend Protocol", sections "Message
 * Formats" and "Error and Notice Message Fields". A message is a type byte, a length word that
 * counts itself and the body, and the body. All builders append one whole message to a buffer
 * and return false, with nothing appended that matters, when memory is out.
 */
#ifndef PROXY_WIRE_H
#define PROXY_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "policy/reason.h"

#define WIRE_HEADER      5     /* type byte and length word */
#define WIRE_INSPECT_MAX 32768 /* bytes of a message whose body must be seen whole */
#define WIRE_VERSION_3_0 0x30000u
#define WIRE_VERSION_3_2 0x30002u

/* Authentication requests. */
enum {
	AUTH_OK = 0,
	AUTH_CLEARTEXT = 3,
	AUTH_MD5 = 5,
	AUTH_SASL = 10,
	AUTH_SASL_CONTINUE = 11,
	AUTH_SASL_FINAL = 12
};

/* SSLRequest, whole. */
static const uint8_t wire_ssl_request[] = {0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f};

static inline uint32_t wire_u32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline uint16_t wire_u16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

/*
 * Begins a message and remembers where its length belongs; wire_end fills it in. Between the
 * two the body is appended with buf_append_*. A type of 0 makes a message without a type byte
 * (startup).
 */
bool wire_begin(struct buf *out, char type, size_t *mark);
bool wire_end(struct buf *out, size_t mark);

/* A message with the given body. */
bool wire_message(struct buf *out, char type, const void *body, size_t len);

bool wire_query(struct buf *out, const char *sql);
bool wire_ready_for_query(struct buf *out, char status);
bool wire_command_complete(struct buf *out, const char *tag);
bool wire_parameter_status(struct buf *out, const char *name, const char *value);
bool wire_authentication(struct buf *out, uint32_t request, const void *data, size_t len);

/* Parse of the statement `name` with no parameter types given. */
bool wire_parse(struct buf *out, const char *name, const char *sql);

/* Unnamed Parse, Bind (all text), Execute and Sync of one statement. */
bool wire_execute(struct buf *out, const char *sql, const char *const values[], size_t count);

/* ErrorResponse by the table of reasons; `detail` may be NULL. Severity is ERROR or FATAL. */
bool wire_error(struct buf *out, const char *severity, enum reason reason, const char *detail);

/* The fields of an ErrorResponse; hint may be NULL, and position 0 for none. */
struct wire_error {
	const char *severity, *sqlstate, *message, *hint;
	int position; /* in the statement, in characters from 1 on */
};

bool wire_error_full(struct buf *out, const struct wire_error *error, const char *detail);

/* ErrorResponse with a message of its own. */
bool wire_error_text(struct buf *out, const char *severity, const char *sqlstate,
					 const char *message, const char *detail);

/*
 * The value of one field of an ErrorResponse or NoticeResponse body, or NULL when it is missing
 * or not ended by a NUL inside the body. ErrorResponses without a SQLSTATE happen.
 */
const char *wire_error_field(const uint8_t *body, size_t len, char field);

/*
 * The next value of a DataRow body, at body[*at]; moves *at behind it. NULL has *value NULL and
 * no bytes. False when it does not end inside the body.
 */
bool wire_value(const uint8_t *body, size_t len, size_t *at, const uint8_t **value,
				size_t *size);

/* A NUL-terminated string that starts at body[*at] and ends inside the body; moves *at behind
 * it. */
const char *wire_cstr(const uint8_t *body, size_t len, size_t *at);

#endif
