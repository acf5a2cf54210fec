-- Names of what is others', written out. Expectations are of: schema | database | login | sealed.

-- case: own-qualified-names
-- area: paths and schemas
-- as: schema database login sealed
-- hope: a schema's name is all that keeps one tenant's tables from another
SELECT item FROM {schema}.orders;                                                           -- 42501 | 42P01 | 42501 | 42501
SELECT item FROM "{schema}"."orders" o, {schema}.notes n;                                   -- 42501 | 42P01 | 42501 | 42501
SELECT {schema}.orders.item FROM {schema}.orders;                                           -- 42501 | 42P01 | 42501 | 42501
SELECT item FROM {schema}.order_items;                                                      -- 42501 | 42P01 | 42501 | 42501
TABLE {schema}.orders;                                                                      -- 42501 | 42P01 | 42501 | 42501
SELECT {schema}.all_items();                                                                -- 42501 | 3F000 | 42501 | 42501
SELECT 1;                                                                                   -- = 1!

-- case: own-qualified-writes
-- as: schema database login sealed
-- hope: writing is checked less than reading
INSERT INTO {schema}.orders VALUES (900, 'mine');                                           -- 42501 | 42P01 | 42501 | 42501
UPDATE {schema}.orders SET item = 'mine';                                                   -- 42501 | 42P01 | 42501 | 42501
DELETE FROM {schema}.orders;                                                                -- 42501 | 42P01 | 42501 | 42501
TRUNCATE {schema}.orders;                                                                   -- 42501 | 3F000 | 42501 | 42501
MERGE INTO {schema}.orders o USING (VALUES (1)) v(id) ON o.id = v.id WHEN MATCHED THEN DELETE;  -- 42501 | 42P01 | 42501 | 42501
COPY {schema}.orders FROM STDIN;                                                            -- 42501 | 3F000 | 42501 | 42501
COPY {schema}.orders TO STDOUT;                                                             -- 42501 | 3F000 | 42501 | 42501
BEGIN;
LOCK TABLE {schema}.orders;                                                                 -- 42501 | 3F000 | 42501 | 42501
ROLLBACK;
SELECT item FROM {schema}.orders FOR UPDATE;                                                -- 42501 | 42P01 | 42501 | 42501

-- case: own-qualified-definitions
-- area: DDL
-- as: schema database login sealed
-- hope: changing what is others' is checked less than reading it
ALTER TABLE {schema}.orders ADD COLUMN x integer;                                           -- 42501 | 3F000 | 42501 | 42501
DROP TABLE {schema}.orders;                                                                 -- 42501 | 3F000 | 42501 | 42501
CREATE TABLE {schema}.mine (x integer);                                                     -- 42501 | 3F000 | 42501 | 42501
CREATE INDEX ON {schema}.orders (item);                                                     -- 42501 | 3F000 | 42501 | 42501
CREATE TRIGGER t BEFORE INSERT ON {schema}.orders EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE RULE r AS ON SELECT TO {schema}.orders DO INSTEAD SELECT 1;
CREATE POLICY p ON {schema}.orders USING (true);
CREATE FUNCTION {schema}.f() RETURNS integer LANGUAGE sql AS 'SELECT 1';                    -- 42501 | 3F000 | 42501 | 42501
COMMENT ON TABLE {schema}.orders IS 'mine';                                                 -- 42501 | 3F000 | 42501 | 42501
GRANT SELECT ON {schema}.orders TO PUBLIC;                                                  -- 42501 | 3F000 | 42501 | 42501
ALTER SCHEMA {schema} RENAME TO mine;                                                       -- 42501 | 3F000 | 42501 | 42501
ALTER SCHEMA {schema} OWNER TO CURRENT_USER;                                                -- 42501 | 3F000 | 42501 | 42501
DROP SCHEMA {schema} CASCADE;                                                               -- 42501 | 3F000 | 42501 | 42501
CREATE SCHEMA mine;                                                                         -- 42501
CREATE SCHEMA AUTHORIZATION CURRENT_USER;                                                   -- 42501

-- case: own-tables-of-all
-- area: paths and schemas
-- as: schema database
-- hope: the tables that others share are for whoever knows their name
SELECT item FROM public.orders;                                                             -- 42501 | = umbrella 1 {marker} | |
SELECT * FROM public.tickets;                                                               -- 42501 | 42P01 | |
SELECT public.own_orders();                                                                 -- 42501 | 42883 | |
INSERT INTO public.tickets VALUES (103, 900, 'mine');                                       -- 42501 | 42P01 | |
CREATE TABLE public.mine (x integer);                                                       -- 42501 | ok | |
CREATE FUNCTION public.lower(name) RETURNS text LANGUAGE sql AS 'SELECT 1';                 -- 42501 | | |
SELECT nextval('public.tally');                                                             -- 42501 | ok | |
SELECT public.dblink('dbname=shop', 'SELECT 1');                                            -- 42501 | 42883 | |

-- case: own-shared-rows-under-the-login
-- area: context
-- as: login
-- hope: row security is about the seal, and a login of its own has none
SELECT count(*) FROM orders;                                                                -- = 20!
SELECT count(*) FROM orders WHERE tenant_id = '{sealed_id}';                                -- = 0!
SELECT count(*) FROM public.orders o WHERE o.tenant_id <> '{my_id}';                        -- = 0!
UPDATE orders SET item = 'mine' WHERE tenant_id <> '{my_id}';                               -- ok
DELETE FROM orders WHERE tenant_id = '{login_id}' OR tenant_id = '{sealed_id}';             -- ok
INSERT INTO orders (tenant_id, id, item) VALUES ('{sealed_id}', 900, 'mine');               -- 42501
UPDATE orders SET tenant_id = '{login_id}' WHERE id = 1;                                    -- 42501
SELECT own_orders();                                                                        -- = 20
SELECT count(*) FROM tickets;                                                               -- BH002
SELECT bulkhead.tenant_id();                                                                -- = {my_id}

-- case: own-seal-under-the-login
-- as: schema login
-- hope: the seal counts before the login does
SET backtrace_functions = '{sealed_hex},';                                                  -- 42501
SELECT set_config('backtrace_functions', '{sealed_hex},', false);                           -- 42501
CALL bulkhead.set_all(ARRAY['backtrace_functions', '{sealed_hex},']);
SELECT current_setting('backtrace_functions');                                              -- =
CALL bulkhead.set_all(ARRAY['BackTrace_Functions', '{sealed_hex},', 'work_mem', '1MB']);
SELECT current_setting('backtrace_functions');                                              -- =
CALL bulkhead.reset_all(ARRAY['backtrace_functions', '{sealed_hex},']);
SELECT bulkhead.tenant_id();                                                                -- = {my_id}
SELECT bulkhead.enter('default', '{sealed_hex}', '', '1800000000000', repeat('0', 64));     -- 42501
SELECT bulkhead.set_login_key('{my_id}', '103');                                            -- 42501
SELECT bulkhead.drop_login_key('{sealed_id}');                                              -- 42501
SELECT * FROM bulkhead.login_key;                                                           -- 42501
SELECT * FROM bulkhead.signing_key;                                                         -- 42501
SELECT bulkhead.revoke_tenant('{sealed_id}');                                               -- 42501
SELECT * FROM bulkhead.protection;                                                          -- 42501
SELECT * FROM bulkhead.findings();                                                          -- 42501
SELECT bulkhead.login_faults('postgres');                                                   -- 42501

-- case: own-guards-helpers
-- area: functions
-- as: schema database login
-- hope: what runs with the guard's rights can be pointed at others' things
SELECT bulkhead.protect('{schema}.orders', 'item');                                         -- 42501 | 3F000 | 42501 |
SELECT bulkhead.unprotect('public.orders');                                                 -- 42501 | 3F000 | 42501 |
SELECT bulkhead.forget((SELECT c.oid FROM pg_class c WHERE relname = 'orders' AND relrowsecurity)::regclass);  -- 42501 | 3F000 | 42501 |
SELECT bulkhead.remember((SELECT max(c.oid) FROM pg_class c WHERE relname = 'orders' AND relowner <> CURRENT_USER::regrole)::regclass, 'item');
SELECT bulkhead.give_back_privileges((SELECT max(c.oid) FROM pg_class c WHERE relname = 'orders' AND relrowsecurity)::regclass, ARRAY['{"privilege": "TRUNCATE", "column": null, "grantee": null, "grantable": false}']);
SELECT bulkhead.session_setting('backtrace_functions');
SELECT bulkhead.session_state(-1);
SELECT bulkhead.session_state(NULL);

-- case: own-protects-what-is-its-own
-- area: functions
-- as: schema
-- hope: the guard's record of protected tables gets rows that the operator's statements run over
CREATE TABLE "x'; DROP TABLE orders; --" (tenant_id uuid, item text DEFAULT 'x''; DROP TABLE public.orders; --');  -- ok
SELECT bulkhead.protect('{home}."x''; DROP TABLE orders; --"', 'tenant_id');                -- ok
\as admin
SELECT count(*) FROM bulkhead.findings();

-- case: own-control-schema
-- area: roles
-- as: schema database login
-- hope: the control schema lies in the same database
SELECT * FROM bulkhead_control.tenant;                                                      -- 42501 | 42P01 | 42501 |
SELECT * FROM bulkhead_control.principal;                                                   -- 42501 | 42P01 | 42501 |
SELECT bulkhead_control.lookup_tenant('globex');                                            -- 42501 | 3F000 | 42501 |
UPDATE bulkhead_control.tenant SET status = 'suspended';                                    -- 42501 | 42P01 | 42501 |
LISTEN bulkhead_directory;

-- case: own-others-by-number
-- area: catalogue
-- as: schema login
-- hope: objects by number need no schema's name
SELECT nextval(c.oid::regclass) FROM pg_class c WHERE relname = 'tally' AND relnamespace = '{schema}'::regnamespace;  -- 42501
SELECT setval(c.oid::regclass, 99) FROM pg_class c WHERE relname = 'tally' AND relnamespace = '{schema}'::regnamespace;  -- 42501
SELECT pg_sequence_last_value(c.oid) FROM pg_class c WHERE relname = 'tally' AND relnamespace = '{schema}'::regnamespace;
SELECT lastval();                                                                           -- 55000
SELECT currtid2('{schema}.orders', '(0,1)');                                                -- 42501
SELECT query_to_xml('TABLE {schema}.orders', true, false, '');                              -- 42501
SELECT table_to_xml(c.oid::regclass, true, false, '') FROM pg_class c WHERE relname = 'orders' AND relnamespace = '{schema}'::regnamespace;  -- 42501
SELECT schema_to_xml('{schema}', true, false, '');
SELECT database_to_xml(true, false, '');
SELECT ts_stat('SELECT to_tsvector(item) FROM {schema}.orders');                            -- 42501
SELECT lo_get(oid) FROM pg_largeobject_metadata;
SELECT txid_status(txid_current());

-- case: own-foreign-keys-and-children
-- area: DDL
-- as: schema login
-- hope: a reference to others' rows tells whether they are there
CREATE TABLE mine (x bigint REFERENCES {schema}.orders (id));                               -- 42501
CREATE TABLE mine (x uuid, y bigint, FOREIGN KEY (x, y) REFERENCES public.orders);          -- 42501
CREATE TABLE mine () INHERITS ({schema}.orders);                                            -- 42501
CREATE TABLE mine (LIKE {schema}.orders);                                                   -- 42501
CREATE TABLE mine PARTITION OF {schema}.orders DEFAULT;                                     -- 42501
CREATE TABLE mine OF {schema}.orders;                                                       -- 42501
CREATE VIEW mine AS SELECT * FROM {schema}.orders;                                          -- 42501
CREATE MATERIALIZED VIEW mine AS SELECT * FROM {schema}.orders;                             -- 42501
CREATE TABLE mine AS TABLE {schema}.orders;                                                 -- 42501
SELECT item INTO mine FROM {schema}.orders;                                                 -- 42501

-- case: own-views-over-others
-- area: views, triggers and rules
-- as: schema
-- hope: what is not checked when it is made is not checked when it runs
CREATE FUNCTION f() RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT item FROM {schema}.orders; END $$;  -- ok
SELECT f();                                                                                 -- 42501
CREATE FUNCTION g() RETURNS SETOF text LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN RETURN QUERY SELECT item FROM {schema}.orders; END $$;
SELECT g();                                                                                 -- 42501
CREATE VIEW v AS SELECT * FROM f();                                                         -- ok
SELECT * FROM v;                                                                            -- 42501
SET check_function_bodies = off;
CREATE FUNCTION h() RETURNS SETOF text LANGUAGE sql AS 'SELECT item FROM {schema}.orders';
SELECT h();                                                                                 -- 42501
DO $$ BEGIN EXECUTE 'TABLE {schema}.orders'; END $$;                                        -- 42501
PREPARE p AS TABLE {schema}.orders;                                                         -- 42501
EXPLAIN ANALYZE SELECT item FROM {schema}.orders;                                           -- 42501
DECLARE c CURSOR WITH HOLD FOR SELECT item FROM {schema}.orders;                            -- 42501

-- case: own-remote
-- area: databases and startup
-- as: schema database login
-- hope: a connection from the server to itself is somebody else's
CREATE EXTENSION dblink;                                                                    -- 42710 | 42501 | 42710 |
CREATE EXTENSION postgres_fdw;                                                              -- 42501
CREATE EXTENSION hstore;                                                                    -- 42501
CREATE EXTENSION plpgsql;                                                                   -- 42710
CREATE FOREIGN DATA WRAPPER mine;                                                           -- 42501
CREATE SERVER mine FOREIGN DATA WRAPPER dblink_fdw OPTIONS (dbname 'shop');                 -- 42501 | 42704 | 42501 |
CREATE SUBSCRIPTION mine CONNECTION 'dbname=shop' PUBLICATION p;                            -- 42501
CREATE PUBLICATION mine FOR ALL TABLES;                                                     -- 42501
CREATE PUBLICATION mine FOR TABLE {schema}.orders;                                          -- 42501
CREATE USER MAPPING FOR CURRENT_USER SERVER nothing;                                        -- 42704
SELECT item FROM {database}.public.orders;                                                  -- 0A000

-- case: own-remote-of-the-extension
-- area: databases and startup
-- as: login
-- hope: dblink is installed, and the server trusts itself
SELECT * FROM dblink('host=127.0.0.1 port={port} dbname={database} user={database}', 'SELECT item FROM orders') AS t(item text);  -- 2F003
SELECT * FROM dblink('host=127.0.0.1 port={port} dbname=shop user=postgres password=', 'SELECT item FROM orders') AS t(item text);
SELECT dblink_connect('host=127.0.0.1 port={port} dbname=shop user={login} password=guess');

-- case: own-databases
-- area: databases and startup
-- as: schema database login
-- hope: a database is made from, or renamed into, another tenant's
CREATE DATABASE mine TEMPLATE {database};                                                   -- 42501
DROP DATABASE {database} WITH (FORCE);                                                      -- 42501
ALTER DATABASE {database} RENAME TO mine;                                                   -- 42501
ALTER DATABASE {database} OWNER TO CURRENT_USER;                                            -- 42501
ALTER DATABASE {here} SET search_path = mine;                                               -- 42501
ALTER DATABASE {here} CONNECTION LIMIT 0;                                                   -- 42501
ALTER DATABASE {here} WITH ALLOW_CONNECTIONS false;                                         -- 42501
GRANT CONNECT ON DATABASE {here} TO PUBLIC;
REVOKE CONNECT ON DATABASE {here} FROM {me};
COMMENT ON DATABASE {here} IS 'mine';                                                       -- 42501
ALTER ROLE ALL SET work_mem = '1MB';                                                        -- 42501
ALTER ROLE ALL IN DATABASE {here} SET work_mem = '1MB';                                     -- 42501
CREATE TABLESPACE mine LOCATION '/tmp';                                                     -- 42501

-- case: own-databases-owner
-- area: roles
-- as: database
-- hope: whoever owns schema public owns the database
SET ROLE pg_database_owner;                                                                 -- 42501
GRANT pg_database_owner TO {me};                                                            -- 42501
CREATE SCHEMA mine;                                                                         -- 42501
SELECT pg_has_role('pg_database_owner', 'MEMBER');                                          -- = f
ALTER SCHEMA public OWNER TO pg_database_owner;                                             -- 42501
ALTER SCHEMA public RENAME TO private;                                                      -- 42501
DROP SCHEMA public CASCADE;                                                                 -- ok
CREATE SCHEMA public;                                                                       -- 42501
