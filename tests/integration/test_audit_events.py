"""What a proxy sees goes into the audit log: sessions opened and refused, statements refused; counted, and no text."""

import pytest
from harness.control_server import ControlServer
from harness.stand import PRINCIPAL
from harness.wait import wait_for
from harness.wire import WireError

SECRET = "x'; DROP TABLE orders --"


def head(connection):
    return connection.execute("SELECT id FROM bulkhead_control.audit_head").fetchone()[0]


def sums(connection, since):
    """How often each was seen."""
    found = connection.execute(
        "SELECT action, tenant_slug, subject, after ->> 'reason', sum((after ->> 'count')::bigint)::int "
        "FROM bulkhead_control.audit WHERE id > %s AND kind = 'event' GROUP BY 1, 2, 3, 4", (since,)).fetchall()
    return {row[:-1]: row[-1] for row in found}


def refuse(proxy, tenant, **more):
    with pytest.raises(WireError):
        proxy.wire(tenant, **more).close()


def test_what_was_seen_is_counted(stand):
    with stand.proxy(control={"audit_sessions": "yes"}, gate={"mode": "enforce"}) as proxy, stand.admin() as admin:
        since = head(admin)
        for _ in range(5):
            proxy.wire("acme").close()
        proxy.wire("globex").close()
        for _ in range(3):
            refuse(proxy, "acme", password="wrong")
        refuse(proxy, "nobody-knows")
        for n in range(20):
            refuse(proxy, "acme", principal=f"stranger-{n}")
        with proxy.wire("acme") as wire:
            for _ in range(4):
                assert [m for m in wire.query(f"CREATE TABLE t AS SELECT {SECRET!r}".replace('"', "'")) if m.type == "E"]
        expected = {
            ("session.opened", "acme", f"principal:{PRINCIPAL}", None): 6,
            ("session.opened", "globex", f"principal:{PRINCIPAL}", None): 1,
        }
        wait_for(lambda: sums(admin, since).items() >= expected.items(), "what was opened")
        seen = wait_for(lambda: (s := sums(admin, since)) and sum(
            n for (action, *_), n in s.items() if action == "session.refused") == 24 and s, "what was refused")
        assert sum(n for (action, *_, reason), n in seen.items() if action == "statement.refused") == 4, seen
        assert all(tenant == "acme" and subject == f"principal:{PRINCIPAL}" and reason.startswith("BH-")
                   for action, tenant, subject, reason in seen if action == "statement.refused")
        # A stranger's names are not kept: else there would soon be no room.
        assert len(seen) < 10 and not any("stranger" in str(key) for key in seen)
        whole = str(admin.execute("SELECT array_agg(a::text) FROM bulkhead_control.audit a WHERE id > %s", (since,)).fetchone())
        assert "DROP" not in whole and "wrong" not in whole
        assert {row for row in admin.execute("SELECT login, actor FROM bulkhead_control.audit WHERE id > %s AND "
                                             "kind = 'event'", (since,))} == {("bulkhead_sidecar", "sidecar:bulkhead_sidecar")}


def test_sessions_are_not_recorded_unless_that_is_wanted(stand):
    with stand.proxy() as proxy, stand.admin() as admin:
        since = head(admin)
        proxy.wire("acme").close()
        refuse(proxy, "acme", password="wrong")
        wait_for(lambda: sums(admin, since), "the refusal")
        assert {action for action, *_ in sums(admin, since)} == {"session.refused"}
    with stand.proxy(control={"audit_refusals": "no"}) as proxy, stand.admin() as admin:
        since = head(admin)
        refuse(proxy, "acme", password="wrong")
        proxy.wire("acme").close()
        admin.execute("SELECT pg_sleep(2.5)")
        assert sums(admin, since) == {}


def test_what_is_seen_waits_for_the_control_database(stand, template):
    """And is not lost, nor does anybody who logs in wait for it."""
    server = ControlServer(stand, template)
    try:
        with server.proxy(audit_sessions="yes") as (proxy, relay), server.connect() as admin:
            since = head(admin)
            proxy.wire("acme").close()
            key = ("session.opened", "acme", f"principal:{PRINCIPAL}", None)
            wait_for(lambda: sums(admin, since).get(key) == 1, "the first")
            relay.cut()
            for _ in range(30):
                proxy.wire("acme").close()
            relay.mend()
            wait_for(lambda: sums(admin, since).get(key, 0) >= 31, "the others", seconds=20)
            assert sums(admin, since) == {key: 31}
    finally:
        server.postgres.remove()
