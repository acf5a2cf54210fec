-- Statements that reach for globex's rows: to read, to write, to learn of them by the way.

-- case: asking
-- area: context
-- hope: the filter is only the application's
SELECT count(*) FROM orders WHERE tenant_id = '{globex}';                                   -- = 0
SELECT count(*) FROM orders WHERE tenant_id <> '{acme}';                                    -- = 0
SELECT count(*) FROM orders WHERE item LIKE 'globex%' OR true;                              -- = 20
SELECT count(*) FROM tickets WHERE account = 103;                                           -- = 0
SELECT * FROM accounts UNION SELECT * FROM accounts WHERE tenant_id = '{globex}' OR 1 = 1;  -- ok
TABLE orders;                                                                               -- ok
SELECT (SELECT count(*) FROM orders o WHERE o.tenant_id = x) FROM (VALUES ('{globex}'::uuid)) v(x);  -- = 0
SELECT count(*) FROM orders a FULL JOIN accounts b USING (id) WHERE b.tenant_id = '{globex}';  -- = 0
SELECT count(*) FROM ledger WHERE name LIKE '%globex%';                                     -- = 0
SELECT own_orders();                                                                        -- = 20
SELECT count(*) FROM notices;                                                               -- = 1
WITH RECURSIVE r AS (SELECT * FROM papers UNION ALL SELECT p.* FROM papers p, r WHERE false) SELECT count(*) FROM r;  -- = 2

-- case: partitions-and-children
-- hope: a parent's policy does not cover direct access to its parts
SELECT count(*) FROM events;                                                                -- = 10
SELECT count(*) FROM events_early;                                                          -- = 4
SELECT count(*) FROM ONLY events;                                                           -- = 0
SELECT count(*) FROM events_late WHERE tenant_id = '{globex}';                              -- = 0
SELECT count(*) FROM contracts;                                                             -- = 1
SELECT count(*) FROM ONLY papers;                                                           -- = 1
SELECT count(*) FROM papers*;                                                               -- = 2
UPDATE events SET day = 150 WHERE day = 20 AND tenant_id = '{globex}';                      -- ok
INSERT INTO events_late VALUES ('{globex}', 500, 'acme');                                   -- 42501
INSERT INTO contracts VALUES ('{globex}', 'acme');                                          -- 42501
DELETE FROM events_early WHERE tenant_id <> '{acme}';                                       -- ok
UPDATE ONLY papers SET title = 'acme' WHERE tenant_id = '{globex}';                         -- ok
INSERT INTO events_early VALUES ('{acme}', 500, 'acme');                                    -- 23514

-- case: system-columns
-- hope: by its address a row is found without the filter
SELECT count(*) FROM orders WHERE ctid >= '(0,0)';                                          -- = 20
SELECT count(*) FROM orders WHERE ctid = ANY (SELECT format('(%s,%s)', p, n)::tid FROM generate_series(0, 30) p, generate_series(1, 300) n);  -- = 20
SELECT count(*) FROM orders WHERE xmin IS NOT NULL AND tableoid = 'orders'::regclass;       -- = 20
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM orders FOR UPDATE;                                       -- ok
MOVE FORWARD 20 FROM c;                                                                     -- ok
UPDATE orders SET tenant_id = '{globex}' WHERE CURRENT OF c;                                -- 42501
ROLLBACK;

-- case: samples
-- hope: a sample is taken before the filter
SELECT count(*) FROM orders TABLESAMPLE SYSTEM (100);                                       -- = 20
SELECT count(*) FROM orders TABLESAMPLE BERNOULLI (100) REPEATABLE (1);                     -- = 20
SELECT count(*) FROM events TABLESAMPLE SYSTEM (100) WHERE tenant_id = '{globex}';          -- = 0

-- case: leaky-functions
-- area: functions
-- hope: a cheap function of one's own sees the rows before the policy does
-- under: standard
CREATE FUNCTION pg_temp.peek(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN RAISE NOTICE '%', $1; RETURN true; END $$;
SELECT count(*) FROM orders WHERE pg_temp.peek(item);                                       -- = 20
SELECT count(*) FROM ledger WHERE pg_temp.peek(name);                                       -- = 10
SELECT count(*) FROM orders o JOIN accounts a ON pg_temp.peek(a.name) AND pg_temp.peek(o.item);  -- ok
SELECT count(*) FROM orders GROUP BY pg_temp.peek(item) HAVING pg_temp.peek(min(item));     -- = 20
UPDATE orders SET item = item WHERE pg_temp.peek(item);                                     -- ok
DELETE FROM orders WHERE NOT pg_temp.peek(item);                                            -- ok
CREATE FUNCTION pg_temp.sure(text) RETURNS boolean LANGUAGE sql LEAKPROOF AS 'SELECT true'; -- 42501
CREATE OPERATOR pg_temp.~~~ (LEFTARG = text, RIGHTARG = text, FUNCTION = texteq, RESTRICT = eqsel);
SELECT count(*) FROM orders WHERE item OPERATOR(pg_temp.~~~) 'globex 1';                    -- = 0

-- case: errors-that-tell
-- area: covert channels
-- hope: a cast fails on a row that the policy would have hidden, and names it
SELECT item::integer FROM orders WHERE tenant_id = '{globex}';                              -- ok
SELECT count(*) FROM orders WHERE item::integer > 0;                                        -- 22P02
SELECT count(*) FROM orders WHERE 1 / (CASE WHEN item LIKE 'globex%' THEN 0 ELSE 1 END) > 0;  -- = 20
SELECT count(*) FROM accounts WHERE (details->>'secret')::integer > 0 AND tenant_id = '{globex}';  -- = 0
SELECT count(*) FROM accounts WHERE 1 / (balance - 100 * id) > 0 AND name LIKE 'globex%';   -- = 0
SELECT xmlparse(document item) FROM orders WHERE item LIKE 'globex%';                       -- ok
SELECT item::date, item::inet, item::jsonb FROM orders WHERE NOT tenant_id = '{acme}';      -- ok
SELECT count(*) FROM orders WHERE numeric_send(length(item)) IS NULL OR cash_words(length(item)::text::money) LIKE 'x%';  -- ok

-- case: writing-for-others
-- area: context
-- hope: rows with another tenant's name, or others' rows with one's own
INSERT INTO orders VALUES ('{globex}', 900, 'acme');                                        -- 42501
INSERT INTO orders (id, item) VALUES (901, 'acme');                                         -- ok
INSERT INTO orders SELECT '{globex}', id + 1000, item FROM orders;                          -- 42501
UPDATE orders SET tenant_id = '{globex}';                                                   -- 42501
UPDATE orders SET tenant_id = '{acme}' WHERE tenant_id = '{globex}';                        -- ok
UPDATE orders a SET item = b.item FROM orders b WHERE b.tenant_id = '{globex}';             -- ok
DELETE FROM orders WHERE tenant_id = '{globex}';                                            -- ok
DELETE FROM orders USING accounts WHERE accounts.name LIKE 'globex%';                       -- ok
INSERT INTO tickets VALUES (103, 900, 'acme');                                              -- 42501
UPDATE tickets SET account = 103;                                                           -- 42501
INSERT INTO notices VALUES ('{globex}', 'acme');                                            -- 42501
INSERT INTO accounts (tenant_id, name) VALUES (NULL, 'acme');                               -- 42501
WITH w AS (INSERT INTO orders VALUES ('{globex}', 902, 'acme') RETURNING *) SELECT * FROM w;  -- 42501

-- case: writing-and-reading-in-one
-- hope: RETURNING, ON CONFLICT and MERGE look at rows that SELECT does not
UPDATE orders SET item = 'acme' WHERE id = 1 RETURNING *;                                   -- ok
INSERT INTO orders VALUES ('{globex}', 1, 'acme') ON CONFLICT DO NOTHING;                   -- 42501
INSERT INTO orders VALUES ('{globex}', 1, 'acme') ON CONFLICT (tenant_id, id) DO UPDATE SET item = orders.item RETURNING item;  -- 42501
INSERT INTO orders (id, item) VALUES (1, 'acme') ON CONFLICT (tenant_id, id) DO UPDATE SET tenant_id = '{globex}';  -- 42501
MERGE INTO orders o USING (VALUES ('{globex}'::uuid, 1)) v(t, i) ON o.tenant_id = v.t AND o.id = v.i WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (v.t, v.i, 'acme');  -- 42501
MERGE INTO orders o USING orders p ON o.id = p.id AND p.tenant_id <> o.tenant_id WHEN MATCHED THEN UPDATE SET item = p.item;  -- ok
MERGE INTO orders o USING (VALUES (1)) v(i) ON o.id = v.i WHEN MATCHED THEN UPDATE SET tenant_id = '{globex}';  -- 42501

-- case: unique-keys
-- area: covert channels
-- hope: a key that is taken tells of another tenant's row
INSERT INTO accounts (name) VALUES ('globex account 1');                                    -- ok
INSERT INTO accounts (tenant_id, id, name) VALUES ('{globex}', 1, 'globex account 1');      -- 42501
INSERT INTO orders (id, item) VALUES (20, 'acme');                                          -- 23505
INSERT INTO payments (account_id, id, note) VALUES (1, 1, 'acme');                          -- 23505

-- case: foreign-keys
-- hope: the server checks and cascades without row security
INSERT INTO payments VALUES ('{globex}', 1, 900, 'acme');                                   -- 42501
INSERT INTO payments (account_id, id, note) VALUES (10, 900, 'acme');                       -- ok
INSERT INTO payments (account_id, id, note) VALUES (9999, 900, 'acme');                     -- 23503
DELETE FROM accounts;                                                                       -- ok
UPDATE accounts SET id = id + 100 WHERE tenant_id = '{globex}';                             -- ok

-- case: locking-rows
-- area: context
-- hope: a lock finds rows that a read does not
SELECT count(*) FROM (SELECT 1 FROM orders WHERE tenant_id = '{globex}' FOR UPDATE) x;      -- = 0
SELECT count(*) FROM (SELECT 1 FROM orders FOR UPDATE SKIP LOCKED) x;                       -- = 20
SELECT count(*) FROM (SELECT 1 FROM accounts FOR KEY SHARE NOWAIT) x;                       -- = 10

-- case: copying
-- area: files and large objects
-- hope: COPY reads tables, not queries
COPY orders TO STDOUT;                                                                      -- ok
COPY (SELECT * FROM orders WHERE tenant_id = '{globex}') TO STDOUT;                         -- ok
COPY (DELETE FROM orders WHERE tenant_id = '{globex}' RETURNING *) TO STDOUT;               -- ok
COPY orders FROM STDIN;                                                                     -- 0A000
COPY orders TO '/tmp/bulkhead-attack';                                                      -- 42501
COPY orders TO PROGRAM 'cat';                                                               -- 42501
COPY orders FROM PROGRAM 'id';                                                              -- 42501
COPY orders (item) FROM '/etc/passwd';                                                      -- 42501

-- case: sql-given-as-text
-- area: dynamic SQL
-- hope: functions that run a text run it with other rights
SELECT query_to_xml('SELECT * FROM orders', false, false, '');                              -- ok | 42501
SELECT query_to_xml('SELECT * FROM orders WHERE tenant_id = ''{globex}''', true, false, '');  -- ok | 42501
SELECT table_to_xml('orders', false, false, '');                                            -- ok | 42501
SELECT schema_to_xml('public', false, false, '');                                           -- ok | 42501
SELECT database_to_xml(false, false, '');                                                   -- ok | 42501
SELECT query_to_xml('RESET ALL', false, false, '');                                         -- 0A000 | 42501
SELECT * FROM ts_stat('SELECT to_tsvector(item) FROM orders');                              -- ok | 42501
SELECT ts_rewrite('a'::tsquery, 'SELECT to_tsquery(item), to_tsquery(item) FROM orders WHERE false');  -- ok | 42501
SELECT run('INSERT INTO orders VALUES (''{globex}'', 900, ''acme'')');                      -- 42501

-- case: catalogues-of-values
-- area: catalogue
-- hope: what the planner knows of all tenants' values
SELECT count(*) FROM pg_stats WHERE tablename = 'orders';                                   -- = 0
SELECT count(*) FROM pg_stats WHERE tablename IN ('words', 'words_by_upper');               -- = 0
SELECT count(*) FROM pg_stats_ext WHERE statistics_name LIKE 'words%';                      -- = 0
SELECT count(*) FROM pg_stats_ext_exprs WHERE statistics_name LIKE 'words%';                -- = 0
SELECT count(*) FROM pg_statistic;                                                          -- 42501
SELECT count(*) FROM pg_statistic_ext_data;                                                 -- 42501
SELECT count(*) FROM pg_largeobject;                                                        -- 42501
SELECT count(*) FROM pg_authid;                                                             -- 42501
SELECT count(*) FROM pg_user_mapping;                                                       -- 42501
SELECT subconninfo FROM pg_subscription;                                                    -- 42501
SELECT count(*) FROM pg_file_settings;                                                      -- 42501
SELECT count(*) FROM pg_hba_file_rules;                                                     -- 42501

-- case: writing-catalogues
-- hope: the catalogues are tables
UPDATE pg_class SET relrowsecurity = false WHERE relname = 'orders';                        -- 42501
DELETE FROM pg_policy;                                                                      -- 42501
UPDATE pg_authid SET rolsuper = true;                                                       -- 42501
INSERT INTO pg_auth_members SELECT * FROM pg_auth_members LIMIT 1;                          -- 42501
INSERT INTO pg_db_role_setting VALUES (0, 0, ARRAY['row_security=off']);                    -- 42501
UPDATE pg_proc SET proleakproof = true;                                                     -- 42501
UPDATE pg_index SET indisvalid = false;                                                     -- 42501
INSERT INTO bulkhead.protection SELECT 'orders'::regclass, 'id', false, false, NULL, '{}';  -- 42501

-- case: views-of-ones-own
-- area: views, triggers and rules
-- hope: a view asks with its owner's rights, so with whose policy?
-- under: standard
CREATE TEMP VIEW v AS SELECT * FROM orders;                                                 -- ok
SELECT count(*) FROM v;                                                                     -- = 20
CREATE TEMP VIEW barrier WITH (security_barrier = false, check_option = local) AS SELECT * FROM orders WHERE id > 0;  -- ok
INSERT INTO barrier VALUES ('{globex}', 900, 'acme');                                       -- 42501
UPDATE barrier SET tenant_id = '{globex}';                                                  -- 42501
CREATE TEMP TABLE t (x integer);                                                            -- ok
CREATE RULE r AS ON INSERT TO t DO ALSO INSERT INTO orders VALUES ('{globex}', 901, 'acme');  -- ok
INSERT INTO t VALUES (1);                                                                   -- 42501?
CREATE RULE s AS ON UPDATE TO t DO INSTEAD DELETE FROM orders WHERE tenant_id = '{globex}'; -- ok
UPDATE t SET x = 2;                                                                         -- ok
CREATE FUNCTION pg_temp.f() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN UPDATE public.orders SET tenant_id = '{globex}'; RETURN NULL; END $$;  -- ok
CREATE TRIGGER g AFTER DELETE ON t FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.f();         -- ok
DELETE FROM t;                                                                              -- 42501?

-- case: defaults-and-generated-columns
-- hope: an expression that is evaluated somewhere else
-- under: standard
CREATE FUNCTION pg_temp.f(uuid) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (SELECT string_agg(item, ',') FROM public.orders WHERE tenant_id = $1); END $$;
CREATE TEMP TABLE t (a uuid DEFAULT '{globex}', b text GENERATED ALWAYS AS (pg_temp.f(a)) STORED, c bigint DEFAULT own_orders(), CHECK (coalesce(length(pg_temp.f(a)), 0) = 0));  -- ok
INSERT INTO t DEFAULT VALUES RETURNING *;                                                   -- ok
SELECT count(*) FROM t WHERE b IS NOT NULL OR c <> 20;                                      -- = 0
CREATE INDEX ON t ((pg_temp.f(a))) WHERE pg_temp.f(a) IS NULL;                              -- ok
CREATE DOMAIN pg_temp.d AS uuid CHECK (pg_temp.f(VALUE) IS NULL);                           -- ok
SELECT '{globex}'::pg_temp.d;                                                               -- ok
ANALYZE t;                                                                                  -- ok

-- case: toast
-- area: catalogue
-- hope: long values are kept in a table without row security
SELECT run('SELECT * FROM pg_toast.pg_toast_' || 'orders'::regclass::oid);                  -- 42501
SELECT count(*) FROM pg_class WHERE relnamespace = 'pg_toast'::regnamespace AND has_table_privilege(oid, 'SELECT') AND relname = 'pg_toast_' || 'orders'::regclass::oid;  -- = 0

-- case: a-later-partition
-- area: DDL
-- hope: a partition that came after protect() is not protected
-- before: CREATE TABLE events_new PARTITION OF events FOR VALUES FROM (1000) TO (2000); ALTER TABLE events_new OWNER TO shop_owner; INSERT INTO events VALUES ('{globex}', 1500, 'globex secret'); GRANT ALL ON events_new TO shop_owner
-- after: DROP TABLE events_new
SELECT count(*) FROM events WHERE day = 1500;                                               -- = 0
SELECT count(*) FROM events_new;                                                            -- 42501

-- case: concurrent-update
-- area: context
-- hope: a row that changes under a waiting statement is looked at again without the policy
-- pool: 3
-- after: UPDATE orders SET item = replace(item, ' touched', '') WHERE tenant_id = '{globex}'
\as globex
BEGIN;
UPDATE orders SET item = item || ' touched' WHERE id = 1;                                   -- ok
\as acme
SET lock_timeout = '100ms';
UPDATE orders SET item = 'acme' WHERE id = 1;                                               -- ok
SELECT count(*) FROM orders WHERE id = 1;                                                   -- = 1
SELECT count(*) FROM (SELECT 1 FROM orders WHERE id = 1 FOR UPDATE) x;                      -- = 1
\as globex
COMMIT;                                                                                     -- ok
