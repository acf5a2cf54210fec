/* What statements and tags do to a session, and settings written as SQL. */
#include <criterion/criterion.h>
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

Test(session, tags)
{
	static const char *const harmless[] = {
		"SELECT 1", "INSERT 0 12", "UPDATE 0", "DELETE 3",        "COPY 5", "BEGIN",
		"COMMIT",   "ROLLBACK",    "FETCH 10", "SET CONSTRAINTS", "SHOW",   "MERGE 1"};
	static const char *const staying[] = {"SET",
										  "RESET",
										  "PREPARE",
										  "LISTEN",
										  "DECLARE CURSOR",
										  "CREATE TABLE",
										  "CREATE VIEW",
										  "DISCARD ALL",
										  "DEALLOCATE ALL",
										  "LOAD",
										  "DO",
										  "CALL",
										  "PREPARE TRANSACTION",
										  "CREATE FUNCTION",
										  "",
										  "SELECTS",
										  "SELECT x",
										  "UNLISTEN",
										  "SOMETHING NEW 3"};

	for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
		cr_assert(!session_tag_stays(harmless[i]), "%s", harmless[i]);
	for (size_t i = 0; i < sizeof staying / sizeof *staying; i++)
		cr_assert(session_tag_stays(staying[i]), "%s", staying[i]);
	cr_assert(session_tag_forgets_statements("DEALLOCATE ALL"));
	cr_assert(session_tag_forgets_statements("DISCARD ALL"));
	cr_assert(!session_tag_forgets_statements("DEALLOCATE"));
}

static void expect_set(const char *name, const char *value, const char *sql)
{
	struct buf out;

	buf_init(&out);
	cr_assert(session_append_set(&out, name, value));
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
