"""
The language of the scripts that are played to PostgreSQL itself and through Bulkhead (harness/scripts.py).

A script is a list of steps; a step is what is sent in one write, and what is awaited: a number of
ReadyForQuery, or a message of one of some types. `play` returns every message that came. Some scripts need
settings in their startup packet, or end with the connection: those are a Script.

What they find is made by harness/differ.py: acme's orders, which are protected, and the empty table `inbox`,
which is not. They leave both as they were.
"""

from dataclasses import dataclass, field

from harness.wire import bind, describe, execute, parse, query, sync

PATIENCE = 10  # seconds until a step that is not answered is given up

ITEMS = "SELECT id, item FROM orders WHERE id <= 3 ORDER BY id"
ONE_ITEM = "SELECT item FROM orders WHERE id = $1"
ADD_ONE = "SELECT $1::int + 1"


@dataclass
class Step:
    data: bytes
    types: str = "Z"
    count: int = 1       # of messages of these types
    admin: str = None    # what a superuser does before anything is sent


@dataclass
class Script:
    steps: list
    keys: dict = field(default_factory=dict)  # of the startup packet
    ends: bool = False                        # the server closes the connection before the last answer


def z(*parts, n=1):
    """Sends all parts in one write and awaits n ReadyForQuery."""
    return Step(b"".join(parts), count=n)


def upto(types, *parts):
    """Sends all parts and awaits a message of one of the types."""
    return Step(b"".join(parts), types)


def by_admin(sql):
    """Sends nothing: a superuser changes what the script works on."""
    return Step(b"", count=0, admin=sql)


def simple(*texts):
    """Each text in a Query of its own, answered before the next."""
    return [z(query(text)) for text in texts]


def run(sql, values=(), **more):
    """Parse, Bind, Describe and Execute of the unnamed statement, as drivers send it, without Sync."""
    return parse(sql) + bind(values, **more) + describe(kind="P") + execute()


def extended(*texts):
    """As `simple`, in the extended protocol."""
    return [z(run(text), sync()) for text in texts]


def prepared(sql, name, types=()):
    """Parse of a named statement."""
    return z(parse(sql, name, types), sync())


def bound(name, *values, **more):
    """Bind and Execute of a named statement, without Sync."""
    return bind(values, name, **more) + describe(kind="P") + execute()


def used(name, *values, **more):
    return z(bound(name, *values, **more), sync())


def play(wire, steps, between=lambda: None, admin=None):
    """All answers; ends early, with None as the last, when the peer says nothing more or is gone."""
    found = []
    wire.socket.settimeout(PATIENCE)
    try:
        for step in steps:
            if step.admin:
                admin.execute(step.admin)
            wire.send(step.data)
            left = step.count
            while left:
                found.append(wire.read())
                left -= found[-1].type in step.types
            between()
    except (EOFError, OSError):
        found.append(None)
    return found
