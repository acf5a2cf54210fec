"""Permissions and settings as the gate asks for them: read from the directory, in force at the next statement."""

import time

import pytest
from harness.wait import wait_for
from harness.wire import WireError, bind, errors, execute, parse, rows, sync, types, why

ENFORCE = {"gate": {"mode": "enforce"}}


@pytest.fixture(name="proxy", scope="module")
def fixture_proxy(stand):
    with stand.proxy(**ENFORCE) as proxy:
        yield proxy


@pytest.fixture(name="tenant")
def fixture_tenant(stand):
    """A tenant of the tests' own, and what was given to it taken back."""
    stand.tenants("gated")
    yield "gated"
    with stand.admin() as admin:
        admin.execute("DELETE FROM bulkhead_control.permission_grant; DELETE FROM bulkhead_control.setting")


def reason(messages):
    found = [m.fields for m in messages if m.type == "E"]
    return why(found[0]) if found else None


def until(wire, text, wanted):
    """Asks until the answer is this; how long that took."""
    began = time.monotonic()
    wait_for(lambda: reason(wire.query(text)) == wanted, f"{text}: {wanted}", seconds=5)
    return time.monotonic() - began


SQL, READ_ONLY = ("42501", "BH-PERM-SQL"), ("25006", "BH-PERM-READ-ONLY")


def test_a_permission_goes_and_comes_while_a_session_is_open(stand, proxy, tenant):
    text = "DELETE FROM orders WHERE false"
    with proxy.wire(tenant) as wire:
        assert reason(wire.query(text)) is None
        stand.command("permission", "set", tenant, "sql.write", "false")
        assert until(wire, text, SQL) < 1
        assert reason(wire.query("SELECT 1")) is None
        stand.command("permission", "revoke", tenant, "sql.write")
        assert until(wire, text, None) < 1


def test_what_was_prepared_before(stand, proxy, tenant):
    with proxy.wire(tenant) as wire:
        wire.send(parse("DELETE FROM orders WHERE false", "gone") + parse("SELECT 1", "there") + sync())
        wire.until_ready()
        stand.command("permission", "set", tenant, "sql.write", "false")
        until(wire, "DELETE FROM orders WHERE false", SQL)
        for name, wanted in (("gone", SQL), ("there", None)):
            wire.send(bind(statement=name) + execute() + sync())
            assert reason(wire.until_ready()) == wanted


def test_what_execute_and_bind_may_mean(stand, proxy, tenant):
    """Of SQL's PREPARE and of the protocol's, also behind another that may still run."""
    text, stale = "DELETE FROM orders WHERE false", ("42501", "BH-PERM-STALE")
    with proxy.wire(tenant) as one, proxy.wire(tenant) as other:
        until(one, text, None)
        one.query(f"PREPARE sql AS {text}")
        other.send(parse(text, "protocol") + sync())
        other.until_ready()
        other.query("PREPARE harmless AS SELECT 1")
        stand.command("permission", "set", tenant, "sql.write", "false")
        until(one, text, SQL)
        until(other, text, SQL)
        one.query("PREPARE behind AS SELECT 1")
        assert reason(one.query("EXECUTE sql")) == stale
        one.send(bind(statement="sql") + execute() + sync())
        assert reason(one.until_ready()) == stale
        assert reason(other.query("EXECUTE protocol")) == stale
        for wire, forget in ((one, "DEALLOCATE ALL"), (other, "DISCARD ALL")):
            wire.query(forget)
            wire.query("PREPARE again AS SELECT 1")
            assert reason(wire.query("EXECUTE again")) is None


def test_read_only(stand, proxy, tenant):
    with proxy.wire(tenant) as wire:
        stand.command("setting", "set", tenant, "proxy.read_only", "true")
        until(wire, "UPDATE orders SET item = item", READ_ONLY)
        assert rows(wire.query("SELECT count(*) FROM orders WHERE false")) == [["0"]]
        stand.command("setting", "unset", tenant, "proxy.read_only")
        until(wire, "UPDATE orders SET item = item WHERE false", None)


def test_read_only_inside_of_functions(stand, proxy, tenant):
    """What the gate cannot see, the server refuses."""
    with stand.admin() as admin:
        admin.execute("CREATE FUNCTION hidden_write() RETURNS int LANGUAGE sql VOLATILE AS "
                      "$$ INSERT INTO orders (id, item) VALUES ((random() * 1e9)::int, 'hidden') RETURNING 1 $$")
    try:
        with proxy.wire(tenant) as wire:
            assert rows(wire.query("SELECT hidden_write()")) == [["1"]]
            stand.command("setting", "set", tenant, "proxy.read_only", "true")
            until(wire, "UPDATE orders SET item = item", READ_ONLY)
            for before in ("SELECT 1", "BEGIN", "SET default_transaction_read_only = off", "BEGIN READ WRITE",
                           "SET transaction_read_only = off", "SET TRANSACTION READ WRITE",
                           "SELECT set_config('transaction_read_only', 'off', true)"):
                wire.query(before)
                assert errors(wire.query("SELECT hidden_write()"))[0] in ("25006", "25P02"), before
                wire.query("ROLLBACK")
            stand.command("setting", "unset", tenant, "proxy.read_only")
            until(wire, "UPDATE orders SET item = item WHERE false", None)
            wire.query("BEGIN READ WRITE")  # which no backend has seen
            with proxy.wire(tenant) as other:
                stand.command("setting", "set", tenant, "proxy.read_only", "true")
                until(other, "UPDATE orders SET item = item", READ_ONLY)
            assert errors(wire.query("SELECT hidden_write()")) == ["25006"]
            wire.query("ROLLBACK")
            for name in ("", "named"):
                wire.send(parse("BEGIN READ WRITE", name) + bind(statement=name) + execute() + sync())
                assert reason(wire.until_ready()) == READ_ONLY
                assert errors(wire.query("SELECT hidden_write()")) == ["25006"]
            stand.command("setting", "unset", tenant, "proxy.read_only")
            until(wire, "UPDATE orders SET item = item WHERE false", None)
            assert rows(wire.query("SELECT hidden_write()")) == [["1"]]
        with stand.admin() as admin:
            assert admin.execute("SELECT count(*) FROM orders WHERE item = 'hidden'").fetchone() == (2,)
    finally:
        with stand.admin() as admin:
            admin.execute("DROP FUNCTION hidden_write; DELETE FROM orders WHERE item = 'hidden'")


def test_lists_of_relations_and_functions(stand, proxy, tenant):
    with proxy.wire(tenant) as wire:
        stand.command("permission", "set", tenant, "sql.relations_denied", '["orders"]')
        until(wire, "SELECT 1 FROM orders", ("42501", "BH-PERM-RELATION"))
        assert reason(wire.query("SELECT 1 FROM pg_class")) is None
        stand.command("permission", "revoke", tenant, "sql.relations_denied")
        stand.command("permission", "set", tenant, "sql.functions_denied", '["upper"]')
        until(wire, "SELECT upper('x')", ("42501", "BH-PERM-FUNCTION"))
        assert reason(wire.query("SELECT lower('x') FROM orders WHERE false")) is None


def test_a_tenant_has_a_mode_of_its_own(stand, proxy, tenant):
    with proxy.wire(tenant) as wire, proxy.wire("acme") as other:
        stand.command("setting", "set", tenant, "proxy.gate", "observe")
        until(wire, "SELECT pg_sleep(0)", None)
        assert reason(other.query("SELECT pg_sleep(0)")) == ("42501", "BH-STMT-SHARED")
        stand.command("setting", "set", tenant, "proxy.gate", "enforce")
        until(wire, "SELECT pg_sleep(0)", ("42501", "BH-STMT-SHARED"))


def test_two_hundred_changes(stand, proxy, tenant):
    """From the commit to the effect, in SQL, since the command takes its time to start."""
    took = []
    with stand.admin() as admin, proxy.wire(tenant) as wire:
        for number in range(200):
            off = number % 2 == 0
            if off:
                admin.execute("SELECT bulkhead_control.set_permission(%s, 'sql.write', 'false', NULL, NULL)", (stand.ids[tenant],))
            else:
                admin.execute("SELECT bulkhead_control.revoke_permission(%s, 'sql.write')", (stand.ids[tenant],))
            took.append(until(wire, "DELETE FROM orders WHERE false", SQL if off else None))
    took.sort()
    print(f"200 changes of a permission: p50 {took[100] * 1000:.1f} ms, p99 {took[198] * 1000:.1f} ms")
    assert took[198] < 1


def test_types(proxy, tenant):
    """A tenant without grants has what its strategy gives."""
    with proxy.wire(tenant) as wire:
        assert types(wire.query("COPY orders TO STDOUT")).startswith("H")
        assert reason(wire.query("VACUUM")) == SQL


def test_a_schema_that_is_denied_is_in_no_search_path(stand, proxy, tenant):
    """What is named without it is not known to be of it."""
    denied = ("42501", "BH-PERM-RELATION")
    with stand.admin() as admin:
        admin.execute("CREATE SCHEMA IF NOT EXISTS payroll; CREATE TABLE IF NOT EXISTS payroll.wages (a int);"
                      "GRANT USAGE ON SCHEMA payroll TO bulkhead_app; GRANT SELECT ON payroll.wages TO bulkhead_app")
    try:
        with proxy.wire(tenant) as wire:
            assert reason(wire.query("SET search_path = public, payroll")) is None
            assert reason(wire.query("SELECT * FROM wages")) is None
            wire.query("RESET search_path")
            stand.command("permission", "set", tenant, "sql.relations_denied", "payroll.*")
            until(wire, "SELECT * FROM payroll.wages", denied)
            for text in ("SET search_path = public, payroll", "SELECT set_config('search_path', 'pay' || 'roll', false)"):
                assert reason(wire.query(text)) == denied
            assert errors(wire.query("SELECT * FROM wages")) == ["42P01"]
            assert reason(wire.query("SET search_path = public")) is None
        with pytest.raises(WireError) as refused:
            proxy.wire(tenant, search_path="payroll")
        assert refused.value.why == denied
    finally:
        with stand.admin() as admin:
            admin.execute("DROP SCHEMA payroll CASCADE")
