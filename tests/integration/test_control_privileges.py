"""Who may do what in the control schema, and the look-ups, which are all that a sidecar may do."""

import uuid

import psycopg
import pytest
from harness.control import ADMIN, CHANNEL, SIDECAR
from harness.stand import run

TABLES = ["api_key", "audit", "audit_checkpoint", "audit_draft", "audit_head", "audit_hold", "cluster", "departed",
          "idempotency", "job", "migration", "migration_file", "migration_target", "migration_turn",
          "permission_frozen", "permission_grant", "permission_history", "permission_key", "principal",
          "retired_master_key", "setting", "setting_history", "setting_key", "tenant", "tenant_data_key", "tenant_token", "tree_lock"]
MARK = "bWFya2Vk"  # stands in every salt
VERIFIER = f"SCRAM-SHA-256$4096:{MARK}{MARK}{MARK}$" + "A" * 43 + "=:" + "B" * 43 + "="


@pytest.fixture
def sidecar(control):
    with control.connect(SIDECAR) as connection:
        yield connection


def assert_denied(connection, statement):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


# ---- the sidecar ----

@pytest.mark.parametrize("table", TABLES)
def test_a_sidecar_sees_and_changes_no_table(sidecar, table):
    for statement in ("SELECT FROM {}", "SELECT count(*) FROM {}", "TABLE {}", "SELECT ctid FROM {}",
                      "SELECT tableoid FROM {}", "COPY {} TO STDOUT", "INSERT INTO {} DEFAULT VALUES", "DELETE FROM {}",
                      "TRUNCATE {}", "DO 'BEGIN LOCK TABLE {}; END'", "ALTER TABLE {} DISABLE TRIGGER ALL",
                      "CREATE TEMP TABLE t (LIKE {})", "CREATE TEMP VIEW v AS SELECT FROM {}; TABLE v",
                      "COMMENT ON TABLE {} IS 'x'", "GRANT SELECT ON {} TO bulkhead_sidecar"):
        assert_denied(sidecar, statement.format(f"bulkhead_control.{table}"))


def test_the_list_of_tables_is_whole(control):
    found = control.value("SELECT array_agg(relname::text ORDER BY relname) FROM pg_class WHERE relkind NOT IN ('i', 'S') "
                          "AND relnamespace = 'bulkhead_control'::regnamespace")
    assert found == TABLES


def test_a_sidecar_calls_its_functions(control, sidecar):
    """Of the schema's own: those of ltree, which may stand here as well, are harmless."""
    callable_ = sidecar.execute("""
        SELECT p.oid::regprocedure::text FROM pg_proc p
        WHERE p.pronamespace = 'bulkhead_control'::regnamespace AND has_function_privilege(p.oid, 'EXECUTE')
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e') ORDER BY 1""").fetchall()
    assert [name.removeprefix("bulkhead_control.") for name, in callable_] == [
        "changed_principals(text[],bigint[])", "changed_tenants(uuid[],bigint[])", "lookup_clusters()",
        "lookup_principal(text)", "lookup_tenant(text)", "record_events(jsonb)"]
    for function in ("resolve_permissions(NULL)", "resolve_settings(NULL)", "revoke_permission(NULL, 'sql.read')",
                     "set_permission(NULL, 'sql.read', 'true', NULL, NULL)", "unset_setting(NULL, 'app.x')",
                     "set_setting(NULL, 'app.x', '1', false)", "tenant_permissions('{}')", "default_permissions('{}')",
                     "permission_standing('{}', 'sql.read')", "setting_standing('{}', 'app.x')",
                     "tenant_bump('{}')", "take_turn()", "place_tenant(NULL, NULL, false)"):
        assert_denied(sidecar, f"SELECT bulkhead_control.{function}")
    for statement in ("SELECT bulkhead_control.token_of('x')", "CREATE FUNCTION bulkhead_control.f() RETURNS int "
                      "LANGUAGE sql AS 'SELECT 1'", "CREATE TABLE bulkhead_control.t ()", "CREATE TABLE public.t ()",
                      "ALTER FUNCTION bulkhead_control.lookup_tenant RESET ALL", "SET ROLE bulkhead_admin",
                      "SET ROLE bulkhead_control", "SELECT * FROM pg_catalog.pg_authid", "TABLE pg_catalog.pg_statistic"):
        assert_denied(sidecar, statement)
    acme = control.create("acme")
    assert sidecar.execute("SELECT id FROM bulkhead_control.lookup_tenant('acme')").fetchone() == (acme,)


def test_a_sidecar_listens(control, sidecar):
    sidecar.execute(f"LISTEN {CHANNEL}")
    acme = control.create("acme")
    assert next(sidecar.notifies()).payload == f"{acme}:1"


def relations_that_show(connection, mark):
    """Which relations of the catalogues, as this login may read them, hold the mark."""
    names = [name for (name,) in connection.execute(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'v') "
        "AND relnamespace = 'pg_catalog'::regnamespace AND has_table_privilege(oid, 'SELECT')")]
    found = []
    for name in names:
        try:
            if connection.execute(f"SELECT 1 FROM {name} AS r WHERE strpos(r::text, %s) > 0 LIMIT 1", (mark,)).fetchone():
                found.append(name)
        except psycopg.errors.InsufficientPrivilege:
            continue
    assert len(names) > 100
    return found


def test_no_catalogue_shows_a_sidecar_what_is_in_the_tables(control, sidecar):
    """Statistics hold samples of every column, and most logins may read their view."""
    acme = control.create("acme")
    for n in range(3):
        control.principal(f"{MARK}-{n}", acme, verifier=VERIFIER)
    with control.database.connect() as root:
        root.execute("ANALYZE bulkhead_control.principal")
        assert "pg_stats" in relations_that_show(root, MARK)
    assert relations_that_show(sidecar, MARK) == []


@pytest.mark.parametrize("grant, take_back, words", [
    ("GRANT SELECT (slug) ON bulkhead_control.tenant TO bulkhead_sidecar",
     "REVOKE SELECT (slug) ON bulkhead_control.tenant FROM bulkhead_sidecar", "no privilege on table"),
    ("GRANT SELECT ON bulkhead_control.principal TO PUBLIC",
     "REVOKE SELECT ON bulkhead_control.principal FROM PUBLIC", "no privilege on table"),
    ("GRANT EXECUTE ON FUNCTION bulkhead_control.tenant_place() TO PUBLIC",
     "REVOKE EXECUTE ON FUNCTION bulkhead_control.tenant_place() FROM PUBLIC", "wrong privileges on function"),
    ("GRANT bulkhead_admin TO bulkhead_sidecar", "REVOKE bulkhead_admin FROM bulkhead_sidecar", "must not be a member"),
    ("GRANT CREATE ON SCHEMA bulkhead_control TO PUBLIC",
     "REVOKE CREATE ON SCHEMA bulkhead_control FROM PUBLIC", "must not create in it"),
    ("ALTER ROLE bulkhead_sidecar BYPASSRLS", "ALTER ROLE bulkhead_sidecar NOBYPASSRLS", "must not be a superuser"),
])
def test_init_refuses_a_sidecar_that_may_do_more(control, stand, grant, take_back, words):
    with control.database.connect() as root:
        root.execute(grant)
        try:
            with pytest.raises(AssertionError, match=words):
                run("init", "--dsn", control.database.conninfo(), "--keys", stand.keys)
        finally:
            root.execute(take_back)


# ---- administrators and everybody ----

def test_an_administrator_changes_rows_and_nothing_else(control):
    """What it can do is what all the other tests do as one."""
    control.create("acme")
    for statement in ("INSERT INTO bulkhead_control.tenant_token VALUES ('x', '{0}')".format(uuid.uuid4()),
                      "DELETE FROM bulkhead_control.tenant_token", "UPDATE bulkhead_control.migration SET name = 'x'",
                      "TRUNCATE bulkhead_control.principal", "SELECT FROM bulkhead_control.tree_lock",
                      "DO 'BEGIN LOCK TABLE bulkhead_control.tree_lock IN ACCESS SHARE MODE; END'",
                      "ALTER TABLE bulkhead_control.tenant DISABLE TRIGGER USER",
                      "ALTER TABLE bulkhead_control.tenant DROP CONSTRAINT tenant_depth",
                      "CREATE TRIGGER t AFTER INSERT ON bulkhead_control.tenant FOR EACH ROW "
                      "EXECUTE FUNCTION pg_catalog.suppress_redundant_updates_trigger()",
                      "CREATE TABLE bulkhead_control.t ()", "SET session_replication_role = replica",
                      "SET ROLE bulkhead_control", "TABLE bulkhead.signing_key"):
        assert_denied(control.admin, statement)
    control.admin.execute("TABLE bulkhead_control.tenant_token; TABLE bulkhead_control.migration")


@pytest.mark.parametrize("role", ["bulkhead_pool", "stranger"])
def test_everybody_else_may_nothing(control, role):
    control.create("acme")
    with control.database.connect() as root:
        root.execute("DROP ROLE IF EXISTS stranger")
        root.execute("CREATE ROLE stranger LOGIN")
    with control.connect(role) as connection:
        for statement in (*[f"TABLE bulkhead_control.{table}" for table in TABLES],
                          "SELECT * FROM bulkhead_control.lookup_tenant('acme')",
                          "SELECT * FROM bulkhead_control.lookup_principal('acme')"):
            assert_denied(connection, statement)


def test_nothing_is_granted_to_public(control):
    granted = control.admin.execute("""
        SELECT 'schema' FROM pg_namespace, aclexplode(nspacl) a
        WHERE nspname = 'bulkhead_control' AND a.grantee = 0
        UNION ALL
        SELECT relname FROM pg_class, aclexplode(relacl) a
        WHERE relnamespace = 'bulkhead_control'::regnamespace AND a.grantee = 0
        UNION ALL
        SELECT attname FROM pg_attribute, aclexplode(attacl) a, pg_class c
        WHERE c.oid = attrelid AND relnamespace = 'bulkhead_control'::regnamespace AND a.grantee = 0
        UNION ALL
        SELECT proname FROM pg_proc p, aclexplode(coalesce(proacl, acldefault('f', proowner))) a
        WHERE pronamespace = 'bulkhead_control'::regnamespace AND a.grantee = 0
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')""").fetchall()
    assert granted == []


def test_functions_with_their_owners_rights_pin_the_search_path(control):
    loose = control.admin.execute("""
        SELECT proname FROM pg_proc WHERE pronamespace = 'bulkhead_control'::regnamespace AND prosecdef
        AND NOT coalesce(proconfig, '{}') @> ARRAY['search_path=pg_catalog, pg_temp']""").fetchall()
    assert loose == []


# ---- look-ups ----

def look_up(connection, word):
    """The tenant's id, or None."""
    rows = connection.execute("SELECT id FROM bulkhead_control.lookup_tenant(%s)", (word,)).fetchall()
    assert len(rows) <= 1
    return rows[0][0] if rows else None


def test_a_tenant_is_found_by_each_of_its_words(control, sidecar):
    acme = control.create("acme", external_key="Key 1042")
    for word in ("acme", "Key 1042", str(acme), acme.hex, str(acme).upper(), acme.hex.upper()):
        assert look_up(sidecar, word) == acme
    for word in ("Acme", "ACME", "acme ", "key 1042", "{" + str(acme) + "}", f"urn:uuid:{acme}", acme.hex[:-1],
                 acme.hex + "0", str(acme)[1:], "acm_", "acm%", "%", "", None):
        assert look_up(sidecar, word) is None, word


def test_a_look_up_tells_all_that_a_sidecar_needs(control, sidecar):
    acme = control.create("acme", external_key="1042", status="suspended")
    labs = control.create("labs", acme, status="archived", strategy="SCHEMA_PER_TENANT", pool_weight=7)
    name = f"shop-{uuid.uuid4().hex}"  # its first version is 1: nobody had the name before
    control.principal(name, acme, verifier=VERIFIER, reach="subtree", valid_until="2030-01-02 03:04:05.678Z")
    assert sidecar.execute("SELECT * FROM bulkhead_control.lookup_tenant('labs')").fetchall() == [
        (labs, [acme, labs], "labs", None, "default", "SCHEMA_PER_TENANT", "archived", 1, 7, {
            "held": ["sql.call", "sql.copy", "sql.read", "sql.write"], "read_only": False, "gate": None,
            "relations": None, "functions": None, "relations_denied": [], "functions_denied": []}, None, False, None)]
    assert sidecar.execute("SELECT * FROM bulkhead_control.lookup_principal(%s)", (name,)).fetchall() == [
        (name, VERIFIER, acme, "subtree", False, 1893553445678, 1, None, None, None)]


def test_a_look_up_follows_changes(control, sidecar):
    acme, globex = control.create("acme"), control.create("globex")
    control.set(acme, slug="acme-2", external_key="acme-key")
    assert look_up(sidecar, "acme") is None
    assert look_up(sidecar, "acme-2") == look_up(sidecar, "acme-key") == acme
    control.set(globex, slug="acme")
    assert look_up(sidecar, "acme") == globex
    control.delete(globex)
    assert look_up(sidecar, "acme") is None


HOSTILE = ["'", '"', "''; DROP TABLE bulkhead_control.tenant; --", "\\", "\\'", "$1", "$$", "%s", "_", "%", "a\u0301",
           "\u202e", "\U0001f600", "\u00a0", "NULL", "{}", "(acme)", "acme'--", "\uff10" * 20, "x" * 255]
BINARY = "".join(map(chr, range(1, 256)))


@pytest.mark.parametrize("word", HOSTILE)
def test_hostile_words_are_words(control, sidecar, word):
    control.create("other")
    assert look_up(sidecar, word) is None
    assert sidecar.execute("SELECT FROM bulkhead_control.lookup_principal(%s)", (word,)).fetchall() == []
    acme = control.create("acme", external_key=word)
    assert look_up(sidecar, word) == acme
    if len(word) < 64:
        control.principal(word, acme)
        assert sidecar.execute("SELECT name FROM bulkhead_control.lookup_principal(%s)", (word,)).fetchall() == [(word,)]


@pytest.mark.parametrize("word", [BINARY, "x" * 2**20, "f" * 2**20, "'" * 2**20, BINARY * 2**12],
                         ids=["binary", "letters", "digits", "quotes", "much binary"])
def test_words_that_no_tenant_can_have_are_unknown(control, sidecar, word):
    control.create("acme")
    for function in ("lookup_tenant", "lookup_principal"):
        assert sidecar.execute(f"SELECT FROM bulkhead_control.{function}(%s)", (word,)).fetchall() == []


def test_words_that_are_no_text_are_refused(sidecar):
    with pytest.raises(psycopg.errors.CharacterNotInRepertoire):
        sidecar.execute("SELECT * FROM bulkhead_control.lookup_tenant(convert_from(%b, 'UTF8'))", (b"acme\xff",))


# Whatever the bodies use without naming a schema, planted where the caller's search_path finds it first.
TRAP = """
CREATE FUNCTION {schema}.trap() RETURNS int LANGUAGE plpgsql AS
$$ BEGIN RAISE 'trapped as %', current_user; END $$;
CREATE FUNCTION {schema}.token_of(text) RETURNS text LANGUAGE sql AS 'SELECT {schema}.trap()::text';
CREATE FUNCTION {schema}.string_to_array(text, text) RETURNS text[] LANGUAGE sql AS 'SELECT ARRAY[{schema}.trap()::text]';
CREATE FUNCTION {schema}.replace(text, text, text) RETURNS text LANGUAGE sql AS 'SELECT {schema}.trap()::text';
CREATE FUNCTION {schema}.lower(text) RETURNS text LANGUAGE sql AS 'SELECT {schema}.trap()::text';
CREATE FUNCTION {schema}.floor(numeric) RETURNS numeric LANGUAGE sql AS 'SELECT {schema}.trap()::numeric';
CREATE FUNCTION {schema}.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT ''epoch''::timestamptz WHERE {schema}.trap() = 1';
CREATE FUNCTION {schema}.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT {schema}.now()';
CREATE FUNCTION {schema}.format(text, text) RETURNS text LANGUAGE sql AS 'SELECT {schema}.trap()::text';
CREATE FUNCTION {schema}.text_equal(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT {schema}.trap() = 1';
CREATE FUNCTION {schema}.uuid_equal(uuid, uuid) RETURNS boolean LANGUAGE sql AS 'SELECT {schema}.trap() = 1';
CREATE OPERATOR {schema}.= (LEFTARG = text, RIGHTARG = text, FUNCTION = {schema}.text_equal);
CREATE OPERATOR {schema}.~ (LEFTARG = text, RIGHTARG = text, FUNCTION = {schema}.text_equal);
CREATE OPERATOR {schema}.<> (LEFTARG = text, RIGHTARG = text, FUNCTION = {schema}.text_equal);
CREATE OPERATOR {schema}.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = {schema}.uuid_equal);
CREATE {kind} TABLE {schema}.tenant (LIKE bulkhead_control.tenant);
CREATE {kind} TABLE {schema}.tenant_token (token text, tenant_id uuid);
CREATE {kind} TABLE {schema}.principal (name text, verifier text);
CREATE {kind} TABLE {schema}.changed (tenant_id uuid);
CREATE {kind} TABLE {schema}.permission_key (LIKE bulkhead_control.permission_key);
CREATE {kind} TABLE {schema}.permission_grant (LIKE bulkhead_control.permission_grant);
CREATE {kind} TABLE {schema}.setting (LIKE bulkhead_control.setting);
CREATE FUNCTION {schema}.jsonb_trap(jsonb, text) RETURNS boolean LANGUAGE sql AS 'SELECT {schema}.trap() = 1';
CREATE OPERATOR {schema}.? (LEFTARG = jsonb, RIGHTARG = text, FUNCTION = {schema}.jsonb_trap);
CREATE FUNCTION {schema}.jsonb_typeof(jsonb) RETURNS text LANGUAGE sql AS 'SELECT {schema}.trap()::text';
CREATE FUNCTION {schema}.strpos(text, text) RETURNS int LANGUAGE sql AS 'SELECT {schema}.trap()';
"""


@pytest.mark.parametrize("schema, kind", [("trap", ""), ("pg_temp", "TEMP")])
@pytest.mark.parametrize("user", [SIDECAR, ADMIN])
def test_planted_objects_are_not_found(control, user, schema, kind):
    acme = control.create("acme")
    labs = control.create("labs", acme)
    control.principal("shop", acme, verifier=VERIFIER, valid_until="2030-01-01Z")
    with control.database.connect() as root:
        root.execute("CREATE SCHEMA trap; GRANT USAGE ON SCHEMA trap TO PUBLIC")
        root.execute(TRAP.format(schema="trap", kind=""))
    try:
        with control.database.connect() as connection:
            if schema == "pg_temp":
                connection.execute(TRAP.format(schema=schema, kind=kind))
            connection.execute(f"SET SESSION AUTHORIZATION {user}")
            connection.execute(f"SET search_path = {schema}, trap, pg_catalog")
            with pytest.raises(psycopg.errors.RaiseException):
                connection.execute("SELECT lower('A')" if schema == "trap" else "SELECT pg_temp.lower('A')")

            assert connection.execute("SELECT slug FROM bulkhead_control.lookup_tenant(%s)",
                                      (acme.hex.upper(),)).fetchall() == [("acme",)]
            assert connection.execute("SELECT verifier FROM bulkhead_control.lookup_principal('shop')").fetchall() == [
                (VERIFIER,)]
            if user == ADMIN:
                globex = control.create("globex", on=connection)
                connection.execute("UPDATE bulkhead_control.tenant SET parent_id = %s, slug = 'labs-2' "
                                   "WHERE slug OPERATOR(pg_catalog.=) 'labs'", (globex,))
                connection.execute("UPDATE bulkhead_control.principal SET disabled = true")
                for verb in ("suspend", "archive", "restore", "resume"):
                    connection.execute("SELECT * FROM bulkhead_control.change_tenant_status(%s, %s, true)",
                                       (globex, verb))
                assert connection.execute("SELECT path FROM bulkhead_control.move_tenant(%s, %s)",
                                          (globex, acme)).fetchall() == [("acme/globex",), ("acme/globex/labs-2",)]
                for change in ("set_permission(%s, 'sql.relations', '[\"a*\", \"b\"]', 'DELEGATED', 'SOFT')",
                               "set_setting(%s, 'proxy.gate', '\"off\"', true)",
                               "revoke_permission(%s, 'sql.relations')", "unset_setting(%s, 'proxy.gate')"):
                    assert connection.execute(f"SELECT version FROM bulkhead_control.{change}", (globex,)).fetchall()
                for function in ("resolve_permissions", "resolve_settings"):
                    assert connection.execute(f"SELECT key FROM bulkhead_control.{function}(%s)", (globex,)).fetchall()
                connection.execute("INSERT INTO bulkhead_control.permission_key (key, kind, elements, shared_default, "
                                   "schema_default, database_default, description) VALUES ('test.trap', 'set', "
                                   "'names', '[\"a.b*\"]', '[]', '[]', 'x')")
                connection.execute("DELETE FROM bulkhead_control.permission_key WHERE NOT builtin")
        if user == ADMIN:
            assert control.path(labs) == [acme, globex, labs] and control.version(labs) == 11
        assert control.violations() == []
    finally:
        with control.database.connect() as root:
            root.execute("DROP SCHEMA trap CASCADE")
