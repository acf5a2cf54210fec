-- search_path, in every way in which it can be set. What a tenant's own sessions find is its own affair.

-- case: own-path-by-set
-- area: paths and schemas
-- as: schema database login sealed
-- hope: a path leads into others' schemas
SET search_path = {schema};
SELECT item FROM orders;                                                                    -- 42P01?
SELECT all_items();                                                                         -- 42883 | | 42883 | 42883?
SET search_path TO "{schema}", public;
SELECT all_items();                                                                         -- 42883 | | 42883 | 42883?
SET search_path = {schema}, pg_catalog, bulkhead, bulkhead_control, public;
SELECT body FROM notes;                                                                     -- 42P01 | | 42P01 | 42P01
BEGIN;
SET LOCAL search_path = '{schema}';
SELECT all_items();                                                                         -- 42883 | | 42883 | 42883?
ROLLBACK;
RESET search_path;
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: own-path-by-function
-- area: paths and schemas
-- as: schema database login
-- hope: the same, with a name that is computed
SELECT set_config('search_path', '{schema}', false);
SELECT all_items();
SELECT set_config(reverse('htap_hcraes'), '{schema}, public', false);
SELECT all_items();
UPDATE pg_settings SET setting = '{schema}' WHERE name = 'search_path';
SELECT all_items();
DO $$ BEGIN EXECUTE 'SET search_path = ' || '{schema}'; END $$;
SELECT all_items();
CALL bulkhead.set_all(ARRAY['search_path', '{schema}']);
SELECT all_items();
CALL bulkhead.reset_all(ARRAY['search_path', '{schema}']);
SELECT all_items();

-- case: own-path-of-a-function
-- area: functions
-- as: schema database
-- hope: a function brings a path along
CREATE FUNCTION f() RETURNS SETOF text LANGUAGE plpgsql SET search_path = {schema}, public AS $$ BEGIN RETURN QUERY SELECT body FROM notes; END $$;
SELECT f();                                                                                 -- 42P01 | | |
CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN SET search_path = {schema}; COMMIT; PERFORM all_items(); END $$;
CALL p();                                                                                   -- 42883 | | |
CREATE FUNCTION {home}.g() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS 'SELECT current_user::text';  -- ok
SET search_path = pg_temp;
SELECT {home}.g();                                                                          -- = {me} | = {me} | |

-- case: own-path-of-the-login
-- area: roles
-- as: schema database login
-- hope: a path for all later backends, and what Bulkhead says there finds what is planted
ALTER ROLE CURRENT_USER SET search_path = {schema}, public;                                 -- ok
ALTER ROLE SESSION_USER IN DATABASE {here} SET search_path = pg_temp, {schema};             -- ok
\leave
\as admin
SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE usename = '{me}';
\as {attacker}
SELECT all_items();

-- case: own-settings-of-the-login
-- area: roles
-- as: schema database login
-- hope: a setting that Bulkhead's own statements stumble over takes others along
ALTER ROLE {me} IN DATABASE {here} SET statement_timeout = '1ms';                           -- ok
ALTER ROLE {me} IN DATABASE {here} SET default_transaction_read_only = on;                  -- ok
ALTER ROLE {me} IN DATABASE {here} SET client_encoding = 'SJIS';                            -- ok
ALTER ROLE {me} IN DATABASE {here} SET standard_conforming_strings = off;                   -- ok
ALTER ROLE {me} IN DATABASE {here} SET row_security = off;                                  -- ok
ALTER ROLE {me} IN DATABASE {here} SET local_preload_libraries = 'nothing';                 -- ok
ALTER ROLE {me} SET session_preload_libraries = 'auto_explain';                             -- 42501
ALTER ROLE {me} SET session_replication_role = 'replica';                                   -- 42501
ALTER ROLE {me} SET backtrace_functions = '{sealed_hex},';                                  -- 42501
ALTER ROLE {me} SET log_statement = 'all';                                                  -- 42501
\leave
\as admin
SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE usename = '{me}';
\as {attacker}
SELECT 1;                                                                                   -- 08001

-- case: own-encoding-of-the-login
-- area: encodings and lexer
-- as: schema database login
-- hope: the server reads statements in another encoding than the gate
ALTER ROLE {me} IN DATABASE {here} SET client_encoding = 'SJIS';                            -- ok
\leave
\as admin
SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE usename = '{me}';
\as {attacker}
SHOW client_encoding;                                                                       -- 08001

-- case: own-strings-of-the-login
-- area: encodings and lexer
-- as: schema database login
-- hope: the server reads backslashes where the gate reads none
ALTER ROLE {me} IN DATABASE {here} SET standard_conforming_strings = off;                   -- ok
ALTER ROLE {me} IN DATABASE {here} SET backslash_quote = on;                                -- ok
ALTER ROLE {me} IN DATABASE {here} SET application_name = 'bulkhead';                       -- ok
\leave
\as admin
SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE usename = '{me}';
\as {attacker}
SHOW standard_conforming_strings;                                                           -- = on | = on | 08001 |
SHOW backslash_quote;                                                                       -- = safe_encoding | = safe_encoding | |

-- case: own-role-of-the-login
-- area: roles
-- as: login
-- hope: a role for all later backends, which is the group of all
ALTER ROLE {me} IN DATABASE {here} SET role = 'bulkhead_app';                               -- ok
\leave
\as admin
SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE usename = '{me}';
\as {attacker}
SELECT 1;                                                                                   -- 08001
