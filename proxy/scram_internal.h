/*
 * scram_internal.h: what both roles of SCRAM share; included by the scram_*.c files alone.
 */
#ifndef PROXY_SCRAM_INTERNAL_H
#define PROXY_SCRAM_INTERNAL_H

#include "proxy/scram.h"

/* Random bytes of a nonce of ours: 24 characters of base64 without padding. */
#define SCRAM_NONCE_RANDOM 18

/* `name=value`; the value is borrowed from the message and not NUL-terminated. */
struct scram_attribute {
	char name;
	const char *value;
	size_t len;
};

struct scram_reader {
	const char *at, *end;
};

/* False when the message is empty, longer than SCRAM_MESSAGE_MAX or holds a NUL. */
bool scram_reader_init(struct scram_reader *reader, const uint8_t *message, size_t len);

static inline bool scram_reader_done(const struct scram_reader *reader)
{
	return reader->at == reader->end;
}

/* Takes one attribute and the comma behind it, which must be followed by another. */
bool scram_read_any(struct scram_reader *reader, struct scram_attribute *out);

/* As scram_read_any; the attribute must have this name. */
bool scram_read(struct scram_reader *reader, char name, struct scram_attribute *out);

/*
 * May the attribute stand where a message allows extensions? Its name must be a letter that RFC
 * 5802 gives no other meaning and that was not there before; `seen` starts at 0.
 */
bool scram_is_extension(const struct scram_attribute *attribute, uint64_t *seen);

/* Is the value a nonce: 1 to SCRAM_NONCE_MAX printable characters without a comma? */
bool scram_is_nonce(const struct scram_attribute *attribute);

/* The bytes as a string, and two strings joined; from malloc, NULL when memory is out. */
char *scram_copy(const char *text, size_t len);
char *scram_join(const char *first, const char *second);

/* The GS2 header of each way (RFC 5802, section 7). */
#define SCRAM_GS2_NONE  "n,,"
#define SCRAM_GS2_COULD "y,,"
#define SCRAM_GS2_BOUND "p=tls-server-end-point,,"

/* Appends what `c=` says: header, and with SCRAM_GS2_BOUND the binding, in base64. False when
 * memory is out. */
bool scram_append_binding(struct buf *out, const char *gs2,
						  const struct scram_binding *binding);

/* A fresh nonce; from malloc, NULL when memory is out. */
char *scram_make_nonce(void);

/* HMAC under `key` over AuthMessage: the three parts of RFC 5802, section 3, joined by commas.
 */
bool scram_sign(const uint8_t key[SCRAM_KEY_SIZE], const char *client_bare,
				const char *server_first, size_t server_first_len, const char *client_final,
				size_t client_final_len, uint8_t out[SCRAM_KEY_SIZE]);

#endif
