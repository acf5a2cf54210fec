"""User instructions of a proxy per query, and the functions they are spent in, counted by valgrind.

The program runs twice from start to stop with two numbers of queries. What starting, logging in and stopping
cost is the same in both and cancels out; kernel time is not seen at all.
"""

import re
import subprocess

from probes import Load

VALGRIND = ["valgrind", "--tool=callgrind", "--callgrind-out-file=callgrind.out", "--quiet"]
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


def count(stage, peer, load, transactions):
    program = peer.program(stage, unix=peer.unix, wrapper=VALGRIND)
    try:
        with Load(stage, program, {**load, "warmup-transactions": 50, "transactions": transactions}) as running:
            queries = running.go()["queries"]
        program.terminate()
        return queries, *read_costs(program.folder / "callgrind.out")
    finally:
        program.stop()


def instructions(stage, peer, load, few, many):
    """Per query: the sum, and the functions that spend most."""
    load = {**load, **peer.load, "clients": 1}
    few_queries, few_total, few_functions = count(stage, peer, load, few)
    many_queries, many_total, many_functions = count(stage, peer, load, many)
    queries = many_queries - few_queries
    costs = {name: (cost - few_functions.get(name, 0)) / queries for name, cost in many_functions.items()}
    top = sorted(costs.items(), key=lambda item: -item[1])[:TOP]
    return {"instructions": (many_total - few_total) / queries,
            "functions": {name: round(cost, 1) for name, cost in top}}
