"""Attacks in bytes: what a client can do to the protocol, to Bulkhead's book-keeping and to its hand-over.

Each is a function of a scene (scene.py), told by @attack what it hopes for.
After each, arena.py checks what must hold after every attack.
"""

import socket
import struct

from arena import ATTACKER, PATIENCE, VICTIM, require
from cases import HARDENED
from collect import attack, refused_with
from harness import wire as w
from harness.postgres import HOST
from harness.stand import DATABASE


@attack("bytes behind SSLRequest are taken as if they came through TLS")
def bytes_behind_an_ssl_request(scene):
    with w.Wire.connect(HOST, scene.arena.proxy().port) as ear:
        refused_with(ear, "08P01", w.ssl_request(), w.startup({"user": "shop.globex", "database": DATABASE}))


@attack("a second StartupMessage while the password is asked for changes who is asking")
def second_startup_before_the_password(scene):
    with w.Wire.connect(HOST, scene.arena.proxy().port) as ear:
        ear.send(w.startup({"user": "intruder.acme", "database": DATABASE}))
        ear.read_sasl(w.AUTH_SASL)
        refused_with(ear, "08P01", w.startup({"user": "shop.globex", "database": DATABASE}))


@attack("a second StartupMessage in a session changes whose it is")
def second_startup_in_a_session(scene):
    refused_with(scene.acme, "08P01", w.startup({"user": "shop.globex", "database": DATABASE}))


@attack("statements sent before the password is checked run")
def query_before_the_password(scene):
    with w.Wire.connect(HOST, scene.arena.proxy().port) as ear:
        ear.send(w.startup({"user": "shop.globex", "database": DATABASE}))
        ear.read_sasl(w.AUTH_SASL)
        refused_with(ear, "08P01", w.query("SELECT item FROM orders"))


# ---- what runs behind what ----

@attack("bytes sent behind the end of a transaction run in the next tenant's context")
def statements_behind_a_rollback(scene):
    scene.acme.send(w.query("BEGIN"), w.query("SELECT 1"), w.query("ROLLBACK"), w.query("SELECT item FROM orders"),
                    w.query("DISCARD ALL"), w.query("SELECT item FROM orders"), w.query("SELECT item FROM orders"))
    scene.acme.until_ready(7)


@attack("the same, and the client is gone before they are answered")
def statements_behind_a_discard_and_gone(scene):
    scene.acme.send(w.query("DISCARD ALL"), *[w.query("SELECT item FROM orders")] * 20)
    scene.leave(ATTACKER, politely=False)
    scene.globex.query("SELECT item FROM orders")


@attack("statements without a Sync are still under way when the backend changes hands")
def extended_without_a_sync(scene):
    scene.acme.send(w.parse("INSERT INTO orders (id, item) VALUES (900, 'acme 900')"), w.bind(), w.execute(), w.flush())
    scene.acme.until("C")
    scene.leave(ATTACKER)


@attack("the rest of a message comes after the backend has changed hands")
def half_a_message(scene):
    text = w.query("SELECT item FROM orders")
    scene.acme.send(w.query("SELECT 1"), text[:9])
    scene.acme.until_ready()
    with scene.arena.open(VICTIM, 2):
        scene.acme.send(text[9:])
        scene.acme.until_ready()


@attack("a message byte by byte, with one of globex's in between")
def message_by_message(scene):
    for text in ("SELECT item FROM orders", "RESET ALL", "SELECT item FROM orders"):
        scene.acme.send_slowly(w.query(text))
        scene.acme.until_ready()


@attack("a long message's tail is left in the pipe")
def long_message_cut_off(scene):
    scene.acme.send(w.query("SELECT 1"))
    scene.acme.until_ready()
    scene.acme.send(w.message("Q", b"SELECT '" + b"x" * 100_000)[:50_000])
    scene.leave(ATTACKER, politely=False)


@attack("two statements in one text, parted by a NUL")
def nul_in_a_query(scene):
    scene.acme.send(w.message("Q", b"SELECT 1\0; SELECT item FROM orders\0"))
    require(w.errors(scene.acme.until_ready()) == ["08P01"], "a NUL in a Query")
    scene.acme.send(w.message("P", b"\0SELECT 1\0; SELECT item FROM orders\0\0\0"), w.sync())
    require(w.errors(scene.acme.until_ready()) == ["08P01"], "a NUL in a Parse")


@attack("a result that nobody reads is read by the next client")
def result_left_unread(scene):
    scene.acme.send(w.query("SELECT repeat('acme ', 1000) FROM generate_series(1, 5000)"))
    scene.acme.until("D")
    scene.leave(ATTACKER, politely=False)


@attack("a COPY that is given up in the middle, with a Sync in it, upsets the count of answers")
def copy_with_a_sync_inside(scene):
    scene.acme.query("CREATE TEMP TABLE t (x integer)")
    scene.acme.send(w.query("COPY t FROM STDIN"), w.copy_data("1\n"), w.sync(), w.copy_data("acme\n"), w.sync(),
                    w.copy_done(), w.sync(), w.query("SELECT item FROM orders"))
    scene.leave(ATTACKER, politely=False)
    scene.globex.query("SELECT item FROM orders")


@attack("a portal with rows left over is the next client's")
def portal_left_suspended(scene):
    scene.acme.send(w.parse("SELECT item FROM orders"), w.bind(portal="p"), w.execute("p", 1), w.flush())
    scene.acme.until("s")
    scene.leave(ATTACKER)
    scene.globex.send(w.execute("p"), w.sync())
    require(w.errors(scene.globex.until_ready()) == ["34000"], "the portal is there")


@attack("a statement's name is the next client's too")
def statement_left_under_a_name(scene):
    scene.acme.send(w.parse("SELECT 'acme'", "s1"), w.parse("SELECT 'acme'"), w.sync())
    scene.acme.until_ready()
    scene.leave(ATTACKER)
    for name in ("s1", ""):
        scene.globex.send(w.bind(statement=name), w.execute(), w.sync())
        require(w.errors(scene.globex.until_ready()) == ["26000"], "the statement is there")


@attack("a BEGIN that Bulkhead holds is sent when another client is in the backend")
def begin_held_and_left(scene):
    scene.acme.query("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY")
    scene.globex.query("INSERT INTO words (word) VALUES ('globex')")
    scene.globex.query("DELETE FROM words WHERE word = 'globex'")
    scene.leave(ATTACKER)


@attack("a BEGIN that Bulkhead holds carries more than a BEGIN")
def begin_with_a_tail(scene):
    for text in ("BEGIN; SELECT item FROM orders", "BEGIN READ ONLY; RESET ALL", "BEGIN/*;*/",
                 "BEGIN -- x\n; RESET ALL; SELECT item FROM orders", "START TRANSACTION; RESET ALL; COMMIT"):
        scene.acme.query(text)
        scene.acme.query("SELECT item FROM orders")
        scene.acme.query("ROLLBACK")


@attack("functions by number are called past everything that reads statements")
def function_call_messages(scene):
    session = scene.acme
    globex, globex_hex = scene.arena.words["globex"], scene.arena.words["globex_hex"]
    calls = [("pg_catalog.set_config(text,text,boolean)", [scene.arena.words["context"], globex_hex + ",", "f"]),
             ("pg_catalog.lo_creat(integer)", ["-1"]),
             ("pg_catalog.pg_terminate_backend(integer,bigint)", ["1", "0"]),
             ("bulkhead.register_key(text,text)", ["mine", "x"]),
             ("bulkhead.revoke_tenant(uuid)", [globex]),
             ("bulkhead.enter(text,text,text,text,text)", ["default", globex_hex, "", "1800000000000", "0" * 64])]
    for function, values in calls:
        oid = scene.ask_admin("SELECT %s::regprocedure::oid::bigint", function)
        session.send(w.function_call(oid, values))
        require(w.errors(session.until_ready()) == ["42501"], function)
    oid = scene.ask_admin("SELECT 'public.run(text)'::regprocedure::oid::bigint")
    session.send(w.function_call(oid, ["SET work_mem = '77MB'"]))
    session.until_ready()


ENTER = "SELECT bulkhead.enter($1,$2,$3,$4,$5)"


@attack("the very text that enter asks for, with values made up")
def enter_by_hand(scene):
    values = ["default", scene.arena.words["globex_hex"], "313033", "1800000000000", "0" * 64]
    for types in ((), (25,) * 5):
        scene.acme.send(w.parse(ENTER, types=types), w.bind(values), w.execute(), w.sync())
        require(w.errors(scene.acme.until_ready()) == ["42501"], "enter took what was made up")
    scene.acme.send(w.parse(ENTER), w.bind(["default"] + [None] * 4), w.execute(), w.sync())
    require(w.errors(scene.acme.until_ready()) == ["42501"], "enter took NULLs")


@attack("a cast of the attacker's own runs inside the very text that enter asks for")
def enter_with_a_type_of_ones_own(scene):
    session = scene.acme
    session.query("CREATE TYPE pg_temp.t AS (x integer)")
    session.query("CREATE FUNCTION pg_temp.f(pg_temp.t) RETURNS text LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'RESET ALL'; "
                  "RETURN (SELECT string_agg(item, ',') FROM public.orders); END $$")
    session.query("CREATE CAST (pg_temp.t AS text) WITH FUNCTION pg_temp.f(pg_temp.t) AS IMPLICIT")
    found = session.query("SELECT oid FROM pg_type WHERE typname = 't' AND typnamespace = pg_my_temp_schema()")
    oid = int(w.rows(found)[0][0]) if w.rows(found) else 25
    session.send(w.parse(ENTER, types=(oid,) * 5), w.bind(["(1)"] * 5), w.execute(), w.sync())
    require(w.errors(session.until_ready()), "enter took what was made up")


# ---- cancelling ----

@attack("a cancel request with a guessed key", pool=2)
def cancel_by_guess(scene):
    scene.globex.send(w.query("SELECT pg_advisory_unlock_all(), count(*) FROM generate_series(1, 1000000)"))
    for pid in (scene.globex.pid, *scene.arena.proxy(2).backends()):
        for key in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0" * 32):
            with socket.create_connection((HOST, scene.arena.proxy(2).port), timeout=PATIENCE) as other:
                other.sendall(w.cancel_request(pid, key))
                require(other.recv(1) == b"", "a cancel request was answered")
    require(w.errors(scene.globex.until_ready()) == [], "globex was cancelled")


@attack("one's own key cancels whoever has the backend now")
def cancel_of_a_backend_passed_on(scene):
    scene.acme.query("SELECT 1")
    scene.globex.send(w.query("SELECT count(*) FROM generate_series(1, 1000000)"))
    for _ in range(5):
        scene.acme.cancel()
    require(w.errors(scene.globex.until_ready()) == [], "globex was cancelled")


@attack("a cancel that is late hits the next client")
def cancel_and_gone(scene):
    for _ in range(3):
        session = scene.login("hasty")
        session.send(w.query("SELECT count(*) FROM generate_series(1, 3000000)"))
        session.cancel()
        scene.leave("hasty", politely=False)
        require(w.errors(scene.globex.query("SELECT count(*) FROM orders")) == [], "globex was cancelled")
        scene.leave(VICTIM)


# ---- the check of a new backend ----

@attack("a setting of the shared login's, put back while a new backend is on its way", under=HARDENED)
def login_settings_put_back_in_time(scene):
    admin = scene.arena.admin
    for setting, where in (("DateStyle = 'German'", ""), ("search_path = pg_temp", ""),
                           ("default_transaction_read_only = on", "IN DATABASE shop")):
        admin.execute(f"ALTER ROLE bulkhead_pool {where} SET {setting}")
        with scene.arena.stand.admin(user="bulkhead_pool") as backend:
            admin.execute(f"ALTER ROLE bulkhead_pool {where} RESET ALL")
            faults, = backend.execute("SELECT faults FROM bulkhead.self_check()").fetchone()
        require("this session began with a setting of its login" in faults, setting, "was not seen:", faults)


@attack("the same, with a setting of the application's own", under=HARDENED, residue="PostgreSQL does not list settings of "
        "unknown prefixes, and the catalogue no longer has it", residue_both="ALTER ROLE is refused to tenants; whoever else "
        "may, could")
def application_settings_put_back_in_time(scene):
    admin = scene.arena.admin
    admin.execute("ALTER ROLE bulkhead_pool SET app.word = 'acme'")
    with scene.arena.stand.admin(user="bulkhead_pool") as backend:
        admin.execute("ALTER ROLE bulkhead_pool RESET ALL")
        found = backend.execute("SELECT faults, current_setting('app.word') FROM bulkhead.self_check()").fetchone()
    require(found == ("", "acme"), "no residue any more:", found)


# ---- sizes ----

@attack("a length that wraps around")
def lengths_out_of_range(scene):
    for length in (0, 3, 0x7fffffff, 0x80000000, 0xffffffff):
        session = scene.login("sizes")
        session.send(b"Q" + struct.pack("!I", length) + b"SELECT 1\0")
        require(w.errors(session.until_end()), "no error for length", length)
        scene.leave("sizes")


@attack("unknown messages are passed on to the server")
def unknown_messages(scene):
    for kind in "\0AGKNRTVWZpv\xff":
        session = scene.login("kinds")
        session.send(kind.encode("latin-1") + struct.pack("!I", 4))
        require(w.errors(session.until_end()) == ["08P01"], "message", repr(kind))
        scene.leave("kinds")


# ---- the hand-over ----

# So many temporary tables that DISCARD ALL takes longer than the millisecond that is left to it.
MUCH_TO_DISCARD = """DO $$ BEGIN
    FOR i IN 1..150 LOOP EXECUTE format('CREATE TEMP TABLE t%s (x integer PRIMARY KEY)', i); END LOOP;
END $$"""


def require_discard_failed(scene, before):
    """Under standard hardening, that is: strict allows no temporary tables, and DISCARD ALL is quick."""
    log = scene.arena.proxy().log_text()[before:]
    require(scene.gated or scene.arena.run.hardening == "strict" or '"discarding failed"' in log, "DISCARD ALL did not fail:", log)


@attack("the hand-over fails half way: a timeout too short for it, and much to discard")
def discard_that_times_out(scene):
    before = len(scene.arena.proxy().log_text())
    scene.acme.query(MUCH_TO_DISCARD)
    scene.acme.query("SET statement_timeout = 1")
    scene.leave(ATTACKER)
    scene.globex.query("SELECT item FROM orders")
    require_discard_failed(scene, before)


@attack("the same, with the seal emptied out of sight and nothing that pins: globex's enter comes right behind "
        "what discards, and would succeed in acme's session")
def discard_that_times_out_without_a_seal(scene):
    text = MUCH_TO_DISCARD.replace("'", "''")
    scene.acme.query(f"SELECT run('{text}; CREATE TEMP VIEW orders AS SELECT ''acme''::text AS item')")
    scene.acme.query("SELECT run('RESET ALL; SET application_name = ''''; SET statement_timeout = 1')")
    scene.leave(ATTACKER)
    scene.globex.query("SELECT item FROM orders")


@attack("a flood of messages in the middle of the hand-over")
def debug_flood(scene):
    scene.acme.query("CREATE TEMP TABLE t (x integer)")
    scene.acme.query("LISTEN news")
    scene.acme.query("SET client_min_messages = debug5")
    scene.acme.send(*[w.query("NOTIFY news, 'acme'")] * 50)
    scene.acme.until_ready(50)
    scene.leave(ATTACKER)


@attack("a failed transaction, or an open one, is handed over")
def transactions_left_abruptly(scene):
    for statements in (["BEGIN", "SELECT 1"], ["BEGIN", "SELECT 1 / 0"], ["BEGIN", "DECLARE c CURSOR FOR SELECT 1"],
                       ["BEGIN", "SAVEPOINT s", "LOCK TABLE orders"]):
        session = scene.login("abrupt")
        for statement in statements:
            session.query(statement)
        scene.leave("abrupt", politely=False)
        require(w.rows(scene.globex.query("SELECT count(*) FROM orders")) == [["20"]], statements)
        scene.leave(VICTIM)


@attack("many sessions of acme's, each dropped at another byte of its statement")
def sessions_dropped_at_every_byte(scene):
    data = w.query("RESET ALL") + w.parse("SELECT item FROM orders") + w.bind() + w.execute() + w.sync()
    for size in range(1, len(data), 6):
        scene.login("dropped").send(data[:size])
        scene.leave("dropped", politely=False)
    scene.globex.query("SELECT item FROM orders")
