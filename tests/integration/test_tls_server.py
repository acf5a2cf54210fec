"""TLS to PostgreSQL: libpq's modes against servers with and without it, and who might sit in between."""

import os
import shutil
import socket
import ssl
import struct
import threading

import pytest

from harness.postgres import HOST, server_user
from harness.stand import ROWS, Stand
from harness.tls import make_pki
from harness.wait import wait_for
from harness.wire import WireError, errors, query, rows, why

MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
COUNT = "SELECT count(*) FROM orders"
DOWN = ("08001", "BH-NET-BACKEND-DOWN")


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def server(template, pki):
    """A server of this file's own, whose TLS and pg_hba.conf change."""
    stand = Stand(template).start()
    server = Server(stand, pki)
    yield server
    stand.remove()


class Server:
    def __init__(self, stand, pki):
        self.stand, self.pki = stand, pki
        self.data = stand.postgres.data
        self.give(pki.ca.cert, "ca.crt")

    def give(self, source, name):
        target = self.data / name
        shutil.copy(source, target)
        target.chmod(0o600)
        if account := server_user():
            os.chown(target, account["user"], account["group"])

    def become(self, certificate=None, kind="host", method="scram-sha-256"):
        """`kind` and `method` are those of the backends' line in pg_hba.conf."""
        if certificate:
            self.give(certificate.cert, "server.crt")
            self.give(certificate.key, "server.key")
        (self.data / "pg_hba.conf").write_text(
            f"local all all trust\nhost all postgres,bulkhead_sidecar all scram-sha-256\n"
            f"{kind} all +bulkhead_app all {method}\n")
        with self.stand.admin() as admin:
            admin.execute("ALTER SYSTEM SET ssl_ca_file = 'ca.crt'")
            admin.execute(f"ALTER SYSTEM SET ssl = {'on' if certificate else 'off'}")
            admin.execute("SELECT pg_reload_conf()")

        def is_so():
            with self.stand.admin() as admin:
                return admin.execute("SHOW ssl").fetchone() == ("on" if certificate else "off",)
        wait_for(is_so, "the server has taken its settings")
        return self

    def proxy(self, mode, host=HOST, port=None, **more):
        settings = {"host": host, "port": port or self.stand.postgres.port, "server_tls_sslmode": mode,
                    **{f"server_tls_{key}": value for key, value in more.items()}}
        return self.stand.proxy(cluster__default=settings, pool={"default_pool_size": 2, "server_login_retry": 0})

    def session(self, *arguments, **more):
        """Is a session's backend reached through TLS? None: it is refused."""
        with self.proxy(*arguments, **more) as proxy:
            return self.is_encrypted(proxy)

    def is_encrypted(self, proxy):
        try:
            with proxy.wire("acme") as wire:
                assert rows(wire.query(COUNT)) == [[str(ROWS)]]
                return self.encrypted_backends() == {True}
        except WireError as refused:
            assert why(refused.fields) == DOWN
            return None

    def encrypted_backends(self):
        with self.stand.admin() as admin:
            return {found for found, in admin.execute(
                f"SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE {self.stand.installation.backends}")}


# ---- modes ----

F, T, X = False, True, None
REACHED = {  # what the server takes: what the modes come to
    "has no TLS": (None, "host", [F, F, F, X, X, X]),
    "has TLS": ("server", "host", [F, F, T, T, T, T]),
    "takes TLS only": ("server", "hostssl", [X, T, T, T, T, T]),
    "has TLS and takes none": ("server", "hostnossl", [F, F, F, X, X, X]),
}


@pytest.mark.parametrize("case", REACHED)
def test_every_mode_against_a_server_that(server, pki, case):
    name, kind, expected = REACHED[case]
    server.become(name and pki.server, kind)
    found = [server.session(mode, **({"ca_file": pki.ca.cert} if mode.startswith("verify") else {})) for mode in MODES]
    assert found == expected


CERTIFICATES = {  # of the server: verify-full, verify-ca, require with an authority, prefer with one, require without
    "server": [T, T, T, T, T],
    "wrong_server": [X, T, T, T, T],
    "expired_server": [X, X, X, F, T],
    "own_server": [X, X, X, F, T],
    "revoked_server": [X, X, X, F, T],
}


@pytest.mark.parametrize("name", CERTIFICATES)
def test_certificates_of_the_server(server, pki, name):
    """Where an authority is configured every mode checks, and prefer goes on without TLS then, as libpq does."""
    server.become(getattr(pki, name))
    files = {"ca_file": pki.ca.cert, "crl_file": pki.ca.crl}
    found = [server.session(mode, **files) for mode in ("verify-full", "verify-ca", "require", "prefer")]
    assert [*found, server.session("require")] == CERTIFICATES[name]


def test_the_name_is_the_configured_one(server, pki):
    server.become(pki.ca.issue("by-name", names=["DNS:localhost"]))
    assert server.session("verify-full", host="localhost", ca_file=pki.ca.cert) is True
    assert server.session("verify-full", host=HOST, ca_file=pki.ca.cert) is None


def test_the_name_is_that_of_the_host_of_several_that_is_connected_to(server, pki):
    server.become(pki.ca.issue("of-a-list", names=["DNS:localhost"]))
    with server.proxy("verify-full", host=f"{HOST}, localhost", ca_file=pki.ca.cert) as proxy:
        with proxy.wire("acme") as wire:
            assert rows(wire.query(COUNT)) == [[str(ROWS)]]
        # It is the same server: nothing but the name that it was called by kept it from serving.
        assert [(line["host"], "certificate" in line["what"]) for line in proxy.events("host.down")] == [(HOST, True)]


def test_the_log_says_why(server, pki):
    server.become(pki.own_server)
    with server.proxy("verify-full", ca_file=pki.ca.cert) as proxy:
        assert server.is_encrypted(proxy) is None
        assert any("self-signed certificate" in line["why"] for line in proxy.events("backend.closed"))


def test_a_unix_socket_has_no_tls(server, pki):
    server.become(pki.server)
    with server.proxy("verify-full", host=server.stand.postgres.socket_dir, ca_file=pki.ca.cert) as proxy:
        assert server.is_encrypted(proxy) is False


# ---- Bulkhead's own certificate ----

def test_the_server_asks_for_a_certificate(server, pki):
    server.become(pki.server, "hostssl", "scram-sha-256 clientcert=verify-ca")
    own = {"cert_file": pki.shop.cert, "key_file": pki.shop.key}
    assert server.session("require", **own) is True
    assert server.session("require") is None
    assert server.session("require", cert_file=pki.foreign.cert, key_file=pki.foreign.key) is None


def test_the_certificate_is_the_login(server, pki):
    server.become(pki.server, "hostssl", "cert")
    pool = pki.ca.issue(server.stand.login("acme"))
    assert server.session("require", cert_file=pool.cert, key_file=pool.key) is True
    assert server.session("require", cert_file=pki.shop.cert, key_file=pki.shop.key) is None


# ---- in between ----

class Between(threading.Thread):
    """Accepts connections and has `serve(bulkhead, server)` carry each, in threads; the first bytes are kept."""

    def __init__(self, target, serve):
        super().__init__(daemon=True)
        self.target, self.serve = target, serve
        self.listener = socket.create_server((HOST, 0))
        self.port = self.listener.getsockname()[1]
        self.first = []
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def run(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.carry, args=(near,), daemon=True).start()

    def carry(self, near):
        try:
            with near, socket.create_connection((HOST, self.target)) as far:
                self.serve(self, near, far)
        except (OSError, struct.error, IndexError):
            pass


def pump(source, target, change=lambda data: data):
    try:
        while data := source.recv(65536):
            target.sendall(change(data))
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def relay(near, far, change=lambda data: data):
    """Both ways; `change` is for the server's bytes."""
    other = threading.Thread(target=pump, args=(far, near, change), daemon=True)
    other.start()
    pump(near, far)
    other.join()


def terminate_tls(certificate, change=lambda data: data):
    """Speaks TLS with both, with a certificate of its own."""
    def serve(_between, near, far):
        assert near.recv(8) == struct.pack("!II", 8, 80877103)
        near.sendall(b"S")
        here = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        here.load_cert_chain(certificate.cert, certificate.key)
        there = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        there.check_hostname, there.verify_mode = False, ssl.CERT_NONE
        far.sendall(struct.pack("!II", 8, 80877103))
        assert far.recv(1) == b"S"
        with here.wrap_socket(near, server_side=True) as near, there.wrap_socket(far) as far:
            relay(near, far, change)
    return serve


def hide_plus(data):
    if data[:1] != b"R" or b"SCRAM-SHA-256-PLUS\0" not in data:
        return data
    body = data[5:].replace(b"SCRAM-SHA-256-PLUS\0", b"")
    return b"R" + struct.pack("!I", 4 + len(body)) + body


@pytest.mark.parametrize("change", [lambda data: data, hide_plus], ids=["as it is", "the offer of PLUS hidden"])
def test_who_ends_tls_in_between_gets_no_session(server, pki, change):
    """The certificate is a good one, of the same authority; SCRAM is bound to the server's own."""
    server.become(pki.server)
    with Between(server.stand.postgres.port, terminate_tls(pki.other_server, change)) as between:
        with server.proxy("verify-ca", port=between.port, ca_file=pki.ca.cert) as proxy:
            assert server.is_encrypted(proxy) is None
            assert any("channel binding" in line["why"] for line in proxy.events("backend.closed"))
    with Between(server.stand.postgres.port, terminate_tls(pki.server)) as between:
        assert server.session("verify-ca", port=between.port, ca_file=pki.ca.cert) is True


ANSWERS = {"S and more": b"Sx", "N and more": b"NR\0\0\0\x08\0\0\0\0", "nothing of these": b"Q",
           "an error": b"E\0\0\0\x0cMgo away\0\0", "an end": b""}


@pytest.mark.parametrize("mode", ["prefer", "require"])
@pytest.mark.parametrize("case", ANSWERS)
def test_answers_that_are_none(server, pki, mode, case):
    """CVE-2021-23222: bytes behind the S came before TLS, and are nobody's."""
    server.become(pki.server)

    def serve(_between, near, _far):
        near.recv(8)
        near.sendall(ANSWERS[case])
    with Between(server.stand.postgres.port, serve) as between, server.proxy(mode, port=between.port) as proxy:
        with pytest.raises(WireError) as refused:
            proxy.wire("acme")
        assert why(refused.value.fields) == DOWN


def note_first(between, near, far):
    """Carries the bytes and keeps what Bulkhead says first, and behind the server's S."""
    first = near.recv(16)
    far.sendall(first)
    answer = far.recv(1) if len(first) == 8 else b""
    if answer:
        near.sendall(answer)
        more = near.recv(65536)
        far.sendall(more)
        first += more
    between.first.append(first)
    relay(near, far)


@pytest.mark.parametrize("mode,begins", [("require", struct.pack("!II", 8, 80877103) + b"\x16\x03"),
                                         ("disable", struct.pack("!II", 16, 80877102))])
def test_a_cancel_request_is_as_the_session_is(server, pki, mode, begins):
    server.become(pki.server)
    with Between(server.stand.postgres.port, note_first) as between, server.proxy(mode, port=between.port) as proxy:
        with proxy.wire("acme") as wire:
            wire.query(COUNT)
            wire.send(query("SELECT pg_sleep(20)"))
            with server.stand.admin() as admin:
                wait_for(lambda: admin.execute("SELECT 1 FROM pg_stat_activity WHERE state = 'active' "
                                               "AND query = 'SELECT pg_sleep(20)'").fetchone(), "it runs")
            before = len(between.first)
            wire.cancel()
            assert errors(wire.until_ready()) == ["57014"]
            assert [first[:len(begins)] for first in between.first[before:]] == [begins]
            assert rows(wire.query(COUNT)) == [[str(ROWS)]]


# ---- bytes, and the end ----

def test_much_in_both_directions_over_tls_twice(server, pki):
    server.become(pki.server, "hostssl")
    with server.stand.proxy(listen__default={"client_tls_sslmode": "require", "client_tls_cert_file": pki.server.cert,
                                             "client_tls_key_file": pki.server.key},
                            pool={"default_pool_size": 1}) as proxy:
        with proxy.connect("acme", sslmode="require") as connection:
            text = "0123456789abcdef" * (1 << 18)
            assert connection.execute("SELECT %s", (text,)).fetchone() == (text,)
            assert len(connection.execute("SELECT repeat('x', 50000000)").fetchone()[0]) == 50000000
        for tenant in ("globex", "acme", "globex"):
            with proxy.connect(tenant, sslmode="require") as connection:
                found = connection.execute("SELECT DISTINCT split_part(item, ' ', 1) FROM orders").fetchall()
                assert found == [(tenant,)]


def test_the_end_is_said(server, pki):
    """The server's log has no connection that was cut."""
    server.become(pki.server)
    log = server.stand.postgres.log
    before = len(log.read_text())
    with server.proxy("require") as proxy:
        for _ in range(3):
            with proxy.wire("acme") as wire:
                wire.send(query("BEGIN"), query(COUNT))  # its backend is closed behind it
                wire.until_ready(2)
        with proxy.wire("acme") as wire:
            wire.query(COUNT)
            with server.stand.admin() as admin:
                admin.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {server.stand.installation.backends}")
            wait_for(lambda: proxy.backends() == [], "the backend is gone")
            wait_for(lambda: proxy.events("backend.closed")[-1]["why"] != "its client left in the middle of a "
                     "transaction", "Bulkhead knows it")
            assert rows(wire.query(COUNT)) == [[str(ROWS)]]
    said = log.read_text()[before:]
    assert "SSL error" not in said and "unexpected eof" not in said.lower()


def test_a_new_authority_is_taken_by_a_reload(server, pki):
    server.become(pki.server)
    with server.proxy("verify-full", ca_file=pki.stranger.cert) as proxy:
        assert server.is_encrypted(proxy) is None
        assert "cluster:default.server_tls_ca_file" in \
            proxy.reload(cluster__default={"server_tls_ca_file": pki.ca.cert})["changed"]
        assert wait_for(lambda: server.is_encrypted(proxy), "the server is trusted")
