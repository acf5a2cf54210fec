#!/usr/bin/python3
"""
Runs the scripts of this folder, which live the life of one client library each.

    make test-clients                                  # all
    /usr/bin/python3 tests/clients/run.py psycopg3 pgx # some
    /usr/bin/python3 tests/clients/run.py psycopg3 --step cursor/ --verbose
    /usr/bin/python3 tests/clients/run.py --docs docs/clients.md

One PostgreSQL and one Bulkhead in transaction mode with two backends serve all of them. A script runs first against
PostgreSQL itself, as a login that is in its tenant's context: a step that fails there is a broken script. Then it
runs through Bulkhead, in two processes for each of two tenants at once: a step that fails only there is a defect of
Bulkhead.

A script prints `version TEXT`, and for each step `ok GROUP/STEP` or `FAIL GROUP/STEP: why`, and exits with 1 when one
failed. It finds in its environment CLIENT_HOST, _PORT, _DATABASE, _PASSWORD, its tenant's name and user
(CLIENT_TENANT, CLIENT_USER), another tenant's (CLIENT_OTHER_TENANT, CLIENT_OTHER_USER), and a name of its own for the
rows that it makes (CLIENT_RUN). It never waits for one connection while another one is in a transaction, or has
something that only the session can hold: a temporary table, an advisory lock, a cursor.
"""

import argparse
import sys
from pathlib import Path

# In place of this folder, whose scripts have the names of libraries.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from harness.client_table import CLIENTS, GROUPS, write_docs  # noqa: E402
from harness.clients import BACKENDS, WAIT, ground  # noqa: E402
from harness.postgres import Template  # noqa: E402


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
    options.add_argument("--backends", type=int, default=BACKENDS,
                         help="with more of them, what fails is no matter of waiting")
    options.add_argument("--wait", type=int, default=WAIT, help="seconds that a client may wait for a backend")
    options.add_argument("--verbose", action="store_true", help="every reason of a failure, not only the first")
    options = options.parse_args()
    unknown = set(options.clients) - {client.name for client in CLIENTS}
    if unknown:
        sys.exit(f"no such client: {', '.join(sorted(unknown))}")
    chosen = [client for client in CLIENTS if not options.clients or client.name in options.clients]
    reports = []
    template = Template()
    try:
        with ground(template, options.backends, options.wait) as place:
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
        write_docs(options.docs, reports, version.split()[0], options.backends)
    sys.exit(not all(report.passed() for report in reports))


if __name__ == "__main__":
    main()
