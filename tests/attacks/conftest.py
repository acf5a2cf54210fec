"""One arena for each hardening, for the whole session, and the table of what was played."""

import contextlib
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parent.parent), str(Path(__file__).resolve().parent)]

import cases  # noqa: E402
from arena import ALL_RUNS, Arena  # noqa: E402
from harness.postgres import Template  # noqa: E402
from own_arena import OwnArena  # noqa: E402


@contextlib.contextmanager
def kept_arenas(kind):
    """arenas(run) gives the arena of that run, of this class."""
    template = Template()
    started = {}

    def arena(run):
        if run.hardening not in started:
            started[run.hardening] = kind(template, run.hardening).start()
        return started[run.hardening].as_in(run)

    yield arena
    for each in started.values():
        each.remove()
    template.remove()


@pytest.fixture(scope="session")
def arenas():
    with kept_arenas(Arena) as arena:
        yield arena


@pytest.fixture(scope="session")
def own_arenas():
    with kept_arenas(OwnArena) as arena:
        yield arena


def pytest_addoption(parser):
    parser.addoption("--attack-table", action="store_true", help="print how many attacks held, by area and run")


def pytest_terminal_summary(terminalreporter, config):
    """Cases that held, of how many; those with a residue that was expected are among the others."""
    if not config.getoption("--attack-table"):
        return
    played = {}
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            for run, area, remains in [value for name, value in report.user_properties if name == "attack"]:
                counts = played.setdefault((area, run), [0, 0, 0])
                counts[2 if outcome == "failed" else 1 if remains else 0] += 1
    names = [run.name for run in ALL_RUNS]
    terminalreporter.section("attacks: held + residues (and what failed)")
    terminalreporter.line("".join([f"{'':26}", *(f"{name:>18}" for name in names)]))
    for area in (*cases.AREAS, "all"):
        cells = []
        for name in names:
            found = [counts for (of, run), counts in played.items() if run == name and area in (of, "all")]
            held, residues, failed = map(sum, zip(*found)) if found else (0, 0, 0)
            cells.append(f"{held} + {residues}" + (f", {failed} FAILED" if failed else ""))
        terminalreporter.line("".join([f"{area:26}", *(f"{cell:>18}" for cell in cells)]))
