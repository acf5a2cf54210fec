"""Every attack of tenants with logins of their own, on each other and on all others: see own_arena.py."""

import pytest
from own_arena import OwnScene
from own_cases import ALL_OWN, plays


def is_for_later(run, case, kind):
    """`make attack` plays all. `make test`, which has ten minutes, plays what standard hardening holds alone, which
    takes away less than strict; one kind where the proxy judges before it has a backend; and with the gate one kind,
    of names and paths."""
    is_first = kind == case.speakers[0]
    comes_before_a_backend = case.area == "databases and startup" and case.run is not None
    if run.hardening == "strict":
        return True
    if run.gate == "enforce":
        return comes_before_a_backend or not is_first or case.area != "paths and schemas"
    return comes_before_a_backend and not is_first


@pytest.mark.parametrize("run, case, kind", [
    pytest.param(run, case, kind, id=f"{run.name}-{case.name}-{kind}",
                 marks=pytest.mark.longer if is_for_later(run, case, kind) else ())
    for case in ALL_OWN for run, kind in plays(case)])
def test_attack(own_arenas, request, run, case, kind):
    request.node.user_properties.append(("attack", (run.name, case.area, run.residue in case.residues)))
    OwnScene(own_arenas(run), case, kind).play()
