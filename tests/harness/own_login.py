"""Tenants with a login of their own, made by hand as provisioning makes them: for tests of the proxy alone.

    own = OwnLogins(stand)
    own.schema("initech"); own.database("umbrella"); own.login("hooli")
    with stand.proxy(**own.sections()) as proxy: ...

Each has a table `orders` with rows that carry its name, like the tenants of the stand.
"""

import psycopg
from psycopg import sql

from harness.cluster_secret import ClusterSecret, login_of
from harness.stand import DATABASE, ROWS


class OwnLogins:
    def __init__(self, stand):
        self.stand = stand
        self.secret = getattr(stand.installation, "secret", None) or ClusterSecret(stand.folder / "cluster.secret")
        self.file = self.secret.file
        self.add_key, self.drop_key = self.secret.add_key, self.secret.drop_key

    def derived(self, tenant):
        """The lines of a file for this tenant alone."""
        return self.secret.derived(self.stand.ids[tenant])

    def password(self, tenant, kid=None):
        return self.secret.password(self.stand.ids[tenant], kid)

    def name(self, tenant):
        return login_of(self.stand.ids[tenant])

    def sections(self, **more):
        return {"cluster__default": {"secret_file": self.file}, **more}

    def make(self, tenant, strategy, **columns):
        """The control schema's row, and the role; returns what the role is called."""
        columns = {"slug": tenant, "name": tenant, "strategy": strategy, "login_kid": self.secret.first(), **columns}
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
            self.run(admin, "GRANT USAGE ON SCHEMA public TO bulkhead_app, shop_owner")  # it checks foreign keys
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
