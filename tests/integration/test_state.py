"""What a client has in its session: settings follow it from backend to backend, the rest keeps it on one while it lasts."""

import random
from contextlib import contextmanager

import pytest
from harness.unseen import unseen
from harness.wait import wait_for
from harness.wire import bind, close, errors, execute, flush, parse, query, rows, sync, types

ONE, TWO = {"pool": {"default_pool_size": 1}}, {"pool": {"default_pool_size": 2}}
ODD = ["it's", "back\\slash", '"quoted"', "äöü€ 漢字 🐘", "  blanks  ", "a\nb\tc", "$1 $$ $x$", "''", "\\'; RESET ALL; --", "E'x'"]


def literal(value):
    return "'" + value.replace("'", "''") + "'"


def show(wire, *names):
    """The values of these settings."""
    found = wire.query("SELECT " + ", ".join(f"current_setting('{name}', true)" for name in names))
    (values,), = [rows(found)]
    return values if len(names) > 1 else values[0]


def tell(wire, *statements):
    """Runs statements that must succeed; the last one's answers."""
    for statement in statements:
        found = wire.query(statement)
        assert not errors(found), (statement, errors(found))
    return found


@pytest.fixture(name="proxy", scope="module")
def fixture_proxy(stand):
    with stand.proxy(**ONE) as proxy:
        yield proxy


@pytest.fixture(name="pair")
def fixture_pair(proxy):
    """Two clients of one tenant on one backend."""
    with proxy.wire("acme") as one, proxy.wire("acme") as other:
        yield one, other


@contextmanager
def three(proxy, **keys):
    """A client with these startup keys, another of its tenant, and one of another tenant's: all on one backend."""
    with proxy.wire("acme", **keys) as one, proxy.wire("acme") as other, proxy.wire("globex") as foreign:
        yield one, other, foreign


def is_free(*wires):
    """Are these clients served: does nobody keep the one backend?"""
    for wire in wires:
        wire.send(query("SELECT 'served'"))
    return all(not wire.is_silent(5) and rows(wire.until_ready()) == [["served"]] for wire in wires)


def is_kept_from(wire):
    """Does this client wait, for somebody keeps the one backend? Its statement is under way then."""
    wire.send(query("SELECT 'served at last'"))
    return wire.is_silent(0.4)


def assert_served_at_last(wire):
    assert rows(wire.until_ready()) == [["served at last"]]


# ---- settings follow ----

FORMS = {
    "SET": "SET app.x = {}", "SET TO": "SET app.x TO {}", "SET SESSION": "SET SESSION app.x = {}",
    "set_config": "SELECT set_config('app.x', {}, false)",
    "in a transaction": "BEGIN; SET app.x = {}; COMMIT",
    "with others": "SELECT 1; SET app.x = {}; SELECT 2",
    "name in capitals": "SET App.X = {}",
}


@pytest.mark.parametrize("form", FORMS)
def test_two_clients_alternate_on_one_backend(proxy, form):
    """Each with values of its own, byte by byte, and other tenants in between."""
    with three(proxy) as wires:
        for n, value in enumerate(ODD):
            for number, wire in enumerate(wires):
                tell(wire, FORMS[form].format(literal(f"{number} {value}")))
            for number, wire in random.Random(n).sample(list(enumerate(wires)), 3):
                assert show(wire, "app.x") == f"{number} {value}"


@pytest.mark.xfail(strict=True, reason="what a function sets that PostgreSQL does not report is not known to Bulkhead")
@pytest.mark.parametrize("name, value", [("app.x", "set by a function"), ("work_mem", "7MB"), ("search_path", "pg_catalog")])
def test_what_a_function_sets(proxy, name, value):
    """It is the client's, as anything it sets, and nobody else's."""
    with three(proxy) as (one, other, _):
        before = show(other, name)
        tell(one, f"DO $$ BEGIN PERFORM set_config('{name}', '{value}', false); END $$")
        assert show(other, name) == before
        assert show(one, name) == value


@pytest.mark.parametrize("value, shown", [
    ("'TENANTA'", '"TENANTA"'), ('"TENANTA"', '"TENANTA"'), ("TENANTA", "tenanta"), ("'a, b'", '"a, b"'),
    ("a, b", "a, b"), ("a, 'B'", 'a, "B"'), ("''", '""'), ("'$user', public", '"$user", public'),
    ("'it''s'", '"it\'s"'), ("'a\"b'", '"a""b"'), ("'ä'", None), ("pg_temp, public", "pg_temp, public"),
    ('"select", "user"', None),
])
@pytest.mark.parametrize("form", ["SET search_path = {}", "BEGIN; SET search_path TO {}; COMMIT"])
def test_search_path(proxy, pair, form, value, shown):
    one, other = pair
    tell(one, form.format(value))
    first = show(one, "search_path")  # perhaps where it was SET
    assert shown is None or first == shown
    tell(other, "SET search_path = elsewhere")
    assert show(other, "search_path") == "elsewhere"
    assert show(one, "search_path") == first
    assert rows(one.query("SHOW search_path")) == [[first]]
    tell(one, "RESET search_path")
    assert show(one, "search_path") == '"$user", public'
    assert show(other, "search_path") == "elsewhere"


@pytest.mark.parametrize("statement, name, shown", [
    ("SET work_mem = 1234", "work_mem", "1234kB"), ("SET work_mem = '1234kB'", "work_mem", "1234kB"),
    ("SET work_mem = '2MB'", "work_mem", "2MB"), ("SET statement_timeout = '90s'", "statement_timeout", "90s"),
    ("SET timezone = 'Asia/Tokyo'", "timezone", "Asia/Tokyo"), ("SET TIME ZONE 'Asia/Tokyo'", "timezone", "Asia/Tokyo"),
    ("SET TIME ZONE 5", "timezone", None), ("SET TIME ZONE -3.5", "timezone", None),
    ("SET TIME ZONE INTERVAL '-08:30' HOUR TO MINUTE", "timezone", None),
    ("SET TIME ZONE LOCAL", "timezone", None), ("SET datestyle = 'German'", "datestyle", "German, DMY"),
    ("SET datestyle = 'MDY'", "datestyle", "ISO, MDY"), ("SET datestyle = SQL, YMD", "datestyle", "SQL, YMD"),
    ("SET intervalstyle = sql_standard", "intervalstyle", "sql_standard"), ("SET extra_float_digits = -3", "extra_float_digits", "-3"),
    ("SET enable_seqscan = off", "enable_seqscan", "off"), ("SET enable_seqscan = 'f'", "enable_seqscan", "off"),
    ("SET enable_seqscan TO false", "enable_seqscan", "off"), ("SET random_page_cost = 1.23456789", "random_page_cost", None),
    ("SET bytea_output = 'escape'", "bytea_output", "escape"), ("SET NAMES 'LATIN1'", "client_encoding", "LATIN1"),
    ("SET client_encoding TO 'latin1'", "client_encoding", None), ("SET client_min_messages = error", "client_min_messages", "error"),
    ("SET application_name = 'it''s me'", "application_name", "it's me"),
    ("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE", "default_transaction_isolation", "serializable"),
    ("SET default_transaction_read_only = on", "default_transaction_read_only", "on"),
    ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY, DEFERRABLE", "default_transaction_deferrable", "on"),
    ("SET synchronous_commit = off", "synchronous_commit", "off"), ("SET lock_timeout = 1500", "lock_timeout", "1500ms"),
    ("SET row_security = off", "row_security", "off"), ("SET xmloption = document", "xmloption", "document"),
])
def test_settings_of_all_kinds(stand, statement, name, shown):
    """What PostgreSQL makes of it stays with the client that said it, and with none else."""
    with stand.admin() as admin:  # what it shows directly
        admin.execute(statement)
        direct = admin.execute(f"SELECT current_setting('{name}')").fetchone()[0]
        assert shown in (None, direct)
    with stand.proxy(**ONE) as proxy, three(proxy) as (one, other, foreign):
        before = [show(wire, name) for wire in (one, other, foreign)]
        tell(one, statement)
        kept = is_kept_from(other)
        assert show(one, name) == direct
        if kept:
            tell(one, "DISCARD ALL")
            assert_served_at_last(other)
        else:
            assert_served_at_last(other)
            for _ in range(2):
                assert show(other, name) == before[1] and show(foreign, name) == before[2]
                assert show(one, name) == direct
            tell(one, f"RESET {name}")
        assert show(one, name) == before[0]


def test_many_settings_of_many_clients(stand):
    """Chance says who sets, resets and looks; a model of each client's settings says what it must see."""
    dice = random.Random(7)
    default = {"work_mem": "4MB", "statement_timeout": "0", "app.a": None, "app.b": None, "search_path": '"$user", public'}
    values = {"work_mem": ["5MB", "6MB"], "statement_timeout": ["1min", "2min"], "app.a": ODD, "app.b": ODD,
              "search_path": ["public", "pg_catalog"]}
    with stand.proxy(**TWO) as proxy:
        wires = [proxy.wire(tenant) for tenant in ("acme", "acme", "globex", "globex")]
        models = [dict(default) for _ in wires]
        for _ in range(500):
            number = dice.randrange(4)
            wire, model, name = wires[number], models[number], dice.choice(list(default))
            value, roll = dice.choice(values[name]), dice.random()
            if roll < 0.3:
                tell(wire, f"SET {name} = {literal(value)}")
                model[name] = value
            elif roll < 0.4:
                tell(wire, f"BEGIN; SET {name} = {literal(value)}; ROLLBACK")
                model[name] = model[name] or ("" if name.startswith("app.") else None)
            elif roll < 0.5:
                tell(wire, f"RESET {name}")
                model[name] = default[name]
            elif roll < 0.53:
                tell(wire, dice.choice(("RESET ALL", "DISCARD ALL")))
                model.update(default)
            seen = dict(zip(default, show(wire, *default)))
            for each, expected in model.items():  # a name once used is empty and not missing: PostgreSQL's own way
                assert seen[each] == expected or (not expected and not seen[each]), (number, each)
        for wire in wires:
            wire.close()


# ---- rollbacks and savepoints ----

UNDONE = {
    "rollback": (["BEGIN", "SET app.x = 'inside'", "ROLLBACK"], "before"),
    "commit": (["BEGIN", "SET app.x = 'inside'", "COMMIT"], "inside"),
    "error": (["BEGIN", "SET app.x = 'inside'", "SELECT 1/0", "COMMIT"], "before"),
    "error in one query": (["SET app.x = 'inside'; SELECT 1/0"], "before"),
    "savepoint": (["BEGIN", "SET app.x = 'one'", "SAVEPOINT s", "SET app.x = 'two'", "ROLLBACK TO s", "COMMIT"], "one"),
    "released": (["BEGIN", "SAVEPOINT s", "SET app.x = 'two'", "RELEASE s", "COMMIT"], "two"),
    "released, rolled back": (["BEGIN", "SAVEPOINT s", "SET app.x = 'two'", "RELEASE s", "ROLLBACK"], "before"),
    "local": (["BEGIN", "SET LOCAL app.x = 'local'", "COMMIT"], "before"),
    "local after": (["BEGIN", "SET app.x = 'set'", "SET LOCAL app.x = 'local'", "COMMIT"], "set"),
    "local outside": (["SET LOCAL app.x = 'local'"], "before"),
    "set_config local": (["BEGIN", "SELECT set_config('app.x', 'local', true)", "COMMIT"], "before"),
    "reset rolled back": (["BEGIN", "RESET app.x", "ROLLBACK"], "before"),
    "reset all rolled back": (["BEGIN", "RESET ALL", "ROLLBACK"], "before"),
    "reset all to savepoint": (["BEGIN", "SAVEPOINT s", "RESET ALL", "ROLLBACK TO s", "COMMIT"], "before"),
    "reset all, then set": (["BEGIN", "RESET ALL", "SET app.x = 'after'", "COMMIT"], "after"),
    "chained": (["BEGIN", "SET app.x = 'one'", "COMMIT AND CHAIN", "SET app.x = 'two'", "ROLLBACK"], "one"),
    "begin in a query": (["BEGIN; SET app.x = 'inside'", "ROLLBACK"], "before"),
    "commit and set": (["BEGIN; SET app.x = 'in'; COMMIT; SET app.x = 'out'"], "out"),
    "caught": (["DO $$ BEGIN PERFORM set_config('app.x', 'caught', false); PERFORM 1/0; "
                "EXCEPTION WHEN OTHERS THEN NULL; END $$"], "before"),
    "hidden reset rolled back": (["BEGIN", "DO 'BEGIN RESET ALL; END'", "ROLLBACK"], "before"),
    "set twice in a query": (["SET app.x = 'one'; SET app.x = 'two'"], "two"),
    "commit fails": (["BEGIN", "CREATE TEMP TABLE d (x int UNIQUE DEFERRABLE INITIALLY DEFERRED) ON COMMIT DROP",
                      "INSERT INTO d VALUES (1), (1)", "SET app.x = 'inside'", "COMMIT"], "before"),
}


@pytest.mark.parametrize("kind", UNDONE)
@pytest.mark.parametrize("form", ["simple", "extended", "at once"])
def test_what_a_transaction_makes_of_a_setting(pair, kind, form):
    one, other = pair
    tell(one, "SET app.x = 'before'")
    tell(other, "SET app.x = 'the other''s'")
    statements, expected = UNDONE[kind]
    if form == "extended":
        statements = [part for statement in statements for part in
                      ([statement] if "$$" in statement else [each.strip() for each in statement.split(";")])]
        if kind == "error in one query":
            one.send(*[part for each in statements for part in (parse(each), bind(), execute())], sync())
            one.until_ready()
        else:
            for each in statements:
                one.send(parse(each), bind(), execute(), sync())
                one.until_ready()
    elif form == "at once":
        one.send(*[query(each) for each in statements])
        one.until_ready(len(statements))
    else:
        for each in statements:
            one.query(each)
    for _ in range(2):
        assert show(one, "app.x") == expected
        assert show(other, "app.x") == "the other's"


@pytest.mark.parametrize("name, before, inside", [("search_path", '"A", public', "b"), ("work_mem", "5MB", "6MB"),
                                                  ("timezone", "Asia/Tokyo", "UTC"), ("app.x", "x", "y"),
                                                  ("datestyle", "German, DMY", "SQL, YMD")])
@pytest.mark.parametrize("came_with", [False, True])
@pytest.mark.parametrize("undo", ["SELECT 1/0", "BEGIN; SET {name} = {inside}; ROLLBACK", "SET {name} = {inside}; SELECT 1/0",
                                  "BEGIN; SET {name} = {inside}; SELECT 1/0", "DISCARD ALL; SELECT 1"])
def test_a_failure_leaves_a_setting_as_it_was(proxy, name, before, inside, came_with, undo):
    with three(proxy, **({name: before} if came_with else {})) as (one, other, foreign):
        if not came_with:
            tell(one, "SET " + name + " = " + (before if name in ("search_path", "datestyle") else literal(before)))
        untouched = show(other, name)
        one.query(undo.format(name=name, inside=inside if name in ("search_path", "datestyle") else literal(inside)))
        one.query("ROLLBACK")
        for _ in range(2):
            assert show(one, name) == before
            assert show(other, name) == show(foreign, name) == untouched


def test_a_set_behind_a_transaction_that_a_batch_began(pair):
    """A Query right behind extended messages without a Sync runs in the transaction that they began."""
    one, other = pair
    tell(one, "SET app.x = 'before'")
    one.send(parse("SELECT 1"), bind(), execute(), parse("BEGIN"), bind(), execute(), query("SET app.x = 'inside'"))
    assert one.until_ready()[-1].status == "T"
    tell(one, "ROLLBACK")
    one.send(sync())  # the batch has no end before
    one.until_ready()
    assert show(other, "app.x") in (None, "")
    assert show(one, "app.x") == "before"


# ---- resets, and what the client came with ----

STARTUP = {"options": "-c work_mem=5MB -c app.x=came\\ with", "TimeZone": "Asia/Tokyo", "application_name": "the app",
           "search_path": '"TENANTA", public'}
CAME_WITH = ["5MB", "came with", "Asia/Tokyo", "the app", '"TENANTA", public']
NAMES = ("work_mem", "app.x", "timezone", "application_name", "search_path")
CHANGES = ("SET work_mem = '6MB'", "SET app.x = 'changed'", "SET timezone = 'UTC'", "SET application_name = 'changed'",
           "SET search_path = public")


@pytest.mark.parametrize("statement", ["RESET ALL", "DISCARD ALL", "BEGIN; RESET ALL; COMMIT", "SELECT 1; RESET ALL",
                                       "DO 'BEGIN RESET ALL; END'", "reset all;"])
@pytest.mark.parametrize("form", ["simple", "extended"])
def test_all_go_back_to_what_the_client_came_with(proxy, statement, form):
    with three(proxy, **STARTUP) as (one, other, foreign):
        assert show(one, *NAMES) == CAME_WITH
        tell(one, *CHANGES)
        tell(other, *CHANGES)
        if form == "simple":
            found = tell(one, statement)
            if statement == "DISCARD ALL":
                assert [m.tag for m in found if m.type == "C"] == ["DISCARD ALL"]
            elif not statement.startswith("DO"):
                assert "RESET" in [m.tag for m in found if m.type == "C"]
        else:
            for each in statement.split(";") if "DO" not in statement else [statement]:
                one.send(parse(each), bind(), execute(), sync())
                assert not errors(one.until_ready())
        assert show(one, *NAMES) == CAME_WITH
        assert show(other, *NAMES) == ["6MB", "changed", "UTC", "changed", "public"]
        assert show(foreign, "work_mem", "application_name") == ["4MB", ""]
        assert show(one, *NAMES) == CAME_WITH


@pytest.mark.parametrize("number", range(len(NAMES)))
@pytest.mark.parametrize("form", ["RESET {}", "SET {} TO DEFAULT", "SET SESSION {} = DEFAULT", "BEGIN; RESET {}; COMMIT"])
def test_one_goes_back_to_what_the_client_came_with(proxy, form, number):
    with three(proxy, **STARTUP) as (one, other, _):
        tell(one, *CHANGES)
        found = tell(one, form.format(NAMES[number]))
        assert ("RESET" if "RESET" in form else "SET") in [m.tag for m in found if m.type == "C"]
        assert show(one, NAMES[number]) == CAME_WITH[number]
        assert show(other, "work_mem") == "4MB"
        assert show(one, NAMES[number]) == CAME_WITH[number]
        others = [n for n in range(len(NAMES)) if n != number]
        assert show(one, *[NAMES[n] for n in others]) == [["6MB", "changed", "UTC", "changed", "public"][n] for n in others]


def test_reset_all_keeps_the_seal(proxy):
    """In one query with what needs it, and in a transaction."""
    with three(proxy) as (one, other, foreign):
        for wire, tenant in ((one, "acme"), (foreign, "globex"), (other, "acme")):
            for statement in ("RESET ALL; SELECT min(split_part(item, ' ', 1)) FROM orders",
                              "BEGIN; RESET ALL; SELECT min(split_part(item, ' ', 1)) FROM orders; COMMIT",
                              "SELECT 1;" * 70 + "RESET ALL; SELECT min(split_part(item, ' ', 1)) FROM orders"):
                assert rows(tell(wire, statement))[-1] == [tenant]


WHOSE = "SELECT min(split_part(item, ' ', 1)) FROM orders"


@pytest.mark.parametrize("behind", [
    [query(WHOSE)], [parse(WHOSE), bind(), execute(), sync()], [sync(), query(WHOSE)],
    [query("BEGIN"), query(WHOSE), query("COMMIT")]], ids=["query", "batch", "sync", "transaction"])
@pytest.mark.parametrize("tail", [[sync()], [close("none"), flush(), sync()]], ids=["sync", "close"])
def test_what_is_sent_right_behind_a_discard_all_has_its_context(proxy, behind, tail):
    discard = [parse("DISCARD ALL"), bind(), execute(), *tail]
    with three(proxy, **STARTUP) as (one, *_):
        tell(one, *CHANGES)
        one.send(*discard, *behind, query("SELECT current_setting('app.x')"))
        count = sum(part[:1] in (b"S", b"Q") for part in behind)
        found = [one.until_ready() for _ in range(count + 2)]
        assert not any(map(errors, found))
        assert ["acme"] in sum(map(rows, found), []) and rows(found[-1]) == [["came with"]]


def test_a_discard_all_in_one_batch_with_what_needs_a_context(proxy):
    """There is no place to restore it: it fails, shows nothing, and the next one has it."""
    with three(proxy) as (one, *_):
        one.send(parse("DISCARD ALL"), bind(), execute(), parse(WHOSE), bind(), execute(), sync())
        assert errors(one.until_ready()) == ["25000"]
        assert rows(one.query(WHOSE)) == [["acme"]]


def test_names_that_are_reported(stand):
    """A client is told of what it has changed itself, and of nothing that others have."""
    with stand.proxy(**ONE) as proxy, three(proxy) as (one, other, foreign):
        def told(found):
            return dict(m.body.rstrip(b"\0").decode().split("\0") for m in found if m.type == "S")

        assert told(tell(one, "SET timezone = 'Asia/Tokyo'")) == {"TimeZone": "Asia/Tokyo"}
        assert told(tell(other, "SELECT 1")) == {} == told(tell(foreign, "SELECT 1"))
        assert told(tell(one, "SELECT 1")) == {}
        assert told(tell(one, "BEGIN; SET timezone = 'UTC'; ROLLBACK")).get("TimeZone") in (None, "Asia/Tokyo")
        assert show(one, "timezone") == "Asia/Tokyo"


# ---- pins that come and go ----

COME_AND_GO = {
    "temporary table": ("CREATE TEMP TABLE t (x int)", "DROP TABLE t"),
    "two temporary tables": ("CREATE TEMP TABLE t (x int); CREATE TEMP TABLE u (x int)", "DROP TABLE t, u"),
    "table AS": ("SELECT 1 AS x INTO TEMP t", "DROP TABLE IF EXISTS t"),
    "temporary view": ("CREATE TEMP VIEW v AS SELECT 1", "DROP VIEW v"),
    "temporary sequence": ("CREATE TEMP SEQUENCE s", "DROP SEQUENCE s"),
    "temporary type": ("CREATE TYPE pg_temp.t AS (x int)", "DROP TYPE pg_temp.t"),
    "temporary function": ("CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP FUNCTION pg_temp.f()"),
    "discard temp": ("CREATE TEMP TABLE t (x int)", "DISCARD TEMP"),
    "listen": ("LISTEN x", "UNLISTEN x"), "unlisten all": ("LISTEN x; LISTEN y", "UNLISTEN *"),
    "cursor": ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", "CLOSE c"),
    "cursor in a transaction": ("BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 1; COMMIT", "CLOSE ALL"),
    "lock": ("SELECT pg_advisory_lock(7)", "SELECT pg_advisory_unlock(7)"),
    "locks": ("SELECT pg_advisory_lock(7), pg_try_advisory_lock(8)", "SELECT pg_advisory_unlock_all()"),
    "lock taken twice": ("SELECT pg_advisory_lock(7), pg_advisory_lock(7)",
                         "SELECT pg_advisory_unlock(7), pg_advisory_unlock(7)"),
    "prepare": ("PREPARE p AS SELECT 1", "DEALLOCATE p"), "deallocate all": ("PREPARE p AS SELECT 1", "DEALLOCATE ALL"),
    "role": ("SET ROLE bulkhead_app", "RESET ROLE"), "role none": ("SET ROLE bulkhead_app", "SET ROLE NONE"),
    "in a DO": ("DO $$ BEGIN EXECUTE 'LISTEN x'; END $$", "DO $$ BEGIN EXECUTE 'UNLISTEN x'; END $$"),
    "set_config of a role": ("SELECT set_config('role', 'bulkhead_app', false)", "SELECT set_config('role', 'none', false)"),
    "discard all": ("LISTEN x; CREATE TEMP TABLE t (x int); PREPARE p AS SELECT 1", "DISCARD ALL"),
    "everything in turn": ("LISTEN x; CREATE TEMP TABLE t (x int)", "UNLISTEN x; DROP TABLE t"),
}


@pytest.mark.parametrize("kind", COME_AND_GO)
def test_a_backend_is_kept_while_it_is_needed(proxy, kind):
    come, go = COME_AND_GO[kind]
    with three(proxy) as (one, other, foreign):
        tell(one, come)
        assert is_kept_from(other)
        assert rows(tell(one, "SELECT 'goes on'")) == [["goes on"]]
        assert other.is_silent(0.1)
        tell(one, go)
        assert_served_at_last(other)
        assert is_free(foreign, other, one)


@pytest.mark.parametrize("kind", COME_AND_GO)
def test_a_backend_of_a_client_that_leaves(stand, proxy, kind):
    """Nothing is left for the next one, of its tenant or of another."""
    with three(proxy) as (one, other, foreign):
        tell(one, COME_AND_GO[kind][0])
        one.close()
        for wire, tenant in ((other, "acme"), (foreign, "globex")):
            assert rows(tell(wire, "SELECT (SELECT count(*) FROM pg_listening_channels()), (SELECT count(*) FROM pg_cursors "
                                   "WHERE name <> ''), (SELECT count(*) FROM pg_class WHERE relnamespace = "
                                   "pg_my_temp_schema()), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), "
                                   "current_user")) == [["0", "0", "0", "0", stand.login(tenant)]]
            assert errors(wire.query("EXECUTE p")) == ["26000"]
            tell(wire, "DISCARD ALL")


NOTHING_STAYS = {
    "rolled back": "BEGIN; CREATE TEMP TABLE t (x int); ROLLBACK", "error": "CREATE TEMP TABLE t (x int); SELECT 1/0",
    "dropped": "CREATE TEMP TABLE t (x int); DROP TABLE t",
    "on commit drop": "BEGIN; CREATE TEMP TABLE t (x int) ON COMMIT DROP; COMMIT",
    "listen rolled back": "BEGIN; LISTEN x; ROLLBACK", "cursor of a transaction": "BEGIN; DECLARE c CURSOR FOR SELECT 1; COMMIT",
    "lock of a transaction": "BEGIN; SELECT pg_advisory_xact_lock(7); COMMIT", "failed lock": "SELECT pg_advisory_unlock(99)",
    "local role": "BEGIN; SET LOCAL ROLE bulkhead_app; COMMIT", "DO": "DO 'BEGIN END'", "SET": "SET app.x = 'y'",
    "set_config": "SELECT set_config('app.x', 'y', false)", "notify": "NOTIFY x", "select": "SELECT count(*) FROM orders",
    "unlisten": "UNLISTEN *", "close all": "CLOSE ALL", "explain": "EXPLAIN SELECT * FROM orders", "show": "SHOW ALL",
    "driver's reset": "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;",
}


@pytest.mark.parametrize("kind", NOTHING_STAYS)
def test_a_backend_is_free_when_nothing_stays(proxy, kind):
    with three(proxy) as (one, other, foreign):
        one.query(NOTHING_STAYS[kind])
        assert is_free(other, foreign, one)


def test_a_pin_and_settings_together(proxy):
    """A client that keeps its backend sets and resets there, and takes its settings along when it lets go."""
    with three(proxy, **STARTUP) as (one, other, _):
        tell(one, "CREATE TEMP TABLE t (x int)", "SET work_mem = '7MB'", "SET app.x = 'kept'")
        assert show(one, "work_mem", "app.x") == ["7MB", "kept"]
        tell(one, "DROP TABLE t")
        assert show(other, "work_mem") == "4MB"
        assert show(one, "work_mem", "app.x") == ["7MB", "kept"]
        tell(one, "CREATE TEMP TABLE t (x int)", "RESET ALL", "INSERT INTO t VALUES (1)")
        assert show(one, *NAMES) == CAME_WITH
        tell(one, "DROP TABLE t")
        assert show(other, "work_mem") == "4MB"
        assert show(one, *NAMES) == CAME_WITH


def test_notifications_reach_who_listens(stand):
    with stand.proxy(**TWO) as proxy, proxy.wire("acme") as one, proxy.wire("acme") as other:
        tell(one, "LISTEN news")
        tell(other, "NOTIFY news, 'hello'")
        assert b"news\0hello\0" in one.until("A")[-1].body
        tell(one, "UNLISTEN news")
        tell(other, "NOTIFY news, 'unheard'")
        assert one.is_silent()


# ---- clients that leave ----

@pytest.mark.parametrize("statement", ["SET app.x = 'left'", "SELECT set_config('app.x', 'left', false)", "RESET ALL",
                                       "SET work_mem = '9MB'", "BEGIN; SET app.x = 'left'; COMMIT", "SET search_path = nowhere"])
@pytest.mark.parametrize("how", ["at once", "behind its answer"])
def test_a_client_that_leaves_right_behind_a_set(stand, statement, how):
    """Its backend serves the next ones, in the same process, with nothing of it."""
    with stand.proxy(**ONE) as proxy, proxy.wire("acme") as other, proxy.wire("globex") as foreign:
        for turn in range(5):
            with proxy.wire("acme") as one:
                tell(one, "SELECT 1")
                before = proxy.backends()
                one.send(query(statement))
                if how == "behind its answer":
                    one.until_ready()
            for wire in (other, foreign):
                found = rows(tell(wire, "SELECT coalesce(current_setting('app.x', true), ''), current_setting('work_mem'), "
                                        "current_setting('search_path'), min(split_part(item, ' ', 1)) FROM public.orders"))
                assert found == [["", "4MB", '"$user", public', "acme" if wire is other else "globex"]]
            if how == "behind its answer":
                assert proxy.backends() == before, turn


def test_what_is_not_seen_is_not_left(stand):
    """A view sets something: it may stay with the tenant's backend, never with another tenant's."""
    with unseen(stand, setting="SELECT set_config('app.x', 'unseen', false)", listen="LISTEN unseen") as look, \
            stand.proxy(**ONE) as proxy, three(proxy) as (one, _, foreign):
        tell(one, look["setting"], look["listen"])
        assert rows(tell(foreign, "SELECT coalesce(current_setting('app.x', true), ''), "
                                  "(SELECT count(*) FROM pg_listening_channels())")) == [["", "0"]]


def test_settings_cost_nothing_where_they_are_equal(stand):
    """A backend is not told again what it has been told."""
    with stand.proxy(**ONE) as proxy, proxy.wire("acme") as one, proxy.wire("acme") as other:
        for wire in (one, other):
            tell(wire, "SET app.x = 'the same'", "SET work_mem = '6MB'")
        assert show(one, "app.x", "work_mem") == show(other, "app.x", "work_mem") == ["the same", "6MB"]
        (pid,), = rows(tell(one, "SELECT pg_backend_pid()"))
        assert rows(tell(other, "SELECT pg_backend_pid()")) == [[pid]]


def test_more_settings_than_can_be_followed(stand):
    """Such a client keeps its backend, and sees what it has set."""
    with stand.proxy(**ONE) as proxy, three(proxy) as (one, other, _):
        for n in range(300):
            tell(one, f"SET app.s{n} = 'v{n}'")
        assert is_kept_from(other)
        assert show(one, "app.s0", "app.s299") == ["v0", "v299"]
        one.close()
        assert_served_at_last(other)
        assert show(other, "app.s0") in ("", None)


def test_a_long_value(pair):
    one, other = pair
    value = "é" * 20_000
    tell(one, f"SET app.x = '{value}'")
    assert show(other, "app.x") in (None, "")
    assert show(one, "app.x") == value
    assert types(one.query("SELECT 1")) == "TDCZ"


def test_kept_backends_are_seen(stand):
    """Why a client keeps one is in the log."""
    with stand.proxy(**ONE) as proxy, proxy.wire("acme") as one:
        tell(one, "LISTEN x")
        tell(one, "UNLISTEN x")
        wait_for(lambda: proxy.events("client.unpinned"), 5)
        assert [event["cause"] for event in proxy.events("client.pinned")] == ["LISTEN"]
        assert [event["cause"] for event in proxy.events("client.unpinned")] == ["LISTEN"]


def test_a_setting_of_a_superuser_that_was_never_set(stand):
    """set_config stands in the text and is not carried out: nothing is to be carried to other backends."""
    with stand.proxy(**TWO) as proxy, proxy.wire("acme") as one, proxy.wire("acme") as other:
        tell(one, "SELECT 1 WHERE false AND set_config('log_statement', 'all', false) IS NOT NULL")
        for wire in (other, one):
            tell(wire, "BEGIN", "SELECT 1")
        for wire in (other, one):
            tell(wire, "SELECT 2", "COMMIT")
