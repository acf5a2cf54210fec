"""docs/threat-model.md says what tests/attacks show."""

import re

from own_cases import ALL_OWN
from summary import ALL, THREAT_MODEL, with_summary


def test_every_residue_of_postgres_is_in_the_threat_model():
    """docs/threat-model.md names each, and none that is no residue any more."""
    documented = re.findall(r"`([a-z0-9-]+)`", "".join(
        line.split("|")[1] for line in THREAT_MODEL.read_text().splitlines()
        if line.startswith("| `")))
    assert sorted(documented) == sorted({case.name for case in ALL if "residue" in case.residues})


def test_the_summary_is_as_the_cases_are():
    """tests/attacks/summary.py puts it right."""
    text = THREAT_MODEL.read_text()
    assert with_summary(text) == text


def test_there_are_enough_cases_and_each_has_one_name():
    names = [case.name for case in ALL + ALL_OWN]
    assert len(names) == len(set(names)) >= 250
    assert len(ALL_OWN) >= 80
