"""Who may do what: every operation of the OpenAPI document, by every kind of API key, aimed at every part of the tree.

A request that is refused is refused before any handler has begun, and leaves everything as it was; those who may, may.
"""

import pytest
from harness.api_ground import PLACES, Ground
from harness.openapi import Document
from harness.stand import Stand

DOCUMENT = Document.current()
GATE = {"BH-API-KEY", "BH-API-ADDRESS", "BH-API-SUSPENDED", "BH-API-ROLE", "BH-API-SUBTREE", "BH-API-TENANT", "BH-API-PATH"}
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
    return [{}, *({field: place} for field in fields for place in (["foreign"] if caller.verdict else PLACES))]


def refused(caller, ask, verdict):
    answer = caller.client.request(*ask)
    assert (answer.status, answer.reason) == verdict, f"{caller.name}: {answer!r}"
    return answer


def allowed(ground, caller, ask, has_handler):
    """Asks, and holds that a handler has begun, or without one that nothing of the gate's was answered."""
    begun = ground.begun()
    answer = caller.client.request(*ask)
    assert answer.status < 500, f"{caller.name}: {answer!r}"
    told = [word for word in ground.secrets(caller) if f'"{word}"' in answer.text]
    assert not told or told == [word for word in told if word in str(ask)], f"{caller.name} is told {told}: {answer!r}"
    if has_handler:
        assert ground.begun() > begun, f"{caller.name}: no handler has begun: {answer!r}"
    else:
        assert answer.status < 400 or answer.reason not in GATE, f"{caller.name}: {answer!r}"
    return answer


def test_the_document_is_the_one_that_is_served(ground):
    assert ground.operator.client.get("/v1/openapi.json").json == DOCUMENT.tree


@every_operation
def test_only_those_who_may(ground, operation):
    begun = ground.begun()
    ground.operator.client.request(*ground.request(operation))
    has_handler = ground.begun() > begun
    for caller in ground.callers:
        for aims in aims_of(ground, operation, caller):
            places = ground.aims(operation, aims).values()
            verdict, ask = ground.verdict(caller, operation, places), ground.request(operation, aims)
            if verdict is None:
                allowed(ground, caller, ask, has_handler)
            else:
                begun = ground.begun()
                refused(caller, ask, verdict)
                assert ground.begun() == begun, f"{caller.name}: a handler has begun: {ask}"
