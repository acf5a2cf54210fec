/* Statements that begin a transaction, and what is written as SQL for a session. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "policy/session.h"

static enum session_begin begin_of(const char *text)
{
	return session_begin(text, strlen(text));
}

Test(session, statements_that_only_begin)
{
	static const char *const begins[] = {
		"BEGIN",
		"begin",
		"  Begin ;  ",
		"BEGIN WORK",
		"BEGIN TRANSACTION",
		"begin transaction;",
		"BEGIN ISOLATION LEVEL SERIALIZABLE",
		"BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY",
		"BEGIN READ WRITE NOT DEFERRABLE",
		"BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ\n, DEFERRABLE;",
	};

	for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
		cr_assert_eq(begin_of(begins[i]), BEGIN_TRANSACTION, "%s", begins[i]);
	cr_assert_eq(begin_of("START TRANSACTION"), START_TRANSACTION);
	cr_assert_eq(begin_of("start transaction read only;"), START_TRANSACTION);
	cr_assert_eq(begin_of("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"),
				 SET_TRANSACTION);
}

Test(session, everything_else_goes_to_a_backend)
{
	static const char *const others[] = {
		"",
		";",
		"BEGI",
		"BEGIN;;",
		"BEGIN; SELECT 1",
		"BEGIN ISOLATION",
		"BEGIN ISOLATION LEVEL READ",
		"BEGIN READ ONLY,",
		"BEGIN , READ ONLY",
		"BEGINWORK",
		"BEGIN_",
		"BEGIN -- x",
		"BEGIN/**/",
		"BEGIN foo",
		"START",
		"START TRANSACTION SNAPSHOT 'x'",
		"SET TRANSACTION",
		"SET TRANSACTION SNAPSHOT '1'",
		"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
		"SET x = 1",
		"COMMIT",
		"SELECT 1",
		"BEGIN ISOLATION LEVEL SERIALIZABLE READ",
		"BEGIN\xc2\xa0",
		"DO $$BEGIN END$$",
	};
	char lengthy[SESSION_BEGIN_MAX + 16];

	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		cr_assert_eq(begin_of(others[i]), NOT_BEGIN, "%s", others[i]);
	memset(lengthy, ' ', sizeof lengthy);
	memcpy(lengthy, "BEGIN", 5);
	cr_assert_eq(session_begin(lengthy, sizeof lengthy), NOT_BEGIN);
	cr_assert_eq(session_begin("BEGIN\0;", 7), NOT_BEGIN);
}

static void expect_set(const char *name, const char *value, const char *sql)
{
	struct buf out;

	buf_init(&out);
	cr_assert(session_append_set(&out, name, value, false));
	cr_assert(buf_append_byte(&out, 0));
	cr_assert_str_eq((const char *)buf_data(&out), sql);
	buf_fini(&out);
}

Test(session, settings_as_sql)
{
	expect_set("timezone", "UTC", "SET \"timezone\" = E'UTC';");
	expect_set("app.tenant", "x'; DROP TABLE y; --",
			   "SET \"app\".\"tenant\" = E'x''; DROP TABLE y; --';");
	expect_set("application_name", "a\\'b", "SET \"application_name\" = E'a\\\\''b';");
	expect_set("datestyle", "ISO, MDY", "SET \"datestyle\" = E'ISO, MDY';");
	expect_set("search_path", "TenantA, \"TenantB\",\"a\"\"b\"",
			   "SET \"search_path\" = E'tenanta', E'TenantB', E'a\"b';");
	expect_set("search_path", "", "SET \"search_path\" = E'';");
	expect_set("search_path", " \"$user\" , public ",
			   "SET \"search_path\" = E'$user', E'public';");
}

static const char *text_of(struct buf *out)
{
	cr_assert(buf_append_byte(out, 0));
	return (const char *)buf_data(out);
}

Test(session, settings_of_a_transaction)
{
	struct buf out;

	buf_init(&out);
	cr_assert(session_append_set(&out, "search_path", "a, b", true));
	cr_assert_str_eq(text_of(&out), "SET LOCAL \"search_path\" = E'a', E'b';");
	buf_fini(&out);
}

/* Names end with a NUL each; the last is the literal's own. */
static void expect_question(unsigned asked, bool guarded, const char *names, size_t len,
							const char *sql)
{
	struct buf out;

	buf_init(&out);
	cr_assert(session_append_question(&out, asked, false, guarded, names, len));
	cr_assert_str_eq(text_of(&out), sql);
	buf_fini(&out);
}

Test(session, what_is_asked)
{
	static const char names[] = "timezone\0app.it's";

	expect_question(3, true, NULL, 0, "SELECT bulkhead.session_state(3)");
	expect_question(0, true, names, sizeof names,
					"SELECT 0, pg_catalog.current_setting(E'timezone', true),"
					" pg_catalog.current_setting(E'app.it''s', true)");
	expect_question(2, true, names, 9,
					"SELECT bulkhead.session_state(2),"
					" pg_catalog.current_setting(E'timezone', true)");
	expect_question(0, false, names, 9,
					"SELECT 0, pg_catalog.current_setting(E'timezone', true)");
	expect_question(
		32 | 2, false, NULL, 0,
		"SELECT 0 OPERATOR(pg_catalog.+) CASE WHEN EXISTS (SELECT FROM"
		" pg_catalog.pg_listening_channels()) THEN 2 ELSE 0 END OPERATOR(pg_catalog.+) CASE"
		" WHEN pg_catalog.current_setting('role') OPERATOR(pg_catalog.<>) 'none' THEN 32 ELSE"
		" 0 END");
}

/* Where a setting may have its default again, only what was set is asked for; settings of the
 * application have none. */
Test(session, what_was_set_is_asked)
{
	static const char names[] = "work_mem\0app.x";
	struct buf out;

	buf_init(&out);
	cr_assert(session_append_question(&out, 0, true, true, names, sizeof names));
	cr_assert_str_eq(text_of(&out), "SELECT 0, bulkhead.session_setting(E'work_mem'),"
									" pg_catalog.current_setting(E'app.x', true)");
	buf_fini(&out);
	cr_assert(session_append_question(&out, 0, true, false, names, 9));
	cr_assert_str_eq(
		text_of(&out),
		"SELECT 0, (SELECT s.setting FROM pg_catalog.pg_show_all_settings() AS s WHERE"
		" s.source OPERATOR(pg_catalog.=) 'session' AND pg_catalog.lower(s.name)"
		" OPERATOR(pg_catalog.=) E'work_mem')");
	buf_fini(&out);
}

static void expect_follow(const char *name, const char *value, bool guarded, const char *sql)
{
	struct buf out;

	buf_init(&out);
	cr_assert(session_append_follow(&out, name, value, guarded));
	cr_assert_str_eq(text_of(&out), sql);
	buf_fini(&out);
}

/* What is put on the next backend is the value that the last one showed. */
Test(session, settings_that_follow)
{
	expect_follow("work_mem", "it's", true, "SET \"work_mem\" = E'it''s';");
	expect_follow("datestyle", "ISO, MDY", true,
				  "RESET \"datestyle\";SET \"datestyle\" = E'ISO, MDY';");
	expect_follow("search_path", "\"TENANTA\", b", true,
				  "CALL bulkhead.set_all(ARRAY[E'search_path', E'\"TENANTA\", b']);");
	expect_follow("search_path", "\"$bulkhead$\"", false,
				  "DO $bulkhead$BEGIN PERFORM pg_catalog.set_config(E'search_path',"
				  " E'\"\\044bulkhead\\044\"', false);END$bulkhead$;");
}

/* One look for each bit, and none for a bit that is unknown. */
Test(session, every_kind_is_looked_for)
{
	for (unsigned bit = 0; bit < 8; bit++) {
		struct buf out;
		char then[16];

		buf_init(&out);
		snprintf(then, sizeof then, "THEN %u ELSE", 1u << bit);
		cr_assert(session_append_question(&out, 1u << bit, false, false, NULL, 0));
		cr_assert_eq(strstr(text_of(&out), then) != NULL, bit < 6, "bit %u", bit);
		buf_fini(&out);
	}
}

static void expect_reset_all(bool guarded, const char *pairs, size_t len, const char *sql)
{
	struct buf out;

	buf_init(&out);
	cr_assert(session_append_reset_all(&out, guarded, pairs, len));
	cr_assert_str_eq(text_of(&out), sql);
	buf_fini(&out);
}

Test(session, reset_all)
{
	static const char pairs[] = "app.a\0it's\\\0application_name\0";

	expect_reset_all(true, NULL, 0, "CALL bulkhead.reset_all(ARRAY[]::pg_catalog.text[])");
	expect_reset_all(true, pairs, sizeof pairs,
					 "CALL bulkhead.reset_all(ARRAY[E'app.a', E'it''s\\\\',"
					 " E'application_name', E'']::pg_catalog.text[])");
	expect_reset_all(false, NULL, 0, "DO $bulkhead$BEGIN RESET ALL;END$bulkhead$");
	expect_reset_all(false, pairs, sizeof pairs,
					 "DO $bulkhead$BEGIN RESET ALL;"
					 "PERFORM pg_catalog.set_config(E'app.a', E'it''s\\\\', false);"
					 "PERFORM pg_catalog.set_config(E'application_name', E'', false);"
					 "END$bulkhead$");
}

/* No value ends the body of the DO. */
Test(session, reset_all_with_a_value_like_its_quotes)
{
	static const char pairs[] = "app.a\0x$bulkhead$y";
	struct buf out;

	buf_init(&out);
	cr_assert(session_append_reset_all(&out, false, pairs, sizeof pairs));
	const char *sql = text_of(&out), *body = sql + strlen("DO $bulkhead$");
	const char *end = strstr(body, "$bulkhead$");
	cr_assert_not_null(end);
	cr_assert_str_empty(end + strlen("$bulkhead$"));
	buf_fini(&out);
}

Test(session, kinds_of_settings)
{
	cr_assert_eq(session_setting_kind("work_mem"), SETTING_FOLLOWS);
	cr_assert_eq(session_setting_kind("app.tenant"), SETTING_FOLLOWS);
	cr_assert_eq(session_setting_kind("datestyle"), SETTING_PARTIAL);
	cr_assert_eq(session_setting_kind("role"), SETTING_ROLE);
	cr_assert_eq(session_setting_kind("session_authorization"), SETTING_ROLE);
	cr_assert_eq(session_setting_kind("transaction_read_only"), SETTING_MOMENTARY);
	cr_assert_eq(session_setting_kind("seed"), SETTING_ROUNDED);
	cr_assert_eq(session_setting_kind("random_page_cost"), SETTING_ROUNDED);
}

Test(session, plain_values)
{
	cr_assert(session_value_is_plain("ISO, MDY"));
	cr_assert(session_value_is_plain("America/New_York"));
	cr_assert(!session_value_is_plain("a'b"));
	cr_assert(!session_value_is_plain("a\\b"));
	cr_assert(!session_value_is_plain("\"x\""));
	cr_assert(!session_value_is_plain("\x83\x5c"));
	cr_assert(!session_value_is_plain("a\nb"));
}
