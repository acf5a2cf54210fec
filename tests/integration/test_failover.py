"""A cluster of a primary and its streaming standby, that fails over under load while another cluster works on."""

import threading
import time

import pytest
from harness.postgres import HOST, Postgres, Standby
from harness.program import INSTRUMENTED
from harness.stand import DATABASE, run
from harness.wait import wait_for
from harness.wire import WireError, errors, query

PAIR = "pair_db"
TENANTS = ("paired", "second", "third")
CLIENTS = 6
ENDINGS = {"57P01", "08006"}  # of what was under way; 57P01 is the server's own
LIMIT = 60 if INSTRUMENTED else 20  # seconds from the promotion to the first transaction

TABLE = """
CREATE TABLE work (
    tenant_id uuid NOT NULL, id bigint GENERATED ALWAYS AS IDENTITY, note text, PRIMARY KEY (tenant_id, id));
SELECT bulkhead.protect('work', 'tenant_id');
GRANT SELECT, INSERT ON work TO bulkhead_app;
"""


class Pair:
    """A second server with a guard and a standby; its tenants are of cluster `pair`."""

    def __init__(self, stand, template):
        self.stand = stand
        self.primary = Postgres(template).start()
        with self.primary.connect() as admin:
            admin.execute(f"CREATE DATABASE {PAIR}")
        run("init", "--dsn", self.primary.conninfo(PAIR), "--control-dsn", stand.postgres.conninfo(DATABASE),
            "--keys", stand.keys)
        with self.primary.connect(PAIR) as admin:
            admin.execute(TABLE)
        self.standby = Standby(self.primary).start()

    def section(self, **more):
        return {"host": f"{HOST}, {HOST}", "port": f"{self.primary.port}, {self.standby.port}", "database": PAIR,
                "login": "bulkhead_pool", "password_file": self.stand.keys / "pool.password",
                "target_session_attrs": "read-write", **more}

    def settings(self, **more):
        return {"cluster__pair": self.section(**more),
                "pool": {"default_pool_size": CLIENTS, "server_login_retry": "200ms"}}

    def caught_up(self):
        """Waits until the standby has what there is now; under load it never has all."""
        with self.primary.connect() as admin:
            (now,) = admin.execute("SELECT pg_current_wal_lsn()").fetchone()
            wait_for(lambda: admin.execute("SELECT count(*) > 0 AND bool_and(replay_lsn >= %s::pg_lsn) "
                                           "FROM pg_stat_replication", (now,)).fetchone() == (True,), "the standby", 30)

    def remove(self):
        self.standby.remove()
        self.primary.remove()


@pytest.fixture(name="pair")
def fixture_pair(stand, template):
    with stand.admin() as admin:
        admin.execute("INSERT INTO bulkhead_control.cluster (name) VALUES ('pair') ON CONFLICT DO NOTHING")
    for tenant in TENANTS:
        stand.tenant(tenant, cluster="pair")
    pair = Pair(stand, template)
    yield pair
    pair.remove()


class Failed(Exception):
    """A statement's error, by its SQLSTATE; or the end of the connection without one."""


class Load(threading.Thread):
    """One client that does transactions, and connects again after each failure."""

    def __init__(self, proxy, tenant, dbname, statements):
        super().__init__(daemon=True)
        self.connect = lambda: proxy.wire(tenant, dbname=dbname)
        self.statements = statements
        self.done, self.failures, self.longest = [], [], 0.0  # moments; (moment, SQLSTATE); seconds
        self.halt = threading.Event()

    def run(self):
        wire = None
        while not self.halt.is_set():
            began = time.monotonic()
            try:
                wire = wire or self.connect()
                for statement in self.statements:
                    say(wire, statement)
                self.done.append(time.monotonic())
                self.longest = max(self.longest, self.done[-1] - began)
            except (Failed, WireError, OSError, EOFError) as error:
                self.failures.append((time.monotonic(), getattr(error, "sqlstate", None) or str(error)))
                if wire:
                    wire.close()
                wire = None
        if wire:
            wire.close()


def say(wire, statement):
    wire.send(query(statement))
    while (message := wire.read()).type != "Z":
        if message.type == "E":
            raise Failed(message.fields["C"])


WRITE = ("BEGIN", "INSERT INTO work (note) VALUES ('one')", "SELECT pg_sleep(0.002)",
         "INSERT INTO work (note) VALUES ('two')", "COMMIT")
READ = ("SELECT count(*) FROM orders",)


def codes(loads):
    return {code for load in loads for _, code in load.failures}


@pytest.mark.parametrize("backends", [CLIENTS, 2], ids=["a backend for each", "hand-overs"])
@pytest.mark.parametrize("end", ["crash", "shutdown"])
def test_a_failover_under_load(stand, pair, end, backends):
    """With a backend for each client, and with so few that they go from tenant to tenant all the time."""
    settings = pair.settings()
    settings["pool"]["default_pool_size"] = backends
    with stand.proxy(**settings) as proxy:
        paired = [Load(proxy, TENANTS[i % len(TENANTS)], PAIR, WRITE) for i in range(CLIENTS)]
        others = [Load(proxy, "acme", DATABASE, READ) for _ in range(2)]
        for load in paired + others:
            load.start()
        wait_for(lambda: all(len(load.done) > 20 for load in paired + others), "the load", 60)
        pair.caught_up()
        away = time.monotonic()
        if end == "crash":
            pair.primary.kill()
        else:
            pair.primary.stop()
        time.sleep(1.5)
        pair.standby.promote()
        promoted = time.monotonic()
        wait_for(lambda: all(load.done[-1] > promoted for load in paired), "the other server", LIMIT)
        for load in paired + others:
            load.halt.set()
        for load in paired + others:
            load.join(20)
        back = max(min(moment for moment in load.done if moment > promoted) for load in paired) - promoted
        print(f"{end}: {sum(len(load.failures) for load in paired)} transactions failed, the last client went on "
              f"{back:.2f} s after the promotion; the other cluster's slowest transaction took "
              f"{max(load.longest for load in others):.3f} s")
        # A client's one transaction that was under way, and nothing of what came after.
        assert codes(paired) <= ENDINGS, "\n".join(str(load.failures) for load in paired)
        assert all(len(load.failures) <= 1 and all(moment - away < 1 for moment, *_ in load.failures)
                   for load in paired), "\n".join(str(load.failures) for load in paired)
        assert not codes(others) and max(load.longest for load in others) < (5 if INSTRUMENTED else 1)
        assert back < LIMIT
    with pair.standby.connect(PAIR) as admin:
        # Both rows of each transaction, or none; replication is not synchronous, so a crash may lose some.
        one, two = admin.execute("SELECT count(*) FILTER (WHERE note = 'one'), count(*) FILTER (WHERE note = 'two') "
                                 "FROM work").fetchone()
        assert one == two and (end == "crash" or two >= sum(len(load.done) for load in paired))


def test_who_waits_and_who_is_told(stand, pair):
    """No host serves: clients wait for as long as failover_timeout says, then they are refused."""
    settings = pair.settings()
    settings["pool"]["failover_timeout"] = "2s"
    with stand.proxy(**settings) as proxy:
        with proxy.wire("paired", dbname=PAIR) as wire:
            wire.query("SELECT 1")
            pair.primary.stop()
            began = time.monotonic()
            wire.send(query("SELECT 1"))
            assert errors(wire.until_end()) == ["08001"]
            assert 1.5 < time.monotonic() - began < LIMIT
        began = time.monotonic()
        with pytest.raises(WireError) as refused, proxy.wire("paired", dbname=PAIR, TimeZone="Asia/Tokyo"):
            pass  # nobody has come with this setting, so it takes a backend
        assert refused.value.why == ("08001", "BH-NET-BACKEND-DOWN") and time.monotonic() - began < 1.5
        # Why, host by host: one is away, the other is not what is wanted.
        said = proxy.events("backend.refused")[-1]["why"]
        assert f"port {pair.primary.port}: Connection refused" in said
        assert f"port {pair.standby.port}: it is read-only" in said
        pair.standby.promote()
        wait_for(lambda: serves(proxy), "the other server", LIMIT)


def serves(proxy):
    try:
        with proxy.wire("paired", dbname=PAIR) as wire:
            return not errors(wire.query("SELECT 1"))
    except (WireError, OSError, EOFError):
        return False
