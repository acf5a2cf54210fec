"""What a running proxy knows of tenants when they change, and when the control database is away."""

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest
from harness.postgres import HOST
from harness.relay import Relay
from harness.stand import DATABASE


def execute(stand, sql, *parameters):
    with stand.admin() as admin:
        return admin.execute(sql, parameters or None)


@pytest.fixture
def tenant(stand):
    """The slug of a new tenant."""
    slug = "t" + uuid.uuid4().hex[:8]
    execute(stand, "INSERT INTO bulkhead_control.tenant (id, slug, name) VALUES (gen_random_uuid(), %s, 'x')", slug)
    yield slug
    execute(stand, "DELETE FROM bulkhead_control.tenant WHERE slug ~ %s", slug)


def set_tenant(stand, tenant, /, **columns):
    execute(stand, f"UPDATE bulkhead_control.tenant SET {', '.join(f'{column} = %s' for column in columns)} "
                   "WHERE slug = %s", *columns.values(), tenant)


def outcome(proxy, tenant=None, **more):
    """`served`, or the reason why not."""
    try:
        with proxy.connect(tenant, **more) as connection:
            connection.execute("SELECT bulkhead.tenant_id()")
        return "served"
    except psycopg.OperationalError as error:
        if "reason=" not in str(error):
            return "cut off"  # its last words were lost with the connection, into which it had just written
        return str(error).split("reason=")[1].split()[0]


def wait_for(expected, proxy, tenant=None, seconds=20, **more):
    deadline = time.monotonic() + seconds
    while (found := outcome(proxy, tenant, **more)) != expected:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)


# ---- changes ----

def test_a_change_holds_at_once_without_a_memory(stand, tenant):
    with stand.proxy(control={"directory_ttl": 0}) as proxy:
        for status in ("suspended", "archived", "provisioning", "purging"):
            assert outcome(proxy, tenant) == "served"
            set_tenant(stand, tenant, status=status)
            assert outcome(proxy, tenant) == "BH-ID-INACTIVE"
            set_tenant(stand, tenant, status="active")
        set_tenant(stand, tenant, slug=tenant + "-new", external_key=tenant + "-key")
        assert outcome(proxy, tenant + "-new") == outcome(proxy, tenant + "-key") == "served"
        assert outcome(proxy, tenant) == "BH-ID-UNKNOWN-TENANT"


def test_a_change_is_seen_at_once_whatever_the_ttl(stand, tenant):
    with stand.proxy(control={"directory_ttl": "1d"}) as proxy:
        for _ in range(5):
            assert outcome(proxy, tenant) == "served"
            set_tenant(stand, tenant, status="suspended")
            wait_for("BH-ID-INACTIVE", proxy, tenant, seconds=1)
            set_tenant(stand, tenant, status="active")
            wait_for("served", proxy, tenant, seconds=1)
        execute(stand, "DELETE FROM bulkhead_control.tenant WHERE slug = %s", tenant)
        wait_for("BH-ID-UNKNOWN-TENANT", proxy, tenant, seconds=1)


def test_a_move_changes_who_reaches_it(stand, tenant):
    execute(stand, "INSERT INTO bulkhead_control.principal (name, verifier, home_id, reach) SELECT %s, verifier, home_id, "
                   "'subtree' FROM bulkhead_control.principal WHERE name = 'shop'", tenant)
    try:
        with stand.proxy(control={"directory_ttl": 0}) as proxy:
            user = f"{tenant}.{tenant}"  # of the principal at home in acme
            assert outcome(proxy, user=user) == "BH-ID-REACH"
            set_tenant(stand, tenant, parent_id=stand.ids["acme-labs"])
            assert outcome(proxy, user=user) == "served"
            set_tenant(stand, tenant, parent_id=stand.ids["globex"])
            assert outcome(proxy, user=user) == "BH-ID-REACH"
    finally:
        execute(stand, "DELETE FROM bulkhead_control.principal WHERE name = %s", tenant)


def test_a_tenant_that_was_unknown_is_served_once_it_was_made(stand, tenant):
    with stand.proxy(control={"directory_ttl": "1h"}) as proxy:
        late = tenant + "-late"
        assert outcome(proxy, late) == "BH-ID-UNKNOWN-TENANT"
        execute(stand, "INSERT INTO bulkhead_control.tenant (id, slug, name) VALUES (gen_random_uuid(), %s, 'x')", late)
        wait_for("served", proxy, late, seconds=1)


def test_a_deleted_tenant_is_unknown(stand, tenant):
    with stand.proxy(control={"directory_ttl": 0}) as proxy:
        assert outcome(proxy, tenant) == "served"
        execute(stand, "DELETE FROM bulkhead_control.tenant WHERE slug = %s", tenant)
        assert outcome(proxy, tenant) == "BH-ID-UNKNOWN-TENANT"


# ---- the control database is away ----

@contextmanager
def behind_a_relay(stand, **control):
    """A proxy whose way to the control database can be cut; that to the data is another."""
    relay = Relay(stand.postgres.port)
    try:
        with stand.proxy(control={"dsn": f"host={HOST} port={relay.port} dbname={DATABASE} user=bulkhead_sidecar",
                                  "directory_ttl": 0, **control}) as proxy:
            yield proxy, relay
    finally:
        relay.close()


def events(proxy):
    return [json.loads(line)["event"] for line in proxy.log_text().splitlines()]


def test_known_tenants_are_served_while_it_is_cut_off(stand, tenant):
    with behind_a_relay(stand) as (proxy, relay):
        for known in ("acme", "globex"):
            assert outcome(proxy, known) == "served"
        with proxy.connect("acme") as session:
            session.execute("SELECT 1")
            relay.cut()
            for _ in range(3):
                for known in ("acme", "globex"):
                    assert outcome(proxy, known) == "served"
                assert outcome(proxy, "acme", password="wrong") == "BH-ID-PASSWORD"
                assert outcome(proxy, tenant) == "BH-ID-CONTROL-DOWN"
                assert outcome(proxy, "nosuch") == "BH-ID-CONTROL-DOWN"
                assert outcome(proxy, user="nobody.acme") == "BH-ID-CONTROL-DOWN"
            session.execute("SELECT count(*) FROM orders")
        assert {"control.connected", "control.lost", "control.down"} <= set(events(proxy))

        relay.mend()
        wait_for("served", proxy, tenant)
        wait_for("BH-ID-UNKNOWN-TENANT", proxy, "nosuch")
        assert outcome(proxy, user="nobody.acme") == "BH-ID-PASSWORD"
        assert events(proxy).count("control.connected") == 2


def test_known_tenants_are_served_while_it_does_not_answer(stand, tenant):
    with behind_a_relay(stand, directory_timeout="500ms") as (proxy, relay):
        wait_for("served", proxy, "acme")
        relay.freeze()
        began = time.monotonic()
        assert outcome(proxy, "acme") == "served"
        assert time.monotonic() - began < 5
        assert outcome(proxy, tenant) == "BH-ID-CONTROL-DOWN"
        assert outcome(proxy, "acme") == "served"
        relay.thaw()
        wait_for("served", proxy, tenant)


def test_what_changed_meanwhile_is_seen_once_it_is_back(stand, tenant):
    with behind_a_relay(stand) as (proxy, relay):
        assert outcome(proxy, tenant) == "served"
        relay.cut()
        set_tenant(stand, tenant, status="suspended")
        assert outcome(proxy, tenant) == "served"
        relay.mend()
        wait_for("BH-ID-INACTIVE", proxy, tenant)


def test_it_may_come_after_the_proxy(stand):
    relay = Relay(stand.postgres.port)
    relay.cut()
    try:
        with stand.proxy(control={"dsn": f"host={HOST} port={relay.port} dbname={DATABASE} user=bulkhead_sidecar"}) as proxy:
            assert outcome(proxy, "acme") == "BH-ID-CONTROL-DOWN"
            relay.mend()
            wait_for("served", proxy, "acme")
    finally:
        relay.close()


def test_a_connection_that_was_ended_is_made_again_unnoticed(stand):
    """As after a restart of the control database, or a firewall's timeout: nobody is refused because of it."""
    with behind_a_relay(stand) as (proxy, _):
        for n in range(3):
            assert outcome(proxy, "acme") == "served"
            execute(stand, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'bulkhead_sidecar'")
            assert outcome(proxy, f"nosuch-{n}") == "BH-ID-UNKNOWN-TENANT"
    assert "control.down" not in events(proxy)


def test_a_question_that_was_under_way_is_asked_again(stand):
    """The connection ends while the control database works on the answer."""
    with stand.proxy() as proxy, stand.admin(autocommit=False) as locker, stand.admin() as admin, \
            ThreadPoolExecutor(1) as executor:
        assert outcome(proxy, "acme") == "served"
        locker.execute("LOCK TABLE bulkhead_control.tenant_token")
        future = executor.submit(outcome, proxy, "globex")
        deadline = time.monotonic() + 20
        while not admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = "
                                "'bulkhead_sidecar' AND wait_event_type = 'Lock'").fetchall():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        locker.rollback()
        assert future.result() == "served"
    assert "control.lost" in events(proxy) and "control.down" not in events(proxy)


def test_what_the_control_database_refuses_is_logged_without_the_password(stand):
    secret = (stand.keys / "sidecar.password").read_text().strip()
    with stand.proxy(control={"password_file": stand.password_file}) as proxy:
        assert outcome(proxy, "acme") == "BH-ID-CONTROL-DOWN"
    lines = [json.loads(line) for line in proxy.log_text().splitlines()]
    (down,) = [line for line in lines if line["event"] == "control.down"]
    assert "password authentication failed" in down["msg"]
    assert secret not in proxy.log_text() and stand.password not in proxy.log_text()


def test_a_login_that_lost_its_privilege_is_told_apart_from_an_unknown_tenant(stand, tenant):
    """An answer that is an error is no answer: what was known stays."""
    with stand.proxy(control={"directory_ttl": 0}) as proxy:
        assert outcome(proxy, "acme") == "served"
        execute(stand, "REVOKE EXECUTE ON FUNCTION bulkhead_control.lookup_tenant FROM bulkhead_sidecar")
        try:
            assert outcome(proxy, "acme") == "served"
            assert outcome(proxy, tenant) == "BH-ID-CONTROL-DOWN"
        finally:
            execute(stand, "GRANT EXECUTE ON FUNCTION bulkhead_control.lookup_tenant TO bulkhead_sidecar")
        assert outcome(proxy, tenant) == "served"
    assert "control.refused" in events(proxy)
