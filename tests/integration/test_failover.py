"""A cluster of a primary and its streaming standby, that fails over under load while another cluster works on."""

import threading
import time

import psycopg
import pytest
from harness.postgres import HOST, Postgres, Standby
from harness.program import INSTRUMENTED
from harness.stand import DATABASE, run
from harness.wait import wait_for

ANNEX = "annex_db"
CLIENTS = 6
# What was under way ends with one of these; libpq keeps an error's text where it came outside of a statement, and
# not its SQLSTATE.
ENDINGS = {"terminating connection due to administrator command": "57P01",  # the server's own
           "the connection to the database server was lost": "08006"}
LIMIT = 60 if INSTRUMENTED else 20  # seconds from the promotion to the first transaction

TABLE = """
CREATE TABLE work (tenant_id uuid NOT NULL, id bigint GENERATED ALWAYS AS IDENTITY, note text, PRIMARY KEY (tenant_id, id));
SELECT bulkhead.protect('work', 'tenant_id');
GRANT SELECT, INSERT ON work TO bulkhead_app;
"""


class Pair:
    """A second server with a guard and a standby; its tenants are of cluster `annex`."""

    def __init__(self, stand, template):
        self.stand = stand
        self.primary = Postgres(template).start()
        with self.primary.connect() as admin:
            admin.execute(f"CREATE DATABASE {ANNEX}")
        run("init", "--dsn", self.primary.conninfo(ANNEX), "--control-dsn", stand.postgres.conninfo(DATABASE),
            "--keys", stand.keys)
        with self.primary.connect(ANNEX) as admin:
            admin.execute(TABLE)
        self.standby = Standby(self.primary).start()

    def section(self, **more):
        return {"host": f"{HOST}, {HOST}", "port": f"{self.primary.port}, {self.standby.port}", "database": ANNEX,
                "login": "bulkhead_pool", "password_file": self.stand.keys / "pool.password",
                "target_session_attrs": "read-write", **more}

    def settings(self, **more):
        return {"cluster__annex": self.section(**more),
                "pool": {"default_pool_size": CLIENTS, "server_login_retry": "200ms"}}

    def caught_up(self):
        with self.primary.connect() as admin:
            wait_for(lambda: admin.execute("SELECT count(*) > 0 AND bool_and(replay_lsn >= pg_current_wal_lsn()) "
                                           "FROM pg_stat_replication").fetchone() == (True,), "the standby")

    def remove(self):
        self.standby.remove()
        self.primary.remove()


@pytest.fixture(name="pair")
def fixture_pair(stand, template):
    with stand.admin() as admin:
        admin.execute("INSERT INTO bulkhead_control.cluster (name) VALUES ('annex') ON CONFLICT DO NOTHING")
    stand.tenant("annexed", cluster="annex")
    pair = Pair(stand, template)
    yield pair
    pair.remove()


class Load(threading.Thread):
    """One client that does transactions, and connects again after each failure."""

    def __init__(self, proxy, tenant, dbname, work):
        super().__init__(daemon=True)
        self.connect = lambda: proxy.connect(tenant, dbname=dbname, prepare_threshold=None, autocommit=False)
        self.work = work
        self.done, self.failures, self.longest = [], [], 0.0  # moments; (moment, SQLSTATE, text); seconds
        self.halt = threading.Event()

    def run(self):
        connection = None
        while not self.halt.is_set():
            began = time.monotonic()
            try:
                connection = connection or self.connect()
                self.work(connection)
                connection.commit()
                self.done.append(time.monotonic())
                self.longest = max(self.longest, self.done[-1] - began)
            except psycopg.Error as error:
                code = error.sqlstate or next((code for text, code in ENDINGS.items() if text in str(error)), None)
                self.failures.append((time.monotonic(), code, str(error)))
                if connection:
                    connection.close()
                connection = None
        if connection:
            connection.close()


def write(connection):
    connection.execute("INSERT INTO work (note) VALUES ('one')")
    connection.execute("SELECT pg_sleep(0.002)")
    connection.execute("INSERT INTO work (note) VALUES ('two')")


def read(connection):
    assert connection.execute("SELECT count(*) FROM orders").fetchone() == (20,)


def codes(loads):
    return {code for load in loads for _, code, _ in load.failures}


@pytest.mark.parametrize("end", ["crash", "shutdown"])
def test_a_failover_under_load(stand, pair, end):
    settings = pair.settings()
    with stand.proxy(**settings) as proxy:
        annexed = [Load(proxy, "annexed", ANNEX, write) for _ in range(CLIENTS)]
        others = [Load(proxy, "acme", DATABASE, read) for _ in range(2)]
        for load in annexed + others:
            load.start()
        wait_for(lambda: all(len(load.done) > 20 for load in annexed + others), "the load")
        pair.caught_up()
        away = time.monotonic()
        if end == "crash":
            pair.primary.kill()
        else:
            pair.primary.stop()
        time.sleep(1.5)
        pair.standby.promote()
        promoted = time.monotonic()
        wait_for(lambda: all(load.done[-1] > promoted for load in annexed), "the other server", LIMIT)
        for load in annexed + others:
            load.halt.set()
        for load in annexed + others:
            load.join(20)
        back = max(min(moment for moment in load.done if moment > promoted) for load in annexed) - promoted
        print(f"{end}: {sum(len(load.failures) for load in annexed)} transactions failed, the last client went on "
              f"{back:.2f} s after the promotion; the other cluster's slowest transaction took "
              f"{max(load.longest for load in others):.3f} s")
        # A client's one transaction that was under way, and nothing of what came after.
        assert codes(annexed) <= set(ENDINGS.values()), "\n".join(str(load.failures) for load in annexed)
        assert all(len(load.failures) <= 1 and all(moment - away < 1 for moment, *_ in load.failures)
                   for load in annexed), "\n".join(str(load.failures) for load in annexed)
        assert not codes(others) and max(load.longest for load in others) < (5 if INSTRUMENTED else 1)
        assert back < LIMIT
    with pair.standby.connect(ANNEX) as admin:
        # Both rows of each transaction, or none.
        one, two = admin.execute("SELECT count(*) FILTER (WHERE note = 'one'), count(*) FILTER (WHERE note = 'two') "
                                 "FROM work").fetchone()
        assert one == two >= sum(len(load.done) for load in annexed)
