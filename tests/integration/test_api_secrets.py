"""Sensitive settings over HTTP: sealed where they are kept, seen only by those who may, and rotated while in use."""

import base64
import itertools
import json
import re
import secrets
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from harness.api import API_LOGIN, Api
from harness.program import bulkhead, refusal, rows, succeed
from harness.wait import wait_for

numbers = itertools.count(1)


def new_key(kid):
    return f"{kid} {base64.b64encode(secrets.token_bytes(32)).decode()}\n"


@pytest.fixture(scope="module")
def api(stand):
    with stand.admin("postgres") as admin:
        if not admin.execute("SELECT FROM pg_roles WHERE rolname = %s", (API_LOGIN,)).fetchone():
            admin.execute(f"CREATE ROLE {API_LOGIN} LOGIN IN ROLE bulkhead_admin")
        # Whatever a server can be told to write down.
        for setting in ("log_statement = 'all'", "log_min_duration_statement = 0", "log_parameter_max_length = -1",
                        "log_parameter_max_length_on_error = -1"):
            admin.execute(f"ALTER ROLE {API_LOGIN} SET {setting}")
    with Api(stand) as api:
        api.master = api.stand.folder / f"master-{api.port}.key"
        yield api
    with stand.admin("postgres") as admin:
        admin.execute(f"ALTER ROLE {API_LOGIN} RESET ALL")


@pytest.fixture(scope="module")
def root(api):
    """An operator that may see secrets."""
    return api.client(keep=True, reveal=True)


@pytest.fixture(scope="module")
def blind(api):
    """An operator that may not."""
    return api.client()


@pytest.fixture(scope="module")
def token(root):
    """A registered key that is sensitive."""
    body = {"key": f"test.token{next(numbers)}", "type": "string", "minimum": 3, "maximum": 40, "sensitive": True,
            "description": "x"}
    assert root.post("/v1/setting-keys", body).status == 201
    return body["key"]


class Tenant:
    def __init__(self, api, parent=None):
        self.slug, self.id = f"vault-{next(numbers)}", str(uuid.uuid4())
        self.tenant = f"/v1/tenants/{self.slug}"
        self.url = f"{self.tenant}/settings"
        with api.admin() as admin:
            admin.execute("INSERT INTO bulkhead_control.tenant (id, parent_id, slug, name) VALUES (%s, %s, %s, %s)",
                          (self.id, parent.id if parent else None, self.slug, self.slug))

    def of(self, key, reveal=False):
        return f"{self.url}/{key}" + ("?reveal=true" if reveal else "")


    def remove(self, api):
        """What was broken on purpose would be in the way of rotations of later tests."""
        with api.admin() as admin, admin.transaction():
            admin.execute("DELETE FROM bulkhead_control.tenant WHERE id = %s", (self.id,))


@pytest.fixture
def acme(api):
    return Tenant(api)


@pytest.fixture
def victim(api):
    tenant = Tenant(api)
    yield tenant
    tenant.remove(api)


@pytest.fixture
def labs(api, acme):
    return Tenant(api, acme)


def secret():
    return "hunter2-" + secrets.token_hex(8)


def done(answer, status=200):
    assert answer.status == status, answer
    return answer


def refused(answer, status, reason, *fields):
    assert (answer.status, answer.reason, answer.fields) == (status, reason, list(fields)), answer


def revealed(root, tenant, key):
    answer = done(root.get(tenant.of(key, True)))
    assert answer["sensitive"] is True and answer["revealed"] is True and "sealed" not in answer.json, answer
    return answer["value"]


def seal(root, tenant, key, value, match=None):
    return done(root.put(tenant.of(key), {"value": value, "sensitive": True}, match=match))


def everything(api):
    """All that is in the control schema, as text."""
    with api.admin() as admin:
        tables = [name for name, in admin.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' "
            "AND relnamespace = 'bulkhead_control'::regnamespace")]
        return "\n".join(text for table in tables for text, in admin.execute(f"SELECT t::text FROM {table} t"))


# ---- what is seen ----

def test_a_sensitive_value_is_seen_by_those_who_may(root, blind, acme, token):
    value = secret()
    put = done(root.put(acme.of(token), {"value": value}))
    assert (put["value"], put["sensitive"], put["own"]["value"], put.etag) == (None, True, None, '"1"')
    assert revealed(root, acme, token) == value
    shown = done(root.get(acme.of(token, True)))
    assert shown["own"]["value"] == value and shown["own"]["revealed"] is True
    for client in (root, blind):
        for path in (acme.of(token), acme.url, acme.url + ":resolved", acme.of(token) + "/history",
                     acme.of(token) + "/inheritance", acme.url + ":drift"):
            answer = done(client.get(path))
            assert value not in answer.text and "sealed" not in answer.text and "$enc" not in answer.text, answer
    items = done(root.get(acme.url + "?reveal=true")).items
    assert [(item["key"], item["value"], item["revealed"]) for item in items] == [(token, value, True)]
    items = {item["key"]: item for item in root.pages(acme.url + ":resolved?reveal=true")}
    assert items[token]["value"] == value and "revealed" not in items["proxy.gate"]
    (change,) = done(root.get(acme.of(token) + "/history?reveal=true")).items
    assert change["after"]["value"] == value and change["before"] is None


@pytest.mark.parametrize("role, columns", [("operator", {}), ("admin", {}), ("editor", {}), ("viewer", {})])
def test_whoever_may_not_is_refused(api, root, acme, token, role, columns):
    value = secret()
    done(root.put(acme.of(token), {"value": value}))
    client = api.client(role, acme.slug, **columns)
    for path in (acme.of(token, True), acme.url + "?reveal=true", acme.url + ":resolved?reveal=true",
                 acme.of(token) + "/history?reveal=true", "/v1/tenants/no-such/settings?reveal=true"):
        answer = client.get(path)
        assert answer.status in (403, 404) and answer.reason in ("BH-API-REVEAL", "BH-API-TENANT"), answer
        assert value not in answer.text


def test_what_comes_from_above_ones_own_part_stays_hidden(api, root, acme, labs, token):
    above, own = secret(), secret()
    done(root.put(acme.of(token), {"value": above}))
    seal(root, labs, "app.own", own)
    client = api.client("admin", labs.slug, reveal=True)
    answer = done(client.get(labs.of(token, True)))
    assert (answer["value"], answer["inherited"], answer["source_tenant_id"]) == (None, True, None)
    assert revealed(client, labs, "app.own") == own
    listed = done(client.get(labs.url + ":resolved?reveal=true&limit=200"))
    assert own in listed.text and above not in listed.text
    assert revealed(root, labs, token) == above, "inherited, to one who has the tenant above too"


@pytest.mark.parametrize("value", [None, True, 0, -1.5, "", "ä\n\"\\€", "x" * 65000, [], {"a": [1, {"b": None}]},
                                   {"$enc": "v1"}, {"sealed": {"kid": "x"}}])
def test_the_applications_own_may_be_any_secret(root, acme, value):
    seal(root, acme, "app.secret", value)
    assert revealed(root, acme, "app.secret") == value


def test_what_is_not_sealed_is_not_taken_for_it(root, acme):
    """A plain value that looks like what the database hands on."""
    value = {"sealed": {"tenant_id": acme.id, "key": "app.x", "kid": "0" * 16, "wrapped": "x", "text": "x"},
             "own": {"sealed": {}}}
    done(root.put(acme.of("app.x"), {"value": value}))
    assert done(root.get(acme.of("app.x", True)))["value"] == value
    assert done(root.get(acme.url + "?reveal=true")).items[0]["value"] == value


def test_whether_it_is_sealed(root, acme, token):
    """A registered key says it; of the application's own the one who sets it, or what it was."""
    refused(root.put(acme.of(token), {"value": "abc", "sensitive": False}), 422, "BH-API-VALUE", "body.sensitive")
    seal(root, acme, "app.x", "one")
    again = done(root.put(acme.of("app.x"), {"value": "two"}, match="*"))
    assert again["sensitive"] is True and revealed(root, acme, "app.x") == "two"
    plain = done(root.put(acme.of("app.x"), {"value": "three", "sensitive": False}, match="*"))
    assert (plain["sensitive"], plain["value"]) == (False, "three")
    back = done(root.post(acme.of("app.x") + ":rollback", {"revision": 2}, {"If-Match": "*"}))
    assert back["sensitive"] is True and revealed(root, acme, "app.x") == "two"


@pytest.mark.parametrize("value", ["ab", "x" * 41, 5, None, ["abc"]])
def test_a_sealed_value_fits_its_key(root, acme, token, value):
    answer = root.put(acme.of(token), {"value": value})
    refused(answer, 422, "BH-API-VALUE", "body.value")
    answer = root.post(acme.url + ":batch", {"set": [{"key": token, "value": value}]})
    refused(answer, 422, "BH-API-BATCH", "body.set[0].value")


@pytest.mark.parametrize("kind, bounds, good, bad", [
    ("integer", {"minimum": 1, "maximum": 9}, [1, 9, 5.0], [0, 10, 1.5, "5", True]),
    ("number", {"minimum": 0.5}, [0.5, 1e300], [0.4, "1"]), ("boolean", {}, [True], [0, "true"]),
    ("string", {"choices": ["a", "b"]}, ["a"], ["c", 1]), ("array", {}, [[], [1]], [{}]), ("object", {}, [{}], [[], 1]),
])
def test_types_of_sealed_values(root, acme, kind, bounds, good, bad):
    key = f"test.kind{next(numbers)}"
    done(root.post("/v1/setting-keys", {"key": key, "type": kind, "sensitive": True, "description": "x", **bounds}), 201)
    for value in good:
        done(root.put(acme.of(key), {"value": value}, match="*" if root.get(acme.of(key))["own"] else None))
        assert revealed(root, acme, key) == value
    for value in bad:
        refused(root.put(acme.of(key), {"value": value}, match="*"), 422, "BH-API-VALUE", "body.value")


def test_a_batch_with_secrets(root, acme, token):
    one, two = secret(), secret()
    answer = done(root.post(acme.url + ":batch", {"mode": "partial", "set": [
        {"key": token, "value": one}, {"key": "app.s", "value": {"x": two}, "sensitive": True, "locked": True},
        {"key": "app.plain", "value": 1}, {"key": token.replace("token", "nosuch"), "value": 1, "sensitive": True}]}))
    assert [item["done"] for item in answer.items] == ["set", "set", "set", "refused"]
    assert one not in answer.text and two not in answer.text
    assert revealed(root, acme, token) == one and revealed(root, acme, "app.s") == {"x": two}
    assert done(root.get(acme.of("app.plain")))["value"] == 1


def test_a_lock_needs_no_second_saying(root, acme, labs, token):
    value = secret()
    done(root.put(acme.of(token), {"value": value}))
    assert done(root.patch(acme.of(token), {"locked": True}))["locked_by"] == acme.id
    assert revealed(root, labs, token) == value
    refused(root.put(labs.of(token), {"value": secret()}), 409, "BH-API-LOCKED", "path.key")


def test_secrets_are_not_compared(root, api, acme, token):
    other = Tenant(api)
    value = secret()
    for tenant in (acme, other):
        done(root.put(tenant.of(token), {"value": value}))
    (item,) = done(root.get(f"{acme.url}:diff?with={other.slug}")).items
    assert (item["key"], item["same"], item["here"]["value"], item["there"]["value"]) == (token, None, None, None)


# ---- where it must not be ----

def test_plain_text_is_nowhere(api, root, acme, token):
    values = [secret() for _ in range(6)]
    done(root.put(acme.of(token), {"value": values[0]}))
    done(root.put(acme.of(token), {"value": values[1], "locked": True}, match="*"))
    seal(root, acme, "app.s", {"deep": [values[2]]})
    done(root.post(acme.url + ":batch", {"set": [{"key": "app.t", "value": values[3], "sensitive": True}]},
                   {"Idempotency-Key": uuid.uuid4().hex}))
    assert revealed(root, acme, token) == values[1]
    done(root.get(acme.of("app.s") + "/history?reveal=true"))
    # What is refused, for its form or for what it is, is told nobody either.
    for body in ({"value": values[4], "nosuch": values[4]}, {"value": values[4] * 10}, {"value": values[4], "locked": 1}):
        assert values[4] not in root.put(acme.of(token), body, match="*").text
    root.put(acme.of(token), {"value": values[5][:30]}, match='"9"')
    root.request("PUT", acme.of(token), raw=b'{"value": "' + values[5].encode() + b'"')
    done(root.delete(acme.of(token)), 204)
    for where, text in (("the database", everything(api)), ("PostgreSQL's log", api.stand.postgres.log_text()),
                        ("Bulkhead's log", api.proxy.log_text())):
        assert acme.id in text or acme.slug in text or where == "Bulkhead's log"
        for value in values:
            assert value not in text and value[:30] not in text, where
            assert base64.b64encode(value.encode()).decode()[:20] not in text, where


def test_who_has_seen_it_is_audited(api, root, acme, token):
    done(root.put(acme.of(token), {"value": secret()}))
    with api.admin() as admin:
        notes = "SELECT actor, subject, request_id FROM bulkhead_control.audit WHERE action = 'setting.reveal' " \
                "AND tenant_id = %s"
        done(root.get(acme.of(token)))
        assert admin.execute(notes, (acme.id,)).fetchall() == []
        answer = done(root.get(acme.of(token, True)))
        assert admin.execute(notes, (acme.id,)).fetchall() == [
            ("api-key:operator of all", token, answer.headers["X-Request-Id"])]
        images = admin.execute("SELECT before::text, after::text FROM bulkhead_control.audit WHERE tenant_id = %s",
                               (acme.id,)).fetchall()
        assert not any("$enc" in (text or "") or "v1." in (text or "") for row in images for text in row), images


# ---- attacks on what is stored ----

def stored(api, tenant, key):
    with api.admin() as admin:
        return admin.execute("SELECT value ->> '$enc' FROM bulkhead_control.setting WHERE tenant_id = %s AND key = %s",
                             (tenant.id, key)).fetchone()[0]


def overwrite(api, tenant, key, text):
    """As one who has the database, past all triggers and constraints of other tables."""
    with api.admin() as admin, admin.transaction():
        admin.execute("SET LOCAL session_replication_role = replica")
        admin.execute("UPDATE bulkhead_control.setting SET value = %s WHERE tenant_id = %s AND key = %s",
                      (json.dumps({"$enc": text}), tenant.id, key))


def flipped(text, place):
    """With one bit of the base64's bytes behind that place changed."""
    head, nonce, data = text.rsplit(".", 2)
    raw = bytearray(base64.b64decode(data))
    raw[place] ^= 1
    return f"{head}.{nonce}.{base64.b64encode(raw).decode()}"


def assert_broken(root, tenant, key, *values):
    for path in (tenant.of(key, True), tenant.url + "?reveal=true", tenant.url + ":resolved?reveal=true&limit=200"):
        answer = root.get(path)
        refused(answer, 503, "BH-API-SECRET-BROKEN")
        assert not any(value in answer.text for value in values)


def test_copied_to_another_key_it_does_not_open(api, root, victim):
    one, two = secret(), secret()
    seal(root, victim, "app.one", one)
    seal(root, victim, "app.two", two)
    overwrite(api, victim, "app.two", stored(api, victim, "app.one"))
    assert_broken(root, victim, "app.two", one, two)
    assert done(root.get(victim.of("app.two")))["sensitive"] is True, "without the value all is as ever"


def test_copied_to_another_tenant_it_does_not_open(api, root, victim):
    """Also where the other tenant is given the data key."""
    globex, value = Tenant(api), secret()
    seal(root, victim, "app.x", value)
    seal(root, globex, "app.x", secret())
    overwrite(api, globex, "app.x", stored(api, victim, "app.x"))
    assert root.get(globex.of("app.x", True)).json.get("value") is None
    with api.admin() as admin:
        admin.execute("INSERT INTO bulkhead_control.tenant_data_key (tenant_id, kid, wrapped) "
                      "SELECT %s, kid, wrapped FROM bulkhead_control.tenant_data_key WHERE tenant_id = %s",
                      (globex.id, victim.id))
    assert_broken(root, globex, "app.x", value)
    globex.remove(api)


def test_a_data_key_under_another_name_does_not_open(api, root, victim):
    value = secret()
    seal(root, victim, "app.x", value)
    with api.admin() as admin, admin.transaction():
        admin.execute("SET LOCAL session_replication_role = replica")
        admin.execute("UPDATE bulkhead_control.tenant_data_key SET kid = %s WHERE tenant_id = %s", ("0" * 16, victim.id))
    text = stored(api, victim, "app.x")
    overwrite(api, victim, "app.x", re.sub(r"^v1\.[0-9a-f]+", "v1." + "0" * 16, text))
    assert_broken(root, victim, "app.x", value)


@pytest.mark.parametrize("place", [0, 5, -1])
def test_changed_it_does_not_open(api, root, victim, place):
    value = secret()
    seal(root, victim, "app.x", value)
    overwrite(api, victim, "app.x", flipped(stored(api, victim, "app.x"), place))
    assert_broken(root, victim, "app.x", value)


def test_an_older_value_put_back_opens(api, root, acme):
    """What the database itself is made to forget, no encryption tells: only its own audit does."""
    one = secret()
    seal(root, acme, "app.x", one)
    old = stored(api, acme, "app.x")
    done(root.put(acme.of("app.x"), {"value": secret()}, match="*"))
    overwrite(api, acme, "app.x", old)
    assert revealed(root, acme, "app.x") == one


def test_a_moved_tenant_keeps_its_secrets(api, root, acme, labs):
    value = secret()
    seal(root, labs, "app.x", value)
    with api.admin() as admin:
        admin.execute("SELECT * FROM bulkhead_control.move_tenant(%s, NULL)", (labs.id,))
    assert revealed(root, labs, "app.x") == value


def test_with_a_tenant_go_its_keys(api, root, acme):
    seal(root, acme, "app.x", secret())
    with api.admin() as admin:
        admin.execute("DELETE FROM bulkhead_control.tenant WHERE id = %s", (acme.id,))
        assert admin.execute("SELECT count(*) FROM bulkhead_control.tenant_data_key WHERE tenant_id = %s",
                             (acme.id,)).fetchone() == (0,)


# ---- the master key ----

@pytest.fixture
def master(api):
    """Replaces the content of the file, and puts it back."""
    before = api.master.read_text()

    def replace(content):
        api.master.write_text(content)
        api.proxy.reload()
        return before

    yield replace
    replace(before)


@pytest.mark.parametrize("lost", ["lost", "another of the same name", "no file"])
def test_without_the_master_key_nothing_is_read_and_nothing_is_garbage(api, root, acme, token, master, lost):
    value = secret()
    done(root.put(acme.of(token), {"value": value}))
    done(root.put(acme.of("app.plain"), {"value": 1}))
    before = master(new_key("m9" if lost == "lost" else "m1"))
    reason = "BH-API-KEY-MISSING" if lost == "lost" else "BH-API-SECRET-BROKEN"
    if lost == "no file":
        master(before)
        api.proxy.reload(admin={"master_key_file": None})
        reason = "BH-API-KEY-MISSING"
    try:
        wait_for(lambda: root.get(acme.of(token, True)).status == 503, "the other key to be read")
        refused(root.get(acme.of(token, True)), 503, reason)
        refused(root.put(acme.of(token), {"value": value}, match="*"), 503, reason)
        refused(root.post(acme.url + ":batch", {"set": [{"key": token, "value": value}]}), 503, reason)
        assert done(root.get(acme.of(token)))["value"] is None and done(root.get(acme.of("app.plain")))["value"] == 1
        done(root.put(acme.of("app.plain"), {"value": 2}, match="*"))
        if lost == "no file":
            refused(root.put(Tenant(api).of(token), {"value": value}), 503, reason)
            refused(root.post("/v1/master-keys:rewrap"), 503, reason)
    finally:
        api.proxy.reload(admin={"master_key_file": api.master})
        master(before)
    wait_for(lambda: root.get(acme.of(token, True)).status == 200, "the key to be back")
    assert revealed(root, acme, token) == value


def test_a_newer_file_is_read_without_being_told(api, root, acme, token, master):
    """Another Bulkhead has it already, and has wrapped by its new key."""
    value = secret()
    done(root.put(acme.of(token), {"value": value}))
    before = api.master.read_text()
    file = api.stand.folder / "newer.key"
    file.touch(0o600)
    file.write_text(before)
    succeed("key", "rotate", "master", "--file", file)
    control = api.stand.postgres.conninfo(api.database)
    succeed("key", "rewrap", "master", "--file", file, "--dsn", control)
    refused(root.get(acme.of(token, True)), 503, "BH-API-KEY-MISSING")
    api.master.write_text(file.read_text())
    wait_for(lambda: root.get(acme.of(token, True)).status == 200, "the newer file")
    assert revealed(root, acme, token) == value
    # Back to the first, for the tests that follow: the newer is kept in the file, behind it.
    both = before + file.read_text().splitlines()[0] + "\n"
    file.write_text(both)
    succeed("key", "rewrap", "master", "--file", file, "--dsn", control)


# ---- rotation ----

def job_state(api, job):
    with api.admin() as admin:
        return admin.execute("SELECT state, error FROM bulkhead_control.job WHERE id = %s", (job,)).fetchone()


def kids(api, tenant):
    with api.admin() as admin:
        return {kid for kid, in admin.execute("SELECT kid FROM bulkhead_control.tenant_data_key WHERE tenant_id = %s",
                                              (tenant.id,))}


def test_another_data_key(api, root, acme, token):
    values = [secret() for _ in range(3)]
    for value in values:
        done(root.put(acme.of(token), {"value": value}, match="*" if value != values[0] else None))
    seal(root, acme, "app.gone", secret())
    done(root.delete(acme.of("app.gone")), 204)
    before, old = root.get(acme.of(token)), kids(api, acme)
    answer = done(root.post(acme.tenant + "/data-keys:rotate"), 202)
    assert answer.headers["Location"] == f"/v1/jobs/{answer['job']}"
    wait_for(lambda: job_state(api, answer["job"])[0] == "done", "the rotation")
    assert done(root.get(answer.headers["Location"]))["kind"] == "rekey"
    assert len(kids(api, acme)) == 1 and not kids(api, acme) & old
    after = root.get(acme.of(token))
    assert (after.json, after.etag) == (before.json, before.etag), "nothing has changed"
    history = done(root.get(acme.of(token) + "/history?reveal=true")).items
    assert [item["after"]["value"] for item in history] == values[::-1]
    listed = done(root.get(acme.tenant + "/data-keys"))
    assert [(key["values"], key["revisions"], key["superseded_at"]) for key in listed.items] == [(1, 4, None)]
    with api.admin() as admin:
        recorded = admin.execute("SELECT count(*) FROM bulkhead_control.audit WHERE tenant_id = %s "
                                 "AND subject = %s", (acme.id, f"setting:{token}")).fetchone()
    assert recorded == (3,), "what is sealed anew is no change to be recorded"


def test_what_cannot_be_opened_is_left_and_told(api, root, victim):
    value = secret()
    seal(root, victim, "app.good", value)
    seal(root, victim, "app.bad", secret())
    broken = flipped(stored(api, victim, "app.bad"), 0)
    overwrite(api, victim, "app.bad", broken)
    said = refusal("key", "rotate", "data", "--tenant", victim.id, "--file", api.master, "--dsn",
                   api.stand.postgres.conninfo(api.database))
    assert "app.bad" in said and "1 left as they were" in said
    assert revealed(root, victim, "app.good") == value and stored(api, victim, "app.bad") == broken
    seal(root, victim, "app.bad", value, match="*")
    job = done(root.post(victim.tenant + "/data-keys:rotate"), 202)["job"]
    wait_for(lambda: job_state(api, job)[0] in ("done", "failed"), "the rotation")


def rotate_data(api, tenant, **environment):
    return bulkhead("key", "rotate", "data", "--tenant", tenant.id, "--file", api.master, "--dsn",
                    api.stand.postgres.conninfo(api.database), **environment)


@pytest.mark.parametrize("where", ["key+", "reseal"])
def test_a_rotation_goes_on_where_it_was_killed(api, root, acme, where):
    values = {f"app.k{n}": secret() for n in range(150)}
    done(root.post(acme.url + ":batch", {"set": [
        {"key": key, "value": value, "sensitive": True} for key, value in values.items()]}))
    assert rotate_data(api, acme, JOB_TEST_KILL=where).returncode == -9
    for key in ("app.k0", "app.k149"):
        assert revealed(root, acme, key) == values[key]
    assert len(kids(api, acme)) == 2
    with api.admin() as admin:
        admin.execute("UPDATE bulkhead_control.job SET lease_until = now() - interval '1 s' "
                      "WHERE tenant_id = %s AND state = 'running'", (acme.id,))
    wait_for(lambda: len(kids(api, acme)) == 1, "a Bulkhead that serves to go on")
    for item in root.pages(acme.url + "?reveal=true", limit=200):
        assert item["value"] == values[item["key"]]


def test_a_master_key_is_replaced(api, root, acme, token, master):
    value = secret()
    done(root.put(acme.of(token), {"value": value}))
    control = api.stand.postgres.conninfo(api.database)
    before = newer = api.master.read_text()
    place = ("--file", api.master, "--dsn", control)
    old = before.split()[0]
    try:
        assert "rewrap" in succeed("key", "rotate", "master", "--file", api.master, "--kid", "m7")
        newer = api.master.read_text()
        assert done(root.get(acme.of(token, True)))["value"] == value
        refused_ = refusal("key", "retire", "master", old, *place)
        assert "bulkhead key rewrap master" in refused_
        api.proxy.reload()
        wait_for(lambda: root.get("/v1/master-keys")["current"] == "m7", "the new master key")
        job = done(root.post("/v1/master-keys:rewrap"), 202)["job"]
        wait_for(lambda: job_state(api, job)[0] == "done", "all data keys to be wrapped anew")
        assert done(root.get(f"/v1/jobs/{job}"))["kind"] == "rewrap"
        listed = {key["kid"]: key for key in rows("key", "list", "master", *place)}
        assert listed["m7"]["file"] == "wraps" and listed["m7"]["data_keys"] > 0
        assert listed[old] == {"kid": old, "file": "kept", "data_keys": 0}
        assert "m7" in refusal("key", "retire", "master", "m7", *place)
        succeed("key", "retire", "master", old, *place)
        api.proxy.reload()
        assert old not in api.master.read_text() and revealed(root, acme, token) == value
        # A Bulkhead that has the old file alone makes nothing that nobody will be able to read.
        api.master.write_text(before)
        api.proxy.reload()
        wait_for(lambda: root.get("/v1/master-keys")["current"] == old, "the old file")
        refused(root.put(Tenant(api).of(token), {"value": value}), 503, "BH-API-KEY-MISSING")
    finally:
        with api.admin() as admin:
            admin.execute("DELETE FROM bulkhead_control.retired_master_key")
        api.master.write_text(before + "".join(line + "\n" for line in newer.splitlines() if not line.startswith(old)))
        succeed("key", "rewrap", "master", *place)


@pytest.mark.parametrize("kill", ["rewrap"])
def test_a_rewrapping_goes_on_where_it_was_killed(api, root, token, kill):
    tenants = [Tenant(api) for _ in range(3)]
    values = [secret() for _ in tenants]
    for tenant, value in zip(tenants, values):
        done(root.put(tenant.of(token), {"value": value}))
    before = api.master.read_text()
    old = before.split()[0]
    control = api.stand.postgres.conninfo(api.database)
    file = api.stand.folder / "killed.key"
    file.touch(0o600)
    file.write_text(before)
    succeed("key", "rotate", "master", "--file", file, "--kid", f"m{10 + next(numbers)}")
    api.master.write_text(file.read_text())
    assert bulkhead("key", "rewrap", "master", "--file", file, "--dsn", control, JOB_TEST_KILL=kill).returncode == -9
    for tenant, value in zip(tenants, values):
        wait_for(lambda t=tenant: root.get(t.of(token, True)).status == 200, "the newer file")
        assert revealed(root, tenant, token) == value
    with api.admin() as admin:
        admin.execute("UPDATE bulkhead_control.job SET lease_until = now() - interval '1 s' WHERE kind = 'rewrap' "
                      "AND state = 'running'")
    succeed("key", "rewrap", "master", "--file", file, "--dsn", control)
    with api.admin() as admin:
        assert admin.execute("SELECT count(*) FROM bulkhead_control.tenant_data_key WHERE master_kid = %s",
                             (old,)).fetchone() == (0,)
    for tenant, value in zip(tenants, values):
        assert revealed(root, tenant, token) == value


@pytest.mark.parametrize("rounds", [30, pytest.param(300, marks=pytest.mark.longer)])
def test_rotation_against_use(api, acme, rounds):
    """Some hundred rotations, of the data key and of the master key, while values are set and read: nothing is lost,
    nothing is refused, and whoever reads sees what was set last."""
    keys = [f"app.k{n}" for n in range(4)]
    over, problems, writes = threading.Event(), [], [0]

    def use(key):
        client = api.client(keep=True, reveal=True)
        value, etag = secret(), None
        while not over.is_set():
            answer = client.put(acme.of(key), {"value": value, "sensitive": True}, match=etag)
            if answer.status != 200:
                problems.append(answer)
                break
            etag = answer.etag
            writes[0] += 1
            seen = client.get(acme.of(key, True))
            if seen.status != 200 or seen["value"] != value:
                problems.append(seen)
                break
            value = secret()
        last = client.get(acme.of(key, True))
        return last.json.get("value"), client.get(acme.of(key) + "/history?reveal=true&limit=200")

    def rotate():
        for n in range(rounds):
            said = rotate_data(api, acme)
            if said.returncode != 0:
                problems.append(said.stderr)
            if n % 10 == 0:
                succeed("key", "rotate", "master", "--file", api.master)
                said = bulkhead("key", "rewrap", "master", "--file", api.master, "--dsn",
                                api.stand.postgres.conninfo(api.database))
                if said.returncode != 0:
                    problems.append(said.stderr)

    with ThreadPoolExecutor(len(keys) + 1) as executor:
        users = [executor.submit(use, key) for key in keys]
        try:
            executor.submit(rotate).result()
        finally:
            over.set()
        results = [user.result() for user in users]
    assert problems == []
    print(f"{rounds} rotations, {writes[0]} writes")
    assert writes[0] > rounds
    for last, history in results:
        done(history)
        assert history.items[0]["after"]["value"] == last
        assert all(item["after"]["value"].startswith("hunter2-") for item in history.items)
    assert rotate_data(api, acme).returncode == 0 and len(kids(api, acme)) == 1


def test_the_database_refuses_plain_text_whoever_writes(api, root, acme, token):
    with api.admin() as admin:
        with pytest.raises(psycopg.errors.CheckViolation):
            admin.execute("SELECT bulkhead_control.set_setting(%s, %s, '\"plain\"', false)", (acme.id, token))
        with pytest.raises(psycopg.errors.CheckViolation):
            admin.execute("INSERT INTO bulkhead_control.setting (tenant_id, key, value) VALUES (%s, %s, '\"plain\"')",
                          (acme.id, token))
