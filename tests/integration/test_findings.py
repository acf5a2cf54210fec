"""bulkhead.findings(): each finding is provoked, and goes when its own statement is run."""

import re
import time

import pytest
from finding_cases import CASES, DATABASE_CASES, STRICT_CASES
from harness.findings import SHOP, findings, mend
from harness.guard import POOL, Guard, must_init, refused
from harness.postgres import Postgres
from harness.program import ROOT

ID = re.compile(r"'([a-z]+(?:-[a-z]+)+)'")


@pytest.fixture(scope="module")
def server(template):
    """A server of its own, since roles and what hardening takes are spoiled here."""
    server = Postgres(template).start()
    with server.connect() as admin:
        admin.execute("CREATE ROLE app_owner; CREATE ROLE shop_group")
    yield server
    server.remove()


def install(server, keys, *arguments):
    guard = Guard.install(server, keys, "--owner", "app_owner", *arguments)
    with guard.admin() as admin:
        admin.execute(SHOP)
    return guard


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return tmp_path_factory.mktemp("findings") / "keys"


@pytest.fixture(scope="module")
def original(server, keys):
    return install(server, keys)


@pytest.fixture(scope="module")
def strict_original(server, keys):
    return install(server, keys, "--hardening", "strict")


def cloned(original):
    guard = original.clone()
    yield guard
    guard.drop()
    with original.database.cluster.connect() as admin:
        for role in (POOL, "bulkhead_app", "bulkhead_guard"):  # where a finding was not mended, the next test needs it
            admin.execute(f"ALTER ROLE {role} NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION")
        admin.execute("ALTER ROLE app_owner NOLOGIN BYPASSRLS; REVOKE shop_group FROM bulkhead_pool")


@pytest.fixture
def sound(original):
    yield from cloned(original)


@pytest.fixture
def strict(strict_original):
    for guard in cloned(strict_original):
        with guard.admin() as admin:  # a database's own privileges are not copied with it
            admin.execute(f'REVOKE TEMPORARY ON DATABASE "{guard.database.name}" FROM PUBLIC')
        yield guard


def of(found, case, database):
    """The finding of the case, if it is among those."""
    return [one for one in found if (one.id, one.object) == (case.finding, case.object.format(database=database))]


def ask(guard, case):
    """On a new connection, which knows what the server's configuration says by now."""
    with guard.admin() as admin:
        return of(findings(admin), case, guard.database.name)


def assert_shown_and_mended(guard, case):
    try:
        with guard.admin() as admin:
            assert findings(admin) == []  # the control
            admin.execute(case.spoil)
            if "ALTER SYSTEM" in case.spoil:
                reload(admin)
        found = ask(guard, case)
        assert [one.severity for one in found] == [case.severity] * len(found) and found
        with guard.admin() as admin:
            for one in found:
                assert one.why.endswith(".") and one.mend.endswith(";")
                mend(admin, one)
            if "ALTER SYSTEM" in case.spoil:
                reload(admin)
        assert ask(guard, case) == []
    finally:
        with guard.admin() as admin:
            admin.execute(case.undo)


def reload(admin):
    admin.execute("SELECT pg_reload_conf()")
    time.sleep(0.3)


@pytest.mark.parametrize("case", [
    pytest.param(case, id=str(case), marks=pytest.mark.longer if nth % 3 else ())
    for nth, case in enumerate(CASES + DATABASE_CASES)])
def test_a_finding_is_shown_and_its_statement_mends_it(sound, case):
    assert_shown_and_mended(sound, case)


@pytest.mark.parametrize("case", STRICT_CASES, ids=str)
def test_what_strict_hardening_takes_is_read_back(strict, case):
    assert_shown_and_mended(strict, case)


def ids_in_sql():
    lines = [line for path in (ROOT / "policy/guard").glob("findings_*.sql") for line in path.read_text().splitlines()
             if re.match(r"\(?SELECT ", line)]
    return {found for line in lines for found in ID.findall(line)}


def test_every_finding_has_a_case():
    assert ids_in_sql() == {case.finding for case in CASES + DATABASE_CASES + STRICT_CASES} | {"guard-missing", "stray-login"}


def test_every_finding_is_documented():
    documented = re.findall(r"^\| `([a-z-]+)` \|", (ROOT / "docs/findings.md").read_text(), re.M)
    assert len(documented) == len(set(documented))
    assert set(documented) == ids_in_sql()


# ---- what is no finding ----

SOUND = {
    "the policy in its old form": "DROP POLICY bulkhead_tenant ON app.orders; CREATE POLICY bulkhead_tenant ON "
    "app.orders "
        "AS RESTRICTIVE USING (tenant_id = (SELECT bulkhead.tenant_id())) WITH CHECK (tenant_id = (SELECT "
        "bulkhead.tenant_id()))",
    "an invoker's view": "CREATE VIEW app.v WITH (security_invoker = 1) AS SELECT * FROM app.orders; GRANT SELECT ON "
    "app.v TO PUBLIC",
    "an invoker's view under a definer's": "CREATE VIEW app.v WITH (security_invoker) AS SELECT * FROM app.orders; "
        "CREATE VIEW app.w AS SELECT * FROM app.v; GRANT SELECT ON app.w TO PUBLIC",
    "a materialized view that nobody reads": "CREATE MATERIALIZED VIEW app.m AS SELECT * FROM app.orders",
    "a pinned definer function of a bound owner": "CREATE FUNCTION app.f() RETURNS int LANGUAGE sql SECURITY DEFINER "
        "SET search_path = pg_catalog, pg_temp AS 'SELECT 1'; ALTER FUNCTION app.f OWNER TO shop_group",
    "a table that tenants do not reach": "CREATE TABLE app.internal (x int)",
    "a temporary table": "CREATE TEMPORARY TABLE t (tenant_id uuid)",
    "an extension's table": "CREATE EXTENSION pg_trgm; CREATE EXTENSION hstore",
    "a foreign key to a shared table": "CREATE TABLE app.lookup (code text PRIMARY KEY); ALTER TABLE app.orders "
        "ADD FOREIGN KEY (note) REFERENCES app.lookup",
    "the owner's default privileges for others": "ALTER DEFAULT PRIVILEGES FOR ROLE app_owner GRANT SELECT ON TABLES "
    "TO shop_group",
    "settings that say what holds anyway": "ALTER ROLE ALL SET row_security = on",
}


@pytest.mark.parametrize("case", SOUND)
def test_what_is_sound_is_no_finding(sound, case):
    with sound.admin() as admin:
        try:
            admin.execute(SOUND[case])
            assert findings(admin) == []
        finally:
            admin.execute("ALTER ROLE ALL RESET ALL")


def test_all_kinds_of_tenant_columns_are_known(sound):
    """The policies that protect makes for every type are the ones that findings() expects."""
    kinds = [("uuid", "id"), ("text", "id"), ("varchar(40)", "id"), ("uuid", "key"), ("text", "key"), ("varchar",
                                                                                                       "key"),
             ("bigint", "key"), ("int", "key"), ("smallint", "key"), ("app.d_uuid", "id"), ("app.d_big", "key")]
    with sound.admin() as admin:
        admin.execute("CREATE DOMAIN app.d_uuid AS uuid; CREATE DOMAIN app.d_big AS bigint")
        for number, (kind, by) in enumerate(kinds):
            admin.execute(f'CREATE TABLE app.t{number} ("The tenant" {kind}); CREATE INDEX ON app.t{number} ("The '
                          f'tenant"); '
                          f"SELECT bulkhead.protect('app.t{number}', 'The tenant', by => '{by}')")
        assert findings(admin) == []
        admin.execute("DROP POLICY bulkhead_tenant ON app.t6")
        (found,) = findings(admin)
        mend(admin, found)
        assert findings(admin) == []


def test_a_strict_database_is_sound_and_has_no_findings(strict):
    with strict.admin() as admin:
        assert findings(admin) == []


# ---- who may ask, and how ----

def test_findings_are_for_administrators(sound):
    with sound.connect() as pool:
        with refused("42501"):
            pool.execute("SELECT * FROM bulkhead.findings()")
    with sound.admin() as admin:
        admin.execute("SET ROLE app_owner")
        with refused("42501"):
            admin.execute("SELECT * FROM bulkhead.findings()")


def test_a_planted_search_path_changes_nothing(sound):
    with sound.admin() as admin:
        admin.execute("CREATE TABLE app.t (tenant_id uuid)")
        expected = findings(admin)
        admin.execute("CREATE SCHEMA evil; CREATE TABLE evil.pg_class (LIKE pg_catalog.pg_class); "
                      "CREATE FUNCTION evil.format(text, VARIADIC text[]) RETURNS text LANGUAGE sql AS $$SELECT "
                      "'evil'$$; "
                      "CREATE FUNCTION evil.quote_ident(name) RETURNS text LANGUAGE sql AS $$SELECT 'evil'$$; "
                      "CREATE TEMPORARY TABLE pg_policy (x int); CREATE TEMPORARY TABLE pg_roles (x int); "
                      "SET search_path = evil, pg_temp, pg_catalog")
        rows = admin.execute("SELECT * FROM bulkhead.findings()").fetchall()
        assert [tuple(one) for one in expected] == rows and len(rows) == 1


def test_the_guard_can_be_upgraded_over_an_older_findings(sound, keys):
    with sound.admin() as admin:
        admin.execute("DROP FUNCTION bulkhead.findings()")
    must_init("--dsn", sound.database.conninfo(), "--keys", keys, "--owner", "app_owner")
    with sound.admin() as admin:
        assert findings(admin) == []
        assert not admin.execute(f"SELECT has_function_privilege('{POOL}', 'bulkhead.findings()', "
                                 f"'EXECUTE')").fetchone()[0]
