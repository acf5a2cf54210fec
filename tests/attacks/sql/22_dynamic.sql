-- SQL that is put together where it runs.

-- case: do-spelled-otherwise
-- area: dynamic SQL
-- hope: a block that does not look like one
DO LANGUAGE plpgsql 'BEGIN PERFORM set_config(''{context}'', ''{globex_hex},'', false); END';  -- 42501
DO $a$ BEGIN EXECUTE $b$ SET {context} = '{globex_hex},' $b$; END $a$ LANGUAGE "plpgsql";   -- 42501
DO E'BEGIN EXECUTE \'SET {context} = \'\'{globex_hex},\'\'\'; END';                         -- 42501
/* x */ do $x$begin execute convert_from('\x5245534554', 'UTF8') || ' ALL'; perform set_config('{context}', '{globex_hex},', false); end$x$;  -- 42501
DO LANGUAGE sql 'SELECT 1';                                                                 -- 0A000
DO LANGUAGE plpython3u 'x';                                                                 -- 42704
DO LANGUAGE internal 'x';                                                                   -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: do-that-catches
-- hope: an error that is caught is no error, and what came before it stays
DO $$ BEGIN SET LOCAL {context} = '{globex_hex},'; EXCEPTION WHEN OTHERS THEN NULL; END $$;
DO $$ BEGIN BEGIN EXECUTE 'SET ROLE shop_owner'; EXCEPTION WHEN OTHERS THEN NULL; END; EXECUTE 'RESET ROLE'; END $$;
DO $$ BEGIN FOR i IN 1..3 LOOP BEGIN PERFORM set_config('{context}', '{globex_hex},', i = 2); EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END $$;
SELECT count(*) FROM orders WHERE tenant_id = '{globex}';                                   -- = 0!
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: do-that-commits
-- hope: a transaction that ends inside a block takes the seal off, or leaves one on
DO $$ BEGIN COMMIT; EXECUTE 'SET LOCAL work_mem = ''77MB'''; ROLLBACK; PERFORM set_config('app.word', 'x', false); COMMIT; END $$;
DO $$ BEGIN FOR i IN 1..3 LOOP PERFORM count(*) FROM orders; COMMIT; EXECUTE 'RESET work_mem'; ROLLBACK; END LOOP; END $$;
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: do-with-a-cursor
-- hope: a cursor that outlives its block, with rows of another context
BEGIN;
DO $$ DECLARE c refcursor := 'spied'; BEGIN OPEN c FOR SELECT item FROM orders; END $$;
FETCH ALL FROM spied;
COMMIT;
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: text-run-by-an-application
-- hope: the application has a function that runs a text, and the context is set in it
-- residue-unhardened: what the body of an application's function does is not seen; a text that it runs, still less
SELECT run('SET {context} = ''{globex_hex},''');                                            -- 42501
SELECT item FROM orders;
SELECT run('SELECT bulkhead.enter(''default'', ''{globex_hex}'', '''', ''1800000000000'', repeat(''0'', 64))');  -- 42501
SELECT item FROM orders;
SELECT run('SELECT set_config(''{context}'', ''{globex_hex},'', false)');                   -- 42501
SELECT item FROM orders;
SELECT run($$DO 'BEGIN PERFORM set_config(''{context}'', ''{globex_hex},'', false); END'$$);  -- 42501
SELECT item FROM orders;

-- case: xml-of-queries
-- hope: one of the ways to write a query as XML was forgotten
SELECT query_to_xml('SELECT set_config(''{context}'', ''{globex_hex},'', false)', false, false, '');  -- 42501
SELECT pg_catalog.query_to_xml('SELECT set_config(''{context}'', ''{globex_hex},'', false)', false, false, '');  -- 42501
SELECT query_to_xml_and_xmlschema('SELECT set_config(''{context}'', ''{globex_hex},'', false)', false, false, '');  -- 42501
SELECT query_to_xmlschema('SELECT * FROM orders', false, false, '');                        -- ok | 42501 | 42501
SELECT * FROM query_to_xml('SELECT set_config(''{context}'', ''{globex_hex},'', false)', true, true, '') x;  -- 42501
SELECT U&"query\005fto\005fxml"('SELECT set_config(''{context}'', ''{globex_hex},'', false)', false, false, '');  -- 42501
SELECT table_to_xml('bulkhead.signing_key', false, false, '');                              -- 42501
SELECT table_to_xml_and_xmlschema('pg_authid', false, false, '');                           -- 42501
SELECT table_to_xmlschema('orders', false, false, '');                                      -- ok | 42501 | 42501
SELECT schema_to_xml('bulkhead_control', false, false, '');
SELECT schema_to_xml_and_xmlschema('public', false, false, '');                             -- ok | 42501 | 42501
SELECT database_to_xml_and_xmlschema(false, false, '');                                     -- ok | 42501 | 42501
SELECT database_to_xmlschema(false, false, '');                                             -- ok | 42501 | 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: xml-of-a-cursor
-- hope: a cursor's query is run by a function
BEGIN;
DECLARE c CURSOR FOR SELECT item FROM orders;
SELECT cursor_to_xml('c', 100, false, false, '');                                           -- ok | 42501 | 42501
SELECT cursor_to_xmlschema('c', false, false, '');
ROLLBACK;
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: words-of-a-query
-- hope: text search runs queries too
SELECT * FROM ts_stat('SELECT to_tsvector(set_config(''{context}'', ''{globex_hex},'', false))');  -- 42501
SELECT * FROM ts_stat('SELECT to_tsvector(item) FROM orders WHERE tenant_id <> ''{acme}''', 'a');  -- ok | 42501 | 42501
SELECT ts_rewrite('a'::tsquery, 'SELECT ''a''::tsquery, set_config(''{context}'', ''{globex_hex},'', false)::tsquery');  -- 42501
SELECT ts_rewrite('a & b'::tsquery, ('SELECT t, s FROM ' || '(SELECT ''a''::tsquery, set_config(''{context}'', ''{globex_hex},'', false)::tsquery) x (t, s)')::text);  -- 42501
SELECT pg_catalog.ts_rewrite('a'::tsquery, item) FROM orders;                               -- 42601 | 42501 | 42501
SELECT ts_rewrite('a & b'::tsquery, 'a'::tsquery, 'c'::tsquery);                            -- ok
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: tables-made-of-queries
-- hope: functions of extensions run queries as well
SELECT * FROM crosstab('SELECT ''a'', ''b'', set_config(''{context}'', ''{globex_hex},'', false)') AS t (a text, b text);  -- 42501
SELECT * FROM crosstab2('SELECT ''a'', ''b'', set_config(''{context}'', ''{globex_hex},'', false)');  -- 42501
SELECT * FROM crosstab('SELECT ''a'', ''b'', ''c''', 'SELECT set_config(''{context}'', ''{globex_hex},'', false)') AS t (a text, b text);  -- 42501
SELECT * FROM connectby('(SELECT set_config(''{context}'', ''{globex_hex},'', false) AS a, ''x'' AS b) s', 'a', 'b', 'x', 0) AS t (a text, b text, level integer);  -- 42501
SELECT * FROM xpath_table('id', 'item', 'orders', '/a', 'set_config(''{context}'', ''{globex_hex},'', false) <> ''''') AS t (id bigint, x text);  -- 42501
SELECT xslt_process('<a/>', '<x:stylesheet version="1.0" xmlns:x="http://www.w3.org/1999/XSL/Transform"><x:template match="/"><x:copy-of select="document(''/etc/passwd'')"/></x:template></x:stylesheet>');
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: execute-of-a-statement-that-changed
-- hope: a prepared statement is judged once, and is another one later
PREPARE s AS SELECT 1;
EXECUTE s;
DEALLOCATE s;
PREPARE s AS SELECT set_config('{context}', '{globex_hex},', false);
EXECUTE s;                                                                                  -- 42501
EXPLAIN ANALYZE EXECUTE s;                                                                  -- 42501
CREATE TEMP TABLE t AS EXECUTE s;                                                           -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!
