#include "base/buf.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"

#define BUF_SMALLEST 256

void buf_init(struct buf *buf)
{
	memset(buf, 0, sizeof *buf);
}

void buf_fini(struct buf *buf)
{
	free(buf->memory);
	buf_init(buf);
}

void buf_wipe(struct buf *buf)
{
	if (buf->memory)
		secret_wipe(buf->memory, buf->size);
	buf_fini(buf);
}

bool buf_reserve(struct buf *buf, size_t len)
{
	size_t live = buf_len(buf);

	if (buf->size - buf->end >= len)
		return true;
	if (len > SIZE_MAX / 2 - live)
		return false;
	if (buf->size - live >= len && live <= buf->size / 2) {
		memmove(buf->memory, buf_data(buf), live);
	} else {
		size_t size = buf->size ? buf->size : BUF_SMALLEST;

		while (size - live < len)
			size *= 2;

		/* Not realloc: it would leave an unwiped copy of a secret where the old block was. */
		uint8_t *memory = malloc(size);
		if (!memory)
			return false;
		if (live)
			memcpy(memory, buf->memory + buf->start, live);
		if (buf->memory)
			secret_wipe(buf->memory, buf->size);
		free(buf->memory);
		buf->memory = memory;
		buf->size = size;
	}
	buf->start = 0;
	buf->end = live;
	return true;
}

bool buf_append(struct buf *buf, const void *data, size_t len)
{
	if (!buf_reserve(buf, len))
		return false;
	if (len)
		memcpy(buf->memory + buf->end, data, len);
	buf->end += len;
	return true;
}

bool buf_append_byte(struct buf *buf, uint8_t byte)
{
	return buf_append(buf, &byte, 1);
}

bool buf_append_u16(struct buf *buf, uint16_t value)
{
	value = htons(value);
	return buf_append(buf, &value, sizeof value);
}

bool buf_append_u32(struct buf *buf, uint32_t value)
{
	value = htonl(value);
	return buf_append(buf, &value, sizeof value);
}

bool buf_append_cstr(struct buf *buf, const char *text)
{
	return buf_append(buf, text, strlen(text) + 1);
}

bool buf_appendf(struct buf *buf, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len < 0 || !buf_reserve(buf, (size_t)len + 1))
		return false;
	va_start(args, format);
	vsnprintf((char *)buf->memory + buf->end, (size_t)len + 1, format, args);
	va_end(args);
	buf->end += (size_t)len;
	return true;
}

void buf_consume(struct buf *buf, size_t len)
{
	if (len >= buf_len(buf))
		buf_fini(buf);
	else
		buf->start += len;
}

void buf_truncate(struct buf *buf, size_t len)
{
	if (len < buf_len(buf))
		buf->end = buf->start + len;
}
