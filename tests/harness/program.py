"""Which `bulkhead` the tests run: PROGRAM of the environment (make sets it), or the one that `make` leaves."""

import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("PROGRAM") or ROOT / "build" / "bulkhead")

# Sanitizers and valgrind (PROGRAM_WRAPPER) change what memory is used.
INSTRUMENTED = "/san-" in str(PROGRAM) or bool(os.environ.get("PROGRAM_WRAPPER"))

DONE, FAILED, USAGE = 0, 1, 2  # exit codes

# Commands with verbs for things that have names.
NOUNS = ["tenant", "cluster", "principal", "permission", "permission-key", "setting", "setting-key", "api-key", "audit",
         "job", "session", "pool", "statement"]


def bulkhead(*arguments, stdin=None, **environment):
    """Runs the program with nothing of ours in its environment but what is given, and nothing to read but `stdin`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("BULKHEAD_", "PG", "CONTROL_"))}
    return subprocess.run([PROGRAM, *map(str, arguments)], env={**clean, **environment}, text=True,
                          capture_output=True, check=False, timeout=60, input=stdin or "")


def succeed(*arguments, **environment):
    """What it prints."""
    done = bulkhead(*arguments, **environment)
    assert done.returncode == DONE, done.stderr
    return done.stdout


def refusal(*arguments, **environment):
    """What it says on failing; nothing may stand on standard output."""
    done = bulkhead(*arguments, **environment)
    assert (done.returncode, done.stdout) == (FAILED, ""), done.stderr
    return done.stderr


def rows(*arguments, **environment):
    """What it prints for programs."""
    return json.loads(succeed(*arguments, "--json", **environment))


def write_secret(path, text, mode=0o600):
    path.touch(0o600)
    path.write_text(text)
    path.chmod(mode)
    return path
