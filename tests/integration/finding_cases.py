"""For each finding, databases that show it: SQL that spoils app.orders and app.lines, or the server."""

from dataclasses import dataclass

T = "11111111222243338444555555555555"  # a tenant's own login is t_ and this


@dataclass(frozen=True)
class Case:
    finding: str
    object: str
    spoil: str
    severity: str
    undo: str = ""  # what mending leaves on the server, for roles belong to all databases

    def __str__(self):
        return f"{self.finding}-{self.severity}-{self.object}".replace(" ", "_")


PARTITIONED = ("CREATE TABLE app.p (tenant_id uuid, x int) PARTITION BY LIST (x); CREATE INDEX ON app.p (tenant_id); "
               "SELECT bulkhead.protect('app.p', 'tenant_id'); ")
KEYED = ("CREATE TABLE app.k (tenant_id uuid NOT NULL, id bigint, a text, r int4range, PRIMARY KEY (tenant_id, id)); "
         "SELECT bulkhead.protect('app.k', 'tenant_id'); ")
LOOKUP = "CREATE TABLE app.lookup (code text PRIMARY KEY); ALTER TABLE app.lookup OWNER TO app_owner; "
DEFINER = "LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'BEGIN RETURN NULL; END'"
POLICY = "DROP POLICY bulkhead_tenant ON app.orders; CREATE POLICY bulkhead_tenant ON app.orders "
SOUND = """coalesce(nullif("left"(current_setting('backtrace_functions'), 32), ''), bulkhead.no_context())::uuid"""

TABLES = [
    Case("unprotected-table", "app.t", "CREATE TABLE app.t (tenant_id uuid)", "warning"),
    Case("unprotected-table", "app.t", "CREATE TABLE app.t (tenant_id uuid); GRANT SELECT ON app.t TO bulkhead_app",
         "critical"),
    Case("unprotected-table", "app.t", "CREATE TABLE app.t (tenant_id bigint); GRANT INSERT ON app.t TO PUBLIC",
         "critical"),
    Case("unprotected-table", "app.t", "CREATE TABLE app.t (tenant_id uuid, x int); GRANT SELECT (x) ON app.t TO "
         "bulkhead_pool",
         "critical"),
    Case("unprotected-table", 'app."T; \'x"', 'CREATE TABLE app."T; \'x" (tenant_id uuid)', "warning"),
    Case("unprotected-table", "app.t", "CREATE TABLE app.t (tenant_id uuid, x int) PARTITION BY LIST (x); "
         "CREATE TABLE app.t1 PARTITION OF app.t DEFAULT", "warning"),
    Case("unprotected-child", "app.notes", "CREATE TABLE app.notes (o_tenant uuid, o bigint, text text, "
         "FOREIGN KEY (o_tenant, o) REFERENCES app.orders)", "warning"),
    Case("unprotected-child", "app.notes", "CREATE TABLE app.notes (o_tenant uuid, o bigint, text text, "
         "FOREIGN KEY (o_tenant, o) REFERENCES app.orders); GRANT SELECT ON app.notes TO bulkhead_app", "critical"),
    Case("unprotected-partition", "app.p1", PARTITIONED + "CREATE TABLE app.p1 PARTITION OF app.p FOR VALUES IN (1)",
         "warning"),
    Case("unprotected-partition", "app.p1", PARTITIONED + "CREATE TABLE app.p1 PARTITION OF app.p FOR VALUES IN (1); "
         "GRANT SELECT ON app.p1 TO bulkhead_app", "critical"),
    Case("unprotected-partition", "app.p11", PARTITIONED +
         "CREATE TABLE app.p1 PARTITION OF app.p FOR VALUES IN (1) PARTITION BY LIST (x); "
         "CREATE TABLE app.p11 PARTITION OF app.p1 DEFAULT", "warning"),
    Case("unprotected-partition", "app.child", "CREATE TABLE app.child () INHERITS (app.orders); "
         "GRANT SELECT ON app.child TO bulkhead_app", "critical"),
    Case("shared-table", "app.lookup", LOOKUP + "GRANT SELECT ON app.lookup TO bulkhead_app", "notice"),
    Case("shared-table-writable", "app.lookup", LOOKUP + "GRANT SELECT, INSERT ON app.lookup TO bulkhead_app",
         "warning"),
    Case("shared-table-writable", "app.lookup", LOOKUP + "GRANT DELETE ON app.lookup TO PUBLIC, bulkhead_pool",
         "warning"),
    Case("policy-missing", "app.orders", "DROP POLICY bulkhead_tenant ON app.orders", "critical"),
    Case("policy-missing", "app.t", "CREATE TABLE app.t (LIKE app.orders INCLUDING DEFAULTS)", "warning"),
    *[Case("policy-altered", "app.orders", how, "critical") for how in (
        "ALTER POLICY bulkhead_tenant ON app.orders USING (true)",
        "ALTER POLICY bulkhead_tenant ON app.orders WITH CHECK (true)",
        "ALTER POLICY bulkhead_tenant ON app.orders USING (true) WITH CHECK (true)",
        "ALTER POLICY bulkhead_tenant ON app.orders TO bulkhead_guard",
        "ALTER POLICY bulkhead_tenant ON app.orders USING (tenant_id = (SELECT bulkhead.tenant_id()) OR note IS NULL)",
        POLICY + f"AS PERMISSIVE FOR ALL USING (tenant_id = (SELECT {SOUND})) WITH CHECK (tenant_id = (SELECT "
        f"{SOUND}))",
        POLICY + f"AS RESTRICTIVE FOR SELECT USING (tenant_id = (SELECT {SOUND}))",
        # The same words, and other functions and operators behind them.
        "CREATE FUNCTION app.current_setting(text) RETURNS text LANGUAGE sql AS $$SELECT repeat('1', 32)$$; "
        "SET search_path = app, pg_catalog; "
        + POLICY + f"AS RESTRICTIVE USING (tenant_id = (SELECT {SOUND})) WITH CHECK (tenant_id = (SELECT {SOUND})); "
        "RESET search_path",
        "CREATE FUNCTION app.yes(uuid, uuid) RETURNS bool LANGUAGE sql AS 'SELECT true'; "
        "CREATE OPERATOR app.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = app.yes); SET search_path = app, "
        "pg_catalog; "
        + POLICY + f"AS RESTRICTIVE USING (tenant_id = (SELECT {SOUND})) WITH CHECK (tenant_id = (SELECT {SOUND})); "
        "RESET search_path")],
    Case("row-security-off", "app.orders", "ALTER TABLE app.orders DISABLE ROW LEVEL SECURITY", "critical"),
    Case("row-security-not-forced", "app.orders", "ALTER TABLE app.orders NO FORCE ROW LEVEL SECURITY", "warning"),
    Case("no-permissive-policy", "app.orders", "DROP POLICY bulkhead_rows ON app.orders", "warning"),
]

KEYS = [
    Case("unique-key", "app.k_pkey on app.k", KEYED + "ALTER TABLE app.k DROP CONSTRAINT k_pkey, ADD PRIMARY KEY (id)",
         "warning"),
    Case("unique-key", "app.k_a_tenant_id_key on app.k", KEYED + "ALTER TABLE app.k ADD UNIQUE NULLS NOT DISTINCT "
         "(a) INCLUDE (tenant_id) "
         "DEFERRABLE INITIALLY DEFERRED", "warning"),
    Case("unique-key", 'app."I (x" on app.k', KEYED + 'CREATE UNIQUE INDEX "I (x" ON app.k (lower(a) DESC) WHERE id '
         '> 5', "warning"),
    Case("unique-key", "app.k_r_excl on app.k", KEYED + "CREATE EXTENSION btree_gist; "
         "ALTER TABLE app.k ADD EXCLUDE USING gist (r WITH &&) WHERE (id > 5)", "warning"),
    Case("unique-key", "app.p_x_idx on app.p", PARTITIONED + "CREATE UNIQUE INDEX ON app.p (x); "
         "CREATE TABLE app.p1 PARTITION OF app.p DEFAULT; SELECT bulkhead.protect('app.p', 'tenant_id')", "warning"),
    Case("foreign-key", '"Up" on app.k', KEYED + "ALTER TABLE app.orders ADD UNIQUE (id); ALTER TABLE app.k "
         'ADD CONSTRAINT "Up" FOREIGN KEY (id) REFERENCES app.orders (id) ON DELETE CASCADE DEFERRABLE INITIALLY '
         'DEFERRED',
         "warning"),
    Case("foreign-key", "k_up_fkey on app.k", KEYED + "ALTER TABLE app.k ADD up bigint, ADD UNIQUE (id); "
         "ALTER TABLE app.k ADD FOREIGN KEY (up) REFERENCES app.k (id) ON DELETE SET NULL ON UPDATE "
         "CASCADE", "warning"),
    Case("foreign-key", "k_up_fkey on app.k", "CREATE TABLE app.k (tenant_id bigint PRIMARY KEY, up bigint); "
         "SELECT bulkhead.protect('app.k', 'tenant_id', by => 'key'); ALTER TABLE app.orders ADD UNIQUE (id); "
         "ALTER TABLE app.k ADD FOREIGN KEY (up) REFERENCES app.orders (id)", "warning"),
    Case("tenant-index", "app.t", "CREATE TABLE app.t (tenant_id uuid); SELECT bulkhead.protect('app.t', 'tenant_id')",
         "notice"),
    Case("tenant-index", "app.k", KEYED + "ALTER TABLE app.k DROP CONSTRAINT k_pkey; CREATE INDEX ON app.k "
         "(tenant_id) WHERE id > 5",
         "notice"),
]

VIEWS = [
    Case("definer-view", "app.v", "CREATE VIEW app.v AS SELECT * FROM app.orders", "warning"),
    Case("definer-view", "app.v", "CREATE VIEW app.v AS SELECT * FROM app.orders; GRANT SELECT ON app.v TO "
         "bulkhead_app", "critical"),
    Case("definer-view", "app.v", "CREATE VIEW app.v WITH (security_invoker = off) AS SELECT * FROM app.orders; "
         "CREATE VIEW app.w AS SELECT * FROM app.v; GRANT SELECT ON app.w TO PUBLIC", "critical"),
    Case("definer-view", "app.v", "CREATE ROLE viewer; GRANT USAGE ON SCHEMA app TO viewer; GRANT SELECT ON "
         "app.orders TO viewer; "
         "CREATE VIEW app.v AS SELECT * FROM app.orders; ALTER VIEW app.v OWNER TO viewer; GRANT SELECT ON app.v TO "
         "bulkhead_app",
         "notice", undo="DROP OWNED BY viewer; DROP ROLE viewer"),
    Case("definer-view", "app.v", "CREATE MATERIALIZED VIEW app.m AS SELECT * FROM app.orders; "
         "CREATE VIEW app.v AS SELECT * FROM app.m; GRANT SELECT ON app.v TO bulkhead_app", "critical"),
    Case("materialized-view", "app.m", "CREATE MATERIALIZED VIEW app.m AS SELECT * FROM app.orders; "
         "GRANT SELECT ON app.m TO bulkhead_app", "critical"),
    Case("materialized-view", "app.m", "CREATE VIEW app.v WITH (security_invoker = on) AS SELECT * FROM app.orders; "
         "CREATE MATERIALIZED VIEW app.m AS SELECT * FROM app.v; GRANT SELECT (id) ON app.m TO PUBLIC", "critical"),
    Case("definer-rule", "note on app.lookup", LOOKUP + "CREATE RULE note AS ON INSERT TO app.lookup DO ALSO "
         "UPDATE app.orders SET note = 'x'", "notice"),
    Case("definer-rule", "note on app.lookup", LOOKUP + "GRANT INSERT ON app.lookup TO bulkhead_app; "
         "CREATE RULE note AS ON INSERT TO app.lookup DO ALSO UPDATE app.orders SET note = 'x'", "warning"),
]

FUNCTIONS = [
    Case("definer-search-path", "app.f()", "CREATE FUNCTION app.f() RETURNS int LANGUAGE sql SECURITY DEFINER AS "
         "'SELECT 1'", "critical"),
    Case("definer-search-path", "app.f(app.orders)", "CREATE PROCEDURE app.f(app.orders) LANGUAGE plpgsql SECURITY "
         "DEFINER "
         "AS 'BEGIN END'; REVOKE ALL ON PROCEDURE app.f FROM PUBLIC", "warning"),
    *[Case("definer-search-path", "app.f()", "CREATE FUNCTION app.f() RETURNS int LANGUAGE sql SECURITY DEFINER "
           f"SET search_path = {path} AS 'SELECT 1'", "warning")
      for path in ("app", '"$user", pg_temp', "pg_temp, app", "pg_temp")],
    Case("definer-function", "app.f()", f"CREATE FUNCTION app.f() RETURNS int {DEFINER}", "warning"),
    Case("definer-function", "app.f()", "CREATE FUNCTION app.f() RETURNS bigint LANGUAGE sql SECURITY DEFINER "
         "BEGIN ATOMIC SELECT count(*) FROM app.orders; END", "critical"),
    Case("definer-function", "app.f()", f"CREATE FUNCTION app.f() RETURNS trigger {DEFINER}; "
         "CREATE TRIGGER f BEFORE INSERT ON app.orders FOR EACH ROW EXECUTE FUNCTION app.f()", "warning"),
    Case("leakproof-function", "app.f(uuid)", "CREATE FUNCTION app.f(uuid) RETURNS bool LANGUAGE sql LEAKPROOF AS "
         "'SELECT true'",
         "warning"),
    Case("leakproof-function", "app.f(uuid)", "CREATE FUNCTION app.f(uuid) RETURNS bool LANGUAGE sql LEAKPROOF AS "
         "'SELECT true'; "
         "REVOKE EXECUTE ON FUNCTION app.f FROM PUBLIC", "notice"),
    Case("event-trigger", "spy", "CREATE FUNCTION app.f() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS "
         "'BEGIN END'; "
         "CREATE EVENT TRIGGER spy ON ddl_command_end EXECUTE FUNCTION app.f()", "warning"),
]

LOGINS = [
    *[Case("login-attributes", "bulkhead_pool", f"ALTER ROLE bulkhead_pool {right}", "critical")
      for right in ("SUPERUSER", "BYPASSRLS", "CREATEROLE", "CREATEDB", "REPLICATION")],
    Case("login-attributes", f"t_{T}", f"CREATE ROLE t_{T} LOGIN BYPASSRLS", "critical", undo=f"DROP ROLE t_{T}"),
    Case("login-attributes", "chief", "CREATE ROLE chief SUPERUSER IN ROLE bulkhead_app", "critical",
         undo="DROP ROLE chief"),
    *[Case("login-membership", "bulkhead_pool", f"GRANT {group} TO bulkhead_pool", "critical")
      for group in ("pg_read_all_data", "pg_execute_server_program", "bulkhead_control", "bulkhead_sidecar",
                    "app_owner",
                    "postgres")],
    Case("login-membership", "bulkhead_pool", "GRANT bulkhead_guard TO bulkhead_pool", "critical"),
    Case("login-membership", "middle", "CREATE ROLE middle; GRANT middle TO bulkhead_app; GRANT pg_monitor TO middle",
         "critical", undo="DROP ROLE middle"),
    Case("login-owns", "table app.t of bulkhead_pool", "CREATE TABLE app.t (x int); ALTER TABLE app.t OWNER TO "
         "bulkhead_pool", "critical"),
    Case("login-owns", "schema mine of bulkhead_app", "CREATE SCHEMA mine AUTHORIZATION bulkhead_app", "critical"),
    Case("login-owns", "function app.f(integer) of bulkhead_pool", "CREATE FUNCTION app.f(int) RETURNS int LANGUAGE "
         "sql AS 'SELECT 1'; "
         "ALTER FUNCTION app.f OWNER TO bulkhead_pool", "critical"),
    Case("login-owns", "type app.pair of bulkhead_pool", "CREATE TYPE app.pair AS (a int, b int); "
         "ALTER TYPE app.pair OWNER TO bulkhead_pool", "critical"),
    Case("login-owns", "materialized view app.m of bulkhead_pool", "CREATE MATERIALIZED VIEW app.m AS SELECT 1 AS x; "
         "ALTER MATERIALIZED VIEW app.m OWNER TO bulkhead_pool", "critical"),
    Case("login-owns", "large object 4711 of bulkhead_pool", "SELECT lo_create(4711); ALTER LARGE OBJECT 4711 OWNER "
         "TO bulkhead_pool",
         "critical"),
    *[Case("login-owns", f"table app.t of t_{T}", f"CREATE ROLE t_{T} LOGIN; CREATE SCHEMA t_{T} AUTHORIZATION t_{T}; "
           f"CREATE TABLE t_{T}.t (); ALTER TABLE t_{T}.t OWNER TO t_{T}; CREATE TABLE app.t (); ALTER TABLE app.t "
           f"OWNER TO "
           f"t_{T}", "critical", undo=f"DROP OWNED BY t_{T}; DROP ROLE t_{T}")],
    Case("login-membership", f"t_{T}", f"CREATE ROLE harmless; CREATE ROLE t_{T} LOGIN IN ROLE bulkhead_app, harmless",
         "critical", undo=f"DROP ROLE t_{T}, harmless"),
    *[Case("tenant-schema-open", f"t_{T}", f"CREATE ROLE t_{T} LOGIN; CREATE SCHEMA t_{T} AUTHORIZATION t_{T}; "
           f"GRANT {right} ON SCHEMA t_{T} TO {whom}", "critical", undo=f"DROP OWNED BY t_{T}; DROP ROLE t_{T}")
      for right, whom in (("USAGE", "bulkhead_app"), ("ALL", "PUBLIC"), ("CREATE", "bulkhead_pool"))],
    Case("tenant-database-open", f"t_{T}", f"CREATE DATABASE t_{T}", "critical", undo=f"DROP DATABASE t_{T}"),
    Case("login-setting", "work_mem of bulkhead_pool", "ALTER ROLE bulkhead_pool SET work_mem = '1MB'", "warning"),
    Case("login-setting", "row_security of bulkhead_pool", "DO $$ BEGIN EXECUTE format('ALTER ROLE bulkhead_pool IN "
         "DATABASE %I "
         "SET row_security = off', current_database()); END $$", "critical"),
    Case("database-setting", "session_replication_role of all roles", "ALTER ROLE ALL SET session_replication_role = "
         "replica", "critical"),
    Case("server-setting", "row_security", "ALTER SYSTEM SET row_security = off", "critical",
         undo="ALTER SYSTEM RESET row_security"),
    Case("parameter-grant", "backtrace_functions for app_owner", "GRANT SET ON PARAMETER backtrace_functions TO "
         "app_owner", "critical"),
    Case("parameter-grant", "session_replication_role for PUBLIC", "GRANT SET ON PARAMETER session_replication_role "
         "TO PUBLIC",
         "critical"),
    Case("owner-without-bypass", "app_owner", "ALTER ROLE app_owner NOBYPASSRLS", "warning"),
    Case("owner-login", "app_owner", "ALTER ROLE app_owner LOGIN", "notice"),
    Case("owner-login", "migrator", "CREATE ROLE migrator LOGIN IN ROLE app_owner", "notice",
         undo="DROP ROLE migrator"),
    Case("bypassing-login", "report", "CREATE ROLE report LOGIN BYPASSRLS", "warning", undo="DROP ROLE report"),
    Case("replication-login", "standby", "CREATE ROLE standby LOGIN REPLICATION", "warning", undo="DROP ROLE standby"),
    Case("guard-role", "bulkhead_guard", "ALTER ROLE bulkhead_guard BYPASSRLS", "critical"),
    Case("guard-role", "bulkhead_app", "ALTER ROLE bulkhead_app LOGIN", "critical"),
    Case("guard-membership", "app_owner", "GRANT bulkhead_guard TO app_owner", "critical"),
    Case("guard-membership", "bulkhead_guard", "GRANT pg_read_all_data TO bulkhead_guard", "critical"),
]

GRANTS = [
    *[Case("unsafe-privilege", "app.orders", f"GRANT {grant}", severity) for grant, severity in (
        ("TRUNCATE ON app.orders TO bulkhead_app", "critical"), ("TRIGGER ON app.orders TO bulkhead_pool", "critical"),
        ("REFERENCES ON app.orders TO PUBLIC", "warning"), ("REFERENCES (id) ON app.orders TO bulkhead_app", "warning"),
        ("TRUNCATE ON app.orders TO shop_group; GRANT shop_group TO bulkhead_pool", "critical"),
        ("TRUNCATE ON app.orders TO bulkhead_app WITH GRANT OPTION; SET ROLE bulkhead_app; "
         "GRANT TRUNCATE ON app.orders TO bulkhead_pool; RESET ROLE", "critical"),
        ("USAGE ON SCHEMA app TO shop_group; GRANT TRUNCATE ON app.orders TO shop_group WITH GRANT OPTION; SET ROLE "
         "shop_group; "
         "GRANT TRUNCATE ON app.orders TO bulkhead_pool; RESET ROLE", "critical"))],
    Case("sequence-update", "app.s", "CREATE SEQUENCE app.s; GRANT USAGE, UPDATE ON SEQUENCE app.s TO bulkhead_app",
         "warning"),
    Case("schema-create", "app", "GRANT CREATE ON SCHEMA app TO bulkhead_app", "critical"),
    Case("schema-create", "public", "GRANT CREATE ON SCHEMA public TO PUBLIC", "critical"),
    Case("default-privileges", "app_owner in app", "ALTER DEFAULT PRIVILEGES FOR ROLE app_owner IN SCHEMA app "
         "GRANT SELECT, TRUNCATE ON TABLES TO bulkhead_app", "warning"),
    Case("default-privileges", "app_owner", "ALTER DEFAULT PRIVILEGES FOR ROLE app_owner GRANT INSERT ON TABLES TO "
         "PUBLIC; "
         "ALTER DEFAULT PRIVILEGES FOR ROLE app_owner GRANT UPDATE ON SEQUENCES TO bulkhead_pool", "warning"),
    Case("foreign-table", "app.far", "CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER "
         "postgres_fdw; "
         "CREATE FOREIGN TABLE app.far (x int) SERVER far; GRANT SELECT ON app.far TO bulkhead_app", "warning"),
    Case("foreign-table", "app.far", "CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER "
         "postgres_fdw; "
         "CREATE FOREIGN TABLE app.far (tenant_id uuid) SERVER far; GRANT SELECT ON app.far TO "
         "bulkhead_app", "critical"),
    Case("foreign-server", "far", "CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw; "
         "GRANT USAGE ON FOREIGN SERVER far TO bulkhead_app", "warning"),
    Case("foreign-server", "postgres_fdw", "CREATE EXTENSION postgres_fdw; "
         "GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO PUBLIC", "warning"),
    Case("user-mapping", "PUBLIC on far", "CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER "
         "postgres_fdw; "
         "CREATE USER MAPPING FOR PUBLIC SERVER far", "warning"),
    Case("session-language", "plmine", "CREATE TRUSTED LANGUAGE plmine HANDLER plpgsql_call_handler", "warning"),
    Case("large-object", "4711", "SELECT lo_create(4711); GRANT SELECT ON LARGE OBJECT 4711 TO bulkhead_app",
         "warning"),
    Case("system-function", "pg_read_file(text)", "GRANT EXECUTE ON FUNCTION pg_read_file(text) TO bulkhead_app",
         "critical"),
    Case("system-relation", "pg_authid", "GRANT SELECT ON pg_authid TO bulkhead_pool", "critical"),
    Case("system-relation", "pg_statistic", "GRANT SELECT (stavalues1) ON pg_statistic TO PUBLIC", "critical"),
    Case("guard-privilege", "bulkhead.signing_key", "GRANT SELECT ON bulkhead.signing_key TO bulkhead_app", "critical"),
    Case("guard-privilege", "bulkhead_control.tenant", "GRANT SELECT ON ALL TABLES IN SCHEMA bulkhead_control TO "
         "bulkhead_app",
         "critical"),
    Case("guard-privilege", "bulkhead.register_key(text,text)", "GRANT EXECUTE ON FUNCTION bulkhead.register_key TO "
         "bulkhead_pool",
         "critical"),
    Case("guard-privilege", "bulkhead.enter(text,text,text,text,text)", "GRANT EXECUTE ON FUNCTION bulkhead.enter TO "
         "PUBLIC", "critical"),
    Case("guard-privilege", "bulkhead", "GRANT CREATE ON SCHEMA bulkhead TO app_owner", "critical"),
]

SERVER = [
    Case("extension-function", "dblink", "CREATE EXTENSION dblink", "warning"),
    Case("outside-extension", "file_fdw", "CREATE EXTENSION file_fdw", "notice"),
    Case("open-publication", "pub", "CREATE PUBLICATION pub FOR TABLE app.orders, app.lines", "notice"),
    Case("open-publication", "pub", "CREATE PUBLICATION pub FOR ALL TABLES", "notice"),
    Case("open-publication", "pub", "CREATE PUBLICATION pub FOR TABLES IN SCHEMA app", "notice"),
    Case("hardening-function", "pg_terminate_backend(integer,bigint)",
         "GRANT EXECUTE ON FUNCTION pg_terminate_backend TO PUBLIC", "warning"),
    Case("hardening-relation", "pg_stat_activity", "GRANT SELECT ON pg_stat_activity TO bulkhead_app", "warning"),
]

CASES = TABLES + KEYS + VIEWS + FUNCTIONS + LOGINS + GRANTS + SERVER

# These need the database to be hardened strictly.
STRICT_CASES = [
    Case("hardening-function", "setval(regclass,bigint)", "GRANT EXECUTE ON FUNCTION setval(regclass, bigint) TO "
         "PUBLIC", "warning"),
    Case("hardening-function", "set_config(text,text,boolean)", "GRANT EXECUTE ON FUNCTION set_config TO "
         "bulkhead_pool", "warning"),
    Case("hardening-relation", "pg_settings", "GRANT SELECT ON pg_settings TO PUBLIC", "warning"),
    Case("hardening-temporary", "{database}", "DO $$ BEGIN EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO PUBLIC', "
         "current_database()); END $$", "warning"),
]

# `{database}` stands for the database's name.
DATABASE_CASES = [
    Case("database-create", "{database}", "DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO bulkhead_app', "
         "current_database()); END $$", "critical"),
    Case("database-setting", "row_security of database {database}", "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I "
         "SET row_security = off', current_database()); END $$", "critical"),
]
