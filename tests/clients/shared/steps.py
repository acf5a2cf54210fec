"""
What the Python scripts share: whom to connect as, and one line printed for each step.

    @step("transactions/commit")
    def _():
        ...                        # an exception fails the step, and the next one goes on

    run(psycopg.__version__)

A step may be a coroutine. The environment is the runner's (run.py).
"""

import asyncio
import inspect
import os
import sys
from collections import namedtuple

HOST = os.environ["CLIENT_HOST"]
PORT = int(os.environ["CLIENT_PORT"])
DATABASE = os.environ["CLIENT_DATABASE"]
PASSWORD = os.environ["CLIENT_PASSWORD"]
RUN = os.environ["CLIENT_RUN"]  # names this process; rows of `note` carry it

Tenant = namedtuple("Tenant", "name user")
OWN = Tenant(os.environ["CLIENT_TENANT"], os.environ["CLIENT_USER"])
OTHER = Tenant(os.environ["CLIENT_OTHER_TENANT"], os.environ["CLIENT_OTHER_USER"])
FOUR = (OWN, OTHER, OWN, OTHER)  # for connections that are there at the same time
ITEMS = 1000  # rows of `item`, of each tenant

_steps = []


def step(name):
    def add(function):
        _steps.append((name, function))
        return function
    return add


def same(found, expected):
    if found != expected:
        raise AssertionError(f"found {found!r}, not {expected!r}")


def own(rows, tenant=OWN):
    """The rows without their first column, which must say that they are this tenant's."""
    rows = [tuple(row) for row in rows]
    if strangers := {row[0] for row in rows} - {tenant.name}:
        raise AssertionError(f"rows of {strangers} seen as {tenant.name}")
    return [row[1:] for row in rows]


class raises:
    """`with raises(Error, "23505"): ...`: that the error comes, with this in its SQLSTATE or text."""

    def __init__(self, kind, text=""):
        self.kind, self.text = kind, text

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        if kind is None:
            raise AssertionError(f"no error {self.text}")
        if not issubclass(kind, self.kind):
            return False
        state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
        if self.text and self.text != state and self.text not in str(error):
            raise AssertionError(f"{state} {error} in place of {self.text}") from error
        return True


def run(version):
    """All steps; ends the process with 1 when one failed."""
    print("version", version, flush=True)
    failed = False
    only = sys.argv[1:]
    for name, function in _steps:
        if only and not name.startswith(tuple(only)):
            continue
        try:
            asyncio.run(function()) if inspect.iscoroutinefunction(function) else function()
            print("ok", name, flush=True)
        except Exception as error:  # whatever it is, the step failed
            failed = True
            print(f"FAIL {name}:", " ".join(f"{type(error).__name__}: {error}".split()), flush=True)
    sys.exit(failed)
