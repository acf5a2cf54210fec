"""Who may do what: every operation of the OpenAPI document, by every kind of API key, aimed at every part of the tree.

A request that is refused is refused before any handler has begun, and leaves everything as it was; those who may, may.
"""

import re
import time

import pytest
from harness.api_ground import PLACES, WITHIN, Ground
from harness.openapi import Document
from harness.raw_http import RawHttp, head, problem_of
from harness.stand import Stand

DOCUMENT = Document.current()
GATE = {"BH-API-KEY", "BH-API-ADDRESS", "BH-API-SUSPENDED", "BH-API-ROLE", "BH-API-SUBTREE", "BH-API-TENANT",
        "BH-API-PATH"}
FIVE = ["own", "child", "ancestor", "sibling", "foreign"]
every_operation = pytest.mark.parametrize("operation", DOCUMENT.operations, ids=str)


@pytest.fixture(scope="module")
def ground(template):
    stand = Stand(template).start()
    with Ground(stand) as ground:
        yield ground
    stand.remove()


@pytest.fixture(autouse=True)
def nothing_changes(ground):
    before = ground.state()
    yield
    assert ground.state() == before


def aims_of(ground, operation, caller):
    """What a caller aims at: every place with each tenant field; those who are refused anyway, at the nearest."""
    fields = ground.tenant_fields(operation)
    return [{}, *({field: place} for field in fields for place in (["foreign"] if caller.verdict else FIVE))]


def allowed(ground, caller, ask, has_handler):
    """Asks, and holds that it is not refused, and that its handler has begun where it has one; whether it has."""
    begun = ground.begun()
    operation = DOCUMENT.find(ask.method, ask.path.partition("?")[0])
    if operation.is_endless:
        assert begins(ground, caller, ask), f"{caller.name}: {ask}"
        return None
    answer = caller.client.request(*ask)
    assert answer.status < 500, f"{caller.name}: {answer!r}"
    told = [word for word in ground.secrets(caller) - ground.known(caller, operation) if f'"{word}"' in answer.text]
    assert not [word for word in told if word not in str(ask)], f"{caller.name} is told {told}: {answer!r}"
    now = ground.begun() > begun
    assert has_handler in (None, now), f"{caller.name}: no handler has begun: {answer!r}"
    assert now or answer.status < 400 or answer.reason not in GATE, f"{caller.name}: {answer!r}"
    return now


def settle(ground):
    """Waits until nobody asks any more for what was given up."""
    begun = None
    while begun != (begun := ground.begun()):
        time.sleep(0.5)


def begins(ground, caller, ask):
    """Whether an answer without an end begins."""
    with RawHttp(ground.api.port) as http:
        http.send(head(ask.method, ask.path, caller.client.key))
        return http.line().split()[1] == "200"


def test_the_document_is_the_one_that_is_served(ground):
    assert ground.operator.client.get("/v1/openapi.json").json == DOCUMENT.tree


@every_operation
def test_only_those_who_may(ground, operation):
    cases = [(caller, ground.request(operation, aims),
              ground.verdict(caller, operation, ground.aims(operation, aims).values()))
             for caller in ground.callers for aims in aims_of(ground, operation, caller)]
    begun = ground.begun()
    for caller, ask, verdict in cases:
        if verdict:
            answer = caller.client.request(*ask)
            assert (answer.status, answer.reason) == verdict, f"{caller.name}: {answer!r}"
            assert ground.begun() == begun, f"{caller.name}: a handler has begun: {ask}"
    has_handler = None
    for caller, ask, verdict in cases:
        if not verdict:
            has_handler = allowed(ground, caller, ask, has_handler)
    if operation.is_endless:
        settle(ground)


# ---- what has no tenant in its path: it belongs to one ----

THINGS = [one for one in DOCUMENT.operations if re.match(r"/v1/(principals|api-keys|jobs)/\{", one.path)]


@pytest.mark.parametrize("operation", THINGS, ids=str)
@pytest.mark.parametrize("place", PLACES)
def test_things_of_others_are_not_there(ground, operation, place):
    ask = ground.request(operation, thing=place)
    for caller in ground.callers:
        if ground.verdict(caller, operation, ["own"]) is None and place not in WITHIN[caller.home]:
            answer = caller.client.request(*ask)
            assert answer.status == 404, f"{caller.name}: {answer!r}"
            assert not [word for word in ground.secrets(caller) if f'"{word}"' in answer.text], answer
        elif ground.verdict(caller, operation, ["own"]) is None:
            answer = caller.client.request(*ask)
            assert answer.status < 500 and answer.status not in (401, 404), f"{caller.name}: {answer!r}"


@pytest.mark.parametrize("place", ["ancestor", "sibling", "nephew", "foreign"])
@pytest.mark.parametrize("role", ["admin", "operator"])
def test_a_batch_makes_nothing_elsewhere(ground, role, place):
    caller = next(one for one in ground.callers if one.name == f"{role} of ground-own")
    good = {"slug": "batch-1", "parent": "ground-own"}
    for batch in ([good, {"slug": "batch-2", "parent": PLACES[place]}], [good, {"slug": "batch-2"}],
                  [good, {"slug": "batch-2", "parent": ground.stand.ids[PLACES[place]]}]):
        answer = caller.client.post("/v1/tenants:batch", {"tenants": batch})
        assert answer.status in (403, 404) and answer.fields == ["body.tenants[1].parent"], answer
    assert caller.client.post("/v1/tenants:batch", {"tenants": [good]}).status == 201


# ---- one request, said in other ways ----

ENCODED = {  # of a target that the caller may not see, and what it comes to
    "%67round-sibling": "BH-API-TENANT", "%2567round-sibling": "BH-API-TENANT", "GROUND-SIBLING": "BH-API-TENANT",
    "%2e%2e%2fground-sibling": "BH-API-TENANT", "ground-own%2f..%2fground-sibling": "BH-API-TENANT",
    "ground-own%2F..%2Fground-sibling": "BH-API-TENANT",
    "ground-own%252f%252e%252e%252fground-sibling": "BH-API-TENANT",
    "ground-own/../ground-sibling": "BH-API-PATH", "./ground-sibling": "BH-API-PATH", "/ground-sibling": "BH-API-PATH",
    "ground-own%00ground-sibling": "BH-API-SYNTAX", "ground-sibling%00": "BH-API-SYNTAX", "%00": "BH-API-SYNTAX",
    "ground-sibling%20": "BH-API-TENANT", "%20ground-sibling": "BH-API-TENANT", "ground-sibling%0a": "BH-API-SYNTAX",
    "ground-sibling;x=1": "BH-API-TENANT", "ground-own%3bground-sibling": "BH-API-TENANT",
    "%c0%ae%c0%ae": "BH-API-SYNTAX",
    "ground-sibling%ff": "BH-API-SYNTAX", "%ed%a0%80": "BH-API-SYNTAX", "ground%E2%80%8B-sibling": "BH-API-TENANT",
    "%": "BH-API-SYNTAX", "%4": "BH-API-SYNTAX", "%zz": "BH-API-SYNTAX", "%u0067round-sibling": "BH-API-SYNTAX",
    "..": "BH-API-TENANT", ".": "BH-API-TENANT", "%2e%2e": "BH-API-TENANT", "": "BH-API-PATH", "*": "BH-API-TENANT",
    "ground-own,ground-sibling": "BH-API-TENANT", "ground-own|ground-sibling": "BH-API-TENANT",
    "ground-sibling%3a": "BH-API-TENANT", "ground-sibling:": "BH-API-PATH", "ground-sibling::suspend": "BH-API-PATH"}


def of_own(ground, role="admin"):
    return next(one for one in ground.callers if one.name == f"{role} of ground-own").client


@pytest.mark.parametrize("method, behind", [("GET", ""), ("GET", "/children"), ("GET", "/settings:resolved"),
                                            ("POST", ":suspend"), ("PUT", "/settings/app.x")])
def test_a_path_is_read_in_one_way(ground, method, behind):
    key, begun = of_own(ground).key, ground.begun()
    body = b'{"value": 1}' if method == "PUT" else b""
    more = {"Content_Length": str(len(body)), "Content_Type": "application/json"} if body else {}
    with RawHttp(ground.api.port) as http:
        for target, reason in ENCODED.items():
            http.send(head(method, f"/v1/tenants/{target}{behind}", key, **more) + body)
            problem = problem_of(http.answer())
            assert problem["reason"] in (reason, "BH-API-PATH" if behind else reason), (target, problem)
            assert problem["status"] in (400, 404), (target, problem)
        assert ground.begun() == begun
        http.send(head(method, f"/v1/tenants/%67round%2down{behind}", key, **more) + body)
        assert http.answer() and ground.begun() > begun


@pytest.mark.parametrize("target", [
    "/V1/tenants", "/v1//tenants", "//v1/tenants", "/v1/tenants/", "/v1/tenants/.", "/v1/../v1/tenants",
    "/v1/%74enants",
    "/v1%2ftenants", "/v1/tenants%3fx", "/v1/tenants;x", "/v1/tenants.json", "/v1/tenants%00", "\\v1\\tenants", "/",
    "/v2/tenants",
    "/v1", "/v1/", "/tenants", "/v1/tenants/ground-own/nothing", "/v1/tenants/ground-own:nothing",
    "/v1/tenants/ground-own%3asuspend", "/v1/tenants/ground-own:Suspend", "/v1/tenants:batch:batch",
    "http://localhost/v1/tenants", "*", "v1/tenants", "/v1/tenants#x", "/v1/tenants?limit=1#x"])
def test_no_other_path_leads_there(ground, target):
    begun = ground.begun()
    for method in ("GET", "POST"):
        with RawHttp(ground.api.port) as http:
            http.send(head(method, target, ground.operator.client.key))
            assert problem_of(http.answer())["status"] in (400, 404, 405)
    assert ground.begun() == begun


@every_operation
def test_no_other_method_leads_there(ground, operation):
    path = ground.request(operation).path.partition("?")[0]
    own = {one.method for one in DOCUMENT.operations if one.pattern.fullmatch(path)}
    begun = ground.begun()
    for method in {"GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "MOVE",
                   operation.method.lower(), operation.method.title(), operation.method + "X", "QUERY"} - own:
        for client in (ground.operator.client, of_own(ground)):
            with RawHttp(ground.api.port) as http:
                http.send(head(method, path, client.key, X_HTTP_Method_Override=operation.method, If_Match="*"))
                answer = http.answer(method != "HEAD")
            assert answer.status == 405 and set(answer.headers["allow"].split(", ")) == own, (method, answer)
    assert ground.begun() == begun


# ---- keys, said in other ways ----

def test_a_key_is_read_in_one_way(ground):
    key, begun = ground.operator.client.key, ground.begun()
    bad = [f"Basic {key}", f"Bearer{key}", key, f"Bearer: {key}", f"Bearer  {key}", f"Bearer {key},", f"Bearer {key} x",
           f"Bearer {key}, Bearer {key}", f'Bearer "{key}"', f"Bearer {key}=", f"Bearer\t{key}", f"Token {key}",
           "Bearer",
           "Bearer ", f"Bearer {key[:20]}", f"Bearer {key[:21]}", f"Bearer {key[4:]}", f"Bearer x{key}",
           "Bearer " + "A" * 8000,
           f"Bearer {key.replace('_', '%5f')}", "Bearer bhk_' OR 1=1 --_x", "Bearer bhk_\u00e4_\u00e4"]
    two = [[f"Bearer {key}", f"Bearer {key}"], ["Bearer x", f"Bearer {key}"], [f"Bearer {key}", "Basic x"],
           ["", f"Bearer {key}"]]
    for value in [*bad, *two]:
        with RawHttp(ground.api.port) as http:
            http.send(head("GET", "/v1/tenants", Authorization=value))
            problem = problem_of(http.answer())
            assert (problem["status"], problem["reason"]) == (401, "BH-API-KEY"), (value, problem)
            assert key[21:] not in str(problem)
    for target, more in [(f"/v1/tenants?access_token={key}", {}), (f"/v1/tenants?key={key}", {}),
                         ("/v1/tenants", {"X_Api_Key": key}), ("/v1/tenants", {"Cookie": f"key={key}"}),
                         ("/v1/tenants", {"Proxy_Authorization": f"Bearer {key}"}), (f"/v1/tenants/{key}", {}),
                         ("/v1/tenants", {"X_Authorization": f"Bearer {key}"})]:
        with RawHttp(ground.api.port) as http:
            http.send(head("GET", target, **more))
            assert problem_of(http.answer())["reason"] == "BH-API-KEY"
    for name in ("Authorization ", "Authorization\t", " Authorization"):
        with RawHttp(ground.api.port) as http:
            http.send(head("GET", "/v1/tenants", **{name: f"Bearer {key}"}))
            assert http.answer().status in (400, 401)
    assert ground.begun() == begun
    for value in (f"bearer {key}", f"BEARER {key}"):
        with RawHttp(ground.api.port) as http:
            http.send(head("GET", "/v1/tenants", authorization=value))
            assert http.answer().status == 200


def test_secrets_of_keys_are_in_no_log(ground):
    logs = "".join(log.read_text() for log in ground.stand.folder.glob("*.log"))
    assert "/v1/tenants" in logs
    for caller in ground.callers:
        if caller.client.key and len(caller.client.key) > 40:
            assert caller.client.key[21:] not in logs


@every_operation
def test_a_parameter_is_given_once(ground, operation):
    ask = ground.request(operation)
    names = [*operation.named("query"), "no_such_parameter"]
    begun = ground.begun()
    mark = "&" if "?" in ask.path else "?"
    for name in names:
        for query in (f"{name}=1&{name}=1", f"{name}&{name}", f"{name}=1&%{ord(name[0]):02x}{name[1:]}=2"):
            answer = ground.operator.client.request(ask.method, f"{ask.path}{mark}{query}", ask.body, ask.headers)
            assert answer.status == 400 and f"query.{name}" in answer.fields, answer
    assert ground.begun() == begun


def test_a_refused_request_leaves_no_answer_to_repeat(ground):
    operation = DOCUMENT.operation("tenant.suspend")
    kept = "SELECT FROM bulkhead_control.idempotency WHERE api_key = %s AND key = %s"
    for caller in ground.callers:
        for place in ("foreign", "own"):
            ask, name = ground.request(operation, {("path", "tenant"): place}), f"same-{place}"
            answer = caller.client.request(*ask[:3], {"Idempotency-Key": name})
            if ground.verdict(caller, operation, [place]):
                assert answer.status in (401, 403, 404), answer
                assert not ground.root.execute(kept, ((caller.client.key or "")[4:20], name)).fetchall()
    ground.root.execute("DELETE FROM bulkhead_control.idempotency")
