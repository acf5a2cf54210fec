"""The control schema in a database of its own, and what must be true of it whatever anybody does.

    control = Control(stand)                       # on the stand's server, installed with the stand's keys
    acme = control.create("acme")                  # ids are uuid.UUID
    labs = control.create("acme-labs", acme)
    assert control.violations() == []
    control.drop()

`control.admin` is a connection that is a member of bulkhead_admin and of nothing else.
"""

import base64
import hashlib
import hmac
import threading
import uuid
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg

from harness.stand import run

ADMIN = "test_admin"  # a login that manages tenants
SIDECAR = "bulkhead_sidecar"
CHANNEL = "bulkhead_directory"
VERIFIER = "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$" + "A" * 43 + "=:" + "B" * 43 + "="  # no password fits

# One statement, so that it sees one moment of the tree. A line for everything that is wrong.
VIOLATIONS = """
WITH t AS (SELECT *, replace(id::text, '-', '') AS hex FROM bulkhead_control.tenant)
SELECT format('%s has path %s below %s', t.slug, t.path, coalesce(p.path::text, 'nobody'))
FROM t LEFT JOIN t p ON p.id = t.parent_id
WHERE t.path::text <> concat_ws('.', p.path::text, t.hex) OR (t.parent_id IS NOT NULL AND p.id IS NULL)
UNION ALL
SELECT format('%s is %s levels deep', slug, cardinality(string_to_array(path::text, '.'))) FROM t
WHERE cardinality(string_to_array(path::text, '.')) NOT BETWEEN 1 AND 20
UNION ALL
SELECT format('%s is active below %s, which is %s', t.slug, p.slug, p.status)
FROM t JOIN t p ON p.id = t.parent_id WHERE t.status = 'active' AND p.status <> 'active'
UNION ALL
SELECT format('token %s is of tenant %s instead of %s', coalesce(a.token, b.token), b.tenant_id, a.id)
FROM (SELECT DISTINCT t.id, CASE WHEN word ~* '^([0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$'
                                 THEN lower(replace(word, '-', '')) ELSE word END COLLATE "C" AS token
      FROM t, unnest(ARRAY[t.hex, t.slug, t.external_key]) AS word WHERE word IS NOT NULL) a
FULL JOIN bulkhead_control.tenant_token b USING (token)
WHERE a.id IS DISTINCT FROM b.tenant_id
"""


class Control:
    def __init__(self, stand):
        self.stand = stand
        self.database = stand.postgres.create_database()
        run("init", "--dsn", self.database.conninfo(), "--keys", stand.keys)
        with self.database.connect() as root:
            if not root.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (ADMIN,)).fetchone():
                root.execute(f"CREATE ROLE {ADMIN} LOGIN IN ROLE bulkhead_admin")
                root.execute(f"ALTER ROLE {ADMIN} SET deadlock_timeout = '20ms'")
        self.admin = self.connect()

    def connect(self, user=ADMIN, **more):
        return self.database.connect(user, **more)

    def drop(self):
        self.admin.close()
        self.database.drop()

    def clear(self):
        """Removes all principals and tenants."""
        self.admin.execute("DELETE FROM bulkhead_control.principal; DELETE FROM bulkhead_control.tenant")
        with self.database.connect() as root:
            root.execute("DELETE FROM bulkhead_control.departed")  # versions begin with 1 again

    def create(self, slug, parent=None, on=None, **columns):
        """`on` is a connection other than `admin`."""
        columns = {"id": uuid.uuid4(), "parent_id": parent, "slug": slug, "name": slug, **columns}
        self._insert(on or self.admin, "tenant", columns)
        return columns["id"]

    @staticmethod
    def _insert(connection, table, columns):
        connection.execute(
            f"INSERT INTO bulkhead_control.{table} ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))})",
            list(columns.values()))

    def chain(self, prefix, length, parent=None):
        """Tenants one below the other; the topmost comes first."""
        made = []
        for n in range(length):
            made.append(self.create(f"{prefix}-{n}", made[-1] if made else parent))
        return made

    def principal(self, name, home, **columns):
        columns = {"name": name, "verifier": VERIFIER, "home_id": home, "reach": "self", **columns}
        self._insert(self.admin, "principal", columns)

    def move(self, tenant, parent, on=None):
        (on or self.admin).execute("UPDATE bulkhead_control.tenant SET parent_id = %s WHERE id = %s", (parent, tenant))

    def set(self, tenant, on=None, **columns):
        (on or self.admin).execute(
            f"UPDATE bulkhead_control.tenant SET {', '.join(f'{name} = %s' for name in columns)} WHERE id = %s",
            [*columns.values(), tenant])

    def delete(self, tenant, on=None):
        (on or self.admin).execute("DELETE FROM bulkhead_control.tenant WHERE id = %s", (tenant,))

    def value(self, sql, *parameters, on=None):
        """The single column of the single row."""
        (value,) = (on or self.admin).execute(sql, parameters or None).fetchone()
        return value

    def path(self, tenant):
        """Ids from the root to the tenant."""
        path = self.value("SELECT path::text FROM bulkhead_control.tenant WHERE id = %s", tenant)
        return [uuid.UUID(label) for label in path.split(".")]

    def version(self, tenant):
        return self.value("SELECT version FROM bulkhead_control.tenant WHERE id = %s", tenant)

    def violations(self, on=None):
        return [line for (line,) in (on or self.admin).execute(VIOLATIONS).fetchall()]

    def fits(self, name, password):
        """Does the password belong to the principal's verifier? (RFC 5803)"""
        verifier = self.value("SELECT verifier FROM bulkhead_control.principal WHERE name = %s", name)
        scheme, parameters, keys = verifier.split("$")
        iterations, salt = parameters.split(":")
        stored, server = keys.split(":")
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(iterations))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        return (scheme == "SCRAM-SHA-256" and hashlib.sha256(client_key).digest() == base64.b64decode(stored) and
                hmac.digest(salted, b"Server Key", "sha256") == base64.b64decode(server))

    def assert_announced(self, payloads):
        """Each version of each tenant was told of, in order, up to the one that it has."""
        told = defaultdict(list)
        for payload in payloads:
            tenant, version = payload.rsplit(":", 1)
            told[tenant].append(int(version))
        for tenant, versions in told.items():
            if versions[-2:-1] == versions[-1:]:
                versions.pop()  # the deletion repeats the last
            assert versions == list(range(versions[0], versions[0] + len(versions))), tenant
        for tenant, version in self.admin.execute("SELECT id, version FROM bulkhead_control.tenant").fetchall():
            assert told.get(str(tenant), [1])[-1] == version

    @contextmanager
    def watched(self):
        """Looks for violations all the while, and fails with those that it saw."""
        over, seen = threading.Event(), []

        def watch():
            with self.connect() as reader:
                while not over.is_set():
                    seen.extend(self.violations(on=reader))

        with ThreadPoolExecutor(1) as executor:
            watcher = executor.submit(watch)
            try:
                yield
            finally:
                over.set()
            watcher.result()
        assert seen == [] and self.violations() == []

    @contextmanager
    def heard(self):
        """Collects into the yielded list what is announced before the block ends, in order."""
        payloads = []
        with self.connect(SIDECAR) as listener:
            listener.execute(f"LISTEN {CHANNEL}")
            yield payloads
            self.admin.execute(f"NOTIFY {CHANNEL}, 'the end'")
            for notification in listener.notifies():
                if notification.payload == "the end":
                    break
                payloads.append(notification.payload)


def constraint(error):
    """The name of the constraint that an error names, which callers may rely on."""
    assert isinstance(error, psycopg.errors.IntegrityError), error
    assert error.diag.schema_name == "bulkhead_control"
    return error.diag.constraint_name
