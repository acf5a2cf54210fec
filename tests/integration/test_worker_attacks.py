"""Several workers, drains and probes at their limits: loops that turn for nothing, counters that fall, locks of others."""

import fcntl
import os
import resource
import signal
import socket
import threading
import time

import pytest
from harness.probe import ask, metrics, port_of, probed
from harness.stand import HOST
from harness.wire import query
from test_workers import begin, four, one_on_each

pytestmark = pytest.mark.alone  # they measure CPU time

TICK = os.sysconf("SC_CLK_TCK")
LITTLE = 0.1  # of one core


def cpu(proxy):
    with open(f"/proc/{proxy.process.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def cpu_over(proxy, seconds=2):
    """Cores that it used for so long."""
    before = cpu(proxy)
    time.sleep(seconds)
    return (cpu(proxy) - before) / seconds


def test_waiting_for_the_server_costs_nothing(stand):
    sections = four(cluster__default={"max_server_connections": 1}, pool={"default_pool_size": 20})
    with stand.proxy(**sections) as proxy, one_on_each(proxy) as wires:
        begin(wires[0])
        for wire in wires[1:]:
            wire.send(query("SELECT 1"))
        time.sleep(0.5)
        used = cpu_over(proxy)
        wires[0].query("COMMIT")
        assert used < LITTLE


def test_waiting_for_a_tenants_place_costs_nothing(stand):
    stand.tenant("third")
    with stand.proxy(**four(pool={"default_pool_size": 2, "max_tenant_connections": 1})) as proxy, \
            one_on_each(proxy) as acme, one_on_each(proxy, "globex") as globex, one_on_each(proxy, "third") as third:
        begin(acme[0])
        begin(globex[0])
        third[0].query("BEGIN")
        third[0].send(query("SELECT 1"))  # waits for a backend
        for wire in acme[1:]:
            wire.send(query("SELECT 1"))  # wait for acme's one place
        time.sleep(0.5)
        assert cpu_over(proxy, 1) < LITTLE
        acme[0].query("COMMIT")  # the backend is third's now; the place goes round
        time.sleep(0.5)
        assert cpu_over(proxy) < LITTLE


def test_it_lives_while_it_drains(stand):
    """The workers that have nobody left are there for questions until all are done."""
    with stand.proxy(**four({"drain_timeout": "20s"}), **probed(liveness_timeout="1s")) as proxy, \
            proxy.wire("acme") as wire:
        begin(wire)
        proxy.process.terminate()
        time.sleep(4)
        assert [ask(proxy, path)[0] for path in ("/livez", "/metrics")] == [200, 200]
        wire.query("COMMIT")


def test_a_lock_of_the_sockets_directory_does_not_stop_the_loop(stand):
    """Who may open the directory may lock it, and keep the lock."""
    with stand.proxy(**four({"drain_timeout": "20s"})) as proxy, one_on_each(proxy) as wires:
        begin(wires[0])
        directory = os.open(stand.folder, os.O_RDONLY)
        fcntl.flock(directory, fcntl.LOCK_EX)
        try:
            proxy.process.terminate()
            time.sleep(0.5)
            wires[0].send(query("SELECT 1"))
            assert not wires[0].is_silent(3)
            proxy.process.send_signal(signal.SIGTERM)
            assert proxy.process.wait(4) == 0
        finally:
            os.close(directory)


@pytest.mark.parametrize("path", ["/livez", "/metrics"])
def test_a_peer_that_half_closes_has_its_answer(stand, path):
    with stand.proxy(**four(), **probed()) as proxy:
        for _ in range(10):
            with socket.create_connection((HOST, port_of(proxy)), timeout=3) as peer:
                peer.sendall(f"GET {path} HTTP/1.1\r\n\r\n".encode())
                peer.shutdown(socket.SHUT_WR)
                assert peer.recv(100).startswith(b"HTTP/1.1 200")


def test_without_descriptors_the_probes_do_not_spin(stand):
    with stand.proxy(**four(), **probed()) as proxy:
        count = len(os.listdir(f"/proc/{proxy.process.pid}/fd"))
        resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE, (count, count))
        size = proxy.log.stat().st_size
        peers = [socket.create_connection((HOST, port_of(proxy))) for _ in range(3)]
        time.sleep(0.3)
        used = cpu_over(proxy)
        for peer in peers:
            peer.close()
        assert used < LITTLE
        assert proxy.log.stat().st_size - size < 10_000


def counters(proxy):
    return {key: value for key, value in metrics(proxy).items()
            if (key if isinstance(key, str) else key[0]).endswith(("_total", "_count", "_sum"))}


def test_counters_never_go_down_while_backends_move(stand):
    with stand.proxy(**four(pool={"default_pool_size": 1}), **probed()) as proxy, one_on_each(proxy) as wires:
        stop = threading.Event()

        def work(wire):
            while not stop.is_set():
                wire.query("SELECT repeat('x', 3000)")

        threads = [threading.Thread(target=work, args=(wire,)) for wire in wires]
        for thread in threads:
            thread.start()
        fell, last, end = {}, {}, time.monotonic() + 5
        try:
            while time.monotonic() < end:
                found = counters(proxy)
                fell |= {key: (last[key], value) for key, value in found.items() if value < last.get(key, 0)}
                last = found
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert not fell


def test_counters_of_a_route_stay_when_a_workers_pool_goes(stand):
    with stand.proxy(**four(pool={"default_pool_size": 1}), **probed()) as proxy, one_on_each(proxy) as wires:
        for wire in wires:
            for _ in range(10):
                wire.query("SELECT 1")
        before = counters(proxy)
        wires[1].close()
        time.sleep(1.5)
        after = counters(proxy)
        assert not {key: value for key, value in before.items() if after.get(key, 0) < value}
