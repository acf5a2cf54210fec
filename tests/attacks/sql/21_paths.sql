-- Names that lead somewhere else: schemas, search_path, objects that hide others.

-- case: names-with-schemas
-- area: paths and schemas
-- hope: a name with a schema in front is not looked at
SELECT count(*) FROM public.orders;                                                         -- = 20!
SELECT count(*) FROM shop.public.orders;                                                    -- = 20
SELECT count(*) FROM "public"."orders" AS o WHERE o.tenant_id = '{globex}';                 -- = 0
SELECT count(*) FROM postgres.public.orders;                                                -- 0A000
SELECT count(*) FROM bulkhead_control.tenant;                                               -- 42501
SELECT count(*) FROM shop.bulkhead_control.tenant;                                          -- 42501
SELECT count(*) FROM "bulkhead_control"."principal";                                        -- 42501
SELECT count(*) FROM U&"bulkhead\005fcontrol".setting;                                      -- 42501 | 42501
SELECT count(*) FROM bulkhead.signing_key;                                                  -- 42501
UPDATE bulkhead_control.tenant SET status = 'suspended';                                    -- 42501
INSERT INTO bulkhead.revoked_tenant VALUES ('{globex}');                                    -- 42501
SELECT bulkhead_control.lookup_principal('shop');                                           -- 42501

-- case: search-path-into-other-schemas
-- hope: names without a schema are not looked at
SET search_path = bulkhead_control, public;
SELECT count(*) FROM tenant;
SELECT count(*) FROM principal;
SET search_path = bulkhead, public;
SELECT count(*) FROM signing_key;                                                           -- 42501 | 42501 | 42501
SELECT revoke_tenant('{globex}');                                                           -- 42501 | 42501 | 42501
SET SCHEMA 'bulkhead';
SELECT register_key('mine', 'x');                                                           -- 42501 | 42501 | 42501
SET search_path TO DEFAULT;
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: search-path-spelled-otherwise
-- hope: the path is put together, or taken apart, in another way than the server does
SET search_path = '"public", bulkhead';
SELECT count(*) FROM public.orders;                                                         -- = 20!
SET search_path TO "$user", public, "a""b", '', 'x,y';
SELECT count(*) FROM public.orders;                                                         -- = 20!
SELECT set_config('search_path', 'bulkhead, public', false);
SELECT count(*) FROM public.orders;                                                         -- = 20!
SET LOCAL search_path = bulkhead;
SET search_path = PUBLIC;
SELECT count(*) FROM public.orders;                                                         -- = 20!
SET search_path = '';
SELECT count(*) FROM orders;                                                                -- 42P01
SELECT count(*) FROM public.orders;                                                         -- = 20!

-- case: another-tenants-schema
-- hope: the schema of a tenant that has one of its own is in the same database
-- before: CREATE SCHEMA t_{globex_hex}; CREATE TABLE t_{globex_hex}.secrets (word text); INSERT INTO t_{globex_hex}.secrets SELECT item FROM orders WHERE tenant_id = '{globex}'
-- after: DROP SCHEMA t_{globex_hex} CASCADE
SELECT word FROM t_{globex_hex}.secrets;                                                    -- 42501
SET search_path = t_{globex_hex};
SELECT word FROM secrets;                                                                   -- 42P01
SELECT count(*) FROM public.orders;                                                         -- = 20!

-- case: catalogues-hidden-by-temporary-tables
-- hope: what globex's driver asks the catalogue for is answered by acme: temporary tables come first
-- under: standard
CREATE TEMP TABLE pg_class AS SELECT * FROM pg_catalog.pg_class WHERE false;
CREATE TEMP TABLE pg_type (oid oid, typname text);
CREATE TEMP VIEW pg_settings AS SELECT 'x' AS name;
CREATE TEMP TABLE pg_namespace (x integer);
SET search_path = pg_temp, pg_catalog, public;
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: guard-hidden-by-temporary-objects
-- hope: what Bulkhead asks the session for is answered by acme's own tables, so it believes that nothing is left
-- under: standard
CREATE TEMP TABLE pg_depend (refclassid oid, refobjid oid);
CREATE TEMP TABLE pg_prepared_statements (name text);
CREATE TEMP TABLE installation (id uuid);
CREATE TEMP TABLE signing_key (kid text, inner_block bytea, outer_block bytea);
SET search_path = pg_temp, pg_catalog;
LISTEN news;
SET work_mem = '77MB';
SELECT count(*) FROM public.orders;                                                         -- = 20!

-- case: relations-by-number
-- hope: a relation's number or a cast to regclass is no name
SELECT count(*) FROM (SELECT 'bulkhead.signing_key'::regclass) x;
SELECT has_table_privilege('bulkhead.signing_key', 'SELECT');                               -- = f | = f
SELECT nextval('bulkhead_control.nothing');
SELECT pg_relation_size('bulkhead.signing_key');
SELECT to_regclass('bulkhead_control.tenant') IS NULL;
SELECT obj_description('bulkhead.signing_key'::regclass);
SELECT row_security_active('orders');                                                       -- = t
SELECT count(*) FROM orders;                                                                -- = 20!

-- case: relations-that-are-not-named
-- hope: relations are reached without their names: natural joins of TABLE, whole rows, inheritance, column aliases
TABLE ONLY papers;
SELECT count(*) FROM orders AS accounts (a, b, c) WHERE a = '{globex}';                     -- = 0
SELECT count(o) FROM orders o WHERE (o).tenant_id = '{globex}';                             -- = 0
SELECT count(*) FROM (TABLE orders UNION ALL TABLE orders) x;                               -- = 40!
WITH orders AS (SELECT * FROM accounts) SELECT count(*) FROM orders;                        -- = 10!
WITH orders AS (SELECT * FROM public.orders) SELECT count(*) FROM orders WHERE tenant_id <> '{acme}';  -- = 0!
SELECT count(*) FROM orders NATURAL JOIN accounts WHERE tenant_id = '{globex}';             -- = 0
SELECT to_jsonb(o) FROM orders o WHERE NOT to_jsonb(o) @> '{"tenant_id": "{acme}"}';        -- ok
SELECT count(*) FROM json_populate_recordset(NULL::orders, (SELECT json_agg(o) FROM orders o)) WHERE tenant_id <> '{acme}';  -- = 0
