-- Files of the server, programs on it, and large objects.

-- case: copy-in-all-its-forms
-- area: files and large objects
-- hope: an old or rare form of COPY is not known
COPY orders TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE *);                                  -- ok
COPY orders TO STDOUT (FORMAT binary);                                                      -- ok
COPY BINARY orders TO STDOUT;                                                               -- ok
COPY orders TO STDOUT WITH DELIMITER ';' NULL 'x';                                          -- ok
COPY orders TO STDOUT USING DELIMITERS ';';                                                 -- ok
COPY (TABLE orders) TO STDOUT;                                                              -- ok
COPY (WITH d AS (DELETE FROM orders WHERE tenant_id = '{globex}' RETURNING *) SELECT * FROM d) TO STDOUT;  -- ok
COPY (INSERT INTO orders VALUES ('{globex}', 900, 'acme') RETURNING *) TO STDOUT;           -- 42501
COPY (UPDATE orders SET tenant_id = '{globex}' RETURNING *) TO STDOUT;                      -- 42501
COPY papers TO STDOUT;                                                                      -- ok
COPY events_early TO STDOUT;                                                                -- ok
COPY events TO STDOUT;                                                                      -- ok
COPY ledger TO STDOUT;                                                                      -- 42809
COPY bulkhead_control.tenant TO STDOUT;                                                     -- 42501
COPY pg_authid TO STDOUT;                                                                   -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: copy-from-in-all-its-forms
-- hope: COPY FROM writes rows past the policy
COPY orders (id, item) FROM STDIN;                                                          -- 0A000
COPY orders FROM STDIN (FORMAT csv, FREEZE);                                                -- 0A000
COPY events FROM STDIN;                                                                     -- 0A000
COPY events_early FROM STDIN;                                                               -- 0A000
COPY order_items FROM STDIN;                                                                -- 42809 | 42809
COPY tickets FROM STDIN WHERE account = 103;                                                -- 0A000
COPY bulkhead.revoked_tenant FROM STDIN;                                                    -- 42501
COPY pg_class FROM STDIN;                                                                   -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: files-in-all-their-forms
-- hope: a file is named where nobody looks
COPY (SELECT 1) TO '/tmp/bulkhead-attack';                                                  -- 42501
COPY (SELECT 1) TO PROGRAM 'id';                                                            -- 42501
COPY orders TO E'/tmp/bulkhead\055attack';                                                  -- 42501
COPY orders TO '/tmp/bulkhead-attack' (FORMAT binary);                                      -- 42501
COPY BINARY orders FROM '/etc/passwd';                                                      -- 42501
COPY pg_temp.t FROM '/etc/passwd';                                                          -- 42501
SELECT pg_read_file('PG_VERSION', 0, 10);                                                   -- 42501
SELECT pg_read_file('/etc/passwd', 0, 100, true);                                           -- 42501
SELECT * FROM pg_read_file('base/1/PG_VERSION') x;                                          -- 42501
SELECT pg_catalog.pg_read_binary_file('/etc/passwd', 0, 100, true);                         -- 42501
SELECT * FROM pg_ls_dir('/', true, true);                                                   -- 42501
SELECT (pg_stat_file('/etc/passwd')).size;                                                  -- 42501
SELECT count(*) FROM pg_ls_logicalsnapdir();                                                -- 42501
SELECT count(*) FROM pg_hba_file_rules();                                                   -- 42501
SELECT count(*) FROM pg_ident_file_mappings;                                                -- 42501
SELECT count(*) FROM pg_show_all_file_settings();                                           -- 42501
SELECT count(*) FROM pg_config;                                                             -- 42501
SELECT xmlparse(DOCUMENT '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>');
SELECT xpath('/a', '<!DOCTYPE a [<!ENTITY b SYSTEM "/etc/passwd">]><a>&b;</a>');
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: foreign-data
-- hope: a foreign table is a file, or another login's connection
CREATE EXTENSION file_fdw;                                                                  -- 42501
CREATE EXTENSION IF NOT EXISTS postgres_fdw;                                                -- 42501
CREATE FOREIGN DATA WRAPPER w;                                                              -- 42501
CREATE SERVER s FOREIGN DATA WRAPPER dblink_fdw OPTIONS (dbname 'shop');                    -- 42501
CREATE FOREIGN TABLE f (x text) SERVER s OPTIONS (filename '/etc/passwd');                  -- 42501
IMPORT FOREIGN SCHEMA public FROM SERVER s INTO public;                                     -- 42704 | 42704 | 42501
CREATE USER MAPPING FOR PUBLIC SERVER s OPTIONS (user 'postgres');                          -- 42704 | 42704 | 42501
ALTER SERVER s OPTIONS (SET dbname 'postgres');                                             -- 42704 | 42704 | 42501
SELECT count(*) FROM pg_foreign_server;                                                     -- = 0
SELECT dblink_fdw_validator(ARRAY['dbname=shop'], 'pg_foreign_server'::regclass);
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: settings-that-name-files
-- hope: a setting is a path or a library
SET log_directory = '/tmp';                                                                 -- 55P02
SET data_directory = '/tmp';                                                                -- 55P02
SET archive_command = 'id';                                                                 -- 55P02
SET temp_tablespaces = 'x';
SET default_tablespace = 'x';
SET log_destination = 'csvlog';                                                             -- 55P02
SET local_preload_libraries = '$libdir/plugins/x';
SET shared_preload_libraries = 'x';                                                         -- 55P02
SET default_text_search_config = 'x';
SET lc_messages = '/tmp';                                                                   -- 42501
SHOW data_directory;                                                                        -- 42501
SHOW hba_file;                                                                              -- 42501
SELECT current_setting('config_file');                                                      -- 42501
SELECT current_setting('unix_socket_directories', true);                                    -- 42501
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: large-objects-in-all-their-forms
-- hope: one of the functions was forgotten
SELECT lo_creat(-1);                                                                        -- 42501
SELECT lo_put(1, 0, 'acme');                                                                -- 42501
SELECT lo_truncate64(0, 0);                                                                 -- 42501
SELECT lo_lseek64(0, 0, 0);                                                                 -- 42501
SELECT lo_tell(0);                                                                          -- 42501
SELECT lo_close(0);                                                                         -- 42501
SELECT lo_from_bytea(4712, 'acme');                                                         -- 42501
SELECT lo_import('/etc/passwd', 4712);                                                      -- 42501
SELECT pg_catalog."lo_get"(4711, 0, 10);                                                    -- 42501
SELECT U&"lo\005fexport"(1, '/tmp/x');                                                      -- 42501
GRANT SELECT ON LARGE OBJECT 4711 TO PUBLIC;                                                -- 42704 | 42704 | 42501
COMMENT ON LARGE OBJECT 4711 IS 'acme';                                                     -- 42704 | 42704 | 42501
SET lo_compat_privileges = on;                                                              -- 42501
SELECT count(*) FROM pg_largeobject_metadata;                                               -- = 0
SELECT count(*) FROM orders;                                                                -- = 20!
