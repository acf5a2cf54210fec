"""The control database in a storm, or slow, or silent, while statements run: whom does it keep waiting?

Two control databases with the same tenants: announcements are made in one of them, which one Bulkhead hears and the
other does not. Both have the same noise on the machine's few cores, since there is another listener where Bulkhead
is none; the difference is what hearing costs.
"""

import contextlib
import os
import queue
import subprocess
import sys
import threading
import time

from harness.relay import Relay
from harness.stand import run
from peers import Bulkhead, Peer
from probes import measure
from stage import DATABASE, LOGIN

HEARD, UNHEARD = "bench_heard", "bench_unheard"  # control databases
HELD = 16  # tenants with sessions

# Half of them are of tenants that have sessions; the numbers make each another, or PostgreSQL would send it once.
ANNOUNCE = """
SELECT count(pg_notify('bulkhead_directory',
       CASE WHEN mod(n, 2) = 0 THEN '00000000-0000-4000-8000-' || lpad(to_hex(mod(n / 2, {held})), 12, '0')
            ELSE md5(n::text)::uuid::text END || ':' || n))
FROM generate_series(%s::bigint, %s::bigint) n
"""


def add_control_databases(stage):
    """Once; with the tenants and the principal of the stage's own."""
    with stage.postgres.connect() as admin:
        if admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", (HEARD,)).fetchone():
            return
        for name in (HEARD, UNHEARD):
            admin.execute(f"CREATE DATABASE {name}")
    with stage.postgres.connect(DATABASE) as source:
        tenants = source.execute("SELECT id, slug FROM bulkhead_control.tenant WHERE path::text !~ '[.]' ORDER BY slug "
                                 "LIMIT 1000").fetchall()
        principal = source.execute("SELECT name, verifier, home_id FROM bulkhead_control.principal WHERE name = %s",
                                   (LOGIN,)).fetchone()
    for name in (HEARD, UNHEARD):
        run("init", "--dsn", stage.postgres.conninfo(DATABASE), "--control-dsn", stage.postgres.conninfo(name),
            "--keys", stage.keys)
        with stage.postgres.connect(name) as admin:
            admin.cursor().executemany("INSERT INTO bulkhead_control.tenant (id, slug, name) VALUES (%s, %s, 'x')",
                                       tenants)
            admin.execute("INSERT INTO bulkhead_control.principal (name, verifier, home_id, reach) "
                          "VALUES (%s, %s, %s, 'all')", principal)


class BulkheadUnheard(Bulkhead):
    """Its control database announces nothing."""

    control_database = UNHEARD

    def control_port(self):
        add_control_databases(self.stage)
        return super().control_port()


class BulkheadHeard(BulkheadUnheard):
    """Its control database is the one in the storm."""

    control_database = HEARD


class Slow(Relay):
    """Between `freeze` and `thaw` each answer of the server comes half a second late."""

    DELAY = 0.5

    def __init__(self, target):
        self.delay = 0
        self.late = queue.SimpleQueue()
        self.deliverer = threading.Thread(target=self._deliver)
        self.deliverer.start()
        super().__init__(target)

    def close(self):
        super().close()
        self.late.put(None)
        self.deliverer.join()

    def freeze(self):
        self.delay = self.DELAY

    def thaw(self):
        self.delay = 0

    def _forward(self, ready):
        if ready.getpeername()[1] != self.target:
            super()._forward(ready)  # a question
            return
        near = self.peers[ready]
        data = ready.recv(65536)
        self.late.put((time.monotonic() + self.delay, near, data))
        if not data:
            self._forget(ready)
            del self.peers[ready], self.peers[near]
            self.selector.unregister(near)

    def _deliver(self):
        while (item := self.late.get()):
            due, near, data = item
            time.sleep(max(0, due - time.monotonic()))
            try:
                if data:
                    near.sendall(data)
                else:
                    near.close()
            except OSError:
                pass  # it has gone meanwhile


class BulkheadSlow(BulkheadHeard):
    """Each answer of its control database comes half a second late, once the clients have logged in."""

    relay_type = Slow

    def control_port(self):
        self.relay = self.relay_type(super().control_port())
        return self.relay.port

    def stop(self):
        super().stop()
        self.relay.close()


class BulkheadSilent(BulkheadSlow):
    """Its control database takes connections and answers nothing, once the clients have logged in."""

    relay_type = Relay


def peer(key, label, program):
    return Peer(key, label, program, load={"table": "sealed", "user-by-tenant": True})


STORM_PEERS = {one.key: one for one in [
    peer("bulkhead-unheard", "Bulkhead that does not hear it", BulkheadUnheard),
    peer("bulkhead-heard", "Bulkhead that hears it", BulkheadHeard),
    peer("bulkhead-no-storm", "the same, and there is none", BulkheadHeard),
    peer("bulkhead-slow", "Bulkhead, each answer 500 ms late", BulkheadSlow),
    peer("bulkhead-silent", "Bulkhead, no answer at all", BulkheadSilent),
]}


class Storm:
    """Announces so many a second, in transactions of a second each, as long as the block runs."""

    def __init__(self, stage, per_second):
        self.per_second, self.sent, self.over = per_second, 0, False
        self.admin = stage.postgres.connect(HEARD)
        self.first = self.admin.execute("SELECT extract(epoch FROM clock_timestamp())::bigint * 1000000").fetchone()[0]
        self.thread = threading.Thread(target=self.run)
        self.begun = threading.Event()

    def run(self):
        sql = ANNOUNCE.format(held=HELD)
        while not self.over:
            began = time.monotonic()
            self.admin.execute(sql, (self.first + self.sent, self.first + self.sent + self.per_second - 1))
            self.sent += self.per_second
            self.begun.set()
            while not self.over and time.monotonic() - began < 1:
                time.sleep(0.01)

    def __enter__(self):
        self.began = time.monotonic()
        self.thread.start()
        if not self.begun.wait(30):
            raise RuntimeError("there is no storm")
        return self

    def __exit__(self, *_):
        self.over = True
        self.thread.join()
        self.seconds = time.monotonic() - self.began
        self.admin.close()


LISTENER = """
import sys
sys.path.insert(0, sys.argv[1])
from harness.wire import Wire
wire = Wire.connect(sys.argv[2], int(sys.argv[3]))
wire.login({"user": "postgres", "database": sys.argv[4]})
wire.query("LISTEN bulkhead_directory")
wire.socket.settimeout(None)
print("ready", flush=True)
while wire.socket.recv(1 << 20):
    pass
"""


class Listener:
    """Somebody else who hears the storm, and does nothing with it."""

    def __init__(self, stage):
        tests = str(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        self.process = subprocess.Popen([sys.executable, "-c", LISTENER, tests, stage.postgres.socket_dir,
                                         str(stage.postgres.port), HEARD], stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline().strip() != "ready":
            raise RuntimeError("the listener did not start")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)
        self.process.stdout.close()


def measure_in_storm(stage, program, load, per_second):
    """The load's figures while the storm lasts, which begins before and ends after."""
    with contextlib.ExitStack() as stack:
        storm = stack.enter_context(Storm(stage, per_second))
        if not isinstance(program, BulkheadHeard):
            stack.enter_context(Listener(stage))
        relay = getattr(program, "relay", None)
        if relay:
            stack.callback(relay.thaw)
        result = measure(stage, program, load, relay.freeze if relay else lambda: None)
    return result | {"announcements_per_second": storm.sent / storm.seconds}
