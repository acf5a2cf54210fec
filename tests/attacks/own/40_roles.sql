-- A login's power over itself and over others.

-- case: own-other-roles
-- area: roles
-- as: schema database login sealed
-- hope: one login speaks for another
SET ROLE {schema};                                                                          -- 42501
SET ROLE {login};                                                                           -- 42501
SET ROLE bulkhead_guard;                                                                    -- 42501
SET ROLE shop_owner;                                                                        -- 42501
SET SESSION AUTHORIZATION {database};                                                       -- 42501
SET LOCAL SESSION AUTHORIZATION bulkhead_pool;
SELECT set_config('role', '{schema}', false);                                               -- 42501
SELECT set_config('session_authorization', '{schema}', false);                              -- 42501
CALL bulkhead.set_all(ARRAY['role', '{schema}']);
CALL bulkhead.set_all(ARRAY['session_authorization', '{schema}']);
CALL bulkhead.set_all(ARRAY['role', 'bulkhead_guard']);
SELECT current_user = session_user;                                                         -- = t
RESET ROLE;
RESET SESSION AUTHORIZATION;
SELECT session_user = '{me}';                                                               -- = t

-- case: own-into-the-pools-login
-- area: roles
-- as: schema database login
-- hope: the pool's login and its group are open to whoever is a login of Bulkhead's
SET ROLE bulkhead_pool;                                                                     -- 42501
GRANT bulkhead_pool TO {me};                                                                -- 42501
GRANT bulkhead_app TO {me};                                                                 -- 42501
GRANT bulkhead_guard TO {me} WITH ADMIN OPTION;                                             -- 42501
GRANT {schema} TO {me};                                                                     -- 42501
GRANT pg_read_all_data TO {me};                                                             -- 42501
GRANT pg_signal_backend TO {me};                                                            -- 42501
SET SESSION AUTHORIZATION bulkhead_pool;                                                    -- 42501

-- case: own-login-given-away
-- area: roles
-- as: schema database login sealed
-- hope: a member of the attacker's login fails its self-check, or has objects that it must not own
GRANT {me} TO bulkhead_pool;                                                                -- 42501 | 42501 | 42501 |
GRANT {me} TO bulkhead_app;                                                                 -- 42501 | 42501 | 42501 |
GRANT {me} TO {schema};                                                                     -- 42501
GRANT {me} TO {database} WITH ADMIN OPTION;                                                 -- 42501
GRANT {me} TO {login};                                                                      -- 42501
GRANT {me} TO bulkhead_guard;                                                               -- 42501
GRANT {me} TO shop_owner;                                                                   -- 42501
REVOKE bulkhead_app FROM {login};                                                           -- 42501
REVOKE bulkhead_app FROM bulkhead_pool;                                                     -- 42501

-- case: own-things-given-away
-- area: roles
-- as: schema database
-- hope: another login owns something outside of its place, fails its self-check, and is out of service
CREATE TABLE gift (x integer);                                                              -- ok
ALTER TABLE gift OWNER TO {schema};                                                         -- 42501
ALTER TABLE gift OWNER TO bulkhead_pool;                                                    -- 42501
ALTER TABLE gift OWNER TO postgres;                                                         -- 42501
ALTER FUNCTION all_items() OWNER TO shop_owner;                                             -- 42501
ALTER SCHEMA {home} OWNER TO {login};                                                       -- 42501
ALTER TYPE gift OWNER TO {schema};
REASSIGN OWNED BY CURRENT_USER TO {schema};                                                 -- 42501
REASSIGN OWNED BY {schema} TO CURRENT_USER;                                                 -- 42501
DROP OWNED BY {schema};                                                                     -- 42501
ALTER DEFAULT PRIVILEGES FOR ROLE {schema} GRANT ALL ON TABLES TO PUBLIC;                   -- 42501
ALTER DEFAULT PRIVILEGES FOR ROLE bulkhead_pool REVOKE ALL ON TABLES FROM bulkhead_pool;    -- 42501
ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner GRANT ALL ON TABLES TO PUBLIC;                 -- 42501
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO PUBLIC;                    -- ok

-- case: own-attributes
-- area: roles
-- as: schema database login
-- hope: a login may change itself
ALTER ROLE CURRENT_USER SUPERUSER;                                                          -- 42501
ALTER ROLE {me} BYPASSRLS;                                                                  -- 42501
ALTER ROLE {me} CREATEROLE;                                                                 -- 42501
ALTER ROLE {me} CREATEDB;                                                                   -- 42501
ALTER ROLE SESSION_USER REPLICATION;                                                        -- 42501
ALTER ROLE {me} CONNECTION LIMIT 0;                                                         -- 42501
ALTER ROLE {me} VALID UNTIL 'infinity';                                                     -- 42501
ALTER ROLE {me} NOINHERIT;                                                                  -- 42501
ALTER ROLE {me} RENAME TO {schema};                                                         -- 0A000
ALTER ROLE {me} RENAME TO mine;                                                             -- 0A000
DROP ROLE {me};                                                                             -- 42501
CREATE ROLE mine IN ROLE {me};                                                              -- 42501
COMMENT ON ROLE {me} IS 'mine';                                                             -- 42501

-- case: own-attributes-of-others
-- area: roles
-- as: schema database login
-- hope: a login may change its like
ALTER ROLE {schema} PASSWORD 'known';                                                       -- 42501
ALTER ROLE {login} SET search_path = pg_temp;                                               -- 42501
ALTER ROLE {database} IN DATABASE {database} SET work_mem = '1MB';                          -- 42501
ALTER ROLE bulkhead_pool PASSWORD 'known';                                                  -- 42501
ALTER ROLE bulkhead_pool SET work_mem = '1MB';                                              -- 42501
ALTER ROLE bulkhead_sidecar PASSWORD 'known';                                               -- 42501
ALTER ROLE bulkhead_app SET search_path = pg_temp;                                          -- 42501
ALTER ROLE {schema} CONNECTION LIMIT 0;                                                     -- 42501
ALTER GROUP bulkhead_app ADD USER {schema};                                                 -- 42501
ALTER GROUP bulkhead_app DROP USER {login};                                                 -- 42501
DROP ROLE {schema};                                                                         -- 42501
ALTER USER MAPPING FOR {schema} SERVER nothing OPTIONS (SET user 'x');

-- case: own-as-the-group
-- area: roles
-- as: login
-- hope: as the group of all shared logins one may change what is everybody's
SET ROLE bulkhead_app;
SELECT count(*) FROM orders;                                                                -- = 20!
SELECT own_orders();                                                                        -- = 20
SELECT session_user = '{me}';                                                               -- = t
CREATE TABLE public.mine (x integer);                                                       -- 42501
GRANT bulkhead_app TO {schema};                                                             -- 42501
UPDATE orders SET item = 'mine' WHERE tenant_id <> '{my_id}';
REVOKE ALL ON orders FROM bulkhead_app;
TRUNCATE orders;                                                                            -- 42501
RESET ROLE;
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: own-password
-- area: roles
-- as: schema database login
-- hope: with a password of its own it comes in around Bulkhead, as more than it is; or the proxy's failing logins stop others
-- residue: any login may change its own password; the proxy cannot log in for this tenant any more, and who reaches PostgreSQL can, with this tenant's rights
ALTER ROLE CURRENT_USER PASSWORD 'known';                                                   -- ok
\leave
\as admin
SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE usename = '{me}';
\as {attacker}
SELECT 1;                                                                                   -- 08001
\as globex
SELECT count(*) FROM orders;                                                                -- = 20!
\as tyrell
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: own-password-in-md5
-- area: roles
-- as: schema database login
-- hope: with an older kind of verifier the server asks the proxy for the password in an older way
-- residue: the same
SET password_encryption = 'md5';
ALTER ROLE CURRENT_USER PASSWORD 'known';                                                   -- ok
ALTER ROLE CURRENT_USER PASSWORD 'md5d41d8cd98f00b204e9800998ecf8427e';                     -- ok
ALTER ROLE CURRENT_USER PASSWORD NULL;                                                      -- ok
\leave
\as admin
SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE usename = '{me}';
\as {attacker}
SELECT 1;                                                                                   -- 08001

-- case: own-password-by-a-function
-- area: roles
-- as: schema database
-- hope: the same, where nobody sees the statement
-- residue: the same
-- residue-both: what the body of a function does is not seen; the tenant puts itself out of service
DO $$ BEGIN EXECUTE 'ALTER ROLE CURRENT_USER PASSWORD ''known'''; END $$;                   -- ok
CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN ALTER ROLE CURRENT_USER SET search_path = pg_temp; END $$;  -- ok
SELECT f();                                                                                 -- ok
\leave
\as admin
SELECT count(pg_terminate_backend(pid, 1000)) FROM pg_stat_activity WHERE usename = '{me}';
\as {attacker}
SELECT 1;                                                                                   -- 08001
\as tyrell
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: own-server
-- area: files and large objects
-- as: schema database login
-- hope: the server's files, programs and configuration
COPY (SELECT 1) TO PROGRAM 'id';                                                            -- 42501
COPY orders TO '/tmp/mine';                                                                 -- 42501
COPY orders FROM '/etc/passwd';                                                             -- 42501
SELECT pg_read_file('PG_VERSION');                                                          -- 42501
SELECT pg_read_binary_file('global/pg_control');                                            -- 42501
SELECT pg_ls_dir('base');                                                                   -- 42501
SELECT pg_stat_file('PG_VERSION');                                                          -- 42501
SELECT lo_import('/etc/passwd');                                                            -- 42501
SELECT lo_export(1, '/tmp/mine');                                                           -- 42501
ALTER SYSTEM SET work_mem = '1MB';                                                          -- 42501
SELECT pg_reload_conf();                                                                    -- 42501
SELECT pg_rotate_logfile();                                                                 -- 42501
SELECT pg_switch_wal();                                                                     -- 42501
SELECT pg_create_restore_point('mine');                                                     -- 42501
CHECKPOINT;                                                                                 -- 42501
LOAD 'auto_explain';                                                                        -- 42501
SELECT pg_create_logical_replication_slot('mine', 'pgoutput');                              -- 42501
SELECT pg_create_physical_replication_slot('mine');                                         -- 42501
SELECT pg_hba_file_rules();                                                                 -- 42501
SELECT rolpassword FROM pg_authid;                                                          -- 42501
SELECT passwd FROM pg_shadow;                                                               -- 42501
SELECT * FROM pg_user_mapping;                                                              -- 42501
SELECT subconninfo FROM pg_subscription;                                                    -- 42501
SET log_statement = 'all';                                                                  -- 42501
SET session_replication_role = 'replica';                                                   -- 42501
SET allow_system_table_mods = on;                                                           -- 42501
SET zero_damaged_pages = on;                                                                -- 42501
