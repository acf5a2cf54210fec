"""Clients that work without a pause while Bulkhead is replaced under them, and remember what they were promised.

    fleet = Fleet(lambda: Wire..., clients=200)
    fleet.start()            # in a thread of its own
    ... restart ...
    fleet.stop()
    assert not fleet.broken

A piece of work is a list of requests, each answered up to ReadyForQuery. One has begun when its first request is
answered. What may happen to a client is that the first request is answered with a FATAL that promises that nothing
was carried out; everything else is noted in `broken`.
"""

import random
import selectors
import threading
import time

from harness.wire import WireError, bind, execute, parse, query, sync

READY = b"Z\0\0\0\5"
PROMISE = "reason=BH-NET-DRAINED"


def transaction(number):
    return [query("BEGIN"), query(f"INSERT INTO orders (id, item) VALUES ({number}, 'drain')"), query("COMMIT")]


def alone(number):
    return [query(f"INSERT INTO orders (id, item) VALUES ({number}, 'drain')")]


def extended(number):
    def run(sql):
        return parse(sql) + bind() + execute() + sync()
    insert = f"INSERT INTO orders (id, item) VALUES ({number}, 'drain')"
    return [run(sql) for sql in ("BEGIN", insert, "SELECT 1", "COMMIT")]


class Client:
    """One connection after the other, and the work at hand."""

    def __init__(self, fleet, number):
        self.fleet = fleet
        self.random = random.Random(number)
        self.wire = None
        self.work = self.answer = None
        self.at = self.row = 0
        self.due = time.monotonic()  # when the next request is to be sent, or None: an answer is awaited

    def connect(self):
        try:
            self.wire = self.fleet.connect()
        except WireError as refused:
            assert refused.sqlstate == "57P03", refused
        except OSError:
            pass
        if self.wire is None:
            self.due = time.monotonic() + 0.02
            return
        self.work, self.at = None, 0
        self.answer = self.wire.unread  # last words may stand behind the greeting, and have been read with it
        self.fleet.selector.register(self.wire.socket, selectors.EVENT_READ, self)

    def leave(self):
        self.fleet.selector.unregister(self.wire.socket)
        self.wire.close()
        self.wire = None
        self.due = time.monotonic()

    def step(self):
        """Sends what is due."""
        if self.wire is None:
            self.connect()
            return
        if self.work is None:
            self.row = self.fleet.next_row()
            self.work = self.random.choice((transaction, alone, extended))(self.row)
            self.at = 0
        self.due = None
        try:
            self.wire.socket.sendall(self.work[self.at])
        except OSError:
            pass  # what was said before is still to be read

    def read(self):
        try:
            data = self.wire.socket.recv(65536)
        except OSError:
            data = b""
        self.answer = (self.answer or b"") + data
        end = self.answer.find(READY)
        if end >= 0 and self.due is None:
            self.answered(self.answer[:end])
            self.answer = self.answer[end + len(READY) + 1:]  # last words may stand behind it
        if not data:
            self.over()

    def answered(self, answer):
        if b"SERROR" in answer:
            self.fleet.broken.append((self.at, answer))
        self.at += 1
        if self.at == len(self.work):
            self.fleet.promised.add(self.row)
            self.work = None
        self.due = time.monotonic() + self.random.choice((0, 0, 0.001, 0.02))

    def over(self):
        """The connection has ended."""
        told = PROMISE.encode() in self.answer
        begun = self.work is not None and self.at > 0
        if begun or not told:
            self.fleet.broken.append((self.at, self.answer[-300:]))
        elif self.work is not None:
            self.fleet.denied.add(self.row)
        self.leave()


class Fleet:
    def __init__(self, connect, clients):
        self.connect = connect
        self.selector = selectors.DefaultSelector()
        self.clients = [Client(self, number) for number in range(clients)]
        self.promised, self.denied, self.broken = set(), set(), []
        self.rows = 1_000_000
        self.is_stopping = False
        self.failure = None
        self.thread = threading.Thread(target=self._run)

    def next_row(self):
        self.rows += 1
        return self.rows

    def start(self):
        self.thread.start()

    def stop(self):
        """Pieces of work that have begun are done to their ends."""
        self.is_stopping = True
        self.thread.join(60)
        assert not self.thread.is_alive(), "some answer never came"
        if self.failure:
            raise self.failure

    def _run(self):
        try:
            while not self._is_done():
                now = time.monotonic()
                for client in self.clients:
                    is_free = self.is_stopping and (client.wire is None or client.work is None)
                    if client.due is not None and client.due <= now and not is_free:
                        client.step()
                for key, _ in self.selector.select(0.002):
                    key.data.read()
        except BaseException as failure:  # shown by stop()
            self.failure = failure
        for client in self.clients:
            if client.wire:
                client.leave()

    def _is_done(self):
        return self.is_stopping and all(client.wire is None or client.work is None for client in self.clients)
