"""Every attack of tenants with logins of their own, on each other and on those without. See own_arena.py for what must hold."""

import pytest
from harness.postgres import Template
from own_arena import OwnArena, OwnScene
from own_cases import ALL_OWN, plays

# Strict hardening takes away more, and what a play shows there is shown under standard: `make attack` plays all.
LONGER = {"own-strict": pytest.mark.longer, "own-both-strict": pytest.mark.longer}


@pytest.fixture(scope="module")
def own_arenas():
    template = Template()
    started = {}

    def arena(run):
        if run.hardening not in started:
            started[run.hardening] = OwnArena(template, run.hardening).start()
        return started[run.hardening].as_in(run)

    yield arena
    for each in started.values():
        each.remove()
    template.remove()


@pytest.mark.parametrize("run, case, kind", [
    pytest.param(run, case, kind, id=f"{run.name}-{case.name}-{kind}", marks=LONGER.get(run.name, ()))
    for case in ALL_OWN for run, kind in plays(case)])
def test_attack(own_arenas, request, run, case, kind):
    request.node.user_properties.append(("attack", (run.name, case.area, run.residue in case.residues)))
    OwnScene(own_arenas(run), case, kind).play()
