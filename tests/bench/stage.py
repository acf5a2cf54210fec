"""What all peers are measured on: one PostgreSQL with the same rows in three tables.

    account_plain     no tenancy at all, keyed by id                      (PostgreSQL, HAProxy, PgBouncer)
    account_policy    row security over the application's own app.tenant  (PgBouncer with set_config)
    account_sealed    protected by Bulkhead's guard                       (Bulkhead)

The two last are keyed by (tenant_id, id). Every tenant has ROWS rows, and ids are unique over all tenants,
so that one statement, `SELECT balance FROM account_… WHERE id = …`, means the same everywhere.
"""

import os
import secrets
import subprocess
import tempfile
from pathlib import Path

from harness.certificates import self_signed
from harness.postgres import HOST, Postgres
from harness.stand import run

DATABASE = "bench"
LOGIN = "bench_app"  # PostgreSQL's role, PgBouncer's user and Bulkhead's principal
TENANTS = 1000
ROWS = 100

# Over the tests' settings (no fsync: nothing here waits for a disk). Background work would only be noise.
SETTINGS = {
    "max_connections": "900",
    "shared_buffers": "256MB",
    "max_wal_size": "1GB",
    "autovacuum": "off",
    "jit": "off",
}

TABLES = """
CREATE TABLE account_plain (
    tenant_id uuid NOT NULL, id bigint PRIMARY KEY, balance bigint NOT NULL, filler char(84) NOT NULL)
    WITH (fillfactor = 50);
CREATE TABLE account_policy (LIKE account_plain, PRIMARY KEY (tenant_id, id)) WITH (fillfactor = 50);
CREATE TABLE account_sealed (LIKE account_plain, PRIMARY KEY (tenant_id, id)) WITH (fillfactor = 50);
CREATE TABLE history_plain (
    tenant_id uuid NOT NULL DEFAULT '{first}', account bigint NOT NULL, delta bigint NOT NULL);
CREATE TABLE history_policy (
    tenant_id uuid NOT NULL DEFAULT current_setting('app.tenant')::uuid,
    account bigint NOT NULL, delta bigint NOT NULL);
CREATE TABLE history_sealed (tenant_id uuid NOT NULL, account bigint NOT NULL, delta bigint NOT NULL);
CREATE TABLE sink (line text);

INSERT INTO account_plain
    SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(tenant), 12, '0'))::uuid,
           tenant * {rows} + n, 0, 'row ' || n
    FROM generate_series(0, {tenants} - 1) tenant, generate_series(1, {rows}) n;
INSERT INTO account_policy TABLE account_plain;
INSERT INTO account_sealed TABLE account_plain;

CREATE ROLE {login} LOGIN PASSWORD '{password}';
GRANT SELECT, INSERT, UPDATE ON account_plain, account_policy, history_plain, history_policy, sink TO {login};
ALTER TABLE account_policy ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON account_policy USING (tenant_id = (SELECT current_setting('app.tenant')::uuid));
ALTER TABLE history_policy ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON history_policy USING (tenant_id = (SELECT current_setting('app.tenant')::uuid));

SELECT bulkhead.protect('account_sealed', 'tenant_id');
SELECT bulkhead.protect('history_sealed', 'tenant_id');
GRANT SELECT, INSERT, UPDATE ON account_sealed, history_sealed, sink TO bulkhead_app;
GRANT SELECT ON account_plain TO bulkhead_app;

INSERT INTO bulkhead_control.tenant (id, slug, name)
    SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(tenant), 12, '0'))::uuid,
           't' || lpad(tenant::text, 4, '0'), 'Tenant ' || tenant
    FROM generate_series(0, {tenants} - 1) tenant;
"""


def cluster_name(tenant):
    """Of a tenant that has a cluster of its own."""
    return f"c{tenant}"


class Stage:
    """The server, its data, and a folder for what the peers need. `remove` takes everything away."""

    def __init__(self):
        self.postgres = Postgres(settings=SETTINGS)
        self.folder = Path(tempfile.mkdtemp(prefix="bulkhead-bench-"))
        self.keys = self.folder / "keys"
        self.password = secrets.token_hex(12)
        self.verifier = None
        self.certificate = self_signed(self.folder, "bench")  # ECDSA, of all proxies

    def start(self):
        postgres = self.postgres.start()
        with postgres.connect() as admin:
            admin.execute(f"CREATE DATABASE {DATABASE}")
        run("init", "--dsn", postgres.conninfo(DATABASE), "--keys", self.keys)
        with postgres.connect(DATABASE) as admin:
            admin.execute(TABLES.format(first="00000000-0000-4000-8000-000000000000", tenants=TENANTS, rows=ROWS,
                                        login=LOGIN, password=self.password))
            self.verifier, = admin.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s",
                                           (LOGIN,)).fetchone()
        self.vacuum()
        password_file = self.folder / "principal.password"
        password_file.touch(0o600)
        password_file.write_text(self.password + "\n")
        run("principal", "create", LOGIN, "--home", "t0000", "--reach", "all", "--password-file", password_file,
            env={**os.environ, "CONTROL_DSN": postgres.conninfo(DATABASE)})
        return self

    def add_clusters(self, count):
        """So many tenants behind the ordinary ones, each in a cluster of its own; once."""
        with self.postgres.connect(DATABASE) as admin:
            numbers = f"generate_series({TENANTS}, {TENANTS + count - 1}) n ON CONFLICT DO NOTHING"
            admin.execute(f"INSERT INTO bulkhead_control.cluster (name) SELECT 'c' || n FROM {numbers}")
            admin.execute(f"""
                INSERT INTO bulkhead_control.tenant (id, slug, name, cluster)
                SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
                       't' || lpad(n::text, 4, '0'), 'Tenant ' || n, 'c' || n
                FROM {numbers}""")

    def vacuum(self):
        """What autovacuum would have done: takes away what the last read-write measurements left."""
        with self.postgres.connect(DATABASE) as admin:
            admin.execute("VACUUM ANALYZE")
            admin.execute("CHECKPOINT")

    def settings(self):
        """The server's settings that differ from PostgreSQL's own, and its version."""
        with self.postgres.connect(DATABASE) as admin:
            version, = admin.execute("SHOW server_version").fetchone()
        return version, self.postgres.settings

    def server(self, unix):
        """Where a proxy finds the server: host and port."""
        return (self.postgres.socket_dir if unix else HOST), self.postgres.port

    def remove(self):
        self.postgres.remove()
        subprocess.run(["rm", "-rf", self.folder], check=True)
