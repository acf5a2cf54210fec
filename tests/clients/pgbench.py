#!/usr/bin/python3
"""pgbench: its own transactions and some of ours, in all modes and pipelines, on more clients than backends."""

import os
import re
import subprocess
import tempfile
from pathlib import Path

from steps import DATABASE, HOST, OWN, PASSWORD, PORT, RUN, run, same, step

BIN = Path(os.environ["CLIENT_PG_BIN"])
CONTROL = {**os.environ, "PGPASSWORD": PASSWORD, "PGCONNECT_TIMEOUT": "10"}
CLIENTS, EACH = 4, 15

# Fails with a division by zero when it sees a row of another tenant or not all of its own.
LOOK = f"SELECT 1 / (count(*) FILTER (WHERE tenant = '{OWN.name}') = 1000 AND count(*) = 1000)::int FROM item;\n"

READ = f"\\set id random(1, 1000)\nSELECT 1 / (tenant = '{OWN.name}')::int FROM item WHERE id = :id;\n{LOOK}"

WRITE = f"""\\set amount random(1, 2000000000)
BEGIN;
INSERT INTO note (tenant, run, amount, body) VALUES ('{OWN.name}', '{RUN}', :amount, :client_id);
SAVEPOINT s;
UPDATE note SET amount = - amount WHERE run = '{RUN}' AND amount = :amount;
ROLLBACK TO s;
SELECT 1 / (count(*) = 1)::int FROM note WHERE run = '{RUN}' AND amount = :amount AND tenant = '{OWN.name}';
DELETE FROM note WHERE run = '{RUN}' AND amount = :amount;
END;
"""

PIPELINE = f"""\\set id random(1, 1000)
\\startpipeline
SELECT 1 / (tenant = '{OWN.name}')::int FROM item WHERE id = :id;
BEGIN;
INSERT INTO note (tenant, run, amount) SELECT '{OWN.name}', '{RUN}', 2000000001 + :client_id;
DELETE FROM note WHERE run = '{RUN}' AND amount = 2000000001 + :client_id;
COMMIT;
{LOOK}\\endpipeline
"""

SETTINGS = """BEGIN;
SET LOCAL work_mem = '1MB';
SELECT 1 / (current_setting('work_mem') = '1MB')::int;
END;
SELECT 1 / (current_setting('work_mem') = '4MB')::int;
"""


def pgbench(*arguments, scripts=(), clients=CLIENTS, each=EACH):
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, text in enumerate(scripts):
            path = Path(folder, f"{number}.sql")
            path.write_text(text)
            files += ["-f", path]
        done = subprocess.run([BIN / "pgbench", "-n", "-c", str(clients), "-j", str(clients), "-t", str(each), "-h", HOST,
                               "-p", str(PORT), "-U", OWN.user, *arguments, *files, DATABASE], env=CONTROL, text=True,
                              capture_output=True, check=False, timeout=80)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    same(f"number of transactions actually processed: {clients * each}/{clients * each}\n" in done.stdout, True)
    same("number of failed transactions: 0 " in done.stdout, True)


MODES = ("simple", "extended", "prepared")


def mode(name):
    @step(f"{'prepared' if name == 'prepared' else 'transactions'}/{name}")
    def _():
        """The transaction of TPC-B, and afterwards the books of this tenant balance."""
        pgbench("-M", name)
        done = subprocess.run([BIN / "psql", "-XAtq", "-h", HOST, "-p", str(PORT), "-U", OWN.user, "-d", DATABASE, "-c",
                               "SELECT (SELECT sum(delta) FROM pgbench_history) = "
                               "ALL (SELECT sum(bbalance) FROM pgbench_branches UNION ALL "
                               "SELECT sum(tbalance) FROM pgbench_tellers UNION ALL "
                               "SELECT sum(abalance) FROM pgbench_accounts)"], env=CONTROL, text=True,
                              capture_output=True, check=False, timeout=20)
        same((done.stdout.strip(), done.stderr), ("t", ""))

    @step(f"batch/mixed-{name}")
    def _():
        pgbench("-M", name, scripts=(READ, WRITE))

    @step(f"settings/{name}")
    def _():
        pgbench("-M", name, scripts=(SETTINGS, READ))


for each_mode in MODES:
    mode(each_mode)


@step("savepoints/rolled-back")
def _():
    pgbench("-M", "extended", scripts=(WRITE,))


@step("batch/pipeline-extended")
def _():
    pgbench("-M", "extended", scripts=(PIPELINE,))


@step("batch/pipeline-prepared")
def _():
    pgbench("-M", "prepared", scripts=(PIPELINE,))


@step("connect/each-transaction")
def _():
    """-C: a connection for each transaction."""
    pgbench("-C", "-S", each=6)


@step("prepared/select-only")
def _():
    pgbench("-M", "prepared", "-S", clients=8)


run(re.search(r"[\d.]+", subprocess.run([BIN / "pgbench", "--version"], text=True, capture_output=True,
                                        check=True).stdout)[0])
