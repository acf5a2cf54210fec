"""What a listener agrees to in a TLS handshake, asked with ClientHellos of our own making.

    accepted(port, "TLSv1.2")      # names of the ciphers that are taken, as the server prefers them

An OpenSSL of today cannot offer SSLv3, export ciphers, RC4 or 3DES any more, so nothing that it is refused says that
others would be. Here every number that a cipher can have is offered, and the answer is read no further than the
ServerHello (RFC 5246, 7.4.1; RFC 8446, 4.1).
"""

import os
import struct
from functools import cache

from harness.certificates import openssl
from harness.postgres import HOST
from harness.wire import Wire, ssl_request

VERSIONS = {"SSLv3": 0x0300, "TLSv1": 0x0301, "TLSv1.1": 0x0302, "TLSv1.2": 0x0303, "TLSv1.3": 0x0304}
CURVES = {"X25519": 29, "P-256": 23, "P-384": 24}
# The signatures of all ages: RSA and ECDSA with SHA-1 to SHA-512, RSA-PSS, Ed25519.
SIGNATURES = [0x0201, 0x0203, 0x0401, 0x0403, 0x0501, 0x0503, 0x0601, 0x0603, 0x0804, 0x0805, 0x0806, 0x0807]
ALERT, HANDSHAKE = 21, 22
# Numbers that name no cipher: the signal of renegotiation (RFC 5746), of a fallback (RFC 7507), and GREASE (RFC 8701).
SIGNALS = {0x00FF, 0x5600, *(0x0A0A + 0x1010 * n for n in range(16))}
EVERY = [number for number in range(1 << 16) if number not in SIGNALS]
OFFERS = [EVERY[at:at + 4000] for at in range(0, len(EVERY), 4000)]  # in records of 16 kB at most


def vector(width, data):
    return len(data).to_bytes(width, "big") + data


def shorts(numbers):
    return struct.pack(f"!{len(numbers)}H", *numbers)


def extension(number, data):
    return struct.pack("!H", number) + vector(2, data)


def client_hello(version, ciphers):
    """The records of a ClientHello that offers this version alone."""
    number = VERSIONS[version]
    extensions = (extension(10, vector(2, shorts(list(CURVES.values())))) + extension(11, b"\1\0")
                  + extension(13, vector(2, shorts(SIGNATURES))))
    if version == "TLSv1.3":
        share = struct.pack("!H", CURVES["X25519"]) + vector(2, os.urandom(32))
        extensions += extension(43, vector(1, shorts([number]))) + extension(51, vector(2, share))
    body = (struct.pack("!H", min(number, VERSIONS["TLSv1.2"])) + os.urandom(32) + vector(1, b"")
            + vector(2, shorts(ciphers)) + vector(1, b"\0") + (b"" if version == "SSLv3" else vector(2, extensions)))
    message = b"\1" + vector(3, body)
    return struct.pack("!BH", HANDSHAKE, min(number, VERSIONS["TLSv1"])) + vector(2, message)


def answer(port, hello, asks=True):
    """The cipher of the ServerHello that is the answer, None for an alert or the end of the connection."""
    with Wire.connect(HOST, port) as wire:
        if asks:
            wire.send(ssl_request())
            assert wire.read_bytes(1) == b"S"
        try:
            wire.send(hello)
            kind, _, length = struct.unpack("!BHH", wire.read_bytes(5))
            body = wire.read_bytes(length)
        except (EOFError, ConnectionError):
            return None
    if kind == ALERT:
        return None
    assert kind == HANDSHAKE and body[0] == 2, (kind, body[:8])
    at = 4 + 2 + 32
    at += 1 + body[at]
    return int.from_bytes(body[at:at + 2], "big")


@cache
def names():
    """OpenSSL's names of the ciphers that it knows, by number."""
    found = {}
    for line in openssl("ciphers", "-V", "ALL:COMPLEMENTOFALL:@SECLEVEL=0").splitlines():
        number, _, name = line.split()[:3]
        high, low = (int(part, 16) for part in number.split(","))
        found[high << 8 | low] = name
    return found


def accepted(port, version, asks=True):
    """All that are taken: each is left out of the next offer, until there is nothing to agree on.

    `asks` is for PostgreSQL's protocol: TLS begins behind an SSLRequest.
    """
    found = []
    for offer in OFFERS:
        left = list(offer)
        while (number := answer(port, client_hello(version, left), asks)) is not None:
            left.remove(number)  # one that was not offered fails
            found.append(number)
    ordered = preferred(port, version, found, asks)
    assert len(ordered) == len(found)
    return [names().get(number, f"0x{number:04X}") for number in ordered]


def preferred(port, version, ciphers, asks):
    """The same as the server prefers them."""
    left, ordered = list(ciphers), []
    while left and (number := answer(port, client_hello(version, left), asks)) is not None:
        left.remove(number)
        ordered.append(number)
    return ordered


# SSLv2's (draft-hickman-netscape-ssl, 3.2): version 2, the seven ciphers that it had, a challenge.
HELLO_OF_SSL_2 = b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + bytes.fromhex(
    "010080020080030080040080050080060040" "0700c0") + bytes(16)
