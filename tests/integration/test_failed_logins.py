"""Failed logins: what they cost who guesses, that they cost nobody else, and that time tells no more than words do."""

import base64
import os
import socket
import time

import pytest
from harness.postgres import HOST
from harness.program import INSTRUMENTED
from harness.stand import DATABASE
from harness.wire import ScramClient, Wire, password_message, sasl_initial, startup, why

DELAY = 0.2  # seconds
NONCE = "abcdefghijklmnopqrstuvwx"
REFUSED = ("28P01", "BH-ID-PASSWORD")


@pytest.fixture
def proxy(stand):
    with stand.proxy(bulkhead={"login_failure_delay": f"{DELAY * 1000:.0f}ms"}) as proxy:
        yield proxy


def connect(proxy, source=None):
    """From this address of the machine's own."""
    connection = socket.create_connection((HOST, proxy.port), source_address=(source, 0) if source else None)
    return Wire(connection)


def begin(wire, user, scram):
    """Up to the server's first SCRAM message."""
    wire.send(startup({"user": user, "database": DATABASE}))
    assert wire.read().type == "R"
    wire.send(sasl_initial(scram.first()))
    return wire.read().body[4:]


def guess(server_first):
    """A proof that is of the right form and of no password."""
    nonce = server_first.split(b",")[0]
    return b"c=biws," + nonce + b",p=" + base64.b64encode(os.urandom(32))


def fail(proxy, user, source=None):
    """Seconds that the answer to a wrong proof took."""
    with connect(proxy, source) as wire:
        first = begin(wire, user, ScramClient("x", nonce=NONCE))
        began = time.monotonic()
        wire.send(password_message(guess(first)))
        found = wire.until_end()
        assert [why(m.fields) for m in found] == [REFUSED]
        return time.monotonic() - began


def log_in(proxy, user, source=None):
    """Seconds that the right password took."""
    with connect(proxy, source) as wire:
        began = time.monotonic()
        wire.login({"user": user, "database": DATABASE}, proxy.stand.password)
        return time.monotonic() - began


@pytest.mark.parametrize("user", ["shop.acme", "nobody.acme", "shop.nosuch"])
def test_each_failure_doubles_the_wait_whether_there_is_such_a_name_or_not(proxy, user):
    took = [fail(proxy, user) for _ in range(5)]
    assert took[0] < DELAY
    for n, seconds in enumerate(took[1:]):
        assert DELAY * 2 ** n - 0.05 <= seconds < DELAY * 2 ** n + 1


def test_the_wait_has_an_end(stand):
    with stand.proxy(bulkhead={"login_failure_delay": "10ms"}) as proxy:
        took = [fail(proxy, "shop.acme") for _ in range(10)]
        assert max(took) < 0.32 + 1


def test_the_right_password_waits_too_and_ends_it(proxy):
    """Else whoever guesses would hang up early and try the next."""
    for _ in range(3):
        fail(proxy, "shop.acme")
    assert log_in(proxy, "shop.acme") >= DELAY * 4 - 0.3
    assert log_in(proxy, "shop.acme") < DELAY
    assert fail(proxy, "shop.acme") < DELAY


def test_hanging_up_early_does_not_help(proxy):
    fail(proxy, "shop.acme")
    for _ in range(3):
        with connect(proxy) as wire:
            wire.send(password_message(guess(begin(wire, "shop.acme", ScramClient("x", nonce=NONCE)))))
    assert fail(proxy, "shop.acme") >= DELAY * 3


def test_who_is_held_up_does_not_hold_up_a_drain(stand):
    with stand.proxy(bulkhead={"login_failure_delay": "10s"}) as proxy:
        fail(proxy, "shop.acme")
        with connect(proxy) as wire:
            wire.send(password_message(guess(begin(wire, "shop.acme", ScramClient("x", nonce=NONCE)))))
            assert wire.is_silent()
            proxy.process.terminate()
            assert why(wire.until_end()[-1].fields) == ("57P03", "BH-NET-DRAINING")
        assert proxy.process.wait(10) == 0


def test_others_are_not_held_up(stand, proxy):
    stand.principal("other")
    try:
        for source in (None, "127.0.0.2"):
            log_in(proxy, "other.acme", source)  # the first one opens a backend
        for _ in range(5):
            fail(proxy, "shop.acme")
        assert log_in(proxy, "other.acme") < DELAY
        assert log_in(proxy, "shop.acme", "127.0.0.2") < DELAY
        with connect(proxy) as slowed:
            slowed.send(password_message(guess(begin(slowed, "shop.acme", ScramClient("x", nonce=NONCE)))))
            assert slowed.is_silent()
            assert log_in(proxy, "other.acme") < DELAY
    finally:
        with stand.admin() as admin:
            admin.execute("DELETE FROM bulkhead_control.principal WHERE name = 'other'")


def test_many_who_are_wrong_do_not_hold_up_one_who_is_right_for_long(stand):
    """They queue, but nobody waits longer than the longest delay; and one who is right ends the others' wait."""
    with stand.proxy(bulkhead={"login_failure_delay": "20ms"}) as proxy:
        for _ in range(8):
            fail(proxy, "shop.acme")
        crowd = [connect(proxy) for _ in range(50)]
        for wire in crowd:
            wire.send(password_message(guess(begin(wire, "shop.acme", ScramClient("x", nonce=NONCE)))))
        assert log_in(proxy, "shop.acme") < 20 * 0.032 + 1
        for wire in crowd:
            assert [why(m.fields) for m in wire.until_end()] == [REFUSED]
            wire.close()


def test_those_who_wait_make_room_for_others(stand):
    limits = {"login_failure_delay": "10s", "max_login_conn": 4}
    with stand.proxy(bulkhead=limits) as proxy:
        fail(proxy, "nobody.acme")
        crowd = [connect(proxy) for _ in range(4)]
        for wire in crowd:
            wire.send(password_message(guess(begin(wire, "nobody.acme", ScramClient("x", nonce=NONCE)))))
        assert crowd[0].is_silent()
        assert log_in(proxy, "shop.acme") < 5
        assert [why(m.fields) for m in crowd[0].until_end()] == [("53300", "BH-LIM-LOGINS")]
        for wire in crowd:
            wire.close()


def test_a_stop_does_not_wait_for_them(stand):
    with stand.proxy(bulkhead={"login_failure_delay": "10s"}) as proxy:
        fail(proxy, "nobody.acme")
        with connect(proxy) as wire:
            wire.send(password_message(guess(begin(wire, "nobody.acme", ScramClient("x", nonce=NONCE)))))
            assert wire.is_silent()
            proxy.stop()


def test_a_change_of_the_principal_while_it_waits_counts(stand, proxy):
    stand.principal("gone")
    fail(proxy, "gone.acme")
    fail(proxy, "gone.acme")
    with connect(proxy) as wire, stand.admin() as admin:
        scram = ScramClient(stand.password, nonce=NONCE)
        wire.send(password_message(scram.final(begin(wire, "gone.acme", scram))))
        admin.execute("DELETE FROM bulkhead_control.principal WHERE name = 'gone'")
        assert [why(m.fields) for m in wire.until_end()] == [REFUSED]


def test_it_can_be_turned_off_and_on(proxy):
    fail(proxy, "shop.acme")
    proxy.reload(bulkhead={"login_failure_delay": "0"})
    assert max(fail(proxy, "shop.acme") for _ in range(4)) < DELAY
    proxy.reload(bulkhead={"login_failure_delay": "300ms"})
    fail(proxy, "shop.acme")
    assert fail(proxy, "shop.acme") >= 0.25


@pytest.mark.alone
@pytest.mark.skipif(INSTRUMENTED, reason="sanitizers and valgrind take memory of their own")
def test_what_is_remembered_is_bounded(proxy):
    """More names than are kept, each with a failure; the first is forgotten, and memory does not grow with them."""
    fail(proxy, "first.acme")
    for n in range(500):
        fail(proxy, f"name{n}.acme")
    before = proxy.resident()
    for n in range(6000):
        fail(proxy, f"other{n}.acme")
    assert proxy.resident() - before < 4 << 20
    assert fail(proxy, "first.acme") < DELAY


# ---- time ----

def step_times(proxy, user):
    """Seconds from connecting to the salt, and from a wrong proof to the refusal."""
    with connect(proxy) as wire:
        began = time.perf_counter()
        first = begin(wire, user, ScramClient("x", nonce=NONCE))
        middle = time.perf_counter()
        wire.send(password_message(guess(first)))
        wire.until_end()
        return middle - began, time.perf_counter() - middle


def share_slower(ones, others):
    """How often one takes longer than another: a half when nobody can tell them apart (Mann and Whitney)."""
    return sum((one > other) + (one == other) / 2 for one in ones for other in others) / len(ones) / len(others)


@pytest.mark.alone
@pytest.mark.one_worker("of four workers, each of the four names would have one of its own")
@pytest.mark.skipif(INSTRUMENTED, reason="sanitizers and valgrind take time of their own")
def test_time_does_not_tell_who_exists(stand):
    users = {"known": "shop.acme", "unknown": "nobody.acme", "disabled": "disabled.acme", "expired": "expired.acme"}
    for name in ("disabled", "expired"):
        stand.principal(name)
    with stand.admin() as admin:
        admin.execute("UPDATE bulkhead_control.principal SET disabled = true WHERE name = 'disabled'")
        admin.execute("UPDATE bulkhead_control.principal SET valid_until = '2020-01-01Z' WHERE name = 'expired'")
        try:
            with stand.proxy(control={"directory_ttl": "1h"}) as proxy:
                times = {kind: [] for kind in users}
                for n in range(401):
                    for kind, user in users.items():  # in turn, so that the machine's moods concern them all
                        found = step_times(proxy, user)
                        if n:  # the first is not remembered yet
                            times[kind].append(found)
        finally:
            admin.execute("DELETE FROM bulkhead_control.principal WHERE name IN ('disabled', 'expired')")
    for step in (0, 1):
        known = [found[step] for found in times["known"]]
        for kind in users:
            share = share_slower([found[step] for found in times[kind]], known)
            assert 0.38 < share < 0.62, (kind, step, share)
