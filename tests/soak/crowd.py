"""
A crowd: very many tenants with schemas and databases of their own, through one Bulkhead with few backends.

    python3 tests/soak/crowd.py --schemas 1000 --databases 100 --budget 60 --seconds 60

Half of the clients connect anew for each visit, to a tenant at random; the others keep sessions of many tenants open
and speak for one of them at random. Held against each other are what each tenant must see, the number of backends at
the server at any time, and the memory of the process. The only thing that a client may meet is waiting.
"""

import argparse
import random
import statistics
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.postgres import Template  # noqa: E402
from harness.provision import Provision  # noqa: E402
from harness.stand import ROWS, Stand  # noqa: E402
from harness.wire import rows  # noqa: E402

SETTINGS = {"max_connections": "200", "max_locks_per_transaction": "256", "shared_buffers": "128MB"}
TEMPLATE = "crowd_template"
TABLES = "CREATE TABLE orders (id bigint PRIMARY KEY, item text NOT NULL)"


class Crowd:
    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.template = Template()
        self.stand = Stand(self.template, settings=SETTINGS).start()
        self.place = Provision(self.stand, template_schema=TEMPLATE, template_database=TEMPLATE)
        self.tenants = []
        self.faults, self.waits = [], []
        self.most, self.over = 0, threading.Event()

    def remove(self):
        self.stand.remove()
        self.template.remove()

    # ---- tenants ----

    def furnish(self):
        with self.stand.admin() as admin:
            admin.execute(f"CREATE SCHEMA {TEMPLATE}")
            admin.execute(f"SET search_path = {TEMPLATE}")
            admin.execute(TABLES)
            admin.execute(f"CREATE DATABASE {TEMPLATE}")
        with self.stand.admin(TEMPLATE) as admin:
            admin.execute(TABLES)
        self.create("s", self.options.schemas, "SCHEMA_PER_TENANT")
        self.create("d", self.options.databases, "DATABASE_PER_TENANT")
        with self.stand.admin() as admin:
            self.names = dict(admin.execute("SELECT slug, 't_' || replace(id::text, '-', '') FROM bulkhead_control.tenant"))
            for tenant in (tenant for tenant in self.tenants if tenant[0] == "s"):
                self.fill(admin, tenant, self.names[tenant])
        for tenant in (tenant for tenant in self.tenants if tenant[0] == "d"):
            with self.stand.admin(self.names[tenant]) as admin:
                self.fill(admin, tenant, "public")

    def create(self, letter, count, strategy):
        """Queued all at once, and carried out by one runner."""
        slugs = [f"{letter}{number}" for number in range(count)]
        with self.stand.admin() as admin:
            admin.execute("INSERT INTO bulkhead_control.tenant (id, slug, name, strategy, status) "
                          "SELECT gen_random_uuid(), s, s, %s, 'provisioning' FROM unnest(%s::text[]) s", (strategy, slugs))
        began = time.monotonic()
        with self.place.start("job", "run", "-c", self.place.config) as runner:
            _, errors = runner.communicate()
        if runner.returncode != 0:
            raise RuntimeError(errors)
        seconds = time.monotonic() - began
        print(f"{count} tenants, {strategy}: {seconds:.1f} s, {seconds / max(count, 1) * 1000:.0f} ms each", flush=True)
        self.tenants += slugs

    @staticmethod
    def fill(admin, tenant, schema):
        admin.execute(f"INSERT INTO {schema}.orders SELECT n, %s || ' ' || n FROM generate_series(1, %s) n", (tenant, ROWS))

    # ---- clients ----

    def ask(self, wire, tenant):
        began = time.monotonic()
        answer = wire.query("SELECT item FROM orders WHERE id = 7")
        self.waits.append(time.monotonic() - began)
        found = rows(answer)
        if found != [[f"{tenant} 7".encode()]] and found != [(f"{tenant} 7",)] and str(found).count(f"{tenant} 7") != 1:
            self.faults.append(f"{tenant} sees {found} {[m.fields for m in answer if m.type == 'E']}")

    def visit(self, proxy, own):
        tenant = own.choice(self.tenants)
        began = time.monotonic()
        wire = proxy.wire(tenant, trusted=True)
        self.waits.append(time.monotonic() - began)
        try:
            for _ in range(own.randint(1, 3)):
                self.ask(wire, tenant)
        finally:
            wire.close()

    def hop(self, proxy, seed):
        own = random.Random(seed)
        self.guarded(lambda: self.visit(proxy, own))

    def sit(self, proxy, seed):
        own = random.Random(seed)
        open_sessions = {}

        def turn():
            tenant = own.choice(self.tenants)
            if tenant not in open_sessions:
                if len(open_sessions) >= self.options.sessions:
                    gone = own.choice(list(open_sessions))
                    open_sessions.pop(gone).close()
                open_sessions[tenant] = proxy.wire(tenant, trusted=True)
            self.ask(open_sessions[tenant], tenant)

        self.guarded(turn)
        for wire in open_sessions.values():
            wire.close()

    def guarded(self, turn):
        while not self.over.is_set():
            try:
                turn()
            except Exception as error:  # noqa: BLE001 (told by the main thread)
                self.faults.append(repr(error))
                return

    # ---- watching ----

    def watch(self):
        with self.stand.admin("postgres") as admin:
            while not self.over.is_set():
                count = admin.execute("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' "
                                      "AND (usename = 'bulkhead_pool' OR usename ~ '^t_')").fetchone()[0]
                self.most = max(self.most, count)
                time.sleep(0.02)

    def run(self):
        sections = dict(
            cluster__default={"secret_file": self.place.secret, "max_server_connections": self.options.budget},
            pool={"default_pool_size": 4, "query_wait_timeout": 60, "server_idle_timeout": 5},
            bulkhead={"workers": self.options.workers, "max_client_conn": 5000},
            probes={"listen_addr": "", "metrics": "no"}, log={"level": "info"}, listen__trusted={})
        with self.stand.proxy(**sections) as proxy:
            with proxy.wire(self.tenants[0], trusted=True) as wire:
                self.ask(wire, self.tenants[0])
            before = proxy.resident()
            threads = [threading.Thread(target=self.watch)]
            for number in range(self.options.clients):
                play = self.hop if number % 2 else self.sit
                threads.append(threading.Thread(target=play, args=(proxy, self.options.seed + number)))
            self.waits.clear()
            began = time.monotonic()
            for thread in threads:
                thread.start()
            largest = 0
            while time.monotonic() - began < self.options.seconds and not self.faults:
                time.sleep(0.5)
                largest = max(largest, proxy.resident())
            self.over.set()
            for thread in threads:
                thread.join()
            seconds = time.monotonic() - began
            time.sleep(8)  # the last backends have been idle for too long
            after = proxy.resident()
            return self.report(seconds, before, largest, after)

    def report(self, seconds, before, largest, after):
        waits = sorted(self.waits)
        print(f"{len(waits)} exchanges in {seconds:.0f} s ({len(waits) / seconds:.0f} a second); "
              f"p50 {statistics.median(waits) * 1000:.1f} ms, p99 {waits[len(waits) * 99 // 100] * 1000:.0f} ms, "
              f"longest {waits[-1] * 1000:.0f} ms")
        print(f"at most {self.most} backends of {self.options.budget}; memory {before >> 10} kB before, "
              f"{largest >> 10} kB at the most, {after >> 10} kB afterwards")
        if self.most > self.options.budget:
            self.faults.append(f"{self.most} backends")
        if largest - before > self.options.memory << 20:
            self.faults.append(f"the memory grew by {(largest - before) >> 20} MB")
        for fault in self.faults[:20]:
            print("fault:", fault)
        return not self.faults


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value, what in (("schemas", 1000, "tenants with a schema"), ("databases", 100, "with a database"),
                              ("budget", 60, "max_server_connections"), ("seconds", 60, "of load"),
                              ("clients", 80, "threads"), ("sessions", 30, "that a client keeps open"),
                              ("workers", 1, "threads of Bulkhead's"), ("memory", 64, "MB that it may grow"),
                              ("seed", int(time.time()), "of what is random")):
        parser.add_argument(f"--{name}", type=int, default=value, help=f"{what} ({value})")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    crowd = Crowd(options)
    try:
        crowd.furnish()
        sys.exit(0 if crowd.run() else 1)
    finally:
        crowd.remove()


if __name__ == "__main__":
    main()
