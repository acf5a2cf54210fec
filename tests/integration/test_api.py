"""The admin API's frame: who is let in, what is refused before anything is looked at, and how it is said."""

import pytest
from harness.api import Api, random_secret

UNKNOWN = f"bhk_{'a' * 16}_{'A' * 43}"


@pytest.fixture(scope="module")
def api(stand):
    with Api(stand) as api:
        yield api


def test_a_key_is_let_in(api):
    answer = api.client().get("/v1/version")
    assert (answer.status, answer["name"]) == (200, "bulkhead")
    assert answer.headers["X-Request-Id"] and answer.headers["Cache-Control"] == "no-store"


def test_a_request_id_is_kept(api):
    assert api.client().get("/v1/version", **{"X-Request-Id": "mine-1"}).headers["X-Request-Id"] == "mine-1"


@pytest.mark.parametrize("key", [None, "", "x", UNKNOWN, UNKNOWN[:21], UNKNOWN + "A", "bhk__"])
def test_strangers_are_refused(api, key):
    answer = api.stranger(key).get("/v1/version")
    assert (answer.status, answer.reason) == (401, "BH-API-KEY"), answer
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_the_right_id_with_a_wrong_secret_is_refused(api):
    key = api.key()
    assert api.stranger(key[:21] + random_secret()).get("/v1/version").status == 401
    assert api.stranger(key).get("/v1/version").status == 200


@pytest.mark.parametrize("columns", [{"expires_at": "2020-01-01"}, {"revoked_at": "2020-01-01"}])
def test_keys_that_are_over_are_refused(api, columns):
    assert api.client(**columns).get("/v1/version").status == 401


def test_a_key_works_from_its_addresses_only(api):
    assert api.client(addresses=["10.0.0.0/8"]).get("/v1/version").reason == "BH-API-ADDRESS"
    assert api.client(addresses=["10.0.0.0/8", "127.0.0.0/8"]).get("/v1/version").status == 200


def test_unknown_paths_and_methods(api):
    root = api.client()
    assert root.get("/v1/nothing").reason == "BH-API-PATH"
    assert root.get("/v1/version/").status == 404
    assert root.get("//v1/version").status == 404
    answer = root.request("DELETE", "/v1/version")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET")


def test_unknown_parameters_are_refused(api):
    answer = api.client().get("/v1/version?x=1")
    assert (answer.status, answer.fields) == (400, ["query.x"])
    assert api.client().get("/v1/version?x=1&x=2").fields == ["query.x"]


def test_keys_of_a_suspended_tenant_stop(api, stand):
    client = api.client("admin", "acme-labs")
    assert client.get("/v1/version").status == 200
    stand.command("tenant", "suspend", "acme", "--subtree")
    try:
        assert client.get("/v1/version").reason == "BH-API-SUSPENDED"
    finally:
        stand.command("tenant", "resume", "acme", "--subtree")
    assert client.get("/v1/version").status == 200
