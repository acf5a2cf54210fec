/* Log lines: valid JSON whatever the bytes, text for people, bounds, levels. */
#include <criterion/criterion.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

static int saved_stderr, log_file;
static char captured[4 * LOG_LINE_MAX];

/* Standard error goes to a file while a line is written. */
static void capture(void)
{
	char path[] = "/tmp/bulkhead-log-XXXXXX";

	log_file = mkstemp(path);
	cr_assert_geq(log_file, 0);
	unlink(path);
	saved_stderr = dup(STDERR_FILENO);
	dup2(log_file, STDERR_FILENO);
}

static const char *release(void)
{
	ssize_t len;

	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	len = pread(log_file, captured, sizeof captured - 1, 0);
	cr_assert_geq(len, 0);
	captured[len] = '\0';
	close(log_file);
	return captured;
}

static json_t *release_json(void)
{
	json_error_t error;
	const char *line = release();
	json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, &error);

	cr_assert_not_null(object, "%s in %s", error.text, line);
	cr_assert_eq(line[strlen(line) - 1], '\n');
	cr_assert_eq(strchr(line, '\n'), line + strlen(line) - 1, "an event is one line");
	return object;
}

static const char *field(json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

Test(log, is_json_where_no_terminal_is)
{
	json_t *object;

	capture();
	log_event(LOG_WARNING, "client.refused", "reason", "BH-ID-PASSWORD", "left_out", NULL,
			  "user", "shop", NULL);
	object = release_json();
	cr_expect_str_eq(field(object, "level"), "warning");
	cr_expect_str_eq(field(object, "event"), "client.refused");
	cr_expect_str_eq(field(object, "reason"), "BH-ID-PASSWORD");
	cr_expect_str_eq(field(object, "user"), "shop");
	cr_expect_eq(json_object_size(object), 5);
	cr_expect_eq(strlen(field(object, "ts")), strlen("2026-01-02T03:04:05.678Z"));
	cr_expect_eq(field(object, "ts")[10], 'T');
	cr_expect_eq(field(object, "ts")[23], 'Z');
	json_decref(object);
}

Test(log, escapes_every_byte)
{
	char every[256];
	json_t *object;
	const char *value;

	for (int i = 0; i < 255; i++)
		every[i] = (char)(i + 1);
	every[255] = '\0';
	capture();
	log_event(LOG_INFO, "x", "v", every, "w", "\xe2\x82\xac \xc2\x9b \xe2\x82", NULL);
	object = release_json();
	value = field(object, "v");
	cr_assert_not_null(value);
	cr_expect_eq(strncmp(value, every, 0x7f), 0, "ASCII comes through as it is");
	cr_expect_not_null(strstr(value, "\\x80\\x81"));
	cr_expect_not_null(strstr(value, "\\xfe\\xff"));
	cr_expect_str_eq(field(object, "w"), "\xe2\x82\xac \xc2\x9b \\xe2\\x82");
	cr_expect_null(strstr(captured, "\xc2\x9b"),
				   "a control character must not reach a terminal");
	json_decref(object);
}

Test(log, cuts_at_a_field_border)
{
	char long_value[LOG_LINE_MAX];
	json_t *object;

	memset(long_value, 'a', sizeof long_value - 1);
	long_value[sizeof long_value - 1] = '\0';
	capture();
	log_event(LOG_INFO, "x", "first", "1", "second", long_value, "third", "3", NULL);
	object = release_json();
	cr_expect_str_eq(field(object, "first"), "1");
	cr_expect_null(json_object_get(object, "second"));
	cr_expect(json_is_true(json_object_get(object, "cut")));
	json_decref(object);
}

/* Whatever the length, the line is whole JSON of at most LOG_LINE_MAX bytes. */
Test(log, is_whole_at_every_length_near_the_bound)
{
	char value[LOG_LINE_MAX + 1];

	for (size_t len = LOG_LINE_MAX - 160; len < LOG_LINE_MAX; len++) {
		json_t *object;

		memset(value, 'a', len);
		value[len] = '\0';
		capture();
		log_event(LOG_INFO, "x", "v", value, NULL);
		object = release_json();
		cr_expect_leq(strlen(captured), LOG_LINE_MAX);
		cr_expect((field(object, "v") == NULL) == json_is_true(json_object_get(object, "cut")));
		json_decref(object);
	}
}

Test(log, formats_messages_and_keeps_errno)
{
	json_t *object;

	capture();
	errno = ENOENT;
	log_message(LOG_ERROR, "server.lost", "%s: %d", "why", 42);
	cr_expect_eq(errno, ENOENT);
	object = release_json();
	cr_expect_str_eq(field(object, "msg"), "why: 42");
	cr_expect_str_eq(field(object, "level"), "error");
	json_decref(object);
}

Test(log, text_is_for_people_and_stays_on_one_line)
{
	const char *line;

	log_set_format(LOG_FORMAT_TEXT);
	capture();
	log_event(LOG_INFO, "client.refused", "user", "shop", "msg", "two\nlines \"x\" \x1b[2J",
			  "none", "", NULL);
	line = release();
	cr_expect_str_eq(
		line + strlen("2026-01-02T03:04:05.678Z"),
		" info client.refused user=shop msg=\"two\\x0alines \\\"x\\\" \\x1b[2J\" none=\"\"\n");
}

Test(log, leaves_out_what_is_less_important_than_asked_for)
{
	log_set_format(LOG_FORMAT_JSON);
	capture();
	log_event(LOG_DEBUG, "unwanted", NULL);
	cr_expect_str_eq(release(), "");
	log_set_level(LOG_DEBUG);
	capture();
	log_event(LOG_DEBUG, "wanted", NULL);
	cr_expect_not_null(strstr(release(), "\"event\":\"wanted\""));
	log_set_level(LOG_ERROR);
	capture();
	log_message(LOG_WARNING, "unwanted", "%s", "x");
	cr_expect_str_eq(release(), "");
}
