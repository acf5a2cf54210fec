"""A control database on a server of its own, which a relay can take away from the proxy."""

from contextlib import contextmanager

from harness.postgres import HOST, Postgres
from harness.relay import Relay
from harness.stand import PRINCIPAL
from harness.wire import WireError


class ControlServer:
    """A server with nothing but a control schema, which knows the stand's tenants and its principal, and `known-N`."""

    def __init__(self, stand, template, known=0):
        self.stand = stand
        self.postgres = Postgres(template).start()
        stand.init("shop", "--control-dsn", self.postgres.conninfo())
        with stand.admin() as source, self.connect() as admin:
            admin.cursor().executemany(
                "INSERT INTO bulkhead_control.tenant (id, slug, name) VALUES (%s, %s, 'x')",
                source.execute("SELECT id, slug FROM bulkhead_control.tenant").fetchall())
            admin.execute("INSERT INTO bulkhead_control.tenant (id, slug, name) "
                          "SELECT gen_random_uuid(), 'known-' || n, 'x' FROM generate_series(0, %s) n", (known - 1,))
            verifier, home = source.execute("SELECT verifier, home_id FROM bulkhead_control.principal WHERE name = %s",
                                            (PRINCIPAL,)).fetchone()
            admin.execute("INSERT INTO bulkhead_control.principal (name, verifier, home_id, reach) VALUES (%s, %s, %s, 'all')",
                          (PRINCIPAL, verifier, home))
            stand.installation.adopt([id for id, in admin.execute("SELECT id FROM bulkhead_control.tenant")])

    def connect(self):
        return self.postgres.connect()

    def execute(self, sql, *parameters):
        with self.connect() as admin:
            return admin.execute(sql, parameters or None)

    def set_status(self, status, pattern):
        self.execute("UPDATE bulkhead_control.tenant SET status = %s WHERE slug ~ %s", status, pattern)

    @contextmanager
    def proxy(self, more=None, **control):
        """Serves with these settings of [control], and `more` of other sections; and the relay in between."""
        relay = Relay(self.postgres.port)
        dsn = f"host={HOST} port={relay.port} dbname=postgres user=bulkhead_sidecar"
        try:
            with self.stand.proxy(control={"dsn": dsn, "directory_ttl": "1h", **control}, listen__trusted={},
                                  pool={"default_pool_size": 8}, **(more or {})) as proxy:
                yield proxy, relay
        finally:
            relay.close()


def login(proxy, tenant):
    return proxy.wire(tenant, trusted=True)


def outcome(proxy, tenant, **more):
    """`served`, or the reason why not."""
    try:
        with proxy.wire(tenant, **more) as wire:
            assert not [m for m in wire.query("SELECT bulkhead.tenant_id()") if m.type == "E"]
            return "served"
    except WireError as error:
        return error.why[1]


def learn(proxy, tenants):
    for tenant in tenants:
        login(proxy, tenant).close()


def assert_ended(wire, reason):
    last = wire.until_end()[-1]
    assert last.type == "E" and last.fields["C"] == "57P01" and reason in last.fields["D"]
