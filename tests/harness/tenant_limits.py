"""Limits of a tenant, set as any settings, and waiting until running proxies keep them."""

import contextlib
import json
import uuid

from harness.program import INSTRUMENTED
from harness.wait import wait_for
from harness.wire import WireError, rows, why

SECOND = 5.0 if INSTRUMENTED else 1.0  # in which a change is in force everywhere


class Family:
    """A root of a test's own and a tenant below it, and their settings."""

    def __init__(self, stand):
        self.stand = stand
        self.top = stand.tenant("l" + uuid.uuid4().hex[:10])
        self.leaf = stand.tenant(self.top + "-leaf", parent=self.top)

    def set(self, key, value, tenant=None, lock=False):
        with self.stand.admin() as admin:
            admin.execute("SELECT * FROM bulkhead_control.set_setting(%s, %s, %s, %s)",
                          (self.stand.ids[tenant or self.leaf], f"proxy.{key}", json.dumps(value), lock))

    def unset(self, key, tenant=None):
        with self.stand.admin() as admin:
            admin.execute("SELECT * FROM bulkhead_control.unset_setting(%s, %s)",
                          (self.stand.ids[tenant or self.leaf], f"proxy.{key}"))

    def set_known(self, proxy, key, value, tenant=None, lock=False):
        """The same, and waits until all of the proxy's workers have been told of it."""
        with told(proxy, self.stand.ids[tenant or self.leaf]):
            self.set(key, value, tenant, lock)

    def unset_known(self, proxy, key, tenant=None):
        with told(proxy, self.stand.ids[tenant or self.leaf]):
            self.unset(key, tenant)


@contextlib.contextmanager
def told(proxy, tenant):
    """What happens within is a change of the tenant, which each worker must have been told of in time. (The tenant has
    to be known to the proxy.)"""
    workers = int(proxy.settings["bulkhead"].get("workers", 1))
    key = uuid.UUID(tenant).hex

    def count():
        return sum(event.get("tenant") == key for event in proxy.events("directory.changed"))
    before = count()
    yield
    wait_for(lambda: count() >= before + workers, "the news", SECOND)


def refusal(connect, *arguments):
    """Why a login fails; None when it does not."""
    try:
        connect(*arguments).close()
    except WireError as error:
        return error.why
    return None


def reason(messages):
    """Of the first error, or None."""
    return next((why(m.fields) for m in messages if m.type == "E"), None)


def is_served(wire):
    return rows(wire.query("SELECT 'here'")) == [["here"]]


@contextlib.contextmanager
def wires(proxy, tenant, count):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(proxy.wire(tenant)) for _ in range(count)]
