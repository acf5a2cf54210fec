"""How many statements a tenant may send (proxy.rate_limit, proxy.rate_burst), in all its sessions together."""

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from harness.tenant_limits import SECOND, Family, is_served, reason, told, wires
from harness.wait import wait_for
from harness.wire import (bind, close, describe, errors, execute, flush, function_call, parse, query, rows, sync, types,
                          why)

RATE = ("53400", "BH-LIM-RATE")
BURST = 6

pytestmark = pytest.mark.alone


@pytest.fixture(name="proxy", scope="module", params=[pytest.param(1, marks=pytest.mark.longer), 4],
                ids=["1-worker", "4-workers"])
def fixture_proxy(stand, request):
    with stand.proxy(bulkhead={"workers": request.param}, pool={"default_pool_size": 20}) as proxy:
        yield proxy


@pytest.fixture(name="family")
def fixture_family(stand):
    return Family(stand)


@contextlib.contextmanager
def few(proxy, family, burst=BURST):
    """A session whose tenant may send so many statements now, and one more each second."""
    with proxy.wire(family.leaf) as wire:
        family.set_known(proxy, "rate_burst", burst)
        family.set_known(proxy, "rate_limit", 1)
        yield wire


def left(count, began):
    """How many of `count` there may be since then: one a second is added."""
    return range(count, count + int(time.monotonic() - began) + 2)


def outcomes(wire, count):
    return [reason(wire.query("SELECT 'here'")) for _ in range(count)]


def test_so_many_at_once_and_so_many_a_second(proxy, family):
    with proxy.wire(family.leaf) as wire:
        family.set_known(proxy, "rate_burst", BURST)
        family.set_known(proxy, "rate_limit", 20)
        began = time.monotonic()
        served = sum(found is None for found in outcomes(wire, 2000))
        seconds = time.monotonic() - began
        assert BURST <= served <= BURST + 20 * seconds + 1
        assert served >= 20 * seconds - 1
        time.sleep(0.5)
        assert outcomes(wire, 5) == [None] * 5  # tokens are there again
        family.unset_known(proxy, "rate_limit")
        assert outcomes(wire, 200) == [None] * 200


def test_without_a_burst_of_its_own_it_is_what_comes_in_a_second(proxy, family):
    with proxy.wire(family.leaf) as wire:
        family.set_known(proxy, "rate_limit", 5)
        found = outcomes(wire, 5)
        assert found == [None] * 5
        assert RATE in outcomes(wire, 50)


def test_who_connects_anew_has_no_more_for_that(proxy, family):
    with few(proxy, family) as wire:
        began = time.monotonic()
        served = sum(found is None for found in outcomes(wire, 20))
        wire.close()
        for _ in range(6):
            with proxy.wire(family.leaf) as again:
                served += sum(found is None for found in outcomes(again, 3))
        assert served in left(BURST, began)


def test_all_sessions_share_it_and_no_other_tenant_does(proxy, family):
    with wires(proxy, family.leaf, 8) as sessions, proxy.wire(family.top) as parent, few(proxy, family, 50):
        began = time.monotonic()
        with ThreadPoolExecutor(8) as crowd:
            served = sum(found is None for each in crowd.map(lambda wire: outcomes(wire, 100), sessions)
                         for found in each)
        assert served in left(50, began)
        assert outcomes(parent, 200) == [None] * 200


def test_each_has_what_it_inherits_by_itself(proxy, family):
    with proxy.wire(family.leaf) as leaf, proxy.wire(family.top) as top:
        for key, value in (("rate_burst", BURST), ("rate_limit", 1)):
            with told(proxy, family.stand.ids[family.leaf]):
                family.set_known(proxy, key, value, family.top)
        for wire in (leaf, top):
            began = time.monotonic()
            assert sum(found is None for found in outcomes(wire, 30)) in left(BURST, began)
        family.set_known(proxy, "rate_limit", 0)
        assert outcomes(leaf, 50) == [None] * 50
        with told(proxy, family.stand.ids[family.leaf]):
            family.set_known(proxy, "rate_limit", 1, family.top, lock=True)
        assert RATE in outcomes(leaf, 30)


# ---- what is counted, and what becomes of what is refused ----

def test_the_session_goes_on(proxy, family):
    with few(proxy, family) as wire:
        wait_for(lambda: reason(wire.query("SELECT 1")) == RATE, "the limit")
        answers = wire.query("SELECT 1")
        assert types(answers) == "EZ" and answers[-1].status == "I"
        assert errors(answers)
        time.sleep(1.1)
        assert is_served(wire)


def batch(statement="SELECT 'here'"):
    return parse(statement) + bind() + describe("", "P") + execute()


def test_executes_are_counted(proxy, family):
    with few(proxy, family) as wire:
        wire.send(*[batch()] * 20, sync())
        answers = wire.until_ready()
        assert reason(answers) == RATE and answers[-1].status == "I"
        assert len(rows(answers)) in (BURST, BURST + 1)  # and no later one has run
        assert types(answers).endswith("EZ")
        wire.send(batch(), sync())
        assert types(wire.until_ready()) == "EZ"  # refused from the first message on
        wire.send(*[part for _ in range(3) for part in (batch(), sync())], query("SELECT 1"))
        assert [types(wire.until_ready()) for _ in range(4)] == ["EZ"] * 4


def test_prepared_statements_are_counted(proxy, family):
    with proxy.wire(family.leaf) as wire:
        wire.send(parse("SELECT 'here'", "named"), sync())
        assert reason(wire.until_ready()) is None
        family.set_known(proxy, "rate_burst", BURST)
        family.set_known(proxy, "rate_limit", 1)
        began = time.monotonic()
        served = 0
        for _ in range(20):
            wire.send(bind(statement="named"), execute(), sync())
            served += reason(wire.until_ready()) is None
        assert served in left(BURST, began)


def test_portals_are_counted_each_time(proxy, family):
    """Under any name, more of them than are remembered, and one piece of a result at a time."""
    with few(proxy, family, 100) as wire:
        began = time.monotonic()
        wire.send(query("BEGIN"))
        wire.until_ready()
        wire.send(*[part for n in range(90)
                    for part in (parse("SELECT 'here'"), bind(portal=f"p{n}"))], sync())
        assert reason(wire.until_ready()) is None
        wire.send(*[execute(f"p{n}") for n in range(90)], sync())
        assert len(rows(wire.until_ready())) == 90
        wire.send(parse("SELECT generate_series(1, 1000)"), bind(portal="long"),
                  *[execute("long", 1)] * 50, sync())
        answers = wire.until_ready()
        assert len(rows(answers)) in left(10, began) and reason(answers) == RATE and answers[-1].status == "E"


def test_function_calls_are_counted(proxy, family):
    with few(proxy, family) as wire:
        found = []
        for _ in range(15):
            wire.send(function_call(1317, ["x"]))  # length(text)
            found.append(reason(wire.until_ready()))
        assert RATE in found and found.count(None) <= BURST + 15


def test_a_transaction_fails_and_can_be_ended(proxy, family):
    with few(proxy, family) as wire:
        wire.query("BEGIN")
        wait_for(lambda: reason(wire.query("SELECT 1")) == RATE, "the limit")
        assert wire.query("SELECT 1")[-1].status == "E"
        answers = wire.query("ROLLBACK")
        assert reason(answers) is None and answers[-1].status == "I"


@pytest.mark.parametrize("end", [
    [query("COMMIT")],
    [parse("COMMIT"), bind(), describe("", "P"), execute(), sync()],
    [parse("COMMIT", "c"), bind(statement="c"), execute(), sync()],
], ids=["query", "unnamed", "named"])
def test_a_transaction_can_be_committed(proxy, family, end):
    """Though not one token is left."""
    with few(proxy, family, 2) as wire:
        wait_for(lambda: reason(wire.query("SELECT 1")) == RATE, "the limit")
        time.sleep(2.1)
        wire.query("BEGIN")
        assert outcomes(wire, 2) == [None, None]
        wire.send(*end)
        answers = wire.until_ready()
        assert reason(answers) is None and answers[-1].status == "I" and "C" in types(answers)


def test_a_begin_that_has_no_backend_yet(proxy, family):
    """The transaction fails as in PostgreSQL: what follows is refused for that, until it is ended."""
    with few(proxy, family, 1) as wire:
        wait_for(lambda: reason(wire.query("SELECT 1")) == RATE, "the limit")
        assert wire.query("BEGIN")[-1].status == "T"
        answers = wire.query("SELECT 1")
        assert reason(answers) == RATE and answers[-1].status == "E"
        answers = wire.query("COMMIT")
        assert reason(answers) is None and answers[-1].status == "I"


def test_what_is_skipped_is_not_counted(proxy, family):
    with few(proxy, family) as wire:
        began = time.monotonic()
        wire.send(parse("SELECT 1/0"), bind(), execute(), flush())
        wire.until("E")
        wire.send(*[execute()] * 50, sync())
        wire.until_ready()
        assert sum(found is None for found in outcomes(wire, 20)) in left(BURST - 1, began)


def test_the_server_never_sees_what_is_refused_outside_of_transactions(stand, family):
    with stand.proxy() as proxy, few(proxy, family) as wire:
        wait_for(lambda: reason(wire.query("SELECT 1")) == RATE, "the limit")
        before = stand.postgres.log_text().count("bulkhead: refused")
        for _ in range(20):
            assert reason(wire.query("SELECT 1")) in (RATE, None)
            wire.send(batch(), sync())
            assert reason(wire.until_ready()) in (RATE, None)
        assert stand.postgres.log_text().count("bulkhead: refused") == before
        event = proxy.events("statement.refused")[0]
        assert event["reason"] == RATE[1] and event["tenant"] == family.leaf


def test_drivers_get_an_ordinary_error(proxy, family):
    with proxy.connect(family.leaf) as connection:
        family.set_known(proxy, "rate_limit", 3)

        def refused():
            try:
                connection.execute("SELECT %s", (1,)).fetchone()
            except psycopg.errors.ConfigurationLimitExceeded as error:
                return error
            return None
        error = wait_for(refused, "the limit", SECOND)
        assert "reason=BH-LIM-RATE" in error.diag.message_detail
        family.unset_known(proxy, "rate_limit")
        assert connection.execute("SELECT %s", (1,)).fetchone() == (1,)
        for _ in range(10):
            assert connection.execute("SELECT %s", (1,)).fetchone() == (1,)


def test_it_comes_and_goes_in_the_middle_of_things(proxy, family):
    """Limits that change while sessions send all kinds of statements: every answer is whole, none is another's."""
    def work(wire):
        end = time.monotonic() + 3
        n = 0
        while time.monotonic() < end:
            n += 1
            if n % 3 == 0:
                wire.send(parse("SELECT $1::text"), bind([f"v{n}"]), describe("", "P"), execute(), sync())
                answers = wire.until_ready()
            elif n % 3 == 1:
                wire.send(close(f"s{n % 5}"), parse("SELECT $1::text", f"s{n % 5}"), bind([f"v{n}"], f"s{n % 5}"),
                          execute(), sync())
                answers = wire.until_ready()
            else:
                answers = wire.query(f"SELECT 'v{n}'")
            assert answers[-1].status == "I"
            failed = [why(m.fields) for m in answers if m.type == "E"]
            assert failed in ([], [RATE]) and (failed or rows(answers) == [[f"v{n}"]]), answers
        return n

    with wires(proxy, family.leaf, 6) as sessions, ThreadPoolExecutor(6) as crowd:
        futures = [crowd.submit(work, wire) for wire in sessions]
        for rate in (50, 0, 500, 20, 0):
            family.set("rate_limit", rate)
            time.sleep(0.5)
        assert all(future.result() > 0 for future in futures)
        assert all(map(is_served, sessions))
