#!/usr/bin/python3
"""psycopg 3: everything in the extended protocol, statements prepared by themselves, pipelines, COPY."""

import threading
import time
from datetime import datetime, timezone
from decimal import Decimal

import psycopg
from psycopg import IsolationLevel

from steps import DATABASE, FOUR, HOST, ITEMS, OTHER, OWN, PASSWORD, PORT, RUN, own, raises, run, same, step

INSERT = "INSERT INTO note (tenant, run, amount, body) VALUES (%s, %s, %s, %s)"
NOTES = "SELECT tenant, amount FROM note WHERE run = %s AND body = %s ORDER BY amount"


def connect(tenant=OWN, **more):
    more = {"autocommit": True, "password": PASSWORD, "dbname": DATABASE, **more}
    return psycopg.connect(host=HOST, port=PORT, user=tenant.user, **more)


def value(connection, statement, *arguments):
    return connection.execute(statement, arguments or None).fetchone()[0]


def notes(connection, body):
    return [amount for amount, in own(connection.execute(NOTES, (RUN, body)))]


def four(**more):
    """Two connections of each tenant, and whose they are."""
    return [(connect(tenant, **more), tenant) for tenant in FOUR]


@step("connect/login")
def _():
    with connect(application_name="psycopg script") as connection:
        same(len(own(connection.execute("SELECT tenant FROM item"))), ITEMS)
        same(value(connection, "SHOW application_name"), "psycopg script")
        same(connection.info.parameter_status("application_name"), "psycopg script")
        same(connection.info.encoding, "utf-8")


@step("connect/wrong-password")
def _():
    with raises(psycopg.OperationalError, "password authentication failed"):
        connect(password="wrong")


@step("connect/unknown-database")
def _():
    with raises(psycopg.OperationalError, "database"):
        connect(dbname="nowhere")


@step("connect/startup-settings")
def _():
    options = "-c statement_timeout=12345 -c TimeZone=Asia/Tokyo --search_path=pg_catalog,\\ public"
    with connect(options=options) as connection, connect() as plain:
        for _ in range(3):
            same(value(connection, "SHOW statement_timeout"), "12345ms")
            same(value(connection, "SHOW TimeZone"), "Asia/Tokyo")
            same(value(connection, "SHOW search_path"), "pg_catalog, public")
            same(value(plain, "SHOW statement_timeout"), "0")


@step("transactions/commit")
def _():
    with connect(autocommit=False) as connection:
        connection.execute(INSERT, (OWN.name, RUN, 1, "commit"))
        connection.commit()
        same(connection.info.transaction_status.name, "IDLE")
        same(notes(connection, "commit"), [1])
        same(connection.info.transaction_status.name, "INTRANS")


@step("transactions/rollback")
def _():
    with connect() as connection:
        with raises(ZeroDivisionError), connection.transaction():
            connection.execute(INSERT, (OWN.name, RUN, 2, "rollback"))
            same(notes(connection, "rollback"), [2])
            raise ZeroDivisionError
        same(notes(connection, "rollback"), [])


@step("transactions/error")
def _():
    with connect(autocommit=False) as connection:
        connection.execute(INSERT, (OWN.name, RUN, 3, "error"))
        with raises(psycopg.errors.UniqueViolation):
            connection.execute(INSERT, (OWN.name, RUN, 3, "error"))
        with raises(psycopg.errors.InFailedSqlTransaction):
            connection.execute("SELECT 1")
        connection.rollback()
        same(notes(connection, "error"), [])


@step("transactions/isolation")
def _():
    with connect(autocommit=False) as connection:
        connection.isolation_level = IsolationLevel.SERIALIZABLE
        connection.read_only = True
        same(value(connection, "SHOW transaction_isolation"), "serializable")
        with raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute(INSERT, (OWN.name, RUN, 4, "isolation"))
        connection.rollback()
        connection.isolation_level = connection.read_only = None
        same(value(connection, "SHOW transaction_isolation"), "read committed")


@step("savepoints/nested")
def _():
    with connect() as connection:
        with connection.transaction():
            for amount in (10, 11, 12):
                with connection.transaction(force_rollback=amount == 11):
                    connection.execute(INSERT, (OWN.name, RUN, amount, "nested"))
                    with connection.transaction(force_rollback=True):
                        connection.execute("DELETE FROM note WHERE run = %s", (RUN,))
            with raises(psycopg.errors.UniqueViolation), connection.transaction():
                connection.execute(INSERT, (OWN.name, RUN, 10, "nested"))
            connection.execute(INSERT, (OWN.name, RUN, 13, "nested"))
        same(notes(connection, "nested"), [10, 12, 13])


@step("prepared/by-itself")
def _():
    """After five executions psycopg prepares a statement under a name of its own."""
    with connect() as connection:
        for n in range(1, 12):
            same(own(connection.execute("SELECT tenant, name FROM item WHERE id = %s", (n,))), [(f"{OWN.name} {n}",)])


@step("prepared/types")
def _():
    with connect() as connection:
        for binary in (False, True):
            rows = connection.cursor(binary=binary).execute(
                "SELECT tenant, price, made, tags, doc FROM item WHERE id = %s AND price > %s", (7, Decimal("1.5")),
                prepare=True)
            same(own(rows), [(Decimal("7.25"), datetime(2026, 1, 1, 7, tzinfo=timezone.utc), [OWN.name, "tag 0"],
                              {"tenant": OWN.name, "n": 7})])


@step("prepared/kept-while-idle")
def _():
    """The same name for other texts, on four connections; what is prepared stays, whoever was served meanwhile."""
    connections = four(prepare_threshold=0)
    for turn in range(1, 4):
        for number, (connection, tenant) in enumerate(connections):
            with connection.transaction():
                rows = connection.execute(f"SELECT tenant, id + {number} FROM item WHERE id = %s", (turn,))
                same(own(rows, tenant), [(turn + number,)])
                same(value(connection, f"SELECT %s::int * {number}", turn), turn * number)
    for connection, _ in connections:
        connection.close()


@step("prepared/many")
def _():
    """More than psycopg keeps: it deallocates the eldest."""
    with connect(prepare_threshold=0) as connection:
        connection.prepared_max = 10
        for _ in range(2):
            for n in range(1, 31):
                same(own(connection.execute(f"SELECT tenant, {n} FROM item WHERE id = %s", (n,))), [(n,)])


@step("prepared/after-error")
def _():
    with connect(prepare_threshold=0) as connection:
        divide = "SELECT 10 / %s::int"
        same(value(connection, divide, 5), 2)
        with raises(psycopg.errors.DivisionByZero):
            connection.execute(divide, (0,))
        with raises(psycopg.errors.SyntaxError):
            connection.execute("SELECT FROM WHERE %s", (1,))
        same(value(connection, divide, 2), 5)


@step("batch/executemany")
def _():
    with connect() as connection, connection.cursor() as cursor:
        cursor.executemany(INSERT + " RETURNING tenant, amount",
                           [(OWN.name, RUN, 100 + n, "batch") for n in range(40)], returning=True)
        found = []
        while True:
            found += own(cursor.fetchall())
            if not cursor.nextset():
                break
        same(found, [(100 + n,) for n in range(40)])
        same(notes(connection, "batch"), list(range(100, 140)))


@step("batch/pipeline")
def _():
    with connect(prepare_threshold=2) as connection:
        with connection.pipeline() as pipeline:
            cursors = [connection.execute("SELECT tenant, id FROM item WHERE id = %s", (n,)) for n in range(1, 61)]
            pipeline.sync()
            with connection.transaction():
                connection.execute(INSERT, (OWN.name, RUN, 200, "pipeline"))
            for n, cursor in enumerate(cursors, 1):
                same(own(cursor), [(n,)])
        same(notes(connection, "pipeline"), [200])


@step("batch/pipeline-error")
def _():
    with connect() as connection:
        with raises(psycopg.errors.DivisionByZero), connection.pipeline() as pipeline:
            connection.execute(INSERT, (OWN.name, RUN, 210, "pipeline error"))
            connection.execute("SELECT 1/0")
            connection.execute(INSERT, (OWN.name, RUN, 211, "pipeline error"))
            pipeline.sync()
        same(notes(connection, "pipeline error"), [])
        with connection.pipeline():
            same(value(connection, "SELECT 5"), 5)


@step("cursor/server-side")
def _():
    with connect(autocommit=False) as connection:
        with connection.cursor("a cursor", scrollable=True) as cursor:
            cursor.itersize = 64
            cursor.execute("SELECT tenant, id FROM item ORDER BY id")
            same([name.name for name in cursor.description], ["tenant", "id"])
            same(own(cursor), [(n,) for n in range(1, ITEMS + 1)])
            cursor.scroll(500, "absolute")
            same(own([cursor.fetchone()]), [(501,)])
        connection.commit()


@step("cursor/with-hold")
def _():
    """It outlives its transaction, and ends when it is closed."""
    with connect(autocommit=False) as connection:
        cursor = connection.cursor("held", withhold=True)
        cursor.execute("SELECT tenant, id FROM item ORDER BY id LIMIT 100")
        same(own(cursor.fetchmany(10)), [(n,) for n in range(1, 11)])
        connection.commit()
        same(own(cursor.fetchall()), [(n,) for n in range(11, 101)])
        cursor.close()
        connection.commit()


@step("cursor/stream")
def _():
    with connect() as connection:
        rows = connection.cursor().stream("SELECT tenant, id FROM item WHERE id <= %s ORDER BY id", (300,))
        same(own(rows), [(n,) for n in range(1, 301)])


def copied(connection, statement):
    with connection.cursor().copy(statement) as copy:
        return list(copy.rows())


@step("copy/out")
def _():
    with connect() as connection:
        rows = copied(connection, "COPY (SELECT tenant, id FROM item ORDER BY id) TO STDOUT")
        same(own(rows), [(str(n),) for n in range(1, ITEMS + 1)])
        with connection.cursor().copy("COPY item (tenant, id) TO STDOUT (FORMAT csv, HEADER)") as copy:
            text = b"".join(copy).decode()
        same(len(own(line.split(",") for line in text.splitlines()[1:])), ITEMS)


@step("copy/out-binary")
def _():
    with connect() as connection, connection.cursor() as cursor:
        with cursor.copy("COPY (SELECT tenant, id FROM item ORDER BY id) TO STDOUT (FORMAT binary)") as copy:
            copy.set_types(["text", "int4"])
            same(own(copy.rows()), [(n,) for n in range(1, ITEMS + 1)])


@step("copy/in")
def _():
    """Into a temporary table, because PostgreSQL has no COPY FROM under row security."""
    for how in ("", "(FORMAT binary)"):
        with connect() as connection, connection.transaction(), connection.cursor() as cursor:
            cursor.execute("CREATE TEMP TABLE incoming (amount int, body text) ON COMMIT DROP")
            with cursor.copy(f"COPY incoming FROM STDIN {how}") as copy:
                if how:
                    copy.set_types(["int4", "text"])
                for n in range(500):
                    copy.write_row((n, "copy"))
            cursor.execute("INSERT INTO note (tenant, run, amount, body) SELECT %s, %s, 1000 + amount, body "
                           "FROM incoming", (OWN.name, RUN))
            same(notes(connection, "copy"), list(range(1000, 1500)))
            cursor.execute("DELETE FROM note WHERE run = %s AND body = 'copy'", (RUN,))


@step("copy/in-error")
def _():
    with connect() as connection:
        for fails, what in ((psycopg.errors.InvalidTextRepresentation, b"1\tx\nnot a number\ty\n"),
                            (psycopg.errors.QueryCanceled, None)):
            with raises(fails), connection.transaction(), connection.cursor() as cursor:
                cursor.execute("CREATE TEMP TABLE incoming (amount int, body text) ON COMMIT DROP")
                with cursor.copy("COPY incoming FROM STDIN") as copy:
                    copy.write(what or b"1\tx\n")
                    if not what:
                        raise ZeroDivisionError
            same(len(own(connection.execute("SELECT tenant FROM item WHERE id < 4"))), 3)
        with raises(psycopg.errors.FeatureNotSupported):
            connection.execute("COPY note (tenant, run, amount) FROM STDIN")
        same(value(connection, "SELECT 1"), 1)


@step("cancel/query")
def _():
    with connect() as connection:
        timer = threading.Timer(0.4, connection.cancel)
        timer.start()
        with raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(30)")
        timer.join()
        same(len(own(connection.execute("SELECT tenant FROM item WHERE id < 4"))), 3)


@step("cancel/transaction")
def _():
    with connect(autocommit=False) as connection:
        timer = threading.Timer(0.4, connection.cancel)
        connection.execute(INSERT, (OWN.name, RUN, 300, "cancel"))
        timer.start()
        with raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(30)")
        timer.join()
        connection.rollback()
        same(notes(connection, "cancel"), [])


@step("cancel/idle")
def _():
    """A cancel that finds nothing running stops nothing, of nobody."""
    with connect() as connection, connect() as neighbour:
        for _ in range(5):
            connection.cancel()
            same(len(own(neighbour.execute("SELECT tenant FROM item WHERE id < 4"))), 3)
            same(value(connection, "SELECT 1"), 1)


@step("cancel/timeout")
def _():
    with connect() as connection:
        with raises(psycopg.errors.QueryCanceled, "statement timeout"), connection.transaction():
            connection.execute("SET LOCAL statement_timeout = '100ms'")
            connection.execute("SELECT pg_sleep(30)")
        same(value(connection, "SHOW statement_timeout"), "0")


@step("settings/kept-while-idle")
def _():
    zones = ("Asia/Tokyo", "Europe/Paris", "America/Lima", "Africa/Cairo")
    connections = four()
    for (connection, _), zone in zip(connections, zones):
        connection.execute(f"SET TimeZone = '{zone}'")
        value(connection, "SELECT set_config('app.zone', %s, false)", zone)
    for _ in range(3):
        for (connection, tenant), zone in zip(connections, zones):
            same(value(connection, "SHOW TimeZone"), zone)
            same(value(connection, "SELECT current_setting('app.zone')"), zone)
            same(connection.info.parameter_status("TimeZone"), zone)
            own(connection.execute("SELECT tenant FROM item WHERE id = 1"), tenant)
    with connect() as plain:
        same(value(plain, "SELECT current_setting('app.zone', true)") or "", "")
        same(value(plain, "SHOW TimeZone") in zones, False)
    for connection, _ in connections:
        connection.close()


@step("settings/transaction")
def _():
    """SET LOCAL ends with its transaction; SET goes back with a rollback, also to a savepoint."""
    with connect() as connection:
        connection.execute("SET work_mem = '1MB'")
        with connection.transaction():
            connection.execute("SET LOCAL work_mem = '2MB'")
            same(value(connection, "SHOW work_mem"), "2MB")
        same(value(connection, "SHOW work_mem"), "1MB")
        with connection.transaction(force_rollback=True):
            connection.execute("SET work_mem = '3MB'")
        same(value(connection, "SHOW work_mem"), "1MB")
        with connection.transaction():
            connection.execute("SET work_mem = '4MB'")
            with connection.transaction(force_rollback=True):
                connection.execute("SET work_mem = '5MB'")
            same(value(connection, "SHOW work_mem"), "4MB")
        same(value(connection, "SHOW work_mem"), "4MB")
        connection.execute("RESET work_mem")
    with connect() as plain:
        same(value(plain, "SHOW work_mem"), "4MB")


@step("settings/search-path")
def _():
    """A prepared statement means the table that the search path says now."""
    connections = four(prepare_threshold=0)
    for number, (connection, _) in enumerate(connections):
        connection.execute("SET search_path TO pg_catalog" if number % 2 else "SET search_path TO public, pg_catalog")
    for _ in range(2):
        for number, (connection, tenant) in enumerate(connections):
            find = "SELECT tenant, id FROM item WHERE id = %s"
            if number % 2:
                with raises(psycopg.errors.UndefinedTable):
                    connection.execute(find, (1,))
            else:
                same(own(connection.execute(find, (1,)), tenant), [(1,)])
    for connection, _ in connections:
        connection.close()


@step("session/temporary-table")
def _():
    for tenant in (OWN, OTHER):
        with connect(tenant) as connection:
            connection.execute("CREATE TEMP TABLE mine AS SELECT tenant, id FROM item WHERE id <= 5")
            connection.execute("INSERT INTO mine VALUES (%s, 6)", (tenant.name,))
            same(own(connection.execute("SELECT * FROM mine ORDER BY id"), tenant), [(n,) for n in range(1, 7)])
            connection.execute("DROP TABLE mine")
            connection.execute("CREATE TEMP TABLE mine ()")
    with connect() as plain, raises(psycopg.errors.UndefinedTable):
        plain.execute("SELECT * FROM mine")


@step("session/advisory-lock")
def _():
    with connect() as connection:
        key = hash(RUN) % 1000000
        connection.execute("SELECT pg_advisory_lock(%s)", (key,))
        same(value(connection, "SELECT pg_advisory_unlock(%s)", key), True)
        same(value(connection, "SELECT pg_advisory_unlock(%s)", key), False)


@step("reset/discard-all")
def _():
    with connect(prepare_threshold=None) as connection:
        connection.execute("SET work_mem = '1MB'")
        connection.execute("PREPARE mine AS SELECT tenant FROM item WHERE id = 1")
        same(len(own(connection.execute("EXECUTE mine"))), 1)
        connection.execute("DISCARD ALL")
        same(value(connection, "SHOW work_mem"), "4MB")
        with raises(psycopg.errors.InvalidSqlStatementName):
            connection.execute("EXECUTE mine")
        same(len(own(connection.execute("SELECT tenant FROM item"))), ITEMS)


@step("reset/reset-all")
def _():
    with connect() as connection:
        connection.execute("SET work_mem = '1MB'")
        connection.execute("RESET ALL")
        same(value(connection, "SHOW work_mem"), "4MB")
        same(len(own(connection.execute("SELECT tenant FROM item"))), ITEMS)


@step("reset/deallocate-all")
def _():
    """It takes protocol-level statements along; psycopg itself sends it when a transaction was rolled back."""
    with connect(prepare_threshold=0) as connection:
        find = "SELECT tenant, id FROM item WHERE id = %s"
        same(own(connection.execute(find, (1,))), [(1,)])
        connection.execute("DEALLOCATE ALL", prepare=False)
        with raises(psycopg.errors.InvalidSqlStatementName):
            connection.execute(find, (2,))
        with connection.transaction(force_rollback=True):
            same(own(connection.execute(find + " AND id > 0", (3,))), [(3,)])
        same(own(connection.execute(find + " AND id > 0", (4,))), [(4,)])


@step("reconnect/ended-by-server")
def _():
    connection = connect(autocommit=False)
    connection.execute("SET LOCAL idle_in_transaction_session_timeout = '100ms'")
    time.sleep(0.5)
    with raises(psycopg.OperationalError, "idle-in-transaction timeout"):
        connection.execute("SELECT 1")
    same(connection.closed, True)
    with connect() as again:
        same(len(own(again.execute("SELECT tenant FROM item"))), ITEMS)


@step("reconnect/many")
def _():
    for turn in range(12):
        tenant = FOUR[turn % 4]
        with connect(tenant) as connection:
            same(connection.execute("SELECT DISTINCT tenant FROM item").fetchall(), [(tenant.name,)])


run(psycopg.__version__)
