"""One process takes the other's place (`reuse_port`), and nobody who connects meanwhile is refused."""

import contextlib
import os
import signal
import socket
import threading
import time

import pytest
from harness.stand import HOST
from harness.wait import wait_for
from harness.wire import Wire, WireError, errors, query, rows

pytestmark = pytest.mark.alone


def replace(proxy):
    """Starts another process beside the one that runs, and asks that one to go; returns it."""
    before = proxy.process
    proxy.start()
    before.terminate()
    return before


class Callers:
    """Clients that connect, ask something and leave, all the time. What went wrong is in `failed`."""

    def __init__(self, ways):
        self.failed, self.served, self.longest = [], 0, 0.0
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self._call, args=(way,)) for way in ways]

    def _call(self, connect):
        while not self.stop.is_set():
            began = time.monotonic()
            try:
                with connect() as wire:
                    found = wire.query("SELECT 'served'")
                    assert rows(found) == [["served"]], errors(found)
                self.served += 1
            except (OSError, EOFError, WireError, AssertionError) as failure:
                self.failed.append(repr(failure))
            self.longest = max(self.longest, time.monotonic() - began)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()


@pytest.mark.parametrize("workers", [1, 4])
def test_nobody_is_refused_over_ten_replacements(stand, workers):
    with stand.proxy(bulkhead={"workers": workers, "reuse_port": "yes"}, listen__trusted={}) as proxy:
        ways = [lambda: proxy.wire("acme"), lambda: proxy.wire("globex"), lambda: proxy.wire("acme", trusted=True)]
        gone = []
        with Callers(ways * 2) as callers:
            for _ in range(10):
                gone.append(replace(proxy))
                served = callers.served
                wait_for(lambda: callers.served > served + 50, "fifty more", seconds=20)
                time.sleep(0.3)
        assert callers.failed == []
        assert callers.longest < 5, "a SYN that was turned away is repeated after a second"
        assert [process.wait(10) for process in gone] == [0] * 10


def test_sessions_of_the_one_that_goes_end_their_transactions(stand):
    with stand.proxy(bulkhead={"reuse_port": "yes"}) as proxy, proxy.wire("acme") as wire:
        wire.query("BEGIN")
        assert rows(wire.query("SELECT 1")) == [["1"]]
        before = replace(proxy)
        time.sleep(1.5)
        assert rows(wire.query("SELECT 2")) == [["2"]]
        with proxy.wire("acme") as other:
            assert rows(other.query("SELECT 3")) == [["3"]]
        wire.query("COMMIT")
        assert wire.until_end()[-1].fields["C"] == "57P01"
        assert before.wait(10) == 0


def test_the_unix_socket_stays(stand):
    """The one that goes leaves the other's file alone, and the last one removes its own."""
    with stand.proxy(bulkhead={"reuse_port": "yes"}, listen__trusted={"unix_socket_mode": "0700"}) as proxy:
        path = proxy.socket_dir / f".s.PGSQL.{proxy.trusted_port}"
        first = os.stat(path)
        before = replace(proxy)
        assert before.wait(10) == 0
        second = os.stat(path)
        assert (first.st_ino, first.st_ctime_ns) != (second.st_ino, second.st_ctime_ns)
        assert second.st_mode & 0o777 == 0o700
        with proxy.wire("acme", trusted=True) as wire:
            assert rows(wire.query("SELECT 1")) == [["1"]]
        assert not list(proxy.socket_dir.glob(".bh*"))
        proxy.stop()
        assert not path.exists()


def test_a_file_that_a_crash_has_left_is_replaced(stand):
    with stand.proxy(bulkhead={"reuse_port": "yes"}, listen__trusted={}) as proxy:
        proxy.process.kill()
        proxy.process.wait()
        proxy.start()
        with proxy.wire("acme", trusted=True) as wire:
            assert rows(wire.query("SELECT 1")) == [["1"]]


def test_connections_that_have_begun_are_served(stand):
    """Those in the queue of the socket when it is time to go: the process is too busy to accept them before."""
    with stand.proxy(bulkhead={"reuse_port": "yes"}) as proxy, contextlib.ExitStack() as stack:
        before = proxy.process
        before.send_signal(signal.SIGSTOP)
        begun = [stack.enter_context(Wire.connect(HOST, proxy.port)) for _ in range(30)]
        proxy.start()
        before.terminate()
        before.send_signal(signal.SIGCONT)
        for wire in begun:
            wire.login({"user": "shop.acme", "database": "shop"}, stand.password)
            wire.send(query("SELECT 1"))
            assert not errors(wire.until_ready())
        assert before.wait(10) == 0


def test_without_the_setting_the_address_is_taken(stand):
    with stand.proxy() as proxy:
        with pytest.raises(RuntimeError, match="Address already in use"):
            running = proxy.process
            try:
                proxy.start()
            finally:
                proxy.process = running
        with socket.socket() as probe:
            assert probe.connect_ex((HOST, proxy.port)) == 0
