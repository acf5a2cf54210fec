-- Looking at, and laying hands on, sessions of other tenants. The hardening takes the means away.

-- case: watching-sessions
-- area: covert channels
-- hope: sessions of the same login show their statements
-- pool: 2
\as globex
BEGIN;
SELECT count(*) FROM orders WHERE item = 'globex secret';                                   -- = 0
\as acme
SELECT count(*) FROM pg_stat_activity;                                                      -- 42501
SELECT count(*) FROM pg_stat_get_activity(NULL);                                            -- 42501
SELECT pg_stat_get_backend_activity(1);                                                     -- 42501
SELECT pg_stat_get_backend_idset();                                                         -- 42501
SELECT count(*) FROM pg_stat_progress_copy;                                                 -- 42501
SELECT count(*) FROM pg_stat_ssl;                                                           -- 42501
SELECT count(*) FROM pg_stat_replication;                                                   -- 42501
SELECT count(*) FROM pg_backend_memory_contexts;                                            -- 42501
SELECT pg_log_backend_memory_contexts(1);                                                   -- 42501

-- case: statements-of-others-in-an-extension
-- hope: pg_stat_statements shows a login its own statements, and all tenants have one login
\as globex
SET app.password = 'globex secret';
\leave
\as acme
SELECT count(*) FROM pg_stat_statements WHERE query LIKE '%secret%';                        -- 42501
SELECT count(*) FROM pg_stat_statements(true) WHERE query LIKE '%secret%';                  -- 42501
SELECT pg_stat_statements_reset();                                                          -- 42501

-- case: ending-sessions
-- area: denial of service
-- hope: a login may end its own sessions
-- pool: 2
\as globex
BEGIN;
SELECT count(*) FROM orders;                                                                -- = 20!
\as acme
SELECT pg_terminate_backend(pid) FROM pg_locks;                                             -- 42501
SELECT pg_cancel_backend(1);                                                                -- 42501
SELECT pg_terminate_backend(1, 100);                                                        -- 42501
\as globex
SELECT count(*) FROM orders;                                                                -- = 20!
COMMIT;                                                                                     -- ok

-- case: large-objects
-- area: files and large objects
-- hope: a large object belongs to the login, which all tenants share
SELECT lo_create(4711);                                                                     -- 42501
SELECT lo_from_bytea(0, 'acme');                                                            -- 42501
SELECT lo_open(1, 131072);                                                                  -- 42501
SELECT lo_get(1);                                                                           -- 42501
SELECT loread(0, 100);                                                                      -- 42501
SELECT lowrite(0, 'acme');                                                                  -- 42501
SELECT lo_unlink(1);                                                                        -- 42501
ALTER LARGE OBJECT 1 OWNER TO bulkhead_app;                                                 -- 42704

-- case: a-large-object-of-the-logins
-- hope: one that came before the guard is there for all
-- before: SELECT lo_create(4711); ALTER LARGE OBJECT 4711 OWNER TO bulkhead_pool
-- after: SELECT lo_unlink(4711)
SELECT lo_get(4711);                                                                        -- 42501
SELECT count(*) FROM pg_largeobject;                                                        -- 42501

-- case: temporary-tables-of-others
-- area: paths and schemas
-- hope: a temporary table belongs to the login, so another session's can be read
-- under: standard
-- pool: 2
\as globex
CREATE TEMP TABLE private (item text);                                                      -- ok
INSERT INTO private SELECT item FROM orders;                                                -- ok
\as acme
SELECT table_to_xml(oid, false, false, '') FROM pg_class WHERE relname = 'private';         -- 42501
DO $$ BEGIN EXECUTE format('SELECT * FROM %s', (SELECT oid::regclass FROM pg_class WHERE relname = 'private')); END $$;  -- 42501
DO $$ BEGIN EXECUTE format('DROP TABLE %s', (SELECT oid::regclass FROM pg_class WHERE relname = 'private')); END $$;  -- 42501
DO $$ BEGIN EXECUTE format('GRANT USAGE ON SCHEMA %s TO PUBLIC', (SELECT relnamespace::regnamespace FROM pg_class WHERE relname = 'private')); END $$;  -- 42501
SELECT count(*) FROM pg_stats WHERE tablename = 'private';                                  -- = 0
\as globex
SELECT count(*) FROM private;                                                               -- = 20

-- case: locks-of-others
-- area: covert channels
-- hope: the lock table tells what others do
-- under: strict
SELECT count(*) FROM pg_locks;                                                              -- 42501
SELECT count(*) FROM pg_lock_status();                                                      -- 42501
SELECT pg_blocking_pids(1);                                                                 -- 42501
SELECT count(*) FROM pg_prepared_xacts;                                                     -- 42501
SELECT count(*) FROM pg_prepared_statements;                                                -- 42501 | 42501 | ok

-- case: counters
-- area: catalogue
-- hope: sizes and counters of all tenants together
-- under: strict
-- residue-unhardened: sizes of tables are asked for by tools; the functions that count rows are refused
SELECT n_live_tup FROM pg_stat_user_tables;                                                 -- 42501
SELECT pg_stat_get_live_tuples('orders'::regclass);                                         -- 42501
SELECT pg_stat_get_tuples_inserted('orders'::regclass);                                     -- 42501
SELECT pg_relation_size('orders');                                                          -- 42501
SELECT pg_total_relation_size('orders');                                                    -- 42501
SELECT pg_table_size('orders');                                                             -- 42501
SELECT pg_database_size(current_database());                                                -- 42501
SELECT heap_blks_hit FROM pg_statio_user_tables;                                            -- 42501

-- case: the-wal-position
-- area: covert channels
-- hope: how many bytes others write, one write after the other
-- under: strict
SELECT pg_current_wal_lsn();                                                                -- 42501
SELECT pg_current_wal_insert_lsn();                                                         -- 42501
SELECT pg_current_wal_flush_lsn();                                                          -- 42501
SELECT pg_walfile_name('0/1000000');                                                        -- 42501
SELECT pg_last_wal_replay_lsn();                                                            -- 42501
SELECT (pg_control_checkpoint()).redo_lsn;                                                  -- 42501
SELECT xid FROM pg_last_committed_xact();                                                   -- 42501
SELECT orders.pg_current_wal_lsn FROM orders;                                               -- 42501 | 42703

-- case: a-row-by-its-address
-- area: functions
-- hope: currtid2 follows a row's versions without row security, and tells when globex changes a row
-- under: strict
SELECT currtid2('orders', '(0,21)');                                                        -- 42501

-- case: strict-takes-the-means
-- hope: functions by which settings, locks, time and texts reach around
-- under: strict
SELECT set_config('app.x', 'y', false);                                                     -- 42501 | 42501 | ok
SELECT pg_sleep(0);                                                                         -- 42501
SELECT pg_sleep_for('0');                                                                   -- 42501
SELECT setseed(0.5);                                                                        -- 42501
SELECT setval('tally', 1);                                                                  -- 42501
SELECT pg_notify('news', 'acme');                                                           -- 42501
SELECT pg_advisory_lock(1);                                                                 -- 42501
SELECT pg_try_advisory_xact_lock_shared(1);                                                 -- 42501
SELECT pg_advisory_unlock_all();                                                            -- ok
SELECT pg_export_snapshot();                                                                -- 42501 | 42501 | ok
SELECT pg_logical_emit_message(false, 'a', 'b');                                            -- 42501
SELECT count(*) FROM pg_settings;                                                           -- 42501 | 42501 | ok
SELECT count(*) FROM pg_db_role_setting;                                                    -- 42501 | 42501 | ok
CREATE TEMP TABLE t (x integer);                                                            -- 42501 | 42501 | ok
SELECT count(*) FROM pg_roles;                                                              -- ok
SELECT count(*) FROM pg_database;                                                           -- ok

-- case: owning-something-while-backends-are-checked
-- area: denial of service
-- hope: a new backend is refused because the login owns something, so nobody is served
-- under: standard
-- pool: 3
-- before: SELECT count(pg_terminate_backend(pid, 1000)) FROM pg_stat_activity WHERE usename = 'bulkhead_pool'
CREATE TEMP TABLE t (x integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, y text);           -- ok
CREATE FUNCTION pg_temp.f(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';        -- ok
CREATE AGGREGATE pg_temp.a(text) (SFUNC = textcat, STYPE = text);
CREATE DOMAIN pg_temp.d AS text;                                                            -- ok
CREATE TYPE pg_temp.e AS ENUM ('acme');                                                     -- ok
CREATE TYPE pg_temp.r AS RANGE (subtype = text);                                            -- ok
CREATE OPERATOR pg_temp.~~~ (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_temp.f);        -- ok
CREATE COLLATION pg_temp.c FROM "C";                                                        -- ok
CREATE STATISTICS pg_temp.s ON x, y FROM t;                                                 -- ok
CREATE TEXT SEARCH DICTIONARY pg_temp.d (TEMPLATE = simple);                                -- ok
CREATE TEXT SEARCH CONFIGURATION pg_temp.c (COPY = simple);                                 -- ok
CREATE CONVERSION pg_temp.c FOR 'UTF8' TO 'LATIN1' FROM utf8_to_iso8859_1;                  -- ok
CREATE CAST (pg_temp.e AS text) WITH INOUT;                                                 -- ok
CREATE PROCEDURE pg_temp.p() LANGUAGE sql AS 'SELECT 1';                                    -- ok
SET ROLE bulkhead_app;
CREATE TEMP TABLE u (x integer);                                                            -- ok
CREATE TYPE pg_temp.f AS ENUM ('acme');                                                     -- ok
\as globex
SELECT count(*) FROM orders;                                                                -- = 20!
\as acme
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: an-advisory-lock-that-outlives-its-client
-- area: left-overs
-- hope: a lock of the session's lasts for as long as no other tenant needs the backend
-- under: standard
-- pool: 2
\as globex
BEGIN;
SELECT 1;                                                                                   -- ok
\as acme
SELECT pg_advisory_lock(4711);                                                              -- ok
\leave
\as globex
SET LOCAL lock_timeout = '5s';
SELECT pg_advisory_xact_lock(4711);                                                         -- ok

-- case: statements-under-bulkheads-names
-- hope: statements of other clients are there under names that can be found, run and replaced
\as globex
SELECT count(*) FROM orders;                                                                -- = 20!
\as acme
EXECUTE bulkhead_none;                                                                      -- 26000
SELECT name FROM pg_prepared_statements WHERE name LIKE 'bulkhead%';
DEALLOCATE bulkhead_none;                                                                   -- 26000
PREPARE bulkhead_none AS SELECT 'acme';                                                     -- ok
EXECUTE bulkhead_none;                                                                      -- = acme
\leave
\as globex
EXECUTE bulkhead_none;                                                                      -- 26000
SELECT count(*) FROM orders;                                                                -- = 20!
