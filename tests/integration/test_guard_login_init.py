"""`bulkhead init --guard login`: what it does without a superuser, what it could not do, and what may follow."""

import json
import os
import subprocess

import pytest
from harness.catalog import catalog_of, difference
from harness.guard import ACME, GLOBEX, Guard, must_init, refused, run_init
from harness.guard_init import assert_refused, printed
from harness.guard_login import HALF, login_of, make_login, managed_server
from harness.postgres import PG_BIN
from harness.program import PROGRAM


@pytest.fixture(name="server", params=[15, 18])
def fixture_server(request):
    """A server that has never seen a guard: its roles are still to be made."""
    with managed_server(request, request.param) as server:
        yield server


@pytest.fixture(name="database")
def fixture_database(server):
    return server.database()


@pytest.fixture(name="keys")
def fixture_keys(tmp_path):
    return tmp_path / "keys"


def catalog(database):
    with database.connect() as superuser:
        return catalog_of(superuser)


def installed(database):
    with database.connect() as superuser:
        return superuser.execute("SELECT to_regnamespace('bulkhead') IS NOT NULL").fetchone()[0]


def test_it_does_what_the_role_may_and_says_what_it_may_not(server, database, keys):
    done = server.must_init(database, keys)
    assert "guard = login" in done.stdout and "login = " not in done.stdout.replace("guard = login", "")
    warning, detail, hint, *rest = done.stderr.splitlines()
    assert warning == "WARNING:  hardening: these stay open to PUBLIC, since only a superuser can take them away"
    assert "pg_stat_activity" in detail and "lo_get(oid)" in detail and hint.startswith("HINT:") and not rest
    assert {path.name for path in keys.iterdir()} == {
        "api.password", "api.pepper", "cluster.secret", "guard.key", "master.key", "operator.key", "sidecar.password"}
    with database.connect(HALF) as half:
        members = half.execute("SELECT pg_has_role('bulkhead_guard', 'USAGE')").fetchone()
        assert members == (False,), "who installed it is the guard no longer"
        with refused("42501"):
            half.execute("SET ROLE bulkhead_guard")
        assert half.execute("SELECT has_schema_privilege('bulkhead', 'CREATE')").fetchone() == (False,)
        assert half.execute("SELECT count(*) FROM bulkhead_control.tenant").fetchone() == (0,)


def test_a_second_run_changes_nothing(server, database, keys):
    server.must_init(database, keys)
    before = catalog(database)
    files = {path.name: path.read_bytes() for path in keys.iterdir()}
    server.must_init(database, keys)
    assert difference(before, catalog(database)) == []
    assert {path.name: path.read_bytes() for path in keys.iterdir()} == files


def test_a_second_run_mends_what_was_changed(server, database, keys):
    server.must_init(database, keys)
    before = catalog(database)
    with database.connect() as superuser:
        superuser.execute("GRANT EXECUTE ON ALL ROUTINES IN SCHEMA bulkhead TO PUBLIC, bulkhead_app; "
                          "ALTER ROLE bulkhead_app LOGIN NOINHERIT; GRANT CREATE ON SCHEMA public TO PUBLIC")
        if server.major < 16:
            superuser.execute(f"GRANT bulkhead_guard TO {HALF}")
    server.must_init(database, keys)
    assert difference(before, catalog(database)) == []


def test_the_printed_sql_makes_the_same_installation(server, keys):
    one, other = server.database(), server.database()
    server.must_init(one, keys)
    script = printed("--guard", "login")
    assert "GUARD_KEY" not in script
    for _ in range(2):
        done = subprocess.run([PG_BIN / "psql", "-X", "-d", other.conninfo(HALF)], input=script, text=True,
                              capture_output=True, check=False)
        assert done.returncode == 0 and done.stdout == "" and "these stay open to PUBLIC" in done.stderr, done.stderr
        assert difference(catalog(one), catalog(other)) == []


def test_the_password_of_the_sidecars_is_in_no_log(server, database, keys):
    server.must_init(database, keys, env={**os.environ, "PGOPTIONS": "-c client_min_messages=log"})
    assert (keys / "sidecar.password").read_text().strip() not in server.postgres.log_text()


def test_the_sidecars_login_is_not_given_another_password(server, database, keys, tmp_path):
    server.must_init(database, keys)
    assert_refused(server.init(server.database(), tmp_path / "others"), 'login "bulkhead_sidecar" is there already')
    server.must_init(server.database(), keys)


def test_strict_is_refused_where_it_cannot_be_had(server, database, keys):
    assert_refused(server.init(database, keys, "--hardening", "strict"), "PUBLIC may still execute",
                   "Standard hardening does without")
    assert not installed(database)


def test_a_superuser_may_take_all_of_it(server, database, keys):
    must_init("--dsn", database.conninfo(), "--guard", "login", "--keys", keys, "--hardening", "strict")
    with database.connect() as superuser:
        assert superuser.execute("SELECT bulkhead.guard_mode()").fetchone() == ("login",)
        superuser.execute("CREATE TABLE t (tenant_id uuid PRIMARY KEY)")
        superuser.execute("SELECT bulkhead.protect('t', 'tenant_id'); GRANT SELECT ON t TO bulkhead_app")
        superuser.execute("INSERT INTO t VALUES (%s)", (ACME,))
        make_login(superuser, ACME)
        with database.connect(login_of(ACME)) as acme:
            assert acme.execute("SELECT count(*) FROM t").fetchone() == (1,)
            assert acme.execute("SELECT faults FROM bulkhead.login_check()").fetchone() == ("",)
            with refused("42501"):
                acme.execute("SELECT * FROM pg_stat_activity")
        assert superuser.execute("SELECT * FROM bulkhead.findings() WHERE severity = 'critical'").fetchall() == []


# ---- who may not ----

@pytest.mark.parametrize("attributes, owns", [("CREATEDB", True), ("CREATEROLE", False)])
def test_who_may_not_make_roles_or_schemas_is_told_so(server, database, keys, attributes, owns):
    with server.postgres.connect() as superuser:
        superuser.execute(f"CREATE ROLE less LOGIN {attributes}")
        if owns:
            superuser.execute(f'ALTER DATABASE "{database.name}" OWNER TO less')
    assert_refused(server.init(database, keys, user="less"))
    assert not installed(database)


def test_another_administrator_is_told_what_he_needs(server, database, keys):
    """Since PostgreSQL 16 a role is managed by who made it; before, by whoever may make roles."""
    server.must_init(database, keys)
    other = server.database()
    with server.postgres.connect() as superuser:
        superuser.execute(f'CREATE ROLE second LOGIN CREATEROLE; ALTER DATABASE "{other.name}" OWNER TO second')
        done = server.init(other, keys, user="second")
        if server.major < 16:
            assert done.returncode == 0, done.stderr
            return
        assert_refused(done)
        superuser.execute("GRANT bulkhead_control, bulkhead_admin, bulkhead_sidecar, bulkhead_api TO second WITH ADMIN OPTION")
        assert_refused(server.init(other, keys, user="second"),
                       "GRANT bulkhead_guard, bulkhead_app TO second WITH ADMIN OPTION")
        superuser.execute("GRANT bulkhead_guard, bulkhead_app TO second WITH ADMIN OPTION, INHERIT FALSE, SET FALSE")
        server.must_init(other, keys, user="second")


# ---- the tables' owner ----

OWNERS_TABLES = """
SET ROLE app_owner;
CREATE TABLE app.t (tenant_id uuid, id int, note text, PRIMARY KEY (tenant_id, id));
INSERT INTO app.t VALUES ('{acme}', 1, 'x');
SELECT bulkhead.protect('app.t', 'tenant_id');
"""


def test_an_owner_that_cannot_be_given_bypassrls_is_named_and_has_a_way(server, database, keys):
    with database.connect(HALF) as half:
        half.execute(f"CREATE ROLE app_owner; GRANT app_owner TO {HALF}; CREATE SCHEMA app AUTHORIZATION app_owner")
        done = server.must_init(database, keys, "--owner", "app_owner")
        assert 'role "app_owner" owns the tables and cannot be given BYPASSRLS here' in done.stderr
        assert "NO FORCE ROW LEVEL SECURITY" in done.stderr
        half.execute(OWNERS_TABLES.format(acme=ACME))
        with refused("BH001"):
            half.execute("UPDATE app.t SET note = 'y'")
        with refused("BH001"):
            half.execute("ALTER TABLE app.t ADD CHECK (note <> 'z'), ADD FOREIGN KEY (tenant_id, id) REFERENCES app.t")
        with half.transaction():
            half.execute("ALTER TABLE app.t NO FORCE ROW LEVEL SECURITY; UPDATE app.t SET note = 'y'; "
                         "ALTER TABLE app.t FORCE ROW LEVEL SECURITY")
        half.execute("ALTER TABLE app.t ADD more int DEFAULT 7")  # defining needs no rows
        with refused("BH001"):
            half.execute("SELECT * FROM app.t")


def test_an_administrator_who_bypasses_can_give_it_since_16(request, keys):
    for major, given in ((15, False), (18, True)):
        with managed_server(request, major, "BYPASSRLS") as server:
            database = server.database()
            with database.connect(HALF) as half:
                half.execute("CREATE ROLE app_owner")
                done = server.must_init(database, keys.with_name(f"keys{major}"), "--owner", "app_owner")
                assert ("cannot be given BYPASSRLS" in done.stderr) != given
                bypasses = half.execute("SELECT rolbypassrls FROM pg_roles WHERE rolname = 'app_owner'").fetchone()
                assert bypasses == (given,)


def test_the_administrator_may_own_the_tables(server, database, keys):
    done = server.must_init(database, keys, "--owner", HALF)
    assert f'role "{HALF}" owns the tables' in done.stderr


# ---- what may follow ----

def test_a_superuser_makes_it_a_sealed_one(server, database, keys):
    """Tables, keys and tenants' logins stay; the administrator is the guard's no longer."""
    server.must_init(database, keys)
    with database.connect(HALF) as half:
        half.execute("CREATE TABLE t (account bigint, tenant_id uuid, PRIMARY KEY (account)); INSERT INTO t VALUES "
                     "(42), (43)")
        half.execute("SELECT bulkhead.protect('t', 'account', 'key'); GRANT SELECT ON t TO bulkhead_app")
        half.execute("SELECT bulkhead.set_login_key(%s, '42')", (ACME,))
        make_login(half, ACME)
        must_init("--dsn", database.conninfo(), "--keys", keys)
        assert half.execute("SELECT bulkhead.guard_mode()").fetchone() == ("sealed",)
        half.execute("SELECT bulkhead.set_login_key(%s, '42')", (ACME,))
    with database.connect() as superuser:
        members = "SELECT count(*) FROM pg_auth_members WHERE roleid = 'bulkhead_guard'::regrole"
        assert superuser.execute(members).fetchone() == (0,)
        assert [row for row in superuser.execute("SELECT id, object FROM bulkhead.findings() WHERE severity = "
                                                 "'critical'")] == []
    guard = Guard(database, keys)
    with guard.tenant("44444444-4444-4444-8444-444444444444", "43") as sealed:
        assert sealed.execute("SELECT account FROM t").fetchall() == [(43,)]
    with database.connect(login_of(ACME)) as acme:
        assert acme.execute("SELECT account FROM t").fetchall() == [(42,)]
        assert acme.execute("SELECT faults FROM bulkhead.login_check()").fetchone() == ("",)
    must_init("--dsn", database.conninfo(), "--keys", keys)


def test_a_sealed_one_stays(server, database, keys):
    must_init("--dsn", database.conninfo(), "--keys", keys)
    before = catalog(database)
    for user in ("postgres", HALF):
        done = run_init("--dsn", database.conninfo(user), "--guard", "login", "--keys", keys)
        assert_refused(done)
    assert "the guard of this database is a sealed one, which stays" in run_init(
        "--dsn", database.conninfo(), "--guard", "login", "--keys", keys).stderr
    assert difference(before, catalog(database)) == []


def test_without_a_superuser_the_usual_guard_says_what_else_there_is(server, database, keys):
    assert_refused(run_init("--dsn", database.conninfo(HALF), "--keys", keys), "must be a superuser", "--guard login")


def test_lint_needs_no_superuser_and_finds_logins_that_the_control_schema_does_not_know(server, database, keys):
    server.must_init(database, keys)
    lint = [PROGRAM, "lint", "--json", "--dsn", database.conninfo(HALF)]
    assert subprocess.run(lint, capture_output=True, check=False).returncode == 0
    with database.connect(HALF) as half:
        half.execute("INSERT INTO bulkhead_control.tenant (id, slug, name) VALUES (%s, 'acme', 'Acme')", (ACME,))
        make_login(half, ACME)
        assert subprocess.run(lint, capture_output=True, check=False).returncode == 0
        make_login(half, GLOBEX)
        done = subprocess.run(lint, capture_output=True, check=False)
        found, = [row for row in json.loads(done.stdout) if row["severity"] != "notice"]
        assert (done.returncode, found["id"], found["object"]) == (1, "stray-login", login_of(GLOBEX))
        half.execute(found["mend"])
        assert subprocess.run(lint, capture_output=True, check=False).returncode == 0
