"""Limits of one tenant (settings `proxy.*`): in force for sessions that are open, inherited, locked, taken away."""

import contextlib
import select
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness.api import Api
from harness.control_server import ControlServer, login
from harness.slow import extended, pipelined, prepared, simple
from harness.tenant_limits import SECOND, Family, is_served, reason, refusal, told, wires
from harness.wait import wait_for
from harness.wire import WireError, bind, execute, flush, parse, query, rows, sync, types, why

LATE = 0.5  # seconds by which a timeout may be late
TENANT_CLIENTS = ("53300", "BH-LIM-TENANT-CLIENTS")
STATEMENT_TIMEOUT = ("57014", "BH-LIM-STATEMENT-TIMEOUT")
QUERY_TIMEOUT = ("57014", "BH-LIM-QUERY-TIMEOUT")
WAIT_TIMEOUT = ("57014", "BH-LIM-WAIT-TIMEOUT")
IDLE_TRANSACTION = ("25P03", "BH-LIM-TENANT-IDLE-TRANSACTION")
WORKERS = (1, pytest.param(4, marks=pytest.mark.longer))

pytestmark = pytest.mark.alone


@pytest.fixture(name="proxy", scope="module", params=WORKERS, ids=["1-worker", "4-workers"])
def fixture_proxy(stand, request):
    with stand.proxy(bulkhead={"workers": request.param}, pool={"default_pool_size": 20}) as proxy:
        yield proxy


@pytest.fixture(name="family")
def fixture_family(stand):
    return Family(stand)


def timed(action, *arguments):
    start = time.monotonic()
    result = action(*arguments)
    return result, time.monotonic() - start


def is_silent(wire, seconds):
    return not select.select([wire.socket], [], [], seconds)[0]


# ---- connections ----

def test_connections(proxy, family):
    with contextlib.ExitStack() as stack:
        open_ones = [stack.enter_context(proxy.wire(family.leaf)) for _ in range(3)]
        family.set_known(proxy, "max_connections", 2)
        assert all(map(is_served, open_ones))  # nobody is sent away
        assert refusal(proxy.wire, family.leaf) == TENANT_CLIENTS
        open_ones.pop().close()
        open_ones.pop().close()
        wait_for(lambda: refusal(proxy.wire, family.leaf) is None, "the free place")
        with proxy.wire(family.leaf):
            assert refusal(proxy.wire, family.leaf) == TENANT_CLIENTS
            assert refusal(proxy.wire, family.top) is None
        family.set_known(proxy, "max_connections", 0)
        assert refusal(proxy.wire, family.leaf) == TENANT_CLIENTS
        open_ones.pop().close()
        assert refusal(proxy.wire, family.leaf) == TENANT_CLIENTS
        family.set("max_connections", -1)
        wait_for(lambda: refusal(proxy.wire, family.leaf) is None, "no limit", SECOND)
        with wires(proxy, family.leaf, 4) as all_of_them:
            assert all(map(is_served, all_of_them))


def test_each_tenant_has_what_it_inherits_by_itself(proxy, family):
    with proxy.wire(family.top), proxy.wire(family.leaf):
        with told(proxy, family.stand.ids[family.leaf]):
            family.set_known(proxy, "max_connections", 2, family.top)
        with proxy.wire(family.top), proxy.wire(family.leaf):
            assert refusal(proxy.wire, family.top) == refusal(proxy.wire, family.leaf) == TENANT_CLIENTS
            family.set_known(proxy, "max_connections", 3)
            with proxy.wire(family.leaf):
                assert refusal(proxy.wire, family.leaf) == TENANT_CLIENTS
            family.set_known(proxy, "max_connections", 1, family.top, lock=True)
            wait_for(lambda: refusal(proxy.wire, family.leaf) == TENANT_CLIENTS, "the lock", SECOND)
            with told(proxy, family.stand.ids[family.leaf]):
                family.unset_known(proxy, "max_connections", family.top)
            with contextlib.suppress(WireError), proxy.wire(family.leaf):  # its own three are back
                assert refusal(proxy.wire, family.leaf) == TENANT_CLIENTS
            assert refusal(proxy.wire, family.top) is None
            family.unset_known(proxy, "max_connections")
            with wires(proxy, family.leaf, 3) as more:
                assert all(map(is_served, more))


@pytest.mark.parametrize("workers", WORKERS)
def test_the_files_limits_are_a_ceiling(stand, family, workers):
    bulkhead = {"workers": workers, "max_tenant_client_connections": 3}
    with stand.proxy(bulkhead=bulkhead, pool={"query_timeout": "0.3s"}) as proxy:
        with wires(proxy, family.leaf, 2) as (wire, _):
            family.set_known(proxy, "max_connections", 5)
            family.set_known(proxy, "statement_timeout", 60000)
            with proxy.wire(family.leaf):
                assert refusal(proxy.wire, family.leaf) == TENANT_CLIENTS
            assert reason(wire.query("SELECT pg_sleep(5)")) == QUERY_TIMEOUT
            family.set_known(proxy, "max_connections", 2)
            wait_for(lambda: refusal(proxy.wire, family.leaf) == TENANT_CLIENTS, "the stricter one")


def test_there_are_never_more_connections_than_that(stand, family):
    """Forty who come at once, again and again; those who are let in say how many of them there are."""
    lock, counts, inside = threading.Lock(), [], [0]

    def come(proxy):
        try:
            wire = proxy.wire(family.leaf)
        except WireError as error:
            return error.why
        with lock:
            inside[0] += 1
            counts.append(inside[0])
        assert is_served(wire)
        with lock:
            inside[0] -= 1
        wire.close()
        return None

    with stand.proxy(bulkhead={"workers": 4}) as proxy, proxy.wire(family.leaf) as first:
        family.set_known(proxy, "max_connections", 6)
        with ThreadPoolExecutor(40) as crowd:
            outcomes = list(crowd.map(come, [proxy] * 400))
        assert max(counts) <= 5 and is_served(first)
        assert set(outcomes) == {None, TENANT_CLIENTS}
        wait_for(lambda: refusal(proxy.wire, family.leaf) is None, "places that are given back")
        with wires(proxy, family.leaf, 5):
            assert refusal(proxy.wire, family.leaf) == TENANT_CLIENTS


# ---- backends ----

def test_backends(proxy, family):
    with wires(proxy, family.leaf, 4) as (one, two, three, four), proxy.wire(family.top) as other:
        assert all(map(is_served, (one, two, three, four)))
        family.set_known(proxy, "pool_size", 1)
        one.query("BEGIN")
        assert is_served(one)
        two.send(query("SELECT 'here'"))
        assert is_silent(two, 0.3) and is_served(other)
        family.set_known(proxy, "pool_size", 2)
        assert rows(two.until_ready()) == [["here"]]  # who waits is served though nobody has given a backend back
        two.query("BEGIN")
        assert is_served(two)
        three.send(query("SELECT 'here'"))
        four.send(query("SELECT 'here'"))
        assert is_silent(three, 0.2) and is_silent(four, 0)
        two.query("COMMIT")
        assert rows(three.until_ready()) == rows(four.until_ready()) == [["here"]]
        two.query("BEGIN")
        assert is_served(two)
        three.send(query("SELECT 'here'"))
        assert is_silent(three, 0.2)
        family.unset("pool_size")
        assert rows(three.until_ready()) == [["here"]]
        one.query("COMMIT")
        two.query("COMMIT")
        assert all(map(is_served, (one, two, three, four)))


def test_a_smaller_number_of_backends_takes_none_away(proxy, family):
    with wires(proxy, family.leaf, 3) as (one, two, three):
        for wire in (one, two):
            wire.query("BEGIN")
            assert is_served(wire)
        family.set_known(proxy, "pool_size", 1)
        assert is_served(one) and is_served(two)
        three.send(query("SELECT 'here'"))
        two.query("COMMIT")
        assert is_silent(three, 0.3)
        one.query("COMMIT")
        assert rows(three.until_ready()) == [["here"]]


def test_there_are_never_more_backends_than_that(stand, family):
    """Of 24 sessions on four workers that never rest, while the number changes."""
    stop, marker = threading.Event(), "never more"

    def work(wire):
        count = 0
        while not stop.is_set():
            assert rows(wire.query(f"SELECT 'here', pg_sleep(0.002) /* {marker} */"))[0][0] == "here"
            count += 1
        return count

    def busy(admin):
        return admin.execute("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE %s "
                             "AND pid <> pg_backend_pid()", (f"%pg_sleep%{marker}%",)).fetchone()[0]

    with (stand.proxy(bulkhead={"workers": 4}, pool={"default_pool_size": 12}) as proxy, stand.admin() as admin,
          wires(proxy, family.leaf, 24) as sessions, ThreadPoolExecutor(24) as crowd):
        work_of_all = [crowd.submit(work, wire) for wire in sessions]
        try:
            wait_for(lambda: busy(admin) > 3, "many at work")
            for limit in (3, 1, 2):
                family.set_known(proxy, "pool_size", limit)
                time.sleep(0.1)  # for those that had a backend
                assert max(busy(admin) for _ in range(100)) <= limit
            family.unset("pool_size")
            wait_for(lambda: busy(admin) > 3, "many at work again")
        finally:
            stop.set()
        assert all(work.result() for work in work_of_all)


# ---- statements that take too long ----

def whatever_the_session_sets(wire, seconds):
    wire.query("SET statement_timeout = 0")
    return simple(wire, seconds)


def in_a_transaction(wire, seconds):
    wire.query("BEGIN")
    answers = simple(wire, seconds)
    assert answers[-1].status == ("E" if reason(answers) else "T")
    assert wire.query("ROLLBACK")[-1].status == "I"
    return answers


@pytest.mark.parametrize("statement", [simple, extended, prepared, pipelined, whatever_the_session_sets,
                                       in_a_transaction])
def test_statements(proxy, family, statement):
    with proxy.wire(family.leaf) as wire:
        assert reason(statement(wire, 0.01)) is None
        family.set_known(proxy, "statement_timeout", 300)
        answers, seconds = timed(statement, wire, 5)
        assert reason(answers) == STATEMENT_TIMEOUT
        assert 0.3 <= seconds <= 0.3 + LATE
        assert is_served(wire)
        assert reason(statement(wire, 0.05)) is None
        family.unset_known(proxy, "statement_timeout")
        assert reason(statement(wire, 0.5)) is None


def test_limits_that_are_shorter_than_a_tick(proxy, family):
    with proxy.wire(family.leaf) as wire:
        family.set_known(proxy, "statement_timeout", 20)
        simple(wire, 0.3)  # from now on it is looked more closely
        for _ in range(10):
            answers, seconds = timed(simple, wire, 0.08)
            assert reason(answers) == STATEMENT_TIMEOUT and seconds >= 0.02
            assert is_served(wire)
        time.sleep(1.2)
        assert is_served(wire)
        answers, seconds = timed(simple, wire, 5)
        assert reason(answers) == STATEMENT_TIMEOUT and seconds < LATE


def test_a_statement_that_runs_when_the_limit_comes(proxy, family):
    with proxy.wire(family.leaf) as wire:
        wire.send(query("SELECT pg_sleep(10)"))
        time.sleep(0.2)
        family.set("statement_timeout", 100)
        (answers, seconds) = timed(wire.until_ready)
        assert reason(answers) == STATEMENT_TIMEOUT and seconds < SECOND + LATE
        assert is_served(wire)


def test_a_batch_of_short_statements_may_last_longer(proxy, family):
    """Where their answers are asked for (Flush): PostgreSQL keeps them back else, and nobody can tell them apart."""
    with proxy.wire(family.leaf) as wire:
        family.set_known(proxy, "statement_timeout", 500)
        many = [part for _ in range(12) for part in (parse("SELECT pg_sleep(0.1)"), bind(), execute(), flush())]
        wire.send(*many, sync())
        answers, seconds = timed(wire.until_ready)
        assert reason(answers) is None and seconds > 1
        wire.send(parse("SELECT pg_sleep(0.1)"), bind(), execute(), flush())
        wire.until("C")
        time.sleep(0.8)  # nothing runs
        wire.send(parse("SELECT 1"), bind(), execute(), sync())
        assert reason(wire.until_ready()) is None


def test_the_limit_of_one_tenant_is_no_others(proxy, family):
    with proxy.wire(family.leaf) as wire, proxy.wire("globex") as other, proxy.wire(family.top) as parent:
        family.set_known(proxy, "statement_timeout", 200)
        other.send(query("SELECT pg_sleep(0.8)"))
        parent.send(query("SELECT pg_sleep(0.8)"))
        assert reason(simple(wire, 5)) == STATEMENT_TIMEOUT
        assert reason(other.until_ready()) is None and reason(parent.until_ready()) is None


def test_what_was_cancelled_is_counted(stand, family):
    with stand.proxy() as proxy, proxy.wire(family.leaf) as wire:
        family.set_known(proxy, "statement_timeout", 100)
        assert reason(simple(wire, 5)) == STATEMENT_TIMEOUT
        event, = proxy.events("statement.cancelled")
        assert event["tenant"] == family.leaf and event["reason"] == STATEMENT_TIMEOUT[1]


# ---- the API ----

@pytest.mark.parametrize("workers", WORKERS)
def test_limits_through_the_api(stand, family, workers):
    """Set, locked, refused and taken away over HTTP, for a session that is open."""
    leaf, top = (f"/v1/tenants/{tenant}/settings/proxy.statement_timeout" for tenant in (family.leaf, family.top))
    with Api(stand, proxy={"bulkhead": {"workers": workers}}) as api, api.proxy.wire(family.leaf) as wire:
        root, editor = api.client(), api.client("editor", family.top)  # of its own a tenant lifts none

        def outcome():
            return reason(simple(wire, 0.4))
        assert outcome() is None
        assert root.put(top, {"value": 100, "locked": True}).status in (200, 201)
        wait_for(lambda: outcome() == STATEMENT_TIMEOUT, "what is above", SECOND)
        assert editor.put(leaf, {"value": 0}).status == 409
        assert root.delete(top).status in (200, 204)
        wait_for(lambda: outcome() is None, "no limit", SECOND + 0.4)
        assert editor.put(leaf, {"value": -1}).status == 422
        assert editor.put(leaf, {"value": 100}).status in (200, 201)
        wait_for(lambda: outcome() == STATEMENT_TIMEOUT, "its own", SECOND)


# ---- the console ----

def test_the_console_shows_what_holds(stand, family):
    limits = {"max_connections": 5, "pool_size": 3, "statement_timeout": 60000, "rate_limit": 70}
    everybody = {"admin_users": "shop", "max_tenant_client_connections": 4}
    with (stand.proxy(bulkhead=everybody, pool={"query_timeout": 10}) as proxy, proxy.wire(family.leaf),
          proxy.wire("acme"), proxy.connect(dbname="bulkhead") as desk):
        for key, value in limits.items():
            family.set_known(proxy, key, value)
        with desk.cursor() as cursor:
            columns = [column.name for column in cursor.execute("SHOW TENANTS").description]
            shown = {row[0]: dict(zip(columns, row)) for row in cursor.fetchall()}
        assert [shown[family.leaf][key] for key in limits] == [4, 3, 10000, 70]
        assert [shown["acme"][key] for key in limits] == [4, None, 10000, None]


# ---- silence ----

def test_silence_in_a_transaction(proxy, family):
    with wires(proxy, family.leaf, 4) as (idle, in_a_batch, outside, began):
        idle.query("BEGIN")
        assert is_served(idle)
        in_a_batch.send(parse("SELECT 1"), bind(), execute(), flush())
        in_a_batch.until("C")
        began.query("BEGIN")  # no backend knows of that
        family.set("idle_in_transaction_timeout", 300)
        for wire in (idle, in_a_batch):
            found, seconds = timed(wire.until_end)
            assert types(found) == "E" and found[-1].fields["S"] == "FATAL"
            assert why(found[-1].fields) == IDLE_TRANSACTION and seconds < 0.3 + SECOND + LATE
        assert is_served(outside) and is_served(began)
        with proxy.wire(family.leaf) as busy:
            busy.query("BEGIN")
            for _ in range(8):
                assert reason(simple(busy, 0.1)) is None
            assert reason(simple(busy, 0.6)) is None  # that is not silence
            family.unset_known(proxy, "idle_in_transaction_timeout")
            assert is_silent(busy, 0.8) and is_served(busy)


# ---- waiting ----

@pytest.mark.parametrize("workers", WORKERS)
def test_waiting_for_a_backend(stand, family, workers):
    with (stand.proxy(bulkhead={"workers": workers}, pool={"query_wait_timeout": "2s"}) as proxy,
          wires(proxy, family.leaf, 2) as (holder, wire), wires(proxy, family.top, 2) as (other_holder, other)):
        for tenant in (family.leaf, family.top):
            family.set_known(proxy, "pool_size", 1, tenant)
        for each in (holder, other_holder):
            each.query("BEGIN")
            assert is_served(each)
        family.set_known(proxy, "query_wait_timeout", 300)
        other.send(query("SELECT 1"))
        answers, seconds = timed(simple, wire, 0)
        assert reason(answers) == WAIT_TIMEOUT and 0.3 <= seconds <= 0.3 + LATE
        answers, seconds = timed(other.until_ready)
        assert reason(answers) == WAIT_TIMEOUT and 1 <= seconds <= 2 + LATE
        holder.query("COMMIT")
        assert is_served(wire)
        holder.query("BEGIN")
        assert is_served(holder)
        family.set_known(proxy, "query_wait_timeout", 60000)
        answers, seconds = timed(simple, wire, 0)
        assert reason(answers) == WAIT_TIMEOUT and 2 <= seconds <= 2 + LATE  # the file's is stricter


# ---- the control database is away ----

def test_the_last_known_limits_stay(stand, template, tmp_path):
    server = ControlServer(stand, template, 1)
    try:
        tenant, = server.execute("SELECT id FROM bulkhead_control.tenant WHERE slug = 'known-0'").fetchone()
        put = "SELECT bulkhead_control.set_setting(%s, %s, %s, false)"
        server.execute(put, tenant, "proxy.statement_timeout", "200")
        with server.proxy(snapshot_file=tmp_path / "directory") as (proxy, relay):
            with login(proxy, "known-0") as wire:
                assert reason(simple(wire, 5)) == STATEMENT_TIMEOUT
                server.execute(put, tenant, "proxy.max_connections", "1")
                wait_for(lambda: refusal(login, proxy, "known-0") == TENANT_CLIENTS, "the limit", SECOND)
                time.sleep(1.5)  # the snapshot is written within a second
                relay.cut()
                assert refusal(login, proxy, "known-0") == TENANT_CLIENTS
                assert reason(simple(wire, 5)) == STATEMENT_TIMEOUT
                server.execute(put, tenant, "proxy.statement_timeout", "1000")
            proxy.stop()
            proxy.start()  # from what it had written down
            with login(proxy, "known-0") as wire:
                assert refusal(login, proxy, "known-0") == TENANT_CLIENTS
                assert reason(simple(wire, 0.6)) == STATEMENT_TIMEOUT
                relay.mend()
                wait_for(lambda: reason(simple(wire, 0.6)) is None, "what has changed meanwhile", 10)
                assert reason(simple(wire, 5)) == STATEMENT_TIMEOUT
    finally:
        server.postgres.remove()
