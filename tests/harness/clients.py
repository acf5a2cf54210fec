"""
The scripts of tests/clients, played directly and through Bulkhead: see the head of tests/clients/run.py.

    with ground(template) as place:
        report = place.play(client)
        assert report.passed(), report.defects()
"""

import os
import re
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness.client_table import BUILD
from harness.postgres import HOST, PG_BIN
from harness.program import ROOT
from harness.stand import DATABASE, PRINCIPAL, TENANTS, Stand

FOLDER = ROOT / "tests" / "clients"
BACKENDS = 2
WAIT = 10  # seconds for a backend, as query_wait_timeout
SECONDS = 100  # a script may take
PAIR = ("acme", "globex")
LINE = re.compile(r"(ok|FAIL) ([a-z]+/[a-z0-9-]+)(?:: (.*))?")


@dataclass
class Outcome:
    """What one process of a script has printed."""
    version: str = ""
    steps: dict = field(default_factory=dict)  # name: why it failed, empty when it did not
    trouble: str = ""  # what went wrong besides the steps

    def failed(self):
        return {name: why for name, why in self.steps.items() if why}


@dataclass
class Report:
    """A client's outcomes, directly and by the processes that ran through Bulkhead."""
    client: object
    direct: Outcome
    through: list = field(default_factory=list)
    findings: list = field(default_factory=list)  # what is wrong on the ground afterwards

    def broken(self):
        """Steps that fail without Bulkhead: the script's own."""
        return {**self.direct.failed(), **({"script": self.direct.trouble} if self.direct.trouble else {})}

    def defects(self):
        """Steps that fail only through Bulkhead: how many processes, and why in the first of them."""
        found = {}
        for outcome in self.through:
            for name in self.direct.steps:
                why = outcome.steps.get(name, "not reached")
                if why:
                    found.setdefault(name, []).append(why)
            if outcome.trouble:
                found.setdefault("script", []).append(outcome.trouble)
        if self.findings:
            found["afterwards"] = self.findings
        return found

    def passed(self):
        return not self.broken() and not self.defects()


class Ground:
    """PostgreSQL and Bulkhead for the scripts, with two tenants' rows and a login for each around Bulkhead."""

    def __init__(self, stand, proxy, backends):
        self.stand, self.proxy, self.backends = stand, proxy, backends

    def environment(self, tenant, other, direct, run):
        user = "direct_{}" if direct else PRINCIPAL + ".{}"
        clean = {name: value for name, value in os.environ.items()
                 if not name.startswith(("BULKHEAD_", "PG", "CONTROL_", "CLIENT_"))}
        return {
            **clean, "LC_ALL": "C.UTF-8", "NODE_PATH": f"{BUILD}/node_modules",
            "PYTHONPATH": str(FOLDER / "shared"), "PYTHONDONTWRITEBYTECODE": "1",
            "CLIENT_HOST": HOST, "CLIENT_PORT": str(self.stand.postgres.port if direct else self.proxy.port),
            "CLIENT_DATABASE": DATABASE, "CLIENT_PASSWORD": self.stand.password, "CLIENT_RUN": run,
            "CLIENT_TENANT": tenant, "CLIENT_USER": user.format(tenant), "CLIENT_OTHER_TENANT": other,
            "CLIENT_OTHER_USER": user.format(other), "CLIENT_PG_BIN": str(PG_BIN),
        }

    def play(self, client, steps=()):
        """A client's script, directly and through Bulkhead."""
        if trouble := build(client.prepare):
            return Report(client, Outcome(trouble=trouble))
        acme, globex = PAIR
        report = Report(client, self._process(client, acme, globex, True, 0, steps))
        with ThreadPoolExecutor(4) as pool:
            running = [pool.submit(self._process, client, *pair, False, number, steps)
                       for number in (1, 2) for pair in ((acme, globex), (globex, acme))]
            report.through = [process.result() for process in running]
        report.findings = self._findings()
        return report

    def _process(self, client, tenant, other, direct, number, steps):
        run = f"{client.name}-{tenant}-{number}"
        process = subprocess.Popen([*client.command, *steps], env=self.environment(tenant, other, direct, run),
                                   cwd=FOLDER, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True)
        outcome = Outcome()
        try:
            output, errors = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, errors = process.communicate()
            outcome.trouble = f"still running after {SECONDS} s"
        read(output, errors, process.returncode, outcome)
        return outcome

    def _findings(self):
        """Rows that were written in another context than their writer's, and backends beyond the limit.

        Deletes what the scripts have made.
        """
        strangers = " UNION ALL ".join(
            f"SELECT '{table}', t.slug, r.tenant FROM {table} r JOIN bulkhead_control.tenant t ON t.id = r.tenant_id "
            "WHERE t.slug <> r.tenant" for table in ("item", "note"))
        with self.stand.admin() as admin:
            rows = admin.execute(strangers).fetchall()
            admin.execute("DELETE FROM note")
        found = [f"{table}: {there} has a row of {owner}" for table, there, owner in rows[:5]]
        many = len(self.proxy.backends())
        limit = self.backends * (1 if self.stand.installation.is_shared else len(PAIR))
        return found + [f"{many} backends"] * (many > limit)


def read(output, errors, code, outcome):
    for line in output.splitlines():
        if line.startswith("version "):
            outcome.version = line.removeprefix("version ")
        elif match := LINE.fullmatch(line):
            verdict, name, why = match.groups()
            outcome.steps[name] = (why or "no reason") if verdict == "FAIL" else ""
    if not outcome.trouble and code != bool(outcome.failed()) or not outcome.steps:
        said = errors.strip().splitlines() or ["nothing on standard error"]
        why = next((line for line in said if re.search("error", line, re.I)), said[-1])
        outcome.trouble = outcome.trouble or f"exit code {code}: {why.strip()}"


def build(command):
    """A build step of a script, if it has one; returns what it says when it fails."""
    if not command:
        return ""
    Path(BUILD).mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command, cwd=FOLDER, text=True, capture_output=True, check=False)
    return " ".join(f"{done.stdout}{done.stderr}".split()) if done.returncode else ""


def furnish(stand):
    """The scripts' tables and rows, and logins of PostgreSQL's that are in a tenant's context by a setting."""
    with stand.admin() as admin:
        admin.execute((FOLDER / "schema.sql").read_text())
        for tenant in PAIR:
            admin.execute((FOLDER / "rows.sql").read_text(), {"id": stand.ids[tenant], "tenant": tenant})
            seal = f"{stand.ids[tenant].replace('-', '')},{str(TENANTS[tenant]).encode().hex()}"
            admin.execute(f"CREATE ROLE direct_{tenant} LOGIN PASSWORD '{stand.password}' IN ROLE bulkhead_app")
            admin.execute(f"ALTER ROLE direct_{tenant} SET backtrace_functions = '{seal}'")
        admin.execute("ANALYZE")


@contextmanager
def ground(template, backends=BACKENDS, wait=WAIT):
    """A furnished stand of its own, because the roles and tables of the scripts stay in it."""
    stand = Stand(template).start()
    try:
        furnish(stand)
        # They sleep to be cancelled, take what all tenants share to see that it is kept for them, and Sequelize's
        # findOrCreate makes a temporary function.
        exceptions = "sleep, advisory-locks, prepared-transactions, temporary-functions"
        with stand.proxy(gate={"mode": "enforce", "exceptions": exceptions},
                         pool={"default_pool_size": backends, "query_wait_timeout": wait}) as proxy:
            yield Ground(stand, proxy, backends)
    finally:
        stand.remove()
