"""Tenants with something of their own over HTTP, from the request to the first login, and to the end."""

import uuid

import pytest
from harness.api import Api
from harness.provision import Provision
from harness.stand import Stand
from harness.wait import wait_for


@pytest.fixture(scope="module")
def stand(template):
    """A server of its own: roles and databases belong to all of it."""
    stand = Stand(template).start()
    yield stand
    stand.remove()


@pytest.fixture(scope="module")
def place(stand):
    return Provision(stand)


@pytest.fixture(scope="module")
def root(stand, place):
    """Of a Bulkhead that carries out jobs."""
    cluster = {name: place.cluster[name] for name in ("secret_file", "admin_login", "admin_password_file")}
    with Api(stand, proxy={"cluster__default": cluster}) as api:
        yield api.client()


def ended(root, job):
    wait_for(lambda: root.get(f"/v1/jobs/{job}")["state"] in ("done", "failed"), f"job {job}")
    return root.get(f"/v1/jobs/{job}")


@pytest.mark.parametrize("slug, more", [("own-schema", {"strategy": "SCHEMA_PER_TENANT"}),
                                        ("own-database", {"strategy": "DATABASE_PER_TENANT"}),
                                        ("own-login", {"dedicated_login": True})])
def test_a_tenant_comes_and_goes(root, place, slug, more):
    made = root.post("/v1/tenants", {"slug": slug, **more})
    assert (made.status, made["status"]) == (201, "provisioning")
    job = ended(root, made["job"])
    assert (job["state"], job["step"], job["error"]) == ("done", "probe", None), job
    tenant = root.get(f"/v1/tenants/{slug}")
    assert (tenant["status"], tenant["job"]) == ("active", None)
    place.ids[slug] = uuid.UUID(tenant["id"])
    with place.connect(slug) as connection:
        assert connection.execute("SELECT session_user").fetchone() == (place.own(slug),)

    purged = root.post(f"/v1/tenants/{slug}:purge", {"confirm": slug})
    assert purged.status == 202 and root.get(f"/v1/tenants/{slug}").status in (200, 404)
    job = ended(root, purged["id"])
    assert (job["state"], job["step"], job["error"]) == ("done", "role", None), job
    assert root.get(f"/v1/tenants/{slug}").status == 404


def test_a_failed_job_is_seen_and_tried_again(root, stand, place):
    with stand.admin() as admin:
        id = uuid.uuid4()
        admin.execute(f"CREATE SCHEMA t_{id.hex}")  # somebody else's
        made = root.post("/v1/tenants", {"slug": "in-the-way", "id": str(id), "strategy": "SCHEMA_PER_TENANT"})
        job = ended(root, made["job"])
        assert job["state"] == "failed" and job["error"], job
        assert root.get("/v1/tenants/in-the-way")["status"] == "provisioning"
        admin.execute(f"DROP SCHEMA t_{id.hex}")
    again = root.post(f"/v1/jobs/{job['id']}:retry")
    assert (again.status, again["state"]) == (202, "queued")
    assert ended(root, job["id"])["state"] == "done"
    assert root.get("/v1/tenants/in-the-way")["status"] == "active"
