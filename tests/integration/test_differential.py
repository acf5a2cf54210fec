"""
What goes through Bulkhead is answered as by PostgreSQL, message by message.

Each script of harness/scripts.py is played to PostgreSQL and, while others use the same backends, through Bulkhead
(harness/differ.py). Where the answers are known to differ is in differences.py. On PostgreSQL 18 `make test` plays the
families that have to do with what a session keeps; `make test-differential` plays everything on both.
"""

import os
from contextlib import ExitStack

import pytest
from differences import BY_CHANCE, ONE_WORKER, reasons
from harness.differ import Differ
from harness.installation import GUARD
from harness.postgres import HOST, PG18_BIN
from harness.scripts import FAMILIES, SCRIPTS
from harness.stand import DATABASE
from harness.steps import Script
from harness.wire import VERSION_3_0, Wire, errors, query, rows, types

STANDS = {15: "stand", 18: "stand_18"}  # fixtures by the major version at the least
ABSENT = pytest.mark.skipif(not PG18_BIN.exists(), reason=f"no PostgreSQL 18 in {PG18_BIN.parent}: make pg18")
SERVERS = [15, pytest.param(18, marks=ABSENT)]
SHORT = {"names", "names, wrong", "settings", "startup", "startup, kept", "portal"}  # families for `make test` on 18
LONG = ("simple", "transaction", "extended", "begin", "copy", "in flight", "nothing", "portal", "error", "copies", "size")
NEIGHBOURS_USE_NAMES = True  # for when statements with names and SET keep no backend any more
ALL_FAMILIES = os.environ.get("DIFFERENTIAL") == "all"


def family(name):
    return name.partition(": ")[0]


def is_played(name, server):
    return server == 15 or ALL_FAMILIES or family(name) in SHORT


def case(server, name, different):
    strict = name not in BY_CHANCE and GUARD == "sealed"  # tenants with logins of their own have backends of their own
    marks = [pytest.mark.xfail(strict=strict, reason=different[name])] if name in different else []
    marks += [ABSENT] if server == 18 else []
    if name in ONE_WORKER:
        marks.append(pytest.mark.one_worker("a value of a sequence is not known where the backend was moved"))
    return pytest.param(server, name, marks=marks, id=f"{server}-{name}")


CASES = [case(server, name, reasons(server)) for server in STANDS for name in SCRIPTS if is_played(name, server)]


@pytest.fixture(scope="module")
def differs(request):
    """Differ by server, each made when it is asked for."""
    with ExitStack() as stack:
        made = {}

        def differ(server):
            if server not in made:
                stand = request.getfixturevalue(STANDS[server])
                made[server] = stack.enter_context(Differ(stand, NEIGHBOURS_USE_NAMES))
            return made[server]
        yield differ


@pytest.mark.parametrize("server, script", CASES)
def test_the_same_answers(differs, server, script):
    difference = differs(server).difference(SCRIPTS[script])
    assert difference is None, difference


@pytest.mark.parametrize("server", SERVERS)
def test_the_same_answers_in_one_long_session(differs, server):
    """A thousand exchanges and more on one connection, with all that they leave in the session."""
    different = reasons(server)
    steps = [step for name, script in SCRIPTS.items() for step in script.steps
             if family(name) in LONG and name not in different and not script.ends]
    assert len(steps) > 1000
    difference = differs(server).difference_alone(Script(steps))
    assert difference is None, difference


def test_differences_are_of_scripts_that_are_there():
    assert set(reasons(15)) | ONE_WORKER <= set(SCRIPTS)
    assert len(SCRIPTS) == sum(map(len, FAMILIES.values())), "a name twice"


# ---- the login ----

@pytest.mark.parametrize("server", SERVERS)
def test_the_same_parameters(differs, server):
    """A client is told at login what PostgreSQL tells, but for who it is there."""
    differ = differs(server)
    with differ.direct.login() as expected, differ.proxy.wire("acme") as found:
        assert list(found.parameters) == list(expected.parameters)
        differ = {name for name, value in found.parameters.items() if value != expected.parameters[name]}
        assert differ == {"session_authorization"}
        assert types(found.greeting) == types(expected.greeting)


OPTIONS = {"_pq_.a": "1", "_pq_.b": ""}
VERSIONS = {  # asked for: options, the minor version that is negotiated or None, and the size of the cancel key
    "3.0": (VERSION_3_0, {}, None, 4),
    "3.0 and options": (VERSION_3_0, OPTIONS, 0, 4),
    "3.1": (VERSION_3_0 + 1, {}, None, 4),
    "3.2": (VERSION_3_0 + 2, {}, None, 32),
    "3.2 and options": (VERSION_3_0 + 2, OPTIONS, 2, 32),
    "3.3": (VERSION_3_0 + 3, {}, 2, 32),
    "libpq's grease": (VERSION_3_0 + 9999, {"_pq_.test_protocol_negotiation": ""}, 2, 32),
    "the last minor one": (VERSION_3_0 + 0xffff, {}, 2, 32),
}


def negotiated(wire):
    """The minor version and the options of a NegotiateProtocolVersion, or None when none came."""
    found = [m.body for m in wire.greeting if m.type == "v"]
    assert len(found) <= 1
    if not found:
        return None
    body, = found
    assert body[:2] == b"\0\3"
    options = body[8:].split(b"\0")[:-1]
    assert len(options) == int.from_bytes(body[4:8], "big")
    return int.from_bytes(body[2:4], "big"), [option.decode() for option in options]


def check_version(wire, password, user, name):
    """What a client of that version must see, a cancel with its key among it."""
    version, options, minor, size = VERSIONS[name]
    wire.login({"user": user, "database": DATABASE, **options}, password, version)
    assert negotiated(wire) == (None if minor is None else (minor, list(options)))
    assert len(wire.key) == size
    assert rows(wire.query("SELECT 1")) == [["1"]]
    wire.send(query("SELECT pg_sleep(20)"))
    assert wire.is_silent(0.1)
    wire.cancel()
    assert errors(wire.until_ready()) == ["57014"]


@ABSENT
@pytest.mark.parametrize("name", VERSIONS)
def test_a_version_as_postgresql_18_sees_it(stand_18, name):
    """The control: what is expected of Bulkhead is what PostgreSQL 18 does."""
    with Wire.connect(stand_18.postgres.socket_dir, stand_18.postgres.port) as wire:
        check_version(wire, None, "postgres", name)


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("name", VERSIONS)
def test_a_version_is_spoken(differs, server, name):
    """Whatever the server behind it speaks."""
    differ = differs(server)
    with Wire.connect(HOST, differ.proxy.port) as wire:
        check_version(wire, differ.stand.password, "shop.acme", name)


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("major", [1, 2, 4, 9])
def test_other_major_versions_are_refused(differs, server, major):
    with Wire.connect(HOST, differs(server).proxy.port) as wire:
        wire.send(b"\0\0\0\x09" + major.to_bytes(2, "big") + b"\0\0\0")
        refused, = wire.until_end()
        assert (refused.type, refused.fields["S"], refused.fields["C"]) == ("E", "FATAL", "0A000")
