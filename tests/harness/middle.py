"""A man in the middle between Bulkhead and PostgreSQL, for tests that spoil what passes.

    with Middle(postgres.port) as middle:                  # Bulkhead's cluster gets the settings `middle.cluster`
        middle.rule(DISCARD, "Z", drop)                    # the next ReadyForQuery behind a DISCARD ALL
        held = middle.rule(ENTER, "D", hold())
        held.action.reached.wait(5)                        # the row is here, and Bulkhead waits for it
        held.action.release()
        assert middle.early_messages(stand.ids) == []

Messages are framed in both directions. Each belongs to an exchange, from its first message up to the
ReadyForQuery that ends it, and the exchange has a name by what Bulkhead asked: LOGIN, PROBE and CHECK open
a connection, DISCARD, ENTER, SETTINGS and BEGIN hand it over, STATE asks what is left in it, CLIENT is everything else.

A rule takes the n-th message of a type in an exchange of a name, and its action decides what is passed
on in its place. Actions are coroutines `action(link, message)` that return the bytes to pass on; they run
in the middle's own thread, in which everything is recorded in the order in which it happens.
"""

import asyncio
import re
import socket
import struct
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass

from harness.postgres import HOST
from harness.wire import CODE_CANCEL, Message, data_row

LOGIN, PROBE, CHECK = "login", "probe", "check"
DISCARD, ENTER, SETTINGS, BEGIN, STATE = "discard", "enter", "settings", "begin", "state"
CLIENT, CANCEL = "client", "cancel"
HANDOVER = (DISCARD, ENTER, SETTINGS, BEGIN, STATE)

FROM_SERVER, FROM_BULKHEAD = "<", ">"

NAMES = [
    (re.compile(r"SET backtrace_functions = 'bulkhead_probe'"), PROBE),
    (re.compile(r"SELECT .* FROM bulkhead\.(self|login)_check\(\)"), CHECK),
    (re.compile(r"(--[^\n]*\n)*WITH me AS \(.*", re.S), CHECK),
    (re.compile(r"DISCARD ALL|CLOSE ALL;.*;DISCARD SEQUENCES"), DISCARD),
    (re.compile(r"SELECT bulkhead\.enter\(\$1,\$2,\$3,\$4,\$5\)"), ENTER),
    (re.compile(r'((RE)?SET "|CALL bulkhead\.set_all\().*;', re.S), SETTINGS),
    (re.compile(r"SELECT (bulkhead\.session_state\(\d+\)|0)(, (pg_catalog\.current|bulkhead\.session)_setting\(.*\))*"), STATE),
    (re.compile(r"\s*(BEGIN|START\s+TRANSACTION|SET\s+TRANSACTION)\b[^;]*;?\s*", re.I), BEGIN),
    (re.compile(r'ROLLBACK TO SAVEPOINT "bulkhead: cancelled"'), BEGIN),
]


def name_of(sql):
    return next((name for pattern, name in NAMES if pattern.fullmatch(sql)), CLIENT)


# ---- actions ----

async def drop(_link, _message):
    return b""


async def twice(_link, message):
    return message + message


async def close(link, _message):
    """The connection ends in place of the message."""
    link.end()
    return b""


async def reset(link, _message):
    """The connection is reset in place of the message."""
    link.end(by_reset=True)
    return b""


async def split(link, message):
    """Every byte of the message goes out in a packet of its own."""
    link.byte_wise = True
    return message


async def swap(link, message):
    """The next message of the same direction overtakes this one."""
    link.overtaken = message
    return b""


def replace(data):
    async def action(_link, _message):
        return data
    return action


def before(data):
    async def action(_link, message):
        return data + message
    return action


def after(data):
    async def action(_link, message):
        return message + data
    return action


def edit(function):
    """`function` makes the bytes to pass on of those of the message."""
    async def action(_link, message):
        return function(message)
    return action


def cut(count):
    """The first `count` bytes of the message, then the end of the connection."""
    async def action(link, message):
        link.write(FROM_SERVER, message[:count])
        link.end()
        return b""
    return action


class hold:
    """Keeps one direction of a connection waiting at the message. `reached`: it is here; `release` lets it go."""

    def __init__(self):
        self.reached = threading.Event()
        self._loop = self._go = None
        self._released = False

    async def __call__(self, _link, message):
        self._loop, self._go = asyncio.get_running_loop(), asyncio.Event()
        self.reached.set()
        if not self._released:
            await self._go.wait()
        return message

    def release(self):
        self._released = True
        if self._loop:
            self._loop.call_soon_threadsafe(self._go.set)


# ---- rules ----

class Rule:
    """`times`: how often it acts, None for always. `fired` is set when it has acted for the first time."""

    def __init__(self, way, exchange, kind, action, nth, times):
        self.way, self.exchange, self.kind = way, exchange, kind
        self.action, self.nth, self.times = action, nth, times
        self.fired = threading.Event()
        self.links = []

    def takes(self, way, exchange, kind):
        if (way, exchange.name, kind) != (self.way, self.exchange, self.kind) or self.times == 0:
            return False
        return exchange.seen[way + kind] == self.nth


class Exchange:
    """What was asked, up to its ReadyForQuery. `is_open`: of the extended protocol and not yet synced."""

    def __init__(self, name, is_open=False):
        self.name, self.is_open = name, is_open
        self.seen = Counter()


@dataclass
class Event:
    way: str
    exchange: str
    message: Message

    def __repr__(self):
        return f"{self.way}{self.exchange}:{self.message.type}{self.message.body[:60]!r}"


# ---- connections ----

def frame(data, untyped):
    """The length of the message that `data` begins with, or None while it is not whole."""
    header = 4 if untyped else 5
    if len(data) < header:
        return None
    size = struct.unpack_from("!I", data, header - 4)[0] + header - 4
    return size if len(data) >= size else None


class Link:
    """One connection of Bulkhead's and the one to PostgreSQL that stands for it."""

    def __init__(self, middle, bulkhead, server):
        self.middle = middle
        self.writers = {FROM_SERVER: bulkhead, FROM_BULKHEAD: server}
        self.exchanges = deque()
        self.last = Exchange(LOGIN)
        self.events = []
        self.backend_pid = None
        self.ended = False
        self.byte_wise = False
        self.overtaken = b""

    def is_silent(self, way, seconds=0.1):
        """Does nothing pass that way for so long?"""
        before = sum(event.way == way for event in list(self.events))
        time.sleep(seconds)
        return sum(event.way == way for event in list(self.events)) == before

    def was_told(self, exchange, sqlstate):
        """Has Bulkhead been given this error in an exchange of that name?"""
        return any(event.way == FROM_SERVER and event.exchange == exchange and event.message.type == "E"
                   and event.message.fields.get("C") == sqlstate for event in list(self.events))

    @property
    def is_cancel(self):
        return any(event.exchange == CANCEL for event in self.events)

    def write(self, way, data):
        if not self.ended and data:
            self.writers[way].write(data)

    async def drain(self, way):
        try:
            await self.writers[way].drain()
        except OSError:
            self.end()

    def end(self, by_reset=False):
        """Ends both connections; what was written before still goes out unless it is a reset."""
        if self.ended:
            return
        self.ended = True
        if by_reset:
            bulkhead = self.writers[FROM_SERVER].transport
            bulkhead.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            bulkhead.abort()
        for writer in self.writers.values():
            writer.close()

    def ask(self, kind, body):
        """The exchange that a message from Bulkhead belongs to."""
        newest = self.exchanges[-1] if self.exchanges else None
        if kind in "QF":
            newest = Exchange(name_of(body[:-1].decode()) if kind == "Q" else CLIENT)
            self.exchanges.append(newest)
        elif kind in "PBDECHS":
            if newest is None or not newest.is_open:
                name = name_of(body.split(b"\0")[1].decode()) if kind == "P" else CLIENT
                newest = Exchange(name, is_open=True)
                self.exchanges.append(newest)
            newest.is_open = kind != "S"
        return newest or Exchange(CLIENT)

    def answer(self, kind):
        """The exchange that a message from PostgreSQL belongs to."""
        if self.exchanges:
            self.last = self.exchanges[0]
            if kind == "Z":
                self.exchanges.popleft()
        return self.last

    def classify(self, way, data, untyped):
        if untyped:
            code = struct.unpack_from("!I", data, 4)[0]
            exchange = Exchange(CANCEL if code == CODE_CANCEL else LOGIN)
            self.exchanges.append(exchange)
            return exchange, Message("", data[4:])
        message = Message(chr(data[0]), data[5:])
        if way == FROM_SERVER:
            if message.type == "K":
                self.backend_pid, = struct.unpack_from("!I", message.body)
            return self.answer(message.type), message
        if self.exchanges and self.exchanges[0].name == LOGIN:
            return self.exchanges[0], message
        return self.ask(message.type, message.body), message

    def note(self, way, exchange, data):
        """Records every whole message of what is passed on to Bulkhead, or has come from it."""
        while data and (size := frame(data, False)):
            self.events.append(Event(way, exchange, Message(chr(data[0]), data[5:size])))
            data = data[size:]

    async def pass_on(self, way, data, untyped):
        exchange, message = self.classify(way, data, untyped)
        exchange.seen[way + message.type] += 1
        if way == FROM_BULKHEAD:
            self.events.append(Event(way, exchange.name, message))
        rule = self.middle.find_rule(way, exchange, message.type)
        overtaken, self.overtaken = self.overtaken, b""
        if rule:
            rule.links.append(self)
            rule.fired.set()
            data = await rule.action(self, data)
        data += overtaken
        if way == FROM_SERVER:
            self.note(way, exchange.name, data)
        step = 1 if self.byte_wise else len(data) or 1
        for at in range(0, len(data), step):
            self.write(way, data[at:at + step])
            await self.drain(way)
            await asyncio.sleep(0.0005 if self.byte_wise else 0)
        self.byte_wise = False

    async def pump(self, way, reader):
        rest, untyped = b"", way == FROM_BULKHEAD
        try:
            while data := await reader.read(65536):
                rest += data
                while (size := frame(rest, untyped)) is not None:
                    whole, rest = rest[:size], rest[size:]
                    await self.pass_on(way, whole, untyped)
                    untyped = False
        except OSError:
            pass
        self.end()


class Middle:
    """Listens on `port` of the loopback address and connects to PostgreSQL's own for each connection."""

    def __init__(self, server_port):
        self.server_port = server_port
        self.port = None
        self.links = []
        self.rules = []
        self._loop = asyncio.new_event_loop()
        self._tasks = set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()

    def __enter__(self):
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self):
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, HOST, 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        for link in self.links:
            link.end()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    @property
    def cluster(self):
        """Settings of a cluster that lead here, without TLS: nothing could be read in the middle."""
        return {"port": self.port, "server_tls_sslmode": "disable"}

    async def _serve(self, reader, writer):
        try:
            server_reader, server_writer = await asyncio.open_connection(HOST, self.server_port)
        except OSError:
            writer.close()
            return
        for side in (writer, server_writer):
            side.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = Link(self, writer, server_writer)
        self.links.append(link)
        await asyncio.gather(link.pump(FROM_BULKHEAD, reader), link.pump(FROM_SERVER, server_reader))

    def find_rule(self, way, exchange, kind):
        for rule in self.rules:
            if rule.takes(way, exchange, kind):
                if rule.times is not None:
                    rule.times -= 1
                return rule
        return None

    def rule(self, exchange, kind, action, way=FROM_SERVER, nth=1, times=1):
        """Adds a rule; of several that fit, the oldest acts."""
        rule = Rule(way, exchange, kind, action, nth, times)
        self.rules.append(rule)
        return rule

    def clear(self):
        """Forgets all rules and all connections that have ended."""
        self.rules = []
        self.links = [link for link in self.links if not link.ended]

    def end_all(self):
        """Ends all connections that there are."""
        async def end():
            for link in self.links:
                link.end()
        asyncio.run_coroutine_threadsafe(end(), self._loop).result()

    # ---- what was seen ----

    def sent(self, exchange, kind):
        """All messages of a type that Bulkhead sent in exchanges of a name, oldest connection first."""
        return [event.message for link in list(self.links) for event in list(link.events)
                if (event.way, event.exchange, event.message.type) == (FROM_BULKHEAD, exchange, kind)]

    def early_messages(self, ids):
        """
        Client messages that Bulkhead let out too early, or into a context that was not theirs.

        Before one of them every exchange of the hand-over must have been answered up to its ReadyForQuery,
        DISCARD ALL and enter without an error, and enter by one row with the seal of the tenant whose name
        stands in the message as a comment. `ids` are the tenants' ids by those names.
        """
        names = {tenant.replace("-", ""): name for name, tenant in ids.items()}
        return [found for link in list(self.links) for found in early_messages(list(link.events), names)]


def early_messages(events, names):
    owed, failed, rows, inside = 0, False, [], None
    for event in events:
        kind, body, asked = event.message.type, event.message.body, event.way == FROM_BULKHEAD
        if event.exchange in HANDOVER:
            owed += (kind in "QS") if asked else -(kind == "Z")
            failed |= kind == "E" and not asked and event.exchange in (DISCARD, ENTER)
        if event.exchange == DISCARD and asked:
            inside = None
        elif event.exchange == ENTER and not asked and kind == "D":
            rows.append(body)
        elif event.exchange == ENTER and not asked and kind == "Z":
            inside, rows = tenant_of(rows, names), []
        elif event.exchange == CLIENT and asked and kind != "X":
            marked = re.search(rb"/\*([a-z-]+)\*/", body)
            if owed > 0 or failed or (marked and marked.group(1).decode() != inside):
                yield f"{event} with {owed} answers owed{' behind a failure' * failed}, inside {inside}"


def tenant_of(rows, names):
    """The tenant in whose context the rows of an enter say the backend is, or None when they say nothing clear."""
    try:
        (seal,), = map(data_row, set(rows))
        tenant, _key = seal.decode().split(",")
    except (AssertionError, AttributeError, ValueError):
        return None
    return names.get(tenant)


def bind_values(body):
    """The values of a Bind; those of Bulkhead's enter are kid, tenant, key, expires and mac."""
    at = body.index(b"\0", body.index(b"\0") + 1) + 1
    formats = struct.unpack_from("!H", body, at)[0]
    at += 2 + 2 * formats
    count = struct.unpack_from("!H", body, at)[0]
    values, at = [], at + 2
    for _ in range(count):
        size, = struct.unpack_from("!i", body, at)
        values.append(None if size < 0 else body[at + 4:at + 4 + size])
        at += 4 + max(size, 0)
    return values
