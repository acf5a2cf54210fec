"""/livez and /readyz, their listener, and `bulkhead healthcheck`."""

import socket
import time
from contextlib import closing

import pytest

from harness.postgres import HOST, free_port
from harness.probe import ask, port_of, probed, raw
from harness.program import DONE, FAILED, bulkhead
from harness.relay import Relay
from harness.threads import held, workers
from harness.wait import wait_for


@pytest.fixture(scope="module")
def proxy(stand):
    with stand.proxy(**probed()) as proxy:
        yield proxy


def wait_until_ready(proxy):
    wait_for(lambda: ask(proxy, "/readyz")[1] == "ready\n", "the control database")


# ---- life and readiness ----

def test_it_lives_and_is_ready(proxy):
    wait_until_ready(proxy)
    assert ask(proxy, "/livez") == (200, "alive\n")
    assert ask(proxy, "/readyz") == (200, "ready\n")


def test_a_worker_that_stands_still_is_seen(stand):
    """Only the worker is held, by a debugger's means: the thread of the probes goes on."""
    with stand.proxy(**probed(liveness_timeout=1)) as proxy:
        with held(workers(proxy)[-1]):
            wait_for(lambda: ask(proxy, "/livez")[0] == 503, "the probe to fail")
            assert ask(proxy, "/livez")[1] == "the loop of a worker does not turn\n"
            assert ask(proxy, "/metrics") == (503, "a worker does not answer\n")
        wait_for(lambda: ask(proxy, "/livez")[0] == 200, "life")


def test_readiness_without_a_control_database(stand):
    """Nobody is known: nobody could be served."""
    with stand.proxy(**probed(), control={"dsn": f"host={HOST} port=1 dbname=x user=y"}) as proxy:
        status, body = ask(proxy, "/readyz")
        assert status == 503 and "control database" in body
        assert ask(proxy, "/livez")[0] == 200
        done = bulkhead("healthcheck", "-c", proxy.config)
        assert done.returncode == FAILED and "control database" in done.stderr


def test_who_is_known_keeps_it_ready(stand):
    """The control database goes away behind a relay; sessions of known tenants can still begin."""
    with closing(Relay(stand.postgres.port)) as relay:
        dsn = f"host={HOST} port={relay.port} dbname=shop user=bulkhead_sidecar"
        with stand.proxy(**probed(), control={"dsn": dsn}) as proxy:
            wait_until_ready(proxy)
            proxy.wire("acme").close()
            relay.cut()
            wait_for(lambda: ask(proxy, "/readyz")[1].startswith("ready: the control database cannot be reached"),
                     "the loss to be noticed")
            assert ask(proxy, "/readyz")[0] == 200


def test_readiness_ends_first(stand):
    """With a delay, clients are still served when the balancer has been told."""
    with stand.proxy(**probed(), bulkhead={"drain_delay": 2}) as proxy:
        wait_until_ready(proxy)
        wire = proxy.wire("acme")
        proxy.process.terminate()
        wait_for(lambda: ask(proxy, "/readyz")[0] == 503, "readiness to end", 1)
        assert ask(proxy, "/readyz") == (503, "not ready: Bulkhead is stopping\n")
        assert ask(proxy, "/livez")[0] == 200
        wire.query("SELECT 1")
        proxy.wire("acme").close()
        wire.close()
        assert proxy.process.wait(10) == 0


def test_probes_answer_while_transactions_end(stand):
    with stand.proxy(**probed()) as proxy:
        wire = proxy.wire("acme")
        wire.query("BEGIN")
        proxy.process.terminate()
        time.sleep(0.5)
        assert (ask(proxy, "/livez")[0], ask(proxy, "/readyz")[0], ask(proxy, "/metrics")[0]) == (200, 503, 200)
        wire.query("COMMIT")
        wire.close()
        assert proxy.process.wait(10) == 0


# ---- HTTP ----

@pytest.mark.parametrize("request_, status", [
    (b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", 200),
    (b"GET /livez HTTP/1.0\r\n\r\n", 200),
    (b"GET /livez HTTP/1.1\n\n", 200),
    (b"GET /livez?verbose HTTP/1.1\r\n\r\n", 200),
    (b"GET / HTTP/1.1\r\n\r\n", 404),
    (b"GET /livez/ HTTP/1.1\r\n\r\n", 404),
    (b"POST /livez HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 405),
    (b"DELETE /metrics HTTP/1.1\r\n\r\n", 405),
    (b"GET livez HTTP/1.1\r\n\r\n", 400),
    (b"GET /livez\r\n\r\n", 400),
    (b"GET  HTTP/1.1\r\n\r\n", 400),
    (b"\r\n\r\n", 400),
    (b"\x16\x03\x01\r\n\r\n", 400),
    (b"GET /livez HTTP/1.1\r\nX: " + b"a" * 9000 + b"\r\n\r\n", 431),
    (b"G" * 20000, 431),
])
def test_requests(proxy, request_, status):
    answer = raw(proxy, request_)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"\r\nConnection: close\r\n" in answer


def test_pieces_and_more_than_one_request(proxy):
    with socket.create_connection((HOST, port_of(proxy)), timeout=15) as probe:
        for byte in b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n":
            probe.sendall(bytes([byte]))
        assert probe.recv(4096).startswith(b"HTTP/1.1 200 ")
    twice = raw(proxy, b"GET /livez HTTP/1.1\r\n\r\n" * 2)
    assert twice.count(b"HTTP/1.1") == 1


def test_head(proxy):
    answer = raw(proxy, b"HEAD /livez HTTP/1.1\r\n\r\n")
    assert b"\r\nContent-Length: 6\r\n" in answer and answer.endswith(b"\r\n\r\n")


def test_connections_are_bounded(proxy):
    """Silent ones give way to new ones, and in the end to time."""
    before = proxy.descriptors()
    silent = [socket.create_connection((HOST, port_of(proxy)), timeout=15) for _ in range(100)]
    assert ask(proxy, "/livez")[0] == 200
    assert proxy.descriptors() <= before + 33
    assert silent[0].recv(1) == b""
    asked = time.monotonic()
    assert silent[-1].recv(1) == b""
    assert 5 < time.monotonic() - asked < 14
    for probe in silent:
        probe.close()


def test_a_peer_that_does_not_read_its_answer(proxy):
    with socket.create_connection((HOST, port_of(proxy)), timeout=15) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        probe.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert ask(proxy, "/livez")[0] == 200


def test_a_peer_that_leaves_before_its_answer(proxy):
    for _ in range(20):
        probe = socket.create_connection((HOST, port_of(proxy)))
        probe.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        probe.close()
    assert ask(proxy, "/metrics")[0] == 200


# ---- listeners ----

def test_a_unix_socket(stand, tmp_path):
    path = tmp_path / "probes"
    with stand.proxy(probes={"unix_socket": path}) as proxy:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(path))
            probe.sendall(b"GET /livez HTTP/1.1\r\n\r\n")
            assert probe.recv(4096).startswith(b"HTTP/1.1 200 ")
        wait_for(lambda: bulkhead("healthcheck", "-c", proxy.config).returncode == DONE, "readiness")
    assert not path.exists()


def test_a_port_in_use(stand):
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        words = f'probes.listen".*"port":"{other.getsockname()[1]}".*Address already in use'
        with pytest.raises(RuntimeError, match=words):
            stand._started({"probes": {"listen_addr": HOST, "listen_port": other.getsockname()[1]},
                            "listen__default": {"listen_port": free_port()}})


# ---- healthcheck ----

def test_healthcheck(proxy):
    wait_until_ready(proxy)
    done = bulkhead("healthcheck", "-c", proxy.config)
    assert (done.returncode, done.stdout, done.stderr) == (DONE, "ready\n", "")
    done = bulkhead("healthcheck", "--live", "-c", proxy.config)
    assert (done.returncode, done.stdout) == (DONE, "alive\n")


def test_healthcheck_of_nobody(proxy):
    port = free_port()
    done = bulkhead("healthcheck", "-c", proxy.config, "--set", f"probes.listen_port={port}")
    assert (done.returncode, done.stderr) == (
        FAILED, f"bulkhead healthcheck: {HOST} port {port}: Connection refused\n")
    done = bulkhead("healthcheck", "-c", proxy.config, "--set", "probes.listen_addr=")
    assert (done.returncode, done.stderr) == (FAILED, "bulkhead healthcheck: [probes] listens nowhere\n")
    done = bulkhead("healthcheck", "-c", proxy.config, "--set", "probes.unix_socket=/nosuch/probes")
    assert (done.returncode, done.stderr) == (
        FAILED, "bulkhead healthcheck: /nosuch/probes: No such file or directory\n")
    done = bulkhead("healthcheck", "-c", proxy.config, "--set", "probes.listen_addr=no.such.host.invalid")
    assert done.returncode == FAILED
    assert done.stderr.startswith("bulkhead healthcheck: no.such.host.invalid port ")


def test_healthcheck_of_one_that_does_not_answer(proxy):
    with socket.socket() as silent:
        silent.bind((HOST, 0))
        silent.listen()
        began = time.monotonic()
        port = silent.getsockname()[1]
        done = bulkhead("healthcheck", "-c", proxy.config, "--set", f"probes.listen_port={port}")
        assert (done.returncode, done.stderr) == (
            FAILED, f"bulkhead healthcheck: {HOST} port {port}: no answer within 3 s\n")
        assert time.monotonic() - began < 10
