"""What a service manager is told, and the sockets that it hands over: systemd's protocols without systemd."""

import os
import re
import signal
import socket
import sys
import time

import pytest

from harness.postgres import HOST, free_port
from harness.stand import DATABASE, Proxy
from harness.wait import wait_for
from harness.wire import Wire, query, types

# Stands between the test and the program: sets what systemd would set, opens sockets, becomes the program.
LAUNCHER = """
import os, socket, sys
where, watchdog, names, *program = sys.argv[1:]
if where:
    os.environ["NOTIFY_SOCKET"] = where
if watchdog:
    os.environ["WATCHDOG_USEC"], os.environ["WATCHDOG_PID"] = watchdog, str(os.getpid())
opened = []
for part in filter(None, names.split(",")):
    name, place = part.split("=")
    if place.startswith("/"):
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(place)
    else:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", int(place)))
    listening.listen()
    opened.append((name, listening))
for number, (name, listening) in enumerate(opened):
    os.dup2(listening.fileno(), 40 + number)
for number in range(len(opened)):
    os.dup2(40 + number, 3 + number, inheritable=True)
if opened:
    os.environ["LISTEN_PID"], os.environ["LISTEN_FDS"] = str(os.getpid()), str(len(opened))
    os.environ["LISTEN_FDNAMES"] = ":".join(name for name, _ in opened)
os.execv(program[0], program)
"""


@pytest.fixture
def launched(stand):
    """A way to start a proxy as a service manager would."""
    made = []

    def launch(where="", watchdog="", names="", **sections):
        proxy = Proxy(stand, sections)
        proxy.wrapper = [sys.executable, "-c", LAUNCHER, where, watchdog, names, *proxy.wrapper]
        made.append(proxy)
        return proxy.start()

    yield launch
    for proxy in made:
        if proxy.process and proxy.process.poll() is None:
            proxy.process.send_signal(signal.SIGCONT)
            proxy.stop()


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """The socket of a service manager, and its name as NOTIFY_SOCKET has it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as here:
        name = str(tmp_path / "notify") if request.param == "path" else f"@bulkhead-test-{os.getpid()}-{id(request)}"
        here.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)
        here.settimeout(10)
        yield here, name


def hear(manager):
    return manager[0].recv(4096).decode().splitlines()


def test_from_start_to_end(launched, manager):
    proxy = launched(manager[1])
    assert hear(manager) == ["READY=1"]
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    proxy.reload()
    reloading, stamp = hear(manager)
    assert reloading == "RELOADING=1"
    assert before <= int(re.fullmatch(r"MONOTONIC_USEC=(\d+)", stamp)[1]) < before + 10_000_000
    assert hear(manager) == ["READY=1"]
    proxy.reload("serve.reload_failed", pool={"default_pool_size": "many"})
    assert [hear(manager)[0], hear(manager)[0]] == ["RELOADING=1", "READY=1"]
    proxy.process.terminate()
    assert hear(manager) == ["STOPPING=1"]
    assert proxy.process.wait(10) == 0


def test_the_watchdog_is_fed_while_loops_turn(launched, manager):
    proxy = launched(manager[1], watchdog="400000")
    assert hear(manager) == ["READY=1"]
    stamps = []
    while len(stamps) < 5:
        assert hear(manager) == ["WATCHDOG=1"]
        stamps.append(time.monotonic())
    assert max(later - earlier for earlier, later in zip(stamps, stamps[1:])) < 0.4
    wire = proxy.wire("acme")
    wire.query("BEGIN")
    proxy.process.terminate()
    told = [hear(manager)[0] for _ in range(6)]
    assert told.count("STOPPING=1") == 1 and told.count("WATCHDOG=1") == 5, "also while transactions end"
    wire.query("COMMIT")
    wire.close()


def test_nobody_to_be_told(launched, tmp_path):
    for where in (str(tmp_path / "nobody"), "relative", "@", "/" + "x" * 200):
        proxy = launched(where, watchdog="nonsense")
        proxy.process.terminate()
        assert proxy.process.wait(10) == 0


# ---- sockets ----

def test_sockets_by_the_listeners_names(launched, stand, tmp_path):
    """The addresses of the settings are not opened; the trusted one is recognised as a unix socket."""
    port, path = free_port(), tmp_path / "handed"
    proxy = launched(names=f"trusted={path},default={port}", listen__trusted={})
    with Wire.connect(HOST, port) as wire:
        wire.login({"user": "shop.acme", "database": DATABASE}, password=stand.password)
        assert types(wire.query("SELECT 1")) == "TDCZ"
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(path))
        wire = Wire(raw)
        wire.login({"user": "shop.acme", "database": DATABASE}, password="")
        assert types(wire.query("SELECT 1")) == "TDCZ"
    with socket.socket() as probe:
        assert probe.connect_ex((HOST, proxy.port)) != 0
    proxy.stop()
    assert path.exists(), "it is not ours to remove"


def test_a_tcp_socket_for_a_trusted_listener_is_not_trusted(launched, stand):
    port = free_port()
    launched(names=f"trusted={port}", listen__trusted={})
    with Wire.connect(HOST, port) as wire:
        wire.login({"user": "shop.acme", "database": DATABASE}, password=stand.password)
    with pytest.raises(Exception, match="28P01"), Wire.connect(HOST, port) as wire:
        wire.login({"user": "shop.acme", "database": DATABASE}, password="wrong")


def test_a_socket_without_a_section(launched):
    with pytest.raises(RuntimeError, match="there is no .listen:NAME. of this name"):
        launched(names=f"bulkhead.socket={free_port()}")


def test_those_who_connect_meanwhile_wait_for_the_next(launched, stand):
    """The socket lives on in the manager: nobody is refused between two processes."""
    with socket.socket() as listening:
        listening.bind((HOST, 0))
        listening.listen()
        port = listening.getsockname()[1]

        def next_one():
            proxy = Proxy(stand, {})
            shared = LAUNCHER.replace("= socket.socket()\n", f"= socket.socket(fileno=os.dup({fd}))\n")
            shared = shared.replace("        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n", "")
            shared = shared.replace('        listening.bind(("127.0.0.1", int(place)))\n', "")
            proxy.wrapper = [sys.executable, "-c", shared, "", "", f"default={port}"]
            return proxy

        fd = os.dup(listening.fileno())
        os.set_inheritable(fd, True)
        first = start_keeping(next_one(), fd)
        with Wire.connect(HOST, port) as wire:
            wire.login({"user": "shop.acme", "database": DATABASE}, password=stand.password)
        first.process.terminate()
        assert first.process.wait(10) == 0
        waiting = Wire.connect(HOST, port)  # nobody accepts it now
        second = start_keeping(next_one(), fd)
        waiting.login({"user": "shop.acme", "database": DATABASE}, password=stand.password)
        waiting.send(query("SELECT 1"))
        assert types(waiting.until_ready()) == "TDCZ"
        waiting.close()
        second.stop()
        os.close(fd)


def start_keeping(proxy, fd):
    """As proxy.start, with a descriptor that the process inherits."""
    import subprocess
    original = subprocess.Popen

    def popen(*arguments, **more):
        return original(*arguments, **more, pass_fds=[fd])

    subprocess.Popen = popen
    try:
        return proxy.start()
    finally:
        subprocess.Popen = original


def test_variables_for_another_process_are_not_ours(stand):
    with stand.proxy() as proxy:
        assert proxy.connect("acme").closed is False
    os.environ["LISTEN_PID"], os.environ["LISTEN_FDS"] = "1", "1"
    try:
        with stand.proxy() as proxy:
            proxy.wire("acme").close()
    finally:
        del os.environ["LISTEN_PID"], os.environ["LISTEN_FDS"]


def test_descriptors_that_are_no_sockets(stand):
    proxy = Proxy(stand, {})
    proxy.wrapper = [sys.executable, "-c",
                     "import os, sys\nos.dup2(os.open('/dev/null', os.O_RDONLY), 3)\n"
                     "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES='default')\n"
                     "os.execv(sys.argv[1], sys.argv[1:])"]
    with pytest.raises(RuntimeError, match="no listening stream socket"):
        proxy.start()
