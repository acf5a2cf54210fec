"""Malformed bytes before and after a login: a protocol error or the end of the connection, and the next client is served.

Nothing here waits: a hostile client that has sent all it has closes its half of the connection, so that a peer which
still expects more has its answer. What a message means is tested elsewhere.
"""

import re
import socket
import struct
import time
from pathlib import Path

import pytest
from harness.middle import CLIENT, LOGIN, Middle, after, replace
from harness.postgres import HOST
from harness.scene import served, statement
from harness.stand import DATABASE, PRINCIPAL
from harness.wire import (AUTH_SASL, AUTH_SASL_CONTINUE, CODE_CANCEL, CODE_GSSENC, CODE_SSL, SCRAM, VERSION_3_0, ScramClient,
                          Wire, WireError, as_bytes, bind, cancel_request, copy_data, copy_done, copy_fail, cstr, describe,
                          errors, execute, flush, gssenc_request, message, packet, parse, password_message, query, rows,
                          sasl_initial, ssl_request, startup, sync, terminate, types)

KEYS = {"user": f"{PRINCIPAL}.acme", "database": DATABASE}
PATIENCE = 5  # seconds until a peer that says nothing counts as one that hangs
CLOSED, TOLD = [], ["08P01"]  # what a client is told before the connection ends


@pytest.fixture(scope="module")
def proxy(stand):
    """One backend, so that whatever a client leaves in it is met by the next."""
    with stand.proxy(pool={"default_pool_size": 1, "server_login_retry": 0}) as proxy:
        yield proxy


def connect(proxy):
    wire = Wire.connect(HOST, proxy.port)
    wire.socket.settimeout(PATIENCE)
    return wire


def login(proxy, tenant="acme", **more):
    return connect(proxy).login({**KEYS, "user": f"{PRINCIPAL}.{tenant}", **more}, proxy.stand.password)


def assert_served(proxy, tenant="globex"):
    with login(proxy, tenant) as wire:
        assert served(wire.query(statement(tenant)), tenant)
        wire.send(terminate())


def assert_unharmed(proxy):
    """The program lives, and clients of both tenants are served by the one backend."""
    assert proxy.process.poll() is None, proxy.log_text()[-3000:]
    assert_served(proxy, "globex")
    assert_served(proxy, "acme")


def end(wire, *parts):
    """Sends the parts, then nothing more, and gives the errors that come before the connection ends."""
    try:
        wire.send(*parts)
        wire.socket.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # it has ended already
    return errors(wire.until_end())


def length(kind, size, body=b""):
    return kind.encode("latin-1") + struct.pack("!I", size & 0xffffffff) + body


# ---- the first bytes ----

BODY = b"user\0shop.acme\0database\0shop\0\0"
LENGTHS = [0, 1, 3, 4, 7, 10_001, 100_000, 0x7fffffff, 0x80000000, 0x80000008, 0xffffffff, 0xfffffff8]

FIRST = {
    "nothing": (b"", CLOSED),
    "one byte": (b"\0", CLOSED),
    "half a length": (b"\0\0", CLOSED),
    "a length alone": (struct.pack("!I", 8), CLOSED),
    **{f"length {size:#x}": (struct.pack("!II", size, VERSION_3_0) + BODY, CLOSED) for size in LENGTHS},
    "a length longer than what comes": (struct.pack("!II", 10_000, VERSION_3_0) + BODY, CLOSED),
    "zeros": (b"\0" * 100, CLOSED),
    "ones": (b"\xff" * 100, CLOSED),
    "HTTP": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", CLOSED),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", CLOSED),
    "no keys and no end": (packet(VERSION_3_0), TOLD),
    "no keys": (packet(VERSION_3_0, b"\0"), ["28000"]),
    "an empty user": (startup({"user": "", "database": DATABASE}), ["28000"]),
    "no end": (packet(VERSION_3_0, BODY[:-1]), TOLD),
    "a string without an end": (packet(VERSION_3_0, b"user\0shop"), TOLD),
    "a key without a value": (packet(VERSION_3_0, BODY[:-1] + b"options\0"), TOLD),
    "something behind the end": (packet(VERSION_3_0, BODY + b"x\0"), TOLD),
    "two ends": (packet(VERSION_3_0, BODY + b"\0"), TOLD),
    "version 2": (startup(KEYS, 0x20000), ["0A000"]),
    "version 4": (startup(KEYS, 0x40000), ["0A000"]),
    "version 0": (startup(KEYS, 0), ["0A000"]),
    "an unknown code": (packet(1234 << 16 | 5682), ["0A000"]),
    "a user twice": (startup([*KEYS.items(), ("user", "shop.globex")]), TOLD),
    "a database twice": (startup([*KEYS.items(), ("database", DATABASE)]), TOLD),
    "a setting twice": (startup([*KEYS.items(), ("DateStyle", "ISO"), ("datestyle", "German")]), TOLD),
    "a tenant twice": (startup([*KEYS.items(), ("options", "-c bulkhead.tenant=acme"), ("bulkhead.tenant", "acme")]), TOLD),
    "many keys": (startup([*KEYS.items(), *((f"x.k{n}", "") for n in range(300))]), ["54000"]),
    "many options": (startup({**KEYS, "options": " ".join(f"-cx.k{n}=" for n in range(300))}), ["54000"]),
    "a long name": (startup([*KEYS.items(), ("x" * 64, "")]), ["42602"]),
    "a name of other bytes": (startup([*KEYS.items(), (b"\xff\xfe", "")]), ["42602"]),
    "replication": (startup({**KEYS, "replication": "true"}), ["0A000"]),
    "an option with no name and no value": (startup({**KEYS, "options": "-c="}), ["42602"]),
    "an option with no name": (startup({**KEYS, "options": "-c =x"}), ["42602"]),
    "an option with no value": (startup({**KEYS, "options": "-c x"}), ["42601"]),
    "an option that ends": (startup({**KEYS, "options": "-c"}), ["42601"]),
    "dashes": (startup({**KEYS, "options": "--"}), ["42601"]),
    "another switch": (startup({**KEYS, "options": "-r/etc/passwd"}), ["42601"]),
    "an SSLRequest with a body": (packet(CODE_SSL, b"x"), CLOSED),
    "a GSSENCRequest with a body": (packet(CODE_GSSENC, b"\0\0\0\0"), CLOSED),
    "a Query": (query("SELECT 1"), CLOSED),
    "a password": (password_message("x\0"), CLOSED),
    "a Sync": (sync(), CLOSED),
    "a Terminate": (terminate(), CLOSED),
}


@pytest.mark.parametrize("what", FIRST)
def test_malformed_first_bytes(proxy, what):
    data, expected = FIRST[what]
    with connect(proxy) as wire:
        assert end(wire, data) == expected
    assert_served(proxy)


@pytest.mark.parametrize("request_", [ssl_request, gssenc_request], ids=["SSLRequest", "GSSENCRequest"])
def test_bytes_behind_a_request_for_encryption(proxy, request_):
    """They came before our answer, so nobody can say whose they are."""
    for behind in (startup(KEYS), b"\x16\x03\x01\x00\x05", b"x", ssl_request(), gssenc_request(), query("SELECT 1")):
        with connect(proxy) as wire:
            assert end(wire, request_(), behind) == TOLD, behind
    assert_served(proxy)


@pytest.mark.parametrize("request_", [ssl_request, gssenc_request], ids=["SSLRequest", "GSSENCRequest"])
def test_encryption_is_asked_for_twice(proxy, request_):
    with connect(proxy) as wire:
        wire.send(request_())
        assert wire.read_bytes(1) == b"N"
        assert end(wire, request_()) == TOLD
    assert_served(proxy)


@pytest.mark.parametrize("behind", ["a TLS handshake", "nothing"])
def test_encryption_is_refused_and_the_client_goes_on_with_it(proxy, behind):
    with connect(proxy) as wire:
        wire.send(ssl_request())
        assert wire.read_bytes(1) == b"N"
        assert end(wire, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" if behind != "nothing" else b"") == CLOSED
    assert_served(proxy)


def test_a_startup_packet_byte_by_byte(proxy):
    """It is one all the same."""
    with connect(proxy) as wire:
        wire.send_slowly(ssl_request())
        assert wire.read_bytes(1) == b"N"
        wire.send_slowly(startup(KEYS))
        wire._authenticate(AUTH_SASL, wire.read_sasl(AUTH_SASL), KEYS["user"], proxy.stand.password)
        while wire._read_or_fail().body != b"\0\0\0\0":
            pass
        assert served(wire.read_greeting().query(statement("acme")), "acme")


def test_a_startup_packet_cut_at_every_byte(proxy):
    data = startup(KEYS)
    for size in range(len(data)):
        with connect(proxy) as wire:
            assert end(wire, data[:size]) == CLOSED
    assert_served(proxy)


# ---- cancel requests ----

KEY_SIZES = [*range(0, 9), 31, 32, 33, 255, 256, 257, 300]


@pytest.mark.parametrize("size", KEY_SIZES)
def test_a_cancel_request_with_a_key_of_another_size(proxy, size):
    """Nothing is said to it, and nobody is cancelled: the right key stands at its start."""
    with login(proxy) as wire, connect(proxy) as other:
        wire.send(query("SELECT pg_sleep(0.02)"))
        key = (wire.key * 75)[:size] if size != 4 else b"\0\0\0\0"
        assert end(other, cancel_request(wire.pid, key)) == CLOSED
        assert types(wire.until_ready()) == "TDCZ"
    assert_served(proxy)


@pytest.mark.parametrize("size", [0, 7, 8, 11, 12, 15, 17, 0x7fffffff, 0x80000010, 0xffffffff])
def test_a_cancel_request_with_another_length(proxy, size):
    with login(proxy) as wire, connect(proxy) as other:
        wire.send(query("SELECT pg_sleep(0.02)"))
        assert end(other, struct.pack("!III", size, CODE_CANCEL, wire.pid) + wire.key) == CLOSED
        assert types(wire.until_ready()) == "TDCZ"
    assert_served(proxy)


def test_many_cancel_requests_in_pieces(proxy):
    with login(proxy) as wire:
        data = cancel_request(wire.pid, wire.key)
        for size in range(len(data)):
            with connect(proxy) as other:
                assert end(other, data[:size]) == CLOSED
        assert served(wire.query(statement("acme")), "acme")


# ---- SASL ----

class Exchange:
    """A login up to the question for the password, and what a client says then."""

    def __init__(self, proxy, gs2="n,,", password=None):
        self.wire = connect(proxy)
        self.wire.send(startup(KEYS))
        self.wire.read_sasl(AUTH_SASL)
        self.scram = ScramClient(password or proxy.stand.password, gs2=gs2)

    def first(self):
        self.wire.send(sasl_initial(self.scram.first()))
        return self.wire.read_sasl(AUTH_SASL_CONTINUE)


def initial(data, mechanism=SCRAM, size=None):
    return password_message(cstr(mechanism) + struct.pack("!I", (len(data) if size is None else size) & 0xffffffff) + as_bytes(data))


NONCE = "abcdefghijklmnopqrstuvwx"
BARE = f"n=,r={NONCE}"

INITIAL = {
    "nothing": password_message(b""),
    "no NUL": password_message(SCRAM.encode()),
    "no length": password_message(cstr(SCRAM)),
    "half a length": password_message(cstr(SCRAM) + b"\0\0"),
    "another mechanism": initial("n,," + BARE, "PLAIN"),
    "channel binding": initial("p=tls-server-end-point,," + BARE, SCRAM + "-PLUS"),
    "no mechanism": initial("n,," + BARE, ""),
    "a mechanism in lower case": initial("n,," + BARE, SCRAM.lower()),
    "no data": initial("", size=-1),
    "empty data": initial(""),
    "a length too small": initial("n,," + BARE, size=3),
    "a length too large": initial("n,," + BARE, size=1000),
    "a huge length": initial("n,," + BARE, size=0x7fffffff),
    "a negative length": initial("n,," + BARE, size=0x80000000),
    "the binding flag p": initial("p=tls-server-end-point,," + BARE),
    "the binding flag q": initial("q,," + BARE),
    "no flag": initial(BARE),
    "an authorization": initial("n,a=postgres," + BARE),
    "a mandatory extension": initial("n,,m=x," + BARE),
    "no nonce": initial("n,,n="),
    "an empty nonce": initial("n,,n=,r="),
    "a nonce with a NUL": initial(b"n,,n=,r=abc\0def"),
    "a nonce with other bytes": initial(b"n,,n=,r=abc\x80def"),
    "a nonce too long": initial(f"n,,n=,r={'x' * 257}"),
    "a message of the greatest size": initial(f"n,,n={'x' * (1024 - 10)},r={NONCE}"),
    "an oversized message": initial(f"n,,n=,r={'x' * 4096}"),
    "a final message": password_message(f"c=biws,r={NONCE},p={'A' * 43}="),
    "length 0": length("p", 0),
    "length 3": length("p", 3),
    "a huge message": length("p", 0x7fffffff),
    "a negative message": length("p", 0x80000000),
    "a message of -1": length("p", -1),
    "a Query": query("SELECT 1"),
    "a Sync": sync(),
    "a Terminate": terminate(),
    "a StartupMessage": startup(KEYS),
    "an SSLRequest": ssl_request(),
    "zeros": b"\0" * 50,
}


@pytest.mark.parametrize("what", INITIAL)
def test_a_malformed_sasl_initial_response(proxy, what):
    exchange = Exchange(proxy)
    with exchange.wire as wire:
        assert end(wire, INITIAL[what]) == TOLD
    assert_served(proxy)


def proof_of(final):
    return final.decode().split(",p=")[1]


# What becomes of a client-final that would be right: what is sent in its place, and what is answered.
FINAL = {
    "no proof": (lambda final, _: final.split(b",p=")[0], "08P01"),
    "an empty proof": (lambda final, _: final.split(b",p=")[0] + b",p=", "08P01"),
    "a proof that is no base64": (lambda final, _: final[:-8] + b"!!!!!!!=", "08P01"),
    "a proof with another end": (lambda final, _: final[:-1] + b"A", "08P01"),
    "a proof too short": (lambda final, _: final.split(b",p=")[0] + b",p=AAAA", "08P01"),
    "a proof twice": (lambda final, _: final + b",p=" + proof_of(final).encode(), "08P01"),
    "a wrong proof": (lambda final, _: final.split(b",p=")[0] + b",p=" + b"A" * 43 + b"=", "28P01"),
    "a nonce of one's own": (lambda final, _: final.replace(b"r=", b"r=x", 1), "08P01"),
    "a nonce cut short": (lambda final, scram: re.sub(rb"r=[^,]*", b"r=" + scram.nonce.encode(), final), "08P01"),
    "the header of y": (lambda final, _: final.replace(b"c=biws", b"c=eSws"), "08P01"),
    "no header": (lambda final, _: final.replace(b"c=biws,", b""), "08P01"),
    "a header that is no base64": (lambda final, _: final.replace(b"c=biws", b"c=%%%%"), "08P01"),
    "a mandatory extension": (lambda final, _: b"m=x," + final, "08P01"),
    "a NUL in it": (lambda final, _: final.replace(b",p=", b"\0,p="), "08P01"),
    "a NUL behind it": (lambda final, _: final + b"\0", "08P01"),
    "nothing": (lambda final, _: b"", "08P01"),
    "the first message again": (lambda _, scram: scram.first(), "08P01"),
    "an initial response": (lambda final, _: initial(final)[5:], "08P01"),
    "too much": (lambda final, _: final + b"x" * 2000, "08P01"),
}


@pytest.mark.parametrize("what", FINAL)
def test_a_malformed_sasl_response(proxy, what):
    change, expected = FINAL[what]
    exchange = Exchange(proxy)
    with exchange.wire as wire:
        final = exchange.scram.final(exchange.first())
        assert end(wire, password_message(change(final, exchange.scram))) == [expected]
    assert_served(proxy)


def test_something_else_than_a_sasl_response(proxy):
    for then in (query("SELECT 1"), startup(KEYS), ssl_request(), terminate(), length("p", -1)):
        exchange = Exchange(proxy)
        with exchange.wire as wire:
            exchange.first()
            assert end(wire, then) == TOLD, then
    assert_served(proxy)


def test_a_final_message_before_the_first(proxy):
    exchange = Exchange(proxy)
    with exchange.wire as wire:
        final = exchange.scram.final(f"r={exchange.scram.nonce}x,s=QUFBQUFBQUFBQUFBQUFBQQ==,i=4096".encode())
        assert end(wire, initial(final)) == TOLD
    assert_served(proxy)


@pytest.mark.one_worker("a client that ends while it waits for a backend of another worker is told nothing")
def test_a_sasl_response_behind_the_end_of_the_exchange(proxy):
    """The password is right; what comes behind it is a message of an unknown type."""
    exchange = Exchange(proxy)
    with exchange.wire as wire:
        final = password_message(exchange.scram.final(exchange.first()))
        assert end(wire, final, final)[-1:] == TOLD
    assert_served(proxy)


def test_the_binding_flag_y(proxy):
    """The client could bind to a channel and believes that we cannot, which is true."""
    exchange = Exchange(proxy, gs2="y,,")
    with exchange.wire as wire:
        wire.send(password_message(exchange.scram.final(exchange.first())))
        assert served(wire.read_greeting().query(statement("acme")), "acme")


def test_a_password_exchange_byte_by_byte(proxy):
    exchange = Exchange(proxy)
    with exchange.wire as wire:
        wire.send_slowly(sasl_initial(exchange.scram.first()))
        wire.send_slowly(password_message(exchange.scram.final(wire.read_sasl(AUTH_SASL_CONTINUE))))
        assert served(wire.read_greeting().query(statement("acme")), "acme")


# ---- after the login: what is no message ----

KNOWN = set("QPBDECSHFdcfX")

BROKEN = {
    "an unknown type": (length("?", 4), TOLD),
    "a password": (password_message("x\0"), TOLD),
    "a message of the server's": (message("Z", b"I"), TOLD),
    **{f"{kind} with length {size}": (length(kind, size), TOLD) for kind in "QX" for size in (0, 3)},
    **{f"{kind} with length {size:#x}": (length(kind, size, b"x" * 100), ["54000"]) for kind in "QP" for size in (0x7fffffff, 0xffffffff)},
    "a StartupMessage": (startup(KEYS), TOLD),
    "an SSLRequest": (ssl_request(), TOLD),
    "a CancelRequest": (cancel_request(1, b"\0\0\0\0"), TOLD),
    "a Sync with a body": (message("S", b"x"), TOLD),
    "a Flush with a body": (message("H", b"SELECT 1\0"), TOLD),
    "half a header": (b"Q\0\0", CLOSED),
    "half a Query": (query("SELECT 1")[:-4], CLOSED),
    "half a long Query": (query("SELECT '" + "x" * 100_000 + "'")[:50_000], CLOSED),
    "half a Parse": (parse("SELECT 1")[:-6], CLOSED),
}


@pytest.mark.one_worker("a client that ends while it waits for a backend of another worker is told nothing")
@pytest.mark.parametrize("what", BROKEN)
@pytest.mark.parametrize("where", ["without a backend", "in a transaction"])
def test_bytes_that_are_no_message(proxy, where, what):
    data, expected = BROKEN[what]
    with login(proxy) as wire:
        if where == "in a transaction":
            wire.query("BEGIN")
            assert served(wire.query(statement("acme")), "acme")
        assert end(wire, data) == expected
    assert_served(proxy)


@pytest.mark.one_worker("a client that ends while it waits for a backend of another worker is told nothing")
def test_unknown_types(proxy):
    for kind in sorted({chr(n) for n in range(0, 256, 3)} - KNOWN):
        with login(proxy) as wire:
            assert end(wire, length(kind, 4)) == TOLD, kind
    assert_served(proxy)


@pytest.mark.parametrize("kind", "QPBDECFdf")
def test_lengths_that_are_none(proxy, kind):
    for size in (0, 1, 3, -1, -5, 0x80000000, 0x80000005):
        with login(proxy) as wire:
            assert end(wire, length(kind, size, b"x" * 100)) in (TOLD, ["54000"]), size
    assert_served(proxy)


# ---- after the login: messages that PostgreSQL itself must refuse ----

REFUSED = {
    "a Query without an end": message("Q", b"SELECT 1"),
    "an empty Query": message("Q"),
    "a Query with a NUL": message("Q", b"SELECT 1\0; SELECT 2\0"),
    "a Query of NULs": message("Q", b"\0\0\0"),
    "a held BEGIN with a NUL": message("Q", b"BEGIN\0; SELECT 1\0"),
    "a held BEGIN without an end": message("Q", b"BEGIN"),
    "a Query of other bytes": message("Q", b"SELECT '\xff\xfe'\0"),
    "an empty Parse": message("P"),
    "a Parse without an end": message("P", b"\0SELECT 1"),
    "a Parse without types": message("P", b"\0SELECT 1\0"),
    "a Parse with a NUL": message("P", b"\0SELECT 1\0; SELECT 2\0\0\0"),
    "a Parse with too many types": message("P", b"\0SELECT 1\0\xff\xff\0\0\0\x17"),
    "a Parse with bytes behind it": message("P", b"\0SELECT 1\0\0\0x"),
    "a Parse of BEGIN with bytes behind it": message("P", b"\0BEGIN\0\0\0x"),
    "a Parse of BEGIN without types": message("P", b"\0BEGIN\0"),
    "an empty Bind": message("B"),
    "a Bind without counts": message("B", b"\0\0"),
    "a Bind with half a count": message("B", b"\0\0\0"),
    "a Bind with many formats": message("B", b"\0\0\xff\xff\0\1"),
    "a Bind with formats for nothing": message("B", b"\0\0\0\2\0\0\0\0\0\0\0\0"),
    "a Bind with many values": message("B", b"\0\0\0\0\xff\xff\0\0\0\1x"),
    "a Bind with too few values": message("B", b"\0\0\0\0\0\1\0\0\0\1x\0\0"),
    "a Bind with a value too long": message("B", b"\0\0\0\0\0\1\x7f\xff\xff\xffx\0\0"),
    "a Bind with a negative value": message("B", b"\0\0\0\0\0\1\x80\0\0\0x\0\0"),
    "a Bind with a result format too many": message("B", b"\0\0\0\0\0\0\0\2\0\0\0\1"),
    "a Bind with an unknown format": message("B", b"\0\0\0\0\0\0\0\1\0\7"),
    "a Bind with bytes behind it": bind()[:1] + struct.pack("!I", 4 + 9) + bind()[5:] + b"x",
    "a Bind of no statement": bind(statement="nosuch"),
    "an empty Describe": message("D"),
    "a Describe of an unknown kind": describe(kind="X"),
    "a Describe without a name": message("D", b"S"),
    "a Describe without an end": message("D", b"Sx"),
    "a Describe with bytes behind it": message("D", b"S\0x"),
    "a Describe of no portal": describe("nosuch", "P"),
    "an empty Close": message("C"),
    "a Close of an unknown kind": message("C", b"X\0"),
    "a Close of kind NUL": message("C", b"\0\0"),
    "a Close without a name": message("C", b"S"),
    "a Close with bytes behind it": message("C", b"S\0x"),
    "an empty Execute": message("E"),
    "an Execute without a count": message("E", b"\0"),
    "an Execute with half a count": message("E", b"\0\0\0"),
    "an Execute with bytes behind it": message("E", b"\0\0\0\0\0x"),
    "an Execute of no portal": execute("nosuch"),
    "an empty FunctionCall": message("F"),
    "a FunctionCall of no function": message("F", b"\0\0\0\1\0\0\0\0\0\0"),
    "a FunctionCall with many values": message("F", b"\0\0\0\1\0\0\xff\xff"),
}


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("where", ["without a backend", "behind a Parse", "in a transaction"])
def test_messages_that_postgresql_refuses(proxy, where, what):
    """The session goes on as it would there, and what is behind the Sync is answered."""
    data = REFUSED[what]
    with login(proxy) as wire:
        if where == "in a transaction":
            assert types(wire.query("BEGIN")) == "CZ"
        if where == "behind a Parse":
            data = parse("SELECT $1::int") + data
        wire.send(data, sync(), query("ROLLBACK"), query(statement("acme")))
        found = wire.until("Z")
        while not served(found, "acme"):  # a Query's error has a ReadyForQuery of its own
            assert "D" not in types(found), found
            found = wire.until("Z")
    assert_served(proxy)


@pytest.mark.parametrize("what", REFUSED)
def test_what_postgresql_says_to_them(stand, proxy, what):
    """Word for word what it says to a client of its own."""
    said = []
    for wire in (Wire.connect(stand.postgres.socket_dir, stand.postgres.port).login({"user": "postgres", "database": DATABASE}),
                 login(proxy)):
        with wire:
            wire.send(REFUSED[what], sync(), query("SELECT 'end'"))
            found = wire.until("Z")
            while rows(found)[-1:] != [["end"]]:
                found += wire.until("Z")
            said.append([m if m.type not in "EN" else (m.fields["C"], m.fields["M"]) for m in found])
    assert said[0] == said[1]


def test_messages_without_a_place_are_ignored(proxy):
    stray = [copy_data("1\n"), copy_done(), copy_fail("no"), copy_data("x" * 100_000), flush(), message("f"), message("d")]
    with login(proxy) as wire:
        for begin in ("SELECT 1", "BEGIN"):
            wire.query(begin)
            for data in stray:
                wire.send(data, query(statement("acme")))
                assert served(wire.until_ready(), "acme"), data
    assert_served(proxy)


@pytest.mark.parametrize("left", [1, 8, 40, 400])
def test_the_rest_of_a_message_with_a_malformed_one_behind_it(proxy, left):
    """The backend never gets that rest: the next client's first bytes must not be taken for it, so it is closed."""
    closed = "its client left in the middle"
    before = proxy.log_text().count(closed)
    with login(proxy) as wire:
        wire.send(query(statement("acme")), length("d", 4 + 8 + left, b"x" * 8))
        assert served(wire.until_ready(), "acme")
        assert end(wire, b"y" * left, length("Q", 0)) == TOLD
    assert proxy.log_text().count(closed) == before + 1
    assert_unharmed(proxy)


def test_a_session_byte_by_byte(proxy):
    data = [query("BEGIN"), parse(statement("acme")), bind(), describe(kind="P"), execute(), sync(), query("COMMIT")]
    with login(proxy) as wire:
        wire.send_slowly(b"".join(data))
        assert types(wire.until_ready(3)) == "CZ" + "12T" + "D" * 20 + "CZ" + "CZ"
    assert_served(proxy)


# ---- holes that poolers have had ----

def spent(proxy):
    """Seconds of CPU that the program has used."""
    fields = Path(f"/proc/{proxy.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def assert_rests(proxy):
    """It does not go round in circles."""
    before = spent(proxy)
    time.sleep(0.1)
    assert spent(proxy) - before < 0.05


def test_bytes_behind_an_ssl_request_are_not_taken_for_the_clients(proxy):
    """CVE-2021-3935: what a man in the middle sends behind the SSLRequest was taken as if it had come through TLS."""
    with connect(proxy) as wire:
        wire.send(ssl_request(), startup({**KEYS, "user": f"{PRINCIPAL}.globex"}), query("SELECT item FROM orders"))
        assert errors(wire.until_end()) == TOLD
    assert_unharmed(proxy)


def test_a_principal_that_is_no_longer_valid(stand, proxy):
    """CVE-2025-2291: VALID UNTIL was left out of account."""
    stand.principal("yesterdays")
    with stand.admin() as admin:
        admin.execute("UPDATE bulkhead_control.principal SET valid_until = now() - interval '1 day' WHERE name = 'yesterdays'")
    with connect(proxy) as wire, pytest.raises(WireError) as refused:
        wire.login({**KEYS, "user": "yesterdays.acme"}, stand.password)
    assert refused.value.why == ("28P01", "BH-ID-PASSWORD")
    assert_unharmed(proxy)


@pytest.fixture
def planted(stand):
    """A schema with objects of the names that Bulkhead's own statements use, each of which leaves a trace."""
    functions = ["enter(text, text, text, text, text)", "self_check()", "tenant_id()", "current_query()", "set_config(text, text, boolean)",
                 "current_setting(text)", "current_setting(text, boolean)", "sha256(bytea)", "pg_backend_pid()", "clock_timestamp()"]
    with stand.admin() as admin:
        admin.execute("CREATE SCHEMA planted; CREATE SEQUENCE planted.trace; GRANT ALL ON SCHEMA planted TO PUBLIC; "
                      "GRANT ALL ON SEQUENCE planted.trace TO PUBLIC")
        for function in functions:
            admin.execute(f"CREATE FUNCTION planted.{function} RETURNS text LANGUAGE sql VOLATILE "
                          "AS $$ SELECT nextval('planted.trace')::text $$")
        admin.execute("CREATE FUNCTION planted.same(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT nextval('planted.trace') > 0 $$; "
                      "CREATE OPERATOR planted.= (LEFTARG = text, RIGHTARG = text, FUNCTION = planted.same); "
                      "CREATE TABLE planted.key (kid text, bytes bytea); CREATE VIEW planted.orders AS SELECT 'planted' AS item; "
                      "GRANT ALL ON ALL TABLES IN SCHEMA planted TO PUBLIC")
        yield lambda: admin.execute("SELECT is_called FROM planted.trace").fetchone()[0]
        admin.execute("DROP SCHEMA planted CASCADE")


def test_a_clients_search_path_stays_out_of_bulkheads_own_statements(proxy, planted):
    """CVE-2025-12819: the search_path of a StartupMessage was applied to the pooler's own look-ups."""
    with login(proxy, "acme", search_path="planted, pg_catalog, public") as acme, login(proxy, "globex") as globex:
        for _ in range(2):
            assert rows(acme.query("SELECT item FROM orders")) == [["planted"]]
            assert served(globex.query(statement("globex")), "globex")
        assert errors(acme.query("RESET ALL")) == []
        assert rows(acme.query("SHOW search_path")) == [["planted, pg_catalog, public"]]
        assert len(rows(acme.query("SELECT item FROM public.orders"))) == 20
    assert not planted()
    assert_unharmed(proxy)


@pytest.mark.parametrize("size", [0xffffffff, 0xfffffffc, 0x80000000, 0x7fffffff, 0x7ffffffb, 0x40000000, 3, 0])
def test_a_length_that_overflows_before_the_login(proxy, size):
    """CVE-2026-6664: a length of a message before the login, added to, became a small one."""
    for start, kind in ((b"", ""), (ssl_request(), ""), (startup(KEYS), "p")):
        with connect(proxy) as wire:
            wire.send(start)
            if start:
                wire.read_bytes(1)
            assert end(wire, length(kind, size, struct.pack("!I", VERSION_3_0) + BODY)) in (CLOSED, TOLD)
    assert_rests(proxy)
    assert_unharmed(proxy)


@pytest.fixture(scope="module")
def middle(stand):
    with Middle(stand.postgres.port) as middle:
        yield middle


@pytest.fixture(scope="module")
def far_proxy(stand, middle):
    """Its server is behind a man in the middle."""
    with stand.proxy(cluster__default=middle.cluster, pool={"default_pool_size": 1, "server_login_retry": 0}) as proxy:
        yield proxy


def spoil(middle, exchange, kind, action, nth=1):
    """Lets the next backend be a new one, and one of its messages be spoilt; returns the rule."""
    middle.clear()
    middle.end_all()
    return middle.rule(exchange, kind, action, nth=nth)


def assert_survives(proxy, rule):
    """A client is told that no backend could be had, at once, and the next one is served."""
    began = time.monotonic()
    with pytest.raises(WireError) as refused:
        with login(proxy, "globex", application_name=str(time.monotonic()) + "\x7f"):
            pass
    assert refused.value.sqlstate == "08001"
    assert time.monotonic() - began < PATIENCE
    assert rule.fired.is_set()
    assert_unharmed(proxy)


def sasl(request, data):
    return message("R", struct.pack("!I", request) + as_bytes(data))


FIRSTS = {
    "nothing": "",
    "a nonce without an end": "r=" + "x" * 30_000,
    "another nonce": "r=abc,s=QUFBQUFBQUFBQUFBQUFBQQ==,i=4096",
    "a salt too long": f"r=%s,s={'QUFB' * 7000},i=4096",
    "an empty salt": "r=%s,s=,i=4096",
    "a salt that is no base64": "r=%s,s=!!!!,i=4096",
    "a mandatory extension": "m=x,r=%s,s=QUFB,i=4096",
    "a nonce too long": f"r=%s{'x' * 2000},s=QUFB,i=4096",
    "no iterations": "r=%s,s=QUFB",
}


def with_nonce(text):
    """The server's first message in the place of the real one, with the nonce of the real one."""
    async def action(_link, data):
        nonce = data[9:].decode().split(",")[0][2:]
        return sasl(AUTH_SASL_CONTINUE, text.replace("%s", nonce))
    return action


@pytest.mark.parametrize("what", FIRSTS)
def test_a_scram_message_of_a_hostile_server(far_proxy, middle, what):
    """CVE-2026-6665: what a server said in SCRAM was written into a buffer of one size."""
    assert_survives(far_proxy, spoil(middle, LOGIN, "R", with_nonce(FIRSTS[what]), nth=2))


@pytest.mark.parametrize("iterations", ["2147483647", "99999999999999999999", "-1", "0", "1000001"])
def test_scram_iterations_without_bound(far_proxy, middle, iterations):
    """CVE-2026-6669: a server could ask for two thousand million rounds of hashing."""
    assert_survives(far_proxy, spoil(middle, LOGIN, "R", with_nonce(f"r=%s,s=QUFBQUFBQUFBQUFBQUFBQQ==,i={iterations}"), nth=2))


ERRORS = {
    "no SQLSTATE": b"SERROR\0VERROR\0Mno code\0\0",
    "no field": b"\0",
    "nothing": b"",
    "no end": b"SERROR\0C42",
    "no end of the fields": b"SERROR\0VERROR\0Mno code\0",
    "only a SQLSTATE": b"C42501\0\0",
    "an empty SQLSTATE": b"SERROR\0C\0M\0\0",
}


@pytest.mark.parametrize("what", ERRORS)
def test_an_error_without_a_sqlstate_at_login(far_proxy, middle, what):
    """CVE-2026-6666: the missing field was read all the same."""
    assert_survives(far_proxy, spoil(middle, LOGIN, "R", replace(message("E", ERRORS[what]))))


@pytest.mark.parametrize("what", ERRORS)
def test_an_error_without_a_sqlstate_in_a_session(far_proxy, middle, what):
    """CVE-2026-6666: the client gets it as it is, whatever it is."""
    middle.clear()
    with login(far_proxy) as wire:
        middle.rule(CLIENT, "D", replace(message("E", ERRORS[what])))
        wire.send(query("SELECT 1"))
        kinds = [(m.type, m.body) for m in wire.until_ready() if m.type == "E"]
        assert kinds == [("E", ERRORS[what])]
        assert served(wire.query(statement("acme")), "acme")
    assert_unharmed(far_proxy)


FLOODS = {
    "a long parameter": message("S", b"x\0" + b"y" * 9000 + b"\0"),
    "a parameter without an end": message("S", b"no end"),
    "an empty parameter": message("S"),
    "many parameters": b"".join(message("S", cstr(f"p{n}") + b"x\0") for n in range(100)),
    "many notices": message("N", b"Mno\0\0") * 1000,
    "a long notice": message("N", b"M" + b"x" * 40_000 + b"\0\0"),
    **{f"a length of {size:#x}": length("S", size) for size in (-1, 0, 3, 0x80000000)},
    "a short key": message("K", b"\0" * 4),
    "a long key": message("K", b"\0" * 300),
}


@pytest.mark.parametrize("what", FLOODS)
def test_a_flood_of_a_hostile_server_at_login(far_proxy, middle, what):
    """Bounded, whatever it is: most are refused, and what is harmless does no harm."""
    rule = spoil(middle, LOGIN, "K", after(FLOODS[what]))
    try:
        with login(far_proxy, "globex", application_name="\x7f" + str(time.monotonic())):
            pass
    except WireError as refused:
        assert refused.sqlstate == "08001"
    assert rule.fired.is_set()
    middle.clear()
    assert_unharmed(far_proxy)


def test_a_second_startup_message_in_the_middle_of_scram(proxy):
    """CVE-2026-107350: it replaced the login that was being proved."""
    for then in (startup(KEYS), startup({**KEYS, "user": f"{PRINCIPAL}.globex"}), packet(VERSION_3_0, b"\0")):
        exchange = Exchange(proxy)
        with exchange.wire as wire:
            final = exchange.scram.final(exchange.first())
            assert end(wire, then, password_message(final)) == TOLD
    assert_unharmed(proxy)


@pytest.mark.parametrize("options", ["-c=", "-c =", "-c", "--=", "-c= -c=", "-c=x", "-c\\=", " -c= "])
def test_an_empty_option(proxy, options):
    """CVE-2026-107349: the reader of options went round in circles."""
    with connect(proxy) as wire:
        sqlstate, = end(wire, startup({**KEYS, "options": options}))
        assert sqlstate in ("42601", "42602")
    assert_rests(proxy)
    assert_unharmed(proxy)


@pytest.mark.parametrize("kind", "QPBDECdfF")
def test_a_length_beyond_two_gigabytes(proxy, kind):
    """CVE-2026-107348: a length that is negative as a signed number was waited for for ever, in circles."""
    for size in (0x80000000, 0xffffffff, 0xfffffff0):
        with login(proxy) as wire:
            assert end(wire, length(kind, size, b"\0" * 70_000)) == ["54000"]
    assert_rests(proxy)
    assert_unharmed(proxy)
