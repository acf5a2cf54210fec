"""Asking the probes of a proxy, and reading metrics.

    with stand.proxy(**probed()) as proxy:
        assert ask(proxy, "/readyz") == (200, "ready\\n")
        assert metrics(proxy)["bulkhead_logins_total"] == 1
        assert metrics(proxy)["bulkhead_pool_backends", "default", "idle"] == 1
"""

import http.client
import re
import socket

from harness.postgres import HOST, free_port


def probed(**settings):
    """Settings of a proxy whose probes listen on a port of its own."""
    return {"probes": {"listen_addr": HOST, "listen_port": free_port(), **settings}}


def port_of(proxy):
    return proxy.settings["probes"]["listen_port"]


def ask(proxy, path, method="GET"):
    """Status and body."""
    status, _, body = ask_for(proxy, path, {}, method)
    return status, body


def ask_for(proxy, path, fields, method="GET"):
    """Status, type of the content, and body of a request with these header fields."""
    connection = http.client.HTTPConnection(HOST, port_of(proxy), timeout=15)
    connection.request(method, path, headers=fields)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, answer.headers["Content-Type"], body


def raw(proxy, data, end=False):
    """What the server says to these bytes, up to the end of the connection; `end` ends our half."""
    with socket.create_connection((HOST, port_of(proxy)), timeout=15) as probe:
        probe.sendall(data)
        if end:
            probe.shutdown(socket.SHUT_WR)
        found = b""
        while data := probe.recv(65536):
            found += data
        return found


def text(proxy):
    status, body = ask(proxy, "/metrics")
    assert status == 200, body
    return body


SAMPLE = re.compile(r'([a-z_]+)(?:\{(.*)\})? (\S+)')


def metrics(proxy):
    """Values by name, or by name and the values of the labels."""
    found = {}
    for line in text(proxy).splitlines():
        if line.startswith("#"):
            continue
        name, labels, value = SAMPLE.fullmatch(line).groups()
        values = re.findall(r'[a-z]+="((?:[^"\\]|\\.)*)"', labels or "")
        found[(name, *values) if values else name] = float(value)
    return found
