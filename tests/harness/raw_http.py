"""HTTP byte by byte: for requests that no client library sends.

    with RawHttp(port) as http:
        http.send(b"GET /v1/version HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = http.answer()          # None when the connection was closed without one
        assert answer.status == 401 and answer.problem["reason"] == "BH-API-KEY"
"""

import json
import socket
from collections import namedtuple

from harness.postgres import HOST

Answer = namedtuple("Answer", "status headers text")  # headers: names in lower case


def head(method, target, key=None, version="HTTP/1.1", **headers):
    """The head of a request; names of headers with _ for -. A list of values is several headers."""
    lines = [f"{method} {target} {version}", "Host: localhost"]
    if key:
        headers.setdefault("Authorization", f"Bearer {key}")
    for name, values in headers.items():
        lines += [f"{name.replace('_', '-')}: {value}" for value in (values if isinstance(values, list) else [values])]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")


class RawHttp:
    def __init__(self, port, timeout=20):
        self.socket = socket.create_connection((HOST, port), timeout=timeout)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.socket.close()

    def send(self, data):
        """Whether all of it was taken: the other side may have closed."""
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True

    def _fill(self):
        try:
            more = self.socket.recv(65536)
        except ConnectionError:
            more = b""
        self.buffer += more
        return bool(more)

    def answer(self, has_body=True):
        """The next one; `has_body` is false for what HEAD is answered with."""
        while b"\r\n\r\n" not in self.buffer:
            if not self._fill():
                assert not self.buffer, f"closed in the middle of an answer: {self.buffer!r}"
                return None
        text, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        status, *lines = text.decode().split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            assert name.lower() not in headers, f"twice in the answer: {line}"
            headers[name.lower()] = value.strip()
        body = self._body(headers) if has_body else b""
        return Answer(int(status.split(" ")[1]), headers, body.decode())

    def line(self):
        """The first line of the next answer, of which the rest is left alone."""
        while b"\r\n" not in self.buffer and self._fill():
            pass
        return self.buffer.partition(b"\r\n")[0].decode()

    def _body(self, headers):
        assert "transfer-encoding" not in headers, "no answer of ours is chunked"
        length = headers.get("content-length")
        while length is None or len(self.buffer) < int(length):
            if not self._fill():
                assert length is None, "closed in the middle of an answer"
                length = len(self.buffer)
        body, self.buffer = self.buffer[:int(length)], self.buffer[int(length):]
        return body

    def is_closed(self):
        """Whether the other side closes now; waits for it."""
        return not self.buffer and not self._fill()


def problem_of(answer):
    """The problem of an answer, which must be one."""
    assert answer, "closed without an answer"
    assert answer.headers.get("content-type") == "application/problem+json", answer
    problem = json.loads(answer.text)
    assert problem["status"] == answer.status, answer
    return problem
