"""
Backends of a tenant's own login change hands too, among its clients: what one leaves is cleared, and its settings replaced.

As in test_handover.py a man in the middle spoils one message of it; but no seal is put on, and no other tenant comes.
"""

import pytest
from harness import middle as mid
from harness.cluster_secret import login_of
from harness.middle import BEGIN, CHECK, DISCARD, LOGIN, Middle, PROBE, SETTINGS
from harness.own_login import OwnLogins
from harness.postgres import HOST
from harness.scene import collect, served, told
from harness.stand import Stand
from harness.wait import wait_for
from harness.wire import WireError, errors, message, query, rows, types

OWN = ("hooli", "initech", "umbrella")  # by login, schema, database
LEFT = ("CREATE TEMP TABLE left_behind (x int); PREPARE left_behind AS SELECT 1; LISTEN left_behind; "
        "DECLARE left_behind CURSOR WITH HOLD FOR SELECT 1; SELECT pg_advisory_lock(7)")
LOOK = ("SELECT to_regclass('left_behind'), (SELECT count(*) FROM pg_prepared_statements), (SELECT count(*) FROM pg_cursors "
        "WHERE name <> ''), (SELECT count(*) FROM pg_listening_channels()), (SELECT count(*) FROM pg_locks WHERE "
        "locktype = 'advisory' AND pid = pg_backend_pid())")
NOTHING = [[None, "0", "0", "0", "0"]]
SPOILT = {
    "closed": mid.close,
    "reset": mid.reset,
    "cut": mid.cut(3),
    "an unknown type": mid.before(message("?", b"what")),
    "out of place": mid.before(message("G", b"\0\0\0")),
    "an error": mid.replace(message("E", b"SERROR\0VERROR\0C57014\0Mspoilt\0\0")),
}


@pytest.fixture(scope="module")
def stand(template):
    stand = Stand(template, guard="sealed").start()
    own = OwnLogins(stand)
    own.login("hooli")
    own.schema("initech")
    own.database("umbrella")
    stand.own = own
    yield stand
    stand.remove()


@pytest.fixture(scope="module")
def behind(stand):
    """The proxy with one backend for each, and the man in the middle."""
    with Middle(stand.postgres.port) as middle, stand.proxy(
            cluster__default={**middle.cluster, "secret_file": stand.own.file}, gate={"mode": "off"},
            pool={"default_pool_size": 1, "server_login_retry": 0, "discard_plans": "yes"}) as proxy:
        yield middle, proxy


@pytest.fixture
def middle(behind):
    behind[0].rules.clear()
    yield behind[0]
    behind[0].rules.clear()


@pytest.fixture
def proxy(behind):
    return behind[1]


@pytest.fixture(params=OWN)
def tenant(request):
    return request.param


def is_served(wire, tenant):
    return served(wire.query("SELECT item FROM orders"), tenant)


def leave(proxy, tenant):
    """A client that leaves with something on its backend."""
    with proxy.wire(tenant) as wire:
        assert not errors(wire.query(LEFT))


def assert_clean(proxy, tenant):
    with proxy.wire(tenant, work_mem="6MB") as wire:
        assert rows(wire.query(LOOK)) == NOTHING
        assert rows(wire.query("SHOW work_mem")) == [["6MB"]]
        assert is_served(wire, tenant)


@pytest.mark.parametrize("how, kind", [*[(how, "C") for how in SPOILT], ("closed", "Z"), ("an error", "Z")])
def test_what_was_left_is_cleared_or_the_backend_closed(proxy, middle, tenant, how, kind):
    leave(proxy, tenant)
    assert_clean(proxy, tenant)
    rule = middle.rule(DISCARD, kind, SPOILT[how])
    leave(proxy, tenant)
    assert_clean(proxy, tenant)
    assert rule.fired.wait(5)


@pytest.mark.parametrize("exchange, kind", [(SETTINGS, "C"), (SETTINGS, "Z"), (BEGIN, "C"), (BEGIN, "Z")])
@pytest.mark.parametrize("how", ["closed", "cut", "an unknown type"])
def test_a_client_with_other_settings_is_served_by_another(proxy, middle, tenant, how, exchange, kind):
    with proxy.wire(tenant) as one, proxy.wire(tenant, work_mem="6MB") as other:
        assert is_served(one, tenant)
        rule = middle.rule(exchange, kind, SPOILT[how])
        assert types(other.query("BEGIN")) == "CZ"
        assert rows(other.query("SHOW work_mem")) == [["6MB"]]
        assert is_served(other, tenant)
        assert types(other.query("COMMIT")) == "CZ"
        assert rule.fired.is_set()
        assert rows(one.query("SHOW work_mem")) == [["4MB"]]


def end_backends(stand, proxy, tenant):
    closed = len(proxy.events("backend.closed"))
    with stand.admin() as admin:
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (login_of(stand.ids[tenant]),))
        wait_for(lambda: not admin.execute("SELECT FROM pg_stat_activity WHERE usename = %s",
                                           (login_of(stand.ids[tenant]),)).fetchall(), "their end")
    wait_for(lambda: len(proxy.events("backend.closed")) > closed, "the news of it")


@pytest.mark.parametrize("exchange, kind", [(PROBE, "Z"), (CHECK, "D"), (CHECK, "Z"), (LOGIN, "R")])
@pytest.mark.parametrize("how", ["closed", "cut", "an unknown type"])
def test_a_backend_that_could_not_be_looked_at_is_not_used(stand, proxy, middle, tenant, how, exchange, kind):
    with proxy.wire(tenant) as wire:
        assert is_served(wire, tenant)
        end_backends(stand, proxy, tenant)
        rule = middle.rule(exchange, kind, SPOILT[how])
        found = collect(wire, query("SELECT item FROM orders"))
        assert rule.fired.wait(5)
        assert served(found, tenant) or told(found)[0] == "08001", found
    wait_for(lambda: serves_again(proxy, tenant), "service")


def serves_again(proxy, tenant):
    try:
        with proxy.wire(tenant) as wire:
            return is_served(wire, tenant)
    except WireError:  # the server cannot be reached
        return False


ENDED = mid.replace(message("E", b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"))


@pytest.mark.parametrize("exchange, kind, how", [
    (LOGIN, "K", lambda: ENDED), (CHECK, "D", lambda: ENDED), (CHECK, "D", mid.hold)],
    ids=["ended early", "ended late", "too slow"])
def test_who_is_in_its_own_way_sends_nobody_to_another_host(stand, tenant, exchange, kind, how):
    """
    A tenant may end its own sessions, also while they begin, and own so much that the self-check takes long; nothing of
    it is held against the host that all others use.
    """
    with Middle(stand.postgres.port) as first, Middle(stand.postgres.port) as second, stand.proxy(cluster__default={
            **first.cluster, "host": f"{HOST}, {HOST}", "port": f"{first.port}, {second.port}",
            "secret_file": stand.own.file}, pool={"server_connect_timeout": "2s"}) as proxy:
        rule = first.rule(exchange, kind, how())
        with proxy.wire(tenant) as wire, proxy.wire("acme") as other:
            assert is_served(wire, tenant)
            assert served(other.query("SELECT item FROM orders"), "acme")
        assert rule.fired.is_set()
        assert not second.links
        assert not proxy.events("host.down")
