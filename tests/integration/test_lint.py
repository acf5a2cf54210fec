"""`bulkhead lint`: what it prints, its exit codes, and that it asks without a guard and changes nothing."""

import json

import pytest
from harness.catalog import catalog_of
from harness.findings import findings, mend
from harness.guard import must_init, run_init
from harness.program import DONE, FAILED, USAGE, bulkhead

BARE = """
CREATE SCHEMA app;
CREATE TABLE app.orders (tenant_id uuid, id bigint PRIMARY KEY);
GRANT SELECT ON app.orders TO PUBLIC;
CREATE TABLE app.countries (code text);
"""


def lint(database, *arguments, **more):
    return bulkhead("lint", "--dsn", database.conninfo(**more), *arguments)


def ids(done):
    return [(one["id"], one["severity"]) for one in json.loads(done.stdout)]


@pytest.fixture
def open_table(guard):
    """A warning and a notice: a table that is not protected, and one without an index."""
    with guard.admin() as admin:
        admin.execute("CREATE SCHEMA app; CREATE TABLE app.t (tenant_id uuid); CREATE TABLE app.slow (tenant_id uuid); "
                      "SELECT bulkhead.protect('app.slow', 'tenant_id')")
    return guard


def test_a_sound_database(guard):
    done = lint(guard.database)
    assert (done.returncode, done.stdout, done.stderr) == (DONE, "0 critical, 0 warnings, 0 notices\n", "")
    assert json.loads(lint(guard.database, "--json").stdout) == []


def test_findings_are_grouped_with_reason_and_statement(open_table):
    done = lint(open_table.database)
    assert (done.returncode, done.stderr) == (FAILED, "")
    lines = done.stdout.splitlines()
    assert [line for line in lines if line and not line.startswith(" ")] == [
        "warning", "notice", "0 critical, 1 warning, 1 notice"]
    at = lines.index("  unprotected-table")
    assert lines[at + 1] == "    app.t"
    assert lines[at + 3] == "      SELECT bulkhead.protect('app.t', 'tenant_id');"


def test_lint_and_findings_say_the_same(open_table):
    with open_table.admin() as admin:
        rows = [one._asdict() for one in findings(admin)]
    assert json.loads(lint(open_table.database, "--json").stdout) == rows


@pytest.mark.parametrize("bound, code", [("critical", DONE), ("warning", FAILED), ("notice", FAILED)])
def test_the_bound_decides_the_exit_code(open_table, bound, code):
    assert lint(open_table.database, "--fail-on", bound).returncode == code
    with open_table.admin() as admin:
        mend(admin, findings(admin)[0])
    assert lint(open_table.database, "--fail-on", bound).returncode == (FAILED if bound == "notice" else DONE)


def test_a_database_without_a_guard(unguarded, guard_keys):
    with unguarded.connect() as admin:
        admin.execute(BARE)
        before = catalog_of(admin)
    done = lint(unguarded, "--json")
    assert done.returncode == FAILED and done.stderr == ""
    assert ids(done) == [("guard-missing", "critical"), ("unprotected-table", "critical")]
    assert "bulkhead init" in lint(unguarded).stdout
    with unguarded.connect() as admin:
        assert catalog_of(admin) == before

    must_init("--dsn", unguarded.conninfo(), "--keys", guard_keys)
    with unguarded.connect() as admin:
        for one in json.loads(done.stdout)[1:]:
            admin.execute(one["mend"])
    assert ids(lint(unguarded, "--json")) == [("unique-key", "warning"), ("tenant-index", "notice")]


def test_it_asks_in_a_read_only_session(open_table):
    done = lint(open_table.database, options="-c default_transaction_read_only=on")
    assert done.returncode == FAILED and "unprotected-table" in done.stdout


def test_settings_of_the_session_change_nothing(open_table):
    with open_table.admin() as admin:
        admin.execute("CREATE SCHEMA evil; CREATE TABLE evil.pg_class (x int)")
    options = "-c search_path=evil,pg_catalog -c standard_conforming_strings=off -c quote_all_identifiers=on"
    assert ids(lint(open_table.database, "--json", options=options)) == ids(lint(open_table.database, "--json"))


def test_names_cannot_write_to_the_terminal(guard):
    with guard.admin() as admin:
        admin.execute('CREATE SCHEMA app; CREATE TABLE app."a\x1b[2Jb\x07\u009bc\nd" (tenant_id uuid)')
    out = lint(guard.database).stdout
    assert "unprotected-table" in out
    assert not set(out) & {"\x1b", "\x07", "\u009b"}


def test_a_login_that_may_not_read_the_catalogues(guard, guard_cluster):
    with guard.admin() as admin:
        admin.execute("REVOKE SELECT ON pg_catalog.pg_db_role_setting FROM PUBLIC; CREATE ROLE reader LOGIN")
    try:
        done = lint(guard.database, user="reader")
        assert (done.returncode, done.stdout) == (FAILED, "")
        assert "superuser" in done.stderr
    finally:
        with guard_cluster.connect() as admin:
            admin.execute("DROP ROLE reader")


def test_a_database_that_cannot_be_reached():
    done = bulkhead("lint", "--dsn", "host=/nowhere dbname=x password=hunter2")
    assert (done.returncode, done.stdout) == (FAILED, "")
    assert done.stderr.startswith("bulkhead lint: ") and "hunter2" not in done.stderr


@pytest.mark.parametrize("arguments", [[], ["--dsn"], ["--dsn", "x", "word"], ["--dsn", "x", "--fail-on", "all"],
                                       ["--dsn", "x", "--fail-on"], ["--json"], ["--dsn", "x", "--wrong"]])
def test_wrong_usage(arguments):
    done = bulkhead("lint", *arguments)
    assert (done.returncode, done.stdout) == (USAGE, "")
    assert "Usage: bulkhead lint" in done.stderr


def test_init_and_lint_agree_on_what_is_sound(unguarded, guard_keys):
    """What the installer accepts with either hardening is no finding."""
    for hardening in ("standard", "strict"):
        assert run_init("--dsn", unguarded.conninfo(), "--keys", guard_keys, "--hardening", hardening).returncode == 0
        assert lint(unguarded, "--fail-on", "notice").returncode == DONE
