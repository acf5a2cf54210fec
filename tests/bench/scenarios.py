"""What is measured: each scenario runs the same load against some peers, in interleaved rounds."""

from dataclasses import dataclass, field

from callgrind import instructions
from peers import PEERS, POOL, Bulkhead, PgBouncer
from probes import Load, measure, resident_kb, system_calls


@dataclass(frozen=True)
class Options:
    """How long and how often."""

    rounds: int
    warmup: float
    seconds: float
    quick: bool


class Scenario:
    """A name for --only, a line that says what is done, and the peers."""

    def __init__(self, name, title, peers, quick=False, rounds=None):
        """`quick`: also part of --quick. `rounds`: at most so many."""
        self.name, self.title, self.peers = name, title, [PEERS[key] for key in peers]
        self.quick, self.rounds = quick, rounds

    def run(self, stage, programs, options, round_number, peer):
        """The figures of one peer in one round, by name."""
        raise NotImplementedError


class Throughput(Scenario):
    """A closed loop for some time."""

    def __init__(self, name, title, peers, load, quick=False, by_tenant=False, seconds=1.0):
        """`by_tenant`: Bulkhead and the peers without tenancy keep connections for every tenant, as an
        application must whose tenant is chosen at login. `seconds` multiplies the time of a measurement."""
        super().__init__(name, title, peers, quick)
        self.load, self.by_tenant, self.seconds = load, by_tenant, seconds

    def run(self, stage, programs, options, round_number, peer):
        load = {**self.load, **peer.load, "seed": round_number, "warmup": options.warmup,
                "seconds": options.seconds * self.seconds}
        if self.by_tenant and "wrap" not in load:
            load["connection-by-tenant"] = True
        return measure(stage, programs.of(peer), load)


class SystemCalls(Scenario):
    """Calls per query, counted by strace at one client."""

    def __init__(self, name, title, peers, load, quick=False):
        super().__init__(name, title, peers, quick, rounds=1)
        self.load = load

    def run(self, stage, programs, options, round_number, peer):
        calls = system_calls(stage, programs.of(peer), {**self.load, **peer.load})
        return {"system_calls": round(sum(calls.values()), 3), "by_name": calls}


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
        return instructions(stage, peer, self.load, few=200, many=700 if options.quick else 2200)


class Memory(Scenario):
    """Resident memory per client, between two numbers of clients, in a fresh process."""

    def __init__(self, name, title, peers, quick=False):
        super().__init__(name, title, peers, quick, rounds=1)

    def run(self, stage, programs, options, round_number, peer):
        few, many = (200, 1000) if options.quick else (1000, 5000)
        sizes = []
        for clients in (few, many):
            program = peer.program(stage)
            try:
                sizes.append(self.resident(stage, program, peer, clients))
            finally:
                program.stop()
        (few_idle, few_active), (many_idle, many_active) = sizes
        return {"idle_kb": (many_idle - few_idle) / (many - few),
                "active_kb": (many_active - few_active) / (many - few)}

    @staticmethod
    def resident(stage, program, peer, clients):
        """With so many clients that have logged in, and after all of them have worked at one time."""
        load = {**peer.load, "clients": clients, "warmup": 0, "transactions": 5 * clients}
        with Load(stage, program, load) as running:
            idle = resident_kb(program.pid)
            running.go()
            return idle, resident_kb(program.pid)


SELECT = ["direct", "pgbouncer", "haproxy", "bulkhead"]
UNIX = ["pgbouncer-unix", "bulkhead-unix"]
APP = ["pgbouncer-app", "pgbouncer-app-burst"]
PREPARED = ["direct", "pgbouncer-session", "haproxy", "bulkhead"]
TENANCY = ["pgbouncer", "bulkhead", *APP]


def select(protocol, clients, peers, quick=False, **more):
    """Select-only: one row by its key."""
    who = "one client" if clients == 1 else f"{clients} clients"
    return Throughput(f"{protocol}-{clients}", f"select-only, {protocol} protocol, {who}", peers,
                      {"protocol": protocol, "clients": clients, **more}, quick)


SCENARIOS = [
    select("simple", 1, [*SELECT, *UNIX], quick=True),
    select("simple", 16, [*SELECT, *UNIX, *APP], quick=True),
    select("simple", 256, SELECT),
    select("extended", 1, [*SELECT, *UNIX], quick=True),
    select("extended", 16, [*SELECT, *UNIX, *APP], quick=True),
    select("extended", 256, SELECT),
    select("prepared", 1, [*PREPARED, "bulkhead-unix"]),
    select("prepared", 16, [*PREPARED, "bulkhead-unix"]),
]
