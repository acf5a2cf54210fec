#include "proxy/wire.h"

#include <stdio.h>
#include <string.h>

bool wire_begin(struct buf *out, char type, size_t *mark)
{
	if (type && !buf_append_byte(out, (uint8_t)type))
		return false;
	*mark = buf_len(out);
	return buf_append_u32(out, 0);
}

bool wire_end(struct buf *out, size_t mark)
{
	uint8_t *at = buf_data(out) + mark;
	size_t len = buf_len(out) - mark;

	if (len > INT32_MAX)
		return false;
	for (int i = 0; i < 4; i++)
		at[i] = (uint8_t)(len >> (24 - 8 * i));
	return true;
}

bool wire_message(struct buf *out, char type, const void *body, size_t len)
{
	size_t mark;

	return wire_begin(out, type, &mark) && buf_append(out, body, len) && wire_end(out, mark);
}

bool wire_query(struct buf *out, const char *sql)
{
	return wire_message(out, 'Q', sql, strlen(sql) + 1);
}

bool wire_ready_for_query(struct buf *out, char status)
{
	return wire_message(out, 'Z', &status, 1);
}

bool wire_command_complete(struct buf *out, const char *tag)
{
	return wire_message(out, 'C', tag, strlen(tag) + 1);
}

bool wire_parameter_status(struct buf *out, const char *name, const char *value)
{
	size_t mark;

	return wire_begin(out, 'S', &mark) && buf_append_cstr(out, name) &&
		   buf_append_cstr(out, value) && wire_end(out, mark);
}

bool wire_authentication(struct buf *out, uint32_t request, const void *data, size_t len)
{
	size_t mark;

	return wire_begin(out, 'R', &mark) && buf_append_u32(out, request) &&
		   buf_append(out, data, len) && wire_end(out, mark);
}

bool wire_parse(struct buf *out, const char *name, const char *sql)
{
	size_t mark;

	return wire_begin(out, 'P', &mark) && buf_append_cstr(out, name) &&
		   buf_append_cstr(out, sql) && buf_append_u16(out, 0) && wire_end(out, mark);
}

static bool append_bind(struct buf *out, const char *const values[], size_t count)
{
	size_t mark;

	if (!wire_begin(out, 'B', &mark) || !buf_append_cstr(out, "") ||
		!buf_append_cstr(out, "") || !buf_append_u16(out, 0) ||
		!buf_append_u16(out, (uint16_t)count))
		return false;
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(values[i]);

		if (!buf_append_u32(out, (uint32_t)len) || !buf_append(out, values[i], len))
			return false;
	}
	return buf_append_u16(out, 0) && wire_end(out, mark);
}

bool wire_execute(struct buf *out, const char *sql, const char *const values[], size_t count)
{
	size_t mark;

	return wire_parse(out, "", sql) && append_bind(out, values, count) &&
		   wire_begin(out, 'E', &mark) && buf_append_cstr(out, "") && buf_append_u32(out, 0) &&
		   wire_end(out, mark) && wire_message(out, 'S', "", 0);
}

static bool append_field(struct buf *out, char field, const char *value)
{
	return buf_append_byte(out, (uint8_t)field) && buf_append_cstr(out, value);
}

static bool append_position(struct buf *out, int position)
{
	char text[16];

	snprintf(text, sizeof text, "%d", position);
	return append_field(out, 'P', text);
}

bool wire_error_full(struct buf *out, const struct wire_error *error, const char *detail)
{
	size_t mark;

	return wire_begin(out, 'E', &mark) && append_field(out, 'S', error->severity) &&
		   append_field(out, 'V', error->severity) && append_field(out, 'C', error->sqlstate) &&
		   append_field(out, 'M', error->message) &&
		   (!detail || append_field(out, 'D', detail)) &&
		   (!error->hint || append_field(out, 'H', error->hint)) &&
		   (!error->position || append_position(out, error->position)) &&
		   buf_append_byte(out, 0) && wire_end(out, mark);
}

bool wire_error_text(struct buf *out, const char *severity, const char *sqlstate,
					 const char *message, const char *detail)
{
	const struct wire_error error = {
		.severity = severity, .sqlstate = sqlstate, .message = message};

	return wire_error_full(out, &error, detail);
}

bool wire_error(struct buf *out, const char *severity, enum reason reason, const char *detail)
{
	struct buf text;
	bool ok;

	buf_init(&text);
	ok = buf_appendf(&text, "reason=%s%s%s", reason_code(reason), detail ? " " : "",
					 detail ? detail : "") &&
		 buf_append_byte(&text, 0) &&
		 wire_error_text(out, severity, reason_sqlstate(reason), reason_message(reason),
						 (const char *)buf_data(&text));
	buf_fini(&text);
	return ok;
}

const char *wire_cstr(const uint8_t *body, size_t len, size_t *at)
{
	const uint8_t *end = *at < len ? memchr(body + *at, 0, len - *at) : NULL;
	const char *text = (const char *)body + *at;

	if (!end)
		return NULL;
	*at = (size_t)(end - body) + 1;
	return text;
}

bool wire_value(const uint8_t *body, size_t len, size_t *at, const uint8_t **value,
				size_t *size)
{
	*value = NULL;
	*size = 0;
	if (*at > len || len - *at < 4)
		return false;
	uint32_t word = wire_u32(body + *at);

	*at += 4;
	if (word == UINT32_MAX)
		return true;
	if (word > len - *at)
		return false;
	*value = body + *at;
	*size = word;
	*at += word;
	return true;
}

const char *wire_error_field(const uint8_t *body, size_t len, char field)
{
	size_t at = 0;

	while (at < len && body[at]) {
		char name = (char)body[at++];
		const char *value = wire_cstr(body, len, &at);

		if (!value)
			return NULL;
		if (name == field)
			return value;
	}
	return NULL;
}
