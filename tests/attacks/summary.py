"""How many attacks there are, by area and by what stands between attacker and victim, for docs/threat-model.md.

    summary.py          writes it there, between the markers
    summary.py --print  prints it
"""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent), str(Path(__file__).resolve().parent)]

import cases  # noqa: E402
import denial_cases  # noqa: E402, F401
import lexer_cases  # noqa: E402, F401
import pipeline_cases  # noqa: E402, F401
import startup_cases  # noqa: E402, F401
import wire_cases  # noqa: E402, F401
from arena import ALL_RUNS  # noqa: E402
from collect import ATTACKS  # noqa: E402

ALL = cases.load() + ATTACKS
THREAT_MODEL = Path(__file__).resolve().parents[2] / "docs/threat-model.md"
LAYERS = {run.layers: run.residue for layers in ("both", "gate off", "hardening off")
          for run in ALL_RUNS if run.layers == layers}


def layers_of(case):
    """What stands in front in the runs of the case: names of LAYERS."""
    return {run.layers for run in ALL_RUNS if case.is_for(run)}


def cell(there, residues):
    held = len(there) - len(residues)
    return f"{held} of {len(there)}" if residues else str(held)


def table():
    lines = ["| area | " + " | ".join(LAYERS) + " |", "|---|" + "---|" * len(LAYERS)]
    for area in (*cases.AREAS, None):
        of_area = [case for case in ALL if area in (case.area, None)]
        cells = []
        for layers, residue in LAYERS.items():
            there = [case for case in of_area if layers in layers_of(case)]
            cells.append(cell(there, [case for case in there if residue in case.residues]))
        lines.append(f"| {area or 'all'} | " + " | ".join(cells) + " |")
    return lines


def reasons(residue):
    there = [case for case in ALL if residue in case.residues]
    return ["| case | what was hoped for | why it is not stopped |", "|---|---|---|",
            *(f"| {case.name} | {case.hope} | {case.residues[residue]} |" for case in there)] if there else ["None."]


PARTS = {
    "cases that hold": table,
    "residues of both": lambda: reasons("residue-both"),
    "residues of the gate alone": lambda: reasons("residue-unhardened"),
}


def with_summary(text):
    """The page, with each part between its markers as it is now."""
    for name, lines in PARTS.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, found, rest = text.partition(begin)
        assert found and end in rest, f"no markers for {name}"
        text = before + begin + "\n".join(["", *lines(), "", ""]) + end + rest.partition(end)[2]
    return text


if __name__ == "__main__":
    if "--print" in sys.argv:
        print(with_summary("".join(f"{name}\n<!-- {name} -->\n<!-- end of {name} -->\n" for name in PARTS)))
    else:
        THREAT_MODEL.write_text(with_summary(THREAT_MODEL.read_text()))
