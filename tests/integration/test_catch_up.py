"""Thousands of changes while the control database is away, and what older and newer control schemas can say of them."""

import json
import resource
import select
import time
from contextlib import ExitStack

import pytest
from harness.control_server import ControlServer, assert_ended, learn, login, outcome
from harness.program import INSTRUMENTED, ROOT
from harness.wait import wait_for

pytestmark = pytest.mark.alone

CAUGHT_UP = 12.0 if INSTRUMENTED else 2.0  # seconds from the return of the control database
HELD, CHANGED = 2400, 1500
CHANGES = {  # by the remainder of a tenant's number
    0: ("UPDATE bulkhead_control.tenant t SET status = 'suspended'", "BH-ID-SUSPENDED", "BH-ID-INACTIVE"),
    1: ("UPDATE bulkhead_control.tenant t SET external_key = 'key-' || slug", "BH-ID-MOVED", "served"),
    2: ("DELETE FROM bulkhead_control.tenant t", "BH-ID-SUSPENDED", "BH-ID-UNKNOWN-TENANT"),
}
PARTS = "WHERE slug ~ '^known-' AND substr(slug, 7)::int < %s AND substr(slug, 7)::int %% 3 = %s"


@pytest.fixture
def descriptors():
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))


@pytest.fixture
def make_server(stand, template):
    with ExitStack() as stack:
        def make(known):
            server = ControlServer(stand, template, known)
            stack.callback(server.postgres.remove)
            return server
        yield make


def ends(wires):
    """Waits until all of these sessions have been ended; the SQLSTATE and reason of each, and when the last one was."""
    found = {}
    with select.epoll() as poll:
        by_number = {wire.socket.fileno(): (name, wire) for name, wire in wires.items()}
        for number in by_number:
            poll.register(number, select.EPOLLIN)
        deadline = time.monotonic() + 5 * CAUGHT_UP
        while len(found) < len(wires) and time.monotonic() < deadline:
            for number, _ in poll.poll(0.1):
                poll.unregister(number)
                name, wire = by_number[number]
                found[name] = wire
            last = time.monotonic()
    assert len(found) == len(wires), f"{len(wires) - len(found)} sessions were not ended"
    fatals = {name: wire.until_end()[-1].fields for name, wire in found.items()}
    return {name: (fields["C"], fields["D"].removeprefix("reason=")) for name, fields in fatals.items()}, last


def test_thousands_of_changes_are_caught_up(make_server, descriptors):
    """Each changed tenant has a session, and all are known by their slugs."""
    server = make_server(HELD)
    names = [f"known-{n}" for n in range(HELD)]
    with server.proxy({"bulkhead": {"max_client_conn": 2 * CHANGED}}) as (proxy, relay), ExitStack() as stack:
        learn(proxy, names)
        wires = {name: stack.enter_context(login(proxy, name)) for name in names[:CHANGED]}
        kept = [stack.enter_context(login(proxy, name)) for name in names[CHANGED::100]]
        relay.cut()
        for rest, (change, _, _) in CHANGES.items():
            server.execute(f"{change} {PARTS}", CHANGED, rest)
        time.sleep(3)  # attempts to connect are a second apart by now
        relay.mend()
        began = time.monotonic()
        ended, last = ends(wires)
        for n in range(0, CHANGED, 301):
            assert outcome(proxy, names[n], trusted=True) == CHANGES[n % 3][2], names[n]
        looked_up = time.monotonic()
        print(f"{HELD:,} tenants known, {CHANGED:,} of them changed meanwhile: the last session was ended {last - began:.2f} s "
              f"after the return, and logins were refused after {looked_up - began:.2f} s")
        assert ended == {name: ("57P01", CHANGES[n % 3][1]) for n, name in enumerate(names[:CHANGED])}
        assert looked_up - began < CAUGHT_UP
        for wire in kept:
            assert wire.query("SELECT 1")[-1].status == "I"
        for n, name in enumerate(names):
            assert outcome(proxy, name, trusted=True) == (CHANGES[n % 3][2] if n < CHANGED else "served"), name


# ---- other versions of the control schema ----

def step(number):
    path, = (ROOT / "admin" / "migrations").glob(f"{number:04}_*.sql")
    return path.read_text()


def test_an_older_control_schema_is_said_and_asked_one_by_one(make_server):
    server = make_server(60)
    with server.connect() as admin:
        admin.execute("DROP FUNCTION bulkhead_control.changed_tenants, bulkhead_control.changed_principals; "
                      "SET ROLE bulkhead_control; SET search_path = bulkhead_control, pg_temp; " + step(7))
        admin.execute("GRANT EXECUTE ON FUNCTION changed_tenants, changed_principals TO bulkhead_sidecar")
    names = [f"known-{n}" for n in range(30)]
    with server.proxy() as (proxy, relay), ExitStack() as stack:
        learn(proxy, names)
        wires = [stack.enter_context(login(proxy, name)) for name in names]
        relay.cut()
        for rest, (change, _, _) in CHANGES.items():
            server.execute(f"{change} {PARTS}", 30, rest)
        relay.mend()
        for n, wire in enumerate(wires):
            assert_ended(wire, CHANGES[n % 3][1])
        lines = proxy.events("control.outdated")
        assert len(lines) == 1 and "bulkhead init" in json.dumps(lines[0])
        assert not proxy.events("control.refused")


OLDER_PRINCIPALS = """
DROP FUNCTION bulkhead_control.lookup_principal, bulkhead_control.changed_principals;
SET ROLE bulkhead_control;
CREATE FUNCTION bulkhead_control.lookup_principal(word text)
RETURNS TABLE (name text, verifier text, home_id uuid, reach text, disabled boolean, valid_until_ms bigint,
			   version bigint)
LANGUAGE sql STABLE SECURITY DEFINER BEGIN ATOMIC
	SELECT p.name, p.verifier, p.home_id, p.reach, p.disabled, NULL::bigint, p.version
	FROM bulkhead_control.principal p WHERE p.name = word;
END;
CREATE FUNCTION bulkhead_control.changed_principals(names text[], versions bigint[])
RETURNS TABLE (name text, verifier text, home_id uuid, reach text, disabled boolean, valid_until_ms bigint,
			   version bigint)
LANGUAGE sql STABLE SECURITY DEFINER BEGIN ATOMIC
	SELECT h.name, p.verifier, p.home_id, p.reach, p.disabled, NULL::bigint, p.version
	FROM unnest(names, versions) AS h (name, version) LEFT JOIN bulkhead_control.principal p ON p.name = h.name
	WHERE p.version IS DISTINCT FROM h.version;
END;
GRANT EXECUTE ON FUNCTION bulkhead_control.lookup_principal, bulkhead_control.changed_principals TO bulkhead_sidecar
"""


def test_principals_of_an_older_control_schema_log_in_and_are_compared(make_server):
    """From before step 28: it knows no limits of theirs, no names of certificates and no lists of tenants."""
    server = make_server(1)
    server.execute(OLDER_PRINCIPALS)
    with server.proxy() as (proxy, relay):
        with proxy.wire("known-0") as wire:
            assert wire.query("SELECT 1")[-1].status == "I"
            relay.cut()
            server.execute("UPDATE bulkhead_control.principal SET disabled = true")
            relay.mend()
            assert_ended(wire, "BH-ID-REVOKED")
        lines = proxy.events("control.outdated")
        assert lines and all("principals have no limit" in json.dumps(line) for line in lines)
        assert not proxy.events("control.refused")


def test_a_control_schema_without_a_comparison_is_said(make_server):
    """From before step 7: what is known serves and is asked for again, and the log says what is missing."""
    server = make_server(5)
    server.execute("DROP FUNCTION bulkhead_control.changed_tenants, bulkhead_control.changed_principals")
    with server.proxy() as (proxy, relay):
        learn(proxy, ["known-1"])
        relay.cut()
        server.execute("UPDATE bulkhead_control.tenant SET status = 'suspended' WHERE slug = 'known-1'")
        relay.mend()
        wait_for(lambda: "changed_" in proxy.log_text(), "the refusal")
        wait_for(lambda: outcome(proxy, "known-1", trusted=True) == "BH-ID-INACTIVE", "the change")


def test_what_an_older_sidecar_asks_is_answered(make_server):
    """Its statements, as they were before step 9."""
    server = make_server(3)
    with server.connect() as admin, server.postgres.connect(user="bulkhead_sidecar") as sidecar:
        ids = dict(admin.execute("SELECT slug, id FROM bulkhead_control.tenant WHERE slug ~ '^known-'").fetchall())
        admin.execute("UPDATE bulkhead_control.tenant SET status = 'suspended' WHERE slug = 'known-1'")
        admin.execute("DELETE FROM bulkhead_control.tenant WHERE slug = 'known-2'")
        held = sorted(ids.values())
        changed = sidecar.execute("SELECT replace(id::text, '-', '') FROM bulkhead_control.changed_tenants(%s, %s)",
                                  (held, [1] * len(held))).fetchall()
        assert {text for text, in changed} == {ids["known-1"].hex, ids["known-2"].hex}
        assert sidecar.execute("SELECT name FROM bulkhead_control.changed_principals(%s, %s)",
                               (["shop", "nobody"], [1, 1])).fetchall() == [("nobody",)]
