"""TLS for tests: what certificates there are, and clients of the wire protocol inside it."""

import hashlib
import ssl
from types import SimpleNamespace

from harness.certificates import Authority, self_signed
from harness.postgres import HOST
from harness.wire import (AUTH_OK, AUTH_SASL_CONTINUE, AUTH_SASL_FINAL, ScramClient, Wire, password_message,
                          sasl_initial, ssl_request, startup)

PAST = {"start": "20200101000000Z", "end": "20210101000000Z"}
HERE = ["DNS:localhost", "IP:127.0.0.1"]
SUFFIX = "db.internal"
PLUS = "SCRAM-SHA-256-PLUS"
MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]

# The mode of a listener, and what libpq's modes come to there: True encrypted, False plain, None refused.
ASKED = {
    "disable": [False, False, False, None, None, None],
    "allow": [False, False, True, True, True, True],
    "prefer": [False, False, True, True, True, True],
    "require": [None, True, True, True, True, True],
    "verify-ca": [None, True, True, True, True, True],
    "verify-full": [None, True, True, True, True, True],
}


def make_pki(folder):
    """Two authorities; servers' and clients' certificates, good ones and others."""
    ca, stranger = Authority(folder, "ca"), Authority(folder, "stranger")
    revoked_server, revoked = ca.issue("revoked-server", names=HERE), ca.issue("revoked", "shop")
    ca.revoke(revoked_server)
    ca.revoke(revoked)
    ca.write_list()
    return SimpleNamespace(
        folder=folder, ca=ca, stranger=stranger,
        server=ca.issue("server", names=HERE), other_server=ca.issue("server-2", names=HERE),
        expired_server=ca.issue("expired-server", names=HERE, **PAST),
        wrong_server=ca.issue("wrong-server", names=["DNS:elsewhere.example"]),
        own_server=self_signed(folder, "own-server", HERE), revoked_server=revoked_server,
        shop=ca.issue("shop"), shop_by_name=ca.issue("somebody", names=["email:shop"]),
        nobody=ca.issue("nobody"), expired=ca.issue("expired", "shop", **PAST), revoked=revoked,
        foreign=stranger.issue("shop"), own=self_signed(folder, "shop"),
        acme=ca.issue("acme", "shop", names=[f"DNS:acme.{SUFFIX}"]),
        both=ca.issue("both", "shop", names=[f"DNS:acme.{SUFFIX}", f"DNS:globex.{SUFFIX}"]))


def listen(certificate, mode="prefer", **more):
    """Settings of a listener; `more` without their prefix."""
    return {"client_tls_sslmode": mode, "client_tls_cert_file": certificate.cert,
            "client_tls_key_file": certificate.key, **{f"client_tls_{key}": value for key, value in more.items()}}


def context(certificate=None, alpn=None):
    """Of a client that trusts everybody."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    if certificate:
        made.load_cert_chain(certificate.cert, certificate.key)
    if alpn:
        made.set_alpn_protocols(alpn)
    return made


def begin(wire, host=None, **more):
    """TLS without asking, on a connection that is one already."""
    wire.socket = context(**more).wrap_socket(wire.socket, server_hostname=host)
    return wire


def secure(port, host=None, **more):
    """A connection inside TLS, which was asked for with SSLRequest; nothing is said in it yet."""
    wire = Wire.connect(HOST, port)
    wire.send(ssl_request())
    assert wire.read_bytes(1) == b"S"
    return begin(wire, host, **more)


def end_point(wire):
    return hashlib.sha256(wire.socket.getpeercert(binary_form=True)).digest()


def mechanisms(wire, keys):
    """Sends the startup packet; which SASL mechanisms are offered."""
    wire.send(startup(keys))
    offer = wire.read()
    assert offer.type == "R", offer
    return [name.decode() for name in offer.body[4:].split(b"\0") if name]


def scram(wire, password, mechanism=PLUS, gs2="p=tls-server-end-point,,", binding=b""):
    """Answers an offer; the last message, AuthenticationOk or an error."""
    client = ScramClient(password, gs2=gs2, binding=binding)
    wire.send(sasl_initial(client.first(), mechanism))
    found = wire.read()
    if found.type == "R":
        assert found.body[:4] == AUTH_SASL_CONTINUE.to_bytes(4, "big")
        wire.send(password_message(client.final(found.body[4:])))
        found = wire.read()
    if found.type == "R" and found.body[:4] == AUTH_SASL_FINAL.to_bytes(4, "big"):
        client.verify(found.body[4:])
        found = wire.read()
    assert found.type == "E" or found.body == AUTH_OK.to_bytes(4, "big")
    return found
