-- What can be learnt about others, and done to their sessions.

-- case: own-sessions-of-others
-- area: catalogue
-- as: schema login
-- hope: statements of others, with the values in them
SELECT query FROM pg_stat_activity;                                                         -- 42501
SELECT * FROM pg_stat_get_activity(NULL);                                                   -- 42501
SELECT pg_stat_get_backend_activity(1);                                                     -- 42501
SELECT * FROM pg_stat_ssl;                                                                  -- 42501
SELECT * FROM pg_stat_statements;                                                           -- 42P01 | | 42501 |
SELECT * FROM public.pg_stat_statements(true);                                              -- 42501
SELECT * FROM pg_stat_progress_vacuum;                                                      -- 42501
SELECT * FROM pg_stat_replication;                                                          -- 42501

-- case: own-sessions-of-others-from-a-database
-- area: catalogue
-- as: database
-- hope: statements of others, from a database whose functions nobody has closed
SELECT count(*) FROM pg_stat_activity WHERE usename <> CURRENT_USER AND query <> '<insufficient privilege>';  -- = 0
SELECT count(*) FROM pg_stat_activity WHERE usename <> CURRENT_USER AND (client_addr IS NOT NULL OR state IS NOT NULL OR xact_start IS NOT NULL OR backend_start IS NOT NULL);  -- = 0
SELECT count(*) FROM pg_stat_get_backend_idset() b WHERE pg_stat_get_backend_activity(b) NOT IN ('<insufficient privilege>', '<backend information not available>', '<command string not enabled>') AND pg_stat_get_backend_userid(b) <> CURRENT_USER::regrole;  -- = 0
SELECT query FROM pg_stat_activity;                                                         -- ok
SELECT * FROM pg_stat_ssl;
SELECT * FROM pg_stat_replication;

-- case: own-ends-sessions-of-others
-- area: denial of service
-- as: schema database login
-- hope: sessions of others are ended by number
SELECT pg_terminate_backend(1);                                                             -- 42501 | ok | 42501 |
SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename IN ('{schema}', '{database}', '{login}', 'bulkhead_pool')) t;  -- 42501
SELECT count(*) FROM (SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename IN ('{schema}', '{database}', '{login}', 'bulkhead_pool')) t;  -- 42501
SELECT pg_log_backend_memory_contexts(pid) FROM pg_locks;                                   -- 42501

-- case: own-statistics-of-others
-- area: catalogue
-- as: schema database login
-- hope: the planner's statistics have values in them
SELECT count(*) FROM pg_stats WHERE schemaname = '{schema}' OR (schemaname = 'public' AND tablename = 'orders' AND '{here}' = 'shop');  -- = 0
SELECT most_common_vals, histogram_bounds FROM pg_stats WHERE tablename IN ('orders', 'notes');  -- ok
SELECT * FROM pg_stats_ext;                                                                 -- ok
SELECT * FROM pg_stats_ext_exprs;                                                           -- ok
SELECT stavalues1 FROM pg_statistic;                                                        -- 42501
SELECT * FROM pg_statistic_ext_data;                                                        -- 42501
SELECT has_column_privilege(c.oid, 'item', 'SELECT') FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = '{schema}' AND relname = 'orders';  -- = f | | = f |

-- case: own-definitions-of-others
-- area: catalogue
-- as: schema login
-- hope: texts of others' views, functions and defaults
-- residue: catalogues are readable by everyone; the names and definitions of a schema are open to those who share its database
-- residue-both: every tool and ORM reads the catalogue
SELECT pg_get_viewdef(c.oid) LIKE '%orders%' FROM pg_class c WHERE relname = 'order_items' AND relnamespace = '{schema}'::regnamespace;  -- = t
SELECT prosrc LIKE '%orders%' FROM pg_proc WHERE proname = 'all_items' AND pronamespace = '{schema}'::regnamespace;  -- = t
SELECT count(*) FROM information_schema.columns WHERE table_schema = '{schema}';            -- = 0
SELECT count(*) > 0 FROM pg_attribute WHERE attrelid = (SELECT oid FROM pg_class WHERE relname = 'orders' AND relnamespace = '{schema}'::regnamespace);  -- = t

-- case: own-names-of-others
-- area: catalogue
-- as: schema database login
-- hope: how many tenants there are, and what their databases and logins are called
-- residue: roles and databases are the server's; their names are numbers and no slugs
-- residue-both: the same
SELECT count(*) > 3 FROM pg_roles WHERE rolname ~ '^t_';                                    -- = t
SELECT count(*) > 1 FROM pg_database WHERE datname ~ '^t_';                                 -- = t
SELECT count(*) FROM pg_roles WHERE rolname ~ 'tyrell|wonka|wayne|globex';                  -- = 0
SELECT count(*) FROM pg_database WHERE datname ~ 'tyrell|wonka|wayne|globex';               -- = 0
SELECT setconfig FROM pg_db_role_setting;

-- case: own-sizes-of-others
-- area: covert channels
-- as: schema
-- under: standard
-- hope: how much others have, and how often they use it
-- residue: sizes and counters have no privilege; strict takes the functions away
-- residue-both: tools ask for sizes and counters by name
SELECT pg_relation_size(oid) > 0 FROM pg_class WHERE relname = 'orders' AND relnamespace = '{schema}'::regnamespace;  -- = t
SELECT pg_stat_get_tuples_inserted(oid) >= 0 FROM pg_class WHERE relname = 'orders' AND relnamespace = '{schema}'::regnamespace;  -- ok
SELECT reltuples FROM pg_class WHERE relname = 'orders' AND relnamespace = '{schema}'::regnamespace;  -- = 20

-- case: own-sizes-of-others-beside-shared-tables
-- area: covert channels
-- as: login
-- under: standard
-- hope: how much others have, and how often they use it
-- residue: the same
SELECT pg_relation_size(oid) > 0 FROM pg_class WHERE relname = 'orders' AND relnamespace = '{schema}'::regnamespace;  -- = t
SELECT pg_stat_get_tuples_inserted(oid) >= 0 FROM pg_class WHERE relname = 'orders' AND relnamespace = '{schema}'::regnamespace;  -- ok
SELECT reltuples FROM pg_class WHERE relname = 'orders' AND relnamespace = '{schema}'::regnamespace;  -- = 20

-- case: own-sizes-of-others-from-a-database
-- area: covert channels
-- as: database
-- hope: how much others have
-- residue: sizes of databases are for whoever may connect, and counters of databases for all
-- residue-both: the gate has no such rule in a database of a tenant's own
SELECT pg_database_size('{database}');                                                      -- 42501
SELECT xact_commit >= 0 FROM pg_stat_database WHERE datname = '{database}';                 -- = t

-- case: own-application-names-of-others
-- area: catalogue
-- as: database
-- hope: what others call their applications
-- residue: PostgreSQL shows application_name of every session to everyone; close pg_stat_get_activity in template_database
-- residue-both: the gate has no such rule in a database of a tenant's own
SELECT count(application_name) > 0 FROM pg_stat_activity WHERE usename <> CURRENT_USER;     -- = t

-- case: own-locks
-- area: covert channels
-- as: schema
-- under: standard
-- hope: advisory locks of others, and the table of locks
-- residue: the space of advisory locks is the database's; strict takes the functions away
-- residue-both: the gate leaves the functions to a tenant with a schema of its own, whose migrations use them
\as tyrell
BEGIN;
SELECT pg_advisory_xact_lock(4711);                                                         -- ok
\as {attacker}
SELECT pg_try_advisory_xact_lock(4711);                                                     -- = f
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711;                 -- = 1
\as tyrell
COMMIT;

-- case: own-locks-beside-shared-tables
-- area: covert channels
-- as: login
-- under: standard
-- hope: advisory locks of others, and the table of locks
-- residue: the same
\as tyrell
BEGIN;
SELECT pg_advisory_xact_lock(4711);                                                         -- ok
\as {attacker}
SELECT pg_try_advisory_xact_lock(4711);                                                     -- = f
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711;                 -- = 1
\as tyrell
COMMIT;

-- case: own-locks-from-a-database
-- area: covert channels
-- as: database
-- hope: advisory locks are the server's
\as tyrell
BEGIN;
SELECT pg_advisory_xact_lock(4712);
\as {attacker}
SELECT pg_try_advisory_xact_lock(4712);                                                     -- = t!
\as tyrell
COMMIT;

-- case: own-locks-seen-from-a-database
-- area: covert channels
-- as: database
-- under: standard
-- hope: the table of locks is the server's
-- residue: pg_locks shows numbers of all databases
-- residue-both: the gate has no such rule in a database of a tenant's own
\as tyrell
BEGIN;
SELECT pg_advisory_xact_lock(4714);                                                         -- ok
\as {attacker}
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4714;                 -- = 1
\as tyrell
COMMIT;

-- case: own-notifications
-- area: covert channels
-- as: schema login
-- hope: a word to another tenant's session
-- residue: there is no privilege on LISTEN and NOTIFY, and a channel belongs to the database
\as tyrell
LISTEN news;                                                                                -- ok
\as {attacker}
NOTIFY news, 'mine';                                                                        -- ok
SELECT pg_notify('bulkhead_directory', 'mine');
\as tyrell
SELECT 1;                                                                                   -- ok

-- case: own-notifications-by-a-function
-- area: covert channels
-- as: schema
-- hope: the same, said by a function of its own
-- residue: the same
-- residue-both: what the body of a function does is not seen, and a tenant with a schema makes functions
\as tyrell
DO $$ BEGIN EXECUTE 'LISTEN news'; END $$;                                                  -- ok
\as {attacker}
CREATE FUNCTION say() RETURNS void LANGUAGE plpgsql AS $$ BEGIN NOTIFY news, 'mine'; END $$;  -- ok
SELECT say();                                                                               -- ok
\as tyrell
SELECT 1;                                                                                   -- ok

-- case: own-notifications-from-a-database
-- area: covert channels
-- as: database
-- hope: a channel is the server's, and Bulkhead's own too
\as tyrell
LISTEN news;
\as {attacker}
NOTIFY news, 'mine';                                                                        -- ok
NOTIFY bulkhead_directory, 'mine';                                                          -- ok
LISTEN news;                                                                                -- ok
LISTEN bulkhead_directory;                                                                  -- ok
\as tyrell
SELECT 1;                                                                                   -- ok

-- case: own-large-objects
-- area: files and large objects
-- as: schema login
-- hope: large objects have no schema
-- before: SELECT lo_from_bytea(999001, 'theirs')
-- before: GRANT SELECT ON LARGE OBJECT 999001 TO {schema}
-- after: SELECT lo_unlink(999001)
SELECT lo_get(999001);                                                                      -- 42501
SELECT lo_unlink(999001);                                                                   -- 42501
SELECT lo_create(999002);                                                                   -- 42501
SELECT lo_put(999001, 0, 'mine');                                                           -- 42501
ALTER LARGE OBJECT 999001 OWNER TO CURRENT_USER;                                            -- 42501
SELECT data FROM pg_largeobject;                                                            -- 42501

-- case: own-large-objects-of-a-database
-- area: files and large objects
-- as: database
-- hope: large objects are the server's
-- before: SELECT lo_from_bytea(999003, 'theirs')
-- after: SELECT lo_unlink(999003)
SELECT lo_get(999003);                                                                      -- 42704
SELECT data FROM pg_largeobject;                                                            -- 42501
SELECT lo_from_bytea(999004, 'mine');                                                       -- ok
SELECT lo_import('/etc/passwd');                                                            -- 42501

-- case: own-prepared-transactions
-- area: covert channels
-- as: schema database login
-- hope: another's prepared transaction can be ended
PREPARE TRANSACTION 'mine';
COMMIT PREPARED 'theirs';                                                                   -- 42704
ROLLBACK PREPARED 'theirs';                                                                 -- 42704
SELECT gid FROM pg_prepared_xacts;

-- case: own-temporary-tables-of-others
-- area: left-overs
-- as: schema login
-- under: standard
-- hope: temporary tables of others' sessions can be reached by the names of their schemas
\as wayne
CREATE TEMP TABLE private AS SELECT item FROM orders;
\as {attacker}
SELECT format('TABLE %s.private', c.relnamespace::regnamespace) FROM pg_class c WHERE relname = 'private';
DO $$ DECLARE i integer; BEGIN FOR i IN 1..40 LOOP BEGIN EXECUTE format('TABLE pg_temp_%s.private', i); RAISE cardinality_violation;
EXCEPTION WHEN insufficient_privilege OR undefined_table OR invalid_schema_name THEN NULL; END; END LOOP; END $$;  -- ok
DROP TABLE IF EXISTS private;
DISCARD TEMP;

-- case: own-sequences
-- area: covert channels
-- as: login
-- hope: sequences that count for all
-- residue: a sequence belongs to all; USAGE is what inserting takes
-- residue-both: inserting takes nextval
SELECT nextval('tally') > 0;                                                                -- = t

-- case: own-snapshots
-- area: covert channels
-- as: schema database
-- hope: another session's snapshot shows its rows
BEGIN ISOLATION LEVEL REPEATABLE READ;
SET TRANSACTION SNAPSHOT '00000003-00000001-1';
ROLLBACK;
SELECT pg_export_snapshot() IS NOT NULL;
SELECT item FROM orders WHERE item NOT LIKE '{attacker}%';                                  -- ok
SELECT count(*) FROM orders WHERE item NOT LIKE '{attacker}%';                              -- = 0

-- case: own-explain
-- area: covert channels
-- as: login
-- hope: EXPLAIN ANALYZE counts the rows that the policy took away
-- residue: EXPLAIN has no privilege
SET enable_indexscan = off;
SET enable_bitmapscan = off;
EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) SELECT * FROM orders;                 -- ok

-- case: own-functions-of-others-by-others-path
-- area: functions
-- as: schema database login sealed
-- hope: what another tenant has planted and opened to all is found without its schema
-- before: GRANT USAGE, CREATE ON SCHEMA {schema} TO PUBLIC
-- after: REVOKE USAGE, CREATE ON SCHEMA {schema} FROM PUBLIC
SELECT current_schemas(false)::text LIKE '%{schema}%';                                          -- = f
SELECT count(*) FROM orders;                                                                -- = 20!
