"""The programs that are compared, each a process of its own on loopback, with one thread for the data.

A `Peer` is a program together with how the load speaks to it: which table, and who names the tenant.
"""

import json
import os
import re
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from harness.postgres import HOST, free_port, private_folder, server_user
from harness.program import PROGRAM
from stage import DATABASE, LOGIN, TENANTS, cluster_name

PGBOUNCER = "/usr/sbin/pgbouncer"
HAPROXY = "/usr/sbin/haproxy"
POOL = 20
CLIENTS_MAX = 12000


def wait_until_it_answers(process, log, port, password, dbname, user):
    """A query must come through; so the first server connection is there as well."""
    deadline = time.monotonic() + 60
    while True:
        try:
            with psycopg.connect(host=HOST, port=port, dbname=dbname, user=user, password=password,
                                 autocommit=True) as connection:
                connection.execute("SELECT 1")
                return
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{process.args[0]} did not start: {error}\n{Path(log).read_text()}") from error
            time.sleep(0.05)


class Server:
    """PostgreSQL itself: nothing is in between, and no process to measure."""

    name = "PostgreSQL, direct"

    def __init__(self, stage):
        self.port = stage.postgres.port
        self.pid = None

    def stop(self):
        pass


class Proxy:
    """A process between the load and the server. Subclasses write its files and say how it is run."""

    name = None
    user = LOGIN

    def __init__(self, stage, unix=False, pool=POOL, pools=0, wrapper=()):
        """`unix`: reaches the server over its unix socket. `pools`: so many pools beside the ordinary one,
        whose idle server connections are closed soon. `wrapper` runs the program, as valgrind does."""
        self.stage = stage
        self.unix = unix
        self.pool = pool
        self.pools = range(TENANTS, TENANTS + pools)  # by their tenants' numbers
        self.port = free_port()
        self.folder = private_folder("bulkhead-bench-peer-")
        self.log = self.folder / "log"
        command, account = self.prepare()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*map(str, wrapper), *map(str, command)], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, cwd=self.folder, **account)
        self.pid = self.process.pid
        wait_until_it_answers(self.process, self.log, self.port, stage.password, DATABASE, self.user)

    def write(self, name, text):
        """A file with secrets in the peer's own folder."""
        path = self.folder / name
        path.touch(0o600)
        path.write_text(text)
        if account := server_user():
            os.chown(path, account["user"], account["group"])
        return path

    def terminate(self):
        """Ends the program in order; its folder stays until `stop`."""
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def stop(self):
        self.terminate()
        subprocess.run(["rm", "-rf", self.folder], check=True)


class PgBouncer(Proxy):
    name = "PgBouncer"

    def tls(self):
        return ""

    def prepare(self):
        host, port = self.stage.server(self.unix)
        self.write("users", f'"{LOGIN}" "{self.stage.verifier}"\n')
        server = (f"host={host} port={port} dbname={DATABASE} user={LOGIN} password={self.stage.password}")
        more = "".join(f"{DATABASE}_{number} = {server} pool_mode=transaction\n" for number in self.pools)
        config = self.write("pgbouncer.ini", f"""
[databases]
{DATABASE} = {server} pool_mode=transaction
{DATABASE}_session = {server} pool_mode=session
{more}
[pgbouncer]
listen_addr = {HOST}
listen_port = {self.port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {self.folder}/users
max_client_conn = {CLIENTS_MAX}
default_pool_size = {self.pool}
log_connections = 0
log_disconnections = 0
{self.tls()}
{"server_idle_timeout = 1" if self.pools else ""}
""")
        return [PGBOUNCER, config], server_user()  # it refuses to run as root


class PgBouncerTls(PgBouncer):
    name = "PgBouncer with TLS"

    def tls(self):
        return f"""
client_tls_sslmode = allow
client_tls_cert_file = {self.write("cert", self.stage.certificate.cert.read_text())}
client_tls_key_file = {self.write("key", self.stage.certificate.key.read_text())}
"""


class HAProxy(Proxy):
    name = "HAProxy"

    def prepare(self):
        config = self.write("haproxy.cfg", f"""
global
    nbthread 1
    maxconn {CLIENTS_MAX // 2}
defaults
    mode tcp
    timeout connect 10s
    timeout client 1h
    timeout server 1h
listen postgresql
    bind {HOST}:{self.port}
    server postgresql {HOST}:{self.stage.postgres.port}
""")
        return [HAPROXY, "-db", "-f", config], server_user()


class Bulkhead(Proxy):
    name = "Bulkhead"
    user = f"{LOGIN}.t0000"
    more = ""  # settings of [pool]
    log_more = ""  # settings of [log]
    control_database = DATABASE

    def tls(self):
        """Settings of [listen:default]."""
        return ""

    def control_port(self):
        """Where the control database is; asked once."""
        return self.stage.postgres.port

    def prepare(self):
        host, port = self.stage.server(self.unix)
        keys = self.stage.keys

        def cluster(name):
            return (f"[cluster:{name}]\nhost = {host}\nport = {port}\ndatabase = {DATABASE}\n"
                    f"password_file = {keys}/pool.password\n")

        config = self.write("bulkhead.ini", f"""
[bulkhead]
max_client_conn = {CLIENTS_MAX}
[listen:default]
listen_addr = {HOST}
listen_port = {self.port}
{self.tls()}
{"".join(map(cluster, ["default", *map(cluster_name, self.pools)]))}
[pool]
default_pool_size = {self.pool}
{"server_idle_timeout = 1s" if self.pools else ""}
{self.more}
[log]
{self.log_more}
[control]
dsn = host={HOST} port={self.control_port()} dbname={self.control_database} user=bulkhead_sidecar
password_file = {keys}/sidecar.password
[guard]
key_file = {keys}/guard.key
[probes]
listen_addr =
""")
        return [PROGRAM, "serve", "-c", config], {}


class BulkheadTls(Bulkhead):
    def tls(self):
        return f"""
client_tls_sslmode = allow
client_tls_cert_file = {self.stage.certificate.cert}
client_tls_key_file = {self.stage.certificate.key}
"""


class BulkheadReporting(Bulkhead):
    """Writes every second what it has read."""

    log_more = "stats_period = 1s"

    def read(self):
        """Texts that were known, texts that were read, and seconds of reading, since the start."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if '"texts.stats"' in line]
        last = lines[-1] if lines else {"hits": 0, "misses": 0, "read_us": 0}
        return int(last["hits"]), int(last["misses"]), int(last["read_us"]) / 1e6


class BulkheadKeepingPlans(Bulkhead):
    more = "discard_plans = no"


class BulkheadUngated(Bulkhead):
    more = "[gate]\nmode = off"


@dataclass
class Peer:
    key: str
    label: str
    program: type
    unix: bool = False
    load: dict = field(default_factory=dict)  # options of the load generator


PEERS = {peer.key: peer for peer in [
    Peer("direct", "PostgreSQL, direct", Server),
    Peer("pgbouncer", "PgBouncer, no tenancy (a)", PgBouncer),
    Peer("pgbouncer-session", "PgBouncer, session mode, no tenancy (a)", PgBouncer,
         load={"database": f"{DATABASE}_session"}),
    Peer("pgbouncer-app", "PgBouncer, the application's set_config (b)", PgBouncer,
         load={"table": "policy", "wrap": "separate"}),
    Peer("pgbouncer-app-burst", "PgBouncer, the same in one write (b')", PgBouncer,
         load={"table": "policy", "wrap": "burst"}),
    Peer("pgbouncer-unix", "PgBouncer, server on a unix socket", PgBouncer, unix=True),
    Peer("pgbouncer-tls", "PgBouncer, clients over TLS", PgBouncerTls, load={"tls": True}),
    Peer("haproxy", "HAProxy, TCP", HAProxy),
    Peer("bulkhead", "Bulkhead", Bulkhead, load={"table": "sealed", "user-by-tenant": True}),
    Peer("bulkhead-tls", "Bulkhead, clients over TLS", BulkheadTls,
         load={"table": "sealed", "user-by-tenant": True, "tls": True}),
    Peer("bulkhead-tls-plain", "Bulkhead, clients over TLS, the table without tenancy", BulkheadTls,
         load={"table": "plain", "user-by-tenant": True, "tls": True}),
    Peer("bulkhead-plans", "Bulkhead, discard_plans = no", BulkheadKeepingPlans,
         load={"table": "sealed", "user-by-tenant": True}),
    Peer("bulkhead-ungated", "Bulkhead, gate off", BulkheadUngated, load={"table": "sealed", "user-by-tenant": True}),
    Peer("bulkhead-reporting", "Bulkhead", BulkheadReporting, load={"table": "sealed", "user-by-tenant": True}),
    Peer("bulkhead-plain", "Bulkhead, the table without tenancy", Bulkhead,
         load={"table": "plain", "user-by-tenant": True}),
    Peer("bulkhead-unix", "Bulkhead, server on a unix socket", Bulkhead, unix=True,
         load={"table": "sealed", "user-by-tenant": True}),
]}


class Programs:
    """Starts each program once, when it is first needed, and stops them all. `warm` is called with a peer and
    its program before the peer is used for the first time."""

    def __init__(self, stage, warm):
        self.stage, self.warm = stage, warm
        self.running, self.warmed = {}, set()

    def of(self, peer):
        key = (peer.program, peer.unix)
        if key not in self.running:
            self.running[key] = Server(self.stage) if peer.program is Server \
                else peer.program(self.stage, unix=peer.unix)
        program = self.running[key]
        if peer.key not in self.warmed:
            self.warmed.add(peer.key)
            self.warm(peer, program)
        return program

    def stop(self):
        for program in self.running.values():
            program.stop()
        self.running.clear()


def version(command):
    """The first version number that a program prints."""
    text = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+[\w.+-]*", text.stdout + text.stderr)
    return found.group(0) if found else "unknown"
