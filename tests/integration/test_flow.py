"""Bytes pass through and are not collected: slow readers, fast writers, large messages, thousands of idle clients."""

import os
import resource
import signal
import threading
import time
from contextlib import contextmanager

import pytest
from harness.program import INSTRUMENTED
from harness.stand import DATABASE, PRINCIPAL
from harness.wait import wait_for
from harness.wire import (Wire, bind, copy_data, copy_done, errors, execute, parse, query, rows, startup, sync, types,
                          why)

pytestmark = [pytest.mark.skipif(INSTRUMENTED, reason="what is tested here is how much memory is used"), pytest.mark.alone]

MB = 1 << 20
SLACK = 4 * MB  # of memory that a proxy may take while any number of bytes passes


@contextmanager
def flat_memory(proxy, slack=SLACK):
    """Asserts that the proxy never occupies much more memory than before."""
    before, highest, stop = proxy.resident(), [0], threading.Event()

    def watch():
        while not stop.wait(0.01):
            highest[0] = max(highest[0], proxy.resident())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert 0 < highest[0] <= before + slack


def read_all(wire):
    """Reads up to the first ReadyForQuery; how many bytes there were, and the last ones."""
    space, total, tail = bytearray(MB // 4), 0, b""
    while tail[-6:-1] != b"Z\0\0\0\5":
        size = wire.socket.recv_into(space)
        assert size, "the connection has ended"
        total += size
        tail = (tail + space[:size][-100:])[-100:]
    return total, tail


@pytest.fixture(scope="module")
def proxy(stand):
    with stand.proxy(log={"level": "info"}) as proxy:
        with proxy.wire("acme") as wire:  # the first bytes take memory that is kept
            wire.query(f"SELECT repeat('x', {MB})")
        yield proxy


def wait_event(stand, pid):
    with stand.admin() as admin:
        return admin.execute("SELECT wait_event FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone()[0]


def backend_of(wire):
    (pid,), = rows(wire.query("SELECT pg_backend_pid()"))
    return int(pid)


# ---- back-pressure ----

def test_a_slow_reader_stops_the_server(proxy):
    size = 200
    with proxy.wire("acme") as wire, flat_memory(proxy):
        wire.query("CREATE TEMP TABLE t (x int)")  # keeps the backend
        pid = backend_of(wire)
        wire.send(query(f"SELECT repeat('x', {MB}) FROM generate_series(1, {size})"))
        wait_for(lambda: wait_event(proxy.stand, pid) == "ClientWrite", "a server that is blocked")
        time.sleep(0.3)
        assert wait_event(proxy.stand, pid) == "ClientWrite"
        with proxy.wire("globex") as other:
            assert rows(other.query("SELECT 'unharmed'")) == [["unharmed"]]
        total, tail = read_all(wire)
        assert size * MB < total < (size + 1) * MB
        assert b"SELECT 200\0" in tail


def send_until_blocked(wire, part):
    """Sends a part of it, or all, until nothing more is taken for a while; the bytes that were taken."""
    sent = 0
    wire.socket.settimeout(0.5)
    try:
        while sent < len(part):
            sent += wire.socket.send(part[sent:])
        return sent
    except TimeoutError:
        return sent
    finally:
        wire.socket.settimeout(20)


def test_a_server_that_does_not_read_stops_the_writer(proxy):
    """A COPY of 200 MB into a backend that is stopped, and goes on later."""
    count = 200
    line = memoryview(copy_data(b"x" * (MB - 1) + b"\n"))
    with proxy.wire("acme") as wire, flat_memory(proxy):
        wire.query("CREATE TEMP TABLE t (x text); CREATE TEMP SEQUENCE read")
        pid = backend_of(wire)
        wire.send(query(f"COPY t FROM STDIN WHERE length(x) <> {MB - 1} OR nextval('read') < 0"))
        assert wire.read().type == "G"
        os.kill(pid, signal.SIGSTOP)
        try:
            done = 0
            while (sent := send_until_blocked(wire, line)) == len(line):
                done += 1
                assert done < count / 2, "what is taken lies in the kernel's buffers"
        finally:
            os.kill(pid, signal.SIGCONT)
        wire.send(line[sent:])
        for _ in range(count - done - 1):
            wire.send(line)
        wire.send(copy_done())
        assert wire.until_ready()[0].tag == "COPY 0"
        assert rows(wire.query("SELECT last_value FROM read")) == [[str(count)]]


# ---- large messages ----

LARGE = 64 * MB
PIECE = b"x" * (MB - 1) + b"\n"


def send_large(wire, kind, head, tail=b""):
    """One message with 64 MB between head and tail, which are never in one place here."""
    wire.send(kind + (4 + len(head) + LARGE + len(tail)).to_bytes(4, "big"), head)
    for _ in range(LARGE // MB):
        wire.send(PIECE)
    wire.send(tail)


def test_a_large_statement_is_not_held(proxy):
    with proxy.wire("acme") as wire, flat_memory(proxy):
        send_large(wire, b"Q", b"SELECT 'read' /* ", b" */\0")
        assert rows(wire.until_ready()) == [["read"]]


def test_a_large_value_and_a_large_row_are_not_held(proxy):
    with proxy.wire("acme") as wire, flat_memory(proxy):
        wire.send(parse("SELECT $1::text"))
        send_large(wire, b"B", bind([b""])[5:-6] + LARGE.to_bytes(4, "big"), b"\0\0")
        wire.send(execute(), sync())
        total, tail = read_all(wire)
        assert LARGE < total < LARGE + 1000 and b"SELECT 1\0" in tail
        assert rows(wire.query("SELECT 'next'")) == [["next"]]


def test_large_copy_data_is_not_held(proxy):
    with proxy.wire("acme") as wire, flat_memory(proxy):
        wire.query("CREATE TEMP TABLE t (x text); CREATE TEMP SEQUENCE read")
        wire.send(query("COPY t FROM STDIN WHERE nextval('read') < 0"))
        assert wire.read().type == "G"
        send_large(wire, b"d", b"")
        wire.send(copy_done())
        assert wire.until_ready()[0].tag == "COPY 0"
        assert rows(wire.query("SELECT last_value FROM read")) == [["64"]]


# ---- max_packet_size ----

LIMIT = MB
TOO_LARGE = ("54000", "BH-LIM-MESSAGE")


@pytest.fixture(scope="module")
def narrow(stand):
    with stand.proxy(bulkhead={"max_packet_size": "1MB"}) as proxy:
        yield proxy


def query_of(size):
    """A Query whose message has this size, header included."""
    frame = len(query("SELECT length('')"))
    return query("SELECT length('" + (size - frame) * "x" + "')")


@pytest.mark.parametrize("begin", ["", "BEGIN; SELECT 1"])
def test_messages_up_to_max_packet_size(narrow, begin):
    with narrow.wire("acme") as wire:
        if begin:
            wire.query(begin)
        assert len(query_of(LIMIT)) == LIMIT
        wire.send(query_of(LIMIT))
        assert errors(wire.until_ready()) == []
        wire.send(query_of(LIMIT + 1)[:5])  # its header is enough
        found = wire.until_end()
        assert types(found) == "E" and why(found[0].fields) == TOO_LARGE
    with narrow.wire("acme") as wire:
        assert rows(wire.query("SELECT 'next'")) == [["next"]]


def test_a_value_beyond_max_packet_size(narrow):
    with narrow.wire("acme") as wire:
        wire.send(parse("SELECT length($1::text)"), bind([LIMIT * b"x"]), execute(), sync())
        assert why(wire.until_end()[-1].fields) == TOO_LARGE


# ---- thousands of clients ----

class Crowd:
    """Clients of the listener that trusts; they are logged in by the hundred."""

    KEYS = {"user": f"{PRINCIPAL}.acme", "database": DATABASE}

    def __init__(self, proxy):
        self.proxy = proxy
        self.wires = []

    def grow(self, count, batch=200):
        where = str(self.proxy.socket_dir), self.proxy.trusted_port
        for _ in range(0, count, batch):
            fresh = [Wire.connect(*where) for _ in range(batch)]
            for wire in fresh:
                wire.send(startup(self.KEYS))
            for wire in fresh:
                wire.until_ready()
            self.wires += fresh

    def close(self):
        for wire in self.wires:
            wire.close()
        self.wires.clear()


@contextmanager
def crowded(stand):
    """A proxy for thousands of clients, and they."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20000) if hard != resource.RLIM_INFINITY else 20000, hard))
    many = {"max_client_conn": 6000, "max_login_conn": 1000}
    try:
        with stand.proxy(bulkhead=many, listen__trusted={"listen_backlog": 1024}, log={"level": "info"}) as proxy:
            crowd = Crowd(proxy)
            crowd.grow(200)
            yield crowd
            crowd.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def come_and_go(crowd, turns):
    for _ in range(turns):
        passers = Crowd(crowd.proxy)
        passers.grow(50, batch=50)
        for wire in passers.wires:
            wire.send(query("SELECT 1"))
        for n, wire in enumerate(passers.wires):
            if n % 3:
                wire.until_ready()
        for wire in passers.wires[::2]:
            wire.reset()
        passers.close()


def test_five_thousand_idle_clients_and_churn(stand):
    with crowded(stand) as crowd:
        proxy, clients = crowd.proxy, 5000
        before, descriptors = proxy.resident(), proxy.descriptors()
        crowd.grow(clients)
        assert proxy.descriptors() == descriptors + clients
        each = (proxy.resident() - before) / clients
        print(f"{each:.0f} bytes for each idle client")
        assert each <= 1300
        come_and_go(crowd, 10)
        before = proxy.resident()
        come_and_go(crowd, 20)
        assert proxy.resident() <= before + MB / 4
        wait_for(lambda: proxy.descriptors() <= descriptors + clients + 4, "the descriptors")  # new backends
        assert rows(crowd.wires[0].query("SELECT 'first'")) == [["first"]]
        assert rows(crowd.wires[-1].query("SELECT 'last'")) == [["last"]]
        before, there = proxy.resident(), len(crowd.wires)
        crowd.close()
        wait_for(lambda: proxy.descriptors() <= descriptors - 200 + 4, "the end of all clients")
        crowd.grow(there)
        assert proxy.resident() <= before + MB / 4, "all of them again take no more than before"


def test_idle_clients_hold_no_buffers(stand):
    """Each has sent most of a statement and waits for a backend, is answered, and then is idle again."""
    with crowded(stand) as crowd:
        proxy, statement = crowd.proxy, query("SELECT '" + 50000 * "x" + "'")
        for wire in crowd.wires:
            wire.query("SELECT 1")
        before = proxy.resident()
        for _ in range(2):
            for wire in crowd.wires:
                wire.send(statement[:40000])
            for wire in crowd.wires:
                wire.send(statement[40000:])
            for wire in crowd.wires:
                wire.until_ready()
            assert proxy.resident() <= before + SLACK
