"""One arena for each hardening, for the whole session, and the table of what was played."""

import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parent.parent), str(Path(__file__).resolve().parent)]

from arena import Arena  # noqa: E402
from harness.postgres import Template  # noqa: E402


@pytest.fixture(scope="session")
def arenas():
    """arenas(run) gives the arena of that run."""
    template = Template()
    started = {}

    def arena(run):
        if run.hardening not in started:
            started[run.hardening] = Arena(template, run.hardening).start()
        return started[run.hardening].as_in(run)

    yield arena
    for each in started.values():
        each.remove()
    template.remove()
