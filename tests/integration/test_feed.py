"""The control database on a server of its own, which goes away and comes back while traffic flows."""

import json
import os
import threading
import time
from contextlib import ExitStack

import pytest
from harness.control_server import ControlServer, assert_ended, learn, login, outcome
from harness.load import Swarm
from harness.program import INSTRUMENTED
from harness.wait import wait_for
from harness.wire import WireError, query

pytestmark = pytest.mark.alone

OUTAGE = float(os.environ.get("BULKHEAD_OUTAGE", "3"))  # seconds; a minute in the soak
CAUGHT_UP = 6.0 if INSTRUMENTED else 2.0  # seconds from the return of the control database
AT_ONCE = 1.0 if INSTRUMENTED else 0.2
KNOWN, CHANGED = 1000, 300


@pytest.fixture(scope="module")
def control_server(stand, template):
    server = ControlServer(stand, template, KNOWN)
    yield server
    server.postgres.remove()


@pytest.fixture(autouse=True)
def all_active(control_server):
    yield
    control_server.set_status("active", "")


def assert_unknown_is_refused_at_once(proxy, tenant):
    began = time.monotonic()
    with pytest.raises(WireError) as error:
        login(proxy, tenant)
    took = time.monotonic() - began
    assert error.value.why == ("57P03", "BH-ID-CONTROL-DOWN")
    assert took < AT_ONCE
    return took


class Traffic:
    """Known tenants that go on working, in open sessions and in new ones, until the block ends; none may notice anything."""

    def __init__(self, proxy, tenants):
        self.proxy, self.tenants = proxy, tenants
        self.over = False
        self.logins = 0
        self.failure = None
        self.swarm = Swarm()
        self.members = [self.swarm.add(login(proxy, tenant), query("SELECT 1")) for tenant in tenants]
        self.threads = [threading.Thread(target=self.work), threading.Thread(target=self.come_and_go)]

    def work(self):
        self.swarm.run(600, until=lambda: self.over)

    def come_and_go(self):
        while not self.over:
            tenant = self.tenants[self.logins % len(self.tenants)]
            try:
                with self.proxy.wire(tenant, trusted=self.logins % 4 > 0) as wire:
                    assert wire.query("SELECT 1")[-1].status == "I"
            except (WireError, EOFError, AssertionError, OSError) as error:
                self.failure = error
                return
            self.logins += 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self.over = True
        for thread in self.threads:
            thread.join()
        self.swarm.close()
        if not error[0]:
            assert not self.failure, self.failure
            assert not any(member.failed or member.ended for member in self.members)
            statements = sum(len(member.times) for member in self.members)
            print(f"{statements} statements and {self.logins} logins, none failed; "
                  f"the slowest statement took {1000 * max(max(m.times) for m in self.members):.1f} ms")


# ---- away and back ----

def test_an_outage_is_not_noticed_and_what_was_missed_is_caught_up(control_server):
    """A thousand tenants are known; three hundred of them are suspended while nobody can tell the proxy."""
    names = [f"known-{n}" for n in range(KNOWN)]
    to_change, to_stay = names[:CHANGED], names[CHANGED:]
    with control_server.proxy() as (proxy, relay), ExitStack() as stack:
        learn(proxy, names)
        proxy.wire("acme").close()  # the principal's password
        changed = [stack.enter_context(login(proxy, name)) for name in to_change[::10]]
        kept = [stack.enter_context(login(proxy, name)) for name in to_stay[::40]]
        with Traffic(proxy, to_stay[:12]):
            control_server.postgres.stop()
            end = time.monotonic() + OUTAGE
            refusals = []
            while time.monotonic() < end:
                refusals.append(assert_unknown_is_refused_at_once(proxy, f"unknown-{len(refusals)}"))
                time.sleep(0.02)
            relay.cut()
            control_server.postgres.start()
            control_server.set_status("suspended", r"^known-[0-9]{1,2}$|^known-[12][0-9]{2}$")
            time.sleep(0.3)
            for wire in (*changed, *kept):
                assert not [m for m in wire.query("SELECT 1") if m.type == "E"]
            relay.mend()
            began = time.monotonic()
            for wire in changed:
                assert_ended(wire, "BH-ID-SUSPENDED")
            took = time.monotonic() - began
            wait_for(lambda: outcome(proxy, to_change[-1], trusted=True) == "BH-ID-INACTIVE", "the last to be refused")
            refused = time.monotonic() - began
            assert took < CAUGHT_UP and refused < CAUGHT_UP
            for n, name in enumerate(names):
                assert (outcome(proxy, name, trusted=True) == "served") == (n >= CHANGED), name
            for wire in kept:
                assert not [m for m in wire.query("SELECT 1") if m.type == "E"]
    print(f"away for {OUTAGE:.0f} s: {len(refusals)} logins of unknown tenants refused, the slowest after "
          f"{1000 * max(refusals):.1f} ms; {KNOWN} known, {CHANGED} of them suspended meanwhile: sessions ended {took:.2f} s "
          f"after the return, logins refused after {refused:.2f} s at the latest")


def test_everything_that_can_change_is_caught_up(control_server):
    changes = {
        "known-1": ("UPDATE bulkhead_control.tenant SET external_key = 'k1' WHERE slug = 'known-1'", "BH-ID-MOVED"),
        "known-2": ("DELETE FROM bulkhead_control.tenant WHERE slug = 'known-2'", "BH-ID-SUSPENDED"),
        "known-3": ("UPDATE bulkhead_control.tenant SET status = 'archived' WHERE slug = 'known-3'", "BH-ID-SUSPENDED"),
        "known-4": ("WITH gone AS (DELETE FROM bulkhead_control.tenant WHERE slug = 'known-4' RETURNING id) "
                    "SELECT set_config('test.id', id::text, false) FROM gone; "
                    "INSERT INTO bulkhead_control.tenant (id, slug, name, status) "
                    "SELECT current_setting('test.id')::uuid, 'known-4', 'x', 'suspended'", "BH-ID-SUSPENDED"),
    }
    principals = {
        "one": ("UPDATE bulkhead_control.principal SET disabled = true WHERE name = 'one'", "BH-ID-REVOKED"),
        "two, \"{\\}": ("DELETE FROM bulkhead_control.principal WHERE starts_with(name, 'two')", "BH-ID-REVOKED"),
        "three": ("DELETE FROM bulkhead_control.principal WHERE name = 'three'; INSERT INTO bulkhead_control.principal "
                  "(name, verifier, home_id, reach) SELECT 'three', NULL, home_id, 'all' FROM bulkhead_control.principal "
                  "WHERE name = 'shop'", "BH-ID-REVOKED"),
        "four": ("UPDATE bulkhead_control.principal SET reach = 'self' WHERE name = 'four'", "BH-ID-REACH-LOST"),
    }
    for name in principals:
        control_server.execute("INSERT INTO bulkhead_control.principal (name, verifier, home_id, reach) SELECT %s, verifier, "
                               "home_id, 'all' FROM bulkhead_control.principal WHERE name = 'shop'", name)
    with control_server.proxy() as (proxy, relay), ExitStack() as stack:
        wires = [(stack.enter_context(login(proxy, name)), reason) for name, (_, reason) in changes.items()]
        wires += [(stack.enter_context(proxy.wire("known-5", principal=name)), reason)
                  for name, (_, reason) in principals.items()]
        other = stack.enter_context(login(proxy, "known-5"))
        relay.cut()
        for sql, _ in (*changes.values(), *principals.values()):
            control_server.execute(sql)
        relay.mend()
        began = time.monotonic()
        for wire, reason in wires:
            assert_ended(wire, reason)
        assert time.monotonic() - began < CAUGHT_UP
        assert not [m for m in other.query("SELECT 1") if m.type == "E"]
    control_server.execute("DELETE FROM bulkhead_control.principal WHERE name = ANY(%s)", list(principals))


def test_a_frozen_connection_is_noticed(control_server):
    with control_server.proxy(directory_timeout="1s") as (proxy, relay):
        learn(proxy, ["known-6", "known-7"])
        with Traffic(proxy, ["known-6"]), login(proxy, "known-7") as wire:
            relay.freeze()
            wait_for(lambda: "control.down" in proxy.log_text() or "control.lost" in proxy.log_text(), "the loss")
            time.sleep(1.2)  # for the attempt that follows
            for n in range(5):
                assert_unknown_is_refused_at_once(proxy, f"unknown-{n}")
                time.sleep(0.1)
            control_server.set_status("suspended", "^known-7$")
            relay.thaw()
            began = time.monotonic()
            assert_ended(wire, "BH-ID-SUSPENDED")
            assert time.monotonic() - began < CAUGHT_UP


def test_a_short_freeze_delays_and_loses_nothing(control_server):
    with control_server.proxy() as (proxy, relay), login(proxy, "known-8") as wire:
        relay.freeze()
        control_server.set_status("suspended", "^known-8$")
        time.sleep(0.5)
        assert not [m for m in wire.query("SELECT 1") if m.type == "E"]
        relay.thaw()
        began = time.monotonic()
        assert_ended(wire, "BH-ID-SUSPENDED")
        assert time.monotonic() - began < CAUGHT_UP


@pytest.mark.parametrize("delay", [0, 0.001, 0.01])
def test_changes_while_connections_are_killed(control_server, delay):
    """Each in the moment in which the connection that would announce it is ended."""
    with control_server.proxy() as (proxy, _), control_server.connect() as admin:
        for n in range(20, 35):
            with login(proxy, f"known-{n}") as wire:
                killing = threading.Thread(target=control_server.execute, args=(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'bulkhead_sidecar'",))
                killing.start()
                time.sleep(delay * (n % 5))
                admin.execute("UPDATE bulkhead_control.tenant SET status = 'suspended' WHERE slug = %s", (f"known-{n}",))
                began = time.monotonic()
                assert_ended(wire, "BH-ID-SUSPENDED")
                assert time.monotonic() - began < CAUGHT_UP
                killing.join()


def test_a_look_up_that_fails_is_made_up_for(control_server):
    """The announcement comes, and the control database cannot answer for a while what it is about."""
    with control_server.proxy() as (proxy, _), login(proxy, "known-9") as wire:
        control_server.execute("REVOKE EXECUTE ON FUNCTION bulkhead_control.lookup_tenant FROM bulkhead_sidecar")
        try:
            control_server.set_status("suspended", "^known-9$")
            wait_for(lambda: "control.refused" in proxy.log_text(), "the refusal")
            assert not [m for m in wire.query("SELECT 1") if m.type == "E"]
        finally:
            control_server.execute("GRANT EXECUTE ON FUNCTION bulkhead_control.lookup_tenant TO bulkhead_sidecar")
        began = time.monotonic()
        assert_ended(wire, "BH-ID-SUSPENDED")
        assert time.monotonic() - began < CAUGHT_UP + 0.5


def test_a_comparison_that_fails_is_made_again(control_server):
    with control_server.proxy() as (proxy, relay), login(proxy, "known-10") as wire:
        relay.cut()
        control_server.execute("REVOKE EXECUTE ON FUNCTION bulkhead_control.changed_tenants FROM bulkhead_sidecar")
        try:
            control_server.set_status("suspended", "^known-10$")
            relay.mend()
            wait_for(lambda: "control.refused" in proxy.log_text(), "the refusal")
        finally:
            control_server.execute("GRANT EXECUTE ON FUNCTION bulkhead_control.changed_tenants TO bulkhead_sidecar")
        assert_ended(wire, "BH-ID-SUSPENDED")


def test_answers_serve_no_longer_than_directory_max_stale(control_server):
    with control_server.proxy(directory_max_stale="1s") as (proxy, relay):
        learn(proxy, ["known-11"])
        with login(proxy, "known-11") as wire:
            time.sleep(1.2)
            assert outcome(proxy, "known-11", trusted=True) == "served", "while it is fed, nothing grows old"
            relay.cut()
            assert outcome(proxy, "known-11", trusted=True) == "served"
            wait_for(lambda: outcome(proxy, "known-11", trusted=True) == "BH-ID-CONTROL-DOWN", "the limit", 4)
            assert wire.query("SELECT 1")[-1].status == "I", "sessions that are open stay"
            relay.mend()
            wait_for(lambda: outcome(proxy, "known-11", trusted=True) == "served", "the return", CAUGHT_UP)


# ---- announcements that mean nothing ----

def test_payloads_of_strangers_do_no_harm(control_server):
    with control_server.proxy() as (proxy, _), login(proxy, "known-12") as wire:
        ids = {slug: str(tenant) for slug, tenant in control_server.execute(
            "SELECT slug, id FROM bulkhead_control.tenant WHERE slug IN ('known-12', 'known-13')").fetchall()}
        payloads = ["", ":", "x", "principal:", "principal:1", "principal:1:", "principal:x:shop", "principal:99:shop",
                    "principal:-1:shop", "principal:1:" + "x" * 7000, ids["known-12"], ids["known-12"] + ":",
                    ids["known-12"] + ":999", ids["known-12"] + ":0", ids["known-12"] + ":99999999999999999999",
                    ids["known-12"] + ":1:2", ids["known-13"] + ":2", "%s%n", "é" * 100]
        with control_server.connect() as admin:
            for payload in payloads:
                admin.execute("SELECT pg_notify('bulkhead_directory', %s)", (payload,))
        time.sleep(0.3)
        assert wire.query("SELECT 1")[-1].status == "I"
        assert outcome(proxy, "known-12", trusted=True) == outcome(proxy, "known-13") == "served"


@pytest.mark.skipif(INSTRUMENTED, reason="time is measured")
@pytest.mark.parametrize("held", [False, True])
def test_a_storm_of_announcements_keeps_nobody_waiting(control_server, held):
    """A hundred thousand at once; `held`: all of a tenant with a session."""
    with control_server.proxy() as (proxy, _), login(proxy, "known-14") as wire, control_server.connect() as admin:
        learn(proxy, [f"known-{n}" for n in range(15, 19)])
        tenant, = admin.execute("SELECT id::text FROM bulkhead_control.tenant WHERE slug = 'known-14'").fetchone()
        began = time.monotonic()
        admin.execute("SELECT count(pg_notify('bulkhead_directory', "
                      + ("%s || ':' || n" if held else "gen_random_uuid() || ':' || n || %s")
                      + ")) FROM generate_series(2, 100001) n", (tenant if held else "",))
        sent = time.monotonic()
        slowest = 0
        while time.monotonic() < sent + 2:
            at = time.monotonic()
            assert outcome(proxy, f"known-{15 + int(at * 10) % 4}", trusted=True) == "served"
            slowest = max(slowest, time.monotonic() - at)
        admin.execute("UPDATE bulkhead_control.tenant SET status = 'suspended' WHERE slug = 'known-14'")
        changed = time.monotonic()
        assert_ended(wire, "BH-ID-SUSPENDED")
        print(f"100,000 announcements in {sent - began:.2f} s; slowest login {1000 * slowest:.1f} ms; a change after them "
              f"held after {1000 * (time.monotonic() - changed):.1f} ms")
        assert slowest < 0.5 and time.monotonic() - changed < 1


@pytest.mark.longer
@pytest.mark.skipif(INSTRUMENTED, reason="time is measured")
def test_a_storm_loses_nothing(control_server):
    """A hundred thousand announcements a second, all of them of the tenants that are changed meanwhile, one after the other."""
    names = [f"known-{n}" for n in range(40, 90)]
    ids = dict(control_server.execute("SELECT slug, id::text FROM bulkhead_control.tenant WHERE slug = ANY(%s)",
                                      names).fetchall())
    storm = ("SELECT count(pg_notify('bulkhead_directory', (%s::text[])[1 + mod(n, 50)::int] || ':' || n)) "
             "FROM generate_series(%s::bigint, %s::bigint) n")
    with control_server.proxy({"bulkhead": {"max_client_conn": 2000}}) as (proxy, _), ExitStack() as stack:
        wires = [stack.enter_context(login(proxy, name)) for name in names]
        announced = []
        admin = stack.enter_context(control_server.connect())

        def blow():
            with control_server.connect() as other:
                while len(announced) < 200 and not over.is_set():
                    first = 1000 + 20000 * len(announced)
                    announced.append(other.execute(storm, (list(ids.values()), first, first + 19999)).fetchone()[0])
                    time.sleep(0.05)

        over = threading.Event()
        thread = threading.Thread(target=blow)
        thread.start()
        stack.callback(thread.join)
        stack.callback(over.set)
        times = []
        began = time.monotonic()
        for n, (name, wire) in enumerate(zip(names, wires)):
            admin.execute("UPDATE bulkhead_control.tenant SET status = 'suspended' WHERE slug = %s", (name,))
            changed = time.monotonic()
            assert_ended(wire, "BH-ID-SUSPENDED")
            times.append(time.monotonic() - changed)
            if n % 2:  # and back: whoever comes next is served
                admin.execute("UPDATE bulkhead_control.tenant SET status = 'active' WHERE slug = %s", (name,))
                wait_for(lambda name=name: outcome(proxy, name, trusted=True) == "served", "the return", 1)
        over.set()
        thread.join()
        took = time.monotonic() - began
        print(f"{sum(announced):,} announcements in {took:.1f} s; {len(names)} suspensions in between held after "
              f"{1000 * sorted(times)[len(times) // 2]:.1f} ms (median), {1000 * max(times):.1f} ms at the latest")
        assert sum(announced) / took > 50000 and max(times) < 1
        for n, name in enumerate(names):
            assert outcome(proxy, name, trusted=True) == ("served" if n % 2 else "BH-ID-INACTIVE"), name


def test_the_log_says_what_became_of_the_connection(control_server):
    with control_server.proxy() as (proxy, relay):
        learn(proxy, ["known-19"])
        relay.cut()
        wait_for(lambda: "control.down" in proxy.log_text(), "the loss")
        relay.mend()
        wait_for(lambda: len(proxy.events("control.connected")) == 2, "the return")
        names = [json.loads(line)["event"] for line in proxy.log_text().splitlines()]
        assert [name for name in names if name.startswith("control.")] == [
            "control.connected", "control.lost", "control.down", "control.connected"]
