"""Every attack in the runs of one hardening: what a test file is parametrized with."""

import pytest
from arena import RUNS
from scene import Scene
from summary import ALL


# What both halves hold under strict hardening, PostgreSQL's half holds there alone, and both do under standard: played
# by `make attack`, and not by `make test`, which has ten minutes.
LONGER = {"both-strict": pytest.mark.longer}


def attacks(hardening):
    """Parameters `run` and `case` of a test."""
    return pytest.mark.parametrize("run, case", [
        pytest.param(run, case, id=f"{run.name}-{case.name}", marks=LONGER.get(run.name, ()))
        for run in RUNS if run.hardening == hardening for case in ALL if case.is_for(run)])


def play(arenas, request, run, case):
    request.node.user_properties.append(("attack", (run.name, case.area, run.residue in case.residues)))
    Scene(arenas(run), case).play()
