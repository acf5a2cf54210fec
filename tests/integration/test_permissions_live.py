"""Permissions and settings on their way into running proxies; what a proxy holds is read from its snapshot."""

import json
import time
import uuid
from contextlib import ExitStack, contextmanager

import pytest
from harness.control_server import ControlServer, learn, login
from harness.program import INSTRUMENTED, ROOT
from harness.wait import wait_for

SECOND = 5.0 if INSTRUMENTED else 1.0
WRITTEN = 1.0  # seconds until a change is in the file, beyond that
SHARED = ["sql.call", "sql.copy", "sql.read", "sql.write"]


class Scene:
    """A root of the test's own and a tenant below it; what the proxy knows of it, and all else, is in a file."""

    def __init__(self, stand, folder):
        self.stand, self.file = stand, folder / "directory"
        self.slug = "p" + uuid.uuid4().hex[:8]
        self.top, self.leaf = uuid.uuid4(), uuid.uuid4()
        for tenant, slug, parent in ((self.top, self.slug, None), (self.leaf, self.slug + "-leaf", self.top)):
            self.execute("INSERT INTO bulkhead_control.tenant (id, slug, name, parent_id) VALUES (%s, %s, 'x', %s)",
                         tenant, slug, parent)

    def execute(self, sql, *parameters):
        with self.stand.admin() as admin:
            cursor = admin.execute(sql, parameters or None)
            return cursor.fetchall() if cursor.description else None

    def grant(self, tenant, key, value, mode="DELEGATED"):
        assert self.execute("SELECT * FROM bulkhead_control.set_permission(%s, %s, %s, %s, 'CASCADE')", tenant, key,
                            json.dumps(value), mode)

    def revoke(self, tenant, key):
        assert self.execute("SELECT * FROM bulkhead_control.revoke_permission(%s, %s)", tenant, key)

    def put(self, tenant, key, value, lock=False):
        assert self.execute("SELECT * FROM bulkhead_control.set_setting(%s, %s, %s, %s)", tenant, key,
                            json.dumps(value), lock)

    @contextmanager
    def proxy(self):
        with self.stand.proxy(control={"directory_ttl": "1h", "snapshot_file": self.file}) as proxy:
            yield proxy

    def known(self, slug=None):
        return permissions_in(self.file, slug or self.slug + "-leaf")

    def close(self):
        self.execute("DELETE FROM bulkhead_control.tenant WHERE slug ~ %s", self.slug)


def permissions_in(file, slug):
    """What the snapshot has of the tenant, with what is held in order; None without it."""
    if not file.exists():
        return None
    for tenant in json.loads(file.read_text().split(" ", 2)[2])["tenants"]:
        if tenant["slug"] == slug:
            return {**tenant["permissions"], "held": sorted(tenant["permissions"]["held"])}
    return None


@pytest.fixture
def scene(stand, tmp_path):
    scene = Scene(stand, tmp_path)
    yield scene
    scene.close()


def test_each_change_reaches_a_running_proxy_and_no_session_ends(scene):
    leaf = scene.slug + "-leaf"
    changes = [
        (lambda: scene.grant(scene.top, "sql.write", False), "held", ["sql.call", "sql.copy", "sql.read"]),
        (lambda: scene.revoke(scene.top, "sql.write"), "held", SHARED),
        (lambda: scene.grant(scene.top, "sql.ddl", True, "LOCKED"), "held", sorted([*SHARED, "sql.ddl"])),
        (lambda: scene.grant(scene.leaf, "sql.relations", ["orders", "shop.*"]), "relations", ["orders", "shop.*"]),
        (lambda: scene.grant(scene.top, "sql.relations", ["orders"]), "relations", ["orders"]),
        (lambda: scene.revoke(scene.top, "sql.relations"), "relations", None),
        (lambda: scene.grant(scene.top, "sql.functions", []), "functions", []),
        (lambda: scene.grant(scene.top, "sql.functions_denied", ["f"]), "functions_denied", ["f"]),
        (lambda: scene.grant(scene.leaf, "sql.functions_denied", ["g"]), "functions_denied", ["f", "g"]),
        (lambda: scene.grant(scene.leaf, "sql.relations_denied", ["*"]), "relations_denied", ["*"]),
        (lambda: scene.put(scene.top, "proxy.read_only", True), "read_only", True),
        (lambda: scene.put(scene.leaf, "proxy.read_only", False), "read_only", False),
        (lambda: scene.put(scene.top, "proxy.read_only", True, True), "read_only", True),
        (lambda: scene.put(scene.top, "proxy.gate", "off"), "gate", "off"),
        (lambda: scene.put(scene.leaf, "proxy.gate", "observe"), "gate", "observe"),
        (lambda: scene.execute("UPDATE bulkhead_control.tenant SET parent_id = NULL WHERE id = %s", scene.leaf),
         "held", SHARED),
    ]
    with scene.proxy() as proxy, proxy.wire(leaf) as wire:
        wait_for(scene.known, "the first snapshot")
        assert scene.known() == {"held": SHARED, "read_only": False, "gate": None, "relations": None, "functions": None,
                                 "relations_denied": [], "functions_denied": []}
        for change, part, expected in changes:
            change()
            wait_for(lambda part=part, expected=expected: scene.known()[part] == expected, (part, expected),
                     SECOND + WRITTEN)
            assert wire.query("SELECT count(*) FROM orders")[-1].status == "I"
        assert scene.known()["read_only"] is False and scene.known()["gate"] == "observe"


def test_a_change_is_told_in_well_under_a_second(scene):
    """Of the whole subtree, to a proxy that holds it."""
    with scene.proxy() as proxy, proxy.wire(scene.slug), proxy.wire(scene.slug + "-leaf"):
        for value in (False, True, False):
            before = proxy.log_text().count('"directory.changed"')
            began = time.monotonic()
            scene.grant(scene.top, "sql.write", value)
            wait_for(lambda before=before: proxy.log_text().count('"directory.changed"') >= before + 2, "the news",
                     SECOND)
            print(f"told after {time.monotonic() - began:.3f} s")


# ---- other versions of the control schema ----

def function_of(number, name):
    """The statement that made it, in that step."""
    path, = (ROOT / "admin" / "migrations").glob(f"{number:04}_*.sql")
    text = path.read_text()
    start = text.index(f"CREATE FUNCTION {name}(")
    return text[start:text.index("\nEND;\n", start) + 6]


@pytest.fixture
def server(stand, template):
    with ExitStack() as stack:
        server = ControlServer(stand, template, 3)
        stack.callback(server.postgres.remove)
        yield server


NEW = "lookup_tenant(text), changed_tenants(uuid[], bigint[])"


def make_older(server):
    with server.connect() as admin:
        admin.execute("ALTER FUNCTION bulkhead_control.lookup_tenant RENAME TO newer_lookup; "
                      "ALTER FUNCTION bulkhead_control.changed_tenants RENAME TO newer_changed; "
                      "SET ROLE bulkhead_control; SET search_path = bulkhead_control, pg_temp; " +
                      function_of(5, "lookup_tenant") + function_of(9, "changed_tenants") +
                      f"GRANT EXECUTE ON FUNCTION {NEW} TO bulkhead_sidecar")


def bring_up_to_date(server):
    """As `bulkhead init` does, with what it announces."""
    server.execute(f"DROP FUNCTION bulkhead_control.{NEW.replace(', changed', ', bulkhead_control.changed')}; "
                   "ALTER FUNCTION bulkhead_control.newer_lookup RENAME TO lookup_tenant; "
                   "ALTER FUNCTION bulkhead_control.newer_changed RENAME TO changed_tenants; "
                   "NOTIFY bulkhead_directory, 'schema'")


def tell_of_all(server):
    server.execute("UPDATE bulkhead_control.tenant SET name = name || 'y' WHERE slug ~ '^known-'")


def test_an_older_control_schema_gives_the_defaults_until_it_is_brought_up_to_date(server, tmp_path):
    make_older(server)
    server.execute("UPDATE bulkhead_control.tenant SET strategy = 'SCHEMA_PER_TENANT' WHERE slug = 'known-1'")
    (tenant,) = server.execute("SELECT id FROM bulkhead_control.tenant WHERE slug = 'known-0'").fetchone()
    server.execute("SELECT bulkhead_control.set_permission(%s, 'sql.write', 'false', NULL, NULL)", tenant)
    file = tmp_path / "directory"
    with server.proxy(snapshot_file=file) as (proxy, relay):
        learn(proxy, ["known-0"])
        wire = login(proxy, "known-0")
        assert wait_for(lambda: permissions_in(file, "known-0"), "the snapshot")["held"] == SHARED
        for _ in range(2):
            relay.cut()
            tell_of_all(server)
            relay.mend()
            wait_for(lambda: len(proxy.events("control.connected")) > 1, "the return")
            assert wire.query("SELECT 1")[-1].status == "I"
        lines = proxy.events("control.outdated")
        assert lines and all("bulkhead init" in json.dumps(line) for line in lines)
        assert not proxy.events("control.refused")

        bring_up_to_date(server)
        tell_of_all(server)
        wait_for(lambda: permissions_in(file, "known-0")["held"] == ["sql.call", "sql.copy", "sql.read"],
                 "what was granted")
        assert wire.query("SELECT 1")[-1].status == "I"
        assert not proxy.events("control.refused")


def test_what_a_sidecar_of_before_permissions_asks_is_answered(server):
    """Its statements, as they were before step 13."""
    columns = "id, path, slug, external_key, cluster, strategy, status, version, pool_weight"
    with server.postgres.connect(user="bulkhead_sidecar") as sidecar:
        found = sidecar.execute(f"SELECT {columns} FROM bulkhead_control.lookup_tenant('known-1')").fetchall()
        assert len(found) == 1 and found[0][2] == "known-1"
        assert sidecar.execute(f"SELECT {columns} FROM bulkhead_control.changed_tenants(%s, %s)",
                               ([found[0][0]], [99])).fetchall() == found


def test_init_tells_sidecars_to_ask_for_all(server, stand):
    with server.postgres.connect(user="bulkhead_sidecar") as sidecar:
        sidecar.execute("LISTEN bulkhead_directory")
        stand.init("shop", "--control-dsn", server.postgres.conninfo())
        assert next(sidecar.notifies()).payload == "schema"
