"""Scripts with the corners of the protocol: flights, portals, errors of all kinds, COPY, sizes."""

from harness.steps import ADD_ONE, ITEMS, ONE_ITEM, Script, bound, extended, prepared, run, simple, upto, used, z
from harness.wire import (bind, close, copy_data, copy_done, copy_fail, describe, execute, flush, function_call,
    message,
                          parse, query, sync)

FAILING = "SELECT 1/0"


def part(sql, values=()):
    """A batch of its own."""
    return run(sql, values) + sync()


# ---- several exchanges in flight ----

FLIGHTS = {
    "an error in parse in the middle": [z(part("SELECT 1"), part("SELEKT"), part("SELECT 3"), n=3)],
    "an error in bind in the middle": [z(part("SELECT 1"), part(ONE_ITEM, ("x",)), part("SELECT 3"), n=3)],
    "an error in describe in the middle": [
        z(part("SELECT 1"), describe("none"), run("SELECT 2"), sync(), part("SELECT 3"), n=3),
    ],
    "an error in execute in the middle": [
        z(part("SELECT 1"), execute("none"), run("SELECT 2"), sync(), part("SELECT 3"), n=3),
    ],
    "an error in each": [z(*[part(FAILING)] * 5, n=5), *simple("SELECT 1")],
    "an error in a transaction": [
        z(part("BEGIN"), part("SELECT 1"), part(FAILING), part("SELECT 2"), part("ROLLBACK"), part("SELECT 3"), n=6),
    ],
    "an error in a transaction, committed": [z(part("BEGIN"), part(FAILING), part("COMMIT"), part("SELECT 3"), n=4)],
    "transactions": [z(*[part(sql) for sql in ("BEGIN", ITEMS, "COMMIT", "BEGIN", "SELECT 2", "ROLLBACK")], n=6)],
    "a transaction in one batch, and another": [
        z(run("BEGIN"), run("SELECT 1"), run("COMMIT"), run("BEGIN"), run("SELECT 2"), sync(), part("COMMIT"), n=2),
    ],
    "an error between BEGIN and COMMIT of one batch": [
        z(run("BEGIN"), run(FAILING), run("COMMIT"), sync(), part("SELECT 1"), part("ROLLBACK"), n=3),
    ],
    "queries among batches": [
        z(
            query("SELECT 1"), part("SELECT 2"), query(FAILING), part("SELECT 4"), query("SELECT 5; SELECT 6"),
            part(FAILING), query("SELECT 8"), n=7,
        ),
    ],
    "a query behind a batch without a sync": [z(run("SELECT 1"), query("SELECT 2"), part("SELECT 3"), n=2)],
    "a query behind an error without a sync": [
        z(run(FAILING), query("SELECT 2"), part("SELECT 3"), n=1), *simple("SELECT 4"),
    ],
    "many small ones": [z(*[part(f"SELECT {n}") for n in range(300)], n=300)],
    "many queries": [z(*[query(f"SELECT {n}") for n in range(300)], n=300)],
    "a row limit in the middle": [
        z(part("SELECT 1"), parse(ITEMS), bind(), execute(max_rows=1), sync(), part("SELECT 3"), n=3),
    ],
    "an error at the sync": [
        z(
            run("INSERT INTO numbered (id, body) VALUES (90, 'x')"),
            run("INSERT INTO numbered (id, body) VALUES (90, 'y')"), sync(),
        ),
        *simple("SELECT count(*) FROM numbered WHERE id = 90"),
        z(run("INSERT INTO numbered (id, body) VALUES (90, 'x'), (90, 'y')"), sync(), part("SELECT 1"), n=2),
    ],
    "an error at COMMIT": [
        z(
            part("BEGIN"), part("INSERT INTO numbered (id, body) VALUES (90, 'x'), (90, 'y')"), part("COMMIT"),
            part("SELECT 1"), n=4,
        ),
    ],
    "errors and flushes": [
        upto("E", run("SELECT 1"), flush(), run(FAILING), flush()),
        z(run("SELECT 2"), flush(), sync(), part("SELECT 3"), n=2),
    ],
    "as asyncpg prepares": [
        upto("T", parse(ITEMS, "a"), describe("a"), flush()), upto("2", bind((), "a", "p", (), (1,)), flush()),
        upto("C", execute("p", 2), execute("p", 2), flush()), z(sync()),
    ],
    "settings among them": [
        z(
            part("SET app.k = '1'"), part("SHOW app.k"), part("SET app.k = 'x'") + part(FAILING), part("SHOW app.k"),
            n=5,
        ),
    ],
    "an empty batch among them": [z(sync(), part("SELECT 1"), sync(), sync(), part(FAILING), sync(), n=6)],
    "a function call among them": [z(part("SELECT 1"), function_call(177, ("1", "2")), part("SELECT 3"), n=3)],
}

# ---- nothing to do ----

EMPTY_TEXTS = ("", " ", ";", "-- ping", "/* DBD::Pg ping test v3.16.0 */", "/* a /* nested */ comment */", "\n\t",
               "/**/;--x\n")
NOTHING = {
    "queries": simple(*EMPTY_TEXTS),
    "in transactions": simple(
        "BEGIN", *EMPTY_TEXTS, "SELECT 1", "-- ping", "COMMIT", "BEGIN", FAILING, "-- ping", "", "ROLLBACK",
    ),
    "parsed": extended(*EMPTY_TEXTS),
    "by name": [step for n, text in enumerate(EMPTY_TEXTS) for step in (
        prepared(text, f"e{n}"), z(describe(f"e{n}"), sync()), used(f"e{n}"))],
    "executed twice": [z(parse(""), bind(), execute(), execute(), execute(max_rows=1), sync())],
    "with parameters": [z(parse("-- $1", types=(23,)), describe(), sync()), z(run("/* $1 */", ("x",)), sync())],
    "in failed transactions": [*simple("BEGIN", FAILING), *extended("", "-- ping"), *simple("ROLLBACK")],
    "a comment that does not end": [*simple("/* no end", "SELECT 1"), *extended("/* no end"), *simple("-- no end")],
    "a string that does not end": simple(
        "SELECT 'x", "SELECT \"x", "SELECT $$x", "SELECT $a$x$$", "SELECT E'\\", "SELECT 1",
    ),
}

# ---- portals ----

PORTALS = {
    "row by row": [
        *simple("BEGIN"), z(parse(ITEMS), bind(portal="p"), sync()), *[z(execute("p", 1), sync()) for _ in range(5)],
        *simple("COMMIT"),
    ],
    "limits of writes": [
        *simple("BEGIN"),
        z(
            parse("INSERT INTO inbox SELECT n, 'x' FROM generate_series(1, 5) n RETURNING id"), bind(portal="p"),
            execute("p", 2), execute("p", 2), execute("p", 2), execute("p", 2), sync(),
        ),
        *simple("ROLLBACK"),
    ],
    "limits of what gives no rows": [
        z(parse("DELETE FROM inbox"), bind(), execute(max_rows=1), sync()),
        z(parse("SHOW work_mem"), bind(), execute(max_rows=1), sync()),
        z(parse("EXPLAIN (COSTS OFF) SELECT 1"), bind(), execute(max_rows=1), execute(max_rows=1), sync()),
        z(parse("SELECT 1"), bind(), execute(max_rows=0xffffffff), sync()),
        z(parse("SELECT 1 WHERE false"), bind(), execute(max_rows=1), sync()),
        z(parse("SELECT 1"), bind(), execute(max_rows=1), execute(max_rows=1), sync()),
    ],
    "a name twice": [
        *simple("BEGIN"), z(parse(ITEMS), bind(portal="p"), bind(portal="p"), sync()), *simple("ROLLBACK", "BEGIN"),
        z(parse(ITEMS), bind(portal="p"), close("p", "P"), bind(portal="p"), execute("p", 1), sync()),
        *simple("ROLLBACK"),
    ],
    "the unnamed one replaced": [
        *simple("BEGIN"), z(parse(ITEMS), bind(), execute(max_rows=1), bind(), execute(max_rows=2), sync()),
        z(execute(), sync()), *simple("ROLLBACK"),
    ],
    "the unnamed one, behind a query": [
        *simple("BEGIN"), z(parse(ITEMS), bind(), execute(max_rows=1), sync()), *simple("SELECT 1"),
        z(execute(), sync()), *simple("ROLLBACK"),
    ],
    "behind COMMIT": [
        *simple("BEGIN"), z(parse(ITEMS), bind(portal="p"), execute("p", 1), run("COMMIT"), execute("p"), sync()),
        *simple("SELECT 1"),
    ],
    "behind a savepoint": [
        *simple("BEGIN", "SAVEPOINT s"), z(parse(ITEMS), bind(portal="p"), execute("p", 1), sync()),
        *simple("ROLLBACK TO s"), z(execute("p"), sync()), *simple("ROLLBACK"),
    ],
    "kept over an error in a savepoint": [
        *simple("BEGIN"), z(parse(ITEMS), bind(portal="p"), execute("p", 1), sync()),
        *simple("SAVEPOINT s", FAILING, "ROLLBACK TO s"), z(execute("p"), sync()), *simple("COMMIT"),
    ],
    "in a failed transaction": [
        *simple("BEGIN"), z(parse(ITEMS), bind(portal="p"), execute("p", 1), sync()), *simple(FAILING),
        z(execute("p"), sync()), z(describe("p", "P"), sync()), z(close("p", "P"), sync()), *simple("ROLLBACK"),
    ],
    "closed and closed": [z(close("p", "P"), close("p", "P"), close("", "P"), sync())],
    "several at once": [
        *simple("BEGIN"), z(parse(ITEMS, "a"), *[bind((), "a", f"p{n}") for n in range(5)], sync()),
        z(*[execute(f"p{n}", 1) for n in range(5)], *[execute(f"p{n}") for n in range(5)], sync()), *simple("COMMIT"),
    ],
    "as pgjdbc fetches": [
        z(
            parse("BEGIN", "S_1"), bind((), "S_1"), execute(), parse(ITEMS, "S_2"), bind((), "S_2", "C_3"),
            describe("C_3", "P"), execute("C_3", 2), sync(),
        ),
        z(execute("C_3", 2), sync()), z(close("C_3", "P"), bound("S_1"), sync()), *simple("COMMIT"),
    ],
    "as pg-cursor fetches": [
        upto("s", parse(ITEMS), bind(portal="C_1"), describe("C_1", "P"), execute("C_1", 2), flush()),
        upto("C", execute("C_1", 2), flush()), z(close("C_1", "P"), sync()),
    ],
    "as tokio-postgres streams": [
        *simple("BEGIN"), z(parse(ITEMS, "s0"), sync(), bind((), "s0", "p0"), sync(), execute("p0", 1), sync(), n=3),
        z(execute("p0", 1), sync(), execute("p0", 5), sync(), close("p0", "P"), sync(), n=3), *simple("COMMIT"),
    ],
}

# ---- errors ----

ERRORS = {
    "their places": simple(
        "SELECT nope", "SELECT 1,\n  2,\n  nope", "/* ä */ SELECT nope", "SELECT 'ä€😀', nope", "SELECT * FROM nothing",
        "SELEKT 1", "SELECT 1; SELECT nope", "SELECT 1 +", "INSERT INTO inbox VALUES ('x')", "SELECT 'x'::int",
        "DO $$ BEGIN nope; END $$", "DO $$ BEGIN PERFORM nope; END $$", "SELECT count(*) FROM orders GROUP BY nope",
        "CREATE TEMP TABLE t (x nope)",
    ),
    "their places in transactions": simple(
        "BEGIN", "SELECT 1,\n nope", "ROLLBACK", "BEGIN; SELECT nope", "ROLLBACK", "START TRANSACTION", "  SELEKT",
        "ROLLBACK",
    ),
    "their places in the extended protocol": [
        *extended("SELECT nope", "SELECT $1 +", "SELECT 'ä', nope"), z(run("SELECT $1::int", ("x",)), sync()),
        prepared("SELECT nope", "a"),
    ],
    "their fields": simple(
        "DO $$ BEGIN RAISE 'm' USING DETAIL = 'd', HINT = 'h', ERRCODE = 'ZZ001', COLUMN = 'c', TABLE = 't', "
        "SCHEMA = 's', CONSTRAINT = 'k', "
            "DATATYPE = 'y'; END $$",
        "INSERT INTO orders (id, item) VALUES (1, 'twice')", "INSERT INTO orders (id) VALUES (500)",
        "DO $$ BEGIN EXECUTE 'SELECT nope'; END $$", "SELECT 'a' || repeat('b', 100)::int",
        "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '57014'; END $$",
        "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '25P02', MESSAGE = 'mine'; END $$",
        "DO $$ BEGIN RAISE 'reason=BH-X'; END $$",
    ),
    "of row security": simple(
        "INSERT INTO orders (tenant_id, id, item) VALUES (gen_random_uuid(), 1, 'x')",
        "UPDATE orders SET tenant_id = gen_random_uuid()", ITEMS,
    ),
    "of privileges": simple(
        "SELECT * FROM pg_authid", "CREATE TABLE public.t (x int)", "DROP TABLE orders", "ALTER TABLE orders ADD x int",
        "CREATE ROLE r", "SELECT pg_read_file('x')", "COPY orders TO '/tmp/x'", "TRUNCATE orders",
    ),
    "notices": simple(
        "DO $$ BEGIN FOR n IN 1..50 LOOP RAISE NOTICE 'n %', n; END LOOP; END $$", "SET client_min_messages = error",
        "DO $$ BEGIN RAISE WARNING 'unseen'; END $$", "RESET client_min_messages", "DROP TABLE IF EXISTS nothing",
        "DO $$ BEGIN RAISE INFO 'i'; RAISE LOG 'l'; RAISE DEBUG 'd'; END $$",
    ),
    "serialization": simple(
        "BEGIN ISOLATION LEVEL SERIALIZABLE", "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$", "COMMIT",
    ),
    "a code of the guard's": simple(
        "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'BH001', MESSAGE = 'mine'; END $$", ITEMS,
    ),
}

# ---- messages that are wrong ----

MALFORMED = {
    "a describe of something else": [z(message("D", b"Xname\0"), sync()), *simple("SELECT 1")],
    "a close of something else": [z(message("C", b"Xname\0"), sync()), *simple("SELECT 1")],
    "a query without its end": [z(message("Q", b"SELECT 1")), *simple("SELECT 1")],
    "a query with more behind its end": [z(message("Q", b"SELECT 1\0more\0")), *simple("SELECT 1")],
    "a parse cut short": [z(message("P", b"\0SELECT 1\0"), sync()), *simple("SELECT 1")],
    "a parse with more behind": [z(message("P", b"\0SELECT 1\0\0\0more"), sync()), *simple("SELECT 1")],
    "a bind cut short": [z(parse(ADD_ONE), message("B", b"\0\0\0\0\0\1"), sync()), *simple("SELECT 1")],
    "a bind with more behind": [
        z(parse("SELECT 1"), message("B", b"\0\0\0\0\0\0\0\0more"), sync()), *simple("SELECT 1"),
    ],
    "a bind with a wrong length": [
        z(parse(ADD_ONE), message("B", b"\0\0\0\0\0\1\x7f\xff\xff\xff1\0\0"), sync()), *simple("SELECT 1"),
    ],
    "an execute cut short": [z(parse("SELECT 1"), bind(), message("E", b"\0"), sync()), *simple("SELECT 1")],
    "a sync with a body": [z(message("S", b"x")), *simple("SELECT 1")],
    "an unknown type": Script([z(message("y", b"x"))], ends=True),
    "an unknown type in a transaction": Script([*simple("BEGIN", "SELECT 1"), z(message("z"))], ends=True),
    "an unknown type in a batch": Script([z(run("SELECT 1"), message("?"), sync())], ends=True),
    "a password": Script([z(message("p", b"secret\0"))], ends=True),
}

# ---- COPY ----

LINES = copy_data("1\tone\n2\ttwo\n")
CLEAN = "DELETE FROM inbox"


def loaded(sql, *chunks, end=copy_done()):
    return [upto("GE", query(sql)), z(*map(copy_data, chunks), end), *simple("SELECT * FROM inbox ORDER BY 1", CLEAN)]


INTO = "COPY inbox FROM STDIN"
BINARY = b"PGCOPY\n\xff\r\n\0" + b"\0" * 8
COPY = {
    "csv and quotes": loaded(
        f"{INTO} (FORMAT csv, QUOTE '|', DELIMITER ';', NULL 'nil')", "1;|a;|\n2;nil\n", "3;|a||b|\n",
    ),
    "csv, a quote that does not end": loaded(f"{INTO} (FORMAT csv)", "1,\"a\n"),
    "csv, too many columns": loaded(f"{INTO} (FORMAT csv)", "1,a,b\n"),
    "csv, too few columns": loaded(f"{INTO} (FORMAT csv)", "1\n"),
    "csv, a header that is wrong": loaded(f"{INTO} (FORMAT csv, HEADER MATCH)", "x,y\n1,a\n"),
    "text that is none": loaded(INTO, b"1\t\xff\xfe\n"),
    "text with a NUL": loaded(INTO, b"1\ta\0b\n"),
    "text with escapes": loaded(INTO, "1\ta\\tb\\\\c\\x41\\N\n2\t\\N\n\\.\n"),
    "text without its last line end": loaded(INTO, "1\ta"),
    "lines across messages": loaded(INTO, "1", "\t", "on", "e\n2\t", "two\n", "", "3\tthree\n"),
    "a long line": [
        upto("G", query(INTO)), z(copy_data("1\t" + "x" * 1_000_000 + "\n"), copy_done()),
        *simple("SELECT id, length(body) FROM inbox", CLEAN),
    ],
    "some columns": loaded("COPY inbox (body, id) FROM STDIN", "one\t1\n"),
    "some rows": loaded(f"{INTO} WHERE id > 1", "1\ta\n2\tb\n"),
    "in another encoding": loaded(f"{INTO} (ENCODING 'LATIN1')", b"1\t\xe4\n"),
    "binary, a wrong signature": loaded(f"{INTO} (FORMAT binary)", b"PGCOPX\n\xff\r\n\0" + b"\0" * 8),
    "binary, cut short": loaded(f"{INTO} (FORMAT binary)", BINARY + b"\0\2\0\0\0\4\0\0"),
    "binary, a wrong length": loaded(f"{INTO} (FORMAT binary)", BINARY + b"\0\2\0\0\0\3abc\0\0\0\1x\xff\xff"),
    "binary, a wrong number of columns": loaded(f"{INTO} (FORMAT binary)", BINARY + b"\0\1\0\0\0\4\0\0\0\1\xff\xff"),
    "errors of options": simple(
        f"{INTO} (FORMAT nope)", f"{INTO} (HEADER nope)", "COPY inbox TO STDOUT (DELIMITER 'ab')",
        "COPY nothing FROM STDIN", "COPY inbox (nope) FROM STDIN", "COPY (DELETE FROM inbox) TO STDOUT",
        "COPY inbox FROM '/etc/passwd'",
    ),
    "in a failed transaction": simple("BEGIN", FAILING, INTO, "COPY inbox TO STDOUT", "ROLLBACK"),
    "in a held transaction": [
        *simple("BEGIN"), upto("G", query(INTO)), z(LINES, copy_done()),
        *simple("COMMIT", "SELECT * FROM inbox", CLEAN),
    ],
    "frozen": [
        *simple("BEGIN", "CREATE TEMP TABLE own (x int)"), upto("G", query("COPY own FROM STDIN (FREEZE)")),
        z(copy_data("1\n2\n"), copy_done()),
        *simple("COMMIT", "SELECT * FROM own", "DROP TABLE own", f"{INTO} (FREEZE)"),
    ],
    "by name": [
        prepared(INTO, "i"), prepared(f"COPY ({ITEMS}) TO STDOUT", "o"), z(describe("i"), sync()),
        z(describe("o"), sync()), used("o"), used("o"), upto("G", bound("i"), sync()), z(LINES, copy_done(), sync()),
        upto("G", bound("i"), flush()), upto("C", LINES, copy_done(), flush()), z(sync()),
        *simple("SELECT count(*) FROM inbox", CLEAN),
    ],
    "as pgx": [
        z(parse("select id, body from inbox", "c"), describe("c"), sync()),
        upto("G", query("copy inbox ( id, body ) from stdin binary;")),
        z(copy_data(BINARY + b"\0\2\0\0\0\4\0\0\0\7\0\0\0\3abc\xff\xff"), copy_done()),
        *simple("SELECT * FROM inbox", CLEAN),
    ],
    "as asyncpg": [
        upto("G", query("COPY inbox FROM STDIN (FORMAT binary)")),
        z(copy_data(BINARY), copy_data(b"\0\2\0\0\0\4\0\0\0\7\xff\xff\xff\xff"), copy_data(b"\xff\xff"), copy_done()),
        *simple("COPY (SELECT * FROM inbox) TO STDOUT (FORMAT binary)", CLEAN),
    ],
    "out, failing in the middle": simple(
        "COPY (SELECT 1/(500-n) FROM generate_series(1, 1000) n) TO STDOUT (FORMAT binary)",
        "COPY (SELECT 1/(5-n) FROM generate_series(1, 10) n) TO STDOUT (FORMAT csv)", "SELECT 1",
    ),
    "out, in all forms": simple(
        *[f"COPY (SELECT 1 AS a, NULL AS b, 'x,\"y\"' AS c) TO STDOUT {form}" for form in (
            "", "(FORMAT csv)", "(FORMAT csv, HEADER, FORCE_QUOTE *)", "(FORMAT binary)", "(NULL 'nil', DELIMITER '|')",
            "(FORMAT csv, ENCODING 'LATIN1')",
            "CSV HEADER", "BINARY")],
    ),
    "out of a query that writes": simple("COPY (INSERT INTO inbox VALUES (1, 'x') RETURNING id) TO STDOUT", CLEAN),
    "out, in flight": [
        z(query(f"COPY ({ITEMS}) TO STDOUT"), part(f"COPY ({ITEMS}) TO STDOUT"), query("SELECT 1"), n=3),
    ],
    "in, and in flight behind it": [
        z(
            query(INTO), LINES, copy_done(), part("SELECT count(*) FROM inbox"), query(INTO), LINES, copy_fail("no"),
            query(CLEAN), n=4,
        ),
    ],
    "in, and in flight behind one that fails": [
        z(query("COPY nothing FROM STDIN"), LINES, copy_done(), query("SELECT 1"), n=2), *simple("SELECT 2"),
    ],
    "in, extended, and in flight behind it": [
        z(run(INTO), LINES, copy_done(), sync(), part("SELECT count(*) FROM inbox"), part(CLEAN), n=3),
    ],
    "in, extended, in flight behind one that fails": [
        z(run("COPY nothing FROM STDIN"), LINES, copy_done(), sync(), part("SELECT 1"), n=2), *simple("SELECT 2"),
    ],
    "given up in words of other letters": loaded(INTO, "1\ta\n", end=copy_fail("öä€")),
    "row limits": [z(parse(f"COPY ({ITEMS}) TO STDOUT"), bind(), execute(max_rows=1), sync())],
}

# ---- sizes, and values in binary ----

COLUMNS = 1000
SIZES = {
    "a statement of 70,000 bytes": simple("SELECT '" + "x" * 70_000 + "' = repeat('x', 70000)"),
    "a statement of 1 MB": simple("SELECT length('" + "x" * 1_000_000 + "')"),
    "a comment of 1 MB": simple("/* " + "x" * 1_000_000 + " */ SELECT 1", "SELECT nope -- " + "y" * 100_000),
    "parsed, 70,000 bytes": [z(run("SELECT length('" + "x" * 70_000 + "')"), sync())],
    "parsed, 1 MB": [z(run("SELECT length('" + "x" * 1_000_000 + "')"), sync())],
    "by name, 70,000 bytes": [
        prepared("SELECT $1::int + length('" + "x" * 70_000 + "')", "a"), used("a", "1"), *simple("SELECT 1"),
        used("a", "2"),
    ],
    "by name, 1 MB": [
        prepared("SELECT $1::int + length('" + "x" * 1_000_000 + "')", "a"), used("a", "1"), *simple("SELECT 1"),
        used("a", "2"),
    ],
    "unnamed over syncs, 1 MB": [
        z(parse("SELECT length('" + "x" * 1_000_000 + "')"), sync()), z(bind(), execute(), sync()),
    ],
    "unnamed over syncs, 15,000 bytes": [
        z(parse("SELECT length('" + "x" * 15_000 + "')"), sync()), z(bind(), execute(), sync()),
    ],
    "1,000 parameters": [
        z(
            run("SELECT " + " + ".join(f"${n}::int" for n in range(1, COLUMNS + 1)), tuple(map(str, range(COLUMNS)))),
            sync(),
        ),
        prepared("SELECT ARRAY[" + ", ".join(f"${n}::text" for n in range(1, COLUMNS + 1)) + "]", "a"),
        z(describe("a"), sync()), used("a", *["v" * (n % 90) for n in range(COLUMNS)]), used("a", *[None] * COLUMNS),
    ],
    "65,535 parameters": [
        z(parse("SELECT " + "+".join(f"${n}::int" for n in range(1, 1001)), types=(23,) * 65535), describe(), sync()),
    ],
    "a parameter of 1 MB": [
        z(run("SELECT length($1)", ("x" * 1_000_000,)), sync()),
        z(
            parse("SELECT $1::bytea"), bind((b"\0\xff" * 500_000,), formats=(1,), result_formats=(1,)), execute(),
            sync(),
        ),
    ],
    "1,000 columns": simple("SELECT " + ", ".join(f"{n} AS c{n}" for n in range(COLUMNS))),
    "a row of 3 MB": simple("SELECT repeat('r', 3000000)"),
    "an error of 200,000 bytes": simple("DO $$ BEGIN RAISE EXCEPTION '%', repeat('ü', 100000); END $$"),
    "a notice of 200,000 bytes": simple("DO $$ BEGIN RAISE NOTICE '%', repeat('n', 200000); END $$"),
    "200 statements in one": simple(
        "; ".join(f"SELECT {n}" for n in range(200)), "; ".join(f"SELECT {n}" for n in range(100)) + "; SELEKT",
    ),
    "a setting of 100,000 bytes": simple(
        "SET app.long = '" + "v" * 100_000 + "'", "SELECT length(current_setting('app.long'))", "SELECT 1",
        "SELECT length(current_setting('app.long'))",
    ),
    "VALUES of 100,000 bytes": simple(
        "SELECT count(*) FROM (VALUES " + ", ".join(f"({n}, 'v{n}')" for n in range(7000)) + ") v",
    ),
    "values in binary": [
        z(
            parse("SELECT $1::int, $2::bigint, $3::bool, $4::float8, $5::text, $6::bytea, $7::uuid"),
            bind(
                (b"\0\0\0\1", b"\0" * 7 + b"\2", b"\1", b"\x3f\xf8" + b"\0" * 6, b"\xc3\xa4", b"\0\1", b"u" * 16),
                formats=(1,), result_formats=(1,),
            ),
            describe(kind="P"), execute(), sync(),
        ),
        z(
            parse("SELECT $1::int[], $2::jsonb, $3::timestamptz, $4::numeric"),
            bind(("{1,2}", "{\"a\": 1}", "2024-01-02 03:04:05Z", "1.50"), result_formats=(1, 1, 1, 1)), execute(),
            sync(),
        ),
        z(parse("SELECT 1, 'x', 2"), bind(result_formats=(1, 0, 1)), describe(kind="P"), execute(), sync()),
    ],
    "formats of statements without rows": [z(parse(CLEAN), bind(result_formats=(1, 1)), execute(), sync())],
    "statements that return": [
        *extended(
            "INSERT INTO inbox VALUES (1, 'x') RETURNING id, body",
            "UPDATE inbox SET body = 'y' WHERE id = 1 RETURNING *", "DELETE FROM inbox RETURNING id",
        ),
        *simple(
            "MERGE INTO inbox i USING (SELECT 9 AS id) s ON i.id = s.id "
            "WHEN NOT MATCHED THEN INSERT VALUES (s.id, 'm')",
            CLEAN, "WITH d AS (DELETE FROM inbox RETURNING 1) SELECT count(*) FROM d", "VALUES (1), (2)", "TABLE inbox",
            "EXPLAIN (COSTS OFF) SELECT 1",
        ),
    ],
}

FAMILIES = {"in flight": FLIGHTS, "nothing": NOTHING, "portal": PORTALS, "error": ERRORS, "malformed": MALFORMED,
    "copies": COPY, "size": SIZES}
