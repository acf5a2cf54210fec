"""The control schema in a database of its own, and what must be true of it whatever anybody does.

    control = Control(stand)                       # on the stand's server, installed with the stand's keys
    acme = control.create("acme")                  # ids are uuid.UUID
    labs = control.create("acme-labs", acme)
    assert control.violations() == []
    control.drop()

`control.admin` is a connection that is a member of bulkhead_admin and of nothing else.
"""

import uuid
from contextlib import contextmanager

import psycopg

from harness.stand import run

ADMIN = "test_admin"  # a login that manages tenants
SIDECAR = "bulkhead_sidecar"
CHANNEL = "bulkhead_directory"

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
            if not root.execute("SELECT FROM pg_roles WHERE rolname = %s", (ADMIN,)).fetchone():
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

    def create(self, slug, parent=None, on=None, **columns):
        """`on` is a connection other than `admin`."""
        columns = {"id": uuid.uuid4(), "parent_id": parent, "slug": slug, "name": slug, **columns}
        (on or self.admin).execute(
            f"INSERT INTO bulkhead_control.tenant ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))})",
            list(columns.values()))
        return columns["id"]

    def chain(self, prefix, length, parent=None):
        """Tenants one below the other; the topmost comes first."""
        made = []
        for n in range(length):
            made.append(self.create(f"{prefix}-{n}", made[-1] if made else parent))
        return made

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
