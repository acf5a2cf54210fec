"""Jobs and clusters over HTTP."""

import pytest

CLUSTERS = "/v1/clusters"


@pytest.fixture
def jobs(root):
    """acme and below it labs, each with a schema that a job is to make; globex, the same. Their jobs by slug."""
    made = root.post("/v1/tenants:batch", {"tenants": [
        {"slug": slug, "parent": parent, "strategy": "SCHEMA_PER_TENANT"}
        for slug, parent in (("acme", None), ("labs", "acme"), ("globex", None))]})
    assert made.status == 201, made
    return {item["slug"]: item["job"] for item in made.items}


def fail(control, job):
    attempt, = control.admin.execute(
        "SELECT attempts FROM bulkhead_control.take_job('{default}', %s, 'runner-1', '1 minute')", (job,)).fetchone()
    control.admin.execute("SELECT bulkhead_control.begin_job_step(%s, %s, 'schema', '1 minute')", (job, attempt))
    control.admin.execute("SELECT bulkhead_control.fail_job(%s, %s, 'no room on db-7.internal', NULL)", (job, attempt))


def test_jobs_are_listed_the_newest_first(root, jobs):
    for limit in (1, 50):
        listed = [item["tenant"] for item in root.pages("/v1/jobs?state=queued", limit)][:3]
        assert listed == ["globex", "labs", "acme"]
    assert [item["id"] for item in root.pages("/v1/jobs?tenant=labs")] == [jobs["labs"]]
    assert root.pages("/v1/jobs?tenant=labs&kind=purge") == root.pages("/v1/jobs?tenant=labs&cluster=none") == []


def test_a_job_says_how_far_it_is(root, jobs, control):
    fail(control, jobs["labs"])
    job = root.get(f"/v1/jobs/{jobs['labs']}")
    assert (job["state"], job["step"], job["attempts"], job["error"], job["runner"]) == (
        "failed", "schema", 1, "no room on db-7.internal", "runner-1")
    assert job["started_at"] and job["finished_at"] and job["lease_until"] is None


def test_a_key_sees_jobs_of_its_part_of_the_tree(jobs, control, tree_api):
    fail(control, jobs["labs"])
    viewer = tree_api.client("viewer", "acme")
    assert [item["tenant"] for item in viewer.pages("/v1/jobs", 1)] == ["labs", "acme"]
    seen = viewer.get(f"/v1/jobs/{jobs['labs']}")
    assert "db-7" not in seen.text and seen["error"] and seen["runner"] is None
    answer = viewer.get(f"/v1/jobs/{jobs['globex']}")
    assert (answer.status, answer.reason, answer.fields) == (404, "BH-API-NOT-FOUND", ["path.job"])


def test_a_failed_job_is_tried_again(root, jobs, control, tree_api):
    path = f"/v1/jobs/{jobs['labs']}:retry"
    answer = root.post(path)
    assert (answer.status, answer.reason) == (409, "BH-API-STATE")
    fail(control, jobs["labs"])
    assert tree_api.client("editor", "acme").post(path).status == 403
    assert tree_api.client("admin", "acme").post(f"/v1/jobs/{jobs['globex']}:retry").status == 404
    again = tree_api.client("admin", "acme").post(path)
    assert (again.status, again["state"], again["error"]) == (202, "queued", None)


@pytest.mark.parametrize("word", ["0", "-1", "x", "999999999999999999999", "1e3"])
def test_a_job_is_a_number(root, word):
    answer = root.get(f"/v1/jobs/{word}")
    assert 400 <= answer.status < 500 and answer.fields == ["path.job"], answer


# ---- clusters ----

@pytest.fixture
def cluster(root, control):
    """north, in region eu."""
    control.admin.execute("DELETE FROM bulkhead_control.cluster WHERE name <> 'default'")
    made = root.post(CLUSTERS, {"name": "north", "region": "eu"})
    assert made.status == 201 and made.headers["Location"] == f"{CLUSTERS}/north"
    yield made
    control.clear()
    control.admin.execute("DELETE FROM bulkhead_control.cluster WHERE name <> 'default'")


def test_clusters_are_made_changed_and_removed(root, cluster):
    assert cluster.json == {"name": "north", "region": "eu", "status": "active"}
    assert [item["name"] for item in root.pages(CLUSTERS, 1)] == ["default", "north"]
    assert root.get(f"{CLUSTERS}/north").etag == cluster.etag
    changed = root.patch(f"{CLUSTERS}/north", {"status": "draining", "region": None}, cluster.etag)
    assert (changed.status, changed.json) == (200, {"name": "north", "region": None, "status": "draining"})
    assert root.patch(f"{CLUSTERS}/north", {"status": "down"}, cluster.etag).status == 412
    assert root.delete(f"{CLUSTERS}/north", changed.etag).status == 204
    answer = root.get(f"{CLUSTERS}/north")
    assert (answer.status, answer.reason, answer.fields) == (404, "BH-API-NOT-FOUND", ["path.cluster"])


def test_a_cluster_with_tenants_stays(root, cluster):
    assert root.post("/v1/tenants", {"slug": "acme", "cluster": "north", "region": "eu"}).status == 201
    answer = root.delete(f"{CLUSTERS}/north")
    assert (answer.status, answer.reason, answer.fields) == (409, "BH-API-IN-USE", ["path.cluster"])
    answer = root.patch(f"{CLUSTERS}/north", {"region": "us"})
    assert (answer.status, answer.reason, answer.fields) == (409, "BH-API-IN-USE", ["body.region"])


@pytest.mark.parametrize("body, status, reason, field", [
    ({"name": "north"}, 409, "BH-API-EXISTS", "body.name"), ({"name": "North"}, 422, "BH-API-VALUE", "body.name"),
    ({"name": "x", "status": "up"}, 422, "BH-API-VALUE", "body.status"),
    ({"name": "x", "region": "\u00e4" * 40}, 422, "BH-API-VALUE", "body.region")])
def test_a_cluster_that_cannot_be_is_refused(root, cluster, body, status, reason, field):
    answer = root.post(CLUSTERS, body)
    assert (answer.status, answer.reason, answer.fields) == (status, reason, [field]), answer


def test_tenants_are_placed_where_they_may_be(root, cluster):
    answer = root.post("/v1/tenants", {"slug": "acme", "cluster": "north", "region": "us"})
    assert (answer.status, answer.reason, answer.fields) == (422, "BH-API-VALUE", ["body.region"])
    root.patch(f"{CLUSTERS}/north", {"status": "draining"})
    answer = root.post("/v1/tenants", {"slug": "acme", "cluster": "north"})
    assert (answer.status, answer.reason, answer.fields) == (409, "BH-API-STATE", ["body.cluster"])


def test_clusters_are_an_operators(cluster, root, tree_api):
    root.post("/v1/tenants", {"slug": "acme"})
    for client in (tree_api.client("admin", "acme"), tree_api.client("operator", "acme")):
        assert client.get(f"{CLUSTERS}/north").status == 200
        assert client.post(CLUSTERS, {"name": "south"}).status == 403
        assert client.patch(f"{CLUSTERS}/north", {"status": "down"}).status == 403
        assert client.delete(f"{CLUSTERS}/north").status == 403
