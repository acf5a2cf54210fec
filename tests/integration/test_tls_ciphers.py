"""What a listener agrees to in a TLS handshake, out of all that there is; and that who asks would see more."""

import re
import subprocess
import time

import pytest

from harness.certificates import openssl
from harness.postgres import HOST, free_port
from harness.tls import listen, make_pki
from harness.tls_hello import HELLO_OF_SSL_2, OFFERS, VERSIONS, accepted, answer, client_hello
from harness.wait import wait_for
from harness.wire import Wire

OF_1_2 = ["AES256-GCM-SHA384", "AES128-GCM-SHA256", "CHACHA20-POLY1305"]  # behind ECDHE-ECDSA or ECDHE-RSA
OF_1_3 = ["TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"]
CURRENT = {0x1301, 0x1302, 0x1303, 0xC02B, 0xC02C, 0xC02F, 0xC030, 0xCCA8, 0xCCA9}  # numbers of all of these
WEAK = re.compile("NULL|EXP|RC[24]|DES|IDEA|SEED|MD5|ADH|AECDH|anon|PSK|SRP|CBC|SHA$|CCM8|0x")


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module", params=["EC", "RSA"])
def listener(request, stand, pki):
    """Of a certificate of that kind; with the name that the ciphers of TLS 1.2 have for it."""
    certificate = pki.server if request.param == "EC" else pki.ca.issue("rsa", names=["DNS:localhost"], kind="RSA")
    with stand.proxy(listen__default=listen(certificate, "require")) as proxy:
        proxy.signs = {"EC": "ECDSA", "RSA": "RSA"}[request.param]
        yield proxy


def test_versions_and_ciphers(listener):
    """Prints what is taken (pytest -s), as testssl.sh does; only forward secret AEAD is."""
    found = {version: accepted(listener.port, version) for version in VERSIONS}
    for version, names in found.items():
        print(f"{listener.signs:5} {version:7}", " ".join(names) or "refused")
    assert not [name for names in found.values() for name in names if WEAK.search(name)]
    assert found == {"SSLv3": [], "TLSv1": [], "TLSv1.1": [], "TLSv1.3": OF_1_3,
                     "TLSv1.2": [f"ECDHE-{listener.signs}-{name}" for name in OF_1_2]}


def test_no_offer_is_too_long(listener):
    """What was refused was refused for its ciphers: with a good one behind them, each offer is taken."""
    for version, good in {"TLSv1.2": {"ECDSA": 0xC02B, "RSA": 0xC02F}[listener.signs], "TLSv1.3": 0x1301}.items():
        for offer in OFFERS:
            others = [number for number in offer if number not in CURRENT]
            assert answer(listener.port, client_hello(version, [*others, good])) == good


def test_ssl_2_is_refused(listener):
    assert answer(listener.port, HELLO_OF_SSL_2) is None


def test_tls_that_was_not_asked_for_is_refused(listener):
    """Without an SSLRequest a handshake has ALPN, or there is none, of whatever version."""
    hellos = [client_hello(version, OFFERS[0]) for version in VERSIONS]
    assert [answer(listener.port, hello, asks=False) for hello in hellos] == [None] * len(VERSIONS)


@pytest.mark.parametrize("version,option", [("TLSv1", "-tls1"), ("TLSv1.1", "-tls1_1"), ("TLSv1.2", "-tls1_2")])
def test_who_asks_would_see_more(pki, version, option):
    """Against a server that takes all that OpenSSL has left: without this, silence would prove nothing."""
    port = free_port()
    process = subprocess.Popen(["openssl", "s_server", "-accept", f"{HOST}:{port}", "-cert", pki.server.cert, "-key",
                                pki.server.key, option, "-cipher", "ALL:COMPLEMENTOFALL:@SECLEVEL=0", "-quiet"],
                               stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: listens(port), "s_server")
        found = accepted(port, version, asks=False)
        known = openssl("ciphers", "-s", option, "ALL:COMPLEMENTOFALL:@SECLEVEL=0").strip().split(":")
    finally:
        process.kill()
        process.wait()
    assert {"ECDHE-ECDSA-AES128-SHA", "AECDH-NULL-SHA", "AECDH-AES256-SHA"} <= set(found) <= set(known)


def listens(port):
    try:
        Wire.connect(HOST, port).close()
        return True
    except OSError:
        time.sleep(0.02)
        return False
