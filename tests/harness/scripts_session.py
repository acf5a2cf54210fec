"""Scripts with what a session keeps besides statements and settings: tables, cursors, locks, channels, sequences."""

from harness.scripts_prepared import RESET_OF_ASYNCPG
from harness.steps import ITEMS, Script, by_admin, extended, prepared, run, simple, used, z
from harness.wire import bind, close, describe, execute, parse, query, sync

# ---- temporary tables ----

TEMPORARY = {
    "over transactions": simple(
        "CREATE TEMP TABLE own (x int)", "INSERT INTO own VALUES (1), (2)", "SELECT * FROM own", "BEGIN",
        "INSERT INTO own VALUES (3)", "ROLLBACK", "SELECT count(*) FROM own", "DROP TABLE own", "SELECT * FROM own",
        ITEMS,
    ),
    "that end": simple(
        "BEGIN", "CREATE TEMP TABLE own ON COMMIT DROP AS SELECT 1 x", "SELECT * FROM own", "COMMIT",
        "SELECT * FROM own", "BEGIN", "CREATE TEMP TABLE own (x int) ON COMMIT DELETE ROWS",
        "INSERT INTO own VALUES (1)", "COMMIT", "SELECT count(*) FROM own", "DROP TABLE own",
    ),
    "that are rolled back": simple(
        "BEGIN", "CREATE TEMP TABLE own (x int)", "ROLLBACK", "SELECT * FROM own", "BEGIN", "SAVEPOINT s",
        "CREATE TEMP TABLE own (x int)", "ROLLBACK TO s", "COMMIT", "SELECT * FROM own",
    ),
    "made in other ways": simple(
        "SELECT 1 AS x INTO TEMP own", "SELECT * FROM own", "CREATE TEMP VIEW seen AS SELECT x + 1 AS y FROM own",
        "SELECT * FROM seen", "CREATE TABLE pg_temp.third (z int)", "SELECT * FROM third", "DISCARD TEMP",
        "SELECT * FROM own", "SELECT * FROM third",
    ),
    "made by queries of several statements": simple(
        "CREATE TEMP TABLE own (x int); INSERT INTO own VALUES (7)", "SELECT * FROM own", "DROP TABLE own; SELECT 1",
        "SELECT * FROM own", "CREATE TEMP TABLE own (x int); SELECT 1/0", "SELECT * FROM own",
    ),
    "made unseen": simple(
        "DO $$ BEGIN CREATE TEMP TABLE own (x int); END $$", "SELECT count(*) FROM own", "SELECT 1", "DROP TABLE own",
    ),
    "made by a function": simple(
        "SELECT make_temporary()", "SELECT * FROM own", "SELECT 1", "SELECT * FROM own", "DISCARD TEMP",
        "SELECT * FROM own",
    ),
    "that hide another": simple(
        "CREATE TEMP TABLE inbox (id int, body text)", "INSERT INTO inbox VALUES (1, 'hidden')", "SELECT * FROM inbox",
        "SELECT count(*) FROM public.inbox", "DROP TABLE inbox", "SELECT count(*) FROM inbox",
    ),
    "in the extended protocol": [
        *extended("CREATE TEMP TABLE own (x int)", "INSERT INTO own SELECT generate_series(1, 3)"),
        prepared("SELECT x FROM own WHERE x = $1", "a"), used("a", "2"), *extended("SELECT 1"), used("a", "3"),
        *extended("DROP TABLE own"), used("a", "1"),
    ],
    "sequences, functions and types": simple(
        "CREATE TEMP SEQUENCE s", "SELECT nextval('s')", "SELECT nextval('s')", "SELECT currval('s')",
        "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 42'", "SELECT pg_temp.f()",
        "CREATE TEMP TABLE own (id serial, x int)", "INSERT INTO own (x) VALUES (9) RETURNING id", "SELECT lastval()",
        "CREATE TYPE pg_temp.pair AS (a int, b int)", "SELECT (1, 2)::pg_temp.pair", "DISCARD ALL",
        "SELECT nextval('s')", "SELECT to_regprocedure('pg_temp.f()')",
    ),
    "discarded": simple(
        "CREATE TEMP TABLE own (x int)", "DISCARD ALL", "SELECT * FROM own", "CREATE TEMP TABLE own (x int)",
        "DISCARD TEMP", "SELECT * FROM own",
    ),
    "made again and again": simple(*["CREATE TEMP TABLE own (x int)", "DROP TABLE own"] * 5),
    "not as psycopg thinks": simple(
        "CREATE TEMP TABLE IF NOT EXISTS own (x int)", "CREATE TEMP TABLE IF NOT EXISTS own (x int)",
        "INSERT INTO own VALUES (1) RETURNING x", "SELECT * FROM own", "DISCARD ALL",
    ),
}

# ---- cursors ----

HELD = f"DECLARE c CURSOR WITH HOLD FOR {ITEMS}"
CURSORS = {
    "held": simple(
        HELD, "FETCH 1 FROM c", "SELECT 'between'", "BEGIN", "FETCH 1 FROM c", "COMMIT", "FETCH ALL FROM c", "CLOSE c",
        "FETCH 1 FROM c",
    ),
    "held, declared in a transaction": simple(
        "BEGIN", HELD, "FETCH 1 FROM c", "COMMIT", "FETCH 1 FROM c", "SELECT 1", "FETCH 1 FROM c", "CLOSE ALL",
        "FETCH 1 FROM c",
    ),
    "held, rolled back": simple(
        "BEGIN", HELD, "ROLLBACK", "FETCH 1 FROM c", HELD, "BEGIN", "CLOSE c", "ROLLBACK", "FETCH 1 FROM c",
    ),
    "held, scrolled": simple(
        f"DECLARE c SCROLL CURSOR WITH HOLD FOR {ITEMS}", "FETCH LAST FROM c", "FETCH BACKWARD 1 FROM c",
        "MOVE ABSOLUTE 0 IN c", "FETCH FORWARD 2 FROM c", "CLOSE c",
    ),
    "as Django": simple(
        f"DECLARE \"_django_curs_1\" NO SCROLL CURSOR WITH HOLD FOR {ITEMS}", "FETCH FORWARD 2 FROM \"_django_curs_1\"",
        "FETCH FORWARD 2 FROM \"_django_curs_1\"", "CLOSE \"_django_curs_1\"",
    ),
    "held, in the extended protocol": [
        *extended(HELD, "FETCH 1 FROM c", "SELECT 1"), z(describe("c", "P"), sync()), z(execute("c", 1), sync()),
        z(execute("c"), sync()), *extended("CLOSE c"), z(describe("c", "P"), sync()),
    ],
    "held, closed by the protocol": [*simple(HELD), z(close("c", "P"), sync()), *simple("FETCH 1 FROM c")],
    "held, and resets": simple(HELD, "DISCARD ALL", "FETCH 1 FROM c", HELD, RESET_OF_ASYNCPG, "FETCH 1 FROM c"),
    "held, unseen": simple("DO $$ BEGIN EXECUTE 'DECLARE c CURSOR WITH HOLD FOR SELECT 1'; END $$", "FETCH 1 FROM c"),
    "not held": simple(
        "DECLARE c CURSOR FOR SELECT 1", "FETCH 1 FROM c", "BEGIN", "DECLARE c CURSOR FOR SELECT 1", "COMMIT",
        "FETCH 1 FROM c",
    ),
    "their list": simple(
        HELD, "SELECT name, is_holdable, is_scrollable FROM pg_cursors", "CLOSE c", "SELECT name FROM pg_cursors",
    ),
    "described": [
        *simple(
            "BEGIN", "DECLARE b BINARY CURSOR FOR SELECT 1::int AS n, 'x'::text AS t",
            f"DECLARE \"C D\" SCROLL CURSOR FOR {ITEMS}",
        ),
        z(describe("b", "P"), execute("b"), sync()), z(describe("C D", "P"), sync()), z(execute("C D", 2), sync()),
        *simple("FETCH 1 FROM \"C D\"", "FETCH BACKWARD 1 FROM \"C D\"", "FETCH b"), z(describe("c d", "P"), sync()),
        z(describe("C D", "P"), sync()), *simple("ROLLBACK"), z(describe("b", "P"), sync()),
    ],
    "as psycopg": [
        *extended("BEGIN", f"DECLARE \"srv\" CURSOR FOR {ITEMS}"), z(describe("srv", "P"), sync()),
        *extended("FETCH FORWARD 2 FROM \"srv\"", "FETCH FORWARD ALL FROM \"srv\"", "CLOSE \"srv\"", "COMMIT"),
    ],
    "portals of the protocol, in SQL": [
        *simple("BEGIN"), z(parse(ITEMS), bind(portal="p"), execute("p", 1), sync()),
        *simple("FETCH 1 FROM p", "MOVE 1 IN p", "SELECT name FROM pg_cursors", "CLOSE p"), z(execute("p"), sync()),
        *simple("ROLLBACK"),
    ],
    "of a function": simple("BEGIN", "SELECT open_cursor('c')", "FETCH ALL FROM c", "COMMIT", "FETCH ALL FROM c"),
}

# ---- locks ----

LOCK_TEXTS = {
    "over transactions": (
        "SELECT pg_advisory_lock(77)", "SELECT 1", "SELECT pg_advisory_unlock(77)", "SELECT pg_advisory_unlock(77)",
    ),
    "counted": (
        "SELECT pg_advisory_lock(77)", "SELECT pg_try_advisory_lock(77)", "SELECT 1", "SELECT pg_advisory_unlock(77)",
        "SELECT 1", "SELECT pg_advisory_unlock(77)", "SELECT pg_advisory_unlock(77)",
    ),
    "of two keys, shared": (
        "SELECT pg_advisory_lock_shared(7, 77)", "SELECT pg_try_advisory_lock(77)", "SELECT 1",
        "SELECT pg_advisory_unlock_shared(7, 77), pg_advisory_unlock(77)", "SELECT pg_advisory_unlock_shared(7, 77)",
    ),
    "of transactions": (
        "BEGIN", "SELECT pg_advisory_xact_lock(77)", "COMMIT", "SELECT pg_advisory_unlock(77)",
        "SELECT pg_try_advisory_xact_lock(77)",
    ),
    "kept by one that is rolled back": (
        "BEGIN", "SELECT pg_advisory_lock(77)", "ROLLBACK", "SELECT pg_advisory_unlock(77)",
    ),
    "kept by one that fails": (
        "BEGIN", "SELECT pg_advisory_lock(77)", "SELECT 1/0", "ROLLBACK", "SELECT pg_advisory_unlock(77)",
    ),
    "kept by a query that fails": ("SELECT pg_advisory_lock(77); SELECT 1/0", "SELECT pg_advisory_unlock(77)"),
    "all given back": (
        "SELECT pg_advisory_lock(77)", "SELECT 1", "SELECT pg_advisory_unlock_all()", "SELECT pg_advisory_unlock(77)",
    ),
    "given back by asyncpg": ("SELECT pg_advisory_lock(77)", RESET_OF_ASYNCPG, "SELECT pg_advisory_unlock(77)"),
    "given back by DISCARD ALL": ("SELECT pg_advisory_lock(77)", "DISCARD ALL", "SELECT pg_advisory_unlock(77)"),
    "kept by RESET ALL": ("SELECT pg_advisory_lock(77)", "RESET ALL", "SELECT pg_advisory_unlock(77)"),
    "in a CTE": (
        "WITH l AS MATERIALIZED (SELECT pg_advisory_lock(77)) SELECT count(pg_advisory_lock) FROM l", "SELECT 1",
        "SELECT pg_advisory_unlock(77)",
    ),
    "in a condition": ("SELECT 1 WHERE pg_advisory_lock(77) IS NOT NULL", "SELECT 1", "SELECT pg_advisory_unlock(77)"),
    "by a function": ("SELECT take_lock(77)", "SELECT 1", "SELECT pg_advisory_unlock(77)"),
    "by a block": ("DO $$ BEGIN PERFORM pg_advisory_lock(77); END $$", "SELECT 1", "SELECT pg_advisory_unlock(77)"),
}

# Each has a key of its own: what one leaves behind must not keep the next one waiting.
LOCKS = {name: simple(*[text.replace("77", str(key)) for text in texts])
         for key, (name, texts) in enumerate(LOCK_TEXTS.items(), 7700)}
LOCKS["with parameters"] = [
    z(run("SELECT pg_advisory_lock($1)", ("7600",)), sync()), *extended("SELECT 1"),
    prepared("SELECT pg_advisory_unlock($1)", "u"), used("u", "7600"), used("u", "7600"),
]

# ---- channels ----

CHANNELS = {
    "one": simple(
        "LISTEN c", "NOTIFY c", "NOTIFY c, 'payload'", "SELECT 1", "NOTIFY c, 'later'", "UNLISTEN c", "NOTIFY c",
    ),
    "in transactions": simple(
        "BEGIN", "LISTEN c", "NOTIFY c", "COMMIT", "BEGIN", "NOTIFY c, 'lost'", "ROLLBACK", "BEGIN", "NOTIFY c, '1'",
        "NOTIFY c, '1'", "NOTIFY c, '2'", "COMMIT", "UNLISTEN *", "NOTIFY c",
    ),
    "rolled back": simple(
        "BEGIN", "LISTEN c", "ROLLBACK", "NOTIFY c", "LISTEN c", "BEGIN", "UNLISTEN c", "ROLLBACK", "NOTIFY c",
        "UNLISTEN *",
    ),
    "of several names": simple(
        "LISTEN c", "LISTEN \"C d\"", "LISTEN c", "SELECT pg_listening_channels() ORDER BY 1", "NOTIFY \"C d\", 'x'",
        "SELECT pg_notify('c', 'y')", "UNLISTEN c", "SELECT pg_listening_channels()", "NOTIFY c", "UNLISTEN *",
        "SELECT pg_listening_channels()",
    ),
    "in the extended protocol": [
        *extended("LISTEN c", "NOTIFY c", "SELECT 1"), z(run("SELECT pg_notify($1, $2)", ("c", "p")), sync()),
        *extended("UNLISTEN c"),
    ],
    "and resets": simple("LISTEN c", "DISCARD ALL", "NOTIFY c", "LISTEN c", RESET_OF_ASYNCPG, "NOTIFY c"),
    "unseen": simple("DO $$ BEGIN EXECUTE 'LISTEN c'; END $$", "SELECT 1", "NOTIFY c", "UNLISTEN c"),
    "not heard": simple(
        "NOTIFY c", "SELECT pg_notify('c', 'x')", "UNLISTEN c", "UNLISTEN *", "SELECT pg_notify('', 'x')",
        "NOTIFY c, 'x",
    ),
}

# ---- sequences, transactions of two phases, and the rest ----

RESTART = by_admin("ALTER SEQUENCE counter RESTART")
REST = {
    "sequences": [
        RESTART,
        *simple(
            "SELECT nextval('counter')", "SELECT 1", "SELECT currval('counter')", "SELECT lastval()", "BEGIN",
            "SELECT nextval('counter')", "ROLLBACK", "SELECT currval('counter')", "SELECT lastval()",
            "DISCARD SEQUENCES", "SELECT lastval()", "SELECT currval('counter')",
        ),
    ],
    "sequences that were not asked": simple("SELECT currval('counter')", "SELECT lastval()"),
    "a sequence as PDO asks for it": [
        RESTART,
        *simple(
            "INSERT INTO inbox VALUES (nextval('counter'), 'x')", "SELECT LASTVAL()", "DELETE FROM inbox",
            "SELECT lastval()",
        ),
    ],
    "a sequence, by default": [
        RESTART,
        *simple(
            "INSERT INTO numbered (body) VALUES ('x')", "SELECT lastval()",
            "SELECT currval(pg_get_serial_sequence('numbered', 'id'))",
        ),
        by_admin("TRUNCATE numbered RESTART IDENTITY"),
    ],
    "a sequence, in the extended protocol": [
        RESTART, *extended("SELECT nextval('counter')", "SELECT lastval()", "DISCARD ALL", "SELECT lastval()"),
    ],
    "a sequence, unseen": [
        RESTART,
        *simple("DO $$ BEGIN PERFORM nextval('counter'); END $$", "SELECT lastval()", "SELECT currval('counter')"),
    ],
    "a sequence that is set": [
        RESTART, *simple("SELECT setval('counter', 41)", "SELECT currval('counter')", "SELECT nextval('counter')"),
    ],
    "random numbers": simple(
        "SELECT setseed(0.5)", "SELECT random()", "SELECT random()", "BEGIN", "SELECT setseed(0.1), random()", "COMMIT",
        "SELECT random()",
    ),
    "two phases": simple(
        "BEGIN", "INSERT INTO inbox VALUES (1, 'x')", "PREPARE TRANSACTION 'differ'", "SELECT count(*) FROM inbox",
        "ROLLBACK PREPARED 'differ'", "SELECT count(*) FROM inbox", "BEGIN", "INSERT INTO inbox VALUES (2, 'y')",
        "PREPARE TRANSACTION 'differ'", "COMMIT PREPARED 'differ'", "SELECT * FROM inbox", "DELETE FROM inbox",
    ),
    "two phases, refused": simple(
        "PREPARE TRANSACTION 'differ'", "COMMIT PREPARED 'differ'", "ROLLBACK PREPARED 'differ'", "BEGIN",
        "CREATE TEMP TABLE own (x int)", "PREPARE TRANSACTION 'differ'", "SELECT * FROM own", "BEGIN", "LISTEN c",
        "PREPARE TRANSACTION 'differ'", "BEGIN", "SELECT pg_export_snapshot() IS NULL", "PREPARE TRANSACTION 'differ'",
        "BEGIN", f"DECLARE c CURSOR WITH HOLD FOR {ITEMS}", "PREPARE TRANSACTION 'differ'", "BEGIN",
        "SELECT pg_advisory_lock(7601)", "PREPARE TRANSACTION 'differ'", "ROLLBACK PREPARED 'differ'",
        "SELECT pg_advisory_unlock(7601)",
    ),
    "two phases, empty": simple(
        "BEGIN", "PREPARE TRANSACTION 'differ'", "ROLLBACK PREPARED 'differ'", "BEGIN", "SELECT 1/0",
        "PREPARE TRANSACTION 'differ'", "SELECT 1",
    ),
    "constraints": simple(
        "BEGIN", "SET CONSTRAINTS ALL DEFERRED", "INSERT INTO numbered (id, body) VALUES (90, 'x'), (90, 'y')",
        "COMMIT", "INSERT INTO numbered (id, body) VALUES (90, 'x'), (90, 'y')",
        "SELECT count(*) FROM numbered WHERE id = 90", "BEGIN",
        "INSERT INTO numbered (id, body) VALUES (90, 'x'), (90, 'y')", "SET CONSTRAINTS ALL IMMEDIATE", "ROLLBACK",
    ),
    "the end by a superuser": Script([*simple("BEGIN", "SELECT end_me()")], ends=True),
    "the end by a superuser, unasked": Script([z(query("SELECT 1; SELECT end_me(); SELECT pg_sleep(5)"))], ends=True),
    "the end by a superuser, extended": Script(
        [z(run("SELECT end_me()"), run("SELECT pg_sleep(5)"), sync())], ends=True,
    ),
    "cancelled by itself": simple("SELECT cancel_me()", "SELECT 1"),
    "vacuum and its like": simple(
        "VACUUM inbox", "ANALYZE inbox", "BEGIN", "VACUUM inbox", "ROLLBACK", "CHECKPOINT", "LOAD 'nothing'",
        "SELECT 1; VACUUM inbox", "REINDEX TABLE inbox", "CLUSTER",
    ),
    "its own user": simple(
        "SELECT current_user = session_user", "SELECT current_database()", "SELECT current_schema()",
        "SELECT pg_is_in_recovery()", "SELECT inet_client_port() IS NOT NULL AND false",
    ),
    "procedures": simple(
        "CALL commit_within()", "SELECT 1", "BEGIN", "CALL commit_within()", "ROLLBACK",
        "DO $$ BEGIN COMMIT; ROLLBACK; END $$",
    ),
}

FAMILIES = {"temporary": TEMPORARY, "cursor": CURSORS, "lock": LOCKS, "channel": CHANNELS, "session": REST}
