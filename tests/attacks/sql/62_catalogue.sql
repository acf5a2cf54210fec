-- What catalogues and views of the system tell.

-- case: secrets-in-the-catalogue
-- area: catalogue
-- hope: a catalogue of secrets is read by another name
SELECT count(*) FROM "pg_authid";                                                           -- 42501
SELECT count(*) FROM pg_catalog.pg_shadow;                                                  -- 42501
SELECT rolpassword FROM pg_catalog.pg_authid LIMIT 1;                                       -- 42501
SELECT count(*) FROM (TABLE pg_authid) x;                                                   -- 42501
SELECT count(*) FROM pg_user WHERE passwd <> '********';                                    -- = 0
SELECT count(*) FROM pg_roles WHERE rolpassword <> '********';                              -- = 0
SELECT count(*) FROM shop.pg_catalog.pg_statistic;                                          -- 42501
SELECT count(*) FROM pg_user_mappings WHERE umoptions IS NOT NULL;                          -- = 0
SELECT stavalues1 FROM pg_statistic;                                                        -- 42501
SELECT count(*) FROM pg_shmem_allocations;                                                  -- 42501
SELECT count(*) FROM pg_replication_origin_status;                                          -- 42501
SELECT count(*) FROM U&"pg\005fauthid";                                                     -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: views-of-activity
-- hope: a view of what others do, by another name or by its function
SELECT count(*) FROM "pg_stat_activity";                                                    -- 42501
SELECT count(*) FROM pg_catalog.pg_stat_activity;                                           -- 42501
SELECT count(*) FROM (TABLE pg_stat_activity) x;                                            -- 42501
SELECT query FROM pg_stat_get_activity(pg_backend_pid());                                   -- 42501
SELECT pg_stat_get_backend_activity(n) FROM generate_series(1, 10) n;                       -- 42501
SELECT pg_stat_get_backend_client_addr(1), pg_stat_get_backend_pid(1);                      -- 42501
SELECT count(*) FROM pg_stat_gssapi;                                                        -- 42501
SELECT count(*) FROM pg_stat_progress_vacuum;                                               -- 42501
SELECT count(*) FROM pg_stat_get_progress_info('VACUUM');                                   -- 42501
SELECT count(*) FROM public.pg_stat_statements;                                             -- 42501
SELECT count(*) FROM pg_stat_statements_info;                                               -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: counters-of-all-tenants
-- hope: how much others do
-- under: strict
SELECT xact_commit FROM pg_stat_database WHERE datname = current_database();                -- 42501
SELECT count(*) FROM pg_stat_bgwriter;                                                      -- 42501
SELECT count(*) FROM pg_stat_all_tables;                                                    -- 42501
SELECT count(*) FROM pg_stat_xact_all_tables;                                               -- 42501
SELECT count(*) FROM pg_statio_all_indexes;                                                 -- 42501
SELECT count(*) FROM pg_stat_user_functions;                                                -- 42501
SELECT count(*) FROM pg_stat_user_indexes;                                                  -- 42501
SELECT count(*) FROM pg_stat_wal;                                                           -- 42501
SELECT count(*) FROM pg_stat_slru;                                                          -- 42501
SELECT count(*) FROM pg_stat_archiver;                                                      -- 42501
SELECT pg_stat_get_db_xact_commit(oid) FROM pg_database;                                    -- 42501
SELECT pg_stat_get_numscans('orders'::regclass);                                            -- 42501
SELECT pg_stat_get_tuples_updated('orders'::regclass);                                      -- 42501

-- case: information-schema
-- hope: the standard's views show what the catalogue hides
SELECT count(*) FROM information_schema.tables WHERE table_schema = 'bulkhead_control';     -- = 0
SELECT count(*) FROM information_schema.enabled_roles WHERE role_name NOT LIKE 'bulkhead%'; -- = 0
SELECT count(*) FROM information_schema.role_table_grants WHERE grantor = 'postgres' AND table_schema = 'bulkhead';  -- = 0
SELECT count(*) FROM information_schema.user_mapping_options;                               -- = 0
SELECT count(*) FROM information_schema.view_column_usage;
SELECT count(*) FROM information_schema.columns WHERE table_name = 'orders';                -- = 3!
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: definitions
-- hope: a definition holds a value
SELECT pg_get_viewdef('ledger');                                                            -- ok
SELECT pg_get_expr(polqual, polrelid) FROM pg_policy LIMIT 1;                               -- ok
SELECT pg_get_functiondef('bulkhead.enter'::regproc);
SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'orders'::regclass;    -- ok
SELECT count(*) FROM pg_description WHERE description LIKE '%key%';
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: catalogues-locked-and-changed
-- hope: catalogues are tables: they can be locked, indexed and granted
BEGIN; LOCK TABLE pg_class IN ACCESS EXCLUSIVE MODE;                                        -- 42501
ROLLBACK;
BEGIN; LOCK TABLE pg_catalog.pg_proc;                                                       -- 42501
ROLLBACK;
BEGIN; LOCK TABLE pg_authid IN SHARE MODE;                                                  -- 42501
ROLLBACK;
SELECT oid FROM pg_class LIMIT 1 FOR UPDATE;                                                -- 42501
CREATE INDEX ON pg_class (relname);                                                         -- 42501
TRUNCATE pg_class;                                                                          -- 42501
ALTER TABLE pg_class DISABLE ROW LEVEL SECURITY;                                            -- 42501
CREATE TABLE pg_catalog.mine (x integer);                                                   -- 42501
DROP VIEW pg_catalog.pg_stat_activity;                                                      -- 42501
MERGE INTO pg_class c USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE;                  -- 42501
WITH d AS (DELETE FROM pg_policy RETURNING *) SELECT * FROM d;                              -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!
