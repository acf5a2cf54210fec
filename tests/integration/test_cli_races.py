"""Several processes change the same subtree at once, and the database asks to try again."""

import json
import random
import re
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from harness.program import DONE, FAILED, bulkhead, refusal, rows
from harness.wait import wait_for

# What a command may be told in the race; above all not of deadlocks, constraints or what the database means by them.
REFUSALS = re.compile(
    r"bulkhead: (tenant [a-z0-9-]+ (has \d+ active tenants? below it; --subtree takes them along"
    r"|is (archived|suspended)"
    r"|cannot be active: [a-z0-9-]+ above it is (suspended|archived); resume or restore that one first"
    r"|cannot be moved below itself)|the parent is not active)\n")

COMMANDS = [
    *[(verb, slug, *more) for verb in ("suspend", "resume", "resume", "archive", "restore", "restore")
      for slug in ("acme", "labs", "bench-1") for more in ((), ("--subtree",))],
    *[("move", slug, "--under", under) for slug in ("labs", "bench-1", "shop") for under in ("acme", "labs", "globex")],
    ("move", "labs", "--to-root"), ("set", "labs", "--weight", "2"), ("set", "labs", "--weight", "3"),
]


@pytest.fixture
def tree(control):
    acme, _ = control.create("acme"), control.create("globex")
    labs = control.create("labs", acme)
    control.create("shop", acme)
    for n in range(4):
        control.create(f"bench-{n}", labs)
    return acme


def changer(dsn, seed, count, claimed, outcomes):
    """One process after another; what they say they changed goes into `claimed`, refusals into `outcomes`."""
    draw = random.Random(seed)
    for _ in range(count):
        command = draw.choice(COMMANDS)
        done = bulkhead("tenant", *command, "--json", **dsn)
        if done.returncode == DONE:
            changed = json.loads(done.stdout)
            claimed.extend(f"{row['id']}:{row['version']}" for row in changed)
            outcomes.append((command[0], "changed" if changed else "so already"))
        else:
            assert (done.returncode, done.stdout) == (FAILED, "") and REFUSALS.fullmatch(done.stderr), \
                (command, done.stderr)
            outcomes.append((command[0], "refused"))


def test_processes_change_one_subtree_at_once(control, dsn, tree):
    """The tree is sound at every moment; every change is announced once, and claimed by exactly one process."""
    seed = random.randrange(2**32)
    print("seed", seed)
    claimed, outcomes = [], []
    with control.heard() as payloads, control.watched(), ThreadPoolExecutor(5) as executor:
        for future in [executor.submit(changer, dsn, seed + n, 80, claimed, outcomes) for n in range(5)]:
            future.result()
    control.assert_announced(payloads)
    assert sorted(claimed) == sorted(payloads)
    assert {verb for verb, outcome in outcomes if outcome == "changed"} >= {
        "suspend", "resume", "archive", "restore", "move"}


@pytest.mark.parametrize("verb, status", [("suspend", "suspended"), ("archive", "archived")])
def test_who_joins_a_subtree_that_is_being_changed_goes_along(control, dsn, tree, verb, status):
    """A child that is being created, and a tenant that is being moved there, are waited for."""
    globex = control.value("SELECT id FROM bulkhead_control.tenant WHERE slug = 'globex'")
    with control.connect(autocommit=False) as other, ThreadPoolExecutor(1) as executor:
        control.create("new", tree, on=other)
        control.move(globex, tree, on=other)
        future = executor.submit(rows, "tenant", verb, "acme", "--subtree", **dsn)
        wait_for(lambda: somebody_waits(control), "the command to wait")
        other.commit()
        changed = {row["slug"] for row in future.result()}
    assert {"new", "globex"} <= changed and len(changed) == 9
    assert control.value("SELECT count(*) FROM bulkhead_control.tenant WHERE status = %s", status) == 9


def somebody_waits(control):
    with control.database.connect() as root:
        (count,) = root.execute("SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
                                "WHERE NOT l.granted AND a.datname = current_database()").fetchone()
    return count


def test_a_deadlock_is_tried_again(control, tree):
    """The command renames a tenant to a slug that another session is giving to a new one, and that one then wants
    the command's row: PostgreSQL ends the command's transaction, and the second attempt waits for the other's end."""
    patient = {"CONTROL_DSN": control.database.conninfo(), "PGOPTIONS": "-c deadlock_timeout=700ms"}
    before = control.stand.postgres.log_text().count("deadlock detected")
    with control.database.connect(autocommit=False) as other, ThreadPoolExecutor(1) as executor:
        other.execute("SET deadlock_timeout = '1h'")
        control.create("renamed", on=other)
        future = executor.submit(bulkhead, "tenant", "set", "shop", "--slug", "renamed", **patient)
        wait_for(lambda: somebody_waits(control), "the command to wait")
        other.execute("UPDATE bulkhead_control.tenant SET name = 'other' WHERE slug = 'shop'")
        other.rollback()
        done = future.result()
    assert (done.returncode, done.stderr) == (DONE, "")
    assert control.stand.postgres.log_text().count("deadlock detected") == before + 1
    assert control.value("SELECT count(*) FROM bulkhead_control.tenant WHERE slug = 'renamed'") == 1


@pytest.fixture
def contended(control, tree):
    """A function that has every change of a tenant fail so many times, and then go through; and one that tells how
    often it was tried."""
    with control.database.connect() as root:
        root.execute("CREATE SCHEMA contended; CREATE SEQUENCE contended.tries;"
                     "GRANT USAGE ON SCHEMA contended TO PUBLIC; GRANT ALL ON SEQUENCE contended.tries TO PUBLIC")

        def install(state, times, when):
            root.execute(f"""
                CREATE FUNCTION contended.fail() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    IF nextval('contended.tries') <= {times} THEN
                        RAISE EXCEPTION USING ERRCODE = '{state}', MESSAGE = 'contended';
                    END IF;
                    RETURN NULL;
                END $$;
                CREATE CONSTRAINT TRIGGER contended AFTER UPDATE ON bulkhead_control.tenant
                DEFERRABLE INITIALLY {when} FOR EACH ROW EXECUTE FUNCTION contended.fail()""")

        yield install, lambda: root.execute("SELECT last_value FROM contended.tries").fetchone()[0]
        root.execute("DROP SCHEMA contended CASCADE")


@pytest.mark.parametrize("state", ["40001", "40P01"])
@pytest.mark.parametrize("when", ["IMMEDIATE", "DEFERRED"])  # in the statement, or at the end of the transaction
def test_what_helps_with_the_next_attempt_is_tried_again(control, dsn, contended, state, when):
    install, tries = contended
    install(state, 3, when)
    with control.heard() as payloads:
        (row,) = rows("tenant", "suspend", "shop", **dsn)
    assert tries() == 4 and row["version"] == 2 and payloads == [f"{row['id']}:2"]


def test_attempts_come_to_an_end(control, dsn, contended):
    install, tries = contended
    install("40001", 10**6, "IMMEDIATE")
    start = time.monotonic()
    assert refusal("tenant", "suspend", "shop", **dsn) == "bulkhead: contended\n"
    assert 3 <= tries() <= 20 and time.monotonic() - start < 20
    assert control.value("SELECT status FROM bulkhead_control.tenant WHERE slug = 'shop'") == "active"


@pytest.mark.parametrize("state", ["23514", "P0001", "57014", "42501"])
def test_what_does_not_help_is_tried_once(control, dsn, contended, state):
    install, tries = contended
    install(state, 10**6, "DEFERRED")
    assert refusal("tenant", "suspend", "shop", **dsn) == "bulkhead: contended\n"
    assert tries() == 1


def test_a_tenant_that_vanishes_meanwhile_is_not_called_so_already(control, dsn, tree):
    """The command has found it and waits for its row when it is deleted."""
    with control.connect(autocommit=False) as other, ThreadPoolExecutor(1) as executor:
        control.delete(control.value("SELECT id FROM bulkhead_control.tenant WHERE slug = 'shop'"), on=other)
        future = executor.submit(bulkhead, "tenant", "set", "shop", "--weight", "9", **dsn)
        wait_for(lambda: somebody_waits(control), "the command to wait")
        other.commit()
        done = future.result()
    assert (done.returncode, done.stdout) == (FAILED, "") and "there is no tenant" in done.stderr


# ---- the functions behind it, for whoever calls them ----

@pytest.mark.parametrize("call, error", [
    ("change_tenant_status('{0}', 'purge', true)", "InvalidParameterValue"),
    ("change_tenant_status('{0}', NULL, true)", "InvalidParameterValue"),
    ("change_tenant_status('{1}', 'suspend', true)", "NoDataFound"),
    ("move_tenant('{1}', NULL)", "NoDataFound"),
    ("move_tenant('{0}', '{1}')", "ForeignKeyViolation"),
])
def test_what_the_functions_refuse(control, tree, call, error):
    with pytest.raises(getattr(psycopg.errors, error)):
        control.admin.execute("SELECT * FROM bulkhead_control." + call.format(tree, uuid.uuid4()))


def test_a_status_that_others_write_leaves_no_false_memory(control, dsn, tree):
    """The columns that remember with whom a tenant was suspended follow every change of the status."""
    def memory(slug):
        return control.admin.execute(
            "SELECT suspended_with, archived_with, archived_from FROM bulkhead_control.tenant WHERE slug = %s",
            (slug,)).fetchone()

    rows("tenant", "suspend", "acme", "--subtree", **dsn)
    assert memory("acme") == (None, None, None) and memory("bench-0") == (tree, None, None)
    control.admin.execute("UPDATE bulkhead_control.tenant SET status = 'archived'")
    assert memory("bench-0") == (tree, None, "suspended")
    control.admin.execute("UPDATE bulkhead_control.tenant SET status = 'active'")
    assert {memory(slug) for slug in ("acme", "labs", "bench-0")} == {(None, None, None)}
    rows("tenant", "archive", "acme", "--subtree", **dsn)
    assert memory("bench-0") == (None, tree, "active")
    control.admin.execute("UPDATE bulkhead_control.tenant SET status = 'suspended'")
    assert memory("bench-0") == (None, None, None)
