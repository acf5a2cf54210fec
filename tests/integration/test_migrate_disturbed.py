"""Migrations that others stand in the way of, that are killed, and during which tenants are made."""

import itertools
import json
import signal

import pytest
from harness.migrate import HELD, MARK, MORE, NOTES, World, bodies, lines
from harness.program import DONE, FAILED
from harness.stand import Stand
from harness.wait import wait_for


@pytest.fixture(scope="module")
def stand(template):
    stand = Stand(template).start()
    yield stand
    stand.remove()


@pytest.fixture(scope="module", name="all_of_it")
def fixture_all_of_it(stand):
    return World(stand, schemas=12, databases=2)


@pytest.fixture
def world(all_of_it):
    all_of_it.reset()
    return all_of_it


# ---- locks ----

def test_a_lock_is_waited_for_in_small_pieces(world):
    path = world.file(1, "ALTER TABLE orders ADD COLUMN x int")
    patient = ("--lock-timeout", "50ms", "--lock-retries", "100")
    with world.connect("s1") as other, world.begun("--tenants", "s1", *patient, "--json", path) as process:
        with other.transaction():
            other.execute("LOCK TABLE orders IN ACCESS SHARE MODE")
            wait_for(lambda: world.ledger(1).get("s1") == "running", "the migration to begin")
            wait_for(lambda: attempts(world) > 2, "more attempts")
        (target,) = json.loads(process.communicate(timeout=60)[0])
    assert target["state"] == "done" and target["attempts"] > 2
    world.rows("s1", "ALTER TABLE orders DROP COLUMN x")


def attempts(world):
    with world.stand.admin() as root:
        return root.execute("SELECT max(attempts) FROM bulkhead_control.migration_target").fetchone()[0]


def test_a_lock_that_never_comes(world):
    with world.connect("s1") as other, other.transaction():
        other.execute("LOCK TABLE orders IN ACCESS SHARE MODE")
        done = world.migrate("--tenants", "s1,s2", "--lock-timeout", "50ms", "--lock-retries", "2",
                             world.file(1, "ALTER TABLE orders ADD COLUMN x int"))
    assert done.returncode == FAILED
    assert lines(done, "failed") == ["failed   schema of s1: version 1: 55P03 canceling statement due to lock timeout"]
    assert lines(done, "done") == ["done     schema of s2"]
    world.rows("s2", "ALTER TABLE orders DROP COLUMN x")


def test_what_takes_too_long_is_given_up(world):
    done = world.migrate("--tenants", "s1", "--statement-timeout", "100ms", world.file(1, "SELECT pg_sleep(60)"))
    assert done.returncode == FAILED and "57014 canceling statement due to statement timeout" in done.stdout


# ---- two at once, and ends ----

def test_two_at_once(world):
    path = world.file(1, HELD)
    with world.connect("s9") as other:
        other.execute("BEGIN; LOCK TABLE orders IN ACCESS SHARE MODE")
        with world.begun("--lock-timeout", "60s", path) as process:
            wait_for(lambda: world.ledger(1).get("s9") == "running", "the first to come there")
            done = world.migrate(path)
            assert (done.returncode, done.stdout) == (FAILED, "")
            assert done.stderr == ("bulkhead migrate: another bulkhead migrate is running; run this again when it has "
                                   "ended\n")
            other.execute("ROLLBACK")
            assert process.wait(60) == DONE
    assert all(len(bodies(world, name)) == 1 for name in world.everybody())


def test_killed_in_the_middle(world):
    path = world.file(1, NOTES + "SELECT pg_sleep(0.05);")
    for enough in (3, 8, 13):
        with world.begun("--jobs", "3", path) as process:
            wait_for(lambda: list(world.ledger(1).values()).count("done") >= enough, "some targets")
            process.send_signal(signal.SIGKILL)
    done = world.migrate(path)
    assert done.returncode == DONE, done.stdout
    assert 0 < len(lines(done, "done")) < len(world.everybody())
    assert world.ledger(1) == {name: "done" for name in world.everybody()}
    assert all(len(bodies(world, name)) == 1 for name in world.everybody())


def no_backends(world, name):
    with world.stand.admin() as root:
        return root.execute("SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = %s",
                            (name,)).fetchone()[0]


def test_killed_between_commit_and_record(world):
    path = world.file(1, HELD)
    with world.connect("s1") as other, world.stand.admin(autocommit=False) as root:
        other.execute("BEGIN; LOCK TABLE orders IN ACCESS SHARE MODE")
        with world.begun("--tenants", "s1", "--lock-timeout", "60s", path) as process:
            wait_for(lambda: world.ledger(1).get("s1") == "running", "the migration to begin")
            root.execute("LOCK TABLE bulkhead_control.migration_target IN SHARE MODE")
            other.execute("ROLLBACK")
            wait_for(lambda: world.marks("s1") == [1], "the mark")
            process.send_signal(signal.SIGKILL)
            process.wait(30)
            # What it had sent is not to be carried out by the server without it.
            root.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'bulkhead'")
            wait_for(lambda: no_backends(world, "bulkhead"), "the server to forget it")
        root.rollback()
    assert world.ledger(1) == {"s1": "running"}
    done = world.migrate("--tenants", "s1", path)
    assert done.returncode == DONE
    assert world.ledger(1) == {"s1": "done"} and len(bodies(world, "s1")) == 1


def test_a_signal_lets_what_was_begun_end(world):
    path = world.file(1, NOTES + "SELECT pg_sleep(0.3);")
    with world.begun("--jobs", "2", path) as process:
        wait_for(lambda: list(world.ledger(1).values()).count("done") >= 5, "some targets")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert process.returncode == FAILED and "stopping; what was begun ends first" in err
    assert "not tried" in out.splitlines()[-1]
    assert set(world.ledger(1).values()) == {"done"} and len(world.ledger(1)) < len(world.everybody())
    assert world.migrate(path).returncode == DONE
    assert all(len(bodies(world, name)) == 1 for name in world.everybody())


def test_the_control_database_goes_away(world):
    path = world.file(1, NOTES + "SELECT pg_sleep(0.1);")
    with world.begun(path) as process, world.stand.admin() as root:
        wait_for(lambda: list(world.ledger(1).values()).count("done") >= 5, "some targets")
        root.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'bulkhead'")
        out, err = process.communicate(timeout=60)
    assert process.returncode == FAILED and "control database" in err, out
    assert world.migrate(path).returncode == DONE
    assert all(len(bodies(world, name)) == 1 for name in world.everybody())


# ---- who is born meanwhile ----

@pytest.fixture(name="late")
def fixture_late(world):
    """Makes tenants, which are gone after the test."""
    numbers = itertools.count()
    made = []

    def make(kind="schema", **columns):
        tenant = getattr(world.own, kind)(f"late-{kind}-{next(numbers)}", **columns)
        getattr(world, kind + "s").append(tenant)
        made.append((kind, tenant))
        return tenant

    yield make
    with world.stand.admin() as root:
        for kind, tenant in made:
            getattr(world, kind + "s").remove(tenant)
            root.execute("DELETE FROM bulkhead_control.tenant WHERE slug = %s", (tenant,))
            name = world.own.name(tenant)
            if kind == "database":
                root.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
            root.execute(f'DROP OWNED BY "{name}" CASCADE; DROP ROLE "{name}"')


def test_whoever_comes_while_it_runs_is_not_missed(world, late):
    path = world.file(1, HELD)
    with world.connect("s9") as other:
        other.execute("BEGIN; LOCK TABLE orders IN ACCESS SHARE MODE")
        with world.begun("--lock-timeout", "60s", "--keep-going", path) as process:
            wait_for(lambda: world.ledger(1).get("s9") == "running", "the migration to come there")
            tenant = late()
            other.execute("ROLLBACK")
            out = process.communicate(timeout=60)[0]
    assert f"done     schema of {tenant}" in out and world.marks(tenant) == [1]


def begin_job(world, tenant):
    """As a runner that has copied the template already."""
    with world.stand.admin() as root:
        root.execute("UPDATE bulkhead_control.job SET state = 'running', step = 'schema', "
                     "lease_until = now() + interval '1h' WHERE slug = %s AND state = 'queued'", (tenant,))


def test_one_that_is_being_made_is_waited_for(world, late):
    path = world.file(1, NOTES)
    tenant = late(status="provisioning")
    begin_job(world, tenant)
    with world.begun("--keep-going", "--settle", "30s", path) as process:
        wait_for(lambda: list(world.ledger(1).values()).count("done") == 17, "the others")
        assert world.marks(tenant) == []
        with world.stand.admin() as root:
            root.execute("UPDATE bulkhead_control.tenant SET status = 'active' WHERE slug = %s", (tenant,))
        assert process.wait(60) == DONE
    assert world.marks(tenant) == [1]


def test_one_that_is_never_finished_is_told(world, late):
    tenant = late(status="provisioning")
    # Its copy of the template is still to be made: of the new one.
    assert world.migrate("--settle", "0", world.file(1, NOTES)).returncode == DONE
    begin_job(world, tenant)
    done = world.migrate("--settle", "0", world.file(1, NOTES))
    assert done.returncode == FAILED
    assert done.stdout.splitlines()[-1] == "1 tenant is being made: run this again when that is over"


def test_a_database_of_the_template_has_its_version(world, late):
    path = world.file(1, NOTES)
    assert world.migrate(path).returncode == DONE
    tenant = late("database")
    name = world.own.name(tenant)
    with world.stand.admin("postgres") as root:
        root.execute(f'DROP DATABASE "{name}"')
        root.execute(f'CREATE DATABASE "{name}" TEMPLATE blueprint')
    with world.stand.admin(name) as root:
        root.execute(f'ALTER SCHEMA public OWNER TO "{name}"; ALTER TABLE notes OWNER TO "{name}"')
        root.execute(f'ALTER TABLE {MARK} OWNER TO "{name}"')
    done = world.migrate(path, world.file(2, MORE))
    assert done.returncode == DONE, done.stdout
    assert bodies(world, tenant) == ["template_database as shop_owner", "more"] and world.marks(tenant) == [1, 2]
