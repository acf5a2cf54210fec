"""TLS with clients: modes, certificates, channel binding, and what stands between a stranger and a tenant."""

import ssl
import struct
import subprocess
import threading
import time

import psycopg
import pytest

from harness.certificates import openssl
from harness.postgres import HOST
from harness.probe import metrics, probed
from harness.stand import DATABASE, PRINCIPAL, ROWS
from harness.tls import (ASKED, MODES, PLUS, SUFFIX, begin, context, end_point, listen, make_pki, mechanisms, scram,
                         secure)
from harness.wait import wait_for
from harness.wire import (SCRAM, Wire, WireError, cancel_request, errors, gssenc_request, query, rows, ssl_request,
                          startup, why)

KEYS = {"user": f"{PRINCIPAL}.acme", "database": DATABASE}
COUNT = "SELECT count(*) FROM orders"


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def proxy(stand, pki):
    with stand.proxy(listen__default=listen(pki.server), listen__trusted={}) as proxy:
        yield proxy


def is_encrypted(done):
    """What psql says about the connection; None when there was none."""
    if done.returncode != 0:
        return None
    assert f"\n    {ROWS}\n" in done.stdout
    return "SSL connection" in done.stdout


def psql(proxy, **more):
    return proxy.psql("acme", "-c", "\\conninfo", "-c", COUNT, **{"gssencmode": "disable", **more})


def error_of(wire):
    """Of a connection that is refused: SQLSTATE and reason."""
    found = wire.until_end()
    assert [m.type for m in found] == ["E"], found
    return why(found[0].fields)


# ---- modes ----

BINDINGS = ["disable", "prefer", "require"]


@pytest.mark.parametrize("mode", ASKED)
def test_every_mode_and_binding_of_psql_against_every_mode_of_the_listener(stand, pki, mode):
    """A channel that must be bound is one of TLS: what would be plain is refused, by psql itself."""
    with stand.proxy(listen__default=listen(pki.server, mode, ca_file=pki.ca.cert)) as proxy:
        found = {binding: [is_encrypted(psql(proxy, sslmode=asked, channel_binding=binding, sslrootcert=pki.ca.cert,
                                             **certificate_of(pki.shop))) for asked in MODES]
                 for binding in BINDINGS}
    bound = [encrypted or None for encrypted in ASKED[mode]]
    assert found == {"disable": ASKED[mode], "prefer": ASKED[mode], "require": bound}


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_no_mode_of_psql_does_without_the_certificate(stand, pki, mode):
    with stand.proxy(listen__default=listen(pki.server, mode, ca_file=pki.ca.cert)) as proxy:
        assert not any(is_encrypted(psql(proxy, sslmode=asked, sslrootcert=pki.ca.cert, sslcert="/nowhere")) is not None
                       for asked in MODES)


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_a_startup_packet_in_the_clear_is_refused(stand, pki, mode):
    with stand.proxy(listen__default=listen(pki.server, mode, ca_file=pki.ca.cert)) as proxy:
        for ask in ([], [gssenc_request()]):
            with Wire.connect(HOST, proxy.port) as wire:
                for request in ask:
                    wire.send(request)
                    assert wire.read_bytes(1) == b"N"
                wire.send(startup(KEYS))
                assert error_of(wire) == ("28000", "BH-NET-TLS-REQUIRED")


def test_unix_sockets_have_no_tls_and_need_none(stand, pki):
    with stand.proxy(listen__default=listen(pki.server, "verify-full", ca_file=pki.ca.cert)) as proxy:
        with Wire.connect(str(proxy.socket_dir), proxy.port) as wire:
            wire.send(ssl_request())
            assert wire.read_bytes(1) == b"N"
            wire.login(KEYS, stand.password)
            assert rows(wire.query(COUNT)) == [[str(ROWS)]]
        with Wire.connect(str(proxy.socket_dir), proxy.port) as wire:
            wire.send(b"\x16\x03\x01\x00\x05hello")
            assert wire.until_end() == []


def test_psycopg(proxy, pki):
    with proxy.connect("acme", sslmode="verify-full", sslrootcert=str(pki.ca.cert),
                       channel_binding="require") as connection:
        assert connection.pgconn.ssl_in_use
        assert connection.execute(COUNT).fetchone() == (ROWS,)


# ---- certificates of the server's side ----

@pytest.mark.parametrize("name", ["expired_server", "own_server", "wrong_server", "revoked_server"])
def test_a_client_that_verifies_refuses_what_is_wrong(stand, pki, name):
    with stand.proxy(listen__default=listen(getattr(pki, name))) as proxy:
        done = psql(proxy, sslmode="verify-full", sslrootcert=pki.ca.cert, sslcrl=pki.ca.crl)
        assert is_encrypted(done) is None and "certificate" in done.stderr
        assert is_encrypted(psql(proxy, sslmode="require", sslrootcert="/nowhere"))
        assert bool(proxy.events("tls.certificate")) == (name == "expired_server")


# ---- certificates of clients ----

def certificate_of(certificate):
    return {"sslcert": certificate.cert, "sslkey": certificate.key}


def verifying(pki, mode, **more):
    return listen(pki.server, mode, ca_file=pki.ca.cert, crl_file=pki.ca.crl, **more)


def test_verify_ca_takes_certificates_of_the_authority(stand, pki):
    with stand.proxy(listen__default=verifying(pki, "verify-ca"), **probed()) as proxy:
        for name in ("shop", "nobody"):
            assert is_encrypted(psql(proxy, sslmode="require", **certificate_of(getattr(pki, name))))
        for name, said in {"expired": "expired", "revoked": "revoked", "foreign": "unknown ca",
                           "own": "unknown ca"}.items():
            done = psql(proxy, sslmode="require", **certificate_of(getattr(pki, name)))
            assert is_encrypted(done) is None and said in done.stderr, done.stderr
        wait_for(lambda: len(proxy.events("client.tls_failed")) == 4, "the log has said why, each time")
        wait_for(lambda: metrics(proxy)["bulkhead_tls_failures_total"] == 4, "and they are counted")
        with secure(proxy.port) as wire:
            wire.send(startup(KEYS))
            assert error_of(wire) == ("28000", "BH-ID-CERTIFICATE")


def test_verify_full_takes_certificates_that_name_the_principal(stand, pki):
    with stand.proxy(listen__default=verifying(pki, "verify-full")) as proxy:
        for name in ("shop", "shop_by_name"):
            assert is_encrypted(psql(proxy, sslmode="require", **certificate_of(getattr(pki, name))))
        for name in ("nobody", "revoked", "foreign", None):
            files = certificate_of(getattr(pki, name)) if name else {"sslcert": "/nowhere"}
            assert is_encrypted(psql(proxy, sslmode="require", **files)) is None
        with secure(proxy.port, certificate=pki.nobody) as wire:
            wire.send(startup(KEYS))
            assert error_of(wire) == ("28000", "BH-ID-CERTIFICATE")
        with secure(proxy.port, certificate=pki.shop) as wire, pytest.raises(WireError) as refused:
            wire.login(KEYS, "not the password")
        assert why(refused.value.fields) == ("28P01", "BH-ID-PASSWORD")


def test_a_certificate_in_place_of_the_password(stand, pki):
    settings = verifying(pki, "verify-full") | {"auth": "cert", "unix_socket_dir": ""}
    stand.principal("certified")
    named = pki.ca.issue("certified")
    unknown = pki.ca.issue("unheard-of")
    with stand.proxy(listen__default=settings) as proxy:
        def login(certificate, user):
            with secure(proxy.port, certificate=certificate) as wire:
                try:
                    wire.login({**KEYS, "user": user})
                    return rows(wire.query(COUNT))
                except WireError as refused:
                    return why(refused.fields)
                except EOFError:  # it was in when the principal was disabled
                    return None

        assert login(pki.shop, "shop.acme") == [[str(ROWS)]]
        assert login(named, "certified.acme") == [[str(ROWS)]]
        assert login(named, "shop.acme") == ("28000", "BH-ID-CERTIFICATE")
        assert login(unknown, "unheard-of.acme") == ("28000", "BH-ID-LOGIN")
        stand.command("principal", "disable", "certified")
        wait_for(lambda: login(named, "certified.acme") == ("28000", "BH-ID-LOGIN"), "the principal is disabled")
        with Wire.connect(HOST, proxy.port) as wire:
            wire.send(startup(KEYS))
            assert error_of(wire) == ("28000", "BH-NET-TLS-REQUIRED")


def test_who_may_not_log_in_is_not_told_why(stand, pki):
    """Unknown, disabled, expired: with a certificate of that name all get the same bytes."""
    settings = verifying(pki, "verify-full") | {"auth": "cert", "unix_socket_dir": ""}
    stand.principal("certified-off")
    stand.principal("certified-old")
    stand.command("principal", "disable", "certified-off")
    stand.command("principal", "set", "certified-old", "--valid-until", "2001-01-01")
    with stand.proxy(listen__default=settings) as proxy:
        answers = set()
        for name in ("certified-off", "certified-old", "certified-no"):
            with secure(proxy.port, certificate=pki.ca.issue(name)) as wire:
                wire.send(startup({**KEYS, "user": f"{name}.acme"}))
                answers.add(b"".join(message.type.encode() + message.body for message in wire.until_end()))
        (answer,) = answers
        assert b"password" not in answer and b"reason=BH-ID-LOGIN\0" in answer


def test_the_log_says_whose_certificate_was_refused(stand, pki):
    settings = verifying(pki, "verify-full") | {"auth": "cert", "unix_socket_dir": ""}
    with stand.proxy(listen__default=settings) as proxy:
        for certificate, user in ((pki.nobody, "shop.acme"), (None, "shop.globex"),
                                  (pki.ca.issue("unheard-of"), "unheard-of.acme")):
            with secure(proxy.port, certificate=certificate) as wire:
                wire.send(startup({**KEYS, "user": user}))
                error_of(wire)
        ends = wait_for(lambda: len(proxy.events("client.ended")) == 3 and proxy.events("client.ended"), "all ends")
        assert [(line["reason"], line["principal"], line.get("tenant")) for line in ends] == [
            ("BH-ID-CERTIFICATE", "shop", "acme"), ("BH-ID-CERTIFICATE", "shop.globex", None),
            ("BH-ID-LOGIN", "unheard-of", "acme")]


# ---- SCRAM, bound to the channel ----

def test_the_offer_does_not_tell_who_exists(proxy):
    for user in ("shop.acme", "nobody-at-all.acme"):
        with secure(proxy.port) as wire:
            assert mechanisms(wire, {**KEYS, "user": user}) == [PLUS, SCRAM]
        with Wire.connect(HOST, proxy.port) as wire:
            assert mechanisms(wire, {**KEYS, "user": user}) == [SCRAM]


SAID = {  # mechanism, header, what is bound to: what comes of it
    "bound": (PLUS, "p=tls-server-end-point,,", "right", None),
    "without": (SCRAM, "n,,", "", None),
    "to another certificate": (PLUS, "p=tls-server-end-point,,", "wrong", ("28000", "BH-ID-CHANNEL-BINDING")),
    "to nothing": (PLUS, "p=tls-server-end-point,,", "", ("28000", "BH-ID-CHANNEL-BINDING")),
    "the offer was hidden": (SCRAM, "y,,", "", ("28000", "BH-ID-CHANNEL-BINDING")),
    "another type": (PLUS, "p=tls-unique,,", "right", ("08P01", "BH-NET-PROTOCOL")),
    "plus, and then not": (PLUS, "n,,", "", ("08P01", "BH-NET-PROTOCOL")),
    "not, and then plus": (SCRAM, "p=tls-server-end-point,,", "right", ("08P01", "BH-NET-PROTOCOL")),
    "none of these": ("SCRAM-SHA-1", "n,,", "", ("08P01", "BH-NET-PROTOCOL")),
}


@pytest.mark.parametrize("case", SAID)
def test_what_a_client_says_of_its_channel(stand, proxy, case):
    mechanism, header, bound, refused = SAID[case]
    with secure(proxy.port) as wire:
        mechanisms(wire, KEYS)
        binding = {"right": end_point(wire), "wrong": bytes(32), "": b""}[bound]
        found = scram(wire, stand.password, mechanism, header, binding)
        assert (why(found.fields) if found.type == "E" else None) == refused


def test_plus_is_not_taken_in_the_clear(stand, proxy):
    with Wire.connect(HOST, proxy.port) as wire:
        mechanisms(wire, KEYS)
        assert why(scram(wire, stand.password, PLUS, binding=bytes(32)).fields) == ("08P01", "BH-NET-PROTOCOL")


# ---- what is between the request and the handshake ----

@pytest.mark.parametrize("behind", [startup(KEYS), b"x", query("SELECT 1"), b"\x16\x03\x01\x00\x05hello"])
def test_bytes_behind_an_ssl_request_are_refused(proxy, behind):
    """CVE-2021-23222, CVE-2021-3935: they were sent in the clear, and would be taken for the client's own."""
    with Wire.connect(HOST, proxy.port) as wire:
        wire.send(ssl_request(), behind)
        assert error_of(wire) == ("08P01", "BH-NET-PROTOCOL")


@pytest.mark.parametrize("behind", [startup(KEYS), b"x" * 100, query("SELECT 1")])
def test_bytes_in_the_clear_are_no_handshake(proxy, behind):
    with Wire.connect(HOST, proxy.port) as wire:
        wire.send(ssl_request())
        assert wire.read_bytes(1) == b"S"
        wire.send(behind)
        assert wire.socket.recv(1) in (b"", b"\x15")  # an alert at most
    wait_for(lambda: proxy.events("client.tls_failed"), "the log says why")


def test_encryption_is_not_asked_for_inside_it(proxy):
    with secure(proxy.port) as wire:
        wire.send(ssl_request())
        assert error_of(wire) == ("08P01", "BH-NET-PROTOCOL")


def test_a_handshake_in_single_bytes(stand, proxy):
    """Both ways of beginning; the client's bytes come one by one, the first before all others."""
    for direct in (False, True):
        with Wire.connect(HOST, proxy.port) as wire:
            if not direct:
                wire.send(ssl_request())
                assert wire.read_bytes(1) == b"S"
            plain, incoming, outgoing = wire.socket, ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = context(alpn=["postgresql"]).wrap_bio(incoming, outgoing)

            def push():
                data = outgoing.read()
                for at in range(len(data)):
                    plain.sendall(data[at:at + 1])

            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    push()
                    incoming.write(plain.recv(65536))
            tls.write(startup({**KEYS, "user": "nobody.acme"}))
            push()
            while True:
                try:
                    assert tls.read(65536).startswith(b"R")
                    break
                except ssl.SSLWantReadError:
                    incoming.write(plain.recv(65536))


def test_a_handshake_is_bounded_as_a_login_is(stand, pki):
    with stand.proxy(listen__default=listen(pki.server), bulkhead={"client_login_timeout": "500ms"}) as proxy:
        for sent in (b"", b"\x16\x03\x01\x02\x00\x01"):
            with Wire.connect(HOST, proxy.port) as wire:
                wire.send(ssl_request())
                assert wire.read_bytes(1) == b"S"
                wire.send(sent)
                began = time.monotonic()
                assert wire.socket.recv(100) == b""
                assert time.monotonic() - began < 5
        with secure(proxy.port) as wire:
            assert error_of(wire) == ("57014", "BH-LIM-LOGIN-TIMEOUT")


# ---- direct TLS ----

def test_direct_tls_with_alpn(stand, proxy):
    with begin(Wire.connect(HOST, proxy.port), alpn=["http/1.1", "postgresql"]) as wire:
        assert wire.socket.selected_alpn_protocol() == "postgresql"
        wire.login(KEYS, stand.password)
        assert rows(wire.query(COUNT)) == [[str(ROWS)]]


@pytest.mark.parametrize("alpn", [None, ["http/1.1"], ["postgresq"]])
def test_direct_tls_without_alpn_is_refused(proxy, alpn):
    """It may be a browser that was sent here."""
    with Wire.connect(HOST, proxy.port) as wire, pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        begin(wire, alpn=alpn)


def test_openssl_as_the_client(proxy, pki):
    where = ("-connect", f"{HOST}:{proxy.port}", "-CAfile", pki.ca.cert, "-verify_return_error", "-brief")
    openssl("s_client", *where, "-starttls", "postgres")
    openssl("s_client", *where, "-alpn", "postgresql")


# ---- bytes ----

def test_much_in_both_directions(proxy):
    with proxy.connect("acme", sslmode="require") as connection:
        text = "0123456789abcdef" * (1 << 18)  # 4 MB
        assert connection.execute("SELECT md5(%s), %s", (text, text)).fetchone()[1] == text
        assert len(connection.execute("SELECT repeat('x', 50000000)").fetchone()[0]) == 50000000
        count = connection.execute("SELECT count(*), sum(length(x)) FROM (SELECT repeat('y', n % 3000) x "
                                   "FROM generate_series(1, 30000) n) t").fetchone()
        rows_ = connection.execute("SELECT repeat('y', n % 3000) FROM generate_series(1, 30000) n").fetchall()
        assert (len(rows_), sum(len(row) for row, in rows_)) == count


def test_a_client_that_reads_slowly_and_writes_much(stand, proxy):
    """The answers to ten thousand queries in one burst come back whole, however late they are read."""
    with secure(proxy.port) as wire:
        wire.login(KEYS, stand.password)
        count, sql = 2000, f"SELECT '{'z' * 2000}'"
        sent = query(sql) * count
        wire.socket.setblocking(False)
        found, at, seen = b"", 0, 0
        while seen < count:
            try:
                at += wire.socket.send(sent[at:at + 50000]) if at < len(sent) else 0
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                pass
            try:
                found += wire.socket.recv(30000)
            except ssl.SSLWantReadError:
                time.sleep(0.001)
            while len(found) >= 5 and len(found) > (size := 1 + struct.unpack_from("!I", found, 1)[0]) - 1:
                seen += found[:1] == b"Z"
                assert found[:1] != b"E"
                found = found[size:]


def test_tiny_records(stand, proxy):
    with secure(proxy.port) as wire:
        wire.login(KEYS, stand.password)
        wire.send_slowly(query(COUNT) * 3)
        assert rows(wire.until_ready(3)) == [[str(ROWS)]] * 3


def test_the_end_is_said(stand, proxy):
    """close_notify behind the last word: a client can tell an end from a cut."""
    with secure(proxy.port) as wire:
        wire.socket.suppress_ragged_eofs = False
        wire.send(startup({**KEYS, "database": "nowhere"}))
        scram(wire, stand.password, SCRAM, "n,,") if wire.read().type == "R" else None
        assert errors(wire.until_end()) == ["3D000"]


# ---- cancel ----

@pytest.mark.parametrize("encrypted", [True, False])
def test_cancel(stand, proxy, encrypted):
    """Over TLS as libpq of 17 does, and in the clear as those before it."""
    with secure(proxy.port) as wire:
        wire.login(KEYS, stand.password)
        wire.send(query("SELECT pg_sleep(20)"))
        with stand.admin() as admin:
            wait_for(lambda: admin.execute("SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(20)' "
                                           "AND state = 'active'").fetchone(), "the statement runs")
        with (secure(proxy.port) if encrypted else Wire.connect(HOST, proxy.port)) as other:
            other.send(cancel_request(wire.pid, wire.key))
            if encrypted:
                other.socket.suppress_ragged_eofs = False
            assert other.socket.recv(1) == b""
        assert errors(wire.until_ready()) == ["57014"]


def test_a_plain_cancel_request_is_taken_where_tls_is_required(stand, pki):
    with stand.proxy(listen__default=listen(pki.server, "require")) as proxy:
        with proxy.connect("acme", sslmode="require") as connection:
            threading.Timer(0.5, connection.cancel).start()
            with pytest.raises(psycopg.errors.QueryCanceled):
                connection.execute("SELECT pg_sleep(20)")


# ---- the tenant ----

def selecting(pki, mode="require", **more):
    return listen(pki.server, mode, sni_suffix=SUFFIX, **more) | {"selectors": "tls, user"}


def tenant_of(proxy, stand, host=None, certificate=None, user=PRINCIPAL):
    with secure(proxy.port, host, certificate=certificate) as wire:
        try:
            wire.login({"user": user, "database": DATABASE}, stand.password)
        except WireError as refused:
            return why(refused.fields)
        return {row[0].split(" ")[0] for row in rows(wire.query("SELECT item FROM orders"))}


def test_the_host_name_chooses_the_tenant(stand, pki):
    with stand.proxy(listen__default=selecting(pki)) as proxy:
        assert tenant_of(proxy, stand, f"acme.{SUFFIX}") == {"acme"}
        assert tenant_of(proxy, stand, f"GLOBEX.{SUFFIX.upper()}") == {"globex"}
        assert tenant_of(proxy, stand, f"acme.{SUFFIX}", user="shop.acme-labs") == {"acme-labs"}
        assert tenant_of(proxy, stand, f"acme.{SUFFIX}", user="shop.globex") == ("42501", "BH-ID-CONFLICT")
        assert tenant_of(proxy, stand, f"initech.{SUFFIX}") == ("3D000", "BH-ID-UNKNOWN-TENANT")
        assert tenant_of(proxy, stand, f"a.acme.{SUFFIX}") == ("3D000", "BH-ID-UNKNOWN-TENANT")
        for host in (SUFFIX, "acme.elsewhere", f"acmedb{SUFFIX}", None):
            assert tenant_of(proxy, stand, host) == ("28000", "BH-ID-NO-TENANT")


def test_the_certificate_chooses_the_tenant(stand, pki):
    with stand.proxy(listen__default=selecting(pki, "verify-full", ca_file=pki.ca.cert)) as proxy:
        def tenant(certificate, host=None):
            return tenant_of(proxy, stand, host and f"{host}.{SUFFIX}", certificate)

        unfit = ("28000", "BH-ID-CERTIFICATE")
        assert tenant(pki.acme) == tenant(pki.acme, "acme") == {"acme"}
        assert tenant(pki.acme, "globex") == unfit
        assert tenant(pki.both) == unfit
        assert tenant(pki.both, "globex") == {"globex"}
        assert tenant(pki.shop, "globex") == {"globex"}
        assert tenant(pki.shop) == ("28000", "BH-ID-NO-TENANT")


def test_a_certificate_of_tenants_opens_no_console(stand, pki):
    """It would show what others do, and could end it."""
    with stand.proxy(bulkhead={"admin_users": PRINCIPAL},
                     listen__default=selecting(pki, "verify-full", ca_file=pki.ca.cert)) as proxy:
        def console(certificate, host=None):
            with secure(proxy.port, host and f"{host}.{SUFFIX}", certificate=certificate) as wire:
                try:
                    wire.login({"user": PRINCIPAL, "database": "bulkhead"}, stand.password)
                except WireError as refused:
                    return why(refused.fields)
                cipher, version, _ = wire.socket.cipher()
                assert [row[9] for row in rows(wire.query("SHOW CLIENTS"))] == [f"{version}/{cipher}"]
                return "let in"

        unfit = ("28000", "BH-ID-CERTIFICATE")
        assert console(pki.acme) == console(pki.acme, "acme") == console(pki.both, "globex") == unfit
        assert console(pki.shop) == console(pki.shop, "globex") == "let in"


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def connect_again(proxy, client, session, host=None):
    wire = Wire.connect(HOST, proxy.port)
    wire.send(ssl_request())
    assert wire.read_bytes(1) == b"S"
    wire.socket = client.wrap_socket(wire.socket, server_hostname=host, session=session)
    return wire


@pytest.mark.parametrize("version", VERSIONS)
def test_sessions_are_resumed(stand, proxy, version):
    client, session = context(), None
    client.maximum_version = version
    for turn in range(3):
        with connect_again(proxy, client, session) as wire:
            wire.login(KEYS, stand.password)
            assert wire.socket.session_reused == (turn > 0)
            session = wire.socket.session


@pytest.mark.parametrize("version", VERSIONS)
def test_none_is_resumed_where_the_handshake_names_the_tenant(stand, pki, version):
    """The host name would be that of the session that is resumed, and the certificate one that nobody showed."""
    with stand.proxy(listen__default=selecting(pki)) as proxy:
        client, session = context(), None
        client.maximum_version = version
        for slug in ("acme", "acme", "globex"):
            with connect_again(proxy, client, session, f"{slug}.{SUFFIX}") as wire:
                wire.login({"user": PRINCIPAL, "database": DATABASE}, stand.password)
                assert not wire.socket.session_reused
                assert {row[0].split(" ")[0] for row in rows(wire.query("SELECT item FROM orders"))} == {slug}
                session = wire.socket.session


# ---- versions and ciphers ----

def accepted(proxy, *options):
    """The cipher that is agreed on, or None."""
    command = ("s_client", "-connect", f"{HOST}:{proxy.port}", "-starttls", "postgres", "-brief", *options)
    done = subprocess.run(["openssl", *map(str, command)], text=True, capture_output=True, stdin=subprocess.DEVNULL,
                          check=False, timeout=20)
    return next((line.split(":")[1].strip() for line in done.stderr.splitlines() if line.startswith("Ciphersuite")),
                None)


def test_tls_1_3_alone(stand, pki):
    with stand.proxy(listen__default=listen(pki.server), tls={"min_protocol": "TLSv1.3"}) as proxy:
        assert accepted(proxy, "-tls1_2") is None and accepted(proxy, "-tls1_3")


def test_a_client_can_not_renegotiate(proxy):
    done = subprocess.run(["openssl", "s_client", "-connect", f"{HOST}:{proxy.port}", "-starttls", "postgres",
                           "-tls1_2"], input="R\n", text=True, capture_output=True, check=False, timeout=20)
    assert "RENEGOTIATING" in done.stdout + done.stderr and "no renegotiation" in done.stderr
