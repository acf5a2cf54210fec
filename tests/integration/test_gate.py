"""The gate: what is refused, how, and what goes on behind it. Which texts hit which rule: tests/unit/rules.c."""

import json
import os
import subprocess

import pytest
from harness.probe import metrics, probed
from harness.program import PROGRAM
from harness.wait import wait_for
from harness.wire import (WireError, bind, close, copy_data, describe, errors, execute, flush, function_call, message,
                          parse, query, rows, sync, types, why)

ENFORCE = {"gate": {"mode": "enforce"}}
DDL = ("42501", "BH-STMT-DDL")
SHARED = ("42501", "BH-STMT-SHARED")


@pytest.fixture(name="proxy", scope="module")
def fixture_proxy(stand):
    with stand.proxy(**ENFORCE, **probed()) as proxy:
        yield proxy


@pytest.fixture(name="wire")
def fixture_wire(proxy):
    with proxy.wire("acme") as wire:
        yield wire


def reason(messages):
    """SQLSTATE and reason of the one error among them."""
    found, = [m.fields for m in messages if m.type == "E"]
    return why(found)


def error(messages):
    found, = [m.fields for m in messages if m.type == "E"]
    return found


# ---- Query ----

def test_an_error_of_postgres_form(wire):
    found = error(wire.query("CREATE TABLE mine (a int)"))
    assert {key: found[key] for key in "SVCMD"} == {
        "S": "ERROR", "V": "ERROR", "C": "42501", "M": "what all tenants share cannot be changed by one of them",
        "D": "reason=BH-STMT-DDL ddl"}
    assert found["H"].startswith("Run migrations as the owner")
    assert rows(wire.query("SELECT 'still here'")) == [["still here"]]


def test_nothing_of_the_text_is_run(wire):
    before = rows(wire.query("SELECT count(*) FROM orders"))
    found = wire.query("INSERT INTO orders (item) VALUES ('x'); SELECT pg_sleep(0)")
    assert (types(found), reason(found)) == ("EZ", SHARED)
    assert rows(wire.query("SELECT count(*) FROM orders")) == before


def test_in_a_transaction_it_fails_as_any_statement(wire):
    wire.query("BEGIN")
    wire.query("SELECT 1")
    found = wire.query("DO $$ BEGIN END $$")
    assert (types(found), found[-1].body, reason(found)) == ("EZ", b"E", ("42501", "BH-STMT-DYNAMIC"))
    assert errors(wire.query("SELECT 1")) == ["25P02"]
    assert types(wire.query("ROLLBACK")) == "CZ"
    assert rows(wire.query("SELECT 2")) == [["2"]]


def test_right_behind_a_begin_that_no_backend_has_seen(wire):
    wire.query("BEGIN")
    found = wire.query("LOCK TABLE orders")
    assert (found[-1].body, reason(found)) == (b"E", SHARED)
    assert types(wire.query("COMMIT")) == "CZ"
    assert wire.query("SELECT 1")[-1].body == b"I"


def test_savepoints_take_it_back(wire):
    for statement in ("BEGIN", "SELECT 1", "SAVEPOINT a"):
        wire.query(statement)
    assert reason(wire.query("TRUNCATE orders")) == DDL
    assert types(wire.query("ROLLBACK TO a")) == "CZ"
    assert rows(wire.query("SELECT 1")) == [["1"]]
    wire.query("ROLLBACK")


def test_a_syntax_error_is_postgres_own(wire):
    found = error(wire.query("SELECT 1 FORM orders x"))
    assert (found["C"], found["M"], found["P"]) == ("42601", 'syntax error at or near "orders"', "15")
    assert found["D"] == "reason=BH-STMT-UNREADABLE unreadable" and "H" not in found


def test_what_is_nested_too_deeply(wire):
    assert reason(wire.query("SELECT 1" + "+" * 100 + "1")) == ("54000", "BH-STMT-TOO-DEEP")
    assert rows(wire.query("SELECT 1")) == [["1"]]


# ---- extended ----

def ask(wire, *messages):
    wire.send(b"".join(messages))
    return wire.until_ready()


def test_a_parse_is_refused_and_the_batch_with_it(wire):
    found = ask(wire, parse("SELECT 1"), bind(), execute(), parse("SELECT pg_sleep(0)"), bind(), execute(),
                parse("SELECT 2"), bind(), execute(), sync())
    assert (types(found), reason(found)) == ("12DCEZ", SHARED)
    assert types(ask(wire, parse("SELECT 3"), bind(), execute(), sync())) == "12DCZ"


def test_named_statements_and_what_is_behind_them(wire):
    found = ask(wire, parse("SELECT pg_sleep(0)", "a"), describe("a"), bind(statement="a"), execute(), sync())
    assert (types(found), reason(found)) == ("EZ", SHARED)
    assert errors(ask(wire, bind(statement="a"), execute(), sync())) == ["26000"]
    assert types(ask(wire, parse("SELECT 1", "a"), bind(statement="a"), execute(), close("a"), sync())) == "12DC3Z"


def test_a_refused_unnamed_statement_is_gone(wire):
    ask(wire, parse("SELECT 1"), sync())
    assert reason(ask(wire, parse("SELECT pg_sleep(0)"), sync())) == SHARED
    assert errors(ask(wire, bind(), execute(), sync())) == ["26000"]


def test_in_a_transaction_the_batch_fails_it(wire):
    wire.query("BEGIN")
    found = ask(wire, parse("SELECT 1"), bind(), execute(), parse("LISTEN x"), bind(), execute(), sync())
    assert (found[-1].body, reason(found)) == (b"E", ("0A000", "BH-STMT-LISTEN"))
    wire.query("ROLLBACK")


def test_without_a_sync_the_refusal_comes_with_a_flush(wire):
    wire.send(parse("SELECT pg_sleep(0)") + flush())
    assert reason([wire.read()]) == SHARED
    wire.send(sync())
    assert types(wire.until_ready()) == "Z"


def test_prepared_in_sql(wire):
    assert reason(wire.query("PREPARE p AS SELECT pg_sleep(0)")) == SHARED
    assert errors(wire.query("EXECUTE p")) == ["26000"]
    wire.query("PREPARE p AS SELECT 1")
    assert rows(wire.query("EXECUTE p")) == [["1"]]
    assert reason(wire.query("EXPLAIN ANALYZE EXECUTE p")) == ("42501", "BH-STMT-EXPLAIN")


def test_a_function_call(wire):
    found = ask(wire, function_call(1, []))
    assert (types(found), reason(found)) == ("EZ", ("42501", "BH-STMT-FASTPATH"))
    wire.query("BEGIN")
    wire.query("SELECT 1")
    found = ask(wire, function_call(1, [b"x" * 200_000]))
    assert (types(found), found[-1].body) == ("EZ", b"E")
    wire.query("ROLLBACK")
    assert rows(wire.query("SELECT 1")) == [["1"]]


@pytest.mark.parametrize("behind, wanted", [
    (["SELECT pg_sleep(0)"], [SHARED]), (["LISTEN x", "SELECT 1", "SELECT setseed(0)"], [("0A000", "BH-STMT-LISTEN"), SHARED])])
def test_behind_a_copy_that_failed(proxy, behind, wanted):
    """Nobody knows then which answer is for what; refusals are told apart all the same, sent before that and after."""
    with proxy.wire("acme") as wire:
        wire.query("CREATE TEMP TABLE t (a int)")
        wire.send(query("COPY t FROM STDIN") + copy_data("bad\n") + b"".join(map(query, behind)))
        assert errors(wire.until_ready()) == ["22P02"]
        found = [why(m.fields) for _ in behind for m in wire.until_ready() if m.type == "E"]
        assert found == wanted
        wire.send(b"".join(map(query, behind)))
        found = [why(m.fields) for _ in behind for m in wire.until_ready() if m.type == "E"]
        assert found == wanted
        found = ask(wire, parse("SELECT pg_sleep(0)", "a"), bind(statement="a"), execute(), sync())
        assert (types(found), reason(found)) == ("EZ", SHARED)
        assert rows(wire.query("SELECT 'goes on'")) == [["goes on"]]


# ---- texts that are too long, or too many at once ----

MB = 1 << 20


def test_a_long_text_is_read(wire):
    assert rows(wire.query(f"SELECT length('{'x' * 9 * MB}')")) == [[str(9 * MB)]]
    assert reason(wire.query(f"SELECT length('{'x' * 9 * MB}'), pg_sleep(0)")) == SHARED


@pytest.mark.parametrize("message_of", [
    query, parse, lambda text: parse(text, "named"),
], ids=["query", "parse", "named parse"])
def test_one_that_is_too_long_is_thrown_away(wire, message_of):
    wire.send(message_of(f"SELECT length('{'x' * 17 * MB}')"))
    wire.send(sync() if message_of is not query else b"")
    found = wire.until_ready()
    assert (types(found), reason(found)) == ("EZ", ("54000", "BH-STMT-TOO-LONG"))
    assert rows(wire.query("SELECT 'goes on'")) == [["goes on"]]
    assert types(ask(wire, parse("SELECT 1"), bind(), execute(), sync())) == "12DCZ"


def test_bytes_of_it_are_never_taken_for_messages(wire):
    """A Query inside the text of one that is thrown away."""
    wire.send(query("SELECT '" + "x" * 17 * MB + "'")[:-1] + b"\0" * 0)
    inner = query("SELECT 'smuggled'")
    # The rest of that message was its NUL: sent late, and with another message right behind.
    wire.send(b"\0" + inner)
    first, second = wire.until_ready(), wire.until_ready()
    assert (types(first), rows(second)) == ("EZ", [["smuggled"]])


def test_the_server_says_what_is_wrong_with_a_message(wire):
    """One without its NUL, and one with something behind it."""
    assert errors(ask(wire, message("Q", b"SELECT 1"))) == ["08P01"]


# ---- temporary things ----

def test_ddl_on_what_is_temporary(wire):
    for statement in ("DROP TABLE IF EXISTS t", "CREATE TEMP TABLE t (a int)", "ALTER TABLE t ADD b int",
                      "CREATE INDEX ON t (a)", "INSERT INTO t VALUES (1, 2)", "TRUNCATE pg_temp.t", "DROP TABLE t"):
        assert not errors(wire.query(statement)), statement


def test_and_on_what_is_not(wire):
    assert reason(wire.query("ALTER TABLE orders DISABLE ROW LEVEL SECURITY")) == DDL
    wire.query("CREATE TEMP TABLE t (a int)")
    assert reason(wire.query("ALTER TABLE public.orders DISABLE ROW LEVEL SECURITY")) == DDL
    assert errors(wire.query("ALTER TABLE orders DISABLE ROW LEVEL SECURITY")) == ["42501"], "says the server"


FUNCTION = ("CREATE OR REPLACE FUNCTION {}() RETURNS int LANGUAGE plpgsql AS $$ "
            "BEGIN RETURN (SELECT count(*) FROM orders); END $$")
DYNAMIC = ("42501", "BH-STMT-DYNAMIC")


def test_temporary_functions_are_refused(wire):
    found = error(wire.query(FUNCTION.format("pg_temp.f")))
    assert (why(found), found["D"]) == (DYNAMIC, "reason=BH-STMT-DYNAMIC temporary-functions")
    assert "ON CONFLICT" in found["H"]
    wire.query("CREATE TEMP TABLE t (a int)")
    assert reason(wire.query(FUNCTION.format('"pg_temp".f'))) == DYNAMIC, "something temporary makes no difference"


def test_they_can_be_excepted_without_ddl(stand):
    """What a body holds is then the database's to keep: rows, the seal, and that nothing is left for the next."""
    with stand.proxy(gate={"mode": "enforce", "exceptions": "temporary-functions"}, pool={"default_pool_size": 1}) as proxy:
        with proxy.wire("acme") as wire:
            create, drop = FUNCTION.format("pg_temp.f"), "DROP FUNCTION IF EXISTS pg_temp.f()"
            assert rows(wire.query(f"{create}; SELECT pg_temp.f(); {drop}")) == [["20"]], "as Sequelize has it"
            assert not errors(wire.query(create))
            assert rows(wire.query("SELECT pg_temp.f()")) == [["20"]], "the session keeps its backend"
            for text in (FUNCTION.format("f"), "CREATE TABLE mine (a int)", "DROP FUNCTION f()", "ALTER TABLE orders ADD a int",
                         "CREATE TYPE pg_temp.t AS ENUM ('a')"):
                assert reason(wire.query(text))[0] == "42501", text
            wire.query("CREATE FUNCTION pg_temp.seal() RETURNS text LANGUAGE plpgsql AS $$ BEGIN "
                       "RETURN set_config('backtrace_functions', repeat('0', 32), false); END $$")
            assert errors(wire.query("SELECT pg_temp.seal()")) == ["42501"], "says the server"
        with proxy.wire("globex") as wire:
            assert errors(wire.query("SELECT pg_temp.f()"))[0] in ("42883", "3F000"), "it is gone"


# ---- modes ----

def test_observed_statements_run_and_are_counted(stand):
    with stand.proxy(gate={"mode": "observe"}, **probed()) as proxy, proxy.wire("acme") as wire:
        assert not errors(wire.query("SELECT pg_sleep(0)"))
        assert errors(wire.query("SELECT 1 FORM orders x")) == ["42601"], "the server's own"
        name = "bulkhead_statements_observed_total"
        assert metrics(proxy)[(name, "BH-STMT-SHARED")] == 1
        line, = [event for event in proxy.events("statement.observed") if event["rule"] == "sleep"]
        assert (line["tenant"], line["reason"]) == ("acme", "BH-STMT-SHARED")


def test_off_asks_nothing(stand):
    with stand.proxy(gate={"mode": "off"}) as proxy, proxy.wire("acme") as wire:
        assert not errors(wire.query("SELECT pg_sleep(0)"))
        assert not proxy.events("statement.observed")


def test_the_mode_and_exceptions_change_while_sessions_are_open(stand):
    with stand.proxy(**ENFORCE) as proxy, proxy.wire("acme") as wire:
        ask(wire, parse("SELECT 1", "named"), sync())
        assert reason(wire.query("SELECT pg_sleep(0)")) == SHARED
        proxy.reload(gate={"exceptions": "sleep, advisory-locks"})
        assert not errors(wire.query("SELECT pg_sleep(0)"))
        ask(wire, parse("SELECT pg_sleep(0)", "sleeper"), sync())
        assert types(ask(wire, bind(statement="sleeper"), execute(), sync())) == "2DCZ"
        proxy.reload(gate={"exceptions": ""})
        assert reason(ask(wire, bind(statement="sleeper"), execute(), sync())) == SHARED, "judged again"
        assert types(ask(wire, bind(statement="named"), execute(), sync())) == "2DCZ"
        assert reason(wire.query("SELECT pg_sleep(0)")) == SHARED


def test_an_unnamed_statement_is_judged_again_when_it_is_bound(stand):
    with stand.proxy(gate={"mode": "enforce", "exceptions": "sleep"}) as proxy, proxy.wire("acme") as wire:
        ask(wire, parse("SELECT pg_sleep(0)"), sync())
        proxy.reload(gate={"exceptions": ""})
        assert reason(ask(wire, bind(), execute(), sync())) == SHARED


def test_what_sql_has_prepared_is_judged_again(stand):
    with stand.proxy(gate={"mode": "enforce", "exceptions": "sleep"}) as proxy, proxy.wire("acme") as wire:
        wire.query("PREPARE harmless AS SELECT 1")
        wire.query("PREPARE sleeper AS SELECT pg_sleep(0)")
        assert not errors(wire.query("EXECUTE sleeper"))
        proxy.reload(gate={"exceptions": ""})
        assert reason(wire.query("EXECUTE sleeper")) == ("42501", "BH-PERM-STALE")
        wire.query("DEALLOCATE ALL")
        wire.query("PREPARE harmless AS SELECT 1")
        assert rows(wire.query("EXECUTE harmless")) == [["1"]]


def test_an_unknown_exception_is_refused(stand):
    with stand.proxy(**ENFORCE) as proxy:
        event = proxy.reload("gate.settings", gate={"exceptions": "sleeep"})
        assert event["rule"] == "sleeep"
        with proxy.wire("acme") as wire:
            assert reason(wire.query("SELECT pg_sleep(0)")) == SHARED


def test_protected_settings(stand):
    with stand.proxy(gate={"mode": "enforce", "protected_settings": "app.tenant_id"}) as proxy, \
            proxy.wire("acme") as wire:
        for text in ("SET app.tenant_id = 'x'", "SELECT set_config('App.tenant_id', 'x', true)"):
            assert reason(wire.query(text)) == ("42501", "BH-STMT-CONTEXT")
        found = ask(wire, parse("SELECT set_config('app.tenant_id', $1, true)"), bind(["x"]), execute(), sync())
        assert reason(found) == ("42501", "BH-STMT-CONTEXT")
        assert not errors(wire.query("SET app.other = 'x'"))


@pytest.mark.parametrize("option", ["-c app.tenant_id=x", "-c APP.Tenant_id=x", "--app.tenant-id=x"])
def test_they_cannot_be_brought_along(stand, option):
    with stand.proxy(gate={"mode": "enforce", "protected_settings": "app.tenant_id"}) as proxy:
        with pytest.raises(WireError) as refused:
            proxy.wire("acme", options=option)
        assert refused.value.why == ("42501", "BH-STMT-CONTEXT")
        proxy.wire("acme", options="-c app.other=x").close()


def test_nor_set_by_a_view(stand):
    with stand.proxy(gate={"mode": "enforce", "protected_settings": "app.tenant_id"}) as proxy, \
            proxy.wire("acme") as wire:
        for what in ("TEMP VIEW v AS", "TEMP TABLE t AS"):
            found = wire.query(f"CREATE {what} SELECT set_config('app.tenant_id', 'x', false) AS a")
            assert reason(found) == ("42501", "BH-STMT-CONTEXT")


# ---- what is told ----

def test_refusals_are_logged_and_counted_without_the_text(proxy):
    name = ("bulkhead_statements_refused_total", "BH-STMT-DYNAMIC")
    before = metrics(proxy)[name]
    with proxy.wire("globex") as wire:
        wire.query("DO $$ BEGIN PERFORM 'planted secret'; END $$")
    assert metrics(proxy)[name] == before + 1
    line = wait_for(lambda: [e for e in proxy.events("statement.refused") if e["tenant"] == "globex"], "the line")[0]
    assert (line["reason"], line["rule"], line["principal"]) == ("BH-STMT-DYNAMIC", "do", "shop")
    assert "planted" not in proxy.log_text()


def test_few_lines_for_many_refusals(proxy):
    before = len(proxy.events("statement.refused"))
    with proxy.wire("acme") as wire:
        wire.send(query("LISTEN x") * 500)
        for _ in range(500):
            wire.until_ready()
    assert len(proxy.events("statement.refused")) - before < 200


# ---- errors that tell ----

def test_scrubbed_errors(stand):
    with stand.admin() as admin:
        admin.execute("CREATE TABLE unkept (email text UNIQUE); GRANT ALL ON unkept TO bulkhead_app;"
                      "INSERT INTO unkept VALUES ('someone@globex')")
    text = "INSERT INTO unkept VALUES ('someone@globex')"
    try:
        with stand.proxy(**ENFORCE) as proxy, proxy.wire("acme") as wire:
            assert "someone@globex" in error(wire.query(text))["D"]
            proxy.reload(gate={"scrub_errors": "yes"})
            found = error(wire.query(text))
            assert (found["C"], found.get("D"), found["n"]) == ("23505", None, "unkept_email_key")
    finally:
        with stand.admin() as admin:
            admin.execute("DROP TABLE unkept")


# ---- bulkhead explain-statement ----

def explain(*arguments, stdin=None, dsn=None):
    environment = {**os.environ, **({"CONTROL_DSN": dsn} if dsn else {})}
    done = subprocess.run([PROGRAM, "explain-statement", "--json", *arguments], input=stdin, text=True,
                          capture_output=True, check=False, env=environment)
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def test_explain_statement():
    code, found = explain("WITH x AS (DELETE FROM s.a RETURNING *) SELECT f(b.c) FROM x, b")
    assert code == 0 and found["decision"] == "allowed"
    assert (found["classes"], found["reads"], found["writes"], found["functions"]) == \
        (["read", "write"], ["b"], ["s.a"], ["f"])
    assert found["needs"] == ["sql.read", "sql.write"]


def test_explain_statement_that_is_refused():
    code, found = explain("-", stdin="SELECT query_to_xml('x', true, true, '')")
    assert code == 1
    assert (found["decision"], found["rules_in_force"], found["reason"]) == ("refused", ["dynamic-sql"], "BH-STMT-DYNAMIC")
    code, found = explain("--strategy", "DATABASE_PER_TENANT", "SELECT query_to_xml('x', true, true, '')")
    assert (code, found["decision"], found["rules_hit"]) == (0, "allowed", ["dynamic-sql"])


def test_explain_statement_for_a_tenant(stand):
    code, found = explain("--tenant", "acme", "VACUUM", dsn=stand.postgres.conninfo("shop"))
    assert (code, found["tenant"], found["reason"]) == (1, "acme", "BH-PERM-SQL")
    assert explain("--tenant", "nobody", "VACUUM", dsn=stand.postgres.conninfo("shop"))[0] == 1


def test_explain_statement_used_wrongly():
    for arguments in ([], ["a", "b"], ["--tenant", "a", "--strategy", "b", "c"], ["--strategy", "x", "SELECT 1"]):
        assert explain(*arguments)[0] in (1, 2)


def test_check_knows_the_rules(tmp_path):
    settings = tmp_path / "bulkhead.ini"
    settings.write_text("[cluster:default]\ndatabase = app\n[gate]\nexceptions = sleep, sleeep\n")
    done = subprocess.run([PROGRAM, "check", "-c", settings], text=True, capture_output=True, check=False)
    assert done.returncode == 1
    assert f'{settings}:4: exceptions: there is no rule "sleeep"' in done.stderr


# ---- what has texts read in another way ----

STRINGS, ENCODING = "standard_conforming_strings", "client_encoding"
UNSEEN = {STRINGS: b"SELECT '\\'' , setval($$unseen$$, 7) --'", ENCODING: b"SELECT E'\x95\\', setval($$unseen$$, 7) --'"}


@pytest.mark.parametrize("before, name", [
    ([query("SELECT set_config('standard_conforming_strings', lower('OFF'), false)")], STRINGS),
    ([query("BEGIN"), query("SELECT set_config('standard_conforming_strings', 'off', true)")], STRINGS),
    ([query("BEGIN"), query("SELECT set_config('standard_conforming_strings', lower('OFF'), true)")], STRINGS),
    ([parse("SELECT set_config('standard_conforming_strings', $1, false)") + bind([b"off"]) + execute() + sync()],
     STRINGS),
    ([query("SET client_encoding = 'SJIS'")], ENCODING),
    ([query("SET NAMES 'Shift-JIS'")], ENCODING),
    ([query("SELECT set_config('client_encoding', 'SJ' || 'IS', false)")], ENCODING),
    ([parse("SELECT set_config('client_encoding', $1, false)") + bind([b"SJIS"]) + execute() + sync()], ENCODING),
])
def test_nothing_is_read_in_another_way_right_behind(stand, proxy, before, name):
    """A statement that only the server would see, sent before the server can report the setting."""
    with stand.admin() as admin, proxy.wire("acme") as wire:
        admin.execute("CREATE SEQUENCE IF NOT EXISTS unseen; GRANT ALL ON unseen TO PUBLIC")
        wire.send(b"".join(before) + query(UNSEEN[name]))
        found = wire.until_ready(len(before) + 1)
        assert errors(found)[0] == "0A000"
        assert admin.execute("SELECT last_value FROM unseen").fetchone() == (1,)


@pytest.mark.parametrize("text", [
    "SELECT set_config('standard_conforming_strings', 'on', false)", "SET LOCAL client_encoding = 'UTF8'",
    "SET client_encoding TO DEFAULT", "RESET client_encoding", "SET standard_conforming_strings TO DEFAULT",
    "SELECT set_config('client_encoding', 'LATIN1', true)"])
def test_what_changes_no_reading_is_let_through(wire, text):
    assert errors(wire.query(text)) == []


# ---- what a session begins with ----

@pytest.mark.parametrize("options, wanted", [
    ("-c seed=0.5", SHARED), ("-c search_path=public,BulkHead", ("42501", "BH-STMT-SCHEMA")),
    ("-c role=postgres", ("42501", "BH-STMT-ROLE")), ("-c app.tenant=x", ("42501", "BH-STMT-CONTEXT")),
    ("-c backtrace_functions=x", ("42501", "BH-STMT-CONTEXT"))])
def test_settings_of_the_startup_packet(stand, options, wanted):
    with stand.proxy(gate={"mode": "enforce", "protected_settings": "app.tenant"}) as proxy:
        with pytest.raises(WireError) as refused:
            proxy.wire("acme", options=options)
        assert refused.value.why == wanted


def test_settings_of_the_startup_packet_that_go_through(proxy):
    with proxy.wire("acme", options="-c search_path=public -c role=none -c app.tenant=x") as wire:
        assert rows(wire.query("SHOW app.tenant")) == [["x"]]
