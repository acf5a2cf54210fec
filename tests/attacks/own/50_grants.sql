-- Rights on one's own things, given to others: a tenant may expose itself, and nobody else.

-- case: own-schema-for-all
-- area: roles
-- as: schema
-- hope: a schema that is open to all makes every other tenant's login look as if it reached too far
GRANT USAGE ON SCHEMA {home} TO PUBLIC;                                                     -- ok

-- case: own-schema-for-all-to-create
-- as: schema
-- hope: the same with CREATE, for what installs and checks the guard
GRANT ALL ON SCHEMA {home} TO PUBLIC;                                                       -- ok
GRANT ALL ON ALL TABLES IN SCHEMA {home} TO PUBLIC;                                         -- ok
GRANT ALL ON ALL FUNCTIONS IN SCHEMA {home} TO PUBLIC;                                      -- ok
GRANT ALL ON SCHEMA {home} TO {database}, bulkhead_app, bulkhead_pool, bulkhead_guard, bulkhead_sidecar, shop_owner, postgres;
\as admin
SELECT coalesce(string_agg(f::text, ' '), '') FROM bulkhead.login_faults('bulkhead_pool') AS f;  -- =!
SELECT count(*) FROM bulkhead.findings();

-- case: own-schema-for-one
-- as: schema
-- hope: the same, aimed at one
GRANT ALL ON SCHEMA {home} TO {schema} WITH GRANT OPTION;                                   -- ok
GRANT ALL ON orders, notes, tally, order_items TO {schema};                                 -- ok
GRANT EXECUTE ON FUNCTION all_items() TO {schema}, {login};                                 -- ok

-- case: own-schema-for-one-on-shared-tables
-- as: schema
-- hope: the same, aimed at a login on shared tables
GRANT ALL ON SCHEMA {home} TO {login};                                                      -- ok
GRANT ALL ON orders TO {login};                                                             -- ok

-- case: own-database-for-all
-- as: database
-- hope: rights in a database of one's own make others' logins look as if they reached too far
GRANT ALL ON SCHEMA public TO PUBLIC;                                                       -- ok
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;                                         -- ok
GRANT ALL ON SCHEMA public TO {schema}, bulkhead_pool, bulkhead_sidecar, postgres;          -- ok
GRANT ALL ON orders TO {database}, {login}, {schema};                                       -- ok
GRANT CONNECT ON DATABASE {here} TO PUBLIC;
GRANT CREATE ON DATABASE {here} TO {me};
SELECT has_database_privilege('{here}', 'CREATE');                                          -- = f

-- case: own-temporary-things-for-all
-- as: login sealed
-- under: standard
-- hope: the same with what a login without a place can own
CREATE TEMP TABLE gift (x integer);
GRANT ALL ON gift TO PUBLIC;
GRANT ALL ON gift TO {schema}, {login}, {database};
GRANT USAGE ON SCHEMA pg_temp TO PUBLIC;
CREATE FUNCTION pg_temp.f() RETURNS integer LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
GRANT ALL ON FUNCTION pg_temp.f() TO PUBLIC;

-- case: own-default-privileges
-- as: schema database login
-- hope: default privileges count for others' objects too
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC;                                     -- ok
ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO {schema}, bulkhead_pool;                 -- ok
ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO PUBLIC;                                    -- ok
ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM {me};                                    -- ok

-- case: own-objects-hang-on-others
-- area: DDL
-- as: schema database
-- hope: what depends on another's role keeps it from being removed, or holds its place
GRANT SELECT ON orders TO {schema};                                                         -- ok
CREATE POLICY p ON orders TO {schema}, {login} USING (true);                                -- ok
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {schema};                                -- ok

-- case: own-grants-on-what-is-others
-- area: roles
-- as: schema database login
-- hope: a right on what is shared can be handed on, or taken from others
GRANT USAGE ON SCHEMA public TO {schema};
REVOKE USAGE ON SCHEMA bulkhead FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION bulkhead.tenant_id() FROM PUBLIC;
GRANT ALL ON public.orders TO {schema};
REVOKE ALL ON public.orders FROM bulkhead_app;
GRANT SET ON PARAMETER backtrace_functions TO {me};                                         -- 42501
REVOKE SET ON PARAMETER backtrace_functions FROM bulkhead_guard;
GRANT EXECUTE ON FUNCTION pg_terminate_backend(integer, bigint) TO {me};
GRANT SELECT ON pg_authid TO {me};                                                          -- 42501
GRANT CREATE ON TABLESPACE pg_default TO {me};                                              -- 42501
REVOKE CONNECT ON DATABASE {here} FROM {me};
REVOKE TEMPORARY ON DATABASE shop FROM PUBLIC;
GRANT USAGE ON LANGUAGE c TO {me};
REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION pg_advisory_unlock_all() FROM PUBLIC;
