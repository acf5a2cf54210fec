-- Statements that change what all tenants share.

-- case: truncate-in-all-its-forms
-- area: DDL
-- hope: TRUNCATE does not ask row security
TRUNCATE notices;                                                                           -- 42501
TRUNCATE TABLE ONLY papers;                                                                 -- 42501
TRUNCATE contracts, events_early RESTART IDENTITY;                                          -- 42501
TRUNCATE public.words CONTINUE IDENTITY CASCADE;                                            -- 42501
TRUNCATE "public"."slots" RESTRICT;                                                         -- 42501
BEGIN; TRUNCATE notices;                                                                    -- 42501
ROLLBACK;
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: tables-altered
-- hope: one of the forms of ALTER TABLE is free
ALTER TABLE orders ADD COLUMN spy text;                                                     -- 42501
ALTER TABLE IF EXISTS public.orders DROP COLUMN item;                                       -- 42501
ALTER TABLE ONLY orders RENAME COLUMN item TO thing;                                        -- 42501
ALTER TABLE orders RENAME TO orders2;                                                       -- 42501
ALTER TABLE orders SET SCHEMA pg_temp;                                                      -- 42501
ALTER TABLE orders SET UNLOGGED;                                                            -- 42501
ALTER TABLE orders CLUSTER ON orders_pkey;                                                  -- 42501
ALTER TABLE orders SET (fillfactor = 10);                                                   -- 42501
ALTER TABLE orders REPLICA IDENTITY FULL;                                                   -- 42501
ALTER TABLE orders ALTER item TYPE integer USING item::integer;                             -- 42501
ALTER TABLE orders ALTER item SET STATISTICS 10000;                                         -- 42501
ALTER TABLE orders ADD CONSTRAINT c CHECK (item <> 'globex 1') NOT VALID;                   -- 42501
ALTER TABLE orders DROP CONSTRAINT orders_pkey CASCADE;                                     -- 42501
ALTER TABLE payments DROP CONSTRAINT payments_tenant_id_account_id_fkey;                    -- 42501
ALTER TABLE orders INHERIT papers;                                                          -- 42501
ALTER TABLE orders FORCE ROW LEVEL SECURITY;                                                -- 42501
ALTER TABLE ALL IN TABLESPACE pg_default SET TABLESPACE pg_default;
ALTER INDEX words_by_word RENAME TO w;                                                      -- 42501
ALTER INDEX words_by_word SET (fillfactor = 50);                                            -- 42501
DROP INDEX words_by_word;                                                                   -- 42501
DROP INDEX CONCURRENTLY IF EXISTS words_by_upper;                                           -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: other-objects-altered
-- hope: one kind of object belongs to nobody
ALTER SEQUENCE tally RESTART;                                                               -- 42501
ALTER SEQUENCE accounts_id_seq OWNED BY NONE;                                               -- 42501
DROP SEQUENCE tally;                                                                        -- 42501
ALTER FUNCTION own_orders() SECURITY INVOKER;                                               -- 42501
ALTER FUNCTION run(text) RENAME TO walk;                                                    -- 42501
CREATE OR REPLACE FUNCTION own_orders() RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint';  -- 42501
DROP FUNCTION own_orders;                                                                   -- 42501
DROP ROUTINE run;                                                                           -- 42501
ALTER TYPE textrange RENAME TO t;                                                           -- 42501
DROP TYPE textrange CASCADE;                                                                -- 42501
ALTER STATISTICS words_together SET STATISTICS 0;                                           -- 42501
DROP STATISTICS words_longer;                                                               -- 42501
ALTER SCHEMA public RENAME TO p;                                                            -- 42501
DROP SCHEMA bulkhead CASCADE;                                                               -- 42501
ALTER SCHEMA bulkhead OWNER TO CURRENT_USER;                                                -- 42501
ALTER EXTENSION dblink SET SCHEMA pg_temp;
DROP EXTENSION dblink;                                                                      -- 42501
ALTER EXTENSION plpgsql UPDATE;                                                             -- 42501
DROP LANGUAGE plpgsql;                                                                      -- 42501
DROP OWNED BY bulkhead_guard;                                                               -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: other-objects-made
-- hope: one kind of object can be made by anybody
CREATE OPERATOR FAMILY public.f USING btree;                                                -- 42501
CREATE OPERATOR CLASS public.c FOR TYPE text USING btree AS STORAGE text;                   -- 42501
CREATE CAST (text AS integer) WITH INOUT AS IMPLICIT;                                       -- 42501
CREATE CAST (uuid AS text) WITHOUT FUNCTION AS IMPLICIT;                                    -- 42501
CREATE COLLATION public.c FROM "C";                                                         -- 42501
CREATE CONVERSION public.c FOR 'UTF8' TO 'LATIN1' FROM utf8_to_iso8859_1;                   -- 42501
CREATE DEFAULT CONVERSION pg_catalog.c FOR 'UTF8' TO 'LATIN1' FROM utf8_to_iso8859_1;       -- 42501
CREATE TEXT SEARCH CONFIGURATION public.c (COPY = simple);                                  -- 42501
CREATE TEXT SEARCH TEMPLATE public.t (LEXIZE = dsimple_lexize);                             -- 42501
CREATE TRANSFORM FOR text LANGUAGE sql (FROM SQL WITH FUNCTION textin(internal));
CREATE AGGREGATE public.a(text) (SFUNC = textcat, STYPE = text);                            -- 42501
CREATE PROCEDURE public.p() LANGUAGE sql AS 'SELECT 1';                                     -- 42501
CREATE TYPE public.t AS (x integer);                                                        -- 42501
CREATE TYPE public.shell;                                                                   -- 42501
CREATE TABLE IF NOT EXISTS public.t (LIKE orders);                                          -- 42501
CREATE TABLE public.orders_copy AS TABLE orders;                                            -- 42501
CREATE SCHEMA mine CREATE TABLE t (x integer);                                              -- 42501
CREATE INDEX CONCURRENTLY ON orders (item);                                                 -- 42501
CREATE UNIQUE INDEX ON words (word) WHERE false;                                            -- 42501
CREATE SUBSCRIPTION s CONNECTION 'dbname=shop' PUBLICATION p WITH (connect = false);        -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: maintenance
-- hope: maintenance is anybody's, holds locks, and tells
VACUUM (VERBOSE) orders;
VACUUM FULL notices;
VACUUM (FULL, ANALYZE) pg_class;
ANALYZE VERBOSE words;
CLUSTER;
CLUSTER VERBOSE orders USING orders_pkey;                                                   -- 42501
REINDEX (VERBOSE) TABLE CONCURRENTLY orders;                                                -- 42501
REINDEX INDEX words_by_word;                                                                -- 42501
REINDEX SCHEMA public;                                                                      -- 42501
REINDEX DATABASE shop;                                                                      -- 42501
REINDEX SYSTEM shop;                                                                        -- 42501
REFRESH MATERIALIZED VIEW CONCURRENTLY orders;                                              -- 42501 | 42501
CHECKPOINT;                                                                                 -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: explain-that-runs
-- area: covert channels
-- hope: EXPLAIN ANALYZE runs what it explains, and is taken for a look
EXPLAIN ANALYZE INSERT INTO orders VALUES ('{globex}', 900, 'acme');                        -- 42501
EXPLAIN (ANALYZE) UPDATE orders SET tenant_id = '{globex}';                                 -- 42501
EXPLAIN ANALYZE VERBOSE DELETE FROM orders WHERE tenant_id = '{globex}';
EXPLAIN (ANALYZE, BUFFERS, WAL, SETTINGS) SELECT count(*) FROM orders;
EXPLAIN (VERBOSE, COSTS off) SELECT * FROM orders WHERE tenant_id = '{globex}';             -- ok
EXPLAIN (ANALYZE false) SELECT * FROM orders;                                               -- ok
EXPLAIN ANALYZE CREATE TABLE public.t AS TABLE orders;                                      -- 42501
EXPLAIN ANALYZE CREATE TEMP TABLE t AS SELECT run('RESET work_mem');
EXPLAIN (ANALYZE, ANALYZE false) SELECT 1;
EXPLAIN SELECT item::integer FROM orders WHERE tenant_id = '{globex}';                      -- ok
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: notify-by-a-function
-- hope: a word to another tenant's session, said by a function of the application's
-- residue: there is no privilege on LISTEN and NOTIFY
-- residue-unhardened: what the body of an application's function does is not seen
-- residue-both: what the body of an application's function does is not seen, and there is no privilege on NOTIFY; an application that lets its users run texts has this left
-- pool: 2
\as globex
SELECT run('LISTEN news');                                                                  -- ok
\as acme
SELECT run('NOTIFY news, ''from acme''');                                                   -- ok
\as globex
SELECT 1;                                                                                   -- ok
