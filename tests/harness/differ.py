"""
Plays scripts to PostgreSQL itself and through Bulkhead, and compares every message.

    with Differ(stand) as differ:
        difference = differ.difference(SCRIPTS["extended: rows"])     # None, or what differs first

PostgreSQL is asked by a login of its own that is in acme's context by a setting of its role, Bulkhead as acme.
Between any two steps of a script that goes through Bulkhead other clients, of acme and of another tenant, use
the same three backends: what is not carried along with the client is missing then.

All must be equal but what cannot: process ids and cancel keys, the oids of what is made while a script runs,
the place in the server's source where an error was raised, and the two logins' own names.
"""

import functools
import itertools
import re
import struct
from contextlib import ExitStack

from harness.stand import DATABASE, TENANTS
from harness.steps import play
from harness.wire import Message, Wire, WireError, bind, close, execute, parse, rows, sync, types

PARTS = """
CREATE TABLE inbox (id int, body text);
CREATE TABLE numbered (id serial, body text, UNIQUE (id) DEFERRABLE INITIALLY DEFERRED);
CREATE SEQUENCE counter;
CREATE FUNCTION end_me() RETURNS bool SECURITY DEFINER LANGUAGE sql AS 'SELECT pg_terminate_backend(pg_backend_pid())';
CREATE FUNCTION cancel_me() RETURNS bool SECURITY DEFINER LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_cancel_backend(pg_backend_pid()); PERFORM pg_sleep(5); RETURN true; END';
CREATE FUNCTION choose(name text, value text) RETURNS text LANGUAGE sql AS 'SELECT set_config($1, $2, false)';
CREATE FUNCTION take_lock(key int) RETURNS void LANGUAGE sql AS 'SELECT pg_advisory_lock(key)';
CREATE FUNCTION make_temporary() RETURNS void LANGUAGE sql AS 'CREATE TEMP TABLE own AS SELECT 1 AS x';
CREATE FUNCTION open_cursor(c refcursor) RETURNS refcursor LANGUAGE plpgsql AS
    'BEGIN OPEN c FOR SELECT n FROM generate_series(1, 3) n; RETURN c; END';
CREATE PROCEDURE commit_within() LANGUAGE plpgsql AS 'BEGIN COMMIT; PERFORM 1; ROLLBACK; END';
GRANT ALL ON inbox, numbered TO bulkhead_app;
GRANT ALL ON SEQUENCE counter, numbered_id_seq TO bulkhead_app;
CREATE ROLE direct_acme LOGIN IN ROLE bulkhead_app;
"""

NO_PARTS = """
DROP TABLE inbox, numbered;
DROP TABLE IF EXISTS scratch;
DROP SCHEMA IF EXISTS here, there CASCADE;
DROP SEQUENCE counter;
DROP FUNCTION end_me, cancel_me, choose, take_lock, make_temporary, open_cursor;
DROP PROCEDURE commit_within;
DROP ROLE direct_acme;
"""

TIDY = "DELETE FROM inbox; DELETE FROM numbered"


def login(proxy, tenant="acme", **keys):
    return proxy.wire(tenant, **keys)


# ---- PostgreSQL itself ----

class Direct:
    """A login of PostgreSQL's that is in acme's context by a setting of its role, and what the scripts work on."""

    def __init__(self, stand):
        self.stand, self.admin = stand, stand.admin()
        seal = f"{stand.ids['acme'].replace('-', '')},{str(TENANTS['acme']).encode().hex()}"
        self.admin.execute(PARTS)
        self.admin.execute(f"ALTER ROLE direct_acme SET backtrace_functions = '{seal}'")

    def login(self, **keys):
        wire = Wire.connect(self.stand.postgres.socket_dir, self.stand.postgres.port)
        return wire.login({"user": "direct_acme", "database": DATABASE, **keys})

    def remove(self):
        self.admin.execute(NO_PARTS)
        self.admin.close()


def play_new(connect, script, admin, between=lambda: None):
    """Plays a script on a connection of its own, the messages of its login first."""
    try:
        wire = connect(**script.keys)
    except WireError as refused:
        return [refused.fields]
    except (EOFError, OSError):
        return [None]
    with wire:
        between()
        found = [m for m in wire.greeting if m.type != "K"] + play(wire, script.steps, between, admin)
    admin.execute(TIDY)
    return found


# ---- others ----

class Neighbours:
    """
    Clients that use the backends for their own statements between two steps of a script.

    There are three backends. The script has one, transactions of a neighbour of the same tenant and of one of
    another hold the others. Between two steps all move on: the other tenant's next neighbour takes the backend that
    the script has given back, acme's next the one that the other tenant's has then given back, and what is left for
    the script is the one of acme's. So a client that keeps no backend goes on with one that comes straight from its
    own tenant, and never again with one on which it has been and which no other tenant has had since. A client that
    keeps its backend goes on with that, and the neighbours take each other's.

    With `names` they also use statements and settings of the names that scripts use. That is for when those keep
    no backend: one that did would starve the script.
    """

    SETTINGS = {"DateStyle": "SQL, YMD", "TimeZone": "Asia/Kathmandu", "IntervalStyle": "sql_standard",
                "search_path": "pg_catalog", "extra_float_digits": "-3", "application_name": "neighbour",
                **{f"app.{name}": "neighbour" for name in ("k", "l", "tenant")}}

    def __init__(self, proxy, names=False):
        self.names = names
        self.pairs = [[login(proxy, tenant, **self.SETTINGS) for _ in range(2)] for tenant in ("globex", "acme")]
        for holds, _ in self.pairs:
            self.begin(holds)
            self.answered(holds)

    def begin(self, wire):
        assert types(wire.query("BEGIN")) == "CZ"  # Bulkhead's own answer; a backend is taken for what follows
        wire.send(self.statements())

    def answered(self, wire):
        assert rows(wire.until_ready()) == [["neighbour"]] * (2 if self.names else 1)

    def statements(self):
        """Statements that stay parsed in the backend."""
        left = b""
        if self.names:
            left = b"".join(close(name) + parse("SELECT 'neighbour'", name) for name in ("a", "S_1"))
            left += bind(statement="a") + execute() + parse("SET app.k = 'meddled'") + bind() + execute()
        return left + parse("SELECT 'neighbour' WHERE $1::int > 0") + bind(("1",)) + execute() + sync()

    def use(self):
        for pair in self.pairs:
            holds, follows = pair
            self.begin(follows)
            assert types(holds.query("COMMIT")) == "CZ"
            pair.reverse()
        for holds, _ in self.pairs:
            self.answered(holds)

    def go(self):
        for wire in itertools.chain(*self.pairs):
            wire.close()


# ---- comparing ----

FIRST_OID = 16384  # of what is not built in


class Comparable:
    """What must be equal of the messages of one run."""

    def __init__(self):
        self.oids = {}

    def of(self, message):
        if message is None:
            return None
        if isinstance(message, dict) or message.type in "EN":
            fields = message if isinstance(message, dict) else message.fields
            return {letter: self.text(text) for letter, text in fields.items() if letter not in "FLR"}
        if message.type == "T":
            return "T", self.columns(message.body)
        if message.type == "A":
            return "A", message.body[4:]
        if message.type == "S" and message.body.startswith(b"session_authorization\0"):
            return "S", "session_authorization"
        return message.type, message.body

    @staticmethod
    def text(text):
        return re.sub(r"\b(direct_acme|bulkhead_pool|t_[0-9a-f]{32})\b", "LOGIN", re.sub(r"\bpg_temp_\d+\b", "pg_temp_N", text))

    def columns(self, body):
        count, = struct.unpack_from("!H", body)
        at, found = 2, []
        for _ in range(count):
            end = body.index(b"\0", at)
            table, number, type_, size, modifier, form = struct.unpack_from("!IHIhih", body, end + 1)
            found.append((body[at:end], self.oid(table), number, self.oid(type_), size, modifier, form))
            at = end + 19
        return found

    def oid(self, oid):
        return oid if oid < FIRST_OID else ("new", self.oids.setdefault(oid, len(self.oids)))


def brief(message):
    if isinstance(message, Message):
        message = message.type, message.fields if message.type in "EN" else message.body
    return str(message)[:300]


def first_difference(expected, found):
    """The first message that is another one, in words; None when there is none."""
    one, other = Comparable(), Comparable()
    for at, (a, b) in enumerate(itertools.zip_longest(expected, found, fillvalue={})):
        if one.of(a) != other.of(b):
            return f"message {at} of {len(expected)}: {brief(b)} instead of {brief(a)}"
    return None


class Differ:
    def __init__(self, stand, names=False):
        self.stand, self.names = stand, names

    def __enter__(self):
        with ExitStack() as stack:
            self.direct = Direct(self.stand)
            stack.callback(self.direct.remove)
            self.proxy = stack.enter_context(self.stand.proxy(pool={"default_pool_size": 3}))
            self.neighbours = Neighbours(self.proxy, self.names)
            stack.callback(self.neighbours.go)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def expected(self, script):
        """What PostgreSQL says."""
        found = play_new(self.direct.login, script, self.direct.admin)
        assert found[-1] or script.ends, f"a script that PostgreSQL does not answer: {found[-2:]}"
        return found

    def through(self, script, between=lambda: None):
        return play_new(functools.partial(login, self.proxy), script, self.direct.admin, between)

    def difference(self, script):
        return first_difference(self.expected(script), self.through(script, self.neighbours.use))

    def difference_alone(self, script):
        """Without anybody in between."""
        return first_difference(self.expected(script), self.through(script))
