"""What the system does not give, and what it tells of peers that have vanished."""

import os
import resource
import socket
import time
from pathlib import Path

from harness.postgres import HOST
from harness.scene import wait_until
from harness.wire import query, rows


def cpu_seconds(pid):
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e9


def is_served(wire):
    return rows(wire.query("SELECT count(*) FROM orders")) == [["20"]]


def test_out_of_descriptors(stand):
    """Who is there is served, nothing spins, and who comes waits until there are descriptors again."""
    with stand.proxy(pool={"default_pool_size": 2}) as proxy, proxy.wire("acme") as acme:
        assert is_served(acme)
        resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE, (48, 48))
        strangers = [socket.create_connection((HOST, proxy.port)) for _ in range(80)]
        try:
            time.sleep(0.3)
            assert is_served(acme)
            before = cpu_seconds(proxy.process.pid)
            time.sleep(1)
            assert cpu_seconds(proxy.process.pid) - before < 0.2
            assert is_served(acme)
            # A backend for another tenant takes a descriptor that there is none of: hand-over, or the truth.
            acme.query("BEGIN")
            assert is_served(acme)
            assert rows(acme.query("COMMIT")) == []
        finally:
            for stranger in strangers:
                stranger.close()
        with proxy.wire("globex") as globex:
            assert is_served(globex) and is_served(acme)


def timers(proxy):
    """Of the proxy's connections, by the kernel's table (proc(5)): local port, remote port, which timer, seconds left."""
    inodes = {os.readlink(f"/proc/{proxy.process.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{proxy.process.pid}/fd")}
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        _, local, remote, state, _, timer, _, _, _, inode, *_ = line.split()
        if state == "01" and f"socket:[{inode}]" in inodes:
            kind, ticks = timer.split(":")
            yield int(local.split(":")[1], 16), int(remote.split(":")[1], 16), kind, int(ticks, 16) / os.sysconf("SC_CLK_TCK")


KEEPALIVE = "02"


def test_connections_are_probed(stand):
    """The kernel asks silent peers whether they are still there, as the settings say, on both sides."""
    with stand.proxy(bulkhead={"tcp_keepidle": "7s"}) as proxy, proxy.wire("acme") as acme:
        assert is_served(acme)
        time.sleep(0.3)  # until nothing waits to be acknowledged
        found = list(timers(proxy))
        clients = [timer for timer in found if timer[0] == proxy.port]
        servers = [timer for timer in found if timer[1] == stand.postgres.port]
        is_probed = [kind == KEEPALIVE and 0 < seconds <= 7 for *_, kind, seconds in clients + servers]
        # All but the control connection, which goes to the same server and is tried every two seconds instead.
        assert len(clients) == 1 and sum(is_probed) == len(clients) + len(servers) - 1 >= 2


def test_a_peer_that_acknowledges_nothing_is_given_up(stand):
    """tcp_user_timeout is on the sockets: the kernel ends a connection whose bytes nobody takes for so long."""
    with stand.proxy(bulkhead={"tcp_user_timeout": "2s"}) as proxy, proxy.wire("acme") as acme:
        acme.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        acme.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 100000)"))
        # The window closes and stays closed; the kernel's probes of it are answered, but no byte is taken.
        wait_until(lambda: proxy.events("backend.closed"), 20)
        with proxy.wire("globex") as globex:
            assert is_served(globex)
