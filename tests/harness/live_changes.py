"""How long it takes from a request to the admin API until an open session feels what it changed.

    with LiveChanges(stand) as changes:           # a proxy with the API, and a tenant to change
        times = changes.measure("suspend", 200)   # seconds, from before the request to the effect

The session runs one short statement after the other, a thousandth of a second apart. That what a request asked for has
come about is seen by an answer to one of them, in a thread of its own: the request may not have been answered yet.
"""

import http.client
import json
import threading
import time
from contextlib import ExitStack

from harness.api import Api
from harness.postgres import HOST
from harness.wait import wait_for
from harness.wire import WireError, query, why

TENANT, NEAR, FAR, PRINCIPAL = "live", "live-near", "live-far", "live-app"  # the tenant stands below one of the two
SERVED = "served"
PATIENCE = 30.0
READ = "SELECT 1"
WRITE = "INSERT INTO orders (tenant_id, id, item) VALUES ('{tenant}', 1, 'x') ON CONFLICT DO NOTHING"
SLOW = "SELECT pg_sleep(0.2)"


class Change:
    """What is asked for, there and back, and why the session's statement is refused then, or the session ended."""

    def __init__(self, title, statement, there, back, reason):
        """`there` and `back` are (method, path, body)."""
        self.title, self.statement, self.there, self.back, self.reason = title, statement, there, back, reason
        self.ends = reason in ("BH-ID-SUSPENDED", "BH-ID-REACH-LOST")


def value_of(kind, key, value):
    path = f"/v1/tenants/{TENANT}/{kind}/{key}"
    return ("PUT", path, {"value": value}), ("DELETE", path, None)


def move_to(parent):
    return "POST", f"/v1/tenants/{TENANT}:move", {"parent": parent}


def status(verb):
    return "POST", f"/v1/tenants/{TENANT}:{verb}", {}


CHANGES = {
    "suspend": Change("suspended: the session ends", READ, status("suspend"), status("resume"), "BH-ID-SUSPENDED"),
    "permission": Change("sql.write taken: an INSERT is refused", WRITE, *value_of("permissions", "sql.write", False),
                         "BH-PERM-SQL"),
    "read-only": Change("proxy.read_only set: an INSERT is refused", WRITE, *value_of("settings", "proxy.read_only", True),
                        "BH-PERM-READ-ONLY"),
    "rate": Change("proxy.rate_limit set to 1 a second: a statement is refused", READ, *value_of("settings", "proxy.rate_limit", 1),
                   "BH-LIM-RATE"),
    "timeout": Change("proxy.statement_timeout set: a statement of 200 ms is cancelled after 10", SLOW,
                      *value_of("settings", "proxy.statement_timeout", 10), "BH-LIM-STATEMENT-TIMEOUT"),
    "move": Change("moved below a lock of sql.write: an INSERT is refused", WRITE, move_to(FAR), move_to(NEAR), "BH-PERM-SQL"),
    "move-away": Change("moved out of its principal's reach: the session ends", READ, move_to(FAR), move_to(NEAR),
                        "BH-ID-REACH-LOST"),
}


class Session(threading.Thread):
    """Sends the same statement again and again, until it is told to stop or ended by the proxy. `state` is SERVED or the
    reason of a refusal; `since` is when the first answer said so."""

    def __init__(self, wire, statement):
        super().__init__()
        self.wire, self.statement = wire, statement
        self.state, self.since = None, None
        self.changed = threading.Condition()
        self.stopping = False
        self.start()

    def run(self):
        while not self.stopping and self.look():
            time.sleep(0.001)
        self.wire.close()

    def look(self):
        """Whether the session goes on."""
        state, is_over = SERVED, False
        try:
            self.wire.send(query(self.statement))
        except OSError:
            pass  # why, can still be read
        try:
            while (message := self.wire.read()).type != "Z":
                if message.type == "E":
                    state = why(message.fields)[1]
        except (EOFError, OSError):
            is_over = True
        now = time.monotonic()
        if state != self.state:
            with self.changed:
                self.state, self.since = state, now
                self.changed.notify_all()
        return not is_over

    def wait(self, state):
        """When it came to this."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.state == state, PATIENCE):
                raise AssertionError(f"waited {PATIENCE:.0f} s for {state}: the session is told {self.state}")
            return self.since

    def stop(self):
        self.stopping = True
        self.join()


class Caller:
    """Requests over one connection, without looking at more than the status: what is measured is the time."""

    def __init__(self, port, key):
        self.connection = http.client.HTTPConnection(HOST, port, timeout=60)
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def ask(self, method, path, body=None, **headers):
        """The answer's body, and the seconds until it was there."""
        raw = None if body is None else json.dumps(body)
        if method in ("DELETE", "PATCH"):
            headers = {"If-Match": "*", **headers}
        began = time.monotonic()
        self.connection.request(method, path, raw, {**self.headers, **headers})
        response = self.connection.getresponse()
        text = response.read()
        took = time.monotonic() - began
        if response.status >= 300:
            raise AssertionError(f"{method} {path}: {response.status} {text.decode()}")
        return (json.loads(text) if text else None), took

    def close(self):
        self.connection.close()


class LiveChanges:
    def __init__(self, stand, **proxy):
        """`proxy` has sections of further settings."""
        self.stand = stand
        self.sections = {"gate": {"mode": "enforce"}, **proxy}
        self.stack = ExitStack()

    def __enter__(self):
        stand = self.stand
        for slug, parent in ((NEAR, None), (FAR, None), (TENANT, NEAR)):
            stand.tenant(slug, **({"parent": parent} if parent else {}))
        if PRINCIPAL not in stand.command("principal", "list"):
            stand.command("principal", "create", PRINCIPAL, "--home", NEAR, "--reach", "subtree", "--password-file",
                          stand.password_file)
        self.api = self.stack.enter_context(Api(stand, proxy=self.sections))
        self.caller = Caller(self.api.port, self.api.key())
        self.stack.callback(self.caller.close)
        held, _ = self.caller.ask("GET", f"/v1/tenants/{FAR}/permissions")
        if not held["items"]:  # the first of this stand
            self.caller.ask("PUT", f"/v1/tenants/{FAR}/permissions/sql.write", {"value": False, "mode": "LOCKED"})
            self.caller.ask("PUT", f"/v1/tenants/{TENANT}/settings/proxy.gate", {"value": "enforce"})
        return self

    def __exit__(self, *error):
        self.stack.close()

    def session(self, change):
        """One that is served, as soon as there can be one."""
        def login():
            try:
                return self.api.proxy.wire(TENANT, principal=self.principal)
            except WireError:
                return None
        wire = wait_for(login, "the tenant to be served", PATIENCE)
        session = Session(wire, change.statement.format(tenant=self.stand.ids[TENANT]))
        try:
            session.wait(SERVED)
        except AssertionError:
            session.stop()
            raise
        return session

    def measure(self, name, times):
        """Makes the change so many times, and takes it back each time. Seconds from before the request to its effect,
        in the order in which they were measured."""
        change = CHANGES[name]
        # The way back from below the lock is in reach of one whose reach does not end there.
        self.principal = PRINCIPAL if name == "move-away" else "shop"
        # Who shares a server may not sleep on it.
        self.caller.ask("PUT", f"/v1/tenants/{TENANT}/settings/proxy.gate",
                        {"value": "observe" if change.statement == SLOW else "enforce"}, **{"If-Match": "*"})
        found = []
        session = self.session(change)
        try:
            for _ in range(times):
                began = time.monotonic()
                self.caller.ask(*change.there)
                found.append(session.wait(change.reason) - began)
                self.caller.ask(*change.back)
                if change.ends:
                    session.stop()
                    session = self.session(change)
                else:
                    session.wait(SERVED)
        finally:
            session.stop()
        return found
