-- What is planted under the names of what Bulkhead's own statements call. In the tenant's own place it is found by nobody else,
-- and what Bulkhead says on the tenant's backends must not find it either. A planted thing that runs tells, by an error that
-- no statement of these has, or by a row in `caught`.

-- case: own-functions-of-the-guards-names
-- area: functions
-- as: schema database
-- hope: a function nearer than PostgreSQL's is what Bulkhead calls
CREATE TABLE caught (who text, what text);                                                  -- ok
CREATE FUNCTION set_config(text, text, boolean) RETURNS text LANGUAGE plpgsql AS $$ BEGIN INSERT INTO caught VALUES (current_user, 'set_config'); RETURN $2; END $$;  -- ok
CREATE FUNCTION current_setting(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN INSERT INTO caught VALUES (current_user, 'current_setting'); RETURN ''; END $$;  -- ok
CREATE FUNCTION pg_my_temp_schema() RETURNS oid LANGUAGE plpgsql AS $$ BEGIN INSERT INTO caught VALUES (current_user, 'pg_my_temp_schema'); RETURN 0; END $$;  -- ok
CREATE FUNCTION pg_advisory_unlock_all() RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO caught VALUES (current_user, 'pg_advisory_unlock_all'); END $$;  -- ok
CREATE FUNCTION pg_listening_channels() RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN INSERT INTO caught VALUES (current_user, 'channels'); RETURN NEXT 'x'; END $$;  -- ok
CREATE FUNCTION pg_cursor() RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN INSERT INTO caught VALUES (current_user, 'cursor'); RETURN NEXT 'x'; END $$;  -- ok
CREATE FUNCTION concat_ws(text, text, text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN INSERT INTO caught VALUES (current_user, 'concat_ws'); RETURN ''; END $$;  -- ok
CREATE FUNCTION format(text, name, name) RETURNS text LANGUAGE plpgsql AS $$ BEGIN INSERT INTO caught VALUES (current_user, 'format'); RETURN ''; END $$;  -- ok
CREATE FUNCTION cardinality(text[]) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN INSERT INTO caught VALUES (current_user, 'cardinality'); RETURN 0; END $$;  -- ok
SET search_path = {home}, pg_catalog;                                                       -- ok
PREPARE kept AS SELECT 1;
SELECT 1;
DEALLOCATE kept;
SET work_mem = '5MB';
SELECT 1;
RESET ALL;                                                                                  -- ok
SET search_path = {home}, pg_catalog;                                                       -- ok
DISCARD ALL;                                                                                -- ok
SET search_path = {home}, pg_catalog;                                                       -- ok
CREATE TEMP TABLE t (x integer);
SELECT 1;
\leave
\as {attacker}
SELECT count(*) FROM orders;                                                                -- = 20!
SELECT count(*) FROM caught;                                                                -- = 0

-- case: own-operators-of-the-guards-names
-- area: functions
-- as: schema database
-- hope: an operator that fits better than PostgreSQL's is what Bulkhead compares with
CREATE TABLE caught (what text);                                                            -- ok
CREATE FUNCTION op(name, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO caught VALUES ('name text'); RETURN true; END $$;  -- ok
CREATE FUNCTION op(name, name) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO caught VALUES ('name name'); RETURN true; END $$;  -- ok
CREATE FUNCTION op(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO caught VALUES ('text text'); RETURN true; END $$;  -- ok
CREATE FUNCTION op(oid, oid) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO caught VALUES ('oid oid'); RETURN true; END $$;  -- ok
CREATE FUNCTION op(oid, integer) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO caught VALUES ('oid integer'); RETURN true; END $$;  -- ok
CREATE FUNCTION op(integer, integer) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO caught VALUES ('integer integer'); RETURN true; END $$;  -- ok
CREATE OPERATOR = (FUNCTION = op, LEFTARG = name, RIGHTARG = text);                         -- ok
CREATE OPERATOR = (FUNCTION = op, LEFTARG = name, RIGHTARG = name);                         -- ok
CREATE OPERATOR = (FUNCTION = op, LEFTARG = text, RIGHTARG = text);                         -- ok
CREATE OPERATOR <> (FUNCTION = op, LEFTARG = text, RIGHTARG = text);                        -- ok
CREATE OPERATOR <> (FUNCTION = op, LEFTARG = name, RIGHTARG = name);                        -- ok
CREATE OPERATOR <> (FUNCTION = op, LEFTARG = oid, RIGHTARG = oid);                          -- ok
CREATE OPERATOR = (FUNCTION = op, LEFTARG = oid, RIGHTARG = oid);                           -- ok
CREATE OPERATOR = (FUNCTION = op, LEFTARG = oid, RIGHTARG = integer);                       -- ok
CREATE OPERATOR + (FUNCTION = op, LEFTARG = integer, RIGHTARG = integer);                   -- ok
CREATE OPERATOR & (FUNCTION = op, LEFTARG = integer, RIGHTARG = integer);                   -- ok
CREATE OPERATOR < (FUNCTION = op, LEFTARG = integer, RIGHTARG = integer);                   -- ok
SET search_path = {home}, pg_catalog;                                                       -- ok
LISTEN news;
SET search_path = {home}, pg_catalog;                                                       -- ok
CREATE TEMP TABLE t (x text);
SELECT 1;
PREPARE kept AS SELECT 1;
RESET ALL;                                                                                  -- ok
SET search_path = {home}, pg_catalog;                                                       -- ok
DISCARD ALL;                                                                                -- ok
\leave
\as {attacker}
SELECT count(*) FROM caught;                                                                -- = 0

-- case: own-types-of-the-guards-names
-- area: functions
-- as: schema database
-- hope: a type or a cast nearer than PostgreSQL's is what Bulkhead's values become
CREATE FUNCTION fits(text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE cardinality_violation; END $$;  -- ok
CREATE DOMAIN text AS pg_catalog.text CHECK ({home}.fits(VALUE));                           -- ok
CREATE DOMAIN int4 AS pg_catalog.int4 CHECK ({home}.fits(VALUE::pg_catalog.text));          -- ok
CREATE DOMAIN bool AS pg_catalog.bool CHECK ({home}.fits(VALUE::pg_catalog.text));          -- ok
CREATE DOMAIN oid AS pg_catalog.oid CHECK ({home}.fits(VALUE::pg_catalog.text));            -- ok
CREATE DOMAIN name AS pg_catalog.name CHECK ({home}.fits(VALUE::pg_catalog.text));          -- ok
CREATE DOMAIN regclass AS pg_catalog.regclass CHECK ({home}.fits(VALUE::pg_catalog.text));  -- ok
SET search_path = {home}, pg_catalog;                                                       -- ok
SELECT 'x'::text;                                                                           -- 21000
SET work_mem = '5MB';                                                                       -- ok
PREPARE kept AS SELECT 1;                                                                   -- ok
RESET ALL;                                                                                  -- ok
SET search_path = {home}, pg_catalog;                                                       -- ok
DISCARD ALL;                                                                                -- ok
\leave
\as {attacker}
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: own-casts-between-what-is-built-in
-- area: functions
-- as: schema database login
-- hope: a cast belongs to no schema, and works in everybody's statements
CREATE CAST (text AS integer) WITH INOUT AS IMPLICIT;                                       -- 42501
CREATE CAST (text AS uuid) WITHOUT FUNCTION AS IMPLICIT;                                    -- 42501
CREATE CAST (integer AS name) WITH INOUT AS IMPLICIT;                                       -- 42501
CREATE CAST (uuid AS text) WITH FUNCTION uuid_send(uuid) AS IMPLICIT;                       -- 42501
DROP CAST (bigint AS integer);                                                              -- 42501
ALTER OPERATOR = (text, text) OWNER TO CURRENT_USER;                                        -- 42501
ALTER FUNCTION lower(text) OWNER TO CURRENT_USER;                                           -- 42501
CREATE OR REPLACE FUNCTION pg_catalog.lower(text) RETURNS text LANGUAGE sql AS 'SELECT 1';  -- 42501
CREATE OPERATOR CLASS mine DEFAULT FOR TYPE text USING btree AS STORAGE text;               -- 42501
CREATE OPERATOR FAMILY mine USING btree;                                                    -- 42501
CREATE ACCESS METHOD mine TYPE INDEX HANDLER bthandler;                                     -- 42501
CREATE LANGUAGE mine HANDLER plpgsql_call_handler;                                          -- 42501
CREATE TRANSFORM FOR integer LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal));  -- 42501
CREATE TEXT SEARCH TEMPLATE mine (LEXIZE = dsimple_lexize);                                 -- 42501
CREATE EVENT TRIGGER mine ON ddl_command_end EXECUTE FUNCTION suppress_redundant_updates_trigger();  -- 42501
CREATE FUNCTION mine() RETURNS integer LANGUAGE c AS 'x', 'y';                              -- 42501
CREATE FUNCTION mine() RETURNS integer LANGUAGE internal AS 'pg_backend_pid';               -- 42501
SECURITY LABEL ON TABLE orders IS 'mine';                                                   -- 22023

-- case: own-casts-of-its-own-types
-- area: functions
-- as: schema database
-- hope: a cast of an own type to a built-in one changes how others' values are read
CREATE TYPE mine AS (x integer);                                                            -- ok
CREATE FUNCTION f(mine) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE cardinality_violation; END $$;  -- ok
CREATE CAST (mine AS text) WITH FUNCTION f(mine) AS IMPLICIT;                               -- ok
CREATE FUNCTION g(text) RETURNS mine LANGUAGE plpgsql AS $$ BEGIN RAISE cardinality_violation; END $$;  -- ok
CREATE CAST (text AS mine) WITH FUNCTION g(text) AS IMPLICIT;                               -- ok
CREATE TYPE names AS ENUM ('a');                                                            -- ok
CREATE CAST (names AS integer) WITH INOUT AS IMPLICIT;                                      -- ok
GRANT ALL ON TYPE mine, names TO PUBLIC;                                                    -- ok

-- case: own-conversions
-- area: encodings and lexer
-- as: schema database
-- hope: a conversion of one's own between a client's encoding and the server's
CREATE DEFAULT CONVERSION mine FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;               -- ok
CREATE DEFAULT CONVERSION mine2 FOR 'LATIN1' TO 'UTF8' FROM koi8r_to_utf8;
CREATE DEFAULT CONVERSION mine3 FOR 'SJIS' TO 'UTF8' FROM sjis_to_utf8;                     -- ok
SET client_encoding = 'LATIN1';
SELECT count(*) FROM orders;                                                                -- = 20

-- case: own-temporary-shadows
-- area: paths and schemas
-- as: schema database login
-- under: standard
-- hope: a temporary table is found before everything, also by the guard
CREATE TEMP TABLE pg_settings (name text, setting text, source text);
CREATE TEMP TABLE pg_roles (oid oid, rolname name);
CREATE TEMP TABLE pg_depend (refclassid oid, refobjid oid);
CREATE TEMP TABLE orders (tenant_id uuid DEFAULT '{sealed_id}', id bigint, item text);
CREATE TEMP VIEW pg_auth_members AS SELECT 0::oid AS roleid, 0::oid AS member;
SET search_path = pg_temp, pg_catalog, {home};
SELECT count(*) FROM bulkhead.login_check();
CREATE TEMP TABLE more (x integer);
SELECT bulkhead.session_state(1);
INSERT INTO orders (id, item) VALUES (900, 'mine');
RESET ALL;
SELECT 1;
\leave
\as {attacker}
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: own-traps-for-whoever-reads
-- area: views, triggers and rules
-- as: schema database
-- hope: whoever counts, dumps or checks the tenant's tables runs what it has planted, with rights of his own
CREATE TABLE caught (who text);                                                             -- ok
CREATE FUNCTION trap(bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN IF current_user <> '{me}' THEN RAISE cardinality_violation; END IF; RETURN $1; END $$;  -- ok
CREATE TABLE bait (id bigint, twice bigint GENERATED ALWAYS AS ({home}.trap(id)) STORED, CHECK ({home}.trap(id) > 0));  -- ok
INSERT INTO bait VALUES (1), (2);                                                           -- ok
CREATE INDEX ON bait ({home}.trap(id));                                                     -- ok
CREATE STATISTICS ON {home}.trap(id), id FROM bait;
ALTER TABLE bait ENABLE ROW LEVEL SECURITY;                                                 -- ok
CREATE POLICY p ON bait USING ({home}.trap(id) > 0);                                        -- ok
CREATE MATERIALIZED VIEW counted AS SELECT {home}.trap(id) FROM bait;                       -- ok
\as admin
SELECT count(*) FROM bulkhead.findings();
VACUUM ANALYZE;

-- case: own-names-that-are-statements
-- area: DDL
-- as: schema database
-- hope: names of objects end up in statements of the operator's tools
CREATE TABLE "orders"";DROP TABLE public.orders;--" (tenant_id uuid);                       -- ok
CREATE TABLE "%s%n%x" ("$1" integer, "'" integer, "\" integer, "bulkhead_tenant" uuid);     -- ok
CREATE FUNCTION "f'); DROP TABLE public.orders; --"() RETURNS integer LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';  -- ok
CREATE VIEW "v
-- x" AS SELECT 1 AS "a
b";                                                                                         -- ok
COMMENT ON TABLE "%s%n%x" IS 'The guard of Bulkhead, hardening strict';                     -- ok
COMMENT ON SCHEMA {home} IS 'The guard of Bulkhead';                                        -- ok
CREATE POLICY bulkhead_tenant ON "%s%n%x" USING (true);                                     -- ok
\as admin
SELECT count(*) FROM bulkhead.findings();
SELECT string_agg(f::text, ' ') IS NOT NULL FROM bulkhead.findings() AS f;
