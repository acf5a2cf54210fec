"""A whole Bulkhead for tests: PostgreSQL with guard, control schema and a small shop, tenants, and the proxy.

    stand = Stand(template).start()
    with stand.proxy() as proxy:                 # settings as keywords: proxy(pool={"default_pool_size": 1})
        with proxy.connect("acme") as connection: ...
    stand.remove()

Tenants are `acme`, `acme-labs` below it, and `globex`. The principal `shop` reaches all of them. Table
`orders` (uuid key, protected by id) holds rows of each tenant that carry its name in `item`; `tickets` is
keyed by the tenants' bigint keys. The control schema and the data share one database.

With BULKHEAD_TEST_GUARD=login it is built by a role that is no superuser, and each tenant has a login of its own
(installation.py).
"""

import json
import os
import secrets
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import psycopg

from harness.installation import installation_of
from harness.postgres import HOST, PG_BIN, Postgres, free_port
from harness.program import PROGRAM
from harness.wait import wait_for
from harness.wire import Wire

DATABASE = "shop"
PRINCIPAL = "shop"
TENANTS = {"acme": 101, "acme-labs": 102, "globex": 103}  # slug: external key
ROWS = 20  # orders of each tenant

SHOP = """
CREATE ROLE shop_owner NOLOGIN;
GRANT CREATE ON SCHEMA public TO shop_owner;
GRANT shop_owner TO CURRENT_USER;
CREATE TABLE orders (
    tenant_id uuid NOT NULL, id bigint NOT NULL, item text NOT NULL, PRIMARY KEY (tenant_id, id));
CREATE TABLE tickets (
    account bigint NOT NULL, id bigint NOT NULL, body text NOT NULL, PRIMARY KEY (account, id));
ALTER TABLE orders OWNER TO shop_owner;
ALTER TABLE tickets OWNER TO shop_owner;
SELECT bulkhead.protect('orders', 'tenant_id');
SELECT bulkhead.protect('tickets', 'account', 'key');
GRANT SELECT, INSERT, UPDATE, DELETE ON orders, tickets TO bulkhead_app;
"""


def run(*arguments, **more):
    """Runs the program; a failure shows what it printed."""
    done = subprocess.run([PROGRAM, *map(str, arguments)], text=True, capture_output=True, check=False, **more)
    if done.returncode != 0:
        raise AssertionError(f"bulkhead {arguments[0]} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


class Stand:
    def __init__(self, template, hardening="standard", settings=None, guard=None):
        self.hardening = hardening
        self.postgres = Postgres(template, settings)
        self.folder = Path(tempfile.mkdtemp(prefix="bulkhead-stand-"))
        self.keys = self.folder / "keys"
        self.password = secrets.token_hex(12)
        self.password_file = self.folder / "shop.password"
        self.ids = {}
        self.clusters = {"default": DATABASE}
        self.installation = installation_of(self, guard)

    def start(self):
        self.postgres.start()
        self.installation.database(DATABASE)
        with self.admin(user=self.installation.administrator) as admin:
            admin.execute(SHOP)
        for slug, key in TENANTS.items():
            parent = ("--parent", "acme") if slug == "acme-labs" else ()
            self.command("tenant", "create", slug, "--key", key, *parent)
        self.password_file.touch(0o600)
        self.password_file.write_text(self.password + "\n")
        self.principal(PRINCIPAL)
        self._fill()
        return self

    def init(self, database, *arguments):
        run("init", "--dsn", self.postgres.conninfo(database, self.installation.administrator),
            "--hardening", self.hardening, "--keys", self.keys, *self.installation.init, *arguments)

    def command(self, *arguments):
        """A subcommand on the control schema."""
        printed = run(*arguments, env={**os.environ, "CONTROL_DSN": self.postgres.conninfo(DATABASE)})
        if arguments[0] == "tenant":
            self.installation.follow()
        return printed

    def principal(self, name):
        """A principal that reaches all tenants, with the stand's password."""
        self.command("principal", "create", name, "--home", "acme", "--reach", "all",
                     "--password-file", self.password_file)

    def tenant(self, slug, **options):
        """A tenant without rows, made when it is missing; options as `weight=3`, `no_provision=True`."""
        if slug not in self.ids:
            arguments = [word for name, value in options.items()
                         for word in ([f"--{name.replace('_', '-')}"] if value is True else [f"--{name}", value])]
            self.ids[slug] = json.loads(self.command("tenant", "create", slug, "--json", *arguments))[0]["id"]
        return slug

    def tenants(self, *slugs):
        """Many tenants without rows, made when they are missing."""
        missing = [slug for slug in slugs if slug not in self.ids]
        with self.admin() as admin:
            made = admin.execute("INSERT INTO bulkhead_control.tenant (id, slug, name) "
                                 "SELECT gen_random_uuid(), slug, slug FROM unnest(%s::text[]) slug "
                                 "RETURNING slug, id::text", (missing,)).fetchall()
        self.ids.update(made)
        self.installation.follow()
        return slugs

    def cluster(self, name):
        """One more database with a guard on the same server, made when it is missing: a route of its own.

        Its tenants are made with tenant(..., cluster=name); stand.proxy gives each proxy a section for it.
        """
        if name not in self.clusters:
            self.installation.database(name, "--control-dsn",
                                       self.postgres.conninfo(DATABASE, self.installation.administrator))
            with self.admin() as admin:
                admin.execute("INSERT INTO bulkhead_control.cluster (name) VALUES (%s)", (name,))
            self.clusters[name] = name
        return name

    def _fill(self):
        with self.admin() as admin:
            rows = admin.execute("SELECT slug, id FROM bulkhead_control.tenant").fetchall()
            self.ids = {slug: str(tenant) for slug, tenant in rows}
            for slug, key in TENANTS.items():
                admin.execute("INSERT INTO orders SELECT %s, n, %s || ' ' || n FROM generate_series(1, %s) n",
                              (self.ids[slug], slug, ROWS))
                admin.execute("INSERT INTO tickets SELECT %s, n, %s || ' ' || n FROM generate_series(1, %s) n",
                              (key, slug, ROWS))

    @property
    def rival(self):
        """A tenant who waits while acme has all backends of its pool: where tenants share none, acme itself."""
        return "globex" if self.installation.is_shared else "acme"

    def login(self, tenant):
        """What the tenant's backends log in as."""
        return self.installation.login(tenant)

    def admin(self, dbname=DATABASE, **more):
        return self.postgres.connect(dbname, **more)

    def remove(self):
        self.postgres.remove()
        subprocess.run(["rm", "-rf", self.folder], check=True)

    @contextmanager
    def proxy(self, **sections):
        proxy = self._started(sections)
        try:
            yield proxy
        finally:
            proxy.stop()

    def _started(self, sections):
        """A proxy that runs. Somebody else may take the port that it has drawn before it does: then with another."""
        attempts = 3
        while True:
            try:
                return Proxy(self, sections).start()
            except RuntimeError as failed:
                attempts -= 1
                if not attempts or "Address already in use" not in str(failed):
                    raise


class Proxy:
    """A running `bulkhead serve`. `sections` are INI sections over the stand's own, `listen__local` for listen:local.

    A section listen:trusted makes a listener on a unix socket that asks for no password, on `trusted_port`.
    """

    def __init__(self, stand, sections):
        self.stand = stand
        self.port = free_port()
        self.socket_dir = stand.folder
        self.process = None
        self.log = stand.folder / f"bulkhead-{self.port}.log"
        self.log.unlink(missing_ok=True)  # of another proxy, that had the same port
        self.config = stand.folder / f"bulkhead-{self.port}.ini"
        self.wrapper = os.environ.get("PROGRAM_WRAPPER", "").split()
        postgres = stand.postgres
        settings = {
            "listen:default": {"listen_addr": HOST, "listen_port": self.port,
                               "unix_socket_dir": self.socket_dir},
            **{f"cluster:{name}": {"host": HOST, "port": postgres.port, "database": database,
                                   **stand.installation.section()}
               for name, database in stand.clusters.items()},
            "control": {"dsn": f"host={HOST} port={postgres.port} dbname={DATABASE} user=bulkhead_sidecar",
                        "password_file": stand.keys / "sidecar.password"},
            "guard": {"key_file": stand.keys / "guard.key"},
            "bulkhead": {"login_failure_delay": 0},  # but where that is what is tested: many tests fail to log in
            "pool": {"default_pool_size": 4, "query_wait_timeout": 20},
            "gate": {"mode": "observe"},  # most tests do what it refuses; those of the gate have it enforced
            "log": {"level": "debug", "format": "json"},
            "probes": {"listen_addr": ""},
        }
        if "listen__trusted" in sections:
            self.trusted_port = free_port()
            settings["listen:trusted"] = {"listen_addr": "", "listen_port": self.trusted_port,
                                          "unix_socket_dir": self.socket_dir, "auth": "trust"}
        self.settings = settings
        self.configure(**sections)

    def configure(self, **sections):
        """Writes the settings file, with these over those that it had; None takes a setting out."""
        for name, values in sections.items():
            self.settings.setdefault(name.replace("__", ":"), {}).update(values)
        self.config.write_text("".join(
            f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in values.items() if value is not None)
            for name, values in self.settings.items()))

    def reload(self, event="serve.reloaded", **sections):
        """Changes settings, sends SIGHUP, and waits for this event; returns its line."""
        before = len(self.events(event))
        self.configure(**sections)
        self.process.send_signal(signal.SIGHUP)
        return wait_for(lambda: self.events(event)[before:], event)[0]

    def start(self):
        before = self.log_text().count('"serve.ready"')  # of a proxy that had this port, or of this one
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BULKHEAD_TEST_")}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*self.wrapper, PROGRAM, "serve", "-c", self.config],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        deadline = time.monotonic() + 30
        while self.log_text().count('"serve.ready"') == before:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                raise RuntimeError(f"bulkhead did not start:\n{self.log_text()}")
            time.sleep(0.02)
        return self

    def stop(self):
        """SIGINT must end it cleanly, and at once; a sanitizer's finding would show in the exit code."""
        if self.process is None:
            return
        crashed = self.process.poll()
        if crashed is None:
            self.process.send_signal(signal.SIGINT)
            crashed = self.process.wait(30)
        self.process = None
        if crashed != 0:
            raise AssertionError(f"bulkhead ended with {crashed}:\n{self.log_text()[-6000:]}")

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def conninfo(self, tenant=None, user=None, password=None, dbname=DATABASE, unix=False, **more):
        """The tenant is chosen by the user's name, as `shop.acme`."""
        user = user or (f"{PRINCIPAL}.{tenant}" if tenant else PRINCIPAL)
        return psycopg.conninfo.make_conninfo(
            host=str(self.socket_dir) if unix else HOST, port=self.port, dbname=dbname, user=user,
            password=self.stand.password if password is None else password, **more)

    def connect(self, tenant=None, autocommit=True, prepare_threshold=5, **more):
        """`prepare_threshold` is psycopg's: None for no prepared statements, which would keep a backend."""
        return psycopg.connect(self.conninfo(tenant, **more), autocommit=autocommit,
                               prepare_threshold=prepare_threshold)

    def wire(self, tenant, principal=PRINCIPAL, password=None, trusted=False, dbname=DATABASE, **keys):
        """A logged-in client of the wire protocol; `keys` go into its startup packet."""
        where = (str(self.socket_dir), self.trusted_port) if trusted else (HOST, self.port)
        wire = Wire.connect(*where)
        try:
            return wire.login({"user": f"{principal}.{tenant}", "database": dbname, **keys},
                              password or self.stand.password)
        except BaseException:
            wire.close()
            raise

    def events(self, name):
        """The log's lines of that event, as dictionaries; not one that is just being written."""
        lines = self.log_text().rpartition("\n")[0].splitlines()
        return [json.loads(line) for line in lines if f'"{name}"' in line]

    def resident(self):
        """Bytes of memory that the process occupies."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(status.split("VmRSS:")[1].split()[0])

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def psql(self, tenant, *arguments, stdin="", **more):
        """Runs psql without start-up file; returns the finished process, whatever its exit code."""
        return subprocess.run([PG_BIN / "psql", "-X", "-d", self.conninfo(tenant, **more), *map(str, arguments)],
                              input=stdin, text=True, capture_output=True, check=False, timeout=60)

    def backends(self):
        """Process ids of the pools' backends."""
        with self.stand.admin() as admin:
            rows = admin.execute(f"SELECT pid FROM pg_stat_activity WHERE {self.stand.installation.backends} "
                                 "AND backend_type = 'client backend' ORDER BY pid").fetchall()
        return [pid for (pid,) in rows]
