"""Stopping: what SIGTERM lets end, what it ends, and what everybody is told."""

import signal
import socket
import time

import psycopg
import pytest

from harness.postgres import HOST, free_port
from harness.program import INSTRUMENTED
from harness.restarts import Fleet
from harness.stand import DATABASE
from harness.wait import wait_for
from harness.wire import (Wire, bind, copy_data, copy_done, execute, flush, parse, query, rows, startup, sync, types)

DRAINED = ("FATAL", "57P01", "reason=BH-NET-DRAINED")
DRAINING = ("FATAL", "57P03", "reason=BH-NET-DRAINING")
SHUTDOWN = ("FATAL", "57P01", "reason=BH-NET-SHUTDOWN")


def ended(wire):
    """SQLSTATE and reason of the last message before the connection was closed."""
    last = wire.until_end()[-1]
    assert last.type == "E"
    return last.fields["S"], last.fields["C"], last.fields["D"]


def is_listening(proxy):
    with socket.socket() as probe:
        return probe.connect_ex((HOST, proxy.port)) == 0


def drain(proxy):
    """Has begun when this returns."""
    proxy.process.terminate()
    wait_for(lambda: not is_listening(proxy), "the listener to close")


def exit_code(proxy, seconds=10):
    return proxy.process.wait(seconds)


@pytest.fixture
def proxy(stand):
    with stand.proxy(pool={"default_pool_size": 2}) as proxy:
        yield proxy


def test_idle_sessions_end_at_once(proxy):
    fresh, used = proxy.wire("acme"), proxy.wire("globex")
    used.query("SELECT 1")
    asked = time.monotonic()
    proxy.process.terminate()
    assert [ended(wire) for wire in (fresh, used)] == [DRAINED] * 2
    for wire in (fresh, used):
        wire.close()
    assert exit_code(proxy) == 0 and time.monotonic() - asked < 5
    assert not is_listening(proxy)


def test_transactions_finish(stand, proxy):
    """Also one that Bulkhead alone has begun, and one that waits for a backend."""
    held, inside, third = (proxy.wire("acme") for _ in range(3))
    for wire in (held, inside, third):
        assert types(wire.query("BEGIN")) == "CZ"
    for wire in (inside, third):
        wire.query("SELECT 1")
    drain(proxy)
    held.send(query("INSERT INTO orders (id, item) VALUES (9001, 'held')"))
    assert held.is_silent(0.3), "both backends are taken"
    for wire, number in ((inside, 9002), (third, 9003)):
        assert types(wire.query(f"INSERT INTO orders (id, item) VALUES ({number}, 'inside')")) == "CZ"
        assert types(wire.query("COMMIT")) == "CZ"
        assert ended(wire) == DRAINED
    assert types(held.until_ready()) == "CZ"
    assert types(held.query("COMMIT")) == "CZ"
    assert ended(held) == DRAINED
    for wire in (held, inside, third):
        wire.close()
    assert exit_code(proxy) == 0
    with stand.admin() as admin:
        found = admin.execute("DELETE FROM orders WHERE id BETWEEN 9001 AND 9003 RETURNING id").fetchall()
    assert len(found) == 3


def outcome(proxy):
    (line,) = proxy.events("serve.drained")
    assert 0 <= int(line["duration_ms"]) < 20000
    return [int(line[name]) for name in ("sessions", "idle", "finished", "cut")], line["level"]


def test_the_log_says_how_it_went(proxy):
    """Two are idle, one finishes, one leaves; none is cut, and one that had left before is nobody."""
    early, *idle, inside, leaver = (proxy.wire("acme") for _ in range(5))
    early.close()
    for wire in (inside, leaver):
        wire.query("BEGIN")
        wire.query("SELECT 1")
    proxy.process.terminate()
    assert [ended(wire) for wire in idle] == [DRAINED] * 2
    leaver.close()
    inside.query("COMMIT")
    assert ended(inside) == DRAINED
    for wire in (*idle, inside):
        wire.close()
    assert exit_code(proxy) == 0
    assert outcome(proxy) == ([4, 2, 1, 0], "info")


@pytest.mark.parametrize("cause", ["drain_timeout", "a second signal", "a second signal during the delay"])
def test_the_log_says_what_was_cut(stand, cause):
    limits = {"drain_timeout": "1s" if cause == "drain_timeout" else "60s",
              "drain_delay": "50s" if "delay" in cause else "0s"}
    with stand.proxy(bulkhead=limits) as proxy:
        inside = proxy.wire("acme")
        inside.query("BEGIN")
        inside.query("SELECT 1")
        proxy.process.terminate()
        if cause != "drain_timeout":
            wait_for(lambda: proxy.events("serve.stopping"), "the first signal")
            time.sleep(0.2)
            proxy.process.terminate()
        assert ended(inside) == SHUTDOWN
        inside.close()
        assert exit_code(proxy) == 0
        assert outcome(proxy) == ([1, 0, 0, 1], "warning")


def test_where_nobody_drains_nothing_is_said_of_it(proxy):
    proxy.process.send_signal(signal.SIGINT)
    assert exit_code(proxy) == 0
    assert not proxy.events("serve.drained")


def test_a_failed_transaction_goes_on_to_its_rollback(proxy):
    wire = proxy.wire("acme")
    wire.query("BEGIN")
    assert types(wire.query("SELECT 1/0")) in ("EZ", "TEZ")
    drain(proxy)
    assert types(wire.query("SELECT 1")) == "EZ"
    assert wire.query("ROLLBACK")[-1].status == "I"
    assert ended(wire) == DRAINED
    wire.close()


def test_a_statement_finishes(proxy):
    wire = proxy.wire("acme")
    wire.send(query("SELECT pg_sleep(1)"))
    assert wire.is_silent(0.2)
    drain(proxy)
    assert types(wire.until_ready()) == "TDCZ"
    assert ended(wire) == DRAINED
    wire.close()


def test_copy_finishes(stand, proxy):
    wire = proxy.wire("acme")
    wire.query("CREATE TEMP TABLE taken (n int)")
    wire.send(query("COPY taken FROM STDIN"))
    assert wire.read().type == "G"
    drain(proxy)
    wire.send(copy_data("1\n"), copy_data("2\n"), copy_done())
    done = wire.until_ready()
    assert done[0].tag == "COPY 2"
    assert ended(wire) == DRAINED
    wire.close()


@pytest.mark.parametrize("begun", [
    [parse("SELECT 1")],
    [parse("SELECT 1"), bind(), execute(), flush()],
    [parse("BEGIN"), bind(), execute()],
    [query("SELECT 1")[:-3]],
], ids=["a Parse", "an Execute and Flush", "a BEGIN of Bulkhead's", "a piece of a Query"])
def test_a_batch_is_carried_out_to_its_end(proxy, begun):
    wire = proxy.wire("acme")
    wire.send(*begun)
    time.sleep(0.2)
    drain(proxy)
    time.sleep(0.3)
    if begun[0][:1] == b"Q":
        wire.send(query("SELECT 1")[-3:])
    elif len(begun) == 1:
        wire.send(bind(), execute(), sync())
    else:
        wire.send(sync())
    last = wire.until_ready()[-1]
    if last.status == "T":
        assert wire.query("COMMIT")[-1].status == "I"
    assert ended(wire) == DRAINED
    wire.close()


def test_a_batch_that_only_describes_is_nothing_under_way(proxy):
    """Bulkhead ends it by itself, so that the backend is free: nothing of it was carried out."""
    wire = proxy.wire("acme")
    wire.send(parse("SELECT 1"), flush())
    assert wire.read().type == "1"
    proxy.process.terminate()
    assert ended(wire) == DRAINED
    wire.close()


def test_what_fails_in_a_batch_is_skipped_to_its_sync(proxy):
    wire = proxy.wire("acme")
    wire.send(parse("SELECT nothing"), flush())
    assert wire.read().type == "E"
    drain(proxy)
    time.sleep(0.3)
    wire.send(bind(), execute(), sync())
    assert types(wire.until_ready()) == "Z"
    assert ended(wire) == DRAINED
    wire.close()


def test_sessions_that_keep_their_backend(proxy):
    """A temporary table or a LISTEN does not hold up the end; a transaction in such a session does."""
    idle, inside = proxy.wire("acme"), proxy.wire("acme")
    for wire in (idle, inside):
        wire.query("CREATE TEMP TABLE kept (n int)")
    inside.query("BEGIN")
    inside.query("INSERT INTO kept VALUES (1)")
    proxy.process.terminate()
    assert ended(idle) == DRAINED
    assert rows(inside.query("SELECT n FROM kept")) == [["1"]]
    assert types(inside.query("COMMIT")) == "CZ"
    assert ended(inside) == DRAINED
    for wire in (idle, inside):
        wire.close()
    assert exit_code(proxy) == 0


def test_session_mode(stand):
    with stand.proxy(pool={"pool_mode": "session"}) as proxy:
        wire = proxy.wire("acme")
        wire.query("BEGIN")
        wire.query("SELECT 1")
        drain(proxy)
        assert types(wire.query("COMMIT")) == "CZ"
        assert ended(wire) == DRAINED
        wire.close()
        assert exit_code(proxy) == 0


def test_a_statement_that_has_arrived_is_served(proxy):
    """It was sent before the end was said; the answer comes first."""
    wire = proxy.wire("acme")
    wire.query("BEGIN")
    wire.query("SELECT 1")
    drain(proxy)
    wire.send(query("COMMIT"), query("SELECT 2"))
    assert types(wire.until_ready()) == "CZ"
    assert types(wire.until_ready()) == "TDCZ"
    assert ended(wire) == DRAINED
    wire.close()


# ---- logging in ----

def test_logins_are_refused_so_that_libpq_goes_on(proxy):
    greeted, silent, late, busy = *(Wire.connect(HOST, proxy.port) for _ in range(3)), proxy.wire("acme")
    busy.query("BEGIN")
    greeted.send(startup({"user": "shop.acme", "database": DATABASE}))
    assert greeted.read().type == "R"
    drain(proxy)
    assert ended(greeted) == DRAINING
    late.send(startup({"user": "shop.acme", "database": DATABASE}))
    assert ended(late) == DRAINING
    assert ended(silent) == DRAINING  # after a second
    assert busy.query("COMMIT")[-1].status == "I"
    assert ended(busy) == DRAINED
    for wire in (greeted, silent, late, busy):
        wire.close()
    assert exit_code(proxy) == 0


def test_libpq_takes_the_other_host(stand, proxy):
    with stand.proxy() as other, proxy.connect("acme", autocommit=False) as busy:
        busy.execute("SELECT 1")
        drain(proxy)
        hosts = proxy.conninfo("acme").replace(f"port={proxy.port}", f"port={proxy.port},{other.port}").replace(
            f"host={HOST}", f"host={HOST},{HOST}")
        with psycopg.connect(hosts) as connection:
            assert connection.info.port == other.port
        busy.commit()


def test_a_delay_in_which_all_goes_on(stand):
    with stand.proxy(bulkhead={"drain_delay": 2}) as proxy:
        first = proxy.wire("acme")
        asked = time.monotonic()
        proxy.process.terminate()
        time.sleep(0.5)
        second = proxy.wire("globex")
        assert types(first.query("SELECT 1")) == types(second.query("SELECT 1")) == "TDCZ"
        assert ended(first) == ended(second) == DRAINED
        assert 1.8 < time.monotonic() - asked < 4
        for wire in (first, second):
            wire.close()
        assert exit_code(proxy) == 0


# ---- the end of patience ----

def test_what_does_not_end_is_broken_off(stand):
    with stand.proxy(bulkhead={"drain_timeout": 2}) as proxy:
        silent, held, busy = (proxy.wire("acme") for _ in range(3))
        silent.query("BEGIN")
        silent.query("INSERT INTO orders (id, item) VALUES (9100, 'never')")
        held.query("BEGIN")
        busy.send(query("SELECT pg_sleep(60)"))
        asked = time.monotonic()
        proxy.process.terminate()
        assert [ended(wire) for wire in (silent, held, busy)] == [SHUTDOWN] * 3
        assert 1.8 < time.monotonic() - asked < 5
        for wire in (silent, held, busy):
            wire.close()
        assert exit_code(proxy) == 0
        assert proxy.events("drain.timeout")
        with stand.admin() as admin:
            assert admin.execute("SELECT count(*) FROM orders WHERE id = 9100").fetchone() == (0,)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_second_signal_ends_it_now(proxy, second):
    wire = proxy.wire("acme")
    wire.query("BEGIN")
    wire.query("SELECT 1")
    drain(proxy)
    assert wire.is_silent(0.3)
    proxy.process.send_signal(second)
    assert ended(wire) == SHUTDOWN
    wire.close()
    assert exit_code(proxy, 5) == 0


def test_a_client_that_reads_nothing_is_not_waited_for_longer(stand):
    with stand.proxy(bulkhead={"drain_timeout": 2}) as proxy:
        wire = proxy.wire("acme")
        wire.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 100000)"))
        wait_for(lambda: wire.socket.recv(1, socket.MSG_PEEK), "rows")
        proxy.process.terminate()
        assert exit_code(proxy, 8) == 0
        wire.close()


def test_many_idle_sessions_are_all_told(stand):
    with stand.proxy(bulkhead={"max_login_conn": 5}, listen__trusted={}) as proxy:
        wires = [proxy.wire("acme", trusted=True) for _ in range(60)]
        for wire in wires:
            wire.send(b"Q")  # a byte that is never read would reset the connection, and take the message along
        time.sleep(0.2)
        for wire in wires[::2]:
            wire.send(query("SELECT 1")[1:])
        proxy.process.terminate()
        for number, wire in enumerate(wires):
            if number % 2:
                wire.send(query("SELECT 1")[1:])
            messages = wire.until_end()
            assert messages[-1].fields["D"] == DRAINED[2]
            wire.close()
        assert exit_code(proxy) == 0


def test_settings(stand):
    with pytest.raises(RuntimeError, match="leaves nothing of drain_timeout"):
        stand._started({"bulkhead": {"drain_delay": 5, "drain_timeout": 5}})


# ---- under load ----

@pytest.mark.alone
@pytest.mark.parametrize("restarts", [6, pytest.param(20, marks=pytest.mark.longer)])
def test_restarts_under_load_break_no_transaction(stand, restarts):
    port, trusted = free_port(), free_port()
    sections = {"listen__default": {"listen_port": port}, "listen__trusted": {"listen_port": trusted},
                "pool": {"default_pool_size": 6}, "log": {"level": "info"}}

    def connect():
        wire = Wire.connect(str(stand.folder), trusted)
        return wire.login({"user": "shop.acme", "database": DATABASE}, "")

    fleet = Fleet(connect, clients=200)
    proxy = stand._started(sections)
    fleet.start()
    try:
        for _ in range(restarts):
            time.sleep(0.4)
            proxy.process.terminate()
            assert exit_code(proxy, 20) == 0
            assert not proxy.events("drain.timeout")
            proxy = stand._started(sections)
        time.sleep(0.4)
        fleet.stop()
    finally:
        fleet.is_stopping = True
        proxy.stop()
    with stand.admin() as admin:  # before anything fails: other tests count the rows
        found = {row for (row,) in admin.execute("DELETE FROM orders WHERE item = 'drain' RETURNING id").fetchall()}
    assert fleet.broken == []
    assert len(fleet.promised) > (500 if INSTRUMENTED else 2000)
    assert found == fleet.promised, "what was promised, and nothing else"
    assert not found & fleet.denied
    print(f"{len(fleet.promised)} pieces of work, {len(fleet.denied)} were told to come again")
