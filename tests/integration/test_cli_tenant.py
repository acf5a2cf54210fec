"""bulkhead tenant: statuses, moves and changes. What is changed, told and said, and what is refused."""

import uuid

import pytest
from harness.program import DONE, USAGE, bulkhead, refusal, rows, succeed

ACME_ID = uuid.UUID("00000000-0000-4000-8000-000000000001")


class Tree:
    """acme, below it labs and shop, below labs bench; and globex. What follows from a command is checked on all."""

    def __init__(self, control, dsn):
        self.control, self.dsn = control, dsn
        acme = control.create("acme", id=ACME_ID, external_key="1042")
        labs = control.create("labs", acme)
        control.create("shop", acme)
        control.create("bench", labs)
        control.create("globex")

    def statuses(self):
        return dict(self.control.admin.execute("SELECT slug, status FROM bulkhead_control.tenant").fetchall())

    def not_active(self):
        return {slug: status for slug, status in self.statuses().items() if status != "active"}

    def versions(self):
        return dict(self.control.admin.execute("SELECT slug, version FROM bulkhead_control.tenant").fetchall())

    def change(self, *arguments):
        """The slugs that a command says it changed. Their versions rise by one and are told, and no others."""
        before = self.versions()
        with self.control.heard() as payloads:
            changed = rows("tenant", *arguments, **self.dsn)
        after = self.versions()
        slugs = {row["slug"] for row in changed}
        assert {slug for slug in after if after[slug] != before.get(slug)} == slugs
        assert {row["slug"]: row["version"] for row in changed} == {slug: after[slug] for slug in slugs}
        assert sorted(payloads) == sorted(f"{row['id']}:{row['version']}" for row in changed)
        assert self.control.violations() == []
        return slugs

    def stays(self, *arguments):
        """What a command says that changes nothing."""
        before = self.versions()
        with self.control.heard() as payloads:
            done = bulkhead("tenant", *arguments, **self.dsn)
        assert (self.versions(), payloads) == (before, [])
        assert (done.returncode, done.stderr) == (DONE, "")
        return done.stdout

    def refuses(self, *arguments):
        before = self.versions()
        with self.control.heard() as payloads:
            said = refusal("tenant", *arguments, **self.dsn)
        assert (self.versions(), payloads) == (before, [])
        assert said.startswith("bulkhead: ") and len(said.splitlines()) == 1
        return said[len("bulkhead: "):-1]


@pytest.fixture
def tree(control, dsn):
    return Tree(control, dsn)


# ---- suspend and resume ----

@pytest.mark.parametrize("word", ["bench", "key of bench", "id"])
def test_a_leaf_is_suspended_and_resumed_by_any_of_its_words(tree, word):
    bench = tree.control.value("SELECT id FROM bulkhead_control.tenant WHERE slug = 'bench'")
    tree.control.set(bench, external_key="key of bench")
    word = str(bench) if word == "id" else word
    assert tree.change("suspend", word) == {"bench"}
    assert tree.not_active() == {"bench": "suspended"}
    assert tree.stays("suspend", word) == "bench is suspended already\n"
    assert tree.change("resume", word) == {"bench"}
    assert tree.not_active() == {}
    assert tree.stays("resume", word) == "bench is active already\n"


@pytest.mark.parametrize("verb", ["suspend", "archive"])
@pytest.mark.parametrize("word, count", [("acme", "3 active tenants"), ("labs", "1 active tenant")])
def test_active_tenants_below_are_counted_and_not_surprised(tree, verb, word, count):
    assert tree.refuses(verb, word) == f"tenant {word} has {count} below it; --subtree takes them along"
    assert tree.not_active() == {}


def test_a_parent_of_none_that_is_active_needs_no_subtree(tree):
    tree.change("suspend", "bench")
    assert tree.change("suspend", "labs") == {"labs"}
    assert tree.not_active() == {"labs": "suspended", "bench": "suspended"}


def test_a_subtree_is_suspended_and_resumed(tree):
    assert tree.change("suspend", "acme", "--subtree") == {"acme", "labs", "shop", "bench"}
    assert tree.statuses() == {"acme": "suspended", "labs": "suspended", "shop": "suspended", "bench": "suspended",
                               "globex": "active"}
    assert tree.stays("suspend", "acme", "--subtree") == "acme is suspended already\n"
    assert tree.change("resume", "acme", "--subtree") == {"acme", "labs", "shop", "bench"}
    assert tree.not_active() == {}
    assert tree.stays("resume", "acme", "--subtree") == "acme is active already\n"


def test_who_was_suspended_alone_is_not_resumed_with_others(tree):
    tree.change("suspend", "bench")
    assert tree.change("suspend", "acme", "--subtree") == {"acme", "labs", "shop"}
    said = succeed("tenant", "resume", "acme", "--subtree", **tree.dsn)
    assert said.splitlines()[-1] == "still suspended below acme: 1, which did not go along with it"
    assert tree.not_active() == {"bench": "suspended"}
    assert tree.stays("resume", "acme", "--subtree").splitlines() == [
        "acme is active already", "still suspended below acme: 1, which did not go along with it"]
    assert tree.change("resume", "bench") == {"bench"}


def test_who_was_suspended_with_an_inner_subtree_waits_for_that_one(tree):
    tree.change("suspend", "labs", "--subtree")
    tree.change("suspend", "acme", "--subtree")
    assert tree.change("resume", "acme", "--subtree") == {"acme", "shop"}
    assert tree.not_active() == {"labs": "suspended", "bench": "suspended"}
    assert tree.change("resume", "labs", "--subtree") == {"labs", "bench"}


def test_part_of_a_suspended_subtree_is_resumed_on_its_own(tree):
    tree.change("suspend", "acme", "--subtree")
    assert tree.change("resume", "acme") == {"acme"}
    assert tree.change("resume", "labs", "--subtree") == {"labs", "bench"}
    assert tree.change("resume", "acme", "--subtree") == {"shop"}


def test_who_went_along_and_is_then_named_stays_when_the_others_come_back(tree):
    """Suspended already, but now for a reason of its own: that is a change, of a memory and not of the status."""
    tree.change("suspend", "acme", "--subtree")
    (row,) = rows("tenant", "suspend", "bench", **tree.dsn)
    assert (row["slug"], row["was"], row["status"]) == ("bench", "suspended", "suspended")
    assert tree.stays("suspend", "bench") == "bench is suspended already\n"
    assert tree.change("resume", "acme", "--subtree") == {"acme", "labs", "shop"}
    assert tree.not_active() == {"bench": "suspended"}


def test_a_subtree_that_moved_away_is_resumed_where_it_is(tree):
    tree.change("suspend", "acme", "--subtree")
    tree.change("move", "labs", "--under", "globex")
    assert tree.change("resume", "acme", "--subtree") == {"acme", "shop"}
    assert tree.change("resume", "labs", "--subtree") == {"labs", "bench"}


def test_nothing_is_resumed_below_what_is_not_active(tree):
    tree.change("suspend", "acme", "--subtree")
    for more in ([], ["--subtree"]):
        assert tree.refuses("resume", "bench", *more) == \
            "tenant bench cannot be active: labs above it is suspended; resume or restore that one first"


@pytest.mark.parametrize("verb", ["suspend", "resume"])
@pytest.mark.parametrize("status", ["archived", "provisioning", "purging"])
def test_statuses_that_can_be_neither_suspended_nor_resumed(tree, verb, status):
    tree.control.create("other", status=status)
    assert tree.refuses(verb, "other") == f"tenant other is {status}"
    assert tree.refuses(verb, "other", "--subtree") == f"tenant other is {status}"


def test_what_is_not_active_below_a_subtree_stays_as_it_is(tree):
    for status in ("archived", "provisioning", "purging"):
        tree.control.create(f"a-{status}", ACME_ID, status=status)
    before = tree.not_active()
    assert tree.change("suspend", "acme", "--subtree") == {"acme", "labs", "shop", "bench"}
    assert tree.change("resume", "acme", "--subtree") == {"acme", "labs", "shop", "bench"}
    assert tree.not_active() == before


# ---- archive and restore ----

def test_a_subtree_is_archived_and_restored_to_what_it_was(tree):
    tree.change("suspend", "labs", "--subtree")
    before = tree.statuses()
    assert tree.change("archive", "acme", "--subtree") == {"acme", "labs", "shop", "bench"}
    assert set(tree.not_active().values()) == {"archived"}
    assert tree.stays("archive", "acme") == "acme is archived already\n"
    assert tree.change("restore", "acme", "--subtree") == {"acme", "labs", "shop", "bench"}
    assert tree.statuses() == before
    assert tree.stays("restore", "acme") == "acme is active already\n"
    assert tree.change("resume", "labs", "--subtree") == {"labs", "bench"}  # the memory went through the archive


def test_who_was_archived_alone_is_not_restored_with_others(tree):
    tree.change("archive", "bench")
    tree.change("archive", "acme", "--subtree")
    said = succeed("tenant", "restore", "acme", "--subtree", **tree.dsn)
    assert said.splitlines()[-1] == "still archived below acme: 1, which did not go along with it"
    assert tree.not_active() == {"bench": "archived"}


@pytest.mark.parametrize("status", ["provisioning", "suspended"])
def test_what_is_not_active_goes_into_the_archive_and_comes_back(tree, status):
    tree.control.create("other", status=status)
    assert tree.change("archive", "other") == {"other"}
    assert tree.change("restore", "other") == {"other"}
    assert tree.not_active() == {"other": status}


def test_what_was_archived_by_other_hands_is_restored_as_suspended_or_as_what_it_was(tree):
    tree.control.create("old", status="archived")  # as before the memory was kept
    tree.control.set(ACME_ID, name="Acme")
    tree.control.admin.execute("UPDATE bulkhead_control.tenant SET status = 'archived' WHERE slug = 'shop'")
    assert tree.change("restore", "old") == {"old"} and tree.change("restore", "shop") == {"shop"}
    assert tree.not_active() == {"old": "suspended"}


def test_nothing_active_is_restored_below_what_is_not(tree):
    tree.change("archive", "acme", "--subtree")
    assert tree.refuses("restore", "labs") == \
        "tenant labs cannot be active: acme above it is archived; resume or restore that one first"


@pytest.mark.parametrize("verb", ["archive", "restore"])
def test_what_is_being_purged_comes_back_from_nowhere(tree, verb):
    tree.control.create("other", status="purging")
    assert tree.refuses(verb, "other") == "tenant other is purging"


# ---- a dry run ----

@pytest.mark.parametrize("arguments", [
    ("suspend", "acme", "--subtree"), ("archive", "acme", "--subtree"), ("move", "labs", "--under", "globex"),
    ("set", "labs", "--slug", "laboratory", "--no-key"),
])
def test_a_dry_run_tells_what_then_happens(tree, arguments):
    expected = rows("tenant", *arguments, "--dry-run", **tree.dsn)
    said = tree.stays(*arguments, "--dry-run")
    assert said.splitlines()[-1] == "nothing was changed: this was a dry run"
    assert len(said.splitlines()) == len(expected) + 2
    assert rows("tenant", *arguments, **tree.dsn) == expected


def test_a_dry_run_counts_what_would_stay(tree):
    tree.change("suspend", "bench")
    tree.change("suspend", "acme", "--subtree")
    assert tree.stays("resume", "acme", "--subtree", "--dry-run").splitlines()[-2:] == [
        "nothing was changed: this was a dry run", "still suspended below acme: 1, which did not go along with it"]


@pytest.mark.parametrize("arguments, words", [
    (("move", "globex", "--under", "asleep"), "the parent is not active"),  # known at the end of the transaction
    (("move", "acme", "--under", "bench"), "tenant acme cannot be moved below itself"),
    (("suspend", "acme"), "has 3 active tenants below it"),
    (("set", "labs", "--slug", "acme"), "this slug is taken"),
])
def test_a_dry_run_is_refused_what_would_be(tree, arguments, words):
    tree.control.create("asleep", status="suspended")
    said = tree.refuses(*arguments, "--dry-run")
    assert words in said
    assert tree.refuses(*arguments) == said


# ---- move ----

def test_a_move_takes_the_subtree_along(tree):
    assert tree.change("move", "labs", "--under", "globex") == {"labs", "bench"}
    assert tree.stays("move", "labs", "--under", "globex") == "labs is there already\n"
    (labs, bench) = rows("tenant", "move", "labs", "--to-root", **tree.dsn)
    assert (labs["path"], bench["path"]) == ("labs", "labs/bench")
    assert tree.stays("move", "labs", "--to-root") == "labs is there already\n"
    assert tree.change("move", "bench", "--under", "1042") == {"bench"}


def test_refused_moves(tree):
    deep = tree.control.chain("level", 19)
    tree.control.create("asleep", status="suspended")
    assert tree.refuses("move", "labs", "--under", "labs") == "tenant labs cannot be moved below itself"
    assert tree.refuses("move", "labs", "--under", "bench") == "tenant labs cannot be moved below itself"
    assert tree.refuses("move", "labs", "--under", deep[-1]) == "the tree is at most 20 levels deep"
    assert tree.refuses("move", "labs", "--under", "asleep") == "the parent is not active"
    assert tree.refuses("move", "labs", "--under", "nosuch") == 'there is no tenant "nosuch"'


# ---- set ----

def test_each_field_is_set_alone_and_all_at_once(tree):
    tree.control.admin.execute("INSERT INTO bulkhead_control.cluster (name) VALUES ('annex') ON CONFLICT DO NOTHING")
    columns = "slug, external_key, name, pool_weight, cluster"
    expected = {"slug": "acme", "key": "1042", "name": "acme", "weight": 1, "cluster": "default"}
    for field, value in {"name": "Acme Corporation", "key": "2084", "weight": 7, "cluster": "annex"}.items():
        expected[field] = value
        assert tree.change("set", "acme", f"--{field}", value) == {"acme"}
        assert tree.control.admin.execute(
            f"SELECT {columns} FROM bulkhead_control.tenant WHERE id = %s", (ACME_ID,)).fetchone() == (
            *expected.values(),)
        assert tree.stays("set", "acme", f"--{field}", value) == "acme is so already\n"
    (row,) = rows("tenant", "set", "acme", "--slug", "acme-2", "--no-key", "--name", "x", "--weight", "1",
                  "--cluster", "default", **tree.dsn)
    assert row == {"slug": "acme-2", "id": str(ACME_ID), "key": None, "name": "x", "weight": 1, "cluster": "default",
                   "region": None, "version": 6}
    assert tree.stays("set", "acme-2", "--no-key") == "acme-2 is so already\n"


@pytest.mark.parametrize("arguments, words", [
    (["--slug", "acme"], "this slug is taken"),
    (["--slug", "Labs"], "a slug is 1 to 63 of a-z"),
    (["--slug", "postgres"], "this slug is reserved"),
    (["--key", "1042"], "this key is taken"),
    (["--key", "acme"], "another tenant has this slug, key or id already"),
    (["--key", ""], "a key is 1 to 255 bytes"),
    (["--name", ""], "a name is 1 to 255 bytes"),
    (["--weight", "0"], "a weight is 1 to 100"),
    (["--weight", "heavy"], "invalid input syntax for type smallint"),
    (["--cluster", "nowhere"], "there is no such cluster"),
    (["--name", "fine", "--weight", "101"], "a weight is 1 to 100"),  # all or nothing
])
def test_refused_settings(tree, arguments, words):
    assert words in tree.refuses("set", "labs", *arguments)


# ---- show and list ----

def test_a_tenant_is_shown_to_programs(tree):
    tree.control.principal("shop", ACME_ID)
    tree.control.principal("a, b", ACME_ID)
    tree.change("suspend", "labs", "--subtree")
    (acme,) = rows("tenant", "show", "1042", **tree.dsn)
    times = acme.pop("created_at"), acme.pop("updated_at")
    assert all(time.endswith("+00:00") for time in times)
    assert acme == {
        "slug": "acme", "id": str(ACME_ID), "key": "1042", "name": "acme", "path": "acme", "parent": None,
        "status": "active", "suspended_with": None, "archived_with": None, "archived_from": None,
        "strategy": "SHARED_RLS", "cluster": "default", "region": None, "weight": 1, "children": 2, "descendants": 3,
        "principals": ["a, b", "shop"], "version": 1}
    (bench,) = rows("tenant", "show", "bench", **tree.dsn)
    assert (bench["path"], bench["parent"], bench["status"], bench["suspended_with"], bench["children"]) == (
        "acme/labs/bench", "labs", "suspended", "labs", 0)
    tree.change("archive", "acme", "--subtree")
    (bench,) = rows("tenant", "show", "bench", **tree.dsn)
    assert (bench["status"], bench["archived_with"], bench["archived_from"], bench["suspended_with"]) == (
        "archived", "acme", "suspended", "labs")


def test_a_tenant_is_shown_to_people(tree):
    tree.control.principal("shop", ACME_ID)
    lines = [line.strip() for line in succeed("tenant", "show", "acme", **tree.dsn).splitlines()]
    for line in ("slug: acme", f"id: {ACME_ID}", "key: 1042", "path: acme", "status: active", "children: 2",
                 "descendants: 3", "principals: shop", "version: 1"):
        assert line in lines
    assert not any(line.startswith(("parent", "suspended_with", "region")) for line in lines)
    assert "principals: (none)" in succeed("tenant", "show", "labs", **tree.dsn)


# Obeyed by terminals: escape sequences begin with ESC or with the single character 9b, as OSC does with 9d; the
# others turn the direction of writing, or end a line. The rest of the world's letters are left alone.
HOSTILE = {"\x9b31m": r"\u009b31m", "\x9d0;x\x9c": r"\u009d0;x\u009c", "\x80\x9f": r"\u0080\u009f",
           "\u202ecba": r"\u202ecba", "\u2066x\u2069": r"\u2066x\u2069", "a\u2028b": r"a\u2028b", "\u200f": r"\u200f",
           "Zürich 東京 🚀": "Zürich 東京 🚀", "n\u00a0b": "n\u00a0b"}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_commands_the_terminal(tree, name):
    tree.control.principal(name, ACME_ID)
    shown = HOSTILE[name]
    for arguments in (["tenant", "set", "acme", "--name", name, "--key", name], ["tenant", "list"],
                      ["tenant", "show", "acme"], ["tenant", "show", name],
                      ["tenant", "create", "new", "--name", name], ["principal", "list"], ["principal", "show", name],
                      ["principal", "disable", name], ["principal", "disable", name], ["principal", "delete", name]):
        printed = succeed(*arguments, **tree.dsn)
        assert shown in printed and (shown == name or name not in printed), arguments
    assert f'"{shown}"' in refusal("tenant", "show", name + "?", **tree.dsn).replace("?", "")
    for arguments in (["tenant", "list"], ["tenant", "show", "acme"]):
        assert succeed(*arguments, "--json", **tree.dsn).isascii()
        assert rows(*arguments, **tree.dsn)[0]["name"] == name


def test_columns_stand_below_each_other_whatever_is_in_them(tree):
    tree.control.set(ACME_ID, external_key="ünï\x9b")
    heads, *lines = succeed("tenant", "list", **tree.dsn).splitlines()
    assert {line.index("SHARED_RLS") for line in lines} == {heads.index("strategy")}


# ---- usage ----

@pytest.mark.parametrize("arguments", [
    ["suspend"], ["suspend", "a", "b"], ["suspend", "a", "--name", "x"], ["resume", "a", "--under", "b"],
    ["list", "--subtree"], ["show"], ["show", "a", "--dry-run"], ["create", "a", "--dry-run"],
    ["create", "a", "--slug", "b"],
    ["move", "a"], ["move", "a", "--under", "b", "--to-root"], ["move", "a", "--under"], ["move", "a", "b"],
    ["set", "a"], ["set", "a", "--json"], ["set", "a", "--key", "x", "--no-key"], ["set", "--name", "x"],
    ["suspend", "a", "--subtree=yes"], ["delete", "a"], ["suspend", "a", "--password-file", "x"],
])
def test_wrong_usage(arguments):
    done = bulkhead("tenant", *arguments, CONTROL_DSN="host=127.0.0.1 port=1")
    assert (done.returncode, done.stdout) == (USAGE, "")
    assert "Usage: bulkhead tenant" in done.stderr and "refused" not in done.stderr


@pytest.mark.parametrize("arguments", [
    ["suspend", "nosuch"], ["resume", ""], ["archive", "ACME"], ["restore", "acme "], ["show", "nosuch"],
    ["move", "nosuch", "--to-root"], ["set", "nosuch", "--name", "x"],
])
def test_tenants_that_are_not_there(tree, arguments):
    assert tree.refuses(*arguments) == f'there is no tenant "{arguments[1]}"'


def test_an_older_control_schema_is_named(control, dsn):
    control.create("acme")
    function = "bulkhead_control.change_tenant_status(uuid, text, boolean)"
    with control.database.connect() as root:
        root.execute(f"ALTER FUNCTION {function} RENAME TO hidden")
        try:
            said = refusal("tenant", "suspend", "acme", **dsn)
        finally:
            root.execute(f"ALTER FUNCTION {function.replace('change_tenant_status', 'hidden')} "
                         "RENAME TO change_tenant_status")
    assert said.endswith("; bulkhead init brings the control schema up to this version\n")


def test_all_of_it_works_in_a_hardened_database(strict_stand):
    """`strict` takes functions from everybody that an administrator might need."""
    with strict_stand.admin() as root:
        root.execute("CREATE ROLE strict_manager LOGIN IN ROLE bulkhead_admin")
    dsn = {"CONTROL_DSN": strict_stand.postgres.conninfo("shop", "strict_manager")}
    try:
        for arguments in (["create", "strict"], ["create", "strict-child", "--parent", "strict"],
                          ["suspend", "strict", "--subtree"], ["archive", "strict"], ["restore", "strict"],
                          ["resume", "strict", "--subtree"], ["move", "strict-child", "--to-root"],
                          ["set", "strict", "--name", "Strict"], ["show", "strict"], ["list"]):
            assert "strict" in succeed("tenant", *arguments, **dsn)
        for arguments in (["create", "strict", "--home", "strict", "--reach", "self"], ["list"], ["show", "strict"],
                          ["set", "strict", "--valid-until", "2030-01-01"], ["password", "strict"],
                          ["disable", "strict"], ["enable", "strict"], ["delete", "strict"]):
            assert "strict" in succeed("principal", *arguments, **dsn)
    finally:
        with strict_stand.admin() as root:
            root.execute("DELETE FROM bulkhead_control.tenant WHERE slug ~ '^strict'; DROP ROLE strict_manager")
