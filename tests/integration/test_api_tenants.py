"""Tenants over HTTP: making, finding, listing and changing them."""

import uuid

import pytest


def make(root, slug, parent=None, **more):
    answer = root.post("/v1/tenants", {"slug": slug, "parent": parent, **more})
    assert answer.status == 201, answer
    return answer


def slugs(items):
    return [item["slug"] for item in items]


@pytest.fixture
def tree(root):
    """acme with labs and works; below labs, one and two; globex."""
    for slug, parent in (("acme", None), ("labs", "acme"), ("works", "acme"), ("one", "labs"), ("two", "labs"),
                         ("globex", None)):
        make(root, slug, parent)


# ---- making ----

def test_a_tenant_is_made_and_found_by_each_of_its_names(root):
    made = make(root, "acme", external_key="1042", name="Acme Corporation")
    assert made.headers["Location"] == f"/v1/tenants/{made['id']}"
    assert {name: made[name] for name in ("slug", "external_key", "name", "parent_id", "path", "depth", "strategy",
                                          "cluster", "region", "status", "dedicated_login", "pool_weight", "job")} == {
        "slug": "acme", "external_key": "1042", "name": "Acme Corporation", "parent_id": None, "path": [made["id"]],
        "depth": 1, "strategy": "SHARED_RLS", "cluster": "default", "region": None, "status": "active",
        "dedicated_login": False, "pool_weight": 1, "job": None}
    for word in (made["id"], made["id"].upper(), made["id"].replace("-", ""), "acme", "1042"):
        answer = root.get(f"/v1/tenants/{word}")
        assert answer.json == made.json and answer.etag == made.etag
    below = make(root, "labs", "1042")
    assert below["path"] == [made["id"], below["id"]] and below["parent_id"] == made["id"] and below["depth"] == 2


def test_ids_are_drawn_in_order_or_chosen(root):
    drawn = [make(root, f"t-{n}")["id"] for n in range(20)]
    assert [uuid.UUID(id).version for id in drawn] == [7] * 20
    chosen = str(uuid.uuid4())
    assert make(root, "chosen", id=chosen)["id"] == chosen


def test_without_a_name_the_slug_is_the_name(root):
    assert make(root, "acme")["name"] == "acme"


@pytest.mark.parametrize("body, status, reason, fields", [
    ({}, 422, "BH-API-VALUE", ["body.slug"]),
    ({"slug": "Acme"}, 422, "BH-API-VALUE", ["body.slug"]),
    ({"slug": "postgres"}, 422, "BH-API-VALUE", ["body.slug"]),
    ({"slug": "f" * 32}, 422, "BH-API-VALUE", ["body.slug"]),
    ({"slug": "new", "id": "x"}, 422, "BH-API-VALUE", ["body.id"]),
    ({"slug": "new", "strategy": "shared"}, 422, "BH-API-VALUE", ["body.strategy"]),
    ({"slug": "new", "pool_weight": 0}, 422, "BH-API-VALUE", ["body.pool_weight"]),
    ({"slug": "new", "pool_weight": 1.5}, 422, "BH-API-VALUE", ["body.pool_weight"]),
    ({"slug": "new", "name": "x" * 256}, 422, "BH-API-VALUE", ["body.name"]),
    ({"slug": "new", "name": "\u00e4" * 200}, 422, "BH-API-VALUE", ["body.name"]),
    ({"slug": "new", "cluster": "nowhere"}, 422, "BH-API-VALUE", ["body.cluster"]),
    ({"slug": "new", "parent": "nobody"}, 404, "BH-API-TENANT", ["body.parent"]),
    ({"slug": "new", "what": 1}, 422, "BH-API-VALUE", ["body.what"]),
    ({"slug": "taken"}, 409, "BH-API-EXISTS", ["body.slug"]),
    ({"slug": "new", "external_key": "taken"}, 409, "BH-API-EXISTS", ["body.external_key"]),
    ({"slug": "key"}, 409, "BH-API-EXISTS", ["body.slug"]),
])
def test_what_cannot_be_made_is_refused_by_its_field(root, body, status, reason, fields):
    make(root, "taken", external_key="key")
    answer = root.post("/v1/tenants", body)
    assert (answer.status, answer.reason, answer.fields) == (status, reason, fields), answer
    assert slugs(root.get("/v1/tenants").items) == ["taken"]


def test_the_tree_has_twenty_levels(root):
    parent = None
    for level in range(20):
        parent = make(root, f"level-{level}", parent)["id"]
    answer = root.post("/v1/tenants", {"slug": "too-deep", "parent": parent})
    assert (answer.status, answer.reason, answer.fields) == (409, "BH-API-DEPTH", ["body.parent"])


def test_none_is_made_active_below_one_that_is_not(root, tree):
    root.post("/v1/tenants/globex:suspend", {})
    answer = root.post("/v1/tenants", {"slug": "new", "parent": "globex"})
    assert (answer.status, answer.reason, answer.fields) == (409, "BH-API-STATUS", ["body.parent"])


def test_a_dry_run_makes_nothing(root):
    answer = root.post("/v1/tenants?dry_run=true", {"slug": "acme"})
    assert (answer.status, answer["slug"]) == (201, "acme"), answer
    assert root.get("/v1/tenants/acme").status == 404


@pytest.mark.parametrize("more", [{"strategy": "SCHEMA_PER_TENANT"}, {"strategy": "DATABASE_PER_TENANT"},
                                  {"dedicated_login": True}])
def test_what_has_to_be_made_first_is_a_job(root, more):
    made = make(root, "acme", **more)
    assert made["status"] == "provisioning"
    job = root.get(f"/v1/jobs/{made['job']}")
    assert (job["kind"], job["state"], job["tenant_id"]) == ("provision", "queued", made["id"])
    assert make(root, "brought", provision=False, **more)["status"] == "active"


def test_a_child_is_placed_on_its_parents_cluster(root, control):
    control.admin.execute("INSERT INTO bulkhead_control.cluster (name) VALUES ('second') ON CONFLICT DO NOTHING")
    make(root, "acme", cluster="second")
    assert make(root, "labs", "acme")["cluster"] == "second"
    assert make(root, "works", "acme", cluster="default")["cluster"] == "default"


# ---- many at once ----

def test_a_batch_is_made_in_its_order(root):
    answer = root.post("/v1/tenants:batch", {"tenants": [
        {"slug": "acme", "external_key": "1"}, {"slug": "labs", "parent": "acme"}, {"slug": "one", "parent": "labs"},
        {"slug": "two", "parent": "1", "name": "Two"}]})
    assert answer.status == 201, answer
    assert slugs(answer.items) == ["acme", "labs", "one", "two"]
    assert [item["depth"] for item in answer.items] == [1, 2, 3, 2]
    assert root.get("/v1/tenants/one").json == answer.items[2]


@pytest.mark.parametrize("bad, status, field", [
    ({"slug": "acme"}, 409, "slug"),                            # twice in the batch
    ({"slug": "old"}, 409, "slug"),
    ({"slug": "x", "parent": "later"}, 404, "parent"),
    ({"slug": "template0"}, 422, "slug"),                       # what a constraint refuses
    ({"slug": "x", "parent": "old", "cluster": "nowhere"}, 422, "cluster"),
])
def test_a_batch_is_made_whole_or_not_at_all(root, bad, status, field):
    make(root, "old")
    answer = root.post("/v1/tenants:batch", {"tenants": [{"slug": "acme"}, {"slug": "b", "parent": "acme"}, bad]})
    assert (answer.status, answer.fields) == (status, [f"body.tenants[2].{field}"]), answer
    assert slugs(root.get("/v1/tenants").items) == ["old"]


def test_a_batch_has_up_to_a_thousand(root):
    tenants = [{"slug": f"t-{n:04}", "parent": f"t-{n // 10:04}" if n else None} for n in range(1000)]
    answer = root.post("/v1/tenants:batch", {"tenants": tenants})
    assert (answer.status, len(answer.items)) == (201, 1000)
    assert root.post("/v1/tenants:batch", {"tenants": [{"slug": f"u-{n}"} for n in range(1001)]}).fields == [
        "body.tenants"]
    assert len(root.pages("/v1/tenants", 200)) == 1000


# ---- finding ----

SORTED = {
    "slug": ["acme", "globex", "labs", "one", "two", "works"],
    "-slug": ["works", "two", "one", "labs", "globex", "acme"],
    "created_at": ["acme", "labs", "works", "one", "two", "globex"],
    "-created_at": ["globex", "two", "one", "works", "labs", "acme"],
    "path": ["acme", "labs", "one", "two", "works", "globex"],
}


@pytest.mark.parametrize("sort", SORTED)
@pytest.mark.parametrize("limit", [1, 2, 50])
def test_all_are_listed_page_by_page(root, tree, sort, limit):
    assert slugs(root.pages(f"/v1/tenants?sort={sort}", limit)) == SORTED[sort]


@pytest.mark.parametrize("query, found", [
    ("parent=acme", ["labs", "works"]),
    ("parent=acme&sort=position", ["labs", "works"]),
    ("parent=acme&sort=-slug", ["works", "labs"]),
    ("roots=true", ["acme", "globex"]),
    ("roots=true&sort=position", ["acme", "globex"]),
    ("q=wo", ["works"]),
    ("q=w&status=suspended", []),
    ("status=active&strategy=SHARED_RLS&cluster=default&q=g", ["globex"]),
    ("strategy=SCHEMA_PER_TENANT", []),
    ("cluster=nowhere", []),
])
def test_lists_are_narrowed(root, tree, query, found):
    assert slugs(root.pages(f"/v1/tenants?{query}", 1)) == found


@pytest.mark.parametrize("query, field", [
    ("sort=position", "query.sort"), ("sort=name", "query.sort"), ("parent=acme&roots=true", "query.roots"),
    ("parent=nobody", "query.parent"), ("limit=0", "query.limit"), ("limit=201", "query.limit"), ("q=", "query.q"),
    ("status=gone", "query.status"), ("cursor=AAAA", "query.cursor"), ("cursor=eyJzbHVnIjo1fQ", "query.cursor"),
    ("sort=path&cursor=eyJwYXRoIjoiLi4ifQ", "query.cursor"), ("roots=maybe", "query.roots"),
])
def test_what_cannot_be_listed_is_refused_by_its_parameter(root, tree, query, field):
    answer = root.get(f"/v1/tenants?{query}")
    assert 400 <= answer.status < 500 and answer.fields == [field], answer


def test_a_page_does_not_shift_when_others_are_made(root, tree):
    first = root.get("/v1/tenants?limit=3")
    make(root, "aaa")
    rest = root.get(f"/v1/tenants?limit=50&cursor={first['next']}")
    assert slugs(first.items + rest.items) == SORTED["slug"]


def test_what_is_below_and_above_is_listed(root, tree):
    assert slugs(root.pages("/v1/tenants/acme/children", 1)) == ["labs", "works"]
    assert slugs(root.pages("/v1/tenants/acme/descendants", 1)) == ["labs", "one", "two", "works"]
    assert slugs(root.pages("/v1/tenants/acme/descendants?levels=1", 1)) == ["labs", "works"]
    assert slugs(root.pages("/v1/tenants/acme/descendants?q=t", 1)) == ["two"]
    assert slugs(root.pages("/v1/tenants/two/ancestors", 1)) == ["acme", "labs"]
    for relatives in ("children", "descendants"):
        assert root.get(f"/v1/tenants/one/{relatives}").json == {"items": [], "next": None}
    assert root.get("/v1/tenants/acme/ancestors").items == []


# ---- what a key sees ----

def test_a_key_sees_its_own_part_of_the_tree_and_nothing_else(root, tree, tree_api):
    viewer = tree_api.client("viewer", "labs")
    seen = viewer.get("/v1/tenants/one")
    labs = viewer.get("/v1/tenants/labs")
    assert labs["parent_id"] is None and labs["path"] == [labs["id"]] and labs["depth"] == 2
    assert seen["parent_id"] == labs["id"] and seen["path"] == [labs["id"], seen["id"]]
    for other in ("acme", "works", "globex", root.get("/v1/tenants/acme")["id"]):
        for path in ("", "/children", "/descendants", "/ancestors"):
            answer = viewer.get(f"/v1/tenants/{other}{path}")
            assert (answer.status, answer.reason, answer.fields) == (404, "BH-API-TENANT", ["path.tenant"])
    for sort in SORTED:
        assert slugs(viewer.pages(f"/v1/tenants?sort={sort}", 1)) == [
            slug for slug in SORTED[sort] if slug in ("labs", "one", "two")]
    assert slugs(viewer.get("/v1/tenants?roots=true").items) == ["labs"]
    assert slugs(viewer.get("/v1/tenants/one/ancestors").items) == ["labs"]
    assert viewer.get("/v1/tenants?parent=acme").fields == ["query.parent"]


def test_an_admin_of_a_part_makes_tenants_there(tree, tree_api):
    admin = tree_api.client("admin", "labs")
    assert admin.post("/v1/tenants", {"slug": "three", "parent": "labs"}).status == 201
    for parent in ("acme", "works", "globex"):
        assert admin.post("/v1/tenants", {"slug": "four", "parent": parent}).status == 404
        assert admin.post("/v1/tenants:batch", {"tenants": [{"slug": "four", "parent": parent}]}).fields == [
            "body.tenants[0].parent"]


@pytest.mark.parametrize("body", [{}, {"parent": None}, {"id": "3f0c1111-2222-4333-8444-555566667777"},
                                  {"external_key": "7"}, {"pool_weight": 2}, {"cluster": "other"}, {"provision": False}])
def test_claims_on_what_tenants_share_are_for_keys_of_the_whole_tree(root, tree, tree_api, control, body):
    control.admin.execute("INSERT INTO bulkhead_control.cluster (name) VALUES ('other') ON CONFLICT DO NOTHING")
    body = {"slug": "new", **({"parent": "labs"} if body and "parent" not in body else {}), **body}
    field = next(iter(set(body) - {"slug", "parent"}), "parent")
    for path, sent, place in (("/v1/tenants", body, "body."),
                              ("/v1/tenants:batch", {"tenants": [body]}, "body.tenants[0].")):
        answer = tree_api.client("admin", "labs").post(path, sent)
        assert (answer.status, answer.reason, answer.fields) == (403, "BH-API-SUBTREE", [place + field]), answer
    assert root.post("/v1/tenants", body).status == 201


@pytest.mark.parametrize("role", ["viewer", "editor"])
def test_lesser_roles_make_none(tree, tree_api, role):
    answer = tree_api.client(role, "labs").post("/v1/tenants", {"slug": "new", "parent": "labs"})
    assert (answer.status, answer.reason) == (403, "BH-API-ROLE")


# ---- changing ----

def test_a_tenant_is_changed_field_by_field(root):
    old = make(root, "acme", external_key="1042", region="eu")
    changed = root.patch("/v1/tenants/acme", {"slug": "acme-two"}, old.etag)
    assert changed.status == 200 and changed.etag != old.etag
    assert {**changed.json, "slug": "acme", "version": 1, "updated_at": old["updated_at"]} == old.json
    assert root.get("/v1/tenants/acme").status == 404
    changed = root.patch("/v1/tenants/acme-two", {
        "name": "Two", "external_key": None, "region": None, "pool_weight": 5}, changed.etag)
    assert [changed[name] for name in ("name", "external_key", "region", "pool_weight")] == ["Two", None, None, 5]
    assert root.get("/v1/tenants/1042").status == 404
    again = root.patch("/v1/tenants/acme-two", {"name": "Two"}, changed.etag)
    assert (again.status, again.etag, again["version"]) == (200, changed.etag, changed["version"])


@pytest.mark.parametrize("body, status, field", [
    ({"slug": "globex"}, 409, "body.slug"), ({"external_key": "globex"}, 409, "body.external_key"),
    ({"slug": "bulkhead"}, 422, "body.slug"), ({"slug": None}, 422, "body.slug"), ({"name": ""}, 422, "body.name"),
    ({"cluster": "nowhere"}, 422, "body.cluster"), ({"status": "active"}, 422, "body.status"),
    ({"parent": "labs"}, 422, "body.parent"), ({"version": 7}, 422, "body.version"),
])
def test_a_change_that_cannot_be_is_refused_by_its_field(root, tree, body, status, field):
    before = root.get("/v1/tenants/acme").json
    answer = root.patch("/v1/tenants/acme", body)
    assert (answer.status, answer.fields) == (status, [field]), answer
    assert root.get("/v1/tenants/acme").json == before


def test_a_change_names_what_it_changes(root, tree):
    etag = root.get("/v1/tenants/acme").etag
    assert root.patch("/v1/tenants/acme", {"name": "A"}, match=None).status == 428
    assert root.patch("/v1/tenants/acme", {"name": "A"}, match='"0"').status == 412
    assert root.patch("/v1/tenants/acme", {"name": "A"}, match=f'"0", {etag}').status == 200
    assert root.patch("/v1/tenants/acme", {"name": "B"}, match=etag).status == 412
    assert root.get("/v1/tenants/acme")["name"] == "A"


def test_what_is_inherited_does_not_disturb_a_change(root, tree, control):
    etag = root.get("/v1/tenants/labs").etag
    control.admin.execute("SELECT bulkhead_control.set_setting(%s, 'app.x', '1', false)",
                          (root.get("/v1/tenants/acme")["id"],))
    assert root.patch("/v1/tenants/labs", {"name": "L"}, etag).status == 200


def test_an_editor_changes_the_name_alone(tree, tree_api):
    editor = tree_api.client("editor", "labs")
    assert editor.patch("/v1/tenants/one", {"name": "One"}).status == 200
    for body in ({"slug": "uno"}, {"name": "Uno", "region": "eu"}):
        answer = editor.patch("/v1/tenants/one", body)
        assert (answer.status, answer.reason) == (403, "BH-API-ROLE")


@pytest.mark.parametrize("field, value", [("external_key", "7"), ("pool_weight", 9), ("cluster", "third")])
def test_an_admin_of_a_part_does_not_change_what_tenants_share(tree, tree_api, control, field, value):
    control.admin.execute("INSERT INTO bulkhead_control.cluster (name) VALUES ('third') ON CONFLICT DO NOTHING")
    answer = tree_api.client("admin", "labs").patch("/v1/tenants/one", {field: value})
    assert (answer.status, answer.reason, answer.fields) == (403, "BH-API-SUBTREE", [f"body.{field}"])
    assert tree_api.client("admin", "labs").patch("/v1/tenants/one", {"slug": "uno"}).status == 200


def test_a_dry_run_changes_nothing(root, tree):
    before = root.get("/v1/tenants/acme")
    answer = root.request("PATCH", "/v1/tenants/acme?dry_run=true", {"name": "A"}, {"If-Match": before.etag})
    assert (answer.status, answer["name"]) == (200, "A")
    assert root.get("/v1/tenants/acme").json == before.json
