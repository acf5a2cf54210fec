-- Keeping others from working, within reason.

-- case: own-locks-on-what-is-the-servers
-- area: denial of service
-- as: schema database login
-- hope: a lock on the catalogues stops all
BEGIN;
LOCK TABLE pg_class IN ACCESS EXCLUSIVE MODE;                                               -- 42501
ROLLBACK;
BEGIN;
LOCK TABLE pg_authid IN ACCESS SHARE MODE;                                                  -- 42501
ROLLBACK;
BEGIN;
LOCK TABLE pg_database IN ROW EXCLUSIVE MODE;                                               -- 42501
ROLLBACK;
BEGIN;
LOCK TABLE pg_db_role_setting IN SHARE MODE;                                                -- 42501
ROLLBACK;
REINDEX SYSTEM {here};                                                                      -- 42501
REINDEX DATABASE {here};                                                                    -- 42501
REINDEX SCHEMA pg_catalog;                                                                  -- 42501
VACUUM FULL pg_class;
CLUSTER pg_class USING pg_class_oid_index;                                                  -- 42501
SELECT pg_stat_reset();                                                                     -- 42501
SELECT pg_stat_reset_shared('wal');                                                         -- 42501
SELECT pg_wal_replay_pause();                                                               -- 42501

-- case: own-open-transactions
-- area: denial of service
-- as: schema database login
-- hope: while its transactions are open others wait
BEGIN;
UPDATE orders SET item = item || '';                                                        -- ok
CREATE TEMP TABLE t (x integer);
\as tyrell
UPDATE orders SET item = item;                                                              -- ok
\as wonka
UPDATE orders SET item = item;                                                              -- ok
\as wayne
UPDATE orders SET item = item;                                                              -- ok
\as globex
UPDATE orders SET item = item;                                                              -- ok
\as {attacker}
ROLLBACK;

-- case: own-definitions-in-an-open-transaction
-- area: denial of service
-- as: schema database
-- hope: definitions that are not committed keep others from making theirs
BEGIN;
ALTER TABLE orders ADD COLUMN more integer;                                                 -- ok
GRANT ALL ON SCHEMA {home} TO PUBLIC;                                                       -- ok
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {schema};                                -- ok
COMMENT ON SCHEMA {home} IS 'mine';                                                         -- ok
\as tyrell
CREATE TABLE more (x integer);                                                              -- ok
ALTER TABLE more ADD COLUMN y integer;                                                      -- ok
DROP TABLE more;                                                                            -- ok
\as {attacker}
ROLLBACK;

-- case: own-password-in-an-open-transaction
-- area: denial of service
-- as: schema database login
-- hope: a row of the logins' catalogue is locked, and logins wait
BEGIN;
ALTER ROLE CURRENT_USER PASSWORD 'known';                                                   -- ok
ALTER ROLE CURRENT_USER SET work_mem = '1MB';                                               -- ok
\as admin
SELECT count(pg_terminate_backend(pid, 1000)) FROM pg_stat_activity WHERE usename IN ('{schema}', '{database}');
\as tyrell
SELECT count(*) FROM orders;                                                                -- = 20!
\as wonka
SELECT count(*) FROM orders;                                                                -- = 20!
\as {attacker}
ROLLBACK;

-- case: own-many-objects
-- area: denial of service
-- as: schema database
-- hope: the self-check of its own login, which looks at what it owns, takes so long that others wait
DO $$ BEGIN FOR i IN 1..300 LOOP EXECUTE format('CREATE VIEW v%s AS SELECT %s', i, i); END LOOP; END $$;  -- ok
\leave
\as admin
SELECT count(pg_terminate_backend(pid, 1000)) FROM pg_stat_activity WHERE usename = '{me}';
\as {attacker}
SELECT 1;                                                                                   -- = 1!

-- case: own-all-its-backends
-- area: denial of service
-- as: schema database login
-- pool: 2
-- hope: its pool's backends are all there are
BEGIN;
UPDATE orders SET item = item || '';                                                        -- ok
\as {attacker}-2
BEGIN;
SELECT count(*) FROM orders;                                                                -- = 20
\as tyrell
SELECT count(*) FROM orders;                                                                -- = 20!
\as wayne
SELECT count(*) FROM orders;                                                                -- = 20!
\as globex
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: own-session-ended-by-itself
-- area: denial of service
-- as: schema database login
-- hope: a backend that ends while it is used takes others' clients along
SELECT pg_terminate_backend(pg_backend_pid());                                              -- 42501 | 57P01 | 42501 |
\as {attacker}
DO $$ BEGIN PERFORM pg_cancel_backend(pg_backend_pid()); PERFORM count(*) FROM generate_series(1, 100000); END $$;
\as tyrell
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: own-timeouts
-- area: denial of service
-- as: schema database login
-- hope: timeouts of its own make Bulkhead's statements fail, and backends are given up one after the other
SET statement_timeout = '1ms';
SET lock_timeout = '1ms';
SET idle_in_transaction_session_timeout = '1ms';
SET idle_session_timeout = '1ms';
CREATE TEMP TABLE t (x integer);
\leave
\as {attacker}
SELECT count(*) FROM orders;
\as tyrell
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: own-everything-dropped
-- area: denial of service
-- as: schema database
-- hope: a tenant without its place is led to another's
DROP TABLE orders CASCADE;                                                                  -- ok
DROP SCHEMA {home} CASCADE;                                                                 -- ok
SELECT item FROM orders;                                                                    -- 42P01
\leave
\as admin
SELECT count(pg_terminate_backend(pid, 1000)) FROM pg_stat_activity WHERE usename = '{me}';
\as {attacker}
SELECT item FROM orders;                                                                    -- 42P01
DROP OWNED BY CURRENT_USER CASCADE;                                                         -- ok
SELECT current_schemas(false);                                                              -- = {}

-- case: own-schema-in-the-place-of-anothers
-- area: DDL
-- as: schema
-- hope: a schema of another tenant's name, before or after there is one
ALTER SCHEMA {home} RENAME TO {database};                                                   -- 42501
ALTER SCHEMA {home} RENAME TO mine;                                                         -- 42501
CREATE SCHEMA {database};                                                                   -- 42501
CREATE SCHEMA t_00000000000000000000000000000001;                                           -- 42501
CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {me};                                    -- 42501
