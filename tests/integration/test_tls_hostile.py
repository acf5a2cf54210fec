"""TLS with peers that mean ill: floods, keys that do not fit, and somebody in between."""

import os
import subprocess
import ssl
import time
from pathlib import Path

import pytest

from harness.certificates import Certificate, openssl
from harness.postgres import HOST
from harness.program import PROGRAM
from harness.tls import SUFFIX, context, listen, make_pki, secure
from harness.wait import wait_for
from harness.wire import Wire, query, rows, why
from test_tls_server import Between, Server, Stand, hide_plus, relay, server, terminate_tls  # noqa: F401

COUNT = "SELECT count(*) FROM orders"
TOOLS = Path(__file__).parents[1] / "harness" / "tls_tools"


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def tools(tmp_path_factory):
    """Clients in C, since Python's ssl sends no KeyUpdate."""
    folder = tmp_path_factory.mktemp("tools")
    for name in ("flood", "tunnel"):
        subprocess.run(["cc", "-O1", "-o", folder / name, TOOLS / f"{name}.c", "-lssl",
                        "-lcrypto"], check=True)
    return folder


@pytest.mark.parametrize("mode", ["disable", "require"])
def test_a_client_that_leaves_has_its_statement_cancelled(server, pki, mode):
    server.become(pki.server)
    with server.proxy(mode) as proxy, server.stand.admin() as admin:
        with proxy.wire("acme") as wire:
            wire.query(COUNT)
            wire.send(query("SELECT pg_sleep(15)"))
            running = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(15)'"
            wait_for(lambda: admin.execute(running).fetchone(), "it runs")
        began = time.monotonic()
        wait_for(lambda: not admin.execute(running).fetchone(), "it ends", 20)
        assert time.monotonic() - began < 5


def test_a_key_of_another_kind_is_refused(stand, pki, tmp_path):
    key = tmp_path / "rsa.key"
    openssl("genrsa", "-out", key, "2048")
    os.chmod(key, 0o600)
    with stand.proxy(listen__default=listen(pki.server)) as proxy:
        with secure(proxy.port):
            pass
        proxy.reload(listen__default={"client_tls_key_file": key}, event="serve.reload_failed")
        with secure(proxy.port):
            pass


@pytest.mark.parametrize("kind,megabytes", [pytest.param("keyupdate", 20, marks=pytest.mark.longer), ("records", 60)])
def test_a_stranger_does_not_keep_a_worker(stand, pki, tools, kind, megabytes):
    with stand.proxy(listen__default=listen(pki.server), bulkhead={"workers": 1}) as proxy:
        with proxy.wire("acme") as wire:
            wire.query(COUNT)
            with subprocess.Popen([tools / "flood", HOST, str(proxy.port), "1", kind, str(megabytes)], text=True,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE) as flood:
                print(flood.stdout.readline())
                flood.stdin.write("\n")
                flood.stdin.flush()
                time.sleep(0.1)
                slowest = 0
                while flood.poll() is None:
                    began = time.monotonic()
                    wire.query(COUNT)
                    slowest = max(slowest, time.monotonic() - began)
                print(flood.stdout.read(), "slowest", slowest)
            assert slowest < 1
            if kind == "keyupdate":
                (line,) = wait_for(lambda: proxy.events("client.tls_failed"), "it is sent away")
                assert line["error"] == "too many key updates"


def ed25519(folder, name, authority=None):
    key, cert = folder / f"{name}.key", folder / f"{name}.crt"
    openssl("genpkey", "-algorithm", "ed25519", "-out", key)
    os.chmod(key, 0o600)
    openssl("req", "-x509", "-new", "-key", key, "-days", "30", "-subj", f"/CN={name}", "-out", cert)
    return Certificate(cert, key)


def test_a_certificate_without_a_hash_does_not_undo_the_binding(server, pki, tmp_path):
    server.become(pki.server, "hostssl")
    for certificate in (pki.own_server, ed25519(tmp_path, "middle")):
        for change in (lambda data: data, hide_plus):
            with Between(server.stand.postgres.port, terminate_tls(certificate, change)) as between:
                assert server.session("require", port=between.port) is None, certificate.cert


def test_resumption_ends_where_a_suffix_begins(stand, pki):
    with stand.proxy(listen__default=listen(pki.server)) as proxy:
        proxy.reload(listen__default={"client_tls_sni_suffix": SUFFIX, "selectors": "user, tls"})
        made = context()
        made.maximum_version = ssl.TLSVersion.TLSv1_2
        session = None
        for name in ("acme", "globex"):
            with Wire.connect(HOST, proxy.port) as wire:
                wire.send(b"\0\0\0\x08\x04\xd2\x16\x2f")
                assert wire.read_bytes(1) == b"S"
                wire.socket = made.wrap_socket(wire.socket, server_hostname=f"{name}.{SUFFIX}", session=session)
                assert not wire.socket.session_reused
                session = wire.socket.session
                wire.login({"user": "shop", "database": "shop"}, stand.password)
                assert rows(wire.query("SELECT DISTINCT split_part(item, ' ', 1) FROM orders")) == [[name]]


def test_a_server_without_a_certificate_is_not_verified(server, pki):
    """Anonymous Diffie-Hellman, where the list of ciphers lets it in."""
    server.become(pki.server)

    def serve(between, near, far):
        near.recv(8)
        near.sendall(b"S")
        here = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        here.maximum_version = ssl.TLSVersion.TLSv1_2
        here.set_ciphers("aNULL:@SECLEVEL=0")
        far.sendall(b"\0\0\0\x08\x04\xd2\x16\x2f")
        assert far.recv(1) == b"S"
        there = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        there.check_hostname, there.verify_mode = False, ssl.CERT_NONE
        with here.wrap_socket(near, server_side=True) as near, there.wrap_socket(far) as far:
            between.first.append("in")
            relay(near, far)
    with Between(server.stand.postgres.port, serve) as between:
        settings = {"host": HOST, "port": between.port, "server_tls_sslmode": "verify-full",
                    "server_tls_ca_file": pki.ca.cert}
        try:
            with server.stand.proxy(cluster__default=settings, pool={"server_login_retry": 0},
                                    tls={"ciphers": "ALL:aNULL:@SECLEVEL=0"}) as proxy:
                assert server.is_encrypted(proxy) is None
        except RuntimeError:
            pass
        assert not between.first


def test_a_certificate_for_a_tenant_is_for_that_one(stand, pki):
    settings = listen(pki.server, "verify-full", ca_file=pki.ca.cert, sni_suffix=SUFFIX)
    try:
        with stand.proxy(listen__default=settings) as proxy:
            with secure(proxy.port, certificate=pki.acme) as wire, pytest.raises(Exception):
                wire.login({"user": "shop.globex", "database": "shop"}, stand.password)
    except RuntimeError as refused:
        assert "sni_suffix" in str(refused)


@pytest.mark.parametrize("every", [3, 50])
def test_key_updates_lose_nothing(stand, pki, tools, every):
    from harness.postgres import free_port
    port = free_port()
    with stand.proxy(listen__default=listen(pki.server)) as proxy:
        with subprocess.Popen([tools / "tunnel", str(proxy.port), str(port), str(every)], text=True,
                              stdout=subprocess.PIPE) as tunnel:
            try:
                assert tunnel.stdout.readline() == "up\n"
                with Wire.connect(HOST, port) as wire:
                    wire.login({"user": "shop.acme", "database": "shop"}, stand.password)
                    text = "0123456789abcdef" * (1 << 16)
                    for _ in range(3):
                        assert rows(wire.query(f"SELECT '{text}'")) == [[text]]
                    # Many queries in one go, and answers that nobody reads at first.
                    wire.send(*[query(f"SELECT {n}, repeat('x', 100000)") for n in range(100)])
                    time.sleep(1)
                    found = rows(wire.until_ready(100))
                    assert [(int(n), len(x)) for n, x in found] == [(n, 100000) for n in range(100)]
            finally:
                tunnel.kill()


def test_broken_handshakes_leave_nothing(stand, pki, tmp_path):
    """At every place of a handshake the client goes, while certificates change and others work."""
    import random
    import shutil
    import socket
    cert, key = tmp_path / "s.crt", tmp_path / "s.key"

    def put(certificate):
        shutil.copy(certificate.cert, cert)
        shutil.copy(certificate.key, key)
        os.chmod(key, 0o600)
    put(pki.server)
    with stand.proxy(listen__default=listen(Certificate(cert, key)), bulkhead={"workers": 2}) as proxy:
        with proxy.wire("acme") as wire:
            wire.query(COUNT)
        before = proxy.descriptors()
        draw = random.Random(1)
        for n in range(300):
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = context(alpn=["postgresql"]).wrap_bio(incoming, outgoing)
            with socket.create_connection((HOST, proxy.port)) as raw:
                raw.settimeout(1)
                if n % 2:
                    raw.sendall(b"\0\0\0\x08\x04\xd2\x16\x2f")
                    assert raw.recv(1) == b"S"
                for _ in range(3):
                    try:
                        tls.do_handshake()
                    except ssl.SSLError:
                        pass
                    data = bytearray(outgoing.read())
                    case = draw.randrange(6)
                    if case == 0 and data:
                        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
                    if case == 1:
                        data = data[:draw.randrange(len(data) + 1)]
                    if case == 2:
                        data += bytes(draw.randrange(256) for _ in range(40))
                    try:
                        raw.sendall(data)
                        if case == 3:
                            raw.shutdown(socket.SHUT_WR)
                        if case in (0, 1, 3, 4) and draw.randrange(2):
                            break
                        raw.settimeout(0.05)
                        if got := raw.recv(65536):
                            incoming.write(got)
                    except (OSError, ssl.SSLError):
                        break
            if n % 50 == 0:
                put([pki.server, pki.other_server][n // 50 % 2])
                proxy.reload()
        with proxy.wire("acme") as wire:
            assert rows(wire.query(COUNT)) == [["20"]]
        wait_for(lambda: proxy.descriptors() <= before + 1, "all are closed", 30)
