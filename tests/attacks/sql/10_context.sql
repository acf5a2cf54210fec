-- Forging the context: the seal is in backtrace_functions, which only the guard may set.

-- case: set
-- area: context
-- hope: the setting is one like any other
SET {context} = '{globex_hex},';                                                            -- 42501
SET SESSION {context} TO '{globex_hex},';                                                   -- 42501
BEGIN;
SET LOCAL {context} = '{globex_hex},';                                                      -- 42501
ROLLBACK;
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: set-spelled-otherwise
-- hope: the name is compared as it is written
SET "{context}" = '{globex_hex},';                                                          -- 42501
SET {Context} = '{globex_hex},';                                                            -- 42501
SET U&"{context_unicode}" = '{globex_hex},';                                                -- 42501
SET/**/{context}/**/=/**/'{globex_hex},';                                                   -- 42501
SET {context} TO DEFAULT;                                                                   -- 42501
SET {context} FROM CURRENT;                                                                 -- 42501
SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY;
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: reset
-- hope: taking the seal off needs no right to set it
RESET {context};                                                                            -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: set-config
-- hope: functions ask for less than SET
SELECT set_config('{context}', '{globex_hex},', false);                                     -- 42501
SELECT set_config('{context}', '{globex_hex},', true);                                      -- 42501
SELECT set_config(lower('{CONTEXT_HEAD}') || '{context_tail}', '{globex_hex},', false);     -- 42501
SELECT set_config(name, '{globex_hex},', false) FROM (VALUES ('{context}')) v(name);        -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: update-pg-settings
-- hope: the rule on the view sets with the view owner's rights
UPDATE pg_settings SET setting = '{globex_hex},' WHERE name = '{context}';                  -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: do-block
-- area: dynamic SQL
-- hope: a SET that no reader of the statement sees
DO $$ BEGIN EXECUTE 'SET ' || '{context}' || ' = ''{globex_hex},'''; END $$;                -- 42501
DO $$ BEGIN PERFORM set_config('{context}', '{globex_hex},', false); END $$;                -- 42501
DO $$ BEGIN EXECUTE 'SET {context} = ''{globex_hex},''';
EXCEPTION WHEN insufficient_privilege THEN EXECUTE 'RESET ALL'; END $$;                     -- ok
SELECT count(*) FROM orders;
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: function-set-clause
-- area: functions
-- hope: a function brings the setting along
-- under: standard
CREATE FUNCTION pg_temp.f() RETURNS bigint LANGUAGE sql SET {context} = '{globex_hex},' AS 'SELECT count(*) FROM orders';  -- 42501
CREATE FUNCTION pg_temp.f() RETURNS text LANGUAGE sql SET {context} FROM CURRENT AS 'SELECT current_setting(''{context}'')';  -- 42501
CREATE FUNCTION pg_temp.g() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM orders';   -- ok
ALTER FUNCTION pg_temp.g() SET {context} = '{globex_hex},';                                 -- 42501
SELECT pg_temp.g();                                                                         -- = 20

-- case: procedure-set-local
-- hope: a procedure's SET LOCAL outlives what forbade it
-- under: standard
CREATE PROCEDURE pg_temp.p() LANGUAGE plpgsql AS $$ BEGIN COMMIT; SET LOCAL {context} = '{globex_hex},'; COMMIT; END $$;  -- ok
CALL pg_temp.p();                                                                           -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: alter-role-backtrace
-- area: context
-- hope: the login's own settings are applied before anyone looks
ALTER ROLE CURRENT_USER SET {context} = '{globex_hex},';                                    -- 42501
ALTER ROLE bulkhead_pool IN DATABASE shop SET {context} = '{globex_hex},';                  -- 42501
ALTER ROLE bulkhead_app SET {context} = '{globex_hex},';                                    -- 42501
ALTER ROLE ALL SET {context} = '{globex_hex},';                                             -- 42501
ALTER DATABASE shop SET {context} = '{globex_hex},';                                        -- 42501
ALTER SYSTEM SET {context} = '{globex_hex},';                                               -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: settings-of-others
-- hope: settings of the database, of all roles or of the server
ALTER SYSTEM SET row_security = off;                                                        -- 42501
ALTER DATABASE shop SET row_security = off;                                                 -- 42501
ALTER ROLE ALL SET row_security = off;                                                      -- 42501
ALTER ROLE shop_owner SET search_path = pg_temp;                                            -- 42501
ALTER ROLE bulkhead_app SET search_path = pg_temp;                                          -- 42501
GRANT SET ON PARAMETER {context} TO bulkhead_pool;
SET {context} = '{globex_hex},';                                                            -- 42501

-- case: row-security-off
-- hope: a setting that every login may change
SET row_security = off;                                                                     -- ok
SELECT count(*) FROM orders;                                                                -- 42501
SELECT count(*) FROM accounts WHERE tenant_id = '{globex}';                                 -- 42501
COPY orders TO STDOUT;                                                                      -- 42501
RESET row_security;
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: replica-role
-- hope: with session_replication_role foreign keys and triggers sleep
SET session_replication_role = replica;                                                     -- 42501
SET allow_system_table_mods = on;                                                           -- 42501
SET ignore_system_indexes = on;
SET dynamic_library_path = '/tmp';                                                          -- 42501
SET session_preload_libraries = 'auto_explain';                                             -- 42501
SET jit_provider = 'x';                                                                     -- 55P02
SET local_preload_libraries = 'auto_explain';

-- case: reset-all
-- hope: without a seal there is no filter
RESET ALL;                                                                                  -- ok
SELECT count(*) FROM orders;
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: reset-all-in-the-same-query
-- hope: the proxy heals the seal only between queries
RESET ALL; SELECT count(*) FROM orders;                                                     -- ok
SELECT count(*) FROM orders;                                                                -- = 20!
DO $$ BEGIN EXECUTE 'RESET ALL'; END $$; SELECT item FROM orders;                           -- 25000
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: a-seal-among-the-settings-of-reset-all
-- hope: the guard's RESET ALL sets, with the guard's rights, what it is told
CALL bulkhead.reset_all(ARRAY['{context}', '{globex_hex},']);                               -- ok
SELECT count(*) FROM orders;                                                                -- = 20!
CALL bulkhead.reset_all(ARRAY['{context}', '{globex_hex},', 'nowhere', 'x']);               -- 42704
SELECT count(*) FROM orders;                                                                -- = 20!
BEGIN; SAVEPOINT s;                                                                         -- ok
CALL bulkhead.reset_all(ARRAY['{Context}', '{globex_hex},', 'work_mem', 'x']);              -- 22023
ROLLBACK TO s; SELECT count(*) FROM orders; COMMIT;                                         -- ok
SELECT count(*) FROM orders;                                                                -- = 20!
CALL bulkhead.reset_all(ARRAY['role', 'bulkhead_guard']);                                   -- 42501
CALL bulkhead.reset_all(ARRAY['session_authorization', 'postgres']);                        -- 42501
CALL bulkhead.reset_all(ARRAY['log_statement', 'all']);                                     -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: discard-all-then-look
-- hope: the seal is gone, the row filter with it
DISCARD ALL;                                                                                -- ok
SELECT item FROM orders;
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: reset-all-hidden
-- area: dynamic SQL
-- hope: emptied in dynamic SQL, with the proxy's marker put away in the same breath
DO $$ BEGIN EXECUTE 'RESET ALL'; EXECUTE 'SET application_name = ''acme'''; END $$;         -- ok
SELECT item FROM orders;
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: reset-all-in-a-select
-- hope: a SELECT pins nothing, so a settings change inside it goes unnoticed
SELECT clear_session();                                                                     -- ok
SELECT run('SET search_path = pg_temp');                                                    -- ok
SELECT public.run('RESET ALL; SET application_name = ''acme''; SET work_mem = ''77MB''');   -- ok

-- case: marker-as-a-name
-- area: context
-- hope: the proxy's own marker, set on purpose, makes it believe in a reset and hand on what is left
SELECT run('SET work_mem = ''77MB''; SET application_name = ''bulkhead: no client''');      -- ok

-- case: a-lost-context-made-up
-- hope: Bulkhead believes an error of the attacker's, and enters where it should not
DO $$ BEGIN RAISE EXCEPTION 'no tenant is set for this session' USING ERRCODE = 'BH001'; END $$;  -- 25000
SELECT count(*) FROM orders;                                                                -- = 20!
SELECT run('SET work_mem = ''77MB''; SET search_path = pg_temp');                           -- ok
SELECT public.run('DO $x$ BEGIN RAISE EXCEPTION ''no'' USING ERRCODE = ''BH001''; END $x$');  -- 25000

-- case: reset-all-undone
-- hope: a rollback brings back a seal that is not one's own
BEGIN; RESET ALL; ROLLBACK;                                                                 -- ok
SELECT count(*) FROM orders;                                                                -- = 20!
BEGIN;
SAVEPOINT a;
RESET ALL;
SELECT count(*) FROM orders;
ROLLBACK TO a;
SELECT count(*) FROM orders;                                                                -- = 20!
COMMIT;
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: reset-all-procedure
-- hope: the guard's own reset runs with the guard's rights, and under the caller's search_path
-- under: standard
CREATE FUNCTION pg_temp.current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT '{globex_hex},' $$;
CREATE FUNCTION pg_temp.set_config(text, text, boolean) RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$;
CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (VALUE = 'x');
SET search_path = pg_temp, pg_catalog;
CALL bulkhead.reset_all();                                                                  -- ok
SELECT count(*) FROM public.orders;                                                         -- = 20!
SELECT current_setting('{context}') LIKE '{acme_hex},%';

-- case: reset-all-procedure-twice
-- hope: the guard's reset keeps what it finds, also when that is nothing
BEGIN; RESET ALL; CALL bulkhead.reset_all(); COMMIT;                                        -- ok
SELECT item FROM orders;
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: open-cursor-then-reset
-- hope: a plan that began under the seal goes on without it
BEGIN;
DECLARE c CURSOR FOR SELECT item FROM orders;                                               -- ok
RESET ALL;
FETCH ALL FROM c;
COMMIT;
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: cursor-with-hold
-- hope: a holdable cursor of a settled plan
BEGIN;
DECLARE spy CURSOR WITH HOLD FOR SELECT item FROM orders;                                   -- ok
COMMIT;
RESET ALL;
FETCH ALL FROM spy;

-- case: prepared-plan
-- hope: a generic plan keeps the tenant it was made for, or none
PREPARE spy AS SELECT count(*) FROM orders;                                                 -- ok
SET plan_cache_mode = force_generic_plan;
EXECUTE spy;                                                                                -- = 20
RESET ALL;
EXECUTE spy;                                                                                -- = 20
EXECUTE spy;                                                                                -- = 20

-- case: parallel-workers
-- hope: workers start without the seal
SET force_parallel_mode = on;                                                               -- ok
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SELECT count(*) FROM orders;                                                                -- = 20!
SELECT count(*) FROM words WHERE word LIKE '%globex%';                                      -- = 0
SELECT count(*) FROM tickets;                                                               -- = 20

-- case: isolation-levels
-- hope: read only, serializable and deferrable transactions filter differently
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE;
SELECT count(*) FROM orders;                                                                -- = 20!
COMMIT AND CHAIN;
SELECT count(*) FROM orders;                                                                -- = 20!
ROLLBACK AND CHAIN;
SELECT count(*) FROM orders;                                                                -- = 20!
ROLLBACK;
BEGIN; SELECT pg_export_snapshot();                                                         -- ok | 42501
ROLLBACK;

-- case: strings-that-lie
-- area: encodings and lexer
-- hope: a transaction's end inside a string, a comment or a name
SELECT 'a; COMMIT; RESET ALL; b';                                                           -- ok
SELECT 1 /* ; RESET ALL; /* nested */ */ AS "; RESET ALL;";                                 -- = 1
SELECT E'\'; RESET ALL; --';                                                                -- ok
SELECT $x$'; RESET ALL; --$x$;                                                              -- ok
SET standard_conforming_strings = off;
SELECT 'a\'; RESET ALL; --';
BEGIN; SAVEPOINT "COMMIT"; RELEASE "COMMIT"; COMMIT;                                        -- ok
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: encodings
-- hope: a quote that is half a character
SET client_encoding = 'SJIS';                                                               -- 0A000
SELECT count(*) FROM orders;                                                                -- = 20!
SET NAMES 'GB18030';                                                                        -- 0A000
SELECT count(*) FROM orders;                                                                -- = 20!
SELECT set_config('client_encoding', 'BIG5', false);                                        -- 0A000 | 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: context-functions-shadowed
-- area: paths and schemas
-- hope: policies call a tenant_id of the attacker's
-- under: standard
CREATE FUNCTION pg_temp.tenant_id() RETURNS uuid LANGUAGE sql AS $$ SELECT '{globex}'::uuid $$;
CREATE FUNCTION pg_temp.current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT '{globex_hex},' $$;
CREATE FUNCTION pg_temp.left(text, integer) RETURNS text LANGUAGE sql AS $$ SELECT '{globex_hex}' $$;
CREATE FUNCTION pg_temp.nullif(text, text) RETURNS text LANGUAGE sql AS $$ SELECT '{globex_hex}' $$;
CREATE FUNCTION pg_temp.always(uuid, uuid) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$;
CREATE OPERATOR pg_temp.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = pg_temp.always);
SET search_path = pg_temp, bulkhead, public, pg_catalog;
SELECT bulkhead.tenant_id();                                                                -- = {acme}
SELECT count(*) FROM orders;                                                                -- = 20!
SELECT count(*) FROM orders WHERE tenant_id OPERATOR(pg_temp.=) '{globex}'::uuid;           -- = 20

-- case: casts-of-the-attackers
-- hope: the seal's cast to uuid is replaced
-- under: standard
CREATE TYPE pg_temp.t AS (x integer);
CREATE FUNCTION pg_temp.to_uuid(pg_temp.t) RETURNS uuid LANGUAGE sql AS $$ SELECT '{globex}'::uuid $$;
CREATE CAST (pg_temp.t AS uuid) WITH FUNCTION pg_temp.to_uuid(pg_temp.t) AS IMPLICIT;       -- ok
SELECT count(*) FROM orders WHERE tenant_id = ROW(1)::pg_temp.t;                            -- = 0
CREATE CAST (text AS uuid) WITH INOUT AS IMPLICIT;                                          -- 42501
