"""Holding one thread of a process, while the others go on.

    with held(workers(proxy)[0]):
        ...
"""

import ctypes
import os
from contextlib import contextmanager
from pathlib import Path

import pytest

SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17  # ptrace(2)
WALL = 0x40000000  # waitpid(2): __WALL


def workers(proxy):
    """Their threads, in the order in which they were started."""
    tasks = Path(f"/proc/{proxy.process.pid}/task")
    return sorted(int(task.name) for task in tasks.iterdir() if (task / "comm").read_text().startswith("worker "))


@contextmanager
def held(thread):
    """By a debugger's means."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(SEIZE, thread, None, None) != 0:
        pytest.skip("this system does not let us hold a thread")
    assert libc.ptrace(INTERRUPT, thread, None, None) == 0
    os.waitpid(thread, WALL)
    try:
        yield
    finally:
        libc.ptrace(DETACH, thread, None, None)
