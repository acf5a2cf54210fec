-- Becoming somebody else.

-- case: set-role
-- area: roles
-- hope: a role that the policy does not bind
SET ROLE shop_owner;                                                                        -- 42501
SET ROLE postgres;                                                                          -- 42501
SET ROLE bulkhead_guard;                                                                    -- 42501
SET ROLE bulkhead_control;                                                                  -- 42501
SET ROLE bulkhead_sidecar;                                                                  -- 42501
SET ROLE pg_read_all_data;                                                                  -- 42501
SET SESSION ROLE pg_write_all_data;                                                         -- 42501
SET LOCAL ROLE pg_execute_server_program;                                                   -- 42501
SELECT set_config('role', 'shop_owner', false);                                             -- 42501
DO $$ BEGIN EXECUTE 'SET ROLE shop_owner'; END $$;                                          -- 42501
SET ROLE NONE;                                                                              -- ok

-- case: set-role-to-the-group
-- hope: the group of the grants is no login, so policies and hand-over do not know it
SET ROLE bulkhead_app;                                                                      -- ok
SELECT count(*) FROM orders;                                                                -- = 20!
SELECT bulkhead.enter('k1', '{globex_hex}', '', '1', 'x');                                  -- 42501
INSERT INTO orders VALUES ('{globex}', 900, 'acme');                                        -- 42501

-- case: reset-all-as-the-group
-- hope: the seal is emptied where Bulkhead, speaking as the group, cannot put it back
SET ROLE bulkhead_app;
RESET ALL;                                                                                  -- ok
SELECT count(*) FROM orders;                                                                -- = 20!
DO $$ BEGIN EXECUTE 'RESET ALL'; END $$;                                                    -- ok
SELECT count(*) FROM orders;                                                                -- 08006
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: guards-reset-as-the-group
-- hope: the guard's reset runs with the guard's rights, so a role or a default is set with them
SET ROLE bulkhead_app;
CALL bulkhead.reset_all(); SELECT current_user;                                             -- = bulkhead_app

-- case: session-authorization
-- hope: the login's name is a context too
SET SESSION AUTHORIZATION postgres;                                                         -- 42501
SET SESSION AUTHORIZATION bulkhead_guard;                                                   -- 42501
SET SESSION AUTHORIZATION bulkhead_app;                                                     -- 42501
SET SESSION AUTHORIZATION t_{globex_hex};                                                   -- 22023
SET SESSION AUTHORIZATION DEFAULT;                                                          -- ok
SELECT set_config('session_authorization', 'postgres', false);                              -- 42501
RESET SESSION AUTHORIZATION;                                                                -- ok

-- case: login-of-a-tenants-name
-- hope: t_ and globex's id is a login whose name opens globex's rows
CREATE ROLE t_{globex_hex} LOGIN;                                                           -- 42501
CREATE USER t_{globex_hex};                                                                 -- 42501
ALTER ROLE bulkhead_pool RENAME TO t_{globex_hex};                                          -- 0A000
ALTER ROLE bulkhead_app RENAME TO t_{globex_hex};                                           -- 42501

-- case: a-tenants-login-exists
-- hope: another tenant's own login is there, and near
-- before: CREATE ROLE t_{globex_hex} LOGIN; GRANT bulkhead_app TO t_{globex_hex}
-- after: DROP ROLE t_{globex_hex}
SET SESSION AUTHORIZATION t_{globex_hex};                                                   -- 42501
SET ROLE t_{globex_hex};                                                                    -- 42501
GRANT t_{globex_hex} TO CURRENT_USER;                                                       -- 42501
ALTER ROLE t_{globex_hex} PASSWORD 'acme';                                                  -- 42501

-- case: grants
-- hope: a role may administer itself
GRANT bulkhead_pool TO bulkhead_guard;                                                      -- 42501
GRANT bulkhead_guard TO bulkhead_pool;                                                      -- 42501
GRANT bulkhead_app TO bulkhead_guard;                                                       -- 42501
GRANT shop_owner TO CURRENT_USER;                                                           -- 42501
GRANT pg_read_all_data TO CURRENT_USER;                                                     -- 42501
GRANT SET ON PARAMETER {context} TO PUBLIC;
GRANT EXECUTE ON FUNCTION bulkhead.register_key(text, text) TO PUBLIC;
GRANT TRUNCATE ON orders TO bulkhead_pool;
GRANT SELECT ON bulkhead.signing_key TO bulkhead_pool;                                      -- 42501
REVOKE bulkhead_app FROM bulkhead_pool;                                                     -- 42501
REVOKE ALL ON orders FROM bulkhead_app;
REVOKE CONNECT ON DATABASE shop FROM bulkhead_pool;
REVOKE EXECUTE ON FUNCTION bulkhead.enter(text, text, text, text, text) FROM bulkhead_pool;

-- case: attributes
-- hope: a role may change itself
ALTER ROLE CURRENT_USER BYPASSRLS;                                                          -- 42501
ALTER ROLE CURRENT_USER SUPERUSER;                                                          -- 42501
ALTER ROLE bulkhead_pool CREATEROLE;                                                        -- 42501
ALTER ROLE SESSION_USER REPLICATION;                                                        -- 42501
ALTER ROLE bulkhead_pool NOLOGIN;                                                           -- 42501
ALTER ROLE bulkhead_pool CONNECTION LIMIT 0;                                                -- 42501
ALTER ROLE bulkhead_pool VALID UNTIL '2000-01-01';                                          -- 42501
ALTER ROLE postgres PASSWORD 'acme';                                                        -- 42501
ALTER ROLE bulkhead_sidecar PASSWORD 'acme';                                                -- 42501
DROP ROLE bulkhead_app;                                                                     -- 42501
COMMENT ON ROLE bulkhead_pool IS 'acme was here';                                           -- 42501

-- case: owned-objects
-- area: DDL
-- hope: what the shared login owns, and what it was granted, belongs to whoever speaks
DROP OWNED BY CURRENT_USER;                                                                 -- ok
DROP OWNED BY bulkhead_app CASCADE;
REASSIGN OWNED BY bulkhead_pool TO bulkhead_app;                                            -- ok
REASSIGN OWNED BY bulkhead_pool TO shop_owner;                                              -- 42501
DROP OWNED BY shop_owner;                                                                   -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: replication
-- area: databases and startup
-- hope: the write-ahead log has everybody's rows
SELECT pg_create_logical_replication_slot('acme', 'test_decoding');                         -- 42501
SELECT pg_create_physical_replication_slot('acme');                                         -- 42501
SELECT * FROM pg_logical_slot_peek_changes('acme', NULL, NULL);                             -- 42501
SELECT pg_switch_wal();                                                                     -- 42501
IDENTIFY_SYSTEM;                                                                            -- 42601

-- case: files-and-programs
-- area: files and large objects
-- hope: the server's files are everybody's rows
SELECT pg_read_file('postgresql.conf');                                                     -- 42501
SELECT pg_read_binary_file('global/pg_control');                                            -- 42501
SELECT pg_ls_dir('.');                                                                      -- 42501
SELECT pg_ls_logdir();                                                                      -- 42501
SELECT pg_stat_file('base');                                                                -- 42501
SELECT lo_import('/etc/passwd');                                                            -- 42501
SELECT lo_export(1, '/tmp/bulkhead-attack');                                                -- 42501
LOAD 'auto_explain';                                                                        -- 42501
LOAD '$libdir/plugins/auto_explain';
CREATE FUNCTION pg_temp.system(cstring) RETURNS integer LANGUAGE c STRICT AS '/lib/x86_64-linux-gnu/libc.so.6', 'system';  -- 42501
CREATE FUNCTION pg_temp.f() RETURNS integer LANGUAGE internal AS 'int4pl';                  -- 42501
CREATE FUNCTION pg_temp.f() RETURNS integer LANGUAGE plpython3u AS 'return 1';              -- 42704 | 42501
SELECT pg_reload_conf();                                                                    -- 42501
SELECT pg_rotate_logfile();                                                                 -- 42501
CHECKPOINT;                                                                                 -- 42501

-- case: into-the-same-server-again
-- area: databases and startup
-- hope: a connection from the server to itself has another login
SELECT * FROM dblink('dbname=shop', 'SELECT item FROM orders') AS t(item text);             -- 2F003
SELECT * FROM dblink('dbname=shop user=postgres', 'SELECT 1') AS t(x text);                 -- 2F003
SELECT dblink_connect('c', 'host=127.0.0.1 dbname=shop user=bulkhead_sidecar password=guess');  -- 08001
SELECT dblink_connect_u('c', 'dbname=shop user=postgres');                                  -- 42501
