"""Tenants with a schema, a database or a login of their own: settings with an administrator, and the commands.

    place = Provision(stand)
    acme = place.create("one", strategy="schema")     # its id; `bulkhead tenant create` has waited for it
    with place.connect("one") as connection: ...      # as the tenant's own login, as a sidecar would
    place.purge("one")
"""

import json
import os
import subprocess
import uuid

from harness.cluster_secret import ClusterSecret, login_of
from harness.postgres import HOST
from harness.program import PROGRAM, write_secret
from harness.stand import DATABASE

KILLED = -9


class Provision:
    def __init__(self, stand, name="provision", **cluster):
        """`cluster` are settings of [cluster:default] over those that all need; None takes one out."""
        self.stand = stand
        self.folder = stand.folder / name
        self.folder.mkdir()
        self.passwords = ClusterSecret(self.folder / "cluster.secret")
        self.secret = self.passwords.file
        self.admin_password = write_secret(self.folder / "admin.password", stand.postgres.password)
        self.config = self.folder / "bulkhead.ini"
        self.control = {}
        self.cluster = {
            "host": HOST, "port": stand.postgres.port, "database": DATABASE, "login": "bulkhead_pool",
            "password_file": stand.keys / "pool.password", "secret_file": self.secret,
            "admin_login": "postgres", "admin_password_file": self.admin_password}
        self.set(**cluster)
        self.ids = {}

    def set(self, control=None, **cluster):
        """Writes the settings, with these over those that it had."""
        self.cluster.update(cluster)
        self.control.update(control or {})
        sections = {
            "cluster:default": self.cluster,
            "guard": {"key_file": self.stand.keys / "guard.key"},
            "control": {"dsn": f"host={HOST} port={self.stand.postgres.port} dbname={DATABASE} user=bulkhead_sidecar",
                        "password_file": self.stand.keys / "sidecar.password", "job_lease": "1s", **self.control}}
        self.config.write_text("".join(
            f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in values.items() if value is not None)
            for name, values in sections.items()))

    # ---- commands

    def start(self, *arguments, **environment):
        return subprocess.Popen(
            [PROGRAM, *map(str, arguments)], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "CONTROL_DSN": self.stand.postgres.conninfo(DATABASE), **environment})

    def run(self, *arguments, **environment):
        """The finished process, whatever came of it."""
        with self.start(*arguments, **environment) as process:
            out, err = process.communicate(timeout=120)
            return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def must(self, *arguments, **environment):
        """Rows of a command that is done."""
        done = self.run(*arguments, "--json", **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def create(self, slug, *arguments, strategy="schema", **environment):
        (row,) = self.must("tenant", "create", slug, "--strategy", strategy, "-c", self.config, *arguments,
                           **environment)
        self.ids[slug] = uuid.UUID(row["id"])
        assert row["status"] == "active", row
        return self.ids[slug]

    def purge(self, slug, **environment):
        return self.must("tenant", "purge", slug, "--confirm", slug, "-c", self.config, **environment)

    def jobs(self, slug=None):
        rows = self.must("job", "list")
        return [row for row in rows if slug in (None, row["tenant"])]

    def status(self, slug):
        return self.value("SELECT status FROM bulkhead_control.tenant WHERE slug = %s", slug)

    # ---- the server

    def value(self, sql, *parameters, dbname=DATABASE):
        """The single column of the single row, or None without a row; asked by the superuser."""
        with self.stand.admin(dbname) as admin:
            row = admin.execute(sql, parameters or None).fetchone()
            return row[0] if row else None

    def id(self, slug):
        if slug not in self.ids:
            self.ids[slug] = self.value("SELECT id FROM bulkhead_control.tenant WHERE slug = %s", slug)
        return self.ids[slug]

    def own(self, slug):
        """What its login, schema and database are called."""
        return login_of(self.id(slug))

    def password(self, slug, kid=None):
        """As every sidecar computes it."""
        return self.passwords.password(self.id(slug), kid)

    def connect(self, slug, dbname=None, kid=None, **more):
        """As the tenant's login; search_path as sidecars set it for a schema of its own."""
        strategy = self.value("SELECT strategy FROM bulkhead_control.tenant WHERE slug = %s", slug)
        own = self.own(slug)
        options = f"-c search_path={own}" if strategy == "SCHEMA_PER_TENANT" else ""
        database = own if strategy == "DATABASE_PER_TENANT" else DATABASE
        return self.stand.postgres.connect(dbname or database, own, self.password(slug, kid), tcp=True,
                                           options=options, **more)
