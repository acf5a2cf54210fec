"""More tenants with logins of their own than the server has room for backends: each is a route, and all take turns."""

import threading
import time

import pytest
from harness.cluster_secret import login_of
from harness.load import Swarm, latencies
from harness.stand import Stand
from harness.wire import errors, query, rows, types

PLACES = 6
TENANTS = [f"own{n}" for n in range(24)]
COUNT = "SELECT count(*) FROM pg_stat_activity WHERE usename ~ '^t_[0-9a-f]{32}$'"


@pytest.fixture(scope="module")
def stand(template):
    """One statement of a superuser's fills the shop: a row for each, which is its own."""
    stand = Stand(template, guard="login").start()
    stand.tenants(*TENANTS)
    with stand.admin() as admin:
        admin.execute("INSERT INTO orders (tenant_id, id, item) SELECT id, 1, slug FROM bulkhead_control.tenant "
                      "WHERE slug ~ '^own'")
    yield stand
    stand.remove()


@pytest.fixture(params=[1, 4], ids=["one worker", "four workers"])
def proxy(request, stand):
    with stand.proxy(bulkhead={"workers": request.param}, cluster__default={"max_server_connections": PLACES},
                     pool={"server_login_retry": "10ms", "query_wait_timeout": "60s"}) as proxy:
        yield proxy


class Watch(threading.Thread):
    """Counts the tenants' backends at the server until it is ended."""

    def __init__(self, stand):
        super().__init__()
        self.stand, self.ended, self.most = stand, threading.Event(), 0

    def run(self):
        with self.stand.admin() as admin:
            while not self.ended.is_set():
                self.most = max(self.most, admin.execute(COUNT).fetchone()[0])

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()


def test_all_are_served_within_the_budget(stand, proxy):
    with Watch(stand) as watch, Swarm() as swarm:
        clients = {tenant: [swarm.add(proxy.wire(tenant), query("SELECT item FROM orders")) for _ in range(2)]
                   for tenant in TENANTS}
        swarm.run(3)
        assert not [member.failed for pair in clients.values() for member in pair if member.failed]
        served = {tenant: len(latencies(pair)) for tenant, pair in clients.items()}
    assert min(served.values()) >= 2, served
    assert watch.most <= PLACES
    for tenant in TENANTS:
        with proxy.wire(tenant) as wire:
            assert rows(wire.query("SELECT item, session_user FROM orders")) == [[tenant, login_of(stand.ids[tenant])]]


def test_transactions_that_hold_all_places_are_waited_for(stand, proxy):
    """One more tenant's client waits until one of them ends, and none of theirs is closed for it."""
    holders = [proxy.wire(tenant) for tenant in TENANTS[:PLACES]]
    for wire in holders:
        assert types(wire.query("BEGIN")) == "CZ"
        assert not errors(wire.query("SELECT item FROM orders"))
    waits = threading.Thread(target=lambda: proxy.wire(TENANTS[-1]).close())
    waits.start()
    time.sleep(0.3)
    assert waits.is_alive()
    for wire in holders:
        assert not errors(wire.query("SELECT 1"))
    assert types(holders[0].query("COMMIT")) == "CZ"
    waits.join(20)
    assert not waits.is_alive()
    for wire in holders[1:]:
        assert types(wire.query("COMMIT")) == "CZ"
    for wire in holders:
        wire.close()
