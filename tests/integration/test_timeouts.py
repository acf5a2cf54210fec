"""What lasts too long is ended: never early, soon after its time, and nobody else notices."""

import contextlib
import os
import random
import select
import signal
import threading
import time

import pytest
from harness.slow import extended, pipelined, prepared, simple
from harness.stand import DATABASE, HOST, PRINCIPAL
from harness.wire import Wire, bind, copy_data, copy_done, errors, execute, parse, query, rows, sync, types, why

pytestmark = pytest.mark.alone

LIMIT = 0.3  # seconds, of whatever timeout a test sets
LATE = 0.5   # seconds by which it may be late
CANCEL_SECONDS = 5  # that a cancelled statement is given to end (CANCEL_US)

QUERY_TIMEOUT = ("57014", "BH-LIM-QUERY-TIMEOUT")
WAIT_TIMEOUT = ("57014", "BH-LIM-WAIT-TIMEOUT")
TRANSACTION_TIMEOUT = ("25P04", "BH-LIM-TRANSACTION-TIMEOUT")
IDLE_TRANSACTION = ("25P03", "BH-LIM-IDLE-TRANSACTION")
IDLE_CLIENT = ("57P05", "BH-LIM-IDLE-TIMEOUT")


@contextlib.contextmanager
def proxy_with_bystander(stand, **settings):
    """A proxy with these settings of [pool], and a client of another tenant that must notice nothing."""
    stop, seen, failed = threading.Event(), [], []

    def work(wire):
        try:
            while not stop.wait(0.02):
                seen.append(rows(wire.query("SELECT 'unharmed'")))
        except Exception as error:  # reported by the test's own thread
            failed.append(error)

    bulkhead = {name: settings.pop(name) for name in list(settings) if name.startswith("client_")}
    with stand.proxy(pool={"default_pool_size": 40, **settings}, bulkhead=bulkhead) as proxy:
        with proxy.wire("globex") as wire:
            thread = threading.Thread(target=work, args=(wire,))
            thread.start()
            try:
                yield proxy
            finally:
                stop.set()
                thread.join()
    assert not failed
    assert seen and all(answer == [["unharmed"]] for answer in seen)


@pytest.fixture(scope="module")
def short_queries(stand):
    with proxy_with_bystander(stand, query_timeout=LIMIT) as proxy:
        yield proxy


def timed(action, *arguments):
    """What the action returned, and the seconds that it took."""
    start = time.monotonic()
    result = action(*arguments)
    return result, time.monotonic() - start


def assert_in_time(seconds, limit=LIMIT):
    assert limit <= seconds <= limit + LATE


def first_error(messages):
    return next(why(m.fields) for m in messages if m.type == "E")


def assert_usable(wire):
    assert rows(wire.query("SELECT 'again'")) == [["again"]]


def assert_ended(wire, reason):
    """The session ends now with a FATAL for this reason, and the time is still right."""
    found = wire.until_end()
    assert types(found) == "E" and found[-1].fields["S"] == "FATAL"
    assert why(found[-1].fields) == reason


# ---- query_timeout: statements of about so many seconds ----

def several(wire, seconds):
    return wire.query(f"SELECT 1; SELECT pg_sleep({seconds}); SELECT 2")


def copy_out(wire, seconds):
    return wire.query(f"COPY (SELECT 1 UNION ALL SELECT length(pg_sleep({seconds})::text)) TO STDOUT")


def copy_in(wire, seconds):
    """Sends a row now and then until it is told to stop, or the time is over."""
    wire.send(query("COPY copied FROM STDIN"))
    answers = wire.until("GZ")
    end = time.monotonic() + seconds
    while time.monotonic() < end and not select.select([wire.socket], [], [], 0.01)[0]:
        wire.send(copy_data("1\n"))
    wire.send(copy_done())
    return answers + wire.until_ready()


def in_a_transaction(wire, seconds):
    """The transaction is the client's to roll back."""
    answers = wire.query(f"SELECT pg_sleep({seconds})")
    assert answers[-1].status == ("E" if errors(answers) else "T")
    return answers + wire.query("ROLLBACK") + wire.query("BEGIN")


STATEMENTS = [simple, several, extended, prepared, pipelined, copy_out, copy_in, in_a_transaction]


def open_for(statement, proxy):
    """A client for such statements, that has a backend or gets one at once."""
    wire = proxy.wire("acme")
    assert_usable(wire)
    if statement is copy_in:
        wire.query("CREATE TEMP TABLE copied (x int)")
    if statement is in_a_transaction:
        wire.query("BEGIN")
        wire.query("SELECT 1")
    return wire


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_long_statement_is_cancelled(short_queries, statement):
    with open_for(statement, short_queries) as wire:
        answers, seconds = timed(statement, wire, 10)
        assert [why(m.fields) for m in answers if m.type == "E"] == [QUERY_TIMEOUT]
        assert_in_time(seconds)
        assert_usable(wire)


ROUNDS = 8


def test_the_next_statement_is_not_hit(short_queries):
    """Statements that end just when they are cancelled, some hundreds of them; each is followed at once by another."""
    failed, outcomes = [], []

    def race(statement, seed):
        chance = random.Random(seed)
        try:
            with open_for(statement, short_queries) as wire:
                if seed % 2:
                    be_pinned(wire)
                for _ in range(ROUNDS):
                    outcome = errors(statement(wire, LIMIT + chance.uniform(-0.02, 0.2)))
                    assert outcome in ([], ["57014"])
                    outcomes.append(bool(outcome))
                    assert_usable(wire)
        except Exception as error:  # reported by the test's own thread
            failed.append((statement.__name__, error))

    threads = [threading.Thread(target=race, args=(statement, seed))
               for seed in range(2) for statement in STATEMENTS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(outcomes) == ROUNDS * len(threads)
    assert 0 < sum(outcomes) < len(outcomes), "some must have been cancelled and some have ended by themselves"


@contextlib.contextmanager
def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("pinned", [False, True])
def test_a_cancel_that_comes_late_hits_nothing(short_queries, pinned):
    """The server takes its time to read the request, and the statement has ended when it does.

    The next one waits for that on the same backend, or runs on another.
    """
    postmaster = short_queries.stand.postgres.process.pid
    with short_queries.wire("acme") as wire, short_queries.wire("acme") as spare:
        if pinned:
            wire.query("CREATE TEMP TABLE t (x int)")
        spare.query("BEGIN")
        spare.query("SELECT 1")
        assert_usable(wire)  # on a backend of its own
        spare.query("COMMIT")
        with stopped(postmaster):
            wire.send(query(f"SELECT pg_sleep({LIMIT + 0.4})"))
            assert errors(wire.until_ready()) == []
            wire.send(query("SELECT pg_sleep(0.1), 'unharmed'"))
            assert wire.is_silent(0.4) == pinned
        assert rows(wire.until_ready()) == [["", "unharmed"]]


def test_who_comes_after_one_that_ran_out_of_time(stand):
    """The backend of a client that is ended goes to the next at once, which has all its time before it."""
    limits = {"idle_transaction_timeout": LIMIT, "transaction_timeout": LIMIT, "default_pool_size": 1}
    with stand.proxy(pool=limits) as proxy, proxy.wire("acme") as silent, proxy.wire("acme") as next_one:
        silent.send(parse(f"SELECT '{20000 * 'x'}'"), sync())  # too long to be kept for it: it keeps the backend
        assert types(silent.until_ready()) == "1Z"
        next_one.send(query("SELECT 'mine'"))
        assert why(silent.until_end()[-1].fields) == ("25P03", "BH-LIM-IDLE-TRANSACTION")
        assert rows(next_one.until_ready()) == [["mine"]]


def test_a_statement_that_comes_while_a_cancel_is_under_way(short_queries):
    """It is kept until the statement before it has ended, and then runs, on that backend or another."""
    postmaster = short_queries.stand.postgres.process.pid
    with short_queries.wire("acme") as wire:
        assert_usable(wire)
        with stopped(postmaster):
            wire.send(query(f"SELECT pg_sleep({LIMIT + 0.6})"))
            time.sleep(LIMIT + 0.3)
            wire.send(query("SELECT 'kept'"))
            assert errors(wire.until_ready()) == []
        assert rows(wire.until_ready()) == [["kept"]]


def test_statements_behind_a_cancelled_one(short_queries):
    """They are on their way to the server when it is cancelled, and run."""
    with short_queries.wire("acme") as wire:
        wire.send(query("SELECT pg_sleep(10)"), query("SELECT 'second'"), query("SELECT 'third'"))
        assert first_error(wire.until_ready()) == QUERY_TIMEOUT
        assert rows(wire.until_ready(2)) == [["second"], ["third"]]
        assert_usable(wire)


def test_a_late_cancel_within_a_pipeline_is_named(short_queries):
    """What is on its way to the server already may be hit. Then it is at least told by whom.

    PostgreSQL signals the backend and then its process group: one request may hit two statements in a row.
    """
    postmaster = short_queries.stand.postgres.process.pid
    with short_queries.wire("acme") as wire:
        assert_usable(wire)
        with stopped(postmaster):
            wire.send(query(f"SELECT pg_sleep({LIMIT + 0.4})"), *[query(f"SELECT pg_sleep({LIMIT * 0.6})")] * 3)
            assert errors(wire.until_ready()) == []
        found = wire.until_ready(3)
        assert [why(m.fields) for m in found if m.type == "E"] in ([], [QUERY_TIMEOUT], [QUERY_TIMEOUT] * 2)
        assert_usable(wire)


DEAF = """DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(20); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$"""


def test_a_statement_that_cannot_be_cancelled_ends_its_session(short_queries):
    """A function that goes on all the same, and a COPY in which the server only waits for its client."""
    with short_queries.wire("acme") as deaf, open_for(copy_in, short_queries) as silent:
        start = time.monotonic()
        deaf.send(query(DEAF))
        silent.send(query("COPY copied FROM STDIN"))
        assert silent.read().type == "G"
        for wire in (deaf, silent):
            assert_ended(wire, QUERY_TIMEOUT)
            assert_in_time(time.monotonic() - start, LIMIT + CANCEL_SECONDS)
    with short_queries.stand.admin() as admin:
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = %s", (DEAF,))
    with short_queries.wire("acme") as wire:
        assert_usable(wire)


# ---- transactions ----

@pytest.fixture(scope="module")
def short_transactions(stand):
    with proxy_with_bystander(stand, transaction_timeout=2 * LIMIT, idle_transaction_timeout=LIMIT) as proxy:
        yield proxy


def keep_busy(wire, *_):
    """Statement after statement, until the session ends."""
    with contextlib.suppress(EOFError, ConnectionError):
        while wire.is_silent(0.02):
            wire.send(query("SELECT 1"))
            found = wire.read()
            if found.type == "E":
                wire.unread = b"E" + len(found.body + b"1234").to_bytes(4, "big") + found.body
                return
            wire.until_ready()


def run_long(wire):
    wire.send(query("SELECT pg_sleep(10)"))


def test_a_transaction_that_lasts_too_long(short_transactions):
    """It is never idle for long, and ends all the same; and so does one that is a single statement."""
    for work in (keep_busy, run_long):
        with short_transactions.wire("acme") as wire:
            start = time.monotonic()
            wire.query("BEGIN")
            work(wire)
            assert_ended(wire, TRANSACTION_TIMEOUT)
            assert_in_time(time.monotonic() - start, 2 * LIMIT)


def test_many_transactions_may_last_longer_than_one(short_transactions):
    end = time.monotonic() + 3 * LIMIT
    with short_transactions.wire("acme") as wire:
        wire.query("CREATE TEMP TABLE t (x int)")  # keeps one backend all the time
        while time.monotonic() < end:
            wire.query("BEGIN")
            wire.query("SELECT pg_sleep(0.1)")
            assert wire.query("COMMIT")[-1].status == "I"


@pytest.mark.parametrize("statement, status", [("SELECT 1", "T"), ("SELECT 1/0", "E")])
def test_a_client_that_is_idle_in_a_transaction(short_transactions, statement, status):
    with short_transactions.wire("acme") as wire:
        wire.query("BEGIN")
        assert wire.query("SELECT 1")[-1].status == "T"
        time.sleep(LIMIT / 2)
        start = time.monotonic()
        assert wire.query(statement)[-1].status == status
        assert_ended(wire, IDLE_TRANSACTION)
        assert_in_time(time.monotonic() - start)


def test_a_client_that_stops_within_a_message_is_idle_in_a_transaction(short_transactions):
    """It may hold a backend, which cannot be given to anyone else."""
    with short_transactions.wire("acme") as wire:
        assert_usable(wire)  # so that there is one that it gets at once
        start = time.monotonic()
        wire.send(parse("SELECT '" + 20000 * "x" + "'")[:5])
        assert_ended(wire, IDLE_TRANSACTION)
        assert_in_time(time.monotonic() - start)


def test_what_was_left_is_rolled_back(short_transactions):
    with short_transactions.wire("acme") as wire, short_transactions.wire("acme") as other:
        wire.query("BEGIN")
        wire.query("UPDATE orders SET item = 'acme gone' WHERE id = 1")
        assert_ended(wire, IDLE_TRANSACTION)
        assert rows(other.query("SELECT item FROM orders WHERE id = 1 FOR UPDATE")) == [["acme 1"]]


# ---- client_idle_timeout ----

@pytest.fixture(scope="module")
def short_idling(stand):
    # The bystander of this proxy sends something often enough.
    with proxy_with_bystander(stand, client_idle_timeout=LIMIT) as proxy:
        yield proxy


def log_in_only(_wire):
    pass


def hold_a_begin(wire):
    assert wire.query("BEGIN")[-1].status == "T"


def ask_once(wire):
    assert_usable(wire)


def be_pinned(wire):
    wire.query("CREATE TEMP TABLE t (x int)")


def be_pinned_and_used(wire):
    wire.query("CREATE TEMP TABLE t (x int)")
    time.sleep(LIMIT / 2)
    assert_usable(wire)


@pytest.mark.parametrize("work", [log_in_only, hold_a_begin, ask_once, be_pinned, be_pinned_and_used])
def test_a_client_that_is_idle(short_idling, work):
    with short_idling.wire("acme") as wire:
        work(wire)
        start = time.monotonic()
        assert_ended(wire, IDLE_CLIENT)
        seconds = time.monotonic() - start
        assert LIMIT - 0.1 <= seconds <= LIMIT + LATE  # the last answer was some time under way


def test_a_client_that_works_is_not_idle(short_idling):
    """While a statement runs, in a transaction, and between statements in time, whether it keeps its backend or not."""
    with short_idling.wire("acme") as free, short_idling.wire("acme") as pinned:
        be_pinned(pinned)
        for wire in (free, pinned):
            wire.send(query(f"SELECT pg_sleep({2 * LIMIT})"))
        for wire in (free, pinned):
            assert errors(wire.until_ready()) == []
        for _ in range(5):
            time.sleep(LIMIT / 3)
            for wire in (free, pinned):
                assert_usable(wire)
        for wire in (free, pinned):
            wire.query("BEGIN")
            wire.query("SELECT 1")
        time.sleep(2 * LIMIT)
        for wire in (free, pinned):
            assert wire.query("COMMIT")[-1].status == "I"


def test_a_new_backend_is_not_taken_for_an_idle_client(stand):
    """A client that has begun a message is not idle from the beginning of time."""
    with stand.proxy(bulkhead={"client_idle_timeout": 2 * LIMIT}) as proxy, proxy.wire("acme") as wire:
        statement = parse("SELECT '" + 20000 * "x" + "'")
        wire.send(statement[:5])
        time.sleep(LIMIT)
        wire.send(statement[5:], bind(), execute(), sync())
        assert types(wire.until_ready()) == "12DCZ"


# ---- query_wait_timeout ----

def test_waiting_for_a_backend_ends(stand):
    """A statement fails, and the transaction that was begun with it; a client that logs in is ended."""
    limit = 1.0
    with stand.proxy(pool={"default_pool_size": 1, "query_wait_timeout": limit}) as proxy:
        holder, waiting, begun, new, lucky = (Wire.connect(HOST, proxy.port) for _ in range(5))
        with holder, waiting, begun, new, lucky:
            for wire, tenant in ((holder, "acme"), (waiting, stand.rival), (begun, stand.rival), (lucky, stand.rival)):
                wire.login(login_of(tenant), stand.password)
            holder.query("BEGIN")
            holder.query("SELECT 1")
            begun.query("BEGIN")
            start = time.monotonic()
            waiting.send(query("SELECT 1"))
            begun.send(query("SELECT 1"))
            new.authenticate(login_of("acme", work_mem="5MB"), stand.password)
            time.sleep(limit * 2 / 3)
            lucky.send(query("SELECT 'lucky'"))
            assert first_error(waiting.until_ready()) == WAIT_TIMEOUT
            assert_in_time(time.monotonic() - start, limit)
            found = begun.until_ready()
            assert first_error(found) == WAIT_TIMEOUT and found[-1].status == "E"
            assert_ended(new, WAIT_TIMEOUT)
            assert_in_time(time.monotonic() - start, limit)
            assert holder.query("COMMIT")[-1].status == "I"
            assert rows(lucky.until_ready()) == [["lucky"]]
            assert begun.query("ROLLBACK")[-1].status == "I"
            for wire in (holder, waiting, begun):
                assert_usable(wire)


def login_of(tenant, **keys):
    return {"user": f"{PRINCIPAL}.{tenant}", "database": DATABASE, **keys}
