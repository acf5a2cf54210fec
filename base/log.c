#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"

/* Process-wide because a log line may be due where nothing else is at hand; see log.h. */
static atomic_int chosen_level = LOG_INFO;
static atomic_int chosen_format = LOG_FORMAT_AUTO;

static const char *const level_names[] = {
	[LOG_ERROR] = "error",
	[LOG_WARNING] = "warning",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

/* How every line ends, in either form; room for the longest is kept free until the end. */
static const char cut_json[] = ",\"cut\":true}\n", end_json[] = "}\n";
static const char cut_text[] = " cut=true\n", end_text[] = "\n";
#define END_ROOM (sizeof cut_json)

struct line {
	char text[LOG_LINE_MAX];
	size_t len;
	bool json;
	bool full; /* something did not fit: the rest of the field is to be taken back */
};

void log_set_level(enum log_level level)
{
	atomic_store(&chosen_level, level);
}

void log_set_format(enum log_format format)
{
	atomic_store(&chosen_format, format);
}

static bool writes_json(void)
{
	switch ((enum log_format)atomic_load(&chosen_format)) {
	case LOG_FORMAT_AUTO:
		break;
	case LOG_FORMAT_TEXT:
		return false;
	case LOG_FORMAT_JSON:
		return true;
	}
	return !isatty(STDERR_FILENO);
}

static void put(struct line *line, const char *text, size_t len)
{
	if (line->full || len > sizeof line->text - END_ROOM - line->len) {
		line->full = true;
		return;
	}
	memcpy(line->text + line->len, text, len);
	line->len += len;
}

static void put_string(struct line *line, const char *text)
{
	put(line, text, strlen(text));
}

static void put_hex_escape(struct line *line, const char *prefix, unsigned byte)
{
	static const char digits[] = "0123456789abcdef";
	const char pair[2] = {digits[byte >> 4], digits[byte & 15]};

	put_string(line, prefix);
	put(line, pair, sizeof pair);
}

/*
 * One character of a value between double quotes. What is no UTF-8 becomes the four characters
 * \xNN, which in JSON needs its backslash doubled.
 */
static size_t put_escaped(struct line *line, const char *text, size_t len)
{
	unsigned char c = (unsigned char)*text;
	size_t step = utf8_character(text, len);

	if (!step) {
		put_hex_escape(line, line->json ? "\\\\x" : "\\x", c);
		return 1;
	}
	if (c == '"' || c == '\\')
		put(line, "\\", 1);
	if (c < 0x20 || c == 0x7f)
		put_hex_escape(line, line->json ? "\\u00" : "\\x", c);
	else if (c == 0xc2 && (unsigned char)text[1] < 0xa0)
		put_hex_escape(line, "\\u00",
					   (unsigned char)text[1]); /* C1 controls move terminals too */
	else
		put(line, text, step);
	return step;
}

static void put_quoted(struct line *line, const char *value)
{
	size_t len = strlen(value);

	put(line, "\"", 1);
	while (len && !line->full) {
		size_t step = put_escaped(line, value, len);

		value += step;
		len -= step;
	}
	put(line, "\"", 1);
}

/* In text a value goes without quotes when nobody could misread it. */
static bool is_plain(const char *value)
{
	if (!*value)
		return false;
	for (; *value; value++) {
		if (*value <= ' ' || *value == '"' || *value == '\\' || *value == '=' || *value > '~')
			return false;
	}
	return true;
}

/* A whole field or nothing of it. */
static bool put_field(struct line *line, const char *name, const char *value)
{
	size_t before = line->len;

	if (line->json) {
		put_string(line, ",\"");
		put_string(line, name);
		put_string(line, "\":");
		put_quoted(line, value);
	} else {
		put_string(line, " ");
		put_string(line, name);
		put_string(line, "=");
		if (is_plain(value))
			put_string(line, value);
		else
			put_quoted(line, value);
	}
	if (line->full)
		line->len = before;
	return !line->full;
}

static void put_head(struct line *line, enum log_level level, const char *event)
{
	int64_t now = clock_wall_ms();
	time_t seconds = (time_t)(now / 1000);
	struct tm utc;
	char stamp[sizeof "2026-01-02T03:04:05"], milliseconds[sizeof ".000Z"];

	gmtime_r(&seconds, &utc);
	strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(milliseconds, sizeof milliseconds, ".%03uZ", (unsigned)(now % 1000) % 1000);
	if (line->json)
		put_string(line, "{\"ts\":\"");
	put_string(line, stamp);
	put_string(line, milliseconds);
	put_string(line, line->json ? "\"" : " ");
	if (line->json) {
		put_field(line, "level", level_names[level]);
		put_field(line, "event", event);
	} else {
		put_string(line, level_names[level]);
		put_string(line, " ");
		put_string(line, event);
	}
}

static void finish(struct line *line)
{
	const char *end = line->json ? end_json : end_text;

	if (line->full)
		end = line->json ? cut_json : cut_text;
	memcpy(line->text + line->len, end, strlen(end));
	line->len += strlen(end);

	/* Nobody is left to be told when standard error itself fails. */
	while (write(STDERR_FILENO, line->text, line->len) < 0 && errno == EINTR)
		continue;
}

static bool is_wanted(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&chosen_level, memory_order_relaxed);
}

void log_event(enum log_level level, const char *event, ...)
{
	struct line line;
	int saved_errno = errno;
	const char *name;
	va_list fields;

	if (!is_wanted(level))
		return;
	line.len = 0;
	line.full = false;
	line.json = writes_json();
	put_head(&line, level, event);
	va_start(fields, event);
	while ((name = va_arg(fields, const char *)) != NULL) {
		const char *value = va_arg(fields, const char *);

		if (value && !put_field(&line, name, value))
			break;
	}
	va_end(fields);
	finish(&line);
	errno = saved_errno;
}

void log_message(enum log_level level, const char *event, const char *format, ...)
{
	char text[LOG_LINE_MAX / 2];
	int saved_errno = errno;
	va_list args;

	if (!is_wanted(level))
		return;
	va_start(args, format);
	int len = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	log_event(level, event, "msg", len < 0 ? format : text, NULL);
	errno = saved_errno;
}
