"""The admin API's listeners: TLS, certificates of callers, unix sockets, and what bounds who asks."""

import http.client
import json
import os
import socket
import ssl
import stat
import time

import pytest
from harness.api import Api
from harness.certificates import Authority, self_signed
from harness.postgres import HOST
from harness.program import bulkhead
from harness.wait import wait_for


def ask(connection, key, path="/v1/version"):
    connection.request("GET", path, headers={"Authorization": f"Bearer {key}"})
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def tls(cafile, certificate=None, **versions):
    context = ssl.create_default_context(cafile=cafile)
    if certificate:
        context.load_cert_chain(certificate.cert, certificate.key)
    for name, value in versions.items():
        setattr(context, name, value)
    return context


def over_tls(api, context):
    return http.client.HTTPSConnection("localhost", api.port, timeout=20, context=context)


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("api-ca"))


@pytest.fixture(scope="module")
def server(ca):
    return ca.issue("server", names=["DNS:localhost", "IP:127.0.0.1"])


def secured(server, **more):
    return {"tls_cert_file": server.cert, "tls_key_file": server.key, **more}


def test_over_tls_and_not_without(stand, ca, server):
    with Api(stand, **secured(server)) as api:
        key = api.key()
        assert ask(over_tls(api, tls(ca.folder / "ca.crt")), key)[0] == 200
        assert ask(over_tls(api, tls(ca.folder / "ca.crt", minimum_version=ssl.TLSVersion.TLSv1_3)), key)[0] == 200
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ask(over_tls(api, tls(ca.folder / "ca.crt", maximum_version=ssl.TLSVersion.TLSv1_1)), key)
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            ask(http.client.HTTPConnection(HOST, api.port, timeout=20), key)
        assert ask(over_tls(api, tls(ca.folder / "ca.crt")), key)[0] == 200


def test_callers_must_have_a_certificate(stand, ca, server, tmp_path):
    ours, other = ca.issue("caller"), self_signed(tmp_path, "other")
    with Api(stand, **secured(server, tls_client_ca_file=ca.folder / "ca.crt")) as api:
        key = api.key()
        assert ask(over_tls(api, tls(ca.folder / "ca.crt", ours)), key)[0] == 200
        for certificate in (None, other):
            with pytest.raises((ssl.SSLError, http.client.HTTPException, ConnectionError)):
                ask(over_tls(api, tls(ca.folder / "ca.crt", certificate)), key)
        # A certificate alone is not enough.
        assert ask(over_tls(api, tls(ca.folder / "ca.crt", ours)), "none")[0] == 401


def test_a_certificate_is_read_again(stand, ca, server):
    with Api(stand, **secured(server)) as api:
        key = api.key()
        later = ca.issue("later", names=["DNS:localhost"])
        serial = ssl.PEM_cert_to_DER_cert(later.cert.read_text())
        api.proxy.reload(admin={"tls_cert_file": later.cert, "tls_key_file": later.key})

        def shown():
            connection = over_tls(api, tls(ca.folder / "ca.crt"))
            connection.connect()
            return connection.sock.getpeercert(binary_form=True) == serial
        wait_for(shown, "the new certificate")
        assert ask(over_tls(api, tls(ca.folder / "ca.crt")), key)[0] == 200
        api.proxy.reload(event="api.tls", admin={"tls_cert_file": later.cert, "tls_key_file": server.key})
        assert ask(over_tls(api, tls(ca.folder / "ca.crt")), key)[0] == 200


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(str(self.path))


def test_a_unix_socket(stand, tmp_path):
    path = stand.folder / "api.sock"
    with Api(stand, listen_addr="", unix_socket=path, unix_socket_mode="0640") as api:
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert ask(UnixConnection(path), api.key())[0] == 200
        assert ask(UnixConnection(path), "none")[0] == 401
        # A key that is bound to addresses has none here.
        assert ask(UnixConnection(path), api.key(addresses=["0.0.0.0/0", "::/0"]))[0] == 403
    assert not path.exists()


@pytest.mark.parametrize("settings, complaint", [
    ({"listen_addr": "0.0.0.0"}, "0.0.0.0 is not loopback"),
    ({"listen_addr": "*"}, "* is not loopback"),
    ({"tls_cert_file": "/nowhere.crt"}, "goes together with tls_key_file"),
    ({"tls_client_ca_file": "/nowhere.crt"}, "is missing for tls_client_ca_file"),
])
def test_what_would_show_keys_to_others_is_refused(stand, tmp_path, settings, complaint):
    config = tmp_path / "bulkhead.ini"
    admin = {"pepper_file": tmp_path / "pepper", **settings}
    config.write_text("[cluster:default]\nhost = x\ndatabase = x\n[guard]\nkey_file = x\n"
                      "[control]\ndsn = host=x\nadmin_dsn = host=x\n[admin]\n"
                      + "".join(f"{name} = {value}\n" for name, value in admin.items()))
    done = bulkhead("check", "-c", config)
    assert done.returncode == 1 and complaint in done.stdout + done.stderr


def test_without_a_pepper_there_is_no_api(stand):
    with Api(stand) as api:
        api.proxy.stop()
        api.proxy.configure(admin={"pepper_file": None})
        api.proxy.start()
        with pytest.raises(ConnectionRefusedError):
            ask(http.client.HTTPConnection(HOST, api.port, timeout=5), "none")


# ---- bounds ----

def test_who_sends_slowly_is_cut(stand):
    with Api(stand, request_timeout="1s") as api:
        with socket.create_connection((HOST, api.port), timeout=20) as slow:
            began = time.monotonic()
            with pytest.raises((ConnectionError, BrokenPipeError)):
                for byte in b"GET /v1/version HTTP/1.1\r\nX-Slow: " + b"a" * 1000:
                    slow.send(bytes([byte]))
                    time.sleep(0.05)
            assert 0.8 < time.monotonic() - began < 10
        assert api.client().get("/v1/version").status == 200


def test_connections_are_bounded(stand):
    with Api(stand, max_clients=5) as api:
        key = api.key()
        idle = [socket.create_connection((HOST, api.port), timeout=20) for _ in range(5)]
        time.sleep(0.5)
        connection = http.client.HTTPConnection(HOST, api.port, timeout=20)
        connection.request("GET", "/v1/version", headers={"Authorization": f"Bearer {key}"})
        assert connection.getresponse().status == 503
        for one in idle:
            one.close()
        wait_for(lambda: api.stranger(key).get("/v1/version").status == 200, "room for another")


def test_a_body_is_bounded(stand):
    with Api(stand) as api:
        answer = api.client().request("POST", "/v1/tenants", raw=b'{"slug": "' + b"a" * (300 << 10) + b'"}')
        assert (answer.status, answer.reason) == (413, "BH-API-SIZE")
        with socket.create_connection((HOST, api.port), timeout=20) as huge:
            huge.sendall(b"POST /v1/tenants HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n")
            assert huge.recv(4096).startswith(b"HTTP/1.1 413")
        assert api.client().get("/v1/version").status == 200


def test_a_key_may_ask_so_often(stand):
    with Api(stand, rate_limit=1) as api:
        one, other = api.client(), api.client()
        answers = [one.get("/v1/version").status for _ in range(14)]
        assert answers[:10] == [200] * 10 and answers[-1] == 429
        assert other.get("/v1/version").status == 200
        # Whoever knows the id but not the secret takes nothing from it.
        stranger = api.stranger(other.key[:-1] + ("A" if other.key[-1] != "A" else "B"))
        assert {stranger.get("/v1/version").status for _ in range(20)} <= {401, 429}
        assert other.get("/v1/version").status == 200


def test_who_guesses_keys_is_not_looked_at(stand):
    with Api(stand, failure_limit=3) as api:
        assert [api.stranger("none").get("/v1/version").status for _ in range(5)] == [401] * 3 + [429] * 2
        assert os.path.exists(api.proxy.config)


def test_an_old_body_and_a_new_one_on_one_connection(stand):
    """Two lengths are two requests to somebody."""
    with Api(stand) as api:
        with socket.create_connection((HOST, api.port), timeout=20) as both:
            both.sendall(b"POST /v1/tenants HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
                         b"0\r\n\r\nGET /v1/version HTTP/1.1\r\nHost: x\r\n\r\n")
            received = b""
            while part := both.recv(65536):
                received += part
            assert received.count(b"HTTP/1.1 ") == 1 and received.startswith(b"HTTP/1.1 400")


def test_another_process_takes_its_place(stand):
    """With reuse_port both serve for a while, over TCP and over the unix socket."""
    path = stand.folder / "api-shared.sock"
    with Api(stand, unix_socket=path, proxy={"bulkhead": {"reuse_port": "yes"}}) as api:
        key, first = api.key(), api.proxy.process
        api.proxy.start()
        second, api.proxy.process = api.proxy.process, first
        try:
            api.proxy.stop()
            assert api.stranger(key).get("/v1/version").status == 200
            assert ask(UnixConnection(path), key)[0] == 200
        finally:
            api.proxy.process = second
