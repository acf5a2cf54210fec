"""Scripts with prepared statements that have names: of the protocol, of SQL, and of both."""

from harness.steps import ADD_ONE, ITEMS, ONE_ITEM, bound, by_admin, extended, prepared, run, simple, upto, used, z
from harness.wire import bind, close, describe, execute, flush, parse, query, sync

INT8, INT4, TEXT, UNKNOWN = 20, 23, 25, 705
BOTH = "SELECT $1::int + 1, $2::text || '!'"
RESET_OF_ASYNCPG = "SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;"
RESET_OF_NPGSQL = ("SET SESSION AUTHORIZATION DEFAULT;RESET ALL;CLOSE ALL;UNLISTEN *;SELECT pg_advisory_unlock_all();"
                   "DISCARD SEQUENCES;DISCARD TEMP")
NAMES = ("SELECT name, statement, parameter_types, from_sql FROM pg_prepared_statements ORDER BY name")


def closed(name):
    return z(close(name), sync())


# ---- how long a name is known ----

LIVING = {
    "over syncs": [prepared(ONE_ITEM, "a"), used("a", "1"), used("a", "2"), *simple("SELECT 1"), used("a", "3")],
    "over transactions": [
        prepared(ONE_ITEM, "a"), *simple("BEGIN"), used("a", "1"), *simple("COMMIT", "BEGIN"), used("a", "2"),
        *simple("ROLLBACK"), used("a", "3"),
    ],
    "prepared in one that is rolled back": [
        *simple("BEGIN"), prepared(ADD_ONE, "a"), *simple("ROLLBACK"), used("a", "1"),
    ],
    "prepared in one that fails": [
        *simple("BEGIN"), prepared(ADD_ONE, "a"), *simple("SELECT 1/0"), used("a", "1"), *simple("ROLLBACK"),
        used("a", "1"),
    ],
    "prepared in one that has failed": [
        *simple("BEGIN", "SELECT 1/0"), prepared(ADD_ONE, "a"), prepared("ROLLBACK", "r"), used("r"), used("a", "1"),
        used("r"),
    ],
    "closed in one that has failed": [
        prepared(ADD_ONE, "a"), *simple("BEGIN", "SELECT 1/0"), closed("a"), *simple("ROLLBACK"), used("a", "1"),
    ],
    "closed in one that is rolled back": [
        prepared(ADD_ONE, "a"), *simple("BEGIN"), closed("a"), *simple("ROLLBACK"), used("a", "1"),
    ],
    "described in one that has failed": [
        prepared(ADD_ONE, "a"), prepared("SET LOCAL work_mem = 64", "s"), *simple("BEGIN", "SELECT 1/0"),
        z(describe("a"), sync()), z(describe("s"), sync()), *simple("ROLLBACK"), z(describe("a"), sync()),
    ],
    "in a held transaction": [
        prepared(ADD_ONE, "a"), *simple("BEGIN"), z(describe("a"), sync()), used("a", "41"), *simple("COMMIT"),
        *simple("BEGIN"), closed("a"), used("a", "1"), *simple("COMMIT"),
    ],
    "in savepoints": [
        *simple("BEGIN", "SAVEPOINT s"), prepared(ADD_ONE, "a"), *simple("ROLLBACK TO s"), used("a", "1"),
        *simple("COMMIT"), used("a", "2"),
    ],
    "many": [
        *[prepared(f"SELECT {n}, $1::int", f"s{n}") for n in range(40)], *[used(f"s{n}", n) for n in range(40)],
        *[closed(f"s{n}") for n in range(0, 40, 2)], *[used(f"s{n}", n) for n in range(38, 42)],
    ],
    "one text under several names": [
        prepared(ADD_ONE, "a"), prepared(ADD_ONE, "b"), used("a", "1"), closed("a"), used("b", "2"), used("a", "1"),
    ],
    "one text with several types": [
        prepared("SELECT $1", "a", (INT4,)), prepared("SELECT $1", "b", (TEXT,)), prepared("SELECT $1", "c"),
        *[z(describe(name), sync()) for name in "abc"], *[used(name, "7") for name in "abc"],
    ],
    "that are transactions": [
        prepared("BEGIN", "b"), prepared("COMMIT", "c"), prepared(ITEMS, "i"), used("b"), used("i"), used("c"),
        z(bound("b"), bound("i"), bound("c"), sync()), used("c"), used("b"), used("b"), used("c"),
    ],
    "as asyncpg": [
        upto("T", parse(ONE_ITEM, "__asyncpg_stmt_1__"), describe("__asyncpg_stmt_1__"), flush()),
        z(bind((b"\0\0\0\0\0\0\0\2",), "__asyncpg_stmt_1__", "", (1,), (1,)), execute(max_rows=1), sync()),
        z(bind((b"\0\0\0\0\0\0\0\3",), "__asyncpg_stmt_1__", "", (1,), (1,)), execute(), sync()),
        *simple(RESET_OF_ASYNCPG),
        z(bind((b"\0\0\0\0\0\0\0\1",), "__asyncpg_stmt_1__", "", (1,), (1,)), execute(), sync()),
        z(close("__asyncpg_stmt_1__"), sync()),
    ],
    "as postgres.js": [
        upto("T", parse(ONE_ITEM, "x1"), describe("x1"), flush()), z(bind(("2",), "x1"), execute(), sync()),
        z(
            parse(ADD_ONE, "x2"), describe("x2"), bind(("41",), "x2"), execute(), sync(), bind(("1",), "x1"), execute(),
            sync(), bind(("1",), "x2"), execute(), sync(), n=3,
        ),
    ],
    "as tokio-postgres": [
        z(parse(ONE_ITEM, "s0"), describe("s0"), sync()), z(bind(("1",), "s0"), execute(), sync()),
        z(
            bind(("2",), "s0"), execute(), sync(), close("s0"), sync(), parse(ADD_ONE, "s1"), describe("s1"), sync(),
            n=3,
        ),
        used("s1", "1"), used("s0", "1"),
    ],
    "as pgx": [
        prepared(ONE_ITEM, "lrupsc_1_0"), z(describe("lrupsc_1_0"), sync()),
        z(bound("lrupsc_1_0", "1"), bound("lrupsc_1_0", "2"), bound("lrupsc_1_0", "3"), sync()),
    ],
    "as PDO": [
        prepared(ONE_ITEM, "pdo_stmt_00000001"), used("pdo_stmt_00000001", "1"),
        *simple("DEALLOCATE pdo_stmt_00000001"), used("pdo_stmt_00000001", "1"), prepared(ADD_ONE, "pdo_stmt_00000001"),
        used("pdo_stmt_00000001", "1"),
    ],
    "as ActiveRecord": [
        prepared(ONE_ITEM, "a1"), used("a1", "1"), *simple("DEALLOCATE a1", "DISCARD ALL"), prepared(ADD_ONE, "a1"),
        used("a1", "1"),
    ],
    "as psycopg": [
        *extended("BEGIN"), prepared(ONE_ITEM, "_pg3_0"), used("_pg3_0", "1"), *extended("DEALLOCATE ALL", "COMMIT"),
        used("_pg3_0", "2"), prepared(ONE_ITEM, "_pg3_0"), used("_pg3_0", "2"),
    ],
}

# ---- duplicates, unknown names, errors ----

WRONG = {
    "a duplicate": [prepared(ADD_ONE, "a"), prepared("SELECT 2", "a"), prepared(ADD_ONE, "a"), used("a", "1")],
    "a duplicate in a transaction": [
        prepared(ADD_ONE, "a"), *simple("BEGIN"), prepared("SELECT 2", "a"), *simple("SELECT 1", "ROLLBACK"),
        used("a", "1"),
    ],
    "a duplicate in one batch": [z(parse(ADD_ONE, "a"), parse("SELECT 2", "a"), sync()), used("a", "1")],
    "a duplicate behind its use": [
        z(parse(ADD_ONE, "a"), bound("a", "1"), parse("SELECT 2", "a"), bound("a"), sync()), used("a", "2"),
    ],
    "a duplicate in the next batch": [
        z(parse(ADD_ONE, "a"), sync(), parse("SELECT 2", "a"), sync(), bound("a", "1"), sync(), n=3), used("a", "2"),
    ],
    "a duplicate that is wrong": [prepared(ADD_ONE, "a"), prepared("SELEKT", "a"), used("a", "1")],
    "unknown": [
        used("none", "1"), z(describe("none"), sync()), z(bind((), "none"), execute(), sync()), closed("none"),
        *simple("SELECT 1"),
    ],
    "unknown in a transaction": [*simple("BEGIN"), used("none"), *simple("SELECT 1", "ROLLBACK", "SELECT 1")],
    "unknown in a held one": [*simple("BEGIN"), z(describe("none"), sync()), *simple("SELECT 1", "ROLLBACK")],
    "unknown among others": [
        prepared(ADD_ONE, "a"), z(bound("a", "1"), bound("none", "1"), bound("a", "2"), sync()), used("a", "3"),
    ],
    "closed twice": [prepared(ADD_ONE, "a"), closed("a"), closed("a"), used("a", "1")],
    "closed and parsed again": [
        prepared(ADD_ONE, "a"), used("a", "1"), closed("a"), prepared("SELECT 'other'", "a"), used("a"),
    ],
    "closed and parsed in one batch": [
        prepared(ADD_ONE, "a"), z(close("a"), parse("SELECT 'other'", "a"), bound("a"), sync()), used("a"),
    ],
    "parsed, closed and parsed in one batch": [
        z(parse(ADD_ONE, "a"), bound("a", "1"), close("a"), parse("SELECT 'other'", "a"), bound("a"), sync()),
        used("a"),
    ],
    "parsed and closed in one batch": [z(parse(ADD_ONE, "a"), close("a"), sync()), used("a", "1")],
    "closed while a portal of it is open": [
        prepared(ITEMS, "a"), *simple("BEGIN"), z(bind((), "a", "p"), execute("p", 1), sync()), closed("a"),
        z(execute("p"), sync()), *simple("COMMIT"), used("a"),
    ],
    "an error in parse": [prepared("SELEKT", "a"), used("a"), prepared(ADD_ONE, "a"), used("a", "1")],
    "an error of analysis": [prepared("SELECT nope", "a"), z(describe("a"), sync()), prepared(ADD_ONE, "a")],
    "an error in parse, and a bind behind it": [
        z(parse("SELEKT", "a"), bound("a"), sync()), used("a"), z(parse("SELECT 3", "a"), bound("a"), sync()),
        used("a"),
    ],
    "an error in parse of two in flight": [
        z(parse("SELEKT", "a"), bound("a"), sync(), parse("SELECT 3", "a"), bound("a"), sync(), n=2), used("a"),
    ],
    "two statements in one": [prepared("SELECT 1; SELECT 2", "a"), used("a"), prepared(ADD_ONE, "a"), used("a", "1")],
    "a batch that fails before a parse": [
        z(run("SELECT 1/0"), parse("SELECT 2", "a"), sync()), used("a"), prepared(ADD_ONE, "a"), used("a", "1"),
    ],
    "a batch that fails at a parse": [
        z(parse(ADD_ONE, "a"), parse("SELEKT", "b"), parse("SELECT 3", "c"), sync()), used("a", "1"), used("b"),
        used("c"), prepared("SELECT 2", "b"), prepared("SELECT 4", "c"), used("b"), used("c"),
    ],
    "a batch that fails behind a parse": [
        z(parse(ADD_ONE, "a"), run("SELECT 1/0"), sync()), used("a", "1"), prepared(ADD_ONE, "a"),
    ],
    "a batch that fails before a close": [
        prepared(ADD_ONE, "a"), z(run("SELECT 1/0"), close("a"), sync()), used("a", "1"),
    ],
    "a batch that fails behind a close": [
        prepared(ADD_ONE, "a"), z(close("a"), run("SELECT 1/0"), sync()), used("a", "1"),
    ],
    "a batch that fails behind close and parse": [
        prepared(ADD_ONE, "a"), z(close("a"), parse("SELECT 'other'", "a"), run("SELECT 1/0"), close("a"), sync()),
        used("a"),
    ],
    "a batch that fails at bind": [
        z(parse(ADD_ONE, "a"), bound("a", "x"), parse("SELECT 2", "b"), sync()), used("a", "1"), used("b"),
    ],
    "two in flight, an error in the first": [
        z(run("SELECT 1/0"), parse("SELECT 1", "a"), sync(), parse("SELECT 2", "a"), bound("a"), sync(), n=2),
        used("a"),
    ],
    "two in flight, an error before a close": [
        prepared(ADD_ONE, "a"),
        z(run("SELECT 1/0"), close("a"), sync(), parse("SELECT 2", "a"), sync(), bound("a", "1"), sync(), n=3),
        used("a", "2"),
    ],
    "two in flight, an error behind a parse": [
        z(parse(ADD_ONE, "a"), run("SELECT 1/0"), sync(), bound("a", "1"), sync(), n=2), used("a", "2"),
    ],
    "many in flight, errors in some": [
        z(
            *[parse(ADD_ONE, f"s{n}") + (run("SELECT 1/0") if n % 3 else b"") + parse("SELECT 0", f"t{n}") + sync()
                for n in range(9)],
            n=9,
        ),
        *[used(f"{kind}{n}", *("1" if kind == "s" else "")) for n in range(4) for kind in "st"],
    ],
    "the first used by the second in flight": [
        z(parse(ADD_ONE, "a"), sync(), bound("a", "1"), sync(), close("a"), sync(), bound("a", "1"), sync(), n=4),
    ],
    "an error before the sync is sent": [
        upto("E", parse(ADD_ONE, "a"), run("SELECT 1/0"), parse("SELECT 2", "b")), z(close("a"), sync()),
        used("a", "1"), used("b"),
    ],
    "too few and too many values": [
        prepared(BOTH, "a"), used("a", "1"), used("a", "1", "x"), used("a", "1", "x", "y"), used("a"),
    ],
    "values that are wrong": [
        prepared(BOTH, "a"), used("a", "x", "x"), used("a", None, None), used("a", "99999999999", "x"),
        used("a", b"1\0", "x"), used("a", "1", b"\xff\xfe"), used("a", "1", "x"),
    ],
}

# ---- what is known of them ----

DESCRIBED = {
    "with types and without": [
        prepared(ONE_ITEM, "a", (INT8,)), prepared(ONE_ITEM, "b"), prepared("SELECT $1, $2", "c", (INT4,)),
        prepared("SELECT $1 + $2", "d", (0, INT4)), prepared("SELECT 1", "e", (INT4, TEXT)),
        *[z(describe(name), sync()) for name in "abcde"],
    ],
    "types that do not fit": [
        prepared(ONE_ITEM, "a", (TEXT,)), prepared("SELECT $1", "b", (999999,)), prepared("SELECT $2", "c"),
        prepared("SELECT $1", "d", (UNKNOWN,)), z(describe("d"), sync()), used("d", "x"),
        prepared("SELECT $1 || $1", "e", (INT4,)), prepared("SELECT $0", "f"), prepared("SELECT $70000", "g"),
    ],
    "statements without rows": [
        *[prepared(sql, f"s{n}") for n, sql in enumerate((
            "DELETE FROM orders WHERE id = $1 AND false", "SET LOCAL work_mem = 64", "BEGIN", "", "-- nothing",
            "DELETE FROM orders WHERE false RETURNING item", "SHOW work_mem", "COMMIT"))],
        *[z(describe(f"s{n}"), sync()) for n in range(8)], *[used(f"s{n}") for n in (3, 4, 5, 6)],
    ],
    "statement and portal": [
        z(parse(ONE_ITEM, "a"), describe("a"), bind(("1",), "a", "p"), describe("p", "P"), execute("p"), sync()),
        z(bind(("1",), "a", "", (), (1,)), describe(kind="P"), execute(), sync()),
    ],
    "formats": [
        prepared(BOTH, "a"),
        z(bind((b"\0\0\0\7", "x"), "a", "", (1, 0), (1, 0)), describe(kind="P"), execute(), sync()),
        z(bind((b"\0\0\0\7", "x"), "a", "", (1, 1), (1,)), execute(), sync()),
        z(bind(("1", "x"), "a", "", (0, 0, 0)), execute(), sync()),
        z(bind(("1", "x"), "a", "", (2,)), execute(), sync()),
        z(bind(("1", "x"), "a", "", (), (1, 1, 1)), execute(), sync()),
        z(bind((b"\0\7", "x"), "a", "", (1, 0)), sync()),
    ],
    "their list": [
        prepared(ADD_ONE, "a"), prepared("SELECT $1", "b", (INT8,)), *simple("PREPARE c(int) AS SELECT $1", NAMES),
        *simple("DEALLOCATE a", NAMES, "DEALLOCATE ALL", NAMES),
    ],
    "their list, counted": [
        prepared(ADD_ONE, "a"), prepared("SELECT 2", "b"), *simple("SELECT count(*) FROM pg_prepared_statements"),
        closed("a"), *simple("SELECT count(*) FROM pg_prepared_statements"),
    ],
    "names of all kinds": [
        step for name in ("A", "a b", 'q"uote', "ü", "$1", "x" * 63, "y" * 64, "z" * 300, ";", "'", "\\", "%s", "\n")
        for step in (prepared(ADD_ONE, name), used(name, "1"), prepared("SELECT 1", name), closed(name), used(name,
        "1"))
        ],
    "names that PostgreSQL cuts": [
        prepared(ADD_ONE, "n" * 100), used("n" * 100, "1"), used("n" * 70, "1"), prepared("SELECT 1", "n" * 80),
        *simple(f"DEALLOCATE {'n' * 90}"), used("n" * 100, "1"),
    ],
    "names in bytes that are no text": [
        prepared(ADD_ONE, b"\xff\xfe"), used(b"\xff\xfe", "1"), z(describe(b"\xff"), sync()), *simple("SELECT 1"),
    ],
}

# ---- SQL that acts on them ----


def then(*steps):
    """A statement of the protocol, something done to it, and whether it is still there, may be made, and works."""
    return [prepared(ADD_ONE, "a"), *steps, used("a", "1"), prepared("SELECT $1::int * 2", "a"), used("a", "21")]


SQL = {f"then {text}": then(*simple(text)) for text in (
    "DEALLOCATE a", "DEALLOCATE PREPARE a", "deallocate prepare \"a\";", "DEALLOCATE A", "DEALLOCATE \"A\"",
    "DEALLOCATE ALL", "DEALLOCATE PREPARE ALL", "/* c */ DEALLOCATE a -- c", "DEALLOCATE none",
    "DEALLOCATE U&\"\\0061\"",
    "DEALLOCATE a; SELECT 1", "SELECT 1; DEALLOCATE a; SELECT 1/0", "SELECT 1/0; DEALLOCATE a",
    "DEALLOCATE a; DEALLOCATE a",
    "DEALLOCATE none; DEALLOCATE a", "DEALLOCATE ALL; SELECT 1/0", "BEGIN; DEALLOCATE a; ROLLBACK", "DEALLOCATE",
    "DISCARD ALL", "DISCARD PLANS", "DISCARD TEMP", "DISCARD SEQUENCES", "RESET ALL", "SELECT 1; DISCARD ALL",
    "DISCARD ALL; SELECT 1", "DO $$ BEGIN EXECUTE 'DEALLOCATE a'; END $$",
    "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$",
    "PREPARE a AS SELECT 2", "PREPARE b AS SELECT 2", "DO $$ BEGIN EXECUTE 'PREPARE a AS SELECT 2'; END $$",
    "EXECUTE a(41)", "EXECUTE a", "EXPLAIN (COSTS OFF) EXECUTE a(41)",
    "SELECT 1; EXECUTE a(41); SELECT 2", "CREATE TEMP TABLE made AS EXECUTE a(1); DROP TABLE made",
)}

SQL |= {f"then, extended, {text}": then(*extended(text)) for text in (
    "DEALLOCATE a", "DEALLOCATE ALL", "DEALLOCATE none", "DISCARD ALL", "DISCARD PLANS", "RESET ALL", "EXECUTE a(41)",
    "PREPARE a AS SELECT 2", "PREPARE b AS SELECT 2",
)}

SQL |= {
    "then the reset of asyncpg": then(*simple(RESET_OF_ASYNCPG)),
    "then the reset of Npgsql": then(*simple(RESET_OF_NPGSQL)),
    "deallocated in a failed transaction": then(*simple("BEGIN", "SELECT 1/0", "DEALLOCATE a", "ROLLBACK")),
    "deallocated in a held one": then(*simple("BEGIN", "DEALLOCATE a", "COMMIT")),
    "all deallocated in a held one": then(*simple("BEGIN", "DEALLOCATE ALL", "ROLLBACK")),
    "unknown deallocated in a held one": then(*simple("BEGIN", "DEALLOCATE none", "SELECT 1", "ROLLBACK")),
    "deallocated in one that is rolled back": then(*simple("BEGIN", "SELECT 1", "DEALLOCATE a", "ROLLBACK")),
    "deallocated in a savepoint": then(*simple("BEGIN", "SAVEPOINT s", "DEALLOCATE a", "ROLLBACK TO s", "COMMIT")),
    "discarded in a transaction": then(*simple("BEGIN", "DISCARD ALL", "ROLLBACK")),
    "deallocated by a statement of its own": [
        prepared(ADD_ONE, "a"), prepared("DEALLOCATE a", "d"), used("d"), used("a", "1"), used("d"),
        prepared("DEALLOCATE ALL", "all"), used("all"), used("d"), used("all"),
    ],
    "discarded by a statement of its own": [prepared("DISCARD ALL", "d"), used("d"), used("d")],
    "deallocated, and used in one batch": [
        prepared(ADD_ONE, "a"), z(run("DEALLOCATE a"), bound("a", "1"), sync()), prepared(ADD_ONE, "a"),
        z(run("DEALLOCATE a"), parse("SELECT 'other'", "a"), bound("a"), sync()), used("a"),
    ],
    "deallocated, and used in flight": [
        prepared(ADD_ONE, "a"), z(run("DEALLOCATE a"), sync(), bound("a", "1"), sync(), n=2),
        z(query("PREPARE a AS SELECT 5"), bound("a"), sync(), query("DEALLOCATE a"), bound("a"), sync(), n=4),
    ],
    "parsed in flight behind DEALLOCATE": [
        prepared(ADD_ONE, "a"), z(query("DEALLOCATE a"), parse("SELECT 2", "a"), bound("a"), sync(), n=2), used("a"),
        z(query("DEALLOCATE ALL"), parse("SELECT 3", "a"), bound("a"), sync(), n=2), used("a"),
    ],
    "parsed in flight behind one that fails": [
        prepared(ADD_ONE, "a"), z(query("DEALLOCATE none"), parse("SELECT 2", "a"), bound("a"), sync(), n=2),
        z(query("SELECT 1/0; DEALLOCATE a"), bound("a", "1"), sync(), n=2), used("a", "2"),
    ],
    "parsed in flight behind DISCARD ALL": [
        prepared(ADD_ONE, "a"), z(query("DISCARD ALL"), parse("SELECT 2", "a"), bound("a"), sync(), n=2), used("a"),
        z(query("DISCARD ALL"), bound("a"), sync(), n=2),
    ],
    "DISCARD ALL in flight behind other queries": [
        prepared(ADD_ONE, "a"), z(query("SELECT 1"), query("DISCARD ALL"), query("SELECT 2"), n=3), used("a", "1"),
    ],
    "a deallocation with parameters": [z(run("DEALLOCATE $1", ("a",)), sync()), *simple("DEALLOCATE 'a'")],
    "executed, extended, with parameters": [
        prepared(ADD_ONE, "a"), z(run("EXECUTE a($1)", ("41",)), sync()), z(run("EXECUTE a(41)"), sync()),
        prepared("EXECUTE a(1)", "e"), z(describe("e"), sync()), used("e"), closed("a"), used("e"),
    ],
    "of SQL, bound": [
        *simple("PREPARE a(int) AS SELECT $1 + 1"), z(describe("a"), sync()), used("a", "1"), closed("a"),
        *simple("EXECUTE a(1)"), used("a", "1"),
    ],
    "of SQL, over transactions": simple(
        "PREPARE a(int) AS SELECT $1 + 1", "EXECUTE a(1)", "BEGIN", "EXECUTE a(2)", "ROLLBACK", "EXECUTE a(3)",
        "DEALLOCATE a", "EXECUTE a(4)",
    ),
    "of SQL, rolled back": simple(
        "BEGIN", "PREPARE a AS SELECT 1", "ROLLBACK", "EXECUTE a", "DEALLOCATE ALL", "EXECUTE a",
    ),
    "of SQL, a name of the protocol's": [
        *simple("PREPARE a AS SELECT 1"), prepared("SELECT 2", "a"), *simple("EXECUTE a"), closed("a"),
        prepared("SELECT 2", "a"),
        *simple("EXECUTE a", "PREPARE a AS SELECT 3", "DEALLOCATE a", "PREPARE a AS SELECT 3"), used("a"),
    ],
    "of SQL, in the extended protocol": [
        *extended("PREPARE a(int) AS SELECT $1 + 1", "EXECUTE a(1)"), used("a", "2"), *extended("DEALLOCATE a"),
        used("a", "3"),
    ],
    "of SQL, in a function": simple(
        "DO $$ BEGIN EXECUTE 'PREPARE a AS SELECT 7'; END $$", "EXECUTE a", "SELECT 1", "EXECUTE a", "DEALLOCATE a",
    ),
}

# ---- what changes under them ----

SCRATCH = "DROP TABLE IF EXISTS scratch; CREATE TABLE scratch (x int); GRANT ALL ON scratch TO bulkhead_app"
TWO_PLACES = ("DROP SCHEMA IF EXISTS here, there CASCADE; CREATE SCHEMA here; CREATE SCHEMA there; "
              "CREATE TABLE here.place AS SELECT 'here' AS name; CREATE TABLE there.place AS SELECT 'there' AS name; "
              "GRANT USAGE ON SCHEMA here, there TO bulkhead_app; "
              "GRANT SELECT ON here.place, there.place TO bulkhead_app")
NO_PLACES = "DROP SCHEMA here, there CASCADE"

CHANGED = {
    "the result's type": [
        by_admin(SCRATCH), prepared("SELECT * FROM scratch", "a"), used("a"),
        by_admin("ALTER TABLE scratch ADD y text"), used("a"), z(describe("a"), sync()), closed("a"),
        prepared("SELECT * FROM scratch", "a"), used("a"), by_admin("DROP TABLE scratch"), used("a"), by_admin(SCRATCH),
        used("a"), by_admin("DROP TABLE scratch"),
    ],
    "the result's type, in a transaction": [
        by_admin(SCRATCH), prepared("SELECT * FROM scratch", "a"), used("a"),
        by_admin("ALTER TABLE scratch ADD y text"), *simple("BEGIN"), used("a"), *simple("ROLLBACK", "DEALLOCATE a"),
        prepared("SELECT * FROM scratch", "a"), used("a"), by_admin("DROP TABLE scratch"),
    ],
    "the result's type, in one session": [
        *simple("CREATE TEMP TABLE own (x int)"), prepared("SELECT * FROM own", "a"), used("a"),
        *simple("ALTER TABLE own ADD y int"), used("a"), *simple("DEALLOCATE ALL"), prepared("SELECT * FROM own", "a"),
        used("a"), *simple("DROP TABLE own"), used("a"),
    ],
    "a parameter's type": [
        by_admin(SCRATCH), prepared("SELECT 1 FROM scratch WHERE x = $1", "a"), used("a", "1"),
        by_admin("ALTER TABLE scratch ALTER x TYPE text"), used("a", "1"), z(describe("a"), sync()),
        by_admin("DROP TABLE scratch"),
    ],
    "the search path": [
        by_admin(TWO_PLACES), *simple("SET search_path TO here"), prepared("SELECT name FROM place", "a"), used("a"),
        *simple("SET search_path TO there"), used("a"), *simple("BEGIN", "SET LOCAL search_path TO here"), used("a"),
        *simple("COMMIT"), used("a"), *simple("SET search_path TO public"), used("a"), *simple("RESET search_path"),
        used("a"), by_admin(NO_PLACES),
    ],
    "the search path, in one transaction each": [
        by_admin(TWO_PLACES), *simple("BEGIN", "SET LOCAL search_path TO here"),
        prepared("SELECT name FROM place", "a"), used("a"),
        *simple("COMMIT", "BEGIN", "SET LOCAL search_path TO there"), used("a"), *simple("COMMIT"), used("a"),
        by_admin(NO_PLACES),
    ],
    "the settings that a literal was read under": [
        *simple("SET DateStyle = 'ISO, DMY'"), prepared("SELECT date '01/02/2024'", "a"), used("a"),
        *simple("SET DateStyle = 'ISO, MDY'"), used("a"), *simple("RESET DateStyle"), used("a"),
    ],
    "the time zone that a literal was read under": [
        *simple("BEGIN", "SET LOCAL TimeZone = 'Asia/Tokyo'"),
        prepared("SELECT timestamptz '2024-01-01 12:00' AT TIME ZONE 'UTC'", "a"), used("a"), *simple("COMMIT"),
        used("a"), used("a"),
    ],
    "the rows": [
        prepared("INSERT INTO inbox VALUES ($1, $2)", "i"), prepared("SELECT count(*) FROM inbox", "c"),
        used("i", "1", "x"), used("c"), z(bound("i", "2", "y"), bound("i", "3", "z"), bound("c"), sync()), used("c"),
        *simple("DELETE FROM inbox"), used("c"),
    ],
    "generic plans": [
        prepared(ONE_ITEM, "a"), *[used("a", n % 4) for n in range(12)],
        *simple("SET plan_cache_mode = force_custom_plan"), used("a", "1"), *simple("RESET plan_cache_mode"),
        used("a", "2"),
    ],
}

FAMILIES = {"names": LIVING, "names, wrong": WRONG, "names, described": DESCRIBED, "names and SQL": SQL,
            "names, changed": CHANGED}
