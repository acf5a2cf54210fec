"""Several workers: what is limited is limited for all of them together, and nobody notices which one serves.

A session's worker is the remainder of its pid by their number (proxy/cancel.c).
"""

import contextlib
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from harness.load import Swarm, latencies
from harness.stand import DATABASE, HOST
from harness.wait import wait_for
from harness.wire import (AUTH_SASL_CONTINUE, ScramClient, Wire, WireError, cancel_request, errors, query, rows,
                          sasl_initial, startup, why)

WORKERS = 4
PID = "SELECT pg_backend_pid()"


def four(bulkhead=None, **sections):
    return {"bulkhead": {"workers": WORKERS, **(bulkhead or {})}, **sections}


def worker_of(wire):
    return wire.pid % WORKERS


@contextlib.contextmanager
def one_on_each(proxy, tenant="acme"):
    """A session on each worker, by its number."""
    with contextlib.ExitStack() as stack:
        wires = {}
        while len(wires) < WORKERS:
            wire = stack.enter_context(proxy.wire(tenant))
            wires.setdefault(worker_of(wire), wire)
        yield [wires[number] for number in range(WORKERS)]


def begin(wire):
    wire.query("BEGIN")
    (pid,), = rows(wire.query(PID))
    return int(pid)


def is_served(wire):
    return rows(wire.query("SELECT 'served'")) == [["served"]]


# ---- connections ----

@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
def test_connections_are_spread_evenly(stand, unix):
    with stand.proxy(**four(), listen__trusted={}) as proxy, contextlib.ExitStack() as stack:
        wires = [stack.enter_context(proxy.wire("acme", trusted=unix)) for _ in range(12)]
        counts = [sum(worker_of(wire) == number for wire in wires) for number in range(WORKERS)]
        assert counts == [3] * WORKERS
        for wire in wires:
            if worker_of(wire) == 2:
                wire.close()
        wait_for(lambda: worker_of(stack.enter_context(proxy.wire("acme", trusted=unix))) == 2, "the emptiest worker")


# ---- limits ----

def race(proxy, tenants, attempts):
    """All log in at the same moment; returns the sessions and the reasons of the refused."""
    gate = threading.Barrier(attempts)

    def log_in(number):
        gate.wait()
        try:
            return proxy.wire(tenants[number % len(tenants)])
        except WireError as refused:
            return refused.why

    with ThreadPoolExecutor(attempts) as threads:
        found = list(threads.map(log_in, range(attempts)))
    return [one for one in found if isinstance(one, Wire)], [one for one in found if not isinstance(one, Wire)]


RACES = {
    "max_client_conn": (10, {"reserved_client_conn": 0}, ["acme", "globex"], "BH-LIM-CLIENTS"),
    "max_tenant_client_connections": (5, {}, ["acme"], "BH-LIM-TENANT-CLIENTS"),
    "max_user_client_connections": (7, {}, ["acme", "globex"], "BH-LIM-USER-CLIENTS"),
}


@pytest.mark.parametrize("setting", RACES)
def test_limits_of_clients_are_exact(stand, setting):
    """Exactly so many are let in, whichever workers they reach, and again when those have left."""
    limit, more, tenants, reason = RACES[setting]

    def run():
        """One race; how many were let in is fewer while those of the last one are still counted."""
        admitted, refused = race(proxy, tenants, 24)
        try:
            assert len(admitted) <= limit
            assert set(refused) == {("53300", reason)}
            return len(admitted) == limit and len({worker_of(wire) for wire in admitted}) > 1
        finally:
            for wire in admitted:
                wire.close()

    with stand.proxy(**four({setting: limit, **more})) as proxy:
        proxy.wire("acme").close()
        for _ in range(3):
            wait_for(run, "a full house")


def sessions(proxy):
    """What SIGUSR1 has written about sessions, of all workers."""
    before = len(proxy.events("live.pool"))
    seen = len(proxy.events("live.session"))
    proxy.process.send_signal(signal.SIGUSR1)
    wait_for(lambda: len(proxy.events("live.pool")) > before, "the report")
    time.sleep(0.1)
    return proxy.events("live.session")[seen:]


@contextlib.contextmanager
def sampled(stand, admin, condition):
    """The greatest number of the pool's backends that are so, in `most`."""
    most, stop = [0], threading.Event()

    def run():
        while not stop.is_set():
            (now,) = admin.execute(f"SELECT count(*) FROM pg_stat_activity WHERE {stand.installation.backends} "
                                   f"AND {condition}").fetchone()
            most[0] = max(most[0], now)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield most
    finally:
        stop.set()
        thread.join()


def busy_clients(proxy, tenants, count, seconds, sql):
    """Each asks and asks; returns how many answers each of them got."""
    end = time.monotonic() + seconds

    def work(number):
        answers = 0
        with proxy.wire(tenants[number % len(tenants)]) as wire:
            while time.monotonic() < end:
                found = wire.query(sql)
                assert not errors(found), found
                answers += 1
        return answers

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(work, range(count)))


BOUNDS = {
    "default_pool_size": ({"pool": {"default_pool_size": 3}}, "true"),
    "max_server_connections": ({"cluster__default": {"max_server_connections": 3},
                                "pool": {"default_pool_size": 20}}, "true"),
    "max_tenant_connections": ({"pool": {"default_pool_size": 8, "max_tenant_connections": 3}},
                               "pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')"),
}


@pytest.mark.parametrize("bound", BOUNDS)
def test_bounds_of_backends_are_exact(stand, bound):
    """The server never sees more, it sees as many as are allowed, and everybody is served."""
    sections, condition = BOUNDS[bound]
    with stand.proxy(**four(**sections)) as proxy, stand.admin() as admin, sampled(stand, admin, condition) as most:
        # What is held is seen of all at one moment; the states of backends are not.
        answers = busy_clients(proxy, ["acme"], 16, 3, "SELECT pg_advisory_xact_lock_shared(7), pg_sleep(0.01)")
        assert most[0] == 3
        assert min(answers) >= 2


def test_one_worker_may_have_the_whole_pool(stand):
    with stand.proxy(**four(pool={"default_pool_size": 4})) as proxy, contextlib.ExitStack() as stack:
        wires = [stack.enter_context(proxy.wire("acme")) for _ in range(4 * WORKERS)]
        mine = [wire for wire in wires if worker_of(wire) == 1]
        assert len({begin(wire) for wire in mine}) == 4


def test_the_oldest_silent_stranger_makes_room_on_any_worker(stand):
    """The one worker that has no stranger gets clients in, and others' strangers go for them."""
    with stand.proxy(**four({"max_login_conn": 8})) as proxy, contextlib.ExitStack() as stack:
        with proxy.wire("acme") as wire:
            assert is_served(wire)
        strangers = [stack.enter_context(Wire.connect(HOST, proxy.port)) for _ in range(8)]
        for _ in range(20):
            with proxy.wire("acme") as wire:
                assert is_served(wire)
        told = [wire for wire in strangers if not wire.is_silent(0.05)]
        assert told
        for wire in told:
            assert why(wire.until_end()[-1].fields) == ("53300", "BH-LIM-LOGINS")


# ---- starving ----

def test_a_backend_that_idles_elsewhere_comes_over(stand):
    """The route has one backend; each worker in turn has a client for it."""
    with stand.proxy(**four(pool={"default_pool_size": 1})) as proxy:
        with one_on_each(proxy) as wires:
            pids = set()
            for wire in wires * 2:
                started = time.monotonic()
                (pid,), = rows(wire.query(PID))
                pids.add(pid)
                assert time.monotonic() - started < 1
            assert len(pids) == 1, "it was moved, and not closed"
            assert proxy.events("backend.moved")


def test_a_backend_comes_over_with_nothing_of_the_last_session(stand):
    with stand.proxy(**four(pool={"default_pool_size": 1})) as proxy:
        with one_on_each(proxy) as ours, one_on_each(proxy, "globex") as theirs:
            ours[0].query("SET work_mem = '7MB'")
            assert rows(ours[0].query("SHOW work_mem")) == [["7MB"]]
            for wire in theirs:
                assert rows(wire.query("SHOW work_mem")) != [["7MB"]]
                assert {item.split()[0] for (item,) in rows(wire.query("SELECT item FROM orders"))} == {"globex"}
            for wire in ours:
                items = {" ".join(item.split()[:-1]) for (item,) in rows(wire.query("SELECT item FROM orders"))}
                assert items == {"acme"}
            assert rows(ours[0].query("SHOW work_mem")) == [["7MB"]]


def test_a_place_at_the_server_goes_to_another_workers_route(stand):
    """One place, two routes, all workers: everybody is served in turn."""
    stand.cluster("annex")
    stand.tenant("annex", cluster="annex")
    places = {"max_server_connections": 1}
    with stand.proxy(**four(cluster__default=places, cluster__annex=places)) as proxy, stand.admin() as admin:
        with sampled(stand, admin, "true") as most, contextlib.ExitStack() as stack:
            wires = [stack.enter_context(proxy.wire("acme") if number % 2 else proxy.wire("annex", dbname="annex"))
                     for number in range(2 * WORKERS)]
            for wire in wires:
                wire.send(query("SELECT 1"))
            for wire in wires:
                assert not errors(wire.until_ready())
        assert most[0] == 1


def test_a_busy_route_leaves_room_for_another(stand):
    """All eight places are the four pools' of one route, and still one client of another has its own at once."""
    stand.cluster("annex")
    stand.tenant("annex", cluster="annex")
    places = {"max_server_connections": 2 * WORKERS}
    sql = query("SELECT pg_sleep(0.005)")
    with stand.proxy(**four(pool={"default_pool_size": 20}, cluster__default=places, cluster__annex=places)) as proxy:
        with Swarm() as swarm:
            crowd = [swarm.add(proxy.wire("acme"), sql) for _ in range(10 * WORKERS)]
            swarm.run(1)
            assert len(proxy.backends()) == 2 * WORKERS
            before = len(latencies(crowd))
            single = swarm.add(proxy.wire("annex", dbname="annex"), sql)
            swarm.run(1.5)
            assert not [member.failed for member in [single, *crowd] if member.failed]
            assert len(single.times) >= (len(latencies(crowd)) - before) / len(crowd)


def test_a_refused_login_is_no_loss_while_another_worker_has_a_backend(stand):
    """The server takes no new connection: the one that is there serves all workers."""
    with stand.proxy(**four(pool={"default_pool_size": 4, "server_login_retry": 5})) as proxy:
        with one_on_each(proxy) as wires, stand.admin() as admin:
            assert is_served(wires[0])
            wait_for(lambda: len(proxy.backends()) == 1, "one backend")
            login = stand.login("acme")
            (verifier,), = admin.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", (login,)).fetchall()
            admin.execute(f"ALTER ROLE {login} PASSWORD 'another'")
            try:
                for wire in wires:
                    assert is_served(wire)
            finally:
                admin.execute(f"ALTER ROLE {login} PASSWORD '{verifier}'")


# ---- cancel ----

def ask_to_cancel(proxy, pid, key):
    """On a connection of its own; returns when that is closed."""
    with Wire.connect(HOST, proxy.port) as other:
        other.send(cancel_request(pid, key))
        assert other.socket.recv(1) == b""


def test_a_cancel_reaches_its_session_through_any_worker(stand):
    """More requests than workers, each over the next worker: all hit, and nobody else."""
    with stand.proxy(**four(pool={"default_pool_size": 8})) as proxy:
        with one_on_each(proxy) as wires, proxy.wire("globex") as bystander:
            bystander.send(query("SELECT pg_sleep(3)"))
            for wire in wires * 2:
                wire.send(query("SELECT pg_sleep(30)"))
                time.sleep(0.1)
                ask_to_cancel(proxy, wire.pid, wire.key)
                assert errors(wire.until_ready()) == ["57014"]
                assert is_served(wire)
            assert not errors(bystander.until_ready())


def test_a_waiting_client_is_cancelled_through_any_worker(stand):
    with stand.proxy(**four(pool={"default_pool_size": 1})) as proxy, one_on_each(proxy) as wires:
        begin(wires[0])
        for wire in wires[1:]:
            wire.send(query("SELECT 1"))
            time.sleep(0.1)
            ask_to_cancel(proxy, wire.pid, wire.key)
            assert errors(wire.until_ready()) == ["57014"]


def test_a_storm_of_cancels_hits_nobody_else(stand):
    """Wrong keys, wrong pids, and right ones for one victim: all others' statements end well."""
    with stand.proxy(**four(pool={"default_pool_size": 8})) as proxy, proxy.wire("acme") as victim:
        stop, hits = threading.Event(), [0]

        def storm():
            number = 0
            while not stop.is_set():
                number += 1
                pid, key = [(victim.pid, victim.key), (victim.pid, b"\0\0\0\0"),
                            (victim.pid + 1, victim.key), (number * 7919, victim.key)][number % 4]
                ask_to_cancel(proxy, pid, key)

        def suffer():
            while not stop.is_set():
                hits[0] += bool(errors(victim.query("SELECT pg_sleep(0.05)")))

        threads = [threading.Thread(target=run) for run in (storm, storm, suffer)]
        for thread in threads:
            thread.start()
        try:
            answers = busy_clients(proxy, ["acme", "globex"], 12, 3, "SELECT pg_sleep(0.002)")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert min(answers) > 5 and hits[0] > 0


# ---- what concerns all ----

def test_suspending_a_tenant_ends_its_sessions_on_all_workers(stand):
    stand.tenant("fleeting")
    with stand.proxy(**four()) as proxy, one_on_each(proxy, "fleeting") as wires, one_on_each(proxy) as others:
        try:
            started = time.monotonic()
            stand.command("tenant", "suspend", "fleeting")
            for wire in wires:
                assert wire.until_end()[-1].fields["C"] == "57P01"
            assert time.monotonic() - started < 2  # the command's own start is in it
            assert all(is_served(wire) for wire in others)
        finally:
            stand.command("tenant", "resume", "fleeting")


def test_a_reload_reaches_all_workers(stand):
    with stand.proxy(**four()) as proxy, one_on_each(proxy) as wires:
        proxy.reload(pool={"query_timeout": "200ms"})
        for wire in wires:
            assert errors(wire.query("SELECT pg_sleep(5)")) == ["57014"]
        proxy.reload(pool={"query_timeout": 0})
        for wire in wires:
            assert not errors(wire.query("SELECT pg_sleep(0.4)"))


def test_limits_that_a_reload_sets_hold_for_all(stand):
    """What was taken before it is counted."""
    with stand.proxy(**four(pool={"default_pool_size": 8})) as proxy, one_on_each(proxy) as wires:
        for wire in wires[:2]:
            begin(wire)
        proxy.reload(pool={"max_tenant_connections": 2})
        wires[2].send(query(PID))
        assert wires[2].is_silent(0.4)
        wires[0].query("COMMIT")
        assert not errors(wires[2].until_ready())
        proxy.reload(pool={"max_tenant_connections": 0})
        for wire in wires[2:]:
            begin(wire)


def test_the_number_of_workers_needs_a_restart(stand, monkeypatch):
    monkeypatch.delenv("BULKHEAD_BULKHEAD_WORKERS", raising=False)  # of make test-workers: it would win over the file
    with stand.proxy(**four()) as proxy:
        line = proxy.reload("serve.needs_restart", bulkhead={"workers": 2})
        assert line["settings"] == "bulkhead.workers"


def test_the_report_tells_of_all_workers(stand):
    with stand.proxy(**four(log={"stats_period": "200ms"})) as proxy, one_on_each(proxy) as wires:
        for wire in wires:
            assert is_served(wire)
        found = {int(line["pid"]) for line in sessions(proxy)}
        assert {wire.pid for wire in wires} <= found
        assert {line["worker"] for line in proxy.events("live.pool")} == set("0123")
        wait_for(lambda: {line["worker"] for line in proxy.events("pool.stats")} == set("0123"), "lines of all")


def test_unknown_names_look_the_same_on_all_workers(stand):
    """The salt that a name without a principal is shown is the same, whichever worker answers."""
    salts = set()
    with stand.proxy(**four()) as proxy:
        for _ in range(2 * WORKERS):
            with Wire.connect(HOST, proxy.port) as wire:
                wire.send(startup({"user": "nobody.acme", "database": DATABASE}))
                wire.read()
                wire.send(sasl_initial(ScramClient("guess").first()))
                first = wire.read_sasl(AUTH_SASL_CONTINUE).decode()
                salts.add(dict(part.split("=", 1) for part in first.split(","))["s"])
    assert len(salts) == 1


def test_a_flood_of_connections_stops_cleanly(stand):
    """SIGINT and SIGTERM in the middle of logins, hand-overs and cancels: everything is freed."""
    for sent in (signal.SIGINT, signal.SIGTERM):
        with stand.proxy(**four(pool={"default_pool_size": 2})) as proxy:
            stop = threading.Event()

            def work(number):
                while not stop.is_set():
                    with contextlib.suppress(OSError, EOFError, WireError, psycopg.Error):
                        with proxy.wire(("acme", "globex")[number % 2]) as wire:
                            wire.query("SELECT pg_sleep(0.001)")
                            wire.send(query("SELECT pg_sleep(1)"))
                            wire.cancel()

            threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
            for thread in threads:
                thread.start()
            time.sleep(0.7)
            proxy.process.send_signal(sent)
            assert proxy.process.wait(15) == 0
            stop.set()
            for thread in threads:
                thread.join()
