/* Which isolation rules texts hit; see policy/rules.inc. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "policy/rule.h"
#include "policy/statement.h"

static uint64_t rules_of(const char *text)
{
	const struct verdict *verdict = sql_read(text, strlen(text));
	uint64_t rules;

	cr_assert(verdict != NULL);
	rules = verdict->rules;
	verdict_unref(verdict);
	return rules;
}

struct row {
	const char *text;
	uint64_t rules;
};

static void expect(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t rules = rules_of(rows[i].text);

		for (int rule = 0; rule < RULE_COUNT; rule++) {
			cr_expect_eq(rules >> rule & 1, rows[i].rules >> rule & 1, "%s: %s %s",
						 rows[i].text, rules >> rule & 1 ? "hits" : "does not hit",
						 rule_text((enum rule)rule)->name);
		}
	}
}

#define R(name)      RULE_BIT(RULE_##name)
#define EXPECT(rows) expect(rows, sizeof(rows) / sizeof *(rows))

Test(rules, what_applications_do_hits_none)
{
	static const struct row rows[] = {
		{"SELECT * FROM orders WHERE id = $1 FOR UPDATE", 0},
		{"INSERT INTO orders (item) VALUES ($1) ON CONFLICT DO NOTHING RETURNING id", 0},
		{"WITH gone AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM gone", 0},
		{"MERGE INTO a USING b ON a.id = b.id WHEN MATCHED THEN DELETE", 0},
		{"SELECT set_config('app.user', $1, true)", 0},
		{"SELECT set_config('timezone', 'UTC', false)", 0},
		{"SELECT set_config(name, 'view', false) FROM pg_settings WHERE name = 'work_mem'", 0},
		{"SET search_path TO app, public", 0},
		{"SET LOCAL statement_timeout = '5s'", 0},
		{"RESET ALL", 0},
		{"RESET ROLE", 0},
		{"SET ROLE NONE", 0},
		{"SET SESSION AUTHORIZATION DEFAULT", 0},
		{"DISCARD ALL", 0},
		{"UNLISTEN *", 0},
		{"SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;", 0},
		{"BEGIN; SAVEPOINT a; RELEASE a; COMMIT", 0},
		{"LOCK TABLE orders IN ROW EXCLUSIVE MODE", 0},
		{"CREATE TEMP TABLE t AS SELECT 1 AS a", 0},
		{"CREATE TEMPORARY VIEW v AS SELECT 1", 0},
		{"CREATE TEMP TABLE t (a int PRIMARY KEY) ON COMMIT DROP", 0},
		{"SELECT 1 INTO TEMP t", 0},
		{"DROP TABLE IF EXISTS t", 0},
		{"DROP TABLE pg_temp.t", 0},
		{"TRUNCATE pg_temp.t", 0},
		{"COPY orders TO STDOUT", 0},
		{"COPY t FROM STDIN WITH (FORMAT csv)", 0},
		{"EXPLAIN SELECT 1", 0},
		{"EXPLAIN (ANALYZE off, VERBOSE) SELECT 1", 0},
		{"EXPLAIN (ANALYZE false) SELECT 1", 0},
		{"EXPLAIN (ANALYZE 0) SELECT 1", 0},
		{"SELECT r.http_status, r.http_method FROM requests r", 0},
		{"SELECT j.cron_expression FROM jobs j", 0},
		{"SELECT l.lo_quantity, l.lo_revenue FROM lineorder l", 0},
		{"CALL refresh_totals($1)", 0},
		{"SELECT my_function(1), app.other(2)", 0},
		{"SELECT * FROM pg_settings", 0},
		{"SELECT st.relid FROM pg_catalog.pg_statio_all_tables AS st",
		 0}, /* Sequelize describes tables so */
		{"SELECT bulkhead.tenant_id(), bulkhead.tenant_key()", 0},
		{"SELECT nextval('orders_id_seq'), currval('orders_id_seq')", 0},
		{"SELECT ts_rewrite('a'::tsquery, 'b'::tsquery, 'c'::tsquery)", 0},
		{"SELECT x::public.citext, a OPERATOR(public.=) b FROM t", 0},
		{"PREPARE p AS SELECT $1::int; EXECUTE p(1); DEALLOCATE p", 0},
		{"DECLARE c CURSOR WITH HOLD FOR SELECT 1; FETCH ALL FROM c; CLOSE c", 0},
	};

	EXPECT(rows);
}

Test(rules, context)
{
	static const struct row rows[] = {
		{"SET backtrace_functions = 'x'", R(CONTEXT)},
		{"SET BackTrace_Functions TO x", R(CONTEXT)},
		{"SET \"backtrace_functions\" = 'x'", R(CONTEXT)},
		{"SET U&\"backtrace\\005ffunctions\" = 'x'", R(CONTEXT)},
		{"RESET backtrace_functions", R(CONTEXT)},
		{"SET LOCAL bulkhead.tenant = 'x'", R(CONTEXT)},
		{"SELECT set_config('Backtrace_Functions', 'x', false)", R(CONTEXT)},
		{"SELECT pg_catalog.set_config('bulkhead.x', $1, true)", R(CONTEXT)},
		{"SELECT set_config(new_value => 'x', setting_name => 'backtrace_functions', is_local "
		 "=> "
		 "true)",
		 R(CONTEXT)},
		{"SELECT set_config('role', 'postgres', true)", R(ROLE)},
		{"SELECT set_config(lower('A'), 'x', false)", R(COMPUTED_SETTING)},
		{"SELECT set_config($1, $2, false)", R(COMPUTED_SETTING)},
		{"SELECT set_config(name, 'x', false) FROM pg_settings WHERE name = 'role'", R(ROLE)},
		{"SELECT set_config(name, 'x', false) FROM s.pg_settings WHERE name = 'a'",
		 R(COMPUTED_SETTING)},
		{"SELECT set_config(name, 'x', false) FROM pg_settings WHERE name <> 'a'",
		 R(COMPUTED_SETTING)},
		{"SELECT set_config(setting, 'x', false) FROM pg_settings WHERE name = 'a'",
		 R(COMPUTED_SETTING)},
		{"SELECT (SELECT set_config(name, 'x', false) FROM t) FROM pg_settings WHERE name = "
		 "'a'",
		 R(COMPUTED_SETTING)},
		{"SELECT 1 FROM pg_settings WHERE name = 'a' UNION SELECT set_config(name, 'x', false) "
		 "FROM t",
		 R(COMPUTED_SETTING)},
		{"SELECT (SELECT set_config(name, 'x', false) FROM t) FROM pg_settings, t WHERE name = "
		 "'a'",
		 R(COMPUTED_SETTING)},
		{"SELECT set_config(name, 'x', false) FROM pg_settings WHERE name = 'a' OR true",
		 R(COMPUTED_SETTING)},
		{"SELECT set_config(name, setting, true) FROM pg_settings", R(COMPUTED_SETTING)},
		{"WITH x AS (UPDATE pg_settings SET setting = 'x' RETURNING 1) SELECT * FROM x",
		 R(SETTINGS_VIEW)},
		{"UPDATE pg_catalog.pg_settings SET setting = 'x'", R(SETTINGS_VIEW)},
		{"SET backslash_quote = on", R(CONTEXT)},
		{"SELECT bulkhead.enter($1,$2,$3,$4,$5)", R(GUARD)},
		{"CALL bulkhead.reset_all()", R(GUARD)},
		{"SELECT * FROM bulkhead.signing_key", R(SCHEMA)},
		{"CREATE FUNCTION f() RETURNS int LANGUAGE sql SET backtrace_functions = 'x' AS "
		 "'SELECT 1'",
		 R(CONTEXT) | R(DDL)},
	};

	EXPECT(rows);
}

Test(rules, roles_and_server)
{
	static const struct row rows[] = {
		{"SET ROLE postgres", R(ROLE)},
		{"SET LOCAL ROLE 'postgres'", R(ROLE)},
		{"SET SESSION AUTHORIZATION postgres", R(ROLE)},
		{"ALTER ROLE CURRENT_USER PASSWORD 'x'", R(ROLES) | R(DDL)},
		{"ALTER USER x SET search_path = y", R(ROLES) | R(DDL)},
		{"ALTER ROLE ALL IN DATABASE shop SET row_security = off", R(ROLES) | R(DDL)},
		{"GRANT bulkhead_guard TO CURRENT_USER", R(ROLES) | R(DDL)},
		{"DROP OWNED BY CURRENT_USER", R(ROLES) | R(DDL)},
		{"ALTER ROLE a RENAME TO b", R(ROLES) | R(DDL)},
		{"GRANT SELECT ON t TO PUBLIC", R(DDL)},
		{"ALTER SYSTEM SET fsync = off", R(SERVER)},
		{"CHECKPOINT", R(SERVER)},
		{"SELECT pg_reload_conf()", R(SERVER)},
		{"CREATE DATABASE x", R(DATABASES) | R(DDL)},
		{"ALTER DATABASE shop SET row_security = off", R(DATABASES) | R(DDL)},
		{"ALTER DATABASE shop RENAME TO x", R(DATABASES) | R(DDL)},
		{"CREATE TABLESPACE x LOCATION '/tmp'", R(DATABASES) | R(DDL)},
		{"LOAD 'x'", R(LOAD)},
		{"COPY t TO '/tmp/x'", R(FILES)},
		{"COPY t FROM '/tmp/x'", R(FILES)},
		{"COPY (SELECT 1) TO PROGRAM 'sh'", R(FILES)},
		{"SELECT pg_read_file('x'), pg_ls_dir('.')", R(FILES)},
		{"SELECT (x).pg_ls_dir FROM (SELECT '.'::text AS x) AS y", R(FILES)},
		{"SELECT * FROM pg_hba_file_rules", R(FILES)},
		{"SELECT pg_create_logical_replication_slot('a', 'b')", R(REPLICATION)},
		{"SELECT dblink('x', 'y')", R(REMOTE)},
		{"SELECT * FROM public.dblink_exec('x')", R(REMOTE)},
		{"CREATE SERVER s FOREIGN DATA WRAPPER w", R(REMOTE) | R(DDL)},
		{"SELECT cron.schedule('x', 'y')", R(REMOTE)},
		{"DO $$ BEGIN END $$", R(DO)},
		{"SELECT query_to_xml('SELECT 1', true, true, '')", R(DYNAMIC_SQL)},
		{"SELECT * FROM ts_stat('SELECT 1')", R(DYNAMIC_SQL)},
		{"SELECT ts_rewrite('a'::tsquery, 'SELECT 1')", R(DYNAMIC_SQL)},
		{"CREATE TEMP VIEW v AS SELECT query_to_xml('SELECT 1', true, true, '')",
		 R(DYNAMIC_SQL)},
		{"PREPARE p AS SELECT ts_stat('x')", R(DYNAMIC_SQL)},
		{"EXPLAIN SELECT ts_stat('x')", R(DYNAMIC_SQL)},
		{"COPY (SELECT ts_stat('x')) TO STDOUT", R(DYNAMIC_SQL)},
	};

	EXPECT(rows);
}

Test(rules, functions_that_are_temporary)
{
	static const struct row rows[] = {
		{"CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
		 R(TEMPORARY_FUNCTIONS)},
		{"CREATE OR REPLACE FUNCTION \"pg_temp\".f() RETURNS record LANGUAGE plpgsql AS ''",
		 R(TEMPORARY_FUNCTIONS)},
		{"CREATE PROCEDURE u&\"pg\\005ftemp\".p() LANGUAGE sql AS ''", R(TEMPORARY_FUNCTIONS)},
		{"CREATE FUNCTION shop.pg_temp.f() RETURNS int LANGUAGE sql AS ''",
		 R(TEMPORARY_FUNCTIONS)},
		{"CREATE FUNCTION PG_TEMP.f() RETURNS int LANGUAGE sql AS ''; SELECT pg_temp.f(); "
		 "DROP FUNCTION pg_temp.f()",
		 R(TEMPORARY_FUNCTIONS)},
		{"CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS ''; DROP FUNCTION f()",
		 R(TEMPORARY_FUNCTIONS) | R(DDL)},
		{"CREATE FUNCTION pg_temp_3.f() RETURNS int LANGUAGE sql AS ''", R(DDL) | R(SCHEMA)},
		{"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS ''", R(DDL)},
		{"CREATE TYPE pg_temp.t AS ENUM ('a')", R(DDL)},
		{"ALTER FUNCTION pg_temp.f() STABLE", R(DDL)},
		{"DROP FUNCTION IF EXISTS pg_temp.f()", 0},
		/* What does show counts, also where it is only stored. */
		{"CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql SET role = x AS ''",
		 R(TEMPORARY_FUNCTIONS) | R(ROLE)},
		{"CREATE FUNCTION pg_temp.f() RETURNS void RETURN pg_sleep(1)",
		 R(TEMPORARY_FUNCTIONS) | R(SLEEP)},
	};

	EXPECT(rows);
}

Test(rules, what_is_shared)
{
	static const struct row rows[] = {
		{"CREATE TABLE t (a int)", R(DDL)},
		{"CREATE TABLE t AS SELECT 1", R(DDL)},
		{"SELECT 1 INTO t", R(DDL)},
		{"PREPARE p AS SELECT 1 INTO t", R(DDL)},
		{"CREATE SCHEMA s CREATE TEMP TABLE t (a int)", R(DDL)},
		{"CREATE TRIGGER t BEFORE INSERT ON orders EXECUTE FUNCTION f()", R(DDL)},
		{"CREATE RULE r AS ON SELECT TO orders DO INSTEAD SELECT 1", R(DDL)},
		{"CREATE POLICY p ON orders", R(DDL)},
		{"ALTER TABLE orders ADD a int", R(DDL_OR_TEMPORARY)},
		{"ALTER TABLE orders RENAME a TO b", R(DDL_OR_TEMPORARY)},
		{"ALTER TABLE orders DISABLE ROW LEVEL SECURITY", R(DDL)},
		{"ALTER TABLE orders ADD a int, NO FORCE ROW LEVEL SECURITY", R(DDL)},
		{"ALTER TABLE orders OWNER TO CURRENT_USER", R(DDL)},
		{"ALTER POLICY p ON orders RENAME TO q", R(DDL)},
		{"ALTER TABLE public.orders DISABLE ROW LEVEL SECURITY", R(DDL)},
		{"CREATE INDEX ON orders (a)", R(DDL_OR_TEMPORARY)},
		{"DROP TABLE orders", R(DDL_OR_TEMPORARY)},
		{"DROP TABLE IF EXISTS public.orders", R(DDL)},
		{"DROP FUNCTION IF EXISTS f()", R(DDL)},
		{"COMMENT ON TABLE orders IS 'x'", R(DDL)},
		{"TRUNCATE orders", R(TRUNCATE)},
		{"TRUNCATE pg_temp.t, orders", R(TRUNCATE)},
		{"SELECT setval('s', 1)", R(SEQUENCES)},
		{"LOCK TABLE orders", R(LOCK)},
		{"LOCK TABLE orders IN SHARE MODE", R(LOCK)},
		{"SELECT pg_advisory_lock(1)", R(ADVISORY_LOCKS)},
		{"SELECT pg_try_advisory_xact_lock(1)", R(ADVISORY_LOCKS)},
		{"SELECT pg_sleep(1)", R(SLEEP)},
		{"SELECT pg_catalog.pg_sleep_for('1s')", R(SLEEP)},
		{"SELECT setseed(0.5)", R(SEED)},
		{"SET SEED TO 0.5", R(SEED)},
		{"SET LOCAL seed = 0.5", R(SEED)},
		{"SELECT pg_terminate_backend(1)", R(SIGNALS)},
		{"SELECT lo_create(0)", R(LARGE_OBJECTS)},
		{"SELECT x.lo_get FROM generate_series(1, 2) x", R(LARGE_OBJECTS)},
		{"SELECT * FROM pg_largeobject", R(LARGE_OBJECTS)},
		{"PREPARE TRANSACTION 'x'", R(PREPARED_TRANSACTIONS)},
		{"ROLLBACK PREPARED 'x'", R(PREPARED_TRANSACTIONS)},
		{"LISTEN x", R(LISTEN)},
		{"NOTIFY x, 'y'", R(LISTEN)},
		{"SELECT pg_notify('x', 'y')", R(LISTEN)},
		{"SELECT pg_current_wal_insert_lsn(), pg_walfile_name('0/0')", R(WAL_POSITION)},
		{"SELECT * FROM pg_last_committed_xact()", R(WAL_POSITION)},
		{"SELECT pg_wal_lsn_diff('0/1', '0/0'), pg_is_in_recovery()", 0},
		{"SELECT pg_export_snapshot(), pg_total_relation_size('orders')", 0},
		{"SELECT * FROM pg_stat_activity", R(ACTIVITY)},
		{"SELECT * FROM pg_locks", R(ACTIVITY)},
		{"SELECT * FROM pg_stat_user_tables", R(CATALOG)},
		{"SELECT * FROM pg_statio_user_tables", R(CATALOG)},
		{"SELECT * FROM public.pg_stat_statements", R(CATALOG)},
		{"SELECT currtid2('orders', '(0,1)')", R(ROW_VERSIONS)},
		{"EXPLAIN ANALYZE SELECT 1", R(EXPLAIN_ANALYZE)},
		{"EXPLAIN (ANALYZE true) SELECT 1", R(EXPLAIN_ANALYZE)},
		{"EXPLAIN (ANALYZE 1) SELECT 1", R(EXPLAIN_ANALYZE)},
	};

	EXPECT(rows);
}

#define OTHER "t_0123456789abcdef0123456789abcdef"

Test(rules, schemas)
{
	static const struct row rows[] = {
		{"SELECT * FROM " OTHER ".orders", R(SCHEMA)},
		{"SELECT " OTHER ".f()", R(SCHEMA)},
		{"SELECT 1::" OTHER ".money", R(SCHEMA)},
		{"SELECT 1 OPERATOR(" OTHER ".+) 1", R(SCHEMA)},
		{"SELECT 1 OPERATOR(" OTHER ".=) ANY (SELECT 1)", R(SCHEMA)},
		{"SELECT 'a' COLLATE " OTHER ".c", R(SCHEMA)},
		{"SELECT 1 ORDER BY 1 USING OPERATOR(" OTHER ".<)", R(SCHEMA)},
		{"SET search_path TO " OTHER ", public", R(SCHEMA)},
		{"SET search_path = 'public, \"" OTHER "\"'", R(SCHEMA)},
		{"SELECT set_config('search_path', '" OTHER "', false)", R(SCHEMA)},
		{"SELECT set_config('search_path', 'BulkHead', false)", R(SCHEMA)},
		{"SELECT set_config('search_path', E'public,\r" OTHER "\f', false)", R(SCHEMA)},
		{"SELECT * FROM \"" OTHER "\".orders", R(SCHEMA)},
		{"INSERT INTO " OTHER ".orders VALUES (1)", R(SCHEMA)},
		{"COPY " OTHER ".orders TO STDOUT", R(SCHEMA)},
		{"SELECT * FROM pg_toast.pg_toast_1", R(SCHEMA)},
		{"SELECT * FROM bulkhead_control.tenant", R(SCHEMA)},
		{"SELECT * FROM t_short.orders", 0},
		{"SELECT * FROM shop.public.orders", 0},
	};

	EXPECT(rows);
}

Test(rules, texts_that_are_not_read)
{
	char *deep = malloc(2001);

	cr_expect_eq(rules_of("SELEC 1"), R(UNREADABLE));
	memset(deep, '+', 2000);
	memcpy(deep, "SELECT 1", 8);
	deep[2000] = '\0';
	cr_expect_eq(rules_of(deep), R(TOO_DEEP));
	free(deep);
}

Test(rules, the_parser_says_what_it_does_not_understand)
{
	static const char text[] = "SELECT 1 FORM t x";
	const struct verdict *verdict = sql_read(text, strlen(text));

	cr_expect_eq(verdict->reading, SQL_UNREADABLE);
	cr_expect_str_eq(verdict->error, "syntax error at or near \"t\"");
	cr_expect_eq(verdict->error_position, 15);
	verdict_unref(verdict);
}

Test(rules, names_are_found_by_them_and_differ)
{
	enum rule rule;

	for (int i = 0; i < RULE_COUNT; i++) {
		cr_expect(rule_by_name(rule_text((enum rule)i)->name, &rule));
		cr_expect_eq((int)rule, i);
		cr_expect(rule_text(rule)->places && rule_text(rule)->message && rule_text(rule)->why);
	}
	cr_expect_not(rule_by_name("none such", &rule));
}
