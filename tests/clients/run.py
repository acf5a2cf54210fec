#!/usr/bin/python3
"""
Runs the scripts of this folder, which live the life of one client library each.

    make test-clients                                  # all
    /usr/bin/python3 tests/clients/run.py psycopg3 pgx # some
    /usr/bin/python3 tests/clients/run.py psycopg3 --step cursor/ --verbose
    /usr/bin/python3 tests/clients/run.py --docs docs/clients.md

One PostgreSQL and one Bulkhead in transaction mode with two backends serve all of them. A script runs first against
PostgreSQL itself, as a login that is in its tenant's context: a step that fails there is a broken script. Then it runs
through Bulkhead, in two processes for each of two tenants at once: a step that fails only there is a defect of Bulkhead.

A script prints `version TEXT`, and for each step `ok GROUP/STEP` or `FAIL GROUP/STEP: why`, and exits with 1 when one
failed. It finds in its environment CLIENT_HOST, _PORT, _DATABASE, _PASSWORD, its tenant's name and user (CLIENT_TENANT,
CLIENT_USER), another tenant's (CLIENT_OTHER_TENANT, CLIENT_OTHER_USER), and a name of its own for the rows that it makes
(CLIENT_RUN). It never holds a transaction on one connection while it waits for another one.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))

from clients_table import BUILD, CLIENTS, GROUPS, write_docs  # noqa: E402
from harness.postgres import HOST, PG_BIN, Template  # noqa: E402
from harness.stand import DATABASE, PRINCIPAL, TENANTS, Stand  # noqa: E402

BACKENDS = 2
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
    leaks: str = ""

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
        if self.leaks:
            found["rows"] = [self.leaks]
        return found

    def passed(self):
        return not self.broken() and not self.defects()


class Ground:
    """PostgreSQL and Bulkhead for the scripts, with two tenants' rows and a login for each around Bulkhead."""

    def __init__(self, stand, proxy):
        self.stand, self.proxy = stand, proxy

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
        report.leaks = self._leaks()
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

    def _leaks(self):
        """Rows that were written in another context than their writer's; deletes what the scripts have made."""
        strangers = " UNION ALL ".join(
            f"SELECT '{table}', t.slug, r.tenant FROM {table} r JOIN bulkhead_control.tenant t ON t.id = r.tenant_id "
            "WHERE t.slug <> r.tenant" for table in ("item", "note"))
        with self.stand.admin() as admin:
            found = admin.execute(strangers).fetchall()
            admin.execute("DELETE FROM note")
        return "; ".join(f"{table}: {there} has a row of {owner}" for table, there, owner in found[:5])


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
def ground(template, backends=BACKENDS):
    """A furnished stand of its own, because the roles and tables of the scripts stay in it."""
    stand = Stand(template).start()
    try:
        furnish(stand)
        with stand.proxy(pool={"default_pool_size": backends, "query_wait_timeout": 5}) as proxy:
            yield Ground(stand, proxy)
    finally:
        stand.remove()


def tell(report, verbose):
    """A client's result, one line, and one more for each step that failed."""
    direct, through = report.direct, report.through
    good = len(direct.steps) - sum(name in direct.steps for name in report.defects())
    print(f"{'ok  ' if report.passed() else 'FAIL'} {report.client.name} {direct.version}: {len(direct.steps)} steps, "
          f"{len(direct.steps) - len(direct.failed())} directly, {good} through Bulkhead", flush=True)
    for name, why in report.broken().items():
        print(f"     broken {name}: {why}", flush=True)
    for name, reasons in report.defects().items():
        if name not in report.broken():
            print(f"     {name}, {len(reasons)} of {len(through)}: {reasons[0][:300]}", flush=True)
            for why in sorted(set(reasons[1:]) - {reasons[0]}) if verbose else ():
                print(f"         also: {why}", flush=True)


def main():
    options = argparse.ArgumentParser(description="Client libraries through Bulkhead, as two tenants at once.")
    options.add_argument("clients", nargs="*", metavar="CLIENT", help="all when none is named")
    options.add_argument("--step", action="append", default=[], help="only steps that begin so")
    options.add_argument("--docs", type=Path, help="write the table of results to this file")
    options.add_argument("--backends", type=int, default=BACKENDS, help="more of them show what is no matter of waiting")
    options.add_argument("--verbose", action="store_true", help="every reason of a failure, not only the first")
    options = options.parse_args()
    unknown = set(options.clients) - {client.name for client in CLIENTS}
    if unknown:
        sys.exit(f"no such client: {', '.join(sorted(unknown))}")
    chosen = [client for client in CLIENTS if not options.clients or client.name in options.clients]
    reports = []
    template = Template()
    try:
        with ground(template, options.backends) as place:
            for client in chosen:
                reports.append(place.play(client, options.step))
                tell(reports[-1], options.verbose)
            version = place.stand.admin().execute("SHOW server_version").fetchone()[0]
    finally:
        template.remove()
    unlisted = {name for report in reports for name in report.direct.steps if name.split("/")[0] not in GROUPS}
    if unlisted:
        sys.exit(f"not in a group: {unlisted}")
    if options.docs:
        write_docs(options.docs, reports, version.split()[0])
    sys.exit(not all(report.passed() for report in reports))


if __name__ == "__main__":
    main()
