"""Tenants with a login of their own, made by hand as provisioning makes them: for tests of the proxy alone.

    own = OwnLogins(stand)
    own.schema("initech"); own.database("umbrella"); own.login("hooli")
    with stand.proxy(**own.sections()) as proxy: ...

Each has a table `orders` with rows that carry its name, like the tenants of the stand.
"""

import base64
import hashlib
import hmac
import secrets

import psycopg
from psycopg import sql

from harness.stand import DATABASE, ROWS

PURPOSE = b"bulkhead.own_login.1"


class OwnLogins:
    def __init__(self, stand):
        self.stand = stand
        self.keys = {}
        self.file = stand.folder / "cluster.secret"
        self.add_key("k1")
        self.databases = []

    def add_key(self, kid):
        """A key that is the file's first from now on."""
        self.keys = {kid: secrets.token_bytes(32), **self.keys}
        self.write()

    def drop_key(self, kid):
        del self.keys[kid]
        self.write()

    def write(self):
        self.file.touch(0o600)
        self.file.write_text("".join(f"{kid} {base64.b64encode(key).decode()}\n" for kid, key in self.keys.items()))

    def derived(self, tenant):
        """The lines of a file for this tenant alone."""
        return "".join(f"{kid} {base64.b64encode(self._derive(key, tenant)).decode()} {self.stand.ids[tenant]}\n"
                       for kid, key in self.keys.items())

    def _derive(self, key, tenant):
        return hmac.digest(key, self.stand.ids[tenant].replace("-", "").encode(), hashlib.sha256)

    def password(self, tenant, kid=None):
        key = self.keys[kid or next(iter(self.keys))]
        return hmac.digest(self._derive(key, tenant), PURPOSE, hashlib.sha256).hex()

    def name(self, tenant):
        return "t_" + self.stand.ids[tenant].replace("-", "")

    def sections(self, **more):
        return {"cluster__default": {"secret_file": self.file}, **more}

    def make(self, tenant, strategy, **columns):
        """The control schema's row, and the role; returns what the role is called."""
        columns = {"slug": tenant, "name": tenant, "strategy": strategy, "login_kid": next(iter(self.keys)), **columns}
        with self.stand.admin() as admin:
            names = sql.SQL(", ").join(map(sql.Identifier, columns))
            row = admin.execute(sql.SQL("INSERT INTO bulkhead_control.tenant (id, {}) VALUES (gen_random_uuid(), {}) "
                                        "RETURNING id").format(names, sql.SQL(", ").join(map(sql.Literal, columns.values()))))
            self.stand.ids[tenant] = str(row.fetchone()[0])
            self.run(admin, "CREATE ROLE {} LOGIN PASSWORD {}", self.name(tenant), secret=self.password(tenant))
        return self.name(tenant)

    @staticmethod
    def run(connection, text, *names, secret=None):
        words = [sql.Identifier(name) for name in names] + ([sql.Literal(secret)] if secret else [])
        connection.execute(sql.SQL(text).format(*words))

    def set_password(self, tenant, kid):
        with self.stand.admin() as admin:
            self.run(admin, "ALTER ROLE {} PASSWORD {}", self.name(tenant), secret=self.password(tenant, kid))

    def fill(self, connection, tenant):
        connection.execute("CREATE TABLE orders (id bigint PRIMARY KEY, item text NOT NULL)")
        connection.execute("INSERT INTO orders SELECT n, %s || ' ' || n FROM generate_series(1, %s) n", (tenant, ROWS))

    def connect(self, tenant, dbname=DATABASE, **more):
        """Past Bulkhead, as the tenant."""
        postgres = self.stand.postgres
        return psycopg.connect(host="127.0.0.1", port=postgres.port, dbname=dbname, user=self.name(tenant),
                               password=self.password(tenant), autocommit=True, **more)

    def schema(self, tenant, **columns):
        name = self.make(tenant, "SCHEMA_PER_TENANT", **columns)
        with self.stand.admin() as admin:
            self.run(admin, "REVOKE ALL ON SCHEMA public FROM PUBLIC")
            self.run(admin, "GRANT USAGE ON SCHEMA public TO bulkhead_app")
            self.run(admin, "CREATE SCHEMA {} AUTHORIZATION {}", name, name)
        with self.connect(tenant, options=f"-c search_path={name}") as own:
            self.fill(own, tenant)
        return tenant

    def database(self, tenant, **columns):
        name = self.make(tenant, "DATABASE_PER_TENANT", **columns)
        with self.stand.admin("postgres") as admin:
            self.run(admin, "CREATE DATABASE {}", name)
            self.run(admin, "REVOKE ALL ON DATABASE {} FROM PUBLIC", name)
            self.run(admin, "GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}", name, name)
        with self.stand.admin(name) as admin:
            self.run(admin, "ALTER SCHEMA public OWNER TO {}", name)
        with self.connect(tenant, dbname=name) as own:
            self.fill(own, tenant)
        return tenant

    def login(self, tenant, **columns):
        """On the shared tables."""
        name = self.make(tenant, "SHARED_RLS", **{"dedicated_login": True, **columns})
        with self.stand.admin() as admin:
            self.run(admin, "GRANT bulkhead_app TO {}", name)
            admin.execute("INSERT INTO orders SELECT %s, n, %s || ' ' || n FROM generate_series(1, %s) n",
                          (self.stand.ids[tenant], tenant, ROWS))
        return tenant
