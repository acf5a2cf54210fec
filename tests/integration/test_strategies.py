"""One suite of what applications do, unchanged over shared tables, schemas and databases: the answers are the same.

Where they may differ, MAY says by which permission or rule. See harness/application.py for the tables.
"""

import os
import subprocess
import threading
from decimal import Decimal

import psycopg
import pytest
from harness.application import KINDS, LOOK, NAMES, Applications
from harness.postgres import PG_BIN
from harness.wait import wait_for

OWN = ("schema", "database")

# What is refused, and with which reason of Bulkhead's or SQLSTATE of PostgreSQL's, for all kinds but these.
MAY = {
    "copy into a table": (OWN, "0A000"),  # that has row security
    "ddl": (OWN, "BH-STMT-DDL"),
    "truncate": (OWN, "BH-STMT-DDL"),
    "setval": (OWN, "BH-STMT-SHARED"),
    "lock table": (OWN, "BH-STMT-SHARED"),
    "advisory locks": (OWN, "BH-STMT-SHARED"),
    "do": (OWN, "BH-STMT-DYNAMIC"),
    "explain analyze": (OWN, "BH-STMT-EXPLAIN"),
    "listen": (("database",), "BH-STMT-LISTEN"),
}


@pytest.fixture(scope="module")
def applications(template):
    applications = Applications(template)
    try:
        yield applications.start()
    finally:
        applications.remove()


@pytest.fixture(scope="module")
def aliens(applications):
    before = {kind: applications[kind].aliens() for kind in KINDS}
    yield before
    assert {kind: applications[kind].aliens() for kind in KINDS} == before


@pytest.fixture(params=KINDS)
def app(request, applications, aliens):
    app = applications[request.param]
    app.begin()
    return app


@pytest.fixture
def db(app):
    with app.connect() as connection:
        yield connection


@pytest.fixture
def other(app):
    """Another client of the same tenant."""
    with app.connect() as connection:
        yield connection


def may(app, what, connection, statement):
    """True where it is permitted; elsewhere this asserts that the statement is refused."""
    kinds, reason = MAY[what]
    if app.kind in kinds:
        return True
    with pytest.raises(psycopg.Error) as refused:
        connection.execute(statement)
    assert refused.value.sqlstate == ("0A000" if reason in ("BH-STMT-LISTEN", "0A000") else "42501")
    assert refused.value.sqlstate == reason or f"reason={reason} " in refused.value.diag.message_detail
    return False


def all_of(connection, statement, parameters=None, **more):
    return connection.execute(statement, parameters, **more).fetchall()


def one(connection, statement, parameters=None, **more):
    row, = all_of(connection, statement, parameters, **more)
    return row[0] if len(row) == 1 else row


def sqlstate(connection, statement, parameters=None):
    with pytest.raises(psycopg.Error) as failed:
        connection.execute(statement, parameters)
    return failed.value.sqlstate


def violated(connection, statement):
    """SQLSTATE and constraint of a statement that fails."""
    with pytest.raises(psycopg.Error) as failed:
        connection.execute(statement)
    return failed.value.sqlstate, failed.value.diag.constraint_name


# ---- rows ----

def test_rows_come_and_go(db):
    made = one(db, "INSERT INTO customer (email, credit) VALUES ('new@example.com', 3) RETURNING id, name, credit, changes")
    assert made[0] >= 1000 and made[1:] == ("nobody", 3, 0)
    many = all_of(db, "INSERT INTO invoice (customer, total) SELECT %s, n FROM generate_series(1, 3) n "
                      "RETURNING total, state, tags", (made[0],))
    assert many == [(Decimal(n), "open", []) for n in (1, 2, 3)]
    assert all_of(db, "UPDATE invoice SET total = total * 2, state = 'void' WHERE customer = %s AND total > 1 "
                      "RETURNING total", (made[0],)) == [(4,), (6,)]
    assert db.execute("UPDATE invoice SET state = 'paid' WHERE customer = 77").rowcount == 0
    assert one(db, "SELECT count(*), sum(total), bool_and(state <> 'paid') FROM invoice WHERE customer = %s",
               (made[0],)) == (3, 11, True)
    assert sorted(all_of(db, "DELETE FROM invoice USING customer c WHERE invoice.customer = c.id AND c.email LIKE 'new@%' "
                             "RETURNING invoice.total, c.email")) == [(n, "new@example.com") for n in (1, 4, 6)]
    assert db.execute("DELETE FROM customer WHERE id = %s", (made[0],)).rowcount == 1
    assert one(db, "SELECT count(*) FROM customer") == 3


def test_only_ones_own_rows_are_there(db):
    assert all_of(db, "SELECT * FROM (SELECT id, email, credit FROM customer) c ORDER BY id") == [
        (1, "ada@example.com", 100), (2, "bob@example.com", 50), (3, "eve@example.com", 0)]
    assert one(db, "SELECT sum(total), max(total), count(*) FROM invoice") == (Decimal("105.50"), 70, 3)
    assert one(db, "SELECT reltuples IS NOT NULL FROM pg_class WHERE oid = 'customer'::regclass")


def test_joins_and_groups(db):
    assert all_of(db, "SELECT c.name, count(i.id), coalesce(sum(i.total), 0) FROM customer c LEFT JOIN invoice i "
                      "ON i.customer = c.id GROUP BY c.name ORDER BY 1") == [
        ("Ada", 2, 100), ("Bob", 1, Decimal("5.50")), ("Eve", 0, 0)]
    assert all_of(db, "SELECT c.name, l.what FROM customer c JOIN invoice i ON i.customer = c.id JOIN line l "
                      "ON l.invoice = i.id WHERE l.amount > 5.5 ORDER BY l.amount") == [
        ("Ada", "pens"), ("Ada", "ink"), ("Ada", "desk")]
    assert all_of(db, "SELECT c.name, last.total FROM customer c CROSS JOIN LATERAL (SELECT i.total FROM invoice i "
                      "WHERE i.customer = c.id ORDER BY i.total DESC LIMIT 1) last ORDER BY 1") == [
        ("Ada", 70), ("Bob", Decimal("5.50"))]
    assert all_of(db, "SELECT customer, state::text, count(*) FILTER (WHERE total > 6) FROM invoice "
                      "GROUP BY GROUPING SETS ((customer), (state), ()) ORDER BY 1 NULLS LAST, 2 NULLS LAST") == [
        (1, None, 2), (2, None, 0), (None, "open", 1), (None, "paid", 1), (None, None, 2)]
    assert all_of(db, "SELECT id FROM customer EXCEPT SELECT customer FROM invoice") == [(3,)]
    assert one(db, "SELECT array_agg(name ORDER BY id) FROM customer c WHERE NOT EXISTS "
                   "(SELECT FROM invoice i WHERE i.customer = c.id AND 'b' = ANY (i.tags))") == ["Bob", "Eve"]


def test_common_table_expressions(db):
    assert all_of(db, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) "
                      "SELECT i, c.name FROM n JOIN customer c ON c.id = n.i ORDER BY 1") == [
        (1, "Ada"), (2, "Bob"), (3, "Eve")]
    moved = all_of(db, "WITH gone AS (DELETE FROM line WHERE invoice = 1 RETURNING place, what, amount), "
                       "there AS (INSERT INTO line (invoice, place, what, amount) SELECT 2, place + 10, what, amount FROM gone "
                       "RETURNING place, what) SELECT place, what, (SELECT sum(amount) FROM gone) FROM there ORDER BY 1")
    assert moved == [(11, "pens", 30), (12, "ink", 30)]
    assert one(db, "SELECT count(*) FROM line WHERE invoice = 2") == 3


def test_window_functions(db):
    assert all_of(db, "SELECT id, rank() OVER w, sum(total) OVER (w ROWS UNBOUNDED PRECEDING), lag(id) OVER w FROM invoice "
                      "WINDOW w AS (ORDER BY total) ORDER BY total") == [
        (3, 1, Decimal("5.50"), None), (1, 2, Decimal("35.50"), 3), (2, 3, Decimal("105.50"), 1)]
    assert all_of(db, "SELECT DISTINCT customer, first_value(id) OVER (PARTITION BY customer ORDER BY total DESC) "
                      "FROM invoice ORDER BY 1") == [(1, 2), (2, 3)]


def test_upserts(db):
    upsert = ("INSERT INTO customer (email, credit) VALUES ('ada@example.com', 5), ('fay@example.com', 6) "
              "ON CONFLICT ON CONSTRAINT customer_email_key DO UPDATE SET credit = customer.credit + excluded.credit "
              "RETURNING email, credit, changes")
    assert all_of(db, upsert) == [("ada@example.com", 105, 1), ("fay@example.com", 6, 0)]
    assert all_of(db, upsert) == [("ada@example.com", 110, 2), ("fay@example.com", 12, 1)]
    assert db.execute("INSERT INTO customer (email) VALUES ('bob@example.com') ON CONFLICT DO NOTHING").rowcount == 0
    assert db.execute("MERGE INTO customer c USING (VALUES ('eve@example.com', 9), ('gus@example.com', 8)) v (email, credit) "
                      "ON c.email = v.email WHEN MATCHED THEN UPDATE SET credit = v.credit "
                      "WHEN NOT MATCHED THEN INSERT (email, credit) VALUES (v.email, v.credit)").rowcount == 2
    assert all_of(db, "SELECT email, credit FROM customer WHERE email ~ '^(eve|gus)' ORDER BY 1") == [
        ("eve@example.com", 9), ("gus@example.com", 8)]


def test_constraints(db):
    assert violated(db, "INSERT INTO invoice (customer, total) VALUES (77, 1)") == ("23503", "invoice_customer_fkey")
    assert violated(db, "DELETE FROM customer WHERE id = 1") == ("23503", "invoice_customer_fkey")
    assert violated(db, "UPDATE invoice SET customer = 9 WHERE id = 1") == ("23503", "invoice_customer_fkey"), "the neighbour's"
    assert violated(db, "INSERT INTO customer (email) VALUES ('bob@example.com')") == ("23505", "customer_email_key")
    assert violated(db, "INSERT INTO customer (id, email) VALUES (1, 'x')") == ("23505", "customer_pkey")
    assert violated(db, "UPDATE customer SET credit = -1 WHERE id = 1") == ("23514", "customer_credit")
    assert violated(db, "INSERT INTO customer (email) VALUES (NULL)") == ("23502", None)
    assert sqlstate(db, "INSERT INTO invoice (customer, total, state) VALUES (1, 1, 'lost')") == "22P02"
    assert sqlstate(db, "INSERT INTO invoice (customer, total) VALUES (1, 1e12)") == "22003"
    assert db.execute("INSERT INTO customer (id, email) VALUES (9, 'alien9@example.com')").rowcount == 1
    assert db.execute("DELETE FROM invoice WHERE id = 1").rowcount == 1
    assert one(db, "SELECT count(*) FROM line WHERE invoice = 1") == 0, "it cascades"


def test_constraints_that_wait_for_the_end(db):
    with db.transaction():
        db.execute("SET CONSTRAINTS invoice_customer_fkey DEFERRED")
        db.execute("INSERT INTO invoice (customer, total) VALUES (50, 1)")
        db.execute("INSERT INTO customer (id, email) VALUES (50, 'late@example.com')")
    with pytest.raises(psycopg.errors.ForeignKeyViolation), db.transaction():
        db.execute("SET CONSTRAINTS ALL DEFERRED")
        db.execute("INSERT INTO invoice (customer, total) VALUES (51, 1)")
    assert one(db, "SELECT count(*) FROM invoice WHERE customer IN (50, 51)") == 1


def test_views_functions_triggers_procedures(db):
    assert all_of(db, "SELECT * FROM open_invoice ORDER BY id") == [(2, 1, 70), (3, 2, Decimal("5.50"))]
    assert all_of(db, "SELECT id, total_of(id) FROM customer ORDER BY 1") == [(1, 100), (2, Decimal("5.50")), (3, 0)]
    db.execute("CALL pay(2)")
    assert all_of(db, "SELECT id FROM open_invoice") == [(3,)]
    assert one(db, "UPDATE customer SET name = 'Bo' WHERE id = 2 RETURNING changes") == 1


def test_values_of_many_types(db):
    data = bytes(range(256)) * 40
    db.execute("INSERT INTO picture (id, data) VALUES (1, %b), (2, %s)", (data, data[:3]))
    assert all_of(db, "SELECT data FROM picture ORDER BY id", binary=True) == [(data,), (data[:3],)]
    db.execute("UPDATE invoice SET note = jsonb_set(coalesce(note, '{}'), '{by}', to_jsonb(%s::text)) WHERE id < 3", ("\u2603'\"\\",))
    assert all_of(db, "SELECT note ->> 'by', tags FROM invoice ORDER BY id") == [
        ("\u2603'\"\\", ["a", "b"]), ("\u2603'\"\\", ["b"]), ("mail", [])]
    assert one(db, "SELECT array_agg(state ORDER BY state)::text, enum_range(NULL::state)::text FROM invoice") == (
        "{open,open,paid}", "{open,paid,void}")


# ---- transactions ----

def test_savepoints(db):
    with db.transaction():
        db.execute("UPDATE customer SET credit = 1")
        with pytest.raises(psycopg.errors.CheckViolation), db.transaction():
            db.execute("DELETE FROM line")
            db.execute("UPDATE customer SET credit = -1")
        db.execute("SAVEPOINT a")
        db.execute("UPDATE customer SET credit = 2 WHERE id = 1")
        db.execute("SAVEPOINT b")
        db.execute("DELETE FROM invoice")
        db.execute("ROLLBACK TO b")
        db.execute("RELEASE a")
    assert all_of(db, "SELECT credit FROM customer ORDER BY id") == [(2,), (1,), (1,)]
    assert one(db, "SELECT count(*) FROM line") == 4


def test_a_failed_transaction_is_refused_until_its_end(db):
    db.execute("BEGIN")
    db.execute("DELETE FROM line")
    assert sqlstate(db, "SELECT 1 / 0") == "22012"
    assert sqlstate(db, "SELECT 1") == "25P02"
    assert db.execute("COMMIT").statusmessage == "ROLLBACK"
    assert one(db, "SELECT count(*) FROM line") == 4


@pytest.mark.parametrize("level, seen", [("READ COMMITTED", 1), ("REPEATABLE READ", 100), ("SERIALIZABLE", 100)])
def test_isolation_levels(db, other, level, seen):
    db.execute(f"BEGIN ISOLATION LEVEL {level}")
    assert one(db, "SELECT credit, current_setting('transaction_isolation') FROM customer WHERE id = 1") == (100, level.lower())
    other.execute("UPDATE customer SET credit = 1 WHERE id = 1")
    assert one(db, "SELECT credit FROM customer WHERE id = 1") == seen
    db.execute("COMMIT")
    assert one(db, "SELECT credit FROM customer WHERE id = 1") == 1


def test_read_only_transactions(db):
    db.execute("BEGIN READ ONLY")
    assert one(db, "SELECT count(*) FROM customer") == 3
    assert sqlstate(db, "DELETE FROM customer") == "25006"
    db.execute("ROLLBACK")
    db.execute("SET default_transaction_read_only = on")
    assert sqlstate(db, "UPDATE customer SET credit = 1") == "25006"
    db.execute("RESET default_transaction_read_only")
    assert db.execute("UPDATE customer SET credit = 1").rowcount == 3


def test_two_clients_that_change_one_row(db, other):
    for client in (db, other):
        client.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        client.execute("SELECT count(*) FROM customer")
    db.execute("UPDATE customer SET credit = credit + 1 WHERE id = 1")
    db.execute("COMMIT")
    assert sqlstate(other, "UPDATE customer SET credit = credit + 1 WHERE id = 1") == "40001"
    other.execute("ROLLBACK")
    assert one(other, "SELECT credit FROM customer WHERE id = 1") == 101


def test_two_serializable_clients_with_a_write_skew(db, other):
    for client in (db, other):
        client.execute("BEGIN ISOLATION LEVEL SERIALIZABLE")
        assert one(client, "SELECT sum(credit) FROM customer") == 150
    db.execute("UPDATE customer SET credit = 0 WHERE id = 1")
    other.execute("UPDATE customer SET credit = 0 WHERE id = 2")
    db.execute("COMMIT")
    assert sqlstate(other, "COMMIT") == "40001"
    assert one(db, "SELECT sum(credit) FROM customer") == 50


def test_rows_that_are_locked(db, other):
    db.execute("BEGIN")
    db.execute("SELECT FROM customer WHERE id = 1 FOR UPDATE")
    assert sqlstate(other, "SELECT FROM customer WHERE id = 1 FOR UPDATE NOWAIT") == "55P03"
    assert all_of(other, "SELECT id FROM customer ORDER BY id FOR UPDATE SKIP LOCKED") == [(2,), (3,)]
    db.execute("ROLLBACK")
    assert all_of(other, "SELECT id FROM customer WHERE id = 1 FOR UPDATE NOWAIT") == [(1,)]


def test_a_deadlock_ends_one_of_two(db, other):
    with pytest.raises(psycopg.errors.DeadlockDetected):
        for client, row in ((db, 1), (other, 2)):
            client.execute("BEGIN")
            client.execute("SET LOCAL statement_timeout = '10s'")
            client.execute("UPDATE customer SET credit = 0 WHERE id = %s", (row,))
        failures = []

        def cross():
            try:
                other.execute("UPDATE customer SET credit = 0 WHERE id = 1")
            except psycopg.Error as error:
                failures.append(error)

        thread = threading.Thread(target=cross)
        thread.start()
        try:
            db.execute("UPDATE customer SET credit = 0 WHERE id = 2")
        except psycopg.Error as error:
            failures.append(error)
        db.execute("ROLLBACK")
        thread.join(15)
        other.execute("ROLLBACK")
        failed, = failures
        raise failed


# ---- sequences ----

def test_sequences(app, db):
    with db.transaction():
        first = one(db, "SELECT nextval('receipt')")
        assert one(db, "SELECT currval('receipt'), lastval()") == (first, first)
        made = one(db, "INSERT INTO customer (email) VALUES ('seq@example.com') RETURNING id")
        assert one(db, "SELECT lastval(), currval('receipt')") == (made, first)
        assert one(db, "SELECT currval(pg_get_serial_sequence('customer', 'id'))") == made
        assert one(db, "SELECT nextval('receipt')") > first
    assert first >= 5000 and made >= 1000


def test_sequences_outside_of_transactions(db):
    """The session's values stay with the client, whichever backend it has."""
    first = one(db, "SELECT nextval('receipt')")
    assert one(db, "SELECT currval('receipt'), lastval()") == (first, first)
    db.execute("INSERT INTO customer (email) VALUES ('seq@example.com')")
    assert one(db, "SELECT lastval() = (SELECT id FROM customer WHERE email LIKE 'seq%%'), currval('receipt')") == (True, first)


def test_setting_a_sequence(app, db):
    if may(app, "setval", db, "SELECT setval('receipt', 9000)"):
        assert one(db, "SELECT setval('receipt', 9000)") == 9000
        assert one(db, "SELECT nextval('receipt')") == 9001
    assert one(db, "INSERT INTO customer (id, email) OVERRIDING USER VALUE VALUES (5, 'u@example.com') RETURNING id") >= 1000


# ---- COPY ----

@pytest.mark.parametrize("options", ["", "(FORMAT csv, HEADER)", "(FORMAT binary)"])
def test_copies_out_and_back_in(app, db, options):
    def out(what):
        with db.cursor() as cursor, cursor.copy(f"COPY {what} TO STDOUT {options}") as copy:
            return b"".join(map(bytes, copy))

    columns = "customer (id, email, name, credit)"
    query = "(SELECT id, email, name, credit FROM customer ORDER BY id)"
    before = all_of(db, query[1:-1])
    data = out(query)
    assert (b"alien" not in data.lower()) and b"ada@example.com" in data
    db.execute("DELETE FROM line; DELETE FROM invoice; DELETE FROM customer")
    if not may(app, "copy into a table", db, f"COPY {columns} FROM STDIN {options}"):  # then by way of a table of one's own
        db.execute("CREATE TEMP TABLE loaded AS SELECT id, email, name, credit FROM customer")
        columns = "loaded"
    with db.cursor() as cursor:
        with cursor.copy(f"COPY {columns} FROM STDIN {options}") as copy:
            for at in range(0, len(data), 7):
                copy.write(data[at:at + 7])
        assert cursor.rowcount == 3
    if columns == "loaded":
        db.execute("INSERT INTO customer (id, email, name, credit) TABLE loaded")
    assert all_of(db, query[1:-1]) == before


def test_a_copy_that_fails_leaves_nothing(app, db):
    if not may(app, "copy into a table", db, "COPY customer (id, email) FROM STDIN"):
        return
    for rows, state in (("50\tx@example.com\n50\ty@example.com\n", "23505"), ("1\n", "22P04"), ("z\tz\n", "22P02")):
        with pytest.raises(psycopg.Error) as failed, db.cursor() as cursor, \
                cursor.copy("COPY customer (id, email) FROM STDIN") as copy:
            copy.write(rows)
        assert failed.value.sqlstate == state
    assert one(db, "SELECT count(*) FROM customer") == 3


# ---- statements and cursors ----

def test_prepared_by_the_driver(db, other):
    for n in range(12):
        for client in (db, other):
            assert one(client, "SELECT email FROM customer WHERE id = %s", (1 + n % 3,), prepare=True).endswith("@example.com")
    assert one(db, "SELECT count(*) FROM customer WHERE email = %s", ("alien1@example.com",), prepare=True) == 0
    with db.transaction():
        db.execute("INSERT INTO customer (id, email) VALUES (%s, %s)", (60, "p@example.com"), prepare=True)
        assert db.execute("UPDATE customer SET credit = %s WHERE id = %s", (1, 60), prepare=True).rowcount == 1


def test_prepared_by_a_statement(db, other):
    db.execute("PREPARE one (bigint) AS SELECT name FROM customer WHERE id = $1")
    other.execute("PREPARE one (bigint) AS SELECT email FROM customer WHERE id = $1")
    assert [one(db, "EXECUTE one (2)"), one(other, "EXECUTE one (2)")] == ["Bob", "bob@example.com"]
    assert one(db, "SELECT count(*) FROM pg_prepared_statements WHERE name = 'one'") == 1
    db.execute("DEALLOCATE one")
    assert sqlstate(db, "EXECUTE one (2)") == "26000"
    assert one(other, "EXECUTE one (1)") == "ada@example.com"


def test_pipelines(db):
    with db.pipeline():
        cursors = [db.execute("SELECT name FROM customer WHERE id = %s", (n,)) for n in (1, 2, 3)]
        db.execute("INSERT INTO customer (id, email) VALUES (70, 'pipe@example.com')")
        last = db.execute("SELECT count(*) FROM customer")
    assert [cursor.fetchone()[0] for cursor in cursors] == ["Ada", "Bob", "Eve"] and last.fetchone() == (4,)
    with pytest.raises(psycopg.errors.UniqueViolation), db.pipeline(), db.transaction():
        db.execute("DELETE FROM line")
        db.execute("INSERT INTO customer (id, email) VALUES (1, 'again@example.com')")
    assert one(db, "SELECT count(*) FROM line") == 4


def test_many_statements_at_once(db):
    cursor = db.execute("DELETE FROM line; UPDATE customer SET credit = 4; SELECT sum(credit) FROM customer")
    assert cursor.rowcount == 4 and cursor.nextset() and cursor.nextset() and cursor.fetchone() == (12,)
    assert sqlstate(db, "DELETE FROM invoice; SELECT 1 / 0") == "22012"
    assert one(db, "SELECT count(*) FROM invoice") == 3, "they were one transaction"


def test_cursors(db, other):
    with db.transaction(), db.cursor("scrolled", scrollable=True) as cursor:
        cursor.execute("SELECT id FROM customer ORDER BY id")
        assert cursor.fetchmany(2) == [(1,), (2,)]
        cursor.scroll(-1)
        assert cursor.fetchall() == [(2,), (3,)]
    with db.transaction():
        db.execute("DECLARE changed CURSOR FOR SELECT id FROM customer WHERE id > 1 ORDER BY id FOR UPDATE")
        assert one(db, "FETCH changed") == 2
        db.execute("UPDATE customer SET name = 'Bobby' WHERE CURRENT OF changed")
    assert one(db, "SELECT name FROM customer WHERE id = 2") == "Bobby"
    with db.transaction():
        db.execute("DECLARE held CURSOR WITH HOLD FOR SELECT name FROM customer ORDER BY id")
    other.execute("UPDATE customer SET name = 'changed'")
    assert all_of(db, "FETCH 2 FROM held") == [("Ada",), ("Bobby",)]
    assert one(db, "SELECT name FROM pg_cursors") == "held"
    assert all_of(db, "FETCH ALL FROM held") == [("Eve",)]
    db.execute("CLOSE held")
    assert sqlstate(db, "FETCH held") == "34000"


def test_large_results(db):
    total, largest = 0, 0
    for n, text in db.cursor().stream("SELECT n, repeat('x', n % 500) FROM generate_series(1, 50000) n"):
        total, largest = total + n, max(largest, len(text))
    assert (total, largest) == (1250025000, 499)
    assert one(db, "SELECT count(*) FROM customer") == 3


def test_temporary_tables(app, db, other):
    db.execute("CREATE TEMP TABLE draft (id bigint PRIMARY KEY, note text)")
    db.execute("INSERT INTO draft SELECT id, name FROM customer")
    db.execute("CREATE INDEX ON draft (note)")
    assert all_of(db, "SELECT d.note FROM draft d JOIN customer c USING (id) ORDER BY 1") == [("Ada",), ("Bob",), ("Eve",)]
    assert sqlstate(other, "SELECT * FROM draft") == "42P01"
    with db.transaction():
        db.execute("CREATE TEMP TABLE brief ON COMMIT DROP AS SELECT 1 AS x")
        assert one(db, "TABLE brief") == 1
    assert sqlstate(db, "TABLE brief") == "42P01"
    db.execute("DROP TABLE draft")
    assert sqlstate(db, "SELECT * FROM draft") == "42P01"


def test_settings_of_a_session(db, other):
    db.execute("SET TIME ZONE 'Asia/Tokyo'; SET DateStyle = 'German'; SET app.who = 'me'")
    assert one(db, "SELECT current_setting('TimeZone'), '2026-02-01'::date::text, current_setting('app.who')") == (
        "Asia/Tokyo", "01.02.2026", "me")
    assert one(other, "SELECT current_setting('app.who', true)") in (None, "")
    with db.transaction():
        db.execute("SELECT set_config('app.who', 'local', true)")
        assert one(db, "SELECT current_setting('app.who')") == "local"
    assert one(db, "SHOW app.who") == "me"
    db.execute("SET statement_timeout = '200ms'")
    assert sqlstate(db, "SELECT count(*) FROM generate_series(1, 1000000000)") == "57014"
    db.execute("RESET ALL")
    assert one(db, "SHOW statement_timeout") == "0"
    assert one(db, "SELECT count(*) FROM customer") == 3
    db.execute("DISCARD ALL")
    assert one(db, "SELECT count(*) FROM customer") == 3


# ---- by permission ----

def test_advisory_locks(app, db, other):
    if not may(app, "advisory locks", db, "SELECT pg_advisory_lock(1)"):
        return
    assert one(db, "SELECT pg_try_advisory_lock(42)") and not one(other, "SELECT pg_try_advisory_lock(42)")
    assert one(db, "SELECT pg_advisory_unlock(42)") and one(other, "SELECT pg_try_advisory_lock(42)")
    assert one(other, "SELECT pg_advisory_unlock(42)")
    with db.transaction():
        assert one(db, "SELECT pg_try_advisory_xact_lock(1, 2)") and not one(other, "SELECT pg_try_advisory_xact_lock(1, 2)")
    assert one(other, "SELECT pg_try_advisory_xact_lock(1, 2)")


def test_notifications(app, db, other):
    if not may(app, "listen", db, "LISTEN news"):
        return
    db.execute("LISTEN news")
    other.execute("NOTIFY news, 'first'")
    other.execute("SELECT pg_notify('news', 'second')")
    heard = []
    db.add_notify_handler(lambda notification: heard.append(notification.payload))
    wait_for(lambda: db.execute("SELECT 1") and len(heard) == 2, "both to be heard")
    db.execute("UNLISTEN *")
    other.execute("NOTIFY news, 'third'")
    db.execute("SELECT 1")
    assert heard == ["first", "second"]


def test_locking_a_table(app, db, other):
    with db.transaction():
        db.execute("LOCK TABLE customer IN ROW EXCLUSIVE MODE")
    if may(app, "lock table", db, "LOCK TABLE customer"):
        with db.transaction():
            db.execute("LOCK TABLE customer")
            assert sqlstate(other, "LOCK TABLE customer IN ROW SHARE MODE NOWAIT") == "25P01"
            other.execute("SET lock_timeout = '100ms'")
            assert sqlstate(other, "SELECT count(*) FROM customer") == "55P03"


def test_what_is_done_in_a_string(app, db):
    if may(app, "do", db, "DO $$ BEGIN END $$"):
        db.execute("DO $$ BEGIN FOR i IN 1..3 LOOP EXECUTE format('UPDATE customer SET credit = %s WHERE id = %s', i, i); "
                   "END LOOP; END $$")
        assert one(db, "SELECT sum(credit) FROM customer") == 6


def test_explain(app, db):
    assert "customer" in one(db, "EXPLAIN (COSTS off, FORMAT json) SELECT FROM customer")[0]["Plan"]["Relation Name"]
    if may(app, "explain analyze", db, "EXPLAIN ANALYZE SELECT FROM customer"):
        assert one(db, "EXPLAIN (ANALYZE, FORMAT json) SELECT FROM customer")[0]["Plan"]["Actual Rows"] == 3


def test_truncate(app, db):
    if may(app, "truncate", db, "TRUNCATE line"):
        db.execute("TRUNCATE line, picture")
        assert one(db, "SELECT count(*) FROM line") == 0
        assert sqlstate(db, "TRUNCATE customer") == "0A000"


MIGRATION = """
CREATE TABLE {s}note (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer bigint REFERENCES {s}customer ON DELETE SET NULL,
                      body text NOT NULL, at timestamptz DEFAULT now());
CREATE INDEX note_body ON {s}note (lower(body));
ALTER TABLE {s}note ADD COLUMN stars int DEFAULT 3 CHECK (stars BETWEEN 1 AND 5);
ALTER TABLE {s}customer ADD COLUMN phone text;
CREATE UNIQUE INDEX note_once ON {s}note (customer) WHERE stars = 5;
CREATE VIEW {s}good AS SELECT * FROM {s}note WHERE stars > 3;
CREATE MATERIALIZED VIEW {s}sums AS SELECT customer, sum(total) FROM {s}invoice GROUP BY 1;
CREATE FUNCTION {s}shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.body := upper(new.body); RETURN new; END $$;
CREATE TRIGGER shout BEFORE INSERT ON {s}note FOR EACH ROW EXECUTE FUNCTION {s}shout();
CREATE TYPE {s}mood AS ENUM ('ok');
ALTER TYPE {s}mood ADD VALUE 'fine';
CREATE DOMAIN {s}positive AS int CHECK (value > 0);
CREATE SEQUENCE {s}counter;
CREATE TABLE {s}measured (at date, x int) PARTITION BY RANGE (at);
CREATE TABLE {s}measured_2026 PARTITION OF {s}measured FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
COMMENT ON TABLE {s}note IS 'said';
"""
BACK = """
DROP TABLE {s}measured;
DROP MATERIALIZED VIEW {s}sums;
DROP VIEW {s}good;
DROP TABLE {s}note;
DROP FUNCTION {s}shout();
DROP TYPE {s}mood;
DROP DOMAIN {s}positive;
DROP SEQUENCE {s}counter;
ALTER TABLE {s}customer DROP COLUMN phone;
"""


@pytest.mark.parametrize("qualified", [False, True], ids=["bare", "qualified"])
def test_migrations(app, db, qualified):
    schema = f'"{one(db, "SELECT current_schema()")}".' if qualified else ""
    forth, back = ([statement for statement in text.format(s=schema).split(";\n") if statement.strip()] for text in (MIGRATION, BACK))
    for statement in forth:
        if may(app, "ddl", db, statement):
            db.execute(statement)
    if not app.is_shared:
        assert one(db, "INSERT INTO note (customer, body, stars) VALUES (1, 'quiet', 5) RETURNING body") == "QUIET"
        assert violated(db, "INSERT INTO note (customer, body, stars) VALUES (1, 'again', 5)") == ("23505", "note_once")
        assert violated(db, "INSERT INTO note (customer, body) VALUES (77, 'x')") == ("23503", "note_customer_fkey")
        assert one(db, "SELECT count(*) FROM good") == 1 and one(db, "SELECT 'fine'::mood") == "fine"
        assert all_of(db, "SELECT * FROM sums ORDER BY 1") == [(1, 100), (2, Decimal("5.50"))]
        db.execute("INSERT INTO measured VALUES ('2026-05-05', 1)")
        assert one(db, "SELECT tableoid::regclass::text FROM measured") == "measured_2026"
        assert sqlstate(db, "SELECT 'x'::mood") == "22P02" and sqlstate(db, "SELECT (-1)::positive") == "23514"
    for statement in back:
        if may(app, "ddl", db, statement):
            db.execute(statement)
    assert one(db, "SELECT to_regclass('note') IS NULL")


def test_a_migration_in_one_transaction(app, db, other):
    if app.is_shared:
        return
    with pytest.raises(psycopg.errors.DivisionByZero), db.transaction():
        db.execute("CREATE TABLE half (x int)")
        db.execute("ALTER TABLE customer ADD COLUMN half int")
        db.execute("SELECT 1 / 0")
    with db.transaction():
        db.execute("CREATE TABLE whole (x int)")
        db.execute("INSERT INTO whole VALUES (1)")
        assert sqlstate(other, "TABLE whole") == "42P01"
    assert one(other, "TABLE whole") == 1
    db.execute("DROP TABLE whole")
    assert one(db, "SELECT to_regclass('half') IS NULL AND to_regclass('whole') IS NULL")


# ---- tools ----

def tool(app, *command, tenant=None, stdin=None):
    done = subprocess.run([PG_BIN / command[0], *command[1:], "-d", app.proxy.conninfo(tenant or app.tenant)], input=stdin, text=True,
                          capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def psql(app, command):
    """The cells of what psql prints."""
    return [line.split("|") for line in tool(app, "psql", "-XAtc", command).splitlines()]


def test_psql_describes(app, db):
    schema = one(db, "SELECT current_schema()")
    for command, kind in (("\\dt", "table"), ("\\dv", "view"), ("\\ds", "sequence")):
        found = {cells[1] for cells in psql(app, command) if cells[0] == schema and cells[2] == kind} - {"orders", "tickets"}
        assert found == {"table": set(NAMES), "view": {"open_invoice"},
                         "sequence": {"customer_id_seq", "invoice_id_seq", "receipt"}}[kind]
    described = " ".join(tool(app, "psql", "-Xc", "\\d customer").split())
    for line in ("credit | numeric(12,2)", "customer_email_key", "customer_credit", "count_change BEFORE UPDATE",
                 'TABLE "invoice" CONSTRAINT "invoice_customer_fkey"'):
        assert line in described
    assert ("bulkhead_tenant" in described) == app.is_shared
    assert [cells[1] for cells in psql(app, "\\di invoice*")] == ["invoice_customer", "invoice_pkey"]
    assert {"total_of", "count_change", "pay"} <= {cells[1] for cells in psql(app, "\\df")}
    assert ["state"] in [cells[1:2] for cells in psql(app, "\\dT")]
    for command in ("\\d", "\\d+ invoice", "\\dn", "\\l", "\\du", "\\dp customer", "\\dd", "\\dx", "\\conninfo", "\\sf total_of",
                    "\\sv open_invoice", "\\dconfig work_mem", "\\ddp", "\\dD", "\\do", "\\dF"):
        tool(app, "psql", "-Xc", command)


def test_the_information_schema(db):
    assert all_of(db, "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = current_schema() "
                      "AND table_name <> ALL ('{orders,tickets}') ORDER BY 1") == sorted(
        [(name, "BASE TABLE") for name in NAMES] + [("open_invoice", "VIEW")])
    assert all_of(db, "SELECT column_name, data_type, is_nullable, is_identity FROM information_schema.columns "
                      "WHERE table_schema = current_schema() AND table_name = 'invoice' AND column_name <> 'tenant_id' "
                      "ORDER BY ordinal_position") == [
        ("id", "bigint", "NO", "YES"), ("customer", "bigint", "NO", "NO"), ("total", "numeric", "NO", "NO"),
        ("state", "USER-DEFINED", "NO", "NO"), ("tags", "ARRAY", "NO", "NO"), ("note", "jsonb", "YES", "NO"),
        ("made", "date", "YES", "NO")]


# What Django's introspection asks.
DJANGO_TABLES = """
SELECT c.relname, CASE WHEN c.relispartition THEN 'p' WHEN c.relkind IN ('m', 'v') THEN 'v' ELSE 't' END,
       obj_description(c.oid, 'pg_class')
FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('f', 'm', 'p', 'r', 'v') AND n.nspname NOT IN ('pg_catalog', 'pg_toast')
  AND pg_catalog.pg_table_is_visible(c.oid) AND c.relname <> ALL ('{orders,tickets}') ORDER BY 1"""
DJANGO_RELATIONS = """
SELECT a1.attname, c2.relname, a2.attname FROM pg_constraint con
LEFT JOIN pg_class c1 ON con.conrelid = c1.oid LEFT JOIN pg_class c2 ON con.confrelid = c2.oid
LEFT JOIN pg_attribute a1 ON c1.oid = a1.attrelid AND a1.attnum = con.conkey[cardinality(con.conkey)]
LEFT JOIN pg_attribute a2 ON c2.oid = a2.attrelid AND a2.attnum = con.confkey[cardinality(con.confkey)]
WHERE c1.relname = %s AND con.contype = 'f' AND c1.relnamespace = c2.relnamespace AND pg_catalog.pg_table_is_visible(c1.oid)"""
DJANGO_SEQUENCES = """
SELECT s.relname, a.attname FROM pg_class s JOIN pg_depend d ON d.objid = s.oid AND d.classid = 'pg_class'::regclass
AND d.refclassid = 'pg_class'::regclass JOIN pg_attribute a ON d.refobjid = a.attrelid AND d.refobjsubid = a.attnum
JOIN pg_class tbl ON tbl.oid = d.refobjid AND tbl.relname = %s AND pg_catalog.pg_table_is_visible(tbl.oid) WHERE s.relkind = 'S'"""
DJANGO_CONSTRAINTS = """
SELECT c.conname, c.contype FROM pg_constraint AS c JOIN pg_class AS cl ON c.conrelid = cl.oid
WHERE cl.relname = %s AND pg_catalog.pg_table_is_visible(cl.oid) AND c.contype <> 'n' ORDER BY 1"""


def test_an_orm_looks_around(db):
    assert all_of(db, DJANGO_TABLES) == sorted(
        [(name, "t", "who buys" if name == "customer" else None) for name in NAMES] + [("open_invoice", "v", None)])
    assert all_of(db, DJANGO_RELATIONS, ("invoice",)) == [("customer", "customer", "id")]
    assert all_of(db, DJANGO_SEQUENCES, ("customer",)) == [("customer_id_seq", "id")]
    assert all_of(db, DJANGO_CONSTRAINTS, ("customer",)) == [
        ("customer_credit", "c"), ("customer_email_key", "u"), ("customer_pkey", "p")]


def without(text, *beginnings):
    return "\n".join(line for line in text.splitlines() if not line.startswith(beginnings))


def dumped(app, *options, tenant=None):
    """But for the word of pg_dump's that is another each time."""
    return without(tool(app, "pg_dump", *options, tenant=tenant), "\\restrict", "\\unrestrict")


@pytest.mark.parametrize("kind", OWN)
def test_dumped_and_restored_into_another(applications, aliens, kind):
    """What the tenant's own pg_dump wrote, another's psql reads: a schema's under its new name."""
    app = applications[kind]
    app.begin()
    source, target = app.login(app.tenant), app.login(app.spare)
    only = ["-n", source] if kind == "schema" else []
    with app.connect() as connection:
        connection.execute("SELECT nextval('receipt')")
    dump = dumped(app, *only)
    assert "alien" not in dump and "ada@example.com" in dump
    text = without(dump.replace(source, target), "CREATE SCHEMA", "ALTER SCHEMA")
    tool(app, "psql", "-Xq", "-v", "ON_ERROR_STOP=1", tenant=app.spare, stdin=text)
    with app.connect() as connection, app.connect(app.spare) as restored:
        for look in (LOOK, DJANGO_TABLES, "SELECT id, total_of(id) FROM customer ORDER BY 1", "SELECT last_value FROM receipt"):
            assert all_of(restored, look) == all_of(connection, look)
    again = dumped(app, *[word.replace(source, target) for word in only], tenant=app.spare)
    assert again.replace(target, source) == dump
