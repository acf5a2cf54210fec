"""Every attack, in every run it is for. See arena.py for what must hold, cases.py for how a case is written."""

import cases
import pytest
import wire_cases
from arena import RUNS
from scene import Scene

PLAYED = [pytest.param(run, case, id=f"{run.name}-{case.name}")
          for run in RUNS for case in cases.load() + wire_cases.ATTACKS if run.hardening in case.under]


@pytest.mark.parametrize("run, case", PLAYED)
def test_attack(arenas, run, case):
    Scene(arenas(run), case).play()
