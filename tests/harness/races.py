"""Two sessions on one control schema, one of which works while the other has not ended.

    of_first, of_second = interleave(sessions, lambda connection: …, lambda connection: …)
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg

TRY_AGAIN, DEADLOCK = "40001", "40P01"


def outcome(work, *arguments):
    """`done`, or the constraint that refused the work, or the SQLSTATE where there is none."""
    try:
        work(*arguments)
        return "done"
    except psycopg.Error as error:
        return error.diag.constraint_name or error.sqlstate


def wait_for_second(observer, second, future, reached):
    deadline = time.monotonic() + 20
    while not reached.is_set() and not future.done():
        if observer.execute("SELECT cardinality(pg_blocking_pids(%s))", (second.info.backend_pid,)).fetchone()[0]:
            return
        assert time.monotonic() < deadline, "the second session neither waits nor ends"
        time.sleep(0.001)


def interleave(sessions, first, second, level="read committed", commit=True):
    """
    `first` runs, then `second` until it waits or has nothing left but to commit; then `first` ends, then `second`.
    What became of both.
    """
    one, two, observer = sessions
    two.execute(f"SET default_transaction_isolation = '{level}'")
    reached, ended = threading.Event(), threading.Event()

    def run_second():
        with two.transaction():
            second(two)
            reached.set()
            ended.wait(20)

    with ThreadPoolExecutor(1) as executor:
        first(one)
        try:
            future = executor.submit(outcome, run_second)
            wait_for_second(observer, two, future, reached)
        finally:
            of_first = outcome(one.commit if commit else one.rollback)
            ended.set()
        return of_first, future.result()
