"""`bulkhead init` where it must refuse: it says why, and leaves nothing."""

import shutil
import subprocess

import pytest
from harness.catalog import catalog_of, difference
from harness.guard import VERSION, must_init, run_init
from harness.guard_init import assert_refused, has_guard, init, printed, roles, run_script
from harness.program import PROGRAM


@pytest.fixture(scope="module")
def refusing(guard_original, guard_keys):
    """A database in which no test's init may succeed or leave a trace, until all are done."""
    with guard_original.database.cluster.connect() as admin:
        admin.execute("CREATE DATABASE refusing")
    database = guard_original.database.cluster.database("refusing")
    yield database
    assert not has_guard(database)
    assert init(database, guard_keys, "--hardening", "strict").returncode == 0  # the control: nothing stands in its way
    database.drop()


# ---- names ----

@pytest.mark.parametrize("login, words", [
    ("", "cannot be the pool's login"), ("p" * 64, "cannot be the pool's login"),
    *((name, f'"{name}" cannot be the pool\'s login') for name in (
        "public", "none", "pg_monitor", "pg_new", "t_" + "0a" * 16, "bulkhead_guard", "bulkhead_app",
        "bulkhead_control", "bulkhead_admin", "bulkhead_sidecar")),
    ("postgres", "is a superuser and cannot be the pool's login"),
])
def test_names_that_the_pools_login_cannot_have(refusing, guard_keys, login, words):
    before = roles(refusing)
    assert_refused(init(refusing, guard_keys, "--pool-login", login), words)
    assert roles(refusing) == before


@pytest.mark.parametrize("owner, words", [
    ("nosuch", 'role "nosuch", which is to own the tables, does not exist'),
    ("bulkhead_pool", "cannot both own the tables and be the pool's login"),
    *((name, f'role "{name}" cannot own the tables') for name in (
        "bulkhead_guard", "bulkhead_app", "bulkhead_control", "bulkhead_admin", "bulkhead_sidecar")),
    ("o" * 64, "does not exist"), ("public", "does not exist"),
])
def test_names_that_the_tables_owner_cannot_have(refusing, guard_keys, owner, words):
    with refusing.connect() as admin:
        admin.execute("CREATE ROLE " + "o" * 63)  # PostgreSQL would cut the longer name to this
    try:
        before = roles(refusing)
        assert_refused(init(refusing, guard_keys, "--owner", owner), words)
        assert roles(refusing) == before
    finally:
        with refusing.connect() as admin:
            admin.execute("DROP ROLE " + "o" * 63)


def test_an_owner_that_the_pool_belongs_to_is_refused(refusing, guard_keys):
    with refusing.connect() as admin:
        admin.execute("CREATE ROLE app_owner; GRANT app_owner TO bulkhead_pool")
        try:
            assert_refused(init(refusing, guard_keys, "--owner", "app_owner"), "bulkhead_pool is a member of app_owner")
        finally:
            admin.execute("DROP ROLE app_owner")


# ---- who may install ----

@pytest.fixture
def administrator(unguarded):
    """A login with every attribute but SUPERUSER, which owns the database."""
    with unguarded.connect() as admin:
        admin.execute(f'CREATE ROLE half LOGIN CREATEROLE CREATEDB REPLICATION BYPASSRLS; '
                      f'ALTER DATABASE "{unguarded.name}" OWNER TO half')
        yield "half"
        admin.execute("REASSIGN OWNED BY half TO postgres; DROP OWNED BY half")
        admin.execute("REVOKE ALL ON PARAMETER backtrace_functions FROM half CASCADE; DROP ROLE half")


def test_who_is_no_superuser_is_told_so(unguarded, guard_keys, administrator, tmp_path):
    fresh = tmp_path / "fresh"
    assert_refused(run_init("--dsn", unguarded.conninfo(administrator), "--keys", fresh), "must be a superuser")
    assert not fresh.exists()
    assert_refused(run_init("--dsn", unguarded.conninfo(administrator), "--keys", guard_keys), "superuser")
    assert not has_guard(unguarded)
    must_init("--dsn", unguarded.conninfo(), "--keys", guard_keys)


def test_the_right_to_grant_the_setting_alone_does_not_install(unguarded, guard_keys, administrator):
    with unguarded.connect() as admin:
        admin.execute(f"GRANT SET ON PARAMETER backtrace_functions TO {administrator} WITH GRANT OPTION")
    assert_refused(run_init("--dsn", unguarded.conninfo(administrator), "--keys", guard_keys), "superuser")
    assert not has_guard(unguarded)


# ---- privileges are read back ----

HELD = [  # granted to PUBLIC by someone else, which the superuser's REVOKE does not take
    ("standard", "EXECUTE ON FUNCTION pg_cancel_backend(int)", "PUBLIC may still execute pg_cancel_backend(integer)"),
    ("standard", "SELECT ON pg_stat_activity", "PUBLIC may still use pg_stat_activity"),
    ("standard", "SELECT (query) ON pg_stat_activity", "PUBLIC may still use pg_stat_activity"),
    ("strict", "EXECUTE ON FUNCTION set_config(text, text, boolean)", "PUBLIC may still execute set_config"),
    ("strict", "TEMPORARY ON DATABASE {database}", "bulkhead_pool may still make temporary tables"),
]


@pytest.mark.parametrize("hardening, privilege, words", HELD)
def test_what_cannot_be_revoked_is_an_error(refusing, guard_keys, hardening, privilege, words):
    privilege = privilege.replace("{database}", f'"{refusing.name}"')
    with refusing.connect() as admin:
        admin.execute(f"CREATE ROLE holder; GRANT {privilege} TO holder WITH GRANT OPTION")
        admin.execute(f"SET ROLE holder; GRANT {privilege} TO PUBLIC; RESET ROLE")
        try:
            assert_refused(init(refusing, guard_keys, "--hardening", hardening), words)
        finally:
            admin.execute(f"REVOKE {privilege} FROM holder CASCADE; DROP ROLE holder")


FAULTS = {  # how to spoil an installation, how to mend it, what must be said
    "a member of the guard": ("GRANT bulkhead_guard TO stranger", "REVOKE bulkhead_guard FROM stranger",
                              "stranger is a member of bulkhead_guard"),
    "the guard in a group": ("GRANT stranger TO bulkhead_guard", "REVOKE stranger FROM bulkhead_guard",
                             "bulkhead_guard is a member of stranger"),
    "the pool reads all": ("GRANT pg_read_all_data TO bulkhead_pool", "REVOKE pg_read_all_data FROM bulkhead_pool",
                           "bulkhead_pool is a member of pg_read_all_data"),
    "another may set the seal": ("GRANT SET ON PARAMETER backtrace_functions TO stranger",
                                 "REVOKE SET ON PARAMETER backtrace_functions FROM stranger",
                                 "stranger may set backtrace_functions"),
    "all may set the seal": ("GRANT SET ON PARAMETER backtrace_functions TO PUBLIC",
                             "REVOKE SET ON PARAMETER backtrace_functions FROM PUBLIC",
                             "PUBLIC may set backtrace_functions"),
    "settings of the pool's": ("ALTER ROLE bulkhead_pool SET work_mem = '8MB'", "ALTER ROLE bulkhead_pool RESET ALL",
                               "bulkhead_pool has settings of its own"),
    "a seal by default": ("ALTER DATABASE {database} SET backtrace_functions = 'x'",
                          "ALTER DATABASE {database} RESET backtrace_functions", 'backtrace_functions is "x" by default'),
    "a stranger's table": ("CREATE TABLE bulkhead.mine ()", "DROP TABLE bulkhead.mine",
                           "table bulkhead.mine belongs to postgres"),
    "a stranger's function": ("CREATE FUNCTION bulkhead.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
                              "DROP FUNCTION bulkhead.mine()", "function bulkhead.mine() belongs to postgres"),
    "a stranger's type": ("CREATE DOMAIN bulkhead.mine AS int", "DROP DOMAIN bulkhead.mine",
                          "type bulkhead.mine belongs to postgres"),
    "a function of another owner": ("ALTER FUNCTION bulkhead.hmac(bytea, bytea, bytea) OWNER TO postgres",
                                    "ALTER FUNCTION bulkhead.hmac(bytea, bytea, bytea) OWNER TO bulkhead_guard",
                                    "function bulkhead.hmac(bytea,bytea,bytea) belongs to postgres"),
    "a policy on the keys": ("CREATE POLICY p ON bulkhead.signing_key USING (true)",
                             "DROP POLICY p ON bulkhead.signing_key", "bulkhead.signing_key is open to others"),
    "a grant on the keys": ("GRANT SELECT ON bulkhead.signing_key TO stranger",
                            "REVOKE SELECT ON bulkhead.signing_key FROM stranger",
                            "bulkhead.signing_key is open to others"),
    "a grant on a column of the keys": ("GRANT SELECT (kid) ON bulkhead.signing_key TO stranger",
                                        "REVOKE SELECT (kid) ON bulkhead.signing_key FROM stranger",
                                        "bulkhead.signing_key is open to others"),
    "creating in the guard's schema": ("GRANT CREATE ON SCHEMA bulkhead TO stranger",
                                       "REVOKE CREATE ON SCHEMA bulkhead FROM stranger",
                                       "stranger may create in schema bulkhead"),
    "the pool creates in a schema": ("CREATE SCHEMA app; GRANT CREATE ON SCHEMA app TO bulkhead_app", "DROP SCHEMA app",
                                     "bulkhead_pool may create in schema app"),
    "the pool creates schemas": ("GRANT CREATE ON DATABASE {database} TO bulkhead_pool",
                                 "REVOKE CREATE ON DATABASE {database} FROM bulkhead_pool",
                                 "bulkhead_pool may create schemas"),
    "the pool may not connect": ("GRANT CONNECT ON DATABASE {database} TO bulkhead_sidecar, bulkhead_api; "
                                 "REVOKE CONNECT ON DATABASE {database} FROM PUBLIC",
                                 "REVOKE CONNECT ON DATABASE {database} FROM bulkhead_sidecar, bulkhead_api; "
                                 "GRANT CONNECT ON DATABASE {database} TO PUBLIC", "bulkhead_pool may not connect"),
    "the pool owns a table": ("CREATE TABLE mine (); ALTER TABLE mine OWNER TO bulkhead_pool", "DROP TABLE mine",
                              "bulkhead_pool owns table public.mine"),
    "the group owns a function": ("CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'; "
                                  "ALTER FUNCTION mine() OWNER TO bulkhead_app", "DROP FUNCTION mine()",
                                  "bulkhead_app owns function public.mine()"),
}


@pytest.fixture(scope="module")
def mended(guard_original, guard_keys):
    """An installation that each test spoils and mends; at the end init succeeds and changes nothing."""
    guard = guard_original.clone()
    with guard.admin() as admin:
        admin.execute("CREATE ROLE stranger; SET client_min_messages = error; "
                      f'GRANT CONNECT ON DATABASE "{guard.database.name}" TO PUBLIC')
        before = catalog_of(admin)
        yield guard, admin
        must_init("--dsn", guard.database.conninfo(), "--keys", guard_keys)
        assert difference(before, catalog_of(admin)) == []
        admin.execute("DROP ROLE stranger")
    guard.drop()


@pytest.mark.parametrize("case", FAULTS)
def test_an_installation_that_would_not_hold_is_refused(mended, guard_keys, case):
    guard, admin = mended
    spoil, mend, words = (text.replace("{database}", f'"{guard.database.name}"') for text in FAULTS[case])
    try:
        admin.execute(spoil)
        assert_refused(init(guard.database, guard_keys), words)
    finally:
        admin.execute(mend)


@pytest.mark.parametrize("schema, words", [("bulkhead", 'there is a schema "bulkhead" that is not the guard\'s'),
                                           ("bulkhead_control", "schema bulkhead_control exists and belongs to postgres")])
def test_a_schema_of_someone_elses_is_not_adopted(unguarded, guard_keys, schema, words):
    with unguarded.connect() as admin:
        admin.execute(f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.kept ()")
        assert_refused(init(unguarded, guard_keys), words)
        kept = admin.execute("SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace", (schema,))
        assert kept.fetchall() == [("kept",)]


# ---- versions ----

@pytest.mark.parametrize("how", ["init", "print"])
def test_a_newer_guard_is_left_alone(guard, guard_keys, how):
    with guard.admin() as admin:
        admin.execute("CREATE OR REPLACE FUNCTION bulkhead.guard_version() RETURNS integer LANGUAGE sql IMMUTABLE "
                      f"PARALLEL SAFE RETURN {VERSION + 1}; DROP FUNCTION bulkhead.unprotect(regclass)")
        before = catalog_of(admin)
        words = f"version {VERSION + 1} of the guard is installed here, this program brings version {VERSION}"
        if how == "init":
            assert_refused(init(guard.database, guard_keys), words)
        else:
            done = run_script(guard.database, guard_keys, printed(), check=False)
            assert done.returncode == 3 and words in done.stderr
        assert difference(before, catalog_of(admin)) == []


# ---- keys and passwords that are there ----

def test_a_login_with_a_password_and_no_file_for_it_is_left_alone(refusing, guard_keys, tmp_path):
    password = (guard_keys / "pool.password").read_text().strip()
    assert_refused(init(refusing, tmp_path / "new"), 'login "bulkhead_pool" has a password already',
                   "pool.password is missing")
    assert not (tmp_path / "new").exists()
    refusing.connect("bulkhead_pool", password=password, tcp=True).close()


@pytest.mark.parametrize("name, content, mode, words", [
    ("guard.key", "k1 AAAA\n", 0o600, "guard.key: line 1: behind the key's name must stand 32 bytes in base64"),
    ("guard.key", "", 0o600, "guard.key: there is no key in it"),
    ("guard.key", "k1 " + "A" * 43 + "=\n", 0o640, "guard.key: group or others have access to it"),
    ("pool.password", "\n", 0o600, "pool.password: it is empty"),
    ("sidecar.password", "x\n", 0o604, "sidecar.password: group or others have access to it"),
])
def test_a_file_that_cannot_be_used_is_named(refusing, guard_keys, tmp_path, name, content, mode, words):
    keys = shutil.copytree(guard_keys, tmp_path / "keys")
    (keys / name).write_text(content)
    (keys / name).chmod(mode)
    assert_refused(init(refusing, keys), words)


def test_a_folder_that_is_none_is_named(refusing, tmp_path):
    (tmp_path / "keys").write_text("")
    assert_refused(init(refusing, tmp_path / "keys"), "keys: Not a directory")


def test_a_server_that_is_not_there_leaves_no_folder(tmp_path):
    assert_refused(run_init("--dsn", f"host={tmp_path} port=1", "--keys", tmp_path / "keys"), "Is the server running")
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize("arguments", [[], ["--dsn"], ["--dsn", "x", "extra"], ["--dsn", "x", "--hardening", "lax"],
                                       ["--nosuch"]])
def test_a_wrong_command_line_is_told_apart(arguments):
    done = subprocess.run([PROGRAM, "init", *arguments], text=True, capture_output=True, check=False)
    assert done.returncode == 2 and "Usage: bulkhead init" in done.stderr
