"""API keys over HTTP: made, narrowed, rotated and revoked, and never more than what their maker has."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness.api import Api, random_id

KEY = re.compile(r"bhk_[a-z2-7]{16}_[A-Za-z0-9_-]{43}")
LATER, LATE = "2998-01-01T00:00:00+00:00", "2999-01-01T00:00:00+00:00"


@pytest.fixture(scope="module")
def api(stand):
    with Api(stand) as api:
        yield api


@pytest.fixture(scope="module")
def root(api):
    return api.client(reveal=True)


@pytest.fixture(scope="module")
def acme(api):
    return api.client("admin", "acme")


def made(maker, role="viewer", status=201, **more):
    answer = maker.post("/v1/api-keys", {"name": "made", "role": role, **more})
    assert answer.status == status, answer
    return answer


def own_id(client):
    return client.key[4:20]


def path(client, verb=""):
    return f"/v1/api-keys/{own_id(client)}{verb}"


def refused(answer, status, reason, *fields):
    assert (answer.status, answer.reason, answer.fields) == (status, reason, list(fields)), answer


def works(api, key):
    status = api.stranger(key).get("/v1/whoami").status
    assert status in (200, 401)
    return status == 200


# ---- making ----

def test_a_key_is_made_and_shown_once(api, root, stand):
    answer = made(root, "admin", tenant="acme", expires_at="2999-01-01T01:00:00+01:00", reveal=True,
                  addresses=["127.0.0.0/8", "10.1.2.3", "fd00::/8"])
    key = answer["key"]
    assert KEY.fullmatch(key) and answer["id"] == key[4:20]
    assert answer.headers["Location"] == f"/v1/api-keys/{key[4:20]}"
    assert {name: answer[name] for name in ("name", "role", "tenant", "tenant_id", "reveal", "addresses", "state",
                                            "expires_at", "created_by", "last_used_at", "version")} == {
        "name": "made", "role": "admin", "tenant": "acme", "tenant_id": stand.ids["acme"], "reveal": True,
        "addresses": ["127.0.0.0/8", "10.1.2.3/32", "fd00::/8"], "state": "active", "expires_at": LATE,
        "created_by": own_id(root), "last_used_at": None, "version": 1}
    shown = api.stranger(key).get("/v1/whoami")
    assert shown["role"] == "admin" and shown["last_used_at"].endswith(":00+00:00")
    again = root.get(answer.headers["Location"])
    assert again.etag == answer.etag == '"1"'  # that it was used changes nothing
    for text in (shown.text, again.text, root.get("/v1/api-keys?limit=200").text):
        assert key not in text and key[21:] not in text and "hash" not in text


def test_what_is_stored_is_no_secret(api, root):
    key = made(root, tenant="acme")["key"]
    with api.admin() as admin:
        row = admin.execute("SELECT to_json(k)::text FROM bulkhead_control.api_key k WHERE id = %s", (key[4:20],)
                            ).fetchone()
        assert admin.execute("SELECT hash FROM bulkhead_control.api_key WHERE id = %s", (key[4:20],)
                             ).fetchone() == (api.hash(key),)
    assert key[21:] not in row[0]


def test_without_more_words_it_is_as_its_makers(api):
    maker = api.client("admin", "acme", reveal=True, expires_at=LATER, addresses=["127.0.0.0/8"])
    answer = made(maker, "editor")
    assert (answer["tenant"], answer["expires_at"], answer["addresses"], answer["reveal"]) == (
        "acme", LATER, ["127.0.0.0/8"], False)


def test_a_repeated_request_makes_one_key_and_shows_it_once(api, root):
    body = {"name": "once", "role": "viewer", "tenant": "acme"}
    first, second = (root.post("/v1/api-keys", body, {"Idempotency-Key": "made-once"}) for _ in range(2))
    assert first.status == second.status == 201 and first["id"] == second["id"]
    assert "key" in first.json and "key" not in second.json
    with api.admin() as admin:
        (kept,) = admin.execute("SELECT string_agg(to_json(i)::text, '') FROM bulkhead_control.idempotency i").fetchone()
    assert first["id"] in kept and first["key"][21:] not in kept


@pytest.mark.parametrize("body, field", [
    ({"role": "viewer"}, "body.name"), ({"name": "x"}, "body.role"), ({"name": "", "role": "viewer"}, "body.name"),
    ({"name": "x", "role": "boss"}, "body.role"), ({"name": "x" * 256, "role": "viewer"}, "body.name"),
    ({"name": "é" * 128, "role": "viewer", "tenant": "acme"}, "body.name"),
    ({"name": "a\nb", "role": "viewer"}, "body.name"), ({"name": "x", "role": "viewer", "hash": "00"}, "body.hash"),
    ({"name": "x", "role": "viewer"}, "body.tenant"), ({"name": "x", "role": "admin", "tenant": None}, "body.tenant"),
    ({"name": "x", "role": "viewer", "tenant": "nosuch"}, "body.tenant"),
    ({"name": "x", "role": "editor", "tenant": "acme", "reveal": True}, "body.reveal"),
    ({"name": "x", "role": "viewer", "tenant": "acme", "expires_at": "tomorrow"}, "body.expires_at"),
    ({"name": "x", "role": "viewer", "tenant": "acme", "expires_at": "2020-01-01T00:00:00Z"}, "body.expires_at"),
    ({"name": "x", "role": "viewer", "tenant": "acme", "addresses": []}, "body.addresses"),
    ({"name": "x", "role": "viewer", "tenant": "acme", "addresses": ["::/0"] * 101}, "body.addresses"),
    ({"name": "x", "role": "viewer", "tenant": "acme", "addresses": ["::1", "10.0.0.1/8"]}, "body.addresses[1]"),
    ({"name": "x", "role": "viewer", "tenant": "acme", "addresses": ["localhost"]}, "body.addresses[0]"),
    ({"name": "x", "role": "viewer", "tenant": "acme", "addresses": [1]}, "body.addresses[0]"),
])
def test_malformed_keys_are_refused(root, body, field):
    answer = root.post("/v1/api-keys", body)
    assert answer.status in (404, 422) and field in answer.fields, answer


# ---- not more than one's own ----

@pytest.mark.parametrize("own, wanted, status, reason, field", [
    ({}, {"role": "operator"}, 403, "BH-API-BEYOND", "body.role"),
    ({}, {"tenant": "globex"}, 404, "BH-API-TENANT", "body.tenant"),
    ({}, {"role": "operator", "tenant": None}, 403, "BH-API-BEYOND", "body.role"),
    ({}, {"role": "admin", "reveal": True}, 403, "BH-API-BEYOND", "body.reveal"),
    ({"expires_at": LATER}, {"expires_at": None}, 403, "BH-API-BEYOND", "body.expires_at"),
    ({"expires_at": LATER}, {"expires_at": LATE}, 403, "BH-API-BEYOND", "body.expires_at"),
    ({"addresses": ["127.0.0.0/8"]}, {"addresses": None}, 403, "BH-API-BEYOND", "body.addresses"),
    ({"addresses": ["127.0.0.0/8"]}, {"addresses": ["127.0.0.1", "126.0.0.0/7"]}, 403, "BH-API-BEYOND",
     "body.addresses"),
    ({"addresses": ["127.0.0.0/8", "10.0.0.0/8"]}, {"addresses": ["::ffff:10.0.0.0/104"]}, 403, "BH-API-BEYOND",
     "body.addresses"),
])
def test_nobody_gives_more_than_they_have(api, own, wanted, status, reason, field):
    refused(api.client("admin", "acme", **own).post("/v1/api-keys", {"name": "x", "role": "viewer", **wanted}),
            status, reason, field)


def test_an_operator_of_a_part_makes_none_for_the_whole(api):
    operator = api.client("operator", "acme")
    refused(operator.post("/v1/api-keys", {"name": "x", "role": "operator", "tenant": None}),
            403, "BH-API-BEYOND", "body.tenant")
    assert made(operator, "operator")["tenant"] == "acme"


def test_as_much_as_ones_own_may_be_given(api):
    own = {"reveal": True, "expires_at": LATER, "addresses": ["127.0.0.0/8", "10.0.0.0/8"]}
    for tenant in ("acme", "acme-labs"):
        made(api.client("admin", "acme", **own), "admin", tenant=tenant, **own)


@pytest.mark.parametrize("role", ["viewer", "editor"])
def test_lower_roles_make_and_see_none(api, role):
    client = api.client(role, "acme")
    for answer in (client.post("/v1/api-keys", {"name": "x", "role": "viewer"}), client.get("/v1/api-keys"),
                   client.get(path(client)), client.post(path(client, ":rotate"), {}),
                   client.post(path(client, ":revoke")), client.patch(path(client), {"name": "x"}),
                   client.delete(path(client))):
        assert (answer.status, answer.reason) == (403, "BH-API-ROLE")
    assert client.get("/v1/whoami")["role"] == role


# ---- who sees whom ----

def test_others_keys_do_not_exist(api, acme):
    for other in (api.client("viewer", "globex"), api.client(), api.client("operator")):
        for answer in (acme.get(path(other)), acme.patch(path(other), {"name": "x"}), acme.delete(path(other)),
                       acme.post(path(other, ":revoke")), acme.post(path(other, ":rotate"), {})):
            refused(answer, 404, "BH-API-NOT-FOUND", "path.id")
    assert acme.get(f"/v1/api-keys/{random_id()}").status == 404
    assert acme.get("/v1/api-keys/nonsense").fields == ["path.id"]


def test_lists_are_of_ones_own_part(api, root, acme):
    keys = {tenant: made(root, tenant=tenant)["id"] for tenant in ("acme", "acme-labs", "globex")}
    seen = {item["id"]: item["tenant"] for item in acme.pages("/v1/api-keys", 3)}
    assert keys["acme"] in seen and keys["acme-labs"] in seen and set(seen.values()) == {"acme", "acme-labs"}
    every = [item["id"] for item in root.pages("/v1/api-keys", 7)]
    assert set(keys.values()) <= set(every) and len(every) == len(set(every)) and every == sorted(every)
    assert {item["tenant"] for item in root.pages("/v1/api-keys?tenant=acme-labs")} == {"acme-labs"}
    assert {item["role"] for item in root.pages("/v1/api-keys?role=operator")} == {"operator"}
    assert acme.get("/v1/api-keys?tenant=globex").reason == "BH-API-TENANT"


def test_a_higher_role_is_not_touched(api, acme):
    operator = api.client("operator", "acme-labs")
    assert acme.get(path(operator)).status == 200
    for answer in (acme.patch(path(operator), {"role": "viewer"}), acme.post(path(operator, ":revoke")),
                   acme.post(path(operator, ":rotate"), {}), acme.delete(path(operator))):
        refused(answer, 403, "BH-API-BEYOND", "path.id")
    assert works(api, operator.key)


# ---- changing ----

def test_less_may_be_left_to_any_key(api):
    """Also by one that has less in other ways."""
    manager = api.client("admin", "acme", expires_at=LATER)
    key = api.client("admin", "acme", reveal=True)
    answer = manager.patch(path(key), {"role": "editor", "reveal": False, "tenant": "acme-labs", "name": "less",
                                       "addresses": ["127.0.0.0/8"]})
    assert answer.status == 200, answer
    assert (answer["role"], answer["reveal"], answer["tenant"], answer["addresses"], answer.etag) == (
        "editor", False, "acme-labs", ["127.0.0.0/8"], '"2"')
    refused(manager.patch(path(key), {"role": "admin"}), 403, "BH-API-BEYOND", "body.expires_at")
    refused(manager.patch(path(key), {"addresses": None}), 403, "BH-API-BEYOND", "body.expires_at")
    assert manager.patch(path(key), {"role": "admin", "expires_at": LATER}).status == 200


@pytest.mark.parametrize("more", [
    {"role": "operator"}, {"tenant": None, "role": "operator"}, {"expires_at": None}, {"expires_at": LATE},
    {"addresses": None}, {"addresses": ["0.0.0.0/0"]}, {"reveal": True}])
def test_a_key_cannot_raise_itself(api, more):
    key = api.client("admin", "acme", expires_at=LATER, addresses=["127.0.0.0/8"])
    answer = key.patch(path(key), more)
    assert (answer.status, answer.reason) == (403, "BH-API-BEYOND"), answer
    assert key.get("/v1/whoami")["version"] == 1
    assert key.patch(path(key), {"role": "viewer"}).status == 200
    assert key.patch(path(key), {"role": "admin"}).reason == "BH-API-ROLE"


def test_a_change_says_which_version_it_means(api, acme):
    key = api.client("viewer", "acme")
    assert acme.patch(path(key), {"name": "a"}, match=None).status == 428
    assert acme.patch(path(key), {"name": "a"}, match='"1"').etag == '"2"'
    assert acme.patch(path(key), {"name": "b"}, match='"1"').reason == "BH-API-CHANGED"
    assert acme.delete(path(key), match=None).status == 428
    assert acme.post(path(key, ":revoke")).status == 200
    assert acme.patch(path(key), {"name": "c"}).reason == "BH-API-STATE"


# ---- rotating ----

def test_a_rotated_key_keeps_every_restriction(api, root):
    columns = {"expires_at": LATER, "addresses": ["127.0.0.0/8"]}
    key = api.client("viewer", "acme-labs", **columns)
    before = root.get(path(key)).json
    answer = root.post(path(key, ":rotate"), {"overlap_seconds": 600})
    after = {**answer.json}
    new, until = after.pop("key"), after.pop("previous_until")
    before.pop("previous_until")
    assert new[:21] == key.key[:21] and new != key.key and until
    assert {**after, "version": 0, "updated_at": 0} == {**before, "version": 0, "updated_at": 0}
    for text in (key.key, new):
        shown = api.stranger(text).get("/v1/whoami")
        assert (shown["role"], shown["tenant"], shown["expires_at"], shown["addresses"]) == (
            "viewer", "acme-labs", LATER, ["127.0.0.0/8"])
        assert api.stranger(text).get("/v1/api-keys").reason == "BH-API-ROLE"


def test_the_secret_before_works_for_the_overlap_alone(api, root):
    key = api.client("viewer", "acme").key
    new = root.post(f"/v1/api-keys/{key[4:20]}:rotate", {"overlap_seconds": 600})["key"]
    assert works(api, key) and works(api, new)
    refused(root.post(f"/v1/api-keys/{key[4:20]}:rotate", {"overlap_seconds": 1}), 409, "BH-API-STATE",
            "body.overlap_seconds")
    assert works(api, key) and works(api, new)
    with api.admin() as admin:
        admin.execute("UPDATE bulkhead_control.api_key SET previous_until = now() WHERE id = %s", (key[4:20],))
    assert not works(api, key) and works(api, new)
    third = root.post(f"/v1/api-keys/{key[4:20]}:rotate", {"overlap_seconds": 604800})["key"]
    assert works(api, new) and works(api, third)
    last = root.post(f"/v1/api-keys/{key[4:20]}:rotate")["key"]  # ends them all
    assert [works(api, text) for text in (key, new, third, last)] == [False, False, False, True]


@pytest.mark.parametrize("overlap", [-1, 604801, "1", 1.5, None])
def test_an_overlap_has_bounds(api, root, overlap):
    answer = root.post(path(api.client("viewer", "acme"), ":rotate"), {"overlap_seconds": overlap})
    assert (answer.status, answer.fields) == (422, ["body.overlap_seconds"])


@pytest.mark.parametrize("column", ["reveal", "expires_at", "addresses"])
def test_a_key_with_more_is_not_taken_over_by_rotating_it(api, column):
    """Who rotates a key has its secret."""
    less = {"expires_at": LATER, "addresses": ["127.0.0.0/8"]}
    other = {**less, "reveal": column == "reveal"}
    other.pop(column if column != "reveal" else "", None)
    key = api.client("admin", "acme", **other)
    refused(api.client("admin", "acme", **less).post(path(key, ":rotate"), {}), 403, "BH-API-BEYOND", "path.id")
    assert works(api, key.key)


def test_a_key_that_is_over_is_not_rotated(api, acme):
    for column in ("revoked_at", "expires_at"):
        key = api.client("viewer", "acme", **{column: "2020-01-01"})
        refused(acme.post(path(key, ":rotate"), {}), 409, "BH-API-STATE", "path.id")


@pytest.mark.parametrize("role", ["viewer", "editor", "admin"])
def test_each_key_rotates_itself(api, role):
    key = api.client(role, "acme")
    new = key.post("/v1/whoami:rotate", {"overlap_seconds": 60})["key"]
    assert works(api, key.key) and works(api, new) and new[:21] == key.key[:21]
    last = api.stranger(new).post("/v1/whoami:rotate")["key"]
    assert [works(api, text) for text in (key.key, new, last)] == [False, False, True]


# ---- the end ----

def test_a_revoked_key_stops_at_once_and_those_it_made_stay(api, acme):
    maker = api.client("admin", "acme")
    child = made(maker)["key"]
    answer = acme.post(path(maker, ":revoke"))
    assert answer["state"] == "revoked" and answer["revoked_at"]
    assert not works(api, maker.key) and works(api, child)
    assert acme.post(path(maker, ":revoke"))["revoked_at"] == answer["revoked_at"]
    assert acme.delete(path(maker)).status == 204 and acme.get(path(maker)).status == 404
    assert acme.get(f"/v1/api-keys/{child[4:20]}")["created_by"] == own_id(maker)


def test_both_secrets_end_with_the_key(api, root):
    key = api.client("viewer", "acme").key
    new = root.post(f"/v1/api-keys/{key[4:20]}:rotate", {"overlap_seconds": 600})["key"]
    root.post(f"/v1/api-keys/{key[4:20]}:revoke")
    assert not works(api, key) and not works(api, new)


def test_only_what_is_over_is_deleted(api, acme):
    key = api.client("viewer", "acme")
    refused(acme.delete(path(key)), 409, "BH-API-STATE", "path.id")
    assert acme.patch(path(key), {"expires_at": "2999-01-01T00:00:00Z"}).status == 200
    expired = api.client("viewer", "acme", expires_at="2020-01-01")
    assert acme.get(path(expired))["state"] == "expired" and acme.delete(path(expired)).status == 204


def test_revoked_expired_forged_and_unknown_look_alike(api):
    key = api.key("viewer", "acme")
    texts = [api.key("viewer", "acme", revoked_at="2020-01-01"), api.key("viewer", "acme", expires_at="2020-01-01"),
             key[:-1] + ("A" if key[-1] != "A" else "B"), f"bhk_{random_id()}{key[20:]}"]
    answers = [api.stranger(text).get("/v1/whoami") for text in texts]
    bodies = [{**answer.json, "request_id": ""} for answer in answers]
    assert [answer.status for answer in answers] == [401] * 4 and all(body == bodies[0] for body in bodies)


def test_the_use_of_what_is_over_is_told_apart_in_the_audit_log_alone(api):
    over = {"revoked": api.key("viewer", "acme", revoked_at="2020-01-01"),
            "expired": api.key("editor", "acme", expires_at="2020-01-01")}
    key = api.key("viewer", "acme")
    forged = {why: text[:21] + key[21:] for why, text in over.items()}
    for text in (*forged.values(), *over.values(), *over.values()):
        assert api.stranger(text).get("/v1/whoami").status == 401

    def noted():
        with api.admin() as admin:
            return admin.execute("SELECT actor_id, after ->> 'because', after ->> 'action', address, tenant_slug "
                                 "FROM bulkhead_control.audit WHERE action = 'api_key.refused' AND actor_id = ANY(%s) "
                                 "ORDER BY id", ([text[4:20] for text in over.values()],)).fetchall()
    assert noted()[:2] == [(text[4:20], why, "whoami.show", "127.0.0.1", "acme") for why, text in over.items()]
    assert len(noted()) <= 4  # once a minute; one may have just begun


def test_the_secret_before_does_not_come_to_the_new_one(api, root):
    key = api.client("admin", "acme")
    new = api.stranger(key.post("/v1/whoami:rotate", {"overlap_seconds": 600})["key"])
    for client in (key.post("/v1/whoami:rotate"), key.post("/v1/whoami:rotate", {"overlap_seconds": 60}),
                   key.post(path(key, ":rotate"))):
        assert (client.status, client.reason) == (403, "BH-API-STATE")
    assert new.post("/v1/whoami:rotate").status == 200 and not works(api, key.key)


# ---- races ----

@pytest.mark.parametrize("rotations", [60, pytest.param(300, marks=pytest.mark.longer)])
def test_rotation_against_use(api, root, rotations):
    """While a key is rotated again and again, whoever uses the new secret, or within the overlap the one before, is
    let in."""
    key = api.client("viewer", "acme").key
    valid, over, failures, rounds = [key], threading.Event(), [], [0, 0, 0]

    def use(user):
        while not over.is_set():
            rounds[user] += 1
            failures.extend(text for text in list(valid) if not works(api, text))

    def let_go(count):
        """Each user has begun so many rounds since, and so has ended the ones before."""
        before = list(rounds)
        while any(now < then + count for now, then in zip(rounds, before)) and not failures:
            over.wait(0.001)

    with ThreadPoolExecutor(3) as executor, api.admin() as admin:
        users = [executor.submit(use, user) for user in range(3)]
        try:
            for _ in range(rotations):
                answer = root.post(f"/v1/api-keys/{key[4:20]}:rotate", {"overlap_seconds": 600})
                assert answer.status == 200, answer
                valid.append(answer["key"])
                let_go(2)
                valid.pop(0)
                let_go(1)
                admin.execute("UPDATE bulkhead_control.api_key SET previous_until = now() WHERE id = %s", (key[4:20],))
        finally:
            over.set()
        for user in users:
            user.result()
    assert failures == [] and sum(rounds) > 3 * rotations


def test_of_two_rotations_at_once_one_wins(api, root):
    """With an overlap the other is refused; what was answered works."""
    key = api.client("viewer", "acme").key
    with ThreadPoolExecutor(4) as executor:
        answers = list(executor.map(lambda _: root.post(f"/v1/api-keys/{key[4:20]}:rotate", {"overlap_seconds": 60}),
                                    range(4)))
    assert sorted(answer.status for answer in answers) == [200, 409, 409, 409]
    (new,) = [answer["key"] for answer in answers if answer.status == 200]
    assert works(api, key) and works(api, new)


def test_two_edits_of_one_version(api, acme):
    for _ in range(50):
        key = api.client("viewer", "acme")
        with ThreadPoolExecutor(2) as executor:
            answers = list(executor.map(lambda name: acme.patch(path(key), {"name": name}, match='"1"'), "ab"))
        assert sorted(answer.status for answer in answers) == [200, 412]


def test_keys_that_change_each_other(api):
    """Neither a deadlock nor a fault comes through."""
    one, two = api.client("admin", "acme"), api.client("admin", "acme")

    def rename(pair):
        return [pair[0].patch(path(pair[1]), {"name": f"n{n}"}).status for n in range(60)]

    with ThreadPoolExecutor(2) as executor:
        assert set(sum(executor.map(rename, [(one, two), (two, one)]), [])) == {200}


# ---- the pepper ----

def test_keys_of_an_older_pepper_work_while_its_line_stays(stand):
    with Api(stand) as api:
        old = api.client("admin", "acme").key
        line = api.key_file("pepper", "p1", api.pepper).read_text()
        file = api.file(f"pepper-{api.port}.key", "p2 " + "A" * 43 + "=\n" + line.strip())
        api.proxy.reload()
        assert works(api, old)
        new = made(api.stranger(old))["key"]
        with api.admin() as admin:
            assert admin.execute("SELECT hash_kid FROM bulkhead_control.api_key WHERE id = %s", (new[4:20],)
                                 ).fetchone() == ("p2",)
        assert works(api, new)
        moved = api.stranger(old).post("/v1/whoami:rotate", {"overlap_seconds": 60})["key"]  # hashes of two peppers
        assert works(api, old) and works(api, moved)
        file.write_text("p2 " + "A" * 43 + "=\n")
        api.proxy.reload()
        assert not works(api, old) and works(api, new) and works(api, moved)
