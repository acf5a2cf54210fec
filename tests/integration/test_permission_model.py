"""Grants, revocations and moves in any order: what tenants hold is what a second working-out says."""

import random

import pytest
from harness.policy import MODES, grant, held, refused, resolved, revoke


class Model:
    """What must come out, worked out another way: tenants are numbers, each with its parent's."""

    def __init__(self):
        self.parents, self.grants, self.kept = {}, {}, {}

    def path(self, tenant):
        return ([] if self.parents[tenant] is None else self.path(self.parents[tenant])) + [tenant]

    def below(self, tenant):
        return [other for other in self.parents if tenant in self.path(other)]

    def standing(self, tenant):
        """What it holds, what it passes on, and the mode that binds those below."""
        parent = self.parents[tenant]
        _, bound, mode = self.standing(parent) if parent is not None else (None, None, "DELEGATED")
        value = 5 if bound is None else bound
        own = self.grants.get(tenant)
        if own and mode != "LOCKED":
            value = own[0] if bound is None else min(own[0], bound)
            mode = own[1] if mode == "DELEGATED" else mode
        kept = self.kept.get(tenant, value)
        return max(kept, value), value, mode

    def held(self):
        return {tenant: self.standing(tenant)[0] for tenant in self.parents}

    def may_set(self, tenant, value, mode):
        parent, old = self.parents[tenant], self.grants.get(tenant)
        _, bound, above = self.standing(parent) if parent is not None else (None, None, "DELEGATED")
        allowed = {"LOCKED": [], "INHERITED": ["INHERITED"], "DELEGATED": MODES}[above]
        return not (old and old[2] == "PERMANENT") and mode in allowed and (bound is None or value <= bound)

    def set(self, tenant, grant_):
        self.grants[tenant] = grant_
        self.kept.pop(tenant, None)
        for other in self.below(tenant):
            if other in self.kept:
                self.kept[other] = min(self.kept[other], grant_[0])

    def revoke(self, tenant):
        before, own = self.held(), self.grants.pop(tenant, None)
        self.kept.pop(tenant, None)
        below = [other for other in self.below(tenant) if other != tenant]
        if own and own[2] == "CASCADE":
            for other in below:
                self.kept.pop(other, None)
                if other in self.grants and self.grants[other][2] != "PERMANENT":
                    del self.grants[other]
        elif own:
            after = self.held()
            for other in below:
                if after[other] < before[other]:
                    self.kept[other] = before[other]

    def move(self, tenant, parent):
        self.parents[tenant] = parent
        for other in self.below(tenant):
            self.kept.pop(other, None)


@pytest.mark.parametrize("nth", [0, *(pytest.param(nth, marks=pytest.mark.longer) for nth in range(1, 4))])
def test_whatever_is_done_in_whatever_order(control, keys, nth):
    seed = random.randrange(2**32)
    print("seed", seed)
    draw, model, ids, done = random.Random(seed), Model(), [], set()
    for n in range(9):
        model.parents[n] = draw.choice([None, *range(n)]) if n > 1 else [None, 0][n]
        parent = model.parents[n]
        ids.append(control.create(f"t-{n}", None if parent is None else ids[parent]))
    for _ in range(60):
        tenant = draw.randrange(9)
        what = draw.choice(["set", "set", "set", "revoke", "move"])
        if what == "set":
            new = (draw.randrange(10), draw.choice(MODES), draw.choice(["CASCADE", "SOFT"] * 6 + ["PERMANENT"]))
            if model.grants.get(tenant) == new and tenant not in model.kept:
                continue
            if model.may_set(tenant, *new[:2]):
                grant(control, ids[tenant], "test.count", *new)
                model.set(tenant, new)
            else:
                assert refused(grant, control, ids[tenant], "test.count", *new).startswith("permission_grant_")
                what = "refused"
        elif what == "revoke":
            own = model.grants.get(tenant)
            if own and own[2] == "PERMANENT":
                assert refused(revoke, control, ids[tenant], "test.count") == "permission_grant_permanent"
                continue
            revoke(control, ids[tenant], "test.count")
            model.revoke(tenant)
        else:
            parent = draw.choice([None, *[other for other in range(9) if other not in model.below(tenant)]])
            if parent == model.parents[tenant]:
                continue
            control.move(ids[tenant], None if parent is None else ids[parent])
            model.move(tenant, parent)
        done.add(what)
        found = {n: held(control, ids[n], "test.count") for n in range(9)}
        assert found == model.held(), (seed, what, tenant)
        for n, parent in model.parents.items():
            if parent is not None and not resolved(control, ids[n])["test.count"]["frozen"]:
                assert found[n] <= found[parent], (seed, n)
    assert {"set", "revoke", "move", "refused"} <= done
