"""Permissions over HTTP: grants within what the parent holds, what they come to, previews, history, and the keys."""

import pytest

KEY = "/v1/permission-keys"


@pytest.fixture
def tree(root, control):
    """acme, below it labs and works, below labs one and two; keys app.limit (5 by default), app.flag and app.areas."""
    control.admin.execute("DELETE FROM bulkhead_control.permission_key WHERE NOT builtin")
    tenants = [("acme", None), ("labs", "acme"), ("works", "acme"), ("one", "labs"), ("two", "labs")]
    assert root.post("/v1/tenants:batch", {"tenants": [
        {"slug": slug, "parent": parent} for slug, parent in tenants]}).status == 201
    for key, kind, more in (("app.limit", "number", {"default": 5}), ("app.flag", "bool", {}),
                            ("app.areas", "set", {})):
        assert root.post(KEY, {"key": key, "kind": kind, "description": "x", **more}).status == 201
    yield
    control.clear()
    control.admin.execute("DELETE FROM bulkhead_control.permission_key WHERE NOT builtin")


def path(tenant, key="app.limit"):
    return f"/v1/tenants/{tenant}/permissions/{key}"


def grant(client, tenant, value, key="app.limit", **more):
    """Granted, or the grant changed."""
    answer = client.put(path(tenant, key), {"value": value, **more}, client.get(path(tenant, key)).etag)
    assert answer.status == 200, answer
    return answer


def revoke(client, tenant, key="app.limit"):
    answer = client.delete(path(tenant, key), client.get(path(tenant, key)).etag)
    assert answer.status == 200, answer
    return answer


def held(client, tenant, key="app.limit"):
    item, = client.get(f"/v1/tenants/{tenant}/permissions:effective?key={key}").items
    return item


def values(client):
    return {tenant: held(client, tenant)["value"] for tenant in ("acme", "labs", "works", "one", "two")}


def assert_refused(answer, status, reason, *fields):
    assert (answer.status, answer.reason, answer.fields) == (status, reason, list(fields)), answer


# ---- what a tenant holds ----

def test_without_grants_defaults_hold(root, tree):
    assert held(root, "one") == {
        "key": "app.limit", "kind": "number", "value": 5, "inherited": False, "source": "default",
        "source_tenant_id": None, "locked": False, "locked_by": None, "mode": "DELEGATED", "bound": 5, "own": None}


def test_a_grant_is_inherited_and_its_source_told(root, tree):
    ids = {item["slug"]: item["id"] for item in root.pages("/v1/tenants")}
    made = grant(root, "acme", 3, mode="LOCKED", revocation="SOFT")
    assert made["grant"] == root.get(path("acme"))["grant"] and made["before"] is None
    assert {name: made["grant"][name] for name in ("tenant_id", "key", "value", "mode", "revocation")} == {
        "tenant_id": ids["acme"], "key": "app.limit", "value": 3, "mode": "LOCKED", "revocation": "SOFT"}
    assert held(root, "acme")["source"] == "own"
    below = held(root, "one")
    assert (below["value"], below["inherited"], below["source"], below["source_tenant_id"], below["locked"],
            below["locked_by"]) == (3, True, "inherited", ids["acme"], True, ids["acme"])


def test_all_keys_are_listed_page_by_page(root, tree):
    keys = [item["key"] for item in root.pages("/v1/tenants/one/permissions:effective", 4)]
    assert keys == sorted(keys) and set(keys) > {"app.areas", "app.flag", "app.limit", "sql.read", "sql.ddl"}
    assert [item["key"] for item in root.pages("/v1/tenants/one/permissions:effective?prefix=app.", 1)] == [
        "app.areas", "app.flag", "app.limit"]
    assert_refused(root.get("/v1/tenants/one/permissions:effective?key=app.none"), 404, "BH-API-NOT-FOUND", "query.key")


def test_own_grants_are_listed(root, tree):
    grant(root, "labs", 3)
    grant(root, "labs", False, "sql.write")
    assert [(item["key"], item["value"]) for item in root.pages("/v1/tenants/labs/permissions", 1)] == [
        ("app.limit", 3), ("sql.write", False)]
    assert root.get("/v1/tenants/one/permissions").items == []


def test_one_key_shows_the_grants_on_the_way(root, tree):
    grant(root, "acme", 4, mode="DELEGATED")
    grant(root, "one", 2)
    answer = root.get(path("one"))
    assert [(grant["tenant"], grant["value"], grant["mode"]) for grant in answer["way"]] == [
        ("acme", 4, "DELEGATED"), ("one", 2, "INHERITED")]
    assert answer["effective"] == held(root, "one") and answer["grant"]["value"] == 2


# ---- granting ----

@pytest.mark.parametrize("key, value", [("app.limit", "3"), ("app.limit", True), ("app.flag", 1), ("app.flag", None),
                                        ("app.areas", "x"), ("app.areas", [1]), ("app.areas", ["x" * 256]),
                                        ("sql.relations", ["a*b"])])
def test_a_value_is_of_its_kind(root, tree, key, value):
    assert_refused(root.put(path("acme", key), {"value": value}), 422, "BH-API-VALUE", "body.value")


def test_nobody_is_granted_more_than_the_parent_holds(root, tree):
    grant(root, "acme", 3, mode="DELEGATED")
    assert_refused(root.put(path("labs"), {"value": 4}), 409, "BH-API-BOUND", "body.value")
    grant(root, "labs", 3)
    assert_refused(root.put(path("one"), {"value": 2, "mode": "DELEGATED"}), 409, "BH-API-BOUND", "body.mode")
    grant(root, "one", 2)


def test_a_locked_permission_is_not_granted_below(root, tree, tree_api):
    grant(root, "acme", 3, mode="LOCKED")
    answer = tree_api.client("admin", "labs").put(path("one"), {"value": 1})
    assert_refused(answer, 409, "BH-API-LOCKED", "path.key")
    assert "acme" not in answer.text


def test_a_permanent_grant_stays(root, tree):
    grant(root, "acme", 3, revocation="PERMANENT")
    assert_refused(root.put(path("acme"), {"value": 2}, "*"), 409, "BH-API-FIXED", "path.key")
    assert_refused(root.delete(path("acme")), 409, "BH-API-FIXED", "path.key")


def test_what_is_changed_is_named(root, tree):
    first = grant(root, "acme", 3)
    assert_refused(root.put(path("acme"), {"value": 2}), 428, "BH-API-CONDITION", "header.If-Match")
    second = root.put(path("acme"), {"value": 2}, first.etag)
    assert second.status == 200 and second["before"] == first["grant"]
    for answer in (root.put(path("acme"), {"value": 1}, first.etag), root.delete(path("acme"), first.etag),
                   root.put(path("labs"), {"value": 1}, first.etag), root.put(path("labs"), {"value": 1}, "*")):
        assert_refused(answer, 412, "BH-API-CHANGED", "header.If-Match")
    assert_refused(root.delete(path("acme"), None), 428, "BH-API-CONDITION", "header.If-Match")
    assert values(root) == dict.fromkeys(values(root), 2)


def test_mode_and_revocation_stay_as_they_were(root, tree):
    grant(root, "acme", 3, mode="DELEGATED", revocation="SOFT")
    changed = grant(root, "acme", 2)["grant"]
    assert (changed["value"], changed["mode"], changed["revocation"]) == (2, "DELEGATED", "SOFT")


def test_a_dry_run_says_whom_it_touches(root, tree):
    ids = {item["slug"]: item["id"] for item in root.pages("/v1/tenants")}
    grant(root, "acme", 4, mode="DELEGATED")
    grant(root, "one", 1)
    before = root.get(path("acme"))
    answer = root.put(path("acme") + "?dry_run=true", {"value": 2}, before.etag)
    assert answer.status == 200 and answer["affected"]["count"] == 4
    assert {(item["tenant"], item["before"], item["after"]) for item in answer["affected"]["items"]} == {
        (tenant, 4, 2) for tenant in ("acme", "labs", "works", "two")}
    assert answer["affected"]["items"][0]["tenant_id"] == ids["acme"]
    assert root.get(path("acme")).json == before.json


def test_a_preview_is_bounded(root, tree):
    assert root.post("/v1/tenants:batch", {"tenants": [
        {"slug": f"w-{n}", "parent": "works"} for n in range(150)]}).status == 201
    answer = root.put(path("acme") + "?dry_run=true", {"value": 2})
    assert answer["affected"]["count"] == 155 and len(answer["affected"]["items"]) == 100


# ---- revoking ----

def test_cascade_takes_it_from_the_whole_subtree(root, tree):
    grant(root, "acme", 4, mode="DELEGATED", revocation="CASCADE")
    grant(root, "labs", 3, mode="DELEGATED")
    grant(root, "one", 2)
    shown = root.request("DELETE", path("acme") + "?dry_run=true", headers={"If-Match": root.get(path("acme")).etag})
    assert {(item["tenant"], item["before"], item["after"]) for item in shown["affected"]["items"]} == {
        ("acme", 4, 5), ("works", 4, 5), ("labs", 3, 5), ("two", 3, 5), ("one", 2, 5)}
    gone = revoke(root, "acme")
    assert {item["tenant"]: item["value"] for item in gone["revoked"]["items"]} == {"acme": 4, "labs": 3, "one": 2}
    assert gone["revoked"] == shown["revoked"] and gone["frozen"] == {"count": 0, "items": []}
    assert values(root) == dict.fromkeys(values(root), 5)


def test_soft_leaves_those_below_what_they_hold(root, tree, control):
    control.admin.execute("DELETE FROM bulkhead_control.permission_key WHERE key = 'app.limit'")
    assert root.post(KEY, {"key": "app.limit", "kind": "number", "default": 0, "description": "x"}).status == 201
    grant(root, "acme", 4, mode="DELEGATED", revocation="SOFT")
    grant(root, "one", 2)
    gone = revoke(root, "acme")
    assert [item["tenant"] for item in gone["revoked"]["items"]] == ["acme"]
    assert {item["tenant"]: item["value"] for item in gone["frozen"]["items"]} == {
        "labs": 4, "works": 4, "one": 2, "two": 4}
    assert values(root) == {"acme": 0, "labs": 4, "works": 4, "one": 2, "two": 4}
    assert held(root, "labs")["source"] == "frozen"
    # What is kept frozen has no grant to name, and goes the same way.
    assert root.delete(path("labs"), None)["revoked"]["count"] == 1
    assert held(root, "labs")["value"] == 0
    assert_refused(root.delete(path("labs"), None), 404, "BH-API-NOT-FOUND", "path.key")


# ---- history ----

def test_history_tells_who_did_what(root, tree, tree_api):
    grant(root, "labs", 3, mode="DELEGATED")
    grant(tree_api.client("editor", "acme", name="Ed"), "labs", 2)
    revoke(root, "labs")
    lines = root.pages("/v1/tenants/labs/permissions/app.limit/history", 1)
    assert [(line["change"], line["actor"], *[side and side["value"] for side in (line["before"], line["after"])])
            for line in lines] == [
        ("revoked", "api-key:operator of all", 2, None), ("changed", "api-key:Ed", 3, 2),
        ("granted", "api-key:operator of all", None, 3)]
    assert all(line["request_id"] for line in lines)
    assert root.get("/v1/tenants/one/permissions/app.limit/history").items == []


def test_what_changes_nothing_leaves_no_history(root, tree):
    grant(root, "labs", 3)
    grant(root, "labs", 3)
    assert len(root.get("/v1/tenants/labs/permissions/app.limit/history").items) == 1


# ---- who may ----

def test_a_key_decides_below_its_tenant_and_not_for_it(root, tree, tree_api):
    admin = tree_api.client("admin", "labs")
    assert_refused(admin.put(path("labs"), {"value": 1}), 403, "BH-API-HOME", "path.tenant")
    assert admin.put(path("one"), {"value": 1}).status == 200
    assert admin.put(path("works"), {"value": 1}).status == 404
    grant(root, "labs", 3)
    for answer in (admin.put(path("labs"), {"value": 5}, "*"), admin.delete(path("labs"))):
        assert_refused(answer, 403, "BH-API-HOME", "path.tenant")


def test_an_editor_changes_values_alone(root, tree, tree_api):
    editor = tree_api.client("editor", "labs")
    assert_refused(editor.put(path("one"), {"value": 1}), 403, "BH-API-ROLE", "path.key")
    grant(root, "one", 3)
    assert editor.put(path("one"), {"value": 2, "mode": "INHERITED"}, "*").status == 200
    assert_refused(editor.put(path("one"), {"value": 2, "mode": "LOCKED"}, "*"), 403, "BH-API-ROLE", "body.mode")
    assert_refused(editor.put(path("one"), {"value": 2, "revocation": "SOFT"}, "*"),
                   403, "BH-API-ROLE", "body.revocation")
    assert editor.delete(path("one")).reason == "BH-API-ROLE"


def test_what_is_above_is_not_named(root, tree, tree_api):
    grant(root, "acme", 3, mode="LOCKED")
    viewer = tree_api.client("viewer", "labs")
    seen = held(viewer, "one")
    assert (seen["value"], seen["source"], seen["source_tenant_id"], seen["locked"], seen["locked_by"]) == (
        3, "inherited", None, True, None)
    assert viewer.get(path("one"))["way"] == []


# ---- keys ----

def test_keys_are_registered_and_described(root, tree):
    made = root.post(KEY, {"key": "shop.refunds", "kind": "number", "default": 10, "database_default": 100,
                           "description": "largest refund"})
    assert (made.status, made.headers["Location"]) == (201, f"{KEY}/shop.refunds")
    assert made.json == {
        "key": "shop.refunds", "kind": "number", "elements": "words", "default": 10, "schema_default": 10,
        "database_default": 100, "description": "largest refund", "builtin": False}
    assert held(root, "one", "shop.refunds")["value"] == 10
    changed = root.patch(f"{KEY}/shop.refunds", {"description": "the largest refund"}, made.etag)
    assert (changed.status, changed["description"]) == (200, "the largest refund")
    assert root.patch(f"{KEY}/shop.refunds", {"description": "x"}, made.etag).status == 412
    assert root.get(f"{KEY}/shop.refunds").json == changed.json
    assert "shop.refunds" in [item["key"] for item in root.pages(KEY, 3)]
    assert [item["key"] for item in root.pages(f"{KEY}?prefix=shop.")] == ["shop.refunds"]
    assert root.delete(f"{KEY}/shop.refunds", changed.etag).status == 204
    assert_refused(root.get(f"{KEY}/shop.refunds"), 404, "BH-API-NOT-FOUND", "path.key")


@pytest.mark.parametrize("body, status, reason, field", [
    ({"key": "app.limit"}, 409, "BH-API-EXISTS", "body.key"),
    ({"key": "sql.mine"}, 422, "BH-API-VALUE", "body.key"),
    ({"key": "single"}, 422, "BH-API-VALUE", "body.key"),
    ({"key": "app.x", "default": "many"}, 422, "BH-API-VALUE", "body.default"),
    ({"key": "app.x", "kind": "text"}, 422, "BH-API-VALUE", "body.kind"),
    ({"key": "app.x", "description": ""}, 422, "BH-API-VALUE", "body.description"),
])
def test_a_key_that_cannot_be_is_refused(root, tree, body, status, reason, field):
    assert_refused(root.post(KEY, {"kind": "number", "description": "x", **body}), status, reason, field)


def test_a_key_in_use_stays(root, tree):
    grant(root, "one", 1)
    assert_refused(root.delete(f"{KEY}/app.limit"), 409, "BH-API-IN-USE", "path.key")
    for answer in (root.delete(f"{KEY}/sql.read"), root.patch(f"{KEY}/sql.read", {"description": "x"})):
        assert_refused(answer, 409, "BH-API-FIXED", "path.key")


def test_keys_are_an_operators(tree, tree_api):
    for client in (tree_api.client("admin", "acme"), tree_api.client("operator", "acme")):
        assert client.get(KEY).status == 200
        assert client.post(KEY, {"key": "app.x", "kind": "bool", "description": "x"}).status == 403
        assert client.delete(f"{KEY}/app.limit").status == 403
