"""
The scripts of tests/clients/tls against a listener in each of its modes, and with certificates that are no good.

    with TlsGround(template) as ground:
        ground.play(client)      # what is not as it has to be, as lines of text
        write_docs(path, ground)

What a connection has come to is asked of Bulkhead's console, not of the library.
"""

import os
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from harness.certificates import openssl
from harness.client_table import BUILD, JDBC, PYTHON
from harness.clients import FOLDER, build
from harness.stand import DATABASE, PRINCIPAL, ROWS, Stand
from harness.tls import ASKED, MODES, listen, make_pki
from harness.tls_hello import VERSIONS, accepted

TIMEOUT = 200  # seconds, for all that a script is told
TENANT = "acme"


@dataclass(frozen=True)
class Way:
    """One way to connect: which of libpq's modes it is, and what is to be said for it."""
    title: str
    mode: str
    more: dict = field(default_factory=dict)
    is_bound: bool = False

    def expected(self, listener):
        """True encrypted, False plain, None refused."""
        found = ASKED[listener][MODES.index(self.mode)]
        return found or None if self.is_bound else found


@dataclass(frozen=True)
class TlsClient:
    name: str
    title: str
    command: list
    ways: list
    prepare: list = field(default_factory=list)
    has_revocation: bool = True  # can it be given a list of revoked certificates?
    key: str = "key"  # or in another form
    quick: bool = False  # as in harness/client_table.py


def ways(*modes, bound=False):
    more = {"binding": "require"} if bound else {}
    return [Way(f"{mode}, bound" if bound else mode, mode, more, bound) for mode in modes]


def of_node(*more):
    """The options of tls.connect() that come to a mode."""
    return [Way("`ssl: false`", "disable"), *more,
            Way("`rejectUnauthorized: false`", "require"), Way("`ca`, any name", "verify-ca"),
            Way("`ca`", "verify-full"), Way("`ca`, direct TLS", "verify-full", {"negotiation": "direct"})]


NODE_BOUND = Way("`ca`, `enableChannelBinding`", "verify-full", {"binding": "require"}, True)

CLIENTS = [
    TlsClient("psycopg3", "psycopg 3", [*PYTHON, "tls/psycopg3.py"],
              ways(*MODES) + ways(*MODES, bound=True), quick=True),
    TlsClient("asyncpg", "asyncpg", [*PYTHON, "tls/asyncpg.py"], ways(*MODES), quick=True),
    TlsClient("jdbc", "pgjdbc", ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{JDBC}:{BUILD}", "JdbcTls"], ways(*MODES),
              ["javac", "-cp", JDBC, "-d", BUILD, "tls/JdbcTls.java"], has_revocation=False, key="key_der"),
    TlsClient("node-pg", "node `pg`", ["node", "tls/node-pg.js"], [*of_node(), NODE_BOUND]),
    TlsClient("postgres-js", "node `postgres`", ["node", "tls/postgres-js.js"], of_node(Way("`prefer`", "prefer"))),
]

# What a client that verifies is shown, and what a listener that verifies is.
SERVERS = {"expired": "expired_server", "self-signed": "own_server", "for another name": "wrong_server",
           "revoked": "revoked_server"}
OWN = {"none": None, "expired": "expired", "self-signed": "own", "of another authority": "foreign",
       "revoked": "revoked", "for another principal": "nobody"}


class Script:
    """A running script: see tests/clients/shared/turns.py."""

    def __init__(self, client):
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "BULKHEAD_"))}
        environment |= {"NODE_PATH": f"{BUILD}/node_modules", "PYTHONPATH": str(FOLDER / "shared"),
                        "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8"}
        self.process = subprocess.Popen(["timeout", str(TIMEOUT), *client.command], env=environment, cwd=FOLDER,
                                        text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.version = self.read().removeprefix("version ")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(TIMEOUT)
        self.process.stdout.close()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"{self.process.args} has ended")
        return line.rstrip("\n")

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.read()


class TlsGround:
    """A stand, certificates, and for each client what it has come to."""

    def __init__(self, template):
        self.stand = Stand(template)
        self.folder = tempfile.TemporaryDirectory(prefix="bulkhead-tls-")
        self.outcomes, self.versions = {}, {}

    def __enter__(self):
        self.stand.start()
        self.stand.principal("watcher")
        self.pki = make_pki(Path(self.folder.name))
        self.rsa = self.pki.ca.issue("rsa", names=["DNS:localhost"], kind="RSA")
        return self

    def __exit__(self, *_):
        self.stand.remove()
        self.folder.cleanup()

    def proxy(self, certificate, mode):
        return self.stand.proxy(
            bulkhead={"stats_users": "watcher"},
            listen__default=listen(certificate, mode, ca_file=self.pki.ca.cert, crl_file=self.pki.ca.crl))

    def attempt(self, script, proxy, client, way, certificate=None, verifies=True):
        """What Bulkhead says of the connection: True encrypted, False plain, None refused."""
        options = {"host": "localhost", "port": proxy.port, "database": DATABASE, "user": f"{PRINCIPAL}.{TENANT}",
                   "password": self.stand.password, "mode": way.mode, **way.more}
        if way.mode.startswith("verify"):
            options |= {"ca": self.pki.ca.cert}
            if client.has_revocation and verifies:
                options |= {"crl": self.pki.ca.crl}
        if certificate:
            options |= {"cert": certificate.cert, "key": self.key_of(client, certificate)}
        said = script.tell("\t".join(f"{name}={value}" for name, value in options.items()))
        if said.startswith("out "):
            return None
        assert said == f"in {ROWS}", said
        with proxy.connect(user="watcher", dbname="bulkhead", unix=True, prepare_threshold=None) as console:
            cursor = console.execute("SHOW CLIENTS")
            names = [column.name for column in cursor.description]
            (seen,) = [row for row in (dict(zip(names, row)) for row in cursor.fetchall()) if row["user"] == PRINCIPAL]
        assert script.tell("") == "closed"
        return bool(seen["tls"])

    @staticmethod
    def key_of(client, certificate):
        if client.key == "key":
            return certificate.key
        path = certificate.key.with_suffix(".pk8")
        if not path.exists():
            openssl("pkcs8", "-topk8", "-nocrypt", "-in", certificate.key, "-outform", "DER", "-out", path)
            path.chmod(0o600)
        return path

    def play(self, client):
        """All of it; lines that tell what is not as it has to be."""
        if trouble := build(client.prepare):
            return [f"{client.name}: {trouble}"]
        wrong = []

        def note(table, row, column, found, expected):
            self.outcomes.setdefault(client.name, {}).setdefault(table, {}).setdefault(row, {})[column] = found
            if found != expected:
                wrong.append(f"{client.name}, {row}, {column}: {found} and not {expected}")

        with Script(client) as script:
            self.versions[client.name] = script.version
            for mode in ASKED:
                with self.proxy(self.pki.server, mode) as proxy:
                    for way in client.ways:
                        certificate = self.pki.shop if mode.startswith("verify") else None
                        note("modes", way.title, mode, self.attempt(script, proxy, client, way, certificate),
                             way.expected(mode))
            self.play_certificates(script, client, note)
        return wrong

    def play_certificates(self, script, client, note):
        strict = next(way for way in client.ways if way.mode == "verify-full")
        lax = next(way for way in client.ways if way.mode == "require")
        for title, name in SERVERS.items():
            if title == "revoked" and not client.has_revocation:
                continue
            with self.proxy(getattr(self.pki, name), "require") as proxy:
                note("servers", "server", title, self.attempt(script, proxy, client, strict), None)
                # The same where nobody looks: it is the certificate that was refused.
                note("unverified", "server", title, self.attempt(script, proxy, client, lax), True)
        with self.proxy(self.pki.server, "verify-full") as proxy:
            for title, name in OWN.items():
                certificate = getattr(self.pki, name) if name else None
                note("clients", "client", title, self.attempt(script, proxy, client, strict, certificate), None)

    def ciphers(self):
        """What a listener takes by default, for each kind of key and each version."""
        found = {}
        for kind, certificate in {"ECDSA": self.pki.server, "RSA": self.rsa}.items():
            with self.proxy(certificate, "require") as proxy:
                found[kind] = {version: accepted(proxy.port, version) for version in VERSIONS}
        return found


# ---- the page ----

PAGE = """# TLS: clients, listeners, ciphers

Written by `make test-tls-clients` (a part of `make test-clients`), which runs the scripts of
[tests/clients/tls](../tests/clients/tls) and fails where something else than this comes out. Do not edit it.

What a connection has come to is what Bulkhead's console says of it: **TLS**, plain, or – for refused.

## Modes

In rows what the client asks for, in columns `client_tls_sslmode` of the listener. To listeners that verify, clients
show a certificate that is good; *bound* is `channel_binding=require`.

{modes}

## Certificates that are no good

With `verify-full` on the side that looks. Each of the servers' certificates was taken by the same client where it does
not verify: it is the certificate that was refused.

{certificates}

A blank is where the library cannot be given a list of revoked certificates.

## Ciphers

Every number that a cipher can have was offered in each version of the protocol, by ClientHellos made by hand, since an
OpenSSL of today cannot offer the old ones. A listener takes these, with the settings of section `[tls]` as they are
by default, the best first:

{ciphers}

There is no SSL 2 and no SSL 3, no TLS before 1.2, nothing anonymous, without encryption, of export strength, with RC4,
DES, 3DES, MD5 or SHA-1, no CBC, no key exchange without forward secrecy, and neither renegotiation nor compression.
"""


def cell(found):
    return {True: "**TLS**", False: "plain", None: "–"}[found]


def lines_of(head, rows):
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def modes_table(ground):
    rows = []
    for client in CLIENTS:
        title = f"{client.title} {ground.versions[client.name]}"
        for way in client.ways:
            found = ground.outcomes[client.name]["modes"][way.title]
            rows.append([title, way.title, *(cell(found[mode]) for mode in ASKED)])
            title = ""  # of the rows below, the same
    return lines_of(["client", "asks for", *ASKED], rows)


def certificates_table(ground):
    rows = []
    for kind, titles in {"servers": SERVERS, "clients": OWN}.items():
        for title in titles:
            found = [ground.outcomes[client.name][kind][kind[:-1]] for client in CLIENTS]
            rows.append([f"{kind[:-1]}'s: {title}", *(cell(one[title]) if title in one else "" for one in found)])
    return lines_of(["certificate", *(client.title for client in CLIENTS)], rows)


def ciphers_table(found):
    rows = [[version, *(" ".join(f"`{name}`" for name in found[kind][version]) or "–" for kind in found)]
            for version in VERSIONS]
    return lines_of(["protocol", *(f"{kind} certificate" for kind in found)], rows)


def write_docs(path, ground):
    path.write_text(PAGE.format(modes=modes_table(ground), certificates=certificates_table(ground),
                                ciphers=ciphers_table(ground.ciphers())))
