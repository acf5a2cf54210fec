"""Sessions over shared backends at their edges: what goes on while Bulkhead asks, waits, or throws away answers."""

import threading

import pytest
from harness.wire import (bind, close, copy_data, copy_done, errors, execute, parse, query, rows, sync, types)

ONE = {"default_pool_size": 1, "query_wait_timeout": 5}


@pytest.fixture(name="proxy")
def fixture_proxy(stand):
    with stand.proxy(pool=ONE) as proxy:
        yield proxy


def client(proxy, tenant="acme", **keys):
    wire = proxy.wire(tenant, **keys)
    wire.socket.settimeout(10)
    return wire


def batch(wire, *parts):
    wire.send(*parts, sync())
    return wire.until_ready()


@pytest.mark.parametrize("forgets", ["DEALLOCATE ALL", "DISCARD ALL"])
def test_a_client_of_an_uncertain_account_is_read_on(proxy, forgets):
    """A Sync that was sent into a COPY that failed: nobody knows whether it is answered."""
    with client(proxy) as wire:
        wire.query("CREATE TEMP TABLE t (a int)")
        wire.send(parse("COPY t FROM STDIN"), bind(), execute(), sync())
        wire.until("G")
        wire.send(copy_data("bad\n"), copy_done(), sync())
        assert errors(wire.until_ready()) == ["22P02"]
        wire.query(forgets)
        assert rows(wire.query("SELECT 1")) == [["1"]]


def test_a_copy_behind_a_deallocate_is_fed(proxy):
    with client(proxy) as wire:
        wire.query("CREATE TEMP TABLE t (a int)")
        batch(wire, parse("SELECT 1", "x"))
        wire.send(query("DEALLOCATE x; COPY t FROM STDIN"))
        assert types(wire.until("G")) == "CG"
        wire.send(copy_data("1\n"), copy_done())
        assert [m.tag for m in wire.until_ready() if m.type == "C"] == ["COPY 1"]
        assert errors(batch(wire, bind(statement="x"), execute())) == ["26000"]


NOTIFIES = pytest.mark.parametrize("notifies", ["NOTIFY here", "DO $$ BEGIN NOTIFY here; END $$",
                                                "SELECT pg_notify('here', '')"])


@NOTIFIES
def test_notifications_show_who_has_sent_them_itself(stand, notifies):
    """By the pid of BackendKeyData: programs skip what they have sent themselves."""
    with stand.proxy(pool={**ONE, "default_pool_size": 2}) as proxy, client(proxy) as hears:
        hears.query("LISTEN here")
        found = hears.query(notifies)
        found += [] if any(m.type == "A" for m in found) else hears.until("A")
        assert [m.sender for m in found if m.type == "A"] == [hears.pid]
        with stand.admin() as direct:
            direct.execute(notifies)
            assert hears.until("A")[-1].sender == direct.info.backend_pid


@pytest.mark.one_worker("what a session of another worker sends has its backend's pid")
@NOTIFIES
def test_notifications_show_which_other_session_sent_them(stand, notifies):
    with stand.proxy(pool={**ONE, "default_pool_size": 2}) as proxy, client(proxy) as hears, client(proxy) as says:
        hears.query("LISTEN here")
        says.query(notifies)
        assert hears.until("A")[-1].sender == says.pid


def test_notifications_come_while_the_server_is_asked(stand):
    """Each DO is followed by a question about what it left."""
    count = 300
    with stand.proxy(pool={**ONE, "default_pool_size": 2}) as proxy, client(proxy) as hears, client(proxy) as says:
        hears.query("LISTEN here")

        def notify():
            for n in range(count):
                says.query(f"SELECT pg_notify('here', '{n}')")

        thread = threading.Thread(target=notify)
        thread.start()
        heard = []
        while thread.is_alive() or len(heard) < count:
            found = hears.query("DO 'BEGIN END'" if thread.is_alive() else "SELECT 1")
            heard += [m for m in found if m.type == "A"]
            if not thread.is_alive() and found[-1].type == "Z" and not any(m.type == "A" for m in found):
                break
        thread.join()
        heard += [m for m in hears.query("SELECT 1") if m.type == "A"]
        assert len(heard) == count


def test_values_of_sequences_concern_their_tenant_alone(proxy):
    with client(proxy) as acme, client(proxy, "globex") as globex, client(proxy, "globex") as other:
        acme.query("SELECT lastval()")
        acme.close()
        assert not errors(globex.query("UPDATE orders SET item = item WHERE false"))
        assert rows(other.query("SELECT 1")) == [["1"]]


def test_a_long_text_with_a_longer_one_behind_it(proxy):
    texts = ["x" * 100_000, "y" * 3_000_000]
    with client(proxy) as wire:
        wire.send(*(query(f"SELECT length('{text}')") for text in texts))
        for text in texts:
            assert rows(wire.until_ready()) == [[str(len(text))]]


def test_a_late_cancel_does_not_hit_the_question(proxy):
    with client(proxy) as cancels, client(proxy) as other:
        for _ in range(50):
            cancels.send(query("DO 'BEGIN END'"))
            thread = threading.Thread(target=cancels.cancel)
            thread.start()
            cancels.until_ready()
            thread.join()
        assert rows(other.query("SELECT 1")) == [["1"]]


@pytest.mark.parametrize("named", [(parse("SELEC", "n"),), (bind(statement="nosuch"), parse("SELECT 1", "m"))],
                         ids=["that fails", "that is skipped"])
def test_the_unnamed_statement_outlives_a_named_one(proxy, named):
    with client(proxy) as wire:
        batch(wire, parse("SELECT 'unnamed'"))
        assert errors(batch(wire, *named))
        assert rows(batch(wire, bind(), execute())) == [["unnamed"]]


def test_a_long_portal_name_hides_nothing(proxy):
    """PostgreSQL compares the first 63 bytes."""
    name = "p" * 63
    with client(proxy) as one, client(proxy) as other:
        found = batch(one, parse("SET work_mem = '5MB'"), bind(portal=name + "a"), execute(name + "b"))
        assert not errors(found)
        assert rows(other.query("SHOW work_mem")) == [["4MB"]]
        assert rows(one.query("SHOW work_mem")) == [["5MB"]]


def test_statements_are_not_shared_under_other_settings(proxy):
    """A literal becomes a constant when it is parsed."""
    text = ("SELECT count(*) FROM (VALUES ('2024-01-01 03:00+00'::timestamptz)) AS v (t) "
            "WHERE t >= '2024-01-01 05:00'")
    with client(proxy, TimeZone="UTC") as utc, client(proxy, TimeZone="Asia/Tokyo") as tokyo:
        for wire in (utc, tokyo):
            batch(wire, parse(text, "s"))
        for _ in range(3):
            assert rows(batch(utc, bind(statement="s"), execute())) == [["0"]]
            assert rows(batch(tokyo, bind(statement="s"), execute())) == [["1"]]
        utc.query("SET TimeZone = 'Asia/Tokyo'")
        with client(proxy, TimeZone="UTC") as another:
            batch(another, parse(text, "s"))
            batch(utc, bind(statement="s"), execute())
            assert rows(batch(another, bind(statement="s"), execute())) == [["0"]]


def test_a_long_answer_of_bulkheads_own_is_thrown_away(proxy):
    """The error about a statement that cannot be prepared again is longer than what is read at once."""
    with client(proxy) as wire:
        wire.query("CREATE TYPE pg_temp.c AS (a text)")
        batch(wire, parse(f"SELECT '({'x' * 60_000})'::pg_temp.c", "long"))
        wire.query("ALTER TYPE pg_temp.c ALTER ATTRIBUTE a TYPE int")
        found = wire.query("SELECT count(*) >= 0 FROM pg_prepared_statements")
        assert rows(found) == [["t"]] and not errors(found)
        assert types(batch(wire, close("long"))) == "3Z"


@pytest.mark.parametrize("sets", ["SET standard_conforming_strings = off",
                                  "SET LOCAL standard_conforming_strings TO 'false'",
                                  "SELECT set_config('standard_conforming_strings', '0', false)"])
@pytest.mark.parametrize("extended", [False, True])
def test_strings_are_read_in_one_way_only(proxy, sets, extended):
    """A statement that says otherwise fails, as any that fails; what does so unseen ends the session."""
    with client(proxy) as wire:
        def say(text):
            return batch(wire, parse(text), bind(), execute()) if extended else wire.query(text)
        found = say(sets)
        assert errors(found) == ["0A000"] and found[-1].status == "I"
        say("BEGIN")
        say("SELECT 1")
        assert say(sets)[-1].status == "E"
        assert errors(say("SELECT 1")) == ["25P02"]
        say("ROLLBACK")
        assert not errors(say("SET standard_conforming_strings = on"))
        assert rows(say("SHOW standard_conforming_strings")) == [["on"]]
        wire.send(query("DO $$ BEGIN PERFORM set_config('standard_conforming_strings', 'off', false); END $$"))
        assert errors(wire.until_end()) == ["0A000"]
