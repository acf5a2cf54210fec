"""
One client of the soak: it has a tenant, a thread for each round, and one connection after the other.

What it does on them is in work.py. Here is what holds for every answer: all of it is there, in order, and
belongs to the statement; an error is one that something that died explains; and a connection that ends has
been told why, unless the client itself, or the storm in its place, has cut it.
"""

import random
import time
import traceback

from harness.wire import TIMEOUT, WireError, errors, query, rows, terminate, types, why
from soak.account import Account, Inbox
from soak.stage import HOMES, items

# What a client may be told of backends and servers that die. The first two say that nothing of what it asked was run.
NEVER_RAN = {("08001", "BH-NET-BACKEND-DOWN"), ("08001", "BH-CTX-HANDOVER")}
TOLD = NEVER_RAN | {("08006", "BH-NET-BACKEND-LOST"), ("57P01", None)}

STARTUPS = [{}, {}, {"application_name": "soak"}, {"application_name": "söak", "DateStyle": "German, DMY"},
            {"DateStyle": "SQL, MDY"}, {"options": "-c work_mem=5MB"}]
STYLES = {None: "ISO, MDY", "German, DMY": "German, DMY", "SQL, MDY": "SQL, MDY"}


class Ended(Exception):
    """The connection has ended. `found`: what came before; `why`: SQLSTATE and reason, or None."""

    def __init__(self, found, reason):
        super().__init__(reason)
        self.found, self.why = found, reason


class Wrong(Exception):
    """Something that must never happen."""


class Expected:
    """The messages, rows and SQLSTATEs that answer what was sent; answers behind one another are added."""

    def __init__(self, kinds, row_list=(), failures=(), ready=1):
        self.kinds, self.rows, self.failures, self.ready = kinds, list(row_list), list(failures), ready

    def __add__(self, other):
        return Expected(self.kinds + other.kinds, self.rows + other.rows, self.failures + other.failures,
                        self.ready + other.ready)

    def is_all(self, found):
        return (types(found), rows(found), errors(found)) == (self.kinds, self.rows, self.failures)

    def is_begun(self, found):
        """Is that the beginning of the answer, as far as it came?"""
        got, seen, failed = types(found), rows(found), errors(found)
        return (self.kinds.startswith(got) and self.rows[:len(seen)] == seen
                and self.failures[:len(failed)] == failed)


NOTHING = Expected("", ready=0)


class Client:
    def __init__(self, soak, number, tenant):
        self.soak, self.number, self.tenant = soak, number, tenant
        self.random = random.Random(f"{soak.seed} {number}")
        self.items = items(tenant)
        self.account, self.inbox = Account(), Inbox()
        self.count = self.served = 0
        self.wire = self.startup = None
        self.forget()

    def forget(self):
        """What the session holds is gone with its connection."""
        self.pinned_until = None
        self.setting = self.temporary = None
        self.statements = set()

    def token(self):
        """Of one statement, and of no other."""
        self.count += 1
        return f"t{self.number}x{self.count}"

    def owns(self, token):
        return token.startswith(f"t{self.number}x")

    # ---- its life ----

    def run(self):
        try:
            while not self.soak.is_over():
                if self.connect():
                    self.live()
                else:
                    time.sleep(self.random.uniform(0.01, 0.05))
        except Exception:  # pylint: disable=broad-except
            self.soak.wrong(f"client {self.number} of {self.tenant}:\n{traceback.format_exc()}")

    def live(self):
        try:
            for _ in range(self.random.randint(1, 80)):
                if self.soak.is_over() or (self.pinned_until and time.monotonic() > self.pinned_until):
                    break
                self.soak.choose(self.random)(self)
                if self.random.random() < 0.1:
                    time.sleep(self.random.uniform(0, 0.02))
            self.leave()
        except Ended:
            pass
        finally:
            self.hang_up()

    def connect(self):
        self.startup = self.random.choice(STARTUPS)
        try:
            self.wire = self.soak.proxy.wire(self.tenant, trusted=self.random.random() < 0.7,
                                             dbname=HOMES[self.tenant], **self.startup)
        except WireError as error:
            self.judge(error.fields)
            return False
        self.wire.is_cut = False
        return True

    def leave(self):
        if self.random.random() < 0.7:
            self.send(terminate())
        elif self.random.random() < 0.5:
            self.wire.reset()

    def hang_up(self):
        if self.pinned_until:
            self.soak.pins[HOMES[self.tenant]].release()
        self.wire.close()
        self.forget()

    def cut(self):
        """The storm ends its connection, whatever it is doing."""
        wire = self.wire
        try:
            wire.is_cut = True
            wire.socket.shutdown(2)
        except (AttributeError, OSError):
            pass

    def may_pin(self):
        """A client may keep a backend if not too many of them do, and not for long."""
        if not self.pinned_until and self.soak.pins[HOMES[self.tenant]].acquire(blocking=False):
            self.pinned_until = time.monotonic() + self.random.uniform(0.05, 0.5)
        return bool(self.pinned_until)

    # ---- asking ----

    def wrong(self, what, *more):
        raise Wrong(f"{what}: {' '.join(map(str, more))[:3000]}")

    def judge(self, fields, allowed=()):
        """Is there a reason for this error?"""
        told = why(fields)
        if told not in TOLD and told[0] not in allowed:
            self.wrong("an error without a cause", fields)
        if told[1] and self.soak.documented.get(told[1]) != told[0]:
            self.wrong("not as in docs/errors.md", fields)

    def ended(self, found):
        """The connection is over: was the client told?"""
        last = found[-1].fields if found and found[-1].type == "E" else {}
        if last.get("V") == "FATAL":
            self.judge(last)
            raise Ended(found[:-1], why(last))
        # In the middle of a message nothing can be said.
        if not self.wire.is_cut and not self.wire.unread:
            self.wrong("the connection ended without a word behind", found[-3:])
        raise Ended(found, None)

    def send(self, *parts):
        try:
            self.wire.send(*parts)
        except OSError:
            pass  # what there is to read tells the reason

    def read(self, kinds, count=1):
        """All messages up to the count-th of these types; Ended when the connection ends before."""
        found = []
        while count:
            try:
                found.append(self.wire.read())
            except TimeoutError:
                self.wrong(f"no answer in {TIMEOUT} s behind", found[-3:])
            except (EOFError, OSError):
                self.ended(found)
            count -= found[-1].type in kinds
        return found

    def ask(self, *parts, ready=1, allowed=()):
        self.send(*parts)
        found = self.read("Z", ready)
        for message in found:
            if message.type == "E":
                self.judge(message.fields, allowed)
        return found

    def expect(self, expected, *parts):
        """Sends, and takes exactly the answer that is expected."""
        self.send(*parts)
        try:
            found = self.read("Z", expected.ready)
        except Ended as end:
            if not expected.is_begun(end.found):
                self.wrong("not the beginning of the answer", end.found, "expected", vars(expected))
            raise
        if not expected.is_all(found):
            self.wrong("not the answer", found, "expected", vars(expected))
        self.served += expected.ready
        return found

    def tell(self, sql):
        """A statement that answers with its tag only."""
        return self.expect(Expected("CZ"), query(sql))
