"""The life of `bulkhead serve`: starting, refusing to start, its log, and stopping under its clients' feet."""

import errno
import json
import os
import pty
import signal
import socket
import subprocess
import time
from contextlib import ExitStack

import psycopg
import pytest
from harness.postgres import HOST
from harness.program import FAILED, PROGRAM
from harness.stand import DATABASE, Proxy
from harness.wire import Wire, query, rows, startup, types


def wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_listening(port):
    try:
        socket.create_connection((HOST, port)).close()
        return True
    except ConnectionRefusedError:
        return False


def refusal(proxy):
    """The lines that a proxy leaves which does not start, as JSON where they are that."""
    with pytest.raises(RuntimeError):
        proxy.start()
    assert proxy.process.wait(10) == FAILED
    proxy.process = None
    return [json.loads(line) if line.startswith("{") else line for line in proxy.log_text().splitlines()]


def unheard(proxy):
    """What it says of an address on which it cannot listen; other threads may have said something behind that."""
    return [line for line in refusal(proxy) if line["event"] == "listen.failed"][-1]


@pytest.fixture
def unstarted(stand):
    """A way to make proxies that are not started."""
    made = []

    def make(**sections):
        made.append(Proxy(stand, sections))
        return made[-1]

    yield make
    for proxy in made:
        if proxy.process and proxy.process.poll() is None:
            proxy.stop()


# ---- what it does not start with ----

def test_a_port_in_use(unstarted):
    proxy = unstarted()
    with socket.socket() as other:
        other.bind((HOST, proxy.port))
        other.listen()
        last = unheard(proxy)
    assert (last["event"], last["level"], last["address"]) == ("listen.failed", "error", HOST)
    assert last["port"] == str(proxy.port)
    assert last["error"] == "Address already in use"


def test_the_port_of_another_bulkhead(stand, unstarted):
    with stand.proxy(listen__default={"unix_socket_dir": ""}) as first:
        second = unstarted(listen__default={"unix_socket_dir": "", "listen_port": first.port})
        assert unheard(second)["error"] == "Address already in use"


def test_the_socket_of_a_living_process(stand, unstarted):
    with stand.proxy() as first:
        second = unstarted(listen__default={"listen_addr": "", "listen_port": first.port})
        last = unheard(second)
        assert last["error"] == "Address already in use"
        assert last["address"] == f"{stand.folder}/.s.PGSQL.{first.port}" and "port" not in last
        with first.connect("acme", unix=True) as connection:
            connection.execute("SELECT 1")


def test_the_socket_of_a_process_that_accepts_nobody(unstarted, stand):
    """Its queue is full: whoever connects would wait for ever."""
    proxy = unstarted(listen__default={"listen_addr": ""})
    path = f"{stand.folder}/.s.PGSQL.{proxy.port}"
    with socket.socket(socket.AF_UNIX) as hung, ExitStack() as stack:
        hung.bind(path)
        hung.listen(0)
        while True:
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
            waiting.setblocking(False)
            if waiting.connect_ex(path) == errno.EAGAIN:
                break
        began = time.monotonic()
        assert unheard(proxy)["error"] == "Address already in use"
        assert time.monotonic() - began < 5
    os.unlink(path)


def test_a_socket_that_was_left_behind_is_replaced(stand, unstarted):
    proxy = unstarted()
    path = f"{stand.folder}/.s.PGSQL.{proxy.port}"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    proxy.start()
    with proxy.connect("acme", unix=True) as connection:
        connection.execute("SELECT 1")
    proxy.stop()
    assert not os.path.exists(path)


@pytest.mark.parametrize("sections, event, words", [
    ({"listen__default": {"listen_addr": "203.0.113.7"}}, "listen.failed", "Cannot assign requested address"),
    ({"listen__default": {"listen_addr": "no.such.host.invalid"}}, "listen.failed", ""),
    ({"listen__default": {"unix_socket_dir": "/nosuch"}}, "listen.failed", "No such file or directory"),
    ({"guard": {"key_file": "/nosuch/guard.key"}}, "serve.keys", "No such file or directory"),
])
def test_what_is_not_there(unstarted, sections, event, words):
    last = [line for line in refusal(unstarted(**sections)) if line["level"] == "error"][-1]
    assert last["event"] == event and last["level"] == "error"
    assert words in last["error"] and last["error"]


def test_a_wrong_setting(unstarted):
    proxy = unstarted(pool={"pool_mode": "statement"})
    (line,) = refusal(proxy)
    assert line.startswith(f"{proxy.config}:") and 'pool_mode: "statement" is not one of transaction, session' in line


def test_nobody_behind_it_is_no_reason_not_to_start(unstarted):
    """Neither the server nor the control database: both may come later."""
    proxy = unstarted(cluster__default={"port": 1}, control={"dsn": f"host={HOST} port=1 dbname=x user=y"})
    proxy.start()
    with pytest.raises(psycopg.OperationalError, match="the tenant directory cannot be reached"):
        proxy.connect("acme")
    proxy.stop()


# ---- its log ----

def test_without_a_terminal_every_line_is_json(stand):
    with stand.proxy(log={"format": "auto"}) as proxy:
        with proxy.connect("acme", application_name='quoted "name"\\') as connection:
            connection.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError):
            proxy.connect("acme", password="wrong")
        with pytest.raises(psycopg.OperationalError):
            proxy.connect(user='no"body\\\x01.acme')
        Wire.connect(HOST, proxy.port).close()
    lines = [json.loads(line) for line in proxy.log_text().splitlines()]
    assert all({"ts", "level", "event"} <= set(line) for line in lines)
    assert {line["level"] for line in lines} <= {"error", "warning", "info", "debug"}
    events = [line["event"] for line in lines]
    assert {"serve.ready", "client.ended", "serve.stopping"} <= set(events)
    assert stand.password not in proxy.log_text()


def test_on_a_terminal_it_is_text(unstarted):
    proxy = unstarted(log={"format": "auto"})
    ours, theirs = pty.openpty()
    process = subprocess.Popen([PROGRAM, "serve", "-c", proxy.config], stdin=subprocess.DEVNULL, stdout=theirs,
                               stderr=theirs)
    os.close(theirs)
    text = ""
    try:
        while "serve.ready" not in text:
            text += os.read(ours, 4096).decode()
    finally:
        process.terminate()
        assert process.wait(20) == 0
        os.close(ours)
    assert " info serve.ready version=" in text and "{" not in text


def test_the_level_bounds_what_is_logged(unstarted):
    proxy = unstarted(log={"level": "error"})
    process = subprocess.Popen([PROGRAM, "serve", "-c", proxy.config], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    wait_until(lambda: is_listening(proxy.port))
    with proxy.connect("acme") as connection:
        connection.execute("SELECT 1")
    process.terminate()
    assert process.communicate(timeout=20)[1] == b""
    assert process.returncode == 0


# ---- stopping ----

def ended(wire):
    """SQLSTATE and reason of the last message before the connection was closed."""
    last = wire.until_end()[-1]
    assert last.type == "E"
    return last.fields["S"], last.fields["C"], last.fields["D"]


SHUTDOWN = ("FATAL", "57P01", "reason=BH-NET-SHUTDOWN")


def login(proxy, tenant):
    wire = Wire.connect(HOST, proxy.port)
    wire.login({"user": f"shop.{tenant}", "database": DATABASE}, password=proxy.stand.password)
    return wire


def backend_of(wire):
    return int(rows(wire.query("SELECT pg_backend_pid()"))[0][0])


def wait_until_gone(stand, pid, seconds=20):
    with stand.admin() as admin:
        wait_until(lambda: not admin.execute("SELECT FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchall(), seconds)


@pytest.mark.parametrize("signal_", [signal.SIGQUIT, signal.SIGINT])
def test_every_session_is_told_that_it_stops(stand, signal_):
    with stand.proxy(pool={"default_pool_size": 2}) as proxy, stand.admin() as admin:
        idle, inside, busy, waiting, held = (login(proxy, "acme") for _ in range(5))
        greeted, silent = (Wire.connect(HOST, proxy.port) for _ in range(2))
        greeted.send(startup({"user": "shop.acme", "database": DATABASE}))
        assert greeted.read().type == "R"
        held.query("BEGIN")
        inside.query("BEGIN")
        inside.query("SELECT count(*) FROM orders")
        sleeper = backend_of(busy)
        busy.send(query("SELECT pg_sleep(60)"))
        wait_until(lambda: admin.execute("SELECT query = 'SELECT pg_sleep(60)' FROM pg_stat_activity WHERE pid = %s",
                                         (sleeper,)).fetchone() == (True,))
        waiting.send(query("SELECT 1"))
        assert waiting.is_silent(0.05)

        proxy.process.send_signal(signal_)
        for wire in (idle, inside, busy, waiting, held, greeted, silent):
            assert ended(wire) == SHUTDOWN
            wire.close()
        assert proxy.process.wait(10) == 0
        assert not is_listening(proxy.port)
        admin.execute("SELECT pg_terminate_backend(%s)", (sleeper,))
        wait_until_gone(stand, sleeper)


def test_stopping_takes_back_what_was_not_committed(stand):
    with stand.proxy() as proxy, stand.admin() as admin:
        wire = login(proxy, "acme")
        wire.query("BEGIN")
        wire.query("INSERT INTO orders (id, item) VALUES (7001, 'acme 7001')")
        pid = backend_of(wire)
        proxy.process.send_signal(signal.SIGINT)
        assert ended(wire) == SHUTDOWN
        assert proxy.process.wait(10) == 0
        wire.close()
        wait_until_gone(stand, pid)
        assert admin.execute("SELECT count(*) FROM orders WHERE id = 7001").fetchone() == (0,)


def test_stopping_stops_what_runs(stand):
    """Or it would be committed after its client was told that the session is over."""
    with stand.proxy() as proxy, stand.admin() as admin:
        wire = login(proxy, "acme")
        pid = backend_of(wire)
        wire.send(query("SELECT pg_sleep(60)"))
        wait_until(lambda: admin.execute("SELECT query = 'SELECT pg_sleep(60)' FROM pg_stat_activity WHERE pid = %s",
                                         (pid,)).fetchone() == (True,))
        proxy.process.send_signal(signal.SIGINT)
        assert ended(wire) == SHUTDOWN
        wire.close()
        try:
            wait_until_gone(stand, pid, seconds=1)
        finally:
            admin.execute("SELECT pg_terminate_backend(%s)", (pid,))
            wait_until_gone(stand, pid)


def test_a_client_that_reads_nothing_does_not_hold_it_up(stand):
    with stand.proxy() as proxy:
        wire = login(proxy, "acme")
        wire.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 100000)"))
        wait_until(lambda: wire.socket.recv(1, socket.MSG_PEEK))
        proxy.process.send_signal(signal.SIGINT)
        assert proxy.process.wait(10) == 0
        wire.close()


def test_other_signals_and_a_second_one_do_no_harm(stand):
    with stand.proxy() as proxy:
        wire = login(proxy, "acme")
        for signal_ in (signal.SIGHUP, signal.SIGPIPE):
            proxy.process.send_signal(signal_)
            assert types(wire.query("SELECT 1")) == "TDCZ"
        proxy.process.send_signal(signal.SIGINT)
        proxy.process.terminate()
        assert ended(wire) == SHUTDOWN
        assert proxy.process.wait(10) == 0
        wire.close()
