"""
One backend, two tenants, and a man in the middle: where hand-overs are watched.

    with new_scene(stand) as scene:
        scene.seal("acme")                                    # the backend is idle in acme's context now
        scene.middle.rule(ENTER, "D", drop)
        found = transaction(scene.client("globex"), "globex")
        assert served(found, "globex") or told(found)
        scene.assert_sound()
"""

import time
from contextlib import contextmanager

from harness.middle import Middle
from harness.postgres import HOST
from harness.stand import DATABASE, PRINCIPAL, ROWS
from harness.wire import Wire, bind, execute, parse, query, rows, sync, types


class Scene:
    """A proxy with one backend behind a man in the middle."""

    def __init__(self, stand, middle, proxy):
        self.stand, self.middle, self.proxy = stand, middle, proxy
        self.clients = []
        self.bystanders = {tenant: self.client(tenant) for tenant in ("acme", "globex")}
        self.clients.clear()

    def client(self, tenant, **keys):
        wire = Wire.connect(HOST, self.proxy.port)
        self.clients.append(wire)
        return wire.login({"user": f"{PRINCIPAL}.{tenant}", "database": DATABASE, **keys}, self.stand.password)

    def seal(self, tenant):
        """Puts the backend into a tenant's context and leaves it idle there; no client may ever notice a thing."""
        found = transaction(self.bystanders[tenant], tenant)
        assert served(found, tenant), found

    def backends(self):
        """The middle's connections that are backends now."""
        return [link for link in self.middle.links if not link.ended and not link.is_cancel]

    def backend(self):
        link, = self.backends()
        return link

    def backend_pid(self):
        return self.backend().backend_pid

    def assert_sound(self):
        """Nothing was let out too early so far, and both tenants are served now."""
        self.middle.rules.clear()
        for tenant in ("acme", "globex"):
            self.seal(tenant)
        assert not self.middle.early_messages(self.stand.ids)

    def forget(self):
        for wire in self.clients:
            wire.close()
        self.clients.clear()
        self.middle.clear()

    def end(self):
        self.forget()
        for wire in self.bystanders.values():
            wire.close()


@contextmanager
def new_scene(stand, **sections):
    pool = {"default_pool_size": 1, "server_login_retry": 0, "server_connect_timeout": "20s",
            **sections.pop("pool", {})}
    sections["control"] = {"directory_timeout": "20s", **sections.get("control", {})}
    with Middle(stand.postgres.port) as middle:
        with stand.proxy(cluster__default=middle.cluster, pool=pool, **sections) as proxy:
            scene = Scene(stand, middle, proxy)
            yield scene
            scene.end()


# ---- what a client does and gets ----

def collect(wire, *parts):
    """Sends, and returns all that comes up to a ReadyForQuery or the end of the connection."""
    found = []
    try:
        wire.send(*parts)
        while not found or found[-1].type != "Z":
            found.append(wire.read())
    except (EOFError, OSError):
        pass
    return found


def statement(tenant):
    return f"SELECT item FROM orders /*{tenant}*/"


def transaction(wire, tenant):
    """The answers to a SELECT behind a BEGIN, which Bulkhead holds until the SELECT comes; then COMMIT."""
    assert types(wire.query("BEGIN")) == "CZ"
    found = collect(wire, query(statement(tenant)))
    if found[-1].type == "Z":
        assert types(wire.query("COMMIT")) == "CZ"
    return found


def extended(wire, tenant):
    """The answers to a SELECT of its own in the extended protocol."""
    return collect(wire, parse(statement(tenant)), bind(), execute(), sync())


def served(found, tenant):
    """Are these all rows of the tenant's, and nothing else?"""
    return ([m.type for m in found if m.type not in "T12D"] == ["C", "Z"]
            and [row[0].rsplit(" ", 1)[0] for row in rows(found)] == [tenant] * ROWS)


def told(found):
    """SQLSTATE and DETAIL when all there is is one FATAL, else None."""
    if [m.type for m in found] != ["E"] or found[0].fields["S"] != "FATAL":
        return None
    return found[0].fields.get("C"), found[0].fields.get("D")


def tell(wire, sql):
    """Runs a statement that must succeed."""
    found = wire.query(sql)
    assert "E" not in types(found), found
    return found


# ---- in PostgreSQL ----

@contextmanager
def locked(stand, table):
    """Nobody else gets at the table; the connection that holds it is given."""
    with stand.admin(autocommit=False) as admin:
        admin.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield admin
        admin.rollback()


def wait_until(true, seconds=20):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wait_for_backend(stand, condition, *values):
    """Until there is a backend of the pool's of which the condition on pg_stat_activity is true."""
    with stand.admin() as admin:
        wait_until(lambda: admin.execute(f"SELECT count(*) FROM pg_stat_activity WHERE {stand.installation.backends} "
                                         f"AND {condition}", values).fetchone() != (0,))


def wait_for_lock(stand, pid):
    """Until the backend waits for a lock."""
    wait_for_backend(stand, "pid = %s AND wait_event_type = 'Lock'", pid)
