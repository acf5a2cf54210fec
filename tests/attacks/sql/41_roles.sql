-- More ways to become somebody else, or to take what is somebody else's.

-- case: set-role-spelled-otherwise
-- area: roles
-- hope: the role's name, or the setting of that name, is compared as it is written
SET ROLE 'shop_owner';                                                                      -- 42501
SET ROLE "shop_owner";                                                                      -- 42501
SET ROLE U&"shop\005fowner";                                                                -- 42501
SET role = shop_owner;                                                                      -- 42501
SET "role" TO shop_owner;                                                                   -- 42501
SET SESSION ROLE 'postgres';                                                                -- 42501
SET LOCAL role = 'bulkhead_guard';                                                          -- 42501
SELECT set_config('ROLE', 'shop_owner', false);                                             -- 42501
SELECT set_config('Role', 'bulkhead_guard', true);                                          -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: set-session-authorization-spelled-otherwise
-- hope: the same for the session's user
SET SESSION AUTHORIZATION 'postgres';                                                       -- 42501
SET LOCAL SESSION AUTHORIZATION 'postgres';                                                 -- 42501
SET SESSION SESSION AUTHORIZATION "postgres";                                               -- 42501
SET session_authorization = 'postgres';                                                     -- 42501
SET "session_authorization" TO postgres;                                                    -- 42501
SELECT set_config('SESSION_authorization', 'postgres', true);                               -- 42501
RESET session_authorization;
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: a-role-behind-a-transaction
-- hope: a role set where a transaction fails or ends is kept
BEGIN; SET LOCAL ROLE bulkhead_app; ROLLBACK;
BEGIN; SET ROLE bulkhead_app; SELECT 1 / 0;
ROLLBACK;
SELECT current_user;                                                                        -- = bulkhead_pool!
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: roles-made-and-changed
-- hope: one of the statements about roles was forgotten
CREATE ROLE spy;                                                                            -- 42501
CREATE GROUP spies;                                                                         -- 42501
CREATE USER spy IN ROLE shop_owner PASSWORD 'known';                                        -- 42501
ALTER GROUP bulkhead_app ADD USER bulkhead_pool;                                            -- 42501
ALTER GROUP shop_owner ADD USER bulkhead_pool;                                              -- 42501
ALTER USER bulkhead_pool WITH SUPERUSER;                                                    -- 42501
ALTER USER bulkhead_sidecar RENAME TO spy;                                                  -- 42501
ALTER ROLE ALL IN DATABASE shop SET search_path = pg_temp;                                  -- 42501
DROP USER bulkhead_sidecar;                                                                 -- 42501
DROP GROUP bulkhead_app;                                                                    -- 42501
DROP ROLE IF EXISTS shop_owner, bulkhead_guard;                                             -- 42501
SECURITY LABEL ON ROLE bulkhead_pool IS 'acme';                                             -- 22023 | 22023 | 22023
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: memberships-and-grantors
-- hope: what was granted can be granted on, in another's name
GRANT bulkhead_app TO bulkhead_pool WITH ADMIN OPTION;                                      -- 42501
GRANT bulkhead_app TO bulkhead_sidecar GRANTED BY bulkhead_pool;                            -- 42501
GRANT pg_monitor, pg_signal_backend TO bulkhead_pool;                                       -- 42501
GRANT pg_execute_server_program TO CURRENT_USER;                                            -- 42501
REVOKE ADMIN OPTION FOR bulkhead_app FROM bulkhead_pool;                                    -- 42501
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA bulkhead TO PUBLIC;
GRANT USAGE ON SCHEMA bulkhead_control TO PUBLIC;                                           -- 42501 | 42501 | 42501
GRANT CONNECT ON DATABASE postgres TO PUBLIC;
GRANT SELECT (rolpassword) ON pg_authid TO PUBLIC;                                          -- 42501
GRANT ALTER SYSTEM ON PARAMETER {context} TO PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner GRANT SELECT ON TABLES TO PUBLIC;              -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: a-function-with-the-logins-rights
-- hope: SECURITY DEFINER, owned by the login that all share, runs as somebody else
-- area: functions
-- under: standard
CREATE FUNCTION pg_temp.f() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET role = 'shop_owner' AS 'SELECT count(*) FROM orders';  -- 42501
SELECT pg_temp.f();
CREATE FUNCTION pg_temp.g() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET row_security = off AS 'SELECT count(*) FROM orders';  -- 42501
SELECT pg_temp.g();
CREATE FUNCTION pg_temp.h() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM orders';
SELECT pg_temp.h();                                                                         -- = 20
ALTER FUNCTION pg_temp.h() OWNER TO shop_owner;                                             -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!
