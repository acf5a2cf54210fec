#!/usr/bin/python3
"""psycopg2: simple queries with the values in them, BEGIN before the first, named cursors, reset()."""

import io
import threading
import time
from contextlib import closing

import psycopg2
from psycopg2 import errors, extensions, extras
from psycopg2.pool import SimpleConnectionPool

from steps import DATABASE, FOUR, HOST, ITEMS, OTHER, OWN, PASSWORD, PORT, RUN, own, raises, run, same, step

INSERT = "INSERT INTO note (tenant, run, amount, body) VALUES (%s, %s, %s, %s)"
NOTES = "SELECT tenant, amount FROM note WHERE run = %s AND body = %s ORDER BY amount"


def parameters(tenant=OWN, **more):
    return {"host": HOST, "port": PORT, "dbname": DATABASE, "user": tenant.user, "password": PASSWORD, **more}


def connect(tenant=OWN, autocommit=False, **more):
    connection = psycopg2.connect(**parameters(tenant, **more))
    connection.autocommit = autocommit
    return closing(connection)


def query(connection, statement, *arguments):
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments or None)
        return cursor.fetchall() if cursor.description else []


def value(connection, statement, *arguments):
    return query(connection, statement, *arguments)[0][0]


def notes(connection, body):
    return [amount for amount, in own(query(connection, NOTES, RUN, body))]


@step("connect/login")
def _():
    with connect(application_name="psycopg2 script") as connection:
        same(len(own(query(connection, "SELECT tenant FROM item"))), ITEMS)
        same(value(connection, "SHOW application_name"), "psycopg2 script")
        same(connection.get_parameter_status("application_name"), "psycopg2 script")
        same(connection.encoding, "UTF8")


@step("connect/wrong-password")
def _():
    with raises(psycopg2.OperationalError, "password authentication failed"):
        connect(password="wrong")


@step("connect/startup-settings")
def _():
    with connect(options="-c statement_timeout=12345 -cTimeZone=Asia/Tokyo") as connection:
        for _ in range(3):
            same(value(connection, "SHOW statement_timeout"), "12345ms")
            same(value(connection, "SHOW TimeZone"), "Asia/Tokyo")
            connection.commit()


@step("transactions/commit")
def _():
    with connect() as connection:
        with connection:
            query(connection, INSERT, OWN.name, RUN, 1, "commit")
        same(connection.get_transaction_status(), extensions.TRANSACTION_STATUS_IDLE)
        same(notes(connection, "commit"), [1])
        same(connection.get_transaction_status(), extensions.TRANSACTION_STATUS_INTRANS)


@step("transactions/rollback")
def _():
    with connect() as connection:
        with raises(errors.UniqueViolation), connection:
            query(connection, INSERT, OWN.name, RUN, 2, "rollback")
            query(connection, INSERT, OWN.name, RUN, 2, "rollback")
        same(notes(connection, "rollback"), [])


@step("transactions/error")
def _():
    with connect() as connection:
        with raises(errors.UndefinedColumn) as _:
            query(connection, "SELECT tenant, nothing FROM item")
        with raises(errors.InFailedSqlTransaction):
            query(connection, "SELECT 1")
        connection.rollback()
        same(value(connection, "SELECT 1"), 1)


@step("transactions/isolation")
def _():
    with connect() as connection:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        same(value(connection, "SHOW transaction_isolation"), "repeatable read")
        with raises(errors.ReadOnlySqlTransaction):
            query(connection, INSERT, OWN.name, RUN, 4, "isolation")
        connection.rollback()
        connection.set_session(isolation_level="DEFAULT", readonly="DEFAULT")
        same(value(connection, "SHOW transaction_isolation"), "read committed")


@step("transactions/two-phase")
def _():
    """TPC goes over two transactions, and may end on another connection."""
    with connect() as connection:
        connection.tpc_begin(connection.xid(1, RUN, "branch"))
        query(connection, INSERT, OWN.name, RUN, 5, "two-phase")
        connection.tpc_prepare()
        connection.tpc_commit()
        same(notes(connection, "two-phase"), [5])


@step("savepoints/nested")
def _():
    with connect() as connection:
        query(connection, INSERT, OWN.name, RUN, 10, "nested")
        query(connection, "SAVEPOINT a")
        query(connection, INSERT, OWN.name, RUN, 11, "nested")
        query(connection, "SAVEPOINT b")
        with raises(errors.UniqueViolation):
            query(connection, INSERT, OWN.name, RUN, 11, "nested")
        query(connection, "ROLLBACK TO b")
        query(connection, INSERT, OWN.name, RUN, 12, "nested")
        query(connection, "RELEASE b; ROLLBACK TO a; RELEASE a")
        query(connection, INSERT, OWN.name, RUN, 13, "nested")
        connection.commit()
        same(notes(connection, "nested"), [10, 13])


@step("prepared/sql")
def _():
    """PREPARE and EXECUTE in SQL: kept while the connection rests."""
    with connect(autocommit=True) as connection:
        query(connection, "PREPARE find (int) AS SELECT tenant, name FROM item WHERE id = $1")
        for n in (3, 4):
            same(own(query(connection, "EXECUTE find (%s)", n)), [(f"{OWN.name} {n}",)])
        query(connection, "DEALLOCATE find")
        with raises(errors.InvalidSqlStatementName):
            query(connection, "EXECUTE find (1)")


@step("batch/execute-values")
def _():
    with connect() as connection, connection.cursor() as cursor:
        rows = [(OWN.name, RUN, 100 + n, "values") for n in range(250)]
        found = extras.execute_values(cursor, "INSERT INTO note (tenant, run, amount, body) VALUES %s "
                                      "RETURNING tenant, amount", rows, page_size=100, fetch=True)
        same(own(found), [(100 + n,) for n in range(250)])
        connection.rollback()
        extras.execute_batch(cursor, INSERT, rows, page_size=60)
        connection.commit()
        same(notes(connection, "values"), list(range(100, 350)))


@step("batch/many-statements")
def _():
    """One string of several statements is one transaction."""
    with connect(autocommit=True) as connection:
        with raises(errors.DivisionByZero):
            query(connection, f"{INSERT}; SELECT 1/0; SELECT 2", OWN.name, RUN, 400, "string")
        same(notes(connection, "string"), [])
        same(own(query(connection, f"{INSERT}; SELECT tenant, amount FROM note WHERE run = %s AND body = 'string'",
                       OWN.name, RUN, 401, "string", RUN)), [(401,)])


@step("cursor/named")
def _():
    with connect() as connection:
        with connection.cursor("named", scrollable=True) as cursor:
            cursor.itersize = 70
            cursor.execute("SELECT tenant, id FROM item ORDER BY id")
            same(own(cursor), [(n,) for n in range(1, ITEMS + 1)])
            cursor.scroll(-2)
            same(own(cursor.fetchmany(5)), [(ITEMS,)])
        connection.commit()


@step("cursor/with-hold")
def _():
    with connect() as connection:
        cursor = connection.cursor("held", withhold=True)
        cursor.execute("SELECT tenant, id FROM item ORDER BY id LIMIT 50")
        connection.commit()
        for first in range(1, 51, 10):
            same(own(cursor.fetchmany(10)), [(n,) for n in range(first, first + 10)])
            connection.commit()
        cursor.close()
        connection.commit()


@step("copy/out")
def _():
    with connect() as connection, connection.cursor() as cursor:
        text = io.StringIO()
        cursor.copy_expert("COPY (SELECT tenant, id, name FROM item ORDER BY id) TO STDOUT (FORMAT csv)", text)
        rows = own(line.split(",") for line in text.getvalue().splitlines())
        same(rows, [(str(n), f"{OWN.name} {n}") for n in range(1, ITEMS + 1)])


@step("copy/in")
def _():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE incoming (amount int, body text) ON COMMIT DROP")
        cursor.copy_from(io.StringIO("".join(f"{n}\tcopy\n" for n in range(3000))), "incoming")
        cursor.execute("INSERT INTO note (tenant, run, amount, body) SELECT %s, %s, 1000 + amount, body FROM incoming",
                       (OWN.name, RUN))
        same(notes(connection, "copy"), list(range(1000, 4000)))
        connection.rollback()


@step("copy/in-error")
def _():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE incoming (amount int, body text) ON COMMIT DROP")
        with raises(errors.InvalidTextRepresentation):
            cursor.copy_expert("COPY incoming FROM STDIN", io.StringIO("1\tx\nno number\ty\n" + "2\tz\n" * 5000))
        connection.rollback()
        same(value(connection, "SELECT 1"), 1)


@step("cancel/query")
def _():
    with connect() as connection:
        timer = threading.Timer(0.4, connection.cancel)
        timer.start()
        with raises(errors.QueryCanceled):
            query(connection, "SELECT pg_sleep(30)")
        timer.join()
        connection.rollback()
        same(len(own(query(connection, "SELECT tenant FROM item WHERE id < 4"))), 3)


@step("cancel/timeout")
def _():
    with connect() as connection:
        query(connection, "SET LOCAL statement_timeout = 100")
        with raises(errors.QueryCanceled):
            query(connection, "SELECT pg_sleep(30)")
        connection.rollback()
        same(value(connection, "SHOW statement_timeout"), "0")


@step("settings/kept-while-idle")
def _():
    zones = ("Asia/Tokyo", "Europe/Paris", "America/Lima", "Africa/Cairo")
    connections = [psycopg2.connect(**parameters(tenant)) for tenant in FOUR]
    for connection, zone in zip(connections, zones):
        query(connection, "SET TIME ZONE %s", zone)
        connection.commit()
    for _ in range(3):
        for connection, tenant, zone in zip(connections, FOUR, zones):
            same(value(connection, "SHOW TimeZone"), zone)
            own(query(connection, "SELECT tenant FROM item WHERE id = 1"), tenant)
            connection.commit()
    for connection in connections:
        connection.close()


@step("settings/rollback")
def _():
    with connect() as connection:
        query(connection, "SET TIME ZONE 'Asia/Tokyo'")
        connection.commit()
        query(connection, "SET TIME ZONE 'Africa/Cairo'")
        same(connection.get_parameter_status("TimeZone"), "Africa/Cairo")
        connection.rollback()
        same(connection.get_parameter_status("TimeZone"), "Asia/Tokyo")
        same(value(connection, "SHOW TimeZone"), "Asia/Tokyo")


@step("settings/client-encoding")
def _():
    with connect() as connection:
        connection.set_client_encoding("LATIN1")
        same(value(connection, "SELECT %s::text", "caf\u00e9"), "caf\u00e9")
        connection.commit()
        same(value(connection, "SELECT octet_length(convert_to(%s, 'UTF8'))", "caf\u00e9"), 5)
        same(value(connection, "SHOW client_encoding"), "LATIN1")
    with connect() as plain:
        same(value(plain, "SELECT %s::text", "caf\u00e9 \u20ac"), "caf\u00e9 \u20ac")


@step("session/temporary-table")
def _():
    for tenant in (OWN, OTHER):
        with connect(tenant) as connection:
            query(connection, "CREATE TEMP TABLE mine AS SELECT tenant, id FROM item WHERE id <= 5")
            connection.commit()
            same(len(own(query(connection, "SELECT tenant FROM mine"), tenant)), 5)
            connection.commit()
            query(connection, "DROP TABLE mine")
            connection.commit()


@step("reset/reset")
def _():
    """psycopg2's own: ROLLBACK, RESET ALL, SET SESSION AUTHORIZATION DEFAULT."""
    with connect() as connection:
        query(connection, "SET TIME ZONE 'Asia/Tokyo'")
        connection.commit()
        query(connection, INSERT, OWN.name, RUN, 500, "reset")
        connection.reset()
        same(value(connection, "SHOW TimeZone") == "Asia/Tokyo", False)
        same(notes(connection, "reset"), [])
        same(len(own(query(connection, "SELECT tenant FROM item"))), ITEMS)


@step("reset/discard-all")
def _():
    with connect(autocommit=True) as connection:
        query(connection, "SET TIME ZONE 'Asia/Tokyo'")
        query(connection, "DISCARD ALL")
        same(value(connection, "SHOW TimeZone") == "Asia/Tokyo", False)
        same(len(own(query(connection, "SELECT tenant FROM item"))), ITEMS)


@step("reconnect/pool")
def _():
    pools = [(SimpleConnectionPool(1, 3, **parameters(tenant)), tenant) for tenant in (OWN, OTHER)]
    for turn in range(20):
        pool, tenant = pools[turn % 2]
        connection = pool.getconn()
        same(len(own(query(connection, "SELECT tenant FROM item"), tenant)), ITEMS)
        pool.putconn(connection)
    for pool, _ in pools:
        pool.closeall()


@step("reconnect/ended-by-server")
def _():
    with connect() as connection:
        query(connection, "SET LOCAL idle_in_transaction_session_timeout = 100")
        time.sleep(0.5)
        with raises(psycopg2.OperationalError):
            query(connection, "SELECT 1")
        same(connection.closed != 0, True)
    with connect() as again:
        same(len(own(query(again, "SELECT tenant FROM item"))), ITEMS)


@step("reconnect/many")
def _():
    for turn in range(12):
        tenant = FOUR[turn % 4]
        with connect(tenant) as connection:
            same(query(connection, "SELECT DISTINCT tenant FROM item"), [(tenant.name,)])


run(psycopg2.__version__.split()[0])
