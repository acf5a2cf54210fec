-- More that acme leaves behind.

-- case: everything-deallocated
-- area: left-overs
-- hope: DEALLOCATE ALL takes away statements that Bulkhead believes to be there
PREPARE s AS SELECT 1;
DEALLOCATE ALL;
EXECUTE s;                                                                                  -- 26000
\leave
\as globex
SELECT count(*) FROM orders;                                                                -- = 20!
\as acme
DEALLOCATE PREPARE ALL;
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: parts-discarded
-- hope: a part is discarded, and Bulkhead believes that all was, or nothing
CREATE TEMP TABLE t (x integer);
SET work_mem = '77MB';
PREPARE s AS SELECT 1;
DISCARD TEMP;
DISCARD SEQUENCES;
DISCARD PLANS;
CLOSE ALL;
UNLISTEN *;
SHOW work_mem;                                                                              -- = 77MB
\leave
\as globex
SHOW work_mem;                                                                              -- = 4MB!

-- case: many-settings-left
-- hope: settings of odd names or long values are not put back
SET app.word = '{times 100000 x}';
SET "app.Odd" = 'x';
SET app.a.b.c = 'x';
SET "app"."quoted" = 'y';
SET app._x1$ = '''; RESET ALL; --';
SET extra_float_digits = 0;
SET IntervalStyle = 'iso_8601';
SET bytea_output = 'escape';
SET xmloption = 'document';
SET gin_pending_list_limit = '1MB';
SET lock_timeout = '1s';
SET idle_in_transaction_session_timeout = '1h';
SET default_table_access_method = 'heap';
SET timezone_abbreviations = 'India';
SET vacuum_cost_delay = 50;
SET enable_seqscan = off;
SET constraint_exclusion = on;
SET check_function_bodies = off;
SET parallel_setup_cost = 0;
SET cursor_tuple_fraction = 1;
SET tcp_keepalives_idle = 1;
SET tcp_user_timeout = 1;

-- case: settings-left-by-a-transaction
-- hope: LOCAL settings, and those of a savepoint, outlive what they belong to
BEGIN;
SET LOCAL work_mem = '77MB';
SAVEPOINT a;
SET work_mem = '78MB';
ROLLBACK TO a;
RELEASE a;
COMMIT;
SHOW work_mem;                                                                              -- = 4MB!
BEGIN;
SET work_mem = '79MB';
ROLLBACK;
SHOW work_mem;                                                                              -- = 4MB!
BEGIN;
SET LOCAL work_mem = '80MB';
SELECT 1 / 0;

-- case: cursors-left
-- hope: a holdable cursor, or many, are there for the next client
DECLARE a CURSOR WITH HOLD FOR SELECT item FROM orders;
DECLARE "b;c" SCROLL CURSOR WITH HOLD FOR SELECT item FROM orders;
BEGIN; DECLARE c BINARY CURSOR WITH HOLD FOR SELECT item FROM orders; COMMIT;
FETCH 1 FROM a;
\leave
\as globex
FETCH ALL FROM a;                                                                           -- 34000
MOVE 1 FROM "b;c";                                                                          -- 34000
FETCH ALL FROM c;                                                                           -- 34000

-- case: listening-left-by-a-transaction
-- hope: LISTEN takes effect at a commit that comes late
BEGIN;
LISTEN news;
SAVEPOINT a;
LISTEN other;
COMMIT;
\leave
\as globex
SELECT count(*) FROM pg_listening_channels();                                               -- = 0

-- case: temporary-objects-left-by-a-transaction
-- hope: what is made in a transaction that ends with the connection stays
-- under: standard
BEGIN;
CREATE TEMP TABLE orders AS SELECT * FROM public.orders;
CREATE TEMP SEQUENCE tally;
SELECT nextval('pg_temp.tally');
SAVEPOINT a;
CREATE TEMP TABLE accounts (x integer) ON COMMIT DROP;
RELEASE a;

-- case: statements-left-in-a-block
-- hope: PREPARE is not undone by a rollback
BEGIN;
PREPARE spy AS SELECT 'acme';
ROLLBACK;
EXECUTE spy;
\leave
\as globex
EXECUTE spy;                                                                                -- 26000

-- case: a-lock-in-every-mode-left
-- hope: locks are kept where the transaction is not seen to have ended
BEGIN; LOCK TABLE orders IN ROW SHARE MODE; LOCK TABLE accounts IN SHARE ROW EXCLUSIVE MODE;
SAVEPOINT a; SELECT count(*) FROM (SELECT 1 FROM payments FOR UPDATE) x;
ROLLBACK TO a; COMMIT AND CHAIN;
LOCK TABLE events, papers IN EXCLUSIVE MODE NOWAIT;
\leave
\as globex
SET lock_timeout = '2s';
UPDATE accounts SET name = name;                                                            -- ok!
SELECT count(*) FROM orders;                                                                -- = 20!
