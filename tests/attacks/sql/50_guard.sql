-- The guard's own functions and tables, called by the pool's login.

-- case: enter-with-guesses
-- area: context
-- hope: enter takes what looks like a token
SELECT bulkhead.enter('default', '{globex_hex}', '313033', '99999999999999', repeat('0', 64));  -- 42501
SELECT bulkhead.enter(NULL, '{globex_hex}', NULL, NULL, NULL);                              -- 42501
SELECT bulkhead.enter('', '', '', '', '');                                                  -- 42501
SELECT bulkhead.enter(kid => 'default', tenant => '{globex_hex}', key => '', expires => '1', mac => '');  -- 42501
SELECT bulkhead.enter('default', '{globex}', '313033', '1800000000000', repeat('0', 64));   -- 42501
DO $$ BEGIN PERFORM bulkhead.enter('default', '{globex_hex}', '', '1800000000000', repeat('0', 64)); END $$;  -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: enter-from-a-function-in-the-right-statement
-- hope: current_query() is the right text while a cast of the attacker's runs inside it
-- under: standard
CREATE FUNCTION pg_temp.again() RETURNS text LANGUAGE sql AS $$ SELECT bulkhead.enter('default', '{globex_hex}', '', '1800000000000', repeat('0', 64)) $$;
SELECT pg_temp.again();                                                                     -- 42501
PREPARE enter AS SELECT bulkhead.enter($1,$2,$3,$4,$5);
EXECUTE enter('default', '{globex_hex}', '', '1800000000000', '0000000000000000000000000000000000000000000000000000000000000000');  -- 42501

-- case: guard-tables
-- area: catalogue
-- hope: keys, or a key of one's own
SELECT * FROM bulkhead.signing_key;                                                         -- 42501
INSERT INTO bulkhead.signing_key VALUES ('mine', decode(repeat('36', 64), 'hex'), decode(repeat('5c', 64), 'hex'));  -- 42501
SELECT * FROM bulkhead.installation;                                                        -- 42501
INSERT INTO bulkhead.revoked_tenant VALUES ('{globex}');                                    -- 42501
SELECT * FROM bulkhead.protection;                                                          -- 42501
COPY bulkhead.signing_key TO STDOUT;                                                        -- 42501
BEGIN; LOCK TABLE bulkhead.signing_key;                                                     -- 42501
ROLLBACK;
TABLE bulkhead_control.tenant;                                                              -- 42501
TABLE bulkhead_control.principal;                                                           -- 42501

-- case: guard-tables-for-readers-of-everything
-- hope: roles that read and write all data reach the keys
-- before: CREATE ROLE auditor LOGIN; GRANT pg_read_all_data, pg_write_all_data TO auditor; SET SESSION AUTHORIZATION auditor; SET row_security = on; DO $$ BEGIN IF EXISTS (SELECT FROM bulkhead.signing_key) THEN RAISE 'keys are readable'; END IF; BEGIN INSERT INTO bulkhead.signing_key VALUES ('mine', decode(repeat('36', 64), 'hex'), decode(repeat('5c', 64), 'hex')); RAISE 'keys are writable'; EXCEPTION WHEN insufficient_privilege THEN NULL; END; IF EXISTS (SELECT FROM pg_stats WHERE schemaname = 'bulkhead' AND attname LIKE '%block') THEN RAISE 'keys are in the statistics'; END IF; END $$
-- after: RESET SESSION AUTHORIZATION; DROP ROLE auditor
SELECT 1;                                                                                   -- = 1

-- case: guard-functions
-- area: functions
-- hope: a function for administrators that forgot to ask who calls
SELECT bulkhead.register_key('mine', encode(repeat('x', 32)::bytea, 'base64'));             -- 42501
SELECT bulkhead.retire_key('k1');                                                           -- 42501
SELECT bulkhead.revoke_tenant('{globex}');                                                  -- 42501
SELECT bulkhead.readmit_tenant('{globex}');                                                 -- 42501
SELECT bulkhead.login_faults('postgres');                                                   -- 42501
SELECT bulkhead.hmac('a', 'b', 'c');                                                        -- 42501
SELECT bulkhead.hmac_block('a', '36');                                                      -- 42501
SELECT count(*) FROM bulkhead.self_check() WHERE faults = '';                               -- = 1
SELECT * FROM bulkhead_control.lookup_tenant('globex');                                     -- 42501
SELECT * FROM bulkhead_control.lookup_principal('shop');                                    -- 42501

-- case: protection
-- hope: protect and its helpers may be called by everybody
SELECT bulkhead.unprotect('orders');                                                        -- 42501
SELECT bulkhead.unprotect_relation('orders');                                               -- 42501
SELECT bulkhead.protect('orders', 'id', 'key');                                             -- 42501
SELECT bulkhead.protect_relation('orders', 'tenant_id', 'id');                              -- 42501
SELECT bulkhead.set_policies('orders', 'tenant_id', 'tenant_id');                           -- 42501
SELECT bulkhead.set_tenant_default('orders', 'tenant_id', '''{globex}''');                  -- 42501
SELECT bulkhead.take_unsafe_privileges('orders');
SELECT bulkhead.remember('orders', 'tenant_id');                                            -- 42501
SELECT bulkhead.forget('orders');                                                           -- 42501
SELECT bulkhead.forget('bulkhead.signing_key');                                             -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: protection-of-a-temporary-table
-- area: DDL
-- hope: the owner of a temporary table writes into the guard's records, with a default that an administrator's
-- unprotect would run
-- under: standard
CREATE TEMP TABLE mine (tenant_id uuid DEFAULT md5('acme')::uuid);                          -- ok
CREATE POLICY bulkhead_tenant ON mine USING (true);                                         -- ok
SELECT bulkhead.remember('mine', 'tenant_id');                                              -- 42501
SELECT bulkhead.protect('mine', 'tenant_id');                                               -- 42501
SELECT bulkhead.forget('mine');

-- case: context-by-key
-- area: context
-- hope: keys as text are compared loosely
SELECT bulkhead.tenant_key();                                                               -- = 101
SELECT count(*) FROM tickets WHERE account = 103;                                           -- = 0
SELECT bulkhead.tenant_key_bigint();                                                        -- = 101
SELECT bulkhead.tenant_key_uuid();                                                          -- BH002
SELECT count(*) FROM tickets;                                                               -- = 20

-- case: debug-output
-- area: covert channels
-- hope: what enter is called with comes up in messages, plans or error contexts
SET client_min_messages = debug5;
SET debug_print_parse = on;
SET debug_print_plan = on;
SET debug_print_rewritten = on;
SET log_parameter_max_length_on_error = -1;
DO $$ BEGIN EXECUTE 'RESET ALL'; EXECUTE 'SET client_min_messages = debug5'; EXECUTE 'SET debug_print_plan = on'; EXECUTE 'SET log_parameter_max_length_on_error = -1'; END $$;
SELECT count(*) FROM orders;
SELECT count(*) FROM orders;                                                                -- = 20!
