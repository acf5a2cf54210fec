"""One suite of what applications do, unchanged over shared tables, schemas and databases: the answers are the same.

Where they may differ, harness/answers.py says by what. See harness/application.py for the tables; the fixtures are in
conftest.py. test_strategies_schema.py has what concerns the tables themselves, and tools.
"""

import threading
from decimal import Decimal

import psycopg
import pytest
from harness.answers import all_of, may, one, sqlstate, violated
from harness.wait import wait_for

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
    db.execute("UPDATE invoice SET note = jsonb_set(coalesce(note, '{}'), '{by}', to_jsonb(%s::text)) WHERE id < 3",
               ("\u2603'\"\\",))
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
