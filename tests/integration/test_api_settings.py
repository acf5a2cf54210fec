"""Settings over HTTP: what may be set by whom, what is seen of it, and what was."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness.api import Api
from harness.settings import Tenant, done, numbers, refused

@pytest.fixture(scope="module")
def api(stand):
    with Api(stand) as api:
        yield api


@pytest.fixture(scope="module")
def root(api):
    return api.client(keep=True)


@pytest.fixture
def chain(api):
    tenants = []
    for _ in range(3):
        tenants.append(Tenant(api, tenants[-1] if tenants else None))
    return tenants


@pytest.fixture
def acme(chain):
    return chain[0]


# ---- one value ----

def test_a_value_is_set_and_read_and_taken_away(root, acme):
    answer = done(root.put(acme.of("app.x"), {"value": {"a": [1, None, "ä"]}}))
    assert (answer.etag, answer["value"], answer["own"]["locked"]) == ('"1"', {"a": [1, None, "ä"]}, False)
    shown = done(root.get(acme.of("app.x")))
    assert shown.json == answer.json and shown.etag == '"1"'
    assert (shown["inherited"], shown["source_tenant_id"], shown["locked_by"]) == (False, acme.id, None)
    done(root.delete(acme.of("app.x"), match='"1"'), 204)
    refused(root.get(acme.of("app.x")), 404, "BH-API-NOT-FOUND", "path.key")
    refused(root.delete(acme.of("app.x")), 404, "BH-API-NOT-FOUND", "path.key")
    assert done(root.put(acme.of("app.x"), {"value": None})).etag == '"3"', "what is gone has a revision too"


@pytest.mark.parametrize("value", [None, True, 0, -1.5, "", "x" * 65000, [], {}, {"$encoded": 1}, {"a": {"$enc": "x"}}])
def test_the_applications_own_take_anything(root, acme, value):
    assert done(root.put(acme.of("app.any"), {"value": value}))["value"] == value
    assert done(root.get(acme.of("app.any")))["value"] == value


def test_the_same_again_is_no_change(root, acme):
    first = done(root.put(acme.of("app.x"), {"value": 1}))
    assert done(root.put(acme.of("app.x"), {"value": 1}, match=first.etag)).etag == first.etag


def test_one_who_replaces_says_what(root, acme):
    url = acme.of("app.x")
    refused(root.put(url, {"value": 1}, match='"1"'), 412, "BH-API-CHANGED", "header.If-Match")
    first = done(root.put(url, {"value": 1})).etag
    refused(root.put(url, {"value": 2}), 428, "BH-API-CONDITION", "header.If-Match")
    refused(root.delete(url, match=None), 428, "BH-API-CONDITION", "header.If-Match")
    second = done(root.put(url, {"value": 2}, match=first)).etag
    refused(root.put(url, {"value": 3}, match=first), 412, "BH-API-CHANGED", "header.If-Match")
    refused(root.patch(url, {"locked": True}, match=first), 412, "BH-API-CHANGED", "header.If-Match")
    refused(root.delete(url, match=first), 412, "BH-API-CHANGED", "header.If-Match")
    assert done(root.get(url)).etag == second
    done(root.put(url, {"value": 3}, match="*"))


@pytest.mark.parametrize("key, body, status, reason, field", [
    ("proxy.gate", {"value": "maybe"}, 422, "BH-API-VALUE", "body.value"),
    ("proxy.read_only", {"value": None}, 422, "BH-API-VALUE", "body.value"),
    ("proxy.read_only", {"value": True, "sensitive": True}, 422, "BH-API-VALUE", "body.sensitive"),
    ("proxy.nosuch", {"value": 1}, 404, "BH-API-NOT-FOUND", "path.key"),
    ("x.y", {"value": 1, "sensitive": True}, 404, "BH-API-NOT-FOUND", "path.key"),
    ("app.", {"value": 1}, 422, "BH-API-VALUE", "path.key"), ("app..x", {"value": 1}, 422, "BH-API-VALUE", "path.key"),
    ("App.x", {"value": 1}, 400, "BH-API-SYNTAX", "path.key"),
    ("app.x%20y", {"value": 1}, 400, "BH-API-SYNTAX", "path.key"),
    ("app.x", {"value": {"$enc": "v1.0123456789abcdef.AAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA=="}}, 422, "BH-API-VALUE",
     "body.value"),
    ("app.x", {"value": {"$enc": None}}, 422, "BH-API-VALUE", "body.value"),
    ("app.x", {"value": "x" * 66000}, 422, "BH-API-VALUE", "body.value"),
    ("app.x", {}, 422, "BH-API-VALUE", "body.value"),
    ("app.x", {"value": 1, "lock": True}, 422, "BH-API-VALUE", "body.lock"),
    ("app.x", {"value": 1, "locked": None}, 422, "BH-API-VALUE", "body.locked"),
    ("app.x", {"value": 1, "sensitive": "yes"}, 422, "BH-API-VALUE", "body.sensitive"),
])
def test_what_cannot_be_set(root, acme, key, body, status, reason, field):
    refused(root.put(acme.of(key), body), status, reason, field)
    assert root.get(acme.url).items == []


def test_spaces_count_where_the_database_writes_them(root, acme):
    """What has 64 KiB on the way may have more in the database."""
    refused(root.put(acme.of("app.x"), {"value": [0] * 32000}), 422, "BH-API-VALUE", "body.value")


# ---- inheritance ----

def test_the_nearest_value_holds_and_the_highest_lock(root, chain):
    top, mid, low = chain
    done(root.put(low.of("app.x"), {"value": "low"}))
    done(root.put(top.of("app.x"), {"value": "top"}))
    assert done(root.get(mid.of("app.x")))["value"] == "top"
    shown = done(root.get(low.of("app.x")))
    assert (shown["value"], shown["masked"], shown["own"]["masked"]) == ("low", False, False)
    locked = done(root.patch(top.of("app.x"), {"locked": True}, match='"1"'))
    assert (locked.etag, locked["locked"], locked["locked_by"]) == ('"2"', True, top.id)
    shown = done(root.get(low.of("app.x")))
    assert (shown["value"], shown["source_tenant_id"], shown["locked_by"]) == ("top", top.id, top.id)
    assert shown["masked"] is True
    assert (shown["own"]["value"], shown["own"]["masked"], shown["inherited"]) == ("low", True, True)
    assert root.get(low.url).items[0]["masked"] is True
    for attempt in (root.put(low.of("app.x"), {"value": 1}, match="*"), root.put(mid.of("app.x"), {"value": 1})):
        refused(attempt, 409, "BH-API-LOCKED", "path.key")
    done(root.patch(top.of("app.x"), {"locked": False}))
    assert done(root.get(low.of("app.x")))["value"] == "low"


def test_the_way_down(root, chain):
    top, mid, low = chain
    done(root.put(top.of("app.x"), {"value": 1}))
    done(root.put(low.of("app.x"), {"value": 3}))
    done(root.put(mid.of("app.x"), {"value": 2, "locked": True}))
    way = done(root.get(low.of("app.x") + "/inheritance"))
    assert [(step["slug"], step["set"], step["value"], step["locked"], step["holds"], step["masked"])
            for step in way.items] == [(top.slug, True, 1, False, False, False), (mid.slug, True, 2, True, True, False),
                                       (low.slug, True, 3, False, False, True)]
    way = done(root.get(low.of("proxy.read_only") + "/inheritance"))
    assert way["default_value"] is False and not any(step["set"] for step in way.items)
    refused(root.get(low.of("no.such") + "/inheritance"), 404, "BH-API-NOT-FOUND", "path.key")


def test_what_is_above_ones_own_part_of_the_tree_is_not_told(api, root, chain):
    top, mid, low = chain
    viewer = api.client("viewer", mid.slug)
    done(root.put(top.of("app.a"), {"value": "all of ours", "locked": True}))
    done(root.put(top.of("app.b"), {"value": "not yours"}))
    done(root.put(mid.of("app.b"), {"value": "yours"}))
    shown = done(viewer.get(low.of("app.a")))
    assert (shown["value"], shown["locked"], shown["inherited"]) == ("all of ours", True, True)
    assert (shown["source_tenant_id"], shown["locked_by"]) == (None, None)
    way = done(viewer.get(low.of("app.b") + "/inheritance"))
    assert [(step["tenant_id"], step["value"]) for step in way.items] == [
        (None, None), (mid.id, "yours"), (low.id, None)]
    editor = api.client("editor", mid.slug)
    answer = editor.put(low.of("app.a"), {"value": 1})
    refused(answer, 409, "BH-API-LOCKED", "path.key")
    for answer in (answer, shown, way, viewer.get(low.url + ":resolved"),
                   viewer.get(mid.url + f":diff?with={low.slug}")):
        assert top.slug not in answer.text and top.id not in answer.text and "not yours" not in answer.text
    assert viewer.get(top.of("app.a")).status == 404
    assert viewer.get(low.url + f":diff?with={top.slug}").status == 404


def test_the_resolved_view(root, chain):
    top, _, low = chain
    for n in range(7):
        done(root.put((top, low)[n % 2].of(f"app.r{n}"), {"value": n}))
    items = root.pages(low.url + ":resolved", limit=3)
    names = [item["key"] for item in items]
    assert names == sorted(names) and {"proxy.gate", "proxy.read_only", "app.r0", "app.r6"} <= set(names)
    assert {item["key"]: item["value"] for item in items if item["key"].startswith("app.")} == {
        f"app.r{n}": n for n in range(7)}
    items = root.get(low.url + ":resolved?prefix=app.r").items
    assert [item["key"] for item in items] == [f"app.r{n}" for n in range(7)]
    assert [item["key"] for item in root.pages(low.url, limit=2)] == ["app.r1", "app.r3", "app.r5"]


@pytest.mark.parametrize("cursor", ["x", "e30", "eyJrZXkiOjF9x", "W10", "bnVsbA"])
@pytest.mark.parametrize("path", ["", ":resolved", ":drift", "/app.x/history"])
def test_cursors_of_elsewhere(root, acme, cursor, path):
    refused(root.get(f"{acme.url}{path}?cursor={cursor}"), 400, "BH-API-CURSOR", "query.cursor")


def test_two_tenants_compared(root, api, chain):
    top, _, low = chain
    other = Tenant(api)
    done(root.put(top.of("app.same"), {"value": 1}))
    done(root.put(other.of("app.same"), {"value": 1}))
    done(root.put(low.of("app.differs"), {"value": 1}))
    done(root.put(other.of("app.differs"), {"value": 2}))
    done(root.put(low.of("app.alone"), {"value": None}))
    done(root.put(low.of("proxy.read_only"), {"value": False}))
    items = root.pages(f"{low.url}:diff?with={other.slug}", limit=1)
    assert [(item["key"], item["here"]["value"], item["there"]["value"], item["same"]) for item in items] == [
        ("app.alone", None, None, False), ("app.differs", 1, 2, False)]
    assert root.get(f"{low.url}:diff?with={low.slug}").items == []
    refused(root.get(f"{low.url}:diff?with=no-such"), 404, "BH-API-TENANT", "query.with")
    refused(root.get(f"{low.url}:diff"), 400, "BH-API-SYNTAX", "query.with")


def test_drift_of_a_subtree(root, api, chain):
    top, mid, low = chain
    twin = Tenant(api, mid)
    done(root.put(top.of("app.x"), {"value": "standard"}))
    done(root.put(low.of("app.x"), {"value": "standard"}))
    done(root.put(twin.of("app.x"), {"value": "special"}))
    done(root.put(mid.of("proxy.read_only"), {"value": False}))
    done(root.put(low.of("proxy.read_only"), {"value": True}))
    done(root.put(low.of("app.y"), {"value": 1}))
    items = root.pages(top.url + ":drift", limit=1)
    found = {(item["slug"], item["key"]): (item["value"], item["would_inherit"]["value"]) for item in items}
    assert found == {(twin.slug, "app.x"): ("special", "standard"), (low.slug, "proxy.read_only"): (True, False),
                     (low.slug, "app.y"): (1, None)}
    assert len(items) == 3 and [item["key"] for item in root.get(top.url + ":drift?prefix=proxy.").items] == \
        ["proxy.read_only"]
    done(root.patch(top.of("app.x"), {"locked": True}))
    assert [item["masked"] for item in root.get(top.url + ":drift?prefix=app.x").items] == [True]


def test_drift_of_a_large_subtree_is_looked_for_in_parts(api, root, acme):
    """A page may be empty and yet have a next."""
    with api.admin() as admin:
        ids = [str(id) for id, in admin.execute(
            "INSERT INTO bulkhead_control.tenant (id, parent_id, slug, name) "
            "SELECT gen_random_uuid(), %s, %s || n, 'x' FROM generate_series(1, 2060) n RETURNING id",
            (acme.id, acme.slug + "-many-"))]
    try:
        ids.sort()  # as their paths are
        for tenant in (ids[0], ids[2030], ids[-1]):
            done(root.put(f"/v1/tenants/{tenant}/settings/app.x", {"value": 1}))
        found, cursor, pages = [], "", 0
        while cursor is not None:
            answer = done(root.get(acme.url + ":drift?limit=2" + (f"&cursor={cursor}" if cursor else "")))
            found += [item["tenant_id"] for item in answer.items]
            cursor, pages = answer["next"], pages + 1
        assert found == [ids[0], ids[2030], ids[-1]] and pages >= 2
    finally:
        with api.admin() as admin:
            admin.execute("DELETE FROM bulkhead_control.tenant WHERE slug LIKE %s", (acme.slug + "-many-%",))


# ---- history ----

def test_history_and_rollback(root, acme):
    url = acme.of("app.x")
    done(root.put(url, {"value": 1}))
    done(root.put(url, {"value": 2, "locked": True}, match="*"))
    done(root.delete(url), 204)
    done(root.put(url, {"value": 3}))
    items = root.pages(url + "/history", limit=2)
    assert [(item["revision"], item["action"], item["before"] and item["before"]["value"],
             item["after"] and item["after"]["value"]) for item in items] == [
        (4, "set", None, 3), (3, "removed", 2, None), (2, "set", 1, 2), (1, "set", None, 1)]
    assert items[0]["actor"] == "api-key:operator of all" and items[0]["request_id"] and items[0]["at"]

    refused(root.post(url + ":rollback", {"revision": 2}), 428, "BH-API-CONDITION", "header.If-Match")
    back = done(root.post(url + ":rollback", {"revision": 2}, {"If-Match": '"4"'}))
    assert (back.etag, back["value"], back["own"]["locked"]) == ('"5"', 2, True)
    refused(root.post(url + ":rollback", {"revision": 1}, {"If-Match": '"4"'}), 412, "BH-API-CHANGED",
            "header.If-Match")
    done(root.post(url + ":rollback", {"revision": 3}, {"If-Match": "*"}))
    assert root.get(url).status == 404 and root.get(acme.url).items == []
    refused(root.post(url + ":rollback", {"revision": 99}), 404, "BH-API-NOT-FOUND", "body.revision")


def test_a_rollback_is_by_the_rules_of_now(root, chain):
    top, mid, _ = chain
    done(root.put(mid.of("app.x"), {"value": 1}))
    done(root.put(mid.of("app.x"), {"value": 2}, match="*"))
    done(root.put(top.of("app.x"), {"value": 0, "locked": True}))
    refused(root.post(mid.of("app.x") + ":rollback", {"revision": 1}, {"If-Match": "*"}), 409, "BH-API-LOCKED",
            "path.key")


# ---- several at once ----

def test_a_batch_is_all_or_nothing(root, chain):
    top, mid, _ = chain
    done(root.put(top.of("app.locked"), {"value": 0, "locked": True}))
    done(root.put(mid.of("app.there"), {"value": 0}))
    answer = root.post(mid.url + ":batch", {
        "set": [{"key": "app.a", "value": 1}, {"key": "app.locked", "value": 1},
                {"key": "proxy.gate", "value": "maybe"}, {"key": "no.such", "value": 1},
                {"key": "app.twice", "value": 1}, {"key": "app.there", "value": 1, "if_revision": 0},
                {"key": "app.e", "value": {"$enc": "x"}}],
        "delete": [{"key": "app.twice"}]})
    refused(answer, 422, "BH-API-BATCH", "body.set[1].key", "body.set[2].value", "body.set[3].key", "body.set[4].key",
            "body.set[5].if_revision", "body.set[6].value", "body.delete[0].key")
    assert [item["key"] for item in root.get(mid.url).items] == ["app.there"]


def test_a_batch_where_each_is_for_itself(root, chain):
    top, mid, _ = chain
    done(root.put(top.of("app.locked"), {"value": 0, "locked": True}))
    done(root.put(mid.of("app.gone"), {"value": 0}))
    done(root.put(mid.of("app.same"), {"value": 0}))
    answer = done(root.post(mid.url + ":batch", {
        "mode": "partial",
        "set": [{"key": "app.a", "value": None, "locked": True}, {"key": "app.locked", "value": 1},
                {"key": "app.same", "value": 0}],
        "delete": [{"key": "app.gone", "if_revision": 1}, {"key": "app.never"},
                   {"key": "app.same2", "if_revision": 3}]}))
    assert [(item["key"], item["done"], item["reason"]) for item in answer.items] == [
        ("app.a", "set", None), ("app.locked", "refused", "BH-API-LOCKED"), ("app.same", "unchanged", None),
        ("app.gone", "removed", None), ("app.never", "absent", None), ("app.same2", "refused", "BH-API-CHANGED")]
    assert answer["refused"] == 2 and answer.items[1]["field"] == "body.set[1].key"
    own = {item["key"]: (item["value"], item["locked"]) for item in root.get(mid.url).items}
    assert own == {"app.a": (None, True), "app.same": (0, False)}


def test_an_empty_batch(root, acme):
    assert done(root.post(acme.url + ":batch", {})).items == []
    refused(root.post(acme.url + ":batch", {"mode": "half"}), 422, "BH-API-VALUE", "body.mode")
    refused(root.post(acme.url + ":batch", {"set": [{"key": "app.x"}]}), 422, "BH-API-VALUE", "body.set[0].value")


def test_a_large_batch(root, acme):
    answer = done(root.post(acme.url + ":batch", {
        "set": [{"key": f"app.n{n}", "value": "x" * 10000} for n in range(200)]}))
    assert {item["done"] for item in answer.items} == {"set"}
    assert len(root.pages(acme.url, limit=200)) == 200


def test_a_repeated_batch_is_done_once(root, acme):
    body = {"set": [{"key": "app.x", "value": 1}]}
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    first = done(root.post(acme.url + ":batch", body, headers))
    done(root.put(acme.of("app.x"), {"value": 2}, match="*"))
    again = root.post(acme.url + ":batch", body, headers)
    assert again.json == first.json and again.headers["Idempotent-Replayed"] == "true"
    assert done(root.get(acme.of("app.x")))["value"] == 2


@pytest.mark.parametrize("ask", [
    lambda root, url: root.request("PUT", f"{url}/app.x?dry_run=true", {"value": 2}, {"If-Match": "*"}),
    lambda root, url: root.request("PATCH", f"{url}/app.x?dry_run=true", {"locked": True}, {"If-Match": "*"}),
    lambda root, url: root.request("DELETE", f"{url}/app.x?dry_run=true", headers={"If-Match": "*"}),
    lambda root, url: root.post(f"{url}:batch?dry_run=true", {"set": [{"key": "app.x", "value": 2}, {"key": "app.y",
                                                                                                    "value": 1}]}),
    lambda root, url: root.post(f"{url}/app.x:rollback?dry_run=true", {"revision": 1}, {"If-Match": "*"}),
])
def test_a_dry_run_changes_nothing(root, acme, ask):
    done(root.put(acme.of("app.x"), {"value": 0}))
    done(root.put(acme.of("app.x"), {"value": 1}, match="*"))
    before = root.get(acme.of("app.x"))
    answer = ask(root, acme.url)
    assert answer.status in (200, 204) and answer.headers["Dry-Run"] == "true", answer
    after = root.get(acme.of("app.x"))
    assert (after.json, after.etag) == (before.json, before.etag) and len(root.get(acme.url).items) == 1


# ---- at the same time ----

def test_of_edits_with_one_etag_one_is_made(api, root, acme):
    etag, clients = done(root.put(acme.of("app.x"), {"value": "first"})).etag, [api.client(keep=True) for _ in range(4)]
    with ThreadPoolExecutor(len(clients)) as executor:
        for n in range(25):
            values = [n * 10 + client for client in range(len(clients))]
            answers = list(executor.map(
                lambda pair, etag=etag: pair[0].put(acme.of("app.x"), {"value": pair[1]}, match=etag),
                zip(clients, values)))
            made = [answer for answer in answers if answer.status == 200]
            assert len(made) == 1 and all(answer.status == 412 for answer in answers if answer not in made), answers
            etag = made[0].etag
            assert done(root.get(acme.of("app.x")))["value"] == made[0]["value"] == values[answers.index(made[0])]


def test_first_values_at_the_same_time(api, root, acme):
    """Nobody is told of a deadlock or of a row that is there already, and each that was made is a revision."""
    clients = [api.client(keep=True) for _ in range(4)]
    with ThreadPoolExecutor(len(clients)) as executor:
        for n in range(15):
            url = acme.of(f"app.f{n}")
            statuses = [answer.status for answer in executor.map(
                lambda client, url=url: client.put(url, {"value": 1, "sensitive": True}), clients)]
            assert sorted(statuses) == [200, 428, 428, 428]


# ---- who may ----

@pytest.mark.parametrize("role, writes", [("viewer", False), ("editor", True), ("admin", True)])
def test_roles(api, root, chain, role, writes):
    top, mid, low = chain
    client = api.client(role, mid.slug)
    assert client.get(mid.url).status == client.get(low.url + ":resolved").status == 200
    for answer in (client.put(low.of("app.x"), {"value": 1}), client.patch(low.of("app.x"), {"locked": True}),
                   client.post(low.url + ":batch", {}), client.delete(low.of("app.x"))):
        assert answer.status in ((200, 204) if writes else (403,)), answer
    for answer in (client.get(top.url), client.put(top.of("app.x"), {"value": 1}), client.post(top.url + ":batch", {})):
        assert answer.status in (403, 404) and answer.reason in ("BH-API-TENANT", "BH-API-ROLE")
    assert root.get(top.url).items == []


def test_the_registry_is_for_operators_of_the_whole_tree(api, acme):
    body = {"key": "test.no", "type": "string", "description": "x"}
    refused(api.client("admin", acme.slug).post("/v1/setting-keys", body), 403, "BH-API-ROLE")
    refused(api.client("operator", acme.slug).post("/v1/setting-keys", body), 403, "BH-API-SUBTREE")
    shown = api.client("viewer", acme.slug).get("/v1/setting-keys/proxy.gate")
    assert shown["choices"] == ["enforce", "observe", "off"]


# ---- registered keys ----

def test_a_key_is_registered_used_and_taken_out(root, acme):
    body = {"key": f"test.k{next(numbers)}", "type": "integer", "minimum": 1, "maximum": 9, "default_value": 5,
            "description": "how many"}
    made = done(root.post("/v1/setting-keys", body), 201)
    url = made.headers["Location"]
    assert {name: made[name] for name in body} == body and made["sensitive"] is False and made["builtin"] is False
    assert done(root.get(acme.of(body["key"])))["value"] == 5
    refused(root.put(acme.of(body["key"]), {"value": 10}), 422, "BH-API-VALUE", "body.value")
    done(root.put(acme.of(body["key"]), {"value": 9}))
    refused(root.delete(url), 409, "BH-API-IN-USE", "path.key")
    refused(root.patch(url, {"description": "other"}, match='"x"'), 412, "BH-API-CHANGED", "header.If-Match")
    other = done(root.patch(url, {"description": "other"}, match=made.etag))
    assert other["description"] == "other" and other.etag != made.etag
    done(root.delete(acme.of(body["key"])), 204)
    done(root.delete(url, match=other.etag), 204)
    refused(root.get(url), 404, "BH-API-NOT-FOUND", "path.key")


@pytest.mark.parametrize("change, status, reason, field", [
    ({"key": "proxy.x"}, 422, "BH-API-VALUE", "body.key"), ({"key": "one"}, 422, "BH-API-VALUE", "body.key"),
    ({"key": "proxy.gate"}, 422, "BH-API-VALUE", "body.key"), ({"type": "text"}, 422, "BH-API-VALUE", "body.type"),
    ({"default_value": "x"}, 422, "BH-API-VALUE", "body.default_value"),
    ({"sensitive": True, "default_value": 1}, 422, "BH-API-VALUE", "body.default_value"),
    ({"description": ""}, 422, "BH-API-VALUE", "body.description"),
    ({"builtin": True}, 422, "BH-API-VALUE", "body.builtin"),
    ({"minimum": "1"}, 422, "BH-API-VALUE", "body.minimum"), ({"choices": []}, 422, "BH-API-VALUE", "body.choices"),
])
def test_what_cannot_be_registered(root, change, status, reason, field):
    body = {"key": f"test.k{next(numbers)}", "type": "integer", "description": "x", **change}
    refused(root.post("/v1/setting-keys", body), status, reason, field)


def test_what_is_builtin_stays(root):
    refused(root.patch("/v1/setting-keys/proxy.gate", {"description": "x"}), 409, "BH-API-FIXED")
    refused(root.delete("/v1/setting-keys/proxy.gate"), 409, "BH-API-FIXED")


def test_the_list_of_keys(root):
    names = [item["key"] for item in root.pages("/v1/setting-keys", limit=1)]
    assert names == sorted(names) and "proxy.gate" in names
    assert all(item["key"].startswith("proxy.") for item in root.get("/v1/setting-keys?prefix=proxy.").items)
