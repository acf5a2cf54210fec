"""How the databases of a stand come by their guard: under a seal, or where nobody is a superuser by tenants' own logins.

A stand is given one of these by its argument `guard`, else by the environment's BULKHEAD_TEST_GUARD, else a sealed one.
"""

import os

from psycopg import sql

from harness.cluster_secret import ClusterSecret, login_of

GUARD = os.environ.get("BULKHEAD_TEST_GUARD", "sealed")
OWNER = "half"  # CREATEROLE, CREATEDB, owner of the databases, and no superuser


class Sealed:
    """A superuser installs it; all tenants share the pool's login."""

    administrator = "postgres"
    backends = "usename = 'bulkhead_pool'"

    def __init__(self, stand):
        self.stand = stand

    def database(self, name, *arguments):
        """An empty database with a guard."""
        with self.stand.admin("postgres") as admin:
            admin.execute(f"CREATE DATABASE {name}")
        self.stand.init(name, *arguments)

    def section(self):
        """What its [cluster:…] sections say besides host, port and database."""
        return {"login": "bulkhead_pool", "password_file": self.stand.keys / "pool.password"}

    def follow(self):
        """Called when tenants were made or changed."""


class ByLogin:
    """A role that is no superuser installs it; tenants get their logins, made by hand as provisioning makes them."""

    administrator = OWNER
    backends = "usename ~ '^t_[0-9a-f]{32}$'"

    def __init__(self, stand):
        self.stand = stand
        self.secret = ClusterSecret(stand.folder / "cluster.secret")
        self.logins = set()

    def database(self, name, *arguments):
        with self.stand.admin("postgres") as superuser:
            if not superuser.execute("SELECT FROM pg_roles WHERE rolname = %s", (OWNER,)).fetchone():
                superuser.execute(f"CREATE ROLE {OWNER} LOGIN CREATEROLE CREATEDB")
        with self.stand.admin("postgres", user=OWNER) as owner:
            owner.execute(f"CREATE DATABASE {name}")
        self.stand.init(name, "--guard", "login", *arguments)

    def section(self):
        return {"guard": "login", "secret_file": self.secret.file}

    def follow(self):
        databases = self.stand.clusters.values()
        with self.stand.admin(user=OWNER) as admin:
            tenants = admin.execute("SELECT id, external_key FROM bulkhead_control.tenant").fetchall()
            for tenant, _ in tenants:
                self._login(admin, tenant)
            admin.execute("UPDATE bulkhead_control.tenant SET login_kid = %s WHERE login_kid IS NULL", (self.secret.first(),))
        for database in databases:
            with self.stand.admin(database, user=OWNER) as admin:
                for tenant, key in tenants:
                    function = "bulkhead.set_login_key(%s, %s)" if key else "bulkhead.drop_login_key(%s)"
                    admin.execute(f"SELECT {function}", (tenant, key) if key else (tenant,))

    def _login(self, admin, tenant):
        if tenant in self.logins:
            return
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE bulkhead_app").format(
            sql.Identifier(login_of(tenant)), sql.Literal(self.secret.password(tenant))))
        self.logins.add(tenant)


def installation_of(stand, guard=None):
    return {"sealed": Sealed, "login": ByLogin}[guard or GUARD](stand)
