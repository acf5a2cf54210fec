"""A minute of what `make soak-sqlsmith` does for an hour; see run() in tests/soak/smith.py for what is asserted."""

import random

import pytest
from harness.tap import Search, Tap, canaries
from soak.smith import run

WORD = "pelikanblau"
STREAM = b"D\0\0\0\x20\0\x01 before %b behind"

# SQL that makes something of $1, and what a careless search would miss.
BYTES = "convert_to({}, 'UTF8')"
SEEN = ["upper({})", "reverse({})", "reverse(upper({}))", BYTES, f"encode({BYTES}, 'hex')",
        f"reverse(encode({BYTES}, 'hex'))", f"encode({BYTES}, 'base64')", f"encode('a' || {BYTES}, 'base64')",
        f"encode('ab' || {BYTES} || 'c', 'base64')", "json_build_object('a', ARRAY[{}])", "repeat('x', 70000) || {}"]


@pytest.mark.parametrize("at", range(len(STREAM) + len(WORD)))
def test_a_word_across_the_border_of_two_reads(at):
    search, stream = Search(canaries([WORD, "another"])), STREAM % WORD.upper().encode()
    assert search.feed(stream[:at]) | search.feed(stream[at:]) == {WORD}


def test_a_word_that_comes_byte_by_byte():
    search, stream = Search(canaries([WORD])), STREAM % WORD[::-1].encode()
    assert [found for at in range(len(stream)) if (found := search.feed(stream[at:at + 1]))] == [{WORD}]


@pytest.mark.parametrize("expression", SEEN)
def test_the_tap_sees_a_word(stand, expression):
    """As far as the tap can tell, the tenant's own word is another's."""
    with stand.proxy() as proxy:
        tap = Tap(proxy.port, canaries(["globex 7"]))
        proxy.port = tap.port
        with proxy.connect("globex", sslmode="disable", gssencmode="disable") as connection:
            connection.execute("SELECT item FROM orders WHERE id <> 7")
            assert tap.found == []
            connection.execute(f"SELECT {expression.format('item')} FROM orders WHERE id = 7")
        tap.close()
    assert len(tap.found) == 1


def test_errors_are_searched_too(stand):
    with stand.proxy() as proxy:
        tap = Tap(proxy.port, canaries(["globex 7"]))
        proxy.port = tap.port
        with proxy.connect("globex", sslmode="disable", gssencmode="disable") as connection:
            with pytest.raises(Exception, match="globex 7"):
                connection.execute("SELECT item::integer FROM orders WHERE id = 7")
        tap.close()
    assert len(tap.found) == 1
    assert [answer for line in tap.lines for answer in line.answers] == [("22P02", None)]


def test_a_minute_of_random_statements(template):
    seed = random.randrange(1 << 31)
    print(f"seed {seed}")
    rounds = run(template, 60, seed)
    assert {(played.mode, played.everything) for played in rounds} == {
        (mode, everything) for mode in ("enforce", "off") for everything in (True, False)}
