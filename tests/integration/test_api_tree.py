"""Tenants over HTTP: moving, reordering, suspending, archiving and purging them."""

import random

import pytest


def slugs(items):
    return [item["slug"] for item in items]


@pytest.fixture
def tree(root):
    """acme with labs and works; below labs, one and two, and below one, deep; globex with east."""
    answer = root.post("/v1/tenants:batch", {"tenants": [
        {"slug": slug, "parent": parent} for slug, parent in (
            ("acme", None), ("labs", "acme"), ("works", "acme"), ("one", "labs"), ("two", "labs"), ("deep", "one"),
            ("globex", None), ("east", "globex"))]})
    assert answer.status == 201, answer


def do(client, tenant, verb, **body):
    return client.post(f"/v1/tenants/{tenant}:{verb}", body)


def preview(client, tenant, verb, **body):
    return client.post(f"/v1/tenants/{tenant}:{verb}?dry_run=true", body)


def children(client, tenant):
    return slugs(client.pages(f"/v1/tenants/{tenant}/children", 2))


def statuses(client):
    return {item["slug"]: item["status"] for item in client.pages("/v1/tenants")}


def assert_refused(answer, status, reason, *fields):
    assert (answer.status, answer.reason, answer.fields) == (status, reason, list(fields)), answer


# ---- moving ----

def test_a_tenant_moves_with_all_below_it(root, tree, control):
    moved = do(root, "labs", "move", parent="globex")
    assert (moved.status, moved["moved"], moved["tenant"]["parent_id"]) == (
        200, 4, root.get("/v1/tenants/globex")["id"]), moved
    assert slugs(root.pages("/v1/tenants/globex/descendants")) in (
        ["east", "labs", "one", "deep", "two"], ["labs", "one", "deep", "two", "east"])
    assert children(root, "acme") == ["works"] and children(root, "globex") == ["east", "labs"]
    assert root.get("/v1/tenants/labs").json == moved["tenant"]
    assert control.violations() == []


def test_a_tenant_becomes_a_root(root, tree, control):
    assert do(root, "one", "move", parent=None)["moved"] == 2
    assert slugs(root.get("/v1/tenants?roots=true&sort=position").items) == ["acme", "globex", "one"]
    assert root.get("/v1/tenants/deep")["depth"] == 2
    assert control.violations() == []


def test_moving_to_where_it_is_moves_nothing(root, tree):
    before = root.get("/v1/tenants/labs")
    moved = do(root, "labs", "move", parent="acme")
    assert (moved["moved"], moved["tenant"], moved.etag) == (0, before.json, before.etag)


@pytest.mark.parametrize("body, place", [({"before": "east"}, 0), ({"after": "east"}, 1), ({"to": "first"}, 0),
                                         ({"to": "last"}, 1), ({}, 1)])
def test_a_tenant_moves_to_a_place(root, tree, body, place):
    do(root, "labs", "move", parent="globex", **body)
    assert children(root, "globex").index("labs") == place


@pytest.mark.parametrize("tenant, body, status, reason, field", [
    ("labs", {"parent": "labs"}, 409, "BH-API-CYCLE", "body.parent"),
    ("labs", {"parent": "deep"}, 409, "BH-API-CYCLE", "body.parent"),
    ("labs", {"parent": "nobody"}, 404, "BH-API-TENANT", "body.parent"),
    ("nobody", {"parent": "acme"}, 404, "BH-API-TENANT", "path.tenant"),
    ("labs", {}, 422, "BH-API-VALUE", "body.parent"),
    ("labs", {"parent": "globex", "before": "works"}, 422, "BH-API-VALUE", "body.before"),
    ("labs", {"parent": "globex", "before": "labs"}, 422, "BH-API-VALUE", "body.before"),
    ("labs", {"parent": "globex", "before": "east", "to": "last"}, 422, "BH-API-VALUE", "body.to"),
    ("labs", {"parent": "globex", "to": "middle"}, 422, "BH-API-VALUE", "body.to"),
])
def test_a_move_that_cannot_be_is_refused(root, tree, tenant, body, status, reason, field):
    before = root.pages("/v1/tenants")
    assert_refused(do(root, tenant, "move", **body), status, reason, field)
    assert root.pages("/v1/tenants") == before


def test_nobody_moves_below_one_that_is_not_active(root, tree):
    do(root, "globex", "suspend", subtree=True)
    assert_refused(do(root, "labs", "move", parent="globex"), 409, "BH-API-STATUS", "body.parent")
    do(root, "labs", "suspend", subtree=True)
    assert do(root, "labs", "move", parent="globex").status == 200


def test_a_move_does_not_make_the_tree_too_deep(root, tree):
    parent = "east"
    for level in range(3, 20):
        parent = root.post("/v1/tenants", {"slug": f"level-{level}", "parent": parent})["slug"]
    assert_refused(do(root, "labs", "move", parent=parent), 409, "BH-API-DEPTH", "body.parent")
    assert do(root, "deep", "move", parent=parent).status == 200


def test_a_preview_says_what_another_parent_changes(root, tree, control):
    ids = {item["slug"]: item["id"] for item in root.pages("/v1/tenants")}
    for tenant, key, value in (("acme", "app.color", '"red"'), ("globex", "app.color", '"blue"'),
                               ("acme", "app.only", "1"), ("globex", "proxy.read_only", "true")):
        control.admin.execute("SELECT bulkhead_control.set_setting(%s, %s, %s, %s)",
                              (ids[tenant], key, value, tenant == "globex"))
    root.put("/v1/tenants/globex/permissions/sql.write", {"value": False, "mode": "LOCKED"})
    before = root.pages("/v1/tenants")
    answer = preview(root, "labs", "move", parent="globex")
    assert answer.headers["Dry-Run"] and answer["moved"] == 4
    assert root.pages("/v1/tenants") == before

    def side(value, tenant, locked):
        return {"value": value, "source_tenant_id": tenant and ids[tenant], "locked": locked}
    assert answer["settings"] == {"count": 3, "items": [
        {"key": "app.color", "before": side("red", "acme", False), "after": side("blue", "globex", True)},
        {"key": "app.only", "before": side(1, "acme", False), "after": None},
        {"key": "proxy.read_only", "before": side(False, None, False), "after": side(True, "globex", True)}]}
    assert answer["permissions"] == {"count": 1, "items": [
        {"key": "sql.write", "before": side(True, None, False), "after": side(False, "globex", True)}]}
    moved = do(root, "labs", "move", parent="globex")
    assert (moved["settings"], moved["permissions"]) == (answer["settings"], answer["permissions"])


def test_a_preview_shows_nothing_sensitive(root, tree):
    for tenant in ("acme", "globex"):
        answer = root.put(f"/v1/tenants/{tenant}/settings/app.secret", {"value": f"hush {tenant}", "sensitive": True})
        assert answer.status == 200, answer
    answer = preview(root, "labs", "move", parent="globex")
    change, = answer["settings"]["items"]
    assert (change["key"], change["before"]["value"], change["after"]["value"]) == ("app.secret", None, None)
    assert change["before"]["source_tenant_id"] != change["after"]["source_tenant_id"]
    assert "hush" not in answer.text and "$enc" not in answer.text


def test_a_preview_is_bounded(root, tree, control):
    ids = {item["slug"]: item["id"] for item in root.pages("/v1/tenants")}
    control.admin.execute("SELECT bulkhead_control.set_setting(%s, 'app.k' || n, to_jsonb(repeat('x', 5000)), false) "
                          "FROM generate_series(1, 150) n", (ids["globex"],))
    answer = preview(root, "labs", "move", parent="globex")
    assert (answer["settings"]["count"], len(answer["settings"]["items"])) == (150, 100)
    assert len(answer.text) < 100_000


def test_a_key_moves_tenants_within_its_own_part(root, tree, tree_api):
    admin = tree_api.client("admin", "acme")
    assert do(admin, "one", "move", parent="works").status == 200
    assert_refused(do(admin, "one", "move", parent="globex"), 404, "BH-API-TENANT", "body.parent")
    assert_refused(do(admin, "one", "move", parent=None), 403, "BH-API-SUBTREE", "body.parent")
    assert_refused(do(admin, "acme", "move", parent="works"), 403, "BH-API-HOME", "path.tenant")
    assert_refused(do(admin, "east", "move", parent="works"), 404, "BH-API-TENANT", "path.tenant")


def test_the_source_of_what_is_inherited_is_not_told_to_those_below(root, tree, tree_api, control):
    ids = {item["slug"]: item["id"] for item in root.pages("/v1/tenants")}
    control.admin.execute("SELECT bulkhead_control.set_setting(%s, 'app.x', '1', false)", (ids["acme"],))
    control.admin.execute("SELECT bulkhead_control.set_setting(%s, 'app.x', '2', false)", (ids["two"],))
    answer = preview(tree_api.client("admin", "labs"), "deep", "move", parent="two")
    assert [(c["before"]["source_tenant_id"], c["after"]["source_tenant_id"]) for c in answer["settings"]["items"]] == [
        (None, ids["two"])]


# ---- order ----

def test_siblings_stand_as_they_are_put(root, tree):
    for slug in "abcde":
        root.post("/v1/tenants", {"slug": slug, "parent": "works"})
    order, rng = list("abcde"), random.Random(7)
    for _ in range(60):
        slug = rng.choice(order)
        others = [other for other in order if other != slug]
        kind = rng.choice(["before", "after", "first", "last"])
        if kind in ("first", "last"):
            body, others = {"to": kind}, [slug, *others] if kind == "first" else [*others, slug]
        else:
            other = rng.choice(others)
            body = {kind: other}
            others.insert(others.index(other) + (kind == "after"), slug)
        assert do(root, slug, "reorder", **body).status == 200
        order = others
        assert children(root, "works") == order


def test_there_is_always_room_between_two(root, tree):
    for slug in "abc":
        root.post("/v1/tenants", {"slug": slug, "parent": "works"})
    order = list("abc")
    for _ in range(450):  # b and c change places in front of a's successor: the gap gets smaller each time
        mover = order[2]
        assert do(root, mover, "reorder", after="a").status == 200
        order = ["a", mover, order[1]]
    assert children(root, "works") == order
    assert max(len(item["position"]) for item in root.get("/v1/tenants/works/children").items) < 130


def test_roots_have_an_order_too(root, tree):
    assert do(root, "globex", "reorder", before="acme").status == 200
    assert slugs(root.get("/v1/tenants?roots=true&sort=position").items) == ["globex", "acme"]


def test_putting_it_where_it_stands_changes_nothing(root, tree):
    etag = root.get("/v1/tenants/works").etag
    for body in ({"to": "last"}, {"after": "labs"}):
        assert do(root, "works", "reorder", **body).etag == etag


@pytest.mark.parametrize("body, field", [({}, "body.to"), ({"to": "x"}, "body.to"), ({"before": "one"}, "body.before"),
                                         ({"before": "works", "after": "works"}, "body.after")])
def test_an_order_that_cannot_be_is_refused(root, tree, body, field):
    assert_refused(do(root, "labs", "reorder", **body), 422, "BH-API-VALUE", field)


# ---- statuses ----

def test_a_subtree_is_suspended_and_resumed(root, tree):
    assert_refused(do(root, "labs", "suspend"), 409, "BH-API-STATUS", "body.subtree")
    do(root, "two", "suspend")
    suspended = do(root, "labs", "suspend", subtree=True)
    assert suspended["tenant"]["status"] == "suspended" and suspended["changed"]["count"] == 3
    assert suspended["changed"]["items"][0] == {
        "id": suspended["tenant"]["id"], "slug": "labs", "was": "active", "status": "suspended"}
    assert do(root, "labs", "suspend", subtree=True)["changed"] == {"count": 0, "items": []}
    assert_refused(do(root, "one", "resume"), 409, "BH-API-STATUS")
    assert sorted(slugs(do(root, "labs", "resume", subtree=True)["changed"]["items"])) == ["deep", "labs", "one"]
    assert statuses(root)["two"] == "suspended"  # on its own before
    assert do(root, "two", "resume").status == 200 and set(statuses(root).values()) == {"active"}


def test_a_subtree_is_archived_and_restored(root, tree):
    do(root, "two", "suspend")
    before = statuses(root)
    assert do(root, "labs", "archive", subtree=True)["changed"]["count"] == 4
    assert_refused(do(root, "labs", "resume"), 409, "BH-API-STATUS")
    assert do(root, "labs", "restore", subtree=True)["changed"]["count"] == 4
    assert statuses(root) == before


@pytest.mark.parametrize("verb", ["suspend", "resume", "archive", "restore"])
def test_a_preview_of_a_status_changes_nothing(root, tree, verb):
    if verb == "resume":
        do(root, "labs", "suspend", subtree=True)
    elif verb == "restore":
        do(root, "labs", "archive", subtree=True)
    before = root.pages("/v1/tenants")
    shown = preview(root, "labs", verb, subtree=True)
    assert (shown.status, shown["changed"]["count"]) == (200, 4)
    assert root.pages("/v1/tenants") == before
    assert do(root, "labs", verb, subtree=True)["changed"] == shown["changed"]


@pytest.mark.parametrize("verb", ["suspend", "resume", "archive", "restore", "purge", "move", "reorder"])
def test_what_becomes_of_a_tenant_is_decided_above_it(root, tree, tree_api, verb):
    body = {"purge": {"confirm": "labs"}, "move": {"parent": "one"}, "reorder": {"to": "first"}}.get(verb, {})
    assert_refused(do(tree_api.client("admin", "labs"), "labs", verb, **body), 403, "BH-API-HOME", "path.tenant")
    answer = do(tree_api.client("editor", "acme"), "labs", verb, **body)
    assert (answer.status, answer.reason) == (403, "BH-API-ROLE")


def test_a_change_may_name_what_it_changes(root, tree):
    etag = root.get("/v1/tenants/labs").etag
    path = "/v1/tenants/labs:suspend"
    assert root.post(path, {"subtree": True}, {"If-Match": '"0"'}).status == 412
    assert root.post(path, {"subtree": True}, {"If-Match": etag}).status == 200


# ---- the end ----

def test_a_purge_is_a_job(root, tree, tree_api, control):
    assert_refused(do(root, "labs", "purge", confirm="labs"), 409, "BH-API-STATUS")
    assert_refused(do(root, "deep", "purge", confirm="one"), 422, "BH-API-VALUE", "body.confirm")
    assert_refused(do(root, "deep", "purge"), 422, "BH-API-VALUE", "body.confirm")
    assert preview(root, "deep", "purge", confirm="deep").status == 202
    assert root.get("/v1/tenants/deep")["status"] == "active"
    job = do(root, "deep", "purge", confirm="deep")
    assert (job.status, job["kind"], job["state"], job["tenant"]) == (202, "purge", "queued", "deep")
    assert job.headers["Location"] == f"/v1/jobs/{job['id']}"
    tenant = root.get("/v1/tenants/deep")
    assert (tenant["status"], tenant["job"]) == ("purging", job["id"])
    assert do(root, "deep", "purge", confirm="deep")["id"] == job["id"]
    assert_refused(do(root, "deep", "restore"), 409, "BH-API-STATUS")

    inside, outside = tree_api.client("viewer", "labs"), tree_api.client("viewer", "works")
    control.admin.execute("SELECT bulkhead_control.take_job('{default}', %s, 'x', '1 minute')", (job["id"],))
    control.admin.execute("SELECT bulkhead_control.finish_job(%s, 1, NULL)", (job["id"],))
    assert root.get("/v1/tenants/deep").status == 404
    for client in (root, inside):
        assert client.get(f"/v1/jobs/{job['id']}")["state"] == "done"
        assert job["id"] in [item["id"] for item in client.get("/v1/jobs?kind=purge").items]
    assert_refused(outside.get(f"/v1/jobs/{job['id']}"), 404, "BH-API-NOT-FOUND", "path.job")
    assert job["id"] not in [item["id"] for item in outside.pages("/v1/jobs")]
