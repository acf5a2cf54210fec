-- What acme leaves behind in the hope that globex runs it. Under strict hardening nothing can be created.

-- case: nothing-can-be-created
-- area: DDL
-- hope: a place to plant something
CREATE TABLE public.orders2 (x integer);                                                    -- 42501
CREATE TABLE orders2 (x integer);                                                           -- 42501
CREATE SCHEMA mine;                                                                         -- 42501
CREATE SCHEMA AUTHORIZATION CURRENT_USER;                                                   -- 42501
CREATE FUNCTION public.count(text) RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint';       -- 42501
CREATE FUNCTION bulkhead.tenant_id(text) RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid';  -- 42501
CREATE OPERATOR public.= (LEFTARG = uuid, RIGHTARG = text, FUNCTION = texteq);              -- 42501
CREATE VIEW public.v AS SELECT 1;                                                           -- 42501
CREATE SEQUENCE public.s;                                                                   -- 42501
CREATE TYPE public.t AS ENUM ('a');                                                         -- 42501
CREATE DOMAIN public.d AS text;                                                             -- 42501
CREATE EXTENSION pgcrypto;                                                                  -- 42501
CREATE LANGUAGE plpython3u;
CREATE SERVER s FOREIGN DATA WRAPPER dblink_fdw;                                            -- 42501
CREATE USER MAPPING FOR CURRENT_USER SERVER s;                                              -- 42704
CREATE PUBLICATION p;                                                                       -- 42501
CREATE SUBSCRIPTION s CONNECTION 'host=localhost' PUBLICATION p;                            -- 42501
CREATE DATABASE mine;                                                                       -- 42501
CREATE TABLESPACE mine LOCATION '/tmp';                                                     -- 42501
CREATE ACCESS METHOD a TYPE TABLE HANDLER heap_tableam_handler;                             -- 42501
SELECT lo_create(0);                                                                        -- 42501

-- case: nothing-can-be-altered
-- hope: the tables' owner has left a door open
ALTER TABLE orders DISABLE ROW LEVEL SECURITY;                                              -- 42501
ALTER TABLE orders NO FORCE ROW LEVEL SECURITY;                                             -- 42501
CREATE POLICY mine ON orders USING (true);                                                  -- 42501
DROP POLICY bulkhead_tenant ON orders;                                                      -- 42501
ALTER POLICY bulkhead_tenant ON orders USING (true);                                        -- 42501
ALTER TABLE orders ALTER tenant_id SET DEFAULT '{globex}';                                  -- 42501
ALTER TABLE orders OWNER TO CURRENT_USER;                                                   -- 42501
ALTER TABLE orders ADD CHECK (item <> '');                                                  -- 42501
CREATE INDEX ON orders ((item::integer));                                                   -- 42501
CREATE STATISTICS mine ON id, item FROM orders;                                             -- 42501
CREATE RULE r AS ON INSERT TO orders DO ALSO NOTIFY x;                                      -- 42501
CREATE TRIGGER t AFTER INSERT ON orders EXECUTE FUNCTION suppress_redundant_updates_trigger();  -- 42501
CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION suppress_redundant_updates_trigger();  -- 42501
DROP TABLE orders;                                                                          -- 42501
TRUNCATE orders;                                                                            -- 42501
TRUNCATE accounts CASCADE;                                                                  -- 42501
CLUSTER orders USING orders_pkey;                                                           -- 42501
REINDEX TABLE orders;                                                                       -- 42501
COMMENT ON TABLE orders IS 'acme was here';                                                 -- 42501
SECURITY LABEL ON TABLE orders IS 'acme';                                                   -- 22023
GRANT ALL ON orders TO PUBLIC;
ALTER FUNCTION bulkhead.tenant_id() SET search_path = pg_temp;                              -- 42501
ALTER VIEW ledger SET (security_invoker = false);                                           -- 42501
ANALYZE orders;
VACUUM orders;

-- case: children-of-protected-tables
-- hope: a table of one's own under or over a protected one
CREATE TEMP TABLE child () INHERITS (orders);                                               -- 42501
CREATE TEMP TABLE part PARTITION OF events FOR VALUES FROM (900) TO (901);                  -- 42809 | 42501
CREATE TEMP TABLE pointer (t uuid, id bigint, FOREIGN KEY (t, id) REFERENCES orders);       -- 42P16 | 42501
ALTER TABLE events DETACH PARTITION events_early;                                           -- 42501

-- case: temporary-table-in-the-way
-- area: paths and schemas
-- hope: globex writes into a table of acme's that has a real table's name
-- under: standard
CREATE TEMP TABLE orders (LIKE public.orders INCLUDING ALL);                                -- ok
CREATE TEMP TABLE tickets AS SELECT * FROM public.tickets;                                  -- ok
CREATE TEMP VIEW accounts AS SELECT * FROM public.accounts;                                 -- ok
CREATE TEMP SEQUENCE tally;                                                                 -- ok

-- case: temporary-objects-of-all-kinds
-- area: left-overs
-- hope: something of it stays in the session
-- under: standard
CREATE FUNCTION pg_temp.lower(text) RETURNS text LANGUAGE sql AS 'SELECT ''acme''';         -- ok
CREATE AGGREGATE pg_temp.first(anyelement) (SFUNC = array_append, STYPE = anyarray);
CREATE DOMAIN pg_temp.uuid AS pg_catalog.text;                                              -- ok
CREATE TYPE pg_temp.int8 AS ENUM ('acme');                                                  -- ok
CREATE OPERATOR pg_temp.+ (LEFTARG = text, RIGHTARG = text, FUNCTION = textcat);            -- ok
CREATE COLLATION pg_temp.c FROM "C";                                                        -- ok
CREATE TEXT SEARCH CONFIGURATION pg_temp.english (COPY = simple);                           -- ok
CREATE CONVERSION pg_temp.c FOR 'UTF8' TO 'LATIN1' FROM utf8_to_iso8859_1;                  -- ok
CREATE TEMP TABLE t (x integer) ON COMMIT DELETE ROWS;                                      -- ok
CREATE INDEX ON t (x);                                                                      -- ok
SET search_path = pg_temp, public;

-- case: trigger-on-a-temporary-table
-- area: views, triggers and rules
-- hope: a deferred trigger fires in the next client's transaction
-- under: standard
CREATE TEMP TABLE bomb (x integer);                                                         -- ok
CREATE FUNCTION pg_temp.fire() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('app.bomb', 'acme', false); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER fire AFTER INSERT ON bomb DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pg_temp.fire();  -- ok
BEGIN;
INSERT INTO bomb VALUES (1);                                                                -- ok

-- case: prepared-statement-left
-- area: left-overs
-- hope: globex's driver finds a statement of acme's under its name
PREPARE spy AS SELECT 'acme';                                                               -- ok
PREPARE "" AS SELECT 'acme';

-- case: function-with-a-temporary-view
-- area: paths and schemas
-- hope: an application's function with its owner's rights reads a relation of the attacker's
-- under: standard
CREATE TEMP TABLE orders (tenant_id uuid, item text);                                       -- ok
CREATE FUNCTION pg_temp.peek(uuid, uuid) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN RAISE NOTICE '%', (SELECT string_agg(item, ',') FROM public.orders); RETURN true; END $$;
CREATE OPERATOR pg_temp.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = pg_temp.peek);       -- ok
SET search_path = pg_temp, public;
SELECT own_orders();                                                                        -- = 20

-- case: settings-left
-- area: left-overs
-- hope: globex's session behaves as acme has set it
SET search_path = pg_temp, public;
SET row_security = off;
SET statement_timeout = '1h';
SET default_transaction_read_only = on;
SET default_transaction_isolation = 'serializable';
SET TimeZone = 'Pacific/Kiritimati';
SET DateStyle = 'German';
SET app.secret = 'acme';
SET client_encoding = 'LATIN1';
SET lc_numeric = 'C';
SET transform_null_equals = on;
SET quote_all_identifiers = on;
SET plpgsql.variable_conflict = 'use_column';

-- case: settings-left-without-a-trace
-- hope: as before, but by functions, whose command tag is SELECT
SELECT run('SET search_path = pg_temp, public');                                            -- ok
SELECT public.run('SET transform_null_equals = on; SET app.secret = ''acme''');             -- ok
SELECT public.run('CREATE TEMP TABLE orders (x integer)');                                  -- ok | 42501
SELECT public.run('PREPARE spy AS SELECT 1');                                               -- ok
SELECT public.run('LISTEN news');                                                           -- ok
SELECT public.run('SELECT nextval(''public.tally'')');                                      -- ok
SELECT public.run('SELECT pg_advisory_lock(4711)');                                         -- ok | 42501
SELECT public.run('SET ROLE bulkhead_app');                                                 -- ok
SELECT public.run('SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY');                  -- ok

-- case: timeouts-left
-- hope: the hand-over itself is cut short, half done
SET statement_timeout = 1;
SET lock_timeout = 1;
SET idle_in_transaction_session_timeout = 1;

-- case: idle-timeout-left
-- hope: the backend dies under globex's first statement
SET idle_session_timeout = 1;

-- case: locks-left
-- hope: globex waits for ever
SELECT pg_advisory_lock(4711);                                                              -- ok | 42501
SELECT pg_advisory_lock_shared(1, 2);                                                       -- ok | 42501
BEGIN;
SELECT pg_advisory_xact_lock(4712);                                                         -- ok | 42501
LOCK TABLE orders IN ACCESS EXCLUSIVE MODE;

-- case: listening-left
-- hope: globex is sent what acme listens for
LISTEN news;                                                                                -- ok
LISTEN "globex";                                                                            -- ok

-- case: sequences-left
-- hope: currval and lastval of the client before
SELECT nextval('tally');                                                                    -- ok
INSERT INTO accounts (name) VALUES ('acme account 11');                                     -- ok
SELECT lastval();                                                                           -- ok

-- case: transaction-left-open
-- hope: globex speaks inside acme's transaction
BEGIN;
INSERT INTO orders (id, item) VALUES (900, 'acme 900');                                     -- ok
DECLARE c CURSOR FOR SELECT item FROM orders;                                               -- ok
SAVEPOINT s;

-- case: transaction-left-failed
-- hope: the same, in a failed one
BEGIN;
SELECT 1 / 0;                                                                               -- 22012

-- case: copy-left-in-the-middle
-- hope: globex's bytes become acme's data
CREATE TEMP TABLE t (x text);                                                               -- ok | 42501
COPY t FROM STDIN;
