"""
What the scripts for TLS in Python share: they connect as they are told, and say what came of it.

A line on standard input holds what to connect with, `name=value` between tabs: host, port, database, user, password,
mode, and, where they are to be used, ca, crl, cert, key, binding. The answer is a line: `in ROWS`, with the number of
rows that the tenant sees, or `out REASON`. The connection is kept until the next line.
"""

import sys

COUNT = "SELECT count(*) FROM orders"


def take_turns(version, connect):
    """`connect(options)` returns the number of rows and a function that closes the connection."""
    print(f"version {version}", flush=True)
    for line in sys.stdin:
        try:
            count, close = connect(dict(part.split("=", 1) for part in line.rstrip("\n").split("\t")))
        except Exception as error:  # pylint: disable=broad-except
            print("out", " ".join(str(error).split()), flush=True)
            continue
        print("in", count, flush=True)
        sys.stdin.readline()
        close()
        print("closed", flush=True)
