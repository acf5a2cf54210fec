"""Prepared statements of clients that share backends: each finds its own, whatever the others call theirs."""

import random
import struct

import psycopg
import pytest
from harness.wait import wait_for
from harness.wire import bind, close, cstr, describe, errors, execute, flush, message, parse, query, rows, sync, types

ONE, TWO = {"pool": {"default_pool_size": 1}}, {"pool": {"default_pool_size": 2}}
TENANTS = ("acme", "acme", "globex", "globex")


def batch(wire, *parts):
    """The parts and a Sync: all answers."""
    wire.send(*parts, sync())
    return wire.until_ready()


def value(found):
    """The one column of the one row."""
    assert not errors(found), errors(found)
    (row,), = [rows(found)]
    return row[0]


def run(wire, name, *values):
    return batch(wire, bind(values, name), execute())


@pytest.fixture(name="proxy", scope="module")
def fixture_proxy(stand):
    with stand.proxy(**ONE) as proxy:
        yield proxy


@pytest.fixture(name="pair")
def fixture_pair(proxy):
    """Two clients of one tenant on one backend."""
    with proxy.wire("acme") as one, proxy.wire("acme") as other:
        yield one, other


@pytest.fixture(name="tenants")
def fixture_tenants(proxy):
    """Clients of two tenants on one backend."""
    with proxy.wire("acme") as acme, proxy.wire("globex") as globex:
        yield acme, globex


# ---- whose statement it is ----

def test_four_clients_of_two_tenants_on_two_backends(stand):
    """Each gives the same names to statements of its own, and runs them in an order that chance decides."""
    dice = random.Random(4)
    with stand.proxy(**TWO) as proxy:
        wires = [proxy.wire(tenant) for tenant in TENANTS]
        for number, wire in enumerate(wires):
            for name in ("s1", "s2", "S1"):
                text = f"SELECT '{number} {name} ' || $1 || ' ' || min(split_part(item, ' ', 1)) FROM orders"
                assert types(batch(wire, parse(text, name))) == "1Z"
        for turn in range(400):
            number, name = dice.randrange(len(wires)), dice.choice(("s1", "s2", "S1"))
            begins = dice.random() < 0.2
            if begins:
                wires[number].query("BEGIN")
            assert value(run(wires[number], name, turn)) == f"{number} {name} {turn} {TENANTS[number]}"
            if begins:
                wires[number].query("COMMIT")
        assert len(proxy.backends()) == 2
        for wire in wires:
            wire.close()


def test_a_name_is_its_clients_own(pair):
    one, other = pair
    assert types(batch(one, parse("SELECT 'one'", "s"))) == "1Z"
    assert errors(run(other, "s")) == ["26000"]
    assert types(batch(other, parse("SELECT 'other'", "s"))) == "1Z"
    assert value(run(one, "s")) == "one"
    assert value(run(other, "s")) == "other"
    assert types(batch(one, close("s"))) == "3Z"
    assert errors(run(one, "s")) == ["26000"]
    assert value(run(other, "s")) == "other"


def test_clients_of_equal_texts_share_one(stand, pair):
    """What one has prepared the other need not; and what one closes the other has still."""
    one, other = pair
    batch(one, parse("SELECT 'shared', $1::int", "a"))
    batch(other, parse("SELECT 'shared', $1::int", "b"))
    assert rows(run(one, "a", 1)) == [["shared", "1"]]
    batch(one, close("a"))
    assert rows(run(other, "b", 2)) == [["shared", "2"]]


def test_one_text_in_two_schemas(stand, proxy):
    """A plan is never shared by those who mean different tables by the same text."""
    with stand.admin() as admin:
        admin.execute("CREATE SCHEMA one; CREATE TABLE one.here AS SELECT 'one' AS place; "
                      "CREATE SCHEMA two; CREATE TABLE two.here AS SELECT 'two' AS place; "
                      "GRANT USAGE ON SCHEMA one, two TO bulkhead_app; GRANT SELECT ON one.here, two.here TO bulkhead_app")
        try:
            with proxy.wire("acme", options="-c search_path=one") as one, \
                    proxy.wire("acme", options="-c search_path=two") as two:
                for wire in (one, two):
                    batch(wire, parse("SELECT place FROM here", "s"))
                for _ in range(7):  # generic plans come after five
                    assert value(run(one, "s")) == "one"
                    assert value(run(two, "s")) == "two"
                two.query("SET search_path = one")
                assert value(run(two, "s")) == "one"
                two.query("RESET search_path")
                assert value(run(two, "s")) == "two"
        finally:
            admin.execute("DROP SCHEMA one, two CASCADE")


def test_the_same_text_with_other_types(pair):
    one, other = pair
    batch(one, parse("SELECT $1", "s", [23]))
    batch(other, parse("SELECT $1", "s", [25]))
    described = [struct.unpack("!HI", m.body) for wire in pair for m in batch(wire, describe("s")) if m.type == "t"]
    assert described == [(1, 23), (1, 25)]


def test_no_other_tenants_plan(tenants):
    acme, globex = tenants
    for wire in tenants:
        batch(wire, parse("SELECT min(item) FROM orders", "s"))
    for _ in range(7):
        assert value(run(acme, "s")).startswith("acme ")
        assert value(run(globex, "s")).startswith("globex ")


# ---- what PostgreSQL says ----

def test_a_name_in_use(pair):
    one, other = pair
    batch(one, parse("SELECT 1", "s"))
    batch(other, parse("SELECT 2", "t"))
    found = batch(one, parse("SELECT 2", "s"))
    refused, = (m.fields for m in found if m.type == "E")
    assert (refused["C"], refused["M"]) == ("42P05", 'prepared statement "s" already exists')
    assert value(run(one, "s")) == "1"
    assert errors(batch(one, parse("SELECT FROM FROM", "s"))) == ["42601"], "the text is read first"


def test_a_name_that_is_not_there(pair):
    for ask in (bind(statement="nowhere"), describe("nowhere")):
        refused, = (m.fields for m in batch(pair[0], ask) if m.type == "E")
        assert (refused["C"], refused["M"]) == ("26000", 'prepared statement "nowhere" does not exist')
    assert types(batch(pair[0], close("nowhere"))) == "3Z"


@pytest.mark.parametrize("text, sqlstate, position", [("SELECT FROM FROM", "42601", "13"), ("SELECT nocolumn", "42703", "8"),
                                                      ("SELECT * FROM nowhere", "42P01", "15")])
def test_a_text_that_is_wrong(pair, text, sqlstate, position):
    refused, = (m.fields for m in batch(pair[0], parse(text, "s")) if m.type == "E")
    assert (refused["C"], refused["P"]) == (sqlstate, position)
    assert errors(run(pair[0], "s")) == ["26000"]
    batch(pair[0], parse("SELECT 'right'", "s"))
    assert value(run(pair[0], "s")) == "right"


def test_a_statement_that_fails_stays(pair):
    one, other = pair
    batch(one, parse("SELECT 12 / $1::int", "s"))
    assert errors(run(one, "s", 0)) == ["22012"]
    other.query("SELECT 1")
    assert value(run(one, "s", 4)) == "3"


# ---- batches ----

def test_all_in_one_batch(pair):
    for wire in pair:
        found = batch(wire, parse("SELECT $1::int + 1", "s"), describe("s"), bind([1], "s"), describe(kind="P"), execute())
        assert types(found) == "1tT2TDCZ" and value(found) == "2"


def test_prepared_bound_and_closed_in_several_batches_at_once(pair):
    one, _ = pair
    one.send(parse("SELECT 'a'", "s"), sync(), bind(statement="s"), execute(), sync(), close("s"), sync(),
             parse("SELECT 'b'", "s"), sync(), bind(statement="s"), execute(), close("s"), sync(),
             bind(statement="s"), sync())
    found = one.until_ready(6)
    assert types(found) == "1Z2DCZ3Z1Z2DC3ZEZ" and rows(found) == [["a"], ["b"]] and errors(found) == ["26000"]


@pytest.mark.parametrize("wrong", [bind(statement="nowhere"), parse("SELECT FROM FROM"), parse("SELECT FROM FROM", "s9")])
def test_what_an_error_skips_has_not_been(pair, wrong):
    """Neither prepared nor closed; and what another client has stays in any case."""
    one, other = pair
    batch(one, parse("SELECT 'kept'", "kept"))
    batch(other, parse("SELECT 'skipped'", "x"))
    found = batch(one, parse("SELECT 'before'", "before"), wrong, parse("SELECT 'skipped'", "skipped"), close("kept"),
                  parse("SELECT 'anew'", "kept"), close("before"))
    assert types(found) == "1EZ"
    assert value(run(one, "before")) == "before"
    assert value(run(one, "kept")) == "kept"
    assert errors(run(one, "skipped")) == ["26000"]
    batch(one, parse("SELECT 'at last'", "skipped"))
    assert value(run(one, "skipped")) == "at last"
    assert value(run(other, "x")) == "skipped"


def batches_in_flight(wire, tag):
    """The second of six batches fails, and with it the Parse of what the fifth binds."""
    wire.send(parse(f"SELECT '{tag} a'", "a"), sync(), bind(statement="nowhere"), parse(f"SELECT '{tag} b'", "b"), sync(),
              parse(f"SELECT '{tag} c'", "c"), sync(), bind(statement="a"), execute(), sync(),
              bind(statement="b"), execute(), sync(), bind(statement="c"), execute(), sync())
    found = wire.until_ready(6)
    assert types(found) == "1ZEZ1Z2DCZEZ2DCZ" and rows(found) == [[f"{tag} a"], [f"{tag} c"]]
    return found


def test_an_error_between_batches_in_flight(pair):
    assert errors(batches_in_flight(pair[0], "in flight")) == ["26000", "26000"]


def test_an_error_between_batches_in_flight_is_about_the_clients_name(pair):
    told = [m.fields["M"] for m in batches_in_flight(pair[0], "told") if m.type == "E"]
    assert told == ['prepared statement "nowhere" does not exist', 'prepared statement "b" does not exist']


def test_an_error_between_batches_in_flight_about_what_another_client_has(pair):
    """That the backend has the same text already is no reason for another answer."""
    one, other = pair
    batch(other, parse("SELECT 'shared b'", "x"))
    batches_in_flight(one, "shared")
    assert value(run(other, "x")) == "shared b"


def test_in_a_transaction_that_failed(pair):
    one, other = pair
    batch(one, parse("SELECT 'kept'", "kept"), parse("ROLLBACK", "back"))
    other.query("SELECT 1")
    one.query("BEGIN")
    assert errors(one.query("SELECT 1/0")) == ["22012"]
    assert errors(run(one, "kept")) == ["25P02"]
    assert errors(batch(one, parse("SELECT 1", "new"))) == ["25P02"]
    assert types(run(one, "back")) == "2CZ"
    assert value(run(one, "kept")) == "kept"
    assert errors(run(one, "new")) == ["26000"]


def test_a_rollback_takes_no_statement(pair):
    one, other = pair
    one.query("BEGIN")
    batch(one, parse("SELECT 'made inside'", "s"))
    one.query("ROLLBACK")
    other.query("SELECT 1")
    assert value(run(one, "s")) == "made inside"


def test_flush_without_sync(pair):
    one, _ = pair
    one.send(parse("SELECT 'flushed'", "s"), describe("s"), flush())
    assert types(one.until("Tn")) == "1tT"
    one.send(bind(statement="s"), execute(), flush())
    assert types(one.until("C")) == "2DC"
    assert types(batch(one)) == "Z"


def test_rows_a_few_at_a_time(pair):
    one, _ = pair
    batch(one, parse("SELECT generate_series(1, 5)", "s"))
    found = batch(one, bind(statement="s", portal="p"), execute("p", 2), execute("p", 2), execute("p", 2))
    assert types(found) == "2DDsDDsDCZ"


def test_long_names_and_odd_ones(pair):
    one, other = pair
    names = ["x" * 63, "ä", "a b", 'q"q', "bulkhead_none", "s;DROP", "x" * 62 + "ä"]
    for wire, tag in ((one, "1"), (other, "2")):
        for name in names:
            assert types(batch(wire, parse(f"SELECT '{tag} ' || '{len(name)}'", name))) == "1Z", name
    for name in names:
        assert value(run(one, name)) == f"1 {len(name)}"
        assert value(run(other, name)) == f"2 {len(name)}"


@pytest.mark.parametrize("forgets", ["DISCARD ALL", "DEALLOCATE ALL"])
def test_a_text_that_is_too_long_keeps_the_backend_while_it_is_there(pair, forgets):
    one, other = pair
    assert types(batch(one, parse(f"SELECT length('{'x' * 17_000_000}')", "long"))) == "1Z"
    other.send(query("SELECT 1"))
    assert other.is_silent(0.1)
    assert rows(run(one, "long")) == [["17000000"]]
    assert not errors(one.query(forgets))
    assert rows(other.until_ready()) == [["1"]]
    assert errors(run(one, "long")) == ["26000"]


def test_texts_byte_by_byte(pair):
    """Long ones too, whether or not they are read as a whole."""
    for size in (10, 5000, 40_000, 300_000, 9_000_000):
        text = f"SELECT length('{'é' * size}'), $1::text"
        for wire in pair:
            assert types(batch(wire, parse(text, f"s{size}"))) == "1Z"
            assert rows(run(wire, f"s{size}", "it's \\")) == [[str(size), "it's \\"]]
            wire.query("DISCARD ALL")  # the last one is too long to be kept but on its backend


# ---- statements of SQL that act on them ----

def test_deallocate(pair):
    one, other = pair
    for wire in pair:
        batch(wire, parse("SELECT 's'", "s"), parse("SELECT 't'", "t"))
    found = one.query("DEALLOCATE s")
    assert types(found) == "CZ" and found[0].tag == "DEALLOCATE"
    assert errors(run(one, "s")) == ["26000"]
    assert value(run(one, "t")) == "t" and value(run(other, "s")) == "s"
    assert errors(one.query("DEALLOCATE s")) == ["26000"]
    found = one.query("SELECT 1; DEALLOCATE PREPARE t; SELECT 2")
    assert [m.tag for m in found if m.type == "C"] == ["SELECT 1", "DEALLOCATE", "SELECT 1"]
    assert errors(run(one, "t")) == ["26000"]


def test_deallocate_in_the_extended_protocol(pair):
    one, other = pair
    for wire in pair:
        batch(wire, parse("SELECT 's'", "s"))
    found = batch(one, parse("DEALLOCATE s"), bind(), execute())
    assert types(found) == "12CZ" and found[2].tag == "DEALLOCATE"
    assert errors(run(one, "s")) == ["26000"] and value(run(other, "s")) == "s"


@pytest.mark.parametrize("statement, tag", [("DEALLOCATE ALL", "DEALLOCATE ALL"), ("DISCARD ALL", "DISCARD ALL"),
                                            ("deallocate prepare all", "DEALLOCATE ALL")])
def test_all_of_them(pair, statement, tag):
    one, other = pair
    for wire in pair:
        batch(wire, parse("SELECT 's'", "s"), parse("SELECT 't'", "t"))
    found = one.query(statement)
    assert [m.tag for m in found if m.type == "C"] == [tag]
    for name in ("s", "t"):
        assert errors(run(one, name)) == ["26000"]
        assert value(run(other, name)) == name
    batch(one, parse("SELECT 'new'", "s"))
    assert value(run(one, "s")) == "new" and value(run(other, "s")) == "s"


def test_deallocate_right_in_front_of_a_parse_of_the_name(pair):
    """All sent at once, as drivers do that replace a statement."""
    one, _ = pair
    batch(one, parse("SELECT 'old'", "s"))
    one.send(query("DEALLOCATE s"), parse("SELECT 'new'", "s"), bind(statement="s"), execute(), sync())
    found = one.until_ready(2)
    assert types(found) == "CZ12DCZ" and rows(found) == [["new"]]
    one.send(parse("DEALLOCATE s"), bind(), execute(), parse("SELECT 'third'", "s"), bind(statement="s"), execute(), sync())
    found = one.until_ready()
    assert types(found) == "12C12DCZ" and rows(found) == [["third"]]


def test_a_deallocate_that_is_rolled_back_was_done(pair):
    """PostgreSQL's prepared statements know of no transaction."""
    one, _ = pair
    batch(one, parse("SELECT 's'", "s"))
    one.query("BEGIN")
    one.query("DEALLOCATE s")
    one.query("ROLLBACK")
    assert errors(run(one, "s")) == ["26000"]


def test_execute_of_a_statement_of_the_protocol(pair):
    """SQL's EXECUTE means it by the name that the client gave it."""
    one, other = pair
    for wire, word in zip(pair, ("one", "other")):
        batch(wire, parse(f"SELECT '{word} ' || $1", "s", [25]))
    assert rows(one.query("EXECUTE s('x')")) == [["one x"]]
    assert value(run(one, "s", "y")) == "one y"
    assert rows(one.query("SELECT name FROM pg_prepared_statements WHERE NOT from_sql")) == [["s"]]
    assert types(one.query("DEALLOCATE ALL")) == "CZ"
    assert errors(one.query("EXECUTE s('x')")) == ["26000"]
    assert value(run(other, "s", "x")) == "other x"


def test_bind_of_a_statement_of_sql(pair):
    one, other = pair
    one.query("PREPARE p(int) AS SELECT $1 + 1")
    assert value(run(one, "p", 1)) == "2"
    one.query("DEALLOCATE p")
    assert errors(run(other, "p", 1)) == ["26000"]


# ---- what is kept on backends ----

def test_the_least_recently_used_is_prepared_anew(stand):
    with stand.proxy(pool={"default_pool_size": 1, "max_prepared_statements": 3}) as proxy, \
            proxy.wire("acme") as one, proxy.wire("acme") as other:
        for wire, word in ((one, "one"), (other, "other")):
            for n in range(8):
                batch(wire, parse(f"SELECT '{word} {n}'", f"s{n}"))
        dice = random.Random(3)
        for _ in range(100):
            n, (wire, word) = dice.randrange(8), dice.choice(((one, "one"), (other, "other")))
            assert value(run(wire, f"s{n}")) == f"{word} {n}"
        # Many in one batch: more than may be kept.
        found = batch(one, *[part for n in range(8) for part in (bind(statement=f"s{n}"), execute())])
        assert rows(found) == [[f"one {n}"] for n in range(8)]
        found = batch(one, *[part for n in range(8) for part in (bind(statement=f"s{n}"), execute())],
                      bind(statement="nowhere"), *[part for n in range(8) for part in (bind(statement=f"s{n}"), execute())])
        assert errors(found) == ["26000"]
        for n in range(8):
            assert value(run(one, f"s{n}")) == f"one {n}"
            assert value(run(other, f"s{n}")) == f"other {n}"


def test_a_backend_that_is_lost(stand, proxy, pair):
    """The next one is given what it lacks."""
    one, other = pair
    for wire, word in zip(pair, ("one", "other")):
        batch(wire, parse(f"SELECT '{word}'", "s"))
    before = set(proxy.backends())
    with stand.admin() as admin:
        admin.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s) pid", (list(before),))
    wait_for(lambda: not before & set(proxy.backends()), "their end")
    assert value(run(one, "s")) == "one" and value(run(other, "s")) == "other"


def test_a_function_that_deallocates_unseen(pair):
    """What Bulkhead prepared is gone, and it was not told: one error at the most, and never another's statement."""
    one, other = pair
    for wire, word in zip(pair, ("one", "other")):
        batch(wire, parse(f"SELECT '{word}'", "s"))
    one.query("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$")
    for wire, word in zip(pair, ("one", "other")):
        found = run(wire, "s")
        if errors(found):
            assert errors(found) == ["26000"]
            assert [m.fields["M"] for m in found if m.type == "E"] == ['prepared statement "s" does not exist']
            found = run(wire, "s")
        assert value(found) == word


@pytest.mark.one_worker("a backend that was moved prepares anew")
def test_a_table_that_changes(stand, pair):
    """`cached plan must not change result type` is PostgreSQL's own; prepared again it is right."""
    one, other = pair
    with stand.admin() as admin:
        admin.execute("CREATE TABLE changing AS SELECT 1 AS a; GRANT SELECT ON changing TO bulkhead_app")
        try:
            for wire in pair:
                batch(wire, parse("SELECT * FROM changing", "s"))
                assert rows(run(wire, "s")) == [["1"]]
            admin.execute("ALTER TABLE changing ADD b text DEFAULT 'b'")
            assert errors(run(one, "s")) == ["0A000"]
            batch(one, close("s"))
            assert types(batch(one, parse("SELECT * FROM changing", "s"))) == "1Z"
            assert rows(run(one, "s")) == [["1", "b"]]
        finally:
            admin.execute("DROP TABLE changing")


CHANGES = {
    "a column more": ("ALTER TABLE changing ADD b text DEFAULT 'b'", None),
    "another type": ("ALTER TABLE changing ALTER a TYPE float4", None),
    "another name": ("ALTER TABLE changing RENAME a TO b", None),
    "another table": ("DROP TABLE changing; CREATE TABLE changing AS SELECT 2 AS b, true AS c; "
                      "GRANT SELECT ON changing TO bulkhead_app", None),
    "another table of the same columns": ("DROP TABLE changing; CREATE TABLE changing AS SELECT 2 AS a; "
                                          "GRANT SELECT ON changing TO bulkhead_app", [["2"]]),
    "no change that matters": ("CREATE INDEX ON changing (a)", [["1"]]),
}


@pytest.fixture(name="changing")
def fixture_changing(stand):
    with stand.admin() as admin:
        admin.execute("CREATE TABLE changing AS SELECT 1 AS a; GRANT SELECT ON changing TO bulkhead_app")
        yield admin
        admin.execute("DROP TABLE changing")


@pytest.mark.parametrize("then", ["bound by another", "parsed anew by another", "on another backend"])
@pytest.mark.parametrize("change", CHANGES)
def test_columns_that_a_client_was_told_never_change(stand, changing, change, then):
    """Each client that was told them gets PostgreSQL's error: it would take the rows for something else."""
    ddl, still = CHANGES[change]
    with stand.proxy(**TWO) as proxy:
        first, other, third, holder = (proxy.wire("acme") for _ in range(4))
        for wire in (first, other):
            assert types(batch(wire, parse("SELECT * FROM changing", "s"), describe("s"))) == "1tTZ"
            assert rows(run(wire, "s")) == [["1"]]
        changing.execute(ddl)
        if then == "bound by another":
            run(first, "s")
        elif then == "parsed anew by another":
            assert not errors(batch(third, parse("SELECT * FROM changing", "z"), describe("z"), bind((), "z"), execute()))
        else:
            holder.query("BEGIN")
            holder.query("SELECT 1")
        for wire in (other, first):
            found = run(wire, "s")
            assert (rows(found) == still) if still else (errors(found) == ["0A000"]), found
            assert not errors(batch(wire, close("s"), parse("SELECT * FROM changing", "s"), describe("s")))
            assert not errors(run(wire, "s"))
        for wire in (first, other, third, holder):
            wire.close()


def test_columns_are_asked_for_in_the_middle_of_a_batch(stand, changing):
    """What stands before the Bind has run, and nothing behind it when it is refused."""
    with stand.proxy(**TWO) as proxy, proxy.wire("acme") as one, proxy.wire("acme") as holder:
        batch(one, parse("SELECT * FROM changing", "s"), describe("s"))
        holder.query("BEGIN")
        holder.query("SELECT 1")
        for _ in range(2):
            found = batch(one, parse("SELECT 'before'"), bind(), execute(), bind((), "s"), execute(),
                          parse("SELECT 'behind'"), bind(), execute())
            assert rows(found) == [["before"], ["1"], ["behind"]]
        holder.query("COMMIT")
        changing.execute("ALTER TABLE changing ADD b int")
        holder.query("BEGIN")
        holder.query("SELECT 1")
        one.query("BEGIN")
        found = batch(one, parse("SELECT 'before'"), bind(), execute(), bind((), "s"), execute(),
                      parse("SELECT 'behind'"), bind(), execute())
        assert rows(found) == [["before"]] and errors(found) == ["0A000"] and found[-1].status == "E"
        assert one.query("ROLLBACK")[-1].status == "I"


def test_the_backend_is_kept_while_columns_are_asked_for(stand):
    """Clients that are all sent from backend to backend get their answers: each asks once on each."""
    with stand.proxy(**TWO) as proxy:
        wires = [proxy.wire(tenant) for tenant in TENANTS * 2]
        for n, wire in enumerate(wires):
            assert types(batch(wire, parse(f"SELECT {n % 4} AS a, $1::int AS b", "s"), describe("s"))) == "1tTZ"
        for _ in range(20):
            for wire in wires:
                wire.send(bind(["1"], "s"), execute(), sync())
            for n, wire in enumerate(wires):
                assert rows(wire.until_ready()) == [[str(n % 4), "1"]]
        for wire in wires:
            wire.close()


def test_statements_of_many_columns(stand):
    """Descriptions that are longer than what is looked at are passed on, and not compared."""
    text = "SELECT " + ", ".join(f"{n} AS {'c' * 50}{n}" for n in range(1000))
    with stand.proxy(**TWO) as proxy, proxy.wire("acme") as one, proxy.wire("acme") as holder:
        assert types(batch(one, parse(text, "s"), describe("s"))) == "1tTZ"
        holder.query("BEGIN")
        holder.query("SELECT 1")
        assert len(rows(run(one, "s"))[0]) == 1000


# ---- what drivers do ----

def test_psycopg_prepares_by_itself(stand):
    with stand.proxy(**ONE) as proxy:
        connections = [proxy.connect(tenant, prepare_threshold=0) for tenant in TENANTS]
        for turn in range(20):
            for tenant, connection in zip(TENANTS, connections):
                row = connection.execute("SELECT %s::int, min(split_part(item, ' ', 1)) FROM orders", (turn,)).fetchone()
                assert row == (turn, tenant)
                if turn % 5 == 4:
                    with pytest.raises(psycopg.errors.DivisionByZero), connection.transaction():
                        connection.execute("SELECT 1 / %s::int", (0,))
        for connection in connections:
            connection.close()


def test_psycopg_in_pipelines(stand):
    with stand.proxy(**TWO) as proxy:
        connections = [proxy.connect(tenant, prepare_threshold=0) for tenant in TENANTS]
        for turn in range(10):
            for tenant, connection in zip(TENANTS, connections):
                with connection.pipeline():
                    cursors = [connection.execute("SELECT %s::int, split_part(min(item), ' ', 1) FROM orders", (n,))
                               for n in range(5)]
                assert [cursor.fetchone() for cursor in cursors] == [(n, tenant) for n in range(5)]
                with pytest.raises(psycopg.Error):
                    with connection.pipeline() as pipeline:
                        connection.execute("SELECT 'x' || %s", ("y",))
                        connection.execute(f"SELECT nocolumn{turn}")
                        connection.execute("SELECT 'z' || %s", ("y",))
                        pipeline.sync()
        for connection in connections:
            connection.close()


def test_a_statement_that_begins(pair):
    """BEGIN under a name, prepared once and run often, is held as any other."""
    one, other = pair
    batch(one, parse("BEGIN", "begin"), parse("COMMIT", "commit"), parse("SELECT 's'", "s"))
    for _ in range(3):
        found = run(one, "begin")
        assert types(found) == "2CZ" and found[-1].status == "T"
        assert rows(other.query("SELECT 'is served'")) == [["is served"]]
        assert value(run(one, "s")) == "s"
        assert run(one, "commit")[-1].status == "I"


def test_binary_parameters_and_results(pair):
    for wire in pair:
        batch(wire, parse("SELECT $1::int8 * 2", "s"))
        wire.send(bind([struct.pack("!q", 21)], "s", formats=[1], result_formats=[1]), execute(), sync())
        assert [m.row for m in wire.until_ready() if m.type == "D"] == [[struct.pack("!q", 42)]]


def test_an_unusual_bind(pair):
    """Cut anywhere on its way, and with many values."""
    one, _ = pair
    batch(one, parse("SELECT count(*) FROM unnest(ARRAY[" + ", ".join(f"${n}::text" for n in range(1, 1001)) + "])", "s"))
    whole = bind(["v" * (n % 50) for n in range(1000)], "s") + execute() + sync()
    for cut in (1, 5, 6, 7, 8, 20, 33_000):
        one.send(whole[:cut])
        one.is_silent(0.05)
        one.send(whole[cut:])
        assert value(one.until_ready()) == "1000"


def test_a_bind_whose_names_do_not_end(pair):
    one, other = pair
    assert errors(batch(one, message("B", cstr("") + b"s"))) in (["08P01"], [])
    assert rows(other.query("SELECT 1")) == [["1"]]


def fill(wire, size=4000):
    """Prepares statements of different texts until one is refused; their names, and the refusal's batch."""
    for n in range(10_001):
        found = batch(wire, parse(f"SELECT {n} /* {'x' * size} */", f"s{n}"), describe(f"s{n}"))
        if errors(found):
            return [f"s{m}" for m in range(n)], found
    raise AssertionError("none was refused")


@pytest.mark.one_worker("max_tenant_statement_size counts within a worker")
def test_a_tenant_has_only_so_many(stand):
    """One more is refused as an error of its own; other tenants have theirs, and what is closed makes room."""
    with stand.proxy(pool={"default_pool_size": 2, "max_tenant_statement_size": "64kB"}) as proxy:
        with proxy.wire("acme") as acme, proxy.wire("acme") as other, proxy.wire("globex") as globex:
            names, found = fill(acme)
            assert 10 < len(names) < 17
            assert types(found) == "EZ" and found[0].fields["C"] == "53400"
            assert found[0].fields["D"] == "reason=BH-LIM-STATEMENTS"
            assert [value(run(acme, name)) for name in names] == [str(n) for n in range(len(names))]
            assert errors(run(acme, f"s{len(names)}")) == ["26000"]
            assert errors(batch(other, parse(f"SELECT 1 /* {'y' * 4000} */", "x"))) == ["53400"]
            assert value(batch(other, parse(f"SELECT 1 /* {'y' * 4000} */"), bind(), execute())) == "1"
            assert len(fill(globex)[0]) == len(names)
            acme.send(close(names[0]), sync())
            assert not errors(acme.until_ready())
            assert not errors(batch(other, parse(f"SELECT 1 /* {'y' * 3000} */", "x")))
            acme.close()
            wait_for(lambda: not errors(batch(other, parse(f"SELECT 1 /* {'y' * 4000} */", "y"))), "room")
            assert len(fill(other)[0]) > 10


def test_a_session_has_only_so_many(stand):
    with stand.proxy(**ONE) as proxy, proxy.wire("acme") as wire:
        for n in range(0, 10_000, 500):
            found = batch(wire, *(parse("SELECT 1", f"s{m}") for m in range(n, n + 500)))
            assert not errors(found)
        assert errors(batch(wire, parse("SELECT 1", "one more"))) == ["53400"]
        assert errors(batch(wire, parse("BEGIN", "one more"))) == ["53400"]
        assert value(run(wire, "s9999")) == "1"
