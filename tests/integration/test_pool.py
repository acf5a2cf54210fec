"""Who gets a backend: sizes and ages, tenants' shares, and one server's places shared by several routes."""

import contextlib
import datetime
import itertools
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from harness.load import Swarm, latencies, median, p95
from harness.wait import wait_for
from harness.wire import WireError, errors, query, rows, terminate, why

pytestmark = pytest.mark.alone

LATE = 0.5  # seconds by which a timeout may be late
BACKEND_DOWN = ("08001", "BH-NET-BACKEND-DOWN")
PID = "SELECT pg_backend_pid()"


class Sampler:
    """Asks the same question again and again in a thread of its own; `highest` is the greatest answer."""

    def __init__(self, ask):
        self.ask = ask
        self.answers = []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        while not self.stop.is_set():
            self.answers.append(self.ask())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    @property
    def highest(self):
        assert len(self.answers) > 10
        return max(self.answers)


def counted(stand, admin, condition):
    """A question for a Sampler: how many of the pool's backends at the server are so."""
    sql = f"SELECT count(*) FROM pg_stat_activity WHERE {stand.installation.backends} AND {condition}"
    return lambda: admin.execute(sql).fetchone()[0]


def backend_of(wire):
    (pid,), = rows(wire.query(PID))
    return int(pid)


def begin(wire, more=""):
    """Opens a transaction that holds a backend, whose process id is returned."""
    wire.query("BEGIN")
    (pid,), = rows(wire.query(PID + more))
    return int(pid)


def commit(wire):
    assert wire.query("COMMIT")[-1].status == "I"


def assert_served(wire):
    assert rows(wire.query("SELECT 'served'")) == [["served"]]


def assert_all_served(members):
    assert [member.failed for member in members if member.failed] == []


# ---- size and age ----

@pytest.mark.sealed("the pool is of three tenants")
def test_a_pool_does_not_outgrow_its_size(stand):
    with stand.proxy(pool={"default_pool_size": 3}) as proxy, stand.admin() as admin, Swarm() as swarm:
        members = [swarm.add(proxy.wire(tenant), query("SELECT pg_sleep(0.005)"))
                   for tenant in ("acme", "globex", "acme-labs") * 4]
        with Sampler(counted(stand, admin, "true")) as backends:
            swarm.run(1)
        assert_all_served(members)
        assert backends.highest == len(proxy.backends()) == 3


@pytest.mark.sealed("min_pool_size is for backends that tenants share")
def test_min_pool_size_is_kept_for_clients_only(stand):
    with stand.proxy(pool={"min_pool_size": 3, "server_idle_timeout": 0.3}) as proxy:
        with proxy.wire("acme"):
            wait_for(lambda: len(proxy.backends()) == 3, "three backends")
            kept = proxy.backends()
            time.sleep(1)
            assert proxy.backends() == kept
        wait_for(lambda: not proxy.backends(), "the backends' end")


@pytest.mark.sealed("min_pool_size is for backends that tenants share")
def test_min_pool_size_is_restored(stand):
    with stand.proxy(pool={"min_pool_size": 2}) as proxy, proxy.wire("acme") as wire, stand.admin() as admin:
        wait_for(lambda: len(proxy.backends()) == 2, "two backends")
        killed = backend_of(wire)
        admin.execute("SELECT pg_terminate_backend(%s)", (killed,))
        wait_for(lambda: len(proxy.backends()) == 2 and killed not in proxy.backends(), "another backend")


def seconds_until_gone(admin, pid):
    start = time.monotonic()
    wait_for(lambda: not admin.execute("SELECT FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchall(), "its end")
    return time.monotonic() - start


def test_an_idle_backend_is_closed(stand):
    limit = 0.5
    with stand.proxy(pool={"server_idle_timeout": limit}) as proxy, proxy.wire("acme") as wire, stand.admin() as admin:
        first = backend_of(wire)
        time.sleep(limit / 2)
        assert backend_of(wire) == first
        assert limit - 0.1 <= seconds_until_gone(admin, first) <= limit + LATE
        assert_served(wire)


def test_an_old_backend_is_closed_when_it_is_free(stand):
    limit = 1.0
    with stand.proxy(pool={"server_lifetime": limit}) as proxy, stand.admin() as admin:
        with proxy.wire("acme") as busy, proxy.wire("acme") as idle:
            held = begin(busy)
            freed = backend_of(idle)
            assert held != freed
            assert seconds_until_gone(admin, freed) <= limit + LATE
            time.sleep(0.3)
            assert backend_of(busy) == held  # still in its transaction
            commit(busy)
            assert seconds_until_gone(admin, held) <= LATE
            assert backend_of(busy) not in (held, freed)


# ---- tenants' shares ----

@pytest.mark.one_worker("clients of one worker are served in their order, not those of all")
@pytest.mark.sealed("two tenants share a pool")
def test_a_tenant_holds_no_more_than_its_share(stand):
    """Thirty clients of one tenant want a transaction each; three have one, and another tenant does not wait."""
    with stand.proxy(pool={"default_pool_size": 6, "max_tenant_connections": 3}) as proxy, stand.admin() as admin:
        held = counted(stand, admin, "state LIKE 'idle in%' AND query LIKE '%acme%'")
        crowd = [proxy.wire("acme") for _ in range(30)]
        try:
            with proxy.wire("globex") as other, Sampler(held) as sampled:
                for wire in crowd:
                    wire.send(query("BEGIN"), query(PID + " /* acme */"))
                wait_for(lambda: held() == 3, "three transactions")
                for _ in range(20):
                    assert_served(other)
                for wire in crowd:
                    wire.until_ready(2)
                    commit(wire)
            assert sampled.highest == 3
        finally:
            for wire in crowd:
                wire.close()


def test_a_tenant_at_its_share_is_served_in_turn(stand):
    with stand.proxy(pool={"default_pool_size": 6, "max_tenant_connections": 2}) as proxy:
        with stand.admin() as admin, Swarm() as swarm:
            crowd = [swarm.add(proxy.wire("acme"), query("SELECT pg_sleep(0.02) /* acme */")) for _ in range(30)]
            others = [swarm.add(proxy.wire("globex"), query("SELECT pg_sleep(0.02)"))]
            with Sampler(counted(stand, admin, "state = 'active' AND query LIKE '%acme%'")) as busy:
                swarm.run(1.5)
            assert_all_served(crowd + others)
            assert busy.highest <= 2
            assert all(member.times for member in crowd)


@pytest.mark.one_worker("weights count within a worker")
@pytest.mark.sealed("weights are for a pool that tenants share")
def test_weights_are_shares_under_contention(stand):
    tenants = stand.tenant("heavy", weight=3), stand.tenant("light", weight=1)
    with stand.proxy(pool={"default_pool_size": 1}) as proxy, Swarm() as swarm:
        heavy, light = ([swarm.add(proxy.wire(tenant), query("SELECT pg_sleep(0.003)")) for _ in range(6)]
                        for tenant in tenants)
        swarm.run(1.5)
        assert_all_served(heavy + light)
        ratio = len(latencies(heavy)) / len(latencies(light))
        assert 2.4 <= ratio <= 3.6


def times_of(members, swarm, seconds):
    """What these members' statements take in the next seconds."""
    for member in members:
        member.times.clear()
    swarm.run(seconds)
    return [seconds for member in members for seconds in member.times]


def test_a_greedy_tenant_does_not_slow_down_modest_ones(stand):
    """Twenty backends, two hundred clients of one tenant, and nine tenants with a client each; alone and with them.

    What else runs on the machine can only make it look worse, so it may try again.
    """
    *names, _ = stand.tenants(*(f"modest{n}" for n in range(9)), "greedy")
    # So that backends and not processors are scarce, and are not all free at the same moment.
    statement = query("SELECT pg_sleep(0.02 + 0.04 * random())")
    with stand.proxy(pool={"default_pool_size": 20}, listen__trusted={}, log={"level": "info"}) as proxy:
        with Swarm() as alone, Swarm() as crowd:
            modest = [alone.add(proxy.wire(name, trusted=True), statement) for name in names]
            greedy = [crowd.add(proxy.wire("greedy", trusted=True), statement) for _ in range(200)]
            crowd.members.update(alone.members)
            times_of(modest, crowd, 0.3)  # opens the backends
            for _ in range(3):
                before, during = [], []
                for _ in range(2):
                    before += times_of(modest, alone, 0.6)
                    during += times_of(modest, crowd, 1.0)
                slower = median(during) / median(before), p95(during) / p95(before)
                print(f"alone {median(before):.4f} and {p95(before):.4f}, in the crowd {slower} times that")
                if max(slower) <= 2:
                    break
        assert_all_served(modest + greedy)
        assert all(member.times for member in greedy)
        assert max(slower) <= 2


# ---- one server's places, several routes ----

@pytest.fixture(scope="module")
def routes(stand):
    """The stand with a second route to its server, `annex`, which has a tenant of the same name."""
    stand.tenant("annex", cluster=stand.cluster("annex"))
    return stand


def budget(places, **sections):
    limit = {"max_server_connections": places}
    return {"cluster__default": limit, "cluster__annex": limit, "pool": {"default_pool_size": 20}, **sections}


def wire_to(proxy, route):
    return proxy.wire("annex", dbname="annex") if route == "annex" else proxy.wire("acme")


def server_processes(stand):
    """A question for a Sampler: the pool's processes, also those that are not in pg_stat_activity yet."""
    postmaster = stand.postgres.process.pid
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children")

    def is_pools(pid):
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().startswith((b"postgres: bulkhead_pool ", b"postgres: t_"))
        except OSError:
            return False
    return lambda: sum(map(is_pools, children.read_text().split()))


def churn(proxy, route, number, stop, served):
    """Connects, works and leaves in every way; what it may be told is that a backend was killed under it."""
    for turn in itertools.count(number):
        if stop.is_set():
            return
        try:
            wire = wire_to(proxy, route)
            assert_served(wire)
            wire.send(query("BEGIN"), query("SELECT pg_sleep(0.003)"))
            if turn % 3:
                wire.until_ready(2)
                wire.send(query("COMMIT"), terminate())
                wire.until_end()
                served.append(route)
            wire.reset()
        except (WireError, EOFError, ConnectionError, AssertionError):
            continue


def test_a_budget_is_never_exceeded(routes):
    """Two routes want all of it, clients come and go and vanish, and backends are killed."""
    places, stop, served = 5, threading.Event(), []
    with routes.proxy(**budget(places, pool={"server_login_retry": "10ms"})) as proxy:
        threads = [threading.Thread(target=churn, args=(proxy, route, number, stop, served))
                   for number in range(4) for route in ("default", "annex")]
        with routes.admin() as admin, routes.admin() as killer:
            with Sampler(counted(routes, admin, "true")) as sessions, Sampler(server_processes(routes)) as processes:
                for thread in threads:
                    thread.start()
                end = time.monotonic() + 3
                while time.monotonic() < end:
                    killer.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                                   f"WHERE {routes.installation.backends} ORDER BY random() LIMIT 1")
                    time.sleep(0.05)
                stop.set()
                for thread in threads:
                    thread.join()
        assert sessions.highest <= places and processes.highest <= places
        assert processes.highest == places, "the budget was made use of"
        assert set(served) == {"default", "annex"}
        for route in ("default", "annex"):
            with wire_to(proxy, route) as wire:
                assert_served(wire)


@pytest.mark.one_worker("the longest idle of one worker goes, not of all")
def test_the_longest_idle_backend_makes_room(routes):
    with routes.proxy(**budget(3)) as proxy:
        first, second, third, fourth = (wire_to(proxy, route) for route in ("annex", "annex", "default", "default"))
        with first, second, third, fourth:
            older, newer, held = begin(first), begin(second), begin(third)
            commit(first)
            time.sleep(0.2)
            commit(second)
            new = begin(fourth)
            assert proxy.backends() == sorted([newer, held, new])
            assert older not in proxy.backends()
            assert_served(first)
            commit(third)
            commit(fourth)


@pytest.mark.one_worker("five pools go round on four places; see test_workers.py for more places")
@pytest.mark.parametrize("many, few", [("default", "annex"), ("annex", "default")])
def test_a_busy_route_leaves_room_for_another(routes, many, few):
    with routes.proxy(**budget(4)) as proxy, Swarm() as swarm:
        crowd = [swarm.add(wire_to(proxy, many), query("SELECT pg_sleep(0.005)")) for _ in range(20)]
        swarm.run(0.5)
        single = swarm.add(wire_to(proxy, few), query("SELECT pg_sleep(0.005)"))
        swarm.run(1.5)
        assert_all_served([single, *crowd])
        assert len(single.times) >= len(latencies(crowd)) / len(crowd)


@pytest.mark.one_worker("eight pools go round on four places")
def test_two_busy_routes_share_evenly(routes):
    """And do not go on taking each other's places."""
    with routes.proxy(**budget(4)) as proxy, Swarm() as swarm:
        halves = [[swarm.add(wire_to(proxy, route), query("SELECT pg_sleep(0.005)")) for _ in range(8)]
                  for route in ("default", "annex")]
        swarm.run(2)
        assert_all_served(halves[0] + halves[1])
        first, second = (len(latencies(half)) for half in halves)
        assert 0.5 <= first / second <= 2
        moved = [event for event in proxy.events("backend.closed") if event["why"].startswith("another pool")]
        assert len(moved) <= 8


def test_two_routes_take_turns_on_a_single_place(routes):
    with routes.proxy(**budget(1)) as proxy, Swarm() as swarm:
        members = [swarm.add(wire_to(proxy, route), query("SELECT pg_sleep(0.005)"))
                   for route in ("default", "annex") * 3]
        swarm.run(15, until=lambda: all(len(member.times) >= 2 for member in members))
        assert_all_served(members)
        assert all(len(member.times) >= 2 for member in members)


def test_a_backend_that_does_not_end_keeps_its_place(routes):
    """It occupies the server although its client is gone; whoever wants its place waits until it has ended."""
    processes = server_processes(routes)
    with routes.proxy(**budget(1)) as proxy, wire_to(proxy, "annex") as waiting:
        gone = wire_to(proxy, "default")
        pid = begin(gone)
        os.kill(pid, signal.SIGSTOP)
        try:
            gone.reset()
            waiting.send(query("SELECT 'served'"))
            assert waiting.is_silent(0.5)
            assert processes() == 1
        finally:
            os.kill(pid, signal.SIGCONT)
        assert rows(waiting.until_ready()) == [["served"]]
        assert processes() == 1


# ---- servers that refuse ----

@contextlib.contextmanager
def server_down(stand):
    stand.postgres.stop()
    try:
        yield
    finally:
        stand.postgres.start()


@contextlib.contextmanager
def server_with_few_connections(stand):
    settings = stand.postgres.settings
    usual = settings["max_connections"]
    try:
        with server_down(stand):
            settings["max_connections"] = "12"
        yield
    finally:
        with server_down(stand):
            settings["max_connections"] = usual


def pauses(proxy):
    """Seconds between one refused connection and the next."""
    times = [datetime.datetime.fromisoformat(event["ts"]).timestamp() for event in proxy.events("backend.refused")]
    return [later - earlier for earlier, later in zip(times, times[1:])]


def ask(proxy):
    """One client with one statement; returns why it was not served, or None."""
    try:
        with proxy.wire("acme") as wire:
            answers = wire.query("SELECT 1")
            return why(answers[0].fields) if errors(answers) else None
    except WireError as error:
        return error.why
    except EOFError:
        return BACKEND_DOWN


def test_attempts_are_made_at_growing_intervals(stand):
    retry = 0.1
    with stand.proxy(pool={"server_login_retry": retry}) as proxy, proxy.wire("acme") as resident:
        assert_served(resident)
        with server_down(stand):
            wait_for(lambda: ask(proxy) == BACKEND_DOWN and proxy.events("backend.refused"), "refusal")
            end = time.monotonic() + 2
            while time.monotonic() < end:
                start = time.monotonic()
                assert ask(proxy) == BACKEND_DOWN
                assert time.monotonic() - start < LATE, "while there is a pause, the answer is quick"
                time.sleep(0.01)
            found = pauses(proxy)
        assert len(found) >= 3
        for n, pause in enumerate(found):
            wanted = retry * 2 ** min(n, 3)
            assert wanted - 0.01 <= pause <= wanted + 0.3
        wait_for(lambda: ask(proxy) is None, "service")


def test_pauses_outlive_the_clients(stand):
    """Clients that are refused leave; the next ones must not make the server be asked without a pause."""
    with stand.proxy(pool={"server_login_retry": 5}) as proxy:
        assert ask(proxy) is None
        with server_down(stand):
            for _ in range(8):
                assert ask(proxy) == BACKEND_DOWN
                time.sleep(0.15)
            assert pauses(proxy) == []


def test_a_password_that_is_wrong_all_at_once(stand):
    """The backends that are there go on; when they are gone the clients are told; the right one heals it."""
    with stand.proxy(pool={"server_login_retry": 0.1}) as proxy, stand.admin() as admin:
        login = stand.login("acme")
        (verifier,), = admin.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", (login,)).fetchall()
        with proxy.wire("acme") as wire, proxy.wire("acme") as waiting:
            pid = begin(wire)
            admin.execute(f"ALTER ROLE {login} PASSWORD 'another'")
            try:
                waiting.send(query("SELECT 'waited'"))
                wait_for(lambda: proxy.events("backend.refused"), "a refusal")
                assert waiting.is_silent(0.3)
                commit(wire)
                assert rows(waiting.until_ready()) == [["waited"]]
                assert backend_of(wire) == pid
                admin.execute("SELECT pg_terminate_backend(%s)", (pid,))
                wait_for(lambda: ask(proxy) == BACKEND_DOWN, "the truth")
                assert "password authentication failed" in proxy.events("backend.refused")[-1]["why"]
            finally:
                admin.execute(f"ALTER ROLE {login} PASSWORD '{verifier}'")
            wait_for(lambda: ask(proxy) is None, "service")


def test_a_server_that_is_full(stand):
    """The pool makes do with the connections that it gets, and tries again at growing intervals."""
    retry = 0.2
    with server_with_few_connections(stand):
        with stand.proxy(pool={"default_pool_size": 10, "server_login_retry": retry}) as proxy, Swarm() as swarm:
            members = [swarm.add(proxy.wire("acme"), query("SELECT pg_sleep(0.01)")) for _ in range(16)]
            swarm.run(2.5)
            assert_all_served(members)
            assert all(len(member.times) > 2 for member in members)
            refused = proxy.events("backend.refused")
            assert all("connection" in event["why"] or "clients" in event["why"] for event in refused)
            assert max(pauses(proxy)) > 2 * retry


# ---- pools come and go ----

def test_a_pool_that_nobody_uses_is_freed(stand):
    """Its next line in the log counts from the beginning."""
    with stand.proxy(pool={"server_idle_timeout": 0.3}, log={"stats_period": "200ms"}) as proxy:
        with proxy.wire("acme") as wire:
            for _ in range(50):
                assert_served(wire)
            line = wait_for(lambda: proxy.events("pool.stats"), "a line")[-1]
            wait_for(lambda: int(proxy.events("pool.stats")[-1]["requests"]) >= 50, "fifty requests")
            line = proxy.events("pool.stats")[-1]
        assert (line["cluster"], line["clients"], line["waiting"], line["backends"]) == ("default", "1", "0", "1")
        assert int(line["opened"]) == 1 and int(line["closed"]) == 0
        wait_for(lambda: not proxy.backends(), "the backend's end")
        time.sleep(0.3)
        seen = len(proxy.events("pool.stats"))
        with proxy.wire("acme") as wire:
            assert_served(wire)
            wait_for(lambda: len(proxy.events("pool.stats")) > seen, "another line")
            assert int(proxy.events("pool.stats")[-1]["requests"]) <= 3


def test_the_log_tells_how_long_clients_waited(stand):
    with stand.proxy(pool={"default_pool_size": 1}, log={"stats_period": "200ms"}) as proxy:
        def told(name):
            """By the lines of all workers."""
            return [line[name] for line in proxy.events("pool.stats")]

        with proxy.wire("acme") as holder, proxy.wire("acme") as waiting:
            begin(holder)
            waiting.send(query("SELECT 1"))
            time.sleep(0.4)
            wait_for(lambda: "1" in told("waiting"), "a line with a client that waits")
            commit(holder)
            waiting.until_ready()
            assert_served(waiting)  # a pool that is not used is silent
            wait_for(lambda: max(map(int, told("wait_max_us"))) >= 400_000, "its time")
