"""Many clients in one small loop, so that the load itself costs little.

    swarm = Swarm()
    modest = [swarm.add(proxy.wire("acme"), query("SELECT 1")) for _ in range(9)]
    swarm.run(2.0)
    print(median(latencies(modest)), p95(latencies(modest)))

Each member sends its request, reads up to ReadyForQuery, and sends the next one at once. Only the end of an
answer is looked at: requests must be such that one ReadyForQuery ends them.
"""

import select
import statistics
import time

READY = b"Z\0\0\0\5"


class Member:
    """One client. `times` are the seconds that each answer took; `failed` is the first bad answer, or None."""

    def __init__(self, wire, request):
        self.wire = wire
        self.request = request
        self.times = []
        self.answered_at = []
        self.failed = None
        self.ended = False
        self.sent_at = None
        self.answer = b""

    def start(self):
        self.answer = b""
        self.sent_at = time.monotonic()
        self.wire.socket.send(self.request)

    def read(self):
        """Takes what has come; True when the answer is complete."""
        try:
            data = self.wire.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        self.ended = not data
        self.answer = (self.answer + data)[-4096:]
        if self.answer[:1] == b"E" and self.failed is None:
            self.failed = self.answer
        if self.answer[-6:-1] != READY:
            return False
        now = time.monotonic()
        self.times.append(now - self.sent_at)
        self.answered_at.append(now)
        return True


class Swarm:
    def __init__(self):
        self.poll = select.epoll()
        self.members = {}

    def add(self, wire, request):
        member = Member(wire, request)
        wire.socket.setblocking(False)
        self.members[wire.socket.fileno()] = member
        return member

    def run(self, seconds, until=lambda: False):
        """All members work for so long; then each reads the answer to its last request."""
        deadline = time.monotonic() + seconds
        for number, member in self.members.items():
            self.poll.register(number, select.EPOLLIN)
            member.start()
        busy = len(self.members)
        while busy:
            for number, _ in self.poll.poll(1.0):
                member = self.members[number]
                done = member.read()
                if member.ended or (done and (time.monotonic() >= deadline or until())):
                    self.poll.unregister(number)
                    busy -= 1
                elif done:
                    member.start()
            assert time.monotonic() < deadline + 20, "a client got no answer"

    def close(self):
        self.poll.close()
        for member in self.members.values():
            member.wire.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def latencies(members):
    """All times of these members."""
    return [seconds for member in members for seconds in member.times]


def median(times):
    return statistics.median(times)


def p95(times):
    return sorted(times)[len(times) * 95 // 100]
