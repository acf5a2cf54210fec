"""What kills, and what watches meanwhile; each is a thread, and both connect anew after every crash of the server."""

import os
import random
import signal
import threading
import time
import traceback
from collections import Counter

import psycopg

BACKENDS = "SELECT pid FROM pg_stat_activity WHERE usename = 'bulkhead_pool' AND backend_type = 'client backend'"

# Bulkhead resets a connection with several statements under way and trusts that the backend ends within two seconds;
# one that is stopped for longer would be counted twice (proxy/farewell.h).
LONGEST_STOP = 1.2


def is_connected(pid):
    """Has the process its descriptors still?

    The kernel takes them all from a process that was killed before it closes the first, and some time before the
    process counts as ended: up to 60 ms where the processors are busy. Bulkhead, which sees the end of the connection,
    may have another one by then.
    """
    try:
        return bool(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return False


class Watcher(threading.Thread):
    """A thread with an administrator's connection that may be lost."""

    def __init__(self, soak):
        super().__init__(daemon=True)
        self.soak = soak
        self.admin = None

    def ask(self, sql, *values):
        """Rows, or None when the server is not there."""
        try:
            if not self.admin or self.admin.closed:
                self.admin = self.soak.stand.admin()
            return self.admin.execute(sql, values).fetchall()
        except psycopg.OperationalError:
            self.admin = None
            time.sleep(0.01)
            return None

    def run(self):
        try:
            while not self.soak.is_over():
                self.turn()
        except Exception:  # pylint: disable=broad-except
            self.soak.wrong(traceback.format_exc())
        if self.admin:
            self.admin.close()


class Census(Watcher):
    """Counts the connections of the pool's login without a pause."""

    def __init__(self, soak):
        super().__init__(soak)
        self.samples = self.highest = 0

    def turn(self):
        found = self.ask(BACKENDS)
        if found is None:
            return
        # The server lists one that was killed until it has noticed.
        count = len(found) if len(found) <= self.soak.budget else sum(is_connected(pid) for (pid,) in found)
        self.samples += 1
        self.highest = max(self.highest, count)
        if count > self.soak.budget:
            about = self.ask("SELECT pid, datname, state, backend_start, query FROM pg_stat_activity "
                             "WHERE usename = 'bulkhead_pool'")
            self.soak.wrong(f"{count} connections, and {self.soak.budget} are allowed: {about}")
        time.sleep(0.005)


class Storm(Watcher):
    """Draws from a deck, so that everything happens, in any order."""

    def __init__(self, soak):
        super().__init__(soak)
        self.random = random.Random(f"{soak.seed} storm")
        self.deck = []
        self.done = Counter()

    def turn(self):
        if not self.deck:
            self.deck = [self.terminate] * 8 + [self.stop] * 4 + [self.cut] * 10
            self.random.shuffle(self.deck)
            for rare in (self.kill_a_backend, self.kill_the_server):  # in the half that is drawn first
                self.deck.insert(self.random.randrange(len(self.deck) // 2, len(self.deck)), rare)
        fault = self.deck.pop()
        if fault():
            self.done[fault.__name__] += 1
        else:
            self.deck.insert(0, fault)  # there is nothing it could hit
        time.sleep(self.random.uniform(0, 0.25))

    def backend(self):
        """The process id of any of the pool's, or None."""
        found = self.ask(BACKENDS)
        return self.random.choice(found)[0] if found else None

    def signal(self, pid, number):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return None
        return pid

    def terminate(self):
        pid = self.backend()
        return pid and self.ask("SELECT pg_terminate_backend(%s)", pid)

    def stop(self):
        pid = self.backend()
        if not pid or not self.signal(pid, signal.SIGSTOP):
            return None
        time.sleep(self.random.uniform(0, LONGEST_STOP))
        return self.signal(pid, signal.SIGCONT)

    def cut(self):
        client = self.random.choice(self.soak.clients)
        client.cut()
        return client

    def kill_a_backend(self):
        pid = self.backend()
        return pid and self.signal(pid, signal.SIGKILL)

    def kill_the_server(self):
        self.soak.stand.postgres.kill()
        time.sleep(self.random.choice([0, 0, 0.5]))
        return self.soak.stand.postgres.start()
