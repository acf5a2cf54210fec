"""User instructions of a proxy per query, and the functions they are spent in, counted by valgrind.

Callgrind writes what it has counted, and begins anew, whenever the program is about to accept a connection. So a
connection before and one behind the queries mark them off, and what is around (starting, logging in, the control
connection) does not matter. Accepting the mark is in the count as well: it is measured alone and taken off. Kernel
time is not seen at all.
"""

import re
import socket
import subprocess
import time

from harness.postgres import HOST
from probes import Load

VALGRIND = ["valgrind", "--tool=callgrind", "--quiet", "--callgrind-out-file=callgrind.out",
            *(f"--dump-before={name}" for name in ("accept", "accept4", "__libc_accept", "__libc_accept4"))]
TOP = 15
LINE = re.compile(r"^\s*([\d,]+) \([ \d.]+%\)\s+(.*)$")


def function_name(place):
    """`file:function [object]` without the folders, and without what compilers append to names."""
    place, _, where = place.partition(" [")
    function = place.rpartition(":")[2].split("'")[0].partition(".isra")[0].partition(".part")[0]
    library = where.rstrip("]").rpartition("/")[2]
    return function if function and not function.startswith("0x") else f"{function} in {library}"


def read_costs(path):
    """All instructions, and each function's own."""
    text = subprocess.run(["callgrind_annotate", "--threshold=100", "--auto=no", "--show=Ir", path],
                          capture_output=True, text=True, check=True).stdout
    functions, total = {}, None
    for line in text.splitlines():
        if not (found := LINE.match(line)):
            continue
        cost = int(found.group(1).replace(",", ""))
        if "PROGRAM TOTALS" in found.group(2):
            total = cost
        else:
            name = function_name(found.group(2))
            functions[name] = functions.get(name, 0) + cost
    if total is None:
        raise RuntimeError(f"callgrind_annotate printed no total:\n{text[:2000]}")
    return total, functions


class Marks:
    """The files that callgrind writes when the program accepts a connection."""

    def __init__(self, program):
        self.program = program
        self.seen = set(self.files())

    def files(self):
        return self.program.folder.glob("callgrind.out.*")

    def next(self):
        """Connects. Returns the first new file, which holds what was done since the last mark; a program that
        calls accept until nobody is left writes more, with next to nothing in them."""
        socket.create_connection((HOST, self.program.port)).close()
        time.sleep(0.4)  # for all of them, and for the end of that connection
        new = set(self.files()) - self.seen
        if not new:
            raise RuntimeError("callgrind wrote nothing when a connection came in")
        self.seen |= new
        return min(new, key=lambda path: int(path.suffix[1:]))


def instructions(stage, peer, load, transactions):
    """Per query at one client: the sum, and the functions that spend most."""
    program = peer.program(stage, unix=peer.unix, wrapper=VALGRIND)
    try:
        with Load(stage, program, {**load, **peer.load, "clients": 1, "warmup-transactions": 100,
                                   "transactions": transactions}) as running:
            marks = Marks(program)
            marks.next()
            overhead, _ = read_costs(marks.next())
            queries = running.go()["queries"]
            total, functions = read_costs(marks.next())
    finally:
        program.stop()
    # What has been on the stack all the time, and never returned, is charged with everything.
    inner = {name: cost for name, cost in functions.items() if cost < 0.9 * total}
    top = sorted(inner.items(), key=lambda item: -item[1])[:TOP]
    return {"instructions": (total - overhead) / queries,
            "functions": {name: round(cost / queries, 1) for name, cost in top}}
