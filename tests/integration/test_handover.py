"""
Hand-overs that fail: no client's statement ever runs in another tenant's context.

Bulkhead has one backend, and reaches it through a man in the middle that spoils one message of a
hand-over from acme to globex. Whatever is spoilt, globex's client is served with globex's own rows, by
this backend or another, or is told the truth; and no message of a client's is let out to PostgreSQL before
every exchange of the hand-over has been answered as it should be (Middle.early_messages).
"""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
from harness import middle as mid
from harness.middle import BEGIN, CHECK, CLIENT, DISCARD, ENTER, FROM_BULKHEAD, SETTINGS, STATE, hold
from harness.scene import (collect, extended, locked, new_scene, served, statement, tell, told, transaction,
                           wait_for_lock, wait_until)
from harness.stand import TENANTS
from harness.unseen import unseen
from harness.wire import bind, cstr, data_row, describe, errors, execute, message, parse, query, rows, sync, types

pytestmark = pytest.mark.sealed("these hand-overs are of backends that tenants share")

# What PostgreSQL answers to DISCARD ALL, enter, the client's settings and the BEGIN that was held for it.
ANSWERS = [(DISCARD, "C"), (DISCARD, "Z"),
           (ENTER, "1"), (ENTER, "2"), (ENTER, "D"), (ENTER, "C"), (ENTER, "Z"),
           (SETTINGS, "C"), (SETTINGS, "Z"), (BEGIN, "C"), (BEGIN, "Z")]
LAST = (BEGIN, "Z")

# And what it is asked.
REQUESTS = [(DISCARD, "Q"), (ENTER, "P"), (ENTER, "B"), (ENTER, "E"), (ENTER, "S"), (SETTINGS, "Q"), (BEGIN, "Q")]

CLOCK = 6  # the column of bulkhead.self_check() that holds the server's time in milliseconds


# ---- the scene ----

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


@pytest.mark.parametrize("exchange, kind, spoil", [
    (*answer, spoil) for answer in ANSWERS for spoil in UNUSABLE
    if spoil in ("closed", "reset", "cut", "unknown type") or answer in ((DISCARD, "Z"), (ENTER, "D"), LAST)])
def test_an_unusable_answer(scene, exchange, kind, spoil):
    assert_another_serves(scene, scene.middle.rule(exchange, kind, UNUSABLE[spoil]))


@pytest.mark.parametrize("exchange, kind, sqlstate", [
    (*answer, sqlstate) for answer in ANSWERS if answer[0] in (DISCARD, ENTER)
    for sqlstate in ("57014", "25001", "42501", "") if sqlstate in ("57014", "") or answer[1] == "C"])
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


def seals(ids):
    """Rows that are not the one that enter returns for globex."""
    def seal(tenant, key):
        return f"{ids[tenant].replace('-', '')},{str(key).encode().hex()}".encode()

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


@pytest.mark.parametrize("kind", seals(dict.fromkeys(TENANTS, "")))
def test_a_wrong_seal(scene, kind):
    assert_another_serves(scene, scene.middle.rule(ENTER, "D", mid.replace(seals(scene.stand.ids)[kind])))


@pytest.mark.parametrize("exchange, kind", [(ENTER, "D"), (ENTER, "Z"), (SETTINGS, "C"), (BEGIN, "Z")])
def test_it_fails_every_time(scene, exchange, kind):
    """After some attempts the client is told why, and the next one has a backend again."""
    rule = scene.middle.rule(exchange, kind, mid.close, times=None)
    assert told(transaction(scene.client("globex"), "globex")) == GAVE_UP
    assert 1 < len(rule.links) <= 4
    scene.assert_sound()


@pytest.mark.parametrize("exchange, kind", ANSWERS[:-2])
def test_a_lost_answer_before_an_extended_statement(scene, exchange, kind):
    assert_another_serves(scene, scene.middle.rule(exchange, kind, mid.close), ask=extended)


# ---- errors that are the client's ----

@pytest.mark.parametrize("sqlstate, seen", [("57014", "57014"), ("22023", "22023"), ("42501", "42501"), ("", "22023")])
@pytest.mark.parametrize("kind", ["C", "Z"])
def test_settings_are_refused(scene, kind, sqlstate, seen):
    """The client's own mistake, as far as anybody can tell: it is told in the server's words."""
    spoil = mid.before if kind == "Z" else mid.replace
    scene.middle.rule(SETTINGS, kind, spoil(error(sqlstate)))
    assert told(transaction(scene.client("globex"), "globex")) == (seen, None)
    scene.assert_sound()


def test_settings_are_refused_when_a_session_is_restored(scene):
    """What the client had in its session is nothing for the next one of its tenant."""
    acme = scene.client("acme")
    tell(acme, "CREATE TEMP TABLE left_behind (x int)")
    rule = scene.middle.rule(SETTINGS, "C", mid.replace(error("22023")))
    acme.send(query("DO $$ BEGIN EXECUTE 'RESET ALL'; END $$"))
    assert acme.until_end()[-1].fields["C"] == "22023" and rule.fired.is_set()
    assert rows(tell(scene.client("acme"), "SELECT to_regclass('pg_temp.left_behind')")) == [[None]]
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

DISORDER = {"missing": mid.drop, "twice": mid.twice, "overtaken": mid.swap}


def assert_served_or_told(scene, found):
    assert served(found, "globex") or told(found), found
    scene.assert_sound()


@pytest.mark.parametrize("exchange, kind, spoil", [
    (*answer, spoil) for answer in ANSWERS for spoil in DISORDER if answer != LAST or spoil == "twice"])
def test_disorder_in_the_answers(scene, exchange, kind, spoil):
    rule = scene.middle.rule(exchange, kind, DISORDER[spoil])
    found = transaction(scene.client("globex"), "globex")
    assert rule.links
    assert_served_or_told(scene, found)


@pytest.mark.parametrize("exchange, kind, spoil", [
    (*request, spoil) for request in REQUESTS for spoil in DISORDER if request[0] != BEGIN])
def test_disorder_in_the_requests(scene, exchange, kind, spoil):
    """PostgreSQL does not get what Bulkhead sent: without its DISCARD ALL, enter must refuse."""
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


# ---- the other hand-overs: at login, behind a client that kept its backend, under one that lost its context ----

@pytest.mark.parametrize("exchange, kind", ANSWERS[:-2])
def test_at_login(scene, exchange, kind):
    """Settings that no client had before are tried on a backend while their client logs in."""
    spoilt = scene.backend()
    rule = scene.middle.rule(exchange, kind, mid.close)
    globex = scene.client("globex", options=f"-c work_mem={1000 + ANSWERS.index((exchange, kind))}kB")
    assert rule.links == [spoilt] and globex.greeting[-1].type == "Z"
    assert served(transaction(globex, "globex"), "globex")
    scene.assert_sound()


@pytest.mark.parametrize("kind, spoil", [("C", "closed"), *[("Z", spoil) for spoil in UNUSABLE]])
def test_behind_a_client_that_kept_its_backend(scene, kind, spoil):
    """DISCARD ALL, sent when such a client leaves, fails: the backend is not used again."""
    spoilt = scene.backend()
    rule = scene.middle.rule(DISCARD, kind, UNUSABLE[spoil])
    acme = scene.client("acme")
    tell(acme, "LISTEN gossip")
    acme.close()
    found = transaction(scene.client("globex"), "globex")
    assert rule.links == [spoilt] and scene.backend() is not spoilt
    assert served(found, "globex"), found
    scene.assert_sound()


def test_a_question_that_fails_is_asked_again(scene):
    """As when the client's own statement_timeout hits it: the backend is kept until the next transaction is over."""
    acme, backend = scene.client("acme"), scene.backend()
    rule = scene.middle.rule(STATE, "D", mid.replace(error("57014")))
    tell(acme, "SET work_mem = '5MB'; LISTEN gossip; UNLISTEN gossip")
    wait_until(lambda: rule.links == [backend])
    asked = len(scene.middle.sent(STATE, "Q"))
    other = scene.client("acme")
    other.send(query("SELECT 1"))
    assert other.is_silent(0.2)
    assert rows(acme.query("SHOW work_mem")) == [["5MB"]]
    assert rows(other.until_ready()) == [["1"]]
    assert len(scene.middle.sent(STATE, "Q")) == asked + 1
    assert rows(acme.query("SHOW work_mem")) == [["5MB"]]
    scene.assert_sound()


def test_a_backend_whose_columns_are_asked_for_is_not_handed_over(scene):
    """Behind Bulkhead's own Parse and Describe comes the Bind that they are for, and then its Sync."""
    acme, globex, held = scene.client("acme"), scene.client("globex"), hold()
    acme.send(parse("SELECT 1 AS a", "s"), describe("s"), sync())
    assert types(acme.until_ready()) == "1tTZ"
    assert served(transaction(globex, "globex"), "globex")
    scene.middle.rule(CLIENT, "T", held)
    acme.send(bind((), "s"), execute(), sync())
    assert held.reached.wait(10)
    globex.send(query(statement("globex")))
    assert globex.is_silent(0.1)
    asked = len(scene.middle.sent(CLIENT, "D"))
    held.release()
    assert rows(acme.until_ready()) == [["1"]]
    assert served(globex.until_ready(), "globex")
    assert len(scene.middle.sent(CLIENT, "D")) == asked
    scene.assert_sound()


def test_a_kept_backend_is_cleaned_for_its_own_tenant_too(scene):
    """Nobody is served by it before DISCARD ALL has been answered."""
    acme, other, cleaned = scene.client("acme"), scene.client("acme"), hold()
    tell(acme, "LISTEN gossip")
    tell(acme, "SET app.secret = 'of this session only'")
    scene.middle.rule(DISCARD, "Z", cleaned)
    acme.close()
    assert cleaned.reached.wait(10)
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(tell, other, "SELECT coalesce(current_setting('app.secret', true), '') /*acme*/")
        assert scene.backend().is_silent(FROM_BULKHEAD)
        cleaned.release()
        assert rows(found.result()) == [[""]]
    scene.assert_sound()


@pytest.mark.parametrize("spoil", [*UNUSABLE, "another tenant's", "NULL", "two columns", "42501", "status T"])
def test_restoring_a_lost_context(scene, spoil):
    """A client that keeps a backend and emptied its context is told that it lost it when it cannot be restored."""
    action = UNUSABLE.get(spoil) or mid.replace({**seals(scene.stand.ids), "42501": error("42501")}.get(spoil, b""))
    globex = scene.client("globex")
    tell(globex, "LISTEN gossip")
    if spoil == "status T":
        scene.middle.rule(ENTER, "Z", mid.replace(ready("T")))
    else:
        scene.middle.rule(ENTER, "D", action)
    tell(globex, "DO 'BEGIN RESET ALL; END'")
    assert told(collect(globex, query(statement("globex")))) == LOST
    scene.assert_sound()


# ---- failures made in PostgreSQL ----

LEAVINGS = {"table": "CREATE TEMP TABLE left_behind (x int)",
            "timeout": "SELECT set_config('statement_timeout', '20', false)"}


def leave_a_table(scene, *then):
    """acme leaves a temporary table behind, unseen by Bulkhead; its name as others may call it."""
    acme = scene.client("acme")
    with unseen(scene.stand, **LEAVINGS) as look:
        tell(acme, look["table"])
        found = tell(acme, "SELECT 'left_behind'::regclass::oid::int")
        for name in then:
            tell(acme, look[name])
    with scene.stand.admin() as admin:
        return admin.execute("SELECT relnamespace::regnamespace || '.left_behind' FROM pg_class WHERE oid = %s",
                             (int(rows(found)[0][0]),)).fetchone()[0]


SIGNALS = {"cancelled": "pg_cancel_backend", "terminated": "pg_terminate_backend"}


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("exchange", [DISCARD, ENTER])
def test_a_backend_is_signalled_in_the_exchange(scene, exchange, signal):
    table = leave_a_table(scene) if exchange == DISCARD else "bulkhead.revoked_tenant"
    spoilt, pid, globex = scene.backend(), scene.backend_pid(), scene.client("globex")
    with ThreadPoolExecutor(1) as pool:
        with locked(scene.stand, table) as admin:
            found = pool.submit(transaction, globex, "globex")
            wait_for_lock(scene.stand, pid)
            admin.execute(f"SELECT {SIGNALS[signal]}({pid})")
            wait_until(lambda: spoilt.ended)
        assert served(found.result(), "globex")
    assert spoilt.was_told(exchange, "57014" if signal == "cancelled" else "57P01")
    scene.assert_sound()


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("exchange, kind", REQUESTS)
def test_a_backend_is_signalled_before_the_request(scene, exchange, kind, signal):
    """A cancel that finds the backend idle does nothing; a backend that is gone is replaced."""
    spoilt, pid, globex, request = scene.backend(), scene.backend_pid(), scene.client("globex"), hold()
    scene.middle.rule(exchange, kind, request, way=FROM_BULKHEAD)
    with ThreadPoolExecutor(1) as pool, scene.stand.admin() as admin:
        found = pool.submit(transaction, globex, "globex")
        assert request.reached.wait(10)
        admin.execute(f"SELECT {SIGNALS[signal]}({pid})")
        request.release()
        assert served(found.result(), "globex"), found.result()
    assert signal == "cancelled" or spoilt.ended
    scene.assert_sound()


def test_a_timeout_that_acme_left_ends_the_discard(scene):
    """A client that kept its backend leaves, and its timeout ends the DISCARD ALL behind it: the backend goes."""
    table, spoilt, pid = leave_a_table(scene), scene.backend(), scene.backend_pid()
    keeper, globex = scene.clients[0], scene.client("globex")
    tell(keeper, "LISTEN gossip")
    with ThreadPoolExecutor(1) as pool, locked(scene.stand, table):
        tell(keeper, "SET statement_timeout = 20")
        keeper.close()
        found = pool.submit(transaction, globex, "globex")
        assert served(found.result(), "globex")
    assert spoilt.backend_pid == pid and spoilt.ended and spoilt.was_told(DISCARD, "57014")
    scene.assert_sound()


def test_a_timeout_that_acme_left_unseen_ends_with_its_settings(scene):
    """What is discarded for globex begins with the settings, so the rest is given its time."""
    table = leave_a_table(scene, "timeout")
    backend, pid, globex = scene.backend(), scene.backend_pid(), scene.client("globex")
    with ThreadPoolExecutor(1) as pool:
        with locked(scene.stand, table):
            found = pool.submit(transaction, globex, "globex")
            wait_for_lock(scene.stand, pid)
            assert backend.is_silent(FROM_BULKHEAD) and not found.done()
        assert served(found.result(), "globex")
    assert scene.backend() is backend
    scene.assert_sound()


def test_a_slow_discard(scene):
    """Its answer is waited for."""
    table, slow, pid = leave_a_table(scene), scene.backend(), scene.backend_pid()
    globex = scene.client("globex")
    with ThreadPoolExecutor(1) as pool:
        with locked(scene.stand, table):
            found = pool.submit(transaction, globex, "globex")
            wait_for_lock(scene.stand, pid)
            assert not found.done() and slow.is_silent(FROM_BULKHEAD)
        assert served(found.result(), "globex")
    assert scene.backend() is slow
    scene.assert_sound()


def assert_globex_is_refused(scene):
    """Nothing can put a backend into globex's context: its client is told, acme's is served."""
    assert told(transaction(scene.client("globex"), "globex")) == GAVE_UP
    scene.seal("acme")
    assert not scene.middle.early_messages(scene.stand.ids)


def test_a_revoked_tenant(scene):
    with scene.stand.admin() as admin:
        admin.execute("SELECT bulkhead.revoke_tenant(%s)", (scene.stand.ids["globex"],))
        try:
            assert_globex_is_refused(scene)
        finally:
            admin.execute("SELECT bulkhead.readmit_tenant(%s)", (scene.stand.ids["globex"],))
    scene.assert_sound()


def test_a_signing_key_that_was_removed(scene):
    """acme is where it was; nobody else can be entered."""
    with scene.stand.admin() as admin:
        key = admin.execute("DELETE FROM bulkhead.signing_key RETURNING kid, inner_block, outer_block").fetchone()
        try:
            scene.seal("acme")
            assert told(transaction(scene.client("globex"), "globex")) == GAVE_UP
        finally:
            admin.execute("INSERT INTO bulkhead.signing_key (kid, inner_block, outer_block) VALUES (%s, %s, %s)", key)
    scene.assert_sound()


@pytest.mark.parametrize("skew", [-20_000, 80_000])
def test_a_clock_that_moved(scene, skew):
    """Bulkhead's idea of the server's clock is off by more than a token lives, or may live."""

    def shift(message_):
        columns = data_row(message_[5:])
        columns[CLOCK] = str(int(columns[CLOCK]) + skew).encode()
        return row(*columns)

    scene.middle.rule(CHECK, "D", mid.edit(shift), times=None)
    with scene.stand.admin() as admin:
        admin.execute("SELECT pg_terminate_backend(%s)", (scene.backend_pid(),))
    wait_until(lambda: not scene.backends())
    assert told(transaction(scene.client("globex"), "globex")) == GAVE_UP
    scene.assert_sound()


# ---- what acme planted, and cancels that come late ----

PLANT = """
CREATE SCHEMA planted;
CREATE FUNCTION planted.back_to_acme() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RESET ALL;
    EXECUTE 'SELECT bulkhead.enter($1,$2,$3,$4,$5)' USING {token};
    RETURN true;
END $$;
CREATE FUNCTION planted.on_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM planted.back_to_acme(); RETURN NEW; END $$;
CREATE VIEW planted.seen AS SELECT item FROM public.orders WHERE planted.back_to_acme();
CREATE TABLE planted.at_once (id int);
CREATE TRIGGER t BEFORE INSERT ON planted.at_once FOR EACH ROW EXECUTE FUNCTION planted.on_row();
CREATE TABLE planted.at_the_end (id int);
CREATE CONSTRAINT TRIGGER t AFTER INSERT ON planted.at_the_end DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION planted.on_row();
CREATE TABLE planted.ruled (id int);
CREATE RULE r AS ON INSERT TO planted.ruled DO ALSO SELECT planted.back_to_acme();
GRANT USAGE ON SCHEMA planted TO bulkhead_app;
GRANT ALL ON ALL TABLES IN SCHEMA planted TO bulkhead_app;
"""

PLANTED = ["SELECT planted.back_to_acme()", "SELECT * FROM planted.seen", "INSERT INTO planted.at_once VALUES (1)",
           "INSERT INTO planted.at_the_end VALUES (1)", "INSERT INTO planted.ruled VALUES (1)"]


@contextmanager
def planted(scene):
    """Objects that take a backend back to acme with acme's own token for that very backend, which is still valid."""
    token = mid.bind_values([event for event in scene.backend().events
                             if (event.exchange, event.message.type) == (ENTER, "B")][-1].message.body)
    with scene.stand.admin() as admin:
        admin.execute(PLANT.format(token=", ".join(f"'{value.decode()}'" for value in token)))
        try:
            yield
        finally:
            admin.execute("DROP SCHEMA planted CASCADE")


@pytest.mark.parametrize("form", ["simple", "extended"])
def test_what_acme_planted_stays_out_of_its_reach(scene, form):
    """The token is good, but enter is not the client's own statement there: it refuses."""
    with planted(scene):
        globex = scene.client("globex")
        for sql in PLANTED:
            if form == "simple":
                found = collect(globex, query(sql))
            else:
                found = collect(globex, parse(sql), bind(), execute(), sync())
            refused, = (m.fields for m in found if m.type == "E")
            assert (refused["C"], refused["M"]) == ("42501", "enter refused: it is not the whole statement"), sql
            assert served(collect(globex, query(statement("globex"))), "globex"), sql
    scene.assert_sound()


def held_up_cancel(scene, pool, request):
    """Has acme cancel a statement and holds that request up until the statement has ended by itself."""
    acme = scene.client("acme")
    scene.middle.rule(mid.CANCEL, "", request, way=FROM_BULKHEAD)
    with locked(scene.stand, "tickets"):
        acme.send(query("SELECT count(*) FROM tickets"))
        wait_for_lock(scene.stand, scene.backend_pid())
        cancelled = pool.submit(acme.cancel)
        assert request.reached.wait(10)
    assert types(acme.until_ready()) == "TDCZ"
    return cancelled


def test_a_late_cancel_meets_nobody_else(scene):
    """While acme's cancel request is under way its backend serves nobody."""
    request, backend = hold(), scene.backend()
    with ThreadPoolExecutor(2) as pool:
        cancelled = held_up_cancel(scene, pool, request)
        found = pool.submit(transaction, scene.client("globex"), "globex")
        assert backend.is_silent(FROM_BULKHEAD) and not found.done()
        request.release()
        assert served(found.result(), "globex")
        cancelled.result()
    assert scene.backend() is backend
    scene.assert_sound()


def test_a_cancelled_client_gets_a_clean_backend(scene):
    """Behind a cancel the same client's next statement waits for a DISCARD ALL, which a late signal hits instead."""
    acme = scene.client("acme")
    with ThreadPoolExecutor(1) as pool, locked(scene.stand, "tickets"):
        acme.send(query("SELECT count(*) FROM tickets"))
        wait_for_lock(scene.stand, scene.backend_pid())
        pool.submit(acme.cancel).result()
        assert [m.fields["C"] for m in acme.until_ready() if m.type == "E"] == ["57014"]
    before = len(scene.middle.sent(DISCARD, "Q"))
    assert served(transaction(acme, "acme"), "acme")
    assert len(scene.middle.sent(DISCARD, "Q")) == before + 1
    scene.assert_sound()


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("exchange", [ENTER, SETTINGS, BEGIN])
def test_a_cancel_during_a_hand_over(scene, exchange, begun):
    """The statement that waits for it fails, and so does its transaction; neither runs."""
    if exchange == BEGIN and not begun:
        pytest.skip("there is no BEGIN to wait for")
    globex, held = scene.client("globex", application_name="to be cancelled"), hold()
    scene.seal("acme")
    if begun:
        assert types(globex.query("BEGIN")) == "CZ"
    before = len(scene.middle.sent(CLIENT, "Q"))
    scene.middle.rule(exchange, "Z", held)
    globex.send(query("INSERT INTO tickets (subject) VALUES ('cancelled')"))
    assert held.reached.wait(10)
    globex.cancel()
    held.release()
    found = globex.until_ready()
    assert [m.fields["C"] for m in found if m.type == "E"] == ["57014"]
    assert found[-1].status == ("E" if begun else "I")
    assert len(scene.middle.sent(CLIENT, "Q")) == before
    if begun:
        assert errors(globex.query("SELECT 1")) == ["25P02"]
        assert globex.query("ROLLBACK")[-1].status == "I"
    assert served(transaction(globex, "globex"), "globex")
    globex.close()
    scene.assert_sound()


def test_a_cancel_that_ends_during_a_restore_takes_no_session(scene):
    """acme keeps the backend: that a cancel was under way is no reason to discard what acme has in its session."""
    acme, request, entered = scene.client("acme"), hold(), hold()
    tell(acme, "CREATE TEMP TABLE kept AS SELECT 'kept' AS word")
    with ThreadPoolExecutor(1) as pool:
        scene.middle.rule(mid.CANCEL, "", request, way=FROM_BULKHEAD)
        with locked(scene.stand, "tickets"):
            acme.send(query("SELECT count(*) FROM tickets; DO 'BEGIN RESET ALL; END'"))
            wait_for_lock(scene.stand, scene.backend_pid())
            cancelled = pool.submit(acme.cancel)
            assert request.reached.wait(10)
            scene.middle.rule(ENTER, "D", entered)
        acme.until_ready()
        assert entered.reached.wait(10)
        request.release()
        cancelled.result()
        entered.release()
    found = collect(acme, query("SELECT word FROM kept"))
    if any(m.type == "E" and m.fields["C"] == "57014" for m in found):  # the cancel, late, is acme's own
        found = collect(acme, query("SELECT word FROM kept"))
    assert rows(found) == [["kept"]]
    acme.close()
    scene.assert_sound()


# ---- what lasts longer than Bulkhead waits: each in front of a Bulkhead of its own, all at the same time ----

def late_answer(scene, exchange, kind):
    late = hold()
    scene.middle.rule(exchange, kind, late)
    found = transaction(scene.client("globex"), "globex")
    late.release()
    return found


def begin_that_is_lost(scene):
    scene.middle.rule(BEGIN, "Q", mid.drop, way=FROM_BULKHEAD)
    return transaction(scene.client("globex"), "globex")


def discard_that_does_not_end(scene):
    with locked(scene.stand, leave_a_table(scene)):
        return transaction(scene.client("globex"), "globex")


def cancel_that_never_arrives(scene):
    request = hold()
    with ThreadPoolExecutor(1) as pool:
        cancelled = held_up_cancel(scene, pool, request)
        found = transaction(scene.client("globex"), "globex")
        cancelled.result()
    request.release()
    return found


def token_that_expires_on_its_way(scene):
    request = hold()
    scene.middle.rule(ENTER, "B", request, way=FROM_BULKHEAD)
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(transaction, scene.client("globex"), "globex")
        assert request.reached.wait(10)
        token = mid.bind_values(scene.middle.sent(ENTER, "B")[-1].body)
        wait_until(lambda: time.time() * 1000 > int(token[3]))
        request.release()
        return found.result()


LASTING = {
    **{f"{exchange} {kind}": lambda scene, exchange=exchange, kind=kind: late_answer(scene, exchange, kind)
       for exchange, kind in ANSWERS},
    **{case.__name__: case for case in (begin_that_is_lost, discard_that_does_not_end, cancel_that_never_arrives,
                                        token_that_expires_on_its_way)},
}


def test_what_lasts_too_long(stand):
    """The backend is given up, and another serves with the tenant's own rows."""

    def watch(case, scene):
        spoilt = scene.backend()
        found = LASTING[case](scene)
        assert served(found, "globex"), (case, found)
        assert spoilt.ended, case
        scene.assert_sound()

    with ExitStack() as stack:
        limits = {"pool": {"server_connect_timeout": "3s"}, "guard": {"token_lifetime": "2s"}}
        scenes = [stack.enter_context(new_scene(stand, **limits)) for _ in LASTING]
        for scene in scenes:
            scene.seal("acme")
        with ThreadPoolExecutor(len(LASTING)) as pool:
            list(pool.map(watch, LASTING, scenes))
