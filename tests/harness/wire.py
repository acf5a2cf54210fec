"""A client of the PostgreSQL wire protocol, for tests that care about single bytes.

    with Wire.connect(host, port) as wire:                   # or Wire.connect("/socket/dir", port)
        wire.login({"user": "shop", "database": "app"}, password="secret")
        wire.send(query("SELECT 1"))
        assert types(wire.until_ready()) == "TDCZ"

Nothing is sent that the test did not ask for, and nothing is hidden: every message that comes in is a
Message with its type and body. Builders (query, parse, bind ...) return bytes, so that a test may join,
cut or spoil them before it sends them. Source: PostgreSQL documentation, "Frontend/Backend Protocol".
"""

import base64
import functools
import hashlib
import hmac
import os
import secrets
import socket
import struct
from dataclasses import dataclass

VERSION_3_0 = 0x30000
VERSION_3_2 = 0x30002
CODE_CANCEL = 80877102
CODE_SSL = 80877103
CODE_GSSENC = 80877104

AUTH_OK, AUTH_CLEARTEXT, AUTH_MD5 = 0, 3, 5
AUTH_SASL, AUTH_SASL_CONTINUE, AUTH_SASL_FINAL = 10, 11, 12
SCRAM = "SCRAM-SHA-256"

TIMEOUT = 20  # seconds that one read may take


class WireError(Exception):
    """The peer sent an ErrorResponse where the helper expected none; `fields` as error_fields gives them."""

    def __init__(self, fields):
        super().__init__(f"{fields.get('C')}: {fields.get('M')} ({fields.get('D')})")
        self.fields = fields
        self.sqlstate = fields.get("C")

    @property
    def why(self):
        """SQLSTATE and reason code, as ("53300", "BH-LIM-CLIENTS")."""
        return why(self.fields)


@dataclass
class Message:
    type: str
    body: bytes

    @property
    def fields(self):
        """The fields of an ErrorResponse or NoticeResponse, by their letters."""
        return error_fields(self.body)

    @property
    def tag(self):
        """The tag of a CommandComplete."""
        assert self.type == "C"
        return self.body.rstrip(b"\0").decode()

    @property
    def status(self):
        """The transaction status of a ReadyForQuery."""
        assert self.type == "Z"
        return self.body.decode()

    @property
    def sender(self):
        """The pid in a NotificationResponse."""
        assert self.type == "A"
        return int.from_bytes(self.body[:4], "big")

    @property
    def row(self):
        """The columns of a DataRow as bytes, None for NULL."""
        assert self.type == "D"
        return data_row(self.body)


# ---- builders ----

def cstr(text):
    return as_bytes(text) + b"\0"


def as_bytes(value):
    return value if isinstance(value, bytes) else str(value).encode()


def message(kind, body=b""):
    return kind.encode() + struct.pack("!I", len(body) + 4) + body


def packet(code, body=b""):
    """A message without a type: what a connection begins with."""
    return struct.pack("!II", len(body) + 8, code) + body


def startup(keys, version=VERSION_3_0):
    """`keys` is a dict or a list of pairs; a list may hold a key twice."""
    pairs = keys.items() if isinstance(keys, dict) else keys
    return packet(version, b"".join(cstr(name) + cstr(value) for name, value in pairs) + b"\0")


def ssl_request():
    return packet(CODE_SSL)


def gssenc_request():
    return packet(CODE_GSSENC)


def cancel_request(pid, key):
    return packet(CODE_CANCEL, struct.pack("!I", pid) + key)


def query(sql):
    return message("Q", cstr(sql))


def parse(sql, name="", types=()):
    return message("P", cstr(name) + cstr(sql) + struct.pack(f"!H{len(types)}I", len(types), *types))


def bind(values=(), statement="", portal="", formats=(), result_formats=()):
    """Values are text or bytes, None for NULL; a format is 0 for text, 1 for binary."""
    body = cstr(portal) + cstr(statement)
    body += struct.pack(f"!H{len(formats)}H", len(formats), *formats) + struct.pack("!H", len(values))
    for value in values:
        if value is None:
            body += struct.pack("!i", -1)
        else:
            data = as_bytes(value)
            body += struct.pack("!I", len(data)) + data
    return message("B", body + struct.pack(f"!H{len(result_formats)}H", len(result_formats), *result_formats))


def describe(name="", kind="S"):
    """`kind` is S for a statement, P for a portal."""
    return message("D", kind.encode() + cstr(name))


def close(name="", kind="S"):
    return message("C", kind.encode() + cstr(name))


def execute(portal="", max_rows=0):
    return message("E", cstr(portal) + struct.pack("!I", max_rows))


def sync():
    return message("S")


def flush():
    return message("H")


def copy_data(data):
    return message("d", as_bytes(data))


def copy_done():
    return message("c")


def copy_fail(why):
    return message("f", cstr(why))


def function_call(oid, values=()):
    body = struct.pack("!IHH", oid, 0, len(values))
    for value in values:
        data = as_bytes(value)
        body += struct.pack("!I", len(data)) + data
    return message("F", body + struct.pack("!H", 0))


def password_message(data):
    """PasswordMessage, SASLInitialResponse and SASLResponse have one type."""
    return message("p", as_bytes(data))


def terminate():
    return message("X")


# ---- readers ----

def error_fields(body):
    return {part[:1].decode(): part[1:].decode(errors="replace") for part in body.split(b"\0") if part}


def data_row(body):
    count, = struct.unpack_from("!H", body)
    at, values = 2, []
    for _ in range(count):
        size, = struct.unpack_from("!i", body, at)
        at += 4
        values.append(None if size < 0 else body[at:at + size])
        at += max(size, 0)
    assert at == len(body), "bytes behind the last column"
    return values


def types(messages):
    """The types of some messages as one string, without what may come at any time (N, S, A)."""
    return "".join(m.type for m in messages if m.type not in "NSA")


def rows(messages):
    """All rows as lists of text."""
    return [[None if value is None else value.decode() for value in m.row] for m in messages if m.type == "D"]


def why(fields):
    """SQLSTATE of an error, and the reason code in its DETAIL or None."""
    detail = fields.get("D", "")
    return fields.get("C"), detail.split("reason=")[1].split()[0] if "reason=" in detail else None


def errors(messages):
    """The SQLSTATEs of all errors."""
    return [m.fields.get("C") for m in messages if m.type == "E"]


# ---- SCRAM-SHA-256 (RFC 5802, RFC 7677), the client's side; passwords in ASCII ----

@functools.lru_cache(64)
def salted_password(password, salt, iterations):
    """Slow by intent, and the same at each login of a principal."""
    return hashlib.pbkdf2_hmac("sha256", password, salt, iterations)


class ScramClient:
    """Step by step, so that a test may change what is sent. Use: first, final(server_first), verify."""

    def __init__(self, password, name="", gs2="n,,", nonce=None, binding=b""):
        """`binding` is what a gs2 of `p=…,,` binds to."""
        self.password = password.encode()
        self.gs2, self.binding = gs2, binding
        self.nonce = nonce or secrets.token_urlsafe(18)
        self.bare = f"n={name},r={self.nonce}"
        self.signature = None

    def first(self):
        return (self.gs2 + self.bare).encode()

    def final(self, server_first):
        server_first = server_first.decode()
        part = dict(item.split("=", 1) for item in server_first.split(","))
        salted = salted_password(self.password, base64.b64decode(part["s"]), int(part["i"]))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        without_proof = f"c={base64.b64encode(self.gs2.encode() + self.binding).decode()},r={part['r']}"
        signed = f"{self.bare},{server_first},{without_proof}".encode()
        mask = hmac.digest(hashlib.sha256(client_key).digest(), signed, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, mask))
        self.signature = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), signed, "sha256")
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def verify(self, server_final):
        assert server_final == b"v=" + base64.b64encode(self.signature), "the server did not prove itself"


def sasl_initial(data, mechanism=SCRAM):
    return password_message(cstr(mechanism) + struct.pack("!I", len(data)) + data)


def md5_password(user, password, salt):
    inner = hashlib.md5((password + user).encode()).hexdigest()
    return cstr("md5" + hashlib.md5(inner.encode() + salt).hexdigest())


# ---- the connection ----

class Wire:
    """One connection. After login: `parameters`, `pid`, `key`, and `greeting`, the messages of the login."""

    def __init__(self, connection):
        self.socket = connection
        self.socket.settimeout(TIMEOUT)
        self.unread = b""
        self.parameters = {}
        self.pid = self.key = None
        self.greeting = []

    @classmethod
    def connect(cls, host, port):
        """A host that begins with a slash is the folder of a unix socket."""
        if str(host).startswith("/"):
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(os.path.join(host, f".s.PGSQL.{port}"))
            except OSError:
                connection.close()
                raise
        else:
            connection = socket.create_connection((host, port), timeout=TIMEOUT)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(connection)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Closes the socket without a Terminate."""
        self.socket.close()

    def reset(self):
        """Closes the connection as a peer that crashed does, with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def send(self, *parts):
        """Sends all parts in one write."""
        self.socket.sendall(b"".join(parts))

    def send_slowly(self, data):
        """Sends byte by byte, each in a write of its own."""
        for i in range(len(data)):
            self.socket.sendall(data[i:i + 1])

    def _fill(self, size):
        while len(self.unread) < size:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError(f"the peer closed the connection with {self.unread!r} unread")
            self.unread += data

    def read_bytes(self, size):
        self._fill(size)
        data, self.unread = self.unread[:size], self.unread[size:]
        return data

    def read(self):
        """The next message, whatever it is. EOFError at the end of the connection."""
        self._fill(5)
        kind, size = struct.unpack_from("!cI", self.unread)
        found = Message(kind.decode("latin-1"), self.read_bytes(1 + size)[5:])
        if found.type == "S":
            name, value, _ = found.body.split(b"\0")
            self.parameters[name.decode()] = value.decode(errors="replace")
        return found

    def until(self, kinds):
        """All messages up to and with the first whose type is one of `kinds`."""
        found = [self.read()]
        while found[-1].type not in kinds:
            found.append(self.read())
        return found

    def until_ready(self, count=1):
        """All messages up to and with the count-th ReadyForQuery."""
        found = []
        for _ in range(count):
            found += self.until("Z")
        return found

    def until_end(self):
        """All messages until the peer closes the connection."""
        found = []
        try:
            while True:
                found.append(self.read())
        except (EOFError, ConnectionResetError):
            return found

    def is_silent(self, seconds=0.3):
        """Is there nothing to read for so long? The end of the connection counts as something."""
        if self.unread:
            return False
        self.socket.settimeout(seconds)
        try:
            self.socket.recv(1, socket.MSG_PEEK)
            return False
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(TIMEOUT)

    def login(self, keys, password=None, version=VERSION_3_0):
        """Sends the startup packet, authenticates and reads up to ReadyForQuery. WireError when refused."""
        self.authenticate(keys, password, version)
        return self.read_greeting()

    def authenticate(self, keys, password=None, version=VERSION_3_0):
        """The first part of a login, up to AuthenticationOk."""
        pairs = dict(keys)
        self.send(startup(keys, version))
        while True:
            found = self._read_or_fail()
            if found.type == "v":  # NegotiateProtocolVersion
                self.greeting.append(found)
                continue
            if found.type != "R":
                raise AssertionError(f"{found} where an authentication request belongs")
            request, = struct.unpack_from("!I", found.body)
            if request == AUTH_OK:
                return
            self._authenticate(request, found.body[4:], pairs["user"], password)

    def _read_or_fail(self):
        found = self.read()
        if found.type == "E":
            raise WireError(found.fields)
        return found

    def _authenticate(self, request, data, user, password):
        assert password is not None, f"the server asks for a password (request {request})"
        if request == AUTH_CLEARTEXT:
            self.send(password_message(cstr(password)))
        elif request == AUTH_MD5:
            self.send(password_message(md5_password(user, password, data)))
        elif request == AUTH_SASL:
            assert SCRAM.encode() in data.split(b"\0")
            self._scram(password)
        else:
            raise AssertionError(f"unknown authentication request {request}")

    def read_sasl(self, request):
        """The data of the next SASL message, which must be of this request."""
        found = self._read_or_fail()
        assert found.type == "R" and struct.unpack_from("!I", found.body) == (request,), found
        return found.body[4:]

    def _scram(self, password):
        scram = ScramClient(password)
        self.send(sasl_initial(scram.first()))
        self.send(password_message(scram.final(self.read_sasl(AUTH_SASL_CONTINUE))))
        scram.verify(self.read_sasl(AUTH_SASL_FINAL))

    def read_greeting(self):
        """The second part of a login."""
        while True:
            found = self._read_or_fail()
            self.greeting.append(found)
            if found.type == "K":
                self.pid, = struct.unpack_from("!I", found.body)
                self.key = found.body[4:]
            if found.type == "Z":
                return self

    def query(self, sql):
        """One Query and all its answers."""
        self.send(query(sql))
        return self.until_ready()

    def copy_in(self, sql, *chunks, fail=None):
        """COPY FROM STDIN by a Query: sends the chunks, then CopyDone, or CopyFail with a reason."""
        self.send(query(sql))
        answers = self.until("GZ")
        if answers[-1].type == "Z":
            return answers
        self.send(*map(copy_data, chunks), copy_done() if fail is None else copy_fail(fail))
        return answers + self.until_ready()

    def cancel(self):
        """Asks on a connection of its own to cancel what this one is doing; returns when that is closed."""
        with socket.socket(self.socket.family) as other:
            other.settimeout(TIMEOUT)
            other.connect(self.socket.getpeername())
            other.sendall(cancel_request(self.pid, self.key))
            assert other.recv(1) == b"", "a cancel request is never answered"
