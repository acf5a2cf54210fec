"""Every allocation of a session fails once: each time the session is carried out or told the truth, and nobody else notices."""

import mmap
import os
import signal
import socket
import struct
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness.postgres import HOST
from harness.program import PROGRAM
from harness.stand import DATABASE, PRINCIPAL, ROWS, Proxy
from harness.wait import wait_for
from harness.wire import Wire, WireError, bind, describe, errors, execute, parse, query, rows, sync, terminate

LIBRARY = Path(os.environ.get("FAILMALLOC_SO", PROGRAM.parent / "tests" / "failmalloc.so"))

pytestmark = pytest.mark.skipif(not LIBRARY.exists() or "san-" in str(PROGRAM),
                                reason="failmalloc.so is not built, or a sanitizer has malloc for itself")


class Allocations:
    """The words that failmalloc.c shares with the test."""

    def __init__(self, path):
        path.write_bytes(bytes(24))
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 24)

    def word(self, index):
        return struct.unpack_from("Q", self.memory, 8 * index)[0]

    @property
    def made(self):
        return self.word(0)

    @property
    def failed(self):
        return self.word(2)

    def fail(self, nth):
        """The nth allocation from now on; 0 for none."""
        struct.pack_into("Q", self.memory, 8, self.made + nth if nth else 0)


@contextmanager
def counted_proxy(stand, **sections):
    path = stand.folder / "allocations"
    allocations = Allocations(path)
    proxy = Proxy(stand, sections)
    proxy.wrapper = ["env", f"LD_PRELOAD={LIBRARY}", f"FAILMALLOC={path}"]
    try:
        yield proxy.start(), allocations
    finally:
        allocations.fail(0)
        proxy.stop()


def session(proxy, tenant, **startup):
    """Everything that Bulkhead allocates for: login, hand-over, local answers, both protocols, an error, a result
    larger than a read. Returns the items that the tenant saw."""
    keys = {"user": f"{PRINCIPAL}.{tenant}", "database": DATABASE, **startup}
    with Wire.connect(HOST, proxy.port) as wire:
        wire.socket.settimeout(10)
        wire.login(keys, password=proxy.stand.password)
        wire.send(query("BEGIN"))
        wire.until_ready()
        wire.send(query("SELECT item FROM orders"))
        seen = wire.until_ready()
        wire.send(query("COMMIT"))
        seen += wire.until_ready()
        wire.send(parse("BEGIN") + bind() + execute() + parse("SELECT item FROM orders WHERE id > $1") + bind(["0"])
                  + describe(kind="P") + execute() + sync())
        seen += wire.until_ready()
        wire.send(query("ROLLBACK"))
        wire.until_ready()
        wire.send(query("SELECT repeat('x', 300000)"))
        large = wire.until_ready()
        wire.send(query("SELECT 1/0"))
        division = errors(wire.until_ready())
        wire.send(terminate())
    if errors(seen + large):
        raise WireError(next(m.fields for m in seen + large if m.type == "E"))
    assert division == ["22012"]
    assert len(rows(large)[0][0]) == 300000
    return [item for (item,) in rows(seen)]


def assert_served(proxy, tenant):
    seen = session(proxy, tenant)
    assert len(seen) == 2 * ROWS and all(item.startswith(f"{tenant} ") for item in seen)


def test_every_allocation_of_a_session_may_fail(stand):
    """Settings and tenant change from session to session, so that logins wait for a backend and hand-overs send all
    there is to send; the directory remembers nothing, so the control thread's allocations are among them."""
    refused = survived = 0
    sections = {"pool": {"default_pool_size": 1, "server_login_retry": "0"}, "control": {"directory_ttl": "0"}}
    with counted_proxy(stand, **sections) as (proxy, allocations):
        assert_served(proxy, "acme")
        before = allocations.made
        session(proxy, "globex", DateStyle="German, DMY")
        longest = int((allocations.made - before) * 1.2) + 20
        assert 50 < longest < 5000
        for nth in range(1, longest):
            was_refused = False
            tenant = ("acme", "globex")[nth % 2]  # the other one than before, so that the backend changes hands
            allocations.fail(nth)
            try:
                seen = session(proxy, tenant, DateStyle="German, DMY", application_name=f"n{nth}")
                assert len(seen) == 2 * ROWS and all(item.startswith(f"{tenant} ") for item in seen)
                survived += 1
            except (WireError, EOFError, ConnectionError) as error:
                was_refused = True
                refused += 1
                if isinstance(error, WireError):
                    assert error.sqlstate, "an error without a code"
            except socket.timeout:
                pytest.fail(f"the session hung when allocation {nth} failed\n{proxy.log_text()[-3000:]}")
            allocations.fail(0)
            assert proxy.process.poll() is None, f"died of allocation {nth}\n{proxy.log_text()[-3000:]}"
            if was_refused:
                assert_served(proxy, tenant)
        assert allocations.failed >= longest * 0.5
        assert refused and survived
        print(f"{longest} allocations, {allocations.failed} failed, {refused} sessions refused, {survived} carried out")


@pytest.mark.longer
def test_every_allocation_of_a_reload_may_fail(stand):
    """Each time all of it is taken, or nothing; and it is said which."""
    with counted_proxy(stand, bulkhead={"file_check_period": 0}, listen__trusted={}) as (proxy, allocations):
        def outcomes():
            return proxy.events("serve.reloaded") + proxy.events("serve.reload_failed")

        assert_served(proxy, "acme")
        before = allocations.made
        proxy.reload(pool={"default_pool_size": 1})
        longest = allocations.made - before
        assert 50 < longest < 2000
        in_force, failed = 1, 0
        for nth in range(1, longest + 1):
            known = len(outcomes())
            proxy.configure(pool={"default_pool_size": in_force + 1})
            allocations.fail(nth)
            proxy.process.send_signal(signal.SIGHUP)
            wait_for(lambda: len(outcomes()) > known, f"an outcome when allocation {nth} failed")  # noqa: B023
            allocations.fail(0)
            if proxy.events("serve.reload_failed")[failed:]:
                failed = len(proxy.events("serve.reload_failed"))
                proxy.configure(pool={"default_pool_size": in_force})
            else:
                in_force += 1
            assert proxy.reload()["changed"] == "", f"allocation {nth}"
        assert failed > longest * 0.5
        assert_served(proxy, "globex")
