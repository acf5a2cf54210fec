/* What texts of SQL are read as: classes, effects, actions, names. */
#include "statement_case.h"

enum {
	READ = SQL_CLASS_READ,
	WRITE = SQL_CLASS_WRITE,
	DDL = SQL_CLASS_DDL,
	COPY = SQL_CLASS_COPY,
	CALL = SQL_CLASS_CALL,
	SESSION = SQL_CLASS_SESSION,
	TRANSACTION = SQL_CLASS_TRANSACTION,
	NOTICE = SQL_CLASS_LISTEN,
	MAINTENANCE = SQL_CLASS_MAINTENANCE,
	TEMPORARY = SQL_CLASS_TEMP,
	DDL_OR_TEMP = SQL_CLASS_DDL_OR_TEMP,
	TEMP_FUNCTION = SQL_CLASS_TEMP_FUNCTION,
	OTHER = SQL_CLASS_OTHER,

	TEMP = EFFECT_TEMP,
	LISTEN = EFFECT_LISTEN,
	CURSOR = EFFECT_CURSOR,
	PREPARED = EFFECT_PREPARED,
	LOCK = EFFECT_LOCK,
	SETTING = EFFECT_SETTING,
	SETTINGS = EFFECT_SETTINGS,
	ROLE = EFFECT_ROLE,
	SEED = EFFECT_SEED,
	UNKNOWN = EFFECT_UNKNOWN,
	SEES_SEQUENCE = EFFECT_SEES_SEQUENCE,
	SEES_PREPARED = EFFECT_SEES_PREPARED,
};

struct expected {
	const char *text;
	uint32_t classes, effects;
	enum sql_action action;
	const char *name;
};

static const struct expected one_statement[] = {
	{"SELECT 1", READ, 0, SQL_PLAIN, NULL},
	{"TABLE t", READ, 0, SQL_PLAIN, NULL},
	{"VALUES (1), (2)", READ, 0, SQL_PLAIN, NULL},
	{"SHOW x", READ, 0, SQL_PLAIN, NULL},
	{"SELECT * FROM t FOR UPDATE", READ | WRITE, 0, SQL_PLAIN, NULL},
	{"SELECT * FROM t FOR KEY SHARE", READ | WRITE, 0, SQL_PLAIN, NULL},
	{"SELECT nextval('s')", READ | WRITE, 0, SQL_PLAIN, NULL},
	{"INSERT INTO t VALUES (1), (DEFAULT)", WRITE, 0, SQL_PLAIN, NULL},
	{"INSERT INTO t DEFAULT VALUES", WRITE, 0, SQL_PLAIN, NULL},
	{"INSERT INTO t SELECT * FROM u", READ | WRITE, 0, SQL_PLAIN, NULL},
	{"INSERT INTO t VALUES ((SELECT 1))", READ | WRITE, 0, SQL_PLAIN, NULL},
	{"UPDATE t SET a = 1", WRITE, 0, SQL_PLAIN, NULL},
	{"UPDATE t SET a = u.a FROM u", READ | WRITE, 0, SQL_PLAIN, NULL},
	{"UPDATE t SET (a, b) = (SELECT 1, f())", READ | WRITE, UNKNOWN, SQL_PLAIN, NULL},
	{"DELETE FROM t USING u", READ | WRITE, 0, SQL_PLAIN, NULL},
	{"MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE", READ | WRITE, 0, SQL_PLAIN, NULL},
	{"WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a", READ | WRITE, 0, SQL_PLAIN, NULL},
	{"TRUNCATE t, u", WRITE, 0, SQL_PLAIN, NULL},

	/* Temporary things, and what may be some. */
	{"CREATE TABLE s.t (a int)", DDL, 0, SQL_PLAIN, NULL},
	{"CREATE TABLE t (a int)", DDL, TEMP, SQL_PLAIN, NULL},
	{"CREATE TEMP TABLE t (a int)", TEMPORARY, TEMP, SQL_PLAIN, NULL},
	{"CREATE LOCAL TEMPORARY TABLE t (a int) ON COMMIT DROP", TEMPORARY, TEMP, SQL_PLAIN, NULL},
	{"CREATE TABLE pg_temp.t (a int)", TEMPORARY, TEMP, SQL_PLAIN, NULL},
	{"CREATE TABLE pg_temp_3.t (a int)", DDL, TEMP, SQL_PLAIN, NULL},
	{"CREATE TABLE s.t AS SELECT 1", READ | DDL, 0, SQL_PLAIN, NULL},
	{"CREATE TEMP TABLE t AS EXECUTE p", SESSION | TEMPORARY, TEMP | UNKNOWN | SEES_PREPARED,
	 SQL_PLAIN, NULL},
	{"SELECT 1 INTO TEMP t", READ | TEMPORARY, TEMP, SQL_PLAIN, NULL},
	{"SELECT 1 INTO s.t", READ | DDL, 0, SQL_PLAIN, NULL},
	{"CREATE TEMP VIEW v AS SELECT 1", TEMPORARY, TEMP, SQL_PLAIN, NULL},
	{"CREATE TEMP SEQUENCE q", TEMPORARY, TEMP, SQL_PLAIN, NULL},
	{"CREATE TYPE pg_temp.t AS ENUM ('a')", DDL, TEMP, SQL_PLAIN, NULL},
	{"CREATE DOMAIN s.d AS int CHECK (VALUE > 0)", DDL, 0, SQL_PLAIN, NULL},
	{"CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", TEMP_FUNCTION, TEMP,
	 SQL_PLAIN, NULL},
	{"CREATE OR REPLACE PROCEDURE PG_TEMP.p() LANGUAGE sql AS ''", TEMP_FUNCTION, TEMP,
	 SQL_PLAIN, NULL},
	{"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", DDL, TEMP, SQL_PLAIN, NULL},
	{"CREATE FUNCTION \"PG_TEMP\".f() RETURNS int LANGUAGE sql AS ''", DDL, 0, SQL_PLAIN, NULL},
	{"CREATE AGGREGATE pg_temp.a(text) (SFUNC = textcat, STYPE = text)", DDL, TEMP, SQL_PLAIN,
	 NULL},
	{"CREATE SCHEMA s CREATE TABLE t (a int)", DDL, TEMP, SQL_PLAIN, NULL},
	{"DROP TABLE t", DDL_OR_TEMP, TEMP, SQL_PLAIN, NULL},
	{"DROP TABLE IF EXISTS t, u", WRITE, TEMP, SQL_PLAIN, NULL},
	{"DROP TABLE IF EXISTS pg_temp.t", WRITE, TEMP, SQL_PLAIN, NULL},
	{"DROP TABLE IF EXISTS t, s.u", DDL, TEMP, SQL_PLAIN, NULL},
	{"DROP TABLE pg_temp.t", TEMPORARY, TEMP, SQL_PLAIN, NULL},
	{"DROP FUNCTION f()", DDL, TEMP, SQL_PLAIN, NULL},
	{"DROP FUNCTION IF EXISTS f", DDL, TEMP, SQL_PLAIN, NULL},
	{"DROP FUNCTION pg_temp.f()", WRITE, TEMP, SQL_PLAIN, NULL},
	{"DROP FUNCTION IF EXISTS pg_temp.f(int), pg_temp.g", WRITE, TEMP, SQL_PLAIN, NULL},
	{"DROP FUNCTION pg_temp.f(), g()", DDL, TEMP, SQL_PLAIN, NULL},
	{"DROP ROUTINE IF EXISTS pg_temp.f, s.g", DDL, TEMP, SQL_PLAIN, NULL},
	{"DROP AGGREGATE pg_temp.a(text)", DDL, TEMP, SQL_PLAIN, NULL},
	{"CREATE INDEX ON t (a)", DDL_OR_TEMP, 0, SQL_PLAIN, NULL},
	{"CREATE INDEX ON s.t (a)", DDL, 0, SQL_PLAIN, NULL},
	{"ALTER TABLE t RENAME a TO b", DDL_OR_TEMP, 0, SQL_PLAIN, NULL},
	{"CREATE SCHEMA s CREATE TEMP TABLE t (a int)", DDL, TEMP, SQL_PLAIN, NULL},
	{"DROP TABLE s.t", DDL, TEMP, SQL_PLAIN, NULL},
	{"DROP SCHEMA s CASCADE", DDL, TEMP, SQL_PLAIN, NULL},
	{"DROP OWNED BY x", DDL, TEMP, SQL_PLAIN, NULL},
	{"ALTER TABLE t ADD COLUMN a int DEFAULT f()", DDL_OR_TEMP, UNKNOWN, SQL_PLAIN, NULL},
	{"GRANT SELECT ON t TO x", DDL, 0, SQL_PLAIN, NULL},
	{"COMMENT ON TABLE t IS 'x'", DDL, 0, SQL_PLAIN, NULL},
	{"ALTER ROLE x SET search_path = y", DDL, 0, SQL_PLAIN, NULL},
	{"ALTER SYSTEM SET x = 1", OTHER, 0, SQL_PLAIN, NULL},
	{"CREATE EXTENSION x", DDL, UNKNOWN, SQL_PLAIN, NULL},

	/* What is stored is not carried out. */
	{"CREATE VIEW s.v AS SELECT set_config('a', 'b', false), f()", DDL, 0, SQL_PLAIN, NULL},
	{"CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM u; NOTIFY x)", DDL, 0, SQL_PLAIN,
	 NULL},
	{"CREATE FUNCTION s.f() RETURNS int BEGIN ATOMIC SELECT setseed(1); SELECT 2; END", DDL, 0,
	 SQL_PLAIN, NULL},
	{"CREATE FUNCTION s.f() RETURNS int LANGUAGE sql SET x = 'y' AS ''", DDL, 0, SQL_PLAIN,
	 NULL},
	{"CREATE POLICY p ON t USING (f(a))", DDL, 0, SQL_PLAIN, NULL},
	{"CREATE MATERIALIZED VIEW s.v AS SELECT f()", READ | DDL, UNKNOWN, SQL_PLAIN, NULL},

	/* Transactions. */
	{"BEGIN", TRANSACTION, 0, SQL_BEGIN, NULL},
	{"START TRANSACTION READ ONLY", TRANSACTION, 0, SQL_BEGIN, NULL},
	{"COMMIT AND CHAIN", TRANSACTION, 0, SQL_COMMIT, NULL},
	{"END", TRANSACTION, 0, SQL_COMMIT, NULL},
	{"ABORT", TRANSACTION, 0, SQL_ROLLBACK, NULL},
	{"SAVEPOINT \"A b\"", TRANSACTION, 0, SQL_SAVEPOINT, "A b"},
	{"RELEASE Abc", TRANSACTION, 0, SQL_RELEASE, "abc"},
	{"ROLLBACK TO SAVEPOINT a", TRANSACTION, 0, SQL_ROLLBACK_TO, "a"},
	{"PREPARE TRANSACTION 'x'", TRANSACTION, 0, SQL_PREPARE_TRANSACTION, NULL},
	{"COMMIT PREPARED 'x'", TRANSACTION, 0, SQL_FINISH_PREPARED, NULL},
	{"ROLLBACK PREPARED 'x'", TRANSACTION, 0, SQL_FINISH_PREPARED, NULL},
	{"SET TRANSACTION READ ONLY", TRANSACTION, 0, SQL_SET_TRANSACTION, NULL},
	{"SET transaction_isolation = 'serializable'", TRANSACTION, 0, SQL_SET_TRANSACTION, NULL},
	{"SET TRANSACTION SNAPSHOT 'x'", TRANSACTION, 0, SQL_PLAIN, NULL},
	{"SET CONSTRAINTS ALL DEFERRED", TRANSACTION, 0, SQL_PLAIN, NULL},
	{"LOCK TABLE t IN SHARE MODE", TRANSACTION, 0, SQL_PLAIN, NULL},

	/* Sessions. */
	{"PREPARE P AS SELECT f()", READ | SESSION, PREPARED | UNKNOWN, SQL_PREPARE, "p"},
	{"PREPARE p AS INSERT INTO t VALUES ($1)", WRITE | SESSION, PREPARED, SQL_PREPARE, "p"},
	{"EXECUTE p(1)", SESSION, UNKNOWN | SEES_PREPARED, SQL_EXECUTE, "p"},
	{"DEALLOCATE PREPARE p", SESSION, PREPARED, SQL_DEALLOCATE, "p"},
	{"DEALLOCATE ALL", SESSION, PREPARED, SQL_DEALLOCATE_ALL, NULL},
	{"DECLARE c CURSOR FOR SELECT 1", READ | SESSION, 0, SQL_PLAIN, NULL},
	{"DECLARE c CURSOR WITH HOLD FOR SELECT lastval()", READ | SESSION, CURSOR | SEES_SEQUENCE,
	 SQL_PLAIN, NULL},
	{"CLOSE c", SESSION, CURSOR, SQL_PLAIN, NULL},
	{"FETCH 1 FROM c", READ, 0, SQL_PLAIN, NULL},
	{"MOVE c", READ, 0, SQL_PLAIN, NULL},
	{"DISCARD PLANS", SESSION, 0, SQL_DISCARD, NULL},
	{"DISCARD TEMP", SESSION, TEMP, SQL_DISCARD, NULL},
	{"DISCARD SEQUENCES", SESSION, SEES_SEQUENCE, SQL_DISCARD, NULL},
	{"DISCARD ALL", SESSION,
	 TEMP | LISTEN | CURSOR | PREPARED | LOCK | SETTINGS | ROLE | SEES_SEQUENCE,
	 SQL_DISCARD_ALL, NULL},
	{"LISTEN x", NOTICE, LISTEN, SQL_PLAIN, NULL},
	{"UNLISTEN *", SESSION, LISTEN, SQL_PLAIN, NULL},
	{"NOTIFY x, 'y'", NOTICE, 0, SQL_PLAIN, NULL},
	{"SELECT pg_notify('x', 'y')", READ | NOTICE, 0, SQL_PLAIN, NULL},
	{"LOAD 'x'", OTHER, UNKNOWN, SQL_PLAIN, NULL},
	{"DO 'x'", CALL, UNKNOWN, SQL_PLAIN, NULL},
	{"CALL f(1)", CALL, UNKNOWN, SQL_PLAIN, NULL},

	/* Statements around others. */
	{"EXPLAIN SELECT 1", READ, 0, SQL_PLAIN, NULL},
	{"EXPLAIN (ANALYZE) DELETE FROM t", WRITE, 0, SQL_PLAIN, NULL},
	{"EXPLAIN EXECUTE p", SESSION, UNKNOWN | SEES_PREPARED, SQL_PLAIN, NULL},
	{"EXPLAIN ANALYZE CREATE TEMP TABLE t AS SELECT 1", READ | TEMPORARY, TEMP, SQL_PLAIN,
	 NULL},
	{"EXPLAIN DECLARE c CURSOR WITH HOLD FOR SELECT 1", READ | SESSION, CURSOR, SQL_PLAIN,
	 NULL},
	{"COPY t FROM STDIN", WRITE | COPY, 0, SQL_COPY_IN, NULL},
	{"COPY t FROM '/x'", WRITE | COPY, 0, SQL_PLAIN, NULL},
	{"COPY t TO STDOUT (FORMAT csv)", READ | COPY, 0, SQL_PLAIN, NULL},
	{"COPY (DELETE FROM t RETURNING f()) TO STDOUT", WRITE | COPY, UNKNOWN, SQL_PLAIN, NULL},
	{"VACUUM t", MAINTENANCE, 0, SQL_PLAIN, NULL},
	{"ANALYZE", MAINTENANCE, 0, SQL_PLAIN, NULL},
	{"REINDEX TABLE t", MAINTENANCE, 0, SQL_PLAIN, NULL},
	{"CLUSTER t", MAINTENANCE, 0, SQL_PLAIN, NULL},
	{"CHECKPOINT", MAINTENANCE, 0, SQL_PLAIN, NULL},
	{"REFRESH MATERIALIZED VIEW v", MAINTENANCE, 0, SQL_PLAIN, NULL},

	/* Functions, in every place of a query. */
	{"SELECT lower(a), count(*), now() FROM t", READ, 0, SQL_PLAIN, NULL},
	{"SELECT pg_catalog.lower(a)", READ, 0, SQL_PLAIN, NULL},
	{"SELECT public.lower(a)", READ, UNKNOWN, SQL_PLAIN, NULL},
	{"SELECT f(a)", READ, UNKNOWN, SQL_PLAIN, NULL},
	{"SELECT \"LOWER\"(a)", READ, UNKNOWN, SQL_PLAIN, NULL},
	{"SELECT 1 FROM f(1) x, ROWS FROM (unnest(a), generate_series(1, 2)) y", READ, UNKNOWN,
	 SQL_PLAIN, NULL},
	{"SELECT 1 FROM t TABLESAMPLE system (f(1))", READ, UNKNOWN, SQL_PLAIN, NULL},
	{"SELECT sum(a) FILTER (WHERE f(b)) OVER (PARTITION BY c)", READ, UNKNOWN, SQL_PLAIN, NULL},
	{"SELECT sum(a) OVER w FROM t WINDOW w AS (ORDER BY f(b))", READ, UNKNOWN, SQL_PLAIN, NULL},
	{"SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY f(a))", READ, UNKNOWN, SQL_PLAIN,
	 NULL},
	{"SELECT concat(VARIADIC f())", READ, UNKNOWN, SQL_PLAIN, NULL},
	{"SELECT a FROM t GROUP BY GROUPING SETS ((f(a)), ())", READ, UNKNOWN, SQL_PLAIN, NULL},
	{"SELECT a FROM t ORDER BY a LIMIT f()", READ, UNKNOWN, SQL_PLAIN, NULL},
	{"SELECT CASE a WHEN 1 THEN f() ELSE ARRAY[1] END", READ, UNKNOWN, SQL_PLAIN, NULL},
	{"SELECT a[f()], (b).c FROM t", READ, UNKNOWN, SQL_PLAIN, NULL},
	{"SELECT DISTINCT ON (f()) 1", READ, UNKNOWN, SQL_PLAIN, NULL},
	{"SELECT 1 FROM t JOIN u ON f() UNION SELECT 2", READ, UNKNOWN, SQL_PLAIN, NULL},
	{"SELECT EXISTS (SELECT f()), xmlelement(name x, f()), COALESCE(1, 2)", READ, UNKNOWN,
	 SQL_PLAIN, NULL},
	{"INSERT INTO t (a[f()]) VALUES (1)", WRITE, UNKNOWN, SQL_PLAIN, NULL},
	{"INSERT INTO t VALUES (1) ON CONFLICT (lower(a)) DO UPDATE SET b = f()", WRITE, UNKNOWN,
	 SQL_PLAIN, NULL},
	{"INSERT INTO t VALUES (1) RETURNING f()", WRITE, UNKNOWN, SQL_PLAIN, NULL},
	{"SELECT pg_advisory_lock(1)", READ, LOCK, SQL_PLAIN, NULL},
	{"SELECT pg_try_advisory_lock_shared(1, 2)", READ, LOCK, SQL_PLAIN, NULL},
	{"SELECT pg_advisory_unlock_all()", READ, LOCK, SQL_PLAIN, NULL},
	{"SELECT pg_advisory_xact_lock(1), pg_try_advisory_xact_lock(2)", READ, 0, SQL_PLAIN, NULL},
	{"SELECT currval('s'), lastval()", READ, SEES_SEQUENCE, SQL_PLAIN, NULL},
	{"SELECT setseed(0.5)", READ, SEED, SQL_PLAIN, NULL},
	{"SELECT query_to_xml('x', true, true, '')", READ, UNKNOWN, SQL_PLAIN, NULL},
	{"SELECT * FROM ts_stat('x')", READ, UNKNOWN, SQL_PLAIN, NULL},
	{"SELECT pg_export_snapshot(), pg_reload_conf(), lo_open(1, 2)", READ, 0, SQL_PLAIN, NULL},
	{"SELECT * FROM pg_prepared_statements", READ, SEES_PREPARED, SQL_PLAIN, NULL},
	{"SELECT * FROM public.pg_prepared_statements", READ, 0, SQL_PLAIN, NULL},
	{"SELECT * FROM pg_prepared_statement()", READ, SEES_PREPARED, SQL_PLAIN, NULL},
	{"UPDATE pg_catalog.pg_settings SET setting = 'x'", WRITE, SETTINGS, SQL_PLAIN, NULL},
	{"SELECT * FROM pg_settings", READ, 0, SQL_PLAIN, NULL},

	/* A call that looks like a column: PostgreSQL 15 carries these out. */
	{"SELECT (1::bigint).pg_advisory_lock", READ, LOCK, SQL_PLAIN, NULL},
	{"SELECT k.pg_advisory_lock FROM generate_series(1::bigint, 1) k", READ, LOCK, SQL_PLAIN,
	 NULL},
	{"SELECT t.name, (t).name, t.f FROM t", READ, 0, SQL_PLAIN, NULL},
};

/* What concerns its transaction at the most, and not the session. */
static bool is_of_transactions(enum sql_action action)
{
	return action <= SQL_ROLLBACK_TO || action == SQL_PREPARE_TRANSACTION ||
		   action == SQL_FINISH_PREPARED || action == SQL_COPY_IN;
}

Test(statement, classes_effects_and_actions)
{
	for (size_t i = 0; i < sizeof one_statement / sizeof *one_statement; i++) {
		const struct expected *expected = &one_statement[i];
		const struct verdict *verdict = read_text(expected->text);

		cr_assert_eq(verdict->reading, SQL_READ, "%s", expected->text);
		cr_assert_eq(verdict->statement_count, 1, "%s", expected->text);
		const struct sql_statement *statement = verdict->statements;
		cr_expect_eq(verdict->classes, expected->classes, "%s: classes %x", expected->text,
					 verdict->classes);
		cr_expect_eq(verdict->effects, expected->effects, "%s: effects %x", expected->text,
					 verdict->effects);
		cr_expect_eq(statement->action, expected->action, "%s", expected->text);
		cr_expect(is_equal(statement->name, expected->name), "%s", expected->text);
		cr_expect_eq(statement->len, strlen(expected->text), "%s", expected->text);
		cr_expect_eq(verdict->is_plain,
					 is_of_transactions(expected->action) && !expected->effects, "%s",
					 expected->text);
		verdict_unref(verdict);
	}
}

/* ---- places ---- */

static void expect_places(const char *text, uint32_t count, const char *const *statements)
{
	const struct verdict *verdict = read_text(text);

	cr_assert_eq(verdict->reading, SQL_READ, "%s", text);
	cr_assert_eq(verdict->statement_count, count, "%s", text);
	for (uint32_t i = 0; i < count; i++) {
		const struct sql_statement *statement = &verdict->statements[i];

		cr_expect_eq(statement->len, strlen(statements[i]), "%s: %u", text, i);
		cr_expect_eq(strncmp(text + statement->start, statements[i], statement->len), 0,
					 "%s: %u", text, i);
	}
	verdict_unref(verdict);
}

#define EXPECT_PLACES(text, ...)                                                               \
	expect_places(text, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *),                \
				  (const char *[]){__VA_ARGS__})

Test(statement, where_statements_begin_and_end)
{
	expect_places("", 0, NULL);
	expect_places(" ; ;-- x\n/* ; */;", 0, NULL);
	EXPECT_PLACES(" /* a */ SELECT 1 -- b", "SELECT 1");
	EXPECT_PLACES(";;SELECT 1;; /* ; */ SELECT ';', 2 ; ", "SELECT 1", "SELECT ';', 2");
	EXPECT_PLACES("SELECT $a$;$b$;$a$;SELECT \";\"", "SELECT $a$;$b$;$a$", "SELECT \";\"");
	EXPECT_PLACES("SELECT E'\\';' ; SELECT '\\';SELECT 3", "SELECT E'\\';'", "SELECT '\\'",
				  "SELECT 3");
	EXPECT_PLACES("SELECT E'a' -- c\n '\\';' ;SELECT 2", "SELECT E'a' -- c\n '\\';'",
				  "SELECT 2");
	EXPECT_PLACES("CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2);SELECT 3",
				  "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)", "SELECT 3");
	EXPECT_PLACES(
		"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END ; SELECT 3",
		"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END", "SELECT 3");
}

/* ---- names ---- */

static bool has_relation(const struct verdict *verdict, const char *schema, const char *name,
						 bool is_written)
{
	for (uint32_t i = 0; i < verdict->relation_count; i++) {
		const struct sql_relation *relation = &verdict->relations[i];

		if (is_equal(relation->schema, schema) && is_equal(relation->name, name))
			return relation->is_written == is_written;
	}
	return false;
}

Test(statement, relations_are_named_once_and_not_those_of_with)
{
	const struct verdict *verdict =
		read_text("WITH a AS (SELECT * FROM b), b AS (SELECT * FROM a) "
				  "INSERT INTO a SELECT * FROM s.t, a, b, (SELECT 1 FROM s.t, \"T\") x");

	cr_assert_eq(verdict->relation_count, 4);
	cr_assert(has_relation(verdict, NULL, "b", false), "the first does not see the second");
	cr_assert(has_relation(verdict, NULL, "a", true), "a target is never one of WITH");
	cr_assert(has_relation(verdict, "s", "t", false));
	cr_assert(has_relation(verdict, NULL, "T", false));
	verdict_unref(verdict);

	verdict = read_text("WITH RECURSIVE a AS (SELECT 1 FROM b, a), b AS (SELECT 2) "
						"SELECT 1 FROM (WITH c AS (SELECT 1) SELECT 1 FROM a, c) x, c");
	cr_assert_eq(verdict->relation_count, 1);
	cr_assert(has_relation(verdict, NULL, "c", false), "out of scope");
	verdict_unref(verdict);

	verdict = read_text("DROP TABLE s.a, b; GRANT SELECT ON s.c TO x; COPY d FROM STDIN; "
						"TRUNCATE e; SELECT 1 FROM b");
	cr_assert_eq(verdict->relation_count, 5);
	cr_assert(has_relation(verdict, "s", "a", true));
	cr_assert(has_relation(verdict, NULL, "b", true), "in one statement is enough");
	cr_assert(has_relation(verdict, "s", "c", true));
	cr_assert(has_relation(verdict, NULL, "d", true));
	cr_assert(has_relation(verdict, NULL, "e", true));
	verdict_unref(verdict);
}

Test(statement, functions_are_named_once)
{
	const struct verdict *verdict =
		read_text("SELECT lower(a), lower(b), s.lower(c), pg_catalog.lower(d), f(g(1))");

	cr_assert_eq(verdict->function_count, 5);
	for (uint32_t i = 0; i < verdict->function_count; i++) {
		const struct sql_function *function = &verdict->functions[i];

		cr_expect_eq(function->is_known,
					 is_equal(function->name, "lower") && !is_equal(function->schema, "s"));
	}
	verdict_unref(verdict);
}

/* ---- what cannot be read ---- */

Test(statement, what_is_not_read_is_feared)
{
	static const char *const unreadable[] = {
		"SELEC 1",
		"SELECT 'a",
		"SELECT /* 1",
		"SELECT \"a",
		"SELECT $$ 1",
		"SELECT (1",
		"SELECT 1)",
		"SET x = $1",
		"SELECT \\",
		"SELECT 1; FOO",
		"SELECT 'a' 'b'",
		"SELECT 'a'/**/\n'b'",
		"\xef\xbb\xbfSELECT 1",
	};

	for (size_t i = 0; i < sizeof unreadable / sizeof *unreadable; i++) {
		const struct verdict *verdict = read_text(unreadable[i]);

		cr_expect_eq(verdict->reading, SQL_UNREADABLE, "%s", unreadable[i]);
		cr_expect_eq(verdict->effects, EFFECTS_ALL, "%s", unreadable[i]);
		cr_expect_eq(verdict->classes, SQL_CLASSES_ALL, "%s", unreadable[i]);
		cr_expect_eq(verdict->statement_count, 0, "%s", unreadable[i]);
		cr_expect_not(verdict->is_plain, "%s", unreadable[i]);
		verdict_unref(verdict);
	}

	const struct verdict *verdict = sql_read("SELECT 1\0; SELECT 2", 19);
	cr_assert_eq(verdict->reading, SQL_UNREADABLE);
	verdict_unref(verdict);
}

Test(statement, comments_are_where_the_server_lets_them_be)
{
	static const char *const readable[] = {
		"SELECT 1 NOT /* a */ IN (1)",
		"SELECT a -- b\nNOT -- c\nBETWEEN 1 AND 2",
		"SELECT 'a' -- b\n -- c\n 'd'",
		"SELECT 1 /* /* nested */ */ + /**/ 2",
		"SELECT U&\"a\" /* x */ UESCAPE /* y */ '!'",
		"SELECT 1 +/*a*/ 2 --",
		"SELECT '--', '/*', $$ -- $$, \"/*\"",
	};

	for (size_t i = 0; i < sizeof readable / sizeof *readable; i++) {
		const struct verdict *verdict = read_text(readable[i]);

		cr_expect_eq(verdict->reading, SQL_READ, "%s", readable[i]);
		cr_expect_eq(verdict->statement_count, 1, "%s", readable[i]);
		verdict_unref(verdict);
	}
}

Test(statement, verdicts_do_not_depend_on_the_text)
{
	char text[] = "SELECT a.b, f(1) FROM s.t; SET LOCAL x = 'y'; SAVEPOINT z";
	const struct verdict *verdict = read_text(text), *again = verdict_ref(verdict);

	memset(text, 'x', sizeof text - 1);
	verdict_unref(verdict);
	cr_assert_str_eq(again->relations[0].schema, "s");
	cr_assert_str_eq(again->functions[0].name, "f");
	cr_assert_str_eq(again->statements[1].value, "y");
	cr_assert_str_eq(again->settings[0].name, "x");
	cr_assert_str_eq(again->statements[2].name, "z");
	verdict_unref(again);
	verdict_unref(NULL);
}
