"""Clients, backends and servers that die at any moment: nobody else notices, and nothing is left behind."""

import itertools
import os
import signal
import socket
import struct
import threading
import time
from pathlib import Path

import psycopg
import pytest
from harness import middle as mid
from harness.middle import CLIENT, Middle
from harness.postgres import HOST
from harness.program import INSTRUMENTED
from harness.scene import served, statement, wait_for_backend, wait_until
from harness.scripts import COPY_IN, lines
from harness.stand import DATABASE, PRINCIPAL, ROWS, TENANTS, Stand
from harness.steps import run
from harness.wire import (ScramClient, Wire, bind, copy_data, copy_done, execute, flush, message, parse,
                          query, rows, sasl_initial, startup, sync, types)

KEYS = {"user": f"{PRINCIPAL}.acme", "database": DATABASE}


def connect(proxy):
    return Wire.connect(HOST, proxy.port)


def login(proxy, tenant="acme"):
    return connect(proxy).login({**KEYS, "user": f"{PRINCIPAL}.{tenant}"}, proxy.stand.password)


def sees_its_rows(wire, tenant):
    wire.send(query(statement(tenant)))
    return served(wire.until_ready(), tenant)


@pytest.fixture(scope="module")
def inbox(stand):
    """A table that takes COPY FROM, which row security forbids."""
    with stand.admin() as admin:
        admin.execute("CREATE TABLE inbox (id int, body text)")
        admin.execute("GRANT ALL ON inbox TO bulkhead_app")
        yield
        admin.execute("DROP TABLE inbox")


@pytest.fixture(scope="module")
def proxy(stand, inbox):
    with stand.proxy(pool={"default_pool_size": 4, "server_login_retry": 0}) as proxy:
        yield proxy


# ---- a client dies ----

def begin_scram(wire):
    wire.send(startup(KEYS), sasl_initial(ScramClient("wrong").first()))
    wire.until("R")


def in_a_transaction(wire):
    wire.query("BEGIN")
    assert types(wire.query("DELETE FROM orders")) == "CZ"


def in_a_query(wire):
    wire.send(query("SELECT pg_sleep(60), 'dies'"))
    wait_for_backend(wire.stand, "query LIKE '%%dies%%' AND state = 'active'")


def in_a_portal(wire):
    wire.query("BEGIN")
    wire.send(parse("SELECT 'dies' FROM generate_series(1, 100)") + bind() + execute(max_rows=1) + flush())
    wire.until("s")


def in_copy_in(wire):
    wire.send(query(COPY_IN))
    wire.until("G")
    wire.send(lines(1, 100))


def in_copy_out(wire):
    """Without reading: Bulkhead's buffers and the kernel's are full."""
    wire.send(query("COPY (SELECT repeat('dies', 250) FROM generate_series(1, 100000)) TO STDOUT"))
    wire.until("d")
    wait_for_backend(wire.stand, "query LIKE '%%dies%%' AND wait_event = 'ClientWrite'")


# What a client has done when it dies, on a connection that is logged in or, where it says so, not yet.
STATES = {
    "connected": lambda wire: None,
    "half a startup packet": lambda wire: wire.send(startup(KEYS)[:10]),
    "in the password exchange": begin_scram,
    "logged in": lambda wire: None,
    "a held BEGIN": lambda wire: wire.query("BEGIN"),
    "half a message": lambda wire: wire.send(query("SELECT 1")[:8]),
    "half a message in a transaction": lambda wire: (in_a_transaction(wire), wire.send(query("SELECT 1")[:8])),
    "in a transaction": in_a_transaction,
    "in one that failed": lambda wire: (in_a_transaction(wire), wire.query("SELECT 1/0")),
    "with a backend of its own": lambda wire: wire.query("LISTEN nothing"),
    "in a query": in_a_query,
    "in a query of a transaction": lambda wire: (in_a_transaction(wire), in_a_query(wire)),
    "in an extended query": lambda wire: (wire.send(run("SELECT pg_sleep(60), 'dies'") + sync()),
                                          wait_for_backend(wire.stand, "query LIKE '%%dies%%' AND state = 'active'")),
    "in a portal": in_a_portal,
    "in a batch": lambda wire: (wire.send(run("SELECT 1") + flush()), wire.until("C")),
    "in several queries": lambda wire: (in_a_query(wire), wire.send(*[query("SELECT 'dies'")] * 50)),
    "in COPY in": in_copy_in,
    "in half a message of COPY in": lambda wire: (in_copy_in(wire), wire.send(copy_data("x" * 1000)[:500])),
    "behind COPY in": lambda wire: (in_copy_in(wire), wire.send(copy_data("wrong\n"), copy_done())),
    "in COPY out": in_copy_out,
}
NOT_LOGGED_IN = {"connected", "half a startup packet", "in the password exchange"}


def die(wire, by_reset):
    if by_reset:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.close()


def reach(proxy, state, **keys):
    wire = connect(proxy)
    wire.stand = proxy.stand
    if state not in NOT_LOGGED_IN:
        wire.login({**KEYS, **keys}, proxy.stand.password)
    STATES[state](wire)
    return wire


def descriptors(proxy):
    return len(os.listdir(f"/proc/{proxy.process.pid}/fd"))


@pytest.mark.parametrize("by_reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("state", STATES)
def test_a_client_dies(proxy, state, by_reset):
    """Its transaction is undone and its query stopped, its backend is free again, and others go on as before."""
    with login(proxy) as brother, login(proxy, "globex") as bystander:
        assert sees_its_rows(brother, "acme") and sees_its_rows(bystander, "globex")
        die(reach(proxy, state), by_reset)
        assert sees_its_rows(brother, "acme") and sees_its_rows(bystander, "globex")
        with proxy.stand.admin() as admin:
            wait_until(lambda: admin.execute("SELECT count(*) FROM pg_stat_activity WHERE "
                                             f"{proxy.stand.installation.backends} AND state <> 'idle'").fetchone() == (0,))
            assert admin.execute("SELECT count(*) FROM inbox").fetchone() == (0,)
        assert sees_its_rows(brother, "acme") and sees_its_rows(bystander, "globex")


def test_nothing_more_runs_for_a_client_that_died(stand):
    with stand.proxy(pool={"default_pool_size": 1}) as proxy, login(proxy) as wire:
        wire.send(query("SELECT pg_sleep(60), 'dies'"), *[query("SELECT pg_sleep(0.2)")] * 50)
        wait_for_backend(stand, "query LIKE '%%dies%%' AND state = 'active'")
        with stand.admin() as admin:
            pid, = admin.execute("SELECT pid FROM pg_stat_activity WHERE query LIKE '%dies%' AND state = 'active' "
                                 "AND pid <> pg_backend_pid()").fetchone()
            wire.close()
            wait_until(lambda: admin.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s",
                                             (pid,)).fetchone() == (0,), 5)


def resident(proxy):
    """Kilobytes of memory that the program holds."""
    status = Path(f"/proc/{proxy.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


CHEAP = ["connected", "half a startup packet", "in the password exchange", "logged in", "a held BEGIN",
         "half a message", "with a backend of its own"]
DEAR = ["in a transaction", "half a message in a transaction", "in a batch", "in COPY in"]  # each costs a backend


def live_and_die(proxy, count):
    """Each client has a name of its own, which Bulkhead has to remember and to forget."""
    for n in range(count):
        state = DEAR[n % len(DEAR)] if n % 12 == 0 else CHEAP[n % len(CHEAP)]
        die(reach(proxy, state, application_name=f"{count}-{n}-".ljust(63, "x")), by_reset=n % 2 == 0)


def test_nothing_grows_with_clients_that_die(stand, inbox):
    with stand.proxy(pool={"default_pool_size": 3, "server_login_retry": 0}) as proxy:
        with login(proxy) as wire:  # the first text that is read brings the reader's tables into memory
            assert sees_its_rows(wire, "acme")
        live_and_die(proxy, 100)
        before, open_before = resident(proxy), descriptors(proxy)
        live_and_die(proxy, 500)
        with login(proxy) as wire:
            assert sees_its_rows(wire, "acme")
        assert INSTRUMENTED or resident(proxy) - before < 80
        wait_until(lambda: descriptors(proxy) <= open_before + 3)  # as many more may be the pool's backends


def test_bulkhead_stops_under_clients_in_every_state(stand, inbox):
    """Each is told, and the program ends cleanly and at once."""
    with stand.proxy(pool={"default_pool_size": 32}) as proxy:
        # Only one of them can hold the locks of a DELETE.
        wires = [reach(proxy, state) for state in STATES if "transaction" not in state or state == "in a transaction"
                 if state != "in one that failed"]
        began = time.monotonic()
        proxy.stop()
        assert time.monotonic() - began < 10
        for wire in wires:
            wire.until_end()


# ---- a backend dies ----

def backend_of(wire):
    """The process id of the backend that a client in a transaction, or with one of its own, is linked to."""
    return int(rows(wire.query("SELECT pg_backend_pid()"))[0][0])


def kept(wire):
    wire.query("LISTEN nothing")
    return backend_of(wire)


def begun(wire, *then):
    wire.query("BEGIN")
    pid = backend_of(wire)
    wire.send(*then)
    return pid


# What a client does on its backend, of which the process id is returned, when that is terminated.
BUSY = {
    "kept": kept,
    "in a transaction": begun,
    "in a query": lambda wire: begun(wire, query("SELECT pg_sleep(60)")),
    "in an extended query": lambda wire: begun(wire, run("SELECT pg_sleep(60)"), sync()),
    "in a batch": lambda wire: begun(wire, run("SELECT 1"), flush()),
    "in COPY in": lambda wire: begun(wire, query(COPY_IN), lines(1, 10)),
    "in COPY out": lambda wire: begun(wire, query("COPY (SELECT pg_sleep(60)) TO STDOUT")),
}


@pytest.mark.parametrize("state", BUSY)
def test_a_backend_is_terminated(proxy, state):
    """Its client gets the server's own words, once, and nobody else notices."""
    with login(proxy) as victim, login(proxy) as brother, login(proxy, "globex") as bystander:
        assert sees_its_rows(brother, "acme") and sees_its_rows(bystander, "globex")
        pid = BUSY[state](victim)
        with proxy.stand.admin() as admin:
            admin.execute("SELECT pg_terminate_backend(%s)", (pid,))
        fatal = [m.fields for m in victim.until_end() if m.type == "E"]
        assert [(fields["S"], fields["C"]) for fields in fatal] == [("FATAL", "57P01")]
        assert sees_its_rows(brother, "acme") and sees_its_rows(bystander, "globex")


def test_an_idle_backend_is_terminated(proxy):
    """Nobody notices."""
    with login(proxy) as wire, login(proxy, "globex") as bystander:
        assert sees_its_rows(wire, "acme") and sees_its_rows(bystander, "globex")
        with proxy.stand.admin() as admin:
            before = proxy.backends()
            admin.execute("SELECT pg_terminate_backend(unnest(%s))", (before,))
            wait_until(lambda: not set(before) & set(proxy.backends()))
        assert sees_its_rows(wire, "acme") and sees_its_rows(bystander, "globex")


# ---- the connection to a backend dies, without a word of the server's ----

LOST = ("FATAL", "08006", "reason=BH-NET-BACKEND-LOST")


@pytest.fixture(scope="module")
def middle(stand):
    with Middle(stand.postgres.port) as middle:
        yield middle


@pytest.fixture(scope="module")
def cut_proxy(stand, middle):
    with stand.proxy(cluster__default=middle.cluster,
                     pool={"default_pool_size": 2, "server_login_retry": 0}) as proxy:
        yield proxy


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("kind, nth", [("T", 1), ("D", 1), ("D", 10), ("C", 1), ("Z", 1)])
def test_the_connection_dies_between_messages(middle, cut_proxy, kind, nth, how):
    middle.clear()
    with login(cut_proxy) as victim, login(cut_proxy, "globex") as bystander:
        assert sees_its_rows(victim, "acme") and sees_its_rows(bystander, "globex")
        middle.rule(CLIENT, kind, getattr(mid, how), nth=nth)
        victim.send(query(statement("acme")))
        *found, last = victim.until_end()
        assert (last.fields["S"], last.fields["C"], last.fields["D"]) == LOST
        assert types(found) == ("T" + "D" * ROWS + "CZ")[:len(found)]
        assert {row[0].rsplit(" ", 1)[0] for row in rows(found)} <= {"acme"}
        assert sees_its_rows(bystander, "globex")
        with login(cut_proxy) as other:
            assert sees_its_rows(other, "acme")


@pytest.mark.parametrize("size, missing", [(40, 10), *itertools.product((100, 100_000), (1, 10))])
def test_the_connection_dies_in_the_middle_of_a_row(middle, cut_proxy, size, missing):
    """What a client has of the row by then is followed by nothing that it could take for the rest."""
    middle.clear()
    with login(cut_proxy) as victim:
        whole = len(row_of(size))
        middle.rule(CLIENT, "D", mid.cut(whole - missing))
        victim.send(query(f"SELECT repeat('x', {size})"))
        found = victim.until_end()
        assert all(m.row == [b"x" * size] for m in found if m.type == "D"), "a row that PostgreSQL never sent"


FATAL = message("E", b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0")


@pytest.mark.parametrize("kept", [False, True], ids=["given back", "kept"])
def test_a_backend_ends_right_behind_a_transaction(middle, cut_proxy, kept):
    """Its last words come with the ReadyForQuery: they are for the client that keeps it, and else for nobody."""
    middle.clear()
    with login(cut_proxy) as wire:
        if kept:
            wire.query("LISTEN nothing")

        async def end(link, ready):
            link.write(mid.FROM_SERVER, ready + FATAL)
            link.end()
            return b""

        middle.rule(CLIENT, "Z", end)
        wire.send(query(statement("acme")))
        assert served(wire.until_ready(), "acme")
        if kept:
            assert [m.fields["C"] for m in wire.until_end()] == ["57P01"]
        else:
            assert wire.is_silent() and sees_its_rows(wire, "acme")


def row_of(size):
    """The DataRow with one column of so many bytes."""
    return b"D" + struct.pack("!IHI", 4 + 2 + 4 + size, 1, size) + b"x" * size


def test_bulkhead_stops_in_the_middle_of_a_row(stand, middle):
    middle.clear()
    half, size = mid.hold(), 100_000

    async def halve(link, message):
        link.write(mid.FROM_SERVER, message[:-10])
        await half(link, message)
        return message[-10:]

    with stand.proxy(cluster__default=middle.cluster) as proxy, login(proxy) as wire:
        middle.rule(CLIENT, "D", halve)
        wire.send(query(f"SELECT repeat('x', {size})"))
        assert half.reached.wait(10)
        wire._fill(size - 100)  # all that there is of it has come
        proxy.process.send_signal(signal.SIGINT)
        found = wire.until_end()
        half.release()
        assert all(m.row == [b"x" * size] for m in found if m.type == "D"), "a row that PostgreSQL never sent"


# ---- the server dies ----

def work(proxy, tenant, stop, seen, wrong):
    """Reads its rows in transactions, over and over, on a new connection when the old one ended."""
    while not stop.is_set():
        try:
            with proxy.connect(tenant, autocommit=False, prepare_threshold=None) as connection:
                while not stop.is_set():
                    items = [item for (item,) in connection.execute("SELECT item FROM orders")]
                    connection.commit()
                    if len(items) != ROWS or {item.rsplit(" ", 1)[0] for item in items} != {tenant}:
                        wrong.append((tenant, items))
                    seen[tenant] += 1
        except psycopg.Error as error:
            if error.sqlstate not in TOLD:
                wrong.append((tenant, error.sqlstate, str(error)))
            time.sleep(0.02)


# What may be said of a server that crashed, is starting, or is away; None is said by libpq at the end of a connection.
TOLD = {None, "57P01", "57P02", "57P03", "08006", "08001"}


def crash_by_a_backend(stand):
    """One backend dies of a signal: the postmaster ends all others and recovers."""
    with stand.admin() as admin:
        pid, = admin.execute(f"SELECT pid FROM pg_stat_activity WHERE {stand.installation.backends} LIMIT 1").fetchone()
    os.kill(pid, signal.SIGABRT)


def crash_at_once(stand):
    stand.postgres.stop(signal.SIGQUIT)
    stand.postgres.start()


@pytest.fixture(scope="module")
def crashing_stand(template):
    stand = Stand(template, settings={"restart_after_crash": "on", "synchronous_commit": "on"}).start()
    yield stand
    stand.remove()


@pytest.mark.parametrize("crash", [crash_at_once, crash_by_a_backend])
def test_the_server_crashes_under_clients(crashing_stand, crash):
    """Clients are told and come back; nobody ever sees foreign rows, or none."""
    stop, wrong, seen = threading.Event(), [], dict.fromkeys(TENANTS, 0)
    tenants = [tenant for tenant in TENANTS for _ in range(3)][:8]
    with crashing_stand.proxy(pool={"default_pool_size": 4, "server_login_retry": "50ms"}) as proxy:
        threads = [threading.Thread(target=work, args=(proxy, tenant, stop, seen, wrong)) for tenant in tenants]
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: min(seen.values()) > 5)
            crash(crashing_stand)
            before = dict(seen)
            wait_until(lambda: all(seen[tenant] > before[tenant] + 20 for tenant in TENANTS), 60)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        wait_until(lambda: descriptors(proxy) < 40)
    assert not wrong
