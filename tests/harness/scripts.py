"""
Scripts of the wire protocol, to be played to PostgreSQL itself and through Bulkhead (harness/steps.py): what every
session does. Statements by name, settings and what else a session keeps have files of their own.
"""

from harness import scripts_prepared, scripts_protocol, scripts_session, scripts_settings, scripts_startup
from harness.steps import ITEMS, ONE_ITEM, Script, run, simple, upto, z
from harness.wire import (bind, close, copy_data, copy_done, copy_fail, describe, execute, flush, function_call,
                          parse, query, sync)

INT4PL = 177  # oid of int4pl(integer, integer)

# ---- the simple protocol ----

SIMPLE = {
    "rows": simple(ITEMS),
    "several statements": simple("SELECT 1; SELECT 2; SELECT 'three'", ITEMS + ";" + ITEMS),
    "an error among several": simple("SELECT 1; SELECT 1/0; SELECT 3", "SELECT 4"),
    "an error of syntax": simple("SELEKT 1", "SELECT 1"),
    "nothing": simple("", ";", " ;; ", "-- nothing", "/* nothing */", "SELECT 1"),
    "a select without columns": simple("SELECT"),
    "one long row": simple("SELECT repeat('x', 300000)"),
    "many rows": simple("SELECT n, repeat('y', n % 50) FROM generate_series(1, 5000) n"),
    "an error behind many rows": simple("SELECT 1 / (3000 - n) FROM generate_series(1, 5000) n", "SELECT 1"),
    "a notice": simple("DO $$ BEGIN RAISE NOTICE 'noted'; RAISE WARNING 'warned' USING HINT = 'a hint'; END $$"),
    "parameters": simple(
        "SET DateStyle = 'German'", "SELECT date '2024-02-29'", "BEGIN", "SET LOCAL TimeZone = 'Asia/Tokyo'",
        "SHOW TimeZone", "ROLLBACK", "SHOW TimeZone", "RESET DateStyle", "SELECT date '2024-02-29'",
    ),
    "set_config": simple(
        "SELECT set_config('IntervalStyle', 'iso_8601', false)", "SELECT interval '1 day'", "RESET IntervalStyle",
    ),
    "a long error": simple("DO $$ BEGIN RAISE EXCEPTION '%', repeat('e', 100000); END $$", "SELECT 1"),
    "pipelined queries": [z(query("SELECT 1"), query("SELECT 1/0"), query("SELECT 3"), n=3)],
    "function call": [z(function_call(INT4PL, ("40", "2"))), z(function_call(1, ())), z(query("SELECT 1"))],
    "write and read": simple(
        "INSERT INTO orders (id, item) VALUES (100, 'acme 100')", "UPDATE orders SET item = 'acme x' WHERE id = 100",
        "SELECT item FROM orders WHERE id = 100", "DELETE FROM orders WHERE id = 100 RETURNING item",
    ),
}

# ---- transactions ----

TRANSACTIONS = {
    "committed": simple("BEGIN", ITEMS, "COMMIT"),
    "rolled back": simple("BEGIN", "DELETE FROM orders", "ROLLBACK", ITEMS),
    "failed": simple("BEGIN", "SELECT 1/0", "SELECT 1", "BEGIN", "COMMIT", "SELECT 1"),
    "empty": simple("BEGIN", "COMMIT", "BEGIN", "ROLLBACK", "BEGIN", "END", "BEGIN", "ABORT", "SELECT 1"),
    "without a begin": simple("COMMIT", "ROLLBACK", "SELECT 1"),
    "begun twice": simple("BEGIN", "BEGIN", "START TRANSACTION READ ONLY", "SHOW transaction_read_only", "COMMIT"),
    "begun and nothing": simple("BEGIN", "", "-- nothing", "COMMIT"),
    "begun and an error of syntax": simple("BEGIN", "SELEKT 1", "ROLLBACK"),
    "in one query": simple(
        "BEGIN; SELECT 1; COMMIT", "BEGIN; SELECT 2", "SELECT 3", "COMMIT", "COMMIT; BEGIN; SELECT 4", "ROLLBACK",
        "SELECT 5; BEGIN", "ROLLBACK",
    ),
    "chained": simple(
        "BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY", "SELECT 1", "COMMIT AND CHAIN", "SHOW transaction_isolation",
        "ROLLBACK AND CHAIN", "SHOW transaction_read_only", "COMMIT",
    ),
    "chained at once": simple("BEGIN READ ONLY", "COMMIT AND CHAIN", "SHOW transaction_read_only", "COMMIT"),
    "savepoints": simple("BEGIN", "SAVEPOINT s", "SELECT 1/0", "ROLLBACK TO s", "SELECT 1", "RELEASE s", "COMMIT"),
    "a savepoint outside": simple("SAVEPOINT s", "SELECT 1"),
    "modes inside": simple(
        "BEGIN", "SET TRANSACTION READ ONLY", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "SHOW transaction_isolation", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "ROLLBACK",
    ),
    "many modes": simple(
        "BEGIN", *["SET TRANSACTION READ ONLY", "SET TRANSACTION READ WRITE"] * 4, "SHOW transaction_read_only",
        "COMMIT",
    ),
    "modes outside": simple("SET TRANSACTION READ ONLY", "SHOW transaction_read_only"),
    "modes of the session": simple(
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "BEGIN", "SHOW transaction_read_only", "COMMIT",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
    ),
    "a snapshot that is none": simple(
        "BEGIN ISOLATION LEVEL REPEATABLE READ", "SET TRANSACTION SNAPSHOT '00000003-0000001B-1'", "ROLLBACK",
    ),
    "read only": simple("BEGIN READ ONLY", "DELETE FROM orders", "ROLLBACK"),
    "one after another": simple(*["BEGIN", ITEMS, "COMMIT"] * 4),
    "pipelined": [
        z(query("BEGIN"), query(ITEMS), query("COMMIT"), n=3),
        z(query("BEGIN"), query("COMMIT"), query("SELECT 1"), n=3),
    ],
    "a begin and a function call": [z(query("BEGIN")), z(function_call(INT4PL, ("1", "2"))), z(query("COMMIT"))],
    "a begin and a sync": [z(query("BEGIN")), z(sync()), z(flush(), sync()), z(query("COMMIT"))],
}

SPELLINGS = [
    "BEGIN", "begin;", "  Begin\t;\n", "BEGIN WORK", "BEGIN TRANSACTION", "START TRANSACTION", "start  transaction ;",
    "BEGIN ISOLATION LEVEL SERIALIZABLE", "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    "BEGIN ISOLATION LEVEL read  committed", "BEGIN ISOLATION LEVEL READ UNCOMMITTED",
    "BEGIN READ ONLY DEFERRABLE ISOLATION LEVEL SERIALIZABLE", "START TRANSACTION NOT DEFERRABLE, READ WRITE",
    "BEGIN WORK READ ONLY", "BEGIN READ ONLY, READ WRITE", "/* c */ BEGIN", "BEGIN -- c", "BEGIN;;",
    "BEGIN; SELECT 1", "BEGIN; BEGIN", "BEGIN ISOLATION LEVEL BOGUS", "BEGIN READ ONLY,", "BEGIN, READ ONLY",
    "BEGIN WORK TRANSACTION", "BEGIN ISOLATION LEVEL READ", "BEGINX", "BEGIN1", "\"BEGIN\"", "START", "START WORK",
    "BEGIN\v", "BEGIN NOT", "BEGIN READ\u00a0ONLY", "SET TRANSACTION",
]

SHOWN = [z(query(f"SHOW transaction_{what}")) for what in ("isolation", "read_only", "deferrable")]

for _text in SPELLINGS:
    TRANSACTIONS[f"spelt {_text!r}"] = [z(query(_text)), *SHOWN, z(query("ROLLBACK"))]
    TRANSACTIONS[f"parsed {_text!r}"] = [z(run(_text), sync()), *SHOWN, z(run("ROLLBACK"), sync())]

# ---- the extended protocol ----

EXTENDED = {
    "rows": [z(run(ITEMS), sync())],
    "a parameter": [z(run(ONE_ITEM, ("2",)), sync()), z(run(ONE_ITEM, (None,)), sync())],
    "binary": [
        z(
            parse(ONE_ITEM, types=(20,)), bind((b"\0\0\0\0\0\0\0\2",), formats=(1,), result_formats=(1,)), execute(),
            sync(),
        ),
    ],
    "statement described": [z(parse(ONE_ITEM), describe(), sync()), z(run("DELETE FROM orders WHERE false"), sync())],
    "nothing": [z(run(""), sync()), z(run("-- nothing"), sync()), z(run(" ;"), sync()), z(run("SELECT 1"), sync())],
    "two statements in one": [z(run("SELECT 1; SELECT 2"), sync()), z(run("SELECT 1"), sync())],
    "syncs and flushes": [z(sync()), z(sync(), sync(), sync(), n=3), z(flush(), flush(), sync())],
    "a batch": [z(run("SELECT 1"), run(ITEMS), run("SELECT 2"), sync())],
    "several batches": [z(*[run(f"SELECT {n}") + sync() for n in range(5)], n=5)],
    "an error between batches": [
        z(run("SELECT 1"), sync(), run("SELECT 1/0"), run("SELECT 2"), sync(), run("SELECT 3"), sync(), n=3),
    ],
    "an error between many batches": [
        z(*[run(f"SELECT 1 / (5 - {n})") + sync() for n in range(12)], n=12), z(query("SELECT 1")),
    ],
    "an error in parse": [z(run("SELEKT"), run("SELECT 1"), sync()), z(run("SELECT 2"), sync())],
    "an error in bind": [
        z(parse(ONE_ITEM), bind(("x",)), execute(), sync()), z(parse(ONE_ITEM), bind(), execute(), sync()),
    ],
    "an error in describe": [
        z(parse("SELECT 1"), bind(), describe("none", "P"), execute(), sync()), z(describe("none"), sync()),
    ],
    "an error in execute": [z(run("SELECT 1/0"), sync()), z(execute("none"), sync()), z(query("SELECT 1"))],
    "an error behind rows": [
        z(run("SELECT 1 / (3000 - n) FROM generate_series(1, 5000) n"), run("SELECT 1"), sync()), z(sync()),
    ],
    "a query behind an error": [z(run("SELECT 1/0"), query("SELECT 1"), sync()), z(query("SELECT 2"))],
    "statements by name": [
        z(parse(ONE_ITEM, "a"), describe("a"), sync()), z(bind(("1",), "a"), execute(), sync()),
        z(bind(("3",), "a"), execute(), bind(("2",), "a"), execute(), sync()), z(close("a"), sync()),
        z(bind(("1",), "a"), execute(), sync()),
    ],
    "a name twice": [
        z(parse("SELECT 1", "a"), sync()), z(parse("SELECT 2", "a"), sync()), z(bind((), "a"), execute(), sync()),
    ],
    "a name from SQL": [
        *simple("PREPARE q(int) AS SELECT $1 + 1", "EXECUTE q(41)"), z(bind(("1",), "q"), execute(), sync()),
        *simple("DEALLOCATE q", "EXECUTE q(41)"),
    ],
    "closing what is not there": [z(close("none"), close("none", "P"), sync())],
    "a batch that is a transaction": [z(run("BEGIN"), run(ITEMS), run("COMMIT"), sync())],
    "a batch that leaves a transaction": [
        z(run("SELECT 1"), run("BEGIN"), run("SELECT 2"), sync()), z(run("COMMIT"), sync()),
    ],
    "a row limit": [
        z(query("BEGIN")), z(parse(ITEMS), bind(portal="p"), execute("p", 2), execute("p", 2), sync()),
        z(query("COMMIT")),
    ],
    "a portal over several syncs": [
        z(query("BEGIN")), z(parse(ITEMS), bind(portal="p"), sync()), z(execute("p", 1), sync()),
        z(execute("p", 1), sync()), z(query("SELECT 'between'")), z(execute("p"), sync()), z(execute("p"), sync()),
        z(close("p", "P"), sync()), z(query("COMMIT")),
    ],
    "two portals": [
        z(query("BEGIN")),
        z(
            parse(ITEMS), bind(portal="p"), bind(portal="q"), execute("p", 1), execute("q", 2), execute("p", 1),
            sync(),
        ),
        z(query("ROLLBACK")),
    ],
    "a portal that ended with its batch": [
        z(parse(ITEMS), bind(portal="p"), execute("p", 1), sync()), z(execute("p"), sync()),
    ],
    "the unnamed portal, bit by bit": [
        upto("s", parse(ITEMS), bind(), execute(max_rows=1), flush()), upto("s", execute(max_rows=1), flush()),
        upto("C", execute(), flush()), z(sync()),
    ],
    "flush without sync": [
        upto("1", parse(ONE_ITEM), flush()), upto("T", describe(), flush()), upto("2", bind(("2",)), flush()),
        upto("T", describe(kind="P"), flush()), upto("C", execute(), flush()), upto("3", close(), flush()), z(sync()),
    ],
    "an error before the sync is sent": [
        upto("E", run("SELECT 1/0")), z(run("SELECT 1"), sync()), z(query("SELECT 2")),
    ],
    "an error behind a flush": [
        upto("1", parse("SELECT 1/0"), flush()), upto("E", bind(), execute(), flush()), z(execute(), bind(), sync()),
    ],
    "a cursor of SQL": simple(
        "BEGIN", f"DECLARE c CURSOR FOR {ITEMS}",
    ) + [z(describe("c", "P"), execute("c", 2), sync())] + simple("FETCH ALL FROM c", "CLOSE c", "COMMIT"),
    "a cursor that is held": simple(
        f"DECLARE c CURSOR WITH HOLD FOR {ITEMS}", "FETCH 1 FROM c", "SELECT 'between'", "FETCH ALL FROM c",
        "CLOSE c",
    ),
    "the unnamed statement over syncs": [
        z(parse(ONE_ITEM), describe(), sync()), z(bind(("2",)), execute(), sync()),
        z(bind(("3",)), describe(kind="P"), execute(), sync()),
    ],
    "the unnamed statement in a transaction": [
        z(query("BEGIN")), z(parse(ONE_ITEM), describe(), sync()), z(bind(("2",)), execute(), sync()),
        z(query("COMMIT")), z(bind(("2",)), execute(), sync()),
    ],
    "the unnamed statement behind a query": [
        z(parse(ONE_ITEM), sync()), z(query("SELECT 1")), z(bind(("2",)), execute(), sync()),
    ],
    "no statement yet": [
        z(bind(), execute(), sync()), z(describe(), sync()), z(describe(kind="P"), sync()), z(query("SELECT 1")),
    ],
}

# ---- BEGIN in the extended protocol ----

BEGUN = {
    "as psycopg": [z(run("BEGIN"), sync()), z(run(ITEMS), sync()), z(run("COMMIT"), sync())],
    "as pgjdbc": [
        z(parse("BEGIN", "S_1"), bind(statement="S_1"), execute(), run(ITEMS), sync()), z(run("COMMIT"), sync()),
        z(bind(statement="S_1"), execute(), run("SELECT 2"), sync()), z(run("ROLLBACK"), sync()),
        z(close("S_1"), sync()), z(bind(statement="S_1"), execute(), sync()),
    ],
    "described by name": [
        z(parse("BEGIN", "b"), describe("b"), sync()), z(bind(statement="b"), describe(kind="P"), execute(), sync()),
        z(query("COMMIT")),
    ],
    "inside, by name": [
        z(parse("BEGIN", "b"), sync()), z(query("BEGIN")), z(query("SELECT 1")),
        z(bind(statement="b"), execute(), sync()), z(query("COMMIT")),
    ],
    "inside one that failed, by name": [
        z(parse("BEGIN", "b"), sync()), z(query("BEGIN")), z(query("SELECT 1/0")),
        z(bind(statement="b"), execute(), sync()), z(query("ROLLBACK")),
    ],
    "inside one that failed, described": [
        z(parse("BEGIN", "b"), sync()), z(query("BEGIN")), z(query("SELECT 1/0")), z(describe("b"), sync()),
        z(query("ROLLBACK")),
    ],
    "a batch behind a held one": [z(query("BEGIN")), z(run("BEGIN"), sync()), z(run("COMMIT"), sync())],
    "flushed": [upto("C", parse("BEGIN"), bind(), execute(), flush()), z(sync()), z(query("COMMIT"))],
    "parsed only": [z(parse("BEGIN"), sync()), z(query("SELECT 1")), z(bind(), execute(), sync())],
    "parsed, and bound later": [z(parse("BEGIN"), sync()), z(bind(), execute(), sync()), z(query("COMMIT"))],
    "bound only": [z(parse("BEGIN"), bind(), sync()), z(query("SELECT 1"))],
    "by a portal of a name": [z(parse("BEGIN"), bind(portal="p"), execute("p"), sync()), z(query("COMMIT"))],
    "executed twice": [z(parse("BEGIN"), bind(), execute(), execute(), sync()), z(query("ROLLBACK"))],
    "with a row limit": [z(parse("BEGIN"), bind(), execute(max_rows=1), sync()), z(query("COMMIT"))],
    "with a parameter": [
        z(parse("BEGIN", types=(23,)), bind(("1",)), execute(), sync()), z(query("ROLLBACK")),
        z(parse("BEGIN"), bind(("1",)), execute(), sync()), z(query("ROLLBACK")),
    ],
    "with result formats": [z(parse("BEGIN"), bind(result_formats=(1, 0)), execute(), sync()), z(query("ROLLBACK"))],
    "its portal closed": [
        z(parse("BEGIN"), bind(), close(kind="P"), sync()),
        z(parse("BEGIN"), bind(), execute(), close(kind="P"), sync()), z(query("COMMIT")),
    ],
    "a name twice": [z(parse("BEGIN", "b"), sync()), z(parse("BEGIN", "b"), sync())],
    "a name for something else": [
        z(parse("BEGIN", "b"), sync()), z(parse("SELECT 1", "b"), sync()), z(bind(statement="b"), execute(), sync()),
    ],
    "many names": [
        z(*[parse("BEGIN", f"b{n}") for n in range(20)], sync()),
        *[z(bind(statement=f"b{n}"), execute(), run("COMMIT"), sync()) for n in range(20)],
    ],
    "names that SQL forgets": [
        z(parse("BEGIN", "b"), sync()), z(query("DEALLOCATE ALL")), z(bind(statement="b"), execute(), sync()),
    ],
    "a query without a sync": [z(parse("BEGIN"), bind(), execute(), query("SELECT 1")), z(query("COMMIT"))],
    "a begin without a sync": [z(parse("BEGIN"), query("BEGIN")), z(query("COMMIT"))],
    "a transaction of batches": [z(run("BEGIN"), sync(), run(ITEMS), sync(), run("COMMIT"), sync(), n=3)],
    "failed, in one batch": [z(run("BEGIN"), run("SELECT 1/0"), run("SELECT 1"), sync()), z(run("ROLLBACK"), sync())],
}

# ---- COPY ----

BINARY = b"PGCOPY\n\xff\r\n\0" + b"\0" * 8
BINARY_ROW = b"\0\2" + b"\0\0\0\4\0\0\0\7" + b"\0\0\0\3abc"
BINARY_END = b"\xff\xff"
COPY_IN = "COPY inbox FROM STDIN"
EMPTY = simple("SELECT id, body FROM inbox ORDER BY id", "DELETE FROM inbox")


def lines(first, count):
    return copy_data("".join(f"{n}\tline {n}\n" for n in range(first, first + count)))


def copied(sql, *chunks, end=copy_done()):
    """COPY FROM STDIN by a Query, as libpq does it."""
    return [upto("G", query(sql)), z(*map(copy_data, chunks), end)]


COPY = {
    "out": simple(
        f"COPY ({ITEMS}) TO STDOUT", f"COPY ({ITEMS}) TO STDOUT (FORMAT csv, HEADER)",
        f"COPY ({ITEMS}) TO STDOUT (FORMAT binary)", "COPY inbox TO STDOUT",
    ),
    "out, extended": [
        z(run(f"COPY ({ITEMS}) TO STDOUT"), sync()),
        z(parse(f"COPY ({ITEMS}) TO STDOUT"), bind(), execute(), run("SELECT 1"), sync()),
    ],
    "out, much": simple("COPY (SELECT n, repeat('z', 100) FROM generate_series(1, 10000) n) TO STDOUT"),
    "out, failing": simple("COPY (SELECT 1 / (3000 - n) FROM generate_series(1, 5000) n) TO STDOUT", "SELECT 1"),
    "out and more": simple(f"COPY ({ITEMS}) TO STDOUT; SELECT 1; COPY ({ITEMS}) TO STDOUT"),
    "in": copied(COPY_IN, "1\tone\n2\t", "two\n3\t\\N\n") + EMPTY,
    "in, csv": copied(COPY_IN + " (FORMAT csv, HEADER)", "id,body\n1,\"a,b\"\n") + EMPTY,
    "in, binary": copied(COPY_IN + " (FORMAT binary)", BINARY + BINARY_ROW, BINARY_ROW + BINARY_END) + EMPTY,
    "in, nothing": copied(COPY_IN) + EMPTY,
    "in, much": [
        upto("G", query(COPY_IN)), z(*[lines(100 * n, 100) for n in range(100)], copy_done()),
    ] + simple("SELECT count(*), sum(id) FROM inbox", "DELETE FROM inbox"),
    "in, in a transaction": simple("BEGIN") + copied(COPY_IN, "1\tone\n") + simple("SELECT * FROM inbox", "ROLLBACK"),
    "in, twice in one query": [
        upto("G", query(COPY_IN + ";" + COPY_IN)), upto("G", lines(1, 2), copy_done()), z(lines(3, 2), copy_done()),
    ] + EMPTY,
    "in, glued": [
        z(query(COPY_IN), lines(1, 3), copy_done()),
        z(query(COPY_IN), lines(4, 3), copy_done(), query("SELECT 1"), n=2),
    ] + EMPTY,
    "in, given up": copied(COPY_IN, "1\tone\n", end=copy_fail("changed my mind")) + EMPTY,
    "in, given up in a transaction": [
        *simple("BEGIN"), *copied(COPY_IN, end=copy_fail("no")), *simple("SELECT 1", "ROLLBACK"),
    ],
    "in, a wrong line": copied(COPY_IN, "1\tone\nx\ttwo\n3\tthree\n") + EMPTY,
    "in, a wrong line and much behind it": [
        upto("G", query(COPY_IN)),
        z(lines(1, 5), copy_data("wrong\n"), *[lines(100 * n, 100) for n in range(1, 300)], copy_done()),
        *simple("SELECT 1"),
    ] + EMPTY,
    "in, where row security forbids it": simple("COPY orders (id, item) FROM STDIN", "SELECT 1"),
    "in, extended, where row security forbids it": [
        z(run("COPY orders (id, item) FROM STDIN"), sync()), z(lines(1, 2), copy_done(), sync()),
    ] + EMPTY,
    "in, extended": [z(run(COPY_IN), lines(1, 2), copy_done(), sync())] + EMPTY,
    "in, extended, as libpq": [upto("G", run(COPY_IN), sync()), z(lines(1, 2), copy_done(), sync())] + EMPTY,
    "in, extended, flushed": [
        upto("G", run(COPY_IN), flush()), upto("C", lines(1, 2), copy_done(), flush()), z(sync()),
    ] + EMPTY,
    "in, extended, glued": [z(run(COPY_IN), sync(), lines(1, 2), copy_done(), sync())] + EMPTY,
    "in, extended, given up": [upto("G", run(COPY_IN), sync()), z(lines(1, 2), copy_fail("no"), sync())] + EMPTY,
    "in, extended, a wrong line": [
        upto("G", run(COPY_IN), sync()), z(lines(1, 2), copy_data("wrong\n"), lines(3, 500), copy_done(), sync()),
        *simple("SELECT 1"),
    ] + EMPTY,
    "in, extended, and more": [z(run(COPY_IN), lines(1, 2), copy_done(), run("SELECT 1"), sync())] + EMPTY,
    "in, with a query in the middle": Script([
        upto("G", query(COPY_IN)), z(lines(1, 2), query("SELECT 1")), *simple("SELECT 2"),
    ], ends=True),
    "in, with flushes and syncs in the middle": [
        upto("G", query(COPY_IN)), z(lines(1, 2), flush(), sync(), lines(3, 2), copy_done()),
    ] + EMPTY,
    "in, with a parse in the middle": Script([
        upto("G", run(COPY_IN), sync()), z(lines(1, 2), parse("SELECT 1"), sync()), *simple("SELECT 2"),
    ], ends=True),
    "strays": [
        z(copy_data("stray"), copy_done(), copy_fail("stray"), query("SELECT 1")), z(copy_data("x" * 100000), sync()),
    ],
}

FAMILIES = {
    "simple": SIMPLE, "transaction": TRANSACTIONS, "extended": EXTENDED, "begin": BEGUN, "copy": COPY,
    **scripts_prepared.FAMILIES, **scripts_settings.FAMILIES, **scripts_session.FAMILIES,
    **scripts_protocol.FAMILIES, **scripts_startup.FAMILIES,
}


def as_script(steps):
    return steps if isinstance(steps, Script) else Script(steps)


SCRIPTS = {f"{family}: {name}": as_script(steps) for family, scripts in FAMILIES.items()
           for name, steps in scripts.items()}
