"""
What of the protocol no script can hold (test_differential.py): encryption asked for, cancels, and pgbench's load.
"""

import os
import subprocess
import threading

import pytest
from harness.postgres import HOST, PG_BIN
from harness.scene import wait_for_backend
from harness.scripts import COPY_IN, lines
from harness.stand import DATABASE, PRINCIPAL
from harness.steps import ITEMS, run
from harness.wire import (Wire, bind, cancel_request, errors, execute, flush, gssenc_request, parse, query, rows,
                          ssl_request, sync, types)


# ---- Bulkhead ----

def login(proxy, tenant="acme", **more):
    return proxy.wire(tenant, **more)


@pytest.fixture(scope="module")
def proxy(stand):
    with stand.proxy(pool={"default_pool_size": 3}) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def inbox(stand):
    """A table that is not protected."""
    with stand.admin() as admin:
        admin.execute("CREATE TABLE inbox (id int, body text); GRANT ALL ON inbox TO bulkhead_app")
        yield
        admin.execute("DROP TABLE inbox")


# ---- before the login ----

ENCRYPTION = [[], [ssl_request], [gssenc_request], [ssl_request, gssenc_request], [gssenc_request, ssl_request]]


def ask_for_encryption(wire, requests):
    for request in requests:
        wire.send(request())
        assert wire.read_bytes(1) == b"N"


@pytest.mark.parametrize("requests", ENCRYPTION)
def test_encryption_is_asked_for_first(proxy, requests):
    with Wire.connect(HOST, proxy.port) as wire:
        ask_for_encryption(wire, requests)
        wire.login({"user": "shop.acme", "database": DATABASE}, proxy.stand.password)
        assert len(rows(wire.query(ITEMS))) == 3


@pytest.mark.parametrize("requests", ENCRYPTION)
def test_encryption_is_asked_for_before_a_cancel(stand, proxy, requests):
    with login(proxy) as wire, Wire.connect(HOST, proxy.port) as other:
        wire.send(query("SELECT pg_sleep(60)"))
        wait_for_backend(stand, "query LIKE '%%pg_sleep%%' AND state = 'active'")
        ask_for_encryption(other, requests)
        other.send(cancel_request(wire.pid, wire.key))
        assert other.until_end() == []
        assert errors(wire.until_ready()) == ["57014"]


# ---- cancel ----

RUNNING = {  # what runs, and the types of all that comes when it is cancelled
    "a query": (query("SELECT pg_sleep(60)"), "TEZ", "I"),
    "an extended one": (run("SELECT pg_sleep(60)") + sync(), "12TEZ", "I"),
    "one that is flushed": (run("SELECT pg_sleep(60)") + flush(), "12TE", None),
    "a transaction": (query("BEGIN") + query("SELECT pg_sleep(60)"), "CZTEZ", "E"),
    "the first of two": (query("SELECT pg_sleep(60)") + query("SELECT 2"), "TEZTDCZ", "I"),
    "copy in": (query(COPY_IN), "GEZ", "I"),
    "copy in, extended": (run(COPY_IN) + sync(), "12nGE", None),
    "copy out": (query("COPY (SELECT pg_sleep(60)) TO STDOUT"), "HEZ", "I"),
}


@pytest.mark.parametrize("what", RUNNING)
def test_cancel_ends_what_runs(stand, inbox, proxy, what):
    """Nothing else: the session goes on where PostgreSQL's own would."""
    data, expected, status = RUNNING[what]
    with login(proxy) as wire:
        wire.send(data)
        wait_for_backend(stand, "query ~ 'pg_sleep|COPY' AND state = 'active' "
                                "AND wait_event IN ('PgSleep', 'ClientRead')")
        wire.cancel()
        if data.find(COPY_IN.encode()) >= 0:
            wire.send(lines(1, 1))  # the server looks at its signals when it has got something to read
        found = [wire.read()]
        while len(types(found)) < len(expected):
            found.append(wire.read())
        assert types(found) == expected
        assert errors(found) == ["57014"]
        assert found[-1].type != "Z" or found[-1].status == status
        if status is None:
            wire.send(sync())
            assert types(wire.until_ready()) == "Z"
        if status == "E":
            assert types(wire.query("ROLLBACK")) == "CZ"
        assert len(rows(wire.query(ITEMS))) == 3


RESTING = {  # what was done before the cancel, and what comes behind it
    "without a backend": ([query("SELECT 1")], ITEMS, "TDDDCZ"),
    "a held BEGIN": ([query("BEGIN")], ITEMS, "TDDDCZ"),
    "in a transaction": ([query("BEGIN"), query("SELECT 1")], ITEMS, "TDDDCZ"),
    "in one that failed": ([query("BEGIN"), query("SELECT 1/0")], ITEMS, "EZ"),
    "with a backend of its own": ([query("LISTEN nothing")], ITEMS, "TDDDCZ"),
    "a portal that is suspended": ([query("BEGIN"), parse(ITEMS) + bind(portal="p") + execute("p", 1) + sync()],
                                   "FETCH ALL FROM p", "TDDCZ"),
}


@pytest.mark.parametrize("what", RESTING)
def test_cancel_hits_nothing_that_rests(proxy, what):
    done, then, expected = RESTING[what]
    with login(proxy) as wire:
        for data in done:
            wire.send(data)
            wire.until_ready()
        for _ in range(3):
            wire.cancel()
        assert types(wire.query(then)) == expected
        assert "57014" not in errors(wire.query("SELECT 1"))


@pytest.mark.parametrize("data", [
    query("SELECT 2"), run("SELECT 2") + sync(), run("SELECT 2") + run("SELECT 3") + sync()],
    ids=["simple", "extended", "a batch"])
def test_cancel_while_waiting_for_a_backend(stand, data):
    """The statement fails, and the session goes on."""
    with stand.proxy(pool={"default_pool_size": 1}) as proxy, login(proxy) as holder, login(proxy, stand.rival) as waiting:
        holder.query("BEGIN")
        holder.query("SELECT 1")
        waiting.send(data)
        assert waiting.is_silent(0.1)
        waiting.cancel()
        refused, ready = waiting.until_ready()
        assert [refused.fields[letter] for letter in "SCD"] == ["ERROR", "57014", "reason=BH-NET-CANCELLED"]
        assert ready.status == "I"
        assert types(holder.query("COMMIT")) == "CZ"
        assert len(rows(waiting.query(ITEMS))) == 3


@pytest.mark.parametrize("end", ["ROLLBACK", "COMMIT"])
@pytest.mark.parametrize("data", [query("SELECT 2"), run("SELECT 2") + sync()], ids=["simple", "extended"])
def test_cancel_while_waiting_in_a_transaction(stand, data, end):
    """The statement fails, and with it the transaction that no backend has begun yet."""
    with stand.proxy(pool={"default_pool_size": 1}) as proxy, login(proxy) as holder, login(proxy, stand.rival) as waiting:
        holder.query("BEGIN")
        holder.query("SELECT 1")
        assert types(waiting.query("BEGIN")) == "CZ"
        waiting.send(data)
        assert waiting.is_silent(0.1)
        waiting.cancel()
        refused, ready = waiting.until_ready()
        assert [refused.fields[letter] for letter in "SC"] == ["ERROR", "57014"]
        assert ready.status == "E"
        assert types(holder.query("COMMIT")) == "CZ"
        assert errors(waiting.query("SELECT 3")) == ["25P02"]
        waiting.send(sync())
        assert waiting.until_ready()[-1].status == "E"
        done, ready = waiting.query(end)
        assert (done.tag, ready.status) == ("ROLLBACK", "I")
        assert len(rows(waiting.query(ITEMS))) == 3


def test_cancel_with_a_wrong_key(stand, proxy):
    with login(proxy) as wire:
        wire.send(query("SELECT pg_sleep(0.5)"))
        wait_for_backend(stand, "query LIKE '%%pg_sleep%%' AND state = 'active'")
        for pid, key in ((wire.pid, b"\0\0\0\0"), (wire.pid ^ 1, wire.key), (wire.pid, wire.key + b"\0"),
                         (wire.pid, b"")):
            with Wire.connect(HOST, proxy.port) as other:
                other.send(cancel_request(pid, key))
                other.until_end()
        assert types(wire.until_ready()) == "TDCZ"


# ---- pgbench ----

PGBENCH = """
CREATE TABLE pgbench_branches (tenant_id uuid NOT NULL, bid int NOT NULL, bbalance int, filler char(88),
    PRIMARY KEY (tenant_id, bid));
CREATE TABLE pgbench_tellers (tenant_id uuid NOT NULL, tid int NOT NULL, bid int, tbalance int, filler char(84),
    PRIMARY KEY (tenant_id, tid));
CREATE TABLE pgbench_accounts (tenant_id uuid NOT NULL, aid int NOT NULL, bid int, abalance int, filler char(84),
    PRIMARY KEY (tenant_id, aid)) WITH (fillfactor = 50);
CREATE TABLE pgbench_history (tenant_id uuid NOT NULL, tid int, bid int, aid int, delta int, mtime timestamp,
    filler char(22));
CREATE INDEX ON pgbench_history (tenant_id);
"""
PGBENCH_TABLES = ["pgbench_branches", "pgbench_tellers", "pgbench_accounts", "pgbench_history"]
CLIENTS, EACH = 16, 60


@pytest.fixture(scope="module")
def pgbench_tables(stand):
    """What `pgbench -i` makes for one branch, for two tenants, protected."""
    names = ", ".join(PGBENCH_TABLES)
    with stand.admin() as admin:
        admin.execute(PGBENCH)
        for table in PGBENCH_TABLES:
            admin.execute(f"ALTER TABLE {table} OWNER TO shop_owner")
            admin.execute("SELECT bulkhead.protect(%s, 'tenant_id')", (table,))
        admin.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {names} TO bulkhead_app")
        for tenant in ("acme", "globex"):
            of = (stand.ids[tenant],)
            admin.execute("INSERT INTO pgbench_branches VALUES (%s, 1, 0)", of)
            admin.execute("INSERT INTO pgbench_tellers SELECT %s, n, 1, 0 FROM generate_series(1, 10) n", of)
            admin.execute("INSERT INTO pgbench_accounts SELECT %s, n, 1, 0 FROM generate_series(1, 100000) n", of)
        admin.execute(f"ANALYZE {names}")
        yield
        admin.execute(f"DROP TABLE {names}")


def pgbench(proxy, tenant, mode):
    return subprocess.run([PG_BIN / "pgbench", "-n", "-c", str(CLIENTS), "-j", "2", "-t", str(EACH), "-M", mode,
                           "-h", HOST, "-p", str(proxy.port), "-U", f"{PRINCIPAL}.{tenant}", DATABASE],
                          env={**os.environ, "PGPASSWORD": proxy.stand.password}, text=True,
                          capture_output=True, check=False, timeout=120)


@pytest.mark.parametrize("mode, pool_size", [("simple", 6), ("extended", 6), ("prepared", 2 * CLIENTS)])
def test_pgbench_for_two_tenants_at_once(stand, pgbench_tables, mode, pool_size):
    """No transaction fails, and each tenant's books balance: what was added up is what its own history says."""
    done = {}
    with stand.admin() as admin:
        admin.execute("DELETE FROM pgbench_history")
        for table, column in (("branches", "bbalance"), ("tellers", "tbalance"), ("accounts", "abalance")):
            admin.execute(f"UPDATE pgbench_{table} SET {column} = 0 WHERE {column} <> 0")
    with stand.proxy(pool={"default_pool_size": pool_size}) as proxy:
        threads = [threading.Thread(target=lambda tenant=tenant: done.update({tenant: pgbench(proxy, tenant, mode)}))
                   for tenant in ("acme", "globex")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for tenant, run_ in done.items():
            assert run_.returncode == 0, run_.stderr
            assert f"number of transactions actually processed: {CLIENTS * EACH}/{CLIENTS * EACH}" in run_.stdout
            assert "number of failed transactions: 0 " in run_.stdout
            with proxy.connect(tenant) as connection:
                sums = connection.execute(
                    "SELECT (SELECT count(*) FROM pgbench_history), (SELECT sum(delta) FROM pgbench_history), "
                    "(SELECT sum(bbalance) FROM pgbench_branches), (SELECT sum(tbalance) FROM pgbench_tellers), "
                    "(SELECT sum(abalance) FROM pgbench_accounts)").fetchone()
            assert sums[0] == CLIENTS * EACH and len(set(sums[1:])) == 1, sums
    assert len(done) == 2
