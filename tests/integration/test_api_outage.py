"""The control database is away: statements go on, the admin API says so at once, and what was missed is caught up."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from harness.api import Api
from harness.control_server import ControlServer, assert_ended, login
from harness.postgres import HOST
from harness.program import INSTRUMENTED
from harness.relay import Relay
from harness.wait import wait_for
from harness.wire import errors, why

AT_ONCE = 2.0 if INSTRUMENTED else 1.0
CAUGHT_UP = 5.0 if INSTRUMENTED else 3.0
NOTICED = 8.0  # seconds until a connection that stands and says nothing is taken for lost: two, and five
REQUESTS = [("GET", "/v1/tenants", None), ("GET", "/v1/tenants/acme/settings:resolved", None),
            ("POST", "/v1/tenants", {"slug": "while-away"}), ("POST", "/v1/tenants/acme:suspend", {}),
            ("PUT", "/v1/tenants/acme/settings/app.x", {"value": 1}), ("GET", "/v1/whoami", None)]


@pytest.fixture(scope="module")
def server(stand, template):
    with ExitStack() as stack:
        server = ControlServer(stand, template, 4)
        stack.callback(server.postgres.remove)
        yield server


class ApiBehindRelay(Api):
    """A proxy whose control database, that of the API too, is on the control server, behind a relay."""

    def __init__(self, stand, server):
        self.server, self.relay = server, Relay(server.postgres.port)
        dsn = f"host={HOST} port={self.relay.port} dbname=postgres user=bulkhead_sidecar"
        super().__init__(stand, "postgres", {"control": {"dsn": dsn, "directory_ttl": "1h"}, "listen__trusted": {},
                                             "gate": {"mode": "enforce"}})

    def __exit__(self, *error):
        super().__exit__(*error)
        self.relay.close()

    def control_port(self):
        return self.relay.port

    def admin(self):
        return self.server.connect()


class Away:
    """Clients of the data port and of the API."""

    def __init__(self, stand, server):
        self.stand, self.server = stand, server

    def __enter__(self):
        with ExitStack() as stack:
            self.api = stack.enter_context(ApiBehindRelay(self.stand, self.server))
            self.proxy, self.relay = self.api.proxy, self.api.relay
            self.root = self.api.client()
            self.tenants = {name: stack.enter_context(login(self.proxy, name)) for name in ("known-0", "known-1", "acme")}
            assert self.root.get("/v1/whoami").status == 200
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *error):
        self.stack.close()

    def assert_statements_go_on(self):
        for wire in self.tenants.values():
            assert not errors(wire.query("SELECT bulkhead.tenant_id()"))
        with login(self.proxy, "known-1") as another:
            assert not errors(another.query("SELECT bulkhead.tenant_id()"))

    def assert_it_is_said_at_once(self):
        for method, path, body in REQUESTS:
            began = time.monotonic()
            answer = self.root.request(method, path, body)
            took = time.monotonic() - began
            assert (answer.status, answer.reason) == (503, "BH-API-BUSY") and answer.headers["Retry-After"], answer
            assert took < AT_ONCE, (method, path, took)

    def assert_all_is_caught_up(self):
        """known-0 was suspended by somebody else, known-1's sql.write taken."""
        began = time.monotonic()
        assert_ended(self.tenants["known-0"], "BH-ID-SUSPENDED")
        wait_for(lambda: "BH-PERM-SQL" in refusals(self.tenants["known-1"]), "the permission to be gone", CAUGHT_UP)
        wait_for(lambda: self.root.get("/v1/whoami").status == 200, "the API", CAUGHT_UP)
        took = time.monotonic() - began
        print(f"caught up {took:.2f} s after the return")
        assert took < CAUGHT_UP
        assert self.root.get("/v1/tenants/known-0")["status"] == "suspended"
        assert self.root.get("/v1/tenants/while-away").status == 404
        assert self.root.post("/v1/tenants/acme:suspend", {"subtree": True}).status == 200
        assert_ended(self.tenants["acme"], "BH-ID-SUSPENDED")

    def change_behind_it(self):
        self.server.set_status("suspended", "^known-0$")
        self.server.execute("SELECT bulkhead_control.set_permission(id, 'sql.write', 'false', NULL, NULL) "
                            "FROM bulkhead_control.tenant WHERE slug = 'known-1'")


def refusals(wire):
    return [why(message.fields)[1] for message in wire.query("DELETE FROM orders WHERE false") if message.type == "E"]


@pytest.fixture
def away(stand, server):
    server.set_status("active", "")
    server.execute("DELETE FROM bulkhead_control.permission_grant")
    with Away(stand, server) as away:
        yield away


def test_an_outage(away):
    """Nobody is there: connections are ended, and refused."""
    away.relay.cut()
    for _ in range(3):
        away.assert_it_is_said_at_once()
        away.assert_statements_go_on()
    away.change_behind_it()
    away.relay.mend()
    away.assert_all_is_caught_up()


def test_silence(away):
    """Connections stand, and are made, and nothing comes back. That is noticed while nobody asks."""
    away.relay.freeze()
    end = time.monotonic() + NOTICED
    while time.monotonic() < end:
        away.assert_statements_go_on()
        time.sleep(0.1)
    away.assert_it_is_said_at_once()
    away.assert_statements_go_on()
    away.change_behind_it()
    away.relay.thaw()
    away.assert_all_is_caught_up()


def test_an_answer_that_is_lost_may_be_done(away):
    """A change that was with the server when the connection ended: 503 again, with another reason."""
    with away.server.connect() as other, ThreadPoolExecutor(1) as pool:
        with other.transaction():
            other.execute("LOCK TABLE bulkhead_control.tree_lock IN EXCLUSIVE MODE")
            asked = pool.submit(away.root.post, "/v1/tenants/known-2:suspend", {})
            wait_for(lambda: other.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = "
                                           "'bulkhead_control.tree_lock'::regclass").fetchone()[0], "the request to wait")
            away.relay.cut()
            began = time.monotonic()
            answer = asked.result()
            assert time.monotonic() - began < AT_ONCE
            assert (answer.status, answer.reason) == (503, "BH-API-UNKNOWN"), answer
    away.relay.mend()
    wait_for(lambda: away.root.get("/v1/whoami").status == 200, "the API", CAUGHT_UP)
