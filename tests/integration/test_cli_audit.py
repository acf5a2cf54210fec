"""bulkhead audit: what a superuser did to the log with all triggers off, it says where."""

import csv
import io
import json

import pytest
from harness.control import Control
from harness.program import FAILED, USAGE, bulkhead, refusal, rows, succeed

RECORDS = 40


class Log:
    def __init__(self, stand):
        self.control = Control(stand)
        self.root = self.control.database.connect()
        self.dsn = {"CONTROL_DSN": self.control.database.conninfo()}
        acme = self.control.create("acme", external_key="ä€𝄞")
        for n in range(RECORDS):
            self.control.create(f"t-{n}", acme if n % 2 else None)
        self.control.set(acme, name="Ä \\ \" ' \u2028")
        self.root.execute("CREATE SCHEMA kept; CREATE TABLE kept.audit AS TABLE bulkhead_control.audit; "
                          "CREATE TABLE kept.head AS TABLE bulkhead_control.audit_head")
        self.last = self.root.execute("SELECT id FROM bulkhead_control.audit_head").fetchone()[0]

    def tamper(self, *statements):
        with self.root.transaction():
            self.root.execute("SET LOCAL session_replication_role = replica; SET LOCAL search_path = bulkhead_control")
            for statement in statements:
                self.root.execute(statement)

    def mend(self):
        self.tamper("DELETE FROM audit", "INSERT INTO audit TABLE kept.audit", "DELETE FROM audit_head",
                    "INSERT INTO audit_head TABLE kept.head", "DELETE FROM audit_checkpoint")

    def verify(self, *arguments):
        """The place that does not fit, or None."""
        done = bulkhead("audit", "verify", "--json", *arguments, **self.dsn)
        answer = json.loads(done.stdout)
        assert (done.returncode == 0) == answer["fits"] and done.stderr == ""
        people = bulkhead("audit", "verify", *arguments, **self.dsn)
        assert people.returncode == done.returncode
        assert answer["fits"] or f"record {answer['place']}: {answer['why']}" in people.stderr
        return answer.get("place")

    def kept(self, place, table="kept.audit"):
        """A head of the chain as somebody would have kept it."""
        (hash_,) = self.root.execute(f"SELECT encode(hash, 'hex') FROM {table} WHERE id = %s", (place,)).fetchone()
        return f"{place}:{hash_}"

    def head(self):
        return succeed("audit", "head", **self.dsn).strip()


@pytest.fixture(scope="module")
def whole(stand):
    log = Log(stand)
    yield log
    log.root.close()
    log.control.drop()


@pytest.fixture
def log(whole):
    yield whole
    whole.mend()
    assert whole.verify() is None


REHASH = """DO $$ DECLARE a audit; prev bytea; BEGIN
    FOR a IN SELECT * FROM audit WHERE id >= {0} ORDER BY id LOOP
        a.prev_hash := coalesce(prev, a.prev_hash); a.hash := audit_hash(a); prev := a.hash;
        UPDATE audit SET prev_hash = a.prev_hash, hash = a.hash WHERE id = a.id;
    END LOOP;
    UPDATE audit_head SET hash = prev;
END $$"""


def test_a_log_that_nobody_touched(log):
    assert log.verify() is None
    assert log.verify("--from", "20") is None
    assert log.verify("--from", str(log.last)) is None
    assert log.verify("--head", log.head()) is None
    assert log.verify("--from", "20", "--head", log.kept(7)) is None
    assert f"records 1 to {log.last} are as they were written; head {log.head()}" in succeed("audit", "verify", **log.dsn)


@pytest.mark.parametrize("column, value", [
    ("at", "at + interval '1 us'"), ("kind", "'noted'"), ("action", "'x'"), ("actor", "'api-key:other'"),
    ("actor_id", "''"), ("login", "'x'"), ("address", "'192.0.2.1'"), ("request_id", "'x'"),
    ("tenant_id", "gen_random_uuid()"), ("tenant_slug", "'other'"), ("scope", "'{}'"), ("subject", "'x'"),
    ("before", "'null'"), ("after", "after || '{\"name\": \"y\"}'"),
    ("prev_hash", "sha256('')"), ("hash", "sha256('')")])
def test_a_changed_record(log, column, value):
    log.tamper(f"UPDATE audit SET {column} = {value} WHERE id = 17")
    assert log.verify() == 17
    assert log.verify("--from", "17") == 17
    assert log.verify("--from", "18") == (18 if column == "hash" else None)


def test_a_changed_record_with_its_own_hash_made_anew(log):
    log.tamper("UPDATE audit SET actor = 'x' WHERE id = 17", "UPDATE audit a SET hash = audit_hash(a) WHERE id = 17")
    assert log.verify() == 18


def test_a_chain_that_was_made_anew_is_not_the_one_that_was_kept(log):
    kept, before = log.head(), log.kept(16)
    log.tamper("UPDATE audit SET actor = 'x' WHERE id = 17", REHASH.format(17))
    assert log.verify() is None
    assert log.verify("--head", kept) == log.last
    assert log.verify("--head", before) is None


@pytest.mark.parametrize("place", [1, 17])
def test_a_removed_record(log, place):
    log.tamper(f"DELETE FROM audit WHERE id = {place}")
    assert log.verify() == place


def test_a_removed_record_and_those_behind_it_moved_up(log):
    log.tamper("DELETE FROM audit WHERE id = 17", "UPDATE audit SET id = -id WHERE id > 17",
               "UPDATE audit SET id = -id - 1 WHERE id < 0")
    assert log.verify() == 17


def test_a_removed_tail(log):
    kept = log.head()
    log.tamper(f"DELETE FROM audit WHERE id > {log.last - 3}")
    assert log.verify() == log.last - 2
    # With the head put right only what was kept elsewhere tells.
    log.tamper("UPDATE audit_head h SET id = a.id, at = a.at, hash = a.hash FROM audit a "
               "WHERE a.id = (SELECT max(id) FROM audit)")
    assert log.verify() is None
    assert log.verify("--head", kept) == log.last - 2


def test_reordered_records(log):
    log.tamper("UPDATE audit SET id = -1 WHERE id = 17", "UPDATE audit SET id = 17 WHERE id = 18",
               "UPDATE audit SET id = 18 WHERE id = -1")
    assert log.verify() == 17


def test_a_record_that_was_put_in(log):
    log.tamper("UPDATE audit SET id = -id WHERE id > 17", "UPDATE audit SET id = -id + 1 WHERE id < 0",
               "CREATE TEMP TABLE one ON COMMIT DROP AS SELECT * FROM audit WHERE id = 17",
               "UPDATE one SET id = 18, prev_hash = hash",
               "UPDATE one SET hash = audit_hash(one::text::audit)", "INSERT INTO audit TABLE one")
    assert log.verify() == 19


def test_a_checkpoint_that_nothing_tells_of(log):
    log.tamper("INSERT INTO audit_checkpoint (id, hash, at) SELECT id, hash, at FROM audit WHERE id = 17",
               "DELETE FROM audit WHERE id <= 17")
    assert log.verify() == 17


def test_a_log_of_which_the_oldest_went(stand):
    log = Log(stand)
    try:
        seventh = log.kept(7)
        log.tamper("UPDATE audit SET at = at - interval '40 days'", "UPDATE audit_head SET at = at - interval '40 days'",
                   REHASH.format(1))
        tenth = log.kept(10, "bulkhead_control.audit")
        for most in (6, 4):
            log.root.execute("SELECT bulkhead_control.audit_prune(now() - interval '30 days', %s)", (most,))
        assert log.verify() is None
        assert log.verify("--head", tenth) is None
        assert log.verify("--head", seventh) == 7  # nothing can be said of it
        assert log.verify("--from", "8") == 8
        assert log.verify("--from", "11") is None
        log.tamper("UPDATE audit_checkpoint SET hash = sha256('') WHERE id = 10")
        assert log.verify() == 10
    finally:
        log.root.close()
        log.control.drop()


def test_lists_and_exports(log):
    listed = rows("audit", "list", "--tenant", "acme", **log.dsn)
    assert [(r["action"], r["tenant"], r["subject"]) for r in listed] == [
        ("tenant.changed", "acme", "tenant:acme"), ("tenant.created", "acme", "tenant:acme")]
    assert len(rows("audit", "list", "--limit", "7", **log.dsn)) == 7
    assert len(rows("audit", "list", "--tenant", "acme", "--subtree", "--limit", "1000", **log.dsn)) == RECORDS // 2 + 2
    assert rows("audit", "list", "--until", "2020-01-01Z", **log.dsn) == []
    everything = [json.loads(line) for line in succeed("audit", "export", **log.dsn).split("\n")[:-1]]
    assert [r["id"] for r in everything] == list(range(1, log.last + 1))
    assert [r["id"] for r in everything if r["action"] == "tenant.changed"] == [
        r["id"] for r in rows("audit", "list", "--action", "tenant.ch", **log.dsn)]
    table = list(csv.DictReader(io.StringIO(succeed("audit", "export", "--format", "csv", **log.dsn), newline="")))
    assert [int(row["id"]) for row in table] == [r["id"] for r in everything]
    assert json.loads(table[-1]["after"])["name"] == "Ä \\ \" ' \u2028"


@pytest.mark.parametrize("arguments", [(), ("look",), ("verify", "x"), ("verify", "--from", "0"), ("verify", "--from", "x"),
                                       ("verify", "--head", "1"), ("verify", "--head", "1:00"),
                                       ("list", "--head", "1:" + "0" * 64), ("list", "--limit", "0"),
                                       ("export", "--format", "xml"), ("verify", "--tenant", "x")])
def test_wrong_usage(log, arguments):
    assert bulkhead("audit", *arguments, **log.dsn).returncode == USAGE


def test_what_is_not_there(log):
    assert "no tenant" in refusal("audit", "list", "--tenant", "nobody", **log.dsn)
    assert bulkhead("audit", "verify", CONTROL_DSN="host=/nowhere").returncode == FAILED
