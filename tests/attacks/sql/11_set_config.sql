-- set_config and SET where nobody looks for them: in every clause, statement and spelling that the grammar has.

-- case: set-config-in-every-clause
-- area: context
-- hope: a function is looked for in the list of what is selected only
SELECT 1 FROM set_config('{context}', '{globex_hex},', false);                              -- 42501
SELECT * FROM ROWS FROM (set_config('{context}', '{globex_hex},', false), generate_series(1, 2)) AS x;  -- 42501
SELECT 1 FROM orders o, LATERAL set_config('{context}', '{globex_hex},', o.id = 0) s;       -- 42501
SELECT 1 WHERE set_config('{context}', '{globex_hex},', false) IS NOT NULL;                 -- 42501
SELECT 1 ORDER BY set_config('{context}', '{globex_hex},', false);                          -- 42501
SELECT count(*) FROM orders GROUP BY set_config('{context}', '{globex_hex},', false);       -- 42501
SELECT count(*) FROM orders HAVING set_config('{context}', '{globex_hex},', false) <> '';   -- 42501
SELECT count(*) FROM orders LIMIT length(set_config('{context}', '{globex_hex},', false));  -- 42501
SELECT count(*) FROM orders OFFSET length(set_config('{context}', '{globex_hex},', false)); -- 42501
SELECT 1 FROM orders FETCH FIRST (length(set_config('{context}', '{globex_hex},', false))) ROWS ONLY;  -- 42501
SELECT count(*) FILTER (WHERE set_config('{context}', '{globex_hex},', false) <> '') FROM orders;  -- 42501
SELECT string_agg(item, ',' ORDER BY set_config('{context}', '{globex_hex},', false)) FROM orders;  -- 42501
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY set_config('{context}', '{globex_hex},', false)) FROM orders;  -- 42501
SELECT sum(id) OVER (ORDER BY id ROWS length(set_config('{context}', '{globex_hex},', false)) PRECEDING) FROM orders;  -- 42501
SELECT sum(id) OVER (PARTITION BY set_config('{context}', '{globex_hex},', false)) FROM orders;  -- 42501
SELECT DISTINCT ON (set_config('{context}', '{globex_hex},', false)) item FROM orders;      -- 42501
SELECT count(*) FROM orders TABLESAMPLE BERNOULLI (length(set_config('{context}', '{globex_hex},', false)));  -- 42501
SELECT count(*) FROM orders a JOIN orders b ON set_config('{context}', '{globex_hex},', false) <> '';  -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: set-config-in-every-expression
-- area: context
-- hope: one kind of node is not walked into
SELECT CASE WHEN true THEN set_config('{context}', '{globex_hex},', false) END;             -- 42501
SELECT CASE set_config('{context}', '{globex_hex},', false) WHEN 'x' THEN 1 ELSE 2 END;     -- 42501
SELECT coalesce(NULL, set_config('{context}', '{globex_hex},', false));                     -- 42501
SELECT greatest('', set_config('{context}', '{globex_hex},', false));                       -- 42501
SELECT nullif(set_config('{context}', '{globex_hex},', false), '');                         -- 42501
SELECT ARRAY[set_config('{context}', '{globex_hex},', false)];                              -- 42501
SELECT ARRAY(SELECT set_config('{context}', '{globex_hex},', false));                       -- 42501
SELECT ROW(1, set_config('{context}', '{globex_hex},', false));                             -- 42501
SELECT (ARRAY[1, 2])[length(set_config('{context}', '{globex_hex},', false))];              -- 42501
SELECT 'x' IN ('y', set_config('{context}', '{globex_hex},', false));                       -- 42501
SELECT 'x' BETWEEN 'a' AND set_config('{context}', '{globex_hex},', false);                 -- 42501
SELECT 'x' LIKE set_config('{context}', '{globex_hex},', false) ESCAPE '!';                 -- 42501
SELECT 'x' = ANY (ARRAY[set_config('{context}', '{globex_hex},', false)]);                  -- 42501
SELECT EXISTS (SELECT set_config('{context}', '{globex_hex},', false) OFFSET 0);            -- 42501 | 42501
SELECT set_config('{context}', '{globex_hex},', false) IS DISTINCT FROM 'x';                -- 42501
SELECT set_config('{context}', '{globex_hex},', false) COLLATE "C" < 'x';                   -- 42501
SELECT length(set_config('{context}', '{globex_hex},', false))::int4;                       -- 42501
SELECT xmlelement(name x, xmlattributes(set_config('{context}', '{globex_hex},', false) AS y));  -- 42501
SELECT xmlforest(set_config('{context}', '{globex_hex},', false) AS x);                     -- 42501
SELECT * FROM xmltable('/a' PASSING xml '<a/>' COLUMNS x text DEFAULT set_config('{context}', '{globex_hex},', false));  -- 42501
SELECT extract(epoch FROM now()), overlay('abc' PLACING set_config('{context}', '{globex_hex},', false) FROM 1);  -- 42501
SELECT trim(BOTH set_config('{context}', '{globex_hex},', false) FROM 'x');                 -- 42501
SELECT position(set_config('{context}', '{globex_hex},', false) IN 'x');                    -- 42501
SELECT NOT set_config('{context}', '{globex_hex},', false)::boolean;                        -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: set-config-in-writing
-- area: context
-- hope: statements that write are read less closely
INSERT INTO orders (id, item) VALUES (900, set_config('{context}', '{globex_hex},', false));  -- 42501
INSERT INTO orders (id, item) SELECT 900, set_config('{context}', '{globex_hex},', false);  -- 42501
INSERT INTO orders (id, item) VALUES (900, 'acme') RETURNING set_config('{context}', '{globex_hex},', false);  -- 42501
INSERT INTO orders (id, item) VALUES (1, 'acme') ON CONFLICT (tenant_id, id) DO UPDATE SET item = set_config('{context}', '{globex_hex},', false);  -- 42501
INSERT INTO orders (id, item) VALUES (1, 'acme') ON CONFLICT (tenant_id, id) DO UPDATE SET item = 'x' WHERE set_config('{context}', '{globex_hex},', false) <> '';  -- 42501
UPDATE orders SET item = set_config('{context}', '{globex_hex},', false) WHERE id = 1;      -- 42501
UPDATE orders SET (item) = (SELECT set_config('{context}', '{globex_hex},', false)) WHERE id = 1;  -- 42501
UPDATE orders SET item = 'x' FROM set_config('{context}', '{globex_hex},', false) WHERE id = 1;  -- 42501
DELETE FROM orders USING set_config('{context}', '{globex_hex},', false);                   -- 42501
DELETE FROM orders WHERE set_config('{context}', '{globex_hex},', false) = '';              -- 42501
MERGE INTO orders o USING (SELECT 1 AS i) s ON o.id = s.i AND set_config('{context}', '{globex_hex},', false) <> '' WHEN MATCHED THEN DO NOTHING;  -- 42501
MERGE INTO orders o USING (SELECT 900 AS i) s ON o.id = s.i WHEN NOT MATCHED THEN INSERT (id, item) VALUES (900, set_config('{context}', '{globex_hex},', false));  -- 42501
WITH w AS (SELECT set_config('{context}', '{globex_hex},', false) AS x) UPDATE orders SET item = w.x FROM w;  -- 42501
WITH w AS (UPDATE orders SET item = item RETURNING set_config('{context}', '{globex_hex},', false)) SELECT * FROM w;  -- 42501
WITH RECURSIVE r (n, x) AS (SELECT 1, '' UNION ALL SELECT n + 1, set_config('{context}', '{globex_hex},', false) FROM r WHERE n < 3) SELECT * FROM r;  -- 42501
VALUES (set_config('{context}', '{globex_hex},', false));                                   -- 42501
SELECT 1 UNION ALL SELECT length(set_config('{context}', '{globex_hex},', false));          -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: set-config-in-utility-statements
-- area: context
-- hope: a query inside another kind of statement is not looked at
EXPLAIN ANALYZE SELECT set_config('{context}', '{globex_hex},', false);                     -- 42501
EXPLAIN (ANALYZE, FORMAT json) UPDATE orders SET item = set_config('{context}', '{globex_hex},', false);  -- 42501
COPY (SELECT set_config('{context}', '{globex_hex},', false)) TO STDOUT;                    -- 42501
COPY (UPDATE orders SET item = item RETURNING set_config('{context}', '{globex_hex},', false)) TO STDOUT;  -- 42501
DECLARE c CURSOR WITH HOLD FOR SELECT set_config('{context}', '{globex_hex},', false);      -- 42501
PREPARE setting AS SELECT set_config('{context}', '{globex_hex},', false);
EXECUTE setting;                                                                            -- 42501
PREPARE named (text) AS SELECT set_config($1, '{globex_hex},', false);
EXECUTE named('{context}');                                                                 -- 42501
PREPARE plain (text) AS SELECT $1;
EXECUTE plain(set_config('{context}', '{globex_hex},', false));                             -- 42501
CREATE TEMP TABLE t AS SELECT set_config('{context}', '{globex_hex},', false);              -- 42501
SELECT set_config('{context}', '{globex_hex},', false) INTO TEMP t;                         -- 42501
CALL bulkhead.reset_all(ARRAY['work_mem', set_config('{context}', '{globex_hex},', false)]);  -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: set-config-in-a-temporary-table
-- area: context
-- hope: a default, a check or a bound is evaluated later, or at once
-- under: standard
CREATE TEMP TABLE a (x text DEFAULT set_config('{context}', '{globex_hex},', false));
INSERT INTO a DEFAULT VALUES;                                                               -- 42501
CREATE TEMP TABLE b (x text CHECK (set_config('{context}', '{globex_hex},', false) <> ''));
INSERT INTO b VALUES ('x');                                                                 -- 42501
CREATE TEMP TABLE c (x integer);
INSERT INTO c VALUES (1);
ALTER TABLE c ADD COLUMN y text DEFAULT set_config('{context}', '{globex_hex},', false);    -- 42501
ALTER TABLE c ALTER x TYPE text USING set_config('{context}', '{globex_hex},', false);      -- 42501
ALTER TABLE c ADD CHECK (set_config('{context}', '{globex_hex},', false) <> '');            -- 42501
CREATE TEMP TABLE d (x text) PARTITION BY LIST (x);
CREATE TEMP TABLE e PARTITION OF d FOR VALUES IN (set_config('{context}', '{globex_hex},', false));  -- 42501
CREATE TEMP VIEW v AS SELECT set_config('{context}', '{globex_hex},', false);
SELECT * FROM v;                                                                            -- 42501
COPY c FROM STDIN WHERE set_config('{context}', '{globex_hex},', false) <> '';
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: set-config-by-other-names
-- area: encodings and lexer
-- hope: the function's name is compared as it is written
SELECT pg_catalog.set_config('{context}', '{globex_hex},', false);                          -- 42501
SELECT "pg_catalog"."set_config"('{context}', '{globex_hex},', false);                      -- 42501
SELECT PG_Catalog.SET_Config('{context}', '{globex_hex},', false);                          -- 42501
SELECT U&"\0073et_config"('{context}', '{globex_hex},', false);                             -- 42501
SELECT U&"set!005fconfig" UESCAPE '!' ('{context}', '{globex_hex},', false);                -- 42501
SELECT set_config/* */('{context}', '{globex_hex},', false);                                -- 42501
SELECT set_config ('{context}','{globex_hex},',false);                                      -- 42501
SELECT shop.pg_catalog.set_config('{context}', '{globex_hex},', false);                     -- 42501
SELECT set_config(VARIADIC ARRAY['{context}', '{globex_hex},', 'f']);                       -- 42883
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: set-config-with-names-spelled-otherwise
-- area: encodings and lexer
-- hope: the setting's name is compared as it is written
SELECT set_config('{Context}', '{globex_hex},', false);                                     -- 42501
SELECT set_config(U&'{context_unicode}', '{globex_hex},', false);                           -- 42501
SELECT set_config(E'{context_escaped}', '{globex_hex},', false);                            -- 42501
SELECT set_config(E'{context_e_unicode}', '{globex_hex},', false);                          -- 42501
SELECT set_config($a${context}$a$, '{globex_hex},', false);                                 -- 42501
SELECT set_config('{context}'::text, '{globex_hex},', false);                               -- 42501
SELECT set_config(CAST('{context}' AS varchar), '{globex_hex},', false);                    -- 42501
SELECT set_config(text '{context}', '{globex_hex},', false);                                -- 42501
SELECT set_config(('{context}') COLLATE "C", '{globex_hex},', false);                       -- 42501
SELECT set_config('{context_head}'
'{context_tail}', '{globex_hex},', false);                                                  -- 42501
SELECT set_config('{context_head}' || '{context_tail}', '{globex_hex},', false);            -- 42501
SELECT set_config(concat('{context_head}', '{context_tail}'), '{globex_hex},', false);      -- 42501
SELECT set_config(reverse(reverse('{context}')), '{globex_hex},', false);                   -- 42501
SELECT set_config(convert_from('\x{context_hex}', 'UTF8'), '{globex_hex},', false);         -- 42501
SELECT set_config((SELECT '{context}'), '{globex_hex},', false);                            -- 42501
SELECT set_config(CASE WHEN true THEN '{context}' END, '{globex_hex},', false);             -- 42501
SELECT set_config(name, '{globex_hex},', false) FROM (SELECT '{context}') AS s (name);      -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: set-with-names-spelled-otherwise
-- area: encodings and lexer
-- hope: SET's grammar has more ways to write a name than one thinks of
SET SESSION {Context} = '{globex_hex},';                                                    -- 42501
SET LOCAL "{context}" TO '{globex_hex},';                                                   -- 42501
SET U&"{context_unicode_bang}" UESCAPE '!' = '{globex_hex},';                               -- 42501
SET {context} = x, "{globex_hex}";                                                          -- 22023
SET {context} TO "{globex_hex},";                                                           -- 42501
SET {context} = E'{globex_escaped},';                                                       -- 42501
SET {context} = 'x{globex_hex},' ;; SET {context} = '{globex_hex},';                        -- 42501
/* SELECT */ SET {context} = '{globex_hex},';                                               -- 42501
; ; SET {context} = '{globex_hex},';                                                        -- 42501
SELECT 1; SET {context} = '{globex_hex},'; SELECT item FROM orders;                         -- 42501
BEGIN; SET LOCAL {context} = '{globex_hex},'; SELECT item FROM orders; COMMIT;              -- 42501
ROLLBACK;
RESET "{context}";                                                                          -- 42501
RESET {Context};                                                                            -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: settings-of-bulkheads-prefix
-- area: context
-- hope: what chooses a tenant in a startup packet chooses one in SQL
SET bulkhead.tenant = 'globex';
SELECT count(*) FROM orders WHERE item LIKE 'acme %';                                       -- = 20!
SET LOCAL bulkhead.tenant = 'globex';
SELECT set_config('bulkhead.tenant', 'globex', false);
SELECT set_config('bulkhead.tenant_id', '{globex}', false);
SET SESSION "bulkhead.tenant_id" = '{globex}';
SELECT bulkhead.tenant_id();                                                                -- = {acme}!
SELECT bulkhead.tenant_key();                                                               -- = 101!
SELECT count(*) FROM orders WHERE item LIKE 'acme %';                                       -- = 20!
RESET bulkhead.tenant;
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: context-set-behind-a-rollback
-- area: context
-- hope: what a refused statement has begun goes on without it
BEGIN;
SAVEPOINT a;
SET LOCAL {context} = '{globex_hex},';                                                      -- 42501
ROLLBACK TO a;
SELECT count(*) FROM orders;
COMMIT;
SELECT count(*) FROM orders;                                                                -- = 20!
INSERT INTO orders (id, item) VALUES (900, 'acme'); SET {context} = '{globex_hex},'; SELECT 1;  -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!
BEGIN; INSERT INTO orders (id, item) VALUES (901, 'acme'); COMMIT; SET {context} = '{globex_hex},';  -- 42501
SELECT count(*) FROM orders WHERE id < 900;                                                 -- = 20!

-- case: transaction-and-session-characteristics
-- area: context
-- hope: a snapshot, a mode or a time zone of another session's brings its context along
SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ WRITE, DEFERRABLE;
BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '00000003-00000002-1';
ROLLBACK;
SET TIME ZONE INTERVAL '+01:00' HOUR TO MINUTE;
SET TIME ZONE LOCAL;
SET XML OPTION DOCUMENT;
SET SCHEMA 'public';
SET NAMES 'UTF8';
SET SEED TO DEFAULT;
SELECT count(*) FROM orders;                                                                -- = 20!
