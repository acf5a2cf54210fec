"""`bulkhead init` against real servers: what it leaves, what it refuses, and that refusing leaves nothing."""

import base64
import hashlib
import hmac
import os
import secrets
import shutil
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness.catalog import catalog_of, difference
from harness.guard import ACME, POOL, Guard, assert_enters, must_init, run_init
from harness.postgres import PG_BIN, Postgres
from harness.program import PROGRAM

HARDENINGS = ["standard", "strict"]


@pytest.fixture
def empty(guard_cluster):
    """A database without a guard."""
    database = guard_cluster.create_database()
    yield database
    database.drop()


@pytest.fixture(scope="module")
def refusing(guard_original):
    """A database in which no test's init may succeed or leave a trace."""
    with guard_original.database.cluster.connect() as admin:
        admin.execute("CREATE DATABASE refusing")
    database = guard_original.database.cluster.database("refusing")
    yield database
    assert not has_guard(database)
    database.drop()


def catalog(database):
    with database.connect() as admin:
        return catalog_of(admin)


def init(database, keys, *arguments, **more):
    return run_init("--dsn", database.conninfo(), "--keys", keys, *arguments, **more)


def assert_refused(done, *words):
    assert done.returncode == 1, done.stdout + done.stderr
    for word in words:
        assert word in done.stderr
    assert "Settings for the sidecars' file" not in done.stdout


def assert_holds(database, keys, login=POOL):
    """The control: the installation works with the keys and the password of this folder."""
    guard = Guard(database, keys)
    with guard.connect(login) as connection:
        assert_enters(guard, connection)
    password = (keys / "pool.password").read_text().strip()
    database.connect(login, password=password, tcp=True).close()


# ---- what it leaves ----

@pytest.mark.parametrize("hardening", HARDENINGS)
def test_a_second_run_changes_nothing(empty, guard_keys, hardening):
    must_init("--dsn", empty.conninfo(), "--keys", guard_keys, "--hardening", hardening)
    before = catalog(empty)
    files = {path.name: path.read_bytes() for path in guard_keys.iterdir()}
    must_init("--dsn", empty.conninfo(), "--keys", guard_keys, "--hardening", hardening)
    assert difference(before, catalog(empty)) == []
    assert {path.name: path.read_bytes() for path in guard_keys.iterdir()} == files
    assert_holds(empty, guard_keys)


def test_a_second_run_mends_what_was_changed(empty, guard_keys):
    must_init("--dsn", empty.conninfo(), "--keys", guard_keys)
    before = catalog(empty)
    with empty.connect() as admin:
        admin.execute("GRANT EXECUTE ON ALL ROUTINES IN SCHEMA bulkhead TO PUBLIC, bulkhead_app; "
                      "GRANT EXECUTE ON FUNCTION pg_terminate_backend(int, bigint), lo_get(oid) TO PUBLIC; "
                      "GRANT SELECT ON pg_stat_activity TO PUBLIC; GRANT CREATE ON SCHEMA public TO PUBLIC; "
                      "ALTER ROLE bulkhead_guard CREATEROLE; ALTER ROLE bulkhead_pool CREATEDB NOLOGIN; "
                      "REVOKE bulkhead_app FROM bulkhead_pool")
    assert difference(before, catalog(empty)) != []
    must_init("--dsn", empty.conninfo(), "--keys", guard_keys)
    assert difference(before, catalog(empty)) == []


def test_strict_takes_more_than_standard_and_standard_gives_nothing_back(empty, guard_keys):
    must_init("--dsn", empty.conninfo(), "--keys", guard_keys)
    with empty.connect(POOL) as pool:
        may = "SELECT has_function_privilege('pg_catalog.set_config(text,text,boolean)', 'EXECUTE')"
        assert pool.execute(may).fetchone() == (True,)
        must_init("--dsn", empty.conninfo(), "--keys", guard_keys, "--hardening", "strict")
        strict = catalog(empty)
        assert pool.execute(may).fetchone() == (False,)
    must_init("--dsn", empty.conninfo(), "--keys", guard_keys)
    assert difference(strict, catalog(empty)) == []


def test_files_are_closed_to_others(empty, tmp_path, guard_keys):
    assert stat.S_IMODE(guard_keys.stat().st_mode) == 0o700
    assert {path.name for path in guard_keys.iterdir()} == {"guard.key", "pool.password", "sidecar.password"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in guard_keys.iterdir()} == {0o600}


def test_the_control_schema_goes_where_it_is_told(empty, guard_keys, guard_cluster):
    control = guard_cluster.create_database()
    try:
        must_init("--dsn", empty.conninfo(), "--control-dsn", control.conninfo(), "--keys", guard_keys)
        for database, schemas in ((empty, ["bulkhead"]), (control, ["bulkhead_control"])):
            with database.connect() as admin:
                found = admin.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'bulkhead%' ORDER BY 1")
                assert [name for (name,) in found] == schemas
        assert_holds(empty, guard_keys)
    finally:
        control.drop()


def test_keys_and_passwords_are_in_no_log(empty, guard_keys, guard_cluster):
    before = len(guard_cluster.log_text())
    everything = {**os.environ, "PGOPTIONS": "-c log_statement=all -c log_min_duration_statement=0 "
                                             "-c log_parameter_max_length=-1"}
    done = init(empty, guard_keys, env=everything)
    log = guard_cluster.log_text()[before:]
    assert done.returncode == 0 and "CREATE SCHEMA bulkhead" in log  # it did log
    kid, key = (guard_keys / "guard.key").read_text().split()
    for secret in (key, base64.b64decode(key).hex(), *((guard_keys / name).read_text().strip()
                                                       for name in ("pool.password", "sidecar.password"))):
        assert secret not in log and secret not in done.stdout + done.stderr


# ---- --print ----

def printed(*arguments):
    done = run_init("--print", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_script(database, keys, script, *arguments, check=True):
    """As psql users would; the key comes from the environment."""
    environment = {**os.environ, "GUARD_KEY": (keys / "guard.key").read_text().splitlines()[0]} if keys else None
    done = subprocess.run([PG_BIN / "psql", "-X", "-d", database.conninfo(), *arguments], input=script, text=True,
                          capture_output=True, check=False, env=environment)
    assert not check or done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("hardening", HARDENINGS)
def test_the_printed_sql_makes_the_same_installation(empty, guard_keys, guard_cluster, hardening):
    other = guard_cluster.create_database()
    try:
        must_init("--dsn", other.conninfo(), "--keys", guard_keys, "--hardening", hardening)
        for _ in range(2):
            done = run_script(empty, guard_keys, printed("--hardening", hardening))
            assert (done.stdout, done.stderr) == ("", "")
            assert difference(catalog(other), catalog(empty)) == []
        assert_holds(empty, guard_keys)
    finally:
        other.drop()


def test_the_printed_sql_holds_no_secret(guard_keys, tmp_path):
    assert printed("--keys", guard_keys) == printed("--keys", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_the_printed_sql_needs_the_key(empty):
    done = run_script(empty, None, printed(), check=False)
    assert done.returncode == 3 and "the environment must hold GUARD_KEY" in done.stderr
    with empty.connect() as admin:
        assert admin.execute("SELECT to_regnamespace('bulkhead')").fetchone() == (None,)


def verifier_of(password):
    """A SCRAM-SHA-256 verifier as PostgreSQL keeps it."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 4096)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    return "SCRAM-SHA-256$4096:" + "$".join(
        ":".join(base64.b64encode(part).decode() for part in parts) for parts in ((salt,), (stored, server)))


def test_the_printed_sql_sets_an_odd_logins_password(empty, guard_keys):
    """Under its own name: other databases' installations keep theirs."""
    login, password = 'Pool "ö\' \\x', secrets.token_hex(12)
    try:
        run_script(empty, guard_keys, printed("--pool-login", login), "-v", f"pool_verifier={verifier_of(password)}")
        guard = Guard(empty, guard_keys)
        with guard.connect(login, password=password, tcp=True) as connection:
            assert_enters(guard, connection)
    finally:
        drop_login(empty, login)


def drop_login(database, login):
    name = '"' + login.replace('"', '""') + '"'
    with database.connect() as admin:
        admin.execute(f"DROP OWNED BY {name}")
        admin.execute(f"DROP ROLE {name}")


def test_the_printed_sql_hides_the_key_from_the_log(empty, guard_keys, guard_cluster):
    before = len(guard_cluster.log_text())
    run_script(empty, guard_keys, "SET log_statement = 'all'; SET log_min_duration_statement = 0;\n" + printed())
    log = guard_cluster.log_text()[before:]
    assert "CREATE SCHEMA bulkhead" in log
    assert (guard_keys / "guard.key").read_text().split()[1] not in log


# ---- names ----

@pytest.mark.parametrize("login", ['Pool "ö\' \\x', "p" * 63, "current_user"])
def test_a_pool_login_of_an_odd_name(empty, guard_keys, login):
    try:
        must_init("--dsn", empty.conninfo(), "--keys", guard_keys, "--pool-login", login, "--hardening", "strict")
        assert_holds(empty, guard_keys, login)
    finally:
        drop_login(empty, login)


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


def roles(database):
    with database.connect() as admin:
        return catalog_of(admin, "role", "membership", "parameter", "role setting")


def has_guard(database):
    with database.connect() as admin:
        return admin.execute("SELECT to_regnamespace('bulkhead') IS NOT NULL").fetchone()[0]


def test_the_owner_is_given_bypassrls(empty, guard_keys):
    with empty.connect() as admin:
        admin.execute('CREATE ROLE "App Owner"')
        try:
            must_init("--dsn", empty.conninfo(), "--keys", guard_keys, "--owner", "App Owner")
            assert admin.execute("SELECT rolbypassrls FROM pg_roles WHERE rolname = 'App Owner'").fetchone() == (True,)
        finally:
            admin.execute('DROP ROLE "App Owner"')


def test_an_owner_that_the_pool_belongs_to_is_refused(empty, guard_keys):
    with empty.connect() as admin:
        admin.execute("CREATE ROLE app_owner; GRANT app_owner TO bulkhead_pool")
        try:
            assert_refused(init(empty, guard_keys, "--owner", "app_owner"), "bulkhead_pool is a member of app_owner")
            assert not has_guard(empty)
        finally:
            admin.execute("DROP ROLE app_owner")


# ---- who may install ----

@pytest.fixture
def administrator(empty):
    """A login with every attribute but SUPERUSER, which owns the database."""
    with empty.connect() as admin:
        admin.execute(f'CREATE ROLE half LOGIN CREATEROLE CREATEDB REPLICATION BYPASSRLS; ALTER DATABASE "{empty.name}" '
                      "OWNER TO half")
        yield "half"
        admin.execute("REASSIGN OWNED BY half TO postgres; DROP OWNED BY half")
        admin.execute("REVOKE ALL ON PARAMETER backtrace_functions FROM half CASCADE; DROP ROLE half")


def test_who_is_no_superuser_is_told_so(empty, guard_keys, administrator, tmp_path):
    fresh = tmp_path / "fresh"
    assert_refused(run_init("--dsn", empty.conninfo(administrator), "--keys", fresh), "must be a superuser")
    assert not fresh.exists()
    assert_refused(run_init("--dsn", empty.conninfo(administrator), "--keys", guard_keys), "superuser")
    assert not has_guard(empty)
    must_init("--dsn", empty.conninfo(), "--keys", guard_keys)


def test_the_right_to_grant_the_setting_alone_does_not_install(empty, guard_keys, administrator):
    with empty.connect() as admin:
        admin.execute(f"GRANT SET ON PARAMETER backtrace_functions TO {administrator} WITH GRANT OPTION")
    assert_refused(run_init("--dsn", empty.conninfo(administrator), "--keys", guard_keys), "superuser")
    assert not has_guard(empty)


# ---- privileges are read back ----

HELD = [  # granted to PUBLIC by someone else, which the superuser's REVOKE does not take
    ("standard", "EXECUTE ON FUNCTION pg_cancel_backend(int)", "PUBLIC may still execute pg_cancel_backend(integer)"),
    ("standard", "SELECT ON pg_stat_activity", "PUBLIC may still use pg_stat_activity"),
    ("standard", "SELECT (query) ON pg_stat_activity", "PUBLIC may still use pg_stat_activity"),
    ("strict", "EXECUTE ON FUNCTION set_config(text, text, boolean)", "PUBLIC may still execute set_config"),
    ("strict", "TEMPORARY ON DATABASE {database}", "bulkhead_pool may still make temporary tables"),
]


@pytest.mark.parametrize("hardening, privilege, words", HELD)
def test_what_cannot_be_revoked_is_an_error(empty, guard_keys, hardening, privilege, words):
    privilege = privilege.replace("{database}", f'"{empty.name}"')
    with empty.connect() as admin:
        admin.execute(f"CREATE ROLE holder; GRANT {privilege} TO holder WITH GRANT OPTION")
        admin.execute(f"SET ROLE holder; GRANT {privilege} TO PUBLIC; RESET ROLE")
        try:
            assert_refused(init(empty, guard_keys, "--hardening", hardening), words)
            assert not has_guard(empty)
        finally:
            admin.execute(f"REVOKE {privilege} FROM holder CASCADE; DROP ROLE holder")
    must_init("--dsn", empty.conninfo(), "--keys", guard_keys, "--hardening", hardening)


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
                            "REVOKE SELECT ON bulkhead.signing_key FROM stranger", "bulkhead.signing_key is open to others"),
    "a grant on a column of the keys": ("GRANT SELECT (kid) ON bulkhead.signing_key TO stranger",
                                        "REVOKE SELECT (kid) ON bulkhead.signing_key FROM stranger",
                                        "bulkhead.signing_key is open to others"),
    "creating in the guard's schema": ("GRANT CREATE ON SCHEMA bulkhead TO stranger",
                                       "REVOKE CREATE ON SCHEMA bulkhead FROM stranger",
                                       "stranger may create in schema bulkhead"),
    "the pool creates in a schema": ("CREATE SCHEMA app; GRANT CREATE ON SCHEMA app TO bulkhead_app", "DROP SCHEMA app",
                                     "bulkhead_pool may create in schema app"),
    "the pool creates schemas": ("GRANT CREATE ON DATABASE {database} TO bulkhead_pool",
                                 "REVOKE CREATE ON DATABASE {database} FROM bulkhead_pool", "bulkhead_pool may create schemas"),
    "the pool may not connect": ("GRANT CONNECT ON DATABASE {database} TO bulkhead_sidecar; REVOKE CONNECT ON DATABASE {database} FROM PUBLIC",
                                 "REVOKE CONNECT ON DATABASE {database} FROM bulkhead_sidecar; "
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
def test_a_schema_of_someone_elses_is_not_adopted(empty, guard_keys, schema, words):
    with empty.connect() as admin:
        admin.execute(f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.kept ()")
    assert_refused(init(empty, guard_keys), words)
    with empty.connect() as admin:
        assert admin.execute("SELECT count(*) FROM pg_class WHERE relnamespace = %s::regnamespace", (schema,)).fetchone() == (1,)


# ---- versions ----

@pytest.mark.parametrize("how", ["init", "print"])
def test_a_newer_guard_is_left_alone(guard, guard_keys, how):
    with guard.admin() as admin:
        admin.execute("CREATE OR REPLACE FUNCTION bulkhead.guard_version() RETURNS integer LANGUAGE sql IMMUTABLE "
                      "PARALLEL SAFE RETURN 2; DROP FUNCTION bulkhead.unprotect(regclass)")
        before = catalog_of(admin)
        words = "version 2 of the guard is installed here, this program brings version 1"
        if how == "init":
            assert_refused(init(guard.database, guard_keys), words)
        else:
            done = run_script(guard.database, guard_keys, printed(), check=False)
            assert done.returncode == 3 and words in done.stderr
        assert difference(before, catalog_of(admin)) == []


# ---- keys and passwords that are there ----

def test_a_login_with_a_password_and_no_file_for_it_is_left_alone(empty, guard_keys, tmp_path):
    assert_refused(init(empty, tmp_path / "new"), 'login "bulkhead_pool" has a password already', "pool.password is missing")
    assert not has_guard(empty) and not (tmp_path / "new").exists()
    must_init("--dsn", empty.conninfo(), "--keys", guard_keys)
    assert_holds(empty, guard_keys)


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


@pytest.mark.parametrize("arguments", [[], ["--dsn"], ["--dsn", "x", "extra"], ["--dsn", "x", "--hardening", "lax"], ["--nosuch"]])
def test_a_wrong_command_line_is_told_apart(arguments):
    done = subprocess.run([PROGRAM, "init", *arguments], text=True, capture_output=True, check=False)
    assert done.returncode == 2 and "Usage: bulkhead init" in done.stderr


# ---- several at once ----

@pytest.fixture
def new_cluster(template):
    """A server that has never seen a guard: its roles are still to be made."""
    cluster = Postgres(template).start()
    yield cluster
    cluster.remove()


def at_once(runs):
    with ThreadPoolExecutor(len(runs)) as pool:
        return [future.result() for future in [pool.submit(run_init, *run) for run in runs]]


def test_four_at_once_with_the_same_keys(new_cluster, tmp_path):
    """First on one database, all with the same new folder; then on four, with copies of it from four machines."""
    database, keys = new_cluster.create_database(), tmp_path / "keys"
    runs = at_once([("--dsn", database.conninfo(), "--keys", keys)] * 4)
    assert [done.stderr for done in runs] == [""] * 4
    assert_holds(database, keys)
    before = catalog(database)
    must_init("--dsn", database.conninfo(), "--keys", keys)
    assert difference(before, catalog(database)) == []

    databases = [new_cluster.create_database() for _ in range(4)]
    folders = [shutil.copytree(keys, tmp_path / f"keys{n}") for n in range(4)]
    every = [("--dsn", database.conninfo(), "--keys", folder) for database, folder in zip(databases, folders)]
    for run, done in zip(every, at_once(every)):
        if done.returncode != 0:  # the servers' own words for two who write the sidecar's password at once
            assert_refused(done, "control schema: access: tuple concurrently updated")
            must_init(*run)
    for database, folder in zip(databases, folders):
        assert_holds(database, folder)


def test_four_at_once_with_keys_of_their_own(new_cluster, tmp_path):
    """Only one can be the first; the others are told, and change nothing."""
    database = new_cluster.create_database()
    folders = [tmp_path / f"keys{n}" for n in range(4)]
    runs = at_once([("--dsn", database.conninfo(), "--keys", keys) for keys in folders])
    (winner,) = [n for n, done in enumerate(runs) if done.returncode == 0]
    for done in runs[:winner] + runs[winner + 1:]:
        assert_refused(done)
        assert "has a password already" in done.stderr or "another key is registered" in done.stderr, done.stderr
    assert_holds(database, folders[winner])
