"""What is measured: each scenario runs the same load against some peers, in interleaved rounds."""

import statistics
import time

from callgrind import instructions
from control_plane import Changes, Tree
from peers import Bulkhead
from probes import Load, cpu, measure, memory_kb, system_calls
from scenario import Scenario
from stage import TENANTS
from storm import HELD, measure_in_storm

class Throughput(Scenario):
    """A closed loop for some time."""

    def __init__(self, name, title, peers, load, quick=False, by_tenant=False, bulk=False, once=()):
        """`by_tenant`: where the tenant is chosen at login, keep connections for every tenant, as an
        application must. PgBouncer without tenancy gets as many; with set_config it needs no more than
        clients. `bulk`: megabytes matter, not queries."""
        super().__init__(name, title, peers, quick, once=once)
        self.load, self.by_tenant, self.bulk = load, by_tenant, bulk

    def run(self, stage, programs, options, round_number, peer):
        load = {**self.load, **peer.load, "seed": round_number, "warmup": options.warmup,
                "seconds": options.seconds}
        if self.by_tenant and "wrap" not in load:
            load["connection-by-tenant"] = True
        if load.get("work") == "write":
            stage.vacuum()
        return measure(stage, programs.of(peer), load)


class Storm(Scenario):
    """Statements of tenants that stay, while the control database announces changes, half of them of these tenants."""

    baseline = "bulkhead-unheard"

    def __init__(self, name, title, peers, per_second):
        super().__init__(name, title, peers)
        self.per_second = per_second

    def rounds_of(self, options):
        """Tails need more than a median does."""
        return 2 * options.rounds

    def run(self, stage, programs, options, round_number, peer):
        load = {**peer.load, "protocol": "extended", "clients": HELD, "tenants": HELD, "seed": round_number,
                "warmup": options.warmup, "seconds": 2 * options.seconds}
        if peer.key == "bulkhead-no-storm":
            return measure(stage, programs.of(peer), load)
        return measure_in_storm(stage, programs.of(peer), load, self.per_second)


class SystemCalls(Scenario):
    """Calls per query, counted by strace at one client."""

    def __init__(self, name, title, peers, load, quick=False):
        super().__init__(name, title, peers, quick, rounds=1)
        self.load = load

    def run(self, stage, programs, options, round_number, peer):
        calls = system_calls(stage, programs.of(peer), {**self.load, **peer.load})
        return {"system_calls": round(sum(calls.values()), 3), "by_name": calls}


class Reading(Scenario):
    """What part of the proxy's CPU goes into reading texts of SQL that are not known."""

    def __init__(self, name, title, load, quick=False):
        super().__init__(name, title, ["bulkhead-reporting"], quick)
        self.load = load

    def run(self, stage, programs, options, round_number, peer):
        program = programs.of(peer)
        time.sleep(1.2)  # until what went before has been reported
        before, spent = program.read(), cpu(program.pid)
        result = measure(stage, program, {**self.load, **peer.load, "clients": 16, "seed": round_number,
                                          "warmup": options.warmup, "seconds": options.seconds})
        spent = cpu(program.pid) - spent
        time.sleep(1.2)
        hits, misses, read = (after - earlier for after, earlier in zip(program.read(), before))
        return {"queries_per_second": result["queries_per_second"], "proxy_us": result["proxy_us"],
                "known_percent": 100 * hits / (hits + misses), "read_us": read / max(misses, 1) * 1e6,
                "read_percent": 100 * read / spent}


class HandOverCalls(Scenario):
    """The same with one backend and every transaction another tenant's than the one before."""

    def __init__(self, name, title, quick=False):
        super().__init__(name, title, ["bulkhead"], quick, rounds=1)

    def run(self, stage, programs, options, round_number, peer):
        program = Bulkhead(stage, pool=1)
        try:
            load = {**peer.load, "tenants": 2, "choice": "rotate", "connection-by-tenant": True}
            calls = system_calls(stage, program, load)
        finally:
            program.stop()
        return {"system_calls": round(sum(calls.values()), 3), "by_name": calls}


class Instructions(Scenario):
    """User instructions per query, counted by callgrind."""

    def __init__(self, name, title, peers, load, quick=False):
        super().__init__(name, title, peers, quick, rounds=1)
        self.load = load

    def run(self, stage, programs, options, round_number, peer):
        return instructions(stage, peer, self.load, 500 if options.quick else 2000)


class Memory(Scenario):
    """Memory per client, from two numbers of clients, each in a fresh process."""

    def __init__(self, name, title, peers, quick=False):
        super().__init__(name, title, peers, quick, rounds=1)

    def run(self, stage, programs, options, round_number, peer):
        few, many = (200, 1200) if options.quick else (1000, 5000)
        sizes = []
        for clients in (few, many):
            program = peer.program(stage)
            try:
                sizes.append(self.sizes(stage, program, peer, clients))
            finally:
                program.stop()
        (few_idle, few_peak), (many_idle, many_peak) = sizes
        return {"idle_kb": (many_idle - few_idle) / (many - few),
                "active_kb": (many_peak - few_peak) / (many - few)}

    @staticmethod
    def sizes(stage, program, peer, clients):
        """Resident kB when so many have logged in, and at the most while all have a query under way."""
        load = {**peer.load, "clients": clients, "warmup": 0, "transactions": 5 * clients}
        with Load(stage, program, load) as running:
            idle = memory_kb(program.pid)
            running.go()
            return idle, memory_kb(program.pid, "VmHWM")


class IdlePools(Scenario):
    """CPU per query before and after many other pools have been used once, in one process.

    A pool is a cluster in Bulkhead, a database in PgBouncer. Server connections that are idle for a second
    are closed, so that what is left are pools without any.
    """

    def __init__(self, name, title, peers, quick=False):
        super().__init__(name, title, peers, quick, rounds=1)

    def run(self, stage, programs, options, round_number, peer):
        stage.add_clusters(POOLS)
        program = peer.program(stage, pools=POOLS)
        try:
            load = {**peer.load, "clients": 16, "warmup": options.warmup, "seconds": options.seconds}
            before = [measure(stage, program, load)["proxy_us"] for _ in range(3)]
            begun = time.monotonic()
            # The tenants behind the ordinary ones live in clusters of their own.
            with Load(stage, program, {**peer.load, "clients": POOLS, "tenants": POOLS, "first-tenant": TENANTS,
                                       **({} if "user-by-tenant" in peer.load else {"database-by-tenant": True}),
                                       "warmup-transactions": 0}):
                pass
            touched = time.monotonic() - begun
            time.sleep(3)
            after = [measure(stage, program, load)["proxy_us"] for _ in range(3)]
        finally:
            program.stop()
        return {"pools": POOLS, "seconds_to_touch": touched, "before_us": statistics.median(before),
                "after_us": statistics.median(after),
                "after_to_before": statistics.median(after) / statistics.median(before)}


POOLS = 1000

SELECT = ["direct", "pgbouncer", "haproxy", "bulkhead"]
UNIX = ["pgbouncer-unix", "bulkhead-unix"]
APP = ["pgbouncer-app", "pgbouncer-app-burst"]
PREPARED = ["direct", "pgbouncer-session", "haproxy", "bulkhead"]
TLS = ["pgbouncer-tls", "bulkhead-tls"]
TENANCY = ["pgbouncer", "bulkhead", *APP]


def clients_text(clients):
    return "one client" if clients == 1 else f"{clients} clients"


def select(protocol, clients, peers, quick=False):
    return Throughput(f"{protocol}-{clients}", f"select-only, {protocol} protocol, {clients_text(clients)}", peers,
                      {"protocol": protocol, "clients": clients}, quick,
                      once=("direct", "haproxy") if clients > 100 else ())


def pipelined(clients):
    return Throughput(f"pipelined-{clients}", f"select-only, extended protocol, {clients_text(clients)}, "
                      f"ten queries in one write, each with a Sync", SELECT,
                      {"protocol": "extended", "clients": clients, "pipeline": 10})


def bulk(work, title, quick=False):
    return Throughput(work, f"{title}, one client", [*SELECT, *UNIX], {"work": work, "clients": 1}, quick, bulk=True)


def churn(clients, quick=False):
    return Throughput(f"churn-{clients}", f"connect with SCRAM, one query, disconnect; {clients_text(clients)}",
                      SELECT, {"clients": clients, "churn": True}, quick)


def over_tls(name, title, load, bulk=False, quick=False):
    peers = [*TLS, "bulkhead-tls-plain"] if "protocol" in load else TLS
    return Throughput(f"tls-{name}", f"clients over TLS 1.3, ECDSA P-256: {title}", peers, load, quick, bulk=bulk)


def tenants(name, count, choice, title, quick=False):
    return Throughput(f"tenants-{name}", f"select-only, extended protocol, 16 clients, {title}",
                      TENANCY if choice == "stay" else [*TENANCY, "bulkhead-plans"],
                      {"protocol": "extended", "clients": 16, "tenants": count, "choice": choice}, quick,
                      by_tenant=choice != "stay")


def system_calls_of(protocol, peers, quick=False, **load):
    return SystemCalls(f"system-calls-{protocol}", f"system calls, select-only, {protocol}, one client", peers,
                       {"protocol": protocol, **load}, quick)


def instructions_of(protocol, peers, quick=False):
    return Instructions(f"instructions-{protocol}", f"user instructions, select-only, {protocol}, one client", peers,
                        {"protocol": protocol}, quick)


SCENARIOS = [
    select("simple", 1, [*SELECT, *UNIX], quick=True),
    select("simple", 16, [*SELECT, "bulkhead-plain", *UNIX, *APP], quick=True),
    select("simple", 256, SELECT),
    select("extended", 1, [*SELECT, *UNIX], quick=True),
    select("extended", 16, [*SELECT, "bulkhead-plain", *UNIX, *APP], quick=True),
    select("extended", 256, SELECT),
    select("prepared", 1, [*PREPARED, "bulkhead-unix"]),
    select("prepared", 16, [*PREPARED, "bulkhead-unix"], quick=True),
    pipelined(1),
    pipelined(16),
    Throughput("read-write-16", "BEGIN, SELECT, UPDATE, INSERT, COMMIT; extended protocol, 16 clients",
               [*SELECT, "pgbouncer-app"], {"protocol": "extended", "work": "write", "clients": 16}),
    bulk("result", "a result of 10 MB", quick=True),
    bulk("copy-out", "COPY of 10 MB to the client"),
    bulk("copy-in", "COPY of 10 MB to the server"),
    churn(1, quick=True),
    churn(16),
    over_tls("simple-16", "select-only, simple protocol, 16 clients", {"protocol": "simple", "clients": 16}, quick=True),
    over_tls("extended-16", "select-only, extended protocol, 16 clients", {"protocol": "extended", "clients": 16}),
    over_tls("result", "a result of 10 MB, one client", {"work": "result", "clients": 1}, bulk=True),
    over_tls("copy-in", "COPY of 10 MB to the server, one client", {"work": "copy-in", "clients": 1}, bulk=True),
    over_tls("churn-1", "connect with SCRAM, one query, disconnect; one client", {"clients": 1, "churn": True}),
    over_tls("churn-16", "connect with SCRAM, one query, disconnect; 16 clients", {"clients": 16, "churn": True},
             quick=True),
    tenants("10-stay", 10, "stay", "10 tenants, every client stays with its own"),
    tenants("10-uniform", 10, "uniform", "every transaction one of 10 tenants at random"),
    tenants("1000-uniform", 1000, "uniform", "every transaction one of 1,000 tenants at random", quick=True),
    tenants("1000-zipf", 1000, "zipf", "every transaction one of 1,000 tenants, Zipf-distributed"),
    system_calls_of("simple", ["pgbouncer", "haproxy", "bulkhead"], quick=True),
    system_calls_of("extended", ["pgbouncer", "haproxy", "bulkhead"], quick=True),
    system_calls_of("prepared", ["pgbouncer-session", "haproxy", "bulkhead"]),
    SystemCalls("system-calls-tls", "system calls, select-only, simple, one client over TLS", TLS, {}),
    SystemCalls("system-calls-churn", "system calls of connect with SCRAM, one query, disconnect",
                ["pgbouncer", "bulkhead"], {"churn": True}),
    HandOverCalls("system-calls-hand-over",
                  "system calls, simple protocol, one backend and every query another tenant's", quick=True),
    instructions_of("simple", ["pgbouncer", "bulkhead"], quick=True),
    instructions_of("extended", ["pgbouncer", "bulkhead"], quick=True),
    instructions_of("prepared", ["pgbouncer-session", "bulkhead"]),
    Instructions("instructions-tls", "user instructions, select-only, simple, one client over TLS", TLS,
                 {"protocol": "simple"}),
    *(Throughput(f"gate-{protocol}", f"the gate: select-only, {protocol} protocol, 16 clients",
                 ["bulkhead-ungated", "bulkhead"], {"protocol": protocol, "clients": 16}, protocol == "simple")
      for protocol in ("simple", "extended", "prepared")),
    *(Instructions(f"gate-instructions-{protocol}", f"the gate: user instructions, {protocol}, one client",
                   ["bulkhead-ungated", "bulkhead"], {"protocol": protocol})
      for protocol in ("simple", "extended", "prepared")),
    Memory("memory", "memory per client", ["pgbouncer", "bulkhead"], quick=True),
    Reading("reading-orm",
            "reading SQL: a hundred texts of 240 bytes as ORMs write them, extended protocol, 16 clients",
            {"protocol": "extended", "work": "orm"}, quick=True),
    Reading("reading-inlined", "reading SQL: values in the text, no two alike, simple protocol, 16 clients",
            {"protocol": "simple", "work": "inlined"}, quick=True),
    IdlePools("idle-pools", f"select-only, 16 clients, before and after {POOLS:,} other pools were used once",
              ["bulkhead"]),
    Storm("storm", "16 clients of 16 tenants, extended protocol, 100,000 announcements a second",
          ["bulkhead-unheard", "bulkhead-heard", "bulkhead-no-storm"], 100000),
    Storm("slow-control", "the same, with 100 announcements a second and a control database that is slow, or silent",
          ["bulkhead-unheard", "bulkhead-slow", "bulkhead-silent"], 100),
    Changes(),
    Tree(),
]
