"""Tenants of all strategies, templates, and `bulkhead migrate` on all of them.

    world = World(stand, schemas=30, databases=3)
    done = world.migrate(world.file(1, "CREATE TABLE notes (id bigint)"))
    assert world.have("notes") == world.everybody()

Places are named `shared`, `template_schema`, `template_database`, and as tenants are.
"""

import os
import secrets
import subprocess
from contextlib import contextmanager

from psycopg import sql

from harness.own_login import OwnLogins
from harness.postgres import HOST
from harness.program import PROGRAM
from harness.stand import DATABASE

ADMIN = "cluster_admin"
OWNER = "shop_owner"
TEMPLATE = "blueprint"  # schema, and database
OPERATORS = ("shared", "template_schema", "template_database")
MARK = "bulkhead_migration"

# Each adds a row: who runs twice has two.
NOTES = """
CREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text);
INSERT INTO notes (body) VALUES (current_setting('bulkhead.target') || ' as ' || current_user);
"""
# Waits where somebody holds table orders of a tenant.
HELD = NOTES + """
DO $$ BEGIN
    IF current_setting('bulkhead.target') = 'schema' THEN LOCK TABLE orders IN ACCESS EXCLUSIVE MODE; END IF;
END $$;
"""
MORE = "ALTER TABLE notes ADD COLUMN author text; INSERT INTO notes (body) VALUES ('more')"


def bodies(world, name):
    return [row[0] for row in world.rows(name, "SELECT body FROM notes ORDER BY id")]


def lines(done, word):
    """Of what it printed, those that begin so."""
    return [line for line in done.stdout.splitlines() if line.startswith(word)]


class World:
    def __init__(self, stand, schemas=3, databases=1):
        self.stand = stand
        self.own = OwnLogins(stand)
        self.folder = stand.folder / "migrations"
        self.folder.mkdir()
        self.environment = {**os.environ, "CONTROL_DSN": stand.postgres.conninfo(DATABASE)}
        self._make_operators()
        self.schemas = [self.own.schema(f"s{n}") for n in range(schemas)]
        self.databases = [self.own.database(f"d{n}") for n in range(databases)]
        self.config = stand.folder / "migrate.ini"
        self.configure()

    def _make_operators(self):
        self.admin_password = self.stand.folder / "admin.password"
        self.admin_password.touch(0o600)
        self.admin_password.write_text(secrets.token_hex(8))
        with self.stand.admin() as root:
            root.execute(f"CREATE ROLE {ADMIN} LOGIN PASSWORD '{self.admin_password.read_text()}' IN ROLE {OWNER}")
            root.execute(f"GRANT USAGE, CREATE ON SCHEMA public TO {OWNER}")
            root.execute(f"CREATE SCHEMA {TEMPLATE} AUTHORIZATION {OWNER}")
            root.execute(f"CREATE DATABASE {TEMPLATE} OWNER {OWNER}")

    def configure(self, **settings):
        """Writes the settings; these are of the cluster, over those that it has."""
        postgres = self.stand.postgres
        cluster = {"host": HOST, "port": postgres.port, "database": DATABASE, "secret_file": self.own.file,
                   "password_file": self.stand.keys / "pool.password", "admin_login": ADMIN,
                   "admin_password_file": self.admin_password, "table_owner": OWNER,
                   "template_schema": TEMPLATE, "template_database": TEMPLATE, **settings}
        sections = {"cluster:default": cluster,
                    "control": {"dsn": f"host={HOST} port={postgres.port} dbname={DATABASE} user=bulkhead_sidecar",
                                "password_file": self.stand.keys / "sidecar.password"},
                    "guard": {"key_file": self.stand.keys / "guard.key"}}
        self.config.write_text("".join(f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in values.items())
                                       for name, values in sections.items()))

    # ---- running

    def file(self, version, text, name=None):
        path = self.folder / (name or f"{version}_test.sql")
        path.write_text(text)
        return path

    def command(self, *arguments):
        return [str(word) for word in (PROGRAM, "migrate", "-c", self.config, *arguments)]

    def migrate(self, *arguments):
        """The finished process, whatever came of it."""
        return subprocess.run(self.command(*arguments), env=self.environment, text=True, capture_output=True,
                              check=False, timeout=120, stdin=subprocess.DEVNULL)

    @contextmanager
    def begun(self, *arguments):
        """A process that runs."""
        process = subprocess.Popen(self.command(*arguments), env=self.environment, text=True, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()

    # ---- places

    def everybody(self):
        return {*OPERATORS, *self.schemas, *self.databases}

    def place(self, name):
        """The database and the schema of a place."""
        if name in self.schemas:
            return DATABASE, self.own.name(name)
        if name in self.databases:
            return self.own.name(name), "public"
        return {"shared": (DATABASE, "public"), "template_schema": (DATABASE, TEMPLATE),
                "template_database": (TEMPLATE, "public")}[name]

    def rows(self, name, text):
        """What a superuser reads there, with search_path at the place."""
        database, schema = self.place(name)
        with self.stand.admin(database) as root:
            root.execute(sql.SQL("SET search_path = {}").format(sql.Identifier(schema)))
            cursor = root.execute(text)
            return cursor.fetchall() if cursor.description else []

    def connect(self, name, **more):
        """As the tenant, past Bulkhead."""
        database, schema = self.place(name)
        return self.own.connect(name, dbname=database, options=f"-c search_path={schema}", **more)

    def have(self, relation):
        """The places that have a relation of that name."""
        places = {name: self.place(name) for name in self.everybody()}
        found = set()
        for database in {database for database, _ in places.values()}:
            with self.stand.admin(database) as root:
                schemas = {row[0] for row in root.execute("SELECT relnamespace::regnamespace::text FROM pg_class "
                                                          "WHERE relname = %s", (relation,))}
            found |= {name for name, place in places.items() if place[0] == database and place[1] in schemas}
        return found

    def marks(self, name):
        """Versions that the place says that it has."""
        if not self.rows(name, f"SELECT to_regclass('{MARK}')")[0][0]:
            return []
        rows = self.rows(name, f"SELECT version FROM {MARK} WHERE applied_at IS NOT NULL ORDER BY 1")
        return [row[0] for row in rows]

    def ledger(self, version):
        """What the control schema has: place, state."""
        with self.stand.admin() as root:
            rows = root.execute("SELECT coalesce(t.slug, m.kind), m.state FROM bulkhead_control.migration_target m "
                                "LEFT JOIN bulkhead_control.tenant t ON t.id = m.tenant_id "
                                "WHERE m.version = %s", (version,))
            return dict(rows.fetchall())

    def reset(self):
        """As if nothing had ever been migrated."""
        self.configure()
        with self.stand.admin() as root:
            root.execute("DELETE FROM bulkhead_control.migration_target; DELETE FROM bulkhead_control.migration_file")
        places = [self.place(name) for name in self.everybody()]
        for database in {database for database, _ in places}:
            with self.stand.admin(database, options="-c client_min_messages=error") as root:
                for schema in (schema for where, schema in places if where == database):
                    tables = ", ".join(f'"{schema}".{table}' for table in (MARK, "notes", "more"))
                    root.execute(f"DROP TABLE IF EXISTS {tables} CASCADE")
