/*
 * Texts that are meant to stall or end whoever reads them: none takes long, and none needs more
 * than a stack of 8 MiB.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policy/bounds.h"
#include "policy/statement.h"

/* ---- memory that fails: the n-th allocation of this thread, once it is asked for ---- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CAN_FAIL false
static int fail_at;
#else
#define CAN_FAIL true
static __thread int fail_at;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);

static bool must_fail(void)
{
	return fail_at && --fail_at == 0;
}

void *malloc(size_t size)
{
	return must_fail() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return must_fail() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
	return must_fail() ? NULL : __libc_realloc(memory, size);
}
#endif

/* ---- hostile texts ---- */

struct family {
	const char *name;
	const char *start, *part, *middle, *closing, *end;
	enum sql_reading reading; /* of as many parts as fit */
};

static const struct family families[] = {
	{"operators", "SELECT 1", "+", "", "", "1", SQL_TOO_DEEP},
	{"operators with blanks", "SELECT 1", "+ ", "", "", "1", SQL_TOO_DEEP},
	{"operators cut by comments", "SELECT 1", "+/**/", "", "", "1", SQL_TOO_DEEP},
	{"a chain of terms", "SELECT 1", "+1", "", "", "", SQL_TOO_DEEP},
	{"a chain of casts", "SELECT 1", "::int", "", "", "", SQL_TOO_DEEP},
	{"a chain of collations", "SELECT a", " COLLATE b", "", "", "", SQL_TOO_DEEP},
	{"a chain of time zones", "SELECT a", " AT TIME ZONE b", "", "", "", SQL_TOO_DEEP},
	{"a chain in ORDER BY", "(SELECT 1 ORDER BY 1) ORDER BY x", "+x", "", "", "", SQL_TOO_DEEP},
	{"words as columns", "(SELECT 1 ORDER BY 1) ORDER BY x", "+x.or", "", "", "", SQL_TOO_DEEP},
	{"terms in parentheses", "SELECT ", "(", "1", "+1)", "", SQL_TOO_DEEP},
	{"OR", "SELECT 1 WHERE a = 1", " OR a = 1", "", "", "", SQL_READ},
	{"OR and AND", "SELECT 1 WHERE a", " OR a AND b", "", "", "", SQL_READ},
	{"NOT", "SELECT ", "NOT ", "a", "", "", SQL_UNREADABLE},
	{"comments in comments", "", "/*", "", "*/", "SELECT 1", SQL_TOO_DEEP},
	{"comments side by side", "SELECT 1", "/**/", "", "", "", SQL_READ},
	{"comments of operators", "SELECT 1", "/*+*/", "", "", "", SQL_READ},
	{"line comments", "SELECT 1", "--\n", "", "", "", SQL_READ},
	{"a comment that does not end", "/*", "*", "", "", "", SQL_UNREADABLE},
	{"a banner", "/*", "*", "*/ SELECT 1", "", "", SQL_READ},
	{"parentheses", "SELECT ", "(", "1", ")", "", SQL_TOO_DEEP},
	{"brackets", "SELECT a", "[", "1", "]", "", SQL_TOO_DEEP},
	{"subqueries", "", "SELECT (", "SELECT 1", ")", "", SQL_TOO_DEEP},
	{"CASE", "SELECT ", "CASE ", "1", "END ", "", SQL_UNREADABLE},
	{"UNION", "SELECT 1", " UNION SELECT 1", "", "", "", SQL_READ},
	{"JOIN", "SELECT 1 FROM a", " JOIN b ON c", "", "", "", SQL_READ},
	{"a setting of many parts", "SET a", ".a", " = 1", "", "", SQL_TOO_DEEP},
	{"a setting of many escapes", "SET a", ".U&\"a\"", " = 1", "", "", SQL_TOO_DEEP},
	{"a setting with UESCAPE", "SET a", ".U&\"a\"UESCAPE'!'", " = 1", "", "", SQL_TOO_DEEP},
	{"a setting with blanks", "SET a", " . /**/ \"a\"", " = 1", "", "", SQL_TOO_DEEP},
	{"a parameter of many parts", "GRANT SET ON PARAMETER a", ".a", " TO x", "", "",
	 SQL_TOO_DEEP},
	{"a column of many parts", "SELECT a", ".a", "", "", "", SQL_TOO_DEEP},
	{"subscripts", "SELECT a", "[1]", "", "", "", SQL_TOO_DEEP},
	{"one list", "SELECT 1", ",1", "", "", "", SQL_READ},
	{"IN", "SELECT 1 WHERE a IN (1", ",1", ")", "", "", SQL_READ},
	{"rows", "INSERT INTO t VALUES (1,-2,'a'::text)", ",(1,-2,'a'::text)", "", "", "",
	 SQL_READ},
	{"statements", "SELECT 1", ";SELECT 1", "", "", "", SQL_READ},
	{"semicolons", "SELECT 1", ";", "", "", "", SQL_READ},
	{"functions of one name", "SELECT 1", ",f()", "", "", "", SQL_READ},
	{"assignments of one row", "UPDATE t SET (a", ",a", ") = (SELECT f(b))", "", "", SQL_READ},
	{"names in scope", "WITH a AS (SELECT 1)", ",a AS (SELECT 1 FROM b)", " SELECT 1", "", "",
	 SQL_READ},
	{"a string", "SELECT '", "a", "'", "", "", SQL_READ},
	{"quotes", "SELECT '", "''", "'", "", "", SQL_READ},
	{"backslashes", "SELECT E'", "\\\\", "'", "", "", SQL_READ},
	{"a string in pieces", "SELECT ''", "\n''", "", "", "", SQL_READ},
	{"dollars", "SELECT $a$", "$", "$a$", "", "", SQL_READ},
	{"tags", "SELECT $a$", "$b$a", "$a$", "", "", SQL_READ},
	{"an open tag", "SELECT $", "a", "", "", "", SQL_UNREADABLE},
	{"blanks", "SELECT", " ", "1", "", "", SQL_READ},
	{"a number", "SELECT ", "1", "", "", "", SQL_READ},
	{"a name", "SELECT ", "a", "", "", "", SQL_READ},
	{"bytes above ASCII", "SELECT ", "\xff", "", "", "", SQL_READ},
	{"an encoding cut short", "SELECT ) '", "\xf0", "'", "", "", SQL_UNREADABLE},
	{"quoted names", "SELECT \"", "\"\"", "\"", "", "", SQL_READ},
	{"CTEs in CTEs", "", "WITH a AS (", "SELECT 1", ") SELECT 1", "", SQL_TOO_DEEP},
	{"casts of settings", "SELECT set_config('x'", "::text", ",'y',true)", "", "",
	 SQL_TOO_DEEP},
};

/* start, as often as it fits: part, middle, as often: closing, end. */
static char *build(const struct family *family, size_t size, size_t *len)
{
	size_t fixed = strlen(family->start) + strlen(family->middle) + strlen(family->end);
	size_t unit = strlen(family->part) + strlen(family->closing);
	size_t count = (size - fixed) / unit;
	char *text = malloc(size + 1), *at = stpcpy(text, family->start);

	for (size_t i = 0; i < count; i++)
		at = stpcpy(at, family->part);
	at = stpcpy(at, family->middle);
	for (size_t i = 0; *family->closing && i < count; i++)
		at = stpcpy(at, family->closing);
	at = stpcpy(at, family->end);
	*len = (size_t)(at - text);
	return text;
}

struct job {
	const char *text;
	size_t len;
	enum sql_reading reading;
	double ms; /* of this thread's CPU */
};

static void *read_job(void *data)
{
	struct job *job = data;
	struct timespec start, end;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
	const struct verdict *verdict = sql_read(job->text, job->len);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
	cr_assert(verdict != NULL);
	job->reading = verdict->reading;
	job->ms =
		(double)(end.tv_sec - start.tv_sec) * 1e3 + (double)(end.tv_nsec - start.tv_nsec) / 1e6;
	verdict_unref(verdict);
	return NULL;
}

/* On a thread that has what the header asks for. */
static void read_with_small_stack(struct job *job)
{
	pthread_attr_t attributes;
	pthread_t thread;

	cr_assert_eq(pthread_attr_init(&attributes), 0);
	cr_assert_eq(pthread_attr_setstacksize(&attributes, (size_t)8 << 20), 0);
	cr_assert_eq(pthread_create(&thread, &attributes, read_job, job), 0);
	pthread_join(thread, NULL);
	pthread_attr_destroy(&attributes);
}

/* Some hundred times what an ordinary text of that length takes is too much. */
#define MS_MAX (CAN_FAIL ? 2000 : 20000)

static void read_families(size_t size, bool may_have_too_many_tokens)
{
	double worst = 0;
	const char *worst_name = "";

	for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
		const struct family *family = &families[i];
		struct job job;
		char *text = build(family, size, &job.len);

		job.text = text;
		read_with_small_stack(&job);
		cr_expect(job.reading == family->reading ||
					  (may_have_too_many_tokens && job.reading == SQL_TOO_DEEP),
				  "%s: %d", family->name, job.reading);
		cr_expect_lt(job.ms, MS_MAX, "%s: %.0f ms", family->name, job.ms);
		if (getenv("PRINT_TIMES"))
			fprintf(stderr, "%9.2f ms  %zu bytes  %d  %s\n", job.ms, job.len, job.reading,
					family->name);
		if (job.ms > worst) {
			worst = job.ms;
			worst_name = family->name;
		}
		free(text);
	}
	cr_log_info("slowest: %s, %.0f ms", worst_name, worst);
}

Test(statement_bounds, hostile_texts_are_read_in_time, .timeout = 600)
{
	read_families((size_t)1 << 20, false);
}

Test(statement_bounds, so_are_the_longest, .timeout = 600)
{
	read_families(SQL_TEXT_MAX, true);
}

/* Around the bounds the parser gets what it is given: it must live through that, too. */
Test(statement_bounds, what_is_below_the_bounds_is_parsed, .timeout = 600)
{
	for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
		for (size_t size = 500; size <= 500000; size *= 10) {
			struct job job;
			char *text = build(&families[i], size, &job.len);

			job.text = text;
			read_with_small_stack(&job);
			cr_expect_lt(job.ms, MS_MAX, "%s: %.0f ms", families[i].name, job.ms);
			free(text);
		}
	}
}

Test(statement_bounds, longer_texts_are_not_read)
{
	for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
		struct job job;
		char *text = build(&families[i], SQL_TEXT_MAX + 1000, &job.len);

		job.text = text;
		read_with_small_stack(&job);
		cr_expect_eq(job.reading, SQL_TOO_LONG, "%s", families[i].name);
		cr_expect_lt(job.ms, 1, "%s", families[i].name);
		free(text);
	}
}

static enum sql_reading reading_of(const char *start, const char *part, size_t count,
								   const char *end)
{
	char *text = malloc(strlen(start) + count * strlen(part) + strlen(end) + 1);
	char *at = stpcpy(text, start);
	struct job job = {.text = text};

	for (size_t i = 0; i < count; i++)
		at = stpcpy(at, part);
	job.len = (size_t)(stpcpy(at, end) - text);
	read_with_small_stack(&job);
	free(text);
	return job.reading;
}

Test(statement_bounds, the_bounds_are_where_they_are_said_to_be)
{
	cr_expect_eq(reading_of("SELECT 1 ", "@", 63, " 1"), SQL_READ);
	cr_expect_eq(reading_of("SELECT 1 ", "@", 64, " 1"), SQL_TOO_DEEP);
	cr_expect_eq(reading_of("SELECT '", "-", 1000, "'"), SQL_READ);
	cr_expect_eq(reading_of("SELECT 1 ", "-", 1000, ""), SQL_READ);
	cr_expect_eq(reading_of("SELECT 1 /*", "+", 1000, "*/"), SQL_READ);
	cr_expect_eq(reading_of("", "/* /* */ */ ", 500, "SELECT 1"), SQL_READ);
	cr_expect_eq(reading_of("", "/* /* */ */ ", 501, "SELECT 1"), SQL_TOO_DEEP);
	cr_expect_eq(reading_of("", "/* */ ", 10000, "SELECT 1"), SQL_READ);
	cr_expect_eq(reading_of("", "/*", 32, ""), SQL_UNREADABLE);
	cr_expect_eq(reading_of("", "/*", 33, ""), SQL_TOO_DEEP);
	cr_expect_eq(reading_of("SET a", ".b", 63, " = 1"), SQL_READ);
	cr_expect_eq(reading_of("SET a", ".b", 64, " = 1"), SQL_TOO_DEEP);
	cr_expect_eq(reading_of("SELECT 1", ", a.b", 1000, ""), SQL_READ);
	cr_expect_eq(reading_of("SELECT 1", "+1", 30000, ""), SQL_READ);
	cr_expect_eq(reading_of("SELECT 1", "+1", 50000, ""), SQL_READ);
	cr_expect_eq(reading_of("SELECT 1", "+1", 50001, ""), SQL_TOO_DEEP);
	cr_expect_eq(reading_of("(SELECT 1 ORDER BY 1) ORDER BY x", "+x", 49000, ""),
				 SQL_UNREADABLE);
	cr_expect_eq(reading_of("SELECT 1 WHERE a = 1", " OR a = -1::int", 60000, ""), SQL_READ);
}

/* ---- memory ---- */

static const char *const memory_texts[] = {
	"SELECT 1",
	"WITH a AS (SELECT f(1)) SELECT set_config('x', 'y', true), g(h(b.c)) FROM a, b, s.t",
	"SET search_path TO a, \"B\"; BEGIN; SAVEPOINT x; PREPARE p AS SELECT 1",
	"SELEC",
};

/* NULL or the right verdict, whichever allocation fails; and the reader goes on. */
Test(statement_bounds, without_memory_there_is_no_verdict_or_the_right_one)
{
	if (!CAN_FAIL)
		cr_skip_test("the sanitizer has its own malloc");
	for (size_t i = 0; i < sizeof memory_texts / sizeof *memory_texts; i++) {
		const char *text = memory_texts[i];
		const struct verdict *right = sql_read(text, strlen(text));
		bool has_failed = true;
		int without = 0;

		cr_assert(right != NULL);
		for (int n = 1; has_failed; n++) {
			fail_at = n;
			const struct verdict *verdict = sql_read(text, strlen(text));
			has_failed = fail_at == 0;
			fail_at = 0;
			cr_assert(has_failed || verdict);
			without += !verdict;
			if (verdict) {
				cr_expect_eq(verdict->reading, right->reading, "%s: %d", text, n);
				cr_expect_eq(verdict->effects, right->effects, "%s: %d", text, n);
			}
			verdict_unref(verdict);
		}
		cr_expect_gt(without, 1, "%s", text);
		verdict_unref(right);
	}
}

static void *begin_without_memory(void *data)
{
	const int *n = data;

	fail_at = *n;
	verdict_unref(sql_read("SELECT 1", 8));
	fail_at = 0;

	const struct verdict *good = sql_read("SELECT 1", 8), *bad = sql_read("SELEC", 5);
	cr_expect(good && good->reading == SQL_READ, "allocation %d", *n);
	cr_expect(bad && bad->reading == SQL_UNREADABLE, "allocation %d", *n);
	verdict_unref(good);
	verdict_unref(bad);
	return NULL;
}

/* The library makes itself ready in each thread, with the first text that is read there. */
Test(statement_bounds, a_thread_may_begin_without_memory)
{
	if (!CAN_FAIL)
		cr_skip_test("the sanitizer has its own malloc");
	for (int n = 1; n <= 20; n++) {
		pthread_t thread;

		cr_assert_eq(pthread_create(&thread, NULL, begin_without_memory, &n), 0);
		pthread_join(thread, NULL);
	}
}
