"""One arena for each run, for the whole session."""

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
        if run.name not in started:
            started[run.name] = Arena(template, run).start()
        return started[run.name]

    yield arena
    for each in started.values():
        each.remove()
    template.remove()
