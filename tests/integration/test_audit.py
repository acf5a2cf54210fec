"""The audit log: what is in it, that it holds no secret, that it is only ever added to, and what becomes of old records."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest
from harness.control import ADMIN, SIDECAR, VERIFIER, Control
from harness.wait import wait_for

SECRET = "(secret)"
KID = "0123456789abcdef"
PARTS = ("id::text, (extract(epoch FROM at) * 1000000)::bigint::text, kind, action, actor, actor_id, login, address, "
         "request_id, tenant_id::text, tenant_slug, scope::text, subject, before::text, after::text")


class Log:
    def __init__(self, control):
        self.control = control
        self.root = control.database.connect()

    def rows(self, where="true", *parameters):
        cursor = self.root.cursor(row_factory=psycopg.rows.dict_row)
        return cursor.execute(f"SELECT * FROM bulkhead_control.audit WHERE {where} ORDER BY id", parameters or None).fetchall()

    def head(self):
        return self.root.execute("SELECT id, hash FROM bulkhead_control.audit_head").fetchone()

    @contextmanager
    def written(self):
        """Collects what is written before the block ends."""
        records, (before, _) = [], self.head()
        yield records
        records.extend(self.rows("id > %s", before))

    def assert_whole(self):
        """Computed from the columns by nothing of the product's."""
        place, prev = self.root.execute("SELECT id, hash FROM bulkhead_control.audit_checkpoint "
                                        "UNION ALL SELECT 0, decode(repeat('00', 32), 'hex') ORDER BY id DESC").fetchone()
        for prev_hash, kept, *parts in self.root.execute(
                f"SELECT prev_hash, hash, {PARTS} FROM bulkhead_control.audit a ORDER BY a.id"):
            place += 1
            assert int(parts[0]) == place
            text = "".join("-," if part is None else f"{len(part.encode())}:{part}," for part in parts)
            assert prev_hash == prev
            assert kept == hashlib.sha256(prev + text.encode()).digest()
            prev = kept
        assert self.head() == (place, prev)
        assert self.root.execute("SELECT count(*) FROM bulkhead_control.audit_draft").fetchone() == (0,)

    def shift(self, interval):
        """Makes all records older by that, with the chain that they would have."""
        with self.root.transaction():
            self.root.execute("SET LOCAL session_replication_role = replica")
            self.root.execute(f"""
                DO $$ DECLARE a bulkhead_control.audit; prev bytea;
                BEGIN
                    FOR a IN SELECT * FROM bulkhead_control.audit ORDER BY id LOOP
                        a.at := a.at - interval '{interval}';
                        a.prev_hash := coalesce(prev, a.prev_hash);
                        a.hash := bulkhead_control.audit_hash(a);
                        prev := a.hash;
                        UPDATE bulkhead_control.audit SET at = a.at, prev_hash = a.prev_hash, hash = a.hash WHERE id = a.id;
                    END LOOP;
                    UPDATE bulkhead_control.audit_head SET at = a.at, hash = prev;
                END $$""")


@pytest.fixture
def log(control):
    log = Log(control)
    yield log
    log.assert_whole()
    log.root.close()


@pytest.fixture
def own(stand):
    """A control schema whose log may come to harm."""
    control = Control(stand)
    log = Log(control)
    yield log
    log.root.close()
    control.drop()


# ---- what is in it ----

def test_a_tenant_is_made_changed_and_deleted(control, log):
    with log.written() as records:
        acme = control.create("acme", external_key="1042")
        labs = control.create("labs", acme)
        control.set(labs, name="The labs", slug="lab")
        control.set(labs, name="The labs")
        control.delete(labs)
    assert [(r["kind"], r["action"], r["subject"], r["tenant_id"], r["tenant_slug"]) for r in records] == [
        ("created", "tenant.created", "tenant:acme", acme, "acme"), ("created", "tenant.created", "tenant:labs", labs, "labs"),
        ("changed", "tenant.changed", "tenant:lab", labs, "lab"), ("deleted", "tenant.deleted", "tenant:lab", labs, "lab")]
    assert {(r["actor"], r["login"], r["actor_id"], r["address"]) for r in records} == {(f"sql:{ADMIN}", ADMIN, None, None)}
    assert [r["scope"] for r in records] == [[acme], [acme, labs], [acme, labs], [acme, labs]] or set(
        records[2]["scope"]) == {acme, labs}
    assert records[0]["before"] is None and records[0]["after"]["external_key"] == "1042"
    assert (records[2]["before"], records[2]["after"]) == ({"name": "labs", "slug": "labs"},
                                                           {"name": "The labs", "slug": "lab"})
    assert records[3]["after"] is None and records[3]["before"]["parent_id"] == str(acme)
    assert [r["at"] for r in records] == sorted(r["at"] for r in records)


def test_what_only_follows_is_left_out(control, log):
    acme, globex = control.create("acme"), control.create("globex")
    labs = control.create("labs", acme)
    benches = [control.create(f"bench-{n}", labs) for n in range(20)]
    with log.written() as records:
        control.move(labs, globex)
    (move,) = records
    assert (move["subject"], move["before"]) == ("tenant:labs", {"parent_id": str(acme)})
    assert move["after"] == {"parent_id": str(globex), "moved_along": 20}
    assert set(move["scope"]) == {acme, globex, labs}
    with log.written() as records:
        control.admin.execute("SELECT bulkhead_control.set_setting(%s, 'app.x', '1', false)", (globex,))
    assert [r["subject"] for r in records] == ["setting:app.x"]
    with log.written() as records:
        control.admin.execute("SELECT bulkhead_control.change_tenant_status(%s, 'suspend', true)", (labs,))
        control.admin.execute("SELECT bulkhead_control.change_tenant_status(%s, 'resume', true)", (labs,))
    for record, was, is_now in zip(records, ("active", "suspended"), ("suspended", "active"), strict=True):
        assert (record["subject"], record["before"]["status"], record["after"]["status"]) == ("tenant:labs", was, is_now)
        assert record["after"]["taken_along"]["count"] == 20
        assert set(record["after"]["taken_along"]["ids"]) == set(map(str, benches))
    with log.written() as records:
        control.delete(benches[0])
    assert [r["subject"] for r in records] == ["tenant:bench-0"]


def test_what_comes_with_a_status_is_not_left_out(control, log):
    """Of tenants that change by themselves in one statement each has its record."""
    acme, globex = control.create("acme"), control.create("globex")
    labs = control.create("labs", acme)
    with log.written() as records:
        control.admin.execute("UPDATE bulkhead_control.tenant SET status = 'suspended', "
                              "name = CASE slug WHEN 'labs' THEN 'new' ELSE name END")
    assert {(r["subject"], r["after"].get("name"), "taken_along" in r["after"]) for r in records} == {
        ("tenant:acme", None, False), ("tenant:globex", None, False), ("tenant:labs", "new", False)}
    assert {r["tenant_id"] for r in records} == {acme, globex, labs}


def test_settings_permissions_and_registries(control, log):
    acme = control.create("acme")
    with log.written() as records:
        control.admin.execute("INSERT INTO bulkhead_control.setting_key (key, type, description) "
                              "VALUES ('x.y', 'integer', 'x')")
        control.admin.execute("INSERT INTO bulkhead_control.permission_key (key, kind, shared_default, schema_default, "
                              "database_default, description) VALUES ('x.z', 'bool', 'true', 'true', 'true', 'x')")
        control.admin.execute("SELECT bulkhead_control.set_setting(%s, 'x.y', '1', false)", (acme,))
        control.admin.execute("SELECT bulkhead_control.set_setting(%s, 'x.y', '2', true)", (acme,))
        control.admin.execute("SELECT bulkhead_control.set_permission(%s, 'x.z', 'false', 'LOCKED', NULL)", (acme,))
        control.admin.execute("SELECT bulkhead_control.revoke_permission(%s, 'x.z')", (acme,))
        control.admin.execute("SELECT bulkhead_control.unset_setting(%s, 'x.y')", (acme,))
        control.admin.execute("DELETE FROM bulkhead_control.setting_key WHERE key = 'x.y'")
        control.admin.execute("DELETE FROM bulkhead_control.permission_key WHERE key = 'x.z'")
        control.admin.execute("INSERT INTO bulkhead_control.cluster (name) VALUES ('elsewhere')")
        control.admin.execute("UPDATE bulkhead_control.cluster SET status = 'draining' WHERE name = 'elsewhere'")
        control.admin.execute("DELETE FROM bulkhead_control.cluster WHERE name = 'elsewhere'")
    assert [(r["action"], r["subject"], r["tenant_id"]) for r in records] == [
        ("setting-key.created", "setting-key:x.y", None), ("permission-key.created", "permission-key:x.z", None),
        ("setting.created", "setting:x.y", acme), ("setting.changed", "setting:x.y", acme),
        ("permission.created", "permission:x.z", acme), ("permission.deleted", "permission:x.z", acme),
        ("setting.deleted", "setting:x.y", acme), ("setting-key.deleted", "setting-key:x.y", None),
        ("permission-key.deleted", "permission-key:x.z", None), ("cluster.created", "cluster:elsewhere", None),
        ("cluster.changed", "cluster:elsewhere", None), ("cluster.deleted", "cluster:elsewhere", None)]
    for image, value, locked in ((records[3]["before"], 1, False), (records[3]["after"], 2, True)):
        assert (image["value"], image["locked"]) == (value, locked)


def test_of_jobs_the_beginning_and_the_end(control, log):
    acme = control.create("acme")
    with log.written() as records:
        job = control.value("SELECT bulkhead_control.purge_tenant(%s)", acme)
        take = "SELECT attempts FROM bulkhead_control.take_job('{default}', %s, 'r', '1 minute')"
        attempt = control.value(take, job)
        assert control.value("SELECT bulkhead_control.begin_job_step(%s, %s, 'x', '1 minute')", job, attempt)
        control.value("SELECT bulkhead_control.return_job(%s, %s)", job, attempt)
        attempt = control.value(take, job)
        assert control.value("SELECT bulkhead_control.fail_job(%s, %s, 'broken', NULL)", job, attempt)
        control.admin.execute("SELECT bulkhead_control.retry_job(%s)", (job,))
        attempt = control.value(take, job)
        assert control.value("SELECT bulkhead_control.finish_job(%s, %s, NULL)", job, attempt)
    assert [(r["kind"], r["subject"], (r["after"] or {}).get("state")) for r in records] == [
        ("changed", "tenant:acme", None), ("created", f"job:{job}", "queued"), ("changed", f"job:{job}", "failed"),
        ("changed", f"job:{job}", "queued"), ("changed", f"job:{job}", "done"), ("deleted", "tenant:acme", None)]
    assert records[2]["after"]["error"] == "broken"


def test_no_secret_is_in_it(control, log):
    acme = control.create("acme")
    other = VERIFIER.replace("AAAA", "CCCC")
    with log.written() as records:
        control.principal("shop", acme)
        control.admin.execute("UPDATE bulkhead_control.principal SET verifier = %s", (other,))
        control.admin.execute("UPDATE bulkhead_control.principal SET verifier = NULL")
        control.admin.execute("INSERT INTO bulkhead_control.api_key (id, name, role, tenant_id, hash, hash_kid) "
                              "VALUES ('aaaaaaaaaaaaaaaa', 'ci', 'admin', %s, %s, 'p1')", (acme, b"\1" * 32))
        control.admin.execute("UPDATE bulkhead_control.api_key SET previous_hash = hash, previous_kid = hash_kid, "
                              "previous_until = now(), hash = %s WHERE name = 'ci'", (b"\2" * 32,))
        control.admin.execute("UPDATE bulkhead_control.api_key SET last_used_at = now()")
    assert [(r["before"] or {}).get("verifier") for r in records] == [None, SECRET, SECRET, None, None]
    assert [(r["after"] or {}).get("verifier", "none") for r in records] == [SECRET, SECRET, None, "none", "none"]
    assert records[3]["after"]["hash"] == SECRET and records[4]["after"]["previous_hash"] == SECRET
    everything = json.dumps([[r["before"], r["after"]] for r in records])
    for secret in ("SCRAM-SHA-256", "AAAA", "CCCC", (b"\1" * 32).hex(), (b"\2" * 32).hex()):
        assert secret not in everything


def test_a_sensitive_value_is_a_secret(control, log):
    acme = control.create("acme")
    control.admin.execute("INSERT INTO bulkhead_control.setting_key (key, type, sensitive, description) "
                          "VALUES ('mail.password', 'string', true, 'x')")
    log.root.execute("INSERT INTO bulkhead_control.tenant_data_key (tenant_id, kid, wrapped) VALUES (%s, %s, %s)",
                     (acme, KID, f"v1.m1.{'A' * 16}.{'B' * 64}"))
    with log.written() as records:
        for key in ("mail.password", "app.own"):  # a value is one by its key, or by being sealed
            for secret in ("hush" + 20 * "C", "hush" + 20 * "D"):
                control.admin.execute("SELECT bulkhead_control.set_setting(%s, %s, %s, false)",
                                      (acme, key, json.dumps({"$enc": f"v1.{KID}.{'A' * 16}.{secret}"})))
            control.admin.execute("SELECT bulkhead_control.unset_setting(%s, %s)", (acme, key))
    assert [r["kind"] for r in records] == 2 * ["created", "changed", "deleted"]
    assert "hush" not in json.dumps([[r["before"], r["after"]] for r in records])
    assert records[1]["before"]["value"] == records[1]["after"]["value"] == SECRET
    log.root.execute("DELETE FROM bulkhead_control.setting_key WHERE key = 'mail.password'")


def test_who_is_acting(control, log):
    with log.written() as records, control.admin.transaction():
        for name, value in (("actor", "api-key:ci"), ("actor_id", "abc"), ("address", "192.0.2.1"), ("request_id", "r-1"),
                            ("action", "tenant.create")):
            control.admin.execute("SELECT set_config(%s, %s, true)", (f"bulkhead.{name}", value))
        acme = control.create("acme")
        control.admin.execute("SELECT bulkhead_control.audit_note('settings.reveal', %s, 'setting:app.x', '{\"n\": 1}')",
                              (acme,))
    with log.written() as later:
        control.create("globex")
    assert [(r["kind"], r["action"], r["actor"], r["actor_id"], r["address"], r["request_id"], r["login"])
            for r in records] == [("created", "tenant.create", "api-key:ci", "abc", "192.0.2.1", "r-1", ADMIN),
                                  ("noted", "settings.reveal", "api-key:ci", "abc", "192.0.2.1", "r-1", ADMIN)]
    assert (records[1]["tenant_id"], records[1]["scope"], records[1]["after"]) == (acme, [acme], {"n": 1})
    assert [(r["actor"], r["action"]) for r in later] == [(f"sql:{ADMIN}", "tenant.created")]


def test_what_is_taken_back_is_not_there(control, log):
    with log.written() as records:
        with pytest.raises(ZeroDivisionError), control.admin.transaction():
            control.create("acme")
            raise ZeroDivisionError
        with control.admin.transaction():
            with pytest.raises(ZeroDivisionError), control.admin.transaction():
                control.create("first")
                raise ZeroDivisionError
            control.create("second")
            with pytest.raises(ZeroDivisionError), control.admin.transaction():
                control.create("third")
                raise ZeroDivisionError
            control.admin.execute("SET CONSTRAINTS ALL IMMEDIATE")
            with pytest.raises(ZeroDivisionError), control.admin.transaction():
                control.create("fourth")
                raise ZeroDivisionError
            control.create("fifth")
    assert [r["subject"] for r in records] == ["tenant:second", "tenant:fifth"]


@pytest.mark.parametrize("immediate", [False, True])
def test_places_have_no_gaps_whoever_writes_at_the_same_time(control, log, immediate):
    """And no deadlock: also not between one who renames a tenant and one who creates below it."""
    acme = control.create("acme")

    def work(worker):
        with control.connect() as admin:
            for n in range(40):
                with admin.transaction():
                    if worker % 3 == 0:
                        control.set(acme, on=admin, slug=f"acme-{worker}-{n}")
                    else:
                        control.create(f"t-{worker}-{n}", acme, on=admin)
                        control.create(f"u-{worker}-{n}", acme, on=admin)
                    if immediate:
                        admin.execute("SET CONSTRAINTS bulkhead_control.tenant_parent, bulkhead_control.tenant_parent_active "
                                      "IMMEDIATE")
                        admin.execute("SET CONSTRAINTS ALL IMMEDIATE")

    with log.written() as records, ThreadPoolExecutor(6) as executor:
        for future in [executor.submit(work, worker) for worker in range(6)]:
            future.result()
    assert len(records) == 2 * 40 + 4 * 80
    for worker in range(6):  # in the order of commits, so each one's own are in order
        own = [r["subject"] for r in records if f"-{worker}-" in r["subject"] and r["kind"] == "created"]
        assert own == [f"tenant:{letter}-{worker}-{n}" for n in range(40) for letter in "tu"] or worker % 3 == 0


# ---- only ever added to ----

def test_nobody_changes_it(control, log):
    control.create("acme")
    for table in ("audit", "audit_head", "audit_checkpoint", "audit_draft", "audit_hold"):
        for statement in ("DELETE FROM {}", "TRUNCATE {}", "INSERT INTO {} DEFAULT VALUES"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                control.admin.execute(statement.format(f"bulkhead_control.{table}"))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        control.admin.execute("UPDATE bulkhead_control.audit SET actor = 'x'")
    # Nor does its owner, while the triggers are there.
    for statement in ("UPDATE bulkhead_control.audit SET actor = 'x'", "DELETE FROM bulkhead_control.audit WHERE id = 1",
                      "TRUNCATE bulkhead_control.audit", "DELETE FROM bulkhead_control.audit_hold",
                      "DELETE FROM bulkhead_control.audit_checkpoint",
                      "INSERT INTO bulkhead_control.audit_checkpoint (id, hash, at) VALUES (1000000, '', now())"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            log.root.execute(statement)


def test_a_sidecar_records_events_and_nothing_else(control, log):
    acme = control.create("acme")
    labs = control.create("labs", acme)
    event = {"kind": "session.refused", "tenant": str(labs), "principal": "shop", "reason": "BH-ID-PASSWORD", "count": 3,
             "first_ms": 1_700_000_000_000, "last_ms": 1_700_000_001_500, "instance": "pod-1"}
    with control.connect(SIDECAR) as sidecar, log.written() as records:
        sidecar.execute("SELECT set_config('bulkhead.actor', 'api-key:root', false), set_config('bulkhead.action', 'x', false)")
        record = "SELECT bulkhead_control.record_events(%s)"
        assert sidecar.execute(record, (json.dumps([event, {"kind": "session.opened", "count": 1}]),)).fetchone() == (2,)
        for bad in ({}, [1], [{**event, "kind": "tenant.created"}], [{**event, "count": 0}], [{**event, "reason": "a b"}],
                    [{**event, "principal": "x" * 300}], [{**event, "tenant": "acme"}], [event] * 1001, None):
            with pytest.raises(psycopg.Error):
                sidecar.execute(record, (json.dumps(bad),))
        for call in ("audit_note('x', NULL, 'x', '{}')", "audit_prune(now(), 1)", "make_audit_hold(NULL, 'x', NULL)",
                     "release_audit_hold(1)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                sidecar.execute(f"SELECT bulkhead_control.{call}")
    assert [(r["kind"], r["action"], r["actor"], r["login"], r["subject"], r["tenant_id"]) for r in records] == [
        ("event", "session.refused", f"sidecar:{SIDECAR}", SIDECAR, "principal:shop", labs),
        ("event", "session.opened", f"sidecar:{SIDECAR}", SIDECAR, "sidecar", None)]
    assert records[0]["scope"] == [acme, labs]
    assert records[0]["after"] == {"reason": "BH-ID-PASSWORD", "count": 3, "instance": "pod-1",
                                   "first_at": records[0]["after"]["first_at"], "last_at": records[0]["after"]["last_at"]}
    assert records[0]["after"]["first_at"].startswith("2023-11-14T")


def test_a_listener_is_woken(control, log):
    with control.connect(SIDECAR) as listener:
        listener.execute("LISTEN bulkhead_audit")
        control.create("acme")
        assert next(listener.notifies()).payload == ""


# ---- old records ----

def prune(log, age="30 days", most=100000):
    return log.control.value(f"SELECT bulkhead_control.audit_prune(now() - interval '{age}', %s)", most)


def test_old_records_go_from_the_old_end(own):
    for n in range(10):
        own.control.create(f"t-{n}")
    own.shift("40 days")
    young = own.control.create("young")
    before = own.head()[0]
    assert prune(own, most=4) == 4
    own.assert_whole()
    assert prune(own) == before - 4 - 1  # all but the young one; and the record of the first time is young too
    own.assert_whole()
    assert prune(own) == 0
    assert own.rows()[0]["tenant_id"] == young
    notes = own.rows("action = 'audit.prune'")
    assert [(n["after"]["from"], n["after"]["to"]) for n in notes] == [(1, 4), (5, before - 1)]
    assert [bytes.fromhex(n["after"]["hash"]) for n in notes] == [hash for hash, in own.root.execute(
        "SELECT hash FROM bulkhead_control.audit_checkpoint ORDER BY id")]
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        prune(own, age="23 hours")


def test_what_is_held_stays(own):
    control = own.control
    acme, globex = control.create("acme"), control.create("globex")
    control.create("labs", acme)
    own.shift("40 days")
    hold, = control.admin.execute("SELECT id FROM bulkhead_control.make_audit_hold(%s, 'a lawsuit', NULL)", (acme,)).fetchone()
    own.shift("40 days")
    first = own.rows("tenant_id = %s", acme)[0]["id"]
    assert prune(own) == first - 1  # nothing from the first of acme's on
    assert prune(own) == 0
    with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
        own.root.execute("INSERT INTO bulkhead_control.audit_checkpoint SELECT id, hash, at FROM bulkhead_control.audit "
                         "WHERE tenant_id = %s AND kind = 'created'", (globex,))
    assert refused.value.diag.constraint_name == "audit_checkpoint_check"
    assert control.value("SELECT count(*) FROM bulkhead_control.release_audit_hold(%s)", hold) == 1
    assert control.value("SELECT count(*) FROM bulkhead_control.release_audit_hold(%s)", hold) == 0
    assert prune(own) > 0
    own.assert_whole()
    assert own.rows("tenant_id = %s AND subject = 'tenant:acme'", acme) == []
    assert [r["after"].get("reason", "released") for r in own.rows("subject = %s", f"audit-hold:{hold}")][-1] == "released"


def test_a_hold_ends_by_itself_and_one_of_all_holds_all(own):
    own.control.create("acme")
    own.shift("40 days")
    own.control.admin.execute("SELECT bulkhead_control.make_audit_hold(NULL, 'all', now() + interval '400 ms')")
    assert prune(own) == 0
    own.control.admin.execute("SELECT pg_sleep(0.5)")
    assert prune(own) > 0
    own.assert_whole()


def test_a_tenant_is_held_while_records_are_removed(own):
    """Who removes records waits for a hold that is being made."""
    acme = own.control.create("acme")
    own.shift("40 days")
    with own.control.connect(autocommit=False) as other, ThreadPoolExecutor(1) as executor:
        other.execute("SELECT bulkhead_control.make_audit_hold(%s, 'x', NULL)", (acme,))
        removed = executor.submit(prune, own)
        wait_for(lambda: own.root.execute("SELECT cardinality(pg_blocking_pids(%s))",
                                          (own.control.admin.info.backend_pid,)).fetchone()[0], "a lock")
        other.commit()
        assert removed.result() == own.rows("tenant_id = %s", acme)[0]["id"] - 1
