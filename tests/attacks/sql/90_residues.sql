-- What PostgreSQL cannot stop, with the reason. The statements show what the attacker gets; the day that one of
-- them fails, the case moves up. Nothing here shows a row of another tenant's.

-- case: notify
-- area: covert channels
-- hope: a word to another tenant's session
-- residue: there is no privilege on LISTEN and NOTIFY; a channel belongs to the whole database
-- pool: 2
\as globex
LISTEN news;                                                                                -- ok
\as acme
NOTIFY news, 'from acme';                                                                   -- ok
\as globex
SELECT 1;                                                                                   -- ok

-- case: alter-own-password
-- area: roles
-- hope: the pool's password is the attacker's, who connects around Bulkhead; there is no context there
-- residue: every login may change its own password, and the proxy cannot log in any more
-- after: ALTER ROLE bulkhead_pool PASSWORD '{pool_verifier}'
ALTER ROLE CURRENT_USER PASSWORD 'known';                                                   -- ok
SELECT * FROM dblink('host=127.0.0.1 port={port} dbname=shop user=bulkhead_pool password=known', 'SELECT item FROM orders') AS t(item text);  -- 25000

-- case: alter-own-settings
-- hope: a setting that all later sessions of the shared login begin with
-- residue: every login may change its own settings; Bulkhead refuses such backends rather than use them, so the service stops
-- after: ALTER ROLE bulkhead_pool RESET ALL
ALTER ROLE CURRENT_USER SET search_path = pg_temp;                                          -- ok
\leave
\as admin
SELECT count(pg_terminate_backend(pid, 1000)) FROM pg_stat_activity WHERE usename = 'bulkhead_pool';
\as globex
SELECT 1;                                                                                   -- 08001

-- case: alter-default-privileges
-- hope: temporary tables that other tenants make later are closed to themselves
-- residue: every role may change the default privileges of what it will own
-- under: standard
-- after: ALTER DEFAULT PRIVILEGES FOR ROLE bulkhead_pool GRANT ALL ON TABLES TO bulkhead_pool
ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM CURRENT_USER;                         -- ok
\leave
\as admin
SELECT count(pg_terminate_backend(pid, 1000)) FROM pg_stat_activity WHERE usename = 'bulkhead_pool';
\as globex
CREATE TEMP TABLE t (x integer);                                                            -- ok
SELECT * FROM t;                                                                            -- 42501?

-- case: drop-owned
-- area: DDL
-- hope: temporary tables of other tenants' sessions go away
-- residue: a role may drop what it owns, and all tenants' temporary tables belong to one login; strict has none
-- under: standard
-- pool: 2
\as globex
CREATE TEMP TABLE private (x integer);                                                      -- ok
\as acme
DROP OWNED BY CURRENT_USER;                                                                 -- ok
\as globex
SELECT * FROM private;                                                                      -- 42P01

-- case: seed
-- area: left-overs
-- hope: the next client's random() is known
-- residue: SET SEED has no privilege, and DISCARD ALL keeps the seed
SET seed = 0.5;                                                                             -- ok
\leave
\as globex
SELECT random() = 0.9851677175347999;                                                       -- = t

-- case: a-settings-name-left
-- hope: a word to the next tenant: a setting of the application's is empty, not missing
-- residue: a name once set stays known to the session; DISCARD ALL empties its value
-- residue-both: applications set settings of their own, and a name once set stays known
-- residue-unhardened: applications set settings of their own, and a name once set stays known
SET app.word = 'acme';                                                                      -- ok
\leave
\as globex
SELECT current_setting('app.word', true) IS NULL;                                           -- = f
SELECT current_setting('app.word');                                                         -- =

-- case: connections-of-dblink-left
-- hope: a connection that acme opened and knows is used by globex
-- residue: connections of dblink and postgres_fdw outlive DISCARD ALL; such extensions do not belong here
-- before: CREATE ROLE outside LOGIN PASSWORD 'known'
-- after: SELECT count(pg_terminate_backend(pid, 1000)) FROM pg_stat_activity WHERE usename IN ('bulkhead_pool', 'outside')
-- after: DROP ROLE outside
SELECT dblink_connect('spy', 'host=127.0.0.1 port={port} dbname=shop user=outside password=known');  -- ok
\leave
\as globex
SELECT dblink_get_connections();                                                            -- = {spy}

-- case: lock-table
-- area: denial of service
-- hope: nobody else works while acme's transaction is open
-- residue: who may UPDATE a table may LOCK it
-- pool: 2
\as acme
BEGIN;
LOCK TABLE orders IN ACCESS EXCLUSIVE MODE;                                                 -- ok
\as globex
SET lock_timeout = '50ms';
SELECT count(*) FROM orders;                                                                -- 55P03
\as acme
ROLLBACK;

-- case: prepared-transactions
-- hope: another tenant's prepared transaction can be ended, and one's own holds locks for ever
-- residue: a prepared transaction belongs to the login; max_prepared_transactions = 0, the default, takes it away
-- pool: 2
\as globex
BEGIN;
UPDATE orders SET item = item WHERE id = 1;                                                 -- ok
PREPARE TRANSACTION 'globex';                                                               -- ok
\as acme
COMMIT PREPARED 'globex';
ROLLBACK PREPARED 'globex';                                                                 -- 42704

-- case: advisory-locks
-- area: covert channels
-- hope: a lock that another tenant's application uses
-- residue: the space of advisory locks is the database's; strict takes the functions away
-- under: standard
-- pool: 2
\as acme
BEGIN;
SELECT pg_advisory_xact_lock(4711);                                                         -- ok
\as globex
SELECT pg_try_advisory_xact_lock(4711);                                                     -- = f

-- case: a-row-watched-by-its-address
-- hope: currtid2 follows a row's versions without row security, and tells when globex changes a row
-- residue: psqlODBC needs the function; strict takes it away
-- under: standard
\as globex
SELECT max(ctid) FROM orders;                                                               -- ok
\as acme
SELECT currtid2('orders', '(0,1)');                                                         -- ok

-- case: the-lock-table
-- hope: which advisory locks others hold, and names of their prepared transactions
-- residue: monitoring tools need the views; strict takes them away
-- under: standard
-- pool: 2
\as globex
BEGIN;
SELECT pg_advisory_xact_lock(4713);                                                         -- ok
\as acme
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4713;                 -- = 1

-- case: sequences-count-for-all
-- hope: how many rows others have added
-- residue: a sequence belongs to all; USAGE is what inserting takes
-- residue-both: inserting takes nextval
-- residue-unhardened: inserting takes nextval
SELECT nextval('tally') > 0;                                                                -- = t

-- case: counters-for-all
-- area: catalogue
-- hope: how many rows all tenants have together
-- residue: statistics count for the whole table; strict takes the functions away
-- under: standard
SELECT pg_stat_get_live_tuples('orders'::regclass) >= 0;                                    -- ok
SELECT pg_relation_size('orders') > 0;                                                      -- = t

-- case: wal-position-for-all
-- area: covert channels
-- hope: how many bytes others write, one write after the other
-- residue: the position is the server's; strict takes the functions away
-- under: standard
SELECT pg_current_wal_insert_lsn() > '0/0';                                                 -- = t

-- case: pages-and-rows-in-the-catalogue
-- hope: how many rows all tenants have together
-- residue: pg_class is readable by everyone, as every tool expects
-- residue-both: every tool and ORM reads pg_class
-- residue-unhardened: every tool and ORM reads pg_class
SELECT reltuples FROM pg_class WHERE oid = 'orders'::regclass;                              -- = 60

-- case: rows-removed-by-filter
-- area: covert channels
-- hope: EXPLAIN ANALYZE counts the rows that the policy took away
-- residue: EXPLAIN has no privilege
SET enable_indexscan = off;
SET enable_bitmapscan = off;
EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) SELECT * FROM orders;                 -- ok

-- case: estimates
-- hope: the planner's estimates tell whether a value is frequent among other tenants' rows, and step by step where
-- the limits of its histogram are
-- residue: EXPLAIN has no privilege, and statistics of leakproof operators are used behind row security
DO $$ DECLARE theirs json; nobodys json; BEGIN
EXECUTE 'EXPLAIN (FORMAT json) SELECT * FROM words WHERE word = ''globex favourite''' INTO theirs;
EXECUTE 'EXPLAIN (FORMAT json) SELECT * FROM words WHERE word = ''nobodys favourite''' INTO nobodys;
IF (theirs #>> '{0,Plan,Plan Rows}')::integer > 10 * (nobodys #>> '{0,Plan,Plan Rows}')::integer THEN RAISE cardinality_violation; END IF;
END $$;                                                                                     -- 21000

-- case: one-row-removed
-- hope: with an index on the value alone, EXPLAIN ANALYZE tells for each value whether another tenant has it
-- residue: the same; protect() warns of tables whose indexes do not start with the tenant
SET enable_seqscan = off;
SET enable_bitmapscan = off;
DO $$ DECLARE plan json; BEGIN
EXECUTE 'EXPLAIN (ANALYZE, FORMAT json) SELECT * FROM words WHERE word = ''globex word 7''' INTO plan;
IF plan #>> '{0,Plan,Rows Removed by Filter}' = '1' THEN RAISE cardinality_violation; END IF;
END $$;                                                                                     -- 21000

-- case: gaps-in-addresses
-- hope: how many rows others have between one's own
-- residue: ctid and xmin are columns of every table
-- residue-both: columns of the system are in every table; ORMs use ctid and xmin
-- residue-unhardened: columns of the system are in every table; ORMs use ctid and xmin
SELECT max(ctid)::text FROM orders;                                                         -- ok

-- case: a-unique-key-without-the-tenant
-- hope: whether another tenant has the value
-- residue: a unique index is checked over all rows; protect() warns of each
-- residue-both: what is in the index is not seen before the row is written; protect() warns of each
-- residue-unhardened: what is in the index is not seen before the row is written; protect() warns of each
INSERT INTO coupons (code) VALUES ('globex-coupon');                                        -- 23505
INSERT INTO coupons (code) VALUES ('nobodys-coupon');                                       -- ok
INSERT INTO coupons (code) VALUES ('globex-coupon') ON CONFLICT DO NOTHING;                 -- ok
INSERT INTO coupons (code) VALUES ('globex-coupon') ON CONFLICT (code) DO UPDATE SET code = excluded.code RETURNING *;  -- 42501
INSERT INTO coupons (code) VALUES ('globex-coupon') ON CONFLICT (code) DO UPDATE SET tenant_id = '{acme}';  -- 42501

-- case: an-exclusion-constraint-without-the-tenant
-- hope: what another tenant's row holds, in the error's detail
-- residue: an exclusion constraint is checked over all rows; the detail is left out where there is row security
-- residue-both: the same
-- residue-unhardened: the same
INSERT INTO slots (span) VALUES ('[103,104]');                                              -- 23P01
INSERT INTO slots (span) VALUES ('[200,201]');                                              -- ok

-- case: a-foreign-key-without-the-tenant
-- hope: whether another tenant has the value, and a grip on its row
-- residue: foreign keys are checked over all rows; protect() warns of each
-- residue-both: the same
-- residue-unhardened: the same
INSERT INTO slips (code) VALUES ('globex-coupon');                                          -- ok
INSERT INTO slips (code) VALUES ('nobodys-coupon');                                         -- 23503

-- case: names-in-the-catalogue
-- area: catalogue
-- hope: names of tables, roles, databases, functions and their texts
-- residue: catalogues are readable by everyone, as every tool expects
-- residue-both: every tool and ORM reads the catalogue
-- residue-unhardened: every tool and ORM reads the catalogue
SELECT count(*) > 0 FROM pg_proc WHERE prosrc LIKE '%orders%';                              -- = t
SELECT count(*) > 0 FROM pg_roles WHERE rolname LIKE 'bulkhead%';                           -- = t

-- case: every-lock-there-is
-- area: denial of service
-- hope: nobody can write while the table of locks is full
-- residue: the table of locks is the server's, and nothing bounds a session's part of it; strict takes advisory locks away
-- under: standard
-- pool: 2
-- after: DO $$ BEGIN WHILE EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory') LOOP PERFORM pg_sleep(0.01); END LOOP; END $$
\as globex
SELECT 1;                                                                                   -- ok
\as acme
SELECT count(pg_advisory_lock(n)) FROM generate_series(1, 1000000) n;                       -- 53200
\as globex
UPDATE orders SET item = item WHERE id = 1;                                                 -- 53200

-- case: transaction-numbers
-- area: covert channels
-- hope: how many transactions others have made
-- residue: numbers of transactions are the server's, and every row has one
-- residue-both: every row has one, and migration tools ask for them
-- residue-unhardened: every row has one, and migration tools ask for them
SELECT txid_current() > 0;                                                                  -- = t
SELECT txid_snapshot_xmax(txid_current_snapshot()) > 0;                                     -- = t
SELECT pg_current_snapshot() IS NOT NULL;                                                   -- = t
SELECT max(age(xmin)) >= 0 FROM orders;                                                     -- = t
