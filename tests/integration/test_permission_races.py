"""Grants, settings and the tree are changed at the same time: no child holds more than its parent at any moment, and
every change is told."""

import random
import threading
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness.policy import MODES, grant, held, resolved, revoke
from harness.races import DEADLOCK, TRY_AGAIN, interleave, outcome

# One statement, so that it sees one moment.
TOO_MUCH = """
SELECT t.slug, mine.key, mine.value, p.slug, parents.value
FROM bulkhead_control.tenant t JOIN bulkhead_control.tenant p ON p.id = t.parent_id
CROSS JOIN LATERAL bulkhead_control.resolve_permissions(t.id) mine
JOIN LATERAL bulkhead_control.resolve_permissions(p.id) parents ON parents.key = mine.key
WHERE NOT mine.frozen AND CASE mine.kind
    WHEN 'bool' THEN mine.value::boolean AND NOT parents.value::boolean
    WHEN 'number' THEN mine.value::numeric > parents.value::numeric
    WHEN 'set' THEN mine.key !~ 'denied' AND NOT (parents.value ? '*' OR mine.value <@ parents.value) END
"""


class Family:
    """Root acme, below it labs, below that bench; and root globex, which holds less."""

    def __init__(self, control):
        self.control = control
        self.acme, self.globex = control.create("acme"), control.create("globex")
        self.labs = control.create("labs", self.acme)
        self.bench = control.create("bench", self.labs)
        grant(control, self.acme, "test.count", 9, "DELEGATED", "SOFT")
        grant(control, self.globex, "test.count", 2, "DELEGATED")

    def grant(self, tenant, value, mode="DELEGATED"):
        return lambda connection: grant(self.control, tenant, "test.count", value, mode, on=connection)

    def revoke(self, tenant):
        return lambda connection: revoke(self.control, tenant, "test.count", on=connection)

    def move(self, tenant, parent):
        return lambda connection: self.control.move(tenant, parent, on=connection)

    def create(self, slug, parent):
        return lambda connection: self.control.create(slug, parent, on=connection)

    def delete(self, tenant):
        return lambda connection: self.control.delete(tenant, on=connection)

    def held(self):
        return {slug: held(self.control, tenant, "test.count") for slug, tenant in self.control.admin.execute(
            "SELECT slug, id FROM bulkhead_control.tenant").fetchall()}


# What the first does, what the second does, what becomes of the second, and what the tenants hold then.
INTERLEAVINGS = {
    "grant below what is lowered": lambda f: (
        f.grant(f.acme, 3), f.grant(f.labs, 8), "permission_grant_bound", {"acme": 3, "labs": 3, "bench": 3}),
    "lower what is granted below": lambda f: (
        f.grant(f.labs, 8), f.grant(f.acme, 3), "done", {"acme": 3, "labs": 3, "bench": 3}),
    "grant below what is locked": lambda f: (
        f.grant(f.acme, 9, "LOCKED"), f.grant(f.bench, 1), "permission_grant_locked", {"bench": 9}),
    "lock above what is granted": lambda f: (
        f.grant(f.bench, 1), f.grant(f.acme, 9, "LOCKED"), "done", {"bench": 9}),
    "delegate below what is delegated no more": lambda f: (
        f.grant(f.acme, 9, "INHERITED"), f.grant(f.labs, 1), "permission_grant_passed_on", {"labs": 9}),
    "grant what moves": lambda f: (
        f.move(f.labs, f.globex), f.grant(f.labs, 8), "permission_grant_bound", {"labs": 2, "bench": 2}),
    "move what is granted": lambda f: (f.grant(f.labs, 8), f.move(f.labs, f.globex), "done", {"labs": 2, "bench": 2}),
    "create below what is granted": lambda f: (
        f.grant(f.labs, 4), f.create("new", f.bench), "done", {"new": 4}),
    "grant above what is created": lambda f: (f.create("new", f.bench), f.grant(f.labs, 4), "done", {"new": 4}),
    "create below what is frozen": lambda f: (
        f.revoke(f.acme), f.create("new", f.bench), "done", {"acme": 5, "labs": 9, "bench": 9, "new": 5}),
    "freeze what is created": lambda f: (
        f.create("new", f.bench), f.revoke(f.acme), "done", {"acme": 5, "bench": 9, "new": 9}),
    "move what is frozen": lambda f: (
        f.revoke(f.acme), f.move(f.labs, f.globex), "done", {"acme": 5, "labs": 2, "bench": 2}),
    "freeze above what moved": lambda f: (
        f.move(f.labs, f.globex), f.revoke(f.acme), "done", {"acme": 5, "labs": 2, "bench": 2}),
    "revoke twice": lambda f: (f.revoke(f.acme), f.revoke(f.acme), "done", {"acme": 5, "labs": 9}),
    "grant what is deleted": lambda f: (f.delete(f.bench), f.grant(f.bench, 1), "P0002", {"labs": 9}),
    "delete what is granted": lambda f: (f.grant(f.bench, 1), f.delete(f.bench), "done", {"labs": 9}),
    "two values at once": lambda f: (f.grant(f.labs, 8), f.grant(f.labs, 7), "done", {"labs": 7, "bench": 7}),
}


def too_much(control, on=None):
    return (on or control.admin).execute(TOO_MUCH).fetchall()


@pytest.mark.parametrize("name", INTERLEAVINGS)
def test_the_second_works_from_what_the_first_left(control, keys, sessions, name):
    with control.heard() as payloads:
        family = Family(control)
        first, second, expected, holds = INTERLEAVINGS[name](family)
        assert interleave(sessions, first, second) == ("done", expected)
    control.assert_announced(payloads)
    found = family.held()
    assert {slug: found[slug] for slug in holds} == holds
    assert too_much(control) == [] and control.violations() == []


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
@pytest.mark.parametrize("name", INTERLEAVINGS)
def test_an_older_snapshot_breaks_nothing(control, keys, sessions, name, level):
    family = Family(control)
    first, second, expected, _ = INTERLEAVINGS[name](family)
    of_first, of_second = interleave(sessions, first, second, level)
    assert of_first == "done" and of_second in (TRY_AGAIN, expected, "tenant_parent", "done")
    assert too_much(control) == [] and control.violations() == []


# ---- many sessions, anything ----

REFUSALS = {"permission_grant_locked", "permission_grant_bound", "permission_grant_passed_on",
            "permission_grant_permanent", "setting_locked", "tenant_acyclic", "tenant_parent", "tenant_depth", "P0002", "tenant_slug"}


class Administrator:
    """One session that does something at random, again and again."""

    def __init__(self, control, level, seed):
        self.control, self.random = control, random.Random(seed)
        self.connection = control.connect()
        self.connection.execute(f"SET default_transaction_isolation = '{level}'")
        self.outcomes = Counter()
        self.steps = [self.grant, self.grant, self.grant, self.revoke, self.move, self.create, self.set, self.delete,
                      self.change_strategy]

    def run(self, count):
        with self.connection:
            for _ in range(count):
                step = self.random.choice(self.steps)
                self.outcomes[step.__name__, outcome(step)] += 1

    def any(self):
        ids = [tenant for (tenant,) in self.connection.execute("SELECT id FROM bulkhead_control.tenant").fetchall()]
        return self.random.choice(ids or [uuid.uuid4()])

    def grant(self):
        key, value = self.random.choice([("test.count", self.random.randrange(10)),
                                         ("sql.ddl", self.random.random() < 0.6),
                                         ("sql.relations", self.random.sample("abcdef", 3)),
                                         ("sql.relations_denied", self.random.sample("abcdef", 2))])
        grant(self.control, self.any(), key, value, self.random.choice(MODES),
              self.random.choice(["CASCADE", "SOFT"] * 9 + ["PERMANENT"]), on=self.connection)

    def revoke(self):
        revoke(self.control, self.any(), self.random.choice(["test.count", "sql.ddl", "sql.relations"]),
               on=self.connection)

    def move(self):
        self.control.move(self.any(), self.random.choice([None, self.any()]), on=self.connection)

    def create(self):
        self.control.create(f"n{self.random.randrange(2**40)}", self.any(), on=self.connection)

    def set(self):
        self.connection.execute("SELECT * FROM bulkhead_control.set_setting(%s, 'proxy.read_only', %s, %s)",
                                (self.any(), self.random.choice(["true", "false"]), self.random.random() < 0.2))

    def delete(self):
        self.control.delete(self.any(), on=self.connection)

    def change_strategy(self):
        self.control.set(self.any(), on=self.connection,
                         strategy=self.random.choice(["SHARED_RLS", "SCHEMA_PER_TENANT", "DATABASE_PER_TENANT"]))


@pytest.mark.parametrize("levels", [["read committed"] * 4, ["read committed", "repeatable read", "serializable"]],
                         ids=["read committed", "mixed"])
def test_a_storm_of_changes(control, keys, levels):
    seed = random.randrange(2**32)
    print("seed", seed)
    administrators = [Administrator(control, level, seed + n) for n, level in enumerate(levels)]
    over, seen = threading.Event(), []

    def watch():
        with control.connect() as reader:
            while not over.is_set():
                seen.extend(too_much(control, on=reader))

    with control.heard() as payloads, ThreadPoolExecutor(len(levels) + 1) as executor:
        Family(control)
        watcher = executor.submit(watch)
        futures = [executor.submit(administrator.run, 60) for administrator in administrators]
        try:
            for future in futures:
                future.result()
        finally:
            over.set()
        watcher.result()
    control.assert_announced(payloads)
    assert seen == [] and too_much(control) == [] and control.violations() == []

    outcomes = sum((administrator.outcomes for administrator in administrators), Counter())
    print(outcomes)
    again = {TRY_AGAIN, DEADLOCK} if "serializable" in levels else {DEADLOCK}
    assert {result for _, result in outcomes} <= {"done"} | REFUSALS | again
    assert {step for step, result in outcomes if result == "done"} == {step for step, _ in outcomes}
    frozen = [tenant for (tenant,) in control.admin.execute("SELECT id FROM bulkhead_control.tenant").fetchall()
              if resolved(control, tenant)["test.count"]["frozen"]]
    print(len(frozen), "tenants keep something frozen")
