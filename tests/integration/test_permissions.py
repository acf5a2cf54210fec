"""Permissions in the control schema: what a tenant holds, who may grant what, and what becomes of what is revoked."""

import json
import random
import uuid

import psycopg
import pytest
from harness.control import ADMIN, SIDECAR
from harness.policy import MODES, grant, held, looked_up, refused, resolved, revoke

SHARED = {"sql.read", "sql.write", "sql.call", "sql.copy"}
SCHEMA = SHARED | {"sql.ddl", "sql.maintenance"}


@pytest.fixture
def chain(control):
    """Four tenants, one below the other."""
    return control.chain("t", 4)


# ---- without grants ----

@pytest.mark.parametrize("strategy, expected", [
    ("SHARED_RLS", SHARED), ("SCHEMA_PER_TENANT", SCHEMA), ("DATABASE_PER_TENANT", SCHEMA | {"sql.listen"})])
def test_a_root_holds_what_its_strategy_has(control, strategy, expected):
    acme = control.create("acme", strategy=strategy)
    assert looked_up(control, acme) == {
        "held": sorted(expected), "read_only": False, "gate": None, "relations": None, "functions": None,
        "relations_denied": [], "functions_denied": []}
    all_ = resolved(control, acme)
    assert {key for key, row in all_.items() if row["value"] is True} == expected
    assert all(row["source_id"] is None and not row["inherited"] for row in all_.values())


def test_below_another_strategy_both_bind(control):
    shared, own = control.create("shared"), control.create("own", strategy="DATABASE_PER_TENANT")
    below_shared = control.create("a", shared, strategy="DATABASE_PER_TENANT")
    below_own = control.create("b", own)
    assert set(looked_up(control, below_shared)["held"]) == set(looked_up(control, below_own)["held"]) == SHARED
    grant(control, shared, "sql.ddl", True)
    assert "sql.ddl" in looked_up(control, below_shared)["held"]
    grant(control, below_own, "sql.ddl", True)  # the parent holds it, by default
    assert "sql.ddl" in looked_up(control, below_own)["held"]


def test_another_strategy_above_is_told_below(control):
    top, middle, leaf = control.chain("t", 3)
    for tenant in (middle, leaf):
        control.set(tenant, strategy="SCHEMA_PER_TENANT")
    before = {tenant: control.version(tenant) for tenant in (top, middle, leaf)}
    control.set(top, strategy="DATABASE_PER_TENANT")
    assert all(control.version(tenant) == before[tenant] + 1 for tenant in before)
    assert set(looked_up(control, leaf)["held"]) == SCHEMA


# ---- modes ----

def test_what_is_granted_flows_down(control, keys, chain):
    assert grant(control, chain[0], "test.flag", True, "DELEGATED", "SOFT") == [(True, "DELEGATED", "SOFT", 2)]
    for tenant in chain:
        row = resolved(control, tenant)["test.flag"]
        assert (row["value"], row["source"], row["inherited"]) == (True, "t-0", tenant != chain[0])
    assert held(control, control.create("late", chain[3]), "test.flag") is True


def test_mode_and_revocation_stay_unless_said(control, keys, chain):
    assert grant(control, chain[0], "test.count", 7) == [(7, "INHERITED", "CASCADE", 2)]
    assert grant(control, chain[0], "test.count", 7, "DELEGATED", "SOFT") == [(7, "DELEGATED", "SOFT", 3)]
    assert grant(control, chain[0], "test.count", 8) == [(8, "DELEGATED", "SOFT", 4)]
    assert grant(control, chain[0], "test.count", 8) == []


@pytest.mark.parametrize("below", MODES)
def test_below_a_lock_nothing_is_granted(control, keys, chain, below):
    grant(control, chain[0], "test.flag", True, "LOCKED")
    for tenant in chain[1:]:
        assert refused(grant, control, tenant, "test.flag", False, below) == "permission_grant_locked"
        assert resolved(control, tenant)["test.flag"]["locked_by"] == "t-0"
    grant(control, chain[0], "test.flag", False)  # the one who locked may
    assert held(control, chain[3], "test.flag") is False


def test_a_lock_masks_what_was_granted_below(control, keys, chain):
    grant(control, chain[0], "test.count", 9, "DELEGATED")
    grant(control, chain[2], "test.count", 3)
    grant(control, chain[0], "test.count", 9, "LOCKED")
    assert [held(control, tenant, "test.count") for tenant in chain] == [9, 9, 9, 9]
    assert resolved(control, chain[2])["test.count"]["own"] == 3
    grant(control, chain[0], "test.count", 9, "DELEGATED")
    assert [held(control, tenant, "test.count") for tenant in chain] == [9, 9, 3, 3]


def test_under_inherited_a_tenant_lowers_and_no_more(control, keys, chain):
    grant(control, chain[0], "test.count", 9, "INHERITED")
    for mode in ("LOCKED", "DELEGATED"):
        assert refused(grant, control, chain[1], "test.count", 4, mode) == "permission_grant_passed_on"
    grant(control, chain[1], "test.count", 4)
    assert [held(control, tenant, "test.count") for tenant in chain] == [9, 4, 4, 4]
    assert refused(grant, control, chain[2], "test.count", 5) == "permission_grant_bound"
    assert refused(grant, control, chain[2], "test.count", 3, "DELEGATED") == "permission_grant_passed_on"
    grant(control, chain[2], "test.count", 3)
    assert [held(control, tenant, "test.count") for tenant in chain] == [9, 4, 3, 3]


@pytest.mark.parametrize("mode", MODES)
def test_under_delegated_any_mode_may_be_chosen(control, keys, chain, mode):
    grant(control, chain[0], "test.count", 9, "DELEGATED")
    grant(control, chain[1], "test.count", 8, mode)
    if mode == "LOCKED":
        assert refused(grant, control, chain[2], "test.count", 7) == "permission_grant_locked"
    elif mode == "INHERITED":
        assert refused(grant, control, chain[2], "test.count", 7, "DELEGATED") == "permission_grant_passed_on"
    else:
        grant(control, chain[2], "test.count", 7, "LOCKED")
        assert refused(grant, control, chain[3], "test.count", 6) == "permission_grant_locked"
    assert held(control, chain[0], "test.count") == 9


def test_a_mode_from_before_counts_for_no_more_than_the_one_above_allows(control, keys, chain):
    grant(control, chain[0], "test.count", 9, "DELEGATED")
    grant(control, chain[1], "test.count", 8, "LOCKED")
    grant(control, chain[0], "test.count", 9, "INHERITED")
    grant(control, chain[2], "test.count", 7)  # the lock was not the tenant's to make any more
    assert [held(control, tenant, "test.count") for tenant in chain] == [9, 8, 7, 7]


# ---- bounds ----

@pytest.mark.parametrize("key, above, less, more", [
    ("test.flag", False, [False], [True]),
    ("test.flag", True, [True, False], []),
    ("test.count", 5, [5, 4.5, -1, 0], [5.001, 6, 1e300]),
    ("test.words", ["a", "b.*"], [[], ["a"], ["b.*", "a", "a"]], [["c"], ["*"], ["a", "c"], ["b.c"]]),
    ("test.words", ["*"], [["*"], ["a"], []], []),
    ("sql.relations", ["shop.*", "orders", "pub.x*"],
     [[], ["shop.a"], ["shop.*"], ["shop.a*"], ["orders"], ["any.orders"], ["pub.xy*", "pub.x"]],
     [["shop"], ["*"], ["order"], ["orders*"], ["pub.*"], ["pub.y"], ["xyz"], ["shop.a", "b"]]),
    ("sql.functions", ["*"], [["*"], ["f"], ["f*"], ["s.f"]], []),
])
def test_a_child_gets_no_more_than_its_parent_holds(control, keys, key, above, less, more):
    top, leaf = control.chain("t", 2)
    grant(control, top, key, above, "DELEGATED")
    for value in less:
        grant(control, leaf, key, value)
        found = held(control, leaf, key)
        assert found == (sorted(set(value)) if isinstance(value, list) else value)
    for value in more:
        assert refused(grant, control, leaf, key, value) == "permission_grant_bound"


def test_denied_names_come_together(control):
    top, middle, leaf = control.chain("t", 3)
    grant(control, top, "sql.relations_denied", ["a", "s.*"])
    grant(control, middle, "sql.relations_denied", ["b"])
    grant(control, leaf, "sql.relations_denied", [])
    assert held(control, top, "sql.relations_denied") == ["a", "s.*"]
    assert held(control, middle, "sql.relations_denied") == ["a", "b", "s.*"]
    assert looked_up(control, leaf)["relations_denied"] == ["a", "b", "s.*"]
    grant(control, middle, "sql.relations_denied", ["*"])
    assert looked_up(control, leaf)["relations_denied"] == ["*"]
    grant(control, top, "sql.relations_denied", [], "LOCKED")
    assert looked_up(control, leaf)["relations_denied"] == []


@pytest.mark.parametrize("above, below, expected", [
    (["orders"], ["shop.orders", "items"], ["shop.orders"]),
    (["shop.orders"], ["shop.*"], ["shop.orders"]),
    (["orders"], ["shop.*"], ["shop.orders"]),
    (["a*"], ["ab*", "b"], ["ab*"]),
    (["ab*"], ["a*"], ["ab*"]),
    (["s.a*", "t.*"], ["a", "t.x*"], ["s.a", "t.a", "t.x*"]),
    (["s.x"], ["t.x"], []),
    ([], ["*"], []),
    (["*"], ["x"], ["x"]),
])
def test_a_parent_that_holds_less_later_cuts(control, above, below, expected):
    top, leaf = control.chain("t", 2)
    grant(control, leaf, "sql.relations", below)
    grant(control, top, "sql.relations", above, "DELEGATED", "SOFT")
    assert held(control, leaf, "sql.relations") == looked_up(control, leaf)["relations"] == expected
    revoke(control, top, "sql.relations")
    assert held(control, leaf, "sql.relations") == sorted(below)


def test_lists_are_bounded_and_stay_so(control):
    """A thousand names in a list, also where several come together; beyond that all are denied."""
    top, leaf = control.chain("t", 2)
    names = [f"n{n:04}" for n in range(1000)]
    for key in ("sql.relations", "sql.functions_denied"):
        grant(control, top, key, names, "DELEGATED")
        assert refused(grant, control, top, key, [*names, "more"]) == "permission_grant_value"
    assert looked_up(control, leaf)["relations"] == looked_up(control, leaf)["functions_denied"] == names
    assert refused(grant, control, leaf, "sql.functions_denied", ["more"]) == "permission_grant_value"
    grant(control, leaf, "sql.functions_denied", names[:10])

    other = control.create("other")
    grant(control, other, "sql.functions_denied", ["more"])
    control.move(leaf, None)
    control.move(other, top)
    assert looked_up(control, other)["functions_denied"] == ["*"], "too many to tell are all"
    assert refused(grant, control, top, "sql.relations", [f"p{n}*" for n in range(101)]) == "permission_grant_value"
    assert refused(grant, control, top, "sql.relations", ["x" * 255] * 300) == "permission_grant_value"


@pytest.mark.parametrize("key, value", [
    ("sql.read", 1), ("sql.read", "true"), ("sql.read", None), ("sql.read", [True]),
    ("test.count", True), ("test.count", "1"), ("test.count", []),
    ("test.words", "a"), ("test.words", [1]), ("test.words", [""]), ("test.words", [["a"]]), ("test.words", {}),
    ("test.words", ["a\nb"]), ("test.words", ["x" * 256]),
    *[("sql.relations", [name]) for name in ("", ".", "a.", ".a", "a*b", "*a", "*.a", "a*.b", "a**", "a.b*c", "\t")],
    ("sql.relations_denied", ["a."]), ("sql.functions", None),
])
def test_a_value_fits_its_key(control, keys, key, value):
    acme = control.create("acme")
    assert refused(grant, control, acme, key, value) == "permission_grant_value"
    assert control.version(acme) == 1


@pytest.mark.parametrize("mode, revocation, why", [
    ("locked", None, "permission_grant_mode"), ("ANY", None, "permission_grant_mode"),
    (None, "HARD", "permission_grant_revocation")])
def test_modes_and_revocations_are_three_each(control, mode, revocation, why):
    assert refused(grant, control, control.create("acme"), "sql.read", False, mode, revocation) == why


def test_nobody_and_nothing_has_no_grants(control):
    acme = control.create("acme")
    for work in (lambda: grant(control, uuid.uuid4(), "sql.read", True), lambda: grant(control, acme, "sql.reed", True),
                 lambda: revoke(control, uuid.uuid4(), "sql.read"), lambda: revoke(control, acme, "sql.reed")):
        with pytest.raises(psycopg.errors.NoDataFound):
            work()


# ---- revocations ----

@pytest.mark.parametrize("mode", MODES)
def test_cascade_takes_from_the_whole_subtree(control, keys, chain, mode):
    grant(control, chain[0], "test.flag", True, mode, "CASCADE")
    if mode == "DELEGATED":
        grant(control, chain[1], "test.flag", True, "DELEGATED", "SOFT")
        grant(control, chain[3], "test.flag", True)
    elif mode == "INHERITED":
        grant(control, chain[2], "test.flag", True)
    assert held(control, chain[3], "test.flag") is True
    gone = revoke(control, chain[0], "test.flag")
    assert {became for _, became, _ in gone} == {"revoked"}
    assert [slug for slug, _, _ in gone] == {"LOCKED": ["t-0"], "INHERITED": ["t-0", "t-2"],
                                            "DELEGATED": ["t-0", "t-1", "t-3"]}[mode]
    assert [held(control, tenant, "test.flag") for tenant in chain] == [False] * 4
    assert control.value("SELECT count(*) FROM bulkhead_control.permission_grant") == 0


@pytest.mark.parametrize("mode", MODES)
def test_soft_leaves_those_below_what_they_hold(control, keys, chain, mode):
    grant(control, chain[1], "test.count", 4)
    grant(control, chain[0], "test.count", 9, mode, "SOFT")
    before = [held(control, tenant, "test.count") for tenant in chain]
    assert before[0] == 9
    grant(control, chain[0], "test.count", 9)
    became = revoke(control, chain[0], "test.count")
    after = [held(control, tenant, "test.count") for tenant in chain]
    assert after[0] == 5 and after[1:] == before[1:], "the default, and as before"
    frozen = [slug for slug, what, _ in became if what == "frozen"]
    assert frozen == (["t-1", "t-2", "t-3"] if mode == "LOCKED" else [])  # a grant of 4 is below the default


def test_what_is_frozen_is_not_passed_on(control, keys, chain):
    grant(control, chain[0], "test.flag", True, "DELEGATED", "SOFT")
    grant(control, chain[2], "test.flag", True, "DELEGATED")
    assert revoke(control, chain[0], "test.flag") == [("t-0", "revoked", True)] + [
        (f"t-{n}", "frozen", True) for n in (1, 2, 3)]
    assert [held(control, tenant, "test.flag") for tenant in chain] == [False, True, True, True]
    assert [resolved(control, tenant)["test.flag"]["frozen"] for tenant in chain] == [False, True, True, True]
    late = control.create("late", chain[3])
    assert held(control, late, "test.flag") is False
    assert refused(grant, control, late, "test.flag", True) == "permission_grant_bound"
    assert refused(grant, control, chain[3], "test.flag", True) == "permission_grant_bound"


def frozen_chain(control, chain):
    grant(control, chain[0], "test.count", 9, "DELEGATED", "SOFT")
    revoke(control, chain[0], "test.count")
    assert [held(control, tenant, "test.count") for tenant in chain] == [5, 9, 9, 9]


@pytest.mark.parametrize("value, expected", [(3, [3, 3, 3, 3]), (7, [7, 7, 7, 7]), (12, [12, 12, 12, 12])])
def test_a_new_grant_above_binds_what_is_frozen(control, keys, chain, value, expected):
    frozen_chain(control, chain)
    grant(control, chain[0], "test.count", value)
    assert [held(control, tenant, "test.count") for tenant in chain] == expected


def test_a_grant_of_its_own_ends_the_freeze(control, keys, chain):
    frozen_chain(control, chain)
    grant(control, chain[2], "test.count", 2)
    assert [held(control, tenant, "test.count") for tenant in chain] == [5, 9, 2, 2]
    revoke(control, chain[2], "test.count")
    assert [held(control, tenant, "test.count") for tenant in chain] == [5, 9, 5, 5]


def test_what_is_frozen_can_be_revoked(control, keys, chain):
    frozen_chain(control, chain)
    before = [control.version(tenant) for tenant in chain]
    assert revoke(control, chain[2], "test.count") == [("t-2", "revoked", 9)]
    assert [held(control, tenant, "test.count") for tenant in chain] == [5, 9, 5, 9]
    assert [control.version(tenant) for tenant in chain] == [*before[:2], before[2] + 1, before[3] + 1]
    grant(control, chain[0], "test.count", 5, "DELEGATED", "CASCADE")
    assert [held(control, tenant, "test.count") for tenant in chain] == [5, 5, 5, 5]


def test_cascade_above_takes_what_is_frozen(control, keys, chain):
    grant(control, chain[0], "test.flag", True, "DELEGATED")
    grant(control, chain[1], "test.flag", True, "DELEGATED", "SOFT")
    grant(control, chain[0], "test.flag", True)
    revoke(control, chain[1], "test.flag")
    assert held(control, chain[3], "test.flag") is True
    revoke(control, chain[0], "test.flag")
    assert [held(control, tenant, "test.flag") for tenant in chain] == [False] * 4


def test_a_move_ends_what_is_frozen(control, keys, chain):
    frozen_chain(control, chain)
    control.move(chain[2], chain[0])
    assert [held(control, tenant, "test.count") for tenant in chain] == [5, 9, 5, 5]


def test_soft_revocation_of_a_restriction_gives_back(control, keys, chain):
    """Nobody would hold less, so nothing is frozen."""
    grant(control, chain[0], "sql.write", False, "LOCKED", "SOFT")
    assert revoke(control, chain[0], "sql.write") == [("t-0", "revoked", False)]
    assert [held(control, tenant, "sql.write") for tenant in chain] == [True] * 4


def test_permanent_is_neither_changed_nor_revoked(control, keys, chain):
    grant(control, chain[1], "sql.write", False, "LOCKED", "PERMANENT")
    for work in (lambda: revoke(control, chain[1], "sql.write"), lambda: grant(control, chain[1], "sql.write", True),
                 lambda: grant(control, chain[1], "sql.write", False, None, "CASCADE"),
                 lambda: grant(control, chain[1], "sql.write", False, "DELEGATED")):
        assert refused(work) == "permission_grant_permanent"
    assert grant(control, chain[1], "sql.write", False) == []
    with control.database.connect() as root:
        for change in ("UPDATE bulkhead_control.permission_grant SET value = 'true'",
                       "UPDATE bulkhead_control.permission_grant SET revocation = 'SOFT'",
                       "DELETE FROM bulkhead_control.permission_grant"):
            assert refused(root.execute, change) == "permission_grant_permanent"
    assert held(control, chain[3], "sql.write") is False


def test_permanent_below_stays_and_is_bounded(control, keys, chain):
    grant(control, chain[0], "test.flag", True, "DELEGATED", "CASCADE")
    grant(control, chain[2], "test.flag", True, "LOCKED", "PERMANENT")
    assert revoke(control, chain[0], "test.flag") == [("t-0", "revoked", True)]
    assert [held(control, tenant, "test.flag") for tenant in chain] == [False] * 4
    grant(control, chain[0], "test.flag", True, "DELEGATED")
    assert resolved(control, chain[3])["test.flag"]["locked_by"] == "t-2"


def test_a_grant_ends_with_its_tenant(control, keys, chain):
    grant(control, chain[3], "sql.write", False, "LOCKED", "PERMANENT")
    control.delete(chain[3])
    assert control.value("SELECT count(*) FROM bulkhead_control.permission_grant") == 0
    control.create("t-3", chain[2], id=chain[3])
    assert held(control, chain[3], "sql.write") is True


def test_what_was_not_granted_is_not_revoked(control, chain):
    assert revoke(control, chain[0], "sql.read") == []
    grant(control, chain[0], "sql.read", False)
    assert revoke(control, chain[1], "sql.read") == []
    assert control.version(chain[1]) == 2


# ---- moves ----

def test_a_moved_tenant_holds_what_its_new_place_gives(control, keys):
    rich, poor = control.create("rich"), control.create("poor")
    moved, leaf = control.chain("t", 2, rich)
    grant(control, rich, "test.count", 20, "DELEGATED")
    grant(control, moved, "test.count", 15)
    grant(control, poor, "test.count", 7, "LOCKED")
    grant(control, poor, "sql.write", False)
    before = control.version(leaf)
    control.move(moved, poor)
    assert held(control, leaf, "test.count") == 7 and "sql.write" not in looked_up(control, leaf)["held"]
    assert control.version(leaf) == before + 1
    control.move(moved, None)
    assert held(control, leaf, "test.count") == 15 and "sql.write" in looked_up(control, leaf)["held"]


# ---- versions ----

def test_a_change_is_told_of_the_tenant_and_all_below_once(control, keys, chain):
    control.create("beside", chain[0])
    with control.heard() as payloads:
        grant(control, chain[1], "test.flag", False)
        grant(control, chain[1], "test.flag", False)
        revoke(control, chain[1], "test.flag")
        revoke(control, chain[1], "test.flag")
    assert sorted(payloads) == sorted(f"{tenant}:{version}" for tenant in chain[1:] for version in (2, 3))
    control.assert_announced(payloads)


def test_a_change_that_is_taken_back_is_told_to_nobody(control, chain):
    with control.heard() as payloads, control.admin.transaction(force_rollback=True):
        grant(control, chain[0], "sql.write", False)
    assert payloads == [] and control.version(chain[0]) == 1


# ---- keys ----

@pytest.mark.parametrize("columns, why", [
    ({"key": "sql.mine"}, "permission_key_reserved"), ({"key": "proxy.mine"}, "permission_key_reserved"),
    ({"key": "mine"}, "permission_key_form"), ({"key": "Mine.x"}, "permission_key_form"),
    ({"key": "a..b"}, "permission_key_form"), ({"kind": "text"}, "permission_key_kind"),
    ({"shared_default": "1"}, "permission_key_default"), ({"database_default": '"x"'}, "permission_key_default"),
    ({"elements": "names"}, "permission_key_elements_of_sets"), ({"key": "sql.read"}, "permission_key_reserved"),
    ({"description": ""}, "permission_key_description"),
])
def test_keys_have_a_form(control, keys, columns, why):
    columns = {"key": "test.more", "kind": "bool", "shared_default": "false", "schema_default": "false",
               "database_default": "false", "description": "x", **columns}
    assert refused(control._insert, control.admin, "permission_key", columns) == why


def test_what_a_key_means_does_not_change(control, keys):
    with control.database.connect() as root:
        for change in ("UPDATE bulkhead_control.permission_key SET kind = 'number', shared_default = '1'",
                       "DELETE FROM bulkhead_control.permission_key WHERE key = 'sql.read'",
                       "UPDATE bulkhead_control.permission_key SET description = 'y' WHERE key = 'sql.read'",
                       "UPDATE bulkhead_control.permission_key SET shared_default = 'true' WHERE key = 'test.flag'"):
            assert refused(root.execute, change) == "permission_key_fixed"
    control.admin.execute("UPDATE bulkhead_control.permission_key SET description = 'y' WHERE key = 'test.flag'")
    grant(control, control.create("acme"), "test.flag", True)
    assert refused(control.admin.execute, "DELETE FROM bulkhead_control.permission_key WHERE key = 'test.flag'") == \
        "permission_grant_key"
    for change in ("UPDATE bulkhead_control.permission_key SET kind = 'set'",
                   "INSERT INTO bulkhead_control.permission_key (key, builtin) VALUES ('test.x', true)"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            control.admin.execute(change)


# ---- who may ----

@pytest.mark.parametrize("user", [ADMIN, SIDECAR])
def test_grants_are_made_by_functions_alone(control, chain, user):
    grant(control, chain[0], "sql.read", False)
    with control.connect(user) as connection:
        for change in ("INSERT INTO bulkhead_control.permission_grant (tenant_id, key, value, mode, revocation) "
                       f"VALUES ('{chain[1]}', 'sql.read', 'true', 'LOCKED', 'SOFT')",
                       "UPDATE bulkhead_control.permission_grant SET value = 'true'",
                       "DELETE FROM bulkhead_control.permission_grant",
                       "DELETE FROM bulkhead_control.permission_frozen",
                       "INSERT INTO bulkhead_control.permission_frozen SELECT FROM bulkhead_control.permission_frozen"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(change)


def test_whoever_writes_a_grant_the_rules_hold(control, keys, chain):
    """A superuser, who is bound by no privilege."""
    grant(control, chain[0], "test.count", 4, "INHERITED")
    with control.database.connect() as root:
        def insert(value, mode):
            root.execute("INSERT INTO bulkhead_control.permission_grant (tenant_id, key, value, mode, revocation) "
                         "VALUES (%s, 'test.count', %s, %s, 'SOFT')", (chain[1], json.dumps(value), mode))
        for value, mode, why in ((5, "INHERITED", "bound"), (3, "LOCKED", "passed_on"), (True, "INHERITED", "value"),
                                 (3, "ANY", "mode")):
            assert refused(insert, value, mode) == (
                "permission_grant_" + ("passed_on" if mode == "ANY" else why))
        insert(3, "INHERITED")
    assert [held(control, tenant, "test.count") for tenant in chain] == [4, 3, 3, 3]


# ---- many tenants ----

STRATEGIES = ["SHARED_RLS"] * 6 + ["SCHEMA_PER_TENANT", "DATABASE_PER_TENANT"]


@pytest.mark.parametrize("nth", range(3))
def test_what_all_below_hold_is_what_each_holds(control, keys, nth):
    """Worked out together, and one by one; grants and frozen values as no client could have made them, too."""
    seed = random.randrange(2**32)
    print("seed", seed)
    draw, tenants = random.Random(seed), []
    for n in range(60):
        parent = draw.choice([None, *tenants[-8:]]) if n else None
        tenants.append(control.create(f"t-{n}", parent, strategy=draw.choice(STRATEGIES)))
    of_key = {"test.count": lambda: draw.randrange(10), "sql.ddl": lambda: draw.random() < 0.5,
              "sql.relations": lambda: draw.sample(["a", "b", "c*", "s.*"], 2)}
    with control.database.connect() as root:
        root.execute("ALTER TABLE bulkhead_control.permission_grant DISABLE TRIGGER USER")
        for tenant in tenants:
            for key, value in of_key.items():
                if draw.random() < 0.15:
                    root.execute("INSERT INTO bulkhead_control.permission_grant VALUES (%s, %s, %s, %s, 'SOFT')",
                                 (tenant, key, json.dumps(value()), draw.choice(MODES)))
                if draw.random() < 0.1:
                    root.execute("INSERT INTO bulkhead_control.permission_frozen VALUES (%s, %s, %s, %s)",
                                 (tenant, key, json.dumps(value()), tenant))
        root.execute("ALTER TABLE bulkhead_control.permission_grant ENABLE TRIGGER USER")
        for tenant in tenants:
            for key in of_key:
                expected = dict(root.execute(
                    "SELECT b.id, bulkhead_control.permission_held(bulkhead_control.path_ids(b.path), %s) "
                    "FROM bulkhead_control.tenant t JOIN bulkhead_control.tenant b "
                    "ON bulkhead_control.path_is_within(b.path, t.path) WHERE t.id = %s AND b.id <> t.id", (key, tenant)))
                assert dict(root.execute("SELECT * FROM bulkhead_control.permission_held_below(%s, %s)",
                                         (tenant, key))) == expected, (seed, key)


def test_a_soft_revocation_looks_at_each_place_once(control, keys):
    top = control.create("top")
    middle = [control.create(f"m-{n}", top) for n in range(3)]
    for n in range(300):
        control.create(f"t-{n}", middle[n % 3])
    grant(control, top, "test.count", 9, "DELEGATED", "SOFT")
    grant(control, middle[0], "test.count", 7)
    with control.database.connect() as root, root.transaction():
        root.execute("SET LOCAL track_functions = 'pl'")
        found = root.execute("SELECT count(*) FROM bulkhead_control.revoke_permission(%s, 'test.count')", (top,))
        assert found.fetchone() == (304,), "the grant went, and all keep what they held"
        calls, = root.execute("SELECT calls FROM pg_stat_xact_user_functions WHERE funcname = 'permission_held'").fetchone()
        assert calls < 20
