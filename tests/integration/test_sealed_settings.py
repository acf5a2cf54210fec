"""Sensitive settings in the control schema: what may be stored, data keys, and the history of every setting."""

import json
import uuid

import psycopg
import pytest
from harness.control import constraint

NONCE = "A" * 16


def sealed(kid, text="B" * 24):
    return {"$enc": f"v1.{kid}.{NONCE}.{text}"}


def wrapped(master="m1", text="C" * 64):
    return f"v1.{master}.{NONCE}.{text}"


def data_key(control, tenant, master="m1"):
    kid = uuid.uuid4().hex[:16]
    control.admin.execute("SELECT bulkhead_control.add_data_key(%s, %s, %s)", (tenant, kid, wrapped(master)))
    return kid


def put(control, tenant, key, value, lock=False):
    return control.admin.execute("SELECT value FROM bulkhead_control.set_setting(%s, %s, %s, %s)",
                                 (tenant, key, json.dumps(value), lock)).fetchall()


def stored(control, tenant, key):
    return control.value("SELECT value FROM bulkhead_control.setting WHERE tenant_id = %s AND key = %s", tenant, key)


def history(control, tenant, key):
    return control.admin.execute("SELECT revision, value, locked FROM bulkhead_control.setting_history "
                                 "WHERE tenant_id = %s AND key = %s ORDER BY revision", (tenant, key)).fetchall()


def refused(work, *arguments):
    with pytest.raises(psycopg.Error) as error:
        work(*arguments)
    return constraint(error.value)


@pytest.fixture
def acme(control):
    return control.create("acme")


@pytest.fixture
def token(control):
    """A registered key that is sensitive."""
    control._insert(control.admin, "setting_key", {"key": "test.token", "type": "string", "description": "x",
                                                   "sensitive": True})
    yield "test.token"
    control.clear()
    control.admin.execute("DELETE FROM bulkhead_control.setting_key WHERE NOT builtin")


# ---- what may be stored ----

@pytest.mark.parametrize("plain", ["hunter2", "", {"$encoded": "x"}, ["v1"], "v1.0123456789abcdef.AAAA.AAAA", None])
def test_a_sensitive_key_takes_nothing_plain(control, acme, token, plain):
    assert refused(put, control, acme, token, plain) == "setting_sensitive"


def test_a_sensitive_key_has_no_plain_default(control):
    assert refused(control._insert, control.admin, "setting_key", {
        "key": "test.more", "type": "string", "description": "x", "sensitive": True, "default_value": '"x"'}) == \
        "setting_key_sensitive_default"


def test_a_sensitive_key_takes_sealed_values(control, acme, token):
    value = sealed(data_key(control, acme))
    put(control, acme, token, value)
    put(control, acme, "app.secret", value)
    assert stored(control, acme, token) == value == stored(control, acme, "app.secret")


def test_other_registered_keys_take_nothing_sealed(control, acme):
    assert refused(put, control, acme, "proxy.gate", sealed(data_key(control, acme))) == "setting_not_sensitive"


@pytest.mark.parametrize("value", [
    {"$enc": 1}, {"$enc": None}, {"$enc": ""}, {"$enc": "v1"}, {"$enc": "hunter2"}, {"$enc": {"a": "v1"}},
    {"$enc": f"v2.KID.{NONCE}.{'B' * 24}"}, {"$enc": f"v1.KID.{NONCE}."}, {"$enc": f"v1.KID.AAAA.{'B' * 24}"},
    {"$enc": f"v1.KID.{NONCE}.{'B' * 24}", "more": "hunter2"}, {"$enc": f"v1.KID.{NONCE}.{'B' * 24} hunter2"},
])
@pytest.mark.parametrize("key", ["test.token", "app.x"])
def test_what_only_looks_sealed_is_refused(control, acme, token, key, value):
    kid = data_key(control, acme)
    value = json.loads(json.dumps(value).replace("KID", kid))
    assert refused(put, control, acme, key, value) in ("setting_sealed_form", "setting_data_key", "setting_sensitive")
    assert history(control, acme, key) == []


def test_a_sealed_value_is_of_a_data_key_of_its_own_tenant(control, acme):
    globex = control.create("globex")
    value = sealed(data_key(control, acme))
    put(control, acme, "app.x", value)
    assert refused(put, control, globex, "app.x", value) == "setting_data_key"
    assert refused(put, control, acme, "app.x", sealed("0" * 16)) == "setting_data_key"
    with control.database.connect() as root:  # also past all triggers
        root.execute("SET session_replication_role = replica")
        with pytest.raises(psycopg.errors.CheckViolation):
            root.execute("INSERT INTO bulkhead_control.setting (tenant_id, key, value) VALUES (%s, 'app.y', %s)",
                         (globex, json.dumps({"$enc": "plain"})))


def test_sizes(control, acme):
    kid = data_key(control, acme)
    put(control, acme, "app.x", sealed(kid, "B" * 87404))
    assert refused(put, control, acme, "app.x", sealed(kid, "B" * 88000)) == "setting_size"
    assert refused(put, control, acme, "app.x", "x" * 65535) == "setting_size"


@pytest.mark.parametrize("text", ["", "v1.m1", f"v1.M1.{NONCE}.{'C' * 64}", f"v1.m1.{NONCE}.{'C' * 63}",
                                  f"v1.m1.{NONCE}.{'C' * 65}", "A" * 43 + "="])
def test_a_data_key_is_stored_wrapped_alone(control, acme, text):
    with pytest.raises(psycopg.errors.CheckViolation):
        control.admin.execute("SELECT bulkhead_control.add_data_key(%s, %s, %s)", (acme, "0" * 16, text))


def test_tables_are_changed_by_functions_alone(control, acme):
    data_key(control, acme)
    for statement in ("INSERT INTO bulkhead_control.tenant_data_key (tenant_id, kid, wrapped) VALUES "
                      f"('{acme}', '{'1' * 16}', '{wrapped()}')", "DELETE FROM bulkhead_control.tenant_data_key",
                      "UPDATE bulkhead_control.tenant_data_key SET superseded_at = NULL",
                      "UPDATE bulkhead_control.setting_history SET actor = 'me'",
                      "DELETE FROM bulkhead_control.setting_history"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            control.admin.execute(statement)


# ---- locks ----

def test_a_masked_sealed_value_stays_and_comes_back(control, acme):
    labs = control.create("labs", acme)
    value = sealed(data_key(control, labs))
    put(control, labs, "app.x", value)
    put(control, acme, "app.x", "ours", True)
    assert refused(put, control, labs, "app.x", value) == "setting_locked"
    assert stored(control, labs, "app.x") == value
    put(control, acme, "app.x", "ours", False)
    row = control.admin.execute("SELECT value, masked FROM bulkhead_control.resolve_settings(%s) WHERE key = 'app.x'",
                                (labs,)).fetchone()
    assert row == (value, False)


# ---- history ----

def test_every_change_is_kept(control, acme):
    put(control, acme, "app.x", 1)
    put(control, acme, "app.x", 1)
    put(control, acme, "app.x", 1, True)
    control.admin.execute("SELECT bulkhead_control.unset_setting(%s, 'app.x')", (acme,))
    put(control, acme, "app.x", None)
    assert history(control, acme, "app.x") == [(1, 1, False), (2, 1, True), (3, None, None), (4, None, False)]
    assert control.value("SELECT revision FROM bulkhead_control.setting WHERE key = 'app.x'") == 4
    assert control.value("SELECT count(*) FROM bulkhead_control.setting_history WHERE value IS NULL") == 1


def test_who_changed_it_is_kept(control, acme):
    with control.connect() as connection, connection.transaction():
        connection.execute("SELECT set_config('bulkhead.actor', 'api-key:ci', true), "
                           "set_config('bulkhead.request_id', 'r-1', true)")
        connection.execute("SELECT bulkhead_control.set_setting(%s, 'app.x', '1', false)", (acme,))
    put(control, acme, "app.x", 2)
    assert control.admin.execute("SELECT actor, request_id FROM bulkhead_control.setting_history ORDER BY revision"
                                 ).fetchall() == [("api-key:ci", "r-1"), ("sql:test_admin", None)]


def test_two_hundred_revisions_are_kept(control, acme):
    for n in range(230):
        put(control, acme, "app.x", n)
    kept = history(control, acme, "app.x")
    assert (len(kept), kept[0][0], kept[-1]) == (200, 31, (230, 229, False))


def test_with_a_tenant_goes_all(control, acme, token):
    put(control, acme, token, sealed(data_key(control, acme)))
    put(control, acme, "app.x", sealed(data_key(control, acme)))
    control.admin.execute("SELECT bulkhead_control.unset_setting(%s, 'app.x')", (acme,))
    control.delete(acme)
    for table in ("setting", "setting_history", "tenant_data_key"):
        assert control.value(f"SELECT count(*) FROM bulkhead_control.{table}") == 0


# ---- several at once ----

def set_many(control, tenant, changes, gone=()):
    rows = control.admin.execute("SELECT key, done, revision FROM bulkhead_control.set_settings(%s, %s, %s)",
                                 (tenant, json.dumps(changes), list(gone))).fetchall()
    return {key: (done, revision) for key, done, revision in rows}


def test_several_are_one_change(control, acme):
    put(control, acme, "app.old", 1)
    put(control, acme, "app.same", None)
    before = control.version(acme)
    assert set_many(control, acme, [{"key": "app.a", "value": None, "locked": True}, {"key": "app.same", "value": None},
                                    {"key": "app.b", "value": {"x": 1}}], ["app.old", "app.never"]) == {
        "app.a": ("set", 1), "app.same": ("unchanged", 1), "app.b": ("set", 1), "app.old": ("removed", 2),
        "app.never": ("absent", None)}
    assert control.version(acme) <= before + 2
    assert history(control, acme, "app.old")[-1] == (2, None, None)
    assert stored(control, acme, "app.a") is None and stored(control, acme, "app.b") == {"x": 1}


def test_several_are_checked_one_by_one(control, acme):
    changes = [{"key": "app.a", "value": 1}, {"key": "proxy.gate", "value": "maybe"}]
    assert refused(set_many, control, acme, changes) == "setting_value"
    assert history(control, acme, "app.a") == []


# ---- rotation ----

def rekey(control, tenant):
    """Begins: the job's number, its attempt and the new data key."""
    job = control.value("SELECT bulkhead_control.queue_rekey(%s)", tenant)
    assert control.value("SELECT bulkhead_control.queue_rekey(%s)", tenant) == job
    attempt = control.value("SELECT attempts FROM bulkhead_control.take_key_job('m1', %s, 'me', '1 minute')", job)
    kid = uuid.uuid4().hex[:16]
    made = control.value("SELECT bulkhead_control.begin_rekey(%s, %s, %s, %s)", job, attempt, kid, wrapped())
    assert made == kid
    return job, attempt, kid


def reseal(control, tenant, *items):
    return control.value("SELECT bulkhead_control.reseal_settings(%s, %s)", tenant, json.dumps(
        [dict(zip(("key", "revision", "was", "now"), item)) for item in items]))


def finish(control, job, attempt):
    return control.value("SELECT bulkhead_control.finish_key_job(%s, %s)", job, attempt)


def test_another_data_key(control, acme):
    old = sealed(data_key(control, acme))
    put(control, acme, "app.x", old)
    put(control, acme, "app.plain", "x")
    before = control.version(acme)
    job, attempt, kid = rekey(control, acme)
    new = sealed(kid)
    assert refused(put, control, acme, "app.y", old) == "setting_data_key"
    assert finish(control, job, attempt) is False
    assert reseal(control, acme, ("app.x", None, old["$enc"], new["$enc"])) == 1
    assert finish(control, job, attempt) is False  # the history is left
    assert reseal(control, acme, ("app.x", 1, old["$enc"], new["$enc"])) == 1
    assert finish(control, job, attempt) is True and finish(control, job, attempt) is None
    assert stored(control, acme, "app.x") == new and history(control, acme, "app.x") == [(1, new, False)]
    assert control.value("SELECT array_agg(kid) FROM bulkhead_control.tenant_data_key") == [kid]
    assert control.version(acme) == before, "nobody needs to be told"


def test_a_rotation_that_begins_again_makes_no_second_key(control, acme):
    data_key(control, acme)
    job, attempt, kid = rekey(control, acme)
    begin = "SELECT bulkhead_control.begin_rekey(%s, %s, %s, %s)"
    assert control.value(begin, job, attempt, "0" * 16, wrapped()) == kid
    assert control.value(begin, job, attempt + 1, "0" * 16, wrapped()) is None
    assert finish(control, job, attempt + 1) is None


def test_what_was_changed_meanwhile_is_not_sealed_anew(control, acme):
    old = sealed(data_key(control, acme))
    put(control, acme, "app.x", old)
    put(control, acme, "app.plain", "v1.x")
    _, _, kid = rekey(control, acme)
    newer = sealed(kid, "D" * 24)
    put(control, acme, "app.x", newer)
    assert reseal(control, acme, ("app.x", None, old["$enc"], sealed(kid)["$enc"]),
                  ("app.plain", None, "v1.x", sealed(kid)["$enc"])) == 0
    assert stored(control, acme, "app.x") == newer


def test_below_a_lock_it_is_sealed_anew_as_well(control, acme):
    labs = control.create("labs", acme)
    old = sealed(data_key(control, labs))
    put(control, labs, "app.x", old)
    put(control, acme, "app.x", 1, True)
    _, _, kid = rekey(control, labs)
    assert reseal(control, labs, ("app.x", None, old["$enc"], sealed(kid)["$enc"])) == 1


def test_another_master_key(control, acme):
    kid = data_key(control, acme)
    job = control.value("SELECT bulkhead_control.queue_rewrap('m2')")
    assert control.value("SELECT bulkhead_control.queue_rewrap('m2')") == job
    take = "SELECT attempts FROM bulkhead_control.take_key_job(%s, NULL, 'me', '1 minute')"
    assert control.admin.execute(take, ("m1",)).fetchall() == [], "a runner whose file has another key first"
    attempt = control.value(take, "m2")
    item = {"tenant_id": str(acme), "kid": kid, "was": wrapped("m1"), "now": wrapped("m2")}
    assert finish(control, job, attempt) is False
    rewrap = "SELECT bulkhead_control.rewrap_data_keys(%s)"
    assert control.value(rewrap, json.dumps([item])) == 1 and control.value(rewrap, json.dumps([item])) == 0
    assert finish(control, job, attempt) is True
    assert control.value("SELECT master_kid FROM bulkhead_control.tenant_data_key") == "m2"


def test_a_failed_rewrap_is_tried_again_by_the_same_key(control, acme):
    job = control.value("SELECT bulkhead_control.queue_rewrap('m2')")
    attempt = control.value("SELECT attempts FROM bulkhead_control.take_key_job('m2', NULL, 'me', '1 minute')")
    assert control.value("SELECT bulkhead_control.fail_job(%s, %s, 'x', NULL)", job, attempt)
    assert control.admin.execute("SELECT state, step FROM bulkhead_control.retry_job(%s)", (job,)).fetchone() == \
        ("queued", "m2")


def test_an_archived_tenant_is_given_no_other_key(control, acme):
    job = control.value("SELECT bulkhead_control.queue_rekey(%s)", acme)
    control.set(acme, status="archived")
    assert control.value("SELECT state FROM bulkhead_control.job WHERE id = %s", job) == "failed"
