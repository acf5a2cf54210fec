"""
Hand-overs that fail: no client's statement ever runs in another tenant's context.

Bulkhead has one backend, and reaches it through a man in the middle that spoils one message of a
hand-over from acme to globex. Whatever is spoilt, globex's client is served with globex's own rows, by
this backend or another, or is told the truth; and no message of a client's is let out to PostgreSQL before
every exchange of the hand-over has been answered as it should be (Middle.early_messages).
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from harness import middle as mid
from harness.middle import BEGIN, CLIENT, DISCARD, ENTER, FROM_BULKHEAD, SETTINGS, Middle, hold
from harness.postgres import HOST
from harness.stand import DATABASE, PRINCIPAL, ROWS
from harness.wire import Wire, bind, cstr, execute, message, parse, query, rows, sync, types

# What PostgreSQL answers to DISCARD ALL, enter, the client's settings and the BEGIN that was held for it.
ANSWERS = [(DISCARD, "C"), (DISCARD, "Z"),
           (ENTER, "1"), (ENTER, "2"), (ENTER, "D"), (ENTER, "C"), (ENTER, "Z"),
           (SETTINGS, "C"), (SETTINGS, "Z"), (BEGIN, "C"), (BEGIN, "Z")]
LAST = (BEGIN, "Z")

# And what it is asked.
REQUESTS = [(DISCARD, "Q"), (ENTER, "P"), (ENTER, "B"), (ENTER, "E"), (ENTER, "S"), (SETTINGS, "Q"), (BEGIN, "Q")]


# ---- the scene ----

class Scene:
    """A proxy with one backend behind a man in the middle."""

    def __init__(self, stand, middle, proxy):
        self.stand, self.middle, self.proxy = stand, middle, proxy
        self.clients = []
        self.bystanders = {tenant: self.client(tenant) for tenant in ("acme", "globex")}
        self.clients.clear()

    def client(self, tenant, **keys):
        wire = Wire.connect(HOST, self.proxy.port)
        self.clients.append(wire)
        return wire.login({"user": f"{PRINCIPAL}.{tenant}", "database": DATABASE, **keys}, self.stand.password)

    def seal(self, tenant):
        """Puts the backend into a tenant's context and leaves it idle there; no client may ever notice a thing."""
        found = transaction(self.bystanders[tenant], tenant)
        assert served(found, tenant), found

    def backends(self):
        """The middle's connections that are backends now."""
        return [link for link in self.middle.links if not link.ended and not link.is_cancel]

    def backend(self):
        link, = self.backends()
        return link

    def backend_pid(self):
        return self.backend().backend_pid

    def assert_sound(self):
        """Nothing was let out too early so far, and both tenants are served now."""
        self.middle.rules.clear()
        for tenant in ("acme", "globex"):
            self.seal(tenant)
        assert not self.middle.early_messages(self.stand.ids)

    def forget(self):
        for wire in self.clients:
            wire.close()
        self.clients.clear()
        self.middle.clear()

    def end(self):
        self.forget()
        for wire in self.bystanders.values():
            wire.close()


@contextmanager
def new_scene(stand, **sections):
    pool = {"default_pool_size": 1, "server_login_retry": 0, "server_connect_timeout": "1s",
            **sections.pop("pool", {})}
    with Middle(stand.postgres.port) as middle:
        with stand.proxy(cluster__default={"port": middle.port}, pool=pool, **sections) as proxy:
            scene = Scene(stand, middle, proxy)
            yield scene
            scene.end()


@pytest.fixture(scope="module")
def shared_scene(stand):
    with new_scene(stand) as scene:
        yield scene


@pytest.fixture
def scene(shared_scene):
    """The module's scene, with nothing spoilt and the backend in acme's context."""
    shared_scene.forget()
    shared_scene.seal("acme")
    yield shared_scene
    shared_scene.forget()


# ---- what a client does and gets ----

def collect(wire, *parts):
    """Sends, and returns all that comes up to a ReadyForQuery or the end of the connection."""
    found = []
    try:
        wire.send(*parts)
        while not found or found[-1].type != "Z":
            found.append(wire.read())
    except (EOFError, OSError):
        pass
    return found


def statement(tenant):
    return f"SELECT item FROM orders /*{tenant}*/"


def transaction(wire, tenant):
    """The answers to a SELECT behind a BEGIN, which Bulkhead holds until the SELECT comes; then COMMIT."""
    assert types(wire.query("BEGIN")) == "CZ"
    found = collect(wire, query(statement(tenant)))
    if found[-1].type == "Z":
        assert types(wire.query("COMMIT")) == "CZ"
    return found


def extended(wire, tenant):
    """The answers to a SELECT of its own in the extended protocol."""
    return collect(wire, parse(statement(tenant)), bind(), execute(), sync())


def served(found, tenant):
    """Are these all rows of the tenant's, and nothing else?"""
    return ([m.type for m in found if m.type not in "T12D"] == ["C", "Z"]
            and [row[0].rsplit(" ", 1)[0] for row in rows(found)] == [tenant] * ROWS)


def told(found):
    """SQLSTATE and DETAIL when all there is is one FATAL, else None."""
    if [m.type for m in found] != ["E"] or found[0].fields["S"] != "FATAL":
        return None
    return found[0].fields.get("C"), found[0].fields.get("D")


GAVE_UP = ("08001", "reason=BH-CTX-HANDOVER")
LOST = ("08006", "reason=BH-NET-BACKEND-LOST")


# ---- an answer of the hand-over is spoilt: another backend serves ----

def ready(status):
    return message("Z", status.encode())


def error(sqlstate, severity="ERROR"):
    code = b"C" + cstr(sqlstate) if sqlstate else b""
    return message("E", b"S" + cstr(severity) + b"V" + cstr(severity) + code + b"Mspoilt in the middle\0\0")


UNUSABLE = {
    "closed": mid.close,
    "reset": mid.reset,
    "cut": mid.cut(3),
    "unknown type": mid.before(message("?", b"what")),
    "type out of place": mid.before(message("G", b"\0\0\0")),
    "length too small": mid.replace(b"C\0\0\0\3"),
    "length too large": mid.replace(b"C\x7f\xff\xff\xff" + b"x" * 64),
    "row of another's": mid.before(message("D", b"\0\1\0\0\0\4seal")),
}


def assert_another_serves(scene, rule, ask=transaction):
    spoilt = scene.backend()
    found = ask(scene.client("globex"), "globex")
    assert rule.links == [spoilt]
    assert served(found, "globex"), found
    assert scene.backend() is not spoilt
    scene.assert_sound()


@pytest.mark.parametrize("spoil", UNUSABLE)
@pytest.mark.parametrize("exchange, kind", ANSWERS)
def test_an_unusable_answer(scene, exchange, kind, spoil):
    assert_another_serves(scene, scene.middle.rule(exchange, kind, UNUSABLE[spoil]))


@pytest.mark.parametrize("sqlstate", ["57014", "25001", "42501", ""])
@pytest.mark.parametrize("exchange, kind", [answer for answer in ANSWERS if answer[0] in (DISCARD, ENTER)])
def test_an_error(scene, exchange, kind, sqlstate):
    spoil = mid.before if kind == "Z" else mid.replace
    assert_another_serves(scene, scene.middle.rule(exchange, kind, spoil(error(sqlstate))))


@pytest.mark.parametrize("exchange, status", [(exchange, status) for exchange in (DISCARD, ENTER, SETTINGS)
                                              for status in ("T", "E", "?", "", "II")] + [(BEGIN, "I"), (BEGIN, "E")])
def test_a_wrong_status(scene, exchange, status):
    assert_another_serves(scene, scene.middle.rule(exchange, "Z", mid.replace(ready(status))))


def row(*values):
    return message("D", len(values).to_bytes(2, "big") + b"".join(
        b"\xff\xff\xff\xff" if value is None else len(value).to_bytes(4, "big") + value for value in values))


def seals(stand):
    """Rows that are not the one that enter returns for globex."""
    def seal(tenant, key):
        return f"{stand.ids[tenant].replace('-', '')},{str(key).encode().hex()}".encode()

    right = seal("globex", 103)
    return {
        "another tenant's": row(seal("acme", 101)),
        "another key": row(seal("globex", 101)),
        "truncated": row(right[:-1]),
        "without its key": row(right[:33]),
        "longer": row(right + b"3"),
        "in capitals": row(right.upper()),
        "empty": row(b""),
        "NULL": row(None),
        "no column": row(),
        "two columns": row(right, right),
        "two rows, the wrong one first": row(seal("acme", 101)) + row(right),
        "two rows, the wrong one last": row(right) + row(seal("acme", 101)),
        "none": b"",
        "a length beyond the row": message("D", b"\0\1" + (len(right) + 1).to_bytes(4, "big") + right),
        "bytes behind the row": message("D", row(right)[5:] + b"\0"),
    }


@pytest.mark.parametrize("kind", [
    "another tenant's", "another key", "truncated", "without its key", "longer", "in capitals", "empty", "NULL",
    "no column", "two columns", "two rows, the wrong one first", "two rows, the wrong one last", "none",
    "a length beyond the row", "bytes behind the row"])
def test_a_wrong_seal(scene, kind):
    assert_another_serves(scene, scene.middle.rule(ENTER, "D", mid.replace(seals(scene.stand)[kind])))


@pytest.mark.parametrize("exchange, kind", [answer for answer in ANSWERS if answer[0] != DISCARD])
def test_it_fails_every_time(scene, exchange, kind):
    """After some attempts the client is told why, and the next one has a backend again. (A new one needs no DISCARD.)"""
    rule = scene.middle.rule(exchange, kind, mid.close, times=None)
    assert told(transaction(scene.client("globex"), "globex")) == GAVE_UP
    assert 1 < len(rule.links) <= 4
    scene.assert_sound()


@pytest.mark.parametrize("exchange, kind", ANSWERS[:-2])
@pytest.mark.parametrize("spoil", ["closed", "unknown type"])
def test_an_unusable_answer_before_an_extended_statement(scene, exchange, kind, spoil):
    assert_another_serves(scene, scene.middle.rule(exchange, kind, UNUSABLE[spoil]), ask=extended)


def test_late_answers(stand):
    """Each answer in turn comes later than server_connect_timeout, each in front of a Bulkhead of its own."""

    def delay(answer):
        with new_scene(stand) as scene:
            scene.seal("acme")
            late, spoilt = hold(), scene.backend()
            scene.middle.rule(*answer, late)
            found = transaction(scene.client("globex"), "globex")
            late.release()
            scene.assert_sound()
            return served(found, "globex") and spoilt.ended and late.reached.is_set()

    with ThreadPoolExecutor(len(ANSWERS)) as pool:
        assert dict(zip(ANSWERS, pool.map(delay, ANSWERS))) == dict.fromkeys(ANSWERS, True)


# ---- errors that are the client's ----

@pytest.mark.parametrize("sqlstate, seen", [("57014", "57014"), ("22023", "22023"), ("42501", "42501"), ("", "22023")])
@pytest.mark.parametrize("kind", ["C", "Z"])
def test_settings_are_refused(scene, kind, sqlstate, seen):
    """The client's own mistake, as far as anybody can tell: it is told in the server's words."""
    spoil = mid.before if kind == "Z" else mid.replace
    scene.middle.rule(SETTINGS, kind, spoil(error(sqlstate)))
    assert told(transaction(scene.client("globex"), "globex")) == (seen, None)
    scene.assert_sound()


@pytest.mark.parametrize("sqlstate, seen", [("25001", "25001"), ("42501", "42501"), ("", "08006")])
@pytest.mark.parametrize("kind", ["C", "Z"])
def test_the_held_begin_is_refused(scene, kind, sqlstate, seen):
    spoil = mid.before if kind == "Z" else mid.replace
    scene.middle.rule(BEGIN, kind, spoil(error(sqlstate)))
    assert told(transaction(scene.client("globex"), "globex")) == (seen, None)
    scene.assert_sound()


@pytest.mark.parametrize("kind", ["C", "Z"])
def test_the_held_begin_is_cancelled(scene, kind):
    """A late cancel of an earlier statement is nothing that this client must know of."""
    spoil = mid.before if kind == "Z" else mid.replace
    assert_another_serves(scene, scene.middle.rule(BEGIN, kind, spoil(error("57014"))))


# ---- what is harmless ----

HARMLESS = {
    "notice": mid.before(message("N", b"SNOTICE\0VNOTICE\0C00000\0Mby the way\0\0")),
    "notification": mid.before(message("A", b"\0\0\0\7" + cstr("gossip") + cstr("payload"))),
    "parameter": mid.before(message("S", cstr("in_the_middle") + cstr("yes"))),
    "byte by byte": mid.split,
}


@pytest.mark.parametrize("spoil", HARMLESS)
def test_harmless_messages_between_all_answers(scene, spoil):
    """They are kept from the client, and the backend goes on."""
    backend = scene.backend()
    spoilt = [scene.middle.rule(*answer, HARMLESS[spoil]) for answer in ANSWERS]
    found = transaction(scene.client("globex"), "globex")
    assert all(rule.links == [backend] for rule in spoilt)
    assert served(found, "globex"), found
    assert scene.backend() is backend
    scene.assert_sound()


# ---- messages missing, doubled or out of order: served or told, never anything else ----

STRAY_READY = pytest.mark.xfail(strict=True, reason="replies.c takes a ReadyForQuery for the whole answer to a Query: "
                                "the client sees its statement end without rows or error")

DISORDER = {"missing": mid.drop, "twice": mid.twice, "overtaken": mid.swap}


def assert_served_or_told(scene, found):
    assert served(found, "globex") or told(found), found
    scene.assert_sound()


@pytest.mark.parametrize("exchange, kind, spoil", [
    pytest.param(*answer, spoil, marks=STRAY_READY if (answer, spoil) == (LAST, "twice") else ())
    for answer in ANSWERS for spoil in DISORDER])
def test_disorder_in_the_answers(scene, exchange, kind, spoil):
    rule = scene.middle.rule(exchange, kind, DISORDER[spoil])
    found = transaction(scene.client("globex"), "globex")
    assert rule.links
    assert_served_or_told(scene, found)


@pytest.mark.parametrize("exchange, kind, spoil", [
    (*request, spoil) for request in REQUESTS for spoil in DISORDER if (request[0], spoil) != (BEGIN, "twice")])
def test_disorder_in_the_requests(scene, exchange, kind, spoil):
    """
    PostgreSQL does not get what Bulkhead sent: without its DISCARD ALL, enter must refuse. (A second answer to
    BEGIN that comes late cannot be told from an answer to the client's own statement.)
    """
    rule = scene.middle.rule(exchange, kind, DISORDER[spoil], way=FROM_BULKHEAD)
    found = transaction(scene.client("globex"), "globex")
    assert rule.links
    assert_served_or_told(scene, found)


# ---- order ----

@pytest.mark.parametrize("exchange, kind, waits_for_it", [
    (DISCARD, "Z", SETTINGS), (ENTER, "Z", SETTINGS), (SETTINGS, "Z", BEGIN), (BEGIN, "Z", CLIENT)])
def test_settings_that_are_not_plain_wait(scene, exchange, kind, waits_for_it):
    """Text that may be read in two ways is sent only to a backend that is known to be clean."""
    globex = scene.client("globex", application_name="it's")
    awaited = hold()
    scene.middle.rule(exchange, kind, awaited)
    before = len(scene.middle.sent(waits_for_it, "Q"))
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(transaction, globex, "globex")
        assert awaited.reached.wait(10)
        assert scene.backend().is_silent(mid.FROM_BULKHEAD)
        assert len(scene.middle.sent(waits_for_it, "Q")) == before
        awaited.release()
        assert served(found.result(), "globex")
    assert len(scene.middle.sent(waits_for_it, "Q")) > before
    scene.assert_sound()
