"""Sensitive settings over HTTP: sealed where they are kept, seen only by those who may, and of no use elsewhere."""

import base64
import re
import uuid

import psycopg
import pytest
from harness.settings import (Tenant, Vault, done, flipped, new_token, numbers, overwrite, refused, revealed, seal,
                              secret, stored)


@pytest.fixture(scope="module")
def api(stand):
    with Vault(stand) as api:
        yield api


@pytest.fixture(scope="module")
def root(api):
    """An operator that may see secrets."""
    return api.client(keep=True, reveal=True)


@pytest.fixture(scope="module")
def token(root):
    return new_token(root)


@pytest.fixture
def acme(api):
    return Tenant(api)


@pytest.fixture
def victim(api):
    tenant = Tenant(api)
    yield tenant
    tenant.remove(api)


@pytest.fixture(scope="module")
def blind(api):
    """An operator that may not."""
    return api.client()


@pytest.fixture
def labs(api, acme):
    return Tenant(api, acme)


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
    body = {"key": key, "type": kind, "sensitive": True, "description": "x", **bounds}
    done(root.post("/v1/setting-keys", body), 201)
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
    for body in ({"value": values[4], "nosuch": values[4]}, {"value": values[4] * 10},
                 {"value": values[4], "locked": 1}):
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
        admin.execute("UPDATE bulkhead_control.tenant_data_key SET kid = %s WHERE tenant_id = %s",
                      ("0" * 16, victim.id))
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


def test_the_database_refuses_plain_text_whoever_writes(api, root, acme, token):
    with api.admin() as admin:
        with pytest.raises(psycopg.errors.CheckViolation):
            admin.execute("SELECT bulkhead_control.set_setting(%s, %s, '\"plain\"', false)", (acme.id, token))
        with pytest.raises(psycopg.errors.CheckViolation):
            admin.execute("INSERT INTO bulkhead_control.setting (tenant_id, key, value) VALUES (%s, %s, '\"plain\"')",
                          (acme.id, token))
