"""DDL for everybody: shared tables, templates, schemas and databases, each once and whole or not at all."""

import json

import pytest
from harness.migrate import MARK, MORE, NOTES, OPERATORS, World, bodies, lines
from harness.program import DONE, FAILED, USAGE
from harness.stand import DATABASE, Stand
from harness.terminal import run_on_terminal

@pytest.fixture(scope="module")
def stand(template):
    stand = Stand(template).start()
    yield stand
    stand.remove()


@pytest.fixture(scope="module", name="all_of_it")
def fixture_all_of_it(stand):
    return World(stand, schemas=30, databases=3)


@pytest.fixture
def world(all_of_it):
    all_of_it.reset()
    return all_of_it


# ---- all is well ----

def test_everybody_gets_it_once_as_the_owner(world):
    done = world.migrate("--file", world.file(12, NOTES))
    assert (done.returncode, done.stderr) == (DONE, ""), done.stdout
    assert world.have("notes") == world.everybody()
    assert len(lines(done, "done")) == len(world.everybody()) == 36
    assert done.stdout.splitlines()[-1] == "36 targets: 36 done"
    assert bodies(world, "shared") == ["shared as shop_owner"]
    assert bodies(world, "template_schema") == ["template_schema as shop_owner"]
    assert bodies(world, "template_database") == ["template_database as shop_owner"]
    for tenant in world.schemas:
        assert bodies(world, tenant) == [f"schema as {world.own.name(tenant)}"]
    for tenant in world.databases:
        assert bodies(world, tenant) == [f"database as {world.own.name(tenant)}"]
    assert {name: world.marks(name) for name in world.everybody()} == {name: [12] for name in world.everybody()}
    assert world.ledger(12) == {name: "done" for name in world.everybody()}


def test_again_does_nothing(world):
    path = world.file(12, NOTES)
    world.migrate(path)
    done = world.migrate(path)
    assert (done.returncode, done.stdout) == (DONE, "nothing is left to do\n")
    assert all(len(bodies(world, name)) == 1 for name in world.everybody())


def test_files_run_in_their_order_and_each_in_a_transaction_of_its_own(world):
    # Settings of one file are not the next one's.
    first = world.file(2, NOTES + "SET search_path = pg_catalog; SET ROLE NONE;", name="2_notes.sql")
    second = world.file(10, MORE, name="10_more.sql")
    done = world.migrate("--file", second, "--file", first)
    assert done.returncode == DONE, done.stdout
    for name in world.everybody():
        assert world.marks(name) == [2, 10]
        assert [row[0] for row in world.rows(name, "SELECT count(DISTINCT xmin::text) FROM notes")] == [2]


def test_as_json(world):
    done = world.migrate("--json", world.file(12, NOTES))
    assert (done.returncode, done.stderr) == (DONE, "")
    targets = json.loads(done.stdout)
    assert [target["kind"] for target in targets[:3]] == list(OPERATORS)
    one = next(target for target in targets if target["slug"] == "s7")
    assert one == {"kind": "schema", "cluster": "default", "tenant": world.stand.ids["s7"], "slug": "s7",
                   "database": DATABASE, "schema": world.own.name("s7"), "state": "done", "version": 12, "ran": 1,
                   "attempts": 1, "failed_version": None, "sqlstate": None, "error": None}


def test_a_file_can_ask_where_it_runs(world):
    text = NOTES + """
    DO $$ BEGIN
        IF current_setting('bulkhead.target') = 'shared' THEN
            ALTER TABLE notes ADD COLUMN tenant_id uuid;
            DELETE FROM notes;
            PERFORM bulkhead.protect('notes', 'tenant_id');
        END IF;
    END $$;
    """
    assert world.migrate(world.file(1, text)).returncode == DONE
    assert world.rows("shared", "SELECT relforcerowsecurity FROM pg_class WHERE oid = 'notes'::regclass") == [(True,)]
    assert world.rows("s0", "SELECT relforcerowsecurity FROM pg_class WHERE oid = 'notes'::regclass") == [(False,)]


@pytest.mark.parametrize("selector, selected", [
    ("s1", {"s1"}),
    ("s1,d0", {"s1", "d0"}),
    ("strategy:database", {"d0", "d1", "d2"}),
    ("s1 , strategy:database", {"s1", "d0", "d1", "d2"}),
    ("acme/**", {"s2", "s3"}),
])
def test_only_some(world, selector, selected):
    with world.stand.admin() as root:
        for tenant, parent in (("s2", "acme-labs"), ("s3", "acme")):
            root.execute("UPDATE bulkhead_control.tenant SET parent_id = %s WHERE id = %s",
                         (world.stand.ids[parent], world.stand.ids[tenant]))
    done = world.migrate("--tenants", selector, world.file(1, NOTES))
    assert done.returncode == DONE, done.stderr
    assert world.have("notes") == selected
    done = world.migrate(world.file(1, NOTES))
    assert done.returncode == DONE and world.have("notes") == world.everybody()
    assert all(len(bodies(world, name)) == 1 for name in world.everybody())


@pytest.mark.parametrize("selector, why", [
    ("nobody", "nobody: there is no such tenant"),
    ("acme", "acme: lives in shared tables, which are migrated for all"),
    ("strategy:shared", "shared: a strategy is schema or database"),
    ("s1,,s2", "a selector is words with commas between them"),
])
def test_selectors_that_mean_nothing(world, selector, why):
    done = world.migrate("--tenants", selector, world.file(1, NOTES))
    assert (done.returncode, done.stdout) == (FAILED, "")
    assert why in done.stderr
    assert world.have("notes") == set()


def test_suspended_tenants_get_it_too(world):
    world.stand.command("tenant", "suspend", "s4")
    try:
        assert world.migrate(world.file(1, NOTES)).returncode == DONE
        assert "s4" in world.have("notes")
    finally:
        world.stand.command("tenant", "resume", "s4")


# ---- something fails ----

def test_one_fails_and_the_others_do_not(world):
    world.rows("s3", "CREATE TABLE notes (mine int)")
    path = world.file(12, "SELECT 1;\n" + NOTES)
    done = world.migrate(path)
    assert done.returncode == FAILED
    assert lines(done, "failed") == [
        'failed   schema of s3: version 12: 42P07 relation "notes" already exists']
    assert done.stdout.splitlines()[-1] == "36 targets: 35 done, 1 failed"
    assert world.marks("s3") == [] and world.ledger(12)["s3"] == "failed"

    status = json.loads(world.migrate("status", "--json").stdout)
    assert [(version["version"], version["done"], version["failed"]) for version in status] == [(12, 35, 1)]
    assert [(row["tenant"], row["sqlstate"]) for row in status[0]["undone"]] == [("s3", "42P07")]

    world.rows("s3", "DROP TABLE notes")
    done = world.migrate("--retry", path)
    assert done.returncode == DONE
    assert done.stdout == "done     schema of s3\n1 target: 1 done\n"
    assert all(len(bodies(world, name)) == 1 for name in world.everybody())


def test_the_line_is_said(world):
    done = world.migrate("--tenants", "s1", world.file(1, "SELECT 'é';\n\nSELECT nothing FROM orders;\n"))
    assert '42703 column "nothing" does not exist (line 3)' in done.stdout


def test_nothing_of_a_file_that_fails_stays(world):
    done = world.migrate("--tenants", "s1,d1", world.file(1, NOTES + "SELECT 1/0;"))
    assert done.returncode == FAILED and "22012 division by zero" in done.stdout
    assert world.have("notes") == set() and world.have(MARK) == set()


def test_a_deferred_constraint_fails_at_the_end(world):
    text = """
    CREATE TABLE notes (id int PRIMARY KEY, above int REFERENCES notes DEFERRABLE INITIALLY DEFERRED);
    INSERT INTO notes VALUES (1, 2);
    """
    for arguments in (["--dry-run"], []):
        done = world.migrate("--tenants", "s1", *arguments, world.file(1, text))
        assert done.returncode == FAILED and "23503" in done.stdout
        assert world.have("notes") == set()


def test_tenants_wait_when_a_template_fails(world):
    world.rows("template_database", "CREATE TABLE notes (mine int)")
    path = world.file(1, NOTES)
    done = world.migrate(path)
    assert done.returncode == FAILED
    assert done.stdout.splitlines()[-1] == \
        "36 targets: 2 done, 1 failed, 33 not tried, since shared tables or templates failed"
    assert world.have("notes") == set(OPERATORS)
    done = world.migrate("--keep-going", path)
    assert done.returncode == FAILED and done.stdout.splitlines()[-1] == "34 targets: 33 done, 1 failed"
    assert world.have("notes") == world.everybody()


def test_a_cluster_without_settings_for_it(world):
    world.configure(admin_login="")
    done = world.migrate("--keep-going", world.file(1, NOTES))
    assert done.returncode == FAILED
    assert len([line for line in lines(done, "failed") if "[cluster:default] has no admin_login" in line]) == 3
    assert world.have("notes") == {*world.schemas, *world.databases}


def test_without_an_owner_shared_tables_are_left_alone(world):
    world.configure(table_owner="", template_schema="", template_database="")
    done = world.migrate(world.file(1, NOTES))
    assert done.returncode == DONE
    assert done.stderr == "bulkhead: shared tables of default are left alone: its section has no table_owner\n"
    assert world.have("notes") == {*world.schemas, *world.databases}


# ---- versions ----

def test_another_text_is_refused_where_the_first_has_run(world):
    assert world.migrate("--tenants", "s1", world.file(1, NOTES)).returncode == DONE
    done = world.migrate(world.file(1, NOTES + " "))
    assert (done.returncode, done.stdout) == (FAILED, "")
    assert done.stderr.splitlines()[-1] == (
        "bulkhead migrate: version 1 has run with another text (1_test.sql, on 1 target); put it back, and give what "
        "is new a number of its own")
    assert world.have("notes") == {"s1"}


def test_a_text_that_has_run_nowhere_may_be_mended(world):
    assert world.migrate(world.file(1, "CREATE TABEL notes ()")).returncode == FAILED
    assert world.migrate(world.file(1, NOTES)).returncode == DONE
    assert world.have("notes") == world.everybody()


def test_the_mark_goes_before_the_ledger(world):
    world.migrate(world.file(1, NOTES))
    world.rows("s1", f"UPDATE {MARK} SET checksum = repeat('0', 64)")
    with world.stand.admin() as root:
        root.execute("DELETE FROM bulkhead_control.migration_target")
    done = world.migrate(world.file(1, NOTES))
    assert lines(done, "failed") == [
        "failed   schema of s1: version 1: its mark says that version 1 ran there with another text"]
    assert all(len(bodies(world, name)) == 1 for name in world.everybody())
    with world.stand.admin() as root:
        assert root.execute("SELECT bool_and(found) FROM bulkhead_control.migration_target WHERE state = 'done'"
                            ).fetchone() == (True,)


def test_the_order_is_kept(world):
    world.rows("s3", "CREATE TABLE notes (mine int)")
    first, second = world.file(11, NOTES), world.file(12, MORE)
    world.migrate(first)
    done = world.migrate(second)
    assert done.returncode == FAILED
    assert lines(done, "behind") == [
        "behind   schema of s3: version 11: lacks version 11, so 12 has to wait: give its file as well"]
    assert world.marks("s3") == [] and world.marks("s4") == [11, 12]
    world.rows("s3", "DROP TABLE notes")
    done = world.migrate(first, second)
    assert done.returncode == DONE and done.stdout == "done     schema of s3\n1 target: 1 done\n"
    assert world.marks("s3") == [11, 12] and bodies(world, "s3")[1:] == ["more"]


def test_a_new_version_is_greater_than_all(world):
    world.migrate(world.file(12, NOTES))
    done = world.migrate(world.file(11, MORE))
    assert (done.returncode, done.stdout) == (FAILED, "")
    assert done.stderr == "bulkhead migrate: 11_test.sql: version 12 is known already, and a new one must be greater\n"


def test_two_files_of_one_version(world):
    done = world.migrate(world.file(1, NOTES, name="1_a.sql"), world.file(1, NOTES, name="01_b.sql"))
    assert done.returncode == FAILED and "are both version 1" in done.stderr


@pytest.mark.parametrize("name, text, why", [
    ("notes.sql", "SELECT 1", "a file's name is a version and words"),
    ("0_notes.sql", "SELECT 1", "a file's name is a version and words"),
    ("12notes.sql", "SELECT 1", "a file's name is a version and words"),
    ("12_notes.txt", "SELECT 1", "a file's name is a version and words"),
    ("1_empty.sql", "-- nothing\n", "there is no statement in it"),
    ("1_begin.sql", "SELECT 1;\nBEGIN;\nSELECT 1;\nCOMMIT", "line 2: the file runs in a transaction of Bulkhead's"),
    ("1_copy.sql", "COPY orders FROM STDIN", "line 1: there are no rows to copy from"),
    ("1_long.sql", "SELECT 1 -- " + "x" * (1 << 20), "longer than 1 MiB"),
    ("1_bare.sql", "-- bulkhead: no-transaction\nSELECT 1; SELECT 2", "there can be one statement"),
])
def test_files_that_are_no_migrations(world, name, text, why):
    done = world.migrate(world.file(0, text, name=name))
    assert (done.returncode, done.stdout) == (FAILED, "")
    assert why in done.stderr and len(done.stderr.splitlines()) == 1


def test_files_that_are_no_text(world):
    path = world.file(1, "")
    path.write_bytes(b"SELECT '\xff'")
    assert "it is no UTF-8 text" in world.migrate(path).stderr
    path.write_bytes(b"SELECT 1;\0DROP TABLE orders")
    assert "it is no UTF-8 text" in world.migrate(path).stderr
    assert "No such file" in world.migrate(world.folder / "7_absent.sql").stderr


def test_a_transaction_that_ends_where_it_is_not_seen(world):
    """Comments nested so deep are not read here; the server reads what stands behind them."""
    text = "/*" * 40 + "*/" * 40 + "CREATE TABLE notes (id int); COMMIT; CREATE TABLE more (id int)"
    done = world.migrate("--tenants", "s1", world.file(1, text))
    assert done.returncode == FAILED and world.marks("s1") == []
    assert ("25000 the file ended its transaction by itself, and what stood before that is done") in done.stdout


@pytest.mark.parametrize("arguments", [[], ["--jobs", "0"], ["--jobs", "many"], ["--lock-timeout", "soon"],
                                       ["status", "x"], ["status", "--dry-run"], ["--marks", "1_a.sql"],
                                       ["--nonsense"]])
def test_wrong_usage(world, arguments):
    done = world.migrate(*arguments)
    assert (done.returncode, done.stdout) == ((FAILED if arguments[1:] == ["x"] else USAGE), "")


# ---- without a transaction ----

def test_what_cannot_be_in_a_transaction(world):
    text = "CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_item ON orders (item)"
    selected = ("--tenants", "s1,d1")
    done = world.migrate(*selected, world.file(1, text))
    assert done.returncode == FAILED
    assert ("25001 CREATE INDEX CONCURRENTLY cannot run inside a transaction block; with -- bulkhead: no-transaction "
            "as the first line of a file that has this one statement, it can run") in done.stdout
    path = world.file(1, "-- bulkhead: no-transaction\n" + text)
    done = world.migrate(*selected, "--dry-run", path)
    assert done.returncode == DONE and "1_test.sql could not be tried" in done.stdout
    assert world.have("orders_item") == set()
    done = world.migrate(*selected, path)
    assert done.returncode == DONE, done.stdout
    assert world.have("orders_item") == {"s1", "d1"} and world.marks("s1") == [1]
    for name in ("s1", "d1"):
        world.rows(name, "DROP INDEX orders_item")


def test_what_was_begun_without_a_transaction_and_nobody_knows(world):
    path = world.file(1, "-- bulkhead: no-transaction\nVACUUM orders")
    assert world.migrate("--tenants", "s1", path).returncode == DONE
    world.rows("s1", f"UPDATE {MARK} SET applied_at = NULL")
    with world.stand.admin() as root:
        root.execute("UPDATE bulkhead_control.migration_target SET state = 'running', applied_at = NULL")
    done = world.migrate("--tenants", "s1", path)
    assert done.returncode == FAILED and "nobody knows how it ended; --retry runs it again" in done.stdout
    assert world.migrate("--tenants", "s1", "--retry", path).returncode == DONE
    assert world.marks("s1") == [1]


def test_what_failed_without_a_transaction_can_be_tried_again(world):
    path = world.file(1, "-- bulkhead: no-transaction\nVACUUM absent")
    assert "42P01" in world.migrate("--tenants", "s1", path).stdout
    world.rows("s1", f'CREATE TABLE absent (); ALTER TABLE absent OWNER TO "{world.own.name("s1")}"')
    assert world.migrate("--tenants", "s1", path).returncode == DONE
    world.rows("s1", "DROP TABLE absent")


# ---- trying ----

def test_a_dry_run_changes_nothing(world):
    world.rows("s3", "CREATE TABLE notes (mine int)")
    done = world.migrate("--dry-run", world.file(1, NOTES), world.file(2, MORE))
    assert done.returncode == FAILED
    assert done.stdout.splitlines()[-2:] == ["36 targets: 35 tried, 1 failed",
                                             "nothing was changed: this was a dry run"]
    assert world.have("notes") == {"s3"} and world.have(MARK) == set()
    with world.stand.admin() as root:
        assert root.execute("SELECT count(*) FROM bulkhead_control.migration_file").fetchone() == (0,)
    world.rows("s3", "DROP TABLE notes")
    assert world.migrate("--dry-run", world.file(1, NOTES), world.file(2, MORE)).returncode == DONE
    assert world.have("notes") == set()


def test_a_dry_run_behind_a_true_one(world):
    world.migrate(world.file(1, NOTES))
    done = world.migrate("--dry-run", world.file(2, MORE))
    assert done.returncode == DONE and "36 targets: 36 tried" in done.stdout
    assert world.marks("s1") == [1] and bodies(world, "s1") == [f"schema as {world.own.name('s1')}"]


# ---- a terminal ----

def test_a_bar_on_a_terminal(world):
    code, screen = run_on_terminal(world.command(world.file(1, NOTES)), world.environment)
    assert code == DONE
    assert "[" + "#" * 30 + "] 36 of 36" in screen and "\r[" in screen
    assert "done     schema" not in screen and "36 targets: 36 done" in screen
    world.reset()
    world.rows("s3", "CREATE TABLE notes ()")
    code, screen = run_on_terminal(world.command(world.file(1, NOTES)), world.environment)
    assert code == FAILED and "36 of 36, 1 failed" in screen
    assert "failed   schema of s3: version 1: 42P07" in screen


# ---- looking ----

def test_status_for_people(world):
    assert world.migrate("status").stdout.split() == ["version", "name", "done", "found", "failed", "behind", "running",
                                                     "pending"]
    world.rows("s3", "CREATE TABLE notes ()")
    world.migrate("--tenants", "s3,s4", world.file(1, NOTES))
    heads, row, empty, _, undone = world.migrate("status").stdout.splitlines()
    assert heads.split()[0] == "version" and row.split() == ["1", "1_test.sql", "1", "0", "1", "0", "0", "31"]
    assert empty == "" and undone.split()[:6] == ["1", "schema", "default", "s3", "failed", "42P07"]


def test_marks_are_compared(world):
    world.migrate(world.file(1, NOTES))
    assert world.migrate("status", "--marks").returncode == DONE
    with world.connect("s5") as hostile:
        hostile.execute(f"DELETE FROM {MARK}")
    done = world.migrate("status", "--marks")
    assert done.returncode == FAILED
    assert lines(done, "failed") == [
        "failed   schema of s5: version 1: is recorded with version 1, but its mark lacks it: restored, or changed by "
        "its owner"]
