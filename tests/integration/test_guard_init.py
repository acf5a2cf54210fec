"""`bulkhead init`: what it leaves behind, once, twice, printed, and from several machines at once."""

import base64
import fcntl
import os
import secrets
import shutil
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from harness.catalog import difference
from harness.guard import POOL, Guard, assert_enters, must_init, run_init
from harness.guard_init import (
    assert_holds, assert_refused, catalog, drop_login, has_guard, init, printed, run_script, verifier_of)
from harness.postgres import Postgres
from harness.program import PROGRAM

HARDENINGS = ["standard", "strict"]


# ---- what it leaves ----

@pytest.mark.parametrize("hardening", HARDENINGS)
def test_a_second_run_changes_nothing(unguarded, guard_keys, hardening):
    must_init("--dsn", unguarded.conninfo(), "--keys", guard_keys, "--hardening", hardening)
    before = catalog(unguarded)
    files = {path.name: path.read_bytes() for path in guard_keys.iterdir()}
    must_init("--dsn", unguarded.conninfo(), "--keys", guard_keys, "--hardening", hardening)
    assert difference(before, catalog(unguarded)) == []
    assert {path.name: path.read_bytes() for path in guard_keys.iterdir()} == files
    assert_holds(unguarded, guard_keys)


def test_a_second_run_mends_what_was_changed(unguarded, guard_keys):
    must_init("--dsn", unguarded.conninfo(), "--keys", guard_keys)
    before = catalog(unguarded)
    with unguarded.connect() as admin:
        admin.execute("GRANT EXECUTE ON ALL ROUTINES IN SCHEMA bulkhead TO PUBLIC, bulkhead_app; "
                      "GRANT EXECUTE ON FUNCTION pg_terminate_backend(int, bigint), lo_get(oid) TO PUBLIC; "
                      "GRANT SELECT ON pg_stat_activity TO PUBLIC; GRANT CREATE ON SCHEMA public TO PUBLIC; "
                      "ALTER ROLE bulkhead_guard CREATEROLE; ALTER ROLE bulkhead_pool CREATEDB NOLOGIN; "
                      "REVOKE bulkhead_app FROM bulkhead_pool")
    assert difference(before, catalog(unguarded)) != []
    must_init("--dsn", unguarded.conninfo(), "--keys", guard_keys)
    assert difference(before, catalog(unguarded)) == []


def test_strict_takes_more_than_standard_and_standard_gives_nothing_back(unguarded, guard_keys):
    must_init("--dsn", unguarded.conninfo(), "--keys", guard_keys)
    with unguarded.connect(POOL) as pool:
        may = "SELECT has_function_privilege('pg_catalog.set_config(text,text,boolean)', 'EXECUTE')"
        assert pool.execute(may).fetchone() == (True,)
        must_init("--dsn", unguarded.conninfo(), "--keys", guard_keys, "--hardening", "strict")
        strict = catalog(unguarded)
        assert pool.execute(may).fetchone() == (False,)
    must_init("--dsn", unguarded.conninfo(), "--keys", guard_keys)
    assert difference(strict, catalog(unguarded)) == []


def test_files_are_closed_to_others(guard_original, guard_keys):
    assert stat.S_IMODE(guard_keys.stat().st_mode) == 0o700
    assert {path.name for path in guard_keys.iterdir()} == {
        "api.password", "api.pepper", "cluster.secret", "guard.key", "master.key", "operator.key", "pool.password", "sidecar.password"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in guard_keys.iterdir()} == {0o600}


def test_the_control_schema_goes_where_it_is_told(unguarded, guard_keys, guard_cluster):
    control = guard_cluster.create_database()
    try:
        must_init("--dsn", unguarded.conninfo(), "--control-dsn", control.conninfo(), "--keys", guard_keys)
        for database, schemas in ((unguarded, ["bulkhead"]), (control, ["bulkhead_api", "bulkhead_control"])):
            with database.connect() as admin:
                found = admin.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'bulkhead%' ORDER BY 1")
                assert [name for (name,) in found] == schemas
        assert_holds(unguarded, guard_keys)
    finally:
        control.drop()


def test_keys_and_passwords_are_in_no_log(unguarded, guard_keys, guard_cluster):
    before = len(guard_cluster.log_text())
    everything = {**os.environ, "PGOPTIONS": "-c log_statement=all -c log_min_duration_statement=0 "
                                             "-c log_parameter_max_length=-1"}
    done = init(unguarded, guard_keys, env=everything)
    log = guard_cluster.log_text()[before:]
    assert done.returncode == 0 and "CREATE SCHEMA bulkhead" in log  # it did log
    kid, key = (guard_keys / "guard.key").read_text().split()
    for secret in (key, base64.b64decode(key).hex(), *((guard_keys / name).read_text().strip()
                                                       for name in ("pool.password", "sidecar.password"))):
        assert secret not in log and secret not in done.stdout + done.stderr


@pytest.mark.parametrize("login", ['Pool "ö\' \\x', "p" * 63, "current_user"])
def test_a_pool_login_of_an_odd_name(unguarded, guard_keys, login):
    try:
        must_init("--dsn", unguarded.conninfo(), "--keys", guard_keys, "--pool-login", login, "--hardening", "strict")
        assert_holds(unguarded, guard_keys, login)
    finally:
        drop_login(unguarded, login)


def test_the_owner_is_given_bypassrls(unguarded, guard_keys):
    with unguarded.connect() as admin:
        admin.execute('CREATE ROLE "App Owner"')
        try:
            must_init("--dsn", unguarded.conninfo(), "--keys", guard_keys, "--owner", "App Owner")
            assert admin.execute("SELECT rolbypassrls FROM pg_roles WHERE rolname = 'App Owner'").fetchone() == (True,)
        finally:
            admin.execute('DROP ROLE "App Owner"')


# ---- --print ----

@pytest.mark.parametrize("hardening", HARDENINGS)
def test_the_printed_sql_makes_the_same_installation(unguarded, guard_keys, guard_cluster, hardening):
    other = guard_cluster.create_database()
    try:
        must_init("--dsn", other.conninfo(), "--keys", guard_keys, "--hardening", hardening)
        expected = catalog(other)
        for _ in range(2):
            done = run_script(unguarded, guard_keys, printed("--hardening", hardening))
            assert (done.stdout, done.stderr) == ("", "")
            assert difference(expected, catalog(unguarded)) == []
        assert_holds(unguarded, guard_keys)
    finally:
        other.drop()


def test_the_printed_sql_holds_no_secret(guard_keys, tmp_path):
    assert printed("--keys", guard_keys) == printed("--keys", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_the_printed_sql_needs_the_key(unguarded):
    done = run_script(unguarded, None, printed(), check=False)
    assert done.returncode == 3 and "the environment must hold GUARD_KEY" in done.stderr
    with unguarded.connect() as admin:
        assert admin.execute("SELECT to_regnamespace('bulkhead')").fetchone() == (None,)


def test_the_printed_sql_sets_an_odd_logins_password(unguarded, guard_keys):
    """Under its own name: other databases' installations keep theirs."""
    login, password = 'Pool "ö\' \\x', secrets.token_hex(12)
    try:
        run_script(unguarded, guard_keys, printed("--pool-login", login), "-v", f"pool_verifier={verifier_of(password)}")
        guard = Guard(unguarded, guard_keys)
        with guard.connect(login, password=password, tcp=True) as connection:
            assert_enters(guard, connection)
    finally:
        drop_login(unguarded, login)


def test_the_printed_sql_hides_the_key_from_the_log(unguarded, guard_keys, guard_cluster):
    before = len(guard_cluster.log_text())
    run_script(unguarded, guard_keys, "SET log_statement = 'all'; SET log_min_duration_statement = 0;\n" + printed())
    log = guard_cluster.log_text()[before:]
    assert "CREATE SCHEMA bulkhead" in log
    assert (guard_keys / "guard.key").read_text().split()[1] not in log


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


def waits_for_a_lock(process):
    """Does the kernel list the process among those that wait for a file lock?"""
    lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return any(line[1] == "->" and line[5] == str(process.pid) for line in lines)


def test_a_run_waits_for_another_with_the_same_folder(unguarded, guard_keys):
    folder = os.open(guard_keys, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    process = subprocess.Popen([PROGRAM, "init", "--dsn", unguarded.conninfo(), "--keys", guard_keys],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        while not waits_for_a_lock(process):
            assert process.poll() is None, "it did not wait"
        assert not has_guard(unguarded)
    finally:
        os.close(folder)
        _, complaint = process.communicate(timeout=60)
    assert (process.returncode, complaint) == (0, "")


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
