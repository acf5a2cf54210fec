"""bulkhead cluster, and what a cluster's status and region do to its tenants, in the database and in sidecars."""

import threading
import time

import psycopg
import pytest
from harness.control import ADMIN
from harness.program import INSTRUMENTED, refusal, rows, succeed
from harness.wait import wait_for
from harness.wire import WireError, errors, query, why

# ---- the verbs ----


@pytest.fixture(name="dsn")
def fixture_dsn(control):
    yield {"CONTROL_DSN": control.database.conninfo(user=ADMIN)}
    with control.database.connect(user=ADMIN) as admin:
        admin.execute("DELETE FROM bulkhead_control.tenant; "
                      "DELETE FROM bulkhead_control.cluster WHERE name <> 'default'")


def refused(*arguments, **dsn):
    return refusal(*arguments, **dsn).removeprefix("bulkhead: ").rstrip()


def listed(dsn):
    """But for what other tests have made."""
    return [cluster for cluster in rows("cluster", "list", **dsn) if cluster["name"] in ("default", "east")]


def test_a_cluster_is_made_shown_changed_and_deleted(dsn):
    (made,) = rows("cluster", "create", "east", "--region", "eu", **dsn)
    assert made == {"name": "east", "region": "eu", "status": "active"}
    before = {"name": "default", "region": None, "status": "active", "tenants": 0}
    assert listed(dsn) == [before, {**made, "tenants": 0}]
    (changed,) = rows("cluster", "set", "east", "--status", "draining", "--no-region", **dsn)
    assert changed == {"name": "east", "region": None, "status": "draining"}
    assert rows("cluster", "show", "east", **dsn) == [{**changed, "tenants": 0}]
    assert rows("cluster", "set", "east", "--status", "draining", **dsn) == []
    assert succeed("cluster", "set", "east", "--status", "draining", **dsn) == "east is so already\n"
    assert rows("cluster", "set", "east", "--status", "down", "--dry-run", **dsn)[0]["status"] == "down"
    assert rows("cluster", "show", "east", **dsn)[0]["status"] == "draining"
    assert rows("cluster", "delete", "east", **dsn) == [changed]
    assert listed(dsn) == [before]


@pytest.mark.parametrize("arguments, said", [
    (["create", "default"], "this cluster exists already"),
    (["create", "East"], "a cluster's name is 1 to 63 of a-z, 0-9, - and _, and begins with a letter"),
    (["create", "east", "--status", "gone"], "a status is active, draining or down"),
    (["create", "east", "--region", ""], "a region is 1 to 63 bytes"),
    (["set", "west", "--status", "down"], 'there is no cluster "west"'),
    (["show", "west"], "there is no such cluster"),
    (["delete", "west"], 'there is no cluster "west"'),
])
def test_what_is_refused(dsn, arguments, said):
    assert refused("cluster", *arguments, **dsn) == said


def test_a_cluster_with_tenants_stays(dsn):
    rows("tenant", "create", "acme", **dsn)
    assert refused("cluster", "delete", "default", **dsn) == "cluster default has tenants"


# ---- where tenants are placed ----

@pytest.mark.parametrize("status", ["draining", "down"])
def test_no_tenant_is_placed_there(dsn, status):
    rows("cluster", "create", "east", **dsn)
    rows("tenant", "create", "old", "--cluster", "east", **dsn)
    rows("tenant", "create", "acme", **dsn)
    rows("cluster", "set", "east", "--status", status, **dsn)
    said = f"cluster east is {status}: no tenant is placed there"
    assert refused("tenant", "create", "new", "--cluster", "east", **dsn) == said
    assert refused("tenant", "set", "acme", "--cluster", "east", **dsn) == said
    # Those that are there may be changed, and leave.
    assert rows("tenant", "set", "old", "--name", "Old", **dsn)
    assert rows("tenant", "set", "old", "--cluster", "default", **dsn)[0]["cluster"] == "default"


def test_a_tenants_region_is_its_clusters(dsn):
    rows("cluster", "create", "east", "--region", "eu", **dsn)
    assert refused("tenant", "create", "acme", "--cluster", "east", "--region", "us", **dsn) \
        == "tenant acme is of region us, and cluster east of eu"
    rows("tenant", "create", "acme", "--cluster", "east", "--region", "eu", **dsn)
    rows("tenant", "create", "free", "--cluster", "east", **dsn)
    assert refused("tenant", "set", "acme", "--region", "us", **dsn) \
        == "tenant acme is of region us, and cluster east of eu"
    assert refused("cluster", "set", "east", "--region", "us", **dsn) \
        == "cluster east has tenants of another region, as acme"
    # Where one of the two says nothing, both are content; and tenants that say nothing follow.
    before = rows("tenant", "show", "free", **dsn)[0]["version"]
    rows("cluster", "set", "east", "--no-region", **dsn)
    assert rows("tenant", "show", "free", **dsn)[0]["version"] > before
    assert rows("tenant", "set", "acme", "--region", "us", **dsn)[0]["region"] == "us"
    assert rows("tenant", "set", "acme", "--no-region", **dsn)[0]["region"] is None
    rows("cluster", "set", "east", "--region", "us", **dsn)


def test_placing_and_draining_wait_for_each_other(control, dsn):
    """A tenant that is placed while the cluster is set to drain comes before or after it, never in between."""
    rows("cluster", "create", "east", **dsn)
    with control.database.connect(user=ADMIN, autocommit=False) as placing:
        placing.execute("INSERT INTO bulkhead_control.tenant (id, slug, name, cluster) "
                        "VALUES (gen_random_uuid(), 'acme', 'acme', 'east')")
        draining = threading.Thread(target=rows, args=("cluster", "set", "east", "--status", "draining"), kwargs=dsn)
        draining.start()
        draining.join(0.5)
        assert draining.is_alive()
        placing.commit()
        draining.join(10)
        assert not draining.is_alive()
        with pytest.raises(psycopg.errors.CheckViolation):
            placing.execute("INSERT INTO bulkhead_control.tenant (id, slug, name, cluster) "
                            "VALUES (gen_random_uuid(), 'late', 'late', 'east')")


# ---- in sidecars ----

@pytest.fixture(name="annex")
def fixture_annex(stand):
    stand.cluster("annex")
    stand.tenant("guest", cluster="annex")
    yield
    stand.command("cluster", "set", "annex", "--status", "active")


def served(proxy):
    try:
        with proxy.wire("guest", dbname="annex") as wire:
            return errors(wire.query("SELECT 1")) == []
    except WireError as refused:
        assert refused.why == ("08001", "BH-NET-CLUSTER-DOWN")
        return False


def test_a_cluster_is_taken_out_of_service_at_once(stand, annex):
    with stand.proxy() as proxy, proxy.wire("acme") as other, proxy.wire("guest", dbname="annex") as idle, \
            proxy.wire("guest", dbname="annex") as busy:
        idle.query("SELECT 1")
        busy.send(query("SELECT pg_sleep(30)"))
        before = time.monotonic()
        with stand.admin() as admin:
            admin.execute("UPDATE bulkhead_control.cluster SET status = 'down' WHERE name = 'annex'")
        for wire in (idle, busy):
            (message,) = [message for message in wire.until_end() if message.type == "E"]
            assert why(message.fields) == ("57P01", "BH-NET-CLUSTER-ENDED")
        took = time.monotonic() - before
        print(f"sessions had ended after {took:.3f} s")
        assert took < (10 if INSTRUMENTED else 1)
        assert not served(proxy)
        # Nothing is left there, and nobody else has noticed.
        with stand.admin("annex") as admin:
            wait_for(lambda: admin.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = 'annex' "
                                           "AND usename = 'bulkhead_pool'").fetchone() == (0,), "the backends' end")
        assert errors(other.query("SELECT 1")) == []
        stand.command("cluster", "set", "annex", "--status", "draining")
        wait_for(lambda: served(proxy), "the cluster")


def test_a_sidecar_that_starts_knows(stand, annex):
    stand.command("cluster", "set", "annex", "--status", "down")
    with stand.proxy() as proxy:
        wait_for(lambda: not served(proxy), "the news")


def test_what_was_missed_is_caught_up_with(stand, annex):
    """The announcement came while the control connection was down."""
    with stand.proxy() as proxy, proxy.wire("guest", dbname="annex") as wire:
        with stand.admin() as admin:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'bulkhead_sidecar'")
            admin.execute("ALTER TABLE bulkhead_control.cluster DISABLE TRIGGER cluster_announce")
            admin.execute("UPDATE bulkhead_control.cluster SET status = 'down' WHERE name = 'annex'")
            admin.execute("ALTER TABLE bulkhead_control.cluster ENABLE TRIGGER cluster_announce")
        (message,) = [message for message in wire.until_end() if message.type == "E"]
        assert why(message.fields) == ("57P01", "BH-NET-CLUSTER-ENDED")
