#!/usr/bin/python3
"""make soak: Bulkhead under load and in a storm, for as long as you like. See run() for what must hold."""

import argparse
import random
import re
import sys
import threading
import time
from collections import Counter
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.postgres import Template  # noqa: E402
from harness.program import INSTRUMENTED, ROOT  # noqa: E402
from harness.stand import DATABASE  # noqa: E402
from harness.wait import wait_for  # noqa: E402
from harness.wire import WireError, rows  # noqa: E402
from soak import stage, work  # noqa: E402
from soak.client import Client  # noqa: E402
from soak.storm import BACKENDS, Census, Storm  # noqa: E402

CLIENTS = 40
POOL, BUDGET = 6, 8  # backends of each of the two pools; of both together
PINS = 2             # clients of a pool that may keep a backend at one time
RETRY = 0.05         # seconds of server_login_retry
ROUND = 20           # seconds of a storm, until it is looked at what is left
WARM_UP, FIRST_STORM = 2, 5
AT_ONCE = 5 if INSTRUMENTED else 1  # seconds in which anybody is served when all is well
GROWTH = 256 << 10   # bytes of memory that may be kept in the end and were not after the first storm


class Failed(AssertionError):
    pass


class Soak:
    """The load and the storm of one proxy."""

    def __init__(self, stand, proxy, seed, tenants):
        self.stand, self.proxy, self.seed, self.budget = stand, proxy, seed, BUDGET
        self.ids = stand.ids
        self.documented = documented()
        self.pins = {database: threading.BoundedSemaphore(PINS) for database in (DATABASE, stage.ANNEX)}
        self.works, self.weights = list(work.WEIGHTS), list(work.WEIGHTS.values())
        self.clients = [Client(self, number, tenant) for number, tenant in enumerate(tenants)]
        self.problems = []
        self.stop = threading.Event()
        self.done = Counter()
        self.samples = self.highest = 0

    def choose(self, generator):
        return generator.choices(self.works, self.weights)[0]

    def is_over(self):
        return self.stop.is_set()

    def wrong(self, what):
        self.problems.append(what)
        self.stop.set()

    def check(self):
        if self.proxy.process.poll() is not None:
            self.wrong(f"Bulkhead has ended with {self.proxy.process.returncode}")
        if self.problems:
            raise Failed(f"seed {self.seed}: " + "\n".join(self.problems[:5]) + "\n"
                         + self.proxy.log_text()[-4000:])

    def round(self, seconds, storm=True):
        """All clients work for so long, in a storm or without one, and leave."""
        self.stop.clear()
        census = Census(self)
        watchers = [census, Storm(self)] if storm else [census]
        threads = [*watchers, *(threading.Thread(target=client.run, daemon=True) for client in self.clients)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.problems and self.proxy.process.poll() is None:
            time.sleep(0.05)
        self.stop.set()
        for thread in threads:
            thread.join(60)
            if thread.is_alive():
                self.wrong(f"{thread} does not end")
        self.samples += census.samples
        self.highest = max(self.highest, census.highest)
        for watcher in watchers[1:]:
            self.done.update(watcher.done)
        self.check()

    # ---- when everybody has left ----

    def settle(self):
        """All that the clients left behind is cleared away, and everybody is served; then the books are compared."""
        with self.stand.admin() as admin:
            wait_for(lambda: admin.execute(f"{BACKENDS} AND state <> 'idle'").fetchall() == [], "idle backends")
        time.sleep(9 * RETRY)  # the longest pause behind a failure
        for tenant, home in stage.HOMES.items():
            self.serve_at_once(tenant, home)
        problems = stage.faults(self.stand, self.clients)
        if silent := {client.tenant for client in self.clients} - {c.tenant for c in self.clients if c.served}:
            problems.append(f"nobody was served of {silent}")
        for problem in problems:
            self.wrong(problem)
        self.check()

    def serve_at_once(self, tenant, home):
        began = time.monotonic()
        try:
            with self.proxy.wire(tenant, dbname=home) as wire:
                found = rows(wire.query("SELECT item FROM soak_row ORDER BY id"))
        except WireError as error:
            found = error
        took = time.monotonic() - began
        if found != [[item] for item in stage.items(tenant)] or took > AT_ONCE:
            self.wrong(f"{tenant} is served {found} after {took:.1f} s")

    def descriptors(self):
        """Those that are open and no backend's."""
        with self.stand.admin() as admin:
            return self.proxy.descriptors() - len(admin.execute(BACKENDS).fetchall())

    def assert_nothing_leaks(self, descriptors, memory):
        wait_for(lambda: self.descriptors() <= descriptors, f"{descriptors} descriptors")
        if not INSTRUMENTED and self.proxy.resident() > memory + GROWTH:
            self.wrong(f"memory has grown from {memory >> 10} to {self.proxy.resident() >> 10} kB")
        self.check()


def documented():
    """The SQLSTATE of each reason in docs/errors.md."""
    text = (ROOT / "docs" / "errors.md").read_text()
    return dict(re.findall(r"^\| `(BH-[A-Z-]+)` \| (\w{5}) \|", text, re.M))


def report(text):
    print(text, flush=True)


def run(template, seconds, seed):
    """
    Clients work in a storm for so many seconds. Fails unless

    - every answer is complete, in order, and of the statement that it is given for, with rows of the client's tenant;
    - what was committed is there, once, and what was rolled back is not; no counter goes back;
    - nobody is told an error that nothing explains, or that docs/errors.md does not have, or is left without an answer;
    - the server never sees more connections than max_server_connections;
    - after each storm every tenant is served at once, descriptors are what they were before the first one, and
      memory is what it was after it;
    - Bulkhead lives, and ends with success.
    """
    tenants = [list(stage.HOMES)[n % len(stage.HOMES)] for n in range(CLIENTS)]
    stand = stage.build(template, tenants)
    sections = {
        "cluster__default": {"max_server_connections": BUDGET},
        "pool": {"default_pool_size": POOL, "server_login_retry": RETRY, "server_lifetime": "4s",
                 "server_idle_timeout": "2s", "statement_cache_size": "64kB"},  # full long before the end
        "listen__trusted": {}, "log": {"level": "info"},
    }
    try:
        with stand.proxy(**sections) as proxy:
            soak = Soak(stand, proxy, seed, tenants)
            soak.round(min(WARM_UP, seconds / 4), storm=False)
            soak.settle()
            descriptors = soak.descriptors()
            # The first storm makes the heap as large as storms need it (0.15 to 0.3 MB); the later ones must not.
            soak.round(min(FIRST_STORM, seconds / 2))
            soak.settle()
            memory = proxy.resident()
            deadline = time.monotonic() + seconds
            while (left := deadline - time.monotonic()) > 0:
                soak.round(left if left < 1.5 * ROUND else ROUND)
                soak.settle()
                soak.assert_nothing_leaks(descriptors, memory)
                report(f"soak: {sum(client.served for client in soak.clients)} answers, {dict(soak.done)}, "
                       f"{soak.highest} backends at most in {soak.samples} samples, {proxy.resident() >> 10} kB")
    finally:
        stand.remove()
    return soak


def main():
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    arguments = parser.parse_args()
    report(f"soak: {arguments.seconds:.0f} s, seed {arguments.seed}")
    template = Template()
    try:
        run(template, arguments.seconds, arguments.seed)
    finally:
        template.remove()


if __name__ == "__main__":
    main()
