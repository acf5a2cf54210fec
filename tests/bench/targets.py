"""What must hold, and whether it does."""

import operator
import statistics
from dataclasses import dataclass
from typing import Callable


def ratio(scenario, figure, peer="bulkhead", base="pgbouncer"):
    """Of two peers' figures of the same round."""
    return scenario, lambda one: one[peer][figure] / one[base][figure]


def difference(scenario, figure, peer="bulkhead", base="pgbouncer"):
    return scenario, lambda one: one[peer][figure] - one[base][figure]


def value(scenario, figure, peer="bulkhead"):
    return scenario, lambda one: one[peer][figure]


@dataclass(frozen=True)
class Target:
    what: str
    limit: float
    measured: tuple[str, Callable]  # a scenario and what is taken from each of its rounds
    at_most: bool = True
    unit: str = "×"
    digits: int = 2

    def judge(self, results):
        """None when its scenario was not run; else what was found, and whether that is enough."""
        scenario, compute = self.measured
        if scenario not in results or "rounds" not in results[scenario]:
            return None
        values = [compute(one) for one in results[scenario]["rounds"]]
        median = statistics.median(values)
        holds = operator.le if self.at_most else operator.ge
        return {"what": self.what, "limit": self.limit, "at_most": self.at_most, "unit": self.unit,
                "scenario": scenario, "median": median, "min": min(values), "max": max(values),
                "met": holds(median, self.limit)}

    def limit_text(self):
        return f"{'≤' if self.at_most else '≥'} {self.text(self.limit)}"

    def text(self, number):
        digits = 0 if self.unit == "" and float(number).is_integer() else self.digits
        return f"×{number:.{digits}f}" if self.unit == "×" else f"{number:.{digits}f} {self.unit}".strip()


def cpu(scenario, what, limit, peer="bulkhead", base="pgbouncer"):
    return Target(f"proxy CPU per query to PgBouncer's, {what}", limit, ratio(scenario, "proxy_us", peer, base))


def tls(scenario, what):
    return Target(f"proxy CPU per {what}, to PgBouncer's", 1.1,
                  ratio(f"tls-{scenario}", "proxy_us", "bulkhead-tls", "pgbouncer-tls"))


def calls(protocol):
    return Target(f"system calls per query, {protocol}", 6.05, value(f"system-calls-{protocol}", "system_calls"),
                  unit="")


def instructions(protocol, base="pgbouncer"):
    return Target(f"user instructions per query to PgBouncer's, {protocol}", 0.6,
                  ratio(f"instructions-{protocol}", "instructions", base=base))


def throughput(scenario, what, limit, base):
    return Target(f"throughput to {what}", limit, ratio(scenario, "queries_per_second", base=base), at_most=False)


def bulk(scenario, what):
    return Target(f"MB per proxy CPU second to PgBouncer's, {what}", 2.0,
                  ratio(scenario, "megabytes_per_cpu_second"), at_most=False)


TARGETS = [
    cpu("simple-16", "simple, 16 clients", 1.05),
    cpu("extended-16", "extended, 16 clients", 1.05),
    cpu("prepared-16", "prepared, 16 clients", 0.90, base="pgbouncer-session"),
    cpu("simple-16", "simple, 16 clients, server on a unix socket", 0.85, peer="bulkhead-unix"),
    cpu("extended-16", "extended, 16 clients, server on a unix socket", 0.85, peer="bulkhead-unix"),
    calls("simple"),
    calls("extended"),
    calls("prepared"),
    Target("system calls per query with a hand-over before each", 10.05,
           value("system-calls-hand-over", "system_calls"), unit=""),
    instructions("simple"),
    instructions("extended"),
    instructions("prepared", base="pgbouncer-session"),
    bulk("result", "a result of 10 MB"),
    bulk("copy-out", "COPY to the client"),
    bulk("copy-in", "COPY to the server"),
    cpu("churn-1", "connect, query, disconnect; one client", 1.2),
    cpu("churn-16", "connect, query, disconnect; 16 clients", 1.2),
    tls("simple-16", "query over TLS, simple, 16 clients"),
    tls("extended-16", "query over TLS, extended, 16 clients"),
    tls("churn-1", "connection with TLS and SCRAM, one client"),
    tls("churn-16", "connection with TLS and SCRAM, 16 clients"),
    *(Target(f"proxy CPU per query, gate enforcing to gate off, {protocol}", 1.03,
             ratio(f"gate-{protocol}", "proxy_us", base="bulkhead-ungated"))
      for protocol in ("simple", "extended", "prepared")),
    *(Target(f"user instructions per query, gate enforcing to gate off, {protocol}", 1.03,
             ratio(f"gate-instructions-{protocol}", "instructions", base="bulkhead-ungated"))
      for protocol in ("simple", "extended", "prepared")),
    Target("memory per idle client", 1.3, value("memory", "idle_kb"), unit="kB"),
    Target("p50 at one client above PgBouncer's, simple", 3.0, difference("simple-1", "p50_us"), unit="µs"),
    Target("p50 at one client above PgBouncer's, extended", 3.0, difference("extended-1", "p50_us"), unit="µs"),
    Target("CPU per query after the other pools were used, to before", 1.03, value("idle-pools", "after_to_before")),
    throughput("simple-16", "(a) PgBouncer without tenancy, simple, 16 clients", 0.95, "pgbouncer"),
    throughput("extended-16", "(a) PgBouncer without tenancy, extended, 16 clients", 0.95, "pgbouncer"),
    throughput("simple-16", "(b) PgBouncer with set_config, simple, 16 clients", 2.5, "pgbouncer-app"),
    throughput("extended-16", "(b) PgBouncer with set_config, extended, 16 clients", 2.5, "pgbouncer-app"),
    Target("p99 in a storm of announcements, to that of a Bulkhead that does not hear it", 1.10,
           ratio("storm", "p99_us", "bulkhead-heard", "bulkhead-unheard")),
    Target("p99 with a control database whose answers come 500 ms late, to one that announces nothing", 1.10,
           ratio("slow-control", "p99_us", "bulkhead-slow", "bulkhead-unheard")),
    Target("p99 with a control database that does not answer, to one that announces nothing", 1.10,
           ratio("slow-control", "p99_us", "bulkhead-silent", "bulkhead-unheard")),
    Target("reading SQL, part of the proxy's CPU, texts of ORMs", 10,
           value("reading-orm", "read_percent", "bulkhead-reporting"), unit="%"),
    Target("reading SQL, part of the proxy's CPU, values in the texts", 10,
           value("reading-inlined", "read_percent", "bulkhead-reporting"), unit="%"),
    throughput("tenants-1000-uniform", "(b), every transaction one of 1,000 tenants", 1.2, "pgbouncer-app"),
]


def judge(results):
    """All targets whose scenarios were run, with what was found."""
    return [(target, found) for target in TARGETS if (found := target.judge(results))]
