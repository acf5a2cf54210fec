"""The tree of tenants, as the control database itself keeps it: shape, names, statuses, versions, announcements."""

import uuid

import psycopg
import pytest
from harness.control import VERIFIER, constraint


def refused(statement, *arguments, **columns):
    """The constraint that refuses it."""
    with pytest.raises(psycopg.Error) as error:
        statement(*arguments, **columns)
    return constraint(error.value)


# ---- paths ----

def test_a_path_is_the_parents_path_and_the_own_id(control):
    for root_slug in ("one", "two", "three"):
        root = control.create(root_slug)
        child = control.create(f"{root_slug}-child", root)
        grandchild = control.create(f"{root_slug}-grandchild", child)
        assert control.path(root) == [root]
        assert control.path(child) == [root, child]
        assert control.path(grandchild) == [root, child, grandchild]
    assert control.violations() == []


def test_parent_and_child_may_come_in_one_statement(control):
    parent, child = uuid.uuid4(), uuid.uuid4()
    control.admin.execute(
        "INSERT INTO bulkhead_control.tenant (id, parent_id, slug, name) VALUES (%s, NULL, 'a', 'a'), (%s, %s, 'b', 'b')",
        (parent, child, parent))
    assert control.path(child) == [parent, child]


def test_a_path_given_by_the_writer_counts_for_nothing(control):
    acme = control.create("acme", path="some.where.deep")
    labs = control.create("labs", acme, path="elsewhere")
    assert control.path(acme) == [acme]
    assert control.path(labs) == [acme, labs]


@pytest.mark.parametrize("path, why", [
    ("{labs}", "tenant_root_has_no_parent"),       # cut off from its parent
    ("{globex}.{labs}", "tenant_parent"),          # below another
    ("{acme}.{globex}", "tenant_path_ends_with_id"),
    ("{acme}.{globex}.{labs}", "tenant_parent"),   # one level too many
])
def test_a_path_cannot_be_forged_afterwards(control, path, why):
    acme, globex = control.create("acme"), control.create("globex")
    labs = control.create("labs", acme)
    path = path.format(acme=acme.hex, globex=globex.hex, labs=labs.hex)
    assert refused(control.set, labs, path=path) == why
    assert control.path(labs) == [acme, labs]


def test_an_id_never_changes(control):
    acme = control.create("acme")
    assert refused(control.set, acme, id=uuid.uuid4()) == "tenant_id_fixed"


def test_there_is_no_child_without_a_parent(control):
    assert refused(control.create, "orphan", uuid.uuid4()) == "tenant_parent"
    acme = control.create("acme")
    assert refused(control.move, acme, uuid.uuid4()) == "tenant_parent"


def test_only_leaves_can_be_deleted(control):
    top, middle, leaf = control.chain("t", 3)
    assert refused(control.delete, top) == "tenant_parent"
    assert refused(control.delete, middle) == "tenant_parent"
    for tenant in (leaf, middle, top):
        control.delete(tenant)
    assert control.value("SELECT count(*) FROM bulkhead_control.tenant_token") == 0


def test_a_whole_tree_can_be_deleted_at_once_in_any_order(control):
    control.chain("t", 5)
    control.admin.execute("DELETE FROM bulkhead_control.tenant")
    assert control.value("SELECT count(*) FROM bulkhead_control.tenant") == 0


# ---- depth ----

def test_twenty_levels_and_not_one_more(control):
    chain = control.chain("level", 20)
    for depth, tenant in enumerate(chain, 1):
        assert control.path(tenant) == chain[:depth]
    assert refused(control.create, "too-deep", chain[-1]) == "tenant_depth"
    assert control.violations() == []


def test_a_move_cannot_lead_below_level_twenty(control):
    deep = control.chain("deep", 17)
    high = control.chain("high", 4)
    assert refused(control.move, high[0], deep[-1]) == "tenant_depth"  # its fourth level would be 21
    assert control.path(high[-1]) == high
    control.move(high[0], deep[-2])
    assert control.path(high[-1]) == deep[:-1] + high
    assert refused(control.create, "too-deep", high[-1]) == "tenant_depth"
    assert control.violations() == []


def test_a_long_chain_cannot_be_moved_below_a_deep_leaf(control):
    """So long that nothing of the walk down may be left out."""
    one, other = control.chain("one", 20), control.chain("other", 20)
    assert refused(control.move, one[0], other[-1]) == "tenant_depth"
    assert refused(control.move, one[0], other[0]) == "tenant_depth"
    assert control.violations() == []


# ---- moves ----

def test_a_move_carries_everything_below(control):
    acme, globex = control.create("acme"), control.create("globex")
    top, middle, leaf = control.chain("t", 3, acme)
    twig = control.create("twig", middle)

    control.move(top, globex)
    assert control.path(leaf) == [globex, top, middle, leaf]
    assert control.path(twig) == [globex, top, middle, twig]

    control.move(middle, None)
    assert control.path(top) == [globex, top]
    assert control.path(leaf) == [middle, leaf]

    control.move(middle, acme)
    assert control.path(twig) == [acme, middle, twig]
    assert control.violations() == []


@pytest.mark.parametrize("descendant", [0, 1, 2, 3])
def test_nobody_moves_below_itself(control, descendant):
    chain = control.chain("t", 4)
    assert refused(control.move, chain[0], chain[descendant]) == "tenant_acyclic"
    root = control.create("root")
    control.move(chain[0], root)
    assert refused(control.move, chain[0], chain[descendant]) == "tenant_acyclic"
    assert control.path(chain[-1]) == [root, *chain]


def test_a_tenant_cannot_be_made_below_itself(control):
    own = uuid.uuid4()
    assert refused(control.create, "own", own, id=own) == "tenant_parent"


def test_two_cannot_change_places_in_one_statement(control):
    a, b = control.create("a"), control.create("b")
    with pytest.raises(psycopg.errors.IntegrityError):
        control.admin.execute(
            "UPDATE bulkhead_control.tenant SET parent_id = CASE id WHEN %(a)s THEN %(b)s ELSE %(a)s END",
            {"a": a, "b": b})
    assert control.path(a) == [a] and control.path(b) == [b]


def test_one_statement_may_move_a_tenant_and_another_below_it(control):
    acme, globex = control.create("acme"), control.create("globex")
    top, middle, leaf = control.chain("t", 3, acme)
    control.admin.execute("UPDATE bulkhead_control.tenant SET parent_id = %s WHERE id = ANY(%s)",
                          (globex, [top, leaf]))
    assert control.path(middle) == [globex, top, middle]
    assert control.path(leaf) == [globex, leaf]
    assert control.violations() == []


def test_parent_and_child_change_places_in_one_transaction(control):
    acme = control.create("acme")
    upper, lower, leaf = control.chain("t", 3, acme)
    with control.admin.transaction():
        control.move(lower, acme)
        control.move(upper, lower)
    assert control.path(upper) == [acme, lower, upper]
    assert control.path(leaf) == [acme, lower, leaf]
    assert control.violations() == []


# ---- names ----

TAKEN = uuid.UUID("0f3e0000-aaaa-4bbb-8ccc-0123456789ab")


@pytest.mark.parametrize("columns, why", [
    ({"slug": "acme"}, "tenant_slug"),
    ({"external_key": "1042"}, "tenant_external_key"),
    ({"id": TAKEN}, "tenant_pkey"),
    ({"slug": "key-like"}, "tenant_token_taken"),                    # another's key
    ({"external_key": "acme"}, "tenant_token_taken"),                # another's slug
    ({"external_key": str(TAKEN)}, "tenant_token_taken"),            # another's id, in each spelling
    ({"external_key": str(TAKEN).upper()}, "tenant_token_taken"),
    ({"external_key": TAKEN.hex}, "tenant_token_taken"),
    ({"external_key": TAKEN.hex.upper()}, "tenant_token_taken"),
    ({"id": "11111111-2222-4333-8444-555555555555"}, "tenant_token_taken"),  # another's key, spelt otherwise
    ({"external_key": "11111111-2222-4333-8444-555555555555"}, "tenant_token_taken"),
])
def test_a_word_names_one_tenant(control, columns, why):
    control.create("acme", id=TAKEN, external_key="1042")
    control.create("globex", external_key="key-like")
    control.create("initech", external_key="11111111222243338444555555555555".upper())
    assert refused(control.create, **{"slug": "new", **columns}) == why
    new = control.create("new", external_key="new-key")
    if "id" not in columns:
        assert refused(control.set, new, **columns) == why
    assert control.violations() == []


def test_a_tenants_words_may_be_equal(control):
    acme = control.create("acme", external_key="acme")
    own = uuid.uuid4()
    control.create("globex", id=own, external_key=str(own).upper())
    assert control.violations() == []
    control.set(acme, external_key=None)
    assert control.violations() == []


def test_a_word_is_free_again_once_it_was_given_up(control):
    acme = control.create("acme", external_key="1042")
    control.set(acme, slug="acme-old", external_key=None)
    control.create("acme", external_key="1042")
    assert control.violations() == []
    control.delete(acme)
    control.create("acme-old")
    assert control.violations() == []


@pytest.mark.parametrize("slug", ["bulkhead", "postgres", "template0", "template1"])
def test_reserved_slugs(control, slug):
    assert refused(control.create, slug) == "tenant_slug_reserved"
    other = control.create("other")
    assert refused(control.set, other, slug=slug) == "tenant_slug_reserved"


@pytest.mark.parametrize("slug", ["", "Acme", "1acme", "-acme", "_acme", "ac.me", "ac me", "acme ", " acme", "acme\n",
                                  "äcme", "acme/x", "a" * 64, "acme'"])
def test_slugs_of_another_form(control, slug):
    assert refused(control.create, slug, name="Acme") == "tenant_slug_form"


@pytest.mark.parametrize("slug", ["a", "a-b_c-9", "a" * 63, "template2", "postgres1"])
def test_slugs_that_are_fine(control, slug):
    control.create(slug)


@pytest.mark.parametrize("slug", ["abcdef00" * 4, "abcdef00-0000-4000-8000-000000000000"])
def test_a_slug_does_not_look_like_an_id(control, slug):
    assert refused(control.create, slug) == "tenant_slug_no_id"


@pytest.mark.parametrize("columns, why", [
    ({"external_key": ""}, "tenant_external_key_form"),
    ({"external_key": "x" * 256}, "tenant_external_key_form"),
    ({"external_key": "ä" * 128}, "tenant_external_key_form"),
    ({"external_key": "a\tb"}, "tenant_external_key_form"),
    ({"name": ""}, "tenant_name_form"),
    ({"name": "a\x7f"}, "tenant_name_form"),
    ({"status": "paused"}, "tenant_status"),
    ({"strategy": "shared_rls"}, "tenant_strategy"),
    ({"cluster": "nowhere"}, "tenant_cluster"),
    ({"pool_weight": 0}, "tenant_pool_weight"),
    ({"pool_weight": 101}, "tenant_pool_weight"),
])
def test_other_columns_have_a_form(control, columns, why):
    assert refused(control.create, "acme", **columns) == why


# ---- statuses ----

INACTIVE = ["provisioning", "suspended", "archived", "purging"]


@pytest.mark.parametrize("status", INACTIVE)
def test_nothing_is_active_below_what_is_not(control, status):
    acme = control.create("acme", status=status)
    labs = control.create("labs", acme, status="suspended")
    globex = control.create("globex")

    assert refused(control.create, "new", acme) == "tenant_parent_active"
    assert refused(control.set, labs, status="active") == "tenant_parent_active"
    assert refused(control.move, globex, acme) == "tenant_parent_active"

    control.set(acme, status="active")
    control.set(labs, status="active")
    assert refused(control.set, acme, status=status) == "tenant_parent_active"
    assert control.violations() == []


def test_a_subtree_is_suspended_in_one_transaction_in_any_order(control):
    top, middle, leaf = control.chain("t", 3)
    with control.admin.transaction():
        for tenant in (top, leaf, middle):
            control.set(tenant, status="suspended")
    control.admin.execute("UPDATE bulkhead_control.tenant SET status = 'active' WHERE id = ANY(%s)",
                          ([leaf, middle, top],))
    with pytest.raises(psycopg.Error) as error, control.admin.transaction():
        control.set(middle, status="suspended")
        control.set(top, status="suspended")
    assert constraint(error.value) == "tenant_parent_active"
    assert control.violations() == []


# ---- versions and announcements ----

def test_each_change_counts_and_is_announced(control):
    with control.heard() as payloads:
        acme = control.create("acme")
        control.set(acme, status="suspended")
        control.set(acme, slug="acme-2")
        control.set(acme, external_key="1042")
        control.set(acme, name="Acme", region="eu")
        control.set(acme, pool_weight=7)
        control.delete(acme)
    assert payloads == [f"{acme}:{n}" for n in (1, 2, 3, 4, 5, 6, 6)]


def test_a_move_counts_for_the_whole_subtree(control):
    acme, globex = control.create("acme"), control.create("globex")
    below = control.chain("t", 3, acme)
    twig = control.create("twig", below[1])
    with control.heard() as payloads:
        control.move(below[0], globex)
    moved = [*below, twig]
    assert sorted(payloads) == sorted(f"{tenant}:2" for tenant in moved)
    assert [control.version(tenant) for tenant in [*moved, acme, globex]] == [2, 2, 2, 2, 1, 1]


def test_what_changes_nothing_is_not_announced(control):
    acme = control.create("acme")
    labs = control.create("labs", acme)
    with control.heard() as payloads:
        control.set(acme, status="active", slug="acme", name="acme")
        control.move(labs, acme)
        control.set(acme, version=99, updated_at="2001-01-01")
        with control.admin.transaction(force_rollback=True):
            control.set(acme, status="suspended")
        assert refused(control.set, acme, slug="Acme") == "tenant_slug_form"
    assert payloads == []
    assert control.version(acme) == control.version(labs) == 1


def test_changes_of_principals_are_announced(control):
    acme = control.create("acme")
    name = "o'neill:\\ $1"
    with control.heard() as payloads:
        control.principal(name, acme)
        control.admin.execute("UPDATE bulkhead_control.principal SET disabled = true")
        control.admin.execute("UPDATE bulkhead_control.principal SET disabled = true")  # nothing new
        control.admin.execute("UPDATE bulkhead_control.principal SET reach = 'all', verifier = NULL")
        control.admin.execute("UPDATE bulkhead_control.principal SET name = 'new'")
        control.admin.execute("UPDATE bulkhead_control.principal SET valid_until = now()")
        control.admin.execute("DELETE FROM bulkhead_control.principal")
    assert payloads == [f"principal:1:{name}", f"principal:2:{name}", f"principal:3:{name}",
                        "principal:4:new", f"principal:3:{name}", "principal:5:new", "principal:5:new"]


def test_no_version_is_given_twice(control):
    """Who is made again under its id or name goes on from the versions of the one that is gone, also in one transaction."""
    acme, name = control.create("acme"), f"again-{uuid.uuid4().hex}"
    seen = []
    for _ in range(3):
        control.principal(name, acme)
        seen.append(control.value("SELECT version FROM bulkhead_control.principal WHERE name = %s", name))
        control.admin.execute("UPDATE bulkhead_control.principal SET disabled = true WHERE name = %s", (name,))
        with control.admin.transaction():
            control.admin.execute("DELETE FROM bulkhead_control.principal WHERE name = %s", (name,))
            control.principal(name, acme)
        seen.append(control.value("SELECT version FROM bulkhead_control.principal WHERE name = %s", name))
        control.admin.execute("UPDATE bulkhead_control.principal SET name = name || '-old' WHERE name = %s", (name,))
        control.admin.execute("DELETE FROM bulkhead_control.principal WHERE name = %s || '-old'", (name,))
    assert seen == sorted(set(seen)), seen
    labs = control.create("labs")
    control.set(labs, slug="labs-2")
    control.delete(labs)
    control.create("labs", id=labs)
    assert control.version(labs) == 3


# ---- principals ----

@pytest.mark.parametrize("columns, why", [
    ({"name": ""}, "principal_name_form"),
    ({"name": "x" * 64}, "principal_name_form"),
    ({"name": "a\nb"}, "principal_name_form"),
    ({"verifier": "secret"}, "principal_verifier_form"),
    ({"verifier": "md5" + "0" * 32}, "principal_verifier_form"),
    ({"verifier": VERIFIER.replace("4096", "0")}, "principal_verifier_form"),
    ({"verifier": VERIFIER.replace("4096", "1000001")}, "principal_verifier_form"),
    ({"verifier": VERIFIER + "\n"}, "principal_verifier_form"),
    ({"reach": "everything"}, "principal_reach"),
    ({"valid_until": "infinity"}, "principal_valid_until"),
    ({"home_id": uuid.uuid4()}, "principal_home"),
    ({"name": "known"}, "principal_pkey"),
])
def test_principals_have_a_form(control, columns, why):
    acme = control.create("acme")
    control.principal("known", acme)
    assert refused(control.principal, columns.pop("name", "new"), columns.pop("home_id", acme), **columns) == why


def test_a_home_cannot_be_deleted(control):
    acme = control.create("acme")
    control.principal("shop", acme)
    assert refused(control.delete, acme) == "principal_home"
