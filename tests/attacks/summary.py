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
from own_arena import KINDS, OWN_RUNS  # noqa: E402
from own_cases import ALL_OWN  # noqa: E402

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


def own_cell(cases_there):
    """Of one kind of tenant: with both halves, and with the gate off."""
    return " / ".join(cell(cases_there, [case for case in cases_there if residue in case.residues])
                      for residue in ("residue-both", "residue")) if cases_there else ""


def own_table():
    assert {run.residue for run in OWN_RUNS} == {"residue", "residue-both"}
    lines = ["| area | " + " | ".join(KINDS) + " |", "|---|" + "---|" * len(KINDS)]
    for area in (*cases.AREAS, None):
        of_area = [case for case in ALL_OWN if area in (case.area, None)]
        if of_area:
            cells = [own_cell([case for case in of_area if kind in case.speakers]) for kind in KINDS]
            lines.append(f"| {area or 'all'} | " + " | ".join(cells) + " |")
    return lines


def own_reasons():
    return ["| case | who | what was hoped for | what PostgreSQL alone does not stop | with both |",
            "|---|---|---|---|---|",
            *(f"| {case.name} | {', '.join(case.speakers)} | {case.hope} | {case.residues['residue']} | "
              f"{case.residues.get('residue-both', 'the gate refuses it')} |"
              for case in ALL_OWN if "residue" in case.residues)]


PARTS = {
    "cases that hold": table,
    "residues of both": lambda: reasons("residue-both"),
    "residues of the gate alone": lambda: reasons("residue-unhardened"),
    "cases of tenants with logins of their own": own_table,
    "residues of tenants with logins of their own": own_reasons,
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
