"""The unnamed statement: a client that comes to a backend where another's stands can in no way execute it."""

import pytest
from harness.wire import bind, describe, errors, execute, parse, rows, sync

ONE_BACKEND = {"pool": {"default_pool_size": 1}}
OF_ANOTHER = "SELECT 'of another client'"


def batch(wire, *parts):
    wire.send(*parts, sync())
    return wire.until_ready()


@pytest.fixture(scope="module")
def proxy(stand):
    with stand.proxy(**ONE_BACKEND) as proxy:
        yield proxy


@pytest.fixture
def client(proxy):
    """A client of one backend, in which the unnamed statement is another's."""
    with proxy.wire("acme") as other, proxy.wire("acme") as client:
        assert rows(batch(other, parse(OF_ANOTHER), bind(), execute()))
        yield client


def assert_there_is_none(found):
    assert errors(found) == ["26000"], found
    assert not rows(found)


def test_it_is_not_there(client):
    assert_there_is_none(batch(client, bind(), execute()))
    assert_there_is_none(batch(client, describe()))


@pytest.mark.parametrize("again", [(bind(), execute()), (describe(), bind(), execute())], ids=["bound", "described"])
@pytest.mark.parametrize("text", ["SELECT 'own'", "SELECT 'own' /* " + "x" * 3000 + " */",
                                  "SELECT 'own', set_config('a.b', 'c', false)"],
                         ids=["plain", "long", "of the session"])
def test_it_is_bound_again(proxy, text, again):
    """PostgreSQL has it until the next Parse or Query of the session, whoever has used the backend since."""
    with proxy.wire("acme") as other, proxy.wire("acme") as client:
        for _ in range(2):
            assert rows(batch(client, parse("SELECT 'before'"), bind(), execute())) == [["before"]]
            assert rows(batch(client, parse(text), bind(), execute()))[0][0] == "own"
            for _ in range(2):
                assert rows(batch(other, parse(OF_ANOTHER), bind(), execute()))
                assert rows(batch(client, *again))[0][0] == "own"
        client.query("SELECT 1")
        assert_there_is_none(batch(client, bind(), execute()))
        assert_there_is_none(batch(client, bind(), execute()))


def test_one_that_failed_is_not_there(proxy):
    with proxy.wire("acme") as other, proxy.wire("acme") as client:
        assert rows(batch(client, parse("SELECT 'own'"), bind(), execute()))
        assert errors(batch(client, parse("SELEC 1"), bind(), execute())) == ["42601"]
        assert rows(batch(other, parse(OF_ANOTHER), bind(), execute()))
        assert_there_is_none(batch(client, bind(), execute()))


def test_a_portals_name_that_does_not_end(client):
    """The name of the statement stands behind it, in bytes that are still to come."""
    name = "p" * 600
    message = bind(portal=name)
    client.send_slowly(message[:5])
    client.send(message[5:530])
    assert client.is_silent()
    client.send(message[530:], execute(name), sync())
    assert_there_is_none(client.until_ready())


@pytest.mark.parametrize("skipped", [
    (parse("SELECT 'own'"),),
    (parse("SELECT 'own'"), bind(), execute()),
    (parse("SELECT 'own'"), describe()),
    (bind(), execute()),
    (describe(),),
], ids=["parse", "parse and bind", "parse and describe", "bind", "describe"])
def test_behind_an_error_it_is_not_parsed(client, skipped):
    """What was sent to make it the client's own was skipped by the server."""
    found = batch(client, bind(statement="nowhere"), *skipped)
    assert errors(found) == ["26000"]
    assert_there_is_none(batch(client, bind(), execute()))


def test_it_outlives_an_error_of_its_own(client):
    """As in PostgreSQL: a statement that failed when it ran can be bound again."""
    assert not errors(batch(client, parse("SELECT 12 / $1::int"), describe()))
    assert errors(batch(client, bind(["0"]), execute()))
    assert rows(batch(client, bind(["4"]), execute())) == [["3"]]


def test_the_batch_behind_a_failed_one_counts(client):
    client.send(bind(statement="nowhere"), parse("SELECT 'skipped'"), sync(),
                parse("SELECT 'own'"), describe(), sync())
    client.until_ready(2)
    assert rows(batch(client, bind(), execute())) == [["own"]]
