-- Functions that nobody needs who asks for rows of their own.

-- case: families-of-functions
-- area: functions
-- hope: one of a family was forgotten
SELECT pg_sleep(0.001);                                                                     -- ok | 42501 | 42501
SELECT pg_catalog.pg_sleep_for('1 ms');                                                     -- ok | 42501 | 42501
SELECT "pg_sleep_until"(now());                                                             -- ok | 42501 | 42501
SELECT setseed(0.1);                                                                        -- ok | 42501 | 42501
SELECT pg_advisory_xact_lock(1);                                                            -- ok | 42501 | 42501
SELECT pg_advisory_xact_lock_shared(1, 2);                                                  -- ok | 42501 | 42501
SELECT pg_try_advisory_lock(1);                                                             -- ok | 42501 | 42501
SELECT pg_try_advisory_lock_shared(1, 2);                                                   -- ok | 42501 | 42501
SELECT pg_try_advisory_xact_lock(1);                                                        -- ok | 42501 | 42501
SELECT pg_advisory_unlock(1);                                                               -- ok | 42501 | ok
SELECT pg_advisory_unlock_all();                                                            -- ok!
SELECT pg_notify('news', 'acme');                                                           -- ok | 42501 | 42501
SELECT setval('tally', 1);                                                                  -- 42501
SELECT setval('accounts_id_seq', 1, false);                                                 -- 42501
SELECT lastval();                                                                           -- 55000
SELECT currtid2('orders', '(0,1)');                                                         -- ok | 42501 | 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: functions-of-the-server
-- hope: functions for administrators that anybody may call
SELECT pg_stat_reset();                                                                     -- 42501
SELECT pg_stat_reset_shared('bgwriter');                                                    -- 42501
SELECT pg_stat_reset_single_table_counters('orders'::regclass);                             -- 42501
SELECT pg_backup_start('acme');                                                             -- 42501
SELECT pg_create_restore_point('acme');                                                     -- 42501
SELECT pg_promote();                                                                        -- 42501
SELECT pg_wal_replay_pause();                                                               -- 42501
SELECT pg_import_system_collations('public');                                               -- 42501
SELECT pg_replication_origin_create('acme');                                                -- 42501
SELECT pg_drop_replication_slot('acme');                                                    -- 42501
SELECT pg_log_backend_memory_contexts(pg_backend_pid());                                    -- 42501
SELECT pg_reload_conf(), pg_rotate_logfile();                                               -- 42501
SELECT pg_ls_waldir();                                                                      -- 42501
SELECT pg_ls_tmpdir();                                                                      -- 42501
SELECT pg_ls_archive_statusdir();                                                           -- 42501
SELECT pg_current_logfile();                                                                -- 42501
SELECT gin_clean_pending_list('words_by_word'::regclass);
SELECT brin_summarize_new_values('words_by_word'::regclass);
SELECT pg_extension_config_dump('orders', '');                                              -- 0A000 | 0A000 | 42501
SELECT binary_upgrade_set_next_pg_type_oid(1);                                              -- 55P02 | 55P02 | 42501
SELECT pg_nextoid('pg_class', 'oid', 'pg_class_oid_index');                                 -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: functions-called-by-a-row
-- hope: o.f is a column for who reads and a call of f(o) for the server
SELECT (SELECT count(*) FROM orders) FROM (SELECT o.forget_all FROM orders o) x;
SELECT count(*) FROM orders;
SELECT count(*) FROM orders;                                                                -- = 20!
SELECT (o).forget_all, o.item FROM orders o WHERE o.tenant_id = '{globex}';
SELECT count(*) FROM orders;                                                                -- = 20
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: functions-called-by-other-things
-- hope: an operator, a cast, a type's input or an aggregate calls a function that is not named
SELECT 'SELECT 1'::regproc;
SELECT 'set_config'::regproc, 'pg_sleep(double precision)'::regprocedure;
SELECT oid::regprocedure FROM pg_proc WHERE proname = 'set_config';                         -- ok
SELECT 1 OPERATOR(pg_catalog.+) 1;                                                          -- = 2!
SELECT count(*) FROM orders WHERE item OPERATOR(pg_catalog.~~) 'globex%';                   -- = 0!
SELECT int4 '1', cast(1 AS text), 1::text, text(1), pg_catalog.int8(1);                     -- = 1
SELECT array_agg(item) FROM orders WHERE tenant_id = '{globex}';                            -- ok
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: objects-of-ones-own
-- hope: an aggregate, an operator class or a range of one's own is evaluated where the policy is
-- under: standard
CREATE FUNCTION pg_temp.tell(text, text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE '%', $2; RETURN $2; END $$;
CREATE AGGREGATE pg_temp.all_of(text) (SFUNC = pg_temp.tell, STYPE = text);
SELECT pg_temp.all_of(item) FROM orders;
SELECT pg_temp.all_of(item) OVER (ORDER BY id) FROM orders;
CREATE FUNCTION pg_temp.compare(text, text) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE '% %', $1, $2; RETURN 0; END $$;
CREATE FUNCTION pg_temp.less(text, text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN RAISE NOTICE '% %', $1, $2; RETURN true; END $$;
CREATE OPERATOR pg_temp.<<< (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_temp.less, RESTRICT = scalarltsel);
SELECT count(*) FROM orders WHERE item OPERATOR(pg_temp.<<<) 'x' AND tenant_id = '{globex}';
SELECT count(*) FROM words WHERE word OPERATOR(pg_temp.<<<) 'x';
CREATE OPERATOR CLASS pg_temp.c FOR TYPE text USING btree AS FUNCTION 1 pg_temp.compare(text, text);  -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: guard-functions-by-other-ways
-- hope: the guard's functions are found by other names, or inside of others
SELECT "bulkhead"."enter"('default', '{globex_hex}', '', '1', 'x');                         -- 42501
SELECT shop.bulkhead.enter('default', '{globex_hex}', '', '1', 'x');                        -- 42501
SELECT * FROM bulkhead.enter('default', '{globex_hex}', '', '1', 'x');                      -- 42501
SELECT bulkhead . enter ('default', '{globex_hex}', '', '1', 'x');                          -- 42501
SELECT U&"\0062ulkhead".enter('default', '{globex_hex}', '', '1', 'x');                     -- 42501
SELECT bulkhead.enter(VARIADIC ARRAY['default', '{globex_hex}', '', '1', 'x']);             -- 42883 | 42883 | 42883
EXPLAIN ANALYZE SELECT bulkhead.enter('default', '{globex_hex}', '', '1', 'x');             -- 42501
COPY (SELECT bulkhead.enter('default', '{globex_hex}', '', '1', 'x')) TO STDOUT;            -- 42501
CALL bulkhead.set_all(ARRAY['{context}', '{globex_hex},']);
SELECT count(*) FROM orders WHERE tenant_id = '{globex}';                                   -- = 0!
CALL bulkhead.set_all(ARRAY['role', 'shop_owner']);                                         -- 42501 | 42501 | 42501
CALL bulkhead.set_all(ARRAY['row_security', 'off']);
SELECT count(*) FROM orders WHERE tenant_id = '{globex}';
RESET row_security;
SELECT bulkhead.session_state(63);
SELECT bulkhead.session_setting('work_mem');
SELECT count(*) FROM orders;                                                                -- = 20!
