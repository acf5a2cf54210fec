#!/usr/bin/python3
"""psql: simple queries, backslash commands over the catalogs, \\copy, \\gset, \\watch, cancel by SIGINT."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

from steps import DATABASE, HOST, ITEMS, OTHER, OWN, PASSWORD, PORT, RUN, own, run, same, step

BIN = Path(os.environ["CLIENT_PG_BIN"])
CONTROL = {**os.environ, "PGPASSWORD": PASSWORD, "PGCONNECT_TIMEOUT": "10"}


def command(tenant, *arguments):
    return [BIN / "psql", "-X", "-h", HOST, "-p", str(PORT), "-U", tenant.user, "-d", DATABASE, *arguments]


def psql(text, *arguments, tenant=OWN, code=0, **environment):
    """What it prints, unaligned and without headers, as rows; `code` is the exit code that is expected."""
    done = subprocess.run(command(tenant, "-qAt", "-F", "\t", *arguments), input=text, text=True, capture_output=True,
                          env={**CONTROL, **environment}, check=False, timeout=60)
    if done.returncode != code:
        raise AssertionError(f"psql ended with {done.returncode}: {done.stderr}")
    return [line.split("\t") for line in done.stdout.splitlines()], done.stderr


def rows(text, *arguments, **more):
    found, complaints = psql(text, "-v", "ON_ERROR_STOP=1", *arguments, **more)
    same(complaints, "")
    return found


@step("connect/login")
def _():
    for tenant in (OWN, OTHER):
        same(len(own(rows("SELECT tenant FROM item", tenant=tenant), tenant)), ITEMS)
    same(rows("SHOW application_name"), [["psql"]])


@step("connect/wrong-password")
def _():
    _, complaint = psql("", PGPASSWORD="wrong", code=2)
    same("password authentication failed" in complaint, True)


@step("connect/startup-settings")
def _():
    options = "-c statement_timeout=12345 -c app.words=two\\ words"
    same(rows("SHOW statement_timeout;\nSHOW app.words;\nSHOW TimeZone", PGOPTIONS=options, PGTZ="Asia/Tokyo"),
         [["12345ms"], ["two words"], ["Asia/Tokyo"]])


@step("connect/ready")
def _():
    """pg_isready asks with a user that there is not, and goes away in the middle."""
    done = subprocess.run([BIN / "pg_isready", "-h", HOST, "-p", str(PORT)], env=CONTROL, capture_output=True,
                          check=False, timeout=20)
    same(done.returncode, 0)


@step("transactions/blocks")
def _():
    found = rows(f"""
        BEGIN; INSERT INTO note (tenant, run, amount) VALUES ('{OWN.name}', '{RUN}', 1); COMMIT;
        BEGIN; INSERT INTO note (tenant, run, amount) VALUES ('{OWN.name}', '{RUN}', 2); ROLLBACK;
        START TRANSACTION ISOLATION LEVEL SERIALIZABLE READ ONLY;
        SHOW transaction_isolation;
        COMMIT AND CHAIN;
        SHOW transaction_isolation;
        COMMIT;
        SELECT tenant, amount FROM note WHERE run = '{RUN}'""")
    same(found[:2], [["serializable"]] * 2)
    same(own(found[2:]), [("1",)])


@step("transactions/error")
def _():
    found, complaint = psql("BEGIN;\nSELECT 1/0;\nSELECT 1;\nCOMMIT;\nSELECT nothing\nFROM item;\nSELECT 2")
    same(found, [["2"]])
    same("current transaction is aborted" in complaint, True)
    same("LINE 1: SELECT nothing\n               ^" in complaint, True)


@step("transactions/single")
def _():
    """--single-transaction around a file."""
    _, complaint = psql(f"INSERT INTO note (tenant, run, amount) VALUES ('{OWN.name}', '{RUN}', 5);\nSELECT 1/0",
                        "-1", "-v", "ON_ERROR_STOP=1", "-f", "-", code=3)
    same("division by zero" in complaint, True)
    same(rows(f"SELECT tenant FROM note WHERE run = '{RUN}' AND amount = 5"), [])


@step("savepoints/on-error-rollback")
def _():
    insert = f"INSERT INTO note (tenant, run, amount) VALUES ('{OWN.name}', '{RUN}', %s);\n"
    psql("\\set ON_ERROR_ROLLBACK on\nBEGIN;\n" + insert % 10 + insert % 10 + "SAVEPOINT s;\n" + insert % 11
         + "ROLLBACK TO s;\n" + insert % 12 + "COMMIT;")
    same(own(rows(f"SELECT tenant, amount FROM note WHERE run = '{RUN}' AND amount BETWEEN 10 AND 19 ORDER BY 2")),
         [("10",), ("12",)])


@step("prepared/sql")
def _():
    found = rows("PREPARE find (int) AS SELECT tenant, id FROM item WHERE id = $1;\nSELECT pg_sleep(0.05);\n"
                 "EXECUTE find (5);\nSELECT pg_sleep(0.05);\nEXECUTE find (6);\nDEALLOCATE find;")
    same(own(row for row in found if row != [""]), [("5",), ("6",)])


@step("prepared/describe")
def _():
    """\\gdesc parses an unnamed statement and describes it."""
    same(rows("SELECT tenant, id, price FROM item \\gdesc"),
         [["tenant", "text"], ["id", "integer"], ["price", "numeric(10,2)"]])


@step("batch/one-string")
def _():
    """-c with several statements is one message; comments and empty statements are in it."""
    found = rows("", "-c", "SELECT 1; ; /* nothing */ SELECT tenant, id FROM item WHERE id = 2; -- end")
    same(found[0], ["1"])
    same(own(found[1:]), [("2",)])
    rows("", "-c", "/* nothing */")
    rows("", "-c", ";")


@step("cursor/fetch-count")
def _():
    found = rows("\\set FETCH_COUNT 33\nSELECT tenant, id FROM item ORDER BY id;")
    same(own(found), [(str(n),) for n in range(1, ITEMS + 1)])


@step("cursor/gexec-gset")
def _():
    found = rows("SELECT count(*) AS many FROM item \\gset\n\\echo :many\n"
                 "SELECT format('SELECT tenant, id FROM item WHERE id = %s', n) FROM generate_series(1, 9) n \\gexec")
    same(found[0], [str(ITEMS)])
    same(own(found[1:]), [(str(n),) for n in range(1, 10)])


@step("cursor/hold")
def _():
    found = rows("DECLARE held CURSOR WITH HOLD FOR SELECT tenant, id FROM item ORDER BY id;\nFETCH 2 FROM held;\n"
                 "FETCH 1 FROM held;\nCLOSE held;")
    same(own(found), [("1",), ("2",), ("3",)])


@step("copy/out")
def _():
    found = rows("\\copy (SELECT tenant, id FROM item ORDER BY id) to stdout\nCOPY item (tenant, id) TO STDOUT;")
    same(len(own(found)), 2 * ITEMS)


@step("copy/in")
def _():
    lines = "".join(f"{n}\tcopy\n" for n in range(400))
    found = rows(f"""BEGIN;
CREATE TEMP TABLE incoming (amount int, body text) ON COMMIT DROP;
COPY incoming FROM STDIN;
{lines}\\.
INSERT INTO note (tenant, run, amount, body) SELECT '{OWN.name}', '{RUN}', 1000 + amount, body FROM incoming;
SELECT tenant, count(*) FROM note WHERE run = '{RUN}' AND body = 'copy' GROUP BY tenant;
ROLLBACK;
""")
    same(own(found), [("400",)])


@step("copy/in-error")
def _():
    found, complaint = psql("BEGIN;\nCREATE TEMP TABLE incoming (amount int) ON COMMIT DROP;\n"
                            "COPY incoming FROM STDIN;\n1\nno number\n2\n\\.\nROLLBACK;\nSELECT 1;\n")
    same(found, [["1"]])
    same('invalid input syntax for type integer: "no number"' in complaint, True)


@step("cancel/interrupt")
def _():
    for tenant in (OWN, OTHER):
        process = subprocess.Popen(command(tenant, "-qAt"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, env=CONTROL)
        process.stdin.write("\\echo connected\nSELECT pg_sleep(30);\n")
        process.stdin.close()
        process.stdin = None
        same(process.stdout.readline().strip(), "connected")
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        same("canceling statement due to user request" in process.communicate(timeout=20)[1], True)
        same(rows("SELECT DISTINCT tenant FROM item", tenant=tenant), [[tenant.name]])


@step("cancel/timeout")
def _():
    _, complaint = psql("SET statement_timeout = 100;\nSELECT pg_sleep(30);\nRESET statement_timeout;")
    same("statement timeout" in complaint, True)


@step("settings/session")
def _():
    found = rows("SET TIME ZONE 'Asia/Tokyo';\nSELECT pg_sleep(0.05);\nSHOW TimeZone;\nBEGIN;\n"
                 "SET LOCAL TimeZone = 'Africa/Cairo';\nSHOW TimeZone;\nCOMMIT;\nSHOW TimeZone;\n"
                 "BEGIN;\nSET TimeZone = 'America/Lima';\nROLLBACK;\nSHOW TimeZone;\nRESET TimeZone;\nSHOW TimeZone;")
    zones = [zone for zone, in found if zone]
    same(zones[:4], ["Asia/Tokyo", "Africa/Cairo", "Asia/Tokyo", "Asia/Tokyo"])
    same(zones[4] in zones[:4], False)


@step("settings/encoding")
def _():
    same(rows("\\encoding LATIN1\n\\encoding\nSELECT pg_sleep(0.05);\nSELECT octet_length(chr(8364));\n"
              "\\encoding UTF8\nSELECT chr(8364);"), [["LATIN1"], [""], ["3"], ["\u20ac"]])


@step("session/temporary-table")
def _():
    same(own(rows("CREATE TEMP TABLE mine AS SELECT tenant, id FROM item WHERE id < 4;\nSELECT pg_sleep(0.05);\n"
                  "SELECT * FROM mine ORDER BY id;\nDROP TABLE mine;")[1:]), [("1",), ("2",), ("3",)])


@step("session/catalogs")
def _():
    """What \\d and its family read works under Bulkhead as without it."""
    text = "\n".join(["\\d item", "\\dt", "\\d+ note", "\\df bulkhead.*", "\\dn+", "\\du", "\\l", "\\dp note", "\\di",
                      "\\dT", "\\conninfo", "\\sf bulkhead.tenant_id"])
    found, complaint = psql(text)
    same(complaint, "")
    same(any("tenant_id" in "".join(row) for row in found), True)


@step("reset/discard-all")
def _():
    found = rows("SET work_mem = '1MB';\nDISCARD ALL;\nSHOW work_mem;\nSET work_mem = '1MB';\nRESET ALL;\n"
                 "SHOW work_mem;\nSELECT count(*) FROM item;")
    same(found, [["4MB"], ["4MB"], [str(ITEMS)]])


@step("reconnect/connect")
def _():
    """\\c to the other tenant and back, in one psql."""
    to = "\\c {} {} {} {}\nSELECT DISTINCT tenant FROM item;\n"
    found = rows("".join(to.format(DATABASE, tenant.user, HOST, PORT) for tenant in (OTHER, OWN, OTHER)))
    same(found, [[OTHER.name], [OWN.name], [OTHER.name]])


@step("reconnect/ended-by-server")
def _():
    _, complaint = psql("BEGIN;\nSET LOCAL idle_in_transaction_session_timeout = 100;\n\\! sleep 0.4\nSELECT 1;",
                        code=2)
    same("terminating connection due to idle-in-transaction timeout" in complaint, True)
    same(rows("SELECT DISTINCT tenant FROM item"), [[OWN.name]])


@step("reconnect/pg-dump")
def _():
    """A tenant's own rows: row security on, in a REPEATABLE READ transaction with a cursor."""
    done = subprocess.run([BIN / "pg_dump", "-h", HOST, "-p", str(PORT), "-U", OWN.user, "-d", DATABASE, "-t", "item",
                           "--enable-row-security", "--data-only", "--inserts"], text=True, capture_output=True,
                          env=CONTROL, check=False, timeout=60)
    same((done.returncode, done.stderr), (0, ""))
    values = re.findall(r"^INSERT INTO public\.item VALUES \('[-0-9a-f]{36}', (\d+), '([^']*)'", done.stdout, re.M)
    same(len(own((tenant, n) for n, tenant in values)), ITEMS)


run(subprocess.run([BIN / "psql", "--version"], text=True, capture_output=True, check=True).stdout.split()[2])
