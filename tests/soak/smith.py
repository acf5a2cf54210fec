#!/usr/bin/python3
"""make soak-sqlsmith: SQLsmith's random statements as one tenant. See run() for what must hold."""

import argparse
import itertools
import random
import re
import secrets
import string
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from pathlib import Path

import psycopg

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.postgres import Template  # noqa: E402
from harness.probe import metrics, probed  # noqa: E402
from harness.program import ROOT  # noqa: E402
from harness.stand import TENANTS, Stand  # noqa: E402
from harness.tap import Tap, canaries  # noqa: E402

FOLDER = Path(__file__).resolve().parent
SMITH, VICTIM = "acme", "globex"
OTHERS = [tenant for tenant in TENANTS if tenant != SMITH]
OWNERS = {"tickets": "account", "smith_invoice": "account", "smith_folder": "owner"}  # else tenant_id
WARM_UP = 120       # seconds that reading the catalog may take
PAUSE = 0.02        # of the victim between two looks
PATIENCE = 4        # seconds that it waits for a backend that a session keeps, before SQLsmith begins a new session
LONGEST_ROUND = 60  # seconds
FAIR_SHARE = 0.1    # of the statements must have succeeded where all functions may be called
CRASH = re.compile(r"was terminated by signal|PANIC:|TRAP:|server process .* exited with exit code")

# What the gate is told, and whether SQLsmith takes everything that the catalog lists: its relations, and functions
# that are refused too. Most statements call one of those and go no further; without them more is run.
ROUNDS = [("enforce", True), ("off", True), ("enforce", False), ("off", False)]

SETTING_UP = ("set ", "SET ", "ROLLBACK", "BEGIN")
FUNCTIONS = "from pg_proc where "

# What Bulkhead may say to a statement. That the context is lost must be a statement's own doing, by the function that
# says so where it is.
REASONS = ("BH-STMT-", "BH-PERM-", "BH-CTX-SEQUENCE")
LOST, OWN_DOING = "BH-CTX-LOST", "no_context"


class Failed(AssertionError):
    pass


class Forge:
    """The tables, and each tenant's words."""

    def __init__(self, stand):
        self.stand = stand
        self.words = {tenant: "".join(random.choices(string.ascii_lowercase, k=14)) for tenant in TENANTS}
        self.digits = {tenant: "9" + "".join(random.choices(string.digits[1:], k=13)) for tenant in TENANTS}
        with self.stand.admin() as admin:
            admin.execute((FOLDER / "smith.sql").read_text())
            self.tables = [name for name, in admin.execute(
                "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace "
                "ORDER BY relname")]
        for tenant in TENANTS:
            self.fill(tenant)
        with self.stand.admin() as admin:
            admin.execute("ANALYZE")  # pg_stats then knows all tenants' words
        self.rows = {tenant: self.rows_of(tenant) for tenant in OTHERS}

    def fill(self, tenant):
        values = {"id": self.stand.ids[tenant], "key": str(TENANTS[tenant]),
                  "word": self.words[tenant], "digits": self.digits[tenant]}
        with self.stand.admin() as admin, admin.transaction():
            psycopg.ClientCursor(admin).execute((FOLDER / "smith_rows.sql").read_text(), values)

    def canaries(self):
        words = itertools.chain.from_iterable(
            (self.words[tenant], self.digits[tenant], self.stand.ids[tenant], self.stand.ids[tenant].replace("-", ""))
            for tenant in OTHERS)
        return canaries(words)

    def rows_of(self, tenant):
        """All rows of a tenant, as text, for each table."""
        with self.stand.admin() as admin:
            return {table: sorted(row for row, in admin.execute(
                f"SELECT t::text FROM {table} t WHERE {OWNERS.get(table, 'tenant_id')}::text = %s",
                (str(TENANTS[tenant]) if table in OWNERS else self.stand.ids[tenant],))) for table in self.tables}

    def faults(self):
        """What has become of the rows of those who do not forge, as lines of text."""
        for tenant in OTHERS:
            for table, rows in self.rows_of(tenant).items():
                if rows != self.rows[tenant][table]:
                    yield f"{tenant}'s rows in {table} have changed: {set(rows) ^ set(self.rows[tenant][table])}"
        known = [str(TENANTS[tenant]) for tenant in TENANTS] + list(self.stand.ids.values())
        with self.stand.admin() as admin:
            for table in self.tables:
                owner = OWNERS.get(table, "tenant_id")
                for row, in admin.execute(f"SELECT t::text FROM {table} t WHERE {owner}::text <> ALL (%s)", (known,)):
                    yield f"nobody's row in {table}: {row}"
        yield from CRASH.findall(self.stand.postgres.log_text())


def permitted():
    """A condition on pg_proc: no function that the gate has a rule for, or the database no privilege."""
    found = re.findall(r"^- Functions, in whatever schema: `(.*)`$", (ROOT / "docs" / "rules.md").read_text(), re.M)
    names = [name.replace("*", ".*") for names in found for name in names.split("`, `")]
    assert len(names) > 50, "docs/rules.md has another form"
    return (f"pronamespace::regnamespace::text !~ '^bulkhead' AND proname !~ '^({'|'.join(names)})$' "
            "AND has_function_privilege(oid, 'EXECUTE') AND ")


class Script:
    """What the tap sends for SQLsmith's statements: each in a transaction, with a ROLLBACK before it and one behind."""

    def __init__(self, everything):
        self.condition = "" if everything else permitted()
        self.endings = 0
        self.at_work = set()  # lines on which there are random statements; the others read the catalog

    def __call__(self, line, statement):
        if "::dut'" in statement:
            self.at_work.add(line)
        if statement != "ROLLBACK;" or not line.last or line.last[0] != "ok":
            return statement.replace(FUNCTIONS, FUNCTIONS + self.condition)
        if line.last[1] in ("ROLLBACK", "COMMIT"):
            return "SELECT pg_advisory_unlock_all()"  # a lock of the session's would keep the backend
        self.endings += 1
        return "COMMIT;" if self.endings % 2 else statement  # so that something stays of it

    @staticmethod
    def ignored(statement):
        return statement.startswith(SETTING_UP)


class Victim(threading.Thread):
    """Another tenant at work on the same backend: sees all of its rows and only those, and writes."""

    def __init__(self, forge, proxy):
        super().__init__(daemon=True)
        self.forge, self.proxy = forge, proxy
        self.over = threading.Event()
        self.problems = []
        self.looks = 0
        self.since = time.monotonic()  # when it last had a backend

    def run(self):
        try:
            with self.proxy.connect(VICTIM, prepare_threshold=None) as connection:
                while not self.over.wait(PAUSE) and not self.problems:
                    with connection.transaction():
                        self.look(connection)
                    self.looks += 1
                    self.since = time.monotonic()
        except Exception:  # pylint: disable=broad-except
            self.problems.append(f"{VICTIM}: {traceback.format_exc()}")

    def look(self, connection):
        for table, expected in self.forge.rows[VICTIM].items():
            found = sorted(row for row, in connection.execute(f"SELECT t::text FROM {table} t"))
            if found != expected:
                self.problems.append(f"{VICTIM} sees in {table}: {set(found) ^ set(expected)}")
        connection.execute("UPDATE smith_payment SET note = note")

    def end(self):
        self.over.set()
        self.join(60)
        if self.is_alive():
            self.problems.append(f"{VICTIM} is not served any more")
        elif not self.looks:
            self.problems.append(f"{VICTIM} was never served")


class Round:
    """SQLsmith for some seconds, one process after another, behind a Bulkhead of its own with one backend."""

    def __init__(self, forge, mode, everything, seconds, seeds):
        self.forge, self.mode, self.everything, self.seconds, self.seeds = forge, mode, everything, seconds, seeds
        self.answers, self.internal = Counter(), []
        self.problems = []
        self.kept = Counter()
        self.processes = self.looks = self.handovers = 0

    def __str__(self):
        return (f"gate {self.mode}, {'everything' if self.everything else 'what is permitted'}: "
                f"{sum(self.answers.values())} statements, {succeeded(self.answers)} succeeded; "
                f"{self.processes} processes, {self.handovers} hand-overs, {self.looks} looks of {VICTIM}"
                + "".join(f"; {count} ended for keeping the backend ({cause})" for cause, count in self.kept.items()))

    def play(self):
        # While SQLsmith reads the catalog, in one transaction, nobody else has the backend.
        pool = {"default_pool_size": 1, "query_wait_timeout": WARM_UP}
        with self.forge.stand.proxy(gate={"mode": self.mode}, pool=pool, log={"level": "info"}, **probed()) as proxy:
            victim = Victim(self.forge, proxy)
            victim.start()
            left = self.seconds
            while left > 0 and not self.problems and not victim.problems:
                left -= self.work(proxy, victim, left)
                self.processes += 1
            victim.end()
            self.problems += victim.problems
            self.looks = victim.looks
            if proxy.process.poll() is not None:
                self.problems.append(f"Bulkhead has ended with {proxy.process.returncode}")
            else:
                self.handovers = int(metrics(proxy)["bulkhead_pool_handovers_total", "default"])
        self.problems += self.forge.faults()
        return self

    def work(self, proxy, victim, seconds):
        """One process, for so many seconds from its first statement; returns for how many it was."""
        self.forge.fill(SMITH)
        script = Script(self.everything)
        tap = Tap(proxy.port, self.forge.canaries(), script, script.ignored)
        seed = self.seeds.randrange(1 << 31)
        target = psycopg.conninfo.make_conninfo(proxy.conninfo(SMITH), port=tap.port, sslmode="disable",
                                                gssencmode="disable")
        arguments = ["sqlsmith", f"--target={target}", f"--seed={seed}"]
        if not self.everything:
            arguments.append("--exclude-catalog")
        with subprocess.Popen(arguments, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            try:
                began = self.wait_while(process, WARM_UP, lambda: not script.at_work)
                served = lambda: time.monotonic() < max(victim.since, began) + PATIENCE  # noqa: E731
                ended = self.wait_while(process, seconds, lambda: served() and not tap.found)
                if not served():
                    self.note_what_keeps(proxy)
            finally:
                process.kill()
            said = process.communicate()[0]
        tap.close()
        self.judge(tap, script.at_work, seed, said)
        return max(ended - began, 0.1)

    def note_what_keeps(self, proxy):
        causes = [key[1] for key, count in metrics(proxy).items()
                  if isinstance(key, tuple) and key[0] == "bulkhead_pinned_sessions" and count]
        self.kept.update(causes or ["a statement"])

    @staticmethod
    def wait_while(process, seconds, condition):
        deadline = time.monotonic() + seconds
        while condition() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        return time.monotonic()

    def judge(self, tap, at_work, seed, said):
        self.problems += [f"seed {seed}: {found}" for found in tap.found]
        if not at_work:
            refused = [example for line in tap.lines for example in line.examples.items() if example[0][0] != "ok"]
            self.problems.append(f"SQLsmith did not get through the catalog: {refused}\n{said}")
        for line in at_work:
            self.answers.update(line.answers)
            for (state, reason), texts in line.examples.items():
                if state == "XX000":  # PostgreSQL's own faults: not Bulkhead's, and worth a look
                    self.internal += texts
                if state != "ok" and reason and not reason.startswith(REASONS):
                    self.problems += [f"seed {seed}: {reason} for: {text}" for text in texts
                                      if reason != LOST or OWN_DOING not in text]


def report(text):
    print(text, flush=True)


def succeeded(answers):
    return sum(count for (state, _), count in answers.items() if state == "ok")


def answers_of(rounds, mode, everything=(True, False)):
    return sum((played.answers for played in rounds if played.mode == mode and played.everything in everything),
               Counter())


def judge(rounds):
    """The gate has to have refused something where it is on, and much has to have been run."""
    for mode in ("enforce", "off"):
        answers = answers_of(rounds, mode)
        report(f"gate {mode}:\n" + "\n".join(f"{count:8} {state} {what or ''}"
                                             for (state, what), count in answers.most_common()))
        for text in itertools.islice((text for played in rounds if played.mode == mode for text in played.internal), 3):
            report(f"XX000: {' '.join(text.split())}")
        refused = sum(count for (_, why), count in answers.items() if (why or "").startswith(("BH-STMT", "BH-PERM")))
        if (mode == "enforce") != bool(refused):
            yield f"gate {mode}: {refused} statements were refused"
        plain = answers_of(rounds, mode, (False,))
        if succeeded(plain) < FAIR_SHARE * sum(plain.values()) or not succeeded(answers_of(rounds, mode, (True,))):
            yield f"gate {mode}: {succeeded(plain)} statements succeeded of {sum(plain.values())}"


def run(template, seconds, seed, hardening="standard"):
    """
    SQLsmith works as acme for so many seconds, on one backend that globex uses in turns with it; the gate enforces in
    one half of the time and is off in the other. Every second statement that succeeds is committed. Fails unless

    - nothing that Bulkhead sends to SQLsmith holds a word of another tenant, as text, in hex, base64 or backwards;
    - globex sees all of its rows and only those, whenever it looks, and is never told an error;
    - rows of the others are what they were, and there is none of nobody's;
    - SQLsmith gets through the catalog, a fair share of its statements succeeds, and Bulkhead refuses none for another
      reason than the gate's;
    - no process of PostgreSQL's has crashed, and Bulkhead lives and ends with success.
    """
    seeds = random.Random(seed)
    count = max(len(ROUNDS), round(seconds / LONGEST_ROUND))
    rounds = []
    stand = Stand(template, hardening=hardening)
    try:
        forge = Forge(stand.start())
        for number in range(count):
            mode, everything = ROUNDS[number % len(ROUNDS)]
            played = Round(forge, mode, everything, seconds / count, seeds).play()
            rounds.append(played)
            report(f"sqlsmith: {played}")
            if played.problems:
                raise Failed(f"seed {seed}, {played}:\n" + "\n".join(played.problems[:10]))
    finally:
        stand.remove()
    if problems := list(judge(rounds)):
        raise Failed("\n".join(problems))
    return rounds


def main():
    parser = argparse.ArgumentParser(prog="make soak-sqlsmith", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1 << 31))
    parser.add_argument("--hardening", choices=("standard", "strict"), default="standard")
    arguments = parser.parse_args()
    report(f"sqlsmith: {arguments.seconds:.0f} s, seed {arguments.seed}, {arguments.hardening}")
    template = Template()
    try:
        run(template, arguments.seconds, arguments.seed, arguments.hardening)
    finally:
        template.remove()


if __name__ == "__main__":
    main()
