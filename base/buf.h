/*
 * buf.h: a growable byte queue.
 *
 * Bytes are appended at the end and consumed from the start. A buffer holds no memory while it
 * is empty and untouched: buf_init allocates nothing, and buf_consume gives the memory back
 * when the last byte leaves. Every append says whether it worked; nothing is appended when it
 * did not.
 *
 * Integers are written in network order, as the PostgreSQL protocol has them.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *memory;
	size_t start, end, size; /* live bytes are memory[start..end) */
};

void buf_init(struct buf *buf);

/* Frees the memory; the buffer is empty and usable again. */
void buf_fini(struct buf *buf);

/*
 * As buf_fini, but the memory is wiped first: for buffers that held secrets. (Do not consume
 * such a buffer to its end: that frees without wiping.)
 */
void buf_wipe(struct buf *buf);

static inline size_t buf_len(const struct buf *buf)
{
	return buf->end - buf->start;
}

static inline uint8_t *buf_data(struct buf *buf)
{
	return buf->start ? buf->memory + buf->start : buf->memory;
}

/* Makes room for `len` more bytes behind the end. False when memory is out. */
bool buf_reserve(struct buf *buf, size_t len);

bool buf_append(struct buf *buf, const void *data, size_t len);
bool buf_append_byte(struct buf *buf, uint8_t byte);
bool buf_append_u16(struct buf *buf, uint16_t value);
bool buf_append_u32(struct buf *buf, uint32_t value);

/* Appends the string and its NUL. */
bool buf_append_cstr(struct buf *buf, const char *text);

/* Appends the formatted text without a NUL. */
bool buf_appendf(struct buf *buf, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Drops the first `len` bytes (at most all); the memory is freed when none is left. */
void buf_consume(struct buf *buf, size_t len);

/* Drops everything behind the first `len` live bytes. */
void buf_truncate(struct buf *buf, size_t len);

#endif
