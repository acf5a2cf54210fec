"""Every attack, in every run it is for. See arena.py for what must hold, cases.py for how a case is written."""

import re
from pathlib import Path

import cases
import pytest
import wire_cases
from arena import RUNS
from scene import Scene

ALL = cases.load() + wire_cases.ATTACKS
PLAYED = [pytest.param(run, case, id=f"{run.name}-{case.name}")
          for run in RUNS for case in ALL if run.hardening in case.under]
THREAT_MODEL = Path(__file__).resolve().parents[2] / "docs/threat-model.md"


@pytest.mark.parametrize("run, case", PLAYED)
def test_attack(arenas, run, case):
    Scene(arenas(run), case).play()


def test_every_residue_is_in_the_threat_model():
    """docs/threat-model.md names each, and none that is no residue any more."""
    documented = re.findall(r"`([a-z0-9-]+)`", "".join(
        line.split("|")[1] for line in THREAT_MODEL.read_text().splitlines()
        if line.startswith("| `")))
    assert sorted(documented) == sorted({case.name for case in ALL if case.residue})
