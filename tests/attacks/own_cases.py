"""All attacks of tenants with logins of their own: own/*.sql, and those in Python."""

import own_wire_cases  # noqa: F401
from cases import FOLDER, parse_file
from collect import OWN_ATTACKS
from own_arena import KINDS, OWN_RUNS


def load():
    return [case for path in sorted(FOLDER.with_name("own").glob("*.sql")) for case in parse_file(path, KINDS)]


ALL_OWN = load() + OWN_ATTACKS


def plays(case):
    """(run, kind) of each time that it is played."""
    return [(run, kind) for run in OWN_RUNS if case.is_for(run) for kind in case.speakers]
