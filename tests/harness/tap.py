"""A tap on the line between one client and Bulkhead: looks for words in what Bulkhead sends, and counts answers.

    tap = Tap(proxy.port, canaries(["a word", ...]))     # the client connects to tap.port, in the clear
    ...
    tap.close()
    assert tap.found == []

It knows the protocol just well enough to tell which statement of the simple protocol an answer is of. Every byte
from Bulkhead is searched, whatever message it is in, and across the borders of reads.
"""

import base64
import socket
import threading
from collections import Counter

from harness.postgres import HOST
from harness.wire import error_fields, query, why

READ = 1 << 16
EXAMPLES = 20


def canaries(words):
    """The forms in which a word can be seen, all in lower case as what is searched is, each with its word."""
    forms = {}
    for word in words:
        plain = word.lower().encode()
        for form in (plain, plain[::-1], plain.hex().encode(), plain.hex().encode()[::-1], *in_base64(plain)):
            forms[form] = word
    return forms


def in_base64(word):
    """What base64 makes of a word inside of something longer, at each of the three places where it can begin."""
    for before in range(3):
        code = base64.b64encode(b"\0" * before + word)
        first, last = -(-before * 8 // 6), (before + len(word)) * 8 // 6  # whole characters of the word alone
        yield code[first:last].lower()


class Search:
    """Looks through a stream of bytes that comes in pieces."""

    def __init__(self, forms):
        self.forms = forms
        self.longest = max(map(len, forms))
        self.tail = b""

    def feed(self, data):
        """The words whose last byte is in this piece."""
        text = self.tail + data.lower()
        found = {word for form, word in self.forms.items() if form in text}
        # What was found is not found again: a tail is shorter than the longest form, but may hold a shorter one.
        self.tail = b"" if found else text[-(self.longest - 1):]
        return found


class Frames:
    """Cuts a stream of bytes into messages. `untyped` messages begin it, as a client's startup packet does."""

    def __init__(self, untyped=0):
        self.untyped = untyped
        self.rest = b""

    def feed(self, data):
        """The whole messages, each as a type, b"" for one that has none, and all of its bytes."""
        rest, at = self.rest + data, 0
        while True:
            header = 4 if self.untyped else 5
            if len(rest) - at < header:
                break
            end = at + header - 4 + int.from_bytes(rest[at + header - 4:at + header], "big")
            if len(rest) < end:
                break
            yield rest[at:at + header - 4], rest[at:end]
            self.untyped, at = max(0, self.untyped - 1), end
        self.rest = rest[at:]


class Line(threading.Thread):
    """One connection. `answers` counts what statements came to: ("ok", "SELECT") or (SQLSTATE, reason or None)."""

    def __init__(self, tap, client):
        super().__init__(daemon=True)
        self.tap = tap
        self.client = client
        self.bulkhead = socket.create_connection((HOST, tap.target))
        self.search = Search(tap.forms)
        self.statement = None   # the text that is under way
        self.answer = None      # what has become of it so far
        self.answers = Counter()
        self.examples = {}      # the first EXAMPLES statements with each answer
        self.last = None        # what the statement before came to
        self.upward = threading.Thread(target=self.pump, daemon=True,
                                       args=(client, self.bulkhead, Frames(untyped=1), self.asked))

    def run(self):
        self.upward.start()
        self.pump(self.bulkhead, self.client, Frames(), self.answered)
        self.upward.join()
        self.client.close()
        self.bulkhead.close()

    @staticmethod
    def pump(near, far, frames, look):
        try:
            while data := near.recv(READ):
                far.sendall(look(data, frames))
        except OSError:
            pass
        for end in (near, far):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def asked(self, data, frames):
        """Passes whole messages on, statements as `rewrite` wants them."""
        out = b""
        for kind, frame in frames.feed(data):
            if kind == b"Q":
                self.statement = frame[5:-1].decode(errors="replace")
                frame = query(self.tap.rewrite(self, self.statement))
            out += frame
        return out

    def answered(self, data, frames):
        for word in self.search.feed(data):
            self.tap.found.append(f"{word} in the answer to: {self.statement}")
        for kind, frame in frames.feed(data):
            if kind == b"E":
                self.answer = why(error_fields(frame[5:]))
            elif kind == b"C" and self.answer is None:
                self.answer = ("ok", frame[5:-1].decode().split()[0])
            elif kind == b"Z" and self.statement is not None:
                if self.answer and not self.tap.ignored(self.statement):
                    self.answers[self.answer] += 1
                    examples = self.examples.setdefault(self.answer, [])
                    if len(examples) < EXAMPLES:
                        examples.append(self.statement)
                self.last, self.statement, self.answer = self.answer, None, None
        return data


class Tap:
    """
    `lines` are the connections in the order in which they came, `found` says where a word was seen.

    rewrite(line, statement) gives the text to send in a statement's place; statements that ignored(statement) is
    true of are not counted.
    """

    def __init__(self, target, forms, rewrite=lambda line, statement: statement, ignored=lambda statement: False):
        self.target, self.forms, self.rewrite, self.ignored = target, forms, rewrite, ignored
        self.found, self.lines = [], []
        self.listener = socket.create_server((HOST, 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
                line = Line(self, client)
            except OSError:  # closed, or Bulkhead is not there
                if self.listener.fileno() < 0:
                    return
                client.close()
                continue
            self.lines.append(line)
            line.start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()
        for line in self.lines:
            line.join(10)
