/*
 * log.h: one line per event on standard error.
 *
 * On a terminal a line is text for a person; otherwise it is one JSON object with ts (RFC 3339,
 *UTC), level, event (a stable word such as "client.refused") and the fields given. A line is
 *written with one write(2), so threads do not interleave; a line is at most LOG_LINE_MAX bytes,
 *and one that would be longer is cut at a field border and says so (cut: true). Bytes that are
 *no UTF-8 appear as \xNN; control characters are escaped. errno is kept. Never pass a secret, a
 *SQL literal or a bind value.
 *
 *	log_event(LOG_INFO, "client.refused", "reason", "BH-ID-PASSWORD", "user", name, NULL);
 *
 * Fields are name, value pairs of strings ended by NULL; a NULL value leaves its field out. The
 * event may carry a "msg" field for people.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#define LOG_LINE_MAX 4096

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* Both may be called at any time, from any thread. Defaults: LOG_INFO, LOG_FORMAT_AUTO. */
void log_set_level(enum log_level level);
void log_set_format(enum log_format format);

void log_event(enum log_level level, const char *event, ...) __attribute__((sentinel));

/* A formatted message of at most LOG_LINE_MAX / 2 bytes, which becomes the event's "msg". */
void log_message(enum log_level level, const char *event, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
