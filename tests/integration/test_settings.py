"""Settings in the control schema: whose value holds, what a lock does, and what may be set."""

import json
import random
import uuid

import psycopg
import pytest
from harness.control import ADMIN, SIDECAR, constraint


def put(control, tenant, key, value, lock=False, on=None):
    """The tenant's value as it is then, with its version; nothing when it was so already."""
    return (on or control.admin).execute(
        "SELECT value, locked, version FROM bulkhead_control.set_setting(%s, %s, %s, %s)",
        (tenant, key, json.dumps(value), lock)).fetchall()


def unset(control, tenant, key):
    return control.admin.execute("SELECT value FROM bulkhead_control.unset_setting(%s, %s)", (tenant, key)).fetchall()


def resolved(control, tenant, key):
    cursor = control.admin.execute("SELECT * FROM bulkhead_control.resolve_settings(%s)", (tenant,))
    names = [column.name for column in cursor.description]
    rows = {row[0]: dict(zip(names, row)) for row in cursor.fetchall()}
    return rows.get(key)


def value(control, tenant, key):
    row = resolved(control, tenant, key)
    return row and row["value"]


def looked_up(control, tenant):
    with control.connect(SIDECAR) as sidecar:
        found = control.value("SELECT permissions FROM bulkhead_control.lookup_tenant(%s)", str(tenant), on=sidecar)
    return found["read_only"], found["gate"]


def limits_of(control, tenant):
    with control.connect(SIDECAR) as sidecar:
        found = control.value("SELECT permissions FROM bulkhead_control.lookup_tenant(%s)", str(tenant), on=sidecar)
        assert found == control.value("SELECT permissions FROM bulkhead_control.changed_tenants(%s, '{0}')", [tenant],
                                      on=sidecar)
    return found.get("limits")


def refused(work, *arguments):
    with pytest.raises(psycopg.Error) as error:
        work(*arguments)
    return constraint(error.value)


@pytest.fixture
def chain(control):
    return control.chain("t", 4)


def test_without_a_value_the_default_holds(control, chain):
    row = resolved(control, chain[3], "proxy.read_only")
    assert (row["value"], row["inherited"], row["source_id"]) == (False, False, None)
    assert value(control, chain[3], "proxy.gate") is None
    assert looked_up(control, chain[3]) == (False, None)
    assert resolved(control, chain[3], "app.theme") is None


def test_the_nearest_value_holds(control, chain):
    put(control, chain[0], "proxy.gate", "observe")
    put(control, chain[2], "proxy.gate", "off")
    put(control, chain[1], "proxy.read_only", True)
    assert [looked_up(control, tenant) for tenant in chain] == [
        (False, "observe"), (True, "observe"), (True, "off"), (True, "off")]
    row = resolved(control, chain[3], "proxy.gate")
    assert (row["source"], row["inherited"], row["locked_by"]) == ("t-2", True, None)
    assert unset(control, chain[2], "proxy.gate") == [("off",)] and unset(control, chain[2], "proxy.gate") == []
    assert looked_up(control, chain[3]) == (True, "observe")


def test_limits_come_with_the_permissions_where_there_are_any(control, chain):
    assert limits_of(control, chain[3]) is None
    put(control, chain[0], "proxy.max_connections", 0)
    put(control, chain[0], "proxy.statement_timeout", 5000)
    put(control, chain[1], "proxy.statement_timeout", 0)
    put(control, chain[2], "proxy.rate_limit", 5.0)
    assert [limits_of(control, tenant) for tenant in chain] == [
        {"max_connections": 0, "statement_timeout": 5000}, {"max_connections": 0, "statement_timeout": 0},
        *[{"max_connections": 0, "statement_timeout": 0, "rate_limit": 5.0}] * 2]
    put(control, chain[0], "proxy.statement_timeout", 5000, True)
    assert limits_of(control, chain[3])["statement_timeout"] == 5000
    for key, tenant in (("max_connections", 0), ("statement_timeout", 0), ("statement_timeout", 1), ("rate_limit", 2)):
        unset(control, chain[tenant], f"proxy.{key}")
    assert limits_of(control, chain[3]) is None


def test_the_highest_lock_holds_and_what_it_masks_comes_back(control, chain):
    put(control, chain[1], "proxy.gate", "observe")
    put(control, chain[2], "proxy.gate", "off", True)
    assert refused(put, control, chain[3], "proxy.gate", "enforce") == "setting_locked"
    put(control, chain[2], "proxy.gate", "off")
    put(control, chain[3], "proxy.gate", "enforce")
    put(control, chain[2], "proxy.gate", "off", True)
    put(control, chain[0], "proxy.gate", "observe", True)
    assert [value(control, tenant, "proxy.gate") for tenant in chain] == ["observe"] * 4
    row = resolved(control, chain[3], "proxy.gate")
    assert (row["own"], row["masked"], row["locked_by"]) == ("enforce", True, "t-0")
    put(control, chain[0], "proxy.gate", "observe", False)
    assert [value(control, tenant, "proxy.gate") for tenant in chain] == ["observe", "observe", "off", "off"]
    put(control, chain[2], "proxy.gate", "off", False)
    assert [value(control, tenant, "proxy.gate") for tenant in chain] == ["observe", "observe", "off", "enforce"]


def test_a_locked_key_is_set_by_the_one_who_locked(control, chain):
    put(control, chain[1], "app.x", 1, True)
    assert put(control, chain[1], "app.x", 2, True)[0][:2] == (2, True)
    assert refused(put, control, chain[2], "app.x", 2) == "setting_locked"
    put(control, chain[0], "app.x", 3)
    assert value(control, chain[2], "app.x") == 2


@pytest.mark.parametrize("json_value", [None, True, 0, -1.5, "", "ä€", [], {"a": [1, {"b": None}]}, "x" * 65534])
def test_the_applications_own_take_anything(control, chain, json_value):
    put(control, chain[0], "app.theme", json_value)
    assert value(control, chain[3], "app.theme") == json_value


@pytest.mark.parametrize("key, bad, why", [
    ("app.theme", "x" * 65535, "setting_size"), ("app.", 1, "setting_app_key"), ("app.a b", 1, "setting_app_key"),
    ("app." + "x" * 252, 1, "setting_app_key"),
    ("proxy.read_only", "true", "setting_value"), ("proxy.read_only", None, "setting_value"),
    ("proxy.gate", "Observe", "setting_value"), ("proxy.gate", None, "setting_value"),
    ("proxy.gate", 1, "setting_value"),
    ("proxy.max_connections", -2, "setting_value"), ("proxy.max_connections", 1000001, "setting_value"),
    ("proxy.pool_size", -1, "setting_value"), ("proxy.pool_size", "3", "setting_value"),
    ("proxy.statement_timeout", 0.5, "setting_value"), ("proxy.statement_timeout", 2 ** 31, "setting_value"),
    ("proxy.idle_in_transaction_timeout", None, "setting_value"), ("proxy.query_wait_timeout", True, "setting_value"),
    ("proxy.rate_limit", -1, "setting_value"), ("proxy.rate_limit", 1000001, "setting_value"),
    ("proxy.rate_burst", [], "setting_value"),
])
def test_a_value_fits_its_key(control, chain, key, bad, why):
    assert refused(put, control, chain[0], key, bad) == why
    assert control.version(chain[0]) == 1


@pytest.mark.parametrize("key", ["proxy.nosuch", "app", "apps.x", ""])
def test_other_keys_are_registered(control, chain, key):
    with pytest.raises(psycopg.errors.NoDataFound):
        put(control, chain[0], key, 1)


REGISTERED = [
    ("test.count", "integer", {"minimum": 1, "maximum": 9}, [1, 9, 5.0], [0, 10, 1.5, "5", True, None]),
    ("test.ratio", "number", {"minimum": 0}, [0, 0.5, 1e9], [-0.1, "1"]),
    ("test.word", "string", {"choices": ["a", "b"]}, ["a"], ["c", 1]),
    ("test.text", "string", {"maximum": 3}, ["", "äöü"], ["abcd"]),
    ("test.list", "array", {}, [[], [1]], [{}, None]),
    ("test.map", "object", {}, [{}], [[], "x"]),
]


@pytest.mark.parametrize("key, kind, bounds, good, bad", REGISTERED)
def test_registered_keys_have_types_and_bounds(control, chain, key, kind, bounds, good, bad):
    control._insert(control.admin, "setting_key", {"key": key, "type": kind, "description": "x", **bounds})
    try:
        for one in good:
            put(control, chain[0], key, one)
            assert value(control, chain[3], key) == one
        for one in bad:
            assert refused(put, control, chain[0], key, one) == "setting_value"
        assert refused(control.admin.execute, "DELETE FROM bulkhead_control.setting_key WHERE NOT builtin") == \
            "setting_key_registered"
    finally:
        control.clear()
        control.admin.execute("DELETE FROM bulkhead_control.setting_key WHERE NOT builtin")


def test_nothing_sensitive_is_stored(control, chain):
    control._insert(control.admin, "setting_key", {"key": "test.token", "type": "string", "description": "x",
                                                   "sensitive": True})
    try:
        assert refused(put, control, chain[0], "test.token", "hunter2") == "setting_sensitive"
    finally:
        control.admin.execute("DELETE FROM bulkhead_control.setting_key WHERE NOT builtin")


@pytest.mark.parametrize("columns, why", [
    ({"key": "proxy.more"}, "setting_key_reserved"), ({"key": "app.more"}, "setting_key_reserved"),
    ({"key": "More"}, "setting_key_form"), ({"type": "text"}, "setting_key_type"), ({"default_value": '"x"'},
                                                                                   "setting_key_default"),
    ({"description": ""}, "setting_key_description"),
])
def test_registered_keys_have_a_form(control, columns, why):
    columns = {"key": "test.more", "type": "integer", "description": "x", **columns}
    assert refused(control._insert, control.admin, "setting_key", columns) == why


def test_what_a_registered_key_means_does_not_change(control):
    with control.database.connect() as root:
        for change in ("UPDATE bulkhead_control.setting_key SET type = 'string'",
                       "DELETE FROM bulkhead_control.setting_key WHERE key = 'proxy.gate'"):
            assert refused(root.execute, change) == "setting_key_fixed"


def test_a_change_is_told_of_the_tenant_and_all_below_once(control, chain):
    with control.heard() as payloads:
        put(control, chain[2], "app.x", 1)
        put(control, chain[2], "app.x", 1)
        put(control, chain[2], "app.x", 1, True)
        unset(control, chain[2], "app.x")
        unset(control, chain[2], "app.x")
    assert sorted(payloads) == sorted(f"{tenant}:{version}" for tenant in chain[2:] for version in (2, 3, 4))
    control.assert_announced(payloads)


def test_settings_go_with_their_tenant_and_follow_a_move(control, chain):
    other = control.create("other")
    put(control, other, "proxy.read_only", True, True)
    put(control, chain[2], "proxy.read_only", False)
    put(control, chain[3], "app.x", 1)
    control.move(chain[2], other)
    assert looked_up(control, chain[3]) == (True, None)
    control.delete(chain[3])
    assert control.value("SELECT count(*) FROM bulkhead_control.setting WHERE key = 'app.x'") == 0


@pytest.mark.parametrize("user", [ADMIN, SIDECAR])
def test_values_are_set_by_functions_alone(control, chain, user):
    put(control, chain[0], "app.x", 1)
    with control.connect(user) as connection:
        for change in ("INSERT INTO bulkhead_control.setting (tenant_id, key, value) "
                       f"VALUES ('{chain[1]}', 'app.y', '1')",
                       "UPDATE bulkhead_control.setting SET value = '2'", "DELETE FROM bulkhead_control.setting"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(change)


def test_nobody_has_no_settings(control):
    with pytest.raises(psycopg.errors.NoDataFound):
        put(control, uuid.uuid4(), "app.x", 1)
    assert resolved(control, uuid.uuid4(), "proxy.gate") is None


@pytest.mark.parametrize("nth", range(3))
def test_whatever_is_set_in_whatever_order(control, nth):
    """As worked out by hand: the first lock from the top, else the first value from below."""
    seed = random.randrange(2**32)
    print("seed", seed)
    draw, parents, ids, own = random.Random(seed), {}, [], {}
    for n in range(8):
        parents[n] = draw.choice([None, *range(n)])
        ids.append(control.create(f"t-{n}", None if parents[n] is None else ids[parents[n]]))

    def up(n):
        return [] if n is None else [n, *up(parents[n])]

    def expected(n):
        locks = [m for m in reversed(up(n)) if own.get(m, (0, False))[1]]
        values = [m for m in up(n) if m in own]
        return own[(locks or values)[0]][0] if values else None

    for _ in range(60):
        n, lock, new = draw.randrange(8), draw.random() < 0.3, draw.randrange(100)
        if draw.random() < 0.3:
            unset(control, ids[n], "app.x")
            own.pop(n, None)
        elif any(own.get(m, (0, False))[1] for m in up(n)[1:]):
            assert refused(put, control, ids[n], "app.x", new, lock) == "setting_locked"
        else:
            put(control, ids[n], "app.x", new, lock)
            own[n] = (new, lock)
        assert [value(control, ids[m], "app.x") for m in range(8)] == [expected(m) for m in range(8)], seed
