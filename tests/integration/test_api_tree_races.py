"""The tree over HTTP with several clients at it: each is answered as if it were alone, before or after the others."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest

ROUNDS = int(os.environ.get("BULKHEAD_TEST_ROUNDS", "40"))  # make test-races has 300


def together(*works):
    """Runs them at the same time; what each returned."""
    barrier = Barrier(len(works))

    def run(work):
        barrier.wait(20)
        return work()
    with ThreadPoolExecutor(len(works)) as executor:
        return list(executor.map(run, works))


def move(client, tenant, parent):
    return client.post(f"/v1/tenants/{tenant}:move", {"parent": parent})


@pytest.fixture
def clients(tree_api, control):
    return [tree_api.client(keep=True) for _ in range(4)]


def make(client, *tenants):
    answer = client.post("/v1/tenants:batch", {"tenants": [
        {"slug": slug, "parent": parent} for slug, parent in tenants]})
    assert answer.status == 201, answer


def outcomes(answers):
    return sorted((answer.status, answer.reason if answer.status >= 400 else "") for answer in answers)


def test_two_move_below_each_other(clients, control):
    one, two, *_ = clients
    make(one, ("a", None), ("b", None))
    for _ in range(ROUNDS):
        answers = together(lambda: move(one, "a", "b"), lambda: move(two, "b", "a"))
        assert outcomes(answers) == [(200, ""), (409, "BH-API-CYCLE")], answers
        for slug in "ab":
            move(one, slug, None)
    assert control.violations() == []


def test_a_move_and_a_creation_below(clients, control):
    one, two, *_ = clients
    make(one, ("a", None), ("b", None), ("c", "a"))
    for n in range(ROUNDS):
        answers = together(lambda: move(one, "c", "ab"[(n + 1) % 2]),
                           lambda: two.post("/v1/tenants", {"slug": f"new-{n}", "parent": "c"}))
        assert outcomes(answers) == [(200, ""), (201, "")], answers
    assert control.violations() == []
    assert len(one.pages("/v1/tenants/c/children")) == ROUNDS


def test_a_suspension_and_a_creation_below(clients, control):
    one, two, *_ = clients
    make(one, ("a", None), ("b", "a"))
    for n in range(ROUNDS):
        suspended, made = together(lambda: one.post("/v1/tenants/a:suspend", {"subtree": True}),
                                   lambda: two.post("/v1/tenants", {"slug": f"new-{n}", "parent": "b"}))
        assert suspended.status == 200 and (made.status, made.status == 201 or made.reason) in (
            (201, True), (409, "BH-API-STATUS")), (suspended, made)
        assert {item["status"] for item in one.pages("/v1/tenants", 200)} == {"suspended"}
        one.post("/v1/tenants/a:resume", {"subtree": True})
    assert control.violations() == []


def test_two_edits_with_one_etag(clients):
    one, two, *_ = clients
    make(one, ("a", None))
    for n in range(ROUNDS):
        etag = one.get("/v1/tenants/a").etag
        answers = together(lambda: one.patch("/v1/tenants/a", {"name": f"one-{n}"}, etag),
                           lambda: two.patch("/v1/tenants/a", {"name": f"two-{n}"}, etag))
        assert outcomes(answers) == [(200, ""), (412, "BH-API-CHANGED")], answers
        done, = [answer for answer in answers if answer.status == 200]
        assert one.get("/v1/tenants/a")["name"] == done["name"]


def test_two_are_made_with_one_slug(clients):
    one, two, *_ = clients
    for n in range(ROUNDS):
        answers = together(*[lambda client=client, n=n: client.post("/v1/tenants", {"slug": f"t-{n}"})
                             for client in (one, two)])
        assert outcomes(answers) == [(201, ""), (409, "BH-API-EXISTS")], answers


def test_siblings_are_put_in_order_by_several(clients, control):
    one = clients[0]
    slugs = [f"t-{n}" for n in range(8)]
    make(one, ("a", None), *[(slug, "a") for slug in slugs])
    for n in range(ROUNDS):
        answers = together(*[lambda client=client, k=k: client.post(
            f"/v1/tenants/{slugs[(n + k) % 8]}:reorder", {"after": slugs[(n + k * 3 + 1) % 8]})
            for k, client in enumerate(clients) if (n + k) % 8 != (n + k * 3 + 1) % 8])
        assert {answer.status for answer in answers} == {200}, answers
    items = one.get("/v1/tenants/a/children").items
    assert sorted(item["slug"] for item in items) == slugs
    assert len({item["position"] for item in items}) == len(items)


def test_grants_are_set_and_revoked_by_several(clients, control):
    one, two, three, _ = clients
    make(one, ("a", None), ("b", "a"), ("c", "b"))
    path = "/v1/tenants/{}/permissions/sql.copy"
    for _ in range(ROUNDS):
        answers = together(lambda: one.put(path.format("a"), {"value": False}, one.get(path.format("a")).etag),
                           lambda: two.delete(path.format("a"), "*"),
                           lambda: three.put(path.format("b"), {"value": True}, three.get(path.format("b")).etag))
        assert all(answer.status in (200, 409, 412, 428) for answer in answers), answers
        # Whatever came first: nobody holds more than the one above.
        held = [one.get(f"/v1/tenants/{slug}/permissions:effective?key=sql.copy").items[0]["value"] for slug in "abc"]
        assert held == sorted(held, reverse=True), held


def test_a_key_is_revoked_while_it_is_used(tree_api, clients):
    """Whatever begins when the revocation is answered is refused; what is answered before is answered well."""
    root = clients[0]
    make(root, ("a", None))

    def use(client, number, ended):
        """Reads and writes until it is over; what it was answered, and when each request began."""
        seen = []
        while not ended.is_set():
            began = time.monotonic()
            answer = client.patch("/v1/tenants/a", {"name": f"name {number}"}) if number % 2 else client.get("/v1/tenants/a")
            seen.append((began, answer.status))
        return seen

    for _ in range(max(ROUNDS // 4, 5)):
        key, ended = tree_api.key("admin", "a"), Event()
        with ThreadPoolExecutor(4) as executor:
            users = [executor.submit(use, tree_api.stranger(key), n, ended) for n in range(4)]
            time.sleep(0.1)
            assert root.post(f"/v1/api-keys/{key[4:20]}:revoke").status == 200
            revoked = time.monotonic()
            time.sleep(0.05)
            ended.set()
            seen = [one for user in users for one in user.result()]
        assert {status for _, status in seen} <= {200, 401}, seen
        assert 200 in {status for _, status in seen}
        assert {status for began, status in seen if began > revoked} <= {401}
