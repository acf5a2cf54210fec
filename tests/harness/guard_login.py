"""A server as managed services give it: nobody who comes to it is a superuser, and tenants have logins of their own.

    server = Managed(template)                    # a superuser makes the role `half` and steps aside
    database = server.database()                  # half's own
    server.init(database, keys)                   # bulkhead init --guard login, as half
    with server.tenant(database, ACME) as connection: ...

What must hold is the same as for tenants under a seal, so LoginShop stands in for Shop.
"""

from contextlib import contextmanager

from harness.guard import plain, run_init
from harness.guard_shop import IDS, KEYS, Shop
from harness.postgres import Postgres

HALF = "half"  # CREATEROLE, CREATEDB, owner of the databases


def login_of(tenant):
    return "t_" + plain(tenant)


def make_login(admin, tenant, *more):
    """As a provisioner would; the role of an earlier test may be there."""
    login = login_of(tenant)
    if not admin.execute("SELECT FROM pg_roles WHERE rolname = %s", (login,)).fetchall():
        admin.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'derived' IN ROLE bulkhead_app {' '.join(more)}")
    return login


class Managed:
    def __init__(self, template, attributes=""):
        self.postgres = Postgres(template).start()
        with self.postgres.connect() as superuser:
            superuser.execute(f"CREATE ROLE {HALF} LOGIN CREATEROLE CREATEDB {attributes}")
            self.major = superuser.info.server_version // 10000

    def database(self):
        database = self.postgres.create_database()
        with self.postgres.connect() as superuser:
            superuser.execute(f'ALTER DATABASE "{database.name}" OWNER TO {HALF}')
        return database

    def init(self, database, keys, *arguments, user=HALF, **more):
        return run_init("--dsn", database.conninfo(user), "--guard", "login", "--keys", keys, *arguments, **more)

    def let_half_manage(self):
        """On a server where somebody else has made Bulkhead's roles, since PostgreSQL 16, a superuser must say so."""
        with self.postgres.connect() as superuser:
            for role, in superuser.execute("SELECT rolname FROM pg_roles WHERE rolname ~ '^bulkhead_'").fetchall():
                if self.major >= 16:
                    superuser.execute(f"GRANT {role} TO {HALF} WITH ADMIN OPTION, INHERIT FALSE, SET FALSE")

    def must_init(self, database, keys, *arguments, **more):
        done = self.init(database, keys, *arguments, **more)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def remove(self):
        self.postgres.remove()


@contextmanager
def managed_server(request, major, attributes=""):
    """One of version 15 or 18, copied from the tests' template (a fixture of theirs)."""
    server = Managed(request.getfixturevalue("template_18" if major == 18 else "template"), attributes)
    yield server
    server.remove()


class LoginGuard:
    """Where Shop and its tests expect a guard: its database, and connections to it."""

    def __init__(self, database):
        self.database = database

    def admin(self):
        return self.database.connect(HALF)

    def connect(self, user, **more):
        connection = self.database.connect(user, **more)
        connection.prepare_threshold = None
        return connection


class LoginShop(Shop):
    """The same two tenants, each on a connection of its own login; its admin is no superuser."""

    def __init__(self, guard):
        with guard.admin() as admin:
            self._logins = {name: make_login(admin, tenant) for name, tenant in IDS.items()}
        super().__init__(guard)
        self.superuser = guard.database.connect()

    def close(self):
        super().close()
        self.superuser.close()

    def _connect(self, name):
        return self.guard.connect(self._logins[name])

    def sql(self, statement, parameters=None):
        """What tests of the seal say of the pool's login, these say of acme's own; what takes a superuser to arrange
        or to look at, one does."""
        if statement.startswith("ALTER ROLE") or "bulkhead.protection" in statement:
            return self.superuser.execute(statement, parameters)
        return super().sql(statement.replace("bulkhead_pool", self._logins["acme"]), parameters)

    def tenant(self, name, key=None):
        connection = self._tenants[name]
        connection.execute("RESET ALL")
        self.set_key(name, key or KEYS[name])
        connection.execute(f"SET search_path = {self.schema}")
        return connection

    def set_key(self, name, key):
        notices = list(self.notices)
        self.admin.execute("SELECT bulkhead.set_login_key(%s, %s)", (IDS[name], key))
        self.notices[:] = notices
