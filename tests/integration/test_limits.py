"""How many clients there may be, and how long they may take to log in."""

import contextlib
import select
import threading
import time

import pytest
from harness.stand import HOST, PRINCIPAL
from harness.wait import wait_for
from harness.wire import (ScramClient, Wire, WireError, query, rows, sasl_initial, ssl_request, startup, terminate,
                          types, why)

CLIENTS = ("53300", "BH-LIM-CLIENTS")
TENANT_CLIENTS = ("53300", "BH-LIM-TENANT-CLIENTS")
USER_CLIENTS = ("53300", "BH-LIM-USER-CLIENTS")
LOGINS = ("53300", "BH-LIM-LOGINS")
LOGIN_TIMEOUT = ("57014", "BH-LIM-LOGIN-TIMEOUT")


@pytest.fixture(scope="module")
def stand(stand):
    stand.principal("boss")
    return stand


@contextlib.contextmanager
def open_wires():
    """A list for connections that are closed at the end."""
    wires = []
    try:
        yield wires
    finally:
        for wire in wires:
            wire.close()


def refusal(connect, *arguments):
    with pytest.raises(WireError) as refused:
        connect(*arguments)
    return refused.value.why


def connect_soon(connect, *arguments):
    """Connects when a place is free: one that was left is counted until Bulkhead has seen it."""
    def attempt():
        try:
            return connect(*arguments)
        except WireError as error:
            assert error.sqlstate == "53300"
            return None
    return wait_for(attempt, "a free place", seconds=3)


def refused_soon(reason, connect, *arguments):
    """Asserts that there is no more than the places that were just taken, once those who left are forgotten."""
    wait_for(lambda: refusal(connect, *arguments) == reason, reason)


def is_served(wire):
    return rows(wire.query("SELECT 'here'")) == [["here"]]


# ---- clients ----

def test_operators_have_places_of_their_own(stand):
    limits = {"max_client_conn": 4, "reserved_client_conn": 1, "admin_users": "nobody, boss"}
    with stand.proxy(bulkhead=limits) as proxy, open_wires() as wires:
        wires += [proxy.wire("acme"), proxy.wire("globex"), proxy.wire("acme")]
        assert refusal(proxy.wire, "acme") == CLIENTS
        wires.append(proxy.wire("acme", "boss"))
        assert refusal(proxy.wire, "acme", "boss") == CLIENTS
        assert all(map(is_served, wires))
        wires.pop(0).close()
        wires.append(connect_soon(proxy.wire, "acme", "boss"))
        assert refusal(proxy.wire, "acme") == CLIENTS
        wires.pop(-1).close()
        wires.pop(-1).close()
        wires.append(connect_soon(proxy.wire, "acme"))
        assert refusal(proxy.wire, "acme") == CLIENTS
        assert all(map(is_served, wires))


def test_a_tenant_has_its_own_limit(stand):
    with stand.proxy(bulkhead={"max_tenant_client_connections": 2}) as proxy, open_wires() as wires:
        wires += [proxy.wire("acme"), proxy.wire("acme", "boss")]
        assert refusal(proxy.wire, "acme") == TENANT_CLIENTS
        wires += [proxy.wire("globex"), proxy.wire("acme-labs")]
        wires.pop(0).close()
        wires.append(connect_soon(proxy.wire, "acme"))
        assert refusal(proxy.wire, "acme", "boss") == TENANT_CLIENTS


def test_a_principal_has_its_own_limit(stand):
    with stand.proxy(bulkhead={"max_user_client_connections": 2}) as proxy, open_wires() as wires:
        wires += [proxy.wire("acme"), proxy.wire("globex")]
        assert refusal(proxy.wire, "acme-labs") == USER_CLIENTS
        wires.append(proxy.wire("acme-labs", "boss"))
        wires.pop(0).close()
        wires.append(connect_soon(proxy.wire, "acme-labs"))
        assert refusal(proxy.wire, "acme") == USER_CLIENTS


def leave(proxy):
    connect_soon(proxy.wire, "acme").send(terminate())


def crash(proxy):
    connect_soon(proxy.wire, "acme").reset()


def crash_in_a_statement(proxy):
    wire = connect_soon(proxy.wire, "acme", "boss")
    wire.send(query("SELECT pg_sleep(0.01)"))
    wire.reset()


def crash_in_a_transaction(proxy):
    wire = connect_soon(proxy.wire, "globex")
    wire.query("BEGIN")
    wire.query("SELECT 1")
    wire.reset()


def crash_while_logging_in(proxy):
    half_login(Wire.connect(HOST, proxy.port), proxy).reset()


def mistype_the_password(proxy):
    with pytest.raises(WireError) as refused:
        proxy.wire("acme", password="wrong")
    assert refused.value.sqlstate == "28P01"


def name_no_tenant(proxy):
    with pytest.raises(WireError) as refused:
        proxy.wire("nosuch")
    assert refused.value.sqlstate == "3D000"


def test_counts_stay_right(stand):
    """Two hundred connections that come and go in every way; then each limit holds to the number."""
    cheap = [leave, crash, crash_while_logging_in, mistype_the_password, name_no_tenant]
    ways = [*cheap * 4, crash_in_a_statement, *cheap * 4, crash_in_a_transaction]
    limits = {"max_client_conn": 5, "reserved_client_conn": 0, "max_user_client_connections": 3,
              "max_tenant_client_connections": 4}
    with stand.proxy(bulkhead=limits) as proxy, open_wires() as wires:
        for n in range(200):
            ways[n % len(ways)](proxy)
        wires += [connect_soon(proxy.wire, "acme") for _ in range(3)]
        refused_soon(USER_CLIENTS, proxy.wire, "acme")
        wires.append(connect_soon(proxy.wire, "acme", "boss"))
        refused_soon(TENANT_CLIENTS, proxy.wire, "acme", "boss")
        wires.append(connect_soon(proxy.wire, "globex", "boss"))
        refused_soon(CLIENTS, proxy.wire, "globex", "boss")
        assert all(map(is_served, wires))


def test_a_client_that_leaves_while_it_waits_is_forgotten(stand):
    """Its place is free, and nothing of it is run when its turn would have come."""
    with stand.proxy(pool={"default_pool_size": 1}, bulkhead={"max_client_conn": 2, "reserved_client_conn": 0}) as proxy:
        with proxy.wire("acme") as holder:
            holder.query("BEGIN")
            holder.query("SELECT 1")
            waiting = proxy.wire("acme")
            waiting.send(query("INSERT INTO orders (id, item) VALUES (5000, 'acme late')"))
            time.sleep(0.2)
            waiting.reset()
            connect_soon(proxy.wire, "acme").close()
            holder.query("COMMIT")
            assert rows(holder.query("SELECT count(*) FROM orders WHERE id = 5000")) == [["0"]]


# ---- logins ----

def half_login(wire, proxy):
    """Goes through half of the password exchange."""
    wire.send(startup({"user": f"{PRINCIPAL}.acme", "database": "shop"}))
    assert wire.read().type == "R"
    wire.send(sasl_initial(ScramClient(proxy.stand.password).first()))
    assert wire.read().type == "R"
    return wire


def keep_silent(_wire, _proxy):
    pass


def stop_in_the_packet(wire, _proxy):
    wire.send(startup({"user": f"{PRINCIPAL}.acme"})[:12])


def stop_after_ssl(wire, _proxy):
    wire.send(ssl_request())
    assert wire.read_bytes(1) == b"N"


def is_told(wire):
    return bool(select.select([wire.socket], [], [], 0)[0])


def last_words(wire):
    """The FATAL that a connection ends with."""
    found = wire.until_end()
    assert types(found).endswith("E"), found
    return why(found[-1].fields)


class Flood:
    """Strangers who connect and keep silent; those who are sent away are replaced."""

    WAYS = [keep_silent, stop_in_the_packet, half_login]

    def __init__(self, proxy):
        self.proxy = proxy
        self.silent = []
        self.told = []

    def one_more(self):
        wire = Wire.connect(HOST, self.proxy.port)
        self.WAYS[len(self.silent) % len(self.WAYS)](wire, self.proxy)
        self.silent.append(wire)

    def replace_told(self):
        told = [wire for wire in self.silent if is_told(wire)]
        for wire in told:
            self.silent.remove(wire)
            self.told.append(last_words(wire))
            wire.close()
            self.one_more()
            time.sleep(0.002)

    def close(self):
        for wire in self.silent:
            wire.close()


def test_silent_strangers_keep_nobody_out(stand):
    """Five hundred of them drive out each other, while clients with a password log in all the time."""
    stop, welcome, failed = threading.Event(), [], []

    def log_in(proxy):
        while not stop.is_set():
            try:
                with proxy.wire("acme") as wire:
                    welcome.append(is_served(wire))
            except (WireError, OSError, EOFError) as error:
                failed.append(error)

    with stand.proxy(bulkhead={"max_login_conn": 200}, listen__default={"listen_backlog": 1024}) as proxy:
        proxy.wire("acme").close()
        before = wait_for(lambda: not proxy.events("client.ended") and proxy.descriptors(), "a quiet proxy")
        flood = Flood(proxy)
        client = threading.Thread(target=log_in, args=(proxy,))
        client.start()
        try:
            for _ in range(500):
                flood.one_more()
            during = len(welcome)
            deadline = time.monotonic() + 1.5
            while time.monotonic() < deadline:
                flood.replace_told()
        finally:
            stop.set()
            client.join()
            flood.close()
        assert failed == []
        assert all(welcome) and len(welcome) > during > 0
        assert set(flood.told) == {LOGINS}
        backends = len(proxy.backends())  # of which there was one
        wait_for(lambda: proxy.descriptors() <= before + backends, "the descriptors")


def test_a_login_that_waits_for_us_is_not_driven_out(stand):
    """Clients whose first backend is not there yet are not the silent ones: the newcomer is refused."""
    with stand.proxy(bulkhead={"max_login_conn": 2}, pool={"default_pool_size": 1}) as proxy, open_wires() as wires:
        wires.append(proxy.wire("acme"))
        wires[0].query("BEGIN")
        wires[0].query("SELECT 1")
        for size in ("5MB", "6MB"):
            wires.append(Wire.connect(HOST, proxy.port))
            wires[-1].authenticate({"user": f"{PRINCIPAL}.acme", "database": "shop", "work_mem": size},
                                   stand.password)
        with Wire.connect(HOST, proxy.port) as newcomer:
            assert last_words(newcomer) == LOGINS
        wires[0].query("COMMIT")
        for wire, size in zip(wires[1:], ("5MB", "6MB")):
            assert rows(wire.read_greeting().query("SHOW work_mem")) == [[size]]


LIMIT = 1.0  # seconds of client_login_timeout
LATE = 0.5


def test_a_login_takes_no_longer_than_its_limit(stand):
    """Whatever it stops at, and a byte now and then does not help; those who are logged in are left alone."""
    stops = [keep_silent, stop_in_the_packet, stop_after_ssl, half_login]
    packet = startup({"user": f"{PRINCIPAL}.acme", "database": "shop"})
    with stand.proxy(bulkhead={"client_login_timeout": LIMIT}) as proxy, open_wires() as wires:
        session = proxy.wire("acme")
        wires.append(session)
        before = proxy.descriptors()
        began, ended = {}, {}
        trickling = Wire.connect(HOST, proxy.port)
        for wire, stop in [(trickling, keep_silent), *((Wire.connect(HOST, proxy.port), stop) for stop in stops)]:
            wires.append(wire)
            began[wire.socket] = time.monotonic()
            stop(wire, proxy)
        sent = 0
        while len(ended) < len(began):
            now = time.monotonic()
            assert now < began[trickling.socket] + 10, f"{len(ended)} of {len(began)} have ended"
            if trickling.socket not in ended and now > began[trickling.socket] + 0.2 * sent:
                trickling.send(packet[sent:sent + 1])
                sent += 1
            waiting = [socket for socket in began if socket not in ended]
            for socket in select.select(waiting, [], [], 0.05)[0]:
                ended[socket] = time.monotonic()
        for socket, start in began.items():
            assert LIMIT <= ended[socket] - start <= LIMIT + LATE
        assert 3 < sent < len(packet)
        assert [last_words(wire) for wire in wires[1:]] == [LOGIN_TIMEOUT] * 5
        # They do not hang up, and are hung up on.
        wait_for(lambda: proxy.descriptors() <= before, "the descriptors", seconds=5)
        assert is_served(session)
