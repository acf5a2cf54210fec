"""The instruments: the load generator, CPU time and memory from /proc, system calls from strace."""

import json
import os
import re
import subprocess
import time
from pathlib import Path

from harness.postgres import HOST
from stage import DATABASE, LOGIN, ROWS

LOAD = Path(os.environ.get("BENCH_LOAD", "build/bench/load"))

# ---- the load generator ----


class Load:
    """A running load generator, logged in and warm. `go` measures; leaving the block says goodbye."""

    def __init__(self, stage, program, options):
        """`options` are the generator's, without dashes; True stands for an option without a value."""
        options = {"host": HOST, "port": program.port, "database": DATABASE, "user": LOGIN, "rows": ROWS, **options}
        command = [LOAD]
        for name, value in options.items():
            command += [f"--{name}"] if value is True else [f"--{name}", str(value)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, "BENCH_PASSWORD": stage.password})
        try:
            self.expect("ready")
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def expect(self, line=None):
        found = self.process.stdout.readline()
        if not found or (line and found.strip() != line):
            raise RuntimeError(f"the load generator failed: {' '.join(map(str, self.process.args))}")
        return found

    def go(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return json.loads(self.expect())

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


# ---- CPU time ----

TICK = 1 / os.sysconf("SC_CLK_TCK")


def cpu(pid):
    """Seconds of CPU that a process has used, all threads, from the scheduler's nanoseconds."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except FileNotFoundError:
            pass
    return total / 1e9


def cpu_split(pid):
    """User and system seconds, in ticks of 10 ms: only their proportion is of use."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) * TICK, int(fields[12]) * TICK


def cpu_of_children(pid):
    """Seconds of CPU of all children, those included that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    total = (int(fields[13]) + int(fields[14])) * TICK
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            total += cpu(child)
        except FileNotFoundError:
            pass
    return total


class Meter:
    """What the proxy and the backends have used since it was made."""

    def __init__(self, stage, program):
        self.pid, self.postmaster = program.pid, stage.postgres.process.pid
        self.before = self.read()

    def read(self):
        time.sleep(0.01)  # what a backend does behind its last answer belongs to the measurement
        user, system = cpu_split(self.pid) if self.pid else (0, 0)
        return {"proxy": cpu(self.pid) if self.pid else 0, "user": user, "system": system,
                "backends": cpu_of_children(self.postmaster)}

    def used(self):
        after = self.read()
        return {name: after[name] - value for name, value in self.before.items()}


def measure(stage, program, options, before=lambda: None):
    """One measurement of the load: its own figures and the CPU time per query, in microseconds. `before` is called
    when the clients have logged in."""
    with Load(stage, program, options) as load:
        before()
        meter = Meter(stage, program)
        result = load.go()
        used = meter.used()
    queries = result["queries"]
    moved = (result["bytes_in"] + result["bytes_out"]) / 1e6
    result |= {
        "queries_per_second": queries / result["seconds"],
        "transactions_per_second": result["transactions"] / result["seconds"],
        "backends_us": used["backends"] / queries * 1e6,
        "load_us": result["load_cpu"] / queries * 1e6,
        "megabytes_per_second": moved / result["seconds"],
    }
    if program.pid:
        result |= {
            "proxy_us": used["proxy"] / queries * 1e6,
            "proxy_user_share": used["user"] / max(used["user"] + used["system"], TICK),
            "megabytes_per_cpu_second": moved / used["proxy"],
        }
    return result


def fill_pool(stage, peer, program):
    """Opens all of a pool's backends and lets them fill their caches: starting one costs a thousand queries."""
    if program.pid and peer.load.get("database") is None:
        with Load(stage, program, {**peer.load, "protocol": "extended", "clients": 64, "warmup": 1}):
            pass


# ---- memory ----

def memory_kb(pid, field="VmRSS"):
    """Resident now (VmRSS), or the most it has been (VmHWM)."""
    return int(re.search(field + r":\s+(\d+)", Path(f"/proc/{pid}/status").read_text()).group(1))


# ---- system calls ----

class Strace:
    """Counts the system calls of a process from the start of the block to its end."""

    def __init__(self, pid, folder):
        self.output = folder / "strace"
        self.process = subprocess.Popen(["strace", "-f", "-c", "-U", "calls,name", "-o", self.output,
                                         "-p", str(pid)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)
        line = self.process.stderr.readline()
        if "attached" not in line:
            raise RuntimeError(f"strace: {line}")

    def stop(self):
        """The number of calls by name."""
        self.process.terminate()
        self.process.wait(10)
        self.process.stderr.close()
        calls = {}
        for line in self.output.read_text().splitlines():
            parts = line.split()
            if len(parts) == 2 and parts[0].isdigit() and parts[1] != "total":
                calls[parts[1]] = int(parts[0])
        return calls


def system_calls(stage, program, options, few=200, many=1200):
    """Calls per query at one client, by name: the difference of two runs, so that what strace, the login
    and the start of the load cause cancels out."""
    counts = []
    for transactions in (few, many):
        with Load(stage, program, {**options, "clients": 1, "warmup-transactions": 50,
                                   "transactions": transactions}) as load:
            strace = Strace(program.pid, stage.folder)
            queries = load.go()["queries"]
            time.sleep(0.05)
            counts.append((queries, strace.stop()))
    (few_queries, few_calls), (many_queries, many_calls) = counts
    names = set(few_calls) | set(many_calls)
    per_query = {name: (many_calls.get(name, 0) - few_calls.get(name, 0)) / (many_queries - few_queries)
                 for name in names}
    return {name: round(value, 3) for name, value in sorted(per_query.items()) if abs(value) >= 0.005}
